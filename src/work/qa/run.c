/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run, from the sealed reader's blocks: reports, suites, cases; the tests that these are; the
 * counts, and where a report's own counts say something else.
 * Owns: the run's lists. Threads: none. Limits: qa.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define SUITES_MAX 400000u
#define DISAGREEMENTS_MAX 1000u

enum field {
#define TESTS_FIELD(name, path) FIELD_##name,
#include "run/document/document_tests.def"
#undef TESTS_FIELD
    FIELD_COUNT
};
static const char *const field_names[] = {
#define TESTS_FIELD(name, path) path,
#include "run/document/document_tests.def"
#undef TESTS_FIELD
};
static const char *const state_names[] = {"passed", "failed", "error", "skipped"};

const char *qa_state_name(enum qa_state s)
{
    return state_names[s];
}

bool qa_is_failing(enum qa_state s)
{
    return s == QA_FAILED || s == QA_ERROR;
}

struct qa_run *qa_run_new(const char *name)
{
    struct qa_run *run = mem_alloc(sizeof(*run));
    run->arena = arena_new(QA_ARENA_MAX);
    run->name = arena_dup_str(run->arena, name);
    return run;
}

void qa_run_free(struct qa_run *run)
{
    if (run != NULL) {
        mem_free(run->reports);
        mem_free(run->suites);
        mem_free(run->cases);
        arena_free(run->arena);
        mem_free(run);
    }
}

/* ---- blocks ---- */

struct adding {
    struct qa_run *run;
    uint32_t report, suites_from, cases_from;
    struct qa_attempt *attempts; /* of the last case */
    size_t attempts_len;
};

static void *grow(void *list, size_t *room, size_t len, size_t size)
{
    if (len < *room) {
        return list;
    }
    *room = *room == 0 ? 64 : *room * 2;
    return mem_realloc(list, *room * size);
}

static struct qa_suite *add_suite(struct qa_run *run, const char *name, uint32_t report,
                                  uint32_t at_line)
{
    run->suites = grow(run->suites, &run->suites_room, run->suites_len, sizeof(*run->suites));
    struct qa_suite *s = &run->suites[run->suites_len++];
    *s = (struct qa_suite){.name = name,
                           .message = "",
                           .trace = "",
                           .report = report,
                           .claim = {-1, -1, -1, -1, -1},
                           .us = -1,
                           .at_line = at_line};
    return s;
}

static struct qa_case *add_case(struct qa_run *run, const char *name, uint32_t report,
                                uint32_t at_line)
{
    run->cases = grow(run->cases, &run->cases_room, run->cases_len, sizeof(*run->cases));
    struct qa_case *c = &run->cases[run->cases_len++];
    *c = (struct qa_case){.name = name, .class_name = "", .display = "", .file = "", .type = "",
                          .message = "", .trace = "", .output = "", .us = -1, .report = report,
                          .at_line = at_line};
    return c;
}

static enum field field_of(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(field_names); i++) {
        if (strcmp(field_names[i], path) == 0) {
            return (enum field)i;
        }
    }
    return FIELD_COUNT;
}

static int64_t number_of(const struct document_block *b)
{
    int64_t v;
    return text_read_int(b->text, 0, INT64_MAX / 4, &v) ? v : -1;
}

static enum qa_state state_of(const struct document_block *b)
{
    for (size_t i = 0; i < COUNT_OF(state_names); i++) {
        if (strcmp(b->text, state_names[i]) == 0) {
            return (enum qa_state)i;
        }
    }
    return QA_ERROR;
}

static void set_report(struct qa_run *run, uint32_t report, enum field f, const char *text)
{
    struct qa_report *r = &run->reports[report];
    if (f == FIELD_DIALECT) {
        r->dialect = text;
    } else if (f == FIELD_TOOL) {
        r->tool = text;
    } else if (f == FIELD_STARTED) {
        r->started = text;
    }
}

