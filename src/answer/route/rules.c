/* SPDX-License-Identifier: Apache-2.0 */
/* From YAML to rows: every error with its line, before anything is used. What may not leave is
   refused here first. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route_internal.h"

static const char *const top_keys[] = {"name", "rows", NULL};
static const char *const row_keys[] = {"name", "why", "when", "then", NULL};
static const char *const when_keys[] = {"label", "team", "workflow", "needs", "local_roles", "time",
#define NUMBER(name, key, unit, min, max, help) key,
#include "answer/route/facts.def"
#undef NUMBER
                                        NULL};
static const char *const set_keys[] = {"any", "all", "none", NULL};
static const char *const range_keys[] = {"at_least", "above", "at_most", "below", NULL};
static const char *const time_keys[] = {"days", "from", "to", NULL};
static const char *const then_keys[] = {"go", "upstream", "leave", "spill", NULL};
static const char *const spill_keys[] = {"late_cost_per_hour", NULL};

static const char *const goes[] = {"local", "hosted", "person"};
static const char *const leaves[] = {"never", "redacted", "plain"};

const char *route_go_name(enum route_go go)
{
    return goes[go];
}

const char *route_leave_name(enum route_leave leave)
{
    return leaves[leave];
}

static const char *label_name(unsigned i)
{
    return secrecy_name((enum secrecy)i);
}

/* ---- conditions ---- */

static void read_names(const struct config_node *when, const char *key, struct route_names *out,
                       struct config_faults *faults)
{
    const struct config_node *node = config_node_find(when, key);
    if (node == NULL) {
        return;
    }
    bool list = node->kind == CONFIG_LIST;
    size_t n = list ? node->count : 1;
    if (n == 0 || n > ROUTE_MAX_NAMES) {
        config_faults_add(faults, node->line, key, NULL, "%s: name 1 to %d", key, ROUTE_MAX_NAMES);
        return;
    }
    out->list = mem_alloc_array(n, sizeof(*out->list));
    for (size_t i = 0; i < n; i++) {
        const struct config_node *item = list ? node->items[i] : node;
        if (item->text == NULL || !text_is_name(item->text)) {
            config_faults_add(faults, item->line, key, "Use a-z, 0-9, dot, dash and underscore.",
                              "%s: \"%.60s\" is no name", key,
                              item->text != NULL ? item->text : "a list or map");
            continue;
        }
        text_copy(out->list[out->n++], ROUTE_NAME_SIZE, item->text);
    }
}

/* A word or a list is `any`; a map says any, all, none. */
static void read_set(const struct config_node *when, const char *key,
                     const char *(*name_of)(unsigned), unsigned count, struct route_set *out,
                     struct config_faults *faults)
{
    const struct config_node *node = config_node_find(when, key);
    if (node == NULL) {
        return;
    }
    if (node->kind != CONFIG_MAP) {
        out->any = route_bits_read(node, key, name_of, count, faults);
    } else {
        const struct config_node *part;
        config_node_only(node, set_keys, faults);
        part = config_node_find(node, "any");
        out->any = part != NULL ? route_bits_read(part, key, name_of, count, faults) : 0;
        part = config_node_find(node, "all");
        out->all = part != NULL ? route_bits_read(part, key, name_of, count, faults) : 0;
        part = config_node_find(node, "none");
        out->none = part != NULL ? route_bits_read(part, key, name_of, count, faults) : 0;
    }
    if (out->any == 0 && out->all == 0 && out->none == 0) {
        config_faults_add(faults, node->line, key, NULL, "%s: it asks for nothing", key);
    }
}

static void read_bound(const struct config_node *node, const struct route_number_info *info,
                       const char *closed, const char *open, bool *has, bool *is_open, double *out,
                       struct config_faults *faults)
{
    double v = 0;
    *has = config_node_real(node, closed, false, info->min, info->max, &v, faults);
    *is_open = config_node_real(node, open, false, info->min, info->max, &v, faults);
    if (*has && *is_open) {
        config_faults_add(faults, node->line, info->key, NULL, "%s: say %s or %s, not both",
                          info->key, closed, open);
    }
    *has = *has || *is_open;
    *out = v;
}

