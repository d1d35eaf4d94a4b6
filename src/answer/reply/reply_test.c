/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what becomes a slot, what may be offered, what is never. */
#include "answer/reply/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem/mem.h"

static const char *const ana[] = {"Ana Petrova"};

static char *template_of(const char *s, unsigned *slots)
{
    return reply_template(s, strlen(s), ana, 1, slots);
}

static void what_is_somebodys_becomes_a_typed_slot(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"Your order VM-410233 is on its way.", "Your order {id} is on its way."},
        {"We took 74.60 EUR from the card.", "We took {amount} from the card."},
        {"It arrives on 12 July 2026 at the latest.", "It arrives on {date} at the latest."},
        {"Write to jo.smith@example.org then.", "Write to {email} then."},
        {"See https://example.org/x/77 for more.", "See {link} for more."},
        {"Yes, Ana, that is possible.", "Yes, {name}, that is possible."},
        {"Petrova's machine is here.", "{name} machine is here."},
        {"Press start on the Auto 5 until the light goes out.",
         "Press start on the Auto 5 until the light goes out."},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned slots = 0;
        AUTO_FREE char *t = template_of(cases[i].from, &slots);
        assert_string_equal(t, cases[i].to);
        assert_true((slots != 0) == (strchr(t, '{') != NULL));
    }
}

static void a_slot_without_a_value_gives_no_sentence(void **state)
{
    (void)state;
    struct reply_values values = {{0}};
    struct reply_sentence s = {.text = (char *)"Dear {name}, order {id} can be changed.",
                               .slots = 1u << REPLY_NAME | 1u << REPLY_ID};
    values.value[REPLY_NAME] = "Bo Lind";
    assert_null(reply_fill(&s, &values));
    values.value[REPLY_ID] = "VM-1";
    AUTO_FREE char *text = reply_fill(&s, &values);
    assert_string_equal(text, "Dear Bo Lind, order VM-1 can be changed.");
    s.slots |= 1u << REPLY_PRIVATE;
    s.text = (char *)"{private} is the address.";
    values.value[REPLY_PRIVATE] = "nothing may fill it";
    assert_null(reply_fill(&s, &values));
}

static struct reply_bank *bank_of(const char *const *customers, size_t n, const char *reply,
                                  bool approved)
{
    struct reply_bank *b = reply_bank_new();
    for (size_t i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "P%zu", i);
        struct reply_past p = {.key = key, .customer = customers[i], .subject = "light",
                               .text = "the light stays on after descaling", .reply = reply,
                               .approved = approved};
        assert_true(reply_bank_add(b, &p));
    }
    reply_bank_seal(b, NULL);
    return b;
}

static size_t offered(const struct reply_bank *b)
{
    size_t n = 0;
    for (size_t i = 0; i < reply_bank_count(b); i++) {
        n += reply_bank_at(b, i)->len;
    }
    return n;
}

static const char *const plain = "Hello there,\n\nThe rinse was not finished when the light stays "
                                 "on after the descaling programme.\n\nKind regards\nFemke";

static void said_to_one_customer_it_is_no_template(void **state)
{
    (void)state;
    const char *one[] = {"c1", "c1", "c1", "c1", "c1"}, *unknown[] = {NULL, NULL, NULL, NULL};
    const char *three[] = {"c1", "c2", "c3"};
    struct reply_bank *b = bank_of(one, 5, plain, false);
    assert_int_equal(offered(b), 0);
    reply_bank_free(b);
    b = bank_of(unknown, 4, plain, false);
    assert_int_equal(offered(b), 0);
    reply_bank_free(b);
    b = bank_of(three, 3, plain, false);
    assert_int_equal(offered(b), 3);
    assert_int_equal(reply_bank_at(b, 0)->sentences[0].why, REPLY_SAID_OFTEN);
    reply_bank_free(b);
}

static void an_approvers_word_makes_it_one(void **state)
{
    (void)state;
    const char *one[] = {"c1"};
    struct reply_bank *b = bank_of(one, 1, plain, true);
    assert_int_equal(offered(b), 1);
    assert_int_equal(reply_bank_at(b, 0)->sentences[0].why, REPLY_APPROVED);
    reply_bank_free(b);
}

static void what_was_done_is_never_said_of_another_case(void **state)
{
    (void)state;
    const char *one[] = {"c1"};
    static const char *const acts[] = {
        "We have refunded the whole price of the machine to your card.",
        "I sent the missing filters to your home address today.",
        "Der Betrag wurde vollst\xC3\xA4ndig auf Ihre Karte zur\xC3\xBC""ckgebucht."};
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        struct reply_bank *b = bank_of(one, 1, acts[i], true);
        for (size_t k = 0; k < reply_bank_at(b, 0)->len; k++) {
            assert_true(reply_bank_at(b, 0)->sentences[k].acted);
        }
        reply_bank_free(b);
    }
}

static void the_articles_word_makes_it_one_and_no_other(void **state)
{
    (void)state;
    static const char article[] =
        "---\nid: descale\ntitle: Descale the machine\nlang: en\n---\n\nThe light stays on when "
        "the rinse was not finished. Fill the tank to the mark and press start again.\n";
    struct knowledge *k = knowledge_new();
    struct fault why;
    assert_int_equal(knowledge_add_markdown(k, "descale.md", article, strlen(article), &why),
                     FAIL_NONE);
    knowledge_seal(k);
    struct reply_bank *b = reply_bank_new();
    struct reply_past p = {.key = "P1", .customer = "c1", .subject = "light",
                           .text = "the light stays on", .article = "descale",
                           .reply = "Hello,\n\nFill the tank to the mark and press start again. "
                                    "Your daughter Mia's peanut allergy is noted in the file."};
    assert_true(reply_bank_add(b, &p));
    reply_bank_seal(b, k);
    const struct reply_item *item = reply_bank_at(b, 0);
    assert_int_equal(item->len, 1);
    assert_int_equal(item->sentences[0].why, REPLY_SUPPORTED);
    assert_int_equal(item->sentences[0].source, 1);
    reply_bank_free(b);
    knowledge_free(k);
}

static void the_nearest_are_of_the_language_asked_for(void **state)
{
    (void)state;
    const char *one[] = {"c1"};
    struct reply_near near[3];
    const char *text = "why does the light stay on after descaling";
    struct reply_bank *b = bank_of(one, 1, plain, true);
    assert_int_equal(reply_bank_near(b, text, strlen(text), NULL, 0, KNOWLEDGE_LANG_EN, NULL, near,
                                     3), 1);
    assert_true(near[0].lexical > 0.2);
    assert_int_equal(reply_bank_near(b, text, strlen(text), NULL, 0, KNOWLEDGE_LANG_DE, NULL, near,
                                     3), 0);
    assert_int_equal(reply_bank_near(b, text, strlen(text), NULL, 0, KNOWLEDGE_LANG_EN, "P0", near,
                                     3), 0);
    reply_bank_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_somebodys_becomes_a_typed_slot),
        cmocka_unit_test(a_slot_without_a_value_gives_no_sentence),
        cmocka_unit_test(said_to_one_customer_it_is_no_template),
        cmocka_unit_test(an_approvers_word_makes_it_one),
        cmocka_unit_test(what_was_done_is_never_said_of_another_case),
        cmocka_unit_test(the_articles_word_makes_it_one_and_no_other),
        cmocka_unit_test(the_nearest_are_of_the_language_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
