/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call: the gate, the request, the reservation, attempts until one answers or time is up, the
 * settlement, the answer. It belongs to the core thread; while `busy` another thread reads it, and
 * it is freed when it comes back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock/clock.h"
#include "run/upstream/upstream_internal.h"

#define DEADLINE_MS 120000
#define PAUSE_MS 250 /* before the first attempt at the same server, twice as long each time */
#define PAUSE_MS_MAX 8000
#define BLAME_MS 1000      /* a server that had this long at the deadline was too slow */
#define PARSE_HERE_BYTES 32768
#define STREAM_END_MS 100  /* between a stream's last event and the end of its body */

static void attempt_begin(void *arg);
static void attempt_end(struct call *c, enum upstream_outcome outcome, const char *note);

/* ---- the end ---- */

static void call_free(struct call *c)
{
    struct upstream *u = c->u;
    loop_timer_cancel(u->loop, c->deadline_timer);
    loop_timer_cancel(u->loop, c->retry_timer);
    exchange_free(c->exchange);
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        u->calls = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    prepared_done(&c->made);
    reply_done(&c->reply);
    buf_done(&c->send);
    buf_done(&c->held);
    buf_done(&c->said);
    for (size_t i = 0; i < c->texts_len; i++) {
        mem_free(c->texts[i]);
    }
    mem_free(c->texts);
    mem_free(c->keep);
    guard_lists_free(c->lists);
    mem_free(c->body);
    mem_free(c);
}

void calls_drop(struct upstream *u)
{
    while (u->calls != NULL) {
        call_free(u->calls);
    }
}

static void free_if_over(struct call *c)
{
    if (c->over && !c->busy) {
        call_free(c);
    }
}

static void release(struct call *c)
{
    if (c->reserved > 0) {
        c->member->server->reserved -= c->reserved;
        c->reserved = 0;
    }
}

/* Settles, tells, and frees it unless another thread still reads it. */
static void deliver(struct call *c, struct upstream_answer *a)
{
    struct server *s = c->member != NULL ? c->member->server : NULL;
    a->attempts = c->attempts;
    a->attempts_len = c->attempts_len;
    a->ms = clock_ms_since(c->started_us);
    a->redacted = !c->busy && c->made.redaction != NULL
                      ? (int)guard_redaction_count(c->made.redaction)
                      : 0;
    a->model = a->model != NULL ? a->model : "";
    a->upstream = a->upstream != NULL ? a->upstream : "";
    release(c);
    if (s != NULL && c->in_ledger) {
        server_period(s, clock_now_us());
        s->spent += a->cost_nano;
        s->uncertain += c->uncertain;
        ledger_settle(c, a, c->uncertain);
    }
    if (c->u->policy != NULL) {
        policy_spend_settle(c->u->policy, &c->money, a->cost_nano);
        memset(&c->money, 0, sizeof(c->money));
    }
    loop_timer_cancel(c->u->loop, c->deadline_timer);
    loop_timer_cancel(c->u->loop, c->retry_timer);
    c->deadline_timer = c->retry_timer = 0;
    if (!c->busy) { /* the other thread may be reading its body */
        exchange_free(c->exchange);
        c->exchange = NULL;
    }
    c->over = true;
    c->u->calls_len--;
    c->done(c->arg, a);
    free_if_over(c);
}

static void call_fail(struct call *c, const struct fault *why)
{
    struct upstream_answer a = {.code = why->code, .why = why};
    if (c->emitted) { /* what was handed on was paid for */
        int64_t out = c->reply.usage ? c->reply.tokens_out : (int64_t)c->reply.text.len / 3 + 1;
        int64_t in = c->reply.usage && c->reply.tokens_in > 0 ? c->reply.tokens_in
                                                              : c->made.tokens_in;
        a.cost_nano = member_cost(c->member, in, 0, out);
        a.upstream = c->member->server->name;
        a.tokens_in = (int)in;
        a.tokens_out = (int)out;
    }
    deliver(c, &a);
}

