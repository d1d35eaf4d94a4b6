/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse audit replay: recorded answers of the reproducible lane asked again. Threads: one. */
#include <string.h>

#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "trust/audit/audit.h"

struct replays {
    struct cli *cli;
    json_t *tasks;   /* ids, oldest first */
    int64_t limit;
    json_t *results; /* one object a task */
    int64_t equal, differ, cannot;
};

/* A reproducible answer names the fingerprint of its lane among its releases. */
static bool take_task(void *arg, int64_t seq, const char *body, size_t n)
{
    struct replays *x = arg;
    struct fault why;
    json_t *leaf AUTO_JSON = NULL;
    (void)seq;
    if (memmem(body, n, "\"fp_", 4) != NULL &&
        jn_parse(body, n, "a record", &leaf, &why) == FAIL_NONE &&
        json_object_get(leaf, "task") != NULL) {
        (void)json_array_append(x->tasks, json_object_get(leaf, "task"));
    }
    return (int64_t)json_array_size(x->tasks) < x->limit && !cli_interrupted;
}

static enum fail find_tasks(struct cli *cli, struct replays *x, int64_t from, struct fault *why)
{
    char path[CLIENT_PATH_SIZE + 16];
    struct store_conn *conn = NULL;
    int64_t next;
    const struct audit_query q = {.kind = audit_kind_name(AUDIT_KIND_ANSWERED)};
    (void)snprintf(path, sizeof(path), "%s/data.db", cli->home);
    enum fail f = store_file_open(path, &conn, why);
    f = f != FAIL_NONE ? f : audit_search(conn, &q, from, INT64_MAX, take_task, x, &next, why);
    store_reader_close(conn);
    return f;
}

/* One of them; a task that cannot be replayed is counted and said, not a failure of the run. */
static enum fail replay_one(struct replays *x, const char *task, struct fault *why)
{
    char path[160];
    json_t *got = NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/tasks/%.60s/replay", task);
    enum fail f = cli_send(x->cli, "POST", path, NULL, "{}", 2, &got, why);
    if (f == FAIL_BAD_REQUEST || f == FAIL_NOT_FOUND) {
        got = json_pack("{s:s,s:s}", "task", task, "cannot", why->message);
        x->cannot++;
        f = FAIL_NONE;
    } else if (f == FAIL_NONE && json_is_true(json_object_get(got, "equal"))) {
        x->equal++;
    } else if (f == FAIL_NONE) {
        x->differ++;
    }
    if (f == FAIL_NONE) {
        (void)json_array_append_new(x->results, got);
    } else {
        json_decref(got);
    }
    return f;
}

static void show(struct replays *x)
{
    for (size_t i = 0; i < json_array_size(x->results); i++) {
        const json_t *r = json_array_get(x->results, i);
        const json_t *d = json_object_get(r, "differences");
        if (cli_str(r, "cannot")[0] != '\0') {
            printf("%s  %s\n", cli_str(r, "task"), cli_str(r, "cannot"));
        }
        for (size_t k = 0; k < json_array_size(d); k++) {
            printf("%s  differs in %s\n", cli_str(r, "task"),
                   json_string_value(json_array_get(d, k)));
        }
    }
    printf("%lld of %lld equal", (long long)x->equal, (long long)(x->equal + x->differ));
    printf(x->cannot > 0 ? "; %lld cannot be replayed\n" : "\n", (long long)x->cannot);
}

int command_audit_replay(struct cli *cli)
{
    int64_t from;
    struct fault why;
    struct progress bar;
    struct replays x = {.cli = cli};
    if (!cli_number(cli, "limit", 1, 1000000, 200, &x.limit) ||
        !cli_number(cli, "from", 0, INT64_MAX, 0, &from)) {
        return COMMAND_USAGE;
    }
    x.tasks = json_array();
    x.results = json_array();
    enum fail f = FAIL_NONE;
    for (int i = 0; i < cli->words_len; i++) {
        (void)json_array_append_new(x.tasks, json_string(cli->words[i]));
    }
    if (cli->words_len == 0) {
        f = find_tasks(cli, &x, from, &why);
    }
    progress_begin(&bar, cli, "replaying");
    bar.total = (int64_t)json_array_size(x.tasks);
    for (size_t i = 0; i < json_array_size(x.tasks) && f == FAIL_NONE && !cli_interrupted; i++) {
        f = replay_one(&x, json_string_value(json_array_get(x.tasks, i)), &why);
        bar.done = (int64_t)i + 1;
        progress_show(&bar, false);
    }
    progress_end(&bar);
    int status = f != FAIL_NONE ? cli_fail(cli, &why)
                 : x.differ > 0 ? COMMAND_SOME_FAILED
                                : COMMAND_OK;
    if (f == FAIL_NONE && cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:I,s:I,s:I,s:O}", "equal", (json_int_t)x.equal, "differ",
                                        (json_int_t)x.differ, "cannot", (json_int_t)x.cannot,
                                        "tasks", x.results);
        cli_print_json(j);
    } else if (f == FAIL_NONE) {
        show(&x);
    }
    json_decref(x.tasks);
    json_decref(x.results);
    return cli_interrupted ? COMMAND_INTERRUPTED : status;
}
