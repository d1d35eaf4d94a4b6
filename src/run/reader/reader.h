/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/reader: has one hostile document read by a sealed inhouse-reader of its own, and hands over
 * what it said as structs. No other room opens HTML, XML, mail, DOCX, PDF, ...
 * (docs/ARCHITECTURE.md, docs/protocol/reader.md).
 *
 * The child gets the document on descriptor 0 and a pipe on 1, nothing else, a clean environment,
 * and ends with its first document. For PDF two children work in a row: Debian's pdftotext inside a
 * seal of its own, and the reader of what that wrote. Frames are checked (run/document). Children
 * are ended by their pid: at the deadline, after a wrong frame, and when the caller stops.
 * Owns: the children. Threads: reader_read may be called by any thread and blocks; struct readers
 * belongs to its loop's thread. Limits: struct document_limits; READER_DEADLINE_MS; at once
 * READER_AT_ONCE in a `struct readers`, READER_WAITING_MAX in its queue.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "run/document/document.h"

#define READER_DEADLINE_MS 20000
#define READER_AT_ONCE 2
#define READER_WAITING_MAX 1000

struct reader_ask {
    /* The document: bytes, or a descriptor that can be read from its start (it is not closed and
       its position moves). data wins when it is not NULL. Both are copied, but for a memfd sealed
       against writing, growing and shrinking: hand such a one to readers_ask for long documents. */
    const void *data;
    size_t len;
    int fd;
    const char *format;  /* "html", "xml", "mail", "docx", "pdf", "csv", "json", "jsonl",
                            "markdown", "text", "po", "xliff", "tbx", "arb", "i18n",
                            "strings"; NULL: found from name, type and first bytes */
    const char *name;    /* the file's name: its ending helps to find the format; may be NULL */
    const char *type;    /* the media type that came with it, may be NULL */
    const char *charset; /* overrules what the document says, may be NULL */
    struct document_limits limits; /* zero: the defaults */
    int deadline_ms;     /* 0: READER_DEADLINE_MS */
};

/* Where the programs are; NULL or zero: inhouse-reader beside this executable, /usr/bin/pdftotext.
   Copied where it is kept. */
struct reader_programs {
    const char *reader;
    const char *pdftotext;
};

/*
 * Blocks until the document is read. The caller frees *out with document_free. FAIL_BAD_REQUEST the
 * document is broken, FAIL_UNSUPPORTED no such format or a construct that is never followed (an
 * entity, a password), FAIL_TOO_LARGE over a limit, FAIL_DEADLINE out of time, FAIL_WORKER_DIED the
 * document broke its reader: all four are about this document alone and final. FAIL_NOT_FOUND
 * inhouse-reader or pdftotext is not installed; FAIL_INTERNAL no process can be started.
 */
MUST_CHECK enum fail reader_read(const struct reader_programs *programs,
                                 const struct reader_ask *ask, struct document **out,
                                 struct fault *why);

/* ---- beside a loop ---- */

struct loop;
struct readers;
/* d is NULL when it failed, and why says how (as reader_read); else it is the callee's to free. */
typedef void (*reader_done_fn)(void *ctx, struct document *d, const struct fault *why);

/* programs may be NULL; at_once 0: READER_AT_ONCE. */
struct readers *readers_new(struct loop *loop, const struct reader_programs *programs, int at_once);
/* On the loop's thread, or when it does not run (then it runs what was posted to it). Ends every
   child; what was asked and not answered is answered with FAIL_STOPPED first. Blocks until the
   children have ended. */
void readers_free(struct readers *r);
/*
 * Asks; done is called once, from the loop, never from inside this call. The document is copied
 * (into memory of the kernel; 64 MiB take some 30 ms) before it returns, strings too. The deadline
 * counts from its start, not from its wait. *id is for readers_cancel; may be NULL. FAIL_QUEUE_FULL
 * when READER_WAITING_MAX wait already; FAIL_TOO_LARGE, FAIL_INTERNAL at once: then done is not
 * called.
 */
MUST_CHECK enum fail readers_ask(struct readers *r, const struct reader_ask *ask,
                                 reader_done_fn done, void *ctx, uint64_t *id, struct fault *why);
/* Its done is not called any more; unknown ids are ignored. */
void readers_cancel(struct readers *r, uint64_t id);

/* The formats by name, NULL-terminated: static. */
const char *const *reader_formats(void);
