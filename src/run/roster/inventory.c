/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the stored models to items, and from an item to an open, hashed descriptor. Hashing takes a
 * second a GiB, so it happens on a crunch thread; the descriptor that was hashed is the one the
 * worker gets.
 */
#include "run/roster/roster_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/text/text.h"

#define EMBED_CTX 512
#define STEP_TOKENS 512
#define FAKE_ADAPTERS 2 /* the last of the fakes, over the second */
#define MIB (INT64_C(1) << 20)

/* The fake engine reads no model: a fixed inventory, of which the first three serve the roles. */
static const struct {
    const char *name, *role;
    int64_t need;
} fakes[] = {
    {"fake-embed", "embed", 16 * MIB},  {"fake-light", "light", 64 * MIB},
    {"fake-heavy", "heavy", 256 * MIB}, {"fake-a", "other", 100 * MIB},
    {"fake-b", "other", 100 * MIB},     {"fake-c", "other", 100 * MIB},
    {"fake-tone", "other", MIB}, /* adapters over fake-light */
    {"fake-bad", "other", MIB},
};

bool roster_is_fake(const struct roster *r)
{
    return strcmp(r->o.engine, "fake") == 0;
}

/* ---- reading the inventory ---- */

struct seen {
    struct models_entry e;
    struct models_facts facts; /* width 0: could not be read */
};

struct scan {
    struct roster *r;
    roster_scanned_fn done;
    void *arg;
    struct seen *seen;
    size_t n;
    int pending; /* roles whose model is not yet handed to the fleet */
    int loading;
    uint64_t begun_at; /* on roster.notes */
    bool failed;
    struct fault why;
};

static void read_fakes(struct scan *s)
{
    s->seen = mem_alloc_array(COUNT_OF(fakes), sizeof(*s->seen));
    for (size_t i = 0; i < COUNT_OF(fakes); i++) {
        struct models_entry *e = &s->seen[s->n++].e;
        uint8_t hash[32];
        (void)text_copy(e->name, sizeof(e->name), fakes[i].name);
        (void)text_copy(e->role, sizeof(e->role), fakes[i].role);
        (void)text_copy(e->kind, sizeof(e->kind), "fake");
        text_sha256(e->name, strlen(e->name), hash);
        text_hex(hash, sizeof(hash), e->sha256);
        e->added_at = 1;
    }
    for (size_t i = COUNT_OF(fakes) - FAKE_ADAPTERS; i < COUNT_OF(fakes); i++) {
        memcpy(s->seen[i].e.base, s->seen[1].e.sha256, sizeof(s->seen[i].e.base));
        (void)text_copy(s->seen[i].e.kind, sizeof(s->seen[i].e.kind), "adapter");
    }
}

static void read_stored(void *arg)
{
    struct scan *s = arg;
    struct models *m = NULL;
    if (roster_is_fake(s->r)) {
        read_fakes(s);
        return;
    }
    if (models_open(s->r->o.home, &m, &s->why) != FAIL_NONE) {
        s->failed = true;
        return;
    }
    for (size_t i = 0; i < models_broken(m); i++) {
        log_fault(LOG_LEVEL_WARN, "models.manifest_broken", models_broken_at(m, i));
    }
    s->seen = mem_alloc_array(models_count(m) + 1, sizeof(*s->seen));
    for (size_t i = 0; i < models_count(m); i++) {
        struct fault why;
        struct seen *one = &s->seen[s->n++];
        one->e = *models_at(m, i);
        if (models_show(m, &one->e, &one->facts, &why) != FAIL_NONE) {
            memset(&one->facts, 0, sizeof(one->facts));
            log_fault(LOG_LEVEL_WARN, "models.file_broken", &why);
        }
    }
    models_close(m);
}

static enum fleet_kind kind_of(const struct models_entry *e, const struct models_facts *f)
{
    return strcmp(e->role, "rerank") == 0                 ? FLEET_KIND_RERANK
           : strcmp(e->role, "embed") == 0 || f->embeds   ? FLEET_KIND_EMBED
                                                          : FLEET_KIND_GENERATE;
}

static void size_up(const struct roster *r, struct item *it, const struct seen *one)
{
    it->kind = kind_of(&it->e, &one->facts);
    if (item_is_adapter(it)) {
        it->estimate = it->e.bytes; /* beside its model's, which is measured with it */
        return;
    }
    int64_t ctx = strcmp(it->e.role, "heavy") == 0 ? r->o.n_ctx_heavy : r->o.n_ctx_light;
    it->n_ctx = it->kind == FLEET_KIND_GENERATE ? (int)ctx : EMBED_CTX;
    it->estimate = models_memory_estimate(
        &one->facts, it->kind == FLEET_KIND_GENERATE ? ctx : 0, STEP_TOKENS);
    it->estimate += it->kind == FLEET_KIND_GENERATE ? r->o.prefix_ram_mb * MIB : 0;
    for (size_t i = 0; roster_is_fake(r) && i < COUNT_OF(fakes); i++) {
        if (strcmp(fakes[i].name, it->e.name) == 0) {
            it->estimate = fakes[i].need;
        }
    }
}

