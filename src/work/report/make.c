/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: each section's rows over the table, with their values, comparisons, groups, charts,
 * flags and sentences.
 * Threads: one. Limits: report.h.
 */
#include <stdio.h>
#include <string.h>

#include "work/report/report_internal.h"

#define SENTENCES_MAX 24
#define ODD_SAID_MAX 5

/* One row being made. */
struct making {
    struct maker *m;
    const struct template_line *l;
    struct report_line *out;
    size_t column, per; /* per SIZE_MAX: none */
    uint32_t metric;    /* the value that names it */
    struct report_text sentences[SENTENCES_MAX];
    struct report_text cells[REPORT_LINE_CELLS];
    uint32_t *series;   /* one a period, NONE: nothing; NULL: no periods */
    size_t *rows;       /* those that `where` takes */
    size_t rows_len;
};

static const char *words_of(const struct making *k, enum word w, int *line)
{
    bool own = k->l->words[w] != NULL;
    *line = own ? k->l->line : k->m->t->words_line[w];
    return own ? k->l->words[w] : k->m->t->words[w];
}

static void say(struct making *k, enum word w, const struct slot *slots, size_t n)
{
    int line;
    const char *words = words_of(k, w, &line);
    if (k->out->sentences_len < SENTENCES_MAX) {
        k->sentences[k->out->sentences_len++] = text_fill(k->m, words, line, slots, n);
    }
}

/* ---- values of a row ---- */

static size_t filter(const struct making *k, const size_t *rows, size_t n, size_t *out)
{
    size_t used = 0;
    size_t where = k->l->where_column == NULL
                       ? SIZE_MAX
                       : report_table_find(k->m->table, k->l->where_column);
    for (size_t i = 0; i < n; i++) {
        bool in = k->l->where_column == NULL ||
                  (where != SIZE_MAX && strcmp(report_table_cell(k->m->table, rows[i], where)->text,
                                               k->l->where_value) == 0);
        if (in) {
            out[used++] = rows[i];
        }
    }
    return used;
}

/* The row's value over some rows of the table. */
static uint32_t value_over(struct making *k, const size_t *rows, size_t n, const char *where,
                           bool periods)
{
    struct shape_of_numbers shape = {k->l->decimals, k->l->unit};
    AUTO_FREE size_t *taken = mem_alloc_array(n + 1, sizeof(*taken));
    size_t used = filter(k, rows, n, taken);
    if (k->per == SIZE_MAX) {
        return value_aggregate(k->m, k->column, k->l->aggregate, taken, used, periods, &shape,
                               k->out->name, where);
    }
    struct shape_of_numbers plain = {-1, NULL};
    enum aggregate how = k->l->aggregate == AGGREGATE_AUTO ? AGGREGATE_SUM : k->l->aggregate;
    uint32_t a = value_aggregate(k->m, k->column, how, taken, used, periods, &plain, k->out->name,
                                 where);
    uint32_t b = value_aggregate(k->m, k->per, how, taken, used, periods, &plain, k->out->name,
                                 where);
    return value_from(k->m, REPORT_HOW_RATIO, a, b, k->l->decimals, false);
}

static const char *label_of(struct maker *m, size_t period)
{
    return value_at(m, period_label(m, period))->shown;
}

static void make_series(struct making *k)
{
    struct maker *m = k->m;
    if (m->periods_len == 0 || k->l->over_all) {
        return;
    }
    k->series = arena_alloc(m->arena, m->periods_len * sizeof(*k->series));
    for (size_t i = 0; i < m->periods_len; i++) {
        k->series[i] = value_over(k, m->periods[i].rows, m->periods[i].n, label_of(m, i), true);
    }
}

/* ---- comparisons ---- */

struct pair {
    uint32_t now, before, period, before_period;
};

