/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix: all examples as sparse n-grams beside dense embeddings, and the vocabulary they give.
 *
 * Owns nothing between calls. Threads: pure. Limits: LEARN_MAX_GRAMS n-grams summed over all texts.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Counts in how many texts each key occurs: open-addressed, grows. */
struct tally {
    uint64_t *key;
    uint32_t *df;
    size_t n, mask;
};

static void tally_init(struct tally *t, size_t size)
{
    t->key = mem_alloc_array(size, sizeof(*t->key));
    t->df = mem_alloc_array(size, sizeof(*t->df));
    t->n = 0;
    t->mask = size - 1;
}

static void tally_done(struct tally *t)
{
    mem_free(t->key);
    mem_free(t->df);
}

static void tally_put(struct tally *t, uint64_t key, uint32_t df)
{
    size_t at = (key >> 1) & t->mask;
    while (t->df[at] != 0 && t->key[at] != key) {
        at = (at + 1) & t->mask;
    }
    if (t->df[at] == 0) {
        t->key[at] = key;
        t->n++;
    }
    t->df[at] += df;
}

static void tally_add(struct tally *t, uint64_t key)
{
    if (t->n * 2 > t->mask) {
        struct tally bigger;
        tally_init(&bigger, (t->mask + 1) * 2);
        for (size_t i = 0; i <= t->mask; i++) {
            if (t->df[i] != 0) {
                tally_put(&bigger, t->key[i], t->df[i]);
            }
        }
        tally_done(t);
        *t = bigger;
    }
    tally_put(t, key, 1);
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The least df at which no more than max_features n-grams remain. */
static unsigned least_df(const struct tally *t, unsigned min_df, size_t max_features, size_t n)
{
    size_t *with = mem_alloc_array(n + 2, sizeof(*with));
    for (size_t i = 0; i <= t->mask; i++) {
        with[t->df[i]]++;
    }
    size_t kept = 0;
    unsigned df = (unsigned)n + 1;
    while (df > min_df && kept + with[df - 1] <= max_features) {
        df--;
        kept += with[df];
    }
    mem_free(with);
    return df;
}

static void keep_frequent(struct learn_vocabulary *v, const struct tally *t, size_t n,
                          const struct learn_options *o)
{
    unsigned min_df = least_df(t, o->min_df, o->max_features, n);
    v->keys = mem_alloc_array(t->n + 1, sizeof(*v->keys));
    for (size_t i = 0; i <= t->mask; i++) {
        if (t->df[i] >= min_df) {
            v->keys[v->n++] = t->key[i];
        }
    }
    qsort(v->keys, v->n, sizeof(*v->keys), compare_keys);
    v->idf = mem_alloc_array(v->n + 1, sizeof(*v->idf));
    learn_vocabulary_index(v);
    for (size_t i = 0; i <= t->mask; i++) {
        if (t->df[i] >= min_df) {
            uint32_t at = learn_vocabulary_find(v, t->key[i]);
            v->idf[at] = (float)(log((1.0 + (double)n) / (1.0 + t->df[i])) + 1.0);
        }
    }
}

void learn_matrix_done(struct learn_matrix *m)
{
    mem_free(m->start);
    mem_free(m->col);
    mem_free(m->val);
    mem_free(m->dense);
    mem_free(m->near);
}

static void fill_dense(struct learn_matrix *m, const struct learn_example *ex, double weight)
{
    size_t dim = (size_t)m->dim;
    m->near_dim = m->dim;
    m->dense = mem_alloc_array(m->n * dim, sizeof(*m->dense));
    m->near = mem_alloc_array(m->n * dim, sizeof(*m->near));
    for (size_t i = 0; i < m->n; i++) {
        for (size_t j = 0; j < dim; j++) {
            m->near[i * dim + j] = ex[i].embedding[j];
            m->dense[i * dim + j] = (float)weight * ex[i].embedding[j];
        }
    }
}

enum fail learn_matrix_build(struct learn_matrix *m, struct learn_vocabulary *v,
                             const struct learn_example *ex, size_t n,
                             const struct learn_options *o, struct fault *why)
{
    memset(m, 0, sizeof(*m));
    m->n = n;
    m->dim = ex[0].embedding != NULL ? o->dim : 0;
    struct learn_grams *g = mem_alloc_array(n, sizeof(*g));
    struct learn_grams one;
    struct tally t;
    size_t total = 0;
    learn_grams_init(&one);
    tally_init(&t, 4096);
    for (size_t i = 0; i < n && total <= LEARN_MAX_GRAMS; i++) {
        learn_grams_read(&one, ex[i].text, ex[i].text_len);
        g[i].n = one.n;
        g[i].key = mem_dup(one.key, one.n * sizeof(*one.key));
        g[i].count = mem_dup(one.count, one.n * sizeof(*one.count));
        total += one.n;
        for (size_t j = 0; j < one.n; j++) {
            tally_add(&t, one.key[j]);
        }
    }
    learn_grams_done(&one);
    bool fits = total <= LEARN_MAX_GRAMS;
    if (fits) {
        keep_frequent(v, &t, n, o);
        m->start = mem_alloc_array(n + 1, sizeof(*m->start));
        m->col = mem_alloc_array(total + 1, sizeof(*m->col));
        m->val = mem_alloc_array(total + 1, sizeof(*m->val));
        if (m->dim > 0) {
            fill_dense(m, ex, o->embedding_weight);
        } else {
            m->near_dim = LEARN_SKETCH;
            m->near = mem_alloc_array(n * LEARN_SKETCH, sizeof(*m->near));
        }
        for (size_t i = 0; i < n; i++) {
            size_t at = m->start[i];
            m->start[i + 1] = at + learn_vocabulary_weigh(v, &g[i], o->word_weight, o->char_weight,
                                                          m->col + at, m->val + at, NULL,
                                                          m->dim > 0 ? NULL
                                                                     : m->near + i * LEARN_SKETCH);
        }
    }
    tally_done(&t);
    for (size_t i = 0; i < n; i++) {
        mem_free(g[i].key);
        mem_free(g[i].count);
    }
    mem_free(g);
    return fits ? FAIL_NONE
                : FAULT(why, FAIL_TOO_LARGE, "the texts of the %zu examples are too much to learn "
                        "from at once", n);
}
