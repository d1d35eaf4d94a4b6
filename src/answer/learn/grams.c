/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grams: a text becomes hashed n-grams of words and characters, and n-grams become tf-idf.
 *
 * Owns nothing between calls. Threads: pure on the caller's structs. Limits: LEARN_MAX_TEXT bytes.
 * Words are runs of letters, marks and digits (Unicode); character n-grams run inside pieces
 * between spaces, with one space on either side, as is usual for text classification.
 * Term weight: (1 + ln count) * (ln((1 + n) / (1 + df)) + 1), each kind scaled to one length.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

#include "base/text/text.h"
#include "trust/guard/guard.h"

#define WORD_SEED 0x9ae16a3b2f90404fULL
#define CHAR_SEED 0xc949d7c7509e6557ULL
#define MAX_CHAR_GRAM 5
#define MIN_CHAR_GRAM 2

uint64_t learn_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t hash_step(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9fb21c651e98df25ULL;
    return h ^ (h >> 32);
}

static uint64_t hash_end(uint64_t h, unsigned kind)
{
    uint64_t s = h;
    return (learn_random(&s) & ~1ULL) | kind;
}

void learn_grams_init(struct learn_grams *g)
{
    memset(g, 0, sizeof(*g));
    buf_init(&g->masked, 8 * LEARN_MAX_TEXT);
}

void learn_grams_done(struct learn_grams *g)
{
    mem_free(g->key);
    mem_free(g->count);
    mem_free(g->wide[0]);
    mem_free(g->wide[1]);
    buf_done(&g->masked);
}

static void put(struct learn_grams *g, uint64_t key)
{
    if (g->n == g->room) {
        g->room = g->room == 0 ? 1024 : g->room * 2;
        g->key = mem_realloc(g->key, g->room * sizeof(*g->key));
        g->count = mem_realloc(g->count, g->room * sizeof(*g->count));
    }
    g->key[g->n++] = key;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void count_equal_keys(struct learn_grams *g)
{
    qsort(g->key, g->n, sizeof(*g->key), compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < g->n; i++) {
        if (kept > 0 && g->key[kept - 1] == g->key[i]) {
            g->count[kept - 1]++;
        } else {
            g->key[kept] = g->key[i];
            g->count[kept++] = 1;
        }
    }
    g->n = kept;
}

/* UTF-8 to case-folded UTF-16 in g->wide[1]; returns its length. */
static int32_t fold(struct learn_grams *g, const char *s, size_t n)
{
    size_t need[2] = {n + 1, n * 4 + 16};
    for (int i = 0; i < 2; i++) {
        if (g->wide_room[i] < need[i]) {
            g->wide[i] = mem_realloc(g->wide[i], need[i] * sizeof(UChar));
            g->wide_room[i] = need[i];
        }
    }
    UErrorCode err = U_ZERO_ERROR;
    int32_t len = 0;
    u_strFromUTF8WithSub(g->wide[0], (int32_t)g->wide_room[0], &len, s, (int32_t)n, 0xfffd, NULL,
                         &err);
    ASSERT(U_SUCCESS(err));
    const UNormalizer2 *norm = unorm2_getNFKCCasefoldInstance(&err);
    int32_t out = unorm2_normalize(norm, g->wide[0], len, g->wide[1], (int32_t)g->wide_room[1],
                                   &err);
    if (U_FAILURE(err)) { /* a rare text that grows beyond four times: its plain form will do */
        memcpy(g->wide[1], g->wide[0], (size_t)len * sizeof(UChar));
        return len;
    }
    return out;
}

static bool is_word(UChar32 c)
{
    return u_isalnum(c) || (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_PC_MASK)) != 0;
}

static void read_words(struct learn_grams *g, const UChar *s, int32_t n)
{
    uint64_t last = 0;
    bool have_last = false;
    int32_t i = 0;
    while (i < n) {
        UChar32 c;
        uint64_t h = WORD_SEED;
        int32_t len = 0;
        while (i < n) {
            U16_NEXT(s, i, n, c);
            if (!is_word(c)) {
                break;
            }
            h = hash_step(h, (uint64_t)c);
            len++;
        }
        if (len == 0) {
            continue;
        }
        put(g, hash_end(h, 0));
        if (have_last) {
            put(g, hash_end(hash_step(last, h), 0));
        }
        last = h;
        have_last = true;
    }
}

