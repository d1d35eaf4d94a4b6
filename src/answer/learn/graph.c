/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graph: which texts are near which, and labels spread along it.
 *
 * Near means by embedding first: GRAPH_LOOK candidates by rounded cosine; of those the GRAPH_EDGES
 * nearest by the whole feature vector, words and characters too. An edge weighs exp((similarity -
 * 1) / GRAPH_WIDTH), both ways. Spreading is the iteration of Zhou, Bousquet, Lal, Weston and
 * Schoelkopf, "Learning with local and global consistency" (2004), with what a model believes of
 * the unlabelled rows as their start instead of nothing.
 *
 * Owns: struct learn_graph. Threads: immutable once made. Limits: GRAPH_ROWS rows are
 * compared with each other; of more, each is compared with an even choice of so many. Compiled like
 * solve.c.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

#define GRAPH_LOOK 40
#define GRAPH_EDGES 10
#define GRAPH_WIDTH 0.1F
#define GRAPH_STAY 0.85F /* the share that comes from neighbours */
#define GRAPH_ROUNDS 20
#define GRAPH_ROWS 12000

struct learn_graph {
    size_t n;
    uint32_t *to;  /* n x GRAPH_EDGES; UINT32_MAX: none */
    float *weight;
};

/* The product of two rows' features over that of a row with itself, as lengths are by kind. */
LEARN_FAST static float similarity(const struct learn_matrix *m, size_t a, size_t b)
{
    size_t d = (size_t)m->dim;
    float sum = 0;
    float self = 0;
    for (size_t j = 0; j < d; j++) {
        sum += m->dense[a * d + j] * m->dense[b * d + j];
        self += m->dense[a * d + j] * m->dense[a * d + j];
    }
    size_t i = m->start[a];
    size_t k = m->start[b];
    for (size_t j = i; j < m->start[a + 1]; j++) {
        self += m->val[j] * m->val[j];
    }
    while (i < m->start[a + 1] && k < m->start[b + 1]) {
        if (m->col[i] == m->col[k]) {
            sum += m->val[i++] * m->val[k++];
        } else if (m->col[i] < m->col[k]) {
            i++;
        } else {
            k++;
        }
    }
    return self > 0 ? sum / self : 0;
}

static void link_row(struct learn_graph *g, const struct learn_matrix *m, const int8_t *rounded,
                     const float *scale, size_t a)
{
    uint32_t place[GRAPH_LOOK];
    float value[GRAPH_LOOK];
    size_t d = (size_t)m->dim;
    size_t step = m->n / GRAPH_ROWS + 1;
    size_t n = 0;
    size_t edges = 0;
    for (size_t b = 0; b < m->n; b += step) {
        if (b != a) {
            int32_t dot = learn_dot8(rounded + a * d, rounded + b * d, m->dim);
            n = learn_insert(place, value, n, GRAPH_LOOK, (uint32_t)b, (float)dot * scale[b]);
        }
    }
    uint32_t *to = g->to + a * GRAPH_EDGES;
    float *weight = g->weight + a * GRAPH_EDGES;
    for (size_t i = 0; i < n; i++) {
        edges = learn_insert(to, weight, edges, GRAPH_EDGES, place[i], similarity(m, a, place[i]));
    }
    for (size_t i = 0; i < edges; i++) {
        weight[i] = expf((weight[i] - 1) / GRAPH_WIDTH);
    }
    for (size_t i = edges; i < GRAPH_EDGES; i++) {
        to[i] = UINT32_MAX;
    }
}

struct learn_graph *learn_graph_new(const struct learn_matrix *m)
{
    size_t d = (size_t)m->dim;
    struct learn_graph *g = mem_alloc(sizeof(*g));
    AUTO_FREE int8_t *rounded = mem_alloc_array(m->n * d, 1);
    AUTO_FREE float *scale = mem_alloc_array(m->n, sizeof(*scale));
    g->n = m->n;
    g->to = mem_alloc_array(m->n * GRAPH_EDGES, sizeof(*g->to));
    g->weight = mem_alloc_array(m->n * GRAPH_EDGES, sizeof(*g->weight));
    for (size_t i = 0; i < m->n; i++) {
        scale[i] = learn_round8(m->near + i * d, m->dim, rounded + i * d);
    }
    for (size_t i = 0; i < m->n; i++) {
        link_row(g, m, rounded, scale, i);
    }
    return g;
}

void learn_graph_free(struct learn_graph *g)
{
    if (g != NULL) {
        mem_free(g->to);
        mem_free(g->weight);
        mem_free(g);
    }
}

/* from's shares, times f, onto to's. */
LEARN_FAST static void pass_on(float *to, const float *from, float f, size_t stride)
{
    for (size_t k = 0; k < stride; k++) {
        to[k] += f * from[k];
    }
}

bool learn_spread_labels(const struct learn_graph *g, const uint32_t *rows, size_t n,
                         const float *before, size_t stride, float *q, bool (*tick)(void *arg),
                         void *arg)
{
    AUTO_FREE uint32_t *place = mem_alloc_array(g->n, sizeof(*place));
    AUTO_FREE float *degree = mem_alloc_array(n, sizeof(*degree));
    AUTO_FREE float *next = mem_alloc_array(n * stride, sizeof(*next));
    memset(place, 0xff, g->n * sizeof(*place)); /* UINT32_MAX: not among the rows */
    for (size_t i = 0; i < n; i++) {
        place[rows[i]] = (uint32_t)i;
    }
    for (int round = -1; round < GRAPH_ROUNDS; round++) { /* the first one counts degrees */
        for (size_t i = 0; i < n * stride && round >= 0; i++) {
            next[i] = (1 - GRAPH_STAY) * before[i];
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t e = 0; e < GRAPH_EDGES; e++) {
                uint32_t to = g->to[(size_t)rows[i] * GRAPH_EDGES + e];
                uint32_t j = to == UINT32_MAX ? UINT32_MAX : place[to];
                float w = g->weight[(size_t)rows[i] * GRAPH_EDGES + e];
                if (j == UINT32_MAX) {
                    continue;
                }
                if (round < 0) {
                    degree[i] += w;
                    degree[j] += w;
                    continue;
                }
                float f = GRAPH_STAY * w / sqrtf(degree[i] * degree[j] + 1e-20F);
                pass_on(next + i * stride, q + j * stride, f, stride);
                pass_on(next + j * stride, q + i * stride, f, stride);
            }
        }
        if (round >= 0) {
            memcpy(q, next, n * stride * sizeof(*q));
        }
        if (tick != NULL && !tick(arg)) {
            return false;
        }
    }
    return true;
}
