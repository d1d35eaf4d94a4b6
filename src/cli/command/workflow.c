/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse workflow: definitions listed, shown, tested, stored, and made from labelled examples.
   Threads: one. */
#include "work/workflow/workflow.h"

#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define MAX_NEW_EXAMPLES 20000

int command_workflow_list(struct cli *cli)
{
    static const char *const columns[] = {"name", "*title", "*fields", "release"};
    struct fault why;
    json_t *j AUTO_JSON = NULL, *w, *field;
    size_t i, k;
    if (cli_send(cli, "GET", "/api/v1/workflows", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "workflows"), i, w) {
        char release[16];
        struct buf fields;
        buf_init(&fields, 4096);
        json_array_foreach(json_object_get(w, "fields"), k, field) {
            const char *name =
                json_is_string(field) ? json_string_value(field) : cli_str(field, "name");
            (void)buf_printf(&fields, "%s%s", k > 0 ? ", " : "", name);
        }
        (void)snprintf(release, sizeof(release), "%.12s", cli_str(w, "release"));
        const char *cells[] = {cli_str(w, "name"), cli_str(w, "title"),
                               fields.len > 0 ? fields.data : NULL, release};
        measure_table_row(t, cells);
        buf_done(&fields);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

int command_workflow_show(struct cli *cli)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    char path[160];
    if (!text_is_name(cli->words[0])) {
        return cli_usage(cli, "\"%s\" is no workflow's name", cli->words[0]);
    }
    (void)snprintf(path, sizeof(path), "/api/v1/workflows/%s", cli->words[0]);
    if (cli_send(cli, "GET", path, NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else {
        fputs(cli_str(j, "yaml"), stdout);
        cli_note(cli, "# release %s", cli_str(j, "release"));
    }
    return COMMAND_OK;
}

/* ---- a file ---- */

/* Checks the file here, with every error at once; the form's name goes to `name`. */
static enum fail read_definition(const char *path, struct buf *yaml, char name[64],
                                 struct fault *why)
{
    struct config_faults faults = {0};
    struct ladder_form *form = NULL;
    enum fail f =
        workflow_read(yaml->len > 0 ? yaml->data : "", yaml->len, path, &form, &faults, why);
    if (f == FAIL_NONE) {
        (void)text_copy(name, 64, form->name);
    } else {
        cli_say_faults(&faults);
    }
    ladder_form_unref(form);
    return f;
}

static enum fail put_definition(struct cli *cli, const char *name, const struct buf *yaml,
                                struct fault *why)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "/api/v1/workflows/%.64s", name);
    return cli_send(cli, "PUT", path, "application/yaml", yaml->data, yaml->len, NULL, why);
}

/* A program's is read by the server alone, which knows the programs. */
static enum fail program_name(const struct buf *yaml, char name[64], struct fault *why)
{
    struct config_tree *tree = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    const char *found = "";
    config_faults_init(faults, "definition");
    if (config_yaml_parse(yaml->data, yaml->len, "definition", &tree, faults) == FAIL_NONE) {
        (void)config_node_str(config_tree_root(tree), "name", true, 63, &found, faults);
        (void)text_copy(name, 64, found);
        config_tree_free(tree);
    }
    enum fail f = config_faults_fault(faults, why);
    mem_free(faults);
    return f;
}

int command_workflow_put(struct cli *cli)
{
    struct fault why = {0};
    struct buf yaml;
    char name[64] = "";
    buf_init(&yaml, WORKFLOW_MAX_BYTES);
    enum fail f = cli_read_file(cli->words[0], &yaml, &why);
    if (f == FAIL_NONE && workflow_is_program(yaml.len > 0 ? yaml.data : "", yaml.len)) {
        f = program_name(&yaml, name, &why);
    } else if (f == FAIL_NONE) {
        f = read_definition(cli->words[0], &yaml, name, &why);
    }
    if (f == FAIL_NONE) {
        f = put_definition(cli, name, &yaml, &why);
    }
    buf_done(&yaml);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        printf("{\"workflow\":\"%s\",\"active\":true}\n", name);
    } else {
        printf("%s is active now.\n", name);
    }
    return COMMAND_OK;
}

/* ---- from examples ---- */

struct examples {
    struct workflow_example *list;
    size_t n;
    struct arena *arena;
};

