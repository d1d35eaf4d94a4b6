/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Head: what was learned, asked of a text, and as bytes.
 *
 * Layout, little-endian: "IHXTR01\n"; u32 kind, words of a span, features; f32 temperature, slope,
 * offset; report (u32 length, bytes); u64 keys ascending; f32 weights; SHA-256 of all before. The
 * reader trusts nothing: hash, counts against what is left, order, ranges, finite numbers.
 * Threads: a head is immutable. Limits: EXTRACT_MAX_BLOB, EXTRACT_MAX_FEATURES.
 */
#include <math.h>
#include <string.h>

#include "answer/extract/extract_internal.h"
#include "base/text/text.h"

#define MAGIC "IHXTR01\n"
#define MAGIC_LEN 8
#define HEADER (MAGIC_LEN + 3 * 4 + 3 * 4 + 4)
#define MAX_REPORT ((size_t)1 << 20)
#define NOTHING (-1e30F)

/* ---- what is known ---- */

void extract_head_index(struct extract_head *h)
{
    size_t size = 16;
    while (size < 2 * h->n) {
        size *= 2;
    }
    h->mask = size - 1;
    h->slot = mem_alloc_array(size, sizeof(*h->slot));
    for (size_t i = 0; i < h->n; i++) {
        size_t k = h->key[i] & h->mask;
        while (h->slot[k] != 0) {
            k = (k + 1) & h->mask;
        }
        h->slot[k] = (uint32_t)i + 1;
    }
}

uint32_t extract_head_find(const struct extract_head *h, uint64_t key)
{
    size_t k = key & h->mask;
    while (h->slot[k] != 0) {
        if (h->key[h->slot[k] - 1] == key) {
            return h->slot[k] - 1;
        }
        k = (k + 1) & h->mask;
    }
    return UINT32_MAX;
}

void extract_head_free(struct extract_head *h)
{
    if (h == NULL) {
        return;
    }
    mem_free(h->key);
    mem_free(h->weight);
    mem_free(h->slot);
    mem_free(h->report);
    mem_free(h);
}

/* ---- asking ---- */

static float score_row(const struct extract_head *h, const struct rows *r, size_t i)
{
    float z = 0;
    for (uint32_t k = r->start[i]; k < r->start[i + 1]; k++) {
        uint32_t at = extract_head_find(h, r->key[k]);
        z += at != UINT32_MAX ? h->weight[at] : 0;
    }
    return z;
}

static float log_add(float a, float b)
{
    float high = a > b ? a : b, low = a > b ? b : a;
    return high + log1pf(expf(low - high));
}

void extract_best_of(const float *z, size_t n, float none, struct best *out)
{
    memset(out, 0, sizeof(*out));
    out->none = none;
    out->rest = NOTHING;
    for (size_t i = 0; i < n; i++) {
        size_t k = out->n;
        if (k == EXTRACT_BEST) {
            float last = out->top[--k].z;
            out->rest = log_add(out->rest, last < z[i] ? last : z[i]);
            if (z[i] <= last) {
                continue;
            }
        } else {
            out->n++;
        }
        for (; k > 0 && out->top[k - 1].z < z[i]; k--) {
            out->top[k] = out->top[k - 1];
        }
        out->top[k].segment = (uint32_t)i;
        out->top[k].z = z[i];
    }
}

double extract_tune(const struct tuning *t, double p)
{
    double q = p < 1e-9 ? 1e-9 : p > 1 - 1e-9 ? 1 - 1e-9 : p;
    return 1 / (1 + exp(-((double)t->slope * log(q / (1 - q)) + (double)t->offset)));
}

/* Its place among the answers: one of the same value, or a new one. */
static size_t place_of(const struct view *v, struct extract_value *all, size_t n, size_t segment)
{
    const struct segment *s = &v->segment[segment];
    const struct token *last = &v->t.token[s->to - 1];
    struct buf value;
    size_t k = 0;
    buf_init(&value, EXTRACT_MAX_TEXT + 64);
    extract_view_value(v, segment, &value);
    while (k < n && !extract_same(v->kind, all[k].value, value.data)) {
        k++;
    }
    if (k < n) {
        buf_done(&value);
        return k;
    }
    all[n].at = v->t.token[s->from].at;
    all[n].len = last->at + last->len - all[n].at;
    all[n].value = buf_take(&value);
    return n;
}

