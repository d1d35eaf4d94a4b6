/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: the numbers, dates, ids, links, names, quotations and code of a text, as it writes them.
 *
 * One pass from left to right; at each place the longest kind that was asked for wins: code,
 * quotation, link, mail, date, time, telephone number, id, number, name.
 * Owns: nothing. Threads: pure. Limits: what lies beyond `max` is counted, not written.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

#define NBSP "\xC2\xA0"
#define NARROW "\xE2\x80\xAF"
#define MINUS "\xE2\x88\x92"

struct scan {
    const char *s;
    size_t len;
    enum knowledge_lang lang;
    unsigned kinds;
    struct check_value *out;
    size_t max, count;
};

static bool wants(const struct scan *sc, enum check_value_kind kind)
{
    return (sc->kinds & CHECK_KEEP(kind)) != 0;
}

static bool is_digit(const struct scan *sc, size_t i)
{
    return i < sc->len && sc->s[i] >= '0' && sc->s[i] <= '9';
}

/* A letter, digit or any byte of a character beyond ASCII that is no blank or dash. */
static bool is_word_byte(const char *s, size_t len, size_t i)
{
    if (i >= len) {
        return false;
    }
    unsigned char c = (unsigned char)s[i];
    if (c < 0x80) {
        return isalnum(c) || c == '_';
    }
    while (i > 0 && ((unsigned char)s[i] & 0xC0) == 0x80) {
        i--;
    }
    unsigned char lead = (unsigned char)s[i], next = i + 1 < len ? (unsigned char)s[i + 1] : 0;
    return !(lead == 0xE2 && next >= 0x80 && next <= 0x8B) && !(lead == 0xC2 && next < 0xAA) &&
           !(lead == 0xC2 && next >= 0xAB && next != 0xB5 && next != 0xBA) && lead != 0xE3;
}

bool check_is_whole_word(const char *text, size_t len, size_t at, size_t n)
{
    bool before = at > 0 && is_word_byte(text, len, at - 1) && is_word_byte(text, len, at);
    bool behind = n > 0 && is_word_byte(text, len, at + n) && is_word_byte(text, len, at + n - 1);
    return !before && !behind;
}

/* Lower case of ASCII, Latin-1, Greek and Cyrillic two-byte letters: enough to find a word. */
static uint32_t fold(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
        (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F)) {
        return c + 32;
    }
    return c >= 0x100 && c <= 0x17F && c != 0x130 && c != 0x131 ? c | 1u : c;
}

static size_t match_folded(const char *s, size_t len, const char *word)
{
    size_t i = 0, k = 0, n = strlen(word);
    while (k < n) {
        uint32_t a = 0, b = 0;
        size_t x = i < len ? text_utf8_decode(s + i, len - i, &a) : 0;
        size_t y = text_utf8_decode(word + k, n - k, &b);
        if (x == 0 || y == 0 || fold(a) != fold(b)) {
            return 0;
        }
        i += x;
        k += y;
    }
    return i;
}

bool check_starts_folded(const char *text, size_t len, const char *with)
{
    return match_folded(text, len, with) > 0;
}

