/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guard: what may pass. Finding personal values and secrets in a text (guard_scan), masking them
 * before text is learned from, and redaction of them in text that leaves, with the way back.
 *
 * Values with a form are found by rules: checksums where there are any, context words in eight
 * languages where a form alone says little, known prefixes and entropy for secrets, a tenant's own
 * lists. Names, places, addresses and the like in running text are found by the tagger, a linear
 * model over hashed features (docs/reference/guard.md: what it was trained on, what it reaches).
 * An n-gram of a name is a copy of it, so heads are trained and asked on masked text only.
 * Pure and thread-safe; time is linear in the text; nothing blocks and nothing is kept.
 *
 * Limits: GUARD_MAX_TEXT a text. What is found is not all there is: redaction (guard_redact) is a
 * gate beside the rules that let a text leave, never instead of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/mem.h"

enum guard_kind {
    GUARD_KIND_EMAIL,
    GUARD_KIND_LINK,
    GUARD_KIND_PHONE,
    GUARD_KIND_IBAN,   /* length by ISO 13616 (15 to 34), mod 97 = 1 (ISO 7064) */
    GUARD_KIND_CARD,   /* 12 to 19 digits, Luhn (ISO/IEC 7812-1), a scheme's prefix and length */
    GUARD_KIND_ID,     /* letters and digits mixed, at least 5 digits; also "#12345" */
    GUARD_KIND_NUMBER, /* a run of 6 or more digits that is none of the above */
    GUARD_KIND_NAME,   /* "Dear Ms Jones," -> "Dear Ms [NAME],"; the tagger's; a tenant's list */
    GUARD_KIND_NATIONAL_ID, /* of a person: ids.c lists countries and checks */
    GUARD_KIND_VAT_ID,      /* of a company: EU prefix and national check */
    GUARD_KIND_IMEI,        /* 15 digits, Luhn (3GPP TS 23.003 annex B), by context */
    GUARD_KIND_IP,          /* IPv4, IPv6 */
    GUARD_KIND_MAC,
    GUARD_KIND_SECRET,      /* keys, tokens, private keys, JWTs, links with a password in them */
    GUARD_KIND_PASSWORD,    /* what follows "password:" and its like */
    GUARD_KIND_USERNAME,    /* what follows "user name:" and its like */
    GUARD_KIND_BIRTHDATE,   /* a date after "born", "date of birth", ... */
    GUARD_KIND_ADDRESS,     /* street, number, postal code */
    GUARD_KIND_TERM,        /* on a tenant's list: a project, a code name */
    /* The rest only by the tagger, where it is asked for them: */
    GUARD_KIND_PLACE,
    GUARD_KIND_ORGANIZATION,
    GUARD_KIND_DATE,
    GUARD_KIND_AGE,
    GUARD_KIND_GROUP,       /* nationality, faith, party */
    GUARD_KIND_TITLE,       /* "Dr.", a job */
    GUARD_KIND_CODE,        /* a number that its words say is someone's */
    GUARD_KIND_COUNT
};
#define GUARD_BIT(kind) (1u << (kind))
/* What has a checksum. */
#define GUARD_CHECKED                                                                              \
    (GUARD_BIT(GUARD_KIND_IBAN) | GUARD_BIT(GUARD_KIND_CARD) | GUARD_BIT(GUARD_KIND_NATIONAL_ID) | \
     GUARD_BIT(GUARD_KIND_VAT_ID) | GUARD_BIT(GUARD_KIND_IMEI))
/* What the tagger can find, and what of it says who somebody is. */
#define GUARD_TAGGED                                                                               \
    (GUARD_BIT(GUARD_KIND_NAME) | GUARD_BIT(GUARD_KIND_ADDRESS) | GUARD_BIT(GUARD_KIND_PLACE) |    \
     GUARD_BIT(GUARD_KIND_ORGANIZATION) | GUARD_BIT(GUARD_KIND_DATE) |                             \
     GUARD_BIT(GUARD_KIND_AGE) | GUARD_BIT(GUARD_KIND_GROUP) | GUARD_BIT(GUARD_KIND_TITLE) |       \
     GUARD_BIT(GUARD_KIND_CODE))
#define GUARD_TAGGED_WHO                                                                           \
    (GUARD_BIT(GUARD_KIND_NAME) | GUARD_BIT(GUARD_KIND_ADDRESS) | GUARD_BIT(GUARD_KIND_CODE))

/* "email", "national_id", ... static; GUARD_KIND_COUNT for a name that is none. */
const char *guard_kind_name(enum guard_kind kind);
enum guard_kind guard_kind_find(const char *name);

/* ---- finding ---- */

