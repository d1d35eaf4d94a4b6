/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped rows decide their cases and each is needed; what may not leave does not, whatever the
   rows say; every error of a file is told with its line; lateness is priced. */
#include "answer/route/route_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct route_rules *read_rules(const char *yaml)
{
    struct route_rules *r = NULL;
    struct config_faults faults;
    struct fault why;
    if (route_rules_read(yaml, strlen(yaml), "rules.yaml", &r, &faults, &why) != FAIL_NONE) {
        fail_msg("line %d: %s", faults.list[0].line, faults.list[0].message);
    }
    return r;
}

static void shipped_cases_hold(void **state)
{
    (void)state;
    struct route_rules *rules = route_rules_shipped();
    struct route_cases cases;
    route_cases_shipped(&cases);
    assert_int_equal(route_rules_count(rules), 7);
    for (size_t i = 0; i < cases.n; i++) {
        char wrong[ROUTE_REASON_SIZE];
        if (!route_case_holds(rules, &cases.list[i], wrong)) {
            fail_msg("%s: %s", cases.list[i].name, wrong);
        }
    }
    route_cases_done(&cases);
    route_rules_unref(rules);
}

/* Four rows for local, three for hosted; without any one of them the case of its name fails. */
static void each_shipped_row_is_needed_by_its_case(void **state)
{
    (void)state;
    struct route_rules *rules = route_rules_shipped();
    struct route_cases cases;
    int locals = 0, outcomes = 0;
    route_cases_shipped(&cases);
    for (size_t i = 0; i < route_rules_count(rules); i++) {
        struct route_row_view row;
        struct route_rules *rest = route_rules_without(rules, i);
        const struct route_case *mine = NULL;
        char wrong[ROUTE_REASON_SIZE];
        route_rules_row(rules, i, &row);
        locals += row.go == ROUTE_LOCAL;
        assert_true(row.why[0] != '\0');
        for (size_t k = 0; k < cases.n; k++) {
            mine = strcmp(cases.list[k].name, row.name) == 0 ? &cases.list[k] : mine;
        }
        assert_non_null(mine);
        assert_false(route_case_holds(rest, mine, wrong));
        struct route_decision d;
        route_decide(rest, &mine->facts, &d);
        outcomes += d.go != row.go;
        route_rules_unref(rest);
    }
    assert_int_equal(locals, 4);
    /* Only sensitivity's case has the same outcome without its row: the gates below the rows hold
       what it holds. */
    assert_int_equal(outcomes, 6);
    route_cases_done(&cases);
    route_rules_unref(rules);
}

static void every_error_has_its_line(void **state)
{
    (void)state;
    static const char yaml[] = "rows:\n"
                               "  - name: Bad Name\n"                       /* 2 */
                               "    when: {label: secret}\n"                /* 3 */
                               "    then: {go: local}\n"
                               "  - name: a\n"
                               "    when: {burst: 3}\n"                     /* 6 */
                               "    then: {go: nowhere}\n"                  /* 7 */
                               "  - name: a\n"                              /* 8: twice */
                               "    when: {burst: {at_least: 5, below: 5}}\n" /* 9 */
                               "    then: {go: local, leave: plain}\n"      /* 10 */
                               "  - name: b\n"
                               /* 12, 12 */
                               "    when: {colour: red, time: {from: \"25:00\", to: \"08:00\"}}\n"
                               "    then: {go: person}\n";
    static const int lines[] = {2, 3, 6, 7, 8, 9, 10, 12, 12};
    struct route_rules *r = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(route_rules_read(yaml, strlen(yaml), "bad.yaml", &r, &faults, &why),
                     FAIL_BAD_REQUEST);
    assert_null(r);
    assert_int_equal(faults.count, COUNT_OF(lines));
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_int_equal(faults.list[i].line, lines[i]);
    }
}

