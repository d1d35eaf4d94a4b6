/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/formats: what the formats of translations share: units put as blocks, spans that are bytes
 * of the file whatever its charset, and walks over JSON and CSV. Threads: one.
 */
#pragma once

#include "worker/formats/formats_internal.h"

/* One unit is several blocks with the same row: UNIT first, then what belongs to it
   (docs/protocol/reader.md). */
struct units {
    struct sink *out;
    struct lines lines;
    struct buf clean;
    uint32_t row;
    bool odd;       /* the unit holds what blocks cannot say: control characters, our brackets */
    uint32_t *raw;  /* byte of the UTF-8 text -> byte of the file; NULL: the same */
    size_t text_len;
};

/* For text that charset_decode made of the file's bytes. */
void units_begin(struct units *u, struct sink *out, const struct source *in,
                 const struct decoded *d);
void units_done(struct units *u);
void units_open(struct units *u, const char *id, size_t begin, size_t end);
/* Any bytes; form: 0 or 1 + the plural form. begin and end are bytes of the decoded text. */
void units_put(struct units *u, enum document_kind kind, unsigned form, const char *path,
               const char *text, size_t len, size_t begin, size_t end);
void units_put_str(struct units *u, enum document_kind kind, const char *path, const char *text);
/* After the last block of a unit: says so if it was odd. */
void units_close(struct units *u);

/* ---- JSON ---- */

struct json_found {
    const char *path;        /* RFC 6901 */
    const char *text;        /* of a string, without its escapes; else as written */
    size_t len;
    size_t key, begin, end;  /* where its key and its value begin; its end */
    bool string;
};
typedef void (*json_found_fn)(void *ctx, const struct json_found *v);
/* Every string, number, true, false and null, in order. */
enum fail json_walk(struct sink *out, const char *text, size_t len, json_found_fn each, void *ctx);

/* ---- CSV ---- */

struct csv_found {
    uint32_t row, column; /* from 1 */
    bool header;
    const char *name;     /* the column's, "" without a header */
    const char *text;
    size_t len, begin, end;
};
typedef void (*csv_found_fn)(void *ctx, const struct csv_found *cell);
enum fail csv_walk(struct sink *out, const char *text, size_t len, csv_found_fn each, void *ctx);
