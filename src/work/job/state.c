/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What moves a job from one state to the next: leases, their end, their loss, and what a person
 * says. Every move is one UPDATE that names the state (and lease) it moves from.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "work/job/job_internal.h"

#define SECOND_US 1000000
#define BACK_OFF_MAX_S 300

static const char *const state_names[JOB_STATE_COUNT] = {
#define STATE(name, text) text,
#include "work/job/states.def"
#undef STATE
};
static const char *const kind_names[JOB_KIND_COUNT] = {"program", "batch", "stream"};

const char *job_state_name(enum job_state s)
{
    return (unsigned)s < JOB_STATE_COUNT ? state_names[s] : "";
}

bool job_state_find(const char *name, enum job_state *out)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (strcmp(state_names[i], name) == 0) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_state_is_over(enum job_state s)
{
    return s == JOB_STATE_DONE || s == JOB_STATE_FAILED || s == JOB_STATE_DEAD ||
           s == JOB_STATE_CANCELLED;
}

const char *job_kind_name(enum job_kind k)
{
    return (unsigned)k < JOB_KIND_COUNT ? kind_names[k] : "";
}

enum fail job_record(struct store_tx *tx, struct jobs *j, enum audit_kind kind,
                     const struct id *job, const struct principal *by, const char *release,
                     const char *verdict, const struct job_step *step, int64_t *leaf,
                     struct fault *why)
{
    char shown[TEXT_ID_SIZE];
    const char *releases[] = {release};
    struct audit_leaf l = {.kind = kind,
                           .actor = by->name,
                           .team = by->team,
                           .task = text_id_show(job, "job", shown),
                           .releases = releases,
                           .releases_len = release[0] != '\0',
                           .verdict = verdict};
    if (step != NULL) {
        l.tokens_in = step->tokens_in;
        l.tokens_out = step->tokens_out;
        l.cost_nano = step->cost;
    }
    return audit_append(tx, j->house.audit, &l, leaf, NULL, why);
}

/* ---- taking ---- */

/* The team with the fewest jobs at work goes first, then the oldest job. A stream waits for
   items. */
#define NEXT_SQL                                                                                   \
    "SELECT id, kind, workflow, release, team, actor, who_kind, who_id, who_user, who_key, "       \
    "who_label, who_role, who_scopes, who_given, who_limits, label, format, params, title, "       \
    "closed, now_at, deadline_s, attempts, lease, rungs, no_draft, no_artifact FROM job AS a "     \
    "WHERE state = 'queued' AND not_before <= ?1 AND (kind <> 'stream' OR closed = 1 OR EXISTS "   \
    "(SELECT 1 FROM job_item WHERE job = a.id AND state = 'queued')) ORDER BY "                    \
    "(SELECT count(*) FROM job AS b WHERE b.state = 'leased' AND b.team = a.team), id LIMIT 1"

static void read_limits(struct principal *p, int64_t given, const char *text)
{
    p->limits.given = (uint32_t)given;
    for (int i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        size_t n = strcspn(text, "\n");
        size_t fit = n < KEYRING_LIMIT_SIZE - 1 ? n : KEYRING_LIMIT_SIZE - 1;
        memcpy(p->limits.names[i], text, fit);
        p->limits.names[i][fit] = '\0';
        text += n + (text[n] == '\n' ? 1 : 0);
    }
}

static void read_who(struct store_stmt *s, struct principal *p)
{
    (void)text_copy(p->team, sizeof(p->team), store_col_text(s, 4));
    (void)text_copy(p->name, sizeof(p->name), store_col_text(s, 5));
    p->kind = (enum principal_kind)store_col_int(s, 6);
    (void)store_col_id(s, 7, &p->id);
    (void)store_col_id(s, 8, &p->user);
    (void)text_copy(p->key, sizeof(p->key), store_col_text(s, 9));
    p->label = (enum secrecy)store_col_int(s, 10);
    p->role = (enum keyring_role)store_col_int(s, 11);
    p->scopes = (uint32_t)store_col_int(s, 12);
    read_limits(p, store_col_int(s, 13), store_col_text(s, 14));
}

/* NAME=VALUE ended by unit separators, cut up in place. */
static void read_params(struct job_taken *t, const char *text)
{
    t->params_text = mem_dup_str(text);
    for (char *at = t->params_text; *at != '\0' && t->params_len < PROGRAM_PARAMS_MAX;) {
        char *end = strchr(at, '\x1f');
        char *eq = strchr(at, '=');
        if (end == NULL || eq == NULL || eq > end) {
            break;
        }
        *end = *eq = '\0';
        t->params[t->params_len++] = (struct program_var){at, eq + 1};
        at = end + 1;
    }
}

