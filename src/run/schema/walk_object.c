/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, walking through values, arrays and objects. Names come in the schema's order, then
 * those it does not list; none comes twice. A name or an item is begun only if it can be ended
 * with the counts, the required names and the depth kept.
 * Owns: nothing. Threads: one walk, one thread. Limits: EXTRA_*_MAX.
 */
#include "run/schema/walk_internal.h"

#include <string.h>

/* Values. */

static bool fits(const struct schema_walk *w, uint32_t node, uint8_t depth)
{
    return w->s->nodes[node].depth + depth <= SCHEMA_DEPTH_MAX;
}

/* The first byte of a value whose end leads to `parent`. */
void walk_step_value(struct schema_walk *w, uint32_t id, uint32_t parent, uint8_t depth,
                       uint8_t byte)
{
    const struct node *node = &w->s->nodes[id];
    struct cell cell = {.parent = parent, .depth = depth};
    if (node->trie != 0) {
        cell.op = OP_WORD;
        cell.a = node->trie;
        walk_step_word(w, cell, byte);
    }
    if (byte == '"') {
        for (uint32_t i = 0; i < node->texts.n; i++) {
            cell.op = OP_TEXT;
            cell.a = node->texts.at[i];
            walk_emit(w, &cell);
        }
    } else if (byte == '[' || byte == '{') {
        const struct ids *list = byte == '[' ? &node->arrays : &node->objects;
        cell.depth = (uint8_t)(depth + 1);
        cell.phase = PH_OPEN;
        cell.op = byte == '[' ? OP_ARRAY : OP_OBJECT;
        for (uint32_t i = 0; i < list->n; i++) {
            cell.a = list->at[i];
            uint8_t least = byte == '[' ? w->s->arrays[cell.a].depth : w->s->objects[cell.a].depth;
            if (least + depth <= SCHEMA_DEPTH_MAX) {
                walk_emit(w, &cell);
            }
        }
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        cell.op = OP_NUMBER;
        for (uint32_t i = 0; i < node->numbers.n; i++) {
            cell.a = node->numbers.at[i];
            walk_step_number(w, cell, byte);
        }
    }
}

/* Arrays: b = items so far. */

static uint32_t array_item(const struct array_alt *a, uint32_t i)
{
    return i < a->first.n ? a->first.at[i] : a->items;
}

static struct cell array_next(const struct array_alt *a, struct cell cell)
{
    uint32_t top = a->min > a->first.n ? a->min : a->first.n;
    top = a->max != NO_LENGTH ? a->max : top;
    cell.b = cell.b < top ? cell.b + 1 : top;
    cell.phase = PH_AFTER;
    return cell;
}

void walk_step_array(struct schema_walk *w, struct cell cell, uint8_t byte)
{
    const struct array_alt *a = &w->s->arrays[cell.a];
    uint32_t item = array_item(a, cell.b);
    bool more = cell.b < a->max && fits(w, item, cell.depth);
    if (byte == ']') {
        if (cell.b >= a->min) {
            walk_emit_id(w, cell.parent);
        }
        return;
    }
    if (!more) {
        return;
    }
    struct cell after = array_next(a, cell);
    if (cell.phase == PH_OPEN) {
        walk_step_value(w, item, walk_cell(w, &after), cell.depth, byte);
    } else if (byte == ',') {
        struct cell value = {.parent = walk_cell(w, &after),
                             .a = item,
                             .op = OP_VALUE,
                             .phase = PH_SPACE,
                             .depth = cell.depth};
        walk_emit(w, &value);
    }
}

/* Objects: b = first property that may still come (in order), c = how many came, d = names used:
   indices, or 1 << 31 | text; e = how many of them are extra. */

static bool was_used(const struct schema_walk *w, uint32_t chain, uint32_t value)
{
    for (; chain != 0; chain = w->links[chain].before) {
        if (w->links[chain].value == value) {
            return true;
        }
    }
    return false;
}

static bool is_open(const struct schema_walk *w, const struct cell *cell, uint32_t i)
{
    return w->options.any_order ? !was_used(w, cell->d, i) : i >= cell->b;
}

static bool counts(const struct object_alt *o)
{
    return o->min > 0 || o->max != NO_LENGTH;
}

/* Names we may count on, for minProperties. */
static uint32_t extra_room(const struct schema_walk *w, const struct object_alt *o,
                           const struct cell *cell)
{
    bool many = o->extra.n == 1 &&
                (o->keys < 0 || w->s->dfas[o->keys]->words[0] >= EXTRA_NAMES_MAX) &&
                fits(w, o->extra.at[0], cell->depth);
    return many && cell->e < EXTRA_NAMES_MAX ? EXTRA_NAMES_MAX - cell->e : 0;
}

