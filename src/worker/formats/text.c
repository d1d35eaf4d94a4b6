/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain text: paragraphs at blank lines; in a message also quotes (">", "On ... wrote:", Outlook's
 * line) and the signature ("-- "), so that only what is new is asked about.
 * Threads: one. Limits: the sink's.
 */
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

struct line {
    const char *text;
    size_t len;        /* without its end */
    size_t begin, end; /* in the source, with its end */
    size_t quote;      /* how many ">" stood before it; they are off */
    bool soft;         /* flowed: the next line goes on */
};

struct reader {
    struct sink *out;
    const char *text;
    size_t len, at;
    struct buf paragraph;
    struct document_block block;
    uint32_t line, line_begin;
    bool flowed;
};

static bool next_line(struct reader *r, struct line *l)
{
    if (r->at >= r->len) {
        return false;
    }
    const char *start = r->text + r->at;
    const char *nl = memchr(start, '\n', r->len - r->at);
    size_t n = nl == NULL ? r->len - r->at : (size_t)(nl - start);
    *l = (struct line){.text = start, .len = n, .begin = r->at};
    r->at += nl == NULL ? n : n + 1;
    l->end = r->at;
    if (l->len > 0 && l->text[l->len - 1] == '\r') {
        l->len--;
    }
    r->line++;
    return true;
}

static bool is_blank(const struct line *l)
{
    for (size_t i = 0; i < l->len; i++) {
        if (l->text[i] != ' ' && l->text[i] != '\t') {
            return false;
        }
    }
    return true;
}

static enum fail flush(struct reader *r)
{
    r->block.text = r->paragraph.data == NULL ? "" : r->paragraph.data;
    r->block.len = r->paragraph.len;
    while (r->block.len > 0 && r->block.text[r->block.len - 1] == '\n') {
        r->block.len--;
    }
    r->block.line = r->line_begin;
    enum fail f = sink_block(r->out, &r->block);
    buf_clear(&r->paragraph);
    return f;
}

static void add_line(struct reader *r, const struct line *l)
{
    if (r->paragraph.len == 0) {
        r->block.begin = l->begin;
        r->line_begin = r->line;
    }
    r->block.end = l->end;
    if (!clean_add(&r->paragraph, l->text, l->len) ||
        (!l->soft && !buf_add_char(&r->paragraph, '\n'))) {
        (void)sink_fail(r->out, FAIL_TOO_LARGE, NULL, "a paragraph is longer than %llu bytes",
                        (unsigned long long)r->out->limits.text_bytes);
    }
}

static void begin(struct reader *r, const char *text, size_t len, struct sink *out)
{
    *r = (struct reader){.out = out, .text = text, .len = len};
    buf_init(&r->paragraph, (size_t)out->limits.text_bytes + 16);
}

enum fail text_read_paragraphs(const char *text, size_t len, struct sink *out)
{
    struct reader r;
    struct line l;
    begin(&r, text, len, out);
    while (out->failed == FAIL_NONE && next_line(&r, &l)) {
        if (is_blank(&l)) {
            (void)flush(&r);
        } else {
            add_line(&r, &l);
        }
    }
    enum fail f = flush(&r);
    buf_done(&r.paragraph);
    return f;
}

enum fail text_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "text", d.charset)) == FAIL_NONE) {
        f = text_read_paragraphs(d.text, d.len, out);
    }
    charset_done(&d);
    return f;
}

/* ---- a message's text ---- */

/* Takes ">" and the spaces between them off. */
static void unquote(struct line *l)
{
    size_t at = 0, after = 0;
    while (at < l->len && (l->text[at] == '>' || l->text[at] == ' ')) {
        if (l->text[at++] == '>') {
            l->quote++;
            after = at;
        }
    }
    if (l->quote > 0) {
        after += after < l->len && l->text[after] == ' ' ? 1 : 0;
        l->text += after;
        l->len -= after;
    }
}

/* RFC 3676: a space at the end says that the line goes on; one at the start was put there. */
static void unflow(struct line *l)
{
    bool signature = l->len == 3 && memcmp(l->text, "-- ", 3) == 0;
    if (l->quote == 0 && l->len > 0 && l->text[0] == ' ') {
        l->text++;
        l->len--;
    }
    l->soft = !signature && l->len > 0 && l->text[l->len - 1] == ' ';
}