size_t check_find_word(const char *text, size_t len, size_t from, const char *word)
{
    for (size_t i = from; word[0] != '\0' && i < len; i++) {
        if (((unsigned char)text[i] & 0xC0) == 0x80) {
            continue;
        }
        size_t n = match_folded(text + i, len - i, word);
        if (n > 0 && check_is_whole_word(text, len, i, n)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static size_t put(struct scan *sc, enum check_value_kind kind, size_t at, size_t len, double number,
                  double step)
{
    if (sc->count < sc->max) {
        sc->out[sc->count] =
            (struct check_value){(uint32_t)at, (uint32_t)len, kind, number, step};
    }
    sc->count++;
    return at + len;
}

static size_t skip_blank(const struct scan *sc, size_t i)
{
    if (i < sc->len && sc->s[i] == ' ') {
        return i + 1;
    }
    if (i + 2 <= sc->len && memcmp(sc->s + i, NBSP, 2) == 0) {
        return i + 2;
    }
    return i + 3 <= sc->len && memcmp(sc->s + i, NARROW, 3) == 0 ? i + 3 : i;
}

static bool word_at(const struct scan *sc, size_t i, const char *word)
{
    size_t n = strlen(word);
    return i + n <= sc->len && strncasecmp(sc->s + i, word, n) == 0 &&
           check_is_whole_word(sc->s, sc->len, i, n);
}

/* ---- numbers ---- */

/* A group separator in front of exactly three digits: its length, else 0. */
static size_t group_gap(const struct scan *sc, size_t i)
{
    size_t n = i + 2 <= sc->len && memcmp(sc->s + i, NBSP, 2) == 0       ? 2
               : i + 3 <= sc->len && memcmp(sc->s + i, NARROW, 3) == 0   ? 3
               : i + 3 <= sc->len && memcmp(sc->s + i, "\xE2\x80\x99", 3) == 0 ? 3
               : i < sc->len && sc->s[i] == '\''                        ? 1
                                                                         : 0;
    if (n == 0 || !is_digit(sc, i + n) || !is_digit(sc, i + n + 1) || !is_digit(sc, i + n + 2) ||
        is_digit(sc, i + n + 3)) {
        return 0;
    }
    return n;
}

/* The last separator of s[0..n) is the decimal one? */
static bool is_decimal(const struct scan *sc, size_t at, size_t n, size_t marks, char last,
                       bool mixed, size_t behind)
{
    char decimal = sc->lang == KNOWLEDGE_LANG_DE ? ',' : '.';
    if (mixed) {
        return true;
    }
    if (marks > 1) {
        return false;
    }
    size_t before = n - behind - 1;
    bool grouped = behind == 3 && before <= 3 && sc->s[at] != '0';
    return last == decimal || !grouped;
}

/* Digits with separators from `at`; 0 when there is no number, else its end. `dots` counts the
   points of a version number, which is none. */
static size_t read_digits(const struct scan *sc, size_t at, double *value, double *step)
{
    char digits[64];
    size_t i = at, n = 0, marks = 0, behind = 0, where = SIZE_MAX;
    char last = '\0', first = '\0';
    bool bad_group = false;
    while (i < sc->len && n < sizeof(digits) - 2) {
        if (is_digit(sc, i)) {
            digits[n++] = sc->s[i++];
            behind++;
            continue;
        }
        size_t gap = group_gap(sc, i);
        if (gap > 0) {
            i += gap;
            continue;
        }
        if ((sc->s[i] != '.' && sc->s[i] != ',') || !is_digit(sc, i + 1)) {
            break;
        }
        bad_group = bad_group || (marks > 0 && behind != 3);
        first = marks == 0 ? sc->s[i] : first;
        last = sc->s[i++];
        marks++;
        behind = 0;
        where = n;
    }
    bool mixed = marks > 1 && first != last;
    if (n == 0 || (marks > 1 && !mixed && (bad_group || behind != 3)) ||
        (mixed && (bad_group || marks > 12))) {
        return 0;
    }
    bool decimal = marks > 0 && is_decimal(sc, at, n + marks, marks, last, mixed, behind);
    *step = decimal ? pow(10, -(double)behind) : 1;
    if (decimal) {
        memmove(digits + where + 1, digits + where, n - where);
        digits[where] = '.';
        n++;
    }
    digits[n] = '\0';
    *value = strtod(digits, NULL);
    return i;
}

static const struct {
    const char *word;
    double factor;
} magnitudes[] = {{"thousand", 1e3}, {"million", 1e6},   {"millions", 1e6},  {"billion", 1e9},
                  {"bn", 1e9},       {"mn", 1e6},        {"m", 1e6},         {"k", 1e3},
                  {"tausend", 1e3},  {"Millionen", 1e6}, {"Mio.", 1e6},      {"Mio", 1e6},
                  {"Milliarde", 1e9}, {"Milliarden", 1e9}, {"Mrd.", 1e9},    {"Mrd", 1e9}};

static size_t read_magnitude(const struct scan *sc, size_t end, double *value, double *step)
{
    size_t i = skip_blank(sc, end);
    for (size_t m = 0; m < COUNT_OF(magnitudes); m++) {
        size_t n = strlen(magnitudes[m].word);
        bool letter = n == 1;
        bool there = letter ? end + 1 <= sc->len &&
                                  (sc->s[end] == magnitudes[m].word[0] ||
                                   (sc->s[end] == 'M' && magnitudes[m].word[0] == 'm')) &&
                                  sc->s[end] != 'm' && !is_word_byte(sc->s, sc->len, end + 1)
                            : word_at(sc, i, magnitudes[m].word);
        if (there) {
            *value *= magnitudes[m].factor;
            *step *= magnitudes[m].factor;
            return letter ? end + 1 : i + n;
        }
    }
    return end;
}

static const char *const money[] = {"\xE2\x82\xAC", "$",   "\xC2\xA3", "\xC2\xA5", "EUR",
                                    "USD",          "GBP", "CHF",      "euros",    "euro",
                                    "dollars",      "JPY"};
static const char *const percents[] = {"percent", "per cent", "Prozent", "percentage points",
                                       "percentage point", "Prozentpunkte", "Prozentpunkten", "pp"};

static enum check_value_kind unit_of(const struct scan *sc, size_t at, size_t *end)
{
    size_t i = skip_blank(sc, *end);
    if (i < sc->len && sc->s[i] == '%') {
        *end = i + 1;
        return CHECK_VALUE_PERCENT;
    }
    for (size_t k = 0; k < COUNT_OF(percents); k++) {
        if (word_at(sc, i, percents[k])) {
            *end = i + strlen(percents[k]);
            return CHECK_VALUE_PERCENT;
        }
    }
    for (size_t k = 0; k < COUNT_OF(money); k++) {
        size_t n = strlen(money[k]);
        size_t back = at > 0 && sc->s[at - 1] == ' ' ? at - 1 : at;
        if (isalpha((unsigned char)money[k][0])
                ? word_at(sc, i, money[k])
                : i + n <= sc->len && memcmp(sc->s + i, money[k], n) == 0) {
            *end = i + n;
            return CHECK_VALUE_MONEY;
        }
        if (back >= n && memcmp(sc->s + back - n, money[k], n) == 0 &&
            check_is_whole_word(sc->s, sc->len, back - n, n)) {
            return CHECK_VALUE_MONEY;
        }
    }
    return CHECK_VALUE_NUMBER;
}

static bool sign_before(const struct scan *sc, size_t at, size_t *from)
{
    size_t n =
        at >= 3 && memcmp(sc->s + at - 3, MINUS, 3) == 0 ? 3 : at >= 1 && sc->s[at - 1] == '-';
    if (n == 0) {
        return false;
    }
    size_t before = at - n;
    if (before > 0 && strchr(" (\t\n[:=", sc->s[before - 1]) == NULL) {
        return false;
    }
    *from = before;
    return true;
}

static size_t try_number(struct scan *sc, size_t i)
{
    double value = 0, step = 1;
    size_t from = i, end = is_digit(sc, i) ? read_digits(sc, i, &value, &step) : 0;
    if (end == 0) {
        return 0;
    }
    if (end + 1 < sc->len && (sc->s[end] == 'e' || sc->s[end] == 'E')) {
        size_t sign = sc->s[end + 1] == '-' || sc->s[end + 1] == '+';
        if (is_digit(sc, end + 1 + sign)) {
            size_t k = end + 1 + sign;
            int power = 0;
            while (is_digit(sc, k) && power < 100) {
                power = power * 10 + (sc->s[k++] - '0');
            }
            double factor = pow(10, sc->s[end + 1] == '-' ? -power : power);
            value *= factor;
            step *= factor;
            end = k;
        }
    }
    end = read_magnitude(sc, end, &value, &step);
    if (sign_before(sc, i, &from)) {
        value = -value;
    }
    enum check_value_kind kind = unit_of(sc, i, &end);
    if (!wants(sc, kind)) {
        kind = CHECK_VALUE_NUMBER;
    }
    return wants(sc, kind) ? put(sc, kind, from, end - from, value, step) : 0;
}

static size_t try_number_word(struct scan *sc, size_t i)
{
    char word[KNOWLEDGE_WORD_SIZE];
    size_t n = 0;
    while (i + n < sc->len && n + 1 < sizeof(word) && is_word_byte(sc->s, sc->len, i + n)) {
        word[n] = (char)tolower((unsigned char)sc->s[i + n]);
        n++;
    }
    word[n] = '\0';
    double value, step = 1;
    if (n < 2 || !check_number_word(word, sc->lang, &value)) {
        return 0;
    }
    size_t end = read_magnitude(sc, i + n, &value, &step);
    enum check_value_kind kind = unit_of(sc, i, &end);
    if (!wants(sc, kind)) {
        kind = CHECK_VALUE_NUMBER;
    }
    return wants(sc, kind) ? put(sc, kind, i, end - i, value, step) : 0;
}

bool check_read_number(const char *text, enum knowledge_lang lang, struct check_value *out)
{
    struct check_value found[2];
    size_t len = strlen(text);
    struct scan sc = {.s = text,
                      .len = len,
                      .lang = lang,
                      .kinds = CHECK_KEEP(CHECK_VALUE_NUMBER) | CHECK_KEEP(CHECK_VALUE_PERCENT) |
                               CHECK_KEEP(CHECK_VALUE_MONEY),
                      .out = found,
                      .max = 1};
    size_t i = strspn(text, " \t(+-$");
    while (i + 3 < len && (unsigned char)text[i] >= 0x80) {
        i += (unsigned char)text[i] >= 0xE0 ? 3 : 2; /* a currency sign or the minus sign */
    }
    i += strspn(text + i, " ");
    size_t end = len > 64 ? 0 : try_number(&sc, i);
    if (end == 0) {
        return false;
    }
    bool bracket = strchr(text, '(') != NULL && memchr(text + end, ')', len - end) != NULL;
    end += strspn(text + end, " )\t\r");
    if (end != len) {
        return false;
    }
    bool minus = memchr(text, '-', i) != NULL || (i >= 3 && memmem(text, i, MINUS, 3) != NULL);
    if ((bracket || minus) && found[0].number > 0) {
        found[0].number = -found[0].number;
    }
    *out = found[0];
    return true;
}

/* ---- dates, times, telephone numbers, ids ---- */

static const char *const months[] = {
    "january", "february", "march",    "april",   "may",       "june",    "july",
    "august",  "september", "october", "november", "december", "januar",  "februar",
    "m\xC3\xA4rz", "april", "mai",     "juni",    "juli",      "august",  "september",
    "oktober", "november", "dezember", "jan",     "feb",       "mar",     "apr",
    "may",     "jun",      "jul",      "aug",     "sep",       "oct",     "nov",
    "dec"};

static int month_at(const struct scan *sc, size_t i, size_t *end)
{
    for (size_t m = 0; m < COUNT_OF(months); m++) {
        size_t n = strlen(months[m]);
        size_t got = i < sc->len && match_folded(sc->s + i, sc->len - i, months[m]) == n ? n : 0;
        bool capital = got > 0 && sc->s[i] >= 'A' && sc->s[i] <= 'Z';
        if (capital && check_is_whole_word(sc->s, sc->len, i, n)) {
            *end = i + n;
            return (int)(m % 12) + 1;
        }
    }
    return 0;
}

static size_t count_digits(const struct scan *sc, size_t i)
{
    size_t n = 0;
    while (is_digit(sc, i + n)) {
        n++;
    }
    return n;
}

static int number_of(const struct scan *sc, size_t i, size_t n)
{
    int v = 0;
    for (size_t k = 0; k < n && k < 8; k++) {
        v = v * 10 + (sc->s[i + k] - '0');
    }
    return v;
}

static size_t year_behind(const struct scan *sc, size_t end, int *year)
{
    size_t i = end;
    i += i < sc->len && sc->s[i] == ',';
    i = skip_blank(sc, i);
    if (i > end && count_digits(sc, i) == 4 && !is_word_byte(sc->s, sc->len, i + 4)) {
        *year = number_of(sc, i, 4);
        return *year >= 1000 && *year <= 2999 ? i + 4 : end;
    }
    return end;
}

/* 2026-03-14, 14.03.2026, 14.3., 3/14/2026. */
static size_t try_digit_date(struct scan *sc, size_t i)
{
    size_t n = count_digits(sc, i), j = i + n;
    char mark = j < sc->len ? sc->s[j] : '\0';
    if (n == 4 && mark == '-' && count_digits(sc, j + 1) == 2 && j + 3 < sc->len &&
        sc->s[j + 3] == '-' && count_digits(sc, j + 4) == 2) {
        int m = number_of(sc, j + 1, 2), d = number_of(sc, j + 4, 2);
        return m >= 1 && m <= 12 && d >= 1 && d <= 31
                   ? put(sc, CHECK_VALUE_DATE, i, 10, number_of(sc, i, 4) * 10000 + m * 100 + d, 1)
                   : 0;
    }
    if (n == 0 || n > 2 || (mark != '.' && mark != '/')) {
        return 0;
    }
    size_t m = count_digits(sc, j + 1), k = j + 1 + m;
    if (m == 0 || m > 2 || k >= sc->len || sc->s[k] != mark) {
        return 0;
    }
    size_t y = count_digits(sc, k + 1);
    int a = number_of(sc, i, n), b = number_of(sc, j + 1, m);
    if (y == 4 || (y == 2 && mark == '/') || (y == 2 && mark == '.')) {
        int year = number_of(sc, k + 1, y) + (y == 2 ? 2000 : 0);
        int month = mark == '.' ? b : a, day = mark == '.' ? a : b;
        bool sane = month >= 1 && month <= 31 && day >= 1 && day <= 31;
        return sane ? put(sc, CHECK_VALUE_DATE, i, k + 1 + y - i, year * 10000 + month * 100 + day,
                          1)
                    : 0;
    }
    if (mark == '.' && y == 0 && a >= 1 && a <= 31 && b >= 1 && b <= 12) {
        return put(sc, CHECK_VALUE_DATE, i, k + 1 - i, b * 100 + a, 1);
    }
    return 0;
}

/* "12 March 2026", "12. M\u00e4rz", "March 12, 2026", "March 2026". */
static size_t try_date(struct scan *sc, size_t i)
{
    int year = 0, day = 0, month;
    size_t end = 0;
    if (is_digit(sc, i)) {
        size_t n = count_digits(sc, i), j = i + n;
        size_t done = try_digit_date(sc, i);
        if (done > 0 || n > 2) {
            return done;
        }
        static const char *const tails[] = {"st", "nd", "rd", "th", "."};
        for (size_t t = 0; t < COUNT_OF(tails); t++) {
            size_t m = strlen(tails[t]);
            if (j + m <= sc->len && memcmp(sc->s + j, tails[t], m) == 0) {
                j += m;
                break;
            }
        }
        size_t k = skip_blank(sc, j);
        k += word_at(sc, k, "of") ? 3 : 0;
        month = k > j ? month_at(sc, k, &end) : 0;
        day = number_of(sc, i, n);
        if (month == 0 || day < 1 || day > 31) {
            return 0;
        }
        end = year_behind(sc, end, &year);
        return put(sc, CHECK_VALUE_DATE, i, end - i, year * 10000 + month * 100 + day, 1);
    }
    month = month_at(sc, i, &end);
    if (month == 0) {
        return 0;
    }
    size_t k = skip_blank(sc, end), n = k > end ? count_digits(sc, k) : 0;
    if (n == 1 || n == 2) {
        day = number_of(sc, k, n);
        end = k + n;
        end += end + 2 <= sc->len && (memcmp(sc->s + end, "th", 2) == 0 ||
                                      memcmp(sc->s + end, "st", 2) == 0) ? 2 : 0;
        end = year_behind(sc, end, &year);
        return put(sc, CHECK_VALUE_DATE, i, end - i, year * 10000 + month * 100 + day, 1);
    }
    size_t with = year_behind(sc, end, &year);
    return with > end ? put(sc, CHECK_VALUE_DATE, i, with - i, year * 10000 + month * 100, 1) : 0;
}

static size_t try_time(struct scan *sc, size_t i)
{
    size_t n = count_digits(sc, i);
    if (n == 0 || n > 2 || i + n >= sc->len || sc->s[i + n] != ':' ||
        count_digits(sc, i + n + 1) != 2) {
        return 0;
    }
    int h = number_of(sc, i, n), m = number_of(sc, i + n + 1, 2);
    size_t end = i + n + 3;
    if (end < sc->len && sc->s[end] == ':' && count_digits(sc, end + 1) == 2) {
        end += 3;
    }
    return h <= 24 && m < 60 ? put(sc, CHECK_VALUE_TIME, i, end - i, h * 60 + m, 1) : 0;
}

static size_t try_phone(struct scan *sc, size_t i)
{
    size_t j = i, digits = 0, groups = 0;
    bool plus = sc->s[i] == '+' || sc->s[i] == '0' || sc->s[i] == '(';
    while (plus && j < sc->len && j < i + 30) {
        if (is_digit(sc, j)) {
            digits++;
            j++;
        } else if ((sc->s[j] == '+' && j == i) ||
                   (strchr(" -/()", sc->s[j]) != NULL && j + 1 < sc->len &&
                    (is_digit(sc, j + 1) || strchr("()", sc->s[j + 1]) != NULL ||
                     (strchr("()", sc->s[j]) != NULL && sc->s[j + 1] == ' ')))) {
            groups += j > i;
            j++;
        } else {
            break;
        }
    }
    return plus && digits >= 7 && digits <= 15 && (groups >= 1 || sc->s[i] == '+')
               ? put(sc, CHECK_VALUE_PHONE, i, j - i, 0, 1)
               : 0;
}

/* Letters with digits, more than one point between digits, or five digits and more. */
static size_t try_id(struct scan *sc, size_t i)
{
    size_t j = i, digits = 0, letters = 0, points = 0, lead = 0;
    while (j < sc->len) {
        unsigned char c = (unsigned char)sc->s[j];
        bool inner = (c == '-' || c == '_' || c == '.' || c == '/' || c == '#') && j > i &&
                     isalnum((unsigned char)sc->s[j - 1]) && j + 1 < sc->len &&
                     isalnum((unsigned char)sc->s[j + 1]);
        if (!isalnum(c) && !inner) {
            break;
        }
        digits += isdigit(c) != 0;
        letters += isalpha(c) != 0;
        points += c == '.';
        lead += digits > 0 && letters == 0;
        j++;
    }
    if (digits == 0 || (j < sc->len && (unsigned char)sc->s[j] >= 0x80 &&
                        is_word_byte(sc->s, sc->len, j))) {
        return 0;
    }
    if (letters == 0) {
        bool plain = digits == j - i;
        bool version = points >= 2 && digits + points == j - i;
        return (plain && digits >= 5) || version
                   ? put(sc, CHECK_VALUE_ID, i, j - i, version ? 0 : strtod(sc->s + i, NULL), 1)
                   : 0;
    }
    if (isdigit((unsigned char)sc->s[i])) { /* "3rd", "10GB", "3-day", "250ms" are numbers */
        size_t k = i + lead;
        bool tail = letters <= 3 && k + letters == j;
        bool joined = k > i && (sc->s[k - 1] == '-' || (k < j && sc->s[k] == '-'));
        if (tail || (joined && digits <= 4)) {
            return 0;
        }
    }
    return put(sc, CHECK_VALUE_ID, i, j - i, 0, 1);
}

/* ---- links, quotations, code, names ---- */

static size_t try_link(struct scan *sc, size_t i)
{
    static const char edge[] = ".,;:!?)]}>\"'*_`|";
    size_t j = i;
    if (i > 0 && strchr(" \t\n([{<\"'*_", sc->s[i - 1]) == NULL &&
        (unsigned char)sc->s[i - 1] < 0x80) {
        return 0;
    }
    while (j < sc->len && !isspace((unsigned char)sc->s[j]) && strchr("<>\"`", sc->s[j]) == NULL &&
           memcmp(sc->s + j, NBSP, j + 2 <= sc->len ? 2 : 1) != 0) {
        j++;
    }
    const char *bracket = memmem(sc->s + i, j - i, "](", 2);
    j = bracket != NULL ? (size_t)(bracket - sc->s) : j;
    while (j > i && (strchr(edge, sc->s[j - 1]) != NULL)) {
        j--;
    }
    if (j < i + 4 || !check_is_link(sc->s + i, j - i)) {
        return 0;
    }
    bool mail = memchr(sc->s + i, '@', j - i) != NULL && memmem(sc->s + i, j - i, "//", 2) == NULL;
    enum check_value_kind kind = mail ? CHECK_VALUE_MAIL : CHECK_VALUE_LINK;
    return wants(sc, kind) ? put(sc, kind, i, j - i, 0, 1) : 0;
}

static size_t try_quote(struct scan *sc, size_t i)
{
    static const char *const pairs[][2] = {{"\xE2\x80\x9C", "\xE2\x80\x9D"},
                                           {"\xE2\x80\x9E", "\xE2\x80\x9C"},
                                           {"\xE2\x80\x9E", "\xE2\x80\x9D"},
                                           {"\xC2\xAB", "\xC2\xBB"},
                                           {"\xC2\xBB", "\xC2\xAB"},
                                           {"\"", "\""}};
    for (size_t p = 0; p < COUNT_OF(pairs); p++) {
        size_t n = strlen(pairs[p][0]), m = strlen(pairs[p][1]);
        if (i + n > sc->len || memcmp(sc->s + i, pairs[p][0], n) != 0 ||
            (n == 1 && i > 0 && isalnum((unsigned char)sc->s[i - 1]))) {
            continue;
        }
        const char *end = memmem(sc->s + i + n, sc->len - i - n, pairs[p][1], m);
        const char *line = memchr(sc->s + i + n, '\n', sc->len - i - n);
        if (end != NULL && end > sc->s + i + n && (line == NULL || end < line)) {
            size_t at = i + n, len = (size_t)(end - sc->s) - at;
            return put(sc, CHECK_VALUE_QUOTE, at, len, 0, 1) + m;
        }
    }
    return 0;
}

static size_t try_code(struct scan *sc, size_t i)
{
    size_t ticks = 0;
    while (i + ticks < sc->len && sc->s[i + ticks] == '`') {
        ticks++;
    }
    if (ticks == 0 || ticks > 16) {
        return ticks > 0 ? i + ticks : 0;
    }
    for (size_t j = i + ticks; j < sc->len;) {
        size_t run = 0;
        while (j + run < sc->len && sc->s[j + run] == '`') {
            run++;
        }
        if (run == ticks) {
            put(sc, CHECK_VALUE_CODE, i + ticks, j - i - ticks, 0, 1);
            return j + run;
        }
        j += run > 0 ? run : 1;
    }
    return i + ticks;
}

static bool is_capital(const struct scan *sc, size_t i)
{
    uint32_t c = 0;
    return i < sc->len && text_utf8_decode(sc->s + i, sc->len - i, &c) > 0 && c != fold(c) &&
           c < 0x250;
}

static bool opens_sentence(const struct scan *sc, size_t i)
{
    while (i > 0 && (strchr(" \t(*_>#\"'-", sc->s[i - 1]) != NULL)) {
        i--;
    }
    while (i >= 3 && (memcmp(sc->s + i - 3, "\xE2\x80\x9C", 3) == 0 ||
                      memcmp(sc->s + i - 3, "\xE2\x80\x9E", 3) == 0)) {
        i -= 3;
    }
    return i == 0 || strchr(".!?:\n|", sc->s[i - 1]) != NULL;
}

static size_t word_end(const struct scan *sc, size_t i)
{
    while (is_word_byte(sc->s, sc->len, i) ||
           (i < sc->len && sc->s[i] == '-' && is_word_byte(sc->s, sc->len, i + 1))) {
        i++;
    }
    return i;
}

static bool behind_title(const struct scan *sc, size_t i)
{
    static const char *const titles[] = {"Herr",   "Frau",  "Herrn", "Dr.", "Prof.", "Mr",  "Mrs",
                                         "Ms",     "Mr.",   "Mrs.",  "Ms.", "Dear",  "Hi",  "Hello",
                                         "Hallo",  "Liebe", "Lieber"};
    for (size_t t = 0; t < COUNT_OF(titles); t++) {
        size_t n = strlen(titles[t]);
        if (i > n && sc->s[i - 1] == ' ' && memcmp(sc->s + i - 1 - n, titles[t], n) == 0) {
            return true;
        }
    }
    return false;
}

static bool all_capitals(const struct scan *sc, size_t at, size_t end)
{
    size_t capitals = 0, inner = 0, small = 0;
    for (size_t i = at; i < end; i++) {
        bool capital = sc->s[i] >= 'A' && sc->s[i] <= 'Z';
        capitals += capital;
        small += sc->s[i] >= 'a' && sc->s[i] <= 'z';
        inner += capital && i > at && sc->s[i - 1] != '-';
    }
    return (capitals >= 2 && small == 0) || (inner > 0 && small > 0);
}

static size_t try_name(struct scan *sc, size_t i)
{
    static const char not_names[] = " I I'm OK Ok Yes No Sie Ihr Ihre Ihnen Ihren Ihrem Ihrer ";
    if (!is_capital(sc, i)) {
        return 0;
    }
    size_t end = word_end(sc, i);
    bool title = behind_title(sc, i), shout = all_capitals(sc, i, end);
    if (!shout && !title && (opens_sentence(sc, i) || sc->lang == KNOWLEDGE_LANG_DE)) {
        return 0;
    }
    char key[24];
    if (end - i < sizeof(key) - 2) {
        snprintf(key, sizeof(key), " %.*s ", (int)(end - i), sc->s + i);
        if (strstr(not_names, key) != NULL) {
            return 0;
        }
    }
    while (sc->lang != KNOWLEDGE_LANG_DE || title) {
        size_t next = end < sc->len && sc->s[end] == ' ' ? end + 1 : end;
        if (next == end || !is_capital(sc, next)) {
            break;
        }
        end = word_end(sc, next);
    }
    return put(sc, CHECK_VALUE_NAME, i, end - i, 0, 1);
}

/* One value at i; 0 when none starts here. */
static size_t try_all(struct scan *sc, size_t i)
{
    size_t end = 0;
    char c = sc->s[i];
    bool word = i == 0 || !is_word_byte(sc->s, sc->len, i - 1);
    if (c == '`' && wants(sc, CHECK_VALUE_CODE)) {
        return try_code(sc, i);
    }
    if (wants(sc, CHECK_VALUE_QUOTE) && (end = try_quote(sc, i)) > 0) {
        return end;
    }
    if (!word) {
        return 0;
    }
    if (wants(sc, CHECK_VALUE_LINK) || wants(sc, CHECK_VALUE_MAIL)) {
        end = try_link(sc, i);
    }
    if (end == 0 && wants(sc, CHECK_VALUE_DATE)) {
        end = try_date(sc, i);
    }
    if (end == 0 && wants(sc, CHECK_VALUE_TIME)) {
        end = try_time(sc, i);
    }
    if (end == 0 && wants(sc, CHECK_VALUE_PHONE)) {
        end = try_phone(sc, i);
    }
    if (end == 0 && wants(sc, CHECK_VALUE_ID) && isalnum((unsigned char)c)) {
        end = try_id(sc, i);
    }
    if (end == 0) {
        end = try_number(sc, i);
    }
    if (end == 0 && isalpha((unsigned char)c)) {
        end = try_number_word(sc, i);
    }
    return end == 0 && wants(sc, CHECK_VALUE_NAME) ? try_name(sc, i) : end;
}

size_t check_find_values(const char *text, size_t len, enum knowledge_lang lang, unsigned kinds,
                         struct check_value *out, size_t max)
{
    struct scan sc = {
        .s = text, .len = len, .lang = lang, .kinds = kinds, .out = out, .max = max};
    for (size_t i = 0; i < len;) {
        size_t end = try_all(&sc, i);
        if (end > i) {
            i = end;
        } else {
            i++;
            while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80) {
                i++;
            }
        }
    }
    return sc.count;
}
