/* SPDX-License-Identifier: Apache-2.0 */
/* The server itself: serve, stop, status, datasets, ask. Threads: one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define STOP_WAIT_MS 30000
#define MAX_ARTICLE_BYTES ((size_t)1024 * 1024)
#define MAX_ARTICLES_BYTES ((size_t)30 * 1024 * 1024)
#define MAX_ARTICLES 20000

/* ---- serve, stop ---- */

/* A server that ends quickly may take its reply along: whether it went, wait_gone() sees. */
static enum fail ask_stop(struct cli *cli, struct fault *why)
{
    enum fail f = cli_send(cli, "POST", "/api/v1/stop", NULL, "{}", 2, NULL, why);
    return f == FAIL_UPSTREAM_FAILED ? FAIL_NONE : f;
}

/* Asked to stop, a server closes its socket first and its data after: gone is when nobody holds
   HOME/lock. False when STOP_WAIT_MS have passed. */
static bool wait_gone(struct cli *cli, struct client *c)
{
    char path[CLIENT_PATH_SIZE + 8];
    int64_t start = clock_monotonic_us();
    if (!client_wait_gone(c, STOP_WAIT_MS)) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "%s/lock", cli->home);
    int fd = cli->url == NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool gone = fd < 0;
    while (!gone && cli_interrupted == 0 && clock_ms_since(start) < STOP_WAIT_MS) {
        gone = flock(fd, LOCK_SH | LOCK_NB) == 0;
        if (!gone) {
            usleep(5000);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return gone;
}

/* A server that a command started for itself (it has no TCP port) ends some seconds after its
   last client; it must not keep the one that stays from starting. Any other is the user's. */
static enum fail make_way(struct cli *cli, struct fault *why)
{
    json_t *j AUTO_JSON = NULL;
    struct client *c = cli->url == NULL ? cli_client_running(cli) : NULL;
    if (c == NULL || client_get(c, &j, why, "/api/v1/status") != FAIL_NONE ||
        json_integer_value(json_object_get(j, "port")) != 0) {
        return FAIL_NONE; /* none, or the new server says what is wrong */
    }
    cli_note(cli, "A command's own server is still here: it ends first.");
    enum fail f = ask_stop(cli, why);
    if (f == FAIL_NONE && !wait_gone(cli, c)) {
        f = FAULT(why, FAIL_CONFLICT, "it is still finishing what it accepted");
        fail_hint(why, "Try again when the other command has ended.");
    }
    return f;
}

int command_serve(struct cli *cli)
{
    char program[CLIENT_PATH_SIZE];
    char *argv[16] = {(char *)"inhoused", (char *)"--home", cli->home};
    size_t n = 3;
    static const char *const names[] = {"listen", "config", "engine"};
    static char flags[3][16] = {"--listen", "--config", "--engine"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (cli_option(cli, names[i]) != NULL) {
            argv[n++] = flags[i];
            argv[n++] = (char *)cli_option(cli, names[i]);
        }
    }
    if (!client_program("inhoused", program)) {
        FAULT(&cli->why, FAIL_INTERNAL, "cannot tell where this executable is");
        return cli_fail(cli, &cli->why);
    }
    if (make_way(cli, &cli->why) != FAIL_NONE) {
        return cli_fail(cli, &cli->why);
    }
    client_close(cli->client);
    cli->client = NULL;
    if (cli->tty_err) {
        cli_note(cli,
                 "Ctrl-C ends it. In another terminal: `inhouse users init NAME` makes the first\n"
                 "administrator, `inhouse keys add NAME` a key for programs, `inhouse status`\n"
                 "shows the models. Its log:");
    }
    (void)signal(SIGPIPE, SIG_DFL);
    execv(program, argv);
    FAULT_ERRNO(&cli->why, FAIL_INTERNAL, "cannot run %s", program);
    fail_hint(&cli->why, "It belongs beside this program: build or install both.");
    return cli_fail(cli, &cli->why);
}

int command_stop(struct cli *cli)
{
    struct fault why;
    struct client *c = cli_client_running(cli);
    if (c == NULL && cli->why.code == FAIL_STOPPED) {
        printf("No server runs on %s.\n", cli->home);
        return COMMAND_OK;
    }
    if (c == NULL || ask_stop(cli, &why) != FAIL_NONE) {
        return cli_fail(cli, c == NULL ? &cli->why : &why);
    }
    if (wait_gone(cli, c)) {
        printf("The server has finished what it had accepted and stopped.\n");
        return COMMAND_OK;
    }
    printf("The server is still finishing what it accepted.\n");
    return COMMAND_SOME_FAILED;
}

/* ---- status ---- */

static void show_role(struct measure_table *t, const char *role, const json_t *r)
{
    char pid[24], memory[24], deaths[24];
    (void)snprintf(pid, sizeof(pid), "%lld",
                   (long long)json_integer_value(json_object_get(r, "pid")));
    (void)snprintf(deaths, sizeof(deaths), "%lld",
                   (long long)json_integer_value(json_object_get(r, "deaths")));
    const char *model = json_string_value(json_object_get(r, "model"));
    const char *cells[] = {
        role,
        cli_str(r, "state"),
        model,
        model != NULL ? cli_bytes(json_integer_value(json_object_get(r, "rss_bytes")), memory)
                      : NULL,
        model != NULL ? pid : NULL,
        deaths};
    measure_table_row(t, cells);
}

/* One row a team that has asks at a model now, and its wait there. */
static size_t show_queue(struct measure_table *t, const json_t *q)
{
    size_t i, rows = 0;
    const json_t *team;
    char rate[24], waiting[24], running[24], wait[24];
    (void)snprintf(rate, sizeof(rate), "%.0f",
                   json_number_value(json_object_get(q, "tokens_per_second")));
    json_array_foreach(json_object_get(q, "teams"), i, team) {
        long long n = json_integer_value(json_object_get(team, "waiting"));
        long long open = json_integer_value(json_object_get(team, "in_service"));
        const json_t *seconds = json_object_get(team, "wait_s");
        if (n + open == 0) {
            continue;
        }
        (void)snprintf(waiting, sizeof(waiting), "%lld", n);
        (void)snprintf(running, sizeof(running), "%lld", open);
        (void)cli_duration(json_number_value(seconds), wait);
        const char *cells[] = {cli_str(q, "model"), cli_str(team, "team"),
                               running,             waiting,
                               rate,                seconds != NULL ? wait : NULL};
        measure_table_row(t, cells);
        rows++;
    }
    return rows;
}

static void show_queues(struct cli *cli, const json_t *queues)
{
    static const char *const columns[] = {"*model",   "team",      ">running",
                                          ">waiting", ">tokens/s", ">next in"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i, rows = 0;
    const json_t *q;
    json_array_foreach(queues, i, q) {
        rows += show_queue(t, q);
    }
    if (rows == 0) {
        measure_table_free(t);
        return;
    }
    printf("\n");
    cli_print_table(cli, t);
}

static void show_work(const json_t *tasks, const json_t *rewrite)
{
    printf(
        "\ntasks: %lld running, %lld waiting; drafts: %lld rewritten, %lld refused, %lld waiting\n",
        (long long)json_integer_value(json_object_get(tasks, "running")),
        (long long)json_integer_value(json_object_get(tasks, "waiting")),
        (long long)json_integer_value(json_object_get(rewrite, "replaced")),
        (long long)json_integer_value(json_object_get(rewrite, "refused")),
        (long long)json_integer_value(json_object_get(rewrite, "waiting")));
}

int command_status(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    struct client *c = cli_client_running(cli);
    if (c == NULL && cli->why.code == FAIL_STOPPED) {
        if (cli->json) {
            printf("{\"running\":false}\n");
        } else {
            printf("No server runs on %s.\nCommands start one for as long as they need it; "
                   "`inhouse serve` "
                   "starts one that stays.\n",
                   cli->home);
        }
        return COMMAND_OK;
    }
    if (c == NULL || client_get(c, &j, &why, "/api/v1/status") != FAIL_NONE) {
        return cli_fail(cli, c == NULL ? &cli->why : &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    static const char *const columns[] = {"role",    "state",    "*model",
                                          ">memory", ">process", ">deaths"};
    char up[24];
    printf("inhouse %s, engine %s, up %s, process %lld, %lld records, %lld keys\n",
           cli_str(j, "version"), cli_str(j, "engine"),
           cli_duration((double)json_integer_value(json_object_get(j, "uptime_s")), up),
           (long long)json_integer_value(json_object_get(j, "pid")),
           (long long)json_integer_value(json_object_get(j, "records")),
           (long long)json_integer_value(json_object_get(j, "keys")));
    if (json_integer_value(json_object_get(j, "port")) > 0) {
        printf("listening on port %lld\n",
               (long long)json_integer_value(json_object_get(j, "port")));
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    const char *role;
    json_t *r;
    json_object_foreach(json_object_get(j, "roles"), role, r) {
        show_role(t, role, r);
    }
    printf("\n");
    cli_print_table(cli, t);
    show_queues(cli, json_object_get(j, "queues"));
    show_work(json_object_get(j, "tasks"), json_object_get(j, "rewrite"));
    if (json_array_size(json_object_get(j, "halts")) > 0) {
        printf("\n");
        cli_print_halts(cli, json_object_get(j, "halts"));
    }
    return COMMAND_OK;
}

/* ---- datasets ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the .md files of a folder, sorted; freed by the caller. */
static enum fail markdown_names(const char *folder, char ***out, size_t *n, struct fault *why)
{
    DIR *d = opendir(folder);
    *n = 0;
    *out = NULL;
    if (d == NULL) {
        FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot open the folder %s", folder);
        return fail_hint(why, "Give a folder of Markdown files, one article each.");
    }
    size_t room = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL && *n < MAX_ARTICLES;) {
        if (e->d_name[0] == '.' || !text_ends_with(e->d_name, ".md")) {
            continue;
        }
        if (*n == room) {
            room = room == 0 ? 64 : room * 2;
            *out = mem_realloc(*out, room * sizeof(**out));
        }
        (*out)[(*n)++] = mem_dup_str(e->d_name);
    }
    closedir(d);
    if (*n == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%s holds no .md file", folder);
        return fail_hint(why,
                         "Save each article as Markdown, with its title as the first heading.");
    }
    qsort(*out, *n, sizeof(**out), by_name);
    return FAIL_NONE;
}

static enum fail articles_json(struct cli *cli, const char *folder, char **names, size_t n,
                               struct buf *body, size_t *taken, struct fault *why)
{
    struct jn_writer w;
    jn_begin(&w, body, false);
    jn_object_begin(&w);
    jn_key(&w, "articles");
    jn_array_begin(&w);
    for (size_t i = 0; i < n; i++) {
        char path[CLIENT_PATH_SIZE];
        struct buf text;
        buf_init(&text, MAX_ARTICLE_BYTES);
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (cli_read_file(path, &text, why) != FAIL_NONE ||
            !text_utf8_is_valid(text.data, text.len) ||
            memchr(text.len > 0 ? text.data : "", '\0', text.len) != NULL || text.len == 0) {
            cli_note(cli, "%s: %s; it was skipped", path,
                     why->message[0] != '\0' ? why->message : "empty or not valid UTF-8");
            why->message[0] = '\0';
        } else {
            jn_object_begin(&w);
            jn_kv_str(&w, "name", names[i]);
            jn_kv_str(&w, "markdown", text.data);
            jn_object_end(&w);
            (*taken)++;
        }
        buf_done(&text);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    if (body->overflow) {
        FAULT(why, FAIL_TOO_LARGE, "%s holds more than 30 MB of articles", folder);
        return fail_hint(why, "Split it into several datasets.");
    }
    return *taken > 0
               ? FAIL_NONE
               : FAULT(why, FAIL_BAD_REQUEST, "%s holds no article that can be read", folder);
}

int command_datasets_add(struct cli *cli)
{
    const char *name = cli->words[0], *folder = cli->words_len > 1 ? cli->words[1] : "";
    struct fault why = {0};
    struct buf body;
    char **names = NULL, path[256];
    size_t n = 0, taken = 0;
    json_t *job AUTO_JSON = NULL, *result AUTO_JSON = NULL;
    if (cli->words_len == 1) {
        return command_datasets_make(cli);
    }
    if (!text_is_name(name)) {
        return cli_usage(cli, "\"%s\" is no name: use a-z, 0-9, dot, dash, underscore", name);
    }
    buf_init(&body, MAX_ARTICLES_BYTES);
    (void)snprintf(path, sizeof(path), "/api/v1/datasets/%s/articles", name);
    enum fail f = markdown_names(folder, &names, &n, &why);
    if (f == FAIL_NONE) {
        f = articles_json(cli, folder, names, n, &body, &taken, &why);
    }
    if (f == FAIL_NONE) {
        f = cli_send(cli, "POST", path, NULL, body.data, body.len, &job, &why);
    }
    if (f == FAIL_NONE) {
        f = cli_follow(cli, job, "articles", &result, &why);
    }
    for (size_t i = 0; i < n; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
    buf_done(&body);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(result);
    } else {
        printf("%s: %lld articles, %lld sentences, %lld newly embedded\n", name,
               (long long)json_integer_value(json_object_get(result, "articles")),
               (long long)json_integer_value(json_object_get(result, "sentences")),
               (long long)json_integer_value(json_object_get(result, "embedded")));
    }
    return taken < n ? COMMAND_SOME_FAILED : COMMAND_OK;
}

/* ---- ask ---- */

struct asking {
    struct cli *cli;
    bool newline;
    char finish[24];
};

static bool on_event(void *arg, const char *data, size_t len)
{
    struct asking *a = arg;
    struct fault bad;
    json_t *j AUTO_JSON = NULL;
    if (strcmp(data, "[DONE]") == 0 || jn_parse(data, len, "event", &j, &bad) != FAIL_NONE) {
        return true;
    }
    const json_t *error = json_object_get(j, "error");
    if (error != NULL) {
        FAULT(&a->cli->why, fail_from_name(cli_str(error, "code")), "%s",
              cli_str(error, "message"));
        fail_hint(&a->cli->why, "%s", cli_str(error, "hint"));
        return false;
    }
    const json_t *choice = json_array_get(json_object_get(j, "choices"), 0);
    const char *text = cli_str(json_object_get(choice, "delta"), "content");
    for (const char *p = text; *p != '\0'; p++) {
        /* A model's text must not steer the terminal. */
        fputc((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t' ? ' ' : *p, stdout);
        a->newline = *p == '\n';
    }
    fflush(stdout);
    if (cli_str(choice, "finish_reason")[0] != '\0') {
        (void)text_copy(a->finish, sizeof(a->finish), cli_str(choice, "finish_reason"));
    }
    return true;
}

int command_ask(struct cli *cli)
{
    int64_t max_tokens;
    struct fault why;
    struct buf text;
    if (!cli_number(cli, "max-tokens", 1, 8192, 512, &max_tokens)) {
        return COMMAND_USAGE;
    }
    buf_init(&text, (size_t)1024 * 1024);
    enum fail f = FAIL_NONE;
    if (strcmp(cli->words[0], "-") == 0) {
        f = cli_read_file("-", &text, &why);
    } else {
        for (int i = 0; i < cli->words_len; i++) {
            (void)buf_printf(&text, "%s%s", i > 0 ? " " : "", cli->words[i]);
        }
    }
    const char *model = cli_option(cli, "model");
    json_t *ask AUTO_JSON =
        json_pack("{s:s,s:[{s:s,s:s%}],s:b,s:I}", "model", model != NULL ? model : "light",
                  "messages", "role", "user", "content", text.len > 0 ? text.data : "", text.len,
                  "stream", !cli->json, "max_tokens", (json_int_t)max_tokens);
    buf_done(&text);
    if (f != FAIL_NONE || ask == NULL) {
        return f != FAIL_NONE ? cli_fail(cli, &why) : cli_usage(cli, "the text must be UTF-8");
    }
    char *body = json_dumps(ask, JSON_COMPACT);
    struct asking a = {.cli = cli, .newline = true};
    if (cli->json) {
        json_t *j AUTO_JSON = NULL;
        f = cli_send(cli, "POST", "/v1/chat/completions", NULL, body, strlen(body), &j, &why);
        if (f == FAIL_NONE) {
            cli_print_json(j);
        }
    } else if (cli_client(cli) == NULL) {
        why = cli->why;
        f = why.code;
    } else {
        struct client_ask c = {.method = "POST", .path = "/v1/chat/completions", .body = body,
                               .len = strlen(body), .timeout_ms = 900000};
        f = client_stream(cli->client, &c, on_event, &a, &why);
        if (f == FAIL_NONE && cli->why.code != FAIL_NONE) {
            why = cli->why;
            f = why.code;
        }
        if (!a.newline) {
            printf("\n");
        }
    }
    free(body); /* tidy: memory: jansson's own */
    if (f == FAIL_NONE && strcmp(a.finish, "length") == 0) {
        cli_note(cli, "(cut at %lld tokens: --max-tokens)", (long long)max_tokens);
    }
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}
