/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test reports in one JSON value: CTRF (schema 0.0.x and 1.0.0), mocha's json reporter, RSpec's
 * json formatter, Jest's and Vitest's --json. docs/reference/qa-regression.md names them.
 * Owns: jansson's tree of one report. Threads: one. Limits: the sink's; jansson's depth of 2048.
 */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "worker/formats/tests_internal.h"

static const char *str(struct tests *t, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? tests_keep(t, json_string_value(v), json_string_length(v)) : NULL;
}

static int64_t number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= INT32_MAX
               ? json_integer_value(v)
               : -1;
}

static int64_t milliseconds(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? tests_from_ms(json_number_value(v)) : -1;
}

static bool is_str(const json_t *o, const char *key, const char *text)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v != NULL && strcmp(v, text) == 0;
}

/* Strings of a list, or one string, as lines. */
static const char *lines_of(struct tests *t, const json_t *list, const char *between)
{
    struct buf b;
    size_t i;
    const json_t *v;
    if (json_is_string(list)) {
        return tests_keep(t, json_string_value(list), json_string_length(list));
    }
    buf_init(&b, 4 * TESTS_KEEP);
    json_array_foreach(list, i, v) {
        if (json_is_string(v) && b.len <= TESTS_KEEP) {
            (void)(b.len == 0 || buf_add_str(&b, between));
            (void)buf_add(&b, json_string_value(v), json_string_length(v));
        }
    }
    const char *kept = b.len == 0 ? NULL : tests_keep(t, b.data, b.len);
    buf_done(&b);
    return kept;
}

static enum fail wrong(struct tests *t, const char *what)
{
    return sink_fail(t->out, FAIL_BAD_REQUEST, "Have the program that wrote it write it again.",
                     "this is not %s", what);
}

/* ---- CTRF ---- */

static enum tests_state ctrf_state(const json_t *o)
{
    return is_str(o, "status", "passed")   ? TESTS_PASSED
           : is_str(o, "status", "failed") ? TESTS_FAILED
           : is_str(o, "status", "other")  ? TESTS_ERROR
                                           : TESTS_SKIPPED;
}

static uint32_t suite_named(struct tests *t, const char *name)
{
    for (size_t i = t->suites_len; name != NULL && i > 1 && t->suites_len - i < 64; i--) {
        if (t->suites[i - 1].name != NULL && strcmp(t->suites[i - 1].name, name) == 0) {
            return (uint32_t)i - 1;
        }
    }
    return name == NULL ? 0 : tests_add_suite(t, 0, name, 0);
}

static void read_ctrf_test(struct tests *t, const json_t *o)
{
    const char *suite = lines_of(t, json_object_get(o, "suite"), " > ");
    uint32_t number_of = suite_named(t, suite);
    struct tests_case *c = tests_add_case(t, number_of, str(t, o, "name"), 0);
    const json_t *attempt;
    size_t i;
    c->class_name = suite;
    c->state = ctrf_state(o);
    c->us = milliseconds(o, "duration");
    c->file = str(t, o, "filePath");
    c->line = number(o, "line");
    c->message = str(t, o, "message");
    c->trace = str(t, o, "trace");
    c->flaky = json_is_true(json_object_get(o, "flaky"));
    const char *out = lines_of(t, json_object_get(o, "stderr"), "\n");
    out = out != NULL ? out : lines_of(t, json_object_get(o, "stdout"), "\n");
    c->output = out == NULL ? NULL : tests_tail(t, out, strlen(out));
    json_array_foreach(json_object_get(o, "retryAttempts"), i, attempt) {
        struct tests_attempt *a = tests_add_attempt(t, c, ctrf_state(attempt));
        a->us = milliseconds(attempt, "duration");
        a->message = str(t, attempt, "message");
        a->trace = str(t, attempt, "trace");
    }
}

