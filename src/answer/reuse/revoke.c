/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an answer came from, taking it back with all that came of it, and erasing a person's.
 * Owns: tables reuse_hit, reuse_revoked. Threads: inside a write, or on the reader's own.
 * Limits: REUSE_REACH answers at once.
 */
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/clock/clock.h"

enum fail reuse_hit_put(struct store_tx *tx, const struct reuse_hit *hit,
                        const struct reuse_owner *owner, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO reuse_hit (task, field, how, source, similarity, team, "
                           "actor, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                           "ON CONFLICT DO NOTHING");
    store_bind_id(s, 1, &hit->task);
    store_bind_text(s, 2, hit->field);
    store_bind_int(s, 3, hit->how);
    store_bind_id(s, 4, &hit->source);
    store_bind_real(s, 5, hit->similarity);
    store_bind_text(s, 6, owner->team);
    store_bind_text(s, 7, owner->actor);
    store_bind_int(s, 8, clock_now_us());
    enum fail f = store_run(s, why);
    if (f != FAIL_NONE || hit->how != REUSE_TEMPLATE) {
        return f;
    }
    AUTO_STMT struct store_stmt *used =
        store_query(store_tx_conn(tx), "UPDATE reuse_template SET used_at = ?2 WHERE id = ?1");
    store_bind_id(used, 1, &hit->source);
    store_bind_int(used, 2, clock_now_us());
    return store_run(used, why);
}

static enum fail run_for(struct store_tx *tx, const char *sql, const struct id *id, size_t *count,
                         struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), sql);
    store_bind_id(s, 1, id);
    enum fail f = store_run(s, why);
    if (f == FAIL_NONE && count != NULL) {
        *count += (size_t)store_changes(store_tx_conn(tx));
    }
    return f;
}

enum fail reuse_template_drop(struct store_tx *tx, const struct id *template, struct fault *why)
{
    enum fail f =
        run_for(tx, "DELETE FROM reuse_template WHERE id = ?1", template, NULL, why);
    return f != FAIL_NONE
               ? f
               : run_for(tx, "DELETE FROM reuse_source WHERE template = ?1", template, NULL, why);
}

static bool has(const struct id *list, size_t n, const struct id *id)
{
    for (size_t i = 0; i < n; i++) {
        if (text_id_equal(&list[i], id)) {
            return true;
        }
    }
    return false;
}

static void add(struct id *list, size_t *n, const struct id *id, bool *cut)
{
    if (has(list, *n, id)) {
        return;
    }
    if (*n == REUSE_REACH) {
        *cut = true;
        return;
    }
    list[(*n)++] = *id;
}

/* Every id that the statement finds for `from`, into a list. */
static enum fail collect(struct store_tx *tx, const char *sql, const struct id *from,
                         struct id *list, size_t *n, bool *cut, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), sql);
    store_bind_id(s, 1, from);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id id;
        if (store_col_id(s, 0, &id)) {
            add(list, n, &id, cut);
        }
    }
    return f;
}

static enum fail note_revoked(struct store_tx *tx, const struct id *task, const struct id *root,
                              struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO reuse_revoked (task, root, revoked_at) VALUES (?1, ?2, ?3) "
                           "ON CONFLICT DO NOTHING");
    store_bind_id(s, 1, task);
    store_bind_id(s, 2, root);
    store_bind_int(s, 3, clock_now_us());
    return store_run(s, why);
}

/* Templates that were learned from a task, the answers they filled, the answers reused from it. */
static enum fail follow(struct store_tx *tx, const struct id *task, struct reuse_reach *out,
                        struct fault *why)
{
    size_t before = out->templates_len;
    enum fail f = collect(tx, "SELECT template FROM reuse_source WHERE task = ?1", task,
                          out->templates, &out->templates_len, &out->cut, why);
    f = f != FAIL_NONE ? f
                       : collect(tx, "SELECT task FROM reuse_hit WHERE source = ?1", task,
                                 out->tasks, &out->tasks_len, &out->cut, why);
    for (size_t i = before; i < out->templates_len && f == FAIL_NONE; i++) {
        f = collect(tx, "SELECT task FROM reuse_hit WHERE source = ?1", &out->templates[i],
                    out->tasks, &out->tasks_len, &out->cut, why);
    }
    return f;
}

