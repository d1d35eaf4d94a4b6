/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/form: the compiled form, as inhoused builds it and a worker runs it, and the filled one that
 * comes back. A plan is a list of pieces that the engine walks from left to right: literals it
 * writes itself, and holes. Its JSON is the "plan" of a FORM ask, a result's is the body of
 * FORM_DONE (docs/protocol/worker.md); both are checked when read, because each side takes the
 * other for hostile: a result is only accepted as an answer to its plan.
 * Owns: a plan and a result own all their strings (one arena each). Threads: none shared. Nothing
 * blocks.
 * Limits: the FORM_*_MAX below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/json/json.h"

#define FORM_PIECES_MAX 64
#define FORM_LABELS_MAX 256
#define FORM_LABEL_BYTES_MAX 128
#define FORM_LITERAL_BYTES_MAX 4096
#define FORM_NAME_BYTES_MAX 48
#define FORM_CHARS_MAX 4000
#define FORM_STOPS_MAX 8
#define FORM_STOP_BYTES_MAX 64
#define FORM_DIGITS_MAX 15

enum form_kind {
    FORM_LITERAL,
    FORM_CHOICE,
    FORM_TEXT,
    FORM_NUMBER,
    FORM_DATE,
    FORM_BOOLEAN,
    FORM_KIND_COUNT,
};

/* One piece. Members that its kind does not use are zero. */
struct form_piece {
    enum form_kind kind;
    const char *name;          /* holes: [a-z][a-z0-9_]{0,47}; literals: NULL */
    const char *text;          /* literal */
    const char *const *labels; /* choice; a boolean's are "true", "false", set by form_plan_add */
    size_t n_labels;
    double gamma;            /* choice, boolean: 0..1, weight of the null-prompt correction */
    double temperature;      /* choice, boolean: 0.05..20; text: 0..2, 0 = greedy */
    bool mass;               /* choice: the field says how likely any of the labels was */
    unsigned max_chars;      /* text: 1..FORM_CHARS_MAX code points */
    const char *const *stops; /* text: the value ends before the first of them */
    size_t n_stops;
    bool single_line;  /* text: a line break also ends it */
    const char *min;   /* number: decimal string; date: YYYY-MM-DD */
    const char *max;
    unsigned decimals; /* number: 0..6 */
};

struct form_plan {
    struct arena *arena;
    struct form_piece *pieces;
    size_t n_pieces;
};

struct form_plan *form_plan_new(void);
void form_plan_free(struct form_plan *plan);
/*
 * Copies one piece onto the end. FAIL_BAD_REQUEST with the member in `why->param` when it breaks a
 * limit, or when the name or a label is taken. A choice's temperature 0 means 1.
 */
MUST_CHECK enum fail form_plan_add(struct form_plan *plan, const struct form_piece *piece,
                                   struct fault *why);
/* From the JSON array of a FORM ask. */
MUST_CHECK enum fail form_plan_read(const json_t *array, struct form_plan **out, struct fault *why);
/* As that array. */
void form_plan_write(struct jn_writer *writer, const struct form_plan *plan);
/* Static name of a kind: "choice". */
const char *form_kind_name(enum form_kind kind);

/* One filled hole. */
struct form_field {
    const char *name;
    enum form_kind kind;
    const char *value;   /* a choice's label, "true", "2026-11-22", "12.50", or text */
    /* choice: ln of the winner's probability; others: mean over their tokens */
    double logprob;
    const double *probs; /* choice, boolean: one per label in the plan's order, sum 1; else NULL */
    size_t n_probs;
    double
        mass; /* choice with that flag: probability, over the whole vocabulary, of the tokens that
                    a label begins with; else 0 */
    bool cut; /* a text that met max_chars */
};

struct form_result {
    struct arena *arena;
    struct form_field *fields;
    size_t n_fields;
    int64_t tokens_in; /* cached ones included */
    int64_t tokens_cached;
    int64_t tokens_out;
    double ms_queue;
    double ms_prefill;
    double ms_decode;
};

struct form_result *form_result_new(void);
void form_result_free(struct form_result *result);
/* Copies one field onto the end; the caller fills fields in the plan's order. */
void form_result_add(struct form_result *result, const struct form_field *field);
/* The whole body of FORM_DONE. */
void form_result_write(struct jn_writer *writer, const struct form_result *result);
/*
 * Reads the body of FORM_DONE as the answer to `plan`: every hole once, in order, with a value its
 * piece allows and probabilities in 0..1 that sum to 1 within 1 %. FAIL_BAD_REQUEST otherwise: the
 * worker is not to be trusted.
 */
MUST_CHECK enum fail form_result_read(const json_t *object, const struct form_plan *plan,
                                      struct form_result **out, struct fault *why);

/*
 * What may follow `prefix` in a number or date so that a value inside the bounds can still come of
 * it: bit d = digit d, and the three below. 0 means that the prefix itself is impossible.
 */
#define FORM_NEXT_MINUS (1u << 10)
#define FORM_NEXT_POINT (1u << 11)
#define FORM_NEXT_END (1u << 12)
unsigned form_next(const struct form_piece *piece, const char *prefix);
/* Is `value` one that this piece can have? Used on results, by the fake engine and by tests. */
bool form_value_fits(const struct form_piece *piece, const char *value);
