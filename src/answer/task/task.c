/* SPDX-License-Identifier: Apache-2.0 */
/* The desk: tasks come in from any thread, wait, run, and are answered once. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "run/schema/schema.h"
#include "trust/verdict/verdict.h"

static const int64_t default_deadline_ms[IPC_CLASS_COUNT] = {120000, 600000, 3600000};

const char *task_state_name(enum task_state state)
{
    static const char *const names[] = {"accepted", "climbing", "waiting_person",
                                        "done",     "failed",   "cancelled"};
    return state <= TASK_CANCELLED ? names[state] : "none";
}

struct headset *headset_ref(struct headset *h)
{
    if (h != NULL) {
        __atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
    }
    return h;
}

void headset_unref(struct headset *h)
{
    if (h == NULL || __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        learn_head_free(h->head[i]);
        extract_head_free(h->found[i]);
    }
    mem_free(h);
}

struct shelf *shelf_ref(struct shelf *s)
{
    if (s != NULL) {
        __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    }
    return s;
}

void shelf_unref(struct shelf *s)
{
    if (s != NULL && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        if (s->base != NULL) {
            shelf_unref(s->base);
        } else {
            knowledge_free(s->knowledge);
            reply_bank_free(s->replies);
        }
        learn_head_free(s->head);
        mem_free(s);
    }
}

struct entry *desk_entry_find(struct task_desk *desk, const char *workflow)
{
    struct entry *e = desk->entries;
    while (e != NULL && strcmp(e->form->name, workflow) != 0) {
        e = e->next;
    }
    return e;
}

struct shelf *desk_shelf_find(struct task_desk *desk, const char *dataset)
{
    for (size_t i = 0; dataset != NULL && i < desk->shelves_len; i++) {
        if (strcmp(desk->shelves[i]->name, dataset) == 0) {
            return desk->shelves[i];
        }
    }
    return NULL;
}

bool desk_shelf_put(struct task_desk *desk, struct shelf *shelf)
{
    struct shelf **at = &desk->shelves[desk->shelves_len];
    for (size_t i = 0; i < desk->shelves_len; i++) {
        if (strcmp(desk->shelves[i]->name, shelf->name) == 0) {
            at = &desk->shelves[i];
        }
    }
    bool is_new = at == &desk->shelves[desk->shelves_len];
    if (is_new && desk->shelves_len == COUNT_OF(desk->shelves)) {
        shelf_unref(shelf);
        return false;
    }
    if (!is_new && (*at)->order > shelf->order) {
        shelf_unref(shelf);
        return true;
    }
    shelf_unref(is_new ? NULL : *at);
    *at = shelf;
    desk->shelves_len += is_new;
    return true;
}

void desk_domain(const struct principal *who, const char *dataset, char *out, size_t room)
{
    /* team + dataset + label; every dataset is internal until labels come. Whole names, or two that
       begin alike would share; too long for the room, a digest stands for them. */
    int n = snprintf(out, room, "%s/%s/internal", who->team, dataset != NULL ? dataset : "-");
    if (n < 0 || (size_t)n >= room) {
        struct buf all;
        uint8_t hash[32];
        char hex[2 * sizeof(hash) + 1];
        buf_init(&all, 1024 * 1024);
        (void)buf_printf(&all, "%s/%s/internal", who->team, dataset != NULL ? dataset : "-");
        text_sha256(all.data, all.len, hash);
        text_hex(hash, sizeof(hash), hex);
        (void)text_copy(out, room, hex);
        buf_done(&all);
    }
}

