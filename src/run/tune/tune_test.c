/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/tune's search on a made-up machine: a formula gives the speeds, so what must be found is
 * known. Threads: one.
 */
#include "run/tune/tune.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem/mem.h"
#include "base/text/text.h"

#include <cmocka.h>

/* What the machine likes, as factors of its speed. */
struct machine {
    double q4_0, q8_0, flash_off, one_thread, batch_128, cache_q8;
    double kl_q4_0, kl_cache; /* of the text of what it makes */
    double noise;             /* +- of each figure */
    double seconds;           /* one round of one run */
    bool make_fails;
    const char *stop_at; /* what is done when the caller stops */
    int64_t now_us;
    unsigned seed;
    int measured;
};

static double shake(struct machine *m)
{
    m->seed = m->seed * 1103515245u + 12345u;
    return 1 + m->noise * (((double)(m->seed >> 16 & 0x7fff) / 16384.0) - 1);
}

static enum fail make(void *ctx, const char *type, struct tune_variant *out, struct fault *why)
{
    struct machine *m = ctx;
    m->now_us += 1000000;
    text_copy(out->path, sizeof(out->path), type);
    out->bytes = 1000;
    return m->make_fails ? FAULT(why, FAIL_DISK_FULL, "no room for %s", type) : FAIL_NONE;
}

static enum fail measure(void *ctx, const struct tune_variant *v, const struct models_run *runs,
                         int n, int rounds, const struct tune_result *sizes,
                         struct tune_speed speeds[][TUNE_ROUNDS_MAX], struct fault *why)
{
    struct machine *m = ctx;
    (void)why;
    assert_true(sizes->prefill > 0 && n <= TUNE_RUNS_MAX && rounds <= TUNE_ROUNDS_MAX);
    for (int i = 0; i < n; i++) {
        double k = strcmp(v->quant, "Q4_0") == 0   ? m->q4_0
                   : strcmp(v->quant, "Q8_0") == 0 ? m->q8_0
                                                   : 1;
        k *= strcmp(runs[i].flash, "off") == 0 ? m->flash_off : 1;
        k *= runs[i].n_threads == 1 ? m->one_thread : 1;
        k *= runs[i].n_batch == 128 ? m->batch_128 : 1;
        k *= strcmp(runs[i].type_v, "q8_0") == 0 ? m->cache_q8 : 1;
        for (int r = 0; r < rounds; r++) {
            speeds[i][r] = (struct tune_speed){200 * k * shake(m), 100 * k * shake(m),
                                               150 * k * shake(m)};
            m->now_us += (int64_t)(m->seconds * 1e6);
            m->measured++;
        }
    }
    return FAIL_NONE;
}

static enum fail compare(void *ctx, struct tune_variant *v, const struct models_run *run,
                         struct fault *why)
{
    struct machine *m = ctx;
    (void)why;
    v->kl = strcmp(v->quant, "Q4_0") == 0 ? m->kl_q4_0 : 0.005;
    v->kl += strcmp(run->type_v, "q8_0") == 0 ? m->kl_cache : 0;
    v->top_1 = 0.95;
    v->perplexity = 1.001;
    return FAIL_NONE;
}

static int64_t now(void *ctx)
{
    return ((struct machine *)ctx)->now_us;
}

static bool progress(void *ctx, const char *doing, double share)
{
    struct machine *m = ctx;
    assert_true(share >= 0 && share <= 1);
    return m->stop_at == NULL || strstr(doing, m->stop_at) == NULL;
}

static const struct tune_ops ops = {make, measure, compare, now, progress};

static struct machine plain(void)
{
    return (struct machine){.q4_0 = 1, .q8_0 = 1, .flash_off = 0.9, .one_thread = 0.6,
                            .batch_128 = 1, .cache_q8 = 0.9, .kl_q4_0 = 0.3, .noise = 0.01,
                            .seconds = 1, .seed = 7};
}

static struct tune_result *search(struct machine *m, const char *quant, int cores, bool quick)
{
    static struct tune_result r;
    const struct tune_options o = {.quant = quant, .path = "original", .bytes = 1000,
                                   .parameters = 135000000, .cores = cores, .quick = quick};
    struct fault why = {0}, skipped = {0};
    assert_int_equal(tune_search(&o, &ops, m, &r, &skipped, &why), FAIL_NONE);
    return &r;
}

static void the_work_is_the_formula(void **state)
{
    (void)state;
    assert_true(fabs(tune_work_seconds(&(struct tune_speed){500, 75, 150}) - 3.5) < 1e-12);
}

static void nothing_better_leaves_things_as_they_are(void **state)
{
    (void)state;
    struct machine m = plain();
    struct tune_result *r = search(&m, "Q4_1", 2, false);
    assert_int_equal(r->best, r->today);
    assert_int_equal(r->rows[r->today].variant, 0);
    assert_string_equal(r->rows[r->today].run.flash, "on");
}

