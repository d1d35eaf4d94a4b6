/* SPDX-License-Identifier: Apache-2.0 */
/* The table of counters, what of it is stored, and how it comes back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/policy/policy_internal.h"

static const char *const kinds[] = {"key", "team", "workflow", "everything", "model", "upstream"};

const char *policy_kind_name(enum policy_kind kind)
{
    return kind < POLICY_KIND_COUNT ? kinds[kind] : "unknown";
}

enum policy_kind policy_kind_find(const char *name)
{
    int i = 0;
    while (i < POLICY_KIND_COUNT && strcmp(kinds[i], name) != 0) {
        i++;
    }
    return (enum policy_kind)i;
}

void kind_show(enum policy_kind kind, const char *name, char *out, size_t room)
{
    if (kind == POLICY_ALL) {
        (void)text_copy(out, room, "everything");
    } else {
        (void)snprintf(out, room, "the %s \"%s\"", policy_kind_name(kind), name);
    }
}

/* ---- the table ---- */

static size_t bucket(enum policy_kind kind, const char *name)
{
    uint64_t h = 1469598103934665603u + (uint64_t)kind; /* FNV-1a */
    for (const char *s = name; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return (size_t)((h ^ h >> 32) % BUCKETS);
}

struct counter *counter_find(struct policy *p, enum policy_kind kind, const char *name)
{
    struct counter *c = p->buckets[bucket(kind, name)];
    while (c != NULL && (c->kind != kind || strcmp(c->name, name) != 0)) {
        c = c->next;
    }
    return c;
}

/* Nothing would be lost with it: no limits of its own, nothing in use, no money counted. */
static bool may_go(struct counter *c, int64_t now_s)
{
    window_advance(&c->requests, now_s);
    window_advance(&c->tokens, now_s);
    bool money = false;
    for (int i = 0; i < PERIODS; i++) {
        money = money || c->purses[i].spent != 0 || c->purses[i].held != 0;
    }
    return !c->is_set && !c->has_label && c->requests.total == 0 && c->tokens.total == 0 &&
           c->parallel == 0 && !money;
}

static void make_room(struct policy *p)
{
    int64_t now_s = clock_monotonic_us() / 1000000;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct counter **at = &p->buckets[i]; *at != NULL;) {
            struct counter *c = *at;
            if (may_go(c, now_s)) {
                *at = c->next;
                mem_free(c);
                p->counters_len--;
            } else {
                at = &c->next;
            }
        }
    }
}

struct counter *counter_get(struct policy *p, enum policy_kind kind, const char *name)
{
    struct counter *c = counter_find(p, kind, name);
    if (c != NULL) {
        return c;
    }
    if (p->counters_len == COUNTERS_MAX) {
        make_room(p);
    }
    if (p->counters_len == COUNTERS_MAX) {
        return NULL;
    }
    c = mem_alloc(sizeof(*c));
    c->kind = kind;
    (void)text_copy(c->name, sizeof(c->name), name);
    c->own = (struct policy_limits){POLICY_NO_LIMIT, POLICY_NO_LIMIT, POLICY_NO_LIMIT,
                                    POLICY_NO_LIMIT, POLICY_NO_LIMIT};
    size_t b = bucket(kind, name);
    c->next = p->buckets[b];
    p->buckets[b] = c;
    p->counters_len++;
    return c;
}

static int64_t or_default(int64_t own, int64_t def)
{
    return own != POLICY_NO_LIMIT ? own : def;
}

static struct policy_limits limits_over(const struct policy *p, enum policy_kind kind,
                                        const struct policy_limits *own)
{
    static const struct policy_limits none = {POLICY_NO_LIMIT, POLICY_NO_LIMIT, POLICY_NO_LIMIT,
                                              POLICY_NO_LIMIT, POLICY_NO_LIMIT};
    const struct policy_limits *d = kind == POLICY_KEY    ? &p->defaults.key
                                    : kind == POLICY_TEAM ? &p->defaults.team
                                    : kind == POLICY_ALL  ? &p->defaults.all
                                                          : &none;
    return (struct policy_limits){.requests = or_default(own->requests, d->requests),
                                  .tokens = or_default(own->tokens, d->tokens),
                                  .parallel = or_default(own->parallel, d->parallel),
                                  .day = or_default(own->day, d->day),
                                  .month = or_default(own->month, d->month)};
}

struct policy_limits counter_limits(const struct policy *p, const struct counter *c)
{
    return limits_over(p, c->kind, &c->own);
}

