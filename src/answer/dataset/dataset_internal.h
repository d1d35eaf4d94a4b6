/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets, inside: what the files of the room share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "answer/dataset/dataset.h"
#include "base/mem/mem.h"

/*
 * The grant inside a query: rows of dataset_reader named r that let the team (?1) or the principal
 * (?2) read at time ?3. Nothing else in this room decides who reads.
 */
#define DATASET_READABLE                                                                           \
    "((r.kind = 'team' AND r.name = ?1) OR (r.kind = 'user' AND r.name = ?2)) "                    \
    "AND r.from_at <= ?3 AND r.until_at > ?3"

/* about.c: the columns in the order dataset_about_read takes them */
#define DATASET_ABOUT_COLUMNS                                                                      \
    "a.no, a.name, a.owner_kind, a.owner, a.purpose, a.source, a.label, a.listed, "                \
    "a.retention_days, a.review_at, a.created_at, a.updated_at, a.model"
void dataset_about_read(struct store_stmt *s, struct dataset_about *out);
/* One leaf of what p did to a dataset; about (may be NULL) is MACed, not stored. */
MUST_CHECK enum fail dataset_note(struct store_tx *tx, struct audit *audit,
                                  const struct principal *p, const char *dataset,
                                  const char *verdict, const char *about, struct fault *why);
/* "": FAIL_BAD_REQUEST naming the field, also over DATASET_TEXT_SIZE. */
MUST_CHECK enum fail dataset_reason_check(const char *field, const char *text, struct fault *why);

#define DATASET_CHUNK_TARGET 800 /* bytes: MiniLM reads 256 word pieces, about 1,000 bytes */
#define DATASET_CHUNK_MAX 1200

/* ---- chunk.c: text cut into chunks; pure ---- */

struct dataset_piece {
    char *text;
    char *heading; /* "Title > Section" */
    int64_t at;
    int64_t page;
    char *stems; /* of heading and text, with a space between; filled by dataset_pieces_stem */
    struct id id;
    int64_t no; /* once it is stored */
};
struct dataset_pieces {
    struct dataset_piece *items;
    size_t count, room;
    char title[DATASET_TEXT_SIZE];
    char article[128]; /* id in the front matter, "" for none */
};
void dataset_pieces_done(struct dataset_pieces *p);
/* Takes text[0..n) with its place; splits what is over DATASET_CHUNK_MAX at sentences. */
MUST_CHECK enum fail dataset_pieces_add(struct dataset_pieces *p, const char *text, size_t n,
                                        const char *heading, int64_t at, int64_t page,
                                        struct fault *why);
/* Valid UTF-8 without NUL. Markdown: headings, front matter. Lines: JSON, one record a line. */
MUST_CHECK enum fail dataset_read_text(struct dataset_pieces *p, const char *text, size_t n,
                                       bool markdown, struct fault *why);
MUST_CHECK enum fail dataset_read_lines(struct dataset_pieces *p, const char *text, size_t n,
                                        struct fault *why);
/* Stems and ids: the id is of dataset, path, text, and the how-manieth of equal texts. */
void dataset_pieces_finish(struct dataset_pieces *p, const char *dataset, const char *path);

/* ---- stems.c ---- */

#define DATASET_TERMS_MAX 48
struct dataset_terms {
    char *items[DATASET_TERMS_MAX];
    size_t count;
};
/* The stems of a query: of every language we stem, without stop words unless all are. */
void dataset_terms_init(struct dataset_terms *t, const char *text, size_t n);
void dataset_terms_done(struct dataset_terms *t);

/* ---- scan.c: int8 vectors; rows are value + 128, padded with 128 to a multiple of 64 ---- */

size_t dataset_scan_stride(size_t dim);
/* Returns the scale: value = (row - 128) * scale. 0: no direction. */
float dataset_scan_row(const float *v, size_t dim, uint8_t *row);
/* The query as int8 (padding 0) and its scale; *bias is 128 times the sum of its values. */
float dataset_scan_query(const float *v, size_t dim, int8_t *out, int32_t *bias);
/* out[i] = sum over d of rows[i][d] * q[d]. The fastest kernel this processor has. */
void dataset_scan_dots(const uint8_t *rows, size_t n, size_t stride, const int8_t *q,
                       int32_t *out);
/* For tests: kernel i by name, NULL when there is none; false when this processor lacks it. */
typedef void (*dataset_scan_fn)(const uint8_t *rows, size_t n, size_t stride, const int8_t *q,
                                int32_t *out);
const char *dataset_scan_kernel(size_t i, dataset_scan_fn *fn, bool *runs);

/* ---- room.c: what is in memory ---- */

/* Vectors of one dataset; order is of no meaning. Under the room's lock. */
struct segment {
    int64_t no; /* of the dataset */
    char model[65];
    size_t dim, stride;
    size_t count, room;
    uint8_t *rows;
    float *scales;
    uint32_t *seqs; /* low half of the chunk's number */
    int64_t chunks; /* with or without vectors, about */
};

struct datasets {
    struct dataset_house h;
    struct dataset_hooks hooks;
    pthread_rwlock_t lock; /* segments */
    struct segment *segments; /* by no, ascending */
    size_t segments_len, segments_room;
    size_t bytes;             /* of all rows */
    pthread_mutex_t filling;  /* one fills, drops or expires at a time */
    pthread_mutex_t readers_lock;
    struct store_conn *readers[4];
    size_t readers_len;
    /* embed.c, core thread */
    struct embedding *embedding; /* NULL: none runs */
    bool again, loaded;
    atomic_bool closing;
    struct pool *searches; /* NULL without a loop */
};

struct store_conn *dataset_reader_take(struct datasets *ds, struct fault *why);
void dataset_reader_give(struct datasets *ds, struct store_conn *c);
/* The segment of a dataset, made when there is none; the lock is held for writing. */
struct segment *dataset_segment(struct datasets *ds, int64_t no);
/* NULL when there is none; the lock is held. */
struct segment *dataset_segment_find(struct datasets *ds, int64_t no);
/* Adds or replaces; false when the room's memory is used up. Takes the lock. */
bool dataset_segment_add(struct datasets *ds, int64_t no, const char *model, const int64_t *chunks,
                         const float *vectors, size_t n, size_t dim);
void dataset_segment_remove(struct datasets *ds, int64_t no, const int64_t *chunks, size_t n);
void dataset_segment_drop(struct datasets *ds, int64_t no); /* all of the dataset */
void dataset_segment_count(struct datasets *ds, int64_t no, int64_t change); /* chunks */
/* Posts to the core loop that there may be something to embed. Any thread. */
void dataset_kick(struct datasets *ds);
void dataset_embed_stop(struct datasets *ds);
/* Posts hooks.changed. Any thread. */
void dataset_tell_changed(struct datasets *ds, const char *dataset);

/* ---- take.c and drop.c ---- */

/* What was answered from the dataset is not reused; blocks. */
MUST_CHECK enum fail dataset_forget(struct datasets *ds, const char *dataset, struct fault *why);
/* Deletes a chunk's rows: text, vector, full text. */
MUST_CHECK enum fail dataset_chunk_delete(struct store_tx *tx, int64_t no, struct fault *why);
/* What a chunk's vector is made of; in the arena. */
const char *dataset_embed_text(struct arena *arena, const char *heading, const char *text);
/* hostile.c: everything that is not plain text, through the sealed reader. Blocks. */
MUST_CHECK enum fail dataset_read_hostile(struct dataset_pieces *p, const char *path,
                                          const char *media, const void *data, size_t n,
                                          struct fault *why);
