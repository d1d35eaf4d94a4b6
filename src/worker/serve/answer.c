/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/serve, answers: the engine's results as bodies of frames.
 * Owns: nothing. Threads: one. Limits: the buffer's cap, which the caller checks.
 */
#include "worker/serve/serve_internal.h"

#include <string.h>

void answer_loaded(struct buf *out, const struct engine_loaded *loaded, double ms)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "arch", loaded->arch);
    jn_kv_str(&w, "desc", loaded->desc);
    jn_kv_str(&w, "kind", loaded->kind == ENGINE_EMBED ? "embed" : "generate");
    jn_kv_int(&w, "n_params", loaded->n_params);
    jn_kv_int(&w, "n_ctx", loaded->n_ctx);
    jn_kv_int(&w, "n_ctx_train", loaded->n_ctx_train);
    jn_kv_int(&w, "n_embd", loaded->n_embd);
    jn_kv_int(&w, "n_vocab", loaded->n_vocab);
    jn_kv_int(&w, "n_seq", loaded->n_seq);
    jn_kv_bool(&w, "has_template", loaded->has_template);
    jn_kv_str(&w, "build", loaded->build);
    jn_kv_str(&w, "fingerprint", loaded->fingerprint);
    jn_kv_int(&w, "bytes", loaded->bytes);
    jn_kv_real(&w, "ms", ms, 3);
    jn_object_end(&w);
}

static void put_token(struct jn_writer *w, const struct engine_token *token)
{
    jn_kv_str(w, "token", token->text);
    jn_kv_real(w, "logprob", token->logprob, 6);
}

static void put_logprobs(struct jn_writer *w, const struct engine_generated *result)
{
    jn_key(w, "logprobs");
    jn_array_begin(w);
    for (size_t i = 0; i < result->n_logprobs; i++) {
        const struct engine_logprob *row = &result->logprobs[i];
        jn_object_begin(w);
        put_token(w, &row->chosen);
        jn_key(w, "top");
        jn_array_begin(w);
        for (size_t k = 0; k < row->n_top; k++) {
            jn_object_begin(w);
            put_token(w, &row->top[k]);
            jn_object_end(w);
        }
        jn_array_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_tool_calls(struct jn_writer *w, const char *json)
{
    AUTO_JSON json_t *calls = json_loads(json, 0, NULL);
    size_t i;
    const json_t *call;
    jn_key(w, "tool_calls");
    jn_array_begin(w);
    json_array_foreach(calls, i, call) {
        const char *id = json_string_value(json_object_get(call, "id"));
        char made[32];
        (void)snprintf(made, sizeof made, "call_%zu", i);
        jn_object_begin(w);
        jn_kv_str(w, "id", id == NULL || *id == '\0' ? made : id);
        jn_kv_str(w, "type", "function");
        jn_key(w, "function");
        jn_object_begin(w);
        jn_kv_str(w, "name", json_string_value(json_object_get(call, "name")));
        jn_kv_str(w, "arguments", json_string_value(json_object_get(call, "arguments")));
        jn_object_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
}

void answer_generated(struct buf *out, const struct engine_generated *result)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "finish_reason", result->finish_reason);
    jn_kv_str(&w, "text", result->text);
    if (result->tool_calls != NULL) {
        put_tool_calls(&w, result->tool_calls);
    }
    jn_kv_int(&w, "tokens_in", result->usage.tokens_in);
    jn_kv_int(&w, "tokens_cached", result->usage.tokens_cached);
    jn_kv_int(&w, "tokens_out", result->usage.tokens_out);
    jn_kv_int(&w, "tokens_drafted", result->usage.tokens_drafted);
    jn_kv_int(&w, "tokens_accepted", result->usage.tokens_accepted);
    jn_kv_real(&w, "ms_queue", result->usage.ms_queue, 3);
    jn_kv_real(&w, "ms_prefill", result->usage.ms_prefill, 3);
    jn_kv_real(&w, "ms_decode", result->usage.ms_decode, 3);
    jn_kv_real(&w, "logprob_mean", result->logprob_mean, 6);
    jn_kv_real(&w, "logprob_min", result->logprob_min, 6);
    if (result->n_logprobs > 0) {
        put_logprobs(&w, result);
    }
    jn_object_end(&w);
}

static void put_number(struct buf *out, uint32_t value)
{
    char bytes[4];
    for (int i = 0; i < 4; i++) {
        bytes[i] = (char)(value >> (8 * i));
    }
    (void)buf_add(out, bytes, sizeof bytes);
}

void answer_embedded(struct buf *out, const struct engine_embedded *result)
{
    put_number(out, (uint32_t)result->n);
    put_number(out, (uint32_t)result->dim);
    for (size_t i = 0; i < result->n; i++) {
        put_number(out, (uint32_t)result->tokens[i]);
        put_number(out, result->cut[i] ? 1 : 0);
    }
    for (size_t i = 0; i < result->n * (size_t)result->dim; i++) {
        uint32_t bits;
        memcpy(&bits, &result->rows[i], sizeof bits);
        put_number(out, bits);
    }
}

void answer_fault(struct buf *out, const struct fault *why)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "code", fail_name(why->code));
    jn_kv_str(&w, "message", why->message);
    jn_kv_str(&w, "hint", why->hint);
    jn_kv_str(&w, "param", why->param);
    jn_object_end(&w);
}
