/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: numbers computed from cells, and from values, with the cells they came from.
 * Threads: one. Limits: REPORT_VALUES_MAX.
 */
#include <stdio.h>
#include <string.h>

#include "work/report/report_internal.h"

uint32_t value_add(struct maker *m, const struct report_value *v)
{
    if (m->values_len == REPORT_VALUES_MAX) {
        m->overflow = true;
        return 0;
    }
    if (m->values_len == m->values_room) {
        m->values_room = m->values_room == 0 ? 256 : m->values_room * 2;
        m->values = mem_realloc(m->values, m->values_room * sizeof(*m->values));
    }
    struct report_value *to = &m->values[m->values_len];
    *to = *v;
    to->shown = v->shown == NULL ? "" : arena_dup_str(m->arena, v->shown);
    to->unit = v->unit == NULL ? "" : arena_dup_str(m->arena, v->unit);
    to->what = v->what == NULL ? "" : v->what;
    to->where = v->where == NULL ? "" : v->where;
    if (v->of_len > 0) {
        to->of = arena_dup(m->arena, v->of, v->of_len * sizeof(*v->of));
    }
    return (uint32_t)m->values_len++;
}

const struct report_value *value_at(const struct maker *m, uint32_t i)
{
    ASSERT(i < m->values_len);
    return &m->values[i];
}

const struct report_range *value_ranges(struct maker *m, size_t column, const size_t *rows,
                                        size_t n, size_t *len)
{
    struct report_range *out = arena_alloc(m->arena, (n + 1) * sizeof(*out));
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (k > 0 && out[k - 1].last + 1 == rows[i]) {
            out[k - 1].last = (uint32_t)rows[i];
        } else {
            out[k++] =
                (struct report_range){(uint32_t)column, (uint32_t)rows[i], (uint32_t)rows[i]};
        }
    }
    *len = k;
    return out;
}

const char *value_show(struct maker *m, struct report_decimal n, unsigned decimals,
                       const char *unit, bool plus)
{
    char s[REPORT_NUMBER_SIZE];
    report_decimal_show(n, decimals, m->t->point, m->t->thousands, s);
    bool tight = strcmp(unit, "%") == 0 && m->t->point == '.';
    struct report_decimal shown = decimal_round(n, decimals);
    return arena_printf(m->arena, "%s%s%s%s", plus && shown.units > 0 ? "+" : "", s,
                        unit[0] == '\0' || tight ? "" : " ", unit);
}

/* As many decimals as the cells have, at most 2; a number under 1 as many as show three figures, at
   most 6. */
static unsigned decimals_for(struct report_decimal n, int wanted, unsigned have)
{
    if (wanted >= 0) {
        return (unsigned)wanted;
    }
    unsigned d = have > 2 ? 2 : have;
    double size = report_decimal_real(decimal_size(n));
    if (size > 0 && size < 1) {
        unsigned figures = 3;
        for (double at = 0.1; size < at && figures < 6; at /= 10) {
            figures++;
        }
        d = have < figures ? have : figures;
    }
    return d;
}

uint32_t value_number(struct maker *m, enum report_how how, struct report_decimal n, int decimals,
                      const char *unit, const char *what, const char *where)
{
    struct report_value v = {.how = how,
                             .is_number = true,
                             .number = n,
                             .decimals = decimals_for(n, decimals, n.scale),
                             .unit = unit,
                             .what = what,
                             .where = where};
    v.shown = value_show(m, n, v.decimals, unit, false);
    return value_add(m, &v);
}

uint32_t value_text(struct maker *m, enum report_how how, const char *shown, int line)
{
    struct report_value v = {.how = how, .shown = shown, .line = line};
    return value_add(m, &v);
}

/* ---- aggregates ---- */

static int64_t count_items(const char *s)
{
    int64_t n = 0;
    const char *parts = strchr(s, ';') != NULL ? ";" : ",";
    while (*s != '\0') {
        size_t len = strcspn(s, parts);
        n += strspn(s, " \t\n") < len ? 1 : 0;
        s += len + (s[len] == '\0' ? 0 : 1);
    }
    return n;
}

