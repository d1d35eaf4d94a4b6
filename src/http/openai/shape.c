/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of answers that OpenAI shapes in its own way. Worker JSON is parsed, never passed
   through. */
#include "http/openai/openai_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/json/json.h"

void openai_id(const char *prefix, char out[TEXT_ID_SIZE + 16])
{
    char shown[TEXT_ID_SIZE];
    struct id id = text_id_new();
    (void)text_id_show(&id, "x", shown);
    (void)snprintf(out, TEXT_ID_SIZE + 16, "%s-%s", prefix, shown + 2);
}

void openai_name_task(struct wire_request *r, const struct id *task)
{
    char shown[TEXT_ID_SIZE];
    if (!text_id_is_zero(task)) {
        wire_header_add(r, "x-inhouse-task", text_id_show(task, "tsk", shown));
    }
}

void openai_put_usage(struct jn_writer *w, const struct fleet_generated *g)
{
    jn_object_begin(w);
    jn_kv_int(w, "prompt_tokens", g->tokens_in);
    jn_kv_int(w, "completion_tokens", g->tokens_out);
    jn_kv_int(w, "total_tokens", (int64_t)g->tokens_in + g->tokens_out);
    jn_key(w, "prompt_tokens_details");
    jn_object_begin(w);
    jn_kv_int(w, "cached_tokens", g->tokens_cached);
    jn_object_end(w);
    jn_key(w, "completion_tokens_details");
    jn_object_begin(w);
    jn_kv_int(w, "accepted_prediction_tokens", g->tokens_accepted);
    jn_kv_int(w, "rejected_prediction_tokens",
              (int64_t)g->tokens_drafted - g->tokens_accepted);
    jn_object_end(w);
    jn_object_end(w);
}

void openai_put_timings(struct jn_writer *w, const struct fleet_generated *g)
{
    jn_object_begin(w);
    jn_kv_real(w, "queue_ms", g->ms_queue, 3);
    jn_kv_int(w, "prompt_n", (int64_t)g->tokens_in - g->tokens_cached);
    jn_kv_real(w, "prompt_ms", g->ms_prefill, 3);
    jn_kv_int(w, "predicted_n", g->tokens_out);
    jn_kv_real(w, "predicted_ms", g->ms_decode, 3);
    jn_object_end(w);
}

static void put_token(struct jn_writer *w, const json_t *t)
{
    const char *token = json_string_value(json_object_get(t, "token"));
    jn_kv_str(w, "token", token ? token : "");
    jn_kv_real(w, "logprob", json_number_value(json_object_get(t, "logprob")), 6);
    jn_key(w, "bytes");
    jn_array_begin(w);
    for (const char *p = token ? token : ""; *p != '\0'; p++) {
        jn_put_int(w, (unsigned char)*p);
    }
    jn_array_end(w);
}

void openai_put_logprobs(struct jn_writer *w, const char *json, int top)
{
    AUTO_JSON json_t *list = NULL;
    struct fault why;
    if (json == NULL ||
        jn_parse(json, strlen(json), "log probabilities", &list, &why) != FAIL_NONE) {
        jn_put_null(w);
        return;
    }
    jn_object_begin(w);
    jn_key(w, "content");
    jn_array_begin(w);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        const json_t *tops = json_object_get(t, "top");
        jn_object_begin(w);
        put_token(w, t);
        jn_key(w, "top_logprobs");
        jn_array_begin(w);
        for (size_t k = 0; k < json_array_size(tops) && k < (size_t)top; k++) {
            jn_object_begin(w);
            put_token(w, json_array_get(tops, k));
            jn_object_end(w);
        }
        jn_array_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_kv_null(w, "refusal");
    jn_object_end(w);
}

bool openai_put_tool_calls(struct jn_writer *w, const char *json, bool only_first, bool indexed)
{
    AUTO_JSON json_t *list = NULL;
    struct fault why;
    if (json == NULL || jn_parse(json, strlen(json), "tool calls", &list, &why) != FAIL_NONE ||
        json_array_size(list) == 0) {
        return false;
    }
    jn_key(w, "tool_calls");
    jn_array_begin(w);
    for (size_t i = 0; i < json_array_size(list) && !(only_first && i > 0); i++) {
        const json_t *call = json_array_get(list, i);
        const json_t *f = json_object_get(call, "function");
        const char *id = json_string_value(json_object_get(call, "id"));
        const char *name = json_string_value(json_object_get(f, "name"));
        const char *arguments = json_string_value(json_object_get(f, "arguments"));
        char made[TEXT_ID_SIZE + 16];
        if (id == NULL || id[0] == '\0') {
            openai_id("call", made);
            id = made;
        }
        jn_object_begin(w);
        if (indexed) {
            jn_kv_int(w, "index", (int64_t)i);
        }
        jn_kv_str(w, "id", id);
        jn_kv_str(w, "type", "function");
        jn_key(w, "function");
        jn_object_begin(w);
        jn_kv_str(w, "name", name ? name : "");
        jn_kv_str(w, "arguments", arguments ? arguments : "{}");
        jn_object_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
    return true;
}