static void read_taken(struct store_stmt *s, struct job_taken *t)
{
    (void)store_col_id(s, 0, &t->id);
    for (int k = 0; k < JOB_KIND_COUNT; k++) {
        t->kind = strcmp(kind_names[k], store_col_text(s, 1)) == 0 ? (enum job_kind)k : t->kind;
    }
    (void)text_copy(t->workflow, sizeof(t->workflow), store_col_text(s, 2));
    (void)text_copy(t->release, sizeof(t->release), store_col_text(s, 3));
    read_who(s, &t->who);
    t->label = (enum secrecy)store_col_int(s, 15);
    (void)text_copy(t->format, sizeof(t->format), store_col_text(s, 16));
    read_params(t, store_col_text(s, 17));
    (void)text_copy(t->title, sizeof(t->title), store_col_text(s, 18));
    t->closed = store_col_int(s, 19) != 0;
    t->now_at = store_col_int(s, 20);
    t->deadline_s = store_col_int(s, 21);
    t->attempts = store_col_int(s, 22) + 1;
    t->lease = store_col_int(s, 23) + 1;
    t->rungs = (unsigned)store_col_int(s, 24);
    t->no_draft = store_col_int(s, 25) != 0;
    t->no_artifact = store_col_int(s, 26) != 0;
}

struct taking {
    struct jobs *jobs;
    struct job_taken *taken;
};

static enum fail take_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct taking *k = arg;
    struct store_conn *c = store_tx_conn(tx);
    int64_t now = clock_now_us();
    bool row = false;
    job_taken_free(k->taken);
    k->taken = NULL;
    {
        AUTO_STMT struct store_stmt *s = store_query(c, NEXT_SQL);
        store_bind_int(s, 1, now);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f;
        }
        k->taken = mem_alloc(sizeof(*k->taken));
        read_taken(s, k->taken);
    }
    AUTO_STMT struct store_stmt *u = store_query(
        c, "UPDATE job SET state = 'leased', lease = ?2, attempts = ?3, lease_until = ?4, "
           "lease_by = ?5, started_at = ?6, updated_at = ?6, due_at = ?7, code = '', message = '', "
           "hint = '' WHERE id = ?1 AND state = 'queued'");
    store_bind_id(u, 1, &k->taken->id);
    store_bind_int(u, 2, k->taken->lease);
    store_bind_int(u, 3, k->taken->attempts);
    store_bind_int(u, 4, now + (int64_t)JOB_LEASE_S * SECOND_US);
    store_bind_id(u, 5, &k->jobs->boot);
    store_bind_int(u, 6, now);
    store_bind_int(u, 7, now + k->taken->deadline_s * SECOND_US);
    return store_run(u, why);
}

bool job_is_ready(struct store_conn *reader)
{
    AUTO_STMT struct store_stmt *s = store_query(
        reader, "SELECT 1 FROM job AS a WHERE state = 'queued' AND not_before <= ?1 AND (kind <> "
                "'stream' OR closed = 1 OR EXISTS (SELECT 1 FROM job_item WHERE job = a.id AND "
                "state = 'queued')) LIMIT 1");
    bool row = false;
    store_bind_int(s, 1, clock_now_us());
    return store_step(s, &row, NULL) == FAIL_NONE && row;
}

enum fail job_take(struct jobs *j, struct job_taken **t, struct fault *why)
{
    struct taking k = {.jobs = j};
    enum fail f = store_write_wait(j->house.store, take_write, &k, why);
    if (f != FAIL_NONE) {
        job_taken_free(k.taken);
        k.taken = NULL;
    }
    *t = k.taken;
    return f;
}

void job_taken_free(struct job_taken *t)
{
    if (t != NULL) {
        mem_free(t->params_text);
        mem_free(t);
    }
}

/* ---- the end of a lease ---- */

enum job_state job_state_after(const struct job_taken *t, enum fail code)
{
    if (!fail_is_retryable(code)) {
        return JOB_STATE_FAILED;
    }
    return t->attempts >= JOB_ATTEMPTS_MAX ? JOB_STATE_DEAD : JOB_STATE_QUEUED;
}

