/* SPDX-License-Identifier: Apache-2.0 */
/* A decision: checked against what the reviewer saw, applied once, recorded. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "work/review/review_internal.h"

/* A look longer than this was a lunch, not a review. */
#define REVIEW_MS_MAX (4 * 3600 * 1000LL)

static bool is_open(enum review_state s)
{
    return s == REVIEW_STATE_DRAFT || s == REVIEW_STATE_IN_REVIEW || s == REVIEW_STATE_ESCALATED;
}

/* Who decided, when and what: for the reviewer who comes second. */
static enum fail fault_decided(struct store_conn *c, const struct review_head *h,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT actor, action, decided_at FROM decision WHERE artifact = ?1 "
                       "ORDER BY id DESC LIMIT 1");
    store_bind_id(s, 1, &h->id);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!row) {
        return FAULT(why, FAIL_CONFLICT, "the artifact is %s already",
                     review_state_name(h->state));
    }
    char at[CLOCK_RFC3339_SIZE];
    FAULT(why, FAIL_CONFLICT, "%s decided this already: %s, at %s", store_col_text(s, 0),
          store_col_text(s, 1), clock_show(store_col_int(s, 2), at));
    return fail_hint(why, "Nothing was changed. Open it again to see the decision.");
}

static enum fail check_current(struct store_conn *c, const struct review_decide *d,
                               const struct review_head *h, struct fault *why)
{
    if (!is_open(h->state)) {
        return fault_decided(c, h, why);
    }
    if (d->version != 0 && d->version != h->version) {
        FAULT(why, FAIL_CONFLICT, "the artifact changed: it is version %lld, you saw %lld",
              (long long)h->version, (long long)d->version);
        return fail_hint(why, "Nothing was changed. Open it again and decide on what it says now.");
    }
    return FAIL_NONE;
}

/* ---- sent twice ---- */

static enum fail same_values(struct store_conn *c, const struct review_decide *d, bool *same,
                             struct fault *why)
{
    enum fail f = FAIL_NONE;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT 1 FROM artifact_field WHERE artifact = ?1 AND name = ?2 AND decided = ?3");
    for (size_t i = 0; i < d->values_len && f == FAIL_NONE && *same; i++) {
        store_bind_id(s, 1, &d->id);
        store_bind_text(s, 2, d->values[i].name);
        store_bind_text(s, 3, d->values[i].value);
        f = store_step(s, same, why);
        if (f == FAIL_NONE && *same) {
            bool more;
            f = store_step(s, &more, why); /* to its end, so that it may be bound again */
        }
    }
    return f;
}

/* A reviewer whose answer was lost on the way sends the same again: it is told what it became. */
static enum fail find_again(struct store_conn *c, const struct review_decide *d,
                            const struct review_head *h, struct review_decided *made,
                            struct fault *why)
{
    enum fail f;
    bool row;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT action, draft, edit_distance, leaf FROM decision WHERE artifact = ?1 AND "
               "version = ?2 AND actor = ?3");
        store_bind_id(s, 1, &d->id);
        store_bind_int(s, 2, d->version);
        store_bind_text(s, 3, d->who->name);
        f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f;
        }
        const char *draft = store_col_is_null(s, 1) ? NULL : store_col_text(s, 1);
        made->again = strcmp(store_col_text(s, 0), review_action_name(d->action)) == 0 &&
                      (draft == NULL) == (d->draft == NULL) &&
                      (draft == NULL || strcmp(draft, d->draft) == 0);
        made->edit_distance = store_col_real(s, 2);
        made->leaf = store_col_int(s, 3);
    }
    made->state = h->state;
    made->version = h->version;
    (void)text_copy(made->workflow, sizeof(made->workflow), h->workflow);
    return made->again ? same_values(c, d, &made->again, why) : FAIL_NONE;
}

