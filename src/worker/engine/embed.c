/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: embeddings. Texts of several asks share a batch, one sequence each, pooled
 * by the model's own rule and scaled to unit length. A text over the model's limit is cut and
 * flagged.
 * Owns: rows and token lists of embed tasks. Threads: one. Limits: STEP tokens a step, or one
 * longer text; ENGINE_SEQ_MAX texts a step.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>
#include <string.h>

/* Every token attends to every cell of its step, so a wider one costs more a token (MiniLM,
   texts of 21 tokens, AMX: 299 texts a CPU second at 512, 329 at 256, 331 at 128, 265 at 96),
   and holds up what comes next. */
#define STEP 256

enum fail embed_prepare(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct engine_embed *ask = &t->ask->embed;
    int dim = e->base.info.n_embd;
    size_t bytes = 8 + ask->n * (8 + (size_t)dim * sizeof(float));
    if (bytes > IPC_FRAME_MAX) {
        (void)FAULT(why, FAIL_TOO_LARGE, "%zu embeddings of %d numbers do not fit in one answer",
                    ask->n, dim);
        return fail_hint(why, "Send at most %zu texts at once.",
                         (IPC_FRAME_MAX - 8) / (8 + (size_t)dim * sizeof(float)));
    }
    t->embed_lists = mem_alloc_array(ask->n, sizeof *t->embed_lists);
    t->embed_tokens = mem_alloc_array(ask->n, sizeof *t->embed_tokens);
    t->embed_cut = mem_alloc_array(ask->n, sizeof *t->embed_cut);
    t->rows = mem_alloc_array(ask->n * (size_t)dim, sizeof *t->rows);
    for (size_t i = 0; i < ask->n; i++) {
        int room = (int)ask->lens[i] + 8;
        llama_token *at = mem_alloc_array((size_t)room, sizeof *at);
        /* The model's own frame ([CLS] text [SEP]), and no special tokens out of the text. */
        int n = llama_tokenize(e->vocab, ask->texts[i], (int)ask->lens[i], at, room, true, false);
        if (n > e->n_batch) {
            at[e->n_batch - 1] = at[n - 1]; /* keeps the closing token */
            n = e->n_batch;
            t->embed_cut[i] = true;
        }
        if (n > 0) {
            tokens_add(&t->embed_lists[i], at, n);
        }
        t->embed_tokens[i] = n > 0 ? n : 0;
        mem_free(at);
    }
    return FAIL_NONE;
}

struct slot {
    struct task *task;
    size_t text;
};

int embed_forecast(const struct llama_engine *e)
{
    int tokens = 0;
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        for (size_t i = t->embed_next; t->embed_lists != NULL && i < t->ask->embed.n; i++) {
            tokens += t->embed_lists[i].n;
            if (tokens >= STEP) {
                return tokens < e->n_batch ? tokens : e->n_batch;
            }
        }
    }
    return tokens;
}

static void add_text(struct llama_engine *e, struct task *t, int seq, struct slot *slot)
{
    struct llama_batch *b = &e->batch;
    const struct tokens *list = &t->embed_lists[t->embed_next];
    for (int k = 0; k < list->n; k++) {
        int row = b->n_tokens++;
        b->token[row] = list->at[k];
        b->pos[row] = k;
        b->n_seq_id[row] = 1;
        b->seq_id[row][0] = seq;
        b->logits[row] = 1;
    }
    *slot = (struct slot){t, t->embed_next++};
}

static int embed_pending(const struct llama_engine *e, int of[IPC_CLASS_COUNT])
{
    int top = IPC_BATCH;
    memset(of, 0, IPC_CLASS_COUNT * sizeof *of);
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        for (size_t i = t->embed_next; t->state == TASK_RUNNING && i < t->ask->embed.n; i++) {
            of[t->class] += t->embed_lists[i].n;
            top = (int)t->class < top ? (int)t->class : top;
        }
    }
    return top;
}

/* A worse class's task whose text leaves no place for others, or must be alone, once its class is
   owed all of it: it would never fit beside the better ones. -1: none. */
static int owed_alone(struct llama_engine *e, struct task *const *order, int tasks, int top,
                      const int of[IPC_CLASS_COUNT])
{
    for (int i = 0; i < tasks; i++) {
        const struct task *t = order[i];
        if (t->state != TASK_RUNNING || (int)t->class <= top ||
            t->embed_next >= t->ask->embed.n) {
            continue;
        }
        int n = t->embed_lists[t->embed_next].n;
        if ((2 * n > STEP || t->ask->reproducible) &&
            n <= task_allowance(e, (enum ipc_class)top, t->class, of[t->class])) {
            return i;
        }
    }
    return -1;
}

