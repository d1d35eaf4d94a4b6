/* SPDX-License-Identifier: Apache-2.0 */
/* Arrivals are counted by the hour and known after a week; an approved rule set serves. */
#include "answer/route/route_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/home.h"
#include "trust/release/release.h"

#define HOUR ((int64_t)3600 * 1000000)
#define T0 (480000 * HOUR) /* some hour */

static bool knows(const struct route_facts *f, enum route_number n)
{
    return (f->known & (1u << n)) != 0;
}

static void traffic_is_known_after_a_week(void **state)
{
    (void)state;
    struct route_meter *m = route_meter_new();
    struct route_facts f;
    for (int h = 0; h < 168; h++) {
        route_facts_init(&f);
        route_meter_facts(m, "steady", T0 + h * HOUR, &f);
        assert_int_equal(knows(&f, ROUTE_BURST), h == 167); /* the 168th hour has begun */
        route_meter_add(m, "steady", T0 + h * HOUR, 4, 1);
    }
    route_meter_facts(m, "steady", T0 + 167 * HOUR, &f);
    assert_true(knows(&f, ROUTE_ARRIVALS_PER_WEEK));
    assert_true(fabs(f.number[ROUTE_ARRIVALS_PER_WEEK] - 4 * 168) < 1e-6);
    assert_true(fabs(f.number[ROUTE_BURST]) < 1e-9); /* the same every hour */
    assert_true(fabs(f.number[ROUTE_SHARE_REUSED] - 0.25) < 1e-9);
    route_facts_init(&f);
    route_meter_facts(m, "never seen", T0, &f);
    assert_int_equal(f.known, 0);
    route_meter_free(m);
}

/* The running sums against counts summed anew, over more hours than the ring holds. */
static void running_sums_agree_with_counting(void **state)
{
    (void)state;
    enum { HOURS = 2000 };
    static unsigned counts[HOURS];
    struct route_meter *m = route_meter_new();
    unsigned seed = 11;
    for (int h = 0; h < HOURS; h++) {
        seed = seed * 1103515245u + 12345u;
        counts[h] = (seed >> 16) % 5 == 0 ? (seed >> 20) % 40 : 0;
        route_meter_add(m, "w", T0 + h * HOUR, counts[h], 0);
    }
    double sum = 0, squares = 0, n = ROUTE_TRAFFIC_HOURS;
    for (int h = HOURS - ROUTE_TRAFFIC_HOURS; h < HOURS; h++) {
        sum += counts[h];
    }
    for (int h = HOURS - ROUTE_TRAFFIC_HOURS; h < HOURS; h++) {
        squares += pow(counts[h] - sum / n, 2);
    }
    struct route_facts f;
    route_facts_init(&f);
    route_meter_facts(m, "w", T0 + (HOURS - 1) * HOUR, &f);
    assert_true(fabs(f.number[ROUTE_ARRIVALS_PER_WEEK] - sum / n * 168) < 1e-6);
    assert_true(fabs(f.number[ROUTE_BURST] - squares / (n - 1) / (sum / n)) < 1e-6);
    /* Five weeks of silence: nothing is left of it. */
    route_facts_init(&f);
    route_meter_facts(m, "w", T0 + (HOURS + 840) * HOUR, &f);
    assert_true(f.number[ROUTE_ARRIVALS_PER_WEEK] == 0);
    assert_false(knows(&f, ROUTE_BURST));
    route_meter_free(m);
}

static void rare_and_spiky_is_told_from_rare_and_steady(void **state)
{
    (void)state;
    struct route_meter *m = route_meter_new();
    struct route_facts spiky, steady;
    for (int week = 0; week < 4; week++) {
        route_meter_add(m, "spiky", T0 + week * 168 * HOUR, 20, 0);
        for (int i = 0; i < 20; i++) {
            route_meter_add(m, "steady", T0 + (week * 168 + i * 8) * HOUR, 1, 0);
        }
    }
    route_facts_init(&spiky);
    route_facts_init(&steady);
    route_meter_facts(m, "spiky", T0 + 671 * HOUR, &spiky);
    route_meter_facts(m, "steady", T0 + 671 * HOUR, &steady);
    assert_true(fabs(spiky.number[ROUTE_ARRIVALS_PER_WEEK] - 20) < 1e-6);
    assert_true(fabs(steady.number[ROUTE_ARRIVALS_PER_WEEK] - 20) < 1e-6);
    assert_true(spiky.number[ROUTE_BURST] > 15);
    assert_true(steady.number[ROUTE_BURST] < 1);
    route_meter_free(m);
}