struct guard_finding {
    enum guard_kind kind;
    size_t from, to;  /* bytes of the text */
    const char *rule; /* static: "luhn", "de-tax-id", "github-token", "words", ... */
};
struct guard_findings {
    struct guard_finding *items; /* in order, without overlaps; guard_findings_done */
    size_t n, room;
};
void guard_findings_done(struct guard_findings *f);

struct guard_tagger;
/* A team's own words: `terms` are found whatever their case (as TERM, or NAME), `allowed` never
   are, by whatever rule. guard_lists_add: at least 2, at most 80 bytes, GUARD_LISTS_MAX in all;
   false otherwise. A list is read-only once in use. */
#define GUARD_LISTS_MAX 20000
enum guard_list { GUARD_LIST_TERM, GUARD_LIST_NAME, GUARD_LIST_ALLOWED };
struct guard_lists;
struct guard_lists *guard_lists_new(void);
void guard_lists_free(struct guard_lists *l); /* accepts NULL */
bool guard_lists_add(struct guard_lists *l, enum guard_list which, const char *term);
/* Copies the terms of `from`, not its allowed words; what is over the limit is left out. */
void guard_lists_join(struct guard_lists *l, const struct guard_lists *from);

struct guard_scan {
    uint32_t kinds;                   /* bits: what to report */
    uint32_t tagged;                  /* of GUARD_TAGGED: what the tagger may find; 0: not asked */
    const struct guard_tagger *tagger; /* NULL: the shipped one */
    const struct guard_lists *lists;  /* may be NULL */
};
#define GUARD_SCAN_ALL ((1u << GUARD_KIND_COUNT) - 1)

/*
 * Appends to *out (which is empty) what is found in text[0..n), in order. False, with *out empty,
 * when n is over GUARD_MAX_TEXT. options NULL: all kinds by rules, the tagger for
 * GUARD_TAGGED_WHO.
 */
bool guard_scan(const char *text, size_t n, const struct guard_scan *options,
                struct guard_findings *out);

/* ---- the tagger ---- */

struct guard_label {
    size_t from, to;
    enum guard_kind kind; /* one of GUARD_TAGGED; any other counts as CODE */
};
struct guard_example {
    const char *text;
    size_t n;
    const struct guard_label *labels;
    size_t labels_n;
};
/* Trains on all examples, `rounds` times over (8 is enough); lead (0 to 7): by how much "nothing"
   is held back, higher finds more. Seconds for 10,000 sentences: not on a thread that serves. */
struct guard_tagger *guard_tagger_train(const struct guard_example *examples, size_t n, int rounds,
                                        double lead);
void guard_tagger_free(struct guard_tagger *t); /* accepts NULL */
void guard_tagger_set_lead(struct guard_tagger *t, double lead);
/* Appends the model as bytes (about 330 kB); reads them back, NULL when they are none. */
bool guard_tagger_write(const struct guard_tagger *t, struct buf *out);
struct guard_tagger *guard_tagger_read(const void *data, size_t n);
const struct guard_tagger *guard_tagger_shipped(void); /* made at the first call; any thread */

/* ---- masking ---- */

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
    bool names;                      /* mask names after greetings and sign-offs */
    uint32_t tagged;                 /* of GUARD_TAGGED; 0: the tagger is not asked */
    const struct guard_lists *lists; /* may be NULL */
};

#define GUARD_MAX_TEXT ((size_t)16 << 20)

/* "[EMAIL]", "[LINK]", ... static. */
const char *guard_placeholder(enum guard_kind kind);

/*
 * Appends text[0..n) to *out with every found value replaced. text should be valid UTF-8 (other
 * bytes pass through). spans may be NULL; else its items are the caller's (mem_free), in order of
 * position. options NULL means names on, the tagger off. False, with *out as it was before, when n
 * is over GUARD_MAX_TEXT or *out's cap would be passed.
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
/* A team's lists, read at each guard_redact from now on; they outlive the redaction. */
void guard_redaction_lists(struct guard_redaction *r, const struct guard_lists *lists);
/* Of an answer already restored: how many of the values sent as placeholders that stand in `of`
   (NULL: all) are nowhere in it; json: it is JSON, values stand escaped. A rewrite or a translation
   that lost one cannot be used; an answer to a question may leave some out. */
size_t guard_redaction_lost(const struct guard_redaction *r, const char *of, const char *answer,
                            size_t n, bool json);
/* Of an answer not yet restored: does it write a placeholder that was sent in a form which is not
   put back ("EMAIL_1", "<EMAIL_1>", "{email_1}")? Then it cannot be used. */
bool guard_redaction_altered(const struct guard_redaction *r, const char *answer, size_t n);
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
