/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reports of .NET: NUnit 2 (test-results) and 3 (test-run), xUnit.net v1 and v2 (assemblies),
 * and TRX (TestRun, schemas 2006 and 2010, vstest's). docs/reference/qa-regression.md says how each
 * word is understood.
 * Threads: one. Recursion: as deep as suites are nested, the sink's depth at most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text/text.h"
#include "worker/formats/tests_internal.h"

static bool is_word(const char *word, const char *other)
{
    return word != NULL && strcasecmp(word, other) == 0;
}

static void add_number(int64_t *to, const struct tests_node *n, const char *name)
{
    int64_t v = tests_number(tests_attribute_find(n, name));
    if (v >= 0) {
        *to = (*to < 0 ? 0 : *to) + v;
    }
}

static const char *first_of(const char *a, const char *b)
{
    return a != NULL ? a : b;
}

/* ---- NUnit ---- */

static enum tests_state nunit_state(const struct tests_node *n)
{
    static const char *const skipped[] = {"Skipped", "Ignored", "NotRunnable", "Inconclusive"};
    const char *result = tests_attribute_find(n, "result");
    const char *run = tests_attribute_find(n, "runstate");
    if (is_word(result, "Error")) {
        return TESTS_ERROR;
    }
    if (tests_child_find(n, "failure") != NULL || is_word(result, "Failed") ||
        is_word(result, "Failure")) {
        return TESTS_FAILED;
    }
    for (size_t i = 0; i < COUNT_OF(skipped); i++) {
        if (is_word(result, skipped[i]) || (i < 3 && is_word(run, skipped[i]))) {
            return TESTS_SKIPPED;
        }
    }
    if (is_word(tests_attribute_find(n, "executed"), "False")) {
        return TESTS_SKIPPED;
    }
    return is_word(tests_attribute_find(n, "success"), "False") && result == NULL ? TESTS_FAILED
                                                                                  : TESTS_PASSED;
}

static void read_nunit_case(struct tests *t, const struct tests_node *n, uint32_t suite)
{
    struct tests_case *c = tests_add_case(t, suite, tests_attribute_find(n, "name"), n->line);
    const struct tests_node *failure = tests_child_find(n, "failure");
    const char *full = tests_attribute_find(n, "fullname");
    c->name = first_of(c->name, full);
    c->class_name = tests_attribute_find(n, "classname");
    c->display = full != NULL && c->name != full ? full : NULL;
    c->state = nunit_state(n);
    c->us = tests_seconds(first_of(tests_attribute_find(n, "duration"),
                                   tests_attribute_find(n, "time")));
    c->type = tests_attribute_find(n, "label");
    c->begin = n->begin;
    c->end = n->end;
    c->output = tests_child_text(n, "output");
    if (failure != NULL) {
        c->message = tests_child_text(failure, "message");
        c->trace = tests_child_text(failure, "stack-trace");
    } else {
        c->message = tests_child_text(tests_child_find(n, "reason"), "message");
    }
}

static void read_nunit_members(struct tests *t, const struct tests_node *n, uint32_t suite);

/* A suite that failed on its own: in its set-up or its tear-down, not through a child. */
static void read_nunit_failure(struct tests *t, const struct tests_node *n, uint32_t number)
{
    const struct tests_node *failure = tests_child_find(n, "failure");
    const char *site = tests_attribute_find(n, "site");
    if (failure != NULL && (is_word(site, "SetUp") || is_word(site, "TearDown") ||
                            is_word(site, "Test"))) {
        t->suites[number].message = first_of(tests_child_text(failure, "message"),
                                             tests_keep_str(t, "the suite itself failed"));
        t->suites[number].trace = tests_child_text(failure, "stack-trace");
    }
}

static void read_nunit_suite(struct tests *t, const struct tests_node *n, uint32_t parent)
{
    const char *name = first_of(tests_attribute_find(n, "fullname"),
                                tests_attribute_find(n, "name"));
    uint32_t number = tests_add_suite(t, parent, name, n->line);
    struct tests_suite *s = &t->suites[number];
    s->us = tests_seconds(first_of(tests_attribute_find(n, "duration"),
                                   tests_attribute_find(n, "time")));
    add_number(&s->claim.tests, n, "testcasecount");
    add_number(&s->claim.failures, n, "failed");
    add_number(&s->claim.errors, n, "errors");
    add_number(&s->claim.skipped, n, "skipped");
    /* NUnit 3 counts those apart: neither passed nor failed, so they are skipped here */
    if (s->claim.skipped >= 0) {
        add_number(&s->claim.skipped, n, "inconclusive");
    }
    read_nunit_failure(t, n, number);
    read_nunit_members(t, n, number);
}

static void read_nunit_members(struct tests *t, const struct tests_node *n, uint32_t suite)
{
    for (const struct tests_node *c = n->child; c != NULL && t->out->failed == FAIL_NONE;
         c = c->next) {
        if (tests_is(c, "test-case")) {
            read_nunit_case(t, c, suite);
        } else if (tests_is(c, "test-suite")) {
            read_nunit_suite(t, c, suite);
        } else if (tests_is(c, "results")) {
            read_nunit_members(t, c, suite);
        }
    }
}

void tests_read_nunit(struct tests *t, const struct tests_node *root)
{
    struct tests_claim *c = &t->suites[0].claim;
    t->dialect = tests_is(root, "test-results") ? "nunit2" : "nunit3";
    if (tests_is(root, "test-suite")) {
        read_nunit_suite(t, root, 0);
        return;
    }
    t->started = first_of(tests_attribute_find(root, "start-time"),
                          tests_attribute_find(root, "date"));
    bool three = tests_attribute_find(root, "testcasecount") != NULL;
    add_number(&c->tests, root, three ? "testcasecount" : "total");
    add_number(&c->failures, root, tests_attribute_find(root, "failed") ? "failed" : "failures");
    add_number(&c->errors, root, "errors");
    add_number(&c->skipped, root, "skipped");
    add_number(&c->skipped, root, "inconclusive");
    if (!three) {
        add_number(&c->tests, root, "not-run"); /* NUnit 2: total counts what ran */
        add_number(&c->skipped, root, "not-run");
    }
    read_nunit_members(t, root, 0);
}

/* ---- xUnit.net ---- */

static void read_xunit_test(struct tests *t, const struct tests_node *n, uint32_t suite)
{
    const char *name = tests_attribute_find(n, "name");
    const char *method = tests_attribute_find(n, "method");
    struct tests_case *c = tests_add_case(t, suite, first_of(method, name), n->line);
    const struct tests_node *failure = tests_child_find(n, "failure");
    const struct tests_node *reason = tests_child_find(n, "reason");
    const char *result = tests_attribute_find(n, "result");
    c->class_name = tests_attribute_find(n, "type");
    c->display = name;
    c->us = tests_seconds(tests_attribute_find(n, "time"));
    c->begin = n->begin;
    c->end = n->end;
    c->output = tests_child_text(n, "output");
    c->state = failure != NULL || is_word(result, "Fail") ? TESTS_FAILED
               : is_word(result, "Skip") || is_word(result, "NotRun") ||
                       (reason != NULL && !is_word(result, "Pass"))
                   ? TESTS_SKIPPED
                   : TESTS_PASSED;
    if (failure != NULL) {
        c->type = tests_attribute_find(failure, "exception-type");
        c->message = tests_child_text(failure, "message");
        c->trace = tests_child_text(failure, "stack-trace");
    } else if (reason != NULL) {
        c->message = first_of(reason->text, tests_child_text(reason, "message"));
    }
}

static void read_xunit_claim(struct tests_suite *s, const struct tests_node *n)
{
    add_number(&s->claim.tests, n, "total");
    add_number(&s->claim.failures, n, "failed");
    add_number(&s->claim.errors, n, "errors");
    add_number(&s->claim.skipped, n, "skipped");
    if (s->claim.skipped >= 0) {
        add_number(&s->claim.skipped, n, "not-run");
    }
    s->us = tests_seconds(tests_attribute_find(n, "time"));
}

static void read_xunit_errors(struct tests *t, const struct tests_node *errors, uint32_t suite)
{
    for (const struct tests_node *e = errors == NULL ? NULL : errors->child; e != NULL;
         e = e->next) {
        const struct tests_node *failure = tests_child_find(e, "failure");
        struct tests_suite *s = &t->suites[suite];
        s->message = tests_join(t, s->message,
                                first_of(tests_child_text(failure, "message"),
                                         tests_attribute_find(e, "name")));
        s->trace = tests_join(t, s->trace, tests_child_text(failure, "stack-trace"));
    }
}

static void read_xunit_assembly(struct tests *t, const struct tests_node *n)
{
    uint32_t assembly = tests_add_suite(t, 0, tests_attribute_find(n, "name"), n->line);
    read_xunit_claim(&t->suites[assembly], n);
    t->tool = first_of(tests_attribute_find(n, "test-framework"), t->tool);
    const char *day = tests_attribute_find(n, "run-date");
    const char *hour = tests_attribute_find(n, "run-time");
    if (day != NULL && hour != NULL && t->started == NULL && strlen(day) + strlen(hour) < 60) {
        char both[64];
        (void)snprintf(both, sizeof(both), "%sT%s", day, hour);
        t->started = tests_keep_str(t, both);
    }
    for (const struct tests_node *c = n->child; c != NULL && t->out->failed == FAIL_NONE;
         c = c->next) {
        if (tests_is(c, "errors")) {
            read_xunit_errors(t, c, assembly);
        } else if (tests_is(c, "collection") || tests_is(c, "class")) {
            uint32_t number =
                tests_add_suite(t, assembly, tests_attribute_find(c, "name"), c->line);
            read_xunit_claim(&t->suites[number], c);
            for (const struct tests_node *x = c->child; x != NULL; x = x->next) {
                if (tests_is(x, "test")) {
                    read_xunit_test(t, x, number);
                }
            }
        }
    }
}

void tests_read_xunit(struct tests *t, const struct tests_node *root)
{
    t->dialect = "xunit";
    if (tests_is(root, "assembly")) {
        read_xunit_assembly(t, root);
        return;
    }
    for (const struct tests_node *c = root->child; c != NULL; c = c->next) {
        if (tests_is(c, "assembly")) {
            read_xunit_assembly(t, c);
        }
    }
}

/* ---- TRX ---- */

/* Where a result's test is defined: what vstest writes apart, by id. */
struct definition {
    const char *id, *class_name;
};

struct trx {
    struct tests *t;
    struct definition *list; /* in the order of id */
    size_t len;
    uint32_t suite;
};

/* "[d.]hh:mm:ss[.fffffff]" */
static int64_t read_duration(const char *text)
{
    char word[32];
    if (text == NULL || !text_copy(word, sizeof(word), text)) {
        return -1;
    }
    int64_t days = 0, hours, minutes;
    char *at = word, *colon = strchr(word, ':'), *point = strchr(word, '.');
    if (point != NULL && colon != NULL && point < colon) {
        *point = '\0';
        if (!text_read_int(word, 0, 10000, &days)) {
            return -1;
        }
        at = point + 1;
    }
    char *second = colon == NULL ? NULL : strchr(colon + 1, ':');
    if (second == NULL) {
        return -1;
    }
    *colon = *second = '\0';
    int64_t us = tests_seconds(second + 1);
    return us >= 0 && text_read_int(at, 0, 100000, &hours) &&
                   text_read_int(colon + 1, 0, 59, &minutes)
               ? us + ((days * 24 + hours) * 60 + minutes) * 60 * 1000000
               : -1;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct definition *)a)->id, ((const struct definition *)b)->id);
}

