/* SPDX-License-Identifier: Apache-2.0 */
/* Guess: which kind of field the values of some examples are. Owns nothing. Threads: pure. */
#include <string.h>

#include "answer/extract/extract_internal.h"

/* Would a head of this kind give the value of this example? */
static bool can_say(enum extract_kind kind, const struct extract_example *x)
{
    uint32_t at, len;
    return extract_locate(kind, x->text, x->text_len, &x->scene, x->value, &at, &len);
}

/* Digits that are a name rather than a count: all of one length over 3, or zeros in front. */
static bool are_codes(const struct extract_example *ex, size_t n)
{
    size_t digits = 0, given = 0, zeros = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(ex[i].value);
        if (len > 0) {
            given++;
            digits += len > 3 && strspn(ex[i].value, "0123456789") == len;
            zeros += len > 1 && ex[i].value[0] == '0' && strspn(ex[i].value, "0123456789") == len;
        }
    }
    return 2 * digits > given || 10 * zeros > given;
}

/* "12.50 EUR" among them: without a currency an amount is a number. */
static bool are_money(const struct extract_example *ex, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(ex[i].value);
        if (len > 4 && ex[i].value[len - 4] == ' ') {
            return true;
        }
    }
    return false;
}

/* Do candidates of the kind's types cover the value where it stands? */
static bool is_candidate(enum extract_kind kind, const struct extract_example *x)
{
    struct tokens t;
    struct candidates c;
    uint32_t at = 0, len = 0;
    bool found = false;
    if (!extract_locate(EXTRACT_SPAN, x->text, x->text_len, &x->scene, x->value, &at, &len)) {
        return false;
    }
    extract_tokens_read(&t, x->text, x->text_len);
    extract_candidates(&t, &x->scene, &c);
    for (size_t i = 0; i < c.len && !found; i++) {
        const struct token *last = &t.token[c.item[i].to - 1];
        found = extract_suits(kind, c.item[i].type) && t.token[c.item[i].from].at == at &&
                last->at + last->len == at + len;
    }
    mem_free(c.item);
    extract_tokens_done(&t);
    return found;
}

enum extract_kind extract_guess_kind(const struct extract_example *examples, size_t n)
{
    static const enum extract_kind order[] = {EXTRACT_NUMBER, EXTRACT_DATE, EXTRACT_AMOUNT,
                                              EXTRACT_ID};
    size_t given = 0, spans = 0;
    for (size_t i = 0; i < n; i++) {
        if (examples[i].value[0] != '\0') {
            given++;
            spans += can_say(EXTRACT_SPAN, &examples[i]);
        }
    }
    for (size_t k = 0; k < COUNT_OF(order); k++) {
        size_t said = 0;
        for (size_t i = 0; i < n; i++) {
            const struct extract_example *x = &examples[i];
            said += x->value[0] != '\0' &&
                    (order[k] == EXTRACT_ID ? is_candidate(order[k], x) : can_say(order[k], x));
        }
        bool other = (order[k] == EXTRACT_NUMBER && are_codes(examples, n)) ||
                     (order[k] == EXTRACT_AMOUNT && !are_money(examples, n));
        if (said > 0 && !other && 100 * said >= 95 * given && said * 100 >= 98 * spans) {
            return order[k];
        }
    }
    return EXTRACT_SPAN;
}
