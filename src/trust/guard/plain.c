/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network addresses, dates of birth, and postal addresses by their form.
 *
 * Owns nothing. Threads: pure. Limits: addresses of streets only in the forms of English, German,
 * French, Spanish and Italian; the tagger finds others.
 */
#include "trust/guard/guard_internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <unicode/uchar.h>

#include "base/text/text.h"

/* ---- networks ---- */

static bool is_hex(char c)
{
    return guard_is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

size_t guard_ip(const char *s, size_t n)
{
    char text[48];
    unsigned char bytes[16];
    size_t len = 0;
    size_t dots = 0;
    size_t colons = 0;
    while (len < n && len < sizeof(text) - 1 &&
           (is_hex(s[len]) || s[len] == '.' || s[len] == ':')) {
        dots += s[len] == '.' ? 1 : 0;
        colons += s[len] == ':' ? 1 : 0;
        text[len] = s[len];
        len++;
    }
    while (len > 0 && (text[len - 1] == '.' || text[len - 1] == ':')) {
        len--;
        dots -= text[len] == '.' ? 1 : 0;
        colons -= text[len] == ':' ? 1 : 0;
    }
    text[len] = '\0';
    if (len < 6 || (len < n && guard_is_word(s[len]))) {
        return 0;
    }
    if (colons == 1 && dots == 3) { /* with a port */
        char *port = strchr(text, ':');
        *port = '\0';
        return inet_pton(AF_INET, text, bytes) == 1 ? (size_t)(port - text) : 0;
    }
    if (colons == 0 && dots == 3) {
        return inet_pton(AF_INET, text, bytes) == 1 ? len : 0;
    }
    return colons >= 3 && inet_pton(AF_INET6, text, bytes) == 1 ? len : 0;
}

size_t guard_mac(const char *s, size_t n)
{
    if (n < 17 || !is_hex(s[0]) || (s[2] != ':' && s[2] != '-') ||
        (n > 17 && guard_is_word(s[17]))) {
        return 0;
    }
    for (size_t i = 0; i < 17; i++) {
        if (i % 3 == 2 ? s[i] != s[2] : !is_hex(s[i])) {
            return 0;
        }
    }
    return n > 18 && s[17] == s[2] && is_hex(s[18]) ? 0 : 17;
}

/* ---- dates ---- */

static size_t digits(const char *s, size_t n, size_t most, int *value)
{
    size_t i = 0;
    *value = 0;
    while (i < n && i < most && guard_is_digit(s[i])) {
        *value = *value * 10 + (s[i] - '0');
        i++;
    }
    return i;
}

static size_t month_name(const char *s, size_t n)
{
    static const char *const names[] = {
        "jan",
        "feb",
        "mar",
        "apr",
        "may",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
        "m\xc3\xa4r",
        "mai",
        "okt",
        "dez",
        "janv",
        "f\xc3\xa9v",
        "avr",
        "juin",
        "juil",
        "ao\xc3\xbb",
        "d\xc3\xa9"
        "c",
        "ene",
        "abr",
        "ago",
        "dic",
        "gen",
        "mag",
        "giu",
        "lug",
        "set",
        "ott",
        "out",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t len = strlen(names[i]);
        if (n >= len && strncasecmp(s, names[i], len) == 0) {
            while (len < n && len < 14 && guard_is_word(s[len]) && !guard_is_digit(s[len])) {
                len++;
            }
            return len;
        }
    }
    return 0;
}

static bool plausible(int a, int b, int c)
{
    int year = a > 31 ? a : c;
    int day = a > 31 ? c : a;
    return (year < 100 || (year >= 1900 && year <= 2100)) && day >= 1 && day <= 31 && b >= 1 &&
           b <= 31 && (day <= 12 || b <= 12);
}

static size_t numeric_date(const char *s, size_t n)
{
    int v[3];
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        size_t len = digits(s + at, n - at, 4, &v[i]);
        if (len == 0 || len == 3) {
            return 0;
        }
        at += len;
        if (i < 2) {
            if (at >= n || strchr("./- ", s[at]) == NULL || s[at] == '\0') {
                return 0;
            }
            at++;
            at += at < n && s[at] == ' ' ? 1 : 0;
        }
    }
    return plausible(v[0], v[1], v[2]) && (at == n || !guard_is_word(s[at])) ? at : 0;
}

static size_t year(const char *s, size_t n)
{
    int v;
    size_t at = 0;
    while (at < n && at < 5 && strchr(" ,.", s[at]) != NULL && s[at] != '\0') {
        at++;
    }
    size_t len = digits(s + at, n - at, 4, &v);
    return len == 4 && v >= 1900 && v <= 2100 ? at + len : 0;
}

size_t guard_date(const char *s, size_t n)
{
    int day;
    size_t at = digits(s, n, 4, &day);
    if (at == 0) { /* "March 12, 1980" */
        at = month_name(s, n);
        at += at > 0 && at < n && s[at] == '.' ? 1 : 0;
        if (at == 0 || at + 1 >= n || s[at] != ' ') {
            return 0;
        }
        size_t len = digits(s + at + 1, n - at - 1, 2, &day);
        at += 1 + len;
        size_t more = len > 0 ? year(s + at, n - at) : 0;
        return more > 0 ? at + more : 0;
    }
    size_t numeric = numeric_date(s, n);
    if (numeric > 0 || at > 2) {
        return numeric;
    }
    while (at < n && at < 6 && (s[at] == '.' || s[at] == ' ' || (s[at] | 32) == 't' ||
                                (s[at] | 32) == 'h')) {
        at++;
    }
    size_t len = month_name(s + at, n - at);
    size_t more = len > 0 ? year(s + at + len, n - at - len) : 0;
    return more > 0 ? at + len + more : 0;
}