static void add_definitions(struct trx *x, const struct tests_node *all)
{
    size_t n = 0;
    for (const struct tests_node *u = all == NULL ? NULL : all->child; u != NULL; u = u->next) {
        n++;
    }
    x->list = mem_alloc_array(n + 1, sizeof(*x->list));
    for (const struct tests_node *u = all == NULL ? NULL : all->child; u != NULL; u = u->next) {
        const struct tests_node *method = tests_child_find(u, "TestMethod");
        const char *class_name = tests_attribute_find(method, "className");
        const char *comma = class_name == NULL ? NULL : strchr(class_name, ',');
        struct definition d = {.id = tests_attribute_find(u, "id"),
                               .class_name = comma == NULL
                                                 ? class_name
                                                 : tests_keep(x->t, class_name,
                                                              (size_t)(comma - class_name))};
        if (d.id != NULL) {
            x->list[x->len++] = d;
        }
    }
    qsort(x->list, x->len, sizeof(*x->list), by_id);
}

static const struct definition *find_definition(const struct trx *x, const char *id)
{
    struct definition key = {.id = id};
    return id == NULL ? NULL : bsearch(&key, x->list, x->len, sizeof(*x->list), by_id);
}

static enum tests_state trx_state(const char *outcome)
{
    static const char *const failed[] = {"Failed", "Timeout"};
    if (outcome == NULL || is_word(outcome, "Error")) {
        return TESTS_ERROR;
    }
    for (size_t i = 0; i < COUNT_OF(failed); i++) {
        if (is_word(outcome, failed[i])) {
            return i == 0 ? TESTS_FAILED : TESTS_ERROR;
        }
    }
    return strncasecmp(outcome, "Passed", 6) == 0 ? TESTS_PASSED : TESTS_SKIPPED;
}

