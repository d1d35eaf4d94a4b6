/* SPDX-License-Identifier: Apache-2.0 */
/* One worker process: its life (starting, ready, broken, gone), its frames, and the asks it
   holds. */
#include "run/fleet/fleet_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "base/text/text.h"

#define SHORT_LIFE_MS 10000

struct member *member_new(struct fleet *f)
{
    struct member *m = mem_alloc(sizeof(*m));
    struct member **at = &f->members;
    m->fleet = f;
    m->id = ++f->next_model;
    m->model_fd = m->pid_fd = m->socket = -1;
    m->used_us = clock_monotonic_us();
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = m;
    return m;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void drop_socket(struct member *m)
{
    if (m->socket >= 0) {
        loop_unwatch(m->fleet->loop, m->socket);
        close_fd(&m->socket);
    }
    loop_timer_cancel(m->fleet->loop, m->hang_timer);
    m->hang_timer = 0;
}

/* Without an answer: only when the fleet itself goes. */
static void drop_asks(struct member *m)
{
    struct queue_item *item;
    while (m->open != NULL) {
        struct ask *a = m->open;
        m->open = a->next;
        ask_free(a);
    }
    while ((item = queue_first(m->queue)) != NULL) {
        ask_free(item->owner);
    }
}

void member_free(struct member *m)
{
    struct member **at = &m->fleet->members;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    drop_socket(m);
    warm_forget(m);
    if (m->pid_fd >= 0) {
        loop_unwatch(m->fleet->loop, m->pid_fd);
    }
    loop_timer_cancel(m->fleet->loop, m->restart_timer);
    close_fd(&m->pid_fd);
    close_fd(&m->model_fd);
    adapters_free(m);
    ipc_reader_free(m->reader);
    ipc_writer_free(m->writer);
    drop_asks(m);
    queue_free(m->queue);
    mem_free(m);
}

/* `ours`: for what it did. A socket that broke says no more than that it ended, or is about to. */
static void end_worker(struct member *m, const char *reason, bool ours)
{
    if (m->pid > 0 && m->socket >= 0) {
        log_write(LOG_LEVEL_WARN, "worker.killed",
                  LOG_FIELDS(LOG_TEXT("model", m->name), LOG_NUM("pid", m->pid),
                             LOG_TEXT("reason", reason)));
    }
    if (m->pid > 0) {
        m->killed = ours;
        kill(m->pid, SIGKILL);
    }
    drop_socket(m); /* the rest happens when the process is reaped */
}

void member_kill(struct member *m, const char *reason)
{
    end_worker(m, reason, true);
}

static void watch_again(struct member *m)
{
    uint32_t want = EPOLLIN | EPOLLRDHUP | (ipc_writer_pending(m->writer) > 0 ? EPOLLOUT : 0);
    if (m->socket >= 0 && want != m->watching) {
        loop_rewatch(m->fleet->loop, m->socket, want);
        m->watching = want;
    }
}

void member_send(struct member *m, enum ipc_type type, unsigned flags, uint64_t id,
                 const void *body, size_t len, int fd)
{
    struct fault why;
    if (m->socket < 0) {
        return;
    }
    if (ipc_writer_put(m->writer, type, flags, id, body, len, fd, &why) != FAIL_NONE) {
        member_kill(m, why.message);
        return;
    }
    if (ipc_writer_push(m->writer, m->socket, &why) != FAIL_NONE) {
        end_worker(m, why.message, false);
        return;
    }
    watch_again(m);
}

/* While an ask that was open at a death is waiting or open, it runs alone: so a second death
   names it. */
static bool is_suspect(const struct ask *a)
{
    return a != NULL && (a->deaths > 0 || a->kills > 1);
}

static size_t open_limit(const struct member *m)
{
    const struct fleet_options *o = &m->fleet->options;
    size_t both = 2 * (size_t)m->n_seq;
    return m->kind == FLEET_KIND_GENERATE && both < o->max_open ? both : o->max_open;
}

/* A class may hold what the better ones leave of the limit, and always one. */
static unsigned open_classes(const struct member *m)
{
    size_t held = 0;
    unsigned classes = 0;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        held += m->open_of[c];
        classes |= held < open_limit(m) || m->open_of[c] == 0 ? 1u << c : 0;
    }
    return classes;
}

