/* SPDX-License-Identifier: Apache-2.0 */
/* Chats, embeddings and decisions: a named model, no climb; the same gates and the same record. */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

#define EMBED_CHUNK 64

/* ---- which model ---- */

static void take_model(struct task *t, const struct fleet_model *m)
{
    (void)text_copy(t->model_name, sizeof(t->model_name),
                    t->adapter[0] != '\0' ? t->adapter_name : m->name);
    memcpy(t->model_sha256, m->sha256, sizeof(t->model_sha256));
}

/* A role stays a role, so that a change of its model takes the request along; a name is one model.
   `load`: it is stored and must be loaded first. `elsewhere`: none is here, another server may have
   one. */
static enum fail find_model(struct task *t, bool *load, bool *elsewhere, struct fault *why)
{
    struct fleet *fleet = t->desk->house.fleet;
    struct roster *roster = t->desk->house.roster;
    bool embed = t->kind == TASK_EMBED;
    if (strcmp(t->model, "auto") == 0) {
        enum fleet_role best = fleet_is_serving(fleet, FLEET_HEAVY) ? FLEET_HEAVY : FLEET_LIGHT;
        t->model = fleet_role_name(embed ? FLEET_EMBED : best);
    }
    struct fleet_model m;
    struct roster_model stored;
    enum fleet_role role = fleet_role_find(t->model);
    bool loaded = fleet_model_find(fleet, fleet_find(fleet, t->model), &m);
    *load = !loaded && roster != NULL && roster_find(roster, t->model, &stored) &&
            (roster_on_demand(roster) || stored.state == ROSTER_READY);
    *elsewhere = !loaded && !*load && role == FLEET_ROLE_COUNT && t->kind != TASK_DECIDE;
    if (!loaded && !*load && role == FLEET_ROLE_COUNT) {
        FAULT(why, FAIL_NOT_FOUND, "there is no model \"%.64s\"", t->model);
        fail_param(why, "model");
        fail_hint(why, "GET /v1/models lists them; `inhouse models add` adds one.");
        return FAIL_NOT_FOUND;
    }
    enum fleet_kind kind = loaded ? m.kind : *load ? stored.kind : fleet_role_kind(role);
    if (kind != (embed ? FLEET_KIND_EMBED : FLEET_KIND_GENERATE)) {
        FAULT(why, FAIL_BAD_REQUEST, "the model \"%.64s\" does not %s", t->model,
              embed ? "make embeddings" : "generate text");
        return fail_param(why, "model");
    }
    if (*load && stored.entry.base[0] != '\0') {
        memcpy(t->adapter, stored.entry.sha256, sizeof(t->adapter));
        (void)text_copy(t->adapter_name, sizeof(t->adapter_name), stored.entry.name);
    }
    t->model_id = role == FLEET_ROLE_COUNT ? m.id : 0;
    for (int i = FLEET_ROLE_COUNT - 1; role == FLEET_ROLE_COUNT && i >= 0; i--) {
        role = (m.roles & 1u << i) != 0 ? (enum fleet_role)i : role;
    }
    t->role = role;
    take_model(t, &m);
    return FAIL_NONE;
}

static void too_late(struct fault *why)
{
    FAULT(why, FAIL_DEADLINE, "the answer was not ready within its deadline");
    fail_hint(why, "Give it more time with a longer deadline, or send it when less is going on.");
}

static void go_on(struct task *t);

static void on_model(void *arg, uint32_t model, const struct fault *why)
{
    struct task *t = arg;
    struct fleet_model m;
    t->want = 0;
    if (why != NULL) {
        task_fail(t, why);
        return;
    }
    (void)fleet_model_find(t->desk->house.fleet, model, &m);
    t->model_id = fleet_role_find(t->model) == FLEET_ROLE_COUNT ? model : 0;
    take_model(t, &m);
    go_on(t);
}

/* The request waits, within its deadline, until its model is loaded. */
static void load_model(struct task *t)
{
    if (t->late || t->cancelled) { /* nobody would get the answer, and no timer ends the wait */
        direct_give_up(t);
        return;
    }
    t->want = roster_want(t->desk->house.roster, t->model, false, on_model, t);
}

/* It may have been unloaded since it was found: then it comes back. */
static bool must_reload(const struct task *t)
{
    struct fleet_model m;
    return t->model_id != 0 && t->desk->house.roster != NULL &&
           (!fleet_model_find(t->desk->house.fleet, t->model_id, &m) ||
            m.state == FLEET_STOPPING);
}

void direct_give_up(struct task *t)
{
    struct fault why;
    roster_forget(t->desk->house.roster, t->want);
    t->want = 0;
    if (t->cancelled) {
        FAULT(&why, FAIL_STOPPED, "the client left");
    } else {
        FAULT(&why, FAIL_DEADLINE, "the model \"%.64s\" was not loaded within the deadline",
              t->model);
        fail_hint(&why, "It goes on loading: ask again, or give more time.");
    }
    task_fail(t, &why);
}