static int by_decimal(const void *a, const void *b)
{
    return report_decimal_compare(*(const struct report_decimal *)a,
                                  *(const struct report_decimal *)b);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int64_t count_distinct(const struct report_table *t, size_t column, const size_t *rows,
                              size_t n)
{
    AUTO_FREE const char **all = mem_alloc_array(n, sizeof(*all));
    int64_t different = 0;
    for (size_t i = 0; i < n; i++) {
        all[i] = report_table_cell(t, rows[i], column)->text;
    }
    qsort(all, n, sizeof(*all), by_text);
    for (size_t i = 0; i < n; i++) {
        different += i == 0 || strcmp(all[i], all[i - 1]) != 0 ? 1 : 0;
    }
    return different;
}

static bool sum_of(const struct report_decimal *x, size_t n, struct report_decimal *out)
{
    *out = decimal_of(0);
    for (size_t i = 0; i < n; i++) {
        if (!decimal_add(*out, x[i], out)) {
            return false;
        }
    }
    return true;
}

static bool median_of(struct report_decimal *x, size_t n, struct report_decimal *out)
{
    struct report_decimal two;
    qsort(x, n, sizeof(*x), by_decimal);
    *out = x[n / 2];
    return n % 2 == 1 || (decimal_add(x[n / 2 - 1], x[n / 2], &two) &&
                          decimal_divide(two, decimal_of(2), 0, REPORT_QUOTIENT_DECIMALS, out));
}

/* What numbers of it say; *how is made definite. */
static bool number_of(struct report_decimal *x, size_t n, enum report_how how,
                      struct report_decimal *out)
{
    struct report_decimal sum;
    switch ((int)how) {
    case REPORT_HOW_CELL:
        *out = x[n - 1];
        return true;
    case REPORT_HOW_SUM:
        return sum_of(x, n, out);
    case REPORT_HOW_MEAN:
        return sum_of(x, n, &sum) &&
               decimal_divide(sum, decimal_of((int64_t)n), 0, REPORT_QUOTIENT_DECIMALS, out);
    case REPORT_HOW_MEDIAN:
        return median_of(x, n, out);
    default:
        *out = x[0];
        for (size_t i = 1; i < n; i++) {
            int c = report_decimal_compare(x[i], *out);
            *out = (how == REPORT_HOW_MIN ? c < 0 : c > 0) ? x[i] : *out;
        }
        return true;
    }
}

static enum report_how how_of(enum aggregate a, const struct report_column *c, size_t n,
                              bool periods)
{
    static const enum report_how all[] = {
        [AGGREGATE_LAST] = REPORT_HOW_CELL,   [AGGREGATE_SUM] = REPORT_HOW_SUM,
        [AGGREGATE_MEAN] = REPORT_HOW_MEAN,   [AGGREGATE_MEDIAN] = REPORT_HOW_MEDIAN,
        [AGGREGATE_MIN] = REPORT_HOW_MIN,     [AGGREGATE_MAX] = REPORT_HOW_MAX,
        [AGGREGATE_COUNT] = REPORT_HOW_COUNT, [AGGREGATE_DISTINCT] = REPORT_HOW_DISTINCT,
        [AGGREGATE_ITEMS] = REPORT_HOW_ITEMS};
    bool countable = a == AGGREGATE_COUNT || a == AGGREGATE_DISTINCT || a == AGGREGATE_ITEMS;
    if (!countable && n == 1) {
        return REPORT_HOW_CELL;
    }
    if (a != AGGREGATE_AUTO) {
        return all[a];
    }
    /* Nothing says that rates, or readings of one period, may be added up. */
    return c->percent || periods ? REPORT_HOW_MEAN : REPORT_HOW_SUM;
}

static uint32_t aggregate_count(struct maker *m, struct report_value *v, size_t column,
                                const size_t *rows, size_t n)
{
    int64_t total = 0;
    if (v->how == REPORT_HOW_DISTINCT) {
        total = count_distinct(m->table, column, rows, n);
    } else if (v->how == REPORT_HOW_COUNT) {
        total = (int64_t)n;
    } else {
        for (size_t i = 0; i < n; i++) {
            total += count_items(report_table_cell(m->table, rows[i], column)->text);
        }
    }
    v->number = decimal_of(total);
    v->shown = value_show(m, v->number, 0, v->unit, false);
    return value_add(m, v);
}

uint32_t value_aggregate(struct maker *m, size_t column, enum aggregate how, const size_t *rows,
                         size_t n, bool periods, const struct shape_of_numbers *shape,
                         const char *what, const char *where)
{
    const struct report_column *c = &m->table->columns[column];
    AUTO_FREE size_t *filled = mem_alloc_array(n + 1, sizeof(*filled));
    AUTO_FREE struct report_decimal *x = mem_alloc_array(n + 1, sizeof(*x));
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct report_cell *cell = report_table_cell(m->table, rows[i], column);
        if (cell->kind != REPORT_EMPTY) {
            x[k] = cell->number;
            filled[k++] = rows[i];
        }
    }
    struct report_value v = {.how = how_of(how, c, k, periods),
                             .is_number = true,
                             .unit = shape->unit,
                             .what = what,
                             .where = where};
    bool counts = v.how == REPORT_HOW_COUNT || v.how == REPORT_HOW_DISTINCT ||
                  v.how == REPORT_HOW_ITEMS;
    if (v.unit == NULL) {
        v.unit = counts ? "" : c->unit[0] != '\0' ? c->unit : c->percent ? "%" : "";
    }
    if (k == 0 || (c->kind != REPORT_NUMBER && !counts)) {
        return NONE;
    }
    if (v.how == REPORT_HOW_CELL) {
        filled[0] = filled[k - 1];
        x[0] = x[k - 1];
        k = 1;
    }
    v.cells = value_ranges(m, column, filled, k, &v.cells_len);
    if (counts) {
        return aggregate_count(m, &v, column, filled, k);
    }
    if (!number_of(x, k, v.how, &v.number)) {
        return NONE;
    }
    bool quotient = v.how == REPORT_HOW_MEAN || v.how == REPORT_HOW_MEDIAN;
    unsigned have = quotient && c->decimals < 2 ? c->decimals + 1 : c->decimals;
    v.decimals = decimals_for(v.number, shape->decimals, have);
    v.shown = value_show(m, v.number, v.decimals, v.unit, false);
    return value_add(m, &v);
}