/* Which code the last attempt comes to, with a line that names them all. */
static void failed_all(struct call *c, enum fail code)
{
    struct fault why;
    struct buf list;
    int64_t retry_ms = 0;
    buf_init(&list, 200);
    for (size_t i = 0; i < c->attempts_len; i++) {
        const struct upstream_attempt *t = &c->attempts[i];
        (void)buf_printf(&list, "%s%s %s", i > 0 ? ", " : "", t->upstream,
                         upstream_outcome_name(t->outcome));
        retry_ms = t->retry_after_ms > retry_ms ? t->retry_after_ms : retry_ms;
    }
    const struct upstream_attempt *last =
        c->attempts_len > 0 ? &c->attempts[c->attempts_len - 1] : NULL;
    if (code == FAIL_UPSTREAM_FAILED && last != NULL && last->outcome == UPSTREAM_LIMITED) {
        code = FAIL_RATE_LIMITED;
    } else if (code == FAIL_UPSTREAM_FAILED && last != NULL && last->outcome == UPSTREAM_HALTED) {
        code = FAIL_STOPPED;
    }
    FAULT(&why, code, "no upstream answered \"%.64s\"%s%s%s%.80s", c->pool,
          code == FAIL_DEADLINE ? " within the deadline" : "", last != NULL ? ": " : "",
          list.data != NULL ? list.data : "", "");
    if (last != NULL && last->note[0] != '\0') {
        fail_hint(&why, "The last one: %s.", last->note);
    }
    if (retry_ms > 0) {
        fail_retry_after(&why, (int)((retry_ms + 999) / 1000));
    }
    buf_done(&list);
    call_fail(c, &why);
}

static void on_deadline(void *arg)
{
    struct call *c = arg;
    c->deadline_timer = 0;
    if (c->exchange != NULL && !c->busy) {
        bool slow = clock_ms_since(c->attempt_us) >= BLAME_MS;
        attempt_end(c, slow ? UPSTREAM_SLOW : UPSTREAM_DEADLINE, "the call's deadline passed");
        return;
    }
    failed_all(c, FAIL_DEADLINE);
}

/* ---- text on its way out ---- */

/* Hands on what the reply has beyond `from`, restored. False: an unknown placeholder. */
static bool emit(struct call *c, size_t from, bool last)
{
    struct buf out;
    enum guard_restored got = GUARD_RESTORED;
    const char *text = c->reply.text.data != NULL ? c->reply.text.data + from : "";
    size_t n = c->reply.text.len - from;
    buf_init(&out, UPSTREAM_REPLY_BYTES);
    if (c->made.redaction == NULL) {
        (void)buf_add(&out, text, n);
    } else {
        got = guard_restore(c->made.redaction, &c->held, text, n, last, c->made.wants_json, &out);
    }
    if (got == GUARD_RESTORED && out.len > 0) {
        (void)buf_add(&c->said, out.data, out.len);
        if (c->stream && c->on_text != NULL) {
            c->emitted = true;
            c->on_text(c->arg, out.data, out.len);
        }
    }
    buf_done(&out);
    return got == GUARD_RESTORED;
}

static bool restore_tools(struct call *c)
{
    for (size_t i = 0; i < c->reply.tools_len; i++) {
        struct buf *b = &c->reply.tools[i].arguments;
        struct buf held;
        struct buf out;
        if (b->len == 0) {
            (void)buf_add_str(b, "{}");
        }
        if (c->made.redaction == NULL) {
            continue;
        }
        buf_init(&held, UPSTREAM_REPLY_BYTES);
        buf_init(&out, UPSTREAM_REPLY_BYTES);
        enum guard_restored got =
            guard_restore(c->made.redaction, &held, b->data, b->len, true, true, &out);
        buf_done(&held);
        buf_done(b);
        *b = out;
        if (got != GUARD_RESTORED) {
            return false;
        }
    }
    return true;
}

/* ---- a reply that came ---- */

static bool is_json(const char *text, size_t n)
{
    struct fault why;
    AUTO_JSON json_t *tree = NULL;
    return jn_parse(text, n, "the answer", &tree, &why) == FAIL_NONE;
}

