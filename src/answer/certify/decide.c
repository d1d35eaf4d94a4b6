/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decide: what a person made of a task becomes outcomes: the pilot's looks, the watch of a
 * certified rung, the confirmation of a provisional one.
 *
 * Owns nothing that outlives a call. Threads: inside the review's write.
 */
#include "answer/certify/certify_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"

struct outcome {
    char field[CERTIFY_NAME_SIZE];
    char rung[16];
    enum certify_said_kind kind;
    int64_t at;
    bool right;
};

struct deciding {
    struct store_tx *tx;
    struct audit *audit;
    const struct certify_review *review;
    struct certify_events *events;
};

static void tell(struct deciding *d, enum certify_event_kind kind, const struct outcome *o,
                 const char *text)
{
    if (d->events->n < COUNT_OF(d->events->list)) {
        struct certify_event *e = &d->events->list[d->events->n++];
        e->kind = kind;
        text_copy(e->field, sizeof(e->field), o->field);
        text_copy(e->rung, sizeof(e->rung), o->rung);
        text_copy(e->text, sizeof(e->text), text);
    }
}

/* ---- the pilot ---- */

/* A look: the test on all outcomes so far, with the delta planned for it. */
static enum fail look(struct deciding *d, const struct outcome *o, struct certify_track *t,
                      struct fault *why)
{
    const struct certify_review *review = d->review;
    struct store_conn *conn = store_tx_conn(d->tx);
    struct certify_certificate c = {.class = CERTIFY_REVIEWED, .target = t->target};
    struct certify_result r = {0};
    struct certify_pilot p;
    struct certify_rule rule = {.target = t->target,
                                .delta = certify_look_delta((size_t)t->looks, t->delta)};
    text_copy(c.workflow, sizeof(c.workflow), review->workflow);
    text_copy(c.field, sizeof(c.field), o->field);
    text_copy(c.rung, sizeof(c.rung), o->rung);
    c.delta = t->delta;
    enum fail f = certify_pilot_read(conn, review->workflow, o->field, o->rung, t->since_at, &p,
                                     why);
    if (f == FAIL_NONE) {
        certify_test(p.score, p.right, p.n, &rule, &r);
    }
    certify_pilot_done(&p);
    t->looks++;
    if (f != FAIL_NONE || !r.certified) {
        return f;
    }
    f = certify_track_releases(conn, &c, why);
    f = f != FAIL_NONE ? f
                       : certify_issue(d->tx, d->audit, &c, &r, review->actor, review->team, NULL,
                                       why);
    char text[240];
    snprintf(text, sizeof(text), "%s may now answer %s alone from %.4f on: %zu of %zu, %zu wrong",
             o->rung, o->field, r.threshold, r.accepted, r.n, r.errors);
    tell(d, CERTIFY_EVENT_ISSUED, o, text);
    return f;
}

static enum fail take_pilot(struct deciding *d, const struct outcome *o, struct fault *why)
{
    struct certify_track t;
    bool found;
    enum fail f = certify_track_read(store_tx_conn(d->tx), d->review->workflow, o->field, o->rung,
                                     NULL, &t, &found, why);
    if (f != FAIL_NONE || !found || o->at < t.since_at) {
        return f; /* said under other releases: it says nothing of these */
    }
    t.reviewed++;
    t.errors += o->right ? 0 : 1;
    if (t.looks < CERTIFY_LOOKS_MAX &&
        (size_t)t.reviewed >= certify_look_items((size_t)t.looks, t.target)) {
        f = look(d, o, &t, why);
    }
    return f != FAIL_NONE ? f
                          : certify_track_save(d->tx, d->review->workflow, o->field, o->rung, &t,
                                               why);
}

/* ---- the watch ---- */

static enum fail withdraw(struct deciding *d, const struct outcome *o,
                          struct certify_certificate *c, struct fault *why)
{
    char text[200];
    snprintf(text, sizeof(text), "%s no longer answers %s alone: %lld of %lld audited answers "
             "wrong, where %.1f %% is allowed", o->rung, o->field, (long long)c->watch.errors,
             (long long)c->watch.n, 100 * c->target);
    enum fail f = certify_end(d->tx, d->audit, c, CERTIFY_WITHDRAWN, text, d->review->actor,
                              d->review->team, why);
    f = f != FAIL_NONE ? f : certify_restart(d->tx, c, why);
    tell(d, CERTIFY_EVENT_WITHDRAWN, o, text);
    return f;
}