static void compare(struct making *k, const struct pair *p, enum word up, bool fill_cells)
{
    struct maker *m = k->m;
    uint32_t change = value_from(m, REPORT_HOW_CHANGE, p->now, p->before, -1, true);
    uint32_t size = value_from(m, REPORT_HOW_CHANGE_SIZE, p->now, p->before, -1, false);
    bool points = strcmp(value_at(m, p->now)->unit, "%") == 0;
    uint32_t percent =
        points ? NONE : value_from(m, REPORT_HOW_PERCENT, p->now, p->before, -1, true);
    uint32_t part =
        points ? NONE : value_from(m, REPORT_HOW_PERCENT_SIZE, p->now, p->before, -1, false);
    if (change == NONE || size == NONE) {
        return;
    }
    struct report_decimal by = value_at(m, change)->number;
    /* What differs only in decimals that are not shown is the same to a reader. */
    bool same = decimal_round(by, value_at(m, change)->decimals).units == 0;
    enum word w = same ? up + 2 : by.units > 0 ? up : up + 1;
    struct slot slots[] = {{"metric", k->metric},  {"value", p->now},
                           {"change", size},       {"percent", part},
                           {"before", p->before},  {"period", p->period},
                           {"before_period", p->before_period}};
    say(k, w, slots, COUNT_OF(slots));
    if (fill_cells) {
        struct slot both[] = {{"c", change}, {"p", percent}};
        k->cells[1] = text_of_value(m, p->before);
        k->cells[2] = text_fill(m, "{c} ({p})", 0, both, 2);
    }
}

static void compare_target(struct making *k, uint32_t period)
{
    struct maker *m = k->m;
    const struct report_value *now = value_at(m, k->out->value);
    unsigned decimals = k->l->target.scale > now->decimals ? k->l->target.scale : now->decimals;
    struct report_value t = {.how = REPORT_HOW_TEMPLATE,
                             .is_number = true,
                             .number = k->l->target,
                             .decimals = k->l->target.scale,
                             .unit = now->unit,
                             .what = k->out->name,
                             .line = k->l->line};
    t.shown = value_show(m, t.number, t.decimals, t.unit, false);
    uint32_t target = value_add(m, &t);
    uint32_t gap =
        value_from(m, REPORT_HOW_CHANGE_SIZE, k->out->value, target, (int)decimals, false);
    now = value_at(m, k->out->value);
    int c = report_decimal_compare(now->number, k->l->target);
    struct slot slots[] = {{"metric", k->metric}, {"value", k->out->value}, {"target", target},
                           {"gap", gap},          {"period", period}};
    say(k, c > 0 ? WORD_ABOVE : c < 0 ? WORD_BELOW : WORD_MET, slots, COUNT_OF(slots));
    k->cells[3] = text_of_value(m, target);
}

static bool holds(const struct template_rule *r, struct report_decimal x)
{
    int c = report_decimal_compare(x, r->bound);
    switch (r->op) {
    case TEST_ABOVE:
        return c > 0;
    case TEST_ABOVE_OR:
        return c >= 0;
    case TEST_BELOW:
        return c < 0;
    case TEST_BELOW_OR:
    default:
        return c <= 0;
    }
}

static void apply_rules(struct making *k, const struct pair *p)
{
    for (size_t i = 0; i < k->l->rules_len; i++) {
        const struct template_rule *r = &k->l->rules[i];
        uint32_t x = r->of == TEST_VALUE    ? p->now
                     : r->of == TEST_CHANGE ? value_from(k->m, REPORT_HOW_CHANGE, p->now, p->before,
                                                         -1, true)
                                            : value_from(k->m, REPORT_HOW_PERCENT, p->now,
                                                         p->before, -1, true);
        if (x == NONE || !holds(r, value_at(k->m, x)->number) ||
            k->out->sentences_len == SENTENCES_MAX) {
            continue;
        }
        uint32_t size = value_from(k->m, REPORT_HOW_CHANGE_SIZE, p->now, p->before, -1, false);
        uint32_t part = value_from(k->m, REPORT_HOW_PERCENT_SIZE, p->now, p->before, -1, false);
        struct slot slots[] = {{"metric", k->metric}, {"value", p->now},      {"change", size},
                               {"percent", part},     {"before", p->before},  {"period", p->period},
                               {"before_period", p->before_period}};
        k->sentences[k->out->sentences_len++] =
            text_fill(k->m, r->say, r->line, slots, COUNT_OF(slots));
    }
}

