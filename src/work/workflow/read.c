/* SPDX-License-Identifier: Apache-2.0 */
/* From YAML to a form: every error is reported, with its line, before anything is used. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route.h"
#include "base/text/text.h"
#include "work/workflow/workflow.h"

#define DEFAULT_TARGET_ERROR 0.05
#define MAX_PROMPT 8192
#define AGENTS_BYTES 8192

static const char *const top_keys[] = {"name",   "title",         "dataset", "fields", "prompt",
                                       "frames", "always_person", "desk",    "rewrite",
                                       "label",  "accepts",       "reuse",   "needs",  "related",
                                       "autonomy", NULL};
static const char *const field_keys[] = {"name",   "type",         "labels",   "max_chars",
                                         "target_error", "instruct",  "min",    "max",
                                         "aid",    "like",         NULL};
static const char *const stakes_keys[] = {"stakes", "refund_above", "phrases", NULL};
static const char *const prompt_keys[] = {"system", "prefix", "suffix", NULL};
static const char *const frame_keys[] = {"greeting", "greeting_plain", "opening", "sources",
                                         "closing",  "sign_off",       NULL};

static bool is_field_name(const char *s)
{
    return s[0] >= 'a' && s[0] <= 'z' && strlen(s) < 48 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

static void add_label(struct ladder_field *field, const char *name, const char *describe, int line,
                      struct config_faults *faults)
{
    size_t n = strlen(name);
    if (n == 0 || n > 128) {
        config_faults_add(faults, line, "labels", NULL, "a label has 1 to 128 bytes");
        return;
    }
    if (ladder_label_find(field, name) >= 0) {
        config_faults_add(faults, line, "labels", NULL, "the label \"%.60s\" is there twice", name);
        return;
    }
    struct ladder_label *l = &field->labels[field->labels_len++];
    l->name = mem_dup_str(name);
    l->describe = mem_dup_str(describe);
}

static void read_labels(const struct config_node *node, struct ladder_field *field,
                        struct config_faults *faults)
{
    const struct config_node *labels = config_node_find(node, "labels");
    if (labels == NULL) {
        config_faults_add(faults, node->line, "labels",
                          "List them, or write `labels: from_examples`.",
                          "the choice \"%s\" has no labels", field->name);
        return;
    }
    if (labels->kind == CONFIG_STRING && strcmp(labels->text, "from_examples") == 0) {
        field->labels_learned = true;
        return;
    }
    bool map = labels->kind == CONFIG_MAP;
    if ((!map && labels->kind != CONFIG_LIST) || labels->count < 2 ||
        labels->count > LADDER_MAX_LABELS) {
        config_faults_add(faults, labels->line, "labels", NULL,
                          "labels of \"%s\" must be a list or a map of 2 to %d, or from_examples",
                          field->name, LADDER_MAX_LABELS);
        return;
    }
    field->labels = mem_alloc_array(labels->count, sizeof(*field->labels));
    for (size_t i = 0; i < labels->count; i++) {
        const struct config_node *item = labels->items[i];
        if (item->text == NULL) {
            config_faults_add(faults, item->line, "labels", NULL, "a label must be text");
            continue;
        }
        add_label(field, map ? labels->keys[i] : item->text, map ? item->text : NULL, item->line,
                  faults);
    }
}

/* A bound of a number, amount or date, written as a value of it is. */
static char *read_bound(const struct config_node *node, const char *key,
                        const struct ladder_field *field, struct config_faults *faults)
{
    const struct config_node *at = config_node_find(node, key);
    const char *s = NULL;
    if (at == NULL) {
        return NULL;
    }
    bool bounded = ladder_type_is_found(field->type) && field->type != LADDER_ID &&
                   field->type != LADDER_SPAN;
    s = at->text;
    if (!bounded || s == NULL || strlen(s) > 40 ||
        !extract_in_bounds(ladder_type_kind(field->type), s, NULL, NULL)) {
        config_faults_add(faults, at->line, key,
                          "Numbers and amounts have decimals as bounds, dates YYYY-MM-DD.",
                          "\"%s\" has no such bound", field->name);
        return NULL;
    }
    return mem_dup_str(s);
}