static void read_trx_output(struct tests *t, struct tests_case *c, const struct tests_node *n)
{
    const struct tests_node *output = tests_child_find(n, "Output");
    const struct tests_node *error = tests_child_find(output, "ErrorInfo");
    c->message = tests_child_text(error, "Message");
    c->trace = tests_child_text(error, "StackTrace");
    c->output = first_of(tests_child_text(output, "StdErr"), tests_child_text(output, "StdOut"));
    if (c->message == NULL && c->state != TESTS_PASSED) {
        const struct tests_node *texts = tests_child_find(output, "TextMessages");
        c->message = tests_join(t, tests_child_text(texts, "Message"), NULL);
    }
}

/* The rows of a data-driven test that failed, in its message: they are not tests of their own. */
static void add_rows(struct tests *t, struct tests_case *c, const struct tests_node *inner)
{
    for (const struct tests_node *r = inner == NULL ? NULL : inner->child; r != NULL;
         r = r->next) {
        const char *outcome = tests_attribute_find(r, "outcome");
        if (outcome != NULL && trx_state(outcome) != TESTS_PASSED &&
            trx_state(outcome) != TESTS_SKIPPED) {
            const struct tests_node *error =
                tests_child_find(tests_child_find(r, "Output"), "ErrorInfo");
            c->message = tests_join(t, c->message, tests_child_text(error, "Message"));
            c->trace = first_of(c->trace, tests_child_text(error, "StackTrace"));
        }
    }
}

