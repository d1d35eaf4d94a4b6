/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: the reproducible lane. A second context on the same model whose answers
 * hang on nothing but the ask: one task at a time from an empty KV (in a shared one even freed
 * cells of others change the logits), no prefix from another ask, chunks of LANE_CHUNK tokens
 * whatever the load or the lease, one thread, no abort. It runs through the same code as the main
 * context: the lane is a struct llama_engine of its own that borrows the model. The two share the
 * time: of three parts the lane has one, of a better class two, beside a better class one in nine.
 * Owns: the lane's context and batch. Threads: one. Limits: LANE_CTX tokens; closed after
 * LANE_IDLE_US without an ask.
 */
#include "worker/engine/engine_internal.h"

#include <ggml.h>
#include <stdio.h>
#include <string.h>

#define LANE_CTX 4096
#define LANE_BATCH 256 /* tokens: the deepest label's path fits */
#define LANE_IDLE_US 300000000
#define CREDIT_US_MAX 400000 /* what either may be ahead of the other */

void engine_fingerprint(const struct llama_engine *e, const struct engine_load *load,
                        struct engine_loaded *info)
{
    struct buf text;
    uint8_t hash[32];
    char hex[65];
    const char *own = llama_model_chat_template(e->model, NULL);
    const char *used = load->chat_template != NULL ? load->chat_template : own;
    buf_init(&text, 1u << 20);
    (void)buf_printf(&text, "%s\n%s\n%s", INHOUSE_VERSION, shim_build(),
                     llama_print_system_info());
    text_sha256(text.data, text.len, hash);
    text_hex(hash, 4, hex);
    (void)snprintf(info->build, sizeof info->build, "%s %s cpu-%s", INHOUSE_VERSION, shim_build(),
                   hex);
    (void)buf_printf(&text, "\n%s\n%d %d %d %d %d %d %d\n%s",
                     load->sha256 == NULL ? "" : load->sha256,
                     LANE_CTX < info->n_ctx ? LANE_CTX : info->n_ctx, LANE_CHUNK, 1, (int)e->flash,
                     (int)e->type_k, (int)e->type_v, load->gpu_layers, used == NULL ? "" : used);
    text_sha256(text.data, text.len, hash);
    text_hex(hash, 8, hex);
    (void)snprintf(info->fingerprint, sizeof info->fingerprint, "fp_%s", hex);
    buf_done(&text);
}

/* Opening and closing. */

static enum fail open_lane(struct llama_engine *e, struct fault *why)
{
    struct llama_context_params params = llama_context_default_params();
    int n_ctx = e->base.info.n_ctx < LANE_CTX ? e->base.info.n_ctx : LANE_CTX;
    params.n_ctx = (uint32_t)n_ctx;
    params.n_batch = LANE_BATCH;
    params.n_ubatch = LANE_BATCH;
    params.n_seq_max = ENGINE_SEQ_MAX; /* the branches of a choice */
    params.n_outputs_max = STEP_OUTPUTS_MAX;
    params.n_threads = 1;
    params.n_threads_batch = 1;
    params.kv_unified = true;
    params.no_perf = true;
    params.flash_attn_type = e->flash;
    params.type_k = e->type_k;
    params.type_v = e->type_v;
    struct llama_context *context = llama_init_from_model(e->model, params);
    if (context == NULL) {
        (void)FAULT(why, FAIL_MODEL_UNAVAILABLE,
                    "no memory for the reproducible lane of %d tokens", n_ctx);
        return fail_hint(why, "Ask without reproducible, or unload another model.");
    }
    struct llama_engine *lane = mem_alloc(sizeof *lane);
    lane->base = e->base;
    lane->base.info.n_ctx = (int)llama_n_ctx(context);
    lane->is_lane = true;
    lane->context = context;
    lane->model = e->model;
    lane->vocab = e->vocab;
    lane->chat = e->chat;
    lane->scratch = e->scratch;
    lane->candidates = e->candidates;
    memcpy(lane->digit, e->digit, sizeof lane->digit);
    lane->n_vocab = e->n_vocab;
    lane->n_batch = LANE_BATCH;
    lane->n_seq = 1;
    lane->n_threads = 1;
    lane->adapter_on = -1;
    engine_turns_init(lane);
    lane->batch = llama_batch_init(LANE_BATCH, 0, 1);
    e->lane = lane;
    return FAIL_NONE;
}