enum fail reuse_revoke(struct store_tx *tx, const struct id *task, struct arena *arena,
                       struct reuse_reach *out, struct fault *why)
{
    enum fail f = FAIL_NONE;
    memset(out, 0, sizeof(*out));
    out->tasks = arena_alloc(arena, REUSE_REACH * sizeof(*out->tasks));
    out->templates = arena_alloc(arena, REUSE_REACH * sizeof(*out->templates));
    out->tasks[out->tasks_len++] = *task;
    for (size_t i = 0; i < out->tasks_len && f == FAIL_NONE; i++) {
        f = follow(tx, &out->tasks[i], out, why);
    }
    for (size_t i = 0; i < out->tasks_len && f == FAIL_NONE; i++) {
        const struct id *t = &out->tasks[i];
        f = run_for(tx, "DELETE FROM reuse WHERE task = ?1", t, &out->rows, why);
        f = f != FAIL_NONE ? f
                           : run_for(tx, "DELETE FROM reuse_semantic WHERE task = ?1", t,
                                     &out->rows, why);
        f = f != FAIL_NONE ? f
                           : run_for(tx, "DELETE FROM reuse_example WHERE task = ?1", t,
                                     &out->examples, why);
        f = f != FAIL_NONE ? f : note_revoked(tx, t, task, why);
    }
    for (size_t i = 0; i < out->templates_len && f == FAIL_NONE; i++) {
        f = reuse_template_drop(tx, &out->templates[i], why);
    }
    return f;
}

enum fail reuse_revoked(struct store_conn *conn, const struct id *task, bool *revoked,
                        struct id *root, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT root FROM reuse_revoked WHERE task = ?1");
    store_bind_id(s, 1, task);
    enum fail f = store_step(s, revoked, why);
    if (f == FAIL_NONE && *revoked) {
        store_col_id(s, 0, root);
    }
    return f;
}

/* ---- a person's ---- */

static enum fail run_owned(struct store_tx *tx, const char *sql, const struct reuse_owner *owner,
                           size_t *count, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), sql);
    store_bind_text(s, 1, owner->team);
    store_bind_text(s, 2, owner->actor);
    enum fail f = store_run(s, why);
    if (f == FAIL_NONE && count != NULL) {
        *count += (size_t)store_changes(store_tx_conn(tx));
    }
    return f;
}

enum fail reuse_erase(struct store_tx *tx, const char *team, const char *actor,
                      struct arena *arena, struct reuse_reach *out, struct fault *why)
{
    const struct reuse_owner owner = {team, actor};
    bool row = false;
    enum fail f;
    memset(out, 0, sizeof(*out));
    out->templates = arena_alloc(arena, REUSE_REACH * sizeof(*out->templates));
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "SELECT DISTINCT template FROM reuse_source WHERE team = ?1 AND actor = ?2");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, actor);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id id;
        if (store_col_id(s, 0, &id)) {
            add(out->templates, &out->templates_len, &id, &out->cut);
        }
    }
    for (size_t i = 0; i < out->templates_len && f == FAIL_NONE; i++) {
        f = reuse_template_drop(tx, &out->templates[i], why);
    }
    f = f != FAIL_NONE ? f
                       : run_owned(tx, "DELETE FROM reuse WHERE (team = ?1 AND actor = ?2) OR "
                                       "(team = '' AND actor = '')",
                                   &owner, &out->rows, why);
    f = f != FAIL_NONE ? f
                       : run_owned(tx, "DELETE FROM reuse_semantic WHERE team = ?1 AND actor = ?2",
                                   &owner, &out->rows, why);
    f = f != FAIL_NONE ? f
                       : run_owned(tx, "DELETE FROM reuse_example WHERE team = ?1 AND actor = ?2",
                                   &owner, &out->examples, why);
    return f != FAIL_NONE
               ? f
               : run_owned(tx, "DELETE FROM reuse_hit WHERE team = ?1 AND actor = ?2", &owner, NULL,
                           why);
}

/* ---- what is no longer there to answer from ---- */

static enum fail forget_domain(struct store_conn *conn, const char *domain, struct fault *why)
{
    {
        AUTO_STMT struct store_stmt *s = store_query(conn, "DELETE FROM reuse WHERE domain = ?1");
        store_bind_text(s, 1, domain);
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "DELETE FROM reuse_semantic WHERE domain = ?1");
    store_bind_text(s, 1, domain);
    return store_run(s, why);
}

enum fail reuse_forget(struct store_tx *tx, reuse_domain_fn is, void *arg, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct arena *arena = arena_new((size_t)16 << 20);
    const char *gone[256];
    size_t n = 0;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "SELECT team, domain FROM reuse GROUP BY team, domain UNION SELECT team, domain "
                  "FROM reuse_semantic GROUP BY team, domain");
        bool row;
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row && n < COUNT_OF(gone)) {
            if (is(arg, store_col_text(s, 0), store_col_text(s, 1))) {
                gone[n++] = arena_dup_str(arena, store_col_text(s, 1));
            }
        }
    }
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = forget_domain(conn, gone[i], why);
    }
    arena_free(arena);
    return f;
}
