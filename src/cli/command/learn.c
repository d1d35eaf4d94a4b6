/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse learn: labelled examples to the server, the job followed, its report as a table.
   Threads: one. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define MAX_EXAMPLES_BYTES ((int64_t)64 * 1024 * 1024)
#define SAID_MAX 10

/* ---- examples as the API takes them ---- */

/* Writes one line; false when the row is no example (no text). Without an expected value it is
   unlabelled traffic. */
static bool put_example(FILE *to, const struct rows *rows, const json_t *row,
                        struct learn_counts *n, struct fault *why)
{
    static const char *const texts[] = {"at", "subject", "reply", "article", "customer"};
    struct ticket t;
    if (ticket_read(rows, row, &t, why) != FAIL_NONE) {
        return false;
    }
    json_t *line = json_pack("{s:s,s:s}", "id", t.id, "text", t.text);
    if (t.expected != NULL) {
        (void)json_object_set_new(line, "expected", t.expected);
    }
    *(t.expected != NULL ? &n->examples : &n->unlabelled) += 1;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *v = json_object_get(row, texts[i]);
        if (json_is_string(v) && json_string_length(v) > 0) {
            (void)json_object_set(line, texts[i], v);
        }
    }
    if (json_is_true(json_object_get(row, "approved"))) {
        (void)json_object_set_new(line, "approved", json_true());
    }
    bool ok = json_dumpf(line, to, JSON_COMPACT) == 0 && fputc('\n', to) != EOF;
    json_decref(line);
    return ok;
}

enum fail learn_collect(struct cli *cli, const char *path, FILE *to, struct learn_counts *n,
                        struct fault *why)
{
    struct rows *rows = NULL;
    enum fail f = rows_open_tickets(path, &rows, why);
    for (enum rows_state state = ROWS_ROW; f == FAIL_NONE && state != ROWS_END;) {
        json_t *row AUTO_JSON = NULL;
        struct fault bad = {0};
        state = rows_next(rows, &row, &bad);
        if (state == ROWS_ROW && put_example(to, rows, row, n, &bad)) {
            continue;
        }
        if (state != ROWS_END) {
            if (++n->skipped <= SAID_MAX) {
                cli_note(cli, "%s", bad.message);
            }
        }
        if (ftello(to) > MAX_EXAMPLES_BYTES) {
            f = FAULT(why, FAIL_TOO_LARGE, "%s: more than 64 MB of examples", path);
            fail_hint(why, "Learn from the newest part of the file: tens of thousands of examples "
                           "are plenty.");
        } else if (cli_interrupted != 0) {
            f = FAULT(why, FAIL_STOPPED, "stopped");
        }
    }
    rows_close(rows);
    if (f == FAIL_NONE && n->examples == 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s holds no example%s", path,
                  n->unlabelled > 0 ? ": no row has an expected value" : "");
        fail_hint(why,
                  "An example is {\"id\", \"text\", \"expected\": {field: value}} on one line, "
                  "or a CSV with columns expected_FIELD.");
    }
    return f;
}

/* ---- the report ---- */

static void show_rungs(struct cli *cli, const json_t *fields)
{
    static const char *const columns[] = {"field",     "rung",           ">measured on",
                                          ">accuracy", ">decides alone", ">from confidence"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i, n = 0;
    json_t *field, *e;
    const char *rung;
    json_array_foreach(fields, i, field) {
        json_object_foreach(json_object_get(field, "rungs"), rung, e) {
            char count[24], accuracy[16], coverage[16], threshold[16];
            bool certified = json_is_true(json_object_get(e, "certified"));
            (void)snprintf(count, sizeof(count), "%lld",
                           (long long)json_integer_value(json_object_get(e, "n")));
            (void)snprintf(accuracy, sizeof(accuracy), "%.1f %%",
                           100 * json_number_value(json_object_get(e, "accuracy")));
            (void)snprintf(coverage, sizeof(coverage), "%.1f %%",
                           100 * json_number_value(json_object_get(e, "coverage")));
            (void)snprintf(threshold, sizeof(threshold), "%.3f",
                           json_number_value(json_object_get(e, "threshold")));
            const char *cells[] = {cli_str(field, "name"),
                                   rung,
                                   count,
                                   accuracy,
                                   certified ? coverage : "nothing yet",
                                   certified ? threshold : NULL};
            measure_table_row(t, cells);
            n++;
        }
    }
    if (n > 0) {
        printf("\nWhat each rung may do now (measured on these examples, the learned rung out of "
               "fold):\n");
        cli_print_table(cli, t);
    } else {
        measure_table_free(t);
    }
}

static const char *range_text(const json_t *range, double times, int digits, char *out,
                              size_t room)
{
    double v[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        v[i] = times * json_number_value(json_array_get(range, i));
    }
    char each[3][24];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(each[i], sizeof(each[i]), "%.*f", digits, v[i]);
    }
    (void)snprintf(out, room, "%s (%s..%s)", each[0], each[1], each[2]);
    return out;
}

