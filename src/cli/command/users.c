/* SPDX-License-Identifier: Apache-2.0 */
/* People, service accounts and teams. Threads: one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define SECRET_SIZE 300

/* ---- the first administrator, one-time tokens ---- */

static int say_done(struct cli *cli, const json_t *j, const char *done)
{
    if (cli->json) {
        cli_print_json(j);
    } else {
        printf("%s %s\n", cli_str(j, "name"), done);
    }
    return COMMAND_OK;
}

static int use_token(struct cli *cli, const char *token, const char *name)
{
    char password[SECRET_SIZE];
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    if (!cli_secret(cli, "password-file", "New password", true, password, sizeof(password))) {
        return COMMAND_USAGE;
    }
    json_t *ask = json_pack("{s:s,s:s}", "token", token, "password", password);
    explicit_bzero(password, sizeof(password));
    if (ask == NULL) {
        return cli_usage(cli, "the password must be UTF-8");
    }
    if (name != NULL) {
        (void)json_object_set_new(ask, "name", json_string(name));
    }
    if (cli_send_json(cli, "POST", "/api/v1/setup", ask, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return say_done(cli, j, "may sign in with this password.");
}

/* To the terminal, or to a file for this user alone. */
static int give_token(struct cli *cli, const char *token, const char *until, const char *path)
{
    if (path == NULL) {
        printf("%s\n", token);
        cli_note(cli, "Good once, until %s: inhouse users setup NAME --token-file FILE", until);
        return COMMAND_OK;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && dprintf(fd, "%s\n", token) > 0 && fsync(fd) == 0;
    int seen = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (!good) {
        struct fault why;
        errno = seen;
        FAULT_ERRNO(&why, fail_from_write_errno(seen), "cannot write %s", path);
        fail_hint(&why, "Name a file that is not there yet.");
        return cli_fail(cli, &why);
    }
    printf("%s: good once, until %s.\n", path, until);
    return COMMAND_OK;
}

int command_users_init(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    enum fail f = cli_send_json(cli, "POST", "/api/v1/users/init", json_object(), &j, &why);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->words_len > 0) {
        return use_token(cli, cli_str(j, "token"), cli->words[0]);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    return give_token(cli, cli_str(j, "token"), cli_str(j, "token_until"), cli_option(cli, "out"));
}

static bool read_token(struct cli *cli, char *out, size_t room)
{
    char path[CLIENT_PATH_SIZE + 16];
    struct buf text;
    struct fault why;
    if (cli_option(cli, "token-file") != NULL) {
        return cli_secret(cli, "token-file", "Token", false, out, room);
    }
    (void)snprintf(path, sizeof(path), "%s/setup.token", cli->home);
    if (cli->url != NULL || access(path, F_OK) != 0) {
        return cli_secret(cli, "token-file", "One-time token", false, out, room);
    }
    buf_init(&text, 4096);
    bool good = cli_read_file(path, &text, &why) == FAIL_NONE &&
                text_copy(out, room, text_trim(text.data != NULL ? text.data : (char[1]){0}));
    buf_done(&text);
    if (!good) {
        cli_usage(cli, "%s cannot be read: give --token-file", path);
    }
    return good;
}

int command_users_setup(struct cli *cli)
{
    char token[SECRET_SIZE];
    if (!read_token(cli, token, sizeof(token))) {
        return COMMAND_USAGE;
    }
    int status = use_token(cli, token, cli->words_len > 0 ? cli->words[0] : NULL);
    explicit_bzero(token, sizeof(token));
    return status;
}

/* ---- accounts ---- */

int command_users_add(struct cli *cli)
{
    struct fault why;
    const char *team = cli_option(cli, "team"), *role = cli_option(cli, "role");
    json_t *j AUTO_JSON = NULL;
    json_t *ask = json_pack("{s:s,s:b}", "name", cli->words[0], "service",
                            cli_option(cli, "service") != NULL);
    if (ask == NULL) {
        return cli_usage(cli, "the name must be UTF-8");
    }
    if (team != NULL) {
        (void)json_object_set_new(ask, "team", json_string(team));
    }
    if (role != NULL) {
        (void)json_object_set_new(ask, "role", json_string(role));
    }
    if (cli_send_json(cli, "POST", "/api/v1/users", ask, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json || cli_option(cli, "service") != NULL) {
        return say_done(cli, j, "was added: inhouse keys add NAME --owner makes it a key.");
    }
    printf("%s\n", cli_str(j, "token"));
    cli_note(cli, "The one-time token of %s, good until %s. Hand it over; the person sets the\n"
                  "password: inhouse users setup --token-file FILE, or POST /api/v1/setup.",
             cli_str(j, "name"), cli_str(j, "token_until"));
    return COMMAND_OK;
}

/* "member in support, admin in default" */
static void teams_text(const json_t *user, struct buf *out)
{
    size_t i;
    const json_t *m;
    json_array_foreach(json_object_get(user, "teams"), i, m) {
        (void)buf_printf(out, "%s%s in %s", i > 0 ? ", " : "", cli_str(m, "role"),
                         cli_str(m, "team"));
    }
}

int command_users_list(struct cli *cli)
{
    static const char *const columns[] = {"*name",     "kind",  "*from", "*teams",
                                          "last seen", "state"};
    struct fault why;
    json_t *j AUTO_JSON = NULL, *u;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/users", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    if (json_array_size(json_object_get(j, "users")) == 0) {
        printf("No accounts yet: inhouse users init NAME makes the first administrator.\n");
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "users"), i, u) {
        struct buf teams;
        buf_init(&teams, 4096);
        teams_text(u, &teams);
        const char *cells[] = {
            cli_str(u, "name"),
            cli_str(u, "kind"),
            cli_str(u, "origin"),
            teams.len > 0 ? teams.data : NULL,
            json_string_value(json_object_get(u, "last_login_at")),
            json_is_string(json_object_get(u, "disabled_at")) ? "disabled" : "good"};
        measure_table_row(t, cells);
        buf_done(&teams);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

/* The account's path: by name, or by id when the name has what a path may not. */
static enum fail user_path(struct cli *cli, const char *name, const char *after, struct buf *path,
                           struct fault *why)
{
    json_t *j AUTO_JSON = NULL, *u;
    size_t i;
    const char *called = name;
    buf_init(path, 1024);
    if (strpbrk(name, "@+") != NULL) {
        enum fail f = cli_send(cli, "GET", "/api/v1/users", NULL, NULL, 0, &j, why);
        if (f != FAIL_NONE) {
            return f;
        }
        json_array_foreach(json_object_get(j, "users"), i, u) {
            called = strcmp(cli_str(u, "name"), name) == 0 ? cli_str(u, "id") : called;
        }
        if (called == name) {
            return FAULT(why, FAIL_NOT_FOUND, "there is no account named \"%.64s\"", name);
        }
    }
    (void)buf_add_str(path, "/api/v1/users/");
    client_escape(path, called);
    (void)buf_add_str(path, after);
    return path->overflow ? FAULT(why, FAIL_BAD_REQUEST, "the name is too long") : FAIL_NONE;
}

static int change_user(struct cli *cli, const char *method, const char *after, json_t *body,
                       json_t **out)
{
    struct fault why;
    struct buf path;
    enum fail f = user_path(cli, cli->words[0], after, &path, &why);
    if (f == FAIL_NONE) {
        f = cli_send_json(cli, method, path.data, body, out, &why);
    } else {
        json_decref(body);
    }
    buf_done(&path);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

int command_users_role(struct cli *cli)
{
    json_t *j AUTO_JSON = NULL;
    struct buf after, teams;
    const char *role = cli->words[2];
    bool none = strcmp(role, "none") == 0;
    buf_init(&after, 512);
    (void)buf_add_str(&after, "/teams/");
    client_escape(&after, cli->words[1]);
    int status = change_user(cli, none ? "DELETE" : "PUT", after.data,
                             none ? NULL : json_pack("{s:s}", "role", role), &j);
    buf_done(&after);
    if (status == COMMAND_OK && cli->json) {
        cli_print_json(j);
    } else if (status == COMMAND_OK) {
        buf_init(&teams, 4096);
        teams_text(j, &teams);
        printf("%s: %s\n", cli_str(j, "name"), teams.len > 0 ? teams.data : "no team");
        buf_done(&teams);
    }
    return status;
}

int command_users_password(struct cli *cli)
{
    char password[SECRET_SIZE];
    json_t *j AUTO_JSON = NULL;
    if (cli_option(cli, "token") != NULL) {
        int status = change_user(cli, "POST", "/password", json_object(), &j);
        return status != COMMAND_OK || cli->json
                   ? (status == COMMAND_OK ? say_done(cli, j, "") : status)
                   : give_token(cli, cli_str(j, "token"), cli_str(j, "token_until"), NULL);
    }
    if (!cli_secret(cli, "password-file", "New password", true, password, sizeof(password))) {
        return COMMAND_USAGE;
    }
    json_t *ask = json_pack("{s:s}", "password", password);
    explicit_bzero(password, sizeof(password));
    if (ask == NULL) {
        return cli_usage(cli, "the password must be UTF-8");
    }
    int status = change_user(cli, "POST", "/password", ask, &j);
    return status == COMMAND_OK
               ? say_done(cli, j, "has this password now; all its sessions have ended.")
               : status;
}

static int disable(struct cli *cli, bool on)
{
    json_t *j AUTO_JSON = NULL;
    int status = change_user(cli, "POST", "/disable", json_pack("{s:b}", "disabled", on), &j);
    return status == COMMAND_OK
               ? say_done(cli, j, on ? "is disabled: its sessions ended, its keys are refused."
                                     : "may act again.")
               : status;
}

int command_users_disable(struct cli *cli)
{
    return disable(cli, true);
}

int command_users_enable(struct cli *cli)
{
    return disable(cli, false);
}

/* ---- teams ---- */

int command_teams_add(struct cli *cli)
{
    struct fault why;
    const char *label = cli_option(cli, "label");
    json_t *j AUTO_JSON = NULL;
    json_t *ask = json_pack("{s:s,s:s}", "name", cli->words[0], "label",
                            label != NULL ? label : "internal");
    if (ask == NULL) {
        return cli_usage(cli, "the name must be UTF-8");
    }
    if (cli_send_json(cli, "POST", "/api/v1/teams", ask, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return say_done(cli, j, "was added: inhouse users role NAME TEAM ROLE brings people in.");
}

int command_teams_label(struct cli *cli)
{
    struct fault why;
    struct buf path;
    json_t *j AUTO_JSON = NULL;
    json_t *ask = json_pack("{s:s}", "label", cli->words[1]);
    buf_init(&path, 1024);
    (void)buf_add_str(&path, "/api/v1/teams/");
    client_escape(&path, cli->words[0]);
    enum fail f = FAIL_BAD_REQUEST;
    if (path.overflow || ask == NULL) {
        FAULT(&why, FAIL_BAD_REQUEST, "the name is too long, or not UTF-8");
        json_decref(ask);
    } else {
        f = cli_send_json(cli, "PUT", path.data, ask, &j, &why);
    }
    buf_done(&path);
    return f == FAIL_NONE ? say_done(cli, j, cli_str(j, "label")) : cli_fail(cli, &why);
}

int command_teams_list(struct cli *cli)
{
    static const char *const columns[] = {"*name", "label", ">members", ">keys", "made"};
    struct fault why;
    json_t *j AUTO_JSON = NULL, *team;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/teams", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "teams"), i, team) {
        char members[24], keys[24];
        (void)snprintf(members, sizeof(members), "%lld",
                       (long long)json_integer_value(json_object_get(team, "members")));
        (void)snprintf(keys, sizeof(keys), "%lld",
                       (long long)json_integer_value(json_object_get(team, "keys")));
        const char *cells[] = {cli_str(team, "name"), cli_str(team, "label"), members, keys,
                               json_string_value(json_object_get(team, "created_at"))};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}