struct item *item_of_file(struct roster *r, const char *sha256)
{
    struct item *it = r->items;
    while (it != NULL && strcmp(it->e.sha256, sha256) != 0) {
        it = it->next;
    }
    return it;
}

static bool serves_otherwise(const struct models_entry *a, const struct models_entry *b)
{
    struct models_serving x, y;
    models_serving_get(a, &x);
    models_serving_get(b, &y);
    return strcmp(x.sha256, y.sha256) != 0 || x.run.n_threads != y.run.n_threads ||
           x.run.n_batch != y.run.n_batch || x.run.n_ubatch != y.run.n_ubatch ||
           x.run.gpu_layers != y.run.gpu_layers || strcmp(x.run.flash, y.run.flash) != 0 ||
           strcmp(x.run.type_k, y.run.type_k) != 0 || strcmp(x.run.type_v, y.run.type_v) != 0;
}

static void reloaded(void *arg, uint32_t model, const struct fault *why)
{
    (void)arg;
    (void)model;
    (void)why; /* logged; the inventory shows it */
}

/* Another release was adopted: what runs is answered by the old one, which then makes way. A file
   that waits for room was checked as the old one, and is opened anew. */
static void reload(struct roster *r, struct item *it)
{
    log_write(LOG_LEVEL_INFO, "model.release_changed", LOG_FIELDS(LOG_TEXT("model", it->e.name)));
    if (it->fd >= 0) {
        close(it->fd);
        it->fd = -1;
    }
    if (it->model != 0) {
        fleet_close(r->o.fleet, it->model);
    }
    (void)item_want(r, it, false, true, reloaded, NULL);
    roster_kick(r, 0);
}

/* What is on disk, or was when it was read, is older than what we know. */
static void keep_note(struct item *it, struct models_entry *e)
{
    e->pin = it->e.pin;
    e->memory_bytes = it->e.memory_bytes;
    e->memory_ctx = it->e.memory_ctx;
}

static void take_one(struct scan *s, struct seen *one)
{
    struct roster *r = s->r;
    struct item *it = item_of_file(r, one->e.sha256);
    bool other = it != NULL && serves_otherwise(&it->e, &one->e);
    if (it == NULL) {
        it = mem_alloc(sizeof(*it));
        it->fd = -1;
        struct item **at = &r->items;
        while (*at != NULL && strcmp((*at)->e.name, one->e.name) < 0) {
            at = &(*at)->next;
        }
        it->next = *at;
        *at = it;
    } else if (it->noting || it->noted_at > s->begun_at) {
        keep_note(it, &one->e);
    }
    it->gone = false;
    it->e = one->e;
    size_up(r, it, one);
    if (it->fd >= 0 && serves_otherwise(&it->e, &it->opened)) {
        r->scan_again = true; /* or this pass is older than the file */
        reload(r, it);
    } else if (other && it->model != 0) {
        reload(r, it);
    }
}

/* Items whose file is gone stay while something of theirs is in use. */
static void drop_gone(struct roster *r)
{
    for (struct item **at = &r->items; *at != NULL;) {
        struct item *it = *at;
        bool used = it->checking || it->noting || it->base_wanted || it->wants != NULL;
        if (it->gone && it->model == 0 && !used && it->fd < 0) {
            *at = it->next;
            mem_free(it);
        } else {
            at = &it->next;
        }
    }
}

/* ---- roles ---- */

static void note_failure(struct scan *s, const struct fault *why)
{
    log_fault(LOG_LEVEL_ERROR, "models.load_failed", why);
    if (!s->failed) {
        s->failed = true;
        s->why = *why;
    }
}

