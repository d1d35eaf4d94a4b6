/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that say the same: vectors find the nearest ones of the stream, their own text decides.
 * The text is read from the task's content, so what was erased can no longer be reused.
 * Owns: table reuse_semantic. Threads: reads on the connection's own, writes inside a write.
 * Limits: REUSE_SEMANTIC_ROWS vectors a stream, of which NEAREST are compared.
 */
#include <math.h>
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/clock/clock.h"
#include "trust/audit/audit.h"

#define NEAREST 8
#define DIM_MAX 4096

static void bind_scope(struct store_stmt *s, const struct reuse_scope *scope)
{
    store_bind_text(s, 1, scope->domain);
    store_bind_text(s, 2, scope->workflow);
    store_bind_text(s, 3, scope->release);
}

static void quantise(const float *v, size_t dim, int8_t *out)
{
    for (size_t i = 0; i < dim; i++) {
        float x = v[i] * 127;
        out[i] = (int8_t)lrintf(x > 127 ? 127 : x < -127 ? -127 : x);
    }
}

enum fail reuse_semantic_put(struct store_tx *tx, const struct reuse_scope *scope,
                             const struct reuse_owner *owner, const float *vector, size_t dim,
                             const struct reuse_entry *entry, struct fault *why)
{
    int8_t small[DIM_MAX];
    struct buf b;
    enum fail f = FAIL_NONE;
    buf_init(&b, REUSE_FIELDS_BYTES);
    if (dim == 0 || dim > DIM_MAX || !reuse_fields_write(entry, &b)) {
        buf_done(&b);
        return f;
    }
    quantise(vector, dim, small);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO reuse_semantic (domain, workflow, release, task, team, actor, vector, fields, "
        "created_at, waits) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE NOT EXISTS "
        "(SELECT 1 FROM reuse_revoked WHERE task = ?4) ON CONFLICT DO NOTHING");
    bind_scope(s, scope);
    store_bind_id(s, 4, &entry->task);
    store_bind_text(s, 5, owner->team);
    store_bind_text(s, 6, owner->actor);
    store_bind_blob(s, 7, small, dim);
    store_bind_blob(s, 8, b.data != NULL ? b.data : "", b.len);
    store_bind_int(s, 9, clock_now_us());
    store_bind_int(s, 10, entry->waits);
    f = store_run(s, why);
    buf_done(&b);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *old = store_query(
        store_tx_conn(tx),
        "DELETE FROM reuse_semantic WHERE task IN (SELECT task FROM reuse_semantic WHERE domain = "
        "?1 AND workflow = ?2 AND release = ?3 ORDER BY created_at DESC LIMIT 256 OFFSET ?4)");
    bind_scope(old, scope);
    store_bind_int(old, 4, REUSE_SEMANTIC_ROWS);
    return store_run(old, why);
}

struct near {
    struct id task;
    double cosine;
};

static double cosine_of(const int8_t *a, const int8_t *b, size_t dim)
{
    int64_t dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < dim; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? (double)dot / sqrt((double)aa * (double)bb) : 0;
}

static enum fail find_near(struct store_conn *conn, const struct reuse_scope *scope,
                           const float *vector, size_t dim, struct near *out, size_t *n,
                           struct fault *why)
{
    int8_t mine[DIM_MAX];
    bool row = false;
    enum fail f;
    quantise(vector, dim, mine);
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT task, vector FROM reuse_semantic WHERE domain = ?1 AND workflow = ?2 AND "
              "release = ?3 AND waits = 0 ORDER BY created_at DESC LIMIT 1024");
    bind_scope(s, scope);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t len = 0;
        struct near x;
        const int8_t *theirs = store_col_blob(s, 1, &len);
        x.cosine = len == dim ? cosine_of(mine, theirs, dim) : 0;
        if (x.cosine < REUSE_SEMANTIC_COSINE ||
            (*n == NEAREST && x.cosine <= out[NEAREST - 1].cosine)) {
            continue;
        }
        store_col_id(s, 0, &x.task);
        size_t k = *n < NEAREST ? (*n)++ : NEAREST - 1;
        while (k > 0 && out[k - 1].cosine < x.cosine) {
            out[k] = out[k - 1];
            k--;
        }
        out[k] = x;
    }
    return f;
}

static enum fail take_entry(struct store_conn *conn, const struct id *task, struct arena *arena,
                            struct reuse_entry *out, bool *found, struct fault *why)
{
    size_t len = 0;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT fields FROM reuse_semantic WHERE task = ?1");
    store_bind_id(s, 1, task);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        const uint8_t *data = store_col_blob(s, 0, &len);
        memset(out, 0, sizeof(*out));
        out->task = *task;
        out->draft = "";
        f = reuse_fields_read(data, len, arena, out, why);
    }
    return f;
}

enum fail reuse_semantic_find(struct store_conn *conn, struct audit *audit,
                              const struct reuse_scope *scope, const float *vector, size_t dim,
                              const char *text, size_t len, struct arena *arena,
                              struct reuse_entry *out, double *cosine, bool *found,
                              enum reuse_verdict *why_not, struct fault *why)
{
    struct near nearest[NEAREST + 1];
    size_t n = 0;
    *found = false;
    *why_not = REUSE_SAME;
    if (dim == 0 || dim > DIM_MAX || len > REUSE_GUARD_TEXT) {
        return FAIL_NONE;
    }
    enum fail f = find_near(conn, scope, vector, dim, nearest, &n, why);
    for (size_t i = 0; i < n && f == FAIL_NONE && !*found; i++) {
        struct buf other;
        struct fault gone;
        enum reuse_verdict v = REUSE_NOT_SHORT;
        buf_init(&other, REUSE_GUARD_TEXT);
        if (audit_content_get(audit, conn, &nearest[i].task, AUDIT_PART_INPUT, &other, &gone) ==
            FAIL_NONE) {
            v = reuse_guard(text, len, other.data, other.len);
        }
        buf_done(&other);
        *why_not = *why_not == REUSE_SAME ? v : *why_not;
        if (v == REUSE_SAME) {
            *cosine = nearest[i].cosine;
            f = take_entry(conn, &nearest[i].task, arena, out, found, why);
        }
    }
    return f;
}