/* `type: sentiment` is a choice of three, an aid that code reads first. */
static bool read_mood(const char *type, struct ladder_field *field)
{
    static const char *const labels[] = {"negative", "neutral", "positive"};
    if (strcmp(type, "sentiment") != 0) {
        return false;
    }
    field->type = LADDER_CHOICE;
    field->mood = field->aid = true;
    ladder_labels_set(field, labels, COUNT_OF(labels));
    return true;
}

static void read_like(const struct config_node *node, struct ladder_field *field,
                      struct config_faults *faults)
{
    const char *like = NULL;
    if (!config_node_str(node, "like", false, 60, &like, faults) || like == NULL) {
        return;
    }
    if (field->type != LADDER_ID || strpbrk(like, "0123456789") == NULL) {
        config_faults_add(faults, config_node_find(node, "like")->line, "like",
                          "Write one of them, such as VM-410233: digits stand for any digit.",
                          "\"%s\" must be an id, and what it is like must have a digit",
                          field->name);
        return;
    }
    field->pattern = mem_dup_str(like);
}

static void read_field(const struct config_node *node, struct ladder_form *form,
                       struct config_faults *faults)
{
    const char *name = "", *type = "", *instruct = NULL;
    int64_t max_chars = 80;
    double target = DEFAULT_TARGET_ERROR;
    if (node->kind != CONFIG_MAP) {
        config_faults_add(faults, node->line, "fields", NULL,
                          "a field must be a map with name and type");
        return;
    }
    config_node_only(node, field_keys, faults);
    bool ok = config_node_str(node, "name", true, 47, &name, faults);
    ok = config_node_str(node, "type", true, 16, &type, faults) && ok;
    config_node_int(node, "max_chars", false, 8, 4000, &max_chars, faults);
    config_node_real(node, "target_error", false, 0.001, 0.5, &target, faults);
    config_node_str(node, "instruct", false, 500, &instruct, faults);
    if (!ok) {
        return;
    }
    if (!is_field_name(name) || ladder_field_find(form, name) >= 0) {
        config_faults_add(faults, node->line, "name", "Names are a-z, 0-9 and _, each used once.",
                          "\"%s\" cannot be a field's name", name);
        return;
    }
    struct ladder_field *field = &form->fields[form->fields_len++];
    text_copy(field->name, sizeof(field->name), name);
    bool mood = read_mood(type, field);
    field->type = mood ? field->type : ladder_type_find(type);
    config_node_bool(node, "aid", false, &field->aid, faults);
    read_like(node, field, faults);
    field->max_chars = (int)max_chars;
    field->target_error = target;
    field->instruct = mem_dup_str(instruct);
    field->min = read_bound(node, "min", field, faults);
    field->max = read_bound(node, "max", field, faults);
    if (field->type == LADDER_TYPE_COUNT) {
        config_faults_add(faults, node->line, "type",
                          "Use choice, sentiment, number, amount, date, id, span, line, language "
                          "or draft.",
                          "\"%s\" is no type of field", type);
    } else if (field->type == LADDER_CHOICE && !mood) {
        read_labels(node, field, faults);
    }
}

static char *text_of(const struct config_node *map, const char *key, struct config_faults *faults)
{
    const char *s = NULL;
    config_node_str(map, key, false, MAX_PROMPT, &s, faults);
    return mem_dup_str(s);
}

/* {desk} is known when the definition is read; {name} is the customer's and stays. */
static char *with_desk(char *text, const char *desk)
{
    const char *at = text == NULL ? NULL : strstr(text, "{desk}");
    if (at == NULL) {
        return text;
    }
    struct buf b;
    buf_init(&b, MAX_PROMPT + 256);
    buf_add(&b, text, (size_t)(at - text));
    buf_add_str(&b, desk);
    buf_add_str(&b, at + strlen("{desk}"));
    mem_free(text);
    return buf_take(&b);
}