static void what_may_not_leave_is_refused_when_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "rows: [{name: a, when: {label: restricted}, then: {go: hosted, leave: redacted}}]",
        "rows: [{name: a, when: {label: [public, restricted]}, then: {go: hosted}}]",
        "rows: [{name: a, when: {label: confidential}, then: {go: hosted}}]",
        "rows: [{name: a, when: {label: confidential}, then: {go: hosted, leave: plain}}]",
        "rows: [{name: a, when: {label: public}, then: {go: hosted, leave: never}}]",
        "rows: [{name: a, when: {needs: frontier}, then: {go: hosted}}]",
        "rows: [{name: a, when: {}, then: {go: local, spill: {late_cost_per_hour: 1}}}]",
        "rows: [{name: a, when: {label: restricted}, then: {go: local, spill: "
        "{late_cost_per_hour: 1}, leave: redacted}}]",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct route_rules *r = NULL;
        struct config_faults faults;
        struct fault why;
        if (route_rules_read(bad[i], strlen(bad[i]), "x", &r, &faults, &why) == FAIL_NONE) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    struct route_rules *r = read_rules(
        "rows: [{name: a, when: {label: confidential}, then: {go: hosted, leave: redacted}}]");
    struct route_facts f;
    struct route_decision d;
    route_facts_init(&f);
    f.label = SECRECY_CONFIDENTIAL;
    route_decide(r, &f, &d);
    assert_int_equal(d.go, ROUTE_HOSTED);
    assert_int_equal(d.leave, ROUTE_REDACTED);
    route_rules_unref(r);
}

/* Rows as no reader would make them: every label times every way to leave. */
static void what_may_not_leave_does_not_whatever_the_rows_say(void **state)
{
    (void)state;
    struct route_rules *r = read_rules(
        "rows: [{name: a, when: {label: public}, then: {go: hosted}},"
        " {name: b, when: {label: public}, then: {go: local, spill: {late_cost_per_hour: 1e6}}}]");
    int left = 0;
    for (unsigned mask = 0; mask < 16; mask++) {
        for (int leave = 0; leave < ROUTE_LEAVE_COUNT; leave++) {
            for (int label = 0; label < SECRECY_COUNT; label++) {
                struct route_facts f;
                struct route_decision d;
                struct route_step steps[2];
                route_facts_init(&f);
                f.label = (enum secrecy)label;
                route_facts_set(&f, ROUTE_WAIT_S, 1e6);
                route_facts_set(&f, ROUTE_DEADLINE_S, 1);
                route_facts_set(&f, ROUTE_PRICE, 0);
                route_facts_set(&f, ROUTE_HOSTED_S, 0);
                r->rows[0].labels = r->rows[1].labels = mask;
                r->rows[0].leave = r->rows[1].leave = (enum route_leave)leave;
                route_explain(r, &f, &d, steps);
                bool named = (mask & (1u << label)) != 0;
                bool may = named && leave != ROUTE_NEVER &&
                           (label < SECRECY_CONFIDENTIAL ||
                            (label == SECRECY_CONFIDENTIAL && leave == ROUTE_REDACTED));
                assert_int_equal(d.go == ROUTE_HOSTED, may);
                assert_int_equal(route_may_leave(&d, f.label), may ? (int)leave : ROUTE_NEVER);
                assert_int_equal(route_may_leave(&d, SECRECY_RESTRICTED), ROUTE_NEVER);
                if (mask == 0 || (named && !may)) {
                    assert_int_equal(steps[0].verdict, ROUTE_BLOCKED);
                }
                left += may;
            }
        }
    }
    assert_true(left > 0);
    route_rules_unref(r);
}

