/* SPDX-License-Identifier: Apache-2.0 */
/* The roster itself: wants, roles, pins, and what the fleet says about loaded models. */
#include "run/roster/roster_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

static const char *const state_names[] = {"stored",  "checking",  "waiting", "loading",
                                          "ready",   "unloading", "broken"};

const char *roster_state_name(enum roster_state state)
{
    return state_names[state];
}

enum fail roster_new(const struct roster_options *o, struct roster **out, struct fault *why)
{
    struct roster *r = mem_alloc(sizeof(*r));
    r->o = *o;
    if (r->o.memory_bytes <= 0) {
        r->o.memory_bytes = models_memory_default();
    }
    if (r->o.memory_bytes <= 0) {
        mem_free(r);
        FAULT(why, FAIL_INTERNAL, "the machine does not say how much memory it has");
        fail_hint(why, "Say with models.memory_mb how much of it models may use.");
        return FAIL_INTERNAL;
    }
    *out = r;
    return FAIL_NONE;
}

void roster_free(struct roster *r)
{
    if (r == NULL) {
        return;
    }
    loop_timer_cancel(r->o.loop, r->timer);
    while (r->items != NULL) {
        struct item *it = r->items;
        r->items = it->next;
        while (it->wants != NULL) {
            struct want *w = it->wants;
            it->wants = w->next;
            mem_free(w);
        }
        if (it->fd >= 0) {
            close(it->fd);
        }
        mem_free(it);
    }
    mem_free(r);
}

/* ---- looking up ---- */

/* "BASE:ADAPTER" */
static struct item *find_pair(struct roster *r, const char *name, const char *colon)
{
    struct item *it = item_find(r, colon + 1);
    const struct item *base = it != NULL ? item_of_file(r, it->e.base) : NULL;
    size_t len = (size_t)(colon - name);
    return base != NULL && strlen(base->e.name) == len && strncmp(base->e.name, name, len) == 0
               ? it
               : NULL;
}

struct item *item_find(struct roster *r, const char *name)
{
    size_t len = strlen(name);
    const char *colon = strchr(name, ':');
    if (colon != NULL) {
        return strchr(colon + 1, ':') == NULL ? find_pair(r, name, colon) : NULL;
    }
    enum fleet_role role = fleet_role_find(name);
    for (struct item *it = r->items; it != NULL; it = it->next) {
        if (role != FLEET_ROLE_COUNT ? (it->roles & 1u << role) != 0
                                     : strcmp(it->e.name, name) == 0) {
            return it;
        }
    }
    for (struct item *it = r->items; it != NULL && len >= 8; it = it->next) {
        if (strncmp(it->e.sha256, name, len) == 0) {
            return it;
        }
    }
    return NULL;
}

static void describe(struct roster *r, const struct item *it, struct roster_model *out)
{
    memset(out, 0, sizeof(*out));
    out->entry = it->e;
    out->kind = it->kind;
    out->state = item_state(r, it);
    out->model = it->model;
    out->need_bytes = item_need(r, it);
    out->measured = it->e.memory_bytes > 0 && it->e.memory_ctx == it->n_ctx;
    out->pinned = item_is_pinned(it);
    out->pinned_by_role = out->pinned && it->e.pin == MODELS_PIN_BY_ROLE;
    out->roles = it->roles;
    out->used_at = it->used_at;
    out->done = __atomic_load_n(&it->hashed, __ATOMIC_RELAXED);
    out->total = __atomic_load_n(&it->hash_total, __ATOMIC_RELAXED);
    struct fleet_model m;
    if (it->model != 0 && fleet_model_find(r->o.fleet, it->model, &m)) {
        int64_t used = clock_now_us() - (clock_monotonic_us() - m.used_us);
        out->used_at = used > it->used_at ? used : it->used_at;
        (void)text_copy(out->reason, sizeof(out->reason), m.reason);
    }
    if (it->broken.code != FAIL_NONE) {
        (void)text_copy(out->reason, sizeof(out->reason), it->broken.message);
    }
}

