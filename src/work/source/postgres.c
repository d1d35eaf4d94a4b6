/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL through libpq, read only. The query becomes a cursor's: the server's own parser then
 * takes a SELECT (or VALUES) and nothing else, and the extended protocol takes one statement.
 * Threads: the caller's. Limits: the source's; ROWS_AT_ONCE rows in memory.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "work/source/source_internal.h"

#define ROWS_AT_ONCE 500
#define ENV "os.environ/"

static enum fail said(PGconn *db, enum fail code, struct fault *why)
{
    char words[200];
    (void)text_copy(words, sizeof(words), PQerrorMessage(db));
    for (char *p = words; *p != '\0'; p++) {
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    }
    return FAULT(why, code, "PostgreSQL: %s", text_trim(words));
}

static enum fail open_database(const struct config_source *s, PGconn **out, struct fault *why)
{
    char port[16], options[160];
    const char *password = "";
    bool here = s->host[0] == '/' || config_is_loopback(s->host);
    snprintf(port, sizeof(port), "%d", (int)s->port);
    snprintf(options, sizeof(options),
             "-c default_transaction_read_only=on -c statement_timeout=%d -c lock_timeout=2000 "
             "-c DateStyle=ISO -c TimeZone=UTC -c bytea_output=hex",
             (int)s->timeout_ms);
    if (s->password[0] != '\0') {
        password = getenv(s->password + strlen(ENV));
        if (password == NULL) {
            return FAULT(why, FAIL_UPSTREAM_FAILED, "the environment variable %.100s is not set",
                         s->password + strlen(ENV));
        }
    }
    const char *keys[] = {"host",    "port",     "dbname",  "user",    "password",
                          "passfile", "sslmode", "sslrootcert", "connect_timeout", "options",
                          "client_encoding", "application_name", NULL};
    const char *values[] = {s->host, port, s->database, s->user,
                            password[0] == '\0' ? NULL : password,
                            s->passfile[0] == '\0' ? NULL : s->passfile,
                            here ? "prefer" : "verify-full",
                            s->ca_file[0] == '\0' ? (here ? NULL : "system") : s->ca_file, "5",
                            options, "UTF8", "inhouse", NULL};
    if (s->ca_file[0] == '\0' && !here && PQlibVersion() < 160000) {
        values[7] = "/etc/ssl/certs/ca-certificates.crt"; /* "system" came with 16 */
    }
    *out = PQconnectdbParams(keys, values, 0);
    if (PQstatus(*out) != CONNECTION_OK) {
        return said(*out, FAIL_UPSTREAM_FAILED, why);
    }
    return FAIL_NONE;
}

/* One statement; *out is the caller's (PQclear). */
static enum fail run(PGconn *db, const char *sql, PGresult **out, struct fault *why)
{
    *out = PQexecParams(db, sql, 0, NULL, NULL, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(*out);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return FAIL_NONE;
    }
    const char *state = PQresultErrorField(*out, PG_DIAG_SQLSTATE);
    if (state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "53", 2) == 0 ||
        strncmp(state, "57P", 3) == 0 || strncmp(state, "58", 2) == 0) {
        return said(db, FAIL_UPSTREAM_FAILED, why); /* it may pass next time */
    }
    bool late = strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0;
    bool denied = strcmp(state, "25006") == 0 || strcmp(state, "42501") == 0;
    enum fail code = late ? FAIL_TOO_LARGE : denied ? FAIL_FORBIDDEN : FAIL_BAD_REQUEST;
    return said(db, code, why);
}

static enum fail run_plain(PGconn *db, const char *sql, struct fault *why)
{
    PGresult *r = NULL;
    enum fail f = run(db, sql, &r, why);
    PQclear(r);
    return f;
}

static enum fail take_batch(const struct source_take *take, PGresult *r, struct fault *why)
{
    const char *cells[SOURCE_COLUMNS_MAX];
    int columns = PQnfields(r);
    enum fail f = FAIL_NONE;
    for (int row = 0; row < PQntuples(r) && f == FAIL_NONE; row++) {
        for (int i = 0; i < columns; i++) {
            cells[i] = PQgetisnull(r, row, i) ? NULL : PQgetvalue(r, row, i);
        }
        f = take->row(take->arg, cells, (size_t)columns, why);
    }
    return f;
}

static enum fail take_all(const struct config_source *s, PGconn *db, const struct source_take *take,
                          struct fault *why)
{
    char fetch[64];
    int64_t rows = 0, until_us = clock_monotonic_us() + s->timeout_ms * 1000;
    enum fail f = FAIL_NONE;
    snprintf(fetch, sizeof(fetch), "FETCH FORWARD %d FROM inhouse", ROWS_AT_ONCE);
    for (bool first = true, more = true; more && f == FAIL_NONE; first = false) {
        PGresult *r = NULL;
        f = run(db, fetch, &r, why);
        int n = f == FAIL_NONE ? PQntuples(r) : 0;
        more = n == ROWS_AT_ONCE;
        rows += n;
        if (f == FAIL_NONE && PQnfields(r) > SOURCE_COLUMNS_MAX) {
            f = FAULT(why, FAIL_TOO_LARGE, "the query gives more than %d columns",
                      SOURCE_COLUMNS_MAX);
        }
        for (int i = 0; first && f == FAIL_NONE && i < PQnfields(r); i++) {
            f = take->column(take->arg, PQfname(r, i), why);
        }
        if (f == FAIL_NONE && rows > s->rows) {
            (void)FAULT(why, FAIL_TOO_LARGE, "the query gives more than %lld rows",
                        (long long)s->rows);
            f = fail_hint(why, "Aggregate in the query, or raise `rows` of the source.");
        } else if (f == FAIL_NONE && clock_monotonic_us() > until_us) {
            f = FAULT(why, FAIL_TOO_LARGE, "the query took longer than %lld ms",
                      (long long)s->timeout_ms);
        } else if (f == FAIL_NONE && take->is_cancelled != NULL && take->is_cancelled(take->arg)) {
            f = FAULT(why, FAIL_STOPPED, "the query was stopped");
        }
        f = f == FAIL_NONE ? take_batch(take, r, why) : f;
        PQclear(r);
    }
    return f;
}

enum fail source_ask_postgres(const struct config_source *s, const char *query,
                              const struct source_take *take, struct fault *why)
{
    PGconn *db = NULL;
    struct buf cursor;
    size_t n = strlen(query);
    while (n > 0 && strchr("; \t\r\n", query[n - 1]) != NULL) {
        n--;
    }
    buf_init(&cursor, SOURCE_QUERY_BYTES + 64);
    (void)buf_add_str(&cursor, "DECLARE inhouse NO SCROLL CURSOR FOR ");
    (void)buf_add(&cursor, query, n);
    enum fail f = open_database(s, &db, why);
    f = f != FAIL_NONE
            ? f
            : run_plain(db, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", why);
    f = f != FAIL_NONE ? f : run_plain(db, cursor.data, why);
    f = f != FAIL_NONE ? f : take_all(s, db, take, why);
    PQfinish(db);
    buf_done(&cursor);
    return f;
}
