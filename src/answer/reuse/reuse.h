/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reuse: what was answered before, inside one trust domain (team + dataset + label).
 *
 * Three ways, each recorded with what it was reused from. Exact: the same canonical request under
 * the same releases. Template: a document of a repeated layout, whose fields are read where at
 * least REUSE_CONFIRM confirmed documents had them; every value is a span of the new document or a
 * typed transform of one. Semantic, where a workflow opts in: another request that says the same by
 * the rules of reuse_guard, whatever its cosine. What is reused can be revoked with all that came
 * of it, and what a person's requests left here can be erased.
 *
 * Owns: tables reuse, reuse_example, reuse_template, reuse_source, reuse_semantic, reuse_hit,
 * reuse_revoked. Threads: pure functions, and store functions on their connection's thread.
 * Limits: the REUSE_* below; what is beyond one is not reused, never cut.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"

#define REUSE_MAX_FIELDS 16
#define REUSE_CONFIRM 3            /* confirmed documents before a field is read from an anchor */
#define REUSE_DOC_BYTES 16384      /* of a document whose layout is learned */
#define REUSE_DOC_LINES 200
#define REUSE_LINE_TOKENS 160
#define REUSE_LEARN_DOCS 64        /* the newest confirmed ones of a stream */
#define REUSE_TEMPLATES 16         /* of one stream (domain and workflow); the least used goes */
#define REUSE_TEMPLATE_BYTES 65536 /* of one template as bytes */
#define REUSE_SEMANTIC_ROWS 1024   /* of one stream; the oldest goes */
#define REUSE_SEMANTIC_COSINE 0.80 /* below it two requests are not even compared */
#define REUSE_GUARD_TEXT 2000      /* bytes of a request that the guard reads */
#define REUSE_EXACT_ROWS 200000    /* in all; those used longest ago go */
#define REUSE_REACH 4096           /* answers that one revocation follows */

/* ---- exact ---- */

struct reuse_key {
    uint8_t bytes[32];
};

/* SHA-256 over length-prefixed parts; a part may be NULL (told apart from empty). Length prefixes
   keep ("ab","c") and ("a","bc") apart. */
void reuse_key_make(const char *const *parts, size_t n, struct reuse_key *out);
/* The text as it counts for a key: line ends as \n, no white space at the ends of lines or of the
   text. In the arena. Nothing else is folded: case and inner spaces may mean something. */
char *reuse_canonical(struct arena *arena, const char *text);

/* ---- whose, and where ---- */

/* The stream a row belongs to. Rows of different scopes never meet. Borrowed during the call. */
struct reuse_scope {
    const char *domain;   /* the whole trust domain: team/dataset/label */
    const char *workflow;
    const char *release;  /* of the definition; semantic: of all that takes part, one digest */
};
/* Whose request it was: what erasing a person looks for. */
struct reuse_owner {
    const char *team, *actor;
};
enum reuse_how { REUSE_EXACT = 1, REUSE_TEMPLATE = 2, REUSE_SEMANTIC = 3 };
const char *reuse_how_name(enum reuse_how how); /* "exact", "template", "semantic" */
/*
 * How sure a reused field is. Exact: 1. The others by the rule of succession on a prior of so many
 * checked readings without an error: 1 - 1 / (50 + confirmed) for a template's anchor (at least
 * 0.98), 0.95 for a semantic hit; an overturned one revokes its source instead of lowering this.
 */
double reuse_confidence(enum reuse_how how, size_t confirmed);

/* ---- templates: pure ---- */

/* A document that was answered and not overturned, with its fields. */
struct reuse_doc {
    struct id task;
    const char *text;
    size_t len;
    size_t n;
    const char *names[REUSE_MAX_FIELDS];
    const char *values[REUSE_MAX_FIELDS]; /* "": it has none; NULL: not confirmed */
};

