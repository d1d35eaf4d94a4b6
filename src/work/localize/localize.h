/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Localize: the strings of a program from one language into another. Memory first, then code, then
 * models; every string is checked (answer/check) and is either done or needs review with a reason;
 * what is written replaces the bytes of targets and nothing else.
 *
 * The pure part: units of a file (of run/document), the writer, the translation memory, the
 * glossary, the offers that code can make, the checks, and the tables a reviewer reads. The program
 * `localize` (localize_program) puts them together with what models say.
 *
 * Owns: nothing beyond its structs. Threads: all functions may be called by any thread, a memory
 * being read-only once built; only the program blocks. Limits: LOCALIZE_*_MAX.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/check/check.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "run/document/document.h"

#define LOCALIZE_FORMS_MAX 10
#define LOCALIZE_UNITS_MAX 50000
#define LOCALIZE_MEMORY_MAX 500000
#define LOCALIZE_TERMS_MAX 20000

/* ---- a file of strings ---- */

struct localize_text {
    const char *text; /* valid UTF-8; inline elements of XLIFF are ⟦x:1⟧ */
    size_t len;
    uint64_t begin, end;  /* bytes of the file */
    const char *category; /* "one", where the format names plural forms; else "" */
    unsigned form;        /* 0, or 1 + the plural form */
};
struct localize_mark {
    const char *label, *markup; /* "⟦x:1⟧", "<x id=\"1\"/>" */
    bool target;                /* as the target has it, not the source */
};

#define LOCALIZE_OBSOLETE 1u
#define LOCALIZE_LOCKED 2u   /* not to be translated */
#define LOCALIZE_ODD 4u      /* holds what our text cannot say: shown, never written */
#define LOCALIZE_FUZZY 8u    /* the target is a guess, by the file's own word */
#define LOCALIZE_APPROVED 16u

struct localize_unit {
    const char *id;       /* "line 12", "/labels/paste", "u1/s1" */
    const char *context;  /* msgctxt, resname; "" without */
    const char *note;     /* for translators; "" without */
    const char *previous; /* the source before it changed; "" */
    const char *flags;    /* as the file says: "c-format python-format"; "" */
    const char *state;    /* "fuzzy", "needs-translation"; "" */
    const char *state_done;               /* what replaces it once the target is done */
    uint64_t state_begin, state_end;
    unsigned marks_are;                   /* LOCALIZE_* bits */
    uint32_t max_chars;                   /* 0: no limit */
    uint32_t line;
    uint64_t begin, end;                  /* all of it */
    const struct localize_text *sources, *targets;
    size_t sources_len, targets_len;
    const char *before, *after;           /* around a target that has no element yet */
    const struct localize_mark *marks;
    size_t marks_len;
};

struct localize_file {
    const char *format, *charset;
    const char *source_lang, *target_lang; /* "" where the file does not say */
    const char *plurals;                   /* PO: Plural-Forms; "" */
    unsigned nplurals;                     /* of it; 0 */
    char delimiter;                        /* CSV */
    bool one_language;                     /* ARB, JSON: source and target are the same value */
    uint64_t locale_begin, locale_end;     /* ARB: where it names its language */
    const char *locale_to;                 /* what localize_write puts there; NULL: nothing */
    const struct localize_unit *units;
    size_t len;
};
/* d must outlive the file; the rest lies in the arena. FAIL_UNSUPPORTED: not a format of strings;
   FAIL_TOO_LARGE: over LOCALIZE_UNITS_MAX. */
MUST_CHECK enum fail localize_file_read(const struct document *d, struct arena *a,
                                        struct localize_file *out, struct fault *why);
/* "po" for app.po ...: the format to ask the reader for, NULL when the name says none. */
const char *localize_format_of(const char *name);
/* The unit's text is needed and the file has none, or a guess. */
bool localize_is_open(const struct localize_file *f, const struct localize_unit *u);

/* ---- writing ---- */

struct localize_change {
    size_t unit;      /* index */
    size_t target;    /* index among its targets */
    const char *text; /* new target */
    size_t len;
};
/*
 * The file's bytes with new targets: escaped as the format wants, in its charset, with its line
 * ends; the state beside a target that is done goes with it. Nothing else changes: no change, the
 * same bytes. FAIL_BAD_REQUEST names the unit whose text the charset cannot hold or whose
 * placeholders are no inline elements of it; FAIL_TOO_LARGE.
 */
MUST_CHECK enum fail localize_write(const struct localize_file *f, const void *bytes, size_t len,
                                    const struct localize_change *changes, size_t n,
                                    struct buf *out, struct fault *why);
/*
 * The same for a file of one language: target_bytes is the file of the other language, made from
 * the source file. A change whose id is missing there is put in behind the string that precedes it
 * in the source file; *skipped counts those whose object is missing as well.
 */
struct localize_new {
    const char *id; /* of the source file's unit */
    const char *text;
    size_t len;
};
MUST_CHECK enum fail localize_write_beside(const struct localize_file *source,
                                           const struct localize_file *target, const void *bytes,
                                           size_t len, const struct localize_new *changes, size_t n,
                                           struct buf *out, size_t *skipped, struct fault *why);

/* ---- glossary ---- */

struct localize_glossary {
    struct check_term *terms; /* strings in the arena */
    size_t len;
};
/* From CSV (Tolgee's columns: term, description, translatable, casesensitive, abbreviation,
   forbidden, one column a language; or source and target columns) or TBX, for a pair of languages.
   Adds to *out. FAIL_BAD_REQUEST: a CSV without the columns it needs. */