static void the_least_used_workflow_makes_room(void **state)
{
    (void)state;
    struct route_meter *m = route_meter_new();
    struct route_facts f;
    char name[32];
    for (int i = 0; i <= ROUTE_TRAFFIC_WORKFLOWS; i++) {
        snprintf(name, sizeof(name), "w%d", i);
        route_meter_add(m, name, T0, 100, 50);
        route_meter_add(m, "w1", T0, 1, 0);
    }
    route_facts_init(&f);
    route_meter_facts(m, "w0", T0, &f);
    assert_int_equal(f.known, 0);
    route_meter_facts(m, "w1", T0, &f);
    assert_true(knows(&f, ROUTE_SHARE_REUSED));
    route_meter_free(m);
}

/* ---- rows ---- */

static struct home home;

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "route");
    home_open(&home, HOME_STORE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

static enum fail put_traffic(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    enum fail f = FAIL_NONE;
    for (int h = 0; h < 800 && f == FAIL_NONE; h++) {
        for (int i = 0; i < 2 && f == FAIL_NONE; i++) {
            f = route_traffic_put(tx, "triage", T0 + h * HOUR, i == 1, why);
        }
    }
    return f;
}

static void traffic_comes_back_and_the_old_goes(void **state)
{
    (void)state;
    struct fault why;
    struct route_facts f;
    struct route_meter *m = route_meter_new();
    bool row;
    assert_int_equal(store_write_wait(home.store, put_traffic, NULL, &why), FAIL_NONE);
    assert_int_equal(route_traffic_load(home.conn, T0 + 799 * HOUR, m, &why), FAIL_NONE);
    route_facts_init(&f);
    route_meter_facts(m, "triage", T0 + 799 * HOUR, &f);
    assert_true(fabs(f.number[ROUTE_ARRIVALS_PER_WEEK] - 336) < 1e-6);
    assert_true(fabs(f.number[ROUTE_SHARE_REUSED] - 0.5) < 1e-6);
    AUTO_STMT struct store_stmt *s = store_query(home.conn, "SELECT count(*) FROM route_traffic");
    assert_int_equal(store_step(s, &row, &why), FAIL_NONE);
    assert_int_equal(store_col_int(s, 0), ROUTE_TRAFFIC_HOURS);
    route_meter_free(m);
}

struct change {
    const char *release, *text, *actor; /* text NULL: approve */
};

static enum fail change(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *c = arg;
    char before[TEXT_SHA256_HEX_SIZE];
    return c->text != NULL
               ? release_propose(tx, ROUTE_RELEASES, c->release, c->text, c->actor, why)
               : release_approve(tx, ROUTE_RELEASES, c->release, c->actor, true, before, why);
}

static void an_approved_rule_set_serves(void **state)
{
    static const char yaml[] =
        "rows: [{name: a, when: {burst: {below: 2}}, then: {go: person}}]";
    (void)state;
    struct fault why;
    struct config_faults faults;
    struct route_rules *shipped = route_rules_shipped(), *mine = NULL, *got = NULL;
    assert_int_equal(route_rules_read(yaml, strlen(yaml), "x", &mine, &faults, &why), FAIL_NONE);
    const char *release = route_rules_release(mine);
    struct change propose = {.release = release, .text = yaml, .actor = "ann"};
    struct change approve = {.release = release, .actor = "bob"};

    assert_int_equal(route_release_find(home.conn, release, &got, &why), FAIL_NONE);
    assert_null(got);
    assert_int_equal(store_write_wait(home.store, change, &propose, &why), FAIL_NONE);
    assert_int_equal(route_release_active(home.conn, &got, &why), FAIL_NONE);
    assert_string_equal(route_rules_release(got), route_rules_release(shipped));
    route_rules_unref(got);
    assert_int_equal(route_release_find(home.conn, release, &got, &why), FAIL_NONE);
    assert_string_equal(route_rules_release(got), release);
    route_rules_unref(got);
    assert_int_equal(store_write_wait(home.store, change, &approve, &why), FAIL_NONE);
    assert_int_equal(route_release_active(home.conn, &got, &why), FAIL_NONE);
    assert_string_equal(route_rules_release(got), release);
    route_rules_unref(got);
    route_rules_unref(mine);
    route_rules_unref(shipped);
}

static void a_stored_set_that_no_longer_reads_is_an_error(void **state)
{
    (void)state;
    struct fault why;
    struct route_rules *got = NULL;
    struct change propose = {.release = "00", .text = "rows: 7", .actor = "ann"};
    struct change approve = {.release = "00", .actor = "bob"};
    assert_int_equal(store_write_wait(home.store, change, &propose, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(home.store, change, &approve, &why), FAIL_NONE);
    assert_int_equal(route_release_active(home.conn, &got, &why), FAIL_INTERNAL);
    assert_null(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic_is_known_after_a_week),
        cmocka_unit_test(running_sums_agree_with_counting),
        cmocka_unit_test(rare_and_spiky_is_told_from_rare_and_steady),
        cmocka_unit_test(the_least_used_workflow_makes_room),
        cmocka_unit_test_setup_teardown(traffic_comes_back_and_the_old_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_approved_rule_set_serves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stored_set_that_no_longer_reads_is_an_error, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