static enum fail read_ctrf(struct tests *t, const json_t *root)
{
    const json_t *results = json_object_get(root, "results");
    const json_t *tests = json_object_get(results, "tests");
    const json_t *summary = json_object_get(results, "summary");
    const json_t *o;
    size_t i;
    if (!json_is_array(tests) || !json_is_object(summary)) {
        return wrong(t, "CTRF: /results/tests or /results/summary is missing");
    }
    t->dialect = "ctrf";
    t->tool = str(t, json_object_get(results, "tool"), "name");
    t->started = str(t, root, "timestamp");
    struct tests_claim *c = &t->suites[0].claim;
    c->tests = number(summary, "tests");
    c->failures = number(summary, "failed");
    c->errors = number(summary, "other");
    c->skipped = number(summary, "skipped");
    c->disabled = number(summary, "pending");
    const json_t *start = json_object_get(summary, "start");
    const json_t *stop = json_object_get(summary, "stop");
    if (json_is_number(start) && json_is_number(stop)) {
        t->suites[0].us = tests_from_ms(json_number_value(stop) - json_number_value(start));
    }
    json_array_foreach(tests, i, o) {
        if (!json_is_object(o)) {
            return sink_fail(t->out, FAIL_BAD_REQUEST, "Write it again.",
                             "/results/tests/%zu is no object", i);
        }
        read_ctrf_test(t, o);
    }
    return t->out->failed;
}

/* ---- mocha ---- */

static bool listed(const json_t *list, const json_t *test)
{
    const char *title = json_string_value(json_object_get(test, "fullTitle"));
    const char *file = json_string_value(json_object_get(test, "file"));
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) {
        const char *other = json_string_value(json_object_get(o, "file"));
        if (title != NULL && is_str(o, "fullTitle", title) &&
            (file == NULL || other == NULL || strcmp(file, other) == 0)) {
            return true;
        }
    }
    return false;
}

static void read_mocha_test(struct tests *t, const json_t *root, const json_t *o)
{
    const json_t *err = json_object_get(o, "err");
    const char *title = str(t, o, "fullTitle"), *file = str(t, o, "file");
    uint32_t suite = suite_named(t, file);
    struct tests_case *c = tests_add_case(t, suite, title, 0);
    c->file = file;
    c->us = milliseconds(o, "duration");
    if (json_object_size(err) > 0) {
        bool mode = json_is_string(json_object_get(err, "errorMode"));
        c->state = mode ? TESTS_ERROR : TESTS_FAILED;
        c->type = mode ? str(t, err, "errorMode") : str(t, err, "name");
        c->message = str(t, err, "message");
        c->trace = str(t, err, "stack");
    } else if (listed(json_object_get(root, "pending"), o)) {
        c->state = TESTS_SKIPPED;
    } else if (listed(json_object_get(root, "failures"), o)) {
        c->state = TESTS_FAILED;
    }
}

static enum fail read_mocha(struct tests *t, const json_t *root)
{
    const json_t *stats = json_object_get(root, "stats"), *o;
    size_t i;
    t->dialect = "mocha";
    t->started = str(t, stats, "start");
    t->suites[0].claim = (struct tests_claim){number(stats, "tests"), number(stats, "failures"),
                                              -1, number(stats, "pending"), -1};
    t->suites[0].us = milliseconds(stats, "duration");
    json_array_foreach(json_object_get(root, "tests"), i, o) {
        if (!json_is_object(o)) {
            return sink_fail(t->out, FAIL_BAD_REQUEST, "Write it again.", "/tests/%zu is no object",
                             i);
        }
        read_mocha_test(t, root, o);
    }
    return t->out->failed;
}

/* ---- RSpec ---- */

static void read_rspec_example(struct tests *t, const json_t *o)
{
    const char *file = str(t, o, "file_path");
    uint32_t suite = suite_named(t, file);
    struct tests_case *c = tests_add_case(t, suite, str(t, o, "full_description"), 0);
    const json_t *e = json_object_get(o, "exception"), *time = json_object_get(o, "run_time");
    c->file = file;
    c->line = number(o, "line_number");
    c->us = json_is_number(time) ? tests_from_ms(json_number_value(time) * 1e3) : -1;
    c->state = is_str(o, "status", "passed")   ? TESTS_PASSED
               : is_str(o, "status", "failed") ? TESTS_FAILED
                                               : TESTS_SKIPPED;
    c->message = json_is_object(e) ? str(t, e, "message") : str(t, o, "pending_message");
    c->type = str(t, e, "class");
    c->trace = lines_of(t, json_object_get(e, "backtrace"), "\n");
}