void policy_limits_of(struct policy *p, enum policy_kind kind, const char *name,
                      struct policy_limits *out)
{
    static const struct policy_limits none = {POLICY_NO_LIMIT, POLICY_NO_LIMIT, POLICY_NO_LIMIT,
                                              POLICY_NO_LIMIT, POLICY_NO_LIMIT};
    pthread_mutex_lock(&p->lock);
    const struct counter *c = counter_find(p, kind, name);
    *out = limits_over(p, kind, c != NULL ? &c->own : &none);
    pthread_mutex_unlock(&p->lock);
}

void policy_limits_own(struct policy *p, enum policy_kind kind, const char *name,
                       struct policy_limits *out)
{
    *out = (struct policy_limits){POLICY_NO_LIMIT, POLICY_NO_LIMIT, POLICY_NO_LIMIT,
                                  POLICY_NO_LIMIT, POLICY_NO_LIMIT};
    pthread_mutex_lock(&p->lock);
    const struct counter *c = counter_find(p, kind, name);
    if (c != NULL) {
        *out = c->own;
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- listing ---- */

static void fill_row(const struct policy *p, struct counter *c, int64_t now, struct policy_row *r)
{
    window_advance(&c->requests, clock_monotonic_us() / 1000000);
    window_advance(&c->tokens, clock_monotonic_us() / 1000000);
    for (int i = 0; i < PERIODS; i++) {
        purse_roll(&c->purses[i], (enum period)i, now);
    }
    *r = (struct policy_row){.kind = c->kind,
                             .is_set = c->is_set,
                             .limits = counter_limits(p, c),
                             .has_label = c->has_label,
                             .label = c->label,
                             .requests = c->requests.total,
                             .tokens = c->tokens.total,
                             .parallel = c->parallel,
                             .day_spent = c->purses[PERIOD_DAY].spent,
                             .day_held = c->purses[PERIOD_DAY].held,
                             .month_spent = c->purses[PERIOD_MONTH].spent,
                             .month_held = c->purses[PERIOD_MONTH].held};
    (void)text_copy(r->name, sizeof(r->name), c->name);
}

void policy_each(struct policy *p, void (*fn)(void *arg, const struct policy_row *row), void *arg)
{
    int64_t now = clock_now_us();
    pthread_mutex_lock(&p->lock);
    size_t n = 0;
    struct policy_row *rows = mem_alloc_array(p->counters_len + 1, sizeof(*rows));
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        for (size_t i = 0; i < BUCKETS; i++) {
            for (struct counter *c = p->buckets[i]; c != NULL; c = c->next) {
                if ((int)c->kind == kind) {
                    fill_row(p, c, now, &rows[n++]);
                }
            }
        }
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n; i++) {
        fn(arg, &rows[i]);
    }
    mem_free(rows);
}

/* ---- changes ---- */

enum fail record_change(struct store_tx *tx, struct policy *p, enum policy_kind kind,
                        const char *name, const char *by, const char *team, enum audit_kind record,
                        const char *verdict, const char *detail, struct fault *why)
{
    char shown[POLICY_NAME_SIZE + 24];
    (void)snprintf(shown, sizeof(shown), "%s:%s", policy_kind_name(kind), name);
    struct audit_leaf leaf = {.kind = record,
                              .actor = by,
                              .team = team,
                              .task = shown,
                              .verdict = verdict,
                              .input = detail,
                              .input_len = detail != NULL ? strlen(detail) : 0};
    return audit_append(tx, p->audit, &leaf, NULL, NULL, why);
}

struct change {
    struct policy *p;
    enum policy_kind kind;
    const char *name;
    struct policy_limits limits;
    bool keep; /* false: the row goes */
    const char *label; /* "" for none */
    const struct principal *by;
    const char *verdict;
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct change *c = arg;
    const struct policy_limits *l = &c->limits;
    char detail[200];
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        c->keep ? "INSERT OR REPLACE INTO policy_limit (kind, name, requests, tokens, parallel, "
                  "day, month, label, changed_at, changed_by) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                : "DELETE FROM policy_limit WHERE kind = ?1 AND name = ?2");
    store_bind_text(s, 1, policy_kind_name(c->kind));
    store_bind_text(s, 2, c->name);
    if (c->keep) {
        store_bind_int(s, 3, l->requests);
        store_bind_int(s, 4, l->tokens);
        store_bind_int(s, 5, l->parallel);
        store_bind_int(s, 6, l->day);
        store_bind_int(s, 7, l->month);
        store_bind_text(s, 8, c->label);
        store_bind_int(s, 9, clock_now_us());
        store_bind_text(s, 10, c->by->name);
    }
    enum fail f = store_run(s, why);
    (void)snprintf(detail, sizeof(detail),
                   "requests %" PRId64 " tokens %" PRId64 " parallel %" PRId64 " day %" PRId64
                   " month %" PRId64 " label %s",
                   l->requests, l->tokens, l->parallel, l->day, l->month, c->label);
    return f != FAIL_NONE ? f
                          : record_change(tx, c->p, c->kind, c->name, c->by->name, c->by->team,
                                          AUDIT_KIND_CONFIG_CHANGED, c->verdict, detail, why);
}

static bool is_no_limit(const struct policy_limits *l)
{
    return l->requests < 0 && l->tokens < 0 && l->parallel < 0 && l->day < 0 && l->month < 0;
}

static bool name_is_good(enum policy_kind kind, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] <= 0x20 || (unsigned char)name[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n < POLICY_NAME_SIZE && text_utf8_is_valid(name, n) &&
           (kind != POLICY_ALL || strcmp(name, POLICY_ALL_NAME) == 0);
}

static enum fail check_change(enum policy_kind kind, const char *name, struct fault *why)
{
    if (kind >= POLICY_LIMIT_KINDS) {
        FAULT(why, FAIL_BAD_REQUEST, "only a key, team, workflow or everything has limits");
        return fail_param(why, "kind");
    }
    if (!name_is_good(kind, name)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"name\" must be 1 to %d visible characters%s",
              POLICY_NAME_SIZE - 1, kind == POLICY_ALL ? ", and \"all\" of everything" : "");
        return fail_param(why, "name");
    }
    return FAIL_NONE;
}

