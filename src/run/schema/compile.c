/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, keywords: a schema object becomes a node, the union of what its types allow; $ref,
 * allOf, anyOf, oneOf, not, if, dependent* are then met with it. Children are nodes that wait their
 * turn, so recursion of schemas is no recursion here. Every keyword is in a table: done, an
 * annotation, or refused by name.
 * Owns: the compiler's memo and paths during a call. Threads: pure. Limits: schema.h; work is
 * counted.
 */
#include "run/schema/schema_internal.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (48u << 20)
#define PATH_MAX_BYTES 4096
#define NESTING_MAX 200

enum fail compile_spend(struct compiler *c, uint64_t work)
{
    c->work += work;
    if (c->work > SCHEMA_WORK_MAX || !arena_has_room(c->arena, 1u << 20)) {
        return FAULT(c->why, FAIL_TOO_LARGE, "JSON schema: too complex, at %.150s", c->path.data);
    }
    return FAIL_NONE;
}

enum fail compile_refuse(struct compiler *c, const char *keyword, const char *reason)
{
    size_t skip = c->path.len > 150 ? c->path.len - 150 : 0;
    (void)FAULT(c->why, FAIL_UNSUPPORTED, "JSON schema: %.60s at %s%s %s", keyword,
                skip > 0 ? "..." : "", c->path.data + skip, reason);
    return fail_hint(c->why, "docs/reference/schema.md lists what is supported.");
}

enum fail compile_wrong(struct compiler *c, const char *keyword, const char *problem)
{
    size_t skip = c->path.len > 150 ? c->path.len - 150 : 0;
    return FAULT(c->why, FAIL_BAD_REQUEST, "JSON schema: %s at %s%s %s", keyword,
                 skip > 0 ? "..." : "", c->path.data + skip, problem);
}

/* Paths. */

size_t compile_path(struct compiler *c, const char *key)
{
    size_t back = c->path.len;
    (void)buf_add_char(&c->path, '/');
    for (; *key != '\0'; key++) {
        (void)buf_add_str(&c->path, *key == '~' ? "~0" : *key == '/' ? "~1" : "");
        if (*key != '~' && *key != '/') {
            (void)buf_add_char(&c->path, *key);
        }
    }
    c->path.overflow = false;
    return back;
}

size_t compile_path_index(struct compiler *c, const char *key, size_t i)
{
    size_t back = compile_path(c, key);
    (void)buf_printf(&c->path, "/%zu", i);
    c->path.overflow = false;
    return back;
}

void compile_path_back(struct compiler *c, size_t back)
{
    c->path.len = back;
    c->path.data[back] = '\0';
}

static void path_set(struct compiler *c, const char *path)
{
    buf_clear(&c->path);
    (void)buf_add_str(&c->path, path);
}

/* Nodes. */

enum fail compile_node(struct compiler *c, uint32_t *out)
{
    struct schema *s = c->s;
    if (s->n_nodes == SCHEMA_NODES_MAX) {
        return FAULT(c->why, FAIL_TOO_LARGE, "JSON schema: over %u places, at %.150s",
                     SCHEMA_NODES_MAX, c->path.data);
    }
    VECTOR_GROW(s, nodes);
    s->nodes[s->n_nodes] = (struct node){.state = NODE_DONE};
    *out = s->n_nodes++;
    return compile_spend(c, 16);
}

uint32_t *compile_memo(struct compiler *c, uint64_t key, bool *found)
{
    if (c->n_memo * 2 >= c->room_memo) {
        uint32_t room = c->room_memo * 2 + 1024;
        struct pair_slot *slots = mem_alloc_array(room, sizeof *slots);
        for (uint32_t i = 0; i < c->room_memo; i++) {
            if (c->memo[i].key != 0) {
                uint64_t h = c->memo[i].key * 0x9e3779b97f4a7c15ull;
                uint32_t at = (uint32_t)((h >> 32) % room);
                while (slots[at].key != 0) {
                    at = (at + 1) % room;
                }
                slots[at] = c->memo[i];
            }
        }
        mem_free(c->memo);
        c->memo = slots;
        c->room_memo = room;
    }
    uint64_t h = key * 0x9e3779b97f4a7c15ull;
    uint32_t at = (uint32_t)((h >> 32) % c->room_memo);
    while (c->memo[at].key != 0 && c->memo[at].key != key) {
        at = (at + 1) % c->room_memo;
    }
    *found = c->memo[at].key == key;
    if (!*found) {
        c->memo[at].key = key;
        c->n_memo++;
    }
    return &c->memo[at].node;
}

