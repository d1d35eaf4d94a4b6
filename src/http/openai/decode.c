/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chat or embeddings request to what the worker is asked. Only known keys are passed on, each
 * typed and bounded; what is known and not possible here is refused by name, because a client that
 * asked for it would otherwise trust an answer that ignores it.
 */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "run/form/form.h"
#include "run/ipc/ipc.h"
#include "run/schema/schema.h"

#define CHAT_MAX_MESSAGES 512
#define CHAT_MAX_TOOLS 64
#define CHAT_ASK_BYTES (IPC_FRAME_MAX - 4096u)
#define CHAT_SCHEMA_BYTES (64u * 1024u)
#define CHAT_GRAMMAR_BYTES (8u * 1024u)
#define CHAT_DEFAULT_TOKENS 512
#define EMBED_TOTAL_BYTES (8u * 1024u * 1024u)

static enum fail refuse(struct fault *why, enum fail code, const char *param, const char *what)
{
    FAULT(why, code, "\"%s\" %s", param, what);
    fail_param(why, param);
    return code;
}

static int add_bytes(const char *bytes, size_t n, void *out)
{
    return buf_add(out, bytes, n) ? 0 : -1;
}

/* A tree as it came. When it does not fit, the buffer's overflow says so. */
static void put_tree(struct jn_writer *w, const char *key, const json_t *tree)
{
    jn_key(w, key);
    jn_put_raw(w, "", 0);
    (void)json_dump_callback(tree, add_bytes, w->out, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- messages ---- */

static const char *role_of(const char *role)
{
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    if (strcmp(role, "developer") == 0) {
        return "system";
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(role, known[i]) == 0) {
            return known[i];
        }
    }
    return NULL;
}

static enum fail put_parts(struct jn_writer *w, const json_t *parts, struct fault *why)
{
    jn_array_begin(w);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (type == NULL || (strcmp(type, "text") == 0 && !json_is_string(text))) {
            return refuse(why, FAIL_BAD_REQUEST, "messages",
                          "has a content part that is not {\"type\":\"text\",\"text\":\"...\"}");
        }
        if (strcmp(type, "text") != 0) {
            refuse(why, FAIL_UNSUPPORTED, "messages", "has a content part that is not text");
            return fail_hint(why, "This server's models read text only.");
        }
        jn_object_begin(w);
        jn_kv_str(w, "type", "text");
        jn_key(w, "text");
        jn_put_strn(w, json_string_value(text), json_string_length(text));
        jn_object_end(w);
    }
    jn_array_end(w);
    return FAIL_NONE;
}

static enum fail put_content(struct jn_writer *w, const json_t *message, bool may_be_absent,
                             struct fault *why)
{
    const json_t *content = json_object_get(message, "content");
    jn_key(w, "content");
    if (json_is_string(content)) {
        jn_put_strn(w, json_string_value(content), json_string_length(content));
        return FAIL_NONE;
    }
    if (json_is_array(content) && json_array_size(content) > 0) {
        return put_parts(w, content, why);
    }
    if (may_be_absent && (content == NULL || json_is_null(content))) {
        jn_put_str(w, "");
        return FAIL_NONE;
    }
    return refuse(why, FAIL_BAD_REQUEST, "messages", "has a message without text content");
}

static enum fail check_tool_calls(const json_t *calls, struct fault *why)
{
    static const char bad[] =
        "has tool_calls that are not "
        "[{\"id\",\"type\":\"function\",\"function\":{\"name\",\"arguments\"}}]";
    if (!json_is_array(calls) || json_array_size(calls) == 0 ||
        json_array_size(calls) > CHAT_MAX_TOOLS) {
        return refuse(why, FAIL_BAD_REQUEST, "messages", bad);
    }
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *f = json_object_get(call, "function");
        if (!json_is_string(json_object_get(call, "id")) ||
            !json_is_string(json_object_get(f, "name")) ||
            !json_is_string(json_object_get(f, "arguments"))) {
            return refuse(why, FAIL_BAD_REQUEST, "messages", bad);
        }
    }
    return FAIL_NONE;
}

