/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blob: a head as bytes and back. The reader trusts nothing: it checks the hash, then every count
 * against what is left, every order, every index and that every number is finite and in range.
 *
 * Layout, all little-endian: "IHHEAD2\n"; u32 labels, dim, n-grams, rows, decided ones, evidence,
 * outside (0 or 1), languages; f32 embedding, word and char weight, scale, vote weight, width,
 * refuse; f32[5] of oddness; f32[101] support; f32[101] oddness; languages (u8[8] code, u32 n, u32
 * correct, f32 expected, f32 variance); labels (u16 length, bytes); report (u32 length, bytes); u64
 * keys ascending; f32 idf; f16 weights [(dim + 1 + n-grams) x (labels + outside)]; rows (u32
 * example, u32 label, u8 length, ref, f32 scale, i8[dim or 256]); SHA-256 of all before.
 * "IHHEAD3\n" is a head with a light one: before the hash, f32 confidence from which that answers,
 * f32 factor of its doubt, and it as a blob of its own (u32 length, bytes), with the same labels
 * and dim 0. Owns nothing between calls. Threads: pure. Limits: LEARN_MAX_BLOB.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

#include "base/text/text.h"

#define MAGIC "IHHEAD2\n"
#define MAGIC_LIGHT "IHHEAD3\n"
#define MAGIC_LEN 8
#define MAX_REPORT ((size_t)1 << 20)

uint16_t learn_half(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof(b));
    uint32_t sign = (b >> 16) & 0x8000;
    uint32_t rest = b & 0x7fffffff;
    if (rest >= 0x477ff000) { /* 65520 and over: the largest finite half */
        return (uint16_t)(sign | 0x7bff);
    }
    if (rest < 0x33000001) { /* 2^-25 and under */
        return (uint16_t)sign;
    }
    int e = (int)(rest >> 23) - 127;
    uint32_t m = (rest & 0x7fffff) | 0x800000;
    int shift = e < -14 ? 13 - 14 - e : 13;
    uint32_t h = e < -14 ? m >> shift : (uint32_t)((e + 14) << 10) + (m >> shift);
    uint32_t cut = m & ((1U << shift) - 1);
    uint32_t half = 1U << (shift - 1);
    if (cut > half || (cut == half && (h & 1) != 0)) {
        h++;
    }
    return (uint16_t)(sign | h);
}

float learn_unhalf(uint16_t h)
{
    int e = (h >> 10) & 31;
    float m = (float)(h & 0x3ff) / 1024.0F;
    float x = e == 0 ? ldexpf(m, -14) : ldexpf(1.0F + m, e - 15);
    return (h & 0x8000) != 0 ? -x : x;
}

static void put16(struct buf *b, uint16_t v)
{
    uint8_t s[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    buf_add(b, s, sizeof(s));
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, (uint16_t)v);
    put16(b, (uint16_t)(v >> 16));
}

static void put64(struct buf *b, uint64_t v)
{
    put32(b, (uint32_t)v);
    put32(b, (uint32_t)(v >> 32));
}

static void put_float(struct buf *b, float f)
{
    uint32_t v;
    memcpy(&v, &f, sizeof(v));
    put32(b, v);
}

static void put_head(const struct learn_head *h, struct buf *b)
{
    buf_add(b, h->light != NULL ? MAGIC_LIGHT : MAGIC, MAGIC_LEN);
    put32(b, (uint32_t)h->labels);
    put32(b, (uint32_t)h->dim);
    put32(b, (uint32_t)h->vocabulary.n);
    put32(b, (uint32_t)h->store.n);
    put32(b, (uint32_t)h->store.decided);
    put32(b, (uint32_t)h->evidence);
    put32(b, h->outside ? 1 : 0);
    put32(b, (uint32_t)h->n_languages);
    put_float(b, (float)h->embedding_weight);
    put_float(b, (float)h->word_weight);
    put_float(b, (float)h->char_weight);
    put_float(b, h->mix.scale);
    put_float(b, h->mix.vote_weight);
    put_float(b, h->mix.width);
    put_float(b, h->refuse);
    for (size_t i = 0; i < LEARN_ODD_COUNT; i++) {
        put_float(b, h->odd_weight[i]);
    }
    for (size_t i = 0; i < LEARN_QUANTILES; i++) {
        put_float(b, h->support[i]);
    }
    for (size_t i = 0; i < LEARN_QUANTILES; i++) {
        put_float(b, h->odd[i]);
    }
    for (size_t i = 0; i < h->n_languages; i++) {
        const struct learn_language *l = &h->languages[i];
        buf_add(b, l->code, sizeof(l->code));
        put32(b, l->n);
        put32(b, l->correct);
        put_float(b, l->expected);
        put_float(b, l->variance);
    }
    for (size_t i = 0; i < h->labels; i++) {
        size_t n = strlen(h->label[i]);
        put16(b, (uint16_t)n);
        buf_add(b, h->label[i], n);
    }
    put32(b, (uint32_t)strlen(h->report));
    buf_add_str(b, h->report);
}

