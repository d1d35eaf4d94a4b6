/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Report: a company's fixed report from tables. Tables in (CSV, JSON, JSON lines as the sealed
 * reader said them, or the rows of a query), a template of sections and rows in, and out comes a
 * report in which every number names the cells it was made from
 * (docs/reference/standard-report.md).
 *
 * Numbers are decimals, never doubles. Sums, differences, least and greatest are exact; a quotient
 * is kept to REPORT_QUOTIENT_DECIMALS decimals and what is shown is rounded once from there, half
 * away from zero. Every text the room makes carries spans: which bytes are which value. A sentence
 * that somebody else wrote (a model, a person) is taken only if each of its claims is one of the
 * report's facts.
 *
 * Owns: what it makes, in arenas. Threads: pure; an object belongs to one thread at a time. Nothing
 * blocks. Limits: the REPORT_*_MAX below; what is beyond them is refused, never cut silently.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "run/document/document.h"

struct program_ops;
/* The program `report` of standard-report (work/program). */
extern const struct program_ops report_program;

#define REPORT_FILES_MAX 64
#define REPORT_COLUMNS_MAX 512
#define REPORT_CELLS_MAX 500000
#define REPORT_SECTIONS_MAX 32
#define REPORT_LINES_MAX 64      /* rows of a section, as the template says them */
#define REPORT_MADE_MAX 256      /* rows of a section once `*` stands for each column */
#define REPORT_RULES_MAX 8
#define REPORT_PERIODS_MAX 60    /* more are put into buckets of an hour, a day, ... */
#define REPORT_VALUES_MAX 100000
#define REPORT_TEMPLATE_BYTES (256u * 1024)
#define REPORT_QUOTIENT_DECIMALS 12
#define REPORT_DECIMALS_MAX 18
#define REPORT_NUMBER_SIZE 64

/* ---- numbers and dates ---- */

/* units / 10^scale; |units| < 10^37, scale at most REPORT_DECIMALS_MAX. */
struct report_decimal {
    __int128 units;
    unsigned scale;
};

enum report_mark { REPORT_MARK_AUTO, REPORT_MARK_DOT, REPORT_MARK_COMMA }; /* of decimals */

struct report_number {
    struct report_decimal value;
    bool percent;
    char unit[8];   /* "EUR", "ms"; "" where there is none */
    bool grouped;   /* 1,234 */
    bool unclear;   /* one mark before exactly three digits: 1,234 may be either */
};
/* A whole cell: sign, digits with thousands marks in threes (comma or dot, space, apostrophe),
   decimals, an exponent, %, a currency before or after, (12) for -12, a known unit after. False
   when it is none, or has more than 18 digits before or after the mark. mark: DOT or COMMA. */
bool report_number_read(const char *s, size_t n, enum report_mark mark, struct report_number *out);
/* Rounded half away from zero to so many decimals; point and thousands ('\0': none) as given. */
void report_decimal_show(struct report_decimal d, unsigned decimals, char point, char thousands,
                         char out[REPORT_NUMBER_SIZE]);
/* -1, 0, 1. */
int report_decimal_compare(struct report_decimal a, struct report_decimal b);
double report_decimal_real(struct report_decimal d); /* for charts and detectors only */

enum report_grain {
    REPORT_GRAIN_NONE,
    REPORT_GRAIN_TIME,
    REPORT_GRAIN_HOUR,
    REPORT_GRAIN_DAY,
    REPORT_GRAIN_WEEK,
    REPORT_GRAIN_MONTH,
    REPORT_GRAIN_QUARTER,
    REPORT_GRAIN_YEAR
};
struct report_date {
    int64_t at; /* seconds since 1970, of its beginning */
    enum report_grain grain;
};
enum report_order { REPORT_ORDER_AUTO, REPORT_ORDER_DMY, REPORT_ORDER_MDY }; /* of 3/4/2025 */
/* ISO 8601 days, months, weeks (2025-W03), times (an offset is applied), 2025-Q1, 3.4.2025,
   3/4/2025 in the order given (AUTO: refused unless only one can be), English and German month
   names. A bare year only where `year` says that it may be. */
bool report_date_read(const char *s, size_t n, enum report_order order, bool year,
                      struct report_date *out);

/* ---- tables ---- */

enum report_kind { REPORT_EMPTY, REPORT_NUMBER, REPORT_DATE, REPORT_TEXT };

struct report_cell {
    enum report_kind kind; /* EMPTY also where the text stands for a missing value */
    const char *text;      /* as the source says it */
    uint32_t line;         /* of the source, 0: unknown */
    struct report_decimal number;
    struct report_date date;
};
struct report_column {
    const char *name;
    enum report_kind kind;
    bool is_id;        /* by its name: numbers of it are never added up */
    bool percent;
    char unit[8];
    unsigned decimals; /* most that a cell has */
    enum report_mark mark;
    size_t filled;     /* cells that are not empty */
    uint32_t number;   /* from 1, in the source */
};
struct report_file {
    const char *name;   /* "metrics.csv", "query of sales" */
    const char *format; /* "csv", "json", "jsonl", "sql" */
    const char *sha256; /* of its bytes; "" where nobody said */
};
struct report_place {
    uint32_t file; /* index */
    uint32_t row;  /* as in the source: CSV counts its header as 1; records from 1 */
};
struct report_table {
    struct arena *arena;
    const struct report_file *files;
    size_t files_len;
    const struct report_column *columns;
    size_t columns_len;
    const struct report_place *places; /* one a row */
    size_t rows;
    const struct report_cell *cells; /* rows x columns */
    const char *const *notes;        /* what was read how, where it was not clear */
    size_t notes_len;
};

