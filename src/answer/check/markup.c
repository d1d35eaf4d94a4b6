/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Markup: the tags, entities and Markdown links of a translation are those of its original.
 *
 * Tags may change places (word order does), as long as what nested well still does. A word in
 * angle brackets that no markup language knows ("Usage: cp <file>") may be translated.
 * Owns: nothing. Threads: pure. Limits: CHECK_MAX_VALUES tags a side.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

enum tag_kind { TAG_OPEN, TAG_CLOSE, TAG_EMPTY, TAG_WORD, TAG_LINK, TAG_CODE };

struct tag {
    enum tag_kind kind;
    uint32_t at, len;
    uint32_t name_len;
    char key[160]; /* name and attributes that are no text */
    bool used;
};

struct tags {
    const char *s;
    size_t len;
    struct tag *items;
    size_t count;
    bool broken; /* a tag that does not end */
    size_t broken_at;
    size_t entities;
};

static const char known_tags[] =
    " a abbr acronym address area article aside audio b base bdi bdo big blockquote body br button "
    "canvas caption center cite code col colgroup data dd del details dfn dialog div dl dt em "
    "embed "
    "fieldset figcaption figure font footer form g h1 h2 h3 h4 h5 h6 head header hr html i iframe "
    "img input ins it kbd label legend li link main map mark menu meta meter mrk nav nobr noscript "
    "object ol optgroup option output p param pc ph picture pre progress q s samp script section "
    "select small source span strike strong style sub summary sup svg table tbody td template "
    "textarea tfoot th thead time title tr tt u ul var video wbr x bx ex bpt ept sc ec "
    "ccode numid trans nopolyline qt ";
static const char void_tags[] =
    " area base br col embed hr img input link meta param source track wbr x bx ex ph sc ec ";
static const char text_attributes[] =
    " alt title aria-label aria-description placeholder label summary content value equiv-text "
    "disp dispstart dispend equiv equivstart equivend ctype ";

static bool is_listed(const char *list, const char *word, size_t len)
{
    char key[40];
    if (len == 0 || len > sizeof(key) - 3) {
        return false;
    }
    key[0] = ' ';
    for (size_t i = 0; i < len; i++) {
        key[i + 1] = (char)tolower((unsigned char)word[i]);
    }
    memcpy(key + len + 1, " ", 2);
    return strstr(list, key) != NULL;
}