static void read_number(const struct config_node *when, unsigned i, struct route_range *out,
                        struct config_faults *faults)
{
    const struct route_number_info *info = &route_number_info[i];
    const struct config_node *node = config_node_find(when, info->key);
    if (node == NULL) {
        return;
    }
    if (node->kind != CONFIG_MAP || node->count == 0) {
        config_faults_add(faults, node->line, info->key,
                          "Write for example `{at_least: 2, below: 5}`.",
                          "%s: a range has at_least or above, at_most or below", info->key);
        return;
    }
    config_node_only(node, range_keys, faults);
    read_bound(node, info, "at_least", "above", &out->has_min, &out->min_open, &out->min, faults);
    read_bound(node, info, "at_most", "below", &out->has_max, &out->max_open, &out->max, faults);
    bool open = out->min_open || out->max_open;
    if (out->has_min && out->has_max && (out->min > out->max || (open && out->min == out->max))) {
        config_faults_add(faults, node->line, info->key, NULL, "%s: no value lies in this range",
                          info->key);
    }
}

static void read_clock(const struct config_node *time, const char *key, int *out,
                       struct config_faults *faults)
{
    const char *s = NULL;
    if (config_node_str(time, key, true, 8, &s, faults) && !route_minute_read(s, out)) {
        config_faults_add(faults, config_node_find(time, key)->line, "time",
                          "Write hours and minutes in quotes: \"08:00\".",
                          "time: \"%.8s\" is no time of day", s);
    }
}

static void read_time(const struct config_node *when, struct route_hours *out,
                      struct config_faults *faults)
{
    const struct config_node *node = NULL;
    if (!config_node_map(when, "time", false, &node, faults) || node == NULL) {
        return;
    }
    config_node_only(node, time_keys, faults);
    const struct config_node *days = config_node_find(node, "days");
    out->set = true;
    if (days != NULL) {
        out->days = route_bits_read(days, "days", route_day_name, 7, faults);
    }
    if (config_node_find(node, "from") != NULL || config_node_find(node, "to") != NULL) {
        read_clock(node, "from", &out->from, faults);
        read_clock(node, "to", &out->to, faults);
    }
}

static void read_when(const struct config_node *node, struct route_row *row,
                      struct config_faults *faults)
{
    const struct config_node *when = NULL;
    if (!config_node_map(node, "when", true, &when, faults)) {
        return;
    }
    config_node_only(when, when_keys, faults);
    const struct config_node *label = config_node_find(when, "label");
    if (label != NULL) {
        row->labels = route_bits_read(label, "label", label_name, SECRECY_COUNT, faults);
    }
    read_names(when, "team", &row->teams, faults);
    read_names(when, "workflow", &row->workflows, faults);
    read_set(when, "needs", route_need_name, ROUTE_NEED_COUNT, &row->needs, faults);
    read_set(when, "local_roles", route_role_name, ROUTE_ROLE_COUNT, &row->roles, faults);
    read_time(when, &row->hours, faults);
    for (unsigned i = 0; i < ROUTE_NUMBER_COUNT; i++) {
        read_number(when, i, &row->numbers[i], faults);
    }
}

/* ---- outcomes ---- */

static int word_find(const char *const *words, int n, const char *s)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(words[i], s) == 0) {
            return i;
        }
    }
    return -1;
}

/* What a row sends out is named, label by label: nothing leaves by omission. */
static void check_outward(const struct config_node *then, const struct route_row *row,
                          struct config_faults *faults)
{
    bool outward = row->go == ROUTE_HOSTED || row->spill;
    bool named = config_node_find(then, "leave") != NULL;
    if (!outward && (named || row->upstream[0] != '\0')) {
        config_faults_add(faults, then->line, "then",
                          "Only `go: hosted` and `spill` send a request outside.",
                          "row %s: nothing leaves by it, so it has no leave and no upstream",
                          row->name);
    }
    if (!outward) {
        return;
    }
    if (row->leave == ROUTE_NEVER) {
        config_faults_add(faults, then->line, "leave", "Say `go: local`, or leave it out.",
                          "row %s: it sends outside and says that it may never leave", row->name);
    }
    if (row->labels == 0) {
        config_faults_add(faults, row->line, "label",
                          "Add for example `label: [public, internal]`.",
                          "row %s: a row that sends outside names the labels it is for", row->name);
    }
    if ((row->labels & (1u << SECRECY_RESTRICTED)) != 0) {
        config_faults_add(faults, row->line, "label", "Take restricted out of its labels.",
                          "row %s: restricted never leaves", row->name);
    }
    if ((row->labels & (1u << SECRECY_CONFIDENTIAL)) != 0 && row->leave != ROUTE_REDACTED) {
        config_faults_add(faults, row->line, "leave", "Write `leave: redacted`.",
                          "row %s: confidential leaves only redacted", row->name);
    }
}