/* Stored and recorded first: what counts after a restart is what counted before it. */
static enum fail apply(struct policy *p, struct change *c, bool is_label, enum secrecy label,
                       struct fault *why)
{
    enum fail f = check_change(c->kind, c->name, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_mutex_lock(&p->change);
    pthread_mutex_lock(&p->lock);
    struct counter *k = counter_get(p, c->kind, c->name);
    bool known = k != NULL && (k->is_set || k->has_label);
    bool full = k == NULL || (!known && p->limits_len == LIMITS_MAX);
    bool has_label = is_label ? label != SECRECY_PUBLIC : !full && k->has_label;
    if (!full) {
        c->limits = is_label ? k->own : c->limits;
        c->label = !has_label ? "" : secrecy_name(is_label ? label : k->label);
        c->keep = has_label || !is_no_limit(&c->limits);
        k->parallel++; /* so that it is not forgotten meanwhile */
    }
    pthread_mutex_unlock(&p->lock);
    f = full ? FAULT(why, FAIL_QUEUE_FULL, "there are %d names with limits already", LIMITS_MAX)
             : store_write_wait(p->store, change_write, c, why);
    pthread_mutex_lock(&p->lock);
    if (!full) {
        k->parallel--;
    }
    if (f == FAIL_NONE) {
        k->own = c->limits;
        k->is_set = !is_no_limit(&c->limits);
        k->has_label = has_label;
        k->label = is_label ? label : k->label;
        p->limits_len = p->limits_len + c->keep - known;
    }
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->change);
    return f;
}

enum fail policy_limits_set(struct policy *p, enum policy_kind kind, const char *name,
                            const struct policy_limits *limits, const struct principal *by,
                            struct fault *why)
{
    struct change c = {.p = p, .kind = kind, .name = name, .limits = *limits, .by = by,
                       .verdict = "limits_set"};
    return apply(p, &c, false, SECRECY_PUBLIC, why);
}

enum fail policy_label_set(struct policy *p, enum policy_kind kind, const char *name,
                           enum secrecy label, const struct principal *by, struct fault *why)
{
    struct change c = {.p = p, .kind = kind, .name = name, .by = by, .verdict = "label_set"};
    if (kind != POLICY_WORKFLOW && kind != POLICY_ALL) {
        FAULT(why, FAIL_BAD_REQUEST, "only a workflow or everything has a label here");
        fail_hint(why, "A team's label is set with the team, a dataset's with the dataset.");
        return fail_param(why, "kind");
    }
    return apply(p, &c, true, label, why);
}

/* ---- windows ---- */

struct use {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    int64_t requests, tokens;
};
struct flush {
    size_t n;
    int64_t at;
    struct use list[];
};

static enum fail flush_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct flush *f = arg;
    enum fail done = FAIL_NONE;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT OR REPLACE INTO policy_use "
                                       "(kind, name, at, requests, tokens) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5)");
    for (size_t i = 0; done == FAIL_NONE && i < f->n; i++) {
        store_bind_text(s, 1, policy_kind_name(f->list[i].kind));
        store_bind_text(s, 2, f->list[i].name);
        store_bind_int(s, 3, f->at);
        store_bind_int(s, 4, f->list[i].requests);
        store_bind_int(s, 5, f->list[i].tokens);
        done = store_run(s, why);
    }
    if (done != FAIL_NONE) {
        return done;
    }
    AUTO_STMT struct store_stmt *old =
        store_query(store_tx_conn(tx), "DELETE FROM policy_use WHERE at < ?1");
    store_bind_int(old, 1, f->at - (int64_t)3600 * 1000000);
    return store_run(old, why);
}