bool roster_find(struct roster *r, const char *name, struct roster_model *out)
{
    const struct item *it = item_find(r, name);
    if (it != NULL) {
        describe(r, it, out);
    }
    return it != NULL;
}

size_t roster_count(const struct roster *r)
{
    size_t n = 0;
    for (const struct item *it = r->items; it != NULL; it = it->next) {
        n++;
    }
    return n;
}

void roster_at(struct roster *r, size_t i, struct roster_model *out)
{
    const struct item *it = r->items;
    while (i-- > 0) {
        it = it->next;
    }
    describe(r, it, out);
}

int64_t roster_memory(const struct roster *r)
{
    return r->o.memory_bytes;
}

int64_t roster_memory_used(struct roster *r)
{
    int64_t used = 0;
    for (const struct item *it = r->items; it != NULL; it = it->next) {
        used += it->model != 0 ? item_need(r, it) : 0;
    }
    return used;
}

bool roster_on_demand(const struct roster *r)
{
    return r->o.on_demand;
}

/* ---- wants ---- */

static void look(void *arg)
{
    struct roster *r = arg;
    r->timer = 0;
    room_make(r);
}

void roster_kick(struct roster *r, int64_t delay_ms)
{
    if (r->timer != 0 && delay_ms > 0) {
        return;
    }
    loop_timer_cancel(r->o.loop, r->timer);
    r->timer = loop_timer_add(r->o.loop, delay_ms, look, r);
}

static struct want *take_wants(struct roster *r, struct item *it, bool only_handed)
{
    struct want *all = NULL, **end = &all;
    for (struct want **at = &it->wants; *at != NULL;) {
        struct want *w = *at;
        if (only_handed && !w->handed) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = NULL;
        *end = w;
        end = &w->next;
        r->wants_len--;
    }
    return all;
}

static void tell(struct want *all, uint32_t model, const struct fault *why)
{
    while (all != NULL) {
        struct want *w = all;
        all = w->next;
        w->done(w->arg, model, why);
        mem_free(w);
    }
}

void item_fail(struct roster *r, struct item *it, const struct fault *why)
{
    struct fault copy = *why;
    if (it->fd >= 0) {
        close(it->fd);
        it->fd = -1;
    }
    log_fault(LOG_LEVEL_WARN, "model.not_loaded", &copy);
    tell(take_wants(r, it, false), 0, &copy);
}

void item_answer(struct roster *r, struct item *it, uint32_t model, bool only_handed)
{
    if (!only_handed) {
        it->touched_us = clock_monotonic_us();
        it->used_at = clock_now_us();
    }
    tell(take_wants(r, it, only_handed), model, NULL);
}

struct refusal {
    roster_ready_fn done;
    void *arg;
    struct fault why;
};

static void deliver_refusal(void *arg)
{
    struct refusal *f = arg;
    f->done(f->arg, 0, &f->why);
    mem_free(f);
}

static uint64_t refuse(struct roster *r, roster_ready_fn done, void *arg, const struct fault *why)
{
    struct refusal *f = mem_alloc(sizeof(*f));
    *f = (struct refusal){.done = done, .arg = arg, .why = *why};
    loop_post(r->o.loop, deliver_refusal, f);
    return 0;
}

uint64_t item_want(struct roster *r, struct item *it, bool again, bool handed,
                   roster_ready_fn done, void *arg)
{
    struct fault why;
    if (r->wants_len >= ROSTER_WANTS_MAX) {
        FAULT(&why, FAIL_QUEUE_FULL, "%d requests already wait for models to load",
              ROSTER_WANTS_MAX);
        return refuse(r, done, arg, &why);
    }
    if (again && item_state(r, it) == ROSTER_BROKEN) {
        fleet_close(r->o.fleet, it->model);
        it->model = 0;
        it->broken.code = FAIL_NONE;
    }
    struct want *w = mem_alloc(sizeof(*w));
    *w = (struct want){.id = ++r->next_want, .handed = handed, .done = done, .arg = arg};
    struct want **at = &it->wants;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = w;
    r->wants_len++;
    uint64_t id = w->id;
    roster_kick(r, 0);
    return id;
}

