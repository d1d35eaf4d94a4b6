/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values: one number, amount or date read from a stretch of text, and how it is written as a
 * field's value (number "1234.50", amount "1234.50 EUR", date "2026-11-03", as answer/ladder says).
 * What could be read in two ways is not read.
 * Owns: nothing. Threads: pure. Limits: values of REUSE_VALUE_ROOM bytes.
 */
#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/text/text.h"

static const char *const transform_names[REUSE_TRANSFORM_COUNT] = {
    "verbatim", "lower", "upper", "label", "number", "amount", "date"};

const char *reuse_transform_name(enum reuse_transform t)
{
    return t < REUSE_TRANSFORM_COUNT ? transform_names[t] : "none";
}

bool reuse_value_rule(size_t i, struct value_rule *out)
{
    static const uint8_t plain[] = {REUSE_VERBATIM, REUSE_LOWER, REUSE_UPPER, REUSE_LABEL};
    *out = (struct value_rule){0};
    if (i < COUNT_OF(plain)) {
        out->transform = plain[i];
        return true;
    }
    i -= COUNT_OF(plain);
    if (i < VALUE_ORDER_COUNT) {
        out->transform = REUSE_DATE;
        out->order = (uint8_t)i;
        return true;
    }
    i -= VALUE_ORDER_COUNT;
    size_t numbers = (size_t)2 * VALUE_FORM_COUNT;
    if (i >= 2 * numbers) {
        return false;
    }
    out->transform = i < numbers ? REUSE_AMOUNT : REUSE_NUMBER;
    out->mark = i % 2 == 0 ? '.' : ',';
    out->form = (uint8_t)(i % numbers / 2);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

/* ---- plain text ---- */

static bool fold(const char *s, size_t n, enum reuse_transform how, char *out, size_t room)
{
    size_t k = 0;
    if (n == 0 || n >= room) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if ((c & 0x80) != 0 && how != REUSE_VERBATIM) {
            return false; /* case beyond ASCII is another room's matter */
        }
        if (how == REUSE_UPPER && c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        } else if ((how == REUSE_LOWER || how == REUSE_LABEL) && c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (how == REUSE_LABEL && (c == ' ' || c == '-')) {
            c = '_';
        }
        out[k++] = c;
    }
    out[k] = '\0';
    return true;
}

/* ---- numbers ---- */

struct number {
    size_t at, len;      /* in the text, with its sign */
    char digits[40];     /* whole part, no grouping */
    char fraction[24];
};

/* The stretch of digits and separators at s[i..): where it ends. */
static size_t number_end(const char *s, size_t n, size_t i)
{
    size_t end = i;
    while (end < n && (is_digit(s[end]) ||
                       ((s[end] == '.' || s[end] == ',' || s[end] == '\'') && end + 1 < n &&
                        is_digit(s[end + 1])))) {
        end++;
    }
    return end;
}

/* Groups of three after the first, all by the same separator, and a fraction after the mark. */
static bool read_number(const char *s, size_t n, char mark, struct number *out)
{
    size_t whole = 0, fraction = 0, group = 0, groups = 0;
    bool in_fraction = false;
    char separator = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_digit(s[i])) {
            if (in_fraction ? fraction + 1 >= sizeof(out->fraction)
                            : whole + 1 >= sizeof(out->digits)) {
                return false;
            }
            if (in_fraction) {
                out->fraction[fraction++] = s[i];
            } else {
                out->digits[whole++] = s[i];
                group++;
            }
        } else if (s[i] == mark) {
            if (in_fraction || (groups > 0 && group != 3)) {
                return false;
            }
            in_fraction = true;
        } else {
            if (in_fraction || (separator != 0 && s[i] != separator) ||
                (groups > 0 ? group != 3 : group == 0 || group > 3)) {
                return false;
            }
            separator = s[i];
            groups++;
            group = 0;
        }
    }
    out->digits[whole] = out->fraction[fraction] = '\0';
    return whole > 0 && (groups == 0 || group == 3);
}

/* Exactly one number in s, not part of a word or an id. */
static bool only_number(const char *s, size_t n, char mark, struct number *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s[i])) {
            continue;
        }
        size_t end = number_end(s, n, i);
        bool joined = (i > 0 && (is_letter(s[i - 1]) || strchr("_/:#@", s[i - 1]) != NULL)) ||
                      (end < n && (is_letter(s[end]) || strchr("_/:@", s[end]) != NULL)) ||
                      (end + 1 < n && s[end] == '-' && is_digit(s[end + 1])) ||
                      (i > 1 && s[i - 1] == '-' && (is_digit(s[i - 2]) || is_letter(s[i - 2])));
        if (++found > 1 || joined || !read_number(s + i, end - i, mark, out)) {
            return false;
        }
        bool minus = i > 0 && s[i - 1] == '-';
        out->at = minus ? i - 1 : i;
        out->len = end - out->at;
        i = end;
    }
    return found == 1;
}

