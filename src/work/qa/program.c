/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `qa`: reports in, a compared run out. Code decides and writes everything; a model is
 * asked for names of causes that no rule knows, and for one sentence over it all, and what it says
 * stands only where answer/check finds every name, number and class in the run.
 * Owns: nothing between runs. Threads: the run's. Limits: qa.h, OUTPUT_MAX an output, ASKED_MAX
 * causes.
 */
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "work/program/program.h"
#include "work/qa/qa_internal.h"

#define OUTPUT_MAX ((size_t)48 << 20)
#define MARKDOWN_MAX ((size_t)1 << 20)
#define SENTENCES_MAX 64
#define ASKED_MAX 8
#define NAME_CHARS 80
#define SAID_MAX 8
#define SOURCES_MAX 16
#define SOURCE_NAMES 8

struct work {
    struct program_run *run;
    const struct qa_options *o;
    struct qa_run *now, *before[QA_RUNS_MAX];
    size_t before_len;
    struct qa_owners *owners;
    struct qa_result *result;
    struct qa_sentence sentences[SENTENCES_MAX];
    size_t sentences_len;
    const char *model;    /* that is asked */
    size_t offered, kept; /* of a model's sentences and names */
};

/* ---- reading ---- */

static enum fail add_report(struct work *w, struct qa_run *run, const struct program_input *in,
                            struct fault *why)
{
    const struct document *d;
    const char *name = in->name[0] != '\0' ? in->name : "report";
    if (program_is_cancelled(w->run)) {
        return FAULT(why, FAIL_STOPPED, "stopped");
    }
    enum fail f = program_read(w->run, in, "tests", &d, why);
    f = f == FAIL_NONE ? qa_run_add(run, d, name, why) : f;
    for (size_t i = 0; f == FAIL_NONE && i < d->warnings_len; i++) {
        program_finding(w->run, &(struct program_finding){.code = "reader",
                                                          .level = PROGRAM_INFO,
                                                          .where = name,
                                                          .message = d->warnings[i]});
    }
    return f;
}

/* All inputs of a role are one run. */
static enum fail read_run(struct work *w, const char *role, struct qa_run **out, struct fault *why)
{
    size_t n = program_input_count(w->run, role);
    const struct program_input *first = program_input(w->run, role, 0);
    char name[200];
    enum fail f = FAIL_NONE;
    (void)text_copy(name, sizeof(name), first->name[0] != '\0' ? first->name : role);
    struct qa_run *run = qa_run_new(name);
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = add_report(w, run, program_input(w->run, role, i), why);
    }
    f = f == FAIL_NONE ? qa_run_end(run, qa_options_reruns(w->o), why) : f;
    *out = run;
    return f;
}

static enum fail read_history(struct work *w, struct fault *why)
{
    size_t n = program_input_count(w->run, "history");
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        const struct program_input *in = program_input(w->run, "history", i);
        struct qa_run *run = qa_run_new(in->name[0] != '\0' ? in->name : "earlier run");
        w->before[w->before_len++] = run;
        f = add_report(w, run, in, why);
        f = f == FAIL_NONE ? qa_run_end(run, qa_options_reruns(w->o), why) : f;
        program_progress(w->run, 0.1 + 0.3 * (double)(i + 1) / (double)n, NULL);
    }
    if (f == FAIL_NONE && program_input_count(w->run, "base") > 0) {
        f = read_run(w, "base", &w->before[w->before_len], why);
        w->before_len++;
    }
    return f;
}

static enum fail read_all(struct work *w, struct fault *why)
{
    const struct program_input *owners = program_input(w->run, "owners", 0);
    program_step(w->run, "read");
    enum fail f = read_run(w, "new", &w->now, why);
    f = f == FAIL_NONE ? read_history(w, why) : f;
    if (f == FAIL_NONE && owners != NULL) {
        w->owners = qa_owners_read(owners->bytes, owners->len);
    }
    return f;
}

