/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept: a logistic regression from what a head says of an item to whether it is right.
 *
 * Owns nothing. Threads: pure.
 */
#include "answer/certify/certify_internal.h"

#include <math.h>
#include <string.h>

#define WEIGHTS (CERTIFY_FEATURES + 1)
#define RIDGE 1.0
#define ROUNDS 40

static double logit(double p)
{
    double q = p < 1e-6 ? 1e-6 : p > 1 - 1e-6 ? 1 - 1e-6 : p;
    return log(q / (1 - q));
}

/* On scales on which equal steps mean about as much. */
static void transform(const struct certify_features *x, double out[CERTIFY_FEATURES])
{
    out[0] = logit(x->top);
    out[1] = x->margin;
    out[2] = x->entropy;
    out[3] = x->agreement;
    out[4] = logit(x->class_error < 0.002 ? 0.002 : x->class_error);
}

static void standardise(const struct certify_acceptor *a, double v[CERTIFY_FEATURES])
{
    for (int i = 0; i < CERTIFY_FEATURES; i++) {
        v[i] = (v[i] - a->mean[i]) / a->scale[i];
    }
}

static double value_of(const struct certify_acceptor *a, const double v[CERTIFY_FEATURES])
{
    double z = a->weight[CERTIFY_FEATURES];
    for (int i = 0; i < CERTIFY_FEATURES; i++) {
        z += a->weight[i] * v[i];
    }
    return 1 / (1 + exp(-z));
}

double certify_acceptor_score(const struct certify_acceptor *a, const struct certify_features *x)
{
    double v[CERTIFY_FEATURES];
    transform(x, v);
    standardise(a, v);
    return value_of(a, v);
}

static void measure_scales(const struct certify_features *x, size_t n, struct certify_acceptor *a)
{
    double square[CERTIFY_FEATURES] = {0};
    for (size_t i = 0; i < n; i++) {
        double v[CERTIFY_FEATURES];
        transform(&x[i], v);
        for (int k = 0; k < CERTIFY_FEATURES; k++) {
            a->mean[k] += v[k] / (double)n;
            square[k] += v[k] * v[k] / (double)n;
        }
    }
    for (int k = 0; k < CERTIFY_FEATURES; k++) {
        double variance = square[k] - a->mean[k] * a->mean[k];
        a->scale[k] = variance > 1e-12 ? sqrt(variance) : 1;
    }
}

/* Solves h d = g for a positive definite h by Cholesky, in place; the ridge keeps it so. */
static void solve(double h[WEIGHTS][WEIGHTS], double g[WEIGHTS])
{
    for (int j = 0; j < WEIGHTS; j++) {
        for (int k = 0; k < j; k++) {
            h[j][j] -= h[j][k] * h[j][k];
        }
        h[j][j] = sqrt(h[j][j] > 1e-12 ? h[j][j] : 1e-12);
        for (int i = j + 1; i < WEIGHTS; i++) {
            for (int k = 0; k < j; k++) {
                h[i][j] -= h[i][k] * h[j][k];
            }
            h[i][j] /= h[j][j];
        }
    }
    for (int i = 0; i < WEIGHTS; i++) {
        for (int k = 0; k < i; k++) {
            g[i] -= h[i][k] * g[k];
        }
        g[i] /= h[i][i];
    }
    for (int i = WEIGHTS - 1; i >= 0; i--) {
        for (int k = i + 1; k < WEIGHTS; k++) {
            g[i] -= h[k][i] * g[k];
        }
        g[i] /= h[i][i];
    }
}

/* What is minimised: the log loss and the ridge. */
static double loss(const struct certify_features *x, const bool *right, size_t n,
                   const struct certify_acceptor *a)
{
    double sum = 0;
    for (int k = 0; k < CERTIFY_FEATURES; k++) {
        sum += RIDGE / 2 * a->weight[k] * a->weight[k];
    }
    for (size_t i = 0; i < n; i++) {
        double p = certify_acceptor_score(a, &x[i]);
        double q = right[i] ? p : 1 - p;
        sum -= log(q > 1e-300 ? q : 1e-300);
    }
    return sum;
}

/* One Newton step; how much the loss fell. */
static double step(const struct certify_features *x, const bool *right, size_t n,
                   struct certify_acceptor *a)
{
    double h[WEIGHTS][WEIGHTS] = {{0}};
    double g[WEIGHTS] = {0};
    for (int k = 0; k < WEIGHTS; k++) {
        double ridge = k < CERTIFY_FEATURES ? RIDGE : 0;
        h[k][k] = ridge + 1e-9;
        g[k] = ridge * a->weight[k];
    }
    for (size_t i = 0; i < n; i++) {
        double v[WEIGHTS];
        transform(&x[i], v);
        standardise(a, v);
        v[CERTIFY_FEATURES] = 1;
        double p = value_of(a, v);
        for (int k = 0; k < WEIGHTS; k++) {
            g[k] += (p - (right[i] ? 1 : 0)) * v[k];
            for (int m = 0; m <= k; m++) {
                h[k][m] += p * (1 - p) * v[k] * v[m];
            }
        }
    }
    solve(h, g);
    /* Halved until the loss falls: far from the end a whole step can overshoot. */
    struct certify_acceptor from = *a;
    double before = loss(x, right, n, a);
    for (double part = 1; part > 1e-6; part /= 2) {
        for (int k = 0; k < WEIGHTS; k++) {
            a->weight[k] = from.weight[k] - part * g[k];
        }
        double gained = before - loss(x, right, n, a);
        if (gained > 0) {
            return gained;
        }
    }
    *a = from;
    return 0;
}

bool certify_acceptor_fit(const struct certify_features *x, const bool *right, size_t n,
                          struct certify_acceptor *out)
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        good += right[i] ? 1 : 0;
    }
    memset(out, 0, sizeof(*out));
    if (n < CERTIFY_ACCEPTOR_MIN || good == 0 || good == n) {
        return false;
    }
    measure_scales(x, n, out);
    out->weight[CERTIFY_FEATURES] = logit((double)good / (double)n);
    for (int round = 0; round < ROUNDS; round++) {
        if (step(x, right, n, out) < 1e-9) {
            break;
        }
    }
    return true;
}
