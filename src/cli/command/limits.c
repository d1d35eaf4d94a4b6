/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, labels and stop switches: what may be used, what is off. Threads: one. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "prove/measure/measure.h"

#define CELL 64

/* "12 of 600", "12" without a limit. */
static const char *use_of(const json_t *row, const char *key, char out[CELL])
{
    const json_t *limit = json_object_get(json_object_get(row, "limits"), key);
    const json_t *used = json_object_get(json_object_get(row, "used"), key);
    if (json_is_string(limit) || json_is_string(used)) {
        double spent = 0;
        double most = 0;
        (void)text_read_double(cli_str(json_object_get(row, "used"), key), &spent);
        bool some = text_read_double(cli_str(json_object_get(row, "limits"), key), &most);
        (void)snprintf(out, CELL, some ? "%.2f of %.2f" : "%.2f", spent, most);
    } else if (json_is_integer(limit)) {
        (void)snprintf(out, CELL, "%lld of %lld", (long long)json_integer_value(used),
                       (long long)json_integer_value(limit));
    } else {
        (void)snprintf(out, CELL, "%lld", (long long)json_integer_value(used));
    }
    return out;
}

int command_limits_show(struct cli *cli)
{
    static const char *const columns[] = {"kind",         "*name",    "set",     ">requests/min",
                                          ">tokens/min", ">at once", ">day",    ">month",
                                          "label"};
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    json_t *row;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/limits", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "limits"), i, row)
    {
        char cell[5][CELL];
        const char *cells[] = {cli_str(row, "kind"),
                               cli_str(row, "name"),
                               json_is_true(json_object_get(row, "set")) ? "own" : "default",
                               use_of(row, "requests", cell[0]),
                               use_of(row, "tokens", cell[1]),
                               use_of(row, "parallel", cell[2]),
                               use_of(row, "day", cell[3]),
                               use_of(row, "month", cell[4]),
                               cli_str(row, "label")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

/* KIND and NAME as words; "everything" needs no name. */
static bool name_of(struct cli *cli, json_t *ask)
{
    const char *kind = cli->words[0];
    const char *name = cli->words_len > 1 ? cli->words[1] : NULL;
    bool all = strcmp(kind, "everything") == 0;
    if (name == NULL && !all) {
        (void)cli_usage(cli, "name which %s", kind);
        return false;
    }
    (void)json_object_set_new(ask, "kind", json_string(kind));
    if (!all) {
        (void)json_object_set_new(ask, "name", json_string(name));
    }
    return true;
}

static bool add_count(struct cli *cli, json_t *ask, const char *option)
{
    int64_t n = 0;
    const char *s = cli_option(cli, option);
    if (s == NULL) {
        return true;
    }
    if (strcmp(s, "default") == 0) {
        (void)json_object_set_new(ask, option, json_null());
    } else if (text_read_int(s, 0, INT64_C(1000000000000), &n)) {
        (void)json_object_set_new(ask, option, json_integer(n));
    } else {
        (void)cli_usage(cli, "--%s must be a whole number, or default", option);
        return false;
    }
    return true;
}

static void add_text(struct cli *cli, json_t *ask, const char *option)
{
    const char *s = cli_option(cli, option);
    if (s != NULL) {
        bool back = strcmp(s, "default") == 0 && strcmp(option, "label") != 0;
        (void)json_object_set_new(ask, option, back ? json_null() : json_string(s));
    }
}

static int send(struct cli *cli, const char *path, const json_t *ask, json_t **j)
{
    struct fault why;
    char *body = json_dumps(ask, JSON_COMPACT);
    if (body == NULL) {
        return cli_usage(cli, "names and reasons must be UTF-8");
    }
    enum fail f = cli_send(cli, "POST", path, NULL, body, strlen(body), j, &why);
    free(body); /* tidy: memory: jansson's own */
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

int command_limits_set(struct cli *cli)
{
    static const char *const counts[] = {"requests", "tokens", "parallel"};
    static const char *const texts[] = {"day", "month", "label"};
    json_t *j AUTO_JSON = NULL;
    json_t *ask AUTO_JSON = json_object();
    if (!name_of(cli, ask)) {
        return COMMAND_USAGE;
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        if (!add_count(cli, ask, counts[i])) {
            return COMMAND_USAGE;
        }
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        add_text(cli, ask, texts[i]);
    }
    int status = send(cli, "/api/v1/limits", ask, &j);
    if (status == COMMAND_OK && cli->json) {
        cli_print_json(j);
    } else if (status == COMMAND_OK) {
        printf("Set and recorded; it holds from now on.\n");
    }
    return status;
}

/* ---- stop switches ---- */

void cli_print_halts(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"kind", "*name", "since", "by", "*reason"};
    size_t i;
    json_t *h;
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, h)
    {
        const char *cells[] = {cli_str(h, "kind"), cli_str(h, "name"), cli_str(h, "at"),
                               cli_str(h, "by"), cli_str(h, "reason")};
        measure_table_row(t, cells);
    }
    printf("%sSwitched off:%s\n", cli->tty ? "\x1b[31;1m" : "", cli->tty ? "\x1b[0m" : "");
    cli_print_table(cli, t);
}

int command_halt_list(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    if (cli_send(cli, "GET", "/api/v1/halts", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else if (json_array_size(json_object_get(j, "halts")) == 0) {
        printf("Nothing is switched off.\n");
    } else {
        cli_print_halts(cli, json_object_get(j, "halts"));
    }
    return COMMAND_OK;
}

static int turn(struct cli *cli, bool on)
{
    json_t *j AUTO_JSON = NULL;
    json_t *ask AUTO_JSON = json_object();
    const char *reason = on ? cli_option(cli, "reason") : NULL;
    if (!name_of(cli, ask)) {
        return COMMAND_USAGE;
    }
    if (on && reason == NULL) {
        return cli_usage(cli, "say why with --reason: those who meet it read it");
    }
    (void)json_object_set_new(ask, "on", json_boolean(on));
    if (reason != NULL) {
        (void)json_object_set_new(ask, "reason", json_string(reason));
    }
    int status = send(cli, "/api/v1/halts", ask, &j);
    if (status == COMMAND_OK && cli->json) {
        cli_print_json(j);
    } else if (status == COMMAND_OK) {
        printf(on ? "Off from now on, what runs included. `inhouse halt off` turns it on again.\n"
                  : "It works again.\n");
    }
    return status;
}

int command_halt_on(struct cli *cli)
{
    return turn(cli, true);
}

int command_halt_off(struct cli *cli)
{
    return turn(cli, false);
}
