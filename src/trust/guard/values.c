/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: links, addresses, account, card and phone numbers, ids. Checksums decide where there are
 * any; shapes decide where there are none. Dates, times, amounts and short numbers stay.
 *
 * Owns nothing. Threads: pure. Limits: a value is at most MAX_VALUE bytes, links MAX_LINK.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>
#include <strings.h>

#define MAX_VALUE 64
#define MAX_ADDRESS 254
#define MAX_LINK 2048

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

size_t guard_link(const char *s, size_t n)
{
    static const char *const starts[] = {"https://", "http://", "ftp://", "www."};
    size_t from = 0;
    for (size_t i = 0; i < COUNT_OF(starts) && from == 0; i++) {
        size_t len = strlen(starts[i]);
        if (starts[i][0] == (s[0] | 32) && n > len && strncasecmp(s, starts[i], len) == 0 &&
            guard_is_word(s[len])) {
            from = len;
        }
    }
    if (from == 0) {
        return 0;
    }
    size_t end = from;
    while (end < n && end < MAX_LINK && (unsigned char)s[end] > ' ' &&
           strchr("<>\"'`|", s[end]) == NULL) {
        end++;
    }
    while (end > from && strchr(".,;:!?)]}*", s[end - 1]) != NULL) {
        end--;
    }
    return end;
}

size_t guard_email(const char *s, size_t n)
{
    size_t at = 0;
    while (at < n && at < 65 && s[at] != 0 &&
           (guard_is_word(s[at]) || (at > 0 && strchr("._%+-", s[at]) != NULL))) {
        at++;
    }
    if (at == 0 || at >= n || s[at] != '@') {
        return 0;
    }
    size_t end = at + 1;
    size_t dot = 0;
    while (end < n && end < MAX_ADDRESS &&
           (guard_is_word(s[end]) || ((s[end] == '.' || s[end] == '-') && s[end - 1] != '@'))) {
        if (s[end] == '.') {
            dot = end;
        }
        end++;
    }
    while (end > at && (s[end - 1] == '.' || s[end - 1] == '-')) {
        end--;
        if (end == dot) { /* "me@host.org." ends before its last dot */
            for (dot = end; dot > at && s[dot - 1] != '.'; dot--) {
            }
            dot = dot > at ? dot - 1 : 0;
        }
    }
    return dot > at + 1 && end - dot >= 3 && is_letter(s[dot + 1]) ? end : 0;
}

