/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse demo: the example company in the data folder it is given (a fresh one), on embedded
 * defaults. Starts with the small models; the heavy one joins when its download has arrived.
 * Everything printed is measured here and now.
 * Threads: one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define WORKFLOW "ticket-triage"
#define HEAVY_FILE "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
#define LIGHT_FILE "smollm2-135m-instruct-q4_1.gguf"
#define EMBED_FOLDER "all-MiniLM-L6-v2"
#define DEFAULT_MINUTES 12
#define STAGE_SECONDS 260 /* kept for the three acts */
#define WAIT_DOWNLOAD_S 1800
#define FLIGHT 8
#define MAX_RESULTS 1000
#define SHOWN_DRAFTS 2

double demo_seconds(const struct demo *d)
{
    return clock_ms_since(d->started_us) / 1000;
}

void demo_say(struct demo *d, const char *fmt, ...)
{
    va_list ap;
    char at[24];
    printf("\n%s[%s] ", d->cli->tty ? "\x1b[1m" : "", cli_duration(demo_seconds(d), at));
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    printf("%s\n", d->cli->tty ? "\x1b[0m" : "");
    fflush(stdout);
}

/* ---- commands as a person would type them ---- */

/* Shows and runs `inhouse WORDS…`; the words end with NULL. */
static bool type(struct demo *d, const char *const *words)
{
    char *argv[CLI_MAX_WORDS] = {(char *)"inhouse"};
    int argc = 1;
    printf("%s$ inhouse", d->cli->tty ? "\x1b[2m" : "");
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)words[argc - 1];
        printf(" %s", argv[argc]);
    }
    printf("%s\n", d->cli->tty ? "\x1b[0m" : "");
    fflush(stdout);
    return cli_run(argc, argv) <= COMMAND_SOME_FAILED && cli_interrupted == 0;
}

#define TYPE(d, ...) type((d), (const char *const[]){__VA_ARGS__, NULL})

static void path_of(const char *folder, const char *name, char out[CLIENT_PATH_SIZE])
{
    (void)snprintf(out, CLIENT_PATH_SIZE, "%.3800s/%.200s", folder, name);
}

/* ---- the first table ---- */

static enum rows_state next_new(void *arg, struct ticket *t, json_t **keep)
{
    struct demo *d = arg;
    struct fault why = {0};
    enum rows_state state = rows_next(d->rows, keep, &why);
    if (state == ROWS_ROW && ticket_read(d->rows, *keep, t, &why) != FAIL_NONE) {
        json_decref(*keep);
        *keep = NULL;
        state = ROWS_BAD;
    }
    if (state == ROWS_BAD) {
        cli_note(d->cli, "%s", why.message);
    }
    return state;
}

static void keep_result(void *arg, const struct ticket *t, const json_t *result,
                        const struct fault *why)
{
    struct demo *d = arg;
    if (result == NULL) {
        cli_note(d->cli, "%s: %s", t->id, why->message);
        return;
    }
    run_measure(&d->measure, t, result);
    if (d->n == d->room && d->room < MAX_RESULTS) {
        d->room = d->room == 0 ? 64 : d->room * 2;
        d->results = mem_realloc(d->results, d->room * sizeof(*d->results));
    }
    if (d->n < d->room) {
        struct demo_result *r = &d->results[d->n++];
        r->result = json_incref((json_t *)result);
        r->ticket = *t;
        r->ticket.expected = t->expected != NULL ? json_incref(t->expected) : NULL;
        r->keep = json_pack("{s:s,s:s}", "s", t->subject != NULL ? t->subject : "", "t", t->text);
        r->ticket.subject = cli_str(r->keep, "s");
        r->ticket.text = cli_str(r->keep, "t");
    }
}

static void show_tickets(struct demo *d)
{
    static const char *const columns[] = {"ticket",     "*subject",    "queue", ">sure",
                                          "decided by", "proposed by", ">ms"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < d->n; i++) {
        const struct demo_result *r = &d->results[i];
        const json_t *queue = result_field(r->result, "queue");
        char sure[CLI_SURE_SIZE], ms[24];
        (void)snprintf(ms, sizeof(ms), "%.0f", json_number_value(json_object_get(r->result, "ms")));
        const char *subject = r->ticket.subject[0] != '\0' ? r->ticket.subject : r->ticket.text;
        AUTO_FREE char *cut = mem_dup_strn(
            subject, text_utf8_cut(subject, strlen(subject) < 34 ? strlen(subject) : 34));
        const char *cells[] = {r->ticket.id,
                               cut,
                               cli_str(queue, "value"),
                               cli_sure(queue, sure),
                               cli_str(queue, "rung"),
                               cli_str(queue, "proposed_by"),
                               ms};
        measure_table_row(t, cells);
    }
    cli_print_table(d->cli, t);
}

