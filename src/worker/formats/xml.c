/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML by libxml2, as events: well-formed or refused with its line. No DTD is read, no entity is
 * declared or expanded beyond the five of XML, nothing is opened. Generic XML becomes one value per
 * attribute and per stretch of text, each with its path.
 * Owns: the parser's context. Threads: one. Limits: depth; NAMES_MAX different names of siblings
 * are counted apart, the rest together.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define NAMES_MAX 64
/* Where the XML declaration must be. */
#define DECLARATION_BYTES 256

struct walker {
    struct sink *out;
    const struct xml_events *events;
    void *ctx;
    xmlParserCtxtPtr parser;
    size_t len, last;
    const char *text;
    unsigned depth;
};

/* ---- events, shared with DOCX ---- */

static size_t position(const struct walker *w)
{
    const xmlParserInput *in = w->parser->input;
    size_t at = in == NULL ? w->len : in->consumed + (size_t)(in->cur - in->base);
    return at > w->len ? w->len : at;
}

static void after(struct walker *w)
{
    size_t at = position(w);
    at += at < w->len && w->text[at] == '>' ? 1 : 0;
    w->last = at > w->last ? at : w->last;
    if (w->out->failed != FAIL_NONE) {
        xmlStopParser(w->parser);
    }
}

static void on_open(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                    int n_namespaces, const xmlChar **namespaces, int n, int n_default,
                    const xmlChar **attributes)
{
    struct walker *w = ctx;
    struct xml_element e = {.name = (const char *)name,
                            .uri = uri == NULL ? "" : (const char *)uri,
                            .attributes = (const char *const *)attributes,
                            .n = (size_t)(n > 0 ? n : 0),
                            .at = w->last};
    (void)prefix, (void)n_namespaces, (void)namespaces, (void)n_default;
    if (++w->depth > w->out->limits.depth) {
        (void)sink_fail(w->out, FAIL_TOO_LARGE,
                        "No file that programs exchange is built like this.",
                        "elements are nested more than %u deep", w->out->limits.depth);
    } else if (w->out->failed == FAIL_NONE) {
        w->events->open(w->ctx, &e);
    }
    after(w);
}

static void on_close(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct walker *w = ctx;
    (void)prefix, (void)uri;
    w->depth--;
    if (w->out->failed == FAIL_NONE) {
        w->events->close(w->ctx, (const char *)name);
    }
    after(w);
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct walker *w = ctx;
    size_t end = position(w);
    if (w->out->failed == FAIL_NONE) {
        w->events->text(w->ctx, (const char *)text, (size_t)len, w->last,
                        end > w->last ? end : w->last);
    }
    after(w);
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    struct walker *w = ctx;
    (void)name, (void)external;
    if (system != NULL) {
        sink_warn(w->out, "the document names a DTD, which was not fetched");
    }
    after(w);
}

static void on_entity(void *ctx, const xmlChar *name, int type, const xmlChar *public_id,
                      const xmlChar *system, xmlChar *content)
{
    struct walker *w = ctx;
    (void)name, (void)type, (void)public_id, (void)system, (void)content;
    (void)sink_fail(w->out, FAIL_UNSUPPORTED,
                    "Entities can fetch files and fill memory; write their text in their place.",
                    "line %d: the document declares an entity, and none is ever expanded",
                    w->parser->input == NULL ? 0 : w->parser->input->line);
    xmlStopParser(w->parser);
}

/* Our own words: libxml2's quote the document. */
static const char *reason(int code)
{
    switch (code) {
    case XML_ERR_DOCUMENT_EMPTY:
        return "there is nothing in it";
    case XML_ERR_DOCUMENT_END:
        return "something follows the end, or the end is missing";
    case XML_ERR_TAG_NAME_MISMATCH:
        return "an element is closed by another one's name";
    case XML_ERR_TAG_NOT_FINISHED:
        return "an element is not closed";
    case XML_ERR_UNDECLARED_ENTITY:
        return "it uses an entity that XML does not know";
    case XML_ERR_ATTRIBUTE_REDEFINED:
        return "an attribute stands twice";
    case XML_ERR_INVALID_CHAR:
        return "it holds a character that XML forbids";
    case XML_ERR_LT_IN_ATTRIBUTE:
        return "an attribute holds \"<\"";
    default:
        return "the syntax is wrong";
    }
}

