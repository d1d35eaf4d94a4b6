/* SPDX-License-Identifier: Apache-2.0 */
/* The routes under /api/v1/review: one write or read each, its JSON built beside it. */
#pragma once

#include "http/api/api_internal.h"
#include "work/review/review.h"

#define REVIEW_ARENA_BYTES ((size_t)32 << 20)

/* A request that writes: `fn` runs on the store thread and writes its answer into `w`; the answer
   leaves when it is durable. Lives as long as its request. */
struct review_call;
typedef enum fail review_call_fn(struct store_tx *tx, struct review_call *c, struct fault *why);
struct review_call {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    struct id id; /* of the path */
    json_t *body; /* freed with the answer; strings below live in it */
    review_call_fn *fn;
    /* core thread, once durable, before the answer; or NULL */
    void (*after)(struct review_call *c);
    void (*failed)(struct review_call *c); /* before a refusal is answered; or NULL */
    int status;
    struct jn_writer w;
    struct buf out;
    struct buf text; /* a rendered draft */
    void *arg;
    struct review_decide d;
    struct review_value values[REVIEW_FIELDS_MAX];
    struct review_item_decided made;
    char team[KEYRING_NAME_SIZE], workflow[64];
};
/* NULL after answering: a bad id, a bad body. keys as api_body's; item: the path names an
   artifact. */
struct review_call *review_call_new(struct api *a, struct wire_request *r,
                                    const char *const *keys, bool item);
void review_call_send(struct review_call *c, review_call_fn *fn);
/* Answers with the fault and frees the call's body. */
void review_call_fail(struct review_call *c, enum fail code, const struct fault *why);

/* review_item.c: an item as its reviewer sees it, into an open object. */
MUST_CHECK enum fail review_item_put(struct api *a, struct store_conn *conn, struct jn_writer *w,
                                     const struct review_item *item, const struct principal *who,
                                     struct fault *why);
const char *review_urgency_name(int urgency);
/* The draft with these sentences of its result on (bits), in the house's frame. out is left empty
   when the artifact has no sentences or none is on. */
MUST_CHECK enum fail review_render(struct api *a, struct store_conn *conn,
                                   const struct id *artifact, const struct principal *who,
                                   int64_t chosen, struct buf *out, struct fault *why);

/* review.c: is this value one that the field can have? arg: the api. */
enum fail review_check_value(void *arg, const char *workflow, const char *name, const char *value,
                             struct fault *why);
/* review.c: action, version, fields, draft, reason and the rest of a decision, into c->d. */
MUST_CHECK enum fail review_read_decision(struct review_call *c, bool version, struct fault *why);
/* review.c, inside the write, after review_decide: what follows from it. */
MUST_CHECK enum fail review_decided_write(struct store_tx *tx, struct review_call *c,
                                          struct fault *why);
/* review.c, core thread: what others learn of it. */
void review_decided_tell(struct api *a, const struct review_decided *made, const char *team,
                         const char *workflow);

/* review_hint.c: "running", "done", "refused" and why, or NULL. */
const char *review_hint_state(struct api *a, const struct id *artifact, const char *who,
                              char why[160]);
