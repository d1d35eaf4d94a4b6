/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a value comes from, for footnotes and for the check that nothing is untraced.
 * Threads: pure. Limits: words name PLACES_SAID stretches of cells and count the others.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "work/report/report_internal.h"

#define PLACES_SAID 6

void trace_number(struct report_decimal d, char out[REPORT_NUMBER_SIZE])
{
    report_decimal_show(d, d.scale, '.', '\0', out);
}

void trace_each(const struct report *r, const struct report_value *v, trace_fn fn, void *arg)
{
    const struct report_table *t = r->table;
    for (size_t i = 0; i < v->cells_len; i++) {
        const struct report_range *c = &v->cells[i];
        for (uint32_t from = c->first, row = c->first; row <= c->last; row++) {
            bool end = row == c->last || t->places[row + 1].file != t->places[from].file ||
                       t->places[row + 1].row != t->places[row].row + 1;
            if (end) {
                fn(arg, t->files[t->places[from].file].name, t->columns[c->column].name,
                   t->places[from].row, t->places[row].row);
                from = row + 1;
            }
        }
    }
}

struct saying {
    struct buf *out;
    const char *file, *column;
    size_t said, more;
};

static void say_place(void *arg, const char *file, const char *column, uint32_t first,
                      uint32_t last)
{
    struct saying *s = arg;
    if (s->said++ >= PLACES_SAID) {
        s->more++;
        return;
    }
    bool new_file = s->file == NULL || strcmp(s->file, file) != 0;
    (void)buf_add_str(s->out, s->said == 1 ? "" : "; ");
    if (new_file) {
        (void)buf_printf(s->out, "%s ", file);
    }
    (void)(first == last ? buf_printf(s->out, "row %u", first)
                         : buf_printf(s->out, "rows %u to %u", first, last));
    if (s->column == NULL || strcmp(s->column, column) != 0) {
        (void)buf_printf(s->out, ", %s", column);
    }
    s->file = file;
    s->column = column;
}

static void say_cells(const struct report *r, const struct report_value *v, struct buf *out)
{
    struct saying s = {.out = out};
    trace_each(r, v, say_place, &s);
    if (s.more > 0) {
        (void)buf_printf(out, "; and %zu more", s.more);
    }
}

static void say_operands(const struct report *r, const struct report_value *v, const char *between,
                         struct buf *out)
{
    for (size_t i = 0; i < v->of_len && i < PLACES_SAID; i++) {
        const struct report_value *o = &r->values[v->of[i]];
        (void)buf_printf(out, "%s%s", i == 0 ? "" : between, o->shown);
        if (o->cells_len > 0) {
            (void)buf_add_str(out, " (");
            say_cells(r, o, out);
            (void)buf_add_str(out, ")");
        }
    }
    if (v->of_len > PLACES_SAID) {
        (void)buf_printf(out, " and %zu more", v->of_len - PLACES_SAID);
    }
}

void report_trace(const struct report *r, uint32_t value, struct buf *out)
{
    const struct report_value *v = &r->values[value];
    char exact[REPORT_NUMBER_SIZE];
    switch (v->how) {
    case REPORT_HOW_CELL:
    case REPORT_HOW_LABEL:
        say_cells(r, v, out);
        break;
    case REPORT_HOW_TEMPLATE:
        (void)buf_printf(out, "the template, line %d", v->line);
        break;
    case REPORT_HOW_NAME:
        (void)buf_add_str(out, "the name of a column or file");
        break;
    case REPORT_HOW_RATIO:
    case REPORT_HOW_SHARE:
        (void)buf_add_str(out, "100 x ");
        say_operands(r, v, " / ", out);
        break;
    case REPORT_HOW_CHANGE:
    case REPORT_HOW_CHANGE_SIZE:
    case REPORT_HOW_REST:
        say_operands(r, v, " - ", out);
        break;
    case REPORT_HOW_PERCENT:
    case REPORT_HOW_PERCENT_SIZE:
        (void)buf_add_str(out, "change in percent from the second to the first: ");
        say_operands(r, v, ", ", out);
        break;
    case REPORT_HOW_PERIODS:
        (void)buf_printf(out, "count of the %zu periods with a value", v->of_len);
        break;
    case REPORT_HOW_BOUND:
        (void)buf_printf(out, "limit of the usual range of %zu values: ", v->of_len);
        say_operands(r, v, ", ", out);
        break;
    case REPORT_HOW_SUM:
    case REPORT_HOW_MEAN:
    case REPORT_HOW_MEDIAN:
    case REPORT_HOW_MIN:
    case REPORT_HOW_MAX:
    case REPORT_HOW_COUNT:
    case REPORT_HOW_DISTINCT:
    case REPORT_HOW_ITEMS:
    case REPORT_HOW_ROWS:
    case REPORT_HOWS_COUNT:
    default:
        (void)buf_printf(out, "%s of ", report_how_name(v->how));
        say_cells(r, v, out);
    }
    if (v->is_number && v->how != REPORT_HOW_TEMPLATE && v->number.scale > v->decimals) {
        trace_number(v->number, exact);
        (void)buf_printf(out, "; rounded from %s", exact);
    }
}