void extract_answer_make(const struct view *v, const struct best *b, const struct tuning *tuning,
                         struct extract_answer *out)
{
    struct extract_value all[EXTRACT_BEST + 1] = {0};
    float t = tuning->temperature;
    float high = b->n > 0 && b->top[0].z > b->none ? b->top[0].z : b->none;
    double sum = exp((double)((b->none - high) / t));
    size_t n = 1;
    all[0].value = mem_dup_str("");
    all[0].p = sum;
    for (size_t i = 0; i < b->n; i++) {
        double e = exp((double)((b->top[i].z - high) / t));
        size_t k = place_of(v, all, n, b->top[i].segment);
        n += k == n;
        all[k].p += e;
        sum += e;
    }
    sum += b->rest > NOTHING ? exp((double)((b->rest - high) / t)) : 0;
    for (size_t i = 1; i < n; i++) { /* few: by insertion */
        struct extract_value x = all[i];
        size_t k = i;
        while (k > 0 && all[k - 1].p < x.p) {
            all[k] = all[k - 1];
            k--;
        }
        all[k] = x;
    }
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        if (out->n_top < EXTRACT_TOP) {
            out->top[out->n_top] = all[i];
            out->top[out->n_top++].p = all[i].p / sum;
        } else {
            mem_free(all[i].value);
        }
    }
    out->cut = v->cut;
    out->confidence = extract_tune(tuning, out->top[0].p) * (v->cut ? 0.5 : 1);
}

void extract_predict(const struct extract_head *h, const char *text, size_t n,
                     const struct extract_scene *scene, struct extract_answer *out)
{
    struct view v;
    struct best best;
    extract_view_make(&v, h->kind, h->max_words, text, n, scene);
    size_t len = v.t.len;
    AUTO_FREE float *z = mem_alloc_array(v.len + 1, sizeof(*z));
    AUTO_FREE float *part = mem_alloc_array(3 * (len + 1), sizeof(*part));
    float *first = part, *last = part + len + 1, *inside = part + 2 * (len + 1);
    for (size_t i = 0; i < len && v.len > 0; i++) {
        first[i] = score_row(h, &v.first, i);
        last[i] = score_row(h, &v.last, i);
        inside[i + 1] = inside[i] + score_row(h, &v.inside, i);
    }
    for (size_t i = 0; i < v.len; i++) {
        const struct segment *s = &v.segment[i];
        z[i] = first[s->from] + last[s->to - 1] + inside[s->to] - inside[s->from] +
               score_row(h, &v.whole, i);
    }
    extract_best_of(z, v.len, score_row(h, &v.none, 0), &best);
    extract_answer_make(&v, &best, &h->tuning, out);
    extract_view_done(&v);
}

void extract_answer_done(struct extract_answer *a)
{
    for (size_t i = 0; i < a->n_top; i++) {
        mem_free(a->top[i].value);
    }
    memset(a, 0, sizeof(*a));
}

enum extract_kind extract_head_kind(const struct extract_head *h)
{
    return h->kind;
}

const char *extract_head_report(const struct extract_head *h)
{
    return h->report;
}

void extract_head_hash(const struct extract_head *h, uint8_t out[32])
{
    memcpy(out, h->hash, 32);
}

/* ---- bytes ---- */

static void put(struct buf *b, uint64_t v, size_t bytes)
{
    uint8_t s[8];
    for (size_t i = 0; i < bytes; i++) {
        s[i] = (uint8_t)(v >> (8 * i));
    }
    buf_add(b, s, bytes);
}

static void put_float(struct buf *b, float f)
{
    uint32_t v;
    memcpy(&v, &f, sizeof(v));
    put(b, v, 4);
}

static uint64_t get(const uint8_t *s, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i > 0; i--) {
        v = v << 8 | s[i - 1];
    }
    return v;
}

static float get_float(const uint8_t *s)
{
    uint32_t v = (uint32_t)get(s, 4);
    float f;
    memcpy(&f, &v, sizeof(f));
    return f;
}