/* How to read; all zero: find out. */
struct report_reading {
    enum report_mark mark;
    enum report_order order;
    const char *const *missing; /* beside "", NA, N/A, null, NaN, -, --, none */
    size_t missing_len;
};

/* Collects rows; the tables of several files with the same columns become one. */
struct report_grid;
struct report_grid *report_grid_new(void);
void report_grid_free(struct report_grid *g); /* accepts NULL */
/* A file begins; its columns follow by report_grid_column, then its rows. */
MUST_CHECK enum fail report_grid_file(struct report_grid *g, const struct report_file *file,
                                      struct fault *why);
MUST_CHECK enum fail report_grid_column(struct report_grid *g, const char *name, struct fault *why);
/* One row: cells[i] of column i, NULL: missing. row, lines[i] as in struct report_place and
   cell. */
MUST_CHECK enum fail report_grid_row(struct report_grid *g, uint32_t row, const char *const *cells,
                                     const uint32_t *lines, size_t n, struct fault *why);
/* All of a document: cells of CSV, or of the first table of HTML, Markdown, DOCX; records or
   columns of JSON. FAIL_BAD_REQUEST where it holds no table, or other columns than the files
   before. */
MUST_CHECK enum fail report_grid_document(struct report_grid *g, const struct report_file *file,
                                          const struct document *d, struct fault *why);
/* Finds each column's type. The caller frees *out with report_table_free. */
MUST_CHECK enum fail report_table_make(const struct report_grid *g,
                                       const struct report_reading *how, struct report_table **out,
                                       struct fault *why);
void report_table_free(struct report_table *t); /* accepts NULL */
const struct report_cell *report_table_cell(const struct report_table *t, size_t row,
                                            size_t column);
/* Exact, then without regard to case, space, - and _; SIZE_MAX: none. */
size_t report_table_find(const struct report_table *t, const char *column);

/* ---- templates ---- */

struct report_template;
/* `root` is the definition's map (title, input, words, sections; other keys are the frame's and
   are left alone). Every error goes to faults with its line; NULL then. Owns copies. */
struct report_template *report_template_read(const struct config_node *root,
                                             struct config_faults *faults);
void report_template_free(struct report_template *t); /* accepts NULL */
void report_template_reading(const struct report_template *t, struct report_reading *out);

/* ---- the report ---- */

enum report_how {
#define HOW(name, text) REPORT_HOW_##name,
#include "work/report/how.def"
#undef HOW
    REPORT_HOWS_COUNT
};
const char *report_how_name(enum report_how how);

/* Cells first..last (rows of the table) of one column. */
struct report_range {
    uint32_t column, first, last;
};
struct report_value {
    enum report_how how;
    bool is_number;
    struct report_decimal number; /* before it was rounded for showing */
    unsigned decimals;
    const char *shown;   /* "1,023", "-4.1 %", "2025-12" */
    const char *unit;    /* "%", "EUR", "pp", "" */
    const char *what;    /* the metric it belongs to, "" */
    const char *where;   /* the period or group, "" */
    const struct report_range *cells;
    size_t cells_len;
    const uint32_t *of;  /* the values it was computed from */
    size_t of_len;
    int line;            /* of the template, for what it says itself; 0: none */
};
struct report_span {
    uint32_t begin, end; /* bytes of the text */
    uint32_t value;
};
struct report_text {
    const char *text;
    const struct report_span *spans; /* in order, apart */
    size_t spans_len;
};
struct report_point {
    uint32_t label, value; /* values; value UINT32_MAX: missing */
    bool odd;              /* flagged */
};
struct report_chart {
    bool bars; /* else a line */
    struct report_text title, describe;
    const struct report_point *points;
    size_t points_len;
};
struct report_grid_text {
    const struct report_text *head;
    size_t columns;
    const struct report_text *cells; /* rows x columns */
    size_t rows;
};
/* One row of the template, or one column where it says `*`. */
struct report_line {
    const char *name;   /* the metric as shown */
    const char *column; /* of the table; "" where it is missing */
    const char *missing; /* why it could not be made; NULL: it was */
    bool required;
    int template_line;
    uint32_t value;     /* UINT32_MAX: missing */
    const struct report_text *cells; /* value, previous, change, target; text NULL: none */
    const struct report_text *sentences;
    size_t sentences_len;
    const struct report_grid_text *table; /* of the groups; NULL: none */
    const struct report_chart *chart;     /* NULL: none */
    /* The columns it goes over ("": none) and what it takes of them. */
    const char *period, *group, *where_column, *where_value;
    const struct report_point *points; /* its series or groups, also without a chart */
    size_t points_len;
};
#define REPORT_LINE_CELLS 4

