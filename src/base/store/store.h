/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: the database of one data folder. SQLite in WAL mode, one writer, any number of readers.
 *
 * One thread of the store owns the only writing connection. It takes everything that is queued (at
 * most STORE_GROUP_MAX writes), runs each inside a SAVEPOINT of one transaction, commits once with
 * synchronous=FULL, and only then tells each caller. So an acknowledged write is on the disk, and a
 * hundred waiting writes cost one fdatasync. A write that fails is undone alone; a COMMIT that
 * fails (disk full) fails every member of its group and leaves the store usable. A failed fsync
 * ends all writing until the process restarts, because the kernel may already have dropped the
 * pages.
 *
 * Owns: the SQLite handles; table `migration`; the `-lock` file that keeps out a second writer.
 * Threads: store_write, store_write_wait, store_stats: any. A struct store_conn (reader) belongs to
 * the thread that opened it. Inside a write, everything happens on the store thread.
 * Limits: 4096 queued writes; 8 MiB a value; statements are static strings with ?1..?N.
 *
 * How to write, from a loop's thread (j must live until put_done):
 *     static enum fail put(struct store_tx *tx, void *arg, struct fault *why)
 *     {
 *         struct job *j = arg;
 *         AUTO_STMT struct store_stmt *s =
 *             store_query(store_tx_conn(tx), "INSERT INTO t VALUES (?1, ?2)");
 *         store_bind_id(s, 1, &j->id);
 *         store_bind_text(s, 2, j->name);
 *         return store_run(s, why);
 *     }
 *     store_write(store, put, j, put_done, loop, &why);
 *
 * How to read, on a reader's own thread:
 *     AUTO_STMT struct store_stmt *s =
 *         store_query(conn, "SELECT name FROM t WHERE team = ?1 ORDER BY id");
 *     store_bind_text(s, 1, team);
 *     bool row;
 *     enum fail f;
 *     while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
 *         use(store_col_text(s, 0));
 *     }
 *     return f;
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "base/text/text.h"

#define STORE_GROUP_MAX 256
#define STORE_QUEUE_MAX 4096
#define STORE_VALUE_MAX (8 * 1024 * 1024)

struct store;      /* the database and its writing thread */
struct store_conn; /* one connection: the writer's inside a write, or a reader's own */
struct store_tx;   /* one write in progress: only what holds it may change rows */
struct store_stmt; /* one use of a prepared statement */

/* Migrations are the files sql/sqlite/NNNN-name.sql, built into the binary. */
struct store_migration {
    int version;
    const char *name;   /* "0001-audit" */
    const char *sql;    /* NUL-terminated */
    const char *sha256; /* hex, of the file */
};
struct store_schema {
    const struct store_migration *list; /* ascending versions */
    size_t count;
};
extern const struct store_schema store_schema_data; /* data.db: sql/sqlite/ */
extern const struct store_schema store_schema_keys; /* keys.db: sql/sqlite/keys/ */

/*
 * Opens or creates the database file (mode 0600), applies missing migrations (each in a transaction
 * of its own) and starts the writing thread. Blocks. Errors: FAIL_CONFLICT when another process has
 * it open for writing, or when it holds a migration that this build does not know or knows with
 * other bytes (named); FAIL_DISK_FULL; FAIL_INTERNAL when it is no database, is damaged, or cannot
 * be opened.
 */
MUST_CHECK enum fail store_open(const char *path, const struct store_schema *schema,
                                struct store **out, struct fault *why);
/* Finishes what is queued, checkpoints, closes. Readers must have been closed. NULL is fine.
   Blocks. */
void store_close(struct store *s);
const char *store_path(const struct store *s);

/* Runs on the store thread. Returning a failure undoes this write alone. Must not block. */
typedef enum fail (*store_write_fn)(struct store_tx *tx, void *arg, struct fault *why);
/* code is FAIL_NONE only when the group is durable. why is valid during the call; untouched when
   FAIL_NONE. */
typedef void (*store_done_fn)(void *arg, enum fail code, const struct fault *why);

/*
 * Queues fn. done (may be NULL) is posted to `back` after the group's COMMIT; writes are run and
 * reported in the order of queueing. With back NULL, done runs on the store thread and must be
 * quick. Does not block. Errors (then neither fn nor done is called): FAIL_QUEUE_FULL, FAIL_STOPPED
 * after store_close began, FAIL_RECORD_UNAVAILABLE after a failed fsync.
 */
MUST_CHECK enum fail store_write(struct store *s, store_write_fn fn, void *arg, store_done_fn done,
                                 struct loop *back, struct fault *why);
/* The same, waiting until it is durable: start-up, the command line, tests. Never on a loop's or
   the store's own thread. */