enum fail extract_save(const struct extract_head *h, struct buf *out, struct fault *why)
{
    size_t before = out->len;
    uint8_t hash[32];
    buf_add(out, MAGIC, MAGIC_LEN);
    put(out, h->kind, 4);
    put(out, h->max_words, 4);
    put(out, h->n, 4);
    put_float(out, h->tuning.temperature);
    put_float(out, h->tuning.slope);
    put_float(out, h->tuning.offset);
    put(out, strlen(h->report), 4);
    buf_add_str(out, h->report);
    for (size_t i = 0; i < h->n; i++) {
        put(out, h->key[i], 8);
    }
    for (size_t i = 0; i < h->n; i++) {
        put_float(out, h->weight[i]);
    }
    if (!out->overflow) {
        text_sha256(out->data + before, out->len - before, hash);
        buf_add(out, hash, sizeof(hash));
    }
    return out->overflow ? FAULT(why, FAIL_TOO_LARGE, "the head is larger than %zu bytes", out->cap)
                         : FAIL_NONE;
}

enum fail extract_head_seal(struct extract_head *h, struct fault *why)
{
    struct buf b;
    buf_init(&b, EXTRACT_MAX_BLOB);
    enum fail f = extract_save(h, &b, why);
    if (f == FAIL_NONE) {
        memcpy(h->hash, b.data + b.len - 32, 32);
    }
    buf_done(&b);
    return f;
}

static bool read_numbers(struct extract_head *h, const uint8_t *s)
{
    bool ok = true;
    h->key = mem_alloc_array(h->n + 1, sizeof(*h->key));
    h->weight = mem_alloc_array(h->n + 1, sizeof(*h->weight));
    for (size_t i = 0; i < h->n; i++) {
        h->key[i] = get(s + 8 * i, 8);
        h->weight[i] = get_float(s + 8 * h->n + 4 * i);
        ok = ok && (i == 0 || h->key[i - 1] < h->key[i]) && isfinite(h->weight[i]) &&
             fabsf(h->weight[i]) < 1e4F;
    }
    return ok;
}

static const char *read_head(struct extract_head *h, const uint8_t *s, size_t n)
{
    uint64_t kind = get(s + MAGIC_LEN, 4);
    h->max_words = (unsigned)get(s + MAGIC_LEN + 4, 4);
    h->n = get(s + MAGIC_LEN + 8, 4);
    h->tuning.temperature = get_float(s + MAGIC_LEN + 12);
    h->tuning.slope = get_float(s + MAGIC_LEN + 16);
    h->tuning.offset = get_float(s + MAGIC_LEN + 20);
    size_t report = get(s + MAGIC_LEN + 24, 4);
    if (kind >= EXTRACT_KIND_COUNT || h->max_words < 1 || h->max_words > EXTRACT_MAX_WORDS) {
        return "its kind is unknown";
    }
    h->kind = (enum extract_kind)kind;
    if (!(h->tuning.temperature >= 0.05F && h->tuning.temperature <= 20) ||
        !(h->tuning.slope >= 0 && h->tuning.slope < 100) || !(fabsf(h->tuning.offset) < 100)) {
        return "its calibration is out of range";
    }
    if (h->n > EXTRACT_MAX_FEATURES || report > MAX_REPORT || n != HEADER + report + 12 * h->n) {
        return "its counts do not fit its size";
    }
    if (memchr(s + HEADER, '\0', report) != NULL ||
        !text_utf8_is_valid((const char *)s + HEADER, report)) {
        return "its report is no text";
    }
    h->report = mem_dup_strn((const char *)s + HEADER, report);
    return read_numbers(h, s + HEADER + report) ? NULL : "its weights are out of order or range";
}

bool extract_is_head(const void *blob, size_t n)
{
    return n >= MAGIC_LEN && memcmp(blob, MAGIC, MAGIC_LEN) == 0;
}

enum fail extract_load(const void *blob, size_t n, struct extract_head **out, struct fault *why)
{
    const uint8_t *s = blob;
    uint8_t hash[32];
    if (n > EXTRACT_MAX_BLOB || n < HEADER + sizeof(hash) || memcmp(s, MAGIC, MAGIC_LEN) != 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "this is no extraction head");
    }
    text_sha256(s, n - sizeof(hash), hash);
    if (memcmp(hash, s + n - sizeof(hash), sizeof(hash)) != 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "the extraction head is damaged: its hash is another");
    }
    struct extract_head *h = mem_alloc(sizeof(*h));
    const char *wrong = read_head(h, s, n - sizeof(hash));
    if (wrong != NULL) {
        extract_head_free(h);
        return FAULT(why, FAIL_BAD_REQUEST, "the extraction head cannot be read: %s", wrong);
    }
    memcpy(h->hash, hash, sizeof(hash));
    extract_head_index(h);
    *out = h;
    return FAIL_NONE;
}
