/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PO and POT (GNU gettext manual, "The Format of PO Files"): entries with context, plural forms,
 * previous strings, flags, comments and obsolete entries. A target's span goes from the first quote
 * of msgstr to the last one, over all its lines.
 * Threads: one. Limits: PO_FORMS plural forms; the sink's.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

#define PO_FORMS 10
/* Where the header must name its charset. */
#define HEADER_BYTES 16384

enum po_part { PART_NONE, PART_CONTEXT, PART_ID, PART_PLURAL, PART_TARGET, PART_PREVIOUS };

struct po_text {
    struct buf text;
    size_t begin, end;
    bool there;
};

struct po {
    struct units units;
    const char *s;
    size_t len, at;
    uint32_t line, id_line;
    struct po_text context, id, plural, previous, target[PO_FORMS];
    struct buf notes, flags;
    size_t begin, end;              /* of the entry */
    size_t fuzzy_begin, fuzzy_end;  /* what is cut when the entry is fuzzy no more */
    bool fuzzy, obsolete, header;
    enum po_part part;
    unsigned form;
};

static void wrong(struct po *p, const char *what)
{
    (void)sink_fail(p->units.out, FAIL_BAD_REQUEST, "msgfmt --check shows the same place.",
                    "line %u: this is not PO: %s", p->line, what);
}

static bool failed(const struct po *p)
{
    return p->units.out->failed != FAIL_NONE;
}

/* ---- the entry ---- */

static const char *data(const struct buf *b)
{
    return b->data == NULL ? "" : b->data;
}

static void empty_text(struct po_text *t)
{
    buf_clear(&t->text);
    t->begin = t->end = 0;
    t->there = false;
}

static void empty_entry(struct po *p)
{
    empty_text(&p->context);
    empty_text(&p->id);
    empty_text(&p->plural);
    empty_text(&p->previous);
    for (size_t i = 0; i < PO_FORMS; i++) {
        empty_text(&p->target[i]);
    }
    buf_clear(&p->notes);
    buf_clear(&p->flags);
    p->fuzzy = p->obsolete = false;
    p->part = PART_NONE;
    p->begin = p->end = SIZE_MAX;
}

/* The header's fields that others need. */
static void put_header(struct po *p)
{
    static const struct {
        const char *name;
        enum document_meta_key key;
    } fields[] = {{"Language:", DOCUMENT_META_TARGET_LANGUAGE},
                  {"Plural-Forms:", DOCUMENT_META_PLURALS},
                  {"Project-Id-Version:", DOCUMENT_META_TITLE}};
    const char *s = data(&p->target[0].text);
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
            size_t m = strlen(fields[i].name);
            if (n > m && strncasecmp(s, fields[i].name, m) == 0) {
                (void)sink_meta(p->units.out, fields[i].key, s + m, n - m);
            }
        }
        s += n + (s[n] == '\n' ? 1 : 0);
    }
}

static void put_flags(struct po *p)
{
    const char *s = data(&p->flags);
    while (*s != '\0') {
        size_t n = strcspn(s, ",");
        while (n > 0 && (*s == ' ' || *s == '\t')) {
            s++;
            n--;
        }
        size_t k = n;
        while (k > 0 && (s[k - 1] == ' ' || s[k - 1] == '\t')) {
            k--;
        }
        if (k > 0 && (k != 5 || memcmp(s, "fuzzy", 5) != 0)) {
            units_put(&p->units, DOCUMENT_FLAG, 0, "", s, k, 0, 0);
        }
        s += n + (s[n] == ',' ? 1 : 0);
    }
}

static void put_entry(struct po *p)
{
    struct units *u = &p->units;
    char id[32];
    (void)snprintf(id, sizeof(id), "line %u", p->id_line);
    units_open(u, id, p->begin, p->end);
    if (p->context.there) {
        units_put(u, DOCUMENT_CONTEXT, 0, "", data(&p->context.text), p->context.text.len, 0, 0);
    }
    if (p->previous.there) {
        units_put(u, DOCUMENT_PREVIOUS, 0, "", data(&p->previous.text), p->previous.text.len, 0, 0);
    }
    if (p->notes.len > 0) {
        units_put(u, DOCUMENT_NOTE, 0, "", data(&p->notes), p->notes.len, 0, 0);
    }
    put_flags(p);
    if (p->obsolete) {
        units_put_str(u, DOCUMENT_FLAG, "", "obsolete");
    }
    if (p->fuzzy) {
        units_put(u, DOCUMENT_STATE, 0, "", "fuzzy", 5, p->fuzzy_begin, p->fuzzy_end);
    }
    units_put(u, DOCUMENT_SOURCE, p->plural.there ? 1 : 0, "", data(&p->id.text), p->id.text.len,
              p->id.begin, p->id.end);
    if (p->plural.there) {
        units_put(u, DOCUMENT_SOURCE, 2, "", data(&p->plural.text), p->plural.text.len,
                  p->plural.begin, p->plural.end);
    }
    for (unsigned i = 0; i < PO_FORMS; i++) {
        const struct po_text *t = &p->target[i];
        if (t->there) {
            units_put(u, DOCUMENT_TARGET, p->plural.there ? i + 1 : 0, "", data(&t->text),
                      t->text.len, t->begin, t->end);
        }
    }
    units_close(u);
}

