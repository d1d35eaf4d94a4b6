/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: embeddings. Texts of several asks share a batch, one sequence each, pooled
 * by the model's own rule and scaled to unit length. A text over the model's limit is cut and
 * flagged. A step is cut into pieces, each a batch of its own; an encoder has a second context on
 * the same weights whose thread takes every other piece (worker/hands). Which texts share a piece
 * is settled before any runs, so a vector never hangs on which hand was faster.
 * Owns: rows and token lists of embed tasks. Threads: the engine's, and for a piece the second
 * hand, which touches its own context, batch and rows only. Limits: PIECE tokens a piece or one
 * longer text, STEP_TWO a step; ENGINE_SEQ_MAX texts a step.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>
#include <string.h>

#include "worker/hands/hands.h"

/* Every token attends to every cell of its piece, so a wider one costs more a token, and
   llama.cpp's flash attention has a fast way for 64 rows and more (64 rows take 8.9 ms, 50 take
   15). So a piece is 64 rows, as full as texts can be fitted, and a smaller one is filled up
   with a sequence that nobody reads (MiniLM in q8_0, texts of 20 tokens, AMX, texts a CPU
   second: 336 so, 316 in fitted batches of 128, 313 in order of arrival at 256, 135 at 64
   without filling up). */
#define PIECE 64
#define PAD_FROM 25 /* tokens: fewer are faster as they are */
#define STEP_ONE 256 /* tokens of a step of one hand, of two */
#define STEP_TWO 512

void embed_open_twin(struct llama_engine *e, struct llama_context_params params)
{
    if (llama_get_memory(e->context) != NULL) {
        return; /* a decoder's cells would be there twice */
    }
    params.n_threads = 1;
    params.n_threads_batch = 1;
    params.abort_callback = NULL; /* it reads what the first hand writes */
    params.abort_callback_data = NULL;
    e->twin = llama_init_from_model(e->model, params);
    e->hands = e->twin != NULL ? hands_new() : NULL;
    if (e->hands == NULL) {
        embed_close_twin(e);
        return;
    }
    e->twin_batch = llama_batch_init(e->n_batch, 0, 1);
    e->us_both = 0;
}

void embed_close_twin(struct llama_engine *e)
{
    hands_free(e->hands);
    e->hands = NULL;
    if (e->twin_batch.token != NULL) {
        llama_batch_free(e->twin_batch);
        e->twin_batch = (struct llama_batch){0};
    }
    if (e->twin != NULL) {
        llama_free(e->twin);
        e->twin = NULL;
    }
}

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

/* Texts that share a batch: slots[first] to slots[first + n - 1]. */
struct piece {
    int first;
    int n;
    int tokens;
    enum fail failed;
    int hand;
};

struct work {
    struct llama_engine *e;
    struct slot *slots;
    struct piece pieces[ENGINE_SEQ_MAX];
    int n;
    struct fault why[HANDS_COUNT]; /* of the hand's last piece that failed */
};

static int step_max(const struct llama_engine *e)
{
    return e->twin != NULL ? STEP_TWO : STEP_ONE;
}

