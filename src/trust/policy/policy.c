/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the room, labels, and what is taken of requests and tokens: from all limits or none. */
#include "trust/policy/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "trust/policy/policy_internal.h"

enum fail policy_open(struct store *store, struct audit *audit,
                      const struct policy_defaults *defaults, struct policy **out,
                      struct fault *why)
{
    struct policy *p = mem_alloc(sizeof(*p));
    p->store = store;
    p->audit = audit;
    p->defaults = *defaults;
    ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&p->change, NULL) == 0);
    enum fail f = state_load(p, why);
    if (f != FAIL_NONE) {
        policy_close(p);
        return f;
    }
    *out = p;
    return FAIL_NONE;
}

void policy_close(struct policy *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (p->buckets[i] != NULL) {
            struct counter *c = p->buckets[i];
            p->buckets[i] = c->next;
            mem_free(c);
        }
    }
    while (p->holds != NULL) {
        struct held *h = p->holds;
        p->holds = h->next;
        mem_free(h);
    }
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->change);
    mem_free(p);
}

void policy_set_defaults(struct policy *p, const struct policy_defaults *defaults)
{
    pthread_mutex_lock(&p->lock);
    p->defaults = *defaults;
    pthread_mutex_unlock(&p->lock);
}

void policy_set_owner(struct policy *p, policy_owner_fn fn, void *arg)
{
    p->owner = fn;
    p->owner_arg = arg;
}

/* ---- labels ---- */

enum secrecy policy_label(struct policy *p, const struct principal *who, const char *workflow,
                          enum secrecy defined, enum secrecy dataset, enum secrecy said,
                          enum secrecy found)
{
    const enum secrecy given[] = {who->label, defined, dataset, said, found};
    const char *const names[] = {[POLICY_WORKFLOW] = workflow, [POLICY_ALL] = POLICY_ALL_NAME};
    enum secrecy top = SECRECY_PUBLIC;
    for (size_t i = 0; i < COUNT_OF(given); i++) {
        top = given[i] > top ? given[i] : top;
    }
    pthread_mutex_lock(&p->lock);
    for (int kind = POLICY_WORKFLOW; kind <= POLICY_ALL; kind++) {
        const struct counter *c =
            names[kind] != NULL ? counter_find(p, (enum policy_kind)kind, names[kind]) : NULL;
        top = c != NULL && c->has_label && c->label > top ? c->label : top;
    }
    pthread_mutex_unlock(&p->lock);
    return top < SECRECY_COUNT ? top : SECRECY_RESTRICTED;
}

/* ---- requests ---- */

static enum fail full_table(struct fault *why)
{
    FAULT(why, FAIL_QUEUE_FULL, "too many keys, teams and workflows are counted at once");
    return fail_retry_after(why, WINDOW_S);
}

/* Lowers what is left to the tightest; -1 stands for no limit. */
static void note_room(const struct window *w, int64_t limit, int64_t *least_limit, int64_t *left,
                      int *reset_s)
{
    int64_t free_now = limit > w->total ? limit - w->total : 0;
    if (limit >= 0 && (*least_limit < 0 || free_now < *left)) {
        *least_limit = limit;
        *left = free_now;
        *reset_s = window_empty_s(w);
    }
}

/* With the lock held: the counters of those names, advanced to now. False: no room for one. */
static bool counters_of(struct policy *p, const char *const *names, int64_t now_s,
                        struct counter *out[POLICY_LIMIT_KINDS])
{
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        bool named = names[kind] != NULL && names[kind][0] != '\0';
        out[kind] = named ? counter_get(p, (enum policy_kind)kind, names[kind]) : NULL;
        if (named && out[kind] == NULL) {
            return false;
        }
        if (named) {
            out[kind]->used = now_s;
            window_advance(&out[kind]->requests, now_s);
            window_advance(&out[kind]->tokens, now_s);
        }
    }
    return true;
}

static void room_of(const struct policy *p, struct counter *const c[POLICY_LIMIT_KINDS],
                    struct policy_room *room)
{
    *room = (struct policy_room){.requests_limit = -1, .requests_left = -1, .tokens_limit = -1,
                                 .tokens_left = -1};
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        if (c[kind] != NULL) {
            struct policy_limits l = counter_limits(p, c[kind]);
            note_room(&c[kind]->requests, l.requests, &room->requests_limit, &room->requests_left,
                      &room->reset_requests_s);
            note_room(&c[kind]->tokens, l.tokens, &room->tokens_limit, &room->tokens_left,
                      &room->reset_tokens_s);
        }
    }
}

static enum fail over(const struct counter *c, const struct window *w, int64_t limit,
                      int64_t amount, const char *unit, struct fault *why)
{
    char shown[POLICY_NAME_SIZE + 24];
    kind_show(c->kind, c->name, shown, sizeof(shown));
    int wait = window_wait_s(w, w->total + amount - limit);
    FAULT(why, FAIL_RATE_LIMITED, "%.120s may use %" PRId64 " %s a minute", shown, limit, unit);
    if (amount > limit) {
        fail_hint(why, "This one alone may need %" PRId64 ": ask for less, or have the limit "
                       "raised.", amount);
    } else {
        fail_hint(why, "Try again in %d s, or have the limit raised: `inhouse limits`.", wait);
    }
    return fail_retry_after(why, wait > 0 ? wait : 1);
}

