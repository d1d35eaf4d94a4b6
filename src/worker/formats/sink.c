/* SPDX-License-Identifier: Apache-2.0 */
/* The sink: every limit of a document is held here. Owns: the frames not yet written. Threads:
   one. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define FLUSH_BYTES (256u * 1024)

void sink_init(struct sink *s, const struct document_limits *limits, int out)
{
    *s = (struct sink){.limits = *limits, .out = out};
    buf_init(&s->frames, (size_t)limits->attachment_bytes + (64u << 20));
}

void sink_done(struct sink *s)
{
    buf_done(&s->frames);
}

enum fail sink_fail(struct sink *s, enum fail code, const char *hint, const char *fmt, ...)
{
    if (s->failed == FAIL_NONE) {
        char message[sizeof(s->why.message)];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        s->failed = FAULT(&s->why, code, "%s", message);
        fail_hint(&s->why, "%s", hint == NULL ? "" : hint);
    }
    return s->failed;
}

static enum fail too_large(struct sink *s, const char *what, uint64_t most)
{
    return sink_fail(s, FAIL_TOO_LARGE, "Split the document, or raise this limit.",
                     "the document has more than %llu %s", (unsigned long long)most, what);
}

static enum fail flush(struct sink *s, size_t above)
{
    size_t at = 0;
    ASSERT(!s->frames.overflow);
    if (s->frames.len < above) {
        return s->failed;
    }
    while (s->out >= 0 && at < s->frames.len) {
        ssize_t n = write(s->out, s->frames.data + at, s->frames.len - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return sink_fail(s, FAIL_STOPPED, NULL, "nobody reads what the document holds");
        }
        at += (size_t)n;
    }
    buf_clear(&s->frames);
    return s->failed;
}

enum fail sink_start(struct sink *s, const char *format, const char *charset)
{
    document_put_start(&s->frames, format, charset);
    s->text += strlen(format) + strlen(charset);
    s->started = true;
    for (uint32_t i = 0; i < s->early_len; i++) {
        document_put_warning(&s->frames, s->early[i]);
    }
    return s->failed;
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n') {
            return false;
        }
    }
    return true;
}

static enum fail count(struct sink *s, const struct document_block *b)
{
    s->text += b->len + (b->path == NULL ? 0 : strlen(b->path));
    for (uint32_t i = 0; i < b->links_len; i++) {
        s->text += strlen(b->links[i].target);
    }
    s->links += b->links_len;
    if (++s->blocks > s->limits.blocks) {
        return too_large(s, "blocks", s->limits.blocks);
    }
    if (s->links > s->limits.links) {
        return too_large(s, "links", s->limits.links);
    }
    return s->text > s->limits.text_bytes ? too_large(s, "bytes of text", s->limits.text_bytes)
                                          : s->failed;
}

/* A path is one line. */
static char *one_line(const char *path)
{
    char *copy = mem_dup_str(path);
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    }
    return copy;
}

static enum fail put(struct sink *s, const struct document_block *b)
{
    struct document_block whole = *b;
    AUTO_FREE char *path = b->path == NULL || strpbrk(b->path, "\n\t") == NULL ? NULL
                                                                              : one_line(b->path);
    whole.path = path != NULL ? path : b->path;
    whole.page = b->page != 0 ? b->page : s->page;
    whole.part = b->part != 0 ? b->part : s->part;
    if (whole.end > whole.begin) {
        whole.begin += s->base;
        whole.end += s->base;
    }
    whole.line += whole.line > 0 ? s->base_line : 0;
    whole.level = whole.level > 255 ? 255 : whole.level;
    if (whole.path != NULL && strlen(whole.path) > DOCUMENT_PATH_MAX) {
        return too_large(s, "bytes in a path", DOCUMENT_PATH_MAX);
    }
    if (count(s, &whole) == FAIL_NONE) {
        document_put_block(&s->frames, &whole);
    }
    return flush(s, FLUSH_BYTES);
}

/* Where a text may be cut: after white space near the end, else between characters. */
static size_t cut_at(const char *text, size_t len)
{
    size_t n = text_utf8_cut(text, DOCUMENT_TEXT_MAX);
    ASSERT(len > DOCUMENT_TEXT_MAX);
    for (size_t back = 0; back < 200; back++) {
        if (text[n - back - 1] == ' ' || text[n - back - 1] == '\n') {
            return n - back;
        }
    }
    return n;
}

/* A long text as several blocks; a link stays with the piece in which it begins. */
static enum fail put_pieces(struct sink *s, const struct document_block *b)
{
    size_t at = 0, link = 0;
    while (s->failed == FAIL_NONE && (at < b->len || at == 0)) {
        size_t n = b->len - at > DOCUMENT_TEXT_MAX ? cut_at(b->text + at, b->len - at)
                                                   : b->len - at;
        struct document_block piece = *b;
        struct document_link *links = mem_alloc_array(b->links_len - link, sizeof(*links));
        size_t k = 0;
        for (; link + k < b->links_len &&
               (b->links[link + k].begin < at + n || at + n == b->len); k++) {
            links[k] = b->links[link + k];
            links[k].begin -= (uint32_t)at;
            links[k].end = links[k].end - at > n ? (uint32_t)n : links[k].end - (uint32_t)at;
        }
        piece.text = b->text + at;
        piece.len = n;
        piece.links = links;
        piece.links_len = (uint32_t)k;
        (void)put(s, &piece);
        mem_free(links);
        link += k;
        at += n;
        if (n == 0) {
            break;
        }
    }
    return s->failed;
}

