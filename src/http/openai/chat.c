/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One chat: decoded on an http thread, submitted and answered on the core thread.
 *
 * A failure before the first byte is an ordinary error; after it, the stream carries the error
 * object as an event and ends without [DONE], so that a client never takes a part for the whole.
 */
#include "http/openai/openai_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock/clock.h"
#include "base/json/json.h"

#define CHAT_ANSWER_BYTES (4u * 1024u * 1024u)

/* Lives in the request's memory, so that the gone callback may still read it after the answer. */
struct chat {
    const struct openai_house *h;
    struct wire_request *r;
    struct openai_chat_ask ask;
    struct principal who;
    char id[TEXT_ID_SIZE + 16];
    char model[128]; /* in stream chunks */
    char fingerprint[24]; /* the same, of what serves it now */
    int64_t created;
    bool begun;
    struct openai_gate gate;
    struct openai_flight flight;
};

/* ---- streamed ---- */

static void chunk_open(const struct chat *c, struct jn_writer *w, struct buf *line)
{
    buf_init(line, CHAT_ANSWER_BYTES);
    (void)buf_add_str(line, "data: ");
    jn_begin(w, line, false);
    jn_object_begin(w);
    jn_kv_str(w, "id", c->id);
    jn_kv_str(w, "object", "chat.completion.chunk");
    jn_kv_int(w, "created", c->created);
    jn_kv_str(w, "model", c->model);
    jn_kv_str(w, "system_fingerprint", c->fingerprint[0] != '\0' ? c->fingerprint : NULL);
}

static void chunk_send(struct chat *c, struct jn_writer *w, struct buf *line)
{
    jn_object_end(w);
    (void)buf_add_str(line, "\n\n");
    (void)wire_stream_write(c->r, line->data, line->len);
    buf_done(line);
}

static void delta_open(struct jn_writer *w)
{
    jn_key(w, "choices");
    jn_array_begin(w);
    jn_object_begin(w);
    jn_kv_int(w, "index", 0);
    jn_key(w, "delta");
    jn_object_begin(w);
}

static void delta_close(const struct chat *c, struct jn_writer *w, const char *finish)
{
    jn_object_end(w);
    jn_kv_null(w, "logprobs");
    jn_kv_str(w, "finish_reason", finish);
    jn_object_end(w);
    jn_array_end(w);
    if (c->ask.include_usage) {
        jn_kv_null(w, "usage");
    }
}

static void stream_open(struct chat *c)
{
    struct jn_writer w;
    struct buf line;
    c->begun = true;
    wire_stream_begin(c->r, "text/event-stream; charset=utf-8");
    chunk_open(c, &w, &line);
    delta_open(&w);
    jn_kv_str(&w, "role", "assistant");
    jn_kv_str(&w, "content", "");
    delta_close(c, &w, NULL);
    chunk_send(c, &w, &line);
}

static void stream_text(struct chat *c, const char *text, size_t len)
{
    struct jn_writer w;
    struct buf line;
    chunk_open(c, &w, &line);
    delta_open(&w);
    jn_key(&w, "content");
    jn_put_strn(&w, text, len);
    delta_close(c, &w, NULL);
    chunk_send(c, &w, &line);
}

static void chat_text(void *arg, const char *text, size_t len)
{
    struct chat *c = arg;
    if (!c->begun) {
        stream_open(c);
    }
    stream_text(c, text, len);
}

static const char *text_of(const struct fleet_generated *g)
{
    return g->text ? g->text : "";
}

/* "cancelled" only when nobody reads any more; clients know three reasons. */
static const char *finish_of(const struct fleet_generated *g, bool has_calls)
{
    if (has_calls) {
        return "tool_calls";
    }
    return strcmp(g->finish_reason, "length") == 0 ? "length" : "stop";
}

static void stream_close(struct chat *c, const struct fleet_generated *g)
{
    struct jn_writer w;
    struct buf line;
    bool calls = false;
    if (c->ask.has_tools) {
        if (text_of(g)[0] != '\0') {
            stream_text(c, text_of(g), strlen(text_of(g)));
        }
        if (g->tool_calls_json != NULL) {
            chunk_open(c, &w, &line);
            delta_open(&w);
            calls = openai_put_tool_calls(&w, g->tool_calls_json, c->ask.one_tool_call, true);
            delta_close(c, &w, NULL);
            chunk_send(c, &w, &line);
        }
    }
    chunk_open(c, &w, &line);
    delta_open(&w);
    delta_close(c, &w, finish_of(g, calls));
    chunk_send(c, &w, &line);
    if (c->ask.include_usage) {
        chunk_open(c, &w, &line);
        jn_key(&w, "choices");
        jn_array_begin(&w);
        jn_array_end(&w);
        jn_key(&w, "usage");
        openai_put_usage(&w, g);
        jn_key(&w, "timings");
        openai_put_timings(&w, g);
        chunk_send(c, &w, &line);
    }
    (void)wire_stream_write(c->r, "data: [DONE]\n\n", 14);
    wire_stream_end(c->r, true);
}

static void stream_fail(struct chat *c, enum fail code, const struct fault *why)
{
    struct buf line;
    buf_init(&line, 8192);
    (void)buf_add_str(&line, "data: ");
    wire_fault_json(code, why, &line);
    (void)buf_add_str(&line, "\n\n");
    (void)wire_stream_write(c->r, line.data, line.len);
    buf_done(&line);
    wire_stream_end(c->r, true);
}

/* ---- whole ---- */