static void refuse_overdue(struct member *m)
{
    struct queue_item *item;
    struct fault why;
    while ((item = queue_overdue(m->queue, clock_monotonic_us())) != NULL) {
        struct ask *a = item->owner;
        a->queue = NULL;
        FAULT(&why, FAIL_DEADLINE, "%s cannot do this within its deadline any more", m->name);
        fail_hint(&why, "Give it more time with a longer deadline, or send it when less is going "
                        "on.");
        answer_later(m->fleet, a, &why);
    }
}

void member_pump(struct member *m)
{
    refuse_overdue(m);
    while (m->state == FLEET_READY && m->socket >= 0) {
        struct queue_item *item = queue_next(m->queue, open_classes(m));
        if (item == NULL) {
            return;
        }
        struct ask *a = item->owner;
        if (m->open_len > 0 && (is_suspect(m->open) || is_suspect(a))) {
            return;
        }
        queue_take(m->queue, item, clock_monotonic_us());
        a->next = m->open;
        m->open = a;
        m->open_len++;
        m->open_of[item->class]++;
        if (m->open_len == 1) {
            m->heard_us = clock_monotonic_us();
        }
        member_send(m, a->type, a->flags, a->id, a->body, a->len, -1);
    }
}

static struct ask *take_open(struct member *m, uint64_t id)
{
    for (struct ask **at = &m->open; *at != NULL; at = &(*at)->next) {
        if ((*at)->id == id) {
            struct ask *a = *at;
            *at = a->next;
            m->open_len--;
            m->open_of[a->item.class]--;
            return a;
        }
    }
    return NULL;
}

static struct ask *find_open(struct member *m, uint64_t id)
{
    struct ask *a = m->open;
    while (a != NULL && a->id != id) {
        a = a->next;
    }
    return a;
}

static void fail_waiting(struct member *m)
{
    struct queue_item *item;
    while ((item = queue_first(m->queue)) != NULL) {
        answer_fail(item->owner, FAIL_MODEL_UNAVAILABLE, &m->broken);
    }
}

static void break_member(struct member *m, const struct fault *why)
{
    m->state = FLEET_BROKEN;
    m->broken = *why;
    log_fault(LOG_LEVEL_ERROR, "worker.broken", why);
    fail_waiting(m);
    fleet_changed(m->fleet);
    if (m->retiring) {
        member_retire(m);
    }
}

void member_wake(struct member *m)
{
    if (m->state == FLEET_BROKEN) {
        fail_waiting(m);
    } else {
        member_pump(m);
    }
}

enum fail member_reopen(int fd, int *out)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *out = open(path, O_RDONLY | O_CLOEXEC);
    return *out >= 0 ? FAIL_NONE : FAIL_INTERNAL;
}

static void send_load(struct member *m)
{
    const struct fleet_options *o = &m->fleet->options;
    int fd = -1;
    if (member_reopen(m->model_fd, &fd) != FAIL_NONE) {
        struct fault why;
        FAULT_ERRNO(&why, FAIL_MODEL_UNAVAILABLE, "could not open the model file of %s again",
                    m->name);
        break_member(m, &why);
        return;
    }
    struct buf b;
    struct jn_writer w;
    buf_init(&b, 4096);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "model", m->name);
    jn_kv_str(&w, "sha256", m->sha256);
    static const char *const kinds[] = {"generate", "embed", "rerank"};
    jn_kv_str(&w, "kind", kinds[m->kind]);
    if (m->kind == FLEET_KIND_GENERATE) {
        jn_kv_int(&w, "n_ctx", m->n_ctx_asked > 0 ? m->n_ctx_asked : o->n_ctx_light);
        jn_kv_int(&w, "n_seq", o->n_seq);
        jn_kv_int(&w, "prefix_ram_mb", o->prefix_ram_mb);
    }
    struct models_run run = m->run;
    /* Tuning chooses below what the configuration allows. */
    run.n_threads = run.n_threads > 0 && run.n_threads < o->threads ? run.n_threads : o->threads;
    models_run_put(&w, &run);
    jn_kv_bool(&w, "turns", true);
    jn_kv_bool(&w, "speculate", o->speculate);
    jn_object_end(&w);
    member_send(m, IPC_LOAD, IPC_FLAG_FD, 1, b.data, b.len, fd);
    buf_done(&b);
}

