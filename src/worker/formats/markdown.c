/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Markdown by cmark-gfm (CommonMark with GitHub's tables): blocks with their lines and bytes, links
 * as text and target, HTML inside through the HTML parser, YAML front matter as metadata.
 * Owns: cmark's tree. Threads: one. Limits: depth; the sink's; FRONT_LINES of front matter.
 */
#include <stdint.h>
#include <string.h>

#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define FRONT_LINES 100
#define KEY_MAX 64

struct markdown {
    struct sink *out;
    struct prose prose;
    const char *text;     /* after the front matter */
    size_t base;          /* where it begins in the source */
    uint32_t base_line;
    const uint32_t *starts; /* of its lines */
    size_t lines;
    unsigned depth, quote, list, items;
    uint32_t row, column, table;
    bool header, titled;
};

/* ---- front matter ---- */

struct front {
    struct sink *out;
    const char *text;
    uint32_t line;
    char path[KEY_MAX + 4]; /* of the last key */
    bool titled;
};

static void trim(const char **s, const char **end)
{
    while (*s < *end && strchr(" \t\"'[-", **s) != NULL) {
        (*s)++;
    }
    while (*end > *s && strchr(" \t\r\"']", (*end)[-1]) != NULL) {
        (*end)--;
    }
}

/* "key: value", or a line that goes on with the last key: a value, and metadata where it is
   that. */
static void take_pair(struct front *f, const char *line, size_t len)
{
    static const struct {
        const char *name;
        enum document_meta_key key;
    } names[] = {{"/title", DOCUMENT_META_TITLE},       {"/author", DOCUMENT_META_AUTHOR},
                 {"/date", DOCUMENT_META_DATE},         {"/lang", DOCUMENT_META_LANGUAGE},
                 {"/language", DOCUMENT_META_LANGUAGE}, {"/tags", DOCUMENT_META_KEYWORDS},
                 {"/keywords", DOCUMENT_META_KEYWORDS},
                 {"/description", DOCUMENT_META_DESCRIPTION}};
    const char *colon = memchr(line, ':', len);
    const char *value = line, *end = line + len;
    if (len > 0 && strchr(" \t-#", line[0]) == NULL && colon != NULL && colon - line < KEY_MAX) {
        struct buf key;
        buf_init(&key, KEY_MAX * 4);
        (void)buf_add_char(&key, '/');
        (void)clean_add(&key, line, (size_t)(colon - line));
        (void)text_copy(f->path, sizeof(f->path), key.data);
        buf_done(&key);
        value = colon + 1;
    }
    trim(&value, &end);
    if (f->path[0] == '\0' || value == end) {
        return;
    }
    struct buf text;
    buf_init(&text, len * 3 + 16);
    (void)clean_add(&text, value, (size_t)(end - value));
    struct document_block b = {.kind = DOCUMENT_VALUE,
                               .path = f->path,
                               .text = text.data,
                               .len = text.len,
                               .line = f->line,
                               .begin = (size_t)(value - f->text),
                               .end = (size_t)(end - f->text)};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcasecmp(f->path, names[i].name) == 0) {
            (void)sink_meta(f->out, names[i].key, value, (size_t)(end - value));
            f->titled = f->titled || names[i].key == DOCUMENT_META_TITLE;
        }
    }
    (void)sink_block(f->out, &b);
    buf_done(&text);
}

static bool is_fence(const char *line, size_t len)
{
    return (len == 3 || (len == 4 && line[3] == '\r')) && memcmp(line, "---", 3) == 0;
}

/* Bytes of the front matter, 0: none. */
static size_t take_front(struct front *f, const char *text, size_t len, uint32_t *lines)
{
    size_t at = 0;
    for (uint32_t n = 0; n < FRONT_LINES && at < len; n++) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t line = nl == NULL ? len - at : (size_t)(nl - text) - at;
        bool fence = is_fence(text + at, line);
        if (n == 0 && !fence) {
            return 0;
        }
        at += line + (nl == NULL ? 0 : 1);
        if (n > 0 && fence) {
            *lines = n + 1;
            for (size_t start = 0; start < at;) {
                const char *end = memchr(text + start, '\n', at - start);
                size_t m = end == NULL ? at - start : (size_t)(end - text) - start;
                f->line++;
                if (!is_fence(text + start, m)) {
                    take_pair(f, text + start, m);
                }
                start += m + 1;
            }
            return at;
        }
    }
    return 0;
}

