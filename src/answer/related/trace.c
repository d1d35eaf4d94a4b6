/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket's trace: minimal hashes of its word triples, its identifiers, its vector in int8.
 * Owns: nothing. Threads: pure. Limits: the first TRACE_TEXT bytes of a text.
 */
#include <math.h>
#include <string.h>

#include "answer/extract/extract.h"
#include "answer/knowledge/knowledge.h"
#include "answer/related/related_internal.h"
#include "base/mem/mem.h"

#define TRACE_TEXT ((size_t)16 << 10)
#define ID_DIGITS 4
#define ID_SHORTEST 5
#define ID_NUMERIC 5

static uint64_t mixed(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ (h >> 33);
}

uint64_t related_hash(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3ULL;
    }
    return mixed(h);
}

static void take_sketch(const char *text, size_t n, struct related_trace *out)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, n, KNOWLEDGE_LANG_OTHER);
    memset(out->sketch, 0xff, sizeof(out->sketch));
    out->empty = w.count < 3;
    for (size_t i = 0; i + 2 < w.count; i++) {
        uint64_t h = 0;
        for (size_t k = 0; k < 3; k++) {
            const char *word = w.items[i + k].folded;
            h = mixed(h * 31 + related_hash(word, strlen(word)));
        }
        for (size_t k = 0; k < RELATED_SKETCH; k++) {
            uint32_t v = (uint32_t)(mixed(h + k * 0x9e3779b97f4a7c15ULL) >> 32);
            out->sketch[k] = v < out->sketch[k] ? v : out->sketch[k];
        }
    }
    knowledge_words_done(&w);
}

/* Letters in one case and digits; with enough of them the digits alone. */
static size_t plain_id(const char *s, size_t n, bool mail, char out[RELATED_ID_SIZE],
                       size_t *digits)
{
    size_t len = 0;
    *digits = 0;
    for (size_t i = 0; i < n; i++) {
        *digits += s[i] >= '0' && s[i] <= '9';
    }
    bool numeric = !mail && *digits >= ID_NUMERIC;
    for (size_t i = 0; i < n && len + 1 < RELATED_ID_SIZE; i++) {
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
        bool digit = c >= '0' && c <= '9';
        bool other = (c >= 'a' && c <= 'z') || c == '@' || c == '.' || (c & 0x80) != 0;
        if (digit || (other && !numeric)) {
            out[len++] = c;
        }
    }
    while (len > 0 && out[len - 1] == '.') {
        len--;
    }
    out[len] = '\0';
    return len;
}

static void take_id(const char *team, const char *s, size_t n, bool mail, struct related_trace *out)
{
    char plain[RELATED_ID_SIZE], salted[RELATED_ID_SIZE + 66];
    size_t digits = 0, len = plain_id(s, n, mail, plain, &digits);
    if (out->ids_len == RELATED_IDS || len < ID_SHORTEST || (!mail && digits < ID_DIGITS)) {
        return;
    }
    size_t head = strnlen(team, 64);
    memcpy(salted, team, head);
    salted[head] = '\n';
    memcpy(salted + head + 1, plain, len);
    uint64_t h = related_hash(salted, head + 1 + len);
    for (size_t i = 0; i < out->ids_len; i++) {
        if (out->ids[i] == h) {
            return;
        }
    }
    size_t shown = text_utf8_cut(s, n < RELATED_ID_SIZE - 1 ? n : RELATED_ID_SIZE - 1);
    memcpy(out->id_text[out->ids_len], s, shown);
    out->id_text[out->ids_len][shown] = '\0';
    out->ids[out->ids_len++] = h;
}

static void take_ids(const char *team, const char *text, size_t n, struct related_trace *out)
{
    struct extract_found *found = mem_alloc_array(256, sizeof(*found));
    struct extract_scene scene = {0};
    size_t got = extract_find(text, n, &scene, found, 256, NULL);
    for (size_t i = 0; i < got; i++) {
        enum extract_type t = found[i].type;
        if (t == EXTRACT_TYPE_ID || t == EXTRACT_TYPE_EMAIL || t == EXTRACT_TYPE_PHONE) {
            take_id(team, text + found[i].at, found[i].len, t == EXTRACT_TYPE_EMAIL, out);
        }
    }
    mem_free(found);
}

static void take_vector(const float *vector, size_t dim, struct related_trace *out)
{
    float most = 0;
    for (size_t i = 0; i < dim; i++) {
        most = fmaxf(most, fabsf(vector[i]));
    }
    if (!(most > 0) || !isfinite(most)) {
        return;
    }
    out->scale = most / 127;
    out->dim = dim;
    for (size_t i = 0; i < dim; i++) {
        out->vector[i] = (int8_t)lrintf(vector[i] / out->scale);
    }
}

void related_trace_of(const char *team, const char *text, size_t n, const float *vector, size_t dim,
                      const char *model, struct related_trace *out)
{
    memset(out, 0, sizeof(*out));
    (void)text_copy(out->team, sizeof(out->team), team);
    n = n > TRACE_TEXT ? text_utf8_cut(text, TRACE_TEXT) : n;
    take_sketch(text, n, out);
    take_ids(team, text, n, out);
    if (vector != NULL && dim > 0 && dim <= RELATED_DIM) {
        (void)text_copy(out->model, sizeof(out->model), model);
        take_vector(vector, dim, out);
    }
}
