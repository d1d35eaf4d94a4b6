/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse run of a program's workflow: its files go up by role, the job is followed with a bar, its
 * main output is printed or written. Ctrl-C cancels the job.
 */
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "cli/command/jobs_internal.h"

#define INPUT_BYTES ((size_t)64 << 20)

/* ---- what goes up ---- */

static const json_t *by_name(const json_t *list, const char *key, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        if (strcmp(cli_str(item, key), name) == 0) {
            return item;
        }
    }
    return NULL;
}

static enum fail add_file(json_t *inputs, const char *role, const char *path, size_t *total,
                          struct fault *why)
{
    struct buf bytes;
    char copy[CLIENT_PATH_SIZE];
    buf_init(&bytes, INPUT_BYTES - *total);
    enum fail f = cli_read_file(path, &bytes, why);
    if (f == FAIL_NONE) {
        (void)text_copy(copy, sizeof(copy), path);
        const char *name = strcmp(path, "-") == 0 ? "" : basename(copy);
        const char *data = bytes.data != NULL ? bytes.data : "";
        bool text = text_utf8_is_valid(data, bytes.len) && memchr(data, '\0', bytes.len) == NULL;
        json_t *input = json_pack("{s:s,s:s}", "role", role, "name", name);
        if (text) {
            (void)json_object_set_new(input, "text", json_stringn(data, bytes.len));
        } else {
            AUTO_FREE char *base64 = mem_alloc(4 * ((bytes.len + 2) / 3) + 1);
            size_t n = text_base64(data, bytes.len, base64);
            (void)json_object_set_new(input, "base64", json_stringn(base64, n));
        }
        (void)json_array_append_new(inputs, input);
        *total += bytes.len;
    }
    buf_done(&bytes);
    return f;
}

static int usage_of(struct cli *cli, const json_t *workflow, const char *option)
{
    struct buf b;
    size_t i;
    const json_t *item;
    buf_init(&b, 4096);
    json_array_foreach(json_object_get(workflow, "inputs"), i, item) {
        (void)buf_printf(&b, "\n  %s%-12s %s", i == 0 ? "FILE…, or --" : "--",
                         cli_str(item, "role"), cli_str(item, "help"));
    }
    json_array_foreach(json_object_get(workflow, "params"), i, item) {
        (void)buf_printf(&b, "\n  --set %s=…  %s", cli_str(item, "name"), cli_str(item, "help"));
    }
    int status = cli_usage(cli, "%s has no option --%s. It takes:%s", cli->words[0], option,
                           b.data != NULL ? b.data : "");
    buf_done(&b);
    return status;
}

/* The body of POST /api/v1/jobs; NULL with *status set. */
static json_t *collect(struct cli *cli, const json_t *workflow, int *status)
{
    struct fault why = {0};
    size_t total = 0;
    const json_t *roles = json_object_get(workflow, "inputs");
    const char *first = cli_str(json_array_get(roles, 0), "role");
    json_t *body = json_pack("{s:s,s:[],s:{}}", "workflow", cli->words[0], "inputs", "params");
    json_t *inputs = json_object_get(body, "inputs"), *params = json_object_get(body, "params");
    enum fail f = FAIL_NONE;
    for (int i = 1; f == FAIL_NONE && i < cli->words_len; i++) {
        f = add_file(inputs, first, cli->words[i], &total, &why);
    }
    for (int i = 0; f == FAIL_NONE && i < cli->extras_len; i++) {
        const char *name = cli->extras[i].name, *value = cli->extras[i].value;
        const char *eq = strchr(value, '=');
        if (strcmp(name, "set") == 0 && eq != NULL) {
            AUTO_FREE char *key = mem_dup_strn(value, (size_t)(eq - value));
            (void)json_object_set_new(params, key, json_string(eq + 1));
        } else if (by_name(roles, "role", name) != NULL) {
            f = add_file(inputs, name, value, &total, &why);
        } else {
            *status = usage_of(cli, workflow, name);
            json_decref(body);
            return NULL;
        }
    }
    const char *as = cli_option(cli, "as");
    if (as != NULL) {
        (void)json_object_set_new(body, "as", json_string(as));
    }
    if (f != FAIL_NONE) {
        *status = cli_fail(cli, &why);
        json_decref(body);
        return NULL;
    }
    return body;
}