/* The '>' that ends the tag at i, quotes aside; 0 when it does not end. */
static size_t tag_end(const struct tags *t, size_t i)
{
    char quote = '\0';
    for (size_t j = i; j < t->len && j < i + 4096; j++) {
        char c = t->s[j];
        if (quote != '\0') {
            quote = c == quote ? '\0' : quote;
        } else if ((c == '"' || c == '\'') && j > i && t->s[j - 1] == '=') {
            quote = c;
        } else if (c == '>') {
            return j + 1;
        } else if (c == '<' && j > i) {
            return 0;
        }
    }
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Name and attributes one after the other with one blank between, text attributes by name only. */
static void make_key(const char *s, size_t n, struct tag *tag)
{
    size_t k = 0, i = 0;
    while (i < n && k + 1 < sizeof(tag->key)) {
        size_t start = i, name = 0;
        while (i < n && !is_blank(s[i]) && s[i] != '=') {
            i++;
        }
        name = i - start;
        size_t end = i;
        if (i < n && s[i] == '=') {
            i++;
            char quote = i < n && (s[i] == '"' || s[i] == '\'') ? s[i] : '\0';
            i += quote != '\0';
            while (i < n && (quote != '\0' ? s[i] != quote : !is_blank(s[i]))) {
                i++;
            }
            i += i < n && quote != '\0';
            end = i;
        }
        size_t keep = is_listed(text_attributes, s + start, name) ? name : end - start;
        for (size_t c = 0; c < keep && k + 2 < sizeof(tag->key); c++) {
            char b = s[start + c];
            tag->key[k++] = b == '\'' ? '"' : (char)(c < name ? tolower((unsigned char)b) : b);
        }
        while (i < n && is_blank(s[i])) {
            i++;
        }
        if (i < n && k + 2 < sizeof(tag->key)) {
            tag->key[k++] = ' ';
        }
    }
    tag->key[k] = '\0';
}

static struct tag *add(struct tags *t, enum tag_kind kind, size_t at, size_t len)
{
    struct tag *tag = t->count < CHECK_MAX_VALUES ? &t->items[t->count] : NULL;
    t->count++;
    if (tag == NULL) {
        return NULL;
    }
    *tag = (struct tag){.kind = kind, .at = (uint32_t)at, .len = (uint32_t)len};
    return tag;
}

static size_t read_tag(struct tags *t, size_t i)
{
    size_t j = i + 1;
    bool close = j < t->len && t->s[j] == '/';
    j += close;
    if (j + 2 < t->len && memcmp(t->s + i, "<!--", 4) == 0) {
        const char *end = memmem(t->s + i, t->len - i, "-->", 3);
        return end != NULL ? (size_t)(end - t->s) + 3 - i : 4;
    }
    if (j >= t->len || !isalpha((unsigned char)t->s[j])) {
        return 1;
    }
    size_t n = 0;
    while (j + n < t->len && (isalnum((unsigned char)t->s[j + n]) || strchr("-_:.", t->s[j + n]))) {
        n++;
    }
    size_t end = tag_end(t, i);
    bool known = is_listed(known_tags, t->s + j, n);
    if (end == 0) {
        if (known || close) {
            t->broken = true;
            t->broken_at = i;
        }
        return 1;
    }
    bool empty = end - 2 > j && t->s[end - 2] == '/';
    size_t inner = end - 1 - (empty ? 1 : 0);
    while (inner > j && is_blank(t->s[inner - 1])) {
        inner--;
    }
    bool attributes = inner > j + n;
    empty = empty || is_listed(void_tags, t->s + j, n);
    bool word = !known && !close && !empty &&
                (!attributes || memchr(t->s + j, '=', inner - j) == NULL);
    struct tag *tag = add(t, word ? TAG_WORD : close ? TAG_CLOSE : empty ? TAG_EMPTY : TAG_OPEN, i,
                          end - i);
    if (tag != NULL) {
        make_key(t->s + j, inner - j, tag);
        tag->name_len = (uint32_t)n;
    }
    return end - i;
}

/* `code` and [text](address) of Markdown. */
static size_t read_markdown(struct tags *t, size_t i)
{
    const char *s = t->s + i;
    size_t left = t->len - i;
    if (s[0] == '`') {
        const char *end = memchr(s + 1, '`', left - 1);
        if (end == NULL || end == s + 1) {
            return 1;
        }
        struct tag *tag = add(t, TAG_CODE, i, (size_t)(end - s) + 1);
        if (tag != NULL) {
            snprintf(tag->key, sizeof(tag->key), "%.*s", (int)(end - s - 1), s + 1);
        }
        return (size_t)(end - s) + 1;
    }
    const char *end = memchr(s, ')', left);
    if (end == NULL) {
        t->broken = true;
        t->broken_at = i;
        return 2;
    }
    struct tag *tag = add(t, TAG_LINK, i, (size_t)(end - s) + 1);
    size_t n = 0;
    while (s + 2 + n < end && !is_blank(s[2 + n])) {
        n++;
    }
    if (tag != NULL) {
        snprintf(tag->key, sizeof(tag->key), "%.*s", (int)(n < 150 ? n : 150), s + 2);
    }
    return (size_t)(end - s) + 1;
}

static size_t entity_length(const char *s, size_t left)
{
    size_t n = 1;
    while (n < left && n < 12 && (isalnum((unsigned char)s[n]) || s[n] == '#')) {
        n++;
    }
    return n > 2 && n < left && s[n] == ';' ? n + 1 : 0;
}

static void read_tags(struct tags *t, bool markdown)
{
    for (size_t i = 0; i < t->len;) {
        char c = t->s[i];
        if (c == '<') {
            i += read_tag(t, i);
        } else if (markdown && (c == '`' || (c == ']' && i + 1 < t->len && t->s[i + 1] == '('))) {
            i += read_markdown(t, i);
        } else {
            size_t n = c == '&' ? entity_length(t->s + i, t->len - i) : 0;
            t->entities += n > 0;
            i += n > 0 ? n : 1;
        }
    }
}

/* A word in brackets that is closed later is a tag, whatever its name. */
static void settle_words(struct tags *t)
{
    for (size_t i = 0; i < t->count; i++) {
        for (size_t k = i + 1; k < t->count && t->items[i].kind == TAG_WORD; k++) {
            const struct tag *c = &t->items[k];
            if (c->kind == TAG_CLOSE && c->name_len == t->items[i].name_len &&
                strncasecmp(t->s + c->at + 2, t->s + t->items[i].at + 1, c->name_len) == 0) {
                t->items[i].kind = TAG_OPEN;
            }
        }
    }
}

/* SIZE_MAX, or the first tag that does not nest. */
static size_t find_bad_nesting(const struct tags *t)
{
    size_t stack[64], depth = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct tag *g = &t->items[i];
        if (g->kind == TAG_OPEN) {
            if (depth == COUNT_OF(stack)) {
                return i;
            }
            stack[depth++] = i;
        } else if (g->kind == TAG_CLOSE) {
            if (depth == 0) {
                return i;
            }
            const struct tag *o = &t->items[stack[--depth]];
            if (o->name_len != g->name_len ||
                strncasecmp(t->s + o->at + 1, t->s + g->at + 2, g->name_len) != 0) {
                return i;
            }
        }
    }
    return depth > 0 ? stack[depth - 1] : SIZE_MAX;
}