/* ---- series: range, flags, chart ---- */

static uint32_t count_value(struct making *k, size_t n, const uint32_t *of)
{
    struct report_value v = {.how = REPORT_HOW_PERIODS,
                             .is_number = true,
                             .what = k->out->name,
                             .number = decimal_of((int64_t)n),
                             .of = of,
                             .of_len = n};
    v.shown = value_show(k->m, v.number, 0, "", false);
    return value_add(k->m, &v);
}

/* The filled points of the series: periods and values. */
static size_t points_of(const struct making *k, size_t *periods, uint32_t *values)
{
    size_t n = 0;
    for (size_t i = 0; k->series != NULL && i < k->m->periods_len; i++) {
        if (k->series[i] != NONE) {
            periods[n] = i;
            values[n++] = k->series[i];
        }
    }
    return n;
}

static void say_range(struct making *k, const size_t *periods, const uint32_t *values, size_t n)
{
    size_t low = 0, high = 0;
    for (size_t i = 1; i < n; i++) {
        struct report_decimal x = value_at(k->m, values[i])->number;
        low = report_decimal_compare(x, value_at(k->m, values[low])->number) < 0 ? i : low;
        high = report_decimal_compare(x, value_at(k->m, values[high])->number) > 0 ? i : high;
    }
    if (n < 3 || low == high) {
        return;
    }
    struct slot slots[] = {{"metric", k->metric},
                           {"low", values[low]},
                           {"low_period", period_label(k->m, periods[low])},
                           {"high", values[high]},
                           {"high_period", period_label(k->m, periods[high])},
                           {"periods", count_value(k, n, values)}};
    say(k, WORD_RANGE, slots, COUNT_OF(slots));
}

/* Hours have a day, days a week, months a year. */
static unsigned season_of(const struct maker *m, const size_t *periods, size_t n, unsigned *out)
{
    enum report_grain g = n == 0 ? REPORT_GRAIN_NONE : m->periods[periods[0]].grain;
    for (size_t i = 0; i < n; i++) {
        int hour, day;
        char s[REPORT_NUMBER_SIZE];
        date_parts(m->periods[periods[i]].at, &hour, &day);
        date_show((struct report_date){m->periods[periods[i]].at, REPORT_GRAIN_MONTH}, s);
        int64_t month = 1;
        (void)text_read_int(s + 5 + (s[5] == '0' ? 1 : 0), 1, 12, &month);
        out[i] = g == REPORT_GRAIN_HOUR    ? (unsigned)hour
                 : g == REPORT_GRAIN_DAY   ? (unsigned)day
                 : g == REPORT_GRAIN_MONTH ? (unsigned)month - 1
                                           : 0;
    }
    return g == REPORT_GRAIN_HOUR    ? 24
           : g == REPORT_GRAIN_DAY   ? 7
           : g == REPORT_GRAIN_MONTH ? 12
                                     : 1;
}

static uint32_t bound(struct making *k, double x, uint32_t like, const uint32_t *of, size_t n)
{
    const struct report_value *v = value_at(k->m, like);
    double size = x < 0 ? -x : x, shift = (double)text_power_of_ten(v->decimals);
    if (size * shift > 1e17) {
        return NONE;
    }
    int64_t units = (int64_t)(size * shift + 0.5);
    struct report_value b = {.how = REPORT_HOW_BOUND,
                             .is_number = true,
                             .number = {x < 0 ? -units : units, v->decimals},
                             .decimals = v->decimals,
                             .unit = v->unit,
                             .what = v->what,
                             .where = v->where,
                             .of = of,
                             .of_len = n};
    b.shown = value_show(k->m, b.number, b.decimals, b.unit, false);
    return value_add(k->m, &b);
}

static void keep_odd(struct making *k, const struct report_odd *odd)
{
    struct maker *m = k->m;
    if (m->odd_len == m->odd_room) {
        m->odd_room = m->odd_room == 0 ? 16 : m->odd_room * 2;
        m->odd = mem_realloc(m->odd, m->odd_room * sizeof(*m->odd));
    }
    m->odd[m->odd_len++] = *odd;
}

