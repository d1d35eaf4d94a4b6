/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1/review: taking, keeping and deciding what waits. Each is one write whose answer is built
 * beside it on the store thread, so that what it says is what was committed.
 *
 * Owns nothing. Threads: handlers on http threads, review_call_fn on the store thread, answers on
 * the core thread. Limits: those of work/review.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "base/clock/clock.h"

/* ---- a call ---- */

struct review_call *review_call_new(struct api *a, struct wire_request *r,
                                    const char *const *keys, bool item)
{
    struct review_call *c = wire_alloc(r, sizeof(*c));
    c->a = a;
    c->r = r;
    c->who = *api_who(r);
    c->status = 200;
    buf_init(&c->text, REVIEW_TEXT_MAX);
    if (item && !api_param_id(r, "artifact", "art", "artifact", &c->id)) {
        return NULL;
    }
    c->body = api_body(r, keys, false);
    return c->body != NULL ? c : NULL;
}

static void call_end(struct review_call *c)
{
    buf_done(&c->text);
    json_decref(c->body);
    c->body = NULL;
}

void review_call_fail(struct review_call *c, enum fail code, const struct fault *why)
{
    if (c->failed != NULL) {
        c->failed(c);
    }
    call_end(c);
    wire_fail(c->r, code, why);
}

static enum fail call_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct review_call *c = arg;
    api_open(&c->w, &c->out);
    enum fail f = c->fn(tx, c, why);
    if (f != FAIL_NONE) {
        buf_done(&c->out);
    }
    return f;
}

static void call_done(void *arg, enum fail code, const struct fault *why)
{
    struct review_call *c = arg;
    if (code != FAIL_NONE) {
        buf_done(&c->out);
        review_call_fail(c, code, why);
        return;
    }
    if (c->after != NULL) {
        c->after(c);
    }
    call_end(c);
    api_send(c->r, c->status, &c->w);
}

void review_call_send(struct review_call *c, review_call_fn *fn)
{
    struct fault why;
    c->fn = fn;
    enum fail f = store_write(c->a->h.store, call_write, c, call_done, c->a->h.loop, &why);
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
    }
}

/* ---- the next one ---- */

static enum fail read_ask(struct review_call *c, struct review_ask *ask, struct fault *why)
{
    const char *order = NULL;
    *ask = (struct review_ask){.who = &c->who, .order = REVIEW_ORDER_COUNT, .resume = true};
    enum fail f = jn_str(c->body, "order", false, 16, &order, why);
    f = f == FAIL_NONE ? jn_str(c->body, "workflow", false, 64, &ask->workflow, why) : f;
    f = f == FAIL_NONE ? jn_str(c->body, "queue", false, 64, &ask->queue, why) : f;
    f = f == FAIL_NONE ? jn_str(c->body, "language", false, 16, &ask->language, why) : f;
    f = f == FAIL_NONE ? jn_bool(c->body, "resume", false, &ask->resume, why) : f;
    if (f == FAIL_NONE && order != NULL && !review_order_find(order, &ask->order)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"order\" must be urgency, age or confidence");
        f = fail_param(why, "order");
    }
    return f;
}

static enum fail next_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    struct review_item item;
    bool found;
    int64_t now = clock_now_us();
    enum fail f = review_next(tx, c->arg, now, &found, &item, why);
    if (f == FAIL_NONE && found) {
        f = review_open(tx, &item.artifact, &c->who, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    jn_key(&c->w, "item");
    if (!found) {
        jn_put_null(&c->w);
        return FAIL_NONE;
    }
    jn_object_begin(&c->w);
    f = review_item_put(c->a, store_tx_conn(tx), &c->w, &item, &c->who, why);
    jn_object_end(&c->w);
    return f;
}

void api_review_next(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"order", "workflow", "queue", "language", "resume", NULL};
    struct fault why;
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c == NULL) {
        return;
    }
    struct review_ask *ask = wire_alloc(r, sizeof(*ask));
    enum fail f = read_ask(c, ask, &why);
    c->arg = ask;
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
        return;
    }
    review_call_send(c, next_write);
}

