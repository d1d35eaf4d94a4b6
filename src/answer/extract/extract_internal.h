/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extract, inside: tokens, the finders, a text as features. Shared by this room's files.
 *
 * A token is a run of letters and digits, or one other character. A candidate is a range of tokens
 * [from, to), so that nothing begins or ends inside a word.
 */
#pragma once

#include "answer/extract/extract.h"

enum token_class { TOKEN_WORD, TOKEN_DIGITS, TOKEN_MIXED, TOKEN_OTHER };

struct token {
    uint32_t at, len;
    enum token_class class;
    uint32_t line;     /* number of the line, from 0 */
    bool glued;        /* no space before it */
    bool upper;        /* begins with a capital */
    bool capitals;     /* is all capitals */
    uint64_t hash;     /* of the folded word; digits as shapes */
};

struct tokens {
    const char *text;
    size_t n; /* bytes read */
    struct token *token;
    size_t len;
    bool cut;
};
void extract_tokens_read(struct tokens *t, const char *text, size_t n);
void extract_tokens_done(struct tokens *t);
/* The folded word of a token, at most room - 1 bytes of it, cut at a character. */
void extract_token_fold(const struct tokens *t, size_t i, char *out, size_t room);
uint64_t extract_hash(const char *s, size_t n, uint64_t seed);
uint64_t extract_mix(uint64_t a, uint64_t b);

/* A candidate inside the room: tokens and what extract_found says. */
struct candidate {
    uint32_t from, to; /* tokens */
    enum extract_type type;
    enum extract_reading reading;
    char normal[EXTRACT_MAX_NORMAL];
};
struct candidates {
    struct candidate *item;
    size_t len, room;
    bool cut;
};
/* A new candidate over tokens [from, to), or a scrap one when the list is full or normal is
   refused. */
void extract_candidate_add(struct candidates *c, size_t from, size_t to, enum extract_type type,
                           enum extract_reading reading, const char *normal);

/* number.c: numbers, measures and amounts that begin at token i. */
void extract_find_numbers(const struct tokens *t, size_t i, struct candidates *out);
/* A number word ("seven", "zwölf") alone, or -1. */
int extract_number_word(const char *folded);
/* date.c: dates and times that begin at token i. */
void extract_find_dates(const struct tokens *t, size_t i, const struct extract_scene *scene,
                        struct candidates *out);
bool extract_date_is(const char *s);
/* find.c: all of them, in order; item is the caller's (mem_free). */
void extract_candidates(const struct tokens *t, const struct extract_scene *scene,
                        struct candidates *out);
/* The value that a candidate gives to a field of this kind, appended to out. */
void extract_value_of(enum extract_kind kind, const struct tokens *t, const struct candidate *c,
                      struct buf *out);

/* Rows of feature keys, one after the other: row i is key[start[i]] to key[start[i + 1]]. */
struct rows {
    uint64_t *key;
    uint32_t *start; /* n + 1 */
    size_t n, keys, room, rows_room;
};
void extract_rows_done(struct rows *r);

/* A text as a field of one kind sees it: segments that may be its value, and features. The score of
   a segment is that of its first token's row in `first`, of its last token's in `last`, of each of
   its tokens' in `inside`, and of its own in `whole`; that of none is of `none`'s one row. */
struct segment {
    uint32_t from, to;   /* tokens */
    uint32_t candidate;  /* of view.found; UINT32_MAX: words */
};
struct view {
    enum extract_kind kind;
    struct tokens t;
    struct candidates found;
    struct segment *segment;
    size_t len, room;
    struct rows first, last, inside, whole, none;
    bool cut;
};
void extract_view_make(struct view *v, enum extract_kind kind, unsigned max_words,
                       const char *text, size_t n, const struct extract_scene *scene);
void extract_view_done(struct view *v);
/* The value of segment i, appended. */
void extract_view_value(const struct view *v, size_t i, struct buf *out);

/* How out-of-fold scores become a confidence: softmax of logits / temperature, then Platt. */
struct tuning {
    float temperature, slope, offset;
};
double extract_tune(const struct tuning *t, double p);

#define EXTRACT_MAX_FEATURES ((size_t)4 << 20)
struct extract_head {
    enum extract_kind kind;
    unsigned max_words;
    struct tuning tuning;
    uint64_t *key;    /* ascending */
    float *weight;
    size_t n;
    uint32_t *slot;   /* open-addressed: place + 1 */
    size_t mask;
    char *report;
    uint8_t hash[32];
};
/* Builds the slots. */
void extract_head_index(struct extract_head *h);
/* UINT32_MAX when unknown. */
uint32_t extract_head_find(const struct extract_head *h, uint64_t key);
/* Takes the hash of the saved bytes; FAIL_TOO_LARGE past EXTRACT_MAX_BLOB. */
MUST_CHECK enum fail extract_head_seal(struct extract_head *h, struct fault *why);

/* The surest segments of a text and what is left, as logits. */
#define EXTRACT_BEST 24
struct best {
    float none, rest; /* rest: ln sum exp of the others; -1e30 when there are none */
    struct {
        uint32_t segment;
        float z;
    } top[EXTRACT_BEST]; /* best first */
    size_t n;
};
/* z: one logit a segment. */
void extract_best_of(const float *z, size_t n, float none, struct best *out);
/* Groups what has the same value and turns logits into probabilities: top of *out, most probable
   first, with confidence calibrated. */
void extract_answer_make(const struct view *v, const struct best *b, const struct tuning *tuning,
                         struct extract_answer *out);
