/* SPDX-License-Identifier: Apache-2.0 */
/* A definition of a program's workflow: read strictly, all errors at once. */
#include <string.h>

#include "work/program/program_internal.h"

#define DEADLINE_S 900
#define DEADLINE_S_MAX 86400

static const char *const top_keys[] = {"name",       "title",   "program", "label",
                                       "deadline_s", "options", "prompts", NULL};

static void read_program(const struct config_node *root, const struct program_ops *const *table,
                         size_t n, struct program_definition *d, struct config_faults *faults)
{
    const char *name = "";
    if (!config_node_str(root, "program", true, 31, &name, faults)) {
        return;
    }
    struct buf names;
    buf_init(&names, 120);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i]->name, name) == 0) {
            d->ops = table[i];
        }
        (void)buf_printf(&names, "%s%s", i > 0 ? ", " : "", table[i]->name);
    }
    if (d->ops == NULL) {
        char hint[150];
        (void)text_copy(hint, sizeof(hint), names.data != NULL ? names.data : "none");
        config_faults_add(faults, config_node_find(root, "program")->line, "program", hint,
                          "there is no program \"%s\"; there are:", name);
    }
    buf_done(&names);
}

static void read_prompts(const struct config_node *root, const char *source,
                         struct program_definition *d, struct config_faults *faults)
{
    const struct config_node *map = NULL;
    if (!config_node_map(root, "prompts", false, &map, faults) || map == NULL || d->ops == NULL) {
        return;
    }
    static const char *const none[] = {NULL};
    const char *const *known = d->ops->prompts != NULL ? d->ops->prompts : none;
    config_node_only(map, known, faults);
    for (size_t i = 0; i < map->count && d->prompts_len < PROGRAM_PROMPTS_MAX; i++) {
        const struct config_node *item = map->items[i];
        if (item->kind != CONFIG_STRING || item->len == 0 || item->len > PROGRAM_PROMPT_BYTES) {
            config_faults_add(faults, item->line, map->keys[i], NULL,
                              "a prompt is a text of 1 to %d bytes", PROGRAM_PROMPT_BYTES);
            continue;
        }
        program_prompt_lint(source, item, map->keys[i], faults);
        d->prompts[d->prompts_len++] = (struct program_definition_prompt){
            mem_dup_str(map->keys[i]), mem_dup_strn(item->text, item->len), item->line};
    }
}

static void read_root(const struct config_node *root, const char *source,
                      const struct program_ops *const *table, size_t n,
                      struct program_definition *d, struct config_faults *faults)
{
    const char *name = "", *title = "", *label = secrecy_name(SECRECY_INTERNAL);
    int64_t deadline = DEADLINE_S;
    config_node_only(root, top_keys, faults);
    if (config_node_str(root, "name", true, 63, &name, faults) && !text_is_name(name)) {
        config_faults_add(faults, config_node_find(root, "name")->line, "name",
                          "Use a-z, 0-9, dot, dash and underscore.",
                          "\"%s\" cannot be a workflow's name", name);
    }
    config_node_str(root, "title", false, 200, &title, faults);
    config_node_str(root, "label", false, 16, &label, faults);
    config_node_int(root, "deadline_s", false, 1, DEADLINE_S_MAX, &deadline, faults);
    (void)text_copy(d->name, sizeof(d->name), name);
    d->title = mem_dup_str(title[0] != '\0' ? title : name);
    d->label = secrecy_find(label);
    d->deadline_s = (int)deadline;
    if (d->label == SECRECY_COUNT) {
        config_faults_add(faults, config_node_find(root, "label")->line, "label",
                          "Use public, internal, confidential or restricted.",
                          "\"%s\" is no label", label);
    }
    read_program(root, table, n, d, faults);
    read_prompts(root, source, d, faults);
    const struct config_node *options = NULL;
    const struct config_node *given = config_node_find(root, "options");
    if (!config_node_map(root, "options", false, &options, faults) && given != NULL &&
        given->kind != CONFIG_NULL) {
        return; /* no map: said */
    }
    if (d->ops == NULL) {
        return;
    }
    if (d->ops->options != NULL) {
        d->options = d->ops->options(options, faults);
    } else if (options != NULL && options->count > 0) {
        config_faults_add(faults, options->line, "options", NULL, "the program %s has no options",
                          d->ops->name);
    }
}

enum fail program_definition_read(const char *text, size_t len, const char *file,
                                  const struct program_ops *const *table, size_t n,
                                  struct program_definition **out, struct config_faults *faults,
                                  struct fault *why)
{
    struct config_tree *tree = NULL;
    *out = NULL;
    config_faults_init(faults, file);
    if (len > PROGRAM_DEFINITION_BYTES) {
        config_faults_add(faults, 0, NULL, NULL, "a definition has at most %zu bytes",
                          PROGRAM_DEFINITION_BYTES);
        return config_faults_fault(faults, why);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    struct program_definition *d = mem_alloc(sizeof(*d));
    d->refs = 1;
    const struct config_node *root = config_tree_root(tree);
    if (root->kind != CONFIG_MAP) {
        config_faults_add(faults, root->line, NULL, NULL, "a workflow is a map");
    } else {
        read_root(root, text, table, n, d, faults);
    }
    config_tree_free(tree);
    enum fail f = config_faults_fault(faults, why);
    if (f != FAIL_NONE) {
        program_definition_unref(d);
        return f;
    }
    uint8_t hash[32];
    text_sha256(text, len, hash);
    text_hex(hash, sizeof(hash), d->release);
    d->source_yaml = mem_dup_strn(text, len);
    *out = d;
    return FAIL_NONE;
}

struct program_definition *program_definition_ref(struct program_definition *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_SEQ_CST);
    return d;
}

void program_definition_unref(struct program_definition *d)
{
    if (d == NULL || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_SEQ_CST) > 0) {
        return;
    }
    if (d->ops != NULL && d->ops->options_free != NULL) {
        d->ops->options_free(d->options);
    }
    for (size_t i = 0; i < d->prompts_len; i++) {
        mem_free(d->prompts[i].name);
        mem_free(d->prompts[i].text);
    }
    mem_free(d->title);
    mem_free(d->source_yaml);
    mem_free(d);
}
