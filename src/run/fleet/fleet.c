/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet itself: which member serves which role, the asks that wait, stopping. */
#include "run/fleet/fleet.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "run/fleet/fleet_internal.h"

#define STOP_MS 10000

static const char *const role_names[FLEET_ROLE_COUNT] = {"embed", "light", "heavy", "rerank"};

const char *fleet_role_name(enum fleet_role role)
{
    return role < FLEET_ROLE_COUNT ? role_names[role] : "none";
}

enum fleet_role fleet_role_find(const char *name)
{
    int i = 0;
    while (i < FLEET_ROLE_COUNT && strcmp(role_names[i], name) != 0) {
        i++;
    }
    return (enum fleet_role)i;
}

enum fail fleet_new(struct loop *loop, const struct fleet_options *o, struct fleet **out,
                    struct fault *why)
{
    if (access(o->worker_path, X_OK) != 0) {
        FAULT(why, FAIL_MODEL_UNAVAILABLE, "the worker program is not at %s", o->worker_path);
        fail_hint(why, "Build it with `make build`, or install both programs into one folder.");
        return FAIL_MODEL_UNAVAILABLE;
    }
    struct fleet *f = mem_alloc(sizeof(*f));
    f->loop = loop;
    f->options = *o;
    f->worker_path = mem_dup_str(o->worker_path);
    f->engine = mem_dup_str(o->engine);
    f->engine_dir = mem_dup_str(o->engine_dir);
    if (f->options.threads <= 0) {
        f->options.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    f->next_id = 16; /* below: LOAD and STOP */
    *out = f;
    return FAIL_NONE;
}

/* ---- the table of loaded models ---- */

struct member *fleet_find_member(const struct fleet *f, uint32_t id)
{
    struct member *m = f->members;
    while (m != NULL && m->id != id) {
        m = m->next;
    }
    return m;
}

struct member *fleet_home_of(const struct fleet *f, const struct ask *a)
{
    return a->model != 0 ? fleet_find_member(f, a->model) : f->roles[a->role];
}

static bool is_loaded(const struct member *m)
{
    return !m->retiring && m->state != FLEET_STOPPING;
}

enum fail fleet_open(struct fleet *f, const struct fleet_loading *what, uint32_t *id,
                     struct fault *why)
{
    int loaded = 0;
    for (struct member *m = f->members; m != NULL; m = m->next) {
        loaded += is_loaded(m) ? 1 : 0;
    }
    if (f->stopping) {
        close(what->fd);
        return FAULT(why, FAIL_STOPPED, "the server is stopping");
    }
    if (loaded >= FLEET_MODELS_MAX) {
        close(what->fd);
        FAULT(why, FAIL_QUEUE_FULL, "%d models are loaded, the most there may be", loaded);
        fail_hint(why, "Unload one with `inhouse models unload NAME`.");
        return FAIL_QUEUE_FULL;
    }
    struct member *m = member_new(f);
    text_copy(m->name, sizeof(m->name), what->name);
    text_copy(m->sha256, sizeof(m->sha256), what->sha256);
    m->kind = what->kind;
    m->n_ctx_asked = what->n_ctx;
    m->run = what->run != NULL ? *what->run : (struct models_run){.gpu_layers = -1};
    m->model_fd = what->fd;
    struct queue_options places = {.name = m->name, .places = f->options.max_waiting};
    m->queue = queue_new(&places);
    *id = m->id;
    member_start(m);
    return FAIL_NONE;
}

void fleet_close(struct fleet *f, uint32_t id)
{
    struct member *m = fleet_find_member(f, id);
    if (m == NULL || !is_loaded(m)) {
        return;
    }
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        if (f->roles[role] == m) {
            f->roles[role] = NULL;
        }
    }
    member_retire(m);
    fleet_changed(f);
}

/* Asks that wait for a role, not for a model, go to who serves it now, in their order. */
static void move_waiting(struct member *from, struct member *to, enum fleet_role role)
{
    struct queue_item *stays = NULL, **end = &stays, *item;
    while ((item = queue_first(from->queue)) != NULL) {
        struct ask *a = item->owner;
        queue_remove(from->queue, item);
        if (a->model != 0 || a->role != role) {
            *end = item;
            end = &item->next;
            continue;
        }
        a->queue = to->queue;
        queue_adopt(to->queue, item, a->team, true);
    }
    while (stays != NULL) {
        item = stays;
        stays = item->next;
        queue_adopt(from->queue, item, ((struct ask *)item->owner)->team, true);
    }
}

