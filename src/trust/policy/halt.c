/* SPDX-License-Identifier: Apache-2.0 */
/* Stop switches: in force first, written afterwards; off only once that is written. */
#include <string.h>

#include "base/clock/clock.h"
#include "trust/policy/policy_internal.h"

static size_t halts_now(const struct policy *p)
{
    return __atomic_load_n(&p->halts_len, __ATOMIC_ACQUIRE);
}

const struct policy_halt *halt_find(const struct policy *p, enum policy_kind kind,
                                    const char *name)
{
    for (size_t i = 0; i < p->halts_len; i++) {
        if (p->halts[i].kind == kind && strcmp(p->halts[i].name, name) == 0) {
            return &p->halts[i];
        }
    }
    return NULL;
}

/* The lock is taken also through a const policy: it guards, it is no part of what is read. */
static pthread_mutex_t *lock_of(const struct policy *p)
{
    return (pthread_mutex_t *)(uintptr_t)&p->lock;
}

bool policy_is_halted(const struct policy *p, enum policy_kind kind, const char *name)
{
    if (halts_now(p) == 0) {
        return false;
    }
    pthread_mutex_lock(lock_of(p));
    bool found = halt_find(p, kind, name) != NULL;
    pthread_mutex_unlock(lock_of(p));
    return found;
}

static enum fail stopped(const struct policy_halt *h, struct fault *why)
{
    char shown[POLICY_NAME_SIZE + 24];
    kind_show(h->kind, h->name, shown, sizeof(shown));
    FAULT(why, FAIL_STOPPED, "%.120s is switched off: %.150s", shown, h->reason);
    return fail_hint(why, "An administrator turns it on again with `inhouse halt off`.");
}

enum fail policy_halt_check(const struct policy *p, const struct principal *who,
                            const char *workflow, const char *model, struct fault *why)
{
    const struct {
        enum policy_kind kind;
        const char *name;
    } about[] = {{POLICY_ALL, POLICY_ALL_NAME}, {POLICY_TEAM, who->team},
                 {POLICY_KEY, who->name},       {POLICY_KEY, policy_caller(who)},
                 {POLICY_WORKFLOW, workflow},   {POLICY_MODEL, model}};
    enum fail f = FAIL_NONE;
    if (halts_now(p) == 0) {
        return FAIL_NONE;
    }
    pthread_mutex_lock(lock_of(p));
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(about); i++) {
        const struct policy_halt *h =
            about[i].name != NULL ? halt_find(p, about[i].kind, about[i].name) : NULL;
        f = h != NULL ? stopped(h, why) : FAIL_NONE;
    }
    pthread_mutex_unlock(lock_of(p));
    return f;
}

void policy_on_halt(struct policy *p, void (*fn)(void *arg), void *arg)
{
    p->halted = fn;
    p->halted_arg = arg;
}

size_t policy_halts(const struct policy *p, struct policy_halt *out, size_t room)
{
    pthread_mutex_lock(lock_of(p));
    size_t n = p->halts_len < room ? p->halts_len : room;
    memcpy(out, p->halts, n * sizeof(*out));
    pthread_mutex_unlock(lock_of(p));
    return n;
}

/* ---- turning ---- */

struct turn {
    struct policy *p;
    struct policy_halt h;
    bool on;
    const char *team; /* of who turns it */
};

static enum fail turn_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct turn *t = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), t->on ? "INSERT OR REPLACE INTO policy_halt (kind, name, reason, by, at)"
                                   " VALUES (?1, ?2, ?3, ?4, ?5)"
                                 : "DELETE FROM policy_halt WHERE kind = ?1 AND name = ?2");
    store_bind_text(s, 1, policy_kind_name(t->h.kind));
    store_bind_text(s, 2, t->h.name);
    if (t->on) {
        store_bind_text(s, 3, t->h.reason);
        store_bind_text(s, 4, t->h.by);
        store_bind_int(s, 5, t->h.at);
    }
    enum fail f = store_run(s, why);
    return f != FAIL_NONE ? f
                          : record_change(tx, t->p, t->h.kind, t->h.name, t->h.by, t->team,
                                          t->on ? AUDIT_KIND_HALTED : AUDIT_KIND_RESUMED,
                                          t->on ? "halted" : "resumed", t->h.reason, why);
}

static void remove_halt(struct policy *p, const struct policy_halt *h)
{
    struct policy_halt *at = (struct policy_halt *)(uintptr_t)halt_find(p, h->kind, h->name);
    if (at != NULL) {
        *at = p->halts[p->halts_len - 1];
        __atomic_store_n(&p->halts_len, p->halts_len - 1, __ATOMIC_RELEASE);
    }
}

