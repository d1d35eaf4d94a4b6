/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts of money as people write them. A number counts when a currency stands beside it, or a
 * word before it says that an amount follows; order numbers do not.
 */
#include <string.h>
#include <strings.h>

#include "answer/route/route_internal.h"

/* Words before the number, after it, or both. Folded. */
static const char *const currencies[] = {
    "eur",    "euro",   "euros", "usd",   "dollar", "dollars", "gbp",    "pound",  "pounds",
    "quid",   "chf",    "franken", "francs", "franc", "sek",   "nok",    "dkk",    "pln",
    "zloty",  "czk",    "huf",   "jpy",   "yen",    "cad",     "aud",    "dolares", "libras",
    "pesos",  "mxn",    "brl",   "inr",   "rupees", "cny",     "yuan",   "bucks",  NULL};
static const char *const leads[] = {"of", "von", "de", "uber", "ueber", NULL};

static bool word_at(const struct route_words *w, size_t i, const char *const *list)
{
    const struct route_word *word = &w->list[i];
    for (; *list != NULL; list++) {
        if (strlen(*list) == word->len &&
            memcmp(*list, w->folded.data + word->at, word->len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of a sign of currency that begins at s, 0: none. */
static size_t sign_at(const char *s, size_t len)
{
    static const char *const signs[] = {"\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5", "$", NULL};
    for (size_t i = 0; signs[i] != NULL; i++) {
        size_t n = strlen(signs[i]);
        if (n <= len && memcmp(s, signs[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

/* Bytes of a separator inside a number at s, with *digits after it: a point or comma before digits,
   a space of any kind or an apostrophe before three. 0: the number ends. */
static size_t separator_at(const char *s, size_t len, size_t *digits)
{
    static const char *const marks[] = {".",        ",",            "'",           " ",
                                        "\xc2\xa0", "\xe2\x80\xaf", "\xe2\x80\x99"};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        size_t n = strlen(marks[i]), k = 0;
        if (len <= n || memcmp(s, marks[i], n) != 0) {
            continue;
        }
        while (n + k < len && is_digit(s[n + k])) {
            k++;
        }
        *digits = k;
        return k == 3 || (k > 0 && i < 2) ? n : 0;
    }
    return 0;
}

static double read_digits(const char *s, size_t n)
{
    double v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

/* The number at s; returns its bytes. Three digits after a separator are thousands; fewer or more
   after a point or comma are a fraction, and end it. */
static size_t read_number(const char *s, size_t len, double *out)
{
    size_t i = 0, digits = 0, sep;
    while (i < len && is_digit(s[i])) {
        i++;
    }
    *out = read_digits(s, i);
    while ((sep = separator_at(s + i, len - i, &digits)) > 0) {
        double group = read_digits(s + i + sep, digits);
        i += sep + digits;
        if (digits != 3) {
            for (size_t k = 0; k < digits; k++) {
                group /= 10;
            }
            *out += group;
            break;
        }
        *out = *out * 1000 + group;
    }
    return i;
}

static bool money_before(const struct route_words *w, size_t i, const char *text)
{
    size_t from = w->list[i].from;
    for (size_t n = 1; n <= 4 && n <= from; n++) {
        size_t sign = sign_at(text + from - n, n);
        if (sign > 0 && (sign == n || (sign + 1 == n && text[from - 1] == ' '))) {
            return true;
        }
    }
    return i > 0 && (word_at(w, i - 1, currencies) || word_at(w, i - 1, leads));
}

/* A sign or a word of currency at text[at..len), after spaces. */
static bool money_after(const struct route_words *w, size_t next, const char *text, size_t len,
                        size_t at)
{
    while (at < len &&
           (text[at] == ' ' || (len - at > 1 && memcmp(text + at, "\xc2\xa0", 2) == 0))) {
        at += text[at] == ' ' ? 1 : 2;
    }
    return sign_at(text + at, len - at) > 0 ||
           (next < w->n && w->list[next].from <= at && word_at(w, next, currencies));
}

/* Letters that follow the digits in one word: "2k", "2300eur". False: an id, no amount. */
static bool read_tail(const char *tail, size_t n, double *times, bool *money)
{
    static const char *const codes[] = {"eur", "usd", "gbp", "chf"};
    if (n == 1 && (*tail == 'k' || *tail == 'K')) {
        *times = 1000;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        *money = *money || (n >= 3 && n <= 5 && strncasecmp(tail, codes[i], 3) == 0);
    }
    return *money;
}

/* The amount whose digits begin with word *i; 0: it is none. Moves *i to its last word. */
static double amount_at(const struct route_words *w, size_t *i, const char *text, size_t len)
{
    static const char *const thousands[] = {"k",     "thousand", "grand", "tausend",
                                            "mille", "mil",      NULL};
    double value = 0, times = 1;
    size_t first = *i, next = first;
    size_t end = w->list[first].from + read_number(text + w->list[first].from,
                                                   len - w->list[first].from, &value);
    bool money = money_before(w, first, text);
    while (next < w->n && w->list[next].to <= end) {
        next++;
    }
    if (next < w->n && w->list[next].from < end) {
        bool amount = read_tail(text + end, w->list[next].to - end, &times, &money);
        end = w->list[next].to;
        *i = next++;
        if (!amount) {
            return 0;
        }
    } else {
        *i = next - 1;
        if (next < w->n && w->list[next].from == end + 1 && word_at(w, next, thousands)) {
            times = 1000;
            end = w->list[next].to;
            *i = next++;
        }
    }
    return money || money_after(w, next, text, len, end) ? value * times : 0;
}

double route_amount_largest(const char *text, size_t len)
{
    struct route_words w;
    double largest = 0;
    route_words_read(&w, text, len, false);
    for (size_t i = 0; i < w.n; i++) {
        if (is_digit(text[w.list[i].from])) {
            double value = amount_at(&w, &i, text, len);
            largest = value > largest ? value : largest;
        }
    }
    route_words_done(&w);
    return largest;
}