static void put_tools(const struct reply *r, struct buf *out)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_array_begin(&w);
    for (size_t i = 0; i < r->tools_len; i++) {
        const struct reply_tool *t = &r->tools[i];
        jn_object_begin(&w);
        jn_kv_str(&w, "id", t->id);
        jn_kv_str(&w, "type", "function");
        jn_key(&w, "function");
        jn_object_begin(&w);
        jn_kv_str(&w, "name", t->name);
        jn_key(&w, "arguments");
        jn_put_strn(&w, t->arguments.data, t->arguments.len);
        jn_object_end(&w);
        jn_object_end(&w);
    }
    jn_array_end(&w);
}

static void attempt_note(struct call *c, enum upstream_outcome outcome, const char *note)
{
    struct server *s = c->member->server;
    struct upstream_attempt *t = &c->attempts[c->attempts_len++];
    memset(t, 0, sizeof(*t));
    (void)text_copy(t->upstream, sizeof(t->upstream), s->name);
    (void)text_copy(t->note, sizeof(t->note), note);
    t->outcome = outcome;
    t->ms = clock_ms_since(c->attempt_us);
    t->at_ms = (double)(c->attempt_us - c->started_us) / 1000.0;
    if (c->exchange != NULL) {
        (void)text_copy(t->address, sizeof(t->address), exchange_address(c->exchange));
        t->status = exchange_status(c->exchange);
        t->retry_after_ms = exchange_retry_after_ms(c->exchange);
    }
    member_attempted(c->member, t, c->is_trial);
    c->is_trial = false;
}

static void call_answer(struct call *c)
{
    struct reply *r = &c->reply;
    struct buf tools;
    buf_init(&tools, UPSTREAM_REPLY_BYTES);
    if (r->tools_len > 0) {
        put_tools(r, &tools);
    }
    attempt_note(c, UPSTREAM_ANSWERED, "");
    int64_t in = r->usage ? r->tokens_in : c->made.tokens_in;
    int64_t out = r->usage ? r->tokens_out : (int64_t)r->text.len / 3;
    struct upstream_answer a = {
        .model = r->model[0] != '\0' ? r->model : c->member->remote,
        .upstream = c->member->server->name,
        .text = c->said.data != NULL ? c->said.data : "",
        .finish_reason = r->finish[0] != '\0' ? r->finish : "stop",
        .tool_calls_json = r->tools_len > 0 ? tools.data : NULL,
        .vectors = r->vectors,
        .vectors_len = r->vectors_len,
        .dim = r->dim,
        .tokens_in = (int)in,
        .tokens_cached = (int)r->tokens_cached,
        .tokens_out = (int)out,
        .cost_nano = member_cost(c->member, in, r->tokens_cached, out)};
    if (r->tools_len > 0 && strcmp(a.finish_reason, "stop") == 0) {
        a.finish_reason = "tool_calls";
    }
    deliver(c, &a);
    buf_done(&tools);
}

/* The reply is complete. `from`: how much of its text has been looked at. */
static void reply_complete(struct call *c, size_t from)
{
    struct reply *r = &c->reply;
    enum upstream_outcome outcome;
    const char *note;
    if (c->work == UPSTREAM_EMBED) {
        call_answer(c);
        return;
    }
    bool cut_short = strcmp(r->finish, "length") == 0;
    if (c->made.wants_json && r->tools_len == 0 && !cut_short &&
        !is_json(r->text.data, r->text.len)) {
        attempt_end(c, UPSTREAM_GARBAGE, "JSON was asked for, and its answer is none");
    } else if (!emit(c, from, true) || !restore_tools(c)) {
        attempt_end(c, UPSTREAM_PLACEHOLDER, "its answer names a placeholder that was not sent");
    } else if ((note = call_damage(c, &outcome)) != NULL) {
        attempt_end(c, outcome, note);
    } else {
        call_answer(c);
    }
}

