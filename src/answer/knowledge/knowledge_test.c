/* SPDX-License-Identifier: Apache-2.0 */
/* Knowledge: reading articles, cutting sentences, words and stems, and finding the right
   article. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/knowledge/knowledge.h"
#include "base/mem/mem.h"

#define HEAD(id, title, lang)                                                                      \
    "---\nid: " id "\ntitle: \"" title "\"\nlang: " lang "\nqueue: q\n---\n"

static void add(struct knowledge *k, const char *text)
{
    struct fault why = {0};
    enum fail f = knowledge_add_markdown(k, "test.md", text, strlen(text), &why);
    if (f != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static void sentences_follow_our_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum knowledge_lang lang;
        size_t count;
    } cases[] = {
        {"Open the lid. Then press start.", KNOWLEDGE_LANG_EN, 2},
        {"Use a descaler, e.g. citric acid. It takes approx. 20 minutes.", KNOWLEDGE_LANG_EN, 2},
        {"It costs 4.90 euros. Wait.", KNOWLEDGE_LANG_EN, 2},
        {"Wir liefern am 3. Mai. Danach nicht mehr.", KNOWLEDGE_LANG_DE, 2},
        {"Nutzen Sie z. B. Zitronensäure. Das dauert ca. 20 Minuten.", KNOWLEDGE_LANG_DE, 2},
        {"Hi there\nmy parcel is lost\nCheers, Declan", KNOWLEDGE_LANG_EN, 3},
        {"This is a long line that somebody's mail program has wrapped in the\nmiddle of the "
         "sentence. End.",
         KNOWLEDGE_LANG_EN, 2},
        {"", KNOWLEDGE_LANG_EN, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct knowledge_span out[16];
        size_t n = knowledge_split(cases[i].text, strlen(cases[i].text), cases[i].lang, out, 16);
        if (n != cases[i].count) {
            fail_msg("%zu instead of %zu: %s", n, cases[i].count, cases[i].text);
        }
    }
}

static void stems_meet(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        enum knowledge_lang lang;
    } same[] = {
        {"delivery", "delivered", KNOWLEDGE_LANG_EN},  {"return", "returning", KNOWLEDGE_LANG_EN},
        {"cancel", "cancellation", KNOWLEDGE_LANG_EN}, {"E-Mail", "emails", KNOWLEDGE_LANG_EN},
        {"Rechnung", "Rechnungen", KNOWLEDGE_LANG_DE}, {"kündigen", "Kündigung", KNOWLEDGE_LANG_DE},
        {"Maschine", "Maschinen", KNOWLEDGE_LANG_DE},  {"Wi-Fi", "wifi", KNOWLEDGE_LANG_EN},
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct knowledge_words a, b;
        knowledge_words_init(&a, same[i].a, strlen(same[i].a), same[i].lang);
        knowledge_words_init(&b, same[i].b, strlen(same[i].b), same[i].lang);
        assert_int_equal(a.count, 1);
        assert_string_equal(a.items[0].stem, b.items[0].stem);
        knowledge_words_done(&a);
        knowledge_words_done(&b);
    }
}

static void markdown_becomes_plain_sentences(void **state)
{
    (void)state;
    struct knowledge *k = knowledge_new();
    add(k, HEAD("a", "Title", "en") "Open **My account > Orders** and see [our "
                                    "shop](https://shop.example/x).\n\n## Steps\n"
                                    "1. Press `Start`.\n2. Wait for 3 minutes. Then stop.\n\n| E1 "
                                    "| Tank empty |\n|---|---|\n| E2 | Hot |\n");
    const struct knowledge_article *a = knowledge_article_find(k, "a");
    assert_non_null(a);
    assert_int_equal(a->sentence_count, 6);
    assert_string_equal(a->sentences[0].text,
                        "Open My account > Orders and see our shop (https://shop.example/x).");
    assert_string_equal(a->sentences[1].text, "Press Start.");
    assert_string_equal(a->sentences[1].heading, "Steps");
    assert_int_equal(a->sentences[1].kind, KNOWLEDGE_STEP);
    assert_int_equal(a->sentences[1].paragraph, a->sentences[3].paragraph);
    assert_string_equal(a->sentences[4].text, "E1: Tank empty");
    knowledge_free(k);
}

static void bad_files_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"no front matter\n", "test.md line 1"},
        {"---\nid: a\nnonsense\n---\nText.\n", "test.md line 3"},
        {"---\ntitle: x\n---\nText.\n", "no usable `id`"},
        {"---\nid: a\ntitle: x\n", "not closed"},
        {"---\nid: a\ntitle: x\n---\n\n", "no text"},
        {"---\nid: a\ntitle: x\n---\nbad \xff byte\n", "test.md line 5: not valid UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct knowledge *k = knowledge_new();
        struct fault why = {0};
        assert_int_equal(
            knowledge_add_markdown(k, "test.md", cases[i].text, strlen(cases[i].text), &why),
            FAIL_BAD_REQUEST);
        if (strstr(why.message, cases[i].says) == NULL) {
            fail_msg("%s", why.message);
        }
        assert_int_equal(knowledge_article_count(k), 0);
        knowledge_free(k);
    }
}

static const char *top(const struct knowledge *k, const char *text, const float *v, size_t dim,
                       enum knowledge_lang lang)
{
    struct knowledge_query q = {
        .text = text, .len = strlen(text), .lang = lang, .vector = v, .dim = dim};
    struct knowledge_hit hits[3];
    size_t n = knowledge_search(k, &q, hits, 3);
    return n == 0 ? "" : knowledge_article_at(k, hits[0].article)->id;
}

static void search_finds_by_words_grams_vectors_and_past_tickets(void **state)
{
    (void)state;
    struct knowledge *k = knowledge_new();
    add(k, HEAD("pw", "Reset your password",
                "en") "Select Forgot password. The link is valid for 30 minutes.\n");
    add(k,
        HEAD("late", "Late parcels", "en") "A parcel is late after two days. We start a search.\n");
    add(k, HEAD("pw-de", "Passwort zurücksetzen", "de") "Wählen Sie Passwort vergessen.\n");
    struct fault why;
    assert_int_equal(knowledge_add_question(k, "late", "T-1", "where is my stuff", NULL, 0, &why),
                     FAIL_NONE);
    assert_int_equal(knowledge_add_question(k, "nope", "T-2", "x", NULL, 0, &why), FAIL_NOT_FOUND);
    knowledge_seal(k);
    assert_string_equal(top(k, "I forgot my passwords", NULL, 0, KNOWLEDGE_LANG_EN), "pw");
    assert_string_equal(top(k, "pasword forgoten", NULL, 0, KNOWLEDGE_LANG_EN), "pw");
    assert_string_equal(top(k, "Where's my stuff?", NULL, 0, KNOWLEDGE_LANG_EN), "late");
    assert_string_equal(top(k, "Passwort weg", NULL, 0, KNOWLEDGE_LANG_DE), "pw-de");
    assert_string_equal(top(k, "", NULL, 0, KNOWLEDGE_LANG_EN), "");
    float v[4] = {0, 1, 0, 0};
    for (size_t u = 0; u < knowledge_unit_count(k); u++) {
        float w[4] = {strcmp(knowledge_unit_text(k, u), "Late parcels") != 0, 0, 0, 0};
        w[1] = 1 - w[0];
        assert_int_equal(knowledge_unit_set_vector(k, u, w, 4, &why), FAIL_NONE);
    }
    assert_int_equal(knowledge_unit_set_vector(k, 0, v, 3, &why), FAIL_BAD_REQUEST);
    knowledge_seal(k);
    assert_string_equal(top(k, "zzz", v, 4, KNOWLEDGE_LANG_EN), "late");
    add(k, HEAD("pw", "Wash a jacket", "en") "Use cold water.\n");
    knowledge_seal(k);
    assert_int_equal(knowledge_article_count(k), 3);
    assert_string_equal(top(k, "wash", NULL, 0, KNOWLEDGE_LANG_EN), "pw");
    knowledge_free(k);
}

static void the_help_centre_reads_whole(void **state)
{
    (void)state;
    char path[4096];
    const char *source = getenv("INHOUSE_SOURCE");
    snprintf(path, sizeof(path), "%s/examples/helpdesk/articles", source != NULL ? source : ".");
    struct knowledge *k = knowledge_new();
    struct fault why = {0};
    size_t added = 0;
    if (knowledge_add_folder(k, path, &added, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_true(added >= 40);
    knowledge_seal(k);
    assert_string_equal(top(k, "how do I descale my Auto 5?", NULL, 0, KNOWLEDGE_LANG_EN),
                        "machine-descale");
    assert_int_not_equal(knowledge_add_folder(k, "/nonexistent", &added, &why), FAIL_NONE);
    knowledge_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_follow_our_rules),
        cmocka_unit_test(stems_meet),
        cmocka_unit_test(markdown_becomes_plain_sentences),
        cmocka_unit_test(bad_files_are_named_with_their_line),
        cmocka_unit_test(search_finds_by_words_grams_vectors_and_past_tickets),
        cmocka_unit_test(the_help_centre_reads_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