/* What each way of climbing costs at equal error, and which one was chosen. */
static void show_climb(struct cli *cli, const json_t *climb)
{
    static const char *const columns[] = {"climb",      ">error",   ">to a person",
                                          ">cost a task", ">tasks/h", "chosen"};
    const json_t *options = json_object_get(climb, "options");
    size_t i, k;
    json_t *o, *rung;
    if (json_array_size(options) < 2) {
        return;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(options, i, o) {
        char name[64] = "", text[4][64];
        json_array_foreach(json_object_get(o, "rungs"), k, rung) {
            size_t at = strlen(name);
            (void)snprintf(name + at, sizeof(name) - at, "%s%s", k > 0 ? " + " : "",
                           json_string_value(rung));
        }
        const char *cells[] = {
            name,
            range_text(json_object_get(o, "error"), 100, 1, text[0], sizeof(text[0])),
            range_text(json_object_get(o, "person"), 100, 0, text[1], sizeof(text[1])),
            range_text(json_object_get(o, "cost"), 1, 4, text[2], sizeof(text[2])),
            range_text(json_object_get(o, "tasks_per_hour"), 1, 0, text[3], sizeof(text[3])),
            json_is_true(json_object_get(o, "chosen")) ? "yes" : ""};
        measure_table_row(t, cells);
    }
    printf("\nWays of climbing at equal error, in %% and with 95 %% intervals, on %lld tasks that "
           "every rung answered:\n",
           (long long)json_integer_value(json_object_get(climb, "tasks")));
    cli_print_table(cli, t);
    printf("%s.\n", cli_str(climb, "why"));
}

/* Accuracy per language, and what is too little to decide in. */
static void show_languages(struct cli *cli, const json_t *fields)
{
    static const char *const columns[] = {"field", "language", ">examples", ">accuracy",
                                          "may decide"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i, k, n = 0;
    json_t *field, *l;
    json_array_foreach(fields, i, field) {
        const json_t *report = json_object_get(field, "report");
        json_array_foreach(json_object_get(report, "languages"), k, l) {
            char count[24], accuracy[16];
            double examples = json_number_value(json_object_get(l, "examples"));
            double correct = json_number_value(json_object_get(l, "correct"));
            (void)snprintf(count, sizeof(count), "%.0f", examples);
            (void)snprintf(accuracy, sizeof(accuracy), "%.1f %%",
                           examples > 0 ? 100 * correct / examples : 0);
            const char *cells[] = {cli_str(field, "name"), cli_str(l, "code"), count, accuracy,
                                   json_is_true(json_object_get(l, "holds"))
                                       ? "yes" : "no evidence: a person decides"};
            measure_table_row(t, cells);
            n++;
        }
    }
    if (n > 0) {
        printf("\nBy language (und: cannot be told):\n");
        cli_print_table(cli, t);
    } else {
        measure_table_free(t);
    }
}

static void show_scope(const json_t *fields)
{
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field) {
        const json_t *r = json_object_get(field, "report");
        long long outside = (long long)json_integer_value(json_object_get(r, "outside"));
        if (outside > 0) {
            printf("%s: of %lld examples that are none of these, %.1f %% are refused; of the "
                   "others %.1f %%.\n", cli_str(field, "name"), outside,
                   100 * json_number_value(json_object_get(r, "outside_refused")),
                   100 * json_number_value(json_object_get(r, "refused")));
        }
    }
}

static void show_advice(const json_t *fields)
{
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field) {
        const json_t *c = json_object_get(json_object_get(field, "report"), "certificate");
        const json_t *learned = json_object_get(json_object_get(field, "rungs"), "learned");
        double target = json_number_value(json_object_get(c, "target_error"));
        if (learned != NULL && !json_is_true(json_object_get(learned, "certified")) && target > 0) {
            /* answer/certify's first look: 10 errors' worth of items */
            printf("%s: tested again after %.0f reviewed items for %.0f %% error; `inhouse "
                   "certificates` counts.\n", cli_str(field, "name"), ceil(10 / target),
                   100 * target);
        }
        long long left_out = (long long)json_integer_value(json_object_get(field, "left_out"));
        if (left_out > 0) {
            printf("%s: %lld examples were left out (no value, or one seen too rarely).\n",
                   cli_str(field, "name"), left_out);
        }
    }
}

