/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What numbers follow from cells: themselves rounded, differences, changes, shares, sums, means.
 * Owns: nothing. Threads: pure. Limits: MAX_COLUMN rows of a column are computed with.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/cells_internal.h"

#define MAX_COLUMN 100000

bool check_cell_value(const struct check_table *t, uint32_t row, uint32_t column,
                      struct check_value *out)
{
    if (row >= t->row_count || column >= t->column_count) {
        return false;
    }
    const char *cell = t->cells[(size_t)row * t->column_count + column];
    return cell != NULL && cell[0] != '\0' && check_read_number(cell, t->lang, out);
}

static double trailing_step(double v)
{
    double step = 1;
    while (step < 1e15 && fabs(v) >= step * 10 && fmod(fabs(v), step * 10) < 1e-9) {
        step *= 10;
    }
    return step;
}

/* Is the exact value written as v is, rounded as it is written? */
static bool written_as(const struct cells_ask *ask, double exact, bool any_sign)
{
    double v = ask->v->number, step = ask->v->step;
    if (any_sign && v >= 0) {
        exact = fabs(exact);
    }
    double slack = 1e-9 * (1 + fabs(exact));
    if (fabs(exact - v) <= step / 2 + slack) {
        return true;
    }
    if ((ask->claims & CLAIM_OVER) && v > 0) {
        return exact >= v && exact <= v * 1.1;
    }
    if ((ask->claims & CLAIM_UNDER) && v > 0) {
        return exact <= v && exact >= v * 0.9;
    }
    if (ask->claims & CLAIM_ABOUT) {
        step = fmax(step, trailing_step(v));
        return fabs(exact - v) <= step / 2 + slack && step <= fmax(fabs(v) / 5, 1);
    }
    return false;
}

/* Shares kept as 0.123 are spoken of as 12.3 %. */
static bool is_fraction(const struct cells_ask *ask, const struct check_value *cell)
{
    return ask->v->kind == CHECK_VALUE_PERCENT && cell->kind == CHECK_VALUE_NUMBER &&
           fabs(cell->number) <= 1 && cell->step < 1;
}

static bool is_cell(const struct cells_ask *ask, uint32_t row, struct check_trace *t)
{
    struct check_value c;
    bool moves = (ask->claims & (CLAIM_UP | CLAIM_DOWN)) != 0;
    if (!check_cell_value(ask->table, row, ask->column, &c)) {
        return false;
    }
    double exact = is_fraction(ask, &c) ? c.number * 100 : c.number;
    bool down = moves && c.number < 0 && (ask->claims & CLAIM_DOWN);
    if (!written_as(ask, exact, down)) {
        return false;
    }
    t->row = row;
    t->value = exact;
    return true;
}

static bool pair(const struct cells_ask *ask, struct check_value *a, struct check_value *b)
{
    return ask->base != UINT32_MAX && ask->row != UINT32_MAX && ask->base != ask->row &&
           check_cell_value(ask->table, ask->row, ask->column, a) &&
           check_cell_value(ask->table, ask->base, ask->column, b);
}

int check_direction(const struct cells_ask *ask)
{
    struct check_value a, b;
    if (!pair(ask, &a, &b)) {
        return 2;
    }
    double d = a.number - b.number;
    return fabs(d) < 1e-9 * (1 + fabs(a.number)) ? 0 : d > 0 ? 1 : -1;
}

static bool sign_fits(const struct cells_ask *ask, double d)
{
    bool up = (ask->claims & CLAIM_UP) != 0, down = (ask->claims & CLAIM_DOWN) != 0;
    return up == down || (up ? d > 0 : d < 0);
}

