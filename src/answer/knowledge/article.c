/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Markdown file with front matter -> an article of plain sentences.
 *
 * Only what help centres write is read: headings, paragraphs, lists, tables, links, emphasis, code.
 * Each list item and each table row is at least one sentence. Owns: what it allocates until handed
 * over. Threads: pure. Limits: KNOWLEDGE_MAX_FILE bytes, KNOWLEDGE_MAX_SENTENCES sentences.
 */
#include <string.h>

#include "answer/knowledge/knowledge_internal.h"
#include "base/text/text.h"

struct reader {
    const char *file;
    struct knowledge_article *a;
    size_t room;
    struct buf block; /* the paragraph or item being gathered */
    enum knowledge_kind kind;
    uint16_t paragraph;
    bool in_list, in_code;
};

static void add_heading(struct reader *r, const char *text)
{
    struct knowledge_article *a = r->a;
    a->headings = mem_realloc(a->headings, (a->heading_count + 1) * sizeof(char *));
    a->headings[a->heading_count++] = mem_dup_str(text);
}

static void add_sentence(struct reader *r, const char *s, size_t n)
{
    struct knowledge_article *a = r->a;
    if (a->sentence_count >= KNOWLEDGE_MAX_SENTENCES) {
        return;
    }
    if (a->sentence_count == r->room) {
        r->room = r->room == 0 ? 16 : r->room * 2;
        a->sentences = mem_realloc(a->sentences, r->room * sizeof(*a->sentences));
    }
    a->sentences[a->sentence_count] = (struct knowledge_sentence){
        .text = mem_dup_strn(s, n),
        .index = (uint16_t)a->sentence_count,
        .paragraph = r->paragraph,
        .kind = r->kind,
        .heading = a->heading_count > 0 ? a->headings[a->heading_count - 1] : a->title,
    };
    a->sentence_count++;
}

static void flush(struct reader *r)
{
    if (r->block.len > 0) {
        size_t max = KNOWLEDGE_MAX_SENTENCES;
        struct knowledge_span *spans = mem_alloc_array(max, sizeof(*spans));
        size_t n = knowledge_split(r->block.data, r->block.len, r->a->lang, spans, max);
        for (size_t i = 0; i < n; i++) {
            add_sentence(r, r->block.data + spans[i].at, spans[i].len);
        }
        mem_free(spans);
        buf_clear(&r->block);
    }
}

/* "[text](target)" -> "text (target)", or "text" when both say the same; images vanish. */
static size_t inline_link(struct buf *out, const char *s)
{
    const char *close = strchr(s, ']');
    const char *end = close != NULL && close[1] == '(' ? strchr(close, ')') : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t label = (size_t)(close - s - 1), target = (size_t)(end - close - 2);
    buf_add(out, s + 1, label);
    bool url =
        memmem(close + 2, target, ".", 1) != NULL || memmem(close + 2, target, "/", 1) != NULL;
    if (url && (label != target || memcmp(s + 1, close + 2, label) != 0)) {
        buf_add_str(out, " (");
        buf_add(out, close + 2, target);
        buf_add_char(out, ')');
    }
    return (size_t)(end - s) + 1;
}

/* Appends a line without Markdown's marks. */
static void add_inline(struct buf *out, const char *s)
{
    while (*s != '\0') {
        size_t skip = 0;
        if (s[0] == '!' && s[1] == '[') {
            struct buf ignored;
            buf_init(&ignored, KNOWLEDGE_MAX_FILE);
            skip = inline_link(&ignored, s + 1);
            skip += skip > 0;
            buf_done(&ignored);
        } else if (s[0] == '[') {
            skip = inline_link(out, s);
        } else if ((s[0] == '*' && s[1] == '*') || (s[0] == '_' && s[1] == '_')) {
            skip = 2;
        } else if (s[0] == '`' || (s[0] == '*' && s[1] != ' ')) {
            skip = 1;
        } else if (s[0] == '\\' && s[1] != '\0' && strchr("*_`[]#<>-.", s[1]) != NULL) {
            buf_add_char(out, s[1]);
            skip = 2;
        }
        if (skip == 0) {
            buf_add_char(out, *s);
            skip = 1;
        }
        s += skip;
    }
}

