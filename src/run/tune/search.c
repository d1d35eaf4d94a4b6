/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search: stages, medians, and who is taken. Knows no process; the ops do the work.
 * Threads: one. Limits: the header's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/mem.h"
#include "base/text/text.h"
#include "run/tune/tune.h"

#define LARGE_PARAMETERS UINT64_C(500000000)
#define SMALL_PARAMETERS UINT64_C(200000000)
/* A file this much slower than the best after one round is not measured again. */
#define HOPELESS 1.25

struct search {
    const struct tune_options *o;
    const struct tune_ops *ops;
    void *ctx;
    struct tune_result *r;
    int64_t start_us;
    int64_t budget_us;
    double round_us; /* one round of one run, as seen last */
    struct models_run base;
};

double tune_work_seconds(const struct tune_speed *s)
{
    return 1000 / s->prefill + 75 / s->decode_1 + 75 / s->decode_8;
}

static enum fail say(struct search *s, const char *doing, double share, struct fault *why)
{
    bool on = s->ops->progress == NULL || s->ops->progress(s->ctx, doing, share);
    return on ? FAIL_NONE : FAULT(why, FAIL_STOPPED, "stopped while the model was tuned");
}

/* ---- rows ---- */

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), by_double);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void take_speeds(struct tune_row *row, const struct tune_speed *speeds, int n)
{
    double read[TUNE_ROUNDS_MAX], one[TUNE_ROUNDS_MAX], eight[TUNE_ROUNDS_MAX];
    double work[TUNE_ROUNDS_MAX];
    for (int i = 0; i < n; i++) {
        read[i] = speeds[i].prefill;
        one[i] = speeds[i].decode_1;
        eight[i] = speeds[i].decode_8;
        work[i] = tune_work_seconds(&speeds[i]);
    }
    row->speed = (struct tune_speed){median(read, n), median(one, n), median(eight, n)};
    double middle = median(work, n);
    row->spread = (work[n - 1] - work[0]) / middle;
    row->rounds = n;
}

static double work_of(const struct search *s, int row)
{
    return tune_work_seconds(&s->r->rows[row].speed);
}

static int add_row(struct search *s, int variant, const struct models_run *run, const char *stage)
{
    ASSERT(s->r->n_rows < TUNE_ROWS_MAX);
    s->r->rows[s->r->n_rows] =
        (struct tune_row){.variant = variant, .run = *run, .stage = stage, .gain = 1};
    return s->r->n_rows++;
}

/* ---- the files ---- */

struct recipe {
    const char *from; /* how the original's type begins */
    const char *to[TUNE_VARIANTS_MAX];
};
/* What may be faster than it; never more bits where fewer are all there is to gain. */
static const struct recipe recipes[] = {
    {"F32", {"F16", "Q8_0", "Q4_K_M", "Q4_0"}},
    {"F16", {"Q8_0", "Q6_K", "Q4_K_M", "Q4_0"}},
    {"BF16", {"F16", "Q8_0", "Q4_K_M", "Q4_0"}},
    {"Q8_0", {"Q6_K", "Q4_K_M", "Q4_0"}},
    {"Q6_K", {"Q8_0", "Q4_K_M", "Q4_0"}},
    {"Q5_", {"Q8_0", "Q4_K_M", "Q4_0"}},
    {"Q4_0", {"Q8_0"}},
    {"Q4_1", {"Q4_0", "Q8_0", "F16"}},
    {"IQ4", {"Q4_0", "Q8_0"}},
    {"", {"Q4_0", "Q8_0"}}, /* Q4_K, Q3_K, Q2_K and what may come */
};

static const char *const *types_for(const char *quant)
{
    size_t i = 0;
    while (!text_starts_with(quant, recipes[i].from)) {
        i++;
    }
    return recipes[i].to;
}

static bool is_worth_making(const struct tune_options *o, const char *type, int made)
{
    bool wide = strcmp(type, "F16") == 0 || strcmp(type, "Q8_0") == 0;
    if (strcmp(type, "F16") == 0 && o->parameters > SMALL_PARAMETERS) {
        return false; /* reading the weights is what limits it */
    }
    return !o->quick || (made < 1 && !(wide && o->parameters > LARGE_PARAMETERS));
}

