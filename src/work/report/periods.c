/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Periods: the rows by the dates of the period column, put into buckets where there are too many.
 * Threads: one. Limits: REPORT_PERIODS_MAX periods after bucketing; more keep the last ones.
 */
#include <string.h>

#include "work/report/report_internal.h"

static bool is_ignored(const struct maker *m, const char *name)
{
    for (size_t i = 0; i < m->t->ignore_len; i++) {
        if (strcmp(m->t->ignore[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static size_t column_of(const struct maker *m)
{
    if (m->t->period != NULL) {
        size_t i = report_table_find(m->table, m->t->period);
        return i != SIZE_MAX && m->table->columns[i].kind == REPORT_DATE ? i : SIZE_MAX;
    }
    for (size_t i = 0; i < m->table->columns_len; i++) {
        if (m->table->columns[i].kind == REPORT_DATE && !is_ignored(m, m->table->columns[i].name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

struct dated {
    int64_t at;
    enum report_grain grain;
    size_t row;
};

static int by_date(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : (x->row < y->row ? -1 : x->row > y->row);
}

static size_t count_buckets(const struct dated *d, size_t n, enum report_grain grain)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += i == 0 || date_floor(d[i].at, grain) != date_floor(d[i - 1].at, grain) ? 1 : 0;
    }
    return count;
}

/* The finest that leaves few enough; TIME: none is needed. */
static enum report_grain bucket_of(const struct maker *m, const struct dated *d, size_t n)
{
    enum report_grain g = REPORT_GRAIN_TIME;
    if (m->t->bucket != REPORT_GRAIN_NONE) {
        return m->t->bucket;
    }
    while (g < REPORT_GRAIN_YEAR && count_buckets(d, n, g) > REPORT_PERIODS_MAX) {
        g++;
    }
    return g;
}

static void add_period(struct maker *m, const struct dated *d, size_t n)
{
    struct period *p = &m->periods[m->periods_len++];
    bool raw = m->bucket == REPORT_GRAIN_NONE;
    *p = (struct period){raw ? d[0].at : date_floor(d[0].at, m->bucket),
                         raw ? d[0].grain : m->bucket, NONE,
                         arena_alloc(m->arena, n * sizeof(*p->rows)), n};
    for (size_t i = 0; i < n; i++) {
        p->rows[i] = d[i].row;
    }
}

void periods_find(struct maker *m)
{
    size_t n = 0;
    m->period_column = column_of(m);
    if (m->period_column == SIZE_MAX) {
        return;
    }
    AUTO_FREE struct dated *d = mem_alloc_array(m->table->rows, sizeof(*d));
    for (size_t row = 0; row < m->table->rows; row++) {
        const struct report_cell *c = report_table_cell(m->table, row, m->period_column);
        if (c->kind == REPORT_DATE) {
            d[n++] = (struct dated){c->date.at, c->date.grain, row};
        }
    }
    qsort(d, n, sizeof(*d), by_date);
    enum report_grain g = bucket_of(m, d, n);
    m->bucket = g == REPORT_GRAIN_TIME ? REPORT_GRAIN_NONE : g;
    size_t count = count_buckets(d, n, g);
    m->periods = arena_alloc(m->arena, (count + 1) * sizeof(*m->periods));
    for (size_t i = 0, from = 0; i <= n; i++) {
        if (i > from && (i == n || date_floor(d[i].at, g) != date_floor(d[from].at, g))) {
            add_period(m, d + from, i - from);
            from = i;
        }
    }
    if (m->periods_len > REPORT_PERIODS_MAX * 4) {
        m->overflow = true; /* the template's bucket is too fine */
    }
}

uint32_t period_label(struct maker *m, size_t i)
{
    struct period *p = &m->periods[i];
    if (p->label == NONE) {
        char s[REPORT_NUMBER_SIZE];
        struct report_value v = {.how = REPORT_HOW_LABEL};
        date_show((struct report_date){p->at, p->grain}, s);
        v.shown = s;
        v.cells = value_ranges(m, m->period_column, p->rows, p->n, &v.cells_len);
        p->label = value_add(m, &v);
    }
    return p->label;
}

size_t period_find(const struct maker *m, int64_t at)
{
    for (size_t i = 0; i < m->periods_len; i++) {
        if (m->periods[i].at == at) {
            return i;
        }
    }
    return SIZE_MAX;
}
