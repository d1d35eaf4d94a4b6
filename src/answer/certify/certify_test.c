/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the statistics: known values, the walk's validity under simulated streams, looks that
 * spend no more than delta together, the watch's false alarms and its power.
 */
#include "answer/certify/certify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem/mem.h"

/* xorshift64*: the same streams on every machine. */
static uint64_t seed_now;

static double draw(void)
{
    seed_now ^= seed_now >> 12;
    seed_now ^= seed_now << 25;
    seed_now ^= seed_now >> 27;
    return (double)((seed_now * 2685821657736338717ULL) >> 11) * 0x1p-53;
}

static void seed(uint64_t n)
{
    seed_now = n * 0x9e3779b97f4a7c15ULL + 1;
    for (int i = 0; i < 8; i++) {
        draw();
    }
}

#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance))) {                                                     \
            fail_msg("%s = %.12g, not %.12g", #a, a_, b_);                                         \
        }                                                                                          \
    } while (0)

/* ---- exact binomial ---- */

static double slow_binomial(size_t k, size_t n, double p)
{
    double sum = 0;
    int sign;
    for (size_t i = 0; i <= k; i++) {
        sum += exp(lgamma_r((double)n + 1, &sign) - lgamma_r((double)i + 1, &sign) -
                   lgamma_r((double)(n - i) + 1, &sign) + (double)i * log(p) +
                   (double)(n - i) * log1p(-p));
    }
    return sum;
}

static void the_binomial_is_exact(void **state)
{
    (void)state;
    /* By hand: 0.5^10 (1 + 10 + 45) ; 0.98^149. */
    assert_near(certify_binomial(2, 10, 0.5), 56.0 / 1024, 1e-14);
    assert_near(certify_binomial(0, 149, 0.02), pow(0.98, 149), 1e-14);
    assert_near(certify_beta(2, 3, 0.5), 0.6875, 1e-14); /* 11 / 16 */
    assert_near(certify_beta(0.5, 0.5, 0.25), 1.0 / 3, 1e-12); /* 2 asin(sqrt(x)) / pi */
    assert_true(certify_binomial(5, 5, 0.3) == 1 && certify_binomial(2, 5, 0) == 1 &&
                certify_binomial(2, 5, 1) == 0);
    static const struct {
        size_t k, n;
        double p;
    } cases[] = {{3, 500, 0.02}, {10, 1000, 0.02}, {0, 1, 0.5}, {49, 50, 0.9}, {700, 20000, 0.04},
                 {400, 1000, 0.4}, {1, 100000, 1e-5}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double slow = slow_binomial(cases[i].k, cases[i].n, cases[i].p);
        assert_near(certify_binomial(cases[i].k, cases[i].n, cases[i].p) / slow, 1, 1e-9);
    }
}

static void bounds_are_those_of_clopper_and_pearson(void **state)
{
    (void)state;
    assert_near(certify_upper(0, 100, 0.05), 1 - pow(0.05, 0.01), 1e-12);
    assert_near(certify_lower(100, 100, 0.05), pow(0.05, 0.01), 1e-12);
    /* Two-sided 95 % of 10 of 100 in the tables: 0.0490 to 0.1762. */
    assert_near(certify_lower(10, 100, 0.025), 0.0490, 5e-5);
    assert_near(certify_upper(10, 100, 0.025), 0.1762, 5e-5);
    assert_true(certify_upper(7, 7, 0.05) == 1 && certify_lower(0, 7, 0.05) == 0 &&
                certify_upper(0, 0, 0.05) == 1);
}

