/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, shared by its files: regex.c (pattern to automaton), dfa.c (what is done with
 * automata), number.c, format.c, compile.c (keywords), typed.c
 * (those of one type), meet.c (allOf), negate.c, finish.c (tries,
 * depths), walk.c. A place of a schema is a node: the union of its literals (enum, const, null,
 * true, false) and of alternatives per type. Numbers are exact: units of 10^-9 in 128 bits.
 * Owns: below. Threads: none shared. Limits: schema.h.
 */
#pragma once

#include "run/schema/schema.h"

#include "base/mem/mem.h"
#include "base/text/text.h"

#define DFA_DEAD 0xffffu
#define UNITS 1000000000ll /* of 10^-9 in 1 */
#define NODE_ANY 0u
#define NODE_NONE 1u
#define DEPTH_NEVER 255u
#define NO_LENGTH UINT32_MAX
#define EXTRA_CHARS_MAX 80   /* of a property name that the schema does not list */
#define EXTRA_NAMES_MAX 64   /* of those in one object */

/* Patterns. An automaton over characters; the alphabet is cut into intervals. */

struct dfa {
    uint32_t *from;   /* n_classes: first character of each interval, from[0] = 0 */
    uint16_t *next;   /* n_states x n_classes */
    uint16_t *label;  /* per state: 0 = not accepting */
    uint32_t *shortest; /* per state: characters to the nearest accepting one */
    uint32_t *longest;  /* NO_LENGTH: without end */
    uint32_t *words;    /* how many words lead to acceptance, at most 65535 */
    uint8_t ascii[128]; /* class of the ASCII characters */
    uint16_t n_classes;
    uint16_t n_states; /* 0 is the start */
    bool exact;        /* the same language in every dialect of patterns */
};

/* The pattern's language of whole strings: it is searched for, not matched at the start. */
MUST_CHECK enum fail dfa_from_pattern(const char *pattern, size_t n, uint64_t *work,
                                      struct dfa **out, struct fault *why);
/* label(bits) of the tuple; bits: which of the automata accept. Labels 0 are not accepting. */
typedef uint16_t (*dfa_label_fn)(unsigned bits, unsigned n);
MUST_CHECK enum fail dfa_product(struct dfa *const *list, unsigned n, dfa_label_fn label,
                                 uint64_t *work, struct dfa **out, struct fault *why);
uint16_t dfa_label_all(unsigned bits, unsigned n);
uint16_t dfa_label_none(unsigned bits, unsigned n);
/* Exactly these strings. */
MUST_CHECK enum fail dfa_from_strings(const char *const *list, const size_t *lens, size_t n,
                                      uint64_t *work, struct dfa **out, struct fault *why);
struct dfa *dfa_new(unsigned n_states, unsigned n_classes);
/* Cuts off what leads nowhere and counts lengths and words; call it once, last. */
void dfa_finish(struct dfa *dfa);
void dfa_free(struct dfa *dfa);
size_t dfa_size(const struct dfa *dfa);
bool dfa_is_empty(const struct dfa *dfa);
unsigned dfa_class(const struct dfa *dfa, uint32_t cp);
/* No character that needs an escape or lies outside of what we write. */
void dfa_only_plain(struct dfa *dfa);
uint16_t dfa_run(const struct dfa *dfa, const char *text, size_t n); /* the label, 0 = refused */
/* Does a live transition exist for some character of [first, last]? */
bool dfa_any(const struct dfa *dfa, unsigned state, uint32_t first, uint32_t last);

/* The pattern of a format, or NULL. */
const char *format_pattern(const char *name);

/* Numbers. */

struct number {
    __int128 lo;
    __int128 hi;
    __int128 step; /* a multiple of UNITS: integers only */
    bool bounded;
};

extern const struct number number_free;
/* A JSON number in units; false when it has more than nine decimals or 18 digits: then *sign says
   on which side of the range it lies, 0: inside, but not exactly known. */
