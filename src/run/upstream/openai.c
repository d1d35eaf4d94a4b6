/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI's dialect: what vLLM, llama-server, Ollama, and most hosted servers speak. */
#include <stdio.h>
#include <string.h>

#include "run/upstream/upstream_internal.h"

/* ---- out ---- */

/* Strict mode wants every object closed and all its properties required; a schema that is not so is
   sent without, and the answer is checked by who asked. */
static bool is_strict(const json_t *schema, int depth)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    const char *key;
    json_t *value;
    if (depth > JN_MAX_DEPTH) {
        return false;
    }
    if (properties != NULL &&
        (!json_is_false(json_object_get(schema, "additionalProperties")) ||
         json_array_size(required) != json_object_size(properties))) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)properties, key, value)
    {
        if (!is_strict(value, depth + 1)) {
            return false;
        }
    }
    const json_t *items = json_object_get(schema, "items");
    return items == NULL || is_strict(items, depth + 1);
}

static void put_schema(struct jn_writer *w, const json_t *schema)
{
    jn_key(w, "response_format");
    jn_object_begin(w);
    if (json_object_size(schema) == 1 &&
        strcmp(json_string_value(json_object_get(schema, "type")) != NULL
                   ? json_string_value(json_object_get(schema, "type"))
                   : "",
               "object") == 0) {
        jn_kv_str(w, "type", "json_object"); /* any object: OpenAI has a word for it */
    } else {
        jn_kv_str(w, "type", "json_schema");
        jn_key(w, "json_schema");
        jn_object_begin(w);
        jn_kv_str(w, "name", "answer");
        jn_kv_bool(w, "strict", is_strict(schema, 0));
        reply_put_tree(w, "schema", schema);
        jn_object_end(w);
    }
    jn_object_end(w);
}

static enum fail put(const json_t *ask, bool stream, int64_t max_tokens, bool plain_sampling,
                     struct jn_writer *w, struct fault *why)
{
    static const char *const sampling[] = {"temperature", "top_p", "seed"};
    static const char *const same[] = {"stop", "tools", "tool_choice"};
    (void)why;
    reply_put_tree(w, "messages", json_object_get(ask, "messages"));
    jn_kv_int(w, "max_tokens", max_tokens);
    for (size_t i = 0; !plain_sampling && i < COUNT_OF(sampling); i++) {
        if (json_object_get(ask, sampling[i]) != NULL) {
            reply_put_tree(w, sampling[i], json_object_get(ask, sampling[i]));
        }
    }
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        if (json_object_get(ask, same[i]) != NULL) {
            reply_put_tree(w, same[i], json_object_get(ask, same[i]));
        }
    }
    if (json_object_get(ask, "json_schema") != NULL) {
        put_schema(w, json_object_get(ask, "json_schema"));
    }
    if (stream) {
        jn_kv_bool(w, "stream", true);
        jn_key(w, "stream_options");
        jn_object_begin(w);
        jn_kv_bool(w, "include_usage", true);
        jn_object_end(w);
    }
    return FAIL_NONE;
}

/* ---- in ---- */

static void take_usage(const json_t *usage, struct reply *r)
{
    if (json_is_object(usage)) {
        r->usage = true;
        r->tokens_in = reply_count(usage, "prompt_tokens");
        r->tokens_out = reply_count(usage, "completion_tokens");
        r->tokens_cached =
            reply_count(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
        if (r->tokens_cached > r->tokens_in) {
            r->tokens_cached = r->tokens_in;
        }
    }
}

static void take_finish(const json_t *choice, struct reply *r)
{
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (finish != NULL) {
        (void)text_copy(r->finish, sizeof(r->finish),
                        strcmp(finish, "function_call") == 0 ? "tool_calls" : finish);
    }
}

static void take_model(const json_t *root, struct reply *r)
{
    const char *model = json_string_value(json_object_get(root, "model"));
    if (model != NULL && r->model[0] == '\0') {
        (void)text_copy(r->model, sizeof(r->model), model);
    }
}

/* A call, or in a stream a piece of one. */
static bool take_call(const json_t *call, size_t index, struct reply *r)
{
    const json_t *f = json_object_get(call, "function");
    const char *id = json_string_value(json_object_get(call, "id"));
    const char *name = json_string_value(json_object_get(f, "name"));
    const json_t *arguments = json_object_get(f, "arguments");
    struct reply_tool *t = reply_tool_at(r, index);
    if (t == NULL || !json_is_object(f)) {
        return false;
    }
    if (id != NULL && t->id[0] == '\0') {
        (void)text_copy(t->id, sizeof(t->id), id);
    }
    if (name != NULL && t->name[0] == '\0') {
        (void)text_copy(t->name, sizeof(t->name), name);
    }
    return arguments == NULL || json_is_null(arguments) || reply_add(&t->arguments, arguments);
}

static bool take_message(const json_t *message, bool piece, struct reply *r)
{
    const json_t *content = json_object_get(message, "content");
    const json_t *refusal = json_object_get(message, "refusal");
    const json_t *calls = json_object_get(message, "tool_calls");
    if (!json_is_object(message)) {
        return false;
    }
    if (content != NULL && !json_is_null(content) && !reply_add(&r->text, content)) {
        return false;
    }
    if (refusal != NULL && !json_is_null(refusal) && !reply_add(&r->text, refusal)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *at = json_object_get(call, "index");
        size_t index = piece && json_is_integer(at) ? (size_t)json_integer_value(at) : i;
        if (!take_call(call, index, r)) {
            return false;
        }
    }
    return true;
}

static bool whole(const json_t *root, struct reply *r)
{
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    take_model(root, r);
    take_finish(choice, r);
    take_usage(json_object_get(root, "usage"), r);
    r->ended = true;
    return take_message(json_object_get(choice, "message"), false, r) &&
           (r->text.len > 0 || r->tools_len > 0 || r->finish[0] != '\0');
}

static bool event(const char *data, size_t n, struct reply *r)
{
    struct fault why;
    AUTO_JSON json_t *root = NULL;
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        r->ended = true;
        return true;
    }
    if (jn_parse(data, n, "an event", &root, &why) != FAIL_NONE || !json_is_object(root) ||
        json_object_get(root, "error") != NULL) {
        return false;
    }
    const json_t *choices = json_object_get(root, "choices");
    const json_t *choice = json_array_get(choices, 0);
    take_model(root, r);
    take_usage(json_object_get(root, "usage"), r);
    if (choice == NULL) {
        return true; /* usage alone, or a server's own event */
    }
    take_finish(choice, r);
    const json_t *delta = json_object_get(choice, "delta");
    return delta == NULL || take_message(delta, true, r);
}

const struct dialect dialect_openai = {.chat_path = "/chat/completions",
                                       .embed_path = "/embeddings",
                                       .probe_path = "/models",
                                       .key_header = "Authorization: Bearer ",
                                       .put = put,
                                       .whole = whole,
                                       .event = event};
