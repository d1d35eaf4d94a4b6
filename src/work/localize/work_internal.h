/* SPDX-License-Identifier: Apache-2.0 */
/* work/localize: one run of the program, between its files. Threads: the run's. */
#pragma once

#include "work/localize/localize_internal.h"
#include "work/program/program.h"

#define FILES_MAX 16
#define STYLES_MAX 16
#define MEMORIES_MAX 32

struct options {
    char model[64];      /* role or name; "" : none is asked */
    double round_trip;   /* least chrF of the translation back, 0..1 */
    double agreement;    /* least share of known words that fit */
    int64_t examples;    /* of memory that a model is shown */
    int64_t strings_max; /* that models are asked for in one run */
};

/* One file to translate, and what belongs to it. */
struct work_file {
    const struct program_input *input, *target_input, *base_input;
    struct localize_file file, target, base;
    bool has_target, has_base;
    size_t first, len;   /* its strings */
    size_t kept, locked; /* units left as they are */
};

/* One string that needs a translation. */
struct work_string {
    struct work_file *in;
    size_t unit;
    struct localize_offer offer;
    const char *was;    /* the target before, "" */
    const char *reason; /* shown to the reviewer */
    const char *by;     /* "memory", a model's name */
    double confidence;
    bool done, changed; /* changed: its source differs from the base's */
    bool in_memory;     /* memory holds the very string */
};

struct work {
    struct program_run *run;
    const struct options *options;
    struct arena *a;
    const char *from, *to;           /* languages, as codes */
    const char *from_name, *to_name; /* in English, for models */
    struct work_file files[FILES_MAX];
    size_t files_len;
    struct localize_memory *memory;
    struct localize_glossary glossary;
    struct localize_rules rules;
    struct style *style;
    struct work_string *strings;
    size_t strings_len;
    size_t asked; /* strings that a model was asked for */
};

/* Reads all inputs; the memory is built. */
MUST_CHECK enum fail work_gather(struct work *w, struct fault *why);
/* What the team approved in earlier runs, into the memory; nothing without a house. */
MUST_CHECK enum fail work_add_approved(struct work *w, struct fault *why);
/* Lists the strings that need a translation, in the order of files and units. */
MUST_CHECK enum fail work_list(struct work *w, struct fault *why);
/* Takes an offer: checked, it is done or for review. */
void work_take(struct work *w, struct work_string *s, const struct localize_offer *o,
               const char *by);
const struct localize_unit *work_unit(const struct work_string *s);
/* How many targets the unit has; at least 1. */
size_t work_forms(const struct work_string *s);
MUST_CHECK enum fail work_ask_models(struct work *w, struct fault *why);
/* Files, tables, items, sections. */
MUST_CHECK enum fail work_leave(struct work *w, struct fault *why);
