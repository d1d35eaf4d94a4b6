/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, the last pass: literals and property names become tries over bytes, patterns of names
 * one automaton, and every place learns the least nesting of a value that fits it. What has none is
 * cut off, so that a walk never enters a dead end.
 * Owns: what it adds to the schema. Threads: pure. Limits: SCHEMA_DEPTH_MAX rounds;
 * TRIE_NODES_MAX.
 */
#include "run/schema/schema_internal.h"

#include <stdlib.h>
#include <string.h>

#define TRIE_NODES_MAX 400000
#define LENGTHS_BYTES_MAX (1u << 20)
#define SPELLING_MAX (256u * 1024)

/* Spelling. */

void json_spell_string(const char *text, size_t n, struct buf *out)
{
    static const char escapes[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    (void)buf_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        char ch = text[i];
        const char *hit = ch == '\0' ? NULL : strchr(escapes, ch);
        if (hit != NULL && (hit - escapes) % 2 == 0) {
            (void)buf_add_char(out, '\\');
            (void)buf_add_char(out, hit[1]);
        } else if ((uint8_t)ch < 0x20) {
            (void)buf_printf(out, "\\u%04x", (unsigned)(uint8_t)ch);
        } else {
            (void)buf_add_char(out, ch);
        }
    }
    (void)buf_add_char(out, '"');
}

static void spell_real(double real, struct buf *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    (void)buf_add_str(out, text);
    if (strpbrk(text, ".e") == NULL) {
        (void)buf_add_str(out, ".0");
    }
}

static void spell(const json_t *value, struct buf *out)
{
    const char *key;
    json_t *item;
    size_t i;
    bool first = true;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        (void)buf_add_char(out, '{');
        json_object_foreach((json_t *)value, key, item) {
            (void)buf_add_str(out, first ? "" : ", ");
            json_spell_string(key, strlen(key), out);
            (void)buf_add_str(out, ": ");
            spell(item, out);
            first = false;
        }
        (void)buf_add_char(out, '}');
        break;
    case JSON_ARRAY:
        (void)buf_add_char(out, '[');
        json_array_foreach(value, i, item) {
            (void)buf_add_str(out, i == 0 ? "" : ", ");
            spell(item, out);
        }
        (void)buf_add_char(out, ']');
        break;
    case JSON_STRING:
        json_spell_string(json_string_value(value), json_string_length(value), out);
        break;
    case JSON_INTEGER:
        (void)buf_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        spell_real(json_real_value(value), out);
        break;
    case JSON_TRUE:
        (void)buf_add_str(out, "true");
        break;
    case JSON_FALSE:
        (void)buf_add_str(out, "false");
        break;
    case JSON_NULL:
        (void)buf_add_str(out, "null");
        break;
    }
}

bool json_spell(const json_t *value, struct buf *out)
{
    spell(value, out);
    return !out->overflow;
}

/* Tries. */

uint32_t trie_new(struct schema *s)
{
    VECTOR_GROW(s, tries);
    s->tries[s->n_tries] = (struct trie){.value = UINT32_MAX};
    return s->n_tries++;
}

uint32_t trie_child(const struct schema *s, uint32_t node, uint8_t byte)
{
    uint32_t at = s->tries[node].child;
    while (at != 0 && s->tries[at].byte != byte) {
        at = s->tries[at].sibling;
    }
    return at;
}

void trie_add(struct schema *s, uint32_t root, const char *word, size_t n, uint32_t value)
{
    uint32_t at = root;
    for (size_t i = 0; i < n; i++) {
        uint32_t next = trie_child(s, at, (uint8_t)word[i]);
        if (next == 0) {
            next = trie_new(s);
            s->tries[next].byte = (uint8_t)word[i];
            s->tries[next].sibling = s->tries[at].child;
            s->tries[at].child = next;
        }
        at = next;
    }
    s->tries[at].value = s->tries[at].value == UINT32_MAX ? value : s->tries[at].value;
}

