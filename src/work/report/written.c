/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report that somebody wrote, against the table it says it is made from. In a table of the report
 * a row is found by a cell that is the same text as a cell of ours; a column means what explains
 * most of its numbers: a column of ours, or the shares of one. In sentences a number is a total,
 * the count of rows, or part of the report's name; where our table has one row, a cell that the
 * words name, and a / b = c % is computed.
 * Owns: nothing beyond the call. Threads: pure. Limits: WRITTEN_CELLS_MAX numbers, COLUMNS columns
 * of a written table.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "work/report/report_internal.h"

#define WRITTEN_CELLS_MAX 20000
#define COLUMNS 32

struct written {
    const struct report_table *table;
    const struct document *d;
    report_finding_fn fn;
    void *arg;
    struct report_decimal *totals; /* of columns of numbers */
    bool *has_total;
};

static void find(struct written *w, uint32_t line, const char *number, size_t n,
                 enum report_verdict v, const char *detail)
{
    struct report_finding f = {.line = line, .verdict = v};
    char copy[48];
    n = n < sizeof(copy) - 1 ? n : sizeof(copy) - 1;
    memcpy(copy, number, n);
    copy[text_utf8_valid_prefix(copy, n)] = '\0';
    (void)text_copy(f.number, sizeof(f.number), copy);
    (void)text_copy(f.detail, sizeof(f.detail), detail);
    w->fn(w->arg, &f);
}

static const struct report_cell *cell(const struct written *w, size_t row, size_t column)
{
    return report_table_cell(w->table, row, column);
}

static bool same(struct report_decimal exact, struct report_decimal as_written)
{
    return report_decimal_compare(decimal_round(exact, as_written.scale), as_written) == 0;
}

/* Column c's number in a row, or its share of the column; false: there is none. */
static bool derive(const struct written *w, size_t row, size_t c, bool share,
                   struct report_decimal *out)
{
    const struct report_cell *x = cell(w, row, c);
    if (x->kind != REPORT_NUMBER || w->table->columns[c].is_id) {
        return false;
    }
    *out = x->number;
    return !share || (w->has_total[c] && decimal_divide(x->number, w->totals[c], 2,
                                                        REPORT_QUOTIENT_DECIMALS, out));
}

/* ---- tables ---- */

/* One number of a written table. */
struct put {
    const struct document_block *block;
    struct report_number number;
    size_t row; /* ours */
};

static size_t row_of(const struct written *w, const struct document_block *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < w->table->rows; r++) {
            for (size_t c = 0; c < w->table->columns_len; c++) {
                const struct report_cell *x = cell(w, r, c);
                if (x->kind == REPORT_TEXT && !w->table->columns[c].is_id &&
                    strcmp(x->text, b[i].text) == 0) {
                    return r;
                }
            }
        }
    }
    return SIZE_MAX;
}

/* Entries of lists in a row's cells: is it one, and how many are there? */
static bool is_item(const char *list, const char *s, size_t n, size_t *count)
{
    bool found = false;
    *count = 0;
    for (const char *p = list; *p != '\0';) {
        size_t len = strcspn(p, ";,");
        const char *from = p + strspn(p, " ");
        size_t end = (size_t)(p + len - from);
        *count += 1;
        found = found || (end == n && memcmp(from, s, n) == 0);
        p += len + (p[len] == '\0' ? 0 : 1);
    }
    return found;
}

/* "1567985, 1565589 ... and 4 more": each an entry of a list of the row, and as many as are
   left. */
static void check_list(struct written *w, const struct document_block *b, size_t row)
{
    size_t listed = 0, count = 0, all = 0;
    for (size_t i = 0; i < b->len;) {
        size_t from = i;
        while (i < b->len && isdigit((unsigned char)b->text[i])) {
            i++;
        }
        if (i == from) {
            i++;
            continue;
        }
        bool item = false, minus = from > 0 && b->text[from - 1] == '-';
        for (size_t c = 0; c < w->table->columns_len && !item && !minus; c++) {
            const struct report_cell *x = cell(w, row, c);
            item = w->table->columns[c].is_id && is_item(x->text, b->text + from, i - from, &count);
            all = item ? count : all;
        }
        int64_t left = 0;
        AUTO_FREE char *digits = mem_dup_strn(b->text + from, i - from);
        bool more = !minus && strncmp(b->text + i, " more", 5) == 0 &&
                    text_read_int(digits, 0, 1000000000, &left);
        listed += item ? 1 : 0;
        bool ok = item || (more && all == listed + (size_t)left);
        find(w, b->line, b->text + from, i - from, ok ? REPORT_CLAIM_OK : REPORT_CLAIM_NUMBER,
             ok ? "an entry of the row's list" : "the row's lists have no such entry or count");
    }
}