enum fail task_desk_new(const struct task_house *house, struct task_desk **out, struct fault *why)
{
    struct task_desk *d = mem_alloc(sizeof(*d));
    d->house = *house;
    struct queue_options places = {.name = "their turn", .places = (size_t)house->max_waiting};
    d->queue = queue_new(&places);
    enum fail f = store_reader_open(house->store, &d->reader, why);
    if (f == FAIL_NONE) {
        f = shelves_load(d, why);
    }
    if (f == FAIL_NONE) {
        f = route_release_active(d->reader, &d->rules, why);
    }
    if (f == FAIL_NONE) {
        f = verdict_release_active(d->reader, &d->guard, why);
    }
    if (f == FAIL_NONE) {
        d->meter = route_meter_new();
        f = route_traffic_load(d->reader, clock_now_us(), d->meter, why);
    }
    f = f != FAIL_NONE ? f : related_open(d->reader, &d->related, why);
    if (f != FAIL_NONE) {
        task_desk_free(d);
        return f;
    }
    d->rewriter = rewriter_new(d);
    d->stakes = route_stakes_new();
    *out = d;
    return FAIL_NONE;
}

void task_desk_free(struct task_desk *d)
{
    if (d == NULL) {
        return;
    }
    rewriter_free(d->rewriter);
    related_free(d->related);
    route_stakes_free(d->stakes);
    while (d->entries != NULL) {
        struct entry *e = d->entries;
        d->entries = e->next;
        ladder_form_unref(e->form);
        headset_unref(e->heads);
        mem_free(e);
    }
    for (size_t i = 0; i < d->shelves_len; i++) {
        shelf_unref(d->shelves[i]);
    }
    if (d->rules != NULL) {
        route_rules_unref(d->rules);
    }
    verdict_rules_unref(d->guard);
    route_meter_free(d->meter);
    store_reader_close(d->reader);
    queue_free(d->queue);
    mem_free(d);
}

struct form_set {
    struct task_desk *desk;
    struct ladder_form *form;
};

static void form_set_now(void *arg)
{
    struct form_set *s = arg;
    struct entry *e = desk_entry_find(s->desk, s->form->name);
    struct fault why;
    if (e == NULL) {
        e = mem_alloc(sizeof(*e));
        e->next = s->desk->entries;
        s->desk->entries = e;
    }
    ladder_form_unref(e->form);
    e->form = ladder_form_dup(s->form);
    ladder_form_unref(s->form);
    voids_of_form(s->desk, e->form);
    headset_unref(e->heads);
    e->heads = NULL;
    if (heads_load(s->desk, e, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "heads.load_failed", &why);
    }
    mem_free(s);
}

void task_form_set(struct task_desk *desk, struct ladder_form *form)
{
    struct form_set *s = mem_alloc(sizeof(*s));
    s->desk = desk;
    s->form = ladder_form_ref(form);
    loop_post(desk->house.loop, form_set_now, s);
}

struct rules_set {
    struct task_desk *desk;
    struct route_rules *rules;
};

static void rules_set_now(void *arg)
{
    struct rules_set *s = arg;
    if (s->desk->rules != NULL) {
        route_rules_unref(s->desk->rules);
    }
    s->desk->rules = s->rules;
    mem_free(s);
}

void task_rules_set(struct task_desk *desk, struct route_rules *rules)
{
    struct rules_set *s = mem_alloc(sizeof(*s));
    s->desk = desk;
    s->rules = route_rules_ref(rules);
    loop_post(desk->house.loop, rules_set_now, s);
}

/* ---- a task's life ---- */

void desk_drained(struct task_desk *d)
{
    if (d->draining && d->running_len == 0 && d->reuse_jobs == 0 && queue_waiting(d->queue) == 0 &&
        d->on_drained != NULL) {
        loop_post(d->house.loop, d->on_drained, d->on_drained_arg);
        d->on_drained = NULL;
    }
}

/* A class may run what the better ones leave of the limit, and always one. */
static unsigned free_classes(const struct task_desk *d)
{
    unsigned classes = 0;
    int held = 0;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        held += d->running_of[c];
        classes |= held < d->house.max_running || d->running_of[c] == 0 ? 1u << c : 0;
    }
    return classes;
}

/* A task may end at once and so come here again: the loop goes on instead, or a long queue of such
   tasks would need a deep stack. */
