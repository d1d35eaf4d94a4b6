/* SPDX-License-Identifier: Apache-2.0 */
/* The plain checks: links, citations, summaries, languages; and check_support's spans and frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"

static void links_must_stand_in_a_source(void **state)
{
    (void)state;
    const char *sources[] = {"Open velmora.example/login or write to help@velmora.example.",
                             "See https://a.example/x."};
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"Go to velmora.example/login.", true},
        {"Go to https://velmora.example/login/", true},
        {"Go to velmora.example/reset.", false},
        {"Write to help@velmora.example!", true},
        {"Write to info@velmora.example", false},
        {"(https://a.example/x)", true},
        {"evil.example", false},
        {"No links here, e.g. none. Only 2.4 GHz.", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_result r = check_links(cases[i].text, strlen(cases[i].text), sources, 2);
        if (r.ok != cases[i].ok) {
            fail_msg("%s: %s", cases[i].text, r.detail);
        }
    }
}

static void citations_must_be_allowed(void **state)
{
    (void)state;
    const char *allowed[] = {"a", "b"}, *good[] = {"b", "a"}, *bad[] = {"a", "c"};
    assert_true(check_citation(good, 2, allowed, 2).ok);
    assert_string_equal(check_citation(bad, 2, allowed, 2).detail, "c");
    assert_true(check_citation(NULL, 0, allowed, 2).ok);
}

static void summaries_hold_only_what_the_ticket_says(void **state)
{
    (void)state;
    const char *ticket = "My Auto 5 shows E3 since Tuesday. I ordered a new brew group, VM-410233. "
                         "Please help. Declan";
    static const struct {
        const char *summary;
        enum check_reason reason;
    } cases[] = {
        {"Auto 5 shows E3 since Tuesday", CHECK_REASON_NONE},
        {"Customer's machine shows E3 after ordering a brew group", CHECK_REASON_NONE},
        {"Auto 5 shows E4 since Tuesday", CHECK_REASON_NUMBER},
        {"Auto 5 shows E3 since Monday", CHECK_REASON_NUMBER},
        {"The Piccola? No, Piccola shows E3", CHECK_REASON_NAME},
        {"Sure, I can help you with E3", CHECK_REASON_INSTRUCTION},
        {"Die Maschine zeigt seit Tuesday E3 und es ist nicht gut", CHECK_REASON_LANGUAGE},
        {"See evil.example for E3", CHECK_REASON_LINK},
        {"", CHECK_REASON_LENGTH},
        {"two\nlines", CHECK_REASON_LENGTH},
        {"Auto 5 shows E3 since Tuesday, ordered a new brew group, VM-410233, please help, Declan",
         CHECK_REASON_LENGTH},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_result r =
            check_summary(cases[i].summary, strlen(cases[i].summary), ticket, strlen(ticket), 80);
        if (r.reason != cases[i].reason) {
            fail_msg("%s: %s (%s)", cases[i].summary, check_reason_name(r.reason), r.detail);
        }
    }
}

static void short_tickets_have_a_language(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
    } cases[] = {
        {"cant log in, says too many attempts. waited ages", "en"},
        {"need the invoice pls", "en"},
        {"where is my stuff", "en"},
        {"Wo ist mein Paket?", "de"},
        {"Passwort geht nicht", "de"},
        {"Meine Maschine zeigt E3 an, was soll ich tun?", "de"},
        {"Bonjour, je voudrais annuler ma commande s'il vous pla\xC3\xAEt", "fr"},
        {"Hallo, ik heb een vraag over mijn bestelling, kunnen jullie mij helpen?", "nl"},
        {"", "und"},
        {"12345", "und"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_language l = check_language(cases[i].text, strlen(cases[i].text));
        if (strcmp(l.code, cases[i].code) != 0) {
            print_message("%s: %s instead of %s\n", cases[i].text, l.code, cases[i].code);
        }
        assert_string_equal(l.code, cases[i].code);
    }
}

static void a_reply_is_judged_sentence_by_sentence(void **state)
{
    (void)state;
    const char *sources[] = {
        "The link in the e-mail is valid for 30 minutes and works only once.",
        "Look in the spam folder if the e-mail has not arrived after ten minutes."};
    const char *frame[] = {"Thank you for writing to us.", "Velmora Support"};
    const char *ticket = "I get no mail. Declan",
               *reply = "Hello Declan,\n\nThank you for writing to us. The link in the e-mail is "
                        "valid for 30 minutes and works only once. "
                        "The link works for 60 minutes. We also give you 20 euros.\n\nKind "
                        "regards\nVelmora Support";
    struct check_support in = {.reply = reply,
                               .reply_len = strlen(reply),
                               .lang = KNOWLEDGE_LANG_EN,
                               .sources = sources,
                               .source_count = 2,
                               .ticket = ticket,
                               .ticket_len = strlen(ticket),
                               .frame = frame,
                               .frame_count = 2};
    struct check_claim out[CHECK_MAX_CLAIMS];
    size_t n = 0;
    assert_false(check_support(&in, out, CHECK_MAX_CLAIMS, &n));
    static const enum check_verdict want[] = {CHECK_FRAME,       CHECK_FRAME,       CHECK_SUPPORTED,
                                              CHECK_UNSUPPORTED, CHECK_UNSUPPORTED, CHECK_FRAME,
                                              CHECK_FRAME};
    assert_int_equal(n, COUNT_OF(want));
    for (size_t i = 0; i < n; i++) {
        if (out[i].verdict != want[i]) {
            fail_msg("%.*s: %s %s", (int)out[i].len, reply + out[i].at,
                     check_reason_name(out[i].reason), out[i].detail);
        }
    }
    assert_int_equal(out[3].reason, CHECK_REASON_NUMBER);
    assert_string_equal(out[3].detail, "60");
    assert_false(
        check_support(&(struct check_support){.reply = "", .lang = KNOWLEDGE_LANG_EN}, out, 4, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_must_stand_in_a_source),
        cmocka_unit_test(citations_must_be_allowed),
        cmocka_unit_test(summaries_hold_only_what_the_ticket_says),
        cmocka_unit_test(short_tickets_have_a_language),
        cmocka_unit_test(a_reply_is_judged_sentence_by_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
