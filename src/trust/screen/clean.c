/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clean-up and folding of Unicode text, with the way back to the original bytes.
 * Owns nothing. Threads: pure; ICU's normalisers are shared and read-only. Limits: as the header.
 */
#include "trust/screen/screen.h"

#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>

#include "base/text/text.h"

#define SEGMENT_MAX 64  /* code points between two boundaries; longer ones are cut */
#define ESCAPE_MAX 128  /* bytes of an ANSI sequence */

const char *screen_oddity_name(unsigned oddity)
{
    static const char *const names[] = {"zero_width", "tag", "variation", "bidi", "control",
                                        "ansi", "invalid", "composed"};
    unsigned i = oddity == 0 ? 0 : (unsigned)__builtin_ctz(oddity);
    return i < COUNT_OF(names) ? names[i] : "";
}

static unsigned oddity_of(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
        return c == '\t' || c == '\n' || c == '\r' ? 0 : SCREEN_CONTROL;
    }
    if (c < 0xad) {
        return 0;
    }
    if (c == 0xad || c == 0x34f || c == 0x115f || c == 0x1160 || c == 0x180e || c == 0xfeff ||
        (c >= 0x200b && c <= 0x200d) || (c >= 0x2060 && c <= 0x2064) || c == 0x3164) {
        return SCREEN_ZERO_WIDTH;
    }
    if (c == 0x200e || c == 0x200f || c == 0x61c || (c >= 0x202a && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x206f)) {
        return SCREEN_BIDI;
    }
    if ((c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0100 && c <= 0xe01ef) ||
        (c >= 0x180b && c <= 0x180d)) {
        return SCREEN_VARIATION;
    }
    if (c >= 0xe0000 && c <= 0xe007f) {
        return SCREEN_TAG;
    }
    return c >= 0xfff9 && c <= 0xfffb ? SCREEN_CONTROL : 0;
}

/* An ANSI control sequence (ECMA-48 5.4, and operating system commands) at s[0] = ESC. */
static size_t ansi(const char *s, size_t n)
{
    if (n < 2) {
        return 1;
    }
    size_t most = n < ESCAPE_MAX ? n : ESCAPE_MAX;
    size_t i = 2;
    if (s[1] == '[') {
        while (i < most && s[i] >= 0x20 && s[i] <= 0x3f) {
            i++;
        }
        return i < most && s[i] >= 0x40 && s[i] <= 0x7e ? i + 1 : i;
    }
    if (s[1] == ']' || s[1] == 'P' || s[1] == '_' || s[1] == '^') {
        while (i < most && s[i] != 7 && s[i] != 0x1b) {
            i++;
        }
        return i < most ? i + (s[i] == 7 ? 1 : i + 1 < n && s[i + 1] == '\\' ? 2 : 0) : i;
    }
    return s[1] >= 0x20 && s[1] <= 0x7e ? 2 : 1;
}

/* Scripts in which a joiner changes how a word is read. */
static bool joins(uint32_t c)
{
    UErrorCode e = U_ZERO_ERROR;
    UScriptCode s = uscript_getScript((UChar32)c, &e);
    return s == USCRIPT_ARABIC || s == USCRIPT_DEVANAGARI || s == USCRIPT_BENGALI ||
           s == USCRIPT_SINHALA || s == USCRIPT_MALAYALAM || s == USCRIPT_KANNADA ||
           s == USCRIPT_TAMIL || s == USCRIPT_TELUGU || s == USCRIPT_GUJARATI ||
           s == USCRIPT_GURMUKHI || s == USCRIPT_ORIYA || s == USCRIPT_MONGOLIAN;
}

/* ---- clean ---- */

struct cleaning {
    struct screen_clean *c;
    const UNormalizer2 *nfc;
    struct buf out;
    size_t room;
    size_t expect; /* the original byte that would continue the open run */
    uint32_t segment[SEGMENT_MAX];
    size_t segment_n;
    size_t segment_from, segment_to;
    uint32_t before;
};

static void open_run(struct cleaning *k, size_t from, bool changed)
{
    struct screen_clean *c = k->c;
    if (c->runs_n == k->room) {
        k->room = k->room == 0 ? 8 : k->room * 2;
        c->runs = mem_realloc(c->runs, k->room * sizeof(*c->runs));
    }
    c->runs[c->runs_n++] = (struct screen_run){(uint32_t)k->out.len, (uint32_t)from, changed};
}

static void put_same(struct cleaning *k, const char *s, size_t n, size_t from)
{
    if (k->expect != from || k->c->runs_n == 0 || k->c->runs[k->c->runs_n - 1].changed) {
        open_run(k, from, false);
    }
    buf_add(&k->out, s, n);
    k->expect = from + n;
}

