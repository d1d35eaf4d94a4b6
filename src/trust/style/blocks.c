/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: Markdown as a reader sees it: headings, paragraphs, list items, quotes and tables,
 * without code, link targets, images and HTML. Every byte kept knows its place in the source.
 *
 * Not a Markdown renderer: what decides what a rule reads, no more. Owns: the blocks. Threads:
 * pure.
 * Limits: the caller's.
 */
#include "trust/style/style_internal.h"

#include <string.h>

/* ---- building ---- */

struct making {
    struct style_blocks *out;
    struct style_block *open;
    size_t room;
    const char *s;
};

static void close_block(struct making *m, size_t at)
{
    if (m->open != NULL) {
        m->open->text[m->open->n] = '\0';
        m->open->from[m->open->n] = (uint32_t)at;
        m->open = NULL;
    }
}

static void open_block(struct making *m, enum style_block_kind kind, int level, size_t at)
{
    close_block(m, at);
    struct style_blocks *b = m->out;
    if (b->n == b->room) {
        b->room = b->room == 0 ? 32 : b->room * 2;
        b->items = mem_realloc(b->items, b->room * sizeof(*b->items));
    }
    m->open = &b->items[b->n++];
    m->room = 256;
    *m->open = (struct style_block){.kind = kind, .level = level, .text = mem_alloc(m->room + 1)};
    m->open->from = mem_alloc_array(m->room + 1, sizeof(uint32_t));
}

static void put(struct making *m, char c, size_t at)
{
    if (m->open->n == m->room) {
        m->room *= 2;
        m->open->text = mem_realloc(m->open->text, m->room + 1);
        m->open->from = mem_realloc(m->open->from, (m->room + 1) * sizeof(uint32_t));
    }
    m->open->text[m->open->n] = c;
    m->open->from[m->open->n++] = (uint32_t)at;
}

void style_blocks_done(struct style_blocks *b)
{
    for (size_t i = 0; i < b->n; i++) {
        mem_free(b->items[i].text);
        mem_free(b->items[i].from);
    }
    mem_free(b->items);
    *b = (struct style_blocks){0};
}

/* ---- inside a line ---- */

