/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XLIFF 1.2 (OASIS xliff-core-1.2) and 2.0, 2.1 (OASIS xliff-core-v2.x): libxml2 says whether it is
 * well-formed, then a scanner of our own finds the bytes, which libxml2 does not tell exactly.
 * Inline elements are placeholders in the text, as ⟦x:1⟧ and ⟦g:1⟧ ... ⟦/g:1⟧, each with the
 * markup it stands for, so that a translation moves them and cannot break them.
 * Threads: one. Limits: XLIFF_MARKS inline elements a unit, XLIFF_NESTED pairs in one another; the
 * sink's.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

#define XLIFF_MARKS 256
#define XLIFF_NESTED 32
#define XLIFF_LABEL 80
#define OPEN_BRACKET "\xE2\x9F\xA6"
#define CLOSE_BRACKET "\xE2\x9F\xA7"

enum token_kind { TOKEN_TEXT, TOKEN_CDATA, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_EMPTY, TOKEN_OTHER };

struct token {
    enum token_kind kind;
    size_t begin, end;           /* with its brackets */
    size_t name, name_len;       /* without prefix */
    size_t prefix, prefix_len;   /* with its colon */
    size_t attributes;           /* where they begin; they end before `end` */
};

struct mark {
    char label[XLIFF_LABEL];
    size_t begin, end;
    unsigned side; /* 1 source, 2 target */
};

struct side {
    struct buf text;
    size_t begin, end;     /* inside the element */
    struct token tag;
    size_t after;          /* behind the element */
    bool there, empty;
};

struct xliff {
    struct units units;
    struct sink *out;
    const char *s;
    size_t len, at;
    bool two;                 /* version 2 */
    unsigned skip;            /* depth inside what holds other translations */
    struct side source, target;
    struct mark marks[XLIFF_MARKS];
    size_t marks_len;
    struct buf notes, unit_notes, id, unit_id, context;
    size_t unit_begin, begin;
    size_t state_begin, state_end, max_begin, max_end;
    bool locked, approved, in_unit, odd, meta;
};

static bool failed(const struct xliff *x)
{
    return x->out->failed != FAIL_NONE;
}

static const char *data(const struct buf *b)
{
    return b->data == NULL ? "" : b->data;
}

/* ---- tokens of well-formed text ---- */

static size_t find_from(const struct xliff *x, size_t at, const char *what)
{
    const char *p = at >= x->len ? NULL : memmem(x->s + at, x->len - at, what, strlen(what));
    return p == NULL ? x->len : (size_t)(p - x->s) + strlen(what);
}

static bool starts(const struct xliff *x, const char *what)
{
    size_t n = strlen(what);
    return x->len - x->at >= n && memcmp(x->s + x->at, what, n) == 0;
}

/* The '>' that ends a tag, quotes apart. */
static size_t tag_end(const struct xliff *x, size_t at)
{
    char quote = '\0';
    for (; at < x->len; at++) {
        char c = x->s[at];
        if (quote != '\0') {
            quote = c == quote ? '\0' : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            return at + 1;
        }
    }
    return x->len;
}

static size_t doctype_end(const struct xliff *x, size_t at)
{
    unsigned depth = 0;
    for (; at < x->len; at++) {
        depth += x->s[at] == '[' ? 1 : 0;
        depth -= x->s[at] == ']' && depth > 0 ? 1 : 0;
        if (x->s[at] == '>' && depth == 0) {
            return at + 1;
        }
    }
    return x->len;
}

static void read_tag(struct xliff *x, struct token *t)
{
    size_t at = x->at + 1;
    t->kind = at < x->len && x->s[at] == '/' ? TOKEN_CLOSE : TOKEN_OPEN;
    at += t->kind == TOKEN_CLOSE ? 1 : 0;
    t->prefix = t->name = at;
    for (; at < x->len && strchr(" \t\r\n/>", x->s[at]) == NULL; at++) {
        if (x->s[at] == ':') {
            t->name = at + 1;
        }
    }
    t->prefix_len = t->name - t->prefix;
    t->name_len = at - t->name;
    t->attributes = at;
    t->end = tag_end(x, at);
    if (t->kind == TOKEN_OPEN && t->end >= 2 && x->s[t->end - 2] == '/') {
        t->kind = TOKEN_EMPTY;
    }
}

