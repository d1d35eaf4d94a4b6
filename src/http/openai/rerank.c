/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/rerank, in the shape of Jina's and Cohere's: a query and documents in, the documents by
 * relevance out. Scored by the cosine of the embedding model's vectors, and the answer says so.
 * The query and the documents are one embed task, so gates and record are those of /v1/embeddings.
 */
#include "http/openai/openai_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"

#define RERANK_ANSWER_BYTES (16u * 1024u * 1024u)
#define RERANK_TOTAL_BYTES (8u * 1024u * 1024u)

struct rerank {
    const struct openai_house *h;
    struct wire_request *r;
    struct openai_rerank_ask ask;
    struct openai_flight flight;
};

static enum fail refuse(struct fault *why, enum fail code, const char *param, const char *what)
{
    FAULT(why, code, "\"%s\" %s", param, what);
    return fail_param(why, param);
}

/* ---- in ---- */

/* A document is a text, or an object with one. */
static const json_t *text_of(const json_t *document)
{
    return json_is_object(document) ? json_object_get(document, "text") : document;
}

static enum fail take_texts(struct openai_rerank_ask *out, struct fault *why)
{
    const json_t *query = json_object_get(out->tree, "query");
    const json_t *documents = json_object_get(out->tree, "documents");
    size_t n = json_array_size(documents), total = 0;
    if (!json_is_array(documents) || n == 0) {
        return refuse(why, FAIL_BAD_REQUEST, "documents", "must be a list of texts");
    }
    if (n > OPENAI_MAX_TEXTS - 1) {
        refuse(why, FAIL_TOO_LARGE, "documents", "has more than 2047 texts");
        return fail_hint(why, "Send them in several requests.");
    }
    out->texts = mem_alloc_array(n + 1, sizeof(*out->texts));
    for (size_t i = 0; i <= n; i++) {
        const char *param = i == 0 ? "query" : "documents";
        const json_t *t = i == 0 ? query : text_of(json_array_get(documents, i - 1));
        if (!json_is_string(t) || json_string_length(t) == 0) {
            return refuse(why, FAIL_BAD_REQUEST, param, "must hold text that is not empty");
        }
        total += json_string_length(t) + 1;
        if (json_string_length(t) > TASK_MAX_TEXT || total > RERANK_TOTAL_BYTES) {
            return refuse(why, FAIL_TOO_LARGE, param, "has a text over 256 KiB, or 8 MiB in all");
        }
        out->texts[out->texts_len++] = json_string_value(t);
    }
    return FAIL_NONE;
}

static enum fail decode(struct openai_rerank_ask *out, struct fault *why)
{
    const char *model = "embed";
    if (!json_is_object(out->tree)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the request body must be a JSON object");
    }
    enum fail f = jn_str(out->tree, "model", false, sizeof(out->model) - 1, &model, why);
    if (f == FAIL_NONE) {
        (void)text_copy(out->model, sizeof(out->model), model);
        f = jn_int(out->tree, "top_n", false, 1, INT32_MAX, &out->top_n, why);
    }
    if (f == FAIL_NONE) {
        f = jn_bool(out->tree, "return_documents", false, &out->with_documents, why);
    }
    return f == FAIL_NONE ? take_texts(out, why) : f;
}

enum fail openai_rerank_decode(const char *body, size_t len, struct openai_rerank_ask *out,
                               struct fault *why)
{
    memset(out, 0, sizeof(*out));
    enum fail f = jn_parse(body, len, "the request body", &out->tree, why);
    if (f == FAIL_NONE) {
        f = decode(out, why);
    }
    if (f != FAIL_NONE) {
        openai_rerank_ask_done(out);
    }
    return f;
}

void openai_rerank_ask_done(struct openai_rerank_ask *ask)
{
    mem_free(ask->texts);
    json_decref(ask->tree);
    memset(ask, 0, sizeof(*ask));
}

/* ---- out ---- */

