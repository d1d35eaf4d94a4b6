/* SPDX-License-Identifier: Apache-2.0 */
/* Money: held before a call may leave, settled when its price is known. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/policy/policy_internal.h"

#define FORECAST_FROM 0.02 /* of the period: before it, the pace of a few minutes says nothing */

void purse_roll(struct purse *u, enum period period, int64_t now)
{
    if (now < u->from_at || now >= u->to_at) {
        period_bounds(period, now, &u->from_at, &u->to_at);
        u->spent = 0; /* what is held goes on being held */
    }
}

static int64_t limit_of(const struct policy_limits *l, int period)
{
    return period == PERIOD_DAY ? l->day : l->month;
}

static bool add_saturates(int64_t a, int64_t b, int64_t c, int64_t limit)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) || __builtin_add_overflow(sum, c, &sum) ||
           sum > limit;
}

/* With the lock held: the counters that pay, rolled to now. False: no room for one. */
static bool payers(struct policy *p, const char *const *names, int64_t now,
                   struct counter *out[POLICY_LIMIT_KINDS])
{
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        bool named = names[kind] != NULL && names[kind][0] != '\0';
        out[kind] = named ? counter_get(p, (enum policy_kind)kind, names[kind]) : NULL;
        if (named && out[kind] == NULL) {
            return false;
        }
        for (int i = 0; named && i < PERIODS; i++) {
            purse_roll(&out[kind]->purses[i], (enum period)i, now);
        }
    }
    return true;
}

#define NAMES_OF(payer)                                                                            \
    {                                                                                              \
        [POLICY_KEY] = (payer)->caller, [POLICY_TEAM] = (payer)->team,                             \
        [POLICY_WORKFLOW] = (payer)->workflow, [POLICY_ALL] = POLICY_ALL_NAME                      \
    }

/* ---- reading ---- */

static double forecast(const struct purse *u, int64_t limit, int64_t now)
{
    double passed = (double)(now - u->from_at) / (double)(u->to_at - u->from_at);
    double spent = (double)u->spent + (double)u->held;
    if (limit == 0) {
        return spent > 0 ? 1e6 : 1;
    }
    double share = spent / (passed > FORECAST_FROM ? passed : FORECAST_FROM) / (double)limit;
    return share < 1e6 ? share : 1e6;
}

void policy_budget(struct policy *p, const struct policy_payer *payer, struct policy_budget *out)
{
    const char *const names[] = NAMES_OF(payer);
    int64_t now = clock_now_us();
    *out = (struct policy_budget){.left = INT64_MAX, .forecast = -1};
    pthread_mutex_lock(&p->lock);
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        bool named = names[kind] != NULL && names[kind][0] != '\0';
        struct counter *c =
            named ? counter_get(p, (enum policy_kind)kind, names[kind]) : NULL;
        struct policy_limits l;
        if (c != NULL) {
            l = counter_limits(p, c);
        }
        for (int i = 0; c != NULL && i < PERIODS; i++) {
            struct purse *u = &c->purses[i];
            int64_t limit = limit_of(&l, i);
            purse_roll(u, (enum period)i, now);
            if (limit < 0) {
                continue;
            }
            double share = forecast(u, limit, now);
            int64_t left = limit - u->spent - u->held;
            left = left > 0 ? left : 0;
            out->forecast = share > out->forecast ? share : out->forecast;
            if (left < out->left) {
                out->left = left;
                out->resets_s = (int)((u->to_at - now) / 1000000) + 1;
            }
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- holding ---- */

static enum fail hold_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct held *h = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO policy_hold "
                                       "(id, caller, team, workflow, amount, at) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    store_bind_id(s, 1, &h->id);
    store_bind_text(s, 2, h->name[POLICY_KEY]);
    store_bind_text(s, 3, h->name[POLICY_TEAM]);
    store_bind_text(s, 4, h->name[POLICY_WORKFLOW]);
    store_bind_int(s, 5, h->amount);
    store_bind_int(s, 6, h->at);
    return store_run(s, why);
}

static void written(void *arg, enum fail code, const struct fault *why)
{
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "policy.money_not_written", why);
    }
    mem_free(arg);
}

