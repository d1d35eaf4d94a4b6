/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse audit keys, witness: the log's keys, where checkpoints left to, and a witness for other
   servers. Threads: one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "trust/audit/audit.h"

static void add_key(void *arg, const struct audit_key *key)
{
    json_t *list = arg;
    char made[CLOCK_RFC3339_SIZE], ended[CLOCK_RFC3339_SIZE];
    (void)json_array_append_new(
        list, json_pack("{s:s,s:s,s:s?}", "key", key->vkey, "created_at",
                        clock_show(key->created_at, made), "retired_at",
                        key->retired_at != 0 ? clock_show(key->retired_at, ended) : NULL));
}

int command_audit_keys(struct cli *cli)
{
    struct fault why;
    json_t *list AUTO_JSON = json_array();
    if (audit_key_each(cli->home, add_key, list, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(list);
        return COMMAND_OK;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *k = json_array_get(list, i);
        const char *ended = cli_str(k, "retired_at");
        printf("%s\n  since %s%s%s\n", cli_str(k, "key"), cli_str(k, "created_at"),
               ended[0] != '\0' ? ", retired " : ", signs", ended);
    }
    return COMMAND_OK;
}

int command_audit_keys_rotate(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    if (cli_send(cli, "POST", "/api/v1/audit/key", NULL, "{}", 2, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else {
        printf(
            "From the next record on signs\n  %s\nKeep it outside; the old key still verifies what "
            "it signed. Tell it to witnesses: --log.\n",
            cli_str(j, "key"));
    }
    return COMMAND_OK;
}

static void add_left(void *arg, const struct audit_left *x)
{
    json_t *list = arg;
    char at[CLOCK_RFC3339_SIZE];
    (void)json_array_append_new(
        list, json_pack("{s:s,s:s,s:I,s:s?,s:s,s:s}", "target", x->target, "kind", x->kind, "size",
                        (json_int_t)x->size, "at", x->at != 0 ? clock_show(x->at, at) : NULL,
                        "fault", x->fault, "note", x->note));
}

int command_audit_witness(struct cli *cli)
{
    static const char *const columns[] = {"to", "how", "covers", "at", "problem"};
    char path[CLIENT_PATH_SIZE + 16];
    struct fault why;
    struct store_conn *conn = NULL;
    json_t *list AUTO_JSON = json_array();
    (void)snprintf(path, sizeof(path), "%s/data.db", cli->home);
    enum fail f = store_file_open(path, &conn, &why);
    f = f != FAIL_NONE ? f : audit_left_each(conn, add_left, list, &why);
    store_reader_close(conn);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(list);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_array_get(list, i);
        char size[24];
        (void)snprintf(size, sizeof(size), "%lld",
                       (long long)json_integer_value(json_object_get(x, "size")));
        const char *cells[] = {cli_str(x, "target"), cli_str(x, "kind"), size, cli_str(x, "at"),
                               cli_str(x, "fault")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

/* The server's executable in its other role: this one has no HTTP server in it. */
int command_audit_witness_serve(struct cli *cli)
{
    char program[CLIENT_PATH_SIZE];
    const char *listen = cli_option(cli, "listen");
    const char *folder = cli_option(cli, "folder");
    const char *name = cli_option(cli, "name");
    const char *argv[2 * CLI_MAX_WORDS + 12];
    size_t n = 0;
    if (folder == NULL || name == NULL) {
        return cli_usage(cli, "say --folder DIR and --name NAME, like witness.example/w1");
    }
    struct fault why;
    if (!client_program("inhoused", program)) {
        FAULT(&why, FAIL_NOT_FOUND, "inhoused is missing beside this program");
        return cli_fail(cli, &why);
    }
    argv[n++] = program;
    argv[n++] = "--witness";
    argv[n++] = folder;
    argv[n++] = "--name";
    argv[n++] = name;
    argv[n++] = "--listen";
    argv[n++] = listen != NULL ? listen : "127.0.0.1:8461";
    for (int i = 0; i < cli->words_len; i++) {
        argv[n++] = "--log";
        argv[n++] = cli->words[i];
    }
    argv[n] = NULL;
    (void)execv(program, (char *const *)argv);
    FAULT_ERRNO(&why, FAIL_INTERNAL, "could not start %s", program);
    return cli_fail(cli, &why);
}
