/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search's hands: `inhouse-worker --tool quantize|measure|compare`, one child a call. Figures
 * that a child says are taken within bounds only.
 * Threads: one. Limits: run/child's; twenty minutes a child.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "run/child/child.h"
#include "run/tune/tune.h"

#define CHILD_MS 1200000
#define PLAN_MAX 8192u

static const char *const made_types[] = {"F16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_0"};

/* One call, while its lines come. */
struct call {
    struct tune_worker *w;
    struct tune_variant *v;
    struct tune_speed (*speeds)[TUNE_ROUNDS_MAX];
    int n, rounds;
};

static enum fail keep_going(struct call *c, struct fault *why)
{
    struct tune_worker *w = c->w;
    return w->progress == NULL || w->progress(w->ctx, NULL, w->share)
               ? FAIL_NONE
               : FAULT(why, FAIL_STOPPED, "stopped while the model was tuned");
}

static bool show(void *ctx, const char *doing, double share)
{
    struct tune_worker *w = ctx;
    w->share = share;
    return w->progress == NULL || w->progress(w->ctx, doing, share);
}

static int64_t now(void *ctx)
{
    (void)ctx;
    return clock_monotonic_us();
}

/* ---- make ---- */

static bool made_path(const struct tune_worker *w, const char *type, const char *file, char *out,
                      size_t room)
{
    int n = snprintf(out, room, "%s/%s%s", w->folder, type, file);
    return n > 0 && (size_t)n < room;
}

static enum fail on_made(void *ctx, const char *event, const json_t *line, struct fault *why)
{
    struct call *c = ctx;
    if (strcmp(event, "done") == 0) {
        c->v->bytes = json_integer_value(json_object_get(line, "bytes"));
    }
    return keep_going(c, why);
}

static enum fail make(void *ctx, const char *type, struct tune_variant *out, struct fault *why)
{
    struct call c = {.w = ctx, .v = out};
    char folder[4096];
    if (!made_path(c.w, type, "", folder, sizeof(folder)) ||
        !made_path(c.w, type, "/model.gguf", out->path, sizeof(out->path))) {
        return FAULT(why, FAIL_BAD_REQUEST, "the folder's path is too long");
    }
    if (mkdir(folder, 0700) != 0) {
        return FAULT_ERRNO(why, FAIL_CONFLICT, "%.200s: cannot be made", folder);
    }
    const char *const words[] = {"quantize", "--in", c.w->original, "--out", folder, "--type", type,
                                 NULL};
    const struct child job = {.what = type, .words = words, .worker_path = c.w->worker_path,
                            .timeout_ms = CHILD_MS, .on_line = on_made, .ctx = &c};
    return child_run(&job, why);
}

void tune_worker_clean(const struct tune_worker *w)
{
    char path[4096];
    for (size_t i = 0; i < COUNT_OF(made_types); i++) {
        if (made_path(w, made_types[i], "/model.gguf", path, sizeof(path))) {
            (void)unlink(path);
        }
        if (made_path(w, made_types[i], "", path, sizeof(path))) {
            (void)rmdir(path);
        }
    }
}

/* ---- measure ---- */

static enum fail on_measured(void *ctx, const char *event, const json_t *line, struct fault *why)
{
    struct call *c = ctx;
    int64_t run = 0, round = 0;
    double read = 0, one = 0, eight = 0;
    if (strcmp(event, "measured") == 0) {
        enum fail f = jn_int(line, "run", true, 0, c->n - 1, &run, why);
        f = f != FAIL_NONE ? f : jn_int(line, "round", true, 0, c->rounds - 1, &round, why);
        f = f != FAIL_NONE ? f : jn_real(line, "prefill", true, 1e-6, 1e9, &read, why);
        f = f != FAIL_NONE ? f : jn_real(line, "decode_1", true, 1e-6, 1e9, &one, why);
        f = f != FAIL_NONE ? f : jn_real(line, "decode_8", true, 1e-6, 1e9, &eight, why);
        if (f != FAIL_NONE) {
            return f;
        }
        c->speeds[run][round] = (struct tune_speed){read, one, eight};
    }
    return keep_going(c, why);
}

static enum fail measure(void *ctx, const struct tune_variant *v, const struct models_run *runs,
                         int n, int rounds, const struct tune_result *sizes,
                         struct tune_speed speeds[][TUNE_ROUNDS_MAX], struct fault *why)
{
    struct call c = {.w = ctx, .speeds = speeds, .n = n, .rounds = rounds};
    struct jn_writer w;
    struct buf plan;
    buf_init(&plan, PLAN_MAX);
    jn_begin(&w, &plan, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "prefill", sizes->prefill);
    jn_kv_int(&w, "decode", sizes->decode);
    jn_kv_int(&w, "resident", sizes->resident);
    jn_kv_int(&w, "rounds", rounds);
    jn_key(&w, "runs");
    jn_array_begin(&w);
    for (int i = 0; i < n; i++) {
        struct models_run run = runs[i];
        run.gpu_layers = -1; /* the tool leaves them to the engine */
        jn_object_begin(&w);
        models_run_put(&w, &run);
        jn_object_end(&w);
        memset(speeds[i], 0, sizeof(speeds[i]));
    }
    jn_array_end(&w);
    jn_object_end(&w);
    const char *const words[] = {"measure", "--in", v->path, "--plan", plan.data, NULL};
    const struct child job = {.what = v->quant, .words = words, .worker_path = c.w->worker_path,
                            .timeout_ms = CHILD_MS, .on_line = on_measured, .ctx = &c};
    enum fail f = child_run(&job, why);
    buf_done(&plan);
    return f;
}

/* ---- compare ---- */

static enum fail on_compared(void *ctx, const char *event, const json_t *line, struct fault *why)
{
    struct call *c = ctx;
    double own = 0, original = 0;
    if (strcmp(event, "done") == 0) {
        enum fail f = jn_real(line, "kl_mean", true, 0, 1e6, &c->v->kl, why);
        f = f != FAIL_NONE ? f : jn_real(line, "top_1", true, 0, 1, &c->v->top_1, why);
        f = f != FAIL_NONE ? f : jn_real(line, "perplexity", true, 1, 1e300, &own, why);
        f = f != FAIL_NONE ? f
                           : jn_real(line, "perplexity_original", true, 1, 1e300, &original, why);
        if (f != FAIL_NONE) {
            return f;
        }
        c->v->perplexity = own / original;
    }
    return keep_going(c, why);
}

static enum fail compare(void *ctx, struct tune_variant *v, const struct models_run *run,
                         struct fault *why)
{
    struct call c = {.w = ctx, .v = v};
    struct models_run used = *run;
    struct jn_writer w;
    struct buf plan;
    used.gpu_layers = -1;
    buf_init(&plan, PLAN_MAX);
    jn_begin(&w, &plan, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "tokens", c.w->compare_tokens);
    jn_key(&w, "run");
    jn_object_begin(&w);
    models_run_put(&w, &used);
    jn_object_end(&w);
    jn_object_end(&w);
    const char *const words[] = {"compare",     "--in",   v->path,   "--against",
                                 c.w->original, "--plan", plan.data, NULL};
    const struct child job = {.what = v->quant, .words = words, .worker_path = c.w->worker_path,
                            .timeout_ms = CHILD_MS, .on_line = on_compared, .ctx = &c};
    enum fail f = child_run(&job, why);
    buf_done(&plan);
    return f;
}

const struct tune_ops tune_worker_ops = {.make = make, .measure = measure, .compare = compare,
                                         .now_us = now, .progress = show};