static void the_counts_needed_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct {
        double target;
        size_t k, n;
    } table[] = {{0.01, 0, 299}, {0.01, 1, 473}, {0.01, 2, 628}, {0.01, 5, 1049}, {0.02, 0, 149},
                 {0.02, 1, 236}, {0.02, 2, 313}, {0.02, 5, 523}, {0.05, 0, 59},   {0.05, 1, 93},
                 {0.05, 2, 124}, {0.05, 5, 208}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(certify_needed(table[i].k, table[i].target, 0.05), table[i].n);
    }
    struct certify_rule rule = {.target = 0.02, .delta = 0.05};
    assert_int_equal(certify_start(500, 435, &rule), 313);
    assert_int_equal(certify_start(1000, 870, &rule), 523);
    assert_int_equal(certify_start(2000, 1740, &rule), 523);
    assert_int_equal(certify_start(2000, 300, &rule), 149);
    assert_int_equal(certify_start(148, 148, &rule), 0);
    assert_int_equal(certify_start(150, 0, &rule), 149);
}

/* ---- the walk ---- */

static void a_walk_stops_at_the_first_that_is_not_rejected(void **state)
{
    (void)state;
    enum { N = 1000 };
    double score[N];
    bool right[N];
    struct certify_rule rule = {.target = 0.02, .delta = 0.05};
    struct certify_result r;
    for (int i = 0; i < N; i++) {
        score[i] = 1 - i / 40000.0;
        right[i] = i < 700 || i % 2 == 0; /* the last 300 are half wrong */
    }
    certify_test(score, right, N, &rule, &r);
    assert_true(r.certified);
    assert_int_equal(r.start, 523);
    assert_true(r.accepted >= 700 && r.accepted < 730);
    assert_true(certify_binomial(r.errors, r.accepted, 0.02) <= 0.05 && r.p <= 0.05);
    assert_true(r.threshold > score[r.accepted] && r.threshold <= score[r.accepted - 1]);
    assert_true(r.error_upper <= 0.02 + 1e-12 && r.traffic_upper < r.error_upper);
    /* The same, whatever the order; a score that is no number is not accepted. */
    struct certify_result again;
    for (int i = 0; i < N / 2; i++) {
        double s = score[i];
        bool ok = right[i];
        score[i] = score[N - 1 - i], right[i] = right[N - 1 - i];
        score[N - 1 - i] = s, right[N - 1 - i] = ok;
    }
    certify_test(score, right, N, &rule, &again);
    assert_int_equal(again.accepted, r.accepted);
    for (int i = 0; i < N; i++) {
        score[i] = NAN;
        right[i] = true;
    }
    certify_test(score, right, N, &rule, &r);
    assert_false(r.certified);
    assert_true(r.threshold == CERTIFY_NEVER);
}

static void equal_scores_stand_or_fall_together(void **state)
{
    (void)state;
    enum { N = 600 };
    double score[N];
    bool right[N];
    struct certify_rule rule = {.target = 0.02, .delta = 0.05};
    struct certify_result r;
    for (int i = 0; i < N; i++) {
        score[i] = i < 400 ? 0.9 : 0.5;
        right[i] = i < 400 || i % 3 == 0;
    }
    certify_test(score, right, N, &rule, &r);
    assert_true(r.certified);
    assert_int_equal(r.accepted, 400);
    for (int i = 0; i < N; i++) {
        score[i] = 0.7;
        right[i] = true;
    }
    certify_test(score, right, N, &rule, &r);
    assert_true(r.certified && r.accepted == N && r.threshold <= 0);
    certify_test(score, right, 100, &rule, &r);
    assert_false(r.certified);
    assert_int_equal(r.start, 0);
}

/* A stream whose error falls with its score: the chance of an error at score u in 0..1. */
static double risk(double u, double steep)
{
    return exp(-steep * u);
}

/* Share of `runs` in which the certified threshold's true error is above the target; how much was
   accepted, on average, into *coverage. */
