/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of run/form: plans and results round-trip, masks only lead to values inside, bad input
   is named. */
#include "run/form/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct form_plan *plan_of(const char *json)
{
    json_t *tree = NULL;
    struct form_plan *plan = NULL;
    struct fault why = {0};
    assert_int_equal(jn_parse(json, strlen(json), "plan", &tree, &why), FAIL_NONE);
    if (form_plan_read(tree, &plan, &why) != FAIL_NONE) {
        print_message("%s\n", why.message);
        plan = NULL;
    }
    json_decref(tree);
    return plan;
}

static const char good[] =
    "[{\"kind\":\"literal\",\"text\":\"queue: \"},"
    "{\"kind\":\"choice\",\"name\":\"queue\",\"labels\":[\"a\",\"b\"],\"gamma\":0.5,"
    "\"temperature\":2},"
    "{\"kind\":\"text\",\"name\":\"summary\",\"max_chars\":80,\"stop\":[\"\\\"\"],\"single_line\":"
    "true},"
    "{\"kind\":\"number\",\"name\":\"days\",\"min\":\"-5\",\"max\":\"365\"},"
    "{\"kind\":\"date\",\"name\":\"due\",\"min\":\"2024-02-10\",\"max\":\"2026-03-05\"},"
    "{\"kind\":\"boolean\",\"name\":\"urgent\"}]";

static void a_plan_round_trips(void **state)
{
    (void)state;
    struct form_plan *plan = plan_of(good);
    assert_non_null(plan);
    struct buf first;
    struct buf second;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    struct jn_writer writer;
    jn_begin(&writer, &first, false);
    form_plan_write(&writer, plan);
    struct form_plan *again = plan_of(first.data);
    assert_non_null(again);
    jn_begin(&writer, &second, false);
    form_plan_write(&writer, again);
    assert_string_equal(first.data, second.data);
    assert_int_equal(again->pieces[5].n_labels, 2);
    buf_done(&first);
    buf_done(&second);
    form_plan_free(plan);
    form_plan_free(again);
}

static void bad_plans_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "[{\"kind\":\"riddle\"}]",
        "[{\"kind\":\"literal\",\"text\":\"\"}]",
        "[{\"kind\":\"literal\",\"text\":\"x\",\"name\":\"y\"}]",
        "[{\"kind\":\"choice\",\"name\":\"q\",\"labels\":[\"a\"]}]",
        "[{\"kind\":\"choice\",\"name\":\"q\",\"labels\":[\"a\",\"a\"]}]",
        "[{\"kind\":\"choice\",\"name\":\"Q\",\"labels\":[\"a\",\"b\"]}]",
        "[{\"kind\":\"choice\",\"name\":\"q\",\"labels\":[\"a\",1]}]",
        "[{\"kind\":\"boolean\",\"name\":\"q\"},{\"kind\":\"boolean\",\"name\":\"q\"}]",
        "[{\"kind\":\"text\",\"name\":\"t\",\"max_chars\":4001}]",
        "[{\"kind\":\"number\",\"name\":\"n\",\"min\":\"5\",\"max\":\"4\"}]",
        "[{\"kind\":\"number\",\"name\":\"n\",\"min\":\"0\",\"max\":\"1e9\"}]",
        "[{\"kind\":\"number\",\"name\":\"n\",\"min\":\"0\",\"max\":\"9999999999999999\"}]",
        "[{\"kind\":\"date\",\"name\":\"d\",\"min\":\"2026-02-29\",\"max\":\"2027-01-01\"}]",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_null(plan_of(bad[i]));
    }
}

/* Walks every path of the mask and checks that exactly the values inside are reached. */
static void walk(const struct form_piece *piece, char *prefix, size_t len, int *ends)
{
    unsigned next = form_next(piece, prefix);
    assert_int_not_equal(next, 0);
    if ((next & FORM_NEXT_END) != 0) {
        assert_true(form_value_fits(piece, prefix));
        (*ends)++;
    }
    static const char characters[] = "0123456789-.";
    for (unsigned i = 0; i < 12; i++) {
        if ((next & 1u << i) != 0) {
            prefix[len] = characters[i];
            prefix[len + 1] = '\0';
            walk(piece, prefix, len + 1, ends);
            prefix[len] = '\0';
        }
    }
}