static bool next(struct xliff *x, struct token *t)
{
    *t = (struct token){.begin = x->at};
    if (x->at >= x->len) {
        return false;
    }
    if (x->s[x->at] != '<') {
        const char *p = memchr(x->s + x->at, '<', x->len - x->at);
        t->kind = TOKEN_TEXT;
        t->end = p == NULL ? x->len : (size_t)(p - x->s);
    } else if (starts(x, "<![CDATA[")) {
        t->kind = TOKEN_CDATA;
        t->end = find_from(x, x->at, "]]>");
    } else if (starts(x, "<!--") || starts(x, "<?")) {
        t->kind = TOKEN_OTHER;
        t->end = find_from(x, x->at + 2, starts(x, "<?") ? "?>" : "-->");
    } else if (starts(x, "<!")) {
        t->kind = TOKEN_OTHER;
        t->end = doctype_end(x, x->at);
    } else {
        read_tag(x, t);
    }
    x->at = t->end;
    return true;
}

static bool named(const struct xliff *x, const struct token *t, const char *name)
{
    return t->name_len == strlen(name) && memcmp(x->s + t->name, name, t->name_len) == 0;
}

/* The value of an attribute, by its name without prefix; false: none. */
static bool attribute(const struct xliff *x, const struct token *t, const char *name, size_t *begin,
                      size_t *end)
{
    size_t at = t->attributes, n = strlen(name);
    while (at < t->end) {
        while (at < t->end && (isspace((unsigned char)x->s[at]) || x->s[at] == '/')) {
            at++;
        }
        size_t b = at;
        while (at < t->end && strchr("= \t\r\n/>", x->s[at]) == NULL) {
            b = x->s[at] == ':' ? at + 1 : b;
            at++;
        }
        size_t e = at;
        while (at < t->end && x->s[at] != '"' && x->s[at] != '\'' && x->s[at] != '>') {
            at++;
        }
        if (at >= t->end || x->s[at] == '>') {
            return false;
        }
        char quote = x->s[at++];
        size_t value = at;
        while (at < t->end && x->s[at] != quote) {
            at++;
        }
        if (e - b == n && memcmp(x->s + b, name, n) == 0) {
            *begin = value;
            *end = at;
            return true;
        }
        at++;
    }
    return false;
}

/* ---- text ---- */

static size_t add_reference(struct buf *out, const char *s, size_t n)
{
    static const struct {
        const char *name, *means;
    } five[] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}, {"&apos;", "'"}};
    for (size_t i = 0; i < COUNT_OF(five); i++) {
        size_t m = strlen(five[i].name);
        if (n >= m && memcmp(s, five[i].name, m) == 0) {
            (void)buf_add_str(out, five[i].means);
            return m;
        }
    }
    if (n > 3 && s[1] == '#') {
        bool hex = s[2] == 'x';
        char digits[12] = "", utf8[4], *end = digits;
        size_t k = hex ? 3 : 2, m = 0;
        for (; k < n && s[k] != ';' && m < sizeof(digits) - 1; k++) {
            digits[m++] = s[k];
        }
        unsigned long cp = strtoul(digits, &end, hex ? 16 : 10);
        if (k < n && s[k] == ';' && m > 0 && *end == '\0' && cp > 0 && cp <= 0x10FFFF &&
            (cp < 0xD800 || cp > 0xDFFF)) {
            (void)buf_add(out, utf8, text_utf8_encode((uint32_t)cp, utf8));
            return k + 1;
        }
    }
    (void)buf_add_char(out, '&');
    return 1;
}

/* [begin, end) of the source as text: references resolved where asked, line ends as XML reads
   them. */
