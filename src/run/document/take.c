/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of a document: taking them from a reader that may have been taken over. Nothing is
 * believed: a frame is checked whole before anything of it is kept.
 * Owns: the arena that becomes the document's. Threads: none. Limits: struct document_limits; one
 * frame at most as long as the longest that they allow.
 */
#include <string.h>

#include "base/text/text.h"
#include "run/document/document_internal.h"

/* Beside text and attachments: fixed parts, pointers, chunks of the arena. */
#define ARENA_SLACK (4u << 20)
#define LIST_FIRST 64

struct document_taker {
    struct document_limits limits;
    struct buf in;
    struct document *document;
    struct document_block *blocks;
    struct document_meta *metas;
    struct document_attachment *attachments;
    const char **warnings;
    size_t blocks_room, metas_room, attachments_room;
    /* Links of the last block; moved to the arena when the next block comes. */
    struct document_link *links;
    size_t links_len, links_room, links_all;
    uint64_t text, attached;
    struct fault said; /* FRAME_ERROR */
    bool started, ended, failed;
};

void document_free(struct document *d)
{
    if (d != NULL) {
        arena_free(d->arena); /* the document lies in it too */
    }
}

const char *document_meta_find(const struct document *d, enum document_meta_key key)
{
    for (size_t i = 0; i < d->metas_len; i++) {
        if (d->metas[i].key == key) {
            return d->metas[i].value;
        }
    }
    return "";
}

struct document_taker *document_taker_new(const struct document_limits *limits)
{
    struct document_taker *t = mem_alloc(sizeof(*t));
    t->limits = *limits;
    uint64_t fixed = (uint64_t)limits->blocks * (sizeof(struct document_block) + 16) * 2 +
                     (uint64_t)limits->links * (sizeof(struct document_link) + 16) +
                     (uint64_t)limits->attachments * sizeof(struct document_attachment) * 2;
    uint64_t most = limits->text_bytes + limits->attachment_bytes;
    struct arena *arena = arena_new((size_t)(fixed + most + most / 4 + ARENA_SLACK));
    t->document = arena_alloc(arena, sizeof(*t->document));
    t->document->arena = arena;
    uint64_t longest = limits->attachment_bytes > DOCUMENT_TEXT_MAX ? limits->attachment_bytes
                                                                    : DOCUMENT_TEXT_MAX;
    buf_init(&t->in, (size_t)longest + (1u << 20));
    return t;
}

void document_taker_free(struct document_taker *t)
{
    if (t == NULL) {
        return;
    }
    document_free(t->document);
    buf_done(&t->in);
    mem_free(t->blocks);
    mem_free(t->metas);
    mem_free(t->attachments);
    mem_free(t->links);
    mem_free(t->warnings);
    mem_free(t);
}

static enum fail bad(struct document_taker *t, const char *what, struct fault *why)
{
    t->failed = true;
    FAULT(why, FAIL_WORKER_DIED, "inhouse-reader wrote a wrong frame: %s", what);
    return fail_hint(why, "The document may have broken the reader: it is refused.");
}

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

/* Valid UTF-8 without control characters but tab and line feed. */
static bool is_plain(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') || s[i] == 0x7f) {
            return false;
        }
    }
    return text_utf8_is_valid((const char *)s, n);
}

static bool is_word(const uint8_t *s, size_t n)
{
    return is_plain(s, n) && memchr(s, '\n', n) == NULL && memchr(s, '\t', n) == NULL;
}

/* A copy in the document's arena, counted; NULL when it is too much. */
static const char *keep(struct document_taker *t, const uint8_t *s, size_t n)
{
    t->text += n;
    return t->text > t->limits.text_bytes
               ? NULL
               : arena_dup_strn(t->document->arena, (const char *)s, n);
}

static void *grow(void *list, size_t *room, size_t used, size_t size)
{
    if (used < *room) {
        return list;
    }
    *room = *room == 0 ? LIST_FIRST : *room * 2;
    return mem_realloc(list, *room * size);
}