static void reply_whole(struct chat *c, const struct task_result *result)
{
    const struct fleet_generated *g = result->generated;
    struct jn_writer w;
    struct buf body;
    buf_init(&body, CHAT_ANSWER_BYTES);
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "id", c->id);
    jn_kv_str(&w, "object", "chat.completion");
    jn_kv_int(&w, "created", c->created);
    jn_kv_str(&w, "model", result->model ? result->model : c->model);
    const char *print = result->fingerprint;
    jn_kv_str(&w, "system_fingerprint", print != NULL && print[0] != '\0' ? print : NULL);
    jn_key(&w, "choices");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_kv_int(&w, "index", 0);
    jn_key(&w, "message");
    jn_object_begin(&w);
    jn_kv_str(&w, "role", "assistant");
    bool calls = openai_put_tool_calls(&w, g->tool_calls_json, c->ask.one_tool_call, false);
    jn_kv_str(&w, "content", calls && text_of(g)[0] == '\0' ? NULL : text_of(g));
    jn_kv_null(&w, "refusal");
    jn_object_end(&w);
    jn_key(&w, "logprobs");
    openai_put_logprobs(&w, c->ask.logprobs ? g->logprobs_json : NULL, c->ask.top_logprobs);
    jn_kv_str(&w, "finish_reason", finish_of(g, calls));
    if (result->filled != NULL) {
        openai_put_fields(&w, text_of(g), result->plan, result->filled);
    }
    jn_object_end(&w);
    jn_array_end(&w);
    jn_key(&w, "usage");
    openai_put_usage(&w, g);
    jn_key(&w, "timings");
    openai_put_timings(&w, g);
    jn_object_end(&w);
    if (body.overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the answer is larger than %u bytes", CHAT_ANSWER_BYTES);
        buf_done(&body);
        wire_fail(c->r, FAIL_TOO_LARGE, &why);
        return;
    }
    wire_reply(c->r, 200, NULL, &body);
}

/* Core thread. The request, and c with it, may be gone when a reply returns. */
static void chat_done(void *arg, const struct task_result *result)
{
    struct chat *c = arg;
    openai_chat_ask_done(&c->ask);
    if (!c->begun) {
        openai_name_task(c->r, &result->task);
    }
    if (result->code != FAIL_NONE) {
        if (c->begun) {
            stream_fail(c, result->code, result->why);
        } else {
            wire_fail(c->r, result->code, result->why);
        }
    } else if (c->ask.stream) {
        if (!c->begun) {
            if (result->model != NULL) {
                (void)text_copy(c->model, sizeof(c->model), result->model);
            }
            if (result->fingerprint != NULL) {
                (void)text_copy(c->fingerprint, sizeof(c->fingerprint), result->fingerprint);
            }
            stream_open(c);
        }
        stream_close(c, result->generated);
    } else {
        reply_whole(c, result);
    }
}

/* ---- in ---- */

/* `auto` takes the best that is ready; a role shows as the model that serves it. */
static const char *resolve(struct chat *c)
{
    const char *asked = c->ask.model;
    if (strcmp(asked, "auto") == 0) {
        asked = fleet_is_serving(c->h->fleet, FLEET_HEAVY) ? "heavy" : "light";
    }
    enum fleet_role role = fleet_role_find(asked);
    struct fleet_model m;
    for (int i = 0; role == FLEET_ROLE_COUNT && i < FLEET_ROLE_COUNT; i++) {
        fleet_model_get(c->h->fleet, (enum fleet_role)i, &m);
        role = strcmp(m.name, asked) == 0 ? (enum fleet_role)i : role;
    }
    memset(&m, 0, sizeof(m));
    if (role != FLEET_ROLE_COUNT) {
        fleet_model_get(c->h->fleet, role, &m);
    }
    (void)text_copy(c->model, sizeof(c->model), m.name[0] ? m.name : asked);
    (void)text_copy(c->fingerprint, sizeof(c->fingerprint), m.fingerprint);
    return asked;
}

static void chat_start(void *arg)
{
    struct chat *c = arg;
    struct task_request t = {.kind = TASK_CHAT,
                             .who = c->who,
                             .class = c->ask.class,
                             .label = c->gate.label,
                             .deadline_ms = c->gate.deadline_ms,
                             .model = resolve(c),
                             .ask_json = c->ask.ask.data,
                             .ask_len = c->ask.ask.len,
                             .max_tokens = (int)c->ask.max_tokens,
                             .stream = c->ask.stream && !c->ask.has_tools,
                             .keep_values = c->ask.keep_values,
                             .reproducible = c->ask.reproducible,
                             .seed = c->ask.seed,
                             .now = c->ask.now,
                             .plan = c->ask.plan,
                             .schema = c->ask.schema,
                             .on_text = chat_text,
                             .on_done = chat_done,
                             .arg = c};
    c->ask.plan = NULL; /* taken */
    c->ask.schema = NULL;
    openai_flight_submit(&c->flight, &t);
}

void openai_chat(struct wire_request *r, const struct openai_house *h)
{
    size_t len;
    const char *body = wire_body(r, &len);
    struct chat *c = wire_alloc(r, sizeof(*c));
    struct fault why;
    uint32_t seed = 0;
    (void)!getrandom(&seed, sizeof(seed), 0);
    if (openai_gate_read(r, body, len, &c->gate, &why) != FAIL_NONE) {
        wire_fail(r, why.code, &why);
        return;
    }
    bool raw = __atomic_load_n(&h->raw_grammar, __ATOMIC_RELAXED);
    enum fail f = openai_chat_decode(body, len, h->context_max, seed, raw, &c->ask, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    c->h = h;
    c->r = r;
    c->who = *(const struct principal *)wire_who(r);
    c->created = clock_now_us() / 1000000;
    openai_id("chatcmpl", c->id);
    openai_flight_watch(&c->flight, r, h->desk);
    loop_post(h->loop, chat_start, c);
}