/* ---- nothing untraced ---- */

static bool is_digit(char c)
{
    return isdigit((unsigned char)c) != 0;
}

/* Every digit lies in a span, and every span's bytes are its value. */
static bool text_is_traced(const struct report *r, const struct report_text *t)
{
    size_t at = 0;
    for (size_t i = 0; i <= t->spans_len; i++) {
        size_t begin = i < t->spans_len ? t->spans[i].begin : strlen(t->text);
        for (; at < begin; at++) {
            if (is_digit(t->text[at])) {
                return false;
            }
        }
        if (i == t->spans_len) {
            break;
        }
        const struct report_value *v = &r->values[t->spans[i].value];
        size_t len = t->spans[i].end - t->spans[i].begin;
        if (strlen(v->shown) != len || memcmp(v->shown, t->text + begin, len) != 0) {
            return false;
        }
        at = t->spans[i].end;
    }
    return true;
}

/* A value that is one cell is read again from the cell's own text. */
static bool cell_is_true(const struct report *r, const struct report_value *v)
{
    struct report_number n;
    if (v->how != REPORT_HOW_CELL) {
        return v->how == REPORT_HOW_TEMPLATE ? v->line > 0 || v->shown[0] == '\0'
               : v->how == REPORT_HOW_NAME   ? true
                                             : v->cells_len > 0 || v->of_len > 0;
    }
    const struct report_column *c = &r->table->columns[v->cells[0].column];
    const struct report_cell *cell = report_table_cell(r->table, v->cells[0].first,
                                                       v->cells[0].column);
    return report_number_read(cell->text, strlen(cell->text), c->mark, &n) &&
           report_decimal_compare(n.value, v->number) == 0;
}

struct auditing {
    const struct report *r;
    size_t wrong;
    char *detail;
    size_t room;
};

static void audit(struct auditing *a, const struct report_text *t)
{
    if (t->text == NULL) {
        return;
    }
    bool ok = text_is_traced(a->r, t);
    for (size_t i = 0; i < t->spans_len && ok; i++) {
        ok = cell_is_true(a->r, &a->r->values[t->spans[i].value]);
    }
    if (!ok && a->wrong++ == 0 && a->room > 0) {
        (void)text_copy(a->detail, a->room, t->text);
    }
}

static void audit_line(struct auditing *a, const struct report_line *l)
{
    for (size_t i = 0; i < REPORT_LINE_CELLS; i++) {
        audit(a, &l->cells[i]);
    }
    for (size_t i = 0; i < l->sentences_len; i++) {
        audit(a, &l->sentences[i]);
    }
    for (size_t i = 0; l->table != NULL && i < l->table->columns; i++) {
        audit(a, &l->table->head[i]);
    }
    for (size_t i = 0; l->table != NULL && i < l->table->columns * l->table->rows; i++) {
        audit(a, &l->table->cells[i]);
    }
    if (l->chart != NULL) {
        audit(a, &l->chart->title);
        audit(a, &l->chart->describe);
    }
}

size_t report_untraced(const struct report *r, char *detail, size_t room)
{
    struct auditing a = {r, 0, detail, room};
    audit(&a, &r->title);
    for (size_t p = 0; p < r->parts_len; p++) {
        audit(&a, &r->parts[p].title);
        for (size_t i = 0; i < r->parts[p].lines_len; i++) {
            audit_line(&a, &r->parts[p].lines[i]);
        }
        for (size_t i = 0; i < r->parts[p].comments_len; i++) {
            if (r->parts[p].comments[i].verdict == REPORT_CLAIM_OK) {
                audit(&a, &r->parts[p].comments[i].text);
            }
        }
    }
    return a.wrong;
}
