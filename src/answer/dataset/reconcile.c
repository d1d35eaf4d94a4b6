/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as they are listed and counted, and whether all the places that hold something of them
 * agree. Owns: nothing. Threads: the connection's. Limits: reads every chunk's number once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"

enum fail dataset_file_each(struct store_conn *conn, int64_t dataset, const char *after, size_t max,
                            dataset_file_fn fn, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT path, title, media, hash, bytes, chunks, updated_at, expires_at FROM "
              "dataset_file WHERE dataset = ?1 AND path > ?2 ORDER BY path LIMIT ?3");
    bool row;
    enum fail f;
    store_bind_int(s, 1, dataset);
    store_bind_text(s, 2, after);
    store_bind_int(s, 3, (int64_t)max);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_file x = {.bytes = store_col_int(s, 4),
                                 .chunks = store_col_int(s, 5),
                                 .updated_at = store_col_int(s, 6),
                                 .expires_at = store_col_int(s, 7)};
        size_t n;
        const void *hash = store_col_blob(s, 3, &n);
        (void)text_copy(x.path, sizeof(x.path), store_col_text(s, 0));
        (void)text_copy(x.title, sizeof(x.title), store_col_text(s, 1));
        (void)text_copy(x.media, sizeof(x.media), store_col_text(s, 2));
        if (n == sizeof(x.hash)) {
            memcpy(x.hash, hash, n);
        }
        fn(arg, &x);
    }
    return f;
}

enum fail dataset_count(struct store_conn *conn, int64_t dataset, struct dataset_counts *out,
                        struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*), coalesce(sum(chunks), 0), (SELECT count(*) FROM "
              "dataset_chunk_vector WHERE chunk >= ?2 AND chunk < ?3) FROM dataset_file WHERE "
              "dataset = ?1");
    bool row = false;
    store_bind_int(s, 1, dataset);
    store_bind_int(s, 2, dataset << 32);
    store_bind_int(s, 3, (dataset + 1) << 32);
    enum fail f = store_step(s, &row, why);
    *out = (struct dataset_counts){0};
    if (f == FAIL_NONE && row) {
        *out = (struct dataset_counts){store_col_int(s, 0), store_col_int(s, 1),
                                       store_col_int(s, 2)};
    }
    return f;
}

/* ---- do the parts agree ---- */

struct finding {
    void (*fn)(void *arg, const char *what);
    void *arg;
};

static void say(struct finding *o, int64_t n, const char *what)
{
    char text[160];
    if (n > 0) {
        (void)snprintf(text, sizeof(text), "%" PRId64 " %s", n, what);
        o->fn(o->arg, text);
    }
}

static enum fail ask(struct store_conn *conn, const char *sql, const char *what, struct finding *o,
                     struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(conn, sql);
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        say(o, store_col_int(s, 0), what);
    }
    return f;
}

/* The copy in memory: as many vectors of each dataset as there are rows of its model. */
static enum fail memory(struct store_conn *conn, struct datasets *ds, struct finding *o,
                        struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT a.no, (SELECT count(*) FROM dataset_chunk_vector v WHERE v.chunk >= a.no * "
              "4294967296 AND v.chunk < (a.no + 1) * 4294967296), a.model FROM dataset_about a");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        int64_t rows = store_col_text(s, 2)[0] != '\0' ? store_col_int(s, 1) : 0;
        pthread_rwlock_rdlock(&ds->lock);
        const struct segment *x = dataset_segment_find(ds, store_col_int(s, 0));
        int64_t held = x != NULL ? (int64_t)x->count : 0;
        pthread_rwlock_unlock(&ds->lock);
        say(o, rows > held ? rows - held : held - rows,
            "vectors in memory more or fewer than stored");
    }
    return f;
}

enum fail dataset_reconcile(struct store_conn *conn, struct datasets *ds,
                            void (*fn)(void *arg, const char *what), void *arg, struct fault *why)
{
    static const struct {
        const char *sql, *what;
    } checks[] = {
        {"SELECT count(*) FROM dataset_chunk c WHERE NOT EXISTS (SELECT 1 FROM dataset_word w "
         "WHERE w.rowid = c.no)",
         "chunks are missing in the full text"},
        {"SELECT count(*) FROM dataset_word w WHERE NOT EXISTS (SELECT 1 FROM dataset_chunk c "
         "WHERE c.no = w.rowid)",
         "entries of the full text have no chunk"},
        {"SELECT count(*) FROM dataset_chunk_vector v WHERE NOT EXISTS (SELECT 1 FROM "
         "dataset_chunk c WHERE c.no = v.chunk)",
         "vectors have no chunk"},
        {"SELECT count(*) FROM dataset_chunk c WHERE NOT EXISTS (SELECT 1 FROM dataset_file f "
         "WHERE f.no = c.file AND f.dataset = c.no / 4294967296)",
         "chunks have no document in their dataset"},
        {"SELECT count(*) FROM dataset_file f WHERE length(f.hash) = 32 AND f.chunks <> (SELECT "
         "count(*) FROM dataset_chunk c WHERE c.file = f.no)",
         "documents have more or fewer chunks than they say"},
        {"SELECT count(*) FROM dataset_file f WHERE length(f.hash) <> 32",
         "documents were half taken in or half removed: ingest or remove them again"},
    };
    struct finding o = {fn, arg};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < COUNT_OF(checks) && f == FAIL_NONE; i++) {
        f = ask(conn, checks[i].sql, checks[i].what, &o, why);
    }
    return f != FAIL_NONE || ds == NULL ? f : memory(conn, ds, &o, why);
}