/* ---- one that is named ---- */

static enum fail claim_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    struct review_item item;
    int64_t now = clock_now_us();
    enum fail f = review_claim(tx, &c->id, &c->who, now, &item, why);
    f = f == FAIL_NONE ? review_open(tx, &c->id, &c->who, why) : f;
    if (f == FAIL_NONE) {
        jn_key(&c->w, "item");
        jn_object_begin(&c->w);
        f = review_item_put(c->a, store_tx_conn(tx), &c->w, &item, &c->who, why);
        jn_object_end(&c->w);
    }
    return f;
}

void api_review_claim(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c != NULL) {
        review_call_send(c, claim_write);
    }
}

static enum fail release_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    enum fail f = review_release(tx, &c->id, &c->who, clock_now_us(), why);
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_bool(&c->w, "held", false);
    return f;
}

void api_review_release(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c != NULL) {
        review_call_send(c, release_write);
    }
}

static enum fail renew_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    bool held;
    enum fail f = review_renew(tx, &c->id, &c->who, clock_now_us(), &held, why);
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_bool(&c->w, "held", f == FAIL_NONE && held);
    return f;
}

void api_review_renew(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c != NULL) {
        review_call_send(c, renew_write);
    }
}

/* ---- a working copy ---- */

/* [0, 2] -> bits; -1 when there is no such key. */
static enum fail read_chosen(const json_t *body, int64_t *out, struct fault *why)
{
    json_t *list = NULL;
    *out = -1;
    enum fail f = jn_array(body, "chosen", false, 32, &list, why);
    if (f != FAIL_NONE || list == NULL) {
        return f;
    }
    *out = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *n = json_array_get(list, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > 31) {
            FAULT(why, FAIL_BAD_REQUEST, "\"chosen\" is a list of sentences' numbers from 0");
            return fail_param(why, "chosen");
        }
        *out |= (int64_t)1 << json_integer_value(n);
    }
    return FAIL_NONE;
}

/* The draft that the chosen sentences make, into c->text. */
static enum fail render(struct review_call *c, int64_t chosen, struct fault *why)
{
    struct store_conn *conn = api_reader_take(c->a, why);
    if (conn == NULL) {
        return why->code;
    }
    enum fail f = review_render(c->a, conn, &c->id, &c->who, chosen, &c->text, why);
    api_reader_give(c->a, conn);
    if (f == FAIL_NONE && c->text.len == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "no sentence of the draft is switched on");
        f = fail_param(why, "chosen");
    }
    return f;
}

static enum fail save_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    const struct review_working *w = c->arg;
    bool held;
    enum fail f = review_save(tx, &c->id, &c->who, w, clock_now_us(), &held, why);
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_bool(&c->w, "held", f == FAIL_NONE && held);
    jn_kv_str(&c->w, "draft", w->draft);
    return f;
}

static enum fail read_working(struct review_call *c, struct review_working *w, struct buf *fields,
                              struct fault *why)
{
    json_t *set = NULL;
    enum fail f = jn_int(c->body, "version", true, 1, INT64_MAX, &w->version, why);
    f = f == FAIL_NONE ? jn_str(c->body, "draft", false, REVIEW_TEXT_MAX, &w->draft, why) : f;
    f = f == FAIL_NONE ? jn_object(c->body, "fields", false, &set, why) : f;
    f = f == FAIL_NONE ? read_chosen(c->body, &w->chosen, why) : f;
    if (f == FAIL_NONE && w->chosen >= 0 && w->draft == NULL) {
        f = render(c, w->chosen, why);
        w->draft = c->text.data;
    }
    if (f != FAIL_NONE) {
        return f;
    }
    struct jn_writer jw;
    const char *key;
    json_t *v;
    jn_begin(&jw, fields, false);
    jn_object_begin(&jw);
    json_object_foreach(set, key, v)
    {
        if (!json_is_string(v)) {
            FAULT(why, FAIL_BAD_REQUEST, "field \"%.60s\" must be a text", key);
            return fail_param(why, "fields");
        }
        jn_kv_str(&jw, key, json_string_value(v));
    }
    jn_object_end(&jw);
    return fields->overflow ? FAULT(why, FAIL_TOO_LARGE, "the working copy is too large")
                            : FAIL_NONE;
}

