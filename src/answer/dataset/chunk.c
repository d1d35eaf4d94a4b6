/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text cut into chunks of about DATASET_CHUNK_TARGET bytes, each a whole stretch of its source, so
 * that a citation can be found again: paragraphs under one heading, cut at sentences where one is
 * too long. Owns: the pieces until handed over. Threads: pure.
 * Limits: DATASET_FILE_CHUNKS chunks, headings of 300 bytes, JSON lines of 1 MiB.
 */
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "answer/knowledge/knowledge.h"
#include "base/json/json.h"

#define HEADING_BYTES 300
#define HEADING_LEVELS 6
#define LINE_BYTES ((size_t)1 << 20)

void dataset_pieces_done(struct dataset_pieces *p)
{
    for (size_t i = 0; i < p->count; i++) {
        mem_free(p->items[i].text);
        mem_free(p->items[i].heading);
        mem_free(p->items[i].stems);
    }
    mem_free(p->items);
    *p = (struct dataset_pieces){0};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Without white space at the ends; n 0 when nothing is left. */
static void trim(const char **s, size_t *n, int64_t *at)
{
    while (*n > 0 && is_space(**s)) {
        (*s)++;
        (*n)--;
        (*at)++;
    }
    while (*n > 0 && is_space((*s)[*n - 1])) {
        (*n)--;
    }
}

static enum fail put(struct dataset_pieces *p, const char *text, size_t n, const char *heading,
                     int64_t at, int64_t page, struct fault *why)
{
    trim(&text, &n, &at);
    if (n == 0) {
        return FAIL_NONE;
    }
    if (p->count == DATASET_FILE_CHUNKS) {
        FAULT(why, FAIL_TOO_LARGE, "the document has more than %d chunks", DATASET_FILE_CHUNKS);
        return fail_hint(why, "Split it into several documents.");
    }
    if (p->count == p->room) {
        p->room = p->room == 0 ? 16 : p->room * 2;
        p->items = mem_realloc(p->items, p->room * sizeof(*p->items));
    }
    size_t h = strlen(heading);
    p->items[p->count++] = (struct dataset_piece){
        .text = mem_dup_strn(text, n),
        .heading =
            mem_dup_strn(heading, h <= HEADING_BYTES ? h : text_utf8_cut(heading, HEADING_BYTES)),
        .at = at,
        .page = page};
    return FAIL_NONE;
}

/* The last good place to cut in text[0..max]: a space, or between two characters. */
static size_t cut_at(const char *text, size_t n, size_t max)
{
    if (n <= max) {
        return n;
    }
    for (size_t i = max; i > max / 2; i--) {
        if (is_space(text[i])) {
            return i;
        }
    }
    size_t cut = text_utf8_cut(text, max);
    return cut > 0 ? cut : max;
}

enum fail dataset_pieces_add(struct dataset_pieces *p, const char *text, size_t n,
                             const char *heading, int64_t at, int64_t page, struct fault *why)
{
    enum fail f = FAIL_NONE;
    while (n > DATASET_CHUNK_MAX && f == FAIL_NONE) {
        struct knowledge_span spans[64];
        size_t window = cut_at(text, n, (size_t)DATASET_CHUNK_MAX);
        size_t k = knowledge_split(text, window, KNOWLEDGE_LANG_OTHER, spans, COUNT_OF(spans));
        size_t take = window;
        for (size_t i = 1; i < k; i++) { /* up to the last sentence that begins past the target */
            if (spans[i].at >= DATASET_CHUNK_TARGET / 2) {
                take = spans[i].at;
            }
            if (spans[i].at >= DATASET_CHUNK_TARGET) {
                break;
            }
        }
        f = put(p, text, take, heading, at, page, why);
        text += take;
        n -= take;
        at += (int64_t)take;
    }
    return f != FAIL_NONE ? f : put(p, text, n, heading, at, page, why);
}

/* ---- Markdown and plain text ---- */

struct cutter {
    struct dataset_pieces *p;
    const char *text;
    char level[HEADING_LEVELS][HEADING_BYTES + 1];
    char heading[HEADING_BYTES + 1];
    size_t from;   /* the stretch being gathered */
    size_t border; /* its last end of a paragraph, 0: none */
    bool code;
};

static enum fail flush(struct cutter *c, size_t to, struct fault *why)
{
    enum fail f = dataset_pieces_add(c->p, c->text + c->from, to - c->from,
                                     c->heading[0] != '\0' ? c->heading : c->p->title,
                                     (int64_t)c->from, 0, why);
    c->from = to;
    c->border = 0;
    return f;
}

static void set_heading(struct cutter *c, size_t level, const char *s, size_t n)
{
    while (n > 0 && (is_space(s[n - 1]) || s[n - 1] == '#')) {
        n--;
    }
    while (n > 0 && is_space(*s)) {
        s++;
        n--;
    }
    n = n <= HEADING_BYTES ? n : text_utf8_cut(s, HEADING_BYTES);
    memcpy(c->level[level], s, n);
    c->level[level][n] = '\0';
    if (c->p->title[0] == '\0') {
        (void)text_copy(c->p->title, sizeof(c->p->title), c->level[level]);
    }
    for (size_t i = level + 1; i < HEADING_LEVELS; i++) {
        c->level[i][0] = '\0';
    }
    struct buf b;
    buf_init(&b, (size_t)HEADING_LEVELS * (HEADING_BYTES + 4));
    for (size_t i = 0; i < HEADING_LEVELS; i++) {
        if (c->level[i][0] != '\0') {
            (void)buf_printf(&b, "%s%s", b.len > 0 ? " > " : "", c->level[i]);
        }
    }
    (void)text_copy(c->heading, sizeof(c->heading), b.data != NULL ? b.data : "");
    buf_done(&b);
}

static size_t heading_level(const char *line, size_t n)
{
    size_t level = 0;
    while (level < n && level <= HEADING_LEVELS && line[level] == '#') {
        level++;
    }
    return level >= 1 && level <= HEADING_LEVELS && level < n && line[level] == ' ' ? level : 0;
}

/* `key: value` of the front matter. */
static void take_key(struct dataset_pieces *p, const char *line, size_t n)
{
    static const char *const keys[] = {"id:", "title:"};
    char *const out[] = {p->article, p->title};
    const size_t room[] = {sizeof(p->article), sizeof(p->title)};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        size_t k = strlen(keys[i]);
        if (n > k && memcmp(line, keys[i], k) == 0) {
            AUTO_FREE char *value = mem_dup_strn(line + k, n - k);
            char *v = text_trim(value);
            size_t len = strlen(v);
            if (len >= 2 && (v[0] == '"' || v[0] == '\'') && v[len - 1] == v[0]) {
                v[len - 1] = '\0';
                v++;
            }
            (void)text_copy(out[i], room[i], v);
        }
    }
}