static bool write_number(const char *s, const struct number *v, enum value_form form, char *out,
                         size_t room)
{
    char fraction[24];
    size_t n = strlen(v->fraction), zeros = strspn(v->digits, "0");
    const char *digits = v->digits + (v->digits[zeros] == '\0' ? zeros - 1 : zeros);
    memcpy(fraction, v->fraction, n + 1);
    while (form == VALUE_STRIP && n > 0 && fraction[n - 1] == '0') {
        fraction[--n] = '\0';
    }
    if (form == VALUE_TWO) {
        if (n > 2) {
            return false;
        }
        while (n < 2) {
            fraction[n++] = '0';
        }
        fraction[n] = '\0';
    }
    int k = snprintf(out, room, "%s%s%s%s", s[v->at] == '-' ? "-" : "", digits, n > 0 ? "." : "",
                     fraction);
    return k > 0 && (size_t)k < room;
}

/* ---- amounts ---- */

static const struct {
    const char *sign, *code;
} currencies[] = {{"\xe2\x82\xac", "EUR"}, {"US$", "USD"}, {"$", "USD"},   {"\xc2\xa3", "GBP"},
                  {"EUR", "EUR"},          {"USD", "USD"}, {"GBP", "GBP"}, {"CHF", "CHF"},
                  {"JPY", "JPY"},          {"SEK", "SEK"}, {"NOK", "NOK"}, {"DKK", "DKK"},
                  {"PLN", "PLN"},          {"CZK", "CZK"}, {"HUF", "HUF"}, {"CAD", "CAD"},
                  {"AUD", "AUD"},          {"NZD", "NZD"}, {"CNY", "CNY"}, {"INR", "INR"},
                  {"BRL", "BRL"},          {"MXN", "MXN"}, {"ZAR", "ZAR"}, {"TRY", "TRY"},
                  {"SGD", "SGD"},          {"HKD", "HKD"}, {"Euro", "EUR"}, {"euros", "EUR"}};

/* The one currency named in s, with its place; NULL when there is none or a second one. */
static const char *only_currency(const char *s, size_t n, size_t *at, size_t *len)
{
    const char *code = NULL;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < COUNT_OF(currencies); k++) {
            size_t m = strlen(currencies[k].sign);
            bool word = is_letter(currencies[k].sign[0]) && (s[i] & 0x80) == 0;
            if (m > n - i || memcmp(s + i, currencies[k].sign, m) != 0 ||
                (word && ((i > 0 && is_letter(s[i - 1])) || (i + m < n && is_letter(s[i + m]))))) {
                continue;
            }
            if (code != NULL && strcmp(code, currencies[k].code) != 0) {
                return NULL;
            }
            if (code == NULL) {
                *at = i;
                *len = m;
            }
            code = currencies[k].code;
            i += m - 1;
            break;
        }
    }
    return code;
}

static bool read_amount(const struct value_rule *rule, const char *s, size_t n, char *out,
                        size_t room, size_t *at, size_t *len)
{
    struct number v;
    size_t sign_at = 0, sign_len = 0;
    const char *code = only_currency(s, n, &sign_at, &sign_len);
    if (code == NULL || !only_number(s, n, (char)rule->mark, &v) ||
        !write_number(s, &v, (enum value_form)rule->form, out, room - 4)) {
        return false;
    }
    size_t k = strlen(out);
    snprintf(out + k, room - k, " %s", code);
    size_t from = sign_at < v.at ? sign_at : v.at;
    size_t to = sign_at + sign_len > v.at + v.len ? sign_at + sign_len : v.at + v.len;
    *at = from;
    *len = to - from;
    return true;
}

/* ---- dates ---- */

static const char *const months[][4] = {
    {"jan", "january", "januar", "jaenner"}, {"feb", "february", "februar", NULL},
    {"mar", "march", "m\xc3\xa4rz", "maerz"}, {"apr", "april", NULL, NULL},
    {"may", "mai", NULL, NULL},               {"jun", "june", "juni", NULL},
    {"jul", "july", "juli", NULL},            {"aug", "august", NULL, NULL},
    {"sep", "september", "sept", NULL},       {"oct", "october", "oktober", "okt"},
    {"nov", "november", NULL, NULL},          {"dec", "december", "dezember", "dez"}};

int reuse_month(const char *s, size_t n)
{
    char low[16];
    if (n == 0 || n >= sizeof(low)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        low[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] - 'A' + 'a') : s[i];
    }
    low[n] = '\0';
    for (size_t m = 0; m < COUNT_OF(months); m++) {
        for (size_t k = 0; k < COUNT_OF(months[m]) && months[m][k] != NULL; k++) {
            if (strcmp(months[m][k], low) == 0) {
                return (int)m + 1;
            }
        }
    }
    return 0;
}

