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

static double calibrated(const struct ladder_evidence *e, double raw)
{
    struct ladder_signals s = {.raw = raw};
    return ladder_calibrate(e, &s);
}

static double uniform(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return (double)(*seed >> 16 & 0x7fff) / 32768.0;
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

static void levels_say_who_decides_what_is_certified(void **state)
{
    (void)state;
    static const struct {
        enum ladder_level queue, priority;
        double raw; /* of the answer on priority */
        bool open, leaves;
    } cases[] = {
        {LADDER_ASSIST, LADDER_ASSIST, 0.9, false, false},
        {LADDER_PROPOSE, LADDER_AUTO, 0.9, true, false},
        {LADDER_AUTO, LADDER_ASSIST, 0.9, false, false},
        {LADDER_AUTO, LADDER_AUTO, 0.9, false, true},
        {LADDER_AUTO, LADDER_AUTO, 0.7, false, false}, /* unsure: a person, at any level */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ladder_form *f = two_field_form();
        struct arena *arena = arena_new(1 << 20);
        struct ladder_climb c;
        f->fields[0].level = cases[i].queue;
        f->fields[1].level = cases[i].priority;
        for (size_t k = 0; k < 2; k++) {
            f->evidence[k][LADDER_LEARNED] =
                (struct ladder_evidence){.n = 300, .accuracy = 0.9, .slope = 1, .threshold = 0.8};
        }
        ladder_climb_begin(&c, f, arena);
        struct ladder_proposal p = {.value = "a", .raw = 0.9, .rung = LADDER_LEARNED};
        assert_true(ladder_offer(&c, 0, &p));
        p.raw = cases[i].raw;
        assert_true(ladder_offer(&c, 1, &p));
        assert_int_equal(ladder_needs_person(&c, 0), cases[i].open);
        assert_int_equal(ladder_is_auto(&c), cases[i].leaves);
        arena_free(arena);
        ladder_form_unref(f);
    }
    /* a draft is read by a person, whatever its fields are */
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    f->fields[0].level = f->fields[1].level = LADDER_AUTO;
    f->fields[1].type = LADDER_DRAFT;
    ladder_climb_begin(&c, f, arena);
    struct ladder_proposal p = {.value = "a", .confidence = 1, .raw = 1, .rung = LADDER_RULE};
    assert_true(ladder_offer(&c, 0, &p));
    assert_false(ladder_is_auto(&c));
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
    static struct ladder_signals said[N];
    static bool right[N];
    struct ladder_evidence e;
    /* All right: 149 items certify 2 % at 95 %, 148 do not (anchors: 2 %: 149). */
    for (int i = 0; i < N; i++) {
        said[i] = (struct ladder_signals){.raw = 0.5 + i / 2500.0};
        right[i] = true;
    }
    ladder_fit_evidence(said, right, 148, 0.02, 0.05, &e, NULL);
    assert_true(e.threshold > 1);
    ladder_fit_evidence(said, right, 149, 0.02, 0.05, &e, NULL);
    assert_true(e.threshold <= 1 && e.coverage == 1.0);
    /* A scorer that knows: errors are where it is unsure, so part is certified and part is not. */
    unsigned seed = 7;
    for (int i = 0; i < N; i++) {
        seed = seed * 1103515245u + 12345u;
        double u = (double)(seed >> 16 & 0x7fff) / 32768.0;
        said[i].raw = 0.5 + 0.5 * i / N;
        right[i] = u < (i < 400 ? 0.6 : 1.0);
    }
    ladder_fit_evidence(said, right, N, 0.02, 0.05, &e, NULL);
    assert_true(e.threshold <= 1);
    assert_in_range((int)(e.coverage * 100), 50, 70);
    assert_true(calibrated(&e, 0.99) > 0.9 && calibrated(&e, 0.55) < 0.8);
    /* Useless scores: nothing is certified however many there are. */
    for (int i = 0; i < N; i++) {
        right[i] = i % 2 == 0;
    }
    ladder_fit_evidence(said, right, N, 0.02, 0.05, &e, NULL);
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
    struct ladder_signals said[N];
    bool right[N];
    struct ladder_evidence e;
    memset(said, 0, sizeof(said));
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < N; i++) {
            said[i].raw = kind < 2 ? 1.0 : i % 3 == 0 ? 0.0 : 0.5 + i / 200.0;
            right[i] = kind % 2 == 0;
        }
        ladder_fit_evidence(said, right, N, 0.1, 0.05, &e, NULL);
        double sure = calibrated(&e, 0.9);
        assert_true(isfinite(e.slope) && isfinite(e.offset) && sure >= 0 && sure <= 1);
        assert_int_equal(e.threshold <= 1, kind % 2 == 0);
    }
}

