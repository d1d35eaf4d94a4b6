/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release: versions of what changes behaviour, as texts: proposed by one person, approved by
 * another, retired by the next. A kind ("route", "guard", ...) has at most one active version;
 * without one, what is shipped serves. What a text means is its own room's business, which reads
 * it before it is proposed.
 *
 * Nothing here appends to the log: the caller does, in the same transaction.
 *
 * Owns: the table `release_version`. Threads: functions with a struct store_tx only inside a
 * write; those with a struct store_conn on that reader's thread. None blocks beyond its statements.
 * Limits: RELEASE_BODY_MAX bytes of text, RELEASE_KIND_SIZE - 1 bytes of a kind's name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"
#include "base/text/text.h"

#define RELEASE_BODY_MAX ((size_t)512 * 1024)
#define RELEASE_KIND_SIZE 97
#define RELEASE_ACTOR_SIZE 80
/* Approving this name goes back to what is shipped. */
#define RELEASE_SHIPPED "shipped"

struct release_version {
    char kind[RELEASE_KIND_SIZE];
    char release[TEXT_SHA256_HEX_SIZE]; /* sha256 of its text */
    char state[12];                     /* "candidate", "active" or "retired" */
    char proposed_by[RELEASE_ACTOR_SIZE];
    char approved_by[RELEASE_ACTOR_SIZE]; /* "" for a candidate */
    int64_t proposed_at, approved_at;     /* µs UTC; 0: not */
};

/* Keeps body (NUL-terminated, already read by its room) as a candidate; release is its sha256 in
   hex. Proposing a retired one again makes it a candidate again. FAIL_CONFLICT when it is active;
   FAIL_TOO_LARGE. */
MUST_CHECK enum fail release_propose(struct store_tx *tx, const char *kind, const char *release,
                                     const char *body, const char *actor, struct fault *why);

/* Makes a candidate, or one that was active before, the active one; before gets the release that
   was ("": what is shipped). RELEASE_SHIPPED retires the active one. FAIL_NOT_FOUND; FAIL_CONFLICT
   when it is active already; FAIL_FORBIDDEN when actor proposed it and four_eyes. */
MUST_CHECK enum fail release_approve(struct store_tx *tx, const char *kind, const char *release,
                                     const char *actor, bool four_eyes,
                                     char before[TEXT_SHA256_HEX_SIZE], struct fault *why);

/* Appends the active version's text to body; *found is false when what is shipped serves. */
MUST_CHECK enum fail release_active(struct store_conn *conn, const char *kind, struct buf *body,
                                    bool *found, struct fault *why);
/* The same for one version, whatever its state. */
MUST_CHECK enum fail release_find(struct store_conn *conn, const char *kind, const char *release,
                                  struct buf *body, bool *found, struct fault *why);

/* Every version of a kind (NULL: of each, by kind), newest first; the view is valid during the
   call. */
typedef void (*release_fn)(void *arg, const struct release_version *v);
MUST_CHECK enum fail release_each(struct store_conn *conn, const char *kind, release_fn fn,
                                  void *arg, struct fault *why);