static struct check_result compare(struct tags *a, struct tags *b)
{
    for (size_t i = 0; i < a->count; i++) {
        bool found = false;
        for (size_t k = 0; k < b->count && !found; k++) {
            struct tag *x = &a->items[i], *y = &b->items[k];
            found = !y->used && x->kind == y->kind &&
                    (x->kind == TAG_WORD || strcmp(x->key, y->key) == 0);
            y->used = y->used || found;
        }
        if (!found) {
            return check_missing(CHECK_REASON_MARKUP, a->s + a->items[i].at, a->items[i].len);
        }
    }
    for (size_t k = 0; k < b->count; k++) {
        if (!b->items[k].used) {
            return check_wrong(CHECK_REASON_MARKUP, b->s, b->items[k].at, b->items[k].len);
        }
    }
    size_t bad = find_bad_nesting(a) == SIZE_MAX ? find_bad_nesting(b) : SIZE_MAX;
    if (bad != SIZE_MAX) {
        return check_wrong(CHECK_REASON_MARKUP, b->s, b->items[bad].at, b->items[bad].len);
    }
    return check_passed();
}

struct check_result check_markup(const struct check_string *s)
{
    if (s->source_len > CHECK_MAX_REPLY || s->target_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    AUTO_FREE struct tag *items = mem_alloc_array((size_t)2 * CHECK_MAX_VALUES, sizeof(*items));
    struct tags a = {.s = s->source, .len = s->source_len, .items = items};
    struct tags b = {
        .s = s->target, .len = s->target_len, .items = items + CHECK_MAX_VALUES};
    read_tags(&a, s->markdown);
    read_tags(&b, s->markdown);
    if (a.count > CHECK_MAX_VALUES || b.count > CHECK_MAX_VALUES) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    settle_words(&a);
    settle_words(&b);
    if (b.broken && !a.broken) {
        size_t n = b.len - b.broken_at < 12 ? b.len - b.broken_at : 12;
        return check_wrong(CHECK_REASON_MARKUP, b.s, b.broken_at,
                           text_utf8_cut(b.s + b.broken_at, n));
    }
    if (a.entities == 0 && a.count == 0 && b.entities > 0) {
        const char *and = memchr(b.s, '&', b.len);
        size_t at = (size_t)(and - b.s), n = entity_length(and, b.len - at);
        return check_wrong(CHECK_REASON_MARKUP, b.s, at, n > 0 ? n : 1);
    }
    return compare(&a, &b);
}