/* How a value comes from its span. */
enum reuse_transform {
    REUSE_VERBATIM,
    REUSE_LOWER,  /* "CRITICAL" -> "critical" */
    REUSE_UPPER,
    REUSE_LABEL,  /* "In Progress" -> "in_progress" */
    REUSE_NUMBER, /* "1.234,50" -> "1234.50": grouping and decimal mark as learned */
    REUSE_AMOUNT, /* "EUR 1.234,50" -> "1234.50 EUR" */
    REUSE_DATE,   /* "3.11.2026", "3 Nov 2026" -> "2026-11-03": order as learned */
    REUSE_TRANSFORM_COUNT
};
const char *reuse_transform_name(enum reuse_transform t); /* "verbatim", "lower", ... */

struct reuse_template;
void reuse_template_free(struct reuse_template *t); /* NULL is fine */

/*
 * Groups documents of one stream by layout and makes a template of each group of REUSE_CONFIRM or
 * more in which at least one field is found: what stands in every one of them is constant text,
 * what differs is a slot. A field is anchored at a slot (or a stretch of a line) only if the same
 * transform gives the confirmed value in every document that has the line, in REUSE_CONFIRM or
 * more, and with two different values at least, unless the line's own label names the field. The
 * caller owns out[0..returned). At most `max`. Costs about 1 ms a document: a crunch thread's work.
 */
size_t reuse_templates_learn(const struct reuse_doc *docs, size_t n, struct reuse_template **out,
                             size_t max);
/* How many documents it was learned from; task of the i-th. */
size_t reuse_template_sources(const struct reuse_template *t);
struct id reuse_template_source(const struct reuse_template *t, size_t i);
/* How many fields it can fill; name of the i-th. */
size_t reuse_template_fields(const struct reuse_template *t);
const char *reuse_template_field(const struct reuse_template *t, size_t i);
/* SHA-256 hex over its bytes without its sources: equal layouts are one template. */
void reuse_template_hash(const struct reuse_template *t, char hex[65]);
/* As bytes and back; reading trusts nothing but its own bytes. */
bool reuse_template_write(const struct reuse_template *t, struct buf *out);
MUST_CHECK enum fail reuse_template_read(const void *bytes, size_t n, struct reuse_template **out,
                                         struct fault *why);

enum reuse_fit {
    REUSE_FIT_NONE,    /* another kind of document */
    REUSE_FIT_CHANGED, /* this layout, changed: refused, and `note` says where */
    REUSE_FIT_WHOLE
};
struct reuse_fill {
    const char *name;  /* arena */
    const char *value; /* arena */
    enum reuse_transform transform;
    size_t at, len;    /* the span of the document that it was read from, in bytes */
    size_t line;       /* from 1 */
    size_t confirmed;  /* documents that confirmed this anchor */
};
struct reuse_match {
    enum reuse_fit fit;
    double alike;      /* share of the template's constant lines that the document has, 0..1 */
    char note[160];    /* why it was refused, or which fields were left open and why; no text of
                          the document */
    size_t n;
    struct reuse_fill fills[REUSE_MAX_FIELDS];
};
/* Every constant line must stand in its place and no unknown line beside them; then each anchor is
   read. A field whose anchors disagree, whose span could be cut in two ways, or whose value looks
   unlike the confirmed ones is left open. Pure; under 1 ms for a page. */
void reuse_template_match(const struct reuse_template *t, const char *text, size_t len,
                          struct arena *arena, struct reuse_match *out);

/* ---- semantic: the typed-slot guard, pure ---- */