/* ---- a model's words ---- */

static void drop(struct work *w, const char *text, const char *detail, const char *model)
{
    program_finding(w->run, &(struct program_finding){.code = "dropped_sentence",
                                                      .level = PROGRAM_INFO,
                                                      .where = model,
                                                      .quote = text,
                                                      .message = detail});
}

/* A name for a cause that no rule knows: words of the failure itself, no test's name. */
static void name_group(struct work *w, struct qa_group *g, const struct program_answer *a)
{
    const char *detail;
    const char *said = qa_one_line(w->result->arena, a->text, NAME_CHARS + 40);
    if (a->code != FAIL_NONE || said[0] == '\0') {
        return;
    }
    w->offered++;
    bool ok = text_utf8_count(said, strlen(said)) <= NAME_CHARS && !a->cut;
    detail = ok ? "" : "longer than a name is";
    const char *const sources[] = {g->headline};
    ok = ok && qa_check_sentence(w->result, said, sources, 1, &detail);
    if (ok) {
        g->said = said;
        w->kept++;
    } else {
        drop(w, said, detail, a->model);
    }
}

static void name_groups(struct work *w)
{
    struct program_ask asks[ASKED_MAX];
    struct qa_group *groups[ASKED_MAX];
    struct program_answer *answers = mem_alloc_array(ASKED_MAX, sizeof(*answers));
    struct fault why;
    size_t n = 0;
    for (size_t i = 0; i < w->result->groups_len && n < ASKED_MAX; i++) {
        struct qa_group *g = &w->result->groups[i];
        const char *prompt;
        const struct program_var vars[] = {{"message", g->headline}};
        if (g->rule[0] == '\0' && g->headline[0] != '\0' &&
            program_prompt(w->run, "cause", vars, 1, &prompt, &why) == FAIL_NONE) {
            asks[n] = (struct program_ask){
                .kind = PROGRAM_CHAT, .model = w->model, .text = prompt, .max_tokens = 24,
                .stop = "\n"};
            groups[n++] = g;
        }
    }
    if (n > 0) {
        program_ask_many(w->run, asks, n, answers);
    }
    for (size_t i = 0; i < n; i++) {
        name_group(w, groups[i], &answers[i]);
    }
    mem_free(answers);
}

