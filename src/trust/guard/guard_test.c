/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of masking: what is replaced, what stays, spans, limits, and linear time. */
#include "trust/guard/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"

#include <cmocka.h>

static void assert_masked(const char *in, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_true(guard_mask(in, strlen(in), NULL, &out, NULL));
    assert_string_equal(out.len == 0 ? "" : out.data, want);
    buf_done(&out);
}

static void values_become_placeholders(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"mail bob.smith+x@mail.example.co.uk now", "mail [EMAIL] now"},
        {"<jane@example.org>.", "<[EMAIL]>."},
        {"see https://shop.example/o/12?x=1. Thanks", "see [LINK]. Thanks"},
        {"at (www.example.com/a)", "at ([LINK])"},
        {"call +49 (0)30 123 456-78 please", "call [PHONE] please"},
        {"call 030/1234567!", "call [PHONE]!"},
        {"call (415) 555-0132 or 415-555-0132", "call [PHONE] or [PHONE]"},
        {"ring 01701234567", "ring [PHONE]"},
        {"IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"},
        {"GB82WEST12345698765432", "[IBAN]"},
        {"card 4111 1111 1111 1111,", "card [CARD],"},
        {"card 5500000000000004", "card [CARD]"},
        {"my order 1234567 is late", "my order [NUMBER] is late"},
        {"ORD-2024-00123 and #4711", "[ID] and [ID]"},
        {"serial A1B2C3D4E5", "serial [ID]"},
        {"4111111111111112", "[NUMBER]"}, /* Luhn fails */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_masked(cases[i][0], cases[i][1]);
    }
}

static void common_text_stays(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "on 22.11.2026 at 10:30, or 2026-11-22, or 11/22/26",
        "it cost 1.234.567,00 EUR, $1,299.95 or 12345 yen",
        "error E04 and 0x80070005 on a BRV-9000X, version 12.4.1",
        "100-200 pieces of 3 x 4 x 5 cm", "Hi there, hello Team, Dear Sir or Madam,",
        "I pay 50 % (half) of it", "meet me @home", "a@b", "#12 and #hashtag",
        "Hi I have a question", "10 000 customers", "GB82TEST12",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_masked(cases[i], cases[i]);
    }
}

static void names_after_greetings_and_sign_offs(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Dear Ms Jones,\nI", "Dear Ms [NAME],\nI"},
        {"Hi Anna,", "Hi [NAME],"},
        {"Hello Mary Ann O'Neil!", "Hello [NAME]!"},
        {"Sehr geehrte Frau Dr. M\xc3\xbcller-L\xc3\xbc" "denscheidt,",
         "Sehr geehrte Frau Dr. [NAME],"},
        {"Liebe \xc3\x96zlem,", "Liebe [NAME],"},
        {"ask Herr Schmidt about it", "ask Herr [NAME] about it"},
        {"my name is John Q. Public and I", "my name is [NAME] and I"},
        {"ok.\nBest regards,\nJohn Smith\n", "ok.\nBest regards,\n[NAME]\n"},
        {"ok\n\nMit freundlichen Gr\xc3\xbc\xc3\x9f" "en\n\nJ\xc3\xb6rg Weber",
         "ok\n\nMit freundlichen Gr\xc3\xbc\xc3\x9f" "en\n\n[NAME]"},
        {"It broke.\nCheers, Declan", "It broke.\nCheers, [NAME]"},
        {"It broke.\r\n\r\nMargaret Ashby\r\n", "It broke.\r\n\r\n[NAME]\r\n"},
        {"It broke.\n\nMargaret Ashby asked me", "It broke.\n\nMargaret Ashby asked me"},
        {"It broke.\n\nThanks", "It broke.\n\nThanks"},
        {"Thanks\nEvery day it fails again", "Thanks\nEvery day it fails again"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_masked(cases[i][0], cases[i][1]);
    }
    struct guard_options off = {.names = false};
    struct buf out;
    buf_init(&out, 1000);
    assert_true(guard_mask("Hi Anna, a@b.org", 16, &off, &out, NULL));
    assert_string_equal(out.data, "Hi Anna, [EMAIL]");
    buf_done(&out);
}

static void spans_name_both_sides(void **state)
{
    (void)state;
    const char *in = "x a@b.org y 1234567";
    struct guard_spans spans;
    struct buf out;
    buf_init(&out, 1000);
    assert_true(buf_add_str(&out, "kept "));
    assert_true(guard_mask(in, strlen(in), NULL, &out, &spans));
    assert_string_equal(out.data, "kept x [EMAIL] y [NUMBER]");
    assert_int_equal(spans.n, 2);
    for (size_t i = 0; i < spans.n; i++) {
        const char *mark = guard_placeholder(spans.items[i].kind);
        assert_memory_equal(out.data + 5 + spans.items[i].out_from, mark, strlen(mark));
        assert_int_equal(spans.items[i].out_to - spans.items[i].out_from, strlen(mark));
    }
    assert_memory_equal(in + spans.items[1].from, "1234567", 7);
    assert_int_equal(spans.items[1].to, strlen(in));
    mem_free(spans.items);
    buf_done(&out);
}

static void caps_hold_and_nothing_half_is_left(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10);
    assert_true(buf_add_str(&out, "ab"));
    assert_false(guard_mask("0123456789 a@b.org", 18, NULL, &out, NULL));
    assert_int_equal(out.len, 2);
    buf_done(&out);
}