static void end_entry(struct po *p)
{
    if (!failed(p) && p->id.there) {
        if (!p->target[0].there) {
            wrong(p, "an entry has no msgstr");
        } else if (p->id.text.len == 0 && !p->context.there && !p->obsolete && !p->header) {
            p->header = true;
            put_header(p);
        } else if (p->id.text.len > 0 || p->context.there) {
            put_entry(p);
        }
    } else if (!failed(p) && (p->context.there || p->target[0].there)) {
        wrong(p, "an entry has no msgid");
    }
    empty_entry(p);
}

/* ---- strings ---- */

static bool hex_digit(char c, unsigned *v)
{
    unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                        : 16;
    *v = d < 16 ? *v * 16 + d : *v;
    return d < 16;
}

/* After a backslash at *at; C's escapes. */
static bool add_escape(struct buf *out, const char *s, size_t end, size_t *at)
{
    static const char letters[] = "ntr\"\\abfv", means[] = "\n\t\r\"\\\a\b\f\v";
    unsigned v = 0, n = 0;
    char c = *at < end ? s[*at] : '\0';
    const char *known = c == '\0' ? NULL : strchr(letters, c);
    if (known != NULL) {
        (*at)++;
        return buf_add_char(out, means[known - letters]);
    }
    if (c == 'x') {
        for ((*at)++; *at < end && n < 2 && hex_digit(s[*at], &v); n++) {
            (*at)++;
        }
    } else {
        for (; *at < end && n < 3 && s[*at] >= '0' && s[*at] <= '7'; n++) {
            v = v * 8 + (unsigned)(s[(*at)++] - '0');
        }
    }
    return n > 0 && buf_add_char(out, (char)(v & 255));
}

/* One or more literals in [at, end) of one line. */
static void read_literals(struct po *p, struct po_text *t, size_t at, size_t end)
{
    bool any = false;
    while (!failed(p)) {
        while (at < end && isspace((unsigned char)p->s[at])) {
            at++;
        }
        if (at >= end) {
            break;
        }
        if (p->s[at] != '"') {
            wrong(p, "a string in quotes is missing");
            return;
        }
        t->begin = t->there ? t->begin : at;
        t->there = any = true;
        for (at++; at < end && p->s[at] != '"';) {
            size_t run = at;
            while (run < end && p->s[run] != '"' && p->s[run] != '\\') {
                run++;
            }
            bool fits = buf_add(&t->text, p->s + at, run - at);
            at = run;
            if (at < end && p->s[at] == '\\') {
                at++;
                fits = fits && add_escape(&t->text, p->s, end, &at);
            }
            if (!fits) {
                wrong(p, "an escape that is none, or a string that is too long");
                return;
            }
        }
        if (at >= end) {
            wrong(p, "a string does not end on its line");
            return;
        }
        t->end = ++at;
    }
    if (!any) {
        wrong(p, "a string in quotes is missing");
    }
}

static struct po_text *current(struct po *p)
{
    switch (p->part) {
    case PART_CONTEXT:
        return &p->context;
    case PART_ID:
        return &p->id;
    case PART_PLURAL:
        return &p->plural;
    case PART_PREVIOUS:
        return &p->previous;
    case PART_TARGET:
        return &p->target[p->form];
    case PART_NONE:
        break;
    }
    return NULL;
}

/* ---- lines ---- */

static bool word(const struct po *p, size_t at, size_t end, const char *w)
{
    size_t n = strlen(w);
    return end - at > n && memcmp(p->s + at, w, n) == 0 &&
           strchr(" \t\"[", p->s[at + n]) != NULL;
}

/* msgstr[2]: the number; moves *at behind it. */
static unsigned read_form(struct po *p, size_t *at, size_t end)
{
    unsigned v = 0;
    size_t i = *at;
    while (i < end && isspace((unsigned char)p->s[i])) {
        i++;
    }
    if (i >= end || p->s[i] != '[') {
        return 0;
    }
    for (i++; i < end && isdigit((unsigned char)p->s[i]) && v < PO_FORMS; i++) {
        v = v * 10 + (unsigned)(p->s[i] - '0');
    }
    if (i >= end || p->s[i] != ']' || v >= PO_FORMS) {
        wrong(p, "the number of a plural form is not one of 0 to 9");
        return 0;
    }
    *at = i + 1;
    return v;
}

