/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: drawing one token. Greedy at temperature 0; else temperature, then the
 * nucleus (top_p), then one draw with the task's own generator, so that the same seed gives the
 * same text. With a grammar the drawn token is checked alone, and refused ones are drawn without
 * replacement: the same distribution as masking first, at a thousandth of the cost. After
 * CHECKS_MAX refusals the whole vocabulary is masked once.
 * Owns: the engine's candidate array during a call. Threads: one. A watchdog guards grammar calls:
 * they can hang.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define CHECKS_MAX 32
#define NUCLEUS_MAX 4096
#define WATCHDOG_S 10

/* Eight logits at a time: a vocabulary has 50,000 to 250,000, and each written token reads them
   all. */
#define LANES 8
#define INLINE static inline __attribute__((always_inline))
#define BLOCK 512 /* summed in float before it goes into a double */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lanes_int __attribute__((vector_size(LANES * sizeof(int32_t))));

/* By pointer: passing wide vectors by value depends on the machine's ABI. */
INLINE void take_larger(lanes *a, const lanes *b)
{
    lanes_int which = *a > *b;
    *a = (lanes)((which & (lanes_int)*a) | (~which & (lanes_int)*b));
}

INLINE float largest(const float *logits, int n)
{
    float max = logits[0];
    int i = 0;
    if (n >= LANES) {
        lanes best;
        memcpy(&best, logits, sizeof best);
        for (i = LANES; i + LANES <= n; i += LANES) {
            lanes x;
            memcpy(&x, logits + i, sizeof x);
            take_larger(&best, &x);
        }
        for (int k = 0; k < LANES; k++) {
            max = best[k] > max ? best[k] : max;
        }
    }
    for (; i < n; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    return max;
}

/* e^x for x <= 0 to 2e-7: 2^whole times the Taylor series of 2^rest, |rest| <= 1/2. */
INLINE void exp_lanes(lanes *x)
{
    const lanes least = {-87, -87, -87, -87, -87, -87, -87, -87};
    const float shift = 12582912.0f; /* 1.5 x 2^23: adding it rounds to a whole number */
    take_larger(x, &least);
    lanes y = *x * 1.44269504f;
    lanes whole = (y + shift) - shift;
    lanes r = (y - whole) * 0.69314718f;
    lanes p = r * (1.0f / 720) + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    lanes_int exponent = (__builtin_convertvector(whole, lanes_int) + 127) << 23;
    *x = p * (lanes)exponent;
}

INLINE double logsumexp(const float *logits, int n)
{
    float max = largest(logits, n);
    double sum = 0;
    int i = 0;
    while (i + LANES <= n) {
        lanes part = {0};
        for (int end = i + BLOCK; i + LANES <= n && i < end; i += LANES) {
            lanes x;
            memcpy(&x, logits + i, sizeof x);
            x -= max;
            exp_lanes(&x);
            part += x;
        }
        for (int k = 0; k < LANES; k++) {
            sum += (double)part[k];
        }
    }
    for (; i < n; i++) {
        sum += (double)expf(logits[i] - max);
    }
    return (double)max + log(sum);
}

/* The same for the wider registers of most machines: five times as fast. */
__attribute__((target("avx2,fma"))) static double logsumexp_wide(const float *logits, int n)
{
    return logsumexp(logits, n);
}

double sample_logsumexp(const float *logits, int n)
{
    bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return wide ? logsumexp_wide(logits, n) : logsumexp(logits, n);
}

llama_token sample_greedy(const float *logits, int n)
{
    float max = largest(logits, n);
    int best = 0;
    while (best < n - 1 && logits[best] < max) {
        best++;
    }
    return best;
}

/* splitmix64 (Steele, Lea, Flood 2014), 53 bits to [0, 1). */
double sample_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

static int by_logit(const void *left, const void *right)
{
    const llama_token_data *a = left;
    const llama_token_data *b = right;
    if (a->logit != b->logit) {
        return a->logit < b->logit ? 1 : -1;
    }
    return a->id - b->id; /* a fixed order: equal logits must not make a draw depend on the sort */
}

/* Fills candidates with the tokens worth sorting, best first, p = weights; returns how many. */
static int nucleus(struct llama_engine *e, const float *logits, double temperature, double top_p)
{
    float max = logits[sample_greedy(logits, e->n_vocab)];
    double scale = temperature > 0 ? 1.0 / temperature : 1.0;
    /* Beyond this distance a token's weight is under 1e-9 of the best one's. */
    float floor = max - (float)(20.7 / scale);
    int n = 0;
    double total = 0;
    for (int i = 0; i < e->n_vocab; i++) {
        if (logits[i] >= floor) {
            double p = exp((double)(logits[i] - max) * scale);
            total += p;
            e->candidates[n++] = (llama_token_data){.id = i, .logit = logits[i], .p = (float)p};
        }
    }
    qsort(e->candidates, (size_t)n, sizeof *e->candidates, by_logit);
    double sum = 0;
    int kept = 0;
    while (kept < n && kept < NUCLEUS_MAX && (kept == 0 || sum < top_p * total)) {
        sum += (double)e->candidates[kept++].p;
    }
    return kept;
}

static int draw(const llama_token_data *list, int n, bool greedy, uint64_t *random)
{
    double total = 0;
    int first = -1;
    for (int i = 0; i < n; i++) {
        if (first < 0 && list[i].p > 0) {
            first = i;
        }
        total += (double)list[i].p;
    }
    if (greedy || first < 0) {
        return first;
    }
    double mark = sample_uniform(random) * total;
    int last = first;
    for (int i = first; i < n; i++) {
        if (list[i].p > 0) {
            last = i;
            mark -= (double)list[i].p;
            if (mark < 0) {
                return i;
            }
        }
    }
    return last;
}

void engine_watch(bool on)
{
    struct itimerval timer = {.it_value = {.tv_sec = on ? WATCHDOG_S : 0}};
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* Allowed? The end of the turn is, once the document is whole. */
static enum fail allowed(struct llama_engine *e, struct task *t, llama_token token, bool *ok,
                         struct fault *why)
{
    if (t->mask != NULL) {
        *ok = llama_vocab_is_eog(e->vocab, token) ? mask_complete(t->mask)
                                                  : mask_allows(t->mask, token);
        return FAIL_NONE;
    }
    llama_token_data one = {.id = token, .logit = 1.0f, .p = 1.0f};
    llama_token_data_array list = {.data = &one, .size = 1, .selected = -1, .sorted = false};
    enum fail failed = shim_grammar_apply(t->grammar, &list, why);
    *ok = failed == FAIL_NONE && !isinf(one.logit);
    return failed;
}

/* The tokens that a mask allows, as candidates; returns how many. */
static int masked_tokens(struct llama_engine *e, struct task *t, const float *logits)
{
    const struct mask_set *set = mask_tokens(t->mask);
    int n = 0;
    for (int i = 0; set->bits != NULL && i < e->n_vocab; i++) {
        if ((set->bits[i / 64] >> (i % 64) & 1) != 0) {
            e->candidates[n++] = (llama_token_data){.id = i, .logit = logits[i]};
        }
    }
    for (int i = 0; i < set->n; i++) {
        llama_token token = set->list[i];
        e->candidates[n++] = (llama_token_data){.id = token, .logit = logits[token]};
    }
    for (int i = 0; mask_complete(t->mask) && i < e->n_vocab; i++) {
        if (llama_vocab_is_eog(e->vocab, i)) {
            e->candidates[n++] = (llama_token_data){.id = i, .logit = logits[i]};
        }
    }
    return n;
}

static enum fail grammar_tokens(struct llama_engine *e, struct task *t, const float *logits,
                                int *n, struct fault *why)
{
    for (int i = 0; i < e->n_vocab; i++) {
        e->candidates[i] = (llama_token_data){.id = i, .logit = logits[i]};
    }
    llama_token_data_array list = {
        .data = e->candidates, .size = (size_t)e->n_vocab, .selected = -1, .sorted = false};
    enum fail failed = shim_grammar_apply(t->grammar, &list, why);
    *n = (int)list.size;
    return failed;
}

static enum fail masked(struct llama_engine *e, struct task *t, const float *logits,
                        double temperature, llama_token *out, struct fault *why)
{
    int n = 0;
    enum fail failed = FAIL_NONE;
    if (t->mask != NULL) {
        n = masked_tokens(e, t, logits);
    } else {
        failed = grammar_tokens(e, t, logits, &n, why);
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    float max = -INFINITY;
    for (int i = 0; i < n; i++) {
        max = e->candidates[i].logit > max ? e->candidates[i].logit : max;
    }
    if (n == 0 || isinf(max)) {
        return FAULT(why, FAIL_INTERNAL, "the vocabulary has no token that may come here");
    }
    double scale = temperature > 0 ? 1.0 / temperature : 1.0;
    int best = 0;
    for (int i = 0; i < n; i++) {
        llama_token_data *c = &e->candidates[i];
        c->p = isinf(c->logit) ? 0 : (float)exp((double)(c->logit - max) * scale);
        best = c->p > e->candidates[best].p ? i : best;
    }
    int pick = temperature > 0 ? draw(e->candidates, n, false, &t->random) : best;
    *out = e->candidates[pick].id;
    return FAIL_NONE;
}

static enum fail checked(struct llama_engine *e, struct task *t, const float *logits,
                         double temperature, double top_p, llama_token *out, struct fault *why)
{
    bool ok = false;
    if (t->mask != NULL && temperature <= 0) {
        *out = sample_greedy(logits, e->n_vocab);
        enum fail failed = allowed(e, t, *out, &ok, why);
        return failed != FAIL_NONE || ok ? failed : masked(e, t, logits, temperature, out, why);
    }
    int n = nucleus(e, logits, temperature, temperature > 0 ? top_p : 1.0);
    for (int checks = 0; checks < CHECKS_MAX; checks++) {
        int i = draw(e->candidates, n, temperature <= 0, &t->random);
        if (i < 0) {
            break;
        }
        enum fail failed = allowed(e, t, e->candidates[i].id, &ok, why);
        if (failed != FAIL_NONE || ok) {
            *out = e->candidates[i].id;
            return failed;
        }
        e->candidates[i].p = 0;
    }
    return masked(e, t, logits, temperature, out, why);
}

enum fail sample_token(struct llama_engine *e, struct task *t, const float *logits,
                       double temperature, double top_p, llama_token *out, double *logprob,
                       struct fault *why)
{
    enum fail failed = FAIL_NONE;
    if (t->mask != NULL) {
        failed = checked(e, t, logits, temperature, top_p, out, why);
        if (failed == FAIL_NONE && !llama_vocab_is_eog(e->vocab, *out)) {
            mask_accept(t->mask, *out);
        }
    } else if (t->grammar != NULL) {
        engine_watch(true);
        failed = checked(e, t, logits, temperature, top_p, out, why);
        if (failed == FAIL_NONE) {
            failed = shim_grammar_accept(t->grammar, *out, why);
        }
        engine_watch(false);
    } else if (temperature <= 0) {
        *out = sample_greedy(logits, e->n_vocab);
    } else {
        int n = nucleus(e, logits, temperature, top_p);
        int i = draw(e->candidates, n, false, &t->random);
        if (i < 0) { /* logits that are no numbers */
            return FAULT(why, FAIL_INTERNAL, "the model gives no probabilities");
        }
        *out = e->candidates[i].id;
    }
    if (failed == FAIL_NONE) {
        *logprob = (double)logits[*out] - sample_logsumexp(logits, e->n_vocab);
        *logprob = *logprob > 0 ? 0 : *logprob;
    }
    return failed;
}
