/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report for people, as Markdown: verdict, sentences, causes, then the lists. Texts of a report
 * are data: they stand in back-ticks or are escaped, and nothing in them becomes a link or markup.
 * Threads: none. Limits: the room given; what does not fit is counted.
 */
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define LIST_MAX 200
#define GROUPS_MAX 60
#define MEMBERS_MAX 20
#define NAME_BYTES 300
#define HEADLINE_BYTES 240
#define TAIL_ROOM 400 /* kept for the last line */

struct page {
    const struct qa_page *p;
    struct buf *out;
    struct arena *scratch;
    size_t room;
    size_t left_out; /* lines */
    bool full;
};

/* A code span: as many back-ticks as it needs (CommonMark 6.1), one line. */
static const char *span(struct page *g, const char *s)
{
    const char *line = qa_one_line(g->scratch, s, NAME_BYTES);
    size_t most = 0, run = 0;
    for (const char *p = line; *p != '\0'; p++) {
        run = *p == '`' ? run + 1 : 0;
        most = run > most ? run : most;
    }
    char ticks[NAME_BYTES + 2];
    most = most > 20 ? 20 : most;
    memset(ticks, '`', most + 1);
    ticks[most + 1] = '\0';
    const char *pad = line[0] == '`' || (line[0] != '\0' && line[strlen(line) - 1] == '`') ||
                              line[0] == '\0'
                          ? " "
                          : "";
    return arena_printf(g->scratch, "%s%s%s%s%s", ticks, pad, line, pad, ticks);
}

/* One line or more, whole or not at all. */
static void put(struct page *g, const char *text)
{
    if (g->out->len + strlen(text) + TAIL_ROOM > g->room || g->full) {
        g->full = true;
        g->left_out++;
        return;
    }
    (void)buf_add_str(g->out, text);
}

static const char *show_us(struct page *g, int64_t us)
{
    return us < 0          ? ""
           : us < 1000000  ? arena_printf(g->scratch, "%lld ms", (long long)((us + 500) / 1000))
           : us < 60000000 ? arena_printf(g->scratch, "%.1f s", (double)us / 1e6)
                           : arena_printf(g->scratch, "%lld min %lld s",
                                          (long long)(us / 60000000),
                                          (long long)(us / 1000000 % 60));
}

static const char *where(struct page *g, const struct qa_change *c)
{
    const char *file = qa_one_line(g->scratch, c->place.file, NAME_BYTES);
    if (c->place.file[0] == '\0') {
        return "";
    }
    return c->place.line > 0
               ? arena_printf(g->scratch, " at %s",
                              span(g, arena_printf(g->scratch, "%s:%lld", file,
                                                   (long long)c->place.line)))
               : arena_printf(g->scratch, " in %s", span(g, file));
}

static const char *whose(struct page *g, const struct qa_change *c)
{
    return c->owner[0] == '\0'
               ? ""
               : arena_printf(g->scratch, ", likely %s (%s)", span(g, c->owner),
                              qa_one_line(g->scratch, c->owner_why, NAME_BYTES));
}

/* ---- parts ---- */

static void put_head(struct page *g)
{
    const struct qa_result *r = g->p->result;
    put(g, arena_printf(g->scratch, "# %s\n\n",
                        qa_one_line(g->scratch, g->p->title, NAME_BYTES)));
    put(g, arena_printf(g->scratch, "**Verdict: %s**", qa_verdict_name(r->verdict)));
    for (size_t i = 0; i < r->reasons_len; i++) {
        put(g, arena_printf(g->scratch, "%s%s", i == 0 ? ": " : ", ", r->reasons[i]));
    }
    put(g, ".\n\n");
    for (size_t i = 0; i < g->p->sentences_len; i++) {
        if (g->p->sentences[i].ok) {
            put(g, arena_printf(g->scratch, "- %s\n", g->p->sentences[i].text));
        }
    }
    put(g, "\n");
}

static void put_counts(struct page *g)
{
    const struct qa_result *r = g->p->result;
    put(g, "| run | tests | passed | failed | errors | skipped | flaky | time |\n"
           "|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i <= r->before_len; i++) {
        const struct qa_run *run = i == 0 ? r->now : r->before[r->before_len - i];
        const struct qa_counts *n = &run->counts;
        put(g, arena_printf(g->scratch, "| %s%s | %lld | %lld | %lld | %lld | %lld | %lld | %s |\n",
                            span(g, run->name), n->claimed ? " (counts only)" : "",
                            (long long)n->tests, (long long)n->passed, (long long)n->failed,
                            (long long)n->errors, (long long)n->skipped, (long long)n->flaky,
                            show_us(g, n->us)));
    }
    put(g, "\n");
}

