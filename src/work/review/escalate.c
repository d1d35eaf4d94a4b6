/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escalations: to a named target, until a deadline, and who is next. What nobody took in time moves
 * on by itself, and that is recorded.
 *
 * Owns nothing beside what item.c does. Threads: inside the write. Limits: REVIEW_CHAIN_MAX
 * targets, SWEEP_MAX moves a call.
 */
#include <stdio.h>
#include <string.h>

#include "base/json/json.h"
#include "work/review/review_internal.h"

#define SWEEP_MAX 200
#define URGENCY_ESCALATED 4
#define WITHIN_S 86400

struct chain {
    struct review_target list[REVIEW_CHAIN_MAX];
    size_t n;
};

static void chain_add(struct chain *c, const char *who, int within_s)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->list[i].who, who) == 0) {
            return;
        }
    }
    if (c->n < REVIEW_CHAIN_MAX) {
        (void)text_copy(c->list[c->n].who, sizeof(c->list[c->n].who), who);
        c->list[c->n++].within_s = within_s;
    }
}

static enum fail bad_target(const char *param, struct fault *why)
{
    FAULT(why, FAIL_BAD_REQUEST,
          "\"%s\" must be a name, role:reviewer, role:approver or role:admin", param);
    return fail_param(why, param);
}

/* Whom it was for, and who was to be next, if it was escalated before. */
static enum fail read_before(struct store_conn *c, const struct id *artifact, struct chain *rest,
                             char was[REVIEW_PERSON_SIZE], struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT target, chain FROM review_item WHERE artifact = ?1 AND kind = 'first'");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, &row, why);
    was[0] = '\0';
    rest->n = 0;
    if (f == FAIL_NONE && row) {
        (void)text_copy(was, REVIEW_PERSON_SIZE, store_col_text(s, 0));
        rest->n = review_chain_read(store_col_text(s, 1), rest->list);
    }
    return f;
}

/* The whole way: whom the reviewer named, then those that were next, then the team's. */
static enum fail plan(struct store_conn *c, const struct review_head *h,
                      const struct review_decide *d, struct chain *out, struct fault *why)
{
    struct review_settings set;
    struct chain rest;
    char was[REVIEW_PERSON_SIZE];
    enum fail f = review_settings_get(c, h->team, &set, why);
    f = f == FAIL_NONE ? read_before(c, &h->id, &rest, was, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    if (d->to != NULL && !review_target_ok(d->to)) {
        return bad_target("to", why);
    }
    if (d->then != NULL && !review_target_ok(d->then)) {
        return bad_target("then", why);
    }
    if (d->within_s < 0 || d->within_s > REVIEW_WITHIN_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "\"within_s\" is 1 to %d", REVIEW_WITHIN_MAX);
        return fail_param(why, "within_s");
    }
    const struct chain *next = was[0] != '\0' ? &rest : NULL;
    size_t left = next != NULL ? next->n : set.chain_len;
    const struct review_target *list = next != NULL ? next->list : set.chain;
    if (d->to != NULL) {
        chain_add(out, d->to, d->within_s != 0 ? d->within_s : WITHIN_S);
    }
    if (d->then != NULL) {
        chain_add(out, d->then, WITHIN_S);
    }
    for (size_t i = 0; i < left; i++) {
        chain_add(out, list[i].who, list[i].within_s);
    }
    if (out->n == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "it is with the last of its targets: nobody is next");
        fail_param(why, "to");
        return fail_hint(why, "Name somebody, or decide it.");
    }
    if (d->to == NULL && d->within_s != 0) {
        out->list[0].within_s = d->within_s;
    }
    chain_add(out, "role:admin", 3 * WITHIN_S); /* there is always a next one */
    return FAIL_NONE;
}

/* by: who escalated it and is not offered it again for a role of theirs; NULL: as before. */
static enum fail hand_over(struct store_tx *tx, int64_t no, const struct chain *c, const char *by,
                           int64_t now, struct fault *why)
{
    char rest[REVIEW_CHAIN_SIZE];
    review_chain_write(c->list + 1, c->n - 1, rest, sizeof(rest));
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE review_item SET waiting = 1, holder = '', lease_until = 0, urgency = ?2, target = "
        "?3, deadline_at = ?4, chain = ?5, forced = 0, decided_by = coalesce(?6, decided_by) WHERE "
        "id = ?1");
    store_bind_int(s, 1, no);
    store_bind_int(s, 2, URGENCY_ESCALATED);
    store_bind_text(s, 3, c->list[0].who);
    store_bind_int(s, 4, now + (int64_t)c->list[0].within_s * 1000000);
    store_bind_text(s, 5, rest);
    store_bind_text(s, 6, by);
    return store_run(s, why);
}

