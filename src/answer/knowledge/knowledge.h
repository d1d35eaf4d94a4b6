/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Knowledge: the articles of one dataset in memory, cut into sentences, and the search over them.
 *
 * Search fuses, by reciprocal rank (Cormack, Clarke and Buettcher 2009: sum of 1 / (60 + rank)),
 * BM25 over stemmed words, BM25 over character 4-grams (typing errors, German compounds), cosine of
 * int8 vectors, and the tickets that an article answered before. Each part works without the
 * others.
 *
 * Documents under an owner, grants and a label, and the search over them, are answer/dataset's.
 *
 * Owns: the texts, the index, the vectors, all in memory; answer/task keeps them in the store.
 * Threads: a dataset is filled by one thread; after knowledge_seal it is read-only and may be
 *   searched by any number of threads until the next change. Nothing blocks but the folder reader.
 * Limits: a file of 1 MiB, 100,000 articles, 2,000 sentences an article, 1,024 dimensions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"

#define KNOWLEDGE_MAX_FILE ((size_t)1 << 20)
#define KNOWLEDGE_MAX_ARTICLES 100000
#define KNOWLEDGE_MAX_SENTENCES 2000
#define KNOWLEDGE_MAX_DIM 1024
#define KNOWLEDGE_MAX_RESULTS 64
#define KNOWLEDGE_WORD_SIZE 40

enum knowledge_lang { KNOWLEDGE_LANG_OTHER, KNOWLEDGE_LANG_EN, KNOWLEDGE_LANG_DE };

enum knowledge_lang knowledge_lang_from_code(const char *code); /* "en", "de-AT"; NULL is OTHER */
const char *knowledge_lang_code(enum knowledge_lang lang);      /* "en", "de", "und" */
/* Counts stop words of English and German in text; OTHER when neither leads. For short texts. */
enum knowledge_lang knowledge_guess_lang(const char *text, size_t n);

/* ---- words and sentences: pure functions, shared with answer/check and answer/compose ---- */

struct knowledge_word {
    uint32_t at; /* bytes in the text */
    uint32_t len;
    bool stop;                        /* a function word of the language */
    bool capital;                     /* starts with a capital letter */
    bool digit;                       /* holds a digit */
    char folded[KNOWLEDGE_WORD_SIZE]; /* lower case, "ß" as "ss", "e-mail" as "email" */
    char stem[KNOWLEDGE_WORD_SIZE];   /* light stem; German without umlauts */
};

struct knowledge_words {
    struct knowledge_word *items;
    size_t count;
};

/* Words of valid UTF-8 text[0..n), at most 20,000; numbers with their separators and ids such as
   "VM-410233" are one word. Free with knowledge_words_done. */
void knowledge_words_init(struct knowledge_words *w, const char *text, size_t n,
                          enum knowledge_lang lang);
void knowledge_words_done(struct knowledge_words *w);
bool knowledge_is_stop_word(const char *folded, enum knowledge_lang lang);

struct knowledge_span {
    uint32_t at;
    uint32_t len;
};

/* Sentences of plain text (ICU boundaries, then our rules for abbreviations, ordinals, lists and
   line breaks), without surrounding white space. Returns how many were written, at most max. */
size_t knowledge_split(const char *text, size_t n, enum knowledge_lang lang,
                       struct knowledge_span *out, size_t max);

/* ---- a dataset ---- */

enum knowledge_kind { KNOWLEDGE_PROSE, KNOWLEDGE_STEP, KNOWLEDGE_ROW };

struct knowledge_sentence {
    char *text;         /* plain: marks of Markdown removed, menus as "Menu > Care" */
    uint32_t article;   /* position of its article in the dataset */
    uint16_t index;     /* position in the article, from 0 */
    uint16_t paragraph; /* sentences of one paragraph or one list share it */
    enum knowledge_kind kind;
    const char *heading; /* the section it stands in, or the title */
};

struct knowledge_article {
    char *id;
    char *title;
    char *queue;   /* "" when the file names none */
    char *updated; /* as written, "" when missing */
    enum knowledge_lang lang;
    char **headings;
    size_t heading_count;
    struct knowledge_sentence *sentences;
    size_t sentence_count;
};