uint64_t roster_want(struct roster *r, const char *name, bool again, roster_ready_fn done,
                     void *arg)
{
    struct item *it = item_find(r, name);
    if (it == NULL || it->gone) {
        struct fault why;
        FAULT(&why, FAIL_NOT_FOUND, "there is no model \"%.72s\"", name);
        fail_param(&why, "model");
        fail_hint(&why, "GET /api/v1/models lists them; `inhouse models add` adds one.");
        return refuse(r, done, arg, &why);
    }
    return item_want(r, it, again, false, done, arg);
}

void roster_forget(struct roster *r, uint64_t want)
{
    for (struct item *it = r->items; it != NULL && want != 0; it = it->next) {
        for (struct want **at = &it->wants; *at != NULL; at = &(*at)->next) {
            if ((*at)->id == want) {
                struct want *w = *at;
                *at = w->next;
                r->wants_len--;
                mem_free(w);
                return;
            }
        }
    }
}

static void woken(void *arg, uint32_t model, const struct fault *why)
{
    (void)arg;
    (void)model;
    (void)why; /* logged; the next task is told by the role's absence */
}

void roster_wake(struct roster *r, enum fleet_role role)
{
    struct item *it = item_find(r, fleet_role_name(role));
    if (it != NULL && it->wants == NULL && r->o.on_demand &&
        item_state(r, it) == ROSTER_STORED) {
        (void)roster_want(r, fleet_role_name(role), false, woken, NULL);
    }
}

/* ---- orders ---- */

static enum fail not_there(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no model \"%.72s\"", name);
    return fail_hint(why, "`inhouse models list` shows what is there.");
}

enum fail roster_unload(struct roster *r, const char *name, struct fault *why)
{
    struct item *it = item_find(r, name);
    if (it == NULL) {
        return not_there(name, why);
    }
    if (it->model == 0) {
        FAULT(why, FAIL_CONFLICT, "the model %s is not loaded", it->e.name);
        return item_is_adapter(it) ? fail_hint(why, "An adapter goes with its model.") : why->code;
    }
    fleet_close(r->o.fleet, it->model);
    roster_kick(r, 0);
    return FAIL_NONE;
}

enum fail roster_pin(struct roster *r, const char *name, bool pinned, struct fault *why)
{
    struct item *it = item_find(r, name);
    if (it == NULL) {
        return not_there(name, why);
    }
    it->e.pin = pinned ? MODELS_PIN_YES : MODELS_PIN_NO;
    item_note(r, it);
    roster_kick(r, 0);
    return FAIL_NONE;
}

/* ---- what the fleet says ---- */

/* The most its worker was seen to use. Small growth is not worth a write. */
static void measure(struct roster *r, struct item *it, const struct fleet_model *m)
{
    bool other = it->e.memory_ctx != it->n_ctx;
    int64_t known = other ? 0 : it->e.memory_bytes;
    if (roster_is_fake(r) || m->rss_bytes <= known + known / 32) {
        return;
    }
    it->e.memory_bytes = m->rss_bytes;
    it->e.memory_ctx = it->n_ctx;
    item_note(r, it);
}

void roster_fleet_changed(struct roster *r)
{
    for (struct item *it = r->items; it != NULL; it = it->next) {
        struct fleet_model m;
        if (it->model == 0) {
            continue;
        }
        if (!fleet_model_find(r->o.fleet, it->model, &m)) {
            it->model = 0;
            continue;
        }
        if (m.state == FLEET_READY) {
            measure(r, it, &m);
        }
    }
    roster_kick(r, 0);
}