static size_t list_mark(const char *s)
{
    if ((s[0] == '-' || s[0] == '*' || s[0] == '+') && s[1] == ' ') {
        return 2;
    }
    size_t i = 0;
    while (i < 3 && s[i] >= '0' && s[i] <= '9') {
        i++;
    }
    return i > 0 && (s[i] == '.' || s[i] == ')') && s[i + 1] == ' ' ? i + 2 : 0;
}

static void begin_paragraph(struct reader *r, enum knowledge_kind kind)
{
    flush(r);
    r->kind = kind;
    if (!r->in_list && r->a->sentence_count > 0) {
        r->paragraph = (uint16_t)(r->a->sentences[r->a->sentence_count - 1].paragraph + 1);
    }
}

static bool is_table_rule(const char *s)
{
    return strspn(s, "|-: \t") == strlen(s) && strchr(s, '-') != NULL;
}

static void take_table_row(struct reader *r, char *s)
{
    flush(r);
    r->kind = KNOWLEDGE_ROW;
    if (is_table_rule(s)) {
        return;
    }
    for (char *save = NULL, *cell = strtok_r(s, "|", &save); cell != NULL;
         cell = strtok_r(NULL, "|", &save)) {
        cell = text_trim(cell);
        if (*cell != '\0') {
            if (r->block.len > 0) {
                buf_add_str(&r->block, ": ");
            }
            add_inline(&r->block, cell);
        }
    }
    if (r->block.len > 0) {
        add_sentence(r, r->block.data, r->block.len);
        buf_clear(&r->block);
    }
}

static void take_line(struct reader *r, char *line)
{
    char *s = text_trim(line);
    if (strncmp(s, "```", 3) == 0) {
        flush(r);
        r->in_code = !r->in_code;
        r->kind = KNOWLEDGE_ROW;
        return;
    }
    if (r->in_code) {
        if (*s != '\0') {
            add_sentence(r, s, strlen(s));
        }
        return;
    }
    size_t hashes = strspn(s, "#");
    if (*s == '\0') {
        flush(r);
        r->kind = KNOWLEDGE_PROSE;
        r->in_list = false;
    } else if (hashes > 0 && hashes <= 6 && s[hashes] == ' ') {
        r->in_list = false;
        flush(r);
        add_heading(r, text_trim(s + hashes));
    } else if (*s == '|') {
        begin_paragraph(r, KNOWLEDGE_ROW);
        r->in_list = true;
        take_table_row(r, s);
    } else if (list_mark(s) > 0) {
        begin_paragraph(r, KNOWLEDGE_STEP);
        r->in_list = true;
        add_inline(&r->block, s + list_mark(s));
    } else {
        if (*s == '>') {
            s = text_trim(s + 1);
        }
        if (r->block.len == 0) {
            begin_paragraph(r, KNOWLEDGE_PROSE);
        } else {
            buf_add_char(&r->block, ' ');
        }
        add_inline(&r->block, s);
    }
}

static char *value_of(char *s)
{
    s = text_trim(s);
    size_t n = strlen(s);
    if (n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0]) {
        s[n - 1] = '\0';
        s++;
    }
    return s;
}

static enum fail front_matter_line(struct reader *r, char *line, int number, struct fault *why)
{
    char *s = text_trim(line);
    if (*s == '\0' || *s == '#') {
        return FAIL_NONE;
    }
    char *colon = strchr(s, ':');
    if (colon == NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "%s line %d: front matter wants `key: value`", r->file,
              number);
        return fail_hint(why, "Close the front matter with a line `---` before the text.");
    }
    *colon = '\0';
    char *key = text_trim(s), *value = value_of(colon + 1);
    struct knowledge_article *a = r->a;
    char **slot = strcmp(key, "id") == 0        ? &a->id
                  : strcmp(key, "title") == 0   ? &a->title
                  : strcmp(key, "queue") == 0   ? &a->queue
                  : strcmp(key, "updated") == 0 ? &a->updated
                                                : NULL;
    if (slot != NULL) {
        if (*slot != NULL) {
            return FAULT(why, FAIL_BAD_REQUEST, "%s line %d: `%s` is given twice", r->file, number,
                         key);
        }
        *slot = mem_dup_str(value);
    } else if (strcmp(key, "lang") == 0) {
        a->lang = knowledge_lang_from_code(value);
    }
    return FAIL_NONE;
}

