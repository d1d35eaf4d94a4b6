/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program reaches the house through: its asks become tasks, its prompts are rendered by a
 * worker, its steps become rows and records. A program's thread waits here; what it waits for is
 * answered on the core thread. Whoever leaves last frees what both hold: a thread that was told to
 * stop does not wait for an answer that may never come.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "work/job/job_internal.h"

#define ASK_BYTES ((size_t)900 * 1024)
#define ASK_MS 60000
#define STOP_WAIT_MS 3000 /* for answers to cancelled asks */
#define LOOK_MS 200

struct host {
    struct jobs *jobs;
    struct job_work *work;
    const struct job_taken *taken;
    enum secrecy label;
    int64_t step_place;
};

/* ---- a lot of asks ---- */

/* What came back for one, until its thread takes it: on the heap. */
struct ask_slot {
    struct ask_lot *lot;
    uint64_t handle;
    bool done;
    enum fail code;
    struct fault why;
    char *text;
    bool cut;
    double *probs;
    size_t probs_len;
    float *vectors;
    size_t dim, vectors_len;
    struct program_answer_field *fields; /* strings are its own */
    size_t fields_len;
    char model[128];
    enum ladder_rung rung;
    struct id task;
    int64_t tokens_in, tokens_cached, tokens_out, cost;
    double ms;
};

struct ask_lot {
    pthread_mutex_t lock;
    pthread_cond_t done;
    size_t n, open;
    double machine_hour;
    int holders; /* the thread, and one a slot that is not answered */
    struct ask_slot slots[PROGRAM_ASKS_MAX];
};

static void lot_free(struct ask_lot *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct ask_slot *s = &l->slots[i];
        mem_free(s->text);
        mem_free(s->probs);
        mem_free(s->vectors);
        for (size_t k = 0; k < s->fields_len; k++) {
            mem_free((char *)s->fields[k].name);
            mem_free((char *)s->fields[k].value);
        }
        mem_free(s->fields);
    }
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static void lot_leave(struct ask_lot *l)
{
    pthread_mutex_lock(&l->lock);
    bool last = --l->holders == 0;
    pthread_mutex_unlock(&l->lock);
    if (last) {
        lot_free(l);
    }
}

static void copy_fields(struct ask_slot *s, const struct ladder_climb *c)
{
    const struct ladder_form *form = c->form;
    s->fields = mem_alloc_array(form->fields_len, sizeof(*s->fields));
    s->fields_len = form->fields_len;
    for (size_t i = 0; i < form->fields_len; i++) {
        const struct ladder_proposal *p = &c->held[i];
        s->fields[i] = (struct program_answer_field){
            .name = mem_dup_str(form->fields[i].name),
            .value = mem_dup_str(p->set && p->value != NULL ? p->value : ""),
            .confidence = p->set ? p->confidence : 0,
            .rung = p->set ? p->rung : LADDER_PERSON,
            .open = !p->closed};
        s->rung = p->set && p->rung > s->rung ? p->rung : s->rung;
    }
}

static void copy_decided(struct ask_slot *s, const struct task_decided *d)
{
    s->probs = mem_alloc_array(s->probs_len, sizeof(*s->probs));
    memcpy(s->probs, d->probs, s->probs_len * sizeof(*s->probs));
}

/* What the machine's time costs, in nano-units. */
static int64_t machine_cost(double hour, double ms)
{
    double nano = hour * ms / 3600000 * 1e9;
    return nano > 0 && nano < 9e15 ? (int64_t)nano : 0;
}