/* A model whose own probability says nothing, beside a learned rung that is mostly right. */
static void agreement_is_used_where_it_predicts(void **state)
{
    (void)state;
    enum { N = 120 };
    static struct ladder_signals said[N];
    static bool right[N];
    static double held_out[N];
    struct ladder_evidence e;
    unsigned seed = 3;
    for (int i = 0; i < N; i++) {
        bool same = uniform(&seed) < 0.5;
        right[i] = uniform(&seed) < (same ? 0.95 : 0.15);
        said[i] = (struct ladder_signals){.raw = 0.3 + 0.6 * uniform(&seed),
                                          .margin = uniform(&seed),
                                          .agree = same ? 0.8 : -0.8};
    }
    ladder_fit_evidence(said, right, N, 0.1, 0.05, &e, held_out);
    assert_true(e.by_agree > 0.5);
    struct ladder_signals s = {.raw = 0.6, .agree = 0.8};
    double with = ladder_calibrate(&e, &s);
    s.agree = -0.8;
    assert_true(with > 0.85 && ladder_calibrate(&e, &s) < 0.35);
    for (int i = 0; i < N; i++) {
        assert_true(held_out[i] > 0 && held_out[i] < 1);
        right[i] = uniform(&seed) < 0.7; /* nothing predicts it: the further columns stay out */
    }
    ladder_fit_evidence(said, right, N, 0.1, 0.05, &e, NULL);
    assert_true(e.by_agree == 0 && e.by_margin == 0);
}

static void agreement_is_with_what_the_learned_rung_said(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    f->evidence[0][LADDER_LEARNED] = (struct ladder_evidence){
        .n = 300, .accuracy = 0.9, .slope = 1, .offset = 0, .threshold = 0.8};
    ladder_climb_begin(&c, f, arena);
    struct ladder_proposal p = {.value = "a", .raw = 0.7, .rung = LADDER_LEARNED};
    (void)ladder_offer(&c, 0, &p);
    p = (struct ladder_proposal){.value = "a", .raw = 0.5, .rung = LADDER_LIGHT,
                                 .candidates = {{"a", 0.5}, {"b", 0.3}}, .candidates_len = 2};
    struct ladder_signals s = ladder_signals_of(&c, 0, &p);
    assert_true(fabs(s.agree - 0.7) < 1e-6 && fabs(s.margin - 0.2) < 1e-9);
    p.value = "b";
    s = ladder_signals_of(&c, 0, &p);
    assert_true(fabs(s.agree + 0.7) < 1e-6);
    assert_true(ladder_signals_of(&c, 1, &p).agree == 0); /* nothing was said of that field */
    (void)ladder_offer(&c, 0, &p); /* heard, though it does not stand */
    assert_string_equal(c.heard[0][LADDER_LIGHT].value, "b");
    assert_string_equal(c.held[0].value, "a");
    arena_free(arena);
    ladder_form_unref(f);
}

static void a_class_below_what_the_workflow_accepts_only_proposes(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    struct ladder_proposal p = {.value = "a", .raw = 0.95, .rung = LADDER_LEARNED};
    for (int class = LADDER_HISTORY; class < LADDER_CLASS_COUNT; class++) {
        f->evidence[0][LADDER_LEARNED] =
            (struct ladder_evidence){.n = 300, .accuracy = 0.9, .slope = 1, .threshold = 0.8,
                                     .class = (enum ladder_class)class, .certificate = "c1"};
        f->accepts = LADDER_PROVISIONAL;
        ladder_climb_begin(&c, f, arena);
        assert_true(ladder_offer(&c, 0, &p));
        assert_int_equal(c.held[0].closed, class >= LADDER_PROVISIONAL);
        assert_int_equal(c.held[0].certificate != NULL, class >= LADDER_PROVISIONAL);
    }
    arena_free(arena);
    ladder_form_unref(f);
}

