/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema: what is valid under two schemas at once (allOf, $ref beside other keywords). Each
 * pair of alternatives of one type is met; literals stay if the other side holds them. Children are
 * met later, each pair once, so recursive schemas end.
 * Owns: nothing. Threads: pure. Limits: SCHEMA_BRANCHES_MAX alternatives, SCHEMA_NODES_MAX pairs.
 */
#include "run/schema/schema_internal.h"

#include <string.h>

enum fail meet_nodes(struct compiler *c, uint32_t a, uint32_t b, bool lazy, uint32_t *out)
{
    if (a == NODE_ANY || b == NODE_ANY || a == b) {
        *out = a == NODE_ANY ? b : a;
        return lazy ? FAIL_NONE : compile_ensure(c, *out);
    }
    if (a == NODE_NONE || b == NODE_NONE) {
        *out = NODE_NONE;
        return FAIL_NONE;
    }
    bool found;
    uint32_t id = 0;
    uint64_t key = (uint64_t)1 << 63 | (uint64_t)(a < b ? a : b) << 32 | (a < b ? b : a);
    uint32_t *slot = compile_memo(c, key, &found);
    if (found) {
        *out = *slot;
        return lazy ? FAIL_NONE : compile_ensure(c, *out);
    }
    enum fail failed = compile_node(c, &id);
    if (failed != FAIL_NONE) {
        return failed;
    }
    *slot = id;
    *out = id;
    struct node *node = &c->s->nodes[id];
    node->state = NODE_PENDING;
    node->left = a;
    node->right = b;
    node->path = arena_dup_strn(c->arena, c->path.data, c->path.len);
    return lazy ? FAIL_NONE : compile_ensure(c, id);
}

enum fail meet_extra(struct compiler *c, const struct object_alt *o, const char *name, size_t len,
                     uint32_t *out)
{
    enum fail failed = FAIL_NONE;
    *out = NODE_ANY;
    for (uint32_t g = 0; g < o->n_groups; g++) {
        const struct names_group *group = &o->groups[g];
        bool matched = false;
        for (uint32_t i = 0; i < group->dfas.n && failed == FAIL_NONE; i++) {
            const struct dfa *dfa = c->s->dfas[group->dfas.at[i]];
            for (size_t k = 0; k < len && !dfa->exact; k++) {
                if ((uint8_t)name[k] >= 0x80) {
                    return compile_refuse(c, "patternProperties",
                                          "has a pattern that may or may not match a name");
                }
            }
            if (dfa_run(dfa, name, len) != 0) {
                matched = true;
                failed = meet_nodes(c, *out, group->nodes.at[i], true, out);
            }
        }
        if (!matched && failed == FAIL_NONE) {
            failed = meet_nodes(c, *out, group->additional, true, out);
        }
    }
    if (failed == FAIL_NONE && o->names >= 0 && dfa_run(c->s->dfas[o->names], name, len) == 0) {
        *out = NODE_NONE;
        if (!c->s->dfas[o->names]->exact) {
            return compile_refuse(c, "propertyNames", "may or may not allow a listed name");
        }
    }
    return failed == FAIL_NONE ? compile_spend(c, 4) : failed;
}

/* Holding values. */

static bool equal(const json_t *a, const json_t *b, int deep)
{
    if (json_is_number(a) && json_is_number(b)) {
        __int128 x;
        __int128 y;
        int sign;
        return number_units(a, &x, &sign) && number_units(b, &y, &sign)
                   ? x == y
                   : json_number_value(a) == json_number_value(b);
    }
    if (json_typeof(a) != json_typeof(b) || deep > SCHEMA_DEPTH_MAX) {
        return false;
    }
    if (json_is_array(a)) {
        bool same = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; same && i < json_array_size(a); i++) {
            same = equal(json_array_get(a, i), json_array_get(b, i), deep + 1);
        }
        return same;
    }
    if (json_is_object(a)) {
        bool same = json_object_size(a) == json_object_size(b);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)a, key, value) {
            const json_t *other = json_object_get(b, key);
            same = same && other != NULL && equal(value, other, deep + 1);
        }
        return same;
    }
    return json_equal(a, b) != 0;
}