/* No model is given to a worker that is not closed in. */
static void on_hello(struct member *m, const struct ipc_frame *frame)
{
    AUTO_JSON json_t *j = NULL;
    struct fault why;
    int64_t landlock = 0;
    bool seccomp = false;
    enum fail f = jn_parse((const char *)frame->body, frame->head.len, "HELLO", &j, &why);
    const json_t *sandbox = f == FAIL_NONE ? json_object_get(j, "sandbox") : NULL;
    f = f != FAIL_NONE ? f : jn_int(sandbox, "landlock_abi", true, 0, 1000, &landlock, &why);
    f = f != FAIL_NONE ? f : jn_bool(sandbox, "seccomp", true, &seccomp, &why);
    if (f != FAIL_NONE) {
        member_kill(m, why.message);
        return;
    }
    m->landlock_abi = (int)landlock;
    if (m->fleet->options.seal && !seccomp) {
        FAULT(&why, FAIL_INTERNAL, "the worker for %s is not sealed", m->name);
        fail_hint(&why, "Install the worker that belongs to this server.");
        break_member(m, &why);
        member_kill(m, why.message);
        return;
    }
    send_load(m);
}

static void on_loaded(struct member *m, const struct ipc_frame *frame)
{
    AUTO_JSON json_t *j = NULL;
    struct fault why;
    int64_t ctx = 0, seq = 0, embd = 0, params = 0, bytes = 0;
    const char *arch = "", *code = NULL, *message = "", *hint = "", *build = "", *print = "";
    enum fail f = jn_parse((const char *)frame->body, frame->head.len, "LOADED", &j, &why);
    if (f == FAIL_NONE && frame->head.type == IPC_ERROR) {
        (void)!jn_str(j, "code", false, 64, &code, NULL);
        (void)!jn_str(j, "message", false, 4096, &message, NULL);
        (void)!jn_str(j, "hint", false, 4096, &hint, NULL);
        f = FAULT(&why, FAIL_MODEL_UNAVAILABLE, "model %s could not be loaded: %.200s", m->name,
                  message);
        fail_hint(&why, "%.230s", hint);
    }
    f = f != FAIL_NONE ? f : jn_int(j, "n_ctx", true, 0, 1 << 24, &ctx, &why);
    f = f != FAIL_NONE ? f : jn_int(j, "n_seq", true, 1, 1 << 10, &seq, &why);
    f = f != FAIL_NONE ? f : jn_int(j, "n_embd", true, 0, 1 << 20, &embd, &why);
    f = f != FAIL_NONE ? f : jn_int(j, "n_params", true, 0, INT64_MAX, &params, &why);
    f = f != FAIL_NONE ? f : jn_int(j, "bytes", true, 0, INT64_MAX, &bytes, &why);
    f = f != FAIL_NONE ? f : jn_str(j, "arch", true, 64, &arch, &why);
    f = f != FAIL_NONE ? f : jn_str(j, "build", true, sizeof(m->build) - 1, &build, &why);
    f = f != FAIL_NONE
            ? f
            : jn_str(j, "fingerprint", true, sizeof(m->fingerprint) - 1, &print, &why);
    if (f != FAIL_NONE) {
        break_member(m, &why);
        return;
    }
    m->n_ctx = (int)ctx;
    m->n_seq = (int)seq;
    m->n_embd = (int)embd;
    m->n_params = params;
    m->bytes = bytes;
    snprintf(m->arch, sizeof(m->arch), "%.31s", arch);
    text_copy(m->build, sizeof(m->build), build);
    text_copy(m->fingerprint, sizeof(m->fingerprint), print);
    m->load_deaths = 0;
    warm_begin(m);
}

