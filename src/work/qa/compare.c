/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run against the runs before it: one class a test, who owns it, and where it fails.
 * Owns: the result, in its arena. Threads: none. Limits: qa.h.
 */
#include <stdlib.h>
#include <string.h>

#include "work/qa/qa_internal.h"

static const char *const class_names[QA_CLASS_COUNT] = {
    "new_failure",    "failing",     "persistent", "new_flaky", "persistent_flaky",
    "fixed",          "resolved_flaky", "new_skipped", "unskipped", "slower",
    "added",          "removed",     "same"};
static const char *const class_titles[QA_CLASS_COUNT] = {
    "New failures",  "Failures",     "Persistent failures", "New flaky tests",
    "Flaky tests",   "Fixed",        "No longer flaky",     "Newly skipped",
    "Run again",     "Slower",       "Added",               "Removed", "Unchanged"};

const char *qa_class_name(enum qa_class c)
{
    return class_names[c];
}

const char *qa_class_title(enum qa_class c)
{
    return class_titles[c];
}

/* ---- history ---- */

/* What the runs say of one test, oldest first. */
struct history {
    const struct qa_test *of[QA_RUNS_MAX + 1]; /* NULL: it was not in that run */
    size_t n;
    const struct qa_test *last; /* of the last run before that has it */
    const struct qa_test *base; /* of the run before this one; NULL: not there */
};

static void look_back(const struct qa_result *r, const char *shown, struct history *h)
{
    *h = (struct history){.n = r->before_len};
    for (size_t i = 0; i < r->before_len; i++) {
        h->of[i] = qa_run_find(r->before[i], shown);
        h->last = h->of[i] != NULL ? h->of[i] : h->last;
    }
    h->base = r->before_len == 0 ? NULL : h->of[r->before_len - 1];
}

/* How often passing and failing took turns over the last `window` of runs that decided. */
static unsigned count_flips(const struct history *h, const struct qa_test *now, int64_t window)
{
    int before = -1;
    unsigned flips = 0;
    int64_t seen = 0;
    for (size_t k = h->n + 1; k > 0 && seen < window; k--) {
        const struct qa_test *t = k == h->n + 1 ? now : h->of[k - 1];
        if (t == NULL || t->state == QA_SKIPPED) {
            continue;
        }
        int failing = qa_is_failing(t->state) ? 1 : 0;
        flips += before >= 0 && failing != before ? 1 : 0;
        before = failing;
        seen++;
    }
    return flips;
}

static void count_failures(const struct history *h, struct qa_change *c)
{
    for (size_t i = 0; i < h->n; i++) {
        c->runs += h->of[i] != NULL && h->of[i]->state != QA_SKIPPED ? 1 : 0;
        c->failures += h->of[i] != NULL && qa_is_failing(h->of[i]->state) ? 1 : 0;
    }
}

static enum qa_class class_of_failing(const struct qa_result *r, const struct history *h)
{
    if (r->before_len == 0) {
        return QA_FAILING;
    }
    /* A test that was away or skipped in the run before, and failed when it last ran, goes on. */
    const struct qa_test *last = h->base;
    for (size_t i = r->before_len; i > 0 && (last == NULL || last->state == QA_SKIPPED); i--) {
        last = h->of[i - 1];
    }
    return last != NULL && qa_is_failing(last->state) ? QA_PERSISTENT : QA_NEW_FAILURE;
}

static enum qa_class class_of_good(const struct qa_result *r, const struct qa_test *now,
                                   const struct history *h)
{
    const struct qa_test *base = h->base;
    if (r->before_len == 0) {
        return QA_SAME;
    }
    if (base == NULL) {
        return h->last == NULL ? QA_ADDED
               : qa_is_failing(h->last->state) && now->state == QA_PASSED ? QA_FIXED
                                                                          : QA_ADDED;
    }
    if (now->state == QA_SKIPPED) {
        return base->state == QA_SKIPPED ? QA_SAME : QA_NEW_SKIPPED;
    }
    if (base->flaky && !now->flaky) {
        return QA_RESOLVED_FLAKY;
    }
    if (qa_is_failing(base->state)) {
        return QA_FIXED;
    }
    return base->state == QA_SKIPPED ? QA_UNSKIPPED : QA_SAME;
}

static void classify(struct qa_result *r, const struct qa_options *o, struct qa_change *c)
{
    struct history h;
    const struct qa_test *now = c->now;
    look_back(r, now->shown, &h);
    c->before = h.last;
    count_failures(&h, c);
    bool failing = qa_is_failing(now->state);
    unsigned flips = r->before_len > 1 ? count_flips(&h, now, o->window) : 0;
    bool back_and_forth = flips >= (unsigned)o->flips;
    c->flaky = now->flaky || (failing && back_and_forth);
    c->class = failing ? class_of_failing(r, &h) : class_of_good(r, now, &h);
    if (c->flaky) {
        struct history older = h;
        unsigned earlier = 0;
        if (h.n > 1) {
            older.n--;
            earlier = count_flips(&older, h.of[h.n - 1], o->window);
        }
        bool was = (h.base != NULL && h.base->flaky) || earlier >= (unsigned)o->flips;
        c->class = was ? QA_PERSISTENT_FLAKY : QA_NEW_FLAKY;
        c->flaky_why = now->flaky ? now->flaky_why
                                  : arena_printf(r->arena,
                                                 "it comes out both ways in turns, and did not "
                                                 "pass in %u of the %u runs before",
                                                 c->failures, c->runs);
    }
}

