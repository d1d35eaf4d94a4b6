/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: from (how sure it was, was it right) pairs to a calibrated confidence and a certified
 * threshold.
 *
 * Calibration: Platt scaling on the logit of the raw confidence, Newton's method with the smoothed
 * targets of Platt 1999 (N+ + 1)/(N+ + 2), 1/(N- + 2); margin and agreement are two more columns
 * when they pay on held-out parts. Threshold: certify_test, the fixed-sequence exact-binomial
 * test.
 */
#include <math.h>
#include <string.h>

#include "answer/ladder/ladder.h"
#include "answer/learn/learn.h"

#define COLUMNS 4
#define RIDGE 1e-3       /* keeps the fit finite when all are right or all wrong */
#define RIDGE_MORE 0.25  /* of the two further columns: a small sample may not lean on them */
#define MORE_FROM 20     /* pairs before the further columns are tried */
#define PAYS 0.01        /* they must lower the mean log loss by so much */

static double logit(double p)
{
    double q = p < 1e-6 ? 1e-6 : p > 1 - 1e-6 ? 1 - 1e-6 : p;
    return log(q / (1 - q));
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

double ladder_calibrate(const struct ladder_evidence *e, const struct ladder_signals *s)
{
    if (e->n == 0) {
        return s->raw < LADDER_UNPROVEN ? s->raw : LADDER_UNPROVEN;
    }
    return sigmoid(e->slope * logit(s->raw) + e->by_margin * s->margin + e->by_agree * s->agree +
                   e->offset);
}

struct ladder_signals ladder_signals_of(const struct ladder_climb *c, size_t i,
                                        const struct ladder_proposal *p)
{
    struct ladder_signals s = {.raw = p->raw};
    const struct ladder_heard *learned = &c->heard[i][LADDER_LEARNED];
    if (p->candidates_len > 1) {
        s.margin = p->candidates[0].p - p->candidates[1].p;
    }
    if (p->rung != LADDER_LEARNED && learned->value != NULL) {
        bool same = strcmp(learned->value, p->value) == 0;
        s.agree = same ? learned->confidence : -learned->confidence;
    }
    return s;
}

/* ---- the fit ---- */

struct pairs {
    const struct ladder_signals *said;
    const bool *right;
    size_t n;
    size_t part; /* left out; LADDER_FOLDS: none */
};

static void columns(const struct ladder_signals *s, double x[COLUMNS])
{
    x[0] = logit(s->raw);
    x[1] = 1;
    x[2] = s->margin;
    x[3] = s->agree;
}

/* Solves a x = b in place by Gaussian elimination; a is positive definite (ridge). */
static void solve(double a[COLUMNS][COLUMNS], double b[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++) {
        for (int r = i + 1; r < COLUMNS; r++) {
            double f = a[r][i] / a[i][i];
            for (int c = i; c < COLUMNS; c++) {
                a[r][c] -= f * a[i][c];
            }
            b[r] -= f * b[i];
        }
    }
    for (int i = COLUMNS - 1; i >= 0; i--) {
        for (int c = i + 1; c < COLUMNS; c++) {
            b[i] -= a[i][c] * b[c];
        }
        b[i] /= a[i][i];
    }
}

/* One Newton step over the pairs on the columns in `use`; returns how far it went. */
static double newton(const struct pairs *p, double hi, double lo, const bool use[COLUMNS],
                     double w[COLUMNS])
{
    double h[COLUMNS][COLUMNS] = {{0}}, g[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        double ridge = i < 2 ? RIDGE : RIDGE_MORE;
        g[i] = use[i] ? ridge * (w[i] - (i == 0 ? 1 : 0)) : 0;
        h[i][i] = use[i] ? ridge : 1;
    }
    for (size_t n = 0; n < p->n; n++) {
        double x[COLUMNS];
        if (n % LADDER_FOLDS == p->part) {
            continue;
        }
        columns(&p->said[n], x);
        double q = sigmoid(w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3]);
        double d = q - (p->right[n] ? hi : lo), v = q * (1 - q);
        for (int i = 0; i < COLUMNS; i++) {
            g[i] += use[i] ? d * x[i] : 0;
            for (int c = 0; c < COLUMNS; c++) {
                h[i][c] += use[i] && use[c] ? v * x[i] * x[c] : 0;
            }
        }
    }
    solve(h, g);
    double far = 0;
    for (int i = 0; i < COLUMNS; i++) {
        w[i] -= g[i];
        far += fabs(g[i]);
    }
    return far;
}