/* Any thread: the whole body as one reply. */
static void parse_whole(struct call *c)
{
    struct fault why;
    const struct buf *body = exchange_body(c->exchange);
    AUTO_JSON json_t *root = NULL;
    c->fits = jn_parse(body->data != NULL ? body->data : "", body->len, "the reply", &root,
                       &why) == FAIL_NONE &&
              json_is_object(root) &&
              (c->work == UPSTREAM_EMBED
                   ? reply_vectors(root, c->texts_len, &c->reply)
                   : c->member->server->dialect->whole(root, &c->reply));
}

static void parsed_there(void *arg)
{
    parse_whole(arg);
}

static void parsed(void *arg)
{
    struct call *c = arg;
    c->busy = false;
    if (c->over) {
        free_if_over(c);
    } else if (!c->fits) {
        attempt_end(c, UPSTREAM_GARBAGE, "its reply is not one of its kind");
    } else {
        reply_complete(c, 0);
    }
}

static bool take_events(struct call *c, bool at_end)
{
    struct buf data;
    int got;
    bool good = true;
    const struct dialect *d = c->member->server->dialect;
    buf_init(&data, REPLY_LINE_BYTES);
    while (good && !c->reply.ended &&
           (got = sse_next(exchange_body(c->exchange), at_end, &data)) != 0) {
        size_t from = c->reply.text.len;
        if (got < 0 || !d->event(data.data != NULL ? data.data : "", data.len, &c->reply)) {
            attempt_end(c, UPSTREAM_GARBAGE, "an event of its stream is not one of its kind");
            good = false;
        } else if (!emit(c, from, false)) {
            attempt_end(c, UPSTREAM_PLACEHOLDER,
                        "its answer names a placeholder that was not sent");
            good = false;
        }
    }
    buf_done(&data);
    return good;
}

/* It said that it was done, and its body did not end: not waited for. */
static void stream_over(void *arg)
{
    struct call *c = arg;
    c->retry_timer = 0;
    reply_complete(c, c->reply.text.len);
}

static void on_data(void *arg)
{
    struct call *c = arg;
    if (exchange_is_stream(c->exchange) && take_events(c, false) && c->reply.ended &&
        c->retry_timer == 0) {
        c->retry_timer = loop_timer_add(c->u->loop, STREAM_END_MS, stream_over, c);
    }
}

static void on_end(void *arg, enum upstream_outcome outcome, const char *note)
{
    struct call *c = arg;
    struct fault why;
    loop_timer_cancel(c->u->loop, c->retry_timer);
    c->retry_timer = 0;
    if (c->stream && c->reply.ended && outcome != UPSTREAM_ANSWERED) {
        outcome = UPSTREAM_ANSWERED; /* its last word had come */
    }
    if (outcome != UPSTREAM_ANSWERED) {
        attempt_end(c, outcome, note);
        return;
    }
    if (c->stream && exchange_is_stream(c->exchange)) {
        if (!take_events(c, true)) {
            return;
        }
        if (!c->reply.ended && c->reply.finish[0] == '\0') {
            attempt_end(c, UPSTREAM_CUT, "its stream ended before its end");
        } else {
            reply_complete(c, c->reply.text.len);
        }
        return;
    }
    if (exchange_body(c->exchange)->len <= PARSE_HERE_BYTES) {
        parse_whole(c);
        c->busy = true;
        parsed(c);
        return;
    }
    c->busy = true;
    if (pool_submit(c->u->pool, parsed_there, c, c->u->loop, parsed, &why) != FAIL_NONE) {
        c->busy = false;
        call_fail(c, &why);
    }
}

/* ---- attempts ---- */

static bool is_worth_another(enum upstream_outcome o)
{
    static const bool again[] = {
#define OUTCOME(name, text, another, blame) another,
#include "run/upstream/outcomes.def"
#undef OUTCOME
    };
    return again[o];
}

static int64_t left_ms(const struct call *c)
{
    return (c->deadline_us - clock_monotonic_us()) / 1000;
}

/* Full jitter over the upper half: [d/2, d]. */
static int64_t pause_ms(const struct call *c)
{
    uint32_t x = 0;
    int64_t d = PAUSE_MS;
    for (size_t i = 1; i < c->attempts_len && d < PAUSE_MS_MAX; i++) {
        d *= 2;
    }
    (void)!getrandom(&x, sizeof(x), 0);
    return d / 2 + (int64_t)x % (d / 2 + 1);
}