size_t guard_birthdate(const char *text, size_t n, size_t at)
{
    enum guard_context nearest;
    size_t space = at;
    while (!guard_is_digit(text[at]) && space < n && space - at < 14 && text[space] != ' ') {
        space++;
    }
    bool maybe = guard_is_digit(text[at]) || (space + 1 < n && guard_is_digit(text[space + 1]));
    size_t len = maybe ? guard_date(text + at, n - at) : 0;
    if (len == 0) {
        return 0;
    }
    guard_context(text, n, at, at, 1u << GUARD_CONTEXT_BIRTH | 1u << GUARD_CONTEXT_ORDER, &nearest);
    return nearest == GUARD_CONTEXT_BIRTH ? len : 0;
}

/* ---- streets ---- */

static size_t word(const char *s, size_t n, bool *upper)
{
    size_t at = 0;
    while (at < n && at < 40) {
        uint32_t cp;
        size_t len = text_utf8_decode(s + at, n - at, &cp);
        if (len == 0 || (!u_isalpha((UChar32)cp) && !(at > 0 && (cp == '-' || cp == '\'')))) {
            break;
        }
        *upper = at == 0 ? u_isUUppercase((UChar32)cp) != 0 : *upper;
        at += len;
    }
    return at;
}

static bool is_any(const char *s, size_t n, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == n && strncasecmp(s, list[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* "12 Old Mill Road": a number, one to three capitalised words, a kind of street. */
static size_t number_first(const char *s, size_t n)
{
    static const char *const types[] = {
        "street", "road", "avenue", "ave", "lane", "drive", "boulevard", "blvd", "terrace",
        "crescent", "highway", "court", "square", "rd", "st", "ln", "dr", "way", "close",
    };
    static const char *const openers[] = {"rue", "avenue", "boulevard", "chemin", "place"};
    int house;
    bool upper = false;
    size_t at = digits(s, n, 5, &house);
    at += at > 0 && at < n && (s[at] | 32) >= 'a' && (s[at] | 32) <= 'f' ? 1 : 0;
    at += at < n && s[at] == ',' ? 1 : 0;
    if (at == 0 || at >= n || s[at] != ' ') {
        return 0;
    }
    for (int words = 0; words < 5 && at < n && s[at] == ' '; words++) {
        size_t len = word(s + at + 1, n - at - 1, &upper);
        const char *w = s + at + 1;
        if (len == 0) {
            return 0;
        }
        if (words == 0 && is_any(w, len, openers, COUNT_OF(openers))) {
            size_t next = at + 1 + len;
            bool capital = false;
            while (next < n && s[next] == ' ' && !capital) {
                size_t l = word(s + next + 1, n - next - 1, &capital);
                if (l == 0 || next > 60) {
                    return 0;
                }
                next += 1 + l;
            }
            return capital ? next : 0;
        }
        if (words > 0 && upper && is_any(w, len, types, COUNT_OF(types))) {
            return at + 1 + len;
        }
        if (!upper) {
            return 0;
        }
        at += 1 + len;
    }
    return 0;
}

/* "Hauptstraße 5a", "Am Alten Markt 3" only by its ending; "Via Roma 12". */
static size_t number_last(const char *s, size_t n)
{
    static const char *const endings[] = {"stra\xc3\x9f" "e", "strasse", "str", "gasse", "allee",
                                          "platz", "damm", "straat", "laan", "gracht", "gatan",
                                          "vej", "katu"};
    static const char *const openers[] = {"via", "viale", "calle", "piazza", "avenida", "rua"};
    bool upper = false;
    size_t end = 0;
    while (end < n && end < 40 && (guard_is_word(s[end]) || s[end] == '-') &&
           !guard_is_digit(s[end])) {
        end++;
    }
    size_t after = end + (end < n && s[end] == '.' ? 1 : 0);
    after += after < n && s[after] == ' ' ? 1 : 0;
    bool opens = strchr("vcpar", s[0] | 32) != NULL && end < n && s[end] == ' ' && end < 9;
    if (end < 3 || after >= n || (!guard_is_digit(s[after]) && !opens)) {
        return 0; /* nearly every word */
    }
    size_t len = word(s, n, &upper);
    if (len < 3 || !upper) {
        return 0;
    }
    bool good = false;
    size_t at = len;
    if (is_any(s, len, openers, COUNT_OF(openers)) && len < n && s[len] == ' ') {
        bool capital = false;
        size_t more = word(s + len + 1, n - len - 1, &capital);
        good = capital && more > 0;
        at = len + 1 + more;
    }
    for (size_t i = 0; i < COUNT_OF(endings) && !good; i++) {
        size_t tail = strlen(endings[i]);
        good = len > tail + 1 && strncasecmp(s + len - tail, endings[i], tail) == 0;
    }
    int house;
    at += at < n && s[at] == '.' ? 1 : 0;
    at += at < n && s[at] == ' ' ? 1 : 0;
    size_t digit = good ? digits(s + at, n - at, 4, &house) : 0;
    at += digit;
    at += digit > 0 && at < n && (s[at] | 32) >= 'a' && (s[at] | 32) <= 'f' &&
                  (at + 1 == n || !guard_is_word(s[at + 1])) ? 1 : 0;
    return digit > 0 && (at == n || !guard_is_word(s[at])) ? at : 0;
}

size_t guard_address(const char *text, size_t n, size_t at)
{
    const char *s = text + at;
    return guard_is_digit(s[0]) ? number_first(s, n - at) : number_last(s, n - at);
}