int learn_report_show(struct cli *cli, const json_t *result)
{
    static const char *const columns[] = {"field",     ">examples",          ">labels",
                                          ">accuracy", ">calibration error", ">at 5 % error",
                                          ">at 2 %",   ">at 1 %"};
    const json_t *report = json_object_get(result, "report");
    const json_t *fields = json_object_get(report != NULL ? report : result, "fields");
    report = report != NULL ? report : result;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field) {
        const json_t *r = json_object_get(field, "report");
        char n[24], labels[24], accuracy[16], ece[16], at5[16], at2[16], at1[16];
        (void)snprintf(n, sizeof(n), "%lld",
                       (long long)json_integer_value(json_object_get(r, "examples")));
        (void)snprintf(labels, sizeof(labels), "%lld",
                       (long long)json_integer_value(json_object_get(r, "labels")));
        (void)snprintf(accuracy, sizeof(accuracy), "%.1f %%",
                       100 * json_number_value(json_object_get(r, "accuracy")));
        (void)snprintf(ece, sizeof(ece), "%.3f", json_number_value(json_object_get(r, "ece")));
        (void)snprintf(at5, sizeof(at5), "%.1f %%",
                       100 * json_number_value(json_object_get(r, "coverage_at_5")));
        (void)snprintf(at2, sizeof(at2), "%.1f %%",
                       100 * json_number_value(json_object_get(r, "coverage_at_2")));
        (void)snprintf(at1, sizeof(at1), "%.1f %%",
                       100 * json_number_value(json_object_get(r, "coverage_at_1")));
        const char *cells[] = {cli_str(field, "name"), n, labels, accuracy, ece, at5, at2, at1};
        measure_table_row(t, cells);
    }
    long long traffic = (long long)json_integer_value(json_object_get(report, "unlabelled"));
    long long reviewed = (long long)json_integer_value(json_object_get(result, "reviewed"));
    if (reviewed > 0) {
        printf("%lld decisions that people made here taught too.\n", reviewed);
    }
    if (traffic > 0) {
        printf("%lld rows without an expected value taught as unlabelled traffic.\n", traffic);
    }
    printf("Learned from %lld examples in %.1f s%s. Out of fold, on examples each head had not "
           "seen, the share that can be answered at an error of:\n",
           (long long)json_integer_value(json_object_get(report, "examples")),
           json_number_value(json_object_get(report, "ms")) / 1000,
           json_is_true(json_object_get(report, "embeddings")) ? ""
                                                               : ", without an embedding model");
    cli_print_table(cli, t);
    show_scope(fields);
    show_languages(cli, fields);
    show_rungs(cli, fields);
    show_climb(cli, json_object_get(report, "climb"));
    show_advice(fields);
    const json_t *drafts = json_object_get(report, "drafts");
    if (json_is_object(drafts)) {
        printf("drafts: on %lld past tickets, %lld of %lld that an article answers got one, %lld "
               "of them from the "
               "right article\n",
               (long long)json_integer_value(json_object_get(drafts, "past_tickets")),
               (long long)json_integer_value(json_object_get(drafts, "offered")),
               (long long)json_integer_value(json_object_get(drafts, "answerable")),
               (long long)json_integer_value(json_object_get(drafts, "right")));
    }
    return COMMAND_OK;
}

/* Sends the collected examples of `file` and follows the job. */
enum fail learn_send(struct cli *cli, const char *workflow, FILE *file, json_t **result,
                     struct fault *why)
{
    char path[160];
    json_t *job AUTO_JSON = NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/workflows/%.64s/learn", workflow);
    if (fflush(file) != 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot write a temporary file");
    }
    struct client_ask ask = {.method = "POST",
                             .path = path,
                             .type = "application/x-ndjson",
                             .file = file,
                             .file_len = ftello(file),
                             .timeout_ms = 600000};
    rewind(file);
    struct client *c = cli_client(cli);
    if (c == NULL) {
        *why = cli->why;
        return why->code;
    }
    enum fail f = client_call(c, &ask, &job, why);
    return f == FAIL_NONE ? cli_follow(cli, job, "learning", result, why) : f;
}

/* A slip in the name would make a second workflow without a word. */
static void say_if_new(struct cli *cli, const char *workflow)
{
    struct fault why;
    struct client *c = cli_client(cli);
    if (c != NULL &&
        client_get(c, NULL, &why, "/api/v1/workflows/%s", workflow) == FAIL_NOT_FOUND) {
        cli_note(cli,
                 "There is no workflow %s yet: it is made from these examples. "
                 "`inhouse workflow list` shows the others.",
                 workflow);
    }
}

int command_learn(struct cli *cli)
{
    struct fault why = {0};
    struct learn_counts n = {0};
    json_t *result AUTO_JSON = NULL;
    FILE *file = tmpfile();
    enum fail f =
        file == NULL
            ? FAULT_ERRNO(&why, FAIL_INTERNAL, "cannot make a temporary file")
        : text_is_name(cli->words[0])
            ? learn_collect(cli, cli->words[1], file, &n, &why)
            : FAULT(&why, FAIL_BAD_REQUEST, "\"%.64s\" is no workflow's name", cli->words[0]);
    if (f == FAIL_NONE) {
        say_if_new(cli, cli->words[0]);
        f = learn_send(cli, cli->words[0], file, &result, &why);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(result);
    } else {
        learn_report_show(cli, result);
        if (n.skipped > 0) {
            printf("%lld rows were skipped.\n", (long long)n.skipped);
        }
    }
    return n.skipped > 0 ? COMMAND_SOME_FAILED : COMMAND_OK;
}