/* Core thread. */
static void on_answer(void *arg, const struct task_result *r)
{
    struct ask_slot *s = arg;
    struct ask_lot *l = s->lot;
    pthread_mutex_lock(&l->lock);
    s->code = r->code;
    if (r->code != FAIL_NONE) {
        s->why = r->why != NULL ? *r->why : (struct fault){.code = r->code};
    }
    s->task = r->task;
    s->ms = r->ms;
    s->tokens_in = r->tokens_in;
    s->tokens_cached = r->tokens_cached;
    s->tokens_out = r->tokens_out;
    s->cost = r->cost + machine_cost(l->machine_hour, r->ms);
    (void)text_copy(s->model, sizeof(s->model), r->model != NULL ? r->model : "");
    if (r->code == FAIL_NONE && r->generated != NULL) {
        s->text = mem_dup_str(r->generated->text);
        s->cut = strcmp(r->generated->finish_reason, "length") == 0;
    } else if (r->code == FAIL_NONE && r->decided != NULL) {
        copy_decided(s, r->decided);
    } else if (r->code == FAIL_NONE && r->vectors != NULL) {
        s->dim = r->dim;
        s->vectors_len = r->vectors_len;
        s->vectors = mem_dup(r->vectors, r->vectors_len * r->dim * sizeof(*s->vectors));
    } else if (r->code == FAIL_NONE && r->climb != NULL) {
        copy_fields(s, r->climb);
    }
    s->done = true;
    l->open--;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    lot_leave(l);
}

/* ---- asking ---- */

static char *chat_json(const struct program_ask *a, size_t *len)
{
    struct buf b;
    struct jn_writer w;
    buf_init(&b, ASK_BYTES);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_key(&w, "messages");
    jn_array_begin(&w);
    if (a->system != NULL && a->system[0] != '\0') {
        jn_object_begin(&w);
        jn_kv_str(&w, "role", "system");
        jn_kv_str(&w, "content", a->system);
        jn_object_end(&w);
    }
    jn_object_begin(&w);
    jn_kv_str(&w, "role", "user");
    jn_kv_str(&w, "content", a->text);
    jn_object_end(&w);
    jn_array_end(&w);
    jn_kv_int(&w, "max_tokens", a->max_tokens > 0 ? a->max_tokens : 256);
    if (a->stop != NULL && a->stop[0] != '\0') {
        jn_key(&w, "stop");
        jn_array_begin(&w);
        jn_put_str(&w, a->stop);
        jn_array_end(&w);
    }
    if (a->schema != NULL) {
        jn_key(&w, "json_schema");
        jn_put_raw(&w, a->schema, strlen(a->schema));
    }
    jn_object_end(&w);
    if (b.overflow) {
        buf_done(&b);
        return NULL;
    }
    *len = b.len;
    return buf_take(&b);
}

/* The record's input of a decision: the whole question. */
static char *decide_json(const struct program_ask *a, size_t *len)
{
    struct buf b;
    struct jn_writer w;
    buf_init(&b, ASK_BYTES);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "intro", a->system);
    jn_kv_str(&w, "text", a->text);
    jn_kv_str(&w, "question", a->question);
    jn_key(&w, "labels");
    jn_array_begin(&w);
    for (size_t i = 0; i < a->labels_len; i++) {
        jn_put_str(&w, a->labels[i]);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    if (b.overflow) {
        buf_done(&b);
        return NULL;
    }
    *len = b.len;
    return buf_take(&b);
}

