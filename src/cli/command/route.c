/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse route: decision rules tested on cases, here, without a server; listed, explained,
   proposed and approved through it. Threads: one. */
#include "answer/route/route.h"

#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define EXPLANATION_BYTES ((size_t)1 << 20)

/* Both files, every error of either; the built-in ones where there is no path. */
static enum fail read_both(const char *const paths[2], struct route_rules **rules,
                           struct route_cases *cases, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct buf text;
    if (paths[0] == NULL) {
        *rules = route_rules_shipped();
        route_cases_shipped(cases);
        mem_free(faults);
        return FAIL_NONE;
    }
    buf_init(&text, ROUTE_MAX_BYTES + 1);
    enum fail f = cli_read_file(paths[0], &text, why);
    if (f == FAIL_NONE) {
        f = route_rules_read(text.len > 0 ? text.data : "", text.len, paths[0], rules, faults, why);
        cli_say_faults(faults);
    }
    buf_clear(&text);
    struct fault second;
    enum fail g = cli_read_file(paths[1], &text, &second);
    if (g == FAIL_NONE) {
        g = route_cases_read(text.len > 0 ? text.data : "", text.len, paths[1], cases, faults,
                             &second);
        cli_say_faults(faults);
    }
    if (f == FAIL_NONE && g != FAIL_NONE) {
        *why = second;
        f = g;
    }
    buf_done(&text);
    mem_free(faults);
    return f;
}

static size_t widest_row(const struct route_rules *rules)
{
    size_t widest = strlen("always_person");
    for (size_t i = 0; i < route_rules_count(rules); i++) {
        struct route_row_view row;
        route_rules_row(rules, i, &row);
        size_t n = strlen(row.name);
        widest = n > widest ? n : widest;
    }
    return widest;
}

/* The case, the row that decided, and each earlier row with its reason. */
static void print_case(const struct route_rules *rules, const struct route_case *c,
                       const char *wrong, size_t widest)
{
    struct route_decision d;
    size_t n = route_rules_count(rules);
    struct route_step *steps = mem_alloc_array(n + 1, sizeof(*steps));
    route_explain(rules, &c->facts, &d, steps);
    printf("%-5s  %s\n", wrong == NULL ? "ok" : "WRONG", c->name);
    if (wrong != NULL) {
        printf("       %s\n", wrong);
    }
    for (size_t i = 0; i < n && (int)i != d.row && steps[i].verdict != ROUTE_NOT_ASKED; i++) {
        printf("       %-*s  %-7s  %s\n", (int)widest, steps[i].row,
               steps[i].verdict == ROUTE_BLOCKED ? "blocked" : "no", steps[i].reason);
    }
    printf("       %-*s  %-7s  %s%s%s\n", (int)widest, d.name, route_go_name(d.go),
           d.row >= 0 ? steps[d.row].reason : "",
           d.leave != ROUTE_NEVER ? "; leaves " : "",
           d.leave != ROUTE_NEVER ? route_leave_name(d.leave) : "");
    mem_free(steps);
}

static void put_case(struct jn_writer *w, const struct route_rules *rules,
                     const struct route_case *c, const char *wrong)
{
    jn_object_begin(w);
    jn_kv_str(w, "case", c->name);
    jn_kv_int(w, "line", c->line);
    jn_kv_bool(w, "holds", wrong == NULL);
    jn_kv_str(w, "wrong", wrong);
    jn_key(w, "decision");
    route_explain_put(w, rules, &c->facts);
    jn_object_end(w);
}

/* One JSON line a case, so that the size of an answer has a bound. */
static void print_json_case(const struct route_rules *rules, const struct route_case *c,
                            const char *wrong)
{
    struct jn_writer w;
    struct buf line;
    buf_init(&line, EXPLANATION_BYTES);
    jn_begin(&w, &line, false);
    put_case(&w, rules, c, wrong);
    printf("%s\n", line.data);
    buf_done(&line);
}

int command_route_test(struct cli *cli)
{
    struct fault why = {0};
    struct route_rules *rules = NULL;
    struct route_cases cases = {0};
    size_t failed = 0;
    if (cli->words_len == 1) {
        return cli_usage(cli, "route test takes RULES.yaml and CASES.yaml, or nothing for the "
                              "built-in ones");
    }
    const char *const paths[2] = {cli->words_len > 0 ? cli->words[0] : NULL,
                                  cli->words_len > 0 ? cli->words[1] : NULL};
    enum fail f = read_both(paths, &rules, &cases, &why);
    if (f != FAIL_NONE) {
        route_rules_unref(rules);
        route_cases_done(&cases);
        return cli_fail(cli, &why);
    }
    size_t widest = widest_row(rules);
    for (size_t i = 0; i < cases.n; i++) {
        char wrong[ROUTE_REASON_SIZE];
        bool holds = route_case_holds(rules, &cases.list[i], wrong);
        failed += holds ? 0 : 1;
        if (cli->json) {
            print_json_case(rules, &cases.list[i], holds ? NULL : wrong);
        } else {
            print_case(rules, &cases.list[i], holds ? NULL : wrong, widest);
        }
    }
    if (cli->json) {
        printf("{\"rules\":\"%s\",\"cases\":%zu,\"failed\":%zu}\n", route_rules_release(rules),
               cases.n, failed);
    } else {
        printf("%zu rows, %zu cases, %zu failed. Release %.12s.\n", route_rules_count(rules),
               cases.n, failed, route_rules_release(rules));
    }
    route_cases_done(&cases);
    route_rules_unref(rules);
    return failed == 0 ? COMMAND_OK : COMMAND_SOME_FAILED;
}

