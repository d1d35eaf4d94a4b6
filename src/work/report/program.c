/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `report`: inputs to one table, the table to the report, a model's sentences only
 * where every claim of them is found, and the outputs. Owns: nothing beyond a run. Threads: the
 * run's.
 * Limits: CHARTS_MAX charts as files of their own; COMMENT_TOKENS a section.
 */
#include <stdio.h>
#include <string.h>

#include "work/program/program.h"
#include "work/report/program_internal.h"

#define CHARTS_MAX 24
#define COMMENT_TOKENS 120
#define OUTPUT_BYTES ((size_t)24 << 20)

/* What one run holds. */
struct work {
    struct program_run *run;
    const struct report_template *t;
    struct report_grid *grid;
    struct report_table *table;
    struct report *r;
    struct report_dashboard from;
};

static void *read_options(const struct config_node *options, struct config_faults *faults)
{
    if (options == NULL) {
        config_faults_add(faults, 0, "options", "docs/reference/standard-report.md describes them.",
                          "a report needs options with its sections");
        return NULL;
    }
    return report_template_read(options, faults);
}

static void free_options(void *options)
{
    report_template_free(options);
}

/* ---- in ---- */

static void hash_of(const struct program_input *in, char hex[TEXT_SHA256_HEX_SIZE])
{
    uint8_t hash[32];
    text_sha256(in->bytes, in->len, hash);
    text_hex(hash, sizeof(hash), hex);
}

static enum fail read_files(struct work *w, struct fault *why)
{
    size_t n = program_input_count(w->run, "table");
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        const struct program_input *in = program_input(w->run, "table", i);
        const struct document *d = NULL;
        char hex[TEXT_SHA256_HEX_SIZE];
        hash_of(in, hex);
        struct report_file file = {in->name[0] == '\0' ? "table" : in->name, NULL, hex};
        f = program_read(w->run, in, NULL, &d, why);
        f = f != FAIL_NONE ? f : report_grid_document(w->grid, &file, d, why);
        program_progress(w->run, 0.4 * (double)(i + 1) / (double)n, "reading");
    }
    w->from = (struct report_dashboard){
        REPORT_FROM_FILES, n > 0 ? program_input(w->run, "table", 0)->name : "", NULL};
    return f;
}

static enum fail read_input(struct work *w, struct fault *why)
{
    const char *source = program_param(w->run, "source"), *query = program_param(w->run, "query");
    bool files = program_input_count(w->run, "table") > 0;
    if ((source != NULL) != (query != NULL) || files == (source != NULL)) {
        (void)FAULT(why, FAIL_BAD_REQUEST,
                    "a report is made from files, or from a query of a source");
        return fail_hint(why, "Give files, or --set source=NAME and --set query=\"SELECT ...\".");
    }
    return files ? read_files(w, why)
                 : report_read_source(w->run, source, query, w->grid, &w->from, why);
}

/* ---- a model's sentences ---- */

static void list_dropped(struct work *w, const struct report_part *part)
{
    for (size_t i = 0; i < part->comments_len; i++) {
        const struct report_comment *c = &part->comments[i];
        if (c->verdict != REPORT_CLAIM_OK) {
            char message[200];
            snprintf(message, sizeof(message), "A sentence was dropped: %s%s%s.",
                     report_verdict_text(c->verdict), c->detail[0] == '\0' ? "" : ": ", c->detail);
            program_finding(w->run, &(struct program_finding){.code = "dropped_sentence",
                                                              .level = PROGRAM_WARNING,
                                                              .where = part->name,
                                                              .quote = c->text.text,
                                                              .message = message});
        }
    }
}

static enum fail comment(struct work *w, size_t part, struct fault *why)
{
    const char *prompt = NULL;
    struct program_answer answer;
    struct buf facts;
    buf_init(&facts, 8192);
    report_comment_facts(w->r, part, &facts);
    enum fail f = program_prompt(w->run, "comment", NULL, 0, &prompt, why);
    if (f == FAIL_NONE && facts.len > 0) {
        struct program_ask ask = {.kind = PROGRAM_CHAT,
                                  .system = prompt,
                                  .text = facts.data,
                                  .max_tokens = COMMENT_TOKENS};
        f = program_ask(w->run, &ask, &answer, why);
        if (f == FAIL_NONE) {
            (void)report_comment_take(w->r, part, answer.text, answer.len);
        }
    }
    buf_done(&facts);
    /* Without a model, or with one that failed, the report is the code's alone. */
    return f == FAIL_STOPPED ? f : FAIL_NONE;
}