static enum fail take_start(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    if (t->started || n < 1 || p[0] > n - 1 || p[0] >= 32 || n - 1 - p[0] >= 64 ||
        !is_word(p + 1, n - 1)) {
        return bad(t, "START", why);
    }
    t->document->format = keep(t, p + 1, p[0]);
    t->document->charset = keep(t, p + 1 + p[0], n - 1 - p[0]);
    t->started = true;
    return t->document->format == NULL || t->document->charset == NULL ? bad(t, "START", why)
                                                                       : FAIL_NONE;
}

static enum fail take_meta(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    struct document *d = t->document;
    if (n < 4 || number(p, 4) >= DOCUMENT_META_COUNT || n - 4 > DOCUMENT_VALUE_MAX ||
        d->metas_len >= DOCUMENT_METAS_MAX || !is_plain(p + 4, n - 4)) {
        return bad(t, "META", why);
    }
    const char *value = keep(t, p + 4, n - 4);
    if (value == NULL) {
        return bad(t, "more text than asked for", why);
    }
    t->metas = grow(t->metas, &t->metas_room, d->metas_len, sizeof(*t->metas));
    t->metas[d->metas_len++] =
        (struct document_meta){(enum document_meta_key)number(p, 4), value};
    return FAIL_NONE;
}

/* The links gathered belong to the last block. */
static void settle_links(struct document_taker *t)
{
    if (t->links_len > 0) {
        struct document_block *b = &t->blocks[t->document->blocks_len - 1];
        b->links = arena_dup(t->document->arena, t->links, t->links_len * sizeof(*t->links));
        b->links_len = (uint32_t)t->links_len;
        t->links_len = 0;
    }
}

static enum fail take_block(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    struct document *d = t->document;
    size_t path = n < BLOCK_FIXED ? 0 : (size_t)number(p + 44, 4);
    if (n < BLOCK_FIXED || p[0] >= DOCUMENT_KIND_COUNT || p[2] > 1 || p[3] != 0 ||
        path > DOCUMENT_PATH_MAX || path > n - BLOCK_FIXED ||
        n - BLOCK_FIXED - path > DOCUMENT_TEXT_MAX) {
        return bad(t, "BLOCK", why);
    }
    if (d->blocks_len >= t->limits.blocks) {
        return bad(t, "more blocks than asked for", why);
    }
    const uint8_t *words = p + BLOCK_FIXED;
    struct document_block b = {.kind = (enum document_kind)p[0],
                               .level = p[1],
                               .header = p[2] == 1,
                               .page = (uint32_t)number(p + 4, 4),
                               .part = (uint32_t)number(p + 8, 4),
                               .line = (uint32_t)number(p + 12, 4),
                               .table = (uint32_t)number(p + 16, 4),
                               .row = (uint32_t)number(p + 20, 4),
                               .column = (uint32_t)number(p + 24, 4),
                               .begin = number(p + 28, 8),
                               .end = number(p + 36, 8),
                               .len = n - BLOCK_FIXED - path};
    if (b.end < b.begin || !is_word(words, path) || !is_plain(words + path, b.len)) {
        return bad(t, "BLOCK", why);
    }
    b.path = path == 0 ? "" : keep(t, words, path);
    b.text = keep(t, words + path, b.len);
    if (b.path == NULL || b.text == NULL) {
        return bad(t, "more text than asked for", why);
    }
    settle_links(t);
    t->blocks = grow(t->blocks, &t->blocks_room, d->blocks_len, sizeof(*t->blocks));
    t->blocks[d->blocks_len++] = b;
    return FAIL_NONE;
}

