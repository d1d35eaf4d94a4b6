/* SPDX-License-Identifier: Apache-2.0 */
/* What of the room stands alone: which addresses are ever connected to, and prices. */
#include "run/upstream/upstream.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void addresses_that_are_never_connected_to(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum upstream_address kind;
    } cases[] = {
        {"8.8.8.8", UPSTREAM_ADDRESS_PUBLIC},
        {"2606:4700::1111", UPSTREAM_ADDRESS_PUBLIC},
        {"10.1.2.3", UPSTREAM_ADDRESS_PRIVATE},
        {"172.31.255.255", UPSTREAM_ADDRESS_PRIVATE},
        {"172.32.0.1", UPSTREAM_ADDRESS_PUBLIC},
        {"192.168.0.1", UPSTREAM_ADDRESS_PRIVATE},
        {"100.64.0.1", UPSTREAM_ADDRESS_PRIVATE},
        {"fd12::1", UPSTREAM_ADDRESS_PRIVATE},
        {"127.0.0.1", UPSTREAM_ADDRESS_LOOPBACK},
        {"127.9.9.9", UPSTREAM_ADDRESS_LOOPBACK},
        {"::1", UPSTREAM_ADDRESS_LOOPBACK},
        {"169.254.169.254", UPSTREAM_ADDRESS_NEVER},
        {"fe80::1", UPSTREAM_ADDRESS_NEVER},
        {"fd00:ec2::254", UPSTREAM_ADDRESS_NEVER},
        {"100.100.100.200", UPSTREAM_ADDRESS_NEVER},
        {"168.63.129.16", UPSTREAM_ADDRESS_NEVER},
        {"0.0.0.0", UPSTREAM_ADDRESS_NEVER},
        {"::", UPSTREAM_ADDRESS_NEVER},
        {"224.0.0.1", UPSTREAM_ADDRESS_NEVER},
        {"255.255.255.255", UPSTREAM_ADDRESS_NEVER},
        {"ff02::1", UPSTREAM_ADDRESS_NEVER},
        {"2001:db8::1", UPSTREAM_ADDRESS_NEVER},
        {"::ffff:127.0.0.1", UPSTREAM_ADDRESS_LOOPBACK},
        {"::ffff:169.254.169.254", UPSTREAM_ADDRESS_NEVER},
        {"64:ff9b::a00:1", UPSTREAM_ADDRESS_PRIVATE},
        {"2002:a9fe:a9fe::1", UPSTREAM_ADDRESS_NEVER},
        {"::127.0.0.1", UPSTREAM_ADDRESS_LOOPBACK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sockaddr_in four = {.sin_family = AF_INET};
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        const struct sockaddr *sa = (const struct sockaddr *)&six;
        if (inet_pton(AF_INET, cases[i].address, &four.sin_addr) == 1) {
            sa = (const struct sockaddr *)&four;
        } else {
            assert_int_equal(inet_pton(AF_INET6, cases[i].address, &six.sin6_addr), 1);
        }
        if (upstream_address_kind(sa) != cases[i].kind) {
            fail_msg("%s is %d", cases[i].address, (int)upstream_address_kind(sa));
        }
    }
}

static void prices_round_up_and_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(upstream_price(1000, 150000000), 150000);
    assert_int_equal(upstream_price(1, 1), 1); /* never free by rounding */
    assert_int_equal(upstream_price(0, 1000), 0);
    assert_int_equal(upstream_price(INT64_MAX, 2), -1);
    assert_int_equal(upstream_price(-1, 2), -1);
    assert_int_equal(upstream_price(1, -1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_are_never_connected_to),
        cmocka_unit_test(prices_round_up_and_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
