/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A result as texts: the edited text, a table for people, JSON, a unified diff.
 * Owns: nothing. Threads: pure.
 */
#include <stdio.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"

#define CONTEXT 3
#define RULES_SHOWN 200

void copyedit_put_edited(const struct copyedit_result *r, struct buf *out)
{
    copyedit_put_range(r, 0, r->len, true, out);
}

static bool is_top(const struct copyedit_suggestion *s)
{
    return s->state != COPYEDIT_COVERED;
}

/* ---- Markdown ---- */

/* One line of a table: bars and line ends would break it, back-ticks start code. */
static void put_cell(struct buf *out, const char *s)
{
    size_t n = strlen(s), shown = n > 160 ? text_utf8_cut(s, 160) : n;
    for (size_t i = 0; i < shown; i++) {
        if (s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
            (void)buf_add_char(out, ' ');
        } else {
            if (strchr("|`*_<[\\", s[i]) != NULL) {
                (void)buf_add_char(out, '\\');
            }
            (void)buf_add_char(out, s[i]);
        }
    }
    if (shown < n) {
        (void)buf_add_str(out, "\xE2\x80\xA6");
    }
}

static void put_counts(const struct copyedit_result *r, struct buf *out)
{
    size_t counts[4] = {0};
    for (size_t i = 0; i < r->n; i++) {
        counts[r->items[i].state]++;
    }
    (void)buf_printf(out, "%zu suggestions: %zu applied, %zu offered, %zu noted", r->n,
                     counts[COPYEDIT_APPLIED] + counts[COPYEDIT_COVERED], counts[COPYEDIT_OFFERED],
                     counts[COPYEDIT_NOTED]);
    if (r->asked > 0) {
        (void)buf_printf(out, "; a model rewrote %zu sentences, %zu of them were refused",
                         r->asked, r->refused);
    }
    if (r->dropped > 0) {
        (void)buf_printf(out, "; %zu more are not listed", r->dropped);
    }
    (void)buf_add_str(out, ".\n");
}

static void put_rules(const struct copyedit_result *r, struct buf *out)
{
    (void)buf_add_str(out, "\n| rule | times |\n|---|---|\n");
    size_t shown = 0;
    for (size_t i = 0; i < r->n && shown < RULES_SHOWN; i++) {
        size_t times = 0;
        bool first = true;
        for (size_t k = 0; k < r->n; k++) {
            bool same = strcmp(r->items[i].rule, r->items[k].rule) == 0;
            first = first && !(same && k < i);
            times += same;
        }
        if (first) {
            (void)buf_printf(out, "| %s | %zu |\n", r->items[i].rule, times);
            shown++;
        }
    }
}

void copyedit_put_markdown(const struct copyedit_result *r, const char *name, struct buf *out)
{
    (void)buf_add_str(out, "# Suggestions for ");
    put_cell(out, name[0] != '\0' ? name : "the text");
    (void)buf_add_str(out, "\n\n");
    put_counts(r, out);
    if (r->n == 0) {
        return;
    }
    (void)buf_add_str(out, "\n| line | stands there | instead | rule | weight | state | why |\n"
                           "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *s = &r->items[i];
        (void)buf_printf(out, "| %d:%d | ", s->line, s->column);
        put_cell(out, s->quote);
        (void)buf_add_str(out, " | ");
        put_cell(out, s->replacement == NULL         ? ""
                      : s->replacement[0] == '\0' ? "(nothing)"
                                                  : s->replacement);
        (void)buf_printf(out, " | %s | %s | %s%s | ", s->rule, style_level_name(s->level),
                         copyedit_state_name(s->state), s->by_model ? ", by a model" : "");
        put_cell(out, s->message);
        if (s->held != CHECK_REASON_NONE) {
            (void)buf_printf(out, " Not applied: it would change a %s.",
                             check_reason_name(s->held));
        }
        if (s->link[0] != '\0') {
            (void)buf_printf(out, " [rule](%s)", s->link);
        }
        (void)buf_add_str(out, " |\n");
    }
    put_rules(r, out);
}

/* ---- JSON ---- */

void copyedit_put_json(const struct copyedit_result *r, const char *name, struct buf *out)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "file", name);
    jn_kv_str(&w, "language", knowledge_lang_code(r->lang));
    jn_kv_int(&w, "dropped", (int64_t)r->dropped);
    jn_kv_int(&w, "rewrites_asked", (int64_t)r->asked);
    jn_kv_int(&w, "rewrites_refused", (int64_t)r->refused);
    jn_key(&w, "suggestions");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *s = &r->items[i];
        jn_object_begin(&w);
        jn_kv_int(&w, "at", (int64_t)s->at);
        jn_kv_int(&w, "length", (int64_t)s->len);
        jn_kv_int(&w, "line", s->line);
        jn_kv_int(&w, "column", s->column);
        jn_kv_str(&w, "quote", s->quote);
        jn_kv_str(&w, "replacement", s->replacement);
        jn_kv_str(&w, "rule", s->rule);
        jn_kv_str(&w, "severity", style_level_name(s->level));
        jn_kv_str(&w, "message", s->message);
        jn_kv_str(&w, "link", s->link[0] != '\0' ? s->link : NULL);
        jn_kv_str(&w, "state", copyedit_state_name(s->state));
        jn_kv_str(&w, "by", s->by_model ? "model" : "rule");
        jn_kv_bool(&w, "choose", s->choose);
        jn_kv_str(&w, "held",
                  s->held == CHECK_REASON_NONE ? NULL : check_reason_name(s->held));
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
}

