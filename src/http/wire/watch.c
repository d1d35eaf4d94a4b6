/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of connections and its watcher thread. libmicrohttpd stops looking at a suspended
 * descriptor, and knows only a timeout between bytes; so the watcher waits for clients that leave
 * (EPOLLRDHUP) and shuts connections down whose head or body takes too long as a whole.
 *
 * An epoll event carries slot number and generation, never a pointer: the slot may have been reused
 * since. The library closes a descriptor only after watch_close, so the number in a slot is ours.
 */
#include "http/wire/wire_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock/clock.h"

#define WATCH_STOP UINT64_MAX
#define WATCH_TICK_MS 500

static uint64_t event_tag(const struct wire *w, const struct slot *s)
{
    return (uint64_t)s->generation << 32 | (uint64_t)(s - w->slots);
}

/* Takes a reference on the request behind an event, or NULL when it is over. */
static struct wire_request *request_of(struct wire *w, uint64_t tag)
{
    struct wire_request *r = NULL;
    pthread_mutex_lock(&w->lock);
    size_t i = (size_t)(tag & UINT32_MAX);
    if (i < w->slots_len) {
        struct slot *s = &w->slots[i];
        if (s->watched && s->generation == (uint32_t)(tag >> 32)) {
            r = s->request;
            __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return r;
}

static void cut_slow_ones(struct wire *w)
{
    int64_t now = clock_monotonic_us();
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->slots_len; i++) {
        struct slot *s = &w->slots[i];
        if (s->phase != SLOT_FREE && s->deadline_us != 0 && now > s->deadline_us) {
            s->deadline_us = 0;
            (void)shutdown(s->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&w->lock);
}

static void *watch_run(void *arg)
{
    struct wire *w = arg;
    int64_t next = clock_monotonic_us();
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(w->epoll_fd, events, 64, WATCH_TICK_MS);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == WATCH_STOP) {
                return NULL;
            }
            struct wire_request *r = request_of(w, events[i].data.u64);
            if (r != NULL) {
                reply_gone(r);
                request_unref(r);
            }
        }
        if (clock_monotonic_us() >= next) {
            cut_slow_ones(w);
            next = clock_monotonic_us() + WATCH_TICK_MS * 1000;
        }
    }
}

bool watch_start(struct wire *w, struct fault *why)
{
    w->slots_len = 2 * (size_t)w->o.max_connections + 16; /* each daemon has its own limit */
    w->slots = mem_alloc_array(w->slots_len, sizeof(*w->slots));
    for (size_t i = w->slots_len; i-- > 0;) {
        w->slots[i].fd = -1;
        w->slots[i].next_free = w->free_slots;
        w->free_slots = &w->slots[i];
    }
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = WATCH_STOP};
    if (w->epoll_fd < 0 || w->stop_fd < 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->stop_fd, &e) != 0 ||
        pthread_create(&w->watcher, NULL, watch_run, w) != 0) {
        FAULT_ERRNO(why, FAIL_INTERNAL, "cannot watch connections");
        return false;
    }
    w->has_watcher = true;
    return true;
}

void watch_stop(struct wire *w)
{
    if (w->has_watcher) {
        uint64_t one = 1;
        ssize_t ignored = write(w->stop_fd, &one, sizeof(one));
        (void)ignored;
        pthread_join(w->watcher, NULL);
    }
    if (w->epoll_fd >= 0) {
        close(w->epoll_fd);
    }
    if (w->stop_fd >= 0) {
        close(w->stop_fd);
    }
    mem_free(w->slots);
}

struct slot *watch_open(struct wire *w, int fd, int64_t peer_uid)
{
    pthread_mutex_lock(&w->lock);
    struct slot *s = w->free_slots;
    if (s != NULL) {
        w->free_slots = s->next_free;
        s->generation++;
        s->fd = fd;
        s->peer_uid = peer_uid;
        s->phase = SLOT_FIRST;
        s->deadline_us = clock_monotonic_us() + 15 * 1000000;
        w->counts.connections++;
    }
    pthread_mutex_unlock(&w->lock);
    return s;
}

void watch_close(struct wire *w, struct slot *s)
{
    pthread_mutex_lock(&w->lock);
    ASSERT(!s->watched);
    s->phase = SLOT_FREE;
    s->fd = -1;
    s->deadline_us = 0;
    s->next_free = w->free_slots;
    w->free_slots = s;
    w->counts.connections--;
    pthread_mutex_unlock(&w->lock);
}

void watch_phase(struct wire *w, struct slot *s, enum slot_phase phase, int64_t limit_ms)
{
    if (s == NULL) {
        return;
    }
    int64_t deadline = limit_ms > 0 ? clock_monotonic_us() + limit_ms * 1000 : 0;
    pthread_mutex_lock(&w->lock);
    s->phase = phase;
    s->deadline_us = deadline;
    pthread_mutex_unlock(&w->lock);
}

void watch_add(struct wire *w, struct wire_request *r)
{
    struct slot *s = r->slot;
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    s->generation++;
    s->watched = true;
    s->request = r;
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = event_tag(w, s)};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, s->fd, &e) != 0) {
        s->watched = false; /* it is then noticed when the answer is written */
        s->request = NULL;
    }
    pthread_mutex_unlock(&w->lock);
}

void watch_remove(struct wire *w, struct wire_request *r)
{
    struct slot *s = r->slot;
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    if (s->watched) {
        s->watched = false;
        s->request = NULL;
        (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    }
    pthread_mutex_unlock(&w->lock);
}

void watch_drop_all(struct wire *w)
{
    for (size_t i = 0; i < w->slots_len; i++) {
        pthread_mutex_lock(&w->lock);
        struct wire_request *r = w->slots[i].watched ? w->slots[i].request : NULL;
        if (r != NULL) {
            __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
        }
        pthread_mutex_unlock(&w->lock);
        if (r != NULL) {
            reply_gone(r);
            request_unref(r);
        }
    }
}
