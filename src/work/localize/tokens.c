/* SPDX-License-Identifier: Apache-2.0 */
/* Text cut into words and what is not language, and folded for comparison. Threads: none. Limits:
   TOKENS_MAX; a placeholder of PLACEHOLDER_MAX bytes. */
#include <ctype.h>
#include <string.h>

#include <unicode/uchar.h>

#include "base/text/text.h"
#include "work/localize/localize_internal.h"

#define PLACEHOLDER_MAX 200

uint32_t localize_lower(uint32_t cp)
{
    return (uint32_t)u_tolower((UChar32)cp);
}

uint32_t localize_upper(uint32_t cp)
{
    return (uint32_t)u_toupper((UChar32)cp);
}

bool localize_is_letter(uint32_t cp)
{
    return cp < 0x80 ? isalpha((int)cp) != 0 : u_isalpha((UChar32)cp) != 0;
}

uint64_t localize_hash(uint64_t h, const char *s, size_t n)
{
    h = h == 0 ? 0xcbf29ce484222325u : h;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    }
    return h;
}

/* Scripts written without blanks: each sign is a word. */
static bool stands_alone(uint32_t cp)
{
    return (cp >= 0x3040 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x9FFF) ||
           (cp >= 0x0E00 && cp <= 0x0E7F) || (cp >= 0x20000 && cp <= 0x3FFFF);
}

/* Length up to and with the closing sign, counting nesting; 0: there is none near. */
static size_t closed(const char *s, char open, char close)
{
    int depth = 0;
    for (size_t i = 0; s[i] != '\0' && i < PLACEHOLDER_MAX; i++) {
        depth += s[i] == open ? 1 : s[i] == close ? -1 : 0;
        if (depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* printf and Python: %d %1$s %(name)s %-5.2f; and Qt's %1, but never "100% of". */
static size_t percent(const char *s)
{
    size_t i = 1;
    if (s[1] == '%') {
        return 2;
    }
    if (s[1] == '(') {
        size_t n = closed(s + 1, '(', ')');
        return n > 0 && isalpha((unsigned char)s[1 + n]) ? n + 2 : 0;
    }
    if (isdigit((unsigned char)s[1]) && !isdigit((unsigned char)s[2]) && s[2] != '$' &&
        strchr(".$", s[2]) == NULL && !isalpha((unsigned char)s[2])) {
        return 2;
    }
    while (isdigit((unsigned char)s[i]) || (s[i] != '\0' && strchr("$-+#.*", s[i]) != NULL)) {
        i++;
    }
    while (s[i] != '\0' && strchr("hlLqjzt", s[i]) != NULL) {
        i++;
    }
    return s[i] != '\0' && strchr("diouxXeEfFgGaAcsSpn@r", s[i]) != NULL ? i + 1 : 0;
}

static size_t tag(const char *s)
{
    size_t i = s[1] == '/' ? 2 : 1;
    return isalpha((unsigned char)s[i]) ? closed(s, '<', '>') : 0;
}

static size_t placeholder(const char *s)
{
    static const char bracket[] = "\xE2\x9F\xA6", end[] = "\xE2\x9F\xA7";
    if (s[0] == '%') {
        return percent(s);
    }
    if (s[0] == '{') {
        return closed(s, '{', '}');
    }
    if (s[0] == '<') {
        return tag(s);
    }
    if (s[0] == '$' && (s[1] == '{' || strncmp(s, "$t(", 3) == 0)) {
        size_t n = s[1] == '{' ? closed(s + 1, '{', '}') : closed(s + 2, '(', ')');
        return n == 0 ? 0 : n + (s[1] == '{' ? 1 : 2);
    }
    if (strncmp(s, bracket, 3) == 0) {
        const char *e = strstr(s, end);
        return e == NULL || (size_t)(e - s) > PLACEHOLDER_MAX ? 0 : (size_t)(e - s) + 3;
    }
    if (s[0] == '`') {
        size_t n = strcspn(s + 1, "`\n");
        return s[1 + n] == '`' && n > 0 && n < PLACEHOLDER_MAX ? n + 2 : 0;
    }
    return 0;
}

static size_t number(const char *s)
{
    size_t i = 0;
    while (isdigit((unsigned char)s[i]) ||
           (i > 0 && (s[i] == '.' || s[i] == ',') && isdigit((unsigned char)s[i + 1]))) {
        i++;
    }
    return i;
}

static size_t word(const char *s, size_t n)
{
    size_t i = 0;
    uint32_t cp = 0;
    for (size_t k; i < n && (k = text_utf8_decode(s + i, n - i, &cp)) > 0; i += k) {
        bool inside = i > 0 && (cp == '\'' || cp == 0x2019 || cp == '_') && i + k < n &&
                      (isalnum((unsigned char)s[i + k]) || (unsigned char)s[i + k] >= 0xC3);
        if (!localize_is_letter(cp) && !inside && !(i > 0 && cp < 0x80 && isdigit((int)cp)) &&
            !(i > 0 && u_charType((UChar32)cp) == U_NON_SPACING_MARK)) {
            break;
        }
        if (stands_alone(cp)) {
            return i > 0 ? i : k;
        }
        if (inside && cp != '_') { /* "l'ami": the elided word ends here */
            return i + k;
        }
    }
    return i;
}

static struct token next(const char *s, size_t n)
{
    struct token t = {TOKEN_SIGN, s, placeholder(s)};
    if (t.len > 0 && t.len <= n) {
        t.kind = TOKEN_PLACEHOLDER;
        return t;
    }
    if ((t.len = number(s)) > 0) {
        t.kind = TOKEN_NUMBER;
        return t;
    }
    while (t.len < n && strchr(" \t\n", s[t.len]) != NULL && s[t.len] != '\0') {
        t.len++;
    }
    if (t.len > 0) {
        t.kind = TOKEN_SPACE;
        return t;
    }
    if ((t.len = word(s, n)) > 0) {
        t.kind = TOKEN_WORD;
        return t;
    }
    uint32_t cp = 0;
    t.len = text_utf8_decode(s, n, &cp);
    t.len = t.len == 0 ? 1 : t.len;
    return t;
}

size_t localize_cut(const char *text, struct token out[TOKENS_MAX])
{
    size_t n = strlen(text), count = 0;
    for (size_t at = 0; at < n;) {
        if (count == TOKENS_MAX) {
            return SIZE_MAX;
        }
        out[count] = next(text + at, n - at);
        at += out[count++].len;
    }
    return count;
}

char *localize_fold(const char *text, size_t len)
{
    struct buf b;
    char utf8[4];
    bool space = false;
    buf_init(&b, len * 3 + 16);
    while (len > 0 && (strchr(" \t\n.:!", text[len - 1]) != NULL ||
                       (len >= 3 && memcmp(text + len - 3, "\xE2\x80\xA6", 3) == 0))) {
        len -= (unsigned char)text[len - 1] == 0xA6 ? 3 : 1;
    }
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t k = text_utf8_decode(text + i, len - i, &cp);
        if (k == 0) {
            break;
        }
        if (cp == ' ' || cp == '\t' || cp == '\n' || cp == 0xA0 || cp == 0x202F) {
            space = b.len > 0;
        } else {
            if (space) {
                (void)buf_add_char(&b, ' ');
            }
            space = false;
            (void)buf_add(&b, utf8, text_utf8_encode(localize_lower(cp), utf8));
        }
        i += k;
    }
    return buf_take(&b);
}
