/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it ended: outcomes that come back from the desk, joined to their artifacts, and the figures
 * made of them. Figures are of the work; of people only from REVIEW_GROUP_MIN on, and a person's
 * own go to that person alone.
 *
 * Owns: tables review_outcome, review_known. Threads: as review.h says.
 * Limits: GROUPS_MAX groups an answer.
 */
#include <string.h>

#include "work/review/review_internal.h"

#define GROUPS_MAX 200

static const char *const endings[REVIEW_ENDING_COUNT] = {"reopened", "solved", "csat"};
static const char *const bys[REVIEW_BY_COUNT] = {"workflow", "action", "queue"};

const char *review_ending_name(enum review_ending e)
{
    ASSERT(e < REVIEW_ENDING_COUNT);
    return endings[e];
}

bool review_ending_find(const char *name, enum review_ending *out)
{
    for (int i = 0; i < REVIEW_ENDING_COUNT; i++) {
        if (strcmp(endings[i], name) == 0) {
            *out = (enum review_ending)i;
            return true;
        }
    }
    return false;
}

const char *review_by_name(enum review_by b)
{
    ASSERT(b < REVIEW_BY_COUNT);
    return bys[b];
}

bool review_by_find(const char *name, enum review_by *out)
{
    for (int i = 0; i < REVIEW_BY_COUNT; i++) {
        if (strcmp(bys[i], name) == 0) {
            *out = (enum review_by)i;
            return true;
        }
    }
    return false;
}

/* ---- coming back ---- */

enum fail review_outcome_put(struct store_tx *tx, const struct principal *who,
                             const struct review_outcome *o, int64_t now, int64_t *n,
                             struct fault *why)
{
    if (!(o->value >= 0 && o->value <= 1)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"value\" is 0 to 1");
        return fail_param(why, "value");
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO review_outcome (artifact, kind, value, at, source, noted_at) SELECT a.id, ?3, "
        "?4, ?5, ?6, ?7 FROM artifact a WHERE (?8 IS NULL OR a.team = ?8) AND (a.id = ?1 OR a.id "
        "IN (SELECT t.artifact FROM review_ticket t WHERE t.ticket = ?2 AND t.team = a.team)) "
        "ON CONFLICT (artifact, kind, at) DO UPDATE SET value = ?4, source = ?6, noted_at = ?7");
    store_bind_id(s, 1, &o->artifact);
    store_bind_text(s, 2, o->ticket);
    store_bind_text(s, 3, review_ending_name(o->kind));
    store_bind_real(s, 4, o->value);
    store_bind_int(s, 5, o->at);
    store_bind_text(s, 6, o->source != NULL ? o->source : "");
    store_bind_int(s, 7, now);
    store_bind_text(s, 8, policy_is_admin(who) ? NULL : who->team);
    enum fail f = store_run(s, why);
    *n = f == FAIL_NONE ? store_changes(store_tx_conn(tx)) : 0;
    return f == FAIL_NONE && *n == 0 ? review_fault_missing(why) : f;
}

enum fail review_outcomes_of(struct store_conn *conn, const struct id *artifact,
                             review_outcome_fn fn, void *arg, struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT kind, value, at, source FROM review_outcome WHERE artifact = ?1 ORDER BY at, "
              "id");
    store_bind_id(s, 1, artifact);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct review_outcome o = {.artifact = *artifact, .ticket = "",
                                   .value = store_col_real(s, 1), .at = store_col_int(s, 2),
                                   .source = store_col_text(s, 3)};
        if (review_ending_find(store_col_text(s, 0), &o.kind)) {
            fn(arg, &o);
        }
    }
    return f;
}

/* ---- figures ---- */

