/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of work/report share. */
#pragma once

#include <stdlib.h>

#include "base/text/text.h"
#include "work/report/report.h"

#define NONE UINT32_MAX

/* ---- decimal.c: false where it would not be exact any more, or the divisor is 0 ---- */
bool decimal_add(struct report_decimal a, struct report_decimal b, struct report_decimal *out);
bool decimal_subtract(struct report_decimal a, struct report_decimal b, struct report_decimal *out);
struct report_decimal decimal_negate(struct report_decimal a);
struct report_decimal decimal_size(struct report_decimal a);
/* a x 10^factor_digits / b, rounded half away from zero to so many decimals. */
bool decimal_divide(struct report_decimal a, struct report_decimal b, unsigned factor_digits,
                    unsigned decimals, struct report_decimal *out);
struct report_decimal decimal_round(struct report_decimal d, unsigned decimals);
struct report_decimal decimal_of(int64_t v);

/* ---- date.c ---- */
/* Seconds since 1970 of the beginning of the period it lies in. */
int64_t date_floor(int64_t at, enum report_grain grain);
int64_t date_year_before(int64_t at, enum report_grain grain);
void date_show(struct report_date date, char out[REPORT_NUMBER_SIZE]);
int date_parts(int64_t at, int *hour, int *day /* 0: Monday */);

/* ---- grid.c ---- */
struct report_grid {
    struct arena *arena;
    struct report_file files[REPORT_FILES_MAX];
    size_t files_len;
    const char *columns[REPORT_COLUMNS_MAX];
    size_t columns_len, columns_said; /* said: of the file that is being read */
    const char **cells;
    uint32_t *lines;
    struct report_place *places;
    size_t rows, room, text;
};

/* ---- template.c ---- */
enum aggregate {
    AGGREGATE_AUTO,
    AGGREGATE_LAST,
    AGGREGATE_SUM,
    AGGREGATE_MEAN,
    AGGREGATE_MEDIAN,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_COUNT,
    AGGREGATE_DISTINCT,
    AGGREGATE_ITEMS
};
enum good { GOOD_NONE, GOOD_UP, GOOD_DOWN };
enum chart { CHART_NONE, CHART_LINE, CHART_BARS };
enum test_of { TEST_VALUE, TEST_CHANGE, TEST_PERCENT };
enum test_op { TEST_ABOVE, TEST_ABOVE_OR, TEST_BELOW, TEST_BELOW_OR };

struct template_rule {
    enum test_of of;
    enum test_op op;
    struct report_decimal bound;
    const char *say;
    int line;
};
enum word {
#define WORD(name, key, keys, text) WORD_##name,
#include "work/report/words.def"
#undef WORD
    WORD_COUNT
};
struct template_line {
    const char *metric; /* NULL: the column's own name */
    const char *column; /* "*": each column of numbers */
    const char *per;    /* the second column of a ratio, NULL: none */
    enum aggregate aggregate;
    bool over_all;      /* all periods, not the last */
    const char *where_column, *where_value; /* NULL: every row */
    const char *group;  /* "*": the first column of texts; NULL: none */
    int top;
    bool previous, year_ago, has_target, anomalies, range, required;
    struct report_decimal target;
    enum good good;
    int decimals;       /* -1: as the cells have */
    const char *unit;   /* NULL: the cells' */
    enum chart chart;
    struct template_rule rules[REPORT_RULES_MAX];
    size_t rules_len;
    const char *words[WORD_COUNT]; /* NULL: the template's */
    int line;
};
struct template_section {
    const char *name, *title;
    bool comment;
    struct template_line *lines;
    size_t lines_len;
    int line;
};
struct report_template {
    struct arena *arena;
    const char *title, *language;
    int title_line;
    char point, thousands;
    struct report_reading reading;
    const char *period; /* NULL: the first column of dates */
    enum report_grain bucket; /* NONE: found */
    const char **ignore;
    size_t ignore_len;
    const char *words[WORD_COUNT];
    int words_line[WORD_COUNT];
    struct template_section *sections;
    size_t sections_len;
};
/* The keys that the words of `w` may name in braces, NULL-terminated: "metric", "value". */
const char *word_key(enum word w);
bool word_may(enum word w, const char *name, size_t n);

