/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of RFC 3339 both ways. */
#include "base/clock/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem/mem.h"

static void rfc3339_round_trips(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"2026-03-02T09:14:00Z", "2026-03-02T09:14:00.000Z"},
        {"2026-03-02T09:14:00.125+02:00", "2026-03-02T07:14:00.125Z"},
        {"2026-03-02", "2026-03-02T00:00:00.000Z"},
        {"2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59.000Z"},
    };
    char out[CLOCK_RFC3339_SIZE];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t at;
        assert_true(clock_read(rows[i].in, &at));
        assert_string_equal(clock_show(at, out), rows[i].out);
    }
}

static void bad_times_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",           "2026",       "2026-13-01",
                                       "2026-06-31", "2026-1-1",   "2026-01-01T25:00:00Z",
                                       "2026-01-01x", "2026-01-01T10:00:00Zx"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t at;
        assert_false(clock_read(rows[i], &at));
    }
    assert_true(clock_monotonic_us() > 0);
    assert_true(clock_ms_since(clock_monotonic_us()) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_round_trips),
        cmocka_unit_test(bad_times_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
