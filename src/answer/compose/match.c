/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which article, and how sure: the search's parts as features of a small logistic model.
 * Owns: nothing. Threads: pure.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/compose/compose_internal.h"

#define OPINION_FLOOR 0.005
#define FUSED_SCALE 20.0 /* brings 1 / (60 + rank) sums near 0..1 */

double compose_logistic(double z)
{
    return 1.0 / (1.0 + exp(-fmin(fmax(z, -40), 40)));
}

char *compose_query_text(const char *subject, const char *text)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    if (subject != NULL && *subject != '\0') {
        buf_add_str(&b, subject);
        buf_add_char(&b, '\n');
    }
    buf_add(&b, text, strnlen(text, (size_t)32 << 10)); /* what follows does not change the topic */
    return buf_take(&b);
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->hit.article < y->hit.article ? -1 : 1;
}

static double share_known(const struct knowledge *k, const char *text, enum knowledge_lang lang)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, strlen(text), lang);
    double all = 0, known = 0, most = knowledge_idf(k, "\x01");
    for (size_t i = 0; i < w.count; i++) {
        if (!w.items[i].stop) {
            all++;
            known += knowledge_idf(k, w.items[i].stem) < most;
        }
    }
    knowledge_words_done(&w);
    return all > 0 ? known / all : 0;
}

static double opinion_of(const struct compose_opinion *o, uint32_t article)
{
    for (size_t i = 0; o != NULL && i < o->len; i++) {
        if (o->article[i] == article) {
            return o->p[i];
        }
    }
    return 0;
}

/* 0..1, even steps for each tenfold: p from OPINION_FLOOR to 1. */
static double opinion_scale(double p)
{
    return log((p + OPINION_FLOOR) / OPINION_FLOOR) / log((1 + OPINION_FLOOR) / OPINION_FLOOR);
}

void compose_match(const struct knowledge *k, const struct compose_model *model,
                   const struct compose_ticket *t, enum knowledge_lang lang, bool any_lang,
                   struct match *m)
{
    AUTO_FREE char *text = compose_query_text(t->subject, t->text);
    struct knowledge_query q = {.text = text,
                                .len = strlen(text),
                                .vector = t->vector,
                                .dim = t->dim,
                                .lang = lang,
                                .any_lang = any_lang,
                                .except_key = t->except_key};
    struct knowledge_hit hits[COUNT_OF(m->list)];
    *m = (struct match){.lang = lang};
    m->count = knowledge_search(k, &q, hits, COUNT_OF(hits));
    for (size_t i = 0; i < m->count; i++) {
        struct candidate *c = &m->list[i];
        const struct knowledge_hit *h = &hits[i];
        c->hit = *h;
        c->opinion = opinion_of(t->opinion, h->article);
        double f[COMPOSE_FEATURES] = {
            h->lexical,      h->words, h->grams,        h->cosine,
            h->cosine_whole, h->asked, h->asked_cosine, h->fused * FUSED_SCALE,
            c->opinion,      opinion_scale(c->opinion),
        };
        memcpy(c->feature, f, sizeof(f));
        c->score = 0;
        for (size_t j = 0; j < COMPOSE_FEATURES; j++) {
            c->score += model->rank[j] * f[j];
        }
    }
    qsort(m->list, m->count, sizeof(m->list[0]), by_score);
    double sum = 0;
    for (size_t i = 0; i < m->count; i++) {
        m->list[i].share = exp(m->list[i].score - m->list[0].score);
        sum += m->list[i].share;
    }
    for (size_t i = 0; i < m->count; i++) {
        m->list[i].share /= sum;
    }
    m->known = share_known(k, text, lang);
    m->none = t->opinion != NULL ? t->opinion->none : 0;
    double signs[COMPOSE_SIGNS];
    compose_signs(m, signs);
    m->confidence = m->count > 0 ? compose_accept(model, signs) : 0;
}

/* How far the best one leads, how near it is in itself, and how much of the ticket the dataset
   knows. */
void compose_signs(const struct match *m, double out[COMPOSE_SIGNS])
{
    memset(out, 0, COMPOSE_SIGNS * sizeof(*out));
    if (m->count > 0) {
        const struct candidate *c = &m->list[0];
        double lead = m->count > 1 ? c->score - m->list[1].score : 3;
        double signs[COMPOSE_SIGNS] = {c->share,
                                       fmin(lead, 4),
                                       c->hit.lexical,
                                       c->hit.grams,
                                       c->hit.cosine,
                                       c->hit.asked,
                                       c->hit.asked_cosine,
                                       m->known,
                                       c->hit.unanswered,
                                       c->hit.unanswered_cosine,
                                       c->opinion,
                                       opinion_scale(c->opinion),
                                       m->none};
        memcpy(out, signs, sizeof(signs));
    }
}

double compose_accept(const struct compose_model *model, const double signs[COMPOSE_SIGNS])
{
    double z = model->accept[COMPOSE_SIGNS];
    for (size_t i = 0; i < COMPOSE_SIGNS; i++) {
        z += model->accept[i] * signs[i];
    }
    return compose_logistic(z);
}
