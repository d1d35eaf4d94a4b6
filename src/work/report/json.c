/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as JSON, with the whole trace: every text's spans, every value's cells and operands
 * (docs/reference/standard-report.md says each key).
 * Threads: pure. Limits: the buffer's cap.
 */
#include <string.h>

#include "base/json/json.h"
#include "work/report/report_internal.h"

struct writing {
    const struct report *r;
    struct jn_writer w;
};

static void put_text(struct writing *w, const char *key, const struct report_text *t)
{
    if (key != NULL) {
        jn_key(&w->w, key);
    }
    if (t->text == NULL) {
        jn_put_null(&w->w);
        return;
    }
    jn_object_begin(&w->w);
    jn_kv_str(&w->w, "text", t->text);
    jn_key(&w->w, "spans");
    jn_array_begin(&w->w);
    for (size_t i = 0; i < t->spans_len; i++) {
        jn_object_begin(&w->w);
        jn_kv_int(&w->w, "begin", t->spans[i].begin);
        jn_kv_int(&w->w, "end", t->spans[i].end);
        jn_kv_int(&w->w, "value", t->spans[i].value);
        jn_object_end(&w->w);
    }
    jn_array_end(&w->w);
    jn_object_end(&w->w);
}

static void put_texts(struct writing *w, const char *key, const struct report_text *t, size_t n)
{
    jn_key(&w->w, key);
    jn_array_begin(&w->w);
    for (size_t i = 0; i < n; i++) {
        put_text(w, NULL, &t[i]);
    }
    jn_array_end(&w->w);
}

static void put_cells(void *arg, const char *file, const char *column, uint32_t first,
                      uint32_t last)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "file", file);
    jn_kv_str(w, "column", column);
    jn_kv_int(w, "first_row", first);
    jn_kv_int(w, "last_row", last);
    jn_object_end(w);
}

static void put_value(struct writing *w, const struct report_value *v)
{
    char number[REPORT_NUMBER_SIZE];
    jn_object_begin(&w->w);
    jn_kv_str(&w->w, "how", report_how_name(v->how));
    jn_kv_str(&w->w, "shown", v->shown);
    if (v->is_number) {
        trace_number(v->number, number);
        jn_kv_str(&w->w, "number", number);
        jn_kv_int(&w->w, "decimals", v->decimals);
        jn_kv_str(&w->w, "unit", v->unit);
    }
    if (v->what[0] != '\0') {
        jn_kv_str(&w->w, "metric", v->what);
    }
    if (v->where[0] != '\0') {
        jn_kv_str(&w->w, "where", v->where);
    }
    if (v->line > 0) {
        jn_kv_int(&w->w, "template_line", v->line);
    }
    if (v->cells_len > 0) {
        jn_key(&w->w, "cells");
        jn_array_begin(&w->w);
        trace_each(w->r, v, put_cells, &w->w);
        jn_array_end(&w->w);
    }
    if (v->of_len > 0) {
        jn_key(&w->w, "of");
        jn_array_begin(&w->w);
        for (size_t i = 0; i < v->of_len; i++) {
            jn_put_int(&w->w, v->of[i]);
        }
        jn_array_end(&w->w);
    }
    jn_object_end(&w->w);
}

static void put_chart(struct writing *w, const struct report_chart *c, size_t *charts)
{
    char name[32];
    jn_key(&w->w, "chart");
    if (c == NULL) {
        jn_put_null(&w->w);
        return;
    }
    report_chart_name((*charts)++, name);
    jn_object_begin(&w->w);
    jn_kv_str(&w->w, "file", name);
    jn_kv_str(&w->w, "kind", c->bars ? "bar" : "line");
    put_text(w, "title", &c->title);
    put_text(w, "describe", &c->describe);
    jn_key(&w->w, "points");
    jn_array_begin(&w->w);
    for (size_t i = 0; i < c->points_len; i++) {
        jn_object_begin(&w->w);
        jn_kv_int(&w->w, "label", c->points[i].label);
        jn_key(&w->w, "value");
        if (c->points[i].value == NONE) {
            jn_put_null(&w->w);
        } else {
            jn_put_int(&w->w, c->points[i].value);
        }
        jn_kv_bool(&w->w, "odd", c->points[i].odd);
        jn_object_end(&w->w);
    }
    jn_array_end(&w->w);
    jn_object_end(&w->w);
}

