/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/formats: reads one hostile document and writes what it holds as the frames of
 * run/document. One parser a format, in a file of its own, and one table of them (formats.c).
 *
 * Everything here runs inside the seal of inhouse-reader, which ends with its document: a parser
 * may be broken, and is then ended by a signal or a limit, never believed. No parser follows a
 * link, opens a file, expands an entity or runs a script.
 * Owns: nothing beyond the call. Threads: one. Limits: struct document_limits; what goes over one
 * is refused with FAIL_TOO_LARGE, not cut.
 */
#pragma once

#include <stddef.h>

#include "base/fail/fail.h"
#include "run/document/document.h"

struct formats_ask {
    const char *format;  /* NULL: found from the rest */
    const char *name;    /* the file's name, may be NULL */
    const char *type;    /* its media type, may be NULL */
    const char *charset; /* overrules the document, may be NULL */
    struct document_limits limits; /* filled */
    int out;             /* frames go here; -1: nowhere, for fuzzing */
};

/* Lets the libraries open what they need (locale, tables). Once, before the seal. */
void formats_start(void);
/*
 * Reads the document and writes every frame, the last one too: END, or ERROR with what it returns.
 * FAIL_BAD_REQUEST broken, FAIL_UNSUPPORTED no such format or a construct that is refused,
 * FAIL_TOO_LARGE over a limit, FAIL_STOPPED nobody reads the frames any more. Blocks on `out`.
 */
MUST_CHECK enum fail formats_read(const void *bytes, size_t len, const struct formats_ask *ask,
                                  struct fault *why);
/* The name of the format that fits, never NULL ("text" when nothing does). Pure. */
const char *formats_find(const void *bytes, size_t len, const char *name, const char *type);