/* The open segment in NFC; unchanged bytes stay in the run they are in. */
static void flush(struct cleaning *k, const char *text)
{
    UChar in[2 * SEGMENT_MAX];
    UChar made[4 * SEGMENT_MAX];
    int32_t n = 0;
    UErrorCode e = U_ZERO_ERROR;
    if (k->segment_n == 0) {
        return;
    }
    for (size_t i = 0; i < k->segment_n; i++) {
        U16_APPEND_UNSAFE(in, n, (UChar32)k->segment[i]);
    }
    int32_t got = unorm2_normalize(k->nfc, in, n, made, COUNT_OF(made), &e);
    if (U_FAILURE(e) || (got == n && memcmp(in, made, (size_t)n * sizeof(UChar)) == 0)) {
        put_same(k, text + k->segment_from, k->segment_to - k->segment_from, k->segment_from);
    } else {
        k->c->seen |= SCREEN_COMPOSED;
        open_run(k, k->segment_from, true);
        for (int32_t i = 0; i < got;) {
            UChar32 c;
            char bytes[4];
            U16_NEXT(made, i, got, c);
            buf_add(&k->out, bytes, text_utf8_encode((uint32_t)c, bytes));
        }
        k->expect = k->segment_to;
    }
    k->segment_n = 0;
}

static void drop(struct cleaning *k, const char *text, unsigned what, size_t at)
{
    bool between = k->segment_n > 0; /* marks behind it still belong to the segment */
    if (between) {
        flush(k, text);
    }
    k->c->seen |= what;
    k->c->dropped++;
    k->c->first = (what & SCREEN_HIDDEN) != 0 && at < k->c->first ? at : k->c->first;
}

static void take(struct cleaning *k, const char *text, size_t at, size_t len, uint32_t cp)
{
    bool full = k->segment_n == SEGMENT_MAX;
    bool gap = k->segment_n > 0 && k->segment_to != at;
    if (k->segment_n > 0 && (full || gap || unorm2_hasBoundaryBefore(k->nfc, (UChar32)cp))) {
        flush(k, text);
    }
    if (k->segment_n == 0) {
        k->segment_from = at;
    }
    k->segment[k->segment_n++] = cp;
    k->segment_to = at + len;
    k->before = cp;
}

bool screen_clean(const char *text, size_t n, struct screen_clean *out)
{
    UErrorCode e = U_ZERO_ERROR;
    struct cleaning k = {.c = out, .nfc = unorm2_getNFCInstance(&e)};
    *out = (struct screen_clean){.first = n};
    if (n > SCREEN_MAX_TEXT || U_FAILURE(e)) {
        return false;
    }
    buf_init(&k.out, 3 * SCREEN_MAX_TEXT + 16);
    for (size_t at = 0; at < n;) {
        uint32_t cp = (unsigned char)text[at];
        size_t len = cp < 0x80 ? 1 : text_utf8_decode(text + at, n - at, &cp);
        unsigned odd = len == 0 ? SCREEN_INVALID : oddity_of(cp);
        if (cp == 0x1b && len == 1) {
            odd = SCREEN_ANSI;
            len = ansi(text + at, n - at);
        }
        bool joiner = (cp == 0x200c || cp == 0x200d) && k.before != 0 && joins(k.before);
        if (odd == 0 || (joiner && odd == SCREEN_ZERO_WIDTH)) {
            take(&k, text, at, len, cp);
            k.before = joiner ? 0 : cp;
        } else {
            drop(&k, text, odd, at);
            if (odd == SCREEN_INVALID) {
                open_run(&k, at, true);
                buf_add(&k.out, "\xef\xbf\xbd", 3);
                len = 1;
                k.expect = at + 1;
            }
        }
        at += len;
    }
    flush(&k, text);
    open_run(&k, n, true); /* the end */
    out->n = k.out.len;
    out->text = buf_take(&k.out);
    return true;
}

void screen_clean_done(struct screen_clean *c)
{
    mem_free(c->text);
    mem_free(c->runs);
    *c = (struct screen_clean){0};
}

