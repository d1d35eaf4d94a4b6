/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grid: rows of texts as the sources say them, of one or several files with the same columns.
 * Owns: copies of every text. Threads: one. Limits: report.h; 64 MiB of text.
 */
#include <stdio.h>
#include <string.h>

#include "work/report/report_internal.h"

#define TEXT_MAX ((size_t)64 << 20)

struct report_grid *report_grid_new(void)
{
    struct report_grid *g = mem_alloc(sizeof(*g));
    g->arena = arena_new(TEXT_MAX + ((size_t)64 << 20));
    return g;
}

void report_grid_free(struct report_grid *g)
{
    if (g != NULL) {
        arena_free(g->arena);
        mem_free(g->cells);
        mem_free(g->lines);
        mem_free(g->places);
        mem_free(g);
    }
}

static const char *keep(struct report_grid *g, const char *s)
{
    return s == NULL || g->text > TEXT_MAX ? NULL : arena_dup_str(g->arena, s);
}

/* The file before this one must have had all the columns. */
static enum fail close_file(struct report_grid *g, struct fault *why)
{
    if (g->files_len > 1 && g->columns_said != g->columns_len) {
        return FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" has %zu columns and \"%.80s\" has %zu",
                     g->files[g->files_len - 1].name, g->columns_said, g->files[0].name,
                     g->columns_len);
    }
    return FAIL_NONE;
}

enum fail report_grid_file(struct report_grid *g, const struct report_file *file, struct fault *why)
{
    enum fail f = close_file(g, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (g->files_len == REPORT_FILES_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "more than %d files", REPORT_FILES_MAX);
    }
    g->files[g->files_len++] =
        (struct report_file){keep(g, file->name), keep(g, file->format == NULL ? "" : file->format),
                             keep(g, file->sha256 == NULL ? "" : file->sha256)};
    g->columns_said = 0;
    return FAIL_NONE;
}

enum fail report_grid_column(struct report_grid *g, const char *name, struct fault *why)
{
    size_t i = g->columns_said;
    ASSERT(g->files_len > 0);
    if (i == REPORT_COLUMNS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "more than %d columns", REPORT_COLUMNS_MAX);
    }
    if (g->files_len > 1) {
        if (i >= g->columns_len || strcmp(g->columns[i], name) != 0) {
            (void)FAULT(why, FAIL_BAD_REQUEST,
                        "\"%.80s\" has the column \"%.60s\" where \"%.80s\" has another",
                        g->files[g->files_len - 1].name, name, g->files[0].name);
            return fail_hint(why, "Files that are read as one table have the same columns in the "
                                  "same order: run them apart.");
        }
    } else {
        char plain[24];
        snprintf(plain, sizeof(plain), "column %zu", i + 1);
        g->columns[g->columns_len++] = keep(g, name[0] == '\0' ? plain : name);
    }
    g->columns_said++;
    return FAIL_NONE;
}

enum fail report_grid_row(struct report_grid *g, uint32_t row, const char *const *cells,
                          const uint32_t *lines, size_t n, struct fault *why)
{
    enum fail f = close_file(g, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (n > g->columns_len) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "row %u of \"%.80s\" has %zu cells and %zu columns", row,
                    g->files[g->files_len - 1].name, n, g->columns_len);
        return fail_hint(why, "Quote a cell that holds the delimiter, or name every column.");
    }
    if ((g->rows + 1) * g->columns_len > REPORT_CELLS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "more than %d cells", REPORT_CELLS_MAX);
    }
    if (g->rows == g->room) {
        g->room = g->room == 0 ? 64 : g->room * 2;
        g->cells = mem_realloc(g->cells, g->room * g->columns_len * sizeof(*g->cells));
        g->lines = mem_realloc(g->lines, g->room * g->columns_len * sizeof(*g->lines));
        g->places = mem_realloc(g->places, g->room * sizeof(*g->places));
    }
    for (size_t i = 0; i < g->columns_len; i++) {
        const char *s = i < n ? cells[i] : NULL;
        g->text += s == NULL ? 0 : strlen(s) + 1;
        g->cells[g->rows * g->columns_len + i] = keep(g, s);
        g->lines[g->rows * g->columns_len + i] = i < n ? lines[i] : 0;
    }
    if (g->text > TEXT_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "more than %zu bytes of cells", TEXT_MAX);
    }
    g->places[g->rows++] = (struct report_place){(uint32_t)(g->files_len - 1), row};
    return FAIL_NONE;
}