static void start_waiting(struct task_desk *d)
{
    struct queue_item *item;
    if (d->starting) {
        return;
    }
    d->starting = true;
    while ((item = queue_next(d->queue, free_classes(d))) != NULL) {
        task_start(item->owner);
    }
    d->starting = false;
}

void task_free(struct task *t)
{
    pass_free(t);
    loop_timer_cancel(t->desk->house.loop, t->deadline_timer);
    decide_free(t);
    where_free(t);
    mem_free(t->route_record);
    form_plan_free(t->plan);
    form_result_free(t->filled);
    schema_free(t->schema);
    ladder_form_unref(t->form);
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        ladder_form_unref(t->form_before[r]);
    }
    headset_unref(t->heads);
    shelf_unref(t->shelf);
    draft_free(t->draft);
    buf_done(&t->json);
    buf_done(&t->held);
    mem_free(t->vectors);
    arena_free(t->arena);
    mem_free(t);
}

static void deliver(struct task *t)
{
    struct task_result r = {.code = FAIL_NONE,
                            .task = t->id,
                            .state = t->state,
                            .ms = clock_ms_since(t->started_us),
                            .record_seq = t->leaf,
                            .json = t->json.data,
                            .json_len = t->json.len,
                            .climb = t->climb.form != NULL ? &t->climb : NULL,
                            .model = t->model_name,
                            .fingerprint = t->fingerprint[t->role],
                            .tokens_in = t->tokens_in,
                            .tokens_cached = t->tokens_cached,
                            .tokens_out = t->tokens_out,
                            .cost = t->cost};
    if (t->has_artifact) {
        r.artifact = t->artifact;
    }
    if (t->state == TASK_FAILED || t->state == TASK_CANCELLED) {
        r.code = t->why.code;
        r.why = &t->why;
    } else if (t->kind == TASK_CHAT) {
        r.generated = &t->generated;
        r.plan = t->plan;
        r.filled = t->filled;
        r.tokens_in = t->generated.tokens_in;
        r.tokens_cached = t->generated.tokens_cached;
        r.tokens_out = t->generated.tokens_out;
    } else if (t->kind == TASK_EMBED) {
        r.vectors = t->vectors;
        r.vectors_len = t->texts_len;
        r.dim = t->dim;
        r.tokens = r.tokens_in = t->embed_tokens;
    } else if (t->kind == TASK_DECIDE) {
        r.decided = decide_answers(t);
    }
    t->on_done(t->arg, &r);
}

void task_finish(struct task *t)
{
    struct task_desk *d = t->desk;
    if (t->state != TASK_ACCEPTED) {
        if (t->prev != NULL) {
            t->prev->next = t->next;
        } else {
            d->running = t->next;
        }
        if (t->next != NULL) {
            t->next->prev = t->prev;
        }
        d->running_len--;
        d->running_of[t->class]--;
        queue_settle(d->queue, &t->turn, 1, !t->cancelled, clock_monotonic_us());
    } else {
        t->state = TASK_FAILED; /* refused before it started */
    }
    gate_leave(t);
    deliver(t);
    task_free(t);
    start_waiting(d);
    desk_drained(d);
}

void task_fail(struct task *t, const struct fault *why)
{
    t->why = *why;
    if (t->halted && !t->cancelled) {
        gate_why(t, &t->why);
    }
    t->state = t->cancelled ? TASK_CANCELLED : TASK_FAILED;
    if (t->kind == TASK_FORM) {
        record_form(t);
    } else {
        record_direct(t, fail_name(why->code));
    }
}

void task_interrupt(struct task *t)
{
    if (t->ask != 0) {
        fleet_cancel(t->desk->house.fleet, t->ask);
    }
    direct_hosted_cancel(t);
    decide_cancel(t);
    if (t->state == TASK_ACCEPTED) {
        task_start(t); /* before its turn: it ends soon and lets the others through */
    } else if (t->want != 0) {
        direct_give_up(t);
    }
}

