/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: how many threads a step uses. On idle cores all of LOAD's threads are
 * faster; on busy ones they wait for each other at every barrier and can be twenty times slower
 * than one. Speeds alone do not tell: a step with more cells behind it is slow on an idle machine
 * too. What tells is the time that the threads got: at a barrier they spin, so on cores of their
 * own each uses as much CPU time as the clock shows. Steps with all threads are watched for
 * WATCH_US; when they got less than SHARE of the cores, or twice running took LATE times their
 * forecast (a host that takes cores away does not tell its guests), one thread goes on alone and
 * all are tried again PROBE_US later, and later after each loss. A step with all that takes LOST
 * times as long as one would is given up and done again with one. A small model is measured when it
 * is loaded, so that its first ask, after a restart too, finds its pages touched and its threads
 * chosen.
 * Owns: e->speed, e->watch. Threads: one. Formula: exponential means, weight 0.2.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#define PROBE_US 1000000
#define PROBE_US_MAX 8000000
#define WATCH_US 40000 /* ten ticks of the kernel's accounting */
#define SHARE 0.8
#define LATE 2
#define LOST 3
#define SMALL 16
#define MEASURE_US_MAX 100000 /* a model slower than this for one token measures itself at work */

double threads_forecast_us(const struct llama_engine *e, int tokens)
{
    const struct speed *s = &e->speed[e->use_all ? 1 : 0];
    double us = tokens * s->us_per_token;
    return us > s->us_per_step ? us : s->us_per_step;
}

int threads_block(void)
{
    return __builtin_cpu_supports("amx-int8") ? 32 : 1;
}

int threads_begin(struct llama_engine *e, int tokens)
{
    int64_t now = clock_monotonic_us();
    bool small = tokens < SMALL;
    const struct speed *one = &e->speed[0];
    bool known = small ? one->us_per_step > 0 : one->us_per_token > 0;
    if (e->n_threads > 1 && !e->use_all && known && now >= e->probe_at) {
        e->use_all = true;
        e->speed[1] = (struct speed){0};
        memset(&e->watch, 0, sizeof e->watch);
    }
    int n = e->use_all ? e->n_threads : 1;
    llama_set_n_threads(e->context, n, n);
    e->watch.began_at = now;
    e->watch.began_cpu = clock_process_cpu_us();
    double alone = small ? one->us_per_step : tokens * one->us_per_token;
    return e->use_all && known ? (int)(LOST * alone) + 20000 : 0;
}

static void lose(struct llama_engine *e)
{
    e->use_all = false;
    e->probe_wait = e->probe_wait == 0 ? PROBE_US : e->probe_wait * 2;
    e->probe_wait = e->probe_wait > PROBE_US_MAX ? PROBE_US_MAX : e->probe_wait;
    e->probe_at = clock_monotonic_us() + e->probe_wait;
}

static void mean(double *value, double seen)
{
    *value = *value > 0 ? *value * 0.8 + seen * 0.2 : seen;
}

/* Did the threads have the cores? A step of a few tokens reads the weights, whatever stands behind
   it, so only such steps have a forecast worth holding against them. */
static void watch(struct llama_engine *e, int rows)
{
    struct watch *w = &e->watch;
    double wall = (double)(clock_monotonic_us() - w->began_at);
    double forecast = rows <= SMALL_STEP_MAX ? e->small_us[1][rows] : 0;
    w->wall_us += wall;
    w->cpu_us += (double)(clock_process_cpu_us() - w->began_cpu);
    w->forecast_us += forecast > 0 ? forecast * LATE : wall;
    if (w->wall_us < WATCH_US) {
        return;
    }
    bool had_cores = w->cpu_us >= SHARE * w->wall_us * e->n_threads;
    int late = w->wall_us > w->forecast_us ? w->late + 1 : 0;
    *w = (struct watch){.late = late};
    if (!had_cores || late > 1) {
        lose(e);
    } else {
        e->probe_wait = 0;
    }
}

void threads_end(struct llama_engine *e, int tokens, int64_t us)
{
    bool small = tokens < SMALL;
    struct speed *s = &e->speed[e->use_all ? 1 : 0];
    mean(small ? &s->us_per_step : &s->us_per_token, small ? (double)us : (double)us / tokens);
    if (s->us_per_token <= 0) {
        s->us_per_token = e->speed[0].us_per_token;
    }
    if (e->use_all) {
        watch(e, e->batch.n_tokens);
    }
}

void threads_late(struct llama_engine *e)
{
    if (e->use_all) {
        lose(e);
    }
}

/* One batch of n tokens from an empty KV; microseconds, 0 when it was given up or failed. */
static int64_t try_batch(struct llama_engine *e, int n, bool counted)
{
    struct llama_batch *b = &e->batch;
    struct fault why = {0};
    int rc = 0;
    llama_memory_clear(llama_get_memory(e->context), false);
    for (int i = 0; i < n; i++) {
        b->token[i] = (llama_token)(i % e->n_vocab);
        b->pos[i] = i;
        b->n_seq_id[i] = 1;
        b->seq_id[i][0] = 0;
        b->logits[i] = i == n - 1;
    }
    b->n_tokens = n;
    int64_t start = clock_monotonic_us();
    int late = counted ? threads_begin(e, n) : 0;
    engine_abort_at(e, late > 0 ? start + late : 0);
    enum fail failed = shim_decode(e->context, b, &rc, &why);
    engine_abort_at(e, 0);
    int64_t us = clock_monotonic_us() - start;
    if (failed == FAIL_NONE && rc == 0 && counted) {
        threads_end(e, n, us);
    } else if (counted) {
        threads_late(e);
    }
    return failed == FAIL_NONE && rc == 0 ? us : 0;
}

void threads_measure(struct llama_engine *e)
{
    llama_set_n_threads(e->context, 1, 1);
    (void)try_batch(e, 1, false); /* the weights' pages */
    int64_t us = try_batch(e, 1, false);
    if (us > 0 && us < MEASURE_US_MAX) {
        for (int round = 0; round < (e->n_threads > 1 ? 2 : 1); round++) {
            (void)try_batch(e, SMALL, true); /* with one thread, then with all */
        }
    }
    llama_memory_clear(llama_get_memory(e->context), true);
    e->batch.n_tokens = 0;
}
