/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding an item: a first look decides the artifact; a second look, blind, and practice are
 * compared with what is decided already and change nothing. A forced item keeps its proposals back,
 * so that its reviewer answers before seeing them.
 *
 * Owns nothing beside what item.c does. Threads: inside the write. Limits: those of a decision.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "work/review/review_internal.h"

/* ---- after a first decision ---- */

static enum fail close_item(struct store_tx *tx, const struct id *artifact, const char *who,
                            const char *action, int64_t now, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_item SET waiting = 0, holder = '', lease_until = 0, "
                           "target = '', deadline_at = 0, decided_by = ?2, action = ?3, "
                           "decided_at = ?4 WHERE artifact = ?1 AND kind = 'first'");
    store_bind_id(s, 1, artifact);
    store_bind_text(s, 2, who);
    store_bind_text(s, 3, action);
    store_bind_int(s, 4, now);
    return store_run(s, why);
}

static enum fail draw_second(struct store_tx *tx, const struct review_head *h, const char *first,
                             int64_t now, bool *drawn, struct fault *why)
{
    struct review_settings set;
    enum fail f = review_settings_get(store_tx_conn(tx), h->team, &set, why);
    if (f != FAIL_NONE || !review_drawn(set.second_share)) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO review_item (artifact, kind, person, team, workflow, queue, language, "
        "urgency, confidence, waiting, created_at, holder, lease_until, forced, target, "
        "deadline_at, chain, decided_by, action, agrees, decided_at) SELECT artifact, 'second', "
        "?2, team, workflow, queue, language, urgency, confidence, 1, ?3, '', 0, 0, '', 0, '', "
        "'', '', -1, 0 FROM review_item WHERE artifact = ?1 AND kind = 'first' "
        "ON CONFLICT (artifact, kind, person) DO NOTHING");
    store_bind_id(s, 1, &h->id);
    store_bind_text(s, 2, first);
    store_bind_int(s, 3, now);
    f = store_run(s, why);
    *drawn = f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 1;
    return f;
}

static enum fail drop_working(struct store_tx *tx, const struct id *artifact, const char *who,
                              struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "DELETE FROM review_working WHERE artifact = ?1 AND person = ?2");
    store_bind_id(s, 1, artifact);
    store_bind_text(s, 2, who);
    return store_run(s, why);
}

enum fail review_item_done(struct store_tx *tx, const struct review_head *h,
                           const struct review_decide *d, int64_t now, bool *second,
                           struct fault *why)
{
    *second = false;
    enum fail f = close_item(tx, &h->id, d->who->name, review_action_name(d->action), now, why);
    if (f == FAIL_NONE &&
        (d->action == REVIEW_ACTION_APPROVE || d->action == REVIEW_ACTION_EDIT)) {
        f = draw_second(tx, h, d->who->name, now, second, why);
    }
    if (f == FAIL_NONE && (d->action == REVIEW_ACTION_EDIT || d->action == REVIEW_ACTION_REJECT)) {
        f = review_sketch_corrected(tx, &h->id, now, why);
    }
    return f == FAIL_NONE ? drop_working(tx, &h->id, d->who->name, why) : f;
}

/* ---- a forced item ---- */

static const char *said(const struct review_decide *d, const char *name)
{
    for (size_t i = 0; i < d->values_len; i++) {
        if (strcmp(d->values[i].name, name) == 0) {
            return d->values[i].value;
        }
    }
    return NULL;
}

/* What was said without the proposals becomes an approval or an edit. */
static enum fail settle_forced(struct store_conn *c, struct review_decide *d, struct fault *why)
{
    bool row, changed = d->draft != NULL;
    enum fail f;
    if (d->action != REVIEW_ACTION_APPROVE && d->action != REVIEW_ACTION_EDIT) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT name, value, is_open, type FROM artifact_field WHERE artifact = ?1");
    store_bind_id(s, 1, &d->id);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        const char *name = store_col_text(s, 0), *value = said(d, name);
        bool asked = store_col_int(s, 2) != 0 && strcmp(store_col_text(s, 3), "choice") == 0;
        if (asked && value == NULL) {
            FAULT(why, FAIL_BAD_REQUEST, "this one is asked without its proposal: say \"%.40s\"",
                  name);
            fail_param(why, "fields");
            return fail_hint(why, "Now and then an answer is asked for before the proposal is "
                                  "shown. Choose what is right.");
        }
        changed = changed || (value != NULL && strcmp(value, store_col_text(s, 1)) != 0);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    d->action = changed ? REVIEW_ACTION_EDIT : REVIEW_ACTION_APPROVE;
    if (!changed) {
        d->values_len = 0;
        d->values = NULL;
    }
    return FAIL_NONE;
}

/* ---- second looks and practice ---- */

