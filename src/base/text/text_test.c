/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of ids, UTF-8, encodings and strict numbers. */
#include "base/text/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem/mem.h"

static void ids_round_trip_and_sort_by_time(void **state)
{
    (void)state;
    char last[TEXT_ID_SIZE] = "";
    for (int i = 0; i < 1000; i++) {
        struct id id = text_id_new();
        char shown[TEXT_ID_SIZE];
        struct id back;
        text_id_show(&id, "tsk", shown);
        assert_true(text_id_read(shown, "tsk", &back));
        assert_true(text_id_equal(&id, &back));
        assert_int_equal(strlen(shown), 30);
        assert_true(strncmp(last, shown, 14) <= 0);
        memcpy(last, shown, sizeof(last));
    }
    struct id id;
    assert_false(text_id_read("tsk_short", "tsk", &id));
    assert_false(text_id_read("art_00000000000000000000000000", "tsk", &id));
    assert_false(text_id_read("tsk_8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "tsk", &id));
    assert_false(text_id_read("tsk_0000000000000000000000000U", "tsk", &id));
}

static void utf8_refuses_what_rfc_3629_forbids(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n, good;
    } rows[] = {
        {"abc", 3, 3},          {"\xc3\xa4x", 3, 3},       {"\xc0\xaf", 2, 0},
        {"a\xed\xa0\x80", 4, 1}, {"\xf4\x90\x80\x80", 4, 0}, {"\xe2\x82", 2, 0},
        {"\xff", 1, 0},         {"\xf0\x9f\x98\x80", 4, 4},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(text_utf8_valid_prefix(rows[i].s, rows[i].n), rows[i].good);
    }
    assert_int_equal(text_utf8_cut("a\xc3\xa4", 2), 1);
    for (size_t n = 0; n <= 10; n++) { /* "aä€😀" in a block of exactly n bytes */
        static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
        char *part = mem_dup("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", n);
        assert_int_equal(text_utf8_cut(part, n), want[n]);
        mem_free(part);
    }
    char out[4];
    assert_int_equal(text_utf8_encode(0x1f600, out), 4);
    assert_memory_equal(out, "\xf0\x9f\x98\x80", 4);
}

static void encodings_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[64], back[64];
    char s[200];
    for (size_t n = 0; n < sizeof(bytes); n++) {
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(i * 37 + n);
        }
        size_t len = text_base64(bytes, n, s);
        assert_int_equal(text_unbase64(s, len, back), n);
        assert_memory_equal(bytes, back, n);
        text_hex(bytes, n, s);
        assert_true(text_unhex(s, 2 * n, back));
        assert_memory_equal(bytes, back, n);
    }
    assert_int_equal(text_unbase64("QQ=", 3, back), SIZE_MAX);
    assert_int_equal(text_unbase64("QR==", 4, back), SIZE_MAX);
    assert_int_equal(text_unbase64("Q!==", 4, back), SIZE_MAX);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    int64_t v;
    double d;
    assert_true(text_read_int("-42", -100, 100, &v));
    assert_int_equal(v, -42);
    static const char *const bad[] = {"", " 1", "1 ", "+1", "0x5", "1e3", "9223372036854775808"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(text_read_int(bad[i], INT64_MIN, INT64_MAX, &v));
    }
    assert_false(text_read_int("101", 0, 100, &v));
    assert_int_equal(text_power_of_ten(0), 1);
    assert_int_equal(text_power_of_ten(18), 1000000000000000000);
    assert_true(text_read_double("1e3", &d));
    assert_false(text_read_double("1e999", &d));
    assert_false(text_read_double("nan", &d));
    char s[] = "  x y \n";
    assert_string_equal(text_trim(s), "x y");
    assert_true(text_is_name("ticket-triage"));
    assert_false(text_is_name("../x"));
    char small[3];
    assert_false(text_copy(small, sizeof(small), "a\xc3\xa4"));
    assert_string_equal(small, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_round_trip_and_sort_by_time),
        cmocka_unit_test(utf8_refuses_what_rfc_3629_forbids),
        cmocka_unit_test(encodings_round_trip),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
