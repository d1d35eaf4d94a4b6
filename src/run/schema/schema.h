/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema: a JSON Schema (draft 2020-12, the subset of docs/reference/schema.md) compiled to a
 * machine over bytes. Every text that the machine accepts is a JSON document that is valid under
 * the schema; what the subset lacks is refused by the name of its keyword, never ignored. From
 * every state it offers, a valid end can be reached: nothing ends in a dead end.
 *
 * The machine writes one spelling: one space after ':' and ',' and none elsewhere; properties in
 * the schema's order, optional ones may be left out, then additional ones.
 * Owns: what it returns. Threads: a compiled schema is constant and may be shared; a walk belongs
 * to one thread. Nothing blocks.
 * Limits: SCHEMA_*; compiling and stepping do a bounded amount of work, whatever the schema.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/json/json.h"

#define SCHEMA_BYTES_MAX (64u * 1024)
#define SCHEMA_DEPTH_MAX 64    /* nesting of a schema, and of a document it may write */
#define SCHEMA_NODES_MAX 16384 /* places of a schema, and of what allOf makes of them */
#define SCHEMA_BRANCHES_MAX 32 /* alternatives of one type in one place */
#define SCHEMA_PATTERN_BYTES_MAX 1024
#define SCHEMA_PATTERN_STATES_MAX 4000
#define SCHEMA_PATTERNS_MAX 8  /* patternProperties that may meet in one object */
#define SCHEMA_WORK_MAX (24u << 20)
#define SCHEMA_WALK_BYTES_MAX (8u << 20)

struct schema;

/*
 * Compiles a schema (an object or a boolean). FAIL_UNSUPPORTED names the keyword and its JSON
 * pointer; FAIL_TOO_LARGE names the limit; FAIL_BAD_REQUEST says what is not a schema. Takes at
 * most some tens of milliseconds. The tree is only read.
 */
MUST_CHECK enum fail schema_compile(const json_t *tree, struct schema **out, struct fault *why);
/* The same from text; at most SCHEMA_BYTES_MAX bytes. */
MUST_CHECK enum fail schema_compile_text(const char *text, size_t n, struct schema **out,
                                         struct fault *why);
void schema_free(struct schema *schema);
/* Bytes it holds, for who keeps several. */
size_t schema_size(const struct schema *schema);

/*
 * The plan of a form that fills a flat object: enums of plain strings or of integers and booleans
 * become choices with probabilities, integers and numbers digits inside their bounds (numbers
 * without multipleOf get two decimals, bounds are at most +-99999999), the format date a date,
 * strings with maxLength texts. Every property is filled. FAIL_UNSUPPORTED names the property that
 * a form cannot keep. *out is the caller's (form_plan_free).
 */
struct form_plan;
struct form_result;
MUST_CHECK enum fail schema_form(const json_t *tree, struct form_plan **out, struct fault *why);
/*
 * The document that a filled plan of schema_form is, in the machine's own spelling, onto out. False
 * when the schema does not accept it (the engine is not to be trusted) or out has no room.
 */
MUST_CHECK bool schema_form_fill(const struct schema *schema, const struct form_plan *plan,
                                 const struct form_result *result, struct buf *out);

/* How a walk differs from what a model is made to write; for checking texts of others. */
struct schema_options {
    bool any_order;    /* properties in any order */
    bool loose_spaces; /* the space after ':' and ',' may be missing */
};

/* A walk: states are numbers that mean something to this walk only. 0 is the state of no text. */
struct schema_walk;
/* options may be NULL. The schema must outlive it. */
struct schema_walk *schema_walk_new(const struct schema *schema,
                                    const struct schema_options *options);
void schema_walk_free(struct schema_walk *walk);
uint32_t schema_walk_start(struct schema_walk *walk);
/* The state after one more byte; 0 when no valid document continues so. */
uint32_t schema_walk_step(struct schema_walk *walk, uint32_t state, uint8_t byte);
/* The text so far is a whole document. */
bool schema_walk_complete(struct schema_walk *walk, uint32_t state);
/* It is, and nothing may follow. */
bool schema_walk_over(struct schema_walk *walk, uint32_t state);
/* The one byte that may follow, or -1 when there are several or the text may end here. */
int schema_walk_forced(struct schema_walk *walk, uint32_t state);
/* How many plain characters (no quote, no backslash, no control) may follow here, whatever they
   are: in the body of a string without a pattern, or of a free name. At most SCHEMA_ROOM_MAX;
   -1: that is not all that the plain characters which may follow depend on. */
#define SCHEMA_ROOM_MAX 32
int schema_walk_room(struct schema_walk *walk, uint32_t state);
/* Bytes that it holds. Over SCHEMA_WALK_BYTES_MAX the caller calls schema_walk_compact. */
size_t schema_walk_size(const struct schema_walk *walk);
/* Forgets all states but this one; returns its new number. */
uint32_t schema_walk_compact(struct schema_walk *walk, uint32_t state);

/* Is the whole text accepted? */
bool schema_accepts(const struct schema *schema, const struct schema_options *options,
                    const char *text, size_t n);
