/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find: ids, addresses and links; all candidates of a text in order; values compared and verified.
 *
 * E-mail addresses, links, telephone numbers and checked ids are the guard's finds, so that both
 * rooms mean the same by them. Owns nothing. Threads: pure. Limits: EXTRACT_MAX_FOUND.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/extract/extract_internal.h"
#include "base/text/text.h"
#include "trust/guard/guard.h"

#define MAX_ID_BYTES 120

static const char *const kind_names[EXTRACT_KIND_COUNT] = {"number", "amount", "date", "id",
                                                           "span"};
static const char *const type_names[EXTRACT_TYPE_COUNT] = {
    "number", "measure", "amount", "date", "time", "id", "email", "link", "phone", "words"};

const char *extract_kind_name(enum extract_kind kind)
{
    return kind < EXTRACT_KIND_COUNT ? kind_names[kind] : "none";
}

const char *extract_type_name(enum extract_type type)
{
    return type < EXTRACT_TYPE_COUNT ? type_names[type] : "none";
}

bool extract_suits(enum extract_kind kind, enum extract_type type)
{
    switch (kind) {
    case EXTRACT_NUMBER:
        return type == EXTRACT_TYPE_NUMBER;
    case EXTRACT_AMOUNT:
        return type == EXTRACT_TYPE_AMOUNT || type == EXTRACT_TYPE_NUMBER;
    case EXTRACT_DATE:
        return type == EXTRACT_TYPE_DATE;
    case EXTRACT_ID:
        return type >= EXTRACT_TYPE_ID && type <= EXTRACT_TYPE_PHONE;
    case EXTRACT_SPAN:
        return true;
    case EXTRACT_KIND_COUNT:
        break;
    }
    return false;
}

/* ---- the list ---- */

void extract_candidate_add(struct candidates *c, size_t from, size_t to, enum extract_type type,
                           enum extract_reading reading, const char *normal)
{
    for (size_t i = c->len; i > 0 && i + 24 > c->len; i--) {
        const struct candidate *x = &c->item[i - 1];
        if (x->from == from && x->to == to && x->type == type && strcmp(x->normal, normal) == 0) {
            return;
        }
    }
    if (c->len == EXTRACT_MAX_FOUND || strlen(normal) >= EXTRACT_MAX_NORMAL) {
        c->cut = true;
        return;
    }
    if (c->len == c->room) {
        c->room = c->room == 0 ? 64 : 2 * c->room;
        c->item = mem_realloc(c->item, c->room * sizeof(*c->item));
    }
    struct candidate *x = &c->item[c->len++];
    memset(x, 0, sizeof(*x));
    x->from = (uint32_t)from;
    x->to = (uint32_t)to;
    x->type = type;
    x->reading = reading;
    memcpy(x->normal, normal, strlen(normal) + 1);
}

/* ---- ids ---- */

/* Tokens that cover the bytes [from, to) and begin and end with them; false when none do. */
static bool tokens_over(const struct tokens *t, size_t from, size_t to, size_t *first, size_t *end)
{
    size_t low = 0, high = t->len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->token[mid].at < from) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *first = low;
    while (low < t->len && t->token[low].at + t->token[low].len < to) {
        low++;
    }
    *end = low + 1;
    return low < t->len && t->token[*first].at == from &&
           t->token[low].at + t->token[low].len == to;
}

static void find_guarded(const struct tokens *t, struct candidates *out)
{
    static const enum extract_type types[GUARD_KIND_COUNT] = {
        EXTRACT_TYPE_EMAIL, EXTRACT_TYPE_LINK, EXTRACT_TYPE_PHONE, EXTRACT_TYPE_ID,
        EXTRACT_TYPE_ID, EXTRACT_TYPE_ID, EXTRACT_TYPE_ID, EXTRACT_TYPE_WORDS};
    struct guard_options options = {.names = false};
    struct guard_spans spans = {0};
    struct buf masked;
    buf_init(&masked, (size_t)8 * EXTRACT_MAX_TEXT + 4096);
    if (guard_mask(t->text, t->n, &options, &masked, &spans)) {
        for (size_t i = 0; i < spans.n; i++) {
            size_t from, to;
            if (spans.items[i].kind != GUARD_KIND_NAME &&
                tokens_over(t, spans.items[i].from, spans.items[i].to, &from, &to)) {
                extract_candidate_add(out, from, to, types[spans.items[i].kind],
                                      EXTRACT_READING_ONLY, "");
            }
        }
    } else {
        out->cut = true;
    }
    mem_free(spans.items);
    buf_done(&masked);
}