static void retry_later(struct call *c, int64_t ms, enum fail otherwise)
{
    if (ms + CALL_LEAST_MS >= left_ms(c)) {
        failed_all(c, otherwise);
        return;
    }
    c->retry_timer = loop_timer_add(c->u->loop, ms, attempt_begin, c);
}

static void attempt_next(struct call *c)
{
    struct fault why;
    int64_t wait;
    int64_t retries = c->member->server->retries;
    if ((int64_t)c->attempts_len > retries || c->attempts_len >= UPSTREAM_MAX_ATTEMPTS) {
        failed_all(c, FAIL_UPSTREAM_FAILED);
        return;
    }
    struct member *m = pick(c->u, c, &wait, &why);
    if (m == NULL) {
        int64_t least = pause_ms(c);
        if (wait < 0) {
            failed_all(c, FAIL_UPSTREAM_FAILED);
        } else {
            retry_later(c, wait > least ? wait : least, FAIL_UPSTREAM_FAILED);
        }
        return;
    }
    bool fresh = (c->tried & UINT64_C(1) << (m - c->u->members)) == 0;
    if (fresh) {
        attempt_begin(c);
    } else {
        retry_later(c, pause_ms(c), FAIL_UPSTREAM_FAILED);
    }
}

static bool may_have_been_billed(const struct call *c, enum upstream_outcome o)
{
    return c->exchange != NULL && !c->emitted && exchange_was_sent(c->exchange) &&
           (o == UPSTREAM_SLOW || o == UPSTREAM_CUT || o == UPSTREAM_GARBAGE ||
            o == UPSTREAM_TOO_LARGE || o == UPSTREAM_PLACEHOLDER || o == UPSTREAM_DEADLINE ||
            o == UPSTREAM_CANCELLED);
}

static void attempt_end(struct call *c, enum upstream_outcome outcome, const char *note)
{
    char kept[160];
    (void)text_copy(kept, sizeof(kept), note); /* it may be the exchange's */
    if (may_have_been_billed(c, outcome)) {
        c->uncertain += member_cost(c->member, c->made.tokens_in, 0,
                                    (int64_t)c->reply.text.len / 3);
    }
    attempt_note(c, outcome, kept);
    exchange_free(c->exchange);
    c->exchange = NULL;
    release(c);
    if (c->emitted) {
        failed_all(c, outcome == UPSTREAM_DEADLINE || left_ms(c) <= 0 ? FAIL_DEADLINE
                                                                      : FAIL_UPSTREAM_FAILED);
        return;
    }
    reply_done(&c->reply);
    reply_init(&c->reply);
    buf_clear(&c->held);
    buf_clear(&c->said);
    if (left_ms(c) < CALL_LEAST_MS) {
        failed_all(c, FAIL_DEADLINE);
    } else if (!is_worth_another(outcome)) {
        failed_all(c, FAIL_UPSTREAM_FAILED);
    } else {
        attempt_next(c);
    }
}

/* The last gate: asked of each attempt, with the very server it would go to. */
static bool may_send(const struct call *c, const struct member *m, struct fault *why)
{
    const struct server *s = m->server;
    if (c->local_role && !s->on_prem) {
        FAULT(why, FAIL_FORBIDDEN, "\"%.64s\" is not on_prem: it serves no local role", s->name);
        return false;
    }
    if (c->label < SECRECY_CONFIDENTIAL || (c->label == SECRECY_CONFIDENTIAL && s->on_prem) ||
        (c->label == SECRECY_RESTRICTED && c->local_role && s->on_prem && s->restricted)) {
        return true;
    }
    if (c->label == SECRECY_CONFIDENTIAL && c->rule[0] != '\0' && c->made.redaction != NULL) {
        return true;
    }
    FAULT(why, FAIL_FORBIDDEN, "a %s task does not leave for \"%.64s\"",
          secrecy_name(c->label), m->server->name);
    return false;
}

