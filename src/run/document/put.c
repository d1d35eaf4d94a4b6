/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of a document: names, limits, and writing. Threads: none. Limits: the buffer's cap;
   texts over their caps are a bug of the caller. */
#include <string.h>

#include "run/document/document_internal.h"

static const char *const kinds[] = {
#define DOCUMENT_KIND(name, text) text,
#include "run/document/document_kinds.def"
#undef DOCUMENT_KIND
};
static const char *const metas[] = {
#define DOCUMENT_META(name, text) text,
#include "run/document/document_kinds.def"
#undef DOCUMENT_META
};

const char *document_kind_name(enum document_kind kind)
{
    ASSERT((unsigned)kind < DOCUMENT_KIND_COUNT);
    return kinds[kind];
}

const char *document_meta_name(enum document_meta_key key)
{
    ASSERT((unsigned)key < DOCUMENT_META_COUNT);
    return metas[key];
}

static uint64_t within(uint64_t asked, uint64_t otherwise, uint64_t most)
{
    return asked == 0 ? otherwise : asked > most ? most : asked;
}

void document_limits_fill(struct document_limits *l)
{
    const uint64_t mib = 1u << 20;
    l->input_bytes = within(l->input_bytes, 64 * mib, 1024 * mib);
    l->text_bytes = within(l->text_bytes, 32 * mib, 256 * mib);
    l->attachment_bytes = within(l->attachment_bytes, 64 * mib, 512 * mib);
    l->blocks = (uint32_t)within(l->blocks, 200000, 2000000);
    l->links = (uint32_t)within(l->links, 100000, 1000000);
    l->attachments = (uint32_t)within(l->attachments, 200, 2000);
    l->parts = (uint32_t)within(l->parts, 1000, 10000);
    l->depth = (uint32_t)within(l->depth, 256, 1000);
    l->cpu_s = (uint32_t)within(l->cpu_s, 10, 300);
    l->memory_bytes = within(l->memory_bytes, 2048 * mib, 16384 * mib);
}

static void put_number(struct buf *out, uint64_t v, unsigned bytes)
{
    uint8_t le[8];
    for (unsigned i = 0; i < bytes; i++) {
        le[i] = (uint8_t)(v >> (8 * i));
    }
    (void)buf_add(out, le, bytes);
}

static void put_head(struct buf *out, enum frame_type type, size_t len)
{
    ASSERT(len <= UINT32_MAX);
    put_number(out, len, 4);
    put_number(out, (uint64_t)type, 4);
}

void document_put_start(struct buf *out, const char *format, const char *charset)
{
    size_t n = strlen(format), m = strlen(charset);
    ASSERT(n < 32 && m < 64);
    put_head(out, FRAME_START, 1 + n + m);
    put_number(out, n, 1);
    (void)buf_add(out, format, n);
    (void)buf_add(out, charset, m);
}

void document_put_meta(struct buf *out, enum document_meta_key key, const char *value)
{
    size_t n = strlen(value);
    ASSERT(n <= DOCUMENT_VALUE_MAX);
    put_head(out, FRAME_META, 4 + n);
    put_number(out, (uint64_t)key, 4);
    (void)buf_add(out, value, n);
}

static void put_links(struct buf *out, const struct document_block *b)
{
    for (uint32_t i = 0; i < b->links_len; i++) {
        size_t n = strlen(b->links[i].target);
        ASSERT(n <= DOCUMENT_VALUE_MAX);
        put_head(out, FRAME_LINK, 8 + n);
        put_number(out, b->links[i].begin, 4);
        put_number(out, b->links[i].end, 4);
        (void)buf_add(out, b->links[i].target, n);
    }
}

void document_put_block(struct buf *out, const struct document_block *b)
{
    const char *path = b->path == NULL ? "" : b->path;
    size_t n = strlen(path);
    ASSERT(n <= DOCUMENT_PATH_MAX && b->len <= DOCUMENT_TEXT_MAX && b->level < 256);
    put_head(out, FRAME_BLOCK, BLOCK_FIXED + n + b->len);
    put_number(out, (uint64_t)b->kind, 1);
    put_number(out, b->level, 1);
    put_number(out, b->header ? 1 : 0, 2);
    put_number(out, b->page, 4);
    put_number(out, b->part, 4);
    put_number(out, b->line, 4);
    put_number(out, b->table, 4);
    put_number(out, b->row, 4);
    put_number(out, b->column, 4);
    put_number(out, b->begin, 8);
    put_number(out, b->end, 8);
    put_number(out, n, 4);
    (void)buf_add(out, path, n);
    (void)buf_add(out, b->text, b->len);
    put_links(out, b);
}

void document_put_attachment(struct buf *out, const struct document_attachment *a)
{
    const char *words[] = {a->name, a->type, a->content_id};
    size_t lengths[COUNT_OF(words)], sum = 0;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        lengths[i] = strlen(words[i]);
        ASSERT(lengths[i] <= ATTACHMENT_NAME_MAX);
        sum += lengths[i];
    }
    put_head(out, FRAME_ATTACHMENT, ATTACHMENT_FIXED + sum + a->len);
    put_number(out, a->is_inline ? 1 : 0, 4);
    put_number(out, a->part, 4);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        put_number(out, lengths[i], 2);
    }
    put_number(out, 0, 2);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        (void)buf_add(out, words[i], lengths[i]);
    }
    (void)buf_add(out, a->bytes, a->len);
}

void document_put_warning(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    ASSERT(n <= DOCUMENT_WARNING_MAX);
    put_head(out, FRAME_WARNING, n);
    (void)buf_add(out, text, n);
}

void document_put_end(struct buf *out, uint32_t blocks, uint32_t attachments)
{
    put_head(out, FRAME_END, 8);
    put_number(out, blocks, 4);
    put_number(out, attachments, 4);
}

void document_put_error(struct buf *out, const struct fault *why)
{
    const char *name = fail_name(why->code);
    size_t n = strlen(name), m = strlen(why->message), h = strlen(why->hint);
    put_head(out, FRAME_ERROR, 1 + n + 1 + m + 1 + h);
    put_number(out, n, 1);
    (void)buf_add(out, name, n);
    put_number(out, 0, 1);
    (void)buf_add(out, why->message, m);
    put_number(out, 0, 1);
    (void)buf_add(out, why->hint, h);
}
