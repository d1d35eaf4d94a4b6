/* SPDX-License-Identifier: Apache-2.0 */
/* Stakes are found in four languages with their spans, amounts are read as people write them, and
   what the head adds is measured on sentences that it never saw. */
#include "answer/route/route_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ALL ((1u << ROUTE_STAKE_COUNT) - 1)

static int set_up(void **state)
{
    *state = route_stakes_new();
    return 0;
}

static int tear_down(void **state)
{
    route_stakes_free(*state);
    return 0;
}

static void amounts_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double amount;
    } cases[] = {
        {"1.234,50 EUR", 1234.5},
        {"it was $2,300.75 in all", 2300.75},
        {"1 200 euros", 1200},
        {"1\xc2\xa0" "200 \xe2\x82\xac", 1200},
        {"CHF 2'500", 2500},
        {"\xc2\xa3" "1,150", 1150},
        {"\xe2\x82\xac 99", 99},
        {"640\xe2\x82\xac", 640},
        {"2k pounds", 2000},
        {"2 thousand dollars", 2000},
        {"a refund of 1200", 1200},
        {"2300eur", 2300},
        {"order 104233", 0},
        {"invoice 2024-1100 of Monday", 0},
        {"call 0800 123 456", 0},
        {"between 300 and 700 euros, later 90 euros", 700},
        {"article 12a3 costs", 0},
        {"3 items at 19,99 EUR", 19.99},
        {"", 0},
        {"1.000.000 USD", 1000000},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double got = route_amount_largest(cases[i].text, strlen(cases[i].text));
        if (got < cases[i].amount - 0.001 || got > cases[i].amount + 0.001) {
            fail_msg("\"%s\": %.2f, not %.2f", cases[i].text, got, cases[i].amount);
        }
    }
}

static void phrases_are_found_whole_in_any_spelling(void **state)
{
    static const struct {
        const char *text, *span; /* "": nothing */
        enum route_stake stake;
    } cases[] = {
        {"Then my LAWYERS will write.", "LAWYERS", ROUTE_STAKE_LEGAL_THREAT},
        {"I will take your whole firm to court.", "take your whole firm to court",
         ROUTE_STAKE_LEGAL_THREAT},
        {"Meine Anw\xc3\xa4ltin meldet sich.", "Anw\xc3\xa4ltin", ROUTE_STAKE_LEGAL_THREAT},
        {"une mise\nen  demeure suivra", "mise\nen  demeure", ROUTE_STAKE_LEGAL_THREAT},
        {"droit d\xe2\x80\x99" "acces, s'il vous plait", "droit d\xe2\x80\x99" "acces",
         ROUTE_STAKE_DATA_SUBJECT_REQUEST},
        {"es la v\xc3\xad" "a judicial", "v\xc3\xad" "a judicial", ROUTE_STAKE_LEGAL_THREAT},
        {"it caught\xc2\xa0" "fire", "caught\xc2\xa0" "fire", ROUTE_STAKE_DANGER},
        {"an el\xc2\xad" "ectric shock", "el\xc2\xad" "ectric shock", ROUTE_STAKE_DANGER},
        {"\xef\xbd\x87\xef\xbd\x84\xef\xbd\x90\xef\xbd\x92 now",
         "\xef\xbd\x87\xef\xbd\x84\xef\xbd\x90\xef\xbd\x92", ROUTE_STAKE_DATA_SUBJECT_REQUEST},
        {"my flawyers and lawless", "", ROUTE_STAKE_LEGAL_THREAT},
        {"the pressing of apples", "", ROUTE_STAKE_PRESS},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_stake_hit hits[ROUTE_STAKE_HITS];
        size_t n = route_stakes_find_phrases(*state, cases[i].text, strlen(cases[i].text),
                                             1u << cases[i].stake, 0, hits);
        size_t want = strlen(cases[i].span);
        if ((n > 0) != (want > 0)) {
            fail_msg("\"%s\": %zu hits", cases[i].text, n);
        }
        if (n > 0) {
            assert_int_equal(hits[0].stake, cases[i].stake);
            assert_int_equal(hits[0].to - hits[0].from, want);
            assert_memory_equal(cases[i].text + hits[0].from, cases[i].span, want);
        }
    }
}