/* A principal's name, and what it signs with. */
static void read_agents(const struct config_node *desk, struct ladder_form *form,
                        struct config_faults *faults)
{
    const struct config_node *agents = NULL;
    struct buf b;
    if (!config_node_map(desk, "agents", false, &agents, faults) || agents == NULL) {
        return;
    }
    buf_init(&b, AGENTS_BYTES);
    for (size_t i = 0; i < agents->count; i++) {
        const struct config_node *shown = agents->items[i];
        if (shown->text == NULL || shown->len > 100 || strpbrk(shown->text, "\n\r") != NULL ||
            strpbrk(agents->keys[i], "=\n") != NULL) {
            config_faults_add(faults, shown->line, "agents", NULL,
                              "an agent is a name and what it signs with, of at most 100 bytes");
            continue;
        }
        buf_printf(&b, "%s=%s\n", agents->keys[i], shown->text);
    }
    if (b.overflow) {
        config_faults_add(faults, agents->line, "agents", NULL, "the agents are over %d bytes",
                          AGENTS_BYTES);
    }
    form->agents = buf_take(&b);
}

/* `desk: Support`, or a map of name, address, names and agents. Returns the desk's name. */
static const char *read_desk(const struct config_node *root, struct ladder_form *form,
                             struct config_faults *faults)
{
    static const char *const keys[] = {"name", "address", "names", "agents", NULL};
    static const char *const addresses[] = {"any", "du", "sie"};
    static const char *const called[] = {"any", "first", "full"};
    const struct config_node *desk = config_node_find(root, "desk");
    const char *name = "Support", *address = "any", *names = "any";
    size_t i = 0, k = 0;
    if (desk == NULL || desk->kind != CONFIG_MAP) {
        config_node_str(root, "desk", false, 100, &name, faults);
        return name;
    }
    config_node_only(desk, keys, faults);
    config_node_str(desk, "name", false, 100, &name, faults);
    config_node_str(desk, "address", false, 8, &address, faults);
    config_node_str(desk, "names", false, 8, &names, faults);
    for (; i < COUNT_OF(addresses) && strcmp(addresses[i], address) != 0; i++) {
    }
    for (; k < COUNT_OF(called) && strcmp(called[k], names) != 0; k++) {
    }
    if (i == COUNT_OF(addresses) || k == COUNT_OF(called)) {
        config_faults_add(faults, desk->line, "desk",
                          "address is any, du or sie; names is any, first or full.",
                          "the desk's %s cannot be \"%s\"",
                          i == COUNT_OF(addresses) ? "address" : "names",
                          i == COUNT_OF(addresses) ? address : names);
        return name;
    }
    form->address = (enum ladder_address)i;
    form->called = (enum ladder_called)k;
    read_agents(desk, form, faults);
    return name;
}

static void read_frames(const struct config_node *root, struct ladder_form *form, const char *desk,
                        struct config_faults *faults)
{
    const struct config_node *frames = NULL;
    if (!config_node_map(root, "frames", false, &frames, faults) || frames == NULL) {
        return;
    }
    for (size_t i = 0; i < frames->count; i++) {
        const struct config_node *node = frames->items[i];
        if (i >= LADDER_MAX_FRAMES || node->kind != CONFIG_MAP || strlen(frames->keys[i]) > 7) {
            config_faults_add(faults, node->line, "frames", NULL,
                              "at most %d frames, each a map under a language code",
                              LADDER_MAX_FRAMES);
            return;
        }
        config_node_only(node, frame_keys, faults);
        struct ladder_frame *f = &form->frames[form->frames_len++];
        text_copy(f->lang, sizeof(f->lang), frames->keys[i]);
        f->greeting = text_of(node, "greeting", faults);
        f->greeting_plain = text_of(node, "greeting_plain", faults);
        f->opening = text_of(node, "opening", faults);
        f->sources = text_of(node, "sources", faults);
        f->closing = text_of(node, "closing", faults);
        f->sign_off = with_desk(text_of(node, "sign_off", faults), desk);
        if (f->greeting_plain == NULL || f->sign_off == NULL) {
            config_faults_add(faults, node->line, "frames", NULL,
                              "the frame \"%s\" needs greeting_plain and sign_off", f->lang);
        }
    }
}

static void read_phrases(const struct config_node *list, struct ladder_form *form,
                         struct config_faults *faults)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *item = list->items[i];
        if (item->text == NULL || item->len < 3 || item->len > 100) {
            config_faults_add(faults, item->line, "always_person", NULL,
                              "a phrase has 3 to 100 bytes");
            continue;
        }
        form->always_person[form->always_person_len++] = mem_dup_str(item->text);
    }
}

