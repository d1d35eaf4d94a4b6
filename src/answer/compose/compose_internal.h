/* SPDX-License-Identifier: Apache-2.0 */
/* Compose, inside. */
#pragma once

#include "answer/compose/compose.h"
#include "base/mem/mem.h"

struct candidate {
    struct knowledge_hit hit;
    double feature[COMPOSE_FEATURES];
    double score;
    double opinion; /* the head's probability, 0 without one */
    double share; /* softmax of the scores */
};

struct match {
    struct candidate list[10];
    size_t count;
    enum knowledge_lang lang;
    double known; /* share of the ticket's content words that the dataset knows */
    double none;  /* the head's */
    double confidence;
};

/* match.c */
/* Searches and ranks; *m is plain data. any_lang also looks at articles of other languages. */
void compose_match(const struct knowledge *k, const struct compose_model *model,
                   const struct compose_ticket *t, enum knowledge_lang lang, bool any_lang,
                   struct match *m);
double compose_logistic(double z);
/* What acceptance looks at; confidence is the logistic of accept over it. */
void compose_signs(const struct match *m, double out[COMPOSE_SIGNS]);
double compose_accept(const struct compose_model *model, const double signs[COMPOSE_SIGNS]);

/* past.c: past replies near the ticket into r; the words of theirs for what a (its sentences are
   chosen in r) says; a NULL: a draft of one, where one may serve. */
void compose_add_past(const struct knowledge *k, const struct compose_ticket *t,
                      const struct knowledge_article *a, struct compose_result *r);
/* choose.c: the sentences of one article, scored and chosen, into r->sentences. */
void compose_choose(const struct knowledge *k, const struct compose_model *model,
                    const struct compose_ticket *t, const struct knowledge_article *a,
                    struct compose_result *r);