static enum fail comment_all(struct work *w, struct fault *why)
{
    enum fail f = FAIL_NONE;
    if (!program_has_prompt(w->run, "comment") || !program_has_model(w->run, NULL)) {
        return FAIL_NONE;
    }
    for (size_t i = 0; i < w->r->parts_len && f == FAIL_NONE; i++) {
        f = w->r->parts[i].comment ? comment(w, i, why) : FAIL_NONE;
        list_dropped(w, &w->r->parts[i]);
        program_progress(w->run, 0.5 + 0.4 * (double)(i + 1) / (double)w->r->parts_len, "comments");
    }
    return f;
}

/* ---- out ---- */

static void put(struct work *w, const char *name, const char *type,
                bool (*write)(const struct report *, struct buf *))
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES);
    if (write(w->r, &b)) {
        program_output(w->run, name, type, b.data, b.len);
    }
    buf_done(&b);
}

static void put_charts(struct work *w)
{
    for (size_t i = 0; i < report_charts(w->r) && i < CHARTS_MAX; i++) {
        struct buf b;
        char name[32];
        buf_init(&b, OUTPUT_BYTES);
        report_chart_name(i, name);
        if (report_write_svg(w->r, report_chart_get(w->r, i), &b)) {
            program_output(w->run, name, "image/svg+xml", b.data, b.len);
        }
        buf_done(&b);
    }
}

static enum fail put_dashboard(struct work *w, struct fault *why)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES);
    size_t panels = report_write_grafana(w->r, &w->from, &b);
    enum fail f = panels > 0 ? report_try_panels(w->run, &b, why)
                             : FAULT(why, FAIL_BAD_REQUEST, "no row of the template could be made");
    if (f == FAIL_NONE) {
        program_output(w->run, "dashboard.json", "application/json", b.data, b.len);
    }
    buf_done(&b);
    return f;
}

static enum fail put_outputs(struct work *w, struct fault *why)
{
    const char *as = program_format(w->run);
    enum fail f = FAIL_NONE;
    if (strcmp(as, "grafana") == 0) {
        f = put_dashboard(w, why);
    } else if (strcmp(as, "html") == 0) {
        put(w, "report.html", "text/html", report_write_html);
    } else if (strcmp(as, "markdown") == 0) {
        put(w, "report.md", "text/markdown", report_write_markdown);
        put_charts(w);
    }
    put(w, "report.json", "application/json", report_write_json);
    return f;
}

static void put_part(struct work *w, const struct report_part *part)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < part->lines_len; i++) {
        const struct report_line *l = &part->lines[i];
        for (size_t k = 0; k < l->sentences_len; k++) {
            (void)buf_printf(&b, "- %s\n", l->sentences[k].text);
        }
        if (l->missing != NULL) {
            (void)buf_printf(&b, "- %s: %s\n", l->name, l->missing);
            program_finding(w->run, &(struct program_finding){
                                        .code = "missing_row",
                                        .level = l->required ? PROGRAM_ERROR : PROGRAM_INFO,
                                        .where = part->name,
                                        .quote = l->name,
                                        .message = "A row of the template could not be made.",
                                        .source = l->missing});
        }
    }
    for (size_t i = 0; i < part->comments_len; i++) {
        if (part->comments[i].verdict == REPORT_CLAIM_OK) {
            (void)buf_printf(&b, "\n%s\n", part->comments[i].text.text);
        }
    }
    program_section(w->run, &(struct program_section){part->name, part->title.text,
                                                      b.data == NULL ? "" : b.data});
    buf_done(&b);
}

