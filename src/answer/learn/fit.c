/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fit: weights from examples, once a fold and once from all.
 *
 * Two linear models are fitted on the same rows: the regression over all features, and on the
 * embeddings one normal distribution a label with a shared covariance. Their logits are kept apart
 * out of fold (look.c finds how much of the second to add) and are one matrix afterwards.
 *
 * Unlabelled traffic joins in between: what both believe of it is spread over the graph of nearest
 * texts (graph.c), and the regression is fitted again on all rows with what they then belong to.
 *
 * Owns nothing between calls. Threads: runs on the caller's.
 */
#include "answer/learn/train_internal.h"

#include <math.h>
#include <string.h>

/* Looked for on both sets of docs/decisions/0130: flat around these. */
#define SELF_SHARED 0.3F   /* of the shared covariance's logits in a belief */
#define SELF_SHARP 1.5F    /* what a belief is multiplied by */
#define SELF_LABELLED 3.0F /* a labelled example counts as so many sure ones */
#define SELF_COST 10.0
#define SELF_EVEN 0.3F /* how far labels that are guessed often give way to rare ones */
#define SELF_SURE 0.5F /* below, a text is no neighbour for others */

static bool tick(void *arg)
{
    struct learn_training *t = arg;
    t->done = t->done < t->total ? t->done + 1 : t->done;
    return t->progress == NULL || t->progress->fn == NULL ||
           t->progress->fn(t->progress->arg, t->done, t->total);
}

static bool has_shared(const struct learn_training *t)
{
    return !t->o->plain && t->m.dim > 0 && t->m.dim <= LEARN_GAUSS_DIM;
}

/* What one fit works on: labelled rows outside a fold, then the traffic. */
struct part {
    struct learn_training *t;
    int fold; /* -1: none */
    uint32_t *rows;
    size_t labelled, n;
    float *target; /* per row of the matrix: n x stride, columns */
    float *member; /* per row of `rows`, labels alone; 0 for examples of none */
    float *weight; /* per row of `rows` */
    float *w;
    float *shared; /* NULL: none */
};

static size_t columns_of(const struct learn_head *h)
{
    return h->labels + (h->outside ? 1 : 0);
}

static void part_init(struct part *p, struct learn_training *t, int fold, float *w, float *shared)
{
    *p = (struct part){.t = t, .fold = fold, .w = w, .shared = shared};
    size_t stride = t->h->stride;
    p->rows = mem_alloc_array(t->n, sizeof(*p->rows));
    for (size_t i = 0; i < t->n; i++) {
        if (t->truth[i] != UINT32_MAX && (fold < 0 || t->part[i] != fold)) {
            p->rows[p->labelled++] = (uint32_t)i;
        }
    }
    p->n = p->labelled;
    for (size_t i = 0; i < t->n && shared != NULL; i++) {
        if (t->truth[i] == UINT32_MAX) {
            p->rows[p->n++] = (uint32_t)i;
        }
    }
    p->member = mem_alloc_array(p->n * stride, sizeof(*p->member));
    p->weight = mem_alloc_array(p->n, sizeof(*p->weight));
    for (size_t i = 0; i < p->labelled; i++) {
        uint32_t k = t->truth[p->rows[i]];
        p->weight[i] = k < t->h->labels ? (float)t->weight[p->rows[i]] : 0;
        p->member[i * stride + k] = k < t->h->labels ? 1 : 0;
    }
}

static void part_done(struct part *p)
{
    mem_free(p->rows);
    mem_free(p->target);
    mem_free(p->member);
    mem_free(p->weight);
}

/* The regression on the first n rows; with `target` in place of labels where it is there. */
static bool solve(struct part *p, size_t n, const double *weight, double cost)
{
    struct learn_training *t = p->t;
    struct learn_problem problem = {.m = &t->m, .truth = t->truth, .target = p->target,
                                    .weight = weight, .rows = p->rows, .n_rows = n,
                                    .labels = columns_of(t->h), .stride = t->h->stride,
                                    .cost = cost, .max_epochs = t->o->max_epochs,
                                    .seed = t->o->seed,
                                    .features = (size_t)t->m.dim + 1 + t->h->vocabulary.n};
    memset(p->w, 0, problem.features * problem.stride * sizeof(*p->w));
    return learn_solve(&problem, p->w, tick, t);
}

