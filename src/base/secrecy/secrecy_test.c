/* SPDX-License-Identifier: Apache-2.0 */
/* Names both ways, and what no name is. */
#include "base/secrecy/secrecy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void names_go_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < SECRECY_COUNT; i++) {
        assert_int_equal(secrecy_find(secrecy_name((enum secrecy)i)), i);
    }
    assert_int_equal(secrecy_find("secret"), SECRECY_COUNT);
    assert_string_equal(secrecy_name((enum secrecy)77), "restricted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_go_both_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
