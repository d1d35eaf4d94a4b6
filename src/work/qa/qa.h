/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QA: a run of tests against the runs before it. Reports (read by the sealed reader, format
 * "tests") become a run; runs are compared: what broke, what is fixed, what goes on failing, what
 * flickers, what grew slow, what came and went; failures are grouped by cause; and what is said of
 * it all is said in sentences that are checked against the run they speak of.
 *
 * docs/reference/qa-regression.md says how each word is decided. Pure but for program.c, which is
 * the workflow. Owns: what it returns, each until its _free. Strings are never NULL, "" where there
 * is none, unless it is said. Threads: none of its own; nothing blocks.
 * Limits: QA_CASES_MAX cases a run, QA_RUNS_MAX runs, QA_RULES_MAX rules, QA_OWNERS_MAX lines of
 * CODEOWNERS; a text is looked at up to QA_LOOK bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "run/document/document.h"

#define QA_CASES_MAX 1000000u
#define QA_RUNS_MAX 64
#define QA_RULES_MAX 200
#define QA_OWNERS_MAX 20000
#define QA_LOOK (16u * 1024)
#define QA_ARENA_MAX ((size_t)768 << 20)

/* ---- a run ---- */

enum qa_state { QA_PASSED, QA_FAILED, QA_ERROR, QA_SKIPPED, QA_STATE_COUNT };
const char *qa_state_name(enum qa_state s); /* "passed", "failed", "error", "skipped" */
/* failed or error */
bool qa_is_failing(enum qa_state s);

struct qa_attempt {
    enum qa_state state;
    int64_t us; /* -1: unknown */
    const char *type, *message, *trace;
};

struct qa_case {
    const char *name, *class_name, *display, *file;
    const char *type, *message, *trace, *output;
    enum qa_state state;
    bool flaky;      /* the report says so */
    int64_t us;      /* -1: unknown */
    int64_t line;    /* of file, 0: unknown */
    uint32_t suite;  /* of the run; [0] is the first report itself */
    uint32_t report; /* of the run */
    uint32_t at_line; /* of the report */
    const struct qa_attempt *attempts;
    size_t attempts_len;
};

/* What a suite or report claims to hold; -1: it does not say. */
struct qa_claim {
    int64_t tests, failures, errors, skipped, disabled;
};
struct qa_suite {
    const char *name, *message, *trace; /* message or trace: it failed itself */
    uint32_t report, parent;            /* parent 0: a report, which is its own */
    bool is_report;
    struct qa_claim claim;
    struct qa_claim held; /* what its cases come to, those of its suites included */
    bool leaf;            /* has cases, or no suites */
    int64_t us;
    uint32_t at_line;
};
struct qa_report {
    const char *name, *dialect, *tool, *started;
    uint32_t suite; /* that stands for it */
};

/* All cases of one class and name: a test is one however often it was tried. */
struct qa_test {
    const char *name, *class_name;
    const char *shown;           /* "class.name", unique in the run */
    const struct qa_case *worst; /* that decided its state: error, failed, passed, skipped */
    enum qa_state state;
    bool flaky; /* tried in one place more than once, with and without success */
    const char *flaky_why;
    int64_t us; /* of all its cases; -1 unknown */
    uint32_t first, count; /* of qa_run.order */
};

struct qa_counts {
    int64_t suites, tests, passed, failed, errors, skipped, flaky, cases, us;
    bool claimed; /* no case is listed: the report's own counts */
};
/* A suite or report whose claim its cases do not bear out. */
struct qa_disagreement {
    const struct qa_suite *suite;
    const char *what; /* "tests" */
    int64_t claimed, held;
};

struct qa_run {
    struct arena *arena;
    const char *name;
    struct qa_report *reports;
    size_t reports_len;
    struct qa_suite *suites;
    size_t suites_len;
    struct qa_case *cases;
    size_t cases_len;
    uint32_t *order;       /* case indexes, test by test */
    struct qa_test *tests; /* by shown */
    size_t tests_len;
    struct qa_counts counts;
    struct qa_disagreement *disagreements;
    size_t disagreements_len;
    size_t reports_room, suites_room, cases_room;
};

struct qa_run *qa_run_new(const char *name);
void qa_run_free(struct qa_run *run); /* accepts NULL */
/* Adds a report (a document of format "tests"); its strings are copied. FAIL_TOO_LARGE. */
MUST_CHECK enum fail qa_run_add(struct qa_run *run, const struct document *d, const char *name,
                                struct fault *why);
/* After the last report: tests, counts, disagreements. reruns: reports are tries of one another
   (else parts, or other places, of one run). */
MUST_CHECK enum fail qa_run_end(struct qa_run *run, bool reruns, struct fault *why);
/* NULL: there is none of that class and name. */
const struct qa_test *qa_run_find(const struct qa_run *run, const char *shown);

/* ---- options: the team's YAML ---- */

struct qa_options;
/* map may be NULL: the defaults, without rules. Faults carry their lines. */
struct qa_options *qa_options_read(const struct config_node *map, struct config_faults *faults);
void qa_options_free(void *options); /* accepts NULL */
bool qa_options_reruns(const struct qa_options *o);

/* ---- owners ---- */

struct qa_owners;
/* CODEOWNERS (GitHub's and GitLab's): the last line that matches wins; sections' defaults too.
   What cannot be read is left out and counted. */
struct qa_owners *qa_owners_read(const char *text, size_t len);
void qa_owners_free(struct qa_owners *owners); /* accepts NULL */
/* The line that owns the path; NULL: nobody. *line is its number. */
const char *qa_owners_find(const struct qa_owners *owners, const char *path, int *line);
/* Does a pattern of CODEOWNERS (as of gitignore, without "!" and "[]") match the path? */
bool qa_path_matches(const char *pattern, const char *path);

