/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML, one file: no script, nothing loaded from elsewhere, light and dark; every number is a link
 * to the line that says where it comes from.
 * Threads: pure. Limits: the buffer's cap.
 */
#include <string.h>

#include "work/report/report_internal.h"

static const char head[] =
    "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\"><style>:root{color-scheme:light dark}body{font:16px/1.5 "
    "system-ui,sans-serif;"
    "max-width:50rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{padding:.25rem .75rem;border-bottom:1px solid #8886;text-align:right}"
    "th:first-child,td:first-child{text-align:left}a.v{color:inherit;text-decoration:underline "
    "dotted;"
    "text-underline-offset:.2em}svg{max-width:100%;height:auto}.soft{opacity:.75;font-size:.85rem}"
    ":target{outline:2px solid}#sources td,#sources th{text-align:left}</style>";

void html_escape(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *as = s[i] == '&'   ? "&amp;"
                         : s[i] == '<' ? "&lt;"
                         : s[i] == '>' ? "&gt;"
                         : s[i] == '"' ? "&quot;"
                         : s[i] == '\'' ? "&#39;"
                                       : NULL;
        (void)(as != NULL ? buf_add_str(out, as) : buf_add_char(out, s[i]));
    }
}

struct writing {
    const struct report *r;
    struct buf *out;
    bool *used; /* values that a text shows */
};

static void put(struct writing *w, const char *s)
{
    html_escape(w->out, s, strlen(s));
}

static void put_text(struct writing *w, const struct report_text *t)
{
    size_t at = 0;
    if (t->text == NULL) {
        return;
    }
    for (size_t i = 0; i < t->spans_len; i++) {
        const struct report_span *s = &t->spans[i];
        html_escape(w->out, t->text + at, s->begin - at);
        w->used[s->value] = true;
        (void)buf_printf(w->out, "<a class=\"v\" href=\"#v%u\">", s->value);
        html_escape(w->out, t->text + s->begin, s->end - s->begin);
        (void)buf_add_str(w->out, "</a>");
        at = s->end;
    }
    html_escape(w->out, t->text + at, strlen(t->text) - at);
}

static void put_head(struct writing *w, enum word word)
{
    (void)buf_add_str(w->out, "<th scope=\"col\">");
    put(w, w->r->made_by->words[word]);
    (void)buf_add_str(w->out, "</th>");
}

static void put_overview(struct writing *w, const struct report_part *part)
{
    (void)buf_add_str(w->out, "<table><thead><tr>");
    put_head(w, WORD_HEAD_METRIC);
    put_head(w, WORD_HEAD_VALUE);
    put_head(w, WORD_HEAD_BEFORE);
    put_head(w, WORD_HEAD_CHANGE);
    put_head(w, WORD_HEAD_TARGET);
    (void)buf_add_str(w->out, "</tr></thead><tbody>");
    for (size_t i = 0; i < part->lines_len; i++) {
        const struct report_line *l = &part->lines[i];
        (void)buf_add_str(w->out, "<tr><th scope=\"row\">");
        put(w, l->name);
        (void)buf_add_str(w->out, "</th>");
        for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
            (void)buf_add_str(w->out, "<td>");
            if (k == 0 && l->missing != NULL) {
                put(w, w->r->made_by->words[WORD_MISSING]);
            }
            put_text(w, &l->cells[k]);
            (void)buf_add_str(w->out, "</td>");
        }
        (void)buf_add_str(w->out, "</tr>");
    }
    (void)buf_add_str(w->out, "</tbody></table>\n");
}

static void put_table(struct writing *w, const struct report_grid_text *t)
{
    (void)buf_add_str(w->out, "<table><thead><tr>");
    for (size_t c = 0; c < t->columns; c++) {
        (void)buf_add_str(w->out, "<th scope=\"col\">");
        put_text(w, &t->head[c]);
        (void)buf_add_str(w->out, "</th>");
    }
    (void)buf_add_str(w->out, "</tr></thead><tbody>");
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        (void)buf_add_str(w->out, i % t->columns == 0 ? "<tr><td>" : "<td>");
        put_text(w, &t->cells[i]);
        (void)buf_add_str(w->out, i % t->columns + 1 == t->columns ? "</td></tr>" : "</td>");
    }
    (void)buf_add_str(w->out, "</tbody></table>\n");
}

