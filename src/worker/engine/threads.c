/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: how many threads a step uses. On idle cores all of LOAD's threads are
 * faster; on busy ones they wait for each other at every barrier and can be twenty times slower
 * than one. So speeds are kept for one thread and for all, one is the start, all are tried every
 * PROBE_US (longer after each loss), and a step with all that takes LATE times as long as one
 * would is given up and done again with one.
 * A small model is measured when it is loaded, so that its first ask, after a restart too, finds
 * its pages touched and its threads chosen.
 * Owns: e->speed. Threads: one. Formula: exponential means, weight 0.2.
 */
#include "worker/engine/engine_internal.h"

#define PROBE_US 2000000
#define PROBE_US_MAX 32000000
#define LATE 3
#define SMALL 16
#define WIN 0.9
#define MEASURE_US_MAX 100000 /* a model slower than this for one token measures itself at work */

double threads_forecast_us(const struct llama_engine *e, int tokens)
{
    const struct speed *s = &e->speed[e->use_all ? 1 : 0];
    double us = tokens * s->us_per_token;
    return us > s->us_per_step ? us : s->us_per_step;
}

int threads_begin(struct llama_engine *e, int tokens)
{
    int64_t now = clock_monotonic_us();
    bool small = tokens < SMALL;
    const struct speed *one = &e->speed[0];
    bool known = small ? one->us_per_step > 0 : one->us_per_token > 0;
    e->probing = e->n_threads > 1 && !e->use_all && known && now >= e->probe_at;
    bool all = e->n_threads > 1 && (e->use_all || e->probing);
    int n = all ? e->n_threads : 1;
    llama_set_n_threads(e->context, n, n);
    double alone = small ? one->us_per_step : tokens * one->us_per_token;
    if (e->probing) {
        return (int)alone + 5000; /* no faster than one: lost */
    }
    return all && known ? (int)(LATE * alone) + 20000 : 0;
}

static void lose(struct llama_engine *e)
{
    e->use_all = false;
    e->probing = false;
    e->probe_wait = e->probe_wait == 0 ? PROBE_US : e->probe_wait * 2;
    e->probe_wait = e->probe_wait > PROBE_US_MAX ? PROBE_US_MAX : e->probe_wait;
    e->probe_at = clock_monotonic_us() + e->probe_wait;
}

static void mean(double *value, double seen)
{
    *value = *value > 0 ? *value * 0.8 + seen * 0.2 : seen;
}

void threads_end(struct llama_engine *e, int tokens, int64_t us)
{
    bool all = e->use_all || e->probing;
    bool small = tokens < SMALL;
    struct speed *s = &e->speed[all ? 1 : 0];
    const struct speed *one = &e->speed[0];
    double seen = small ? (double)us : (double)us / tokens;
    double alone = small ? one->us_per_step : one->us_per_token;
    if (e->probing) {
        e->probing = false;
        if (seen < WIN * alone) {
            e->use_all = true;
            e->probe_wait = 0;
            s = &e->speed[1];
            *s = (struct speed){0};
        } else {
            lose(e);
        }
    }
    mean(small ? &s->us_per_step : &s->us_per_token, seen);
    if (s->us_per_token <= 0) {
        s->us_per_token = one->us_per_token;
    }
    double now = small ? s->us_per_step : s->us_per_token;
    if (e->use_all && alone > 0 && now > alone) {
        lose(e); /* the mean with all is worse than alone: others have the cores */
    }
}

void threads_late(struct llama_engine *e)
{
    if (e->use_all || e->probing) {
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
        e->probing = false;
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
