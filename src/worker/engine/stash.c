/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: the stash, where prefixes that had to leave the KV wait as state blobs in
 * RAM. An ask of the same domain that begins with the same tokens (compared one by one) gets them
 * back when copying them in is forecast to be cheaper than decoding them. Over the budget those go
 * first whose loss costs least: microseconds of decoding that only they would save, for each byte
 * and each second since their last use.
 * Owns: the blobs and their token copies. Threads: one. Limits: stash_budget bytes, MAX_STASHED
 * blobs, none under MIN_STASHED tokens that nothing else holds.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#include "base/log/log.h"

#define MAX_STASHED 128
#define MIN_STASHED 32
#define US_PER_TOKEN_UNKNOWN 1000.0
#define US_PER_MIB_FIRST 400.0 /* until a restore was measured; 170 on one AVX2 machine */
#define RESTORE_US_FIXED 200.0
#define RESTORE_GAIN 1.5       /* a forecast saving must be so much larger than the copy */
#define MIB (1024.0 * 1024.0)

static double us_per_token(const struct llama_engine *e)
{
    double us = e->speed[e->use_all ? 1 : 0].us_per_token;
    return us > 0 ? us : US_PER_TOKEN_UNKNOWN;
}

static double restore_us(const struct llama_engine *e, size_t bytes)
{
    double us = e->us_per_mib > 0 ? e->us_per_mib : US_PER_MIB_FIRST;
    return RESTORE_US_FIXED + us * (double)bytes / MIB;
}

/* The longest start of these tokens that another blob of the domain holds. */
static int common_elsewhere(const struct llama_engine *e, const struct stashed *but,
                            const char *domain, const struct tokens *tokens)
{
    int best = 0;
    for (const struct stashed *s = e->stash; s != NULL; s = s->next) {
        if (s != but && strcmp(s->domain, domain) == 0) {
            int n = tokens_common(&s->tokens, tokens, tokens->n);
            best = n > best ? n : best;
        }
    }
    return best;
}

static void forget(struct llama_engine *e, struct stashed *s)
{
    struct stashed **at = &e->stash;
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    e->n_stashed--;
    e->stash_bytes -= s->bytes;
    tokens_done(&s->tokens);
    mem_free(s->domain);
    mem_free(s->state);
    mem_free(s);
}

static void make_room(struct llama_engine *e, size_t bytes)
{
    while (e->stash != NULL &&
           (e->stash_bytes + bytes > e->stash_budget || e->n_stashed >= MAX_STASHED)) {
        struct stashed *least = NULL;
        double least_worth = 0;
        int64_t now = clock_monotonic_us();
        for (struct stashed *s = e->stash; s != NULL; s = s->next) {
            if (s->pinned) {
                continue;
            }
            int own = s->tokens.n - common_elsewhere(e, s, s->domain, &s->tokens);
            double seconds = 1 + (double)(now - s->used_at) / 1e6;
            double worth = own * us_per_token(e) / (double)s->bytes / seconds;
            if (least == NULL || worth < least_worth) {
                least = s;
                least_worth = worth;
            }
        }
        if (least == NULL) {
            return;
        }
        forget(e, least);
    }
}

/* Blobs that only hold the start of these tokens are worth nothing any more. */
static void drop_shorter(struct llama_engine *e, const char *domain, const struct tokens *tokens)
{
    for (struct stashed *s = e->stash, *next; s != NULL; s = next) {
        next = s->next;
        if (!s->pinned && s->prefix[0] == '\0' && s->tokens.n <= tokens->n &&
            strcmp(s->domain, domain) == 0 &&
            tokens_common(&s->tokens, tokens, s->tokens.n) == s->tokens.n) {
            forget(e, s);
        }
    }
}

struct stashed *stash_add(struct llama_engine *e, const char *domain, const llama_token *tokens,
                          int n, uint8_t *state, size_t bytes)
{
    make_room(e, bytes);
    if (e->stash_bytes + bytes > e->stash_budget || e->n_stashed >= MAX_STASHED) {
        mem_free(state);
        return NULL;
    }
    struct stashed *s = mem_alloc(sizeof *s);
    s->domain = mem_dup_str(domain);
    tokens_add(&s->tokens, tokens, n);
    s->state = state;
    s->bytes = bytes;
    s->used_at = clock_monotonic_us();
    s->next = e->stash;
    e->stash = s;
    e->n_stashed++;
    e->stash_bytes += bytes;
    return s;
}

