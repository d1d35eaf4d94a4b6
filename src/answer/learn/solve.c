/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Solve: multinomial logistic regression by dual block coordinate ascent, and the inner loops that
 * prediction shares with it.
 *
 * Minimises 1/2 |W|^2 + sum_i C_i (-ln softmax(W'x_i)[y_i]), C_i the cost times the example's
 * weight. In the dual every example owns a point q_i of the simplex, and W = sum_i C_i x_i (e_y -
 * q_i)'. With a target t_i of the simplex in place of one label, t_i stands for e_y. One step
 * maximises the dual over one whole q_i exactly (after Yu, Huang and Lin, "Dual coordinate descent
 * methods for logistic regression and maximum entropy models", 2011; and Shalev-Shwartz and Zhang,
 * SDCA, 2013): with z = W'x_i and r = C_i |x_i|^2 the new point solves ln q_k + r q_k = z_k + r
 * q_k(old) - v, sum q = 1. With m = r q that is m + ln m = b - v: the Wright omega function, found
 * by two Newton steps; v by Newton from the left, where it converges without overshooting. No step
 * size, and every step ascends.
 *
 * Owns nothing. Threads: pure. This file is compiled with -O3 -ffast-math (CMakeLists.txt): no
 * NaN or infinity may reach it.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

size_t learn_stride(size_t labels)
{
    return (labels + 7) / 8 * 8;
}

union bits {
    float f;
    int32_t i;
};

/* ln x, x > 0 normal; error below 1e-6 relative to max(1, |ln x|). Atanh series on [0.7, 1.41]. */
static inline __attribute__((always_inline)) float quick_log(float x)
{
    union bits u = {.f = x};
    int32_t e = (u.i - 0x3f330000) >> 23;
    u.i -= (int32_t)((uint32_t)e << 23);
    float t = (u.f - 1.0F) / (u.f + 1.0F);
    float t2 = t * t;
    float s = t * (2.0F + t2 * (0.66666667F + t2 * (0.4F + t2 * (0.28571429F + t2 * 0.2222222F))));
    return s + (float)e * 0.69314718F;
}

/* e^x, clamped to [-80, 80]; relative error about 2e-7. */
static inline __attribute__((always_inline)) float quick_exp(float x)
{
    x = x < -80.0F ? -80.0F : x;
    x = x > 80.0F ? 80.0F : x;
    float k = x * 1.44269504F;
    int32_t n = (int32_t)(k + (k < 0 ? -0.5F : 0.5F));
    float f = x - (float)n * 0.69314718F;
    float p = 1.0F + f * (1.0F + f * (0.5F + f * (0.16666667F + f * (0.041666668F +
              f * (0.0083333338F + f * 0.0013888889F)))));
    union bits u = {.i = (n + 127) << 23};
    return p * u.f;
}

/* w with w + ln w = x. */
static inline __attribute__((always_inline)) float omega(float x)
{
    float e = quick_exp(x < 1.0F ? x : 1.0F);
    float big = x > 1.0F ? x : 1.0F;
    float w = x > 1.0F ? big - quick_log(big) : e / (1.0F + e);
    w = w * (1.0F + x - quick_log(w)) / (1.0F + w);
    w = w * (1.0F + x - quick_log(w)) / (1.0F + w);
    return w < 1e-30F ? 1e-30F : w;
}

LEARN_FAST void learn_score(const float *w, size_t stride, const float *dense, int dim,
                      const uint32_t *col, const float *val, size_t n, float *z)
{
    const float *row = w + (size_t)dim * stride;
    for (size_t k = 0; k < stride; k++) {
        z[k] = row[k]; /* the constant */
    }
    for (int j = 0; j < dim; j++) {
        float x = dense[j];
        row = w + (size_t)j * stride;
        for (size_t k = 0; k < stride; k++) {
            z[k] += x * row[k];
        }
    }
    const float *grams = w + ((size_t)dim + 1) * stride;
    for (size_t j = 0; j < n; j++) {
        float x = val[j];
        row = grams + (size_t)col[j] * stride;
        for (size_t k = 0; k < stride; k++) {
            z[k] += x * row[k];
        }
    }
}

LEARN_FAST static void add_outer(float *w, size_t stride, const float *dense, int dim,
                           const uint32_t *col, const float *val, size_t n, const float *d)
{
    float *row = w + (size_t)dim * stride;
    for (size_t k = 0; k < stride; k++) {
        row[k] += d[k];
    }
    for (int j = 0; j < dim; j++) {
        float x = dense[j];
        row = w + (size_t)j * stride;
        for (size_t k = 0; k < stride; k++) {
            row[k] += x * d[k];
        }
    }
    float *grams = w + ((size_t)dim + 1) * stride;
    for (size_t j = 0; j < n; j++) {
        float x = val[j];
        row = grams + (size_t)col[j] * stride;
        for (size_t k = 0; k < stride; k++) {
            row[k] += x * d[k];
        }
    }
}

/*
 * The best q for one example. z in; q in and out; d out: C times the change of (e_y - q), 0 in the
 * padding; b is scratch. Returns the largest change of a q.
 */
LEARN_FAST static float best_point(const float *z, size_t labels, size_t stride, float r,
                                   float cost, float *q, float *d, float *b)
{
    float top = -1e30F;
    float ln_r = quick_log(r);
    for (size_t k = 0; k < labels; k++) {
        b[k] = z[k] + r * q[k] + ln_r;
        top = b[k] > top ? b[k] : top;
    }
    float v = top - r - ln_r;
    float sum = 0;
    for (int step = 0; step < 12; step++) {
        float slope = 0;
        sum = 0;
        for (size_t k = 0; k < labels; k++) {
            float m = omega(b[k] - v);
            sum += m;
            slope += m / (1.0F + m);
        }
        float excess = sum - r;
        if (excess < 1e-5F * r) {
            break;
        }
        v += excess / slope;
    }
    float most = 0;
    float f = 1.0F / sum;
    for (size_t k = 0; k < labels; k++) {
        float now = omega(b[k] - v) * f;
        float change = q[k] - now;
        d[k] = cost * change;
        q[k] = now;
        change = change < 0 ? -change : change;
        most = change > most ? change : most;
    }
    for (size_t k = labels; k < stride; k++) {
        d[k] = 0;
    }
    return most;
}

static float square_length(const struct learn_matrix *m, size_t i)
{
    float sum = 1; /* the constant */
    for (int j = 0; j < m->dim; j++) {
        float x = m->dense[i * (size_t)m->dim + (size_t)j];
        sum += x * x;
    }
    for (size_t j = m->start[i]; j < m->start[i + 1]; j++) {
        sum += m->val[j] * m->val[j];
    }
    return sum;
}

bool learn_solve(const struct learn_problem *p, float *w, bool (*tick)(void *arg), void *arg)
{
    const struct learn_matrix *m = p->m;
    float *q = mem_alloc_array(p->n_rows * p->stride, sizeof(*q));
    float *scratch = mem_alloc_array(3 * p->stride, sizeof(*scratch));
    uint32_t *order = mem_alloc_array(p->n_rows, sizeof(*order));
    float *cost = mem_alloc_array(p->n_rows, sizeof(*cost));
    float *r = mem_alloc_array(p->n_rows, sizeof(*r));
    uint64_t seed = p->seed;
    for (size_t i = 0; i < p->n_rows; i++) {
        order[i] = (uint32_t)i;
        cost[i] = (float)(p->cost * p->weight[p->rows[i]]);
        r[i] = cost[i] * square_length(m, p->rows[i]);
        if (p->target != NULL) {
            memcpy(q + i * p->stride, p->target + (size_t)p->rows[i] * p->stride,
                   p->stride * sizeof(*q));
        } else {
            q[i * p->stride + p->truth[p->rows[i]]] = 1;
        }
    }
    bool going = true;
    for (int epoch = 0; epoch < p->max_epochs && going; epoch++) {
        for (size_t i = p->n_rows; i > 1; i--) {
            size_t j = learn_random(&seed) % i;
            uint32_t t = order[i - 1];
            order[i - 1] = order[j];
            order[j] = t;
        }
        double moved = 0;
        for (size_t i = 0; i < p->n_rows; i++) {
            size_t row = p->rows[order[i]];
            const float *dense = m->dim > 0 ? m->dense + row * (size_t)m->dim : NULL;
            const uint32_t *col = m->col + m->start[row];
            const float *val = m->val + m->start[row];
            size_t n = m->start[row + 1] - m->start[row];
            learn_score(w, p->stride, dense, m->dim, col, val, n, scratch);
            float most = best_point(scratch, p->labels, p->stride, r[order[i]], cost[order[i]],
                                    q + order[i] * p->stride, scratch + p->stride,
                                    scratch + 2 * p->stride);
            if (most > 1e-6F) {
                add_outer(w, p->stride, dense, m->dim, col, val, n, scratch + p->stride);
            }
            moved += (double)most;
        }
        going = tick == NULL || tick(arg);
        if (moved < 1e-3 * (double)p->n_rows) {
            break;
        }
    }
    mem_free(cost);
    mem_free(r);
    mem_free(order);
    mem_free(scratch);
    mem_free(q);
    return going;
}

LEARN_FAST void learn_softmax(const float *z, size_t labels, float *p)
{
    float top = -1e30F;
    for (size_t k = 0; k < labels; k++) {
        top = z[k] > top ? z[k] : top;
    }
    float sum = 0;
    for (size_t k = 0; k < labels; k++) {
        p[k] = quick_exp(z[k] - top);
        sum += p[k];
    }
    for (size_t k = 0; k < labels; k++) {
        p[k] /= sum;
    }
}

#if defined(__x86_64__)
/* Sixteen products a step; the compiler's own takes 37 ns for 384 of them, this one 16. */
__attribute__((target("avx2"))) static int32_t dot8_avx2(const int8_t *a, const int8_t *b, int n)
{
    __m256i sums = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 16) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(a + i)));
        __m256i y = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b + i)));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, y));
    }
    int32_t part[8];
    _mm256_storeu_si256((__m256i *)(void *)part, sums);
    return part[0] + part[1] + part[2] + part[3] + part[4] + part[5] + part[6] + part[7];
}
#endif

int32_t learn_dot8(const int8_t *a, const int8_t *b, int n)
{
    int32_t sum = 0;
    int i = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        i = n - n % 16;
        sum = dot8_avx2(a, b, i);
    }
#endif
    for (; i < n; i++) {
        sum += (int32_t)((int16_t)a[i] * (int16_t)b[i]);
    }
    return sum;
}

float learn_round8(const float *x, int n, int8_t *out)
{
    float most = 1e-12F;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        most = a > most ? a : most;
    }
    float f = 127.0F / most;
    for (int i = 0; i < n; i++) {
        out[i] = (int8_t)lrintf(x[i] * f);
    }
    return most / 127.0F;
}
