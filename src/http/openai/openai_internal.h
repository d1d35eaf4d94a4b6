/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI, inside: what chat and embeddings share. */
#pragma once

#include "http/openai/openai.h"

/* A new id in OpenAI's look: prefix and 26 characters, "chatcmpl-01J...". */
void openai_id(const char *prefix, char out[TEXT_ID_SIZE + 16]);
/* Does the request's response_format say "scored": true? False too when it is none. */
MUST_CHECK enum fail openai_scored_find(const json_t *root, bool *scored, struct fault *why);
/* Makes the checked chat request `root` a FORM ask: out->ask, out->plan and out->schema. */
MUST_CHECK enum fail openai_scored_make(const json_t *root, struct openai_chat_ask *out,
                                        struct fault *why);
/* The "fields" of a scored answer: value, probability and, of a choice, all probabilities. */
void openai_put_fields(struct jn_writer *w, const char *document, const struct form_plan *plan,
                       const struct form_result *filled);
/* gate.c: what the headers x-inhouse-label and x-inhouse-deadline-ms say, and the guard. Handler
   only. text: what was sent, of any shape. */
struct openai_gate {
    enum secrecy label;
    int64_t deadline_ms; /* 0: not said */
};
MUST_CHECK enum fail openai_gate_read(struct wire_request *r, const char *text, size_t n,
                                      struct openai_gate *out, struct fault *why);
/* x-inhouse-task: which task (and so which record) this answer is. */
void openai_name_task(struct wire_request *r, const struct id *task);
void openai_put_usage(struct jn_writer *w, const struct fleet_generated *g);
/* The worker's own clock, keys as llama-server names them: waiting for a turn; the prompt tokens
   that were not cached, to the first token; from then to the last. */
void openai_put_timings(struct jn_writer *w, const struct fleet_generated *g);
/* Worker's log probabilities (JSON text, may be NULL) in OpenAI's shape, or null. */
void openai_put_logprobs(struct jn_writer *w, const char *json, int top);
/* Worker's tool calls; streamed ones carry their index. Writes nothing when there are none. */
bool openai_put_tool_calls(struct jn_writer *w, const char *json, bool only_first, bool indexed);