static enum fail submit(struct host *h, const struct program_ask *a, struct ask_slot *s,
                        struct fault *why)
{
    AUTO_FREE char *json = NULL;
    struct task_question question = {a->question, a->labels, a->labels_len, 0.5};
    struct task_request r = {.who = h->taken->who,
                             .class = IPC_WORKFLOW,
                             .deadline_ms = a->deadline_ms > 0 ? a->deadline_ms : ASK_MS,
                             .label = h->label,
                             .model = a->model != NULL          ? a->model
                                      : a->kind == PROGRAM_EMBED ? "embed"
                                                                 : "light",
                             .on_done = on_answer,
                             .arg = s};
    switch (a->kind) {
    case PROGRAM_CHAT:
        r.kind = TASK_CHAT;
        r.max_tokens = a->max_tokens > 0 ? a->max_tokens : 256;
        json = chat_json(a, &r.ask_len);
        break;
    case PROGRAM_DECIDE:
        r.kind = TASK_DECIDE;
        r.text = a->text;
        r.intro = a->system != NULL ? a->system : "";
        r.questions = &question;
        r.questions_len = 1;
        s->probs_len = a->labels_len;
        json = decide_json(a, &r.ask_len);
        break;
    case PROGRAM_FORM:
        r.kind = TASK_FORM;
        r.workflow = a->workflow;
        r.text = a->text;
        r.no_artifact = true;
        break;
    case PROGRAM_EMBED:
        r.kind = TASK_EMBED;
        r.texts = a->texts;
        r.texts_len = a->texts_len;
        break;
    }
    r.ask_json = json;
    if (json == NULL && (a->kind == PROGRAM_CHAT || a->kind == PROGRAM_DECIDE)) {
        return FAULT(why, FAIL_TOO_LARGE, "a question to a model has over %zu KiB",
                     ASK_BYTES >> 10);
    }
    s->handle = task_submit(h->jobs->house.desk, &r);
    return FAIL_NONE;
}

/* The thread's wait: until all are answered, or it was told to stop and they did not end soon. */
static void wait_for(struct host *h, struct ask_lot *l)
{
    bool cancelled = false;
    int64_t left = STOP_WAIT_MS;
    pthread_mutex_lock(&l->lock);
    while (l->open > 0 && left > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&l->done, &l->lock, &until);
        if (!job_is_stopped(h->work)) {
            continue;
        }
        left -= LOOK_MS;
        for (size_t i = 0; !cancelled && i < l->n; i++) {
            if (!l->slots[i].done) {
                task_cancel(h->jobs->house.desk, l->slots[i].handle);
            }
        }
        cancelled = true;
    }
    pthread_mutex_unlock(&l->lock);
}

/* Under the lot's lock. */
static void take_answer(struct ask_slot *s, struct arena *arena, struct program_answer *out)
{
    if (!s->done) {
        out->code = FAULT(&out->why, FAIL_STOPPED, "the job was told to stop");
        return;
    }
    out->code = s->code;
    out->why = s->why;
    /* A role that nothing serves, or a name that is not there, is no fault of the run. */
    if (s->code == FAIL_NOT_FOUND) {
        out->code = out->why.code = FAIL_MODEL_UNAVAILABLE;
    }
    out->model = arena_dup_str(arena, s->model);
    out->rung = s->rung;
    out->task = s->task;
    out->tokens_in = s->tokens_in;
    out->tokens_cached = s->tokens_cached;
    out->tokens_out = s->tokens_out;
    out->ms = s->ms;
    out->cost = s->cost;
    out->cut = s->cut;
    size_t vectors = s->vectors_len * s->dim * sizeof(float);
    size_t text = s->text != NULL ? strlen(s->text) : 0;
    if (!arena_has_room(arena, vectors + text + 65536)) {
        out->code = FAULT(&out->why, FAIL_TOO_LARGE, "the run has no room for another answer");
        return;
    }
    if (s->text != NULL) {
        out->text = arena_dup_str(arena, s->text);
        out->len = text;
    }
    if (s->vectors != NULL) {
        out->vectors = arena_dup(arena, s->vectors, vectors);
        out->dim = s->dim;
    }
    if (s->probs != NULL) {
        out->probs = arena_dup(arena, s->probs, s->probs_len * sizeof(*s->probs));
        for (size_t i = 1; i < s->probs_len; i++) {
            out->best = s->probs[i] > s->probs[out->best] ? i : out->best;
        }
    }
    if (s->fields != NULL) {
        struct program_answer_field *f = arena_dup(arena, s->fields,
                                                   s->fields_len * sizeof(*s->fields));
        for (size_t i = 0; i < s->fields_len; i++) {
            f[i].name = arena_dup_str(arena, f[i].name);
            f[i].value = arena_dup_str(arena, f[i].value);
        }
        out->fields = f;
        out->fields_len = s->fields_len;
    }
}