static void set_suite(struct adding *a, struct qa_suite *s, enum field f,
                      const struct document_block *b, const char *text)
{
    int64_t v = number_of(b);
    int64_t *numbers[FIELD_COUNT] = {
        [FIELD_TESTS] = &s->claim.tests,     [FIELD_FAILURES] = &s->claim.failures,
        [FIELD_ERRORS] = &s->claim.errors,   [FIELD_SKIPPED] = &s->claim.skipped,
        [FIELD_DISABLED] = &s->claim.disabled, [FIELD_DURATION] = &s->us};
    if (f == FIELD_PARENT && v > 0 && a->suites_from + (uint64_t)v < a->run->suites_len) {
        s->parent = a->suites_from + (uint32_t)v;
    } else if (f == FIELD_MESSAGE) {
        s->message = text;
    } else if (f == FIELD_TRACE) {
        s->trace = text;
    } else if (f < FIELD_COUNT && numbers[f] != NULL) {
        *numbers[f] = v;
    } else {
        set_report(a->run, a->report, f, text);
    }
}

static void set_attempt(struct qa_attempt *t, enum field f, const struct document_block *b,
                        const char *text)
{
    if (f == FIELD_STATE) {
        t->state = state_of(b);
    } else if (f == FIELD_DURATION) {
        t->us = number_of(b);
    } else if (f == FIELD_TYPE) {
        t->type = text;
    } else if (f == FIELD_MESSAGE) {
        t->message = text;
    } else if (f == FIELD_TRACE) {
        t->trace = text;
    }
}

static void set_case(struct qa_case *c, enum field f, const struct document_block *b,
                     const char *text)
{
    const char **texts[FIELD_COUNT] = {
        [FIELD_CLASS] = &c->class_name, [FIELD_DISPLAY] = &c->display, [FIELD_FILE] = &c->file,
        [FIELD_TYPE] = &c->type,        [FIELD_MESSAGE] = &c->message, [FIELD_TRACE] = &c->trace,
        [FIELD_OUTPUT] = &c->output};
    if (f < FIELD_COUNT && texts[f] != NULL) {
        *texts[f] = text;
    } else if (f == FIELD_STATE) {
        c->state = state_of(b);
    } else if (f == FIELD_DURATION) {
        c->us = number_of(b);
    } else if (f == FIELD_LINE) {
        c->line = number_of(b) > 0 ? number_of(b) : 0;
    } else if (f == FIELD_FLAKY) {
        c->flaky = true;
    }
}

static void end_case(struct adding *a)
{
    if (a->attempts_len > 0) {
        struct qa_case *c = &a->run->cases[a->run->cases_len - 1];
        c->attempts = arena_dup(a->run->arena, a->attempts,
                                a->attempts_len * sizeof(*a->attempts));
        c->attempts_len = a->attempts_len;
        a->attempts_len = 0;
    }
}

static void add_value(struct adding *a, const struct document_block *b, const char *text)
{
    struct qa_run *run = a->run;
    enum field f = field_of(b->path);
    if (b->row == 0) {
        uint64_t at = a->suites_from + (uint64_t)b->table;
        if (at < run->suites_len) {
            set_suite(a, &run->suites[at], f, b, text);
        }
    } else if (run->cases_len > a->cases_from && b->level == 0) {
        set_case(&run->cases[run->cases_len - 1], f, b, text);
    } else if (run->cases_len > a->cases_from && b->level <= 255) {
        while (a->attempts_len < b->level) {
            a->attempts[a->attempts_len++] = (struct qa_attempt){.us = -1, .type = "",
                                                                 .message = "", .trace = ""};
        }
        set_attempt(&a->attempts[b->level - 1], f, b, text);
    }
}

