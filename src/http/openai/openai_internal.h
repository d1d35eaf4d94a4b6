/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI, inside: what chat and embeddings share. */
#pragma once

#include "http/openai/openai.h"

/* A new id in OpenAI's look: prefix and 26 characters, "chatcmpl-01J...". */
void openai_id(const char *prefix, char out[TEXT_ID_SIZE + 16]);
/* x-inhouse-task: which task (and so which record) this answer is. */
void openai_name_task(struct wire_request *r, const struct id *task);
void openai_put_usage(struct jn_writer *w, const struct fleet_generated *g);
/* Worker's log probabilities (JSON text, may be NULL) in OpenAI's shape, or null. */
void openai_put_logprobs(struct jn_writer *w, const char *json, int top);
/* Worker's tool calls; streamed ones carry their index. Writes nothing when there are none. */
bool openai_put_tool_calls(struct jn_writer *w, const char *json, bool only_first, bool indexed);
