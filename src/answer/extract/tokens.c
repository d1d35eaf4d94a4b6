/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens: a text as words, digits and single other characters, with what features need of them.
 *
 * Owns its array. Threads: pure. Limits: EXTRACT_MAX_TEXT, EXTRACT_MAX_TOKENS.
 */
#include <string.h>

#include <unicode/uchar.h>

#include "answer/extract/extract_internal.h"
#include "base/text/text.h"

uint64_t extract_mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 29;
    x *= 0x94d049bb133111ebULL;
    return x ^ (x >> 32);
}

uint64_t extract_hash(const char *s, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3ULL;
    }
    return extract_mix(h, n);
}

/* One character; a byte that is no UTF-8 counts as one. */
static size_t next(const char *s, size_t n, uint32_t *cp)
{
    size_t k = text_utf8_decode(s, n, cp);
    if (k == 0) {
        *cp = 0xfffd;
        return 1;
    }
    return k;
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static bool is_letter(uint32_t cp)
{
    if (cp < 0x80) {
        return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
    }
    return u_isalpha((UChar32)cp) || (U_GET_GC_MASK((UChar32)cp) & U_GC_M_MASK) != 0 ||
           u_isdigit((UChar32)cp);
}

static bool is_space(uint32_t cp)
{
    return cp <= ' ' || (cp >= 0x80 && u_isUWhiteSpace((UChar32)cp)) || cp == 0x200b ||
           cp == 0xfeff || cp == 0xad;
}

void extract_token_fold(const struct tokens *t, size_t i, char *out, size_t room)
{
    const struct token *k = &t->token[i];
    const char *s = t->text + k->at;
    size_t used = 0;
    for (size_t at = 0; at < k->len;) {
        uint32_t cp;
        char bytes[4];
        at += next(s + at, k->len - at, &cp);
        cp = cp < 0x80 ? (cp >= 'A' && cp <= 'Z' ? cp + 32 : cp)
                       : (uint32_t)u_foldCase((UChar32)cp, U_FOLD_CASE_DEFAULT);
        size_t n = text_utf8_encode(cp, bytes);
        if (used + n >= room) {
            break;
        }
        memcpy(out + used, bytes, n);
        used += n;
    }
    out[used] = '\0';
}

/* Folded words by their letters, digits by how many there are: no number is a feature. */
static uint64_t hash_token(const struct tokens *t, size_t i)
{
    char word[64];
    extract_token_fold(t, i, word, sizeof(word));
    for (char *c = word; *c != '\0' && t->token[i].class != TOKEN_WORD; c++) {
        *c = is_digit((unsigned char)*c) ? '0' : *c;
    }
    return extract_hash(word, strlen(word), t->token[i].class == TOKEN_MIXED ? 7 : 1);
}

static void read_word(struct tokens *t, struct token *k)
{
    bool digits = false, letters = false, small = false, first = true;
    size_t at = k->at;
    while (at < t->n) {
        uint32_t cp;
        size_t n = next(t->text + at, t->n - at, &cp);
        if (!is_digit(cp) && !is_letter(cp)) {
            break;
        }
        bool capital = cp < 0x80 ? cp >= 'A' && cp <= 'Z' : u_isupper((UChar32)cp);
        digits = digits || is_digit(cp);
        letters = letters || !is_digit(cp);
        small = small || (!is_digit(cp) && !capital);
        k->upper = first ? capital : k->upper;
        first = false;
        at += n;
    }
    k->len = (uint32_t)(at - k->at);
    k->capitals = letters && !small;
    k->class = digits && letters ? TOKEN_MIXED : digits ? TOKEN_DIGITS : TOKEN_WORD;
}

void extract_tokens_read(struct tokens *t, const char *text, size_t n)
{
    uint32_t line = 0;
    bool glued = false;
    memset(t, 0, sizeof(*t));
    t->cut = n > EXTRACT_MAX_TEXT;
    t->text = text;
    t->n = n;
    if (t->cut) {
        for (t->n = EXTRACT_MAX_TEXT; t->n > EXTRACT_MAX_TEXT - 4; t->n--) {
            if (((unsigned char)text[t->n] & 0xc0) != 0x80) {
                break; /* not inside a character */
            }
        }
    }
    t->token = mem_alloc_array(EXTRACT_MAX_TOKENS, sizeof(*t->token));
    for (size_t at = 0; at < t->n;) {
        uint32_t cp;
        size_t k = next(text + at, t->n - at, &cp);
        if (is_space(cp)) {
            line += cp == '\n';
            glued = false;
            at += k;
            continue;
        }
        if (t->len == EXTRACT_MAX_TOKENS) {
            t->cut = true;
            break;
        }
        struct token *w = &t->token[t->len];
        *w = (struct token){.at = (uint32_t)at, .len = (uint32_t)k, .line = line, .glued = glued,
                            .class = TOKEN_OTHER};
        if (is_digit(cp) || is_letter(cp)) {
            read_word(t, w);
        }
        w->hash = hash_token(t, t->len);
        t->len++;
        at += w->len;
        glued = true;
    }
}

void extract_tokens_done(struct tokens *t)
{
    mem_free(t->token);
    memset(t, 0, sizeof(*t));
}