static enum fail take_link(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    size_t blocks = t->document->blocks_len;
    size_t text = blocks == 0 ? 0 : t->blocks[blocks - 1].len;
    if (n < 8 || blocks == 0 || number(p, 4) > number(p + 4, 4) || number(p + 4, 4) > text ||
        n - 8 > DOCUMENT_VALUE_MAX || !is_word(p + 8, n - 8) ||
        ++t->links_all > t->limits.links) {
        return bad(t, "LINK", why);
    }
    const char *target = keep(t, p + 8, n - 8);
    if (target == NULL) {
        return bad(t, "more text than asked for", why);
    }
    t->links = grow(t->links, &t->links_room, t->links_len, sizeof(*t->links));
    t->links[t->links_len++] =
        (struct document_link){(uint32_t)number(p, 4), (uint32_t)number(p + 4, 4), target};
    return FAIL_NONE;
}

static enum fail take_attachment(struct document_taker *t, const uint8_t *p, size_t n,
                                 struct fault *why)
{
    struct document *d = t->document;
    size_t lengths[3] = {0}, words = 0;
    for (size_t i = 0; n >= ATTACHMENT_FIXED && i < 3; i++) {
        lengths[i] = (size_t)number(p + 8 + 2 * i, 2);
        words += lengths[i];
    }
    if (n < ATTACHMENT_FIXED || number(p, 4) > 1 || words > n - ATTACHMENT_FIXED ||
        lengths[0] > ATTACHMENT_NAME_MAX || lengths[1] > ATTACHMENT_NAME_MAX ||
        lengths[2] > ATTACHMENT_NAME_MAX || d->attachments_len >= t->limits.attachments) {
        return bad(t, "ATTACHMENT", why);
    }
    const uint8_t *at = p + ATTACHMENT_FIXED;
    const char *kept[3];
    for (size_t i = 0; i < 3; at += lengths[i++]) {
        kept[i] = is_word(at, lengths[i]) ? keep(t, at, lengths[i]) : NULL;
        if (kept[i] == NULL) {
            return bad(t, "ATTACHMENT", why);
        }
    }
    size_t len = n - ATTACHMENT_FIXED - words;
    t->attached += len;
    if (t->attached > t->limits.attachment_bytes) {
        return bad(t, "more in attachments than asked for", why);
    }
    t->attachments =
        grow(t->attachments, &t->attachments_room, d->attachments_len, sizeof(*t->attachments));
    t->attachments[d->attachments_len++] =
        (struct document_attachment){.name = kept[0],
                                     .type = kept[1],
                                     .content_id = kept[2],
                                     .is_inline = number(p, 4) == 1,
                                     .part = (uint32_t)number(p + 4, 4),
                                     .bytes = arena_dup(d->arena, at, len),
                                     .len = len};
    return FAIL_NONE;
}

static enum fail take_warning(struct document_taker *t, const uint8_t *p, size_t n,
                              struct fault *why)
{
    struct document *d = t->document;
    const char *text = n <= DOCUMENT_WARNING_MAX && d->warnings_len < DOCUMENT_WARNINGS_MAX &&
                               is_word(p, n)
                           ? keep(t, p, n)
                           : NULL;
    if (text == NULL) {
        return bad(t, "WARNING", why);
    }
    if (t->warnings == NULL) {
        t->warnings = mem_alloc_array(DOCUMENT_WARNINGS_MAX, sizeof(*t->warnings));
    }
    t->warnings[d->warnings_len++] = text;
    return FAIL_NONE;
}

static enum fail take_end(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    if (!t->started || n != 8 || number(p, 4) != t->document->blocks_len ||
        number(p + 4, 4) != t->document->attachments_len) {
        return bad(t, "END", why);
    }
    t->ended = true;
    return FAIL_NONE;
}

/* A reader may say these; the rest would speak in the server's name. */
static bool may_say(enum fail code)
{
    return code == FAIL_BAD_REQUEST || code == FAIL_UNSUPPORTED || code == FAIL_TOO_LARGE ||
           code == FAIL_DEADLINE || code == FAIL_INTERNAL;
}

