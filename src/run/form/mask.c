/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/form, the masks of numbers and dates: which characters may come next.
 * Both spaces of values are intervals, and so is the set of values that share a prefix; a character
 * is allowed when the two intervals meet. Owns: nothing. Threads: pure functions. Limits: 15 digits
 * and 6 decimals fit an int64.
 */
#include "run/form/form_internal.h"

#include <string.h>

#include "base/text/text.h"

/* Numbers: "-?" digits without leading zeros, and exactly `decimals` digits after a point. */

bool form_number_scale(const char *s, unsigned decimals, int64_t *scaled)
{
    bool minus = *s == '-';
    s += minus ? 1 : 0;
    int64_t value = 0;
    unsigned digits = 0;
    const char *start = s;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (++digits > FORM_DIGITS_MAX) {
            return false;
        }
        value = value * 10 + (*s - '0');
    }
    if (digits == 0 || (digits > 1 && *start == '0')) {
        return false;
    }
    unsigned places = 0;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++) {
            if (++digits > FORM_DIGITS_MAX || ++places > decimals) {
                return false;
            }
            value = value * 10 + (*s - '0');
        }
        if (places == 0) {
            return false;
        }
    }
    if (*s != '\0' || digits - places + decimals > FORM_DIGITS_MAX) {
        return false;
    }
    *scaled = (minus ? -1 : 1) * value * text_power_of_ten(decimals - places);
    return true;
}

struct number_prefix {
    bool minus;
    bool point;
    unsigned digits; /* before the point */
    unsigned places; /* after it */
    int64_t value;   /* all digits so far */
};

static bool number_prefix_read(const char *s, struct number_prefix *p)
{
    *p = (struct number_prefix){0};
    if (*s == '-') {
        p->minus = true;
        s++;
    }
    for (; *s != '\0'; s++) {
        if (*s == '.' && !p->point && p->digits > 0) {
            p->point = true;
        } else if (*s >= '0' && *s <= '9' && p->digits + p->places < FORM_DIGITS_MAX) {
            p->value = p->value * 10 + (*s - '0');
            *(p->point ? &p->places : &p->digits) += 1;
        } else {
            return false;
        }
    }
    return true;
}

/* Can magnitudes lo..hi (scaled) be completed from this prefix? */
static bool number_possible(const struct number_prefix *p, unsigned decimals, int64_t lo,
                            int64_t hi)
{
    if (lo > hi || p->places > decimals) {
        return false;
    }
    if (p->point) {
        int64_t scale = text_power_of_ten(decimals - p->places);
        return p->value * scale <= hi && p->value * scale + scale - 1 >= lo;
    }
    if (p->digits == 0) {
        return true;
    }
    bool zero = p->value == 0; /* "0" takes no more digits before the point */
    for (unsigned more = 0; p->digits + more + decimals <= FORM_DIGITS_MAX; more++) {
        int64_t scale = text_power_of_ten(more + decimals);
        if (p->value * scale <= hi && p->value * scale + scale - 1 >= lo) {
            return true;
        }
        if (zero) {
            break;
        }
    }
    return false;
}

static bool number_prefix_ok(const struct form_piece *piece, const struct number_prefix *p)
{
    int64_t min = 0;
    int64_t max = 0;
    if (!form_number_scale(piece->min, piece->decimals, &min) ||
        !form_number_scale(piece->max, piece->decimals, &max) ||
        (p->digits > 1 && p->value < text_power_of_ten(p->digits + p->places - 1))) {
        return false;
    }
    if (p->digits == 0 && !p->minus) {
        return true; /* nothing written yet: the sign is open too */
    }
    /* "-0" is never written: a magnitude of zero has no sign. */
    int64_t lo = p->minus ? (max < 0 ? -max : 1) : (min > 0 ? min : 0);
    int64_t hi = p->minus ? -min : max;
    return number_possible(p, piece->decimals, lo, hi);
}

static unsigned number_next(const struct form_piece *piece, const char *prefix)
{
    char longer[FORM_DIGITS_MAX + 4];
    size_t len = strlen(prefix);
    struct number_prefix p;
    if (len + 2 > sizeof longer || !number_prefix_read(prefix, &p) ||
        !number_prefix_ok(piece, &p)) {
        return 0;
    }
    memcpy(longer, prefix, len);
    longer[len + 1] = '\0';
    unsigned next = 0;
    static const char characters[] = "0123456789-.";
    for (unsigned i = 0; i < 12; i++) {
        bool sign_ok = characters[i] != '-' || len == 0;
        bool point_ok = characters[i] != '.' || (piece->decimals > 0 && !p.point);
        longer[len] = characters[i];
        if (sign_ok && point_ok && number_prefix_read(longer, &p) && number_prefix_ok(piece, &p)) {
            next |= 1u << i;
        }
        (void)number_prefix_read(prefix, &p);
    }
    return form_value_fits(piece, prefix) ? next | FORM_NEXT_END : next;
}