static enum fail add_word(struct compiler *c, uint32_t root, const struct buf *word, uint32_t value)
{
    if (word->overflow || c->s->n_tries + word->len > TRIE_NODES_MAX) {
        return FAULT(c->why, FAIL_TOO_LARGE, "JSON schema: its fixed texts are too large together");
    }
    trie_add(c->s, root, word->data, word->len, value);
    return compile_spend(c, word->len);
}

/* Is the nesting of a literal one that may be written below this depth? Counted when it is used. */
static uint8_t literal_depth(const json_t *value)
{
    uint8_t deepest = 0;
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach((json_t *)value, key, item) {
        uint8_t d = literal_depth(item);
        deepest = d > deepest ? d : deepest;
    }
    json_array_foreach(value, i, item) {
        uint8_t d = literal_depth(item);
        deepest = d > deepest ? d : deepest;
    }
    return json_is_object(value) || json_is_array(value) ? (uint8_t)(deepest + 1) : 0;
}

static bool has_nul(const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach((json_t *)value, key, item) {
        if (has_nul(item)) {
            return true;
        }
    }
    json_array_foreach(value, i, item) {
        if (has_nul(item)) {
            return true;
        }
    }
    return json_is_string(value) && memchr(json_string_value(value), 0,
                                           json_string_length(value)) != NULL;
}

static enum fail node_literals(struct compiler *c, uint32_t id)
{
    struct buf word;
    enum fail failed = FAIL_NONE;
    buf_init(&word, SPELLING_MAX);
    c->s->nodes[id].depth = DEPTH_NEVER;
    for (uint32_t i = 0; i < c->s->nodes[id].n_literals && failed == FAIL_NONE; i++) {
        const json_t *value = c->s->nodes[id].literals[i];
        if (has_nul(value)) {
            continue; /* our own reader would refuse the document */
        }
        buf_clear(&word);
        spell(value, &word);
        if (c->s->nodes[id].trie == 0) {
            uint32_t trie = trie_new(c->s);
            c->s->nodes[id].trie = trie;
        }
        uint8_t depth = literal_depth(value);
        failed = add_word(c, c->s->nodes[id].trie, &word, depth);
        c->s->nodes[id].depth =
            depth < c->s->nodes[id].depth ? depth : c->s->nodes[id].depth;
    }
    buf_done(&word);
    return failed;
}

/* Names of objects. */

static uint16_t label_names(unsigned bits, unsigned n)
{
    (void)n;
    return (uint16_t)(bits + 1);
}

static enum fail extra_of(struct compiler *c, const struct object_alt *o, unsigned mask,
                          uint32_t *out)
{
    unsigned bit = 0;
    enum fail failed = FAIL_NONE;
    *out = NODE_ANY;
    for (uint32_t g = 0; g < o->n_groups; g++) {
        const struct names_group *group = &o->groups[g];
        bool matched = false;
        for (uint32_t i = 0; i < group->dfas.n; i++, bit++) {
            if ((mask >> bit & 1) != 0 && failed == FAIL_NONE) {
                matched = true;
                failed = meet_nodes(c, *out, group->nodes.at[i], false, out);
            }
        }
        if (!matched && failed == FAIL_NONE) {
            failed = meet_nodes(c, *out, group->additional, false, out);
        }
    }
    return failed;
}

