/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact binomial: the regularised incomplete beta function and what follows from it.
 *
 * Owns nothing. Threads: pure (lgamma_r, since lgamma writes a global).
 */
#include "answer/certify/certify_internal.h"

#include <math.h>

#define BETA_STEPS 2000
#define BETA_TINY 1e-300
#define BOUND_STEPS 60 /* halvings: far below what a double can tell */

/* The continued fraction of I_x(a, b), for x < (a + 1) / (a + b + 2). */
static double fraction(double a, double b, double x)
{
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < BETA_TINY ? BETA_TINY : d);
    double h = d;
    for (int i = 1; i <= BETA_STEPS; i++) {
        double m = i;
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < BETA_TINY ? BETA_TINY : d);
        c = fabs(c) < BETA_TINY ? BETA_TINY : c;
        h *= d * c;
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < BETA_TINY ? BETA_TINY : d);
        c = fabs(c) < BETA_TINY ? BETA_TINY : c;
        double delta = d * c;
        h *= delta;
        if (fabs(delta - 1) < 1e-15) {
            break;
        }
    }
    return h;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

double certify_beta(double a, double b, double x)
{
    if (!(x > 0)) {
        return 0;
    }
    if (x >= 1) {
        return 1;
    }
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) +
                       b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a
                                     : 1 - front * fraction(b, a, 1 - x) / b;
}

double certify_binomial(size_t k, size_t n, double p)
{
    if (k >= n || p <= 0) {
        return 1;
    }
    if (p >= 1) {
        return 0;
    }
    return certify_beta((double)(n - k), (double)k + 1, 1 - p);
}

double certify_upper(size_t k, size_t n, double delta)
{
    if (k >= n) {
        return 1;
    }
    double lo = (double)k / (double)n;
    double hi = 1;
    for (int i = 0; i < BOUND_STEPS; i++) {
        double mid = lo + (hi - lo) / 2;
        if (certify_binomial(k, n, mid) > delta) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return hi;
}

double certify_lower(size_t k, size_t n, double delta)
{
    return k == 0 || n == 0 ? 0 : 1 - certify_upper(n - k, n, delta);
}

size_t certify_needed(size_t k, double target, double delta)
{
    size_t lo = k;
    size_t hi = k + 1;
    while (certify_binomial(k, hi, target) > delta) {
        lo = hi;
        hi *= 2;
        if (hi > (size_t)1 << 40) {
            return SIZE_MAX;
        }
    }
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (certify_binomial(k, mid, target) > delta) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return hi;
}
