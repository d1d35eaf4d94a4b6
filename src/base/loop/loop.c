/* SPDX-License-Identifier: Apache-2.0 */
/* The epoll loop. Posted calls wait in a list under a mutex, an eventfd wakes the loop; timers
   are a binary heap; watches are indexed by descriptor with a generation, so an event that was
   already fetched for a descriptor closed meanwhile is dropped. */
#include "base/loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"

struct call {
    struct call *next;
    loop_call_fn fn;
    void *arg;
};

struct timer {
    int64_t at_us;
    uint64_t id;
    loop_call_fn fn;
    void *arg;
};

struct watch {
    loop_fd_fn fn; /* NULL: not watched */
    void *arg;
    uint32_t generation;
};

struct loop {
    int epoll_fd;
    int wake_fd;
    pthread_t thread;
    bool running;
    bool stopping;
    pthread_mutex_t lock;
    struct call *first; /* under lock */
    struct call **last; /* under lock */
    struct timer *timers;
    size_t timers_len, timers_room;
    uint64_t next_timer_id;
    struct watch *watches;
    size_t watches_len;
};

enum fail loop_new(struct loop **out, struct fault *why)
{
    struct loop *l = mem_alloc(sizeof(*l));
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)(uint32_t)l->wake_fd};
    if (l->epoll_fd < 0 || l->wake_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) != 0) {
        FAULT_ERRNO(why, FAIL_INTERNAL, "could not make an event loop");
        loop_free(l);
        return FAIL_INTERNAL;
    }
    *out = l;
    return FAIL_NONE;
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    while (l->first != NULL) {
        struct call *c = l->first;
        l->first = c->next;
        mem_free(c);
    }
    if (l->epoll_fd >= 0) {
        close(l->epoll_fd);
    }
    if (l->wake_fd >= 0) {
        close(l->wake_fd);
    }
    pthread_mutex_destroy(&l->lock);
    mem_free(l->timers);
    mem_free(l->watches);
    mem_free(l);
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof(one));
    (void)n; /* EAGAIN: the counter is full, so the loop is awake anyway */
}

void loop_post(struct loop *l, loop_call_fn fn, void *arg)
{
    struct call *c = mem_alloc(sizeof(*c));
    c->fn = fn;
    c->arg = arg;
    pthread_mutex_lock(&l->lock);
    bool was_empty = l->first == NULL;
    *l->last = c;
    l->last = &c->next;
    pthread_mutex_unlock(&l->lock);
    if (was_empty) {
        wake(l);
    }
}

static void stop_now(void *arg)
{
    struct loop *l = arg;
    l->stopping = true;
}

void loop_stop(struct loop *l)
{
    loop_post(l, stop_now, l);
}

void loop_restart(struct loop *l)
{
    l->stopping = false;
}

bool loop_is_own_thread(const struct loop *l)
{
    return l->running && pthread_equal(l->thread, pthread_self());
}

static void run_posted(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct call *c = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    while (c != NULL) {
        struct call *next = c->next;
        c->fn(c->arg);
        mem_free(c);
        c = next;
    }
}

enum fail loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
                     struct fault *why)
{
    ASSERT(fd >= 0 && fn != NULL);
    if ((size_t)fd >= l->watches_len) {
        size_t len = (size_t)fd + 64;
        l->watches = mem_realloc(l->watches, len * sizeof(*l->watches));
        memset(l->watches + l->watches_len, 0, (len - l->watches_len) * sizeof(*l->watches));
        l->watches_len = len;
    }
    struct watch *w = &l->watches[fd];
    ASSERT(w->fn == NULL);
    w->fn = fn;
    w->arg = arg;
    w->generation++;
    struct epoll_event ev = {.events = events,
                             .data.u64 = (uint64_t)w->generation << 32 | (uint32_t)fd};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        w->fn = NULL;
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not watch descriptor %d", fd);
    }
    return FAIL_NONE;
}

void loop_rewatch(struct loop *l, int fd, uint32_t events)
{
    ASSERT((size_t)fd < l->watches_len && l->watches[fd].fn != NULL);
    struct epoll_event ev = {
        .events = events, .data.u64 = (uint64_t)l->watches[fd].generation << 32 | (uint32_t)fd};
    epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_unwatch(struct loop *l, int fd)
{
    if (fd >= 0 && (size_t)fd < l->watches_len && l->watches[fd].fn != NULL) {
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        l->watches[fd].fn = NULL;
    }
}

static void timer_swap(struct loop *l, size_t a, size_t b)
{
    struct timer t = l->timers[a];
    l->timers[a] = l->timers[b];
    l->timers[b] = t;
}

static void timer_up(struct loop *l, size_t i)
{
    while (i > 0 && l->timers[i].at_us < l->timers[(i - 1) / 2].at_us) {
        timer_swap(l, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void timer_down(struct loop *l, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2; k++) {
            if (k < l->timers_len && l->timers[k].at_us < l->timers[least].at_us) {
                least = k;
            }
        }
        if (least == i) {
            return;
        }
        timer_swap(l, i, least);
        i = least;
    }
}

static void timer_remove(struct loop *l, size_t i)
{
    l->timers[i] = l->timers[--l->timers_len];
    if (i < l->timers_len) {
        timer_up(l, i);
        timer_down(l, i);
    }
}

uint64_t loop_timer_add(struct loop *l, int64_t delay_ms, loop_call_fn fn, void *arg)
{
    if (l->timers_len == l->timers_room) {
        l->timers_room = l->timers_room > 0 ? l->timers_room * 2 : 32;
        l->timers = mem_realloc(l->timers, l->timers_room * sizeof(*l->timers));
    }
    size_t i = l->timers_len++;
    l->timers[i] = (struct timer){.at_us = clock_monotonic_us() + delay_ms * 1000,
                                  .id = ++l->next_timer_id,
                                  .fn = fn,
                                  .arg = arg};
    timer_up(l, i);
    return l->next_timer_id;
}

void loop_timer_cancel(struct loop *l, uint64_t id)
{
    for (size_t i = 0; i < l->timers_len; i++) {
        if (l->timers[i].id == id) {
            timer_remove(l, i);
            return;
        }
    }
}

static void run_timers(struct loop *l)
{
    int64_t now = clock_monotonic_us();
    while (l->timers_len > 0 && l->timers[0].at_us <= now) {
        struct timer t = l->timers[0];
        timer_remove(l, 0);
        t.fn(t.arg);
    }
}

static int wait_ms(const struct loop *l)
{
    if (l->timers_len == 0) {
        return -1;
    }
    int64_t us = l->timers[0].at_us - clock_monotonic_us();
    return us <= 0 ? 0 : us > 60000000 ? 60000 : (int)((us + 999) / 1000);
}

void loop_run(struct loop *l)
{
    l->thread = pthread_self();
    l->running = true;
    while (!l->stopping) {
        struct epoll_event events[64];
        int n = epoll_wait(l->epoll_fd, events, (int)COUNT_OF(events), wait_ms(l));
        for (int i = 0; i < n; i++) {
            int fd = (int)(uint32_t)events[i].data.u64;
            if (fd == l->wake_fd) {
                uint64_t count;
                ssize_t got = read(l->wake_fd, &count, sizeof(count));
                (void)got;
                continue;
            }
            struct watch *w = &l->watches[fd];
            if (w->fn != NULL && w->generation == (uint32_t)(events[i].data.u64 >> 32)) {
                w->fn(w->arg, events[i].events);
            }
        }
        run_timers(l);
        run_posted(l);
    }
    run_posted(l);
    l->running = false;
}