static void attempt_begin(void *arg)
{
    struct call *c = arg;
    struct fault why;
    int64_t wait;
    c->retry_timer = 0;
    struct member *m = pick(c->u, c, &wait, &why);
    if (m == NULL && wait >= 0 && c->attempts_len > 0) {
        retry_later(c, wait + 1, FAIL_UPSTREAM_FAILED);
        return;
    }
    if (m == NULL || !may_send(c, m, &why)) {
        if (c->attempts_len > 0) {
            failed_all(c, FAIL_UPSTREAM_FAILED);
        } else {
            call_fail(c, &why);
        }
        return;
    }
    struct server *s = m->server;
    const struct buf *rest = &c->made.rest[s->kind];
    int64_t timeout = left_ms(c) < s->timeout_ms ? left_ms(c) : s->timeout_ms;
    struct jn_writer w;
    c->member = m;
    c->tried |= UINT64_C(1) << (m - c->u->members);
    c->reserved = member_cost(m, c->made.tokens_in, 0, c->max_tokens);
    s->reserved += c->reserved;
    c->is_trial = s->circuit == UPSTREAM_HALF_OPEN;
    s->trial = s->trial || c->is_trial;
    c->attempt_us = clock_monotonic_us();
    c->reply.as_tool = c->made.wants_json;
    buf_clear(&c->send);
    jn_begin(&w, &c->send, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "model", m->remote);
    (void)buf_add_char(&c->send, ',');
    (void)buf_add(&c->send, rest->data + 1, rest->len - 1);
    struct exchange_ask ask = {.path = c->work == UPSTREAM_CHAT ? s->dialect->chat_path
                                                                : s->dialect->embed_path,
                               .body = c->send.data,
                               .len = c->send.len,
                               .timeout_ms = timeout < 1 ? 1 : timeout,
                               .idempotency = c->shown,
                               .on_data = c->stream ? on_data : NULL,
                               .on_end = on_end,
                               .arg = c};
    c->exchange = exchange_start(s->line, &ask);
    if (c->exchange == NULL) {
        attempt_end(c, UPSTREAM_CONNECT, "the request could not be started");
    }
}

/* ---- the beginning ---- */

static void on_reserved(void *arg, enum fail code, const struct fault *why)
{
    struct call *c = arg;
    c->busy = false;
    if (c->over) {
        free_if_over(c);
    } else if (code != FAIL_NONE) {
        struct fault told;
        c->in_ledger = false;
        FAULT(&told, FAIL_RECORD_UNAVAILABLE,
              "what the call may cost could not be reserved: %.200s", why->message);
        call_fail(c, &told);
    } else {
        attempt_begin(c);
    }
}

static int64_t most_it_may_cost(const struct call *c)
{
    int64_t most = 0;
    for (size_t i = 0; i < c->u->members_len; i++) {
        const struct member *m = &c->u->members[i];
        int64_t cost = member_cost(m, c->made.tokens_in, 0, c->max_tokens);
        if (strcmp(m->pool, c->pool) == 0 && member_is_priced(m) && cost > most) {
            most = cost;
        }
    }
    return most;
}

static void prepared_there(void *arg)
{
    prepare(arg);
}

static void prepared(void *arg)
{
    struct call *c = arg;
    struct fault why;
    int64_t wait;
    c->busy = false;
    if (c->over) {
        free_if_over(c);
        return;
    }
    if (c->made.code != FAIL_NONE) {
        call_fail(c, &c->made.why);
        return;
    }
    c->member = pick(c->u, c, &wait, &why);
    if (c->member == NULL || !may_send(c, c->member, &why)) {
        c->member = NULL;
        call_fail(c, &why);
        return;
    }
    c->most = most_it_may_cost(c);
    struct policy_payer payer = {c->caller, c->team, c->workflow};
    /* Queued before the ledger's own row: when that is durable, this is. */
    if (c->u->policy != NULL &&
        policy_spend_hold(c->u->policy, &payer, c->most, &c->money, &why) != FAIL_NONE) {
        c->member = NULL;
        call_fail(c, &why);
        return;
    }
    c->busy = c->in_ledger = true;
    enum fail f = ledger_reserve(c, on_reserved, &why);
    if (f != FAIL_NONE) {
        on_reserved(c, f, &why);
    }
}

