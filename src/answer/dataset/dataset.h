/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datasets: documents under an owner, a purpose and a label, who may read them until when, and the
 * search over what the asker may read.
 *
 * A dataset belongs to a team or a user. Its owner reads it; everybody else needs a grant, which
 * has a reason and an end. What is not granted looks like what is not there. The grant is part of
 * every query (the view dataset_reader, joined in grant.c and search.c): a search sees the commit
 * of the moment it began, so a revocation counts from the next search on.
 *
 * A document is cut into chunks. A chunk's id is made of dataset, path and its text: citations stay
 * good as long as the sentence stands there. What is deleted leaves the rows, the full text (with
 * FTS5's secure-delete), the floats and the int8 copy in memory in one step, and the drafts'
 * sources and reused answers through dataset_hooks.
 *
 * Owns: tables dataset_about, dataset_grant, dataset_request, dataset_file, dataset_chunk,
 * dataset_chunk_vector, dataset_word; the int8 vectors in memory. Articles for drafts are
 * answer/task's, sentences and stems answer/knowledge's.
 * Threads: what takes a store_conn or a store_tx runs on that connection's thread; what takes a
 * struct datasets says where it may be called. Limits: the DATASET_* below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"

#define DATASET_NAME_SIZE 65
#define DATASET_TEXT_SIZE 512        /* of a purpose, a reason, a source */
#define DATASET_MAX 1024             /* datasets of a server */
#define DATASET_GRANT_DAYS_MAX 730   /* a grant ends within two years */
#define DATASET_GRANTS_MAX 10000     /* of one dataset, ended ones too */
#define DATASET_REQUESTS_OPEN 1000   /* of one dataset */

/* ---- what a dataset is ---- */

enum dataset_who { DATASET_TEAM, DATASET_USER, DATASET_WHO_COUNT };
const char *dataset_who_name(enum dataset_who w); /* "team", "user" */
bool dataset_who_find(const char *name, enum dataset_who *out);

/* A team, or one principal by its name: a person, a service account, a key. */
struct dataset_subject {
    enum dataset_who kind;
    char name[KEYRING_NAME_SIZE];
};

struct dataset_about {
    int64_t no; /* inside one server */
    char name[DATASET_NAME_SIZE];
    struct dataset_subject owner;
    char purpose[DATASET_TEXT_SIZE];
    char source[DATASET_TEXT_SIZE]; /* where its documents come from */
    enum secrecy label;
    bool listed;            /* strangers see name, purpose and owner, and may ask for access */
    int64_t retention_days; /* 0: documents are kept until they are removed */
    int64_t review_at;      /* when its owner looks at it again; 0: never */
    int64_t created_at, updated_at;
    char model[65]; /* of its vectors, "" for none */
};

/* What p may do with a dataset. */
enum dataset_right {
    DATASET_SEES = 1,  /* knows that it is there: listed, or one of the next two */
    DATASET_READS = 2, /* owner or grant */
    DATASET_OWNS = 4,  /* owner: fills it, grants, decides requests, changes and removes it */
};
/* The rights of p in the dataset at time now, 0 for none. An administrator (scope admin) owns what
   nobody else could (recorded with the admin's name), but reads only what is granted. */
unsigned dataset_rights(struct store_conn *conn, const struct dataset_about *d,
                        const struct principal *p, int64_t now);
/* By name. FAIL_NOT_FOUND unless p has all of `need`; the same answer whether it is missing or
   foreign. FAIL_FORBIDDEN only for one who may read it and needs to own it. */
MUST_CHECK enum fail dataset_get(struct store_conn *conn, const char *name,
                                 const struct principal *p, unsigned need, int64_t now,
                                 struct dataset_about *out, struct fault *why);
/* By name, without asking who: for what the server does by itself. FAIL_NOT_FOUND. */
MUST_CHECK enum fail dataset_find(struct store_conn *conn, const char *name,
                                  struct dataset_about *out, struct fault *why);
/* Every dataset p sees, by name; rights as above. */
typedef void (*dataset_about_fn)(void *arg, const struct dataset_about *d, unsigned rights);
MUST_CHECK enum fail dataset_each(struct store_conn *conn, const struct principal *p, int64_t now,
                                  dataset_about_fn fn, void *arg, struct fault *why);

/* Makes or changes one. On change the caller owns it. FAIL_CONFLICT when the name is taken,
   FAIL_BAD_REQUEST naming the field. Both append their leaf. */
MUST_CHECK enum fail dataset_add(struct store_tx *tx, struct audit *audit,
                                 const struct principal *p, const struct dataset_about *d,
                                 struct fault *why);
/* no, name and created_at stay. A shorter retention counts for what is there already. */
MUST_CHECK enum fail dataset_change(struct store_tx *tx, struct audit *audit,
                                    const struct principal *p, const struct dataset_about *d,
                                    struct fault *why);

/* ---- who may read it ---- */

struct dataset_grant {
    struct id id;
    struct dataset_subject who;
    char reason[DATASET_TEXT_SIZE];
    char granted_by[KEYRING_NAME_SIZE];
    int64_t granted_at, ends_at;
    int64_t revoked_at; /* 0: not */
    char revoked_by[KEYRING_NAME_SIZE];
};
/* p owns d. The end lies ahead and within DATASET_GRANT_DAYS_MAX; a reason is required. A grant
   that the subject already has is replaced (the old one is revoked). */
MUST_CHECK enum fail dataset_grant_add(struct store_tx *tx, struct audit *audit,
                                       const struct principal *p, const struct dataset_about *d,
                                       const struct dataset_subject *who, const char *reason,
                                       int64_t ends_at, struct id *made, struct fault *why);
/* Ends every grant of that subject. FAIL_NOT_FOUND when it has none. */
MUST_CHECK enum fail dataset_grant_revoke(struct store_tx *tx, struct audit *audit,
                                          const struct principal *p, const struct dataset_about *d,
                                          const struct dataset_subject *who, struct fault *why);
/* All of a dataset, ended ones too, newest first. */
typedef void (*dataset_grant_fn)(void *arg, const struct dataset_grant *g);
MUST_CHECK enum fail dataset_grant_each(struct store_conn *conn, int64_t dataset,
                                        dataset_grant_fn fn, void *arg, struct fault *why);

/*
 * For the access review: who can read dataset `name` at time now. Calls fn for the owner (grant
 * NULL) and for each grant that counts now. FAIL_NOT_FOUND when there is no such dataset. Who
 * belongs to a team is the keyring's to say.
 */
typedef void (*dataset_reader_fn)(void *arg, const struct dataset_subject *who,
                                  const struct dataset_grant *grant);
MUST_CHECK enum fail dataset_readers(struct store_conn *conn, const char *name, int64_t now,
                                     dataset_reader_fn fn, void *arg, struct fault *why);
/* The other way round: every dataset that a subject can read now. */
MUST_CHECK enum fail dataset_of_subject(struct store_conn *conn, const struct dataset_subject *who,
                                        int64_t now,
                                        void (*fn)(void *arg, const struct dataset_about *d),
                                        void *arg, struct fault *why);

/*
 * The label of what a request may read from dataset `name`, for whoever computes a task's label
 * (the highest of team, dataset, workflow, request and finds). SECRECY_RESTRICTED when there is no
 * such dataset or it cannot be read: the strictest.
 */
enum secrecy dataset_label(struct store_conn *conn, const char *name);
/* True when p may read dataset `name` now: the same condition as the search's. */
bool dataset_may_read(struct store_conn *conn, const char *name, const struct principal *p,
                      int64_t now);

/* ---- asking for access ---- */

enum dataset_request_state { DATASET_ASKED, DATASET_GRANTED, DATASET_REFUSED };
const char *dataset_request_state_name(enum dataset_request_state s);

struct dataset_request {
    struct id id;
    char dataset[DATASET_NAME_SIZE];
    struct dataset_subject who; /* for whom */
    char reason[DATASET_TEXT_SIZE];
    char asked_by[KEYRING_NAME_SIZE];
    int64_t asked_at;
    enum dataset_request_state state;
    char decided_by[KEYRING_NAME_SIZE];
    int64_t decided_at;
    char note[DATASET_TEXT_SIZE];
};
/* p sees d and asks for its team or itself. FAIL_CONFLICT when it reads it already or asked;
   FAIL_QUEUE_FULL over DATASET_REQUESTS_OPEN. */
MUST_CHECK enum fail dataset_request_add(struct store_tx *tx, struct audit *audit,
                                         const struct principal *p, const struct dataset_about *d,
                                         enum dataset_who as, const char *reason, struct id *made,
                                         struct fault *why);
/* p owns the dataset and is not who asked (FAIL_FORBIDDEN). Granted: until ends_at. FAIL_NOT_FOUND
   when there is no such request for p to decide; FAIL_CONFLICT when it is decided. */
MUST_CHECK enum fail dataset_request_decide(struct store_tx *tx, struct audit *audit,
                                            const struct principal *p, const struct id *request,
                                            bool granted, int64_t ends_at, const char *note,
                                            struct fault *why);
/* Those that p asked, or may decide; newest first, at most 1,000. */
typedef void (*dataset_request_fn)(void *arg, const struct dataset_request *r, bool may_decide);
MUST_CHECK enum fail dataset_request_each(struct store_conn *conn, const struct principal *p,
                                          int64_t now, dataset_request_fn fn, void *arg,
                                          struct fault *why);
