/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: from (how sure it was, was it right) pairs to a calibrated confidence and a certified
 * threshold.
 *
 * Calibration: Platt scaling on the logit of the raw confidence, Newton's method with the smoothed
 * targets of Platt 1999 (N+ + 1)/(N+ + 2), 1/(N- + 2). Threshold: learn_certify, the fixed-sequence
 * exact-binomial test.
 */
#include <math.h>

#include "answer/ladder/ladder.h"
#include "answer/learn/learn.h"

static double logit(double p)
{
    double q = p < 1e-6 ? 1e-6 : p > 1 - 1e-6 ? 1 - 1e-6 : p;
    return log(q / (1 - q));
}

double ladder_calibrate(const struct ladder_evidence *e, double raw)
{
    if (e->n == 0) {
        return raw < LADDER_UNPROVEN ? raw : LADDER_UNPROVEN;
    }
    return 1.0 / (1.0 + exp(-(e->slope * logit(raw) + e->offset)));
}

/* Newton's method on the two parameters; the small ridge keeps it finite when all are right or
   all wrong. */
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

void ladder_fit_evidence(const double *raw, const bool *right, size_t n, double target_error,
                         double delta, struct ladder_evidence *out)
{
    *out = (struct ladder_evidence){.threshold = LADDER_UNCERTIFIED};
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
    struct learn_certificate c;
    float *score = mem_alloc_array(n, sizeof(*score));
    for (size_t i = 0; i < n; i++) {
        score[i] = (float)ladder_calibrate(out, raw[i]);
    }
    learn_certify(score, right, n, target_error, delta, 0, &c);
    out->threshold = c.certified ? c.threshold : LADDER_UNCERTIFIED;
    out->coverage = c.certified ? c.coverage : 0;
    mem_free(score);
}