/* "](target)" or "][ref]" at s[0]: its length. */
static size_t link_tail(const char *s, size_t n)
{
    char close = n > 1 && s[1] == '(' ? ')' : n > 1 && s[1] == '[' ? ']' : '\0';
    int depth = 0;
    for (size_t i = 1; close != '\0' && i < n; i++) {
        depth += s[i] == s[1] ? 1 : s[i] == close ? -1 : 0;
        if (depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* `code` at s[0]: its length with the ticks. */
static size_t code_span(const char *s, size_t n)
{
    size_t ticks = 0;
    while (ticks < n && s[ticks] == '`') {
        ticks++;
    }
    for (size_t i = ticks; i < n; i++) {
        size_t run = 0;
        while (i + run < n && s[i + run] == '`') {
            run++;
        }
        if (run == ticks) {
            return i + run;
        }
        i += run;
    }
    return 0;
}

static size_t html(const char *s, size_t n)
{
    if (n > 3 && memcmp(s, "<!--", 4) == 0) {
        const char *end = memmem(s, n, "-->", 3);
        return end != NULL ? (size_t)(end - s) + 3 : n;
    }
    bool tag = n > 2 && ((s[1] | 32) >= 'a' ? (s[1] | 32) <= 'z' : s[1] == '/');
    const char *end = tag ? memchr(s, '>', n) : NULL;
    return end != NULL ? (size_t)(end - s) + 1 : 0;
}

static bool is_url(const char *s, size_t n)
{
    return (n > 8 && memcmp(s, "https://", 8) == 0) || (n > 7 && memcmp(s, "http://", 7) == 0);
}

static size_t url(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (unsigned char)s[i] > ' ' && strchr("<>()[]\"", s[i]) == NULL) {
        i++;
    }
    return i;
}

static bool is_emphasis(const char *s, size_t at, size_t from, size_t to)
{
    char before = at > from ? s[at - 1] : ' ';
    char after = at + 1 < to ? s[at + 1] : ' ';
    if (s[at] == '*') {
        return before != ' ' || after != ' ';
    }
    bool word_before = before != ' ' && strchr(".,;:!?()\"'*_", before) == NULL;
    bool word_after = after != ' ' && strchr(".,;:!?()\"'*_", after) == NULL;
    return s[at] == '_' && word_before != word_after;
}

static void put_code(struct making *m, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) { /* a word that no rule knows stands there */
        put(m, '*', i);
    }
}

/* Bytes [from, to) of the source, as a reader sees them. */
static void put_inline(struct making *m, size_t from, size_t to)
{
    const char *s = m->s;
    for (size_t i = from; i < to;) {
        size_t left = to - i;
        size_t len = 0;
        if (s[i] == '\\' && left > 1 && strchr("\\`*_{}[]()#+-.!<>|", s[i + 1]) != NULL) {
            put(m, s[i + 1], i + 1);
            i += 2;
        } else if (s[i] == '`' && (len = code_span(s + i, left)) > 0) {
            put_code(m, i, i + len);
            i += len;
        } else if (s[i] == '!' && left > 1 && s[i + 1] == '[') {
            i += 2; /* the text of an image is read, its target is not */
        } else if (s[i] == ']' && (len = link_tail(s + i, left)) > 0) {
            i += len;
        } else if (s[i] == '[' && memchr(s + i, ']', left) != NULL) {
            i++;
        } else if (s[i] == '<' && (len = html(s + i, left)) > 0) {
            i += len;
        } else if (is_url(s + i, left)) {
            len = url(s + i, left);
            put_code(m, i, i + len);
            i += len;
        } else if ((s[i] == '*' || s[i] == '_') && is_emphasis(s, i, from, to)) {
            i++;
        } else {
            put(m, s[i], i);
            i++;
        }
    }
}

/* ---- lines ---- */

static size_t list_mark(const char *s, size_t n)
{
    size_t i = 0;
    if (n > 1 && strchr("-*+", s[0]) != NULL && s[1] == ' ') {
        i = 2;
    } else {
        while (i < n && i < 4 && s[i] >= '0' && s[i] <= '9') {
            i++;
        }
        i = i > 0 && i + 1 < n && (s[i] == '.' || s[i] == ')') && s[i + 1] == ' ' ? i + 2 : 0;
    }
    if (i > 0 && i + 3 < n && s[i] == '[' && s[i + 2] == ']') { /* a task */
        i += 4;
    }
    return i;
}

static bool is_rule(const char *s, size_t n, char of)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != of && s[i] != ' ') {
            return false;
        }
        count += s[i] == of ? 1 : 0;
    }
    return count >= (of == '=' ? 1 : 2);
}

struct lines {
    bool fence, front; /* within code, within the head of the file */
    char fence_with;
    bool blank;
};

/* True: the line is no text. */
static bool skip_line(struct lines *l, const char *s, size_t n, size_t indent, size_t at)
{
    if (at == 0 && n == 3 && memcmp(s, "---", 3) == 0) {
        l->front = true;
        return true;
    }
    if (l->front) {
        l->front = !(n == 3 && memcmp(s, "---", 3) == 0);
        return true;
    }
    bool mark = n >= 3 && (memcmp(s, "```", 3) == 0 || memcmp(s, "~~~", 3) == 0);
    if (l->fence || mark) {
        if (mark && (!l->fence || s[0] == l->fence_with)) {
            l->fence = !l->fence;
            l->fence_with = s[0];
        }
        return true;
    }
    return indent >= 4 && l->blank;
}

static void put_table_row(struct making *m, size_t from, size_t to)
{
    size_t cell = from;
    for (size_t i = from; i <= to; i++) {
        if (i == to || (m->s[i] == '|' && (i == from || m->s[i - 1] != '\\'))) {
            size_t a = cell;
            size_t b = i;
            for (; a < b && m->s[a] == ' '; a++) {
            }
            for (; b > a && m->s[b - 1] == ' '; b--) {
            }
            if (b > a && !is_rule(m->s + a, b - a, '-')) {
                open_block(m, STYLE_TABLE, 0, a);
                put_inline(m, a, b);
                close_block(m, b);
            }
            cell = i + 1;
        }
    }
}

