/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: one step. Running tasks of the best class put their pending tokens into one
 * batch (short ones first, then prompt chunks, both in turn), worse classes what they are owed;
 * llama.cpp decodes it, and each task whose tokens are all in says what comes next.
 * Owns: the batch. Threads: one. Limits: a step is at most n_batch tokens and about STEP_US_TARGET
 * of measured time.
 */
#include "worker/engine/engine_internal.h"

#include <string.h>

#define SHORT_PENDING 8
#define SMALL_STEP 63 /* see has_short_work_only */
#define BLOCK_REST 12
#define OWED_STEP_MAX 64 /* tokens of a worse class in a step that a better one waits for */
#define FIRST_STEP_TOKENS 64
#define LEAST_STEP_TOKENS 16

/* lease_us 0: no bound but our own. */
static bool has_interactive_work(const struct llama_engine *e)
{
    const struct task *t = e->first;
    while (t != NULL && (t->state == TASK_ENDED || t->class != IPC_INTERACTIVE)) {
        t = t->next;
    }
    return t != NULL;
}

static int step_tokens_max(const struct llama_engine *e, uint32_t lease_us)
{
    if (e->is_lane) {
        return LANE_CHUNK; /* bytes must not hang on how fast the machine is */
    }
    double us = e->speed[e->use_all ? 1 : 0].us_per_token;
    bool alone = lease_us == 0 && (!has_interactive_work(e) || e->n_tasks == 1);
    double target = alone ? STEP_US_ALONE : STEP_US_TARGET;
    target = lease_us > 0 && lease_us < target ? lease_us : target;
    int tokens = us > 0 ? (int)(target / us) : FIRST_STEP_TOKENS;
    tokens = tokens < LEAST_STEP_TOKENS ? LEAST_STEP_TOKENS : tokens;
    if (e->step_cap > 0 && tokens > e->step_cap) {
        tokens = e->step_cap;
    }
    return tokens < e->n_batch ? tokens : e->n_batch;
}

static int pending(const struct task *t)
{
    if (t->state != TASK_RUNNING || t->job == ENGINE_JOB_EMBED) {
        return 0;
    }
    if (!t->choice.active) {
        return t->tokens.n - t->n_past;
    }
    int n = 0;
    for (int i = 0; i < t->choice.n_branches; i++) {
        n += t->choice.branches[i].depth - t->choice.branches[i].done;
    }
    return n;
}

bool step_forecast(struct engine *engine, struct engine_step *out)
{
    struct llama_engine *e = llama_of(engine);
    if (!engine->loaded || e->n_tasks == 0) {
        return false;
    }
    *out = (struct engine_step){.class = IPC_BATCH};
    double embed_us = 0;
    bool embeds = engine->info.kind == ENGINE_EMBED;
    int tokens = embeds ? embed_forecast(e, &embed_us) : 0;
    int of[IPC_CLASS_COUNT] = {0};
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state == TASK_ENDED) {
            continue;
        }
        out->class = t->class < out->class ? t->class : out->class;
        if (t->job != ENGINE_JOB_EMBED) {
            of[t->class] += t->state == TASK_RUNNING ? pending(t) : t->tokens.n;
        }
    }
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        tokens += task_allowance(e, out->class, (enum ipc_class)c, of[c]);
    }
    int most = embeds ? tokens : step_tokens_max(e, 0);
    most = most < 1 ? 1 : most;
    tokens = tokens < 1 ? 1 : tokens > most ? most : tokens;
    out->tokens = (unsigned)tokens;
    out->us = (uint32_t)(embeds ? embed_us : threads_forecast_us(e, tokens));
    return true;
}

/* The batch. */

static int add(struct llama_engine *e, llama_token token, int pos, int seq, bool output)
{
    struct llama_batch *b = &e->batch;
    int row = b->n_tokens++;
    b->token[row] = token;
    b->pos[row] = pos;
    b->n_seq_id[row] = 1;
    b->seq_id[row][0] = seq;
    b->logits[row] = output;
    return row;
}