static char mark_of(const struct tokens *t, size_t i)
{
    return t->token[i].len == 1 && t->token[i].class == TOKEN_OTHER ? t->text[t->token[i].at]
                                                                     : '\0';
}

/* "INV-2026/004", "#4711", "A.123_b": words and digits glued by these marks. */
static void find_joined_id(const struct tokens *t, size_t i, struct candidates *out)
{
    size_t to = i, parts = 0;
    bool digits = false;
    bool hash = mark_of(t, i) == '#';
    if (t->token[i].glued && i > 0 &&
        (t->token[i - 1].class != TOKEN_OTHER || strchr("-/_.", mark_of(t, i - 1)) != NULL) &&
        mark_of(t, i) != '#') {
        return; /* begins further left */
    }
    for (size_t k = i + hash; k < t->len && t->token[k].class != TOKEN_OTHER; k += 2) {
        if ((k > i) && !t->token[k].glued) {
            break;
        }
        digits = digits || t->token[k].class != TOKEN_WORD;
        parts++;
        to = k + 1;
        if (k + 2 >= t->len || !t->token[k + 1].glued || !t->token[k + 2].glued ||
            mark_of(t, k + 1) == '\0' || strchr("-/_.", mark_of(t, k + 1)) == NULL) {
            break;
        }
    }
    size_t bytes = to > i ? t->token[to - 1].at + t->token[to - 1].len - t->token[i].at : 0;
    if (digits && (parts > 1 || hash) && bytes <= MAX_ID_BYTES) {
        extract_candidate_add(out, i, to, EXTRACT_TYPE_ID, EXTRACT_READING_ONLY, "");
    }
}

static bool same_line(const struct tokens *t, size_t a, size_t b)
{
    return b < t->len && t->token[a].line == t->token[b].line;
}

/* "4711", "X4711", "XKCDPQ", "PSR 410", "psr e 453", "1234 5678": one word, or digits after short
   words or digits. */
static void find_plain_id(const struct tokens *t, size_t i, struct candidates *out)
{
    const struct token *k = &t->token[i];
    bool code = k->class == TOKEN_WORD && k->capitals && k->len >= 5 && k->len <= 12;
    if (k->class == TOKEN_MIXED || k->class == TOKEN_DIGITS || code) {
        extract_candidate_add(out, i, i + 1, EXTRACT_TYPE_ID, EXTRACT_READING_ONLY, "");
    }
    if (k->class == TOKEN_OTHER || k->len > (k->class == TOKEN_DIGITS ? 19 : 8)) {
        return;
    }
    for (size_t to = i + 1; to < i + 6 && same_line(t, i, to); to++) {
        const struct token *x = &t->token[to];
        bool short_word = x->class == TOKEN_WORD && x->len <= 3 && to == i + 1 &&
                          k->class == TOKEN_WORD;
        if (x->glued || (x->class == TOKEN_WORD && !short_word) || x->class == TOKEN_OTHER) {
            break;
        }
        if (x->class != TOKEN_WORD) {
            extract_candidate_add(out, i, to + 1, EXTRACT_TYPE_ID, EXTRACT_READING_ONLY, "");
            if (k->class == TOKEN_WORD) {
                break;
            }
        }
    }
}

/* ---- all of them ---- */

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    if (x->to != y->to) {
        return x->to > y->to ? -1 : 1;
    }
    if (x->type != y->type) {
        return x->type < y->type ? -1 : 1;
    }
    if (x->reading != y->reading) {
        return x->reading < y->reading ? -1 : 1;
    }
    return strcmp(x->normal, y->normal);
}

void extract_candidates(const struct tokens *t, const struct extract_scene *scene,
                        struct candidates *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < t->len && out->len < EXTRACT_MAX_FOUND; i++) {
        extract_find_numbers(t, i, out);
        extract_find_dates(t, i, scene, out);
        find_joined_id(t, i, out);
        find_plain_id(t, i, out);
    }
    find_guarded(t, out);
    if (out->len == 0) {
        return;
    }
    qsort(out->item, out->len, sizeof(*out->item), compare_candidates);
    size_t n = 0;
    for (size_t i = 0; i < out->len; i++) {
        if (n == 0 || compare_candidates(&out->item[n - 1], &out->item[i]) != 0) {
            out->item[n++] = out->item[i];
        }
    }
    out->len = n;
}