static void add_text(struct xliff *x, struct buf *out, size_t begin, size_t end, bool references)
{
    const char *s = x->s;
    for (size_t i = begin; i < end;) {
        if (s[i] == '&' && references) {
            i += add_reference(out, s + i, end - i);
        } else if (s[i] == '\r') {
            (void)buf_add_char(out, '\n');
            i += i + 1 < end && s[i + 1] == '\n' ? 2 : 1;
        } else {
            size_t run = i + 1;
            while (run < end && s[run] != '&' && s[run] != '\r') {
                run++;
            }
            (void)buf_add(out, s + i, run - i);
            i = run;
        }
    }
    if (memmem(s + begin, end - begin, OPEN_BRACKET, 3) != NULL) {
        x->odd = true; /* it would look like one of our placeholders */
    }
    if (out->overflow) {
        (void)sink_fail(x->out, FAIL_TOO_LARGE, NULL, "a string is longer than %u bytes",
                        DOCUMENT_TEXT_MAX);
    }
}

/* Behind the end of the element whose start tag was just read. */
static void skip_element(struct xliff *x, const struct token *open)
{
    struct token t;
    unsigned depth = open->kind == TOKEN_EMPTY ? 0 : 1;
    while (depth > 0 && next(x, &t)) {
        depth += t.kind == TOKEN_OPEN ? 1 : 0;
        depth -= t.kind == TOKEN_CLOSE ? 1 : 0;
    }
}

static void set_label(struct xliff *x, const struct token *t, bool close, size_t count,
                      char out[XLIFF_LABEL])
{
    size_t b = 0, e = 0;
    char id[40];
    if (!attribute(x, t, "id", &b, &e) && !attribute(x, t, "startRef", &b, &e) &&
        !attribute(x, t, "rid", &b, &e) && !attribute(x, t, "mid", &b, &e)) {
        (void)snprintf(id, sizeof(id), "+%zu", count + 1);
    } else {
        (void)snprintf(id, sizeof(id), "%.*s", (int)(e - b > 32 ? 32 : e - b), x->s + b);
        id[text_utf8_valid_prefix(id, strlen(id))] = '\0';
    }
    (void)snprintf(out, XLIFF_LABEL, "%s%s%.*s:%s%s", OPEN_BRACKET, close ? "/" : "",
                   (int)(t->name_len > 16 ? 16 : t->name_len), x->s + t->name, id, CLOSE_BRACKET);
}

static void add_mark(struct xliff *x, struct side *side, unsigned which, const char *label,
                     size_t begin, size_t end)
{
    if (x->marks_len == XLIFF_MARKS) {
        (void)sink_fail(x->out, FAIL_TOO_LARGE, NULL, "a unit has more than %d inline elements",
                        XLIFF_MARKS);
        return;
    }
    struct mark *m = &x->marks[x->marks_len++];
    (void)text_copy(m->label, sizeof(m->label), label);
    m->begin = begin;
    m->end = end;
    m->side = which;
    (void)buf_add_str(&side->text, label);
}

struct pairs {
    char close[XLIFF_NESTED][XLIFF_LABEL];
    size_t n;
};

static void add_inline(struct xliff *x, struct side *side, unsigned which, const struct token *t,
                       struct pairs *open)
{
    char label[XLIFF_LABEL];
    bool pair =
        t->kind == TOKEN_OPEN && (named(x, t, "g") || named(x, t, "pc") || named(x, t, "mrk"));
    if (t->kind == TOKEN_CLOSE) {
        if (open->n > 0) {
            add_mark(x, side, which, open->close[--open->n], t->begin, t->end);
        }
        return;
    }
    set_label(x, t, false, x->marks_len, label);
    if (pair && open->n < XLIFF_NESTED) {
        set_label(x, t, true, x->marks_len, open->close[open->n++]);
        add_mark(x, side, which, label, t->begin, t->end);
    } else {
        skip_element(x, t);
        add_mark(x, side, which, label, t->begin, x->at);
    }
}

