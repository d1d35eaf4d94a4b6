/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/shim: the C face of llama.cpp's C++ `common` library, and guards around the C calls that
 * throw. Chat templates and prompt templates (Jinja), parsing of tool calls, JSON schema to
 * grammar, grammars. JSON text in and out. Every call catches everything: an exception becomes
 * FAIL_BAD_REQUEST (what the caller gave is at fault) or FAIL_INTERNAL.
 * Owns: what it returns, until the matching _close or shim_free. Threads: the worker's one engine
 * thread.
 * Limits: SHIM_OUTPUT_MAX for a rendered text. llama.cpp may hang on a hostile grammar or template:
 * the caller keeps a watchdog.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"

#define SHIM_OUTPUT_MAX (1024u * 1024u)

struct llama_model;
struct llama_vocab;
struct llama_context;
struct llama_sampler;
struct llama_batch;
struct llama_token_data_array;
struct shim_chat;

/* Stops `common`'s own log and its thread; before the sandbox. */
void shim_quiet(void);
/* llama.cpp's own build, "b123-0a1b2c3". */
const char *shim_build(void);
/* For the char * that these functions return; accepts NULL. */
void shim_free(char *text);

/* The model's chat template, or `override` when not NULL. FAIL_BAD_REQUEST when it does not
   parse. */
enum fail shim_chat_open(const struct llama_model *model, const char *override,
                         struct shim_chat **out, struct fault *why);
void shim_chat_close(struct shim_chat *chat);

/* A rendered chat: the prompt, and how to constrain and to read what the model answers. */
struct shim_prompt;
/*
 * request: {"messages":[…], "tools":[…]?, "tool_choice":"auto"|"none"|"required"?,
 * "template_vars":{…}?, "now":seconds?}. `*out` belongs to the caller (shim_prompt_close).
 */
enum fail shim_chat_render(const struct shim_chat *chat, const char *request,
                           struct shim_prompt **out, struct fault *why);
void shim_prompt_close(struct shim_prompt *prompt);
/* Borrowed from the prompt. */
const char *shim_prompt_text(const struct shim_prompt *prompt);
bool shim_prompt_has_grammar(const struct shim_prompt *prompt);
size_t shim_prompt_stops(const struct shim_prompt *prompt);
const char *shim_prompt_stop(const struct shim_prompt *prompt, size_t i);
/* What the model wrote after this prompt, as {"content":…,"tool_calls":[…]?} in OpenAI's shape;
   shim_free it. */
enum fail shim_prompt_parse(const struct shim_prompt *prompt, const char *text, char **json,
                            struct fault *why);

/* A Jinja template over the members of a JSON object. now: UTC seconds, or 0 for the clock.
   shim_free the text. */
enum fail shim_template_render(const char *text, const char *vars, int64_t now, char **out,
                               struct fault *why);

/* JSON schema to GBNF. FAIL_UNSUPPORTED with the converter's reason; shim_free the grammar. */
enum fail shim_schema_grammar(const char *schema, char **gbnf, struct fault *why);
/* A grammar sampler; its caller frees it with shim_grammar_close. */
enum fail shim_grammar_open(const struct llama_vocab *vocab, const char *gbnf,
                            struct llama_sampler **out, struct fault *why);
/* The grammar that a prompt with tools asks for (lazy ones wait for their trigger). */
enum fail shim_prompt_grammar(const struct shim_prompt *prompt, const struct llama_vocab *vocab,
                              struct llama_sampler **out, struct fault *why);
void shim_grammar_close(struct llama_sampler *grammar);
enum fail shim_grammar_apply(struct llama_sampler *grammar,
                             struct llama_token_data_array *candidates, struct fault *why);
enum fail shim_grammar_accept(struct llama_sampler *grammar, int32_t token, struct fault *why);

/* llama_decode and llama_encode; *rc is what they returned. */
enum fail shim_decode(struct llama_context *context, const struct llama_batch *batch, int *rc,
                      struct fault *why);
enum fail shim_encode(struct llama_context *context, const struct llama_batch *batch, int *rc,
                      struct fault *why);

/* The state of one sequence, llama_state_seq_*: its size in bytes, a copy of it, and the way back.
   FAIL_INTERNAL when llama.cpp writes or takes another number of bytes: after a failed set the
   sequence holds nothing that may be used. */
enum fail shim_state_size(struct llama_context *context, int seq, size_t *bytes, struct fault *why);
enum fail shim_state_get(struct llama_context *context, int seq, uint8_t *out, size_t bytes,
                         struct fault *why);
enum fail shim_state_set(struct llama_context *context, int seq, const uint8_t *state, size_t bytes,
                         struct fault *why);
