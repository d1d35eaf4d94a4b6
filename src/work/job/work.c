/* SPDX-License-Identifier: Apache-2.0 */
/* The threads: taking jobs, running them, writing down how they ended; and the watcher. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "work/job/job_internal.h"
#include "work/review/review.h"

#define SECOND_US 1000000
#define IDLE_S 1
#define HALTED_MS 5000
#define RESULT_BYTES ((size_t)64 << 20)
#define RENEW_US ((int64_t)15 * SECOND_US)

bool job_is_stopped(const struct job_work *w)
{
    return __atomic_load_n(&w->stop, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&w->jobs->stopping, __ATOMIC_SEQ_CST);
}

void job_wake(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->generation++;
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

void job_stop_work(struct jobs *j, const struct id *job, enum fail code)
{
    pthread_mutex_lock(&j->lock);
    for (struct job_work *w = j->working; w != NULL; w = w->next) {
        if (text_id_equal(&w->job, job) && !w->stop) {
            w->stop_code = code;
            __atomic_store_n(&w->stop, true, __ATOMIC_SEQ_CST);
        }
    }
    pthread_mutex_unlock(&j->lock);
}

struct program_definition *job_definition_of(struct jobs *j, struct store_conn *conn,
                                             const char *name, const char *release,
                                             struct fault *why)
{
    struct program_definition *d = jobs_find_definition(j, name);
    if (d != NULL && strcmp(d->release, release) == 0) {
        return d;
    }
    program_definition_unref(d);
    d = NULL;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT yaml FROM job_definition WHERE release = ?1");
    bool row = false;
    store_bind_text(s, 1, release);
    if (store_step(s, &row, why) != FAIL_NONE || !row) {
        FAULT(why, FAIL_NOT_FOUND, "the definition that the job began with is gone");
        return NULL;
    }
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    const char *yaml = store_col_text(s, 0);
    if (program_definition_read(yaml, strlen(yaml), name, j->programs, j->programs_len, &d, faults,
                                why) != FAIL_NONE) {
        d = NULL; /* a program changed what it takes */
    }
    mem_free(faults);
    return d;
}

/* ---- the end of a run ---- */

struct ending {
    struct jobs *jobs;
    const struct job_taken *taken;
    const struct program_run *run; /* NULL: no artifact */
    struct program_result result;
    const char *json, *brief; /* the artifact, whole and as reviewed */
    size_t json_len;
    enum job_state to;
    const struct fault *because;
};

static enum fail put_artifact(struct store_tx *tx, const struct ending *e, const struct id *id,
                              struct fault *why)
{
    struct review_field fields[PROGRAM_FIELDS_MAX];
    const struct program_output *main = NULL;
    for (size_t i = 0; i < e->result.fields_len; i++) {
        const struct program_field *f = &e->result.fields[i];
        fields[i] = (struct review_field){.name = f->name,
                                          .type = f->type,
                                          .value = f->value,
                                          .confidence = f->confidence,
                                          .rung = ladder_rung_name(f->rung),
                                          .is_open = f->open};
    }
    for (size_t i = 0; i < e->result.outputs_len; i++) {
        main = e->result.outputs[i].main ? &e->result.outputs[i] : main;
    }
    bool draft = main != NULL && main->len > 0 && main->len < REVIEW_TEXT_MAX &&
                 memchr(main->bytes, '\0', main->len) == NULL;
    struct review_artifact a = {.id = *id,
                                .task = e->taken->id,
                                .workflow = e->taken->workflow,
                                .team = e->taken->who.team,
                                .actor = e->taken->who.name,
                                .title = e->taken->title[0] != '\0' ? e->taken->title
                                                                    : e->result.title,
                                .result = e->brief,
                                .draft = draft ? main->bytes : NULL,
                                .fields = fields,
                                .fields_len = e->result.fields_len};
    return review_create(tx, &a, true, why);
}

static enum fail put_outputs(struct store_tx *tx, const struct ending *e, struct fault *why)
{
    const struct job_taken *t = e->taken;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i <= e->result.outputs_len; i++) {
        struct job_put_file file = {.side = JOB_OUTPUT, .place = (int64_t)i, .role = ""};
        if (i < e->result.outputs_len) {
            const struct program_output *o = &e->result.outputs[i];
            file.name = o->name;
            file.type = o->type;
            file.bytes = o->bytes;
            file.len = o->len;
            file.main = o->main;
        } else {
            file.name = "artifact.json";
            file.type = "application/json";
            file.bytes = e->json;
            file.len = e->json_len;
        }
        f = job_file_put(tx, e->jobs, &t->id, t->who.team, t->who.name, &file, why);
    }
    return f;
}

static enum fail end_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct ending *e = arg;
    struct id artifact = text_id_new();
    bool makes = e->run != NULL && e->to == JOB_STATE_DONE;
    enum fail f = job_move(tx, e->jobs, e->taken, e->to, e->because, makes ? &artifact : NULL, why);
    if (f == FAIL_NONE && makes) {
        f = put_outputs(tx, e, why);
        f = f != FAIL_NONE ? f : put_artifact(tx, e, &artifact, why);
    }
    return f;
}

