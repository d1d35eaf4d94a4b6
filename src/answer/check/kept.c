/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept: a rewrite says the same numbers, names, links, quotations and code as its original.
 * Owns: nothing. Threads: pure. Limits: CHECK_MAX_VALUES values a side.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

struct side {
    const char *text;
    size_t len, count;
    struct check_value *items;
    bool used[CHECK_MAX_VALUES];
};

static bool is_amount(const struct check_value *v)
{
    return v->kind <= CHECK_VALUE_TIME || (v->kind == CHECK_VALUE_ID && v->number > 0);
}

static bool same_bytes(const struct side *a, const struct check_value *x, const struct side *b,
                       const struct check_value *y)
{
    return x->len == y->len && memcmp(a->text + x->at, b->text + y->at, x->len) == 0;
}

/* Quotations and code may be wrapped anew: runs of white space are one blank. */
static bool same_words(const char *a, size_t n, const char *b, size_t m)
{
    size_t i = 0, k = 0;
    while (i < n && k < m) {
        bool x = strchr(" \t\n\r", a[i]) != NULL, y = strchr(" \t\n\r", b[k]) != NULL;
        if (x != y || (!x && a[i] != b[k])) {
            return false;
        }
        i++;
        k++;
        while (x && i < n && strchr(" \t\n\r", a[i]) != NULL) {
            i++;
        }
        while (y && k < m && strchr(" \t\n\r", b[k]) != NULL) {
            k++;
        }
    }
    return i == n && k == m;
}

static bool same_value(const struct side *a, const struct check_value *x, const struct side *b,
                       const struct check_value *y)
{
    if (is_amount(x) && is_amount(y)) {
        bool numbers = (x->kind == CHECK_VALUE_NUMBER || x->kind == CHECK_VALUE_ID) &&
                       (y->kind == CHECK_VALUE_NUMBER || y->kind == CHECK_VALUE_ID);
        return (x->kind == y->kind || numbers) &&
               fabs(x->number - y->number) <= 1e-9 * (1 + fabs(x->number));
    }
    if (x->kind != y->kind) {
        return false;
    }
    if (x->kind == CHECK_VALUE_QUOTE || x->kind == CHECK_VALUE_CODE) {
        return same_words(a->text + x->at, x->len, b->text + y->at, y->len);
    }
    return same_bytes(a, x, b, y);
}

static enum check_reason reason_of(const struct check_value *v)
{
    static const enum check_reason reasons[CHECK_VALUE_COUNT] = {
        [CHECK_VALUE_NUMBER] = CHECK_REASON_NUMBER,   [CHECK_VALUE_PERCENT] = CHECK_REASON_NUMBER,
        [CHECK_VALUE_MONEY] = CHECK_REASON_NUMBER,    [CHECK_VALUE_DATE] = CHECK_REASON_NUMBER,
        [CHECK_VALUE_TIME] = CHECK_REASON_NUMBER,     [CHECK_VALUE_ID] = CHECK_REASON_NAME,
        [CHECK_VALUE_LINK] = CHECK_REASON_LINK,       [CHECK_VALUE_MAIL] = CHECK_REASON_LINK,
        [CHECK_VALUE_PHONE] = CHECK_REASON_NUMBER,    [CHECK_VALUE_NAME] = CHECK_REASON_NAME,
        [CHECK_VALUE_QUOTE] = CHECK_REASON_QUOTE,     [CHECK_VALUE_CODE] = CHECK_REASON_CODE};
    return reasons[v->kind];
}

/* Every word of the name stands somewhere in the other text: a name may open a sentence there. */
static bool name_stands(const struct side *a, const struct check_value *v, const struct side *b)
{
    char word[KNOWLEDGE_WORD_SIZE * 2];
    const char *s = a->text + v->at, *end = s + v->len;
    while (s < end) {
        size_t n = 0;
        while (s + n < end && s[n] != ' ') {
            n++;
        }
        size_t keep = n < sizeof(word) - 1 ? n : text_utf8_cut(s, sizeof(word) - 1);
        memcpy(word, s, keep);
        word[keep] = '\0';
        if (n > 0 && check_find_word(b->text, b->len, 0, word) == SIZE_MAX) {
            return false;
        }
        s += n < (size_t)(end - s) ? n + 1 : n;
    }
    return true;
}

static bool stands(struct side *a, size_t i, struct side *b)
{
    if (a->items[i].kind == CHECK_VALUE_NAME) {
        return name_stands(a, &a->items[i], b);
    }
    for (size_t k = 0; k < b->count; k++) {
        if (!b->used[k] && same_value(a, &a->items[i], b, &b->items[k])) {
            b->used[k] = true;
            return true;
        }
    }
    return false;
}

/* Number words are no less a number, but "one" and "a" come and go with the wording. */
static void find(struct side *s, enum knowledge_lang lang, unsigned kinds)
{
    size_t n = check_find_values(s->text, s->len, lang, kinds, s->items, CHECK_MAX_VALUES);
    s->count = n;
    for (size_t i = 0, k = 0; i < n && n <= CHECK_MAX_VALUES; i++) {
        const struct check_value *v = &s->items[i];
        bool one = v->kind == CHECK_VALUE_NUMBER && fabs(v->number - 1) < 1e-9 &&
                   (s->text[v->at] < '0' || s->text[v->at] > '9');
        if (!one) {
            s->items[k++] = *v;
        }
        s->count = k;
    }
}

struct check_result check_kept(const char *before, size_t before_len, const char *after,
                               size_t after_len, enum knowledge_lang lang, unsigned kinds)
{
    if (before_len > CHECK_MAX_REPLY || after_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    AUTO_FREE struct side *a = mem_alloc(sizeof(*a));
    AUTO_FREE struct side *b = mem_alloc(sizeof(*b));
    AUTO_FREE struct check_value *values =
        mem_alloc_array((size_t)2 * CHECK_MAX_VALUES, sizeof(*values));
    *a = (struct side){.text = before, .len = before_len, .items = values};
    *b = (struct side){.text = after, .len = after_len, .items = values + CHECK_MAX_VALUES};
    find(a, lang, kinds);
    find(b, lang, kinds);
    if (a->count > CHECK_MAX_VALUES || b->count > CHECK_MAX_VALUES) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!stands(a, i, b)) {
            return check_missing(reason_of(&a->items[i]), before + a->items[i].at,
                                 a->items[i].len);
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct check_value *v = &b->items[i];
        bool extra = v->kind == CHECK_VALUE_NAME ? !name_stands(b, v, a) : !b->used[i];
        if (extra) {
            return check_wrong(reason_of(v), after, v->at, v->len);
        }
    }
    return check_passed();
}
