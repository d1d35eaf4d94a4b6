/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/embeddings: texts in, unit vectors out, as numbers or as base64 of little-endian floats. */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "base/json/json.h"

#define EMBED_ANSWER_BYTES (16u * 1024u * 1024u)

struct embed {
    const struct openai_house *h;
    struct wire_request *r;
    struct openai_embed_ask ask;
    struct openai_flight flight;
};

static void put_vector(struct jn_writer *w, const float *v, size_t dim, bool base64)
{
    if (!base64) {
        jn_array_begin(w);
        for (size_t i = 0; i < dim; i++) {
            jn_put_real(w, (double)v[i], 9);
        }
        jn_array_end(w);
        return;
    }
    size_t bytes = dim * sizeof(*v); /* this machine is little-endian, as the format is */
    AUTO_FREE char *text = mem_alloc(4 * ((bytes + 2) / 3) + 1);
    size_t n = text_base64(v, bytes, text);
    jn_put_strn(w, text, n);
}

static void reply_vectors(struct embed *e, const struct task_result *t)
{
    struct jn_writer w;
    struct buf body;
    buf_init(&body, EMBED_ANSWER_BYTES);
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "object", "list");
    jn_key(&w, "data");
    jn_array_begin(&w);
    for (size_t i = 0; i < t->vectors_len; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "object", "embedding");
        jn_kv_int(&w, "index", (int64_t)i);
        jn_key(&w, "embedding");
        put_vector(&w, t->vectors + i * t->dim, t->dim, e->ask.base64);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_kv_str(&w, "model", t->model ? t->model : e->ask.model);
    jn_key(&w, "usage");
    jn_object_begin(&w);
    jn_kv_int(&w, "prompt_tokens", t->tokens);
    jn_kv_int(&w, "total_tokens", t->tokens);
    jn_object_end(&w);
    jn_object_end(&w);
    if (body.overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the answer is larger than %u bytes", EMBED_ANSWER_BYTES);
        fail_hint(&why, "Ask with \"encoding_format\": \"base64\", or for fewer texts.");
        buf_done(&body);
        wire_fail(e->r, FAIL_TOO_LARGE, &why);
        return;
    }
    wire_reply(e->r, 200, NULL, &body);
}

static void embed_done(void *arg, const struct task_result *t)
{
    struct embed *e = arg;
    struct fault why;
    openai_name_task(e->r, &t->task);
    struct openai_embed_ask ask = e->ask;
    if (t->code != FAIL_NONE) {
        wire_fail(e->r, t->code, t->why);
    } else if (ask.dimensions != 0 && (size_t)ask.dimensions != t->dim) {
        FAULT(&why, FAIL_UNSUPPORTED,
              "\"dimensions\" other than %zu is not supported by this model", t->dim);
        fail_param(&why, "dimensions");
        wire_fail(e->r, FAIL_UNSUPPORTED, &why);
    } else {
        reply_vectors(e, t);
    }
    openai_embed_ask_done(&ask); /* e may be gone with its request */
}

void openai_embeddings(struct wire_request *r, const struct openai_house *h)
{
    size_t len;
    const char *body = wire_body(r, &len);
    struct embed *e = wire_alloc(r, sizeof(*e));
    struct fault why;
    struct openai_gate gate;
    if (openai_gate_read(r, body, len, &gate, &why) != FAIL_NONE) {
        wire_fail(r, why.code, &why);
        return;
    }
    enum fail f = openai_embed_decode(body, len, &e->ask, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    e->h = h;
    e->r = r;
    openai_flight_watch(&e->flight, r, h->desk);
    struct task_request t = {.kind = TASK_EMBED,
                             .who = *(const struct principal *)wire_who(r),
                             .class = IPC_INTERACTIVE,
                             .label = gate.label,
                             .deadline_ms = gate.deadline_ms,
                             .model = e->ask.model,
                             .texts = e->ask.texts,
                             .texts_len = e->ask.texts_len,
                             .on_done = embed_done,
                             .arg = e};
    /* The library holds the request while its handler runs, so e is still there. */
    openai_flight_submit(&e->flight, &t);
}