static bool holds_text(const struct schema *s, const struct text_alt *t, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    size_t count = text_utf8_count(text, n);
    return count >= t->min && count <= t->max &&
           (t->dfa < 0 || dfa_run(s->dfas[t->dfa], text, n) != 0);
}

static bool holds_array(struct compiler *c, uint32_t alt, const json_t *value)
{
    uint32_t n = (uint32_t)json_array_size(value);
    bool holds = n >= c->s->arrays[alt].min && n <= c->s->arrays[alt].max;
    for (uint32_t i = 0; i < n && holds; i++) {
        const struct array_alt *a = &c->s->arrays[alt];
        holds = node_holds(c, i < a->first.n ? a->first.at[i] : a->items, json_array_get(value, i));
    }
    return holds;
}

static bool holds_object(struct compiler *c, uint32_t alt, const json_t *value)
{
    uint32_t n = (uint32_t)json_object_size(value);
    const struct object_alt *o = &c->s->objects[alt];
    bool holds = n >= o->min && n <= o->max;
    for (uint32_t i = 0; i < o->n_props && holds; i++) {
        holds = !o->props[i].required || json_object_get(value, o->props[i].name) != NULL;
    }
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)value, key, item) {
        uint32_t node = NODE_NONE;
        bool listed = false;
        o = &c->s->objects[alt];
        for (uint32_t i = 0; i < o->n_props && !listed; i++) {
            listed = strcmp(o->props[i].name, key) == 0;
            node = listed ? o->props[i].node : node;
        }
        if (!listed) {
            struct object_alt copy = *o; /* the list may move */
            holds = holds && meet_extra(c, &copy, key, strlen(key), &node) == FAIL_NONE;
        }
        holds = holds && node_holds(c, node, item);
    }
    return holds;
}

bool node_holds(struct compiler *c, uint32_t id, const json_t *value)
{
    if (id == NODE_ANY || compile_ensure(c, id) != FAIL_NONE) {
        return id == NODE_ANY;
    }
    const struct node *node = &c->s->nodes[id];
    struct fault ignored;
    struct fault *why = c->why;
    c->why = &ignored;
    bool spent = compile_spend(c, node->n_literals + 8) != FAIL_NONE;
    c->why = why;
    bool holds = false;
    for (uint32_t i = 0; i < node->n_literals && !holds && !spent; i++) {
        holds = equal(node->literals[i], value, 0);
    }
    if (json_is_number(value)) {
        __int128 units = 0;
        int sign;
        bool exact = number_units(value, &units, &sign);
        for (uint32_t i = 0; i < node->numbers.n && !holds; i++) {
            const struct number *n = &c->s->numbers[node->numbers.at[i]];
            bool free = !n->bounded && n->step == 1;
            holds = free || (exact && number_holds(n, units));
            c->unsure = c->unsure || (!free && !exact);
        }
    } else if (json_is_string(value)) {
        for (uint32_t i = 0; i < node->texts.n && !holds; i++) {
            const struct text_alt *t = &c->s->texts[node->texts.at[i]];
            holds = holds_text(c->s, t, value);
            c->unsure = c->unsure || (!holds && t->dfa >= 0 && !c->s->dfas[t->dfa]->exact);
        }
    } else if (json_is_array(value)) {
        for (uint32_t i = 0; i < c->s->nodes[id].arrays.n && !holds; i++) {
            holds = holds_array(c, c->s->nodes[id].arrays.at[i], value);
        }
    } else if (json_is_object(value)) {
        for (uint32_t i = 0; i < c->s->nodes[id].objects.n && !holds; i++) {
            holds = holds_object(c, c->s->nodes[id].objects.at[i], value);
        }
    }
    return holds;
}