static enum fail put_light(const struct learn_head *h, struct buf *out, struct fault *why)
{
    struct buf b;
    buf_init(&b, LEARN_MAX_BLOB);
    enum fail f = learn_save(h->light, &b, why);
    if (f == FAIL_NONE) {
        put_float(out, h->light_sure);
        put_float(out, h->light_doubt);
        put32(out, (uint32_t)b.len);
        buf_add(out, b.data, b.len);
    }
    buf_done(&b);
    return f;
}

enum fail learn_save(const struct learn_head *h, struct buf *out, struct fault *why)
{
    size_t before = out->len;
    put_head(h, out);
    for (size_t i = 0; i < h->vocabulary.n; i++) {
        put64(out, h->vocabulary.keys[i]);
    }
    for (size_t i = 0; i < h->vocabulary.n; i++) {
        put_float(out, h->vocabulary.idf[i]);
    }
    size_t rows = (size_t)h->dim + 1 + h->vocabulary.n;
    size_t columns = h->labels + (h->outside ? 1 : 0);
    for (size_t i = 0; i < rows && !out->overflow; i++) {
        for (size_t k = 0; k < columns; k++) {
            put16(out, learn_half(h->w[i * h->stride + k]));
        }
    }
    const struct learn_store *s = &h->store;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->ref[i]);
        put32(out, s->example[i]);
        put32(out, s->label[i]);
        buf_add_char(out, (char)n);
        buf_add(out, s->ref[i], n);
        put_float(out, s->scale[i]);
        buf_add(out, s->row + i * (size_t)s->dim, (size_t)s->dim);
    }
    enum fail f = h->light != NULL ? put_light(h, out, why) : FAIL_NONE;
    if (f != FAIL_NONE || out->overflow) {
        return f != FAIL_NONE ? f : FAULT(why, FAIL_TOO_LARGE,
                                          "the head does not fit into %zu bytes", out->cap);
    }
    uint8_t hash[32];
    text_sha256(out->data + before, out->len - before, hash);
    if (!buf_add(out, hash, sizeof(hash))) {
        return FAULT(why, FAIL_TOO_LARGE, "the head does not fit into %zu bytes", out->cap);
    }
    return FAIL_NONE;
}

enum fail learn_head_seal(struct learn_head *h, struct fault *why)
{
    struct buf b;
    buf_init(&b, LEARN_MAX_BLOB);
    enum fail f = learn_save(h, &b, why);
    if (f == FAIL_NONE) {
        text_sha256(b.data, b.len, h->hash);
    }
    buf_done(&b);
    return f;
}

/* What is left to read; bad stays set once anything did not fit or did not hold. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->bad || r->left < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

static uint16_t get16(struct reader *r)
{
    const uint8_t *s = take(r, 2);
    return s == NULL ? 0 : (uint16_t)(s[0] | s[1] << 8);
}

static uint32_t get32(struct reader *r)
{
    uint32_t lo = get16(r);
    return lo | (uint32_t)get16(r) << 16;
}

static uint64_t get64(struct reader *r)
{
    uint64_t lo = get32(r);
    return lo | (uint64_t)get32(r) << 32;
}

/* A finite float in [lo, hi]. */
static float get_float(struct reader *r, float lo, float hi)
{
    uint32_t v = get32(r);
    float f;
    memcpy(&f, &v, sizeof(f));
    if (!(f >= lo && f <= hi)) {
        r->bad = true;
        return lo;
    }
    return f;
}

static char *get_string(struct reader *r, size_t n, size_t max)
{
    const uint8_t *s = n <= max ? take(r, n) : NULL;
    if (s == NULL || memchr(s, 0, n) != NULL || !text_utf8_is_valid((const char *)s, n)) {
        r->bad = true;
        return NULL;
    }
    return mem_dup_strn((const char *)s, n);
}

static void get_labels(struct reader *r, struct learn_head *h)
{
    h->label = mem_alloc_array(h->labels, sizeof(*h->label));
    for (size_t i = 0; i < h->labels && !r->bad; i++) {
        size_t n = get16(r);
        h->label[i] = get_string(r, n, LEARN_MAX_LABEL_LEN);
        if (n == 0 || (i > 0 && !r->bad && strcmp(h->label[i - 1], h->label[i]) >= 0)) {
            r->bad = true;
        }
    }
}