static void read_keyword(struct po *p, size_t at, size_t end, bool previous)
{
    static const struct {
        const char *word;
        enum po_part part;
    } words[] = {{"msgctxt", PART_CONTEXT},
                 {"msgid_plural", PART_PLURAL},
                 {"msgid", PART_ID},
                 {"msgstr", PART_TARGET}};
    size_t i = 0;
    while (i < COUNT_OF(words) && !word(p, at, end, words[i].word)) {
        i++;
    }
    if (i == COUNT_OF(words)) {
        wrong(p, "a line is neither a comment, a keyword nor a string");
        return;
    }
    size_t rest = at + strlen(words[i].word);
    if (previous) {
        /* What the string was: the id alone is compared. */
        p->part = words[i].part == PART_ID ? PART_PREVIOUS : PART_NONE;
    } else {
        bool starts =
            words[i].part == PART_CONTEXT || (words[i].part == PART_ID && !p->context.there);
        if (p->target[0].there && (starts || words[i].part == PART_ID)) {
            end_entry(p);
        }
        p->part = words[i].part;
        p->id_line = p->part == PART_ID ? p->line : p->id_line;
        p->form = p->part == PART_TARGET ? read_form(p, &rest, end) : 0;
    }
    struct po_text skipped = {0}, *t = current(p);
    if (t != NULL && t->there && p->part != PART_PREVIOUS) {
        wrong(p, "a keyword stands twice in one entry");
        return;
    }
    buf_init(&skipped.text, DOCUMENT_TEXT_MAX);
    read_literals(p, t == NULL ? &skipped : t, rest, end);
    buf_done(&skipped.text);
}

/* Where "fuzzy" stands among the flags of the line, and what goes with it. */
static void find_fuzzy(struct po *p, size_t begin, size_t at, size_t end, size_t next)
{
    size_t flags = 0;
    for (size_t i = at; i < end;) {
        const char *comma = memchr(p->s + i, ',', end - i);
        size_t stop = comma == NULL ? end : (size_t)(comma - p->s), b = i, e = stop;
        while (b < e && isspace((unsigned char)p->s[b])) {
            b++;
        }
        while (e > b && isspace((unsigned char)p->s[e - 1])) {
            e--;
        }
        flags += e > b ? 1 : 0;
        if (e - b == 5 && memcmp(p->s + b, "fuzzy", 5) == 0) {
            p->fuzzy = true;
            p->fuzzy_begin = flags == 1 ? i : i - 1; /* with the comma before it */
            p->fuzzy_end = flags == 1 && comma != NULL ? stop + 1 : e;
        }
        i = stop + 1;
    }
    if (p->fuzzy && flags == 1) {
        p->fuzzy_begin = begin;
        p->fuzzy_end = next;
    }
}

static void add_line(struct buf *b, const char *s, size_t n, char between)
{
    while (n > 0 && (*s == ' ' || *s == '\t')) {
        s++;
        n--;
    }
    if (b->len > 0) {
        (void)buf_add_char(b, between);
    }
    (void)buf_add(b, s, n);
}

static void read_comment(struct po *p, size_t begin, size_t at, size_t end, size_t next)
{
    char kind = at < end ? p->s[at] : ' ';
    if (p->target[0].there) {
        end_entry(p);
    }
    p->begin = p->begin == SIZE_MAX ? begin : p->begin;
    if (kind == ',' || kind == '=') {
        add_line(&p->flags, p->s + at + 1, end - at - 1, ',');
        find_fuzzy(p, begin, at + 1, end, next);
    } else if (kind == '|') {
        size_t i = at + 1;
        while (i < end && isspace((unsigned char)p->s[i])) {
            i++;
        }
        if (i < end && p->s[i] == '"') {
            struct po_text *t = p->part == PART_PREVIOUS ? &p->previous : NULL;
            if (t != NULL) {
                read_literals(p, t, i, end);
            }
        } else if (i < end) {
            read_keyword(p, i, end, true);
        }
    } else if (kind == '.' || kind == ' ') {
        add_line(&p->notes, p->s + at + (at < end ? 1 : 0), end - at - (at < end ? 1 : 0), '\n');
    }
}

