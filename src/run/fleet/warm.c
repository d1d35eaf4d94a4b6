/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warm starts: the states of released prompts go to disk when a worker has decoded them, and back
 * to the next worker of the same model before it is ready. A worker says KEPT; it never sends a
 * descriptor: the server gives it a memory file to fill (STATE take) or to read (STATE give), one
 * at a time. What the state is for comes from the server's own ask, not from the worker.
 * Threads: the loop's. Limits: WARM_MS before a worker is ready without the rest; WARM_MAX states
 * and prefix_ram_mb bytes a start.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "base/text/text.h"
#include "run/fleet/fleet_internal.h"

#define WARM_MS 2000
#define WARM_MAX 64

struct warm {
    char context[65];
    char names[WARM_MAX][STATES_NAME_SIZE];
    size_t n, next;
    int64_t bytes;      /* given so far */
    int64_t start_us;
    uint64_t timer;
    bool waiting;       /* for the states room */
    uint64_t give_id;   /* of the STATE that is open, 0: none */
    /* one that the worker fills */
    uint64_t take_id;
    int take_fd;
    int64_t take_bytes;
    int take_scores;
    char take_domain[129], take_prefix[65];
};

/* A read of the states room outlives the member that wanted it. */
struct fetch {
    struct fleet *fleet;
    uint32_t member;
    int64_t started_us;
};

static void next_give(struct member *m);

static struct member *find_member(struct fleet *f, uint32_t id)
{
    struct member *m = f->members;
    while (m != NULL && m->id != id) {
        m = m->next;
    }
    return m;
}

static void over(struct member *m)
{
    struct warm *w = m->warm;
    loop_timer_cancel(m->fleet->loop, w->timer);
    w->timer = 0;
    w->n = w->next; /* the rest stays where it is */
    if (m->state == FLEET_STARTING) {
        if (m->warmed > 0) {
            log_write(LOG_LEVEL_INFO, "worker.warmed",
                      LOG_FIELDS(LOG_TEXT("model", m->name), LOG_NUM("states", m->warmed),
                                 LOG_NUM("bytes", w->bytes),
                                 LOG_NUM("ms", (clock_monotonic_us() - w->start_us) / 1000)));
        }
        member_ready(m);
    }
}

static void too_long(void *arg)
{
    struct member *m = arg;
    m->warm->timer = 0;
    over(m);
}

static void send_state(struct member *m, uint64_t id, const char *op, const char *key,
                       const char *value, int64_t bytes, int fd)
{
    struct buf b;
    struct jn_writer w;
    buf_init(&b, 4096);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "op", op);
    jn_kv_str(&w, key, value);
    jn_kv_int(&w, "bytes", bytes);
    jn_object_end(&w);
    member_send(m, IPC_STATE, IPC_FLAG_FD, id, b.data, b.len, fd);
    buf_done(&b);
}

static void on_fetched(void *arg, const char *domain, int fd, int64_t bytes)
{
    struct fetch *fetch = arg;
    struct member *m = find_member(fetch->fleet, fetch->member);
    bool wanted = m != NULL && m->warm != NULL && m->started_us == fetch->started_us &&
                  m->socket >= 0 && m->warm->waiting;
    mem_free(fetch);
    if (!wanted) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    struct warm *w = m->warm;
    w->waiting = false;
    if (fd < 0 || m->state != FLEET_STARTING ||
        w->bytes + bytes > (int64_t)m->fleet->options.prefix_ram_mb * 1024 * 1024) {
        if (fd >= 0) {
            close(fd);
        }
        next_give(m);
        return;
    }
    w->bytes += bytes;
    w->give_id = ++m->fleet->next_id;
    send_state(m, w->give_id, "give", "domain", domain, bytes, fd);
}

static void next_give(struct member *m)
{
    struct warm *w = m->warm;
    if (w->next == w->n) {
        over(m);
        return;
    }
    struct fetch *fetch = mem_alloc(sizeof(*fetch));
    *fetch = (struct fetch){m->fleet, m->id, m->started_us};
    w->waiting = true;
    states_get(m->fleet->options.states, w->names[w->next++], on_fetched, fetch);
}