/* Dates: YYYY-MM-DD, whose order as text is their order in time. */

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool form_date_is_real(const char *s)
{
    static const char shape[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof shape; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (shape[i] == 'd' ? !digit : s[i] != shape[i]) {
            return false;
        }
    }
    int year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
    int month = (s[5] - '0') * 10 + (s[6] - '0');
    int day = (s[8] - '0') * 10 + (s[9] - '0');
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= month_days(year, month);
}

/* Fills the open places of a date with their least and greatest values; false when there are
   none. */
static bool date_range(const char *prefix, char least[11], char most[11])
{
    size_t len = strlen(prefix);
    memcpy(least, "0001-01-01", 11);
    memcpy(most, "9999-12-31", 11);
    memcpy(least, prefix, len);
    memcpy(most, prefix, len);
    if (len > 0 && len < 4) {
        memset(least + len, '0', 4 - len);
        if (memcmp(least, "0000", 4) == 0) {
            least[3] = '1';
        }
        memset(most + len, '9', 4 - len);
    }
    if (len == 6) {
        least[6] = prefix[5] == '0' ? '1' : '0';
        most[6] = prefix[5] == '0' ? '9' : '2';
    }
    int year =
        (most[0] - '0') * 1000 + (most[1] - '0') * 100 + (most[2] - '0') * 10 + most[3] - '0';
    int month = (most[5] - '0') * 10 + most[6] - '0';
    if (month < 1 || month > 12) {
        return false;
    }
    int last = month_days(year, month);
    if (len <= 8) {
        most[8] = (char)('0' + last / 10);
        most[9] = (char)('0' + last % 10);
    } else if (len == 9) {
        int tens = prefix[8] - '0';
        if (tens * 10 > last) {
            return false;
        }
        least[9] = tens == 0 ? '1' : '0';
        most[9] = (char)(tens == last / 10 ? '0' + last % 10 : '9');
    }
    return form_date_is_real(least) && form_date_is_real(most);
}

static unsigned date_next(const struct form_piece *piece, const char *prefix)
{
    size_t len = strlen(prefix);
    if (len >= 10) {
        return form_value_fits(piece, prefix) ? FORM_NEXT_END : 0;
    }
    char longer[11];
    memcpy(longer, prefix, len);
    longer[len + 1] = '\0';
    if (len == 4 || len == 7) {
        return FORM_NEXT_MINUS;
    }
    unsigned next = 0;
    for (unsigned digit = 0; digit < 10; digit++) {
        char least[11];
        char most[11];
        longer[len] = (char)('0' + digit);
        if (date_range(longer, least, most) && strcmp(least, piece->max) <= 0 &&
            strcmp(most, piece->min) >= 0) {
            next |= 1u << digit;
        }
    }
    return next;
}

unsigned form_next(const struct form_piece *piece, const char *prefix)
{
    ASSERT(piece->kind == FORM_NUMBER || piece->kind == FORM_DATE);
    return piece->kind == FORM_NUMBER ? number_next(piece, prefix) : date_next(piece, prefix);
}

static bool number_fits(const struct form_piece *piece, const char *value)
{
    int64_t min;
    int64_t max;
    int64_t scaled;
    const char *point = strchr(value, '.');
    size_t places = point == NULL ? 0 : strlen(point + 1);
    return places == piece->decimals && form_number_scale(value, piece->decimals, &scaled) &&
           form_number_scale(piece->min, piece->decimals, &min) &&
           form_number_scale(piece->max, piece->decimals, &max) && scaled >= min && scaled <= max &&
           (scaled != 0 || value[0] != '-');
}

bool form_value_fits(const struct form_piece *piece, const char *value)
{
    switch (piece->kind) {
    case FORM_CHOICE:
    case FORM_BOOLEAN:
        for (size_t i = 0; i < piece->n_labels; i++) {
            if (strcmp(piece->labels[i], value) == 0) {
                return true;
            }
        }
        return false;
    case FORM_TEXT:
        return text_utf8_is_valid(value, strlen(value)) &&
               text_utf8_count(value, strlen(value)) <= piece->max_chars &&
               (!piece->single_line || strpbrk(value, "\r\n") == NULL);
    case FORM_NUMBER:
        return number_fits(piece, value);
    case FORM_DATE:
        return form_date_is_real(value) && strcmp(value, piece->min) >= 0 &&
               strcmp(value, piece->max) <= 0;
    case FORM_LITERAL:
    case FORM_KIND_COUNT:
        break;
    }
    return false;
}
