/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Related: the team's own tickets that are like this one: the same again (a duplicate), or about
 * the same (related), by nearness of meaning, by shared wording, and by the identifiers they have
 * in common (an order number, an e-mail address, a telephone number).
 *
 * A trace of a ticket is what is kept of it: no text, but its vector rounded to int8, 32 minimal
 * hashes of its word triples (Broder 1997: their agreement estimates the Jaccard overlap), and
 * 64-bit hashes of its identifiers. Who asks sees traces of its own team alone: the team is the
 * first thing the search compares, here and in the table. A trace that was erased is not found from
 * the next search on, for each hit is read again from its row.
 *
 * Owns: table ticket_trace; the traces in memory. Threads: a struct related belongs to one thread
 * (core); related_put and related_forget run inside a write. related_find takes under 1 ms.
 * Limits: RELATED_KEPT traces in memory, the newest ones; RELATED_IDS identifiers a ticket,
 * RELATED_DIM dimensions; older rows stay until they are erased or are RELATED_DAYS old.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/store/store.h"
#include "base/text/text.h"

#define RELATED_KEPT 20000
#define RELATED_IDS 16
#define RELATED_DIM 1024
#define RELATED_SKETCH 32
#define RELATED_DAYS 180
#define RELATED_FOUND 5
#define RELATED_ID_SIZE 97 /* of an identifier's text */

/* A duplicate says the same: so near, or so much of its wording the same; less is enough where an
   identifier is shared. */
#define RELATED_SAME 0.93
#define RELATED_SAME_WITH_ID 0.72
#define RELATED_WORDING 0.55
#define RELATED_WORDING_WITH_ID 0.25
/* About the same: a shared identifier, or so near. */
#define RELATED_NEAR 0.72

struct related_trace {
    struct id task;
    char team[64];
    char actor[128];
    int64_t at; /* µs UTC */
    bool empty; /* no words: it is like nothing */
    uint32_t sketch[RELATED_SKETCH];
    uint64_t ids[RELATED_IDS];
    char id_text[RELATED_IDS][RELATED_ID_SIZE]; /* of the ticket at hand only, never kept */
    size_t ids_len;
    char model[65]; /* of the vector, "" for none */
    int8_t vector[RELATED_DIM];
    float scale;
    size_t dim;
};

/* The trace of a ticket: subject and text as one, and its unit vector under that model (NULL:
   none; then dim is 0). Pure. An identifier is an id of four digits and more, an e-mail address or
   a telephone number; of one with five digits and more the digits alone count ("VM 410 233" and
   "vm-410233" are one). */
void related_trace_of(const char *team, const char *text, size_t n, const float *vector, size_t dim,
                      const char *model, struct related_trace *out);

enum related_kind { RELATED_DUPLICATE, RELATED_RELATED, RELATED_KIND_COUNT };
const char *related_kind_name(enum related_kind k); /* "duplicate", "related" */

struct related_hit {
    struct id task;
    int64_t at;
    enum related_kind kind;
    double match;   /* cosine of the vectors, or the overlap of wording where there are none */
    double wording; /* estimated share of word triples in common, 0..1 */
    /* identifiers in common, as places in the asking trace's id_text */
    size_t shared[RELATED_IDS];
    size_t shared_len;
};

struct related;
/* Reads the newest traces. */
MUST_CHECK enum fail related_open(struct store_conn *conn, struct related **out, struct fault *why);
void related_free(struct related *r); /* accepts NULL */
/* The trace is durable: it takes part in searches from now on. Copied. */
void related_add(struct related *r, const struct related_trace *t);
/* The best of the same team, duplicates first, then by match; at most RELATED_FOUND. Those whose
   row is gone are left out and forgotten. Returns how many. */
size_t related_find(struct related *r, struct store_conn *conn, const struct related_trace *t,
                    struct related_hit out[RELATED_FOUND]);
size_t related_count(const struct related *r);

/* Inside the task's own write. */
MUST_CHECK enum fail related_put(struct store_tx *tx, const struct related_trace *t,
                                 struct fault *why);
/* Inside a write: what (team, actor) asked for leaves no trace; *n gets how many. */
MUST_CHECK enum fail related_forget(struct store_tx *tx, const char *team, const char *actor,
                                    int64_t *n, struct fault *why);
