/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another server may send: whole replies and streams in both dialects, embeddings, and the
 * placeholders in its text. The first byte says which, the second how a stream is cut.
 */
#include <string.h>

#include "run/upstream/upstream_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void whole(const struct dialect *d, const char *text, size_t n, bool vectors)
{
    struct fault why;
    struct reply r;
    AUTO_JSON json_t *root = NULL;
    reply_init(&r);
    if (jn_parse(text, n, "a reply", &root, &why) == FAIL_NONE && json_is_object(root)) {
        bool good = vectors ? reply_vectors(root, 2, &r) : d->whole(root, &r);
        ASSERT(!good || r.ended);
        ASSERT(r.tokens_in >= 0 && r.tokens_out >= 0 && r.tokens_cached >= 0);
    }
    reply_done(&r);
}

/* However the bytes are cut, the text is the same. */
static size_t stream(const struct dialect *d, const char *text, size_t n, size_t piece,
                     struct buf *said)
{
    struct reply r;
    struct buf bytes;
    struct buf event;
    size_t events = 0;
    bool good = true;
    reply_init(&r);
    buf_init(&bytes, 1 << 20);
    buf_init(&event, REPLY_LINE_BYTES);
    for (size_t at = 0; good && at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        int got = 0;
        (void)buf_add(&bytes, text + at, len);
        while (good && !r.ended && (got = sse_next(&bytes, at + len == n, &event)) != 0) {
            good = got > 0 && d->event(event.data != NULL ? event.data : "", event.len, &r);
            events += good;
        }
    }
    (void)buf_add(said, r.text.data != NULL ? r.text.data : "", r.text.len);
    buf_done(&event);
    buf_done(&bytes);
    reply_done(&r);
    return events;
}

static void streams(const struct dialect *d, const char *text, size_t n, size_t piece)
{
    struct buf a;
    struct buf b;
    buf_init(&a, UPSTREAM_REPLY_BYTES);
    buf_init(&b, UPSTREAM_REPLY_BYTES);
    size_t events = stream(d, text, n, n, &a);
    ASSERT(stream(d, text, n, piece, &b) == events);
    ASSERT(a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0));
    buf_done(&a);
    buf_done(&b);
}

static void placeholders(const char *text, size_t n, size_t piece)
{
    static const char sent[] = "bob@example.org and +49 30 1234567 [ID_1]";
    struct guard_redaction *r = guard_redaction_new();
    struct buf out;
    struct buf held;
    buf_init(&out, 1 << 20);
    buf_init(&held, 1 << 20);
    ASSERT(guard_redact_reserve(r, sent, strlen(sent)) &&
           guard_redact(r, sent, strlen(sent), &out));
    enum guard_restored got = GUARD_RESTORED;
    for (size_t at = 0; got == GUARD_RESTORED && at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        got = guard_restore(r, &held, text + at, len, at + len == n, at % 2 == 0, &out);
        ASSERT(got != GUARD_RESTORED || held.len <= 24);
    }
    buf_done(&held);
    buf_done(&out);
    guard_redaction_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct dialect *const dialects[] = {&dialect_openai, &dialect_anthropic};
    if (n < 3) {
        return 0;
    }
    const char *text = (const char *)data + 2;
    size_t piece = (size_t)data[1] % 64 + 1;
    n -= 2;
    switch (data[0] % 6) {
    case 0:
    case 1:
        whole(dialects[data[0] % 2], text, n, false);
        break;
    case 2:
    case 3:
        streams(dialects[data[0] % 2], text, n, piece);
        break;
    case 4:
        whole(&dialect_openai, text, n, true);
        break;
    default:
        placeholders(text, n, piece);
        break;
    }
    return 0;
}