bool node_is_void(struct compiler *c, uint32_t id, int deep)
{
    if (id == NODE_ANY || deep == 0 || c->s->nodes[id].state == NODE_BUSY) {
        return false;
    }
    if (compile_ensure(c, id) != FAIL_NONE) {
        return false;
    }
    const struct node *node = &c->s->nodes[id];
    bool empty =
        !node->unsure && node->n_literals == 0 && node->numbers.n == 0 && node->texts.n == 0;
    for (uint32_t i = 0; i < c->s->nodes[id].arrays.n && empty; i++) {
        uint32_t alt = c->s->nodes[id].arrays.at[i];
        bool none = false;
        for (uint32_t k = 0; k < c->s->arrays[alt].min && k < 64 && !none; k++) {
            const struct array_alt *a = &c->s->arrays[alt];
            none = node_is_void(c, k < a->first.n ? a->first.at[k] : a->items, deep - 1);
        }
        empty = none;
    }
    for (uint32_t i = 0; i < c->s->nodes[id].objects.n && empty; i++) {
        uint32_t alt = c->s->nodes[id].objects.at[i];
        bool none = false;
        for (uint32_t k = 0; k < c->s->objects[alt].n_props && !none; k++) {
            const struct property *p = &c->s->objects[alt].props[k];
            none = p->required && node_is_void(c, p->node, deep - 1);
        }
        empty = none;
    }
    return empty;
}

/* Meeting alternatives. */

static enum fail meet_numbers(struct compiler *c, uint32_t a, uint32_t b, struct ids *out)
{
    struct number met;
    if (number_meet(&c->s->numbers[a], &c->s->numbers[b], &met)) {
        VECTOR_GROW(c->s, numbers);
        ids_add(out, c->s->n_numbers);
        c->s->numbers[c->s->n_numbers++] = met;
    }
    return FAIL_NONE;
}

static enum fail meet_texts(struct compiler *c, uint32_t a, uint32_t b, struct ids *out)
{
    const struct text_alt *x = &c->s->texts[a];
    const struct text_alt *y = &c->s->texts[b];
    struct text_alt met = {.dfa = x->dfa < 0 ? y->dfa : x->dfa,
                           .min = x->min > y->min ? x->min : y->min,
                           .max = x->max < y->max ? x->max : y->max};
    enum fail failed = FAIL_NONE;
    if (x->dfa >= 0 && y->dfa >= 0 && x->dfa != y->dfa) {
        struct dfa *list[] = {c->s->dfas[x->dfa], c->s->dfas[y->dfa]};
        struct dfa *made = NULL;
        failed = dfa_product(list, 2, dfa_label_all, &c->work, &made, c->why);
        failed = failed != FAIL_NONE ? failed : compile_add_dfa(c, made, &met.dfa);
    }
    if (failed != FAIL_NONE || met.min > met.max) {
        return failed;
    }
    const struct dfa *d = met.dfa < 0 ? NULL : c->s->dfas[met.dfa];
    /* What is left out of a format may still meet: then it is kept, and found empty at the end. */
    if (d != NULL && d->exact && (dfa_is_empty(d) || d->shortest[0] > met.max ||
                      (d->longest[0] != NO_LENGTH && d->longest[0] < met.min))) {
        return FAIL_NONE;
    }
    VECTOR_GROW(c->s, texts);
    ids_add(out, c->s->n_texts);
    c->s->texts[c->s->n_texts++] = met;
    return FAIL_NONE;
}

