/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of prove/measure: intervals against published values, counting, tables that fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "prove/measure/measure.h"

/* This cmocka has no comparison of doubles. */
#define near(a, b, by) assert_true((a) - (b) <= (by) && (b) - (a) <= (by))

static void wilson_agrees_with_published_values(void **state)
{
    (void)state;
    /* Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29. */
    static const struct {
        int64_t right, n;
        double low, high;
    } cases[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0, 0.1611},
                 {1, 29, 0.0061, 0.1718}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct measure_interval w = measure_wilson(cases[i].right, cases[i].n);
        near(w.low, cases[i].low, 0.0001);
        near(w.high, cases[i].high, 0.0001);
    }
    near(measure_wilson(0, 0).high, 1.0, 0);
}

static void items_needed_follow_the_exact_binomial(void **state)
{
    (void)state;
    /* (1 - 0.05)^59 < 0.05 <= 0.95^58: the rule of 59. */
    assert_int_equal(measure_items_needed(0.05, 0, 0.05, 100000), 59);
    assert_int_equal(measure_items_needed(0.10, 0, 0.05, 100000), 29);
    assert_int_equal(measure_items_needed(0.05, 0.05, 0.05, 100000), 0);
    assert_true(measure_items_needed(0.05, 0.02, 0.05, 100000) > 100);
    near(measure_binomial_tail(2, 10, 0.3), 0.3827828, 1e-6);
}

static void accuracy_coverage_and_error_are_counted_apart(void **state)
{
    (void)state;
    struct measure_run m;
    measure_run_init(&m);
    static const char *const first[] = {"a", "b", "c", "d"};
    const struct measure_answer answers[] = {
        {.field = "queue",
         .value = "a",
         .proposed_by = "learned",
         .decided = true,
         .expected = "a"},
        {.field = "queue",
         .value = "a",
         .proposed_by = "learned",
         .decided = true,
         .expected = "b",
         .first = first,
         .first_len = 4},
        {.field = "queue",
         .value = "a",
         .proposed_by = "light",
         .expected = "d",
         .first = first,
         .first_len = 4},
        {.field = "queue", .value = "c", .proposed_by = "light", .decided = true},
        {.field = "queue", .expected = "c"},
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        measure_add(&m, &answers[i]);
        measure_task(&m, (double)(i + 1), 10, 5, 2, !answers[i].decided);
    }
    const struct measure_field *f = &m.fields[0];
    assert_int_equal(f->n, 5);
    assert_int_equal(f->decided, 3);
    assert_int_equal(f->known.n, 4);
    assert_int_equal(f->known.right, 1);
    assert_int_equal(f->top3.right, 2);
    assert_int_equal(f->known_decided.n, 2);
    assert_int_equal(f->known_decided.right, 1);
    assert_int_equal(f->rungs_len, 2);
    assert_int_equal(m.to_person, 2);
    near(measure_ms(&m, 0.5), 3, 0);
    near(measure_ms(&m, 0.95), 5, 0);
    m.seconds = 5;
    near(measure_tasks_per_hour(&m), 3600, 1e-9);
    measure_run_done(&m);
}

static void table_fits_its_width_and_never_steers_the_terminal(void **state)
{
    (void)state;
    static const char *const columns[] = {"id", "*text", ">n"};
    static const char *const row[] = {"N-1",
                                      "Gr\xC3\xBC\xC3\x9F"
                                      "e \x1b[31m and a text that is far too long",
                                      "12"};
    struct measure_table *t = measure_table_new(columns, 3);
    struct buf out;
    buf_init(&out, 4096);
    measure_table_row(t, row);
    measure_table_show(t, 30, &out);
    assert_null(strchr(out.data, '\x1b'));
    assert_non_null(strstr(out.data, "Gr\xC3\xBC\xC3\x9F""e"));
    assert_non_null(strstr(out.data, "\xE2\x80\xA6"));
    buf_done(&out);
    measure_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_agrees_with_published_values),
        cmocka_unit_test(items_needed_follow_the_exact_binomial),
        cmocka_unit_test(accuracy_coverage_and_error_are_counted_apart),
        cmocka_unit_test(table_fits_its_width_and_never_steers_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
