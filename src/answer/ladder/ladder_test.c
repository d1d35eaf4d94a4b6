/* SPDX-License-Identifier: Apache-2.0 */
/* The climb never gets worse; evidence is calibrated and certified as the formulas say. */
#include "answer/ladder/ladder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct ladder_form *two_field_form(void)
{
    struct ladder_form *f = mem_alloc(sizeof(*f));
    f->refs = 1;
    f->fields_len = 2;
    memcpy(f->fields[0].name, "queue", 6);
    memcpy(f->fields[1].name, "priority", 9);
    f->fields[0].target_error = f->fields[1].target_error = 0.05;
    return f;
}

static void a_climb_never_gets_worse(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    f->evidence[0][LADDER_LEARNED] = (struct ladder_evidence){
        .n = 300, .accuracy = 0.9, .slope = 1, .offset = 0, .threshold = 0.8};
    ladder_climb_begin(&c, f, arena);
    struct ladder_proposal p = {.value = "a", .raw = 0.7, .rung = LADDER_LEARNED};
    assert_true(ladder_offer(&c, 0, &p));
    assert_true(ladder_field_is_open(&c, 0));
    p.raw = 0.6;
    p.value = "b";
    assert_false(ladder_offer(&c, 0, &p));
    assert_string_equal(c.held[0].value, "a");
    /* without evidence a rung claims at most a half, so it cannot replace 0.7 */
    p.rung = LADDER_LIGHT;
    p.raw = 0.99;
    assert_false(ladder_offer(&c, 0, &p));
    p.rung = LADDER_LEARNED;
    p.raw = 0.85;
    p.value = "c";
    assert_true(ladder_offer(&c, 0, &p));
    assert_false(ladder_field_is_open(&c, 0));
    assert_int_equal(ladder_open_count(&c), 1);
    const char *why = NULL;
    assert_true(ladder_wants(&c, LADDER_LIGHT, &why)); /* priority has nothing yet */
    p.rung = LADDER_LIGHT;
    assert_true(ladder_offer(&c, 1, &p));
    assert_false(ladder_wants(&c, LADDER_HEAVY, &why));
    assert_string_equal(why, "no evidence that it beats what is held");
    arena_free(arena);
    ladder_form_unref(f);
}

static void a_failed_check_keeps_a_field_open(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    ladder_climb_begin(&c, f, arena);
    struct ladder_proposal p = {.value = "x", .confidence = 1, .rung = LADDER_RULE};
    p.checks[0] = (struct ladder_check){"summary_names", false, "Anna is not in the ticket"};
    p.checks_len = 1;
    assert_true(ladder_offer(&c, 0, &p));
    assert_true(ladder_field_is_open(&c, 0));
    assert_true(c.held[0].confidence <= 0.1);
    arena_free(arena);
    ladder_form_unref(f);
}

static void thresholds_need_the_evidence_that_the_test_asks_for(void **state)
{
    (void)state;
    enum { N = 1000 };
    static double raw[N];
    static bool right[N];
    struct ladder_evidence e;
    /* All right: 149 items certify 2 % at 95 %, 148 do not (anchors: 2 %: 149). */
    for (int i = 0; i < N; i++) {
        raw[i] = 0.5 + i / 2500.0;
        right[i] = true;
    }
    ladder_fit_evidence(raw, right, 148, 0.02, 0.05, &e);
    assert_true(e.threshold > 1);
    ladder_fit_evidence(raw, right, 149, 0.02, 0.05, &e);
    assert_true(e.threshold <= 1 && e.coverage == 1.0);
    /* A scorer that knows: errors are where it is unsure, so part is certified and part is not. */
    unsigned seed = 7;
    for (int i = 0; i < N; i++) {
        seed = seed * 1103515245u + 12345u;
        double u = (double)(seed >> 16 & 0x7fff) / 32768.0;
        raw[i] = 0.5 + 0.5 * i / N;
        right[i] = u < (i < 400 ? 0.6 : 1.0);
    }
    ladder_fit_evidence(raw, right, N, 0.02, 0.05, &e);
    assert_true(e.threshold <= 1);
    assert_in_range((int)(e.coverage * 100), 50, 70);
    assert_true(ladder_calibrate(&e, 0.99) > 0.9 && ladder_calibrate(&e, 0.55) < 0.8);
    /* Useless scores: nothing is certified however many there are. */
    for (int i = 0; i < N; i++) {
        right[i] = i % 2 == 0;
    }
    ladder_fit_evidence(raw, right, N, 0.02, 0.05, &e);
    assert_true(e.threshold > 1);
}

