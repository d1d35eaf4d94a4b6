/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse run: a file of tickets through a workflow, one JSON object a line out. The output appears
 * by rename when all is done: until then it is a file without a name, so that nothing half-written
 * stays even after a kill -9.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "cli/command/jobs_internal.h"

#define DEFAULT_FLIGHT 16
#define SAID_BAD_MAX 20

/* ---- the output file ---- */

struct out {
    FILE *file; /* NULL: none */
    char path[CLIENT_PATH_SIZE];
    char temp[CLIENT_PATH_SIZE]; /* "" when the file has no name yet */
    int fd;
    bool broken;
    struct fault why;
};

static enum fail out_fault(struct out *o, const char *path, struct fault *why)
{
    o->broken = true;
    bool wrong_path = errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    FAULT_ERRNO(why, wrong_path ? FAIL_BAD_REQUEST : fail_from_write_errno(errno),
                "cannot write %s", path);
    if (why->sys_errno == ENOSPC || why->sys_errno == EDQUOT) {
        fail_hint(
            why,
            "The disk is full: make room, then run this again. Nothing half-written was left.");
    }
    return why->code;
}

static enum fail out_open(struct out *o, const char *path, struct fault *why)
{
    char folder[CLIENT_PATH_SIZE];
    *o = (struct out){.fd = -1};
    if (path == NULL) {
        return FAIL_NONE;
    }
    if (strlen(path) > sizeof(o->path) - 32) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the output is too long");
    }
    (void)text_copy(o->path, sizeof(o->path), path);
    (void)text_copy(folder, sizeof(folder), path);
    o->fd = open(dirname(folder), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    if (o->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        (void)snprintf(o->temp, sizeof(o->temp), "%.4000s.tmp-%d", path, (int)getpid());
        o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
    o->file = o->fd >= 0 ? fdopen(o->fd, "w") : NULL;
    if (o->file == NULL) {
        out_fault(o, path, why);
        return fail_hint(why, "Give --out a file in a folder that exists and may be written to.");
    }
    return FAIL_NONE;
}

static void out_line(struct out *o, const json_t *line)
{
    FILE *to = o->file != NULL ? o->file : stdout;
    if (!o->broken && (json_dumpf(line, to, JSON_COMPACT) != 0 || fputc('\n', to) == EOF)) {
        out_fault(o, o->file != NULL ? o->path : "the output", &o->why);
    }
}

/* Gives the file its name: all of it is on disk first. */
static enum fail out_commit(struct out *o, const char *name, struct fault *why)
{
    char proc[64], temp[CLIENT_PATH_SIZE + 32];
    if (o->broken || fflush(o->file) != 0 || fsync(o->fd) != 0) {
        if (!o->broken) {
            out_fault(o, name, &o->why);
        }
        *why = o->why;
        return why->code;
    }
    if (o->temp[0] == '\0') {
        (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", o->fd);
        (void)snprintf(temp, sizeof(temp), "%s.tmp-%d", name, (int)getpid());
        (void)unlink(temp);
        if (linkat(AT_FDCWD, proc, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) != 0) {
            return out_fault(o, name, why);
        }
    } else {
        (void)text_copy(temp, sizeof(temp), o->temp);
    }
    if (rename(temp, name) != 0) {
        out_fault(o, name, why);
        (void)unlink(temp);
        return why->code;
    }
    o->temp[0] = '\0';
    return FAIL_NONE;
}

static void out_close(struct out *o)
{
    if (o->file != NULL) {
        (void)fclose(o->file);
    }
    if (o->temp[0] != '\0') {
        (void)unlink(o->temp);
    }
}

/* ---- one line of the output ---- */

static json_t *sources_of(const json_t *draft)
{
    json_t *sources = json_object_get(draft, "sources");
    return sources != NULL ? sources : json_object_get(draft, "citations");
}

static json_t *line_of(const struct ticket *t, const json_t *result)
{
    static const char *const numbers[] = {"tokens_in", "tokens_cached", "tokens_out", "ms",
                                          "cost",      "releases",      "artifact",   "state",
                                          "label",     "route"};
    static const char *const of_field[] = {"rung",        "confidence",  "proposed_by",
                                           "checks",      "class",       "certificate",
                                           "reused_from", "reused_how",  "audited",
                                           "at",          "len"};
    size_t i;
    json_t *field, *line = json_object(), *meta = json_object();
    (void)json_object_set_new(line, "id", json_string(t->id));
    json_array_foreach(json_object_get(result, "fields"), i, field) {
        json_t *m = json_object();
        (void)json_object_set(line, cli_str(field, "name"), json_object_get(field, "value"));
        for (size_t k = 0; k < COUNT_OF(of_field); k++) {
            (void)json_object_set(m, of_field[k], json_object_get(field, of_field[k]));
        }
        (void)json_object_set_new(meta, cli_str(field, "name"), m);
    }
    const json_t *draft = json_object_get(result, "draft");
    if (json_is_object(draft)) {
        const char *name = cli_str(draft, "name")[0] != '\0' ? cli_str(draft, "name") : "reply";
        json_t *m = json_object();
        (void)json_object_set(line, name, json_object_get(draft, "text"));
        static const char *const kept[] = {"rung", "confidence", "checks"};
        for (i = 0; i < COUNT_OF(kept); i++) {
            json_t *v = json_object_get(draft, kept[i]);
            if (v != NULL) {
                (void)json_object_set(m, kept[i], v);
            }
        }
        if (sources_of(draft) != NULL) {
            (void)json_object_set(m, "sources", sources_of(draft));
        }
        (void)json_object_set_new(meta, name, m);
    }
    for (i = 0; i < COUNT_OF(numbers); i++) {
        (void)json_object_set(meta, numbers[i], json_object_get(result, numbers[i]));
    }
    (void)json_object_set(meta, "task", json_object_get(result, "id"));
    (void)json_object_set_new(line, "_meta", meta);
    return line;
}

static json_t *failed_line(const struct ticket *t, const struct fault *why)
{
    return json_pack("{s:s,s:{s:s,s:s,s:s}}", "id", t->id, "_error", "code", fail_name(why->code),
                     "message", why->message, "hint", why->hint);
}

/* ---- the run ---- */

struct run {
    struct cli *cli;
    struct rows *rows;
    struct seen *seen;
    struct out out;
    struct measure_run measure;
    struct measure_table *table; /* without --out: shown at the end */
    struct progress bar;
    int64_t bad, lines;
    enum fail failed_before;
};

static void say_bad(struct run *r, const struct fault *why)
{
    progress_end(&r->bar);
    if (++r->bad <= SAID_BAD_MAX) {
        fprintf(stderr, "%s\n", why->message);
        if (why->hint[0] != '\0' && r->bad <= 3) {
            fprintf(stderr, "  %s\n", why->hint);
        }
    } else if (r->bad == SAID_BAD_MAX + 1) {
        fprintf(stderr, "more rows like these are counted and not shown\n");
    }
}

static enum rows_state next_ticket(void *arg, struct ticket *t, json_t **keep)
{
    struct run *r = arg;
    struct fault why = {0};
    json_t *row = NULL;
    if (r->out.broken) {
        return ROWS_END;
    }
    enum rows_state state = rows_next(r->rows, &row, &why);
    if (state == ROWS_ROW) {
        if (ticket_read(r->rows, row, t, &why) != FAIL_NONE) {
            state = ROWS_BAD;
        } else if (!seen_add(r->seen, t->id)) {
            FAULT(&why, FAIL_BAD_REQUEST,
                  "%s:%lld: the id %.100s was given before; the row was skipped",
                  rows_path(r->rows), (long long)rows_line(r->rows), t->id);
            state = ROWS_BAD;
        }
        if (state == ROWS_BAD) {
            if (t->expected != NULL) {
                json_decref(t->expected);
                t->expected = NULL;
            }
            json_decref(row);
            row = NULL;
        }
    }
    if (state == ROWS_BAD) {
        say_bad(r, &why);
    }
    *keep = row;
    return state;
}

static double share_read(void *arg)
{
    return rows_share(((struct run *)arg)->rows);
}

static void table_row(struct run *r, const struct ticket *t, const json_t *result)
{
    const json_t *field = json_array_get(json_object_get(result, "fields"), 0);
    char sure[CLI_SURE_SIZE], ms[24];
    (void)snprintf(ms, sizeof(ms), "%.0f", json_number_value(json_object_get(result, "ms")));
    const char *cells[] = {t->id,
                           t->subject != NULL && t->subject[0] != '\0' ? t->subject : t->text,
                           json_string_value(json_object_get(field, "value")),
                           cli_sure(field, sure),
                           json_string_value(json_object_get(field, "rung")),
                           ms};
    if (r->table == NULL) {
        const char *columns[] = {"ticket", "*subject", cli_str(field, "name"),
                                 ">sure",  "rung",     ">ms"};
        r->table = measure_table_new(columns, COUNT_OF(columns));
    }
    measure_table_row(r->table, cells);
}

/* The advice is said once for each kind of failure, and the twenty-first ticket is only counted. */
static void say_failed(struct run *r, const struct ticket *t, const struct fault *why)
{
    progress_end(&r->bar);
    if (r->measure.failed <= SAID_BAD_MAX) {
        fprintf(stderr, "%s: %s\n", t->id, why->message);
        if (why->hint[0] != '\0' && why->code != r->failed_before) {
            fprintf(stderr, "  %s\n", why->hint);
        }
    } else if (r->measure.failed == SAID_BAD_MAX + 1) {
        fprintf(stderr, "more failures are in the output and not shown\n");
    }
    r->failed_before = why->code;
}

static void on_result(void *arg, const struct ticket *t, const json_t *result,
                      const struct fault *why)
{
    struct run *r = arg;
    json_t *line AUTO_JSON = result != NULL ? line_of(t, result) : failed_line(t, why);
    if (result != NULL) {
        run_measure(&r->measure, t, result);
    } else {
        r->measure.failed++;
        say_failed(r, t, why);
    }
    r->lines++;
    if (r->out.file != NULL || r->cli->json) {
        out_line(&r->out, line);
    } else if (result != NULL) {
        table_row(r, t, result);
    }
}

static int finish(struct run *r, const struct run_counts *counts, enum fail f, struct fault *why)
{
    struct cli *cli = r->cli;
    bool whole = f == FAIL_NONE && !counts->interrupted && !r->out.broken;
    if (r->out.broken) {
        return cli_fail(cli, &r->out.why);
    }
    if (whole && r->lines == 0 && r->bad == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%.300s holds no tickets", rows_path(r->rows));
        fail_hint(why,
                  "Give a file with one ticket a line: {\"id\":\"1\",\"text\":\"...\"}, or CSV.");
        return cli_fail(cli, why);
    }
    if (r->out.file != NULL && (whole || r->lines > 0)) {
        char name[CLIENT_PATH_SIZE + 16];
        struct fault bad = {0};
        (void)snprintf(name, sizeof(name), "%s%s", r->out.path, whole ? "" : ".partial");
        if (out_commit(&r->out, name, &bad) != FAIL_NONE) {
            return cli_fail(cli, &bad);
        }
        if (!whole) {
            cli_note(cli, "the %lld finished tickets are in %s", (long long)r->lines, name);
        }
    }
    if (f != FAIL_NONE) {
        return cli_fail(cli, why);
    }
    if (r->table != NULL) {
        cli_print_table(cli, r->table);
        r->table = NULL;
        printf("\n");
    }
    r->measure.seconds = (double)(clock_monotonic_us() - r->bar.started_us) / 1e6;
    if (cli->json && r->out.file != NULL) {
        json_t *j AUTO_JSON = run_summary_json(&r->measure, counts);
        (void)json_object_set_new(j, "skipped_rows", json_integer(r->bad));
        cli_print_json(j);
    } else if (!cli->json) {
        run_summary(cli, &r->measure, counts);
        if (r->bad > 0) {
            printf("%lld rows were skipped: see above.\n", (long long)r->bad);
        }
        if (r->out.file != NULL && whole) {
            printf("Written: %s (%lld lines)\n", r->out.path, (long long)r->lines);
        }
    }
    if (counts->interrupted) {
        cli_note(cli, "interrupted");
        return COMMAND_INTERRUPTED;
    }
    return counts->failed > 0 || r->bad > 0 ? COMMAND_SOME_FAILED : COMMAND_OK;
}

/* One error for a workflow that is not there, rather than one a ticket; *out describes it. */
static enum fail workflow_check(struct cli *cli, json_t **out, struct fault *why)
{
    if (!text_is_name(cli->words[0])) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.64s\" is no workflow's name", cli->words[0]);
        return fail_hint(why, "`inhouse workflow list` names them.");
    }
    return client_get(cli->client, out, why, "/api/v1/workflows/%s", cli->words[0]);
}