void ids_add(struct ids *ids, uint32_t id)
{
    if (ids->n == ids->room) {
        ids->room = ids->room * 2 + 4;
        ids->at = mem_realloc(ids->at, ids->room * sizeof *ids->at);
    }
    ids->at[ids->n++] = id;
}

void node_add_literal(struct node *node, const json_t *value)
{
    if (node->n_literals == node->room_literals) {
        node->room_literals = node->room_literals * 2 + 4;
        node->literals =
            mem_realloc(node->literals, node->room_literals * sizeof *node->literals);
    }
    node->literals[node->n_literals++] = value;
}

void compile_join_ids(struct ids *to, const struct ids *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        bool there = false;
        for (uint32_t k = 0; k < to->n; k++) {
            there = there || to->at[k] == from->at[i];
        }
        if (!there) {
            ids_add(to, from->at[i]);
        }
    }
}

enum fail node_join(struct compiler *c, uint32_t to, uint32_t from)
{
    struct node *a = &c->s->nodes[to];
    const struct node *b = &c->s->nodes[from];
    uint32_t before = a->n_literals;
    enum fail failed = compile_spend(c, (uint64_t)before * b->n_literals + 16);
    for (uint32_t i = 0; i < b->n_literals && failed == FAIL_NONE; i++) {
        bool there = false;
        for (uint32_t k = 0; k < before; k++) {
            there = there || a->literals[k] == b->literals[i];
        }
        if (!there) {
            node_add_literal(a, b->literals[i]);
        }
    }
    compile_join_ids(&a->numbers, &b->numbers);
    compile_join_ids(&a->texts, &b->texts);
    compile_join_ids(&a->arrays, &b->arrays);
    compile_join_ids(&a->objects, &b->objects);
    if (a->numbers.n > SCHEMA_BRANCHES_MAX || a->texts.n > SCHEMA_BRANCHES_MAX ||
        a->arrays.n > SCHEMA_BRANCHES_MAX || a->objects.n > SCHEMA_BRANCHES_MAX ||
        a->n_literals > SCHEMA_BYTES_MAX) {
        return FAULT(c->why, FAIL_TOO_LARGE,
                     "JSON schema: over %d alternatives of one type at %.150s",
                     SCHEMA_BRANCHES_MAX, c->path.data);
    }
    return failed;
}

enum fail compile_add_dfa(struct compiler *c, struct dfa *dfa, int *out)
{
    VECTOR_GROW(c->s, dfas);
    *out = (int)c->s->n_dfas;
    c->s->dfas[c->s->n_dfas++] = dfa;
    return compile_spend(c, dfa_size(dfa) / 8);
}

/* The node of the schema at a path; filled later. */
enum fail compile_child(struct compiler *c, const json_t *json, uint32_t *out)
{
    if (json_is_true(json) || (json_is_object(json) && json_object_size(json) == 0)) {
        *out = NODE_ANY;
        return FAIL_NONE;
    }
    if (json_is_false(json)) {
        *out = NODE_NONE;
        return FAIL_NONE;
    }
    if (!json_is_object(json)) {
        return compile_wrong(c, "what stands", "is not a schema");
    }
    bool found;
    uint32_t *slot = compile_memo(c, (uint64_t)(uintptr_t)json, &found);
    if (found) {
        *out = *slot;
        return FAIL_NONE;
    }
    enum fail failed = compile_node(c, slot);
    if (failed == FAIL_NONE) {
        struct node *node = &c->s->nodes[*slot];
        node->state = NODE_PENDING;
        node->json = json;
        node->path = arena_dup_strn(c->arena, c->path.data, c->path.len);
        *out = *slot;
    }
    return failed;
}

enum fail compile_child_at(struct compiler *c, const json_t *json, const char *key, uint32_t *out)
{
    size_t back = compile_path(c, key);
    enum fail failed = compile_child(c, json, out);
    compile_path_back(c, back);
    return failed;
}

