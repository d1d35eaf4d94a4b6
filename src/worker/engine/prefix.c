/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: resident prefixes. A prompt's shared start is decoded once and forked by
 * llama_memory_seq_cp, which in a unified KV only marks cells. A prefix is used inside its own
 * domain only: a shared one would tell by its speed what others have asked.
 * Owns: the prefixes, their sequences and token copies. Threads: one.
 * Limits: MAX_PREFIXES, and ENGINE_IDLE_CELLS_MAX cells that no running task uses (foreign cells
 * slow every step).
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

static int common_length(const struct tokens *a, const struct tokens *b, int max)
{
    int n = a->n < b->n ? a->n : b->n;
    n = n < max ? n : max;
    int i = 0;
    while (i < n && a->at[i] == b->at[i]) {
        i++;
    }
    return i;
}

struct prefix *prefix_match(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                            int max, int *shared)
{
    struct prefix *best = NULL;
    *shared = 0;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        struct prefix *p = &e->prefixes[i];
        if (p->used && strcmp(p->domain, domain) == 0) {
            int n = common_length(&p->tokens, tokens, max);
            if (n > *shared) {
                *shared = n;
                best = p;
            }
        }
    }
    if (*shared < MIN_SHARED) {
        *shared = 0;
        return NULL;
    }
    return best;
}

static void drop(struct llama_engine *e, struct prefix *p)
{
    ASSERT(p->used && p->users == 0);
    engine_seq_drop(e, p->seq);
    tokens_done(&p->tokens);
    mem_free(p->domain);
    *p = (struct prefix){0};
}

bool prefix_evict(struct llama_engine *e)
{
    struct prefix *oldest = NULL;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        struct prefix *p = &e->prefixes[i];
        if (p->used && p->users == 0 && (oldest == NULL || p->used_at < oldest->used_at)) {
            oldest = p;
        }
    }
    if (oldest == NULL) {
        return false;
    }
    drop(e, oldest);
    return true;
}

int prefix_cells(const struct llama_engine *e, bool idle_only)
{
    int cells = 0;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        const struct prefix *p = &e->prefixes[i];
        if (p->used && (!idle_only || p->users == 0)) {
            cells += p->tokens.n;
        }
    }
    return cells;
}

void prefix_trim(struct llama_engine *e)
{
    while (prefix_cells(e, true) > ENGINE_IDLE_CELLS_MAX && prefix_evict(e)) {
    }
}

static struct prefix *free_entry(struct llama_engine *e)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MAX_PREFIXES; i++) {
            if (!e->prefixes[i].used) {
                return &e->prefixes[i];
            }
        }
        if (!prefix_evict(e)) {
            break;
        }
    }
    return NULL;
}

void prefix_keep(struct llama_engine *e, struct task *t, int n)
{
    if (n < MIN_SHARED || n > ENGINE_IDLE_CELLS_MAX || n > t->n_past || e->is_lane) {
        return;
    }
    if (t->source != NULL && t->source->tokens.n >= n && t->n_shared >= n) {
        return; /* all of it is there already */
    }
    struct llama_memory_i *memory = llama_get_memory(e->context);
    struct prefix *p = t->source;
    bool extend = p != NULL && p->users == 1 && p->tokens.n == t->n_shared;
    if (!extend) {
        p = free_entry(e);
        int seq = p == NULL ? -1 : engine_seq_take(e);
        if (seq < 0) {
            return;
        }
        *p = (struct prefix){.used = true, .domain = mem_dup_str(t->domain), .seq = seq};
        if (t->source != NULL) {
            t->source->users--;
        }
        p->users = 1;
        t->source = p;
        tokens_add(&p->tokens, t->tokens.at, n);
        llama_memory_seq_cp(memory, t->seq, seq, 0, n);
    } else {
        tokens_add(&p->tokens, t->tokens.at + p->tokens.n, n - p->tokens.n);
        llama_memory_seq_cp(memory, t->seq, p->seq, t->n_shared, n);
    }
    /* Those cells are the prefix's now. */
    t->reserve -= n - t->n_shared;
    t->n_shared = n;
    p->used_at = clock_monotonic_us();
}