static enum fail check_money(struct policy *p, struct counter *const c[POLICY_LIMIT_KINDS],
                             int64_t nano, int64_t now, struct fault *why)
{
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        if (c[kind] == NULL) {
            continue;
        }
        struct policy_limits l = counter_limits(p, c[kind]);
        for (int i = 0; i < PERIODS; i++) {
            const struct purse *u = &c[kind]->purses[i];
            int64_t limit = limit_of(&l, i);
            if (limit >= 0 && add_saturates(u->spent, u->held, nano, limit)) {
                char shown[POLICY_NAME_SIZE + 24];
                kind_show(c[kind]->kind, c[kind]->name, shown, sizeof(shown));
                FAULT(why, FAIL_OVER_BUDGET,
                      "the budget of this %s of %.120s does not cover another call outside",
                      period_name((enum period)i), shown);
                fail_hint(why, "Models of this server go on answering; `inhouse limits` shows and "
                               "sets budgets.");
                return fail_retry_after(why, (int)((u->to_at - now) / 1000000) + 1);
            }
        }
    }
    return FAIL_NONE;
}

static void let_go(struct policy *p, struct held *h, int64_t spent)
{
    int64_t now = clock_now_us();
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        struct counter *c = h->name[kind][0] != '\0'
                                ? counter_find(p, (enum policy_kind)kind, h->name[kind])
                                : NULL;
        for (int i = 0; c != NULL && i < PERIODS; i++) {
            struct purse *u = &c->purses[i];
            purse_roll(u, (enum period)i, now);
            u->held -= h->amount;
            u->spent = add_saturates(u->spent, spent, 0, INT64_MAX / 2) ? INT64_MAX / 2
                                                                        : u->spent + spent;
        }
    }
}

static struct held *take_held(struct policy *p, const struct id *id)
{
    struct held **at = &p->holds;
    while (*at != NULL && !text_id_equal(&(*at)->id, id)) {
        at = &(*at)->next;
    }
    struct held *h = *at;
    if (h != NULL) {
        *at = h->next;
        p->holds_len--;
    }
    return h;
}

enum fail policy_spend_hold(struct policy *p, const struct policy_payer *payer, int64_t nano,
                            struct id *id, struct fault *why)
{
    const char *const names[POLICY_LIMIT_KINDS] = NAMES_OF(payer);
    struct counter *c[POLICY_LIMIT_KINDS];
    int64_t now = clock_now_us();
    memset(id, 0, sizeof(*id));
    if (nano <= 0) {
        return FAIL_NONE;
    }
    struct held *h = mem_alloc(sizeof(*h)), *row = NULL;
    h->id = text_id_new();
    h->amount = nano;
    h->at = now;
    pthread_mutex_lock(&p->lock);
    enum fail f = FAIL_NONE;
    if (p->holds_len == HOLDS_MAX || !payers(p, names, now, c)) {
        f = FAULT(why, FAIL_QUEUE_FULL, "too many calls to other servers are open");
    } else {
        f = check_money(p, c, nano, now, why);
    }
    for (int kind = 0; f == FAIL_NONE && kind < POLICY_LIMIT_KINDS; kind++) {
        for (int i = 0; c[kind] != NULL && i < PERIODS; i++) {
            c[kind]->purses[i].held += nano;
        }
        (void)text_copy(h->name[kind], sizeof(h->name[kind]),
                        c[kind] != NULL ? c[kind]->name : "");
    }
    if (f == FAIL_NONE) {
        row = mem_dup(h, sizeof(*h)); /* once it is in the list, its neighbours write to it */
        h->next = p->holds;
        p->holds = h;
        p->holds_len++;
        *id = h->id;
    }
    pthread_mutex_unlock(&p->lock);
    if (f != FAIL_NONE) {
        mem_free(h);
        return f;
    }
    f = store_write(p->store, hold_write, row, written, NULL, why);
    if (f != FAIL_NONE) {
        mem_free(row);
        pthread_mutex_lock(&p->lock);
        h = take_held(p, id);
        let_go(p, h, 0);
        pthread_mutex_unlock(&p->lock);
        mem_free(h);
        memset(id, 0, sizeof(*id));
    }
    return f;
}

/* ---- settling ---- */

struct settle {
    struct held h;
    int64_t spent;
    int64_t from_at[PERIODS];
};