/* Texts made to send a matcher over the same bytes again and again. */
static void hostile_text_takes_linear_time(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "a.", "1 ", "1-", "(", "+1", "a@", "DE89", "www.", "Hi ", "Best\n", "#", "0", "\xc3\xa4",
        "\xff", "Dr. ", "4 ", "-a1", "\n", "https://", "Mr Aa "};
    enum { SIZE = 2 << 20 };
    char *text = mem_alloc(SIZE + 16);
    for (size_t k = 0; k < COUNT_OF(parts); k++) {
        size_t len = strlen(parts[k]);
        for (size_t i = 0; i + len < SIZE; i += len) {
            memcpy(text + i, parts[k], len);
        }
        struct buf out;
        buf_init(&out, (size_t)8 * SIZE);
        int64_t start = clock_monotonic_us();
        assert_true(guard_mask(text, SIZE - 16, NULL, &out, NULL));
        assert_true(clock_ms_since(start) < 10000);
        buf_done(&out);
    }
    mem_free(text);
}

/* ---- redaction ---- */

static char *restored(struct guard_redaction *r, const char *text, size_t piece, bool json,
                      enum guard_restored *got)
{
    struct buf held;
    struct buf out;
    buf_init(&held, 4096);
    buf_init(&out, 4096);
    size_t n = strlen(text);
    *got = GUARD_RESTORED;
    for (size_t at = 0; at < n && *got == GUARD_RESTORED; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        *got = guard_restore(r, &held, text + at, len, at + len == n, json, &out);
    }
    buf_done(&held);
    return buf_take(&out);
}

static void redacted_values_come_back_however_the_answer_is_cut(void **state)
{
    (void)state;
    static const char said[] = "I am bob@example.org, call +49 30 1234567, cc ann@example.com, "
                               "bob@example.org; [LINK_1] and [1] and [NAMED]";
    struct guard_redaction *r = guard_redaction_new();
    struct buf out;
    buf_init(&out, 4096);
    assert_true(guard_redact_reserve(r, said, strlen(said)));
    assert_true(guard_redact(r, said, strlen(said), &out));
    assert_int_equal(guard_redaction_count(r), 3);
    assert_null(strstr(out.data, "example"));
    assert_null(strstr(out.data, "1234567"));
    assert_non_null(strstr(out.data, "I am [EMAIL_1], call [PHONE_1], cc [EMAIL_2], [EMAIL_1];"));
    for (size_t piece = 1; piece < 40; piece++) {
        enum guard_restored got;
        char *back = restored(r, out.data, piece, false, &got);
        assert_int_equal(got, GUARD_RESTORED);
        assert_string_equal(back, said);
        mem_free(back);
    }
    buf_done(&out);
    guard_redaction_free(r);
}

static void placeholders_that_were_not_sent_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *back; /* NULL: refused */
    } cases[] = {
        {"to [EMAIL_1].", "to bob@example.org."},
        {"to [Email 1].", "to bob@example.org."},
        {"to [email-1].", "to bob@example.org."},
        {"to [EMAIL_2].", NULL},
        {"to [EMAIL].", NULL},
        {"to [EMAIL_99999999999].", "to [EMAIL_99999999999]."},
        {"Dear [Name],", NULL},
        {"see [1] and [ID", "see [1] and [ID"},
        {"a[b[EMAIL_1]]", "a[bbob@example.org]"},
        {"[", "["},
    };
    static const char said[] = "I am bob@example.org";
    struct guard_redaction *r = guard_redaction_new();
    struct buf out;
    buf_init(&out, 4096);
    assert_true(guard_redact_reserve(r, said, strlen(said)));
    assert_true(guard_redact(r, said, strlen(said), &out));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t piece = 1; piece < 30; piece += 4) {
            enum guard_restored got;
            char *back = restored(r, cases[i].answer, piece, false, &got);
            assert_int_equal(got, cases[i].back != NULL ? GUARD_RESTORED : GUARD_RESTORED_UNKNOWN);
            if (cases[i].back != NULL) {
                assert_string_equal(back, cases[i].back);
            }
            mem_free(back);
        }
    }
    buf_done(&out);
    guard_redaction_free(r);
}

static void what_cannot_be_redacted_whole_is_not_redacted(void **state)
{
    (void)state;
    struct guard_redaction *r = guard_redaction_new();
    struct buf many;
    struct buf out;
    buf_init(&many, 1 << 20);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < GUARD_REDACT_MAX + 1; i++) {
        (void)buf_printf(&many, "user%d@example.org ", i);
    }
    assert_true(guard_redact_reserve(r, many.data, many.len));
    assert_false(guard_redact(r, many.data, many.len, &out));
    assert_int_equal(out.len, 0);
    buf_done(&many);
    buf_done(&out);
    guard_redaction_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_become_placeholders),
        cmocka_unit_test(common_text_stays),
        cmocka_unit_test(names_after_greetings_and_sign_offs),
        cmocka_unit_test(spans_name_both_sides),
        cmocka_unit_test(caps_hold_and_nothing_half_is_left),
        cmocka_unit_test(hostile_text_takes_linear_time),
        cmocka_unit_test(redacted_values_come_back_however_the_answer_is_cut),
        cmocka_unit_test(placeholders_that_were_not_sent_are_refused),
        cmocka_unit_test(what_cannot_be_redacted_whole_is_not_redacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