/* Flags into odd[0..n). */
static void find_odd(struct making *k, const size_t *periods, const uint32_t *values, size_t n,
                     bool *odd)
{
    AUTO_FREE double *x = mem_alloc_array(n * 3 + 1, sizeof(*x));
    AUTO_FREE unsigned *season = mem_alloc_array(n + 1, sizeof(*season));
    size_t said = 0, found = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = report_decimal_real(value_at(k->m, values[i])->number);
    }
    unsigned seasons = season_of(k->m, periods, n, season);
    if (!odd_find(x, season, seasons, n, odd, x + n, x + 2 * n)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!odd[i]) {
            continue;
        }
        found++;
        uint32_t low = bound(k, x[n + i], values[i], values, n);
        uint32_t high = bound(k, x[2 * n + i], values[i], values, n);
        struct report_odd o = {k->out->name, k->out->column, period_label(k->m, periods[i]),
                               values[i], low, high};
        struct slot slots[] = {{"metric", k->metric}, {"value", o.value}, {"period", o.period},
                               {"low", low},          {"high", high}};
        keep_odd(k, &o);
        if (low != NONE && high != NONE && said++ < ODD_SAID_MAX) {
            say(k, WORD_ODD, slots, COUNT_OF(slots));
        }
    }
    if (found == 0) {
        struct slot slots[] = {{"metric", k->metric}, {"periods", count_value(k, n, values)}};
        say(k, WORD_NO_ODD, slots, COUNT_OF(slots));
    }
}

static void add_chart(struct making *k, bool bars)
{
    struct report_chart *c = arena_alloc(k->m->arena, sizeof(*c));
    struct slot slot = {"metric", k->metric};
    int line;
    const char *words = words_of(k, WORD_CHART, &line);
    *c = (struct report_chart){.bars = bars,
                               .title = text_fill(k->m, words, line, &slot, 1),
                               .points = k->out->points,
                               .points_len = k->out->points_len};
    c->describe = k->out->sentences_len > 0 ? k->sentences[0] : c->title;
    k->out->chart = c;
}

static void add_points(struct making *k, const bool *odd)
{
    size_t at = 0, n = k->m->periods_len;
    struct report_point *points = arena_alloc(k->m->arena, (n + 1) * sizeof(*points));
    for (size_t i = 0; i < n; i++) {
        bool filled = k->series[i] != NONE;
        points[i] = (struct report_point){period_label(k->m, i), k->series[i], filled && odd[at]};
        at += filled ? 1 : 0;
    }
    k->out->points = points;
    k->out->points_len = n;
}

/* ---- groups ---- */

struct group {
    const char *name;
    uint32_t value, label;
    size_t first; /* row */
};

static int by_group_value(const struct maker *m, const struct group *a, const struct group *b)
{
    int c = report_decimal_compare(value_at(m, b->value)->number, value_at(m, a->value)->number);
    return c != 0 ? c : strcmp(a->name, b->name);
}

static void sort_groups(const struct maker *m, struct group *g, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < n; i++) {
            struct group one = g[i];
            size_t j = i;
            for (; j >= gap && by_group_value(m, &g[j - gap], &one) > 0; j -= gap) {
                g[j] = g[j - gap];
            }
            g[j] = one;
        }
    }
}

struct named_row {
    const char *name;
    size_t row;
};

static int by_name(const void *a, const void *b)
{
    const struct named_row *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : (x->row < y->row ? -1 : x->row > y->row);
}