void fleet_role_set(struct fleet *f, enum fleet_role role, uint32_t id)
{
    ASSERT(role < FLEET_ROLE_COUNT);
    struct member *m = id != 0 ? fleet_find_member(f, id) : NULL;
    struct member *old = f->roles[role];
    if (m == old || (m != NULL && !is_loaded(m))) {
        return;
    }
    f->roles[role] = m;
    if (old != NULL && m != NULL) {
        move_waiting(old, m, role);
        member_wake(m);
    }
    fleet_changed(f);
}

enum fleet_kind fleet_role_kind(enum fleet_role role)
{
    return role == FLEET_EMBED    ? FLEET_KIND_EMBED
           : role == FLEET_RERANK ? FLEET_KIND_RERANK
                                  : FLEET_KIND_GENERATE;
}

enum fail fleet_load(struct fleet *f, enum fleet_role role, const char *name, const char *sha256,
                     int fd, struct fault *why)
{
    struct fleet_loading what = {.name = name, .sha256 = sha256, .fd = fd,
                                 .kind = fleet_role_kind(role),
                                 .n_ctx = role == FLEET_HEAVY ? f->options.n_ctx_heavy
                                                              : f->options.n_ctx_light};
    uint32_t id = 0;
    struct member *old = f->roles[role];
    enum fail failed = fleet_open(f, &what, &id, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    fleet_role_set(f, role, id);
    bool other_role = false;
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        other_role = other_role || f->roles[i] == old;
    }
    if (old != NULL && !other_role) {
        fleet_find_member(f, id)->deaths = old->deaths;
        member_retire(old);
    }
    return FAIL_NONE;
}

void fleet_changed(struct fleet *f)
{
    if (f->on_change != NULL) {
        loop_post(f->loop, f->on_change, f->on_change_arg);
    }
}

void fleet_on_change(struct fleet *f, loop_call_fn fn, void *arg)
{
    f->on_change = fn;
    f->on_change_arg = arg;
}

void fleet_member_gone(struct member *m)
{
    struct fleet *f = m->fleet;
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        if (f->roles[role] == m) {
            f->roles[role] = NULL;
        }
    }
    member_free(m);
    fleet_changed(f);
    if (f->stopping && f->members == NULL && f->on_stopped != NULL) {
        loop_timer_cancel(f->loop, f->kill_timer);
        loop_post(f->loop, f->on_stopped, f->on_stopped_arg);
        f->on_stopped = NULL;
    }
}

static void sweep(void *arg)
{
    struct fleet *f = arg;
    f->sweep_timer = 0;
    for (struct member *m = f->members, *next; m != NULL; m = next) {
        next = m->next;
        if (m->state == FLEET_STOPPING && m->pid == 0) {
            fleet_member_gone(m);
        }
    }
}

void fleet_sweep_later(struct fleet *f)
{
    if (f->sweep_timer == 0) {
        f->sweep_timer = loop_timer_add(f->loop, 0, sweep, f);
    }
}

static void kill_all(void *arg)
{
    struct fleet *f = arg;
    for (struct member *m = f->members; m != NULL; m = m->next) {
        member_kill(m, "it did not stop in time");
    }
}

void fleet_stop(struct fleet *f, loop_call_fn done, void *arg)
{
    struct fault why;
    f->stopping = true;
    f->on_stopped = done;
    f->on_stopped_arg = arg;
    FAULT(&why, FAIL_STOPPED, "the server is stopping");
    for (struct member *m = f->members; m != NULL; m = m->next) {
        struct queue_item *item;
        while ((item = queue_first(m->queue)) != NULL) {
            answer_fail(item->owner, FAIL_STOPPED, &why);
        }
    }
    if (f->members == NULL) {
        f->on_stopped = NULL;
        loop_post(f->loop, done, arg);
        return;
    }
    f->kill_timer = loop_timer_add(f->loop, STOP_MS, kill_all, f);
    for (struct member *m = f->members; m != NULL; m = m->next) {
        member_stop(m);
    }
}

void fleet_free(struct fleet *f)
{
    if (f == NULL) {
        return;
    }
    loop_timer_cancel(f->loop, f->sweep_timer);
    loop_timer_cancel(f->loop, f->grant_timer);
    while (f->members != NULL) {
        member_kill(f->members, "the server ends");
        member_free(f->members);
    }
    mem_free(f->worker_path);
    mem_free(f->engine);
    mem_free(f->engine_dir);
    mem_free(f);
}