static enum fail make_variants(struct search *s, struct fault *skipped, struct fault *why)
{
    struct tune_result *r = s->r;
    r->variants[0] = (struct tune_variant){.bytes = s->o->bytes, .top_1 = 1, .perplexity = 1,
                                           .fits = true};
    text_copy(r->variants[0].quant, sizeof(r->variants[0].quant), s->o->quant);
    text_copy(r->variants[0].path, sizeof(r->variants[0].path), s->o->path);
    r->n_variants = 1;
    const char *const *types = types_for(s->o->quant);
    for (int i = 0; i < TUNE_VARIANTS_MAX && types[i] != NULL; i++) {
        struct tune_variant *v = &r->variants[r->n_variants];
        struct fault wrong = {0};
        if (!is_worth_making(s->o, types[i], r->n_variants - 1)) {
            continue;
        }
        char doing[48];
        (void)snprintf(doing, sizeof(doing), "making %s", types[i]);
        enum fail f = say(s, doing, 0.04 * i, why);
        if (f != FAIL_NONE) {
            return f;
        }
        *v = (struct tune_variant){0};
        text_copy(v->quant, sizeof(v->quant), types[i]);
        f = s->ops->make(s->ctx, types[i], v, &wrong);
        f = f != FAIL_NONE ? f : s->ops->compare(s->ctx, v, &s->base, &wrong);
        if (f == FAIL_STOPPED) {
            *why = wrong;
            return f;
        }
        if (f == FAIL_NONE) {
            v->fits = v->kl <= TUNE_KL_MAX && v->perplexity <= TUNE_PERPLEXITY_MAX;
            r->n_variants++;
        } else if (skipped != NULL) {
            *skipped = wrong;
        }
    }
    return FAIL_NONE;
}

/* ---- measuring ---- */

/* How many rounds of n runs the share of the budget pays for: odd numbers have a middle. */
static int rounds_for(const struct search *s, int n, double share)
{
    double pays = (double)s->budget_us * share / (s->round_us * n);
    int most = s->o->quick ? 3 : TUNE_ROUNDS_MAX;
    int rounds = pays >= 5 ? 5 : pays >= 3 ? 3 : 1;
    return rounds < most ? rounds : most;
}

static enum fail measure(struct search *s, int variant, const struct models_run *runs, int n,
                         int rounds, struct tune_speed speeds[][TUNE_ROUNDS_MAX],
                         struct fault *why)
{
    int64_t start = s->ops->now_us(s->ctx);
    enum fail f = s->ops->measure(s->ctx, &s->r->variants[variant], runs, n, rounds, s->r, speeds,
                                  why);
    for (int i = 0; f == FAIL_NONE && i < n; i++) {
        for (int k = 0; f == FAIL_NONE && k < rounds; k++) {
            const struct tune_speed *v = &speeds[i][k];
            if (!(v->prefill > 0 && v->decode_1 > 0 && v->decode_8 > 0)) {
                f = FAULT(why, FAIL_WORKER_DIED, "the measuring job left a figure out");
            }
        }
    }
    s->round_us = (double)(s->ops->now_us(s->ctx) - start) / (n * rounds);
    return f;
}

/* The files in turns, one round each time, flash on and off; the hopeless are dropped. */
static enum fail measure_files(struct search *s, struct fault *why)
{
    struct tune_result *r = s->r;
    struct tune_speed all[TUNE_VARIANTS_MAX][2][TUNE_ROUNDS_MAX];
    struct models_run runs[2] = {s->base, s->base};
    int seen[TUNE_VARIANTS_MAX] = {0};
    double best = 0;
    int rounds = 1;
    text_copy(runs[0].flash, sizeof(runs[0].flash), "on");
    text_copy(runs[1].flash, sizeof(runs[1].flash), "off");
    for (int round = 0; round < rounds; round++) {
        for (int v = 0; v < r->n_variants; v++) {
            struct tune_speed got[2][TUNE_ROUNDS_MAX];
            char doing[64];
            double worth = 0;
            if (round > 0) {
                worth = tune_work_seconds(&all[v][0][0]) < tune_work_seconds(&all[v][1][0])
                            ? tune_work_seconds(&all[v][0][0])
                            : tune_work_seconds(&all[v][1][0]);
            }
            if (round > 0 && v > 0 && (!r->variants[v].fits || worth > HOPELESS * best)) {
                continue;
            }
            (void)snprintf(doing, sizeof(doing), "measuring %s", r->variants[v].quant);
            enum fail f = say(s, doing, 0.2 + 0.3 * (round + (double)v / r->n_variants) / rounds,
                              why);
            f = f != FAIL_NONE ? f : measure(s, v, runs, 2, 1, got, why);
            if (f != FAIL_NONE) {
                return f;
            }
            for (int i = 0; i < 2; i++) {
                double work = tune_work_seconds(&got[i][0]);
                all[v][i][seen[v]] = got[i][0];
                best = r->variants[v].fits && (best <= 0 || work < best) ? work : best;
            }
            seen[v]++;
        }
        if (round == 0) {
            rounds = rounds_for(s, 2 * r->n_variants, 0.4);
        }
    }
    for (int v = 0; v < r->n_variants; v++) {
        for (int i = 0; i < 2; i++) {
            take_speeds(&r->rows[add_row(s, v, &runs[i], "file")], all[v][i], seen[v]);
        }
    }
    return FAIL_NONE;
}