static size_t line_end(const char *text, size_t n, size_t from)
{
    const char *nl = memchr(text + from, '\n', n - from);
    return nl != NULL ? (size_t)(nl - text) + 1 : n;
}

/* Where the text begins after "---" ... "---". */
static size_t front_matter(struct dataset_pieces *p, const char *text, size_t n)
{
    if (n < 4 || memcmp(text, "---", 3) != 0 || (text[3] != '\n' && text[3] != '\r')) {
        return 0;
    }
    struct dataset_pieces found = {0};
    for (size_t at = line_end(text, n, 0); at < n;) {
        size_t next = line_end(text, n, at);
        if (next - at >= 3 && memcmp(text + at, "---", 3) == 0) {
            memcpy(p->title, found.title, sizeof(p->title));
            memcpy(p->article, found.article, sizeof(p->article));
            return next;
        }
        take_key(&found, text + at, next - at);
        at = next;
    }
    return 0; /* never closed: it is text */
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_space(line[i])) {
            return false;
        }
    }
    return true;
}

enum fail dataset_read_text(struct dataset_pieces *p, const char *text, size_t n, bool markdown,
                            struct fault *why)
{
    struct cutter c = {.p = p, .text = text};
    enum fail f = FAIL_NONE;
    c.from = markdown ? front_matter(p, text, n) : 0;
    for (size_t at = c.from; at < n && f == FAIL_NONE;) {
        size_t next = line_end(text, n, at), len = next - at;
        const char *line = text + at;
        c.code ^=
            markdown && len >= 3 && (memcmp(line, "```", 3) == 0 || memcmp(line, "~~~", 3) == 0);
        size_t level = markdown && !c.code ? heading_level(line, len) : 0;
        if (level > 0) {
            f = flush(&c, at, why);
            set_heading(&c, level - 1, line + level, len - level);
            c.from = next;
        } else if (is_blank(line, len)) {
            if (next - c.from >= DATASET_CHUNK_TARGET && !c.code) {
                f = flush(&c, at, why);
            } else {
                c.border = at;
            }
        } else if (next - c.from > DATASET_CHUNK_MAX && c.border > c.from) {
            f = flush(&c, c.border, why);
        }
        at = next;
    }
    return f != FAIL_NONE ? f : flush(&c, n, why);
}

