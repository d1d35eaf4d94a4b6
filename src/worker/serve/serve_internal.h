/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/serve, shared by its files: ask.c reads bodies into structs, answer.c writes results as
 * bodies.
 * Owns: nothing. Threads: one.
 */
#pragma once

#include "worker/serve/serve.h"

/* LOAD. Strings point into `tree`. *turns: the server schedules steps. */
enum fail ask_read_load(const json_t *tree, struct engine_load *load, bool *turns,
                        struct fault *why);
struct state_ask {
    bool take; /* else give */
    const char *prefix;
    const char *domain;
    int64_t bytes;
};
/* STATE. Strings point into `tree`. */
enum fail ask_read_state(const json_t *tree, struct state_ask *out, struct fault *why);
/* GENERATE, FORM or EMBED. *out is owned by the caller until an engine takes it. */
enum fail ask_read(const struct ipc_frame *frame, struct engine_ask **out, struct fault *why);
/* The part of {"messages",…} that the shim reads, as text in the arena. */
enum fail ask_read_adapter(const json_t *tree, struct engine_adapter *out, struct fault *why);
enum fail ask_read_messages(const json_t *tree, struct arena *arena, const char **request,
                            bool *tools, struct fault *why);

void answer_loaded(struct buf *out, const struct engine_loaded *loaded, double ms);
void answer_generated(struct buf *out, const struct engine_generated *result);
void answer_embedded(struct buf *out, const struct engine_embedded *result);
void answer_fault(struct buf *out, const struct fault *why);
