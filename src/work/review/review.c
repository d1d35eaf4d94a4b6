/* SPDX-License-Identifier: Apache-2.0 */
/* Making artifacts, and the one function that moves their state. */
#include "work/review/review.h"

#include <string.h>

#include "base/clock/clock.h"
#include "work/review/review_internal.h"

static const char *const states[REVIEW_STATE_COUNT] = {
#define STATE(name, text) [REVIEW_STATE_##name] = text,
#include "work/review/states.def"
#undef STATE
};
static const char *const actions[REVIEW_ACTION_COUNT] = {"approve", "edit", "reject", "escalate"};

const char *review_state_name(enum review_state s)
{
    ASSERT(s < REVIEW_STATE_COUNT);
    return states[s];
}

bool review_state_find(const char *name, enum review_state *out)
{
    for (int i = 0; i < REVIEW_STATE_COUNT; i++) {
        if (strcmp(states[i], name) == 0) {
            *out = (enum review_state)i;
            return true;
        }
    }
    return false;
}

const char *review_action_name(enum review_action a)
{
    ASSERT(a < REVIEW_ACTION_COUNT);
    return actions[a];
}

bool review_action_find(const char *name, enum review_action *out)
{
    for (int i = 0; i < REVIEW_ACTION_COUNT; i++) {
        if (strcmp(actions[i], name) == 0) {
            *out = (enum review_action)i;
            return true;
        }
    }
    return false;
}

/* ---- heads and moves ---- */

bool review_may_see(const struct principal *who, const char *team)
{
    return policy_sees(who, team);
}

enum fail review_fault_missing(struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no such artifact");
    return fail_hint(why, "`inhouse review list` shows what waits for you.");
}

enum fail review_owner(struct store_conn *conn, const struct id *artifact,
                       char team[KEYRING_NAME_SIZE], struct fault *why)
{
    bool row = false;
    AUTO_STMT struct store_stmt *s =
        /* The nearest at or before it: one row is read, whether it is the one or not. */
        store_query(conn, "SELECT id, team FROM artifact WHERE id <= ?1 ORDER BY id DESC LIMIT 1");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, &row, why);
    struct id nearest;
    bool same = f == FAIL_NONE && row && store_col_id(s, 0, &nearest) &&
                text_id_equal(&nearest, artifact);
    (void)text_copy(team, KEYRING_NAME_SIZE, same ? store_col_text(s, 1) : "");
    return f;
}

enum fail review_head_read(struct store_conn *c, const struct id *id, const struct principal *who,
                           struct review_head *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT task, workflow, team, actor, state, version, opened_at, opened_by "
                       "FROM artifact WHERE id = ?1");
    store_bind_id(s, 1, id);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!row || (who != NULL && !review_may_see(who, store_col_text(s, 2)))) {
        return review_fault_missing(why);
    }
    out->id = *id;
    text_copy(out->workflow, sizeof(out->workflow), store_col_text(s, 1));
    text_copy(out->team, sizeof(out->team), store_col_text(s, 2));
    text_copy(out->actor, sizeof(out->actor), store_col_text(s, 3));
    text_copy(out->opened_by, sizeof(out->opened_by), store_col_text(s, 7));
    out->version = store_col_int(s, 5);
    out->opened_at = store_col_int(s, 6);
    if (!store_col_id(s, 0, &out->task) || !review_state_find(store_col_text(s, 4), &out->state)) {
        return FAULT(why, FAIL_INTERNAL, "a stored artifact is damaged");
    }
    return FAIL_NONE;
}