size_t extract_find(const char *text, size_t n, const struct extract_scene *scene,
                    struct extract_found *out, size_t room, bool *cut)
{
    struct tokens t;
    struct candidates c;
    extract_tokens_read(&t, text, n);
    extract_candidates(&t, scene, &c);
    size_t len = c.len < room ? c.len : room;
    for (size_t i = 0; i < len; i++) {
        const struct candidate *x = &c.item[i];
        const struct token *last = &t.token[x->to - 1];
        out[i] = (struct extract_found){.at = t.token[x->from].at, .type = x->type,
                                        .reading = x->reading};
        out[i].len = last->at + last->len - out[i].at;
        memcpy(out[i].normal, x->normal, sizeof(out[i].normal));
    }
    if (cut != NULL) {
        *cut = t.cut || c.cut || c.len > room;
    }
    mem_free(c.item);
    extract_tokens_done(&t);
    return len;
}

/* ---- values ---- */

/* An amount field takes the decimal of a number without a currency; ids and spans stand as they
   are. */
void extract_value_of(enum extract_kind kind, const struct tokens *t, const struct candidate *c,
                      struct buf *out)
{
    if (kind == EXTRACT_ID || kind == EXTRACT_SPAN) {
        const struct token *last = &t->token[c->to - 1];
        size_t at = t->token[c->from].at;
        buf_add(out, t->text + at, last->at + last->len - at);
    } else {
        buf_add_str(out, c->normal);
    }
}

/* "-0012.500 EUR" as sign, digits without leading and trailing zeros, and the currency. */
struct decimal {
    bool minus;
    char whole[24], part[24];
    char currency[4];
};

