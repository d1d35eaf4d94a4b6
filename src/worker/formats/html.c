/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML by libxml2's parser, as events: no tree, so nesting costs a counter. Scripts, styles and
 * what is hidden are dropped (hidden text is a way to speak to a model behind a person's back: it
 * is counted in a warning). Links stay as text and target; nobody follows them.
 * Owns: the parser's context. Threads: one. Limits: depth, TABLES_MAX tables inside each other
 * (deeper ones are running text); the sink's.
 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include <libxml/HTMLparser.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define TABLES_MAX 32
/* Where a charset is looked for, as browsers do (HTML Living Standard, 13.2.3.2). */
#define PRESCAN_BYTES 1024

enum role {
    INLINE, SKIP, BLOCK, HEADING, ITEM, LIST, QUOTE, PRE, TABLE, ROW, CELL, BREAK, LINK, IMAGE,
    TITLE, META, ROOT
};

static const struct {
    const char *name;
    enum role role;
    unsigned arg;
} elements[] = {
    {"html", ROOT, 0},        {"script", SKIP, 0},      {"style", SKIP, 0},
    {"noscript", SKIP, 0},    {"template", SKIP, 0},    {"iframe", SKIP, 0},
    {"object", SKIP, 0},      {"embed", SKIP, 0},       {"svg", SKIP, 0},
    {"canvas", SKIP, 0},      {"math", SKIP, 0},        {"noframes", SKIP, 0},
    {"applet", SKIP, 0},      {"audio", SKIP, 0},       {"video", SKIP, 0},
    {"datalist", SKIP, 0},    {"title", TITLE, 0},      {"meta", META, 0},
    {"body", BLOCK, 0},       {"p", BLOCK, 0},          {"div", BLOCK, 0},
    {"section", BLOCK, 0},    {"article", BLOCK, 0},    {"header", BLOCK, 0},
    {"footer", BLOCK, 0},     {"main", BLOCK, 0},       {"aside", BLOCK, 0},
    {"nav", BLOCK, 0},        {"address", BLOCK, 0},    {"figure", BLOCK, 0},
    {"form", BLOCK, 0},       {"fieldset", BLOCK, 0},   {"center", BLOCK, 0},
    {"details", BLOCK, 0},    {"summary", BLOCK, 0},    {"hr", BLOCK, 0},
    {"caption", BLOCK, 0},    {"figcaption", BLOCK, 0}, {"legend", BLOCK, 0},
    {"option", BLOCK, 0},     {"dt", BLOCK, 0},         {"dd", BLOCK, 0},
    {"textarea", BLOCK, 0},   {"h1", HEADING, 1},       {"h2", HEADING, 2},
    {"h3", HEADING, 3},       {"h4", HEADING, 4},       {"h5", HEADING, 5},
    {"h6", HEADING, 6},       {"li", ITEM, 0},          {"ul", LIST, 0},
    {"ol", LIST, 0},          {"menu", LIST, 0},        {"dl", LIST, 0},
    {"blockquote", QUOTE, 0}, {"pre", PRE, 0},          {"table", TABLE, 0},
    {"tr", ROW, 0},           {"td", CELL, 0},          {"th", CELL, 1},
    {"br", BREAK, 0},         {"a", LINK, 0},           {"img", IMAGE, 0},
};

struct table {
    uint32_t number, row, column;
    bool cell, header, plain; /* plain: only for the layout */
};

struct html {
    htmlParserCtxtPtr parser;
    struct sink *out;
    struct prose prose;
    struct lines lines;
    const char *text;
    size_t len, last; /* last: where the last event ended */
    struct table tables[TABLES_MAX];
    unsigned tables_len, tables_deep; /* deep: beyond TABLES_MAX */
    unsigned depth, skip, heading, quote, list, items, pre;
    unsigned signature_at, quote_at; /* the depth where a mail program's mark was opened; 0: none */
    uint32_t hidden;
    struct buf title;
    bool in_title, with_meta;
};

