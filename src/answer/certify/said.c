/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Said: what each rung proposed, under which track, how much a day, and the draw for audit.
 *
 * Owns tables certify_said, certify_track. Threads: inside writes.
 */
#include "answer/certify/certify_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"

#define RATE_EVERY_US ((int64_t)3600 * 1000000)
#define VOLUME_DAYS 7
#define KEPT_DAYS 400 /* of what was said */

/* Equal or not is all that is asked of a value; the task's id keeps equal ones apart. */
void certify_hash_value(const struct id *task, const char *field, const char *value,
                       uint8_t out[CERTIFY_HASH_BYTES])
{
    struct buf b;
    uint8_t hash[32];
    buf_init(&b, (size_t)16 << 20);
    buf_add(&b, task->bytes, sizeof(task->bytes));
    buf_add(&b, field, strlen(field) + 1);
    buf_add_str(&b, value);
    text_sha256(b.data, b.len, hash);
    memcpy(out, hash, CERTIFY_HASH_BYTES);
    buf_done(&b);
}

/* ---- the track ---- */

enum fail certify_track_read(struct store_conn *conn, const char *workflow, const char *field,
                             const char *rung, const struct certify_said *now,
                             struct certify_track *t, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT model, prompt, head, target, delta, since_at, reviewed, errors, looks "
              "FROM certify_track WHERE workflow = ?1 AND field = ?2 AND rung = ?3");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    enum fail f = store_step(s, found, why);
    if (f != FAIL_NONE || !*found) {
        return f;
    }
    *t = (struct certify_track){.target = store_col_real(s, 3), .delta = store_col_real(s, 4),
                        .since_at = store_col_int(s, 5), .reviewed = store_col_int(s, 6),
                        .errors = store_col_int(s, 7), .looks = store_col_int(s, 8)};
    t->same = now != NULL && strcmp(store_col_text(s, 0), now->releases.model) == 0 &&
              strcmp(store_col_text(s, 1), now->releases.prompt) == 0 &&
              strcmp(store_col_text(s, 2), now->releases.head) == 0 &&
              fabs(t->target - now->target) < 1e-9 && fabs(t->delta - now->delta) < 1e-9;
    return f;
}

enum fail certify_track_releases(struct store_conn *conn, struct certify_certificate *c,
                                 struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT model, prompt, head FROM certify_track WHERE workflow = ?1 AND "
                          "field = ?2 AND rung = ?3");
    store_bind_text(s, 1, c->workflow);
    store_bind_text(s, 2, c->field);
    store_bind_text(s, 3, c->rung);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        text_copy(c->model, sizeof(c->model), store_col_text(s, 0));
        text_copy(c->prompt, sizeof(c->prompt), store_col_text(s, 1));
        text_copy(c->head, sizeof(c->head), store_col_text(s, 2));
    }
    return f;
}

/* Under these releases and this target it has a track; another one's is over. */
static enum fail keep_track(struct store_tx *tx, const char *workflow,
                            const struct certify_said *said, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct certify_track t;
    bool found;
    enum fail f =
        certify_track_read(conn, workflow, said->field, said->rung, said, &t, &found, why);
    if (f != FAIL_NONE || (found && t.same)) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "INSERT OR REPLACE INTO certify_track (workflow, field, rung, model, prompt, head, "
              "target, delta, since_at, reviewed, errors, looks) "
              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0)");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, said->field);
    store_bind_text(s, 3, said->rung);
    store_bind_text(s, 4, said->releases.model);
    store_bind_text(s, 5, said->releases.prompt);
    store_bind_text(s, 6, said->releases.head);
    store_bind_real(s, 7, said->target);
    store_bind_real(s, 8, said->delta);
    store_bind_int(s, 9, clock_now_us());
    return store_run(s, why);
}

enum fail certify_track_save(struct store_tx *tx, const char *workflow, const char *field,
                            const char *rung, const struct certify_track *t, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE certify_track SET since_at = ?4, reviewed = ?5, "
                                       "errors = ?6, looks = ?7 "
                                       "WHERE workflow = ?1 AND field = ?2 AND rung = ?3");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    store_bind_int(s, 4, t->since_at);
    store_bind_int(s, 5, t->reviewed);
    store_bind_int(s, 6, t->errors);
    store_bind_int(s, 7, t->looks);
    return store_run(s, why);
}

enum fail certify_restart(struct store_tx *tx, const struct certify_certificate *c,
                          struct fault *why)
{
    struct certify_track t = {.since_at = clock_now_us()};
    return certify_track_save(tx, c->workflow, c->field, c->rung, &t, why);
}

