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
};

/* fit.c: fills the head's weights, the logits out of fold; false when cancelled. */
bool learn_fit(struct learn_training *t);
/* look.c */
/* Spread of each row's scores about their mean, over all rows. */
double learn_spread(const float *z, size_t rows, size_t stride, size_t labels);
void learn_add_scaled(float *to, const float *from, float rate, size_t rows, size_t stride,
                      size_t labels);
/* Remembers the examples, fits the mix, the distances and the none-of-these score. */
void learn_look(struct learn_training *t);
void learn_fill_report(struct learn_training *t, struct learn_report *r);