static enum fail item_no(struct store_conn *c, const struct id *artifact, int64_t *no,
                         struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT id FROM review_item WHERE artifact = ?1 AND kind = 'first'");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, &row, why);
    *no = f == FAIL_NONE && row ? store_col_int(s, 0) : 0;
    return f;
}

/* One that never waited has no item yet. */
static enum fail make_item(struct store_tx *tx, const struct review_head *h, int64_t now,
                           int64_t *no, struct fault *why)
{
    struct review_artifact a = {.id = h->id, .team = h->team, .workflow = h->workflow};
    enum fail f = item_no(store_tx_conn(tx), &h->id, no, why);
    if (f != FAIL_NONE || *no != 0) {
        return f;
    }
    f = review_item_add(tx, &a, now, why);
    return f == FAIL_NONE ? item_no(store_tx_conn(tx), &h->id, no, why) : f;
}

enum fail review_item_escalate(struct store_tx *tx, const struct review_head *h,
                               const struct review_decide *d, int64_t now, struct fault *why)
{
    struct chain c = {.n = 0};
    int64_t no;
    enum fail f = plan(store_tx_conn(tx), h, d, &c, why);
    f = f == FAIL_NONE ? make_item(tx, h, now, &no, why) : f;
    return f == FAIL_NONE ? hand_over(tx, no, &c, d->who->name, now, why) : f;
}

/* ---- by themselves ---- */

struct late {
    int64_t no;
    struct id artifact;
    char team[KEYRING_NAME_SIZE], target[REVIEW_PERSON_SIZE];
    struct chain rest;
};

static enum fail find_late(struct store_conn *c, int64_t now, struct late *list, size_t *n,
                           struct fault *why)
{
    bool row;
    enum fail f;
    *n = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT id, artifact, team, target, chain FROM review_item WHERE deadline_at > 0 AND "
           "deadline_at <= ?1 AND waiting = 1 ORDER BY deadline_at, id LIMIT ?2");
    store_bind_int(s, 1, now);
    store_bind_int(s, 2, SWEEP_MAX);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < SWEEP_MAX) {
        struct late *l = &list[*n];
        l->no = store_col_int(s, 0);
        *n += store_col_id(s, 1, &l->artifact);
        (void)text_copy(l->team, sizeof(l->team), store_col_text(s, 2));
        (void)text_copy(l->target, sizeof(l->target), store_col_text(s, 3));
        l->rest.n = review_chain_read(store_col_text(s, 4), l->rest.list);
    }
    return f;
}

static enum fail record_late(struct store_tx *tx, struct audit *audit, const struct late *l,
                             struct fault *why)
{
    char shown[TEXT_ID_SIZE];
    struct buf body;
    struct jn_writer w;
    (void)text_id_show(&l->artifact, "art", shown);
    buf_init(&body, 4096);
    jn_begin(&w, &body, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "artifact", shown);
    jn_kv_str(&w, "from", l->target);
    jn_kv_str(&w, "to", l->rest.n > 0 ? l->rest.list[0].who : NULL);
    jn_object_end(&w);
    struct audit_leaf leaf = {.kind = AUDIT_KIND_REVIEWED, .actor = "system", .team = l->team,
                              .task = shown, .rung = "person",
                              .verdict = l->rest.n > 0 ? "escalation moved on" : "escalation late",
                              .output = body.data, .output_len = body.len};
    enum fail f = audit_append(tx, audit, &leaf, NULL, NULL, why);
    buf_done(&body);
    return f;
}

static enum fail stay(struct store_tx *tx, int64_t no, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE review_item SET deadline_at = 0 WHERE id = ?1");
    store_bind_int(s, 1, no);
    return store_run(s, why);
}

enum fail review_sweep(struct store_tx *tx, struct audit *audit, int64_t now, int64_t *moved,
                       struct fault *why)
{
    size_t n;
    struct late *list = mem_alloc_array(SWEEP_MAX, sizeof(*list));
    enum fail f = find_late(store_tx_conn(tx), now, list, &n, why);
    *moved = 0;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = record_late(tx, audit, &list[i], why);
        if (f == FAIL_NONE) {
            f = list[i].rest.n > 0 ? hand_over(tx, list[i].no, &list[i].rest, NULL, now, why)
                                   : stay(tx, list[i].no, why);
            ++*moved;
        }
    }
    mem_free(list);
    return f;
}

enum fail review_is_late(struct store_conn *conn, int64_t now, bool *late, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT 1 FROM review_item WHERE deadline_at > 0 AND deadline_at <= ?1 AND waiting = "
              "1 LIMIT 1");
    store_bind_int(s, 1, now);
    return store_step(s, late, why);
}