static double violations(int runs, size_t n, double steep, double flat,
                         const struct certify_rule *rule, double *coverage)
{
    double *score = mem_alloc_array(n, sizeof(*score));
    bool *right = mem_alloc_array(n, sizeof(*right));
    int broken = 0;
    *coverage = 0;
    for (int run = 0; run < runs; run++) {
        struct certify_result r;
        seed((uint64_t)run + 1);
        for (size_t i = 0; i < n; i++) {
            double u = draw();
            score[i] = flat > 0 ? u : 1 - risk(u, steep);
            right[i] = draw() >= (flat > 0 ? flat : risk(u, steep));
        }
        certify_test(score, right, n, rule, &r);
        if (!r.certified) {
            continue;
        }
        double t = flat > 0 ? r.threshold : -log1p(-r.threshold) / steep;
        t = t < 0 ? 0 : t;
        /* The integral of the risk above t, over 1 - t. */
        double wrong = flat > 0 ? flat * (1 - t) : (exp(-steep * t) - exp(-steep)) / steep;
        double true_error = rule->basis == CERTIFY_OF_TRAFFIC ? wrong : wrong / (1 - t);
        broken += true_error > rule->target ? 1 : 0;
        *coverage += (1 - t) / runs;
    }
    mem_free(score);
    mem_free(right);
    return (double)broken / runs;
}

static void certificates_hold_as_often_as_they_say(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double steep, flat;
    } streams[] = {{500, 8, 0},  {1000, 8, 0}, {2000, 8, 0}, {1000, 20, 0},
                   {1000, 3, 0}, {500, 0, 0.0204}, {1000, 0, 0.0204}, {2000, 0, 0.0204}};
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        struct certify_rule rule = {.target = 0.02, .delta = 0.05};
        double coverage;
        double v = violations(2000, streams[i].n, streams[i].steep, streams[i].flat, &rule,
                              &coverage);
        printf("n %zu, steepness %g, flat %g: %.4f broken, coverage %.3f\n", streams[i].n,
               streams[i].steep, streams[i].flat, v, coverage);
        /* Three standard deviations of a share of 2,000 above delta. */
        assert_true(v <= 0.05 + 3 * sqrt(0.05 * 0.95 / 2000));
        assert_true(streams[i].steep < 8 || coverage > 0.2); /* never broken, never offered */
    }
}

static void a_budget_of_all_traffic_holds_too(void **state)
{
    (void)state;
    struct certify_share rungs[] = {{.weight = 0.6}, {.weight = 0.3}, {.weight = 0.1}};
    certify_split(0.02, 0.05, rungs, 3);
    assert_near(rungs[0].target, 0.012, 1e-12);
    assert_near(rungs[2].target, 0.002, 1e-12);
    double target = 0, delta = 0, coverage;
    for (int i = 0; i < 3; i++) {
        target += rungs[i].target;
        delta += rungs[i].delta;
    }
    assert_true(target <= 0.02 + 1e-12 && delta <= 0.05 + 1e-12);
    struct certify_rule rule = {.target = rungs[0].target, .delta = rungs[0].delta,
                                .basis = CERTIFY_OF_TRAFFIC};
    double v = violations(2000, 1000, 6, 0, &rule, &coverage);
    printf("of traffic: %.4f broken, coverage %.3f\n", v, coverage);
    assert_true(v <= rungs[0].delta + 3 * sqrt(rungs[0].delta / 2000));
    assert_true(coverage > 0.2);
}

/* All looks of one pilot together: the flat stream just above the target is the worst there is. */
static void looking_again_spends_no_more_than_delta(void **state)
{
    (void)state;
    enum { RUNS = 1000, LOOKS = 4 };
    double spent = 0;
    for (size_t look = 0; look < CERTIFY_LOOKS_MAX; look++) {
        spent += certify_look_delta(look, 0.05);
    }
    assert_true(spent <= 0.05);
    assert_int_equal(certify_look_items(0, 0.02), 500);
    assert_int_equal(certify_look_items(2, 0.02), 2000);
    int broken = 0;
    double *score = mem_alloc_array(4000, sizeof(*score));
    bool *right = mem_alloc_array(4000, sizeof(*right));
    for (int run = 0; run < RUNS; run++) {
        bool any = false;
        seed((uint64_t)run + 77);
        for (size_t i = 0; i < 4000; i++) {
            score[i] = draw();
            right[i] = draw() >= 0.0204;
        }
        for (size_t look = 0; look < LOOKS; look++) {
            struct certify_rule rule = {.target = 0.02,
                                        .delta = certify_look_delta(look, 0.05)};
            struct certify_result r;
            certify_test(score, right, certify_look_items(look, 0.02), &rule, &r);
            any = any || r.certified;
        }
        broken += any;
    }
    mem_free(score);
    mem_free(right);
    printf("four looks: %.4f broken\n", (double)broken / RUNS);
    assert_true(broken <= RUNS * (0.05 + 3 * sqrt(0.05 * 0.95 / RUNS)));
}