static enum fail meet_arrays(struct compiler *c, uint32_t a, uint32_t b, struct ids *out)
{
    struct array_alt x = c->s->arrays[a];
    struct array_alt y = c->s->arrays[b];
    struct array_alt met = {.min = x.min > y.min ? x.min : y.min,
                            .max = x.max < y.max ? x.max : y.max};
    enum fail failed = FAIL_NONE;
    if (met.min > met.max) {
        return FAIL_NONE;
    }
    for (uint32_t i = 0; (i < x.first.n || i < y.first.n) && failed == FAIL_NONE; i++) {
        uint32_t id = 0;
        failed = meet_nodes(c, i < x.first.n ? x.first.at[i] : x.items,
                            i < y.first.n ? y.first.at[i] : y.items, true, &id);
        ids_add(&met.first, id);
    }
    failed = failed != FAIL_NONE ? failed : meet_nodes(c, x.items, y.items, true, &met.items);
    VECTOR_GROW(c->s, arrays);
    ids_add(out, c->s->n_arrays);
    c->s->arrays[c->s->n_arrays++] = met;
    return failed;
}

static const struct property *find_property(const struct object_alt *o, const struct property *p)
{
    for (uint32_t i = 0; i < o->n_props; i++) {
        if (o->props[i].len == p->len && memcmp(o->props[i].name, p->name, p->len) == 0) {
            return &o->props[i];
        }
    }
    return NULL;
}

static void copy_groups(struct object_alt *to, const struct object_alt *from)
{
    for (uint32_t g = 0; g < from->n_groups; g++) {
        struct names_group *group = &to->groups[to->n_groups++];
        const struct names_group *old = &from->groups[g];
        *group = (struct names_group){.additional = old->additional};
        for (uint32_t i = 0; i < old->dfas.n; i++) {
            ids_add(&group->dfas, old->dfas.at[i]);
            ids_add(&group->nodes, old->nodes.at[i]);
        }
    }
}

/* Properties of x, each met with what y says of its name; with `both` false only those that y does
   not list. */
static enum fail add_met(struct compiler *c, struct object_alt *met, const struct object_alt *x,
                         const struct object_alt *y, bool both)
{
    enum fail failed = compile_spend(c, (uint64_t)x->n_props * (y->n_props + 1));
    for (uint32_t i = 0; i < x->n_props && failed == FAIL_NONE; i++) {
        const struct property *p = &x->props[i];
        const struct property *q = find_property(y, p);
        uint32_t other = q == NULL ? 0 : q->node;
        if (q != NULL && !both) {
            continue;
        }
        if (q == NULL) {
            failed = meet_extra(c, y, p->name, p->len, &other);
        }
        struct property *made = &met->props[met->n_props++];
        *made = *p;
        made->required = p->required || (q != NULL && q->required);
        failed = failed != FAIL_NONE ? failed
                                     : meet_nodes(c, p->node, other, true, &made->node);
    }
    return failed;
}

