/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was reserved and what it cost, in the table upstream_call: one row a call, written before
 * its first byte leaves and settled once. A row that is still open when the server starts belongs
 * to a process that died: nobody knows what that call cost, so all of it counts.
 */
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "run/upstream/upstream_internal.h"

#define KEEP_US ((int64_t)400 * 24 * 3600 * 1000000)

/* ---- the start ---- */

static enum fail clean(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    AUTO_STMT struct store_stmt *lost =
        store_query(store_tx_conn(tx), "UPDATE upstream_call SET state = 'lost', cost = reserved, "
                                       "settled_at = ?1 WHERE state = 'open'");
    store_bind_int(lost, 1, clock_now_us());
    enum fail f = store_run(lost, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *old =
        store_query(store_tx_conn(tx), "DELETE FROM upstream_call WHERE created_at < ?1");
    store_bind_int(old, 1, clock_now_us() - KEEP_US);
    return store_run(old, why);
}

enum fail ledger_open(struct upstream *u, struct fault *why)
{
    struct store_conn *c = NULL;
    enum fail f = store_write_wait(u->store, clean, NULL, why);
    f = f != FAIL_NONE ? f : store_reader_open(u->store, &c, why);
    for (size_t i = 0; f == FAIL_NONE && i < u->servers_len; i++) {
        struct server *s = &u->servers[i];
        bool row = false;
        server_period(s, clock_now_us());
        AUTO_STMT struct store_stmt *q =
            store_query(c, "SELECT COALESCE(SUM(cost), 0), COALESCE(SUM(uncertain), 0) "
                           "FROM upstream_call WHERE upstream = ?1 AND created_at >= ?2");
        store_bind_text(q, 1, s->name);
        store_bind_int(q, 2, s->from_at);
        f = store_step(q, &row, why);
        if (f == FAIL_NONE && row) {
            s->spent = store_col_int(q, 0);
            s->uncertain = store_col_int(q, 1);
        }
    }
    store_reader_close(c);
    return f;
}

/* ---- reserve ---- */

static enum fail put_open(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct call *c = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO upstream_call (id, task, team, pool, upstream, model, label, rule, redacted, "
        "state, reserved, cost, uncertain, tokens_in, tokens_cached, tokens_out, outcome, "
        "attempts, "
        "created_at, settled_at) "
        "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,'open',?10,0,0,0,0,0,'','[]',?11,0)");
    store_bind_id(s, 1, &c->ledger_id);
    store_bind_id(s, 2, &c->task);
    store_bind_text(s, 3, c->team);
    store_bind_text(s, 4, c->pool);
    store_bind_text(s, 5, c->member->server->name);
    store_bind_text(s, 6, c->member->remote);
    store_bind_text(s, 7, secrecy_name(c->label));
    store_bind_text(s, 8, c->rule);
    store_bind_int(s, 9, c->made.redaction != NULL
                             ? (int64_t)guard_redaction_count(c->made.redaction)
                             : 0);
    store_bind_int(s, 10, c->most);
    store_bind_int(s, 11, c->created_at);
    return store_run(s, why);
}

enum fail ledger_reserve(struct call *c, store_done_fn done, struct fault *why)
{
    return store_write(c->u->store, put_open, c, done, c->u->loop, why);
}

/* ---- settle ---- */

struct settled {
    struct id id;
    char upstream[64], model[129], outcome[32];
    int64_t cost, uncertain, in, cached, out;
    struct buf attempts;
};

static void put_attempts(struct buf *out, const struct upstream_answer *a)
{
    struct jn_writer w;
    buf_init(out, 65536);
    jn_begin(&w, out, false);
    jn_array_begin(&w);
    for (size_t i = 0; i < a->attempts_len; i++) {
        const struct upstream_attempt *t = &a->attempts[i];
        jn_object_begin(&w);
        jn_kv_str(&w, "upstream", t->upstream);
        jn_kv_str(&w, "address", t->address);
        jn_kv_str(&w, "outcome", upstream_outcome_name(t->outcome));
        jn_kv_int(&w, "status", t->status);
        jn_kv_real(&w, "at_ms", t->at_ms, 3);
        jn_kv_real(&w, "ms", t->ms, 3);
        jn_kv_int(&w, "retry_after_ms", t->retry_after_ms);
        jn_kv_str(&w, "note", t->note);
        jn_object_end(&w);
    }
    jn_array_end(&w);
}

static enum fail put_settled(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct settled *s = arg;
    AUTO_STMT struct store_stmt *q = store_query(
        store_tx_conn(tx),
        "UPDATE upstream_call SET state = 'settled', cost = ?2, uncertain = ?3, tokens_in = ?4, "
        "tokens_cached = ?5, tokens_out = ?6, outcome = ?7, attempts = ?8, settled_at = ?9, "
        "upstream = CASE WHEN ?10 = '' THEN upstream ELSE ?10 END, "
        "model = CASE WHEN ?11 = '' THEN model ELSE ?11 END "
        "WHERE id = ?1 AND state = 'open'");
    store_bind_id(q, 1, &s->id);
    store_bind_int(q, 2, s->cost);
    store_bind_int(q, 3, s->uncertain);
    store_bind_int(q, 4, s->in);
    store_bind_int(q, 5, s->cached);
    store_bind_int(q, 6, s->out);
    store_bind_text(q, 7, s->outcome);
    store_bind_textn(q, 8, s->attempts.data, s->attempts.len);
    store_bind_int(q, 9, clock_now_us());
    store_bind_text(q, 10, s->upstream);
    store_bind_text(q, 11, s->model);
    return store_run(q, why);
}

static void settled_done(void *arg, enum fail code, const struct fault *why)
{
    struct settled *s = arg;
    if (code != FAIL_NONE) { /* the row stays open: the next start counts all of it */
        log_fault(LOG_LEVEL_ERROR, "upstream.not_settled", why);
    }
    buf_done(&s->attempts);
    mem_free(s);
}

void ledger_settle(const struct call *c, const struct upstream_answer *a, int64_t uncertain)
{
    struct settled *s = mem_alloc(sizeof(*s));
    struct fault why;
    s->id = c->ledger_id;
    (void)text_copy(s->upstream, sizeof(s->upstream), a->upstream);
    (void)text_copy(s->model, sizeof(s->model), a->model);
    (void)text_copy(s->outcome, sizeof(s->outcome),
                    a->code == FAIL_NONE ? "answered" : fail_name(a->code));
    s->cost = a->cost_nano;
    s->uncertain = uncertain;
    s->in = a->tokens_in;
    s->cached = a->tokens_cached;
    s->out = a->tokens_out;
    put_attempts(&s->attempts, a);
    enum fail f = store_write(c->u->store, put_settled, s, settled_done, c->u->loop, &why);
    if (f != FAIL_NONE) {
        settled_done(s, f, &why);
    }
}

/* ---- reading ---- */

static void put_call(struct store_stmt *s, struct jn_writer *w)
{
    static const char *const texts[] = {"team", "model_name", "upstream", "model",
                                        "label", "rule", "state", "outcome"};
    static const char *const money[] = {"reserved", "cost", "uncertain"};
    static const char *const numbers[] = {"redacted", "tokens_in", "tokens_cached", "tokens_out"};
    struct id id;
    char shown[TEXT_ID_SIZE];
    char at[CLOCK_RFC3339_SIZE];
    jn_object_begin(w);
    if (store_col_id(s, 0, &id)) {
        jn_kv_str(w, "id", text_id_show(&id, "upc", shown));
    }
    jn_kv_str(w, "task", store_col_id(s, 1, &id) ? text_id_show(&id, "tsk", shown) : NULL);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        jn_kv_str(w, texts[i], store_col_text(s, (int)i + 2));
    }
    for (size_t i = 0; i < COUNT_OF(money); i++) {
        put_money(w, money[i], store_col_int(s, (int)i + 10));
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        jn_kv_int(w, numbers[i], store_col_int(s, (int)i + 13));
    }
    const char *attempts = store_col_text(s, 17);
    jn_key(w, "attempts");
    jn_put_raw(w, attempts, strlen(attempts));
    jn_kv_str(w, "created_at", clock_show(store_col_int(s, 18), at));
    jn_kv_str(w, "settled_at",
              store_col_int(s, 19) > 0 ? clock_show(store_col_int(s, 19), at) : NULL);
    jn_object_end(w);
}

enum fail upstream_calls_put(struct store_conn *conn, const struct id *task, const char *team,
                             int64_t limit, struct jn_writer *w, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        conn,
        "SELECT id, task, team, pool, upstream, model, label, rule, state, outcome, reserved, "
        "cost, uncertain, redacted, tokens_in, tokens_cached, tokens_out, attempts, "
        "created_at, settled_at FROM upstream_call "
        "WHERE (?1 IS NULL OR task = ?1) AND (?2 IS NULL OR team = ?2) "
        "ORDER BY created_at DESC, id DESC LIMIT ?3");
    store_bind_id(s, 1, task);
    store_bind_text(s, 2, team);
    store_bind_int(s, 3, limit);
    jn_key(w, "calls");
    jn_array_begin(w);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        put_call(s, w);
    }
    jn_array_end(w);
    return f;
}
