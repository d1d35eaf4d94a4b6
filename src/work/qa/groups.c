/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures by cause: the team's rules first, then what the failures have in common; and the verdict
 * of the run.
 * Threads: none. Memory: the result's arena.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work/qa/qa_internal.h"

#define REASONS_MAX 16
#define PAST_MAX 50000u
#define CAUSE_UNKNOWN "unknown"
/* A cause whose messages say what was compared, not what broke: its groups hold one place each. */
#define CAUSE_ASSERTION "assertion"

/* ---- groups ---- */

struct failing {
    uint32_t change;
    const struct qa_rule *rule;
    const char *fingerprint;
};

static const char *print_of(struct arena *a, const struct qa_rule *rule, const struct qa_case *c,
                            const char *headline)
{
    bool frame = rule == NULL ? headline[0] == '\0' : strcmp(rule->cause, CAUSE_ASSERTION) == 0;
    return qa_fingerprint(a, c, headline, frame);
}

static int by_group(const void *a, const void *b)
{
    const struct failing *x = a, *y = b;
    int d = (x->rule == NULL) - (y->rule == NULL);
    d = d != 0 || x->rule == y->rule ? d : x->rule < y->rule ? -1 : 1;
    d = d != 0 ? d : strcmp(x->fingerprint, y->fingerprint);
    return d != 0 ? d : x->change < y->change ? -1 : x->change > y->change;
}

static int by_weight(const void *a, const void *b)
{
    const struct qa_group *x = a, *y = b;
    if ((x->fresh > 0) != (y->fresh > 0)) {
        return x->fresh > 0 ? -1 : 1;
    }
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return strcmp(x->fingerprint, y->fingerprint);
}

/* What failed in the runs before: rule and fingerprint of each failure, sorted, up to PAST_MAX. */
struct past {
    struct arena *arena;
    struct failing *list;
    size_t len;
};

static int by_print(const void *a, const void *b)
{
    const struct failing *x = a, *y = b;
    int d = (x->rule == NULL) - (y->rule == NULL);
    d = d != 0 || x->rule == y->rule ? d : x->rule < y->rule ? -1 : 1;
    return d != 0 ? d : strcmp(x->fingerprint, y->fingerprint);
}

static const struct qa_rule *find_case_rule(const struct qa_options *o, const struct qa_case *c,
                                            const char *shown, const char *file)
{
    for (size_t i = 0; i < o->rules_len; i++) {
        if (qa_rule_matches(&o->rules[i], c, shown, file)) {
            return &o->rules[i];
        }
    }
    return NULL;
}

static void look_at_past(const struct qa_result *r, const struct qa_options *o, struct past *p)
{
    *p = (struct past){.arena = arena_new((size_t)256 << 20)};
    p->list = mem_alloc_array(PAST_MAX, sizeof(*p->list));
    for (size_t i = r->before_len; i > 0; i--) {
        const struct qa_run *run = r->before[i - 1];
        for (size_t k = 0; k < run->tests_len && p->len < PAST_MAX; k++) {
            const struct qa_case *c = run->tests[k].worst;
            if (qa_is_failing(run->tests[k].state) && arena_has_room(p->arena, 1u << 20)) {
                const struct qa_rule *rule = find_case_rule(o, c, run->tests[k].shown, c->file);
                const char *headline = qa_headline(p->arena, c->type, c->message, c->trace);
                p->list[p->len++] =
                    (struct failing){0, rule, print_of(p->arena, rule, c, headline)};
            }
        }
    }
    qsort(p->list, p->len, sizeof(*p->list), by_print);
}

static const char *owner_of_most(const struct qa_result *r, const struct qa_group *g)
{
    const char *best = "";
    size_t most = 0;
    for (size_t i = 0; i < g->count && i < 200; i++) {
        const char *owner = r->changes[g->changes[i]].owner;
        size_t n = 0;
        for (size_t k = 0; k < g->count && k < 200; k++) {
            n += strcmp(r->changes[g->changes[k]].owner, owner) == 0 ? 1 : 0;
        }
        if (owner[0] != '\0' && n > most) {
            most = n;
            best = owner;
        }
    }
    return most * 2 > (g->count > 200 ? 200 : g->count) ? best : "";
}

static void make_group(struct qa_result *r, const struct past *past, const struct failing *list,
                       size_t n)
{
    struct qa_group *g = &r->groups[r->groups_len++];
    const struct qa_rule *rule = list[0].rule;
    uint32_t *members = arena_alloc(r->arena, n * sizeof(*members));
    *g = (struct qa_group){.cause = rule == NULL ? CAUSE_UNKNOWN
                                                 : arena_dup_str(r->arena, rule->cause),
                           .rule = rule == NULL ? "" : arena_dup_str(r->arena, rule->name),
                           .fingerprint = list[0].fingerprint,
                           .headline = r->changes[list[0].change].headline,
                           .changes = members,
                           .count = n,
                           .said = ""};
    for (size_t i = 0; i < n; i++) {
        members[i] = list[i].change;
        g->fresh += r->changes[list[i].change].class == QA_NEW_FAILURE ? 1 : 0;
    }
    g->name = rule != NULL ? g->rule
              : g->headline[0] != '\0' ? qa_one_line(r->arena, g->headline, 120)
                                       : "a failure without a message";
    g->is_new = r->before_len > 0 &&
                bsearch(&list[0], past->list, past->len, sizeof(*past->list), by_print) == NULL;
    g->owner = owner_of_most(r, g);
}

