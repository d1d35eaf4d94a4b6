/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates in the store: issued, found, listed, ended; each change with its leaf.
 *
 * Owns table certificate. Threads: with a store_tx inside a write, else on the reader's thread.
 */
#include "answer/certify/certify_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"

static const char *const class_names[CERTIFY_CLASS_COUNT] = {"none", "history", "provisional",
                                                             "reviewed"};
static const char *const state_names[CERTIFY_STATE_COUNT] = {"live", "withdrawn", "voided",
                                                             "replaced"};

/* In the order of the climb. */
static const char *const rung_order[] = {"reuse", "rule", "learned", "light", "heavy", "hosted"};

const char *certify_class_name(enum certify_class c)
{
    return c < CERTIFY_CLASS_COUNT ? class_names[c] : "none";
}

const char *certify_state_name(enum certify_state s)
{
    return s < CERTIFY_STATE_COUNT ? state_names[s] : "none";
}

/* ---- the record ---- */

static void write_body(struct buf *out, const struct certify_certificate *c, const char *detail)
{
    struct jn_writer w;
    char target[32];
    char threshold[32];
    snprintf(target, sizeof(target), "%.6f", c->target); /* canonical JSON has no reals */
    snprintf(threshold, sizeof(threshold), "%.9f", c->threshold);
    jn_begin(&w, out, true);
    jn_object_begin(&w);
    jn_kv_int(&w, "accepted", c->accepted);
    jn_kv_str(&w, "class", certify_class_name(c->class));
    jn_kv_str(&w, "detail", detail);
    jn_kv_int(&w, "errors", c->errors);
    jn_kv_str(&w, "field", c->field);
    jn_kv_int(&w, "n", c->n);
    jn_kv_str(&w, "target", target);
    jn_kv_str(&w, "threshold", threshold);
    jn_kv_str(&w, "workflow", c->workflow);
    jn_object_end(&w);
}

enum fail certify_record(struct store_tx *tx, struct audit *audit,
                         const struct certify_certificate *c, const char *verdict,
                         const char *detail, const char *actor, const char *team, int64_t *leaf,
                         struct fault *why)
{
    const char *releases[3];
    size_t n = 0;
    char shown[TEXT_ID_SIZE];
    struct buf body;
    const char *all[] = {c->model, c->prompt, c->head};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i][0] != '\0') {
            releases[n++] = all[i];
        }
    }
    buf_init(&body, 4096);
    write_body(&body, c, detail);
    struct audit_leaf l = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                           .actor = actor,
                           .team = team,
                           .task = text_id_show(&c->id, "crt", shown),
                           .releases = releases,
                           .releases_len = n,
                           .rung = c->rung,
                           .verdict = verdict,
                           .output = body.data,
                           .output_len = body.len};
    enum fail f = audit_append(tx, audit, &l, leaf, NULL, why);
    buf_done(&body);
    return f;
}

/* ---- rows ---- */

#define COLUMNS                                                                                    \
    "id, workflow, field, rung, model, prompt, head, class, state, threshold, n, accepted, "       \
    "errors, target, delta, error_upper, traffic_upper, issued_at, confirmed_at, ended_at, "       \
    "detail, record, cash, live, step, seen, wrong, draws, draw_errors, season_at, audit_rate, "   \
    "per_day, find_days, rate_at, audited, audit_errors, looks "