enum fail sink_block(struct sink *s, const struct document_block *b)
{
    bool keep = b->kind == DOCUMENT_CELL ||
                (b->kind >= DOCUMENT_VALUE && b->kind <= DOCUMENT_CASE) || b->links_len > 0;
    if (s->failed != FAIL_NONE || (!keep && is_blank(b->text, b->len))) {
        return s->failed;
    }
    return b->len <= DOCUMENT_TEXT_MAX ? put(s, b) : put_pieces(s, b);
}

/* Clean, without white space at its ends, at most n_max bytes; the caller frees it. */
static char *trimmed(const char *text, size_t len, size_t n_max, bool one_line)
{
    struct buf b;
    buf_init(&b, n_max * 4 + 16);
    (void)clean_add(&b, text, len > n_max ? n_max : len);
    char *s = buf_take(&b);
    for (char *p = s; *p != '\0' && one_line; p++) {
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    }
    char *start = text_trim(s);
    size_t n = text_utf8_cut(start, strlen(start) > n_max ? n_max : strlen(start));
    char *out = mem_dup_strn(start, n);
    mem_free(s);
    return out;
}

enum fail sink_meta(struct sink *s, enum document_meta_key key, const char *text, size_t len)
{
    AUTO_FREE char *value = trimmed(text, len, DOCUMENT_VALUE_MAX, true);
    if (s->failed != FAIL_NONE || value[0] == '\0') {
        return s->failed;
    }
    s->text += strlen(value);
    if (++s->metas > DOCUMENT_METAS_MAX) {
        return too_large(s, "metadata values", DOCUMENT_METAS_MAX);
    }
    if (s->text > s->limits.text_bytes) {
        return too_large(s, "bytes of text", s->limits.text_bytes);
    }
    document_put_meta(&s->frames, key, value);
    return flush(s, FLUSH_BYTES);
}

enum fail sink_meta_str(struct sink *s, enum document_meta_key key, const char *text)
{
    return text == NULL ? s->failed : sink_meta(s, key, text, strlen(text));
}

enum fail sink_attach(struct sink *s, const struct document_attachment *a)
{
    AUTO_FREE char *name = trimmed(a->name == NULL ? "" : a->name,
                                   a->name == NULL ? 0 : strlen(a->name), 255, true);
    AUTO_FREE char *type = trimmed(a->type == NULL ? "" : a->type,
                                   a->type == NULL ? 0 : strlen(a->type), 255, true);
    AUTO_FREE char *id = trimmed(a->content_id == NULL ? "" : a->content_id,
                                 a->content_id == NULL ? 0 : strlen(a->content_id), 255, true);
    if (s->failed != FAIL_NONE) {
        return s->failed;
    }
    for (char *p = type; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    if (++s->attachments > s->limits.attachments) {
        return too_large(s, "attachments", s->limits.attachments);
    }
    s->attached += a->len;
    if (s->attached > s->limits.attachment_bytes) {
        return too_large(s, "bytes of attachments", s->limits.attachment_bytes);
    }
    s->text += strlen(name) + strlen(type) + strlen(id);
    struct document_attachment clean = *a;
    clean.name = name;
    clean.type = type;
    clean.content_id = id;
    document_put_attachment(&s->frames, &clean);
    return flush(s, FLUSH_BYTES);
}

void sink_warn(struct sink *s, const char *fmt, ...)
{
    char text[DOCUMENT_WARNING_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (s->failed == FAIL_NONE && s->warnings < DOCUMENT_WARNINGS_MAX) {
        s->warnings++;
        AUTO_FREE char *clean = trimmed(text, strlen(text), DOCUMENT_WARNING_MAX, true);
        s->text += strlen(clean);
        if (s->started) {
            document_put_warning(&s->frames, clean);
        } else if (s->early_len < SINK_EARLY_MAX) {
            (void)text_copy(s->early[s->early_len++], sizeof(s->early[0]), clean);
        }
    }
}

enum fail sink_end(struct sink *s)
{
    if (s->failed == FAIL_NONE && s->text > s->limits.text_bytes) {
        (void)too_large(s, "bytes of text", s->limits.text_bytes);
    }
    if (s->failed == FAIL_NONE) {
        document_put_end(&s->frames, s->blocks, s->attachments);
    }
    return flush(s, 0);
}

void sink_end_failed(struct sink *s)
{
    if (s->failed != FAIL_STOPPED) {
        document_put_error(&s->frames, &s->why);
        (void)flush(s, 0);
    }
}