/* The decision that stands, with the newest outcome of each kind. ?1 since, ?2 team. */
#define STANDING(group)                                                                            \
    "WITH last AS (SELECT d.artifact AS artifact, d.action AS action, d.edit_distance AS far, "    \
    "d.review_ms AS ms, " group " AS grp, "                                                        \
    "(SELECT o.value FROM review_outcome o WHERE o.artifact = d.artifact AND o.kind = "            \
    "'reopened' ORDER BY o.at DESC, o.id DESC LIMIT 1) AS reopened, "                              \
    "(SELECT o.value FROM review_outcome o WHERE o.artifact = d.artifact AND o.kind = 'solved' "   \
    "ORDER BY o.at DESC, o.id DESC LIMIT 1) AS solved, "                                           \
    "(SELECT o.value FROM review_outcome o WHERE o.artifact = d.artifact AND o.kind = 'csat' "     \
    "ORDER BY o.at DESC, o.id DESC LIMIT 1) AS csat "                                              \
    "FROM decision d JOIN artifact a ON a.id = d.artifact LEFT JOIN review_item i ON i.artifact "  \
    "= d.artifact AND i.kind = 'first' WHERE d.decided_at > ?1 AND (?2 IS NULL OR a.team = ?2) "   \
    "AND d.action <> 'escalate' AND NOT EXISTS (SELECT 1 FROM decision l WHERE l.artifact = "      \
    "d.artifact AND l.id > d.id)), "                                                               \
    "ranked AS (SELECT grp, ms, row_number() OVER (PARTITION BY grp ORDER BY ms) AS place, "       \
    "count(*) OVER (PARTITION BY grp) AS n FROM last WHERE ms >= 0) "                              \
    "SELECT grp, count(*), sum(CASE WHEN action = 'approve' THEN 1 ELSE 0 END), "                  \
    "sum(CASE WHEN action = 'edit' THEN 1 ELSE 0 END), "                                           \
    "sum(CASE WHEN action = 'reject' THEN 1 ELSE 0 END), "                                         \
    "sum(CASE WHEN reopened > 0 THEN 1 ELSE 0 END), sum(CASE WHEN solved > 0 THEN 1 ELSE 0 END), " \
    "count(csat), avg(csat), avg(CASE WHEN action = 'edit' THEN far END), "                        \
    "(SELECT r.ms FROM ranked r WHERE r.grp = last.grp AND r.place = (r.n + 1) / 2) "              \
    "FROM last GROUP BY grp ORDER BY grp LIMIT ?3"

/* Second looks and practice of a group, once enough people did them. */
static enum fail add_looks(struct store_conn *c, const char *team, enum review_by by,
                           int64_t since_at, struct review_figures *x, struct fault *why)
{
    static const char sql[] =
        "SELECT kind, count(*), sum(agrees), count(DISTINCT decided_by) FROM review_item "
        "WHERE kind <> 'first' AND waiting = 0 AND decided_at > ?1 AND (?2 IS NULL OR team = ?2) "
        "AND (?3 IS NULL OR workflow = ?3) AND (?4 IS NULL OR queue = ?4) GROUP BY kind";
    bool row;
    enum fail f;
    if (by == REVIEW_BY_ACTION) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(c, sql);
    store_bind_int(s, 1, since_at);
    store_bind_text(s, 2, team);
    store_bind_text(s, 3, by == REVIEW_BY_WORKFLOW ? x->group : NULL);
    store_bind_text(s, 4, by == REVIEW_BY_QUEUE ? x->group : NULL);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (store_col_int(s, 3) < REVIEW_GROUP_MIN) {
            continue;
        }
        bool second = strcmp(store_col_text(s, 0), "second") == 0;
        *(second ? &x->seconds : &x->practised) = store_col_int(s, 1);
        *(second ? &x->agreed : &x->right) = store_col_int(s, 2);
    }
    return f;
}

enum fail review_measure(struct store_conn *conn, const struct principal *who, enum review_by by,
                         int64_t since_at, review_figures_fn fn, void *arg, struct fault *why)
{
    static const char by_workflow[] = STANDING("a.workflow");
    static const char by_action[] = STANDING("d.action");
    static const char by_queue[] = STANDING("coalesce(i.queue, '')");
    const char *team = policy_is_admin(who) ? NULL : who->team;
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, by == REVIEW_BY_ACTION  ? by_action
                          : by == REVIEW_BY_QUEUE ? by_queue
                                                  : by_workflow);
    store_bind_int(s, 1, since_at);
    store_bind_text(s, 2, team);
    store_bind_int(s, 3, GROUPS_MAX);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct review_figures x = {.group = store_col_text(s, 0), .decided = store_col_int(s, 1),
                                   .median_ms = -1};
        x.too_few = x.decided < REVIEW_GROUP_MIN;
        if (!x.too_few) {
            x.approved = store_col_int(s, 2);
            x.edited = store_col_int(s, 3);
            x.rejected = store_col_int(s, 4);
            x.reopened = store_col_int(s, 5);
            x.solved = store_col_int(s, 6);
            /* A few ratings are of a few people: they show from REVIEW_GROUP_MIN on. */
            x.rated = store_col_int(s, 7) >= REVIEW_GROUP_MIN ? store_col_int(s, 7) : 0;
            x.csat = x.rated > 0 ? store_col_real(s, 8) : 0;
            x.edit_distance = store_col_real(s, 9);
            x.median_ms = store_col_is_null(s, 10) ? -1 : store_col_int(s, 10);
            f = add_looks(conn, team, by, since_at, &x, why);
        }
        if (f != FAIL_NONE) {
            return f;
        }
        fn(arg, &x);
    }
    return f;
}

