/* SPDX-License-Identifier: Apache-2.0 */
/* Text tables for terminals: columns as wide as their longest cell, one of them cut when the
   line is short. */
#include <string.h>

#include "base/text/text.h"
#include "prove/measure/measure.h"

#define GAP 2
#define CUT_MIN 8
#define MAX_CELL 4096

struct measure_table {
    size_t n;
    char *names[MEASURE_MAX_COLUMNS];
    bool right[MEASURE_MAX_COLUMNS];
    bool cuts[MEASURE_MAX_COLUMNS];
    size_t widths[MEASURE_MAX_COLUMNS];
    char **cells;
    size_t rows, room;
};

/* Columns that text takes: code points, without the combining ones; wide scripts count two. */
static size_t width_of(uint32_t cp)
{
    if ((cp >= 0x300 && cp <= 0x36F) || cp == 0x200B || cp == 0x200D ||
        (cp >= 0xFE00 && cp <= 0xFE0F)) {
        return 0;
    }
    bool wide = (cp >= 0x1100 && cp <= 0x115F) || (cp >= 0x2E80 && cp <= 0xA4CF) ||
                (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xF900 && cp <= 0xFAFF) ||
                (cp >= 0xFE30 && cp <= 0xFE6F) || (cp >= 0xFF00 && cp <= 0xFF60) ||
                (cp >= 0x1F300 && cp <= 0x1FAFF) || (cp >= 0x20000 && cp <= 0x3FFFD);
    return wide ? 2 : 1;
}

static size_t columns_of(const char *s)
{
    size_t n = strlen(s), columns = 0;
    while (n > 0) {
        uint32_t cp = 0;
        size_t step = text_utf8_decode(s, n, &cp);
        if (step == 0) {
            step = 1;
            cp = 0xFFFD;
        }
        columns += width_of(cp);
        s += step;
        n -= step;
    }
    return columns;
}

size_t measure_cut(struct buf *out, const char *s, size_t columns)
{
    size_t all = columns_of(s), n = strlen(s), used = 0;
    size_t may = all <= columns ? columns : columns > 0 ? columns - 1 : 0;
    while (n > 0) {
        uint32_t cp = 0;
        size_t step = text_utf8_decode(s, n, &cp);
        size_t w = step == 0 ? 1 : width_of(cp);
        if (used + w > may) {
            break;
        }
        if (step == 0) {
            step = 1;
            (void)buf_add_str(out, "\xEF\xBF\xBD");
        } else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0)) {
            (void)buf_add_char(out, ' '); /* nothing may steer the terminal */
        } else {
            (void)buf_add(out, s, step);
        }
        used += w;
        s += step;
        n -= step;
    }
    if (n > 0 && columns > 0) {
        (void)buf_add_str(out, "\xE2\x80\xA6");
        used++;
    }
    return used;
}

struct measure_table *measure_table_new(const char *const *columns, size_t n)
{
    ASSERT(n > 0 && n <= MEASURE_MAX_COLUMNS);
    struct measure_table *t = mem_alloc(sizeof(*t));
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        const char *name = columns[i];
        t->right[i] = name[0] == '>';
        t->cuts[i] = name[0] == '*';
        t->names[i] = mem_dup_str(t->right[i] || t->cuts[i] ? name + 1 : name);
        t->widths[i] = columns_of(t->names[i]);
    }
    return t;
}

void measure_table_free(struct measure_table *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->rows * t->n; i++) {
        mem_free(t->cells[i]);
    }
    for (size_t i = 0; i < t->n; i++) {
        mem_free(t->names[i]);
    }
    mem_free(t->cells);
    mem_free(t);
}

void measure_table_row(struct measure_table *t, const char *const *cells)
{
    if (t->rows == MEASURE_MAX_ROWS) {
        return;
    }
    if (t->rows == t->room) {
        t->room = t->room == 0 ? 16 : t->room * 2;
        t->cells = mem_realloc(t->cells, t->room * t->n * sizeof(*t->cells));
    }
    for (size_t i = 0; i < t->n; i++) {
        struct buf b;
        buf_init(&b, (size_t)MAX_CELL * 4);
        (void)measure_cut(&b, cells[i] != NULL ? cells[i] : "-", MAX_CELL / 2);
        t->cells[t->rows * t->n + i] = buf_take(&b);
        size_t w = columns_of(t->cells[t->rows * t->n + i]);
        t->widths[i] = w > t->widths[i] ? w : t->widths[i];
    }
    t->rows++;
}

static void fit(const struct measure_table *t, size_t width, size_t *widths)
{
    size_t sum = GAP * (t->n - 1);
    for (size_t i = 0; i < t->n; i++) {
        widths[i] = t->widths[i];
        sum += widths[i];
    }
    /* The columns that may be cut first, then the widest of all. */
    for (int pass = 0; pass < 2 && width > 0; pass++) {
        while (sum > width) {
            size_t at = t->n;
            for (size_t i = 0; i < t->n; i++) {
                bool may = (pass == 1 || t->cuts[i]) && widths[i] > CUT_MIN;
                if (may && (at == t->n || widths[i] > widths[at])) {
                    at = i;
                }
            }
            if (at == t->n) {
                break;
            }
            widths[at]--;
            sum--;
        }
    }
}

static void spaces(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)buf_add_char(out, ' ');
    }
}

static void line(const struct measure_table *t, char *const *cells, const size_t *widths,
                 struct buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t w = columns_of(cells[i]);
        size_t pad = w < widths[i] ? widths[i] - w : 0;
        if (t->right[i]) {
            spaces(out, pad);
        }
        (void)measure_cut(out, cells[i], widths[i]);
        if (i + 1 < t->n) {
            spaces(out, (t->right[i] ? 0 : pad) + GAP);
        }
    }
    (void)buf_add_char(out, '\n');
}

void measure_table_show(const struct measure_table *t, size_t width, struct buf *out)
{
    size_t widths[MEASURE_MAX_COLUMNS];
    fit(t, width, widths);
    line(t, t->names, widths, out);
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < widths[i]; k++) {
            (void)buf_add_str(out, "\xE2\x94\x80");
        }
        if (i + 1 < t->n) {
            spaces(out, GAP);
        }
    }
    (void)buf_add_char(out, '\n');
    for (size_t r = 0; r < t->rows; r++) {
        line(t, t->cells + r * t->n, widths, out);
    }
}