bool number_units(const json_t *value, __int128 *units, int *sign);
bool number_holds(const struct number *n, __int128 units);
/* lcm of the steps, inside the bounds; false when nothing is left. */
bool number_meet(const struct number *a, const struct number *b, struct number *out);
bool number_is_integer(const struct number *n);
bool number_is_void(const struct number *n);

/* The state of a number being written: its digits as one integer, and where it is in them. */
struct digits {
    uint64_t value;
    uint8_t phase; /* DIGITS_* */
    uint8_t whole; /* digits before the point */
    uint8_t part;  /* after it, or of the exponent */
    bool minus;
};
enum { DIGITS_START, DIGITS_WHOLE, DIGITS_POINT, DIGITS_PART, DIGITS_E, DIGITS_SIGN, DIGITS_POWER };
/* One more byte; false when no number in the bounds begins so. */
bool digits_step(const struct number *n, struct digits *d, uint8_t byte);
bool digits_complete(const struct number *n, const struct digits *d);

/* Nodes. */

struct ids {
    uint32_t *at;
    uint32_t n;
    uint32_t room;
};
void ids_add(struct ids *ids, uint32_t id);

struct text_alt {
    int dfa; /* -1: any characters */
    uint32_t min;
    uint32_t max; /* NO_LENGTH */
    uint8_t *lengths; /* bitmap [state][max + 1] of lengths to the end; NULL: not needed */
};

struct array_alt {
    struct ids first; /* prefixItems */
    uint32_t items;
    uint32_t min;
    uint32_t max;
    uint8_t depth;
};

struct property {
    const char *name;
    uint32_t len;
    uint32_t node;
    bool required;
    uint32_t next_required; /* index of the first required one from here on */
};

/* One schema object's say about the names it does not list. */
struct names_group {
    struct ids dfas;  /* of patternProperties */
    struct ids nodes;
    uint32_t additional;
};

struct object_alt {
    struct property *props;
    uint32_t n_props;
    uint32_t room;
    struct names_group *groups;
    uint32_t n_groups;
    int names; /* dfa of propertyNames, -1 */
    uint32_t min;
    uint32_t max;
    /* made by finish.c */
    uint32_t trie;        /* of the property names */
    int keys;             /* dfa whose labels are 1 + index into extra, -1: any name */
    struct ids extra;     /* nodes of names not listed; keys -1: extra.at[0]; empty: none allowed */
    uint8_t depth;
    bool keyed;           /* keys and extra are made */
};

enum node_state { NODE_PENDING, NODE_BUSY, NODE_DONE };

struct node {
    enum node_state state;
    const json_t *json; /* what it is made of: this, */
    const char *path;
    uint32_t left;      /* or these two met */
    uint32_t right;
    const json_t **literals;
    uint32_t n_literals;
    uint32_t room_literals;
    struct ids numbers;
    struct ids texts;
    struct ids arrays;
    struct ids objects;
    uint32_t trie;
    bool unsure;   /* a value left out of it may yet belong */
    uint8_t depth; /* the least nesting of a value; DEPTH_NEVER: there is none */
};

struct trie {
    uint32_t child;
    uint32_t sibling;
    uint32_t value; /* UINT32_MAX: not the end of a word */
    uint8_t byte;
};

#define VECTOR(type, name)                                                                         \
    type *name;                                                                                    \
    uint32_t n_##name;                                                                             \
    uint32_t room_##name

struct schema {
    VECTOR(struct node, nodes);
    VECTOR(struct number, numbers);
    VECTOR(struct text_alt, texts);
    VECTOR(struct array_alt, arrays);
    VECTOR(struct object_alt, objects);
    VECTOR(struct dfa *, dfas);
    VECTOR(struct trie, tries);
    uint32_t root;
    struct arena *arena; /* property names */
};