static void what_is_still_needed_follows_from_the_curve(void **state)
{
    (void)state;
    enum { N = 400 };
    double score[N] = {0};
    bool right[N] = {false};
    assert_int_equal(certify_expected(score, right, 0, 0, 0.02, 0.05), 500);
    for (int i = 0; i < N; i++) {
        score[i] = 1 - i / 400.0;
        right[i] = true;
    }
    assert_int_equal(certify_expected(score, right, N, 0, 0.02, 0.05), 500);
    for (int i = 0; i < N; i++) {
        right[i] = i % 70 != 30; /* 1.4 % wrong everywhere: many items are needed */
    }
    size_t many = certify_expected(score, right, N, 0, 0.02, 0.05);
    assert_true(many > 2000);
    for (int i = 0; i < N; i++) {
        right[i] = i % 20 != 7; /* 5 % wrong wherever one cuts */
    }
    assert_int_equal(certify_expected(score, right, N, 0, 0.02, 0.05), 0);
    assert_true(certify_expected(score, right, N, 0, 0.10, 0.05) > 0);
    /* A look that is over is not offered again. */
    assert_true(certify_expected(score, right, 0, 2, 0.02, 0.05) == 2000);
}

/* ---- the acceptor ---- */

static void an_acceptor_learns_what_the_confidence_does_not_say(void **state)
{
    (void)state;
    enum { N = 6000 };
    struct certify_features *x = mem_alloc_array(N, sizeof(*x));
    bool *right = mem_alloc_array(N, sizeof(*right));
    struct certify_acceptor a;
    seed(3);
    for (int i = 0; i < N; i++) {
        double top = 0.5 + draw() / 2;
        double agree = draw();
        x[i] = (struct certify_features){.top = top, .margin = top - draw() * (1 - top),
                                         .entropy = 2 * (1 - top), .agreement = agree,
                                         .class_error = 0.02 + 0.1 * draw()};
        right[i] = draw() < 1 / (1 + exp(-(2 + 3 * (top - 0.75) + 6 * (agree - 0.5))));
    }
    assert_false(certify_acceptor_fit(x, right, CERTIFY_ACCEPTOR_MIN - 1, &a));
    assert_true(certify_acceptor_fit(x, right, N, &a));
    double sum = 0, good = 0;
    for (int i = 0; i < N; i++) {
        sum += certify_acceptor_score(&a, &x[i]);
        good += right[i];
    }
    assert_near(sum / N, good / N, 1e-3); /* logistic regression keeps the mean */
    assert_true(a.weight[3] / a.scale[3] > 5 && a.weight[3] / a.scale[3] < 7); /* 6 was planted */
    for (int i = 0; i < N; i++) {
        right[i] = true;
    }
    assert_false(certify_acceptor_fit(x, right, N, &a));
    mem_free(x);
    mem_free(right);
}

/* ---- the watch ---- */

/* Draws until the alarm, or -1; the error is `before` up to draw `change`, then `after`. */
static int alarm_at(uint64_t run, double target, double planned, double before, int change,
                    double after, int draws)
{
    struct certify_watch w;
    certify_watch_begin(&w, target, CERTIFY_WATCH_DELTA, planned);
    seed(run);
    for (int t = 0; t < draws; t++) {
        if (certify_watch_feed(&w, draw() < (t < change ? before : after))) {
            return t + 1;
        }
    }
    return -1;
}