/* ---- make.c and the files around it ---- */
struct period {
    int64_t at;
    enum report_grain grain;
    uint32_t label;     /* value, NONE until somebody needs it */
    size_t *rows, n;    /* rows of the table in it */
};
struct maker {
    struct report *r;
    const struct report_template *t;
    const struct report_table *table;
    struct arena *arena;
    struct report_value *values; /* heap, moved to the arena at the end */
    size_t values_len, values_room;
    size_t period_column; /* SIZE_MAX: none */
    struct period *periods;
    size_t periods_len;
    enum report_grain bucket; /* NONE: a period is one date */
    size_t *rows; /* 0..table->rows-1 */
    struct report_odd *odd;
    size_t odd_len, odd_room;
    bool overflow;
};

/* values.c */
/* Adds a value; what, where, shown, cells and of are kept in the arena. Returns its index. */
uint32_t value_add(struct maker *m, const struct report_value *v);
const struct report_value *value_at(const struct maker *m, uint32_t i);
/* Cells of the column in these rows, as ranges. */
const struct report_range *value_ranges(struct maker *m, size_t column, const size_t *rows,
                                        size_t n, size_t *len);
struct shape_of_numbers {
    int decimals;     /* -1: as they are */
    const char *unit; /* NULL: the column's */
};
/* The aggregate of a column over rows; NONE where no cell is filled, or it cannot be exact. */
uint32_t value_aggregate(struct maker *m, size_t column, enum aggregate how, const size_t *rows,
                         size_t n, bool periods, const struct shape_of_numbers *shape,
                         const char *what, const char *where);
/* From two values: RATIO, SHARE, CHANGE, CHANGE_SIZE, PERCENT, PERCENT_SIZE, REST. NONE where it
   divides by zero. signed_plus: shows a plus. */
uint32_t value_from(struct maker *m, enum report_how how, uint32_t a, uint32_t b, int decimals,
                    bool plus);
uint32_t value_text(struct maker *m, enum report_how how, const char *shown, int line);
uint32_t value_number(struct maker *m, enum report_how how, struct report_decimal n, int decimals,
                      const char *unit, const char *what, const char *where);
/* Number and unit as the template shows them. */
const char *value_show(struct maker *m, struct report_decimal n, unsigned decimals,
                       const char *unit, bool plus);

/* periods.c */
void periods_find(struct maker *m);
uint32_t period_label(struct maker *m, size_t i);
size_t period_find(const struct maker *m, int64_t at); /* SIZE_MAX: none */

/* texts.c */
struct slot {
    const char *name;
    uint32_t value; /* NONE: it and the brackets around it are left out */
};
struct report_text text_fill(struct maker *m, const char *words, int line, const struct slot *slots,
                             size_t n);
struct report_text text_of_value(struct maker *m, uint32_t value);
struct report_text text_word(struct maker *m, const struct template_line *l, enum word w);

/* odd.c */
/* Flags what lies outside the usual range of a series (docs/reference/standard-report.md,
   Anomalies). season: position of each point in its season, 0..seasons-1; seasons 1: none. odd,
   low, high have room for n. False: too few points to say. */
#define ODD_POINTS_MIN 8
bool odd_find(const double *x, const unsigned *season, unsigned seasons, size_t n, bool *odd,
              double *low, double *high);

/* trace.c */
/* A value's cells by file: calls fn(arg, file, column, first row, last row) as in the sources. */
typedef void (*trace_fn)(void *arg, const char *file, const char *column, uint32_t first,
                         uint32_t last);
void trace_each(const struct report *r, const struct report_value *v, trace_fn fn, void *arg);
/* Exact decimal text: "0.231671554252". */
void trace_number(struct report_decimal d, char out[REPORT_NUMBER_SIZE]);

/* svg.c: with ids that begin with `id`; standalone: with its own name space and style. */
void svg_write(const struct report *r, const struct report_chart *c, size_t id, bool standalone,
               struct buf *out);
/* html.c: text with & < > " ' escaped. */
void html_escape(struct buf *out, const char *s, size_t n);