struct room {
    int tokens;
    int outputs;
};

static void add_branches(struct llama_engine *e, struct task *t, struct room *room)
{
    choice_activate(e, t);
    llama_token path[FORM_LABEL_BYTES_MAX + 8];
    for (int i = 0; i < t->choice.n_branches; i++) {
        struct branch *b = &t->choice.branches[i];
        int n = b->depth - b->done;
        bool whole = n <= room->tokens;
        n = whole ? n : room->tokens; /* a long path goes on in the next step */
        if (b->seq < 0 || n < 1 || (whole && room->outputs < 1)) {
            continue;
        }
        choice_path(&t->choice, b->node, path);
        for (int k = b->done; k < b->done + n; k++) {
            int row = add(e, path[k], t->n_past + k, b->seq, k == b->depth - 1);
            b->out = whole ? row : -1;
        }
        b->in_batch = n;
        room->tokens -= n;
        room->outputs -= whole ? 1 : 0;
    }
}

static void add_pending(struct llama_engine *e, struct task *t, struct room *room)
{
    int left = t->tokens.n - t->n_past;
    int n = left < room->tokens ? left : room->tokens;
    bool last = n == left;
    if (n < 1 || (last && room->outputs < 1)) {
        return;
    }
    for (int k = 0; k < n; k++) {
        int i = t->n_past + k;
        int row = add(e, t->tokens.at[i], i, t->seq, last && k == n - 1);
        t->out = last ? row : -1;
    }
    t->in_batch = n;
    room->tokens -= n;
    room->outputs -= last ? 1 : 0;
}

/* Guesses fill what room is left beside few tokens. */
static void add_drafts(struct llama_engine *e, struct task *const *order, int n, struct room *room)
{
    e->n_drafts = 0;
    for (int i = 0; i < n; i++) {
        struct task *t = order[i];
        int written = STEP_OUTPUTS_MAX - room->outputs - e->n_drafts;
        int most = room->tokens < room->outputs ? room->tokens : room->outputs;
        int k = adapter_in_turn(e, t) ? speculate_draft(e, t, written, most) : 0;
        for (int g = 0; g < k; g++) {
            int row = add(e, t->draft.at[g], t->tokens.n + g, t->seq, true);
            t->draft.row = g == 0 ? row : t->draft.row;
        }
        t->draft.in_batch = k;
        t->draft.used = 0;
        t->draft.drafted += k;
        e->n_drafts += k;
        room->tokens -= k;
        room->outputs -= k;
    }
}

static void pending_by_class(const struct llama_engine *e, bool in_turn, int of[IPC_CLASS_COUNT])
{
    memset(of, 0, IPC_CLASS_COUNT * sizeof *of);
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        of[t->class] += !in_turn || adapter_in_turn(e, t) ? pending(t) : 0;
    }
}

/* One class's tasks, in turn; what they take goes off the room. */
static void compose_class(struct llama_engine *e, struct task *const *order, int n,
                          enum ipc_class class, struct room *room, int allowance)
{
    int spare = room->tokens > allowance ? room->tokens - allowance : 0;
    room->tokens -= spare;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++) {
            struct task *t = order[i];
            bool is_short = t->choice.active || pending(t) <= SHORT_PENDING;
            if (t->state != TASK_RUNNING || !adapter_in_turn(e, t) || t->class != class ||
                t->job == ENGINE_JOB_EMBED || is_short != (round == 0)) {
                continue;
            }
            if (t->choice.active) {
                add_branches(e, t, room);
            } else {
                add_pending(e, t, room);
            }
        }
    }
    room->tokens += spare;
}

/* From 64 rows on llama.cpp's flash attention works in tiles that read every cell, the foreign ones
   too; below it skips those. Tiles are worth it for a long prompt, not for the short pieces of many
   tasks: with 8 forms running, 870 tokens/s against 770. */
static bool has_short_work_only(const struct llama_engine *e)
{
    int working = 0;
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        int n = pending(t);
        working += n > 0 ? 1 : 0;
        if (n > LONG_PROMPT) {
            return false;
        }
    }
    return working > 1;
}