/* The configured one, else the one of that role that was added last. */
static struct item *pick(struct scan *s, enum fleet_role role)
{
    struct roster *r = s->r;
    const char *asked = r->o.role_model[role];
    struct item *best = NULL;
    if (asked != NULL && asked[0] != '\0') {
        for (struct item *it = r->items; it != NULL; it = it->next) {
            best = !it->gone && !item_is_adapter(it) && strcmp(it->e.name, asked) == 0 ? it : best;
        }
        if (best == NULL) {
            struct fault why;
            FAULT(&why, FAIL_NOT_FOUND,
                  "models.%s names \"%.72s\", which is not in the inventory",
                  fleet_role_name(role), asked);
            fail_hint(&why, "`inhouse models list` shows what is there.");
            note_failure(s, &why);
        }
        return best;
    }
    for (struct item *it = r->items; it != NULL; it = it->next) {
        if (!it->gone && !item_is_adapter(it) &&
            strcmp(it->e.role, fleet_role_name(role)) == 0 &&
            (best == NULL || it->e.added_at > best->e.added_at)) {
            best = it;
        }
    }
    return best;
}

static void scan_ended(struct scan *s);

static void on_role_handed(void *arg, uint32_t model, const struct fault *why)
{
    struct scan *s = arg;
    (void)model;
    if (why != NULL) { /* and logged where it failed */
        note_failure(s, why);
        s->loading--;
    }
    if (--s->pending == 0) {
        scan_ended(s);
    }
}

/* A role that is served is left alone, unless the configuration names another model for it. */
static void fill_role(struct scan *s, enum fleet_role role)
{
    struct roster *r = s->r;
    struct item *old = item_find(r, fleet_role_name(role));
    const char *asked = r->o.role_model[role];
    bool named = asked != NULL && asked[0] != '\0';
    bool served = old != NULL && !old->gone && item_state(r, old) != ROSTER_STORED &&
                  item_state(r, old) != ROSTER_BROKEN;
    if (served && (!named || strcmp(asked, old->e.name) == 0)) {
        return;
    }
    struct item *it = pick(s, role);
    if (it == NULL) {
        return;
    }
    if (fleet_role_kind(role) != it->kind) {
        struct fault why;
        FAULT(&why, FAIL_BAD_REQUEST, "the model %s cannot serve the role %s", it->e.name,
              fleet_role_name(role));
        note_failure(s, &why);
        return;
    }
    if (it->kind == FLEET_KIND_RERANK) { /* the worker has no pooling by rank */
        struct fault why;
        FAULT(&why, FAIL_UNSUPPORTED, "the model %s is a cross-encoder: none is served yet",
              it->e.name);
        fail_hint(&why, "POST /v1/rerank works by the embedding model, and says so.");
        note_failure(s, &why);
        return;
    }
    s->loading++;
    if (old != NULL) {
        old->roles &= ~(1u << role);
    }
    it->roles |= 1u << role;
    if (it->model != 0 && item_state(r, it) != ROSTER_BROKEN) {
        fleet_role_set(r->o.fleet, role, it->model);
    } else {
        s->pending++;
        (void)item_want(r, it, true, true, on_role_handed, s);
    }
    if (old != NULL && old != it && old->model != 0 && !item_is_pinned(old)) {
        fleet_close(r->o.fleet, old->model);
    }
}

static void scan_ended(struct scan *s)
{
    struct roster *r = s->r;
    if (s->done != NULL) {
        s->done(s->arg, s->loading, s->failed ? &s->why : NULL);
    }
    mem_free(s->seen);
    mem_free(s);
    r->scanning = false;
    if (r->scan_again) {
        r->scan_again = false;
        roster_scan(r, NULL, NULL);
    }
}

static void take_inventory(void *arg)
{
    struct scan *s = arg;
    s->pending = 1;
    if (!s->failed) {
        for (struct item *it = s->r->items; it != NULL; it = it->next) {
            it->gone = true;
        }
        for (size_t i = 0; i < s->n; i++) {
            take_one(s, &s->seen[i]);
        }
        for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
            fill_role(s, (enum fleet_role)role);
        }
        drop_gone(s->r);
    }
    if (--s->pending == 0) {
        scan_ended(s);
    }
}

static void scan_on_core(void *arg)
{
    struct scan *s = arg;
    struct roster *r = s->r;
    struct fault why;
    if (r->scanning) {
        r->scan_again = true;
        FAULT(&why, FAIL_CONFLICT, "the inventory is being read already");
        fail_hint(&why, "It is read once more after that; GET /api/v1/models shows what it found.");
        if (s->done != NULL) {
            s->done(s->arg, 0, &why);
        }
        mem_free(s);
        return;
    }
    r->scanning = true;
    s->begun_at = r->notes;
    if (pool_submit(r->o.crunch, read_stored, s, r->o.loop, take_inventory, &why) != FAIL_NONE) {
        note_failure(s, &why);
        scan_ended(s);
    }
}

void roster_scan(struct roster *r, roster_scanned_fn done, void *arg)
{
    struct scan *s = mem_alloc(sizeof(*s));
    *s = (struct scan){.r = r, .done = done, .arg = arg};
    loop_post(r->o.loop, scan_on_core, s);
}