static int64_t back_off_us(int64_t attempts)
{
    int64_t s = attempts < 9 ? (int64_t)1 << attempts : BACK_OFF_MAX_S;
    return (s < BACK_OFF_MAX_S ? s : BACK_OFF_MAX_S) * SECOND_US;
}

enum fail job_move(struct store_tx *tx, struct jobs *j, const struct job_taken *t,
                   enum job_state to, const struct fault *because, const struct id *artifact,
                   struct fault *why)
{
    int64_t now = clock_now_us();
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE job SET state = ?3, updated_at = ?4, ended_at = ?5, due_at = 0, not_before = ?6, "
        "code = ?7, message = ?8, hint = ?9, artifact = coalesce(?10, artifact), share = "
        "CASE WHEN ?3 = 'done' THEN 1 ELSE share END, note = '' "
        "WHERE id = ?1 AND lease = ?2 AND state = 'leased'");
    bool bad = because != NULL;
    store_bind_id(s, 1, &t->id);
    store_bind_int(s, 2, t->lease);
    store_bind_text(s, 3, state_names[to]);
    store_bind_int(s, 4, now);
    store_bind_int(s, 5, job_state_is_over(to) ? now : 0);
    store_bind_int(s, 6, to == JOB_STATE_QUEUED && bad ? now + back_off_us(t->attempts) : 0);
    store_bind_text(s, 7, bad ? fail_name(because->code) : "");
    store_bind_text(s, 8, bad ? because->message : "");
    store_bind_text(s, 9, bad ? because->hint : "");
    store_bind_id(s, 10, artifact);
    enum fail f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 0) {
        return FAULT(why, FAIL_CONFLICT, "the job was paused, cancelled or taken by another");
    }
    if (f == FAIL_NONE && job_state_is_over(to)) {
        f = job_record(tx, j, AUDIT_KIND_JOB_ENDED, &t->id, &t->who, t->release, state_names[to],
                       NULL, NULL, why);
    }
    return f;
}

struct giving {
    const struct job_taken *taken;
    int64_t wait_ms;
};

static enum fail give_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct giving *g = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE job SET state = 'queued', attempts = attempts - 1, due_at = 0, not_before = ?3 "
        "WHERE id = ?1 AND lease = ?2 AND state = 'leased'");
    store_bind_id(s, 1, &g->taken->id);
    store_bind_int(s, 2, g->taken->lease);
    store_bind_int(s, 3, clock_now_us() + g->wait_ms * 1000);
    return store_run(s, why);
}

void job_give_back(struct jobs *j, const struct job_taken *t, int64_t wait_ms)
{
    struct giving g = {t, wait_ms};
    struct fault why;
    /* When it cannot be written the lease expires by itself. */
    (void)!store_write_wait(j->house.store, give_write, &g, &why);
}

/* ---- leases that nobody holds any more ---- */

struct back {
    struct jobs *jobs;
    bool at_start;
};

/* Those that were tried too often are over: their end is a record. */
static enum fail record_dead(struct store_tx *tx, const struct back *b, int64_t now,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "SELECT id, team, release FROM job WHERE state = 'leased' AND attempts >= ?4 AND "
        "((?1 = 1 AND lease_by <> ?2) OR lease_until < ?3)");
    store_bind_int(s, 1, b->at_start);
    store_bind_id(s, 2, &b->jobs->boot);
    store_bind_int(s, 3, now);
    store_bind_int(s, 4, JOB_ATTEMPTS_MAX);
    bool row = false;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct principal system = {.name = "system"};
        struct id id;
        (void)store_col_id(s, 0, &id);
        (void)text_copy(system.team, sizeof(system.team), store_col_text(s, 1));
        f = job_record(tx, b->jobs, AUDIT_KIND_JOB_ENDED, &id, &system, store_col_text(s, 2),
                       state_names[JOB_STATE_DEAD], NULL, NULL, why);
        if (f != FAIL_NONE) {
            break;
        }
    }
    return f;
}

static enum fail back_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct back *b = arg;
    int64_t now = clock_now_us();
    enum fail f = record_dead(tx, b, now, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE job SET state = CASE WHEN attempts >= ?4 THEN 'dead' ELSE 'queued' END, "
        "ended_at = CASE WHEN attempts >= ?4 THEN ?3 ELSE 0 END, updated_at = ?3, due_at = 0, "
        "not_before = 0, code = 'worker_died', message = "
        "'the process that worked on it ended before it did', hint = '' "
        "WHERE state = 'leased' AND ((?1 = 1 AND lease_by <> ?2) OR lease_until < ?3)");
    store_bind_int(s, 1, b->at_start);
    store_bind_id(s, 2, &b->jobs->boot);
    store_bind_int(s, 3, now);
    store_bind_int(s, 4, JOB_ATTEMPTS_MAX);
    return store_run(s, why);
}