static void conditions_hold_at_their_edges(void **state)
{
    (void)state;
    static const struct {
        const char *when, *facts;
        bool holds;
    } cases[] = {
        {"{burst: {at_least: 3}}", "{burst: 3}", true},
        {"{burst: {above: 3}}", "{burst: 3}", false},
        {"{burst: {at_most: 3}}", "{burst: 3}", true},
        {"{burst: {below: 3}}", "{burst: 3}", false},
        {"{burst: {below: 3}}", "{}", false},
        {"{team: [ops, hr]}", "{team: hr}", true},
        {"{team: ops}", "{}", false},
        {"{workflow: triage}", "{workflow: triage}", true},
        {"{needs: [tools, vision]}", "{needs: vision}", true},
        {"{needs: {all: [tools, vision]}}", "{needs: vision}", false},
        {"{needs: {none: [tools]}}", "{needs: vision}", true},
        {"{needs: {any: tools, none: vision}}", "{needs: [tools, vision]}", false},
        {"{local_roles: heavy}", "{local_roles: [light]}", false},
        {"{input_bytes: {above: 8000}}", "{input_bytes: 8001}", true},
        {"{budget_left: {at_least: 0.01}}", "{budget_left: -3.5}", false},
        {"{budget_forecast: {above: 1}}", "{budget_forecast: 1.2}", true},
        {"{wait_of_deadline: {above: 1}}", "{wait_s: 50, service_s: 20, deadline_s: 60}", true},
        {"{time: {from: \"22:00\", to: \"06:00\", days: fri}}", "{at: \"fri 23:00\"}", true},
        {"{time: {from: \"22:00\", to: \"06:00\", days: fri}}", "{at: \"sat 05:59\"}", true},
        {"{time: {from: \"22:00\", to: \"06:00\", days: fri}}", "{at: \"fri 05:59\"}", false},
        {"{time: {from: \"08:00\", to: \"18:00\"}}", "{at: \"sun 18:00\"}", false},
        {"{time: {days: [sat, sun]}}", "{at: \"sun 00:00\"}", true},
        {"{time: {days: [sat, sun]}}", "{}", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char yaml[300];
        struct route_facts f;
        struct route_decision d;
        struct route_step step;
        struct config_faults faults;
        struct fault why;
        snprintf(yaml, sizeof(yaml), "rows: [{name: a, when: %s, then: {go: person}}]",
                 cases[i].when);
        struct route_rules *r = read_rules(yaml);
        route_facts_init(&f);
        assert_int_equal(route_facts_parse(cases[i].facts, strlen(cases[i].facts), "facts", &f,
                                           &faults, &why),
                         FAIL_NONE);
        route_facts_complete(&f);
        route_explain(r, &f, &d, &step);
        if ((d.row == 0) != cases[i].holds) {
            fail_msg("%s with %s: %s", cases[i].when, cases[i].facts, step.reason);
        }
        assert_true(step.reason[0] != '\0');
        route_rules_unref(r);
    }
}

static void lateness_is_priced_in_nano_units(void **state)
{
    (void)state;
    /* An hour late for certain at 36 an hour: 36. */
    assert_int_equal(route_late_cost(3600, 0, 0, 36), 36000000000LL);
    /* No wait and done in time: nothing. Work alone that takes 10 s too long: 10 s. */
    assert_int_equal(route_late_cost(0, 5, 10, 36), 0);
    assert_int_equal(route_late_cost(0, 20, 10, 36), 100000000);
    /* w exp(-slack / w): 60 s of wait, 60 s of slack: 60/e s. */
    assert_int_equal(route_late_cost(60, 30, 90, 36), llround(60 * exp(-1) / 3600 * 36e9));
    /* Both forms meet where no slack is left. */
    assert_int_equal(route_late_cost(60, 90, 90, 36), 600000000);
    assert_int_equal(route_late_cost(1e9, 0, 1, 1e9), INT64_MAX);
}

static void spills_only_when_lateness_costs_more_than_the_call(void **state)
{
    (void)state;
    struct route_rules *r = read_rules("rows: [{name: day, when: {label: [internal, restricted, "
                                       "confidential]}, then: {go: local}}]");
    r->rows[0].spill = true;
    r->rows[0].late_cost_per_hour = 36; /* a cent a second */
    r->rows[0].leave = ROUTE_REDACTED;
    static const struct {
        enum secrecy label;
        double wait, price;
        bool out;
    } cases[] = {
        {SECRECY_INTERNAL, 60, 0.2, true},      /* 60 s x exp(-30/60) = 36 s late: 0.36 */
        {SECRECY_INTERNAL, 60, 0.5, false},     /* the call costs more */
        {SECRECY_INTERNAL, 5, 0.2, false},      /* hardly ever late */
        {SECRECY_CONFIDENTIAL, 60, 0.2, true},  /* redacted, by a row that names it */
        {SECRECY_RESTRICTED, 6000, 0, false},   /* never */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_facts f;
        struct route_decision d;
        route_facts_init(&f);
        f.label = cases[i].label;
        route_facts_set(&f, ROUTE_WAIT_S, cases[i].wait);
        route_facts_set(&f, ROUTE_DEADLINE_S, 30);
        route_facts_set(&f, ROUTE_PRICE, cases[i].price);
        route_decide(r, &f, &d);
        assert_int_equal(d.go, ROUTE_LOCAL); /* not without a predicted time outside */
        route_facts_set(&f, ROUTE_HOSTED_S, 4);
        route_decide(r, &f, &d);
        assert_int_equal(d.go, cases[i].out ? ROUTE_HOSTED : ROUTE_LOCAL);
        assert_int_equal(d.spilled, cases[i].out);
        assert_int_equal(d.leave, cases[i].out ? ROUTE_REDACTED : ROUTE_NEVER);
    }
    route_rules_unref(r);
}

static void facts_come_back_as_they_were_written(void **state)
{
    (void)state;
    static const char text[] =
        "{label: internal, team: ops, workflow: triage, needs: [tools, frontier], local_roles: "
        "[light], at: \"wed 07:05\", stake: danger, burst: 2.5, share_reused: 0.125, budget_left: "
        "-1.5}";
    struct route_facts a, b;
    struct config_faults faults;
    struct fault why;
    struct jn_writer w;
    struct buf json;
    route_facts_init(&a);
    route_facts_init(&b);
    assert_int_equal(route_facts_parse(text, strlen(text), "facts", &a, &faults, &why), FAIL_NONE);
    buf_init(&json, 4096);
    jn_begin(&w, &json, false);
    route_facts_put(&w, &a);
    assert_int_equal(route_facts_parse(json.data, json.len, "facts", &b, &faults, &why),
                     FAIL_NONE);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(b.weekday, 2);
    assert_int_equal(b.minute, 7 * 60 + 5);
    buf_done(&json);
}

static void bad_facts_and_cases_are_told_with_their_lines(void **state)
{
    (void)state;
    static const char cases[] = "cases:\n"
                                "  - name: one\n"
                                "    facts: {label: secret, burst: -1}\n" /* 3, 3 */
                                "    expect: {go: away}\n"               /* 4 */
                                "  - name: two\n"
                                "    facts: {at: \"mon 24:00\"}\n" /* 6 */
                                "    expect: {}\n";                /* 7 */
    static const int lines[] = {3, 3, 4, 6, 7};
    struct route_cases c;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(route_cases_read(cases, strlen(cases), "cases", &c, &faults, &why),
                     FAIL_BAD_REQUEST);
    assert_int_equal(faults.count, COUNT_OF(lines));
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_int_equal(faults.list[i].line, lines[i]);
    }
}

