/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/document: what is read from one hostile document, as blocks of text, links, metadata and
 * attachments, and the frames in which inhouse-reader says it (docs/protocol/reader.md).
 * Owns: the frames' layout. Writing belongs to the sealed side, taking to the caller's side, for
 * whom every byte is hostile: lengths, numbers, UTF-8 and order are checked, and what was taken can
 * be trusted in form, never in content.
 * Threads: none of its own; nothing blocks. Limits: struct document_limits, on both sides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"

enum document_kind {
#define DOCUMENT_KIND(name, text) DOCUMENT_##name,
#include "run/document/document_kinds.def"
#undef DOCUMENT_KIND
    DOCUMENT_KIND_COUNT
};

enum document_meta_key {
#define DOCUMENT_META(name, text) DOCUMENT_META_##name,
#include "run/document/document_kinds.def"
#undef DOCUMENT_META
    DOCUMENT_META_COUNT
};

const char *document_kind_name(enum document_kind kind);        /* "heading" */
const char *document_meta_name(enum document_meta_key key);     /* "message_id" */

/* A stretch of a block's text that points somewhere; nobody has followed it. */
struct document_link {
    uint32_t begin, end; /* bytes of the block's text; equal where the link has no text */
    const char *target;  /* as the document says it */
};

/* One piece of text. Counted from 1, 0: does not apply. Text and paths are valid UTF-8 without
   NUL and without control characters but tab and line feed, and end with a NUL. */
struct document_block {
    enum document_kind kind;
    unsigned level;      /* heading: 1-9; item and quote: how deep, from 1 */
    bool header;         /* a cell of a header row */
    uint32_t page;       /* PDF */
    uint32_t part;       /* mail: the MIME part, in order; DOCX: 1 body, 2 footnotes, ... */
    uint32_t line;       /* where it begins in the source (or in the part's decoded text) */
    uint32_t table;      /* cells: which table of the document */
    uint32_t row;        /* cells: the row of the table; values of JSONL: the record */
    uint32_t column;
    /* Bytes of the source as UTF-8: the file's own bytes where the charset is UTF-8 and `part` is
       0; of the part's decoded text in a mail; of pdftotext's text for PDF. Equal: unknown. */
    uint64_t begin, end;
    const char *path;    /* JSON pointer (RFC 6901), XPath-like path in XML, a cell's column name;
                            "" where there is none */
    const char *text;
    size_t len;
    const struct document_link *links;
    uint32_t links_len;
};

struct document_meta {
    enum document_meta_key key; /* may come more than once (to, cc, author) */
    const char *value;
};

/* A file inside the document, to be read by another process: reader_read with these bytes. */
struct document_attachment {
    const char *name;       /* "" when it has none; never a path to be used as such */
    const char *type;       /* media type as the document claims it, lower case */
    const char *content_id;
    bool is_inline;         /* shown in the text (a picture), not beside it */
    uint32_t part;
    const uint8_t *bytes;
    size_t len;
};

struct document {
    struct arena *arena; /* all below lies in it */
    const char *format;  /* "html", as found or as told */
    const char *charset; /* of the source, "UTF-8" mostly; "" where it has none (DOCX, PDF) */
    const struct document_block *blocks;
    size_t blocks_len;
    const struct document_meta *metas;
    size_t metas_len;
    const struct document_attachment *attachments;
    size_t attachments_len;
    const char *const *warnings; /* what was left out or is odd: one line each, never its text */
    size_t warnings_len;
};

void document_free(struct document *d); /* accepts NULL */
/* The first value of a key, "" when there is none. */
const char *document_meta_find(const struct document *d, enum document_meta_key key);

/* What a document may be. 0 takes the default; what exceeds the hard maximum is cut to it. */
struct document_limits {
    uint64_t input_bytes;      /* of the file: 64 MiB, at most 1 GiB */
    uint64_t text_bytes;       /* of all blocks, paths, links and metadata: 32 MiB, at most 256 */
    uint64_t attachment_bytes; /* of all attachments together: 64 MiB, at most 512 */
    uint32_t blocks;           /* 200,000, at most 2,000,000 */
    uint32_t links;            /* 100,000, at most 1,000,000 */
    uint32_t attachments;      /* 200, at most 2,000 */
    uint32_t parts;            /* of a mail or a zip: 1,000, at most 10,000 */
    uint32_t depth;            /* of nesting: 256, at most 1,000 */
    uint32_t cpu_s;            /* 10, at most 300 */
    uint64_t memory_bytes;     /* of address space: 2 GiB, at most 16 */
};
/* Fills in defaults and cuts to the maxima. */
void document_limits_fill(struct document_limits *limits);

/* ---- frames: writing. The caller keeps text under the caps below ---- */

#define DOCUMENT_FRAME_HEADER 8u              /* u32 length of the body, u8 type, 3 zero bytes */
#define DOCUMENT_TEXT_MAX (256u * 1024)       /* of one block: longer text is several blocks */
#define DOCUMENT_PATH_MAX 1024u
#define DOCUMENT_VALUE_MAX (16u * 1024)       /* of a metadata value, a link's target */
#define DOCUMENT_WARNING_MAX 300u
#define DOCUMENT_METAS_MAX 4096u
#define DOCUMENT_WARNINGS_MAX 100u

void document_put_start(struct buf *out, const char *format, const char *charset);
void document_put_meta(struct buf *out, enum document_meta_key key, const char *value);
/* With its links. */
void document_put_block(struct buf *out, const struct document_block *block);
void document_put_attachment(struct buf *out, const struct document_attachment *attachment);
void document_put_warning(struct buf *out, const char *text);
/* The last frame of a document that was read; nothing follows. */
void document_put_end(struct buf *out, uint32_t blocks, uint32_t attachments);
/* The last frame instead, where it was not. */
void document_put_error(struct buf *out, const struct fault *why);

/* ---- frames: taking ---- */

struct document_taker;
/* limits: filled. */
struct document_taker *document_taker_new(const struct document_limits *limits);
void document_taker_free(struct document_taker *t); /* accepts NULL */
/* Appends bytes and checks every whole frame in them. FAIL_WORKER_DIED: not a frame, or more than
   the limits: that reader must end. Later calls fail as well. */
MUST_CHECK enum fail document_taker_feed(struct document_taker *t, const void *bytes, size_t len,
                                         struct fault *why);
/* Has the last frame come? */
bool document_taker_is_done(const struct document_taker *t);
/* After the last byte: the document (the caller frees it), or what the reader said was wrong with
   it, or FAIL_WORKER_DIED when it ended unsaid. */
MUST_CHECK enum fail document_taker_end(struct document_taker *t, struct document **out,
                                        struct fault *why);
