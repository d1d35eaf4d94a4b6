/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse workflow check, test and autonomy: is a definition good, does it do what its examples
 * expect, and how far may its fields go without a person.
 */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "work/workflow/workflow.h"

/* ---- check ---- */

struct checking {
    bool done;
    enum fail code;
    struct fault why;
    json_t *answer;
};

static void on_checked(void *arg, const struct client_answer *a)
{
    struct checking *x = arg;
    struct fault ignored;
    x->done = true;
    x->code = a->code;
    x->why = a->why;
    if (a->len > 0 && jn_parse(a->body, a->len, "the answer", &x->answer, &ignored) != FAIL_NONE) {
        x->answer = NULL;
    }
}

/* The server knows the programs, so it reads their definitions; nothing is stored. */
static int check_there(struct cli *cli, const char *path, const struct buf *yaml)
{
    struct client *c = cli_client(cli);
    struct checking x = {.done = false};
    size_t i;
    const json_t *f;
    if (c == NULL) {
        return cli_fail(cli, &cli->why);
    }
    struct client_ask ask = {.method = "POST", .path = "/api/v1/workflow-check",
                             .type = "application/yaml", .body = yaml->data, .len = yaml->len};
    if (!client_send(c, &ask, &x)) {
        return COMMAND_SOME_FAILED;
    }
    while (!x.done) {
        client_wait(c, 200, on_checked, &x);
    }
    const json_t *faults = json_object_get(x.answer, "faults");
    int status = COMMAND_OK;
    if (x.code != FAIL_NONE && json_array_size(faults) == 0) {
        status = cli_fail(cli, &x.why);
    } else if (cli->json) {
        cli_print_json(x.answer);
        status = x.code != FAIL_NONE ? COMMAND_SOME_FAILED : COMMAND_OK;
    } else if (x.code == FAIL_NONE) {
        printf("%s: the definition is good.\n", cli_str(x.answer, "name"));
    } else {
        json_array_foreach(faults, i, f) {
            fprintf(stderr, "%s line %lld: %s. %s\n", path,
                    (long long)json_integer_value(json_object_get(f, "line")),
                    cli_str(f, "message"), cli_str(f, "hint"));
        }
        status = COMMAND_SOME_FAILED;
    }
    json_decref(x.answer);
    return status;
}

int command_workflow_check(struct cli *cli)
{
    struct fault why = {0};
    struct buf yaml;
    struct ladder_form *form = NULL;
    buf_init(&yaml, WORKFLOW_MAX_BYTES);
    enum fail f = cli_read_file(cli->words[0], &yaml, &why);
    const char *text = yaml.len > 0 ? yaml.data : "";
    if (f == FAIL_NONE && workflow_is_program(text, yaml.len)) {
        int status = check_there(cli, cli->words[0], &yaml);
        buf_done(&yaml);
        return status;
    }
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    if (f == FAIL_NONE) {
        f = workflow_read(text, yaml.len, cli->words[0], &form, faults, &why);
        if (f != FAIL_NONE) {
            cli_say_faults(faults);
        }
    }
    mem_free(faults);
    buf_done(&yaml);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        printf("{\"workflow\":\"%s\",\"release\":\"%s\"}\n", form->name, form->release);
    } else {
        printf("%s: the definition is good.\n", form->name);
    }
    ladder_form_unref(form);
    return COMMAND_OK;
}

/* ---- test ---- */

#define DIFFER_SHOWN 20

struct test {
    struct cli *cli;
    struct rows *rows;
    struct measure_run measure;
    struct measure_table *differ;
    int64_t differs, without, bad;
    json_t *list; /* what differs, for --json */
};

static enum rows_state next_example(void *arg, struct ticket *t, json_t **keep)
{
    struct test *x = arg;
    struct fault why = {0};
    json_t *row = NULL;
    enum rows_state state = rows_next(x->rows, &row, &why);
    if (state == ROWS_ROW && ticket_read(x->rows, row, t, &why) != FAIL_NONE) {
        json_decref(row);
        row = NULL;
        state = ROWS_BAD;
    }
    if (state == ROWS_BAD) {
        x->bad++;
        fprintf(stderr, "%s\n", why.message);
    }
    *keep = row;
    return state;
}

static void differs(struct test *x, const struct ticket *t, const json_t *field,
                    const char *expected)
{
    char sure[CLI_SURE_SIZE];
    const char *value = cli_str(field, "value");
    bool alone = strcmp(cli_str(field, "rung"), "person") != 0;
    x->differs++;
    if (json_array_size(x->list) < 1000) {
        (void)json_array_append_new(
            x->list, json_pack("{s:s,s:s,s:s,s:s,s:b}", "id", t->id, "field",
                               cli_str(field, "name"), "expected", expected, "value", value,
                               "alone", alone));
    }
    if (x->differs <= DIFFER_SHOWN) {
        const char *cells[] = {t->id, cli_str(field, "name"), expected, value,
                               cli_sure(field, sure), alone ? "alone" : "a person decides"};
        measure_table_row(x->differ, cells);
    }
}

static void on_example(void *arg, const struct ticket *t, const json_t *result,
                       const struct fault *why)
{
    struct test *x = arg;
    size_t i;
    const json_t *field;
    if (result == NULL) {
        x->measure.failed++;
        fprintf(stderr, "%s: %s\n", t->id, why->message);
        return;
    }
    x->without += t->expected == NULL;
    run_measure(&x->measure, t, result);
    json_array_foreach(json_object_get(result, "fields"), i, field) {
        char room[512];
        const char *expected = run_expected(t, field, room, sizeof(room));
        if (expected != NULL && strcmp(expected, cli_str(field, "value")) != 0) {
            differs(x, t, field, expected);
        }
    }
}