bool roster_is_scanning(const struct roster *r)
{
    return r->scanning;
}

/* ---- opening a file ---- */

struct opening {
    struct roster *r;
    struct item *it; /* stays: it is marked `checking` */
    char sha256[TEXT_SHA256_HEX_SIZE];
    struct models_entry entry; /* as the file was opened for */
    int fd;
    enum fail failed;
    struct fault why;
};

static bool on_hashed(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
    struct item *it = ctx;
    (void)phase;
    __atomic_store_n(&it->hashed, (int64_t)done, __ATOMIC_RELAXED);
    __atomic_store_n(&it->hash_total, (int64_t)total, __ATOMIC_RELAXED);
    return true;
}

static void open_file(void *arg)
{
    struct opening *o = arg;
    struct models *m = NULL;
    const struct models_entry *e = NULL;
    if (roster_is_fake(o->r)) {
        o->fd = memfd_create("fake-model", MFD_CLOEXEC);
        o->failed = o->fd >= 0 ? FAIL_NONE
                               : FAULT_ERRNO(&o->why, FAIL_INTERNAL, "no memory file");
        return;
    }
    o->failed = models_open(o->r->o.home, &m, &o->why);
    if (o->failed == FAIL_NONE) {
        o->failed = models_get(m, o->sha256, &e, &o->why);
    }
    if (o->failed == FAIL_NONE) {
        o->entry = *e;
        o->failed = models_open_fd(m, e, on_hashed, o->it, &o->fd, &o->why);
    }
    models_close(m);
}

static void file_opened(void *arg)
{
    struct opening *o = arg;
    struct item *it = o->it;
    it->checking = false;
    it->hashed = it->hash_total = 0;
    if (o->failed != FAIL_NONE) {
        it->broken = o->why;
        item_fail(o->r, it, &o->why);
    } else {
        if (!roster_is_fake(o->r)) { /* a release may have been adopted since the inventory */
            it->e.active = o->entry.active;
        }
        it->opened = it->e;
        it->fd = o->fd;
        it->waits_since_us = clock_monotonic_us();
    }
    roster_kick(o->r, 0);
    mem_free(o);
}

void item_check(struct roster *r, struct item *it)
{
    struct fault why;
    struct opening *o = mem_alloc(sizeof(*o));
    *o = (struct opening){.r = r, .it = it, .fd = -1};
    memcpy(o->sha256, it->e.sha256, sizeof(o->sha256));
    it->checking = true;
    it->broken.code = FAIL_NONE;
    if (pool_submit(r->o.crunch, open_file, o, r->o.loop, file_opened, &why) != FAIL_NONE) {
        it->checking = false;
        mem_free(o);
        item_fail(r, it, &why);
    }
}

/* ---- writing down ---- */

struct noting {
    struct roster *r;
    struct item *it; /* stays: it is marked `noting` */
    char sha256[TEXT_SHA256_HEX_SIZE];
    struct models_note note;
};

static void write_note(void *arg)
{
    struct noting *n = arg;
    struct models *m = NULL;
    struct fault why;
    enum fail f = models_open(n->r->o.home, &m, &why);
    if (f == FAIL_NONE) {
        f = models_note(m, n->sha256, &n->note, &why);
    }
    if (f != FAIL_NONE && f != FAIL_NOT_FOUND) {
        log_fault(LOG_LEVEL_WARN, "models.note_failed", &why);
    }
    models_close(m);
}

static void note_written(void *arg)
{
    struct noting *n = arg;
    struct item *it = n->it;
    it->noting = false;
    it->noted_at = ++n->r->notes;
    bool newer = it->e.pin != n->note.pin || it->e.memory_bytes != n->note.memory_bytes ||
                 it->e.memory_ctx != n->note.memory_ctx;
    if (newer) {
        item_note(n->r, it);
    }
    mem_free(n);
}

void item_note(struct roster *r, struct item *it)
{
    struct fault why;
    it->noted_at = ++r->notes;
    if (it->noting || roster_is_fake(r)) {
        return;
    }
    struct noting *n = mem_alloc(sizeof(*n));
    *n = (struct noting){.r = r, .it = it,
                         .note = {.pin = it->e.pin, .memory_bytes = it->e.memory_bytes,
                                  .memory_ctx = it->e.memory_ctx}};
    memcpy(n->sha256, it->e.sha256, sizeof(n->sha256));
    it->noting = true;
    if (pool_submit(r->o.crunch, write_note, n, r->o.loop, note_written, &why) != FAIL_NONE) {
        it->noting = false;
        mem_free(n);
    }
}