static int64_t rss_of(pid_t pid)
{
    char path[64], text[128] = "";
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    int64_t pages = 0;
    if (fgets(text, sizeof(text), file) != NULL) {
        char *space = strchr(text, ' ');
        char *end = space != NULL ? strchr(space + 1, ' ') : NULL;
        if (end != NULL) {
            *end = '\0';
            (void)text_read_int(space + 1, 0, INT64_MAX / 65536, &pages);
        }
    }
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void describe(const struct fleet *f, const struct member *m, struct fleet_model *out)
{
    memset(out, 0, sizeof(*out));
    if (m == NULL) {
        return;
    }
    out->id = m->id;
    out->deaths = m->deaths;
    out->queued = (int)queue_waiting(m->queue);
    text_copy(out->name, sizeof(out->name), m->name);
    text_copy(out->sha256, sizeof(out->sha256), m->sha256);
    text_copy(out->arch, sizeof(out->arch), m->arch);
    text_copy(out->fingerprint, sizeof(out->fingerprint), m->fingerprint);
    out->kind = m->kind;
    out->state = m->retiring ? FLEET_STOPPING : m->state;
    out->used_us = m->used_us;
    out->bytes = m->bytes;
    out->tokens_drafted = m->tokens_drafted;
    out->tokens_accepted = m->tokens_accepted;
    out->rss_bytes = rss_of(m->pid);
    out->n_ctx = m->n_ctx;
    out->n_embd = m->n_embd;
    out->n_params = m->n_params;
    out->pid = (int)m->pid;
    out->warmed = m->warmed;
    out->running = (int)m->open_len;
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        out->roles |= f->roles[role] == m ? 1u << role : 0;
    }
    if (m->state == FLEET_BROKEN) {
        (void)text_copy(out->reason, sizeof(out->reason), m->broken.message);
    }
}

void fleet_model_get(const struct fleet *f, enum fleet_role role, struct fleet_model *out)
{
    describe(f, f->roles[role], out);
}

bool fleet_model_find(const struct fleet *f, uint32_t id, struct fleet_model *out)
{
    struct member *m = fleet_find_member(f, id);
    describe(f, m, out);
    return m != NULL;
}

size_t fleet_ids(const struct fleet *f, uint32_t out[2 * FLEET_MODELS_MAX])
{
    size_t n = 0;
    for (struct member *m = f->members; m != NULL && n < (size_t)2 * FLEET_MODELS_MAX;
         m = m->next) {
        out[n++] = m->id;
    }
    return n;
}

uint32_t fleet_find(const struct fleet *f, const char *name_or_role)
{
    enum fleet_role role = fleet_role_find(name_or_role);
    if (role != FLEET_ROLE_COUNT) {
        return f->roles[role] != NULL ? f->roles[role]->id : 0;
    }
    for (struct member *m = f->members; m != NULL; m = m->next) {
        if (is_loaded(m) && strcmp(m->name, name_or_role) == 0) {
            return m->id;
        }
    }
    return 0;
}

const struct queue *fleet_queue(const struct fleet *f, uint32_t id)
{
    const struct member *m = fleet_find_member(f, id);
    return m != NULL ? m->queue : NULL;
}

bool fleet_is_ready(const struct fleet *f, enum fleet_role role)
{
    return f->roles[role] != NULL && f->roles[role]->state == FLEET_READY;
}

bool fleet_is_serving(const struct fleet *f, enum fleet_role role)
{
    const struct member *m = f->roles[role];
    return m != NULL && (m->state == FLEET_READY || (m->state == FLEET_STARTING && m->was_ready));
}

/* ---- asks ---- */

struct refusal {
    fleet_done_fn done;
    void *arg;
    struct fault why;
};

static void deliver_refusal(void *arg)
{
    struct refusal *r = arg;
    struct fleet_answer answer = {.code = r->why.code, .why = &r->why};
    r->done(r->arg, &answer);
    mem_free(r);
}

static uint64_t refuse(struct fleet *f, const struct fleet_ask *ask, const struct fault *why)
{
    struct refusal *r = mem_alloc(sizeof(*r));
    r->done = ask->done;
    r->arg = ask->arg;
    r->why = *why;
    loop_post(f->loop, deliver_refusal, r);
    return 0;
}

void answer_later(struct fleet *f, struct ask *a, const struct fault *why)
{
    struct fleet_ask gone = {.done = a->done, .arg = a->arg};
    (void)refuse(f, &gone, why);
    ask_free(a);
}

/* What it may come to take: a token is about three bytes; a form's own holes are small. */
static double cost_of(const struct fleet_ask *ask)
{
    double cost = 1 + (double)ask->len / 3 + (ask->max_tokens > 0 ? ask->max_tokens : 0);
    for (size_t i = 0; ask->plan != NULL && i < ask->plan->n_pieces; i++) {
        const struct form_piece *piece = &ask->plan->pieces[i];
        cost += piece->kind == FORM_TEXT ? piece->max_chars / 3.0 : 4;
    }
    return cost;
}

