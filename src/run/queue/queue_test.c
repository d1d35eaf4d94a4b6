/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: shares of teams and classes, places, deadlines, the measured rate and what follows
   from it. Time is made up. */
#include "run/queue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/mem.h"

#define ALL 7u /* classes */

static struct queue *q;
static int64_t now;

static int start(void **state)
{
    (void)state;
    struct queue_options o = {.name = "the model \"m\"", .places = 1024};
    q = queue_new(&o);
    now = 1000000;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    struct queue_item *item;
    while ((item = queue_first(q)) != NULL) {
        queue_remove(q, item);
        mem_free(item);
    }
    queue_free(q);
    return 0;
}

static enum fail put(const char *team, enum ipc_class class, double cost, int64_t deadline_us,
                     struct fault *why)
{
    struct queue_item *item = mem_alloc(sizeof(*item));
    item->owner = item;
    enum fail f = queue_put(q, item, team, class, cost, deadline_us, now, why);
    if (f != FAIL_NONE) {
        mem_free(item);
    }
    return f;
}

static void must_put(const char *team, enum ipc_class class, double cost)
{
    struct fault why;
    if (put(team, class, cost, 0, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

/* Serves one ask alone: it takes `tokens` of 1 ms each. False when nobody waits. */
static bool serve(double tokens, char *team, enum ipc_class *class)
{
    struct queue_item *item = queue_next(q, ALL);
    if (item == NULL) {
        return false;
    }
    queue_take(q, item, now);
    if (team != NULL) {
        snprintf(team, QUEUE_TEAM_SIZE, "%s", queue_flow_team(item->flow));
    }
    if (class != NULL) {
        *class = item->class;
    }
    tokens = tokens > 0 ? tokens : item->cost;
    now += (int64_t)(tokens * 1000);
    queue_settle(q, item, tokens, true, now);
    mem_free(item);
    return true;
}

static double pseudo(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return (double)(*seed >> 8 & 0xffff) / 65536.0;
}

/* Four in service at once, reserves far from what is taken: two teams that always wait stay within
   what either has in service plus one ask. */
static void backlogged_teams_share_by_tokens(void **state)
{
    (void)state;
    enum { SLOTS = 4 };
    struct queue_item *slots[SLOTS] = {0};
    double real[2] = {0}, in_service[2] = {0};
    double most = 800; /* the largest reserve */
    unsigned seed = 7;
    for (int round = 0; round < 4000; round++) {
        struct queue_team a = {0};
        for (int t = 0; t < 2; t++) { /* keeps both waiting; b's asks are large, a's small */
            for (size_t i = 0; queue_team_at(q, i, &a); i++) {
                if (a.name[0] == 'a' + t) {
                    break;
                }
                a = (struct queue_team){0};
            }
            if (a.waiting < 4) {
                must_put(t == 0 ? "a" : "b", IPC_BATCH, t == 0 ? 60 + 40 * pseudo(&seed) : most);
            }
        }
        int slot = round % SLOTS;
        if (slots[slot] != NULL) {
            int t = queue_flow_team(slots[slot]->flow)[0] - 'a';
            double took = slots[slot]->cost * (0.1 + 0.9 * pseudo(&seed));
            now += 10000;
            real[t] += took;
            in_service[t] -= slots[slot]->cost;
            queue_settle(q, slots[slot], took, true, now);
            mem_free(slots[slot]);
        }
        slots[slot] = queue_next(q, ALL);
        queue_take(q, slots[slot], now);
        in_service[queue_flow_team(slots[slot]->flow)[0] - 'a'] += slots[slot]->cost;
        double held = in_service[0] > in_service[1] ? in_service[0] : in_service[1];
        double apart = real[0] > real[1] ? real[0] - real[1] : real[1] - real[0];
        /* a refund may be one ask of either old */
        if (apart > held + 2 * most) {
            fail_msg("round %d: %.0f and %.0f tokens, %.0f in service", round, real[0], real[1],
                     held);
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        queue_settle(q, slots[i], 1, false, now);
        mem_free(slots[i]);
    }
    assert_true(real[0] > 50000);
}

static void a_weight_is_a_share(void **state)
{
    (void)state;
    double served[2] = {0};
    char team[QUEUE_TEAM_SIZE];
    assert_true(queue_weigh(q, "a", 3));
    for (int i = 0; i < 200; i++) {
        must_put("a", IPC_BATCH, 100);
        must_put("b", IPC_BATCH, 100);
    }
    for (int i = 0; i < 200; i++) {
        assert_true(serve(0, team, NULL));
        served[team[0] - 'a'] += 100;
    }
    assert_float_equal(served[0], 3 * served[1], 400);
}

static void an_idle_team_banks_no_credit(void **state)
{
    (void)state;
    char team[QUEUE_TEAM_SIZE];
    int b = 0;
    must_put("b", IPC_INTERACTIVE, 10);
    assert_true(serve(0, team, NULL));
    for (int i = 0; i < 100; i++) { /* b is away while a takes 10,000 tokens */
        must_put("a", IPC_INTERACTIVE, 100);
        must_put("a", IPC_INTERACTIVE, 100);
        assert_true(serve(0, NULL, NULL));
    }
    for (int i = 0; i < 50; i++) {
        must_put("b", IPC_INTERACTIVE, 100);
    }
    for (int i = 0; i < 20; i++) {
        assert_true(serve(0, team, NULL));
        b += team[0] == 'b';
    }
    assert_in_range(b, 9, 11); /* half from now on, not all until it has caught up */
}

static void a_small_team_goes_before_a_flood(void **state)
{
    (void)state;
    char team[QUEUE_TEAM_SIZE];
    for (int i = 0; i < 200; i++) {
        must_put("flood", IPC_INTERACTIVE, 500);
    }
    assert_true(serve(0, team, NULL));
    must_put("small", IPC_INTERACTIVE, 50);
    assert_true(serve(0, team, NULL));
    assert_string_equal(team, "small");
}

/* The flood's reserves are ten times what it takes: what it gets back must not put it before a team
   that came meanwhile. */
static void a_flood_that_takes_less_than_it_reserved_does_not_pass_again(void **state)
{
    (void)state;
    struct queue_item *open[8];
    for (int i = 0; i < 40; i++) {
        must_put("flood", IPC_INTERACTIVE, 500);
    }
    for (int i = 0; i < 8; i++) {
        open[i] = queue_next(q, ALL);
        queue_take(q, open[i], now);
    }
    must_put("small", IPC_INTERACTIVE, 500);
    for (int i = 0; i < 8; i++) {
        now += 10000;
        queue_settle(q, open[i], 50, true, now);
        mem_free(open[i]);
    }
    assert_string_equal(queue_flow_team(queue_next(q, ALL)->flow), "small");
}

static void better_classes_go_first_and_worse_ones_never_starve(void **state)
{
    (void)state;
    double served[IPC_CLASS_COUNT] = {0}, waited = 0, waited_most = 0;
    enum ipc_class class = IPC_INTERACTIVE;
    for (int i = 0; i < 2000; i++) {
        struct queue_stats s;
        queue_stats_get(q, &s);
        for (int c = 0; c < IPC_CLASS_COUNT; c++) {
            if (s.waiting[c] < 2) {
                must_put("t", (enum ipc_class)c, 100);
            }
        }
        assert_true(serve(0, NULL, &class));
        served[class] += 100;
        waited = class == IPC_BATCH ? 0 : waited + 100;
        waited_most = waited > waited_most ? waited : waited_most;
    }
    assert_true(served[IPC_INTERACTIVE] > 2 * (served[IPC_WORKFLOW] + served[IPC_BATCH]));
    assert_true(served[IPC_WORKFLOW] > 2 * served[IPC_BATCH]);
    assert_true(served[IPC_BATCH] > 0.9 * QUEUE_SHARE_BATCH * served[IPC_INTERACTIVE]);
    assert_true(waited_most <= 100 / QUEUE_SHARE_BATCH + 100);
}

static void a_class_that_did_not_wait_is_owed_nothing(void **state)
{
    (void)state;
    enum ipc_class class;
    for (int i = 0; i < 100; i++) {
        must_put("t", IPC_INTERACTIVE, 100);
        assert_true(serve(0, NULL, NULL));
    }
    must_put("t", IPC_INTERACTIVE, 100);
    must_put("t", IPC_BATCH, 100);
    assert_true(serve(0, NULL, &class));
    assert_int_equal(class, IPC_INTERACTIVE);
}

static void only_asked_for_classes_are_taken(void **state)
{
    (void)state;
    must_put("t", IPC_BATCH, 100);
    assert_null(queue_next(q, 1u << IPC_INTERACTIVE | 1u << IPC_WORKFLOW));
    assert_non_null(queue_next(q, ALL));
}

static void one_team_cannot_fill_the_places(void **state)
{
    (void)state;
    struct fault why;
    int n = 0;
    while (put("flood", IPC_BATCH, 100, 0, &why) == FAIL_NONE) {
        n++;
    }
    assert_int_equal(why.code, FAIL_QUEUE_FULL);
    assert_non_null(strstr(why.message, "flood"));
    assert_int_equal(n, 576); /* batch: three quarters of a team's three quarters */
    assert_int_equal(why.retry_after_s, QUEUE_RETRY_S_UNKNOWN);
    assert_int_equal(put("flood", IPC_INTERACTIVE, 100, 0, &why), FAIL_NONE);
    assert_int_equal(put("other", IPC_BATCH, 100, 0, &why), FAIL_NONE);
    n = 2;
    while (put("third", IPC_BATCH, 100, 0, &why) == FAIL_NONE) {
        n++;
    }
    while (put("fourth", IPC_BATCH, 100, 0, &why) == FAIL_NONE) {
        n++;
    }
    assert_int_equal(576 + n - 1, 768 - 1); /* one is interactive and counts among all */
    assert_null(strstr(why.message, "team"));
    struct queue_stats s;
    queue_stats_get(q, &s);
    assert_int_equal(s.refused_full, 3);
}

static void retry_after_is_the_time_that_what_waits_takes(void **state)
{
    (void)state;
    struct fault why;
    for (int i = 0; i < 50; i++) { /* 1,000 tokens a second */
        must_put("m", IPC_BATCH, 200);
        assert_true(serve(0, NULL, NULL));
    }
    struct queue_stats s;
    queue_stats_get(q, &s);
    assert_float_equal(s.rate, 1000, 10);
    assert_float_equal(queue_wait_s(q, "flood", IPC_BATCH), 0, 0.01);
    while (put("flood", IPC_BATCH, 100, 0, &why) == FAIL_NONE) {
    }
    assert_in_range(why.retry_after_s, 57, 58); /* 576 x 100 tokens */
    assert_float_equal(queue_wait_s(q, "other", IPC_BATCH), 0.001, 0.001);
    assert_float_equal(queue_wait_s(q, "flood", IPC_INTERACTIVE), 0, 0.001);
    while (put("slow", IPC_BATCH, 100000, 0, &why) == FAIL_NONE) {
    }
    assert_int_equal(why.retry_after_s, QUEUE_RETRY_S_MAX);
}

static void reserves_that_are_not_used_up_do_not_lengthen_the_wait(void **state)
{
    (void)state;
    struct fault why;
    for (int i = 0; i < 50; i++) { /* 200 of 2,000 reserved tokens, at 1,000 a second */
        must_put("m", IPC_BATCH, 2000);
        assert_true(serve(200, NULL, NULL));
    }
    struct queue_stats s;
    queue_stats_get(q, &s);
    assert_float_equal(s.rate, 1000, 10);
    for (int i = 0; i < 10; i++) {
        must_put("t", IPC_BATCH, 2000);
    }
    assert_float_equal(queue_wait_s(q, "t", IPC_BATCH), 2, 0.1);
    assert_int_equal(put("t", IPC_BATCH, 2000, now + 3000000, &why), FAIL_NONE);
}

static void idle_time_does_not_slow_the_measured_rate(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        must_put("m", IPC_BATCH, 200);
        assert_true(serve(0, NULL, NULL));
        now += 60 * 1000000ll;
    }
    struct queue_stats s;
    queue_stats_get(q, &s);
    assert_float_equal(s.rate, 1000, 10);
}

static void what_cannot_be_in_time_is_said_early(void **state)
{
    (void)state;
    struct fault why;
    assert_int_equal(put("t", IPC_BATCH, 100000, now + 1000, &why), FAIL_NONE); /* not measured */
    struct queue_item *odd = queue_first(q);
    queue_remove(q, odd);
    mem_free(odd);
    for (int i = 0; i < 10; i++) {
        must_put("m", IPC_BATCH, 200);
        assert_true(serve(0, NULL, NULL));
    }
    for (int i = 0; i < 100; i++) {
        must_put("t", IPC_BATCH, 100); /* 10 s of work */
    }
    assert_int_equal(put("t", IPC_BATCH, 100, now + 4000000, &why), FAIL_DEADLINE);
    assert_true(why.retry_after_s >= 9);
    assert_int_equal(put("t", IPC_BATCH, 100, now + 8000000, &why), FAIL_NONE); /* perhaps */
    assert_int_equal(put("t", IPC_INTERACTIVE, 100, now + 1000000, &why), FAIL_NONE);
    assert_null(queue_overdue(q, now));
    now += 960000; /* 40 ms are left for 100 ms of work */
    struct queue_item *late = queue_overdue(q, now);
    assert_non_null(late);
    assert_int_equal(late->class, IPC_INTERACTIVE);
    mem_free(late);
    assert_null(queue_overdue(q, now));
}

static void what_leaves_gives_its_place_and_cost_back(void **state)
{
    (void)state;
    struct fault why;
    struct queue_stats s;
    for (int i = 0; i < 768; i++) {
        must_put("t", IPC_INTERACTIVE, 100);
    }
    assert_int_equal(put("t", IPC_INTERACTIVE, 100, 0, &why), FAIL_QUEUE_FULL);
    struct queue_item *item = queue_first(q);
    queue_remove(q, item);
    mem_free(item);
    queue_stats_get(q, &s);
    assert_float_equal(s.cost_waiting, 76700, 0.01);
    assert_int_equal(put("t", IPC_INTERACTIVE, 100, 0, &why), FAIL_NONE);
    must_put("u", IPC_INTERACTIVE, 100);
    char team[QUEUE_TEAM_SIZE];
    assert_true(serve(0, team, NULL)); /* the one that left was never charged */
    assert_string_equal(team, "t");
}

static void what_is_returned_waits_at_the_head_uncharged(void **state)
{
    (void)state;
    must_put("a", IPC_BATCH, 100);
    must_put("b", IPC_BATCH, 100);
    must_put("b", IPC_BATCH, 100);
    struct queue_item *first = queue_next(q, ALL);
    queue_take(q, first, now);
    struct queue_item *second = queue_next(q, ALL);
    assert_ptr_not_equal(first->flow, second->flow);
    queue_return(q, first, false);
    assert_ptr_equal(queue_next(q, ALL), first);
    struct queue_stats s;
    queue_stats_get(q, &s);
    assert_int_equal(s.in_service, 0);
    assert_int_equal(s.waiting[IPC_BATCH], 3);
    assert_float_equal(queue_flow_at(first->flow), queue_flow_at(second->flow), 0.001);
}

static void thousands_of_teams_are_forgotten_again(void **state)
{
    (void)state;
    char name[32];
    struct queue_team team;
    size_t n = 0;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "team-%d", i);
        must_put(name, i % 2 == 0 ? IPC_BATCH : IPC_INTERACTIVE, 10 + i % 7);
        assert_true(serve(0, NULL, NULL));
    }
    while (queue_team_at(q, n, &team)) {
        n++;
    }
    assert_in_range(n, 1, 2 * QUEUE_IDLE_TEAMS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(backlogged_teams_share_by_tokens, start, stop),
        cmocka_unit_test_setup_teardown(a_weight_is_a_share, start, stop),
        cmocka_unit_test_setup_teardown(an_idle_team_banks_no_credit, start, stop),
        cmocka_unit_test_setup_teardown(a_small_team_goes_before_a_flood, start, stop),
        cmocka_unit_test_setup_teardown(
            a_flood_that_takes_less_than_it_reserved_does_not_pass_again, start, stop),
        cmocka_unit_test_setup_teardown(better_classes_go_first_and_worse_ones_never_starve, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_class_that_did_not_wait_is_owed_nothing, start, stop),
        cmocka_unit_test_setup_teardown(only_asked_for_classes_are_taken, start, stop),
        cmocka_unit_test_setup_teardown(one_team_cannot_fill_the_places, start, stop),
        cmocka_unit_test_setup_teardown(retry_after_is_the_time_that_what_waits_takes, start,
                                        stop),
        cmocka_unit_test_setup_teardown(reserves_that_are_not_used_up_do_not_lengthen_the_wait,
                                        start, stop),
        cmocka_unit_test_setup_teardown(idle_time_does_not_slow_the_measured_rate, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_be_in_time_is_said_early, start, stop),
        cmocka_unit_test_setup_teardown(what_leaves_gives_its_place_and_cost_back, start, stop),
        cmocka_unit_test_setup_teardown(what_is_returned_waits_at_the_head_uncharged, start, stop),
        cmocka_unit_test_setup_teardown(thousands_of_teams_are_forgotten_again, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
