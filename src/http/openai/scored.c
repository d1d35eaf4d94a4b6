/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scored chats, our extension: response_format.json_schema.scored makes the answer by filling the
 * schema's form instead of free writing, with a probability for every value of a choice.
 *
 * The schema and the system messages come before the one user message, so that requests of one kind
 * share what is decoded of them. Owns: plan and schema until the ask is freed or submitted.
 * Threads: http's, and the core thread for the answer. Limits: run/form's, decode.c's.
 */
#include "http/openai/openai_internal.h"

#include <math.h>
#include <string.h>

#include "run/form/form.h"
#include "run/schema/schema.h"

#define SCORED_TEXT_BYTES (IPC_FRAME_MAX - 4096u)

static enum fail no_scored(struct fault *why, const char *param, const char *what)
{
    FAULT(why, FAIL_UNSUPPORTED, "\"%s\" %s with a scored json_schema", param, what);
    fail_hint(why, "Leave out \"scored\" to have the answer written freely.");
    return fail_param(why, param);
}

enum fail openai_scored_find(const json_t *root, bool *scored, struct fault *why)
{
    const json_t *format = json_object_get(root, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    const json_t *wrapper = json_object_get(format, "json_schema");
    *scored = false;
    if (type == NULL || strcmp(type, "json_schema") != 0 || !json_is_object(wrapper)) {
        return FAIL_NONE; /* whatever is wrong with it is told where formats are read */
    }
    return jn_bool(wrapper, "scored", false, scored, why);
}

static enum fail check_others(const json_t *root, const struct openai_chat_ask *out,
                              struct fault *why)
{
    const json_t *stop = json_object_get(root, "stop");
    if (out->stream) {
        return no_scored(why, "stream", "is not supported");
    }
    if (out->logprobs) {
        return no_scored(why, "logprobs", "is not supported");
    }
    if (json_array_size(json_object_get(root, "tools")) > 0) {
        return no_scored(why, "tools", "is not supported");
    }
    if (json_is_string(stop) || json_array_size(stop) > 0) {
        return no_scored(why, "stop", "is not supported");
    }
    return FAIL_NONE;
}

static void add_content(struct buf *b, const json_t *content)
{
    if (b->len > 0) {
        (void)buf_add_str(b, "\n\n");
    }
    if (json_is_string(content)) {
        (void)buf_add(b, json_string_value(content), json_string_length(content));
    }
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *text = json_object_get(json_array_get(content, i), "text");
        (void)buf_add(b, json_string_value(text), json_string_length(text));
    }
}

static enum fail read_messages(const json_t *root, struct buf *system, struct buf *input,
                               struct fault *why)
{
    const json_t *messages = json_object_get(root, "messages");
    size_t users = 0;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        bool user = strcmp(role, "user") == 0;
        if (!user && strcmp(role, "system") != 0 && strcmp(role, "developer") != 0) {
            return no_scored(why, "messages", "of the assistant or a tool are not supported");
        }
        users += user;
        add_content(user ? input : system, json_object_get(message, "content"));
    }
    return users == 1 ? FAIL_NONE : no_scored(why, "messages", "must hold one of the user");
}

static int add_bytes(const char *bytes, size_t n, void *out)
{
    return buf_add(out, bytes, n) ? 0 : -1;
}

static void put_buf(struct jn_writer *w, const char *key, const struct buf *b)
{
    jn_key(w, key);
    jn_put_strn(w, b->data != NULL ? b->data : "", b->len);
}

static enum fail put_form(const json_t *root, const json_t *tree, struct openai_chat_ask *out,
                          struct fault *why)
{
    struct buf system, input, prefix;
    buf_init(&system, SCORED_TEXT_BYTES);
    buf_init(&input, SCORED_TEXT_BYTES);
    buf_init(&prefix, SCORED_TEXT_BYTES);
    enum fail f = read_messages(root, &system, &input, why);
    (void)buf_add_str(&prefix, "Answer with a JSON object that is valid under this schema:\n");
    (void)json_dump_callback(tree, add_bytes, &prefix, JSON_COMPACT);
    (void)buf_add_str(&prefix, "\n\n");
    if (f == FAIL_NONE) {
        struct jn_writer w;
        buf_clear(&out->ask);
        jn_begin(&w, &out->ask, false);
        jn_object_begin(&w);
        put_buf(&w, "system", &system);
        put_buf(&w, "prefix", &prefix);
        put_buf(&w, "input", &input);
        jn_key(&w, "plan");
        form_plan_write(&w, out->plan);
        if (out->reproducible) {
            jn_kv_bool(&w, "reproducible", true);
            jn_kv_int(&w, "seed", out->seed);
            jn_kv_int(&w, "now", out->now);
        }
        jn_object_end(&w);
        if (out->ask.overflow || system.overflow || input.overflow || prefix.overflow) {
            FAULT(why, FAIL_TOO_LARGE, "\"messages\" is larger than a model can be given");
            f = fail_param(why, "messages");
        }
    }
    buf_done(&system);
    buf_done(&input);
    buf_done(&prefix);
    return f;
}

enum fail openai_scored_make(const json_t *root, struct openai_chat_ask *out, struct fault *why)
{
    const json_t *wrapper =
        json_object_get(json_object_get(root, "response_format"), "json_schema");
    const json_t *tree = json_object_get(wrapper, "schema");
    enum fail f = check_others(root, out, why);
    if (f == FAIL_NONE) {
        f = schema_form(tree, &out->plan, why);
        f = f != FAIL_NONE ? f : schema_compile(tree, &out->schema, why);
        if (f != FAIL_NONE) {
            (void)fail_param(why, "response_format");
        }
    }
    return f != FAIL_NONE ? f : put_form(root, tree, out, why);
}

/* ---- the answer ---- */

static void put_value(struct jn_writer *w, const json_t *value, const char *text)
{
    if (json_is_string(value)) {
        jn_put_strn(w, json_string_value(value), json_string_length(value));
    } else {
        jn_put_raw(w, text, strlen(text)); /* a number or boolean: the document's own bytes */
    }
}

void openai_put_fields(struct jn_writer *w, const char *document, const struct form_plan *plan,
                       const struct form_result *filled)
{
    AUTO_JSON json_t *tree = NULL;
    size_t hole = 0;
    bool read = jn_parse(document, strlen(document), "an answer", &tree, NULL) == FAIL_NONE;
    ASSERT(read); /* it was checked under its schema */
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; i < plan->n_pieces; i++) {
        const struct form_piece *piece = &plan->pieces[i];
        if (piece->kind == FORM_LITERAL) {
            continue;
        }
        const struct form_field *field = &filled->fields[hole++];
        jn_object_begin(w);
        jn_kv_str(w, "name", field->name);
        jn_key(w, "value");
        put_value(w, json_object_get(tree, field->name), field->value);
        jn_kv_real(w, "probability", fmin(exp(field->logprob), 1.0), 6);
        if (field->probs != NULL) {
            jn_key(w, "probabilities");
            jn_object_begin(w);
            for (size_t k = 0; k < piece->n_labels && k < field->n_probs; k++) {
                jn_kv_real(w, piece->labels[k], field->probs[k], 6);
            }
            jn_object_end(w);
        }
        jn_object_end(w);
    }
    jn_array_end(w);
}
