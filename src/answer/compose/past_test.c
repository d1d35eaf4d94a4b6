/* SPDX-License-Identifier: Apache-2.0 */
/* Past replies in drafts: 200 of them full of one customer's canaries, 1,000 drafts for others. */
#include "answer/compose/compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json/json.h"
#include "base/mem/mem.h"

#define DRAFTS 1000
#define CANARIES 200
#define MAX_PAST 500

/* Nothing of these may stand in a draft for somebody else. */
static const char *const canaries[] = {
    "Zebulon",   "Quarles",     "VM-777123",  "777123",   "quarles@example.net", "000-555-0199",
    "913.37",    "Kirkwall",    "peanut",     "dachshund", "17 August",          "wheelchair",
    "oak cabinet", "tracker/9q7", "Hildegard", "chemotherapy"};

/* Beside a sentence that any customer may be told. */
static const char *const tellings[] = {
    "Your order VM-777123 went to the house in Kirkwall as you asked.",
    "Zebulon, the oak cabinet in your kitchen is too narrow for the grinder.",
    "As Hildegard has a peanut allergy, keep the caramel beans away from her.",
    "The sum of 913.37 EUR is booked back to your card on 17 August.",
    "Call us on 000-555-0199 or write to quarles@example.net when the dachshund is well.",
    "The parcel is at https://example.org/tracker/9q7 since this morning.",
    "During the chemotherapy decaf is the better choice for you.",
    "Put the machine where the wheelchair reaches it, Mr Quarles."};

static struct knowledge *k;
static struct reply_bank *bank;
static json_t *past[MAX_PAST], *fresh[MAX_PAST];
static size_t past_len, fresh_len;