static void refunds_count_above_the_limit_only(void **state)
{
    static const struct {
        const char *text;
        double limit;
        bool hit;
    } cases[] = {
        {"Please refund the 1.200 EUR.", 500, true},
        {"Please refund the 1.200 EUR.", 1200, false},
        {"Please refund the 40 EUR.", 500, false},
        {"Please refund me.", 0, false},
        {"The price of 1,200 EUR is fine.", 500, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_stake_hit hits[ROUTE_STAKE_HITS];
        size_t n = route_stakes_find_phrases(*state, cases[i].text, strlen(cases[i].text),
                                             1u << ROUTE_STAKE_REFUND_ABOVE, cases[i].limit, hits);
        assert_int_equal(n > 0, cases[i].hit);
        assert_true(n == 0 || hits[0].amount > cases[i].limit);
    }
}

static void only_what_is_wanted_is_reported_and_once(void **state)
{
    static const char text[] = "My lawyer, another lawyer and a journalist know of it.";
    struct route_stake_hit hits[ROUTE_STAKE_HITS];
    assert_int_equal(route_stakes_find(*state, text, strlen(text), 0, 0, hits), 0);
    assert_int_equal(
        route_stakes_find(*state, text, strlen(text), 1u << ROUTE_STAKE_PRESS, 0, hits), 1);
    size_t n = route_stakes_find(*state, text, strlen(text), ALL, 0, hits);
    size_t legal = 0;
    for (size_t i = 0; i < n; i++) {
        legal += hits[i].stake == ROUTE_STAKE_LEGAL_THREAT;
        assert_true(hits[i].to <= strlen(text) && hits[i].from < hits[i].to);
    }
    assert_int_equal(legal, 1);
}

/* Any bytes: spans stay inside, nothing is read beyond. */
static void hostile_text_is_read_to_its_end_and_no_further(void **state)
{
    struct route_stake_hit hits[ROUTE_STAKE_HITS];
    static const char mix[] = " 1.,$\xc2\xa0\xe2k'refund of";
    unsigned seed = 7;
    for (int round = 0; round < 300; round++) {
        size_t len = (size_t)(seed % 300);
        char *text = mem_alloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245u + 12345u;
            text[i] = (seed >> 16 & 1) != 0 ? (char)(seed >> 17) : mix[seed >> 17 & 15];
        }
        size_t n = route_stakes_find(*state, text, len, ALL, 0, hits);
        for (size_t i = 0; i < n; i++) {
            assert_true(hits[i].from < hits[i].to && hits[i].to <= len);
        }
        mem_free(text);
        seed = seed * 1103515245u + 12345u;
    }
}

/* bench-stakes prints the figures by stake; here only that the head is of use and not trigger-
   happy. */
static void the_head_finds_more_than_phrases_on_what_it_never_saw(void **state)
{
    const char *source = getenv("INHOUSE_SOURCE");
    char path[512], chunk[65536];
    struct route_sentences s;
    struct fault why;
    struct buf text;
    size_t n, is = 0, by_phrase = 0, by_both = 0, is_not = 0, wrong = 0;
    snprintf(path, sizeof(path), "%s/rules/stakes/held-out.txt", source != NULL ? source : ".");
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    buf_init(&text, (size_t)1 << 20);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        assert_true(buf_add(&text, chunk, n));
    }
    (void)fclose(f);
    assert_int_equal(route_sentences_read(text.data, text.len, path, &s, &why), FAIL_NONE);
    for (size_t i = 0; i < s.n; i++) {
        struct route_stake_hit hits[ROUTE_STAKE_HITS];
        const struct route_sentence *one = &s.list[i];
        unsigned wanted = one->stake == ROUTE_STAKE_COUNT ? ALL : 1u << one->stake;
        size_t len = strlen(one->text);
        size_t phrases = route_stakes_find_phrases(*state, one->text, len, wanted, 500, hits);
        size_t both = route_stakes_find(*state, one->text, len, wanted, 500, hits);
        if (one->near || one->stake == ROUTE_STAKE_COUNT) {
            is_not++;
            wrong += both > 0;
        } else {
            is++;
            by_phrase += phrases > 0;
            by_both += both > 0;
        }
    }
    print_message("held out: %zu of %zu found, %zu by phrases; %zu of %zu false alarms\n", by_both,
                  is, by_phrase, wrong, is_not);
    assert_true(by_both > by_phrase);
    assert_true(by_both * 10 >= is * 7);
    assert_true(wrong * 4 <= is_not);
    route_sentences_done(&s);
    buf_done(&text);
}

static void bad_lists_of_sentences_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"too early\n", "[nothing en]\nx\n", "[press]\nx\n",
                                      "[press en\nx\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct route_sentences s;
        struct fault why;
        assert_int_equal(route_sentences_read(bad[i], strlen(bad[i]), "x", &s, &why),
                         FAIL_BAD_REQUEST);
        assert_non_null(strstr(why.message, "line 1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_are_read_as_people_write_them),
        cmocka_unit_test(phrases_are_found_whole_in_any_spelling),
        cmocka_unit_test(refunds_count_above_the_limit_only),
        cmocka_unit_test(only_what_is_wanted_is_reported_and_once),
        cmocka_unit_test(hostile_text_is_read_to_its_end_and_no_further),
        cmocka_unit_test(the_head_finds_more_than_phrases_on_what_it_never_saw),
        cmocka_unit_test(bad_lists_of_sentences_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