void api_review_save(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"version", "draft", "fields", "chosen", NULL};
    struct fault why;
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c == NULL) {
        return;
    }
    struct review_working *w = wire_alloc(r, sizeof(*w));
    struct buf fields;
    buf_init(&fields, REVIEW_TEXT_MAX);
    enum fail f = read_working(c, w, &fields, &why);
    if (f == FAIL_NONE) {
        char *copy = wire_alloc(r, fields.len + 1);
        memcpy(copy, fields.data, fields.len);
        w->fields = copy;
        c->arg = w;
    }
    buf_done(&fields);
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
        return;
    }
    review_call_send(c, save_write);
}

/* ---- deciding ---- */

/* Practice is told at once, with the answer that was known. */
static enum fail put_disclosed(struct store_conn *conn, struct review_call *c, struct fault *why)
{
    struct review_artifact x;
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    enum fail f = review_get(conn, arena, &c->id, &c->who, &x, why);
    jn_key(&c->w, "known");
    jn_object_begin(&c->w);
    for (size_t i = 0; f == FAIL_NONE && i < x.fields_len; i++) {
        jn_kv_str(&c->w, x.fields[i].name, x.fields[i].decided);
    }
    jn_object_end(&c->w);
    arena_free(arena);
    return f;
}

static enum fail decision_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    enum fail f = review_item_decide(tx, c->a->h.audit, &c->d, &c->made, why);
    if (f == FAIL_NONE && c->made.kind == REVIEW_KIND_FIRST && !c->made.first.again) {
        f = review_decided_write(tx, c, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_str(&c->w, "kind", review_kind_name(c->made.kind));
    jn_kv_int(&c->w, "record", c->made.first.leaf);
    if (c->made.kind == REVIEW_KIND_FIRST) {
        jn_kv_str(&c->w, "state", review_state_name(c->made.first.state));
        jn_kv_int(&c->w, "version", c->made.first.version);
        jn_kv_real(&c->w, "edit_distance", c->made.first.edit_distance, 4);
        jn_kv_bool(&c->w, "again", c->made.first.again);
        return FAIL_NONE;
    }
    jn_kv_bool(&c->w, c->made.kind == REVIEW_KIND_PRACTICE ? "right" : "agrees", c->made.agrees);
    return c->made.kind == REVIEW_KIND_PRACTICE ? put_disclosed(store_tx_conn(tx), c, why)
                                                : FAIL_NONE;
}

static void decision_after(struct review_call *c)
{
    if (c->made.kind == REVIEW_KIND_FIRST && !c->made.first.again) {
        review_decided_tell(c->a, &c->made.first, c->team, c->workflow);
    }
}

void api_review_decide(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"version", "action", "fields",   "draft",
                                       "chosen",  "reason", "review_ms", "ticket_version",
                                       "to",      "then",   "within_s", NULL};
    struct fault why;
    int64_t chosen;
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c == NULL) {
        return;
    }
    enum fail f = review_read_decision(c, true, &why);
    f = f == FAIL_NONE ? read_chosen(c->body, &chosen, &why) : f;
    if (f == FAIL_NONE && chosen >= 0 && c->d.draft == NULL) {
        f = render(c, chosen, &why);
        c->d.draft = c->text.data;
    }
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
        return;
    }
    c->after = decision_after;
    review_call_send(c, decision_write);
}