/* Makes room for one more; the counter is the caller's to raise. */
#define VECTOR_GROW(owner, name)                                                                   \
    do {                                                                                           \
        if ((owner)->n_##name == (owner)->room_##name) {                                           \
            (owner)->room_##name = (owner)->room_##name * 2 + 16;                                  \
            (owner)->name = mem_realloc((owner)->name,                                             \
                                        (owner)->room_##name * sizeof *(owner)->name);             \
        }                                                                                          \
    } while (0)

struct pair_slot {
    uint64_t key;
    uint32_t node;
};

struct compiler {
    struct schema *s;
    const json_t *root;
    const char *root_id;
    struct arena *arena; /* paths */
    struct buf path;
    uint64_t work;
    uint32_t next_pending;
    struct pair_slot *memo; /* open addressing, by pair or by pointer */
    uint32_t n_memo;
    uint32_t room_memo;
    json_t *words; /* null, true, false: literals of their types */
    bool unsure;   /* a number of an enum could not be held against its bounds */
    struct fault *why;
};

/* compile.c */
enum fail compile_spend(struct compiler *c, uint64_t work);
enum fail compile_node(struct compiler *c, uint32_t *out);
/* Fills it, now. */
enum fail compile_ensure(struct compiler *c, uint32_t node);
uint32_t *compile_memo(struct compiler *c, uint64_t key, bool *found);
/* The keyword at c->path is not supported. */
enum fail compile_refuse(struct compiler *c, const char *keyword, const char *reason);
enum fail compile_add_dfa(struct compiler *c, struct dfa *dfa, int *out);
void node_add_literal(struct node *node, const json_t *value);
/* A copy of another node's alternatives onto the end of this one's. */
enum fail node_join(struct compiler *c, uint32_t to, uint32_t from);

/* What stands wrong at c->path. */
enum fail compile_wrong(struct compiler *c, const char *keyword, const char *problem);
/* c->path one step down; gives what compile_path_back needs to undo it. */
size_t compile_path(struct compiler *c, const char *key);
size_t compile_path_index(struct compiler *c, const char *key, size_t i);
void compile_path_back(struct compiler *c, size_t back);
/* The node of the schema at c->path, or one step below; filled later. */
enum fail compile_child(struct compiler *c, const json_t *json, uint32_t *out);
enum fail compile_child_at(struct compiler *c, const json_t *json, const char *key, uint32_t *out);
void compile_join_ids(struct ids *to, const struct ids *from);

/* typed.c */
/* What an object's keywords of types allow, as alternatives of a node. */
enum fail typed_add(struct compiler *c, uint32_t node, const json_t *o);
enum fail typed_object(struct compiler *c, uint32_t node, const json_t *o);
/* Frees what it points to. */
void object_alt_drop(struct object_alt *a);

/* meet.c */
/* The node of what is valid under both; lazy: filled later. */
enum fail meet_nodes(struct compiler *c, uint32_t a, uint32_t b, bool lazy, uint32_t *out);
enum fail meet_fill(struct compiler *c, uint32_t node);
/* The node of a name that the object does not list. */
enum fail meet_extra(struct compiler *c, const struct object_alt *o, const char *name, size_t len,
                     uint32_t *out);
/* Is this value valid? */
bool node_holds(struct compiler *c, uint32_t node, const json_t *value);
/* No value at all, as far as can be seen without going deep. */
bool node_is_void(struct compiler *c, uint32_t node, int deep);

/* negate.c */
/* The node of what is not valid under it; FAIL_UNSUPPORTED when it cannot be said exactly. */
enum fail negate_node(struct compiler *c, uint32_t node, const char *keyword, uint32_t *out);

/* finish.c */
enum fail finish_schema(struct compiler *c);
uint32_t trie_new(struct schema *s);
/* Adds a word; keeps the first value of equal ones. */
void trie_add(struct schema *s, uint32_t root, const char *word, size_t n, uint32_t value);
uint32_t trie_child(const struct schema *s, uint32_t node, uint8_t byte); /* 0: none */
/* A JSON text in the machine's spelling. */
bool json_spell(const json_t *value, struct buf *out);
void json_spell_string(const char *text, size_t n, struct buf *out);

/* Characters we write: not NUL nor most controls, no surrogates. */
bool cp_is_written(uint32_t cp);
