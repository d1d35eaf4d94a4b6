/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scored chats: a flat JSON schema, answered by filling its form in one ask. The document is put
 * together here from the plan's literals and the filled holes, and checked under the schema before
 * it is recorded: a worker is never trusted with that.
 * Owns: the task's copy of the filled form. Threads: core. Limits: run/form's.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "run/schema/schema.h"

#define SCORED_DOCUMENT_BYTES (4u * 1024 * 1024)

static void keep(struct task *t, const struct form_result *form)
{
    t->filled = form_result_new();
    for (size_t i = 0; i < form->n_fields; i++) {
        form_result_add(t->filled, &form->fields[i]);
    }
}

static enum fail take(struct task *t, const struct form_result *form, struct fault *why)
{
    struct buf document;
    buf_init(&document, SCORED_DOCUMENT_BYTES);
    bool valid = schema_form_fill(t->schema, t->plan, form, &document);
    if (valid) {
        keep(t, form);
        t->generated = (struct fleet_generated){
            .finish_reason = "stop",
            .text = arena_dup_strn(t->arena, document.data, document.len),
            .tokens_in = (int)form->tokens_in,
            .tokens_cached = (int)form->tokens_cached,
            .tokens_out = (int)form->tokens_out,
            .ms_queue = form->ms_queue,
            .ms_prefill = form->ms_prefill,
            .ms_decode = form->ms_decode};
    }
    buf_done(&document);
    if (!valid) {
        FAULT(why, FAIL_INTERNAL, "the filled form is not valid under its schema");
        return fail_hint(why, "Ask without \"scored\", and report the schema: this is a bug.");
    }
    return FAIL_NONE;
}

void scored_done(void *arg, const struct fleet_answer *a)
{
    struct task *t = arg;
    struct fault why;
    t->ask = 0;
    if (a->code != FAIL_NONE || a->form == NULL || t->cancelled || t->late) {
        direct_stopped(t, a->why);
        return;
    }
    if (a->sha256 != NULL) { /* the model may have been replaced since it was looked up */
        memcpy(t->model_sha256, a->sha256, sizeof(t->model_sha256));
    }
    replay_note(t, t->role, a);
    if (take(t, a->form, &why) != FAIL_NONE) {
        task_fail(t, &why);
        return;
    }
    t->tokens_in = t->generated.tokens_in;
    t->tokens_cached = t->generated.tokens_cached;
    t->tokens_out = t->generated.tokens_out;
    pass_out_chat(t, direct_answered);
}