static void put_groups(struct page *g)
{
    const struct qa_result *r = g->p->result;
    if (r->groups_len == 0) {
        return;
    }
    put(g, "## Causes\n\n");
    for (size_t i = 0; i < r->groups_len && i < GROUPS_MAX; i++) {
        const struct qa_group *m = &r->groups[i];
        put(g, arena_printf(g->scratch, "### %zu. %s: %s (%zu)%s\n\n", i + 1, m->cause,
                            span(g, m->said[0] != '\0' ? m->said : m->name), m->count,
                            m->is_new ? ", first seen in this run" : ""));
        if (m->headline[0] != '\0' && strcmp(m->headline, m->name) != 0) {
            put(g, arena_printf(g->scratch, "> %s\n\n",
                                span(g, qa_one_line(g->scratch, m->headline, HEADLINE_BYTES))));
        }
        for (size_t k = 0; k < m->count && k < MEMBERS_MAX; k++) {
            const struct qa_change *c = &r->changes[m->changes[k]];
            put(g, arena_printf(g->scratch, "- %s (%s)%s%s\n", span(g, c->now->shown),
                                qa_class_name(c->class), where(g, c), whose(g, c)));
        }
        if (m->count > MEMBERS_MAX) {
            put(g, arena_printf(g->scratch, "- and %zu more\n", m->count - MEMBERS_MAX));
        }
        put(g, "\n");
    }
    if (r->groups_len > GROUPS_MAX) {
        put(g, arena_printf(g->scratch, "And %zu more causes.\n\n", r->groups_len - GROUPS_MAX));
    }
}

static void put_broken(struct page *g)
{
    const struct qa_result *r = g->p->result;
    if (r->broken_len > 0) {
        put(g, "## Suites and reports that failed themselves\n\n");
    }
    for (size_t i = 0; i < r->broken_len && i < LIST_MAX; i++) {
        const struct qa_suite *s = r->broken[i];
        const char *said = qa_headline(g->scratch, "", s->message, s->trace);
        put(g, arena_printf(g->scratch, "- %s: %s\n",
                            span(g, s->name[0] == '\0' ? "(unnamed suite)" : s->name),
                            span(g, qa_one_line(g->scratch, said, HEADLINE_BYTES))));
    }
    put(g, r->broken_len > 0 ? "\n" : "");
}

static void put_change(struct page *g, const struct qa_change *c)
{
    const struct qa_test *t = c->now != NULL ? c->now : c->before;
    const char *more = "";
    if (c->class == QA_SLOWER) {
        more = arena_printf(g->scratch, ": %s, usually %s, expected at most %s",
                            show_us(g, c->now->us), show_us(g, c->usual_us),
                            show_us(g, c->limit_us));
    } else if (c->flaky) {
        more = arena_printf(g->scratch, ": %s", c->flaky_why);
    } else if (c->headline[0] != '\0') {
        more = arena_printf(g->scratch, ": %s",
                            span(g, qa_one_line(g->scratch, c->headline, HEADLINE_BYTES)));
    }
    put(g, arena_printf(g->scratch, "- %s%s%s%s\n", span(g, t->shown), where(g, c), more,
                        whose(g, c)));
}

static void put_lists(struct page *g)
{
    const struct qa_result *r = g->p->result;
    size_t in_class = 0;
    int last = -1;
    for (size_t i = 0; i < r->changes_len && r->changes[i].class != QA_SAME; i++) {
        const struct qa_change *c = &r->changes[i];
        in_class = (int)c->class == last ? in_class + 1 : 0;
        if ((int)c->class != last) {
            put(g, arena_printf(g->scratch, "%s## %s (%zu)\n\n", last < 0 ? "" : "\n",
                                qa_class_title(c->class), r->classes[c->class]));
            last = (int)c->class;
        }
        if (in_class < LIST_MAX) {
            put_change(g, c);
        } else if (in_class == LIST_MAX) {
            put(g, arena_printf(g->scratch, "- and %zu more\n", r->classes[c->class] - LIST_MAX));
        }
    }
    put(g, last < 0 ? "" : "\n");
}

static void put_doubts(struct page *g)
{
    const struct qa_run *run = g->p->result->now;
    if (run->disagreements_len > 0) {
        put(g, "## Counts that the cases do not bear out\n\n");
    }
    for (size_t i = 0; i < run->disagreements_len && i < LIST_MAX; i++) {
        const struct qa_disagreement *d = &run->disagreements[i];
        put(g, arena_printf(g->scratch,
                            "- %s (line %u): claims %lld %s, its cases come to %lld\n",
                            span(g, d->suite->name[0] == '\0' ? "(unnamed suite)"
                                                              : d->suite->name),
                            d->suite->at_line, (long long)d->claimed, d->what,
                            (long long)d->held));
    }
    put(g, run->disagreements_len > 0 ? "\n" : "");
}

void qa_put_markdown(const struct qa_page *p, size_t room, struct buf *out)
{
    struct page g = {.p = p, .out = out, .room = out->len + room,
                     .scratch = arena_new((size_t)256 << 20)};
    put_head(&g);
    put_counts(&g);
    put_broken(&g);
    put_groups(&g);
    put_lists(&g);
    put_doubts(&g);
    if (g.left_out > 0) {
        (void)buf_printf(out, "\n%zu more lines did not fit; the full report has them.\n",
                         g.left_out);
    }
    arena_free(g.scratch);
}