/* ---- is a model there ---- */

struct look {
    struct jobs *jobs;
    char model[128];
    bool there, done;
    int holders;
    pthread_mutex_t lock;
    pthread_cond_t ready;
};

static void look_leave(struct look *k)
{
    pthread_mutex_lock(&k->lock);
    bool last = --k->holders == 0;
    pthread_mutex_unlock(&k->lock);
    if (last) {
        pthread_cond_destroy(&k->ready);
        pthread_mutex_destroy(&k->lock);
        mem_free(k);
    }
}

static bool is_served(const struct job_house *h, const char *model)
{
    struct fleet_model m;
    enum fleet_role role = fleet_role_find(model);
    const char *pool = role == FLEET_LIGHT ? h->light : role == FLEET_HEAVY ? h->heavy : NULL;
    if (h->fleet == NULL) {
        return false;
    }
    if (role == FLEET_ROLE_COUNT) {
        return true; /* a name: the task finds it, or loads it */
    }
    fleet_model_get(h->fleet, role, &m);
    return m.state == FLEET_READY || m.state == FLEET_STARTING || (pool != NULL && *pool != '\0');
}

/* Core thread. */
static void look_now(void *arg)
{
    struct look *k = arg;
    pthread_mutex_lock(&k->lock);
    k->there = is_served(&k->jobs->house, k->model);
    k->done = true;
    pthread_cond_signal(&k->ready);
    pthread_mutex_unlock(&k->lock);
    look_leave(k);
}

/* The core loop answers within a step, unless it has stopped for good. */
static bool wait_ready(struct host *h, pthread_cond_t *ready, pthread_mutex_t *lock,
                       const bool *done)
{
    int64_t left = STOP_WAIT_MS;
    while (!*done && left > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(ready, lock, &until);
        left -= job_is_stopped(h->work) ? LOOK_MS : 0;
    }
    return *done;
}

static bool host_has_model(void *arg, const char *model)
{
    struct host *h = arg;
    struct look *k = mem_alloc(sizeof(*k));
    k->jobs = h->jobs;
    k->holders = 2;
    (void)text_copy(k->model, sizeof(k->model), model != NULL ? model : "light");
    ASSERT(pthread_mutex_init(&k->lock, NULL) == 0 && pthread_cond_init(&k->ready, NULL) == 0);
    loop_post(h->jobs->house.loop, look_now, k);
    pthread_mutex_lock(&k->lock);
    bool there = wait_ready(h, &k->ready, &k->lock, &k->done) && k->there;
    pthread_mutex_unlock(&k->lock);
    look_leave(k);
    return there;
}

static void host_ask(void *arg, const struct program_ask *asks, size_t n, struct arena *arena,
                     struct program_answer *out)
{
    struct host *h = arg;
    struct ask_lot *l = mem_alloc(sizeof(*l));
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0 && pthread_cond_init(&l->done, NULL) == 0);
    l->n = n;
    l->machine_hour = h->jobs->house.machine_hour;
    l->holders = 1;
    for (size_t i = 0; i < n; i++) {
        const struct program_ask *a = &asks[i];
        struct ask_slot *s = &l->slots[i];
        const char *model = a->model != NULL ? a->model : a->kind == PROGRAM_EMBED ? "embed"
                                                                                  : "light";
        s->lot = l;
        s->rung = a->kind == PROGRAM_FORM           ? LADDER_REUSE
                  : strcmp(model, "heavy") == 0 ? LADDER_HEAVY
                                                : LADDER_LIGHT;
        if (a->kind != PROGRAM_FORM && !host_has_model(h, model)) {
            s->code = FAULT(&s->why, FAIL_MODEL_UNAVAILABLE, "no model serves \"%.64s\"", model);
            s->done = true;
            continue;
        }
        pthread_mutex_lock(&l->lock);
        l->open++;
        l->holders++;
        pthread_mutex_unlock(&l->lock);
        if (submit(h, a, s, &s->why) != FAIL_NONE) {
            pthread_mutex_lock(&l->lock);
            s->code = s->why.code;
            s->done = true;
            l->open--;
            l->holders--;
            pthread_mutex_unlock(&l->lock);
        }
    }
    wait_for(h, l);
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < n; i++) {
        take_answer(&l->slots[i], arena, &out[i]);
    }
    pthread_mutex_unlock(&l->lock);
    lot_leave(l);
}