static void on_deadline(void *arg)
{
    struct task *t = arg;
    t->deadline_timer = 0;
    t->late = true;
    task_interrupt(t);
}

void task_start(struct task *t)
{
    struct task_desk *d = t->desk;
    queue_take(d->queue, &t->turn, clock_monotonic_us());
    t->state = TASK_CLIMBING;
    t->prev = NULL;
    t->next = d->running;
    if (d->running != NULL) {
        d->running->prev = t;
    }
    d->running = t;
    d->running_len++;
    d->running_of[t->class]++;
    if (t->cancelled) {
        struct fault why;
        FAULT(&why, FAIL_STOPPED, "the client left before the task started");
        task_fail(t, &why);
    } else if (t->halted) {
        struct fault why;
        gate_why(t, &why);
        task_fail(t, &why);
    } else {
        pass_in(t, t->kind == TASK_FORM    ? climb_start
                   : t->kind == TASK_EMBED ? embed_start
                                           : chat_start);
    }
}

static void refuse(struct task *t, const struct fault *why)
{
    t->why = *why;
    task_finish(t);
}

int64_t task_deadline_ms(const struct task *t)
{
    return t->deadline_ms > 0 ? t->deadline_ms : default_deadline_ms[t->class];
}

static void accept_now(void *arg)
{
    struct task *t = arg;
    struct task_desk *d = t->desk;
    struct fault why;
    if (d->draining) {
        FAULT(&why, FAIL_STOPPED, "the server is stopping");
        fail_hint(&why, "Send it again to the server that comes up next.");
        refuse(t, &why);
        return;
    }
    if (gate_enter(t, &why) != FAIL_NONE) {
        refuse(t, &why);
        return;
    }
    int64_t now = clock_monotonic_us();
    int64_t deadline = task_deadline_ms(t);
    t->turn = (struct queue_item){.owner = t, .class = t->class, .cost = 1};
    t->due_us = now + deadline * 1000;
    /* Turns are of tasks here; their tokens are shared where they are decoded. */
    unsigned classes = free_classes(d);
    if ((classes & 1u << t->class) != 0 && queue_next(d->queue, classes) == NULL) {
        queue_adopt(d->queue, &t->turn, t->who.team, true);
    } else if (queue_put(d->queue, &t->turn, t->who.team, t->class, 1, 0, now, &why) !=
               FAIL_NONE) {
        refuse(t, &why);
        return;
    }
    t->deadline_timer = loop_timer_add(d->house.loop, deadline, on_deadline, t);
    start_waiting(d);
}

struct task *task_make(struct task_desk *desk, const struct task_request *r)
{
    struct task *t = mem_alloc(sizeof(*t));
    t->desk = desk;
    t->arena = arena_new(TASK_ARENA_BYTES);
    t->id = text_id_new();
    t->handle = __atomic_add_fetch(&desk->next_handle, 1, __ATOMIC_RELAXED);
    t->kind = r->kind;
    t->who = r->who;
    t->class = r->class;
    t->label = r->label;
    t->needs = r->needs;
    t->created_at = clock_now_us();
    t->started_us = clock_monotonic_us();
    t->deadline_ms = r->deadline_ms;
    t->reproducible = r->reproducible;
    t->keep_values = r->keep_values;
    t->seed = r->seed;
    t->now = r->reproducible ? r->now : t->created_at / 1000000;
    t->on_text = r->on_text;
    t->on_done = r->on_done;
    t->arg = r->arg;
    t->leaf = -1;
    buf_init(&t->json, (size_t)4 << 20);
    buf_init(&t->held, (size_t)1 << 20);
    return t;
}

