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
#define STEPS 400
#define PULL 0.002

struct sample {
    double x[8];
    double y;
    double weight;
};

/* Minimises log loss + PULL |w - start|^2; w has n weights, the last one the bias. */
static void fit(const struct sample *s, size_t count, size_t n, double *w)
{
    double start[9], total = 0;
    memcpy(start, w, n * sizeof(double));
    for (size_t i = 0; i < count; i++) {
        total += s[i].weight;
    }
    for (int step = 0; step < STEPS && total > 0; step++) {
        double g[9] = {0};
        for (size_t i = 0; i < count; i++) {
            double z = w[n - 1];
            for (size_t j = 0; j + 1 < n; j++) {
                z += w[j] * s[i].x[j];
            }
            double d = (compose_logistic(z) - s[i].y) * s[i].weight;
            for (size_t j = 0; j + 1 < n; j++) {
                g[j] += d * s[i].x[j];
            }
            g[n - 1] += d;
        }
        double rate = 2.0 / (1.0 + 0.005 * step);
        for (size_t j = 0; j < n; j++) {
            w[j] -= rate * (g[j] / total + PULL * (w[j] - start[j]));
        }
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
                                   .except_key = p->key};
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
        for (size_t c = 0; c < m.count; c++) {
            memcpy(s[n].x, m.list[c].feature, sizeof(m.list[c].feature));
            s[n].y = is_right(k, &m.list[c], &past[i]);
            s[n].weight = s[n].y > 0 ? 3 : 1;
            n++;
        }
    }
    fit(s, n, COMPOSE_FEATURES + 1, model->rank);
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
        compose_accept_features(&m, s[i].x);
        o[i].answerable = past[i].article != NULL;
        o[i].right = m.count > 0 && is_right(k, &m.list[0], &past[i]);
        s[i].y = o[i].right;
        s[i].weight = 1;
    }
    fit(s, count, 4, fitted.accept);
    for (size_t i = 0; i < count; i++) {
        o[i].confidence =
            compose_logistic(fitted.accept[3] + fitted.accept[0] * s[i].x[0] +
                             fitted.accept[1] * s[i].x[1] + fitted.accept[2] * s[i].x[2]);
    }
    set_threshold(o, count, right_share, false_share, &fitted, f);
    fitted.fitted_on = (int)count;
    *model = fitted;
    mem_free(s);
    mem_free(o);
    return FAIL_NONE;
}