static int by_score(const void *a, const void *b)
{
    const struct openai_ranked *x = a, *y = b;
    int equal = (x->index > y->index) - (x->index < y->index);
    return x->score > y->score ? -1 : x->score < y->score ? 1 : equal;
}

void openai_rerank_order(const float *vectors, size_t n, size_t dim, struct openai_ranked *out)
{
    for (size_t i = 1; i < n; i++) {
        double sum = 0; /* the rows have unit length */
        for (size_t k = 0; k < dim; k++) {
            sum += (double)vectors[k] * (double)vectors[i * dim + k];
        }
        out[i - 1] = (struct openai_ranked){.index = i - 1, .score = sum};
    }
    qsort(out, n - 1, sizeof(*out), by_score);
}

static void reply(struct rerank *k, const struct task_result *t)
{
    struct jn_writer w;
    struct buf body;
    size_t n = t->vectors_len - 1;
    size_t shown = k->ask.top_n > 0 && (size_t)k->ask.top_n < n ? (size_t)k->ask.top_n : n;
    AUTO_FREE struct openai_ranked *order = mem_alloc_array(n, sizeof(*order));
    openai_rerank_order(t->vectors, t->vectors_len, t->dim, order);
    buf_init(&body, RERANK_ANSWER_BYTES);
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "object", "list");
    jn_kv_str(&w, "model", t->model ? t->model : k->ask.model);
    jn_kv_str(&w, "method", "cosine");
    jn_key(&w, "results");
    jn_array_begin(&w);
    for (size_t i = 0; i < shown; i++) {
        jn_object_begin(&w);
        jn_kv_int(&w, "index", (int64_t)order[i].index);
        jn_kv_real(&w, "relevance_score", order[i].score, 6);
        if (k->ask.with_documents) {
            jn_key(&w, "document");
            jn_object_begin(&w);
            jn_kv_str(&w, "text", k->ask.texts[order[i].index + 1]);
            jn_object_end(&w);
        }
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_key(&w, "usage");
    jn_object_begin(&w);
    jn_kv_int(&w, "prompt_tokens", t->tokens);
    jn_kv_int(&w, "total_tokens", t->tokens);
    jn_object_end(&w);
    jn_object_end(&w);
    if (body.overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the answer is larger than %u bytes", RERANK_ANSWER_BYTES);
        fail_hint(&why, "Ask without return_documents.");
        buf_done(&body);
        wire_fail(k->r, FAIL_TOO_LARGE, &why);
        return;
    }
    wire_reply(k->r, 200, NULL, &body);
}

static void rerank_done(void *arg, const struct task_result *t)
{
    struct rerank *k = arg;
    openai_name_task(k->r, &t->task);
    struct openai_rerank_ask ask = k->ask; /* k may be gone with its request */
    if (t->code != FAIL_NONE) {
        wire_fail(k->r, t->code, t->why);
    } else {
        reply(k, t);
    }
    openai_rerank_ask_done(&ask);
}

void openai_rerank(struct wire_request *r, const struct openai_house *h)
{
    size_t len;
    const char *body = wire_body(r, &len);
    struct rerank *k = wire_alloc(r, sizeof(*k));
    struct fault why;
    struct openai_gate gate;
    if (openai_gate_read(r, body, len, &gate, &why) != FAIL_NONE) {
        wire_fail(r, why.code, &why);
        return;
    }
    enum fail f = openai_rerank_decode(body, len, &k->ask, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    k->h = h;
    k->r = r;
    openai_flight_watch(&k->flight, r, h->desk);
    struct task_request t = {.kind = TASK_EMBED,
                             .who = *(const struct principal *)wire_who(r),
                             .class = IPC_INTERACTIVE,
                             .label = gate.label,
                             .deadline_ms = gate.deadline_ms,
                             .model = k->ask.model,
                             .texts = k->ask.texts,
                             .texts_len = k->ask.texts_len,
                             .on_done = rerank_done,
                             .arg = k};
    /* The library holds the request while its handler runs, so k is still there. */
    openai_flight_submit(&k->flight, &t);
}