/* The element whose start tag was read: its text, with inline elements as labels. */
static void read_side(struct xliff *x, const struct token *tag, struct side *side, unsigned which)
{
    struct pairs open = {.n = 0};
    struct token t;
    buf_clear(&side->text);
    side->there = true;
    side->tag = *tag;
    side->empty = tag->kind == TOKEN_EMPTY;
    side->begin = side->end = side->after = tag->end;
    while (!side->empty && !failed(x) && next(x, &t)) {
        if (t.kind == TOKEN_TEXT) {
            add_text(x, &side->text, t.begin, t.end, true);
        } else if (t.kind == TOKEN_CDATA) {
            add_text(x, &side->text, t.begin + 9, t.end - 3, false);
        } else if (t.kind == TOKEN_CLOSE && open.n == 0) {
            side->end = t.begin;
            side->after = t.end;
            return;
        } else if (t.kind != TOKEN_OTHER) {
            add_inline(x, side, which, &t, &open);
        }
    }
}

/* ---- units ---- */

static void put_marks(struct xliff *x)
{
    for (size_t i = 0; i < x->marks_len; i++) {
        const struct mark *m = &x->marks[i];
        units_put(&x->units, DOCUMENT_MARK, m->side, m->label, x->s + m->begin, m->end - m->begin,
                  m->begin, m->end);
    }
}

/* White space before the source's tag, from its line's end on: how the file is laid out. */
static size_t margin(const struct xliff *x, size_t tag)
{
    size_t at = tag;
    while (at > 0 && (x->s[at - 1] == ' ' || x->s[at - 1] == '\t')) {
        at--;
    }
    return at > 0 && x->s[at - 1] == '\n' ? at - 1 : tag;
}

static void put_wrap(struct xliff *x)
{
    const struct token *tag = x->target.there ? &x->target.tag : &x->source.tag;
    struct buf b;
    buf_init(&b, DOCUMENT_TEXT_MAX);
    if (x->target.there) {
        size_t end = tag->end - 2; /* without "/>" */
        while (end > tag->attributes && isspace((unsigned char)x->s[end - 1])) {
            end--;
        }
        (void)buf_add(&b, x->s + tag->begin, end - tag->begin);
    } else {
        size_t at = margin(x, tag->begin);
        (void)buf_add(&b, x->s + at, tag->begin - at);
        (void)buf_printf(&b, "<%.*starget", (int)tag->prefix_len, x->s + tag->prefix);
    }
    (void)buf_add_char(&b, '>');
    units_put(&x->units, DOCUMENT_WRAP, 0, "before", data(&b), b.len, 0, 0);
    buf_clear(&b);
    (void)buf_printf(&b, "</%.*starget>", (int)tag->prefix_len, x->s + tag->prefix);
    units_put(&x->units, DOCUMENT_WRAP, 0, "after", data(&b), b.len, 0, 0);
    buf_done(&b);
}

static void put_target(struct xliff *x, size_t after)
{
    const struct side *t = &x->target;
    if (t->there && !t->empty) {
        units_put(&x->units, DOCUMENT_TARGET, 0, "", data(&t->text), t->text.len, t->begin, t->end);
        return;
    }
    size_t begin = t->there ? t->tag.begin : after, end = t->there ? t->tag.end : after;
    units_put(&x->units, DOCUMENT_TARGET, 0, "", "", 0, begin, end);
    put_wrap(x);
}

static void put_unit(struct xliff *x, size_t end, size_t after)
{
    struct units *u = &x->units;
    if (!x->source.there || failed(x)) {
        return;
    }
    units_open(u, data(&x->id), x->begin, end);
    if (x->context.len > 0) {
        units_put(u, DOCUMENT_CONTEXT, 0, "", data(&x->context), x->context.len, 0, 0);
    }
    if (x->unit_notes.len > 0) {
        units_put(u, DOCUMENT_NOTE, 0, "", data(&x->unit_notes), x->unit_notes.len, 0, 0);
    }
    if (x->notes.len > 0) {
        units_put(u, DOCUMENT_NOTE, 0, "", data(&x->notes), x->notes.len, 0, 0);
    }
    if (x->locked) {
        units_put_str(u, DOCUMENT_FLAG, "", "no-translate");
    }
    if (x->approved) {
        units_put_str(u, DOCUMENT_FLAG, "", "approved");
    }
    if (x->state_end > x->state_begin) {
        units_put(u, DOCUMENT_STATE, 0, "translated", x->s + x->state_begin,
                  x->state_end - x->state_begin, x->state_begin, x->state_end);
    }
    if (x->max_end > x->max_begin) {
        units_put(u, DOCUMENT_LENGTH_MAX, 0, "", x->s + x->max_begin, x->max_end - x->max_begin, 0,
                  0);
    }
    put_marks(x);
    units_put(u, DOCUMENT_SOURCE, 0, "", data(&x->source.text), x->source.text.len, x->source.begin,
              x->source.end);
    put_target(x, after);
    u->odd = u->odd || x->odd;
    units_close(u);
}