static bool read_decimal(const char *s, struct decimal *d)
{
    memset(d, 0, sizeof(*d));
    d->minus = *s == '-';
    s += d->minus;
    size_t n = strspn(s, "0123456789");
    const char *whole = s;
    while (n > 1 && *whole == '0') {
        whole++;
        n--;
    }
    if (n == 0 || n >= sizeof(d->whole)) {
        return false;
    }
    memcpy(d->whole, whole, n);
    s = whole + n;
    if (*s == '.') {
        n = strspn(++s, "0123456789");
        const char *part = s;
        s += n;
        while (n > 0 && part[n - 1] == '0') {
            n--;
        }
        if (n >= sizeof(d->part) || s == part) {
            return false;
        }
        memcpy(d->part, part, n);
    }
    if (*s == ' ' && strlen(s) == 4 && strspn(s + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3) {
        memcpy(d->currency, s + 1, 3);
        s += 4;
    }
    if (strcmp(d->whole, "0") == 0 && d->part[0] == '\0') {
        d->minus = false;
    }
    return *s == '\0';
}

/* Folded text with each run of spaces as one; the caller's. */
static char *plain(const char *s)
{
    struct tokens t;
    struct buf b;
    char word[256];
    buf_init(&b, 4 * EXTRACT_MAX_TEXT + 64);
    extract_tokens_read(&t, s, strlen(s));
    for (size_t i = 0; i < t.len; i++) {
        if (i > 0 && !t.token[i].glued) {
            buf_add_char(&b, ' ');
        }
        if (t.token[i].len < sizeof(word) / 2) {
            extract_token_fold(&t, i, word, sizeof(word));
            buf_add_str(&b, word);
        } else {
            buf_add(&b, s + t.token[i].at, t.token[i].len);
        }
    }
    extract_tokens_done(&t);
    return buf_take(&b);
}

bool extract_same(enum extract_kind kind, const char *value, const char *other)
{
    struct decimal a, b;
    if (value[0] == '\0' || other[0] == '\0') {
        return value[0] == other[0];
    }
    if (kind == EXTRACT_NUMBER || kind == EXTRACT_AMOUNT) {
        return read_decimal(value, &a) && read_decimal(other, &b) && a.minus == b.minus &&
               (kind == EXTRACT_AMOUNT || (a.currency[0] == '\0' && b.currency[0] == '\0')) &&
               strcmp(a.whole, b.whole) == 0 && strcmp(a.part, b.part) == 0 &&
               (a.currency[0] == '\0' || b.currency[0] == '\0' ||
                strcmp(a.currency, b.currency) == 0);
    }
    if (kind == EXTRACT_DATE) {
        return strcmp(value, other) == 0;
    }
    AUTO_FREE char *x = plain(value);
    AUTO_FREE char *y = plain(other);
    return strcmp(x, y) == 0;
}

static int compare_decimals(const struct decimal *a, const struct decimal *b)
{
    if (a->minus != b->minus) {
        return a->minus ? -1 : 1;
    }
    size_t x = strlen(a->whole), y = strlen(b->whole);
    int c = x != y ? (x < y ? -1 : 1) : strcmp(a->whole, b->whole);
    c = c != 0 ? c : strcmp(a->part, b->part); /* digits of one place: as text */
    return a->minus ? -c : c;
}

bool extract_in_bounds(enum extract_kind kind, const char *value, const char *min, const char *max)
{
    struct decimal v, b;
    if (kind == EXTRACT_DATE) {
        return extract_date_is(value) && (min == NULL || strcmp(value, min) >= 0) &&
               (max == NULL || strcmp(value, max) <= 0);
    }
    if (kind != EXTRACT_NUMBER && kind != EXTRACT_AMOUNT) {
        return true;
    }
    return read_decimal(value, &v) &&
           (min == NULL || (read_decimal(min, &b) && compare_decimals(&v, &b) >= 0)) &&
           (max == NULL || (read_decimal(max, &b) && compare_decimals(&v, &b) <= 0));
}

/* ---- where a value stands ---- */

static bool says_value(enum extract_kind kind, const struct tokens *t, const struct candidate *c,
                       const char *value)
{
    if (kind != EXTRACT_ID && kind != EXTRACT_SPAN) {
        return extract_suits(kind, c->type) && extract_same(kind, c->normal, value);
    }
    const struct token *last = &t->token[c->to - 1];
    size_t at = t->token[c->from].at;
    AUTO_FREE char *text = mem_dup_strn(t->text + at, last->at + last->len - at);
    return extract_same(kind, text, value);
}

/* The tokens of a free value in those of the text. */
static bool locate_words(enum extract_kind kind, const struct tokens *t, const char *value,
                         struct candidate *out)
{
    struct tokens v;
    bool found = false;
    extract_tokens_read(&v, value, strlen(value));
    for (size_t i = 0; v.len > 0 && !found && i + v.len <= t->len; i++) {
        if (t->token[i].hash == v.token[0].hash) {
            *out = (struct candidate){.from = (uint32_t)i, .to = (uint32_t)(i + v.len)};
            found = says_value(kind, t, out, value);
        }
    }
    extract_tokens_done(&v);
    return found;
}

bool extract_locate(enum extract_kind kind, const char *text, size_t n,
                    const struct extract_scene *scene, const char *value, uint32_t *at,
                    uint32_t *len)
{
    struct tokens t;
    struct candidates c = {0};
    struct candidate hit;
    bool found = false;
    extract_tokens_read(&t, text, n);
    if (kind == EXTRACT_ID || kind == EXTRACT_SPAN) {
        found = locate_words(kind, &t, value, &hit);
    } else {
        extract_candidates(&t, scene, &c);
        for (size_t i = 0; i < c.len && !found; i++) {
            hit = c.item[i];
            found = says_value(kind, &t, &hit, value);
        }
    }
    if (found) {
        *at = t.token[hit.from].at;
        *len = t.token[hit.to - 1].at + t.token[hit.to - 1].len - *at;
    }
    mem_free(c.item);
    extract_tokens_done(&t);
    return found;
}

bool extract_verify(enum extract_kind kind, const char *text, size_t n,
                    const struct extract_scene *scene, uint32_t at, uint32_t len, const char *value)
{
    struct tokens t;
    struct candidates c = {0};
    size_t from, to;
    bool ok = false;
    if (len == 0 || at > n || len > n - at || value[0] == '\0') {
        return false;
    }
    extract_tokens_read(&t, text, n);
    if (tokens_over(&t, at, at + len, &from, &to)) {
        struct candidate here = {.from = (uint32_t)from, .to = (uint32_t)to};
        if (kind == EXTRACT_ID || kind == EXTRACT_SPAN) {
            ok = says_value(kind, &t, &here, value);
        } else {
            extract_candidates(&t, scene, &c);
            for (size_t i = 0; i < c.len && !ok; i++) {
                ok = c.item[i].from == from && c.item[i].to == to &&
                     says_value(kind, &t, &c.item[i], value);
            }
        }
    }
    mem_free(c.item);
    extract_tokens_done(&t);
    return ok;
}