static void noise_alone_changes_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 50; seed++) {
        struct machine m = plain();
        m.flash_off = m.one_thread = m.cache_q8 = 1;
        m.noise = 0.01;
        m.seed = seed;
        struct tune_result *r = search(&m, "Q4_1", 2, false);
        assert_int_equal(r->best, r->today);
    }
}

static void each_stage_finds_its_gain(void **state)
{
    (void)state;
    struct machine m = plain();
    m.q8_0 = 1.5;
    m.flash_off = 1.2;
    m.one_thread = 1.1;
    m.batch_128 = 1.1;
    struct tune_result *r = search(&m, "Q4_1", 2, false);
    const struct tune_row *best = &r->rows[r->best];
    assert_string_equal(r->variants[best->variant].quant, "Q8_0");
    assert_string_equal(best->run.flash, "off");
    assert_int_equal(best->run.n_threads, 1);
    assert_int_equal(best->run.n_batch, 128);
    assert_string_equal(best->run.type_v, "f16"); /* flash off: values cannot be quantised */
    assert_true(fabs(r->gain - 1.5 * 1.2 * 1.1 * 1.1) < 0.1);
    assert_true(r->kl == 0.005);
}

static void a_fast_file_that_says_something_else_is_not_taken(void **state)
{
    (void)state;
    struct machine m = plain();
    m.q4_0 = 2;
    struct tune_result *r = search(&m, "Q4_1", 2, false);
    assert_int_equal(r->best, r->today);
    assert_string_equal(r->variants[1].quant, "Q4_0");
    assert_false(r->variants[1].fits);
    assert_true(r->rows[2].gain > 1.9); /* it is shown */
    m = plain();
    m.q4_0 = 2;
    m.kl_q4_0 = 0.01;
    r = search(&m, "Q4_1", 2, false);
    assert_string_equal(r->variants[r->rows[r->best].variant].quant, "Q4_0");
}

static void a_fast_cache_that_says_something_else_is_not_taken(void **state)
{
    (void)state;
    struct machine m = plain();
    m.cache_q8 = 1.4;
    m.kl_cache = 0.001;
    struct tune_result *r = search(&m, "Q4_1", 2, false);
    assert_string_equal(r->rows[r->best].run.type_v, "q8_0");
    assert_true(fabs(r->kl - 0.006) < 1e-9);
    m = plain();
    m.cache_q8 = 1.4;
    m.kl_cache = 0.5;
    r = search(&m, "Q4_1", 2, false);
    assert_int_equal(r->best, r->today);
}

static void it_keeps_to_its_time(void **state)
{
    (void)state;
    struct machine slow = plain(), quick = plain();
    slow.seconds = 4; /* a round of one run of a small model on two old cores */
    assert_true(search(&slow, "Q4_1", 2, false)->seconds < 230);
    quick.seconds = 1;
    assert_true(search(&quick, "Q4_1", 2, true)->seconds < 60);
    struct machine thorough = plain();
    assert_true(search(&thorough, "Q4_1", 2, false)->seconds < 200);
    assert_true(quick.measured < thorough.measured);
    struct machine one = plain();
    one.seconds = 0.2;
    struct tune_result *r = search(&one, "Q8_0", 1, false); /* one core: no threads to choose */
    for (int i = 0; i < r->n_rows; i++) {
        assert_string_not_equal(r->rows[i].stage, "threads");
    }
}

static void what_cannot_be_made_is_left_out(void **state)
{
    (void)state;
    struct machine m = plain();
    struct tune_result r;
    struct fault why = {0}, skipped = {0};
    const struct tune_options o = {.quant = "Q4_1", .path = "original", .bytes = 1,
                                   .parameters = 1000, .cores = 2};
    m.make_fails = true;
    assert_int_equal(tune_search(&o, &ops, &m, &r, &skipped, &why), FAIL_NONE);
    assert_int_equal(r.n_variants, 1);
    assert_int_equal(skipped.code, FAIL_DISK_FULL);
    m = plain();
    m.stop_at = "threads";
    assert_int_equal(tune_search(&o, &ops, &m, &r, NULL, &why), FAIL_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_work_is_the_formula),
        cmocka_unit_test(nothing_better_leaves_things_as_they_are),
        cmocka_unit_test(noise_alone_changes_nothing),
        cmocka_unit_test(each_stage_finds_its_gain),
        cmocka_unit_test(a_fast_file_that_says_something_else_is_not_taken),
        cmocka_unit_test(a_fast_cache_that_says_something_else_is_not_taken),
        cmocka_unit_test(it_keeps_to_its_time),
        cmocka_unit_test(what_cannot_be_made_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
