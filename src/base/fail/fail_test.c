/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the failure table and of the fault's limits. */
#include "base/fail/fail.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void every_code_has_a_name_and_a_status(void **state)
{
    (void)state;
    for (int i = 1; i < FAIL_COUNT; i++) {
        assert_non_null(fail_name((enum fail)i));
        assert_in_range(fail_http_status((enum fail)i), 400, 599);
        assert_int_equal(fail_from_name(fail_name((enum fail)i)), i);
    }
    assert_int_equal(fail_from_name("no such"), FAIL_INTERNAL);
    assert_int_equal(fail_from_write_errno(ENOSPC), FAIL_DISK_FULL);
}

static void a_fault_holds_message_errno_hint_and_param(void **state)
{
    (void)state;
    struct fault why;
    errno = ENOENT;
    assert_int_equal(FAULT_ERRNO(&why, FAIL_NOT_FOUND, "could not open %s", "x"), FAIL_NOT_FOUND);
    assert_string_equal(why.message, "could not open x: No such file or directory");
    fail_hint(&why, "Give a file that exists.");
    fail_param(&why, "file");
    assert_string_equal(why.hint, "Give a file that exists.");
    assert_string_equal(why.param, "file");
    char big[2000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(FAULT(&why, FAIL_INTERNAL, "%s", big), FAIL_INTERNAL);
    assert_int_equal(strlen(why.message), sizeof(why.message) - 1);
    assert_int_equal(FAULT(NULL, FAIL_CONFLICT, "nobody listens"), FAIL_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_status),
        cmocka_unit_test(a_fault_holds_message_errno_hint_and_param),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
