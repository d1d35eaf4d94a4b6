/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Train, inside: one training in progress, shared by train.c (checks and order), fit.c (weights)
 * and look.c (what the out-of-fold answers say).
 */
#pragma once

#include "answer/learn/learn_internal.h"

#define LEARN_ALWAYS 255 /* a part: in every fold's training set, in no fold */

struct learn_training {
    const struct learn_example *ex;
    size_t n;
    const struct learn_options *o;
    const struct learn_progress *progress;
    int done, total;
    struct learn_head *h;
    struct learn_matrix m;
    uint32_t *truth; /* a column per example; UINT32_MAX: traffic */
    double *weight;
    uint8_t *part;   /* which fold each example is in, or LEARN_ALWAYS */
    /* The examples answered out of fold: decisions in order, then those of none of the labels.
       What follows is theirs. */
    uint32_t *scored;
    size_t n_scored; /* decisions */
    size_t n_outside;
    uint32_t *scored_truth;
    float *logits; /* (n_scored + n_outside) x stride, out of fold */
    float *shared;   /* the same of the shared covariance; NULL where there is none */
    float *shared_w; /* its weights from all examples: (dim + 1) x stride */
    double shared_rate;
    struct learn_voters *voters; /* the nearest examples of other parts */
    size_t n_traffic;
    /* What each fold's fit takes the traffic for (the last: that of all), UINT32_MAX where it is
       not sure: (folds + 1) x n_traffic. NULL without self-training. */
    uint32_t *guess;
    uint32_t *traffic; /* the examples they are, n_traffic */
    uint32_t *kept;    /* of those, the ones remembered as neighbours, behind the decisions */
    struct learn_graph *graph; /* of all rows, NULL without traffic */
    /* The same examples without embeddings, for the light head; NULL without one. */
    struct learn_training *light;
    struct learn_example *light_ex;
    struct learn_options light_o;
    struct learn_progress light_progress;
};

/* What a training says out of fold of its i-th scored row. */
struct learn_said {
    uint32_t label;
    float confidence, none;
};

/* train.c: everything but the report and the seal. t holds ex, n, o, progress and total. */
MUST_CHECK enum fail learn_train_weights(struct learn_training *t, struct fault *why);
void learn_training_done(struct learn_training *t); /* without its head */
/* light.c */
/* Will there be a light head to try? Then twice as many passes. */
bool learn_light_wanted(const struct learn_options *o, const struct learn_example *ex, size_t n);
MUST_CHECK enum fail learn_light_train(struct learn_training *t, struct fault *why);
/* Finds from when on the light head may answer, changes said[n_scored + n_outside] where it does,
   and gives the head to t->h; nothing when it may not. */
void learn_light_take(struct learn_training *t, struct learn_said *said, struct learn_light *out);

/* fit.c: fills the head's weights, the logits out of fold; false when cancelled. */
bool learn_fit(struct learn_training *t);
/* look.c */
/* Spread of each row's scores about their mean, over all rows. */
double learn_spread(const float *z, size_t rows, size_t stride, size_t labels);
void learn_add_scaled(float *to, const float *from, float rate, size_t rows, size_t stride,
                      size_t labels);
/* Remembers the examples, fits the mix, the distances and the none-of-these score. */
void learn_look(struct learn_training *t);
/* Fits the mix on the decisions but those in leave (by scored row; NULL: on all), then the scale of
   none of these. */
void learn_calibrate(struct learn_training *t, const bool *leave);
/* All scored rows: n_scored + n_outside. */
void learn_say(const struct learn_training *t, struct learn_said *said);
void learn_fill_report(struct learn_training *t, const struct learn_said *said,
                       struct learn_report *r);
