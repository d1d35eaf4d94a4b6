/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fitting to a team's past tickets: ranking weights, acceptance weights, and the threshold.
 *
 * Two logistic regressions by gradient descent with a pull towards the defaults, so that a few
 * dozen tickets cannot throw the model far. Every ticket is left out of its own search
 * (except_key).
 * Owns: nothing. Threads: pure; runs on a crunch thread.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/compose/compose_internal.h"

#define LEAST_ANSWERED 40
#define STEPS 25
#define PULL 0.1        /* ridge towards the start, in units of one ticket */
#define NONE_WEIGHT 3.0 /* a ticket without an answer: few of them, and a draft there costs most   \
                         */
#define PARTS 10
#define MOST 24

struct sample {
    double x[MOST];
    double y;
    double weight;
    size_t group; /* ranking: the candidates of one ticket */
};

/* Solves a x = b in place (Gauss with pivots); a is n x n, positive definite by the ridge. */
static void solve(double a[MOST][MOST], double *b, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        size_t p = c;
        for (size_t r = c + 1; r < n; r++) {
            p = fabs(a[r][c]) > fabs(a[p][c]) ? r : p;
        }
        for (size_t j = 0; j < n && p != c; j++) {
            double t = a[c][j];
            a[c][j] = a[p][j];
            a[p][j] = t;
        }
        double t = b[c];
        b[c] = b[p];
        b[p] = t;
        for (size_t r = c + 1; r < n; r++) {
            double f = a[r][c] / a[c][c];
            for (size_t j = c; j < n; j++) {
                a[r][j] -= f * a[c][j];
            }
            b[r] -= f * b[c];
        }
    }
    for (size_t c = n; c-- > 0;) {
        for (size_t j = c + 1; j < n; j++) {
            b[c] -= a[c][j] * b[j];
        }
        b[c] /= a[c][c];
    }
}

static void ridge(double h[MOST][MOST], double *g, const double *w, const double *start, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        g[j] -= PULL * (w[j] - start[j]);
        h[j][j] += PULL;
    }
}

static void step(double h[MOST][MOST], double *g, double *w, size_t n)
{
    solve(h, g, n);
    for (size_t j = 0; j < n; j++) {
        w[j] += fmax(-2, fmin(2, g[j])); /* no leap: far from the optimum Newton overshoots */
    }
}

/* Logistic regression by Newton's method; the last weight is the bias. */
static void fit_logistic(const struct sample *s, size_t count, size_t n, double *w)
{
    double start[MOST];
    memcpy(start, w, n * sizeof(double));
    for (int round = 0; round < STEPS; round++) {
        double g[MOST] = {0}, h[MOST][MOST] = {{0}};
        for (size_t i = 0; i < count; i++) {
            double z = 0;
            for (size_t j = 0; j < n; j++) {
                z += w[j] * s[i].x[j];
            }
            double p = compose_logistic(z), v = s[i].weight * p * (1 - p);
            for (size_t j = 0; j < n; j++) {
                g[j] += s[i].weight * (s[i].y - p) * s[i].x[j];
                for (size_t m = 0; m < n; m++) {
                    h[j][m] += v * s[i].x[j] * s[i].x[m];
                }
            }
        }
        ridge(h, g, w, start, n);
        step(h, g, w, n);
    }
}

/* One ticket's share in the conditional logit: the right candidate against all of its group. */
static void add_group(const struct sample *s, size_t count, size_t n, const double *w, double *g,
                      double h[MOST][MOST])
{
    double p[COUNT_OF(((struct match *)0)->list)], mean[MOST] = {0}, most = -1e9, sum = 0;
    for (size_t i = 0; i < count; i++) {
        p[i] = 0;
        for (size_t j = 0; j < n; j++) {
            p[i] += w[j] * s[i].x[j];
        }
        most = fmax(most, p[i]);
    }
    for (size_t i = 0; i < count; i++) {
        p[i] = exp(p[i] - most);
        sum += p[i];
    }
    for (size_t i = 0; i < count; i++) {
        p[i] /= sum;
        for (size_t j = 0; j < n; j++) {
            mean[j] += p[i] * s[i].x[j];
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < n; j++) {
            g[j] += s[i].y * (s[i].x[j] - mean[j]);
            for (size_t m = 0; m < n; m++) {
                h[j][m] += p[i] * (s[i].x[j] - mean[j]) * (s[i].x[m] - mean[m]);
            }
        }
    }
}

/* Conditional logit (McFadden 1974): which candidate of a ticket is the right one. */
static void fit_choice(const struct sample *s, size_t count, size_t n, double *w)
{
    double start[MOST];
    memcpy(start, w, n * sizeof(double));
    for (int round = 0; round < STEPS; round++) {
        double g[MOST] = {0}, h[MOST][MOST] = {{0}};
        for (size_t from = 0; from < count;) {
            size_t to = from;
            while (to < count && s[to].group == s[from].group) {
                to++;
            }
            add_group(s + from, to - from, n, w, g, h);
            from = to;
        }
        ridge(h, g, w, start, n);
        step(h, g, w, n);
    }
}

struct outcome {
    double confidence;
    bool answerable, right;
};

static struct compose_ticket ticket_of(const struct compose_past *p)
{
    return (struct compose_ticket){.subject = p->subject,
                                   .text = p->text,
                                   .vector = p->vector,
                                   .dim = p->dim,
                                   .except_key = p->key,
                                   .opinion = p->opinion.len > 0 ? &p->opinion : NULL};
}