enum fail review_move(struct store_tx *tx, const struct review_head *h, enum review_state to,
                      struct fault *why)
{
#define TO(name) (1U << REVIEW_STATE_##name)
    static const unsigned allowed[REVIEW_STATE_COUNT] = {
        [REVIEW_STATE_DRAFT] = TO(IN_REVIEW) | TO(APPROVED) | TO(EDITED) | TO(REJECTED) |
                               TO(ESCALATED) | TO(DELIVERED),
        [REVIEW_STATE_IN_REVIEW] = TO(APPROVED) | TO(EDITED) | TO(REJECTED) | TO(ESCALATED),
        [REVIEW_STATE_ESCALATED] = TO(APPROVED) | TO(EDITED) | TO(REJECTED) | TO(ESCALATED),
        [REVIEW_STATE_APPROVED] = TO(DELIVERED),
        [REVIEW_STATE_EDITED] = TO(DELIVERED),
    };
#undef TO
    if ((allowed[h->state] & 1U << to) == 0) {
        return FAULT(why, FAIL_CONFLICT, "an artifact that is %s cannot become %s",
                     review_state_name(h->state), review_state_name(to));
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE artifact SET state = ?3, version = version + 1, "
                                       "updated_at = ?4 WHERE id = ?1 AND version = ?2");
    store_bind_id(s, 1, &h->id);
    store_bind_int(s, 2, h->version);
    store_bind_text(s, 3, review_state_name(to));
    store_bind_int(s, 4, clock_now_us());
    enum fail f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) != 1) {
        f = FAULT(why, FAIL_CONFLICT, "the artifact changed meanwhile");
    }
    return f;
}

/* ---- making ---- */

static enum fail check_text(const char *what, const char *text, size_t max, struct fault *why)
{
    size_t n = text != NULL ? strlen(text) : 0;
    if (n > max) {
        FAULT(why, FAIL_TOO_LARGE, "the artifact's %s is over %zu KiB", what, max / 1024);
        return fail_param(why, what);
    }
    if (n > 0 && !text_utf8_is_valid(text, n)) {
        FAULT(why, FAIL_BAD_REQUEST, "the artifact's %s is not valid UTF-8", what);
        return fail_param(why, what);
    }
    return FAIL_NONE;
}

static enum fail put_fields(struct store_tx *tx, const struct review_artifact *a,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO artifact_field (artifact, place, name, type, "
                                       "value, confidence, rung, is_open) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    for (size_t i = 0; i < a->fields_len; i++) {
        const struct review_field *field = &a->fields[i];
        enum fail f = check_text("field", field->value, REVIEW_TEXT_MAX, why);
        if (f != FAIL_NONE) {
            return f;
        }
        store_bind_id(s, 1, &a->id);
        store_bind_int(s, 2, (int64_t)i);
        store_bind_text(s, 3, field->name);
        store_bind_text(s, 4, field->type);
        store_bind_text(s, 5, field->value);
        store_bind_real(s, 6, field->confidence);
        store_bind_text(s, 7, field->rung);
        store_bind_int(s, 8, field->is_open);
        f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return FAIL_NONE;
}

enum fail review_create(struct store_tx *tx, const struct review_artifact *a, bool waits,
                        struct fault *why)
{
    enum fail f = check_text("title", a->title, REVIEW_TEXT_MAX, why);
    if (f == FAIL_NONE) {
        f = check_text("result", a->result, STORE_VALUE_MAX, why);
    }
    if (f == FAIL_NONE) {
        f = check_text("draft", a->draft, REVIEW_TEXT_MAX, why);
    }
    if (f == FAIL_NONE && a->fields_len > REVIEW_FIELDS_MAX) {
        f = FAULT(why, FAIL_TOO_LARGE, "an artifact has over %d fields", REVIEW_FIELDS_MAX);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "INSERT INTO artifact (id, task, workflow, team, actor, state, "
                               "version, created_at, updated_at, opened_at, opened_by, title, "
                               "result, draft) "
                               "VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7, 0, '', ?8, ?9, ?10)");
        store_bind_id(s, 1, &a->id);
        store_bind_id(s, 2, &a->task);
        store_bind_text(s, 3, a->workflow);
        store_bind_text(s, 4, a->team);
        store_bind_text(s, 5, a->actor);
        store_bind_text(s, 6,
                        review_state_name(waits ? REVIEW_STATE_IN_REVIEW : REVIEW_STATE_DRAFT));
        store_bind_int(s, 7, clock_now_us());
        store_bind_text(s, 8, a->title != NULL ? a->title : "");
        store_bind_text(s, 9, a->result != NULL ? a->result : "{}");
        store_bind_text(s, 10, a->draft);
        f = store_run(s, why);
    }
    f = f == FAIL_NONE ? put_fields(tx, a, why) : f;
    if (f == FAIL_NONE && waits) {
        f = review_item_add(tx, a, clock_now_us(), why);
    }
    if (f == FAIL_NONE && waits) {
        f = review_sketch_add(tx, a, why);
    }
    return f == FAIL_NONE ? review_ticket_add(tx, a, clock_now_us(), why) : f;
}