struct knowledge;

struct knowledge *knowledge_new(void);
void knowledge_free(struct knowledge *k);

/* Reads Markdown with front matter (`id`, `title`, `lang`, `queue`, `updated`; other keys are
   ignored; lang may be missing and is then guessed) and adds it, replacing an article of the same
   id. `file` names it in messages. FAIL_BAD_REQUEST names file and line; FAIL_TOO_LARGE. */
MUST_CHECK enum fail knowledge_add_markdown(struct knowledge *k, const char *file, const char *text,
                                            size_t n, struct fault *why);
/* Adds every *.md directly in the folder, in name order. Blocks on the file system. The first bad
   file stops it and nothing of this call stays. */
MUST_CHECK enum fail knowledge_add_folder(struct knowledge *k, const char *folder, size_t *added,
                                          struct fault *why);
/* A ticket that this article answered (article_id NULL: one that none answered): text beside the
   article for the search. vector may be NULL. FAIL_NOT_FOUND when there is no such article. key
   tells the ticket apart (leave-one-out). */
MUST_CHECK enum fail knowledge_add_question(struct knowledge *k, const char *article_id,
                                            const char *key, const char *text, const float *vector,
                                            size_t dim, struct fault *why);
/* Builds the index; call after the last change and before knowledge_search. */
void knowledge_seal(struct knowledge *k);

size_t knowledge_article_count(const struct knowledge *k);
const struct knowledge_article *knowledge_article_at(const struct knowledge *k, size_t i);
const struct knowledge_article *knowledge_article_find(const struct knowledge *k, const char *id);

/* What wants a vector: unit u < knowledge_unit_count. Text is borrowed. For each article its title
   first, then its sentences; the order is stable until the next change. */
size_t knowledge_unit_count(const struct knowledge *k);
const char *knowledge_unit_text(const struct knowledge *k, size_t u);
bool knowledge_unit_has_vector(const struct knowledge *k, size_t u);
/* A unit vector of dim floats, kept as int8. The first one fixes dim; others: FAIL_BAD_REQUEST. */
MUST_CHECK enum fail knowledge_unit_set_vector(struct knowledge *k, size_t u, const float *vector,
                                               size_t dim, struct fault *why);
/* Its vector as kept, to floats of unit length; false when it has none, or of another dim. */
bool knowledge_unit_get_vector(const struct knowledge *k, size_t u, float *out, size_t dim);
/* Cosine of a sentence and a query; 0 without vectors. */
double knowledge_sentence_cosine(const struct knowledge *k, const struct knowledge_sentence *s,
                                 const float *vector, size_t dim);
/* Inverse document frequency of a stem over the articles (BM25's, >= 0); unknown: the highest. */
double knowledge_idf(const struct knowledge *k, const char *stem);

struct knowledge_query {
    const char *text;
    size_t len;
    const float *vector; /* NULL: words alone */
    size_t dim;
    enum knowledge_lang lang; /* for stems and stop words */
    bool any_lang;            /* else only articles in lang */
    const char *except_key;   /* leaves one question out; NULL normally */
};

struct knowledge_hit {
    uint32_t article;
    double fused;        /* sum over the parts of 1 / (60 + rank); order of the results */
    double lexical;      /* share of the query's idf mass found in the article, 0..1 */
    double grams;        /* the same over character 4-grams, 0..1 */
    double words;        /* BM25 of the words beside the best article's, 0..1 */
    double cosine;       /* mean of the three nearest of title and sentences; 0 without vectors */
    double cosine_whole; /* of the article as a whole (the mean of its vectors) */
    double asked;        /* likeness of the nearest tickets it answered, 0..1 (tf-idf cosine) */
    double unanswered;   /* the same for past tickets without an article; equal in all hits */
    double unanswered_cosine;
    double asked_cosine; /* the same over vectors */
};

/* Best first, at most max (<= KNOWLEDGE_MAX_RESULTS). Returns how many. Needs a sealed dataset. */
size_t knowledge_search(const struct knowledge *k, const struct knowledge_query *q,
                        struct knowledge_hit *out, size_t max);