static uint64_t enqueue(struct fleet *f, struct member *m, const struct fleet_ask *ask)
{
    struct fault why;
    struct ask *a = mem_alloc(sizeof(*a));
    *a = (struct ask){.id = ++f->next_id,
                      .model = ask->model,
                      .role = ask->role,
                      .type = ask->type,
                      .flags = ask->flags,
                      .len = ask->len,
                      .plan = ask->plan,
                      .released = mem_dup_str(ask->released),
                      .on_text = ask->on_text,
                      .done = ask->done,
                      .arg = ask->arg};
    a->item.owner = a;
    text_copy(a->team, sizeof(a->team), ask->team != NULL ? ask->team : "-");
    int64_t now = clock_monotonic_us();
    if (queue_put(m->queue, &a->item, a->team, ask->class, cost_of(ask), ask->deadline_us, now,
                  &why) != FAIL_NONE) {
        answer_later(f, a, &why);
        return 0;
    }
    a->queue = m->queue;
    a->body = mem_dup(ask->body, ask->len);
    m->used_us = now;
    uint64_t id = a->id;
    member_pump(m);
    return id;
}

uint64_t fleet_ask(struct fleet *f, const struct fleet_ask *ask)
{
    struct fault why;
    struct member *m = ask->model != 0 ? fleet_find_member(f, ask->model) : f->roles[ask->role];
    ASSERT(ask->type != IPC_FORM || ask->plan != NULL);
    if (f->stopping) {
        FAULT(&why, FAIL_STOPPED, "the server is stopping");
        return refuse(f, ask, &why);
    }
    if (ask->model != 0 && (m == NULL || !is_loaded(m))) {
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "the model %s was unloaded",
              m != NULL ? m->name : "asked for");
        fail_hint(&why, "Ask again; or load it with `inhouse models load NAME`.");
        return refuse(f, ask, &why);
    }
    if (m == NULL) {
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "no model serves the role \"%s\"",
              fleet_role_name(ask->role));
        fail_hint(&why, "Add one with `inhouse models add FILE.gguf --role %s`.",
                  fleet_role_name(ask->role));
        return refuse(f, ask, &why);
    }
    if (m->state == FLEET_BROKEN) {
        return refuse(f, ask, &m->broken);
    }
    const struct fleet_adapter *adapter =
        ask->adapter != NULL ? adapters_find(m, ask->adapter) : NULL;
    if (adapter != NULL && adapter->broken.code != FAIL_NONE) {
        return refuse(f, ask, &adapter->broken);
    }
    if (ask->len > FLEET_BODY_MAX) {
        FAULT(&why, FAIL_TOO_LARGE, "the request is larger than %zu bytes", FLEET_BODY_MAX);
        return refuse(f, ask, &why);
    }
    return enqueue(f, m, ask);
}

static void cancel_waiting(struct member *m, struct ask *a)
{
    struct fault why;
    FAULT(&why, FAIL_STOPPED, "cancelled");
    ask_leave(a);
    answer_later(m->fleet, a, &why);
    if (m->retiring) {
        member_retire(m);
    } else {
        member_pump(m); /* it may have been the one that had to run alone */
    }
}

static bool has_id(const struct queue_item *item, void *arg)
{
    return ((const struct ask *)item->owner)->id == *(const uint64_t *)arg;
}

static struct ask *find_waiting(struct member *m, uint64_t id)
{
    struct queue_item *item = queue_find(m->queue, has_id, &id);
    return item != NULL ? item->owner : NULL;
}

void fleet_cancel(struct fleet *f, uint64_t id)
{
    for (struct member *m = f->members; m != NULL; m = m->next) {
        for (struct ask *a = m->open; a != NULL; a = a->next) {
            if (a->id == id) {
                a->cancelled = true;
                member_send(m, IPC_CANCEL, 0, id, NULL, 0, -1);
                return;
            }
        }
        struct ask *a = find_waiting(m, id);
        if (a != NULL) {
            cancel_waiting(m, a);
            return;
        }
    }
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_add(b, bytes, sizeof(bytes));
}

bool fleet_embed_body(struct buf *out, enum ipc_class class, bool reproducible, const char *domain,
                      const char *const *texts, size_t n)
{
    size_t domain_len = strlen(domain);
    put_u32(out, (uint32_t)n);
    uint8_t head[4] = {(uint8_t) class, reproducible ? 1 : 0, (uint8_t)domain_len,
                       (uint8_t)(domain_len >> 8)};
    buf_add(out, head, sizeof(head));
    buf_add(out, domain, domain_len);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(texts[i]);
        put_u32(out, (uint32_t)len);
        buf_add(out, texts[i], len);
    }
    return !out->overflow && out->len <= FLEET_BODY_MAX && n > 0 && n <= 256;
}