static void show_draft(const struct cli *cli, const struct demo_result *r)
{
    size_t width = cli->width < 96 ? cli->width : 96;
    size_t i;
    json_t *s;
    printf("\n%s  %s\n", r->ticket.id, r->ticket.subject);
    cli_print_wrapped(r->ticket.text, 4, width);
    printf("  Draft:\n");
    cli_print_wrapped(result_draft(r->result), 4, width);
    printf("  Sources:");
    json_array_foreach(json_object_get(json_object_get(r->result, "draft"), "sources"), i, s) {
        printf("%s %s (%s)", i > 0 ? "," : "", cli_str(s, "title"), cli_str(s, "article"));
    }
    printf("\n");
}

static void show_drafts(struct demo *d)
{
    size_t shown = 0, drafts = 0, answerable = 0, right = 0, wrong = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct demo_result *r = &d->results[i];
        const json_t *expected = json_object_get(r->ticket.expected, "article");
        bool can = strcmp(cli_str(r->ticket.expected, "answerable"), "true") == 0;
        const json_t *source =
            json_array_get(json_object_get(json_object_get(r->result, "draft"), "sources"), 0);
        bool has = result_draft(r->result) != NULL;
        drafts += has ? 1 : 0;
        answerable += can ? 1 : 0;
        bool same = expected != NULL &&
                    strcmp(cli_str(source, "article"), json_string_value(expected)) == 0;
        right += has && same ? 1 : 0;
        wrong += has && !same ? 1 : 0;
        if (has && same && shown < SHOWN_DRAFTS) {
            show_draft(d->cli, r);
            shown++;
        }
    }
    printf("\n%zu drafts for %zu tickets; %zu of the tickets have an article that answers them. "
           "The first source is the "
           "article a careful\nperson would have used in %zu drafts, another one in %zu.\n",
           drafts, d->n, answerable, right, wrong);
}