int embed_forecast(const struct llama_engine *e, double *us)
{
    int tokens = 0;
    for (const struct task *t = e->first; t != NULL && tokens < step_max(e); t = t->next) {
        for (size_t i = t->embed_next; t->embed_lists != NULL && i < t->ask->embed.n; i++) {
            tokens += t->embed_lists[i].n;
        }
    }
    tokens = tokens < step_max(e) ? tokens : step_max(e);
    bool both = e->twin != NULL && tokens > PIECE && e->us_both > 0;
    *us = both ? tokens * e->us_both : threads_forecast_us(e, tokens < 1 ? 1 : tokens);
    return tokens;
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
        if ((2 * n > step_max(e) || t->ask->reproducible) &&
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
    struct task *const *order;
    int of[IPC_CLASS_COUNT], done[IPC_CLASS_COUNT] = {0};
    int n = 0;
    int tokens = 0;
    int tasks = task_order(e, &order);
    int top = embed_pending(e, of);
    bool full = false;
    int first = owed_alone(e, order, tasks, top, of);
    for (int i = first < 0 ? 0 : -1; i < tasks && !full; i++) {
        struct task *t = order[i < 0 ? first : i];
        int allowed = task_allowance(e, (enum ipc_class)top, t->class, of[t->class]);
        while (t->state == TASK_RUNNING && t->embed_next < t->ask->embed.n) {
            const struct tokens *list = &t->embed_lists[t->embed_next];
            full = n == ENGINE_SEQ_MAX || (n > 0 && tokens + list->n > step_max(e)) ||
                   (n > 0 && slots[0].task->ask->reproducible);
            if (full || (n > 0 && t->ask->reproducible) || done[t->class] + list->n > allowed) {
                break;
            }
            done[t->class] += list->n;
            tokens += list->n;
            queue_flow_charge(t->flow, list->n);
            slots[n++] = (struct slot){t, t->embed_next++};
        }
    }
    (void)embed_pending(e, of);
    task_account(e, done, of);
    return n;
}

/* Pieces. */

static const struct tokens *list_of(const struct slot *slot)
{
    return &slot->task->embed_lists[slot->text];
}

/* Fits texts into pieces, the longest first, each into the first piece with room for it; slots are
   sorted by piece. */
static void cut(struct work *w, int n)
{
    struct slot sorted[ENGINE_SEQ_MAX];
    int piece_of[ENGINE_SEQ_MAX];
    for (int i = 0; i < n; i++) {
        int k = i;
        for (; k > 0 && list_of(&sorted[k - 1])->n < list_of(&w->slots[i])->n; k--) {
            sorted[k] = sorted[k - 1];
        }
        sorted[k] = w->slots[i];
    }
    for (int i = 0; i < n; i++) {
        int tokens = list_of(&sorted[i])->n;
        int k = 0;
        while (k < w->n && w->pieces[k].tokens + tokens > PIECE) {
            k++;
        }
        if (k == w->n) {
            w->pieces[w->n++] = (struct piece){0};
        }
        w->pieces[k].tokens += tokens;
        w->pieces[k].n++;
        piece_of[i] = k;
    }
    int at = 0;
    for (int k = 0; k < w->n; k++) {
        w->pieces[k].first = at;
        for (int i = 0; i < n; i++) {
            if (piece_of[i] == k) {
                w->slots[at++] = sorted[i];
            }
        }
    }
}

static void add_row(struct llama_batch *b, llama_token token, int pos, int seq)
{
    int row = b->n_tokens++;
    b->token[row] = token;
    b->pos[row] = pos;
    b->n_seq_id[row] = 1;
    b->seq_id[row][0] = seq;
    b->logits[row] = 1;
}

static void make_batch(const struct llama_engine *e, const struct slot *slots,
                       const struct piece *p, struct llama_batch *b)
{
    b->n_tokens = 0;
    for (int i = 0; i < p->n; i++) {
        const struct tokens *list = list_of(&slots[p->first + i]);
        for (int k = 0; k < list->n; k++) {
            add_row(b, list->at[k], k, i);
        }
    }
    bool pads = e->flash != LLAMA_FLASH_ATTN_TYPE_DISABLED && p->tokens >= PAD_FROM &&
                e->n_batch >= PIECE && p->n < ENGINE_SEQ_MAX &&
                !slots[p->first].task->ask->reproducible;
    for (int k = 0; pads && b->n_tokens < PIECE; k++) {
        add_row(b, b->token[0], k, p->n);
    }
}

static void take_row(struct llama_engine *e, struct llama_context *context,
                     const struct slot *slot, int seq)
{
    int dim = e->base.info.n_embd;
    float *row = slot->task->rows + slot->text * (size_t)dim;
    const float *from = list_of(slot)->n > 0 ? llama_get_embeddings_seq(context, seq) : NULL;
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
}

static void do_piece(void *self, int hand, size_t at)
{
    struct work *w = self;
    struct llama_engine *e = w->e;
    struct piece *p = &w->pieces[at];
    struct llama_context *context = hand == 0 ? e->context : e->twin;
    struct llama_batch *batch = hand == 0 ? &e->batch : &e->twin_batch;
    int rc = 0;
    p->hand = hand;
    if (p->tokens > 0) {
        llama_memory_t memory = llama_get_memory(context);
        make_batch(e, w->slots, p, batch);
        if (memory != NULL) {
            llama_memory_clear(memory, false);
        }
        p->failed = memory == NULL ? shim_encode(context, batch, &rc, &w->why[hand])
                                   : shim_decode(context, batch, &rc, &w->why[hand]);
        if (p->failed == FAIL_NONE && rc != 0) {
            p->failed = FAULT(&w->why[hand], FAIL_INTERNAL, "llama.cpp could not embed (%d)", rc);
        }
    }
    for (int i = 0; i < p->n && p->failed == FAIL_NONE; i++) {
        take_row(e, context, &w->slots[p->first + i], i);
    }
}

/* All pieces, by both hands where there are several. */
static void do_all(struct work *w, int tokens)
{
    struct llama_engine *e = w->e;
    int64_t start = clock_monotonic_us();
    bool alone = w->slots[0].task->ask->reproducible;
    bool both = e->twin != NULL && w->n > 1;
    if (alone || both) {
        llama_set_n_threads(e->context, 1, 1);
    } else {
        (void)threads_begin(e, tokens);
    }
    hands_run(both ? e->hands : NULL, (size_t)w->n, do_piece, w);
    double us = (double)(clock_monotonic_us() - start);
    if (both) {
        e->us_both = e->us_both > 0 ? e->us_both * 0.8 + us / tokens * 0.2 : us / tokens;
    } else if (!alone) {
        threads_end(e, tokens, (int64_t)us);
    }
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
    struct work w = {.e = e, .slots = slots};
    int n = fill(e, slots);
    int tokens = 0;
    for (int i = 0; i < n; i++) {
        tokens += list_of(&slots[i])->n;
    }
    cut(&w, n);
    if (tokens > 0) {
        do_all(&w, tokens);
    } else {
        hands_run(NULL, (size_t)w.n, do_piece, &w);
    }
    for (int k = 0; k < w.n; k++) {
        const struct piece *p = &w.pieces[k];
        for (int i = p->first; i < p->first + p->n; i++) {
            struct task *t = slots[i].task;
            if (t->state == TASK_ENDED) {
                continue;
            }
            if (p->failed != FAIL_NONE) {
                task_fail(e, t, &w.why[p->hand]);
                continue;
            }
            if (++t->embed_done == t->ask->embed.n) {
                finish(e, t);
            }
        }
    }
}
