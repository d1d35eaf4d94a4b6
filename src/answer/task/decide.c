/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions: independent questions about one text, each a form of one scored choice. All of them
 * share the text's decoded prefix in the worker, so it is decoded once and every question adds its
 * own words and one pass.
 * Owns: the task's decision (plans; the rest lies in its arena). Threads: core. Limits:
 * TASK_QUESTIONS_MAX questions, DECIDE_OPEN_MAX of them asked at once.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define DECIDE_OPEN_MAX 8

/* One question at the fleet. */
struct question {
    struct task *task;
    struct task_question is;
    struct task_decided decided;
    struct form_plan *plan;
    uint64_t ask; /* 0: not open */
    const char *value;
};

struct decision {
    struct question *questions;
    size_t n, next, open;
    const char *intro;
    struct task_decided *answers;
    bool failed;
    bool answered;    /* at least one */
    bool other_model; /* one question was answered by a model that replaced the others' */
    struct fault why;
};

void decide_take(struct task *t, const struct task_request *r)
{
    ASSERT(r->questions_len > 0 && r->questions_len <= TASK_QUESTIONS_MAX);
    struct decision *d = arena_alloc(t->arena, sizeof(*d));
    d->n = r->questions_len;
    d->questions = arena_alloc(t->arena, d->n * sizeof(*d->questions));
    d->answers = arena_alloc(t->arena, d->n * sizeof(*d->answers));
    d->intro = arena_dup_str(t->arena, r->intro);
    t->text = arena_dup_str(t->arena, r->text);
    for (size_t i = 0; i < d->n; i++) {
        const struct task_question *from = &r->questions[i];
        struct question *q = &d->questions[i];
        const char **labels = arena_alloc(t->arena, from->labels_len * sizeof(*labels));
        for (size_t k = 0; k < from->labels_len; k++) {
            labels[k] = arena_dup_str(t->arena, from->labels[k]);
        }
        q->task = t;
        q->is = *from;
        q->is.ask = arena_dup_str(t->arena, from->ask);
        q->is.labels = labels;
    }
    t->decision = d;
}

void decide_free(struct task *t)
{
    for (size_t i = 0; t->decision != NULL && i < t->decision->n; i++) {
        form_plan_free(t->decision->questions[i].plan);
    }
}

const struct task_decided *decide_answers(const struct task *t)
{
    return t->decision->answers;
}

void decide_cancel(struct task *t)
{
    for (size_t i = 0; t->decision != NULL && i < t->decision->n; i++) {
        if (t->decision->questions[i].ask != 0) {
            fleet_cancel(t->desk->house.fleet, t->decision->questions[i].ask);
        }
    }
}

/* What is recorded as the output: each question's answer and its probabilities, in their order. */
static void write_answers(struct task *t)
{
    struct decision *d = t->decision;
    struct jn_writer w;
    jn_begin(&w, &t->json, false);
    jn_array_begin(&w);
    for (size_t i = 0; i < d->n; i++) {
        d->answers[i] = d->questions[i].decided;
        jn_object_begin(&w);
        jn_kv_str(&w, "value", d->questions[i].value);
        jn_kv_real(&w, "mass", d->answers[i].mass, 6);
        jn_key(&w, "probs");
        jn_array_begin(&w);
        for (size_t k = 0; k < d->questions[i].is.labels_len; k++) {
            jn_put_real(&w, d->answers[i].probs[k], 6);
        }
        jn_array_end(&w);
        jn_object_end(&w);
    }
    jn_array_end(&w);
}

static void over(struct task *t)
{
    struct decision *d = t->decision;
    if (!d->failed && d->other_model) {
        d->failed = true;
        FAULT(&d->why, FAIL_MODEL_UNAVAILABLE, "the model was replaced between these questions");
        fail_hint(&d->why, "Send them again: the new model answers.");
    }
    if (d->failed || t->cancelled || t->late) {
        direct_stopped(t, d->failed ? &d->why : NULL);
        return;
    }
    write_answers(t);
    t->state = TASK_DONE;
    record_direct(t, "answered");
}

