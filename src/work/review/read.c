/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: lists, one artifact whole, counts, and the outcomes that learning uses. */
#include <string.h>

#include "work/review/review_internal.h"

/* The most one artifact of ours can take: 64 fields of value and decision, result, two drafts. */
#define ROW_ARENA ((size_t)64 << 20)

#define COLUMNS                                                                                    \
    "a.id, a.task, a.workflow, a.team, a.actor, a.state, a.version, a.created_at, a.updated_at, "  \
    "a.opened_at, a.title"

struct loader {
    struct arena *arena;
    bool full;
};

static const char *keep(struct loader *l, const char *text)
{
    size_t n = strlen(text) + 1;
    if (l->full || !arena_has_room(l->arena, n)) {
        l->full = true;
        return "";
    }
    return arena_dup(l->arena, text, n);
}

static const char *keep_col(struct loader *l, struct store_stmt *s, int i)
{
    return store_col_is_null(s, i) ? NULL : keep(l, store_col_text(s, i));
}

static enum fail done(const struct loader *l, enum fail f, struct fault *why)
{
    if (f == FAIL_NONE && l->full) {
        return FAULT(why, FAIL_TOO_LARGE, "an artifact is larger than what was set aside for it");
    }
    return f;
}

static enum fail read_head(struct loader *l, struct store_stmt *s, struct review_artifact *a,
                           struct fault *why)
{
    memset(a, 0, sizeof(*a));
    if (!store_col_id(s, 0, &a->id) || !store_col_id(s, 1, &a->task) ||
        !review_state_find(store_col_text(s, 5), &a->state)) {
        return FAULT(why, FAIL_INTERNAL, "a stored artifact is damaged");
    }
    a->workflow = keep_col(l, s, 2);
    a->team = keep_col(l, s, 3);
    a->actor = keep_col(l, s, 4);
    a->version = store_col_int(s, 6);
    a->created_at = store_col_int(s, 7);
    a->updated_at = store_col_int(s, 8);
    a->opened_at = store_col_int(s, 9);
    a->title = keep_col(l, s, 10);
    return FAIL_NONE;
}

static enum fail read_fields(struct loader *l, struct store_conn *c, struct review_artifact *a,
                             struct fault *why)
{
    if (!arena_has_room(l->arena, REVIEW_FIELDS_MAX * sizeof(struct review_field))) {
        l->full = true;
        return FAIL_NONE;
    }
    struct review_field *fields =
        arena_alloc(l->arena, REVIEW_FIELDS_MAX * sizeof(struct review_field));
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT name, type, value, confidence, rung, is_open, decided "
                       "FROM artifact_field WHERE artifact = ?1 ORDER BY place");
    store_bind_id(s, 1, &a->id);
    a->fields = fields;
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row &&
           a->fields_len < REVIEW_FIELDS_MAX) {
        fields[a->fields_len++] = (struct review_field){.name = keep_col(l, s, 0),
                                                        .type = keep_col(l, s, 1),
                                                        .value = keep_col(l, s, 2),
                                                        .confidence = store_col_real(s, 3),
                                                        .rung = keep_col(l, s, 4),
                                                        .is_open = store_col_int(s, 5) != 0,
                                                        .decided = keep_col(l, s, 6)};
    }
    return f;
}

/* Columns i.. are actor, action, reason, draft, decided_at, edit_distance of the decision. */
static enum fail read_decision(struct loader *l, struct store_stmt *s, int i,
                               struct review_artifact *a, struct fault *why)
{
    a->decided_by = keep_col(l, s, i);
    a->reason = keep_col(l, s, i + 2);
    a->sent = keep_col(l, s, i + 3);
    a->decided_at = store_col_int(s, i + 4);
    a->edit_distance = store_col_real(s, i + 5);
    return review_action_find(store_col_text(s, i + 1), &a->action)
               ? FAIL_NONE
               : FAULT(why, FAIL_INTERNAL, "a stored decision is damaged");
}

/* ---- lists ---- */

