/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a result. Code writes sentences from the lists, and answer/check holds every
 * name, count and class in them against the run as it does with a model's: what fails is not said.
 * Threads: none. Memory: the result's arena; a check copies nothing of the run.
 */
#include <stdio.h>
#include <string.h>

#include "answer/check/check.h"
#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define NAMED_MAX 3
#define NAME_BYTES 160
#define GIVEN_MAX 16
#define SAID_GROUPS 8
#define SAID_TESTS 6
#define COUNTS_MAX 24

/* ---- the check ---- */

struct checking {
    struct check_test *items;
    size_t items_len;
    struct check_count counts[COUNTS_MAX];
    size_t counts_len;
};

static enum check_outcome outcome_of(enum qa_state s)
{
    static const enum check_outcome map[] = {[QA_PASSED] = CHECK_PASSED,
                                             [QA_FAILED] = CHECK_FAILED,
                                             [QA_ERROR] = CHECK_ERRORED,
                                             [QA_SKIPPED] = CHECK_SKIPPED};
    return map[s];
}

static unsigned change_of(const struct qa_change *c)
{
    return (c->class == QA_NEW_FAILURE ? CHECK_CHANGE_NEW : 0u) |
           (c->class == QA_FIXED ? CHECK_CHANGE_FIXED : 0u) |
           (c->class == QA_PERSISTENT ? CHECK_CHANGE_PERSISTENT : 0u) |
           (c->flaky ? CHECK_CHANGE_FLAKY : 0u) |
           (c->class == QA_SLOWER ? CHECK_CHANGE_SLOWER : 0u);
}

static void add_count(struct checking *k, const char *words, size_t n)
{
    k->counts[k->counts_len++] = (struct check_count){words, (int64_t)n};
}

static void begin_check(struct qa_result *r, struct checking *k)
{
    const struct qa_counts *n = &r->now->counts;
    *k = (struct checking){.items = mem_alloc_array(r->changes_len + 1, sizeof(*k->items))};
    for (size_t i = 0; i < r->changes_len; i++) {
        const struct qa_change *c = &r->changes[i];
        if (c->now != NULL) {
            const struct qa_case *w = c->now->worst;
            k->items[k->items_len++] = (struct check_test){.name = w->name,
                                                           .suite = w->class_name,
                                                           .file = c->place.file,
                                                           .message = w->message,
                                                           .outcome = outcome_of(w->state),
                                                           .change = change_of(c)};
        }
    }
    add_count(k, "cause causes group groups", r->groups_len);
    add_count(k, "newly", r->classes[QA_NEW_SKIPPED]);
    add_count(k, "added", r->classes[QA_ADDED]);
    add_count(k, "removed", r->classes[QA_REMOVED]);
    add_count(k, "report reports", r->now->reports_len);
    add_count(k, "suite suites", (size_t)n->suites);
    add_count(k, "runs", r->before_len);
    for (size_t i = 0; i < r->groups_len && i < SAID_GROUPS; i++) {
        add_count(k, r->groups[i].cause, r->groups[i].count);
    }
    if (n->claimed) {
        add_count(k, "counted", (size_t)n->tests);
        add_count(k, "pass passed", (size_t)n->passed);
        add_count(k, "fail failed failing", (size_t)(n->failed + n->errors));
        add_count(k, "skipped", (size_t)n->skipped);
    }
}

/* given: what may stand as it is, beside the names of the runs. */
static bool check_one(const struct qa_result *r, const struct checking *k, const char *text,
                      const char *const *given, size_t given_len, struct check_result *why)
{
    const char *all[GIVEN_MAX + 2 + 1];
    size_t n = 0;
    all[n++] = r->now->name;
    if (r->before_len > 0) {
        all[n++] = r->before[r->before_len - 1]->name;
    }
    for (size_t i = 0; i < given_len && n < COUNT_OF(all); i++) {
        all[n++] = given[i];
    }
    struct check_tests in = {.text = text,
                             .len = strlen(text),
                             .lang = KNOWLEDGE_LANG_EN,
                             .items = k->items,
                             .item_count = k->items_len,
                             .counts = k->counts,
                             .count_count = k->counts_len,
                             .given = all,
                             .given_count = n};
    *why = check_tests(&in);
    return why->ok;
}

bool qa_check_sentence(struct qa_result *r, const char *text, const char *const *sources, size_t n,
                       const char **detail)
{
    struct checking k;
    struct check_result why;
    struct check_claim claim = {.verdict = CHECK_UNSUPPORTED};
    begin_check(r, &k);
    bool ok = check_one(r, &k, text, NULL, 0, &why);
    mem_free(k.items);
    if (ok) {
        check_claim(text, strlen(text), KNOWLEDGE_LANG_EN, sources, n, NULL, 0, &claim);
        ok = claim.verdict == CHECK_SUPPORTED;
        *detail = ok ? ""
                     : arena_printf(r->arena, "%s: %s", check_reason_text(claim.reason),
                                    claim.detail);
    } else {
        *detail = arena_printf(r->arena, "%s: %s", check_reason_text(why.reason), why.detail);
    }
    return ok;
}

