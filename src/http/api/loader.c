/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the inventory to the fleet: which model serves which role. Hashing takes a second a GiB, so
 * it happens on a crunch thread; the descriptor that was hashed is the one the worker gets.
 *
 * One pass at a time; a call that comes during one starts another after it. A role that is served
 * is left alone, unless the configuration names another model for it.
 */
#include "http/api/api_internal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log/log.h"
#include "run/models/models.h"

struct pick {
    bool wanted; /* the role is free */
    int fd;      /* -1: nothing found */
    char name[MODELS_NAME_SIZE];
    char sha256[TEXT_SHA256_HEX_SIZE];
};

struct loading {
    struct api *a;
    api_loaded_fn done;
    void *arg;
    struct pick picks[FLEET_ROLE_COUNT];
    bool failed;
    struct fault why; /* the first failure */
};

static void load_ended(struct loading *l, int loaded)
{
    struct api *a = l->a;
    if (l->failed) {
        log_fault(LOG_LEVEL_ERROR, "models.load_failed", &l->why);
    }
    if (l->done != NULL) {
        l->done(l->arg, loaded, l->failed ? &l->why : NULL);
    }
    mem_free(l);
    a->loading = false;
    if (a->load_again) {
        a->load_again = false;
        api_load_models(a, NULL, NULL);
    }
}

static void hand_over(void *arg)
{
    struct loading *l = arg;
    int loaded = 0;
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        struct pick *p = &l->picks[i];
        if (p->fd < 0) {
            continue;
        }
        struct fault why;
        if (fleet_load(l->a->h.fleet, (enum fleet_role)i, p->name, p->sha256, p->fd, &why) !=
            FAIL_NONE) {
            if (!l->failed) {
                l->failed = true;
                l->why = why;
            }
            continue;
        }
        loaded++;
        log_write(LOG_LEVEL_INFO, "model.loading",
                  LOG_FIELDS(LOG_TEXT("role", fleet_role_name((enum fleet_role)i)),
                             LOG_TEXT("model", p->name)));
    }
    load_ended(l, loaded);
}

/* The fake engine reads no model: any descriptor will do. */
static void pick_fake(struct pick *p, enum fleet_role role)
{
    static const char *const names[FLEET_ROLE_COUNT] = {"fake-embed", "fake-light", "fake-heavy"};
    uint8_t hash[32];
    if (names[role] == NULL) {
        return;
    }
    p->fd = memfd_create("fake-model", MFD_CLOEXEC);
    (void)text_copy(p->name, sizeof(p->name), names[role]);
    text_sha256(p->name, strlen(p->name), hash);
    text_hex(hash, sizeof(hash), p->sha256);
}

static void note_failure(struct loading *l, const struct fault *why)
{
    if (!l->failed) {
        l->failed = true;
        l->why = *why;
    }
}

static void pick_stored(struct loading *l, const struct models *m, enum fleet_role role)
{
    struct pick *p = &l->picks[role];
    const char *asked = l->a->h.role_model[role];
    bool named = asked != NULL && asked[0] != '\0';
    const struct models_entry *e = models_find(m, named ? asked : fleet_role_name(role));
    struct fault why;
    if (e == NULL) {
        if (named) {
            FAULT(&why, FAIL_NOT_FOUND, "models.%s names \"%.72s\", which is not in the inventory",
                  fleet_role_name(role), asked);
            fail_hint(&why, "`inhouse models list` shows what is there.");
            note_failure(l, &why);
        }
        return;
    }
    (void)text_copy(p->name, sizeof(p->name), e->name);
    (void)text_copy(p->sha256, sizeof(p->sha256), e->sha256);
    if (models_open_fd(m, e, NULL, NULL, &p->fd, &why) != FAIL_NONE) {
        p->fd = -1;
        note_failure(l, &why);
    }
}

static void read_inventory(void *arg)
{
    struct loading *l = arg;
    struct models *m = NULL;
    bool fake = strcmp(l->a->h.engine, "fake") == 0;
    if (!fake && models_open(l->a->h.home, &m, &l->why) != FAIL_NONE) {
        l->failed = true;
        return;
    }
    for (size_t i = 0; m != NULL && i < models_broken(m); i++) {
        log_fault(LOG_LEVEL_WARN, "models.manifest_broken", models_broken_at(m, i));
    }
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        if (!l->picks[i].wanted) {
            continue;
        }
        if (fake) {
            pick_fake(&l->picks[i], (enum fleet_role)i);
        } else {
            pick_stored(l, m, (enum fleet_role)i);
        }
    }
    models_close(m);
}

static void load_on_core(void *arg)
{
    struct loading *l = arg;
    struct api *a = l->a;
    struct fault why;
    if (a->loading) {
        a->load_again = true;
        FAULT(&why, FAIL_CONFLICT, "the inventory is being read already");
        fail_hint(&why, "It is read once more after that; GET /api/v1/models shows what it found.");
        if (l->done != NULL) {
            l->done(l->arg, 0, &why);
        }
        mem_free(l);
        return;
    }
    a->loading = true;
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        struct fleet_model m;
        memset(&m, 0, sizeof(m));
        fleet_model_get(a->h.fleet, (enum fleet_role)i, &m);
        const char *asked = a->h.role_model[i];
        bool other = asked != NULL && asked[0] != '\0' && strcmp(asked, m.name) != 0;
        l->picks[i].fd = -1;
        l->picks[i].wanted = m.state == FLEET_ABSENT || m.state == FLEET_BROKEN || other;
    }
    if (pool_submit(a->h.crunch, read_inventory, l, a->h.loop, hand_over, &why) != FAIL_NONE) {
        note_failure(l, &why);
        load_ended(l, 0);
    }
}

void api_load_models(struct api *a, api_loaded_fn done, void *arg)
{
    struct loading *l = mem_alloc(sizeof(*l));
    l->a = a;
    l->done = done;
    l->arg = arg;
    loop_post(a->h.loop, load_on_core, l);
}
