/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, walking: a text's states. A thread is a stack of places (cells, each with its
 * parent), a state is a set of threads; cells and states are kept once and numbered, and every step
 * is remembered, so that a state met again costs one look-up. A thread never enters a place from
 * which it cannot come to an end, so each of them alone would do, and when there are too many the
 * last ones are dropped.
 * Owns: its tables. Threads: one walk, one thread. Limits: WALK_THREADS_MAX threads a state; the
 * caller compacts at SCHEMA_WALK_BYTES_MAX.
 */
#include "run/schema/walk_internal.h"

#include <string.h>

#define UNKNOWN UINT32_MAX
#define NOT_ASKED (-2)

/* Tables. */

static uint32_t hash_bytes(const void *data, size_t n)
{
    const uint32_t *words = data;
    uint64_t h = 1469598103934665603ull;
    for (size_t i = 0; i < n / 4; i++) {
        h = (h ^ words[i]) * 1099511628211ull;
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ h >> 32);
}

/* Doubles a table of indices + 1 when it is half full; rehash gives the hash of an index. */
static bool must_grow(uint32_t n, uint32_t room)
{
    return n * 2 >= room;
}

uint32_t walk_cell(struct schema_walk *w, const struct cell *cell)
{
    if (must_grow(w->n_cells, w->cell_hash_room)) {
        w->cell_hash_room = w->cell_hash_room * 2 + 256;
        mem_free(w->cell_hash);
        w->cell_hash = mem_alloc_array(w->cell_hash_room, sizeof *w->cell_hash);
        for (uint32_t i = 0; i < w->n_cells; i++) {
            uint32_t at = hash_bytes(&w->cells[i], sizeof *cell) % w->cell_hash_room;
            while (w->cell_hash[at] != 0) {
                at = (at + 1) % w->cell_hash_room;
            }
            w->cell_hash[at] = i + 1;
        }
    }
    uint32_t at = hash_bytes(cell, sizeof *cell) % w->cell_hash_room;
    for (; w->cell_hash[at] != 0; at = (at + 1) % w->cell_hash_room) {
        if (memcmp(&w->cells[w->cell_hash[at] - 1], cell, sizeof *cell) == 0) {
            return w->cell_hash[at] - 1;
        }
    }
    VECTOR_GROW(w, cells);
    w->cells[w->n_cells] = *cell;
    w->cell_hash[at] = ++w->n_cells;
    return w->n_cells - 1;
}

uint32_t walk_link(struct schema_walk *w, uint32_t before, uint32_t value)
{
    struct link link = {before, value};
    if (must_grow(w->n_links, w->link_hash_room)) {
        w->link_hash_room = w->link_hash_room * 2 + 256;
        mem_free(w->link_hash);
        w->link_hash = mem_alloc_array(w->link_hash_room, sizeof *w->link_hash);
        for (uint32_t i = 1; i < w->n_links; i++) {
            uint32_t at = hash_bytes(&w->links[i], sizeof link) % w->link_hash_room;
            while (w->link_hash[at] != 0) {
                at = (at + 1) % w->link_hash_room;
            }
            w->link_hash[at] = i;
        }
    }
    uint32_t at = hash_bytes(&link, sizeof link) % w->link_hash_room;
    for (; w->link_hash[at] != 0; at = (at + 1) % w->link_hash_room) {
        if (memcmp(&w->links[w->link_hash[at]], &link, sizeof link) == 0) {
            return w->link_hash[at];
        }
    }
    VECTOR_GROW(w, links);
    w->links[w->n_links] = link;
    w->link_hash[at] = w->n_links++;
    return w->n_links - 1;
}

static uint32_t hash_members(const uint32_t *list, uint32_t n)
{
    return hash_bytes(list, n * sizeof *list);
}