MUST_CHECK enum fail localize_glossary_add(struct localize_glossary *out, const struct document *d,
                                           const char *from, const char *to, struct arena *a,
                                           struct fault *why);
/* Do two names mean one language? "de", "de_DE", "de-AT": by their first part. */
bool localize_same_language(const char *a, const char *b);

/* ---- memory ---- */

struct localize_memory;
struct localize_memory *localize_memory_new(void);
void localize_memory_free(struct localize_memory *m); /* accepts NULL */
/* Copies. plural: the source's plural, NULL without; n forms of the target. Pairs with an empty
   source or target are left out; beyond LOCALIZE_MEMORY_MAX nothing is added. */
struct localize_pair {
    const char *source, *plural, *context, *origin; /* context and origin may be NULL */
    const char *targets[LOCALIZE_FORMS_MAX];
    size_t n;
};
void localize_memory_add(struct localize_memory *m, const struct localize_pair *p);
/* Everything that is translated in a file of two languages; of a pair of files of one language
   each, give both (target NULL: one file). Guesses and obsolete ones are left out. */
void localize_memory_add_file(struct localize_memory *m, const struct localize_file *f,
                              const struct localize_file *target, const char *origin);
/* After the last add, before the first look. */
void localize_memory_build(struct localize_memory *m);
size_t localize_memory_count(const struct localize_memory *m);

enum localize_by {
    LOCALIZE_BY_NONE,
    LOCALIZE_BY_KEPT,    /* the file's own target, its source unchanged */
    LOCALIZE_BY_CONTEXT, /* memory: the same source in the same place */
    LOCALIZE_BY_MEMORY,  /* memory: the same source, one translation */
    LOCALIZE_BY_COPY,    /* nothing in it is language */
    LOCALIZE_BY_GLOSSARY,
    LOCALIZE_BY_PATTERN, /* memory: only numbers or placeholders differ */
    LOCALIZE_BY_VARIANT, /* memory: only capitals or the end differ */
    LOCALIZE_BY_PARTS,   /* every part of it is in memory */
    LOCALIZE_BY_WORD,    /* memory with one word changed */
    LOCALIZE_BY_BEFORE,  /* the proofread text of a source that changed a little */
    LOCALIZE_BY_MODEL,
    LOCALIZE_BY_COUNT
};
const char *localize_by_name(enum localize_by by); /* "memory", "pattern" */

struct localize_offer {
    enum localize_by by;
    bool sure;          /* may be done if every check passes; else always for review */
    const char *texts[LOCALIZE_FORMS_MAX]; /* one a target form; in the arena */
    size_t n;
    const char *reason; /* why it is not sure, or what it was made from; static or the arena's */
    double confidence;  /* 0..1 */
};
struct localize_ask {
    const char *source, *plural; /* plural NULL: none */
    const char *context;         /* "" */
    const char *target_lang;     /* "de" */
    size_t forms;                /* targets wanted, from 1 */
    const struct localize_glossary *glossary; /* may be NULL */
};
/* What memory and rules say, the surest first rung that has an answer. by NONE: nothing. */
void localize_offer_find(const struct localize_memory *m, const struct localize_ask *ask,
                         struct arena *a, struct localize_offer *out);

struct localize_example {
    const char *source, *target;
    double score; /* 0..1: the share of the ask's words that it has, rare ones more */
};
/* The pairs nearest to a source, best first, at most max, none twice; returns how many. What a
   model is shown. */
size_t localize_memory_near(const struct localize_memory *m, const char *source, size_t max,
                            struct localize_example *out);
/* How well a target fits a source by what memory says of its words, 0..1: the share of the source's
   words, weighted by rareness, for which the target has a word seen beside them; *known: the share
   of words that memory has seen often enough to say anything. */
double localize_memory_agree(const struct localize_memory *m, const char *source,
                             const char *target, double *known);

/* ---- checks ---- */

struct localize_rules {
    const char *source_lang, *target_lang;
    const struct localize_glossary *glossary; /* may be NULL */
    unsigned nplurals;                        /* PO's; 0 */
    const struct style *style;                /* brand rules, may be NULL */
};
/* All checks on one unit's new targets. True: nothing is wrong; else *why_not says what, in the
   arena, for a reviewer. */
bool localize_check(const struct localize_rules *r, const struct localize_unit *u,
                    const char *const *targets, size_t n, struct arena *a, const char **why_not);
/* White space at both ends and the end's punctuation as the source has them. In the arena. */
const char *localize_repair(const char *source, const char *target, struct arena *a);

/* chrF of one pair or the sum of several: character 1- to 6-grams without white space, F with
   beta 2 (Popović 2015; sacrebleu's defaults: word order 0, effective order). 0..100. */
struct localize_chrf {
    uint64_t match[6], hypothesis[6], reference[6];
};
void localize_chrf_add(struct localize_chrf *c, const char *hypothesis, const char *reference);
double localize_chrf_score(const struct localize_chrf *c);
double localize_chrf(const char *hypothesis, const char *reference);

/* ---- what a reviewer reads ---- */

struct localize_row {
    const char *id, *context, *source, *target, *was, *by, *reason, *file;
    bool done, changed;
    double confidence;
};
struct localize_table {
    const char *title, *source_lang, *target_lang;
    const struct localize_row *rows;
    size_t len;
};
void localize_show_markdown(const struct localize_table *t, struct buf *out);
void localize_show_html(const struct localize_table *t, struct buf *out);
void localize_show_json(const struct localize_table *t, struct buf *out);

extern const struct program_ops localize_program;
