/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure: calibration error, coverage, and the fixed-sequence certificate.
 *
 * Owns nothing. Threads: pure. The test itself is answer/certify's.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/certify/certify.h"

struct scored {
    float score;
    bool ok;
};

static int compare_scored(const void *a, const void *b)
{
    float x = ((const struct scored *)a)->score;
    float y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

/* Most sure first; mem_free. */
static struct scored *sort_scores(const float *score, const bool *ok, size_t n)
{
    struct scored *s = mem_alloc_array(n + 1, sizeof(*s));
    for (size_t i = 0; i < n; i++) {
        s[i].score = score[i];
        s[i].ok = ok[i];
    }
    qsort(s, n, sizeof(*s), compare_scored);
    return s;
}

double learn_ece(const float *score, const bool *ok, size_t n)
{
    AUTO_FREE struct scored *s = sort_scores(score, ok, n);
    double error = 0;
    for (size_t bin = 0; bin < LEARN_BINS; bin++) {
        size_t from = bin * n / LEARN_BINS;
        size_t to = (bin + 1) * n / LEARN_BINS;
        double sum = 0;
        for (size_t i = from; i < to; i++) {
            sum += (s[i].ok ? 1.0 : 0.0) - (double)s[i].score;
        }
        error += fabs(sum);
    }
    return n == 0 ? 0 : error / (double)n;
}

double learn_coverage(const float *score, const bool *ok, size_t n, double error)
{
    AUTO_FREE struct scored *s = sort_scores(score, ok, n);
    size_t wrong = 0;
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        wrong += s[i].ok ? 0 : 1;
        bool whole = i + 1 == n || s[i + 1].score < s[i].score; /* ties are accepted together */
        if (whole && (double)wrong <= error * (double)(i + 1)) {
            best = i + 1;
        }
    }
    return n == 0 ? 0 : (double)best / (double)n;
}

void learn_certify(const float *score, const bool *ok, size_t n, double target, double delta,
                   struct learn_certificate *out)
{
    const struct certify_rule rule = {target, delta, CERTIFY_OF_ANSWERS, 0};
    struct certify_result r;
    AUTO_FREE double *sure = mem_alloc_array(n + 1, sizeof(*sure));
    for (size_t i = 0; i < n; i++) {
        sure[i] = (double)score[i];
    }
    certify_test(sure, ok, n, &rule, &r);
    *out = (struct learn_certificate){.certified = r.certified,
                                      .threshold = r.threshold,
                                      .n = n,
                                      .accepted = r.accepted,
                                      .errors = r.errors,
                                      .coverage = n > 0 ? (double)r.accepted / (double)n : 0,
                                      .target = target,
                                      .delta = delta,
                                      .needed = certify_needed(0, target, delta)};
}