/* Whole blocks of rows: those over are decoded with the next step when they are few. What does not
   go into one step goes into two alike: a few rows behind many cells cost what many rows do. */
static int whole_blocks(int tokens, int pending)
{
    int block = threads_block();
    if (pending > tokens + BLOCK_REST) {
        int half = ((pending + 1) / 2 + block - 1) / block * block;
        int cut = tokens == SMALL_STEP ? tokens : tokens - tokens % block;
        return half < cut ? half : cut > 0 ? cut : tokens;
    }
    int over = pending % block;
    bool cut = pending > block && over > 0 && over <= BLOCK_REST;
    return cut && pending - over < tokens ? pending - over : tokens;
}

static void compose(struct llama_engine *e, uint32_t lease_us)
{
    struct room room = {step_tokens_max(e, lease_us), STEP_OUTPUTS_MAX};
    if (room.tokens > SMALL_STEP && has_short_work_only(e)) {
        room.tokens = SMALL_STEP;
    }
    struct task *const *order;
    int of[IPC_CLASS_COUNT];
    int all = 0;
    int top = 0;
    int n = task_order(e, &order);
    e->batch.n_tokens = 0;
    pending_by_class(e, true, of);
    while (top < IPC_BATCH && of[top] == 0) {
        top++;
    }
    for (int class = top; class < IPC_CLASS_COUNT; class++) {
        all += of[class];
    }
    room.tokens = e->is_lane ? room.tokens : whole_blocks(room.tokens, all);
    for (int class = top; class < IPC_CLASS_COUNT; class++) {
        int allowed = task_allowance(e, (enum ipc_class)top, (enum ipc_class)class, of[class]);
        if (class > top && allowed > OWED_STEP_MAX) {
            allowed = OWED_STEP_MAX;
        }
        if (e->batch.n_tokens == 0) {
            allowed = of[class]; /* the better ones cannot step: they wait for what these hold */
        }
        compose_class(e, order, n, (enum ipc_class)class, &room, allowed);
    }
    add_drafts(e, order, n, &room);
}

static void clear_marks(struct llama_engine *e)
{
    for (struct task *t = e->first; t != NULL; t = t->next) {
        t->in_batch = 0;
        t->draft.in_batch = 0;
        t->out = -1;
        for (int i = 0; i < t->choice.n_branches; i++) {
            t->choice.branches[i].in_batch = 0;
            t->choice.branches[i].out = -1;
        }
    }
}

/* After a step that did not happen: what it may have left in the KV goes. */
static void take_back(struct llama_engine *e)
{
    llama_memory_t memory = llama_get_memory(e->context);
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state == TASK_RUNNING && t->in_batch > 0) {
            llama_memory_seq_rm(memory, t->seq, t->n_past, -1);
        }
        for (int i = 0; i < t->choice.n_branches; i++) {
            struct branch *b = &t->choice.branches[i];
            if (b->in_batch > 0) {
                llama_memory_seq_rm(memory, b->seq, t->n_past + b->done, -1);
            }
        }
    }
    clear_marks(e);
}

static bool has_branch_in_batch(const struct task *t)
{
    int i = 0;
    while (i < t->choice.n_branches && t->choice.branches[i].in_batch == 0) {
        i++;
    }
    return i < t->choice.n_branches;
}

static void fail_batch(struct llama_engine *e, const struct fault *why)
{
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state == TASK_RUNNING && adapter_in_turn(e, t) &&
            (t->in_batch > 0 || has_branch_in_batch(t))) {
            task_fail(e, t, why);
        }
    }
    clear_marks(e);
}

static void learn_speed(struct llama_engine *e, int64_t us)
{
    double share = speculate_share(e);
    speculate_learn(e, us);
    threads_end(e, e->batch.n_tokens - e->n_drafts, (int64_t)((double)us * share));
    if (e->step_cap > 0) {
        e->step_cap += e->step_cap / 8 + 1;
        e->step_cap = e->step_cap >= e->n_batch ? 0 : e->step_cap;
    }
}

