/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, intervals and percentiles. Threads: none. */
#include "prove/measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"

#define MAX_TIMES ((size_t)10 * 1000 * 1000)
#define Z95 1.959963984540054

double measure_share(struct measure_tally t)
{
    return t.n > 0 ? (double)t.right / (double)t.n : 0;
}

struct measure_interval measure_wilson(int64_t right, int64_t n)
{
    if (n <= 0) {
        return (struct measure_interval){0, 1};
    }
    double p = (double)right / (double)n, z2 = Z95 * Z95, d = (double)n;
    double centre = (p + z2 / (2 * d)) / (1 + z2 / d);
    double half = Z95 * sqrt(p * (1 - p) / d + z2 / (4 * d * d)) / (1 + z2 / d);
    return (struct measure_interval){fmax(0, centre - half), fmin(1, centre + half)};
}

double measure_binomial_tail(int64_t k, int64_t n, double p)
{
    if (k < 0) {
        return 0;
    }
    if (k >= n || p <= 0) {
        return 1;
    }
    if (p >= 1) {
        return 0;
    }
    double sum = 0, lp = log(p), lq = log1p(-p), ln = lgamma((double)n + 1);
    for (int64_t i = 0; i <= k; i++) {
        sum += exp(ln - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * lp +
                   (double)(n - i) * lq);
    }
    return fmin(1, sum);
}

int64_t measure_items_needed(double target, double seen, double alpha, int64_t limit)
{
    if (target <= 0 || seen >= target) {
        return 0;
    }
    /* Doubling, then halving the last gap: the tail is not monotone in n, so the answer is
       within one error's step. */
    int64_t high = 1;
    while (high <= limit &&
           measure_binomial_tail((int64_t)ceil(seen * (double)high), high, target) > alpha) {
        high *= 2;
    }
    if (high > limit) {
        return 0;
    }
    int64_t low = high / 2;
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;
        bool ok = measure_binomial_tail((int64_t)ceil(seen * (double)mid), mid, target) <= alpha;
        *(ok ? &high : &low) = mid;
    }
    return high;
}

/* ---- a run ---- */

void measure_run_init(struct measure_run *m)
{
    *m = (struct measure_run){0};
}

void measure_run_done(struct measure_run *m)
{
    mem_free(m->ms);
    *m = (struct measure_run){0};
}

static struct measure_field *field_of(struct measure_run *m, const char *name)
{
    for (size_t i = 0; i < m->fields_len; i++) {
        if (strcmp(m->fields[i].name, name) == 0) {
            return &m->fields[i];
        }
    }
    if (m->fields_len == MEASURE_MAX_FIELDS) {
        return NULL;
    }
    struct measure_field *f = &m->fields[m->fields_len++];
    (void)text_copy(f->name, sizeof(f->name), name);
    return f;
}

static struct measure_rung *rung_of(struct measure_field *f, const char *name)
{
    for (size_t i = 0; i < f->rungs_len; i++) {
        if (strcmp(f->rungs[i].name, name) == 0) {
            return &f->rungs[i];
        }
    }
    if (f->rungs_len == MEASURE_MAX_RUNGS) {
        return NULL;
    }
    struct measure_rung *r = &f->rungs[f->rungs_len++];
    (void)text_copy(r->name, sizeof(r->name), name);
    return r;
}

static void tally(struct measure_tally *t, bool right)
{
    t->n++;
    t->right += right ? 1 : 0;
}

void measure_add(struct measure_run *m, const struct measure_answer *a)
{
    struct measure_field *f = field_of(m, a->field);
    if (f == NULL) {
        return;
    }
    struct measure_rung *r = a->proposed_by != NULL ? rung_of(f, a->proposed_by) : NULL;
    bool right = a->expected != NULL && a->value != NULL && strcmp(a->expected, a->value) == 0;
    f->n++;
    f->decided += a->decided ? 1 : 0;
    if (r != NULL) {
        r->proposed++;
        r->decided += a->decided ? 1 : 0;
    }
    if (a->expected == NULL) {
        return;
    }
    bool among = right;
    for (size_t i = 0; i < a->first_len && i < 3; i++) {
        among = among || strcmp(a->first[i], a->expected) == 0;
    }
    tally(&f->known, right);
    tally(&f->top3, among);
    if (a->decided) {
        tally(&f->known_decided, right);
    }
    if (r != NULL) {
        tally(&r->known, right);
        if (a->decided) {
            tally(&r->known_decided, right);
        }
    }
}

void measure_task(struct measure_run *m, double ms, int64_t tokens_in, int64_t tokens_cached,
                  int64_t tokens_out, bool to_person)
{
    m->tasks++;
    m->to_person += to_person ? 1 : 0;
    m->tokens_in += tokens_in;
    m->tokens_cached += tokens_cached;
    m->tokens_out += tokens_out;
    if (m->ms_len == m->ms_room) {
        if (m->ms_room >= MAX_TIMES) {
            return;
        }
        m->ms_room = m->ms_room == 0 ? 1024 : m->ms_room * 2;
        m->ms = mem_realloc(m->ms, m->ms_room * sizeof(*m->ms));
    }
    m->ms[m->ms_len++] = (float)ms;
}

static int by_ms(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double measure_ms(struct measure_run *m, double q)
{
    if (m->ms_len == 0) {
        return 0;
    }
    qsort(m->ms, m->ms_len, sizeof(*m->ms), by_ms);
    double rank = ceil(q * (double)m->ms_len);
    size_t i = rank < 1 ? 0 : (size_t)rank - 1;
    return (double)m->ms[i < m->ms_len ? i : m->ms_len - 1];
}

double measure_tasks_per_hour(const struct measure_run *m)
{
    return m->seconds > 0 ? 3600.0 * (double)m->tasks / m->seconds : 0;
}

const char *measure_percent(struct measure_tally t, char out[16])
{
    if (t.n == 0) {
        (void)snprintf(out, 16, "-");
    } else {
        (void)snprintf(out, 16, "%.1f %%", 100 * measure_share(t));
    }
    return out;
}