static void on_problem(void *ctx, xmlErrorPtr problem)
{
    /* libxml2 gives the parser's userData here. */
    struct walker *w = ctx;
    if (problem->level == XML_ERR_FATAL && problem->domain != XML_FROM_NAMESPACE) {
        (void)sink_fail(w->out, FAIL_BAD_REQUEST, "Have the program that wrote it write it again.",
                        "line %d: this is not well-formed XML: %s (%d)", problem->line,
                        reason(problem->code), problem->code);
    }
}

enum fail xml_walk(struct sink *out, const char *text, size_t len, const struct xml_events *events,
                   void *ctx)
{
    struct walker w = {.out = out, .events = events, .ctx = ctx, .text = text, .len = len};
    if (len == 0 || len > INT32_MAX) {
        return len == 0 ? sink_fail(out, FAIL_BAD_REQUEST, NULL, "the document is empty")
                        : sink_fail(out, FAIL_TOO_LARGE, NULL, "XML of more than 2 GiB");
    }
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    ASSERT(parser != NULL);
    const xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                                   .startElementNs = on_open,
                                   .endElementNs = on_close,
                                   .characters = on_text,
                                   .cdataBlock = on_text,
                                   .ignorableWhitespace = on_text,
                                   .internalSubset = on_doctype,
                                   .entityDecl = on_entity,
                                   .serror = on_problem};
    *parser->sax = handler;
    parser->userData = &w;
    w.parser = parser;
    /* HUGE lifts limits of libxml2 that ours stand before; NOENT has &amp; in attributes read as
       what it means. There are no other entities to multiply or to fetch: on_entity. */
    xmlDocPtr rest = xmlCtxtReadMemory(parser, text, (int)len, NULL, "UTF-8",
                            XML_PARSE_NONET | XML_PARSE_IGNORE_ENC | XML_PARSE_HUGE |
                                XML_PARSE_NOENT);
    if (out->failed == FAIL_NONE && !parser->wellFormed) {
        (void)sink_fail(out, FAIL_BAD_REQUEST, "Have the program that wrote it write it again.",
                        "this is not well-formed XML");
    }
    xmlFreeDoc(rest); /* libxml2 makes one of its own where entities are declared */
    xmlFreeParserCtxt(parser);
    return out->failed;
}

const char *xml_attribute(const struct xml_element *e, const char *name, size_t *len)
{
    for (size_t i = 0; i < e->n; i++) {
        const char *const *a = e->attributes + 5 * i; /* name, prefix, uri, value, end of value */
        if (strcmp(a[0], name) == 0) {
            *len = (size_t)(a[4] - a[3]);
            return a[3];
        }
    }
    *len = 0;
    return NULL;
}

void xml_find_charset(const char *bytes, size_t len, char out[64])
{
    size_t n = len > DECLARATION_BYTES ? DECLARATION_BYTES : len;
    const char *end = memchr(bytes, '>', n);
    const char *at = end == NULL ? NULL : memmem(bytes, (size_t)(end - bytes), "encoding", 8);
    size_t k = 0;
    out[0] = '\0';
    if (at == NULL || n < 5 || memmem(bytes, n > 16 ? 16 : n, "<?xml", 5) == NULL) {
        return;
    }
    for (at += 8; at < end && strchr(" \t\r\n='\"", *at) != NULL && *at != '\0'; at++) {
    }
    for (; at < end && k < 63 && strchr("'\"?> ", *at) == NULL; at++) {
        out[k++] = *at;
    }
    out[k] = '\0';
}

/* ---- generic XML ---- */

struct name_count {
    char name[64];
    uint32_t count;
};

struct level {
    size_t path_len; /* of the path above this element */
    struct name_count *names;
    size_t names_len;
};

struct generic {
    struct sink *out;
    struct lines lines;
    struct buf path, text;
    struct level *levels; /* by depth; [0] counts the root */
    size_t depth;
    size_t begin, end;
    bool root;
};

static uint32_t count_name(struct level *l, const char *name)
{
    for (size_t i = 0; i < l->names_len; i++) {
        if (strcmp(l->names[i].name, name) == 0 || i == NAMES_MAX - 1) {
            return ++l->names[i].count;
        }
    }
    if (l->names == NULL) {
        l->names = mem_alloc_array(NAMES_MAX, sizeof(*l->names));
    }
    struct name_count *n = &l->names[l->names_len++];
    (void)text_copy(n->name, sizeof(n->name), name);
    return n->count = 1;
}

