/* SPDX-License-Identifier: Apache-2.0 */
/* Knowledge, inside: the dataset's layout and what its files offer each other. */
#pragma once

#include "answer/knowledge/knowledge.h"
#include "base/mem/mem.h"

struct posting {
    uint32_t doc;
    float tf;
};

struct term {
    char *text;
    struct posting *list;
    uint32_t count, room;
    float idf;
};

/* Terms of one kind (words or 4-grams) over one kind of document (articles or questions). */
struct index {
    struct term *terms;
    size_t term_count, term_room;
    uint32_t *slots; /* open addressing, term + 1 */
    size_t slot_count;
    float *norm; /* per document: BM25 length, or the tf-idf norm of a question */
    size_t doc_count;
    double mean_length;
    double idf_max;
};

#define NO_ARTICLE UINT32_MAX

struct question {
    uint32_t article; /* NO_ARTICLE: none answered it */
    enum knowledge_lang lang;
    char *key;
    char *text;
    int8_t *vector; /* dim, or NULL */
    float scale;
};

struct knowledge {
    struct knowledge_article *articles;
    size_t article_count, article_room;
    struct question *questions;
    size_t question_count, question_room;
    size_t *first_unit; /* per article: its title's unit */
    size_t unit_count;
    size_t dim;
    int8_t *vectors; /* unit_count x dim */
    float *scales;   /* 0: no vector */
    /* article_count x dim: the mean of an article's vectors; NULL without vectors */
    int8_t *whole;
    float *whole_scales;
    struct index words, grams, asked;
    bool sealed;
};

/* article.c */
MUST_CHECK enum fail knowledge_article_read(const char *file, const char *text, size_t n,
                                            struct knowledge_article *out, struct fault *why);
void knowledge_article_done(struct knowledge_article *a);

/* index.c */
void knowledge_index_init(struct index *x, size_t doc_count);
void knowledge_index_done(struct index *x);
void knowledge_index_add(struct index *x, uint32_t doc, const char *term, float weight);
/* Sets idf of every term; lengths become norms. */
void knowledge_index_finish(struct index *x);
const struct term *knowledge_index_find(const struct index *x, const char *term);

/* search.c */
typedef void (*knowledge_term_fn)(void *arg, const char *term, float weight);
/* Calls fn for each content stem, or for each 4-gram, of text. */
void knowledge_each_word(const char *text, size_t n, enum knowledge_lang lang, float weight,
                         knowledge_term_fn fn, void *arg);
void knowledge_each_gram(const char *text, size_t n, enum knowledge_lang lang, float weight,
                         knowledge_term_fn fn, void *arg);

/* vector.c */
float knowledge_quantise(const float *v, size_t dim, int8_t *out);
double knowledge_dot(const int8_t *a, float scale_a, const int8_t *b, float scale_b, size_t dim);

/* stem.c: in place */
void knowledge_stem(char *folded, enum knowledge_lang lang);
