/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse jobs: what runs, what it took, and stopping, resuming, repeating it. */
#include "cli/command/jobs_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"

#define POLL_US 200000
#define POLL_FIRST_US 20000

/* ---- following ---- */

static bool is_over(const char *state)
{
    return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "dead") == 0 || strcmp(state, "cancelled") == 0;
}

static enum fail fault_of(const json_t *job, struct fault *why)
{
    const json_t *e = json_object_get(job, "error");
    const char *state = cli_str(job, "state");
    if (strcmp(state, "done") == 0) {
        return FAIL_NONE;
    }
    if (e == NULL) {
        return FAULT(why, FAIL_STOPPED, "the job %s was %s", cli_str(job, "job"), state);
    }
    FAULT(why, fail_from_name(cli_str(e, "code")), "%s", cli_str(e, "message"));
    return fail_hint(why, "%s", cli_str(e, "hint"));
}

static void show_bar(struct progress *bar, char stage[96], const json_t *job)
{
    char now[96];
    const char *note = cli_str(job, "note");
    (void)snprintf(now, sizeof(now), "%.40s%s%.50s",
                   cli_str(job, "stage")[0] != '\0' ? cli_str(job, "stage")
                                                    : cli_str(job, "state"),
                   note[0] != '\0' ? ": " : "", note);
    if (strcmp(now, stage) != 0) {
        progress_end(bar);
        (void)text_copy(stage, 96, now);
        progress_begin(bar, bar->cli, stage);
    }
    bar->total = 0;
    bar->share = json_number_value(json_object_get(job, "share"));
    progress_show(bar, false);
}

enum fail jobs_follow(struct cli *cli, const char *job, bool cancel, json_t **ended,
                      struct fault *why)
{
    struct progress bar;
    char stage[96] = "";
    enum fail f = FAIL_NONE;
    useconds_t nap = POLL_FIRST_US;
    *ended = NULL;
    progress_begin(&bar, cli, stage);
    while (f == FAIL_NONE && *ended == NULL) {
        json_t *j AUTO_JSON = NULL;
        f = client_get(cli_client(cli), &j, why, "/api/v1/jobs/%s", job);
        if (f == FAIL_NONE && is_over(cli_str(j, "state"))) {
            *ended = json_incref(j);
        } else if (f == FAIL_NONE) {
            show_bar(&bar, stage, j);
            usleep(nap);
            nap = nap * 2 < POLL_US ? nap * 2 : POLL_US;
        }
        if (*ended == NULL && cli_interrupted != 0) {
            break;
        }
    }
    progress_end(&bar);
    if (*ended == NULL && cli_interrupted != 0) {
        char path[96];
        json_t *j AUTO_JSON = NULL;
        struct fault ignored;
        (void)snprintf(path, sizeof(path), "/api/v1/jobs/%s/cancel", job);
        cli_interrupted = 0; /* this one request still goes out */
        bool ok = cancel && cli_send_json(cli, "POST", path, NULL, &j, &ignored) == FAIL_NONE;
        cli_interrupted = 1;
        cli_note(cli, ok ? "%s is cancelled" : "stopped watching %s; the server goes on", job);
        return FAULT(why, FAIL_STOPPED, "interrupted");
    }
    return f != FAIL_NONE ? f : fault_of(*ended, why);
}

/* ---- fetching ---- */

struct fetch {
    const char *path;
    bool done;
    enum fail code;
    struct fault *why;
};

static void on_bytes(void *arg, const struct client_answer *a)
{
    struct fetch *x = arg;
    x->done = true;
    x->code = a->code;
    if (a->code != FAIL_NONE) {
        *x->why = a->why;
        return;
    }
    FILE *to = x->path != NULL ? fopen(x->path, "wb") : stdout;
    bool good = to != NULL && (a->len == 0 || fwrite(a->body, a->len, 1, to) == 1) &&
                fflush(to) == 0;
    if (x->path != NULL && to != NULL) {
        good = fclose(to) == 0 && good;
    }
    if (!good) {
        x->code = FAULT_ERRNO(x->why, fail_from_write_errno(errno), "cannot write %s",
                              x->path != NULL ? x->path : "the output");
    }
}