static enum fail meet_objects(struct compiler *c, uint32_t a, uint32_t b, struct ids *out)
{
    struct object_alt x = c->s->objects[a];
    struct object_alt y = c->s->objects[b];
    struct object_alt met = {.min = x.min > y.min ? x.min : y.min,
                             .max = x.max < y.max ? x.max : y.max,
                             .names = x.names < 0 ? y.names : x.names,
                             .keys = -1};
    enum fail failed = FAIL_NONE;
    if (met.min > met.max) {
        return FAIL_NONE;
    }
    if (x.names >= 0 && y.names >= 0 && x.names != y.names) {
        struct dfa *list[] = {c->s->dfas[x.names], c->s->dfas[y.names]};
        struct dfa *made = NULL;
        failed = dfa_product(list, 2, dfa_label_all, &c->work, &made, c->why);
        failed = failed != FAIL_NONE ? failed : compile_add_dfa(c, made, &met.names);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    met.room = x.n_props + y.n_props;
    met.props = mem_alloc_array(met.room + 1, sizeof *met.props);
    met.groups = mem_alloc_array(x.n_groups + y.n_groups, sizeof *met.groups);
    copy_groups(&met, &x);
    copy_groups(&met, &y);
    failed = add_met(c, &met, &x, &y, true);
    failed = failed != FAIL_NONE ? failed : add_met(c, &met, &y, &x, false);
    VECTOR_GROW(c->s, objects);
    ids_add(out, c->s->n_objects);
    c->s->objects[c->s->n_objects++] = met;
    return failed;
}

typedef enum fail (*meet_fn)(struct compiler *c, uint32_t a, uint32_t b, struct ids *out);

static enum fail meet_lists(struct compiler *c, const struct ids *x, const struct ids *y,
                            uint32_t any, meet_fn meet, struct ids *out)
{
    enum fail failed = FAIL_NONE;
    for (uint32_t i = 0; i < x->n; i++) {
        for (uint32_t k = 0; k < y->n && failed == FAIL_NONE; k++) {
            if (x->at[i] == any || y->at[k] == any || x->at[i] == y->at[k]) {
                ids_add(out, x->at[i] == any ? y->at[k] : x->at[i]);
            } else {
                failed = meet(c, x->at[i], y->at[k], out);
            }
            if (failed == FAIL_NONE && out->n > SCHEMA_BRANCHES_MAX) {
                failed = FAULT(c->why, FAIL_TOO_LARGE,
                               "JSON schema: over %d alternatives of one type at %.150s",
                               SCHEMA_BRANCHES_MAX, c->path.data);
            }
            failed = failed != FAIL_NONE ? failed : compile_spend(c, 16);
        }
    }
    return failed;
}

static void copy_ids(struct ids *to, const struct ids *from)
{
    *to = (struct ids){0};
    for (uint32_t i = 0; i < from->n; i++) {
        ids_add(to, from->at[i]);
    }
}

static enum fail meet_literals(struct compiler *c, uint32_t to, uint32_t from, uint32_t other)
{
    enum fail failed = FAIL_NONE;
    for (uint32_t i = 0; i < c->s->nodes[from].n_literals && failed == FAIL_NONE; i++) {
        const json_t *value = c->s->nodes[from].literals[i];
        bool before = c->unsure;
        c->unsure = false;
        failed = compile_spend(c, 4);
        if (failed == FAIL_NONE && node_holds(c, other, value)) {
            node_add_literal(&c->s->nodes[to], value);
        } else {
            c->s->nodes[to].unsure = c->s->nodes[to].unsure || c->unsure;
        }
        c->unsure = c->unsure || before;
    }
    return failed;
}

enum fail meet_fill(struct compiler *c, uint32_t id)
{
    uint32_t a = c->s->nodes[id].left;
    uint32_t b = c->s->nodes[id].right;
    enum fail failed = compile_ensure(c, a);
    failed = failed != FAIL_NONE ? failed : compile_ensure(c, b);
    failed = failed != FAIL_NONE ? failed : meet_literals(c, id, a, b);
    failed = failed != FAIL_NONE ? failed : meet_literals(c, id, b, a);
    static const meet_fn fns[] = {meet_numbers, meet_texts, meet_arrays, meet_objects};
    static const size_t places[] = {offsetof(struct node, numbers), offsetof(struct node, texts),
                                    offsetof(struct node, arrays), offsetof(struct node, objects)};
    for (size_t i = 0; i < COUNT_OF(fns) && failed == FAIL_NONE; i++) {
        struct ids x;
        struct ids y;
        struct ids out = {0};
        copy_ids(&x, (const struct ids *)(const void *)((char *)&c->s->nodes[a] + places[i]));
        copy_ids(&y, (const struct ids *)(const void *)((char *)&c->s->nodes[b] + places[i]));
        failed = meet_lists(c, &x, &y, 0, fns[i], &out); /* 0: the free one of each type */
        *(struct ids *)(void *)((char *)&c->s->nodes[id] + places[i]) = out;
        mem_free(x.at);
        mem_free(y.at);
    }
    return failed;
}