static size_t find_groups(struct making *k, size_t column, const size_t *rows, size_t n,
                          struct group *out)
{
    AUTO_FREE struct named_row *named = mem_alloc_array(n + 1, sizeof(*named));
    AUTO_FREE size_t *its = mem_alloc_array(n + 1, sizeof(*its));
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        named[i] = (struct named_row){report_table_cell(k->m->table, rows[i], column)->text,
                                      rows[i]};
    }
    qsort(named, n, sizeof(*named), by_name);
    for (size_t i = 0, from = 0; i <= n; i++) {
        if (i == from || (i < n && strcmp(named[i].name, named[from].name) == 0)) {
            continue;
        }
        for (size_t j = from; j < i; j++) {
            its[j - from] = named[j].row;
        }
        struct group g = {.name = named[from].name, .first = named[from].row};
        g.value = value_over(k, its, i - from, g.name, false);
        if (g.value != NONE && g.name[0] != '\0') {
            struct report_value v = {.how = REPORT_HOW_LABEL, .shown = g.name};
            v.cells = value_ranges(k->m, column, its, i - from, &v.cells_len);
            g.label = value_add(k->m, &v);
            out[used++] = g;
        }
        from = i;
    }
    return used;
}

static bool adds_up(const struct making *k)
{
    const struct report_column *c = &k->m->table->columns[k->column];
    return k->per == SIZE_MAX &&
           (k->l->aggregate == AGGREGATE_SUM || k->l->aggregate == AGGREGATE_COUNT ||
            k->l->aggregate == AGGREGATE_ITEMS ||
            ((k->l->aggregate == AGGREGATE_AUTO || k->l->aggregate == AGGREGATE_LAST) &&
             !c->percent));
}

static void group_table(struct making *k, const struct group *g, size_t n, uint32_t total,
                        uint32_t rest, const char *group_name)
{
    struct maker *m = k->m;
    size_t columns = total == NONE ? 2 : 3, rows = n + (rest == NONE ? 0 : 1);
    struct report_grid_text *t = arena_alloc(m->arena, sizeof(*t));
    struct report_text *head = arena_alloc(m->arena, columns * sizeof(*head));
    struct report_text *cells = arena_alloc(m->arena, rows * columns * sizeof(*cells));
    head[0] = text_of_value(m, value_text(m, REPORT_HOW_NAME, group_name, 0));
    head[1] = text_of_value(m, k->metric);
    for (size_t i = 0; i < rows; i++) {
        bool last = i == n;
        uint32_t v = last ? rest : g[i].value;
        cells[i * columns] = last ? text_word(m, k->l, WORD_REST) : text_of_value(m, g[i].label);
        cells[i * columns + 1] = text_of_value(m, v);
        if (columns == 3) {
            cells[i * columns + 2] =
                text_of_value(m, value_from(m, REPORT_HOW_SHARE, v, total, -1, false));
        }
    }
    if (columns == 3) {
        head[2] = text_word(m, k->l, WORD_HEAD_SHARE);
    }
    *t = (struct report_grid_text){head, columns, cells, rows};
    k->out->table = t;
}

static uint32_t rest_of(struct making *k, const struct group *g, size_t n, uint32_t total)
{
    AUTO_FREE uint32_t *of = mem_alloc_array(n + 1, sizeof(*of));
    struct report_value v = {.how = REPORT_HOW_REST, .is_number = true, .of = of, .of_len = n + 1};
    const struct report_value *whole = value_at(k->m, total);
    v.number = whole->number;
    v.decimals = whole->decimals;
    v.unit = whole->unit;
    v.what = whole->what;
    of[0] = total;
    for (size_t i = 0; i < n; i++) {
        of[i + 1] = g[i].value;
        if (!decimal_subtract(v.number, value_at(k->m, g[i].value)->number, &v.number)) {
            return NONE;
        }
    }
    v.shown = value_show(k->m, v.number, v.decimals, v.unit, false);
    return value_add(k->m, &v);
}

