/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gauss: one normal distribution a label with a covariance that all share (linear discriminant
 * analysis), fitted on soft memberships of unit embeddings.
 *
 * With few examples it is worth more than a regression, which has to find in each label's examples
 * alone what the covariance says of all: along which directions texts of one label differ anyway.
 * With unlabelled texts it is one step of expectation maximisation. Its scores are linear in the
 * embedding, so that it costs nothing once it is added to the regression's weights.
 *
 * Owns nothing. Threads: pure. Limits: LEARN_GAUSS_DIM. Compiled like solve.c: no NaN may reach it.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

#define FEW 1e-6F /* a membership below this is none */

/* The lower triangle of sum w x x'. */
LEARN_FAST void learn_scatter(const float *x, int dim, const uint32_t *rows, const float *weight,
                              size_t n, float *t)
{
    size_t d = (size_t)dim;
    memset(t, 0, d * d * sizeof(*t));
    for (size_t i = 0; i < n; i++) {
        const float *row = x + (size_t)rows[i] * d;
        for (size_t a = 0; a < d; a++) {
            float f = weight[i] * row[a];
            float *out = t + a * d;
            for (size_t b = 0; b <= a; b++) {
                out[b] += f * row[b];
            }
        }
    }
}

/* mean: labels x dim; count: labels. */
LEARN_FAST static void take_means(const struct learn_gauss *g, float *mean, float *count)
{
    size_t d = (size_t)g->dim;
    memset(mean, 0, g->labels * d * sizeof(*mean));
    memset(count, 0, g->labels * sizeof(*count));
    for (size_t i = 0; i < g->n; i++) {
        const float *row = g->x + (size_t)g->rows[i] * d;
        const float *q = g->member + i * g->stride;
        for (size_t k = 0; k < g->labels; k++) {
            float f = q[k] * g->weight[i];
            if (f <= FEW) {
                continue;
            }
            float *m = mean + k * d;
            count[k] += f;
            for (size_t j = 0; j < d; j++) {
                m[j] += f * row[j];
            }
        }
    }
    for (size_t k = 0; k < g->labels; k++) {
        float f = count[k] > 0 ? 1 / count[k] : 0;
        for (size_t j = 0; j < d; j++) {
            mean[k * d + j] *= f;
        }
    }
}

/* s: the lower triangle of the shrunk covariance within labels. */
LEARN_FAST static void take_covariance(const struct learn_gauss *g, const float *mean,
                                       const float *count, double *s)
{
    size_t d = (size_t)g->dim;
    double all = 0;
    double trace = 0;
    for (size_t i = 0; i < g->n; i++) {
        all += (double)g->weight[i];
    }
    for (size_t i = 0; i < d * d; i++) {
        s[i] = (double)g->scatter[i];
    }
    for (size_t k = 0; k < g->labels; k++) {
        const float *m = mean + k * d;
        for (size_t a = 0; a < d; a++) {
            double f = (double)count[k] * (double)m[a];
            for (size_t b = 0; b <= a; b++) {
                s[a * d + b] -= f * (double)m[b];
            }
        }
    }
    double free = fmax(all - (double)g->labels, 1);
    for (size_t a = 0; a < d; a++) {
        trace += s[a * d + a];
    }
    double ridge = (double)g->shrink * fmax(trace / free / (double)d, 1e-9);
    for (size_t a = 0; a < d; a++) {
        for (size_t b = 0; b <= a; b++) {
            s[a * d + b] *= (1 - (double)g->shrink) / free;
        }
        s[a * d + a] += ridge;
    }
}

/* Cholesky in place: s = L L'. */
LEARN_FAST static void factor(double *s, size_t d)
{
    for (size_t a = 0; a < d; a++) {
        for (size_t b = 0; b <= a; b++) {
            double sum = s[a * d + b];
            for (size_t j = 0; j < b; j++) {
                sum -= s[a * d + j] * s[b * d + j];
            }
            s[a * d + b] = a == b ? sqrt(fmax(sum, 1e-12)) : sum / s[b * d + b];
        }
    }
}

/* x = (L L')^-1 b */
LEARN_FAST static void solve_one(const double *l, size_t d, const float *b, double *x)
{
    for (size_t a = 0; a < d; a++) {
        double sum = (double)b[a];
        for (size_t j = 0; j < a; j++) {
            sum -= l[a * d + j] * x[j];
        }
        x[a] = sum / l[a * d + a];
    }
    for (size_t a = d; a-- > 0;) {
        x[a] /= l[a * d + a];
        for (size_t j = 0; j < a; j++) {
            x[j] -= l[a * d + j] * x[a];
        }
    }
}

void learn_gauss_fit(const struct learn_gauss *g, float *w)
{
    size_t d = (size_t)g->dim;
    AUTO_FREE float *mean = mem_alloc_array(g->labels * d, sizeof(*mean));
    AUTO_FREE float *count = mem_alloc_array(g->labels, sizeof(*count));
    AUTO_FREE double *s = mem_alloc_array(d * d, sizeof(*s));
    AUTO_FREE double *x = mem_alloc_array(d, sizeof(*x));
    take_means(g, mean, count);
    take_covariance(g, mean, count, s);
    factor(s, d);
    memset(w, 0, (d + 1) * g->stride * sizeof(*w));
    for (size_t k = 0; k < g->labels; k++) {
        const float *m = mean + k * d;
        double half = 0;
        solve_one(s, d, m, x);
        for (size_t j = 0; j < d; j++) {
            w[j * g->stride + k] = (float)x[j];
            half += x[j] * (double)m[j];
        }
        /* A label that nobody belongs to has no mean: far below the others. */
        w[d * g->stride + k] = count[k] > 0 ? (float)(-half / 2) : -1e4F;
    }
}