static void count_done(struct llama_engine *e)
{
    int done[IPC_CLASS_COUNT] = {0}, left[IPC_CLASS_COUNT];
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state != TASK_RUNNING) {
            continue;
        }
        int taken = t->in_batch;
        t->n_past += t->in_batch;
        for (int i = 0; i < t->choice.n_branches; i++) {
            t->choice.branches[i].done += t->choice.branches[i].in_batch;
            taken += t->choice.branches[i].in_batch;
        }
        t->spent += taken;
        done[t->class] += taken;
        if (!t->head_kept && t->n_past >= t->head) {
            prefix_keep(e, t, t->head);
            t->head_kept = true;
        }
    }
    pending_by_class(e, false, left);
    task_account(e, done, left);
}

/* The task says what comes next, and again for each guess that came true. */
static void advance_task(struct llama_engine *e, struct task *t)
{
    int row = t->out;
    t->out = -1;
    do {
        const float *logits = llama_get_logits_ith(e->context, row);
        ASSERT(logits != NULL);
        bool same_hole = true;
        if (t->job == ENGINE_JOB_FORM) {
            size_t hole = t->form->piece;
            form_advance(e, t, logits);
            same_hole = t->form->piece == hole;
        } else {
            generate_advance(e, t, logits);
        }
        if (!speculate_accept(e, t, same_hole)) {
            return;
        }
        row = t->draft.row + t->draft.used - 1;
    } while (true);
}

static void advance(struct llama_engine *e)
{
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state != TASK_RUNNING) {
            continue;
        }
        if (t->choice.active) {
            choice_advance(e, t);
            continue;
        }
        if (t->out < 0) {
            continue;
        }
        if (t->at_first == 0) {
            t->at_first = clock_monotonic_us();
        }
        advance_task(e, t);
    }
}

static void decode(struct llama_engine *e, uint32_t lease_us)
{
    struct fault why = {0};
    int rc = 0;
    int64_t start = clock_monotonic_us();
    int late = threads_begin(e, e->batch.n_tokens - e->n_drafts);
    late = (int)(late / speculate_share(e));
    /* Forecasts are rough: only a step that takes twice its lease is worth losing. */
    bool bounded = lease_us > 0 && e->batch.n_tokens > LEAST_STEP_TOKENS && !e->is_lane;
    int64_t limit = bounded ? (int64_t)lease_us * 2 : 0;
    limit = late > 0 && (limit == 0 || late < limit) ? late : limit;
    engine_abort_at(e, limit > 0 ? start + limit : 0);
    enum fail failed = shim_decode(e->context, &e->batch, &rc, &why);
    engine_abort_at(e, 0);
    if (failed == FAIL_NONE && rc == 0) {
        learn_speed(e, clock_monotonic_us() - start);
        count_done(e);
        advance(e);
        clear_marks(e);
        return;
    }
    if (failed == FAIL_NONE && rc == 2) {
        if (limit == late) {
            threads_late(e); /* the same again, with one thread */
        } else {
            e->step_cap = e->batch.n_tokens / 2;
        }
        take_back(e);
        return;
    }
    if (failed == FAIL_NONE && rc == 1) {
        take_back(e);
        if (prefix_evict(e)) {
            return;
        }
        compose(e, lease_us);
        (void)FAULT(&why, FAIL_QUEUE_FULL, "the model's context is full");
    } else if (failed == FAIL_NONE) {
        (void)FAULT(&why, FAIL_INTERNAL, "llama.cpp could not decode (%d)", rc);
    }
    fail_batch(e, &why);
}

void step_run(struct engine *engine, uint32_t lease_us)
{
    struct llama_engine *e = llama_of(engine);
    if (!engine->loaded) {
        return;
    }
    task_admit(e);
    if (engine->info.kind == ENGINE_EMBED) {
        embed_step(e);
    } else {
        adapter_choose(e, pending);
        compose(e, lease_us);
        if (e->batch.n_tokens > 0) {
            decode(e, lease_us);
        }
    }
    task_sweep(e);
}
