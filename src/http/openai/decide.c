/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/systemone: typed questions about one state, each answered with a probability for every
 * allowed answer. One request is one task with one record; the state is decoded once.
 */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"

#define DECIDE_ANSWER_BYTES (4u * 1024u * 1024u)

struct decide {
    const struct openai_house *h;
    struct wire_request *r;
    struct openai_decide_ask ask;
    char id[TEXT_ID_SIZE + 16];
    int64_t created;
    struct openai_flight flight;
};

static void put_diagnostics(struct jn_writer *w, const struct openai_decide_ask *ask,
                            const struct task_decided *decided)
{
    jn_key(w, "diagnostics");
    jn_object_begin(w);
    for (size_t i = 0; i < ask->n; i++) {
        jn_key(w, ask->names[i]);
        jn_object_begin(w);
        if (decided[i].mass > 0) {
            jn_kv_real(w, "label_mass", decided[i].mass, 6);
        } else {
            jn_kv_null(w, "label_mass");
        }
        jn_object_end(w);
    }
    jn_object_end(w);
}

static void reply_decided(struct decide *d, const struct task_result *t)
{
    struct jn_writer w;
    struct buf body;
    buf_init(&body, DECIDE_ANSWER_BYTES);
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "id", d->id);
    jn_kv_str(&w, "object", "structured_decision");
    jn_kv_int(&w, "created", d->created);
    jn_kv_str(&w, "model", t->model != NULL ? t->model : d->ask.model);
    jn_key(&w, "answers");
    openai_put_answers(&w, &d->ask, t->decided);
    jn_key(&w, "usage");
    jn_object_begin(&w);
    jn_kv_int(&w, "input_tokens", t->tokens_in);
    jn_kv_int(&w, "output_tokens", 0);
    jn_key(&w, "input_tokens_details");
    jn_object_begin(&w);
    jn_kv_int(&w, "cached_tokens", t->tokens_cached);
    jn_object_end(&w);
    jn_object_end(&w);
    put_diagnostics(&w, &d->ask, t->decided);
    jn_object_end(&w);
    if (body.overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the answer is larger than %u bytes", DECIDE_ANSWER_BYTES);
        fail_hint(&why, "Ask fewer questions at once.");
        buf_done(&body);
        wire_fail(d->r, FAIL_TOO_LARGE, &why);
        return;
    }
    wire_reply(d->r, 200, NULL, &body);
}

static void decide_done(void *arg, const struct task_result *t)
{
    struct decide *d = arg;
    struct openai_decide_ask ask = d->ask;
    openai_name_task(d->r, &t->task);
    if (t->code != FAIL_NONE) {
        wire_fail(d->r, t->code, t->why);
    } else {
        reply_decided(d, t);
    }
    openai_decide_ask_done(&ask); /* d may be gone with its request */
}

void openai_decide(struct wire_request *r, const struct openai_house *h)
{
    size_t len;
    const char *body = wire_body(r, &len);
    struct decide *d = wire_alloc(r, sizeof(*d));
    struct fault why;
    enum fail f = openai_decide_decode(body, len, &d->ask, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    d->h = h;
    d->r = r;
    d->created = clock_now_us() / 1000000;
    openai_id("decision", d->id);
    openai_flight_watch(&d->flight, r, h->desk);
    struct task_request t = {.kind = TASK_DECIDE,
                             .who = *(const struct principal *)wire_who(r),
                             .class = IPC_INTERACTIVE,
                             .model = d->ask.model,
                             .ask_json = body,
                             .ask_len = len,
                             .text = d->ask.state,
                             .intro = d->ask.intro,
                             .questions = d->ask.questions,
                             .questions_len = d->ask.n,
                             .on_done = decide_done,
                             .arg = d};
    /* The library holds the request while its handler runs, so d is still there. */
    openai_flight_submit(&d->flight, &t);
}