/* The state of w->out[0..n_out). */
static uint32_t set_of(struct schema_walk *w)
{
    uint32_t n = w->n_out;
    for (uint32_t i = 1; i < n; i++) { /* few: insertion sort */
        uint32_t value = w->out[i];
        uint32_t k = i;
        for (; k > 0 && w->out[k - 1] > value; k--) {
            w->out[k] = w->out[k - 1];
        }
        w->out[k] = value;
    }
    if (must_grow(w->n_sets, w->set_hash_room)) {
        w->set_hash_room = w->set_hash_room * 2 + 256;
        mem_free(w->set_hash);
        w->set_hash = mem_alloc_array(w->set_hash_room, sizeof *w->set_hash);
        for (uint32_t i = 0; i < w->n_sets; i++) {
            uint32_t at =
                hash_members(w->members + w->sets[i].first, w->sets[i].n) % w->set_hash_room;
            while (w->set_hash[at] != 0) {
                at = (at + 1) % w->set_hash_room;
            }
            w->set_hash[at] = i + 1;
        }
    }
    uint32_t at = hash_members(w->out, n) % w->set_hash_room;
    for (; w->set_hash[at] != 0; at = (at + 1) % w->set_hash_room) {
        const struct set *set = &w->sets[w->set_hash[at] - 1];
        if (set->n == n && (n == 0 || memcmp(w->members + set->first, w->out,
                                             n * sizeof *w->out) == 0)) {
            return w->set_hash[at] - 1;
        }
    }
    VECTOR_GROW(w, sets);
    w->sets[w->n_sets] = (struct set){.first = w->n_members, .n = n, .forced = NOT_ASKED};
    for (uint32_t i = 0; i < n; i++) {
        VECTOR_GROW(w, members);
        w->members[w->n_members++] = w->out[i];
    }
    w->set_hash[at] = ++w->n_sets;
    return w->n_sets - 1;
}

void walk_emit_id(struct schema_walk *w, uint32_t id)
{
    for (uint32_t i = 0; i < w->n_out; i++) {
        if (w->out[i] == id) {
            return;
        }
    }
    if (w->n_out < WALK_THREADS_MAX) {
        w->out[w->n_out++] = id;
    }
}

void walk_emit(struct schema_walk *w, const struct cell *cell)
{
    walk_emit_id(w, walk_cell(w, cell));
}

/* One byte. */

static void step_cell(struct schema_walk *w, uint32_t id, uint8_t byte)
{
    const struct cell cell = w->cells[id];
    switch ((enum op)cell.op) {
    case OP_END:
        break;
    case OP_VALUE:
        if (cell.phase == PH_SPACE && byte == ' ') {
            struct cell value = cell;
            value.phase = PH_NONE;
            walk_emit(w, &value);
        } else if (cell.phase != PH_SPACE || w->options.loose_spaces) {
            walk_step_value(w, cell.a, cell.parent, cell.depth, byte);
        }
        break;
    case OP_WORD:
        walk_step_word(w, cell, byte);
        break;
    case OP_NUMBER:
        walk_step_number(w, cell, byte);
        break;
    case OP_TEXT:
        walk_step_text(w, cell, byte);
        break;
    case OP_ARRAY:
        walk_step_array(w, cell, byte);
        break;
    case OP_OBJECT:
        walk_step_object(w, cell, byte);
        break;
    case OP_KEY:
        walk_step_key(w, cell, byte);
        break;
    case OP_COLON:
        if (byte == ':') {
            struct cell value = {.parent = cell.parent,
                                 .a = cell.a,
                                 .op = OP_VALUE,
                                 .phase = PH_SPACE,
                                 .depth = cell.depth};
            walk_emit(w, &value);
        }
        break;
    }
}

static uint32_t step_set(struct schema_walk *w, uint32_t state, uint8_t byte)
{
    w->n_out = 0;
    for (uint32_t i = 0; i < w->sets[state].n; i++) {
        step_cell(w, w->members[w->sets[state].first + i], byte);
    }
    return set_of(w);
}

