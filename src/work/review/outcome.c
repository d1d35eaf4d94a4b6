/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision says of the rungs: answer/certify gets the decided values, and a withdrawn
 * certificate becomes an artifact of its own, so that its owner sees it where the work is.
 *
 * Owns nothing. Threads: inside the decision's write.
 */
#include <string.h>

#include "work/review/review_internal.h"

/* The values as they are now decided; strings in the arena. */
static enum fail read_decided(struct store_conn *c, const struct id *artifact, struct arena *arena,
                              struct certify_decided *out, size_t *n, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT name, decided FROM artifact_field WHERE artifact = ?1 AND "
                       "decided IS NOT NULL ORDER BY place");
    store_bind_id(s, 1, artifact);
    bool row;
    enum fail f;
    *n = 0;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < REVIEW_FIELDS_MAX) {
        out[*n].field = arena_dup_str(arena, store_col_text(s, 0));
        out[(*n)++].value = arena_dup_str(arena, store_col_text(s, 1));
    }
    return f;
}

static enum fail tell_owner(struct store_tx *tx, const struct review_head *h,
                            const struct certify_event *e, struct fault *why)
{
    struct review_artifact notice = {.id = text_id_new(),
                                     .task = h->task,
                                     .workflow = h->workflow,
                                     .team = h->team,
                                     .actor = "system",
                                     .title = e->text,
                                     .result = "{}"};
    return review_create(tx, &notice, true, why);
}

enum fail review_feed(struct store_tx *tx, struct audit *audit, const struct review_decide *d,
                      const struct review_head *h, struct certify_events *events,
                      struct fault *why)
{
    struct certify_decided fields[REVIEW_FIELDS_MAX];
    struct certify_review r = {.task = h->task,
                               .workflow = h->workflow,
                               .actor = d->who->name,
                               .team = h->team,
                               .fields = fields,
                               .rejected = d->action == REVIEW_ACTION_REJECT};
    events->n = 0;
    if (d->action == REVIEW_ACTION_ESCALATE) {
        return FAIL_NONE; /* somebody else will say */
    }
    struct arena *arena = arena_new((size_t)64 << 20);
    enum fail f =
        read_decided(store_tx_conn(tx), &h->id, arena, fields, &r.fields_len, why);
    f = f != FAIL_NONE ? f : certify_review(tx, audit, &r, events, why);
    for (size_t i = 0; i < events->n && f == FAIL_NONE; i++) {
        if (events->list[i].kind == CERTIFY_EVENT_WITHDRAWN) {
            f = tell_owner(tx, h, &events->list[i], why);
        }
    }
    arena_free(arena);
    return f;
}
