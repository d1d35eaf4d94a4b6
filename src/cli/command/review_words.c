/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse review, one word a step: the whole API of reviewing for scripts and for people without a
 * screen. Owns nothing. Threads: one. Limits: the server's.
 */
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/review_internal.h"

/* ---- the queue ---- */

int command_review(struct cli *cli)
{
    if (cli->json) {
        return command_review_next(cli);
    }
    return cli->tty && isatty(STDIN_FILENO) == 1 ? review_screen(cli) : review_lines(cli);
}

int command_review_next(struct cli *cli)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    json_t *ask = json_object();
    static const char *const names[] = {"order", "workflow", "queue", "language"};
    if (!cli->json) {
        json_decref(ask);
        return command_review(cli);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (cli_option(cli, names[i]) != NULL) {
            (void)json_object_set_new(ask, names[i], json_string(cli_option(cli, names[i])));
        }
    }
    if (cli_send_json(cli, "POST", "/api/v1/review/next", ask, &out, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    cli_print_json(json_object_get(out, "item"));
    return COMMAND_OK;
}

int command_review_queue(struct cli *cli)
{
    static const char *const columns[] = {"id", "urgency", "queue", "lang", ">sure", "*ticket",
                                          "for"};
    static const char *const names[] = {"order", "workflow", "queue", "language"};
    struct fault why;
    struct buf path;
    size_t i;
    json_t *out AUTO_JSON = NULL, *item;
    buf_init(&path, 4096);
    (void)buf_add_str(&path, "/api/v1/review/queue?limit=500");
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        if (cli_option(cli, names[k]) != NULL) {
            (void)buf_printf(&path, "&%s=", names[k]);
            client_escape(&path, cli_option(cli, names[k]));
        }
    }
    enum fail f = cli_send(cli, "GET", path.data, NULL, NULL, 0, &out, &why);
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(json_object_get(out, "items"));
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(out, "items"), i, item) {
        char sure[CLI_SURE_SIZE];
        const char *id = cli_str(item, "artifact");
        size_t n = strlen(id);
        (void)snprintf(sure, sizeof(sure), "%.2f",
                       json_number_value(json_object_get(item, "confidence")));
        const char *cells[] = {n > 8 ? id + n - 8 : id, cli_str(item, "urgency"),
                               cli_str(item, "queue"),  cli_str(item, "language"), sure,
                               cli_str(item, "title"),  cli_str(item, "target")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

/* ---- one item ---- */

static int item_word(struct cli *cli, const char *verb, json_t *body)
{
    struct fault why;
    char artifact[TEXT_ID_SIZE], path[160];
    json_t *out AUTO_JSON = NULL;
    if (review_find_id(cli, cli->words[0], artifact, &why) != FAIL_NONE) {
        json_decref(body);
        return cli_fail(cli, &why);
    }
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s/%s", artifact, verb);
    if (cli_send_json(cli, "POST", path, body, &out, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    const json_t *item = json_object_get(out, "item");
    if (cli->json) {
        cli_print_json(item != NULL ? item : out);
    } else if (item != NULL) {
        printf("yours until %s\n", cli_str(item, "lease_until"));
    } else {
        printf("%s\n", strcmp(verb, "hint") == 0 ? "asked again; `inhouse review show` says when"
                       : strcmp(verb, "practice") == 0 ? "noted" : "given back");
    }
    return COMMAND_OK;
}

int command_review_claim(struct cli *cli)
{
    return item_word(cli, "claim", json_object());
}

int command_review_release(struct cli *cli)
{
    return item_word(cli, "release", json_object());
}

int command_review_practice(struct cli *cli)
{
    return item_word(cli, "practice", json_pack("{s:b}", "on", cli_option(cli, "off") == NULL));
}

int command_review_hint(struct cli *cli)
{
    struct fault why;
    char artifact[TEXT_ID_SIZE], path[160];
    json_t *item AUTO_JSON = NULL;
    enum fail f = review_find_id(cli, cli->words[0], artifact, &why);
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s", artifact);
    f = f == FAIL_NONE ? cli_send(cli, "GET", path, NULL, NULL, 0, &item, &why) : f;
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return item_word(
        cli, "hint",
        json_pack("{s:O,s:s}", "version", json_object_get(item, "version"), "hint", cli->words[1]));
}

int command_review_alike(struct cli *cli)
{
    static const char *const columns[] = {"id", ">alike", "*ticket", ""};
    struct fault why;
    char artifact[TEXT_ID_SIZE], path[160];
    size_t i;
    json_t *out AUTO_JSON = NULL, *a;
    enum fail f = review_find_id(cli, cli->words[0], artifact, &why);
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s/alike", artifact);
    f = f == FAIL_NONE ? cli_send(cli, "GET", path, NULL, NULL, 0, &out, &why) : f;
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    const json_t *list = json_object_get(out, "alike");
    if (cli->json) {
        cli_print_json(list);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(list, i, a) {
        char like[16];
        const char *id = cli_str(a, "artifact");
        (void)snprintf(like, sizeof(like), "%.2f",
                       json_number_value(json_object_get(a, "likeness")));
        const char *cells[] = {strlen(id) > 8 ? id + strlen(id) - 8 : id, like,
                               cli_str(a, "title"),
                               json_is_true(json_object_get(a, "held_by_other")) ? "held" : ""};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

/* ---- many ---- */

static enum fail add_member(struct cli *cli, const char *given, json_t *items, struct fault *why)
{
    char artifact[TEXT_ID_SIZE], path[160];
    json_t *item AUTO_JSON = NULL;
    enum fail f = review_find_id(cli, given, artifact, why);
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s", artifact);
    f = f == FAIL_NONE ? cli_send(cli, "GET", path, NULL, NULL, 0, &item, why) : f;
    if (f == FAIL_NONE) {
        (void)json_array_append_new(items, json_pack("{s:s,s:O}", "artifact", artifact, "version",
                                                     json_object_get(item, "version")));
    }
    return f;
}

int command_review_group(struct cli *cli)
{
    struct fault why;
    struct buf draft;
    size_t i;
    json_t *out AUTO_JSON = NULL, *items = json_array(), *fields = json_object(), *x;
    json_t *body AUTO_JSON = json_pack("{s:o,s:o}", "items", items, "fields", fields);
    const char *file = cli_option(cli, "draft"), *reason = cli_option(cli, "reason");
    enum fail f = FAIL_NONE;
    buf_init(&draft, REVIEWER_TEXT_MAX);
    for (int k = 0; k < cli->words_len && f == FAIL_NONE; k++) {
        const char *eq = strchr(cli->words[k], '=');
        if (eq != NULL && eq > cli->words[k]) {
            (void)json_object_setn_new(fields, cli->words[k], (size_t)(eq - cli->words[k]),
                                       json_string(eq + 1));
        } else {
            f = add_member(cli, cli->words[k], items, &why);
        }
    }
    if (f == FAIL_NONE && file != NULL) {
        f = cli_read_file(file, &draft, &why);
        (void)json_object_set_new(body, "draft", json_string(draft.len > 0 ? draft.data : ""));
    }
    buf_done(&draft);
    if (reason != NULL) {
        (void)json_object_set_new(body, "reason", json_string(reason));
    }
    bool edit = file != NULL || json_object_size(fields) > 0;
    if (json_object_size(fields) == 0) {
        (void)json_object_del(body, "fields");
    }
    (void)json_object_set_new(body, "action", json_string(edit           ? "edit"
                                                          : reason != NULL ? "reject"
                                                                           : "approve"));
    f = f == FAIL_NONE ? cli_send_json(cli, "POST", "/api/v1/review/group", json_incref(body), &out,
                                       &why) : f;
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(out);
        return COMMAND_OK;
    }
    json_array_foreach(json_object_get(out, "items"), i, x) {
        const char *id = cli_str(x, "artifact");
        printf("%s %s%s\n", strlen(id) > 8 ? id + strlen(id) - 8 : id,
               json_is_true(json_object_get(x, "decided")) ? cli_str(x, "state") : "left out: ",
               cli_str(x, "message"));
    }
    return json_integer_value(json_object_get(out, "left_out")) > 0 ? COMMAND_SOME_FAILED
                                                                    : COMMAND_OK;
}

/* ---- what comes back ---- */

static int send_and_say(struct cli *cli, const char *method, const char *path, json_t *body)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    if (cli_send_json(cli, method, path, body, &out, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    cli_print_json(out);
    return COMMAND_OK;
}

int command_review_outcome(struct cli *cli)
{
    const char *ticket = cli_option(cli, "ticket"), *at = cli_option(cli, "at");
    int at_kind = ticket != NULL ? 0 : 1;
    json_t *o = json_object();
    struct fault why;
    double value = 1;
    if (cli->words_len < at_kind + 1 || cli->words_len > at_kind + 2) {
        json_decref(o);
        return cli_usage(cli, "ID KIND [VALUE], or --ticket T KIND [VALUE]");
    }
    if (ticket != NULL) {
        (void)json_object_set_new(o, "ticket", json_string(ticket));
    } else {
        char artifact[TEXT_ID_SIZE];
        if (review_find_id(cli, cli->words[0], artifact, &why) != FAIL_NONE) {
            json_decref(o);
            return cli_fail(cli, &why);
        }
        (void)json_object_set_new(o, "artifact", json_string(artifact));
    }
    if (cli->words_len == at_kind + 2 && !text_read_double(cli->words[at_kind + 1], &value)) {
        json_decref(o);
        return cli_usage(cli, "\"%s\" is no number", cli->words[at_kind + 1]);
    }
    (void)json_object_set_new(o, "kind", json_string(cli->words[at_kind]));
    (void)json_object_set_new(o, "value", json_real(value));
    if (at != NULL) {
        (void)json_object_set_new(o, "at", json_string(at));
    }
    return send_and_say(cli, "POST", "/api/v1/review/outcomes",
                        json_pack("{s:[o]}", "outcomes", o));
}

int command_review_ticket(struct cli *cli)
{
    struct buf text;
    struct fault why;
    const char *file = cli_option(cli, "text"), *version = cli_option(cli, "version");
    json_t *body = json_pack("{s:s}", "ticket", cli->words[0]);
    buf_init(&text, REVIEWER_TEXT_MAX);
    if (file != NULL && cli_read_file(file, &text, &why) != FAIL_NONE) {
        buf_done(&text);
        json_decref(body);
        return cli_fail(cli, &why);
    }
    if (file != NULL) {
        (void)json_object_set_new(body, "text", json_string(text.len > 0 ? text.data : ""));
    }
    if (version != NULL) {
        (void)json_object_set_new(body, "version", json_string(version));
    }
    buf_done(&text);
    return send_and_say(cli, "POST", "/api/v1/review/tickets", body);
}

/* ---- the team ---- */

static int get_and_say(struct cli *cli, const char *path)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    if (cli_send(cli, "GET", path, NULL, NULL, 0, &out, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    cli_print_json(out);
    return COMMAND_OK;
}

int command_review_skills(struct cli *cli)
{
    json_t *skills = json_object();
    const char *person = NULL;
    for (int i = 0; i < cli->words_len; i++) {
        const char *eq = strchr(cli->words[i], '=');
        char kind[16];
        if (eq == NULL) {
            person = cli->words[i];
            continue;
        }
        (void)snprintf(kind, sizeof(kind), "%.*s", (int)(eq - cli->words[i]), cli->words[i]);
        if (json_object_get(skills, kind) == NULL) {
            (void)json_object_set_new(skills, kind, json_array());
        }
        (void)json_array_append_new(json_object_get(skills, kind), json_string(eq + 1));
    }
    if (json_object_size(skills) == 0 && cli_option(cli, "none") == NULL) {
        json_decref(skills);
        return get_and_say(cli, "/api/v1/review/skills");
    }
    json_t *body = json_pack("{s:o}", "skills", skills);
    if (person != NULL) {
        (void)json_object_set_new(body, "person", json_string(person));
    }
    return send_and_say(cli, "PUT", "/api/v1/review/skills", body);
}

/* KEY=VALUE; reason=TEXT and escalation=TARGET/SECONDS may come several times. */
int command_review_settings(struct cli *cli)
{
    json_t *body = json_object();
    if (cli->words_len == 0) {
        json_decref(body);
        return get_and_say(cli, "/api/v1/review/settings");
    }
    for (int i = 0; i < cli->words_len; i++) {
        const char *eq = strchr(cli->words[i], '=');
        char key[32];
        double number;
        int64_t whole;
        (void)snprintf(key, sizeof(key), "%.*s", eq != NULL ? (int)(eq - cli->words[i]) : 0,
                       cli->words[i]);
        if (eq == NULL) {
            json_decref(body);
            return cli_usage(cli, "\"%s\" is no KEY=VALUE", cli->words[i]);
        }
        bool list = strcmp(key, "reason") == 0 || strcmp(key, "escalation") == 0;
        const char *name = strcmp(key, "reason") == 0 ? "reasons" : key;
        if (list && json_object_get(body, name) == NULL) {
            (void)json_object_set_new(body, name, json_array());
        }
        const char *slash = strrchr(eq, '/');
        if (strcmp(key, "reason") == 0) {
            (void)json_array_append_new(json_object_get(body, name), json_string(eq + 1));
        } else if (list && slash != NULL && text_read_int(slash + 1, 1, INT32_MAX, &whole)) {
            json_t *to = json_stringn(eq + 1, (size_t)(slash - eq) - 1);
            (void)json_array_append_new(json_object_get(body, name),
                                        json_pack("{s:o,s:I}", "to", to, "within_s", whole));
        } else if (list) {
            json_decref(body);
            return cli_usage(cli, "escalation=TARGET/SECONDS");
        } else if (text_read_int(eq + 1, INT32_MIN, INT32_MAX, &whole)) {
            (void)json_object_set_new(body, key, json_integer(whole));
        } else if (text_read_double(eq + 1, &number)) {
            (void)json_object_set_new(body, key, json_real(number));
        } else {
            (void)json_object_set_new(body, key, json_string(eq + 1));
        }
    }
    return send_and_say(cli, "PUT", "/api/v1/review/settings", body);
}

int command_review_measures(struct cli *cli)
{
    char path[160];
    int64_t days;
    const char *by = cli_option(cli, "by");
    if (!cli_number(cli, "days", 1, 3650, 90, &days)) {
        return COMMAND_USAGE;
    }
    (void)snprintf(path, sizeof(path), "/api/v1/review/measures?days=%lld&by=%.20s",
                   (long long)days, by != NULL ? by : "workflow");
    return get_and_say(cli, path);
}

int command_review_me(struct cli *cli)
{
    char path[80];
    int64_t days;
    if (!cli_number(cli, "days", 1, 3650, 90, &days)) {
        return COMMAND_USAGE;
    }
    (void)snprintf(path, sizeof(path), "/api/v1/review/me?days=%lld", (long long)days);
    return get_and_say(cli, path);
}

/* ---- articles ---- */

/* Only one that a person has approved goes among the articles. */
static int publish(struct cli *cli, const char *given, const char *dataset)
{
    struct fault why;
    struct buf path;
    char artifact[TEXT_ID_SIZE], at[160];
    json_t *a AUTO_JSON = NULL, *out AUTO_JSON = NULL;
    if (dataset == NULL) {
        return cli_usage(cli, "--publish needs --dataset NAME");
    }
    enum fail f = review_find_id(cli, given, artifact, &why);
    (void)snprintf(at, sizeof(at), "/api/v1/artifacts/%s?open=0", artifact);
    f = f == FAIL_NONE ? cli_send(cli, "GET", at, NULL, NULL, 0, &a, &why) : f;
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    const char *state = cli_str(a, "state");
    const char *sent = json_string_value(json_object_get(json_object_get(a, "decision"), "draft"));
    sent = sent != NULL ? sent : json_string_value(json_object_get(a, "draft"));
    if (strcmp(cli_str(a, "workflow"), "article-draft") != 0 || sent == NULL ||
        (strcmp(state, "approved") != 0 && strcmp(state, "edited") != 0)) {
        FAULT(&why, FAIL_CONFLICT, "this is no draft of an article that was approved");
        fail_hint(&why, "Approve it first: `inhouse review`.");
        return cli_fail(cli, &why);
    }
    buf_init(&path, 512);
    (void)buf_add_str(&path, "/api/v1/datasets/");
    client_escape(&path, dataset);
    (void)buf_add_str(&path, "/articles");
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.md", artifact);
    json_t *body = json_pack("{s:[{s:s,s:s}]}", "articles", "name", name, "markdown", sent);
    f = cli_send_json(cli, "POST", path.data, body, &out, &why);
    buf_done(&path);
    json_t *result AUTO_JSON = NULL;
    f = f == FAIL_NONE ? cli_follow(cli, out, "taking it in", &result, &why) : f;
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    cli_print_json(result);
    return COMMAND_OK;
}

int command_review_articles(struct cli *cli)
{
    if (cli_option(cli, "publish") != NULL) {
        return publish(cli, cli_option(cli, "publish"), cli_option(cli, "dataset"));
    }
    return cli_option(cli, "draft") != NULL
               ? send_and_say(cli, "POST", "/api/v1/review/articles", json_object())
               : get_and_say(cli, "/api/v1/review/articles");
}
