/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: a tail is held back and looked at with every piece.
 * Owns: the held tail. Threads: one a stream. Limits: STREAM_MAX held bytes, then it is blocked.
 */
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

/* Bytes before the last VERDICT_HOLD characters. */
static size_t before_tail(const struct buf *b)
{
    size_t at = b->len;
    for (int chars = 0; at > 0 && chars < VERDICT_HOLD;) {
        at--;
        chars += ((unsigned char)b->data[at] & 0xc0) != 0x80 ? 1 : 0;
    }
    return at;
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
    if (s->held.len == 0) {
        return true;
    }
    ask->text = s->held.data;
    ask->n = s->held.len;
    bool read = verdict_check(r, ask, &v);
    note(s, &v);
    bool good = read && s->verdict < VERDICT_REVIEW;
    size_t go = last ? s->held.len : before_tail(&s->held);
    for (size_t i = 0; i < v.n; i++) { /* what is to be redacted goes whole, or waits */
        const struct verdict_hit *h = &v.items[i];
        go = h->verdict == VERDICT_REDACT && h->from < go && h->to > go ? h->from : go;
    }
    good = good && verdict_redact(&v, s->held.data, go, out);
    verdict_result_done(&v);
    s->verdict = good ? s->verdict : s->verdict < VERDICT_REVIEW ? VERDICT_BLOCK : s->verdict;
    if (good) {
        buf_consume(&s->held, go);
    } else {
        buf_clear(&s->held);
    }
    return good;
}
