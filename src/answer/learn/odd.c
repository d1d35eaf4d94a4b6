/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Odd: how little a text is like those that were learned from, as one number, and what it costs.
 *
 * Five signs, each larger for a stranger (learn_internal.h), are summed with weights. Those are
 * fitted where examples of none of the labels were given; else they are constants, and the scale is
 * that of the known examples themselves, out of fold: none-of-these is the share of them that were
 * less odd. So a threshold is a share of known texts that may be refused, whatever the labels.
 *
 * Owns nothing. Threads: pure.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

const float learn_odd_alone[LEARN_ODD_COUNT] = {1, 0, 8, 8, 0};
const float learn_odd_with[LEARN_ODD_COUNT] = {1, 0, 4, 4, 1};

#define ALONE 10 /* neighbours whose mean is taken */

static float log_sum(const float *z, size_t n)
{
    float top = z[0];
    for (size_t k = 1; k < n; k++) {
        top = z[k] > top ? z[k] : top;
    }
    float sum = 0;
    for (size_t k = 0; k < n; k++) {
        sum += expf(z[k] - top);
    }
    return top + logf(sum);
}

void learn_odd_parts(const struct learn_head *h, const float *z, float top_p,
                     const struct learn_voters *v, float part[LEARN_ODD_COUNT])
{
    float energy = log_sum(z, h->labels);
    float sum = 0;
    size_t n = v->n < ALONE ? v->n : ALONE;
    for (size_t i = 0; i < n; i++) {
        sum += v->cosine[i];
    }
    part[LEARN_ODD_ENERGY] = -energy;
    part[LEARN_ODD_UNSURE] = -logf(top_p + 1e-6F);
    part[LEARN_ODD_FAR] = n > 0 ? -v->cosine[0] : 1;
    part[LEARN_ODD_ALONE] = n > 0 ? -sum / (float)n : 1;
    part[LEARN_ODD_OUTSIDE] = h->outside ? z[h->labels] - energy : 0;
}

float learn_odd(const struct learn_head *h, const float part[LEARN_ODD_COUNT])
{
    float sum = 0;
    for (size_t i = 0; i < LEARN_ODD_COUNT; i++) {
        sum += h->odd_weight[i] * part[i];
    }
    return sum;
}

float learn_none(const struct learn_head *h, float odd)
{
    if (odd >= h->odd[LEARN_QUANTILES - 1]) {
        return 1;
    }
    if (odd < h->odd[0]) {
        return 0;
    }
    size_t i = 1;
    while (h->odd[i] <= odd) {
        i++;
    }
    float part = (odd - h->odd[i - 1]) / (h->odd[i] - h->odd[i - 1]);
    return ((float)(i - 1) + part) / (float)(LEARN_QUANTILES - 1);
}

float learn_none_odd(const struct learn_head *h, float none)
{
    float at = none * (float)(LEARN_QUANTILES - 1);
    size_t i = at <= 0 ? 0 : (size_t)at;
    if (i >= LEARN_QUANTILES - 1) {
        return h->odd[LEARN_QUANTILES - 1];
    }
    return h->odd[i] + (at - (float)i) * (h->odd[i + 1] - h->odd[i]);
}

float learn_reach(const struct learn_head *h, float support)
{
    float edge = h->support[1];
    float middle = h->support[LEARN_QUANTILES / 2];
    if (support >= edge || middle <= edge) {
        return 1;
    }
    float floor = edge - (middle - edge);
    float f = (support - floor) / (edge - floor);
    return f < 0 ? 0 : f;
}

/* ---- fitting the weights ---- */

enum { TERMS = LEARN_ODD_COUNT + 1 }; /* the last one is the constant */

#define PULL 4.0 /* in units of examples: how hard the given weights hold */
#define ROUNDS 30

struct fitting {
    const float *parts;
    const bool *outside;
    size_t n;
    double mean[LEARN_ODD_COUNT], scale[LEARN_ODD_COUNT];
    double start[TERMS], b[TERMS];
    double grad[TERMS], hess[TERMS][TERMS];
};