static void read_row(struct store_stmt *s, struct certify_certificate *c)
{
    memset(c, 0, sizeof(*c));
    store_col_id(s, 0, &c->id);
    text_copy(c->workflow, sizeof(c->workflow), store_col_text(s, 1));
    text_copy(c->field, sizeof(c->field), store_col_text(s, 2));
    text_copy(c->rung, sizeof(c->rung), store_col_text(s, 3));
    text_copy(c->model, sizeof(c->model), store_col_text(s, 4));
    text_copy(c->prompt, sizeof(c->prompt), store_col_text(s, 5));
    text_copy(c->head, sizeof(c->head), store_col_text(s, 6));
    c->class = (enum certify_class)store_col_int(s, 7);
    c->state = (enum certify_state)store_col_int(s, 8);
    c->threshold = store_col_real(s, 9);
    c->n = store_col_int(s, 10);
    c->accepted = store_col_int(s, 11);
    c->errors = store_col_int(s, 12);
    c->coverage = c->n > 0 ? (double)c->accepted / (double)c->n : 0;
    c->target = store_col_real(s, 13);
    c->delta = store_col_real(s, 14);
    c->error_upper = store_col_real(s, 15);
    c->traffic_upper = store_col_real(s, 16);
    c->issued_at = store_col_int(s, 17);
    c->confirmed_at = store_col_int(s, 18);
    c->ended_at = store_col_int(s, 19);
    text_copy(c->detail, sizeof(c->detail), store_col_text(s, 20));
    c->record = store_col_int(s, 21);
    c->watch = (struct certify_watch){.target = c->target,
                                      .delta = CERTIFY_WATCH_DELTA,
                                      .cash = store_col_real(s, 22),
                                      .live = store_col_real(s, 23),
                                      .step = store_col_real(s, 24),
                                      .seen = store_col_real(s, 25),
                                      .wrong = store_col_real(s, 26),
                                      .n = store_col_int(s, 27),
                                      .errors = store_col_int(s, 28)};
    c->season_at = store_col_int(s, 29);
    c->audit_rate = store_col_real(s, 30);
    c->per_day = store_col_real(s, 31);
    c->find_days = store_col_real(s, 32);
    c->rate_at = store_col_int(s, 33);
    c->audited = store_col_int(s, 34);
    c->audit_errors = store_col_int(s, 35);
    c->looks = store_col_int(s, 36);
}

/* The live one of a field and rung, whatever its releases. */
enum fail certify_live(struct store_conn *conn, const char *workflow, const char *field,
                       const char *rung, struct certify_certificate *out, bool *found,
                       struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " COLUMNS "FROM certificate WHERE workflow = ?1 AND field = ?2 AND "
              "rung = ?3 AND state = 0 ORDER BY id DESC LIMIT 1");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, field);
    store_bind_text(s, 3, rung);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        read_row(s, out);
    }
    return f;
}

static bool is_other(const char *held, const char *now)
{
    return now != NULL && strcmp(held, now) != 0;
}

bool certify_touches(const struct certify_certificate *c, const struct certify_releases *now)
{
    return is_other(c->model, now->model) || is_other(c->prompt, now->prompt) ||
           is_other(c->head, now->head);
}

enum fail certify_find(struct store_conn *conn, const char *workflow, const char *field,
                       const char *rung, const struct certify_releases *now, double target,
                       struct certify_certificate *out, bool *found, struct fault *why)
{
    enum fail f = certify_live(conn, workflow, field, rung, out, found, why);
    if (f == FAIL_NONE && *found) {
        *found = !certify_touches(out, now) && fabs(out->target - target) < 1e-9;
    }
    return f;
}

enum fail certify_each(struct store_conn *conn, const char *workflow, bool ended_too,
                       certify_row_fn fn, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " COLUMNS "FROM certificate WHERE (?1 IS NULL OR workflow = ?1) AND "
              "(state = 0 OR ?2 = 1) ORDER BY workflow, field, rung, id DESC");
    store_bind_text(s, 1, workflow);
    store_bind_int(s, 2, ended_too);
    bool row;
    enum fail f;
    struct certify_certificate c;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        read_row(s, &c);
        if (!fn(arg, &c)) {
            break;
        }
    }
    return f;
}

/* ---- ending ---- */

enum fail certify_end(struct store_tx *tx, struct audit *audit, struct certify_certificate *c,
                      enum certify_state state, const char *detail, const char *actor,
                      const char *team, struct fault *why)
{
    c->state = state;
    c->ended_at = clock_now_us();
    text_copy(c->detail, sizeof(c->detail), detail);
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE certificate SET state = ?2, ended_at = ?3, "
                                       "detail = ?4 WHERE id = ?1");
    store_bind_id(s, 1, &c->id);
    store_bind_int(s, 2, state);
    store_bind_int(s, 3, c->ended_at);
    store_bind_text(s, 4, c->detail);
    enum fail f = store_run(s, why);
    return f != FAIL_NONE ? f
                          : certify_record(tx, audit, c, certify_state_name(state), detail, actor,
                                           team, NULL, why);
}