/* Refused before anything was done: told from the loop, never from inside. */
static void refused(void *arg)
{
    struct call *c = arg;
    c->busy = false;
    if (c->over) {
        free_if_over(c);
        return;
    }
    struct fault why = c->made.why;
    call_fail(c, &why);
}

/* What may not leave is not even prepared. */
static enum fail gate(struct call *c, struct fault *why)
{
    bool known = false;
    bool leaves = false;
    bool restricted = c->local_role;
    for (size_t i = 0; i < c->u->members_len; i++) {
        const struct member *m = &c->u->members[i];
        if (strcmp(m->pool, c->pool) == 0 && m->embed == (c->work == UPSTREAM_EMBED)) {
            known = true;
            leaves = leaves || !m->server->on_prem;
            restricted = restricted && m->server->on_prem && m->server->restricted;
            c->dialects |= 1u << m->server->kind;
            c->plain_sampling = c->plain_sampling || m->server->plain_sampling;
            c->max_tokens = c->max_tokens > 0 || m->embed ? c->max_tokens : m->max_tokens;
        }
    }
    /* What is no label counts as the highest, and is allowed nothing. */
    if (c->label >= SECRECY_RESTRICTED &&
        !(c->label == SECRECY_RESTRICTED && known && restricted)) {
        FAULT(why, FAIL_FORBIDDEN, "a restricted task never leaves this machine");
        return fail_hint(why, "Ask a local model; or let on_prem servers that are declared "
                              "`restricted` serve a local role (models.heavy_upstream).");
    }
    if (known && c->local_role && leaves) {
        FAULT(why, FAIL_FORBIDDEN, "\"%.64s\" has servers that are not on_prem", c->pool);
        return fail_hint(why, "A local role is served by servers in the house alone.");
    }
    if (!known) {
        FAULT(why, FAIL_NOT_FOUND, "there is no upstream model \"%.64s\"", c->pool);
        fail_param(why, "model");
        return fail_hint(why, "`inhouse upstreams` lists them; model_list adds one.");
    }
    if (c->label == SECRECY_CONFIDENTIAL && leaves) {
        c->redact = true;
        if (c->rule[0] == '\0') {
            FAULT(why, FAIL_FORBIDDEN, "a confidential task leaves only by a rule that says so");
            return fail_hint(why, "Ask a local model, or let a decision rule send it redacted.");
        }
    }
    if (c->u->stopping) {
        return FAULT(why, FAIL_STOPPED, "the server is stopping");
    }
    if (c->u->calls_len > UPSTREAM_MAX_OPEN) {
        FAULT(why, FAIL_QUEUE_FULL, "%d calls to other servers are under way", UPSTREAM_MAX_OPEN);
        return fail_retry_after(why, 1);
    }
    return FAIL_NONE;
}

static void take_ask(struct call *c, const struct upstream_ask *ask)
{
    (void)text_copy(c->pool, sizeof(c->pool), upstream_pool_of(c->u, ask->model));
    (void)text_copy(c->team, sizeof(c->team), ask->team != NULL ? ask->team : "");
    (void)text_copy(c->rule, sizeof(c->rule), ask->rule != NULL ? ask->rule : "");
    (void)text_copy(c->caller, sizeof(c->caller), ask->caller != NULL ? ask->caller : "");
    (void)text_copy(c->workflow, sizeof(c->workflow), ask->workflow != NULL ? ask->workflow : "");
    c->work = ask->work;
    c->label = ask->label;
    c->redact = ask->redact;
    c->local_role = ask->local_role;
    c->stream = ask->stream && ask->work == UPSTREAM_CHAT;
    c->keep = ask->keep != NULL ? mem_dup_str(ask->keep) : NULL;
    c->lists = ask->lists;
    c->max_tokens = ask->max_tokens;
    c->task = ask->task;
    c->on_text = ask->on_text;
    c->done = ask->done;
    c->arg = ask->arg;
    c->started_us = clock_monotonic_us();
    c->created_at = clock_now_us();
    c->deadline_us =
        ask->deadline_us > 0 ? ask->deadline_us : c->started_us + DEADLINE_MS * INT64_C(1000);
    c->ledger_id = text_id_new();
    (void)text_id_show(&c->ledger_id, "upc", c->shown);
    if (ask->work == UPSTREAM_CHAT) {
        c->body = mem_dup_strn(ask->body, ask->len);
        c->len = ask->len;
    } else {
        c->texts = mem_alloc_array(ask->texts_len + 1, sizeof(*c->texts));
        c->texts_len = ask->texts_len;
        for (size_t i = 0; i < ask->texts_len; i++) {
            c->texts[i] = mem_dup_str(ask->texts[i]);
        }
    }
}

