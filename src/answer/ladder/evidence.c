/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: from (how sure it was, was it right) pairs to a calibrated confidence and a certified threshold.
 *
 * Calibration: Platt scaling on the logit of the raw confidence, Newton's method with the smoothed targets of
 * Platt 1999 (N+ + 1)/(N+ + 2), 1/(N- + 2).
 * Threshold: fixed-sequence testing (learn-then-test): thresholds are taken from strictest to loosest in an order
 * that looks at scores only; at each the exact binomial test of H0 "error > target" on the accepted items; the first
 * that is not rejected ends the sequence. The first threshold already accepts ceil(ln delta / ln(1 - target)) items,
 * the number with which zero errors reject, for a stricter one could never pass. Valid with probability >= 1 - delta.
 */
#include <math.h>
#include <stdlib.h>

#include "answer/ladder/ladder.h"

#define UNPROVEN_CAP 0.5 /* the most that a rung without evidence may claim */

static double logit(double p)
{
    double q = p < 1e-6 ? 1e-6 : p > 1 - 1e-6 ? 1 - 1e-6 : p;
    return log(q / (1 - q));
}

double ladder_calibrate(const struct ladder_evidence *e, double raw)
{
    if (e->n == 0) {
        return raw < UNPROVEN_CAP ? raw : UNPROVEN_CAP;
    }
    return 1.0 / (1.0 + exp(-(e->slope * logit(raw) + e->offset)));
}

/* Newton's method on the two parameters; the small ridge keeps it finite when all are right or all wrong. */
static void fit_platt(const double *raw, const bool *right, size_t n, double *slope, double *offset)
{
    double good = 0;
    for (size_t i = 0; i < n; i++) {
        good += right[i];
    }
    double hi = (good + 1) / (good + 2), lo = 1 / ((double)n - good + 2);
    double a = 1, b = 0;
    for (int round = 0; round < 50; round++) {
        double ga = 1e-3 * (a - 1), gb = 1e-3 * b, haa = 1e-3, hbb = 1e-3, hab = 0;
        for (size_t i = 0; i < n; i++) {
            double x = logit(raw[i]);
            double p = 1 / (1 + exp(-(a * x + b)));
            double d = p - (right[i] ? hi : lo), w = p * (1 - p);
            ga += d * x;
            gb += d;
            haa += w * x * x;
            hab += w * x;
            hbb += w;
        }
        double det = haa * hbb - hab * hab;
        double da = (hbb * ga - hab * gb) / det, db = (haa * gb - hab * ga) / det;
        a -= da;
        b -= db;
        if (fabs(da) + fabs(db) < 1e-9) {
            break;
        }
    }
    /* A negative slope would say that surer answers are worse: then the score carries nothing. */
    if (!(a > 0) || !isfinite(a) || !isfinite(b)) {
        a = 0;
        b = logit((good + 1) / ((double)n + 2));
    }
    *slope = a;
    *offset = b;
}

/* P(X <= k) for X ~ Binomial(n, p), summed in logs. */
static double binomial_cdf(size_t k, size_t n, double p)
{
    double sum = 0;
    for (size_t i = 0; i <= k; i++) {
        double l = lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                   (double)i * log(p) + (double)(n - i) * log1p(-p);
        sum += exp(l);
    }
    return sum < 1 ? sum : 1;
}

struct scored {
    double confidence;
    bool right;
};

static int surest_first(const void *x, const void *y)
{
    double a = ((const struct scored *)x)->confidence, b = ((const struct scored *)y)->confidence;
    return a < b ? 1 : a > b ? -1 : 0;
}

static void certify(const struct scored *s, size_t n, double target, double delta,
                    struct ladder_evidence *out)
{
    out->threshold = 2.0; /* nothing certified */
    out->coverage = 0;
    if (target <= 0 || target >= 1) {
        return;
    }
    size_t first = (size_t)ceil(log(delta) / log1p(-target));
    size_t errors = 0;
    /* Steps of a twentieth of the rest: a fixed sequence that depends on n alone. */
    size_t step = n > first ? (n - first) / 20 + 1 : 1;
    size_t next = first;
    for (size_t i = 0; i < n; i++) {
        errors += !s[i].right;
        bool at_tie = i + 1 < n && s[i + 1].confidence == s[i].confidence;
        if (i + 1 < next || at_tie) {
            continue;
        }
        if (binomial_cdf(errors, i + 1, target) > delta) {
            return;
        }
        out->threshold = s[i].confidence;
        out->coverage = (double)(i + 1) / (double)n;
        next = i + 1 + step;
    }
}

void ladder_fit_evidence(const double *raw, const bool *right, size_t n, double target_error,
                         double delta, struct ladder_evidence *out)
{
    *out = (struct ladder_evidence){.threshold = 2.0};
    if (n == 0) {
        return;
    }
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        good += right[i];
    }
    out->n = (int)n;
    out->accuracy = (double)good / (double)n;
    fit_platt(raw, right, n, &out->slope, &out->offset);
    struct scored *s = mem_alloc_array(n, sizeof(*s));
    for (size_t i = 0; i < n; i++) {
        s[i] = (struct scored){ladder_calibrate(out, raw[i]), right[i]};
    }
    qsort(s, n, sizeof(*s), surest_first);
    certify(s, n, target_error, delta, out);
    mem_free(s);
}