/* ---- writing ---- */

struct writing {
    struct qa_result *r;
    struct checking check;
    struct qa_sentence *out;
    size_t max, len;
    struct buf text;
    const char *given[GIVEN_MAX]; /* of this sentence */
    size_t given_len;
};

static void give(struct writing *w, const char *text)
{
    if (w->given_len < GIVEN_MAX) {
        w->given[w->given_len++] = text;
    }
}

static void end_sentence(struct writing *w)
{
    struct check_result why;
    if (w->len < w->max && w->text.len > 0) {
        const char *text = arena_dup_strn(w->r->arena, w->text.data, w->text.len);
        bool ok = check_one(w->r, &w->check, text, w->given, w->given_len, &why);
        w->out[w->len++] = (struct qa_sentence){
            .text = text,
            .ok = ok,
            .detail = ok ? ""
                         : arena_printf(w->r->arena, "%s: %s", check_reason_name(why.reason),
                                        why.detail),
            .by = "code"};
    }
    buf_clear(&w->text);
    w->given_len = 0;
}

/* A name that can stand in back-ticks as it is. */
static bool is_sayable(const char *name)
{
    return name[0] != '\0' && strlen(name) <= NAME_BYTES && strpbrk(name, "`\n\t") == NULL &&
           name[0] != ' ' && name[strlen(name) - 1] != ' ' &&
           strncmp(name, "(unnamed case, ", 15) != 0; /* ours, not the report's */
}

static const char *name_of(const struct qa_change *c)
{
    return c->now != NULL ? c->now->shown : c->before->shown;
}

/* A test of this run is known to the check; one that was removed has to be given to it. */
static void add_tick(struct writing *w, const struct qa_change *c)
{
    (void)buf_printf(&w->text, "`%s`", name_of(c));
    if (c->now == NULL) {
        give(w, name_of(c));
    }
}

/* "`a`, `b` and 3 more" of changes[0..n) by index list */
static void add_names(struct writing *w, const uint32_t *list, size_t n)
{
    const struct qa_change *named[NAMED_MAX];
    size_t k = 0;
    for (size_t i = 0; i < n && k < NAMED_MAX; i++) {
        const struct qa_change *c = &w->r->changes[list[i]];
        if (is_sayable(name_of(c))) {
            named[k++] = c;
        }
    }
    for (size_t i = 0; i < k; i++) {
        (void)buf_add_str(&w->text, i == 0 ? "" : i + 1 == k && k == n ? " and " : ", ");
        add_tick(w, named[i]);
    }
    if (k < n) {
        const char *more = arena_printf(w->r->arena, "%zu", n - k);
        (void)buf_printf(&w->text, "%s%s %s", k > 0 ? " and " : "", more,
                         k > 0 ? "more" : n - k == 1 ? "test" : "tests");
        give(w, more);
    }
}