uint64_t task_submit(struct task_desk *desk, const struct task_request *r)
{
    struct task *t = task_make(desk, r);
    struct arena *a = t->arena;
    if (r->kind == TASK_FORM) {
        t->model = arena_dup_str(a, r->workflow);
        t->input_id = arena_dup_str(a, r->input_id != NULL ? r->input_id : "");
        t->subject = arena_dup_str(a, r->subject != NULL ? r->subject : "");
        t->text = arena_dup_strn(a, r->text, strnlen(r->text, TASK_MAX_TEXT + 1));
        t->rungs = r->rungs != 0 ? r->rungs : ~0u;
        t->no_draft = r->no_draft;
        t->no_artifact = r->no_artifact;
        t->choices_only = r->choices_only;
        t->own_form = r->form != NULL;
        t->form = r->form != NULL ? ladder_form_ref(r->form) : NULL;
        t->idem_key = arena_dup_str(a, r->idempotency_key);
    } else if (r->kind == TASK_CHAT) {
        t->model = arena_dup_str(a, r->model);
        t->ask_json = arena_dup(a, r->ask_json, r->ask_len);
        t->ask_len = r->ask_len;
        t->max_tokens = r->max_tokens;
        t->stream = r->stream;
        ASSERT((r->plan == NULL) == (r->schema == NULL));
        t->plan = r->plan;
        t->schema = r->schema;
    } else if (r->kind == TASK_DECIDE) {
        t->model = arena_dup_str(a, r->model);
        t->ask_json = arena_dup(a, r->ask_json, r->ask_len);
        t->ask_len = r->ask_len;
        decide_take(t, r);
    } else {
        t->model = arena_dup_str(a, r->model);
        t->texts = arena_alloc(a, (r->texts_len + 1) * sizeof(*t->texts));
        t->texts_len = r->texts_len;
        for (size_t i = 0; i < r->texts_len; i++) {
            t->texts[i] = arena_dup_str(a, r->texts[i]);
        }
    }
    uint64_t handle = t->handle;
    loop_post(desk->house.loop, accept_now, t);
    return handle;
}

struct cancel {
    struct task_desk *desk;
    uint64_t handle;
};

static bool has_handle(const struct queue_item *item, void *arg)
{
    return ((const struct task *)item->owner)->handle == *(const uint64_t *)arg;
}

static void cancel_now(void *arg)
{
    struct cancel *c = arg;
    struct task *found = c->desk->running;
    while (found != NULL && found->handle != c->handle) {
        found = found->next;
    }
    if (found == NULL) {
        struct queue_item *item = queue_find(c->desk->queue, has_handle, &c->handle);
        found = item != NULL ? item->owner : NULL;
    }
    if (found != NULL) {
        found->cancelled = true;
        task_interrupt(found);
    }
    mem_free(c);
}

void task_cancel(struct task_desk *desk, uint64_t handle)
{
    struct cancel *c = mem_alloc(sizeof(*c));
    c->desk = desk;
    c->handle = handle;
    loop_post(desk->house.loop, cancel_now, c);
}

void task_desk_drain(struct task_desk *desk, loop_call_fn done, void *arg)
{
    desk->draining = true;
    desk->on_drained = done;
    desk->on_drained_arg = arg;
    desk_drained(desk);
}

void task_fleet_changed(struct task_desk *desk)
{
    for (struct entry *e = desk->entries; e != NULL; e = e->next) {
        e->licence_stale = true; /* certificates are of one model */
    }
    voids_of_models(desk);
    rewriter_kick(desk->rewriter);
    shelves_follow(desk);
}

enum fail task_read(struct store_conn *reader, const struct id *task, const struct principal *who,
                    struct buf *json, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        reader, "SELECT result FROM task WHERE id = ?1 AND (?2 IS NULL OR team = ?2) "
                "AND kind = 'form' AND state <> 'failed' AND state <> 'cancelled' "
                "AND result <> ''");
    bool row = false;
    store_bind_id(s, 1, task);
    store_bind_text(s, 2, policy_is_admin(who) ? NULL : who->team);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && !row) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such task");
    }
    if (f == FAIL_NONE && !buf_add_str(json, store_col_text(s, 0))) {
        return FAULT(why, FAIL_TOO_LARGE, "the task's result is too large to read back");
    }
    return f;
}