/* ---- the draw ---- */

/* How many of these kinds since then. */
static enum fail count_said(struct store_conn *conn, const char *workflow, const char *field,
                            const char *rung, int64_t since_at, bool answered, int64_t *n,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*) FROM certify_said WHERE workflow = ?1 AND field = ?2 AND rung = ?3 "
              "AND at > ?4 AND (?5 = 0 OR kind = 2 OR kind = 3)");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    store_bind_int(s, 4, since_at);
    store_bind_int(s, 5, answered);
    bool row;
    enum fail f = store_step(s, &row, why);
    *n = f == FAIL_NONE && row ? store_col_int(s, 0) : 0;
    return f;
}

static enum fail first_said(struct store_conn *conn, const char *workflow, const char *field,
                            const char *rung, int64_t *at, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT min(at) FROM certify_said WHERE workflow = ?1 AND field = ?2 "
                          "AND rung = ?3");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    bool row;
    enum fail f = store_step(s, &row, why);
    *at = f == FAIL_NONE && row ? store_col_int(s, 0) : 0;
    return f;
}

/* A day's number of proposals, or of answers given alone, over the last week or since `since_at`;
   0: not known yet. */
enum fail certify_volume(struct store_conn *conn, const char *workflow, const char *field,
                        const char *rung, int64_t since_at, bool answered, double *per_day,
                        struct fault *why)
{
    int64_t now = clock_now_us();
    int64_t week = now - VOLUME_DAYS * CERTIFY_DAY_US;
    int64_t from = since_at > week ? since_at : week;
    int64_t n = 0;
    *per_day = 0;
    if (now - from < RATE_EVERY_US) {
        return FAIL_NONE;
    }
    enum fail f = count_said(conn, workflow, field, rung, from, answered, &n, why);
    *per_day = (double)n * (double)CERTIFY_DAY_US / (double)(now - from);
    return f;
}

/* The rate from the volume of late; while there is none to go by, from what the rung said before
   the certificate, and failing that, the most that is drawn. */
static enum fail set_rate(struct store_tx *tx, struct certify_certificate *c, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct certify_plan plan;
    enum fail f =
        certify_volume(conn, c->workflow, c->field, c->rung, c->issued_at, true, &c->per_day, why);
    if (f == FAIL_NONE && !(c->per_day > 0)) {
        int64_t first = 0;
        f = first_said(conn, c->workflow, c->field, c->rung, &first, why);
        if (f == FAIL_NONE && first > 0) {
            f = certify_volume(conn, c->workflow, c->field, c->rung, first, false, &c->per_day,
                               why);
            c->per_day *= c->coverage;
        }
    }
    c->rate_at = clock_now_us();
    certify_audit_plan(c->target, CERTIFY_WATCH_DELTA, CERTIFY_FIND_POWER, CERTIFY_FIND_DAYS,
                       CERTIFY_AUDIT_MOST, c->per_day, &plan);
    bool known = c->per_day > 0;
    c->audit_rate = known ? plan.rate : CERTIFY_AUDIT_MOST;
    c->find_days = known ? plan.days : 0;
    /* What is not live yet goes live evenly over the rest of the season. */
    double over = (double)(c->rate_at - c->season_at) / (double)CERTIFY_DAY_US;
    double left = plan.planned * (1 - over / CERTIFY_SEASON_DAYS);
    c->watch.step = c->watch.cash / (left < 1 ? 1 : left);
    return f;
}

enum fail certify_season(struct store_tx *tx, struct certify_certificate *c, struct fault *why)
{
    certify_watch_begin(&c->watch, c->target, CERTIFY_WATCH_DELTA, 1);
    c->season_at = clock_now_us();
    enum fail f = set_rate(tx, c, why);
    return f != FAIL_NONE ? f : certify_save_watch(tx, c, why);
}

static enum fail forget_old(struct store_tx *tx, const struct certify_certificate *c,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM certify_said WHERE workflow = ?1 AND "
                                       "field = ?2 AND rung = ?3 AND at < ?4");
    store_bind_text(s, 1, c->workflow);
    store_bind_text(s, 2, c->field);
    store_bind_text(s, 3, c->rung);
    store_bind_int(s, 4, clock_now_us() - KEPT_DAYS * CERTIFY_DAY_US);
    return store_run(s, why);
}