static enum fail check_text(const char *param, const char *text, size_t max, struct fault *why)
{
    if (text != NULL && strlen(text) > max) {
        FAULT(why, FAIL_TOO_LARGE, "%s is over %zu bytes", param, max);
        return fail_param(why, param);
    }
    if (text != NULL && !text_utf8_is_valid(text, strlen(text))) {
        FAULT(why, FAIL_BAD_REQUEST, "%s is not valid UTF-8", param);
        return fail_param(why, param);
    }
    return FAIL_NONE;
}

static enum fail check_request(const struct review_decide *d, struct fault *why)
{
    bool changes = d->values_len > 0 || d->draft != NULL;
    bool has_reason = d->reason != NULL && d->reason[strspn(d->reason, " \t\r\n")] != '\0';
    if (d->action == REVIEW_ACTION_EDIT && !changes) {
        FAULT(why, FAIL_BAD_REQUEST, "an edit names at least one field or the draft");
        return fail_hint(why, "To take it as it is, approve it.");
    }
    if (d->action != REVIEW_ACTION_EDIT && changes) {
        FAULT(why, FAIL_BAD_REQUEST, "only an edit changes fields or the draft");
        return fail_hint(why, "Use the action edit.");
    }
    if ((d->action == REVIEW_ACTION_REJECT || d->action == REVIEW_ACTION_ESCALATE) && !has_reason) {
        FAULT(why, FAIL_BAD_REQUEST, "to %s needs a reason", review_action_name(d->action));
        return fail_param(why, "reason");
    }
    if (d->values_len > REVIEW_FIELDS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "over %d fields", REVIEW_FIELDS_MAX);
    }
    enum fail f = check_text("reason", d->reason, REVIEW_REASON_MAX, why);
    return f == FAIL_NONE ? check_text("draft", d->draft, REVIEW_TEXT_MAX, why) : f;
}

/* ---- fields ---- */

static enum fail take_proposals(struct store_tx *tx, const struct id *id, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE artifact_field SET decided = value WHERE artifact = ?1");
    store_bind_id(s, 1, id);
    return store_run(s, why);
}

/* The hint of a wrong name: what it could have been. */
static void hint_fields(struct store_tx *tx, const struct id *id, struct fault *why)
{
    struct fault other;
    bool row = false;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "SELECT group_concat(name, ', ') FROM artifact_field WHERE artifact = ?1");
    store_bind_id(s, 1, id);
    const char *names =
        store_step(s, &row, &other) == FAIL_NONE && row ? store_col_text(s, 0) : NULL;
    if (names != NULL) {
        fail_hint(why, "Its fields: %.180s.", names);
    }
}

static enum fail change_field(struct store_tx *tx, const struct review_decide *d,
                              const struct review_head *h, size_t i, struct fault *why)
{
    const struct review_value *v = &d->values[i];
    for (size_t k = 0; k < i; k++) {
        if (strcmp(d->values[k].name, v->name) == 0) {
            FAULT(why, FAIL_BAD_REQUEST, "the field %.40s is given twice", v->name);
            return fail_param(why, v->name);
        }
    }
    enum fail f = check_text(v->name, v->value, REVIEW_TEXT_MAX, why);
    if (f == FAIL_NONE && d->check != NULL) {
        f = d->check(d->arg, h->workflow, v->name, v->value, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "UPDATE artifact_field SET decided = ?3 WHERE artifact = ?1 AND name = ?2");
    store_bind_id(s, 1, &h->id);
    store_bind_text(s, 2, v->name);
    store_bind_text(s, 3, v->value);
    f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "the artifact has no field \"%.40s\"", v->name);
        hint_fields(tx, &h->id, why);
        f = fail_param(why, v->name);
    }
    return f;
}

