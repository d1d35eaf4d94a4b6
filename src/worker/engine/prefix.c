/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: resident prefixes, a tree. A prompt's shared start is decoded once and
 * forked by llama_memory_seq_cp, which in a unified KV only marks cells. Each prefix has the tokens
 * from the root; its first `fork` cells are those of its parent, so asks that begin alike share
 * what they have in common however they go on. A prefix is used inside its own domain only: a
 * shared one would tell by its speed what others have asked. What must leave the KV goes to the
 * stash (stash.c), and an ask that it would serve better brings it back.
 * Owns: the prefixes, their sequences and token copies. Threads: one.
 * Limits: MAX_PREFIXES, and idle_cells that no running task uses (foreign cells slow every step).
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

int tokens_common(const struct tokens *a, const struct tokens *b, int max)
{
    int n = a->n < b->n ? a->n : b->n;
    n = n < max ? n : max;
    int i = 0;
    while (i < n && a->at[i] == b->at[i]) {
        i++;
    }
    return i;
}

static struct prefix *match(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                            int max, int *shared)
{
    struct prefix *best = NULL;
    *shared = 0;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        struct prefix *p = &e->prefixes[i];
        if (p->used && strcmp(p->domain, domain) == 0) {
            int n = tokens_common(&p->tokens, tokens, max);
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

int prefix_common(const struct llama_engine *e, const char *domain, const struct tokens *tokens)
{
    int best = 0;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        const struct prefix *p = &e->prefixes[i];
        if (p->used && strcmp(p->domain, domain) == 0) {
            int n = tokens_common(&p->tokens, tokens, tokens->n);
            best = n > best ? n : best;
        }
    }
    return best;
}

/* The tree. */

/* The one that shares most of p's cells takes its place; the others now share with that one. */
static void replace_in_tree(struct llama_engine *e, const struct prefix *p)
{
    struct prefix *heir = NULL;
    for (int i = 0; i < MAX_PREFIXES; i++) {
        struct prefix *c = &e->prefixes[i];
        if (c->used && c->parent == p && (heir == NULL || c->fork > heir->fork)) {
            heir = c;
        }
    }
    for (int i = 0; heir != NULL && i < MAX_PREFIXES; i++) {
        struct prefix *c = &e->prefixes[i];
        if (c->used && c->parent == p && c != heir) {
            c->parent = heir;
        }
    }
    if (heir != NULL) {
        heir->parent = p->parent;
        heir->fork = p->fork < heir->fork ? p->fork : heir->fork;
    }
}

void prefix_drop(struct llama_engine *e, struct prefix *p)
{
    ASSERT(p->used && p->users == 0);
    replace_in_tree(e, p);
    engine_seq_drop(e, p->seq);
    tokens_done(&p->tokens);
    mem_free(p->domain);
    *p = (struct prefix){0};
}

/* What the others hold or share of it is not lost. */
static void stash_copy(struct llama_engine *e, struct prefix *p, int stays)
{
    p->used = false; /* not its own match */
    int kept = prefix_common(e, p->domain, &p->tokens);
    p->used = true;
    kept = kept > stays ? kept : stays;
    stash_put(e, p->domain, &p->tokens, p->tokens.n, p->seq, kept);
}

void prefix_cut(struct llama_engine *e, struct prefix *p, int n)
{
    if (p->users > 1 || p->tokens.n <= n) {
        return;
    }
    stash_copy(e, p, n);
    for (int i = 0; i < MAX_PREFIXES; i++) {
        struct prefix *c = &e->prefixes[i];
        if (c->used && c->parent == p && c->fork > n) {
            c->fork = n; /* those cells are its own now */
        }
    }
    llama_memory_seq_rm(llama_get_memory(e->context), p->seq, n, -1);
    p->tokens.n = n;
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
    stash_copy(e, oldest, 0);
    prefix_drop(e, oldest);
    return true;
}

int prefix_cells(const struct llama_engine *e, bool idle_only)
{
    int busy[MAX_PREFIXES] = {0}; /* cells from the root that running tasks hold on to */
    int cells = 0;
    for (int i = 0; idle_only && i < MAX_PREFIXES; i++) {
        const struct prefix *p = &e->prefixes[i];
        int depth = p->used && p->users > 0 ? p->tokens.n : 0;
        for (const struct prefix *q = p; q != NULL && depth > 0; q = q->parent) {
            int *at = &busy[q - e->prefixes];
            *at = depth > *at ? depth : *at;
            depth = q->fork < depth ? q->fork : depth;
        }
    }
    for (int i = 0; i < MAX_PREFIXES; i++) {
        const struct prefix *p = &e->prefixes[i];
        int from = p->fork > busy[i] ? p->fork : busy[i];
        cells += p->used ? p->tokens.n - from : 0;
    }
    return cells;
}

void prefix_trim(struct llama_engine *e)
{
    while (prefix_cells(e, true) > e->idle_cells && prefix_evict(e)) {
    }
}

struct prefix *prefix_new(struct llama_engine *e, const char *domain)
{
    struct prefix *free_one = NULL;
    for (int round = 0; round < 2 && free_one == NULL; round++) {
        for (int i = 0; i < MAX_PREFIXES; i++) {
            free_one = e->prefixes[i].used ? free_one : &e->prefixes[i];
        }
        if (free_one == NULL && !prefix_evict(e)) {
            return NULL;
        }
    }
    int seq = free_one == NULL ? -1 : engine_seq_take(e);
    if (seq < 0) {
        return NULL;
    }
    *free_one = (struct prefix){.used = true,
                                .domain = mem_dup_str(domain),
                                .seq = seq,
                                .used_at = clock_monotonic_us()};
    return free_one;
}

void prefix_done(struct llama_engine *e)
{
    for (int i = 0; i < MAX_PREFIXES; i++) {
        if (e->prefixes[i].used) {
            prefix_drop(e, &e->prefixes[i]);
        }
    }
    stash_done(e);
}

/* For asks. */

int prefix_reach(struct llama_engine *e, const struct task *t, int max)
{
    int shared = 0;
    int stashed = 0;
    (void)match(e, t->domain, &t->tokens, max, &shared);
    (void)stash_match(e, t->domain, &t->tokens, max, shared, &stashed);
    return stashed > shared ? stashed : shared;
}

struct prefix *prefix_take(struct llama_engine *e, const struct task *t, int max, int *shared)
{
    int stashed = 0;
    struct prefix *p = match(e, t->domain, &t->tokens, max, shared);
    struct stashed *s = stash_match(e, t->domain, &t->tokens, max, *shared, &stashed);
    /* Its cells, all of them at first, beside what the rest of the ask will need. */
    if (s != NULL) {
        (void)stash_restore(e, s, stashed, t->n_prompt + t->max_new - stashed);
        p = match(e, t->domain, &t->tokens, max, shared); /* making room may have cost it */
    }
    return p;
}

void prefix_keep(struct llama_engine *e, struct task *t, int n)
{
    if (e->is_lane) {
        return;
    }
    if (e->stash_budget > 0 && n > e->idle_cells && n <= t->n_past && t->tokens_out > 0) {
        /* Too long to stay: a long chat's next turn finds it in the stash. */
        stash_task(e, t, n);
    }
    n = n < e->idle_cells ? n : e->idle_cells;
    if (n < MIN_SHARED || n > t->n_past) {
        return;
    }
    if (t->source != NULL && t->source->tokens.n >= n && t->n_shared >= n) {
        return; /* all of it is there already */
    }
    struct llama_memory_i *memory = llama_get_memory(e->context);
    struct prefix *p = t->source;
    bool extend = p != NULL && p->users == 1 && p->tokens.n == t->n_shared;
    if (!extend) {
        p = prefix_new(e, t->domain);
        if (p == NULL) {
            return;
        }
        p->parent = t->source;
        p->fork = t->n_shared;
        if (t->source != NULL) {
            t->source->users--;
        }
        p->users = 1;
        t->source = p;
        tokens_add(&p->tokens, t->tokens.at, n);
        llama_memory_seq_cp(memory, t->seq, p->seq, 0, n);
    } else {
        tokens_add(&p->tokens, t->tokens.at + p->tokens.n, n - p->tokens.n);
        llama_memory_seq_cp(memory, t->seq, p->seq, t->n_shared, n);
    }
    /* Those cells are the prefix's now. */
    t->reserve -= n - t->n_shared;
    t->n_shared = n;
    p->used_at = clock_monotonic_us();
}
