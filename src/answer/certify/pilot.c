/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pilot: the outcomes of a rung that has no certificate yet, and what is still needed for one.
 *
 * Owns nothing that outlives a call. Threads: the connection's.
 */
#include "answer/certify/certify_internal.h"

#include <math.h>
#include <string.h>

#include "base/clock/clock.h"

#define VOLUME_DAYS 7

void certify_pilot_done(struct certify_pilot *p)
{
    mem_free(p->score);
    mem_free(p->right);
}

enum fail certify_pilot_read(struct store_conn *conn, const char *workflow, const char *field,
                             const char *rung, int64_t since_at, struct certify_pilot *out,
                             struct fault *why)
{
    size_t room = 1024;
    *out = (struct certify_pilot){mem_alloc_array(room, sizeof(double)),
                                  mem_alloc_array(room, sizeof(bool)), 0};
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT score, is_right FROM certify_said WHERE workflow = ?1 AND field = ?2 AND "
              "rung = ?3 AND at >= ?4 AND kind = 1 AND is_right IS NOT NULL "
              "ORDER BY at DESC LIMIT ?5");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    store_bind_int(s, 4, since_at);
    store_bind_int(s, 5, CERTIFY_ITEMS_MAX);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (out->n == room) {
            room *= 2;
            out->score = mem_realloc(out->score, room * sizeof(double));
            out->right = mem_realloc(out->right, room * sizeof(bool));
        }
        out->score[out->n] = store_col_real(s, 0);
        out->right[out->n++] = store_col_int(s, 1) != 0;
    }
    return f;
}

/* Outcomes decided in the last week, or since the pilot began, a day. */
static enum fail decided_per_day(struct store_conn *conn, const struct certify_need *need,
                                 int64_t since_at, double *out, struct fault *why)
{
    int64_t now = clock_now_us();
    int64_t week = now - VOLUME_DAYS * CERTIFY_DAY_US;
    int64_t from = since_at > week ? since_at : week;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*) FROM certify_said WHERE workflow = ?1 AND field = ?2 AND rung = ?3 "
              "AND at >= ?4 AND kind = 1 AND decided_at >= ?5");
    store_bind_text(s, 1, need->workflow);
    store_bind_text(s, 2, need->field);
    store_bind_text(s, 3, need->rung);
    store_bind_int(s, 4, since_at);
    store_bind_int(s, 5, from);
    bool row;
    enum fail f = store_step(s, &row, why);
    double days = (double)(now - from) / (double)CERTIFY_DAY_US;
    days = days < 1.0 / 24 ? 1.0 / 24 : days; /* of the first hour nothing follows */
    *out = f == FAIL_NONE && row ? (double)store_col_int(s, 0) / days : 0;
    return f;
}

static enum fail fill_need(struct store_conn *conn, struct certify_need *need,
                           const struct certify_track *t, struct fault *why)
{
    struct certify_pilot p;
    enum fail f = certify_pilot_read(conn, need->workflow, need->field, need->rung, t->since_at,
                                     &p, why);
    if (f == FAIL_NONE) {
        f = decided_per_day(conn, need, t->since_at, &need->per_day, why);
    }
    if (f == FAIL_NONE) {
        f = certify_volume(conn, need->workflow, need->field, need->rung, t->since_at, false,
                           &need->said_per_day, why);
    }
    if (f == FAIL_NONE) {
        size_t look = (size_t)t->looks;
        need->next_look = look < CERTIFY_LOOKS_MAX
                              ? (int64_t)certify_look_items(look, t->target) : 0;
        need->expected = (int64_t)certify_expected(p.score, p.right, p.n, look, t->target,
                                                   t->delta);
        double left = (double)(need->expected - need->reviewed);
        bool known = need->expected > 0 && need->said_per_day > 0;
        need->days = known ? ceil((left < 0 ? 0 : left) / need->said_per_day) : INFINITY;
    }
    certify_pilot_done(&p);
    return f;
}

enum fail certify_needs(struct store_conn *conn, const char *workflow, certify_need_fn fn,
                        void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT t.workflow, t.field, t.rung, t.target, t.delta, t.since_at, t.reviewed, "
              "t.errors, t.looks FROM certify_track t WHERE (?1 IS NULL OR t.workflow = ?1) AND "
              "NOT EXISTS (SELECT 1 FROM certificate c WHERE c.workflow = t.workflow AND "
              "c.field = t.field AND c.rung = t.rung AND c.state = 0 AND c.model = t.model AND "
              "c.prompt = t.prompt AND c.head = t.head AND c.target = t.target) "
              "ORDER BY t.workflow, t.field, t.rung");
    store_bind_text(s, 1, workflow);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct certify_need need = {.target = store_col_real(s, 3),
                                    .reviewed = store_col_int(s, 6),
                                    .errors = store_col_int(s, 7)};
        struct certify_track t = {.target = need.target, .delta = store_col_real(s, 4),
                                  .since_at = store_col_int(s, 5), .looks = store_col_int(s, 8)};
        text_copy(need.workflow, sizeof(need.workflow), store_col_text(s, 0));
        text_copy(need.field, sizeof(need.field), store_col_text(s, 1));
        text_copy(need.rung, sizeof(need.rung), store_col_text(s, 2));
        f = fill_need(conn, &need, &t, why);
        if (f != FAIL_NONE || !fn(arg, &need)) {
            break;
        }
    }
    return f;
}
