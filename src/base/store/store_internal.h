/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: connections, statements, the mapping of SQLite's errors. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "base/mem/mem.h"
#include "base/store/store.h"

/* More different statements than this on one connection recycle the least recently used. */
#define STORE_STMT_MAX 256

struct store_stmt {
    sqlite3_stmt *st;
    const char *sql; /* the cache key: an address */
    struct store_conn *conn;
    int error; /* first SQLite error of prepare or bind; reported by step */
    bool in_use;
    uint64_t used_at;
};

struct store_conn {
    sqlite3 *db;
    char *path;
    struct store *store; /* NULL for store_file_open */
    bool is_writer;
    struct store_stmt *stmts[STORE_STMT_MAX];
    int stmts_len;
    int in_use;
    uint64_t uses;
};

struct store_tx {
    struct store_conn *conn;
};

MUST_CHECK enum fail store_conn_open(const char *path, bool writer, struct store_conn **out,
                                     struct fault *why);
void store_conn_close(struct store_conn *c);
/* One statement without parameters, outside the cache: BEGIN, PRAGMA. Returns SQLite's code. */
int store_exec(struct store_conn *c, const char *sql);
/* The fault for a code of SQLite on this connection; `doing` is "write to", "read", "open". */
enum fail store_fault(struct store_conn *c, int rc, const char *doing, struct fault *why);

MUST_CHECK enum fail store_migrate(struct store_conn *c, const struct store_schema *schema,
                                   struct fault *why);
void store_count_reader(struct store *s, int change);