static enum fail add_block(struct adding *a, const struct document_block *b, struct fault *why)
{
    struct qa_run *run = a->run;
    if (!arena_has_room(run->arena, b->len + 4096 + sizeof(struct qa_attempt) * 256) ||
        run->cases_len >= QA_CASES_MAX || run->suites_len >= SUITES_MAX) {
        (void)FAULT(why, FAIL_TOO_LARGE, "the run \"%s\" has too many cases or too long texts",
                    run->name);
        return fail_hint(why, "Give fewer reports at once.");
    }
    const char *text = b->len == 0 ? "" : arena_dup_strn(run->arena, b->text, b->len);
    if (b->kind == DOCUMENT_SUITE) {
        struct qa_suite *s = add_suite(run, text, a->report, b->line);
        s->parent = a->suites_from;
    } else if (b->kind == DOCUMENT_CASE) {
        end_case(a);
        struct qa_case *c = add_case(run, text, a->report, b->line);
        uint64_t suite = a->suites_from + (uint64_t)b->table;
        c->suite = suite < run->suites_len ? (uint32_t)suite : a->suites_from;
    } else if (b->kind == DOCUMENT_VALUE) {
        add_value(a, b, text);
    }
    return FAIL_NONE;
}

enum fail qa_run_add(struct qa_run *run, const struct document *d, const char *name,
                     struct fault *why)
{
    enum fail f = FAIL_NONE;
    struct adding a = {.run = run,
                       .report = (uint32_t)run->reports_len,
                       .suites_from = (uint32_t)run->suites_len,
                       .cases_from = (uint32_t)run->cases_len};
    run->reports = grow(run->reports, &run->reports_room, run->reports_len, sizeof(*run->reports));
    const char *kept = arena_dup_str(run->arena, name);
    run->reports[run->reports_len++] = (struct qa_report){
        .name = kept, .dialect = "", .tool = "", .started = "", .suite = a.suites_from};
    add_suite(run, kept, a.report, 0)->is_report = true;
    run->suites[a.suites_from].parent = a.suites_from;
    a.attempts = mem_alloc_array(256, sizeof(*a.attempts));
    for (size_t i = 0; i < d->blocks_len && f == FAIL_NONE; i++) {
        f = add_block(&a, &d->blocks[i], why);
    }
    if (run->cases_len > a.cases_from) {
        end_case(&a);
    }
    mem_free(a.attempts);
    return f;
}

/* ---- tests ---- */

/* "class.name"; a case without either is its own test. */
static const char *shown_of(struct qa_run *run, uint32_t i)
{
    const struct qa_case *c = &run->cases[i];
    if (c->name[0] == '\0' && c->class_name[0] == '\0') {
        return arena_printf(run->arena, "(unnamed case, %s line %u, #%u)",
                            run->reports[c->report].name, c->at_line, i + 1);
    }
    if (c->class_name[0] == '\0' || strcmp(c->class_name, c->name) == 0) {
        return c->name;
    }
    return c->name[0] == '\0' ? c->class_name
                              : arena_printf(run->arena, "%s.%s", c->class_name, c->name);
}

struct keyed {
    const char *shown;
    uint32_t index;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int d = strcmp(x->shown, y->shown);
    return d != 0 ? d : x->index < y->index ? -1 : x->index > y->index;
}

/* error, failed, passed, skipped: what decides a test of several cases */
static int weight(enum qa_state s)
{
    return s == QA_ERROR ? 3 : s == QA_FAILED ? 2 : s == QA_PASSED ? 1 : 0;
}

static bool same_place(const struct qa_run *run, const struct qa_case *a, const struct qa_case *b,
                       bool reruns)
{
    return (a->report == b->report || reruns) && strcmp(a->display, b->display) == 0 &&
           strcmp(run->suites[a->suite].name, run->suites[b->suite].name) == 0;
}

static const char *attempts_why(struct qa_run *run, const struct qa_case *c)
{
    size_t failing = 0, passed = c->state == QA_PASSED ? 1 : 0;
    for (size_t i = 0; i < c->attempts_len; i++) {
        failing += qa_is_failing(c->attempts[i].state) ? 1 : 0;
        passed += c->attempts[i].state == QA_PASSED ? 1 : 0;
    }
    return failing == 0 || passed == 0
               ? NULL
               : arena_printf(run->arena, "%zu of its %zu tries in this run did not pass", failing,
                              c->attempts_len);
}

