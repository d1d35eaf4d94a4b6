/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV (RFC 4180 and what is found): the delimiter is the one that cuts the first records evenly,
 * quotes may hold line ends, the first row is a header where it looks like names. One cell a block,
 * with its column's name as path.
 * Threads: one. Limits: COLUMNS_MAX columns; the sink's.
 */
#include <ctype.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

#define COLUMNS_MAX 4096
/* What the delimiter is judged by. */
#define SNIFF_RECORDS 20
#define SNIFF_BYTES 65536

struct csv {
    struct sink *out;
    const char *text;
    size_t len, at;
    char delimiter;
    struct lines lines;
    struct buf cell;
    char **names; /* of the columns, when there is a header */
    size_t names_len;
    bool header;
    size_t begin, end;  /* of the last cell */
    bool last, wrong;   /* last: it ended its record; wrong: its quote did not end */
    csv_found_fn each;  /* NULL: cells become blocks */
    void *ctx;
};

/* Reads one cell into c->cell. */
static void read_cell(struct csv *c)
{
    const char *s = c->text;
    buf_clear(&c->cell);
    c->begin = c->at;
    bool quoted = c->at < c->len && s[c->at] == '"';
    c->at += quoted ? 1 : 0;
    while (c->at < c->len) {
        char ch = s[c->at];
        if (quoted && ch == '"') {
            if (c->at + 1 < c->len && s[c->at + 1] == '"') {
                c->at++;
            } else {
                quoted = false;
                c->at++;
                continue;
            }
        } else if (!quoted && (ch == c->delimiter || ch == '\n' || ch == '\r')) {
            break;
        }
        size_t run = c->at + 1;
        while (run < c->len && s[run] != '"' && s[run] != c->delimiter && s[run] != '\n' &&
               s[run] != '\r') {
            run++;
        }
        (void)clean_add(&c->cell, s + c->at, run - c->at);
        c->at = run;
    }
    c->wrong = quoted;
    c->end = c->at;
    c->last = c->at >= c->len || s[c->at] != c->delimiter;
    if (c->at < c->len && s[c->at] == '\r') {
        c->at++;
    }
    if (c->at < c->len && (s[c->at] == '\n' || (!c->last && s[c->at] == c->delimiter))) {
        c->at++;
    }
}

/* ---- the delimiter ---- */

/* How evenly a delimiter cuts the first records: cells that agree with the first record's count. */
static size_t judge(const struct csv *like, char delimiter)
{
    struct csv c = *like;
    size_t first = 0, records = 0, even = 0, cells = 0;
    buf_init(&c.cell, SNIFF_BYTES * 4);
    c.delimiter = delimiter;
    c.len = c.len > SNIFF_BYTES ? SNIFF_BYTES : c.len;
    while (c.at < c.len && records < SNIFF_RECORDS) {
        read_cell(&c);
        cells++;
        if (c.last) {
            first = records == 0 ? cells : first;
            even += cells == first ? 1 : 0;
            records++;
            cells = 0;
        }
    }
    buf_done(&c.cell);
    return first < 2 ? 0 : even * 1000 / (records == 0 ? 1 : records) * 100 + first;
}

static char find_delimiter(const struct csv *c)
{
    static const char all[] = {',', ';', '\t', '|'};
    char best = ',';
    size_t most = 0;
    for (size_t i = 0; i < sizeof(all); i++) {
        size_t good = judge(c, all[i]);
        if (good > most) {
            most = good;
            best = all[i];
        }
    }
    return best;
}

/* ---- the header ---- */

static bool looks_like_name(const char *s)
{
    bool letter = false;
    for (const char *p = s; *p != '\0'; p++) {
        letter = letter || isalpha((unsigned char)*p) || (unsigned char)*p >= 0x80;
    }
    return letter && strlen(s) <= 200 && strstr(s, "://") == NULL && strchr(s, '\n') == NULL;
}

static bool is_new(const struct csv *c, const char *name)
{
    for (size_t i = 0; i < c->names_len; i++) {
        if (strcmp(c->names[i], name) == 0) {
            return false;
        }
    }
    return true;
}

