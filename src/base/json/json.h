/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in: strict parsing on jansson. JSON out: a writer straight into a buffer, canonical on
 * demand.
 *
 * Parsing refuses duplicate keys, depth over 64, NUL bytes and invalid UTF-8 before any tree is
 * built. json_t lives only in http, file formats, the worker's protocol and the shim; other rooms
 * take structs. Prefix jn_ because jansson owns json_. No shared state; nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define JN_MAX_DEPTH 64

/* Parses text[0..n) (any JSON value). On success *out is a new reference (json_decref). Errors:
   FAIL_BAD_REQUEST with line and column. `what` names the text in messages: "request body". */
MUST_CHECK enum fail jn_parse(const char *text, size_t n, const char *what, json_t **out,
                              struct fault *why);
void jn_auto_decref(json_t **j);
#define AUTO_JSON __attribute__((cleanup(jn_auto_decref)))

/* Typed reading of an object's members. Each sets *out and returns FAIL_NONE; a missing key leaves
   *out as it was when required is false. A wrong type or range is FAIL_BAD_REQUEST naming the key.
   Strings are borrowed from the tree. */
MUST_CHECK enum fail jn_str(const json_t *obj, const char *key, bool required, size_t max_len,
                            const char **out, struct fault *why);
MUST_CHECK enum fail jn_int(const json_t *obj, const char *key, bool required, int64_t min,
                            int64_t max, int64_t *out, struct fault *why);
MUST_CHECK enum fail jn_real(const json_t *obj, const char *key, bool required, double min,
                             double max, double *out, struct fault *why);
MUST_CHECK enum fail jn_bool(const json_t *obj, const char *key, bool required, bool *out,
                             struct fault *why);
/* *out is borrowed; max_items bounds the array. */
MUST_CHECK enum fail jn_array(const json_t *obj, const char *key, bool required, size_t max_items,
                              json_t **out, struct fault *why);
MUST_CHECK enum fail jn_object(const json_t *obj, const char *key, bool required, json_t **out,
                               struct fault *why);
/* Refuses members whose key is not in the NULL-terminated list: FAIL_UNKNOWN_PARAMETER. */
MUST_CHECK enum fail jn_only(const json_t *obj, const char *const *keys, struct fault *why);

/*
 * Writer. Appends to *out; commas and quotes are its business. With canonical set it asserts what
 * RFC 8785 asks for: keys of an object in ascending order (ours are ASCII, where UTF-16 order and
 * byte order agree), no spaces, integers only. Strings must be valid UTF-8; invalid bytes are
 * written as U+FFFD so that output is always valid JSON.
 */
struct jn_writer {
    struct buf *out;
    bool canonical;
    bool need_comma;
    int depth;
    char last_key[JN_MAX_DEPTH][32]; /* canonical only */
};

void jn_begin(struct jn_writer *w, struct buf *out, bool canonical);
void jn_object_begin(struct jn_writer *w);
void jn_object_end(struct jn_writer *w);
void jn_array_begin(struct jn_writer *w);
void jn_array_end(struct jn_writer *w);
void jn_key(struct jn_writer *w, const char *key);
void jn_put_str(struct jn_writer *w, const char *s); /* NULL writes null */
void jn_put_strn(struct jn_writer *w, const char *s, size_t n);
void jn_put_int(struct jn_writer *w, int64_t v);
void jn_put_real(struct jn_writer *w, double v, int decimals); /* not canonical */
void jn_put_bool(struct jn_writer *w, bool v);
void jn_put_null(struct jn_writer *w);
/* JSON text produced by a writer before: copied as it is. */
void jn_put_raw(struct jn_writer *w, const char *json, size_t n);
/* key and value in one step */
void jn_kv_str(struct jn_writer *w, const char *key, const char *s);
void jn_kv_int(struct jn_writer *w, const char *key, int64_t v);
void jn_kv_real(struct jn_writer *w, const char *key, double v, int decimals);
void jn_kv_bool(struct jn_writer *w, const char *key, bool v);
void jn_kv_null(struct jn_writer *w, const char *key);