static void find_flaky(struct qa_run *run, struct qa_test *t, bool reruns)
{
    for (uint32_t i = 0; i < t->count && t->flaky_why == NULL; i++) {
        const struct qa_case *c = &run->cases[run->order[t->first + i]];
        t->flaky_why = attempts_why(run, c);
        t->flaky_why = t->flaky_why == NULL && c->flaky ? "its report calls it flaky"
                                                        : t->flaky_why;
        for (uint32_t k = 0; k < i && k < 64 && t->flaky_why == NULL; k++) {
            const struct qa_case *o = &run->cases[run->order[t->first + k]];
            if (qa_is_failing(c->state) + qa_is_failing(o->state) == 1 &&
                (c->state == QA_PASSED || o->state == QA_PASSED) &&
                same_place(run, c, o, reruns)) {
                t->flaky_why = c->report == o->report ? "it came out both ways in one report"
                                                      : "it came out both ways in two reports";
            }
        }
    }
    t->flaky = t->flaky_why != NULL;
    t->flaky_why = t->flaky ? t->flaky_why : "";
}

static void add_test(struct qa_run *run, const struct keyed *keys, uint32_t first, uint32_t count,
                     bool reruns)
{
    struct qa_test *t = &run->tests[run->tests_len++];
    *t = (struct qa_test){.shown = keys[first].shown, .first = first, .count = count, .us = -1};
    for (uint32_t i = 0; i < count; i++) {
        const struct qa_case *c = &run->cases[keys[first + i].index];
        run->order[first + i] = keys[first + i].index;
        if (t->worst == NULL || weight(c->state) > weight(t->worst->state)) {
            t->worst = c;
        }
        if (c->us >= 0) {
            t->us = (t->us < 0 ? 0 : t->us) + c->us;
        }
    }
    t->name = t->worst->name;
    t->class_name = t->worst->class_name;
    t->state = t->worst->state;
    find_flaky(run, t, reruns);
}

static void find_tests(struct qa_run *run, bool reruns)
{
    size_t n = run->cases_len;
    struct keyed *keys = mem_alloc_array(n + 1, sizeof(*keys));
    run->order = arena_alloc(run->arena, (n + 1) * sizeof(*run->order));
    run->tests = arena_alloc(run->arena, (n + 1) * sizeof(*run->tests));
    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct keyed){shown_of(run, (uint32_t)i), (uint32_t)i};
    }
    qsort(keys, n, sizeof(*keys), by_key);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && strcmp(keys[end].shown, keys[i].shown) == 0) {
            end++;
        }
        add_test(run, keys, (uint32_t)i, (uint32_t)(end - i), reruns);
        i = end;
    }
    mem_free(keys);
}

static int by_shown(const void *key, const void *test)
{
    return strcmp(key, ((const struct qa_test *)test)->shown);
}

const struct qa_test *qa_run_find(const struct qa_run *run, const char *shown)
{
    return run->tests_len == 0
               ? NULL
               : bsearch(shown, run->tests, run->tests_len, sizeof(*run->tests), by_shown);
}

/* ---- counts ---- */

static void hold(struct qa_run *run, uint32_t suite, enum qa_state state)
{
    for (int depth = 0; depth < 1000; depth++) {
        struct qa_suite *s = &run->suites[suite];
        s->held.tests++;
        s->held.failures += state == QA_FAILED ? 1 : 0;
        s->held.errors += state == QA_ERROR ? 1 : 0;
        s->held.skipped += state == QA_SKIPPED ? 1 : 0;
        if (s->parent == suite) {
            return;
        }
        suite = s->parent;
    }
}

static void disagree(struct qa_run *run, const struct qa_suite *s, const char *what,
                     int64_t claimed, int64_t held)
{
    if (claimed >= 0 && claimed != held && run->disagreements_len < DISAGREEMENTS_MAX) {
        run->disagreements[run->disagreements_len++] =
            (struct qa_disagreement){s, what, claimed, held};
    }
}