static void begin_segment(struct xliff *x, size_t begin)
{
    x->source.there = x->target.there = false;
    x->marks_len = 0;
    x->state_begin = x->state_end = 0;
    x->odd = false;
    x->begin = begin;
}

static void add_attribute(struct xliff *x, const struct token *t, const char *name, struct buf *out)
{
    size_t b = 0, e = 0;
    if (attribute(x, t, name, &b, &e)) {
        add_text(x, out, b, e > b + 512 ? b + 512 : e, true);
    }
}

static bool says(const struct xliff *x, const struct token *t, const char *name, const char *value)
{
    size_t b = 0, e = 0;
    return attribute(x, t, name, &b, &e) && e - b == strlen(value) &&
           memcmp(x->s + b, value, e - b) == 0;
}

static void begin_unit(struct xliff *x, const struct token *t)
{
    begin_segment(x, t->begin);
    x->in_unit = true;
    buf_clear(&x->notes);
    buf_clear(&x->unit_notes);
    buf_clear(&x->unit_id);
    buf_clear(&x->context);
    x->unit_begin = t->begin;
    x->max_begin = x->max_end = 0;
    x->locked = says(x, t, "translate", "no");
    x->approved = says(x, t, "approved", "yes");
    add_attribute(x, t, "id", &x->unit_id);
    add_attribute(x, t, x->two ? "name" : "resname", &x->context);
    if (!x->two && !says(x, t, "size-unit", "pixel") &&
        !attribute(x, t, "maxwidth", &x->max_begin, &x->max_end)) {
        x->max_begin = x->max_end = 0;
    }
    if (x->two && !attribute(x, t, "sizeRestriction", &x->max_begin, &x->max_end)) {
        x->max_begin = x->max_end = 0;
    }
    buf_clear(&x->id);
    (void)buf_add_str(&x->id, data(&x->unit_id));
}

/* A segment of version 2. */
static void begin_part(struct xliff *x, const struct token *t)
{
    begin_segment(x, t->begin);
    buf_clear(&x->id);
    (void)buf_add_str(&x->id, data(&x->unit_id));
    size_t b = 0, e = 0;
    if (attribute(x, t, "id", &b, &e) && e > b) {
        (void)buf_add_char(&x->id, '/');
        add_attribute(x, t, "id", &x->id);
    }
    if (!attribute(x, t, "state", &x->state_begin, &x->state_end)) {
        x->state_begin = x->state_end = 0;
    }
}

static void read_note(struct xliff *x, const struct token *tag)
{
    struct token t;
    struct buf *out = x->two ? &x->unit_notes : &x->notes;
    if (out->len > 0) {
        (void)buf_add_char(out, '\n');
    }
    while (tag->kind == TOKEN_OPEN && !failed(x) && next(x, &t) && t.kind != TOKEN_CLOSE) {
        if (t.kind == TOKEN_TEXT) {
            add_text(x, out, t.begin, t.end, true);
        }
    }
}

static void read_languages(struct xliff *x, const struct token *t, const char *from, const char *to)
{
    size_t b = 0, e = 0;
    if (attribute(x, t, from, &b, &e)) {
        (void)sink_meta(x->out, DOCUMENT_META_LANGUAGE, x->s + b, e - b);
    }
    if (attribute(x, t, to, &b, &e)) {
        (void)sink_meta(x->out, DOCUMENT_META_TARGET_LANGUAGE, x->s + b, e - b);
    }
}