/* The shared covariance of the first n rows. */
static void share(struct part *p, size_t n, float *scatter, float shrink)
{
    struct learn_training *t = p->t;
    struct learn_gauss g = {.x = t->m.near, .dim = t->m.dim, .rows = p->rows, .n = n,
                            .member = p->member, .weight = p->weight, .scatter = scatter,
                            .labels = t->h->labels, .stride = t->h->stride, .shrink = shrink};
    learn_scatter(t->m.near, t->m.dim, p->rows, p->weight, n, scatter);
    learn_gauss_fit(&g, p->shared);
}

static void score_row(const struct learn_training *t, const float *w, size_t i, float *z)
{
    const struct learn_matrix *m = &t->m;
    learn_score(w, t->h->stride, m->dim > 0 ? m->dense + i * (size_t)m->dim : NULL, m->dim,
                m->col + m->start[i], m->val + m->start[i], m->start[i + 1] - m->start[i], z);
}

static void score_shared(const struct learn_training *t, const float *w, size_t i, float *z)
{
    learn_score(w, t->h->stride, t->m.near + i * (size_t)t->m.dim, t->m.dim, NULL, NULL, 0, z);
}

/* ---- self-training on the traffic ---- */

/* Each traffic row's logits of both models as one (SELF_SHARED units of the second), into out. */
static void believe(const struct part *p, float *out)
{
    const struct learn_training *t = p->t;
    size_t stride = t->h->stride;
    size_t n = p->n - p->labelled;
    AUTO_FREE float *l = mem_alloc_array(n * stride, sizeof(*l));
    for (size_t i = 0; i < n; i++) {
        score_row(t, p->w, p->rows[p->labelled + i], out + i * stride);
        score_shared(t, p->shared, p->rows[p->labelled + i], l + i * stride);
    }
    double unit = learn_spread(out, n, stride, t->h->labels) /
                  fmax(learn_spread(l, n, stride, t->h->labels), 1e-9);
    learn_add_scaled(out, l, SELF_SHARED * (float)unit, n, stride, t->h->labels);
}

/* Each label's factor: its share of the traffic, to the power of -SELF_EVEN. */
static void even_out(const struct part *p, const float *q, size_t columns, float *factor)
{
    size_t stride = p->t->h->stride;
    memset(factor, 0, columns * sizeof(*factor));
    for (size_t i = p->labelled; i < p->n; i++) {
        float sum = 1e-9F;
        for (size_t k = 0; k < columns; k++) {
            sum += q[i * stride + k];
        }
        for (size_t k = 0; k < columns; k++) {
            factor[k] += q[i * stride + k] / sum;
        }
    }
    for (size_t k = 0; k < columns; k++) {
        factor[k] = powf(factor[k] + 1, -SELF_EVEN);
    }
}

/* (factor q)^4, summing to 1; returns the largest share and its column. */
static float sharpen(float *q, const float *factor, size_t labels, uint32_t *best)
{
    float sum = 0;
    float most = 0;
    *best = 0;
    for (size_t k = 0; k < labels; k++) {
        q[k] *= factor[k];
        sum += q[k];
    }
    for (size_t k = 0; k < labels; k++) {
        q[k] /= sum > 0 ? sum : 1;
    }
    sum = 0;
    for (size_t k = 0; k < labels; k++) {
        q[k] = q[k] * q[k];
        q[k] = q[k] * q[k];
        sum += q[k];
    }
    for (size_t k = 0; k < labels; k++) {
        q[k] = sum > 0 ? q[k] / sum : 1 / (float)labels;
        *best = q[k] > most ? (uint32_t)k : *best;
        most = q[k] > most ? q[k] : most;
    }
    return most;
}

/* What both models believe of the traffic, spread over the graph of all rows, becomes the target
   of a second regression; who is sure counts more. */