static void masks_reach_every_value_inside_and_none_outside(void **state)
{
    (void)state;
    static const struct {
        struct form_piece piece;
        int values;
    } cases[] = {
        {{.kind = FORM_NUMBER, .min = "0", .max = "365"}, 366},
        {{.kind = FORM_NUMBER, .min = "-12", .max = "7"}, 20},
        {{.kind = FORM_NUMBER, .min = "-30", .max = "-25"}, 6},
        {{.kind = FORM_NUMBER, .min = "98", .max = "1002"}, 905},
        {{.kind = FORM_NUMBER, .min = "0.95", .max = "10.05", .decimals = 2}, 911},
        {{.kind = FORM_NUMBER, .min = "-0.5", .max = "0.5", .decimals = 1}, 11},
        {{.kind = FORM_DATE, .min = "2024-02-10", .max = "2026-03-05"}, 755},
        {{.kind = FORM_DATE, .min = "1999-12-31", .max = "2000-01-01"}, 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char prefix[32] = "";
        int ends = 0;
        walk(&cases[i].piece, prefix, 0, &ends);
        assert_int_equal(ends, cases[i].values);
    }
}

static struct form_result *result_of(const struct form_plan *plan, const char *json)
{
    json_t *tree = NULL;
    struct form_result *result = NULL;
    assert_int_equal(jn_parse(json, strlen(json), "result", &tree, NULL), FAIL_NONE);
    (void)!form_result_read(tree, plan, &result, NULL);
    json_decref(tree);
    return result;
}

#define TAIL                                                                                       \
    "],\"tokens_in\":9,\"tokens_cached\":4,\"tokens_out\":1,\"ms_queue\":0.1,\"ms_prefill\":2.5,"  \
    "\"ms_decode\":0}"
#define FIELD "{\"name\":\"q\",\"kind\":\"choice\",\"logprob\":-0.1,"

static void results_are_checked_against_their_plan(void **state)
{
    (void)state;
    struct form_plan *plan =
        plan_of("[{\"kind\":\"choice\",\"name\":\"q\",\"labels\":[\"a\",\"b\"]}]");
    struct form_result *result =
        result_of(plan, "{\"fields\":[" FIELD "\"value\":\"b\",\"probs\":[0.1,0.9]}" TAIL);
    assert_non_null(result);
    assert_string_equal(result->fields[0].value, "b");
    assert_int_equal(result->tokens_cached, 4);
    struct buf out;
    buf_init(&out, 4096);
    struct jn_writer writer;
    jn_begin(&writer, &out, false);
    form_result_write(&writer, result);
    form_result_free(result);
    result = result_of(plan, out.data);
    assert_non_null(result);
    form_result_free(result);
    buf_done(&out);
    static const char *const bad[] = {
        "{\"fields\":[" FIELD "\"value\":\"c\",\"probs\":[0.1,0.9]}" TAIL,
        "{\"fields\":[" FIELD "\"value\":\"b\",\"probs\":[0.1,0.3]}" TAIL,
        "{\"fields\":[" FIELD "\"value\":\"b\",\"probs\":[1.1,-0.1]}" TAIL,
        "{\"fields\":[" FIELD "\"value\":\"b\",\"probs\":[1]}" TAIL,
        "{\"fields\":[" FIELD "\"value\":\"b\"}" TAIL,
        "{\"fields\":[" TAIL,
        "{\"fields\":[" FIELD "\"value\":\"b\",\"probs\":[0.1,0.9],\"x\":1}" TAIL,
        "{\"fields\":[1" TAIL,
        "{}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_null(result_of(plan, bad[i]));
    }
    form_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_round_trips),
        cmocka_unit_test(bad_plans_are_refused),
        cmocka_unit_test(masks_reach_every_value_inside_and_none_outside),
        cmocka_unit_test(results_are_checked_against_their_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