/* Out-of-fold scores and old labels are believed for good when the sample itself would do. */
static enum fail confirm(struct deciding *d, const struct outcome *o,
                         struct certify_certificate *c, struct fault *why)
{
    size_t at = (size_t)c->looks;
    if (c->class == CERTIFY_REVIEWED || at >= CERTIFY_LOOKS_MAX ||
        (size_t)c->audited < certify_look_items(at, c->target)) {
        return FAIL_NONE;
    }
    c->looks++;
    if (certify_binomial((size_t)c->audit_errors, (size_t)c->audited, c->target) >
        certify_look_delta(at, c->delta)) {
        return FAIL_NONE;
    }
    char text[200];
    snprintf(text, sizeof(text), "%s on %s is confirmed: %lld of %lld audited answers wrong",
             o->rung, o->field, (long long)c->audit_errors, (long long)c->audited);
    c->class = CERTIFY_REVIEWED;
    c->confirmed_at = clock_now_us();
    tell(d, CERTIFY_EVENT_CONFIRMED, o, text);
    return certify_record(d->tx, d->audit, c, "confirmed", text, d->review->actor,
                          d->review->team, NULL, why);
}

static enum fail take_drawn(struct deciding *d, const struct outcome *o, struct fault *why)
{
    struct certify_certificate c;
    bool found;
    enum fail f = certify_live(store_tx_conn(d->tx), d->review->workflow, o->field, o->rung, &c,
                               &found, why);
    if (f != FAIL_NONE || !found || o->at < c.issued_at) {
        return f; /* of a certificate that is over */
    }
    c.audited++;
    c.audit_errors += o->right ? 0 : 1;
    if (o->at < c.season_at) {
        return certify_save_watch(d->tx, &c, why);
    }
    if (certify_watch_feed(&c.watch, !o->right)) {
        f = certify_save_watch(d->tx, &c, why);
        return f != FAIL_NONE ? f : withdraw(d, o, &c, why);
    }
    f = confirm(d, o, &c, why);
    return f != FAIL_NONE ? f : certify_save_watch(d->tx, &c, why);
}

/* ---- one decision ---- */

static const char *decided_value(const struct certify_review *review, const char *field)
{
    for (size_t i = 0; i < review->fields_len; i++) {
        if (strcmp(review->fields[i].field, field) == 0) {
            return review->fields[i].value;
        }
    }
    return NULL;
}

/* What waits for a decision on this task, with its outcome. */
static enum fail read_outcomes(struct deciding *d, struct outcome *out, size_t *n,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(d->tx), "SELECT field, rung, kind, at, value FROM certify_said "
                              "WHERE task = ?1 AND value IS NOT NULL");
    store_bind_id(s, 1, &d->review->task);
    bool row;
    enum fail f;
    *n = 0;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < CERTIFY_SAID_MAX) {
        struct outcome *o = &out[*n];
        size_t len = 0;
        const void *said = store_col_blob(s, 4, &len);
        const char *value = decided_value(d->review, store_col_text(s, 0));
        uint8_t hash[CERTIFY_HASH_BYTES];
        if (value == NULL && !d->review->rejected) {
            continue;
        }
        text_copy(o->field, sizeof(o->field), store_col_text(s, 0));
        text_copy(o->rung, sizeof(o->rung), store_col_text(s, 1));
        o->kind = (enum certify_said_kind)store_col_int(s, 2);
        o->at = store_col_int(s, 3);
        o->right = false;
        if (!d->review->rejected) {
            certify_hash_value(&d->review->task, o->field, value, hash);
            o->right = len == sizeof(hash) && memcmp(said, hash, len) == 0;
        }
        (*n)++;
    }
    return f;
}

static enum fail save_outcome(struct deciding *d, const struct outcome *o, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(d->tx), "UPDATE certify_said SET is_right = ?4, value = NULL, "
                              "decided_at = ?5 WHERE task = ?1 AND field = ?2 AND rung = ?3");
    store_bind_id(s, 1, &d->review->task);
    store_bind_text(s, 2, o->field);
    store_bind_text(s, 3, o->rung);
    store_bind_int(s, 4, o->right);
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

enum fail certify_review(struct store_tx *tx, struct audit *audit,
                         const struct certify_review *review, struct certify_events *events,
                         struct fault *why)
{
    struct deciding d = {tx, audit, review, events};
    struct outcome *all = mem_alloc_array(CERTIFY_SAID_MAX, sizeof(*all));
    size_t n = 0;
    events->n = 0;
    enum fail f = read_outcomes(&d, all, &n, why);
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = save_outcome(&d, &all[i], why);
        if (f == FAIL_NONE) {
            f = all[i].kind == SAID_DRAWN ? take_drawn(&d, &all[i], why)
                                          : take_pilot(&d, &all[i], why);
        }
    }
    mem_free(all);
    return f;
}