static void make_groups(struct making *k, size_t column, const size_t *rows, size_t n)
{
    struct maker *m = k->m;
    AUTO_FREE struct group *g = mem_alloc_array(n + 1, sizeof(*g));
    size_t found = find_groups(k, column, rows, n, g);
    if (found == 0) {
        k->out->missing = "no row has a value of it";
        return;
    }
    sort_groups(m, g, found);
    size_t top = found < (size_t)k->l->top ? found : (size_t)k->l->top;
    uint32_t total = adds_up(k) ? k->out->value : NONE;
    uint32_t rest = total != NONE && top < found ? rest_of(k, g, top, total) : NONE;
    group_table(k, g, top, total, rest, m->table->columns[column].name);
    struct slot slots[] = {{"metric", k->metric},
                           {"group", g[0].label},
                           {"value", g[0].value},
                           {"share", value_from(m, REPORT_HOW_SHARE, g[0].value, total, -1, false)},
                           {"total", total}};
    bool tie = found > 1 && report_decimal_compare(value_at(m, g[0].value)->number,
                                                    value_at(m, g[1].value)->number) == 0;
    if (total != NONE && found > 1 && !tie) {
        say(k, WORD_TOP, slots, COUNT_OF(slots));
    }
    struct report_point *points = arena_alloc(m->arena, (top + 1) * sizeof(*points));
    for (size_t i = 0; i < top; i++) {
        points[i] = (struct report_point){g[i].label, g[i].value, false};
    }
    k->out->group = m->table->columns[column].name;
    k->out->points = points;
    k->out->points_len = top;
    if (k->l->chart != CHART_NONE) {
        add_chart(k, true);
    }
}

/* ---- a row ---- */

