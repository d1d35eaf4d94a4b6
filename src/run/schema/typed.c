/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, keywords of one type: what a schema object says of numbers, strings, arrays and
 * objects becomes at most one alternative of each.
 * Owns: what it adds to the schema. Threads: pure. Limits: schema.h.
 */
#include "run/schema/schema_internal.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_LIMIT 1000000

/* Keywords that bound one type. */

static enum fail read_count(struct compiler *c, const json_t *o, const char *key, uint32_t *out)
{
    const json_t *value = json_object_get(o, key);
    if (value == NULL) {
        return FAIL_NONE;
    }
    double count = json_number_value(value);
    if (!json_is_number(value) || count < 0 || count != (double)(int64_t)count) {
        return compile_wrong(c, key, "must be a whole number of 0 or more");
    }
    *out = count > COUNT_LIMIT ? COUNT_LIMIT : (uint32_t)count;
    return FAIL_NONE;
}

static enum fail read_bound(struct compiler *c, const json_t *o, const char *key, bool low,
                            bool open, struct number *n)
{
    const json_t *value = json_object_get(o, key);
    __int128 units = 0;
    int sign = 0;
    if (value == NULL) {
        return FAIL_NONE;
    }
    if (!json_is_number(value)) {
        return compile_wrong(c, key, "must be a number");
    }
    n->bounded = true;
    if (!number_units(value, &units, &sign)) {
        if (sign == 0) {
            return compile_refuse(c, key, "has more than nine decimals");
        }
        if (low == (sign > 0)) { /* nothing we write is that far out */
            n->lo = 1;
            n->hi = 0;
        }
        return FAIL_NONE;
    }
    if (low) {
        units += open ? 1 : 0;
        n->lo = units > n->lo ? units : n->lo;
    } else {
        units -= open ? 1 : 0;
        n->hi = units < n->hi ? units : n->hi;
    }
    return FAIL_NONE;
}

static enum fail add_number(struct compiler *c, uint32_t node, const json_t *o, bool integer)
{
    struct number n = number_free;
    const json_t *multiple = json_object_get(o, "multipleOf");
    enum fail failed = read_bound(c, o, "minimum", true, false, &n);
    failed = failed != FAIL_NONE ? failed : read_bound(c, o, "exclusiveMinimum", true, true, &n);
    failed = failed != FAIL_NONE ? failed : read_bound(c, o, "maximum", false, false, &n);
    failed = failed != FAIL_NONE ? failed : read_bound(c, o, "exclusiveMaximum", false, true, &n);
    if (failed != FAIL_NONE) {
        return failed;
    }
    if (multiple != NULL) {
        int sign;
        if (!json_is_number(multiple) || json_number_value(multiple) <= 0) {
            return compile_wrong(c, "multipleOf", "must be a number above 0");
        }
        if (!number_units(multiple, &n.step, &sign) || n.step <= 0) {
            return compile_refuse(c, "multipleOf", "has more than nine decimals or 18 digits");
        }
        n.bounded = true;
    }
    if (integer) {
        struct number whole = number_free;
        whole.step = UNITS;
        (void)number_meet(&n, &whole, &n);
    }
    if (!number_is_void(&n)) {
        VECTOR_GROW(c->s, numbers);
        ids_add(&c->s->nodes[node].numbers, c->s->n_numbers);
        c->s->numbers[c->s->n_numbers++] = n;
    }
    return compile_spend(c, 8);
}

static enum fail pattern_dfa(struct compiler *c, const char *key, const char *pattern, size_t n,
                             int *out)
{
    struct dfa *dfa = NULL;
    struct fault why = {0};
    enum fail failed = dfa_from_pattern(pattern, n, &c->work, &dfa, &why);
    if (failed != FAIL_NONE) {
        size_t skip = c->path.len > 150 ? c->path.len - 150 : 0;
        (void)FAULT(c->why, failed, "JSON schema: %s at %s%s: %.100s", key, skip > 0 ? "..." : "",
                    c->path.data + skip, why.message);
        return fail_hint(c->why, "docs/reference/schema.md lists what is supported.");
    }
    return compile_add_dfa(c, dfa, out);
}

