/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extract: ids, amounts, dates, numbers and spans, found in a text and never made up.
 *
 * Code finds the candidates: every one is a verbatim stretch of the input with a typed normal form.
 * Where a text can be read in two ways (03/04/2026, 1.234) both are candidates. A head, learned
 * from {text, value} examples, says which candidate is the field's value, or that none is: one
 * log-linear model over all candidates of a text and "none" (the conditional likelihood of a
 * semi-Markov segment; features are words left, right and inside, shapes, the key of a `key: value`
 * line, the candidate's type and place), so that a probability comes out. Fitted by AdaGrad on the
 * examples, calibrated and measured out of fold (answer/learn's figures and certificate).
 *
 * Privacy: a head keeps no text, only 64-bit hashes of features that at least two examples share,
 * and never a word with a digit in it.
 *
 * Owns: heads and found candidates. Threads: all functions are pure or work on what the caller
 * owns; a head is immutable once made. extract_train takes seconds: call it on a crunch thread.
 * extract_predict takes under 1 ms for a message of a few paragraphs, some 20 ms for 16 KiB.
 * Limits: EXTRACT_MAX_*; only the first EXTRACT_MAX_TEXT bytes of a text are read, and a text or
 * candidate list that was cut halves the confidence of every answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/learn/learn.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define EXTRACT_MAX_TEXT 16384
#define EXTRACT_MAX_TOKENS 8192
#define EXTRACT_MAX_FOUND 4096     /* candidates of types in one text */
#define EXTRACT_MAX_SEGMENTS 24000 /* stretches of words in one text, for spans */
#define EXTRACT_MAX_WORDS 8        /* words of a span */
#define EXTRACT_MAX_NORMAL 96      /* bytes of a normal form; ids and spans stand as they are */
#define EXTRACT_MAX_EXAMPLES 100000
#define EXTRACT_MAX_BLOB ((size_t)64 << 20)
#define EXTRACT_TOP 5

/* What a field asks for. */
enum extract_kind {
    EXTRACT_NUMBER, /* normal form: a plain decimal, "1234.50", "-3" */
    /* "12.50 EUR": a decimal and an ISO 4217 code; "12.50" where no currency stands */
    EXTRACT_AMOUNT,
    EXTRACT_DATE,   /* "2026-11-22" */
    EXTRACT_ID,     /* as it stands: mixed alphanumerics, digits, e-mail, link, telephone number */
    EXTRACT_SPAN,   /* as it stands: up to EXTRACT_MAX_WORDS words, or any of the above */
    EXTRACT_KIND_COUNT
};
const char *extract_kind_name(enum extract_kind kind); /* "number", ... */

/* What a candidate is. */
enum extract_type {
    EXTRACT_TYPE_NUMBER,
    EXTRACT_TYPE_MEASURE, /* a number with its unit: "5 kg"; normal form "5 kg" */
    EXTRACT_TYPE_AMOUNT,
    EXTRACT_TYPE_DATE,
    EXTRACT_TYPE_TIME,    /* "14:30" */
    EXTRACT_TYPE_ID,
    EXTRACT_TYPE_EMAIL,
    EXTRACT_TYPE_LINK,
    EXTRACT_TYPE_PHONE,
    EXTRACT_TYPE_WORDS,
    EXTRACT_TYPE_COUNT
};
const char *extract_type_name(enum extract_type type);

/* How a candidate that has two readings was read; 0: there is one. */
enum extract_reading {
    EXTRACT_READING_ONLY,
    EXTRACT_READING_DAY_FIRST,   /* 03/04: 3 April */
    EXTRACT_READING_MONTH_FIRST, /* 03/04: March 4 */
    EXTRACT_READING_THOUSANDS,   /* 1.234: 1234 */
    EXTRACT_READING_DECIMAL,     /* 1.234 */
    EXTRACT_READING_NEAREST,     /* next Friday: the first Friday after today */
    EXTRACT_READING_NEXT_WEEK,   /* next Friday: that of the week after this one */
    EXTRACT_READING_COUNT
};

/* When and where the text was written: relative and shortened dates are read from it. */
struct extract_scene {
    int64_t now;      /* seconds since 1970, UTC */
    int zone_minutes; /* of the writer's clock, east of UTC; -1,440 to 1,440 */
};

struct extract_found {
    uint32_t at, len; /* bytes of the text */
    enum extract_type type;
    enum extract_reading reading;
    char normal[EXTRACT_MAX_NORMAL]; /* '' for ids, links and such: the text itself */
};

/*
 * Finds all candidates of types (none of EXTRACT_TYPE_WORDS) in text[0..n), in order of position,
 * longer ones first; at most room are written, the number written is returned. *cut, which may be
 * NULL, says that the text or the list was cut. Any bytes are accepted. Linear in n but for
 * EXTRACT_MAX_FOUND. Numbers: 1,234.50, 1.234,50, 1 234,50, 12k, twenty-five, vingt-cinq; amounts
 * with symbol, ISO 4217 code or name on either side; dates: ISO, d/m/y and m/d/y, month names in
 * English, German, French, Spanish, today, tomorrow, next Monday, in 3 days; a date without a year
 * is that nearest to now.
 */
size_t extract_find(const char *text, size_t n, const struct extract_scene *scene,
                    struct extract_found *out, size_t room, bool *cut);

/* May a candidate of this type be the value of a field of this kind? */
bool extract_suits(enum extract_kind kind, enum extract_type type);

/*
 * Are two values the same? number, amount: equal decimals (12.5 = 12.50), and equal currencies
 * where both have one; date: equal; id, span: equal but for case and white space. value and other
 * are NUL terminated; "" (none) equals only "".
 */
bool extract_same(enum extract_kind kind, const char *value, const char *other);

/*
 * Where does this value stand in the text? True, with the first such place, when a candidate of the
 * kind has it as its normal form or, for ids and spans, when the text says it at word borders
 * (compared as extract_same does). The check by code of every value of whatever rung.
 */
bool extract_locate(enum extract_kind kind, const char *text, size_t n,
                    const struct extract_scene *scene, const char *value, uint32_t *at,
                    uint32_t *len);

/* Does text[at .. at + len) say `value`? Reads that stretch again by itself; an offset outside the
   text, or inside a word, is no. */
bool extract_verify(enum extract_kind kind, const char *text, size_t n,
                    const struct extract_scene *scene, uint32_t at, uint32_t len,
                    const char *value);

/* Bounds of a number, amount (its decimal) or date: NULL for none; the same form as the value.
   A value that is no such form is out of bounds. */
bool extract_in_bounds(enum extract_kind kind, const char *value, const char *min, const char *max);

struct extract_example {
    const char *text;
    size_t text_len;
    const char *value;  /* as in the text or as the normal form; "": the text has none */
    const char *const *others; /* further values that would be as right, others_len of them */
    size_t others_len;
    const char *group;  /* examples of a group are scored together (a conversation), may be NULL */
    struct extract_scene scene;
};

/*
 * The kind of field whose values these are: the narrowest that can say them as they are written.
 * Digits of four and more are ids, not numbers; "100 usd" is a span, since an amount says "100
 * USD".
 */
enum extract_kind extract_guess_kind(const struct extract_example *examples, size_t n);

struct extract_options {
    enum extract_kind kind;
    uint64_t seed;
    int folds;           /* 2 to 20 */
    int epochs;
    double rate;         /* of AdaGrad */
    double ridge;        /* L2 penalty per example */
    unsigned min_df;     /* examples that must share a feature, at least 2 */
    double target_error; /* of the suggested threshold */
    double delta;
    enum learn_evidence evidence;
};
struct extract_options extract_defaults(enum extract_kind kind);

/* One out-of-fold answer. */
struct extract_oof {
    bool given;       /* the example has a value */
    bool reachable;   /* and a candidate holds it */
    bool answered;    /* with a value, not with none */
    bool right;       /* the right value, or rightly none */
    float confidence; /* calibrated, of what was answered */
    uint32_t at, len; /* of the answer in the text */
};

struct extract_report {
    enum extract_kind kind;
    size_t n, given, reachable;
    size_t answered, right_values; /* answered with a value; of these right */
    size_t features;
    double accuracy;         /* of all, none included; all figures are out of fold */
    double precision, recall, f1; /* of values, exact match */
    double ece, ece_raw;
    double coverage_at_1, coverage_at_2, coverage_at_5;
    /* holds for all answers, and for those that are a value: none is easy and may not pay for
       them */
    struct learn_certificate certificate;
    enum learn_evidence evidence;
    double train_ms;
    struct extract_oof *oof; /* n, in the order of the examples */
};
void extract_report_done(struct extract_report *r);
/* One JSON object with the members of learn_report_json that apply, and the above. */
void extract_report_json(const struct extract_report *r, struct buf *out);

struct extract_head;

/*
 * Trains a head. *out is the caller's (extract_head_free); *report, may be NULL, too
 * (extract_report_done). FAIL_BAD_REQUEST: fewer than 4 examples, none with a value, or no value is
 * found in its text; FAIL_TOO_LARGE: more than EXTRACT_MAX_EXAMPLES, or texts too long together;
 * FAIL_STOPPED when progress said so. Equal examples give equal bytes on the same kind of CPU.
 * 2,000 messages take 1 to 3 s.
 */
MUST_CHECK enum fail extract_train(const struct extract_example *examples, size_t n,
                                   const struct extract_options *options,
                                   const struct learn_progress *progress,
                                   struct extract_head **out, struct extract_report *report,
                                   struct fault *why);
void extract_head_free(struct extract_head *h); /* accepts NULL */

struct extract_value {
    double p;         /* calibrated; of all candidates with this value together */
    uint32_t at, len; /* where it stands in the text; len 0: none */
    char *value;      /* as the field's kind says it; "" for none */
};
struct extract_answer {
    struct extract_value top[EXTRACT_TOP]; /* most probable first */
    size_t n_top;                          /* at least 1 */
    double confidence;                     /* of top[0] */
    bool cut;                              /* not all of the text was read */
};
/* Answers for one text; never fails. *out is the caller's (extract_answer_done). */
void extract_predict(const struct extract_head *h, const char *text, size_t n,
                     const struct extract_scene *scene, struct extract_answer *out);
void extract_answer_done(struct extract_answer *a);

enum extract_kind extract_head_kind(const struct extract_head *h);
const char *extract_head_report(const struct extract_head *h); /* JSON, borrowed */
/* SHA-256 of the saved bytes: the name of the release. */
void extract_head_hash(const struct extract_head *h, uint8_t out[32]);
/* As learn_save and learn_load: little-endian, versioned, ending in the SHA-256 of all before. The
   reader trusts no byte: FAIL_BAD_REQUEST says what is wrong. */
MUST_CHECK enum fail extract_save(const struct extract_head *h, struct buf *out, struct fault *why);
/* Do these bytes begin as a saved head of this room does? */
bool extract_is_head(const void *blob, size_t n);
MUST_CHECK enum fail extract_load(const void *blob, size_t n, struct extract_head **out,
                                  struct fault *why);