/* Keywords that bring other schemas in. */

static const json_t *pointer_step(const json_t *at, const char *token, size_t n)
{
    char key[512];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char ch = token[i];
        unsigned value;
        if (ch == '%' && i + 2 < n + 0 && sscanf(token + i + 1, "%2x", &value) == 1) {
            ch = (char)value;
            i += 2;
        }
        if (len + 1 >= sizeof key) {
            return NULL;
        }
        key[len++] = ch;
    }
    key[len] = '\0';
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        bool escaped = key[i] == '~' && (key[i + 1] == '0' || key[i + 1] == '1');
        key[to++] = escaped ? (key[++i] == '0' ? '~' : '/') : key[i];
    }
    key[to] = '\0';
    if (json_is_object(at)) {
        return json_object_get(at, key);
    }
    int64_t index;
    return json_is_array(at) && text_read_int(key, 0, INT32_MAX, &index)
               ? json_array_get(at, (size_t)index)
               : NULL;
}

static enum fail resolve(struct compiler *c, const json_t *value, uint32_t *out)
{
    const char *ref = json_string_value(value);
    if (ref == NULL) {
        return compile_wrong(c, "$ref", "must be a string");
    }
    size_t id_len = c->root_id == NULL ? 0 : strlen(c->root_id);
    if (id_len > 0 && strncmp(ref, c->root_id, id_len) == 0 &&
        (ref[id_len] == '#' || ref[id_len] == '\0')) {
        ref += id_len;
        ref = *ref == '\0' ? "#" : ref;
    }
    if (ref[0] != '#' || (ref[1] != '\0' && ref[1] != '/')) {
        return compile_refuse(c, "$ref", "does not point into this schema (#/...)");
    }
    const json_t *at = c->root;
    for (const char *token = ref + 1; *token == '/' && at != NULL;) {
        size_t n = strcspn(++token, "/");
        at = pointer_step(at, token, n);
        token += n;
    }
    if (at == NULL) {
        return compile_wrong(c, "$ref", "points to nothing");
    }
    size_t back = c->path.len;
    AUTO_FREE char *old = mem_dup_strn(c->path.data, back);
    path_set(c, ref);
    enum fail failed = compile_child(c, at, out);
    path_set(c, old);
    return failed;
}

static enum fail read_list(struct compiler *c, const json_t *o, const char *key, struct ids *out)
{
    const json_t *list = json_object_get(o, key);
    const json_t *item;
    size_t i;
    enum fail failed = FAIL_NONE;
    if (json_array_size(list) == 0) {
        return compile_wrong(c, key, "must be a list of schemas, not empty");
    }
    json_array_foreach(list, i, item) {
        uint32_t id = 0;
        size_t back = compile_path_index(c, key, i);
        failed = failed != FAIL_NONE ? failed : compile_child(c, item, &id);
        failed = failed != FAIL_NONE ? failed : compile_ensure(c, id);
        ids_add(out, id);
        compile_path_back(c, back);
    }
    return failed;
}

static enum fail meet_into(struct compiler *c, uint32_t *now, uint32_t other)
{
    return meet_nodes(c, *now, other, false, now);
}

static enum fail join_list(struct compiler *c, const struct ids *list, uint32_t *out)
{
    enum fail failed = compile_node(c, out);
    for (uint32_t i = 0; i < list->n && failed == FAIL_NONE; i++) {
        failed = node_join(c, *out, list->at[i]);
    }
    return failed;
}

/* Each branch without the others; disjoint ones need not be told apart. */
static enum fail only_one(struct compiler *c, struct ids *list)
{
    AUTO_FREE uint32_t *own = mem_dup(list->at, list->n * sizeof *list->at);
    enum fail failed = FAIL_NONE;
    for (uint32_t i = 0; i < list->n && failed == FAIL_NONE; i++) {
        for (uint32_t k = 0; k < list->n && failed == FAIL_NONE; k++) {
            uint32_t common = NODE_NONE;
            uint32_t not_other = 0;
            if (k == i) {
                continue;
            }
            failed = meet_nodes(c, own[i], own[k], false, &common);
            if (failed != FAIL_NONE || node_is_void(c, common, 6)) {
                continue;
            }
            failed = negate_node(c, own[k], "oneOf", &not_other);
            failed = failed != FAIL_NONE ? failed : meet_into(c, &list->at[i], not_other);
        }
    }
    return failed;
}