static enum role role_of(const char *name, unsigned *arg)
{
    for (size_t i = 0; i < COUNT_OF(elements); i++) {
        if (strcmp(elements[i].name, name) == 0) {
            *arg = elements[i].arg;
            return elements[i].role;
        }
    }
    *arg = 0;
    return INLINE;
}

static size_t position(const struct html *h)
{
    const xmlParserInput *in = h->parser->input;
    size_t at = in == NULL ? h->len : in->consumed + (size_t)(in->cur - in->base);
    return at > h->len ? h->len : at;
}

static void stop_if_failed(struct html *h)
{
    if (h->out->failed != FAIL_NONE) {
        xmlStopParser(h->parser);
    }
}

static struct table *cell_of(struct html *h)
{
    struct table *t = h->tables_len > 0 ? &h->tables[h->tables_len - 1] : NULL;
    return t != NULL && t->cell ? t : NULL;
}

/* What is gathered so far goes out as what it stood in. */
static void flush(struct html *h, const struct table *cell)
{
    struct document_block *b = &h->prose.block;
    *b = (struct document_block){.kind = DOCUMENT_PARAGRAPH};
    if (cell != NULL) {
        *b = (struct document_block){.kind = DOCUMENT_CELL, .header = cell->header,
                                     .table = cell->number, .row = cell->row,
                                     .column = cell->column};
    } else if (h->heading > 0) {
        b->kind = DOCUMENT_HEADING;
        b->level = h->heading;
    } else if (h->pre > 0) {
        b->kind = DOCUMENT_CODE;
    } else if (h->signature_at > 0) {
        b->kind = DOCUMENT_SIGNATURE;
    } else if (h->quote > 0) {
        b->kind = DOCUMENT_QUOTE;
        b->level = h->quote > 200 ? 200 : h->quote;
    } else if (h->items > 0) {
        b->kind = DOCUMENT_ITEM;
        b->level = h->list > 0 ? h->list : 1;
    }
    if (h->prose.begin != SIZE_MAX) {
        b->line = lines_at(&h->lines, h->prose.begin);
    }
    (void)prose_flush(&h->prose);
}

/* Between blocks; inside a cell, which is one block, a line break. */
static void part(struct html *h)
{
    if (cell_of(h) != NULL) {
        prose_break(&h->prose);
    } else if (h->prose.text.len > 0) {
        flush(h, NULL);
    }
}

/* ---- attributes ---- */

static const char *attribute(const xmlChar **atts, const char *name)
{
    for (; atts != NULL && atts[0] != NULL; atts += 2) {
        if (strcasecmp((const char *)atts[0], name) == 0) {
            return atts[1] == NULL ? "" : (const char *)atts[1];
        }
    }
    return NULL;
}

