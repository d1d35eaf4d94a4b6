/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema: the opposite of a node, for not, if, oneOf, dependent*. Only where it can be said
 * exactly; what cannot is refused: a guess here would accept wrong documents.
 * Owns: nothing. Threads: pure. Limits: as compile.c; NEST_MAX.
 */
#include "run/schema/schema_internal.h"

#include <string.h>

#define NEST_MAX 16

static enum fail cannot(struct compiler *c, const char *keyword, const char *what)
{
    char reason[120];
    (void)snprintf(reason, sizeof reason, "needs the opposite of %s, which is not supported", what);
    return compile_refuse(c, keyword, reason);
}

/* All values but those of one kind. */
enum kind { NUMBERS, TEXTS, ARRAYS, OBJECTS };

static enum fail all_but(struct compiler *c, enum kind kind, uint32_t *out)
{
    enum fail failed = compile_node(c, out);
    if (failed != FAIL_NONE) {
        return failed;
    }
    struct node *node = &c->s->nodes[*out];
    const struct node *any = &c->s->nodes[NODE_ANY];
    for (uint32_t i = 0; i < any->n_literals; i++) {
        node_add_literal(node, any->literals[i]);
    }
    if (kind != NUMBERS) {
        ids_add(&node->numbers, any->numbers.at[0]);
    }
    if (kind != TEXTS) {
        ids_add(&node->texts, any->texts.at[0]);
    }
    if (kind != ARRAYS) {
        ids_add(&node->arrays, any->arrays.at[0]);
    }
    if (kind != OBJECTS) {
        ids_add(&node->objects, any->objects.at[0]);
    }
    return FAIL_NONE;
}

static void put_number(struct compiler *c, uint32_t node, __int128 lo, __int128 hi)
{
    struct number n = number_free;
    n.lo = lo > n.lo ? lo : n.lo;
    n.hi = hi < n.hi ? hi : n.hi;
    n.bounded = true;
    if (!number_is_void(&n)) {
        VECTOR_GROW(c->s, numbers);
        ids_add(&c->s->nodes[node].numbers, c->s->n_numbers);
        c->s->numbers[c->s->n_numbers++] = n;
    }
}

static enum fail not_number(struct compiler *c, uint32_t alt, const char *keyword, uint32_t *out)
{
    const struct number n = c->s->numbers[alt];
    if (n.step != 1) {
        return cannot(c, keyword, "integers or multiples");
    }
    enum fail failed = all_but(c, NUMBERS, out);
    if (failed == FAIL_NONE) {
        put_number(c, *out, number_free.lo, n.lo - 1);
        put_number(c, *out, n.hi + 1, number_free.hi);
    }
    return failed;
}

static void put_text(struct compiler *c, uint32_t node, int dfa, uint32_t min, uint32_t max)
{
    if (min <= max) {
        VECTOR_GROW(c->s, texts);
        ids_add(&c->s->nodes[node].texts, c->s->n_texts);
        c->s->texts[c->s->n_texts++] = (struct text_alt){.dfa = dfa, .min = min, .max = max};
    }
}

static enum fail opposite_dfa(struct compiler *c, struct dfa *dfa, int *out)
{
    struct dfa *made = NULL;
    enum fail failed = dfa_product(&dfa, 1, dfa_label_none, &c->work, &made, c->why);
    return failed != FAIL_NONE ? failed : compile_add_dfa(c, made, out);
}

static enum fail not_text(struct compiler *c, uint32_t alt, const char *keyword, uint32_t *out)
{
    const struct text_alt t = c->s->texts[alt];
    int dfa = -1;
    if (t.dfa >= 0 && !c->s->dfas[t.dfa]->exact) {
        return cannot(c, keyword, "a format, or of a pattern with . or \\d, \\w, \\s");
    }
    enum fail failed = t.dfa >= 0 ? opposite_dfa(c, c->s->dfas[t.dfa], &dfa) : FAIL_NONE;
    failed = failed != FAIL_NONE ? failed : all_but(c, TEXTS, out);
    if (failed != FAIL_NONE) {
        return failed;
    }
    if (dfa >= 0 && !dfa_is_empty(c->s->dfas[dfa])) {
        put_text(c, *out, dfa, 0, NO_LENGTH);
    }
    if (t.min > 0) {
        put_text(c, *out, -1, 0, t.min - 1);
    }
    if (t.max != NO_LENGTH) {
        put_text(c, *out, -1, t.max + 1, NO_LENGTH);
    }
    return FAIL_NONE;
}