static enum fail take_error(struct document_taker *t, const uint8_t *p, size_t n, struct fault *why)
{
    const uint8_t *name_end = n > 1 ? memchr(p + 1, 0, n - 1) : NULL;
    const uint8_t *end = p + n;
    const uint8_t *message_end =
        name_end == NULL ? NULL : memchr(name_end + 1, 0, (size_t)(end - name_end - 1));
    if (message_end == NULL || name_end != p + 1 + p[0] ||
        !is_word(p + 1, p[0]) ||
        !is_word(name_end + 1, (size_t)(message_end - name_end - 1)) ||
        !is_word(message_end + 1, (size_t)(end - message_end - 1))) {
        return bad(t, "ERROR", why);
    }
    enum fail code = fail_from_name((const char *)p + 1);
    if (!may_say(code)) {
        return bad(t, "ERROR", why);
    }
    FAULT(&t->said, code, "%.*s", (int)(message_end - name_end - 1),
          (const char *)name_end + 1);
    fail_hint(&t->said, "%.*s", (int)(end - message_end - 1), (const char *)message_end + 1);
    t->ended = true;
    return FAIL_NONE;
}

static enum fail take_frame(struct document_taker *t, unsigned type, const uint8_t *p, size_t n,
                            struct fault *why)
{
    static enum fail (*const takes[])(struct document_taker *, const uint8_t *, size_t,
                                      struct fault *) = {
        [FRAME_START] = take_start, [FRAME_META] = take_meta,
        [FRAME_BLOCK] = take_block, [FRAME_LINK] = take_link,
        [FRAME_ATTACHMENT] = take_attachment, [FRAME_WARNING] = take_warning,
        [FRAME_END] = take_end, [FRAME_ERROR] = take_error};
    if (type == 0 || type >= FRAME_TYPE_COUNT || t->ended ||
        (!t->started && type != FRAME_START && type != FRAME_ERROR)) {
        return bad(t, "out of order", why);
    }
    return takes[type](t, p, n, why);
}

enum fail document_taker_feed(struct document_taker *t, const void *bytes, size_t len,
                              struct fault *why)
{
    if (t->failed || !buf_add(&t->in, bytes, len)) {
        return bad(t, "too long", why);
    }
    size_t at = 0;
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && t->in.len - at >= DOCUMENT_FRAME_HEADER) {
        const uint8_t *p = (const uint8_t *)t->in.data + at;
        uint64_t n = number(p, 4), type = number(p + 4, 4);
        if (n + DOCUMENT_FRAME_HEADER > t->in.cap || type >= FRAME_TYPE_COUNT) {
            return bad(t, "too long or of no type", why);
        }
        if (t->in.len - at < DOCUMENT_FRAME_HEADER + n) {
            break;
        }
        f = take_frame(t, (unsigned)type, p + DOCUMENT_FRAME_HEADER, (size_t)n, why);
        at += DOCUMENT_FRAME_HEADER + (size_t)n;
    }
    buf_consume(&t->in, at);
    return f;
}

bool document_taker_is_done(const struct document_taker *t)
{
    return t->ended && t->in.len == 0;
}

enum fail document_taker_end(struct document_taker *t, struct document **out, struct fault *why)
{
    if (t->failed) {
        return bad(t, "an earlier one", why);
    }
    if (!t->ended || t->in.len > 0) {
        return bad(t, t->ended ? "bytes after the last one" : "the last one is missing", why);
    }
    if (t->said.code != FAIL_NONE) {
        FAULT(why, t->said.code, "%s", t->said.message);
        return fail_hint(why, "%s", t->said.hint);
    }
    settle_links(t);
    struct document *d = STEAL(t->document);
    d->blocks = arena_dup(d->arena, t->blocks, d->blocks_len * sizeof(*t->blocks));
    d->metas = arena_dup(d->arena, t->metas, d->metas_len * sizeof(*t->metas));
    d->attachments =
        arena_dup(d->arena, t->attachments, d->attachments_len * sizeof(*t->attachments));
    d->warnings = arena_dup(d->arena, t->warnings, d->warnings_len * sizeof(*t->warnings));
    *out = d;
    t->failed = true;
    return FAIL_NONE;
}
