/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: drafts without a draft model. Work that copies (rewriting, extraction, JSON
 * with one value changed) repeats its prompt: where the last tokens stood before, what followed
 * them then is guessed to follow now, and a few guesses are decoded in the same step as the newest
 * token. The sampler then goes through the rows one by one and keeps guesses for as long as it
 * would have drawn them itself, so the text is what it would have been, drawn with the same random
 * numbers (but for the last bits of logits, which hang on the batch's shape as they always do).
 * When: every task compares its guesses with what came also while none are decoded, which costs
 * nothing, so a draft is only made where guesses have come true lately, and only as long as the
 * measured times of small steps say that tokens per second gain by it.
 * Owns: a task's struct draft, e->small_us. Threads: one. Limits: SPECULATE_MAX guesses a task,
 * SMALL_STEP_MAX tokens a step that has some.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#define MATCH_MIN 3    /* tokens that must have stood together before */
#define MATCH_MAX 16   /* longer ones are as good */
#define RATE_FIRST 0.4 /* of a task that has not been watched */
#define RATE_WEIGHT 0.15
#define RATE_MAX 0.97
#define GAIN_MIN 1.05

/* Guessing. */

/* The place after the longest earlier copy of the last tokens, the latest of several; 0: none. */
static int look_up(const struct tokens *list)
{
    const llama_token *at = list->at;
    int n = list->n;
    int best = MATCH_MIN - 1;
    int place = 0;
    for (int j = n - 1; j >= MATCH_MIN; j--) {
        int len = 0;
        while (len < MATCH_MAX && len < j && at[j - 1 - len] == at[n - 1 - len]) {
            len++;
        }
        if (len > best) {
            best = len;
            place = j;
            if (len == MATCH_MAX) {
                break;
            }
        }
    }
    return place;
}

/* Compares what came with what was guessed, then finds the place to guess from. */
static void follow(struct task *t)
{
    struct draft *d = &t->draft;
    if (d->checked == 0) {
        d->rate = RATE_FIRST;
        d->checked = t->tokens.n;
    }
    d->checked = d->checked > t->tokens.n ? t->tokens.n : d->checked; /* taken back */
    while (d->checked < t->tokens.n) {
        if (d->source > 0) {
            bool hit = t->tokens.at[d->checked] == t->tokens.at[d->source];
            d->rate += ((hit ? 1 : 0) - d->rate) * RATE_WEIGHT;
            d->source = hit ? d->source + 1 : 0;
        }
        d->checked++;
    }
    if (d->source <= 0 || d->source >= t->tokens.n) {
        d->source = look_up(&t->tokens);
    }
}

/* Times. */

static double *times(struct llama_engine *e)
{
    return e->small_us[e->use_all ? 1 : 0];
}

/* The shape of what was measured on AVX2 and AVX-512 with 135M and 1.5B models: the second token
   costs half a step (another kernel), the next fourteen as much together. */
static double likely(int n)
{
    return n < 2 ? 1 : 1.5 + 0.05 * (n - 2);
}

/* What a step of n tokens takes, 1 <= n <= SMALL_STEP_MAX, from the nearest sizes that were seen;
   in any unit when none was. */
static double step_us(struct llama_engine *e, int n)
{
    const double *us = times(e);
    int below = n;
    int above = n;
    while (below > 0 && us[below] <= 0) {
        below--;
    }
    while (above <= SMALL_STEP_MAX && us[above] <= 0) {
        above++;
    }
    bool has_above = above <= SMALL_STEP_MAX;
    if (below == n) {
        return us[n];
    }
    if (below > 0 && has_above && us[above] > us[below]) {
        return us[below] + (us[above] - us[below]) * (likely(n) - likely(below)) /
                               (likely(above) - likely(below));
    }
    int known = below > 0 ? below : above;
    return likely(n) * (below > 0 || has_above ? us[known] / likely(known) : 1);
}

double speculate_share(struct llama_engine *e)
{
    int n = e->batch.n_tokens;
    return e->n_drafts == 0 ? 1 : step_us(e, n - e->n_drafts) / step_us(e, n);
}

void speculate_learn(struct llama_engine *e, int64_t us)
{
    int n = e->batch.n_tokens;
    if (n >= 1 && n <= SMALL_STEP_MAX) {
        double *mean = &times(e)[n];
        *mean = *mean > 0 ? *mean * 0.8 + (double)us * 0.2 : (double)us;
    }
}

/* Drafting. */

/* In a chat, or inside a text hole of a form; its first token has a rule of its own. */
static bool writes_freely(const struct llama_engine *e, const struct task *t)
{
    bool writes = t->job == ENGINE_JOB_GENERATE;
    if (t->job == ENGINE_JOB_FORM && !t->form->is_null && t->form->started) {
        writes = t->form_ask->plan->pieces[t->form->piece].kind == FORM_TEXT &&
                 t->writing.n_ends > 0;
    }
    return writes && e->speculate && !e->is_lane && t->state == TASK_RUNNING && t->out >= 0;
}

int speculate_draft(struct llama_engine *e, struct task *t, int written, int room)
{
    struct draft *d = &t->draft;
    int n = e->batch.n_tokens;
    d->n = 0;
    if (!writes_freely(e, t) || n > SMALL_STEP_MAX) {
        return 0;
    }
    follow(t);
    int left = t->n_prompt + t->max_new - t->tokens.n - 1;
    int most = d->source > 0 ? t->tokens.n - d->source : 0;
    most = most < left ? most : left;
    most = most < room ? most : room;
    most = most < SMALL_STEP_MAX - n ? most : SMALL_STEP_MAX - n;
    most = most < SPECULATE_MAX ? most : SPECULATE_MAX;
    double rate = d->rate < RATE_MAX ? d->rate : RATE_MAX;
    double best = written / step_us(e, n) * GAIN_MIN;
    double chance = 1;
    double expected = written;
    for (int k = 1; k <= most; k++) {
        chance *= rate;
        expected += chance;
        double gain = expected / step_us(e, n + k);
        if (gain > best) {
            best = gain;
            d->n = k;
        }
    }
    if (d->n > 0) {
        memcpy(d->at, t->tokens.at + d->source, (size_t)d->n * sizeof *d->at);
    }
    return d->n;
}

bool speculate_accept(struct llama_engine *e, struct task *t, bool goes_on)
{
    struct draft *d = &t->draft;
    if (t->state != TASK_RUNNING || d->in_batch == 0) {
        return false;
    }
    int before = d->used;
    while (goes_on && d->used < d->in_batch && t->n_past < t->tokens.n &&
           t->tokens.at[t->n_past] == d->at[d->used]) {
        t->n_past++;
        d->used++;
    }
    d->accepted += d->used - before;
    t->spent += d->used - before; /* its team is charged for what it was given */
    if (d->used > before && t->n_past == t->tokens.n) {
        return true;
    }
    if (d->used < d->in_batch) {
        llama_memory_seq_rm(llama_get_memory(e->context), t->seq, t->n_past, -1);
    }
    return false;
}