enum fail jobs_fetch(struct cli *cli, const char *job, const char *name, const char *path,
                     struct fault *why)
{
    struct client *c = cli_client(cli);
    struct buf url;
    struct fetch x = {.path = path, .why = why};
    if (c == NULL) {
        *why = cli->why;
        return why->code;
    }
    buf_init(&url, 1024);
    (void)buf_printf(&url, "/api/v1/jobs/%s/outputs/", job);
    client_escape(&url, name);
    struct client_ask ask = {.method = "GET", .path = url.data, .timeout_ms = 120000};
    if (!client_send(c, &ask, &x)) {
        x.code = FAULT(why, FAIL_QUEUE_FULL, "too many requests are in flight");
        x.done = true;
    }
    while (!x.done) {
        client_wait(c, 200, on_bytes, &x);
    }
    buf_done(&url);
    return x.code;
}

/* ---- the commands ---- */

const char *jobs_time(const json_t *job, char out[24])
{
    double ms = json_number_value(json_object_get(job, "ms"));
    if (ms <= 0) {
        return "-";
    }
    if (ms >= 10000) {
        return cli_duration(ms / 1000, out);
    }
    (void)snprintf(out, 24, ms < 1000 ? "%.0f ms" : "%.1f s", ms < 1000 ? ms : ms / 1000);
    return out;
}