enum fail job_take_back(struct jobs *j, bool at_start, struct fault *why)
{
    struct back b = {j, at_start};
    return store_write_wait(j->house.store, back_write, &b, why);
}

/* ---- what the watcher keeps up to date ---- */

struct noting {
    const struct job_work *work;
    bool renew;
};

static enum fail note_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct noting *n = arg;
    int64_t now = clock_now_us();
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE job SET share = ?3, stage = ?4, note = ?5, updated_at = ?6, "
        "lease_until = CASE WHEN ?7 = 1 THEN ?8 ELSE lease_until END "
        "WHERE id = ?1 AND lease = ?2 AND state = 'leased'");
    store_bind_id(s, 1, &n->work->job);
    store_bind_int(s, 2, n->work->lease);
    store_bind_real(s, 3, n->work->share);
    store_bind_text(s, 4, n->work->stage);
    store_bind_text(s, 5, n->work->note);
    store_bind_int(s, 6, now);
    store_bind_int(s, 7, n->renew);
    store_bind_int(s, 8, now + (int64_t)JOB_LEASE_S * SECOND_US);
    return store_run(s, why);
}

enum fail job_note(struct jobs *j, const struct job_work *w, bool renew, struct fault *why)
{
    struct noting n = {w, renew};
    return store_write_wait(j->house.store, note_write, &n, why);
}

/* ---- what a person says ---- */

struct change {
    struct jobs *jobs;
    const struct id *id;
    const struct principal *who;
    const char *verb; /* "paused" */
};

static enum fail find_state(struct store_conn *c, const struct change *x, enum job_state *state,
                            enum job_state *before, char release[TEXT_SHA256_HEX_SIZE],
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT team, state, before, release FROM job WHERE id = ?1");
    store_bind_id(s, 1, x->id);
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && (!row || !policy_sees(x->who, store_col_text(s, 0)))) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such job");
    }
    if (f == FAIL_NONE) {
        *before = JOB_STATE_QUEUED;
        (void)job_state_find(store_col_text(s, 1), state);
        (void)job_state_find(store_col_text(s, 2), before);
        (void)text_copy(release, TEXT_SHA256_HEX_SIZE, store_col_text(s, 3));
    }
    return f;
}

static enum fail wrong_state(const struct change *x, enum job_state is, struct fault *why)
{
    FAULT(why, FAIL_CONFLICT, "a job that is %s cannot be %s", state_names[is], x->verb);
    return job_state_is_over(is) ? fail_hint(why, "It can be replayed.") : FAIL_CONFLICT;
}

static enum fail move_by_person(struct store_tx *tx, struct change *x, enum job_state from,
                                enum job_state to, const char *release, struct fault *why)
{
    int64_t now = clock_now_us();
    struct store_conn *c = store_tx_conn(tx);
    AUTO_STMT struct store_stmt *s = store_query(
        c, "UPDATE job SET state = ?2, before = ?3, updated_at = ?4, ended_at = ?5, due_at = 0, "
           "not_before = 0, attempts = CASE WHEN ?2 = 'queued' THEN 0 ELSE attempts END "
           "WHERE id = ?1");
    store_bind_id(s, 1, x->id);
    store_bind_text(s, 2, state_names[to]);
    store_bind_text(s, 3, to == JOB_STATE_PAUSED ? state_names[from] : "");
    store_bind_int(s, 4, now);
    store_bind_int(s, 5, job_state_is_over(to) ? now : 0);
    enum fail f = store_run(s, why);
    return f != FAIL_NONE ? f
                          : job_record(tx, x->jobs, AUDIT_KIND_JOB_CHANGED, x->id, x->who, release,
                                       x->verb, NULL, NULL, why);
}

static enum fail pause_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *x = arg;
    enum job_state is, before;
    char release[TEXT_SHA256_HEX_SIZE];
    enum fail f = find_state(store_tx_conn(tx), x, &is, &before, release, why);
    if (f == FAIL_NONE && is != JOB_STATE_QUEUED && is != JOB_STATE_LEASED) {
        f = wrong_state(x, is, why);
    }
    return f != FAIL_NONE ? f : move_by_person(tx, x, is, JOB_STATE_PAUSED, release, why);
}

