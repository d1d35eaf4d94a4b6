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
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"
#include "base/loop/loop.h"
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

/* ---- documents: in, out, counted. Any thread that may block for the disk: crunch ---- */

#define DATASET_PATH_SIZE 512
#define DATASET_FILE_BYTES ((size_t)20 << 20) /* of one document */
#define DATASET_FILE_CHUNKS 20000             /* of one document */
#define DATASET_FILES_MAX 200000              /* of one dataset */
#define DATASET_DIM_MAX 4096
#define DATASET_VECTOR_BYTES ((size_t)1 << 30) /* int8 vectors in memory, of all datasets */

/* What other rooms hold of a dataset. `article` and `forget` run inside the write, `changed` on
   the core loop after it is durable. Any may be NULL. */
struct dataset_hooks {
    void *arg;
    /* A document that drafts can be made from (Markdown whose front matter has an id) came, or,
       with markdown NULL, went. *changed: set when that made a difference. */
    enum fail (*article)(struct store_tx *tx, void *arg, const char *dataset, const char *id,
                         const char *file, const char *markdown, size_t n, bool *changed,
                         struct fault *why);
    /* Something that answers may have been made from was replaced or removed. */
    enum fail (*forget)(struct store_tx *tx, void *arg, const char *dataset, struct fault *why);
    /* Articles of it came or went. */
    void (*changed)(void *arg, const char *dataset);
};

struct fleet;
struct dataset_house {
    struct loop *loop; /* the core loop; NULL in a test: then nothing is embedded by itself */
    struct pool *crunch;
    struct store *store;
    struct audit *audit;
    struct fleet *fleet; /* NULL: no embedding model ever */
};
struct datasets;
/* Reads what is there; the vectors follow on a crunch thread. Blocks. */
MUST_CHECK enum fail datasets_open(const struct dataset_house *h, struct datasets **out,
                                   struct fault *why);
/* Nothing is begun from now on; waits for searches that run. Before the crunch pool is freed; NULL
   is fine. */
void datasets_stop(struct datasets *ds);
/* After the loop and the pools have stopped. NULL is fine. */
void datasets_close(struct datasets *ds);
void datasets_set_hooks(struct datasets *ds, const struct dataset_hooks *hooks); /* once */
/* Another embedding model serves, or chunks came: embeds what has no vector of it. Core thread. */
void datasets_fleet_changed(struct datasets *ds);

struct dataset_doc {
    const char *path;  /* UTF-8, no control characters; what tells documents apart */
    const char *media; /* "text/markdown", ...; NULL: by the path's ending */
    const void *data;
    size_t len;
};
enum dataset_taken_state {
    DATASET_UNTOUCHED, /* the same bytes as before */
    DATASET_ADDED,
    DATASET_REPLACED,
    DATASET_FAILED, /* what was there before stays */
};
const char *dataset_taken_name(enum dataset_taken_state s);
struct dataset_taken {
    enum dataset_taken_state state;
    size_t chunks;
    struct fault why; /* when FAILED */
};
/*
 * Takes documents into d, which p owns, one after the other: an unchanged one is left alone, of a
 * changed one the chunks whose text stayed keep number, id and vector. Markdown, text and JSON
 * lines are read here, everything else by the sealed reader. One bad document fails alone; only the
 * store's failure ends it all.
 */
MUST_CHECK enum fail datasets_take(struct datasets *ds, const struct principal *p,
                                   const struct dataset_about *d, const struct dataset_doc *docs,
                                   size_t n, struct dataset_taken *taken, struct fault *why);
/* Removes documents by path from everywhere; unknown paths are passed over. */
MUST_CHECK enum fail datasets_drop_files(struct datasets *ds, const struct principal *p,
                                         const struct dataset_about *d, const char *const *paths,
                                         size_t n, size_t *dropped, struct fault *why);
/* The dataset with its documents, grants and requests. */
MUST_CHECK enum fail datasets_drop(struct datasets *ds, const struct principal *p,
                                   const struct dataset_about *d, struct fault *why);
/* Documents past their retention; the server calls it by itself once a minute. A search does not
   find them from that second on. */
MUST_CHECK enum fail datasets_expire(struct datasets *ds, int64_t now, size_t *dropped,
                                     struct fault *why);

