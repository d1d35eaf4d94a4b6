/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, walking, shared by its files: walk.c (tables, states, the walk), walk_text.c
 * (strings, numbers, words), walk_object.c (values, arrays, objects and their names). A thread is a
 * cell and its parents; a step function reads one byte and emits the cells that may follow.
 * Owns: nothing of its own. Threads: one walk, one thread. Limits: WALK_THREADS_MAX.
 */
#pragma once

#include "run/schema/schema_internal.h"

#define WALK_THREADS_MAX 192
#define FEW_MAX 6
#define NAME_EXTRA (1u << 31) /* in a chain of names used: the text of one not listed */

enum op { OP_END, OP_VALUE, OP_WORD, OP_NUMBER, OP_TEXT, OP_ARRAY, OP_OBJECT, OP_KEY, OP_COLON };
enum phase { PH_NONE, PH_SPACE, PH_OPEN, PH_AFTER, PH_COMMA, PH_NEXT };

struct cell {
    uint32_t parent;
    uint32_t a; /* node, trie node, or alternative */
    uint32_t b;
    uint32_t c;
    uint32_t d;
    uint32_t e;
    uint8_t op;
    uint8_t phase;
    uint8_t depth; /* containers it is in */
    uint8_t unused;
};

struct set {
    uint32_t first;
    uint32_t n;
    uint32_t *row; /* of all bytes, once more than a few were asked for */
    int forced;
    uint32_t few[FEW_MAX];
    uint8_t few_bytes[FEW_MAX];
    uint8_t n_few;
};

struct link { /* one step of a chain of bytes, or of names used */
    uint32_t before;
    uint32_t value;
};

struct schema_walk {
    const struct schema *s;
    struct schema_options options;
    VECTOR(struct cell, cells);
    VECTOR(struct set, sets);
    VECTOR(uint32_t, members);
    VECTOR(struct link, links);
    uint32_t *cell_hash;
    uint32_t cell_hash_room;
    uint32_t *set_hash;
    uint32_t set_hash_room;
    uint32_t *link_hash;
    uint32_t link_hash_room;
    uint32_t out[WALK_THREADS_MAX];
    uint32_t n_out;
    size_t rows;
};

/* Strings. sub: what of a character or an escape was read:
   kind << 28 | total bytes << 26 | bytes read << 24 | value. */

enum { SUB_NONE, SUB_BYTES, SUB_ESCAPE, SUB_HEX, SUB_LOW_SLASH, SUB_LOW_U, SUB_LOW_HEX };
#define SUB(kind, total, have, value)                                                              \
    ((uint32_t)(kind) << 28 | (uint32_t)(total) << 26 | (uint32_t)(have) << 24 | (value))
#define SUB_KIND(sub) ((sub) >> 28)
#define SUB_TOTAL(sub) (((sub) >> 26) & 3u)
#define SUB_HAVE(sub) (((sub) >> 24) & 3u)
#define SUB_VALUE(sub) ((sub)&0x1fffffu)

/* walk.c */
uint32_t walk_cell(struct schema_walk *w, const struct cell *cell);
uint32_t walk_link(struct schema_walk *w, uint32_t before, uint32_t value);
void walk_emit_id(struct schema_walk *w, uint32_t id);
void walk_emit(struct schema_walk *w, const struct cell *cell);

/* walk_text.c */
void walk_step_text(struct schema_walk *w, struct cell cell, uint8_t byte);
void walk_step_number(struct schema_walk *w, struct cell cell, uint8_t byte);
void walk_step_word(struct schema_walk *w, struct cell cell, uint8_t byte);
/* A string without a pattern where more than one byte may come. */
bool walk_is_free_text(const struct schema_walk *w, const struct cell *cell);
/* One more byte of UTF-8: 1 = *first is the whole character, 0 = *sub waits for more of those in
   [*first, *last], -1 = no character. */
int walk_utf8(uint32_t *sub, uint8_t byte, uint32_t *first, uint32_t *last);

/* walk_object.c */
/* The first byte of a value whose end leads to `parent`. */
void walk_step_value(struct schema_walk *w, uint32_t id, uint32_t parent, uint8_t depth,
                     uint8_t byte);
void walk_step_array(struct schema_walk *w, struct cell cell, uint8_t byte);
void walk_step_object(struct schema_walk *w, struct cell cell, uint8_t byte);
void walk_step_key(struct schema_walk *w, struct cell key, uint8_t byte);