enum fail policy_request(struct policy *p, const struct principal *who, int64_t cost,
                         struct policy_room *room, struct fault *why)
{
    const char *const names[POLICY_LIMIT_KINDS] = {[POLICY_KEY] = policy_caller(who),
                                                   [POLICY_TEAM] = who->team,
                                                   [POLICY_ALL] = POLICY_ALL_NAME};
    struct counter *c[POLICY_LIMIT_KINDS];
    int64_t now_s = clock_monotonic_us() / 1000000;
    enum fail f = FAIL_NONE;
    pthread_mutex_lock(&p->lock);
    if (!counters_of(p, names, now_s, c)) {
        pthread_mutex_unlock(&p->lock);
        return full_table(why);
    }
    for (int kind = 0; f == FAIL_NONE && kind < POLICY_LIMIT_KINDS; kind++) {
        int64_t limit = c[kind] != NULL ? counter_limits(p, c[kind]).requests : POLICY_NO_LIMIT;
        if (limit >= 0 && c[kind]->requests.total + cost > limit) {
            f = over(c[kind], &c[kind]->requests, limit, cost, "requests", why);
        }
    }
    for (int kind = 0; f == FAIL_NONE && kind < POLICY_LIMIT_KINDS; kind++) {
        if (c[kind] != NULL) {
            window_add(&c[kind]->requests, now_s, cost);
            c[kind]->dirty = true;
        }
    }
    if (room != NULL) {
        room_of(p, c, room);
    }
    pthread_mutex_unlock(&p->lock);
    return f;
}

/* ---- tasks ---- */

static enum fail check_task(struct policy *p, struct counter *const c[POLICY_LIMIT_KINDS],
                            int64_t tokens, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (int kind = 0; f == FAIL_NONE && kind < POLICY_LIMIT_KINDS; kind++) {
        if (c[kind] == NULL) {
            continue;
        }
        struct policy_limits l = counter_limits(p, c[kind]);
        if (l.tokens >= 0 && c[kind]->tokens.total + tokens > l.tokens) {
            f = over(c[kind], &c[kind]->tokens, l.tokens, tokens, "tokens", why);
        } else if (l.parallel >= 0 && c[kind]->parallel >= l.parallel) {
            char shown[POLICY_NAME_SIZE + 24];
            kind_show(c[kind]->kind, c[kind]->name, shown, sizeof(shown));
            FAULT(why, FAIL_RATE_LIMITED, "%.120s may have %" PRId64 " tasks at once", shown,
                  l.parallel);
            fail_hint(why, "Send the next one when one of them is answered.");
            f = fail_retry_after(why, 1);
        }
    }
    return f;
}

enum fail policy_begin(struct policy *p, const struct principal *who, const char *workflow,
                       const char *model, int64_t tokens, struct policy_hold *hold,
                       struct fault *why)
{
    const char *const names[POLICY_LIMIT_KINDS] = {[POLICY_KEY] = policy_caller(who),
                                                   [POLICY_TEAM] = who->team,
                                                   [POLICY_WORKFLOW] = workflow,
                                                   [POLICY_ALL] = POLICY_ALL_NAME};
    struct counter *c[POLICY_LIMIT_KINDS];
    int64_t now_s = clock_monotonic_us() / 1000000;
    memset(hold, 0, sizeof(*hold));
    enum fail f = policy_halt_check(p, who, workflow, model, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_mutex_lock(&p->lock);
    f = counters_of(p, names, now_s, c) ? check_task(p, c, tokens, why) : full_table(why);
    for (int kind = 0; f == FAIL_NONE && kind < POLICY_LIMIT_KINDS; kind++) {
        if (c[kind] != NULL) {
            window_add(&c[kind]->tokens, now_s, tokens);
            c[kind]->parallel++;
            c[kind]->dirty = true;
            (void)text_copy(hold->name[kind], sizeof(hold->name[kind]), c[kind]->name);
        }
    }
    pthread_mutex_unlock(&p->lock);
    hold->is_held = f == FAIL_NONE;
    hold->tokens = tokens;
    hold->at_s = now_s;
    return f;
}

void policy_end(struct policy *p, struct policy_hold *hold, int64_t tokens)
{
    int64_t now_s = clock_monotonic_us() / 1000000;
    if (!hold->is_held) {
        return;
    }
    hold->is_held = false;
    pthread_mutex_lock(&p->lock);
    for (int kind = 0; kind < POLICY_LIMIT_KINDS; kind++) {
        struct counter *c = hold->name[kind][0] != '\0'
                                ? counter_find(p, (enum policy_kind)kind, hold->name[kind])
                                : NULL;
        if (c != NULL) {
            ASSERT(c->parallel > 0);
            c->parallel--;
            window_advance(&c->tokens, now_s);
            window_add(&c->tokens, hold->at_s, tokens - hold->tokens);
            c->dirty = true;
        }
    }
    pthread_mutex_unlock(&p->lock);
}