static enum fail put_message(struct jn_writer *w, const json_t *message, struct fault *why)
{
    const char *role = NULL;
    const char *call_id = NULL;
    if (!json_is_object(message)) {
        return refuse(why, FAIL_BAD_REQUEST, "messages", "must hold objects");
    }
    enum fail f = jn_str(message, "role", true, 32, &role, why);
    if (f != FAIL_NONE) {
        return f;
    }
    const char *known = role_of(role);
    if (known == NULL) {
        return refuse(why, FAIL_BAD_REQUEST, "messages",
                      "has a role that is none of system, developer, user, assistant, tool");
    }
    const json_t *calls = json_object_get(message, "tool_calls");
    bool has_calls = calls != NULL && !json_is_null(calls);
    bool is_assistant = strcmp(known, "assistant") == 0;
    if (has_calls && (!is_assistant || check_tool_calls(calls, why) != FAIL_NONE)) {
        return is_assistant ? why->code
                            : refuse(why, FAIL_BAD_REQUEST, "messages",
                                     "has tool_calls in a message that is not the assistant's");
    }
    jn_object_begin(w);
    jn_kv_str(w, "role", known);
    f = put_content(w, message, is_assistant && has_calls, why);
    if (f == FAIL_NONE && has_calls) {
        put_tree(w, "tool_calls", calls);
    }
    if (f == FAIL_NONE && strcmp(known, "tool") == 0) {
        f = jn_str(message, "tool_call_id", true, 256, &call_id, why);
        if (f == FAIL_NONE) {
            jn_kv_str(w, "tool_call_id", call_id);
        }
    }
    jn_object_end(w);
    return f;
}

static enum fail put_messages(struct jn_writer *w, const json_t *root, struct fault *why)
{
    json_t *messages = NULL;
    enum fail f = jn_array(root, "messages", true, CHAT_MAX_MESSAGES, &messages, why);
    if (f == FAIL_NONE && json_array_size(messages) == 0) {
        f = refuse(why, FAIL_BAD_REQUEST, "messages", "must hold at least one message");
    }
    jn_key(w, "messages");
    jn_array_begin(w);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(messages); i++) {
        f = put_message(w, json_array_get(messages, i), why);
    }
    jn_array_end(w);
    return f;
}

/* ---- what cannot be honoured ---- */

static bool is_set(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    if (v == NULL || json_is_null(v)) {
        return false;
    }
    return !(json_is_number(v) && json_number_value(v) == 0.0) &&
           !(json_is_object(v) && json_object_size(v) == 0) &&
           !(json_is_array(v) && json_array_size(v) == 0);
}

static enum fail check_unsupported(const json_t *root, struct fault *why)
{
    static const char *const names[] = {"frequency_penalty", "presence_penalty", "logit_bias",
                                        "functions",         "function_call",    "audio",
                                        "web_search_options"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (is_set(root, names[i])) {
            refuse(why, FAIL_UNSUPPORTED, names[i], "is not supported by this server");
            return fail_hint(why, "Leave it out: it would change the answer and is not applied.");
        }
    }
    int64_t n = 1;
    enum fail f = jn_int(root, "n", false, 1, 128, &n, why);
    if (f == FAIL_NONE && n != 1) {
        refuse(why, FAIL_UNSUPPORTED, "n", "other than 1 is not supported");
        return fail_hint(why, "Send one request for each answer.");
    }
    const json_t *modalities = json_object_get(root, "modalities");
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(modalities); i++) {
        const char *m = json_string_value(json_array_get(modalities, i));
        if (m == NULL || strcmp(m, "text") != 0) {
            return refuse(why, FAIL_UNSUPPORTED, "modalities", "other than text is not supported");
        }
    }
    return f;
}

/* ---- sampling, stops, formats, tools ---- */