enum reuse_verdict {
    REUSE_SAME,
    REUSE_NOT_LANGUAGE, /* another language, or one whose words the guard does not know */
    REUSE_NOT_NUMBER,   /* numbers, dates, amounts, ids and their order */
    REUSE_NOT_POLARITY, /* not, without, un-: another count of negations */
    REUSE_NOT_QUESTION, /* how, where, when, why, whether; or a question and a statement */
    REUSE_NOT_PERSON,   /* my and your, he and she */
    REUSE_NOT_TIME,     /* was, is, will; can, must */
    REUSE_NOT_WORDS,    /* a word of content that the other does not say */
    REUSE_NOT_ORDER,    /* the same words in another order: from A to B */
    REUSE_NOT_SHORT,    /* nothing to compare, or too long */
    REUSE_VERDICT_COUNT
};
const char *reuse_verdict_name(enum reuse_verdict v); /* "same", "language", "number", ... */
/*
 * May the answer to b be given for a? Every word counts unless it is listed as saying nothing here
 * (greetings, politeness, articles, the frame of a question); so opposites, names and products
 * differ because their words do. Spelling variants and a short list of exact synonyms are equal.
 * reuse_guard(a, b) is SAME exactly when reuse_guard(b, a) is.
 */
enum reuse_verdict reuse_guard(const char *a, size_t a_len, const char *b, size_t b_len);

/* ---- what was answered: rows ---- */

struct reuse_entry {
    struct id task; /* where the answer was first given */
    size_t n;
    const char *names[REUSE_MAX_FIELDS];
    const char *values[REUSE_MAX_FIELDS];
    const char *draft; /* JSON, "" when none */
    bool waits;        /* for a person: not reused before the decision */
};

/* *found says whether there is one; strings are in `arena`. */
MUST_CHECK enum fail reuse_find(struct store_conn *conn, const struct reuse_key *key,
                                struct arena *arena, struct reuse_entry *out, bool *found,
                                struct fault *why);
/* The first answer under a key stays, but for one that waits. Nothing is kept of a task that was
   revoked. The key must hold the domain. Over REUSE_EXACT_ROWS the ones used longest ago go. */
MUST_CHECK enum fail reuse_put(struct store_tx *tx, const struct reuse_key *key, const char *domain,
                               const struct reuse_owner *owner, const struct reuse_entry *entry,
                               struct fault *why);
/* An exact hit: notes that the row was used, once a day. */
MUST_CHECK enum fail reuse_use(struct store_tx *tx, const struct reuse_key *key, struct fault *why);

/* ---- repeated documents: rows ---- */

/* Is it worth learning a layout from: three lines or more, within the limits? Pure. */
bool reuse_is_document(const char *text, size_t len);
/* A document that was answered, with the fields its rungs closed (none of them reused): the newest
   REUSE_LEARN_DOCS of a stream are kept. Its text is the task's content (AUDIT_PART_INPUT). */
MUST_CHECK enum fail reuse_example_put(struct store_tx *tx, const struct reuse_scope *scope,
                                       const struct reuse_owner *owner,
                                       const struct reuse_entry *entry, struct fault *why);
/*
 * A person decided the task's artifact: entry holds every field as decided. overturned: one that
 * the task had closed was changed (rows whose values differ count as that, too). Then the task's
 * answers are no longer reused, and the templates that filled its fields are gone. Else a row that
 * waited is reused from now on, with the values as decided. rejected: nothing of it is kept. A task
 * that left no row here is fine.
 */
MUST_CHECK enum fail reuse_decide(struct store_tx *tx, const struct reuse_entry *entry,
                                  bool overturned, bool rejected, struct fault *why);

struct audit;
struct reuse_learned {
    struct reuse_template *made[REUSE_TEMPLATES];
    size_t n;
    size_t documents; /* read */
};
void reuse_learned_done(struct reuse_learned *l);
/* Reads the stream's documents and learns: up to about 100 ms. On a crunch thread with a reader of
   its own. */
MUST_CHECK enum fail reuse_stream_learn(struct store_conn *conn, struct audit *audit,
                                        const struct reuse_scope *scope, struct reuse_learned *out,
                                        struct fault *why);
/* Stores what is new and drops, over REUSE_TEMPLATES, those used longest ago. One learned from a
   document that was revoked or erased meanwhile is left out. *stored may be NULL. */