static void read_trx_result(struct trx *x, const struct tests_node *n)
{
    const char *name = tests_attribute_find(n, "testName");
    const struct definition *d = find_definition(x, tests_attribute_find(n, "testId"));
    size_t class_len = d == NULL || d->class_name == NULL ? 0 : strlen(d->class_name);
    struct tests_case *c = tests_add_case(x->t, x->suite, name, n->line);
    if (name != NULL && class_len > 0 && strncmp(name, d->class_name, class_len) == 0 &&
        name[class_len] == '.' && name[class_len + 1] != '\0') {
        c->name = name + class_len + 1;
    }
    c->class_name = class_len == 0 ? NULL : d->class_name;
    c->state = trx_state(tests_attribute_find(n, "outcome"));
    c->us = read_duration(tests_attribute_find(n, "duration"));
    c->begin = n->begin;
    c->end = n->end;
    read_trx_output(x->t, c, n);
    add_rows(x->t, c, tests_child_find(n, "InnerResults"));
}

/* What a run says of itself: a crash, a file that could not be loaded. */
static void read_trx_infos(struct trx *x, const struct tests_node *summary)
{
    const struct tests_node *infos = tests_child_find(summary, "RunInfos");
    struct tests_suite *s = &x->t->suites[x->suite];
    for (const struct tests_node *i = infos == NULL ? NULL : infos->child; i != NULL;
         i = i->next) {
        if (is_word(tests_attribute_find(i, "outcome"), "Error") ||
            is_word(tests_attribute_find(i, "outcome"), "Failed")) {
            s->message = tests_join(x->t, s->message, tests_child_text(i, "Text"));
        }
    }
}

void tests_read_trx(struct tests *t, const struct tests_node *root)
{
    struct trx x = {.t = t};
    const struct tests_node *summary = tests_child_find(root, "ResultSummary");
    const struct tests_node *counters = tests_child_find(summary, "Counters");
    const struct tests_node *results = tests_child_find(root, "Results");
    t->dialect = "trx";
    t->started = tests_attribute_find(tests_child_find(root, "Times"), "start");
    x.suite = tests_add_suite(t, 0, tests_attribute_find(root, "name"), root->line);
    add_number(&t->suites[x.suite].claim.tests, counters, "total");
    add_number(&t->suites[x.suite].claim.failures, counters, "failed");
    add_number(&t->suites[x.suite].claim.errors, counters, "error");
    add_definitions(&x, tests_child_find(root, "TestDefinitions"));
    read_trx_infos(&x, summary);
    for (const struct tests_node *n = results == NULL ? NULL : results->child;
         n != NULL && t->out->failed == FAIL_NONE; n = n->next) {
        if (tests_is(n, "UnitTestResult") || tests_is(n, "GenericTestResult") ||
            tests_is(n, "TestResultAggregation")) {
            read_trx_result(&x, n);
        }
    }
    mem_free(x.list);
}