/* What a written column means: our column, and whether it is shares. */
struct meaning_of_column {
    size_t column;
    bool share;
    size_t explained;
};

static struct meaning_of_column best_meaning(const struct written *w, const struct put *puts,
                                             size_t n, uint32_t column)
{
    struct meaning_of_column best = {SIZE_MAX, false, 0};
    for (size_t c = 0; c < w->table->columns_len; c++) {
        for (int share = 0; share < 2; share++) {
            size_t explained = 0;
            for (size_t i = 0; i < n; i++) {
                struct report_decimal x;
                bool percent = share == 1 || w->table->columns[c].percent;
                explained += puts[i].block->column == column && puts[i].number.percent == percent &&
                                     derive(w, puts[i].row, c, share == 1, &x) &&
                                     same(x, puts[i].number.value)
                                 ? 1
                                 : 0;
            }
            if (explained > best.explained) {
                best = (struct meaning_of_column){c, share == 1, explained};
            }
        }
    }
    return best;
}

static void judge_column(struct written *w, const struct put *puts, size_t n, uint32_t column)
{
    struct meaning_of_column m = best_meaning(w, puts, n, column);
    for (size_t i = 0; i < n; i++) {
        struct report_decimal x;
        char shown[REPORT_NUMBER_SIZE] = "", detail[160];
        const struct document_block *b = puts[i].block;
        if (b->column != column) {
            continue;
        }
        bool there = m.column != SIZE_MAX && derive(w, puts[i].row, m.column, m.share, &x);
        bool percent = m.share || (there && w->table->columns[m.column].percent);
        bool ok = there && percent == puts[i].number.percent && same(x, puts[i].number.value);
        if (there) {
            report_decimal_show(x, puts[i].number.value.scale, '.', '\0', shown);
        }
        snprintf(detail, sizeof(detail), "%s%.60s of row %u%s%s", m.share ? "share of " : "",
                 there ? w->table->columns[m.column].name : "no column",
                 w->table->places[puts[i].row].row, ok ? "" : ": it would be ", ok ? "" : shown);
        find(w, b->line, b->text, b->len, ok ? REPORT_CLAIM_OK : REPORT_CLAIM_NUMBER, detail);
    }
}

/* The blocks [from, end) are one written table. */
static void check_table(struct written *w, size_t from, size_t end)
{
    AUTO_FREE struct put *puts = mem_alloc_array(end - from + 1, sizeof(*puts));
    size_t n = 0;
    for (size_t i = from; i < end;) {
        size_t stop = i + 1;
        while (stop < end && w->d->blocks[stop].row == w->d->blocks[i].row) {
            stop++;
        }
        size_t row = row_of(w, &w->d->blocks[i], stop - i);
        for (size_t k = i; k < stop; k++) {
            const struct document_block *b = &w->d->blocks[k];
            struct report_number v;
            if (b->header || strpbrk(b->text, "0123456789") == NULL) {
                continue;
            }
            bool number = report_number_read(b->text, b->len, REPORT_MARK_DOT, &v) &&
                          b->links_len == 0 && b->column <= COLUMNS;
            if (row != SIZE_MAX && number) {
                puts[n++] = (struct put){b, v, row};
            } else if (row != SIZE_MAX && strcmp(b->text, w->d->blocks[i].text) != 0) {
                check_list(w, b, row);
            } else if (row == SIZE_MAX) {
                find(w, b->line, b->text, b->len, REPORT_CLAIM_CONTEXT,
                     "the row is not in the table");
            }
        }
        i = stop;
    }
    for (uint32_t c = 1; c <= COLUMNS; c++) {
        judge_column(w, puts, n, c);
    }
}