/* ---- from values ---- */

static bool compute(enum report_how how, struct report_decimal a, struct report_decimal b,
                    struct report_decimal *out)
{
    struct report_decimal d;
    switch ((int)how) {
    case REPORT_HOW_RATIO:
    case REPORT_HOW_SHARE:
        return decimal_divide(a, b, 2, REPORT_QUOTIENT_DECIMALS, out);
    case REPORT_HOW_PERCENT:
    case REPORT_HOW_PERCENT_SIZE:
        if (!decimal_subtract(a, b, &d) ||
            !decimal_divide(d, decimal_size(b), 2, REPORT_QUOTIENT_DECIMALS, out)) {
            return false;
        }
        break;
    default:
        if (!decimal_subtract(a, b, out)) {
            return false;
        }
    }
    if (how == REPORT_HOW_CHANGE_SIZE || how == REPORT_HOW_PERCENT_SIZE) {
        *out = decimal_size(*out);
    }
    return true;
}

uint32_t value_from(struct maker *m, enum report_how how, uint32_t a, uint32_t b, int decimals,
                    bool plus)
{
    if (a == NONE || b == NONE) {
        return NONE;
    }
    const struct report_value *x = value_at(m, a), *y = value_at(m, b);
    uint32_t of[2] = {a, b};
    bool part = how == REPORT_HOW_RATIO || how == REPORT_HOW_SHARE || how == REPORT_HOW_PERCENT ||
                how == REPORT_HOW_PERCENT_SIZE;
    struct report_value v = {
        .how = how, .is_number = true, .what = x->what, .where = x->where, .of = of, .of_len = 2};
    v.unit = part ? "%"
             : strcmp(x->unit, "%") == 0 && how != REPORT_HOW_REST ? "pp"
                                                                   : x->unit;
    unsigned most = x->decimals > y->decimals ? x->decimals : y->decimals;
    v.decimals = decimals >= 0 ? (unsigned)decimals : part ? 1 : most;
    if (!compute(how, x->number, y->number, &v.number)) {
        return NONE;
    }
    v.shown = value_show(m, v.number, v.decimals, v.unit, plus);
    return value_add(m, &v);
}
