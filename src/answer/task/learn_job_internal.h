/* SPDX-License-Identifier: Apache-2.0 */
/* A learning job: what its stages share. Core thread, but for what a comment gives to crunch. */
#pragma once

#include "answer/task/task_internal.h"

#define LEARN_JOB_SAMPLE 48 /* examples that the light model answers; the heavy one fewer */

/* One example that a rung was asked alone. */
struct sample {
    size_t example;
    struct ladder_signals said[LADDER_MAX_FIELDS];
    const char *value[LADDER_MAX_FIELDS]; /* the job's arena */
    bool given[LADDER_MAX_FIELDS];
    bool right[LADDER_MAX_FIELDS];
};

struct learn_job {
    struct task_desk *desk;
    struct arena *arena;
    struct principal who;
    const char *workflow;
    struct ladder_form *form;
    struct shelf *shelf;
    struct task_example *examples;
    /* Subject and text as one: of the examples, then what hints at a label (paragraphs of articles,
       the labels' own names), then the unlabelled ones. */
    const char **inputs;
    struct hint *hints;
    size_t n, extra, traffic;
    bool measure_models;
    task_learn_progress_fn progress;
    task_learn_done_fn done;
    void *arg;
    int64_t started_us;

    float *vectors;
    size_t dim, embedded;
    char embed[65]; /* the model that made them */

    const char **langs; /* of the n examples */
    struct headset *heads;
    struct learn_report reports[LADDER_MAX_FIELDS];
    struct extract_report found[LADDER_MAX_FIELDS]; /* of values found in the text */
    bool trained[LADDER_MAX_FIELDS]; /* a head of choices: reports is of it */
    bool trained_found[LADDER_MAX_FIELDS];
    size_t left_out[LADDER_MAX_FIELDS]; /* examples whose value the form does not know */
    uint32_t *told[LADDER_MAX_FIELDS];  /* by example: its place in the report's oof, from 1 */
    int training_field;
    struct fault why;
    enum fail code;

    enum ladder_rung rung; /* being measured */
    struct sample samples[LEARN_JOB_SAMPLE];
    size_t samples_len, samples_done;
    int64_t stage_us; /* when this rung's measuring, or the embedding, began */
    struct trials *trials;
    struct ladder_choice choice;
    char measured[LADDER_RUNG_COUNT][65];
    struct ladder_evidence evidence[LADDER_MAX_FIELDS][LADDER_RUNG_COUNT];
    struct certify_result proof[LADDER_MAX_FIELDS][LADDER_RUNG_COUNT];
    double delta; /* a rung's part of a field's certainty */
    struct compose_model model;
    struct compose_fit fit;
    bool calibrated;
    struct learn_head *article_head; /* over the articles, NULL: none */
    struct buf article_blob;
    size_t questions; /* past tickets stored beside their articles */
    size_t replies;   /* past replies stored */
    struct shelf *fresh;
    struct buf report;
};

/* learn_job.c */
void learn_job_fail(struct learn_job *j, const struct fault *why);
/* The test that a certificate comes from; its threshold into the evidence. */
void learn_job_prove(struct learn_job *j, size_t field, enum ladder_rung rung, const double *score,
                     const bool *right, size_t n);
void learn_job_store(struct learn_job *j); /* the last stage: one write, then the heads serve */
/* found_learn.c: on a crunch thread, the head of a field whose values are found in the text; no
   head when no example gives it, FAIL_NONE too. */
enum fail found_learn(struct learn_job *j, size_t field, const struct learn_progress *progress,
                      struct fault *why);
/* past_replies.c: the examples' replies, as templates. */
MUST_CHECK enum fail past_replies_write(struct store_tx *tx, struct learn_job *j,
                                        struct fault *why);
/* learn_measure.c: asks the loaded models a sample, fits their evidence, chooses the climb; ends in
   learn_job_store or learn_job_fail. */
void learn_job_measure(struct learn_job *j);
