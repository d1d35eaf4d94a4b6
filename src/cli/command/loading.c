/* SPDX-License-Identifier: Apache-2.0 */
/* Which models the running server has in memory: load, unload, pin, unpin, and the list. */
#include <string.h>
#include <time.h>

#include "base/clock/clock.h"
#include "cli/command/command_internal.h"

#define POLL_MS 200

static int64_t number(const json_t *obj, const char *key)
{
    return json_integer_value(json_object_get(obj, key));
}

static struct client *running(struct cli *cli)
{
    struct client *c = cli->url != NULL ? cli_client(cli) : cli_client_running(cli);
    if (c == NULL && cli->why.code == FAIL_STOPPED) {
        FAULT(&cli->why, FAIL_STOPPED, "no server runs on %.200s", cli->home);
        fail_hint(&cli->why, "Models are loaded into a server: start one with `inhouse serve`.");
    }
    return c;
}

/* ---- the list ---- */

static void show_roles(const json_t *model, char *out, size_t room)
{
    size_t i, at = 0;
    json_t *role;
    out[0] = '\0';
    json_array_foreach(json_object_get(model, "serves"), i, role) {
        int n = snprintf(out + at, room - at, "%s%s", i > 0 ? " " : "", json_string_value(role));
        at += n > 0 && (size_t)n < room - at ? (size_t)n : 0;
    }
}

static void show_model(struct measure_table *t, const json_t *model)
{
    char memory[24], size[24], roles[40], shown[32];
    const json_t *used = json_object_get(model, "last_used_at");
    bool measured = json_is_true(json_object_get(model, "memory_measured"));
    show_roles(model, roles, sizeof(roles));
    char bytes[24];
    (void)snprintf(memory, sizeof(memory), "%s%s", measured ? "" : "~",
                   cli_bytes(number(model, "memory_bytes"), bytes));
    (void)snprintf(shown, sizeof(shown), "%.16s",
                   json_is_string(used) ? json_string_value(used) : "-");
    bool pinned = json_is_true(json_object_get(model, "pinned"));
    bool by_role = json_is_true(json_object_get(model, "pinned_by_role"));
    const char *cells[] = {cli_str(model, "name"), cli_str(model, "state"),
                           roles[0] != '\0' ? roles : "-", memory,
                           by_role  ? "role"
                           : pinned ? "yes"
                                    : "no",
                           shown, cli_str(model, "arch"), cli_str(model, "quant"),
                           cli_bytes(number(model, "bytes"), size)};
    measure_table_row(t, cells);
}

bool loading_list(struct cli *cli, int *status)
{
    static const char *const columns[] = {"*name",     "state", "serves", ">memory", "pinned",
                                          "last used", "arch",  "quant",  ">size"};
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    struct client *c = cli->url != NULL ? cli_client(cli) : cli_client_running(cli);
    if (c == NULL && cli->why.code == FAIL_STOPPED) {
        return false;
    }
    *status = COMMAND_OK;
    if (c == NULL || client_get(c, &j, &why, "/api/v1/models") != FAIL_NONE) {
        *status = cli_fail(cli, c == NULL ? &cli->why : &why);
        return true;
    }
    const json_t *models = json_object_get(j, "models"), *memory = json_object_get(j, "memory");
    if (cli->json) {
        cli_print_json(models);
        return true;
    }
    if (json_array_size(models) == 0) {
        printf("No models yet. Add one: inhouse models add FILE.gguf --role light\n");
        return true;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i;
    json_t *model;
    json_array_foreach(models, i, model) {
        show_model(t, model);
    }
    cli_print_table(cli, t);
    char used[24], budget[24];
    printf("\n%s of %s for models (~ is an estimate: not loaded yet)\n",
           cli_bytes(number(memory, "used_bytes"), used),
           cli_bytes(number(memory, "budget_bytes"), budget));
    return true;
}

/* ---- orders ---- */

static enum fail order(struct cli *cli, const char *what, const char *body, json_t **out,
                       struct fault *why)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "/api/v1/models/%.64s/%s", cli->words[0], what);
    struct client_ask ask = {.method = "POST", .path = path, .body = body, .len = strlen(body),
                             .timeout_ms = 600000};
    return client_call(cli->client, &ask, out, why);
}

static const json_t *find_model(const json_t *j, const char *name)
{
    size_t i;
    json_t *model;
    json_array_foreach(json_object_get(j, "models"), i, model) {
        if (strcmp(cli_str(model, "name"), name) == 0) {
            return model;
        }
    }
    return NULL;
}

/* Shows how far it is until it is ready, broken, or no longer on its way. */
static enum fail follow(struct cli *cli, const char *name, struct fault *why)
{
    struct progress bar;
    enum fail f = FAIL_NONE;
    progress_begin(&bar, cli, "load");
    for (bool on_its_way = true; on_its_way && f == FAIL_NONE && cli_interrupted == 0;) {
        static const char *const moving[] = {"checking", "waiting", "loading", "unloading"};
        json_t *j AUTO_JSON = NULL;
        struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        f = client_get(cli->client, &j, why, "/api/v1/models");
        const json_t *m = f == FAIL_NONE ? find_model(j, name) : NULL;
        on_its_way = false;
        for (size_t i = 0; m != NULL && i < COUNT_OF(moving); i++) {
            if (strcmp(cli_str(m, "state"), moving[i]) == 0) {
                on_its_way = true;
                bar.what = moving[i];
                bar.done = number(m, "progress_bytes") / 1000000;
                bar.total = number(m, "progress_total") / 1000000;
                bar.share = -1;
                progress_show(&bar, false);
            }
        }
    }
    progress_end(&bar);
    return f;
}

static int told(struct cli *cli, enum fail f, json_t *j, const struct fault *why)
{
    char memory[24];
    if (f != FAIL_NONE) {
        return cli_fail(cli, why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else {
        bool pinned = json_is_true(json_object_get(j, "pinned"));
        printf("%s: %s, %s%s%s\n", cli_str(j, "model"), cli_str(j, "state"),
               json_is_true(json_object_get(j, "memory_measured")) ? "" : "about ",
               cli_bytes(number(j, "memory_bytes"), memory), pinned ? ", pinned" : "");
    }
    return COMMAND_OK;
}

int command_models_load(struct cli *cli)
{
    struct fault why;
    json_t *started AUTO_JSON = NULL;
    json_t *j AUTO_JSON = NULL;
    if (running(cli) == NULL) {
        return cli_fail(cli, &cli->why);
    }
    enum fail f = order(cli, "load", "{\"wait\":false}", &started, &why);
    if (f == FAIL_NONE) {
        f = follow(cli, cli_str(started, "model"), &why);
    }
    if (f == FAIL_NONE) { /* it is there, or this says why it is not */
        f = order(cli, "load", "{}", &j, &why);
    }
    return told(cli, f, j, &why);
}

static int simple_order(struct cli *cli, const char *what)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    if (running(cli) == NULL) {
        return cli_fail(cli, &cli->why);
    }
    enum fail f = order(cli, what, "{}", &j, &why);
    return told(cli, f, j, &why);
}

int command_models_unload(struct cli *cli)
{
    return simple_order(cli, "unload");
}

int command_models_pin(struct cli *cli)
{
    return simple_order(cli, "pin");
}

int command_models_unpin(struct cli *cli)
{
    return simple_order(cli, "unpin");
}
