/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of translation as blocks. Where the file is not UTF-8, ICU says for every character which
 * bytes it came from, so that spans are always the file's own bytes and a target can be replaced
 * without touching another one.
 * Owns: the map of bytes. Threads: one. Limits: a text of DOCUMENT_TEXT_MAX bytes; 4 bytes of map
 * for each byte of text.
 */
#include <string.h>

#include <unicode/ucnv.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

#define PIECE 4096
/* U+27E6: what inline elements are shown between; text of the file may not look like them. */
#define BRACKET "\xE2\x9F\xA6"

static size_t mark_len(const char *bytes, size_t len)
{
    if (len >= 4 &&
        (memcmp(bytes, "\xFF\xFE\0\0", 4) == 0 || memcmp(bytes, "\0\0\xFE\xFF", 4) == 0)) {
        return 4;
    }
    return len >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0) ? 2
                                                                                                : 0;
}

static size_t width(UChar c)
{
    /* A surrogate is half of four bytes. */
    return c < 0x80 ? 1 : c < 0x800 || (c >= 0xD800 && c < 0xE000) ? 2 : 3;
}

/* Fills u->raw; false: no such charset. */
static bool map_bytes(struct units *u, const char *bytes, size_t len, const char *charset)
{
    UErrorCode e = U_ZERO_ERROR;
    UConverter *from = ucnv_open(charset, &e);
    if (U_FAILURE(e)) {
        return false;
    }
    size_t skip = mark_len(bytes, len), at = 0;
    const char *source = bytes + skip, *end = bytes + len;
    u->raw = mem_alloc_array(u->text_len + 1, sizeof(*u->raw));
    for (bool more = true; more && at < u->text_len;) {
        UChar piece[PIECE], *target = piece;
        int32_t offsets[PIECE];
        const char *start = source;
        e = U_ZERO_ERROR;
        ucnv_toUnicode(from, &target, piece + PIECE, &source, end, offsets, true, &e);
        more = e == U_BUFFER_OVERFLOW_ERROR;
        for (const UChar *c = piece; c < target; c++) {
            int32_t offset = offsets[c - piece] < 0 ? 0 : offsets[c - piece];
            for (size_t k = width(*c); k > 0 && at < u->text_len; k--) {
                u->raw[at++] = (uint32_t)((size_t)(start - bytes) + (size_t)offset);
            }
        }
    }
    for (; at <= u->text_len; at++) {
        u->raw[at] = (uint32_t)len;
    }
    ucnv_close(from);
    return true;
}

void units_begin(struct units *u, struct sink *out, const struct source *in,
                 const struct decoded *d)
{
    *u = (struct units){.out = out, .text_len = d->len};
    lines_begin(&u->lines, d->text, d->len);
    buf_init(&u->clean, DOCUMENT_TEXT_MAX * 4u);
    if (d->text != in->bytes && !map_bytes(u, in->bytes, in->len, d->charset)) {
        (void)sink_fail(out, FAIL_UNSUPPORTED, "Convert the file to UTF-8.",
                        "the file's charset cannot be written back: %.60s", d->charset);
    }
}

void units_done(struct units *u)
{
    buf_done(&u->clean);
    mem_free(u->raw);
}

static size_t raw_at(const struct units *u, size_t at)
{
    at = at > u->text_len ? u->text_len : at;
    return u->raw == NULL ? at : u->raw[at];
}

static const char *clean(struct units *u, const char *text, size_t len)
{
    buf_clear(&u->clean);
    if (len > DOCUMENT_TEXT_MAX || !clean_add(&u->clean, text, len)) {
        (void)sink_fail(u->out, FAIL_TOO_LARGE, "A string of a program is not so long.",
                        "a string of unit %u is longer than %u bytes", u->row, DOCUMENT_TEXT_MAX);
        buf_clear(&u->clean);
    }
    return u->clean.data == NULL ? "" : u->clean.data;
}

void units_put(struct units *u, enum document_kind kind, unsigned form, const char *path,
               const char *text, size_t len, size_t begin, size_t end)
{
    const char *s = clean(u, text, len);
    struct document_block b = {.kind = kind,
                               .level = form,
                               .row = u->row,
                               .line = end > 0 && begin >= u->lines.at ? lines_at(&u->lines, begin)
                                                                     : 0,
                               .begin = raw_at(u, begin),
                               .end = raw_at(u, end),
                               .path = path,
                               .text = s,
                               .len = u->clean.len};
    bool same = b.len == len && memcmp(s, text, len) == 0;
    bool shown = kind == DOCUMENT_SOURCE || kind == DOCUMENT_TARGET || kind == DOCUMENT_CONTEXT ||
                 kind == DOCUMENT_MARK;
    u->odd = u->odd || (shown && !same);
    if (b.len > DOCUMENT_TEXT_MAX) {
        (void)sink_fail(u->out, FAIL_TOO_LARGE, NULL, "a string of unit %u is longer than %u bytes",
                        u->row, DOCUMENT_TEXT_MAX);
    }
    (void)sink_block(u->out, &b);
}

void units_put_str(struct units *u, enum document_kind kind, const char *path, const char *text)
{
    units_put(u, kind, 0, path, text, strlen(text), 0, 0);
}

void units_open(struct units *u, const char *id, size_t begin, size_t end)
{
    u->row++;
    u->odd = false;
    units_put(u, DOCUMENT_UNIT, 0, "", id, strlen(id), begin, end);
}

void units_close(struct units *u)
{
    if (u->odd) {
        units_put_str(u, DOCUMENT_FLAG, "", "odd-characters");
    }
}