/* All n-grams of one piece that stands between spaces; cp holds it with a space on either side. */
static void read_piece(struct learn_grams *g, const UChar32 *cp, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t h = CHAR_SEED;
        for (size_t k = 0; k < MAX_CHAR_GRAM && i + k < n; k++) {
            h = hash_step(h, (uint64_t)cp[i + k]);
            if (k + 1 >= MIN_CHAR_GRAM) {
                put(g, hash_end(h, 1));
            }
        }
    }
}

static void read_chars(struct learn_grams *g, const UChar *s, int32_t n)
{
    enum { LONGEST = 256 }; /* a longer piece is read in parts */
    UChar32 cp[LONGEST + 2];
    int32_t i = 0;
    while (i < n) {
        size_t len = 0;
        UChar32 c = 0;
        cp[0] = ' ';
        while (i < n && len < LONGEST) {
            U16_NEXT(s, i, n, c);
            if (u_isUWhiteSpace(c)) {
                break;
            }
            cp[++len] = c;
        }
        if (len > 0) {
            cp[len + 1] = ' ';
            read_piece(g, cp, len + 2);
        }
    }
}

void learn_grams_read(struct learn_grams *g, const char *text, size_t n)
{
    g->n = 0;
    if (n > LEARN_MAX_TEXT) {
        n = text_utf8_cut(text, LEARN_MAX_TEXT);
    }
    buf_clear(&g->masked);
    if (n == 0 || !guard_mask(text, n, NULL, &g->masked, NULL)) {
        return; /* unmasked text is never read */
    }
    int32_t len = fold(g, g->masked.data, g->masked.len);
    read_words(g, g->wide[1], len);
    read_chars(g, g->wide[1], len);
    count_equal_keys(g);
}

void learn_vocabulary_index(struct learn_vocabulary *v)
{
    size_t size = 16;
    while (size < v->n * 2) {
        size *= 2;
    }
    v->mask = size - 1;
    v->slots = mem_alloc_array(size, sizeof(*v->slots));
    for (size_t i = 0; i < v->n; i++) {
        size_t at = (v->keys[i] >> 1) & v->mask;
        while (v->slots[at] != 0) {
            at = (at + 1) & v->mask;
        }
        v->slots[at] = (uint32_t)i + 1;
    }
}

void learn_vocabulary_done(struct learn_vocabulary *v)
{
    mem_free(v->keys);
    mem_free(v->idf);
    mem_free(v->slots);
}

uint32_t learn_vocabulary_find(const struct learn_vocabulary *v, uint64_t key)
{
    for (size_t at = (key >> 1) & v->mask; v->slots[at] != 0; at = (at + 1) & v->mask) {
        if (v->keys[v->slots[at] - 1] == key) {
            return v->slots[at] - 1;
        }
    }
    return UINT32_MAX;
}

static void scale_to_one(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * x[i];
    }
    if (sum > 0) {
        float f = (float)(1 / sqrt(sum));
        for (size_t i = 0; i < n; i++) {
            x[i] *= f;
        }
    }
}

size_t learn_vocabulary_weigh(const struct learn_vocabulary *v, const struct learn_grams *g,
                              double word_weight, double char_weight, uint32_t *col, float *val,
                              float *known, float *sketch)
{
    size_t n = 0;
    double sum[2] = {0, 0};
    size_t seen = 0;
    for (size_t i = 0; i < g->n; i++) {
        uint32_t at = learn_vocabulary_find(v, g->key[i]);
        if (at == UINT32_MAX) {
            continue;
        }
        float x = (1.0F + logf((float)g->count[i])) * v->idf[at];
        sum[g->key[i] & 1] += (double)x * x;
        col[n] = at;
        val[n++] = x;
        seen++;
    }
    double weight[2] = {word_weight, char_weight};
    float factor[2];
    for (int k = 0; k < 2; k++) {
        factor[k] = sum[k] > 0 ? (float)(weight[k] / sqrt(sum[k])) : 0;
    }
    if (sketch != NULL) {
        memset(sketch, 0, LEARN_SKETCH * sizeof(*sketch));
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t key = v->keys[col[i]];
        val[i] *= factor[key & 1];
        if (sketch != NULL) {
            sketch[(key >> 8) % LEARN_SKETCH] += (key & 2) != 0 ? val[i] : -val[i];
        }
    }
    if (sketch != NULL) {
        scale_to_one(sketch, LEARN_SKETCH);
    }
    if (known != NULL) {
        *known = g->n == 0 ? 0 : (float)seen / (float)g->n;
    }
    return n;
}
