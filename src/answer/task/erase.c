/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person's requests left with tasks, articles and heads, for erasing it. A head remembers
 * the ids of the examples it was taught with: one that holds the caller's id of one of the person's
 * tasks goes, with its evidence, and is marked to be learned again.
 * Owns: table head_retrain. Threads: task_erase_find on any thread with its own reader (it reads
 * whole heads), task_erase inside a write. Limits: TASK_ERASE_IDS ids, TASK_ERASE_HEADS heads.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"

static enum fail read_ids(struct store_conn *conn, const char *team, const char *actor,
                          struct arena *arena, const char **ids, size_t *n, bool *cut,
                          struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT DISTINCT input_id FROM task WHERE team = ?1 AND actor = ?2 AND "
              "input_id <> ''");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, actor);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (*n == TASK_ERASE_IDS) {
            *cut = true;
            break;
        }
        ids[(*n)++] = arena_dup_str(arena, store_col_text(s, 0));
    }
    return f;
}

static bool taught_with(const struct learn_head *head, const char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (learn_head_has_ref(head, ids[i])) {
            return true;
        }
    }
    return false;
}

enum fail task_erase_find(struct store_conn *conn, const char *team, const char *actor,
                          struct arena *arena, struct task_erased *out, struct fault *why)
{
    const char **ids = arena_alloc(arena, TASK_ERASE_IDS * sizeof(*ids));
    size_t n = 0;
    bool row = false;
    memset(out, 0, sizeof(*out));
    enum fail f = read_ids(conn, team, actor, arena, ids, &n, &out->cut, why);
    if (f != FAIL_NONE || n == 0) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT workflow, field, release FROM head WHERE workflow <> ?1");
    store_bind_text(s, 1, HEAD_OF_ARTICLES); /* those all go, with the questions */
    struct buf bytes;
    buf_init(&bytes, LEARN_MAX_BLOB);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct learn_head *head = NULL;
        struct fault damaged;
        /* A head that cannot be read cannot be asked: it goes as well. */
        bool holds = head_bytes_get(conn, store_col_text(s, 0), store_col_text(s, 1), &bytes,
                                    &damaged) != FAIL_NONE ||
                     learn_load(bytes.data, bytes.len, &head, &damaged) != FAIL_NONE ||
                     taught_with(head, ids, n);
        learn_head_free(head);
        if (holds && out->heads_len < TASK_ERASE_HEADS) {
            struct task_erased_head *h = &out->heads[out->heads_len++];
            (void)text_copy(h->workflow, sizeof(h->workflow), store_col_text(s, 0));
            (void)text_copy(h->field, sizeof(h->field), store_col_text(s, 1));
            (void)text_copy(h->release, sizeof(h->release), store_col_text(s, 2));
        } else if (holds) {
            out->cut = true;
        }
    }
    buf_done(&bytes);
    return f;
}

static enum fail drop_head(struct store_tx *tx, const struct task_erased_head *h,
                           struct fault *why)
{
    static const char *const acts[] = {
        "DELETE FROM head WHERE workflow = ?1 AND field = ?2 AND release = ?3",
        "DELETE FROM evidence WHERE workflow = ?1 AND field = ?2 AND rung = 'learned' AND ?3 <> ''",
        "INSERT OR REPLACE INTO head_retrain (workflow, field, release, at) VALUES (?1, ?2, ?3, "
        "?4)"};
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), acts[i]);
        store_bind_text(s, 1, h->workflow);
        store_bind_text(s, 2, h->field);
        store_bind_text(s, 3, h->release);
        if (i == 2) {
            store_bind_int(s, 4, clock_now_us());
        }
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (i == 0 && store_changes(store_tx_conn(tx)) == 0) {
            return FAIL_NONE; /* another one serves by now */
        }
    }
    return head_bytes_drop(tx, h->workflow, h->field, why);
}

enum fail task_erase(struct store_tx *tx, const char *team, const char *actor,
                     struct task_erased *e, struct fault *why)
{
    static const char *const acts[] = {
        "DELETE FROM dataset_question WHERE key IN (SELECT input_id FROM task WHERE team = ?1 AND "
        "actor = ?2 AND input_id <> '')",
        "UPDATE task SET result = '', input_id = '', idem_key = NULL, idem_input = NULL, "
        "replay = '' WHERE team = ?1 AND actor = ?2"};
    size_t *const counts[] = {&e->questions, &e->tasks};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < e->heads_len && f == FAIL_NONE; i++) {
        f = drop_head(tx, &e->heads[i], why);
    }
    f = f != FAIL_NONE ? f : past_replies_forget(tx, team, actor, why);
    for (size_t i = 0; i < COUNT_OF(acts) && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), acts[i]);
        store_bind_text(s, 1, team);
        store_bind_text(s, 2, actor);
        f = store_run(s, why);
        *counts[i] = (size_t)store_changes(store_tx_conn(tx));
    }
    static const char *const article_heads[] = {"DELETE FROM head_part WHERE workflow = ?1",
                                                "DELETE FROM head WHERE workflow = ?1"};
    for (size_t i = 0; i < COUNT_OF(article_heads) && f == FAIL_NONE && e->questions > 0; i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), article_heads[i]);
        store_bind_text(s, 1, HEAD_OF_ARTICLES); /* taught with them */
        f = store_run(s, why);
    }
    int64_t traces = 0;
    return f != FAIL_NONE ? f : related_forget(tx, team, actor, &traces, why);
}

enum fail task_keys_forget(struct store_tx *tx, const struct id *tasks, size_t n,
                           struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "UPDATE task SET idem_key = NULL, idem_input = NULL "
                                           "WHERE id = ?1");
        store_bind_id(s, 1, &tasks[i]);
        f = store_run(s, why);
    }
    return f;
}
