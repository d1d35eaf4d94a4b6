/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets in the store: proposed, approved by a person, retired by the next. Owns: the table
 * `guard_rules`. The row of the shipped rules is made when a person goes back to them.
 */
#include <string.h>

#include "trust/verdict/verdict_internal.h"
#include "base/clock/clock.h"

/* The state of a release, "" when it is not there. */
static enum fail find(struct store_conn *conn, const char *release, char state[12],
                      char proposed_by[80], struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT state, proposed_by FROM guard_rules WHERE release = ?1");
    bool row = false;
    state[0] = proposed_by[0] = '\0';
    store_bind_text(s, 1, release);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        text_copy(state, 12, store_col_text(s, 0));
        text_copy(proposed_by, 80, store_col_text(s, 1));
    }
    return f;
}

enum fail verdict_release_propose(struct store_tx *tx, const struct verdict_rules *r,
                                  const char *actor, struct fault *why)
{
    char state[12], by[80];
    enum fail f = find(store_tx_conn(tx), r->release, state, by, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (strcmp(state, "active") == 0) {
        return FAULT(why, FAIL_CONFLICT, "these rules are active already");
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO guard_rules (release, yaml, state, proposed_by, proposed_at, approved_by, "
        "approved_at) VALUES (?1, ?2, 'candidate', ?3, ?4, '', 0) "
        "ON CONFLICT (release) DO UPDATE SET state = 'candidate', proposed_by = ?3, "
        "proposed_at = ?4, approved_by = '', approved_at = 0");
    store_bind_text(s, 1, r->release);
    store_bind_text(s, 2, r->text);
    store_bind_text(s, 3, actor);
    store_bind_int(s, 4, clock_now_us());
    return store_run(s, why);
}

/* Whichever is active is no longer; its release, "" for none. */
static enum fail retire(struct store_tx *tx, char before[65], struct fault *why)
{
    before[0] = '\0';
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "SELECT release FROM guard_rules WHERE state = 'active'");
        bool row = false;
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (row) {
            text_copy(before, 65, store_col_text(s, 0));
        }
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE guard_rules SET state = 'retired' WHERE state = 'active'");
    return store_run(s, why);
}

enum fail verdict_release_approve(struct store_tx *tx, const char *release, const char *actor,
                                bool four_eyes, char before[65], struct fault *why)
{
    char state[12], by[80];
    if (strcmp(release, "shipped") == 0) {
        enum fail g = retire(tx, before, why);
        return g == FAIL_NONE && before[0] == '\0'
                   ? FAULT(why, FAIL_CONFLICT, "the shipped rules are active already")
                   : g;
    }
    enum fail f = find(store_tx_conn(tx), release, state, by, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (state[0] == '\0') {
        FAULT(why, FAIL_NOT_FOUND, "there is no rule set %.64s", release);
        return fail_hint(why, "`inhouse guard rules` shows the candidates.");
    }
    if (strcmp(state, "active") == 0) {
        return FAULT(why, FAIL_CONFLICT, "these rules are active already");
    }
    if (four_eyes && strcmp(by, actor) == 0) {
        FAULT(why, FAIL_FORBIDDEN, "whoever proposes rules cannot approve them");
        return fail_hint(why, "Ask another approver.");
    }
    f = retire(tx, before, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE guard_rules SET state = 'active', approved_by = ?2, "
                           "approved_at = ?3 WHERE release = ?1");
    store_bind_text(s, 1, release);
    store_bind_text(s, 2, actor);
    store_bind_int(s, 3, clock_now_us());
    return store_run(s, why);
}

/* A stored text as rules; FAIL_INTERNAL when this version cannot read it any more. */
static enum fail read_stored(const char *yaml, struct verdict_rules **out, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault first;
    enum fail f = verdict_rules_read(yaml, strlen(yaml), "the approved rules", out, faults, &first);
    mem_free(faults);
    if (f != FAIL_NONE) {
        FAULT(why, FAIL_INTERNAL, "the approved rules no longer read: %.200s", first.message);
        return fail_hint(why, "Approve other rules with the version that made these.");
    }
    return FAIL_NONE;
}

enum fail verdict_release_active(struct store_conn *conn, struct verdict_rules **out,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT yaml FROM guard_rules WHERE state = 'active'");
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!row) {
        *out = verdict_rules_shipped();
        return FAIL_NONE;
    }
    return read_stored(store_col_text(s, 0), out, why);
}

enum fail verdict_release_each(struct store_conn *conn, verdict_release_fn fn, void *arg,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT release, state, proposed_by, approved_by, proposed_at, "
                          "approved_at FROM guard_rules ORDER BY proposed_at DESC, release");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct verdict_release r = {.proposed_at = store_col_int(s, 4),
                                  .approved_at = store_col_int(s, 5)};
        text_copy(r.release, sizeof(r.release), store_col_text(s, 0));
        text_copy(r.state, sizeof(r.state), store_col_text(s, 1));
        text_copy(r.proposed_by, sizeof(r.proposed_by), store_col_text(s, 2));
        text_copy(r.approved_by, sizeof(r.approved_by), store_col_text(s, 3));
        fn(arg, &r);
    }
    return f;
}