static enum fail both(struct compiler *c, int a, int b, int *out)
{
    struct dfa *made = NULL;
    if (a < 0 || b < 0) {
        *out = a < 0 ? b : a;
        return FAIL_NONE;
    }
    struct dfa *list[] = {c->s->dfas[a], c->s->dfas[b]};
    enum fail failed = dfa_product(list, 2, dfa_label_all, &c->work, &made, c->why);
    return failed != FAIL_NONE ? failed : compile_add_dfa(c, made, out);
}

static enum fail add_text(struct compiler *c, uint32_t node, const json_t *o)
{
    struct text_alt t = {.dfa = -1, .max = NO_LENGTH};
    const json_t *pattern = json_object_get(o, "pattern");
    const json_t *format = json_object_get(o, "format");
    enum fail failed = read_count(c, o, "minLength", &t.min);
    failed = failed != FAIL_NONE ? failed : read_count(c, o, "maxLength", &t.max);
    if (failed == FAIL_NONE && pattern != NULL) {
        failed = !json_is_string(pattern)
                     ? compile_wrong(c, "pattern", "must be a string")
                     : pattern_dfa(c, "pattern", json_string_value(pattern),
                                   json_string_length(pattern), &t.dfa);
    }
    if (failed == FAIL_NONE && format != NULL) {
        const char *name = json_string_value(format);
        const char *known = name == NULL ? NULL : format_pattern(name);
        int dfa = -1;
        if (known == NULL) {
            char reason[80];
            (void)snprintf(reason, sizeof reason, "names \"%.40s\", which is not supported",
                           name == NULL ? "" : name);
            return name == NULL ? compile_wrong(c, "format", "must be a string")
                                : compile_refuse(c, "format", reason);
        }
        failed = pattern_dfa(c, "format", known, strlen(known), &dfa);
        if (failed == FAIL_NONE) {
            c->s->dfas[dfa]->exact = false; /* a part of the format */
            failed = both(c, t.dfa, dfa, &t.dfa);
        }
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    if (t.min <= t.max && (t.dfa < 0 || !dfa_is_empty(c->s->dfas[t.dfa]))) {
        VECTOR_GROW(c->s, texts);
        ids_add(&c->s->nodes[node].texts, c->s->n_texts);
        c->s->texts[c->s->n_texts++] = t;
    }
    return compile_spend(c, 8);
}

static enum fail add_array(struct compiler *c, uint32_t node, const json_t *o)
{
    struct array_alt a = {.items = NODE_ANY, .max = NO_LENGTH};
    const json_t *first = json_object_get(o, "prefixItems");
    const json_t *items = json_object_get(o, "items");
    const json_t *item;
    size_t i;
    uint32_t id = 0;
    enum fail failed = read_count(c, o, "minItems", &a.min);
    failed = failed != FAIL_NONE ? failed : read_count(c, o, "maxItems", &a.max);
    if (failed == FAIL_NONE && first != NULL && !json_is_array(first)) {
        failed = compile_wrong(c, "prefixItems", "must be an array");
    }
    json_array_foreach(first, i, item) {
        size_t back = compile_path_index(c, "prefixItems", i);
        failed = failed != FAIL_NONE ? failed : compile_child(c, item, &id);
        ids_add(&a.first, id);
        compile_path_back(c, back);
    }
    if (failed == FAIL_NONE && items != NULL) {
        failed = json_is_array(items)
                     ? compile_refuse(c, "items", "is a list: write prefixItems")
                     : compile_child_at(c, items, "items", &a.items);
    }
    if (failed != FAIL_NONE || a.min > a.max) {
        mem_free(a.first.at);
        return failed;
    }
    VECTOR_GROW(c->s, arrays);
    ids_add(&c->s->nodes[node].arrays, c->s->n_arrays);
    c->s->arrays[c->s->n_arrays++] = a;
    return compile_spend(c, a.first.n + 8);
}

/* Objects. */

static struct property *add_property(struct compiler *c, struct object_alt *o, const char *name,
                                     size_t len)
{
    if (o->n_props == o->room) {
        o->room = o->room * 2 + 4;
        o->props = mem_realloc(o->props, o->room * sizeof *o->props);
    }
    struct property *p = &o->props[o->n_props++];
    *p = (struct property){.name = arena_dup_strn(c->s->arena, name, len), .len = (uint32_t)len};
    return p;
}

static enum fail read_patterns(struct compiler *c, const json_t *o, struct names_group *group)
{
    json_t *patterns = json_object_get(o, "patternProperties");
    const char *key;
    json_t *value;
    if (patterns != NULL && !json_is_object(patterns)) {
        return compile_wrong(c, "patternProperties", "must be an object");
    }
    size_t outer = compile_path(c, "patternProperties");
    enum fail failed = FAIL_NONE;
    json_object_foreach(patterns, key, value) {
        int dfa = -1;
        uint32_t id = 0;
        failed = pattern_dfa(c, "patternProperties", key, strlen(key), &dfa);
        failed = failed != FAIL_NONE ? failed : compile_child_at(c, value, key, &id);
        if (failed == FAIL_NONE && group->dfas.n == SCHEMA_PATTERNS_MAX) {
            failed = FAULT(c->why, FAIL_TOO_LARGE, "JSON schema: over %d patternProperties at %s",
                           SCHEMA_PATTERNS_MAX, c->path.data);
        }
        if (failed != FAIL_NONE) {
            break;
        }
        ids_add(&group->dfas, (uint32_t)dfa);
        ids_add(&group->nodes, id);
    }
    compile_path_back(c, outer);
    return failed;
}

static bool is_ascii(const char *name)
{
    while (*name > 0) {
        name++;
    }
    return *name == '\0';
}

static enum fail read_properties(struct compiler *c, const json_t *o, struct object_alt *a)
{
    json_t *properties = json_object_get(o, "properties");
    const json_t *required = json_object_get(o, "required");
    const json_t *item;
    const char *key;
    json_t *value;
    size_t i;
    if (properties != NULL && !json_is_object(properties)) {
        return compile_wrong(c, "properties", "must be an object");
    }
    size_t outer = compile_path(c, "properties");
    enum fail failed = FAIL_NONE;
    json_object_foreach(properties, key, value) {
        uint32_t id = 0;
        struct property *p = add_property(c, a, key, strlen(key));
        failed = compile_child_at(c, value, key, &id);
        p->node = id;
        for (uint32_t k = 0; k < a->groups[0].dfas.n && failed == FAIL_NONE; k++) {
            const struct names_group *g = &a->groups[0];
            if (!c->s->dfas[g->dfas.at[k]]->exact && !is_ascii(key)) {
                /* it may match in one dialect of patterns only */
                failed = compile_refuse(c, "properties", "has a name that a pattern with . or \\d, "
                                                         "\\w, \\s may or may not match");
            } else if (dfa_run(c->s->dfas[g->dfas.at[k]], key, strlen(key)) != 0) {
                failed = meet_nodes(c, p->node, g->nodes.at[k], true, &p->node);
            }
        }
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    compile_path_back(c, outer);
    if (required != NULL && !json_is_array(required)) {
        return compile_wrong(c, "required", "must be an array of strings");
    }
    failed = compile_spend(c, (uint64_t)json_array_size(required) * (a->n_props + 1));
    json_array_foreach(required, i, item) {
        if (!json_is_string(item)) {
            return compile_wrong(c, "required", "must be an array of strings");
        }
        const char *name = json_string_value(item);
        size_t len = json_string_length(item);
        struct property *p = NULL;
        for (uint32_t k = 0; k < a->n_props && p == NULL; k++) {
            bool same = a->props[k].len == len && memcmp(a->props[k].name, name, len) == 0;
            p = same ? &a->props[k] : NULL;
        }
        if (p == NULL && failed == FAIL_NONE) {
            uint32_t id = 0;
            failed = meet_extra(c, a, name, len, &id);
            p = add_property(c, a, name, len);
            p->node = id;
            failed = failed != FAIL_NONE ? failed : compile_spend(c, a->n_props);
        }
        if (failed != FAIL_NONE) {
            return failed;
        }
        p->required = true;
    }
    return failed;
}

/* propertyNames that is an enum. */
static enum fail listed_names(struct compiler *c, const struct node *node, struct object_alt *a)
{
    const char *list[64];
    size_t lens[64];
    size_t n = 0;
    struct dfa *dfa = NULL;
    for (uint32_t i = 0; i < node->n_literals; i++) {
        if (json_is_string(node->literals[i])) {
            if (n == COUNT_OF(list)) {
                return compile_refuse(c, "propertyNames", "lists more than 64 names");
            }
            list[n] = json_string_value(node->literals[i]);
            lens[n++] = json_string_length(node->literals[i]);
        }
    }
    if (n == 0) {
        a->max = 0;
        for (uint32_t i = 0; i < a->n_props; i++) {
            a->props[i].node = NODE_NONE;
        }
        return FAIL_NONE;
    }
    enum fail failed = dfa_from_strings(list, lens, n, &c->work, &dfa, c->why);
    return failed != FAIL_NONE ? failed : compile_add_dfa(c, dfa, &a->names);
}

static enum fail read_names(struct compiler *c, const json_t *o, struct object_alt *a)
{
    const json_t *names = json_object_get(o, "propertyNames");
    uint32_t id = 0;
    if (names == NULL || json_is_true(names) || a->max == 0) {
        return FAIL_NONE;
    }
    size_t back = compile_path(c, "propertyNames");
    enum fail failed = compile_child(c, names, &id);
    failed = failed != FAIL_NONE ? failed : compile_ensure(c, id);
    if (failed == FAIL_NONE) {
        /* One pattern or one list of names; a length alone becomes a pattern. */
        const struct node *node = &c->s->nodes[id];
        const struct text_alt *t =
            node->texts.n == 1 ? &c->s->texts[node->texts.at[0]] : NULL;
        if (t != NULL && node->n_literals == 0 && t->min == 0 && t->max == NO_LENGTH) {
            a->names = t->dfa;
        } else if (t != NULL && t->dfa < 0 && t->min <= 1000 &&
                   (t->max <= 1000 || t->max == NO_LENGTH)) {
            char pattern[48];
            char most[16] = "";
            if (t->max != NO_LENGTH) {
                (void)snprintf(most, sizeof most, "%u", t->max);
            }
            (void)snprintf(pattern, sizeof pattern, "^[^]{%u,%s}$", t->min, most);
            failed = pattern_dfa(c, "propertyNames", pattern, strlen(pattern), &a->names);
        } else if (node->texts.n == 0) {
            failed = listed_names(c, node, a);
        } else {
            failed = compile_refuse(c, "propertyNames", "is not a pattern, a format or a length");
        }
    }
    compile_path_back(c, back);
    if (a->max == 0) {
        return failed;
    }
    for (uint32_t i = 0; i < a->n_props && failed == FAIL_NONE && a->names >= 0; i++) {
        struct property *p = &a->props[i];
        if (dfa_run(c->s->dfas[a->names], p->name, p->len) == 0) {
            p->node = NODE_NONE;
            if (!c->s->dfas[a->names]->exact) {
                failed = compile_refuse(c, "propertyNames", "may or may not allow a listed name");
            }
        }
    }
    return failed;
}

void object_alt_drop(struct object_alt *a)
{
    for (uint32_t i = 0; i < a->n_groups; i++) {
        mem_free(a->groups[i].dfas.at);
        mem_free(a->groups[i].nodes.at);
    }
    mem_free(a->groups);
    mem_free(a->props);
}

enum fail typed_object(struct compiler *c, uint32_t node, const json_t *o)
{
    struct object_alt a = {.names = -1, .keys = -1, .max = NO_LENGTH, .n_groups = 1};
    const json_t *additional = json_object_get(o, "additionalProperties");
    a.groups = mem_alloc(sizeof *a.groups);
    a.groups[0].additional = NODE_ANY;
    enum fail failed = read_count(c, o, "minProperties", &a.min);
    failed = failed != FAIL_NONE ? failed : read_count(c, o, "maxProperties", &a.max);
    if (failed == FAIL_NONE && additional != NULL) {
        failed = compile_child_at(c, additional, "additionalProperties", &a.groups[0].additional);
    }
    failed = failed != FAIL_NONE ? failed : read_patterns(c, o, &a.groups[0]);
    failed = failed != FAIL_NONE ? failed : read_properties(c, o, &a);
    failed = failed != FAIL_NONE ? failed : read_names(c, o, &a);
    if (failed != FAIL_NONE || a.min > a.max) {
        object_alt_drop(&a);
        return failed;
    }
    VECTOR_GROW(c->s, objects);
    ids_add(&c->s->nodes[node].objects, c->s->n_objects);
    c->s->objects[c->s->n_objects++] = a;
    return compile_spend(c, a.n_props + 8);
}

enum { OF_NULL = 1, OF_BOOLEAN = 2, OF_NUMBER = 4, OF_INTEGER = 8, OF_TEXT = 16, OF_ARRAY = 32,
       OF_OBJECT = 64 };

static unsigned type_bit(const json_t *name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"null", OF_NULL},     {"boolean", OF_BOOLEAN}, {"number", OF_NUMBER},
                 {"integer", OF_INTEGER}, {"string", OF_TEXT},     {"array", OF_ARRAY},
                 {"object", OF_OBJECT}};
    for (size_t i = 0; json_is_string(name) && i < COUNT_OF(types); i++) {
        if (strcmp(types[i].name, json_string_value(name)) == 0) {
            return types[i].bit;
        }
    }
    return 0;
}