static void put_value(struct generic *g, const char *path, const char *text, size_t len,
                      size_t begin, size_t end)
{
    struct document_block b = {.kind = DOCUMENT_VALUE, .path = path, .text = text, .len = len,
                               .begin = begin, .end = end, .line = lines_at(&g->lines, begin)};
    (void)sink_block(g->out, &b);
}

/* The text so far, without white space at its ends; nothing where that is all. */
static void flush(struct generic *g)
{
    const char *s = g->text.data == NULL ? "" : g->text.data;
    size_t n = g->text.len;
    while (n > 0 && strchr(" \t\n", s[n - 1]) != NULL) {
        n--;
    }
    while (n > 0 && strchr(" \t\n", *s) != NULL) {
        s++;
        n--;
    }
    if (n > 0) {
        put_value(g, g->path.data, s, n, g->begin, g->end);
    }
    buf_clear(&g->text);
}

static void put_attributes(struct generic *g, const struct xml_element *e)
{
    struct buf value;
    buf_init(&value, (size_t)g->out->limits.text_bytes + 16);
    for (size_t i = 0; i < e->n && g->out->failed == FAIL_NONE; i++) {
        const char *const *a = e->attributes + 5 * i;
        size_t before = g->path.len;
        buf_clear(&value);
        (void)buf_add_str(&g->path, "/@");
        (void)clean_add(&g->path, a[0], strlen(a[0]));
        if (!clean_add(&value, a[3], (size_t)(a[4] - a[3]))) {
            (void)sink_fail(g->out, FAIL_TOO_LARGE, NULL, "an attribute is longer than %llu bytes",
                            (unsigned long long)g->out->limits.text_bytes);
        }
        put_value(g, g->path.data, value.data == NULL ? "" : value.data, value.len, e->at, e->at);
        g->path.len = before;
        g->path.data[before] = '\0';
    }
    buf_done(&value);
}

static void open_element(void *ctx, const struct xml_element *e)
{
    struct generic *g = ctx;
    if (!g->root) {
        (void)sink_meta_str(g->out, DOCUMENT_META_ROOT, e->name);
        g->root = true;
    } else {
        flush(g);
    }
    struct level *above = &g->levels[g->depth];
    uint32_t which = count_name(above, e->name);
    struct level *mine = &g->levels[++g->depth];
    mine->path_len = g->path.len;
    mine->names_len = 0;
    (void)buf_add_char(&g->path, '/');
    (void)clean_add(&g->path, e->name, strlen(e->name));
    if (g->depth > 1) {
        (void)buf_printf(&g->path, "[%u]", which);
    }
    put_attributes(g, e);
}

static void close_element(void *ctx, const char *name)
{
    struct generic *g = ctx;
    (void)name;
    flush(g);
    g->path.len = g->levels[g->depth--].path_len;
    g->path.data[g->path.len] = '\0';
}

static void add_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    struct generic *g = ctx;
    if (g->text.len == 0) {
        g->begin = begin;
    }
    g->end = end;
    if (!clean_add(&g->text, text, len)) {
        (void)sink_fail(g->out, FAIL_TOO_LARGE, "Split the document, or raise this limit.",
                        "an element's text is longer than %llu bytes",
                        (unsigned long long)g->out->limits.text_bytes);
    }
}

static enum fail read_generic(const char *text, size_t len, struct sink *out)
{
    static const struct xml_events events = {open_element, close_element, add_text};
    struct generic g = {.out = out};
    lines_begin(&g.lines, text, len);
    buf_init(&g.path, (size_t)out->limits.text_bytes + 64);
    buf_init(&g.text, (size_t)out->limits.text_bytes + 16);
    g.levels = mem_alloc_array(out->limits.depth + 2, sizeof(*g.levels));
    enum fail f = xml_walk(out, text, len, &events, &g);
    for (size_t i = 0; i < out->limits.depth + 2; i++) {
        mem_free(g.levels[i].names);
    }
    mem_free(g.levels);
    buf_done(&g.path);
    buf_done(&g.text);
    return f;
}

enum fail xml_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    char declared[64];
    xml_find_charset(in->bytes, in->len, declared);
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset,
                                 declared[0] != '\0' ? declared : NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "xml", d.charset)) == FAIL_NONE) {
        f = read_generic(d.text, d.len, out);
    }
    charset_done(&d);
    return f;
}
