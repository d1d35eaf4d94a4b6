/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types: what a column holds is what all its cells can be read as, under one convention. A column
 * in which one cell is no number is text: nothing is guessed cell by cell.
 * Threads: pure. Limits: the grid's.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "work/report/report_internal.h"

#define NOTES_MAX 64

struct typing {
    const struct report_grid *grid;
    const struct report_reading *how;
    struct report_table *table;
    struct report_column *columns;
    struct report_cell *cells;
    const char **notes;
    enum report_mark evidence; /* what a column that is clear says */
};

static void note(struct typing *t, const char *name, const char *what)
{
    if (t->table->notes_len < NOTES_MAX) {
        t->notes[t->table->notes_len++] =
            arena_printf(t->table->arena, "the column \"%s\" %s", name, what);
    }
}

static bool is_missing(const struct report_reading *how, const char *s)
{
    static const char *const words[] = {"",    "NA",   "N/A",  "#N/A", "null", "nil",
                                        "NaN", "none", "-",    "--",   "\xe2\x80\x93",
                                        "\xe2\x80\x94"};
    char t[24];
    if (s == NULL) {
        return true;
    }
    s += strspn(s, " \t");
    if (strlen(s) >= sizeof(t)) {
        return false;
    }
    (void)text_copy(t, sizeof(t), s);
    const char *word = text_trim(t);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(word, words[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < how->missing_len; i++) {
        if (strcmp(s, how->missing[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A name one of whose words says that the numbers are names: question_ids, "Ticket ID", uuid. */
static bool names_ids(const char *name)
{
    static const char *const words[] = {"id", "ids", "uuid", "guid", "key", "zip", "phone", "plz"};
    size_t i = 0, n = strlen(name);
    while (i < n) {
        size_t from = i;
        while (
            i < n && isalpha((unsigned char)name[i]) &&
            !(i > from && isupper((unsigned char)name[i]) && islower((unsigned char)name[i - 1]))) {
            i++;
        }
        for (size_t k = 0; k < COUNT_OF(words); k++) {
            if (strlen(words[k]) == i - from && strncasecmp(words[k], name + from, i - from) == 0) {
                return true;
            }
        }
        i += i == from ? 1 : 0;
    }
    return false;
}

static bool names_year(const char *name)
{
    return strcasecmp(name, "year") == 0 || strcasecmp(name, "jahr") == 0;
}

static const char *text_of(const struct typing *t, size_t row, size_t column)
{
    return t->grid->cells[row * t->grid->columns_len + column];
}

/* ---- numbers ---- */

struct count {
    size_t filled, dot, comma, unclear, percent;
    bool units; /* more than one */
    char unit[8];
};

static void count_numbers(const struct typing *t, size_t column, struct count *out)
{
    struct report_number d, c;
    *out = (struct count){0};
    for (size_t row = 0; row < t->grid->rows; row++) {
        const char *s = text_of(t, row, column);
        if (is_missing(t->how, s)) {
            continue;
        }
        bool dot = report_number_read(s, strlen(s), REPORT_MARK_DOT, &d);
        bool comma = report_number_read(s, strlen(s), REPORT_MARK_COMMA, &c);
        const char *unit = dot ? d.unit : comma ? c.unit : "";
        out->units = out->units || (out->filled > 0 && strcmp(unit, out->unit) != 0);
        (void)text_copy(out->unit, sizeof(out->unit), unit);
        out->filled++;
        out->dot += dot ? 1 : 0;
        out->comma += comma ? 1 : 0;
        out->percent += (dot && d.percent) || (comma && c.percent) ? 1 : 0;
        out->unclear += dot && comma && report_decimal_compare(d.value, c.value) != 0 ? 1 : 0;
    }
}

/* AUTO: it is no column of numbers. */
static enum report_mark mark_of(struct typing *t, size_t column, const struct count *n)
{
    bool dot = n->filled > 0 && n->dot == n->filled, comma = n->filled > 0 && n->comma == n->filled;
    if (t->how->mark != REPORT_MARK_AUTO) {
        bool ok = t->how->mark == REPORT_MARK_DOT ? dot : comma;
        return ok ? t->how->mark : REPORT_MARK_AUTO;
    }
    if (dot != comma) {
        return dot ? REPORT_MARK_DOT : REPORT_MARK_COMMA;
    }
    if (!dot) {
        return REPORT_MARK_AUTO;
    }
    if (n->unclear == 0) {
        return REPORT_MARK_DOT; /* both say the same */
    }
    if (t->evidence == REPORT_MARK_AUTO) {
        note(t, t->grid->columns[column],
             "was read with a decimal point; nothing says whether its marks are decimal commas "
             "(input.decimal of the template does)");
    }
    return t->evidence == REPORT_MARK_COMMA ? REPORT_MARK_COMMA : REPORT_MARK_DOT;
}

/* Columns that can only be read one way decide for those that can be read both. */
static void find_evidence(struct typing *t)
{
    bool dot = false, comma = false;
    for (size_t i = 0; i < t->grid->columns_len; i++) {
        struct count n;
        count_numbers(t, i, &n);
        dot = dot || (n.filled > 0 && n.dot == n.filled && n.comma < n.filled);
        comma = comma || (n.filled > 0 && n.comma == n.filled && n.dot < n.filled);
    }
    t->evidence = dot == comma ? REPORT_MARK_AUTO : dot ? REPORT_MARK_DOT : REPORT_MARK_COMMA;
}

static bool has_word(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = name; *p != '\0'; p++) {
        if (strncasecmp(p, word, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool type_numbers(struct typing *t, size_t column)
{
    struct report_column *c = &t->columns[column];
    struct count n;
    struct report_number v;
    count_numbers(t, column, &n);
    enum report_mark mark = n.units ? REPORT_MARK_AUTO : mark_of(t, column, &n);
    if (mark == REPORT_MARK_AUTO) {
        return false;
    }
    c->kind = REPORT_NUMBER;
    c->mark = mark;
    c->percent = n.percent > 0 || has_word(c->name, "percent") || has_word(c->name, "prozent") ||
                 strchr(c->name, '%') != NULL;
    (void)text_copy(c->unit, sizeof(c->unit), n.unit);
    for (size_t row = 0; row < t->grid->rows; row++) {
        struct report_cell *cell = &t->cells[row * t->grid->columns_len + column];
        if (!is_missing(t->how, cell->text) &&
            report_number_read(cell->text, strlen(cell->text), mark, &v)) {
            cell->kind = REPORT_NUMBER;
            cell->number = v.value;
            c->decimals = v.value.scale > c->decimals ? v.value.scale : c->decimals;
        }
    }
    return true;
}

/* ---- dates ---- */

static size_t count_dates(const struct typing *t, size_t column, enum report_order order,
                          size_t *filled)
{
    struct report_date d;
    size_t ok = 0;
    bool year = names_year(t->grid->columns[column]);
    *filled = 0;
    for (size_t row = 0; row < t->grid->rows; row++) {
        const char *s = text_of(t, row, column);
        if (!is_missing(t->how, s)) {
            *filled += 1;
            ok += report_date_read(s, strlen(s), order, year, &d) ? 1 : 0;
        }
    }
    return ok;
}

static bool type_dates(struct typing *t, size_t column)
{
    struct report_column *c = &t->columns[column];
    enum report_order order = t->how->order;
    size_t filled, ok;
    bool year = names_year(c->name);
    if (order == REPORT_ORDER_AUTO) {
        size_t dmy = count_dates(t, column, REPORT_ORDER_DMY, &filled);
        size_t mdy = count_dates(t, column, REPORT_ORDER_MDY, &filled);
        if (filled == 0 || (dmy < filled && mdy < filled)) {
            return false;
        }
        bool same = count_dates(t, column, REPORT_ORDER_AUTO, &filled) == filled;
        if (dmy == mdy && !same) {
            note(t, c->name,
                 "may hold days before months or months before days; it was not read as dates "
                 "(input.dates of the template says which)");
            return false;
        }
        order = dmy >= mdy ? REPORT_ORDER_DMY : REPORT_ORDER_MDY;
    }
    ok = count_dates(t, column, order, &filled);
    if (filled == 0 || ok < filled) {
        return false;
    }
    c->kind = REPORT_DATE;
    for (size_t row = 0; row < t->grid->rows; row++) {
        struct report_cell *cell = &t->cells[row * t->grid->columns_len + column];
        if (!is_missing(t->how, cell->text) &&
            report_date_read(cell->text, strlen(cell->text), order, year, &cell->date)) {
            cell->kind = REPORT_DATE;
        }
    }
    return true;
}

/* ---- all ---- */

static void type_column(struct typing *t, size_t column)
{
    struct report_column *c = &t->columns[column];
    c->name = arena_dup_str(t->table->arena, t->grid->columns[column]);
    c->number = (uint32_t)column + 1;
    c->is_id = names_ids(c->name);
    for (size_t row = 0; row < t->grid->rows; row++) {
        struct report_cell *cell = &t->cells[row * t->grid->columns_len + column];
        const char *s = text_of(t, row, column);
        cell->text = arena_dup_str(t->table->arena, s == NULL ? "" : s);
        cell->line = t->grid->lines[row * t->grid->columns_len + column];
        cell->kind = is_missing(t->how, s) ? REPORT_EMPTY : REPORT_TEXT;
        c->filled += cell->kind == REPORT_EMPTY ? 0 : 1;
    }
    c->kind = REPORT_TEXT;
    if (c->filled == 0 || (!names_year(c->name) && type_numbers(t, column))) {
        return;
    }
    (void)type_dates(t, column);
}

enum fail report_table_make(const struct report_grid *g, const struct report_reading *how,
                            struct report_table **out, struct fault *why)
{
    static const struct report_reading plain;
    *out = NULL;
    if (g->rows == 0 || g->columns_len == 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "the table has no row");
    }
    struct typing t = {.grid = g, .how = how == NULL ? &plain : how};
    struct arena *arena = arena_new((size_t)512 << 20);
    struct report_table *table = arena_alloc(arena, sizeof(*table));
    struct report_file *files = arena_alloc(arena, g->files_len * sizeof(*files));
    t.table = table;
    t.columns = arena_alloc(arena, g->columns_len * sizeof(*t.columns));
    t.cells = arena_alloc(arena, g->columns_len * g->rows * sizeof(*t.cells));
    t.notes = arena_alloc(arena, NOTES_MAX * sizeof(*t.notes));
    for (size_t i = 0; i < g->files_len; i++) {
        files[i] = (struct report_file){arena_dup_str(arena, g->files[i].name),
                                        arena_dup_str(arena, g->files[i].format),
                                        arena_dup_str(arena, g->files[i].sha256)};
    }
    *table = (struct report_table){
        .arena = arena,
        .files = files,
        .files_len = g->files_len,
        .columns = t.columns,
        .columns_len = g->columns_len,
        .places = arena_dup(arena, g->places, g->rows * sizeof(*g->places)),
        .rows = g->rows,
        .cells = t.cells,
        .notes = t.notes};
    find_evidence(&t);
    for (size_t i = 0; i < g->columns_len; i++) {
        type_column(&t, i);
    }
    *out = table;
    return FAIL_NONE;
}

void report_table_free(struct report_table *t)
{
    if (t != NULL) {
        arena_free(t->arena);
    }
}

const struct report_cell *report_table_cell(const struct report_table *t, size_t row, size_t column)
{
    ASSERT(row < t->rows && column < t->columns_len);
    return &t->cells[row * t->columns_len + column];
}

/* Next letter or digit of a name, lower case; '\0' at its end. */
static char next_plain(const char **s)
{
    while (**s != '\0' && strchr(" -_.", **s) != NULL) {
        (*s)++;
    }
    return **s == '\0' ? '\0' : (char)tolower((unsigned char)*(*s)++);
}

size_t report_table_find(const struct report_table *t, const char *column)
{
    for (size_t i = 0; i < t->columns_len; i++) {
        if (strcmp(t->columns[i].name, column) == 0) {
            return i;
        }
    }
    for (size_t i = 0; i < t->columns_len; i++) {
        const char *a = t->columns[i].name, *b = column;
        char x, y;
        do {
            x = next_plain(&a);
            y = next_plain(&b);
        } while (x == y && x != '\0');
        if (x == y) {
            return i;
        }
    }
    return SIZE_MAX;
}