static void text_line(struct making *m, size_t at, size_t end)
{
    const char *s = m->s;
    size_t mark;
    size_t hashes = 0;
    while (at + hashes < end && s[at + hashes] == '#') {
        hashes++;
    }
    if (hashes > 0 && hashes <= 6 && at + hashes < end && s[at + hashes] == ' ') {
        size_t from = at + hashes + 1;
        for (; end > from && (s[end - 1] == '#' || s[end - 1] == ' '); end--) {
        }
        open_block(m, STYLE_HEADING, (int)hashes, from);
        put_inline(m, from, end);
        close_block(m, end);
        return;
    }
    if (m->open != NULL && m->open->kind == STYLE_PARAGRAPH &&
        (is_rule(s + at, end - at, '=') || is_rule(s + at, end - at, '-'))) {
        m->open->kind = STYLE_HEADING;
        m->open->level = s[at] == '=' ? 1 : 2;
        close_block(m, at);
        return;
    }
    if (s[at] == '|') {
        close_block(m, at);
        put_table_row(m, at, end);
        return;
    }
    enum style_block_kind kind = STYLE_PARAGRAPH;
    if (s[at] == '>') {
        at += at + 1 < end && s[at + 1] == ' ' ? 2 : 1;
        kind = STYLE_QUOTE;
    } else if ((mark = list_mark(s + at, end - at)) > 0) {
        at += mark;
        kind = STYLE_LIST;
        close_block(m, at);
    }
    if (m->open == NULL || (kind == STYLE_QUOTE && m->open->kind != kind)) {
        open_block(m, kind, 0, at);
    } else {
        put(m, '\n', at > 0 ? at - 1 : 0);
    }
    put_inline(m, at, end);
}

void style_blocks_read(const char *text, size_t n, bool markdown, struct style_blocks *out)
{
    struct making m = {.out = out, .s = text};
    struct lines l = {.blank = true};
    *out = (struct style_blocks){0};
    for (size_t at = 0, next; at < n; at = next) {
        const char *nl = memchr(text + at, '\n', n - at);
        size_t end = nl != NULL ? (size_t)(nl - text) : n;
        next = end + 1;
        size_t from = at;
        for (; from < end && (text[from] == ' ' || text[from] == '\t'); from++) {
        }
        for (; end > from && strchr(" \t\r", text[end - 1]) != NULL; end--) {
        }
        if (from == end) {
            close_block(&m, from);
            l.blank = true;
            continue;
        }
        bool continues = m.open != NULL;
        l.blank = l.blank && !continues;
        if (!markdown) {
            if (m.open == NULL) {
                open_block(&m, STYLE_PARAGRAPH, 0, from);
            } else {
                put(&m, '\n', from - 1);
            }
            for (size_t i = from; i < end; i++) {
                put(&m, text[i], i);
            }
        } else if (skip_line(&l, text + from, end - from, from - at, at)) {
            close_block(&m, from);
        } else {
            text_line(&m, from, end);
        }
        l.blank = false;
    }
    close_block(&m, n);
}

/* ---- sentences ---- */

static bool ends_short(const char *s, size_t dot, size_t from)
{
    static const char *const shorts[] = {"e.g", "i.e", "etc", "vs", "cf", "Mr", "Mrs", "Ms", "Dr",
                                         "No", "Nr", "z.B", "d.h", "bzw", "ca", "approx"};
    size_t at = dot;
    while (at > from && s[at - 1] != ' ' && s[at - 1] != '\n' && s[at - 1] != '(') {
        at--;
    }
    size_t len = dot - at;
    for (size_t i = 0; i < COUNT_OF(shorts); i++) {
        if (strlen(shorts[i]) == len && memcmp(s + at, shorts[i], len) == 0) {
            return true;
        }
    }
    return len == 1 && s[at] >= 'A' && s[at] <= 'Z';
}

size_t style_sentence_end(const char *s, size_t n, size_t at)
{
    for (size_t i = at; i < n; i++) {
        if (s[i] != '.' && s[i] != '!' && s[i] != '?') {
            continue;
        }
        size_t end = i + 1;
        while (end < n && strchr(".!?\"')]", s[end]) != NULL) {
            end++;
        }
        bool ends = end >= n || s[end] == ' ' || s[end] == '\n';
        size_t after = end;
        while (after < n && (s[after] == ' ' || s[after] == '\n')) {
            after++;
        }
        bool small = after < n && s[after] >= 'a' && s[after] <= 'z';
        if (ends && !(s[i] == '.' && (small || ends_short(s, i, at)))) {
            return end;
        }
        i = end - 1;
    }
    return n;
}
