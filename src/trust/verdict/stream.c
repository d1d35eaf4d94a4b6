/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: a tail is held back and looked at with every piece, together with what has just left.
 * Owns: the held tail. Threads: one a stream. Limits: STREAM_MAX held bytes, then it is blocked.
 */
#include <string.h>

#include "base/text/text.h"
#include "trust/verdict/verdict_internal.h"

#define STREAM_MAX ((size_t)1 << 20)

void verdict_stream_init(struct verdict_stream *s)
{
    *s = (struct verdict_stream){.verdict = VERDICT_ALLOW};
    buf_init(&s->held, STREAM_MAX);
}

void verdict_stream_done(struct verdict_stream *s)
{
    buf_done(&s->held);
}

/* Bytes before the last VERDICT_HOLD characters of text[0..n). */
static size_t before_tail(const char *text, size_t n)
{
    size_t at = n;
    for (int chars = 0; at > 0 && chars < VERDICT_HOLD;) {
        at--;
        chars += ((unsigned char)text[at] & 0xc0) != 0x80 ? 1 : 0;
    }
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A group as numbers and codes have them: a digit, or capitals alone. */
static bool is_group(const char *s, size_t n)
{
    bool digit = false;
    bool small = false;
    for (size_t i = 0; i < n; i++) {
        digit = digit || (s[i] >= '0' && s[i] <= '9');
        small = small || (s[i] >= 'a' && s[i] <= 'z') || (unsigned char)s[i] >= 0x80;
    }
    return n > 0 && (digit || !small);
}

/* Where the last word begins, with the groups before it that may belong to it; a private key that
   has begun and not ended is one. */
static size_t before_word(const char *text, size_t n)
{
    size_t at = n;
    while (at > 0 && !is_blank(text[at - 1])) {
        at--;
    }
    bool groups = at == n || is_group(text + at, n - at);
    while (groups && at > 0) {
        size_t end = at;
        while (end > 0 && is_blank(text[end - 1])) {
            end--;
        }
        size_t from = end;
        while (from > 0 && !is_blank(text[from - 1])) {
            from--;
        }
        groups = end > from && is_group(text + from, end - from);
        at = groups ? from : at;
    }
    const char *begin = NULL;
    const char *next = text;
    while ((next = memmem(next, n - (size_t)(next - text), "-----BEGIN", 10)) != NULL) {
        begin = next;
        next += 10;
    }
    bool open = begin != NULL &&
                memmem(begin, n - (size_t)(begin - text), "-----END", 8) == NULL;
    return open && (size_t)(begin - text) < at ? (size_t)(begin - text) : at;
}

/* How much of what is read may have left once this piece is looked at. */
static size_t may_go(const struct buf *b, bool by_word)
{
    size_t tail = before_tail(b->data, b->len);
    size_t word = by_word ? before_word(b->data, b->len) : tail;
    return word > tail ? word : tail;
}

static void note(struct verdict_stream *s, const struct verdict_result *v)
{
    for (size_t i = 0; i < v->n && v->verdict > s->verdict; i++) {
        if (v->items[i].verdict == v->verdict) {
            s->verdict = v->verdict;
            (void)text_copy(s->rule, sizeof(s->rule), v->items[i].rule);
        }
    }
    s->verdict = v->verdict > s->verdict ? v->verdict : s->verdict;
}

/* Appends text[from..to) redacted; what was found across `from` lost its beginning to the
   reader, and goes as its placeholder from there. */
static bool redact_rest(struct verdict_result *v, const char *text, size_t from, size_t to,
                        struct buf *out)
{
    for (size_t i = 0; i < v->n; i++) {
        struct verdict_hit *h = &v->items[i];
        h->from = h->from > from ? h->from - from : 0;
        h->to = h->to > from ? h->to - from : 0; /* empty: all of it has left */
    }
    return verdict_redact(v, text + from, to - from, out);
}

bool verdict_stream_feed(struct verdict_stream *s, const struct verdict_rules *r,
                         struct verdict_ask *ask, const char *text, size_t n, bool last,
                         struct buf *out)
{
    struct verdict_result v;
    if (s->verdict >= VERDICT_REVIEW) {
        return false;
    }
    if (!buf_add(&s->held, text, n)) {
        s->verdict = VERDICT_BLOCK;
        return false;
    }
    if (s->held.len == s->gone) {
        return true;
    }
    ask->text = s->held.data;
    ask->n = s->held.len;
    bool read = verdict_check(r, ask, &v);
    note(s, &v);
    bool good = read && s->verdict < VERDICT_REVIEW;
    bool by_word = verdict_rules_by_word(r, ask->side, ask->team, ask->workflow);
    size_t go = last ? s->held.len : may_go(&s->held, by_word);
    for (size_t i = 0; i < v.n; i++) { /* what is to be redacted goes whole, or waits */
        const struct verdict_hit *h = &v.items[i];
        go = h->verdict == VERDICT_REDACT && h->from < go && h->to > go ? h->from : go;
    }
    go = go > s->gone ? go : s->gone;
    good = good && redact_rest(&v, s->held.data, s->gone, go, out);
    verdict_result_done(&v);
    s->verdict = good ? s->verdict : s->verdict < VERDICT_REVIEW ? VERDICT_BLOCK : s->verdict;
    if (good) {
        size_t past = before_tail(s->held.data, go);
        buf_consume(&s->held, past);
        s->gone = go - past;
    } else {
        buf_clear(&s->held);
        s->gone = 0;
    }
    return good;
}