static enum fail put_sampling(struct jn_writer *w, const json_t *root, int64_t context_max,
                              int64_t seed, struct openai_chat_ask *out, struct fault *why)
{
    int64_t limit = context_max < CHAT_DEFAULT_TOKENS ? context_max : CHAT_DEFAULT_TOKENS;
    double temperature = 0.2;
    double top_p = 0.95;
    enum fail f = jn_int(root, "max_tokens", false, 1, 10000000, &limit, why);
    if (f == FAIL_NONE) {
        f = jn_int(root, "max_completion_tokens", false, 1, 10000000, &limit, why);
    }
    if (f == FAIL_NONE) {
        f = jn_real(root, "temperature", false, 0, 2, &temperature, why);
    }
    if (f == FAIL_NONE) {
        f = jn_real(root, "top_p", false, 0, 1, &top_p, why);
    }
    if (f == FAIL_NONE) {
        f = jn_int(root, "seed", false, INT64_MIN, INT64_MAX, &seed, why);
    }
    if (f == FAIL_NONE) {
        out->max_tokens = limit < context_max ? limit : context_max;
        jn_kv_int(w, "max_tokens", out->max_tokens);
        jn_kv_real(w, "temperature", temperature, 4);
        jn_kv_real(w, "top_p", top_p, 4);
        out->seed = (int64_t)((uint64_t)seed & UINT32_MAX);
        jn_kv_int(w, "seed", out->seed);
    }
    return f;
}

/* "flex" is OpenAI's word for what may wait: batch here. */
static enum fail read_tier(const json_t *root, struct openai_chat_ask *out, struct fault *why)
{
    const char *tier = "auto";
    enum fail f = jn_str(root, "service_tier", false, 32, &tier, why);
    out->class = strcmp(tier, "flex") == 0 ? IPC_BATCH : IPC_INTERACTIVE;
    if (f == FAIL_NONE && out->class == IPC_INTERACTIVE && strcmp(tier, "auto") != 0 &&
        strcmp(tier, "default") != 0 && strcmp(tier, "priority") != 0) {
        return refuse(why, FAIL_BAD_REQUEST, "service_tier",
                      "must be auto, default, flex or priority");
    }
    return f;
}

/* Ours, beside OpenAI's keys: the same bytes for the same request, at any load. */
static enum fail put_reproducible(struct jn_writer *w, const json_t *root,
                                  struct openai_chat_ask *out, struct fault *why)
{
    out->now = TASK_REPRODUCIBLE_NOW;
    enum fail f = jn_bool(root, "keep_values", false, &out->keep_values, why);
    f = f != FAIL_NONE ? f : jn_bool(root, "reproducible", false, &out->reproducible, why);
    if (f != FAIL_NONE || !out->reproducible) {
        return f;
    }
    if (!json_is_integer(json_object_get(root, "seed"))) {
        refuse(why, FAIL_BAD_REQUEST, "seed", "must be given with \"reproducible\": true");
        return fail_hint(why, "Any whole number: the same one gives the same answer.");
    }
    f = jn_int(root, "now", false, 1, TASK_NOW_MAX, &out->now, why);
    jn_kv_bool(w, "reproducible", true);
    jn_kv_int(w, "now", out->now);
    return f;
}

static enum fail put_stop(struct jn_writer *w, const json_t *root, struct fault *why)
{
    const json_t *stop = json_object_get(root, "stop");
    if (stop == NULL || json_is_null(stop)) {
        return FAIL_NONE;
    }
    size_t n = json_is_array(stop) ? json_array_size(stop) : 1;
    if (n > 8) {
        return refuse(why, FAIL_BAD_REQUEST, "stop", "has more than 8 members");
    }
    if (n == 0) {
        return FAIL_NONE;
    }
    jn_key(w, "stop");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(stop) ? json_array_get(stop, i) : stop;
        if (!json_is_string(s) || json_string_length(s) == 0 || json_string_length(s) > 64) {
            return refuse(why, FAIL_BAD_REQUEST, "stop", "must be strings of 1 to 64 bytes");
        }
        jn_put_strn(w, json_string_value(s), json_string_length(s));
    }
    jn_array_end(w);
    return FAIL_NONE;
}

/* llama-server's field. Its parser may loop on a hostile grammar, which the worker's watchdog ends
   together with the worker: the operator's choice. */