/* ---- from a document ---- */

/* One row being put together. */
struct row {
    const char *cells[REPORT_COLUMNS_MAX];
    uint32_t lines[REPORT_COLUMNS_MAX];
    size_t n;
    uint32_t number;
};

static enum fail row_end(struct report_grid *g, struct row *r, struct fault *why)
{
    enum fail f = r->n == 0 ? FAIL_NONE
                            : report_grid_row(g, r->number, r->cells, r->lines, r->n, why);
    memset(r, 0, sizeof(*r));
    return f;
}

static enum fail row_put(struct row *r, size_t column, const char *text, uint32_t line,
                         struct fault *why)
{
    if (column >= REPORT_COLUMNS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "more than %d columns", REPORT_COLUMNS_MAX);
    }
    r->cells[column] = text;
    r->lines[column] = line;
    r->n = r->n > column + 1 ? r->n : column + 1;
    return FAIL_NONE;
}

/* Cells of one table; a first row that is no header gets columns called by their number. */
static enum fail take_cells(struct report_grid *g, const struct document *d, struct fault *why)
{
    AUTO_FREE struct row *r = mem_alloc(sizeof(*r));
    enum fail f = FAIL_NONE;
    uint32_t table = 0;
    size_t columns = 0;
    bool header = false;
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind == DOCUMENT_CELL) {
            table = table == 0 ? b->table : table;
            header = header || (b->table == table && b->header);
            columns = b->table == table && b->column > columns ? b->column : columns;
        }
    }
    for (size_t i = 0; i < d->blocks_len && header && f == FAIL_NONE; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind == DOCUMENT_CELL && b->table == table && b->header) {
            f = report_grid_column(g, b->text, why);
        }
    }
    for (size_t i = 0; i < columns && !header && f == FAIL_NONE; i++) {
        f = report_grid_column(g, "", why);
    }
    for (size_t i = 0; i < d->blocks_len && f == FAIL_NONE; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind != DOCUMENT_CELL || b->table != table || b->header || b->column == 0) {
            continue;
        }
        if (b->row != r->number) {
            f = row_end(g, r, why);
            r->number = b->row;
        }
        f = f != FAIL_NONE ? f : row_put(r, b->column - 1, b->text, b->line, why);
    }
    return f != FAIL_NONE ? f : row_end(g, r, why);
}

/* The parts of a JSON pointer: how many, and where each is. */
#define PARTS_MAX 16
struct pointer {
    char text[DOCUMENT_PATH_MAX + 1];
    const char *part[PARTS_MAX];
    size_t n;
};

static bool is_index(const char *s)
{
    return s[0] != '\0' && strlen(s) <= 9 && strspn(s, "0123456789") == strlen(s);
}