static size_t group_column(const struct maker *m, const char *name)
{
    if (strcmp(name, "*") != 0) {
        return report_table_find(m->table, name);
    }
    for (size_t i = 0; i < m->table->columns_len; i++) {
        const struct report_column *c = &m->table->columns[i];
        if (c->kind == REPORT_TEXT && !c->is_id && c->filled > 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void make_over_time(struct making *k)
{
    struct maker *m = k->m;
    size_t n = m->periods_len, last = n - 1;
    struct pair p = {NONE, NONE, NONE, NONE};
    make_series(k);
    p.now = k->series[last];
    k->out->value = p.now;
    if (p.now == NONE) {
        k->out->missing = "the last period has no value of it";
        return;
    }
    p.period = period_label(m, last);
    k->cells[0] = text_of_value(m, p.now);
    size_t said = k->out->sentences_len;
    if (n > 1 && k->series[last - 1] != NONE) {
        p.before = k->series[last - 1];
        p.before_period = period_label(m, last - 1);
        if (k->l->previous) {
            compare(k, &p, WORD_UP, true);
        }
    }
    size_t ago = period_find(m, date_year_before(m->periods[last].at, m->periods[last].grain));
    if (k->l->year_ago && ago != SIZE_MAX && k->series[ago] != NONE) {
        struct pair y = {p.now, k->series[ago], p.period, period_label(m, ago)};
        compare(k, &y, WORD_YEAR_UP, !k->l->previous);
    }
    if (k->out->sentences_len == said) {
        struct slot slots[] = {{"metric", k->metric}, {"value", p.now}, {"period", p.period}};
        say(k, WORD_VALUE, slots, COUNT_OF(slots));
    }
    if (k->l->has_target) {
        compare_target(k, p.period);
    }
    apply_rules(k, &p);
    AUTO_FREE size_t *periods = mem_alloc_array(n, sizeof(*periods));
    AUTO_FREE uint32_t *values = mem_alloc_array(n, sizeof(*values));
    AUTO_FREE bool *odd = mem_alloc_array(n, sizeof(*odd));
    size_t filled = points_of(k, periods, values);
    if (k->l->range) {
        say_range(k, periods, values, filled);
    }
    if (k->l->anomalies) {
        find_odd(k, periods, values, filled, odd);
    }
    add_points(k, odd);
    k->out->period = m->table->columns[m->period_column].name;
    if (k->l->chart != CHART_NONE && filled > 1) {
        add_chart(k, k->l->chart == CHART_BARS);
    }
}

static void make_over_all(struct making *k, const size_t *rows, size_t n)
{
    struct pair p = {NONE, NONE, NONE, NONE};
    k->out->value = value_over(k, rows, n, "", false);
    if (k->out->value == NONE) {
        k->out->missing = "no row has a value of it";
        return;
    }
    p.now = k->out->value;
    k->cells[0] = text_of_value(k->m, k->out->value);
    struct slot slots[] = {{"metric", k->metric}, {"value", k->out->value}};
    say(k, WORD_TOTAL, slots, COUNT_OF(slots));
    if (k->l->has_target) {
        compare_target(k, NONE);
    }
    apply_rules(k, &p);
}

static void make_values(struct making *k)
{
    struct maker *m = k->m;
    bool periods = m->periods_len > 0 && !k->l->over_all;
    const size_t *rows = periods ? m->periods[m->periods_len - 1].rows : m->rows;
    size_t n = periods ? m->periods[m->periods_len - 1].n : m->table->rows;
    size_t group = k->l->group == NULL ? SIZE_MAX : group_column(m, k->l->group);
    if (k->l->group != NULL && group == SIZE_MAX) {
        k->out->missing = "there is no column to group by";
        return;
    }
    if (periods && k->l->group == NULL) {
        make_over_time(k);
    } else {
        make_over_all(k, rows, n);
    }
    if (group != SIZE_MAX && k->out->missing == NULL) {
        make_groups(k, group, rows, n);
    }
}

/* A column's name as people read it: num_questions, "num questions". */
static char *spaced(struct maker *m, const char *name)
{
    char *s = arena_dup_str(m->arena, name);
    for (char *p = s; *p != '\0'; p++) {
        *p = *p == '_' ? ' ' : *p;
    }
    return s;
}

static void make_line(struct maker *m, const struct template_line *l, size_t column,
                      struct report_line *out)
{
    struct making k = {.m = m, .l = l, .out = out, .column = column, .per = SIZE_MAX};
    const char *name = l->metric != NULL ? l->metric
                       : column == SIZE_MAX ? l->column
                                            : spaced(m, m->table->columns[column].name);
    *out = (struct report_line){.name = arena_dup_str(m->arena, name),
                                .column = column == SIZE_MAX ? ""
                                                             : m->table->columns[column].name,
                                .required = l->required,
                                .template_line = l->line,
                                .value = NONE,
                                .period = "",
                                .group = ""};
    out->where_column = l->where_column == NULL ? "" : arena_dup_str(m->arena, l->where_column);
    out->where_value = l->where_value == NULL ? "" : arena_dup_str(m->arena, l->where_value);
    struct report_value v = {.how = l->metric != NULL ? REPORT_HOW_TEMPLATE : REPORT_HOW_NAME,
                             .shown = out->name,
                             .line = l->metric != NULL ? l->line : 0};
    k.metric = value_add(m, &v);
    bool counts = l->aggregate >= AGGREGATE_COUNT;
    if (column == SIZE_MAX) {
        out->missing = "there is no such column";
    } else if (!counts && m->table->columns[column].kind != REPORT_NUMBER) {
        out->missing = "the column does not hold numbers";
    } else if (l->per != NULL && (k.per = report_table_find(m->table, l->per)) == SIZE_MAX) {
        out->missing = "there is no column to divide by";
    } else {
        make_values(&k);
    }
    out->cells = arena_dup(m->arena, k.cells, sizeof(k.cells));
    out->sentences =
        arena_dup(m->arena, k.sentences, out->sentences_len * sizeof(*k.sentences));
    m->r->missing_required += out->missing != NULL && l->required ? 1 : 0;
}

static bool is_measure(const struct maker *m, size_t column)
{
    const struct report_column *c = &m->table->columns[column];
    for (size_t i = 0; i < m->t->ignore_len; i++) {
        if (report_table_find(m->table, m->t->ignore[i]) == column) {
            return false;
        }
    }
    return c->kind == REPORT_NUMBER && !c->is_id;
}

static void make_part(struct maker *m, const struct template_section *s, struct report_part *part)
{
    struct report_line *lines = arena_alloc(m->arena, REPORT_MADE_MAX * sizeof(*lines));
    size_t n = 0;
    for (size_t i = 0; i < s->lines_len; i++) {
        const struct template_line *l = &s->lines[i];
        if (strcmp(l->column, "*") != 0) {
            if (n < REPORT_MADE_MAX) {
                make_line(m, l, report_table_find(m->table, l->column), &lines[n++]);
            }
            continue;
        }
        size_t before = n;
        for (size_t c = 0; c < m->table->columns_len && n < REPORT_MADE_MAX; c++) {
            if (is_measure(m, c)) {
                make_line(m, l, c, &lines[n++]);
            }
        }
        if (n == before && n < REPORT_MADE_MAX) {
            make_line(m, l, SIZE_MAX, &lines[n++]);
            lines[n - 1].missing = "no column holds numbers";
        }
    }
    *part = (struct report_part){.name = arena_dup_str(m->arena, s->name),
                                 .title = text_fill(m, s->title, s->line, NULL, 0),
                                 .comment = s->comment,
                                 .lines = lines,
                                 .lines_len = n};
}

static void make_title(struct maker *m)
{
    struct report *r = m->r;
    const struct report_file *files = m->table->files;
    size_t many = m->table->files_len;
    const char *name = many == 1 ? files[0].name
                                 : arena_printf(m->arena, "%s \xe2\x80\x93 %s", files[0].name,
                                                files[many - 1].name);
    uint32_t file = value_text(m, REPORT_HOW_NAME, name, 0);
    uint32_t last = m->periods_len == 0 ? NONE : period_label(m, m->periods_len - 1);
    struct report_value v = {.how = REPORT_HOW_ROWS,
                             .is_number = true,
                             .number = decimal_of((int64_t)m->table->rows)};
    v.cells = value_ranges(m, 0, m->rows, m->table->rows, &v.cells_len);
    v.shown = value_show(m, v.number, 0, "", false);
    struct slot slots[] = {{"file", file}, {"period", last}, {"rows", value_add(m, &v)}};
    r->title = text_fill(m, m->t->title, m->t->title_line, slots, COUNT_OF(slots));
}

static void add_notes(struct maker *m)
{
    const char **notes = arena_alloc(m->arena, (m->table->notes_len + 1) * sizeof(*notes));
    for (size_t i = 0; i < m->table->notes_len; i++) {
        notes[i] = arena_dup_str(m->arena, m->table->notes[i]);
    }
    m->r->notes = notes;
    m->r->notes_len = m->table->notes_len;
}

enum fail report_make(const struct report_template *t, const struct report_table *table,
                      struct report **out, struct fault *why)
{
    *out = NULL;
    if (table->rows == 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "the table has no row");
    }
    struct arena *arena = arena_new((size_t)512 << 20);
    struct report *r = arena_alloc(arena, sizeof(*r));
    *r = (struct report){.arena = arena, .table = table, .made_by = t, .language = t->language};
    struct maker m = {.r = r, .t = t, .table = table, .arena = arena};
    m.rows = arena_alloc(arena, table->rows * sizeof(*m.rows));
    for (size_t i = 0; i < table->rows; i++) {
        m.rows[i] = i;
    }
    periods_find(&m);
    make_title(&m);
    r->first_period = m.periods_len > 0 ? label_of(&m, 0) : "";
    r->last_period = m.periods_len > 0 ? label_of(&m, m.periods_len - 1) : "";
    r->previous_period = m.periods_len > 1 ? label_of(&m, m.periods_len - 2) : "";
    r->parts = arena_alloc(arena, t->sections_len * sizeof(*r->parts));
    for (size_t i = 0; i < t->sections_len && !m.overflow; i++) {
        make_part(&m, &t->sections[i], &r->parts[r->parts_len++]);
    }
    add_notes(&m);
    r->values = arena_dup(arena, m.values, m.values_len * sizeof(*m.values));
    r->values_len = m.values_len;
    r->odd = arena_dup(arena, m.odd, m.odd_len * sizeof(*m.odd));
    r->odd_len = m.odd_len;
    mem_free(m.values);
    mem_free(m.odd);
    if (m.overflow) {
        report_free(r);
        (void)FAULT(why, FAIL_TOO_LARGE, "the report has too many values or periods");
        return fail_hint(why, "Choose a coarser input.bucket, or fewer rows in the template.");
    }
    *out = r;
    return FAIL_NONE;
}

void report_free(struct report *r)
{
    if (r != NULL) {
        arena_free(r->arena);
    }
}

const char *report_how_name(enum report_how how)
{
    static const char *const names[] = {
#define HOW(name, text) text,
#include "work/report/how.def"
#undef HOW
    };
    return names[how];
}