static enum fail negate(struct compiler *c, uint32_t id, const char *keyword, int deep,
                        uint32_t *out);

static void put_array(struct compiler *c, uint32_t node, struct array_alt a)
{
    VECTOR_GROW(c->s, arrays);
    ids_add(&c->s->nodes[node].arrays, c->s->n_arrays);
    c->s->arrays[c->s->n_arrays++] = a;
}

static enum fail not_array(struct compiler *c, uint32_t alt, const char *keyword, int deep,
                           uint32_t *out)
{
    const struct array_alt a = c->s->arrays[alt];
    enum fail failed = all_but(c, ARRAYS, out);
    if (a.items != NODE_ANY) {
        return cannot(c, keyword, "items");
    }
    for (uint32_t i = 0; i < a.first.n && failed == FAIL_NONE; i++) {
        struct array_alt made = {.items = NODE_ANY, .min = i + 1, .max = NO_LENGTH};
        uint32_t item = 0;
        if (a.first.at[i] == NODE_ANY) {
            continue;
        }
        failed = negate(c, a.first.at[i], keyword, deep, &item);
        for (uint32_t k = 0; k < i; k++) {
            ids_add(&made.first, NODE_ANY);
        }
        ids_add(&made.first, item);
        put_array(c, *out, made);
    }
    if (failed == FAIL_NONE && a.min > 0) {
        put_array(c, *out, (struct array_alt){.items = NODE_ANY, .max = a.min - 1});
    }
    if (failed == FAIL_NONE && a.max != NO_LENGTH) {
        put_array(c, *out,
                  (struct array_alt){.items = NODE_ANY, .min = a.max + 1, .max = NO_LENGTH});
    }
    return failed;
}

static void put_object(struct compiler *c, uint32_t node, const struct property *p, uint32_t value,
                       bool required, uint32_t min, uint32_t max)
{
    struct object_alt o = {.names = -1, .keys = -1, .min = min, .max = max, .n_groups = 1};
    o.groups = mem_alloc(sizeof *o.groups);
    o.groups[0].additional = NODE_ANY;
    if (p != NULL) {
        o.props = mem_alloc(sizeof *o.props);
        o.props[0] = *p;
        o.props[0].node = value;
        o.props[0].required = required;
        o.n_props = o.room = 1;
    }
    VECTOR_GROW(c->s, objects);
    ids_add(&c->s->nodes[node].objects, c->s->n_objects);
    c->s->objects[c->s->n_objects++] = o;
}

static enum fail not_object(struct compiler *c, uint32_t alt, const char *keyword, int deep,
                            uint32_t *out)
{
    const struct object_alt o = c->s->objects[alt];
    enum fail failed = all_but(c, OBJECTS, out);
    bool plain = o.names < 0;
    for (uint32_t g = 0; g < o.n_groups; g++) {
        plain = plain && o.groups[g].dfas.n == 0 && o.groups[g].additional == NODE_ANY;
    }
    if (!plain) {
        return cannot(c, keyword, "additionalProperties, patternProperties or propertyNames");
    }
    for (uint32_t i = 0; i < o.n_props && failed == FAIL_NONE; i++) {
        const struct property *p = &o.props[i];
        uint32_t value = 0;
        if (p->required) {
            put_object(c, *out, p, NODE_NONE, false, 0, NO_LENGTH);
        }
        if (p->node != NODE_ANY) {
            failed = negate(c, p->node, keyword, deep, &value);
            put_object(c, *out, p, value, true, 0, NO_LENGTH);
        }
    }
    if (failed == FAIL_NONE && o.min > 0) {
        put_object(c, *out, NULL, 0, false, 0, o.min - 1);
    }
    if (failed == FAIL_NONE && o.max != NO_LENGTH) {
        put_object(c, *out, NULL, 0, false, o.max + 1, NO_LENGTH);
    }
    return failed;
}

/* Literals: what is neither of them. */

static enum fail not_words(struct compiler *c, uint32_t id, uint32_t *out)
{
    enum fail failed = compile_node(c, out);
    failed = failed != FAIL_NONE ? failed : node_join(c, *out, NODE_ANY);
    if (failed != FAIL_NONE) {
        return failed;
    }
    const struct node *node = &c->s->nodes[id];
    struct node *made = &c->s->nodes[*out];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < made->n_literals; i++) {
        bool there = false;
        for (uint32_t k = 0; k < node->n_literals; k++) {
            there = there || json_equal(node->literals[k], made->literals[i]);
        }
        if (!there) {
            made->literals[kept++] = made->literals[i];
        }
    }
    made->n_literals = kept;
    return FAIL_NONE;
}