static enum fail apply_lists(struct compiler *c, const json_t *o, uint32_t *now)
{
    static const char *const keys[] = {"allOf", "anyOf", "oneOf"};
    enum fail failed = FAIL_NONE;
    for (size_t i = 0; i < COUNT_OF(keys) && failed == FAIL_NONE; i++) {
        struct ids list = {0};
        uint32_t joined = 0;
        if (json_object_get(o, keys[i]) == NULL) {
            continue;
        }
        failed = read_list(c, o, keys[i], &list);
        if (i == 0) {
            for (uint32_t k = 0; k < list.n && failed == FAIL_NONE; k++) {
                failed = meet_into(c, now, list.at[k]);
            }
        } else {
            failed = failed == FAIL_NONE && i == 2 ? only_one(c, &list) : failed;
            failed = failed != FAIL_NONE ? failed : join_list(c, &list, &joined);
            failed = failed != FAIL_NONE ? failed : meet_into(c, now, joined);
        }
        mem_free(list.at);
    }
    return failed;
}

/* (a and b) or (not a and c) */
static enum fail choose(struct compiler *c, uint32_t a, uint32_t b, uint32_t other,
                        const char *keyword, uint32_t *now)
{
    uint32_t yes = 0;
    uint32_t no = 0;
    uint32_t joined = 0;
    enum fail failed = meet_nodes(c, a, b, false, &yes);
    failed = failed != FAIL_NONE ? failed : negate_node(c, a, keyword, &no);
    failed = failed != FAIL_NONE ? failed : meet_nodes(c, no, other, false, &no);
    failed = failed != FAIL_NONE ? failed : compile_node(c, &joined);
    failed = failed != FAIL_NONE ? failed : node_join(c, joined, yes);
    failed = failed != FAIL_NONE ? failed : node_join(c, joined, no);
    return failed != FAIL_NONE ? failed : meet_into(c, now, joined);
}

static enum fail now_child(struct compiler *c, const json_t *o, const char *key, uint32_t *out)
{
    const json_t *json = json_object_get(o, key);
    *out = NODE_ANY;
    if (json == NULL) {
        return FAIL_NONE;
    }
    enum fail failed = compile_child_at(c, json, key, out);
    return failed != FAIL_NONE ? failed : compile_ensure(c, *out);
}

static enum fail apply_conditions(struct compiler *c, const json_t *o, uint32_t *now)
{
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t other = 0;
    enum fail failed = FAIL_NONE;
    if (json_object_get(o, "not") != NULL) {
        failed = now_child(c, o, "not", &a);
        failed = failed != FAIL_NONE ? failed : negate_node(c, a, "not", &b);
        failed = failed != FAIL_NONE ? failed : meet_into(c, now, b);
    }
    if (failed == FAIL_NONE && json_object_get(o, "if") != NULL &&
        (json_object_get(o, "then") != NULL || json_object_get(o, "else") != NULL)) {
        failed = now_child(c, o, "if", &a);
        failed = failed != FAIL_NONE ? failed : now_child(c, o, "then", &b);
        failed = failed != FAIL_NONE ? failed : now_child(c, o, "else", &other);
        failed = failed != FAIL_NONE ? failed : choose(c, a, b, other, "if", now);
    }
    return failed;
}

/* A schema that we write ourselves, as a node: {"required": list}. */
static enum fail required_node(struct compiler *c, const json_t *list, uint32_t *out)
{
    AUTO_JSON json_t *o = json_object();
    (void)json_object_set(o, "required", (json_t *)list);
    enum fail failed = compile_node(c, out);
    failed = failed != FAIL_NONE ? failed : typed_object(c, *out, o);
    if (failed == FAIL_NONE) {
        struct node *node = &c->s->nodes[*out];
        const struct node *any = &c->s->nodes[NODE_ANY];
        for (uint32_t i = 0; i < any->n_literals; i++) {
            node_add_literal(node, any->literals[i]);
        }
        compile_join_ids(&node->numbers, &any->numbers);
        compile_join_ids(&node->texts, &any->texts);
        compile_join_ids(&node->arrays, &any->arrays);
    }
    return failed;
}

