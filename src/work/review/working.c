/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Working copies: what a reviewer has typed so far, kept on the server every second, so that a lost
 * lease, a closed lid or a killed server loses none of it. And a new proposal after a hint.
 *
 * Owns: table review_working. Threads: as review.h says. Limits: REVIEW_TEXT_MAX a text.
 */
#include <string.h>

#include "base/clock/clock.h"
#include "work/review/review_internal.h"

static enum fail check_copy(const struct review_working *w, struct fault *why)
{
    size_t draft = w->draft != NULL ? strlen(w->draft) : 0, fields = strlen(w->fields);
    if (draft > REVIEW_TEXT_MAX || fields > REVIEW_TEXT_MAX) {
        FAULT(why, FAIL_TOO_LARGE, "the working copy is over %d KiB", REVIEW_TEXT_MAX / 1024);
        return fail_param(why, draft > REVIEW_TEXT_MAX ? "draft" : "fields");
    }
    if (!text_utf8_is_valid(w->fields, fields) ||
        (draft > 0 && !text_utf8_is_valid(w->draft, draft))) {
        return FAULT(why, FAIL_BAD_REQUEST, "the working copy is not valid UTF-8");
    }
    return FAIL_NONE;
}

enum fail review_save(struct store_tx *tx, const struct id *artifact, const struct principal *who,
                      const struct review_working *w, int64_t now, bool *held, struct fault *why)
{
    struct review_item item;
    *held = false;
    enum fail f = check_copy(w, why);
    f = f == FAIL_NONE ? review_item_get(store_tx_conn(tx), artifact, who, now, &item, why) : f;
    if (f == FAIL_NONE && !item.waiting) {
        f = FAULT(why, FAIL_CONFLICT, "it was decided meanwhile");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "INSERT INTO review_working (artifact, person, version, draft, fields, chosen, "
            "saved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (artifact, person) DO "
            "UPDATE SET version = ?3, draft = ?4, fields = ?5, chosen = ?6, saved_at = ?7");
        store_bind_id(s, 1, artifact);
        store_bind_text(s, 2, who->name);
        store_bind_int(s, 3, w->version);
        store_bind_text(s, 4, w->draft);
        store_bind_text(s, 5, w->fields);
        store_bind_int(s, 6, w->chosen);
        store_bind_int(s, 7, now);
        f = store_run(s, why);
    }
    *held = f == FAIL_NONE && strcmp(item.holder, who->name) == 0;
    return *held ? review_item_hold(tx, &item, who, now, why) : f;
}

enum fail review_saved(struct store_conn *conn, struct arena *arena, const struct id *artifact,
                       const struct principal *who, bool *found, struct review_working *out,
                       struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT version, draft, fields, chosen, saved_at FROM review_working "
                          "WHERE artifact = ?1 AND person = ?2");
    store_bind_id(s, 1, artifact);
    store_bind_text(s, 2, who->name);
    enum fail f = store_step(s, found, why);
    if (f != FAIL_NONE || !*found) {
        return f;
    }
    *out = (struct review_working){
        .version = store_col_int(s, 0),
        .draft = store_col_is_null(s, 1) ? NULL : arena_dup_str(arena, store_col_text(s, 1)),
        .fields = arena_dup_str(arena, store_col_text(s, 2)),
        .chosen = store_col_int(s, 3),
        .saved_at = store_col_int(s, 4)};
    return FAIL_NONE;
}

/* ---- a new proposal ---- */

static enum fail check_proposable(struct store_conn *c, const struct review_head *h,
                                  int64_t version, const struct principal *who, int64_t now,
                                  struct fault *why)
{
    if (h->state != REVIEW_STATE_IN_REVIEW && h->state != REVIEW_STATE_DRAFT &&
        h->state != REVIEW_STATE_ESCALATED) {
        return FAULT(why, FAIL_CONFLICT, "it was decided meanwhile");
    }
    if (h->version != version) {
        return FAULT(why, FAIL_CONFLICT, "it changed meanwhile");
    }
    if (h->opened_at != 0 && strcmp(h->opened_by, who->name) != 0) {
        return FAULT(why, FAIL_CONFLICT, "somebody else opened it");
    }
    return review_item_admit(c, &h->id, who, now, why);
}

static enum fail put_proposals(struct store_tx *tx, const struct review_artifact *a,
                               struct fault *why)
{
    enum fail f = FAIL_NONE;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE artifact_field SET value = ?3, confidence = ?4, rung = ?5 "
                           "WHERE artifact = ?1 AND name = ?2");
    for (size_t i = 0; i < a->fields_len && f == FAIL_NONE; i++) {
        const struct review_field *field = &a->fields[i];
        if (strlen(field->value) > REVIEW_TEXT_MAX) {
            return FAULT(why, FAIL_TOO_LARGE, "a field is over %d KiB", REVIEW_TEXT_MAX / 1024);
        }
        store_bind_id(s, 1, &a->id);
        store_bind_text(s, 2, field->name);
        store_bind_text(s, 3, field->value);
        store_bind_real(s, 4, field->confidence);
        store_bind_text(s, 5, field->rung);
        f = store_run(s, why);
    }
    return f;
}

enum fail review_propose(struct store_tx *tx, const struct review_artifact *a, int64_t version,
                         const struct principal *who, int64_t now, struct fault *why)
{
    struct review_head h;
    enum fail f = review_head_read(store_tx_conn(tx), &a->id, who, &h, why);
    f = f == FAIL_NONE ? check_proposable(store_tx_conn(tx), &h, version, who, now, why) : f;
    if (f == FAIL_NONE && a->draft != NULL && strlen(a->draft) > REVIEW_TEXT_MAX) {
        f = FAULT(why, FAIL_TOO_LARGE, "the draft is over %d KiB", REVIEW_TEXT_MAX / 1024);
    }
    f = f == FAIL_NONE ? put_proposals(tx, a, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE artifact SET draft = ?3, result = ?4, version = version + 1, "
                           "updated_at = ?5 WHERE id = ?1 AND version = ?2");
    store_bind_id(s, 1, &a->id);
    store_bind_int(s, 2, version);
    store_bind_text(s, 3, a->draft);
    store_bind_text(s, 4, a->result != NULL ? a->result : "{}");
    store_bind_int(s, 5, now);
    f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) != 1) {
        f = FAULT(why, FAIL_CONFLICT, "it changed meanwhile");
    }
    return f;
}