static void get_vocabulary(struct reader *r, struct learn_vocabulary *v)
{
    v->keys = mem_alloc_array(v->n + 1, sizeof(*v->keys));
    v->idf = mem_alloc_array(v->n + 1, sizeof(*v->idf));
    for (size_t i = 0; i < v->n && !r->bad; i++) {
        v->keys[i] = get64(r);
        if (i > 0 && v->keys[i] <= v->keys[i - 1]) {
            r->bad = true;
        }
    }
    for (size_t i = 0; i < v->n && !r->bad; i++) {
        v->idf[i] = get_float(r, 0, 100);
    }
    if (!r->bad) {
        learn_vocabulary_index(v);
    }
}

static void get_weights(struct reader *r, struct learn_head *h)
{
    size_t rows = (size_t)h->dim + 1 + h->vocabulary.n;
    size_t columns = h->labels + (h->outside ? 1 : 0);
    h->w = mem_alloc_array(rows * h->stride, sizeof(*h->w));
    for (size_t i = 0; i < rows && !r->bad; i++) {
        for (size_t k = 0; k < columns; k++) {
            uint16_t x = get16(r);
            if ((x & 0x7c00) == 0x7c00) { /* infinity or NaN */
                r->bad = true;
                x = 0;
            }
            h->w[i * h->stride + k] = learn_unhalf(x);
        }
    }
}

static void get_store(struct reader *r, struct learn_head *h)
{
    struct learn_store *s = &h->store;
    s->dim = h->dim > 0 ? h->dim : LEARN_SKETCH;
    s->row = mem_alloc_array(s->n, (size_t)s->dim);
    s->scale = mem_alloc_array(s->n, sizeof(*s->scale));
    s->example = mem_alloc_array(s->n, sizeof(*s->example));
    s->label = mem_alloc_array(s->n, sizeof(*s->label));
    s->ref = mem_alloc_array(s->n, sizeof(*s->ref));
    for (size_t i = 0; i < s->n && !r->bad; i++) {
        s->example[i] = get32(r);
        s->label[i] = get32(r);
        const uint8_t *len = take(r, 1);
        s->ref[i] = get_string(r, len == NULL ? 0 : *len, LEARN_MAX_REF_LEN);
        s->scale[i] = get_float(r, 0, 1);
        const uint8_t *row = take(r, (size_t)s->dim);
        if (row != NULL) {
            memcpy(s->row + i * (size_t)s->dim, row, (size_t)s->dim);
        }
        if (s->label[i] >= h->labels || s->example[i] >= LEARN_MAX_EXAMPLES) {
            r->bad = true;
        }
    }
    if (!r->bad) {
        learn_store_index(s, h->labels);
    }
}

/* The counts, each within its limit, and together no more than the bytes that are there. */
static bool get_counts(struct reader *r, struct learn_head *h)
{
    h->labels = get32(r);
    uint32_t dim = get32(r);
    h->vocabulary.n = get32(r);
    h->store.n = get32(r);
    h->store.decided = get32(r);
    uint32_t evidence = get32(r);
    uint32_t outside = get32(r);
    uint32_t languages = get32(r);
    if (r->bad || h->labels < 2 || h->labels > LEARN_MAX_LABELS || dim > LEARN_MAX_DIM ||
        h->store.n > LEARN_MAX_NEIGHBOURS || h->store.decided > h->store.n ||
        evidence >= LEARN_EVIDENCE_COUNT || h->vocabulary.n > 1000000 || outside > 1 ||
        languages > LEARN_MAX_LANGUAGES) {
        return false;
    }
    h->dim = (int)dim;
    h->evidence = (enum learn_evidence)evidence;
    h->outside = outside == 1;
    h->n_languages = languages;
    size_t columns = h->labels + outside;
    h->stride = learn_stride(columns);
    size_t rows = dim + 1 + h->vocabulary.n;
    size_t row = dim > 0 ? dim : LEARN_SKETCH;
    return h->vocabulary.n * 12 + rows * columns * 2 + h->store.n * (row + 13) <= r->left;
}