/* After one more name (index i, or n_props for an extra one), can the counts still come right? */
static bool counts_allow(const struct schema_walk *w, const struct object_alt *o,
                         const struct cell *cell, uint32_t i)
{
    if (!counts(o)) {
        return true;
    }
    uint32_t required = 0;
    uint32_t open = 0;
    for (uint32_t k = 0; k < o->n_props; k++) {
        bool later = k != i && is_open(w, cell, k) && (w->options.any_order || k > i);
        if (later) {
            required += o->props[k].required;
            open += fits(w, o->props[k].node, cell->depth);
        }
    }
    uint32_t extra = extra_room(w, o, cell);
    extra -= i == o->n_props && extra > 0 ? 1 : 0;
    return (o->max == NO_LENGTH || cell->c + 1 + required <= o->max) &&
           cell->c + 1 + open + extra >= o->min;
}

static uint32_t next_required(const struct object_alt *o, uint32_t i)
{
    return i < o->n_props ? o->props[i].next_required : o->n_props;
}

static bool allows(const struct schema_walk *w, const struct object_alt *o,
                   const struct cell *cell, uint32_t i)
{
    return is_open(w, cell, i) &&
           (w->options.any_order || i <= next_required(o, cell->b)) &&
           fits(w, o->props[i].node, cell->depth) && counts_allow(w, o, cell, i);
}

/* A name of the trie below this node that may come now. */
static bool trie_allows(const struct schema_walk *w, const struct object_alt *o,
                        const struct cell *cell, uint32_t node)
{
    const struct trie *t = &w->s->tries[node];
    if (t->value != UINT32_MAX && allows(w, o, cell, t->value)) {
        return true;
    }
    for (uint32_t at = t->child; at != 0; at = w->s->tries[at].sibling) {
        if (trie_allows(w, o, cell, at)) {
            return true;
        }
    }
    return false;
}

static size_t chain_text(const struct schema_walk *w, uint32_t chain, char *out)
{
    size_t n = 0;
    for (uint32_t at = chain; at != 0; at = w->links[at].before) {
        n++;
    }
    size_t i = n;
    for (uint32_t at = chain; at != 0; at = w->links[at].before) {
        out[--i] = (char)w->links[at].value;
    }
    return n;
}

/* Words that begin with `prefix` and may not be used again. */
static uint32_t words_gone(const struct schema_walk *w, const struct object_alt *o,
                           const struct cell *object, uint32_t prefix)
{
    char start[EXTRA_CHARS_MAX * 4 + 8];
    char word[EXTRA_CHARS_MAX * 4 + 8];
    size_t n = chain_text(w, prefix, start);
    const struct dfa *d = w->s->dfas[o->keys];
    uint32_t gone = 0;
    for (uint32_t i = 0; i < o->n_props; i++) {
        const struct property *p = &o->props[i];
        gone += p->len >= n && memcmp(p->name, start, n) == 0 && dfa_run(d, p->name, p->len) != 0;
    }
    for (uint32_t at = object->d; at != 0; at = w->links[at].before) {
        if ((w->links[at].value & NAME_EXTRA) != 0) {
            size_t len = chain_text(w, w->links[at].value & ~NAME_EXTRA, word);
            gone += len >= n && memcmp(word, start, n) == 0;
        }
    }
    return gone;
}

/* May an extra name that begins with this prefix still come? */
static bool extra_is_live(const struct schema_walk *w, const struct object_alt *o,
                          const struct cell *object, unsigned state, uint32_t prefix,
                          uint32_t chars)
{
    if (o->keys < 0) {
        return chars <= EXTRA_CHARS_MAX;
    }
    const struct dfa *d = w->s->dfas[o->keys];
    return d->shortest[state] != NO_LENGTH && chars + d->shortest[state] <= EXTRA_CHARS_MAX &&
           (d->words[state] == 65535 || d->words[state] > words_gone(w, o, object, prefix));
}

static bool allows_extra(const struct schema_walk *w, const struct object_alt *o,
                         const struct cell *cell)
{
    bool deep = o->extra.n == 0;
    for (uint32_t i = 0; i < o->extra.n; i++) {
        uint8_t depth = w->s->nodes[o->extra.at[i]].depth;
        deep = deep || (depth != DEPTH_NEVER || o->keys < 0 ? depth + cell->depth >
                                                                  SCHEMA_DEPTH_MAX
                                                            : false);
    }
    return !deep && cell->e < EXTRA_NAMES_MAX &&
           (w->options.any_order || next_required(o, cell->b) == o->n_props) &&
           counts_allow(w, o, cell, o->n_props) && extra_is_live(w, o, cell, 0, 0, 0);
}

static bool may_close(const struct schema_walk *w, const struct object_alt *o,
                      const struct cell *cell)
{
    bool whole = cell->c >= o->min || !counts(o);
    if (!w->options.any_order) {
        return whole && next_required(o, cell->b) == o->n_props;
    }
    for (uint32_t i = 0; i < o->n_props && whole; i++) {
        whole = !o->props[i].required || was_used(w, cell->d, i);
    }
    return whole;
}

