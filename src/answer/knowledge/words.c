/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of a text: folded, stemmed, with what the checks need to know of each.
 * Owns: nothing but the list it hands out. Threads: pure. Limits: 20,000 words a text.
 */
#include <string.h>

#include <unicode/uchar.h>

#include "answer/knowledge/knowledge_internal.h"
#include "base/text/text.h"

#define MAX_WORDS 20000

enum knowledge_lang knowledge_lang_from_code(const char *code)
{
    if (code == NULL) {
        return KNOWLEDGE_LANG_OTHER;
    }
    bool two =
        code[0] != '\0' && code[1] != '\0' && (code[2] == '\0' || code[2] == '-' || code[2] == '_');
    if (two && (code[0] | 32) == 'e' && (code[1] | 32) == 'n') {
        return KNOWLEDGE_LANG_EN;
    }
    if (two && (code[0] | 32) == 'd' && (code[1] | 32) == 'e') {
        return KNOWLEDGE_LANG_DE;
    }
    return KNOWLEDGE_LANG_OTHER;
}

const char *knowledge_lang_code(enum knowledge_lang lang)
{
    return lang == KNOWLEDGE_LANG_EN ? "en" : lang == KNOWLEDGE_LANG_DE ? "de" : "und";
}

struct cursor {
    const char *text;
    size_t n, at;
};

static size_t peek(const struct cursor *c, size_t at, uint32_t *cp)
{
    if (at >= c->n) {
        *cp = 0;
        return 0;
    }
    size_t step = text_utf8_decode(c->text + at, c->n - at, cp);
    if (step == 0) {
        *cp = 0xFFFD;
        step = 1;
    }
    return step;
}

static bool is_apostrophe(uint32_t cp)
{
    return cp == '\'' || cp == 0x2019;
}

/* Bytes to skip over when the word goes on behind a joining mark at `at`; 0 when it ends here. */
static size_t joins(const struct cursor *c, size_t at, size_t start, uint32_t last, uint32_t *keep)
{
    uint32_t mark, next, after;
    size_t a = peek(c, at, &mark);
    size_t b = peek(c, at + a, &next);
    peek(c, at + a + b, &after);
    *keep = mark;
    if (a == 0 || b == 0) {
        return 0;
    }
    if (is_apostrophe(mark) && u_isalpha((UChar32)last) && u_isalpha((UChar32)next)) {
        *keep = '\'';
        return a;
    }
    if ((mark == '.' || mark == ',' || mark == ':') && u_isdigit((UChar32)last) &&
        u_isdigit((UChar32)next)) {
        return a;
    }
    if (mark == '-' || mark == 0x2011) {
        if (u_isdigit((UChar32)next) && u_isalnum((UChar32)last)) {
            *keep = '-';
            return a;
        }
        bool short_left = at - start <= 2 && u_isalpha((UChar32)last);
        bool short_right = u_isalpha((UChar32)next) && !u_isalpha((UChar32)after);
        if ((short_left || short_right) && u_isalpha((UChar32)next)) {
            *keep = 0; /* e-mail, Wi-Fi, opt-i: one word without the hyphen */
            return a;
        }
    }
    return 0;
}

static void fold_add(struct knowledge_word *w, size_t *used, uint32_t cp)
{
    char piece[4];
    uint32_t folded = (uint32_t)u_foldCase((UChar32)cp, U_FOLD_CASE_DEFAULT);
    if (cp == 0xDF || cp == 0x1E9E) {
        if (*used + 2 < KNOWLEDGE_WORD_SIZE) {
            w->folded[(*used)++] = 's';
            w->folded[(*used)++] = 's';
        }
        return;
    }
    size_t len = text_utf8_encode(folded, piece);
    if (*used + len < KNOWLEDGE_WORD_SIZE) {
        memcpy(w->folded + *used, piece, len);
        *used += len;
    }
}

static bool next_word(struct cursor *c, enum knowledge_lang lang, struct knowledge_word *w)
{
    uint32_t cp = 0;
    size_t step;
    while ((step = peek(c, c->at, &cp)) > 0 && !u_isalnum((UChar32)cp)) {
        c->at += step;
    }
    if (step == 0) {
        return false;
    }
    memset(w, 0, sizeof(*w));
    size_t used = 0, start = c->at;
    uint32_t last = 0;
    w->at = (uint32_t)start;
    w->capital = u_isupper((UChar32)cp) != 0;
    while ((step = peek(c, c->at, &cp)) > 0) {
        uint32_t keep = cp;
        if (u_isalnum((UChar32)cp) ||
            (u_charType((UChar32)cp) == U_NON_SPACING_MARK && last != 0)) {
            w->digit = w->digit || u_isdigit((UChar32)cp);
            fold_add(w, &used, cp);
            last = cp;
        } else {
            step = joins(c, c->at, start, last, &keep);
            if (step == 0) {
                break;
            }
            if (keep != 0) {
                fold_add(w, &used, keep);
            }
            last = keep != 0 ? keep : last;
        }
        c->at += step;
    }
    w->len = (uint32_t)(c->at - start);
    w->stop = knowledge_is_stop_word(w->folded, lang);
    memcpy(w->stem, w->folded, sizeof(w->stem));
    knowledge_stem(w->stem, lang);
    return true;
}

void knowledge_words_init(struct knowledge_words *w, const char *text, size_t n,
                          enum knowledge_lang lang)
{
    struct cursor c = {.text = text, .n = n};
    size_t room = n / 5 + 8;
    *w = (struct knowledge_words){0};
    w->items = mem_alloc_array(room, sizeof(*w->items));
    struct knowledge_word word;
    while (w->count < MAX_WORDS && next_word(&c, lang, &word)) {
        if (w->count == room) {
            room *= 2;
            w->items = mem_realloc(w->items, room * sizeof(*w->items));
        }
        w->items[w->count++] = word;
    }
}

void knowledge_words_done(struct knowledge_words *w)
{
    mem_free(w->items);
    *w = (struct knowledge_words){0};
}

enum knowledge_lang knowledge_guess_lang(const char *text, size_t n)
{
    struct cursor c = {.text = text, .n = n};
    struct knowledge_word w;
    size_t en = 0, de = 0, seen = 0;
    while (seen < 400 && next_word(&c, KNOWLEDGE_LANG_OTHER, &w)) {
        seen++;
        en += knowledge_is_stop_word(w.folded, KNOWLEDGE_LANG_EN);
        de += knowledge_is_stop_word(w.folded, KNOWLEDGE_LANG_DE);
        de += strstr(w.folded, "\xC3\xBC") != NULL || strstr(w.folded, "\xC3\xB6") != NULL ||
              strstr(w.folded, "\xC3\xA4") != NULL;
    }
    if (en > de) {
        return KNOWLEDGE_LANG_EN;
    }
    return de > en ? KNOWLEDGE_LANG_DE : KNOWLEDGE_LANG_OTHER;
}
