/* SPDX-License-Identifier: Apache-2.0 */
/* The tables a reviewer reads: the source beside the target, what it is from, and why it is not
   done. Threads: none. Limits: the buffer's cap. */
#include <string.h>

#include "base/json/json.h"
#include "work/localize/localize_internal.h"

static void count(const struct localize_table *t, size_t *done)
{
    *done = 0;
    for (size_t i = 0; i < t->len; i++) {
        *done += t->rows[i].done ? 1 : 0;
    }
}

/* ---- Markdown ---- */

static void cell(struct buf *out, const char *s)
{
    (void)buf_add_str(out, " ");
    for (const char *p = s; *p != '\0'; p++) {
        (void)(*p == '|'    ? buf_add_str(out, "\\|")
               : *p == '\n' ? buf_add_str(out, "<br>")
               : *p == '<'  ? buf_add_str(out, "&lt;")
               : *p == '&'  ? buf_add_str(out, "&amp;")
               : *p == '\t' ? buf_add_str(out, " ")
                            : buf_add_char(out, *p));
    }
    (void)buf_add_str(out, " |");
}

static void rows(const struct localize_table *t, bool done, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < t->len; i++) {
        const struct localize_row *r = &t->rows[i];
        if (r->done != done) {
            continue;
        }
        if (first) {
            (void)buf_printf(out, "\n## %s\n\n| where | source | target | from | %s |\n"
                                  "|---|---|---|---|---|\n",
                             done ? "Done" : "Needs review", done ? "note" : "reason");
        }
        first = false;
        (void)buf_add_str(out, "|");
        cell(out, r->id);
        cell(out, r->source);
        cell(out, r->target);
        cell(out, r->by);
        cell(out, r->reason);
        (void)buf_add_str(out, "\n");
    }
}

void localize_show_markdown(const struct localize_table *t, struct buf *out)
{
    size_t done;
    count(t, &done);
    (void)buf_printf(out, "# %s\n\n%s to %s: %zu strings, %zu done, %zu need review.\n", t->title,
                     t->source_lang, t->target_lang, t->len, done, t->len - done);
    rows(t, false, out);
    rows(t, true, out);
}

/* ---- HTML ---- */

static void html(struct buf *out, const char *s)
{
    for (const char *p = s; *p != '\0'; p++) {
        (void)(*p == '<'   ? buf_add_str(out, "&lt;")
               : *p == '>' ? buf_add_str(out, "&gt;")
               : *p == '&' ? buf_add_str(out, "&amp;")
               : *p == '"' ? buf_add_str(out, "&quot;")
                           : buf_add_char(out, *p));
    }
}

static void html_cell(struct buf *out, const char *lang, const char *s)
{
    (void)buf_add_str(out, "<td");
    if (lang != NULL) {
        (void)buf_add_str(out, " dir=\"auto\" lang=\"");
        html(out, lang);
        (void)buf_add_str(out, "\"");
    }
    (void)buf_add_str(out, ">");
    html(out, s);
    (void)buf_add_str(out, "</td>");
}

void localize_show_html(const struct localize_table *t, struct buf *out)
{
    size_t done;
    count(t, &done);
    (void)buf_add_str(out,
                      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    html(out, t->title);
    (void)buf_add_str(
        out, "</title><style>body{font:15px/1.4 system-ui,sans-serif;margin:2em}"
             "table{border-collapse:collapse;width:100%}td,th{border:1px solid #bbb;"
             "padding:.4em;vertical-align:top;text-align:left;white-space:pre-wrap}"
             "tr.open td:first-child{border-left:4px solid #b45309}</style></head><body><h1>");
    html(out, t->title);
    (void)buf_printf(out, "</h1><p>%zu strings: %zu done, %zu need review.</p>\n<table><thead><tr>"
                          "<th scope=\"col\">where</th><th scope=\"col\">source</th>"
                          "<th scope=\"col\">target</th><th scope=\"col\">before</th>"
                          "<th scope=\"col\">from</th><th scope=\"col\">state</th>"
                          "<th scope=\"col\">reason</th></tr></thead><tbody>\n",
                     t->len, done, t->len - done);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < t->len; i++) {
            const struct localize_row *r = &t->rows[i];
            if (r->done != (pass == 1)) {
                continue;
            }
            (void)buf_add_str(out, r->done ? "<tr>" : "<tr class=\"open\">");
            html_cell(out, NULL, r->id);
            html_cell(out, t->source_lang, r->source);
            html_cell(out, t->target_lang, r->target);
            html_cell(out, t->target_lang, r->was);
            html_cell(out, NULL, r->by);
            html_cell(out, NULL, r->done ? "done" : "needs review");
            html_cell(out, NULL, r->reason);
            (void)buf_add_str(out, "</tr>\n");
        }
    }
    (void)buf_add_str(out, "</tbody></table></body></html>\n");
}

/* ---- JSON ---- */

void localize_show_json(const struct localize_table *t, struct buf *out)
{
    struct jn_writer w;
    size_t done;
    count(t, &done);
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "source_language", t->source_lang);
    jn_kv_str(&w, "target_language", t->target_lang);
    jn_kv_int(&w, "strings", (int64_t)t->len);
    jn_kv_int(&w, "done", (int64_t)done);
    jn_key(&w, "items");
    jn_array_begin(&w);
    for (size_t i = 0; i < t->len; i++) {
        const struct localize_row *r = &t->rows[i];
        jn_object_begin(&w);
        jn_kv_str(&w, "file", r->file);
        jn_kv_str(&w, "id", r->id);
        jn_kv_str(&w, "context", r->context);
        jn_kv_str(&w, "source", r->source);
        jn_kv_str(&w, "target", r->target);
        jn_kv_str(&w, "before", r->was);
        jn_kv_str(&w, "from", r->by);
        jn_kv_str(&w, "state", r->done ? "done" : "needs review");
        jn_kv_str(&w, "reason", r->reason);
        jn_kv_real(&w, "confidence", r->confidence, 4);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    (void)buf_add_char(out, '\n');
}