static void flushed(void *arg, enum fail code, const struct fault *why)
{
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "policy.not_written", why);
    }
    mem_free(arg);
}

static struct flush *take_dirty(struct policy *p)
{
    int64_t now_s = clock_monotonic_us() / 1000000;
    pthread_mutex_lock(&p->lock);
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct counter *c = p->buckets[i]; c != NULL; c = c->next) {
            n += c->dirty;
        }
    }
    struct flush *f = n > 0 ? mem_alloc(sizeof(*f) + n * sizeof(f->list[0])) : NULL;
    for (size_t i = 0; n > 0 && i < BUCKETS; i++) {
        for (struct counter *c = p->buckets[i]; c != NULL; c = c->next) {
            if (c->dirty) {
                struct use *u = &f->list[f->n++];
                c->dirty = false;
                window_advance(&c->requests, now_s);
                window_advance(&c->tokens, now_s);
                u->kind = c->kind;
                (void)text_copy(u->name, sizeof(u->name), c->name);
                u->requests = c->requests.total;
                u->tokens = c->tokens.total;
            }
        }
    }
    pthread_mutex_unlock(&p->lock);
    if (f != NULL) {
        f->at = clock_now_us();
    }
    return f;
}

void policy_flush(struct policy *p)
{
    struct fault why;
    struct flush *f = take_dirty(p);
    if (f != NULL && store_write(p->store, flush_write, f, flushed, NULL, &why) != FAIL_NONE) {
        flushed(f, why.code, &why);
    }
}

void policy_flush_wait(struct policy *p)
{
    struct fault why;
    struct flush *f = take_dirty(p);
    if (f != NULL) {
        enum fail code = store_write_wait(p->store, flush_write, f, &why);
        flushed(f, code, &why);
    }
}

/* ---- the start ---- */

static enum fail load_limits(struct policy *p, struct store_conn *c, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT kind, name, requests, tokens, parallel, day, month, label FROM policy_limit");
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        enum policy_kind kind = policy_kind_find(store_col_text(s, 0));
        struct counter *k = kind < POLICY_LIMIT_KINDS ? counter_get(p, kind, store_col_text(s, 1))
                                                      : NULL;
        enum secrecy label = secrecy_find(store_col_text(s, 7));
        if (k == NULL) {
            continue;
        }
        k->own = (struct policy_limits){store_col_int(s, 2), store_col_int(s, 3),
                                        store_col_int(s, 4), store_col_int(s, 5),
                                        store_col_int(s, 6)};
        k->is_set = !is_no_limit(&k->own);
        k->has_label = store_col_text(s, 7)[0] != '\0';
        /* A label that cannot be read is the strictest. */
        k->label = !k->has_label ? SECRECY_PUBLIC
                                 : label == SECRECY_COUNT ? SECRECY_RESTRICTED : label;
        p->limits_len++;
    }
    return f;
}

/* What was used in the minute before the end stands in the second it was written in: it leaves
   the window a little late, never early. */
static enum fail load_use(struct policy *p, struct store_conn *c, struct fault *why)
{
    bool row = false;
    enum fail f;
    int64_t now = clock_now_us();
    int64_t now_s = clock_monotonic_us() / 1000000;
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT kind, name, at, requests, tokens FROM policy_use");
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        enum policy_kind kind = policy_kind_find(store_col_text(s, 0));
        int64_t ago = (now - store_col_int(s, 2)) / 1000000;
        struct counter *k = kind < POLICY_LIMIT_KINDS && ago < WINDOW_SLOTS
                                ? counter_get(p, kind, store_col_text(s, 1))
                                : NULL;
        if (k != NULL) {
            int64_t at_s = now_s - (ago > 0 ? ago : 0);
            window_advance(&k->requests, now_s);
            window_advance(&k->tokens, now_s);
            window_add(&k->requests, at_s > 0 ? at_s : 0, store_col_int(s, 3));
            window_add(&k->tokens, at_s > 0 ? at_s : 0, store_col_int(s, 4));
        }
    }
    return f;
}

enum fail state_load(struct policy *p, struct fault *why)
{
    struct store_conn *c = NULL;
    enum fail f = store_reader_open(p->store, &c, why);
    if (f == FAIL_NONE) {
        f = load_limits(p, c, why);
    }
    if (f == FAIL_NONE) {
        f = load_use(p, c, why);
    }
    if (f == FAIL_NONE) {
        f = halts_load(p, c, why);
    }
    if (f == FAIL_NONE) {
        f = spend_load(p, c, why);
    }
    store_reader_close(c);
    return f;
}