static void unescape(char *s)
{
    char *to = s;
    for (const char *p = s; *p != '\0'; p++) {
        if (p[0] == '~' && (p[1] == '0' || p[1] == '1')) {
            *to++ = p[1] == '0' ? '~' : '/';
            p++;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

static void pointer_cut(struct pointer *p, const char *path)
{
    (void)text_copy(p->text, sizeof(p->text), path);
    p->n = 0;
    for (char *s = p->text; *s == '/' && p->n < PARTS_MAX;) {
        *s++ = '\0';
        p->part[p->n++] = s;
        s += strcspn(s, "/");
    }
    for (size_t i = 0; i < p->n; i++) {
        unescape((char *)(uintptr_t)p->part[i]);
    }
}

/* Where the values stand in a JSON document: at which part of the pointer the row's index is and at
   which the column's name. */
struct shape {
    size_t row, column;
    bool by_record; /* JSON lines: the block says the row */
};

static bool shape_find(const struct document *d, struct shape *out)
{
    AUTO_FREE struct pointer *p = mem_alloc(sizeof(*p));
    if (d->blocks_len == 0) {
        return false;
    }
    if (strcmp(d->format, "jsonl") == 0) {
        *out = (struct shape){0, 0, true};
        return true;
    }
    pointer_cut(p, d->blocks[0].path);
    for (size_t i = 0; i < p->n; i++) {
        if (is_index(p->part[i])) {
            /* [{...}], {"data": [{...}]}; else {"name": [...]} */
            bool records = i + 1 < p->n;
            *out = records ? (struct shape){i, i + 1, false} : (struct shape){i, i - 1, false};
            return records || i > 0;
        }
    }
    return false;
}

static size_t column_of(const struct report_grid *g, const char *name)
{
    for (size_t i = 0; i < g->columns_len; i++) {
        if (strcmp(g->columns[i], name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static const char *column_name(const struct pointer *p, const struct shape *shape, char *room,
                               size_t size)
{
    if (p->n <= shape->column || (!shape->by_record && p->n <= shape->row)) {
        return NULL;
    }
    size_t len = 0;
    room[0] = '\0';
    size_t last = shape->row > shape->column ? shape->column + 1 : p->n;
    for (size_t i = shape->column; i < last && len < size; i++) {
        len += (size_t)snprintf(room + len, size - len, "%s%s", i > shape->column ? "." : "",
                                p->part[i]);
    }
    return room;
}

/* One value of JSON as (row, column). */
struct spot {
    uint32_t row;
    size_t column;
    const struct document_block *block;
};

static int by_row(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return x->row != y->row ? (x->row < y->row ? -1 : 1)
           : x->column != y->column ? (x->column < y->column ? -1 : 1)
                                    : 0;
}

static enum fail take_spots(struct report_grid *g, const struct spot *spots, size_t n,
                            struct fault *why)
{
    AUTO_FREE struct row *r = mem_alloc(sizeof(*r));
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        if (spots[i].row != r->number) {
            f = row_end(g, r, why);
            r->number = spots[i].row;
        }
        f = f != FAIL_NONE ? f
                           : row_put(r, spots[i].column, spots[i].block->text,
                                     spots[i].block->line, why);
    }
    return f != FAIL_NONE ? f : row_end(g, r, why);
}

static enum fail take_values(struct report_grid *g, const struct document *d, struct fault *why)
{
    struct shape shape;
    char name[256];
    AUTO_FREE struct pointer *p = mem_alloc(sizeof(*p));
    enum fail f = FAIL_NONE;
    size_t n = 0;
    if (!shape_find(d, &shape)) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" is JSON, and holds no table",
                    g->files[g->files_len - 1].name);
        return fail_hint(why, "A table is a list of objects, or an object of lists.");
    }
    AUTO_FREE struct spot *spots = mem_alloc_array(d->blocks_len, sizeof(*spots));
    for (size_t i = 0; i < d->blocks_len && f == FAIL_NONE; i++) {
        const struct document_block *b = &d->blocks[i];
        pointer_cut(p, b->path);
        const char *column = column_name(p, &shape, name, sizeof(name));
        if (b->kind != DOCUMENT_VALUE || column == NULL ||
            (!shape.by_record && !is_index(p->part[shape.row]))) {
            continue; /* a value beside the table */
        }
        size_t at = column_of(g, column);
        if (at == SIZE_MAX && g->files_len > 1) {
            f = report_grid_column(g, column, why); /* says what differs */
            continue;
        }
        if (at == SIZE_MAX) {
            at = g->columns_len;
            f = report_grid_column(g, column, why);
        }
        int64_t row = 0;
        (void)(!shape.by_record && text_read_int(p->part[shape.row], 0, 1000000000, &row));
        spots[n++] = (struct spot){shape.by_record ? b->row : (uint32_t)row + 1, at, b};
    }
    g->columns_said = g->columns_len;
    if (f != FAIL_NONE) {
        return f;
    }
    qsort(spots, n, sizeof(*spots), by_row);
    return take_spots(g, spots, n, why);
}

enum fail report_grid_document(struct report_grid *g, const struct report_file *file,
                               const struct document *d, struct fault *why)
{
    size_t before = g->rows;
    bool cells = false, values = false;
    struct report_file with = *file;
    with.format = d->format;
    for (size_t i = 0; i < d->blocks_len; i++) {
        cells = cells || d->blocks[i].kind == DOCUMENT_CELL;
        values = values || d->blocks[i].kind == DOCUMENT_VALUE;
    }
    enum fail f = report_grid_file(g, &with, why);
    f = f != FAIL_NONE ? f
        : cells        ? take_cells(g, d, why)
        : values       ? take_values(g, d, why)
                       : FAIL_NONE;
    if (f == FAIL_NONE && g->rows == before) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" holds no table with a row", file->name);
        return fail_hint(why, "Give CSV, JSON records or columns, or JSON lines.");
    }
    return f;
}