/* Styles that keep a text from being seen. */
static bool is_hidden(const xmlChar **atts)
{
    static const char *const styles[] = {"display:none", "visibility:hidden", "font-size:0;",
                                         "font-size:0p", "mso-hide:all",      "opacity:0;"};
    const char *style = attribute(atts, "style");
    char plain[512];
    size_t n = 0;
    if (attribute(atts, "hidden") != NULL) {
        return true;
    }
    for (; style != NULL && *style != '\0' && n < sizeof(plain) - 2; style++) {
        if (!isspace((unsigned char)*style)) {
            plain[n++] = (char)tolower((unsigned char)*style);
        }
    }
    plain[n] = ';';
    plain[n + 1] = '\0';
    for (size_t i = 0; i < COUNT_OF(styles); i++) {
        if (strstr(plain, styles[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void take_meta(struct html *h, const xmlChar **atts)
{
    static const struct {
        const char *name;
        enum document_meta_key key;
    } names[] = {{"author", DOCUMENT_META_AUTHOR},
                 {"description", DOCUMENT_META_DESCRIPTION},
                 {"keywords", DOCUMENT_META_KEYWORDS},
                 {"generator", DOCUMENT_META_GENERATOR},
                 {"date", DOCUMENT_META_DATE},
                 {"subject", DOCUMENT_META_SUBJECT},
                 {"creationdate", DOCUMENT_META_CREATED},
                 {"lastmodifieddate", DOCUMENT_META_MODIFIED},
                 {"moddate", DOCUMENT_META_MODIFIED},
                 {"article:published_time", DOCUMENT_META_CREATED},
                 {"article:modified_time", DOCUMENT_META_MODIFIED}};
    const char *name = attribute(atts, "name"), *content = attribute(atts, "content");
    name = name == NULL ? attribute(atts, "property") : name;
    for (size_t i = 0; h->with_meta && name != NULL && i < COUNT_OF(names); i++) {
        if (strcasecmp(name, names[i].name) == 0) {
            (void)sink_meta_str(h->out, names[i].key, content);
        }
    }
}

/* A place in this page or a script is no link. */
static void open_link(struct html *h, const xmlChar **atts)
{
    const char *href = attribute(atts, "href");
    while (href != NULL && isspace((unsigned char)*href)) {
        href++;
    }
    if (href != NULL && *href != '\0' && *href != '#' &&
        strncasecmp(href, "javascript:", 11) != 0 && strncasecmp(href, "data:", 5) != 0 &&
        strncasecmp(href, "vbscript:", 9) != 0) {
        prose_link_open(&h->prose, href);
    }
}

/* ---- tables ---- */

static void open_table(struct html *h, const xmlChar **atts)
{
    const char *role = attribute(atts, "role");
    if (h->tables_len >= TABLES_MAX) {
        h->tables_deep++;
        part(h);
        return;
    }
    if (h->prose.text.len > 0) {
        flush(h, cell_of(h));
    }
    bool plain = role != NULL && strcasecmp(role, "presentation") == 0;
    h->tables[h->tables_len++] =
        (struct table){.number = plain ? 0 : ++h->out->tables, .plain = plain};
}

static void close_cell(struct html *h)
{
    struct table *t = cell_of(h);
    if (t != NULL) {
        flush(h, t);
        t->cell = false;
    }
}

static void close_table(struct html *h)
{
    if (h->tables_deep > 0) {
        h->tables_deep--;
        part(h);
    } else if (h->tables_len > 0) {
        close_cell(h);
        part(h);
        h->tables_len--;
    }
}

static void open_row(struct html *h, enum role role, bool header)
{
    struct table *t = h->tables_len > 0 ? &h->tables[h->tables_len - 1] : NULL;
    if (t == NULL || t->plain || h->tables_deep > 0) {
        part(h);
        return;
    }
    close_cell(h);
    part(h);
    if (role == ROW) {
        t->row++;
        t->column = 0;
    } else {
        t->row = t->row == 0 ? 1 : t->row;
        t->column++;
        t->cell = true;
        t->header = header;
    }
}

/* ---- what mail programs mark ---- */

static bool has_word(const char *s, const char *const *words, size_t n)
{
    for (size_t i = 0; s != NULL && i < n; i++) {
        if (strstr(s, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* The names under which Gmail, Thunderbird, Yahoo and Apple mark signatures and what is answered;
   below Outlook's mark all is the mail that is answered. */
static void see_mark(struct html *h, const xmlChar **atts)
{
    static const char *const signatures[] = {"gmail_signature", "moz-signature",
                                             "AppleMailSignature"};
    static const char *const quotes[] = {"gmail_attr", "moz-cite-prefix", "yahoo_quoted"};
    static const char *const below[] = {"divRplyFwdMsg", "OutlookMessageHeader"};
    const char *class = attribute(atts, "class"), *id = attribute(atts, "id");
    if (h->signature_at == 0 && (has_word(class, signatures, COUNT_OF(signatures)) ||
                                 has_word(id, signatures, COUNT_OF(signatures)))) {
        part(h);
        h->signature_at = h->depth;
    } else if (h->quote_at == 0 && has_word(class, quotes, COUNT_OF(quotes))) {
        part(h);
        h->quote_at = h->depth;
        h->quote++;
    } else if (has_word(id, below, COUNT_OF(below)) || has_word(class, below, COUNT_OF(below))) {
        part(h);
        h->quote++;
    }
}

static void end_mark(struct html *h)
{
    if (h->signature_at > h->depth) {
        part(h);
        h->signature_at = 0;
    }
    if (h->quote_at > h->depth) {
        part(h);
        h->quote_at = 0;
        h->quote -= h->quote > 0 ? 1 : 0;
    }
}

/* ---- events ---- */

static void open_role(struct html *h, enum role role, unsigned arg, const xmlChar **atts)
{
    switch (role) {
    case BLOCK:
        part(h);
        break;
    case HEADING:
        part(h);
        h->heading = arg;
        break;
    case ITEM:
        part(h);
        h->items++;
        break;
    case LIST:
        part(h);
        h->list++;
        break;
    case QUOTE:
        part(h);
        h->quote++;
        break;
    case PRE:
        part(h);
        h->prose.pre = ++h->pre > 0;
        break;
    case TABLE:
        open_table(h, atts);
        break;
    case ROW:
    case CELL:
        open_row(h, role, arg == 1);
        break;
    case BREAK:
        prose_break(&h->prose);
        break;
    case LINK:
        open_link(h, atts);
        break;
    case IMAGE:
        if (attribute(atts, "alt") != NULL) {
            const char *alt = attribute(atts, "alt");
            prose_add(&h->prose, alt, strlen(alt), h->last, h->last);
        }
        break;
    case TITLE:
        h->in_title = true;
        break;
    case META:
        take_meta(h, atts);
        break;
    case ROOT:
        if (h->with_meta) {
            (void)sink_meta_str(h->out, DOCUMENT_META_LANGUAGE, attribute(atts, "lang"));
        }
        break;
    case INLINE:
    case SKIP:
        break;
    }
}

static void on_open(void *ctx, const xmlChar *name, const xmlChar **atts)
{
    struct html *h = ctx;
    unsigned arg;
    enum role role = role_of((const char *)name, &arg);
    if (++h->depth > h->out->limits.depth) {
        (void)sink_fail(h->out, FAIL_TOO_LARGE, "No page that people read is built like this.",
                        "elements are nested more than %u deep", h->out->limits.depth);
    } else if (h->skip > 0 || role == SKIP) {
        h->skip++;
    } else if (role != ROOT && role != BREAK && is_hidden(atts)) {
        h->skip++;
        h->hidden++;
    } else {
        if (!h->with_meta && atts != NULL) {
            see_mark(h, atts);
        }
        open_role(h, role, arg, atts);
    }
    h->last = position(h);
    h->last += h->last < h->len && h->text[h->last] == '>' ? 1 : 0;
    stop_if_failed(h);
}

static void close_role(struct html *h, enum role role)
{
    switch (role) {
    case BLOCK:
        part(h);
        break;
    case HEADING:
        part(h);
        h->heading = 0;
        break;
    case ITEM:
        part(h);
        h->items -= h->items > 0 ? 1 : 0;
        break;
    case LIST:
        part(h);
        h->list -= h->list > 0 ? 1 : 0;
        break;
    case QUOTE:
        part(h);
        h->quote -= h->quote > 0 ? 1 : 0;
        break;
    case PRE:
        part(h);
        h->pre -= h->pre > 0 ? 1 : 0;
        h->prose.pre = h->pre > 0;
        break;
    case TABLE:
        close_table(h);
        break;
    case CELL:
        if (h->tables_deep == 0) {
            close_cell(h);
        }
        break;
    case LINK:
        prose_link_close(&h->prose);
        break;
    case TITLE:
        h->in_title = false;
        break;
    case ROW:
    case BREAK:
    case IMAGE:
    case META:
    case ROOT:
    case INLINE:
    case SKIP:
        break;
    }
}

static void on_close(void *ctx, const xmlChar *name)
{
    struct html *h = ctx;
    unsigned arg;
    h->depth -= h->depth > 0 ? 1 : 0;
    if (h->skip > 0) {
        h->skip--;
    } else {
        close_role(h, role_of((const char *)name, &arg));
        end_mark(h);
    }
    h->last = position(h);
    h->last += h->last < h->len && h->text[h->last] == '>' ? 1 : 0;
    stop_if_failed(h);
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct html *h = ctx;
    size_t end = position(h);
    if (h->in_title) {
        (void)buf_add(&h->title, text, (size_t)len);
    } else if (h->skip == 0) {
        prose_add(&h->prose, (const char *)text, (size_t)len, h->last,
                  end > h->last ? end : h->last);
    }
    h->last = end > h->last ? end : h->last;
    stop_if_failed(h);
}

static void on_ignored(void *ctx, const xmlChar *text)
{
    struct html *h = ctx;
    (void)text;
    h->last = position(h);
}

/* ---- the document ---- */

/* <meta charset=...> and its older form, by hand: the parser must get UTF-8. */
static bool find_charset(const char *bytes, size_t len, char out[64])
{
    size_t n = len > PRESCAN_BYTES ? PRESCAN_BYTES : len;
    for (size_t i = 0; i + 8 < n; i++) {
        if (strncasecmp(bytes + i, "charset", 7) != 0) {
            continue;
        }
        size_t at = i + 7, k = 0;
        while (at < n && strchr(" \t\r\n=\"'", bytes[at]) != NULL && bytes[at] != '\0') {
            at++;
        }
        while (at < n && k < 63 &&
               (isalnum((unsigned char)bytes[at]) || strchr("-_:.", bytes[at])) &&
               bytes[at] != '\0') {
            out[k++] = bytes[at++];
        }
        out[k] = '\0';
        return k > 0;
    }
    return false;
}

static void run(struct html *h)
{
    htmlParserCtxtPtr parser = htmlNewParserCtxt();
    ASSERT(parser != NULL);
    xmlSAXHandler events = {.startElement = on_open,
                            .endElement = on_close,
                            .characters = on_text,
                            .ignorableWhitespace = on_text,
                            .comment = on_ignored};
    *parser->sax = events;
    parser->userData = h;
    h->parser = parser;
    htmlDocPtr rest = htmlCtxtReadMemory(parser, h->text, (int)h->len, NULL, "UTF-8",
                             HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    xmlFreeDoc(rest);
    htmlFreeParserCtxt(parser);
}

enum fail html_read_text(const char *text, size_t len, struct sink *out, bool with_meta)
{
    struct html h = {.out = out, .text = text, .len = len, .with_meta = with_meta};
    if (len > INT32_MAX) {
        return sink_fail(out, FAIL_TOO_LARGE, NULL, "a page of more than 2 GiB");
    }
    prose_init(&h.prose, out);
    lines_begin(&h.lines, text, len);
    buf_init(&h.title, DOCUMENT_VALUE_MAX);
    if (len > 0) {
        run(&h);
    }
    if (out->failed == FAIL_NONE) {
        flush(&h, cell_of(&h));
    }
    if (with_meta && h.title.len > 0) {
        struct prose title; /* for its white space */
        prose_init(&title, out);
        prose_add(&title, h.title.data, h.title.len, 0, 0);
        (void)sink_meta(out, DOCUMENT_META_TITLE, title.text.data == NULL ? "" : title.text.data,
                        title.text.len);
        prose_done(&title);
    }
    if (h.hidden > 0) {
        sink_warn(out, "%u hidden elements were left out", h.hidden);
    }
    buf_done(&h.title);
    prose_done(&h.prose);
    return out->failed;
}

enum fail html_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    char declared[64] = "";
    bool found = find_charset(in->bytes, in->len, declared);
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, found ? declared : NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "html", d.charset)) == FAIL_NONE) {
        f = html_read_text(d.text, d.len, out, true);
    }
    charset_done(&d);
    return f;
}