/* ---- places ---- */

static uint32_t *find_lines(const char *text, size_t len, size_t *n)
{
    size_t count = 1, k = 1;
    for (size_t i = 0; i < len; i++) {
        count += text[i] == '\n' ? 1 : 0;
    }
    uint32_t *starts = mem_alloc_array(count + 1, sizeof(*starts));
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            starts[k++] = (uint32_t)(i + 1);
        }
    }
    starts[count] = (uint32_t)len;
    *n = count;
    return starts;
}

/* The bytes of the node's lines in the source. */
static void place(const struct markdown *m, cmark_node *node, size_t *begin, size_t *end,
                  uint32_t *line)
{
    int first = cmark_node_get_start_line(node), last = cmark_node_get_end_line(node);
    size_t a = first < 1 ? 1 : (size_t)first, b = last < first ? a : (size_t)last;
    a = a > m->lines ? m->lines : a;
    b = b > m->lines ? m->lines : b;
    *begin = m->base + m->starts[a - 1];
    *end = m->base + m->starts[b];
    while (*end > *begin && m->text[*end - m->base - 1] == '\n') {
        (*end)--;
    }
    *line = m->base_line + (uint32_t)a;
}

/* ---- blocks ---- */

static bool is_kind(cmark_node *node, const char *name)
{
    return strcmp(cmark_node_get_type_string(node), name) == 0;
}

static void begin_block(struct markdown *m, cmark_node *node)
{
    struct document_block *b = &m->prose.block;
    size_t begin, end;
    *b = (struct document_block){.kind = DOCUMENT_PARAGRAPH};
    if (m->items > 0) {
        b->kind = DOCUMENT_ITEM;
        b->level = m->list;
    } else if (m->quote > 0) {
        b->kind = DOCUMENT_QUOTE;
        b->level = m->quote;
    }
    place(m, node, &begin, &end, &b->line);
    m->prose.begin = begin;
    m->prose.end = end;
    m->prose.pre = false;
}

static void add_literal(struct markdown *m, cmark_node *node)
{
    const char *s = cmark_node_get_literal(node);
    if (s != NULL) {
        prose_add(&m->prose, s, strlen(s), m->prose.begin, m->prose.end);
    }
}

static void put_code(struct markdown *m, cmark_node *node)
{
    begin_block(m, node);
    m->prose.block.kind = DOCUMENT_CODE;
    m->prose.block.level = 0;
    m->prose.pre = true;
    add_literal(m, node);
    (void)prose_flush(&m->prose);
    m->prose.pre = false;
}

static void put_html(struct markdown *m, cmark_node *node)
{
    const char *s = cmark_node_get_literal(node);
    size_t begin, end;
    uint32_t line;
    place(m, node, &begin, &end, &line);
    if (s != NULL) {
        m->out->base = begin;
        m->out->base_line = line - 1;
        (void)html_read_text(s, strlen(s), m->out, false);
        m->out->base = m->out->base_line = 0;
    }
}

static void open_cell(struct markdown *m, cmark_node *node)
{
    begin_block(m, node);
    m->column++;
    m->prose.block.kind = DOCUMENT_CELL;
    m->prose.block.level = 0;
    m->prose.block.header = m->header;
    m->prose.block.table = m->table;
    m->prose.block.row = m->row;
    m->prose.block.column = m->column;
}

/* The first heading of the first level is the title of a document that names none. */
static void take_title(struct markdown *m, const struct prose *p)
{
    if (!m->titled && p->block.kind == DOCUMENT_HEADING && p->block.level == 1) {
        m->titled = true;
        (void)sink_meta(m->out, DOCUMENT_META_TITLE, p->text.data == NULL ? "" : p->text.data,
                        p->text.len);
    }
}

/* ---- the walk ---- */

static void enter_extension(struct markdown *m, cmark_node *node)
{
    if (is_kind(node, "table")) {
        m->table = ++m->out->tables;
        m->row = 0;
    } else if (is_kind(node, "table_header") || is_kind(node, "table_row")) {
        m->row++;
        m->column = 0;
        m->header = is_kind(node, "table_header");
    } else if (is_kind(node, "table_cell")) {
        open_cell(m, node);
    }
}

