/* SPDX-License-Identifier: Apache-2.0 */
/* Reuse, inside: lines and tokens of a document, typed values, and a template's own shape. */
#pragma once

#include "answer/reuse/reuse.h"

#define REUSE_LINE_ELEMS 96
#define REUSE_ANCHORS 4 /* of one field */

/* ---- value.c: typed values ---- */

enum value_form { VALUE_KEEP, VALUE_STRIP, VALUE_TWO, VALUE_FORM_COUNT }; /* digits of a fraction */
enum value_order { VALUE_YMD, VALUE_DMY, VALUE_MDY, VALUE_ORDER_COUNT };

struct value_rule {
    uint8_t transform; /* enum reuse_transform */
    /* NUMBER, AMOUNT: '.' or ',' before the fraction; 0: unproven, both must agree */
    uint8_t mark;
    uint8_t form;  /* NUMBER, AMOUNT: enum value_form */
    uint8_t order; /* DATE: enum value_order; VALUE_ORDER_COUNT: unproven, as with mark */
};
/* The i-th of all rules, safest first; false after the last. */
bool reuse_value_rule(size_t i, struct value_rule *out);
/* Reads s[0..n) by the rule: the value into out, and which bytes of s it is from. False when there
   is none, or more than one, of its kind. */
bool reuse_value_apply(const struct value_rule *rule, const char *s, size_t n, char *out,
                       size_t room, size_t *at, size_t *len);
#define REUSE_VALUE_ROOM 512

/* 1..12 for the name of a month in English or German, else 0. */
int reuse_month(const char *s, size_t n);

/* ---- lines.c: a document as lines of tokens ---- */

enum token_kind { TOKEN_WORD, TOKEN_PUNCT, TOKEN_OPEN }; /* OPEN: digits, addresses, months */
struct doc_token {
    uint32_t at, len;
    uint8_t kind;
};
struct doc_line {
    uint32_t at, len;
    uint32_t number; /* from 1, blank lines counted */
    struct doc_token *tokens;
    size_t n;
    size_t label;    /* tokens of a leading "words:", 0 when there is none */
};
struct doc {
    const char *text;
    struct doc_line *lines; /* without blank ones */
    size_t n;
};
/* False when it is over a limit or empty. Everything is in the arena. */
bool reuse_doc_read(const char *text, size_t len, struct arena *arena, struct doc *out);
bool reuse_tokens_equal(const char *a, const struct doc_token *x, const char *b,
                        const struct doc_token *y);

/* ---- a template ---- */

struct elem {
    char *text;   /* constant token; NULL: a slot */
    bool empty;   /* slot: may hold nothing */
    bool open;    /* slot: stands for a token that is open by kind in every document */
};
enum line_kind {
    LINE_FIXED,    /* stands in every document */
    LINE_OPTIONAL, /* in some */
    LINE_REPEAT,   /* rows (reuse_is_row), one or more */
    LINE_FREE      /* any lines, or none: what differs in number and words */
};
struct tline {
    uint8_t kind;
    uint32_t seen;  /* documents that have it */
    uint32_t most;  /* FREE, REPEAT: lines seen at once */
    struct elem *elems;
    size_t n;
    size_t label;   /* elements of a leading constant "words:" */
};
struct anchor {
    uint32_t line;
    uint32_t from, to; /* elements, inclusive */
    struct value_rule rule;
    uint32_t confirmed;
    uint32_t classes;  /* kinds of characters seen in its spans */
    uint32_t puncts[4]; /* bitmap of ASCII punctuation seen */
    uint32_t most_tokens;
};
struct tfield {
    char *name;
    struct anchor anchors[REUSE_ANCHORS];
    size_t n;
};
struct reuse_template {
    struct tline *lines;
    size_t n;
    struct tfield fields[REUSE_MAX_FIELDS];
    size_t fields_len;
    struct id *sources;
    size_t sources_len;
};

/* Where the elements of a line pattern lie in a line. */
struct line_fit {
    uint32_t from[REUSE_LINE_ELEMS], to[REUSE_LINE_ELEMS]; /* tokens, [from, to) */
    bool two_ways[REUSE_LINE_ELEMS]; /* it could also be cut otherwise */
};
/* match.c. fit may be NULL: only whether it fits. */
bool reuse_line_fit(const struct tline *t, const struct doc *d, const struct doc_line *line,
                    struct line_fit *fit);
/* Which document line each template line stands at (UINT32_MAX: none), and whether it is the only
   way. False when the document does not fit; *stuck is the first document line that fits nowhere
   (n: a template line is missing). */
struct doc_fit {
    uint32_t *at;   /* of each template line */
    bool *two_ways;
    size_t stuck;
    size_t missing; /* the template line that stood there */
};
bool reuse_doc_fit(const struct reuse_template *t, const struct doc *d, struct arena *arena,
                   struct doc_fit *out);
/* The bytes of elements [from, to] of a fitted line. */
void reuse_span(const struct doc_line *line, const struct line_fit *fit, uint32_t from, uint32_t to,
                size_t *at, size_t *len);
/* What kinds of characters s is made of. */
void reuse_classes(const char *s, size_t n, uint32_t *classes, uint32_t puncts[4],
                   uint32_t *tokens);
enum { CLASS_DIGIT = 1, CLASS_LETTER = 2, CLASS_SPACE = 4, CLASS_OTHER = 8 };
/* A line of a list or table: no label, and it begins with a number or a sign or holds two
   numbers. */
bool reuse_is_row(const struct doc *d, const struct doc_line *line);
/* align.c. The line as a pattern of itself; a pattern that fits what p fits and the line. */
void reuse_line_begin(const struct doc *d, const struct doc_line *line, struct arena *arena,
                      struct tline *out);
void reuse_line_merge(const struct tline *p, const struct doc *d, const struct doc_line *line,
                      struct arena *arena, struct tline *out);
/* t and one more document as a template without fields, in the arena; row[j]: line j is one of a
   table's rows. False when it is over a limit. */
bool reuse_template_merge(const struct reuse_template *t, const struct doc *d, const bool *row,
                          struct arena *arena, struct reuse_template *out);
/* blob.c */
void reuse_elems_free(struct tline *line);

/* ---- rows ---- */

#define REUSE_FIELDS_BYTES ((size_t)256 * 1024)
/* reuse.c: names and values of an entry as bytes; false over REUSE_FIELDS_BYTES. */
bool reuse_fields_write(const struct reuse_entry *entry, struct buf *out);
MUST_CHECK enum fail reuse_fields_read(const uint8_t *data, size_t len, struct arena *arena,
                                       struct reuse_entry *out, struct fault *why);
/* revoke.c */
MUST_CHECK enum fail reuse_template_drop(struct store_tx *tx, const struct id *template,
                                         struct fault *why);
