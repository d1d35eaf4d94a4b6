/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell's number: sign, digits under one of the two decimal conventions, a unit. Strict: what is
 * left over makes it no number.
 * Threads: pure. Limits: 18 digits before and after the mark.
 */
#include <ctype.h>
#include <string.h>

#include "work/report/report_internal.h"

#define DIGITS_MAX 18

struct scan {
    const char *s;
    size_t at, end;
};

/* Units before or after a number; "" is what the number itself is called by. */
static const struct {
    const char *text, *unit;
    bool before;
} units[] = {
    {"%", "%", false},         {"\xe2\x82\xac", "EUR", true}, {"$", "USD", true},
    {"\xc2\xa3", "GBP", true}, {"\xc2\xa5", "JPY", true},     {"EUR", "EUR", true},
    {"USD", "USD", true},      {"GBP", "GBP", true},          {"CHF", "CHF", true},
    {"JPY", "JPY", true},      {"SEK", "SEK", true},          {"NOK", "NOK", true},
    {"DKK", "DKK", true},      {"PLN", "PLN", true},          {"CZK", "CZK", true},
    {"ms", "ms", false},       {"min", "min", false},         {"sec", "s", false},
    {"s", "s", false},         {"h", "h", false},             {"kB", "kB", false},
    {"KB", "kB", false},       {"MB", "MB", false},           {"GB", "GB", false},
    {"TB", "TB", false},       {"KiB", "KiB", false},         {"MiB", "MiB", false},
    {"GiB", "GiB", false},     {"km", "km", false},           {"kg", "kg", false},
    {"pp", "pp", false},
};

static bool take(struct scan *c, const char *what)
{
    size_t n = strlen(what);
    if (c->end - c->at < n || memcmp(c->s + c->at, what, n) != 0) {
        return false;
    }
    c->at += n;
    return true;
}

/* Spaces: ASCII, no-break, narrow no-break, thin. */
static bool take_space(struct scan *c)
{
    return take(c, " ") || take(c, "\t") || take(c, "\xc2\xa0") || take(c, "\xe2\x80\xaf") ||
           take(c, "\xe2\x80\x89");
}

static void skip_spaces(struct scan *c)
{
    while (take_space(c)) {
    }
}

static bool take_minus(struct scan *c)
{
    return take(c, "-") || take(c, "\xe2\x88\x92") || take(c, "\xe2\x80\x93");
}

static bool take_unit(struct scan *c, bool before, struct report_number *out)
{
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t was = c->at;
        if ((before && !units[i].before) || !take(c, units[i].text)) {
            continue;
        }
        bool word = isalpha((unsigned char)units[i].text[0]) != 0;
        if (word && c->at < c->end && isalpha((unsigned char)c->s[c->at])) {
            c->at = was;
            continue;
        }
        (void)text_copy(out->unit, sizeof(out->unit), units[i].unit);
        out->percent = strcmp(units[i].unit, "%") == 0;
        return true;
    }
    return false;
}

/* A mark between thousands: the one that the convention has, a space or an apostrophe. Stays what
   it was first. */
static bool take_thousands(struct scan *c, enum report_mark mark, char *kind)
{
    size_t was = c->at;
    char now = take(c, mark == REPORT_MARK_DOT ? "," : ".") ? 'm'
               : take(c, "'") || take(c, "\xe2\x80\x99")    ? 'q'
               : take_space(c)                              ? ' '
                                                            : '\0';
    bool three = now != '\0' && c->end - c->at >= 3 && isdigit((unsigned char)c->s[c->at]) &&
                 isdigit((unsigned char)c->s[c->at + 1]) &&
                 isdigit((unsigned char)c->s[c->at + 2]) &&
                 (c->end - c->at == 3 || !isdigit((unsigned char)c->s[c->at + 3]));
    if (!three || (*kind != '\0' && *kind != now)) {
        c->at = was;
        return false;
    }
    *kind = now;
    return true;
}

static bool add_digit(struct report_decimal *v, char c, unsigned *digits)
{
    if (*digits >= DIGITS_MAX) {
        return false;
    }
    *digits += v->units != 0 || c != '0' ? 1 : 0;
    v->units = v->units * 10 + (c - '0');
    return true;
}

static bool read_whole(struct scan *c, enum report_mark mark, struct report_number *out)
{
    unsigned digits = 0, run = 0;
    char kind = '\0';
    bool any = false;
    for (;;) {
        if (c->at < c->end && isdigit((unsigned char)c->s[c->at])) {
            if (!add_digit(&out->value, c->s[c->at++], &digits)) {
                return false;
            }
            any = true;
            run++;
        } else if (any && run <= 3 && take_thousands(c, mark, &kind)) {
            out->unclear = kind == 'm' && !out->grouped;
            out->grouped = true;
            run = 0;
        } else {
            break;
        }
    }
    return any && (!out->grouped || run == 3);
}

static bool read_fraction(struct scan *c, struct report_number *out)
{
    unsigned n = 0;
    while (c->at < c->end && isdigit((unsigned char)c->s[c->at])) {
        if (n++ >= REPORT_DECIMALS_MAX) {
            return false;
        }
        out->value.units = out->value.units * 10 + (c->s[c->at++] - '0');
        out->value.scale++;
    }
    /* 1.234 where the other convention has the dot between thousands */
    out->unclear = out->unclear || (n == 3 && !out->grouped);
    return n > 0;
}

static bool read_exponent(struct scan *c, struct report_number *out)
{
    int v = 0, n = 0;
    if (!take(c, "e") && !take(c, "E")) {
        return true;
    }
    bool minus = take_minus(c);
    (void)(minus || take(c, "+"));
    while (c->at < c->end && isdigit((unsigned char)c->s[c->at]) && n++ < 3) {
        v = v * 10 + (c->s[c->at++] - '0');
    }
    if (n == 0 || n > 2) {
        return false;
    }
    out->unclear = false;
    for (; v > 0; v--) {
        if (minus && out->value.scale < REPORT_DECIMALS_MAX) {
            out->value.scale++;
        } else if (!minus && out->value.scale > 0) {
            out->value.scale--;
        } else if (!minus && out->value.units < (__int128)1000000000000000000ll) {
            out->value.units *= 10;
        } else {
            return false;
        }
    }
    return true;
}

bool report_number_read(const char *s, size_t n, enum report_mark mark, struct report_number *out)
{
    struct scan c = {s, 0, n};
    *out = (struct report_number){0};
    skip_spaces(&c);
    bool bracket = take(&c, "(");
    bool minus = take_minus(&c);
    bool sign = minus || take(&c, "+");
    bool unit = take_unit(&c, true, out);
    skip_spaces(&c);
    if (unit && !sign) {
        minus = take_minus(&c);
    }
    if (!read_whole(&c, mark, out)) {
        return false;
    }
    if (take(&c, mark == REPORT_MARK_COMMA ? "," : ".")) {
        if (!read_fraction(&c, out)) {
            return false;
        }
        if (out->grouped) {
            out->unclear = false; /* 1,234.5 has one reading */
        }
    }
    if (!read_exponent(&c, out)) {
        return false;
    }
    skip_spaces(&c);
    if (!unit && take_unit(&c, false, out)) {
        skip_spaces(&c);
    }
    if (bracket && (minus || !take(&c, ")"))) {
        return false;
    }
    skip_spaces(&c);
    out->value.units = minus || bracket ? -out->value.units : out->value.units;
    return c.at == c.end;
}
