/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guard: what may pass. Today: masking of personal and one-off values before text is learned from.
 *
 * guard_mask replaces e-mail addresses, links, phone numbers, IBANs, card numbers, other long digit
 * runs, ids, and names after a greeting or below a sign-off by typed placeholders such as [EMAIL].
 * An n-gram of a name is a copy of it, so heads are trained and asked on masked text only.
 * Pure and thread-safe; time is linear in the text; nothing blocks and nothing is kept.
 *
 * Limits: names are found only in the set places named below (English and German), never by a
 * model: a name in running text stays. Masking is not redaction for sending text outside.
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
