/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of worker/mask on a small vocabulary of its own.
 */
#include "worker/mask/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/mem.h"

/* 0-255: the bytes; then words, some of which cross the places of a document. */
static const char *const words[] = {"{\"",  "\": ",   "\", \"", "true", "false", "tr",  "hello",
                                    " the", "queue",  "\"}",    "bill", "ing",   "car", "card",
                                    "12",   "3",      "\xc3",   "\xa9", "\xc3\xa9", "", "\n",
                                    "a\"",  "\\\"",   "card\"", "billing\"}"};

#define N_VOCAB (256 + (int)COUNT_OF(words))

static int piece(void *self, int token, char *out, int room)
{
    (void)self;
    if (token < 256) {
        out[0] = (char)token;
        return room > 0;
    }
    int n = (int)strlen(words[token - 256]);
    memcpy(out, words[token - 256], (size_t)n);
    return n;
}

static int token_of(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i], word) == 0) {
            return 256 + (int)i;
        }
    }
    return (uint8_t)word[0];
}

static const char ticket[] =
    "{\"type\":\"object\",\"properties\":{\"queue\":{\"enum\":[\"card\",\"billing\"]},"
    "\"urgent\":{\"type\":\"boolean\"},\"note\":{\"type\":\"string\",\"maxLength\":40}},"
    "\"required\":[\"queue\",\"urgent\"],\"additionalProperties\":false}";

static struct mask *open_mask(struct masks *m, const char *schema)
{
    struct mask *mask = NULL;
    struct fault why = {0};
    if (mask_open(m, schema, &mask, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return mask;
}

static bool in_set(const struct mask_set *set, int token)
{
    bool found = set->bits != NULL && (set->bits[token / 64] >> (token % 64) & 1) != 0;
    for (int i = 0; i < set->n; i++) {
        found = found || set->list[i] == token;
    }
    return found;
}

/* Both ways of asking give the same answer, at every state of a text. */
static void a_mask_is_what_single_checks_say(void **state)
{
    (void)state;
    static const char text[] = "{\"queue\": \"card\", \"urgent\": true, \"note\": \"the \xc3\xa9 "
                               "\\\"hello\\\" bill\"}";
    struct masks *m = masks_new(N_VOCAB, piece, NULL);
    struct mask *mask = open_mask(m, ticket);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        const struct mask_set *set = mask_tokens(mask);
        for (int token = 0; token < N_VOCAB; token++) {
            assert_int_equal(in_set(set, token), mask_allows(mask, token));
        }
        assert_true(mask_allows(mask, (uint8_t)text[i]));
        mask_accept(mask, (uint8_t)text[i]);
    }
    assert_true(mask_over(mask));
    assert_int_equal(mask_tokens(mask)->n, 0);
    mask_close(mask);
    masks_free(m);
}

static void what_must_come_is_known(void **state)
{
    (void)state;
    char text[MASK_FORCED_MAX];
    struct masks *m = masks_new(N_VOCAB, piece, NULL);
    struct mask *mask = open_mask(m, ticket);
    size_t n = mask_forced(mask, text);
    assert_int_equal(n, 11);
    assert_memory_equal(text, "{\"queue\": \"", 11);
    for (size_t i = 0; i < n; i++) {
        mask_accept(mask, (uint8_t)text[i]);
    }
    assert_int_equal(mask_forced(mask, text), 0);
    assert_true(mask_allows(mask, token_of("bill")) && mask_allows(mask, token_of("card\"")));
    assert_false(mask_allows(mask, token_of("hello")) || mask_allows(mask, token_of("\n")));
    assert_false(mask_allows(mask, token_of("billing\"}"))); /* urgent is required */
    mask_accept(mask, token_of("car"));
    n = mask_forced(mask, text);
    assert_memory_equal(text, "d\", \"urgent\": ", 14);
    assert_int_equal(n, 14);
    mask_close(mask);
    masks_free(m);
}

static void schemas_that_come_and_go_do_not_grow(void **state)
{
    (void)state;
    char schema[200];
    struct masks *m = masks_new(N_VOCAB, piece, NULL);
    size_t most = 0;
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(schema, sizeof schema,
                       "{\"properties\":{\"p%d\":{\"type\":\"string\"}},\"required\":[\"p%d\"]}", i,
                       i);
        struct mask *mask = open_mask(m, schema);
        mask_accept(mask, '{');
        (void)mask_tokens(mask);
        mask_close(mask);
        assert_true(masks_count(m) <= MASK_SCHEMAS_MAX);
        most = masks_bytes(m) > most ? masks_bytes(m) : most;
    }
    assert_true(most <= MASK_BYTES_MAX);
    masks_free(m);
}

static void a_schema_that_is_refused_leaves_nothing(void **state)
{
    (void)state;
    struct masks *m = masks_new(N_VOCAB, piece, NULL);
    struct mask *mask = NULL;
    struct fault why = {0};
    assert_int_equal(mask_open(m, "{\"uniqueItems\":true}", &mask, &why), FAIL_UNSUPPORTED);
    assert_non_null(strstr(why.message, "uniqueItems"));
    assert_int_equal(masks_count(m), 0);
    masks_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_is_what_single_checks_say),
        cmocka_unit_test(what_must_come_is_known),
        cmocka_unit_test(schemas_that_come_and_go_do_not_grow),
        cmocka_unit_test(a_schema_that_is_refused_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