/* Every field with expected values right at least that often? */
static bool is_good(const struct test *x, double least)
{
    bool good = x->measure.failed == 0, any = false;
    for (size_t i = 0; i < x->measure.fields_len; i++) {
        const struct measure_tally *k = &x->measure.fields[i].known;
        any = any || k->n > 0;
        good = good && (k->n == 0 || (double)k->right >= least * (double)k->n - 1e-9);
    }
    return good && any;
}

static int end_test(struct test *x, const struct run_counts *counts, double least)
{
    struct cli *cli = x->cli;
    bool good = is_good(x, least);
    if (cli->json) {
        json_t *j AUTO_JSON = run_summary_json(&x->measure, counts);
        (void)json_object_set_new(j, "good", json_boolean(good));
        (void)json_object_set(j, "differs", x->list);
        cli_print_json(j);
    } else {
        run_summary(cli, &x->measure, counts);
        if (x->differs > 0) {
            printf("\n%lld answers differ from what was expected%s\n\n", (long long)x->differs,
                   x->differs > DIFFER_SHOWN ? "; the first of them:" : ":");
            cli_print_table(cli, x->differ);
            x->differ = NULL;
        }
        printf("\n%s: %s\n", cli->words[0],
               good ? "as good as asked for" : "not as good as asked for (--at-least)");
    }
    return good ? COMMAND_OK : COMMAND_SOME_FAILED;
}

int command_workflow_test(struct cli *cli)
{
    static const char *const columns[] = {"example", "field", "*expected", "*answered", ">sure",
                                          "by"};
    struct fault why = {0};
    struct run_counts counts = {0};
    double least = 1;
    const char *given = cli_option(cli, "at-least");
    if (given != NULL && (!text_read_double(given, &least) || least < 0 || least > 1)) {
        return cli_usage(cli, "--at-least is a share from 0 to 1, not \"%s\"", given);
    }
    if (cli->words_len == 1) { /* as it was called before */
        return command_workflow_check(cli);
    }
    if (!text_is_name(cli->words[0])) {
        return cli_usage(cli, "\"%s\" is no workflow's name", cli->words[0]);
    }
    struct test *x = mem_alloc(sizeof(*x));
    struct progress bar;
    x->cli = cli;
    x->list = json_array();
    x->differ = measure_table_new(columns, COUNT_OF(columns));
    measure_run_init(&x->measure);
    struct run_options o = {.workflow = cli->words[0], .class = "workflow", .no_draft = true,
                            .no_artifact = true, .flight = 16, .on_result = on_example, .arg = x,
                            .next = next_example};
    int status;
    enum fail f = rows_open_tickets(cli->words[1], &x->rows, &why);
    if (f == FAIL_NONE && cli_client(cli) == NULL) {
        why = cli->why;
        f = why.code;
    }
    if (f == FAIL_NONE) {
        progress_begin(&bar, cli, cli->words[0]);
        f = run_tickets(cli, &o, &bar, &counts, &why);
        progress_end(&bar);
    }
    if (f == FAIL_NONE && x->measure.tasks > 0 && x->without == x->measure.tasks) {
        FAULT(&why, FAIL_BAD_REQUEST, "%.200s expects nothing: no row has expected values",
              cli->words[1]);
        f = fail_hint(&why, "Give {\"text\": ..., \"expected\": {\"field\": \"value\"}} a line.");
    }
    status = f != FAIL_NONE ? cli_fail(cli, &why) : end_test(x, &counts, least);
    rows_close(x->rows);
    measure_table_free(x->differ);
    measure_run_done(&x->measure);
    json_decref(x->list);
    mem_free(x);
    return status;
}

/* ---- autonomy ---- */

static int show_levels(struct cli *cli, const json_t *j)
{
    static const char *const columns[] = {"field", "level", "*certificate"};
    size_t i;
    const json_t *f;
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "fields"), i, f) {
        const char *cells[] = {cli_str(f, "name"), cli_str(f, "level"),
                               json_string_value(json_object_get(f, "certificate"))};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    json_array_foreach(json_object_get(j, "releases"), i, f) {
        if (strcmp(cli_str(f, "state"), "candidate") == 0) {
            printf("waits for approval: %s, proposed by %s\n", cli_str(f, "release"),
                   cli_str(f, "proposed_by"));
        }
    }
    return COMMAND_OK;
}

int command_workflow_autonomy(struct cli *cli)
{
    struct fault why = {0};
    json_t *j AUTO_JSON = NULL;
    char path[240];
    const char *release = cli_option(cli, "approve");
    if (!text_is_name(cli->words[0]) || cli->words_len == 2 ||
        (release != NULL && (cli->words_len != 1 || strlen(release) != 64))) {
        return cli_usage(cli,
                         "give a workflow; or one with a field and propose, assist or auto; or "
                         "one with --approve RELEASE");
    }
    (void)snprintf(path, sizeof(path), "/api/v1/workflows/%s/autonomy%s%s%s", cli->words[0],
                   release != NULL ? "/" : "", release != NULL ? release : "",
                   release != NULL ? "/approve" : "");
    json_t *body = cli->words_len == 3
                       ? json_pack("{s:s,s:s}", "field", cli->words[1], "level", cli->words[2])
                       : NULL;
    bool changes = body != NULL || release != NULL;
    enum fail f = cli_send_json(cli, changes ? "POST" : "GET", path, body, &j, &why);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (!changes || cli->json) {
        return show_levels(cli, j);
    }
    if (strcmp(cli_str(j, "state"), "candidate") == 0) {
        printf(
            "Proposed. Somebody else approves it:\n  inhouse workflow autonomy %s --approve %s\n",
            cli->words[0], cli_str(j, "release"));
    } else {
        printf("It holds from the next task on.\n");
    }
    return COMMAND_OK;
}