static bool self_train(struct part *p)
{
    struct learn_training *t = p->t;
    size_t stride = t->h->stride;
    size_t columns = columns_of(t->h);
    AUTO_FREE float *before = mem_alloc_array(p->n * stride, sizeof(*before));
    AUTO_FREE double *weight = mem_dup(t->weight, t->n * sizeof(*weight));
    believe(p, before + p->labelled * stride);
    for (size_t i = 0; i < p->n; i++) {
        float *q = before + i * stride;
        if (i < p->labelled) {
            q[t->truth[p->rows[i]]] = SELF_LABELLED;
            continue;
        }
        for (size_t k = 0; k < t->h->labels; k++) {
            q[k] *= SELF_SHARP;
        }
        learn_softmax(q, t->h->labels, q);
        memset(q + t->h->labels, 0, (stride - t->h->labels) * sizeof(*q));
    }
    AUTO_FREE float *after = mem_dup(before, p->n * stride * sizeof(*after));
    if (!learn_spread_labels(t->graph, p->rows, p->n, before, stride, after, tick, t)) {
        return false;
    }
    p->target = mem_alloc_array(t->n * stride, sizeof(*p->target));
    AUTO_FREE float *factor = mem_alloc_array(columns, sizeof(*factor));
    uint32_t *guess = t->guess + (size_t)(p->fold < 0 ? t->o->folds : p->fold) * t->n_traffic;
    even_out(p, after, columns, factor);
    for (size_t i = 0; i < p->n; i++) {
        uint32_t best;
        float *to = p->target + (size_t)p->rows[i] * stride;
        if (i < p->labelled) {
            to[t->truth[p->rows[i]]] = 1;
            weight[p->rows[i]] *= (double)SELF_LABELLED;
            continue;
        }
        memcpy(to, after + i * stride, columns * sizeof(*to));
        float sure = sharpen(to, factor, columns, &best);
        weight[p->rows[i]] = (double)sure;
        guess[i - p->labelled] = sure >= SELF_SURE && best < t->h->labels ? best : UINT32_MAX;
        t->traffic[i - p->labelled] = p->rows[i];
    }
    return solve(p, p->n, weight, SELF_COST);
}

/* Fits on all examples outside the fold; false when cancelled. */
static bool fit_part(struct learn_training *t, int fold, float *w, float *shared)
{
    struct part p;
    part_init(&p, t, fold, w, shared);
    bool going = solve(&p, p.labelled, t->weight, t->o->cost);
    if (going && shared != NULL) {
        size_t d = (size_t)t->m.dim;
        AUTO_FREE float *scatter = mem_alloc_array(d * d, sizeof(*scatter));
        share(&p, p.labelled, scatter, LEARN_SHRINK);
        going = p.n == p.labelled || self_train(&p);
    }
    part_done(&p);
    t->done = (fold < 0 ? t->o->folds + 1 : fold + 1) * t->o->max_epochs;
    return going;
}

bool learn_fit(struct learn_training *t)
{
    struct learn_head *h = t->h;
    size_t measured = t->n_scored + t->n_outside;
    size_t cells = ((size_t)t->m.dim + 1 + h->vocabulary.n) * h->stride;
    h->w = mem_alloc_array(cells, sizeof(*h->w));
    t->logits = mem_alloc_array(measured * h->stride, sizeof(*t->logits));
    if (has_shared(t)) {
        t->shared = mem_alloc_array(measured * h->stride, sizeof(*t->shared));
        t->shared_w = mem_alloc_array(((size_t)t->m.dim + 1) * h->stride, sizeof(*t->shared_w));
    }
    if (t->n_traffic > 0 && t->shared != NULL) {
        t->graph = learn_graph_new(&t->m);
        t->traffic = mem_alloc_array(t->n_traffic, sizeof(*t->traffic));
        t->guess = mem_alloc_array((size_t)(t->o->folds + 1) * t->n_traffic, sizeof(*t->guess));
    }
    for (int f = 0; f < t->o->folds; f++) {
        if (!fit_part(t, f, h->w, t->shared_w)) {
            return false;
        }
        for (size_t i = 0; i < measured; i++) {
            if (t->part[t->scored[i]] != f) {
                continue;
            }
            score_row(t, h->w, t->scored[i], t->logits + i * h->stride);
            if (t->shared != NULL) {
                score_shared(t, t->shared_w, t->scored[i], t->shared + i * h->stride);
            }
        }
    }
    return fit_part(t, -1, h->w, t->shared_w);
}
