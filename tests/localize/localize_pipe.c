/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the program `localize` over files, without a server: what it asks of models is written to
 * standard output, one JSON array a line, and the answers are read from standard input, one array
 * of strings (or null) a line. "done" and the counts come last.
 * Usage: localize_pipe DEFINITION.yaml OUT-FOLDER READER ROLE=FILE... [set:NAME=VALUE]...
 * With "-" for models (first argument after READER: nomodel) nothing is asked.
 * Threads: one. Limits: those of work/program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "trust/keyring/keyring.h"
#include "work/localize/localize.h"
#include "work/program/program.h"

#define INPUTS_MAX 64
#define FILE_MAX (16u << 20)

static bool models;

static void ask(void *arg, const struct program_ask *asks, size_t n, struct arena *arena,
                struct program_answer *out)
{
    struct buf b;
    struct jn_writer w;
    char *line = NULL;
    size_t room = 0;
    struct fault why;
    (void)arg;
    buf_init(&b, FILE_MAX);
    jn_begin(&w, &b, false);
    jn_array_begin(&w);
    for (size_t i = 0; i < n; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "system", asks[i].system);
        jn_kv_str(&w, "text", asks[i].text);
        jn_kv_int(&w, "max_tokens", asks[i].max_tokens);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    printf("%s\n", b.data);
    (void)fflush(stdout);
    buf_done(&b);
    ssize_t len = getline(&line, &room, stdin);
    AUTO_JSON json_t *answers = NULL;
    enum fail f = len > 0 ? jn_parse(line, (size_t)len, "answers", &answers, &why) : FAIL_INTERNAL;
    for (size_t i = 0; i < n; i++) {
        const char *s = f == FAIL_NONE ? json_string_value(json_array_get(answers, i)) : NULL;
        out[i].code = s == NULL ? FAIL_MODEL_UNAVAILABLE : FAIL_NONE;
        out[i].text = s == NULL ? "" : arena_dup_str(arena, s);
        out[i].len = strlen(out[i].text);
        out[i].model = "model";
    }
    free(line); /* tidy: memory: getline's own */
}

static bool has_model(void *arg, const char *model)
{
    (void)arg, (void)model;
    return models;
}

static enum fail render(void *arg, const char *text, const char *vars_json, int64_t now_s,
                        struct arena *arena, const char **out, struct fault *why)
{
    AUTO_JSON json_t *vars = NULL;
    (void)arg, (void)now_s;
    enum fail f = jn_parse(vars_json, strlen(vars_json), "variables", &vars, why);
    struct buf b;
    buf_init(&b, 1 << 16);
    while (f == FAIL_NONE && *text != '\0') {
        const char *open = strstr(text, "{{ "), *end = open == NULL ? NULL : strstr(open, " }}");
        if (end == NULL) {
            (void)buf_add_str(&b, text);
            break;
        }
        char name[64] = "";
        (void)snprintf(name, sizeof(name), "%.*s", (int)(end - open - 3), open + 3);
        const char *value = json_string_value(json_object_get(vars, name));
        (void)buf_add(&b, text, (size_t)(open - text));
        (void)buf_add_str(&b, value == NULL ? "" : value);
        text = end + 3;
    }
    *out = arena_dup_str(arena, b.data == NULL ? "" : b.data);
    buf_done(&b);
    return f;
}

static char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *bytes = mem_alloc(FILE_MAX);
    *len = f == NULL ? 0 : fread(bytes, 1, FILE_MAX - 1, f);
    if (f == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2); /* tidy: banned: a tool of the tests */
    }
    (void)fclose(f);
    return bytes;
}

static void save(const char *folder, const struct program_result *r)
{
    for (size_t i = 0; i < r->outputs_len; i++) {
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, r->outputs[i].name);
        FILE *f = fopen(path, "wb");
        if (f != NULL) {
            (void)fwrite(r->outputs[i].bytes, 1, r->outputs[i].len, f);
            (void)fclose(f);
        }
    }
    for (size_t i = 0; i < r->fields_len; i++) {
        fprintf(stderr, "%s=%s ", r->fields[i].name, r->fields[i].value);
    }
    fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
    static const struct program_ops *const table[] = {&localize_program};
    static const struct principal who = {.name = "test", .team = "test"};
    struct program_input inputs[INPUTS_MAX];
    struct program_var params[8];
    struct program_definition *d = NULL;
    struct program_run *run = NULL;
    struct config_faults faults;
    struct fault why = {0};
    size_t n = 0, k = 0, len;
    if (argc < 5) {
        return 2;
    }
    models = strcmp(argv[4], "models") == 0;
    for (int i = 5; i < argc && n < INPUTS_MAX && k < 8; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL) {
            return 2;
        }
        *value++ = '\0';
        if (strncmp(argv[i], "set:", 4) == 0) {
            params[k++] = (struct program_var){argv[i] + 4, value};
            continue;
        }
        const char *slash = strrchr(value, '/');
        char *bytes = slurp(value, &len);
        inputs[n++] = (struct program_input){argv[i], slash == NULL ? value : slash + 1, "", bytes,
                                             len};
    }
    char *yaml = slurp(argv[1], &len);
    config_faults_init(&faults, argv[1]);
    enum fail f =
        program_definition_read(yaml, len, argv[1], table, 1, &d, &faults, &why);
    struct program_start start = {.definition = d, .who = &who, .inputs = inputs, .inputs_len = n,
                                  .params = params, .params_len = k};
    struct program_host host = {.ask = ask, .has_model = has_model, .render = render,
                                .reader_path = argv[3]};
    f = f == FAIL_NONE ? program_run_new(&start, &host, &run, &why) : f;
    f = f == FAIL_NONE ? program_run_go(run, &why) : f;
    if (f != FAIL_NONE) {
        fprintf(stderr, "%s: %s %s\n", fail_name(f), why.message, why.hint);
    } else {
        struct program_result r;
        program_result(run, &r);
        save(argv[2], &r);
        printf("\"done\"\n");
    }
    program_run_free(run);
    program_definition_unref(d);
    for (size_t i = 0; i < n; i++) {
        mem_free((void *)inputs[i].bytes);
    }
    mem_free(yaml);
    return f == FAIL_NONE ? 0 : 3;
}