struct part {
    size_t at, len;
    int value;  /* -1: not a number of a date */
    int month;  /* of a name, 0 for none */
};

/* Numbers and month names of s, at most `max`; more: SIZE_MAX. A time of day ends the date. */
static size_t date_parts(const char *s, size_t n, struct part *out, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        bool digit = is_digit(s[i]);
        if (!digit && !is_letter(s[i])) {
            i++;
            continue;
        }
        while (i < n && (digit ? is_digit(s[i]) : is_letter(s[i]))) {
            i++;
        }
        if (digit && i < n && s[i] == ':') {
            break; /* hours: what follows is a time */
        }
        int month = digit ? 0 : reuse_month(s + from, i - from);
        if (!digit && month == 0) {
            continue; /* a weekday, "at", the T before a time */
        }
        if (found == max) {
            return SIZE_MAX;
        }
        int value = -1;
        if (digit && i - from <= 4) {
            value = 0;
            for (size_t k = from; k < i; k++) {
                value = value * 10 + (s[k] - '0');
            }
        }
        out[found++] = (struct part){from, i - from, value, month};
    }
    return found;
}

static bool date_is(int y, int m, int d)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return y >= 1900 && y <= 2199 && m >= 1 && m <= 12 && d >= 1 &&
           d <= days[m - 1] + (m == 2 && leap ? 1 : 0);
}

static bool read_date(const struct value_rule *rule, const char *s, size_t n, char *out,
                      size_t room, size_t *at, size_t *len)
{
    static const uint8_t place[VALUE_ORDER_COUNT][3] = {{0, 1, 2}, {2, 1, 0}, {2, 0, 1}};
    struct part p[3];
    if (date_parts(s, n, p, COUNT_OF(p)) != 3) {
        return false;
    }
    const struct part *year = &p[place[rule->order][0]];
    const struct part *month = &p[place[rule->order][1]];
    const struct part *day = &p[place[rule->order][2]];
    int m = month->month > 0 ? month->month : month->value;
    if (year->len != 4 || year->month > 0 || day->month > 0 || year->value < 0 || day->value < 0 ||
        !date_is(year->value, m, day->value)) {
        return false;
    }
    *at = p[0].at;
    *len = p[2].at + p[2].len - p[0].at;
    int k = snprintf(out, room, "%04d-%02d-%02d", year->value, m, day->value);
    return k > 0 && (size_t)k < room;
}

static bool apply_one(const struct value_rule *rule, const char *s, size_t n, char *out,
                      size_t room, size_t *at, size_t *len)
{
    struct number v;
    switch ((enum reuse_transform)rule->transform) {
    case REUSE_NUMBER:
        if (!only_number(s, n, (char)rule->mark, &v)) {
            return false;
        }
        *at = v.at;
        *len = v.len;
        return write_number(s, &v, (enum value_form)rule->form, out, room);
    case REUSE_AMOUNT:
        return read_amount(rule, s, n, out, room, at, len);
    case REUSE_DATE:
        return read_date(rule, s, n, out, room, at, len);
    case REUSE_VERBATIM:
    case REUSE_LOWER:
    case REUSE_UPPER:
    case REUSE_LABEL:
    case REUSE_TRANSFORM_COUNT:
        break;
    }
    *at = 0;
    *len = n;
    return rule->transform < REUSE_NUMBER &&
           fold(s, n, (enum reuse_transform)rule->transform, out, room);
}

/* Every reading that is still possible, and all of them say the same. */
bool reuse_value_apply(const struct value_rule *rule, const char *s, size_t n, char *out,
                       size_t room, size_t *at, size_t *len)
{
    struct value_rule one = *rule, other = *rule;
    bool number = rule->transform == REUSE_NUMBER || rule->transform == REUSE_AMOUNT;
    if (number && rule->mark == 0) {
        one.mark = '.';
        other.mark = ',';
    } else if (rule->transform == REUSE_DATE && rule->order == VALUE_ORDER_COUNT) {
        one.order = VALUE_DMY;
        other.order = VALUE_MDY;
    } else {
        return apply_one(rule, s, n, out, room, at, len);
    }
    char second[REUSE_VALUE_ROOM];
    size_t second_at = 0, second_len = 0;
    bool second_ok = apply_one(&other, s, n, second, sizeof(second), &second_at, &second_len);
    if (!apply_one(&one, s, n, out, room, at, len)) {
        *at = second_at;
        *len = second_len;
        return second_ok && text_copy(out, room, second);
    }
    return !second_ok || strcmp(out, second) == 0;
}
