/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: whose turn it is. A task is admitted when a sequence of its class is free
 * and the cells that it may come to need are not promised to others. Sequences of worse classes do
 * not count: they pause, keep their cells and get only what they are owed beside a better class's
 * tokens. When cells are short, the youngest tasks of worse classes are put back: they keep their
 * text and decode it again later. Inside a class the team that was given the fewest tokens goes
 * first (run/queue).
 * Threads: one. Limits: n_seq running of a class and the better ones, n_ctx cells by reserve, a
 * task is put back PUT_BACK_MAX times and then keeps its cells.
 */
#include "worker/engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_GAIN 32 /* tokens worth waiting for while another task decodes them */
#define PUT_BACK_MAX 2
#define STARVED_US 5000000 /* a class with nothing running for so long is admitted first */
#define OWED_MAX 512       /* tokens: no burst after a long wait */
#define OWED_MIN 8         /* fewer are not worth a wider step, unless no more are pending */

void engine_turns_init(struct llama_engine *e)
{
    for (int i = 0; i < IPC_CLASS_COUNT; i++) {
        e->meters[i] = queue_meter_new();
    }
}

void engine_turns_done(struct llama_engine *e)
{
    for (int i = 0; i < IPC_CLASS_COUNT; i++) {
        queue_meter_free(e->meters[i]);
    }
    mem_free(e->order);
}

void task_enroll(struct llama_engine *e, struct task *t, enum ipc_class class)
{
    char team[QUEUE_TEAM_SIZE];
    size_t n = strcspn(t->domain, "/");
    n = n < sizeof team - 1 ? n : sizeof team - 1;
    memcpy(team, t->domain, n);
    team[n] = '\0';
    if (t->flow != NULL) {
        task_settle(t);
        queue_flow_leave(t->flow);
    }
    t->class = class;
    t->flow = queue_flow_enter(e->meters[class], team);
}

void task_settle(struct task *t)
{
    queue_flow_settle(t->flow, t->charged, t->spent);
    t->spent = 0;
    t->charged = 0;
}

/* Order. */

static int by_turn(const void *left, const void *right)
{
    const struct task *a = *(struct task *const *)left, *b = *(struct task *const *)right;
    if (a->class != b->class) {
        return a->class < b->class ? -1 : 1;
    }
    int turn = queue_flow_compare(a->flow, b->flow);
    if (turn != 0) {
        return turn;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

int task_order(struct llama_engine *e, struct task *const **out)
{
    int n = 0;
    if (e->n_tasks > e->order_room) {
        e->order_room = e->n_tasks * 2;
        e->order = mem_realloc(e->order, (size_t)e->order_room * sizeof *e->order);
    }
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state != TASK_ENDED) {
            e->order[n++] = t;
        }
    }
    if (n > 1) {
        qsort(e->order, (size_t)n, sizeof *e->order, by_turn);
    }
    *out = e->order;
    return n;
}

/* Shares of a step. */

int task_allowance(const struct llama_engine *e, enum ipc_class top, enum ipc_class class,
                   int pending)
{
    if (class <= top) {
        return pending;
    }
    int owed = (int)e->owed[class];
    int least = pending < OWED_MIN ? pending : OWED_MIN;
    return owed < least ? 0 : owed < pending ? owed : pending;
}

void task_account(struct llama_engine *e, const int done[IPC_CLASS_COUNT],
                  const int pending[IPC_CLASS_COUNT])
{
    int better = 0;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        double owed = e->owed[c] + better * queue_class_share((enum ipc_class)c) - done[c];
        owed = owed < 0 ? 0 : owed > OWED_MAX ? OWED_MAX : owed;
        e->owed[c] = pending[c] + done[c] > 0 ? owed : 0; /* nothing waits: nothing is saved up */
        better += done[c];
    }
}

/* Room. */

/* Another running task is about to keep a prefix that this one could fork from: worth a wait. */
static bool better_soon(const struct llama_engine *e, const struct task *t, int shared)
{
    for (const struct task *r = e->first; r != NULL; r = r->next) {
        if (r->state != TASK_RUNNING || r->head_kept || r->head < shared + WAIT_GAIN ||
            r->class > t->class || strcmp(r->domain, t->domain) != 0) {
            continue;
        }
        int n = 0;
        while (n < r->head && n < t->n_prompt - 1 && r->tokens.at[n] == t->tokens.at[n]) {
            n++;
        }
        if (n >= shared + WAIT_GAIN) {
            return true;
        }
    }
    return false;
}

int task_promised(const struct llama_engine *e)
{
    int cells = prefix_cells(e, false);
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        cells += t->state == TASK_RUNNING ? t->reserve : 0;
    }
    return cells;
}

/* Its cells and its sequence go; its tokens, its text and its random numbers stay. */
static void put_back(struct llama_engine *e, struct task *t)
{
    task_leave(e, t);
    t->n_past = 0;
    t->n_shared = 0;
    t->reserve = 0;
    t->state = TASK_WAITING;
    t->at_wait = clock_monotonic_us();
    t->put_back++;
}

static bool may_put_back(const struct task *t, enum ipc_class for_class)
{
    return t->state == TASK_RUNNING && t->class > for_class && t->job != ENGINE_JOB_EMBED &&
           !t->choice.active && t->put_back < PUT_BACK_MAX;
}

/* Takes cells from worse classes, the worst and youngest first; nothing when all they have is not
   enough. */
