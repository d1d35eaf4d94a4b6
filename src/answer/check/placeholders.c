/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placeholders: what a program fills in is in the translation as it is in the original.
 *
 * Both sides are read into lists (an argument and its type) and compared as sets with counts.
 * Sources: printf(3); Python's "String Formatting Operations" and "Format String Syntax"; i18next
 * "Interpolation" and "Nesting"; Qt's QString::arg; Fluent's syntax; GNU gettext "c-format".
 * Owns: nothing. Threads: pure. Limits: CHECK_MAX_VALUES placeholders a side.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

struct holder {
    uint32_t at, len;
    char key[80]; /* what is compared: "printf 1 d", "{name}", ... */
    bool used;
};

struct holders {
    const char *s;
    size_t len;
    unsigned syntax;
    struct holder *items;
    size_t count;
    unsigned next; /* number of the next unnumbered printf argument */
};

static size_t put(struct holders *h, size_t at, size_t len, const char *key)
{
    if (h->count < CHECK_MAX_VALUES) {
        struct holder *p = &h->items[h->count];
        *p = (struct holder){.at = (uint32_t)at, .len = (uint32_t)len};
        text_copy(p->key, sizeof(p->key), key);
    }
    h->count++;
    return len;
}

/* The placeholder itself is its key. */
static size_t put_as_is(struct holders *h, size_t at, size_t len)
{
    char key[80];
    size_t n = len < sizeof(key) - 1 ? len : sizeof(key) - 1;
    memcpy(key, h->s + at, n);
    key[n] = '\0';
    return put(h, at, len, key);
}