/* Is each word of a comma-separated list one of these? NULL is fine. */
static bool words_known(const char *list, const char *const *words, size_t n)
{
    while (list != NULL && *list != '\0') {
        size_t len = strcspn(list, ",");
        bool known = false;
        for (size_t i = 0; i < n; i++) {
            known = known || (strlen(words[i]) == len && strncmp(words[i], list, len) == 0);
        }
        if (!known) {
            return false;
        }
        list += len + (list[len] == ',' ? 1 : 0);
    }
    return true;
}

static bool options_good(struct cli *cli)
{
    static const char *const rungs[] = {"reuse", "rule", "learned", "light", "heavy", "person"};
    static const char *const classes[] = {"interactive", "workflow", "batch"};
    if (!words_known(cli_option(cli, "rungs"), rungs, COUNT_OF(rungs))) {
        cli_usage(cli,
                  "--rungs takes reuse, rule, learned, light, heavy, person with commas between");
        return false;
    }
    if (!words_known(cli_option(cli, "class"), classes, COUNT_OF(classes))) {
        cli_usage(cli, "--class is interactive, workflow or batch");
        return false;
    }
    return true;
}

static int run_form(struct cli *cli, int64_t flight)
{
    struct fault why = {0};
    struct run_counts counts = {0};
    const char *class = cli_option(cli, "class");
    struct run *r = mem_alloc(sizeof(*r));
    r->cli = cli;
    r->seen = seen_new();
    measure_run_init(&r->measure);
    progress_begin(&r->bar, cli, cli->words[0]);
    struct run_options o = {.workflow = cli->words[0],
                            .rungs = cli_option(cli, "rungs"),
                            .class = class != NULL ? class : "workflow",
                            .no_draft = cli_option(cli, "no-draft") != NULL,
                            .no_artifact = cli_option(cli, "no-review") != NULL,
                            .flight = (int)flight,
                            .on_result = on_result,
                            .arg = r,
                            .next = next_ticket,
                            .share = share_read};
    int status;
    if (rows_open_tickets(cli->words[1], &r->rows, &why) != FAIL_NONE ||
        out_open(&r->out, cli_option(cli, "out"), &why) != FAIL_NONE) {
        status = cli_fail(cli, &why);
    } else {
        progress_begin(&r->bar, cli, cli->words[0]);
        enum fail f = run_tickets(cli, &o, &r->bar, &counts, &why);
        status = finish(r, &counts, f, &why);
    }
    out_close(&r->out);
    rows_close(r->rows);
    seen_free(r->seen);
    measure_table_free(r->table);
    measure_run_done(&r->measure);
    mem_free(r);
    return status;
}

