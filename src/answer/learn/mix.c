/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mix: a linear model's logits and the vote of the nearest examples become one calibrated
 * probability. Two numbers (a scale and the vote's weight) by damped Newton on the out-of-fold log
 * loss, which is convex in them, for each width of a short list.
 *
 * Owns nothing. Threads: pure. Source: temperature scaling, Guo et al. 2017, with a second feature.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

#define MAX_FIT 20000 /* examples looked at */
#define PULL 2.0      /* towards scale 1 and vote 0: keeps the fit of a small, clean set finite */

void learn_vote(const struct learn_voters *v, float width, size_t labels, float *l)
{
    float sum = 0;
    memset(l, 0, labels * sizeof(*l));
    for (size_t i = 0; i < v->n; i++) {
        float x = expf((v->cosine[i] - v->cosine[0]) / width);
        l[v->label[i]] += x;
        sum += x;
    }
    const float empty = logf(LEARN_VOTE_FLOOR);
    for (size_t k = 0; k < labels; k++) {
        l[k] = l[k] > 0 ? logf(l[k] / sum + LEARN_VOTE_FLOOR) : empty;
    }
}

void learn_combine(const struct learn_mix *mix, const float *z, const struct learn_voters *v,
                   size_t labels, float *scratch, float *p)
{
    learn_vote(v, mix->width, labels, scratch);
    for (size_t k = 0; k < labels; k++) {
        scratch[k] = mix->scale * z[k] + mix->vote_weight * scratch[k];
    }
    learn_softmax(scratch, labels, p);
}

struct fit {
    const float *z;
    const float *votes;
    const uint32_t *truth;
    size_t n, step, stride, labels;
    float *p;
    double loss, grad[2], hess[3];
};

static double pull(double a, double b)
{
    return PULL * ((a - 1) * (a - 1) + b * b);
}

static void look(struct fit *f, double a, double b)
{
    memset(f->grad, 0, sizeof(f->grad));
    memset(f->hess, 0, sizeof(f->hess));
    f->loss = pull(a, b);
    for (size_t i = 0; i < f->n; i++) {
        const float *z = f->z + i * f->step * f->stride;
        const float *l = f->votes + i * f->stride;
        uint32_t y = f->truth[i * f->step];
        for (size_t k = 0; k < f->labels; k++) {
            f->p[k] = (float)a * z[k] + (float)b * l[k];
        }
        learn_softmax(f->p, f->labels, f->p);
        double m[2] = {0, 0};
        double s[3] = {0, 0, 0};
        for (size_t k = 0; k < f->labels; k++) {
            double pk = (double)f->p[k];
            double zk = (double)z[k];
            double lk = (double)l[k];
            m[0] += pk * zk;
            m[1] += pk * lk;
            s[0] += pk * zk * zk;
            s[1] += pk * zk * lk;
            s[2] += pk * lk * lk;
        }
        f->loss -= log((double)f->p[y] + 1e-30);
        f->grad[0] += m[0] - (double)z[y];
        f->grad[1] += m[1] - (double)l[y];
        f->hess[0] += s[0] - m[0] * m[0];
        f->hess[1] += s[1] - m[0] * m[1];
        f->hess[2] += s[2] - m[1] * m[1];
    }
    f->grad[0] += 2 * PULL * (a - 1);
    f->grad[1] += 2 * PULL * b;
    f->hess[0] += 2 * PULL;
    f->hess[2] += 2 * PULL;
}

/* Newton from (1, 0) with halved steps while the loss rises; a >= 0.01, b >= 0. */
static double newton(struct fit *f, double *a, double *b)
{
    *a = 1;
    *b = 0;
    look(f, *a, *b);
    for (int round = 0; round < 20; round++) {
        double det = f->hess[0] * f->hess[2] - f->hess[1] * f->hess[1];
        double da = (f->hess[2] * f->grad[0] - f->hess[1] * f->grad[1]) / det;
        double db = (f->hess[0] * f->grad[1] - f->hess[1] * f->grad[0]) / det;
        double before = f->loss;
        double a0 = *a;
        double b0 = *b;
        for (int half = 0; half < 8; half++) {
            *a = fmax(0.01, a0 - da);
            *b = fmax(0, b0 - db);
            look(f, *a, *b);
            if (f->loss <= before) {
                break;
            }
            da /= 2;
            db /= 2;
        }
        if (before - f->loss < 1e-6 * before) {
            break;
        }
    }
    return f->loss;
}

struct learn_mix learn_fit_mix(const float *z, size_t stride, size_t labels,
                               const struct learn_voters *voters, const uint32_t *truth, size_t n,
                               double *loss_out)
{
    static const float widths[] = {0.01F, 0.02F, 0.04F, 0.08F};
    struct learn_mix best = {.scale = 1, .vote_weight = 0, .width = widths[0]};
    double least = 1e300;
    struct fit f = {.z = z, .truth = truth, .step = n / MAX_FIT + 1, .stride = stride,
                    .labels = labels};
    f.n = (n - 1) / f.step + 1;
    AUTO_FREE float *votes = mem_alloc_array(f.n * stride, sizeof(*votes));
    AUTO_FREE float *p = mem_alloc_array(stride, sizeof(*p));
    f.votes = votes;
    f.p = p;
    for (size_t w = 0; w < (voters == NULL ? 1 : COUNT_OF(widths)); w++) {
        double a;
        double b;
        for (size_t i = 0; voters != NULL && i < f.n; i++) {
            learn_vote(&voters[i * f.step], widths[w], labels, votes + i * stride);
        }
        double loss = newton(&f, &a, &b);
        if (loss < least) {
            least = loss;
            best = (struct learn_mix){.scale = (float)a, .vote_weight = (float)b,
                                      .width = widths[w]};
        }
    }
    if (loss_out != NULL) {
        *loss_out = least;
    }
    return best;
}