void member_ready(struct member *m)
{
    m->state = FLEET_READY;
    m->was_ready = true;
    log_write(LOG_LEVEL_INFO, "worker.ready",
              LOG_FIELDS(LOG_TEXT("model", m->name), LOG_NUM("pid", m->pid),
                         LOG_NUM("landlock", m->landlock_abi),
                         LOG_NUM("ms", (clock_monotonic_us() - m->started_us) / 1000)));
    fleet_changed(m->fleet);
    adapters_send(m);
    member_pump(m);
    if (m->retiring) { /* what it still owed may just have become overdue: then nothing is left */
        member_retire(m);
    }
}

static void on_turn(struct member *m, const struct ipc_frame *frame)
{
    struct ipc_turn turn;
    struct fault why;
    if (ipc_turn_get(&turn, frame->body, frame->head.len, &why) != FAIL_NONE) {
        member_kill(m, why.message);
    } else if (frame->head.type == IPC_TURN) {
        lease_wanted(m, &turn);
    } else {
        lease_done(m);
    }
}

static void on_state(struct member *m, const struct ipc_frame *frame)
{
    struct ask *a = find_open(m, frame->head.id);
    if (frame->head.type == IPC_KEPT) {
        if (a != NULL && a->kept) {
            return; /* one offer an ask */
        }
        if (!warm_kept(m, a == NULL ? NULL : a->released, frame)) {
            member_kill(m, "a state of a prompt that is not released");
        } else {
            a->kept = true;
        }
    } else if (!warm_done(m, frame)) {
        member_kill(m, "an answer nobody asked for");
    }
}

/* The last frame of an ask. */
static void on_final(struct member *m, const struct ipc_frame *frame)
{
    struct ask *a = take_open(m, frame->head.id);
    if (a == NULL) {
        member_kill(m, "an answer nobody asked for");
        return;
    }
    answer_frame(m, a, frame);
    member_pump(m);
    if (m->retiring) {
        member_retire(m);
    }
}

static void on_frame(struct member *m, const struct ipc_frame *frame)
{
    struct ask *a;
    uint64_t id = frame->head.id;
    m->heard_us = clock_monotonic_us();
    switch ((enum ipc_type)frame->head.type) {
    case IPC_HELLO:
        if (m->state == FLEET_STARTING) {
            on_hello(m, frame);
        }
        return;
    case IPC_TURN:
    case IPC_TURN_DONE:
        on_turn(m, frame);
        return;
    case IPC_TEXT:
        a = find_open(m, id);
        if (a != NULL && a->on_text != NULL) {
            a->emitted = true;
            a->on_text(a->arg, (const char *)frame->body, frame->head.len);
        }
        return;
    case IPC_PONG:
    case IPC_STOPPED:
        return;
    case IPC_KEPT:
    case IPC_STATE_DONE:
        on_state(m, frame);
        return;
    case IPC_LOADED:
    case IPC_DONE:
    case IPC_FORM_DONE:
    case IPC_EMBEDDED:
    case IPC_RENDERED:
    case IPC_COUNTED:
    case IPC_ADAPTED:
    case IPC_ERROR:
        if (m->state == FLEET_STARTING && id == 1) {
            on_loaded(m, frame);
        } else if (!adapters_answer(m, frame) &&
                   !(frame->head.type == IPC_ERROR && warm_done(m, frame))) {
            on_final(m, frame);
        }
        return;
    case IPC_LOAD:
    case IPC_ADAPTER:
    case IPC_GENERATE:
    case IPC_FORM:
    case IPC_EMBED:
    case IPC_RENDER:
    case IPC_COUNT:
    case IPC_CANCEL:
    case IPC_STOP:
    case IPC_TURN_GRANTED:
    case IPC_PING:
    case IPC_STATE:
        member_kill(m, "a message only the server may send");
        return;
    }
}