void warm_begin(struct member *m)
{
    struct states *states = m->fleet->options.states;
    m->warmed = 0;
    warm_forget(m);
    if (states == NULL || m->kind != FLEET_KIND_GENERATE ||
        m->fleet->options.prefix_ram_mb == 0) {
        member_ready(m);
        return;
    }
    struct warm *w = mem_alloc(sizeof(*w));
    w->take_fd = -1;
    w->start_us = clock_monotonic_us();
    states_context(m->build, m->fingerprint, m->n_ctx, m->fleet->options.n_seq, w->context);
    w->n = states_list(states, m->sha256, w->context, w->names, WARM_MAX);
    m->warm = w;
    w->timer = loop_timer_add(m->fleet->loop, WARM_MS, too_long, m);
    next_give(m);
}

void warm_forget(struct member *m)
{
    struct warm *w = m->warm;
    m->warm = NULL;
    if (w == NULL) {
        return;
    }
    loop_timer_cancel(m->fleet->loop, w->timer);
    if (w->take_fd >= 0) {
        close(w->take_fd);
    }
    mem_free(w);
}

/* KEPT: {"prefix","tokens","scores","bytes"}. */
static enum fail read_kept(const struct ipc_frame *frame, const char **prefix, json_t **tree,
                           int64_t *scores, int64_t *bytes, struct fault *why)
{
    static const char *const keys[] = {"prefix", "tokens", "scores", "bytes", NULL};
    int64_t tokens = 0;
    enum fail f = jn_parse((const char *)frame->body, frame->head.len, "KEPT", tree, why);
    f = f != FAIL_NONE ? f : jn_only(*tree, keys, why);
    f = f != FAIL_NONE ? f : jn_str(*tree, "prefix", true, 64, prefix, why);
    f = f != FAIL_NONE ? f : jn_int(*tree, "tokens", true, 1, IPC_STATE_TOKENS_MAX, &tokens, why);
    f = f != FAIL_NONE ? f : jn_int(*tree, "scores", true, 0, IPC_STATE_SCORES_MAX, scores, why);
    f = f != FAIL_NONE ? f : jn_int(*tree, "bytes", true, 1, INT32_MAX, bytes, why);
    if (f == FAIL_NONE && (strlen(*prefix) != 64 || strspn(*prefix, "0123456789abcdef") != 64)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "a prefix must be 64 hex digits");
    }
    return f;
}

bool warm_kept(struct member *m, const char *domain, const struct ipc_frame *frame)
{
    AUTO_JSON json_t *tree = NULL;
    const char *prefix = NULL;
    int64_t scores = 0, bytes = 0;
    struct warm *w = m->warm;
    struct fault why;
    if (domain == NULL ||
        read_kept(frame, &prefix, &tree, &scores, &bytes, &why) != FAIL_NONE) {
        return false;
    }
    if (w == NULL || w->take_fd >= 0) {
        return true;
    }
    struct states_key key = {m->sha256, w->context, domain, prefix};
    if (!states_wants(m->fleet->options.states, &key, (int)scores, bytes)) {
        return true;
    }
    int fd = states_memory(bytes);
    int theirs = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (theirs < 0) {
        log_write(LOG_LEVEL_WARN, "states.no_memory", LOG_FIELDS(LOG_NUM("bytes", bytes)));
        if (fd >= 0) {
            close(fd);
        }
        return true;
    }
    w->take_fd = fd;
    w->take_bytes = bytes;
    w->take_scores = (int)scores;
    (void)text_copy(w->take_domain, sizeof(w->take_domain), domain);
    (void)text_copy(w->take_prefix, sizeof(w->take_prefix), prefix);
    w->take_id = ++m->fleet->next_id;
    send_state(m, w->take_id, "take", "prefix", prefix, bytes, theirs);
    return true;
}

bool warm_done(struct member *m, const struct ipc_frame *frame)
{
    struct warm *w = m->warm;
    bool good = frame->head.type == IPC_STATE_DONE;
    if (w != NULL && frame->head.id == w->take_id) {
        struct states_key key = {m->sha256, w->context, w->take_domain, w->take_prefix};
        int fd = w->take_fd;
        w->take_id = 0;
        w->take_fd = -1;
        if (good) {
            states_put(m->fleet->options.states, &key, w->take_scores, fd, w->take_bytes);
        } else {
            close(fd); /* it has changed meanwhile: the worker will say so again */
        }
        return true;
    }
    if (w != NULL && frame->head.id == w->give_id) {
        w->give_id = 0;
        m->warmed += good ? 1 : 0;
        if (m->state == FLEET_STARTING) {
            next_give(m);
        }
        return true;
    }
    return false;
}

size_t fleet_forget_states(struct fleet *f, const char *team)
{
    return f->options.states != NULL ? states_forget(f->options.states, team) : 0;
}