static enum fail not_strings(struct compiler *c, uint32_t id, const char *keyword, uint32_t *now)
{
    const struct node *node = &c->s->nodes[id];
    const char *list[64];
    size_t lens[64];
    size_t n = 0;
    int dfa = -1;
    struct dfa *made = NULL;
    uint32_t other = 0;
    for (uint32_t i = 0; i < node->n_literals; i++) {
        if (json_is_string(node->literals[i])) {
            if (n == COUNT_OF(list)) {
                return cannot(c, keyword, "more than 64 strings");
            }
            list[n] = json_string_value(node->literals[i]);
            lens[n++] = json_string_length(node->literals[i]);
        }
    }
    if (n == 0) {
        return FAIL_NONE;
    }
    enum fail failed = dfa_from_strings(list, lens, n, &c->work, &made, c->why);
    if (failed == FAIL_NONE) {
        failed = opposite_dfa(c, made, &dfa);
        dfa_free(made);
    }
    failed = failed != FAIL_NONE ? failed : all_but(c, TEXTS, &other);
    if (failed != FAIL_NONE) {
        return failed;
    }
    put_text(c, other, dfa, 0, NO_LENGTH);
    return meet_nodes(c, *now, other, false, now);
}

static enum fail not_literal(struct compiler *c, const json_t *value, const char *keyword,
                             uint32_t *now)
{
    __int128 units = 0;
    int sign;
    uint32_t other = 0;
    if (json_is_array(value) || json_is_object(value)) {
        return cannot(c, keyword, "a list or an object in an enum");
    }
    if (!json_is_number(value)) {
        return FAIL_NONE;
    }
    if (!number_units(value, &units, &sign)) {
        return cannot(c, keyword, "a number with more than nine decimals or 18 digits");
    }
    enum fail failed = all_but(c, NUMBERS, &other);
    if (failed != FAIL_NONE) {
        return failed;
    }
    put_number(c, other, number_free.lo, units - 1);
    put_number(c, other, units + 1, number_free.hi);
    return meet_nodes(c, *now, other, false, now);
}

static enum fail negate(struct compiler *c, uint32_t id, const char *keyword, int deep,
                        uint32_t *out)
{
    if (id == NODE_ANY || id == NODE_NONE) {
        *out = id == NODE_ANY ? NODE_NONE : NODE_ANY;
        return FAIL_NONE;
    }
    if (deep == 0) {
        return cannot(c, keyword, "a schema this deep");
    }
    enum fail failed = compile_ensure(c, id);
    failed = failed != FAIL_NONE ? failed : not_words(c, id, out);
    failed = failed != FAIL_NONE ? failed : not_strings(c, id, keyword, out);
    for (uint32_t i = 0; failed == FAIL_NONE && i < c->s->nodes[id].n_literals; i++) {
        failed = not_literal(c, c->s->nodes[id].literals[i], keyword, out);
    }
    for (int kind = NUMBERS; kind <= OBJECTS; kind++) {
        for (uint32_t i = 0; failed == FAIL_NONE; i++) {
            const struct node *node = &c->s->nodes[id];
            const struct ids *list = kind == NUMBERS  ? &node->numbers
                                     : kind == TEXTS  ? &node->texts
                                     : kind == ARRAYS ? &node->arrays
                                                      : &node->objects;
            uint32_t other = 0;
            if (i >= list->n) {
                break;
            }
            uint32_t alt = list->at[i];
            failed = kind == NUMBERS  ? not_number(c, alt, keyword, &other)
                     : kind == TEXTS  ? not_text(c, alt, keyword, &other)
                     : kind == ARRAYS ? not_array(c, alt, keyword, deep - 1, &other)
                                      : not_object(c, alt, keyword, deep - 1, &other);
            failed = failed != FAIL_NONE ? failed : meet_nodes(c, *out, other, false, out);
        }
    }
    if (failed == FAIL_NONE && c->unsure) {
        failed = cannot(c, keyword, "numbers with more than nine decimals");
    }
    return failed;
}

enum fail negate_node(struct compiler *c, uint32_t node, const char *keyword, uint32_t *out)
{
    return negate(c, node, keyword, NEST_MAX, out);
}