static void read_spill(const struct config_node *then, struct route_row *row,
                       struct config_faults *faults)
{
    const struct config_node *spill = NULL;
    if (!config_node_map(then, "spill", false, &spill, faults) || spill == NULL) {
        return;
    }
    config_node_only(spill, spill_keys, faults);
    config_node_real(spill, "late_cost_per_hour", true, 0, 1e6, &row->late_cost_per_hour, faults);
    row->spill = true;
    if (row->go != ROUTE_LOCAL) {
        config_faults_add(faults, spill->line, "spill", "Write `go: local` with it.",
                          "row %s: only what is answered here can spill", row->name);
    }
}

static void read_then(const struct config_node *node, struct route_row *row,
                      struct config_faults *faults)
{
    const struct config_node *then = NULL;
    const char *go = NULL, *leave = "plain", *upstream = "";
    if (!config_node_map(node, "then", true, &then, faults)) {
        return;
    }
    config_node_only(then, then_keys, faults);
    if (!config_node_str(then, "go", true, 16, &go, faults)) {
        return;
    }
    int g = word_find(goes, ROUTE_GO_COUNT, go);
    if (g < 0) {
        config_faults_add(faults, config_node_find(then, "go")->line, "go", NULL,
                          "go: \"%.16s\" is none of local, hosted, person", go);
        return;
    }
    row->go = (enum route_go)g;
    config_node_str(then, "leave", false, 16, &leave, faults);
    int l = word_find(leaves, ROUTE_LEAVE_COUNT, leave);
    if (l < 0) {
        config_faults_add(faults, config_node_find(then, "leave")->line, "leave", NULL,
                          "leave: \"%.16s\" is none of never, redacted, plain", leave);
        return;
    }
    row->leave = (enum route_leave)l;
    if (config_node_str(then, "upstream", false, ROUTE_NAME_SIZE - 1, &upstream, faults) &&
        !text_is_name(upstream)) {
        config_faults_add(faults, config_node_find(then, "upstream")->line, "upstream",
                          "Name a pool of inhouse.yaml.", "upstream: \"%.60s\" is no name",
                          upstream);
    }
    text_copy(row->upstream, sizeof(row->upstream), upstream);
    read_spill(then, row, faults);
    check_outward(then, row, faults);
}

/* ---- the file ---- */

static void read_row(const struct config_node *node, struct route_rules *r,
                     struct config_faults *faults)
{
    const char *name = "", *why = "";
    struct route_row *row = &r->rows[r->n++];
    row->line = node->line;
    if (node->kind != CONFIG_MAP) {
        config_faults_add(faults, node->line, "rows", NULL,
                          "a row is a map with name, when and then");
        return;
    }
    config_node_only(node, row_keys, faults);
    bool named = config_node_str(node, "name", true, ROUTE_NAME_SIZE - 1, &name, faults);
    if (named && !text_is_name(name)) {
        config_faults_add(faults, node->line, "name", "Use a-z, 0-9, dot, dash and underscore.",
                          "\"%.60s\" cannot be a row's name", name);
    }
    for (size_t i = 0; named && i + 1 < r->n; i++) {
        if (strcmp(r->rows[i].name, name) == 0) {
            config_faults_add(faults, node->line, "name", NULL,
                              "the row \"%s\" is there twice, first in line %d", name,
                              r->rows[i].line);
        }
    }
    text_copy(row->name, sizeof(row->name), name);
    config_node_str(node, "why", false, 300, &why, faults);
    row->why = mem_dup_str(why);
    read_when(node, row, faults);
    read_then(node, row, faults);
}

static bool is_empty(const struct route_set *s)
{
    return s->any == 0 && s->all == 0 && s->none == 0;
}

static bool takes_all(const struct route_row *row)
{
    bool all = row->labels == 0 && row->teams.n == 0 && row->workflows.n == 0 &&
               is_empty(&row->needs) && is_empty(&row->roles) && !row->hours.set;
    for (unsigned i = 0; i < ROUTE_NUMBER_COUNT; i++) {
        all = all && !row->numbers[i].has_min && !row->numbers[i].has_max;
    }
    return all;
}

