/* SPDX-License-Identifier: Apache-2.0 */
/* Style, inside: rules, and a text cut into blocks whose characters know where they stand. */
#pragma once

#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "trust/style/style.h"

enum style_kind {
    STYLE_EXISTENCE,
    STYLE_SUBSTITUTION,
    STYLE_OCCURRENCE,
    STYLE_REPETITION,
    STYLE_CONSISTENCY,
    STYLE_CONDITIONAL,
    STYLE_CAPITALIZATION,
    STYLE_READABILITY,
    STYLE_KIND_COUNT
};

enum style_match { STYLE_TITLE, STYLE_SENTENCE, STYLE_LOWER, STYLE_UPPER, STYLE_PATTERN };

#define STYLE_SCOPES 8
#define STYLE_SCOPE_SIZE 24
/* One selector: all of `parts` hold; "~" before a part: it does not. */
struct style_scope {
    char parts[4][STYLE_SCOPE_SIZE];
    size_t n;
};

struct style_rule {
    char name[96];
    char *message, *link;
    enum style_kind kind;
    enum style_level level;
    struct style_scope scopes[STYLE_SCOPES];
    size_t scopes_n;
    bool sentences, raw;          /* of the scopes */
    pcre2_code *code, *second;
    pcre2_code *exceptions;       /* a match that it matches whole is none */
    char **replacements;          /* substitution: one a group; consistency: none */
    size_t replacements_n;
    int min, max;
    bool ignorecase, alpha;
    bool remove;   /* action: remove */
    char *replace; /* action: replace, its one parameter; NULL */
    enum style_match match;
    char **indicators;
    size_t indicators_n;
    double threshold, grade;
    unsigned metrics;
};

struct style {
    char name[64];
    struct style_rule *rules;
    size_t n, room;
    char **unsupported;
    size_t unsupported_n;
};

/* ---- blocks ---- */

enum style_block_kind {
    STYLE_PARAGRAPH,
    STYLE_HEADING,
    STYLE_LIST,
    STYLE_QUOTE,
    STYLE_TABLE,
    STYLE_RAW
};

struct style_block {
    enum style_block_kind kind;
    int level;      /* of a heading */
    char *text;     /* what a reader sees, NUL-terminated */
    uint32_t *from; /* where each byte of it stands in the source; n + 1 of them */
    size_t n;
};
struct style_blocks {
    struct style_block *items;
    size_t n, room;
};
void style_blocks_read(const char *text, size_t n, bool markdown, struct style_blocks *out);
void style_blocks_done(struct style_blocks *b);
/* End of the sentence that begins at s[at); n for the last. */
size_t style_sentence_end(const char *s, size_t n, size_t at);

/* ---- rules ---- */

/* NULL with a fault at `line` when it does not compile. */
pcre2_code *style_pattern(const char *pattern, bool ignorecase, int line,
                          struct config_faults *faults);
bool style_scope_holds(const struct style_rule *r, const struct style_block *b);

struct style_run {
    const struct style_rule *rule;
    const char *source;
    size_t source_n;
    struct style_alerts *out;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};
/* A match of s[0..n) from `at`: true with ovector in run->data. */
bool style_next(struct style_run *run, const pcre2_code *code, const char *s, size_t n, size_t at);
/* An alert over bytes [from, to) of the block; %s of the message are instead (when not NULL) and
   match. */
void style_alert_add(struct style_run *run, const struct style_block *b, size_t from, size_t to,
                     const char *instead, const char *match);
bool style_is_exception(struct style_run *run, const char *s, size_t n);
void style_capitals(struct style_run *run, const struct style_block *b);
void style_readability(struct style_run *run, const struct style_blocks *all);