static enum fail resume_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *x = arg;
    enum job_state is, before;
    char release[TEXT_SHA256_HEX_SIZE];
    enum fail f = find_state(store_tx_conn(tx), x, &is, &before, release, why);
    if (f == FAIL_NONE && is != JOB_STATE_PAUSED) {
        f = wrong_state(x, is, why);
    }
    return f != FAIL_NONE ? f : move_by_person(tx, x, is, JOB_STATE_QUEUED, release, why);
}

static enum fail cancel_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *x = arg;
    enum job_state is, before;
    char release[TEXT_SHA256_HEX_SIZE];
    enum fail f = find_state(store_tx_conn(tx), x, &is, &before, release, why);
    if (f == FAIL_NONE && job_state_is_over(is)) {
        f = wrong_state(x, is, why);
    }
    return f != FAIL_NONE ? f : move_by_person(tx, x, is, JOB_STATE_CANCELLED, release, why);
}

static enum fail end_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *x = arg;
    enum job_state is, before;
    char release[TEXT_SHA256_HEX_SIZE];
    enum fail f = find_state(store_tx_conn(tx), x, &is, &before, release, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE job SET closed = 1, updated_at = ?2 WHERE id = ?1 AND "
                           "kind = 'stream' AND closed = 0 AND ended_at = 0");
    store_bind_id(s, 1, x->id);
    store_bind_int(s, 2, clock_now_us());
    f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 0) {
        FAULT(why, FAIL_CONFLICT, "this job takes no items, or was closed or over before");
        return fail_hint(why, "Only a stream is closed, and once.");
    }
    return f != FAIL_NONE ? f
                          : job_record(tx, x->jobs, AUDIT_KIND_JOB_CHANGED, x->id, x->who, release,
                                       x->verb, NULL, NULL, why);
}

/* Writes a change; then the job's work is stopped, or whoever waits for work looks again. */
static enum fail change(struct change *x, store_write_fn write, bool stops, struct fault *why)
{
    enum fail f = store_write_wait(x->jobs->house.store, write, x, why);
    if (f == FAIL_NONE && stops) {
        job_stop_work(x->jobs, x->id, FAIL_STOPPED);
    } else if (f == FAIL_NONE) {
        job_wake(x->jobs);
    }
    return f;
}

enum fail jobs_pause(struct jobs *j, const struct id *id, const struct principal *who,
                     struct fault *why)
{
    struct change x = {j, id, who, "paused"};
    return change(&x, pause_write, true, why);
}

enum fail jobs_resume(struct jobs *j, const struct id *id, const struct principal *who,
                      struct fault *why)
{
    struct change x = {j, id, who, "resumed"};
    return change(&x, resume_write, false, why);
}

enum fail jobs_cancel(struct jobs *j, const struct id *id, const struct principal *who,
                      struct fault *why)
{
    struct change x = {j, id, who, "cancelled"};
    return change(&x, cancel_write, true, why);
}

enum fail jobs_end(struct jobs *j, const struct id *id, const struct principal *who,
                   struct fault *why)
{
    struct change x = {j, id, who, "closed"};
    return change(&x, end_write, false, why);
}

/* ---- erasing ---- */

enum fail jobs_forget(struct store_tx *tx, const char *team, const char *actor, int64_t *n,
                      struct fault *why)
{
    static const char *const statements[] = {
        "UPDATE job_file SET name = '', type = '', sha256 = '' WHERE job IN "
        "(SELECT id FROM job WHERE team = ?1 AND actor = ?2)",
        "UPDATE job_item SET name = '', message = '' WHERE job IN "
        "(SELECT id FROM job WHERE team = ?1 AND actor = ?2)",
        "DELETE FROM job_piece WHERE job IN (SELECT id FROM job WHERE team = ?1 AND actor = ?2)",
        "UPDATE job SET title = '', params = '', note = '', message = '', hint = '', "
        "state = CASE WHEN ended_at = 0 THEN 'cancelled' ELSE state END, "
        "ended_at = CASE WHEN ended_at = 0 THEN updated_at ELSE ended_at END "
        "WHERE team = ?1 AND actor = ?2"};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(statements); i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), statements[i]);
        store_bind_text(s, 1, team);
        store_bind_text(s, 2, actor);
        f = store_run(s, why);
    }
    *n = f == FAIL_NONE ? store_changes(store_tx_conn(tx)) : 0;
    return f;
}