/* ---- what comes back ---- */

/* The output to show: with --as the first one, else the main one. */
static const json_t *output_of(struct cli *cli, const json_t *job)
{
    const json_t *outputs = json_object_get(job, "outputs"), *item;
    size_t i;
    if (cli_option(cli, "as") == NULL) {
        json_array_foreach(outputs, i, item) {
            if (json_is_true(json_object_get(item, "main"))) {
                return item;
            }
        }
    }
    return json_array_get(outputs, 0);
}

static enum fail write_all(struct cli *cli, const json_t *job, const char *folder,
                           struct fault *why)
{
    size_t i;
    const json_t *item;
    enum fail f = FAIL_NONE;
    json_array_foreach(json_object_get(job, "outputs"), i, item) {
        char path[CLIENT_PATH_SIZE];
        (void)snprintf(path, sizeof(path), "%.3800s/%.130s", folder, cli_str(item, "name"));
        f = f != FAIL_NONE ? f
                           : jobs_fetch(cli, cli_str(job, "job"), cli_str(item, "name"), path, why);
    }
    return f;
}

static void say_end(struct cli *cli, const json_t *job)
{
    struct buf names;
    size_t i;
    const json_t *item;
    char took[24];
    buf_init(&names, 4096);
    json_array_foreach(json_object_get(job, "outputs"), i, item) {
        (void)buf_printf(&names, "%s%s", i > 0 ? ", " : "", cli_str(item, "name"));
    }
    cli_note(cli, "%s is done in %s, cost %.4f; to review: %s", cli_str(job, "job"),
             jobs_time(job, took), json_number_value(json_object_get(job, "cost")),
             cli_str(job, "artifact"));
    cli_note(cli, "outputs: %s  (`inhouse jobs output %s NAME`)",
             names.data != NULL ? names.data : "none", cli_str(job, "job"));
    buf_done(&names);
}

static int give(struct cli *cli, const json_t *job)
{
    struct fault why = {0};
    struct stat st;
    const char *out = cli_option(cli, "out");
    const json_t *shown = output_of(cli, job);
    bool folder = out != NULL && ((stat(out, &st) == 0 && S_ISDIR(st.st_mode)) ||
                                  text_ends_with(out, "/"));
    enum fail f = FAIL_NONE;
    if (folder) {
        if (mkdir(out, 0777) != 0 && errno != EEXIST) {
            f = FAULT_ERRNO(&why, FAIL_BAD_REQUEST, "cannot make the folder %s", out);
        }
        f = f != FAIL_NONE ? f : write_all(cli, job, out, &why);
    } else if (shown != NULL && (out != NULL || !cli->json)) {
        f = jobs_fetch(cli, cli_str(job, "job"), cli_str(shown, "name"), out, &why);
    }
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(job);
    } else {
        fflush(stdout);
        say_end(cli, job);
    }
    return COMMAND_OK;
}

int run_program(struct cli *cli, const json_t *workflow)
{
    static const char *const of_forms[] = {"rungs", "no-draft", "no-review", "class", "jobs"};
    struct fault why = {0};
    int status = COMMAND_OK;
    json_t *job AUTO_JSON = NULL;
    json_t *ended AUTO_JSON = NULL;
    for (size_t i = 0; i < COUNT_OF(of_forms); i++) {
        if (cli_option(cli, of_forms[i]) != NULL) {
            return cli_usage(cli, "--%s is for workflows of forms; %s is a program", of_forms[i],
                             cli->words[0]);
        }
    }
    json_t *body = collect(cli, workflow, &status);
    if (body == NULL) {
        return status;
    }
    enum fail f = cli_send_json(cli, "POST", "/api/v1/jobs", body, &job, &why);
    f = f != FAIL_NONE ? f : jobs_follow(cli, cli_str(job, "job"), true, &ended, &why);
    if (f != FAIL_NONE) {
        return f == FAIL_STOPPED ? COMMAND_INTERRUPTED : cli_fail(cli, &why);
    }
    return give(cli, ended);
}
