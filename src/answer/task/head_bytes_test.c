/* SPDX-License-Identifier: Apache-2.0 */
/* A head larger than one value may be is kept whole, replaced whole and gone whole. */
#include "answer/task/task_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/home.h"

static struct home home;

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "head-bytes");
    home_open(&home, HOME_STORE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

static enum fail put(struct store_tx *tx, void *arg, struct fault *why)
{
    return head_bytes_put(tx, "triage", "queue", "r", arg, why);
}

static enum fail drop(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    return head_bytes_drop(tx, "triage", "queue", why);
}

static void fill(struct buf *b, size_t n, unsigned seed)
{
    buf_clear(b);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        assert_true(buf_add_char(b, (char)(seed >> 16)));
    }
}

static void assert_kept(const struct buf *want)
{
    struct fault why;
    struct buf got;
    buf_init(&got, LEARN_MAX_BLOB);
    assert_int_equal(head_bytes_get(home.conn, "triage", "queue", &got, &why), FAIL_NONE);
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.data, want->data, want->len);
    buf_done(&got);
}

static void a_large_head_is_kept_whole(void **state)
{
    (void)state;
    struct fault why;
    struct buf b;
    buf_init(&b, LEARN_MAX_BLOB);
    fill(&b, (size_t)STORE_VALUE_MAX + 12345, 1); /* three pieces */
    home_write(&home, put, &b);
    assert_kept(&b);
    fill(&b, 100, 2); /* a smaller one leaves nothing of the larger behind */
    home_write(&home, put, &b);
    assert_kept(&b);
    home_write(&home, drop, NULL);
    buf_clear(&b);
    assert_int_equal(head_bytes_get(home.conn, "triage", "queue", &b, &why), FAIL_NONE);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_head_is_kept_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
