/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search: four rankings of the articles, fused by reciprocal rank.
 *
 * BM25 with k1 = 1.2, b = 0.5 (articles of a help centre are about equally long). Owns: nothing.
 * Threads: reads a sealed dataset; any number at once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/knowledge/knowledge_internal.h"

#define BM25_K1 1.2
#define BM25_B 0.5
#define FUSE_K 60.0
#define NEAREST 3

void knowledge_each_word(const char *text, size_t n, enum knowledge_lang lang, float weight,
                         knowledge_term_fn fn, void *arg)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, n, lang);
    for (size_t i = 0; i < w.count; i++) {
        if (!w.items[i].stop) {
            fn(arg, w.items[i].stem, weight);
        }
    }
    knowledge_words_done(&w);
}

void knowledge_each_gram(const char *text, size_t n, enum knowledge_lang lang, float weight,
                         knowledge_term_fn fn, void *arg)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, n, lang);
    for (size_t i = 0; i < w.count; i++) {
        const struct knowledge_word *word = &w.items[i];
        size_t len = strlen(word->folded);
        if (word->stop || word->digit || len < 3) {
            continue;
        }
        char padded[KNOWLEDGE_WORD_SIZE + 3], gram[5] = {0};
        padded[0] = '_';
        memcpy(padded + 1, word->folded, len);
        padded[len + 1] = '_';
        for (size_t k = 0; k + 4 <= len + 2; k++) {
            memcpy(gram, padded + k, 4);
            fn(arg, gram, weight);
        }
    }
    knowledge_words_done(&w);
}

struct want {
    char text[KNOWLEDGE_WORD_SIZE];
    float weight;
};

struct wants {
    struct want *items;
    size_t count, room;
};

static void gather(void *arg, const char *term, float weight)
{
    struct wants *w = arg;
    for (size_t i = 0; i < w->count; i++) {
        if (strcmp(w->items[i].text, term) == 0) {
            w->items[i].weight += weight;
            return;
        }
    }
    if (w->count == 2000) {
        return; /* a very long ticket: its first 2,000 distinct terms say enough */
    }
    if (w->count == w->room) {
        w->room = w->room == 0 ? 64 : w->room * 2;
        w->items = mem_realloc(w->items, w->room * sizeof(*w->items));
    }
    struct want *x = &w->items[w->count++];
    *x = (struct want){.weight = weight};
    strncat(x->text, term, sizeof(x->text) - 1);
}

struct scores {
    float *bm25, *mass, *gram, *gram_mass, *cosine, *whole, *asked, *asked_cosine;
    float unanswered, unanswered_cosine;
};

/* BM25 into bm25[], and the share of the query's idf found into mass[]. */
static void score_index(const struct index *x, const struct wants *q, float *bm25, float *mass)
{
    double total = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct term *t = knowledge_index_find(x, q->items[i].text);
        double idf = t != NULL ? t->idf : x->idf_max * 0.5;
        double qw = 1.0 + log(q->items[i].weight);
        total += idf * qw;
        for (uint32_t k = 0; t != NULL && k < t->count; k++) {
            const struct posting *p = &t->list[k];
            double norm = BM25_K1 * (1 - BM25_B + BM25_B * x->norm[p->doc] / x->mean_length);
            bm25[p->doc] += (float)(idf * qw * p->tf * (BM25_K1 + 1) / (p->tf + norm));
            mass[p->doc] += (float)(idf * qw);
        }
    }
    for (size_t d = 0; total > 0 && d < x->doc_count; d++) {
        mass[d] = (float)(mass[d] / total);
    }
}

/* Keeps the NEAREST best in descending order. */
static void keep_best(float best[NEAREST], float v)
{
    for (int i = 0; i < NEAREST; i++) {
        if (v > best[i]) {
            float t = best[i];
            best[i] = v;
            v = t;
        }
    }
}

static float nearest_mean(const float best[NEAREST])
{
    return 0.6f * best[0] + 0.25f * best[1] + 0.15f * best[2];
}