static void a_watch_seldom_cries_wolf(void **state)
{
    (void)state;
    enum { RUNS = 1000 };
    static const double targets[] = {0.01, 0.02, 0.05, 0.1};
    for (size_t k = 0; k < COUNT_OF(targets); k++) {
        int alarms = 0;
        for (int run = 0; run < RUNS; run++) {
            alarms += alarm_at((uint64_t)run + 1, targets[k], 4000, targets[k], 0, targets[k],
                               4000) > 0;
        }
        printf("target %g: %.4f false alarms in 4,000 draws\n", targets[k],
               (double)alarms / RUNS);
        assert_true(alarms <= RUNS * CERTIFY_WATCH_DELTA + 3 * sqrt(RUNS * 0.05 * 0.95));
    }
}

static void a_tripled_error_is_found_in_the_days_it_says(void **state)
{
    (void)state;
    enum { RUNS = 400 };
    static const struct {
        double target, per_day;
    } houses[] = {{0.02, 1000}, {0.02, 200}, {0.02, 60}, {0.05, 300}, {0.01, 5000}, {0.1, 100}};
    for (size_t k = 0; k < COUNT_OF(houses); k++) {
        struct certify_plan p;
        certify_audit_plan(houses[k].target, CERTIFY_WATCH_DELTA, CERTIFY_FIND_POWER,
                           CERTIFY_FIND_DAYS, CERTIFY_AUDIT_MOST, houses[k].per_day, &p);
        assert_true(p.rate > 0 && p.rate <= 1 && p.days >= CERTIFY_FIND_DAYS);
        int a_day = (int)ceil(p.rate * houses[k].per_day);
        /* At once, and after half a season at half the target. */
        static const double changes[] = {0, 0.5};
        for (size_t c = 0; c < COUNT_OF(changes); c++) {
            int change = (int)(changes[c] * p.planned);
            int within = (int)ceil(p.days * a_day);
            int found = 0, early = 0;
            for (int run = 0; run < RUNS; run++) {
                int at = alarm_at((uint64_t)run + 5, houses[k].target, p.planned,
                                  houses[k].target / 2, change, 3 * houses[k].target,
                                  change + within);
                found += at > change;
                early += at > 0 && at <= change;
            }
            printf("target %g, %g a day: rate %.3f, %.0f draws in %.0f days; change at %d: found "
                   "%.3f\n", houses[k].target, houses[k].per_day, p.rate, p.draws, p.days, change,
                   (double)found / RUNS);
            assert_true(found >= 0.8 * RUNS && early <= 0.05 * RUNS);
        }
    }
}

static void a_draw_is_fair_and_can_be_checked(void **state)
{
    (void)state;
    int drawn = 0;
    for (int i = 0; i < 20000; i++) {
        struct id id;
        seed((uint64_t)i + 1);
        for (size_t b = 0; b < sizeof(id.bytes); b++) {
            id.bytes[b] = (uint8_t)(draw() * 256);
        }
        assert_true(certify_is_drawn(&id, 1) && !certify_is_drawn(&id, 0));
        bool yes = certify_is_drawn(&id, 0.05);
        assert_true(yes == certify_is_drawn(&id, 0.05));
        drawn += yes;
    }
    assert_true(drawn > 900 && drawn < 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_binomial_is_exact),
        cmocka_unit_test(bounds_are_those_of_clopper_and_pearson),
        cmocka_unit_test(the_counts_needed_are_those_of_the_table),
        cmocka_unit_test(a_walk_stops_at_the_first_that_is_not_rejected),
        cmocka_unit_test(equal_scores_stand_or_fall_together),
        cmocka_unit_test(certificates_hold_as_often_as_they_say),
        cmocka_unit_test(a_budget_of_all_traffic_holds_too),
        cmocka_unit_test(looking_again_spends_no_more_than_delta),
        cmocka_unit_test(what_is_still_needed_follows_from_the_curve),
        cmocka_unit_test(an_acceptor_learns_what_the_confidence_does_not_say),
        cmocka_unit_test(a_watch_seldom_cries_wolf),
        cmocka_unit_test(a_tripled_error_is_found_in_the_days_it_says),
        cmocka_unit_test(a_draw_is_fair_and_can_be_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