static enum fail read_rspec(struct tests *t, const json_t *root)
{
    const json_t *summary = json_object_get(root, "summary"), *o;
    const json_t *time = json_object_get(summary, "duration");
    size_t i;
    t->dialect = "rspec";
    t->tool = "rspec";
    t->suites[0].claim = (struct tests_claim){
        number(summary, "example_count"), number(summary, "failure_count"),
        -1, number(summary, "pending_count"), -1};
    t->suites[0].us = json_is_number(time) ? tests_from_ms(json_number_value(time) * 1e3) : -1;
    if (number(summary, "errors_outside_of_examples_count") > 0) {
        t->suites[0].message = lines_of(t, json_object_get(root, "messages"), "\n");
        if (t->suites[0].message == NULL) {
            t->suites[0].message = "errors outside of the examples";
        }
    }
    json_array_foreach(json_object_get(root, "examples"), i, o) {
        if (!json_is_object(o)) {
            return sink_fail(t->out, FAIL_BAD_REQUEST, "Write it again.",
                             "/examples/%zu is no object", i);
        }
        read_rspec_example(t, o);
    }
    return t->out->failed;
}

/* ---- Jest ---- */

static void read_jest_test(struct tests *t, const json_t *o, uint32_t suite, const char *file)
{
    struct tests_case *c = tests_add_case(t, suite, str(t, o, "fullName"), 0);
    c->name = c->name != NULL ? c->name : str(t, o, "title");
    c->file = file;
    c->line = number(json_object_get(o, "location"), "line");
    c->us = milliseconds(o, "duration");
    c->state = is_str(o, "status", "passed")   ? TESTS_PASSED
               : is_str(o, "status", "failed") ? TESTS_FAILED
                                               : TESTS_SKIPPED;
    c->message = lines_of(t, json_object_get(o, "failureMessages"), "\n");
}

static enum fail read_jest(struct tests *t, const json_t *root)
{
    const json_t *file, *o;
    size_t i, k;
    int64_t pending = number(root, "numPendingTests"), todo = number(root, "numTodoTests");
    t->dialect = "jest";
    t->suites[0].claim = (struct tests_claim){
        number(root, "numTotalTests"), number(root, "numFailedTests"), -1,
        pending < 0 ? -1 : pending + (todo < 0 ? 0 : todo), -1};
    json_array_foreach(json_object_get(root, "testResults"), i, file) {
        const json_t *tests = json_object_get(file, "assertionResults");
        const char *name = str(t, file, "name");
        uint32_t suite = tests_add_suite(t, 0, name, 0);
        json_array_foreach(tests, k, o) {
            read_jest_test(t, o, suite, name);
        }
        if (json_array_size(tests) == 0 && is_str(file, "status", "failed")) {
            t->suites[suite].message = str(t, file, "message");
            if (t->suites[suite].message == NULL) {
                t->suites[suite].message = "the file could not be run";
            }
        }
    }
    return t->out->failed;
}

/* ---- which ---- */

static enum fail read_value(struct tests *t, const json_t *root)
{
    if (json_is_object(json_object_get(root, "results")) &&
        (is_str(root, "reportFormat", "CTRF") ||
         json_is_object(json_object_get(json_object_get(root, "results"), "summary")))) {
        return read_ctrf(t, root);
    }
    if (json_is_object(json_object_get(root, "stats")) &&
        json_is_array(json_object_get(root, "tests"))) {
        return read_mocha(t, root);
    }
    if (json_is_array(json_object_get(root, "examples")) &&
        json_is_object(json_object_get(root, "summary"))) {
        return read_rspec(t, root);
    }
    if (json_is_array(json_object_get(root, "testResults"))) {
        return read_jest(t, root);
    }
    return wrong(t, "a test report that is known here: neither CTRF, mocha, RSpec, Jest, Go nor "
                    "Dart JSON");
}

enum fail tests_read_json(struct tests *t, const char *text, size_t len)
{
    json_error_t e;
    bool is_any = false;
    size_t skip = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    json_t *root = json_loadb(text + skip, len - skip, JSON_ALLOW_NUL, &e);
    if (json_is_object(root) && !json_is_string(json_object_get(root, "Action")) &&
        !json_is_string(json_object_get(root, "protocolVersion"))) {
        enum fail f = read_value(t, root);
        json_decref(root);
        return f;
    }
    json_decref(root);
    enum fail f = tests_read_lines(t, text + skip, len - skip, &is_any);
    if (f == FAIL_NONE && !is_any) {
        f = root != NULL ? wrong(t, "a test report: its value is no object")
                         : sink_fail(t->out, FAIL_BAD_REQUEST,
                                     "Have the program that wrote it write it again.",
                                     "line %d: this is not JSON, nor an object a line", e.line);
    }
    return f;
}