MUST_CHECK enum fail reuse_stream_put(struct store_tx *tx, const struct reuse_scope *scope,
                                      const struct reuse_learned *l, size_t *stored,
                                      struct fault *why);
/* The stream's templates against a document: the fills of those that fit wholly, where they agree;
   else the nearest one's reason. *from: the template with the most fills, zero for none. */
MUST_CHECK enum fail reuse_stream_match(struct store_conn *conn, const struct reuse_scope *scope,
                                        const char *text, size_t len, struct arena *arena,
                                        struct reuse_match *out, struct id *from,
                                        struct fault *why);

/* ---- requests that say the same: rows ---- */

/* vector: dim floats of length 1, of the task's input. The newest REUSE_SEMANTIC_ROWS stay. */
MUST_CHECK enum fail reuse_semantic_put(struct store_tx *tx, const struct reuse_scope *scope,
                                        const struct reuse_owner *owner, const float *vector,
                                        size_t dim, const struct reuse_entry *entry,
                                        struct fault *why);
/* The nearest of the stream whose text the guard takes for the same request, among the eight
   nearest over REUSE_SEMANTIC_COSINE. *why_not: what kept the nearest one out, REUSE_SAME when none
   was near. Reads at most REUSE_SEMANTIC_ROWS vectors (about 1 ms). */
MUST_CHECK enum fail reuse_semantic_find(struct store_conn *conn, struct audit *audit,
                                         const struct reuse_scope *scope, const float *vector,
                                         size_t dim, const char *text, size_t len,
                                         struct arena *arena, struct reuse_entry *out,
                                         double *cosine, bool *found, enum reuse_verdict *why_not,
                                         struct fault *why);

/* ---- where it came from, and taking it back ---- */

struct reuse_hit {
    struct id task;
    const char *field; /* "": all of them */
    enum reuse_how how;
    struct id source;  /* a task, or a template's id */
    double similarity; /* 1 for exact and template, the cosine for semantic */
};
MUST_CHECK enum fail reuse_hit_put(struct store_tx *tx, const struct reuse_hit *hit,
                                   const struct reuse_owner *owner, struct fault *why);

/* What one revocation or erasure reached. Ids are in the arena given. */
struct reuse_reach {
    struct id *tasks; /* answers: the one itself, then those reused from it, nearest first */
    size_t tasks_len;
    size_t rows;      /* exact and semantic rows deleted */
    size_t examples;
    struct id *templates;
    size_t templates_len;
    bool cut; /* over REUSE_REACH: run it again */
};
/* Takes an answer back, with every answer and template that came of it, however many steps away:
   none of them is reused any more. Twice is fine. Inside a write. */
MUST_CHECK enum fail reuse_revoke(struct store_tx *tx, const struct id *task, struct arena *arena,
                                  struct reuse_reach *out, struct fault *why);
/* *revoked: was this answer taken back? *root: with which one. */
MUST_CHECK enum fail reuse_revoked(struct store_conn *conn, const struct id *task, bool *revoked,
                                   struct id *root, struct fault *why);
/* Deletes exact and semantic rows of every trust domain that `is` says yes to: what they were
   answered from is gone. Reads each domain once. */
typedef bool (*reuse_domain_fn)(void *arg, const char *team, const char *domain);
MUST_CHECK enum fail reuse_forget(struct store_tx *tx, reuse_domain_fn is, void *arg,
                                  struct fault *why);
/* Deletes what this person's requests left here: exact and semantic rows, documents, hits, and each
   template that was learned from one of them; rows from before owners were noted go too. tasks
   stays empty. The caller truncates the store's log afterwards. */
MUST_CHECK enum fail reuse_erase(struct store_tx *tx, const char *team, const char *actor,
                                 struct arena *arena, struct reuse_reach *out, struct fault *why);
