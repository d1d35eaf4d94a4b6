/* SPDX-License-Identifier: Apache-2.0 */
/* Other servers: their health and spend, and the calls made to them. */
#include <inttypes.h>
#include <string.h>

#include "cli/command/command_internal.h"
#include "prove/measure/measure.h"

#define CELL 64

static void number(const json_t *of, const char *key, char out[CELL])
{
    (void)snprintf(out, CELL, "%lld",
                   (long long)json_integer_value(json_object_get(of, key)));
}

static void print_servers(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"*upstream", "circuit", "answered", "failed", "limited",
                                          "spent",     "budget",  "per",      "last failure"};
    size_t i;
    json_t *u;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, u)
    {
        char answered[CELL], failed[CELL], limited[CELL];
        const json_t *spend = json_object_get(u, "spend");
        const char *problem = cli_str(u, "problem");
        number(u, "answered", answered);
        number(u, "failed", failed);
        number(u, "limited", limited);
        const char *budget = cli_str(spend, "budget");
        const char *cells[] = {cli_str(u, "name"),
                               cli_str(u, "circuit"),
                               answered,
                               failed,
                               limited,
                               cli_str(spend, "spent"),
                               budget[0] != '\0' ? budget : "none",
                               cli_str(spend, "per"),
                               problem[0] != '\0' ? problem : cli_str(u, "last_failure")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

static void print_pools(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"*model_name", "upstream", "model", "weight", "state"};
    size_t i;
    size_t k;
    json_t *pool;
    json_t *m;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, pool)
    {
        json_array_foreach(json_object_get(pool, "members"), k, m)
        {
            char weight[CELL];
            const char *why = cli_str(m, "why_not");
            number(m, "weight", weight);
            const char *cells[] = {cli_str(pool, "name"), cli_str(m, "upstream"),
                                   cli_str(m, "model"), weight, why[0] != '\0' ? why : "good"};
            measure_table_row(t, cells);
        }
    }
    cli_print_table(cli, t);
}

int command_upstreams(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    if (cli_send(cli, "GET", "/api/v1/upstreams", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else if (json_array_size(json_object_get(j, "upstreams")) == 0) {
        printf("No other servers: everything is answered on this machine.\n"
               "To add one, write model_list and upstreams into inhouse.yaml "
               "(docs/reference/upstreams.md).\n");
    } else {
        print_servers(cli, json_object_get(j, "upstreams"));
        printf("\n");
        print_pools(cli, json_object_get(j, "pools"));
    }
    return COMMAND_OK;
}

/* "openai too_slow, azure answered" */
static void show_attempts(const json_t *list, struct buf *out)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        (void)buf_printf(out, "%s%s %s", i > 0 ? ", " : "", cli_str(a, "upstream"),
                         cli_str(a, "outcome"));
    }
}

int command_upstream_calls(struct cli *cli)
{
    static const char *const columns[] = {"*at", "model_name", "label", "rule", "outcome", "cost",
                                          "attempts"};
    struct fault why;
    struct buf path;
    int64_t limit;
    size_t i;
    json_t *j AUTO_JSON = NULL;
    json_t *call;
    const char *task = cli_option(cli, "task");
    if (!cli_number(cli, "limit", 1, 1000, 50, &limit)) {
        return COMMAND_USAGE;
    }
    buf_init(&path, 1024);
    (void)buf_printf(&path, "/api/v1/upstreams/calls?limit=%" PRId64, limit);
    if (task != NULL) {
        (void)buf_add_str(&path, "&task=");
        client_escape(&path, task);
    }
    enum fail f = path.overflow ? FAULT(&why, FAIL_BAD_REQUEST, "the id is too long")
                                : cli_send(cli, "GET", path.data, NULL, NULL, 0, &j, &why);
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "calls"), i, call)
    {
        struct buf attempts;
        buf_init(&attempts, 4096);
        show_attempts(json_object_get(call, "attempts"), &attempts);
        const char *outcome = cli_str(call, "outcome");
        const char *cells[] = {cli_str(call, "created_at"),
                               cli_str(call, "model_name"),
                               cli_str(call, "label"),
                               cli_str(call, "rule"),
                               outcome[0] != '\0' ? outcome : cli_str(call, "state"),
                               cli_str(call, "cost"),
                               attempts.data != NULL ? attempts.data : ""};
        measure_table_row(t, cells);
        buf_done(&attempts);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}