static enum fail apply_dependent(struct compiler *c, const json_t *o, uint32_t *now)
{
    const char *key;
    json_t *value;
    enum fail failed = FAIL_NONE;
    json_object_foreach(json_object_get(o, "dependentRequired"), key, value) {
        AUTO_JSON json_t *one = json_array();
        uint32_t has = 0;
        uint32_t needs = 0;
        (void)json_array_append_new(one, json_string(key));
        failed = failed != FAIL_NONE ? failed : required_node(c, one, &has);
        failed = failed != FAIL_NONE ? failed : required_node(c, value, &needs);
        failed = failed != FAIL_NONE
                     ? failed
                     : choose(c, has, needs, NODE_ANY, "dependentRequired", now);
    }
    json_object_foreach(json_object_get(o, "dependentSchemas"), key, value) {
        AUTO_JSON json_t *one = json_array();
        uint32_t has = 0;
        uint32_t needs = 0;
        (void)json_array_append_new(one, json_string(key));
        size_t back = compile_path(c, "dependentSchemas");
        failed = failed != FAIL_NONE ? failed : compile_child_at(c, value, key, &needs);
        failed = failed != FAIL_NONE ? failed : compile_ensure(c, needs);
        compile_path_back(c, back);
        failed = failed != FAIL_NONE ? failed : required_node(c, one, &has);
        failed = failed != FAIL_NONE
                     ? failed
                     : choose(c, has, needs, NODE_ANY, "dependentSchemas", now);
    }
    return failed;
}

/* One schema object. */

enum word { W_DONE, W_NOTE, W_ROOT, W_TYPED };

static const struct {
    const char *name;
    enum word word;
} words[] = {
    {"type", W_TYPED}, {"enum", W_TYPED}, {"const", W_TYPED}, {"properties", W_TYPED},
    {"required", W_TYPED}, {"additionalProperties", W_TYPED}, {"patternProperties", W_TYPED},
    {"propertyNames", W_TYPED}, {"minProperties", W_TYPED}, {"maxProperties", W_TYPED},
    {"items", W_TYPED}, {"prefixItems", W_TYPED}, {"minItems", W_TYPED}, {"maxItems", W_TYPED},
    {"minLength", W_TYPED}, {"maxLength", W_TYPED}, {"pattern", W_TYPED}, {"format", W_TYPED},
    {"minimum", W_TYPED}, {"maximum", W_TYPED}, {"exclusiveMinimum", W_TYPED},
    {"exclusiveMaximum", W_TYPED}, {"multipleOf", W_TYPED},
    {"allOf", W_DONE}, {"anyOf", W_DONE}, {"oneOf", W_DONE}, {"not", W_DONE}, {"if", W_DONE},
    {"then", W_DONE}, {"else", W_DONE}, {"dependentRequired", W_DONE},
    {"dependentSchemas", W_DONE}, {"$ref", W_DONE},
    {"title", W_NOTE}, {"description", W_NOTE}, {"default", W_NOTE}, {"example", W_NOTE},
    {"examples", W_NOTE}, {"$comment", W_NOTE}, {"$defs", W_NOTE}, {"definitions", W_NOTE},
    {"deprecated", W_NOTE}, {"readOnly", W_NOTE}, {"writeOnly", W_NOTE}, {"$anchor", W_NOTE},
    {"contentMediaType", W_NOTE}, {"contentEncoding", W_NOTE}, {"contentSchema", W_NOTE},
    {"$id", W_ROOT}, {"$schema", W_ROOT},
};

static enum fail check_root_word(struct compiler *c, const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));
    if (value == NULL) {
        return compile_wrong(c, key, "must be a string");
    }
    if (o != c->root) {
        return compile_refuse(c, key, "below the root is not supported");
    }
    if (strcmp(key, "$schema") == 0 &&
        strstr(value, "json-schema.org/draft/2020-12/schema") == NULL &&
        strstr(value, "json-schema.org/draft/2019-09/schema") == NULL &&
        strstr(value, "json-schema.org/draft-07/schema") == NULL) {
        return compile_refuse(c, key, "names a dialect that is not supported");
    }
    return FAIL_NONE;
}