struct dataset_file {
    char path[DATASET_PATH_SIZE];
    char title[DATASET_TEXT_SIZE];
    char media[80];
    uint8_t hash[32]; /* of its bytes; zeroes while it is being taken in */
    int64_t bytes, chunks, updated_at, expires_at;
};
/* By path, from after `after` ("" for the first) on, at most max. */
typedef void (*dataset_file_fn)(void *arg, const struct dataset_file *f);
MUST_CHECK enum fail dataset_file_each(struct store_conn *conn, int64_t dataset, const char *after,
                                       size_t max, dataset_file_fn fn, void *arg,
                                       struct fault *why);
struct dataset_counts {
    int64_t files, chunks;
    int64_t embedded; /* chunks with a vector of the model that serves */
};
MUST_CHECK enum fail dataset_count(struct store_conn *conn, int64_t dataset,
                                   struct dataset_counts *out, struct fault *why);

/* Vectors from elsewhere (tests, measurements): chunk numbers of d and unit vectors of `model`. */
MUST_CHECK enum fail datasets_put_vectors(struct datasets *ds, const struct dataset_about *d,
                                          const char *model, const int64_t *chunks,
                                          const float *vectors, size_t n, size_t dim,
                                          struct fault *why);
/* Chunks of d without a vector, at most max: their numbers and what is embedded (arena). */
MUST_CHECK enum fail dataset_unembedded(struct store_conn *conn, int64_t dataset, size_t max,
                                        struct arena *arena, int64_t *chunks, const char **texts,
                                        size_t *n, struct fault *why);

/*
 * Do the parts agree: chunks, full text, floats, the copy in memory (ds NULL: not asked), files
 * that say how many chunks they have? Calls fn with one sentence for each thing that is wrong.
 */
MUST_CHECK enum fail dataset_reconcile(struct store_conn *conn, struct datasets *ds,
                                       void (*fn)(void *arg, const char *what), void *arg,
                                       struct fault *why);

/* ---- search ---- */

#define DATASET_HITS_MAX 50
#define DATASET_QUERY_BYTES 4000

struct dataset_query {
    const char *text;
    const float *vector; /* of the text, unit length; NULL: full text alone */
    size_t dim;
    const char *model;          /* sha256 of the vector's model */
    const char *const *datasets; /* names; those must be readable. NULL: all that p reads */
    size_t datasets_len;
    size_t max;  /* hits, at most DATASET_HITS_MAX */
    int64_t now; /* 0: now */
};
struct dataset_hit {
    struct id chunk; /* shown as chk_... */
    const char *dataset, *path, *title, *heading, *text; /* in the arena */
    int64_t page, seq, at; /* page 0: none; position of the chunk, and in bytes */
    int64_t updated_at;
    enum secrecy label;
    double score;              /* sum of 1 / (60 + rank) */
    int word_rank, vector_rank; /* from 1; 0: not among that ranking's first 100 */
    double cosine;             /* exact; 0 without vectors */
};
/* Runs work(arg) on a thread kept for searches, so that none waits behind an hour of training, and
   then done(arg) on the core loop. FAIL_QUEUE_FULL. */
MUST_CHECK enum fail datasets_submit(struct datasets *ds, loop_call_fn work, void *arg,
                                     loop_call_fn done, struct fault *why);
/*
 * Best first. Full text: BM25 (k1 1.2, b 0.75) over stems of German and English, counted over what
 * p may read; the rarest words of the query choose the candidates. Vectors: an int8 scan, the first
 * 100 ranked again by their floats. Both rankings are fused by reciprocal rank (Cormack, Clarke and
 * Buettcher 2009), which needs no common scale: a BM25 score and a cosine have none, and it changes
 * with model, language and dataset. label gets the highest of what is returned (SECRECY_PUBLIC for
 * nothing). Blocks for about 10 ms at 100,000 chunks; conn is the calling thread's reader.
 * FAIL_NOT_FOUND when a named dataset is missing or not granted.
 */
MUST_CHECK enum fail datasets_search(struct datasets *ds, struct store_conn *conn,
                                     const struct principal *p, const struct dataset_query *q,
                                     struct arena *arena, struct dataset_hit *hits, size_t *n,
                                     enum secrecy *label, struct fault *why);