uint64_t upstream_call(struct upstream *u, const struct upstream_ask *ask)
{
    struct call *c = mem_alloc(sizeof(*c));
    struct fault why;
    ASSERT(ask->work == UPSTREAM_CHAT || ask->texts_len <= UPSTREAM_MAX_TEXTS);
    c->u = u;
    c->id = ++u->next_id;
    c->next = u->calls;
    if (u->calls != NULL) {
        u->calls->prev = c;
    }
    u->calls = c;
    u->calls_len++;
    buf_init(&c->send, CALL_BODY_BYTES + 1024);
    buf_init(&c->held, UPSTREAM_REPLY_BYTES);
    buf_init(&c->said, UPSTREAM_REPLY_BYTES);
    reply_init(&c->reply);
    take_ask(c, ask);
    c->busy = true;
    enum fail f = gate(c, &why);
    if (f == FAIL_NONE) {
        int64_t ms = left_ms(c);
        c->deadline_timer = loop_timer_add(u->loop, ms > 0 ? ms : 0, on_deadline, c);
        f = pool_submit(u->pool, prepared_there, c, u->loop, prepared, &why);
    }
    if (f != FAIL_NONE) {
        c->made.why = why;
        loop_post(u->loop, refused, c);
    }
    return c->id;
}

/* ---- cancelling ---- */

struct cancel {
    struct upstream *u;
    uint64_t id;
};

static void call_stop(struct call *c, const char *message)
{
    struct fault why;
    FAULT(&why, FAIL_STOPPED, "%s", message);
    if (c->exchange != NULL && !c->busy) {
        if (may_have_been_billed(c, UPSTREAM_CANCELLED)) {
            c->uncertain += member_cost(c->member, c->made.tokens_in, 0,
                                        (int64_t)c->reply.text.len / 3);
        }
        attempt_note(c, UPSTREAM_CANCELLED, "nobody waits for it any more");
    }
    call_fail(c, &why);
}

static void cancel_now(void *arg)
{
    struct cancel *x = arg;
    struct call *c = x->u->calls;
    while (c != NULL && c->id != x->id) {
        c = c->next;
    }
    if (c != NULL && !c->over) {
        call_stop(c, "the client left");
    }
    mem_free(x);
}

void upstream_cancel(struct upstream *u, uint64_t id)
{
    struct cancel *x = mem_alloc(sizeof(*x));
    x->u = u;
    x->id = id;
    loop_post(u->loop, cancel_now, x); /* it may be asked from inside on_text */
}

void upstream_halted(struct upstream *u)
{
    struct call *next;
    for (struct call *c = u->calls; c != NULL && u->policy != NULL; c = next) {
        next = c->next;
        if (!c->over && !c->busy && c->exchange != NULL &&
            policy_is_halted(u->policy, POLICY_UPSTREAM, c->member->server->name)) {
            attempt_end(c, UPSTREAM_HALTED, "it was switched off");
        }
    }
}

void upstream_stop(struct upstream *u)
{
    u->stopping = true;
    for (size_t i = 0; i < u->servers_len; i++) {
        server_stop(&u->servers[i]);
    }
    struct call *next;
    for (struct call *c = u->calls; c != NULL; c = next) {
        next = c->next;
        if (!c->over) {
            call_stop(c, "the server is stopping");
        }
    }
}