/* ---- JSON lines: a record each ---- */

/* The title of a record, its text, or all its texts as "key: value". */
static const char *find_str(const json_t *o, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        const char *s = json_string_value(json_object_get(o, *keys));
        if (s != NULL && s[0] != '\0') {
            return s;
        }
    }
    return NULL;
}

static void all_values(const json_t *o, struct buf *out)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v) {
        if (json_is_string(v)) {
            (void)buf_printf(out, "%s: %s\n", key, json_string_value(v));
        } else if (json_is_integer(v)) {
            (void)buf_printf(out, "%s: %lld\n", key, (long long)json_integer_value(v));
        } else if (json_is_real(v)) {
            (void)buf_printf(out, "%s: %.15g\n", key, json_real_value(v));
        } else if (json_is_boolean(v)) {
            (void)buf_printf(out, "%s: %s\n", key, json_is_true(v) ? "true" : "false");
        }
    }
}

enum fail dataset_read_lines(struct dataset_pieces *p, const char *text, size_t n,
                             struct fault *why)
{
    static const char *const titles[] = {"title", "subject", "name", "id", NULL};
    static const char *const texts[] = {"text", "body", "content", "answer", NULL};
    enum fail f = FAIL_NONE;
    size_t number = 1;
    for (size_t at = 0; at < n && f == FAIL_NONE; number++) {
        size_t next = line_end(text, n, at);
        if (!is_blank(text + at, next - at)) {
            AUTO_JSON json_t *row = NULL;
            char what[32];
            (void)snprintf(what, sizeof(what), "line %zu", number);
            f = next - at > LINE_BYTES
                    ? FAULT(why, FAIL_TOO_LARGE, "line %zu is over %zu bytes", number, LINE_BYTES)
                    : jn_parse(text + at, next - at, what, &row, why);
            if (f == FAIL_NONE && !json_is_object(row)) {
                f = FAULT(why, FAIL_BAD_REQUEST, "line %zu is no JSON object", number);
            }
            if (f == FAIL_NONE) {
                const char *title = find_str(row, titles), *body = find_str(row, texts);
                struct buf all;
                buf_init(&all, 2 * LINE_BYTES);
                if (body == NULL) {
                    all_values(row, &all);
                }
                f = dataset_pieces_add(p, body != NULL ? body : all.data != NULL ? all.data : "",
                                       body != NULL ? strlen(body) : all.len,
                                       title != NULL ? title : p->title, (int64_t)at, 0, why);
                buf_done(&all);
            }
        }
        at = next;
    }
    return f;
}