enum report_verdict {
#define VERDICT(name, text, sentence) REPORT_CLAIM_##name,
#include "work/report/verdicts.def"
#undef VERDICT
    REPORT_CLAIM_COUNT
};
const char *report_verdict_name(enum report_verdict v);
const char *report_verdict_text(enum report_verdict v);

struct report_comment {
    struct report_text text;
    enum report_verdict verdict; /* OK: it is in the report */
    const char *detail;          /* the number or word at fault, "" */
};
struct report_part {
    const char *name;
    struct report_text title;
    bool comment;             /* the template wants a model's sentences here */
    const struct report_line *lines;
    size_t lines_len;
    struct report_comment *comments; /* kept and dropped */
    size_t comments_len;
};
struct report_odd {
    const char *metric, *column;
    uint32_t period, value, low, high; /* values */
};
struct report {
    struct arena *arena;
    const struct report_table *table; /* borrowed: it must live as long */
    struct report_text title;
    const char *language;
    const char *first_period, *last_period, *previous_period; /* as shown, "": none */
    struct report_part *parts;
    size_t parts_len;
    const struct report_value *values;
    size_t values_len;
    const struct report_odd *odd;
    size_t odd_len;
    const char *const *notes;
    size_t notes_len;
    size_t missing_required;
    const struct report_template *made_by; /* borrowed */
};
/* Makes it. A row whose column is not there is listed as missing with the reason; a required one
   is counted as well (the caller decides). FAIL_BAD_REQUEST: an empty table; FAIL_TOO_LARGE. */
MUST_CHECK enum fail report_make(const struct report_template *t, const struct report_table *table,
                                 struct report **out, struct fault *why);
void report_free(struct report *r); /* accepts NULL */

/* ---- claims ---- */

/* One sentence that somebody else wrote, against the facts of the report. OK only if every
   number is the value of a fact whose metric the sentence names and whose period or group it
   names too (the last period, where it names none), with its unit, rounded as it is written;
   every word that says a direction, a rank or a target is right; and no word stands in it that
   is neither a name of the report nor one of the room's own short list (so no cause, no advice,
   no number in words). It errs on the side of refusing. Else the first thing that is wrong, with
   it in detail (room bytes). */
enum report_verdict report_check_sentence(const struct report *r, const char *s, size_t n,
                                          char *detail, size_t room);
/* What a model is told for a part: its sentences, without footnotes. */
void report_comment_facts(const struct report *r, size_t part, struct buf *out);
/* Cuts text into sentences and takes each or lists it as dropped. Returns how many were taken. */
size_t report_comment_take(struct report *r, size_t part, const char *text, size_t n);

/* Is each number of each text inside a span whose value, computed again from the cells' text, shows
   the same? Counts those that are not (0 is what must be) and says the first in detail. */
size_t report_untraced(const struct report *r, char *detail, size_t room);

/* Where a value comes from, in words: "metrics.csv row 13, num_questions". */
void report_trace(const struct report *r, uint32_t value, struct buf *out);

/* A written report against the table it says it is made from: Markdown, HTML or DOCX as the sealed
   reader saw it. Each of its numbers is a finding: OK with the cell or total it is, NUMBER with
   what would be right, CONTEXT where it cannot be told what is meant. */
struct report_finding {
    uint32_t line;
    char number[48];
    enum report_verdict verdict;
    char detail[160];
};
typedef void (*report_finding_fn)(void *arg, const struct report_finding *f);
MUST_CHECK enum fail report_check_document(const struct report_table *table,
                                           const struct document *written, report_finding_fn fn,
                                           void *arg, struct fault *why);

/* ---- out ---- */

/* Each appends; false when the buffer's cap was passed. */
bool report_write_markdown(const struct report *r, struct buf *out);
bool report_write_html(const struct report *r, struct buf *out);
bool report_write_json(const struct report *r, struct buf *out);
/* One file of its own, light and dark. chart_name gives "chart-1.svg", as the Markdown calls it. */
bool report_write_svg(const struct report *r, const struct report_chart *chart, struct buf *out);
size_t report_charts(const struct report *r); /* how many */
const struct report_chart *report_chart_get(const struct report *r, size_t i);
void report_chart_name(size_t i, char out[32]);

enum report_from { REPORT_FROM_FILES, REPORT_FROM_SQLITE, REPORT_FROM_POSTGRES };
struct report_dashboard {
    enum report_from kind;
    const char *name;  /* of the file or source, for people */
    const char *query; /* SQL; NULL for files */
};
/* A dashboard for Grafana; returns its number of panels, 0 where the buffer's cap was passed or no
   row could be made. Rows that SQL cannot compute (lists, medians) have none. */
size_t report_write_grafana(const struct report *r, const struct report_dashboard *from,
                            struct buf *out);