static void read_stake_names(const struct config_node *list, struct ladder_form *form,
                             struct config_faults *faults)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *item = list->items[i];
        enum route_stake stake = item->text != NULL ? route_stake_find(item->text)
                                                    : ROUTE_STAKE_COUNT;
        if (stake == ROUTE_STAKE_COUNT || stake == ROUTE_STAKE_REFUND_ABOVE) {
            config_faults_add(faults, item->line, "stakes",
                              "Use legal_threat, danger, data_subject_request, press; a limit of "
                              "refunds is `refund_above: 500`.",
                              "\"%.40s\" is no stake",
                              item->text != NULL ? item->text : "a list or map");
            continue;
        }
        form->stakes |= 1u << stake;
    }
}

/* A list is of phrases; a map says stakes, refund_above and phrases. */
static void read_stakes(const struct config_node *root, struct ladder_form *form,
                        struct config_faults *faults)
{
    const struct config_node *node = config_node_find(root, "always_person");
    const struct config_node *list = NULL;
    if (node == NULL || node->kind != CONFIG_MAP) {
        if (config_node_list(root, "always_person", false, LADDER_MAX_STAKES, &list, faults) &&
            list != NULL) {
            read_phrases(list, form, faults);
        }
        return;
    }
    config_node_only(node, stakes_keys, faults);
    if (config_node_list(node, "stakes", false, ROUTE_STAKE_COUNT, &list, faults) &&
        list != NULL) {
        read_stake_names(list, form, faults);
    }
    if (config_node_real(node, "refund_above", false, 0, 1e12, &form->refund_above, faults)) {
        form->stakes |= 1u << ROUTE_STAKE_REFUND_ABOVE;
    }
    list = NULL;
    if (config_node_list(node, "phrases", false, LADDER_MAX_STAKES, &list, faults) &&
        list != NULL) {
        read_phrases(list, form, faults);
    }
}

/* How far its texts may go, and what evidence lets a rung answer alone. */
static void read_trust(const struct config_node *root, struct ladder_form *form,
                       struct config_faults *faults)
{
    const char *label = secrecy_name(SECRECY_INTERNAL);
    const char *accepts = ladder_class_name(LADDER_HISTORY);
    config_node_str(root, "label", false, 16, &label, faults);
    config_node_str(root, "accepts", false, 16, &accepts, faults);
    const char *level = ladder_level_name(LADDER_ASSIST);
    config_node_str(root, "autonomy", false, 16, &level, faults);
    form->level = ladder_level_find(level);
    if (form->level >= LADDER_AUTO) {
        form->level = LADDER_PROPOSE;
        config_faults_add(faults, config_node_find(root, "autonomy")->line, "autonomy",
                          "Use propose or assist; `inhouse workflow autonomy` raises a field.",
                          "\"%s\" is no level that a definition can give", level);
    }
    form->label = secrecy_find(label);
    form->accepts = ladder_class_find(accepts);
    if (form->label == SECRECY_COUNT) {
        config_faults_add(faults, config_node_find(root, "label")->line, "label",
                          "Use public, internal, confidential or restricted.",
                          "\"%s\" is no label", label);
    }
    if (form->accepts == LADDER_CLASS_COUNT || form->accepts == LADDER_UNMEASURED) {
        config_faults_add(faults, config_node_find(root, "accepts")->line, "accepts",
                          "Use history, provisional or reviewed.",
                          "\"%s\" is no class of evidence", accepts);
    }
}

/* What a model must be able to do for it, for the decision rules. */
static void read_needs(const struct config_node *root, struct ladder_form *form,
                       struct config_faults *faults)
{
    const struct config_node *list = NULL;
    if (!config_node_list(root, "needs", false, ROUTE_NEED_COUNT, &list, faults) || list == NULL) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *item = list->items[i];
        unsigned need = item->text != NULL ? route_need_find(item->text) : ROUTE_NEED_COUNT;
        if (need == ROUTE_NEED_COUNT) {
            config_faults_add(faults, item->line, "needs",
                              "Use tools, long_context, vision, frontier.", "\"%.40s\" is no need",
                              item->text != NULL ? item->text : "a list or map");
            continue;
        }
        form->needs |= 1u << need;
    }
}