/* The server says whether the workflow is a form or a program. A file that is not there is said
   before a server is started for it. */
int command_run(struct cli *cli)
{
    struct fault why = {0};
    json_t *workflow AUTO_JSON = NULL;
    int64_t flight;
    if (!options_good(cli) ||
        !cli_number(cli, "jobs", 1, CLIENT_MAX_FLIGHT, DEFAULT_FLIGHT, &flight)) {
        return COMMAND_USAGE;
    }
    for (int i = 1; i < cli->words_len; i++) {
        if (strcmp(cli->words[i], "-") != 0 && access(cli->words[i], R_OK) != 0) {
            FAULT_ERRNO(&why, FAIL_BAD_REQUEST, "cannot open %s", cli->words[i]);
            return cli_fail(cli, &why);
        }
    }
    if (cli_client(cli) == NULL) {
        return cli_fail(cli, &cli->why);
    }
    if (workflow_check(cli, &workflow, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli_str(workflow, "program")[0] != '\0') {
        return run_program(cli, workflow);
    }
    if (cli->extras_len > 0 || cli_option(cli, "as") != NULL) {
        return cli_usage(cli, "%s is a form: it has no option --%s", cli->words[0],
                         cli->extras_len > 0 ? cli->extras[0].name : "as");
    }
    if (cli->words_len != 2) {
        return cli_usage(cli, "%s is a form: it takes one FILE", cli->words[0]);
    }
    return run_form(cli, flight);
}