static enum fail check_head(struct reader *r, int line, struct fault *why)
{
    struct knowledge_article *a = r->a;
    if (a->id == NULL || *a->id == '\0' || strlen(a->id) > 120) {
        FAULT(why, FAIL_BAD_REQUEST, "%s line %d: the front matter has no usable `id`", r->file,
              line);
        return fail_hint(why, "Add a line like `id: return-how-to` (at most 120 bytes).");
    }
    if (a->title == NULL || *a->title == '\0' || strlen(a->title) > 500) {
        FAULT(why, FAIL_BAD_REQUEST, "%s line %d: the front matter has no usable `title`", r->file,
              line);
        return fail_hint(why, "Add a line like `title: \"Return an item\"` (at most 500 bytes).");
    }
    a->queue = a->queue != NULL ? a->queue : mem_dup_str("");
    a->updated = a->updated != NULL ? a->updated : mem_dup_str("");
    return FAIL_NONE;
}

/* The file's lines: front matter between two `---`, then the text. */
static enum fail read_lines(struct reader *r, char *text, struct fault *why)
{
    int number = 0;
    enum { BEFORE, HEAD, BODY } part = BEFORE;
    char *next = text;
    for (char *line = text; line != NULL; line = next) {
        number++;
        char *nl = strchr(line, '\n');
        next = nl != NULL ? nl + 1 : NULL;
        if (nl != NULL) {
            *nl = '\0';
        }
        bool rule = strncmp(line, "---", 3) == 0 && strspn(line + 3, " \t\r") == strlen(line + 3);
        enum fail f = FAIL_NONE;
        if (part == BEFORE) {
            if (!rule) {
                FAULT(why, FAIL_BAD_REQUEST, "%s line %d: no front matter", r->file, number);
                return fail_hint(why,
                                 "Start the file with `---`, then `id:` and `title:`, then `---`.");
            }
            part = HEAD;
        } else if (part == HEAD) {
            if (rule) {
                part = BODY;
                f = check_head(r, number, why);
                if (f == FAIL_NONE && r->a->lang == KNOWLEDGE_LANG_OTHER && next != NULL) {
                    r->a->lang = knowledge_guess_lang(next, strlen(next));
                }
            } else {
                f = front_matter_line(r, line, number, why);
            }
        } else {
            take_line(r, line);
        }
        if (f != FAIL_NONE) {
            return f;
        }
    }
    flush(r);
    if (part != BODY) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s line %d: the front matter is not closed by `---`",
                     r->file, number);
    }
    if (r->a->sentence_count == 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s: the article has no text", r->file);
    }
    return FAIL_NONE;
}

enum fail knowledge_article_read(const char *file, const char *text, size_t n,
                                 struct knowledge_article *out, struct fault *why)
{
    *out = (struct knowledge_article){0};
    if (n > KNOWLEDGE_MAX_FILE) {
        FAULT(why, FAIL_TOO_LARGE, "%s is %zu bytes; an article may have %zu", file, n,
              KNOWLEDGE_MAX_FILE);
        return fail_hint(why, "Split it into articles that answer one question each.");
    }
    size_t valid = text_utf8_valid_prefix(text, n);
    const char *nul = memchr(text, '\0', n);
    if (valid != n || nul != NULL) {
        size_t bad = nul != NULL && (size_t)(nul - text) < valid ? (size_t)(nul - text) : valid;
        size_t line = 1;
        for (size_t i = 0; i < bad; i++) {
            line += text[i] == '\n';
        }
        FAULT(why, FAIL_BAD_REQUEST, "%s line %zu: not valid UTF-8 text", file, line);
        return fail_hint(why, "Save the file as UTF-8.");
    }
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    struct reader r = {.file = file, .a = out};
    buf_init(&r.block, KNOWLEDGE_MAX_FILE * 2);
    AUTO_FREE char *copy = mem_dup_strn(text, n);
    enum fail f = read_lines(&r, copy, why);
    buf_done(&r.block);
    if (f != FAIL_NONE) {
        knowledge_article_done(out);
    }
    return f;
}

void knowledge_article_done(struct knowledge_article *a)
{
    for (size_t i = 0; i < a->sentence_count; i++) {
        mem_free(a->sentences[i].text);
    }
    for (size_t i = 0; i < a->heading_count; i++) {
        mem_free(a->headings[i]);
    }
    mem_free(a->headings);
    mem_free(a->sentences);
    mem_free(a->id);
    mem_free(a->title);
    mem_free(a->queue);
    mem_free(a->updated);
    *a = (struct knowledge_article){0};
}
