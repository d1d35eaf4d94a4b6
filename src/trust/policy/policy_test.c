/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of policy: default deny, teams apart, limits exact under many threads, money that is never
   over by one, labels, switches, and what a restart keeps. */
#include "trust/policy/policy.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "support/home.h"
#include "trust/policy/policy_internal.h"

static struct home home;
static struct policy *policy;
static const struct policy_limits none = {-1, -1, -1, -1, -1};
static struct policy_defaults defaults;

static void open_all(void)
{
    struct fault why;
    home_open(&home, HOME_RECORD);
    if (policy_open(home.store, home.audit, &defaults, &policy, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static void close_all(void)
{
    policy_flush_wait(policy);
    home_close(&home);
    policy_close(policy);
}

static int set_up(void **state)
{
    (void)state;
    defaults = (struct policy_defaults){none, none, none};
    home_make(&home, "policy");
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_all();
    return home_remove(&home);
}

static struct principal who(const char *name, const char *team, enum keyring_role role)
{
    struct principal p = {.kind = PRINCIPAL_KIND_KEY, .role = role,
                          .scopes = keyring_role_scopes(role)};
    text_copy(p.name, sizeof(p.name), name);
    text_copy(p.key, sizeof(p.key), name);
    text_copy(p.team, sizeof(p.team), team);
    return p;
}

static struct principal admin(void)
{
    struct principal p = who("root", "default", KEYRING_ROLE_ADMIN);
    p.kind = PRINCIPAL_KIND_LOCAL;
    return p;
}

static void limit(enum policy_kind kind, const char *name, struct policy_limits l)
{
    struct principal by = admin();
    struct fault why;
    if (policy_limits_set(policy, kind, name, &l, &by, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

/* ---- may ---- */

static int owner_calls;
static enum fail owner(void *arg, enum policy_object object, const char *id,
                       char team[KEYRING_NAME_SIZE], struct fault *why)
{
    (void)arg;
    owner_calls++;
    assert_int_equal(object, POLICY_OBJECT_TASK);
    (void)why;
    text_copy(team, KEYRING_NAME_SIZE, strcmp(id, "red-1") == 0 ? "red" : "");
    return FAIL_NONE;
}

static enum fail may(const struct principal *p, uint32_t scope, enum policy_object object,
                     const char *id, struct fault *why)
{
    struct policy_ask ask = {.who = p, .scope = scope, .object = object, .id = id};
    return policy_may(policy, &ask, why);
}

static void nothing_is_allowed_that_is_not_said(void **state)
{
    (void)state;
    struct fault why;
    struct principal member = who("m", "red", KEYRING_ROLE_MEMBER);
    struct principal nobody = {0};
    assert_int_equal(may(NULL, 0, POLICY_OBJECT_NONE, NULL, &why), FAIL_NONE);
    assert_int_equal(may(NULL, KEYRING_SCOPE_WORK, POLICY_OBJECT_NONE, NULL, &why),
                     FAIL_UNAUTHENTICATED);
    assert_int_equal(may(&nobody, KEYRING_SCOPE_WORK, POLICY_OBJECT_NONE, NULL, &why),
                     FAIL_UNAUTHENTICATED);
    for (int bit = 0; bit < KEYRING_SCOPE_COUNT; bit++) {
        bool has = (member.scopes & 1u << bit) != 0;
        assert_int_equal(may(&member, 1u << bit, POLICY_OBJECT_NONE, NULL, &why),
                         has ? FAIL_NONE : FAIL_FORBIDDEN);
    }
}

static void foreign_and_missing_are_the_same(void **state)
{
    (void)state;
    struct fault foreign, missing, why;
    struct principal red = who("r", "red", KEYRING_ROLE_MEMBER);
    struct principal blue = who("b", "blue", KEYRING_ROLE_MEMBER);
    struct principal root = admin();
    policy_set_owner(policy, owner, NULL);
    assert_int_equal(may(&red, KEYRING_SCOPE_WORK, POLICY_OBJECT_TASK, "red-1", &why), FAIL_NONE);
    owner_calls = 0;
    assert_int_equal(may(&blue, KEYRING_SCOPE_WORK, POLICY_OBJECT_TASK, "red-1", &foreign),
                     FAIL_NOT_FOUND);
    assert_int_equal(may(&blue, KEYRING_SCOPE_WORK, POLICY_OBJECT_TASK, "red-2", &missing),
                     FAIL_NOT_FOUND);
    assert_int_equal(owner_calls, 2);
    assert_string_equal(foreign.message, missing.message);
    assert_string_equal(foreign.hint, missing.hint);
    assert_string_equal(foreign.param, missing.param);
    assert_int_equal(may(&root, KEYRING_SCOPE_WORK, POLICY_OBJECT_TASK, "red-1", &why), FAIL_NONE);
    assert_int_equal(may(&root, KEYRING_SCOPE_WORK, POLICY_OBJECT_TASK, "red-2", &why),
                     FAIL_NOT_FOUND);
}

static void a_key_is_held_to_its_lists(void **state)
{
    (void)state;
    struct fault there, why;
    struct principal p = who("k", "red", KEYRING_ROLE_MEMBER);
    assert_int_equal(keyring_limits_set(&p.limits, KEYRING_LIMIT_MODELS, "light", &why),
                     FAIL_NONE);
    assert_int_equal(keyring_limits_set(&p.limits, KEYRING_LIMIT_WORKFLOWS, "", &why), FAIL_NONE);
    assert_int_equal(policy_may_name(policy, &p, POLICY_OBJECT_MODEL, "light", &why), FAIL_NONE);
    assert_int_equal(policy_may_name(policy, &p, POLICY_OBJECT_MODEL, "heavy", &there),
                     FAIL_NOT_FOUND);
    assert_int_equal(policy_may_name(policy, &p, POLICY_OBJECT_MODEL, "none", &why),
                     FAIL_NOT_FOUND);
    assert_string_equal(there.message, why.message);
    assert_int_equal(policy_may_name(policy, &p, POLICY_OBJECT_WORKFLOW, "any", &why),
                     FAIL_NOT_FOUND);
    assert_int_equal(policy_may_name(policy, &p, POLICY_OBJECT_DATASET, "any", &why), FAIL_NONE);
    assert_int_equal(may(&p, KEYRING_SCOPE_INFER, POLICY_OBJECT_MODEL, "heavy", &why),
                     FAIL_NOT_FOUND);
}

/* ---- windows ---- */

static void a_window_never_holds_more_than_a_minute(void **state)
{
    (void)state;
    static struct window w;
    static int64_t taken[2000];
    unsigned seed = 7;
    const int64_t most = 37;
    memset(&w, 0, sizeof(w));
    for (int64_t s = 0; s < 2000; s++) {
        window_advance(&w, s);
        for (int k = rand_r(&seed) % 40; k > 0; k--) {
            if (w.total + 1 <= most) {
                window_add(&w, s, 1);
                taken[s]++;
            }
        }
        int64_t in_minute = 0;
        for (int64_t b = s; b >= 0 && b > s - WINDOW_SLOTS; b--) {
            in_minute += taken[b];
        }
        assert_true(in_minute <= most);
        assert_int_equal(in_minute, w.total);
        if (w.total == most) {
            int wait = window_wait_s(&w, 1);
            assert_true(wait >= 1 && wait <= WINDOW_SLOTS);
        }
    }
    window_advance(&w, 5000);
    assert_int_equal(w.total, 0);
}

static void periods_begin_and_end_in_utc(void **state)
{
    (void)state;
    int64_t at, from, to, want;
    assert_true(clock_read("2026-12-31T23:59:59Z", &at));
    period_bounds(PERIOD_MONTH, at, &from, &to);
    assert_true(clock_read("2026-12-01T00:00:00Z", &want));
    assert_int_equal(from, want);
    assert_true(clock_read("2027-01-01T00:00:00Z", &want));
    assert_int_equal(to, want);
    period_bounds(PERIOD_DAY, at, &from, &to);
    assert_int_equal(to, want);
    assert_int_equal(to - from, (int64_t)86400 * 1000000);
}

/* ---- exact ---- */

#define THREADS 16

struct many {
    struct principal p;
    unsigned seed;
    int64_t got, asked;
    pthread_barrier_t *start;
};

static int64_t running, most_running; /* atomic */

static void *take_requests(void *arg)
{
    struct many *m = arg;
    struct fault why;
    pthread_barrier_wait(m->start);
    for (int i = 0; i < 400; i++) {
        m->got += policy_request(policy, &m->p, 1, NULL, &why) == FAIL_NONE;
    }
    return NULL;
}

static void *run_tasks(void *arg)
{
    struct many *m = arg;
    struct fault why;
    pthread_barrier_wait(m->start);
    for (int i = 0; i < 300; i++) {
        struct policy_hold hold;
        int64_t tokens = 1 + rand_r(&m->seed) % 50;
        m->asked++;
        if (policy_begin(policy, &m->p, "colours", NULL, tokens, &hold, &why) != FAIL_NONE) {
            assert_int_equal(why.code, FAIL_RATE_LIMITED);
            assert_true(why.retry_after_s >= 1);
            assert_false(hold.is_held);
            continue;
        }
        int64_t now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
        int64_t seen = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST);
        while (now > seen && !__atomic_compare_exchange_n(&most_running, &seen, now, false,
                                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
        int64_t used = rand_r(&m->seed) % (tokens + 1);
        m->got += used;
        __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
        policy_end(policy, &hold, used);
        policy_end(policy, &hold, used); /* a second time does nothing */
    }
    return NULL;
}

static void *spend(void *arg)
{
    struct many *m = arg;
    struct fault why;
    struct policy_payer payer = {m->p.key, m->p.team, m->seed % 2 ? "colours" : NULL};
    pthread_barrier_wait(m->start);
    for (int i = 0; i < 60; i++) {
        struct id id;
        int64_t nano = 1 + rand_r(&m->seed) % 100;
        if (policy_spend_hold(policy, &payer, nano, &id, &why) == FAIL_NONE) {
            int64_t cost = rand_r(&m->seed) % (nano + 1);
            m->got += cost;
            policy_spend_settle(policy, &id, cost);
            policy_spend_settle(policy, &id, cost);
        } else {
            assert_int_equal(why.code, FAIL_OVER_BUDGET);
            assert_true(why.retry_after_s >= 1);
        }
    }
    return NULL;
}

/* Runs fn on THREADS threads, keys k0..k3 of one team; returns what they got together. */
static int64_t at_once(void *(*fn)(void *), struct many *m)
{
    pthread_barrier_t start;
    pthread_t threads[THREADS];
    int64_t all = 0;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%d", i % 4);
        m[i] = (struct many){.p = who(name, "red", KEYRING_ROLE_MEMBER), .seed = (unsigned)i + 1,
                             .start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, fn, &m[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += m[i].got;
    }
    pthread_barrier_destroy(&start);
    return all;
}

static struct policy_row found;
static const char *wanted_name;
static enum policy_kind wanted_kind;
static void find_row(void *arg, const struct policy_row *row)
{
    (void)arg;
    if (row->kind == wanted_kind && strcmp(row->name, wanted_name) == 0) {
        found = *row;
    }
}

static struct policy_row row_of(enum policy_kind kind, const char *name)
{
    memset(&found, 0, sizeof(found));
    wanted_kind = kind;
    wanted_name = name;
    policy_each(policy, find_row, NULL);
    return found;
}

static void requests_of_many_threads_are_never_one_too_many(void **state)
{
    (void)state;
    struct many m[THREADS];
    int64_t key0 = 0;
    limit(POLICY_TEAM, "red", (struct policy_limits){1000, -1, -1, -1, -1});
    limit(POLICY_KEY, "k0", (struct policy_limits){101, -1, -1, -1, -1});
    int64_t all = at_once(take_requests, m);
    for (int i = 0; i < THREADS; i += 4) {
        key0 += m[i].got;
    }
    assert_int_equal(all, 1000); /* 6,400 were asked for: exactly what is allowed was given */
    assert_true(key0 <= 101);
    assert_int_equal(row_of(POLICY_TEAM, "red").requests, 1000);
    /* Refused ones were taken from no limit. */
    assert_int_equal(row_of(POLICY_KEY, "k0").requests, key0);
}

static void tasks_of_many_threads_are_never_one_too_many(void **state)
{
    (void)state;
    struct many m[THREADS];
    limit(POLICY_TEAM, "red", (struct policy_limits){-1, 60000, -1, -1, -1});
    limit(POLICY_WORKFLOW, "colours", (struct policy_limits){-1, -1, 3, -1, -1});
    limit(POLICY_KEY, "k1", (struct policy_limits){-1, 500, -1, -1, -1});
    running = most_running = 0;
    int64_t all = at_once(run_tasks, m);
    assert_true(most_running <= 3);
    struct policy_row team = row_of(POLICY_TEAM, "red");
    assert_int_equal(team.tokens, all); /* settled: what was used, not what was reserved */
    assert_int_equal(team.parallel, 0);
    assert_true(all <= 60000 && all > 500);
    int64_t key1 = m[1].got + m[5].got + m[9].got + m[13].got;
    assert_true(key1 <= 500);
    assert_int_equal(row_of(POLICY_KEY, "k1").tokens, key1);
    assert_int_equal(row_of(POLICY_WORKFLOW, "colours").parallel, 0);
}

static void money_of_many_threads_is_never_over_by_one(void **state)
{
    (void)state;
    struct many m[THREADS];
    limit(POLICY_TEAM, "red", (struct policy_limits){-1, -1, -1, -1, 5000});
    limit(POLICY_KEY, "k2", (struct policy_limits){-1, -1, -1, 300, -1});
    int64_t all = at_once(spend, m);
    struct policy_row team = row_of(POLICY_TEAM, "red");
    assert_true(all <= 5000 && all > 4800);
    assert_int_equal(team.month_spent, all);
    assert_int_equal(team.month_held, 0);
    assert_true(row_of(POLICY_KEY, "k2").day_spent <= 300);
    assert_int_equal(row_of(POLICY_ALL, POLICY_ALL_NAME).month_spent, all);
    struct policy_budget b;
    struct policy_payer payer = {"k0", "red", NULL};
    policy_budget(policy, &payer, &b);
    assert_int_equal(b.left, 5000 - all);
    assert_true(b.forecast >= (double)all / 5000 - 1e-9);
    close_all();
    open_all();
    assert_int_equal(row_of(POLICY_TEAM, "red").month_spent, all);
    assert_int_equal(row_of(POLICY_TEAM, "red").limits.month, 5000);
}

/* ---- budgets and work ---- */

static void a_spent_budget_stops_calls_outside_and_nothing_else(void **state)
{
    (void)state;
    struct fault why;
    struct id id;
    struct policy_hold hold;
    struct principal p = who("k", "red", KEYRING_ROLE_MEMBER);
    struct policy_payer payer = {"k", "red", NULL};
    limit(POLICY_ALL, POLICY_ALL_NAME, (struct policy_limits){-1, -1, -1, 10, -1});
    assert_int_equal(policy_spend_hold(policy, &payer, 10, &id, &why), FAIL_NONE);
    struct id second;
    assert_int_equal(policy_spend_hold(policy, &payer, 1, &second, &why), FAIL_OVER_BUDGET);
    assert_true(text_id_is_zero(&second));
    assert_true(why.retry_after_s > 0 && why.retry_after_s <= 86401);
    assert_int_equal(policy_begin(policy, &p, NULL, NULL, 100, &hold, &why), FAIL_NONE);
    policy_end(policy, &hold, 1);
    assert_int_equal(policy_request(policy, &p, 1, NULL, &why), FAIL_NONE);
    policy_spend_settle(policy, &id, 4);
    assert_int_equal(policy_spend_hold(policy, &payer, 7, &id, &why), FAIL_OVER_BUDGET);
    assert_int_equal(policy_spend_hold(policy, &payer, 6, &id, &why), FAIL_NONE);
    /* The process dies with this one open: all of it counts. */
    close_all(); /* the home.store writes what is queued */
    open_all();
    assert_int_equal(row_of(POLICY_ALL, POLICY_ALL_NAME).day_spent, 10);
    assert_int_equal(row_of(POLICY_ALL, POLICY_ALL_NAME).day_held, 0);
    assert_int_equal(policy_spend_hold(policy, &payer, 1, &id, &why), FAIL_OVER_BUDGET);
}

static void windows_come_back_after_a_restart(void **state)
{
    (void)state;
    struct fault why;
    struct policy_room room;
    struct principal p = who("k", "red", KEYRING_ROLE_MEMBER);
    limit(POLICY_KEY, "k", (struct policy_limits){5, 100, -1, -1, -1});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(policy_request(policy, &p, 1, &room, &why), FAIL_NONE);
        assert_int_equal(room.requests_left, 4 - i);
    }
    close_all();
    open_all();
    assert_int_equal(policy_request(policy, &p, 1, &room, &why), FAIL_RATE_LIMITED);
    assert_true(why.retry_after_s >= 1 && why.retry_after_s <= 61);
    assert_int_equal(room.requests_limit, 5);
    assert_int_equal(room.requests_left, 0);
    assert_int_equal(room.tokens_left, 100);
}

static void a_task_that_never_fits_is_said_so(void **state)
{
    (void)state;
    struct fault why;
    struct policy_hold hold;
    struct principal p = who("k", "red", KEYRING_ROLE_MEMBER);
    limit(POLICY_KEY, "k", (struct policy_limits){-1, 100, -1, -1, -1});
    assert_int_equal(policy_begin(policy, &p, NULL, NULL, 101, &hold, &why), FAIL_RATE_LIMITED);
    assert_non_null(strstr(why.hint, "101"));
    assert_int_equal(policy_begin(policy, &p, NULL, NULL, 100, &hold, &why), FAIL_NONE);
    policy_end(policy, &hold, 100);
    assert_int_equal(policy_begin(policy, &p, NULL, NULL, 1, &hold, &why), FAIL_RATE_LIMITED);
    struct policy_limits back = none;
    limit(POLICY_KEY, "k", back);
    assert_int_equal(policy_begin(policy, &p, NULL, NULL, 100000, &hold, &why), FAIL_NONE);
    policy_end(policy, &hold, 1);
}

/* ---- labels ---- */

static void a_label_is_the_highest_of_all(void **state)
{
    (void)state;
    struct fault why;
    struct principal p = who("k", "red", KEYRING_ROLE_MEMBER);
    struct principal by = admin();
    for (int part = 0; part < 6; part++) {
        for (int s = 0; s < SECRECY_COUNT; s++) {
            enum secrecy x[4] = {0};
            enum secrecy own = part == 5 ? (enum secrecy)s : SECRECY_PUBLIC;
            p.label = part == 4 ? (enum secrecy)s : SECRECY_PUBLIC;
            if (part < 4) {
                x[part] = (enum secrecy)s;
            }
            assert_int_equal(policy_label_set(policy, POLICY_WORKFLOW, "w", own, &by, &why),
                             FAIL_NONE);
            assert_int_equal(policy_label(policy, &p, "w", x[0], x[1], x[2], x[3]), s);
        }
    }
    assert_int_equal(policy_label_set(policy, POLICY_WORKFLOW, "w", SECRECY_CONFIDENTIAL, &by,
                                      &why), FAIL_NONE);
    close_all();
    open_all();
    assert_int_equal(policy_label(policy, &p, "w", 0, 0, SECRECY_INTERNAL, 0),
                     SECRECY_CONFIDENTIAL);
    assert_int_equal(policy_label(policy, &p, NULL, 0, 0, SECRECY_INTERNAL, 0), SECRECY_INTERNAL);
    assert_int_equal(policy_label_set(policy, POLICY_TEAM, "red", SECRECY_INTERNAL, &by, &why),
                     FAIL_BAD_REQUEST);
}

/* ---- switches ---- */

static int told;
static void tell(void *arg)
{
    (void)arg;
    told++;
}

static void switches_hold_at_once_and_after_a_restart(void **state)
{
    (void)state;
    struct fault why;
    struct principal red = who("k", "red", KEYRING_ROLE_MEMBER);
    struct principal root = admin();
    struct policy_hold hold;
    static const struct {
        enum policy_kind kind;
        const char *name, *workflow, *model;
    } cases[] = {{POLICY_KEY, "k", NULL, NULL},
                 {POLICY_TEAM, "red", NULL, NULL},
                 {POLICY_WORKFLOW, "w", "w", NULL},
                 {POLICY_MODEL, "m", NULL, "m"},
                 {POLICY_ALL, POLICY_ALL_NAME, NULL, NULL}};
    policy_on_halt(policy, tell, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        told = 0;
        assert_int_equal(policy_begin(policy, &red, cases[i].workflow, cases[i].model, 1, &hold,
                                      &why), FAIL_NONE);
        policy_end(policy, &hold, 1);
        assert_int_equal(policy_halt_set(policy, cases[i].kind, cases[i].name, true, "a test",
                                         &root, &why), FAIL_NONE);
        assert_int_equal(told, 1);
        assert_int_equal(policy_begin(policy, &red, cases[i].workflow, cases[i].model, 1, &hold,
                                      &why), FAIL_STOPPED);
        assert_non_null(strstr(why.message, "a test"));
        close_all();
        open_all();
        policy_on_halt(policy, tell, NULL);
        assert_int_equal(policy_begin(policy, &red, cases[i].workflow, cases[i].model, 1, &hold,
                                      &why), FAIL_STOPPED);
        assert_int_equal(policy_halt_set(policy, cases[i].kind, cases[i].name, false, NULL, &root,
                                         &why), FAIL_NONE);
        assert_int_equal(policy_halt_set(policy, cases[i].kind, cases[i].name, false, NULL, &root,
                                         &why), FAIL_NOT_FOUND);
        assert_false(policy_is_halted(policy, cases[i].kind, cases[i].name));
    }
    assert_int_equal(policy_halt_set(policy, POLICY_TEAM, "red", true, "", &root, &why),
                     FAIL_BAD_REQUEST);
}

static void a_stopped_key_does_nothing_and_its_admin_can_still_switch(void **state)
{
    (void)state;
    struct fault why;
    struct principal red = who("k", "red", KEYRING_ROLE_MEMBER);
    struct principal boss = who("boss", "red", KEYRING_ROLE_ADMIN);
    struct principal root = admin();
    assert_int_equal(policy_halt_set(policy, POLICY_TEAM, "red", true, "leak", &root, &why),
                     FAIL_NONE);
    assert_int_equal(may(&red, KEYRING_SCOPE_WORK, POLICY_OBJECT_NONE, NULL, &why), FAIL_STOPPED);
    assert_int_equal(may(&boss, KEYRING_SCOPE_WORK, POLICY_OBJECT_NONE, NULL, &why),
                     FAIL_STOPPED);
    struct policy_ask ask = {.who = &boss, .scope = KEYRING_SCOPE_ADMIN, .is_switch = true};
    assert_int_equal(policy_may(policy, &ask, &why), FAIL_NONE);
    ask.who = &red;
    assert_int_equal(policy_may(policy, &ask, &why), FAIL_FORBIDDEN);
    struct principal other = who("o", "blue", KEYRING_ROLE_MEMBER);
    assert_int_equal(may(&other, KEYRING_SCOPE_WORK, POLICY_OBJECT_NONE, NULL, &why), FAIL_NONE);
    assert_int_equal(may(&root, KEYRING_SCOPE_ADMIN, POLICY_OBJECT_NONE, NULL, &why), FAIL_NONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(nothing_is_allowed_that_is_not_said),
        T(foreign_and_missing_are_the_same),
        T(a_key_is_held_to_its_lists),
        T(a_window_never_holds_more_than_a_minute),
        T(periods_begin_and_end_in_utc),
        T(requests_of_many_threads_are_never_one_too_many),
        T(tasks_of_many_threads_are_never_one_too_many),
        T(money_of_many_threads_is_never_over_by_one),
        T(a_spent_budget_stops_calls_outside_and_nothing_else),
        T(windows_come_back_after_a_restart),
        T(a_task_that_never_fits_is_said_so),
        T(a_label_is_the_highest_of_all),
        T(switches_hold_at_once_and_after_a_restart),
        T(a_stopped_key_does_nothing_and_its_admin_can_still_switch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