void qa_group_failures(struct qa_result *r, const struct qa_options *o)
{
    size_t n = 0;
    struct failing *list = mem_alloc_array(r->changes_len + 1, sizeof(*list));
    for (size_t i = 0; i < r->changes_len; i++) {
        struct qa_change *c = &r->changes[i];
        if (c->now != NULL && qa_is_failing(c->now->state)) {
            const struct qa_rule *rule =
                find_case_rule(o, c->now->worst, c->now->shown, c->place.file);
            list[n++] = (struct failing){
                (uint32_t)i, rule, print_of(r->arena, rule, c->now->worst, c->headline)};
        }
    }
    qsort(list, n, sizeof(*list), by_group);
    r->groups = arena_alloc(r->arena, (n + 1) * sizeof(*r->groups));
    struct past past = {0};
    if (n > 0) {
        look_at_past(r, o, &past);
    }
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && list[end].rule == list[i].rule &&
               strcmp(list[end].fingerprint, list[i].fingerprint) == 0) {
            end++;
        }
        make_group(r, &past, list + i, end - i);
        i = end;
    }
    mem_free(list);
    mem_free(past.list);
    arena_free(past.arena);
    qsort(r->groups, r->groups_len, sizeof(*r->groups), by_weight);
    for (size_t i = 0; i < r->groups_len; i++) {
        for (size_t k = 0; k < r->groups[i].count; k++) {
            r->changes[r->groups[i].changes[k]].group = (uint32_t)i;
        }
    }
}

/* ---- the verdict ---- */

const char *qa_verdict_name(enum qa_verdict v)
{
    static const char *const names[] = {"fine", "attention", "blocked"};
    return names[v];
}

static bool is_soft(const struct qa_options *o, const char *cause)
{
    for (size_t i = 0; i < o->soft_len; i++) {
        if (strcmp(o->soft[i], cause) == 0) {
            return true;
        }
    }
    return false;
}

struct judging {
    struct qa_result *r;
    const char *reasons[REASONS_MAX];
    size_t n;
};

static void say(struct judging *j, enum qa_verdict at_least, size_t n, const char *one,
                const char *many)
{
    if (n > 0 && j->n < REASONS_MAX) {
        j->reasons[j->n++] = arena_printf(j->r->arena, "%zu %s", n, n == 1 ? one : many);
        j->r->verdict = at_least > j->r->verdict ? at_least : j->r->verdict;
    }
}

/* docs/reference/qa-regression.md, "The verdict" */
void qa_judge(struct qa_result *r, const struct qa_options *o)
{
    struct judging j = {.r = r};
    size_t hard = 0, soft = 0, listed_none = 0;
    for (size_t i = 0; i < r->changes_len; i++) {
        const struct qa_change *c = &r->changes[i];
        if (c->class == QA_NEW_FAILURE || c->class == QA_FAILING) {
            bool is = is_soft(o, r->groups[c->group].cause);
            soft += is ? 1 : 0;
            hard += is ? 0 : 1;
        }
    }
    if (r->now->counts.claimed) {
        listed_none = (size_t)(r->now->counts.failed + r->now->counts.errors);
    }
    bool base = r->before_len > 0;
    say(&j, QA_BLOCKED, hard, base ? "new failure that blocks" : "failure that blocks",
        base ? "new failures that block" : "failures that block");
    say(&j, QA_BLOCKED, r->broken_len, "suite or report that failed itself",
        "suites or reports that failed themselves");
    say(&j, QA_BLOCKED, listed_none, "failure that the report counts without listing it",
        "failures that the report counts without listing them");
    say(&j, QA_ATTENTION, r->now->tests_len == 0 && r->now->counts.tests == 0 ? 1 : 0,
        "run without a single test", "");
    say(&j, QA_ATTENTION, soft, "failure of a cause that does not block",
        "failures of causes that do not block");
    say(&j, QA_ATTENTION, r->classes[QA_PERSISTENT], "persistent failure", "persistent failures");
    say(&j, QA_ATTENTION, r->classes[QA_NEW_FLAKY], "new flaky test", "new flaky tests");
    say(&j, QA_ATTENTION, r->classes[QA_PERSISTENT_FLAKY], "test that goes on being flaky",
        "tests that go on being flaky");
    say(&j, QA_ATTENTION, r->classes[QA_REMOVED], "test removed", "tests removed");
    say(&j, QA_ATTENTION, r->classes[QA_NEW_SKIPPED], "test newly skipped", "tests newly skipped");
    say(&j, QA_ATTENTION, r->classes[QA_SLOWER], "slower test", "slower tests");
    say(&j, QA_ATTENTION, r->now->disagreements_len, "count that its cases do not bear out",
        "counts that their cases do not bear out");
    r->reasons = arena_dup(r->arena, j.reasons, sizeof(j.reasons));
    r->reasons_len = j.n;
}