static void score_questions(const struct knowledge *k, const struct knowledge_query *q,
                            const struct wants *words, const int8_t *qv, float qs, struct scores *s)
{
    size_t n = k->question_count;
    if (n == 0) {
        return;
    }
    float *dot = mem_alloc_array(n, sizeof(*dot));
    float(*best)[NEAREST] = mem_alloc_array(k->article_count, sizeof(*best));
    float(*near)[NEAREST] = mem_alloc_array(k->article_count, sizeof(*near));
    float none[NEAREST] = {0}, none_near[NEAREST] = {0};
    double norm = 0;
    for (size_t i = 0; i < words->count; i++) {
        const struct term *t = knowledge_index_find(&k->asked, words->items[i].text);
        double idf = t != NULL ? t->idf : k->asked.idf_max;
        double w = (1.0 + log(words->items[i].weight)) * idf;
        norm += w * w;
        for (uint32_t p = 0; t != NULL && p < t->count; p++) {
            dot[t->list[p].doc] += (float)(w * (1.0 + log(t->list[p].tf)) * idf);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const struct question *x = &k->questions[i];
        if (q->except_key != NULL && strcmp(q->except_key, x->key) == 0) {
            continue;
        }
        double len = sqrt(norm) * k->asked.norm[i];
        keep_best(x->article == NO_ARTICLE ? none : best[x->article],
                  len > 0 ? (float)(dot[i] / len) : 0);
        if (qv != NULL && x->vector != NULL) {
            keep_best(x->article == NO_ARTICLE ? none_near : near[x->article],
                      (float)knowledge_dot(qv, qs, x->vector, x->scale, k->dim));
        }
    }
    for (size_t a = 0; a < k->article_count; a++) {
        s->asked[a] = nearest_mean(best[a]);
        s->asked_cosine[a] = nearest_mean(near[a]);
    }
    s->unanswered = nearest_mean(none);
    s->unanswered_cosine = nearest_mean(none_near);
    mem_free(dot);
    mem_free(best);
    mem_free(near);
}

static void score_vectors(const struct knowledge *k, const int8_t *qv, float qs, float *cosine,
                          float *whole)
{
    for (size_t a = 0; a < k->article_count; a++) {
        float best[NEAREST] = {0};
        for (size_t u = k->first_unit[a]; u <= k->first_unit[a] + k->articles[a].sentence_count;
             u++) {
            if (k->scales[u] > 0) {
                keep_best(best, (float)knowledge_dot(qv, qs, k->vectors + u * k->dim, k->scales[u],
                                                     k->dim));
            }
        }
        cosine[a] = (best[0] + best[1] + best[2]) / 3;
        if (k->whole_scales != NULL && k->whole_scales[a] > 0) {
            whole[a] =
                (float)knowledge_dot(qv, qs, k->whole + a * k->dim, k->whole_scales[a], k->dim);
        }
    }
}

struct ranked {
    float score;
    uint32_t article;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->article < y->article ? -1 : x->article > y->article;
}

/* Adds weight / (60 + rank) of one ranking; articles without a score get nothing from it. */
static void fuse(const struct knowledge *k, const float *score, const bool *allowed, double weight,
                 struct ranked *tmp, double *fused)
{
    size_t n = 0;
    for (uint32_t a = 0; a < k->article_count; a++) {
        if (allowed[a] && score[a] > 0) {
            tmp[n++] = (struct ranked){score[a], a};
        }
    }
    qsort(tmp, n, sizeof(*tmp), by_score);
    for (size_t r = 0; r < n; r++) {
        fused[tmp[r].article] += weight / (FUSE_K + (double)r + 1);
    }
}

static size_t collect(const struct knowledge *k, const struct scores *s, const bool *allowed,
                      struct knowledge_hit *out, size_t max)
{
    size_t n = k->article_count, found = 0;
    struct ranked *tmp = mem_alloc_array(n + 1, sizeof(*tmp));
    double *fused = mem_alloc_array(n + 1, sizeof(*fused));
    fuse(k, s->bm25, allowed, 1.0, tmp, fused);
    fuse(k, s->gram, allowed, 0.5, tmp, fused);
    fuse(k, s->whole, allowed, 0.5, tmp, fused);
    fuse(k, s->cosine, allowed, 1.0, tmp, fused);
    fuse(k, s->asked, allowed, 1.0, tmp, fused);
    fuse(k, s->asked_cosine, allowed, 1.0, tmp, fused);
    size_t m = 0;
    float most = 1e-9f;
    for (uint32_t a = 0; a < n; a++) {
        most = allowed[a] ? fmaxf(most, s->bm25[a]) : most;
        if (allowed[a] && fused[a] > 0) {
            tmp[m++] = (struct ranked){(float)fused[a], a};
        }
    }
    qsort(tmp, m, sizeof(*tmp), by_score);
    for (; found < m && found < max; found++) {
        uint32_t a = tmp[found].article;
        out[found] = (struct knowledge_hit){
            .article = a,
            .fused = fused[a],
            .lexical = s->mass[a],
            .grams = s->gram_mass[a],
            .words = s->bm25[a] / most,
            .cosine = s->cosine[a],
            .cosine_whole = s->whole[a],
            .asked = s->asked[a],
            .asked_cosine = s->asked_cosine[a],
            .unanswered = s->unanswered,
            .unanswered_cosine = s->unanswered_cosine,
        };
    }
    mem_free(tmp);
    mem_free(fused);
    return found;
}

size_t knowledge_search(const struct knowledge *k, const struct knowledge_query *q,
                        struct knowledge_hit *out, size_t max)
{
    ASSERT(k->sealed);
    size_t n = k->article_count;
    if (n == 0 || q->len == 0 || max == 0) {
        return 0;
    }
    max = max > KNOWLEDGE_MAX_RESULTS ? KNOWLEDGE_MAX_RESULTS : max;
    float *block = mem_alloc_array(n * 8, sizeof(float));
    struct scores s = {block,
                       block + n,
                       block + 2 * n,
                       block + 3 * n,
                       block + 4 * n,
                       block + 5 * n,
                       block + 6 * n,
                       block + 7 * n,
                       0,
                       0};
    struct wants words = {0}, grams = {0};
    knowledge_each_word(q->text, q->len, q->lang, 1, gather, &words);
    knowledge_each_gram(q->text, q->len, q->lang, 1, gather, &grams);
    score_index(&k->words, &words, s.bm25, s.mass);
    score_index(&k->grams, &grams, s.gram, s.gram_mass);
    int8_t qv[KNOWLEDGE_MAX_DIM];
    float qs = q->vector != NULL && q->dim == k->dim && k->dim > 0
                   ? knowledge_quantise(q->vector, q->dim, qv)
                   : 0;
    if (qs > 0) {
        score_vectors(k, qv, qs, s.cosine, s.whole);
    }
    score_questions(k, q, &words, qs > 0 ? qv : NULL, qs, &s);
    bool *allowed = mem_alloc_array(n, sizeof(*allowed));
    for (size_t a = 0; a < n; a++) {
        allowed[a] =
            q->any_lang || q->lang == KNOWLEDGE_LANG_OTHER || k->articles[a].lang == q->lang;
    }
    size_t found = collect(k, &s, allowed, out, max);
    mem_free(allowed);
    mem_free(words.items);
    mem_free(grams.items);
    mem_free(block);
    return found;
}
