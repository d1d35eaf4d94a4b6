/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learning's measurements: each loaded model answers a spread sample of the examples alone, as
 * ordinary tasks; its confidence is calibrated and its threshold tested on them, and the climbs
 * are compared on the tasks that all rungs answered.
 * Owns: nothing. Threads: core; choosing on a crunch thread. Limits: LEARN_JOB_SAMPLE examples.
 */
#include <stdio.h>
#include <string.h>

#include "answer/task/learn_job_internal.h"
#include "base/clock/clock.h"

#define SAMPLE_HEAVY 12

static void choose_start(struct learn_job *j);
static void measure_start(struct learn_job *j, enum ladder_rung rung);

/* What the head said of an example it had not seen, NULL: nothing. */
static const struct learn_oof *told(const struct learn_job *j, size_t field, size_t example)
{
    uint32_t at = j->trained[field] ? j->told[field][example] : 0;
    return at > 0 && at <= j->reports[field].n ? &j->reports[field].oof[at - 1] : NULL;
}

/* Whether the learned rung agrees, as in a climb: but out of fold. */
static double agreement(const struct learn_job *j, size_t field, size_t example, const char *value)
{
    const struct learn_oof *o = told(j, field, example);
    if (o == NULL) {
        return 0;
    }
    const char *label = learn_head_label(j->heads->head[field], o->answered);
    return strcmp(label, value) == 0 ? (double)o->confidence : -(double)o->confidence;
}

static void fit_field(struct learn_job *j, size_t f)
{
    struct ladder_signals said[LEARN_JOB_SAMPLE];
    size_t example[LEARN_JOB_SAMPLE], n = 0;
    double held_out[LEARN_JOB_SAMPLE], score[LEARN_JOB_SAMPLE],
        target = j->form->fields[f].target_error;
    bool right[LEARN_JOB_SAMPLE];
    for (size_t i = 0; i < j->samples_len; i++) {
        const struct sample *s = &j->samples[i];
        if (s->given[f]) {
            said[n] = s->said[f];
            said[n].agree = agreement(j, f, s->example, s->value[f]);
            example[n] = s->example;
            right[n++] = s->right[f];
        }
    }
    if (n == 0) {
        return;
    }
    struct ladder_evidence *e = &j->evidence[f][j->rung];
    ladder_fit_evidence(said, right, n, target, j->delta, e, held_out);
    e->class = LADDER_HISTORY;
    for (size_t i = 0; i < n; i++) {
        score[i] = ladder_calibrate(e, &said[i]);
    }
    learn_job_prove(j, f, j->rung, score, right, n);
    for (size_t i = 0; i < n; i++) {
        const struct learn_oof *o = told(j, f, example[i]);
        trials_add(j->trials, example[i], f, j->rung, held_out[i], right[i], target);
        if (o != NULL) {
            trials_add(j->trials, example[i], f, LADDER_LEARNED, (double)o->confidence,
                       o->answered == o->truth, target);
        }
    }
}

static void fit_rung(struct learn_job *j)
{
    trials_cost(j->trials, j->rung, clock_ms_since(j->stage_us) / (double)j->samples_len);
    for (size_t i = 0; i < j->samples_len; i++) {
        trials_asked(j->trials, j->samples[i].example, j->rung);
        trials_asked(j->trials, j->samples[i].example, LADDER_LEARNED);
    }
    for (size_t f = 0; f < j->form->fields_len; f++) {
        fit_field(j, f);
    }
}

struct measured_task {
    struct learn_job *job;
    struct sample *sample;
};