static void put_line(struct writing *w, const struct report_line *l, size_t *charts)
{
    static const char *const keys[] = {"value_text", "before", "change", "target"};
    jn_object_begin(&w->w);
    jn_kv_str(&w->w, "metric", l->name);
    jn_kv_str(&w->w, "column", l->column);
    jn_kv_int(&w->w, "template_line", l->template_line);
    jn_kv_bool(&w->w, "required", l->required);
    jn_kv_str(&w->w, "status", l->missing == NULL ? "made" : "missing");
    if (l->missing != NULL) {
        jn_kv_str(&w->w, "why", l->missing);
    } else {
        jn_kv_int(&w->w, "value", l->value);
    }
    for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
        if (l->cells[k].text != NULL) {
            put_text(w, keys[k], &l->cells[k]);
        }
    }
    put_texts(w, "sentences", l->sentences, l->sentences_len);
    if (l->table != NULL) {
        jn_key(&w->w, "table");
        jn_object_begin(&w->w);
        put_texts(w, "head", l->table->head, l->table->columns);
        put_texts(w, "cells", l->table->cells, l->table->columns * l->table->rows);
        jn_object_end(&w->w);
    }
    put_chart(w, l->chart, charts);
    jn_object_end(&w->w);
}

static void put_part(struct writing *w, const struct report_part *p, size_t *charts)
{
    jn_object_begin(&w->w);
    jn_kv_str(&w->w, "name", p->name);
    put_text(w, "title", &p->title);
    jn_key(&w->w, "rows");
    jn_array_begin(&w->w);
    for (size_t i = 0; i < p->lines_len; i++) {
        put_line(w, &p->lines[i], charts);
    }
    jn_array_end(&w->w);
    for (int dropped = 0; dropped < 2; dropped++) {
        jn_key(&w->w, dropped ? "dropped" : "comments");
        jn_array_begin(&w->w);
        for (size_t i = 0; i < p->comments_len; i++) {
            const struct report_comment *c = &p->comments[i];
            if ((c->verdict != REPORT_CLAIM_OK) != (dropped == 1)) {
                continue;
            }
            jn_object_begin(&w->w);
            if (!dropped) {
                put_text(w, "sentence", &c->text);
            } else {
                jn_kv_str(&w->w, "sentence", c->text.text);
                jn_kv_str(&w->w, "why", report_verdict_name(c->verdict));
                jn_kv_str(&w->w, "detail", c->detail);
            }
            jn_object_end(&w->w);
        }
        jn_array_end(&w->w);
    }
    jn_object_end(&w->w);
}

static void put_files(struct writing *w)
{
    const struct report_table *t = w->r->table;
    jn_key(&w->w, "files");
    jn_array_begin(&w->w);
    for (size_t i = 0; i < t->files_len; i++) {
        jn_object_begin(&w->w);
        jn_kv_str(&w->w, "name", t->files[i].name);
        jn_kv_str(&w->w, "format", t->files[i].format);
        jn_kv_str(&w->w, "sha256", t->files[i].sha256);
        jn_object_end(&w->w);
    }
    jn_array_end(&w->w);
}

static void put_odd(struct writing *w)
{
    jn_key(&w->w, "anomalies");
    jn_array_begin(&w->w);
    for (size_t i = 0; i < w->r->odd_len; i++) {
        const struct report_odd *o = &w->r->odd[i];
        jn_object_begin(&w->w);
        jn_kv_str(&w->w, "metric", o->metric);
        jn_kv_str(&w->w, "column", o->column);
        jn_kv_int(&w->w, "period", o->period);
        jn_kv_int(&w->w, "value", o->value);
        if (o->low != NONE && o->high != NONE) {
            jn_kv_int(&w->w, "low", o->low);
            jn_kv_int(&w->w, "high", o->high);
        }
        jn_object_end(&w->w);
    }
    jn_array_end(&w->w);
}

bool report_write_json(const struct report *r, struct buf *out)
{
    struct writing w = {.r = r};
    char detail[8];
    size_t charts = 0;
    jn_begin(&w.w, out, false);
    jn_object_begin(&w.w);
    put_text(&w, "title", &r->title);
    jn_kv_str(&w.w, "language", r->language);
    put_files(&w);
    jn_key(&w.w, "sections");
    jn_array_begin(&w.w);
    for (size_t p = 0; p < r->parts_len; p++) {
        put_part(&w, &r->parts[p], &charts);
    }
    jn_array_end(&w.w);
    put_odd(&w);
    jn_key(&w.w, "values");
    jn_array_begin(&w.w);
    for (size_t i = 0; i < r->values_len; i++) {
        put_value(&w, &r->values[i]);
    }
    jn_array_end(&w.w);
    jn_key(&w.w, "notes");
    jn_array_begin(&w.w);
    for (size_t i = 0; i < r->notes_len; i++) {
        jn_put_str(&w.w, r->notes[i]);
    }
    jn_array_end(&w.w);
    jn_kv_int(&w.w, "missing_required", (int64_t)r->missing_required);
    jn_kv_int(&w.w, "untraced", (int64_t)report_untraced(r, detail, 0));
    jn_object_end(&w.w);
    (void)buf_add_char(out, '\n');
    return !out->overflow;
}