static bool ends_with(const struct line *l, const char *end)
{
    size_t n = strlen(end), len = l->len;
    while (len > 0 && (l->text[len - 1] == ' ' || l->text[len - 1] == '\t')) {
        len--;
    }
    return len >= n && memcmp(l->text + len - n, end, n) == 0;
}

static bool starts_with(const struct line *l, const char *start)
{
    size_t n = strlen(start);
    return l->len >= n && memcmp(l->text, start, n) == 0;
}

/* "On Monday X wrote:", by the words that mail programs write. */
static bool is_attribution(const struct line *l)
{
    static const char *const ends[] = {"wrote:",      "schrieb:", "a \xC3\xA9"
                                                                  "crit :",
                                       "a \xC3\xA9"
                                       "crit:",
                                       "escribi\xC3\xB3:", "schreef:",  "ha scritto:",
                                       "skrev:",      "escreveu:", "napisa\xC5\x82:"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (ends_with(l, ends[i])) {
            return true;
        }
    }
    return false;
}

/* All below it was written by somebody else. */
static bool is_divider(const struct line *l)
{
    static const char *const lines[] = {"-----Original Message-----", "----- Original Message",
                                        "-----Urspr\xC3\xBCngliche Nachricht-----",
                                        "-----Message d'origine-----"};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        if (starts_with(l, lines[i])) {
            return true;
        }
    }
    return false;
}

/* Outlook's other way: a line of 32, then the head of the mail that is answered. */
static bool is_ruled_off(const struct reader *r, const struct line *l)
{
    static const char *const heads[] = {"From:", "Von:", "De :", "De:", "Da:", "Van:", "*From:*"};
    size_t at = r->at;
    while (at < r->len && strchr(" \r\n", r->text[at]) != NULL) {
        at++;
    }
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        size_t n = strlen(heads[i]);
        if (r->len - at >= n && memcmp(r->text + at, heads[i], n) == 0) {
            return starts_with(l, "________________________________");
        }
    }
    return false;
}

static bool is_signature(const struct line *l)
{
    return (l->len == 3 && memcmp(l->text, "-- ", 3) == 0) ||
           (l->len == 2 && memcmp(l->text, "--", 2) == 0);
}

/* What kind the next lines are; the block so far is emitted where that changes. */
static void turn(struct reader *r, enum document_kind kind, unsigned level)
{
    if (r->block.kind != kind || r->block.level != level) {
        (void)flush(r);
        r->block.kind = kind;
        r->block.level = level;
    }
}

static void take_message_line(struct reader *r, struct line *l, bool *below, bool *signature)
{
    unquote(l);
    if (r->flowed) {
        unflow(l);
    }
    if (l->quote > 0) {
        turn(r, DOCUMENT_QUOTE, l->quote > 200 ? 200 : (unsigned)l->quote);
        *signature = false;
    } else if (*below || is_divider(l) || is_ruled_off(r, l)) {
        *below = true;
        turn(r, DOCUMENT_QUOTE, 1);
    } else if (is_signature(l)) {
        *signature = true;
        turn(r, DOCUMENT_SIGNATURE, 0);
        return;
    } else if (is_attribution(l)) {
        *signature = false;
        turn(r, DOCUMENT_QUOTE, 1);
    } else {
        turn(r, *signature ? DOCUMENT_SIGNATURE : DOCUMENT_PARAGRAPH, 0);
    }
    if (is_blank(l)) {
        (void)flush(r);
    } else {
        add_line(r, l);
    }
}

enum fail text_read_message(const char *text, size_t len, bool flowed, struct sink *out)
{
    struct reader r;
    struct line l;
    bool below = false, signature = false;
    begin(&r, text, len, out);
    r.flowed = flowed;
    while (out->failed == FAIL_NONE && next_line(&r, &l)) {
        take_message_line(&r, &l, &below, &signature);
    }
    enum fail f = flush(&r);
    buf_done(&r.paragraph);
    return f;
}
