/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anthropic's dialect, /v1/messages, translated both ways. A JSON schema becomes the input of one
 * tool that must be used, and that tool's input is the answer's text.
 */
#include <string.h>

#include "run/upstream/upstream_internal.h"

#define ANSWER_TOOL "answer"

/* ---- out ---- */

static bool has_role(const json_t *message, const char *role)
{
    const char *is = json_string_value(json_object_get(message, "role"));
    return is != NULL && strcmp(is, role) == 0;
}

/* The text of a content, which is a string or text parts. */
static void add_content(struct buf *out, const json_t *content)
{
    (void)reply_add(out, content);
    for (size_t i = 0; i < json_array_size(content); i++) {
        (void)reply_add(out, json_object_get(json_array_get(content, i), "text"));
    }
}

static void put_text_block(struct jn_writer *w, const json_t *content)
{
    struct buf text;
    buf_init(&text, CALL_BODY_BYTES);
    add_content(&text, content);
    if (text.len > 0) { /* it refuses empty blocks */
        jn_object_begin(w);
        jn_kv_str(w, "type", "text");
        jn_key(w, "text");
        jn_put_strn(w, text.data, text.len);
        jn_object_end(w);
    }
    buf_done(&text);
}

static void put_result_block(struct jn_writer *w, const json_t *message)
{
    struct buf text;
    buf_init(&text, CALL_BODY_BYTES);
    add_content(&text, json_object_get(message, "content"));
    jn_object_begin(w);
    jn_kv_str(w, "type", "tool_result");
    jn_kv_str(w, "tool_use_id", json_string_value(json_object_get(message, "tool_call_id")));
    jn_key(w, "content");
    jn_put_strn(w, text.data != NULL ? text.data : "", text.len);
    jn_object_end(w);
    buf_done(&text);
}

static enum fail put_call_blocks(struct jn_writer *w, const json_t *calls, struct fault *why)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *f = json_object_get(call, "function");
        const json_t *arguments = json_object_get(f, "arguments");
        AUTO_JSON json_t *input = NULL;
        if (jn_parse(json_string_value(arguments) != NULL ? json_string_value(arguments) : "",
                     json_string_length(arguments), "a tool call's arguments", &input,
                     why) != FAIL_NONE ||
            !json_is_object(input)) {
            FAULT(why, FAIL_BAD_REQUEST, "\"messages\" has a tool call without JSON arguments");
            return fail_param(why, "messages");
        }
        jn_object_begin(w);
        jn_kv_str(w, "type", "tool_use");
        jn_kv_str(w, "id", json_string_value(json_object_get(call, "id")));
        jn_kv_str(w, "name", json_string_value(json_object_get(f, "name")));
        reply_put_tree(w, "input", input);
        jn_object_end(w);
    }
    return FAIL_NONE;
}

/* Messages of one side that follow one another become one. */
static enum fail put_messages(struct jn_writer *w, const json_t *messages, struct fault *why)
{
    enum fail f = FAIL_NONE;
    const char *side = NULL;
    jn_key(w, "messages");
    jn_array_begin(w);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const char *mine = has_role(m, "assistant") ? "assistant" : "user";
        if (has_role(m, "system")) {
            continue;
        }
        if (side == NULL || strcmp(side, mine) != 0) {
            if (side != NULL) {
                jn_array_end(w);
                jn_object_end(w);
            }
            side = mine;
            jn_object_begin(w);
            jn_kv_str(w, "role", mine);
            jn_key(w, "content");
            jn_array_begin(w);
        }
        if (has_role(m, "tool")) {
            put_result_block(w, m);
        } else {
            put_text_block(w, json_object_get(m, "content"));
            f = put_call_blocks(w, json_object_get(m, "tool_calls"), why);
        }
    }
    if (side != NULL) {
        jn_array_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
    if (f == FAIL_NONE && side == NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "\"messages\" holds nothing but system messages");
        return fail_param(why, "messages");
    }
    return f;
}

static void put_system(struct jn_writer *w, const json_t *messages)
{
    struct buf text;
    buf_init(&text, CALL_BODY_BYTES);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        if (has_role(m, "system")) {
            (void)buf_add_str(&text, text.len > 0 ? "\n\n" : "");
            add_content(&text, json_object_get(m, "content"));
        }
    }
    if (text.len > 0) {
        jn_key(w, "system");
        jn_put_strn(w, text.data, text.len);
    }
    buf_done(&text);
}