/* A field that a person must decide and nobody proposed: approving it would decide nothing. */
static enum fail check_proposed(struct store_tx *tx, const struct id *id, struct fault *why)
{
    bool row = false;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "SELECT group_concat(name, ', ') FROM artifact_field "
                           "WHERE artifact = ?1 AND is_open = 1 AND value = ''");
    store_bind_id(s, 1, id);
    enum fail f = store_step(s, &row, why);
    const char *names = f == FAIL_NONE && row ? store_col_text(s, 0) : NULL;
    if (names == NULL || names[0] == '\0') {
        return f;
    }
    FAULT(why, FAIL_BAD_REQUEST, "nothing was proposed for %.160s: there is nothing to approve",
          names);
    return fail_hint(why, "Give the values with an edit, or reject it.");
}

static enum fail apply_fields(struct store_tx *tx, const struct review_decide *d,
                              const struct review_head *h, struct fault *why)
{
    if (d->action != REVIEW_ACTION_APPROVE && d->action != REVIEW_ACTION_EDIT) {
        return FAIL_NONE;
    }
    enum fail f = d->action == REVIEW_ACTION_APPROVE ? check_proposed(tx, &h->id, why) : FAIL_NONE;
    f = f == FAIL_NONE ? take_proposals(tx, &h->id, why) : f;
    for (size_t i = 0; i < d->values_len && f == FAIL_NONE; i++) {
        f = change_field(tx, d, h, i, why);
    }
    return f;
}

static enum fail measure_edit(struct store_conn *c, const struct review_decide *d,
                              const struct review_head *h, double *out, struct fault *why)
{
    *out = 0;
    if (d->draft == NULL) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(c, "SELECT draft FROM artifact WHERE id = ?1");
    store_bind_id(s, 1, &h->id);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        *out = review_edit_distance(store_col_text(s, 0), d->draft);
    }
    return f;
}

/* ---- the record ---- */

static void write_body(struct buf *out, const struct review_decide *d, const char *artifact)
{
    struct jn_writer w;
    jn_begin(&w, out, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "action", review_action_name(d->action));
    jn_kv_str(&w, "artifact", artifact);
    jn_kv_str(&w, "draft", d->draft);
    jn_key(&w, "fields");
    jn_array_begin(&w);
    for (size_t i = 0; i < d->values_len; i++) {
        jn_array_begin(&w);
        jn_put_str(&w, d->values[i].name);
        jn_put_str(&w, d->values[i].value);
        jn_array_end(&w);
    }
    jn_array_end(&w);
    jn_kv_str(&w, "reason", d->reason);
    jn_object_end(&w);
}

static enum fail record(struct store_tx *tx, struct audit *audit, const struct review_decide *d,
                        const struct review_head *h, int64_t *leaf, struct fault *why)
{
    char artifact[TEXT_ID_SIZE];
    char task[TEXT_ID_SIZE];
    struct buf body;
    buf_init(&body, STORE_VALUE_MAX);
    write_body(&body, d, text_id_show(&h->id, "art", artifact));
    enum fail f = FAIL_NONE;
    if (body.overflow) {
        f = FAULT(why, FAIL_TOO_LARGE, "the decision is over %d MiB", STORE_VALUE_MAX >> 20);
    } else {
        struct audit_leaf l = {.kind = AUDIT_KIND_DECISION,
                               .actor = d->who->name,
                               .team = h->team,
                               .requester = h->actor,
                               .task = text_id_show(&h->task, "tsk", task),
                               .rung = "person",
                               .verdict = review_action_name(d->action),
                               .output = body.data,
                               .output_len = body.len};
        f = audit_append(tx, audit, &l, leaf, NULL, why);
    }
    buf_done(&body);
    return f;
}

static int64_t review_ms(const struct review_decide *d, const struct review_head *h, int64_t now)
{
    int64_t ms = d->review_ms;
    if (ms < 0 && h->opened_at != 0 && strcmp(h->opened_by, d->who->name) == 0) {
        ms = (now - h->opened_at) / 1000;
    }
    return ms < 0 || ms > REVIEW_MS_MAX ? -1 : ms;
}