static enum fail make_keys(struct compiler *c, uint32_t alt)
{
    struct object_alt o = c->s->objects[alt];
    struct dfa *list[SCHEMA_PATTERNS_MAX + 1];
    unsigned n = 0;
    struct dfa *made = NULL;
    struct ids extra = {0};
    uint32_t id = 0;
    enum fail failed = FAIL_NONE;
    bool exact = true;
    for (uint32_t g = 0; g < o.n_groups; g++) {
        for (uint32_t i = 0; i < o.groups[g].dfas.n; i++) {
            if (n == SCHEMA_PATTERNS_MAX) {
                return FAULT(c->why, FAIL_TOO_LARGE,
                             "JSON schema: over %d patternProperties meet in one object",
                             SCHEMA_PATTERNS_MAX);
            }
            list[n++] = c->s->dfas[o.groups[g].dfas.at[i]];
            exact = exact && list[n - 1]->exact;
        }
    }
    unsigned patterns = n;
    if (o.names >= 0) {
        list[n++] = c->s->dfas[o.names];
    }
    if (n == 0) {
        failed = extra_of(c, &o, 0, &id);
        if (failed == FAIL_NONE && id != NODE_NONE) {
            ids_add(&c->s->objects[alt].extra, id);
        }
        return failed;
    }
    failed = dfa_product(list, n, label_names, &c->work, &made, c->why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    /* Labels so far: 1 + bits. Those reached get a node; a name not allowed gets label 0. */
    uint16_t map[1u << (SCHEMA_PATTERNS_MAX + 1)] = {0};
    for (unsigned s = 0; s < made->n_states && failed == FAIL_NONE; s++) {
        unsigned bits = made->label[s] - 1u;
        bool allowed = o.names < 0 || (bits >> patterns & 1) != 0;
        unsigned mask = bits & ((1u << patterns) - 1);
        if (allowed && map[mask] == 0) {
            failed = extra_of(c, &o, mask, &id);
            ids_add(&extra, id);
            map[mask] = (uint16_t)extra.n;
        }
        made->label[s] = allowed && failed == FAIL_NONE && extra.at[map[mask] - 1] != NODE_NONE
                             ? map[mask]
                             : 0;
    }
    for (unsigned k = 0; k < made->n_classes && !exact; k++) {
        for (unsigned s = 0; s < made->n_states && made->from[k] >= 0x80; s++) {
            made->next[s * made->n_classes + k] = DFA_DEAD; /* there the dialects differ */
        }
    }
    dfa_only_plain(made);
    c->s->objects[alt].extra = extra;
    return failed != FAIL_NONE ? (dfa_free(made), failed)
                               : compile_add_dfa(c, made, &c->s->objects[alt].keys);
}

static enum fail finish_object(struct compiler *c, uint32_t alt)
{
    enum fail failed = FAIL_NONE;
    if (c->s->objects[alt].keyed) {
        return FAIL_NONE;
    }
    c->s->objects[alt].keyed = true;
    failed = make_keys(c, alt);
    uint32_t trie = trie_new(c->s);
    c->s->objects[alt].trie = trie;
    struct buf word;
    buf_init(&word, SPELLING_MAX);
    for (uint32_t i = 0; i < c->s->objects[alt].n_props && failed == FAIL_NONE; i++) {
        const struct property *p = &c->s->objects[alt].props[i];
        buf_clear(&word);
        json_spell_string(p->name, p->len, &word);
        buf_consume(&word, 1); /* the opening quote; the closing one stays */
        failed = add_word(c, trie, &word, i);
    }
    buf_done(&word);
    struct object_alt *o = &c->s->objects[alt];
    uint32_t next = o->n_props;
    for (uint32_t i = o->n_props; i > 0; i--) {
        next = o->props[i - 1].required ? i - 1 : next;
        o->props[i - 1].next_required = next;
    }
    return failed;
}

/* Strings: which lengths lead from a state to the end. */

static enum fail text_lengths(struct compiler *c, uint32_t alt)
{
    struct text_alt *t = &c->s->texts[alt];
    const struct dfa *d = t->dfa < 0 ? NULL : c->s->dfas[t->dfa];
    if (d == NULL || t->min == 0 || t->max == NO_LENGTH || t->max - t->min >= d->n_states) {
        return FAIL_NONE; /* the shortest and the longest word say it all */
    }
    size_t row = t->max / 8 + 1;
    if (row * d->n_states > LENGTHS_BYTES_MAX) {
        return FAULT(c->why, FAIL_TOO_LARGE,
                     "JSON schema: minLength and maxLength beside a pattern are too large");
    }
    uint8_t *lengths = mem_alloc_array(row, d->n_states);
    for (uint32_t n = 0; n <= t->max; n++) {
        for (unsigned s = 0; s < d->n_states; s++) {
            bool reaches = n == 0 && d->label[s] != 0;
            for (unsigned k = 0; k < d->n_classes && n > 0 && !reaches; k++) {
                unsigned to = d->next[s * d->n_classes + k];
                reaches = to != DFA_DEAD && (lengths[to * row + (n - 1) / 8] >> ((n - 1) % 8) & 1);
            }
            lengths[s * row + n / 8] |= (uint8_t)((unsigned)reaches << (n % 8));
        }
        enum fail failed = compile_spend(c, (uint64_t)d->n_states * d->n_classes / 4);
        if (failed != FAIL_NONE) {
            mem_free(lengths);
            return failed;
        }
    }
    t->lengths = lengths;
    return FAIL_NONE;
}

static bool text_is_void(const struct schema *s, const struct text_alt *t)
{
    const struct dfa *d = t->dfa < 0 ? NULL : s->dfas[t->dfa];
    if (t->min > t->max || (d != NULL && dfa_is_empty(d))) {
        return true;
    }
    if (d == NULL) {
        return false;
    }
    if (t->lengths == NULL) {
        return d->shortest[0] > t->max || (d->longest[0] != NO_LENGTH && d->longest[0] < t->min);
    }
    for (uint32_t n = t->min; n <= t->max; n++) {
        if ((t->lengths[n / 8] >> (n % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

/* Depths. */

static uint8_t array_depth(const struct schema *s, const struct array_alt *a)
{
    uint8_t deepest = 0;
    for (uint32_t i = 0; i < a->min && i <= a->first.n; i++) {
        uint8_t d = s->nodes[i < a->first.n ? a->first.at[i] : a->items].depth;
        deepest = d > deepest ? d : deepest;
    }
    return deepest >= SCHEMA_DEPTH_MAX ? DEPTH_NEVER : (uint8_t)(deepest + 1);
}

static uint8_t object_depth(const struct schema *s, const struct object_alt *o)
{
    uint8_t deepest = 0;
    uint32_t required = 0;
    uint32_t optional[SCHEMA_DEPTH_MAX + 1] = {0}; /* how many, by depth */
    for (uint32_t i = 0; i < o->n_props; i++) {
        uint8_t d = s->nodes[o->props[i].node].depth;
        if (o->props[i].required) {
            required++;
            deepest = d > deepest ? d : deepest;
        } else if (d <= SCHEMA_DEPTH_MAX) {
            optional[d]++;
        }
    }
    if (required > o->max) {
        return DEPTH_NEVER;
    }
    uint32_t missing = o->min > required ? o->min - required : 0;
    for (uint32_t i = 0; i < o->extra.n; i++) {
        uint8_t d = s->nodes[o->extra.at[i]].depth;
        uint32_t names = o->keys < 0 ? EXTRA_NAMES_MAX : s->dfas[o->keys]->words[0];
        bool few = o->keys >= 0 && (o->extra.n > 1 || names < EXTRA_NAMES_MAX);
        if (d <= SCHEMA_DEPTH_MAX) {
            optional[d] += few ? 0 : EXTRA_NAMES_MAX; /* few names: not counted on */
        }
    }
    for (unsigned d = 0; d <= SCHEMA_DEPTH_MAX && missing > 0; d++) {
        if (optional[d] > 0) {
            missing -= optional[d] < missing ? optional[d] : missing;
            deepest = d > deepest ? (uint8_t)d : deepest;
        }
    }
    return missing > 0 || deepest >= SCHEMA_DEPTH_MAX ? DEPTH_NEVER : (uint8_t)(deepest + 1);
}

static bool settle_depths(struct schema *s)
{
    bool changed = false;
    for (uint32_t i = 0; i < s->n_arrays; i++) {
        s->arrays[i].depth = array_depth(s, &s->arrays[i]);
    }
    for (uint32_t i = 0; i < s->n_objects; i++) {
        s->objects[i].depth = object_depth(s, &s->objects[i]);
    }
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct node *node = &s->nodes[i];
        uint8_t depth = node->depth;
        if (node->numbers.n > 0 || node->texts.n > 0) {
            depth = 0;
        }
        for (uint32_t k = 0; k < node->arrays.n; k++) {
            uint8_t d = s->arrays[node->arrays.at[k]].depth;
            depth = d < depth ? d : depth;
        }
        for (uint32_t k = 0; k < node->objects.n; k++) {
            uint8_t d = s->objects[node->objects.at[k]].depth;
            depth = d < depth ? d : depth;
        }
        changed = changed || depth != node->depth;
        node->depth = depth;
    }
    return changed;
}

static void drop_void(struct schema *s)
{
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct node *node = &s->nodes[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < node->texts.n; k++) {
            if (!text_is_void(s, &s->texts[node->texts.at[k]])) {
                node->texts.at[kept++] = node->texts.at[k];
            }
        }
        node->texts.n = kept;
    }
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        s->nodes[i].depth = s->nodes[i].trie != 0 ? s->nodes[i].depth : DEPTH_NEVER;
    }
}

/* Names whose value cannot be are names that cannot be. */
static void drop_names(struct schema *s)
{
    for (uint32_t i = 0; i < s->n_objects; i++) {
        const struct object_alt *o = &s->objects[i];
        if (o->keys < 0) {
            continue;
        }
        struct dfa *d = s->dfas[o->keys];
        bool changed = false;
        for (unsigned k = 0; k < d->n_states; k++) {
            if (d->label[k] != 0 &&
                s->nodes[o->extra.at[d->label[k] - 1]].depth > SCHEMA_DEPTH_MAX) {
                d->label[k] = 0;
                changed = true;
            }
        }
        if (changed) {
            dfa_finish(d);
        }
    }
}

enum fail finish_schema(struct compiler *c)
{
    enum fail failed = FAIL_NONE;
    (void)trie_new(c->s); /* 0 means none */
    /* Nodes of names may still be made here, and bring objects with them. */
    for (uint32_t i = 0; i < c->s->n_objects && failed == FAIL_NONE; i++) {
        failed = finish_object(c, i);
        for (; c->next_pending < c->s->n_nodes && failed == FAIL_NONE; c->next_pending++) {
            failed = compile_ensure(c, c->next_pending);
        }
    }
    for (uint32_t i = 0; i < c->s->n_nodes && failed == FAIL_NONE; i++) {
        failed = node_literals(c, i);
    }
    for (uint32_t i = 0; i < c->s->n_texts && failed == FAIL_NONE; i++) {
        failed = text_lengths(c, i);
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    drop_void(c->s);
    for (int round = 0; round <= SCHEMA_DEPTH_MAX + 1 && settle_depths(c->s); round++) {
        failed = compile_spend(c, c->s->n_nodes + c->s->n_arrays + c->s->n_objects);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    drop_names(c->s);
    if (c->s->nodes[c->s->root].depth > SCHEMA_DEPTH_MAX) {
        (void)FAULT(c->why, FAIL_UNSUPPORTED,
                    "JSON schema: allows no document that we could write");
        return fail_hint(c->why, "Look for required properties that nothing fits, or bounds that "
                                 "exclude each other.");
    }
    return FAIL_NONE;
}

size_t schema_size(const struct schema *s)
{
    size_t sum = sizeof *s + s->room_nodes * sizeof *s->nodes + s->room_tries * sizeof *s->tries +
                 s->room_objects * sizeof *s->objects + s->room_arrays * sizeof *s->arrays +
                 s->room_texts * sizeof *s->texts + s->room_numbers * sizeof *s->numbers +
                 arena_used(s->arena);
    for (uint32_t i = 0; i < s->n_dfas; i++) {
        sum += dfa_size(s->dfas[i]);
    }
    for (uint32_t i = 0; i < s->n_objects; i++) {
        sum += s->objects[i].room * sizeof *s->objects[i].props;
    }
    return sum;
}
