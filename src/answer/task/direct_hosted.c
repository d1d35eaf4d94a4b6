/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chat or embeddings request that names a model of another server: no climb, the same gates and
 * the same record. The decision rules say whether it may leave, and run/upstream again, by the
 * task's label; to a pool in the house nothing leaves.
 */
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "run/upstream/upstream.h"
#include "trust/verdict/verdict.h"

#define EMBED_CHUNK 256

static void take_cost(struct task *t, const struct upstream_answer *a)
{
    t->tokens_in += a->tokens_in;
    t->tokens_cached += a->tokens_cached;
    t->tokens_out += a->tokens_out;
    t->cost += a->cost_nano;
    if (a->upstream[0] != '\0') {
        t->hosted_by = arena_printf(t->arena, "%s/%s", a->upstream, a->model);
        (void)text_copy(t->model_name, sizeof(t->model_name), a->model);
    }
}

/* Its own words are kept: they name what each attempt met. */
static void call_failed(struct task *t, const struct upstream_answer *a)
{
    if (t->cancelled) {
        direct_stopped(t, NULL);
    } else {
        task_fail(t, a->why);
    }
}

static void chat_text(void *arg, const char *text, size_t len)
{
    struct task *t = arg;
    if (!t->cancelled) {
        (void)pass_out_piece(t, text, len, false);
    }
}

static void chat_done(void *arg, const struct upstream_answer *a)
{
    struct task *t = arg;
    t->call = 0;
    take_cost(t, a);
    if (a->code != FAIL_NONE) {
        call_failed(t, a);
        return;
    }
    t->generated = (struct fleet_generated){
        .finish_reason = arena_dup_str(t->arena, a->finish_reason),
        .text = arena_dup_str(t->arena, a->text),
        .tool_calls_json = arena_dup_str(t->arena, a->tool_calls_json),
        .tokens_in = a->tokens_in,
        .tokens_cached = a->tokens_cached,
        .tokens_out = a->tokens_out};
    pass_out_chat(t, direct_answered);
}

static void ask(struct task *t, struct upstream_ask *ask)
{
    ask->model = t->model;
    ask->label = t->label;
    if (t->route != NULL) {
        ask->rule = t->route->name;
        ask->redact = route_may_leave(t->route, t->label) == ROUTE_REDACTED;
    }
    ask->lists = verdict_rules_lists(t->desk->guard, t->who.team, "");
    ask->keep = t->keep_values ? t->ask_json : NULL;
    ask->team = t->who.team;
    ask->caller = policy_caller(&t->who);
    ask->task = t->id;
    ask->deadline_us = t->due_us;
    ask->arg = t;
    t->call = t->desk->house.hosted.call(t->desk->house.hosted.arg, ask);
}

/* The name's place in arena and upstream; a chat's answer is at most what it may keep. */
static void chat_ask(struct task *t)
{
    struct upstream_ask x = {.work = UPSTREAM_CHAT,
                             .body = t->ask_json,
                             .len = t->ask_len,
                             .stream = t->stream,
                             .max_tokens = t->max_tokens,
                             .on_text = t->stream ? chat_text : NULL,
                             .done = chat_done};
    ask(t, &x);
}

static void chat_accepted(void *arg, enum fail code, const struct fault *why)
{
    struct task *t = arg;
    struct fault told;
    if (code != FAIL_NONE) {
        FAULT(&told, code == FAIL_DISK_FULL ? FAIL_DISK_FULL : FAIL_RECORD_UNAVAILABLE,
              "the record could not be made durable: %.200s", why->message);
        task_fail(t, &told);
        return;
    }
    t->accepted = true;
    if (t->cancelled || t->late) {
        direct_stopped(t, NULL);
    } else {
        chat_ask(t);
    }
}

/* ---- embeddings ---- */

static void embed_next(struct task *t);

static void embed_done(void *arg, const struct upstream_answer *a)
{
    struct task *t = arg;
    struct fault why;
    t->call = 0;
    take_cost(t, a);
    if (a->code != FAIL_NONE) {
        call_failed(t, a);
        return;
    }
    if (t->vectors == NULL) {
        t->dim = a->dim;
        t->vectors = mem_alloc_array(t->texts_len, t->dim * sizeof(float));
    }
    if (a->dim != t->dim) {
        FAULT(&why, FAIL_UPSTREAM_FAILED, "the upstream's vectors changed their size on the way");
        task_fail(t, &why);
        return;
    }
    memcpy(t->vectors + t->texts_done * t->dim, a->vectors,
           a->vectors_len * a->dim * sizeof(float));
    t->texts_done += a->vectors_len;
    t->embed_tokens += a->tokens_in;
    embed_next(t);
}

static void embed_next(struct task *t)
{
    size_t n = t->texts_len - t->texts_done;
    if (t->cancelled || t->late) {
        direct_stopped(t, NULL);
        return;
    }
    if (n == 0) {
        t->state = TASK_DONE;
        record_direct(t, "answered");
        return;
    }
    struct upstream_ask x = {.work = UPSTREAM_EMBED,
                             .texts = t->texts + t->texts_done,
                             .texts_len = n < EMBED_CHUNK ? n : EMBED_CHUNK,
                             .done = embed_done};
    ask(t, &x);
}

/* ---- whether ---- */

bool direct_hosted(struct task *t)
{
    const struct task_hosted *h = &t->desk->house.hosted;
    bool embed = false;
    struct fault why;
    if (h->find == NULL || !h->find(h->arg, t->model, &embed)) {
        return false;
    }
    t->role = FLEET_ROLE_COUNT;
    if (embed != (t->kind == TASK_EMBED)) {
        FAULT(&why, FAIL_BAD_REQUEST, "the model \"%.64s\" does not %s", t->model,
              t->kind == TASK_EMBED ? "make embeddings" : "generate text");
        fail_param(&why, "model");
        task_fail(t, &why);
    } else if (t->plan != NULL || t->reproducible) {
        FAULT(&why, FAIL_UNSUPPORTED, "\"%s\" needs a model of this machine",
              t->plan != NULL ? "scored" : "reproducible");
        fail_param(&why, "model");
        task_fail(t, &why);
    } else if (where_named(t, &why) != FAIL_NONE) {
        task_fail(t, &why);
    } else if (t->kind == TASK_EMBED) {
        embed_next(t);
    } else if (t->stream) {
        record_accepted(t, chat_accepted);
    } else {
        chat_ask(t);
    }
    return true;
}

void direct_hosted_cancel(struct task *t)
{
    if (t->call != 0) {
        t->desk->house.hosted.cancel(t->desk->house.hosted.arg, t->call);
    }
}
