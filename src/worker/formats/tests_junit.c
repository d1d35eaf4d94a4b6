/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JUnit XML in all its dialects (docs/reference/qa-regression.md): Ant's and Jenkins' junit-10,
 * surefire 3.0 with flaky and rerun elements, suites inside suites, a suite as the root, suites
 * without cases, cases without suites, gtest's and tst's status, PHPUnit's class and file, nextest,
 * Catch2, bazel. A case with several results has the worst of them. Also: which XML dialect it is.
 * Threads: one. Recursion: as deep as suites are nested, the sink's depth at most.
 */
#include <string.h>
#include <strings.h>

#include "worker/formats/tests_internal.h"

static bool is_one_of(const char *word, const char *const *words)
{
    for (; word != NULL && *words != NULL; words++) {
        if (strcasecmp(word, *words) == 0) {
            return true;
        }
    }
    return false;
}

static void add_claim(int64_t *to, const struct tests_node *n, const char *name)
{
    int64_t v = tests_number(tests_attribute_find(n, name));
    if (v >= 0) {
        *to = (*to < 0 ? 0 : *to) + v;
    }
}

static void read_claim(struct tests_claim *c, const struct tests_node *n)
{
    add_claim(&c->tests, n, "tests");
    add_claim(&c->failures, n, "failures");
    add_claim(&c->errors, n, "errors");
    add_claim(&c->skipped, n, "skipped");
    if (c->skipped < 0) {
        add_claim(&c->skipped, n, "skip"); /* nose */
    }
    if (c->skipped < 0) {
        add_claim(&c->skipped, n, "skips");
    }
    add_claim(&c->disabled, n, "disabled");
}

/* ---- a case ---- */

/* The message of a result: pytest and PHPUnit write none, or the whole text. */
static const char *result_message(const struct tests_node *n)
{
    const char *message = tests_attribute_find(n, "message");
    return message;
}

static const char *result_trace(struct tests *t, const struct tests_node *n)
{
    const char *stack = tests_child_text(n, "stackTrace");
    return stack != NULL ? stack : tests_join(t, n->text, NULL);
}

static bool result_state(const struct tests_node *n, enum tests_state *state)
{
    static const struct {
        const char *name;
        enum tests_state state;
    } results[] = {{"error", TESTS_ERROR}, {"failure", TESTS_FAILED}, {"skipped", TESTS_SKIPPED}};
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        if (tests_is(n, results[i].name)) {
            *state = results[i].state;
            return true;
        }
    }
    return false;
}

/* surefire: flaky ones passed in the end, rerun ones did not. */
static bool attempt_state(const struct tests_node *n, enum tests_state *state, bool *flaky)
{
    *flaky = tests_is(n, "flakyFailure") || tests_is(n, "flakyError");
    *state = tests_is(n, "flakyError") || tests_is(n, "rerunError") ? TESTS_ERROR : TESTS_FAILED;
    return *flaky || tests_is(n, "rerunFailure") || tests_is(n, "rerunError");
}

static void add_attempt(struct tests *t, struct tests_case *c, const struct tests_node *n,
                        enum tests_state state)
{
    struct tests_attempt *a = tests_add_attempt(t, c, state);
    a->type = tests_attribute_find(n, "type");
    a->message = result_message(n);
    a->trace = result_trace(t, n);
    a->us = tests_seconds(tests_attribute_find(n, "time"));
}

/* What has no result element may still say so: gtest (notrun, suppressed), tst (disabled). */
static enum tests_state state_by_word(const struct tests_node *n)
{
    static const char *const skipped[] = {"disabled", "notrun", "skipped", "suppressed", "ignored",
                                          "pending",  "not run", NULL};
    static const char *const failed[] = {"failed", "failure", "fail", NULL};
    static const char *const errors[] = {"error", "errored", "broken", NULL};
    const char *words[] = {tests_attribute_find(n, "status"), tests_attribute_find(n, "result")};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (is_one_of(words[i], skipped)) {
            return TESTS_SKIPPED;
        }
        if (is_one_of(words[i], failed) || is_one_of(words[i], errors)) {
            return is_one_of(words[i], failed) ? TESTS_FAILED : TESTS_ERROR;
        }
    }
    return TESTS_PASSED;
}

/* error before failure before skipped */
static int weight(enum tests_state s)
{
    return s == TESTS_ERROR ? 3 : s == TESTS_FAILED ? 2 : s == TESTS_SKIPPED ? 1 : 0;
}

