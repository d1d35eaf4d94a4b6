/* SPDX-License-Identifier: Apache-2.0 */
/* Program, inside: the run, and lists that grow to a limit. */
#pragma once

#include "trust/keyring/keyring.h"
#include "work/program/program.h"

/* A list of structs; the strings in them are the run's arena's. */
struct program_list {
    void *items;
    size_t len, room, size, max;
    const char *what; /* in the message when it is too long */
};

struct program_read_kept {
    const struct program_input *input;
    char format[32];
    struct document *document;
    struct program_read_kept *next;
};

struct program_run {
    struct program_definition *definition;
    struct principal who;
    const struct program_input *inputs;
    size_t inputs_len;
    const struct program_var *params;
    size_t params_len;
    const char *format;
    int64_t now;
    struct program_host host;
    struct arena *arena;
    struct program_read_kept *read;
    const char *title;
    struct program_list sections, fields, items, checks, findings, outputs, steps;
    size_t output_bytes, open;
    const char *too_much; /* what went over its limit; NULL: nothing */
    struct program_step_done step; /* the one going on; name NULL: none */
    int64_t step_began_us;
    double share;
    bool gone; /* ops->run was called */
};

void program_list_init(struct program_list *l, size_t size, size_t max, const char *what);
/* The next place, zeroed; NULL (and the run marked) when it is full. */
void *program_list_add(struct program_run *run, struct program_list *l);
void program_list_done(struct program_list *l);
/* A copy in the run's arena, "" for NULL. NULL when the arena is full: the run is marked. */
const char *program_keep(struct program_run *run, const char *s);
/* The same, NULL for NULL. */
const char *program_keep_maybe(struct program_run *run, const char *s);
/* prompt.c. Adds a fault for each mark of a Jinja template that is not closed, block that does not
   match, or tag that is none, with its line in the source. */
void program_prompt_lint(const char *source, const struct config_node *node, const char *name,
                         struct config_faults *faults);
/* Ends the step that is going on, if there is one. */
void program_step_end(struct program_run *run);
