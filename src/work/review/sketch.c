/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sketches: 128 minima of the hashed stems, and pairs of neighbouring stems, of a text without its
 * function words (MinHash, Broder 1997). Two texts' share of equal minima estimates the Jaccard
 * index of those sets. Case, punctuation and digits do not count, so that ids and dates keep
 * nothing apart.
 *
 * Owns: table review_sketch. Threads: pure, or as review.h says. Limits: TEXT_MAX bytes of a text;
 * a vector of REVIEW_DIM_MAX.
 */
#include <math.h>
#include <string.h>

#include "answer/knowledge/knowledge.h"
#include "work/review/review_internal.h"

#define TEXT_MAX 16384 /* of a text: about 2 ms */
#define VECTOR_SAME 0.90

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}

static void take(uint32_t out[REVIEW_SKETCH], uint64_t h)
{
    for (uint64_t i = 0; i < REVIEW_SKETCH; i++) {
        uint32_t v = (uint32_t)(mix(h + i * 0x9e3779b97f4a7c15ULL) >> 32);
        out[i] = v < out[i] ? v : out[i];
    }
}

/* The stem's hash; what has a digit in it is one word, whichever. */
static uint64_t hash_word(const struct knowledge_word *w)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (const char *p = w->stem; !w->digit && *p != '\0'; p++) {
        h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
    }
    return mix(h);
}

void review_sketch_make(const char *text, uint32_t out[REVIEW_SKETCH])
{
    struct knowledge_words words;
    uint64_t before = 0;
    size_t n = text_utf8_cut(text, strnlen(text, TEXT_MAX));
    for (size_t i = 0; i < REVIEW_SKETCH; i++) {
        out[i] = UINT32_MAX;
    }
    knowledge_words_init(&words, text, n, knowledge_guess_lang(text, n));
    for (size_t i = 0; i < words.count; i++) {
        if (words.items[i].stop) {
            continue; /* what every message has makes none alike */
        }
        uint64_t h = hash_word(&words.items[i]);
        take(out, h);
        if (before != 0) {
            take(out, mix(before * 31 + h));
        }
        before = h;
    }
    knowledge_words_done(&words);
}

double review_sketch_like(const uint32_t *a, const uint32_t *b)
{
    int same = 0;
    for (size_t i = 0; i < REVIEW_SKETCH; i++) {
        same += a[i] == b[i] && a[i] != UINT32_MAX;
    }
    return (double)same / REVIEW_SKETCH;
}

double review_likeness(const char *a, const char *b)
{
    uint32_t x[REVIEW_SKETCH], y[REVIEW_SKETCH];
    review_sketch_make(a, x);
    review_sketch_make(b, y);
    return review_sketch_like(x, y);
}

double review_sketches_like(const struct review_sketch *a, const struct review_sketch *b)
{
    double like = review_sketch_like(a->minima, b->minima);
    if (a->vector == NULL || b->vector == NULL || a->dim != b->dim ||
        strcmp(a->model, b->model) != 0) {
        return like;
    }
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a->dim; i++) {
        dot += a->vector[i] * b->vector[i];
        aa += a->vector[i] * a->vector[i];
        bb += b->vector[i] * b->vector[i];
    }
    double cosine = aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
    return cosine >= VECTOR_SAME && cosine > like ? cosine : like;
}

/* ---- stored ---- */

static void put_minima(const uint32_t *minima, uint8_t out[REVIEW_SKETCH * 4])
{
    for (size_t i = 0; i < REVIEW_SKETCH; i++) {
        for (size_t k = 0; k < 4; k++) {
            out[i * 4 + k] = (uint8_t)(minima[i] >> (8 * k));
        }
    }
}

/* A unit vector as bytes: the largest part becomes 127. */
static size_t put_vector(const struct review_artifact *a, int8_t *out)
{
    float most = 0;
    if (a->vector == NULL || a->dim == 0 || a->dim > REVIEW_DIM_MAX || a->model == NULL) {
        return 0;
    }
    for (size_t i = 0; i < a->dim; i++) {
        most = fabsf(a->vector[i]) > most ? fabsf(a->vector[i]) : most;
    }
    for (size_t i = 0; most > 0 && i < a->dim; i++) {
        out[i] = (int8_t)lrintf(a->vector[i] / most * 127);
    }
    return most > 0 ? a->dim : 0;
}

enum fail review_sketch_add(struct store_tx *tx, const struct review_artifact *a,
                            struct fault *why)
{
    uint32_t minima[REVIEW_SKETCH];
    uint8_t bytes[REVIEW_SKETCH * 4];
    int8_t vector[REVIEW_DIM_MAX];
    if (a->input == NULL || a->input[0] == '\0') {
        return FAIL_NONE;
    }
    review_sketch_make(a->input, minima);
    put_minima(minima, bytes);
    size_t dim = put_vector(a, vector);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO review_sketch (artifact, team, workflow, sketch, vector, "
                           "model, corrected_at, unanswered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, "
                           "?7)");
    store_bind_id(s, 1, &a->id);
    store_bind_text(s, 2, a->team);
    store_bind_text(s, 3, a->workflow);
    store_bind_blob(s, 4, bytes, sizeof(bytes));
    store_bind_blob(s, 5, vector, dim);
    store_bind_text(s, 6, dim > 0 ? a->model : "");
    store_bind_int(s, 7, a->draft == NULL);
    return store_run(s, why);
}

enum fail review_sketch_corrected(struct store_tx *tx, const struct id *artifact, int64_t now,
                                  struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_sketch SET corrected_at = ?2 WHERE artifact = ?1");
    store_bind_id(s, 1, artifact);
    store_bind_int(s, 2, now);
    return store_run(s, why);
}

enum fail review_sketch_read(struct store_stmt *s, int at, struct arena *arena,
                             struct review_sketch *out, struct fault *why)
{
    size_t n, dim;
    const uint8_t *bytes = store_col_blob(s, at, &n);
    memset(out, 0, sizeof(*out));
    if (n != REVIEW_SKETCH * 4) {
        return FAULT(why, FAIL_INTERNAL, "a stored sketch is damaged");
    }
    for (size_t i = 0; i < REVIEW_SKETCH; i++) {
        out->minima[i] = (uint32_t)bytes[i * 4] | (uint32_t)bytes[i * 4 + 1] << 8 |
                         (uint32_t)bytes[i * 4 + 2] << 16 | (uint32_t)bytes[i * 4 + 3] << 24;
    }
    const void *vector = store_col_blob(s, at + 1, &dim);
    if (dim > 0 && dim <= REVIEW_DIM_MAX && arena_has_room(arena, dim)) {
        out->vector = arena_dup(arena, vector, dim);
        out->dim = dim;
    }
    (void)text_copy(out->model, sizeof(out->model), store_col_text(s, at + 2));
    return FAIL_NONE;
}
