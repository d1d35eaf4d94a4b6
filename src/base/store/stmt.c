/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: a cache by address on each connection, and errors that wait for the first step. */
#include <string.h>

#include "base/store/store_internal.h"

/* A free slot, a new one, or the least recently used one. All in use is a leak: ended at once. */
static struct store_stmt *slot_take(struct store_conn *c)
{
    if (c->stmts_len < STORE_STMT_MAX) {
        struct store_stmt *s = mem_alloc(sizeof(*s));
        s->conn = c;
        c->stmts[c->stmts_len++] = s;
        return s;
    }
    struct store_stmt *oldest = NULL;
    for (int i = 0; i < c->stmts_len; i++) {
        struct store_stmt *s = c->stmts[i];
        if (!s->in_use && (oldest == NULL || s->used_at < oldest->used_at)) {
            oldest = s;
        }
    }
    ASSERT(oldest != NULL);
    sqlite3_finalize(oldest->st);
    *oldest = (struct store_stmt){.conn = c};
    return oldest;
}

struct store_stmt *store_query(struct store_conn *c, const char *sql)
{
    struct store_stmt *s = NULL;
    for (int i = 0; i < c->stmts_len && s == NULL; i++) {
        if (c->stmts[i]->sql == sql && !c->stmts[i]->in_use) {
            s = c->stmts[i];
        }
    }
    if (s == NULL) {
        s = slot_take(c);
        s->sql = sql;
    }
    s->error = SQLITE_OK;
    if (s->st == NULL) {
        s->error = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL);
    }
    s->in_use = true;
    s->used_at = ++c->uses;
    c->in_use++;
    return s;
}

void store_end(struct store_stmt *s)
{
    if (s == NULL || !s->in_use) {
        return;
    }
    if (s->st != NULL) {
        sqlite3_reset(s->st);
        sqlite3_clear_bindings(s->st);
    }
    s->in_use = false;
    s->conn->in_use--;
}

void store_auto_end(struct store_stmt **s)
{
    store_end(*s);
}

static void bound(struct store_stmt *s, int rc)
{
    if (s->error == SQLITE_OK) {
        s->error = rc;
    }
}

void store_bind_int(struct store_stmt *s, int i, int64_t v)
{
    bound(s, sqlite3_bind_int64(s->st, i, v));
}

void store_bind_real(struct store_stmt *s, int i, double v)
{
    bound(s, sqlite3_bind_double(s->st, i, v));
}

void store_bind_text(struct store_stmt *s, int i, const char *text)
{
    if (text == NULL) {
        store_bind_null(s, i);
    } else {
        store_bind_textn(s, i, text, strlen(text));
    }
}

void store_bind_textn(struct store_stmt *s, int i, const char *text, size_t n)
{
    bound(s, n > STORE_VALUE_MAX
                 ? SQLITE_TOOBIG
                 : sqlite3_bind_text(s->st, i, text, (int)n, SQLITE_TRANSIENT));
}

void store_bind_blob(struct store_stmt *s, int i, const void *data, size_t n)
{
    if (n > STORE_VALUE_MAX) {
        bound(s, SQLITE_TOOBIG);
    } else if (n == 0 && data != NULL) {
        bound(s, sqlite3_bind_zeroblob(s->st, i, 0)); /* an empty blob, not NULL */
    } else {
        bound(s, sqlite3_bind_blob(s->st, i, data, (int)n, SQLITE_TRANSIENT));
    }
}

void store_bind_id(struct store_stmt *s, int i, const struct id *id)
{
    store_bind_blob(s, i, id != NULL ? id->bytes : NULL, sizeof(id->bytes));
}

void store_bind_null(struct store_stmt *s, int i)
{
    bound(s, sqlite3_bind_null(s->st, i));
}

enum fail store_step(struct store_stmt *s, bool *row, struct fault *why)
{
    ASSERT(s->in_use);
    *row = false;
    const char *doing = s->conn->is_writer ? "write to" : "read";
    if (s->error != SQLITE_OK) {
        return store_fault(s->conn, s->error, doing, why);
    }
    int rc = sqlite3_step(s->st);
    if (rc == SQLITE_ROW) {
        *row = true;
        return FAIL_NONE;
    }
    if (rc == SQLITE_DONE) {
        sqlite3_reset(s->st);
        return FAIL_NONE;
    }
    enum fail f = store_fault(s->conn, rc, doing, why);
    sqlite3_reset(s->st);
    return f;
}

enum fail store_run(struct store_stmt *s, struct fault *why)
{
    bool row = true;
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && row) {
        f = store_step(s, &row, why);
    }
    return f;
}

int64_t store_changes(struct store_conn *c)
{
    return sqlite3_changes64(c->db);
}

int64_t store_col_int(struct store_stmt *s, int i)
{
    return sqlite3_column_int64(s->st, i);
}

double store_col_real(struct store_stmt *s, int i)
{
    return sqlite3_column_double(s->st, i);
}

const char *store_col_text(struct store_stmt *s, int i)
{
    const char *text = (const char *)sqlite3_column_text(s->st, i);
    return text != NULL ? text : "";
}

const void *store_col_blob(struct store_stmt *s, int i, size_t *n)
{
    const void *data = sqlite3_column_blob(s->st, i);
    *n = (size_t)sqlite3_column_bytes(s->st, i);
    return data != NULL ? data : "";
}

bool store_col_id(struct store_stmt *s, int i, struct id *out)
{
    size_t n;
    const void *data = store_col_blob(s, i, &n);
    memset(out, 0, sizeof(*out));
    if (n != sizeof(out->bytes)) {
        return false;
    }
    memcpy(out->bytes, data, n);
    return true;
}

bool store_col_is_null(struct store_stmt *s, int i)
{
    return sqlite3_column_type(s->st, i) == SQLITE_NULL;
}