/* ---- chat ---- */

void direct_stopped(struct task *t, const struct fault *why)
{
    struct fault told;
    if (t->cancelled || (why == NULL && !t->late)) {
        FAULT(&told, FAIL_STOPPED, "the client left");
    } else if (t->late) {
        too_late(&told);
    } else {
        told = *why;
    }
    task_fail(t, &told);
}

void direct_answered(struct task *t)
{
    t->state = TASK_DONE;
    record_direct(t, "answered");
}

static void chat_failed(struct task *t, const struct fleet_answer *a)
{
    direct_stopped(t, a->why);
}

static void chat_done(void *arg, const struct fleet_answer *a)
{
    struct task *t = arg;
    t->ask = 0;
    const struct fleet_generated *g = a->generated;
    if (a->code != FAIL_NONE || g == NULL) {
        chat_failed(t, a);
        return;
    }
    if (strcmp(g->finish_reason, "cancelled") == 0) {
        struct fault why;
        if (t->late) {
            too_late(&why);
        } else {
            FAULT(&why, FAIL_STOPPED, "the client left");
        }
        task_fail(t, &why);
        return;
    }
    if (a->sha256 != NULL) { /* the model may have been replaced since it was looked up */
        memcpy(t->model_sha256, a->sha256, sizeof(t->model_sha256));
    }
    replay_note(t, t->role, a);
    t->generated = *g;
    t->generated.finish_reason = arena_dup_str(t->arena, g->finish_reason);
    t->generated.text = arena_dup_str(t->arena, g->text);
    t->generated.tool_calls_json = arena_dup_str(t->arena, g->tool_calls_json);
    t->generated.logprobs_json = arena_dup_str(t->arena, g->logprobs_json);
    t->tokens_in = g->tokens_in;
    t->tokens_cached = g->tokens_cached;
    t->tokens_out = g->tokens_out;
    pass_out_chat(t, direct_answered);
}

static void chat_text(void *arg, const char *text, size_t len)
{
    struct task *t = arg;
    if (!t->cancelled) {
        (void)pass_out_piece(t, text, len, false);
    }
}

static void chat_ask(struct task *t)
{
    struct buf body;
    struct fault late;
    if (t->late) {
        too_late(&late);
        task_fail(t, &late);
        return;
    }
    if (must_reload(t)) {
        load_model(t);
        return;
    }
    char domain[128];
    desk_domain(&t->who, NULL, domain, sizeof(domain));
    buf_init(&body, IPC_FRAME_MAX);
    /* The entry made an object; domain and class are ours to add. */
    struct jn_writer w;
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "domain", domain);
    jn_kv_str(&w, "class", ipc_class_name(t->class));
    if (t->adapter[0] != '\0') {
        jn_kv_str(&w, "adapter", t->adapter);
    }
    if (t->ask_len > 2) {
        buf_add_char(&body, ',');
        buf_add(&body, t->ask_json + 1, t->ask_len - 2);
    }
    jn_object_end(&w);
    if (body.overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the request is larger than %u bytes", IPC_FRAME_MAX);
        fail_param(&why, "messages");
        buf_done(&body);
        task_fail(t, &why);
        return;
    }
    struct fleet_ask ask = {.model = t->model_id,
                            .role = t->role,
                            .adapter = t->adapter[0] != '\0' ? t->adapter : NULL,
                            .type = t->plan != NULL ? IPC_FORM : IPC_GENERATE,
                            .body = body.data,
                            .len = body.len,
                            .plan = t->plan,
                            .team = t->who.team,
                            .class = t->class,
                            .max_tokens = t->max_tokens,
                            .deadline_us = t->due_us,
                            .on_text = t->stream ? chat_text : NULL,
                            .done = t->plan != NULL ? scored_done : chat_done,
                            .arg = t};
    t->ask = fleet_ask(t->desk->house.fleet, &ask);
    buf_done(&body);
}

static void chat_accepted(void *arg, enum fail code, const struct fault *why)
{
    struct task *t = arg;
    if (code != FAIL_NONE) {
        struct fault told;
        FAULT(&told, code == FAIL_DISK_FULL ? FAIL_DISK_FULL : FAIL_RECORD_UNAVAILABLE,
              "the record could not be made durable: %.200s", why->message);
        task_fail(t, &told);
        return;
    }
    t->accepted = true;
    if (t->cancelled) {
        struct fault told;
        FAULT(&told, FAIL_STOPPED, "the client left");
        task_fail(t, &told);
        return;
    }
    chat_ask(t);
}

void chat_start(struct task *t)
{
    struct fault why;
    bool load = false;
    bool elsewhere = false;
    if (find_model(t, &load, &elsewhere, &why) != FAIL_NONE) {
        if (!elsewhere || !direct_hosted(t)) {
            task_fail(t, &why);
        }
    } else if (load) {
        load_model(t);
    } else {
        go_on(t);
    }
}