static enum fail put_grammar(struct jn_writer *w, const json_t *root, bool raw, struct fault *why)
{
    const json_t *grammar = json_object_get(root, "grammar");
    if (grammar == NULL || json_is_null(grammar)) {
        return FAIL_NONE;
    }
    if (!raw) {
        refuse(why, FAIL_UNSUPPORTED, "grammar", "is not accepted while engine.raw_grammar is off");
        return fail_hint(why, "Send a JSON schema in response_format, or set engine.raw_grammar.");
    }
    if (!json_is_string(grammar) || json_string_length(grammar) == 0) {
        return refuse(why, FAIL_BAD_REQUEST, "grammar", "must be a GBNF grammar");
    }
    if (json_string_length(grammar) > CHAT_GRAMMAR_BYTES) {
        return refuse(why, FAIL_TOO_LARGE, "grammar", "is over 8 KiB");
    }
    const json_t *format = json_object_get(root, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    if ((type != NULL && strcmp(type, "text") != 0) ||
        json_array_size(json_object_get(root, "tools")) > 0) {
        return refuse(why, FAIL_BAD_REQUEST, "grammar",
                      "cannot be combined with response_format or tools");
    }
    jn_key(w, "grammar");
    jn_put_strn(w, json_string_value(grammar), json_string_length(grammar));
    return FAIL_NONE;
}

static enum fail put_format(struct jn_writer *w, const json_t *root, bool raw, struct fault *why)
{
    json_t *format = NULL;
    json_t *wrapper = NULL;
    json_t *schema = NULL;
    const char *type = NULL;
    enum fail f = jn_object(root, "response_format", false, &format, why);
    if (f != FAIL_NONE || format == NULL) {
        return f;
    }
    f = jn_str(format, "type", true, 32, &type, why);
    if (f != FAIL_NONE || strcmp(type, "text") == 0) {
        return f;
    }
    if (strcmp(type, "json_object") == 0) {
        static const char any[] = "{\"type\":\"object\"}";
        jn_key(w, "json_schema");
        jn_put_raw(w, any, sizeof(any) - 1);
        return FAIL_NONE;
    }
    if (strcmp(type, "json_schema") != 0) {
        return refuse(why, FAIL_BAD_REQUEST, "response_format",
                      "must have type text, json_object or json_schema");
    }
    f = jn_object(format, "json_schema", true, &wrapper, why);
    if (f == FAIL_NONE) {
        f = jn_object(wrapper, "schema", true, &schema, why);
    }
    if (f == FAIL_NONE) {
        size_t before = w->out->len;
        put_tree(w, "json_schema", schema);
        if (w->out->len - before > CHAT_SCHEMA_BYTES) {
            return refuse(why, FAIL_TOO_LARGE, "response_format", "has a schema over 64 KiB");
        }
        /* Compiled here to refuse what no answer could keep; the worker compiles its own. */
        struct schema *compiled = NULL;
        f = schema_compile(schema, &compiled, why);
        schema_free(compiled);
        if (f == FAIL_UNSUPPORTED && raw) {
            jn_kv_bool(w, "convert_schema", true);
            f = FAIL_NONE;
        }
        if (f != FAIL_NONE) {
            (void)fail_param(why, "response_format");
        }
    }
    return f;
}

static enum fail put_tools(struct jn_writer *w, const json_t *root, struct openai_chat_ask *out,
                           struct fault *why)
{
    json_t *tools = NULL;
    bool parallel = true;
    enum fail f = jn_array(root, "tools", false, CHAT_MAX_TOOLS, &tools, why);
    if (f == FAIL_NONE) {
        f = jn_bool(root, "parallel_tool_calls", false, &parallel, why);
    }
    if (f != FAIL_NONE || json_array_size(tools) == 0) {
        return f;
    }
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        const char *type = json_string_value(json_object_get(tool, "type"));
        const json_t *name = json_object_get(json_object_get(tool, "function"), "name");
        if (type == NULL || strcmp(type, "function") != 0 || !json_is_string(name)) {
            return refuse(why, FAIL_BAD_REQUEST, "tools",
                          "must hold {\"type\":\"function\",\"function\":{\"name\", ...}}");
        }
    }
    const json_t *choice = json_object_get(root, "tool_choice");
    const char *word = json_string_value(choice);
    if (choice != NULL && !json_is_null(choice)) {
        bool good = json_is_object(choice) ||
                    (word != NULL && (strcmp(word, "none") == 0 || strcmp(word, "auto") == 0 ||
                                      strcmp(word, "required") == 0));
        if (!good) {
            return refuse(why, FAIL_BAD_REQUEST, "tool_choice",
                          "must be none, auto, required or a function");
        }
        put_tree(w, "tool_choice", choice);
    }
    put_tree(w, "tools", tools);
    out->has_tools = word == NULL || strcmp(word, "none") != 0;
    out->one_tool_call = !parallel;
    return FAIL_NONE;
}