/* ---- the comparison ---- */

/* One class a test, the first that fits. mizchi/flaker's names, and ours for what it has none. */
enum qa_class {
    QA_NEW_FAILURE,      /* fails, and passed, was skipped or was not there in the run before */
    QA_FAILING,          /* fails; there is no run to compare with */
    QA_PERSISTENT,       /* failed before as well */
    QA_NEW_FLAKY,        /* with and without success in this run, or back and forth over the runs */
    QA_PERSISTENT_FLAKY, /* and it was so before */
    QA_FIXED,
    QA_RESOLVED_FLAKY,
    QA_NEW_SKIPPED, /* ran before */
    QA_UNSKIPPED,   /* runs again, and passed */
    QA_SLOWER,
    QA_ADDED,
    QA_REMOVED,
    QA_SAME,
    QA_CLASS_COUNT
};
const char *qa_class_name(enum qa_class c);  /* "new_failure" */
const char *qa_class_title(enum qa_class c); /* "New failures" */

struct qa_place {
    const char *file; /* repository-relative where it can be told; "" unknown */
    int64_t line;     /* 0: unknown */
    const char *how;  /* "report", "stack trace" */
};

struct qa_change {
    enum qa_class class;
    const struct qa_test *now;    /* NULL: removed */
    const struct qa_test *before; /* of the last run that had it; NULL: none had */
    bool flaky;                   /* whatever its class */
    const char *flaky_why;        /* "1 of its 3 tries in this run did not pass" */
    const char *headline;         /* the line of a failure that says most */
    struct qa_place place;
    uint32_t group;               /* of qa_result.groups; UINT32_MAX: it does not fail */
    const char *owner, *owner_why;
    unsigned runs, failures;      /* runs before that ran it, and in how many of them it failed */
    int64_t usual_us, limit_us;   /* slower: what it took, and what was expected at most */
};

/* Failures of one cause. */
struct qa_group {
    const char *name;  /* of the rule, else the headline */
    const char *cause; /* "infrastructure", "timeout", ...; "unknown" without a rule */
    const char *rule;  /* "" without one */
    const char *fingerprint; /* 16 hex digits: the same over runs */
    const char *headline;
    const uint32_t *changes; /* of qa_result.changes */
    size_t count, fresh;     /* how many of them are new failures */
    bool is_new;             /* no test failed like this in the runs before */
    const char *owner;       /* of most; "" */
    const char *said;        /* a model's name for it that held, "" */
};

enum qa_verdict { QA_FINE, QA_ATTENTION, QA_BLOCKED };
const char *qa_verdict_name(enum qa_verdict v); /* "fine", "attention", "blocked" */

struct qa_result {
    struct arena *arena;
    const struct qa_run *now;
    const struct qa_run *const *before; /* oldest first */
    size_t before_len;
    struct qa_change *changes; /* by class, then by name; SAME last */
    size_t changes_len;
    size_t classes[QA_CLASS_COUNT];
    struct qa_group *groups; /* with new failures first, then by size */
    size_t groups_len;
    const struct qa_suite **broken; /* suites and reports that failed themselves */
    size_t broken_len;
    double pace; /* how much longer all tests took than usual, 1 where that is not known */
    enum qa_verdict verdict;
    const char *const *reasons; /* why that verdict, a sentence each */
    size_t reasons_len;
};

/* before: oldest first, the run to compare with last; may be none. All are borrowed until
   qa_result_free. owners may be NULL. */
struct qa_result *qa_compare(const struct qa_run *now, const struct qa_run *const *before, size_t n,
                             const struct qa_options *o, const struct qa_owners *owners);
void qa_result_free(struct qa_result *r); /* accepts NULL */

/* ---- sentences ---- */

struct qa_sentence {
    const char *text; /* Markdown, test names in back-ticks */
    bool ok;          /* every name, count and class in it was found in the result */
    const char *detail; /* what was not */
    const char *by;   /* "code", or a model's name */
};
/* What code says of the result, most important first; each is checked like a model's. At most
   max; returns how many. */
size_t qa_sentences(struct qa_result *r, struct qa_sentence *out, size_t max);
/* Holds a model's sentence against the result: names, counts and classes are the run's
   (check_tests), and what it says is said by one of the sources (check_claim), so that it may be
   shorter or plainer than they are, and no more. detail is in the result's arena. */
bool qa_check_sentence(struct qa_result *r, const char *text, const char *const *sources, size_t n,
                       const char **detail);
/* The facts a model may be told: deterministic sentences and the largest groups, as lines. */
void qa_put_facts(const struct qa_result *r, struct buf *out);

/* ---- outputs ---- */

struct qa_page {
    const struct qa_result *result;
    const struct qa_sentence *sentences;
    size_t sentences_len;
    const char *title;
    int64_t now; /* µs UTC */
};
/* Markdown for people. room: bytes it may take; what does not fit is said and counted. */
void qa_put_markdown(const struct qa_page *p, size_t room, struct buf *out);
/* CTRF 1.0.0 of the run, with insights against the runs before and a baseline. */
void qa_put_ctrf(const struct qa_page *p, struct buf *out);
/* The body of GitHub's "create a check run": conclusion, title, summary of at most 65,535 bytes, at
   most 50 annotations with file and line. */
void qa_put_github(const struct qa_page *p, struct buf *out);
/* All of it. */
void qa_put_json(const struct qa_page *p, struct buf *out);

/* ---- the program ---- */

struct program_ops;
/* `program: qa`: roles new, base, history, owners; outputs report.md, ctrf.json,
   github-check.json, regression.json. */
extern const struct program_ops qa_program;
