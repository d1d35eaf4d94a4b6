/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, numbers: bounds and multiples held exactly, in units of 10^-9, and the machine that
 * writes digits so that a number inside them can always still come of it. Numbers have at most 15
 * digits (integers 18), so that readers with doubles see the same order; bounded ones have no
 * exponent.
 * Owns: nothing. Threads: pure. Limits: 18 digits, nine decimals.
 */
#include "run/schema/schema_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_DIGITS 18
#define NUMBER_DIGITS 15
#define DECIMALS 9
#define POWER_DIGITS 2
#define TOP ((__int128)1000000000000000000ll * UNITS - 1)

const struct number number_free = {.lo = -TOP, .hi = TOP, .step = 1};

bool number_units(const json_t *value, __int128 *units, int *sign)
{
    *sign = 0;
    if (json_is_integer(value)) {
        *units = (__int128)json_integer_value(value) * UNITS;
        return true;
    }
    double real = json_real_value(value);
    if (fabs(real) >= 1e18) {
        *sign = real < 0 ? -1 : 1;
        return false;
    }
    /* The shortest text that reads back as this double is what the schema's author wrote. */
    char text[64];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*e", digits - 1, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    const char *e = strchr(text, 'e');
    long power = e == NULL ? 0 : strtol(e + 1, NULL, 10);
    __int128 sum = 0;
    long decimals = -power;
    bool fraction = false;
    for (const char *at = text; at < e; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (*at != '-') {
            sum = sum * 10 + (*at - '0');
            decimals += fraction ? 1 : 0;
        }
    }
    for (; decimals > 0 && sum % 10 == 0 && sum != 0; decimals--) {
        sum /= 10;
    }
    if (sum != 0 && decimals > DECIMALS) {
        return false;
    }
    for (; decimals < DECIMALS && sum != 0; decimals++) {
        sum *= 10;
    }
    *units = text[0] == '-' ? -sum : sum;
    return true;
}

bool number_is_integer(const struct number *n)
{
    return n->step % UNITS == 0;
}

/* Is a multiple of step in [lo, hi]? */
static bool has_multiple(__int128 lo, __int128 hi, __int128 step)
{
    if (lo > hi) {
        return false;
    }
    __int128 top = hi / step * step;
    top = top > hi ? top - step : top; /* division rounds towards zero */
    return top >= lo;
}

bool number_is_void(const struct number *n)
{
    return !has_multiple(n->lo, n->hi, n->step);
}

bool number_holds(const struct number *n, __int128 units)
{
    return units >= n->lo && units <= n->hi && units % n->step == 0;
}