int command_jobs_list(struct cli *cli)
{
    struct fault why = {0};
    json_t *answer AUTO_JSON = NULL;
    const char *state = cli_option(cli, "state"), *workflow = cli_option(cli, "workflow");
    int64_t limit;
    if (!cli_number(cli, "limit", 1, 500, 50, &limit)) {
        return COMMAND_USAGE;
    }
    struct buf path;
    buf_init(&path, 1024);
    (void)buf_printf(&path, "/api/v1/jobs?limit=%lld", (long long)limit);
    if (state != NULL) {
        (void)buf_add_str(&path, "&state=");
        client_escape(&path, state);
    }
    if (workflow != NULL) {
        (void)buf_add_str(&path, "&workflow=");
        client_escape(&path, workflow);
    }
    enum fail f = cli_send_json(cli, "GET", path.data, NULL, &answer, &why);
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(answer);
        return COMMAND_OK;
    }
    const char *columns[] = {"job", "*workflow", "kind", "state", ">done", ">time", ">cost",
                             "began"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i;
    const json_t *j;
    json_array_foreach(json_object_get(answer, "jobs"), i, j) {
        char took[24], cost[32], done[32];
        int64_t items = json_integer_value(json_object_get(j, "items"));
        (void)snprintf(cost, sizeof(cost), "%.4f",
                       json_number_value(json_object_get(j, "cost")));
        if (items > 0) {
            (void)snprintf(done, sizeof(done), "%lld/%lld",
                           (long long)json_integer_value(json_object_get(j, "done")),
                           (long long)items);
        } else {
            (void)snprintf(done, sizeof(done), "%.0f %%",
                           100 * json_number_value(json_object_get(j, "share")));
        }
        const char *cells[] = {cli_str(j, "job"),  cli_str(j, "name"), cli_str(j, "kind"),
                               cli_str(j, "state"), done,               jobs_time(j, took),
                               cost,                cli_str(j, "created_at")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

static void show_line(const char *name, const char *value)
{
    if (value[0] != '\0') {
        printf("%-10s %s\n", name, value);
    }
}

static void show_files(const json_t *job, const char *key)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(job, key), i, f) {
        char size[24];
        printf("%-10s %s%s%s  %s  %s\n", i == 0 ? key : "", cli_str(f, "role"),
               cli_str(f, "role")[0] != '\0' ? " " : "", cli_str(f, "name"),
               cli_bytes(json_integer_value(json_object_get(f, "bytes")), size),
               cli_str(f, "type"));
    }
}

static void show_steps(struct cli *cli, const json_t *job)
{
    const char *columns[] = {"*step", ">attempt", ">time", ">asks", ">tokens in", ">tokens out",
                             ">cost", ">record"};
    const json_t *steps = json_object_get(job, "steps"), *s;
    size_t i;
    if (json_array_size(steps) == 0) {
        return;
    }
    printf("\n");
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(steps, i, s) {
        static const char *const numbers[] = {"attempt", "asks", "tokens_in", "tokens_out",
                                              "record"};
        char n[5][24], took[24], cost[32];
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            (void)snprintf(n[k], sizeof(n[k]), "%lld",
                           (long long)json_integer_value(json_object_get(s, numbers[k])));
        }
        (void)snprintf(cost, sizeof(cost), "%.4f",
                       json_number_value(json_object_get(s, "cost")));
        const char *cells[] = {cli_str(s, "name"), n[0], jobs_time(s, took), n[1], n[2], n[3], cost,
                               n[4]};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

static int show(struct cli *cli, const json_t *j)
{
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    char took[24], text[160];
    printf("%s  %s  %s\n", cli_str(j, "job"), cli_str(j, "name"), cli_str(j, "state"));
    show_line("title", cli_str(j, "title"));
    (void)snprintf(text, sizeof(text), "%.0f %%  %.40s  %.80s",
                   100 * json_number_value(json_object_get(j, "share")), cli_str(j, "stage"),
                   cli_str(j, "note"));
    show_line("progress", text);
    if (json_integer_value(json_object_get(j, "items")) > 0) {
        (void)snprintf(text, sizeof(text), "%lld, %lld done, %lld failed",
                       (long long)json_integer_value(json_object_get(j, "items")),
                       (long long)json_integer_value(json_object_get(j, "items_done")),
                       (long long)json_integer_value(json_object_get(j, "items_failed")));
        show_line("items", text);
    }
    (void)snprintf(text, sizeof(text), "%s, %lld tokens in, %lld out, cost %.4f",
                   jobs_time(j, took),
                   (long long)json_integer_value(json_object_get(j, "tokens_in")),
                   (long long)json_integer_value(json_object_get(j, "tokens_out")),
                   json_number_value(json_object_get(j, "cost")));
    show_line("took", text);
    show_line("release", cli_str(j, "release"));
    show_line("artifact", cli_str(j, "artifact"));
    show_line("replay of", cli_str(j, "replay_of"));
    const json_t *e = json_object_get(j, "error");
    show_line("error", cli_str(e, "message"));
    show_line("", cli_str(e, "hint"));
    show_files(j, "inputs");
    show_files(j, "outputs");
    show_steps(cli, j);
    return COMMAND_OK;
}

int command_jobs_show(struct cli *cli)
{
    struct fault why = {0};
    json_t *j AUTO_JSON = NULL;
    struct client *c = cli_client(cli);
    enum fail f = c == NULL ? cli->why.code
                            : client_get(c, &j, &why, "/api/v1/jobs/%s", cli->words[0]);
    if (f != FAIL_NONE) {
        return cli_fail(cli, c == NULL ? &cli->why : &why);
    }
    return show(cli, j);
}

static int change(struct cli *cli, const char *verb, bool follow)
{
    struct fault why = {0};
    char path[160];
    json_t *j AUTO_JSON = NULL;
    json_t *ended AUTO_JSON = NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/jobs/%.60s/%s", cli->words[0], verb);
    enum fail f = cli_send_json(cli, "POST", path, NULL, &j, &why);
    if (f == FAIL_NONE && follow) {
        f = jobs_follow(cli, cli_str(j, "job"), false, &ended, &why);
    }
    return f != FAIL_NONE ? cli_fail(cli, &why) : show(cli, follow ? ended : j);
}

int command_jobs_pause(struct cli *cli)
{
    return change(cli, "pause", false);
}

int command_jobs_resume(struct cli *cli)
{
    return change(cli, "resume", false);
}

int command_jobs_cancel(struct cli *cli)
{
    return change(cli, "cancel", false);
}

int command_jobs_replay(struct cli *cli)
{
    return change(cli, "replay", true);
}

int command_jobs_output(struct cli *cli)
{
    struct fault why = {0};
    return jobs_fetch(cli, cli->words[0], cli->words[1], cli_option(cli, "out"), &why) != FAIL_NONE
               ? cli_fail(cli, &why)
               : COMMAND_OK;
}
