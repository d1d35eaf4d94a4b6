/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse govern: the governance file, out of what the running server says. Threads: one. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command/command_internal.h"
#include "prove/govern/govern.h"

/* Listings beside GET /api/v1/governance: where from, and which member. */
static const struct {
    const char *name, *path, *member;
} listings[] = {
    {"models", "/api/v1/models", "models"},
    {"keys", "/api/v1/keys", "keys"},
    {"users", "/api/v1/users", "users"},
    {"teams", "/api/v1/teams", "teams"},
    {"workflows", "/api/v1/workflows", "workflows"},
    {"upstreams", "/api/v1/upstreams", "upstreams"},
    {"certificates", "/api/v1/certificates", "certificates"},
    {"documents", "/api/v1/datasets", "datasets"},
    {"rules", "/api/v1/route/rules", "releases"},
    {"rows", "/api/v1/route/rules", "rows"},
};

/* A dataset that only its documents tell of has no owner yet: it is listed, and says so. */
static void join_documents(json_t *facts)
{
    json_t *about = json_object_get(facts, "datasets");
    const json_t *documents = json_object_get(facts, "documents");
    for (size_t i = 0; i < json_array_size(documents); i++) {
        json_t *d = json_array_get(documents, i);
        json_t *found = NULL;
        for (size_t k = 0; k < json_array_size(about) && found == NULL; k++) {
            json_t *x = json_array_get(about, k);
            found = strcmp(cli_str(x, "name"), cli_str(d, "name")) == 0 ? x : NULL;
        }
        json_t *n = json_object_get(d, "articles");
        if (found == NULL) {
            found = json_pack("{s:s,s:s,s:s}", "name", cli_str(d, "name"), "owner",
                              "nobody: say whose it is", "purpose", "not stated");
            (void)json_array_append_new(about, found);
        }
        if (n != NULL) {
            (void)json_object_set(found, "documents", n);
        }
    }
}

/* Of each account "team: role", and " (directory)" where a directory's group says so. */
static void shape_people(json_t *users)
{
    for (size_t i = 0; i < json_array_size(users); i++) {
        json_t *user = json_array_get(users, i);
        json_t *roles = json_array();
        const json_t *teams = json_object_get(user, "teams");
        for (size_t k = 0; k < json_array_size(teams); k++) {
            const json_t *t = json_array_get(teams, k);
            char text[200];
            (void)snprintf(text, sizeof(text), "%.80s: %.20s%s", cli_str(t, "team"),
                           cli_str(t, "role"),
                           json_is_true(json_object_get(t, "directory")) ? " (directory)" : "");
            (void)json_array_append_new(roles, json_string(text));
        }
        (void)json_object_set_new(user, "roles", roles);
    }
}

/* "local: …" of a row of rules as one text; a change's time as one member. */
static void shape(json_t *facts)
{
    json_t *rows = json_object_get(facts, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        char text[700];
        (void)snprintf(text, sizeof(text), "%.40s when %.400s (leaves: %.40s)", cli_str(row, "go"),
                       cli_str(row, "when"), cli_str(row, "leave"));
        (void)json_object_set_new(row, "decides", json_string(text));
    }
    shape_people(json_object_get(facts, "users"));
    json_t *rules = json_object_get(facts, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        json_t *row = json_array_get(rules, i);
        const char *at = cli_str(row, "approved_at");
        (void)json_object_set_new(row, "at",
                                  json_string(at[0] != '\0' ? at : cli_str(row, "proposed_at")));
    }
    /* Who is alone is said on the first page. */
    size_t people = 0;
    json_t *keys = json_object_get(facts, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *k = json_array_get(keys, i);
        const char *role = cli_str(k, "role");
        people += cli_str(k, "revoked_at")[0] == '\0' &&
                          (strcmp(role, "approver") == 0 || strcmp(role, "admin") == 0)
                      ? 1
                      : 0;
    }
    (void)json_object_set_new(facts, "solo",
                              json_string(people < 2 ? "fewer than two who may approve: "
                                                       "one person runs this server"
                                                     : "two or more who may approve"));
    (void)json_object_set_new(
        facts, "solo_notice",
        json_string(people < 2 ? "One person runs this server: fewer than two keys may approve, so "
                                 "four eyes are not ensured." : ""));
}

static enum fail collect(struct cli *cli, json_t **facts, struct fault *why)
{
    struct client *c = cli_client(cli);
    if (c == NULL) {
        *why = cli->why;
        return why->code;
    }
    enum fail f = client_get(c, facts, why, "/api/v1/governance");
    for (size_t i = 0; i < COUNT_OF(listings) && f == FAIL_NONE; i++) {
        json_t *got AUTO_JSON = NULL;
        struct fault missing; /* a server that does not say is written down as such */
        if (client_get(c, &got, &missing, "%s", listings[i].path) == FAIL_NONE) {
            (void)json_object_set(*facts, listings[i].name,
                                  json_object_get(got, listings[i].member));
        }
    }
    if (f == FAIL_NONE) {
        join_documents(*facts);
        shape(*facts);
    }
    return f;
}

static enum fail put_file(const char *path, const struct buf *text, struct fault *why)
{
    char draft[CLIENT_PATH_SIZE + 16];
    (void)snprintf(draft, sizeof(draft), "%s.new", path);
    FILE *f = fopen(draft, "we");
    bool good = f != NULL && fwrite(text->data, 1, text->len, f) == text->len;
    good = f != NULL && fclose(f) == 0 && good;
    return good && rename(draft, path) == 0
               ? FAIL_NONE
               : FAULT_ERRNO(why, fail_from_write_errno(errno), "could not write %s", path);
}

static enum fail write_both(struct cli *cli, const json_t *facts, const char *folder,
                            struct fault *why)
{
    static const char *const names[] = {"governance.md", "governance.html"};
    enum fail f = FAIL_NONE;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", folder);
    }
    for (int i = 0; i < 2 && f == FAIL_NONE; i++) {
        char path[CLIENT_PATH_SIZE];
        struct buf text;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        buf_init(&text, GOVERN_BYTES);
        govern_write(facts, i == 0 ? GOVERN_MARKDOWN : GOVERN_HTML, &text);
        f = text.overflow ? FAULT(why, FAIL_TOO_LARGE, "the file would be over %zu MiB",
                                  GOVERN_BYTES >> 20)
                          : put_file(path, &text, why);
        buf_done(&text);
        if (f == FAIL_NONE && !cli->json) {
            printf("%s\n", path);
        }
    }
    return f;
}

int command_govern(struct cli *cli)
{
    struct fault why;
    json_t *facts AUTO_JSON = NULL;
    const char *folder = cli_option(cli, "out");
    const char *format = cli_option(cli, "format");
    bool html = format != NULL && strcmp(format, "html") == 0;
    if (format != NULL && !html && strcmp(format, "md") != 0) {
        return cli_usage(cli, "\"%.20s\" is no format: md or html", format);
    }
    enum fail f = collect(cli, &facts, &why);
    if (f == FAIL_NONE && folder != NULL) {
        f = write_both(cli, facts, folder, &why);
    }
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(facts);
    } else if (folder == NULL) {
        struct buf text;
        buf_init(&text, GOVERN_BYTES);
        govern_write(facts, html ? GOVERN_HTML : GOVERN_MARKDOWN, &text);
        (void)fwrite(text.data, 1, text.len, stdout);
        buf_done(&text);
    }
    return COMMAND_OK;
}
