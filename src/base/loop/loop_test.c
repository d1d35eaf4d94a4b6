/* SPDX-License-Identifier: Apache-2.0 */
/* Posts keep their order across threads, timers fire by time, work comes back from the pool. */
#include "base/loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem/mem.h"

static struct loop *loop;
static struct pool *pool;
static int seen[64];
static int seen_len;

static void note(void *arg)
{
    seen[seen_len++] = *(int *)arg;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void square(void *arg)
{
    *(int *)arg *= *(int *)arg;
}

static void timers_fire_in_order_of_time_and_cancel(void **state)
{
    (void)state;
    int one = 1, two = 2, three = 3;
    seen_len = 0;
    assert_int_equal(loop_new(&loop, NULL), FAIL_NONE);
    loop_timer_add(loop, 20, note, &two);
    loop_timer_add(loop, 1, note, &one);
    uint64_t gone = loop_timer_add(loop, 5, note, &three);
    loop_timer_cancel(loop, gone);
    loop_timer_cancel(loop, gone);
    loop_timer_add(loop, 30, stop, NULL);
    loop_run(loop);
    loop_free(loop);
    assert_int_equal(seen_len, 2);
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 2);
}

static void pool_work_returns_to_the_loop(void **state)
{
    (void)state;
    int numbers[10];
    seen_len = 0;
    assert_int_equal(loop_new(&loop, NULL), FAIL_NONE);
    pool = pool_new(2, 10);
    for (int i = 0; i < 10; i++) {
        numbers[i] = i;
        assert_int_equal(pool_submit(pool, square, &numbers[i], loop, note, NULL), FAIL_NONE);
    }
    pool_free(pool);
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
    int sum = 0;
    for (int i = 0; i < seen_len; i++) {
        sum += seen[i];
    }
    assert_int_equal(seen_len, 10);
    assert_int_equal(sum, 285);
}

static int pipe_fds[2];

static void on_pipe(void *arg, uint32_t events)
{
    (void)arg;
    assert_true(events & EPOLLIN);
    loop_unwatch(loop, pipe_fds[0]);
    loop_stop(loop);
    seen_len++;
}

static void *writer(void *arg)
{
    (void)arg;
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    return NULL;
}

static void a_watched_descriptor_wakes_the_loop(void **state)
{
    (void)state;
    pthread_t t;
    seen_len = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(loop_new(&loop, NULL), FAIL_NONE);
    assert_int_equal(loop_watch(loop, pipe_fds[0], EPOLLIN, on_pipe, NULL, NULL), FAIL_NONE);
    pthread_create(&t, NULL, writer, NULL);
    loop_run(loop);
    pthread_join(t, NULL);
    loop_free(loop);
    assert_int_equal(seen_len, 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_time_and_cancel),
        cmocka_unit_test(pool_work_returns_to_the_loop),
        cmocka_unit_test(a_watched_descriptor_wakes_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