/* A code is ASCII, padded with NUL, and stands once. */
static void get_language(struct reader *r, const struct learn_head *h, struct learn_language *l)
{
    const uint8_t *code = take(r, sizeof(l->code));
    size_t n = code == NULL ? 0 : strnlen((const char *)code, sizeof(l->code));
    for (size_t i = 0; i < sizeof(l->code) && code != NULL; i++) {
        r->bad = r->bad || (i < n ? code[i] < ' ' || code[i] > '~' : code[i] != 0);
        l->code[i] = (char)code[i];
    }
    l->n = get32(r);
    l->correct = get32(r);
    l->expected = get_float(r, 0, LEARN_MAX_EXAMPLES);
    l->variance = get_float(r, 0, LEARN_MAX_EXAMPLES);
    r->bad = r->bad || n == 0 || n == sizeof(l->code) || learn_head_language(h, l->code) != l;
}

static void get_head(struct reader *r, struct learn_head *h)
{
    h->embedding_weight = (double)get_float(r, 0, 100);
    h->word_weight = (double)get_float(r, 0, 100);
    h->char_weight = (double)get_float(r, 0, 100);
    h->mix.scale = get_float(r, 0.001F, 1000);
    h->mix.vote_weight = get_float(r, 0, 1000);
    h->mix.width = get_float(r, 0.001F, 10);
    h->refuse = get_float(r, 0, 1);
    for (size_t i = 0; i < LEARN_ODD_COUNT; i++) {
        h->odd_weight[i] = get_float(r, -1e6F, 1e6F);
    }
    for (size_t i = 0; i < LEARN_QUANTILES; i++) {
        h->support[i] = get_float(r, i > 0 ? h->support[i - 1] : -2, 2);
    }
    for (size_t i = 0; i < LEARN_QUANTILES; i++) {
        h->odd[i] = get_float(r, i > 0 ? h->odd[i - 1] : -1e9F, 1e9F);
    }
    for (size_t i = 0; i < h->n_languages && !r->bad; i++) {
        get_language(r, h, &h->languages[i]);
    }
    get_labels(r, h);
    if (!r->bad) {
        h->report = get_string(r, get32(r), MAX_REPORT);
    }
    if (!r->bad) {
        get_vocabulary(r, &h->vocabulary);
    }
    if (!r->bad) {
        get_weights(r, h);
    }
    if (!r->bad) {
        get_store(r, h);
    }
}

/* A light head has none of its own, no embedding and the same labels. */
static void get_light(struct reader *r, struct learn_head *h)
{
    struct fault why;
    h->light_sure = get_float(r, 0, 1);
    h->light_doubt = get_float(r, 0, LEARN_LIGHT_DOUBT);
    size_t n = get32(r);
    const uint8_t *blob = take(r, n);
    if (blob == NULL || n < MAGIC_LEN || memcmp(blob, MAGIC, MAGIC_LEN) != 0 ||
        learn_load(blob, n, &h->light, &why) != FAIL_NONE) {
        r->bad = true;
        return;
    }
    r->bad = h->dim == 0 || h->light->dim != 0 || h->light->labels != h->labels;
    for (size_t i = 0; i < h->labels && !r->bad; i++) {
        r->bad = strcmp(h->label[i], h->light->label[i]) != 0;
    }
}

enum fail learn_load(const void *blob, size_t n, struct learn_head **out, struct fault *why)
{
    bool light = n >= MAGIC_LEN && memcmp(blob, MAGIC_LIGHT, MAGIC_LEN) == 0;
    if (n < MAGIC_LEN + 32 || n > LEARN_MAX_BLOB ||
        (!light && memcmp(blob, MAGIC, MAGIC_LEN) != 0)) {
        return FAULT(why, FAIL_BAD_REQUEST, "these %zu bytes are not a head of this version", n);
    }
    uint8_t hash[32];
    text_sha256(blob, n - 32, hash);
    if (memcmp(hash, (const uint8_t *)blob + n - 32, 32) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "the head's bytes were changed: its SHA-256 differs");
        return fail_hint(why, "Take it from a backup or train it again.");
    }
    struct reader r = {.at = (const uint8_t *)blob + MAGIC_LEN, .left = n - MAGIC_LEN - 32};
    struct learn_head *h = mem_alloc(sizeof(*h));
    if (get_counts(&r, h)) {
        get_head(&r, h);
    } else {
        r.bad = true;
        h->vocabulary.n = 0;
        h->store.n = 0;
    }
    if (light && !r.bad) {
        get_light(&r, h);
    }
    if (r.bad || r.left != 0) {
        learn_head_free(h);
        return FAULT(why, FAIL_BAD_REQUEST, "the head's bytes do not add up, %zu before the end",
                     r.left + 32);
    }
    text_sha256(blob, n, h->hash);
    *out = h;
    return FAIL_NONE;
}
