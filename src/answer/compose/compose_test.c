/* SPDX-License-Identifier: Apache-2.0 */
/* Compose: names, frames, switching sentences, and no answer where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/check/check.h"
#include "answer/compose/compose.h"
#include "base/mem/mem.h"

static const struct compose_frame frames[3] = {
    [KNOWLEDGE_LANG_EN] = {.greeting = "Hello {name},",
                           .opening = "Thank you for writing to us.",
                           .closing = "Just reply.",
                           .sign_off = "Kind regards",
                           .agent = "Femke",
                           .desk = "Velmora Support",
                           .source = "More: {title} ({link})",
                           .link = "https://help.example/{id}"},
    [KNOWLEDGE_LANG_DE] = {.greeting = "Guten Tag {name},",
                           .opening = "vielen Dank f\xC3\xBCr Ihre Nachricht.",
                           .sign_off = "Freundliche Gr\xC3\xBC\xC3\x9F"
                                       "e",
                           .desk = "Velmora Support"},
};

static struct knowledge *helpdesk(void)
{
    char path[4096];
    const char *source = getenv("INHOUSE_SOURCE");
    snprintf(path, sizeof(path), "%s/examples/helpdesk/articles", source != NULL ? source : ".");
    struct knowledge *k = knowledge_new();
    struct fault why = {0};
    size_t n;
    if (knowledge_add_folder(k, path, &n, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    knowledge_seal(k);
    return k;
}

static void names_come_from_signatures_only(void **state)
{
    (void)state;
    static const struct {
        const char *text, *first;
    } cases[] = {
        {"My parcel is late.\nCheers, Declan", "Declan"},
        {"It leaks.\n\nMargaret Ashby", "Margaret"},
        {"Wie geht das?\nMit freundlichen Gr\xC3\xBC\xC3\x9F"
         "en\nAnneliese Br\xC3\xBC"
         "ckner",
         "Anneliese"},
        {"I want my money.\nMr D. Achterberg", "Mr Achterberg"},
        {"need the invoice pls", ""},
        {"Please help\nThanks", ""},
        {"I asked Femke yesterday.", ""},
        {"Where is it?\nVM-412345", ""},
        {"HELP\nNOW", ""},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct compose_name n = compose_find_name(NULL, cases[i].text);
        assert_string_equal(n.first, cases[i].first);
    }
}

static void a_draft_is_made_of_article_sentences_and_passes_its_own_check(void **state)
{
    (void)state;
    struct knowledge *k = helpdesk();
    struct compose_model model = compose_default_model(false, false);
    model.threshold = 0;
    struct compose_ticket t = {.subject = "Descaling light",
                               .text = "I ran the descaling programme on my Auto 5 and the light "
                                       "stays on afterwards. What now?\nMargaret Ashby"};
    struct compose_result r;
    compose_reply(k, &model, &t, frames, &r);
    assert_int_equal(r.outcome, COMPOSE_DRAFT);
    assert_non_null(strstr(r.text, "Hello Margaret,\n\nThank you for writing to us. "));
    assert_non_null(strstr(r.text, "If the light stays on afterwards, the rinse was not finished"));
    assert_null(strstr(r.text, "Piccola"));
    assert_non_null(
        strstr(r.text, "More: Descale your machine (https://help.example/machine-descale)"));
    const char *sources[CHECK_MAX_SOURCES],
        *frame[] = {"Thank you for writing to us.",
                    "Just reply.",
                    "Kind regards",
                    "Femke",
                    "Velmora Support",
                    "More: Descale your machine (https://help.example/machine-descale)"};
    size_t n = 0, claims = 0;
    for (size_t i = 0; i < r.sentence_count; i++) {
        sources[n++] = r.sentences[i].text;
    }
    struct check_support in = {.reply = r.text,
                               .reply_len = strlen(r.text),
                               .lang = KNOWLEDGE_LANG_EN,
                               .sources = sources,
                               .source_count = n,
                               .ticket = t.text,
                               .ticket_len = strlen(t.text),
                               .frame = frame,
                               .frame_count = COUNT_OF(frame)};
    struct check_claim out[CHECK_MAX_CLAIMS];
    bool ok = check_support(&in, out, CHECK_MAX_CLAIMS, &claims);
    for (size_t i = 0; i < claims && !ok; i++) {
        print_message("%d %.*s (%s)\n", (int)out[i].verdict, (int)out[i].len, r.text + out[i].at,
                      check_reason_name(out[i].reason));
    }
    assert_true(ok);
    for (size_t i = 0; i < r.sentence_count; i++) {
        r.sentences[i].chosen = false;
    }
    assert_null(compose_render(&r, &t, &frames[KNOWLEDGE_LANG_EN]));
    r.sentences[0].chosen = true;
    char *one = compose_render(&r, &t, &frames[KNOWLEDGE_LANG_EN]);
    assert_non_null(strstr(one, r.sentences[0].text));
    mem_free(one);
    compose_done(&r);
    knowledge_free(k);
}

static void german_tickets_get_german_articles(void **state)
{
    (void)state;
    struct knowledge *k = helpdesk();
    struct compose_model model = compose_default_model(false, false);
    model.threshold = 0;
    struct compose_ticket t = {.text = "Ich habe mein Passwort vergessen und es kommt keine E-Mail "
                                       "an.\nMit freundlichen Gr\xC3\xBC\xC3\x9F"
                                       "en\nAnneliese Br\xC3\xBC"
                                       "ckner"};
    struct compose_result r;
    compose_reply(k, &model, &t, frames, &r);
    assert_int_equal(r.outcome, COMPOSE_DRAFT);
    assert_string_equal(r.sentences[0].article, "account-password-de");
    assert_non_null(strstr(r.text, "Guten Tag Anneliese Br\xC3\xBC"
                                   "ckner,"));
    compose_done(&r);
    knowledge_free(k);
}

static void no_answer_says_why(void **state)
{
    (void)state;
    struct knowledge *k = helpdesk();
    struct compose_model model = compose_default_model(false, false);
    static const char *const texts[] = {
        "", "asdf qwer", "Our hockey team is looking for a sponsor for new shirts this winter.",
        "\xF0\x9F\x98\xA1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct compose_ticket t = {.text = texts[i]};
        struct compose_result r;
        compose_reply(k, &model, &t, frames, &r);
        assert_int_equal(r.outcome, COMPOSE_NONE);
        assert_null(r.text);
        assert_true(r.reason[0] != '\0');
        compose_done(&r);
    }
    knowledge_free(k);
}

static void an_unfilled_slot_keeps_its_sentence_out(void **state)
{
    (void)state;
    static const char article[] = "---\nid: a\ntitle: \"Parcel late\"\nlang: en\n---\nYour parcel "
                                  "{order_number} is late. We look for late parcels.\n";
    struct knowledge *k = knowledge_new();
    struct fault why;
    assert_int_equal(knowledge_add_markdown(k, "a.md", article, strlen(article), &why), FAIL_NONE);
    knowledge_seal(k);
    struct compose_model model = compose_default_model(false, false);
    model.threshold = 0;
    struct compose_ticket t = {.text = "my parcel is very late", .lang = KNOWLEDGE_LANG_EN};
    struct compose_result r;
    compose_reply(k, &model, &t, frames, &r);
    assert_null(strstr(r.text, "Your parcel"));
    compose_done(&r);
    t.order_number = "VM-1";
    compose_reply(k, &model, &t, frames, &r);
    assert_non_null(strstr(r.text, "Your parcel VM-1 is late."));
    compose_done(&r);
    knowledge_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_signatures_only),
        cmocka_unit_test(a_draft_is_made_of_article_sentences_and_passes_its_own_check),
        cmocka_unit_test(german_tickets_get_german_articles),
        cmocka_unit_test(no_answer_says_why),
        cmocka_unit_test(an_unfilled_slot_keeps_its_sentence_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