/* ISO 13616 registry: total length per country. */
static size_t iban_length(const char *s)
{
    static const char table[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20"
        "LU20LV21MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19"
        "SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
    for (size_t i = 0; i + 4 < sizeof(table); i += 4) {
        if (table[i] == (s[0] & ~32) && table[i + 1] == (s[1] & ~32)) {
            return (size_t)(table[i + 2] - '0') * 10 + (size_t)(table[i + 3] - '0');
        }
    }
    return 0;
}

static unsigned mod97(unsigned sum, char c)
{
    if (guard_is_digit(c)) {
        return (sum * 10 + (unsigned)(c - '0')) % 97;
    }
    return (sum * 100 + (unsigned)((c & ~32) - 'A') + 10) % 97;
}

size_t guard_iban(const char *s, size_t n)
{
    if (n < 15 || !is_letter(s[0]) || !is_letter(s[1]) || !guard_is_digit(s[2])) {
        return 0;
    }
    size_t want = iban_length(s);
    char digits[40];
    size_t have = 0;
    size_t end = 0;
    while (have < want && end < n && end < MAX_VALUE) {
        if (guard_is_digit(s[end]) || is_letter(s[end])) {
            digits[have++] = s[end];
        } else if ((s[end] != ' ' && s[end] != '-') || !guard_is_word(s[end - 1])) {
            return 0;
        }
        end++;
    }
    if (want == 0 || have < want || (end < n && guard_is_word(s[end]))) {
        return 0;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < have; i++) {
        sum = mod97(sum, digits[(i + 4) % have]);
    }
    return sum == 1 ? end : 0;
}

/* A run of digit groups with single separators between them. */
struct run {
    char digits[32];
    size_t n;          /* digits */
    size_t groups;
    size_t group[16];  /* digits in each */
    size_t longest;
    char separator;    /* the only one, 0 when there is none, '?' when they differ */
    size_t end;
    bool plus, bracket;
};

static void add_digit(struct run *r, char c)
{
    if (r->n < sizeof(r->digits)) {
        r->digits[r->n] = c;
    }
    r->n++;
    size_t g = r->groups - 1;
    if (g < COUNT_OF(r->group)) {
        r->group[g]++;
        r->longest = r->group[g] > r->longest ? r->group[g] : r->longest;
    }
}

/* "+49 (0)30 / 1234-56": separators are one or two of " -./()" and never end the run. */
static void read_run(const char *s, size_t n, struct run *r)
{
    memset(r, 0, sizeof(*r));
    size_t i = 0;
    r->plus = s[0] == '+';
    i += r->plus ? 1 : 0;
    r->bracket = i < n && s[i] == '(';
    i += r->bracket ? 1 : 0;
    bool fresh = true;
    size_t gap = 0;
    for (; i < n && i < MAX_VALUE; i++) {
        if (guard_is_digit(s[i])) {
            r->groups += fresh ? 1 : 0;
            fresh = false;
            gap = 0;
            add_digit(r, s[i]);
            r->end = i + 1;
            continue;
        }
        if (r->n == 0 || ++gap > 3 || s[i] == 0 || strchr(" -./()", s[i]) == NULL) {
            break;
        }
        if (i + 1 < n && guard_is_digit(s[i + 1]) && s[i] != ')' && s[i] != '(') {
            r->separator = r->separator == 0 || r->separator == s[i] ? s[i] : '?';
        }
        fresh = true;
    }
    while (r->end < n && r->end < 200 && guard_is_digit(s[r->end])) {
        r->n++; /* a run of digits beyond the limit is still one value */
        r->end++;
        r->longest = r->n;
    }
}

/* The schemes' prefixes and lengths (ISO/IEC 7812 registry, as the schemes publish them). */
static const struct scheme {
    unsigned from, to; /* first six digits, ranges */
    uint32_t lengths;  /* bits */
} schemes[] = {
#define LEN(n) (1u << (n))
    {400000, 499999, LEN(13) | LEN(16) | LEN(19)},              /* Visa */
    {510000, 559999, LEN(16)}, {222100, 272099, LEN(16)},       /* Mastercard */
    {340000, 349999, LEN(15)}, {370000, 379999, LEN(15)},       /* American Express */
    {300000, 305999, LEN(14)}, {309500, 309599, LEN(14)},       /* Diners */
    {360000, 369999, LEN(14) | LEN(16) | LEN(19)},
    {380000, 399999, LEN(14) | LEN(16)},
    {352800, 358999, LEN(16) | LEN(17) | LEN(18) | LEN(19)},    /* JCB, then its old numbers */
    {180000, 180099, LEN(15)}, {213100, 213199, LEN(15)},
    {601100, 601199, LEN(16) | LEN(19)}, {644000, 659999, LEN(16) | LEN(19)}, /* Discover */
    {620000, 629999, LEN(16) | LEN(17) | LEN(18) | LEN(19)},    /* UnionPay */
    {220000, 220499, LEN(16)},                                  /* Mir */
    {600000, 601099, LEN(16)}, {817200, 820199, LEN(16)},       /* RuPay */
    {500000, 509999, 0xff000}, {560000, 589999, 0xff000},       /* Maestro: 12 to 19 */
    {630000, 639999, 0xff000}, {670000, 679999, 0xff000},
#undef LEN
};

static bool is_scheme(const struct run *r)
{
    unsigned six = 0;
    if (r->n < 12 || r->n > 19) {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        six = six * 10 + (unsigned)(r->digits[i] - '0');
    }
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (six >= schemes[i].from && six <= schemes[i].to) {
            return (schemes[i].lengths >> r->n & 1) != 0;
        }
    }
    return false;
}

/* 22.11.2026, 2026-11-22, 11/22/26 and the like; also 1.234.567 */
static bool is_date_or_amount(const struct run *r)
{
    if (r->plus || r->bracket || r->groups != 3) {
        return false;
    }
    if (r->group[0] <= 2 && r->group[1] <= 2 && (r->group[2] == 2 || r->group[2] == 4)) {
        return true;
    }
    return (r->group[0] == 4 && r->group[1] <= 2 && r->group[2] <= 2) ||
           (r->separator == '.' && r->group[0] <= 3 && r->group[1] == 3 && r->group[2] == 3 &&
            r->digits[0] != '0');
}

