/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slower: a test that took clearly longer than in the runs before, the machine's own pace of the
 * day taken out. Median and MAD, because one slow run must not move the measure:
 *   limit = pace * median + max(min_ms, (ratio - 1) * pace * median, spread * 1.4826 * pace * MAD)
 * pace: the median of now / median over all tests that usually take PACE_FROM_US and more, where
 * there are PACE_TESTS of them, never below 1. 1.4826 * MAD estimates the deviation of normal
 * values (Rousseeuw and Croux, 1993).
 * Threads: none.
 */
#include <stdlib.h>

#include "work/qa/qa_internal.h"

#define PACE_FROM_US 10000
#define PACE_TESTS 20
#define MAD_RUNS 4 /* fewer say nothing of a spread */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return n == 0 ? 0 : n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

struct usual {
    double median, mad;
    size_t runs;
};

static struct usual usual_of(const struct qa_result *r, const struct qa_test *now)
{
    double v[QA_RUNS_MAX];
    struct usual u = {0};
    for (size_t i = 0; i < r->before_len; i++) {
        const struct qa_test *t = qa_run_find(r->before[i], now->shown);
        if (t != NULL && t->state == QA_PASSED && t->us >= 0) {
            v[u.runs++] = (double)t->us;
        }
    }
    u.median = median(v, u.runs);
    for (size_t i = 0; i < u.runs; i++) {
        v[i] = v[i] < u.median ? u.median - v[i] : v[i] - u.median;
    }
    u.mad = u.runs >= MAD_RUNS ? median(v, u.runs) : 0;
    return u;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

void qa_find_slower(struct qa_result *r, const struct qa_options *o)
{
    size_t n = 0;
    struct usual *usual = mem_alloc_array(r->changes_len + 1, sizeof(*usual));
    double *paces = mem_alloc_array(r->changes_len + 1, sizeof(*paces));
    for (size_t i = 0; i < r->changes_len && r->before_len > 0; i++) {
        const struct qa_test *now = r->changes[i].now;
        if (now != NULL && now->state == QA_PASSED && now->us >= 0) {
            usual[i] = usual_of(r, now);
            if (usual[i].runs > 0 && usual[i].median >= PACE_FROM_US) {
                paces[n++] = (double)now->us / usual[i].median;
            }
        }
    }
    r->pace = n >= PACE_TESTS ? larger(1, median(paces, n)) : 1;
    for (size_t i = 0; i < r->changes_len; i++) {
        struct qa_change *c = &r->changes[i];
        if (usual[i].runs == 0) {
            continue;
        }
        double base = r->pace * usual[i].median;
        double more = larger((o->slower_ratio - 1) * base,
                             o->slower_spread * 1.4826 * r->pace * usual[i].mad);
        c->usual_us = (int64_t)usual[i].median;
        c->limit_us = (int64_t)(base + larger((double)o->slower_us, more));
        if (c->class == QA_SAME && c->now->us > c->limit_us) {
            c->class = QA_SLOWER;
        }
    }
    mem_free(usual);
    mem_free(paces);
}
