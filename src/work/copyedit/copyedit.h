/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-edit: a text under a style policy. Rules find what breaks the policy and say what to write;
 * a model may rewrite what rules can only point at, and its words stand only if code finds that
 * nothing they say has changed (docs/reference/copy-edit.md).
 *
 * What comes out is tracked: each suggestion names its bytes, its replacement, the rule it rests on
 * and how much that weighs, and whether the edited text has it. Numbers, links, quotations and code
 * are those of the original in any case; names are, unless a rule itself is about the name.
 *
 * Owns: policies; a result and its strings. Threads: a policy is read-only once made and may be
 * used by many threads; nothing is shared. Only copyedit_program blocks. Limits: STYLE_MAX_TEXT of
 * text, COPYEDIT_MAX_* below; what is beyond is said in the result, never dropped in silence.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/check/check.h"
#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "trust/style/style.h"

#define COPYEDIT_MAX_STYLES 16
#define COPYEDIT_MAX_SUGGESTIONS 2000
#define COPYEDIT_MAX_REWRITES 40 /* sentences that a model is asked about in one text */

struct program_ops;
extern const struct program_ops copyedit_program;

/* ---- the policy ---- */

struct copyedit_policy;
struct copyedit_policy *copyedit_policy_new(void);
void copyedit_policy_free(struct copyedit_policy *p); /* accepts NULL */
/* One rule in Vale's YAML under the style's name; lang "en", "de", or "" for every language. Every
   fault of it is added to faults, their lines moved by `line`. */
void copyedit_policy_add(struct copyedit_policy *p, const char *style, const char *lang,
                         const char *rule, const char *yaml, size_t len, int line,
                         struct config_faults *faults);
size_t copyedit_policy_count(const struct copyedit_policy *p); /* rules that are checked */
/* The i-th rule that is not: "Google.Spelling: spelling"; NULL beyond the last. */
const char *copyedit_policy_unsupported(const struct copyedit_policy *p, size_t i);

/* ---- suggestions ---- */

enum copyedit_state {
    COPYEDIT_APPLIED, /* the edited text has it */
    COPYEDIT_OFFERED, /* there is a replacement; a person decides */
    COPYEDIT_NOTED,   /* the rule says what is wrong, not what to write */
    COPYEDIT_COVERED  /* stands inside a sentence that was rewritten, and was obeyed there */
};
const char *copyedit_state_name(enum copyedit_state s); /* "applied", ... */

struct copyedit_suggestion {
    size_t at, len; /* bytes of the text */
    int line, column; /* from 1; columns in characters */
    char *quote;    /* what stands there */
    char *replacement; /* "" with a replacement: take it out; NULL: none */
    char *message;
    char rule[96]; /* "Plain.Wordy" */
    char *link;    /* "" when the rule has none */
    enum style_level level;
    enum copyedit_state state;
    bool by_model;
    bool choose; /* the rule gives several words: replacement is the first, a person chooses */
    enum check_reason held; /* why a replacement is not applied: what it would change */
};
struct copyedit_result {
    const char *text; /* as given, not owned */
    size_t len;
    enum knowledge_lang lang;
    struct copyedit_suggestion *items; /* in order of their place */
    size_t n;
    size_t dropped; /* beyond COPYEDIT_MAX_SUGGESTIONS */
    size_t asked, refused; /* sentences a model rewrote; of them changed in what they say */
    enum check_reason refusals[COPYEDIT_MAX_REWRITES];
};

/* Asks a model for one sentence. messages: what is wrong with it, a line each. True when *out holds
   its words. Called on the caller's thread; may block. */
typedef bool (*copyedit_ask_fn)(void *arg, const char *sentence, const char *messages,
                                struct buf *out);

struct copyedit_options {
    enum style_level apply; /* suggestions from this level up are applied; below, offered */
    bool markdown;
    enum knowledge_lang lang; /* OTHER: found out */
    copyedit_ask_fn ask;      /* NULL: rules alone */
    void *arg;
};
/* text is valid UTF-8 and stays where it is while the result lives. FAIL_TOO_LARGE over
   STYLE_MAX_TEXT, FAIL_BAD_REQUEST when it is no UTF-8. copyedit_result_done in either case. */
MUST_CHECK enum fail copyedit_check(const struct copyedit_policy *p, const char *text, size_t len,
                                    const struct copyedit_options *o, struct copyedit_result *out,
                                    struct fault *why);
void copyedit_result_done(struct copyedit_result *r);

/* Would a rewrite of the sentence say the same? Its numbers, names, links, quotations and code are
   the sentence's, each of its statements is supported by it, and it by them. */
struct check_result copyedit_same_meaning(const char *sentence, size_t len, const char *rewrite,
                                          size_t rewrite_len, enum knowledge_lang lang);

/* ---- texts; all append to out ---- */

/* The text with what is applied. */
void copyedit_put_edited(const struct copyedit_result *r, struct buf *out);
/* A table of the suggestions for people, with counts by rule. name: of the file. */
void copyedit_put_markdown(const struct copyedit_result *r, const char *name, struct buf *out);
void copyedit_put_json(const struct copyedit_result *r, const char *name, struct buf *out);
/* A unified diff (three lines of context) from the text to the edited text; "" when they are equal.
   Source of the format: POSIX diff -u. */
void copyedit_put_diff(const struct copyedit_result *r, const char *name, struct buf *out);

/* ---- drafts ---- */

struct copyedit_draft {
    size_t notes, said; /* lines of the notes; those the draft says */
    size_t refused;     /* sentences of the model that the notes do not support */
};
/* A text from notes (one statement a line, "-" and "*" before it go). Sentences of `words`, a
   model's draft (NULL: none), stand where the notes support them; every note that they do not say
   follows as a sentence of its own, so nothing is lost and nothing is added. */
void copyedit_put_draft(const char *notes, size_t len, const char *words, enum knowledge_lang lang,
                        struct copyedit_draft *counts, struct buf *out);