static void read_root(const struct config_node *root, struct route_rules *r,
                      struct config_faults *faults)
{
    const struct config_node *rows = NULL;
    const char *name = NULL;
    if (root->kind != CONFIG_MAP) {
        config_faults_add(faults, root->line, NULL, NULL, "rules are a map with rows");
        return;
    }
    config_node_only(root, top_keys, faults);
    config_node_str(root, "name", false, ROUTE_NAME_SIZE - 1, &name, faults);
    if (!config_node_list(root, "rows", true, ROUTE_MAX_ROWS, &rows, faults)) {
        return;
    }
    r->rows = mem_alloc_array(rows->count, sizeof(*r->rows));
    for (size_t i = 0; i < rows->count; i++) {
        read_row(rows->items[i], r, faults);
    }
    for (size_t i = 0; i + 1 < r->n && faults->count == 0; i++) {
        if (takes_all(&r->rows[i])) {
            config_faults_add(faults, r->rows[i + 1].line, "rows",
                              "Give the earlier row a condition, or move it to the end.",
                              "no request comes to row %s: row %s takes them all",
                              r->rows[i + 1].name, r->rows[i].name);
        }
    }
}

enum fail route_rules_read(const char *text, size_t len, const char *file,
                           struct route_rules **out, struct config_faults *faults,
                           struct fault *why)
{
    struct config_tree *tree = NULL;
    uint8_t hash[32];
    config_faults_init(faults, file);
    if (len > ROUTE_MAX_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "%s is larger than %zu bytes", file, ROUTE_MAX_BYTES);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    struct route_rules *r = mem_alloc(sizeof(*r));
    r->refs = 1;
    read_root(config_tree_root(tree), r, faults);
    config_tree_free(tree);
    enum fail f = config_faults_fault(faults, why);
    if (f != FAIL_NONE) {
        route_rules_unref(r);
        return f;
    }
    text_sha256(text, len, hash);
    text_hex(hash, sizeof(hash), r->release);
    r->text = mem_dup_strn(text, len);
    *out = r;
    return FAIL_NONE;
}

struct route_rules *route_rules_ref(struct route_rules *r)
{
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    return r;
}

void route_rules_unref(struct route_rules *r)
{
    if (r == NULL || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->rows[i].why);
        mem_free(r->rows[i].teams.list);
        mem_free(r->rows[i].workflows.list);
    }
    mem_free(r->rows);
    mem_free(r->text);
    mem_free(r);
}

static void dup_names(struct route_names *n)
{
    n->list = n->n > 0 ? mem_dup(n->list, n->n * sizeof(*n->list)) : NULL;
}

struct route_rules *route_rules_without(const struct route_rules *from, size_t i)
{
    ASSERT(i < from->n);
    struct route_rules *r = mem_dup(from, sizeof(*from));
    r->refs = 1;
    r->text = mem_dup_str(from->text);
    r->rows = mem_alloc_array(from->n, sizeof(*r->rows));
    r->n = 0;
    for (size_t k = 0; k < from->n; k++) {
        if (k != i) {
            struct route_row *row = &r->rows[r->n++];
            *row = from->rows[k];
            row->why = mem_dup_str(row->why);
            dup_names(&row->teams);
            dup_names(&row->workflows);
        }
    }
    return r;
}

const struct route_embedded *route_embedded_find(const char *name)
{
    for (size_t i = 0; i < route_embedded_count; i++) {
        if (strcmp(route_embedded[i].name, name) == 0) {
            return &route_embedded[i];
        }
    }
    return NULL;
}

struct route_rules *route_rules_shipped(void)
{
    const struct route_embedded *e = route_embedded_find("default");
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct route_rules *r = NULL;
    struct fault why;
    ASSERT(e != NULL);
    bool reads = route_rules_read(e->text, e->len, "rules/default.yaml", &r, faults, &why) ==
                 FAIL_NONE;
    mem_free(faults);
    ASSERT(reads);
    return r;
}

const char *route_rules_release(const struct route_rules *r)
{
    return r->release;
}

const char *route_rules_text(const struct route_rules *r)
{
    return r->text;
}

size_t route_rules_count(const struct route_rules *r)
{
    return r->n;
}

void route_rules_row(const struct route_rules *r, size_t i, struct route_row_view *out)
{
    const struct route_row *row = &r->rows[i];
    bool outward = row->go == ROUTE_HOSTED || row->spill;
    *out = (struct route_row_view){.name = row->name,
                                   .why = row->why,
                                   .line = row->line,
                                   .go = row->go,
                                   .leave = outward ? row->leave : ROUTE_NEVER,
                                   .upstream = row->upstream,
                                   .spill = row->spill};
}