static enum fail put_halt(struct policy *p, const struct policy_halt *h, struct fault *why)
{
    struct policy_halt *at = (struct policy_halt *)(uintptr_t)halt_find(p, h->kind, h->name);
    if (at != NULL) {
        *at = *h;
        return FAIL_NONE;
    }
    if (p->halts_len == POLICY_HALTS_MAX) {
        return FAULT(why, FAIL_QUEUE_FULL, "%d things are switched off already", POLICY_HALTS_MAX);
    }
    p->halts[p->halts_len] = *h;
    __atomic_store_n(&p->halts_len, p->halts_len + 1, __ATOMIC_RELEASE);
    return FAIL_NONE;
}

static enum fail check_turn(const struct turn *t, const char *name, const char *reason,
                            struct fault *why)
{
    if (t->h.kind >= POLICY_KIND_COUNT || strlen(name) == 0 || strlen(name) >= POLICY_NAME_SIZE ||
        (t->h.kind == POLICY_ALL && strcmp(name, POLICY_ALL_NAME) != 0)) {
        FAULT(why, FAIL_BAD_REQUEST, "there is nothing of that kind and name to switch off");
        return fail_hint(why, "Kinds are key, team, workflow, model, upstream and everything.");
    }
    if (t->on && (reason == NULL || reason[0] == '\0' || strlen(reason) >= POLICY_REASON_SIZE)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"reason\" must be 1 to %d bytes: those who meet it read it",
              POLICY_REASON_SIZE - 1);
        return fail_param(why, "reason");
    }
    return FAIL_NONE;
}

/* Tells the house: what is in flight ends, what was off may be asked again. */
static void tell(struct policy *p)
{
    if (p->halted != NULL) {
        p->halted(p->halted_arg);
    }
}

static enum fail turn_on(struct turn *t, struct fault *why)
{
    struct policy *p = t->p;
    struct fault record;
    pthread_mutex_lock(&p->lock);
    enum fail f = put_halt(p, &t->h, why);
    pthread_mutex_unlock(&p->lock);
    if (f != FAIL_NONE) {
        return f;
    }
    tell(p);
    f = store_write_wait(p->store, turn_write, t, &record);
    if (f != FAIL_NONE) {
        FAULT(why, FAIL_RECORD_UNAVAILABLE,
              "it is switched off, but only until the server restarts: %.180s", record.message);
        return why->code;
    }
    t->h.is_kept = true;
    pthread_mutex_lock(&p->lock);
    f = put_halt(p, &t->h, why); /* it is there: this only says that it is kept */
    pthread_mutex_unlock(&p->lock);
    return f;
}

static enum fail turn_off(struct turn *t, struct fault *why)
{
    struct policy *p = t->p;
    if (!policy_is_halted(p, t->h.kind, t->h.name)) {
        return FAULT(why, FAIL_NOT_FOUND, "that is not switched off");
    }
    enum fail f = store_write_wait(p->store, turn_write, t, why);
    if (f == FAIL_NONE) {
        pthread_mutex_lock(&p->lock);
        remove_halt(p, &t->h);
        pthread_mutex_unlock(&p->lock);
        tell(p);
    }
    return f;
}

enum fail policy_halt_set(struct policy *p, enum policy_kind kind, const char *name, bool on,
                          const char *reason, const struct principal *by, struct fault *why)
{
    struct turn t = {.p = p, .on = on, .team = by->team};
    t.h.kind = kind;
    t.h.at = clock_now_us();
    enum fail f = check_turn(&t, name, reason, why);
    if (f != FAIL_NONE) {
        return f;
    }
    (void)text_copy(t.h.name, sizeof(t.h.name), name);
    (void)text_copy(t.h.reason, sizeof(t.h.reason), reason != NULL ? reason : "");
    (void)text_copy(t.h.by, sizeof(t.h.by), by->name);
    pthread_mutex_lock(&p->change);
    f = on ? turn_on(&t, why) : turn_off(&t, why);
    pthread_mutex_unlock(&p->change);
    return f;
}

enum fail halts_load(struct policy *p, struct store_conn *c, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT kind, name, reason, by, at FROM policy_halt ORDER BY at");
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct policy_halt h = {.kind = policy_kind_find(store_col_text(s, 0)),
                                .at = store_col_int(s, 4),
                                .is_kept = true};
        (void)text_copy(h.name, sizeof(h.name), store_col_text(s, 1));
        (void)text_copy(h.reason, sizeof(h.reason), store_col_text(s, 2));
        (void)text_copy(h.by, sizeof(h.by), store_col_text(s, 3));
        f = put_halt(p, &h, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return f;
}