/* ---- the diff ---- */

/* Lines [first, last) of the text that changes touch, each a hunk's heart. */
struct change {
    size_t from, to;   /* bytes, whole lines */
    size_t first, last; /* lines from 0 */
};

static size_t line_start(const struct copyedit_result *r, size_t at)
{
    while (at > 0 && r->text[at - 1] != '\n') {
        at--;
    }
    return at;
}

static size_t line_end(const struct copyedit_result *r, size_t at)
{
    const char *nl = at < r->len ? memchr(r->text + at, '\n', r->len - at) : NULL;
    return nl != NULL ? (size_t)(nl - r->text) + 1 : r->len;
}

static size_t count_lines(const char *s, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++) {
        lines += s[i] == '\n';
    }
    return lines + (n > 0 && s[n - 1] != '\n');
}

static void put_lines(struct buf *out, char mark, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *nl = memchr(s + i, '\n', n - i);
        size_t end = nl != NULL ? (size_t)(nl - s) + 1 : n;
        (void)buf_add_char(out, mark);
        (void)buf_add(out, s + i, end - i);
        if (nl == NULL) {
            (void)buf_add_str(out, "\n\\ No newline at end of file\n");
        }
        i = end;
    }
}

static size_t find_changes(const struct copyedit_result *r, struct change *out)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *s = &r->items[i];
        if (!is_top(s) || s->state != COPYEDIT_APPLIED) {
            continue;
        }
        size_t from = line_start(r, s->at);
        size_t to = line_end(r, s->len > 0 ? s->at + s->len - 1 : s->at);
        if (s->len > 0 && r->text[s->at + s->len - 1] == '\n') {
            to = line_end(r, s->at + s->len); /* the next line is joined to this one */
        }
        if (n > 0 && from < out[n - 1].to) {
            out[n - 1].to = to > out[n - 1].to ? to : out[n - 1].to;
        } else {
            out[n++] = (struct change){.from = from, .to = to};
        }
    }
    for (size_t i = 0; i < n; i++) {
        out[i].first = count_lines(r->text, out[i].from);
        out[i].last = count_lines(r->text, out[i].to);
    }
    return n;
}

static size_t back_lines(const struct copyedit_result *r, size_t at, size_t least, int lines)
{
    while (lines-- > 0 && at > least) {
        at = line_start(r, at - 1);
    }
    return at;
}

static size_t on_lines(const struct copyedit_result *r, size_t at, size_t most, int lines)
{
    while (lines-- > 0 && at < most) {
        at = line_end(r, at);
    }
    return at < most ? at : most;
}

/* Changes [a, b) in one hunk. shift: lines that the edited text has more so far. */
static void put_hunk(const struct copyedit_result *r, const struct change *c, size_t a, size_t b,
                     long *shift, struct buf *out)
{
    struct buf body, part;
    buf_init(&body, STYLE_MAX_TEXT * 4);
    buf_init(&part, STYLE_MAX_TEXT * 2);
    size_t from = back_lines(r, c[a].from, 0, CONTEXT);
    size_t to = on_lines(r, c[b - 1].to, r->len, CONTEXT);
    size_t at = from, added = 0;
    for (size_t i = a; i < b; i++) {
        put_lines(&body, ' ', r->text + at, c[i].from - at);
        put_lines(&body, '-', r->text + c[i].from, c[i].to - c[i].from);
        buf_clear(&part);
        copyedit_put_range(r, c[i].from, c[i].to, true, &part);
        put_lines(&body, '+', part.data != NULL ? part.data : "", part.len);
        added += count_lines(part.data != NULL ? part.data : "", part.len);
        added -= c[i].last - c[i].first; /* may wrap: the sum is what counts */
        at = c[i].to;
    }
    put_lines(&body, ' ', r->text + at, to - at);
    size_t first = count_lines(r->text, from), lines = count_lines(r->text, to) - first;
    (void)buf_printf(out, "@@ -%zu,%zu +%ld,%zu @@\n", first + 1, lines, (long)first + 1 + *shift,
                     lines + added);
    (void)buf_add(out, body.data != NULL ? body.data : "", body.len);
    *shift += (long)added;
    buf_done(&body);
    buf_done(&part);
}

void copyedit_put_diff(const struct copyedit_result *r, const char *name, struct buf *out)
{
    struct change *c = mem_alloc_array(r->n + 1, sizeof(*c));
    size_t n = find_changes(r, c);
    long shift = 0;
    if (n > 0) {
        (void)buf_printf(out, "--- a/%s\n+++ b/%s\n", name, name);
    }
    for (size_t a = 0; a < n;) {
        size_t b = a + 1;
        while (b < n && c[b].first <= c[b - 1].last + 2 * CONTEXT) {
            b++;
        }
        put_hunk(r, c, a, b, &shift, out);
        a = b;
    }
    mem_free(c);
}