/* A claim may leave skipped ones to "disabled", and count errors among failures. */
static void compare_claim(struct qa_run *run, const struct qa_suite *s)
{
    const struct qa_claim *c = &s->claim, *h = &s->held;
    int64_t skipped = c->skipped < 0 && c->disabled < 0
                          ? -1
                          : (c->skipped < 0 ? 0 : c->skipped) +
                                (c->disabled < 0 ? 0 : c->disabled);
    bool together = c->errors < 0 && c->failures == h->failures + h->errors;
    disagree(run, s, "tests", c->tests, h->tests);
    disagree(run, s, "failures", together ? -1 : c->failures, h->failures);
    disagree(run, s, "errors", c->errors, h->errors);
    disagree(run, s, "skipped", c->skipped == h->skipped ? -1 : skipped, h->skipped);
}

static int64_t at_least_0(int64_t v)
{
    return v < 0 ? 0 : v;
}

static void count_claims(struct qa_run *run, const struct qa_suite *s)
{
    struct qa_counts *n = &run->counts;
    int64_t skipped = at_least_0(s->claim.skipped) + at_least_0(s->claim.disabled);
    n->tests += at_least_0(s->claim.tests);
    n->failed += at_least_0(s->claim.failures);
    n->errors += at_least_0(s->claim.errors);
    n->skipped += skipped;
    n->claimed = n->claimed || s->claim.tests > 0;
}

static void count_all(struct qa_run *run)
{
    struct qa_counts *n = &run->counts;
    n->tests = (int64_t)run->tests_len;
    n->cases = (int64_t)run->cases_len;
    for (size_t i = 0; i < run->tests_len; i++) {
        int64_t *by_state[] = {&n->passed, &n->failed, &n->errors, &n->skipped};
        ++*by_state[run->tests[i].state];
        n->flaky += run->tests[i].flaky ? 1 : 0;
        n->us += at_least_0(run->tests[i].us);
    }
    for (size_t i = 0; i < run->suites_len; i++) {
        const struct qa_suite *s = &run->suites[i];
        n->suites += !s->is_report && s->leaf ? 1 : 0;
        /* without any case the claims are all there is: the report's, else its suites' */
        bool top = s->is_report ? s->claim.tests >= 0
                                : run->suites[s->parent].is_report &&
                                      run->suites[s->parent].claim.tests < 0;
        if (run->cases_len == 0 && top) {
            count_claims(run, s);
        }
        if (s->held.tests > 0 || run->cases_len > 0) {
            compare_claim(run, s);
        }
    }
    n->passed = n->claimed ? n->tests - n->failed - n->errors - n->skipped : n->passed;
}

enum fail qa_run_end(struct qa_run *run, bool reruns, struct fault *why)
{
    size_t need = (run->cases_len + 1) * (sizeof(struct qa_test) + 64) +
                  DISAGREEMENTS_MAX * sizeof(struct qa_disagreement);
    for (size_t i = 0; i < run->cases_len; i++) {
        need += strlen(run->cases[i].name) + strlen(run->cases[i].class_name) + 200;
    }
    if (!arena_has_room(run->arena, need)) {
        return FAULT(why, FAIL_TOO_LARGE, "the run \"%s\" has too many cases", run->name);
    }
    run->disagreements =
        arena_alloc(run->arena, DISAGREEMENTS_MAX * sizeof(*run->disagreements));
    bool *has_suites = mem_alloc_array(run->suites_len + 1, sizeof(*has_suites));
    bool *has_cases = mem_alloc_array(run->suites_len + 1, sizeof(*has_cases));
    for (size_t i = 0; i < run->cases_len; i++) {
        hold(run, run->cases[i].suite, run->cases[i].state);
        has_cases[run->cases[i].suite] = true;
    }
    for (size_t i = 0; i < run->suites_len; i++) {
        has_suites[run->suites[i].parent] = has_suites[run->suites[i].parent] ||
                                            run->suites[i].parent != i;
    }
    for (size_t i = 0; i < run->suites_len; i++) {
        run->suites[i].leaf = has_cases[i] || !has_suites[i];
    }
    mem_free(has_suites);
    mem_free(has_cases);
    find_tests(run, reruns);
    count_all(run);
    return FAIL_NONE;
}
