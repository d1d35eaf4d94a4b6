/* SPDX-License-Identifier: Apache-2.0 */
/* Text: cleaning, lines, and one block of running text under construction. Owns: its buffers.
   Threads: one. Limits: a block's text at most the document's; its links the document's. */
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define LINKS_FIRST 8

bool clean_add(struct buf *out, const char *s, size_t n)
{
    bool ok = true;
    while (n > 0 && ok) {
        size_t run = 0;
        /* The plain stretch in one piece. */
        while (run < n && ((s[run] >= 0x20 && s[run] < 0x7f) || s[run] == '\n')) {
            run++;
        }
        ok = buf_add(out, s, run);
        s += run;
        n -= run;
        if (n == 0) {
            break;
        }
        uint32_t cp = 0;
        size_t len = text_utf8_decode(s, n, &cp);
        if (len == 0) {
            ok = buf_add(out, "\xEF\xBF\xBD", 3);
            len = 1;
            /* One mark for a whole broken sequence. */
            while (len < n && ((unsigned char)s[len] & 0xC0) == 0x80) {
                len++;
            }
        } else if (cp == '\t' || (cp >= 0x20 && cp != 0x7f && cp != 0xFEFF)) {
            ok = buf_add(out, s, len);
        }
        s += len;
        n -= len;
    }
    return ok;
}

void lines_begin(struct lines *l, const char *text, size_t len)
{
    *l = (struct lines){text, len, 0, 1};
}

uint32_t lines_at(struct lines *l, size_t offset)
{
    if (offset < l->at) {
        return l->line; /* a construct that began earlier */
    }
    while (l->at < offset && l->at < l->len) {
        const char *next = memchr(l->text + l->at, '\n', l->len - l->at);
        size_t end = next == NULL ? l->len : (size_t)(next - l->text) + 1;
        if (end > offset || next == NULL) {
            break;
        }
        l->line++;
        l->at = end;
    }
    return l->line;
}

void prose_init(struct prose *p, struct sink *sink)
{
    *p = (struct prose){.sink = sink, .begin = SIZE_MAX};
    buf_init(&p->text, (size_t)sink->limits.text_bytes + 16);
}

void prose_done(struct prose *p)
{
    for (size_t i = 0; i < p->links_len; i++) {
        mem_free((void *)p->links[i].target);
    }
    mem_free(p->links);
    mem_free(p->target);
    buf_done(&p->text);
}

static void full(struct prose *p)
{
    (void)sink_fail(p->sink, FAIL_TOO_LARGE, "Split the document, or raise this limit.",
                    "the document has more than %llu bytes of text",
                    (unsigned long long)p->sink->limits.text_bytes);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void add_collapsed(struct prose *p, const char *s, size_t n)
{
    for (size_t at = 0; at < n;) {
        if (is_space(s[at])) {
            p->space = true;
            at++;
            continue;
        }
        size_t run = at;
        while (run < n && !is_space(s[run])) {
            run++;
        }
        bool line = p->text.len > 0 && p->text.data[p->text.len - 1] == '\n';
        if ((p->space && p->text.len > 0 && !line && !buf_add_char(&p->text, ' ')) ||
            !clean_add(&p->text, s + at, run - at)) {
            full(p);
            return;
        }
        p->space = false;
        at = run;
    }
}

void prose_add(struct prose *p, const char *s, size_t n, size_t begin, size_t end)
{
    size_t before = p->text.len;
    if (!p->pre) {
        add_collapsed(p, s, n);
    } else if (!clean_add(&p->text, s, n)) {
        full(p);
    }
    if (p->text.len > before) {
        p->begin = p->begin == SIZE_MAX ? begin : p->begin;
        p->end = end > p->end ? end : p->end;
    }
}

void prose_break(struct prose *p)
{
    if (p->text.len > 0 && !buf_add_char(&p->text, '\n')) {
        full(p);
    }
    p->space = false;
}

void prose_link_open(struct prose *p, const char *target)
{
    prose_link_close(p);
    size_t n = strlen(target);
    struct buf clean;
    buf_init(&clean, DOCUMENT_VALUE_MAX * 4);
    (void)clean_add(&clean, target, n > DOCUMENT_VALUE_MAX ? DOCUMENT_VALUE_MAX : n);
    p->target = buf_take(&clean);
    for (char *c = p->target; *c != '\0'; c++) {
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    }
    size_t len = strlen(p->target);
    p->target[text_utf8_cut(p->target, len > DOCUMENT_VALUE_MAX ? DOCUMENT_VALUE_MAX : len)] =
        '\0';
    p->link_begin = p->text.len;
}

static void end_link(struct prose *p, char *target)
{
    size_t begin = p->link_begin;
    while (begin < p->text.len && is_space(p->text.data[begin])) {
        begin++;
    }
    if (p->links_len >= p->sink->limits.links) {
        mem_free(target);
        (void)sink_fail(p->sink, FAIL_TOO_LARGE, "Split the document, or raise this limit.",
                        "the document has more than %u links", p->sink->limits.links);
        return;
    }
    if (p->links_len == p->links_room) {
        p->links_room = p->links_room == 0 ? LINKS_FIRST : p->links_room * 2;
        p->links = mem_realloc(p->links, p->links_room * sizeof(*p->links));
    }
    p->links[p->links_len++] =
        (struct document_link){(uint32_t)begin, (uint32_t)p->text.len, target};
}

void prose_link_close(struct prose *p)
{
    if (p->target != NULL) {
        end_link(p, STEAL(p->target));
    }
}

/* Links over text that was trimmed off end before it. */
static void clip_links(struct prose *p, size_t len)
{
    for (size_t i = 0; i < p->links_len; i++) {
        struct document_link *l = &p->links[i];
        l->end = l->end > len ? (uint32_t)len : l->end;
        l->begin = l->begin > l->end ? l->end : l->begin;
    }
}

enum fail prose_flush(struct prose *p)
{
    char *open = NULL;
    if (p->target != NULL && p->text.len > p->link_begin) {
        open = mem_dup_str(p->target);
        prose_link_close(p);
    }
    size_t len = p->text.len;
    while (len > 0 &&
           (p->text.data[len - 1] == '\n' || (!p->pre && p->text.data[len - 1] == ' '))) {
        len--;
    }
    clip_links(p, len);
    p->block.text = p->text.data == NULL ? "" : p->text.data;
    p->block.len = len;
    p->block.begin = p->begin == SIZE_MAX ? 0 : p->begin;
    p->block.end = p->begin == SIZE_MAX ? 0 : p->end;
    p->block.links = p->links;
    p->block.links_len = (uint32_t)p->links_len;
    enum fail f = sink_block(p->sink, &p->block);
    for (size_t i = 0; i < p->links_len; i++) {
        mem_free((void *)p->links[i].target);
    }
    p->links_len = 0;
    p->space = false;
    p->begin = SIZE_MAX;
    p->end = 0;
    buf_clear(&p->text);
    p->link_begin = 0;
    if (open != NULL) {
        p->target = open;
    }
    return f;
}