static void ask_more(struct task *t);

static void on_answer(void *arg, const struct fleet_answer *a)
{
    struct question *q = arg;
    struct task *t = q->task;
    struct decision *d = t->decision;
    q->ask = 0;
    d->open--;
    if (a->code != FAIL_NONE || a->form == NULL || a->form->n_fields != 1) {
        if (!d->failed) {
            d->failed = true;
            if (a->why != NULL) {
                d->why = *a->why;
            } else {
                FAULT(&d->why, FAIL_INTERNAL, "a question came back without its answer");
            }
            decide_cancel(t); /* the answer is all of them or none */
        }
    } else {
        const struct form_field *f = &a->form->fields[0];
        q->decided.probs = arena_dup(t->arena, f->probs, f->n_probs * sizeof(*f->probs));
        q->decided.mass = f->mass;
        q->value = arena_dup_str(t->arena, f->value);
        t->tokens_in += (int)a->form->tokens_in;
        t->tokens_cached += (int)a->form->tokens_cached;
        if (a->sha256 != NULL && strcmp(a->sha256, t->model_sha256) != 0) {
            d->other_model = d->other_model || d->answered;
            memcpy(t->model_sha256, a->sha256, sizeof(t->model_sha256));
        }
        d->answered = true;
    }
    ask_more(t);
}

/* False when the body does not fit a frame. */
static bool write_ask(const struct task *t, const struct question *q, struct buf *body)
{
    struct jn_writer w;
    char domain[128];
    desk_domain(&t->who, NULL, domain, sizeof(domain));
    jn_begin(&w, body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "domain", domain);
    jn_kv_str(&w, "class", ipc_class_name(t->class));
    if (t->adapter[0] != '\0') {
        jn_kv_str(&w, "adapter", t->adapter);
    }
    jn_kv_str(&w, "prefix", t->decision->intro);
    jn_kv_str(&w, "input", t->text);
    jn_kv_bool(&w, "share_input", true);
    jn_kv_str(&w, "suffix", q->is.ask);
    jn_key(&w, "plan");
    form_plan_write(&w, q->plan);
    jn_kv_int(&w, "now", t->now);
    jn_object_end(&w);
    return !body->overflow;
}

static enum fail send(struct task *t, struct question *q, struct fault *why)
{
    struct form_piece piece = {.kind = FORM_CHOICE, .name = "answer", .labels = q->is.labels,
                               .n_labels = q->is.labels_len, .gamma = q->is.correction,
                               .temperature = 1, .mass = true};
    struct buf body;
    q->plan = form_plan_new();
    enum fail f = form_plan_add(q->plan, &piece, why);
    buf_init(&body, IPC_FRAME_MAX);
    if (f == FAIL_NONE && !write_ask(t, q, &body)) {
        f = FAULT(why, FAIL_TOO_LARGE, "a question with its text is larger than %u bytes",
                  IPC_FRAME_MAX);
        fail_param(why, "state");
    }
    if (f == FAIL_NONE) {
        struct fleet_ask ask = {.model = t->model_id,
                                .role = t->role,
                                .type = IPC_FORM,
                                .body = body.data,
                                .len = body.len,
                                .plan = q->plan,
                                .adapter = t->adapter[0] != '\0' ? t->adapter : NULL,
                                .team = t->who.team,
                                .class = t->class,
                                .deadline_us = t->due_us,
                                .done = on_answer,
                                .arg = q};
        q->ask = fleet_ask(t->desk->house.fleet, &ask);
        t->decision->open++;
    }
    buf_done(&body);
    return f;
}

static void ask_more(struct task *t)
{
    struct decision *d = t->decision;
    while (!d->failed && !t->cancelled && !t->late && d->next < d->n &&
           d->open < DECIDE_OPEN_MAX) {
        d->failed = send(t, &d->questions[d->next++], &d->why) != FAIL_NONE;
        if (d->failed) {
            decide_cancel(t);
        }
    }
    if (d->open == 0) {
        over(t);
    }
}

void decide_go_on(struct task *t)
{
    ask_more(t);
}