/* ---- sentences ---- */

struct said {
    struct report_number number;
    size_t at, len;
    bool taken;
};

static bool in_names(const struct written *w, const char *s, size_t n)
{
    for (size_t i = 0; i < w->table->files_len; i++) {
        const char *name = w->table->files[i].name;
        for (const char *p = name; n > 0 && (p = strstr(p, (char[2]){s[0], '\0'})) != NULL; p++) {
            if (strncmp(p, s, n) == 0 && !isdigit((unsigned char)p[n]) &&
                (p == name || !isdigit((unsigned char)p[-1]))) {
                return true;
            }
        }
    }
    return false;
}

/* How many words of a column's name the sentence says, of how many. */
static size_t words_said(const char *name, const char *s)
{
    size_t said = 0;
    for (const char *p = name; *p != '\0';) {
        size_t n = strcspn(p, "_- ");
        for (const char *q = s; n > 2 && *q != '\0'; q++) {
            bool start = q == s || !isalpha((unsigned char)q[-1]);
            if (start && strncasecmp(q, p, n) == 0) {
                said++;
                break;
            }
        }
        p += n + (p[n] == '\0' ? 0 : 1);
    }
    return said;
}

/* A cell of the only row that the words name best. */
static bool is_named_cell(const struct written *w, const char *s, const struct report_number *v)
{
    size_t best = 0;
    bool found = false;
    for (size_t c = 0; c < w->table->columns_len; c++) {
        struct report_decimal x;
        size_t said = words_said(w->table->columns[c].name, s);
        if (said == 0 || said < best || !derive(w, 0, c, false, &x)) {
            continue;
        }
        found = said > best ? false : found;
        best = said;
        found = found || same(x, v->value);
    }
    return found;
}

static bool is_cell(const struct written *w, const struct report_number *v)
{
    for (size_t c = 0; c < w->table->columns_len; c++) {
        struct report_decimal x;
        if (derive(w, 0, c, false, &x) && same(x, v->value)) {
            return true;
        }
    }
    return false;
}

static bool is_total(const struct written *w, const struct report_number *v)
{
    for (size_t c = 0; c < w->table->columns_len; c++) {
        if (w->has_total[c] && !v->percent && same(w->totals[c], v->value)) {
            return true;
        }
    }
    return !v->percent && same(decimal_of((int64_t)w->table->rows), v->value);
}

static size_t cut_numbers(const char *s, size_t n, struct said *out, size_t room)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k < room;) {
        if (!isdigit((unsigned char)s[i])) {
            i++;
            continue;
        }
        size_t from = i > 0 && s[i - 1] == '-' && (i == 1 || s[i - 2] == ' ') ? i - 1 : i;
        while (i < n && (isdigit((unsigned char)s[i]) || (i + 1 < n && strchr(".,", s[i]) != NULL &&
                                                          isdigit((unsigned char)s[i + 1])))) {
            i++;
        }
        i += i < n && s[i] == '%' ? 1 : 0;
        out[k] = (struct said){.at = from, .len = i - from};
        if (report_number_read(s + from, i - from, REPORT_MARK_DOT, &out[k].number)) {
            k++;
        }
    }
    return k;
}

/* a/b = c % and a + b = c: 0 it is none, 1 right, -1 wrong. *used: numbers it takes. */
static int check_sum(const struct written *w, const char *s, const struct said *n, size_t left)
{
    struct report_decimal x;
    if (left < 3) {
        return 0;
    }
    const char *one = s + n[0].at + n[0].len, *two = s + n[1].at + n[1].len;
    bool equals = strncmp(two, " = ", 3) == 0 && n[2].at == (size_t)(two - s) + 3;
    if (equals && *one == '/' && n[1].at == n[0].at + n[0].len + 1) {
        return is_cell(w, &n[0].number) && is_cell(w, &n[1].number) && n[2].number.percent &&
                       !n[0].number.percent && !n[1].number.percent &&
                       decimal_divide(n[0].number.value, n[1].number.value, 2,
                                      REPORT_QUOTIENT_DECIMALS, &x) &&
                       same(x, n[2].number.value)
                   ? 1
                   : -1;
    }
    if (equals && strncmp(one, " + ", 3) == 0 && n[1].at == n[0].at + n[0].len + 3) {
        return is_cell(w, &n[0].number) && is_cell(w, &n[1].number) &&
                       is_cell(w, &n[2].number) &&
                       decimal_add(n[0].number.value, n[1].number.value, &x) &&
                       report_decimal_compare(x, n[2].number.value) == 0 &&
                       n[0].number.percent == n[2].number.percent &&
                       n[1].number.percent == n[2].number.percent
                   ? 1
                   : -1;
    }
    return 0;
}

