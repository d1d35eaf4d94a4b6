/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure: calibration error, coverage, and the fixed-sequence certificate.
 *
 * Owns nothing. Threads: pure. Source: routing anchors section 2 (Learn-then-Test with the exact
 * binomial).
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

double learn_binomial_cdf(size_t k, size_t n, double p)
{
    if (k >= n || p <= 0) {
        return 1;
    }
    if (p >= 1) {
        return 0;
    }
    double sum = 0;
    double lp = log(p);
    double lq = log1p(-p);
    double top = lgamma((double)n + 1);
    for (size_t i = 0; i <= k; i++) {
        double x = top - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * lp +
                   (double)(n - i) * lq;
        sum += exp(x);
    }
    return sum < 1 ? sum : 1;
}

size_t learn_needed(size_t k, double target, double delta)
{
    size_t lo = k;
    size_t hi = k + 1;
    while (learn_binomial_cdf(k, hi, target) > delta) {
        lo = hi;
        hi *= 2;
        if (hi > ((size_t)1 << 40)) {
            return SIZE_MAX;
        }
    }
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (learn_binomial_cdf(k, mid, target) > delta) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return hi;
}

/* Where the walk begins, from counts alone. A start that forgives no error dies of one slip
   among the surest items; one that forgives several asks for many items. So: 5 errors with 1,000
   items, 2 with 500, and in smaller sets as many as fit into the surest sixth. */
static size_t first_accepted(size_t n, double target, double delta)
{
    size_t start = learn_needed(n >= 1000 ? 5 : n >= 500 ? 2 : 0, target, delta);
    static const size_t errors[] = {5, 2, 1};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        size_t needed = learn_needed(errors[i], target, delta);
        if (needed <= n / 6) {
            start = needed > start ? needed : start;
            break;
        }
    }
    return start > n ? learn_needed(0, target, delta) : start;
}

void learn_certify(const float *score, const bool *ok, size_t n, double target, double delta,
                   size_t start, struct learn_certificate *out)
{
    memset(out, 0, sizeof(*out));
    out->threshold = 2;
    out->n = n;
    out->target = target;
    out->delta = delta;
    out->needed = learn_needed(0, target, delta);
    if (start == 0) {
        start = first_accepted(n, target, delta);
    }
    AUTO_FREE struct scored *s = sort_scores(score, ok, n);
    size_t step = n / 50 + 1; /* by count, so by scores alone */
    size_t next = start;
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        wrong += s[i].ok ? 0 : 1;
        bool whole = i + 1 == n || s[i + 1].score < s[i].score;
        if (i + 1 < next || !whole) {
            continue;
        }
        if (learn_binomial_cdf(wrong, i + 1, target) > delta) {
            break;
        }
        out->certified = true;
        out->threshold = (double)s[i].score;
        out->accepted = i + 1;
        out->errors = wrong;
        next = i + 1 + step < n ? i + 1 + step : n;
    }
    out->coverage = n == 0 ? 0 : (double)out->accepted / (double)n;
}
