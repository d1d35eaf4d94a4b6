/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Style: brand rules in Vale's YAML, checked on Markdown or plain text.
 *
 * Supported `extends`: existence, substitution, occurrence, repetition, consistency, conditional,
 * capitalization, readability. Others (spelling, sequence, script, metric) are kept by name and
 * never silently skipped: style_unsupported. Scopes: text, heading(.h1 to .h6), paragraph, list,
 * blockquote, table, sentence, raw, with `~` and `&`. docs/reference/style.md lists the keys.
 * Of Vale's actions, `remove` and `replace` with one parameter are read; others change nothing.
 * Regular expressions are PCRE2's; a look-behind of unbounded length, which .NET's and Vale's
 * engine take and PCRE2 does not, is read as one of at most 24 characters.
 *
 * Owns: the compiled rules. Threads: a style is read-only once made and may check on many threads.
 * Nothing blocks. Limits: STYLE_MAX_* below; a pattern that takes too long on a text is given up
 * and counted in the result.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define STYLE_MAX_RULES 500
#define STYLE_MAX_TEXT ((size_t)1 << 20)
#define STYLE_MAX_ALERTS 1000
#define STYLE_MESSAGE_SIZE 320

enum style_level { STYLE_SUGGESTION, STYLE_WARNING, STYLE_ERROR };
const char *style_level_name(enum style_level l);

struct style;
/* `name` stands before each rule's: "Google" gives "Google.Headings". */
struct style *style_new(const char *name);
void style_free(struct style *s); /* accepts NULL */
/* Reads one rule. FAIL_BAD_REQUEST with every error in faults; an unsupported `extends` is no
   error. */
MUST_CHECK enum fail style_add(struct style *s, const char *rule, const char *yaml, size_t len,
                               struct config_faults *faults, struct fault *why);
/* The same of a rule that stands inside another file. */
MUST_CHECK enum fail style_add_node(struct style *s, const char *rule,
                                    const struct config_node *root, struct config_faults *faults,
                                    struct fault *why);
size_t style_count(const struct style *s);
/* The i-th rule that is not checked: "Google.Spelling: spelling"; NULL beyond the last. */
const char *style_unsupported(const struct style *s, size_t i);

struct style_alert {
    const char *rule; /* as long as the style */
    const char *link; /* "" when it has none */
    enum style_level level;
    size_t from, to;  /* bytes of the text */
    int line, column; /* from 1; columns in characters */
    char message[STYLE_MESSAGE_SIZE];
    char instead[128]; /* what to write, "" when the rule does not say; the first of several */
    bool remove;       /* the rule's action: what it matched may go */
    bool several;      /* instead is one of several: a person chooses */
};
struct style_alerts {
    struct style_alert *items; /* by line, column, rule; style_alerts_done */
    size_t n, room;
    size_t dropped; /* beyond STYLE_MAX_ALERTS */
    size_t given_up; /* patterns that took too long */
};
/* text[0..n) is valid UTF-8; markdown: else plain, a paragraph between empty lines. False, nothing
   in out, when it is over STYLE_MAX_TEXT. Milliseconds for a page: not on the core thread. */
bool style_check(const struct style *s, const char *text, size_t n, bool markdown,
                 struct style_alerts *out);
void style_alerts_done(struct style_alerts *a);