/* ---- a program ---- */

static enum fail finish_run(struct jobs *j, const struct job_taken *t, struct program_run *run,
                            struct fault *why)
{
    struct buf json, brief;
    struct ending e = {.jobs = j, .taken = t, .run = run, .to = JOB_STATE_DONE};
    program_result(run, &e.result);
    for (size_t i = 0; i < e.result.outputs_len; i++) {
        if (strcmp(e.result.outputs[i].name, "artifact.json") == 0) {
            return FAULT(why, FAIL_INTERNAL, "the program has an output of a name that is taken");
        }
    }
    buf_init(&json, RESULT_BYTES);
    buf_init(&brief, REVIEW_TEXT_MAX - 1);
    enum fail f = program_result_json(run, &json, why);
    f = f != FAIL_NONE ? f : program_result_brief(run, &t->id, &brief, why);
    if (f == FAIL_NONE) {
        e.json = json.data;
        e.json_len = json.len;
        e.brief = brief.data;
        f = store_write_wait(j->house.store, end_write, &e, why);
    }
    buf_done(&json);
    buf_done(&brief);
    return f;
}

static enum fail run_program(struct jobs *j, struct job_work *w, const struct job_taken *t,
                             struct fault *why)
{
    struct program_run *run = NULL;
    struct job_inputs *in = mem_alloc(sizeof(*in));
    struct program_host host = {.arg = NULL};
    struct program_definition *d = job_definition_of(j, w->reader, t->workflow, t->release, why);
    enum fail f = d == NULL ? why->code : FAIL_NONE;
    f = f != FAIL_NONE ? f : job_inputs_get(j->house.audit, w->reader, &t->id, in, why);
    if (f == FAIL_NONE) {
        job_host(j, w, t, t->label > d->label ? t->label : d->label, &host);
        struct program_start start = {.definition = d,
                                      .who = &t->who,
                                      .inputs = in->list,
                                      .inputs_len = in->len,
                                      .params = t->params,
                                      .params_len = t->params_len,
                                      .format = t->format,
                                      .now = t->now_at};
        f = program_run_new(&start, &host, &run, why);
    }
    f = f != FAIL_NONE ? f : program_run_go(run, why);
    f = f != FAIL_NONE ? f : finish_run(j, t, run, why);
    program_run_free(run);
    mem_free(host.arg);
    job_inputs_done(in);
    mem_free(in);
    program_definition_unref(d);
    return f;
}

static enum fail run_batch(struct jobs *j, struct job_work *w, const struct job_taken *t,
                           struct fault *why)
{
    struct ending e = {.jobs = j, .taken = t, .to = JOB_STATE_DONE};
    enum fail f = job_items_run(j, w, t, why);
    if (f == FAIL_NONE && !t->closed) { /* an open stream waits for more */
        job_give_back(j, t, 0);
        return FAIL_NONE;
    }
    return f != FAIL_NONE ? f : store_write_wait(j->house.store, end_write, &e, why);
}

/* ---- one job ---- */

static void end_badly(struct jobs *j, struct job_work *w, const struct job_taken *t,
                      const struct fault *why)
{
    struct fault because = *why, failed;
    if (__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST) && w->stop_code == FAIL_DEADLINE) {
        FAULT(&because, FAIL_DEADLINE, "the job took longer than its %lld s",
              (long long)t->deadline_s);
        fail_hint(&because, "Give it less at once, or a later deadline.");
    } else if (because.code == FAIL_STOPPED &&
               __atomic_load_n(&j->stopping, __ATOMIC_SEQ_CST)) {
        job_give_back(j, t, 0);
        return;
    }
    struct ending e = {.jobs = j, .taken = t, .because = &because,
                       .to = because.code == FAIL_DEADLINE ? JOB_STATE_FAILED
                                                           : job_state_after(t, because.code)};
    enum fail f = store_write_wait(j->house.store, end_write, &e, &failed);
    if (f != FAIL_NONE && f != FAIL_CONFLICT) { /* a conflict: paused or cancelled meanwhile */
        log_fault(LOG_LEVEL_ERROR, "job.unrecorded", &failed);
    }
}

struct key_look {
    const struct principal *who;
    bool bad;
};

static void look_at_key(void *arg, const struct keyring_key *k)
{
    struct key_look *l = arg;
    if (text_id_equal(&k->id, &l->who->id)) {
        l->bad = k->revoked_at != 0 || k->dead ||
                 (k->expires_at != 0 && k->expires_at <= clock_now_us());
    }
}