/* A line of an obsolete entry, behind its "#~". */
static void read_obsolete(struct po *p, size_t begin, size_t at, size_t end)
{
    while (at < end && isspace((unsigned char)p->s[at])) {
        at++;
    }
    if (at >= end || p->s[at] == '|') {
        return; /* what an obsolete string was before is of no use */
    }
    if (p->s[at] != '"' && p->target[0].there) {
        bool more = word(p, at, end, "msgstr");
        if (!more) {
            end_entry(p);
        }
    }
    p->begin = p->begin == SIZE_MAX ? begin : p->begin;
    if (p->s[at] != '"') {
        read_keyword(p, at, end, false);
    } else if (current(p) != NULL) {
        read_literals(p, current(p), at, end);
    } else {
        wrong(p, "a string belongs to no keyword");
    }
    p->obsolete = true;
}

static void read_line(struct po *p, size_t begin, size_t end, size_t next)
{
    size_t at = begin;
    while (at < end && isspace((unsigned char)p->s[at])) {
        at++;
    }
    if (at >= end) {
        if (p->target[0].there) {
            end_entry(p);
        }
        return;
    }
    if (p->s[at] == '#') {
        if (at + 1 < end && p->s[at + 1] == '~') {
            read_obsolete(p, begin, at + 2, end);
        } else {
            read_comment(p, begin, at + 1, end, next);
        }
    } else if (p->s[at] == '"') {
        if (current(p) == NULL || p->part == PART_PREVIOUS) {
            wrong(p, "a string belongs to no keyword");
        } else {
            read_literals(p, current(p), at, end);
        }
    } else if (word(p, at, end, "domain")) {
        return;
    } else {
        if (p->obsolete && p->target[0].there) {
            end_entry(p);
        }
        read_keyword(p, at, end, false);
        p->begin = p->begin == SIZE_MAX ? begin : p->begin;
    }
    p->end = end;
}

static void read_text(struct po *p)
{
    p->at = p->len >= 3 && memcmp(p->s, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    empty_entry(p);
    while (p->at < p->len && !failed(p)) {
        const char *nl = memchr(p->s + p->at, '\n', p->len - p->at);
        size_t next = nl == NULL ? p->len : (size_t)(nl - p->s) + 1, end = next;
        while (end > p->at && (p->s[end - 1] == '\n' || p->s[end - 1] == '\r')) {
            end--;
        }
        p->line++;
        read_line(p, p->at, end, next);
        p->at = next;
    }
    end_entry(p);
    if (!failed(p) && p->units.row == 0 && !p->header && p->len > 0) {
        wrong(p, "there is no entry in it");
    }
}

/* ---- the charset ---- */

/* Content-Type: text/plain; charset=NAME of the header; "" when there is none. */
static void find_charset(const char *bytes, size_t len, char out[64])
{
    size_t n = len > HEADER_BYTES ? HEADER_BYTES : len, k = 0;
    const char *at = memmem(bytes, n, "charset=", 8);
    out[0] = '\0';
    if (at == NULL) {
        return;
    }
    for (at += 8; at < bytes + n && k < 63 &&
                  (isalnum((unsigned char)*at) || strchr("-_.:+", *at) != NULL) && *at != '\0';
         at++) {
        out[k++] = *at;
    }
    out[k] = '\0';
    if (strcmp(out, "CHARSET") == 0) {
        out[0] = '\0'; /* a template's */
    }
}

static void init_texts(struct po *p)
{
    struct po_text *all[] = {&p->context, &p->id, &p->plural, &p->previous};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        buf_init(&all[i]->text, DOCUMENT_TEXT_MAX);
    }
    for (size_t i = 0; i < PO_FORMS; i++) {
        buf_init(&p->target[i].text, DOCUMENT_TEXT_MAX);
    }
    buf_init(&p->notes, DOCUMENT_TEXT_MAX);
    buf_init(&p->flags, DOCUMENT_TEXT_MAX);
}

static void done_texts(struct po *p)
{
    struct po_text *all[] = {&p->context, &p->id, &p->plural, &p->previous};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        buf_done(&all[i]->text);
    }
    for (size_t i = 0; i < PO_FORMS; i++) {
        buf_done(&p->target[i].text);
    }
    buf_done(&p->notes);
    buf_done(&p->flags);
}

enum fail po_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    char declared[64];
    find_charset(in->bytes, in->len, declared);
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset,
                                 declared[0] == '\0' ? NULL : declared, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "po", d.charset)) == FAIL_NONE) {
        struct po p = {.s = d.text, .len = d.len};
        units_begin(&p.units, out, in, &d);
        init_texts(&p);
        read_text(&p);
        done_texts(&p);
        units_done(&p.units);
    }
    charset_done(&d);
    return out->failed;
}