static size_t run_of(const struct screen_clean *c, size_t at)
{
    size_t low = 0;
    size_t high = c->runs_n;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (c->runs[mid].at <= at) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

void screen_clean_origin(const struct screen_clean *c, size_t at, size_t end, size_t *from,
                         size_t *to)
{
    const struct screen_run *first = &c->runs[run_of(c, at)];
    *from = first->from + (first->changed ? 0 : at - first->at);
    if (end <= at) {
        *to = *from;
        return;
    }
    size_t last = run_of(c, end - 1);
    const struct screen_run *r = &c->runs[last];
    *to = r->changed ? c->runs[last + 1 < c->runs_n ? last + 1 : last].from
                     : r->from + (end - 1 - r->at) + 1;
}

/* ---- folding ---- */

/* Letters that look like Latin ones, from the confusables of Unicode Technical Standard 39. */
static char looks_like(uint32_t c)
{
    static const struct {
        uint16_t c;
        char like;
    } table[] = {
        {0x391, 'a'}, {0x392, 'b'}, {0x395, 'e'}, {0x396, 'z'}, {0x397, 'h'}, {0x399, 'i'},
        {0x39a, 'k'}, {0x39c, 'm'}, {0x39d, 'n'}, {0x39f, 'o'}, {0x3a1, 'p'}, {0x3a4, 't'},
        {0x3a5, 'y'}, {0x3a7, 'x'}, {0x3b1, 'a'}, {0x3b3, 'y'}, {0x3b9, 'i'}, {0x3ba, 'k'},
        {0x3bd, 'v'}, {0x3bf, 'o'}, {0x3c1, 'p'}, {0x3c4, 't'}, {0x3c5, 'u'}, {0x3c7, 'x'},
        {0x405, 's'}, {0x406, 'i'}, {0x408, 'j'}, {0x410, 'a'}, {0x412, 'b'}, {0x415, 'e'},
        {0x41a, 'k'}, {0x41c, 'm'}, {0x41d, 'h'}, {0x41e, 'o'}, {0x420, 'p'}, {0x421, 'c'},
        {0x422, 't'}, {0x423, 'y'}, {0x425, 'x'}, {0x430, 'a'}, {0x435, 'e'}, {0x43e, 'o'},
        {0x440, 'p'}, {0x441, 'c'}, {0x443, 'y'}, {0x445, 'x'}, {0x455, 's'}, {0x456, 'i'},
        {0x458, 'j'}, {0x475, 'v'}, {0x501, 'd'}, {0x51b, 'q'}, {0x51d, 'w'}, {0x131, 'i'},
        {0x237, 'j'}, {0x251, 'a'}, {0x261, 'g'}, {0x26f, 'm'}, {0x28b, 'v'}, {0x1d00, 'a'},
        {0x1d04, 'c'}, {0x1d0f, 'o'}, {0x1d1c, 'u'}, {0x1d20, 'v'}, {0x1d22, 'z'},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].c == c) {
            return table[i].like;
        }
    }
    return '\0';
}

struct folding {
    struct screen_folded *f;
    size_t room;
};

static void put_folded(struct folding *k, const char *s, size_t n, size_t from)
{
    struct screen_folded *f = k->f;
    if (f->n + n + 1 > k->room) {
        k->room = (k->room + n + 64) * 2;
        f->text = mem_realloc(f->text, k->room + 1);
        f->origin = mem_realloc(f->origin, (k->room + 1) * sizeof(*f->origin));
    }
    for (size_t i = 0; i < n; i++) {
        f->text[f->n] = s[i];
        f->origin[f->n++] = (uint32_t)from;
    }
}

static void fold_one(struct folding *k, const UNormalizer2 *nfkd, uint32_t cp, size_t from)
{
    UChar parts[32];
    UErrorCode e = U_ZERO_ERROR;
    int32_t n = unorm2_getDecomposition(nfkd, (UChar32)cp, parts, COUNT_OF(parts), &e);
    if (U_FAILURE(e) || n <= 0) {
        n = 0;
        U16_APPEND_UNSAFE(parts, n, (UChar32)cp);
    }
    for (int32_t i = 0; i < n;) {
        UChar32 c;
        char bytes[4];
        U16_NEXT(parts, i, n, c);
        if (u_charType(c) == U_NON_SPACING_MARK) {
            continue;
        }
        char like = looks_like((uint32_t)c);
        if (like != '\0') {
            put_folded(k, &like, 1, from);
        } else {
            put_folded(k, bytes, text_utf8_encode((uint32_t)u_foldCase(c, 0), bytes), from);
        }
    }
}

bool screen_fold(const char *text, size_t n, struct screen_folded *out)
{
    UErrorCode e = U_ZERO_ERROR;
    const UNormalizer2 *nfkd = unorm2_getNFKDInstance(&e);
    struct folding k = {.f = out};
    *out = (struct screen_folded){0};
    if (n > SCREEN_MAX_FOLD || U_FAILURE(e)) {
        return false;
    }
    put_folded(&k, "", 0, 0);
    for (size_t at = 0; at < n;) {
        unsigned char b = (unsigned char)text[at];
        uint32_t cp = b;
        if (b < 0x80 && b >= 0x20 && b != 0x7f) {
            char c = b >= 'A' && b <= 'Z' ? (char)(b | 32) : (char)b;
            put_folded(&k, &c, 1, at);
            at++;
            continue;
        }
        size_t len = b < 0x80 ? 1 : text_utf8_decode(text + at, n - at, &cp);
        if (len == 1 && b == 0x1b) {
            len = ansi(text + at, n - at);
        } else if (len > 0 && oddity_of(cp) == 0) {
            fold_one(&k, nfkd, cp, at);
        }
        at += len > 0 ? len : 1;
    }
    out->text[out->n] = '\0';
    out->origin[out->n] = (uint32_t)n;
    return true;
}

void screen_fold_done(struct screen_folded *f)
{
    mem_free(f->text);
    mem_free(f->origin);
    *f = (struct screen_folded){0};
}