MUST_CHECK enum fail store_write_wait(struct store *s, store_write_fn fn, void *arg,
                                      struct fault *why);
/* Moves the WAL into the database and truncates it: after an erasure, so that no old page stays in
   it. Blocks. */
MUST_CHECK enum fail store_truncate_wait(struct store *s, struct fault *why);

struct store_conn *store_tx_conn(struct store_tx *tx);

/*
 * Hooks of a room that keeps state beside its tables (audit: the tree). All run on the store
 * thread. before_commit runs inside the group's transaction after its members, only when one was
 * kept; its failure fails the group. member_end follows each member: kept is false when it was
 * undone. group_end says whether everything since the last group_end is durable. Register before
 * the first write. At most 4.
 */
struct store_hooks {
    void *arg;
    enum fail (*before_commit)(struct store_tx *tx, void *arg, struct fault *why);
    void (*member_end)(void *arg, bool kept);
    void (*group_end)(void *arg, bool committed);
};
void store_on_commit(struct store *s, const struct store_hooks *hooks);

struct store_stats {
    int64_t commits;        /* group commits that succeeded */
    int64_t writes;         /* writes acknowledged */
    int64_t failed_commits;
    int64_t largest_group;
    int64_t queued; /* waiting now */
    bool stopped;   /* a failed fsync ended all writing */
};
void store_stats(struct store *s, struct store_stats *out);

/* A reader: its own read-only connection, for the calling thread alone. Each statement sees the
   newest commit; between store_read_begin and store_read_end all statements see the same one. */
MUST_CHECK enum fail store_reader_open(struct store *s, struct store_conn **out, struct fault *why);
void store_reader_close(struct store_conn *c); /* NULL is fine */
MUST_CHECK enum fail store_read_begin(struct store_conn *c, struct fault *why);
void store_read_end(struct store_conn *c);
/* Read-only on a database file by path, with or without a server running on it. FAIL_NOT_FOUND when
   it is missing. Close with store_reader_close. */
MUST_CHECK enum fail store_file_open(const char *path, struct store_conn **out, struct fault *why);

/* A consistent copy of the whole database into a new file, also beside a running server; without
   what was deleted. FAIL_DISK_FULL, FAIL_CONFLICT when the file is there. Blocks. */
MUST_CHECK enum fail store_copy(struct store_conn *c, const char *path, struct fault *why);

/*
 * Statements. sql must be a string with static storage: the prepared statement is cached under its
 * address. store_query never returns NULL: what went wrong (also in a bind) is returned by the
 * first store_step or store_run. Declare the variable AUTO_STMT, so that it is given back on every
 * path.
 */
struct store_stmt *store_query(struct store_conn *c, const char *sql);
/* For a statement kept without AUTO_STMT: once, before its connection closes. NULL is fine. */
void store_end(struct store_stmt *s);
void store_auto_end(struct store_stmt **s);
#define AUTO_STMT __attribute__((cleanup(store_auto_end)))

/* i is 1-based. Values are copied. */
void store_bind_int(struct store_stmt *s, int i, int64_t v);
void store_bind_real(struct store_stmt *s, int i, double v);
void store_bind_text(struct store_stmt *s, int i, const char *text); /* NULL binds NULL */
void store_bind_textn(struct store_stmt *s, int i, const char *text, size_t n);
/* data NULL binds NULL */
void store_bind_blob(struct store_stmt *s, int i, const void *data, size_t n);
/* 16 bytes; NULL binds NULL */
void store_bind_id(struct store_stmt *s, int i, const struct id *id);
void store_bind_null(struct store_stmt *s, int i);

/* *row is true when a row is there to read; false at the end, and then the statement is reset and
   may be bound again. UNIQUE and PRIMARY KEY violations are FAIL_CONFLICT. */
MUST_CHECK enum fail store_step(struct store_stmt *s, bool *row, struct fault *why);
/* Steps to the end, ignoring rows; the statement may then be bound and run again. */
MUST_CHECK enum fail store_run(struct store_stmt *s, struct fault *why);
/* Rows changed by the last INSERT, UPDATE or DELETE of this connection. */
int64_t store_changes(struct store_conn *c);

/* i is 0-based; text and blobs are borrowed until the next step or end. NULL reads as 0, "" and
   empty. */
int64_t store_col_int(struct store_stmt *s, int i);
double store_col_real(struct store_stmt *s, int i);
const char *store_col_text(struct store_stmt *s, int i); /* never NULL */
const void *store_col_blob(struct store_stmt *s, int i, size_t *n);
/* false (and zero) unless 16 bytes */
bool store_col_id(struct store_stmt *s, int i, struct id *out);
bool store_col_is_null(struct store_stmt *s, int i);
