/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite files, read only. The file may be hostile as well as the query: no schema is trusted, no
 * memory map, no extension.
 * Threads: the caller's. Limits: below, and the source's.
 */
#include <sqlite3.h>
#include <string.h>
#include <strings.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "work/source/source_internal.h"

#define STEP_OPS 2000
#define CELL_BYTES (1024 * 1024)

struct asking {
    const struct config_source *source;
    const struct source_take *take;
    int64_t until_us;
    bool late, cancelled;
    char denied[80]; /* what the authorizer refused first */
};

/* https://www.sqlite.org/c3ref/set_authorizer.html */
static int authorize(void *arg, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    static const char *const bad[] = {"load_extension", "readfile", "writefile", "edit",
                                      "fts3_tokenizer", "zeroblob", "randomblob"};
    struct asking *k = arg;
    (void)a;
    (void)database;
    (void)trigger;
    bool ok = action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ||
              action == SQLITE_FUNCTION;
    for (size_t i = 0; action == SQLITE_FUNCTION && i < COUNT_OF(bad); i++) {
        ok = ok && (b == NULL || strcasecmp(b, bad[i]) != 0);
    }
    if (!ok && k->denied[0] == '\0') {
        const char *what = action == SQLITE_FUNCTION ? b
                           : action == SQLITE_ATTACH ? "ATTACH"
                           : action == SQLITE_PRAGMA ? "PRAGMA"
                                                     : "what is no SELECT";
        size_t n = what == NULL ? 0 : strlen(what);
        n = n < sizeof(k->denied) ? n : sizeof(k->denied) - 1;
        memcpy(k->denied, what == NULL ? "" : what, n);
        k->denied[n] = '\0';
    }
    return ok ? SQLITE_OK : SQLITE_DENY;
}

static int progress(void *arg)
{
    struct asking *k = arg;
    k->late = clock_monotonic_us() > k->until_us;
    k->cancelled = k->take->is_cancelled != NULL && k->take->is_cancelled(k->take->arg);
    return k->late || k->cancelled;
}

static enum fail fail_of(struct asking *k, sqlite3 *db, struct fault *why)
{
    if (k->denied[0] != '\0') {
        (void)FAULT(why, FAIL_FORBIDDEN, "a report's query may not use %s", k->denied);
        return fail_hint(why, "It is one SELECT.");
    }
    if (k->cancelled) {
        return FAULT(why, FAIL_STOPPED, "the query was stopped");
    }
    if (k->late) {
        (void)FAULT(why, FAIL_TOO_LARGE, "the query took longer than %lld ms",
                    (long long)k->source->timeout_ms);
        return fail_hint(why, "Ask for less, or raise timeout_ms of the source.");
    }
    int code = sqlite3_errcode(db);
    if (code == SQLITE_TOOBIG) {
        return FAULT(why, FAIL_TOO_LARGE, "a cell or the query is too long");
    }
    return FAULT(why, code == SQLITE_CANTOPEN || code == SQLITE_NOTADB ? FAIL_UPSTREAM_FAILED
                                                                       : FAIL_BAD_REQUEST,
                 "SQLite: %.200s", sqlite3_errmsg(db));
}

static void seal(sqlite3 *db, struct asking *k)
{
    static const int limits[][2] = {{SQLITE_LIMIT_LENGTH, CELL_BYTES},
                                    {SQLITE_LIMIT_SQL_LENGTH, SOURCE_QUERY_BYTES},
                                    {SQLITE_LIMIT_COLUMN, 2000},
                                    {SQLITE_LIMIT_EXPR_DEPTH, 100},
                                    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
                                    {SQLITE_LIMIT_VDBE_OP, 250000},
                                    {SQLITE_LIMIT_FUNCTION_ARG, 64},
                                    {SQLITE_LIMIT_ATTACHED, 0},
                                    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
                                    {SQLITE_LIMIT_VARIABLE_NUMBER, 0},
                                    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                                    {SQLITE_LIMIT_WORKER_THREADS, 0}};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        (void)sqlite3_limit(db, limits[i][0], limits[i][1]);
    }
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* What a sort or a recursion holds goes to a file: memory is the cache alone. */
    (void)sqlite3_exec(db,
                       "PRAGMA temp_store=FILE; PRAGMA cache_size=-8000; PRAGMA mmap_size=0;"
                       "PRAGMA query_only=ON; PRAGMA cell_size_check=ON",
                       NULL, NULL, NULL);
    (void)sqlite3_busy_timeout(db, 2000);
    (void)sqlite3_set_authorizer(db, authorize, k);
    sqlite3_progress_handler(db, STEP_OPS, progress, k);
}

static enum fail take_rows(struct asking *k, sqlite3 *db, sqlite3_stmt *st, struct fault *why)
{
    const char *cells[SOURCE_COLUMNS_MAX];
    int columns = sqlite3_column_count(st), rc;
    enum fail f = FAIL_NONE;
    for (int i = 0; i < columns && f == FAIL_NONE; i++) {
        f = k->take->column(k->take->arg, sqlite3_column_name(st, i), why);
    }
    for (int64_t rows = 0; f == FAIL_NONE && (rc = sqlite3_step(st)) != SQLITE_DONE; rows++) {
        if (rc != SQLITE_ROW) {
            return fail_of(k, db, why);
        }
        if (rows == k->source->rows) {
            (void)FAULT(why, FAIL_TOO_LARGE, "the query gives more than %lld rows",
                        (long long)k->source->rows);
            return fail_hint(why, "Aggregate in the query, or raise `rows` of the source.");
        }
        for (int i = 0; i < columns; i++) {
            cells[i] = (const char *)sqlite3_column_text(st, i);
        }
        f = k->take->row(k->take->arg, cells, (size_t)columns, why);
    }
    return f;
}

enum fail source_ask_sqlite(const struct config_source *s, const char *query,
                            const struct source_take *take, struct fault *why)
{
    struct asking k = {.source = s, .take = take};
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    const char *tail = "";
    enum fail f;
    k.until_us = clock_monotonic_us() + s->timeout_ms * 1000;
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(s->path, &db, flags, NULL) != SQLITE_OK) {
        f = FAULT(why, FAIL_UPSTREAM_FAILED, "the file of the source \"%.60s\" cannot be opened",
                  s->name);
        sqlite3_close(db);
        return f;
    }
    seal(db, &k);
    if (sqlite3_prepare_v2(db, query, -1, &st, &tail) != SQLITE_OK) {
        f = fail_of(&k, db, why);
    } else if (st == NULL || tail[strspn(tail, " \t\r\n;")] != '\0' || !sqlite3_stmt_readonly(st) ||
               sqlite3_column_count(st) == 0 || sqlite3_column_count(st) > SOURCE_COLUMNS_MAX) {
        (void)FAULT(why, FAIL_BAD_REQUEST, "the query must be one SELECT of at most %d columns",
                    SOURCE_COLUMNS_MAX);
        f = fail_hint(why, "Nothing may follow it.");
    } else {
        f = take_rows(&k, db, st, why);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return f;
}