static __int128 gcd(__int128 a, __int128 b)
{
    while (b != 0) {
        __int128 rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static __int128 lcm(__int128 a, __int128 b)
{
    __int128 part = a / gcd(a, b);
    return part > TOP / b ? TOP + 1 : part * b; /* over the top only 0 is a multiple */
}

bool number_meet(const struct number *a, const struct number *b, struct number *out)
{
    *out = (struct number){.lo = a->lo > b->lo ? a->lo : b->lo,
                           .hi = a->hi < b->hi ? a->hi : b->hi,
                           .step = lcm(a->step, b->step),
                           .bounded = a->bounded || b->bounded};
    return !number_is_void(out);
}

/* Writing. */

static int whole_max(const struct number *n)
{
    return number_is_integer(n) ? INTEGER_DIGITS : NUMBER_DIGITS;
}

static int part_max(const struct number *n, const struct digits *d)
{
    int left = NUMBER_DIGITS - d->whole;
    left = left < DECIMALS ? left : DECIMALS;
    return number_is_integer(n) || left < 0 ? 0 : left;
}

/* Is there a number of the bounds whose size lies in [low, high] on this side of zero? */
static bool reaches(const struct number *n, bool minus, __int128 low, __int128 high, int decimals)
{
    __int128 step = lcm(n->step, UNITS / text_power_of_ten(decimals));
    if (minus) {
        __int128 upper = -low < -1 ? -low : -1; /* -0 is not written */
        return has_multiple(n->lo > -high ? n->lo : -high, n->hi < upper ? n->hi : upper, step);
    }
    return has_multiple(n->lo > low ? n->lo : low, n->hi < high ? n->hi : high, step);
}

static bool whole_is_live(const struct number *n, const struct digits *d)
{
    if (!n->bounded && number_is_integer(n)) {
        return !(d->minus && d->value == 0);
    }
    if (!n->bounded) {
        return true;
    }
    int more = d->value == 0 ? 0 : whole_max(n) - d->whole;
    struct digits longer = *d;
    for (int k = 0; k <= more; k++, longer.whole++) {
        __int128 low = (__int128)d->value * text_power_of_ten(k) * UNITS;
        int part = part_max(n, &longer);
        __int128 high = low + (__int128)text_power_of_ten(k) * UNITS - 1;
        if (reaches(n, d->minus, low, high, part)) {
            return true;
        }
    }
    return false;
}

static bool part_is_live(const struct number *n, const struct digits *d)
{
    if (!n->bounded) {
        return true;
    }
    __int128 unit = UNITS / text_power_of_ten(d->part);
    __int128 low = (__int128)d->value * unit;
    return reaches(n, d->minus, low, low + unit - 1, part_max(n, d));
}

bool digits_complete(const struct number *n, const struct digits *d)
{
    switch (d->phase) {
    case DIGITS_WHOLE:
    case DIGITS_PART: {
        if (!n->bounded) {
            return true; /* "-0" of an integer never came this far */
        }
        __int128 units = (__int128)d->value * (UNITS / text_power_of_ten(d->part));
        return number_holds(n, d->minus ? -units : units) && !(d->minus && units == 0);
    }
    case DIGITS_POWER:
        return true;
    default:
        return false;
    }
}

static bool step_digit(const struct number *n, struct digits *d, uint8_t byte)
{
    unsigned digit = (unsigned)(byte - '0');
    switch (d->phase) {
    case DIGITS_START:
        d->phase = DIGITS_WHOLE;
        d->whole = 1;
        d->value = digit;
        return whole_is_live(n, d);
    case DIGITS_WHOLE:
        if (d->value == 0 || d->whole >= whole_max(n)) {
            return false;
        }
        d->whole++;
        d->value = n->bounded ? d->value * 10 + digit : 1;
        return whole_is_live(n, d);
    case DIGITS_POINT:
    case DIGITS_PART:
        if (d->part >= part_max(n, d)) {
            return false;
        }
        d->phase = DIGITS_PART;
        d->part++;
        d->value = n->bounded ? d->value * 10 + digit : 1;
        return part_is_live(n, d);
    case DIGITS_E:
    case DIGITS_SIGN:
    case DIGITS_POWER:
        if (d->phase == DIGITS_POWER && d->part >= POWER_DIGITS) {
            return false;
        }
        d->part = d->phase == DIGITS_POWER ? d->part + 1 : 1;
        d->phase = DIGITS_POWER;
        return true;
    default:
        return false;
    }
}

bool digits_step(const struct number *n, struct digits *d, uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        bool live = step_digit(n, d, byte);
        if (!n->bounded && d->value > 1) {
            d->value = 1; /* without bounds only zero differs */
        }
        return live;
    }
    switch (byte) {
    case '-':
        if (d->phase == DIGITS_E) {
            d->phase = DIGITS_SIGN;
            return true;
        }
        if (d->phase != DIGITS_START || d->minus) {
            return false;
        }
        d->minus = true;
        return !n->bounded || n->lo < 0;
    case '+':
        if (d->phase != DIGITS_E) {
            return false;
        }
        d->phase = DIGITS_SIGN;
        return true;
    case '.':
        if (d->phase != DIGITS_WHOLE || part_max(n, d) == 0) {
            return false;
        }
        d->phase = DIGITS_POINT;
        return part_is_live(n, d);
    case 'e':
    case 'E':
        if (n->bounded || number_is_integer(n) ||
            (d->phase != DIGITS_WHOLE && d->phase != DIGITS_PART)) {
            return false;
        }
        d->phase = DIGITS_E;
        return true;
    default:
        return false;
    }
}