/* The best so far against alternatives in the use of its file. */
static enum fail measure_uses(struct search *s, const char *stage, struct models_run *runs, int n,
                              double from, double share, struct fault *why)
{
    struct tune_speed speeds[TUNE_RUNS_MAX][TUNE_ROUNDS_MAX];
    struct tune_result *r = s->r;
    const struct tune_row held = r->rows[r->best];
    char doing[48];
    if (n == 0) {
        return FAIL_NONE;
    }
    runs[n] = held.run; /* in turns with it, at the same hour */
    int rounds = rounds_for(s, n + 1, share);
    (void)snprintf(doing, sizeof(doing), "measuring the %s", stage);
    enum fail f = say(s, doing, from, why);
    f = f != FAIL_NONE ? f : measure(s, held.variant, runs, n + 1, rounds, speeds, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct tune_row now = held;
    take_speeds(&now, speeds[n], rounds);
    double work = tune_work_seconds(&now.speed), best = work / TUNE_GAIN_MIN;
    for (int i = 0; i < n; i++) {
        int at = add_row(s, held.variant, &runs[i], stage);
        take_speeds(&r->rows[at], speeds[i], rounds);
        r->rows[at].gain = held.gain * work / work_of(s, at);
        if (work_of(s, at) < best) {
            best = work_of(s, at);
            r->best = at;
        }
    }
    return FAIL_NONE;
}

static enum fail measure_threads(struct search *s, struct fault *why)
{
    struct models_run runs[TUNE_RUNS_MAX];
    int n = 0;
    for (int t = s->o->cores / 2; t >= 1 && n < TUNE_RUNS_MAX - 1; t /= 2) {
        runs[n] = s->r->rows[s->r->best].run;
        runs[n++].n_threads = t;
    }
    return measure_uses(s, "threads", runs, n, 0.55, 0.12, why);
}

static enum fail measure_batch(struct search *s, struct fault *why)
{
    static const int sizes[] = {64, 128, 256};
    struct models_run runs[TUNE_RUNS_MAX];
    int n = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        runs[n] = s->r->rows[s->r->best].run;
        runs[n].n_batch = runs[n].n_ubatch = sizes[i];
        n++;
    }
    return measure_uses(s, "batch", runs, n, 0.65, 0.12, why);
}

static enum fail measure_cache(struct search *s, struct fault *why)
{
    struct models_run runs[TUNE_RUNS_MAX];
    int n = 0;
    int before = s->r->best;
    for (int i = 0; i < 2; i++) {
        runs[n] = s->r->rows[s->r->best].run;
        text_copy(runs[n].type_k, sizeof(runs[n].type_k), "q8_0");
        text_copy(runs[n].type_v, sizeof(runs[n].type_v), i == 0 ? "f16" : "q8_0");
        /* Quantised values need flash attention. */
        n += i == 0 || strcmp(runs[n].flash, "off") != 0;
    }
    enum fail f = measure_uses(s, "cache", runs, n, 0.75, 0.12, why);
    if (f != FAIL_NONE || s->r->best == before) {
        return f;
    }
    /* Another cache changes what the model says: judged like another file. */
    struct tune_variant v = s->r->variants[s->r->rows[s->r->best].variant];
    f = say(s, "comparing", 0.82, why);
    f = f != FAIL_NONE ? f : s->ops->compare(s->ctx, &v, &s->r->rows[s->r->best].run, why);
    if (f == FAIL_NONE && (v.kl > TUNE_KL_MAX || v.perplexity > TUNE_PERPLEXITY_MAX)) {
        s->r->best = before;
    } else if (f == FAIL_NONE) {
        s->r->kl = v.kl;
        s->r->top_1 = v.top_1;
        s->r->perplexity = v.perplexity;
    }
    return f;
}