static char at(const struct holders *h, size_t i)
{
    return i < h->len ? h->s[i] : '\0';
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

/* Bytes from i on that are all among `chars`. */
static size_t span(const struct holders *h, size_t i, const char *chars)
{
    size_t n = 0;
    while (at(h, i + n) != '\0' && strchr(chars, h->s[i + n]) != NULL) {
        n++;
    }
    return n;
}

static size_t name_length(const struct holders *h, size_t i, const char *also)
{
    size_t n = 0;
    while (i + n < h->len && (isalnum((unsigned char)h->s[i + n]) || h->s[i + n] == '_' ||
                              strchr(also, h->s[i + n]) != NULL)) {
        n++;
    }
    return n;
}

/* ---- one syntax each: the length of the placeholder at i, 0 when there is none ---- */

static size_t printf_length(const struct holders *h, size_t i, unsigned *number, char *type)
{
    size_t j = i + 1, digits = 0;
    *number = 0;
    while (isdigit((unsigned char)at(h, j + digits)) && digits < 3) {
        *number = *number * 10 + (unsigned)(h->s[j + digits++] - '0');
    }
    if (digits > 0 && at(h, j + digits) == '$') {
        j += digits + 1;
    } else {
        *number = 0;
    }
    while (at(h, j) != '\0' && strchr("-+#0'", h->s[j]) != NULL) {
        j++;
    }
    while (isdigit((unsigned char)at(h, j)) || at(h, j) == '*') {
        j++;
    }
    if (at(h, j) == '.') {
        j++;
        while (isdigit((unsigned char)at(h, j)) || at(h, j) == '*') {
            j++;
        }
    }
    while (at(h, j) != '\0' && strchr("hlLqjzt", h->s[j]) != NULL) {
        j++;
    }
    if (at(h, j) == '\0' || strchr("diouxXeEfFgGaAcsSpn@", h->s[j]) == NULL) {
        return 0;
    }
    *type = h->s[j] == 'i' ? 'd' : h->s[j];
    return j + 1 - i;
}

static size_t percent_at(struct holders *h, size_t i)
{
    char key[80], type = '\0';
    unsigned number = 0;
    if (at(h, i + 1) == '%') {
        return 2;
    }
    if ((h->syntax & CHECK_SYNTAX_PYTHON) && at(h, i + 1) == '(') {
        size_t n = name_length(h, i + 2, ".- ");
        size_t j = i + 2 + n;
        if (n > 0 && at(h, j) == ')') {
            j += 1 + span(h, j + 1, "-+#0123456789.");
            if (at(h, j) != '\0' && strchr("diouxXeEfFgGcrsa", h->s[j]) != NULL) {
                return put_as_is(h, i, j + 1 - i);
            }
        }
        return 0;
    }
    if (h->syntax & CHECK_SYNTAX_QT) {
        size_t local = at(h, i + 1) == 'L';
        size_t n = at(h, i + 1 + local) == 'n' ? 1 : 0;
        while (n < 2 && isdigit((unsigned char)at(h, i + 1 + local + n)) &&
               at(h, i + 1 + local) != 'n') {
            n++;
        }
        if (n > 0 && at(h, i + 1 + local + n) != '$') {
            snprintf(key, sizeof(key), "qt %.*s", (int)n, h->s + i + 1 + local);
            return put(h, i, 1 + local + n, key);
        }
    }
    if (h->syntax & CHECK_SYNTAX_PRINTF) {
        size_t n = printf_length(h, i, &number, &type);
        if (n > 0) {
            number = number > 0 ? number : h->next++;
            snprintf(key, sizeof(key), "printf %u %c", number, type);
            return put(h, i, n, key);
        }
    }
    return 0;
}

/* To the brace that closes the one at i: its length, 0 when none does within 200 bytes. */
static size_t braces(const struct holders *h, size_t i)
{
    int depth = 0;
    for (size_t j = i; j < h->len && j < i + 200; j++) {
        depth += h->s[j] == '{';
        depth -= h->s[j] == '}';
        if (depth == 0) {
            return j + 1 - i;
        }
    }
    return 0;
}

static size_t brace_at(struct holders *h, size_t i)
{
    char key[80];
    if ((h->syntax & CHECK_SYNTAX_I18NEXT) && at(h, i + 1) == '{') {
        size_t j = i + 2 + span(h, i + 2, " -");
        size_t n = name_length(h, j, ".:[]$-");
        size_t all = braces(h, i);
        if (n > 0 && all > 4 && at(h, i + all - 2) == '}') {
            snprintf(key, sizeof(key), "{{%.*s}}", (int)(n < 70 ? n : 70), h->s + j);
            return put(h, i, all, key);
        }
        return 0;
    }
    if (h->syntax & CHECK_SYNTAX_MOZILLA) {
        size_t j = i + 1 + span(h, i + 1, " ");
        size_t all = braces(h, i);
        bool ours = at(h, j) == '$' || (at(h, j) == '-' && is_letter(at(h, j + 1))) ||
                    (at(h, j) >= 'A' && at(h, j) <= 'Z' && memchr(h->s + j, '(', h->len - j)) ||
                    at(h, j) == '"';
        if (ours && all > 2) {
            return put_as_is(h, i, all);
        }
    }
    if (h->syntax & CHECK_SYNTAX_BRACE) {
        if (at(h, i + 1) == '{') {
            return 2;
        }
        size_t n = name_length(h, i + 1, ".[]-$"), j = i + 1 + n, all = braces(h, i);
        bool ends = at(h, j) == '}' || at(h, j) == '!' || at(h, j) == ':' || at(h, j) == ',';
        if (ends && all >= 2 && all < 64 && (n > 0 || at(h, j) != ',')) {
            return put_as_is(h, i, all);
        }
    }
    return 0;
}

static size_t dollar_at(struct holders *h, size_t i)
{
    if ((h->syntax & CHECK_SYNTAX_I18NEXT) && at(h, i + 1) == 't' && at(h, i + 2) == '(') {
        const char *end = memchr(h->s + i, ')', h->len - i);
        return end != NULL ? put_as_is(h, i, (size_t)(end - h->s) + 1 - i) : 0;
    }
    if (!(h->syntax & CHECK_SYNTAX_SHELL)) {
        return 0;
    }
    if (at(h, i + 1) == '{') {
        size_t n = braces(h, i + 1);
        return n > 2 ? put_as_is(h, i, n + 1) : 0;
    }
    size_t n = 0;
    while (at(h, i + 1 + n) == '_' || (at(h, i + 1 + n) >= 'A' && at(h, i + 1 + n) <= 'Z')) {
        n++;
    }
    return h->s[i] == '$' && n >= 2 ? put_as_is(h, i, n + 1) : 0;
}

/* Entities of XML and the usual ones of HTML belong to the markup. */
static bool is_html_entity(const char *s, size_t n)
{
    static const char known[] =
        " amp lt gt quot apos nbsp hellip mdash ndash copy reg trade laquo raquo ldquo rdquo lsquo "
        "rsquo bull middot times larr rarr uarr darr euro pound yen sect para deg plusmn shy ensp "
        "emsp thinsp zwnj zwj lrm rlm bdquo sbquo ";
    char key[16];
    if (n >= sizeof(key) - 2) {
        return false;
    }
    snprintf(key, sizeof(key), " %.*s ", (int)n, s);
    return strstr(known, key) != NULL;
}

static size_t ampersand_at(struct holders *h, size_t i)
{
    size_t n = name_length(h, i + 1, ".-");
    if (n < 2 || at(h, i + 1 + n) != ';' || !is_letter(at(h, i + 1)) ||
        is_html_entity(h->s + i + 1, n)) {
        return 0;
    }
    return put_as_is(h, i, n + 2);
}

static void read_holders(struct holders *h)
{
    h->next = 1;
    for (size_t i = 0; i < h->len;) {
        size_t n = 0;
        char c = h->s[i];
        if (c == '%') {
            n = percent_at(h, i);
        } else if (c == '{') {
            n = brace_at(h, i);
        } else if (c == '$' || (c == '#' && at(h, i + 1) == '{')) {
            n = dollar_at(h, i);
        } else if (c == '&' && (h->syntax & CHECK_SYNTAX_MOZILLA)) {
            n = ampersand_at(h, i);
        } else if (c == '#' && (h->syntax & CHECK_SYNTAX_MOZILLA) && at(h, i + 1) >= '1' &&
                   at(h, i + 1) <= '9') {
            n = put_as_is(h, i, 2);
        } else if (c == '}' && (h->syntax & CHECK_SYNTAX_BRACE) && at(h, i + 1) == '}') {
            n = 2;
        }
        i += n > 0 ? n : 1;
    }
}

/* ---- which syntax ---- */

unsigned check_guess_syntax(const char *source, size_t len)
{
    unsigned found = 0;
    static const unsigned each[] = {CHECK_SYNTAX_PYTHON, CHECK_SYNTAX_I18NEXT,
                                    CHECK_SYNTAX_MOZILLA, CHECK_SYNTAX_SHELL, CHECK_SYNTAX_QT};
    AUTO_FREE struct holder *items = mem_alloc_array(CHECK_MAX_VALUES, sizeof(*items));
    for (size_t i = 0; i < COUNT_OF(each); i++) {
        struct holders h = {.s = source, .len = len, .syntax = each[i], .items = items};
        read_holders(&h);
        found |= h.count > 0 ? each[i] : 0;
    }
    struct check_icu_message *m = mem_alloc(sizeof(*m));
    bool icu = memchr(source, '{', len) != NULL && check_icu_read(source, len, m) && m->complex;
    mem_free(m);
    if (icu) {
        return found | CHECK_SYNTAX_ICU;
    }
    struct holders h = {.s = source, .len = len, .syntax = CHECK_SYNTAX_PRINTF, .items = items};
    read_holders(&h);
    found |= h.count > 0 ? CHECK_SYNTAX_PRINTF : 0;
    if (!(found & (CHECK_SYNTAX_I18NEXT | CHECK_SYNTAX_MOZILLA | CHECK_SYNTAX_SHELL))) {
        h = (struct holders){
            .s = source, .len = len, .syntax = CHECK_SYNTAX_BRACE, .items = items};
        read_holders(&h);
        found |= h.count > 0 ? CHECK_SYNTAX_BRACE : 0;
    }
    return found;
}

static struct check_result compare(struct holders *a, struct holders *b)
{
    if (a->count > CHECK_MAX_VALUES || b->count > CHECK_MAX_VALUES) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < a->count; i++) {
        bool found = false;
        for (size_t k = 0; k < b->count && !found; k++) {
            found = !b->items[k].used && strcmp(a->items[i].key, b->items[k].key) == 0;
            b->items[k].used = b->items[k].used || found;
        }
        if (!found) {
            return check_missing(CHECK_REASON_PLACEHOLDER, a->s + a->items[i].at,
                                 a->items[i].len);
        }
    }
    for (size_t k = 0; k < b->count; k++) {
        if (!b->items[k].used) {
            return check_wrong(CHECK_REASON_PLACEHOLDER, b->s, b->items[k].at, b->items[k].len);
        }
    }
    return check_passed();
}

