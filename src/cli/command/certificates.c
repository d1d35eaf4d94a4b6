/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse certificates: which rung may answer which field alone, on what evidence, how closely
   it is watched, and what the others still need. Threads: one. */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define CELL 96

static double real(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

static long long whole(const json_t *of, const char *key)
{
    return (long long)json_integer_value(json_object_get(of, key));
}

static void print_certificates(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"*field",  "rung",          "evidence", "from score",
                                          "answers", "error at most", "audited",  "*state"};
    size_t i;
    json_t *c;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, c)
    {
        char field[CELL], from[CELL], answers[CELL], error[CELL], audit[CELL], state[256];
        const json_t *watch = json_object_get(c, "watch");
        const json_t *days = json_object_get(watch, "tripled_error_found_in_days");
        (void)snprintf(field, sizeof(field), "%.40s %.40s", cli_str(c, "workflow"),
                       cli_str(c, "field"));
        (void)snprintf(from, sizeof(from), "%.4f", real(c, "threshold"));
        (void)snprintf(answers, sizeof(answers), "%.0f %% (%lld of %lld, %lld wrong)",
                       100 * real(c, "coverage"), whole(c, "accepted"), whole(c, "n"),
                       whole(c, "errors"));
        (void)snprintf(error, sizeof(error), "%.1f %% (%.0f %% sure)",
                       100 * real(c, "target_error"), 100 * (1 - real(c, "delta")));
        (void)snprintf(audit, sizeof(audit), "%lld, %lld wrong", whole(watch, "audited"),
                       whole(watch, "wrong"));
        if (json_is_number(days)) {
            (void)snprintf(state, sizeof(state),
                           "%s; %.1f %% of its answers audited: a tripled error is found in %.0f "
                           "days", cli_str(c, "state"), 100 * real(watch, "audit_rate"),
                           json_number_value(days));
        } else if (cli_str(c, "detail")[0] != '\0') {
            (void)snprintf(state, sizeof(state), "%s: %.200s", cli_str(c, "state"),
                           cli_str(c, "detail"));
        } else {
            (void)snprintf(state, sizeof(state), "%s; %.0f %% audited until its volume is known",
                           cli_str(c, "state"), 100 * real(watch, "audit_rate"));
        }
        const char *cells[] = {field, cli_str(c, "rung"), cli_str(c, "class"), from,
                               answers, error, audit, state};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

static void print_needs(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"*field", "rung", "reviewed", "next test at",
                                          "expected at", "items a day", "days left"};
    size_t i;
    json_t *need;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, need)
    {
        char field[CELL], reviewed[CELL], next[CELL], expected[CELL], volume[CELL], days[CELL];
        bool some = json_is_integer(json_object_get(need, "expected_at"));
        (void)snprintf(field, sizeof(field), "%.40s %.40s", cli_str(need, "workflow"),
                       cli_str(need, "field"));
        (void)snprintf(reviewed, sizeof(reviewed), "%lld, %lld wrong", whole(need, "reviewed"),
                       whole(need, "wrong"));
        (void)snprintf(next, sizeof(next), "%lld", whole(need, "next_test_at"));
        (void)snprintf(expected, sizeof(expected), "%lld", whole(need, "expected_at"));
        (void)snprintf(volume, sizeof(volume), "%.0f", real(need, "answers_per_day"));
        (void)snprintf(days, sizeof(days), "%.0f", real(need, "days"));
        const char *cells[] = {field,
                               cli_str(need, "rung"),
                               reviewed,
                               next,
                               some ? expected : "not at this error",
                               real(need, "answers_per_day") > 0 ? volume : "not known yet",
                               json_is_number(json_object_get(need, "days")) ? days : "-"};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

int command_certificates(struct cli *cli)
{
    struct fault why;
    char path[160];
    json_t *j AUTO_JSON = NULL;
    bool named = cli->words_len > 0;
    if (named && !text_is_name(cli->words[0])) {
        return cli_usage(cli, "\"%s\" is no workflow's name", cli->words[0]);
    }
    (void)snprintf(path, sizeof(path), "/api/v1/certificates?all=%d%s%s",
                   cli_option(cli, "all") != NULL, named ? "&workflow=" : "",
                   named ? cli->words[0] : "");
    if (cli_send(cli, "GET", path, NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    const json_t *held = json_object_get(j, "certificates");
    const json_t *needs = json_object_get(j, "uncertified");
    if (json_array_size(held) > 0) {
        print_certificates(cli, held);
    } else {
        cli_note(cli, "No certificate: every rung proposes, a person decides.");
    }
    if (json_array_size(needs) > 0) {
        printf("\nProposing only:\n");
        print_needs(cli, needs);
    }
    return COMMAND_OK;
}