static const char *plural(size_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

static const char *seconds(struct arena *a, int64_t us)
{
    return us < 1000000 ? arena_printf(a, "%lld ms", (long long)((us + 500) / 1000))
                        : arena_printf(a, "%.1f s", (double)us / 1e6);
}

/* ---- the sentences ---- */

static void say_totals(struct writing *w)
{
    const struct qa_counts *n = &w->r->now->counts;
    if (n->claimed) {
        (void)buf_printf(&w->text,
                         "The report lists no case; it counted %lld: %lld passed, %lld failed, "
                         "%lld skipped.",
                         (long long)n->tests, (long long)n->passed,
                         (long long)(n->failed + n->errors), (long long)n->skipped);
    } else if (n->tests == 0) {
        (void)buf_add_str(&w->text, "The run holds no tests.");
    } else {
        (void)buf_printf(&w->text, "%lld %s: %lld passed, %lld failed, %lld skipped.",
                         (long long)n->tests, plural((size_t)n->tests, "test", "tests"),
                         (long long)n->passed, (long long)(n->failed + n->errors),
                         (long long)n->skipped);
    }
    end_sentence(w);
}

static void add_part(struct writing *w, size_t n, const char *one, const char *many)
{
    if (n > 0) {
        (void)buf_printf(&w->text, "%s%zu %s", w->text.len == 0 ? "" : ", ", n,
                         plural(n, one, many));
    }
}

static void say_changes(struct writing *w)
{
    const struct qa_result *r = w->r;
    size_t flaky = 0;
    if (r->before_len == 0) {
        return;
    }
    for (size_t i = 0; i < r->changes_len; i++) {
        flaky += r->changes[i].flaky ? 1 : 0;
    }
    add_part(w, r->classes[QA_NEW_FAILURE], "new failure", "new failures");
    add_part(w, r->classes[QA_PERSISTENT], "persistent failure", "persistent failures");
    add_part(w, r->classes[QA_FIXED], "fixed test", "fixed tests");
    add_part(w, flaky, "flaky test", "flaky tests");
    add_part(w, r->classes[QA_SLOWER], "slower test", "slower tests");
    add_part(w, r->classes[QA_NEW_SKIPPED], "newly skipped test", "newly skipped tests");
    add_part(w, r->classes[QA_ADDED], "test added", "tests added");
    add_part(w, r->classes[QA_REMOVED], "test removed", "tests removed");
    if (w->text.len == 0) {
        (void)buf_add_str(&w->text, "Nothing changed against the run before");
    }
    (void)buf_add_char(&w->text, '.');
    end_sentence(w);
}

static void say_groups(struct writing *w)
{
    struct qa_result *r = w->r;
    for (size_t i = 0; i < r->groups_len && i < SAID_GROUPS; i++) {
        const struct qa_group *g = &r->groups[i];
        (void)buf_printf(&w->text, "%zu %s by cause %s", g->count,
                         plural(g->count, "fails", "fail"), g->cause);
        if (g->rule[0] != '\0' && is_sayable(g->rule)) {
            (void)buf_printf(&w->text, " (%s)", g->rule);
            give(w, g->rule);
        }
        (void)buf_add_str(&w->text, ": ");
        add_names(w, g->changes, g->count);
        (void)buf_add_char(&w->text, '.');
        end_sentence(w);
    }
}

static void say_class(struct writing *w, enum qa_class class, const char *one, const char *many)
{
    struct qa_result *r = w->r;
    uint32_t list[SAID_TESTS];
    size_t n = 0;
    for (size_t i = 0; i < r->changes_len && n < SAID_TESTS; i++) {
        if (r->changes[i].class == class) {
            list[n++] = (uint32_t)i;
        }
    }
    if (n > 0) {
        add_names(w, list, n > NAMED_MAX ? NAMED_MAX : n);
        size_t all = r->classes[class];
        if (all > (n > NAMED_MAX ? NAMED_MAX : n)) {
            (void)buf_add_str(&w->text, " among others");
        }
        (void)buf_printf(&w->text, " %s.", plural(all, one, many));
        end_sentence(w);
    }
}

static void say_flaky(struct writing *w)
{
    struct qa_result *r = w->r;
    size_t n = 0;
    for (size_t i = 0; i < r->changes_len && n < SAID_TESTS; i++) {
        const struct qa_change *c = &r->changes[i];
        if (c->flaky && is_sayable(c->now->shown)) {
            add_tick(w, c);
            give(w, c->flaky_why);
            (void)buf_printf(&w->text, " is flaky: %s.", c->flaky_why);
            end_sentence(w);
            n++;
        }
    }
}

static void say_slower(struct writing *w)
{
    struct qa_result *r = w->r;
    size_t n = 0;
    for (size_t i = 0; i < r->changes_len && n < SAID_TESTS; i++) {
        const struct qa_change *c = &r->changes[i];
        if (c->class == QA_SLOWER && is_sayable(c->now->shown)) {
            const char *took = seconds(r->arena, c->now->us);
            const char *usual = seconds(r->arena, c->usual_us);
            add_tick(w, c);
            give(w, took);
            give(w, usual);
            (void)buf_printf(&w->text, " is slower: it took %s, %s is usual.", took, usual);
            end_sentence(w);
            n++;
        }
    }
}

size_t qa_sentences(struct qa_result *r, struct qa_sentence *out, size_t max)
{
    struct writing w = {.r = r, .out = out, .max = max};
    begin_check(r, &w.check);
    buf_init(&w.text, 16384);
    say_totals(&w);
    say_changes(&w);
    say_groups(&w);
    say_class(&w, QA_FIXED, "is fixed", "are fixed");
    say_flaky(&w);
    say_slower(&w);
    say_class(&w, QA_NEW_SKIPPED, "is skipped and ran before", "are skipped and ran before");
    say_class(&w, QA_REMOVED, "was removed", "were removed");
    buf_done(&w.text);
    mem_free(w.check.items);
    return w.len;
}

void qa_put_facts(const struct qa_result *r, struct buf *out)
{
    const struct qa_counts *n = &r->now->counts;
    (void)buf_printf(out, "tests: %lld, passed: %lld, failed: %lld, skipped: %lld\n",
                     (long long)n->tests, (long long)n->passed, (long long)(n->failed + n->errors),
                     (long long)n->skipped);
    if (r->before_len > 0) {
        (void)buf_printf(out, "new failures: %zu, fixed: %zu, persistent failures: %zu\n",
                         r->classes[QA_NEW_FAILURE], r->classes[QA_FIXED],
                         r->classes[QA_PERSISTENT]);
    }
    for (size_t i = 0; i < r->groups_len && i < SAID_GROUPS; i++) {
        const struct qa_group *g = &r->groups[i];
        const struct qa_change *c = &r->changes[g->changes[0]];
        (void)buf_printf(out, "cause %s: %zu failed, `%s`%s: %s\n", g->cause, g->count,
                         c->now->shown, g->count > 1 ? " and others" : "", g->headline);
    }
}
