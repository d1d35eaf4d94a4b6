/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learn, inside: the feature matrix, the solver, the head's fields. Shared by this room's files.
 *
 * Rows of the weight matrix: [0, dim) the embedding, dim the constant, then one per n-gram. Columns
 * are labels, one more for "none of them" where the head saw such examples, padded to a multiple of
 * 8 so that every row is whole vectors.
 */
#pragma once

#include "answer/learn/learn.h"

/* Inner loops: also as AVX2 and FMA, chosen at start by what the processor can do ("arch=haswell"
   asks whether it is a Haswell). */
#if defined(__x86_64__) &&                                                                         \
    !defined(__SANITIZE_THREAD__) /* its resolver would run before TSan does */
#define LEARN_FAST __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define LEARN_FAST
#endif

#define LEARN_BINS 15
#define LEARN_QUANTILES 101
#define LEARN_SKETCH 256          /* stands for the embedding of examples without one */
#define LEARN_MAX_NEIGHBOURS 20000
#define LEARN_MAX_SCAN 4096       /* neighbours compared in one prediction */
#define LEARN_MAX_CELLS ((size_t)64 << 20)  /* examples x labels, n-grams x labels */
#define LEARN_MAX_GRAMS ((size_t)96 << 20)  /* distinct n-grams, summed over the texts */
#define LEARN_SHRINK 0.5F    /* of the covariance */
#define LEARN_GAUSS_DIM 1024 /* longer embeddings go without the shared covariance */

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
    const uint32_t *truth;  /* a column per row of m */
    const float *target;    /* per row of m: columns that sum to 1, instead of truth; may be NULL */
    const double *weight;   /* per row of m */
    const uint32_t *rows;   /* those to train on */
    size_t n_rows;
    size_t labels, stride;  /* columns; stride: rounded up to 8 */
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
/* The mix that minimises the log loss of n examples' logits (z, `stride` apart) and voters (NULL:
   the scale alone). loss may be NULL. */
struct learn_mix learn_fit_mix(const float *z, size_t stride, size_t labels,
                               const struct learn_voters *voters, const uint32_t *truth, size_t n,
                               double *loss);

/* One normal distribution a label with one covariance (gauss.c). */
struct learn_gauss {
    const float *x; /* rows of dim floats of length 1 */
    int dim;
    const uint32_t *rows; /* n of them */
    size_t n;
    const float *member;  /* n x stride: how far each belongs to each label */
    const float *weight;  /* n */
    const float *scatter; /* of the same rows and weights (learn_scatter) */
    size_t labels, stride;
    float shrink;         /* towards a round covariance, 0 to 1 */
};
/* t[dim x dim]: the lower triangle of sum weight x x'. */
void learn_scatter(const float *x, int dim, const uint32_t *rows, const float *weight, size_t n,
                   float *t);
/* w[(dim + 1) x stride]: scores x' w + constant, up to what is equal for all labels. */
void learn_gauss_fit(const struct learn_gauss *g, float *w);

/* Each row's nearest rows by the whole feature vector (graph.c). */
struct learn_graph;
/* Compares all pairs of embeddings: n^2 dim / 2 steps. */
struct learn_graph *learn_graph_new(const struct learn_matrix *m);
void learn_graph_free(struct learn_graph *g);
/* Spreads label shares over the graph of rows[n] (Zhou et al. 2004): q = (1 - a) before + a G q, G
   the normalised weights; a share a row, `stride` apart. q starts as `before`. False when tick said
   stop. */
bool learn_spread_labels(const struct learn_graph *g, const uint32_t *rows, size_t n,
                         const float *before, size_t stride, float *q, bool (*tick)(void *arg),
                         void *arg);

/* What says how little a text is like the known ones. */
enum learn_odd_part {
    LEARN_ODD_ENERGY,  /* -ln sum exp of the labels' logits */
    LEARN_ODD_UNSURE,  /* -ln of the best label's probability */
    LEARN_ODD_FAR,     /* -cosine of the nearest example */
    LEARN_ODD_ALONE,   /* -mean cosine of the ten nearest */
    LEARN_ODD_OUTSIDE, /* logit of "none of them" over the labels' ln sum exp; 0 without */
    LEARN_ODD_COUNT
};
struct learn_head;
void learn_odd_parts(const struct learn_head *h, const float *z, float top_p,
                     const struct learn_voters *v, float part[LEARN_ODD_COUNT]);
