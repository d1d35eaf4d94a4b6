/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: released prompts that outlive the worker. When a form whose prompt is
 * released text is answered, the state of its head (what comes before the input) stands in the
 * stash with the null-prompt scores made on it, and the server is told. It may take a copy, and
 * give it to a later worker, which finds it there as if it had decoded it. Whether tokens are the
 * same is compared by whoever uses them (stash.c); here only sizes are checked.
 * Owns: nothing of its own. Threads: one. Limits: the stash's budget, IPC_STATE_*.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#include "run/ipc/ipc.h"

void state_prefix_id(const char *domain, const llama_token *tokens, int n, char hex[65])
{
    struct buf text;
    uint8_t hash[32];
    buf_init(&text, 1024 + (size_t)n * sizeof *tokens);
    (void)buf_add(&text, domain, strlen(domain) + 1);
    (void)buf_add(&text, tokens, (size_t)n * sizeof *tokens);
    ASSERT(!text.overflow);
    text_sha256(text.data, text.len, hash);
    text_hex(hash, sizeof hash, hex);
    buf_done(&text);
}

static struct stashed *find(struct llama_engine *e, const char *prefix)
{
    struct stashed *s = e->stash;
    while (s != NULL && strcmp(s->prefix, prefix) != 0) {
        s = s->next;
    }
    return s;
}

/* The scores made on this prefix; rows belongs to the caller. */
static uint32_t collect_scores(const struct llama_engine *e, const char *prefix,
                               struct ipc_scores rows[IPC_STATE_SCORES_MAX])
{
    uint32_t n = 0;
    for (int i = 0; i < MAX_NULLS; i++) {
        const struct null_scores *scores = &e->nulls[i];
        if (scores->key == NULL || strcmp(scores->prefix, prefix) != 0) {
            continue;
        }
        for (unsigned piece = 0; piece < FORM_PIECES_MAX && n < IPC_STATE_SCORES_MAX; piece++) {
            if (scores->logp[piece] == NULL) {
                continue;
            }
            struct ipc_scores *row = &rows[n++];
            *row = (struct ipc_scores){.piece = (uint16_t)piece,
                                       .n = (uint16_t)scores->n_logp[piece],
                                       .logp = scores->logp[piece]};
            bool hex = text_unhex(scores->key, 64, row->form);
            ASSERT(hex);
        }
    }
    return n;
}

static void describe(const struct llama_engine *e, const struct stashed *s, struct ipc_state *out,
                     struct ipc_scores rows[IPC_STATE_SCORES_MAX])
{
    *out = (struct ipc_state){.tokens = s->tokens.at,
                              .n_tokens = (uint32_t)s->tokens.n,
                              .scores = rows,
                              .n_scores = collect_scores(e, s->prefix, rows),
                              .kv = s->state,
                              .kv_bytes = s->bytes};
}

void state_keep(struct llama_engine *e, struct task *t)
{
    char prefix[65];
    if (e->is_lane || e->stash_budget == 0 || t->head < MIN_SHARED || t->n_past < t->head ||
        e->base.sink->kept == NULL) {
        return;
    }
    state_prefix_id(t->domain, t->tokens.at, t->head, prefix);
    struct stashed *s = find(e, prefix);
    if (s == NULL) {
        s = stash_released(e, t, t->head);
        if (s == NULL) {
            return;
        }
        memcpy(s->prefix, prefix, sizeof s->prefix);
    }
    s->used_at = clock_monotonic_us();
    struct ipc_scores *rows = mem_alloc_array(IPC_STATE_SCORES_MAX, sizeof *rows);
    struct ipc_state state;
    describe(e, s, &state, rows);
    struct engine_kept kept = {.prefix = s->prefix,
                               .tokens = s->tokens.n,
                               .scores = (int)state.n_scores,
                               .bytes = ipc_state_size(&state)};
    e->base.sink->kept(e->base.sink->self, t->id, &kept);
    mem_free(rows);
}

enum fail state_take(struct engine *engine, const char *prefix, uint8_t *out, size_t bytes,
                     struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    struct stashed *s = find(e, prefix);
    if (s == NULL || *prefix == '\0') {
        return FAULT(why, FAIL_NOT_FOUND, "no such prefix is kept any more");
    }
    struct ipc_scores *rows = mem_alloc_array(IPC_STATE_SCORES_MAX, sizeof *rows);
    struct ipc_state state;
    describe(e, s, &state, rows);
    enum fail failed = FAIL_NONE;
    if (ipc_state_size(&state) == bytes) {
        ipc_state_put(&state, out);
    } else {
        failed = FAULT(why, FAIL_CONFLICT, "the prefix now has %zu bytes, not %zu",
                       ipc_state_size(&state), bytes);
    }
    mem_free(rows);
    return failed;
}

/* All rows of one form, from row `from` on. */
static void give_scores(struct llama_engine *e, const struct ipc_state *state, uint32_t from,
                        const char *prefix)
{
    const struct ipc_scores *first = &state->scores[from];
    double *logp[FORM_PIECES_MAX] = {0};
    size_t n[FORM_PIECES_MAX] = {0};
    char key[65];
    for (uint32_t i = from; i < state->n_scores; i++) {
        const struct ipc_scores *row = &state->scores[i];
        if (memcmp(row->form, first->form, sizeof row->form) == 0 &&
            row->piece < FORM_PIECES_MAX && logp[row->piece] == NULL) {
            logp[row->piece] = mem_dup(row->logp, row->n * sizeof *row->logp);
            n[row->piece] = row->n;
        }
    }
    text_hex(first->form, sizeof first->form, key);
    form_null_put(e, key, prefix, logp, n);
}

enum fail state_give(struct engine *engine, const char *domain, const uint8_t *bytes, size_t len,
                     int64_t *tokens, struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    struct arena *arena = arena_new(len + 8u * 1024 * 1024);
    struct ipc_state state;
    enum fail failed = ipc_state_get(&state, bytes, len, arena, why);
    for (uint32_t i = 0; failed == FAIL_NONE && i < state.n_tokens; i++) {
        if (state.tokens[i] >= e->n_vocab) {
            failed = FAULT(why, FAIL_BAD_REQUEST, "a state with tokens this model does not have");
        }
    }
    if (failed == FAIL_NONE && (int)state.n_tokens > e->base.info.n_ctx) {
        failed = FAULT(why, FAIL_TOO_LARGE, "a state of %u tokens in a context of %d",
                       state.n_tokens, e->base.info.n_ctx);
    }
    if (failed == FAIL_NONE) {
        int n = (int)state.n_tokens;
        char prefix[65];
        state_prefix_id(domain, state.tokens, n, prefix);
        struct stashed *s = stash_add(e, domain, state.tokens, n,
                                      mem_dup(state.kv, (size_t)state.kv_bytes),
                                      (size_t)state.kv_bytes);
        if (s == NULL) {
            failed = FAULT(why, FAIL_QUEUE_FULL, "no room for a state of %zu bytes", len);
        } else {
            memcpy(s->prefix, prefix, sizeof s->prefix);
            for (uint32_t i = 0; i < state.n_scores; i++) {
                if (i == 0 || memcmp(state.scores[i].form, state.scores[i - 1].form, 32) != 0) {
                    give_scores(e, &state, i, prefix);
                }
            }
            *tokens = n;
        }
    }
    arena_free(arena);
    return failed;
}
