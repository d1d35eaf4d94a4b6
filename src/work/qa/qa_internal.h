/* SPDX-License-Identifier: Apache-2.0 */
/* QA: what its files share. Threads: none. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "work/qa/qa.h"

#define QA_NAME_MAX 120u
#define QA_STRIP_MAX 32

/* Where a rule looks. */
enum {
    QA_IN_MESSAGE = 1,
    QA_IN_TRACE = 2,
    QA_IN_TYPE = 4,
    QA_IN_OUTPUT = 8,
    QA_IN_TEST = 16,
    QA_IN_FILE = 32,
};

struct qa_rule {
    char *name, *cause; /* an owner's rule: owner in cause */
    pcre2_code *match;
    unsigned in;
    unsigned states; /* bits of enum qa_state; 0: failed and error */
    int line;
};

struct qa_options {
    struct qa_rule rules[QA_RULES_MAX], owners[QA_RULES_MAX];
    size_t rules_len, owners_len;
    char *strip[QA_STRIP_MAX]; /* folders that paths of a report begin with */
    size_t strip_len;
    char *soft[QA_STRIP_MAX]; /* causes that do not block */
    size_t soft_len;
    int64_t flips, window;
    bool reruns;
    double slower_ratio, slower_spread;
    int64_t slower_us;
};

/* ---- text.c ---- */

/* The line of a failure that says most; "" when there is none. In the arena. */
const char *qa_headline(struct arena *a, const char *type, const char *message, const char *trace);
/* Numbers, addresses, ids, times and folders taken out: what stays the same from run to run. */
void qa_normalise(const char *s, size_t n, struct buf *out);
/* 16 hex digits of what failed: type, normalised headline and, with_frame, the first frame. */
const char *qa_fingerprint(struct arena *a, const struct qa_case *c, const char *headline,
                           bool with_frame);
/* file:line of a failure: the report's, else the first frame that is not a framework's. */
struct qa_place qa_find_place(struct arena *a, const struct qa_options *o, const struct qa_case *c);
/* With "/" and without the scheme, the folders of `strip` and "./". */
const char *qa_tidy_path(struct arena *a, const struct qa_options *o, const char *path, size_t n);
/* One line of at most n bytes (whole characters), "…" where it was cut. */
const char *qa_one_line(struct arena *a, const char *s, size_t n);

/* ---- options.c ---- */

/* Does the rule match a case? Bounded; a pattern that takes too long does not. */
bool qa_rule_matches(const struct qa_rule *r, const struct qa_case *c, const char *shown,
                     const char *file);

/* ---- groups.c ---- */

void qa_group_failures(struct qa_result *r, const struct qa_options *o);
void qa_judge(struct qa_result *r, const struct qa_options *o);

/* ---- slower.c ---- */

void qa_find_slower(struct qa_result *r, const struct qa_options *o);
