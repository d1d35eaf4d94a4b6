/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdict: a team's rules of what may pass, as rows of YAML over what guard and screen find. Each
 * finding of a rule gives a verdict (allow, redact, review, block) with the rule's name, the place
 * and the reason; the text's verdict is the gravest. docs/reference/guard.md describes the file.
 *
 * Owns: rule sets. Threads: a rule set is immutable once read, and counted; checking is pure and
 * may run on many threads; reading the store belongs to the connection's thread.
 * Limits: VERDICT_MAX_*. A text of 16 KiB takes a few milliseconds: longer ones belong to crunch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/store/store.h"

#define VERDICT_MAX_BYTES ((size_t)128 * 1024)
#define VERDICT_MAX_RULES 100
#define VERDICT_MAX_HITS 256
#define VERDICT_QUICK_BYTES ((size_t)8 * 1024) /* what may be checked on the core thread */

enum verdict { VERDICT_ALLOW, VERDICT_REDACT, VERDICT_REVIEW, VERDICT_BLOCK, VERDICT_COUNT };
const char *verdict_name(enum verdict v); /* "allow", "redact", "review", "block" */

enum verdict_side { VERDICT_IN, VERDICT_OUT };

struct verdict_rules; /* immutable, counted */
/* Checks text[0..len) and makes the rule set, with one reference. On failure FAIL_BAD_REQUEST (or
   FAIL_TOO_LARGE), every error in faults and the first in why. */
MUST_CHECK enum fail verdict_rules_read(const char *text, size_t len, const char *file,
                                        struct verdict_rules **out, struct config_faults *faults,
                                        struct fault *why);
struct verdict_rules *verdict_rules_ref(struct verdict_rules *r);
void verdict_rules_unref(struct verdict_rules *r); /* accepts NULL */
/* Built in from rules/guard.yaml. */
struct verdict_rules *verdict_rules_shipped(void);
const char *verdict_rules_release(const struct verdict_rules *r); /* sha256 hex of the text */
const char *verdict_rules_text(const struct verdict_rules *r);
/* [{"rule","side","verdict","team","workflow","why"}] */
void verdict_rules_put(struct jn_writer *w, const struct verdict_rules *r);
size_t verdict_rules_count(const struct verdict_rules *r);
/* Is any rule for that side, team and workflow ("" for none)? */
bool verdict_rules_apply(const struct verdict_rules *r, enum verdict_side side, const char *team,
                         const char *workflow);

/* Is one of those a brand rule or about support? Then a check takes long: not on the core
   thread. */
bool verdict_rules_slow(const struct verdict_rules *r, enum verdict_side side, const char *team,
                        const char *workflow);
struct guard_lists;
/* The terms of all rules for that team and workflow, whatever their side: a team's own words, to be
   redacted with what guard finds where text leaves. The caller's; NULL when there are none. */
struct guard_lists *verdict_rules_lists(const struct verdict_rules *r, const char *team,
                                        const char *workflow);

struct verdict_ask {
    enum verdict_side side;
    const char *team, *workflow; /* "" when there is none */
    const char *text;
    size_t n;
    const char *const *sources; /* OUT: what the answer was made from, for foreign_link */
    size_t sources_n;
    /* OUT: is the answer supported by its sources (answer/check is a floor above)? Sets the first
       claim that is not. NULL: `ungrounded` is not assessed. */
    bool (*grounded)(void *arg, const char *text, size_t n, size_t *from, size_t *to);
    void *arg;
};
struct verdict_hit {
    const char *rule, *why; /* as long as the rules */
    const char *found;      /* "card", "injection:override", "harm:threat",
                              "brand.Terms"; static or the rules' */
    enum verdict verdict;
    size_t from, to;        /* bytes of the text */
};
struct verdict_result {
    enum verdict verdict; /* the gravest, ALLOW when no rule found anything */
    struct verdict_hit *items; /* in the rules' order; verdict_result_done */
    size_t n;
    size_t dropped;            /* beyond VERDICT_MAX_HITS: their verdict counts all the same */
    bool not_assessed;         /* a rule asks for what nobody can say here */
};
/* False when the text is too long to be read: then nothing is known, and it must not pass. */
bool verdict_check(const struct verdict_rules *r, const struct verdict_ask *ask,
                   struct verdict_result *out);
void verdict_result_done(struct verdict_result *v);
/* Appends the text with what a redact rule found as "[CARD]", "[REMOVED]". False, *out as before,
   when it does not fit. */
bool verdict_redact(const struct verdict_result *v, const char *text, size_t n, struct buf *out);
/* {"verdict","hits":[{"rule","verdict","found","from","to","why"}],"dropped","not_assessed"} */
void verdict_put(struct jn_writer *w, const struct verdict_result *v);

/* ---- streams ---- */

/*
 * The last VERDICT_HOLD characters of a stream wait, so that what is blocked has not left, and what
 * is redacted is whole. Where all that rules hold against an answer stands in one word or in
 * groups of capitals and digits (email, link, ip, mac, iban, secret), and is told by what stands
 * before it, only the last such group waits: a reader sees each word when it is whole. What has
 * left goes on being read with what comes, as far back as VERDICT_HOLD characters.
 */
#define VERDICT_HOLD 256
struct verdict_stream {
    struct buf held; /* what is read: first what has left already */
    size_t gone;     /* bytes of that */
    enum verdict verdict; /* the gravest so far */
    char rule[65];        /* whose */
};
void verdict_stream_init(struct verdict_stream *s);
void verdict_stream_done(struct verdict_stream *s);
/* Takes the next piece and appends to *out what may go now; last: all that is held. ask's text
   and n are set here. False once the stream is blocked (or for review): from then on nothing
   leaves. */
bool verdict_stream_feed(struct verdict_stream *s, const struct verdict_rules *r,
                         struct verdict_ask *ask, const char *text, size_t n, bool last,
                         struct buf *out);

/* ---- rule sets as releases ---- */

/* Their kind in trust/release. */
#define VERDICT_RELEASES "guard"
/* With one reference; the shipped ones when none was approved. A stored set that no longer reads is
   FAIL_INTERNAL. */
MUST_CHECK enum fail verdict_release_active(struct store_conn *conn, struct verdict_rules **out,
                                            struct fault *why);