static enum fail each_row(struct store_conn *c, struct store_stmt *s, review_row_fn fn, void *arg,
                          bool has_decision, struct fault *why)
{
    bool row;
    bool more = true;
    enum fail f;
    while (more && (f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct loader l = {.arena = arena_new(ROW_ARENA)};
        struct review_artifact a;
        f = read_head(&l, s, &a, why);
        if (f == FAIL_NONE && has_decision) {
            f = read_decision(&l, s, 11, &a, why);
            a.draft = keep_col(&l, s, 17);
        }
        if (f == FAIL_NONE) {
            f = read_fields(&l, c, &a, why);
        }
        f = done(&l, f, why);
        if (f == FAIL_NONE) {
            more = fn(arg, &a);
        }
        arena_free(l.arena);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return more ? f : FAIL_NONE;
}

enum fail review_list(struct store_conn *conn, const struct review_filter *filter,
                      review_row_fn fn, void *arg, struct fault *why)
{
    static const char by_state[] =
        "SELECT " COLUMNS " FROM artifact a WHERE a.state = ?1 AND a.id > ?2 "
        "AND (?3 IS NULL OR a.team = ?3) AND (?4 IS NULL OR a.workflow = ?4) "
        "ORDER BY a.id LIMIT ?5";
    static const char by_id[] =
        "SELECT " COLUMNS " FROM artifact a WHERE ?1 IS NULL AND a.id > ?2 "
        "AND (?3 IS NULL OR a.team = ?3) AND (?4 IS NULL OR a.workflow = ?4) "
        "ORDER BY a.id LIMIT ?5";
    if (filter->limit < 1 || filter->limit > REVIEW_LIST_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "limit is 1 to %d", REVIEW_LIST_MAX);
        return fail_param(why, "limit");
    }
    bool any = filter->state == REVIEW_STATE_COUNT;
    AUTO_STMT struct store_stmt *s = store_query(conn, any ? by_id : by_state);
    store_bind_text(s, 1, any ? NULL : review_state_name(filter->state));
    store_bind_id(s, 2, &filter->after);
    store_bind_text(s, 3, policy_is_admin(filter->who) ? NULL : filter->who->team);
    store_bind_text(s, 4, filter->workflow);
    store_bind_int(s, 5, filter->limit);
    return each_row(conn, s, fn, arg, false, why);
}

enum fail review_outcomes(struct store_conn *conn, const char *team, const char *workflow,
                          int64_t since_at, review_row_fn fn, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " COLUMNS ", d.actor, d.action, d.reason, d.draft, d.decided_at, "
              "d.edit_distance, a.draft FROM decision d JOIN artifact a ON a.id = d.artifact "
              "WHERE d.decided_at > ?1 AND d.action IN ('approve', 'edit') AND a.team = ?2 "
              "AND a.workflow = ?3 AND NOT EXISTS (SELECT 1 FROM artifact_field f "
              "WHERE f.artifact = a.id AND f.decided IS NULL) ORDER BY d.decided_at, d.id");
    store_bind_int(s, 1, since_at);
    store_bind_text(s, 2, team);
    store_bind_text(s, 3, workflow);
    return each_row(conn, s, fn, arg, true, why);
}

/* ---- one ---- */

static enum fail read_newest_decision(struct loader *l, struct store_conn *c,
                                      struct review_artifact *a, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT actor, action, reason, draft, decided_at, edit_distance "
                       "FROM decision WHERE artifact = ?1 ORDER BY id DESC LIMIT 1");
    store_bind_id(s, 1, &a->id);
    bool row;
    enum fail f = store_step(s, &row, why);
    return f == FAIL_NONE && row ? read_decision(l, s, 0, a, why) : f;
}

enum fail review_get(struct store_conn *conn, struct arena *arena, const struct id *id,
                     const struct principal *who, struct review_artifact *out, struct fault *why)
{
    struct loader l = {.arena = arena};
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT " COLUMNS ", a.result, a.draft FROM artifact a WHERE a.id = ?1");
    store_bind_id(s, 1, id);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!row || !review_may_see(who, store_col_text(s, 3))) {
        return review_fault_missing(why);
    }
    f = read_head(&l, s, out, why);
    if (f == FAIL_NONE) {
        out->result = keep_col(&l, s, 11);
        out->draft = keep_col(&l, s, 12);
        f = read_fields(&l, conn, out, why);
    }
    if (f == FAIL_NONE) {
        f = read_newest_decision(&l, conn, out, why);
    }
    return done(&l, f, why);
}

enum fail review_count(struct store_conn *conn, const struct principal *who, const char *workflow,
                       int64_t counts[REVIEW_STATE_COUNT], struct fault *why)
{
    memset(counts, 0, REVIEW_STATE_COUNT * sizeof(*counts));
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT state, count(*) FROM artifact WHERE (?1 IS NULL OR team = ?1) "
                          "AND (?2 IS NULL OR workflow = ?2) GROUP BY state");
    store_bind_text(s, 1, policy_is_admin(who) ? NULL : who->team);
    store_bind_text(s, 2, workflow);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        enum review_state state;
        if (review_state_find(store_col_text(s, 0), &state)) {
            counts[state] = store_col_int(s, 1);
        }
    }
    return f;
}
