/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard takes for the same request, and what it never does. */
#include "answer/reuse/reuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static enum reuse_verdict ask(const char *a, const char *b)
{
    enum reuse_verdict v = reuse_guard(a, strlen(a), b, strlen(b));
    assert_true((v == REUSE_SAME) == (reuse_guard(b, strlen(b), a, strlen(a)) == REUSE_SAME));
    return v;
}

static void the_same_in_other_words(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"How do I activate my card?", "Hello, how can I activate my card please"},
        {"what's my balance", "What is my balance?"},
        {"can you tell me what my balance is", "Can you please tell me what my balance is?"},
        {"I want to cancel my card", "please cancel my card"},
        {"i'd like to top-up my account", "I want to top-up the account."},
        {"I can't log in", "i cannot log in!"},
        {"how do i dispute a $1,200 charge", "How can I dispute a $1200 charge?"},
        {"it doesnt work", "it doesn't work"},
        {"Wie kann ich meine Karte sperren?", "Hallo, wie kann ich meine Karte sperren"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        enum reuse_verdict v = ask(pairs[i][0], pairs[i][1]);
        if (v != REUSE_SAME) {
            fail_msg("\"%s\" and \"%s\": %s", pairs[i][0], pairs[i][1], reuse_verdict_name(v));
        }
    }
}

static void another_request_is_never_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        enum reuse_verdict why;
    } pairs[] = {
        {"how do i enable 2fa", "how do i disable 2fa", REUSE_NOT_WORDS},
        {"how do I turn on roaming", "how do I turn off roaming", REUSE_NOT_WORDS},
        {"I want to cancel my card", "I do not want to cancel my card", REUSE_NOT_POLARITY},
        {"can i use it", "can't i use it", REUSE_NOT_POLARITY},
        {"why was I charged 10 euros", "why was I charged 100 euros", REUSE_NOT_NUMBER},
        {"send 5 pounds", "send 5.5 pounds", REUSE_NOT_NUMBER},
        {"please send two pounds to him", "please send three pounds to him", REUSE_NOT_NUMBER},
        {"send $5", "send -$5", REUSE_NOT_WORDS},
        {"move 50 from savings to checking", "move 50 from checking to savings", REUSE_NOT_ORDER},
        {"what is my name", "what is your name", REUSE_NOT_PERSON},
        {"how do I pay the fee", "can I pay the fee", REUSE_NOT_QUESTION},
        {"where is my card", "when is my card", REUSE_NOT_QUESTION},
        {"how many cards", "how much cards", REUSE_NOT_QUESTION},
        {"is my card active", "my card is active", REUSE_NOT_QUESTION},
        {"was my card charged", "will my card be charged", REUSE_NOT_TIME},
        {"pay before the due date", "pay after the due date", REUSE_NOT_TIME},
        {"order 4711 is late", "order 4712 is late", REUSE_NOT_NUMBER},
        {"track order AB12", "track order AB13", REUSE_NOT_NUMBER},
        {"Ich will kein Abo mehr", "Ich will das Abo mehr", REUSE_NOT_POLARITY},
        {"please", "hello", REUSE_NOT_SHORT},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        enum reuse_verdict v = ask(pairs[i].a, pairs[i].b);
        if (v != pairs[i].why) {
            fail_msg("\"%s\" and \"%s\": %s", pairs[i].a, pairs[i].b, reuse_verdict_name(v));
        }
    }
}

static void too_long_is_not_compared(void **state)
{
    (void)state;
    static char big[REUSE_GUARD_TEXT + 2];
    memset(big, 'a', sizeof(big) - 1);
    assert_int_equal(ask(big, big), REUSE_NOT_SHORT);
    big[60] = '\0';
    assert_int_equal(ask(big, big), REUSE_NOT_SHORT); /* no such word */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_in_other_words),
        cmocka_unit_test(another_request_is_never_the_same),
        cmocka_unit_test(too_long_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