static bool is_phone(const struct run *r)
{
    if (r->n < 7 || r->n > 15 || is_date_or_amount(r)) {
        return false;
    }
    if (r->plus) {
        return true;
    }
    if (r->groups == 1) {
        return r->digits[0] == '0' && r->n >= 9;
    }
    if (r->digits[0] == '0' || r->bracket) {
        return r->longest >= 3;
    }
    return r->groups >= 3 && r->groups <= 4 && r->n >= 10 && r->n <= 11 &&
           r->group[r->groups - 1] == 4 && r->group[r->groups - 2] == 3 && r->separator != '.';
}

/* Luhn alone holds for every tenth number: a word near it must say that it is a card, or its prefix
   and its groups do, and the nearest word must not say that it is an order's or a parcel's. */
size_t guard_card(const char *text, size_t n, size_t at)
{
    struct run r;
    enum guard_context nearest;
    if (!guard_is_digit(text[at])) {
        return 0;
    }
    read_run(text + at, n - at, &r);
    bool grouped = r.groups > 1;
    if ((r.end < n - at && guard_is_word(text[at + r.end])) || r.n < 12 || r.n > 19 ||
        (grouped && ((r.separator != ' ' && r.separator != '-') || r.group[0] != 4)) ||
        !guard_luhn(r.digits, r.n)) {
        return 0;
    }
    guard_context(text, n, at, at + r.end, 1u << GUARD_CONTEXT_CARD | 1u << GUARD_CONTEXT_ORDER,
                  &nearest);
    return nearest == GUARD_CONTEXT_CARD ||
                   (nearest == GUARD_CONTEXT_COUNT && grouped && is_scheme(&r)) ? r.end : 0;
}

static bool is_called(const char *text, size_t n, size_t at, const struct run *r)
{
    enum guard_context nearest;
    if (r->n < 7 || r->n > 15 || is_date_or_amount(r)) {
        return false;
    }
    guard_context(text, n, at, at + r->end,
                  1u << GUARD_CONTEXT_PHONE | 1u << GUARD_CONTEXT_ORDER | 1u << GUARD_CONTEXT_CARD,
                  &nearest);
    return nearest == GUARD_CONTEXT_PHONE;
}

size_t guard_digits(const char *text, size_t n, size_t at, enum guard_kind *kind)
{
    struct run r;
    const char *s = text + at;
    size_t left = n - at;
    bool led = (s[0] == '+' || s[0] == '(') && left > 1 && (guard_is_digit(s[1]) || s[1] == '(');
    if (!guard_is_digit(s[0]) && !led) {
        return 0;
    }
    read_run(s, left, &r);
    bool whole = r.end >= left || !guard_is_word(s[r.end]);
    if (whole && (is_phone(&r) || is_called(text, n, at, &r))) {
        *kind = GUARD_KIND_PHONE;
        return r.end;
    }
    size_t first = 0;
    while (first < left && guard_is_digit(s[first])) {
        first++;
    }
    if (first >= 6 && (first >= left || !guard_is_word(s[first]))) {
        *kind = GUARD_KIND_NUMBER;
        return first;
    }
    return 0;
}

size_t guard_id(const char *s, size_t n)
{
    size_t end = s[0] == '#' ? 1 : 0;
    size_t digits = 0;
    size_t letters = 0;
    while (end < n && end < MAX_VALUE &&
           (guard_is_word(s[end]) ||
            ((s[end] == '-' || s[end] == '_') && end + 1 < n && guard_is_word(s[end + 1])))) {
        if ((s[end] & 0x80) != 0) {
            return 0; /* ids are ASCII */
        }
        digits += guard_is_digit(s[end]) ? 1 : 0;
        letters += is_letter(s[end]) ? 1 : 0;
        end++;
    }
    if (end < n && guard_is_word(s[end])) {
        return 0;
    }
    if (s[0] == '#') {
        return digits >= 3 ? end : 0;
    }
    bool hex = n > 2 && s[0] == '0' && (s[1] | 32) == 'x'; /* an error code: everyone's */
    return digits >= 5 && (letters > 0) && !hex && (is_upper(s[0]) || is_letter(s[0]) ||
           guard_is_digit(s[0])) ? end : 0;
}