static enum fail put_logprobs(struct jn_writer *w, const json_t *root, struct openai_chat_ask *out,
                              struct fault *why)
{
    int64_t top = 0;
    enum fail f = jn_bool(root, "logprobs", false, &out->logprobs, why);
    if (f == FAIL_NONE) {
        f = jn_int(root, "top_logprobs", false, 0, 20, &top, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    if (top > 0 && !out->logprobs) {
        return refuse(why, FAIL_BAD_REQUEST, "top_logprobs", "needs \"logprobs\": true");
    }
    if (top > 5) {
        return refuse(why, FAIL_UNSUPPORTED, "top_logprobs", "over 5 is not supported");
    }
    if (out->logprobs && out->stream) {
        refuse(why, FAIL_UNSUPPORTED, "logprobs", "is not supported in a stream");
        return fail_hint(why, "Ask without \"stream\".");
    }
    out->top_logprobs = (int)top;
    if (out->logprobs) {
        jn_kv_int(w, "logprobs", top > 0 ? top : 1);
    }
    return FAIL_NONE;
}

static enum fail decode_root(const json_t *root, int64_t context_max, int64_t seed, bool raw,
                             struct openai_chat_ask *out, struct fault *why)
{
    const char *model = NULL;
    json_t *options = NULL;
    if (!json_is_object(root)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the request body must be a JSON object");
    }
    enum fail f = jn_str(root, "model", true, sizeof(out->model) - 1, &model, why);
    if (f == FAIL_NONE) {
        (void)text_copy(out->model, sizeof(out->model), model);
        f = check_unsupported(root, why);
    }
    if (f == FAIL_NONE) {
        f = jn_bool(root, "stream", false, &out->stream, why);
    }
    if (f == FAIL_NONE) {
        f = jn_object(root, "stream_options", false, &options, why);
    }
    if (f == FAIL_NONE && options != NULL) {
        f = jn_bool(options, "include_usage", false, &out->include_usage, why);
    }
    struct jn_writer w;
    jn_begin(&w, &out->ask, false);
    jn_object_begin(&w);
    enum fail (*const puts[])(struct jn_writer *, const json_t *,
                              struct fault *) = {put_messages, put_stop};
    enum fail (*const shapes[])(struct jn_writer *, const json_t *, bool,
                                struct fault *) = {put_grammar, put_format};
    for (size_t i = 0; i < COUNT_OF(puts) && f == FAIL_NONE; i++) {
        f = puts[i](&w, root, why);
    }
    for (size_t i = 0; i < COUNT_OF(shapes) && f == FAIL_NONE; i++) {
        f = shapes[i](&w, root, raw, why);
    }
    if (f == FAIL_NONE) {
        f = put_sampling(&w, root, context_max, seed, out, why);
    }
    if (f == FAIL_NONE) {
        f = read_tier(root, out, why);
    }
    if (f == FAIL_NONE) {
        f = put_reproducible(&w, root, out, why);
    }
    if (f == FAIL_NONE) {
        f = put_tools(&w, root, out, why);
    }
    if (f == FAIL_NONE) {
        f = put_logprobs(&w, root, out, why);
    }
    if (f == FAIL_NONE) {
        /* Text that may turn out to be a tool call is not streamed: it is sent whole at the end. */
        jn_kv_bool(&w, "stream", out->stream && !out->has_tools);
        jn_object_end(&w);
        if (out->ask.overflow) {
            f = refuse(why, FAIL_TOO_LARGE, "messages", "is larger than a model can be given");
        }
    }
    bool scored = false;
    if (f == FAIL_NONE) {
        f = openai_scored_find(root, &scored, why);
    }
    return f == FAIL_NONE && scored ? openai_scored_make(root, out, why) : f;
}

enum fail openai_chat_decode(const char *body, size_t len, int64_t context_max, int64_t seed,
                             bool raw_grammar, struct openai_chat_ask *out, struct fault *why)
{
    memset(out, 0, sizeof(*out));
    buf_init(&out->ask, CHAT_ASK_BYTES);
    AUTO_JSON json_t *root = NULL;
    enum fail f = jn_parse(body, len, "the request body", &root, why);
    if (f == FAIL_NONE) {
        f = decode_root(root, context_max, seed, raw_grammar, out, why);
    }
    if (f != FAIL_NONE) {
        openai_chat_ask_done(out);
    }
    return f;
}

void openai_chat_ask_done(struct openai_chat_ask *ask)
{
    buf_done(&ask->ask);
    form_plan_free(ask->plan);
    schema_free(ask->schema);
    ask->plan = NULL;
    ask->schema = NULL;
}

/* ---- embeddings ---- */

static enum fail take_texts(const json_t *input, struct openai_embed_ask *out, struct fault *why)
{
    size_t n = json_is_array(input) ? json_array_size(input) : 1;
    if (input == NULL || n == 0) {
        return refuse(why, FAIL_BAD_REQUEST, "input", "must be a text or a list of texts");
    }
    if (n > OPENAI_MAX_TEXTS) {
        refuse(why, FAIL_TOO_LARGE, "input", "has more than 2048 texts");
        return fail_hint(why, "Send them in several requests.");
    }
    out->texts = mem_alloc_array(n, sizeof(*out->texts));
    out->texts_len = n;
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_is_array(input) ? json_array_get(input, i) : input;
        if (json_is_integer(t) || json_is_array(t)) {
            refuse(why, FAIL_UNSUPPORTED, "input", "as token numbers is not supported");
            return fail_hint(why, "Send text: token numbers of another model mean nothing here.");
        }
        if (!json_is_string(t) || json_string_length(t) == 0) {
            return refuse(why, FAIL_BAD_REQUEST, "input", "must hold texts that are not empty");
        }
        if (json_string_length(t) > TASK_MAX_TEXT) {
            return refuse(why, FAIL_TOO_LARGE, "input", "has a text over 256 KiB");
        }
        total += json_string_length(t) + 1;
        if (total > EMBED_TOTAL_BYTES) {
            return refuse(why, FAIL_TOO_LARGE, "input", "has more than 8 MiB of text");
        }
        out->texts[i] = json_string_value(t);
    }
    return FAIL_NONE;
}

static enum fail decode_embed(struct openai_embed_ask *out, struct fault *why)
{
    const char *model = NULL;
    const char *format = "float";
    if (!json_is_object(out->tree)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the request body must be a JSON object");
    }
    enum fail f = jn_str(out->tree, "model", true, sizeof(out->model) - 1, &model, why);
    if (f == FAIL_NONE) {
        (void)text_copy(out->model, sizeof(out->model), model);
        f = jn_str(out->tree, "encoding_format", false, 16, &format, why);
    }
    if (f == FAIL_NONE && strcmp(format, "float") != 0 && strcmp(format, "base64") != 0) {
        f = refuse(why, FAIL_BAD_REQUEST, "encoding_format", "must be float or base64");
    }
    out->base64 = strcmp(format, "base64") == 0;
    if (f == FAIL_NONE) {
        f = jn_int(out->tree, "dimensions", false, 1, 65536, &out->dimensions, why);
    }
    if (f == FAIL_NONE && json_is_true(json_object_get(out->tree, "reproducible"))) {
        f = refuse(why, FAIL_UNSUPPORTED, "reproducible", "is not supported for embeddings");
    }
    if (f == FAIL_NONE) {
        f = take_texts(json_object_get(out->tree, "input"), out, why);
    }
    return f;
}

enum fail openai_embed_decode(const char *body, size_t len, struct openai_embed_ask *out,
                              struct fault *why)
{
    memset(out, 0, sizeof(*out));
    enum fail f = jn_parse(body, len, "the request body", &out->tree, why);
    if (f == FAIL_NONE) {
        f = decode_embed(out, why);
    }
    if (f != FAIL_NONE) {
        openai_embed_ask_done(out);
    }
    return f;
}

void openai_embed_ask_done(struct openai_embed_ask *ask)
{
    mem_free(ask->texts);
    json_decref(ask->tree);
    memset(ask, 0, sizeof(*ask));
}