/* A text of a worse class rides along when what its class is owed covers all of it; an empty one
   always. A reproducible text is alone: what shares its batch would change its last digits. */
static int fill(struct llama_engine *e, struct slot slots[ENGINE_SEQ_MAX])
{
    struct llama_batch *b = &e->batch;
    struct task *const *order;
    int of[IPC_CLASS_COUNT], done[IPC_CLASS_COUNT] = {0};
    int n = 0;
    int tasks = task_order(e, &order);
    int top = embed_pending(e, of);
    bool full = false;
    b->n_tokens = 0;
    int first = owed_alone(e, order, tasks, top, of);
    for (int i = first < 0 ? 0 : -1; i < tasks && !full; i++) {
        struct task *t = order[i < 0 ? first : i];
        int allowed = task_allowance(e, (enum ipc_class)top, t->class, of[t->class]);
        while (t->state == TASK_RUNNING && t->embed_next < t->ask->embed.n) {
            const struct tokens *list = &t->embed_lists[t->embed_next];
            full = n == ENGINE_SEQ_MAX || (n > 0 && b->n_tokens + list->n > STEP) ||
                   (n > 0 && slots[0].task->ask->reproducible);
            if (full || (n > 0 && t->ask->reproducible) || done[t->class] + list->n > allowed) {
                break;
            }
            done[t->class] += list->n;
            queue_flow_charge(t->flow, list->n);
            add_text(e, t, n, &slots[n]);
            n++;
        }
    }
    (void)embed_pending(e, of);
    task_account(e, done, of);
    return n;
}

static void take_row(struct llama_engine *e, const struct slot *slot, int seq)
{
    int dim = e->base.info.n_embd;
    float *row = slot->task->rows + slot->text * (size_t)dim;
    const float *from = slot->task->embed_lists[slot->text].n > 0
                            ? llama_get_embeddings_seq(e->context, seq)
                            : NULL;
    double sum = 0;
    for (int i = 0; i < dim; i++) {
        row[i] = from == NULL ? 0 : from[i];
        sum += (double)row[i] * (double)row[i];
    }
    float scale = sum > 0 ? (float)(1.0 / sqrt(sum)) : 0;
    for (int i = 0; i < dim; i++) {
        row[i] *= scale;
    }
    if (sum <= 0) {
        row[0] = 1; /* an empty text still has unit length */
    }
    slot->task->embed_done++;
}

static void finish(struct llama_engine *e, struct task *t)
{
    struct engine_embedded result = {.n = t->ask->embed.n,
                                     .dim = e->base.info.n_embd,
                                     .rows = t->rows,
                                     .tokens = t->embed_tokens,
                                     .cut = t->embed_cut};
    e->base.sink->embedded(e->base.sink->self, t->id, &result);
    task_end(e, t);
}

void embed_step(struct llama_engine *e)
{
    struct slot slots[ENGINE_SEQ_MAX];
    int n = fill(e, slots);
    int rc = 0;
    struct fault why = {0};
    int64_t start = clock_monotonic_us();
    enum fail failed = FAIL_NONE;
    if (e->batch.n_tokens > 0) {
        llama_memory_t memory = llama_get_memory(e->context);
        bool alone = slots[0].task->ask->reproducible;
        if (alone) {
            llama_set_n_threads(e->context, 1, 1);
        } else {
            (void)threads_begin(e, e->batch.n_tokens);
        }
        if (memory != NULL) {
            llama_memory_clear(memory, false);
        }
        failed = memory == NULL ? shim_encode(e->context, &e->batch, &rc, &why)
                                : shim_decode(e->context, &e->batch, &rc, &why);
        if (failed == FAIL_NONE && rc != 0) {
            failed = FAULT(&why, FAIL_INTERNAL, "llama.cpp could not embed (%d)", rc);
        }
        if (!alone) {
            threads_end(e, e->batch.n_tokens, clock_monotonic_us() - start);
        }
    }
    for (int i = 0; i < n; i++) {
        if (slots[i].task->state == TASK_ENDED) {
            continue;
        }
        if (failed != FAIL_NONE) {
            task_fail(e, slots[i].task, &why);
            continue;
        }
        take_row(e, &slots[i], i);
        if (slots[i].task->embed_done == slots[i].task->ask->embed.n) {
            finish(e, slots[i].task);
        }
    }
}