void walk_step_object(struct schema_walk *w, struct cell cell, uint8_t byte)
{
    const struct object_alt *o = &w->s->objects[cell.a];
    if (byte == '}') {
        if ((cell.phase == PH_OPEN || cell.phase == PH_AFTER) && may_close(w, o, &cell)) {
            walk_emit_id(w, cell.parent);
        }
        return;
    }
    if (byte == ' ' && cell.phase == PH_COMMA) {
        cell.phase = PH_NEXT;
        walk_emit(w, &cell);
        return;
    }
    bool name = byte == '"' && (cell.phase == PH_OPEN || cell.phase == PH_NEXT ||
                                (cell.phase == PH_COMMA && w->options.loose_spaces));
    bool comma = byte == ',' && cell.phase == PH_AFTER;
    if (!name && !comma) {
        return;
    }
    bool listed = trie_allows(w, o, &cell, o->trie);
    bool extra = allows_extra(w, o, &cell);
    if (comma && (listed || extra)) {
        cell.phase = PH_COMMA;
        walk_emit(w, &cell);
    } else if (name && (listed || extra)) {
        cell.phase = PH_NEXT; /* one parent for all ways to get here */
        struct cell key = {.parent = walk_cell(w, &cell),
                           .a = o->trie, /* also to tell extra names from listed ones */
                           .b = extra ? 1 : 0,
                           .op = OP_KEY,
                           .depth = cell.depth};
        walk_emit(w, &key);
    }
}

/* Keys: a = trie node, b = 1 + state of an extra name, c = its text, d = UTF-8, e = characters. */

static void name_over(struct schema_walk *w, struct cell object, uint32_t i, uint32_t node,
                      uint32_t text)
{
    const struct object_alt *o = &w->s->objects[object.a];
    bool extra = i == o->n_props;
    uint32_t most = o->max != NO_LENGTH ? o->max : o->min;
    object.b = w->options.any_order ? 0 : extra ? o->n_props : i + 1;
    object.c = counts(o) && object.c < most ? object.c + 1 : object.c;
    object.e += extra ? 1 : 0;
    if (extra || w->options.any_order) {
        object.d = walk_link(w, object.d, extra ? NAME_EXTRA | text : i);
    }
    object.phase = PH_AFTER;
    struct cell colon = {.parent = walk_cell(w, &object),
                         .a = node,
                         .op = OP_COLON,
                         .depth = object.depth};
    walk_emit(w, &colon);
}

static bool step_extra(struct schema_walk *w, const struct object_alt *o,
                       const struct cell *object, struct cell *key, uint8_t byte)
{
    uint32_t first = 0;
    uint32_t last = 0;
    unsigned state = key->b - 1;
    if (byte < 0x20 || byte == '"' || byte == '\\') {
        return false;
    }
    int done = walk_utf8(&key->d, byte, &first, &last);
    if (done < 0) {
        return false;
    }
    key->c = walk_link(w, key->c, byte);
    if (done == 0) {
        return key->e < EXTRA_CHARS_MAX &&
               (o->keys < 0 || dfa_any(w->s->dfas[o->keys], state, first, last));
    }
    key->e++;
    if (o->keys >= 0) {
        const struct dfa *d = w->s->dfas[o->keys];
        unsigned to = d->next[state * d->n_classes + dfa_class(d, first)];
        if (to == DFA_DEAD) {
            return false;
        }
        key->b = to + 1;
        state = to;
    }
    return extra_is_live(w, o, object, state, key->c, key->e);
}

void walk_step_key(struct schema_walk *w, struct cell key, uint8_t byte)
{
    const struct cell object = w->cells[key.parent];
    const struct object_alt *o = &w->s->objects[object.a];
    uint32_t next = key.a != 0 ? trie_child(w->s, key.a, byte) : 0;
    if (byte == '"' && (key.d >> 28) == SUB_NONE) {
        uint32_t i = next != 0 ? w->s->tries[next].value : UINT32_MAX;
        if (i != UINT32_MAX) { /* a listed name is never an extra one */
            if (allows(w, o, &object, i)) {
                name_over(w, object, i, o->props[i].node, 0);
            }
            return;
        }
        if (next != 0) { /* inside a listed name, after a backslash */
            key.a = next;
            key.b = key.c = key.d = key.e = 0;
            if (trie_allows(w, o, &object, next)) {
                walk_emit(w, &key);
            }
            return;
        }
        uint16_t label = key.b == 0     ? 0
                         : o->keys < 0 ? 1
                                       : w->s->dfas[o->keys]->label[key.b - 1];
        if (label != 0 && !was_used(w, object.d, NAME_EXTRA | key.c)) {
            name_over(w, object, o->n_props, o->extra.at[label - 1], key.c);
        }
        return;
    }
    struct cell extra = key;
    bool alive = key.b != 0 && step_extra(w, o, &object, &extra, byte);
    struct cell made = alive ? extra : key;
    if (!alive) {
        made.b = 0;
        made.c = 0;
        made.d = 0;
        made.e = 0;
    }
    /* The trie is followed for as long as an extra name must not be one of its names. */
    made.a = next != 0 && (alive || trie_allows(w, o, &object, next)) ? next : 0;
    if (made.a != 0 || made.b != 0) {
        walk_emit(w, &made);
    }
}