static void read_results(struct tests *t, struct tests_case *c, const struct tests_node *n)
{
    enum tests_state state;
    bool flaky, any = false;
    c->state = TESTS_PASSED;
    for (const struct tests_node *r = n->child; r != NULL; r = r->next) {
        if (result_state(r, &state)) {
            const char *trace = result_trace(t, r);
            bool worse = !any || weight(state) > weight(c->state);
            bool same = any && state == c->state;
            c->message = worse ? result_message(r)
                         : same ? tests_join(t, c->message, result_message(r))
                                : c->message;
            c->trace = worse ? trace : same ? tests_join(t, c->trace, trace) : c->trace;
            c->type = worse ? tests_attribute_find(r, "type") : c->type;
            c->state = worse ? state : c->state;
            any = true;
        } else if (attempt_state(r, &state, &flaky)) {
            add_attempt(t, c, r, state);
            c->flaky = c->flaky || flaky;
        }
    }
    c->state = any ? c->state : state_by_word(n);
    if (c->attempts_len > 0) {
        /* The elements tell of the tries but the one that decided: with rerun ones that was the
           first, with flaky ones the last. Which it is matters to nobody; it is said last. */
        struct tests_attempt *last = tests_add_attempt(t, c, c->state);
        last->type = c->type;
        last->message = c->message;
        last->trace = c->trace;
        last->us = c->us;
    }
}

static void read_case(struct tests *t, const struct tests_node *n, uint32_t suite)
{
    struct tests_case *c = tests_add_case(t, suite, tests_attribute_find(n, "name"), n->line);
    const char *class_name = tests_attribute_find(n, "classname");
    c->class_name = class_name != NULL ? class_name : tests_attribute_find(n, "class");
    c->file = tests_attribute_find(n, "file");
    c->file = c->file != NULL ? c->file : tests_attribute_find(n, "filepath");
    c->line = tests_number(tests_attribute_find(n, "line"));
    c->us = tests_seconds(tests_attribute_find(n, "time"));
    c->begin = n->begin;
    c->end = n->end;
    c->output = tests_child_text(n, "system-err");
    c->output = c->output != NULL ? c->output : tests_child_text(n, "system-out");
    read_results(t, c, n);
}

/* ---- suites ---- */

static void read_suite(struct tests *t, const struct tests_node *n, uint32_t parent);

static void read_members(struct tests *t, const struct tests_node *n, uint32_t suite)
{
    enum tests_state state;
    for (const struct tests_node *c = n->child; c != NULL && t->out->failed == FAIL_NONE;
         c = c->next) {
        if (tests_is(c, "testcase")) {
            read_case(t, c, suite);
        } else if (tests_is(c, "testsuite")) {
            read_suite(t, c, suite);
        } else if (result_state(c, &state) && state != TESTS_SKIPPED) {
            struct tests_suite *s = &t->suites[suite];
            const char *message = result_message(c), *trace = result_trace(t, c);
            s->message = message != NULL || s->message != NULL
                             ? tests_join(t, s->message, message)
                             : tests_join(t, "the suite itself failed", NULL);
            s->trace = tests_join(t, s->trace, trace);
        }
    }
}

static void read_suite(struct tests *t, const struct tests_node *n, uint32_t parent)
{
    uint32_t number = tests_add_suite(t, parent, tests_attribute_find(n, "name"), n->line);
    struct tests_suite *s = &t->suites[number];
    s->us = tests_seconds(tests_attribute_find(n, "time"));
    s->file = tests_attribute_find(n, "file");
    read_claim(&s->claim, n);
    if (t->started == NULL) {
        t->started = tests_attribute_find(n, "timestamp");
    }
    read_members(t, n, number);
}

void tests_read_junit(struct tests *t, const struct tests_node *root)
{
    t->dialect = "junit";
    if (tests_is(root, "testsuite")) {
        read_suite(t, root, 0);
        return;
    }
    t->tool = tests_attribute_find(root, "name");
    read_claim(&t->suites[0].claim, root);
    int64_t us = tests_seconds(tests_attribute_find(root, "time"));
    t->suites[0].us = us >= 0 ? us + (t->suites[0].us < 0 ? 0 : t->suites[0].us)
                              : t->suites[0].us;
    read_members(t, root, 0);
}

/* ---- which dialect ---- */

enum fail tests_read_xml(struct tests *t, const char *text, size_t len)
{
    static const struct {
        const char *root;
        void (*read)(struct tests *, const struct tests_node *);
    } dialects[] = {{"testsuites", tests_read_junit},  {"testsuite", tests_read_junit},
                    {"test-run", tests_read_nunit},    {"test-results", tests_read_nunit},
                    {"test-suite", tests_read_nunit},  {"assemblies", tests_read_xunit},
                    {"assembly", tests_read_xunit},    {"TestRun", tests_read_trx}};
    const struct tests_node *root = tests_tree_read(t, text, len);
    for (size_t i = 0; root != NULL && i < COUNT_OF(dialects); i++) {
        if (tests_is(root, dialects[i].root)) {
            dialects[i].read(t, root);
            return t->out->failed;
        }
    }
    return root == NULL
               ? t->out->failed
               : sink_fail(t->out, FAIL_BAD_REQUEST,
                           "Known roots:" TESTS_NAMES ".",
                           "line %u: this XML is no test report: its root element is none of a "
                           "known one's", root->line);
}