static enum fail first_table(struct demo *d, struct fault *why)
{
    char file[CLIENT_PATH_SIZE];
    path_of(d->examples, "new.jsonl", file);
    enum fail f = rows_open(file, &d->rows, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct run_options o = {.workflow = WORKFLOW,
                            .class = "workflow",
                            .flight = FLIGHT,
                            .on_result = keep_result,
                            .arg = d,
                            .next = next_new,
                            .rungs = "reuse,rule,learned,light"};
    demo_say(d, "Sixty new tickets, sorted and drafted by the learned rung and the light model");
    printf("$ inhouse run " WORKFLOW " %s --rungs %s\n", file, o.rungs);
    fflush(stdout);
    int64_t start = clock_monotonic_us();
    progress_begin(&d->bar, d->cli, WORKFLOW);
    f = run_tickets(d->cli, &o, &d->bar, &d->counts, why);
    d->measure.seconds = clock_ms_since(start) / 1000;
    rows_close(d->rows);
    d->rows = NULL;
    if (f == FAIL_NONE && d->counts.interrupted) {
        f = FAULT(why, FAIL_STOPPED, "stopped");
    }
    if (f == FAIL_NONE) {
        show_tickets(d);
        demo_say(d, "Two of the drafts, with the articles they come from");
        show_drafts(d);
        demo_say(d, "Against what a careful person decided");
        run_summary(d->cli, &d->measure, &d->counts);
    }
    return f;
}

/* ---- the heavy model joins ---- */

static bool heavy_arrives(struct demo *d)
{
    char file[CLIENT_PATH_SIZE];
    double waited = 0;
    bool said = false;
    char failed[CLIENT_PATH_SIZE]; /* tools/demo leaves it when the download gave up */
    path_of(d->fetched, HEAVY_FILE, file);
    path_of(d->cli->home, "download.failed", failed);
    while (access(file, R_OK) != 0 && access(failed, F_OK) != 0 && cli_interrupted == 0 &&
           waited < WAIT_DOWNLOAD_S) {
        if (!said) {
            demo_say(d,
                     "Waiting for the heavy model's download (1.1 GB; DEMO_SMALL=1 goes without)");
            said = true;
        }
        /* The time a download takes is not the demo's; the server would leave if nobody spoke to
           it. */
        json_t *status AUTO_JSON = NULL;
        struct fault why;
        (void)!client_get(cli_client(d->cli), &status, &why, "/api/v1/status");
        usleep(2000000);
        waited += 2;
        d->started_us += 2000000;
    }
    if (access(file, R_OK) != 0) {
        cli_note(d->cli, "The heavy model did not arrive (%s/download.log); going on without it.",
                 d->cli->home);
        return false;
    }
    demo_say(d, "The heavy model joins");
    return TYPE(d, "models", "add", file, "--role", "heavy", "--link");
}

static void rewrite(struct demo *d, double until_s)
{
    struct fault why;
    int64_t replaced = 0, refused = 0, left = 1, start = clock_monotonic_us();
    if (until_s - demo_seconds(d) < 20) {
        until_s = demo_seconds(d) + 20;
    }
    demo_say(d, "The heavy model rewrites drafts in the background until %.0f:%02.0f",
             floor(until_s / 60), fmod(until_s, 60));
    while (demo_seconds(d) < until_s && left > 0 && cli_interrupted == 0) {
        json_t *status AUTO_JSON = NULL;
        if (client_get(cli_client(d->cli), &status, &why, "/api/v1/status") != FAIL_NONE) {
            break;
        }
        const json_t *r = json_object_get(status, "rewrite");
        replaced = json_integer_value(json_object_get(r, "replaced"));
        refused = json_integer_value(json_object_get(r, "refused"));
        left = json_integer_value(json_object_get(r, "waiting")) +
               json_integer_value(json_object_get(r, "running"));
        usleep(500000);
    }
    (void)!cli_send(d->cli, "POST", "/api/v1/rewrite", NULL, "{\"paused\":true}", 15, NULL, &why);
    printf("In %.0f s: %lld rewritten (every claim in them is in the articles), %lld refused (a "
           "claim was not, so the "
           "composed draft\nstays), %lld still waiting.\n",
           clock_ms_since(start) / 1000, (long long)replaced, (long long)refused, (long long)left);
}

void demo_stop(struct demo *d)
{
    struct fault why;
    sig_atomic_t interrupted = cli_interrupted; /* a second Ctrl-C ends it at once */
    cli_interrupted = 0;
    struct client *c = cli_client_running(d->cli);
    if (c != NULL &&
        cli_send(d->cli, "POST", "/api/v1/stop", NULL, "{}", 2, NULL, &why) == FAIL_NONE) {
        client_wait_gone(c, 60000);
    }
    client_close(d->cli->client);
    d->cli->client = NULL;
    cli_interrupted = interrupted != 0 ? interrupted : cli_interrupted;
}

/* ---- the command ---- */

static bool prepare(struct demo *d)
{
    char embed[CLIENT_PATH_SIZE], light[CLIENT_PATH_SIZE], articles[CLIENT_PATH_SIZE],
        past[CLIENT_PATH_SIZE];
    path_of(d->fetched, EMBED_FOLDER, embed);
    path_of(d->fetched, LIGHT_FILE, light);
    path_of(d->examples, "articles", articles);
    path_of(d->examples, "past.jsonl", past);
    demo_say(d, "Two small models, in a fresh data folder: %s", d->cli->home);
    if (!TYPE(d, "models", "import", embed) ||
        !TYPE(d, "models", "add", light, "--role", "light")) {
        return false;
    }
    demo_say(d, "The company's articles, and 400 past tickets with what people decided");
    return TYPE(d, "datasets", "add", "helpdesk", articles) && TYPE(d, "learn", WORKFLOW, past);
}

static int play(struct demo *d, int64_t minutes)
{
    struct fault why = {0};
    if (!prepare(d)) {
        return cli_interrupted != 0 ? COMMAND_INTERRUPTED : COMMAND_SERVER;
    }
    enum fail f = first_table(d, &why);
    if (f != FAIL_NONE) {
        return cli_fail(d->cli, &why);
    }
    demo_say(d, "What waits for a person");
    (void)TYPE(d, "review", "list", "--limit", "8");
    d->heavy = !d->small && heavy_arrives(d);
    if (d->heavy && cli_interrupted == 0) {
        rewrite(d, (double)minutes * 60 - STAGE_SECONDS);
    }
    void (*const acts[])(struct demo *) = {demo_act_alone, demo_act_cut, demo_act_flip};
    for (size_t i = 0; i < COUNT_OF(acts) && cli_interrupted == 0; i++) {
        acts[i](d);
    }
    if (cli_interrupted != 0) {
        return COMMAND_INTERRUPTED;
    }
    demo_say(d, "What to type next");
    printf("  export INHOUSE_HOME=%s\n"
           "  build/bin/inhouse review next                     work through what waits\n"
           "  build/bin/inhouse try YOUR-TICKETS.csv            the same with your own past "
           "tickets; sends nothing\n"
           "  build/bin/inhouse ask \"Write a haiku about tea\"   the light model, streamed\n"
           "  build/bin/inhouse serve                           the server, OpenAI API on "
           "127.0.0.1:8460\n"
           "  man man/inhouse.1                                 everything else\n",
           d->cli->home);
    return COMMAND_OK;
}

int command_demo(struct cli *cli)
{
    int64_t minutes;
    const char *examples = cli_option(cli, "examples"), *fetched = cli_option(cli, "fetched");
    if (!cli_number(cli, "minutes", 1, 600, DEFAULT_MINUTES, &minutes)) {
        return COMMAND_USAGE;
    }
    if (cli->url != NULL) {
        return cli_usage(cli, "the demo works on a data folder of its own: unset INHOUSE_URL");
    }
    struct demo *d = mem_alloc(sizeof(*d));
    d->cli = cli;
    d->small = cli_option(cli, "small") != NULL;
    d->started_us = clock_monotonic_us();
    (void)text_copy(d->examples, sizeof(d->examples),
                    examples != NULL ? examples : "examples/helpdesk");
    (void)text_copy(d->fetched, sizeof(d->fetched),
                    fetched != NULL ? fetched : "third_party/.fetched/models");
    measure_run_init(&d->measure);
    int status = play(d, minutes);
    for (size_t i = 0; i < d->n; i++) {
        json_decref(d->results[i].keep);
        json_decref(d->results[i].result);
        json_decref(d->results[i].ticket.expected);
    }
    mem_free(d->results);
    measure_run_done(&d->measure);
    demo_stop(d);
    mem_free(d);
    return status;
}