/* ---- rendering ---- */

struct render {
    struct jobs *jobs;
    char *body;
    size_t len;
    enum fail code;
    struct fault why;
    char *text;
    bool done;
    int holders;
    pthread_mutex_t lock;
    pthread_cond_t ready;
};

static void render_leave(struct render *x)
{
    pthread_mutex_lock(&x->lock);
    bool last = --x->holders == 0;
    pthread_mutex_unlock(&x->lock);
    if (last) {
        pthread_cond_destroy(&x->ready);
        pthread_mutex_destroy(&x->lock);
        mem_free(x->body);
        mem_free(x->text);
        mem_free(x);
    }
}

/* Core thread. */
static void on_rendered(void *arg, const struct fleet_answer *a)
{
    struct render *x = arg;
    pthread_mutex_lock(&x->lock);
    x->code = a->code;
    if (a->code != FAIL_NONE) {
        x->why = a->why != NULL ? *a->why : (struct fault){.code = a->code};
    } else {
        x->text = mem_dup_strn(a->body, a->body_len);
    }
    x->done = true;
    pthread_cond_signal(&x->ready);
    pthread_mutex_unlock(&x->lock);
    render_leave(x);
}

/* Core thread: any worker that generates renders. */
static void render_now(void *arg)
{
    struct render *x = arg;
    struct fleet *fleet = x->jobs->house.fleet;
    enum fleet_role role = fleet != NULL && fleet_is_serving(fleet, FLEET_LIGHT) ? FLEET_LIGHT
                                                                                : FLEET_HEAVY;
    if (fleet == NULL) {
        struct fault why;
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "no worker is there to render a prompt");
        on_rendered(x, &(struct fleet_answer){.code = FAIL_MODEL_UNAVAILABLE, .why = &why});
        return;
    }
    struct fleet_ask ask = {.role = role,
                            .type = IPC_RENDER,
                            .body = x->body,
                            .len = x->len,
                            .class = IPC_WORKFLOW,
                            .deadline_us = clock_monotonic_us() + (int64_t)ASK_MS * 1000,
                            .done = on_rendered,
                            .arg = x};
    (void)fleet_ask(fleet, &ask);
}

static enum fail host_render(void *arg, const char *text, const char *vars_json, int64_t now_s,
                             struct arena *arena, const char **out, struct fault *why)
{
    struct host *h = arg;
    struct buf b;
    struct jn_writer w;
    buf_init(&b, ASK_BYTES);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "template", text);
    jn_key(&w, "vars");
    jn_put_raw(&w, vars_json, strlen(vars_json));
    jn_kv_int(&w, "now", now_s);
    jn_object_end(&w);
    if (b.overflow) {
        buf_done(&b);
        return FAULT(why, FAIL_TOO_LARGE, "a prompt with its values has over %zu KiB",
                     ASK_BYTES >> 10);
    }
    struct render *x = mem_alloc(sizeof(*x));
    x->jobs = h->jobs;
    x->len = b.len;
    x->body = buf_take(&b);
    x->holders = 2;
    ASSERT(pthread_mutex_init(&x->lock, NULL) == 0 && pthread_cond_init(&x->ready, NULL) == 0);
    loop_post(h->jobs->house.loop, render_now, x);
    pthread_mutex_lock(&x->lock);
    enum fail f = FAIL_NONE;
    if (!wait_ready(h, &x->ready, &x->lock, &x->done)) {
        f = FAULT(why, FAIL_STOPPED, "the job was told to stop");
    } else if (x->code != FAIL_NONE) {
        f = x->code;
        *why = x->why;
    } else if (!arena_has_room(arena, strlen(x->text) + 4096)) {
        f = FAULT(why, FAIL_TOO_LARGE, "the run has no room for another prompt");
    } else {
        *out = arena_dup_str(arena, x->text);
    }
    pthread_mutex_unlock(&x->lock);
    render_leave(x);
    return f;
}