uint32_t schema_walk_step(struct schema_walk *w, uint32_t state, uint8_t byte)
{
    struct set *set = &w->sets[state];
    for (unsigned i = 0; i < set->n_few; i++) {
        if (set->few_bytes[i] == byte) {
            return set->few[i];
        }
    }
    if (state == 0) {
        return 0;
    }
    if (set->row == NULL && set->n_few < FEW_MAX) { /* most states are left by a few bytes only */
        uint32_t next = step_set(w, state, byte);
        set = &w->sets[state];
        set->few_bytes[set->n_few] = byte;
        set->few[set->n_few++] = next;
        return next;
    }
    uint32_t *row = set->row;
    if (row == NULL) {
        row = mem_alloc_array(256, sizeof *row);
        memset(row, 0xff, 256 * sizeof *row);
        w->sets[state].row = row;
        w->rows++;
    }
    if (row[byte] == UNKNOWN) {
        row[byte] = step_set(w, state, byte);
    }
    return row[byte];
}

/* The walk. */

static void tables_init(struct schema_walk *w)
{
    struct cell end = {.op = OP_END};
    VECTOR_GROW(w, links);
    w->n_links = 1; /* 0 means none */
    w->n_out = 0;
    (void)set_of(w); /* state 0: no text */
    (void)walk_cell(w, &end);
}

struct schema_walk *schema_walk_new(const struct schema *s, const struct schema_options *options)
{
    struct schema_walk *w = mem_alloc(sizeof *w);
    w->s = s;
    if (options != NULL) {
        w->options = *options;
    }
    tables_init(w);
    return w;
}

static void tables_free(struct schema_walk *w)
{
    for (uint32_t i = 0; i < w->n_sets; i++) {
        mem_free(w->sets[i].row);
    }
    mem_free(w->cells);
    mem_free(w->sets);
    mem_free(w->members);
    mem_free(w->links);
    mem_free(w->cell_hash);
    mem_free(w->set_hash);
    mem_free(w->link_hash);
}

void schema_walk_free(struct schema_walk *w)
{
    if (w != NULL) {
        tables_free(w);
        mem_free(w);
    }
}

uint32_t schema_walk_start(struct schema_walk *w)
{
    struct cell value = {.a = w->s->root, .op = OP_VALUE};
    w->n_out = 0;
    walk_emit(w, &value);
    return set_of(w);
}

bool schema_walk_complete(struct schema_walk *w, uint32_t state)
{
    /* The end is cell 0, and members are sorted. */
    return w->sets[state].n > 0 && w->members[w->sets[state].first] == 0;
}

bool schema_walk_over(struct schema_walk *w, uint32_t state)
{
    if (!schema_walk_complete(w, state)) {
        return false;
    }
    bool over = true; /* a number at its last digit is over, though its cell is still there */
    for (int byte = 0x20; byte < 0x80 && over && w->sets[state].n > 1; byte++) {
        over = schema_walk_step(w, state, (uint8_t)byte) == 0;
    }
    return over;
}

/* -1: not known; SCHEMA_ROOM_MAX stands for more. */
static int cell_room(const struct schema_walk *w, const struct cell *cell)
{
    if (cell->op == OP_TEXT && cell->d == 0 && w->s->texts[cell->a].dfa < 0) {
        uint32_t room = w->s->texts[cell->a].max - cell->c;
        return room < SCHEMA_ROOM_MAX ? (int)room : SCHEMA_ROOM_MAX;
    }
    if (cell->op == OP_KEY && cell->b != 0 && cell->d == 0 &&
        w->s->objects[w->cells[cell->parent].a].keys < 0) {
        int room = EXTRA_CHARS_MAX - (int)cell->e;
        /* near the limit a listed name may still be longer */
        return room >= SCHEMA_ROOM_MAX ? SCHEMA_ROOM_MAX : cell->a == 0 ? room : -1;
    }
    return -1;
}