enum fail review_own(struct store_conn *conn, const struct principal *who, int64_t since_at,
                     int64_t now, struct review_own *out, struct fault *why)
{
    bool row;
    memset(out, 0, sizeof(*out));
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*), sum(CASE WHEN action = 'approve' THEN 1 ELSE 0 END), sum(CASE WHEN "
              "action = 'edit' THEN 1 ELSE 0 END), sum(CASE WHEN action = 'reject' THEN 1 ELSE 0 "
              "END), sum(CASE WHEN action = 'escalate' THEN 1 ELSE 0 END) FROM decision WHERE "
              "actor = ?1 AND decided_at > ?2");
    store_bind_text(s, 1, who->name);
    store_bind_int(s, 2, since_at);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        out->decided = store_col_int(s, 0);
        out->approved = store_col_int(s, 1);
        out->edited = store_col_int(s, 2);
        out->rejected = store_col_int(s, 3);
        out->escalated = store_col_int(s, 4);
    }
    AUTO_STMT struct store_stmt *looks = store_query(
        conn, "SELECT kind, count(*), sum(agrees), sum(forced) FROM review_item WHERE decided_by = "
              "?1 AND decided_at > ?2 GROUP BY kind");
    store_bind_text(looks, 1, who->name);
    store_bind_int(looks, 2, since_at);
    while (f == FAIL_NONE && (f = store_step(looks, &row, why)) == FAIL_NONE && row) {
        const char *kind = store_col_text(looks, 0);
        if (strcmp(kind, "first") == 0) {
            out->forced = store_col_int(looks, 3);
            continue;
        }
        bool second = strcmp(kind, "second") == 0;
        *(second ? &out->seconds : &out->practised) = store_col_int(looks, 1);
        *(second ? &out->agreed : &out->right) = store_col_int(looks, 2);
    }
    AUTO_STMT struct store_stmt *held = store_query(
        conn, "SELECT count(*) FROM review_item WHERE holder = ?1 AND lease_until >= ?2 AND "
              "waiting = 1");
    store_bind_text(held, 1, who->name);
    store_bind_int(held, 2, now);
    f = f == FAIL_NONE ? store_step(held, &row, why) : f;
    out->held = f == FAIL_NONE && row ? store_col_int(held, 0) : 0;
    return f;
}

enum fail review_fared(struct store_conn *conn, const char *team, const char *workflow,
                       const char *field, const char *rung, int64_t since_at,
                       struct review_fared *out, struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*), sum(CASE WHEN d.action <> 'reject' AND f.decided = f.value THEN 1 "
              "ELSE 0 END) FROM decision d JOIN artifact a ON a.id = d.artifact JOIN "
              "artifact_field f ON f.artifact = a.id WHERE d.decided_at > ?1 AND d.action IN "
              "('approve', 'edit', 'reject') AND a.team = ?2 AND a.workflow = ?3 AND f.name = ?4 "
              "AND f.value <> '' AND (?5 IS NULL OR f.rung = ?5)");
    store_bind_int(s, 1, since_at);
    store_bind_text(s, 2, team);
    store_bind_text(s, 3, workflow);
    store_bind_text(s, 4, field);
    store_bind_text(s, 5, rung);
    enum fail f = store_step(s, &row, why);
    *out = (struct review_fared){.n = f == FAIL_NONE && row ? store_col_int(s, 0) : 0,
                                 .kept = f == FAIL_NONE && row ? store_col_int(s, 1) : 0};
    return f;
}

/* ---- practice ---- */

enum fail review_known_set(struct store_tx *tx, const struct id *artifact,
                           const struct principal *who, bool on, int64_t now, struct fault *why)
{
    struct review_head h;
    enum fail f = review_head_read(store_tx_conn(tx), artifact, who, &h, why);
    if (f == FAIL_NONE && on && h.state != REVIEW_STATE_APPROVED &&
        h.state != REVIEW_STATE_EDITED && h.state != REVIEW_STATE_REJECTED &&
        h.state != REVIEW_STATE_DELIVERED) {
        FAULT(why, FAIL_CONFLICT, "it is %s: nobody knows its answer yet",
              review_state_name(h.state));
        return fail_hint(why, "Practice is made of artifacts that were decided.");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        on ? "INSERT INTO review_known (artifact, team, added_by, added_at) VALUES (?1, ?2, ?3, "
             "?4) ON CONFLICT (artifact) DO NOTHING"
           : "DELETE FROM review_known WHERE artifact = ?1 AND team = ?2 AND ?3 <> '' AND ?4 > 0");
    store_bind_id(s, 1, artifact);
    store_bind_text(s, 2, h.team);
    store_bind_text(s, 3, who->name);
    store_bind_int(s, 4, now);
    return store_run(s, why);
}
