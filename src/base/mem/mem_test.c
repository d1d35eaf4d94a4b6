/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the arena's lifetime rules and the buffer's cap. */
#include "base/mem/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void buf_refuses_to_pass_its_cap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_true(buf_add_str(&b, "abc"));
    assert_false(buf_add_str(&b, "def"));
    assert_string_equal(b.data, "abc");
    assert_true(b.overflow);
    assert_false(buf_add_str(&b, "d"));
    buf_clear(&b);
    assert_true(buf_printf(&b, "%d", 12345));
    assert_string_equal(b.data, "12345");
    buf_consume(&b, 2);
    assert_string_equal(b.data, "345");
    char *p = buf_take(&b);
    assert_string_equal(p, "345");
    mem_free(p);
    buf_done(&b);
}

static int order[2];
static int order_len;

static void note(void *ptr)
{
    order[order_len++] = *(int *)ptr;
}

static void arena_runs_deferred_calls_in_reverse(void **state)
{
    (void)state;
    struct arena *a = arena_new(1 << 20);
    int one = 1, two = 2;
    order_len = 0;
    arena_defer(a, note, &one);
    arena_defer(a, note, &two);
    char *big = arena_alloc(a, 100000);
    memset(big, 7, 100000);
    assert_string_equal(arena_printf(a, "%s-%d", "x", 3), "x-3");
    assert_true(arena_has_room(a, 1000));
    assert_false(arena_has_room(a, 1 << 20));
    arena_free(a);
    assert_int_equal(order_len, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_refuses_to_pass_its_cap),
        cmocka_unit_test(arena_runs_deferred_calls_in_reverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