static enum fail put_decision(struct store_tx *tx, const struct review_decide *d,
                              const struct review_head *h, double edit_distance, int64_t leaf,
                              struct fault *why)
{
    int64_t now = clock_now_us();
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "INSERT INTO decision (artifact, version, actor, action, reason, draft, "
                    "edit_distance, review_ms, decided_at, leaf) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    store_bind_id(s, 1, &h->id);
    store_bind_int(s, 2, h->version);
    store_bind_text(s, 3, d->who->name);
    store_bind_text(s, 4, review_action_name(d->action));
    store_bind_text(s, 5, d->reason != NULL ? d->reason : "");
    store_bind_text(s, 6, d->draft);
    store_bind_real(s, 7, edit_distance);
    store_bind_int(s, 8, review_ms(d, h, now));
    store_bind_int(s, 9, now);
    store_bind_int(s, 10, leaf);
    return store_run(s, why);
}

/* Everything that can refuse it, before anything changes. */
static enum fail admit(struct store_conn *c, const struct review_decide *d,
                       const struct review_head *h, int64_t now, struct fault *why)
{
    enum fail f = check_current(c, d, h, why);
    f = f == FAIL_NONE ? check_request(d, why) : f;
    f = f == FAIL_NONE ? review_item_admit(c, &d->id, d->who, now, why) : f;
    return f == FAIL_NONE ? review_ticket_check(c, d, why) : f;
}

static enum fail apply(struct store_tx *tx, struct audit *audit, const struct review_decide *d,
                       const struct review_head *h, int64_t now, struct review_decided *made,
                       struct fault *why)
{
    enum fail f = measure_edit(store_tx_conn(tx), d, h, &made->edit_distance, why);
    f = f == FAIL_NONE ? apply_fields(tx, d, h, why) : f;
    f = f == FAIL_NONE ? record(tx, audit, d, h, &made->leaf, why) : f;
    f = f == FAIL_NONE ? put_decision(tx, d, h, made->edit_distance, made->leaf, why) : f;
    if (f == FAIL_NONE) {
        (void)text_copy(made->workflow, sizeof(made->workflow), h->workflow);
        f = review_feed(tx, audit, d, h, &made->certified, why);
    }
    f = f == FAIL_NONE ? review_move(tx, h, made->state, why) : f;
    if (f == FAIL_NONE && d->action == REVIEW_ACTION_ESCALATE) {
        return review_item_escalate(tx, h, d, now, why);
    }
    return f == FAIL_NONE ? review_item_done(tx, h, d, now, &made->second, why) : f;
}

enum fail review_decide(struct store_tx *tx, struct audit *audit, const struct review_decide *d,
                        struct review_decided *out, struct fault *why)
{
    static const enum review_state to[REVIEW_ACTION_COUNT] = {
        [REVIEW_ACTION_APPROVE] = REVIEW_STATE_APPROVED,
        [REVIEW_ACTION_EDIT] = REVIEW_STATE_EDITED,
        [REVIEW_ACTION_REJECT] = REVIEW_STATE_REJECTED,
        [REVIEW_ACTION_ESCALATE] = REVIEW_STATE_ESCALATED};
    ASSERT(d->action < REVIEW_ACTION_COUNT);
    struct store_conn *c = store_tx_conn(tx);
    struct review_head h;
    struct review_decided made = {.leaf = -1};
    int64_t now = d->now != 0 ? d->now : clock_now_us();
    enum fail f = review_head_read(c, &d->id, d->who, &h, why);
    if (f == FAIL_NONE && d->version != 0 && d->version < h.version) {
        f = find_again(c, d, &h, &made, why);
    }
    if (f == FAIL_NONE && made.again) {
        *out = made;
        return FAIL_NONE;
    }
    made = (struct review_decided){.state = to[d->action]};
    f = f == FAIL_NONE ? admit(c, d, &h, now, why) : f;
    f = f == FAIL_NONE ? apply(tx, audit, d, &h, now, &made, why) : f;
    if (f == FAIL_NONE) {
        made.version = h.version + 1;
        *out = made;
    }
    return f;
}
