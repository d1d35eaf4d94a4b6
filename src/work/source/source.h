/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: read-only questions to the databases that inhouse.yaml names (`sources`), for the teams
 * that it names.
 *
 * SQLite files are opened read-only under an authorizer that allows SELECT, reading, functions and
 * recursion and denies all else (ATTACH, PRAGMA, writing, loading); one statement; temporary tables
 * spill to a file. PostgreSQL (libpq) is asked in a READ ONLY transaction with statement_timeout,
 * through a cursor, which takes a SELECT and nothing else. TLS with the server's name checked, but
 * on this machine.
 *
 * Owns: a connection for the length of a call. Threads: source_ask may be called from any thread
 * and blocks; sources_use once, before. Limits: the source's rows and time; 1 MiB a cell (SQLite),
 * SOURCE_COLUMNS_MAX columns, SOURCE_QUERY_BYTES of query.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"

#define SOURCE_COLUMNS_MAX 256
#define SOURCE_QUERY_BYTES (64u * 1024)

/* What takes the answer: first every column, then row by row (cells[i] NULL: null). What it fails
   with ends the question. */
struct source_take {
    void *arg;
    enum fail (*column)(void *arg, const char *name, struct fault *why);
    enum fail (*row)(void *arg, const char *const *cells, size_t n, struct fault *why);
    bool (*is_cancelled)(void *arg); /* NULL: never */
};

/* The sources of the process: keeps a reference to c. c NULL: there are none any more. */
void sources_use(struct config *c);
/* Is it one that this team may ask, and of which kind? */
bool source_find(const char *name, const char *team, bool *postgres);
/*
 * FAIL_NOT_FOUND: no such source, or not this team's: the same words. FAIL_BAD_REQUEST: the query
 * is wrong, or no SELECT; FAIL_FORBIDDEN: it does what is denied. FAIL_TOO_LARGE over the rows
 * or the time (asking again would not help), FAIL_STOPPED cancelled. FAIL_UPSTREAM_FAILED: the
 * database cannot be reached. Messages hold the database's words, never a password.
 */
MUST_CHECK enum fail source_ask(const char *name, const char *team, const char *query,
                                const struct source_take *take, struct fault *why);