/* ---- steps, progress, stop ---- */

struct stepping {
    struct host *host;
    const struct program_step_done *done;
};

static enum fail step_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct stepping *x = arg;
    const struct program_step_done *d = x->done;
    const struct job_taken *t = x->host->taken;
    struct job_step step = {.tokens_in = d->tokens_in, .tokens_out = d->tokens_out,
                            .cost = d->cost};
    int64_t leaf = 0;
    enum fail f = job_record(tx, x->host->jobs, AUDIT_KIND_JOB_STEP, &t->id, &t->who, t->release,
                             d->name, &step, &leaf, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO job_step (job, lease, place, name, ms, asks, tokens_in, "
                           "tokens_cached, tokens_out, cost, ended_at, leaf) VALUES (?1, ?2, ?3, "
                           "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
    store_bind_id(s, 1, &t->id);
    store_bind_int(s, 2, t->lease);
    store_bind_int(s, 3, x->host->step_place);
    store_bind_text(s, 4, d->name);
    store_bind_real(s, 5, d->ms);
    store_bind_int(s, 6, d->asks);
    store_bind_int(s, 7, d->tokens_in);
    store_bind_int(s, 8, d->tokens_cached);
    store_bind_int(s, 9, d->tokens_out);
    store_bind_int(s, 10, d->cost);
    store_bind_int(s, 11, clock_now_us());
    store_bind_int(s, 12, leaf);
    return store_run(s, why);
}

static void host_step(void *arg, const struct program_step_done *done)
{
    struct host *h = arg;
    struct stepping x = {h, done};
    struct fault why;
    /* A run whose steps cannot be recorded goes nowhere: it is stopped and tried again. */
    if (store_write_wait(h->jobs->house.store, step_write, &x, &why) != FAIL_NONE) {
        job_stop_work(h->jobs, &h->taken->id, FAIL_RECORD_UNAVAILABLE);
    }
    h->step_place++;
}

static void host_progress(void *arg, double share, const char *step, const char *note)
{
    struct host *h = arg;
    pthread_mutex_lock(&h->jobs->lock);
    h->work->share = share;
    (void)text_copy(h->work->stage, sizeof(h->work->stage), step);
    (void)text_copy(h->work->note, sizeof(h->work->note), note != NULL ? note : "");
    h->work->moved = true;
    pthread_mutex_unlock(&h->jobs->lock);
}

static bool host_is_cancelled(void *arg)
{
    return job_is_stopped(((struct host *)arg)->work);
}

void job_host(struct jobs *j, struct job_work *w, const struct job_taken *t,
              enum secrecy label, struct program_host *out)
{
    struct host *h = mem_alloc(sizeof(*h));
    *h = (struct host){.jobs = j, .work = w, .taken = t, .label = label};
    *out = (struct program_host){.arg = h,
                                 .ask = host_ask,
                                 .has_model = host_has_model,
                                 .render = host_render,
                                 .step = host_step,
                                 .progress = host_progress,
                                 .is_cancelled = host_is_cancelled,
                                 .store = j->house.store,
                                 .reader = w->reader,
                                 .reader_path = j->house.reader_path};
}
