/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: one thread's epoll loop with posted calls and timers; and the pool of crunch threads.
 *
 * A loop owns everything its callbacks touch. Only loop_post and loop_stop may be called from other
 * threads; everything else only from the loop's own thread (or before loop_run). A callback should
 * take under 5 ms: longer work goes to a pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"

struct loop;
typedef void (*loop_call_fn)(void *arg);
typedef void (*loop_fd_fn)(void *arg, uint32_t epoll_events);

MUST_CHECK enum fail loop_new(struct loop **out, struct fault *why);
void loop_free(struct loop *l);
/* Runs until loop_stop; calls posted before the stop are still run. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Before another loop_run after a stop; the loop's own thread. */
void loop_restart(struct loop *l);
bool loop_is_own_thread(const struct loop *l);
/* Runs fn(arg) on the loop's thread, in order of posting. Any thread. Never blocks for long. */
void loop_post(struct loop *l, loop_call_fn fn, void *arg);

/* Watches fd for events (EPOLLIN | EPOLLOUT | EPOLLRDHUP); one watch per fd. fn may unwatch. */
MUST_CHECK enum fail loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
                                struct fault *why);
void loop_rewatch(struct loop *l, int fd, uint32_t events);
void loop_unwatch(struct loop *l, int fd);

/* Calls fn(arg) once, delay_ms from now (>= 0). Returns an id > 0 for loop_timer_cancel. */
uint64_t loop_timer_add(struct loop *l, int64_t delay_ms, loop_call_fn fn, void *arg);
void loop_timer_cancel(struct loop *l, uint64_t id); /* unknown or fired ids are ignored */

/*
 * Pool: `threads` threads at nice 5 for heavy work. pool_submit runs work(arg) on one of them and
 * then, when done is not NULL, posts done(arg) to `back`. Jobs start in order of submission.
 */
struct pool;
struct pool *pool_new(int threads, size_t max_queued);
/* Finishes what is queued, then joins. */
void pool_free(struct pool *p);
/* FAIL_QUEUE_FULL when max_queued jobs wait. Any thread. */
MUST_CHECK enum fail pool_submit(struct pool *p, loop_call_fn work, void *arg, struct loop *back,
                                 loop_call_fn done, struct fault *why);