/* ---- through the server ---- */

static void print_explained(const json_t *e)
{
    size_t i, widest = strlen("always_person");
    json_t *row;
    json_array_foreach(json_object_get(e, "rows"), i, row) {
        size_t n = strlen(cli_str(row, "row"));
        widest = n > widest ? n : widest;
    }
    printf("%s -> %s", cli_str(e, "row"), cli_str(e, "go"));
    if (strcmp(cli_str(e, "leave"), "never") != 0) {
        printf(", leaves %s", cli_str(e, "leave"));
    }
    printf("\n");
    cli_print_wrapped(cli_str(e, "because"), 2, 100);
    printf("\n");
    json_array_foreach(json_object_get(e, "rows"), i, row) {
        printf("  %-*s  %-11s  %s\n", (int)widest, cli_str(row, "row"), cli_str(row, "verdict"),
               cli_str(row, "reason"));
    }
    printf("\nfacts\n");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(e, "facts"), key, value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        printf("  %-18s %s\n", key, text != NULL ? text : "");
        free(text); /* tidy: memory: jansson's own */
    }
}

static void print_recorded(const json_t *j)
{
    const json_t *d = json_object_get(json_object_get(j, "recorded"), "decision");
    if (d != NULL) {
        printf("recorded: %s -> %s, rules %.12s\n", cli_str(d, "row"), cli_str(d, "go"),
               cli_str(d, "rules"));
    }
    if (cli_str(j, "note")[0] != '\0') {
        cli_print_wrapped(cli_str(j, "note"), 0, 100);
        printf("\n");
    }
    if (json_is_object(json_object_get(j, "explained"))) {
        print_explained(json_object_get(j, "explained"));
    }
}

/* A task's id, or a file with the request as POST /api/v1/tasks takes it (and "facts" to try). */
int command_route_explain(struct cli *cli)
{
    struct fault why;
    struct buf body;
    struct id id;
    json_t *j AUTO_JSON = NULL;
    const char *word = cli->words[0];
    bool task = text_id_read(word, "tsk", &id);
    enum fail f;
    if (task) {
        char path[96];
        (void)snprintf(path, sizeof(path), "/api/v1/tasks/%s/route", word);
        f = cli_send(cli, "GET", path, NULL, NULL, 0, &j, &why);
    } else {
        buf_init(&body, (size_t)1 << 20);
        f = cli_read_file(word, &body, &why);
        if (f == FAIL_NONE) {
            f = cli_send(cli, "POST", "/api/v1/route/explain", "application/json",
                         body.len > 0 ? body.data : "", body.len, &j, &why);
        }
        buf_done(&body);
    }
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else if (task) {
        print_recorded(j);
    } else {
        print_explained(j);
    }
    return COMMAND_OK;
}

static void print_releases(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"release", "state", "proposed by", "*approved by"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i;
    json_t *r;
    json_array_foreach(list, i, r) {
        const char *by = cli_str(r, "approved_by");
        const char *cells[] = {cli_str(r, "release"), cli_str(r, "state"),
                               cli_str(r, "proposed_by"), by[0] != '\0' ? by : NULL};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

int command_route_list(struct cli *cli)
{
    static const char *const columns[] = {"row", "*when", "go", "leaves"};
    struct fault why;
    json_t *j AUTO_JSON = NULL, *row;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/route/rules", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "rows"), i, row) {
        const char *cells[] = {cli_str(row, "name"), cli_str(row, "when"), cli_str(row, "go"),
                               cli_str(row, "leave")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    const json_t *releases = json_object_get(j, "releases");
    if (json_array_size(releases) > 0) {
        printf("\n");
        print_releases(cli, releases);
    }
    cli_note(cli, "# release %s", cli_str(j, "release"));
    return COMMAND_OK;
}

static int say_changed(struct cli *cli, const json_t *j)
{
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    if (strcmp(cli_str(j, "state"), "active") == 0) {
        printf("The rules %.12s are active now.\n", cli_str(j, "release"));
    } else {
        printf("The rules %.12s are a candidate. `inhouse route approve %s` lets them serve.\n",
               cli_str(j, "release"), cli_str(j, "release"));
    }
    return COMMAND_OK;
}

int command_route_put(struct cli *cli)
{
    struct fault why = {0};
    struct buf text;
    struct route_rules *rules = NULL;
    json_t *j AUTO_JSON = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    buf_init(&text, ROUTE_MAX_BYTES + 1);
    enum fail f = cli_read_file(cli->words[0], &text, &why);
    if (f == FAIL_NONE) {
        f = route_rules_read(text.len > 0 ? text.data : "", text.len, cli->words[0], &rules,
                             faults, &why);
        cli_say_faults(faults);
    }
    if (f == FAIL_NONE) {
        f = cli_send(cli, "POST", "/api/v1/route/rules", "application/yaml", text.data, text.len,
                     &j, &why);
    }
    route_rules_unref(rules);
    buf_done(&text);
    mem_free(faults);
    return f != FAIL_NONE ? cli_fail(cli, &why) : say_changed(cli, j);
}

int command_route_approve(struct cli *cli)
{
    struct fault why;
    char path[160];
    json_t *j AUTO_JSON = NULL;
    if (!text_is_name(cli->words[0])) {
        return cli_usage(cli, "\"%s\" is no release", cli->words[0]);
    }
    (void)snprintf(path, sizeof(path), "/api/v1/route/rules/%s/approve", cli->words[0]);
    if (cli_send(cli, "POST", path, "application/json", "{}", 2, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return say_changed(cli, j);
}