/* ---- voiding ---- */

struct doomed {
    struct certify_certificate *list;
    size_t n;
    const char *field, *rung;
    int after; /* the rung comes after this one in the climb; -1: any */
    const struct certify_releases *now; /* NULL: whatever its releases */
};

static bool note_doomed(void *arg, const struct certify_certificate *c)
{
    struct doomed *d = arg;
    bool meant = (d->field == NULL || strcmp(d->field, c->field) == 0) &&
                 (d->rung == NULL || strcmp(d->rung, c->rung) == 0);
    if (meant && certify_rung_order(c->rung) > d->after &&
        (d->now == NULL || certify_touches(c, d->now))) {
        d->list = mem_realloc(d->list, (d->n + 1) * sizeof(*d->list));
        d->list[d->n++] = *c;
    }
    return true;
}

static enum fail end_doomed(struct store_tx *tx, struct audit *audit, const char *workflow,
                            struct doomed *d, const char *detail, const char *actor,
                            const char *team, int64_t *n, struct fault *why)
{
    enum fail f = certify_each(store_tx_conn(tx), workflow, false, note_doomed, d, why);
    for (size_t i = 0; i < d->n && f == FAIL_NONE; i++) {
        f = certify_end(tx, audit, &d->list[i], CERTIFY_VOIDED, detail, actor, team, why);
        f = f != FAIL_NONE ? f : certify_restart(tx, &d->list[i], why);
    }
    *n = f == FAIL_NONE ? (int64_t)d->n : 0;
    mem_free(d->list);
    return f;
}

enum fail certify_void(struct store_tx *tx, struct audit *audit, const char *workflow,
                       const char *field, const char *rung, const struct certify_releases *now,
                       const char *detail, const char *actor, const char *team, int64_t *n,
                       struct fault *why)
{
    struct doomed d = {.field = field, .rung = rung, .after = -1, .now = now};
    return end_doomed(tx, audit, workflow, &d, detail, actor, team, n, why);
}

int certify_rung_order(const char *rung)
{
    int i = 0;
    while (i < (int)COUNT_OF(rung_order) && strcmp(rung_order[i], rung) != 0) {
        i++;
    }
    return i;
}

/* What this rung now answers no longer reaches those after it: what they were measured on is not
   what they will get. */
static enum fail void_later(struct store_tx *tx, struct audit *audit,
                            const struct certify_certificate *c, const char *actor,
                            const char *team, struct fault *why)
{
    char detail[96];
    int64_t n;
    struct doomed d = {.field = c->field, .after = certify_rung_order(c->rung)};
    snprintf(detail, sizeof(detail), "the rung %s now answers before it", c->rung);
    enum fail f = end_doomed(tx, audit, c->workflow, &d, detail, actor, team, &n, why);
    struct certify_certificate pilot = *c;
    for (int i = d.after + 1; i < (int)COUNT_OF(rung_order) && f == FAIL_NONE; i++) {
        text_copy(pilot.rung, sizeof(pilot.rung), rung_order[i]);
        f = certify_restart(tx, &pilot, why);
    }
    return f;
}

/* ---- issuing ---- */