/* Beside a fraction of the same line, a lone number is its numerator. */
static bool agrees(const char *s, const struct said *n, size_t count, size_t i)
{
    for (size_t k = 0; k + 2 < count; k++) {
        bool fraction = s[n[k].at + n[k].len] == '/' && n[k + 1].at == n[k].at + n[k].len + 1;
        if (fraction && k != i && k + 1 != i &&
            report_decimal_compare(n[k].number.value, n[i].number.value) != 0) {
            return false;
        }
    }
    return true;
}

static void check_sentence(struct written *w, const struct document_block *b)
{
    struct said n[64];
    size_t count = cut_numbers(b->text, b->len, n, COUNT_OF(n));
    for (size_t i = 0; i < count; i++) {
        int sum = check_sum(w, b->text, n + i, count - i);
        if (sum != 0) {
            for (size_t k = i; k < i + 3; k++) {
                find(w, b->line, b->text + n[k].at, n[k].len,
                     sum > 0 ? REPORT_CLAIM_OK : REPORT_CLAIM_NUMBER,
                     sum > 0 ? "computed again" : "it does not compute from the table");
            }
            i += 2;
            continue;
        }
        bool alone = w->table->rows == 1;
        bool named = alone && !n[i].number.percent && is_named_cell(w, b->text, &n[i].number) &&
                     agrees(b->text, n, count, i);
        bool total = !alone && is_total(w, &n[i].number);
        bool name = in_names(w, b->text + n[i].at, n[i].len);
        find(w, b->line, b->text + n[i].at, n[i].len,
             named || total || name ? REPORT_CLAIM_OK : REPORT_CLAIM_CONTEXT,
             named   ? "the cell that the words name"
             : total ? "a total of the table"
             : name  ? "part of the table's name"
                     : "no cell or total of the table that the words name");
    }
}

enum fail report_check_document(const struct report_table *table, const struct document *d,
                                report_finding_fn fn, void *arg, struct fault *why)
{
    struct written w = {.table = table, .d = d, .fn = fn, .arg = arg};
    if (d->blocks_len > WRITTEN_CELLS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "the report has more than %d parts", WRITTEN_CELLS_MAX);
    }
    AUTO_FREE struct report_decimal *totals = mem_alloc_array(table->columns_len, sizeof(*totals));
    AUTO_FREE bool *has = mem_alloc_array(table->columns_len, sizeof(*has));
    for (size_t c = 0; c < table->columns_len; c++) {
        has[c] = table->columns[c].kind == REPORT_NUMBER && !table->columns[c].is_id &&
                 !table->columns[c].percent;
        for (size_t r = 0; r < table->rows && has[c]; r++) {
            const struct report_cell *x = report_table_cell(table, r, c);
            has[c] = x->kind == REPORT_EMPTY || decimal_add(totals[c], x->number, &totals[c]);
        }
    }
    w.totals = totals;
    w.has_total = has;
    for (size_t i = 0; i < d->blocks_len; i++) {
        size_t end = i + 1;
        if (d->blocks[i].kind != DOCUMENT_CELL) {
            check_sentence(&w, &d->blocks[i]);
            continue;
        }
        while (end < d->blocks_len && d->blocks[end].kind == DOCUMENT_CELL &&
               d->blocks[end].table == d->blocks[i].table) {
            end++;
        }
        check_table(&w, i, end);
        i = end - 1;
    }
    return FAIL_NONE;
}
