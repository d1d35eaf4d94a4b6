/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV of strings: a header that names its columns, a unit a row. Columns by name: key, context,
 * source, target, their plural forms ("source:other", "target_one"), notes, state, flags, length.
 * Threads: one. Limits: STRINGS_COLUMNS columns are looked at; the sink's.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

#define STRINGS_COLUMNS 64

struct column {
    enum document_kind kind; /* DOCUMENT_UNIT: the key; DOCUMENT_CELL: none of ours */
    unsigned form;           /* 0, or 1 + the plural form */
    char category[8];        /* "one" */
};

struct cell {
    char *text;
    size_t len, begin, end;
    bool there;
};

struct strings {
    struct units units;
    struct sink *out;
    struct column columns[STRINGS_COLUMNS];
    struct cell cells[STRINGS_COLUMNS];
    size_t columns_len;
    bool source, target, header;
    uint32_t row;
};

static const struct {
    const char *name;
    enum document_kind kind;
} names[] = {{"id", DOCUMENT_UNIT},          {"key", DOCUMENT_UNIT},
             {"name", DOCUMENT_UNIT},        {"identifier", DOCUMENT_UNIT},
             {"context", DOCUMENT_CONTEXT},  {"msgctxt", DOCUMENT_CONTEXT},
             {"source", DOCUMENT_SOURCE},    {"msgid", DOCUMENT_SOURCE},
             {"sourcestring", DOCUMENT_SOURCE}, {"original", DOCUMENT_SOURCE},
             {"english", DOCUMENT_SOURCE},   {"en", DOCUMENT_SOURCE},
             {"target", DOCUMENT_TARGET},    {"msgstr", DOCUMENT_TARGET},
             {"targetstring", DOCUMENT_TARGET}, {"translation", DOCUMENT_TARGET},
             {"note", DOCUMENT_NOTE},        {"notes", DOCUMENT_NOTE},
             {"comment", DOCUMENT_NOTE},     {"description", DOCUMENT_NOTE},
             {"state", DOCUMENT_STATE},      {"status", DOCUMENT_STATE},
             {"flag", DOCUMENT_FLAG},        {"flags", DOCUMENT_FLAG},
             {"max", DOCUMENT_LENGTH_MAX},   {"maxlength", DOCUMENT_LENGTH_MAX},
             {"max_length", DOCUMENT_LENGTH_MAX}};

static const char *const categories[] = {"zero", "one", "two", "few", "many", "other"};

/* "Target_one", "source:other", "Max length" -> kind, form, category. */
static struct column read_name(const char *name)
{
    struct column c = {.kind = DOCUMENT_CELL};
    char plain[64];
    size_t n = 0;
    for (const char *p = name; *p != '\0' && n < sizeof(plain) - 1; p++) {
        plain[n++] = *p == ' ' || *p == ':' || *p == '-' ? '_' : (char)tolower((unsigned char)*p);
    }
    plain[n] = '\0';
    for (unsigned i = 0; i < COUNT_OF(categories); i++) {
        size_t m = strlen(categories[i]);
        if (n > m + 1 && plain[n - m - 1] == '_' && strcmp(plain + n - m, categories[i]) == 0) {
            plain[n - m - 1] = '\0';
            c.form = i + 1;
            (void)text_copy(c.category, sizeof(c.category), categories[i]);
            break;
        }
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(plain, names[i].name) == 0) {
            c.kind = names[i].kind;
        }
    }
    return c;
}

static void read_header(struct strings *s, const struct csv_found *cell)
{
    struct column c = cell->column <= STRINGS_COLUMNS ? read_name(cell->name)
                                                      : (struct column){.kind = DOCUMENT_CELL};
    for (size_t i = 0; i < s->columns_len; i++) {
        if (s->columns[i].kind == c.kind && s->columns[i].form == c.form) {
            c.kind = DOCUMENT_CELL; /* the first column of a name counts */
        }
    }
    if (cell->column <= STRINGS_COLUMNS) {
        s->columns[cell->column - 1] = c;
        s->columns_len = cell->column;
        s->source = s->source || c.kind == DOCUMENT_SOURCE;
        s->target = s->target || c.kind == DOCUMENT_TARGET;
    }
    s->header = true;
}

static void put_columns(struct strings *s, enum document_kind kind)
{
    for (size_t i = 0; i < s->columns_len; i++) {
        const struct cell *c = &s->cells[i];
        bool state = kind == DOCUMENT_STATE || kind == DOCUMENT_TARGET || kind == DOCUMENT_SOURCE;
        if (s->columns[i].kind == kind && c->there && (c->len > 0 || kind == DOCUMENT_TARGET)) {
            units_put(&s->units, kind, s->columns[i].form, s->columns[i].category, c->text, c->len,
                      state ? c->begin : 0, state ? c->end : 0);
        }
    }
}

static void put_row(struct strings *s)
{
    size_t begin = SIZE_MAX, end = 0;
    const char *id = "";
    bool source = false;
    for (size_t i = 0; i < s->columns_len; i++) {
        const struct cell *c = &s->cells[i];
        begin = c->there && c->begin < begin ? c->begin : begin;
        end = c->there && c->end > end ? c->end : end;
        id = c->there && s->columns[i].kind == DOCUMENT_UNIT ? c->text : id;
        source = source || (c->there && s->columns[i].kind == DOCUMENT_SOURCE && c->len > 0);
    }
    if (source) {
        static const enum document_kind order[] = {
            DOCUMENT_CONTEXT, DOCUMENT_NOTE,   DOCUMENT_FLAG,  DOCUMENT_STATE,
            DOCUMENT_LENGTH_MAX, DOCUMENT_SOURCE, DOCUMENT_TARGET};
        units_open(&s->units, id, begin, end);
        for (size_t i = 0; i < COUNT_OF(order); i++) {
            put_columns(s, order[i]);
        }
        units_close(&s->units);
    }
    for (size_t i = 0; i < STRINGS_COLUMNS; i++) {
        mem_free(s->cells[i].text);
        s->cells[i] = (struct cell){0};
    }
}

static void take_cell(void *ctx, const struct csv_found *cell)
{
    struct strings *s = ctx;
    if (cell->header) {
        read_header(s, cell);
        return;
    }
    if (cell->row != s->row) {
        put_row(s);
        s->row = cell->row;
    }
    if (cell->column <= s->columns_len) {
        struct cell *c = &s->cells[cell->column - 1];
        *c = (struct cell){.text = mem_dup_strn(cell->text, cell->len), .len = cell->len,
                           .begin = cell->begin, .end = cell->end, .there = true};
    }
}

static enum fail read_text(struct strings *s, const struct decoded *d)
{
    enum fail f = csv_walk(s->out, d->text, d->len, take_cell, s);
    if (f == FAIL_NONE && (!s->header || !s->source || !s->target)) {
        f = sink_fail(s->out, FAIL_BAD_REQUEST,
                      "Its first row names the columns: key, source, target, ...",
                      "line 1: a CSV of strings needs the columns \"source\" and \"target\"");
    }
    put_row(s);
    return s->out->failed;
}

enum fail strings_read(const struct source *in, struct sink *out)
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "strings", d.charset)) == FAIL_NONE) {
        struct strings *s = mem_alloc(sizeof(*s));
        s->out = out;
        units_begin(&s->units, out, in, &d);
        f = read_text(s, &d);
        units_done(&s->units);
        mem_free(s);
    }
    charset_done(&d);
    return f;
}
