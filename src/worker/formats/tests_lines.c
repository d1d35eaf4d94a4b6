/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test reports of an object a line: `go test -json` (test2json) and Dart's and Flutter's JSON
 * reporter. Lines that are no object (a compiler's words between the events) are passed over; a
 * line that begins like an object and is none is refused with its number.
 * Owns: the tests under way. Threads: one. Limits: the sink's; LINE_MAX_BYTES a line; EVENTS_MAX.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text/text.h"
#include "worker/formats/tests_internal.h"

#define LINE_MAX_BYTES (16u << 20)
#define UNDER_WAY_MAX 1000000u
#define GO_OUTPUT (64u * 1024)

/* A test under way: Go's by package and name, Dart's by its id. */
struct running {
    const char *key;
    size_t case_at; /* of t->cases; SIZE_MAX: a Go package */
    uint32_t suite;
    double start_ms;
    struct buf output;
    bool hidden, done, failed_below; /* a Go package: one of its tests failed */
};

struct events {
    struct tests *t;
    struct running *list;
    size_t len, room;
    uint32_t *slots; /* open addressing over list, +1; 0: free */
    size_t slots_len;
    uint32_t line;
    bool is_go, is_dart;
    double start_ms;
};

/* ---- the table ---- */

static uint64_t hash(const char *s)
{
    uint64_t h = 1469598103934665603ull; /* FNV-1a */
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    }
    return h ^ (h >> 29);
}

static void place(struct events *e, uint32_t which)
{
    size_t at = hash(e->list[which].key) & (e->slots_len - 1);
    while (e->slots[at] != 0) {
        at = (at + 1) & (e->slots_len - 1);
    }
    e->slots[at] = which + 1;
}

static struct running *look_up(struct events *e, const char *key)
{
    size_t at = e->slots_len == 0 ? 0 : hash(key) & (e->slots_len - 1);
    for (; e->slots_len > 0 && e->slots[at] != 0; at = (at + 1) & (e->slots_len - 1)) {
        struct running *r = &e->list[e->slots[at] - 1];
        if (strcmp(r->key, key) == 0) {
            return r;
        }
    }
    return NULL;
}

