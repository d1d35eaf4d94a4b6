/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learn: a head decides one choice field from labelled examples, and says how sure it is.
 *
 * Features: the caller's unit embedding (times 3), beside tf-idf of words 1-2 and of characters 2-5
 * inside words, of guard-masked, case-folded text (Unicode NFKC_Casefold, so German and other
 * scripts work). Masking happens in here, at training and at prediction: callers pass raw text.
 * Model: one multinomial logistic regression over all of them, L2-regularised, trained by dual
 * block coordinate ascent (docs/decisions/0010). Beside it the nearest examples by cosine vote ("as
 * decided on #4711"); logits and vote are mixed and tempered by three numbers fitted on out-of-fold
 * predictions. A none-of-these score says how far off a text is; far off lowers the confidence,
 * and beyond the share of known texts that may be refused the text is refused.
 * Lighter first: beside a head with embeddings stands one on the n-grams alone, which answers where
 * it is very sure and, out of fold, loses nothing against the whole head (light.c); such a text
 * needs no embedding.
 * Unlabelled traffic, where given, teaches what texts look like and, by self-training, which label
 * the clear ones have; the figures of the report come from labelled examples alone.
 *
 * Owns: heads. Threads: a head is immutable once made; learn_predict may run on many threads at
 * once. learn_train takes seconds and runs on the caller's thread: call it from a crunch thread.
 * Equal examples and options give the same head on the same kind of CPU.
 * Limits: the LEARN_MAX_* below; more is refused, never cut silently, but for texts: only the
 * first LEARN_MAX_TEXT bytes of one are read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define LEARN_MAX_EXAMPLES 200000
#define LEARN_MAX_LABELS 1000
#define LEARN_MAX_LABEL_LEN 128
#define LEARN_MAX_REF_LEN 64
#define LEARN_MAX_DIM 4096
#define LEARN_MAX_TEXT 16384
#define LEARN_MAX_BLOB ((size_t)256 << 20)
#define LEARN_MAX_LANGUAGES 24
#define LEARN_LANGUAGE_EVIDENCE                                                                    \
    20 /* decisions in a language without which nothing is known of it */
#define LEARN_NONE "none_of_these" /* the label of an example that has none of the others */
#define LEARN_TOP 10 /* labels and neighbours a prediction can carry */

struct learn_example {
    const char *text;       /* UTF-8; invalid bytes are read as U+FFFD */
    size_t text_len;
    const float *embedding; /* dim floats of length 1, or NULL: in all examples or in none */
    const char *label;      /* 1 to LEARN_MAX_LABEL_LEN bytes; LEARN_NONE: none of the others,
                               never answered; NULL: unlabelled traffic */
    const char *lang;       /* its language ("en"), counted apart in the report; may be NULL */
    const char *ref;        /* what a person calls it ("#4711"), may be NULL */
    double weight;          /* counts as so many examples; 0 stands for 1; at most 100 */
    bool extra;             /* a hint, not a decision (a label's name, an article on its topic):
                               learned from, never counted in the report or shown as a neighbour */
};

/* What the labels are worth: a certificate from history says so. */
enum learn_evidence {
    LEARN_EVIDENCE_HISTORY,  /* what people decided in the past, unreviewed */
    LEARN_EVIDENCE_REVIEWED, /* outcomes a reviewer confirmed */
    LEARN_EVIDENCE_COUNT
};

struct learn_options {
    uint64_t seed;
    int dim;                 /* floats per embedding; unused when embeddings are NULL */
    int folds;               /* out-of-fold parts, 2 to 20; 0: 10 up to 2,000 examples, else 5 */
    int max_epochs;          /* passes over the examples */
    double cost;             /* C of the regression: the weight of an example against the L2 norm */
    double embedding_weight; /* lengths of the three parts of the feature vector */
    double word_weight;
    double char_weight;
    unsigned min_df;         /* an n-gram must occur in this many examples */
    size_t max_features;     /* the most frequent n-grams are kept */
    bool plain;              /* the regression alone, as a yardstick: no neighbours, no shared
                                covariance, no self-training */
    double refuse;           /* share of known texts that may be refused as none of these */
    double light;            /* how sure the n-grams alone must be to answer without the embedding;
                                1: they never do; 0: by the error budget, 1 - target_error / 10, but
                                at least 0.99, and never under a budget of 5 % */
    double target_error;     /* of the suggested threshold, 0 < x < 1 */
    double delta;            /* its chance of being wrong */
    enum learn_evidence evidence;
};
/* The measured defaults: folds 0, C 30, weights 3, 1, 1, min_df 2, refuse 1 %,
   light 0 (by the budget), error 2 %, delta 5 %. */
struct learn_options learn_defaults(void);

/* Called between passes with 0 <= done <= total, on the training thread; return false to cancel. */
struct learn_progress {
    bool (*fn)(void *arg, int done, int total);
    void *arg;
};

/* Decisions in one language, counted out of fold. */
struct learn_language {
    char code[8];
    uint32_t n;
    uint32_t correct;
    float expected; /* sum of the confidences: how many should have been right */
    float variance; /* of that number */
};

struct learn_label_count {
    const char *label; /* borrowed from the head */
    size_t n;          /* examples */
    size_t predicted;  /* times answered, out of fold */
    size_t correct;
};

struct learn_confusion {
    const char *truth;
    const char *answered;
    size_t n;
};

/* One out-of-fold prediction: what the head said of an example it had not seen. */
struct learn_oof {
    uint32_t truth;
    uint32_t answered;
    float confidence;
    float none;
};

/* What answer/certify's fixed-sequence test says of the out-of-fold scores: provisional. */
struct learn_certificate {
    bool certified;
    double threshold;  /* accept when confidence >= threshold; above 1 when not certified */
    size_t n;          /* scored items */
    size_t accepted;
    size_t errors;
    double coverage;   /* accepted / n */
    double target, delta;
    size_t needed;     /* accepted items without an error that the first test needs */
};

/* What the n-grams alone may answer; all 0 where they may not. */
struct learn_light {
    double threshold;   /* least confidence of their own */
    double doubt;       /* what 1 - that confidence is multiplied by: errors seen over foretold */
    double share;       /* of the decisions that they answer, out of fold */
    size_t wrong;       /* of those, */
    size_t wrong_whole; /* and how many of the same the whole head has wrong */
};

struct learn_report {
    size_t n;            /* decisions: examples with a label that are not extra */
    size_t extra;
    size_t traffic;      /* unlabelled */
    size_t outside;      /* examples of none of the labels */
    double refuse;       /* share of the decisions refused as none of these, as asked for */
    double outside_refused; /* share of the outside examples that were refused then */
    size_t labels;
    size_t rare_labels;  /* labels with fewer than 2 examples: out of fold they cannot be right */
    bool has_embeddings;
    size_t features;     /* n-grams kept */
    double accuracy;     /* all figures are out of fold */
    double macro_f1;
    double ece;          /* expected calibration error, 15 equal-mass bins, after calibration */
    double ece_raw;
    double temperature;  /* of the linear model's logits */
    double vote_weight;  /* of the nearest examples' vote beside them */
    double shared_rate;  /* of the shared covariance's logits, in units of the regression's */
    double coverage_at_1, coverage_at_2, coverage_at_5; /* share answerable at that error; a
                            plain reading of the sample, not a guarantee */
    struct learn_light light; /* the other figures are of both together, as they answer */
    struct learn_certificate certificate; /* on out-of-fold scores: provisional */
    enum learn_evidence evidence;
    double train_ms;
    struct learn_label_count *counts; /* labels of them, in the head's order */
    struct learn_language languages[LEARN_MAX_LANGUAGES];
    size_t n_languages;
    struct learn_confusion confusions[LEARN_TOP];
    size_t n_confusions;
    struct learn_oof *oof; /* n of them, in the order of the decisions among the examples */
};
void learn_report_done(struct learn_report *r);
/* Appends the report as one JSON object (without the single predictions). */
void learn_report_json(const struct learn_report *r, struct buf *out);
/* Appends it as lines for a person, each ending in a newline. */
void learn_report_text(const struct learn_report *r, struct buf *out);

struct learn_head;

/*
 * Trains a head. *out is the caller's (learn_head_free); *report, which may be NULL, is the
 * caller's (learn_report_done) and borrows its label names from the head. Traffic takes part when
 * it comes with embeddings or nothing does. Errors: FAIL_BAD_REQUEST (fewer than two labels or four
 * examples, some embeddings missing or not of length 1, an empty or over-long label; names the
 * example by its number from 1), FAIL_TOO_LARGE, FAIL_STOPPED when progress said so. Blocks for the
 * whole training: 10,000 short texts and 77 labels take seconds.
 */
MUST_CHECK enum fail learn_train(const struct learn_example *examples, size_t n,
                                 const struct learn_options *options,
                                 const struct learn_progress *progress, struct learn_head **out,
                                 struct learn_report *report, struct fault *why);
void learn_head_free(struct learn_head *h);

struct learn_choice {
    uint32_t label;
    float p; /* calibrated probability; those of all labels add up to 1 */
};

struct learn_neighbour {
    const char *ref;   /* borrowed from the head, "" when the example had none */
    uint32_t label;
    uint32_t example;  /* its place in the training data */
    float cosine;      /* of embeddings; without them, of hashed n-grams (an estimate) */
};

struct learn_prediction {
    struct learn_choice top[LEARN_TOP]; /* most probable first */
    size_t n_top;
    float confidence; /* top[0].p, lowered when the text is far from all examples */
    float none;       /* 0..1, none of these: the share of known examples that were less odd (nearer
                         to others, surer) than this text: 0.99 = odder than 99 % of them */
    float odd;        /* the same on no scale, finer at the far end */
    bool refused;     /* none passes 1 - the options' refuse: no label should be taken for it */
    bool light;       /* answered by the n-grams alone: the embedding was not looked at */
    float support;    /* the nearest example's cosine */
    float known;      /* share of the text's distinct n-grams that the head has seen */
    struct learn_neighbour nearest[LEARN_TOP]; /* nearest first, among the examples of the labels
                         in top */
    size_t n_nearest;
};

/*
 * Decides one text. embedding must be given exactly when the head was trained with embeddings
 * (FAIL_BAD_REQUEST otherwise), dim floats. An empty text is answered, with known = 0.
 * Under 0.3 ms for 77 labels and a message of a few sentences.
 */
MUST_CHECK enum fail learn_predict(const struct learn_head *h, const char *text, size_t text_len,
                                   const float *embedding, int dim, struct learn_prediction *out,
                                   struct fault *why);

/*
 * Answers as learn_predict would without looking at the embedding; false where that is not enough,
 * and then *out holds nothing. Always false for heads without embeddings or without a light one.
 * Takes as long as learn_predict; texts over LEARN_LIGHT_TEXT bytes are not tried.
 */
#define LEARN_LIGHT_TEXT 4096
bool learn_predict_light(const struct learn_head *h, const char *text, size_t text_len,
                         struct learn_prediction *out);

size_t learn_head_labels(const struct learn_head *h);
const char *learn_head_label(const struct learn_head *h, size_t i); /* borrowed */
/* UINT32_MAX when the head has no such label. */
uint32_t learn_head_find(const struct learn_head *h, const char *label);
size_t learn_head_languages(const struct learn_head *h); /* how many were seen */
/* What was measured in a language, NULL when nothing was. */
const struct learn_language *learn_head_language(const struct learn_head *h, const char *code);
/* Is the confidence worth something in it? At least LEARN_LANGUAGE_EVIDENCE decisions, and not
   fewer right than the confidences promised (one-sided test at 1 %). l may be NULL: no. */
bool learn_language_holds(const struct learn_language *l);
/* Was it taught with an example that has this ref? */
bool learn_head_has_ref(const struct learn_head *h, const char *ref);
int learn_head_dim(const struct learn_head *h); /* 0 when trained without embeddings */
/* The report it was made with, as JSON; borrowed. */
const char *learn_head_report(const struct learn_head *h);

/*
 * The head as bytes: little-endian on every machine, versioned, ending in the SHA-256 of all
 * before it. learn_save appends to *out (FAIL_TOO_LARGE at its cap). learn_load trusts no byte:
 * FAIL_BAD_REQUEST says what is wrong. A head is worth the same before and after.
 */
MUST_CHECK enum fail learn_save(const struct learn_head *h, struct buf *out, struct fault *why);
MUST_CHECK enum fail learn_load(const void *blob, size_t n, struct learn_head **out,
                                struct fault *why);
/* SHA-256 of the saved bytes: the name of the release. */
void learn_head_hash(const struct learn_head *h, uint8_t out[32]);

/* certify_test on these scores, in the report's words. */
void learn_certify(const float *score, const bool *ok, size_t n, double target, double delta,
                   struct learn_certificate *out);
struct jn_writer;
/* "certificate":{...} */
void learn_certificate_json(const struct learn_certificate *c, struct jn_writer *w);
const char *learn_evidence_name(enum learn_evidence e); /* "history" or "reviewed" */
/* Expected calibration error over 15 equal-mass bins: sum of |accuracy - mean score| by mass. */
double learn_ece(const float *score, const bool *ok, size_t n);
/* Largest share of items, most sure first, whose error is at most `error`. */
double learn_coverage(const float *score, const bool *ok, size_t n, double error);

/*
 * Languages. Which ones an embedding model holds, by its name: a list of codes with spaces between
 * them, "*" for about all, NULL when its name says nothing. Static.
 */
const char *learn_languages_of_model(const char *name);
bool learn_languages_include(const char *list, const char *code);

struct store_tx;
struct store_conn;
struct learn_language_share {
    char code[8];
    int64_t n; /* tickets */
};
/* One more ticket came in this language. In the caller's write. */
MUST_CHECK enum fail learn_language_count(struct store_tx *tx, int64_t now_us, const char *code,
                                          struct fault *why);
/* Tickets since then by language, most first; what does not fit into room is added to the last. */
MUST_CHECK enum fail learn_language_read(struct store_conn *conn, int64_t since_us,
                                         struct learn_language_share *out, size_t room, size_t *n,
                                         struct fault *why);
