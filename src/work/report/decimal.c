/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimals: exact where they can be, rounded half away from zero where they cannot.
 * Threads: pure. Limits: |units| < 10^37: then ten times a remainder still fits 128 bits.
 */
#include <string.h>

#include "work/report/report_internal.h"

static __int128 power(unsigned n)
{
    __int128 v = 1;
    while (n-- > 0) {
        v *= 10;
    }
    return v;
}

static __int128 size_of(__int128 v)
{
    return v < 0 ? -v : v;
}

static bool fits(__int128 v)
{
    return size_of(v) < power(37);
}

/* Brings both to one scale; false when one gets too large. */
static bool align(struct report_decimal *a, struct report_decimal *b)
{
    struct report_decimal *low = a->scale < b->scale ? a : b;
    unsigned top = a->scale < b->scale ? b->scale : a->scale;
    while (low->scale < top) {
        if (size_of(low->units) >= power(36)) {
            return false;
        }
        low->units *= 10;
        low->scale++;
    }
    return true;
}

bool decimal_add(struct report_decimal a, struct report_decimal b, struct report_decimal *out)
{
    if (!align(&a, &b)) {
        return false;
    }
    *out = (struct report_decimal){a.units + b.units, a.scale};
    return fits(out->units);
}

struct report_decimal decimal_negate(struct report_decimal a)
{
    a.units = -a.units;
    return a;
}

bool decimal_subtract(struct report_decimal a, struct report_decimal b, struct report_decimal *out)
{
    return decimal_add(a, decimal_negate(b), out);
}

struct report_decimal decimal_size(struct report_decimal a)
{
    a.units = size_of(a.units);
    return a;
}

int report_decimal_compare(struct report_decimal a, struct report_decimal b)
{
    if (!align(&a, &b)) {
        double x = report_decimal_real(a), y = report_decimal_real(b);
        return x < y ? -1 : x > y ? 1 : 0;
    }
    return a.units < b.units ? -1 : a.units > b.units ? 1 : 0;
}

double report_decimal_real(struct report_decimal d)
{
    return (double)((long double)d.units / (long double)power(d.scale));
}

/* Long division, digit by digit, so that nothing is multiplied out. */
bool decimal_divide(struct report_decimal a, struct report_decimal b, unsigned factor_digits,
                    unsigned decimals, struct report_decimal *out)
{
    if (b.units == 0 || !align(&a, &b)) {
        return false;
    }
    bool minus = (a.units < 0) != (b.units < 0);
    __int128 n = size_of(a.units), d = size_of(b.units);
    if (!fits(n) || !fits(d)) {
        return false;
    }
    __int128 q = n / d, r = n % d;
    for (unsigned i = 0; i < factor_digits + decimals; i++) {
        if (q >= power(35)) {
            return false;
        }
        r *= 10;
        q = q * 10 + r / d;
        r %= d;
    }
    q += r >= d - r ? 1 : 0;
    *out = (struct report_decimal){minus ? -q : q, decimals};
    return true;
}

struct report_decimal decimal_round(struct report_decimal d, unsigned decimals)
{
    if (d.scale <= decimals) {
        return d;
    }
    __int128 cut = power(d.scale - decimals), n = size_of(d.units);
    __int128 q = n / cut, r = n % cut;
    q += r >= cut - r ? 1 : 0;
    return (struct report_decimal){d.units < 0 ? -q : q, decimals};
}

struct report_decimal decimal_of(int64_t v)
{
    return (struct report_decimal){v, 0};
}

void report_decimal_show(struct report_decimal d, unsigned decimals, char point, char thousands,
                         char out[REPORT_NUMBER_SIZE])
{
    char back[REPORT_NUMBER_SIZE * 2];
    size_t n = 0, digits = 0, len = 0;
    d = decimal_round(d, decimals);
    __int128 v = size_of(d.units);
    for (unsigned i = d.scale; i < decimals && digits < 20; i++, digits++) {
        back[n++] = '0'; /* a cell may have fewer decimals than are shown */
    }
    for (unsigned i = 0; i < d.scale; i++) {
        back[n++] = (char)('0' + (int)(v % 10));
        v /= 10;
    }
    if (decimals > 0) {
        back[n++] = point;
    }
    digits = 0;
    do {
        if (digits > 0 && digits % 3 == 0 && thousands != '\0') {
            back[n++] = thousands;
        }
        back[n++] = (char)('0' + (int)(v % 10));
        v /= 10;
        digits++;
    } while (v > 0);
    if (d.units < 0) {
        back[n++] = '-';
    }
    while (n > 0 && len + 1 < REPORT_NUMBER_SIZE) {
        out[len++] = back[--n];
    }
    out[len] = '\0';
}