void lane_close(struct llama_engine *e)
{
    struct llama_engine *lane = e->lane;
    if (lane == NULL) {
        return;
    }
    for (struct task *t = lane->first; t != NULL; t = t->next) {
        if (t->state != TASK_ENDED) {
            task_end(lane, t);
        }
    }
    task_sweep(lane);
    form_nulls_free(lane);
    memo_free(lane);
    llama_batch_free(lane->batch);
    llama_free(lane->context);
    engine_turns_done(lane);
    masks_free(lane->masks);
    mem_free(lane);
    e->lane = NULL;
}

void lane_clear(struct llama_engine *lane)
{
    ASSERT(lane->is_lane && lane->n_running == 0 && lane->n_seq_used == 0);
    llama_memory_clear(llama_get_memory(lane->context), false);
}

int64_t lane_bytes(struct llama_engine *e)
{
    if (e->lane != NULL && e->lane->n_tasks == 0 &&
        clock_monotonic_us() - e->lane_used_at > LANE_IDLE_US) {
        lane_close(e);
    }
    int heads = e->lane == NULL ? 0 : llama_model_n_head(e->model);
    if (heads == 0) {
        return 0;
    }
    /* keys and values of 2 bytes */
    int64_t row = (int64_t)llama_model_n_embd(e->model) / heads * llama_model_n_head_kv(e->model);
    return (int64_t)e->lane->base.info.n_ctx * llama_model_n_layer(e->model) * row * 4;
}

/* The ops. */

enum fail lane_submit(struct engine *engine, struct engine_ask *ask, struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    if (!ask->reproducible || ask->job == ENGINE_JOB_EMBED || !engine->loaded ||
        engine->info.kind == ENGINE_EMBED) {
        return task_submit(engine, ask, why);
    }
    if (ask->adapter != NULL) {
        return FAULT(why, FAIL_UNSUPPORTED, "an adapter has no reproducible lane");
    }
    if (e->lane == NULL) {
        enum fail failed = open_lane(e, why);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    e->lane_used_at = clock_monotonic_us();
    return task_submit(&e->lane->base, ask, why);
}

void lane_cancel(struct engine *engine, uint64_t id)
{
    struct llama_engine *e = llama_of(engine);
    task_cancel(engine, id);
    if (e->lane != NULL) {
        task_cancel(&e->lane->base, id);
    }
}

/* The best class with work, IPC_CLASS_COUNT without any. */
static int best_class(const struct llama_engine *e)
{
    int best = IPC_CLASS_COUNT;
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        best = t->state != TASK_ENDED && (int)t->class < best ? (int)t->class : best;
    }
    return best;
}

/* Whose step is next. */
static struct llama_engine *turn_of(struct llama_engine *e)
{
    int lane = e->lane == NULL ? IPC_CLASS_COUNT : best_class(e->lane);
    int own = lane == IPC_CLASS_COUNT ? 0 : best_class(e);
    if (lane == IPC_CLASS_COUNT || own == IPC_CLASS_COUNT) {
        return lane == IPC_CLASS_COUNT ? e : e->lane;
    }
    return e->lane_credit > 0 ? e->lane : e;
}

/* A step's time moves the credit; that of the main context counts by how the classes compare. */
static void account(struct llama_engine *e, bool by_lane, int64_t us)
{
    int lane = e->lane == NULL ? IPC_CLASS_COUNT : best_class(e->lane);
    int own = best_class(e);
    double part = lane < own ? 2 : lane == own ? 0.5 : 0.125;
    e->lane_credit += by_lane ? -(double)us : (double)us * part;
    e->lane_credit = e->lane_credit > CREDIT_US_MAX    ? CREDIT_US_MAX
                     : e->lane_credit < -CREDIT_US_MAX ? -CREDIT_US_MAX
                                                       : e->lane_credit;
}

bool lane_forecast(struct engine *engine, struct engine_step *out)
{
    (void)lane_bytes(llama_of(engine)); /* idle for too long: closed */
    return step_forecast(&turn_of(llama_of(engine))->base, out);
}

void lane_step(struct engine *engine, uint32_t lease_us)
{
    struct llama_engine *e = llama_of(engine);
    struct llama_engine *turn = turn_of(e);
    int64_t start = clock_monotonic_us();
    step_run(&turn->base, lease_us);
    int64_t now = clock_monotonic_us();
    if (e->lane != NULL) {
        account(e, turn != e, now - start);
    }
    if (turn != e) {
        e->lane_used_at = now;
    }
}