/* What may be taken from earlier answers beside the same request's. */
static void read_reuse(const struct config_node *root, struct ladder_form *form,
                       struct config_faults *faults)
{
    static const char *const keys[] = {"documents", "semantic", NULL};
    const struct config_node *reuse = NULL;
    form->reuse_documents = true;
    if (config_node_map(root, "reuse", false, &reuse, faults) && reuse != NULL) {
        config_node_only(reuse, keys, faults);
        config_node_bool(reuse, "documents", false, &form->reuse_documents, faults);
        config_node_bool(reuse, "semantic", false, &form->reuse_semantic, faults);
    }
}

static void read_prompt(const struct config_node *root, struct ladder_form *form,
                        struct config_faults *faults)
{
    const struct config_node *prompt = NULL;
    config_node_map(root, "prompt", false, &prompt, faults);
    if (prompt != NULL) {
        config_node_only(prompt, prompt_keys, faults);
    }
    form->system = text_of(prompt, "system", faults);
    form->prefix = text_of(prompt, "prefix", faults);
    form->suffix = text_of(prompt, "suffix", faults);
}

static void read_root(const struct config_node *root, struct ladder_form *form,
                      struct config_faults *faults)
{
    const char *name = "", *title = "", *dataset = NULL;
    config_node_only(root, top_keys, faults);
    if (config_node_str(root, "name", true, 63, &name, faults) && !text_is_name(name)) {
        config_faults_add(faults, config_node_find(root, "name")->line, "name",
                          "Use a-z, 0-9, dot, dash and underscore.",
                          "\"%s\" cannot be a workflow's name", name);
    }
    config_node_str(root, "title", false, 200, &title, faults);
    config_node_str(root, "dataset", false, 63, &dataset, faults);
    const char *desk = read_desk(root, form, faults);
    config_node_bool(root, "rewrite", false, &form->rewrite, faults);
    config_node_bool(root, "related", false, &form->related, faults);
    text_copy(form->name, sizeof(form->name), name);
    form->title = mem_dup_str(title);
    form->dataset = mem_dup_str(dataset);
    const struct config_node *fields = NULL;
    if (config_node_list(root, "fields", true, LADDER_MAX_FIELDS, &fields, faults)) {
        for (size_t i = 0; i < fields->count; i++) {
            read_field(fields->items[i], form, faults);
        }
        if (fields->count == 0) {
            config_faults_add(faults, fields->line, "fields", NULL,
                              "a form needs at least one field");
        }
    }
    read_needs(root, form, faults);
    read_trust(root, form, faults);
    read_reuse(root, form, faults);
    read_prompt(root, form, faults);
    read_frames(root, form, desk, faults);
    read_stakes(root, form, faults);
}

enum fail workflow_read(const char *text, size_t len, const char *file, struct ladder_form **out,
                        struct config_faults *faults, struct fault *why)
{
    struct config_tree *tree = NULL;
    config_faults_init(faults, file);
    if (len > WORKFLOW_MAX_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "%s is larger than %zu bytes", file, WORKFLOW_MAX_BYTES);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    struct ladder_form *form = mem_alloc(sizeof(*form));
    form->refs = 1;
    const struct config_node *root = config_tree_root(tree);
    if (root->kind != CONFIG_MAP) {
        config_faults_add(faults, root->line, NULL, NULL, "a workflow is a map");
    } else {
        read_root(root, form, faults);
    }
    config_tree_free(tree);
    enum fail f = config_faults_fault(faults, why);
    if (f != FAIL_NONE) {
        ladder_form_unref(form);
        return f;
    }
    uint8_t hash[32];
    text_sha256(text, len, hash);
    text_hex(hash, sizeof(hash), form->release);
    form->source_yaml = mem_dup_strn(text, len);
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        form->fields[i].level = form->level;
        for (size_t r = 0; r < LADDER_RUNG_COUNT; r++) {
            /* no evidence: nothing is certified */
            form->evidence[i][r].threshold = LADDER_UNCERTIFIED;
        }
    }
    *out = form;
    return FAIL_NONE;
}