static void what_is_no_number_pushes_nothing_out(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    f->evidence[0][LADDER_LEARNED] = (struct ladder_evidence){
        .n = 300, .accuracy = 0.9, .slope = 1, .offset = 0, .threshold = 0.8};
    ladder_climb_begin(&c, f, arena);
    struct ladder_proposal p = {.value = "good", .raw = 0.7, .rung = LADDER_LEARNED};
    assert_true(ladder_offer(&c, 0, &p));
    p.value = "bad";
    p.raw = NAN;
    assert_false(ladder_offer(&c, 0, &p));
    assert_string_equal(c.held[0].value, "good");
    p.rung = LADDER_LIGHT; /* and without evidence it claims nothing, not a half */
    assert_true(ladder_offer(&c, 1, &p));
    assert_true(c.held[1].confidence < 0.01 && ladder_field_is_open(&c, 1));
    p.raw = 0.4;
    p.value = "better";
    assert_true(ladder_offer(&c, 1, &p));
    arena_free(arena);
    ladder_form_unref(f);
}

static void a_phrase_is_found_however_it_is_typed(void **state)
{
    (void)state;
    static const char *const found[] = {"I will take legal action.",
                                        "LEGAL ACTION now",
                                        "or I take legal\naction",
                                        "legal \t action",
                                        "legal\xc2\xa0"
                                        "action",
                                        "\xe2\x80\x9clegal action\xe2\x80\x9d",
                                        "now\xe2\x80\x94legal action\xe2\x80\xa6",
                                        "le\xc2\xadgal action",
                                        "legal\xe2\x80\x8b action",
                                        "eine ANW\xc3\x84LTIN",
                                        "Meine Anw\xc3\xa4ltin schreibt",
                                        "xlegal legal action"};
    static const char *const not_found[] = {"illegal action", "legal actions", "legal", "action",
                                            "legal re action", "Rechtsanw\xc3\xa4ltin", ""};
    struct ladder_form *f = two_field_form();
    f->always_person[f->always_person_len++] = mem_dup_str("legal action");
    f->always_person[f->always_person_len++] = mem_dup_str("Anw\xc3\xa4ltin");
    for (size_t i = 0; i < COUNT_OF(found); i++) {
        if (ladder_stake_find(f, found[i]) == NULL) {
            fail_msg("not found in \"%s\"", found[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(not_found); i++) {
        assert_null(ladder_stake_find(f, not_found[i]));
    }
    ladder_form_unref(f);
}

static void evidence_of_all_right_or_all_wrong_is_finite(void **state)
{
    (void)state;
    enum { N = 60 };
    double raw[N];
    bool right[N];
    struct ladder_evidence e;
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < N; i++) {
            raw[i] = kind < 2 ? 1.0 : i % 3 == 0 ? 0.0 : 0.5 + i / 200.0;
            right[i] = kind % 2 == 0;
        }
        ladder_fit_evidence(raw, right, N, 0.1, 0.05, &e);
        double sure = ladder_calibrate(&e, 0.9);
        assert_true(isfinite(e.slope) && isfinite(e.offset) && sure >= 0 && sure <= 1);
        assert_int_equal(e.threshold <= 1, kind % 2 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_climb_never_gets_worse),
        cmocka_unit_test(a_failed_check_keeps_a_field_open),
        cmocka_unit_test(thresholds_need_the_evidence_that_the_test_asks_for),
        cmocka_unit_test(what_is_no_number_pushes_nothing_out),
        cmocka_unit_test(a_phrase_is_found_however_it_is_typed),
        cmocka_unit_test(evidence_of_all_right_or_all_wrong_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
