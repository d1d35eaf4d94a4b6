/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the head of an artifact and the one mover of its state. */
#pragma once

#include "work/review/review.h"

struct review_head {
    struct id id;
    struct id task;
    char workflow[72];
    char team[72];
    char actor[96];
    enum review_state state;
    int64_t version;
    int64_t opened_at;
    char opened_by[96];
};
/* who NULL: any team. FAIL_NOT_FOUND for a missing artifact and for another team's. */
MUST_CHECK enum fail review_head_read(struct store_conn *c, const struct id *id,
                                      const struct principal *who, struct review_head *out,
                                      struct fault *why);
bool review_may_see(const struct principal *who, const char *team);
MUST_CHECK enum fail review_fault_missing(struct fault *why);

/* The only place where a state changes; the version grows by one. FAIL_CONFLICT when the move is
   not allowed or the artifact moved meanwhile. */
MUST_CHECK enum fail review_move(struct store_tx *tx, const struct review_head *h,
                                 enum review_state to, struct fault *why);

/* outcome.c: what was decided, to answer/certify; a withdrawn certificate gets an artifact. */
MUST_CHECK enum fail review_feed(struct store_tx *tx, struct audit *audit,
                                 const struct review_decide *d, const struct review_head *h,
                                 struct certify_events *events, struct fault *why);

/* ---- setting.c ---- */
#define REVIEW_CHAIN_SIZE (REVIEW_CHAIN_MAX * (REVIEW_PERSON_SIZE + 16))
/* A line each: TARGET SECONDS. What cannot be read is left out; room for REVIEW_CHAIN_MAX. */
void review_chain_write(const struct review_target *chain, size_t n, char *out, size_t room);
size_t review_chain_read(const char *text, struct review_target *chain);

/* ---- item.c ---- */
/* The first item of a new artifact that waits. */
MUST_CHECK enum fail review_item_add(struct store_tx *tx, const struct review_artifact *a,
                                     int64_t now, struct fault *why);
/* May this person decide the artifact's first item now? */
MUST_CHECK enum fail review_item_admit(struct store_conn *c, const struct id *artifact,
                                       const struct principal *who, int64_t now,
                                       struct fault *why);
/* Chance, from the kernel's random source. */
bool review_drawn(double share);
#define REVIEW_ITEM_COLUMNS                                                                        \
    "i.id, i.artifact, i.kind, i.team, i.workflow, i.queue, i.language, i.urgency, "               \
    "i.confidence, i.waiting, i.created_at, i.holder, i.lease_until, i.forced, i.target, "         \
    "i.deadline_at, i.person"
MUST_CHECK enum fail review_item_read(struct store_stmt *s, int64_t now, struct review_item *out,
                                      struct fault *why);
/* Claims or renews; FAIL_CONFLICT when somebody else has it or it no longer waits. */
MUST_CHECK enum fail review_item_hold(struct store_tx *tx, struct review_item *item,
                                      const struct principal *who, int64_t now, struct fault *why);

/* ---- look.c: after a first decision ---- */
MUST_CHECK enum fail review_item_done(struct store_tx *tx, const struct review_head *h,
                                      const struct review_decide *d, int64_t now, bool *second,
                                      struct fault *why);

/* ---- escalate.c ---- */
MUST_CHECK enum fail review_item_escalate(struct store_tx *tx, const struct review_head *h,
                                          const struct review_decide *d, int64_t now,
                                          struct fault *why);

/* ---- sketch.c ---- */
#define REVIEW_SKETCH 128
void review_sketch_make(const char *text, uint32_t out[REVIEW_SKETCH]);
double review_sketch_like(const uint32_t *a, const uint32_t *b);
MUST_CHECK enum fail review_sketch_add(struct store_tx *tx, const struct review_artifact *a,
                                       struct fault *why);
MUST_CHECK enum fail review_sketch_corrected(struct store_tx *tx, const struct id *artifact,
                                             int64_t now, struct fault *why);
struct review_sketch {
    uint32_t minima[REVIEW_SKETCH];
    int8_t *vector; /* in the arena; NULL: none */
    size_t dim;
    char model[72];
};
MUST_CHECK enum fail review_sketch_read(struct store_stmt *s, int at, struct arena *arena,
                                        struct review_sketch *out, struct fault *why);
double review_sketches_like(const struct review_sketch *a, const struct review_sketch *b);

/* ---- ticket.c ---- */
MUST_CHECK enum fail review_ticket_add(struct store_tx *tx, const struct review_artifact *a,
                                       int64_t now, struct fault *why);
/* FAIL_CONFLICT when the ticket's version is no longer the one the reviewer saw. */
MUST_CHECK enum fail review_ticket_check(struct store_conn *c, const struct review_decide *d,
                                         struct fault *why);
