/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc, the state of a prefix as one block of bytes: what travels by a STATE's descriptor and
 * lies on disk. Little-endian: "IHS1", u32 tokens, u32 score rows, u32 zero, u64 KV bytes; i32 a
 * token; then of each row 32 bytes form, u16 piece, u16 n, n doubles; then the KV. Nothing between
 * and nothing after.
 * Owns: nothing. Threads: pure functions. Limits: IPC_STATE_*.
 */
#include "run/ipc/ipc_internal.h"

#include <math.h>
#include <string.h>

#include "base/mem/mem.h"

#define HEAD_BYTES 24u
#define ROW_BYTES 36u

static const char magic[4] = {'I', 'H', 'S', '1'};

size_t ipc_state_size(const struct ipc_state *s)
{
    size_t n = HEAD_BYTES + 4 * (size_t)s->n_tokens + (size_t)s->kv_bytes;
    for (uint32_t i = 0; i < s->n_scores; i++) {
        n += ROW_BYTES + 8 * (size_t)s->scores[i].n;
    }
    return n;
}

static uint8_t *put_double(uint8_t *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    ipc_put(out, bits, 8);
    return out + 8;
}

void ipc_state_put(const struct ipc_state *s, uint8_t *out)
{
    memcpy(out, magic, 4);
    ipc_put(out + 4, s->n_tokens, 4);
    ipc_put(out + 8, s->n_scores, 4);
    ipc_put(out + 12, 0, 4);
    ipc_put(out + 16, s->kv_bytes, 8);
    out += HEAD_BYTES;
    for (uint32_t i = 0; i < s->n_tokens; i++, out += 4) {
        ipc_put(out, (uint32_t)s->tokens[i], 4);
    }
    for (uint32_t i = 0; i < s->n_scores; i++) {
        const struct ipc_scores *row = &s->scores[i];
        memcpy(out, row->form, sizeof row->form);
        ipc_put(out + 32, row->piece, 2);
        ipc_put(out + 34, row->n, 2);
        out += ROW_BYTES;
        for (uint16_t k = 0; k < row->n; k++) {
            out = put_double(out, row->logp[k]);
        }
    }
    memcpy(out, s->kv, (size_t)s->kv_bytes);
}

static enum fail bad(struct fault *why, const char *what)
{
    return FAULT(why, FAIL_BAD_REQUEST, "a state with %s", what);
}

static enum fail get_scores(const uint8_t **at, size_t *left, struct ipc_scores *row,
                            struct arena *arena, struct fault *why)
{
    if (*left < ROW_BYTES) {
        return bad(why, "scores cut short");
    }
    memcpy(row->form, *at, sizeof row->form);
    row->piece = (uint16_t)ipc_get(*at + 32, 2);
    row->n = (uint16_t)ipc_get(*at + 34, 2);
    *at += ROW_BYTES;
    *left -= ROW_BYTES;
    if (row->n < 2 || row->n > IPC_STATE_LABELS_MAX || *left < 8 * (size_t)row->n) {
        return bad(why, "scores of an impossible number of labels");
    }
    double *logp = arena_alloc(arena, row->n * sizeof *logp);
    for (uint16_t k = 0; k < row->n; k++, *at += 8, *left -= 8) {
        uint64_t bits = ipc_get(*at, 8);
        memcpy(&logp[k], &bits, sizeof logp[k]);
        if (!isfinite(logp[k]) || logp[k] > 1e-6) {
            return bad(why, "a score that is no log probability");
        }
    }
    row->logp = logp;
    return FAIL_NONE;
}

enum fail ipc_state_get(struct ipc_state *s, const uint8_t *bytes, size_t len, struct arena *arena,
                        struct fault *why)
{
    *s = (struct ipc_state){0};
    if (len < HEAD_BYTES || memcmp(bytes, magic, sizeof magic) != 0 ||
        ipc_get(bytes + 12, 4) != 0) {
        return bad(why, "an unknown head");
    }
    s->n_tokens = (uint32_t)ipc_get(bytes + 4, 4);
    s->n_scores = (uint32_t)ipc_get(bytes + 8, 4);
    s->kv_bytes = ipc_get(bytes + 16, 8);
    const uint8_t *at = bytes + HEAD_BYTES;
    size_t left = len - HEAD_BYTES;
    if (s->n_tokens < 1 || s->n_tokens > IPC_STATE_TOKENS_MAX || left < 4 * (size_t)s->n_tokens ||
        s->n_scores > IPC_STATE_SCORES_MAX || s->kv_bytes < 1) {
        return bad(why, "impossible sizes");
    }
    int32_t *tokens = arena_alloc(arena, s->n_tokens * sizeof *tokens);
    for (uint32_t i = 0; i < s->n_tokens; i++, at += 4, left -= 4) {
        tokens[i] = (int32_t)(uint32_t)ipc_get(at, 4);
        if (tokens[i] < 0) {
            return bad(why, "a token below zero");
        }
    }
    struct ipc_scores *scores = arena_alloc(arena, (s->n_scores + 1) * sizeof *scores);
    for (uint32_t i = 0; i < s->n_scores; i++) {
        enum fail failed = get_scores(&at, &left, &scores[i], arena, why);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    if (left != s->kv_bytes) {
        return bad(why, "bytes too many or too few");
    }
    s->tokens = tokens;
    s->scores = scores;
    s->kv = at;
    return FAIL_NONE;
}
