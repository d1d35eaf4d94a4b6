/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: how a database file is opened, and what SQLite's errors mean to people. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/store/store_internal.h"

/* Big enough for a checkpointing writer to finish; a reader only ever waits for WAL recovery. */
#define BUSY_TIMEOUT_MS 5000

static bool is_full(int rc, int sys_errno)
{
    /* EFBIG is a file size limit, which to an operator is a full disk by another name. */
    return (rc & 0xff) == SQLITE_FULL ||
           ((rc & 0xff) == SQLITE_IOERR &&
            (sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG));
}

static enum fail fault_constraint(struct store_conn *c, int rc, struct fault *why)
{
    if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
        rc == SQLITE_CONSTRAINT_ROWID) {
        return FAULT(why, FAIL_CONFLICT, "it exists already (%s)", sqlite3_errmsg(c->db));
    }
    return FAULT(why, FAIL_INTERNAL, "a rule of the database was broken (%s)",
                 sqlite3_errmsg(c->db));
}

enum fail store_fault(struct store_conn *c, int rc, const char *doing, struct fault *why)
{
    int sys_errno = c->db != NULL ? sqlite3_system_errno(c->db) : 0;
    const char *text = c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    if (is_full(rc, sys_errno)) {
        fail_set(why, FAIL_DISK_FULL, ENOSPC, __FILE__, __LINE__, "could not %s %s: no space left",
                 doing, c->path);
        return fail_hint(why, "Free space on that disk; nothing was half-written, and writing goes "
                              "on without a restart.");
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return fault_constraint(c, rc, why);
    case SQLITE_CORRUPT:
        FAULT(why, FAIL_INTERNAL, "the database %s is damaged (%s)", c->path, text);
        return fail_hint(why, "Stop the server, keep a copy of the file, and restore a backup with "
                              "`inhouse restore`.");
    case SQLITE_NOTADB:
        FAULT(why, FAIL_INTERNAL, "%s is not a database", c->path);
        return fail_hint(why, "Give the data folder's own data.db, or move this file away to start "
                              "with an empty one.");
    case SQLITE_TOOBIG:
        return FAULT(why, FAIL_TOO_LARGE, "a value for %s is over %d MiB", c->path,
                     STORE_VALUE_MAX >> 20);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        FAULT(why, FAIL_RECORD_UNAVAILABLE, "the database %s stayed locked for %d ms", c->path,
              BUSY_TIMEOUT_MS);
        return fail_hint(why, "Close other programs that have the file open for writing.");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        fail_set(why, FAIL_INTERNAL, sys_errno, __FILE__, __LINE__, "could not %s %s: %s", doing,
                 c->path, sys_errno != 0 ? strerror(sys_errno) : text);
        return fail_hint(why, "Check that the folder exists and that its owner runs the server.");
    default:
        return fail_set(why, FAIL_INTERNAL, sys_errno, __FILE__, __LINE__,
                        "could not %s %s: %s (%s)", doing, c->path, text,
                        sys_errno != 0 ? strerror(sys_errno) : "no system error");
    }
}

int store_exec(struct store_conn *c, const char *sql)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

static int set_up(struct store_conn *c, bool writer)
{
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
    sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, STORE_VALUE_MAX + 4096);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* Checkpoints are the store thread's, after the callers were told: never inside a COMMIT. */
    sqlite3_wal_autocheckpoint(c->db, 0);
    int rc = store_exec(c, "PRAGMA cell_size_check=ON; PRAGMA foreign_keys=ON; PRAGMA mmap_size=0");
    if (rc == SQLITE_OK) {
        rc = store_exec(c, writer ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                                    "PRAGMA secure_delete=ON; PRAGMA cache_size=-32768; "
                                    "PRAGMA journal_size_limit=67108864"
                                  : "PRAGMA query_only=ON; SELECT count(*) FROM sqlite_schema");
    }
    return rc;
}

enum fail store_conn_open(const char *path, bool writer, struct store_conn **out, struct fault *why)
{
    struct store_conn *c = mem_alloc(sizeof(*c));
    c->path = mem_dup_str(path);
    c->is_writer = writer;
    if (writer) {
        /* SQLite gives -wal and -shm the mode of the file itself. */
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            enum fail f = FAULT_ERRNO(why, fail_from_write_errno(errno), "could not open %s", path);
            fail_hint(why, "Check that the folder exists, may be written, and has space.");
            store_conn_close(c);
            return f;
        }
        close(fd);
    }
    int rc = sqlite3_open_v2(path, &c->db, writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY,
                             NULL);
    if (rc == SQLITE_OK) {
        rc = set_up(c, writer);
    }
    if (rc != SQLITE_OK) {
        enum fail f = store_fault(c, rc, "open", why);
        store_conn_close(c);
        return f;
    }
    *out = c;
    return FAIL_NONE;
}