static void days_and_hours_are_those_of_the_zone(void **state)
{
    (void)state;
    struct route_zone *z = NULL;
    struct fault why;
    int day, minute;
    assert_int_equal(route_zone_open("Nowhere/Else", &z, &why), FAIL_BAD_REQUEST);
    assert_int_equal(route_zone_open("Europe/Berlin", &z, &why), FAIL_NONE);
    route_zone_at(z, 1753912800000000, &day, &minute); /* 2025-07-30 22:00 UTC: summer, +2 */
    assert_int_equal(day, 3);                          /* Thursday */
    assert_int_equal(minute, 0);
    route_zone_at(z, 1736636400000000, &day, &minute); /* 2025-01-11 23:00 UTC: winter, +1 */
    assert_int_equal(day, 6);                          /* Sunday */
    assert_int_equal(minute, 0);
    route_zone_close(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_cases_hold),
        cmocka_unit_test(each_shipped_row_is_needed_by_its_case),
        cmocka_unit_test(every_error_has_its_line),
        cmocka_unit_test(what_may_not_leave_is_refused_when_read),
        cmocka_unit_test(what_may_not_leave_does_not_whatever_the_rows_say),
        cmocka_unit_test(conditions_hold_at_their_edges),
        cmocka_unit_test(lateness_is_priced_in_nano_units),
        cmocka_unit_test(spills_only_when_lateness_costs_more_than_the_call),
        cmocka_unit_test(facts_come_back_as_they_were_written),
        cmocka_unit_test(bad_facts_and_cases_are_told_with_their_lines),
        cmocka_unit_test(days_and_hours_are_those_of_the_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