static void fit(const struct pairs *p, bool more, double w[COLUMNS])
{
    double good = 0, n = 0;
    bool use[COLUMNS] = {true, true, more, more};
    for (size_t i = 0; i < p->n; i++) {
        good += i % LADDER_FOLDS != p->part && p->right[i];
        n += i % LADDER_FOLDS != p->part;
    }
    double hi = (good + 1) / (good + 2), lo = 1 / (n - good + 2);
    /* A negative weight would say that surer answers are worse: then that column carries nothing,
       and the others are fitted without it. */
    for (int again = 0; again < COLUMNS; again++) {
        bool sane = true;
        memset(w, 0, COLUMNS * sizeof(*w));
        w[0] = use[0] ? 1 : 0;
        for (int round = 0; round < 50 && newton(p, hi, lo, use, w) >= 1e-9; round++) {
        }
        for (int i = 0; i < COLUMNS; i++) {
            if (i != 1 && use[i] && !(w[i] > 0 && isfinite(w[i]))) {
                sane = use[i] = false;
            }
        }
        if (sane && isfinite(w[1])) {
            return;
        }
    }
    memset(w, 0, COLUMNS * sizeof(*w));
    w[1] = logit((good + 1) / (n + 2));
}

static double confidence(const double w[COLUMNS], const struct ladder_signals *s)
{
    double x[COLUMNS], z = 0;
    columns(s, x);
    for (int i = 0; i < COLUMNS; i++) {
        z += w[i] * x[i];
    }
    return sigmoid(z);
}

/* Mean log loss of pairs under the weights fitted without their part. */
static double held_out_loss(const struct ladder_signals *said, const bool *right, size_t n,
                            bool more, double *out)
{
    double loss = 0;
    for (size_t part = 0; part < LADDER_FOLDS; part++) {
        double w[COLUMNS];
        struct pairs p = {said, right, n, part};
        fit(&p, more, w);
        for (size_t i = part; i < n; i += LADDER_FOLDS) {
            double q = confidence(w, &said[i]);
            out[i] = q;
            loss -= log(right[i] ? q + 1e-9 : 1 - q + 1e-9);
        }
    }
    return loss / (double)n;
}

void ladder_fit_evidence(const struct ladder_signals *said, const bool *right, size_t n,
                         double target_error, double delta, struct ladder_evidence *out,
                         double *held_out)
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
    double *few = mem_alloc_array(n, sizeof(*few)), *all = mem_alloc_array(n, sizeof(*all));
    double plain = held_out_loss(said, right, n, false, few);
    bool more = n >= MORE_FROM && held_out_loss(said, right, n, true, all) < plain - PAYS;
    double w[COLUMNS];
    struct pairs p = {said, right, n, LADDER_FOLDS};
    fit(&p, more, w);
    out->slope = w[0];
    out->offset = w[1];
    out->by_margin = w[2];
    out->by_agree = w[3];
    if (held_out != NULL) {
        memcpy(held_out, more ? all : few, n * sizeof(*held_out));
    }
    struct learn_certificate c;
    float *score = mem_alloc_array(n, sizeof(*score));
    for (size_t i = 0; i < n; i++) {
        score[i] = (float)ladder_calibrate(out, &said[i]);
    }
    learn_certify(score, right, n, target_error, delta, &c);
    out->threshold = c.certified ? c.threshold : LADDER_UNCERTIFIED;
    out->coverage = c.certified ? c.coverage : 0;
    mem_free(score);
    mem_free(few);
    mem_free(all);
}