static enum knowledge_lang lang_of(const struct compose_past *p)
{
    AUTO_FREE char *text = compose_query_text(p->subject, p->text);
    return knowledge_lang_from_code(check_language(text, strlen(text)).code);
}

static bool is_right(const struct knowledge *k, const struct candidate *c,
                     const struct compose_past *p)
{
    return p->article != NULL &&
           strcmp(knowledge_article_at(k, c->hit.article)->id, p->article) == 0;
}

static void fit_ranking(const struct knowledge *k, const struct compose_past *past, size_t count,
                        struct compose_model *model)
{
    struct sample *s = mem_alloc_array(count * 10 + 1, sizeof(*s));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct compose_ticket t = ticket_of(&past[i]);
        struct match m;
        if (past[i].article == NULL) {
            continue;
        }
        compose_match(k, model, &t, lang_of(&past[i]), false, &m);
        bool found = false;
        for (size_t c = 0; c < m.count; c++) {
            memcpy(s[n + c].x, m.list[c].feature, sizeof(m.list[c].feature));
            s[n + c].y = is_right(k, &m.list[c], &past[i]);
            s[n + c].group = i;
            found = found || s[n + c].y > 0;
        }
        /* a ticket whose article was not found at all teaches no ranking */
        n += found ? m.count : 0;
    }
    fit_choice(s, n, COMPOSE_FEATURES, model->rank);
    mem_free(s);
}

static int by_confidence(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    return x->confidence < y->confidence ? 1 : x->confidence > y->confidence ? -1 : 0;
}

/* The lowest threshold that keeps both promises on everything above it. */
static void set_threshold(struct outcome *o, size_t count, double right_share, double false_share,
                          struct compose_model *model, struct compose_fit *f)
{
    int offered = 0, right = 0, wrongly = 0;
    *f = (struct compose_fit){.used = (int)count};
    for (size_t i = 0; i < count; i++) {
        f->answerable += o[i].answerable;
        f->unanswerable += !o[i].answerable;
    }
    qsort(o, count, sizeof(*o), by_confidence);
    model->threshold = 0.99;
    for (size_t i = 0; i < count; i++) {
        offered++;
        right += o[i].right;
        wrongly += !o[i].answerable;
        bool last = i + 1 == count || o[i + 1].confidence < o[i].confidence;
        int answered = offered - wrongly;
        bool keeps = (double)right >= right_share * answered &&
                     (double)wrongly <= false_share * (double)f->unanswerable;
        if (last && keeps && o[i].confidence >= 0.2) {
            double below = i + 1 < count ? o[i + 1].confidence : o[i].confidence;
            model->threshold = (o[i].confidence + below) / 2;
            f->offered = offered;
            f->right = right;
            f->offered_unanswerable = wrongly;
        }
    }
}

/* Each ticket's confidence by weights fitted without its part: the threshold is set on these, or it
   would promise what only the tickets it was fitted on keep. */
static void say_out_of_fold(const struct sample *s, size_t count, const struct compose_model *from,
                            struct outcome *o)
{
    struct sample *rest = mem_alloc_array(count + 1, sizeof(*rest));
    for (size_t part = 0; part < PARTS; part++) {
        struct compose_model m = *from;
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            if (i % PARTS != part) {
                rest[n++] = s[i];
            }
        }
        fit_logistic(rest, n, COMPOSE_SIGNS + 1, m.accept);
        for (size_t i = part; i < count; i += PARTS) {
            o[i].confidence = compose_accept(&m, s[i].x);
        }
    }
    mem_free(rest);
}

enum fail compose_calibrate(const struct knowledge *k, const struct compose_past *past,
                            size_t count, double right_share, double false_share,
                            struct compose_model *model, struct compose_fit *f, struct fault *why)
{
    size_t answered = 0;
    for (size_t i = 0; i < count; i++) {
        answered += past[i].article != NULL;
    }
    if (answered < LEAST_ANSWERED) {
        FAULT(why, FAIL_BAD_REQUEST,
              "%zu past tickets name the article that answered them; %d are needed", answered,
              LEAST_ANSWERED);
        return fail_hint(why, "Add `article` to the expected values of more past tickets, or keep "
                              "the default threshold.");
    }
    struct compose_model fitted = *model;
    fit_ranking(k, past, count, &fitted);
    struct sample *s = mem_alloc_array(count, sizeof(*s));
    struct outcome *o = mem_alloc_array(count, sizeof(*o));
    for (size_t i = 0; i < count; i++) {
        struct compose_ticket t = ticket_of(&past[i]);
        struct match m;
        compose_match(k, &fitted, &t, lang_of(&past[i]), false, &m);
        compose_signs(&m, s[i].x);
        s[i].x[COMPOSE_SIGNS] = 1;
        o[i].answerable = past[i].article != NULL;
        o[i].right = m.count > 0 && is_right(k, &m.list[0], &past[i]);
        s[i].y = o[i].right;
        s[i].weight = o[i].answerable ? 1 : NONE_WEIGHT;
    }
    say_out_of_fold(s, count, &fitted, o);
    fit_logistic(s, count, COMPOSE_SIGNS + 1, fitted.accept);
    set_threshold(o, count, right_share, false_share, &fitted, f);
    fitted.fitted_on = (int)count;
    *model = fitted;
    mem_free(s);
    mem_free(o);
    return FAIL_NONE;
}