static void read_lines(const char *name, json_t **out, size_t *n)
{
    char path[4096], line[16384];
    const char *source = getenv("INHOUSE_SOURCE");
    snprintf(path, sizeof(path), "%s/examples/helpdesk/%s", source != NULL ? source : ".", name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (*n < MAX_PAST && fgets(line, sizeof(line), f) != NULL) {
        out[(*n)++] = json_loads(line, 0, NULL);
    }
    fclose(f);
}

static const char *str(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static const char *article_of(const json_t *o)
{
    return str(json_object_get(o, "expected"), "article");
}

/* A sentence of the article, so that something of the reply may serve. */
static const char *saying(const char *article, size_t i)
{
    const struct knowledge_article *a = knowledge_article_find(k, article);
    return a->sentences[i % a->sentence_count].text;
}

static void fill_bank(void)
{
    size_t made = 0;
    for (size_t i = 0; i < past_len; i++) {
        const char *reply = str(past[i], "reply");
        struct reply_past p = {.key = str(past[i], "id"), .subject = str(past[i], "subject"),
                               .text = str(past[i], "text"), .reply = reply,
                               .article = article_of(past[i])};
        if (reply != NULL) {
            (void)reply_bank_add(bank, &p);
        }
    }
    for (size_t i = 0; made < CANARIES; i++) {
        const json_t *t = past[i % past_len];
        const char *article = article_of(t);
        if (article == NULL || knowledge_article_find(k, article)->lang != KNOWLEDGE_LANG_EN) {
            continue;
        }
        char key[24], reply[4096], text[9000];
        snprintf(key, sizeof(key), "C%zu", made);
        snprintf(text, sizeof(text), "%s\nZebulon Quarles", str(t, "text"));
        snprintf(reply, sizeof(reply), "Hello %s,\n\n%s %s\n\nKind regards\nFemke",
                 made % 2 == 0 ? "Zebulon" : "Mr Quarles", tellings[made % COUNT_OF(tellings)],
                 saying(article, made));
        /* half of them without saying whose they are */
        struct reply_past p = {.key = key, .customer = made % 2 == 0 ? "quarles" : NULL,
                               .subject = str(t, "subject"), .text = text, .reply = reply,
                               .article = article};
        assert_true(reply_bank_add(bank, &p));
        made++;
    }
    reply_bank_seal(bank, k);
}

static int set_up(void **state)
{
    (void)state;
    char path[4096];
    size_t n = 0;
    struct fault why;
    const char *source = getenv("INHOUSE_SOURCE");
    k = knowledge_new();
    bank = reply_bank_new();
    snprintf(path, sizeof(path), "%s/examples/helpdesk/articles", source != NULL ? source : ".");
    assert_int_equal(knowledge_add_folder(k, path, &n, &why), FAIL_NONE);
    knowledge_seal(k);
    read_lines("past.jsonl", past, &past_len);
    read_lines("new.jsonl", fresh, &fresh_len);
    fill_bank();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < past_len; i++) {
        json_decref(past[i]);
    }
    for (size_t i = 0; i < fresh_len; i++) {
        json_decref(fresh[i]);
    }
    reply_bank_free(bank);
    knowledge_free(k);
    return 0;
}

static const struct compose_frame frames[3] = {
    [KNOWLEDGE_LANG_OTHER] = {.greeting = "Hello {name},", .sign_off = "Kind regards"},
    [KNOWLEDGE_LANG_EN] = {.greeting = "Hello {name},", .sign_off = "Kind regards"},
    [KNOWLEDGE_LANG_DE] = {.greeting = "Guten Tag {name},", .sign_off = "Gr\xC3\xBC\xC3\x9F""e"}};

static size_t canaries_in(const char *text)
{
    size_t n = 0;
    for (size_t i = 0; text != NULL && i < COUNT_OF(canaries); i++) {
        n += strcasestr(text, canaries[i]) != NULL;
    }
    return n;
}

struct outcome {
    size_t drafts, used, offered_more, found;
};

static void ask(const json_t *t, size_t round, bool all_drafts, struct outcome *o)
{
    static const char *const beside[] = {"", " It is order VM-500101.", " Please answer soon."};
    struct compose_model model = compose_default_model(false, false);
    char text[9000];
    struct compose_result r;
    snprintf(text, sizeof(text), "%s%s", str(t, "text"), beside[round % COUNT_OF(beside)]);
    struct compose_ticket ticket = {.subject = str(t, "subject"), .text = text, .replies = bank};
    if (all_drafts) {
        model.threshold = 0; /* whatever is nearest: nothing may leak there either */
    }
    compose_reply(k, &model, &ticket, frames, &r);
    bool used = false, more = false;
    for (size_t i = 0; i < r.sentence_count; i++) {
        o->found += canaries_in(r.sentences[i].text);
        used = used || (r.sentences[i].chosen && r.sentences[i].reply != NULL);
        more = more || r.sentences[i].reply != NULL;
    }
    o->found += canaries_in(r.text);
    o->drafts += r.text != NULL;
    o->used += used;
    o->offered_more += more;
    compose_done(&r);
}

static void of_200_replies_with_canaries_none_reaches_1000_drafts_for_others(void **state)
{
    (void)state;
    struct outcome o = {0};
    for (size_t i = 0; o.drafts < DRAFTS && i < 20 * DRAFTS; i++) {
        size_t at = i % (past_len + fresh_len);
        ask(at < past_len ? past[at] : fresh[at - past_len], i / (past_len + fresh_len), true, &o);
    }
    printf("%zu drafts, %zu with a sentence in a past reply's words: %zu canaries\n", o.drafts,
           o.used, o.found);
    assert_true(o.drafts >= DRAFTS);
    assert_int_equal(o.found, 0);
    assert_true(o.used >= DRAFTS / 20); /* what offers nothing leaks nothing */
}

static void without_a_good_answer_the_nearest_past_replies_are_named(void **state)
{
    (void)state;
    struct compose_model model = compose_default_model(false, false);
    struct compose_ticket ticket = {.subject = "weather", .replies = bank,
                                    .text = "what will the weather be in Utrecht tomorrow"};
    struct compose_result r;
    compose_reply(k, &model, &ticket, frames, &r);
    assert_int_equal(r.outcome, COMPOSE_NONE);
    assert_int_equal(r.near_reply_count, 3);
    assert_true(r.near_replies[0].ticket[0] != '\0');
    assert_true(r.near_replies[0].match >= r.near_replies[1].match);
    compose_done(&r);
}

static void an_approved_reply_answers_where_no_article_does(void **state)
{
    (void)state;
    struct reply_bank *b = reply_bank_new();
    struct compose_model model = compose_default_model(false, false);
    struct compose_result r;
    struct reply_past p = {
        .key = "P9", .subject = "bees", .approved = true,
        .text = "there is a swarm of bees in our letter box, please warn the driver",
        .reply = "Hello Bo,\n\nDrivers are told about animals by a note under the order number "
                 "{id}. We have asked him to ring at the side gate.\n\nKind regards"};
    assert_true(reply_bank_add(b, &p));
    reply_bank_seal(b, k);
    struct compose_ticket t = {.subject = "bees again", .replies = b,
                               .text = "a swarm of bees in our letter box, warn the driver please, "
                                       "order VM-500200"};
    compose_reply(k, &model, &t, frames, &r);
    assert_int_equal(r.outcome, COMPOSE_DRAFT);
    assert_non_null(strstr(r.text, "under the order number VM-500200"));
    assert_null(strstr(r.text, "side gate")); /* that was done in another case */
    assert_string_equal(r.sentences[0].reply, "P9");
    compose_done(&r);
    t.text = "a swarm of bees in our letter box, warn the driver please";
    compose_reply(k, &model, &t, frames, &r);
    assert_int_equal(r.outcome, COMPOSE_NONE); /* its slot stays empty */
    compose_done(&r);
    reply_bank_free(b);
}

static void a_desk_that_says_du_offers_no_sentence_with_sie(void **state)
{
    (void)state;
    static const char *const sie = "\xC3\x96""ffnen Sie dazu die App und w\xC3\xA4hlen Sie Pflege.";
    static const char *const du = "Wenn du magst, ruf uns an.";
    static const char *const none = "Die Maschine braucht danach zwei Minuten.";
    assert_true(compose_addresses(sie, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_SIE));
    assert_false(compose_addresses(sie, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_DU));
    assert_true(compose_addresses(du, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_DU));
    assert_false(compose_addresses(du, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_SIE));
    assert_true(compose_addresses(none, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_DU));
    assert_true(compose_addresses(sie, KNOWLEDGE_LANG_DE, COMPOSE_ADDRESS_ANY));
    assert_true(compose_addresses("Sie sagt es dir.", KNOWLEDGE_LANG_EN, COMPOSE_ADDRESS_SIE));
}

static void names_and_agents_are_the_desks_choice(void **state)
{
    (void)state;
    struct compose_model model = compose_default_model(false, false);
    struct compose_frame signed_by[3];
    struct compose_ticket t = {.subject = "tracking stuck", .called = COMPOSE_CALLED_FULL,
                               .text = "my tracking has said label created since yesterday, is the "
                                       "parcel still in your warehouse?\n\nDeclan Byrne"};
    struct compose_result r;
    model.threshold = 0;
    memcpy(signed_by, frames, sizeof(signed_by));
    signed_by[KNOWLEDGE_LANG_EN].agent = "Femke";
    compose_reply(k, &model, &t, signed_by, &r);
    assert_non_null(r.text);
    assert_non_null(strstr(r.text, "Hello Declan Byrne,"));
    assert_non_null(strstr(r.text, "Kind regards\nFemke"));
    compose_done(&r);
    t.called = COMPOSE_CALLED_FIRST;
    compose_reply(k, &model, &t, frames, &r);
    assert_non_null(strstr(r.text, "Hello Declan,"));
    compose_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_200_replies_with_canaries_none_reaches_1000_drafts_for_others),
        cmocka_unit_test(without_a_good_answer_the_nearest_past_replies_are_named),
        cmocka_unit_test(an_approved_reply_answers_where_no_article_does),
        cmocka_unit_test(a_desk_that_says_du_offers_no_sentence_with_sie),
        cmocka_unit_test(names_and_agents_are_the_desks_choice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