static bool is_said(const struct work *w, const char *text)
{
    for (size_t i = 0; i < w->sentences_len; i++) {
        if (strcmp(w->sentences[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

/* The next sentence: up to a point, mark or line's end outside of back-ticks. It rather cuts too
   often: half a sentence does not hold, and is dropped. */
static size_t sentence_end(const char *s)
{
    bool code = false;
    size_t i = 0;
    for (; s[i] != '\0' && s[i] != '\n'; i++) {
        code = s[i] == '`' ? !code : code;
        if (!code && strchr(".!?", s[i]) != NULL && (s[i + 1] == ' ' || s[i + 1] == '\n')) {
            return i + 1;
        }
    }
    return i;
}

static void take_sentence(struct work *w, const char *text, bool cut, const char *const *sources,
                          size_t sources_len, const char *model)
{
    const char *detail = "the model was cut off in it";
    if (text[0] == '\0' || is_said(w, text) || w->sentences_len >= SENTENCES_MAX) {
        return;
    }
    w->offered++;
    bool ok = !cut && qa_check_sentence(w->result, text, sources, sources_len, &detail);
    w->kept += ok ? 1 : 0;
    w->sentences[w->sentences_len++] =
        (struct qa_sentence){.text = text, .ok = ok, .detail = detail, .by = model};
    if (!ok) {
        drop(w, text, detail, model);
    }
}

/* What the lists say of one cause, with the words that people say it with: what a model's sentence
   about it may rest on. */
static const char *group_source(struct work *w, const struct qa_group *g)
{
    struct buf b;
    struct arena *a = w->result->arena;
    buf_init(&b, 8192);
    (void)buf_add_str(&b, "The test, the tests ");
    for (size_t i = 0; i < g->count && i < SOURCE_NAMES; i++) {
        (void)buf_printf(&b, "%s`%s`", i > 0 ? ", " : "",
                         w->result->changes[g->changes[i]].now->shown);
    }
    (void)buf_printf(&b,
                     "%s failed and broke in this run with the error, failure, problem or issue, "
                     "due to the cause %s%s%s: %s",
                     g->count > SOURCE_NAMES ? " and others" : "", g->cause,
                     g->rule[0] != '\0' ? ", " : "", g->rule, g->headline);
    const char *text = b.data == NULL ? "" : arena_dup_strn(a, b.data, b.len);
    buf_done(&b);
    return text;
}

/* Each sentence of a model's summary by itself: what holds stands beside the code's. */
static void take_summary(struct work *w, const struct program_answer *a)
{
    const char *sources[SENTENCES_MAX + SOURCES_MAX];
    size_t sources_len = 0;
    const char *at = a->text;
    for (size_t i = 0; i < w->sentences_len; i++) {
        if (w->sentences[i].ok) {
            sources[sources_len++] = w->sentences[i].text;
        }
    }
    for (size_t i = 0; i < w->result->groups_len && i < SOURCES_MAX; i++) {
        sources[sources_len++] = group_source(w, &w->result->groups[i]);
    }
    for (size_t i = 0; i < SAID_MAX && *at != '\0'; i++) {
        size_t n = sentence_end(at);
        char *raw = arena_dup_strn(w->result->arena, at, n);
        const char *text = qa_one_line(w->result->arena, raw, 600);
        at += n;
        at += strspn(at, " \n");
        take_sentence(w, text, a->cut && *at == '\0', sources, sources_len, a->model);
    }
}

static void ask_summary(struct work *w)
{
    struct program_answer a;
    struct fault why;
    struct buf facts;
    const char *prompt;
    buf_init(&facts, 32768);
    qa_put_facts(w->result, &facts);
    const struct program_var vars[] = {{"facts", facts.data == NULL ? "" : facts.data}};
    if (program_prompt(w->run, "summary", vars, 1, &prompt, &why) == FAIL_NONE) {
        const struct program_ask ask = {
            .kind = PROGRAM_CHAT, .model = w->model, .text = prompt, .max_tokens = 160};
        if (program_ask(w->run, &ask, &a, &why) == FAIL_NONE) {
            take_summary(w, &a);
        }
    }
    buf_done(&facts);
}

/* Nothing that a model says changes a class, a count or the verdict. A job may wait for the heavy
   model: hardly anything that the light one says of a run holds. */
static void ask_models(struct work *w)
{
    w->model = program_has_model(w->run, "heavy") ? "heavy" : "light";
    if (w->result->groups_len == 0 || !program_has_model(w->run, w->model)) {
        return;
    }
    program_step(w->run, "model");
    if (program_has_prompt(w->run, "cause")) {
        name_groups(w);
    }
    if (program_has_prompt(w->run, "summary") && !program_is_cancelled(w->run)) {
        ask_summary(w);
    }
}

/* ---- what it leaves ---- */

static void put_output(struct work *w, const char *name, const char *type,
                       void (*write)(const struct qa_page *, struct buf *), const struct qa_page *p)
{
    struct buf b;
    buf_init(&b, OUTPUT_MAX);
    write(p, &b);
    if (b.overflow) {
        program_finding(w->run,
                        &(struct program_finding){.code = "output_left_out",
                                                  .level = PROGRAM_WARNING,
                                                  .where = name,
                                                  .message = "the output is longer than 48 MiB "
                                                             "and was left out"});
    } else {
        program_output(w->run, name, type, b.data == NULL ? "" : b.data, b.len);
    }
    buf_done(&b);
}

static void write_markdown(const struct qa_page *p, struct buf *out)
{
    qa_put_markdown(p, MARKDOWN_MAX, out);
}

static void put_number(struct work *w, const char *name, size_t v)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%zu", v);
    program_field(w->run, &(struct program_field){.name = name, .type = "number", .value = text,
                                                  .confidence = 1, .rung = LADDER_RULE});
}

static void put_fields(struct work *w)
{
    const struct qa_result *r = w->result;
    program_field(w->run, &(struct program_field){.name = "verdict",
                                                  .type = "choice",
                                                  .value = qa_verdict_name(r->verdict),
                                                  .confidence = 1,
                                                  .rung = LADDER_RULE});
    put_number(w, "tests", (size_t)r->now->counts.tests);
    put_number(w, "failing", (size_t)(r->now->counts.failed + r->now->counts.errors));
    put_number(w, "new_failures", r->classes[QA_NEW_FAILURE]);
    put_number(w, "fixed", r->classes[QA_FIXED]);
    put_number(w, "persistent", r->classes[QA_PERSISTENT]);
    put_number(w, "flaky", r->classes[QA_NEW_FLAKY] + r->classes[QA_PERSISTENT_FLAKY]);
    put_number(w, "slower", r->classes[QA_SLOWER]);
    put_number(w, "causes", r->groups_len);
}

static void put_items(struct work *w)
{
    const struct qa_result *r = w->result;
    for (size_t i = 0; i < r->groups_len && i < 2000; i++) {
        const struct qa_group *g = &r->groups[i];
        struct arena *a = r->arena;
        program_item(w->run,
                     &(struct program_item){
                         .id = g->fingerprint,
                         .group = g->cause,
                         .source = g->headline,
                         .value = g->said[0] != '\0' ? g->said : g->name,
                         .note = arena_printf(a, "%zu tests, %zu of them new; %s%s%s", g->count,
                                              g->fresh, r->changes[g->changes[0]].now->shown,
                                              g->owner[0] != '\0' ? "; likely " : "", g->owner),
                         .by = g->rule[0] != '\0' ? g->rule : "what they have in common",
                         .confidence = g->rule[0] != '\0' ? 1 : 0.5,
                         .rung = LADDER_RULE});
    }
}

static void put_checks(struct work *w)
{
    const struct qa_result *r = w->result;
    size_t wrong = 0, code = 0;
    char note[160];
    for (size_t i = 0; i < w->sentences_len; i++) {
        bool ours = strcmp(w->sentences[i].by, "code") == 0;
        code += ours ? 1 : 0;
        wrong += ours && !w->sentences[i].ok ? 1 : 0;
        if (ours && !w->sentences[i].ok) {
            drop(w, w->sentences[i].text, w->sentences[i].detail, "code");
        }
    }
    (void)snprintf(note, sizeof(note), "%zu of %zu sentences written by code hold", code - wrong,
                   code);
    program_check(w->run, &(struct program_check){"sentences_hold", wrong == 0, note});
    (void)snprintf(note, sizeof(note), "%zu of %zu offered by a model hold; the rest was dropped",
                   w->kept, w->offered);
    program_check(w->run, &(struct program_check){"model_sentences", true, note});
    (void)snprintf(note, sizeof(note), "%zu counts that the cases do not bear out",
                   r->now->disagreements_len);
    program_check(w->run,
                  &(struct program_check){"counts_agree", r->now->disagreements_len == 0, note});
}

static void put_section(struct work *w, const char *name, const char *title, const char *text)
{
    program_section(w->run, &(struct program_section){name, title, text});
}

static void put_sections(struct work *w)
{
    struct buf b;
    const struct qa_result *r = w->result;
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < w->sentences_len; i++) {
        if (w->sentences[i].ok) {
            (void)buf_printf(&b, "- %s\n", w->sentences[i].text);
        }
    }
    put_section(w, "summary", "Summary", b.data == NULL ? "" : b.data);
    buf_clear(&b);
    for (size_t i = 0; i < r->reasons_len; i++) {
        (void)buf_printf(&b, "- %s\n", r->reasons[i]);
    }
    put_section(w, "verdict", "Why this verdict", b.data == NULL ? "" : b.data);
    buf_done(&b);
}

static void leave(struct work *w)
{
    const struct qa_result *r = w->result;
    program_step(w->run, "write");
    const char *title =
        arena_printf(r->arena, "%s: %s%s%s", qa_verdict_name(r->verdict), r->now->name,
                     r->before_len > 0 ? " against " : "",
                     r->before_len > 0 ? r->before[r->before_len - 1]->name : "");
    struct qa_page page = {.result = r,
                           .sentences = w->sentences,
                           .sentences_len = w->sentences_len,
                           .title = title,
                           .now = program_now(w->run)};
    program_title(w->run, title);
    put_sections(w);
    put_fields(w);
    put_items(w);
    put_checks(w);
    const char *format = program_format(w->run);
    bool all = strcmp(format, "all") == 0 || format[0] == '\0';
    if (all || strcmp(format, "markdown") == 0) {
        put_output(w, "report.md", "text/markdown", write_markdown, &page);
    }
    if (all || strcmp(format, "ctrf") == 0) {
        put_output(w, "ctrf.json", "application/json", qa_put_ctrf, &page);
    }
    if (all || strcmp(format, "github") == 0) {
        put_output(w, "github-check.json", "application/json", qa_put_github, &page);
    }
    if (all || strcmp(format, "json") == 0) {
        put_output(w, "regression.json", "application/json", qa_put_json, &page);
    }
}

/* ---- the program ---- */

static enum fail qa_run(struct program_run *run, const void *options, struct fault *why)
{
    struct work *w = mem_alloc(sizeof(*w));
    w->run = run;
    w->o = options;
    enum fail f = read_all(w, why);
    if (f == FAIL_NONE) {
        program_step(run, "compare");
        program_progress(run, 0.5, "comparing");
        w->result = qa_compare(w->now, (const struct qa_run *const *)w->before, w->before_len,
                               w->o, w->owners);
        w->sentences_len = qa_sentences(w->result, w->sentences, SENTENCES_MAX - SAID_MAX);
        program_progress(run, 0.7, NULL);
        ask_models(w);
        f = program_is_cancelled(run) ? FAULT(why, FAIL_STOPPED, "stopped") : FAIL_NONE;
    }
    if (f == FAIL_NONE) {
        leave(w);
    }
    qa_result_free(w->result);
    qa_owners_free(w->owners);
    for (size_t i = 0; i < w->before_len; i++) {
        qa_run_free(w->before[i]);
    }
    qa_run_free(w->now);
    mem_free(w);
    return f;
}

static void *read_options(const struct config_node *map, struct config_faults *faults)
{
    return qa_options_read(map, faults);
}

static const struct program_role roles[] = {
    {"new", "reports of the run to look at", 1, PROGRAM_INPUTS_MAX},
    {"base", "reports of the run to compare with", 0, PROGRAM_INPUTS_MAX},
    {"history", "earlier runs, a report (or zip) each, oldest first", 0, QA_RUNS_MAX - 1},
    {"owners", "a CODEOWNERS file", 0, 1}};
static const char *const formats[] = {"all", "markdown", "ctrf", "github", "json", NULL};
static const char *const prompts[] = {"cause", "summary", NULL};

const struct program_ops qa_program = {.name = "qa",
                                       .title = "what broke since the base run",
                                       .roles = roles,
                                       .roles_len = COUNT_OF(roles),
                                       .formats = formats,
                                       .prompts = prompts,
                                       .options = read_options,
                                       .options_free = qa_options_free,
                                       .run = qa_run};
