/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learn, inside: the feature matrix, the solver, the head's fields. Shared by this room's files.
 *
 * Rows of the weight matrix: [0, dim) the embedding, dim the constant, then one per n-gram. Columns
 * are labels, padded to a multiple of 8 so that every row is whole vectors.
 */
#pragma once

#include "answer/learn/learn.h"

#define LEARN_BINS 15
#define LEARN_QUANTILES 101
#define LEARN_SKETCH 256          /* stands for the embedding of examples without one */
#define LEARN_MAX_NEIGHBOURS 20000
#define LEARN_MAX_SCAN 4096       /* neighbours compared in one prediction */
#define LEARN_MAX_CELLS ((size_t)64 << 20)  /* examples x labels, n-grams x labels */
#define LEARN_MAX_GRAMS ((size_t)96 << 20)  /* distinct n-grams, summed over the texts */

/* N-grams of one text: keys ascending, with how often each occurs. Bit 0 of a key: 0 a word
   n-gram, 1 a character n-gram. */
struct learn_grams {
    uint64_t *key;
    uint32_t *count;
    size_t n, room;
    struct buf masked;
    uint16_t *wide[2]; /* UTF-16 before and after case folding */
    size_t wide_room[2];
};
void learn_grams_init(struct learn_grams *g);
void learn_grams_done(struct learn_grams *g);
/* Masks, folds and splits text; g's former content is replaced. */
void learn_grams_read(struct learn_grams *g, const char *text, size_t n);

/* The n-grams a head knows. keys ascending; slots is an open-addressed table of index + 1. */
struct learn_vocabulary {
    uint64_t *keys;
    float *idf;
    uint32_t *slots;
    size_t n, mask;
};
void learn_vocabulary_index(struct learn_vocabulary *v);
void learn_vocabulary_done(struct learn_vocabulary *v);
/* UINT32_MAX when unknown. */
uint32_t learn_vocabulary_find(const struct learn_vocabulary *v, uint64_t key);
/*
 * Writes the tf-idf entries of g (col = place in the vocabulary) to col/val, which have room for
 * g->n; returns how many. Each kind is scaled to its weight. known: share of n-grams seen, may be
 * NULL. sketch: LEARN_SKETCH floats of length 1 (or all 0), may be NULL.
 */
size_t learn_vocabulary_weigh(const struct learn_vocabulary *v, const struct learn_grams *g,
                              double word_weight, double char_weight, uint32_t *col, float *val,
                              float *known, float *sketch);

/* Examples as rows of sparse n-grams beside dense embeddings (already times their weight). */
struct learn_matrix {
    size_t n;
    size_t *start; /* n + 1 */
    uint32_t *col;
    float *val;
    float *dense;  /* n x dim, NULL when dim is 0 */
    int dim;
    float *near;   /* n x near_dim, length 1: what neighbours are compared by */
    int near_dim;
};
void learn_matrix_done(struct learn_matrix *m);
MUST_CHECK enum fail learn_matrix_build(struct learn_matrix *m, struct learn_vocabulary *v,
                                        const struct learn_example *ex, size_t n,
                                        const struct learn_options *o, struct fault *why);

struct learn_problem {
    const struct learn_matrix *m;
    const uint32_t *truth;  /* a label per row of m */
    const double *weight;   /* per row of m */
    const uint32_t *rows;   /* those to train on */
    size_t n_rows;
    size_t labels, stride;  /* stride: labels rounded up to 8 */
    size_t features;        /* dim + 1 + n-grams */
    double cost;
    int max_epochs;
    uint64_t seed;
};
size_t learn_stride(size_t labels);
/* Fills w[features x stride] (zeroed by the caller). False when tick said stop. */
bool learn_solve(const struct learn_problem *p, float *w, bool (*tick)(void *arg), void *arg);
/* z[stride] = w' x for one row given in parts. */
void learn_score(const float *w, size_t stride, const float *dense, int dim, const uint32_t *col,
                 const float *val, size_t n, float *z);
/* p[labels] = softmax(z); p may be z. */
void learn_softmax(const float *z, size_t labels, float *p);
int32_t learn_dot8(const int8_t *a, const int8_t *b, int n);
/* Rounds unit x to int8; returns the scale so that x[i] is about scale * out[i]. */
float learn_round8(const float *x, int n, int8_t *out);