static enum fail read_types(struct compiler *c, const json_t *o, unsigned *out)
{
    const json_t *type = json_object_get(o, "type");
    const json_t *item;
    size_t i;
    *out = OF_NULL | OF_BOOLEAN | OF_NUMBER | OF_TEXT | OF_ARRAY | OF_OBJECT;
    if (type == NULL) {
        return FAIL_NONE;
    }
    *out = type_bit(type);
    json_array_foreach(type, i, item) {
        unsigned bit = type_bit(item);
        *out |= bit;
        if (bit == 0) {
            *out = 0;
            break;
        }
    }
    return *out == 0 ? compile_wrong(c, "type", "names no type") : FAIL_NONE;
}

enum fail typed_add(struct compiler *c, uint32_t node, const json_t *o)
{
    unsigned types = 0;
    enum fail failed = read_types(c, o, &types);
    if (failed == FAIL_NONE && (types & OF_NULL) != 0) {
        node_add_literal(&c->s->nodes[node], json_array_get(c->words, 0));
    }
    if (failed == FAIL_NONE && (types & OF_BOOLEAN) != 0) {
        node_add_literal(&c->s->nodes[node], json_array_get(c->words, 1));
        node_add_literal(&c->s->nodes[node], json_array_get(c->words, 2));
    }
    if (failed == FAIL_NONE && (types & (OF_NUMBER | OF_INTEGER)) != 0) {
        failed = add_number(c, node, o, (types & OF_NUMBER) == 0);
    }
    if (failed == FAIL_NONE && (types & OF_TEXT) != 0) {
        failed = add_text(c, node, o);
    }
    if (failed == FAIL_NONE && (types & OF_ARRAY) != 0) {
        failed = add_array(c, node, o);
    }
    if (failed == FAIL_NONE && (types & OF_OBJECT) != 0) {
        failed = typed_object(c, node, o);
    }
    return failed;
}
