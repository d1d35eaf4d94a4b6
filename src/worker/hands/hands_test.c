/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every piece is done once, by either hand, and the caller sees what the thread wrote. Under the
 * thread sanitizer these are also its tests of the hand-over.
 */
#include "worker/hands/hands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define PIECES 200

struct list {
    int done[PIECES];
    uint64_t sum[HANDS_COUNT]; /* each hand's own */
    int by[HANDS_COUNT];
};

static void add(void *self, int hand, size_t piece)
{
    struct list *l = self;
    l->done[piece]++;
    l->sum[hand] += piece;
    l->by[hand]++;
}

static void each_piece_is_done_once(void **state)
{
    (void)state;
    struct hands *h = hands_new();
    assert_non_null(h);
    for (size_t round = 0; round < 400; round++) {
        struct list l = {0};
        size_t n = round % PIECES;
        hands_run(h, n, add, &l);
        for (size_t i = 0; i < PIECES; i++) {
            assert_int_equal(l.done[i], i < n ? 1 : 0);
        }
        assert_int_equal(l.sum[0] + l.sum[1], n * (n - (n > 0)) / 2);
        assert_int_equal(l.by[0] + l.by[1], n);
    }
    hands_free(h);
}

static void sleep_long(void *self, int hand, size_t piece)
{
    struct list *l = self;
    struct timespec t = {.tv_nsec = 20000000};
    (void)nanosleep(&t, NULL);
    l->done[piece]++;
    l->by[hand]++;
}

static void both_hands_work_at_once(void **state)
{
    (void)state;
    struct hands *h = hands_new();
    struct list l = {0};
    hands_run(h, 8, sleep_long, &l);
    assert_true(l.by[0] > 0);
    assert_true(l.by[1] > 0);
    hands_free(h);
}

static void one_piece_stays_with_the_caller(void **state)
{
    (void)state;
    struct hands *h = hands_new();
    struct list l = {0};
    hands_run(h, 1, add, &l);
    assert_int_equal(l.by[0], 1);
    hands_free(h);
}

static void without_a_thread_the_caller_does_all(void **state)
{
    (void)state;
    struct list l = {0};
    hands_run(NULL, PIECES, add, &l);
    assert_int_equal(l.by[0], PIECES);
    hands_free(NULL);
}

static void it_ends_whether_it_worked_or_not(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct list l = {0};
        struct hands *h = hands_new();
        if (i % 2 == 0) {
            hands_run(h, 3, add, &l);
        }
        hands_free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_is_done_once),
        cmocka_unit_test(both_hands_work_at_once),
        cmocka_unit_test(one_piece_stays_with_the_caller),
        cmocka_unit_test(without_a_thread_the_caller_does_all),
        cmocka_unit_test(it_ends_whether_it_worked_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