static void put_odd(struct work *w)
{
    for (size_t i = 0; i < w->r->odd_len; i++) {
        const struct report_odd *o = &w->r->odd[i];
        struct buf where;
        buf_init(&where, 4096);
        report_trace(w->r, o->value, &where);
        program_finding(w->run,
                        &(struct program_finding){.code = "anomaly",
                                                  .level = PROGRAM_WARNING,
                                                  .where = w->r->values[o->period].shown,
                                                  .quote = w->r->values[o->value].shown,
                                                  .message = "It is outside its usual range.",
                                                  .source = where.data == NULL ? "" : where.data});
        buf_done(&where);
    }
}

static size_t verified_in(const struct report *r, const struct report_part *part)
{
    char detail[80];
    size_t n = 0;
    for (size_t i = 0; i < part->lines_len; i++) {
        for (size_t k = 0; k < part->lines[i].sentences_len; k++) {
            const char *s = part->lines[i].sentences[k].text;
            n += report_check_sentence(r, s, strlen(s), detail, sizeof(detail)) == REPORT_CLAIM_OK
                     ? 1
                     : 0;
        }
    }
    return n;
}

/* What a person must look at: a required row that is missing. */
static void put_checks(struct work *w)
{
    char detail[120] = "", note[160];
    size_t untraced = report_untraced(w->r, detail, sizeof(detail));
    program_check(w->run, &(struct program_check){"numbers_traced", untraced == 0,
                                                  untraced == 0 ? NULL : detail});
    for (size_t i = 0; i < w->r->parts_len; i++) {
        const struct report_part *part = &w->r->parts[i];
        size_t verified = verified_in(w->r, part);
        snprintf(note, sizeof(note), "%s: %zu sentences", part->name, verified);
        program_check(w->run, &(struct program_check){"sentences_verified", verified > 0, note});
    }
    bool whole = w->r->missing_required == 0 && untraced == 0;
    program_check(w->run, &(struct program_check){"rows_made", w->r->missing_required == 0, NULL});
    program_field(w->run, &(struct program_field){.name = "complete",
                                                  .type = "choice",
                                                  .value = whole ? "yes" : "no",
                                                  .confidence = 1,
                                                  .rung = LADDER_RULE,
                                                  .open = !whole});
}

static enum fail work_all(struct work *w, struct fault *why)
{
    struct report_reading how;
    program_step(w->run, "read");
    enum fail f = read_input(w, why);
    report_template_reading(w->t, &how);
    f = f != FAIL_NONE ? f : report_table_make(w->grid, &how, &w->table, why);
    if (f != FAIL_NONE || program_is_cancelled(w->run)) {
        return f != FAIL_NONE ? f : FAULT(why, FAIL_STOPPED, "the run was stopped");
    }
    program_step(w->run, "compute");
    f = report_make(w->t, w->table, &w->r, why);
    if (f != FAIL_NONE) {
        return f;
    }
    program_step(w->run, "comment");
    f = comment_all(w, why);
    if (f != FAIL_NONE) {
        return f;
    }
    program_step(w->run, "write");
    program_title(w->run, w->r->title.text);
    f = put_outputs(w, why);
    for (size_t i = 0; i < w->r->parts_len; i++) {
        put_part(w, &w->r->parts[i]);
    }
    put_odd(w);
    put_checks(w);
    return f;
}

static enum fail run_report(struct program_run *run, const void *options, struct fault *why)
{
    struct work w = {.run = run, .t = options, .grid = report_grid_new()};
    enum fail f = work_all(&w, why);
    report_free(w.r);
    report_table_free(w.table);
    report_grid_free(w.grid);
    return f;
}

static const struct program_role roles[] = {
    {"table", "CSV, JSON or JSON lines; several with the same columns are one table", 0,
     REPORT_FILES_MAX}};
static const char *const formats[] = {"markdown", "html", "json", "grafana", NULL};
static const struct program_param params[] = {
    {"source", "a source of inhouse.yaml to ask, instead of files"},
    {"query", "the SELECT that gives the table"}};
static const char *const prompts[] = {"comment", NULL};

const struct program_ops report_program = {.name = "report",
                                           .title = "The fixed report from tables",
                                           .roles = roles,
                                           .roles_len = COUNT_OF(roles),
                                           .formats = formats,
                                           .params = params,
                                           .params_len = COUNT_OF(params),
                                           .prompts = prompts,
                                           .options = read_options,
                                           .options_free = free_options,
                                           .run = run_report};