int schema_walk_room(struct schema_walk *w, uint32_t state)
{
    int most = -1;
    for (uint32_t i = 0; i < w->sets[state].n; i++) {
        int room = cell_room(w, &w->cells[w->members[w->sets[state].first + i]]);
        most = room > most ? room : most;
    }
    return w->sets[state].n == 1 || most == SCHEMA_ROOM_MAX ? most : -1;
}

static int find_forced(struct schema_walk *w, uint32_t state)
{
    int only = -1;
    for (uint32_t i = 0; i < w->sets[state].n; i++) {
        if (walk_is_free_text(w, &w->cells[w->members[w->sets[state].first + i]])) {
            return -1;
        }
    }
    for (int byte = 0x20; byte < 256; byte++) {
        if (schema_walk_step(w, state, (uint8_t)byte) != 0) {
            if (only >= 0) {
                return -1;
            }
            only = byte;
        }
    }
    return only;
}

int schema_walk_forced(struct schema_walk *w, uint32_t state)
{
    if (w->sets[state].forced == NOT_ASKED) {
        int forced = state == 0 || schema_walk_complete(w, state) ? -1 : find_forced(w, state);
        w->sets[state].forced = forced;
    }
    return w->sets[state].forced;
}

size_t schema_walk_size(const struct schema_walk *w)
{
    return w->rows * 1024 + w->room_cells * sizeof *w->cells + w->room_sets * sizeof *w->sets +
           (w->room_members + w->cell_hash_room + w->set_hash_room + w->link_hash_room) * 4u +
           w->room_links * sizeof *w->links;
}

/* Compacting: the cells of one state, with all they hang on, into new tables. */

static uint32_t copy_chain(struct schema_walk *to, const struct schema_walk *from, uint32_t chain)
{
    if (chain == 0) {
        return 0;
    }
    uint32_t value = from->links[chain].value;
    uint32_t before = copy_chain(to, from, from->links[chain].before);
    if ((value & NAME_EXTRA) != 0) {
        value = NAME_EXTRA | copy_chain(to, from, value & ~NAME_EXTRA);
    }
    return walk_link(to, before, value);
}

static uint32_t copy_cell(struct schema_walk *to, const struct schema_walk *from, uint32_t id)
{
    struct cell cell = from->cells[id];
    if (cell.op == OP_END) {
        return 0;
    }
    cell.parent = copy_cell(to, from, cell.parent);
    if (cell.op == OP_OBJECT) {
        cell.d = copy_chain(to, from, cell.d);
    } else if (cell.op == OP_KEY) {
        cell.c = copy_chain(to, from, cell.c);
    }
    return walk_cell(to, &cell);
}

uint32_t schema_walk_compact(struct schema_walk *w, uint32_t state)
{
    struct schema_walk fresh = {.s = w->s, .options = w->options};
    tables_init(&fresh);
    fresh.n_out = 0;
    for (uint32_t i = 0; i < w->sets[state].n; i++) {
        walk_emit_id(&fresh, copy_cell(&fresh, w, w->members[w->sets[state].first + i]));
    }
    uint32_t made = set_of(&fresh);
    tables_free(w);
    *w = fresh;
    return made;
}

bool schema_accepts(const struct schema *s, const struct schema_options *options, const char *text,
                    size_t n)
{
    struct schema_walk *w = schema_walk_new(s, options);
    uint32_t state = schema_walk_start(w);
    for (size_t i = 0; i < n && state != 0; i++) {
        state = schema_walk_step(w, state, (uint8_t)text[i]);
        if (schema_walk_size(w) > SCHEMA_WALK_BYTES_MAX) {
            state = schema_walk_compact(w, state);
        }
    }
    bool accepted = state != 0 && schema_walk_complete(w, state);
    schema_walk_free(w);
    return accepted;
}