/* ---- owners ---- */

static void find_owner(struct qa_result *r, const struct qa_options *o,
                       const struct qa_owners *owners, struct qa_change *c)
{
    const struct qa_case *w = c->now->worst;
    int line = 0;
    for (size_t i = 0; i < o->owners_len; i++) {
        if (qa_rule_matches(&o->owners[i], w, c->now->shown, c->place.file)) {
            c->owner = o->owners[i].cause;
            c->owner_why = arena_printf(r->arena, "rule of line %d of the workflow",
                                        o->owners[i].line);
            return;
        }
    }
    const char *owner = qa_owners_find(owners, c->place.file, &line);
    if (owner != NULL) {
        c->owner = arena_dup_str(r->arena, owner);
        c->owner_why = arena_printf(r->arena, "CODEOWNERS line %d, by %s (from the %s)", line,
                                    c->place.file, c->place.how);
    }
}

/* ---- all tests ---- */

static void add_change(struct qa_result *r, const struct qa_options *o,
                       const struct qa_owners *owners, const struct qa_test *t)
{
    struct qa_change *c = &r->changes[r->changes_len++];
    *c = (struct qa_change){.now = t, .flaky_why = "", .headline = "", .owner = "",
                            .owner_why = "", .group = UINT32_MAX, .place = {"", 0, ""}};
    classify(r, o, c);
    if (qa_is_failing(t->state) || c->flaky) {
        const struct qa_case *w = t->worst;
        c->headline = qa_headline(r->arena, w->type, w->message, w->trace);
        for (size_t i = 0; i < w->attempts_len && c->headline[0] == '\0'; i++) {
            c->headline = qa_headline(r->arena, w->attempts[i].type, w->attempts[i].message,
                                      w->attempts[i].trace);
        }
        c->place = qa_find_place(r->arena, o, w);
        find_owner(r, o, owners, c);
    } else if (t->worst->state == QA_SKIPPED) {
        c->headline = qa_headline(r->arena, "", t->worst->message, t->worst->trace);
    }
}

static void add_removed(struct qa_result *r)
{
    const struct qa_run *base = r->before_len == 0 ? NULL : r->before[r->before_len - 1];
    for (size_t i = 0; base != NULL && i < base->tests_len; i++) {
        if (qa_run_find(r->now, base->tests[i].shown) == NULL) {
            r->changes[r->changes_len++] =
                (struct qa_change){.class = QA_REMOVED, .before = &base->tests[i], .flaky_why = "",
                                   .headline = "", .owner = "", .owner_why = "",
                                   .group = UINT32_MAX, .place = {"", 0, ""}};
        }
    }
}

static const char *shown_of(const struct qa_change *c)
{
    return c->now != NULL ? c->now->shown : c->before->shown;
}

static int by_class(const void *a, const void *b)
{
    const struct qa_change *x = a, *y = b;
    return x->class != y->class ? (x->class < y->class ? -1 : 1)
                                : strcmp(shown_of(x), shown_of(y));
}

static void find_broken(struct qa_result *r)
{
    const struct qa_run *run = r->now;
    r->broken = arena_alloc(r->arena, (run->suites_len + 1) * sizeof(struct qa_suite *));
    for (size_t i = 0; i < run->suites_len; i++) {
        if (run->suites[i].message[0] != '\0' || run->suites[i].trace[0] != '\0') {
            r->broken[r->broken_len++] = &run->suites[i];
        }
    }
}

struct qa_result *qa_compare(const struct qa_run *now, const struct qa_run *const *before, size_t n,
                             const struct qa_options *o, const struct qa_owners *owners)
{
    struct qa_result *r = mem_alloc(sizeof(*r));
    ASSERT(n <= QA_RUNS_MAX);
    size_t base = n == 0 ? 0 : before[n - 1]->tests_len;
    r->arena = arena_new(QA_ARENA_MAX * 2);
    r->now = now;
    r->before = before;
    r->before_len = n;
    r->pace = 1;
    r->changes = arena_alloc(r->arena, (now->tests_len + base + 1) * sizeof(*r->changes));
    for (size_t i = 0; i < now->tests_len; i++) {
        add_change(r, o, owners, &now->tests[i]);
    }
    add_removed(r);
    qa_find_slower(r, o);
    qsort(r->changes, r->changes_len, sizeof(*r->changes), by_class);
    for (size_t i = 0; i < r->changes_len; i++) {
        r->classes[r->changes[i].class]++;
    }
    find_broken(r);
    qa_group_failures(r, o);
    qa_judge(r, o);
    return r;
}

void qa_result_free(struct qa_result *r)
{
    if (r != NULL) {
        arena_free(r->arena);
        mem_free(r);
    }
}
