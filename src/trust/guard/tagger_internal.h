/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tagger, inside: tokens, their features, and the model. Shared by the tagger (asking) and its
 * training, so that both see the same features.
 */
#pragma once

#include "trust/guard/guard.h"

#define TAG_BUCKETS (1u << 15)
#define TAG_LABELS 10 /* none and the nine below */
#define TAG_STRIDE 16 /* weights a bucket, for vector instructions */
#define TAG_FEATURES 40
#define TAG_REACH 2   /* tokens on either side that a feature may look at */
#define TAG_SCALE 16  /* a stored weight of 16 is 1 */

enum tag_label {
    TAG_NONE,
    TAG_NAME,
    TAG_PLACE,
    TAG_ADDRESS,
    TAG_ORGANIZATION,
    TAG_DATE,
    TAG_AGE,
    TAG_GROUP,
    TAG_TITLE,
    TAG_CODE
};

/* One token: a run of letters and digits, or one other character that is no blank. */
struct tag_token {
    size_t from, to;
    uint32_t word, shape, prefix, suffix3, suffix2; /* hashes; 0: beyond the text */
    uint32_t listed;                                /* bits of the word lists it is on */
    bool line;                                      /* a new line, or the text, begins here */
    bool letters;                                   /* letters or digits: not punctuation */
    bool marked, digit;                             /* a capital or a digit in it; a digit */
};

struct guard_tagger {
    int lead; /* what "none" is held back by, in stored units: higher finds more */
    int8_t weights[TAG_BUCKETS][TAG_STRIDE];
};

/* Reads tokens of text[*at, n) into out[0..most), sets *at behind the last; returns the number. */
size_t tag_tokens(const char *text, size_t n, size_t *at, struct tag_token *out, size_t most);
/* Buckets of t[0]'s features; t[-TAG_REACH] to t[TAG_REACH] exist. Returns their number. */
size_t tag_features(const struct tag_token *t, uint32_t out[TAG_FEATURES]);
uint32_t tag_listed(const char *lower, size_t n);
enum guard_kind tag_kind(enum tag_label l);
enum tag_label tag_label_of(enum guard_kind k);