/* 64 tasks of one field: the learned rung is sure of half; heavy is right, light is a coin. */
static void make_trials(struct ladder_trial *trials, size_t n, double heavy_right)
{
    unsigned seed = 11;
    memset(trials, 0, n * sizeof(*trials));
    for (size_t i = 0; i < n; i++) {
        trials[i].field[0].target = 0.05;
        for (int r = LADDER_LEARNED; r <= LADDER_HEAVY; r++) {
            double sure = r == LADDER_LEARNED ? (i % 2 == 0 ? 0.99 : 0.6)
                          : r == LADDER_LIGHT ? 0.5
                                              : heavy_right;
            trials[i].field[0].given[r] = true;
            trials[i].field[0].confidence[r] = sure;
            trials[i].field[0].right[r] = uniform(&seed) < sure;
        }
    }
}

static void the_cheapest_climb_at_equal_error_is_chosen(void **state)
{
    (void)state;
    enum { N = 64 };
    static struct ladder_trial trials[N];
    struct ladder_choice c;
    struct ladder_costs costs = {.machine_hour = 1, .person_task = 0.01};
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        costs.ms[r] = -1;
    }
    costs.ms[LADDER_LEARNED] = 5;
    make_trials(trials, N, 0.999);
    ladder_choose(trials, N, &costs, &c);
    assert_int_equal(c.chosen, -1); /* nothing to choose between */
    costs.ms[LADDER_LIGHT] = 500;
    costs.ms[LADDER_HEAVY] = 3000;
    ladder_choose(trials, N, &costs, &c);
    assert_int_equal(c.options_len, LADDER_OPTIONS);
    assert_true(c.chosen >= 0);
    /* light never helps: it only delays */
    unsigned learned_heavy = 1u << LADDER_LEARNED | 1u << LADDER_HEAVY;
    assert_int_equal(c.options[c.chosen].rungs, learned_heavy);
    assert_non_null(strstr(c.why, "learned + heavy costs"));
    for (size_t i = 0; i < c.options_len; i++) {
        const struct ladder_option *o = &c.options[i];
        assert_true(o->error.low <= o->error.is && o->error.is <= o->error.high);
        assert_true(o->cost.low <= o->cost.is && o->cost.is <= o->cost.high);
        assert_true(o->tasks_h.low <= o->tasks_h.is && o->tasks_h.is <= o->tasks_h.high);
        assert_true(o->error.is <= 0.05 + 1e-9); /* equal error */
    }
    /* when people cost nothing, no model is worth its time */
    costs.person_task = 0;
    ladder_choose(trials, N, &costs, &c);
    assert_int_equal(c.options[c.chosen].rungs, 1u << LADDER_LEARNED);
    /* seven tasks prove nothing */
    ladder_choose(trials, 7, &costs, &c);
    assert_int_equal(c.chosen, -1);
    assert_non_null(strstr(c.why, "too few"));
}

static void a_rung_that_is_not_worth_it_is_skipped_and_said(void **state)
{
    (void)state;
    struct ladder_form *f = two_field_form();
    struct arena *arena = arena_new(1 << 20);
    struct ladder_climb c;
    const char *why = NULL;
    ladder_climb_begin(&c, f, arena);
    assert_true(ladder_wants(&c, LADDER_LIGHT, &why));
    f->skip = 1u << LADDER_LIGHT;
    assert_false(ladder_wants(&c, LADDER_LIGHT, &why));
    assert_non_null(strstr(why, "at equal error"));
    assert_true(ladder_wants(&c, LADDER_HEAVY, &why));
    arena_free(arena);
    ladder_form_unref(f);
}

static void names_are_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < LADDER_RUNG_COUNT; i++) {
        assert_int_equal(ladder_rung_find(ladder_rung_name((enum ladder_rung)i)), i);
    }
    for (int i = 0; i < LADDER_TYPE_COUNT; i++) {
        assert_int_equal(ladder_type_find(ladder_type_name((enum ladder_type)i)), i);
    }
    for (int i = 0; i < LADDER_CLASS_COUNT; i++) {
        assert_int_equal(ladder_class_find(ladder_class_name((enum ladder_class)i)), i);
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
        cmocka_unit_test(agreement_is_used_where_it_predicts),
        cmocka_unit_test(agreement_is_with_what_the_learned_rung_said),
        cmocka_unit_test(a_class_below_what_the_workflow_accepts_only_proposes),
        cmocka_unit_test(the_cheapest_climb_at_equal_error_is_chosen),
        cmocka_unit_test(a_rung_that_is_not_worth_it_is_skipped_and_said),
        cmocka_unit_test(levels_say_who_decides_what_is_certified),
        cmocka_unit_test(names_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