static enum fail check_words(struct compiler *c, const json_t *o, bool *typed)
{
    const char *key;
    json_t *value;
    *typed = false;
    json_object_foreach((json_t *)o, key, value) {
        size_t i = 0;
        while (i < COUNT_OF(words) && strcmp(words[i].name, key) != 0) {
            i++;
        }
        if (i == COUNT_OF(words)) {
            bool idle = strncmp(key, "x-", 2) == 0 || /* a note to other programs, by custom */
                        (strcmp(key, "uniqueItems") == 0 && json_is_false(value)) ||
                        ((strcmp(key, "minContains") == 0 || strcmp(key, "maxContains") == 0) &&
                         json_object_get(o, "contains") == NULL);
            if (idle) {
                continue;
            }
            char quoted[64];
            (void)snprintf(quoted, sizeof quoted, "keyword \"%.40s\"", key);
            return compile_refuse(c, quoted, "is not supported");
        }
        *typed = *typed || words[i].word == W_TYPED;
        if (words[i].word == W_ROOT) {
            enum fail failed = check_root_word(c, o, key);
            if (failed != FAIL_NONE) {
                return failed;
            }
        }
    }
    return compile_spend(c, json_object_size(o) * 4);
}

/* enum and const: those values that the rest of the object allows. */
static enum fail keep_values(struct compiler *c, const json_t *o, uint32_t *now)
{
    const json_t *list = json_object_get(o, "enum");
    const json_t *value = json_object_get(o, "const");
    const json_t *item;
    size_t i;
    uint32_t out = 0;
    if (list == NULL && value == NULL) {
        return FAIL_NONE;
    }
    if (list != NULL && !json_is_array(list)) {
        return compile_wrong(c, "enum", "must be an array");
    }
    enum fail failed = compile_node(c, &out);
    if (list == NULL && failed == FAIL_NONE && node_holds(c, *now, value)) {
        node_add_literal(&c->s->nodes[out], value);
    }
    json_array_foreach(list, i, item) {
        failed = failed != FAIL_NONE ? failed : compile_spend(c, 4);
        if (failed == FAIL_NONE && (value == NULL || json_equal(value, item)) &&
            node_holds(c, *now, item)) {
            node_add_literal(&c->s->nodes[out], item);
        }
    }
    *now = out;
    return failed;
}

static enum fail fill_json(struct compiler *c, uint32_t node)
{
    const json_t *o = c->s->nodes[node].json;
    bool typed = false;
    uint32_t now = NODE_ANY;
    enum fail failed = check_words(c, o, &typed);
    if (failed == FAIL_NONE && typed) {
        failed = compile_node(c, &now);
        failed = failed != FAIL_NONE ? failed : typed_add(c, now, o);
        failed = failed != FAIL_NONE ? failed : keep_values(c, o, &now);
    }
    if (failed == FAIL_NONE && json_object_get(o, "$ref") != NULL) {
        uint32_t other = 0;
        failed = resolve(c, json_object_get(o, "$ref"), &other);
        failed = failed != FAIL_NONE ? failed : meet_into(c, &now, other);
    }
    failed = failed != FAIL_NONE ? failed : apply_lists(c, o, &now);
    failed = failed != FAIL_NONE ? failed : apply_conditions(c, o, &now);
    failed = failed != FAIL_NONE ? failed : apply_dependent(c, o, &now);
    failed = failed != FAIL_NONE ? failed : compile_ensure(c, now);
    return failed != FAIL_NONE ? failed : node_join(c, node, now);
}

