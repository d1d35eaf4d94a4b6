/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens and features of the tagger: the word, its shape, its ends, and the same of its neighbours.
 * Owns nothing. Threads: pure. Limits: a word's hash covers its first 64 bytes.
 */
#include "trust/guard/guard_internal.h"
#include "trust/guard/tagger_internal.h"

#include <string.h>

#include <unicode/uchar.h>

#include "base/text/text.h"

#define WORD_MAX 64

static uint32_t mix(uint32_t h, uint32_t v)
{
    h = (h ^ v) * 0x9e3779b1u;
    return h ^ (h >> 15);
}

static uint32_t hash(const char *s, size_t n, uint32_t h)
{
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    }
    return h | 1;
}

/* ---- tokens ---- */

/* One code point in lower case to out (at most 4 bytes); its class to *shape. */
static size_t lower(uint32_t cp, char out[4], char *shape)
{
    if (cp < 128) {
        bool upper = cp >= 'A' && cp <= 'Z';
        *shape = upper ? 'X' : cp >= '0' && cp <= '9' ? 'd' : 'x';
        out[0] = (char)(upper ? cp | 32 : cp);
        return 1;
    }
    *shape = u_isUUppercase((UChar32)cp) ? 'X' : u_isdigit((UChar32)cp) ? 'd' : 'x';
    return text_utf8_encode((uint32_t)u_tolower((UChar32)cp), out);
}

static bool is_part(uint32_t cp)
{
    if (cp < 128) {
        return guard_is_word((char)cp);
    }
    return cp != 0x2019 &&
           (u_isalnum((UChar32)cp) || u_charType((UChar32)cp) == U_NON_SPACING_MARK);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Shapes keep the first two classes, the length of digit runs, and collapse the rest. */
static uint32_t shape_hash(const char *classes, size_t n)
{
    char out[12];
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof(out); i++) {
        if (classes[i] == 'd' || len < 2 || out[len - 1] != classes[i]) {
            out[len++] = classes[i];
        }
    }
    return hash(out, len, 77);
}

static size_t ends(const char *s, size_t n, int chars)
{
    size_t at = n;
    while (at > 0 && chars > 0) {
        at--;
        chars -= (s[at] & 0xc0) != 0x80 ? 1 : 0;
    }
    return at;
}

static size_t begins(const char *s, size_t n, int chars)
{
    size_t at = 0;
    while (at < n && (chars > 0 || (s[at] & 0xc0) == 0x80)) {
        chars -= (s[at] & 0xc0) != 0x80 ? 1 : 0;
        at++;
    }
    return at;
}

static void word(const char *text, size_t n, struct tag_token *t)
{
    char low[WORD_MAX + 4];
    char classes[WORD_MAX + 4];
    size_t len = 0;
    size_t chars = 0;
    size_t at = t->from;
    while (at < n) {
        uint32_t cp;
        size_t step = text_utf8_decode(text + at, n - at, &cp);
        if (step == 0 || !is_part(cp)) {
            break;
        }
        if (len < WORD_MAX) {
            len += lower(cp, low + len, &classes[chars]);
            chars++;
        }
        at += step;
    }
    t->to = at;
    t->letters = true;
    t->digit = memchr(classes, 'd', chars) != NULL;
    t->marked = t->digit || memchr(classes, 'X', chars) != NULL;
    t->word = hash(low, len, 2166136261u);
    t->shape = shape_hash(classes, chars);
    t->prefix = hash(low, begins(low, len, 3), 5);
    size_t three = ends(low, len, 3);
    size_t two = ends(low, len, 2);
    t->suffix3 = hash(low + three, len - three, 7);
    t->suffix2 = hash(low + two, len - two, 11);
    t->listed = classes[0] == 'd' ? 0 : tag_listed(low, len);
}

size_t tag_tokens(const char *text, size_t n, size_t *at, struct tag_token *out, size_t most)
{
    size_t count = 0;
    bool line = *at == 0;
    while (count < most) {
        for (; *at < n && is_blank(text[*at]); (*at)++) {
            line = line || text[*at] == '\n';
        }
        if (*at >= n) {
            break;
        }
        uint32_t cp;
        size_t step = text_utf8_decode(text + *at, n - *at, &cp);
        struct tag_token *t = &out[count++];
        *t = (struct tag_token){.from = *at, .to = *at + (step > 0 ? step : 1), .line = line};
        line = false;
        if (step > 0 && is_part(cp)) {
            word(text, n, t);
        } else {
            t->word = t->shape = hash(text + *at, t->to - *at, 13);
        }
        *at = t->to;
    }
    return count;
}

/* ---- features ---- */

size_t tag_features(const struct tag_token *t, uint32_t out[TAG_FEATURES])
{
    const struct tag_token *b = t - 1;
    const struct tag_token *a = t + 1;
    uint32_t f[TAG_FEATURES] = {
        1, t->word, t->shape, t->prefix, t->suffix3, t->suffix2, b->word, a->word, t[-2].word,
        t[2].word, b->shape, a->shape, t[-2].shape, t[2].shape, b->suffix3, a->suffix3,
        mix(b->word, t->word), mix(t->word, a->word), mix(b->word, t->shape),
        mix(a->word, t->shape), mix(mix(b->shape, t->shape), a->shape),
        mix(mix(t[-2].shape, b->shape), t->shape), mix(mix(t->shape, a->shape), t[2].shape),
        mix(mix(t[-2].word, b->word), t->shape), mix(mix(a->word, t[2].word), t->shape),
        t->line ? mix(t->shape, 3) : 0, a->line ? mix(t->shape, 4) : 0,
        t->line ? mix(a->word, 5) : 0, t->listed, mix(t->listed, t->shape),
        mix(b->listed, t->shape), mix(a->listed, t->shape), mix(mix(b->listed, t->listed), 9),
        mix(mix(t->listed, a->listed), 9), mix(mix(b->shape, t->shape), a->word),
        mix(mix(t->shape, a->shape), b->word), mix(t->suffix3, b->shape),
    };
    size_t n = 0;
    for (uint32_t i = 0; i < 37; i++) {
        if (f[i] != 0) {
            out[n++] = mix(f[i], i + 101) & (TAG_BUCKETS - 1);
        }
    }
    return n;
}
