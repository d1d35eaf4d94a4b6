/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/formats: what a test report holds, the same for every dialect. A dialect's reader fills
 * the list, tests.c says it as frames (run/document/document_tests.def). Strings lie in the arena.
 * Owns: the lists. Threads: one. Limits: the sink's; TESTS_KEEP of a text, TESTS_OUTPUT of output.
 */
#pragma once

#include "worker/formats/formats_internal.h"

#define TESTS_KEEP (64u * 1024)  /* of a name, message or trace: its begin */
#define TESTS_OUTPUT (4u * 1024) /* of what a test printed: its end */
#define TESTS_NAMES " testsuites, testsuite, test-run, test-results, assemblies or TestRun"

enum tests_state { TESTS_PASSED, TESTS_FAILED, TESTS_ERROR, TESTS_SKIPPED };

/* Counts that a suite or the run claims; -1: it does not say. */
struct tests_claim {
    int64_t tests, failures, errors, skipped, disabled;
};

struct tests_attempt {
    enum tests_state state;
    const char *type, *message, *trace; /* NULL: none */
    int64_t us;                         /* -1: unknown */
};

struct tests_case {
    const char *name, *class_name, *display, *file; /* NULL: none */
    const char *type, *message, *trace, *output;
    enum tests_state state;
    int64_t us;   /* -1: unknown */
    int64_t line; /* of file; 0: unknown */
    bool flaky;   /* the report says so */
    uint32_t suite;
    uint32_t at_line; /* of the report */
    size_t begin, end;
    struct tests_attempt *attempts;
    size_t attempts_len, attempts_room;
};

struct tests_suite {
    const char *name, *file;
    const char *message, *trace; /* it failed itself, beside its cases */
    uint32_t parent;             /* 0: none */
    struct tests_claim claim;
    int64_t us;
    uint32_t at_line;
    uint32_t part; /* the member of a zip */
};

struct tests {
    struct sink *out;
    struct arena *arena;
    struct tests_suite *suites; /* numbered from 1: [0] is the run itself */
    size_t suites_len, suites_room;
    struct tests_case *cases;
    size_t cases_len, cases_room;
    const char *dialect, *tool, *started; /* of the last report */
    uint32_t cut;                         /* texts that were cut */
};

/* The number of a new suite. */
uint32_t tests_add_suite(struct tests *t, uint32_t parent, const char *name, uint32_t at_line);
/* Valid until the next one is added. */
struct tests_case *tests_add_case(struct tests *t, uint32_t suite, const char *name,
                                  uint32_t at_line);
struct tests_attempt *tests_add_attempt(struct tests *t, struct tests_case *c,
                                        enum tests_state state);
/* Cleaned, cut at TESTS_KEEP; NULL for what is blank. Fails the sink where memory ends. */
const char *tests_keep(struct tests *t, const char *text, size_t len);
const char *tests_keep_str(struct tests *t, const char *text); /* NULL: NULL */
/* Two texts with a line between them; either may be NULL. */
const char *tests_join(struct tests *t, const char *a, const char *b);
/* The end of a text, TESTS_OUTPUT at most. */
const char *tests_tail(struct tests *t, const char *text, size_t len);
/* Seconds, "1.5", "1,234.5", "0,25": microseconds; -1 for what is no time. */
int64_t tests_seconds(const char *text);
/* Microseconds of a number of milliseconds; -1 when it is below 0 or too large. */
int64_t tests_from_ms(double ms);
int64_t tests_number(const char *text); /* -1: none */

/* ---- the dialects ---- */

enum fail tests_read_xml(struct tests *t, const char *text, size_t len);
enum fail tests_read_json(struct tests *t, const char *text, size_t len);
/* Go's and Dart's: an object a line. *is_any: there was one. */
enum fail tests_read_lines(struct tests *t, const char *text, size_t len, bool *is_any);

/* ---- XML as a tree, for dialects whose parts refer to one another ---- */

struct tests_attribute {
    const char *name, *value;
};
struct tests_node {
    const char *name; /* without its prefix */
    const struct tests_attribute *attributes;
    size_t attributes_len;
    const char *text; /* NULL: none but white space; of output elements the end */
    const struct tests_node *child, *next; /* the first child; the next sibling */
    uint32_t line;
    size_t begin, end;
};
/* NULL after a failure. */
const struct tests_node *tests_tree_read(struct tests *t, const char *text, size_t len);
/* NULL: there is none, or it is blank. */
const char *tests_attribute_find(const struct tests_node *n, const char *name);
const struct tests_node *tests_child_find(const struct tests_node *n, const char *name);
const char *tests_child_text(const struct tests_node *n, const char *name);
bool tests_is(const struct tests_node *n, const char *name);

void tests_read_junit(struct tests *t, const struct tests_node *root);
void tests_read_nunit(struct tests *t, const struct tests_node *root);
void tests_read_xunit(struct tests *t, const struct tests_node *root);
void tests_read_trx(struct tests *t, const struct tests_node *root);