struct stashed *stash_put(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                          int n, int seq, int kept)
{
    struct tokens view = {.at = tokens->at, .n = n};
    struct fault why = {0};
    int elsewhere = common_elsewhere(e, NULL, domain, &view);
    elsewhere = elsewhere > kept ? elsewhere : kept;
    if (e->stash_budget == 0 || n - elsewhere < MIN_STASHED) {
        return NULL;
    }
    size_t bytes = 0;
    enum fail failed = shim_state_size(e->context, seq, &bytes, &why);
    if (failed != FAIL_NONE || bytes == 0 || bytes > e->stash_budget ||
        (n - elsewhere) * us_per_token(e) < RESTORE_GAIN * restore_us(e, bytes)) {
        return NULL; /* decoding it again is cheaper than copying it twice */
    }
    uint8_t *state = mem_alloc(bytes);
    failed = shim_state_get(e->context, seq, state, bytes, &why);
    if (failed != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "prefix.not_stashed", &why);
        mem_free(state);
        return NULL;
    }
    drop_shorter(e, domain, &view);
    return stash_add(e, domain, tokens->at, n, state, bytes);
}

struct stashed *stash_task(struct llama_engine *e, struct task *t, int n)
{
    int seq = engine_seq_take(e);
    if (seq < 0) {
        return NULL;
    }
    llama_memory_seq_cp(llama_get_memory(e->context), t->seq, seq, 0, n);
    struct stashed *s = stash_put(e, t->domain, &t->tokens, n, seq, 0);
    engine_seq_drop(e, seq);
    return s;
}

struct stashed *stash_released(struct llama_engine *e, struct task *t, int n)
{
    struct fault why = {0};
    size_t bytes = 0;
    int seq = engine_seq_take(e);
    if (seq < 0) {
        return NULL;
    }
    struct stashed *s = NULL;
    llama_memory_seq_cp(llama_get_memory(e->context), t->seq, seq, 0, n);
    enum fail failed = shim_state_size(e->context, seq, &bytes, &why);
    if (failed == FAIL_NONE && bytes > 0 && bytes <= e->stash_budget) {
        uint8_t *state = mem_alloc(bytes);
        failed = shim_state_get(e->context, seq, state, bytes, &why);
        if (failed == FAIL_NONE) {
            s = stash_add(e, t->domain, t->tokens.at, n, state, bytes);
        } else {
            mem_free(state);
        }
    }
    if (failed != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "prefix.not_stashed", &why);
    }
    engine_seq_drop(e, seq);
    return s;
}

struct stashed *stash_match(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                            int max, int resident, int *shared)
{
    struct stashed *best = NULL;
    *shared = 0;
    for (struct stashed *s = e->stash; s != NULL; s = s->next) {
        if (strcmp(s->domain, domain) != 0) {
            continue;
        }
        int n = tokens_common(&s->tokens, tokens, max);
        bool worth = n - resident >= MIN_SHARED && (n - resident) * us_per_token(e) >
                                                       RESTORE_GAIN * restore_us(e, s->bytes);
        /* As good as another: the smaller blob. */
        if (worth && (n > *shared || (n == *shared && best != NULL && s->bytes < best->bytes))) {
            best = s;
            *shared = n;
        }
    }
    return best;
}

static bool fits(struct llama_engine *e, int cells)
{
    while (task_promised(e) + cells > e->base.info.n_ctx && prefix_evict(e)) {
    }
    return task_promised(e) + cells <= e->base.info.n_ctx;
}

bool stash_restore(struct llama_engine *e, struct stashed *s, int n, int also)
{
    llama_memory_t memory = llama_get_memory(e->context);
    struct fault why = {0};
    bool was = s->pinned;
    s->pinned = true; /* making room may stash others */
    int cells = s->tokens.n > n + also ? s->tokens.n : n + also;
    struct prefix *p = fits(e, cells) ? prefix_new(e, s->domain) : NULL;
    s->pinned = was;
    if (p == NULL) {
        return false;
    }
    int64_t start = clock_monotonic_us();
    enum fail failed = shim_state_set(e->context, p->seq, s->state, s->bytes, &why);
    /* Exactly the cells of its tokens, or something else was put in: then none of it counts. */
    if (failed == FAIL_NONE && (llama_memory_seq_pos_min(memory, p->seq) != 0 ||
                                llama_memory_seq_pos_max(memory, p->seq) != s->tokens.n - 1)) {
        failed = FAULT(&why, FAIL_INTERNAL, "a state of %d tokens holds others", s->tokens.n);
    }
    if (failed != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "prefix.not_restored", &why);
        prefix_drop(e, p);
        forget(e, s);
        return false;
    }
    double us = (double)(clock_monotonic_us() - start) / ((double)s->bytes / MIB);
    e->us_per_mib = e->us_per_mib > 0 ? e->us_per_mib * 0.8 + us * 0.2 : us;
    e->n_restored++;
    if (n < s->tokens.n) {
        llama_memory_seq_rm(memory, p->seq, n, -1);
    }
    tokens_add(&p->tokens, s->tokens.at, n);
    s->used_at = p->used_at;
    return true;
}

void stash_done(struct llama_engine *e)
{
    while (e->stash != NULL) {
        forget(e, e->stash);
    }
}