static void on_socket(void *arg, uint32_t events)
{
    struct member *m = arg;
    struct fault why;
    bool end = false;
    if ((events & EPOLLOUT) != 0 && ipc_writer_push(m->writer, m->socket, &why) != FAIL_NONE) {
        end_worker(m, why.message, false);
        return;
    }
    enum fail f = ipc_reader_pull(m->reader, m->socket, &end, &why);
    bool got = true;
    while (f == FAIL_NONE && got && m->socket >= 0) {
        struct ipc_frame frame;
        f = ipc_reader_next(m->reader, &frame, &got, &why);
        if (f == FAIL_NONE && got) {
            if (frame.fd >= 0) {
                close(frame.fd);
            }
            on_frame(m, &frame);
        }
    }
    if (f != FAIL_NONE) {
        member_kill(m, why.message);
    } else if (end && m->socket >= 0) {
        drop_socket(m);
        kill(m->pid, SIGKILL); /* it closed its end: whatever it still does is for nobody */
    } else {
        watch_again(m);
    }
}

static void restart(void *arg)
{
    struct member *m = arg;
    m->restart_timer = 0;
    member_start(m);
}

/* To the head of its class; but one that was killed alone goes to its end, so that whoever kills
   worker after worker does not always hit the same one. */
static void wait_again(struct member *m, struct ask *a)
{
    bool last = a->kills > 2;
    if (a->queue == m->queue) {
        queue_return(m->queue, &a->item, last);
        return;
    }
    ask_leave(a);
    a->queue = m->queue;
    queue_adopt(m->queue, &a->item, a->team, last);
}

/* Sorts the asks of a dead worker: back to the front of the queue, or refused. */
static void return_asks(struct member *m, bool from_outside)
{
    struct fleet *f = m->fleet;
    struct fault why;
    while (m->open != NULL) {
        struct ask *a = m->open;
        m->open = a->next;
        m->open_len--;
        m->open_of[a->item.class]--;
        a->deaths += from_outside ? 0 : 1;
        a->kills += from_outside ? 1 : 0;
        struct member *home = fleet_home_of(f, a);
        if (a->emitted || f->stopping) {
            FAULT(&why, f->stopping ? FAIL_STOPPED : FAIL_WORKER_DIED,
                  "the worker for %s ended in the middle of this answer", m->name);
            answer_fail(a, why.code, &why);
        } else if (a->cancelled) {
            FAULT(&why, FAIL_STOPPED, "cancelled");
            answer_fail(a, FAIL_STOPPED, &why);
        } else if (a->deaths >= FLEET_DEATHS_MAX || a->kills >= FLEET_KILLS_MAX) {
            FAULT(&why, FAIL_POISON_REQUEST, "the worker for %s ended %d times with this request",
                  m->name, a->deaths + a->kills);
            fail_hint(&why,
                      "It is not tried again. Change its text, or look at the worker's log line.");
            answer_fail(a, FAIL_POISON_REQUEST, &why);
        } else {
            wait_again(home != NULL ? home : m, a);
        }
    }
}

