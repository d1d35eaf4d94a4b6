/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of a text for comparing with phrases: what a writer may vary without meaning something else
 * (case, accents, compatibility forms, invisible characters) is folded away, and each word knows
 * the bytes it came from. Threads: pure. Limits: those of the text.
 */
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include "answer/route/route_internal.h"

static bool is_word(uint32_t cp)
{
    return cp < 0x80 ? (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') ||
                           (cp >= 'A' && cp <= 'Z')
                     : u_isalnum((UChar32)cp) != 0;
}

/* Belongs to the word it stands in and changes nothing: accents of their own, soft hyphens,
   zero-width characters. */
static bool is_silent(uint32_t cp)
{
    return cp >= 0x80 && ((U_GET_GC_MASK((UChar32)cp) & U_GC_M_MASK) != 0 ||
                          u_hasBinaryProperty((UChar32)cp, UCHAR_DEFAULT_IGNORABLE_CODE_POINT));
}

static void put(struct buf *out, uint32_t cp)
{
    char bytes[4];
    size_t n = text_utf8_encode((uint32_t)u_foldCase((UChar32)cp, U_FOLD_CASE_DEFAULT), bytes);
    (void)buf_add(out, bytes, n);
}

static void put_folded(struct buf *out, uint32_t cp)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar parts[24];
    if (cp < 0x80) {
        (void)buf_add_char(out, (char)(cp >= 'A' && cp <= 'Z' ? cp + 0x20 : cp));
        return;
    }
    if (cp == 0xdf || cp == 0x1e9e) {
        (void)buf_add_str(out, "ss");
        return;
    }
    const UNormalizer2 *nfkd = unorm2_getNFKDInstance(&e);
    int32_t n = U_SUCCESS(e) ? unorm2_getDecomposition(nfkd, (UChar32)cp, parts, 24, &e) : -1;
    if (n < 0 || U_FAILURE(e)) {
        put(out, cp);
        return;
    }
    for (int32_t i = 0; i < n;) {
        UChar32 part;
        U16_NEXT(parts, i, n, part);
        if (!is_silent((uint32_t)part)) {
            put(out, (uint32_t)part);
        }
    }
}

static void add_word(struct route_words *w, size_t at, size_t from, size_t to)
{
    if (w->n == w->room) {
        w->room = w->room > 0 ? 2 * w->room : 64;
        w->list = mem_realloc(w->list, w->room * sizeof(*w->list));
    }
    w->list[w->n++] = (struct route_word){(uint32_t)at, (uint32_t)(w->folded.len - at),
                                          (uint32_t)from, (uint32_t)to};
}

void route_words_read(struct route_words *w, const char *text, size_t len, bool keep)
{
    *w = (struct route_words){0};
    buf_init(&w->folded, 18 * len + 64); /* the longest decomposition: 18 letters of 3 bytes of 3 */
    size_t start = 0, at = 0;
    bool inside = false;
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0xfffd;
        size_t n = text_utf8_decode(text + i, len - i, &cp);
        n = n > 0 ? n : 1;
        bool kept = keep && (cp == '*' || cp == '.');
        bool word = is_word(cp) || kept;
        if (word && !inside) {
            at = w->folded.len;
            start = i;
        } else if (!word && inside && !is_silent(cp)) {
            add_word(w, at, start, i);
        }
        if (word) {
            put_folded(&w->folded, cp);
        }
        inside = word || (inside && is_silent(cp));
        i += n;
    }
    if (inside) {
        add_word(w, at, start, len);
    }
}

void route_words_done(struct route_words *w)
{
    buf_done(&w->folded);
    mem_free(w->list);
    *w = (struct route_words){0};
}