static void enter(struct markdown *m, cmark_node *node)
{
    /* cmark's node types are numbers, not constants: a switch cannot have them. */
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_BLOCK_QUOTE) {
        m->quote++;
    } else if (type == CMARK_NODE_LIST) {
        m->list++;
    } else if (type == CMARK_NODE_ITEM) {
        m->items++;
    } else if (type == CMARK_NODE_CODE_BLOCK) {
        put_code(m, node);
    } else if (type == CMARK_NODE_HTML_BLOCK) {
        put_html(m, node);
    } else if (type == CMARK_NODE_PARAGRAPH) {
        begin_block(m, node);
    } else if (type == CMARK_NODE_HEADING) {
        begin_block(m, node);
        m->prose.block.kind = DOCUMENT_HEADING;
        m->prose.block.level = (unsigned)cmark_node_get_heading_level(node);
    } else if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE) {
        add_literal(m, node);
    } else if (type == CMARK_NODE_SOFTBREAK) {
        prose_add(&m->prose, "\n", 1, m->prose.begin, m->prose.end);
    } else if (type == CMARK_NODE_LINEBREAK) {
        prose_break(&m->prose);
    } else if (type == CMARK_NODE_HTML_INLINE) {
        const char *s = cmark_node_get_literal(node);
        if (s != NULL && strncasecmp(s, "<br", 3) == 0) {
            prose_break(&m->prose);
        }
    } else if (type == CMARK_NODE_LINK) {
        const char *url = cmark_node_get_url(node);
        if (url != NULL && url[0] != '\0' && url[0] != '#') {
            prose_link_open(&m->prose, url);
        }
    } else {
        enter_extension(m, node);
    }
}

static void leave(struct markdown *m, cmark_node *node)
{
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_BLOCK_QUOTE) {
        m->quote--;
    } else if (type == CMARK_NODE_LIST) {
        m->list--;
    } else if (type == CMARK_NODE_ITEM) {
        m->items--;
    } else if (type == CMARK_NODE_LINK) {
        prose_link_close(&m->prose);
    } else if (type == CMARK_NODE_PARAGRAPH || type == CMARK_NODE_HEADING ||
               is_kind(node, "table_cell")) {
        take_title(m, &m->prose);
        (void)prose_flush(&m->prose);
    }
}

static void walk(struct markdown *m, cmark_node *root)
{
    cmark_iter *iter = cmark_iter_new(root);
    for (cmark_event_type e;
         m->out->failed == FAIL_NONE && (e = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        bool inner = cmark_node_first_child(node) != NULL;
        if (e == CMARK_EVENT_ENTER) {
            m->depth += inner ? 1 : 0;
            if (m->depth > m->out->limits.depth) {
                (void)sink_fail(m->out, FAIL_TOO_LARGE,
                                "No page that people read is built like this.",
                                "blocks are nested more than %u deep", m->out->limits.depth);
            }
            enter(m, node);
        } else {
            m->depth -= inner ? 1 : 0;
            leave(m, node);
        }
    }
    cmark_iter_free(iter);
}

static cmark_node *parse(const char *text, size_t len)
{
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    cmark_syntax_extension *table = cmark_find_syntax_extension("table");
    if (table != NULL) {
        cmark_parser_attach_syntax_extension(parser, table);
    }
    cmark_parser_feed(parser, text, len);
    cmark_node *root = cmark_parser_finish(parser);
    cmark_parser_free(parser);
    return root;
}

static enum fail read_text(const char *text, size_t len, struct sink *out)
{
    struct markdown m = {.out = out};
    struct front front = {.out = out, .text = text};
    m.base = take_front(&front, text, len, &m.base_line);
    m.titled = front.titled;
    m.text = text + m.base;
    uint32_t *starts = find_lines(m.text, len - m.base, &m.lines);
    m.starts = starts;
    prose_init(&m.prose, out);
    cmark_node *root = parse(m.text, len - m.base);
    if (root != NULL) {
        walk(&m, root);
        cmark_node_free(root);
    }
    prose_done(&m.prose);
    mem_free(starts);
    return out->failed;
}

enum fail markdown_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && d.len > UINT32_MAX / 2) {
        f = sink_fail(out, FAIL_TOO_LARGE, NULL, "a page of more than 2 GiB");
    }
    if (f == FAIL_NONE && (f = sink_start(out, "markdown", d.charset)) == FAIL_NONE) {
        f = read_text(d.text, d.len, out);
    }
    charset_done(&d);
    return f;
}
