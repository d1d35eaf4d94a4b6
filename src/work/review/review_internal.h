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