/* Does this decision say what is decided? Both reject, or both take it with the same values. */
static enum fail compare(struct store_conn *c, const struct review_decide *d, bool *same,
                         struct fault *why)
{
    bool row, rejected = d->action == REVIEW_ACTION_REJECT;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT action FROM decision WHERE artifact = ?1 ORDER BY id DESC LIMIT 1");
        store_bind_id(s, 1, &d->id);
        f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f == FAIL_NONE ? review_fault_missing(why) : f;
        }
        *same = rejected == (strcmp(store_col_text(s, 0), "reject") == 0);
    }
    if (rejected) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT name, value, decided FROM artifact_field WHERE artifact = ?1 AND decided IS "
           "NOT NULL");
    store_bind_id(s, 1, &d->id);
    while (*same && (f = store_step(s, &row, why)) == FAIL_NONE && row) {
        const char *value = said(d, store_col_text(s, 0));
        value = value != NULL ? value : store_col_text(s, 1);
        *same = strcmp(value, store_col_text(s, 2)) == 0;
    }
    return f;
}

static enum fail record(struct store_tx *tx, struct audit *audit, const struct review_decide *d,
                        const struct review_item *item, bool agrees, int64_t *leaf,
                        struct fault *why)
{
    char shown[TEXT_ID_SIZE], verdict[48];
    struct buf body;
    struct jn_writer w;
    (void)text_id_show(&d->id, "art", shown);
    buf_init(&body, 4096);
    jn_begin(&w, &body, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "action", review_action_name(d->action));
    jn_kv_bool(&w, "agrees", agrees);
    jn_kv_str(&w, "artifact", shown);
    jn_kv_str(&w, "kind", review_kind_name(item->kind));
    jn_object_end(&w);
    (void)snprintf(verdict, sizeof(verdict), "%s %s", review_kind_name(item->kind),
                   review_action_name(d->action));
    struct audit_leaf l = {.kind = AUDIT_KIND_REVIEWED, .actor = d->who->name, .team = item->team,
                           .task = shown, .rung = "person", .verdict = verdict,
                           .output = body.data, .output_len = body.len};
    enum fail f = audit_append(tx, audit, &l, leaf, NULL, why);
    buf_done(&body);
    return f;
}

static enum fail check_look(const struct review_decide *d, const struct review_item *item,
                            struct fault *why)
{
    if (!item->waiting) {
        return FAULT(why, FAIL_CONFLICT, "you decided this already");
    }
    if (item->holder[0] != '\0' && strcmp(item->holder, d->who->name) != 0) {
        return FAULT(why, FAIL_CONFLICT, "%s has it now", item->holder);
    }
    if (d->action == REVIEW_ACTION_ESCALATE) {
        FAULT(why, FAIL_BAD_REQUEST, "this one cannot be escalated");
        return fail_hint(why, "Approve, edit or reject it, or give it back.");
    }
    if (d->action == REVIEW_ACTION_REJECT && (d->reason == NULL || d->reason[0] == '\0')) {
        FAULT(why, FAIL_BAD_REQUEST, "to reject needs a reason");
        return fail_param(why, "reason");
    }
    return FAIL_NONE;
}

static enum fail decide_look(struct store_tx *tx, struct audit *audit,
                             const struct review_decide *d, const struct review_item *item,
                             int64_t now, struct review_item_decided *out, struct fault *why)
{
    enum fail f = check_look(d, item, why);
    f = f == FAIL_NONE ? compare(store_tx_conn(tx), d, &out->agrees, why) : f;
    f = f == FAIL_NONE ? record(tx, audit, d, item, out->agrees, &out->first.leaf, why) : f;
    f = f == FAIL_NONE ? drop_working(tx, &d->id, d->who->name, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_item SET waiting = 0, holder = CASE kind WHEN 'practice' "
                           "THEN holder ELSE '' END, lease_until = 0, decided_by = ?2, action = "
                           "?3, agrees = ?4, decided_at = ?5 WHERE id = ?1 AND waiting = 1");
    store_bind_int(s, 1, item->no);
    store_bind_text(s, 2, d->who->name);
    store_bind_text(s, 3, review_action_name(d->action));
    store_bind_int(s, 4, out->agrees);
    store_bind_int(s, 5, now);
    return store_run(s, why);
}

enum fail review_item_decide(struct store_tx *tx, struct audit *audit,
                             const struct review_decide *given, struct review_item_decided *out,
                             struct fault *why)
{
    struct review_decide d = *given;
    struct review_item item;
    d.now = d.now != 0 ? d.now : clock_now_us();
    memset(out, 0, sizeof(*out));
    enum fail f = review_item_get(store_tx_conn(tx), &d.id, d.who, d.now, &item, why);
    if (f != FAIL_NONE) {
        return f;
    }
    out->kind = item.kind;
    if (item.kind != REVIEW_KIND_FIRST) {
        return decide_look(tx, audit, &d, &item, d.now, out, why);
    }
    if (item.forced && item.waiting) {
        f = settle_forced(store_tx_conn(tx), &d, why);
    }
    return f == FAIL_NONE ? review_decide(tx, audit, &d, &out->first, why) : f;
}
