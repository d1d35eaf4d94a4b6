/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walk: the fixed sequence of thresholds, the split of a budget, and the looks.
 *
 * Owns nothing that outlives a call. Threads: pure.
 */
#include "answer/certify/certify_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of what the scores call acceptable, the most at the first threshold: more where they call much
   acceptable, since there they are more often right about it. */
#define START_SHARE 0.45
#define START_MORE 0.35
#define START_ERRORS 5     /* and forgives at most so many errors */
#define STOPS 200          /* of a walk over all items, at most */
#define LOOK_ERRORS 10.0   /* the first look is at 10 / target outcomes */

static int compare_items(const void *a, const void *b)
{
    double x = ((const struct certify_item *)a)->score;
    double y = ((const struct certify_item *)b)->score;
    return (x < y) - (x > y);
}

struct certify_item *certify_sort(const double *score, const bool *right, size_t n, size_t *kept)
{
    struct certify_item *s = mem_alloc_array(n + 1, sizeof(*s));
    *kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(score[i])) {
            s[(*kept)++] = (struct certify_item){score[i], right[i]};
        }
    }
    qsort(s, *kept, sizeof(*s), compare_items);
    return s;
}

size_t certify_start(size_t n, size_t acceptable, const struct certify_rule *rule)
{
    double part = (double)acceptable / (double)(n > 0 ? n : 1);
    double most = (START_SHARE + START_MORE * part) * (double)acceptable;
    if (rule->basis == CERTIFY_OF_TRAFFIC) { /* how many are accepted does not enter the test */
        return certify_needed(0, rule->target, rule->delta) <= n ? n / 50 + 1 : 0;
    }
    for (size_t k = START_ERRORS + 1; k-- > 0;) {
        size_t needed = certify_needed(k, rule->target, rule->delta);
        if ((double)needed <= most || (k == 0 && needed <= n)) {
            return needed;
        }
    }
    return 0;
}

/* How many the scores alone call acceptable. */
static size_t count_acceptable(const struct certify_item *s, size_t n, double target)
{
    double expected = 0;
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].score < 0 || s[i].score > 1) {
            return n;
        }
        expected += 1 - s[i].score;
        best = expected <= target * (double)(i + 1) ? i + 1 : best;
    }
    return best;
}

static size_t next_stop(size_t m, size_t n, const struct certify_rule *rule)
{
    (void)rule;
    return m + n / STOPS + 1 < n ? m + n / STOPS + 1 : n;
}

/* Of these the test asks: how many errors among how many. */
static double test_value(const struct certify_rule *rule, size_t wrong, size_t accepted, size_t n)
{
    return certify_binomial(wrong, rule->basis == CERTIFY_OF_TRAFFIC ? n : accepted, rule->target);
}

/* Just above the next score: what is accepted lies strictly above it, so the accepted items are a
   sample of all that the threshold accepts, and the next one, whose place is known, is not. */
static double threshold_after(const struct certify_item *s, size_t at, size_t n)
{
    return at < n ? nextafter(s[at].score, DBL_MAX) : s[n - 1].score < 0 ? -DBL_MAX : 0;
}

void certify_test(const double *score, const bool *right, size_t n, const struct certify_rule *rule,
                  struct certify_result *out)
{
    ASSERT(rule->target > 0 && rule->target < 1 && rule->delta > 0 && rule->delta < 1);
    *out = (struct certify_result){.threshold = CERTIFY_NEVER, .n = n, .p = 1, .error_upper = 1,
                                   .traffic_upper = 1};
    size_t kept;
    AUTO_FREE struct certify_item *s = certify_sort(score, right, n, &kept);
    size_t acceptable = count_acceptable(s, kept, rule->target);
    out->start = rule->start != 0 ? rule->start : certify_start(n, acceptable, rule);
    if (out->start == 0 || out->start > n) {
        out->start = 0;
        return;
    }
    size_t next = out->start;
    size_t wrong = 0;
    for (size_t i = 0; i < kept; i++) {
        wrong += s[i].right ? 0 : 1;
        bool whole = i + 1 == kept || s[i + 1].score < s[i].score;
        if (i + 1 < next || !whole) {
            continue;
        }
        double p = test_value(rule, wrong, i + 1, n);
        if (p > rule->delta) {
            break;
        }
        out->certified = true;
        out->threshold = threshold_after(s, i + 1, kept);
        out->accepted = i + 1;
        out->errors = wrong;
        out->p = p;
        next = next_stop(i + 1, n, rule);
    }
    if (out->certified) {
        out->error_upper = certify_upper(out->errors, out->accepted, rule->delta);
        out->traffic_upper = certify_upper(out->errors, n, rule->delta);
    }
}

void certify_split(double target, double delta, struct certify_share *rungs, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        ASSERT(rungs[i].weight > 0);
        sum += rungs[i].weight;
    }
    for (size_t i = 0; i < n; i++) {
        rungs[i].target = target * rungs[i].weight / sum;
        rungs[i].delta = delta / (double)n;
    }
}

/* ---- looks ---- */

size_t certify_look_items(size_t look, double target)
{
    return (size_t)ceil(LOOK_ERRORS / target) << look;
}

double certify_look_delta(size_t look, double delta)
{
    return ldexp(delta, -(int)look - 1);
}

/* Would a look at `items` pass, if errors fell as they did, and one more? */
static bool would_pass(const struct certify_item *s, size_t n, size_t items,
                       const struct certify_rule *rule)
{
    double scale = (double)items / (double)n;
    size_t acceptable = (size_t)((double)count_acceptable(s, n, rule->target) * scale);
    size_t start = certify_start(items, acceptable, rule);
    size_t least = (size_t)ceil(1 / rule->target); /* of fewer items nothing follows */
    double wrong = 0;
    for (size_t i = 0; i < n; i++) {
        wrong += s[i].right ? 0 : 1;
        size_t accepted = (size_t)((double)(i + 1) * scale);
        if (accepted < start || start == 0 || i + 1 < least) {
            continue;
        }
        size_t errors = (size_t)ceil(wrong * scale) + 1;
        if (certify_binomial(errors, accepted, rule->target) <= rule->delta) {
            return true;
        }
    }
    return false;
}

size_t certify_expected(const double *score, const bool *right, size_t n, size_t look,
                        double target, double delta)
{
    size_t kept = 0;
    AUTO_FREE struct certify_item *s = certify_sort(score, right, n, &kept);
    for (; look < CERTIFY_LOOKS_MAX; look++) {
        struct certify_rule rule = {.target = target,
                                    .delta = certify_look_delta(look, delta)};
        size_t items = certify_look_items(look, target);
        if (items < n) {
            continue;
        }
        if ((double)kept * target < 1 || would_pass(s, kept, items, &rule)) {
            return items;
        }
    }
    return 0;
}