struct check_result check_placeholders(const struct check_string *s)
{
    unsigned syntax = s->syntax != 0 ? s->syntax : check_guess_syntax(s->source, s->source_len);
    if (s->source_len > CHECK_MAX_REPLY || s->target_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    if (syntax & CHECK_SYNTAX_ICU) {
        struct check_icu_message *m = mem_alloc(sizeof(*m));
        bool icu = check_icu_read(s->source, s->source_len, m);
        mem_free(m);
        syntax &= icu ? ~(CHECK_SYNTAX_ICU | CHECK_SYNTAX_BRACE) : syntax;
    }
    /* What the source lacks may not appear either: "%s" in a translation of a text without. */
    unsigned extra = s->syntax == 0 ? CHECK_SYNTAX_PYTHON | CHECK_SYNTAX_I18NEXT : 0;
    syntax |= syntax & (CHECK_SYNTAX_BRACE | CHECK_SYNTAX_ICU) ? 0 : extra;
    AUTO_FREE struct holder *items = mem_alloc_array((size_t)2 * CHECK_MAX_VALUES, sizeof(*items));
    struct holders a = {
        .s = s->source, .len = s->source_len, .syntax = syntax, .items = items};
    struct holders b = {.s = s->target,
                        .len = s->target_len,
                        .syntax = syntax,
                        .items = items + CHECK_MAX_VALUES};
    read_holders(&a);
    read_holders(&b);
    return compare(&a, &b);
}