static void standardise(struct fitting *f)
{
    for (size_t j = 0; j < LEARN_ODD_COUNT; j++) {
        double sum = 0;
        double square = 0;
        for (size_t i = 0; i < f->n; i++) {
            sum += (double)f->parts[i * LEARN_ODD_COUNT + j];
        }
        f->mean[j] = sum / (double)f->n;
        for (size_t i = 0; i < f->n; i++) {
            double d = (double)f->parts[i * LEARN_ODD_COUNT + j] - f->mean[j];
            square += d * d;
        }
        f->scale[j] = sqrt(square / (double)f->n);
    }
}

static void look(struct fitting *f)
{
    memset(f->grad, 0, sizeof(f->grad));
    memset(f->hess, 0, sizeof(f->hess));
    for (size_t i = 0; i < f->n; i++) {
        double x[TERMS];
        double z = f->b[TERMS - 1];
        x[TERMS - 1] = 1;
        for (size_t j = 0; j < LEARN_ODD_COUNT; j++) {
            double d = (double)f->parts[i * LEARN_ODD_COUNT + j] - f->mean[j];
            x[j] = f->scale[j] > 1e-9 ? d / f->scale[j] : 0;
            z += f->b[j] * x[j];
        }
        double p = 1 / (1 + exp(-fmax(-40, fmin(40, z))));
        for (size_t j = 0; j < TERMS; j++) {
            f->grad[j] += (p - (f->outside[i] ? 1.0 : 0.0)) * x[j];
            for (size_t k = 0; k <= j; k++) {
                f->hess[j][k] += p * (1 - p) * x[j] * x[k];
            }
        }
    }
    for (size_t j = 0; j < TERMS; j++) {
        double pull = j < LEARN_ODD_COUNT ? PULL : 1e-6;
        f->grad[j] += pull * (f->b[j] - f->start[j]);
        f->hess[j][j] += pull;
    }
}

/* b -= hess^-1 grad, by Cholesky; returns the largest step. */
static double newton(struct fitting *f)
{
    double x[TERMS];
    double most = 0;
    for (size_t a = 0; a < TERMS; a++) {
        for (size_t b = 0; b <= a; b++) {
            double sum = f->hess[a][b];
            for (size_t j = 0; j < b; j++) {
                sum -= f->hess[a][j] * f->hess[b][j];
            }
            f->hess[a][b] = a == b ? sqrt(fmax(sum, 1e-12)) : sum / f->hess[b][b];
        }
    }
    for (size_t a = 0; a < TERMS; a++) {
        x[a] = f->grad[a];
        for (size_t j = 0; j < a; j++) {
            x[a] -= f->hess[a][j] * x[j];
        }
        x[a] /= f->hess[a][a];
    }
    for (size_t a = TERMS; a-- > 0;) {
        x[a] /= f->hess[a][a];
        for (size_t j = 0; j < a; j++) {
            x[j] -= f->hess[a][j] * x[a];
        }
        double step = fmax(-2, fmin(2, x[a]));
        f->b[a] -= step;
        most = fmax(most, fabs(step));
    }
    return most;
}

void learn_odd_fit(const float *parts, const bool *outside, size_t n, float weights[])
{
    struct fitting f = {.parts = parts, .outside = outside, .n = n};
    size_t strangers = 0;
    for (size_t i = 0; i < n; i++) {
        strangers += outside[i] ? 1 : 0;
    }
    if (strangers == 0 || strangers == n) {
        return;
    }
    standardise(&f);
    for (size_t j = 0; j < LEARN_ODD_COUNT; j++) {
        f.b[j] = f.start[j] = (double)weights[j] * f.scale[j];
    }
    f.b[TERMS - 1] = log((double)strangers / (double)(n - strangers));
    double step = 1;
    for (int round = 0; round < ROUNDS && step > 1e-4; round++) {
        look(&f);
        step = newton(&f);
    }
    for (size_t j = 0; j < LEARN_ODD_COUNT; j++) {
        weights[j] = f.scale[j] > 1e-9 ? (float)fmax(-1e4, fmin(1e4, f.b[j] / f.scale[j])) : 0;
    }
}
