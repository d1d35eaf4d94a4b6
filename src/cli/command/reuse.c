/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse reuse revoke and inhouse erase: taking back an answer with what came of it, and a
   person's data with what was learned from it. Threads: one. */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

static void print_list(const json_t *j, const char *key, const char *what)
{
    const json_t *list = json_object_get(j, key);
    json_t *item;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, item) {
        printf("  %-10s %s\n", what, json_string_value(item));
    }
}

static long long number(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

int command_reuse_revoke(struct cli *cli)
{
    char path[160];
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    struct id id;
    if (!text_id_read(cli->words[0], "tsk", &id)) {
        return cli_usage(cli, "\"%.60s\" is no task: its id begins with tsk_", cli->words[0]);
    }
    (void)snprintf(path, sizeof(path), "/api/v1/tasks/%s/revoke", cli->words[0]);
    if (cli_send(cli, "POST", path, NULL, "{}", 2, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return 0;
    }
    size_t n = json_array_size(json_object_get(j, "answers"));
    printf("Taken back: the answer of %s and %zu reused from it (record %lld)\n", cli->words[0],
           n > 0 ? n - 1 : 0, number(j, "record"));
    print_list(j, "answers", "answer");
    print_list(j, "templates", "template");
    printf("  %lld rows and %lld documents are no longer reused\n", number(j, "rows"),
           number(j, "documents"));
    if (json_is_true(json_object_get(j, "more"))) {
        printf("There is more: run it again.\n");
    }
    return 0;
}

int command_erase(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    const char *team = cli_option(cli, "team");
    if (cli_option(cli, "yes") == NULL) {
        return cli_usage(cli, "erasing cannot be undone: add --yes to erase \"%.60s\"",
                         cli->words[0]);
    }
    json_t *body AUTO_JSON = json_pack("{s:s}", "subject", cli->words[0]);
    if (team != NULL) {
        (void)json_object_set_new(body, "team", json_string(team));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    enum fail f = cli_send(cli, "POST", "/api/v1/erase", NULL, text, strlen(text), &j, &why);
    free(text); /* tidy: memory: jansson's */
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return 0;
    }
    printf("Erased: %s of team %s (record %lld)\n", cli_str(j, "subject"), cli_str(j, "team"),
           number(j, "record"));
    printf("  contents   %lld texts, and the key they were sealed with\n", number(j, "contents"));
    printf("  tasks      %lld results emptied\n", number(j, "tasks"));
    printf("  artifacts  %lld emptied\n", number(j, "artifacts"));
    printf("  articles   %lld past questions beside them\n", number(j, "questions"));
    printf("  reuse      %lld rows, %lld documents\n", number(j, "reuse_rows"),
           number(j, "documents"));
    print_list(j, "templates", "template");
    json_t *head;
    size_t i;
    json_array_foreach(json_object_get(j, "heads"), i, head) {
        printf(
            "  head       %s.%s was taught with it: gone; `inhouse learn %s FILE` makes it anew\n",
            cli_str(head, "workflow"), cli_str(head, "field"), cli_str(head, "workflow"));
    }
    printf("  prefixes   %lld decoded prompts on disk\n", number(j, "disk_prefixes"));
    if (json_is_true(json_object_get(j, "more"))) {
        printf("There is more: run it again.\n");
    }
    return 0;
}
