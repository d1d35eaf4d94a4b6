/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as lines of tokens. A token is a word, one sign, or an open stretch: what holds a
 * digit, an address, a month or a weekday differs from document to document by its nature and is
 * never constant text.
 * Owns: nothing. Threads: pure. Limits: REUSE_DOC_BYTES, REUSE_DOC_LINES, REUSE_LINE_TOKENS.
 */
#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/text/text.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_weekday(const char *s, size_t n)
{
    static const char *const names[] = {
        "mon", "monday", "tue", "tuesday", "wed", "wednesday", "thu", "thursday", "fri", "friday",
        "sat", "saturday", "sun", "sunday", "montag", "dienstag", "mittwoch", "donnerstag",
        "freitag", "samstag", "sonntag"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strlen(names[i]) == n) {
            size_t k = 0;
            while (k < n && (s[k] | 0x20) == names[i][k]) {
                k++;
            }
            if (k == n) {
                return true;
            }
        }
    }
    return false;
}

/* From s[i] on, a stretch without white space, brackets and quotes that holds a digit, an "@" or
   "://": its end, else i. */
static size_t open_end(const char *s, size_t n, size_t i)
{
    size_t end = i;
    bool open = false;
    while (end < n && !is_space(s[end]) && strchr("()[]{}<>\"'|;=\\", s[end]) == NULL) {
        open = open || is_digit(s[end]) || (s[end] == '@' && end > i) ||
               (s[end] == '/' && end > i + 1 && s[end - 1] == '/' && s[end - 2] == ':');
        end++;
    }
    while (end > i && !is_digit(s[end - 1]) && !is_letter(s[end - 1])) {
        end--; /* the sign after it is not its own */
    }
    return open ? end : i;
}

/* "Total:12" and "id=7": the words before the sign are a label, not part of the number. */
static size_t label_end(const char *s, size_t n, size_t i)
{
    size_t end = i;
    while (end < n && is_letter(s[end])) {
        end++;
    }
    return end > i && end < n && (s[end] == ':' || s[end] == ',') ? end : i;
}

static size_t next_token(const char *s, size_t n, size_t i, enum token_kind *kind)
{
    size_t end = i;
    if (!is_digit(s[i]) && !is_letter(s[i])) {
        *kind = TOKEN_PUNCT;
        return i + 1;
    }
    size_t word = label_end(s, n, i);
    bool link = word > i && word + 2 < n && s[word + 1] == '/' && s[word + 2] == '/';
    if (word == i || link) {
        end = open_end(s, n, i);
    }
    if (end > i) {
        *kind = TOKEN_OPEN;
        return end;
    }
    while (end < n && is_letter(s[end])) {
        end++;
    }
    bool month = reuse_month(s + i, end - i) > 0 || is_weekday(s + i, end - i);
    *kind = month && s[i] >= 'A' && s[i] <= 'Z' ? TOKEN_OPEN : TOKEN_WORD;
    return end;
}

/* A leading "words:" of at most five words; "10:30" is none. */
static size_t find_label(const char *text, const struct doc_line *line)
{
    size_t words = 0;
    for (size_t i = 0; i < line->n && i < 12; i++) {
        const struct doc_token *t = &line->tokens[i];
        char c = text[t->at];
        if (t->kind == TOKEN_OPEN || words > 5) {
            return 0;
        }
        words += t->kind == TOKEN_WORD;
        if (t->kind == TOKEN_PUNCT && (c == ':' || c == '=') && words > 0) {
            return i + 1;
        }
        if (t->kind == TOKEN_PUNCT && strchr(".,;!?", c) != NULL) {
            return 0;
        }
    }
    return 0;
}

static bool read_line(struct doc *d, struct arena *arena, size_t at, size_t len, uint32_t number)
{
    struct doc_token tokens[REUSE_LINE_TOKENS];
    struct doc_line *line = &d->lines[d->n];
    const char *s = d->text + at;
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        if (is_space(s[i])) {
            i++;
            continue;
        }
        enum token_kind kind = TOKEN_PUNCT;
        size_t end = next_token(s, len, i, &kind);
        if (n == REUSE_LINE_TOKENS) {
            return false;
        }
        tokens[n++] = (struct doc_token){(uint32_t)(at + i), (uint32_t)(end - i), (uint8_t)kind};
        i = end;
    }
    if (n == 0) {
        return true; /* blank */
    }
    if (d->n == REUSE_DOC_LINES) {
        return false;
    }
    *line = (struct doc_line){.at = (uint32_t)at, .len = (uint32_t)len, .number = number, .n = n};
    line->tokens = arena_dup(arena, tokens, n * sizeof(*tokens));
    line->label = find_label(d->text, line);
    d->n++;
    return true;
}

bool reuse_doc_read(const char *text, size_t len, struct arena *arena, struct doc *out)
{
    *out = (struct doc){.text = text};
    if (len == 0 || len > REUSE_DOC_BYTES || !text_utf8_is_valid(text, len)) {
        return false;
    }
    out->lines = arena_alloc(arena, REUSE_DOC_LINES * sizeof(*out->lines));
    uint32_t number = 0;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        if (!read_line(out, arena, at, n, ++number)) {
            return false;
        }
        at += n + 1;
    }
    return out->n > 0;
}

bool reuse_tokens_equal(const char *a, const struct doc_token *x, const char *b,
                        const struct doc_token *y)
{
    return x->len == y->len && memcmp(a + x->at, b + y->at, x->len) == 0;
}

bool reuse_is_row(const struct doc *d, const struct doc_line *line)
{
    size_t open = 0, words = 0;
    for (size_t i = 0; i < line->n; i++) {
        open += line->tokens[i].kind == TOKEN_OPEN;
        words += line->tokens[i].kind == TOKEN_WORD;
    }
    bool bullet = strchr("-*|+#", d->text[line->tokens[0].at]) != NULL;
    bool first_word = line->tokens[0].kind == TOKEN_WORD;
    return line->label == 0 && words > 0 && open > 0 && (bullet || !first_word || open >= 2);
}

void reuse_classes(const char *s, size_t n, uint32_t *classes, uint32_t puncts[4], uint32_t *tokens)
{
    bool in = false;
    *tokens = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool space = c <= ' ';
        *tokens += !space && !in;
        in = !space;
        if (space) {
            *classes |= CLASS_SPACE;
        } else if (is_digit(s[i])) {
            *classes |= CLASS_DIGIT;
        } else if (is_letter(s[i])) {
            *classes |= CLASS_LETTER;
        } else {
            puncts[c / 32] |= 1u << (c % 32);
        }
    }
}
