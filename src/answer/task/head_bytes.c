/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head's bytes in the store, in pieces of PART_BYTES: those of 77 labels and 8,500 examples are
 * 11 MiB, more than one value may hold. Owns: the table `head_part`, beside `head`. Threads: as the
 * statements. Limits: LEARN_MAX_BLOB.
 */
#include "answer/task/task_internal.h"

#include "base/clock/clock.h"

#define PART_BYTES ((size_t)4 << 20)

static enum fail run_named(struct store_tx *tx, const char *sql, const char *workflow,
                           const char *field, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), sql);
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    return store_run(s, why);
}

enum fail head_bytes_drop(struct store_tx *tx, const char *workflow, const char *field,
                          struct fault *why)
{
    enum fail f = run_named(tx, "DELETE FROM head_part WHERE workflow = ?1 AND field = ?2",
                            workflow, field, why);
    return f != FAIL_NONE ? f
                          : run_named(tx, "DELETE FROM head WHERE workflow = ?1 AND field = ?2",
                                      workflow, field, why);
}

enum fail head_bytes_put(struct store_tx *tx, const char *workflow, const char *field,
                         const char *release, const struct buf *bytes, struct fault *why)
{
    enum fail f = head_bytes_drop(tx, workflow, field, why);
    for (size_t at = 0, part = 0; f == FAIL_NONE && at < bytes->len; at += PART_BYTES, part++) {
        size_t n = bytes->len - at < PART_BYTES ? bytes->len - at : PART_BYTES;
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "INSERT INTO head_part (workflow, field, part, bytes) "
                                           "VALUES (?1, ?2, ?3, ?4)");
        store_bind_text(s, 1, workflow);
        store_bind_text(s, 2, field);
        store_bind_int(s, 3, (int64_t)part);
        store_bind_blob(s, 4, bytes->data + at, n);
        f = store_run(s, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT OR REPLACE INTO head (workflow, field, release, "
                                       "created_at) VALUES (?1, ?2, ?3, ?4)");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, release);
    store_bind_int(s, 4, clock_now_us());
    return store_run(s, why);
}

enum fail head_bytes_get(struct store_conn *conn, const char *workflow, const char *field,
                         struct buf *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT bytes FROM head_part WHERE workflow = ?1 AND field = ?2 "
                          "ORDER BY part");
    bool row = false;
    enum fail f;
    buf_clear(out);
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t n = 0;
        const void *part = store_col_blob(s, 0, &n);
        if (!buf_add(out, part, n)) {
            return FAULT(why, FAIL_TOO_LARGE, "the stored head of \"%.48s\" is too large", field);
        }
    }
    return f;
}