enum fail compile_ensure(struct compiler *c, uint32_t id)
{
    struct node *node = &c->s->nodes[id];
    static _Thread_local int nesting;
    if (node->state == NODE_DONE) {
        return FAIL_NONE;
    }
    AUTO_FREE char *old = mem_dup_strn(c->path.data, c->path.len);
    if (node->path != NULL) {
        path_set(c, node->path);
    }
    enum fail failed = FAIL_NONE;
    if (node->state == NODE_BUSY) {
        failed = compile_wrong(c, "the schema", "refers to itself without an end");
    } else if (nesting >= NESTING_MAX) {
        failed = FAULT(c->why, FAIL_TOO_LARGE, "JSON schema: references nest over %d deep, at "
                                               "%.150s", NESTING_MAX, c->path.data);
    } else {
        node->state = NODE_BUSY;
        nesting++;
        failed = node->json != NULL ? fill_json(c, id) : meet_fill(c, id);
        nesting--;
        c->s->nodes[id].state = NODE_DONE;
    }
    if (failed == FAIL_NONE) {
        path_set(c, old);
    }
    return failed;
}

/* The whole. */

static enum fail make_any(struct compiler *c)
{
    uint32_t any = 0;
    uint32_t none = 0;
    AUTO_JSON json_t *empty = json_object();
    enum fail failed = compile_node(c, &any);
    failed = failed != FAIL_NONE ? failed : compile_node(c, &none);
    return failed != FAIL_NONE ? failed : typed_add(c, any, empty);
}

static enum fail run(struct compiler *c)
{
    enum fail failed = make_any(c);
    failed = failed != FAIL_NONE ? failed : compile_child(c, c->root, &c->s->root);
    for (uint32_t i = 0; i < c->s->n_nodes && failed == FAIL_NONE; i++) {
        failed = compile_ensure(c, i);
    }
    return failed != FAIL_NONE ? failed : finish_schema(c);
}

enum fail schema_compile(const json_t *tree, struct schema **out, struct fault *why)
{
    struct compiler c = {.root = tree, .why = why};
    struct fault own = {0};
    if (!json_is_object(tree) && !json_is_boolean(tree)) {
        return FAULT(why, FAIL_BAD_REQUEST, "a JSON schema is an object or a boolean");
    }
    c.why = why != NULL ? why : &own;
    c.s = mem_alloc(sizeof *c.s);
    c.s->arena = arena_new(ARENA_MAX);
    c.arena = arena_new(ARENA_MAX);
    c.root_id = json_string_value(json_object_get(tree, "$id"));
    c.words = json_pack("[nbb]", 1, 0);
    buf_init(&c.path, PATH_MAX_BYTES);
    (void)buf_add_str(&c.path, "#");
    enum fail failed = run(&c);
    buf_done(&c.path);
    json_decref(c.words);
    mem_free(c.memo);
    arena_free(c.arena);
    for (uint32_t i = 0; i < c.s->n_nodes; i++) {
        mem_free(STEAL(c.s->nodes[i].literals));
    }
    if (failed != FAIL_NONE) {
        schema_free(c.s);
        return failed;
    }
    *out = c.s;
    return FAIL_NONE;
}

enum fail schema_compile_text(const char *text, size_t n, struct schema **out, struct fault *why)
{
    AUTO_JSON json_t *tree = NULL;
    if (n > SCHEMA_BYTES_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "JSON schema: larger than 64 KiB");
    }
    enum fail failed = jn_parse(text, n, "JSON schema", &tree, why);
    return failed != FAIL_NONE ? failed : schema_compile(tree, out, why);
}

static void node_drop(struct node *n)
{
    mem_free(n->literals);
    mem_free(n->numbers.at);
    mem_free(n->texts.at);
    mem_free(n->arrays.at);
    mem_free(n->objects.at);
}

void schema_free(struct schema *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        node_drop(&s->nodes[i]);
    }
    for (uint32_t i = 0; i < s->n_texts; i++) {
        mem_free(s->texts[i].lengths);
    }
    for (uint32_t i = 0; i < s->n_arrays; i++) {
        mem_free(s->arrays[i].first.at);
    }
    for (uint32_t i = 0; i < s->n_objects; i++) {
        mem_free(s->objects[i].extra.at);
        object_alt_drop(&s->objects[i]);
    }
    for (uint32_t i = 0; i < s->n_dfas; i++) {
        dfa_free(s->dfas[i]);
    }
    mem_free(s->nodes);
    mem_free(s->numbers);
    mem_free(s->texts);
    mem_free(s->arrays);
    mem_free(s->objects);
    mem_free(s->dfas);
    mem_free(s->tries);
    arena_free(s->arena);
    mem_free(s);
}