/* Once an hour the volume is looked at again, and once a season the watch begins anew. */
static enum fail refresh(struct store_tx *tx, struct certify_certificate *c, struct fault *why)
{
    int64_t now = clock_now_us();
    if (now - c->season_at > CERTIFY_SEASON_DAYS * CERTIFY_DAY_US) {
        enum fail f = forget_old(tx, c, why);
        return f != FAIL_NONE ? f : certify_season(tx, c, why);
    }
    if (now - c->rate_at < RATE_EVERY_US) {
        return FAIL_NONE;
    }
    enum fail f = set_rate(tx, c, why);
    return f != FAIL_NONE ? f : certify_save_watch(tx, c, why);
}

/* ---- noting ---- */

static enum fail insert_said(struct store_tx *tx, const struct certify_note *note,
                             const struct certify_said *said, enum certify_said_kind kind,
                             struct fault *why)
{
    uint8_t hash[CERTIFY_HASH_BYTES];
    bool decided_later = kind == SAID_PILOT || kind == SAID_DRAWN;
    certify_hash_value(&note->task, said->field, said->value, hash);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO certify_said (task, field, rung, workflow, score, value, "
                           "kind, at, is_right, decided_at) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, 0)");
    store_bind_id(s, 1, &note->task);
    store_bind_text(s, 2, said->field);
    store_bind_text(s, 3, said->rung);
    store_bind_text(s, 4, note->workflow);
    store_bind_real(s, 5, isfinite(said->score) ? said->score : -1);
    store_bind_blob(s, 6, decided_later ? hash : NULL, sizeof(hash));
    store_bind_int(s, 7, kind);
    store_bind_int(s, 8, clock_now_us());
    return store_run(s, why);
}

/* What was said of this field where it was first answered, and the certificate that holds it now.
   rung has room for certify_said's. */
static enum fail find_source(struct store_conn *conn, const char *workflow,
                             struct certify_said *said, char rung[16],
                             struct certify_certificate *c, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT rung, score FROM certify_said WHERE task = ?1 AND field = ?2 AND "
              "workflow = ?3 AND (kind = 2 OR kind = 3) LIMIT 1");
    store_bind_id(s, 1, said->reused_from);
    store_bind_text(s, 2, said->field);
    store_bind_text(s, 3, workflow);
    enum fail f = store_step(s, found, why);
    if (f != FAIL_NONE || !*found) {
        return f;
    }
    text_copy(rung, 16, store_col_text(s, 0));
    said->rung = rung;
    said->score = store_col_real(s, 1);
    return certify_live(conn, workflow, said->field, rung, c, found, why);
}

struct noting {
    struct certify_said said;
    enum certify_said_kind kind; /* 0: nothing to be kept */
    char rung[16];
};

static enum fail note_one(struct store_tx *tx, const struct certify_note *note, struct noting *n,
                          bool *drawn, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct certify_said *said = &n->said;
    struct certify_certificate c;
    bool found = false;
    enum fail f;
    if (said->reused_from != NULL) {
        f = find_source(conn, note->workflow, said, n->rung, &c, &found, why);
        n->kind = f == FAIL_NONE && found ? SAID_ANSWERED : 0;
    } else {
        f = keep_track(tx, note->workflow, said, why);
        f = f != FAIL_NONE ? f
                           : certify_find(conn, note->workflow, said->field, said->rung,
                                          &said->releases, said->target, &c, &found, why);
        n->kind = said->answered ? SAID_ANSWERED : found ? SAID_BELOW : SAID_PILOT;
    }
    if (f == FAIL_NONE && found && n->kind == SAID_ANSWERED) {
        f = refresh(tx, &c, why);
        *drawn = *drawn || certify_is_drawn(&note->task, c.audit_rate);
    }
    return f;
}

enum fail certify_note(struct store_tx *tx, const struct certify_note *note, bool *drawn,
                       struct fault *why)
{
    size_t n = note->reviewable ? note->said_len : 0;
    enum fail f = FAIL_NONE;
    *drawn = false;
    ASSERT(n <= CERTIFY_SAID_MAX);
    struct noting *all = n > 0 ? mem_alloc_array(n, sizeof(*all)) : NULL;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        all[i].said = note->said[i];
        f = note_one(tx, note, &all[i], drawn, why);
    }
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        /* Whoever looks at one drawn field looks at all: the draw knows nothing of any answer. */
        all[i].kind = all[i].kind == SAID_ANSWERED && *drawn ? SAID_DRAWN : all[i].kind;
        f = all[i].kind == 0 ? FAIL_NONE
                             : insert_said(tx, note, &all[i].said, all[i].kind, why);
    }
    mem_free(all);
    return f;
}

enum fail certify_forget(struct store_tx *tx, const struct id *task, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE certify_said SET value = NULL WHERE task = ?1");
    store_bind_id(s, 1, task);
    return store_run(s, why);
}