static void on_exit_of(void *arg, uint32_t events)
{
    struct member *m = arg;
    struct fleet *f = m->fleet;
    int status = 0;
    (void)events;
    if (waitpid(m->pid, &status, WNOHANG) == 0) {
        return;
    }
    loop_unwatch(f->loop, m->pid_fd);
    close_fd(&m->pid_fd);
    drop_socket(m);
    warm_forget(m);
    lease_forget(m);
    bool expected = m->state == FLEET_STOPPING || f->stopping;
    bool was_loading = m->state == FLEET_STARTING;
    int64_t lived_ms = (clock_monotonic_us() - m->started_us) / 1000;
    bool from_outside = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !m->killed;
    if (!expected) {
        m->short_lives = lived_ms < SHORT_LIFE_MS ? m->short_lives + 1 : 0;
        m->load_deaths += was_loading && !from_outside ? 1 : 0;
        m->deaths++;
        log_write(LOG_LEVEL_ERROR, "worker.died",
                  LOG_FIELDS(LOG_TEXT("model", m->name), LOG_NUM("pid", m->pid),
                             LOG_NUM("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
                             LOG_NUM("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
                             LOG_NUM("open", (int64_t)m->open_len)));
    }
    m->pid = 0;
    adapters_died(m);
    return_asks(m, from_outside);
    /* What it left may be another's now, which nothing else would wake. */
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        if (f->roles[role] != NULL && f->roles[role] != m) {
            member_wake(f->roles[role]);
        }
    }
    if (expected || (m->retiring && queue_waiting(m->queue) == 0)) {
        fleet_member_gone(m);
        return;
    }
    if (was_loading && m->load_deaths >= FLEET_LOAD_DEATHS_MAX) {
        struct fault why;
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "the worker for %s died while loading, %d times",
              m->name, m->load_deaths);
        fail_hint(&why,
                  "Check the model file with `inhouse models show %s`; the log says how it died.",
                  m->name);
        break_member(m, &why);
        return;
    }
    if (m->state != FLEET_BROKEN) {
        m->state = FLEET_STARTING;
        int64_t delay = m->short_lives < 10 ? 50 * m->short_lives : 500;
        m->restart_timer = loop_timer_add(f->loop, delay, restart, m);
        fleet_changed(f);
    }
}

static void check_hang(void *arg)
{
    struct member *m = arg;
    m->hang_timer = loop_timer_add(m->fleet->loop, FLEET_HANG_MS / 4, check_hang, m);
    bool working = m->open != NULL || m->state == FLEET_STARTING || m->state == FLEET_STOPPING ||
                   m->turn_granted;
    /* A worker that waits for its turn is not hanging. */
    if (working && !m->turn_waiting &&
        clock_monotonic_us() - m->heard_us > (int64_t)FLEET_HANG_MS * 1000) {
        member_kill(m, "no sign of life");
    }
}

void member_start(struct member *m)
{
    struct fleet *f = m->fleet;
    struct fault why;
    m->state = FLEET_STARTING;
    m->killed = false;
    m->started_us = m->heard_us = clock_monotonic_us();
    ipc_reader_free(m->reader);
    ipc_writer_free(m->writer);
    m->reader = ipc_reader_new(IPC_WORKER);
    m->writer = ipc_writer_new(IPC_SERVER, FLEET_OUT_MAX);
    enum fail failed = spawn_worker(m, &m->socket, &m->pid, &m->pid_fd, &why);
    if (failed == FAIL_NONE) {
        m->watching = EPOLLIN | EPOLLRDHUP;
        failed = loop_watch(f->loop, m->socket, m->watching, on_socket, m, &why);
    }
    if (failed == FAIL_NONE) {
        failed = loop_watch(f->loop, m->pid_fd, EPOLLIN, on_exit_of, m, &why);
    }
    if (failed != FAIL_NONE) {
        member_kill(m, why.message);
        break_member(m, &why);
        return;
    }
    m->hang_timer = loop_timer_add(f->loop, FLEET_HANG_MS / 4, check_hang, m);
    fleet_changed(f);
}

void member_stop(struct member *m)
{
    m->state = FLEET_STOPPING;
    if (m->pid == 0) {
        loop_timer_cancel(m->fleet->loop, m->restart_timer);
        m->restart_timer = 0;
        fleet_sweep_later(m->fleet);
        return;
    }
    member_send(m, IPC_STOP, 0, 2, NULL, 0, -1);
}

void member_retire(struct member *m)
{
    m->retiring = true;
    if (m->open == NULL && queue_waiting(m->queue) == 0 && m->state != FLEET_STOPPING) {
        member_stop(m);
    }
}