static bool same_run(const struct models_run *a, const struct models_run *b)
{
    return a->n_threads == b->n_threads && a->n_batch == b->n_batch && a->n_ubatch == b->n_ubatch &&
           strcmp(a->flash, b->flash) == 0 && strcmp(a->type_k, b->type_k) == 0 &&
           strcmp(a->type_v, b->type_v) == 0;
}

/* Today's way and the one found, in turns, once more: the figures that are told. */
static enum fail confirm(struct search *s, struct fault *why)
{
    struct tune_result *r = s->r;
    struct tune_speed speeds[2][TUNE_ROUNDS_MAX] = {0}, got[1][TUNE_ROUNDS_MAX];
    struct tune_row rows[2] = {r->rows[r->today], r->rows[r->best]};
    if (rows[0].variant == rows[1].variant && same_run(&rows[0].run, &rows[1].run)) {
        r->speed_today = r->speed_best = rows[0].speed;
        return FAIL_NONE;
    }
    int rounds = rounds_for(s, 2, 0.2);
    for (int i = 0; i < 2 * rounds; i++) {
        enum fail f = say(s, "measuring once more", 0.85 + 0.15 * i / (2 * rounds), why);
        f = f != FAIL_NONE ? f
                           : measure(s, rows[i % 2].variant, &rows[i % 2].run, 1, 1, got, why);
        if (f != FAIL_NONE) {
            return f;
        }
        speeds[i % 2][i / 2] = got[0][0];
    }
    take_speeds(&rows[0], speeds[0], rounds);
    take_speeds(&rows[1], speeds[1], rounds);
    r->speed_today = rows[0].speed;
    r->speed_best = rows[1].speed;
    r->gain = tune_work_seconds(&r->speed_today) / tune_work_seconds(&r->speed_best);
    if (r->gain < TUNE_GAIN_MIN) {
        r->best = r->today;
    }
    return FAIL_NONE;
}

static void pick_file(struct search *s)
{
    struct tune_result *r = s->r;
    double today = work_of(s, r->today), best = today / TUNE_GAIN_MIN;
    r->best = r->today;
    for (int i = 0; i < r->n_rows; i++) {
        r->rows[i].gain = today / work_of(s, i);
        if (r->variants[r->rows[i].variant].fits && work_of(s, i) < best) {
            best = work_of(s, i);
            r->best = i;
        }
    }
    const struct tune_variant *v = &r->variants[r->rows[r->best].variant];
    r->kl = v->kl;
    r->top_1 = v->top_1;
    r->perplexity = v->perplexity;
}

enum fail tune_search(const struct tune_options *o, const struct tune_ops *ops, void *ctx,
                      struct tune_result *out, struct fault *skipped, struct fault *why)
{
    bool large = o->parameters > LARGE_PARAMETERS;
    *out = (struct tune_result){.gain = 1, .prefill = large ? 96 : 256, .decode = large ? 12 : 32,
                                .resident = large ? 128 : 512};
    struct search s = {.o = o, .ops = ops, .ctx = ctx, .r = out};
    s.start_us = ops->now_us(ctx);
    s.budget_us = 1000 * (int64_t)(o->budget_ms > 0 ? o->budget_ms : o->quick ? 50000 : 170000);
    /* What the fleet uses when nothing was tuned. */
    s.base = (struct models_run){.n_threads = o->cores, .n_batch = 512, .n_ubatch = 512,
                                 .flash = "on", .type_k = "f16", .type_v = "f16",
                                 .gpu_layers = -1};
    enum fail f = make_variants(&s, skipped, why);
    f = f != FAIL_NONE ? f : measure_files(&s, why);
    if (f == FAIL_NONE) {
        pick_file(&s); /* row 0 is the original with flash on: what "auto" means on a CPU */
    }
    f = f != FAIL_NONE ? f : measure_threads(&s, why);
    f = f != FAIL_NONE ? f : measure_batch(&s, why);
    f = f != FAIL_NONE ? f : measure_cache(&s, why);
    f = f != FAIL_NONE ? f : confirm(&s, why);
    out->seconds = (double)(ops->now_us(ctx) - s.start_us) / 1e6;
    return f;
}
