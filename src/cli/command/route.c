/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse route: decision rules tested on cases, here, without a server. Threads: one. */
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