/* Reads the first record ahead: a header when every cell is a name of its own. */
static void read_header(struct csv *c)
{
    size_t start = c->at;
    c->header = true;
    c->names = mem_alloc_array(COLUMNS_MAX, sizeof(*c->names));
    do {
        read_cell(c);
        const char *s = c->cell.data == NULL ? "" : c->cell.data;
        c->header = c->header && c->names_len < COLUMNS_MAX && !c->wrong && looks_like_name(s) &&
                    is_new(c, s);
        if (c->header) {
            c->names[c->names_len++] = mem_dup_str(s);
        }
    } while (c->header && !c->last);
    c->header = c->header && c->at < c->len; /* a header of nothing is a row */
    c->at = start;
}

/* ---- the rows ---- */

static void put_cell(struct csv *c, uint32_t row, uint32_t column, bool header)
{
    struct document_block b = {.kind = DOCUMENT_CELL,
                               .header = header,
                               .table = 1,
                               .row = row,
                               .column = column,
                               .begin = c->begin,
                               .end = c->end,
                               .line = lines_at(&c->lines, c->begin),
                               .path = c->header && column <= c->names_len ? c->names[column - 1]
                                                                           : "",
                               .text = c->cell.data == NULL ? "" : c->cell.data,
                               .len = c->cell.len};
    if (c->wrong) {
        (void)sink_fail(c->out, FAIL_BAD_REQUEST, "Close it, or write a quote inside as \"\".",
                        "line %u: a quoted cell does not end", b.line);
    } else if (column > COLUMNS_MAX) {
        (void)sink_fail(c->out, FAIL_TOO_LARGE, NULL, "line %u: more than %d columns", b.line,
                        COLUMNS_MAX);
    } else if (c->each != NULL) {
        struct csv_found cell = {.row = row, .column = column, .header = header, .name = b.path,
                                 .text = b.text, .len = b.len, .begin = c->begin, .end = c->end};
        c->each(c->ctx, &cell);
    } else {
        (void)sink_block(c->out, &b);
    }
}

static void read_rows(struct csv *c)
{
    uint32_t row = 0, columns = 0, ragged = 0;
    while (c->at < c->len && c->out->failed == FAIL_NONE) {
        uint32_t column = 0;
        size_t start = c->at;
        do {
            read_cell(c);
            bool blank = column == 0 && c->last && c->begin == c->end;
            if (blank) {
                break; /* an empty line */
            }
            row += column == 0 ? 1 : 0;
            put_cell(c, row, ++column, row == 1 && c->header);
        } while (!c->last && c->out->failed == FAIL_NONE);
        columns = row == 1 && column > 0 ? column : columns;
        ragged += column > 0 && column != columns ? 1 : 0;
        ASSERT(c->at > start);
    }
    if (ragged > 0) {
        sink_warn(c->out, "%u of %u rows have more or fewer cells than the first", ragged, row);
    }
}

enum fail csv_walk(struct sink *out, const char *text, size_t len, csv_found_fn each, void *ctx)
{
    struct csv c = {.out = out, .text = text, .len = len, .each = each, .ctx = ctx};
    c.at = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    lines_begin(&c.lines, text, len);
    buf_init(&c.cell, len * 3 + 16);
    c.delimiter = find_delimiter(&c);
    if (c.at < c.len) {
        read_header(&c);
    }
    static const char *const names[] = {"comma", "semicolon", "tab", "bar"};
    static const char all[] = ",;\t|";
    const char *which = strchr(all, c.delimiter);
    (void)sink_meta_str(out, DOCUMENT_META_DELIMITER, names[which - all]);
    read_rows(&c);
    for (size_t i = 0; i < c.names_len; i++) {
        mem_free(c.names[i]);
    }
    mem_free(c.names);
    buf_done(&c.cell);
    return out->failed;
}

enum fail csv_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "csv", d.charset)) == FAIL_NONE) {
        (void)csv_walk(out, d.text, d.len, NULL, NULL);
    }
    charset_done(&d);
    return out->failed;
}