static struct running *add(struct events *e, const char *key)
{
    if (e->len >= UNDER_WAY_MAX) {
        (void)sink_fail(e->t->out, FAIL_TOO_LARGE, "Split the report.",
                        "line %u: more than %u tests", e->line, UNDER_WAY_MAX);
        return NULL;
    }
    if (e->len == e->room) {
        e->room = e->room == 0 ? 256 : e->room * 2;
        e->list = mem_realloc(e->list, e->room * sizeof(*e->list));
        mem_free(e->slots);
        e->slots_len = e->room * 2;
        e->slots = mem_alloc_array(e->slots_len, sizeof(*e->slots));
        for (size_t i = 0; i < e->len; i++) {
            place(e, (uint32_t)i);
        }
    }
    struct running *r = &e->list[e->len++];
    *r = (struct running){.key = key, .case_at = SIZE_MAX};
    buf_init(&r->output, 2 * GO_OUTPUT);
    place(e, (uint32_t)e->len - 1);
    return r;
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void add_output(struct running *r, const char *text)
{
    size_t n = strlen(text);
    if (r->output.len + n > GO_OUTPUT && r->output.len > TESTS_OUTPUT) {
        buf_consume(&r->output, r->output.len - TESTS_OUTPUT);
    }
    (void)buf_add(&r->output, text, n > GO_OUTPUT ? GO_OUTPUT : n);
}

/* ---- Go ---- */

static struct running *go_running(struct events *e, const char *package, const char *test)
{
    struct tests *t = e->t;
    struct buf key;
    buf_init(&key, LINE_MAX_BYTES);
    (void)(buf_add_str(&key, package) && buf_add_char(&key, '\n') && buf_add_str(&key, test));
    struct running *r = look_up(e, key.data);
    if (r == NULL && arena_has_room(t->arena, key.len + 64)) {
        struct running *above = test[0] == '\0' ? NULL : go_running(e, package, "");
        uint32_t suite = above != NULL ? above->suite : 0;
        r = add(e, arena_dup_str(t->arena, key.data));
        if (r != NULL && test[0] == '\0') {
            r->suite = tests_add_suite(t, 0, tests_keep_str(t, package), e->line);
        } else if (r != NULL) {
            struct tests_case *c = tests_add_case(t, suite, tests_keep_str(t, test), e->line);
            c->class_name = t->suites[suite].name;
            c->state = TESTS_ERROR; /* until it says how it ended */
            c->message = "the test did not end";
            r->suite = suite;
            r->case_at = t->cases_len - 1;
        }
    }
    buf_done(&key);
    return r;
}

/* "    name_test.go:19: expected ..." is where a Go test says why; the frame lines are not. */
static const char *go_message(struct tests *t, const struct buf *output)
{
    struct buf b;
    buf_init(&b, 2 * GO_OUTPUT);
    for (const char *at = output->data; at != NULL && *at != '\0';) {
        const char *end = strchr(at, '\n');
        size_t n = end == NULL ? strlen(at) : (size_t)(end - at);
        const char *word = at + strspn(at, " \t");
        if (strncmp(word, "=== ", 4) != 0 && strncmp(word, "--- ", 4) != 0 && n > 0) {
            (void)buf_add(&b, at, n);
            (void)buf_add_char(&b, '\n');
        }
        at = end == NULL ? NULL : end + 1;
    }
    const char *kept = b.len == 0 ? NULL : tests_keep(t, b.data, b.len);
    buf_done(&b);
    return kept;
}

/* file:line of the first line of a message, where it names a Go file. */
static void go_place(struct tests *t, struct tests_case *c)
{
    const char *at = c->message == NULL ? NULL : strstr(c->message, ".go:");
    const char *begin = at;
    int64_t line = 0;
    while (begin != NULL && begin > c->message && strchr(" \t\n(", begin[-1]) == NULL) {
        begin--;
    }
    for (const char *p = at == NULL ? "" : at + 4; *p >= '0' && *p <= '9' && line < 10000000; p++) {
        line = line * 10 + (*p - '0');
    }
    if (at != NULL && line > 0) {
        c->file = tests_keep(t, begin, (size_t)(at - begin) + 3);
        c->line = line;
    }
}

static void go_end(struct events *e, struct running *r, const json_t *o, const char *action)
{
    struct tests *t = e->t;
    const json_t *elapsed = json_object_get(o, "Elapsed");
    int64_t us = json_is_number(elapsed) ? tests_from_ms(json_number_value(elapsed) * 1e3) : -1;
    bool failed = strcmp(action, "fail") == 0;
    r->done = true;
    if (r->case_at == SIZE_MAX) {
        struct tests_suite *s = &t->suites[r->suite];
        s->us = us;
        if (failed && !r->failed_below) {
            const char *said = go_message(t, &r->output);
            s->message = said != NULL ? said : "the package failed, and none of its tests did";
        }
        return;
    }
    struct tests_case *c = &t->cases[r->case_at];
    c->state = failed ? TESTS_FAILED : strcmp(action, "skip") == 0 ? TESTS_SKIPPED : TESTS_PASSED;
    c->us = us;
    c->message = c->state == TESTS_PASSED ? NULL : go_message(t, &r->output);
    if (failed) {
        go_place(t, c);
        struct running *package = go_running(e, t->suites[r->suite].name == NULL
                                                    ? ""
                                                    : t->suites[r->suite].name, "");
        if (package != NULL) {
            package->failed_below = true;
        }
    }
    buf_done(&r->output);
}

static void go_event(struct events *e, const json_t *o, const char *action)
{
    const char *package = text_of(o, "Package"), *test = text_of(o, "Test");
    package = package != NULL ? package : text_of(o, "ImportPath");
    struct running *r = go_running(e, package == NULL ? "" : package, test == NULL ? "" : test);
    e->is_go = true;
    if (r == NULL) {
        return;
    }
    if (strcmp(action, "output") == 0 || strcmp(action, "build-output") == 0) {
        const char *said = text_of(o, "Output");
        add_output(r, said == NULL ? "" : said);
    } else if (strcmp(action, "pass") == 0 || strcmp(action, "fail") == 0 ||
               strcmp(action, "skip") == 0) {
        if (r->done && r->case_at != SIZE_MAX) {
            /* -count N: the same test again is another try of it */
            struct tests_case *c = &e->t->cases[r->case_at];
            struct tests_attempt *a = tests_add_attempt(e->t, c, c->state);
            a->message = c->message;
            a->us = c->us;
        }
        bool again = r->done && r->case_at != SIZE_MAX;
        go_end(e, r, o, action);
        if (again) {
            struct tests_case *c = &e->t->cases[r->case_at];
            struct tests_attempt *a = tests_add_attempt(e->t, c, c->state);
            a->message = c->message;
            a->us = c->us;
        }
    } else if (strcmp(action, "build-fail") == 0) {
        e->t->suites[r->suite].message = "the build failed";
        e->t->suites[r->suite].trace = go_message(e->t, &r->output);
    }
}

/* ---- Dart ---- */

static struct running *dart_running(struct events *e, const char *what, const json_t *id, bool make)
{
    char key[64];
    if (!json_is_integer(id)) {
        return NULL;
    }
    (void)snprintf(key, sizeof(key), "%s %lld", what, (long long)json_integer_value(id));
    struct running *r = look_up(e, key);
    return r != NULL || !make ? r : add(e, arena_dup_str(e->t->arena, key));
}

static double at_ms(const json_t *o)
{
    const json_t *v = json_object_get(o, "time");
    return json_is_number(v) ? json_number_value(v) : 0;
}

static void dart_start(struct events *e, const json_t *o)
{
    struct tests *t = e->t;
    const json_t *test = json_object_get(o, "test");
    const json_t *line = json_object_get(test, "root_line");
    const char *url = text_of(test, "root_url");
    struct running *suite = dart_running(e, "suite", json_object_get(test, "suiteID"), false);
    uint32_t number = suite == NULL ? 0 : suite->suite;
    struct running *r = dart_running(e, "test", json_object_get(test, "id"), true);
    if (r == NULL || r->case_at != SIZE_MAX) {
        return;
    }
    struct tests_case *c = tests_add_case(t, number, tests_keep_str(t, text_of(test, "name")),
                                          e->line);
    line = json_is_integer(line) ? line : json_object_get(test, "line");
    url = url != NULL ? url : text_of(test, "url");
    c->file = tests_keep_str(t, url != NULL ? url : t->suites[number].file);
    c->line = json_is_integer(line) ? json_integer_value(line) : 0;
    c->state = TESTS_ERROR;
    c->message = "the test did not end";
    r->case_at = t->cases_len - 1;
    r->suite = number;
    r->start_ms = at_ms(o);
}

static void dart_error(struct events *e, const json_t *o)
{
    struct running *r = dart_running(e, "test", json_object_get(o, "testID"), false);
    if (r == NULL || r->case_at == SIZE_MAX) {
        return;
    }
    struct tests_case *c = &e->t->cases[r->case_at];
    c->message = tests_keep_str(e->t, text_of(o, "error"));
    c->trace = tests_keep_str(e->t, text_of(o, "stackTrace"));
}

static void dart_done(struct events *e, const json_t *o)
{
    struct running *r = dart_running(e, "test", json_object_get(o, "testID"), false);
    const char *result = text_of(o, "result");
    if (r == NULL || r->case_at == SIZE_MAX || result == NULL) {
        return;
    }
    struct tests_case *c = &e->t->cases[r->case_at];
    bool passed = strcmp(result, "success") == 0;
    bool skipped = passed && json_is_true(json_object_get(o, "skipped"));
    c->state = skipped ? TESTS_SKIPPED
               : passed ? TESTS_PASSED
               : strcmp(result, "failure") == 0 ? TESTS_FAILED
                                                : TESTS_ERROR;
    c->us = tests_from_ms(at_ms(o) - r->start_ms);
    if (passed) {
        c->message = skipped ? tests_keep(e->t, r->output.data == NULL ? "" : r->output.data,
                                          r->output.len)
                             : NULL;
        c->trace = NULL;
    }
    r->hidden = json_is_true(json_object_get(o, "hidden")) && passed;
    r->done = true;
}

static void dart_event(struct events *e, const json_t *o, const char *type)
{
    struct tests *t = e->t;
    if (strcmp(type, "start") == 0) {
        e->is_dart = e->is_dart || text_of(o, "protocolVersion") != NULL;
        e->start_ms = at_ms(o);
    } else if (strcmp(type, "suite") == 0) {
        const json_t *suite = json_object_get(o, "suite");
        struct running *r = dart_running(e, "suite", json_object_get(suite, "id"), true);
        if (r != NULL && r->suite == 0) {
            r->suite = tests_add_suite(t, 0, tests_keep_str(t, text_of(suite, "path")), e->line);
            t->suites[r->suite].file = t->suites[r->suite].name;
        }
    } else if (strcmp(type, "testStart") == 0) {
        dart_start(e, o);
    } else if (strcmp(type, "testDone") == 0) {
        dart_done(e, o);
    } else if (strcmp(type, "error") == 0) {
        dart_error(e, o);
    } else if (strcmp(type, "print") == 0) {
        const char *kind = text_of(o, "messageType"), *said = text_of(o, "message");
        struct running *r = dart_running(e, "test", json_object_get(o, "testID"), false);
        if (r != NULL && kind != NULL && said != NULL && strcmp(kind, "skip") == 0) {
            add_output(r, said);
        }
    } else if (strcmp(type, "done") == 0) {
        t->suites[0].us = tests_from_ms(at_ms(o) - e->start_ms);
    }
}

/* Dart's loading of files: tests only when they fail. */
static void drop_hidden(struct events *e)
{
    struct tests *t = e->t;
    bool *hidden = mem_alloc_array(t->cases_len + 1, sizeof(*hidden));
    size_t kept = 0;
    for (size_t i = 0; i < e->len; i++) {
        if (e->list[i].hidden && e->list[i].case_at < t->cases_len) {
            hidden[e->list[i].case_at] = true;
        }
    }
    for (size_t i = 0; i < t->cases_len; i++) {
        if (!hidden[i]) {
            t->cases[kept++] = t->cases[i];
        } else {
            mem_free(t->cases[i].attempts);
        }
    }
    t->cases_len = kept;
    mem_free(hidden);
}

/* ---- the lines ---- */

static bool read_event(struct events *e, const char *line, size_t n)
{
    json_error_t why;
    json_t *o = json_loadb(line, n, JSON_ALLOW_NUL, &why);
    if (o == NULL) {
        /* Only a file that is one of these is said to be a broken one of these. */
        if (e->is_go || e->is_dart) {
            (void)sink_fail(e->t->out, FAIL_BAD_REQUEST,
                            "Was the run stopped? Delete the line, or run it again.",
                            "line %u: this is not JSON, though it begins like an object", e->line);
        }
        return false;
    }
    const char *action = text_of(o, "Action"), *type = text_of(o, "type");
    if (action != NULL && !e->is_dart) {
        go_event(e, o, action);
    } else if (type != NULL && !e->is_go) {
        dart_event(e, o, type);
    }
    json_decref(o);
    return true;
}

enum fail tests_read_lines(struct tests *t, const char *text, size_t len, bool *is_any)
{
    struct events e = {.t = t};
    for (size_t at = 0; at < len && t->out->failed == FAIL_NONE;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t end = nl == NULL ? len : (size_t)(nl - text);
        const char *line = text + at;
        size_t n = end - at;
        e.line++;
        while (n > 0 && (*line == ' ' || *line == '\t' || *line == '\0')) {
            line++;
            n--;
        }
        if (n > LINE_MAX_BYTES) {
            (void)sink_fail(t->out, FAIL_TOO_LARGE, "Split the report.",
                            "line %u has more than %u bytes", e.line, LINE_MAX_BYTES);
        } else if (n > 0 && *line == '{') {
            (void)read_event(&e, line, n);
        }
        at = end + 1;
    }
    *is_any = e.is_go || e.is_dart;
    if (*is_any) {
        t->dialect = e.is_go ? "go" : "dart";
        t->tool = t->dialect;
        drop_hidden(&e);
    }
    for (size_t i = 0; i < e.len; i++) {
        buf_done(&e.list[i].output);
    }
    mem_free(e.list);
    mem_free(e.slots);
    return t->out->failed;
}
