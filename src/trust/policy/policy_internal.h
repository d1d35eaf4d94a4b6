/* SPDX-License-Identifier: Apache-2.0 */
/* Policy, inside: windows, purses, the table of counters. All of it under the policy's one lock. */
#pragma once

#include <pthread.h>

#include "trust/policy/policy.h"

#define WINDOW_S 60
#define WINDOW_SLOTS (WINDOW_S + 1) /* the one that fills now, and 60 whole ones before it */
#define COUNTERS_MAX 16384
#define LIMITS_MAX 4096
#define HOLDS_MAX 65536
#define BUCKETS 4096

/* Amounts of the last 60 to 61 seconds. Seconds are monotonic. */
struct window {
    int64_t at_s; /* second of the newest slot */
    int64_t total;
    int64_t slots[WINDOW_SLOTS];
};
void window_advance(struct window *w, int64_t now_s);
/* Adds to the slot of at_s, if it is still one (after window_advance); amount may be negative. */
void window_add(struct window *w, int64_t at_s, int64_t amount);
/* Seconds until `need` have left it, at most WINDOW_SLOTS. */
int window_wait_s(const struct window *w, int64_t need);
int window_empty_s(const struct window *w); /* until nothing is left in it; 0: it is empty */

enum period { PERIOD_DAY, PERIOD_MONTH, PERIODS };
const char *period_name(enum period p);
/* The start of the period that `at` lies in, and of the next; µs UTC. */
void period_bounds(enum period p, int64_t at, int64_t *from, int64_t *to);

/* Money of one period. */
struct purse {
    int64_t from_at, to_at;
    int64_t spent, held;
};

struct counter {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    bool is_set; /* has limits of its own */
    struct policy_limits own;
    bool has_label;
    enum secrecy label;
    struct window requests, tokens;
    int64_t parallel;
    struct purse purses[PERIODS];
    bool dirty;   /* its windows are not written */
    int64_t used; /* monotonic s of the last use */
    struct counter *next;
};

/* Money held and not settled. */
struct held {
    struct id id;
    int64_t amount;
    int64_t at;
    char name[POLICY_LIMIT_KINDS][POLICY_NAME_SIZE];
    struct held *next;
};

struct policy {
    struct store *store;
    struct audit *audit;
    policy_owner_fn owner;
    void *owner_arg;
    void (*halted)(void *arg);
    void *halted_arg;
    pthread_mutex_t change; /* one limit, label or switch is changed at a time; taken before lock */
    pthread_mutex_t lock;   /* all that follows, but for what is said to be atomic */
    struct policy_defaults defaults;
    struct counter *buckets[BUCKETS];
    size_t counters_len, limits_len;
    struct held *holds;
    size_t holds_len;
    struct policy_halt halts[POLICY_HALTS_MAX];
    size_t halts_len; /* atomic: read without the lock to see that there are none */
};

/* state.c */
/* The counter of a name: found or made; NULL when the table is full of what must stay. */
struct counter *counter_get(struct policy *p, enum policy_kind kind, const char *name);
struct counter *counter_find(struct policy *p, enum policy_kind kind, const char *name);
/* The limits that hold for it. */
struct policy_limits counter_limits(const struct policy *p, const struct counter *c);
MUST_CHECK enum fail state_load(struct policy *p, struct fault *why);
/* "key \"ci\"" */
void kind_show(enum policy_kind kind, const char *name, char *out, size_t room);
/* The change's own record, inside a write. */
MUST_CHECK enum fail record_change(struct store_tx *tx, struct policy *p, enum policy_kind kind,
                                   const char *name, const char *by, const char *team,
                                   enum audit_kind record, const char *verdict, const char *detail,
                                   struct fault *why);
/* halt.c, with the lock held: the switch that stands against this name, or NULL. */
const struct policy_halt *halt_find(const struct policy *p, enum policy_kind kind,
                                    const char *name);
MUST_CHECK enum fail halts_load(struct policy *p, struct store_conn *c, struct fault *why);
/* spend.c */
MUST_CHECK enum fail spend_load(struct policy *p, struct store_conn *c, struct fault *why);
void purse_roll(struct purse *u, enum period period, int64_t now);
