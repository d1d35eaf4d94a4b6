/* SPDX-License-Identifier: Apache-2.0 */
/* Release: see release.h. */
#include "trust/release/release.h"

#include <string.h>

#include "base/clock/clock.h"

/* The state of a version, "" when it is not there. */
static enum fail find(struct store_conn *conn, const char *kind, const char *release,
                      char state[12], char by[RELEASE_ACTOR_SIZE], struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT state, proposed_by FROM release_version "
                          "WHERE kind = ?1 AND release = ?2");
    bool row = false;
    state[0] = by[0] = '\0';
    store_bind_text(s, 1, kind);
    store_bind_text(s, 2, release);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        text_copy(state, 12, store_col_text(s, 0));
        text_copy(by, RELEASE_ACTOR_SIZE, store_col_text(s, 1));
    }
    return f;
}

enum fail release_propose(struct store_tx *tx, const char *kind, const char *release,
                          const char *body, const char *actor, struct fault *why)
{
    char state[12], by[RELEASE_ACTOR_SIZE];
    if (strlen(body) > RELEASE_BODY_MAX || strlen(kind) >= RELEASE_KIND_SIZE) {
        return FAULT(why, FAIL_TOO_LARGE, "a release holds at most %zu bytes", RELEASE_BODY_MAX);
    }
    enum fail f = find(store_tx_conn(tx), kind, release, state, by, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (strcmp(state, "active") == 0) {
        return FAULT(why, FAIL_CONFLICT, "this release is active already");
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO release_version (kind, release, body, state, proposed_by, proposed_at, "
        "approved_by, approved_at) VALUES (?1, ?2, ?3, 'candidate', ?4, ?5, '', 0) "
        "ON CONFLICT (kind, release) DO UPDATE SET state = 'candidate', proposed_by = ?4, "
        "proposed_at = ?5, approved_by = '', approved_at = 0");
    store_bind_text(s, 1, kind);
    store_bind_text(s, 2, release);
    store_bind_text(s, 3, body);
    store_bind_text(s, 4, actor);
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

/* Whichever is active is no longer; its release, "" for none. */
static enum fail retire(struct store_tx *tx, const char *kind, char before[TEXT_SHA256_HEX_SIZE],
                        struct fault *why)
{
    before[0] = '\0';
    {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "SELECT release FROM release_version "
                                           "WHERE kind = ?1 AND state = 'active'");
        bool row = false;
        store_bind_text(s, 1, kind);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (row) {
            text_copy(before, TEXT_SHA256_HEX_SIZE, store_col_text(s, 0));
        }
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE release_version SET state = 'retired' "
                                       "WHERE kind = ?1 AND state = 'active'");
    store_bind_text(s, 1, kind);
    return store_run(s, why);
}

/* May actor make this version the active one? */
static enum fail allowed(struct store_tx *tx, const char *kind, const char *release,
                         const char *actor, bool four_eyes, struct fault *why)
{
    char state[12], by[RELEASE_ACTOR_SIZE];
    enum fail f = find(store_tx_conn(tx), kind, release, state, by, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (state[0] == '\0') {
        FAULT(why, FAIL_NOT_FOUND, "there is no release %.64s", release);
        return fail_hint(why, "The list of releases shows the candidates.");
    }
    if (strcmp(state, "active") == 0) {
        return FAULT(why, FAIL_CONFLICT, "this release is active already");
    }
    if (four_eyes && strcmp(by, actor) == 0) {
        FAULT(why, FAIL_FORBIDDEN, "whoever proposes a release cannot approve it");
        return fail_hint(why, "Ask another approver.");
    }
    return FAIL_NONE;
}

enum fail release_approve(struct store_tx *tx, const char *kind, const char *release,
                          const char *actor, bool four_eyes, char before[TEXT_SHA256_HEX_SIZE],
                          struct fault *why)
{
    bool shipped = strcmp(release, RELEASE_SHIPPED) == 0;
    enum fail f =
        shipped ? FAIL_NONE : allowed(tx, kind, release, actor, four_eyes, why);
    f = f != FAIL_NONE ? f : retire(tx, kind, before, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (shipped) {
        return before[0] != '\0'
                   ? FAIL_NONE
                   : FAULT(why, FAIL_CONFLICT, "the shipped release is active already");
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE release_version SET state = 'active', approved_by = ?3, "
                           "approved_at = ?4 WHERE kind = ?1 AND release = ?2");
    store_bind_text(s, 1, kind);
    store_bind_text(s, 2, release);
    store_bind_text(s, 3, actor);
    store_bind_int(s, 4, clock_now_us());
    return store_run(s, why);
}

static enum fail take_body(struct store_stmt *s, struct buf *body, bool *found, struct fault *why)
{
    *found = false;
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        if (!buf_add_str(body, store_col_text(s, 0))) {
            return FAULT(why, FAIL_TOO_LARGE, "a stored release is too large");
        }
    }
    return f;
}

enum fail release_active(struct store_conn *conn, const char *kind, struct buf *body, bool *found,
                         struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT body FROM release_version WHERE kind = ?1 AND state = 'active'");
    store_bind_text(s, 1, kind);
    return take_body(s, body, found, why);
}

enum fail release_find(struct store_conn *conn, const char *kind, const char *release,
                       struct buf *body, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT body FROM release_version WHERE kind = ?1 AND release = ?2");
    store_bind_text(s, 1, kind);
    store_bind_text(s, 2, release);
    return take_body(s, body, found, why);
}

enum fail release_each(struct store_conn *conn, const char *kind, release_fn fn, void *arg,
                       struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT release, state, proposed_by, approved_by, proposed_at, approved_at, kind "
              "FROM release_version WHERE ?1 = '' OR kind = ?1 "
              "ORDER BY kind, proposed_at DESC, release");
    bool row;
    enum fail f;
    store_bind_text(s, 1, kind != NULL ? kind : "");
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct release_version v = {.proposed_at = store_col_int(s, 4),
                                    .approved_at = store_col_int(s, 5)};
        text_copy(v.release, sizeof(v.release), store_col_text(s, 0));
        text_copy(v.state, sizeof(v.state), store_col_text(s, 1));
        text_copy(v.proposed_by, sizeof(v.proposed_by), store_col_text(s, 2));
        text_copy(v.approved_by, sizeof(v.approved_by), store_col_text(s, 3));
        text_copy(v.kind, sizeof(v.kind), store_col_text(s, 6));
        fn(arg, &v);
    }
    return f;
}