static void read_open(struct xliff *x, const struct token *t)
{
    size_t b = 0, e = 0;
    if (named(x, t, "xliff")) {
        x->meta = true;
        x->two = attribute(x, t, "version", &b, &e) && e > b && x->s[b] == '2';
        read_languages(x, t, "srcLang", "trgLang");
    } else if (named(x, t, "file")) {
        read_languages(x, t, "source-language", "target-language");
    } else if (named(x, t, x->two ? "unit" : "trans-unit") && t->kind == TOKEN_OPEN) {
        begin_unit(x, t);
    } else if (x->in_unit && (named(x, t, "alt-trans") || named(x, t, "matches") ||
                              named(x, t, "ignorable") || named(x, t, "seg-source") ||
                              named(x, t, "glossary"))) {
        skip_element(x, t);
        x->source.after = named(x, t, "seg-source") ? x->at : x->source.after;
    } else if (x->in_unit && named(x, t, "note")) {
        read_note(x, t);
    } else if (x->in_unit && x->two && named(x, t, "segment")) {
        begin_part(x, t);
    } else if (x->in_unit && named(x, t, "source") && !x->source.there) {
        read_side(x, t, &x->source, 1);
    } else if (x->in_unit && named(x, t, "target") && !x->target.there) {
        if (!x->two && !attribute(x, t, "state", &x->state_begin, &x->state_end)) {
            x->state_begin = x->state_end = 0;
        }
        read_side(x, t, &x->target, 2);
    }
}

static void read_close(struct xliff *x, const struct token *t)
{
    if (x->in_unit && named(x, t, x->two ? "segment" : "trans-unit")) {
        put_unit(x, t->end, x->source.after);
        x->source.there = false;
    }
    if (named(x, t, x->two ? "unit" : "trans-unit")) {
        x->in_unit = false;
    }
}

static void read_text(struct xliff *x)
{
    struct token t;
    x->at = x->len >= 3 && memcmp(x->s, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (!failed(x) && next(x, &t)) {
        if (t.kind == TOKEN_OPEN || t.kind == TOKEN_EMPTY) {
            read_open(x, &t);
        } else if (t.kind == TOKEN_CLOSE) {
            read_close(x, &t);
        }
    }
    if (!failed(x) && !x->meta) {
        (void)sink_fail(x->out, FAIL_BAD_REQUEST, "Its root element must be <xliff>.",
                        "this XML is not XLIFF");
    }
}

static void no_open(void *ctx, const struct xml_element *e)
{
    (void)ctx, (void)e;
}
static void no_close(void *ctx, const char *name)
{
    (void)ctx, (void)name;
}
static void no_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    (void)ctx, (void)text, (void)len, (void)begin, (void)end;
}

static void scan(const struct source *in, const struct decoded *d, struct sink *out)
{
    struct xliff *x = mem_alloc(sizeof(*x));
    struct buf *all[] = {&x->source.text, &x->target.text, &x->notes,  &x->unit_notes,
                         &x->id,          &x->unit_id,     &x->context};
    x->out = out;
    x->s = d->text;
    x->len = d->len;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        buf_init(all[i], DOCUMENT_TEXT_MAX);
    }
    units_begin(&x->units, out, in, d);
    read_text(x);
    units_done(&x->units);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        buf_done(all[i]);
    }
    mem_free(x);
}

enum fail xliff_read(const struct source *in, struct sink *out)
{
    static const struct xml_events nothing = {no_open, no_close, no_text};
    struct decoded d;
    char declared[64];
    xml_find_charset(in->bytes, in->len, declared);
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset,
                                 declared[0] != '\0' ? declared : NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "xliff", d.charset)) == FAIL_NONE &&
        (f = xml_walk(out, d.text, d.len, &nothing, NULL)) == FAIL_NONE) {
        scan(in, &d, out);
    }
    charset_done(&d);
    return out->failed;
}