/* How a label's logit and the vote of the nearest examples make one probability:
   p = softmax(scale * z + vote_weight * ln(vote + LEARN_VOTE_FLOOR)), where vote is the label's
   share of sum exp((cosine - best cosine) / width) over the nearest examples. */
struct learn_mix {
    float scale; /* 1 / temperature */
    float vote_weight;
    float width;
};
#define LEARN_VOTERS 30
#define LEARN_VOTE_FLOOR 0.01F

/* The nearest examples of one text, nearest first. */
struct learn_voters {
    uint32_t label[LEARN_VOTERS];
    float cosine[LEARN_VOTERS];
    uint32_t n;
};
/* l[labels] = ln(vote + LEARN_VOTE_FLOOR) */
void learn_vote(const struct learn_voters *v, float width, size_t labels, float *l);
/* p[labels]; scratch has room for labels floats. */
void learn_combine(const struct learn_mix *mix, const float *z, const struct learn_voters *v,
                   size_t labels, float *scratch, float *p);
/* The mix that minimises the log loss of n examples' logits (z, `stride` apart) and voters. */
struct learn_mix learn_fit_mix(const float *z, size_t stride, size_t labels,
                               const struct learn_voters *voters, const uint32_t *truth, size_t n);

struct learn_store {
    size_t n;
    int dim;
    int8_t *row;       /* n x dim */
    float *scale;
    uint32_t *example;
    uint32_t *label;
    char **ref;        /* n strings in one block of their own each */
    uint32_t *by_label; /* places sorted by label */
    uint32_t *first;    /* labels + 1 */
};
void learn_store_done(struct learn_store *s);
void learn_store_index(struct learn_store *s, size_t labels);
/* Nearest `want` rows among those of labels[n_labels]; skip(fold) leaves out rows whose part
   equals it (part may be NULL). Returns how many were found, nearest first. */
size_t learn_store_nearest(const struct learn_store *s, const float *x, const uint32_t *labels,
                           size_t n_labels, const uint8_t *part, int skip, size_t want,
                           uint32_t *place, float *cosine);

struct learn_head;
/* The voters for one text: the nearest examples of the labels that lead by logit z. place[] gets
   their rows. part and skip as above. Returns how many. */
size_t learn_store_voters(const struct learn_head *h, const float *near, const float *z,
                          const uint8_t *part, int skip, struct learn_voters *v, uint32_t *place);

struct learn_head {
    size_t labels, stride;
    char **label; /* ascending */
    int dim;
    double embedding_weight, word_weight, char_weight;
    struct learn_mix mix;
    enum learn_evidence evidence;
    struct learn_vocabulary vocabulary;
    float *w;
    float support[LEARN_QUANTILES]; /* ascending: out-of-fold cosine to the nearest example */
    float odd[LEARN_QUANTILES];     /* ascending: out-of-fold learn_odd */
    struct learn_store store;
    char *report;
    uint8_t hash[32];
};
/* How little a text is like the known ones: -ln(top p) - 4 support. On CLINC150 its AUROC for
   out-of-scope texts is 0.983, that of the support alone 0.976, of the probability alone 0.967. */
float learn_odd(float top_p, float support);
/* Share of known examples that were less odd, out of fold. */
float learn_none(const struct learn_head *h, float odd);
/* What the confidence is multiplied by: 1 unless the text is farther off than 99 % of the known. */
float learn_reach(const struct learn_head *h, float support);
/* Sorts labels by p, most probable first, into top; returns how many. */
size_t learn_rank(const float *p, size_t labels, struct learn_choice *top, size_t want);

/* Counts r->oof per label into r->counts, r->confusions, macro_f1, rare_labels. */
void learn_report_count(struct learn_report *r, const struct learn_head *h);
/* Takes the hash of the saved bytes into h->hash; FAIL_TOO_LARGE when they pass LEARN_MAX_BLOB. */
MUST_CHECK enum fail learn_head_seal(struct learn_head *h, struct fault *why);

/* Weights as IEEE 754 binary16, round to nearest even, finite. */
uint16_t learn_half(float x);
float learn_unhalf(uint16_t h);
/* A small generator for shuffles (SplitMix64). */
uint64_t learn_random(uint64_t *state);