static void on_measured(void *arg, const struct task_result *r)
{
    struct measured_task *m = arg;
    struct learn_job *j = m->job;
    const struct task_example *x = &j->examples[m->sample->example];
    for (size_t f = 0; r->climb != NULL && f < j->form->fields_len; f++) {
        const struct ladder_proposal *p = &r->climb->held[f];
        enum ladder_type type = j->form->fields[f].type;
        bool found = ladder_type_is_found(type);
        if ((type == LADDER_CHOICE || found) && p->set && p->rung == j->rung &&
            x->values[f] != NULL) {
            m->sample->given[f] = true;
            m->sample->said[f] = r->climb->heard[f][j->rung].signals;
            m->sample->value[f] = arena_dup_str(j->arena, p->value);
            m->sample->right[f] =
                found ? extract_same(ladder_type_kind(type), p->value, x->values[f])
                      : strcmp(p->value, x->values[f]) == 0;
        }
    }
    mem_free(m);
    j->samples_done++;
    char stage[64];
    snprintf(stage, sizeof(stage), "measure %s", ladder_rung_name(j->rung));
    j->progress(j->arg, stage, j->samples_done, j->samples_len);
    if (j->samples_done == j->samples_len) {
        struct fleet_model now;
        fleet_model_get(j->desk->house.fleet, j->rung == LADDER_LIGHT ? FLEET_LIGHT : FLEET_HEAVY,
                        &now);
        if (strcmp(now.sha256, j->measured[j->rung]) == 0) {
            fit_rung(j);
        } else { /* replaced meanwhile: the answers are of two models, evidence of neither */
            j->measured[j->rung][0] = '\0';
        }
        if (j->rung == LADDER_LIGHT) {
            measure_start(j, LADDER_HEAVY);
        } else {
            choose_start(j);
        }
    }
}

/* The rung alone answers a spread sample of the examples, under a form without evidence. */
static void measure_start(struct learn_job *j, enum ladder_rung rung)
{
    enum fleet_role role = rung == LADDER_LIGHT ? FLEET_LIGHT : FLEET_HEAVY;
    size_t most = rung == LADDER_LIGHT ? LEARN_JOB_SAMPLE : SAMPLE_HEAVY;
    struct fleet_model m;
    fleet_model_get(j->desk->house.fleet, role, &m);
    if (!j->measure_models || m.state != FLEET_READY) {
        if (rung == LADDER_LIGHT) {
            measure_start(j, LADDER_HEAVY);
        } else {
            choose_start(j);
        }
        return;
    }
    j->rung = rung;
    j->stage_us = clock_monotonic_us();
    memcpy(j->measured[rung], m.sha256, sizeof(j->measured[rung]));
    j->samples_len = j->n < most ? j->n : most;
    j->samples_done = 0;
    memset(j->samples, 0, sizeof(j->samples));
    for (size_t i = 0; i < j->samples_len; i++) {
        struct measured_task *mt = mem_alloc(sizeof(*mt));
        j->samples[i].example = i * j->n / j->samples_len;
        mt->job = j;
        mt->sample = &j->samples[i];
        const struct task_example *x = &j->examples[j->samples[i].example];
        struct task_request r = {.kind = TASK_FORM, .who = j->who, .class = IPC_BATCH,
                                 .workflow = j->workflow, .input_id = x->id,
                                 .subject = x->subject, .text = x->text, .rungs = 1u << rung,
                                 .no_draft = true, .no_artifact = true, .choices_only = true,
                                 .form = j->form, .on_done = on_measured, .arg = mt};
        task_submit(j->desk, &r);
    }
}

/* ---- which rungs are worth asking ---- */

static void choose_work(void *arg)
{
    struct learn_job *j = arg;
    trials_choose(j->trials, &j->desk->house.costs, &j->choice);
}

static void choose_done(void *arg)
{
    struct learn_job *j = arg;
    j->form->skip = 0;
    mem_free(j->form->choice);
    j->form->choice = NULL;
    if (j->choice.options_len > 1) {
        j->form->skip = choice_skip(&j->choice);
        j->form->choice = choice_text(&j->choice);
    }
    learn_job_store(j);
}

static void choose_start(struct learn_job *j)
{
    struct fault why;
    if (pool_submit(j->desk->house.crunch, choose_work, j, j->desk->house.loop, choose_done,
                    &why) != FAIL_NONE) {
        learn_job_fail(j, &why);
    }
}

void learn_job_measure(struct learn_job *j)
{
    measure_start(j, LADDER_LIGHT);
}