static void put_line(struct writing *w, const struct report_line *l, size_t *chart)
{
    if (l->sentences_len > 0 || l->missing != NULL) {
        (void)buf_add_str(w->out, "<ul>");
        for (size_t i = 0; i < l->sentences_len; i++) {
            (void)buf_add_str(w->out, "<li>");
            put_text(w, &l->sentences[i]);
            (void)buf_add_str(w->out, "</li>");
        }
        if (l->missing != NULL) {
            (void)buf_add_str(w->out, "<li>");
            put(w, l->name);
            (void)buf_add_str(w->out, ": ");
            put(w, w->r->made_by->words[WORD_MISSING]);
            (void)buf_printf(w->out, " (%s).</li>", l->missing);
        }
        (void)buf_add_str(w->out, "</ul>\n");
    }
    if (l->table != NULL) {
        put_table(w, l->table);
    }
    if (l->chart != NULL) {
        for (size_t i = 0; i < l->chart->points_len; i++) {
            w->used[l->chart->points[i].label] = true;
            if (l->chart->points[i].value != NONE) {
                w->used[l->chart->points[i].value] = true;
            }
        }
        svg_write(w->r, l->chart, (*chart)++, false, w->out);
        (void)buf_add_char(w->out, '\n');
    }
}

static void put_sources(struct writing *w)
{
    (void)buf_add_str(w->out, "<h2 id=\"sources\">");
    put(w, w->r->made_by->words[WORD_SOURCES]);
    (void)buf_add_str(w->out, "</h2><table class=\"soft\"><tbody>");
    for (uint32_t v = 0; v < w->r->values_len; v++) {
        if (!w->used[v]) {
            continue;
        }
        struct buf words;
        buf_init(&words, 64 * 1024);
        report_trace(w->r, v, &words);
        (void)buf_printf(w->out, "<tr id=\"v%u\"><td>", v);
        put(w, w->r->values[v].shown);
        (void)buf_add_str(w->out, "</td><td>");
        html_escape(w->out, words.data == NULL ? "" : words.data, words.len);
        (void)buf_add_str(w->out, "</td></tr>\n");
        buf_done(&words);
    }
    (void)buf_add_str(w->out, "</tbody></table>");
}

bool report_write_html(const struct report *r, struct buf *out)
{
    struct writing w = {.r = r, .out = out};
    size_t chart = 0;
    w.used = mem_alloc_array(r->values_len + 1, sizeof(*w.used));
    (void)buf_add_str(out, "<!doctype html>\n<html lang=\"");
    put(&w, r->language);
    (void)buf_printf(out, "\"><head>%s<title>", head);
    put(&w, r->title.text);
    (void)buf_add_str(out, "</title></head><body><h1>");
    put_text(&w, &r->title);
    (void)buf_add_str(out, "</h1>\n");
    for (size_t p = 0; p < r->parts_len; p++) {
        const struct report_part *part = &r->parts[p];
        (void)buf_add_str(out, "<section><h2>");
        put_text(&w, &part->title);
        (void)buf_add_str(out, "</h2>\n");
        put_overview(&w, part);
        for (size_t i = 0; i < part->lines_len; i++) {
            put_line(&w, &part->lines[i], &chart);
        }
        for (size_t i = 0; i < part->comments_len; i++) {
            if (part->comments[i].verdict == REPORT_CLAIM_OK) {
                (void)buf_add_str(out, "<p>");
                put_text(&w, &part->comments[i].text);
                (void)buf_add_str(out, "</p>\n");
            }
        }
        (void)buf_add_str(out, "</section>\n");
    }
    for (size_t i = 0; i < r->notes_len; i++) {
        (void)buf_add_str(out, "<p class=\"soft\">");
        put(&w, r->notes[i]);
        (void)buf_add_str(out, "</p>\n");
    }
    put_sources(&w);
    (void)buf_add_str(out, "</body></html>\n");
    mem_free(w.used);
    return !out->overflow;
}
