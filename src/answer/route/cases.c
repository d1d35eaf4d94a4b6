/* SPDX-License-Identifier: Apache-2.0 */
/* Cases: facts, and what a rule set is to decide about them. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route_internal.h"

#define CASES_ARENA ((size_t)8 << 20)

static const char *const top_keys[] = {"cases", NULL};
static const char *const case_keys[] = {"name", "facts", "expect", NULL};
static const char *const expect_keys[] = {"row", "go", "leave", "upstream", NULL};

static void read_go(const struct config_node *expect, struct route_case *c,
                    struct config_faults *faults)
{
    const char *s = NULL;
    if (!config_node_str(expect, "go", false, 16, &s, faults)) {
        return;
    }
    int i = 0;
    while (i < ROUTE_GO_COUNT && strcmp(route_go_name((enum route_go)i), s) != 0) {
        i++;
    }
    c->go = (enum route_go)i;
    if (i == ROUTE_GO_COUNT) {
        config_faults_add(faults, config_node_find(expect, "go")->line, "go", NULL,
                          "go: \"%.16s\" is none of local, hosted, person", s);
    }
}

static void read_leave(const struct config_node *expect, struct route_case *c,
                       struct config_faults *faults)
{
    const char *s = NULL;
    if (!config_node_str(expect, "leave", false, 16, &s, faults)) {
        return;
    }
    int i = 0;
    while (i < ROUTE_LEAVE_COUNT && strcmp(route_leave_name((enum route_leave)i), s) != 0) {
        i++;
    }
    c->leave = (enum route_leave)i;
    if (i == ROUTE_LEAVE_COUNT) {
        config_faults_add(faults, config_node_find(expect, "leave")->line, "leave", NULL,
                          "leave: \"%.16s\" is none of never, redacted, plain", s);
    }
}

static void read_case(const struct config_node *node, struct route_cases *out,
                      struct config_faults *faults)
{
    struct route_case *c = &out->list[out->n++];
    const struct config_node *facts = NULL, *expect = NULL;
    const char *name = "", *row = NULL, *upstream = NULL;
    route_facts_init(&c->facts);
    c->line = node->line;
    c->name = "";
    c->go = ROUTE_GO_COUNT;
    c->leave = ROUTE_LEAVE_COUNT;
    if (node->kind != CONFIG_MAP) {
        config_faults_add(faults, node->line, "cases", NULL,
                          "a case is a map with name, facts and expect");
        return;
    }
    config_node_only(node, case_keys, faults);
    if (config_node_str(node, "name", true, 120, &name, faults)) {
        c->name = arena_dup_str(out->arena, name);
    }
    if (config_node_map(node, "facts", true, &facts, faults)) {
        route_facts_read(facts, &c->facts, faults);
        route_facts_complete(&c->facts);
    }
    if (!config_node_map(node, "expect", true, &expect, faults)) {
        return;
    }
    config_node_only(expect, expect_keys, faults);
    if (expect->count == 0) {
        config_faults_add(faults, expect->line, "expect", "Say row, go, leave or upstream.",
                          "the case \"%.60s\" expects nothing", name);
    }
    if (config_node_str(expect, "row", false, ROUTE_NAME_SIZE - 1, &row, faults)) {
        c->row = arena_dup_str(out->arena, row);
    }
    if (config_node_str(expect, "upstream", false, ROUTE_NAME_SIZE - 1, &upstream, faults)) {
        c->upstream = arena_dup_str(out->arena, upstream);
    }
    read_go(expect, c, faults);
    read_leave(expect, c, faults);
}

enum fail route_cases_read(const char *text, size_t len, const char *file, struct route_cases *out,
                           struct config_faults *faults, struct fault *why)
{
    struct config_tree *tree = NULL;
    const struct config_node *list = NULL;
    config_faults_init(faults, file);
    *out = (struct route_cases){0};
    if (len > ROUTE_MAX_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "%s is larger than %zu bytes", file, ROUTE_MAX_BYTES);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    const struct config_node *root = config_tree_root(tree);
    out->arena = arena_new(CASES_ARENA);
    if (root->kind != CONFIG_MAP) {
        config_faults_add(faults, root->line, NULL, NULL, "a file of cases is a map with cases");
    } else {
        config_node_only(root, top_keys, faults);
        config_node_list(root, "cases", true, ROUTE_MAX_CASES, &list, faults);
    }
    if (list != NULL) {
        out->list = arena_alloc(out->arena, (list->count + 1) * sizeof(*out->list));
        for (size_t i = 0; i < list->count; i++) {
            read_case(list->items[i], out, faults);
        }
    }
    config_tree_free(tree);
    enum fail f = config_faults_fault(faults, why);
    if (f != FAIL_NONE) {
        route_cases_done(out);
    }
    return f;
}

void route_cases_done(struct route_cases *c)
{
    arena_free(c->arena);
    *c = (struct route_cases){0};
}

void route_cases_shipped(struct route_cases *out)
{
    const struct route_embedded *e = route_embedded_find("default-cases");
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault why;
    ASSERT(e != NULL);
    bool reads = route_cases_read(e->text, e->len, "rules/default-cases.yaml", out, faults,
                                  &why) == FAIL_NONE;
    mem_free(faults);
    ASSERT(reads);
}

bool route_case_holds(const struct route_rules *rules, const struct route_case *c,
                      char wrong[ROUTE_REASON_SIZE])
{
    struct route_decision d;
    const char *key = NULL, *want = NULL, *is = NULL;
    route_decide(rules, &c->facts, &d);
    if (c->row != NULL && strcmp(c->row, d.name) != 0) {
        key = "row", want = c->row, is = d.name;
    } else if (c->go != ROUTE_GO_COUNT && c->go != d.go) {
        key = "go", want = route_go_name(c->go), is = route_go_name(d.go);
    } else if (c->leave != ROUTE_LEAVE_COUNT && c->leave != d.leave) {
        key = "leave", want = route_leave_name(c->leave), is = route_leave_name(d.leave);
    } else if (c->upstream != NULL && strcmp(c->upstream, d.upstream) != 0) {
        key = "upstream", want = c->upstream, is = d.upstream;
    }
    if (key != NULL) {
        snprintf(wrong, ROUTE_REASON_SIZE, "%s is %s, expected %s", key, is, want);
    }
    return key == NULL;
}