/* Their sum under the head's weights. */
float learn_odd(const struct learn_head *h, const float part[LEARN_ODD_COUNT]);
/* Weights where nothing is fitted: without and with examples of none of the labels. */
extern const float learn_odd_alone[LEARN_ODD_COUNT];
extern const float learn_odd_with[LEARN_ODD_COUNT];
/* The weights that tell the outside rows from the others best (logistic regression), pulled
   towards those in `weights`. parts: n x LEARN_ODD_COUNT. */
void learn_odd_fit(const float *parts, const bool *outside, size_t n, float weights[]);

/* Puts x, found at `at`, in its place among the n largest so far, kept in descending order, at most
   `want`; returns how many there are now. */
size_t learn_insert(uint32_t *place, float *value, size_t n, size_t want, uint32_t at, float x);

struct learn_store {
    size_t n;
    size_t decided;    /* the first ones were decided by people; the rest is traffic, whose label
                          was guessed: it votes and is never shown */
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

/* The voters for one text: the nearest examples of the labels that lead by logit z. place[] gets
   their rows. part and skip as above. Returns how many. */
size_t learn_store_voters(const struct learn_head *h, const float *near, const float *z,
                          const uint8_t *part, int skip, struct learn_voters *v, uint32_t *place);

struct learn_head {
    size_t labels, stride;
    bool outside; /* column `labels` of w is "none of them" */
    char **label; /* ascending */
    int dim;
    double embedding_weight, word_weight, char_weight;
    struct learn_mix mix;
    enum learn_evidence evidence;
    struct learn_vocabulary vocabulary;
    float *w;
    float support[LEARN_QUANTILES]; /* ascending: out-of-fold cosine to the nearest example */
    float odd[LEARN_QUANTILES];     /* ascending: out-of-fold learn_odd */
    float odd_weight[LEARN_ODD_COUNT];
    float refuse;
    struct learn_language languages[LEARN_MAX_LANGUAGES];
    size_t n_languages;
    struct learn_store store;
    struct learn_head *light; /* on the n-grams alone, the same labels; NULL: none */
    float light_sure;         /* its own confidence from which it answers */
    float light_doubt;        /* what its doubt (1 - confidence) is multiplied by then */
    char *report;
    uint8_t hash[32];
};
/* May an answer of the light head stand, but for its confidence? So many of the known are less odd
   than the oddest it takes, and so many of its n-grams are known at least. */
#define LEARN_LIGHT_NONE 0.9F
#define LEARN_LIGHT_KNOWN 0.9F
#define LEARN_LIGHT_DOUBT 4.0F /* largest factor */
/* The oddness that so large a share of known examples stays under: learn_none's inverse. */
float learn_none_odd(const struct learn_head *h, float none);
/* Share of known examples that were less odd, out of fold. */
float learn_none(const struct learn_head *h, float odd);
/* What the confidence is multiplied by: 1 unless the text is farther off than 99 % of the known. */
float learn_reach(const struct learn_head *h, float support);
/* Sorts labels by p, most probable first, into top; returns how many. */
size_t learn_rank(const float *p, size_t labels, struct learn_choice *top, size_t want);

/* The counts of a language; a new one where there is room, else those of "und". */
struct learn_language *learn_language_get(struct learn_language *all, size_t *n, const char *code);

/* Counts r->oof per label into r->counts, r->confusions, macro_f1, rare_labels. */
void learn_report_count(struct learn_report *r, const struct learn_head *h);
/* Takes the hash of the saved bytes into h->hash; FAIL_TOO_LARGE when they pass LEARN_MAX_BLOB. */
MUST_CHECK enum fail learn_head_seal(struct learn_head *h, struct fault *why);

/* Weights as IEEE 754 binary16, round to nearest even, finite. */
uint16_t learn_half(float x);
float learn_unhalf(uint16_t h);
/* A small generator for shuffles (SplitMix64). */
uint64_t learn_random(uint64_t *state);