static void make_room(struct llama_engine *e, const struct task *t, int need)
{
    int room = e->base.info.n_ctx - task_promised(e);
    int gain = 0;
    /* What a victim's prompt left as a prefix goes with it: counted as if it were idle already. */
    for (struct task *v = e->first; v != NULL; v = v->next) {
        bool goes = may_put_back(v, t->class);
        gain += goes ? v->reserve : 0;
        if (goes && v->source != NULL) {
            v->source->users--;
        }
    }
    gain += prefix_cells(e, true);
    for (struct task *v = e->first; v != NULL; v = v->next) {
        if (may_put_back(v, t->class) && v->source != NULL) {
            v->source->users++;
        }
    }
    if (room + gain < need) {
        return;
    }
    while (e->base.info.n_ctx - task_promised(e) < need) {
        struct task *victim = NULL;
        for (struct task *v = e->first; v != NULL; v = v->next) {
            if (may_put_back(v, t->class) &&
                (victim == NULL || v->class > victim->class ||
                 (v->class == victim->class && v->at_admit >= victim->at_admit))) {
                victim = v;
            }
        }
        if (victim == NULL) {
            return;
        }
        put_back(e, victim);
        while (task_promised(e) + need > e->base.info.n_ctx && prefix_evict(e)) {
        }
    }
}

/* A long prompt's attention reads every cell of the KV: with 2,000 foreign ones it takes three
   times as long. Copying them to the stash and back costs what 35 tokens lose. */
static void clear_around(struct llama_engine *e, struct prefix *p, int shared)
{
    while (prefix_cells(e, true) > 0 && prefix_evict(e)) {
    }
    if (p != NULL) {
        prefix_cut(e, p, shared);
    }
}

enum admission { ADMITTED, NOT_YET, NO_ROOM };

static enum admission admit(struct llama_engine *e, struct task *t)
{
    int shared = 0;
    if (t->form != NULL && t->form->waits_for != NULL) {
        return NOT_YET;
    }
    if (e->is_lane) {
        lane_clear(e);
    }
    int known = t->put_back > 0 ? t->tokens.n : t->n_prompt;
    if (better_soon(e, t, prefix_reach(e, t, known - 1))) {
        return NOT_YET;
    }
    struct prefix *p = prefix_take(e, t, known - 1, &shared);
    if (p != NULL) {
        p->users++; /* not to be evicted while we make room */
    }
    if (t->n_prompt - shared > LONG_PROMPT) {
        clear_around(e, p, shared);
    }
    int need = t->n_prompt + t->max_new - shared;
    while (task_promised(e) + need > e->base.info.n_ctx && prefix_evict(e)) {
    }
    if (task_promised(e) + need > e->base.info.n_ctx) {
        make_room(e, t, need);
    }
    if (task_promised(e) + need > e->base.info.n_ctx && p != NULL && e->n_running == 0) {
        /* Alone and still too much: the fork itself is in the way. */
        p->users--;
        p = NULL;
        shared = 0;
        need = t->n_prompt + t->max_new;
        while (prefix_evict(e)) {
        }
    }
    int seq = task_promised(e) + need > e->base.info.n_ctx ? -1 : engine_seq_take(e);
    if (seq < 0) {
        if (p != NULL) {
            p->users--;
        }
        return NO_ROOM;
    }
    t->seq = seq;
    t->source = p;
    t->n_shared = shared;
    t->cached = t->put_back > 0 ? t->cached : shared;
    t->n_past = shared;
    t->reserve = need;
    t->charged = need;
    queue_flow_reserve(t->flow, need);
    if (shared > 0) {
        llama_memory_seq_cp(llama_get_memory(e->context), p->seq, seq, 0, shared);
    }
    t->head_kept = t->head <= shared;
    return ADMITTED;
}

/* A class may have as many as are left of n_seq by the better ones, and always one. */
static bool has_slot(const struct llama_engine *e, enum ipc_class class, bool *alone)
{
    int better = 0, same = 0;
    if (e->is_lane) {
        *alone = false;
        return e->n_running == 0; /* one task at a time, whatever its class */
    }
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        better += t->state == TASK_RUNNING && t->class < class;
        same += t->state == TASK_RUNNING && t->class == class;
    }
    *alone = same == 0;
    return better + same < e->n_seq || same == 0;
}

/* False when it has to wait for cells: nobody overtakes it then, or the large ask would starve. */
static bool try_admit(struct llama_engine *e, struct task *t)
{
    if (t->job != ENGINE_JOB_EMBED) {
        enum admission outcome = admit(e, t);
        if (outcome != ADMITTED) {
            return outcome == NOT_YET;
        }
    }
    int64_t now = clock_monotonic_us();
    t->state = TASK_RUNNING;
    t->at_admit = t->at_admit > 0 ? t->at_admit : now;
    e->n_running++;
    return true;
}

void task_admit(struct llama_engine *e)
{
    struct task *const *order;
    bool alone = false;
    int64_t now = clock_monotonic_us();
    int n = task_order(e, &order);
    for (int i = 0; i < n; i++) {
        struct task *t = order[i];
        if (t->state == TASK_WAITING && t->class != IPC_INTERACTIVE &&
            t->job != ENGINE_JOB_EMBED && now - t->at_wait > STARVED_US &&
            has_slot(e, t->class, &alone) && alone && !try_admit(e, t)) {
            return;
        }
    }
    for (int i = 0; i < n; i++) {
        struct task *t = order[i];
        if (t->state == TASK_WAITING &&
            (t->job == ENGINE_JOB_EMBED || has_slot(e, t->class, &alone)) && !try_admit(e, t)) {
            return;
        }
    }
}
