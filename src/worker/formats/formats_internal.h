/* SPDX-License-Identifier: Apache-2.0 */
/* worker/formats: where parsers put what they find, text in any charset, and the parsers. Threads:
   one. */
#pragma once

#include <stdbool.h>

#include "worker/formats/formats.h"

/* ---- the sink: counts, checks the limits, writes the frames ---- */

#define SINK_EARLY_MAX 4
struct sink {
    struct document_limits limits;
    int out;
    struct buf frames;
    uint64_t text, attached;
    uint32_t blocks, links, attachments, metas, warnings, tables;
    uint32_t page, part; /* put into every block */
    uint64_t base;       /* added to every span and line: where this piece of the source begins */
    uint32_t base_line;
    bool started;
    char early[SINK_EARLY_MAX][DOCUMENT_WARNING_MAX + 1]; /* warnings before the first frame */
    uint32_t early_len;
    enum fail failed;    /* the first failure, for parsers that are called back */
    struct fault why;
};

void sink_init(struct sink *s, const struct document_limits *limits, int out);
void sink_done(struct sink *s);
/* All return FAIL_NONE or the first failure, which they keep in s->failed and s->why. */
enum fail sink_start(struct sink *s, const char *format, const char *charset);
/* The block's text must be clean (clean_add); it is split where it is too long, and left out where
   it is blank, but for cells and values. links may be NULL. */
enum fail sink_block(struct sink *s, const struct document_block *b);
/* Any bytes: cleaned, trimmed and cut; nothing where that leaves nothing. */
enum fail sink_meta(struct sink *s, enum document_meta_key key, const char *text, size_t len);
enum fail sink_meta_str(struct sink *s, enum document_meta_key key, const char *text);
enum fail sink_attach(struct sink *s, const struct document_attachment *a);
/* Beyond DOCUMENT_WARNINGS_MAX they are dropped. Never the document's text. */
void sink_warn(struct sink *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Keeps a failure; returns it. FAULT's twin for parsers that are called back. */
enum fail sink_fail(struct sink *s, enum fail code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
enum fail sink_end(struct sink *s);
/* The last frame after a failure. */
void sink_end_failed(struct sink *s);

/* ---- text ---- */

/* Appends s as valid UTF-8 without control characters but tab and line feed; what is no UTF-8
   becomes U+FFFD. false: the buffer is full. */
bool clean_add(struct buf *out, const char *s, size_t n);

/* A document's text in UTF-8. */
struct decoded {
    const char *text; /* NUL-terminated only where owned */
    size_t len;
    char *owned;      /* what to free, NULL where text points into the input */
    char charset[64]; /* its name as found */
};
/* By byte order mark, then `asked`, then what `declared` says (both may be NULL), then as UTF-8 if
   it is, then by guessing. Never fails on bytes; FAIL_TOO_LARGE over 512 MiB. */
enum fail charset_decode(struct sink *s, const char *bytes, size_t len, const char *asked,
                         const char *declared, struct decoded *out);
void charset_done(struct decoded *d);
/* Makes iconv(3) of this program work without files: see iconv.c. */
void charset_own_iconv(void);

/* Byte offset -> line, for offsets that do not go back. */
struct lines {
    const char *text;
    size_t len, at;
    uint32_t line;
};
void lines_begin(struct lines *l, const char *text, size_t len);
uint32_t lines_at(struct lines *l, size_t offset);

/* ---- prose: one block under construction, with links ---- */

struct prose {
    struct sink *sink;
    struct document_block block; /* kind, level, ...: as they will be */
    struct buf text;
    bool pre;                    /* keep white space */
    bool space;                  /* one is due before the next word */
    struct document_link *links;
    size_t links_len, links_room;
    char *target;                /* of the open link, NULL: none */
    size_t link_begin;
    size_t begin, end;           /* span in the source; begin SIZE_MAX: no text yet */
};
void prose_init(struct prose *p, struct sink *sink);
void prose_done(struct prose *p);
/* Text that lies at [begin, end) of the source. */
void prose_add(struct prose *p, const char *s, size_t n, size_t begin, size_t end);
void prose_break(struct prose *p); /* a line break inside the block */
void prose_link_open(struct prose *p, const char *target);
void prose_link_close(struct prose *p);
/* Emits what is there and empties it; an open link goes on in the next block. */
enum fail prose_flush(struct prose *p);

/* ---- the parsers: bytes in, blocks out; sink_start included ---- */

struct source {
    const char *bytes;
    size_t len;
    const char *name;    /* may be NULL */
    const char *charset; /* asked for, may be NULL */
};
typedef enum fail (*format_read_fn)(const struct source *in, struct sink *out);

enum fail html_read(const struct source *in, struct sink *out);
enum fail xml_read(const struct source *in, struct sink *out);
enum fail mail_read(const struct source *in, struct sink *out);
enum fail docx_read(const struct source *in, struct sink *out);
enum fail pdf_read(const struct source *in, struct sink *out);
enum fail csv_read(const struct source *in, struct sink *out);
enum fail json_read(const struct source *in, struct sink *out);
enum fail jsonl_read(const struct source *in, struct sink *out);
enum fail markdown_read(const struct source *in, struct sink *out);
enum fail text_read(const struct source *in, struct sink *out);
enum fail po_read(const struct source *in, struct sink *out);
enum fail xliff_read(const struct source *in, struct sink *out);
enum fail tbx_read(const struct source *in, struct sink *out);
enum fail arb_read(const struct source *in, struct sink *out);
enum fail i18n_read(const struct source *in, struct sink *out);
enum fail strings_read(const struct source *in, struct sink *out);
/* Test reports of every dialect, and a zip of them: only where it is asked for by name. */
enum fail tests_read(const struct source *in, struct sink *out);

/* Parts of documents: text that is decoded already. */
enum fail html_read_text(const char *text, size_t len, struct sink *out, bool with_meta);
enum fail text_read_paragraphs(const char *text, size_t len, struct sink *out);
/* A message's text: quotes and signature apart. flowed: RFC 3676. */
enum fail text_read_message(const char *text, size_t len, bool flowed, struct sink *out);

/* ---- XML, for DOCX as well ---- */

/* An element as it opens: five strings an attribute (name, prefix, uri, value, end of value). */
struct xml_element {
    const char *name, *uri; /* without its prefix */
    const char *const *attributes;
    size_t n;
    size_t at; /* where it begins in the text */
};
struct xml_events {
    void (*open)(void *ctx, const struct xml_element *e);
    void (*close)(void *ctx, const char *name);
    void (*text)(void *ctx, const char *text, size_t len, size_t begin, size_t end);
};
/* Walks well-formed UTF-8 text; stops when the sink has failed. */
enum fail xml_walk(struct sink *out, const char *text, size_t len, const struct xml_events *events,
                   void *ctx);
/* An attribute by its name without prefix, *len bytes, no NUL after them; NULL: none. */
const char *xml_attribute(const struct xml_element *e, const char *name, size_t *len);
/* The charset that the XML declaration names, "" when none. */
void xml_find_charset(const char *bytes, size_t len, char out[64]);
