/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: the life of a task. Submitted asks become tokens at once and wait until
 * admit.c lets them run.
 * Owns: the list of tasks. Threads: one. Limits: ENGINE_QUEUE_MAX tasks.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

static void task_free(struct task *t)
{
    if (t->flow != NULL) {
        queue_flow_leave(t->flow);
    }
    tokens_done(&t->tokens);
    writing_done(&t->writing);
    form_free(t);
    form_plan_free(t->own_plan);
    mem_free(t->own_domain);
    mem_free(t->own_suffix);
    shim_prompt_close(t->prompt);
    shim_grammar_close(t->grammar);
    mask_close(t->mask);
    if (t->embed_lists != NULL) {
        for (size_t i = 0; i < t->ask->embed.n; i++) {
            tokens_done(&t->embed_lists[i]);
        }
    }
    mem_free(t->embed_lists);
    mem_free(t->rows);
    mem_free(t->embed_tokens);
    mem_free(t->embed_cut);
    if (t->ask != NULL) {
        arena_free(t->ask->arena);
    }
    mem_free(t);
}

struct task *task_new(struct llama_engine *e, struct engine_ask *ask)
{
    struct task *t = mem_alloc(sizeof *t);
    t->ask = ask;
    t->seq = -1;
    t->out = -1;
    t->adapter = -1;
    t->at_submit = t->at_wait = clock_monotonic_us();
    t->number = ++e->arrived;
    if (ask != NULL) {
        t->id = ask->id;
        t->job = ask->job;
        t->domain = ask->domain;
        task_enroll(e, t, ask->class);
    }
    struct task **end = &e->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = t;
    e->n_tasks++;
    return t;
}

enum fail task_submit(struct engine *engine, struct engine_ask *ask, struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    if (!engine->loaded) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model is loaded");
    }
    if ((ask->job == ENGINE_JOB_EMBED) != (engine->info.kind == ENGINE_EMBED)) {
        return FAULT(why, FAIL_UNSUPPORTED, "this model %s",
                     engine->info.kind == ENGINE_EMBED ? "only makes embeddings"
                                                       : "makes no embeddings");
    }
    if (e->n_tasks >= ENGINE_QUEUE_MAX) {
        return FAULT(why, FAIL_QUEUE_FULL, "%d asks already wait for this model", e->n_tasks);
    }
    int adapter = ask->adapter != NULL ? adapter_find(e, ask->adapter) : -1;
    if (ask->adapter != NULL && adapter < 0) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "the adapter %.16s is not loaded here",
                     ask->adapter);
    }
    struct task *t = task_new(e, ask);
    t->adapter = adapter;
    enum fail failed = FAIL_NONE;
    engine_watch(true);
    switch (ask->job) {
    case ENGINE_JOB_GENERATE:
        failed = generate_prepare(e, t, why);
        break;
    case ENGINE_JOB_FORM:
        failed = form_prepare(e, t, why);
        break;
    case ENGINE_JOB_EMBED:
        failed = embed_prepare(e, t, why);
        break;
    }
    engine_watch(false);
    if (failed == FAIL_NONE && ask->job != ENGINE_JOB_EMBED) {
        int room = engine->info.n_ctx - t->n_prompt;
        if (room < 1 + (int)t->n_forced || (ask->job == ENGINE_JOB_FORM && room < t->max_new)) {
            failed = FAULT(why, FAIL_TOO_LARGE,
                           "a prompt of %d tokens with %d to come, in a context of %d", t->n_prompt,
                           t->max_new, engine->info.n_ctx);
            (void)fail_hint(why, e->is_lane ? "Shorten the input, or ask without reproducible."
                                            : "Shorten the input, or load the model with a larger "
                                              "n_ctx.");
        }
        t->max_new = t->max_new < room ? t->max_new : room;
    }
    if (failed != FAIL_NONE) {
        t->state = TASK_ENDED;
        if (t->embed_lists != NULL) {
            for (size_t i = 0; i < ask->embed.n; i++) {
                tokens_done(&t->embed_lists[i]);
            }
            mem_free(STEAL(t->embed_lists));
        }
        t->ask = NULL; /* stays the caller's */
        task_sweep(e);
    }
    return failed;
}

void task_usage(const struct task *t, struct engine_usage *out)
{
    int64_t now = clock_monotonic_us();
    int64_t admit = t->at_admit > 0 ? t->at_admit : now;
    int64_t first = t->at_first > 0 ? t->at_first : now;
    int64_t in = t->job == ENGINE_JOB_FORM ? t->tokens.n - t->tokens_out : t->n_prompt;
    *out = (struct engine_usage){
        .tokens_in = in > 0 ? in : 0,
        .tokens_cached = t->cached,
        .tokens_out = t->tokens_out,
        .tokens_drafted = t->draft.drafted,
        .tokens_accepted = t->draft.accepted,
        .ms_queue = (double)(admit - t->at_submit) / 1000.0,
        .ms_prefill = (double)(first - admit) / 1000.0,
        .ms_decode = (double)(now - first) / 1000.0,
    };
}

void task_leave(struct llama_engine *e, struct task *t)
{
    if (t->state == TASK_RUNNING) {
        e->n_running--;
    }
    if (t->seq >= 0) {
        engine_seq_drop(e, t->seq);
        t->seq = -1;
    }
    if (t->source != NULL) {
        t->source->users--;
        t->source->used_at = clock_monotonic_us();
        t->source = NULL;
    }
    task_settle(t);
}

void task_end(struct llama_engine *e, struct task *t)
{
    ASSERT(t->state != TASK_ENDED);
    choice_free(e, t);
    task_leave(e, t);
    t->state = TASK_ENDED;
    if (e->context != NULL) {
        prefix_trim(e);
    }
}

void task_fail(struct llama_engine *e, struct task *t, const struct fault *why)
{
    if (t->form != NULL && t->form->is_null) {
        form_null_over(e, t, why);
    } else {
        e->base.sink->failed(e->base.sink->self, t->id, why);
    }
    task_end(e, t);
}

void task_sweep(struct llama_engine *e)
{
    for (struct task **at = &e->first; *at != NULL;) {
        struct task *t = *at;
        if (t->state == TASK_ENDED) {
            *at = t->next;
            e->n_tasks--;
            task_free(t);
        } else {
            at = &t->next;
        }
    }
}

void task_cancel(struct engine *engine, uint64_t id)
{
    struct llama_engine *e = llama_of(engine);
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->ask == NULL || t->id != id || t->state == TASK_ENDED) {
            continue;
        }
        if (t->job == ENGINE_JOB_GENERATE) {
            generate_finish(e, t, "cancelled");
        } else {
            struct fault why = {0};
            (void)FAULT(&why, FAIL_STOPPED, "cancelled");
            task_fail(e, t, &why);
        }
        break;
    }
    task_sweep(e);
}