enum fail certify_save_watch(struct store_tx *tx, const struct certify_certificate *c,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE certificate SET cash = ?2, live = ?3, step = ?4, seen = ?5, wrong = ?6, "
        "draws = ?7, draw_errors = ?8, season_at = ?9, audit_rate = ?10, per_day = ?11, "
        "find_days = ?12, rate_at = ?13, audited = ?14, audit_errors = ?15, looks = ?16, "
        "class = ?17, confirmed_at = ?18 WHERE id = ?1");
    store_bind_id(s, 1, &c->id);
    store_bind_real(s, 2, c->watch.cash);
    store_bind_real(s, 3, c->watch.live);
    store_bind_real(s, 4, c->watch.step);
    store_bind_real(s, 5, c->watch.seen);
    store_bind_real(s, 6, c->watch.wrong);
    store_bind_int(s, 7, c->watch.n);
    store_bind_int(s, 8, c->watch.errors);
    store_bind_int(s, 9, c->season_at);
    store_bind_real(s, 10, c->audit_rate);
    store_bind_real(s, 11, c->per_day);
    store_bind_real(s, 12, c->find_days);
    store_bind_int(s, 13, c->rate_at);
    store_bind_int(s, 14, c->audited);
    store_bind_int(s, 15, c->audit_errors);
    store_bind_int(s, 16, c->looks);
    store_bind_int(s, 17, c->class);
    store_bind_int(s, 18, c->confirmed_at);
    return store_run(s, why);
}

static enum fail insert(struct store_tx *tx, const struct certify_certificate *c,
                        struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO certificate (id, workflow, field, rung, model, prompt, head, class, state, "
        "threshold, n, accepted, errors, target, delta, error_upper, traffic_upper, issued_at, "
        "confirmed_at, ended_at, detail, record, cash, live, step, seen, wrong, draws, "
        "draw_errors, season_at, audited, audit_errors, looks, audit_rate, per_day, find_days, "
        "rate_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, ?17, 0, 0, '', ?18, 0, 0, 0, 0, 0, 0, 0, ?17, 0, 0, 0, 0, 0, 0, 0)");
    store_bind_id(s, 1, &c->id);
    store_bind_text(s, 2, c->workflow);
    store_bind_text(s, 3, c->field);
    store_bind_text(s, 4, c->rung);
    store_bind_text(s, 5, c->model);
    store_bind_text(s, 6, c->prompt);
    store_bind_text(s, 7, c->head);
    store_bind_int(s, 8, c->class);
    store_bind_real(s, 9, c->threshold);
    store_bind_int(s, 10, c->n);
    store_bind_int(s, 11, c->accepted);
    store_bind_int(s, 12, c->errors);
    store_bind_real(s, 13, c->target);
    store_bind_real(s, 14, c->delta);
    store_bind_real(s, 15, c->error_upper);
    store_bind_real(s, 16, c->traffic_upper);
    store_bind_int(s, 17, c->issued_at);
    store_bind_int(s, 18, c->record);
    return store_run(s, why);
}

enum fail certify_issue(struct store_tx *tx, struct audit *audit,
                        const struct certify_certificate *from, const struct certify_result *r,
                        const char *actor, const char *team, struct id *id, struct fault *why)
{
    struct certify_certificate c = *from;
    struct certify_certificate old;
    bool found;
    ASSERT(r->certified);
    enum fail f =
        certify_live(store_tx_conn(tx), c.workflow, c.field, c.rung, &old, &found, why);
    if (f == FAIL_NONE && found) {
        struct certify_releases now = {c.model, c.prompt, c.head};
        bool other = certify_touches(&old, &now);
        f = certify_end(tx, audit, &old, other ? CERTIFY_VOIDED : CERTIFY_REPLACED,
                        other ? "its releases were replaced" : "a later certificate holds", actor,
                        team, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    c.id = text_id_new();
    c.state = CERTIFY_LIVE;
    c.threshold = r->threshold;
    c.n = (int64_t)r->n;
    c.accepted = (int64_t)r->accepted;
    c.errors = (int64_t)r->errors;
    c.coverage = c.n > 0 ? (double)c.accepted / (double)c.n : 0;
    c.error_upper = r->error_upper;
    c.traffic_upper = r->traffic_upper;
    c.issued_at = c.season_at = clock_now_us();
    f = certify_record(tx, audit, &c, "certified", "", actor, team, &c.record, why);
    f = f != FAIL_NONE ? f : insert(tx, &c, why);
    f = f != FAIL_NONE ? f : certify_season(tx, &c, why);
    f = f != FAIL_NONE ? f : void_later(tx, audit, &c, actor, team, why);
    if (f == FAIL_NONE && id != NULL) {
        *id = c.id;
    }
    return f;
}