/* Whoever asked for it may have lost the right, and a switch may have been turned. */
static enum fail may_run(struct jobs *j, const struct job_taken *t, struct fault *why)
{
    struct keyring_account a;
    struct key_look look = {&t->who, false};
    if (j->house.keyring != NULL && !text_id_is_zero(&t->who.user) &&
        keyring_account_find(j->house.keyring, t->who.name, &a) && a.disabled_at != 0) {
        return FAULT(why, FAIL_FORBIDDEN, "the account that asked for this job is disabled");
    }
    if (j->house.keyring != NULL && t->who.key[0] != '\0') {
        keyring_list(j->house.keyring, look_at_key, &look);
    }
    if (look.bad) {
        return FAULT(why, FAIL_FORBIDDEN, "the key that asked for this job is no longer good");
    }
    return j->house.policy != NULL
               ? policy_halt_check(j->house.policy, &t->who, t->workflow, NULL, why)
               : FAIL_NONE;
}

static void work_on(struct jobs *j, struct store_conn *reader, const struct job_taken *t)
{
    struct fault why = {0};
    struct job_work w = {.jobs = j,
                         .job = t->id,
                         .lease = t->lease,
                         .due_us = clock_monotonic_us() + t->deadline_s * SECOND_US,
                         .renewed_us = clock_monotonic_us(),
                         .reader = reader};
    enum fail f = may_run(j, t, &why);
    if (f == FAIL_STOPPED) {
        job_give_back(j, t, HALTED_MS);
        return;
    }
    pthread_mutex_lock(&j->lock);
    w.next = j->working;
    j->working = &w;
    pthread_mutex_unlock(&j->lock);
    if (f == FAIL_NONE) {
        f = t->kind == JOB_PROGRAM ? run_program(j, &w, t, &why) : run_batch(j, &w, t, &why);
    }
    pthread_mutex_lock(&j->lock);
    for (struct job_work **p = &j->working; *p != NULL; p = &(*p)->next) {
        if (*p == &w) {
            *p = w.next;
            break;
        }
    }
    pthread_mutex_unlock(&j->lock);
    if (f != FAIL_NONE) {
        why.code = f;
        end_badly(j, &w, t, &why);
    }
}

void *job_thread(void *arg)
{
    struct jobs *j = arg;
    struct store_conn *reader = NULL;
    struct fault why;
    uint64_t seen = 0;
    while (!__atomic_load_n(&j->stopping, __ATOMIC_SEQ_CST)) {
        struct job_taken *t = NULL;
        pthread_mutex_lock(&j->lock);
        seen = j->generation;
        pthread_mutex_unlock(&j->lock);
        if (reader == NULL && store_reader_open(j->house.store, &reader, &why) != FAIL_NONE) {
            log_fault(LOG_LEVEL_ERROR, "job.no_reader", &why);
        } else if (job_is_ready(reader) && job_take(j, &t, &why) != FAIL_NONE) {
            log_fault(LOG_LEVEL_ERROR, "job.not_taken", &why);
        }
        if (t != NULL) {
            work_on(j, reader, t);
            job_taken_free(t);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_S;
        pthread_mutex_lock(&j->lock);
        if (seen == j->generation && !__atomic_load_n(&j->stopping, __ATOMIC_SEQ_CST)) {
            (void)pthread_cond_timedwait(&j->wake, &j->lock, &until);
        }
        pthread_mutex_unlock(&j->lock);
    }
    store_reader_close(reader);
    return NULL;
}

/* ---- the watcher ---- */

/* One job's progress and lease; a copy, for the write is made without the lock. */
static void look_at(struct jobs *j, const struct job_work *at)
{
    struct job_work copy;
    struct fault why;
    int64_t now = clock_monotonic_us();
    bool found = false, renew = false, late = false;
    pthread_mutex_lock(&j->lock);
    for (struct job_work *w = j->working; w != NULL; w = w->next) {
        if (w == at) {
            renew = now - w->renewed_us >= RENEW_US;
            late = now >= w->due_us;
            found = w->moved || renew;
            w->moved = false;
            w->renewed_us = renew ? now : w->renewed_us;
            copy = *w;
        }
    }
    pthread_mutex_unlock(&j->lock);
    if (late) {
        job_stop_work(j, &copy.job, FAIL_DEADLINE);
    }
    if (found && job_note(j, &copy, renew, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "job.not_renewed", &why);
    }
}

void *job_watch(void *arg)
{
    struct jobs *j = arg;
    struct fault why;
    int64_t looked_us = 0;
    while (!__atomic_load_n(&j->stopping, __ATOMIC_SEQ_CST)) {
        struct job_work *at[16];
        size_t n = 0;
        pthread_mutex_lock(&j->lock);
        for (struct job_work *w = j->working; w != NULL && n < COUNT_OF(at); w = w->next) {
            at[n++] = w;
        }
        pthread_mutex_unlock(&j->lock);
        for (size_t i = 0; i < n; i++) {
            look_at(j, at[i]);
        }
        if (clock_monotonic_us() - looked_us > RENEW_US) {
            looked_us = clock_monotonic_us();
            if (job_take_back(j, false, &why) != FAIL_NONE) {
                log_fault(LOG_LEVEL_WARN, "job.not_taken_back", &why);
            }
        }
        struct timespec nap = {.tv_nsec = 300000000L};
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}
