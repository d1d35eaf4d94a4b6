/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an artifact resembles: others that wait and have the same cause, and the newest correction
 * of something alike, which is proposed and never applied by itself.
 *
 * Owns nothing. Threads: a reader's. Limits: SKETCHES_MAX compared a call.
 */
#include <stdlib.h>
#include <string.h>

#include "work/review/review_internal.h"

#define SKETCHES_MAX 5000
#define CORRECTIONS_MAX 2000

/* The sketch of one; *found false: it has none. */
static enum fail own_sketch(struct store_conn *c, struct arena *arena, const struct id *artifact,
                            bool *found, struct review_sketch *out, char team[KEYRING_NAME_SIZE],
                            char workflow[64], struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT sketch, vector, model, team, workflow FROM review_sketch "
                       "WHERE artifact = ?1");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, found, why);
    if (f != FAIL_NONE || !*found) {
        return f;
    }
    (void)text_copy(team, KEYRING_NAME_SIZE, store_col_text(s, 3));
    (void)text_copy(workflow, 64, store_col_text(s, 4));
    return review_sketch_read(s, 0, arena, out, why);
}

static int most_alike_first(const void *a, const void *b)
{
    const struct review_alike *x = a, *y = b;
    return x->likeness < y->likeness ? 1 : x->likeness > y->likeness ? -1
                                     : memcmp(&x->artifact, &y->artifact, sizeof(x->artifact));
}

static enum fail read_alike(struct store_stmt *s, struct arena *arena, const char *me, int64_t now,
                            double likeness, struct review_alike *out, struct fault *why)
{
    *out = (struct review_alike){.likeness = likeness, .version = store_col_int(s, 4)};
    if (!store_col_id(s, 3, &out->artifact) ||
        !review_state_find(store_col_text(s, 5), &out->state)) {
        return FAULT(why, FAIL_INTERNAL, "a stored artifact is damaged");
    }
    out->title = arena_dup_str(arena, store_col_text(s, 6));
    out->held = store_col_int(s, 8) >= now && store_col_text(s, 7)[0] != '\0' &&
                strcmp(store_col_text(s, 7), me) != 0;
    return FAIL_NONE;
}

enum fail review_alike(struct store_conn *conn, struct arena *arena, const struct id *artifact,
                       const struct principal *who, double least, int64_t now,
                       struct review_alike **list, size_t *n, struct fault *why)
{
    struct review_sketch mine, other;
    char team[KEYRING_NAME_SIZE], workflow[64];
    bool row;
    *n = 0;
    *list = arena_alloc(arena, REVIEW_ALIKE_MAX * sizeof(**list));
    enum fail f = own_sketch(conn, arena, artifact, &row, &mine, team, workflow, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    if (!review_may_see(who, team)) {
        return review_fault_missing(why);
    }
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT k.sketch, k.vector, k.model, a.id, a.version, a.state, a.title, i.holder, "
              "i.lease_until FROM review_item i JOIN review_sketch k ON k.artifact = i.artifact "
              "JOIN artifact a ON a.id = i.artifact WHERE i.waiting = 1 AND i.kind = 'first' AND "
              "i.team = ?1 AND i.workflow = ?2 AND i.target = '' AND i.artifact <> ?3 "
              "ORDER BY i.id LIMIT ?4");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, workflow);
    store_bind_id(s, 3, artifact);
    store_bind_int(s, 4, SKETCHES_MAX);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < REVIEW_ALIKE_MAX) {
        f = review_sketch_read(s, 0, arena, &other, why);
        double like = f == FAIL_NONE ? review_sketches_like(&mine, &other) : 0;
        if (like >= least) {
            f = read_alike(s, arena, who->name, now, like, &(*list)[(*n)++], why);
        }
        if (f != FAIL_NONE) {
            return f;
        }
    }
    qsort(*list, *n, sizeof(**list), most_alike_first);
    return f;
}

/* ---- as decided on another ---- */

static enum fail nearest_correction(struct store_conn *c, struct arena *arena,
                                    const struct id *artifact, const struct review_sketch *mine,
                                    const char *team, const char *workflow,
                                    struct review_precedent *out, struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT k.sketch, k.vector, k.model, k.artifact, k.corrected_at FROM review_sketch k "
           "WHERE k.team = ?1 AND k.workflow = ?2 AND k.corrected_at > 0 AND k.artifact <> ?3 "
           "ORDER BY k.corrected_at DESC LIMIT ?4");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, workflow);
    store_bind_id(s, 3, artifact);
    store_bind_int(s, 4, CORRECTIONS_MAX);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct review_sketch other;
        f = review_sketch_read(s, 0, arena, &other, why);
        if (f != FAIL_NONE) {
            return f;
        }
        double like = review_sketches_like(mine, &other);
        /* Newest first: of two that are as alike the later decision counts. */
        if (like >= REVIEW_ALIKE_NEAR && like > out->likeness) {
            out->found = store_col_id(s, 3, &out->artifact);
            out->likeness = like;
            out->decided_at = store_col_int(s, 4);
        }
    }
    return f;
}

static enum fail read_changes(struct store_conn *c, struct arena *arena,
                              struct review_precedent *out, struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT name, decided FROM artifact_field WHERE artifact = ?1 AND type = 'choice' AND "
           "decided IS NOT NULL AND decided <> value ORDER BY place");
    store_bind_id(s, 1, &out->artifact);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row &&
           out->fields_len < REVIEW_FIELDS_MAX) {
        struct review_value *v = &out->fields[out->fields_len++];
        v->name = arena_dup_str(arena, store_col_text(s, 0));
        v->value = arena_dup_str(arena, store_col_text(s, 1));
    }
    return f;
}

static enum fail read_decision(struct store_conn *c, struct arena *arena,
                               struct review_precedent *out, struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT d.action, d.reason, (SELECT t.ticket FROM review_ticket t WHERE t.artifact = "
           "d.artifact) FROM decision d WHERE d.artifact = ?1 ORDER BY d.id DESC LIMIT 1");
    store_bind_id(s, 1, &out->artifact);
    enum fail f = store_step(s, &row, why);
    out->found = f == FAIL_NONE && row && review_action_find(store_col_text(s, 0), &out->action);
    if (out->found) {
        out->reason = arena_dup_str(arena, store_col_text(s, 1));
        out->ticket = arena_dup_str(arena, store_col_text(s, 2));
    }
    return f;
}

enum fail review_precedent(struct store_conn *conn, struct arena *arena, const struct id *artifact,
                           struct review_precedent *out, struct fault *why)
{
    struct review_sketch mine;
    char team[KEYRING_NAME_SIZE], workflow[64];
    bool has;
    memset(out, 0, sizeof(*out));
    enum fail f = own_sketch(conn, arena, artifact, &has, &mine, team, workflow, why);
    if (f == FAIL_NONE && has) {
        f = nearest_correction(conn, arena, artifact, &mine, team, workflow, out, why);
    }
    if (f == FAIL_NONE && out->found) {
        f = read_decision(conn, arena, out, why);
    }
    if (f == FAIL_NONE && out->found) {
        f = read_changes(conn, arena, out, why);
    }
    /* An edit of the draft alone says nothing that another ticket could use. */
    out->found = out->found && (out->fields_len > 0 || out->action == REVIEW_ACTION_REJECT);
    return f;
}