static void put_tools(struct jn_writer *w, const json_t *ask)
{
    const json_t *tools = json_object_get(ask, "tools");
    const json_t *schema = json_object_get(ask, "json_schema");
    if (json_array_size(tools) == 0 && schema == NULL) {
        return;
    }
    jn_key(w, "tools");
    jn_array_begin(w);
    for (size_t i = 0; schema == NULL && i < json_array_size(tools); i++) {
        const json_t *f = json_object_get(json_array_get(tools, i), "function");
        const json_t *input = json_object_get(f, "parameters");
        static const char any[] = "{\"type\":\"object\"}";
        jn_object_begin(w);
        jn_kv_str(w, "name", json_string_value(json_object_get(f, "name")));
        if (json_is_string(json_object_get(f, "description"))) {
            reply_put_tree(w, "description", json_object_get(f, "description"));
        }
        if (json_is_object(input)) {
            reply_put_tree(w, "input_schema", input);
        } else {
            jn_key(w, "input_schema");
            jn_put_raw(w, any, sizeof(any) - 1);
        }
        jn_object_end(w);
    }
    if (schema != NULL) {
        jn_object_begin(w);
        jn_kv_str(w, "name", ANSWER_TOOL);
        jn_kv_str(w, "description", "The answer, in the form that was asked for.");
        reply_put_tree(w, "input_schema", schema);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_choice(struct jn_writer *w, const json_t *ask)
{
    const json_t *choice = json_object_get(ask, "tool_choice");
    const char *word = json_string_value(choice);
    const char *name =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    bool schema = json_object_get(ask, "json_schema") != NULL;
    if (!schema && (json_array_size(json_object_get(ask, "tools")) == 0 || choice == NULL)) {
        return;
    }
    name = schema ? ANSWER_TOOL : name;
    jn_key(w, "tool_choice");
    jn_object_begin(w);
    if (name != NULL) {
        jn_kv_str(w, "type", "tool");
        jn_kv_str(w, "name", name);
    } else {
        jn_kv_str(w, "type", word != NULL && strcmp(word, "required") == 0 ? "any"
                             : word != NULL && strcmp(word, "none") == 0   ? "none"
                                                                           : "auto");
    }
    jn_object_end(w);
}

static enum fail put(const json_t *ask, bool stream, int64_t max_tokens, bool plain_sampling,
                     struct jn_writer *w, struct fault *why)
{
    const json_t *messages = json_object_get(ask, "messages");
    const json_t *stop = json_object_get(ask, "stop");
    double t = json_number_value(json_object_get(ask, "temperature"));
    jn_kv_int(w, "max_tokens", max_tokens);
    put_system(w, messages);
    enum fail f = put_messages(w, messages, why);
    if (!plain_sampling && json_is_number(json_object_get(ask, "temperature"))) {
        jn_kv_real(w, "temperature", t > 1 ? 1 : t, 4); /* its scale ends at 1 */
    }
    if (json_array_size(stop) > 0) {
        reply_put_tree(w, "stop_sequences", stop);
    }
    put_tools(w, ask);
    put_choice(w, ask);
    if (stream) {
        jn_kv_bool(w, "stream", true);
    }
    return f;
}

/* ---- in ---- */

static void take_usage(const json_t *usage, struct reply *r)
{
    if (json_is_object(usage)) {
        int64_t cached = reply_count(usage, "cache_read_input_tokens");
        int64_t in = reply_count(usage, "input_tokens") + cached +
                     reply_count(usage, "cache_creation_input_tokens");
        int64_t out = reply_count(usage, "output_tokens");
        r->usage = true;
        /* A stream counts the way in at its start and the way out at its end, cumulatively. */
        r->tokens_in = in > r->tokens_in ? in : r->tokens_in;
        r->tokens_cached = cached > r->tokens_cached ? cached : r->tokens_cached;
        r->tokens_out = out > r->tokens_out ? out : r->tokens_out;
    }
}

static void take_stop(const json_t *of, struct reply *r)
{
    const char *reason = json_string_value(json_object_get(of, "stop_reason"));
    if (reason == NULL) {
        return;
    }
    bool length = strcmp(reason, "max_tokens") == 0 ||
                  strcmp(reason, "model_context_window_exceeded") == 0;
    bool tools = strcmp(reason, "tool_use") == 0;
    (void)text_copy(r->finish, sizeof(r->finish),
                    length                             ? "length"
                    : tools && r->tools_len > 0        ? "tool_calls"
                    : strcmp(reason, "refusal") == 0 ? "content_filter"
                                                       : "stop");
}

static void take_model(const json_t *message, struct reply *r)
{
    const char *model = json_string_value(json_object_get(message, "model"));
    if (model != NULL) {
        (void)text_copy(r->model, sizeof(r->model), model);
    }
}

static bool is_answer_tool(const json_t *block)
{
    const char *name = json_string_value(json_object_get(block, "name"));
    return name != NULL && strcmp(name, ANSWER_TOOL) == 0;
}

static int add_bytes(const char *bytes, size_t n, void *out)
{
    return buf_add(out, bytes, n) ? 0 : -1;
}

static struct reply_tool *take_tool(const json_t *block, struct reply *r)
{
    const char *id = json_string_value(json_object_get(block, "id"));
    const char *name = json_string_value(json_object_get(block, "name"));
    struct reply_tool *t = id != NULL && name != NULL ? reply_tool_at(r, r->tools_len) : NULL;
    if (t != NULL) {
        (void)text_copy(t->id, sizeof(t->id), id);
        (void)text_copy(t->name, sizeof(t->name), name);
    }
    return t;
}

static bool take_block(const json_t *block, struct reply *r)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    const json_t *input = json_object_get(block, "input");
    if (type == NULL) {
        return false;
    }
    if (strcmp(type, "text") == 0) {
        /* under a schema the tool's input is the answer, talk before it is not */
        return r->as_tool || reply_add(&r->text, json_object_get(block, "text"));
    }
    if (strcmp(type, "tool_use") != 0) {
        return true; /* thinking and the like */
    }
    if (r->as_tool && is_answer_tool(block)) {
        return json_is_object(input) &&
               json_dump_callback(input, add_bytes, &r->text, JSON_COMPACT) == 0;
    }
    struct reply_tool *t = take_tool(block, r);
    return t != NULL && json_is_object(input) &&
           json_dump_callback(input, add_bytes, &t->arguments, JSON_COMPACT) == 0;
}

static bool whole(const json_t *root, struct reply *r)
{
    const json_t *content = json_object_get(root, "content");
    bool good = json_is_array(content);
    for (size_t i = 0; good && i < json_array_size(content); i++) {
        good = take_block(json_array_get(content, i), r);
    }
    take_model(root, r);
    take_usage(json_object_get(root, "usage"), r);
    take_stop(root, r);
    r->ended = true;
    return good && (r->text.len > 0 || r->tools_len > 0 || r->finish[0] != '\0');
}

static bool take_delta(const json_t *delta, struct reply *r)
{
    const char *type = json_string_value(json_object_get(delta, "type"));
    if (type == NULL) {
        return false;
    }
    if (strcmp(type, "text_delta") == 0) {
        return r->as_tool || reply_add(&r->text, json_object_get(delta, "text"));
    }
    if (strcmp(type, "input_json_delta") == 0) {
        const json_t *part = json_object_get(delta, "partial_json");
        if (r->as_tool && r->tools_len == 0) {
            return reply_add(&r->text, part);
        }
        return r->tools_len > 0 && reply_add(&r->tools[r->tools_len - 1].arguments, part);
    }
    return true;
}

static bool event(const char *data, size_t n, struct reply *r)
{
    struct fault why;
    AUTO_JSON json_t *root = NULL;
    if (jn_parse(data, n, "an event", &root, &why) != FAIL_NONE) {
        return false;
    }
    const char *type = json_string_value(json_object_get(root, "type"));
    if (type == NULL || strcmp(type, "error") == 0) {
        return false;
    }
    if (strcmp(type, "message_start") == 0) {
        const json_t *message = json_object_get(root, "message");
        take_model(message, r);
        take_usage(json_object_get(message, "usage"), r);
    } else if (strcmp(type, "content_block_start") == 0) {
        const json_t *block = json_object_get(root, "content_block");
        const char *kind = json_string_value(json_object_get(block, "type"));
        if (kind != NULL && strcmp(kind, "tool_use") == 0 &&
            !(r->as_tool && is_answer_tool(block))) {
            return take_tool(block, r) != NULL;
        }
    } else if (strcmp(type, "content_block_delta") == 0) {
        return take_delta(json_object_get(root, "delta"), r);
    } else if (strcmp(type, "message_delta") == 0) {
        take_stop(json_object_get(root, "delta"), r);
        take_usage(json_object_get(root, "usage"), r);
    } else if (strcmp(type, "message_stop") == 0) {
        r->ended = true;
    }
    return true;
}

const struct dialect dialect_anthropic = {.chat_path = "/v1/messages",
                                          .probe_path = "/v1/models",
                                          .key_header = "x-api-key: ",
                                          .more_header = "anthropic-version: 2023-06-01",
                                          .put = put,
                                          .whole = whole,
                                          .event = event};