enum fail review_redraft(struct store_tx *tx, const struct id *id, const char *draft,
                         struct fault *why)
{
    enum fail f = check_text("draft", draft, REVIEW_TEXT_MAX, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "UPDATE artifact SET draft = ?2, version = version + 1, updated_at = ?3 "
                    "WHERE id = ?1 AND opened_at = 0 AND state IN ('draft', 'in_review')");
    store_bind_id(s, 1, id);
    store_bind_text(s, 2, draft);
    store_bind_int(s, 3, clock_now_us());
    f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) != 1) {
        struct review_head h;
        f = review_head_read(store_tx_conn(tx), id, NULL, &h, why);
        if (f == FAIL_NONE) {
            f = FAULT(why, FAIL_CONFLICT, "somebody opened or decided the artifact already");
        }
    }
    return f;
}

enum fail review_open(struct store_tx *tx, const struct id *id, const struct principal *who,
                      struct fault *why)
{
    struct review_head h;
    enum fail f = review_head_read(store_tx_conn(tx), id, who, &h, why);
    if (f != FAIL_NONE || h.opened_at != 0) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE artifact SET opened_at = ?2, opened_by = ?3 WHERE id = ?1");
    store_bind_id(s, 1, id);
    store_bind_int(s, 2, clock_now_us());
    store_bind_text(s, 3, who->name);
    return store_run(s, why);
}

enum fail review_deliver(struct store_tx *tx, const struct id *id, struct fault *why)
{
    struct review_head h;
    enum fail f = review_head_read(store_tx_conn(tx), id, NULL, &h, why);
    return f == FAIL_NONE ? review_move(tx, &h, REVIEW_STATE_DELIVERED, why) : f;
}

/* Every task of theirs: what rungs said of it is forgotten too. */
static enum fail forget_said(struct store_tx *tx, const char *team, const char *actor,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "SELECT task FROM artifact WHERE team = ?1 AND actor = ?2");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, actor);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id task;
        f = store_col_id(s, 0, &task) ? certify_forget(tx, &task, why) : FAIL_NONE;
        if (f != FAIL_NONE) {
            break;
        }
    }
    return f;
}

enum fail review_forget(struct store_tx *tx, const char *team, const char *actor, int64_t *n,
                        struct fault *why)
{
    static const char *const acts[] = {
        "UPDATE artifact_field SET value = '', decided = NULL WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "UPDATE decision SET reason = '', draft = NULL WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "DELETE FROM review_sketch WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "DELETE FROM review_working WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "DELETE FROM review_known WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "UPDATE review_ticket SET ticket = '', now_text = NULL WHERE artifact IN "
        "(SELECT id FROM artifact WHERE team = ?1 AND actor = ?2)",
        "UPDATE artifact SET title = '', result = '{}', draft = NULL "
        "WHERE team = ?1 AND actor = ?2",
    };
    enum fail said = forget_said(tx, team, actor, why);
    if (said != FAIL_NONE) {
        return said;
    }
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), acts[i]);
        store_bind_text(s, 1, team);
        store_bind_text(s, 2, actor);
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    *n = store_changes(store_tx_conn(tx));
    return FAIL_NONE;
}