static enum fail add_spend(struct store_conn *c, const struct settle *s, int kind, int period,
                           struct fault *why)
{
    AUTO_STMT struct store_stmt *q = store_query(
        c, "INSERT INTO policy_spend (kind, name, period, from_at, spent) "
           "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (kind, name, period) DO UPDATE SET "
           "spent = CASE WHEN from_at = excluded.from_at THEN spent + excluded.spent "
           "ELSE excluded.spent END, from_at = excluded.from_at");
    store_bind_text(q, 1, policy_kind_name((enum policy_kind)kind));
    store_bind_text(q, 2, s->h.name[kind]);
    store_bind_text(q, 3, period_name((enum period)period));
    store_bind_int(q, 4, s->from_at[period]);
    store_bind_int(q, 5, s->spent);
    return store_run(q, why);
}

static enum fail settle_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct settle *s = arg;
    AUTO_STMT struct store_stmt *q =
        store_query(store_tx_conn(tx), "DELETE FROM policy_hold WHERE id = ?1");
    store_bind_id(q, 1, &s->h.id);
    enum fail f = store_run(q, why);
    for (int kind = 0; s->spent > 0 && kind < POLICY_LIMIT_KINDS; kind++) {
        for (int i = 0; f == FAIL_NONE && s->h.name[kind][0] != '\0' && i < PERIODS; i++) {
            f = add_spend(store_tx_conn(tx), s, kind, i, why);
        }
    }
    return f;
}

void policy_spend_settle(struct policy *p, const struct id *id, int64_t nano)
{
    struct fault why;
    if (text_id_is_zero(id)) {
        return;
    }
    int64_t spent = nano > 0 ? nano : 0;
    pthread_mutex_lock(&p->lock);
    struct held *h = take_held(p, id);
    if (h != NULL) {
        let_go(p, h, spent);
    }
    pthread_mutex_unlock(&p->lock);
    if (h == NULL) {
        return;
    }
    struct settle *s = mem_alloc(sizeof(*s));
    s->h = *h;
    s->spent = spent;
    for (int i = 0; i < PERIODS; i++) {
        int64_t to;
        period_bounds((enum period)i, clock_now_us(), &s->from_at[i], &to);
    }
    mem_free(h);
    if (store_write(p->store, settle_write, s, written, NULL, &why) != FAIL_NONE) {
        written(s, why.code, &why); /* the hold stays stored: after a restart all of it counts */
    }
}

/* ---- the start ---- */

static enum fail load_spend(struct policy *p, struct store_conn *c, struct fault *why)
{
    bool row = false;
    enum fail f;
    int64_t now = clock_now_us();
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT kind, name, period, from_at, spent FROM policy_spend");
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        enum policy_kind kind = policy_kind_find(store_col_text(s, 0));
        int i = strcmp(store_col_text(s, 2), period_name(PERIOD_DAY)) == 0 ? PERIOD_DAY
                                                                           : PERIOD_MONTH;
        struct counter *k =
            kind < POLICY_LIMIT_KINDS ? counter_get(p, kind, store_col_text(s, 1)) : NULL;
        if (k != NULL) {
            purse_roll(&k->purses[i], (enum period)i, now);
            if (k->purses[i].from_at == store_col_int(s, 3)) {
                k->purses[i].spent = store_col_int(s, 4);
            }
        }
    }
    return f;
}

/* Holds of a process that died: nobody knows what those calls cost, so all of it counts. */
static enum fail settle_lost(struct store_tx *tx, void *arg, struct fault *why)
{
    struct settle *s = arg;
    return settle_write(tx, s, why);
}

static enum fail load_lost(struct policy *p, struct store_conn *c, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *q =
        store_query(c, "SELECT id, caller, team, workflow, amount, at FROM policy_hold");
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        struct settle s = {.spent = store_col_int(q, 4)};
        (void)store_col_id(q, 0, &s.h.id);
        for (int kind = POLICY_KEY; kind <= POLICY_WORKFLOW; kind++) {
            (void)text_copy(s.h.name[kind], sizeof(s.h.name[kind]),
                            store_col_text(q, 1 + kind));
        }
        (void)text_copy(s.h.name[POLICY_ALL], sizeof(s.h.name[POLICY_ALL]), POLICY_ALL_NAME);
        for (int i = 0; i < PERIODS; i++) {
            int64_t to;
            period_bounds((enum period)i, clock_now_us(), &s.from_at[i], &to);
        }
        f = store_write_wait(p->store, settle_lost, &s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return f;
}

enum fail spend_load(struct policy *p, struct store_conn *c, struct fault *why)
{
    enum fail f = load_lost(p, c, why);
    return f == FAIL_NONE ? load_spend(p, c, why) : f;
}