static bool add_example(struct examples *e, const json_t *row)
{
    const json_t *expected = json_object_get(row, "expected");
    const char *subject = cli_str(row, "subject");
    size_t n = json_object_size(expected), i = 0;
    if (e->n == MAX_NEW_EXAMPLES || !arena_has_room(e->arena, (size_t)1 << 20)) {
        return false;
    }
    const char **names = arena_alloc(e->arena, (n + 1) * sizeof(*names));
    const char **values = arena_alloc(e->arena, (n + 1) * sizeof(*values));
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)expected, key, v) {
        if (json_is_string(v)) {
            names[i] = arena_dup_str(e->arena, key);
            values[i++] = arena_dup_str(e->arena, json_string_value(v));
        }
    }
    e->list[e->n++] = (struct workflow_example){
        .n = i, .names = names, .values = values,
        .text = arena_printf(e->arena, "%s%s%s", subject, subject[0] != '\0' ? "\n\n" : "",
                             cli_str(row, "text"))};
    return true;
}

/* What the collected lines hold, for making the definition. */
static enum fail read_examples(FILE *file, struct examples *e, struct fault *why)
{
    char *line = NULL;
    size_t room = 0;
    enum fail f = FAIL_NONE;
    rewind(file);
    for (ssize_t n; f == FAIL_NONE && (n = getline(&line, &room, file)) > 0;) {
        json_t *j AUTO_JSON = NULL;
        f = jn_parse(line, (size_t)n, "example", &j, why);
        if (f == FAIL_NONE && !add_example(e, j)) {
            break;
        }
    }
    free(line); /* tidy: memory: getline's own */
    (void)fseeko(file, 0, SEEK_END);
    return f;
}

/* `new` never replaces a definition that somebody works with. */
static enum fail check_new(struct cli *cli, const char *name, struct fault *why)
{
    struct client *c = text_is_name(name) ? cli_client(cli) : NULL;
    if (c == NULL || client_get(c, NULL, why, "/api/v1/workflows/%s", name) != FAIL_NONE) {
        return FAIL_NONE; /* what else is wrong shows when it is put */
    }
    FAULT(why, FAIL_CONFLICT, "there is a workflow %s already", name);
    return fail_hint(why,
                     "`inhouse learn %s FILE` teaches it, `inhouse workflow put FILE.yaml` changes "
                     "it; or take another name.",
                     name);
}

int command_workflow_new(struct cli *cli)
{
    const char *name = cli->words[0], *from = cli_option(cli, "from");
    struct fault why = {0};
    struct learn_counts n = {0};
    struct buf yaml;
    json_t *result AUTO_JSON = NULL;
    if (from == NULL) {
        return cli_usage(cli,
                         "--from is missing: a file of {\"id\", \"text\", \"expected\"} lines");
    }
    FILE *file = tmpfile();
    struct examples e = {.arena = arena_new((size_t)256 << 20),
                         .list = mem_alloc_array(MAX_NEW_EXAMPLES, sizeof(*e.list))};
    buf_init(&yaml, WORKFLOW_MAX_BYTES);
    enum fail f = file == NULL ? FAULT(&why, FAIL_INTERNAL, "cannot make a temporary file")
                               : learn_collect(cli, from, file, &n, &why);
    if (f == FAIL_NONE) {
        f = read_examples(file, &e, &why);
    }
    if (f == FAIL_NONE) {
        f = workflow_from_examples(name, e.list, e.n, &yaml, &why);
    }
    if (f == FAIL_NONE) {
        f = check_new(cli, name, &why);
    }
    if (f == FAIL_NONE) {
        f = put_definition(cli, name, &yaml, &why);
    }
    if (f == FAIL_NONE) {
        f = learn_send(cli, name, file, &result, &why);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    buf_done(&yaml);
    arena_free(e.arena);
    mem_free(e.list);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(result);
        return COMMAND_OK;
    }
    printf("The workflow %s is active.\n\n", name);
    learn_report_show(cli, result);
    printf("\nNext:\n  inhouse run %s NEW.jsonl --out ANSWERS.jsonl\n  inhouse review list\n"
           "  inhouse workflow show %s > %s.yaml    (to change it; then: inhouse workflow put "
           "%s.yaml)\n",
           name, name, name, name);
    return COMMAND_OK;
}