/* ---- embeddings ---- */

static void embed_next(struct task *t);

static void embed_done(void *arg, const struct fleet_answer *a)
{
    struct task *t = arg;
    t->ask = 0;
    const struct fleet_vectors *v = a->vectors;
    if (a->code != FAIL_NONE || v == NULL) {
        chat_failed(t, a);
        return;
    }
    if (t->vectors == NULL) {
        t->dim = v->dim;
        t->vectors = mem_alloc_array(t->texts_len, t->dim * sizeof(float));
        memcpy(t->model_sha256, a->sha256, sizeof(t->model_sha256));
    }
    if (v->dim != t->dim || strcmp(a->sha256, t->model_sha256) != 0) {
        struct fault why;
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "the model was replaced while it embedded these texts");
        fail_hint(&why, "Send them again: the new model answers.");
        task_fail(t, &why);
        return;
    }
    ASSERT(t->texts_done + v->n <= t->texts_len); /* the fleet counts them */
    memcpy(t->vectors + t->texts_done * t->dim, v->data, v->n * v->dim * sizeof(float));
    t->texts_done += v->n;
    for (size_t i = 0; i < v->n; i++) {
        t->embed_tokens += v->tokens[i];
    }
    embed_next(t);
}

static void embed_next(struct task *t)
{
    struct fault why;
    if (t->cancelled || t->late) {
        too_late(&why);
        if (t->cancelled) {
            FAULT(&why, FAIL_STOPPED, "the client left");
        }
        task_fail(t, &why);
        return;
    }
    if (t->texts_done == t->texts_len) {
        t->tokens_in = (int)t->embed_tokens;
        t->state = TASK_DONE;
        record_direct(t, "answered");
        return;
    }
    if (must_reload(t)) {
        load_model(t);
        return;
    }
    struct buf body;
    char domain[128];
    size_t n = t->texts_len - t->texts_done, bytes = 0, fit = 0;
    desk_domain(&t->who, NULL, domain, sizeof(domain));
    while (fit < n && fit < EMBED_CHUNK) {
        bytes += strlen(t->texts[t->texts_done + fit]) + 4;
        if (bytes > IPC_FRAME_MAX - 4096 && fit > 0) {
            break;
        }
        fit++;
    }
    buf_init(&body, IPC_FRAME_MAX);
    if (!fleet_embed_body(&body, t->class, false, domain, t->texts + t->texts_done, fit)) {
        FAULT(&why, FAIL_TOO_LARGE, "text %zu is too large to embed", t->texts_done + 1);
        fail_param(&why, "input");
        buf_done(&body);
        task_fail(t, &why);
        return;
    }
    struct fleet_ask ask = {.model = t->model_id,
                            .role = FLEET_EMBED,
                            .type = IPC_EMBED,
                            .flags = IPC_FLAG_BULK,
                            .body = body.data,
                            .len = body.len,
                            .team = t->who.team,
                            .class = t->class,
                            .deadline_us = t->due_us,
                            .done = embed_done,
                            .arg = t};
    t->ask = fleet_ask(t->desk->house.fleet, &ask);
    buf_done(&body);
}

void embed_start(struct task *t)
{
    struct fault why;
    struct buf joined;
    bool load = false;
    bool elsewhere = false;
    enum fail f = find_model(t, &load, &elsewhere, &why);
    /* What was asked, as one text, for the record's MAC. */
    buf_init(&joined, TASK_ARENA_BYTES / 2);
    for (size_t i = 0; i < t->texts_len; i++) {
        buf_add(&joined, t->texts[i], strlen(t->texts[i]) + 1);
    }
    t->ask_json = arena_dup(t->arena, joined.data != NULL ? joined.data : "", joined.len);
    t->ask_len = joined.len;
    buf_done(&joined);
    if (f != FAIL_NONE && !(elsewhere && direct_hosted(t))) {
        task_fail(t, &why);
    } else if (f == FAIL_NONE && load) {
        load_model(t);
    } else if (f == FAIL_NONE) {
        go_on(t);
    }
}

static void go_on(struct task *t)
{
    struct fault why;
    if (gate_check(t, &why) != FAIL_NONE) { /* now that the model behind a role is known */
        task_fail(t, &why);
        return;
    }
    t->step_us = clock_monotonic_us();
    if (t->kind == TASK_EMBED) {
        embed_next(t);
    } else if (t->kind == TASK_DECIDE && must_reload(t)) {
        load_model(t);
    } else if (t->kind == TASK_DECIDE) {
        decide_go_on(t);
    } else if (t->stream && !t->accepted) {
        record_accepted(t, chat_accepted);
    } else {
        chat_ask(t);
    }
}
