/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guard: what may pass. Today: masking of personal and one-off values before text is learned from,
 * and redaction of the same values in text that leaves, with the way back.
 *
 * guard_mask replaces e-mail addresses, links, phone numbers, IBANs, card numbers, other long digit
 * runs, ids, and names after a greeting or below a sign-off by typed placeholders such as [EMAIL].
 * An n-gram of a name is a copy of it, so heads are trained and asked on masked text only.
 * Pure and thread-safe; time is linear in the text; nothing blocks and nothing is kept.
 *
 * Limits: names are found only in the set places named below (English and German), never by a
 * model: a name in running text stays. Redaction for sending text outside (guard_redact) finds
 * what masking finds, no more, and is a gate beside the rules that let a text leave.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/mem/mem.h"

enum guard_kind {
    GUARD_KIND_EMAIL,
    GUARD_KIND_LINK,
    GUARD_KIND_PHONE,
    GUARD_KIND_IBAN,   /* length by ISO 13616 (15 to 34), mod 97 = 1 (ISO 7064) */
    GUARD_KIND_CARD,   /* 13 to 19 digits, Luhn (ISO/IEC 7812-1), leading digit 2 to 6 */
    GUARD_KIND_ID,     /* letters and digits mixed, at least 5 digits; also "#12345" */
    GUARD_KIND_NUMBER, /* a run of 6 or more digits that is none of the above */
    GUARD_KIND_NAME,   /* "Dear Ms Jones," -> "Dear Ms [NAME]," */
    GUARD_KIND_COUNT
};

/* One replaced stretch: bytes [from, to) of the input stand as [out_from, out_to) in the output. */
struct guard_span {
    enum guard_kind kind;
    size_t from, to;
    size_t out_from, out_to;
};

struct guard_spans {
    struct guard_span *items; /* mem_free */
    size_t n;
};

struct guard_options {
    bool names; /* mask names after greetings and sign-offs */
};

#define GUARD_MAX_TEXT ((size_t)16 << 20)

/* "[EMAIL]", "[LINK]", ... static. */
const char *guard_placeholder(enum guard_kind kind);

/*
 * Appends text[0..n) to *out with every found value replaced. text should be valid UTF-8 (other
 * bytes pass through). spans may be NULL; else its items are the caller's (mem_free), in order of
 * position. options NULL means everything on. False, with *out as it was before, when n is over
 * GUARD_MAX_TEXT or *out's cap would be passed.
 */
bool guard_mask(const char *text, size_t n, const struct guard_options *options, struct buf *out,
                struct guard_spans *spans);

/*
 * Redaction of the texts of one request: found values become numbered placeholders, "[EMAIL_1]",
 * the same value the same one, and guard_restore puts them back into the answer. One thread at a
 * time. Values are wiped when it is freed. At most GUARD_REDACT_MAX values.
 */
#define GUARD_REDACT_MAX 1024
struct guard_redaction;
struct guard_redaction *guard_redaction_new(void);
void guard_redaction_free(struct guard_redaction *r); /* accepts NULL */
/* First, for each text of the request: what looks like a placeholder in it already is never given
   to a value, and comes back as it is. False when there are too many. */
bool guard_redact_reserve(struct guard_redaction *r, const char *text, size_t n);
/* Then, for each: appends it redacted. False, *out as before, when it cannot be done whole (too
   large, too many values): then nothing of the request may be sent. */
bool guard_redact(struct guard_redaction *r, const char *text, size_t n, struct buf *out);
size_t guard_redaction_count(const struct guard_redaction *r); /* distinct values replaced */

enum guard_restored {
    GUARD_RESTORED,
    GUARD_RESTORED_UNKNOWN, /* a placeholder that was never sent: the answer cannot be used */
    GUARD_RESTORED_TOO_LARGE
};
/*
 * Appends the answer's text with the values back in. Streams may be cut anywhere: what may still
 * become a placeholder waits in *held (at most 24 bytes between calls; begin with an empty one with
 * a cap over that of the largest piece) until `last`. json: the text is JSON, values are escaped.
 * "[Email 1]" counts as "[EMAIL_1]"; "[EMAIL]" without a number is unknown unless it was sent.
 */
enum guard_restored guard_restore(const struct guard_redaction *r, struct buf *held,
                                  const char *text, size_t n, bool last, bool json,
                                  struct buf *out);