void store_conn_close(struct store_conn *c)
{
    if (c == NULL) {
        return;
    }
    ASSERT(c->in_use == 0);
    for (int i = 0; i < c->stmts_len; i++) {
        sqlite3_finalize(c->stmts[i]->st);
        mem_free(c->stmts[i]);
    }
    int rc = sqlite3_close(c->db);
    ASSERT(rc == SQLITE_OK);
    mem_free(c->path);
    mem_free(c);
}

/* A database on read-only media, closed cleanly: no -shm can be made and none is needed. */
static enum fail open_immutable(const char *path, struct store_conn **out, struct fault *why)
{
    struct buf uri;
    buf_init(&uri, 8192);
    buf_add_str(&uri, path[0] == '/' ? "file://" : "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL) {
            buf_printf(&uri, "%%%02x", (unsigned char)*p);
        } else {
            buf_add_char(&uri, *p);
        }
    }
    buf_add_str(&uri, "?immutable=1");
    struct store_conn *c = mem_alloc(sizeof(*c));
    c->path = mem_dup_str(path);
    int rc = sqlite3_open_v2(uri.data, &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    buf_done(&uri);
    if (rc == SQLITE_OK) {
        rc = set_up(c, false);
    }
    if (rc != SQLITE_OK) {
        enum fail f = store_fault(c, rc, "open", why);
        store_conn_close(c);
        return f;
    }
    *out = c;
    return FAIL_NONE;
}

enum fail store_file_open(const char *path, struct store_conn **out, struct fault *why)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        FAULT_ERRNO(why, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_INTERNAL, "could not open %s",
                    path);
        return fail_hint(why, "Give the data folder with --home or INHOUSE_HOME.");
    }
    struct fault first;
    if (store_conn_open(path, false, out, &first) == FAIL_NONE) {
        return FAIL_NONE;
    }
    char wal[4096];
    bool named = strlen(path) + 5 < sizeof(wal);
    if (named) {
        memcpy(wal, path, strlen(path));
        memcpy(wal + strlen(path), "-wal", 5);
    }
    if (named && access(wal, F_OK) != 0 && open_immutable(path, out, why) == FAIL_NONE) {
        return FAIL_NONE;
    }
    *why = first;
    return first.code;
}

enum fail store_reader_open(struct store *s, struct store_conn **out, struct fault *why)
{
    enum fail f = store_conn_open(store_path(s), false, out, why);
    if (f == FAIL_NONE) {
        (*out)->store = s;
        store_count_reader(s, 1);
    }
    return f;
}

void store_reader_close(struct store_conn *c)
{
    if (c == NULL) {
        return;
    }
    ASSERT(!c->is_writer);
    struct store *s = c->store;
    store_conn_close(c);
    if (s != NULL) {
        store_count_reader(s, -1);
    }
}

enum fail store_read_begin(struct store_conn *c, struct fault *why)
{
    ASSERT(!c->is_writer);
    int rc = store_exec(c, "BEGIN");
    if (rc == SQLITE_OK) {
        /* BEGIN alone takes no snapshot; the first read does. */
        rc = store_exec(c, "SELECT count(*) FROM sqlite_schema");
    }
    return rc == SQLITE_OK ? FAIL_NONE : store_fault(c, rc, "read", why);
}

void store_read_end(struct store_conn *c)
{
    if (!sqlite3_get_autocommit(c->db)) {
        store_exec(c, "ROLLBACK");
    }
}

/* A reader refuses to write anything, a new file too: for this one statement it may. */
static enum fail may_write(struct store_conn *c, bool may, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, may ? "PRAGMA query_only=OFF" : "PRAGMA query_only=ON");
    return store_run(s, why);
}

enum fail store_copy(struct store_conn *c, const char *path, struct fault *why)
{
    enum fail f = may_write(c, true, why);
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s = store_query(c, "VACUUM INTO ?1");
        store_bind_text(s, 1, path);
        f = store_run(s, why);
    }
    struct fault after;
    enum fail back = may_write(c, false, &after);
    if (f == FAIL_NONE && back != FAIL_NONE) {
        *why = after;
        f = back;
    }
    return f;
}
