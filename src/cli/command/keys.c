/* SPDX-License-Identifier: Apache-2.0 */
/* API keys: made, listed, rotated, revoked. Threads: one. */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

static int show_secret(struct cli *cli, const json_t *j, const char *note)
{
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    printf("%s\n", cli_str(j, "key"));
    cli_note(cli, "The key of %s, role %s. It is shown this once; only its hash is kept.\n%s",
             cli_str(j, "name"), cli_str(j, "role"), note);
    return COMMAND_OK;
}

int command_keys_add(struct cli *cli)
{
    static const char *const words[][2] = {
        {"role", "role"},     {"team", "team"},         {"owner", "owner"},
        {"scopes", "scopes"}, {"models", "models"},     {"datasets", "datasets"},
        {"workflows", "workflows"}, {"expires", "expires_at"}};
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    json_t *ask = json_pack("{s:s}", "name", cli->words[0]);
    if (ask == NULL) {
        return cli_usage(cli, "the name must be UTF-8");
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const char *value = cli_option(cli, words[i][0]);
        if (value != NULL) {
            (void)json_object_set_new(ask, words[i][1], json_string(value));
        }
    }
    if (cli_send_json(cli, "POST", "/api/v1/keys", ask, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return show_secret(cli, j,
                       "Use it as: Authorization: Bearer KEY, or set INHOUSE_API_KEY.");
}

int command_keys_list(struct cli *cli)
{
    static const char *const columns[] = {"*name",   "owner",     "team", "role", "made",
                                          "expires", "last used", "state"};
    struct fault why;
    json_t *j AUTO_JSON = NULL, *k;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/keys", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    if (json_array_size(json_object_get(j, "keys")) == 0) {
        printf("No keys yet: inhouse keys add NAME\n");
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "keys"), i, k) {
        bool revoked = json_is_string(json_object_get(k, "revoked_at"));
        bool dead = json_is_true(json_object_get(k, "dead"));
        bool two = json_is_string(json_object_get(k, "old_until"));
        const char *cells[] = {cli_str(k, "name"),
                               json_string_value(json_object_get(k, "owner")),
                               cli_str(k, "team"),
                               cli_str(k, "role"),
                               json_string_value(json_object_get(k, "created_at")),
                               json_string_value(json_object_get(k, "expires_at")),
                               json_string_value(json_object_get(k, "last_use_at")),
                               revoked ? "revoked"
                               : dead  ? "ended with its owner"
                               : two   ? "good, the old secret too"
                                       : "good"};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

static enum fail key_path(const char *name, const char *after, struct buf *path, struct fault *why)
{
    buf_init(path, 1024);
    (void)buf_add_str(path, "/api/v1/keys/");
    client_escape(path, name);
    (void)buf_add_str(path, after);
    return path->overflow ? FAULT(why, FAIL_BAD_REQUEST, "the name is too long") : FAIL_NONE;
}

int command_keys_rotate(struct cli *cli)
{
    struct fault why;
    struct buf path;
    int64_t hours;
    json_t *j AUTO_JSON = NULL;
    if (!cli_number(cli, "overlap", 0, 720, 24, &hours)) {
        return COMMAND_USAGE;
    }
    enum fail f = key_path(cli->words[0], "/rotate", &path, &why);
    if (f == FAIL_NONE) {
        f = cli_send_json(cli, "POST", path.data,
                          json_pack("{s:I}", "overlap_s", (json_int_t)(hours * 3600)), &j, &why);
    }
    buf_done(&path);
    return f == FAIL_NONE ? show_secret(cli, j, hours > 0 ? "The old one is good until then."
                                                          : "The old one is refused from now on.")
                          : cli_fail(cli, &why);
}

int command_keys_revoke(struct cli *cli)
{
    struct fault why;
    struct buf path;
    enum fail f = key_path(cli->words[0], "", &path, &why);
    if (f == FAIL_NONE) {
        f = cli_send(cli, "DELETE", path.data, NULL, NULL, 0, NULL, &why);
    }
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    printf(cli->json ? "{\"revoked\":true}\n"
                     : "Revoked: requests with it are refused from now on.\n");
    return COMMAND_OK;
}