static enum check_how from_pair(const struct cells_ask *ask, struct check_trace *t)
{
    struct check_value a, b;
    if (!pair(ask, &a, &b)) {
        return CHECK_HOW_NONE;
    }
    double d = a.number - b.number;
    t->row = ask->row;
    t->to_row = ask->base;
    if ((ask->claims & CLAIM_TIMES) && fabs(b.number) > 0) {
        t->value = a.number / b.number;
        return written_as(ask, t->value, false) ? CHECK_HOW_RATIO : CHECK_HOW_NONE;
    }
    if (!(ask->claims & CLAIM_DIFFERENCE) || !sign_fits(ask, d)) {
        return CHECK_HOW_NONE;
    }
    if (ask->v->kind == CHECK_VALUE_PERCENT) {
        double points = is_fraction(ask, &a) ? d * 100 : d;
        bool shares = a.kind == CHECK_VALUE_PERCENT || is_fraction(ask, &a);
        if (shares && written_as(ask, points, true)) {
            t->value = points;
            return CHECK_HOW_DIFFERENCE;
        }
        t->value = fabs(b.number) > 0 ? d / fabs(b.number) * 100 : NAN;
        return fabs(b.number) > 0 && written_as(ask, t->value, true) ? CHECK_HOW_CHANGE
                                                                     : CHECK_HOW_NONE;
    }
    t->value = d;
    return written_as(ask, d, true) ? CHECK_HOW_DIFFERENCE : CHECK_HOW_NONE;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct column {
    double *values;
    size_t count;
    double sum;
};

static void read_column(const struct cells_ask *ask, struct column *c)
{
    size_t rows = ask->row_count > 0 ? ask->row_count : ask->table->row_count;
    rows = rows < MAX_COLUMN ? rows : 0;
    *c = (struct column){.values = mem_alloc_array(rows + 1, sizeof(double))};
    for (size_t i = 0; i < rows; i++) {
        struct check_value v;
        if (check_cell_value(ask->table, ask->row_count > 0 ? ask->rows[i] : (uint32_t)i,
                             ask->column, &v)) {
            c->values[c->count++] = v.number;
            c->sum += v.number;
        }
    }
    qsort(c->values, c->count, sizeof(double), by_value);
}

bool check_is_extreme(const struct cells_ask *ask, uint32_t row, bool largest)
{
    struct column c;
    struct check_value v;
    read_column(ask, &c);
    bool is = c.count > 0 && check_cell_value(ask->table, row, ask->column, &v) &&
              fabs(v.number - (largest ? c.values[c.count - 1] : c.values[0])) < 1e-9;
    mem_free(c.values);
    return is;
}

static enum check_how from_column(const struct cells_ask *ask, struct check_trace *t)
{
    struct column c;
    enum check_how how = CHECK_HOW_NONE;
    read_column(ask, &c);
    struct {
        unsigned claim;
        enum check_how how;
        double value;
    } tries[] = {
        {CLAIM_SUM, CHECK_HOW_SUM, c.sum},
        {CLAIM_MEAN, CHECK_HOW_MEAN, c.count > 0 ? c.sum / (double)c.count : NAN},
        {CLAIM_MEDIAN, CHECK_HOW_MEDIAN,
         c.count > 0 ? (c.values[(c.count - 1) / 2] + c.values[c.count / 2]) / 2 : NAN},
        {CLAIM_HIGHEST, CHECK_HOW_MAX, c.count > 0 ? c.values[c.count - 1] : NAN},
        {CLAIM_LOWEST, CHECK_HOW_MIN, c.count > 0 ? c.values[0] : NAN},
        {CLAIM_ROWS, CHECK_HOW_COUNT, (double)(ask->row_count > 0 ? ask->row_count
                                                                  : ask->table->row_count)}};
    for (size_t i = 0; i < COUNT_OF(tries) && how == CHECK_HOW_NONE; i++) {
        if ((ask->claims & tries[i].claim) && !isnan(tries[i].value) &&
            written_as(ask, tries[i].value, false)) {
            how = tries[i].how;
            t->value = tries[i].value;
        }
    }
    struct check_value v;
    if (how == CHECK_HOW_NONE && (ask->claims & CLAIM_SHARE) &&
        ask->v->kind == CHECK_VALUE_PERCENT && ask->row != UINT32_MAX && fabs(c.sum) > 0 &&
        check_cell_value(ask->table, ask->row, ask->column, &v)) {
        t->value = v.number / c.sum * 100;
        t->row = ask->row;
        how = written_as(ask, t->value, false) ? CHECK_HOW_SHARE : CHECK_HOW_NONE;
    }
    mem_free(c.values);
    return how;
}

/* "40 of 120 tickets, 33 %": a share of another column of the same row. */
static enum check_how of_column(const struct cells_ask *ask, struct check_trace *t)
{
    struct check_value a, b;
    if (!(ask->claims & CLAIM_SHARE) || ask->v->kind != CHECK_VALUE_PERCENT ||
        !check_cell_value(ask->table, ask->row, ask->column, &a)) {
        return CHECK_HOW_NONE;
    }
    for (uint32_t c = 0; c < ask->table->column_count; c++) {
        if (c == ask->column || !check_cell_value(ask->table, ask->row, c, &b) || b.number <= 0 ||
            t->to_column != c) {
            continue;
        }
        t->value = a.number / b.number * 100;
        t->row = ask->row;
        return written_as(ask, t->value, false) ? CHECK_HOW_SHARE : CHECK_HOW_NONE;
    }
    return CHECK_HOW_NONE;
}

enum check_how check_explain(const struct cells_ask *ask, struct check_trace *trace)
{
    unsigned over_column = CLAIM_SUM | CLAIM_MEAN | CLAIM_MEDIAN | CLAIM_HIGHEST | CLAIM_LOWEST |
                           CLAIM_SHARE | CLAIM_ROWS;
    uint32_t row = ask->row;
    if (ask->claims & CLAIM_BASE) {
        row = ask->base != UINT32_MAX ? ask->base : row;
    }
    trace->table = ask->table_index;
    trace->column = ask->column;
    bool summed = (ask->claims & (CLAIM_SUM | CLAIM_MEAN | CLAIM_MEDIAN)) != 0;
    enum check_how how = CHECK_HOW_NONE;
    if (ask->claims & over_column) {
        how = from_column(ask, trace);
        how = how != CHECK_HOW_NONE ? how : of_column(ask, trace);
    }
    if (how == CHECK_HOW_NONE) {
        how = from_pair(ask, trace);
    }
    if (how == CHECK_HOW_NONE && row != UINT32_MAX && !summed && is_cell(ask, row, trace)) {
        trace->to_row = UINT32_MAX;
        how = CHECK_HOW_CELL;
    }
    if (how == CHECK_HOW_NONE && row != UINT32_MAX && summed && is_cell(ask, row, trace)) {
        how = CHECK_HOW_CELL; /* a column that is called "total" holds its sums itself */
    }
    return how;
}
