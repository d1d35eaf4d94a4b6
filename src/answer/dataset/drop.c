/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents out: by path, with their dataset, or because their time is over. The first step makes
 * a document invisible (its end lies behind), the next ones delete its chunks in batches, the last
 * one its row, with the leaf. Owns: nothing. Threads: one at a time (the room's lock), may block.
 */
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"

#define BATCH 200

struct dropping {
    struct datasets *ds;
    const struct principal *p;
    const char *dataset, *path, *article, *verdict;
    int64_t file;
    int64_t chunks[BATCH];
    size_t n;
    bool changed; /* what drafts are made from */
};

static enum fail hide(struct store_tx *tx, void *arg, struct fault *why)
{
    struct dropping *d = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE dataset_file SET expires_at = 1, hash = x'' WHERE no = ?1");
    store_bind_int(s, 1, d->file);
    return store_run(s, why);
}

static enum fail delete_batch(struct store_tx *tx, void *arg, struct fault *why)
{
    struct dropping *d = arg;
    enum fail f = FAIL_NONE;
    d->n = 0;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "SELECT no FROM dataset_chunk WHERE file = ?1 LIMIT ?2");
        bool row;
        store_bind_int(s, 1, d->file);
        store_bind_int(s, 2, BATCH);
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row && d->n < BATCH) {
            d->chunks[d->n++] = store_col_int(s, 0);
        }
    }
    for (size_t i = 0; i < d->n && f == FAIL_NONE; i++) {
        f = dataset_chunk_delete(tx, d->chunks[i], why);
    }
    return f;
}

static enum fail delete_file(struct store_tx *tx, void *arg, struct fault *why)
{
    struct dropping *d = arg;
    const struct dataset_hooks *h = &d->ds->hooks;
    enum fail f = FAIL_NONE;
    {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "DELETE FROM dataset_file WHERE no = ?1");
        store_bind_int(s, 1, d->file);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE && h->article != NULL && d->article[0] != '\0') {
        f = h->article(tx, h->arg, d->dataset, d->article, d->path, NULL, 0, &d->changed, why);
    }
    return f != FAIL_NONE
               ? f
               : dataset_note(tx, d->ds->h.audit, d->p, d->dataset, d->verdict, d->path, why);
}

struct forgetting {
    struct datasets *ds;
    const char *dataset;
};

static enum fail forget_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct forgetting *x = arg;
    return x->ds->hooks.forget(tx, x->ds->hooks.arg, x->dataset, why);
}

enum fail dataset_forget(struct datasets *ds, const char *dataset, struct fault *why)
{
    struct forgetting x = {ds, dataset};
    return ds->hooks.forget == NULL ? FAIL_NONE
                                    : store_write_wait(ds->h.store, forget_write, &x, why);
}

/* One document, whole. */
static enum fail drop_file(struct dropping *d, int64_t dataset, struct fault *why)
{
    struct store *store = d->ds->h.store;
    enum fail f = store_write_wait(store, hide, d, why);
    do {
        f = f != FAIL_NONE ? f : store_write_wait(store, delete_batch, d, why);
        if (f == FAIL_NONE && d->n > 0) {
            dataset_segment_remove(d->ds, dataset, d->chunks, d->n);
            dataset_segment_count(d->ds, dataset, -(int64_t)d->n);
        }
    } while (f == FAIL_NONE && d->n > 0);
    return f != FAIL_NONE ? f : store_write_wait(store, delete_file, d, why);
}

struct found {
    int64_t file, dataset;
    char name[DATASET_NAME_SIZE], path[DATASET_PATH_SIZE], article[128];
    bool there;
};

static void read_found(struct store_stmt *s, struct found *out)
{
    *out = (struct found){
        .there = true, .file = store_col_int(s, 0), .dataset = store_col_int(s, 1)};
    (void)text_copy(out->name, sizeof(out->name), store_col_text(s, 2));
    (void)text_copy(out->path, sizeof(out->path), store_col_text(s, 3));
    (void)text_copy(out->article, sizeof(out->article), store_col_text(s, 4));
}

#define FOUND_SELECT                                                                               \
    "SELECT f.no, f.dataset, a.name, f.path, f.article FROM dataset_file f JOIN dataset_about a "  \
    "ON a.no = f.dataset WHERE "

/* The document of that path; path NULL: any of the dataset. */
static enum fail find_file(struct datasets *ds, int64_t dataset, const char *path,
                           struct found *out, struct fault *why)
{
    struct store_conn *conn = dataset_reader_take(ds, why);
    if (conn == NULL) {
        return why->code;
    }
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, FOUND_SELECT "f.dataset = ?1 AND (?2 IS NULL OR f.path = ?2) LIMIT 1");
        bool row = false;
        store_bind_int(s, 1, dataset);
        store_bind_text(s, 2, path);
        out->there = false;
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && row) {
            read_found(s, out);
        }
    }
    dataset_reader_give(ds, conn);
    return f;
}

static enum fail drop_found(struct datasets *ds, const struct principal *p, const struct found *x,
                            const char *verdict, bool *articles, struct fault *why)
{
    struct dropping d = {.ds = ds,
                         .p = p,
                         .dataset = x->name,
                         .path = x->path,
                         .article = x->article,
                         .verdict = verdict,
                         .file = x->file};
    enum fail f = drop_file(&d, x->dataset, why);
    *articles = *articles || d.changed;
    return f;
}

enum fail datasets_drop_files(struct datasets *ds, const struct principal *p,
                              const struct dataset_about *d, const char *const *paths, size_t n,
                              size_t *dropped, struct fault *why)
{
    enum fail f = FAIL_NONE;
    bool articles = false;
    *dropped = 0;
    pthread_mutex_lock(&ds->filling);
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        struct found x;
        f = find_file(ds, d->no, paths[i], &x, why);
        if (f == FAIL_NONE && x.there) {
            f = drop_found(ds, p, &x, "document_removed", &articles, why);
            *dropped += f == FAIL_NONE;
        }
    }
    if (*dropped > 0 && f == FAIL_NONE) {
        f = dataset_forget(ds, d->name, why);
    }
    pthread_mutex_unlock(&ds->filling);
    if (articles) {
        dataset_tell_changed(ds, d->name);
    }
    return f;
}

/* ---- a whole dataset ---- */

struct ending {
    struct datasets *ds;
    const struct principal *p;
    const struct dataset_about *d;
};

static enum fail delete_dataset(struct store_tx *tx, void *arg, struct fault *why)
{
    struct ending *e = arg;
    {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "DELETE FROM dataset_about WHERE no = ?1");
        store_bind_int(s, 1, e->d->no);
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return dataset_note(tx, e->ds->h.audit, e->p, e->d->name, "removed", NULL, why);
}

enum fail datasets_drop(struct datasets *ds, const struct principal *p,
                        const struct dataset_about *d, struct fault *why)
{
    struct ending e = {ds, p, d};
    struct found x = {.there = true};
    enum fail f = FAIL_NONE;
    bool articles = false;
    pthread_mutex_lock(&ds->filling);
    while (f == FAIL_NONE && x.there) {
        f = find_file(ds, d->no, NULL, &x, why);
        if (f == FAIL_NONE && x.there) {
            f = drop_found(ds, p, &x, "document_removed", &articles, why);
        }
    }
    f = f != FAIL_NONE ? f : dataset_forget(ds, d->name, why);
    f = f != FAIL_NONE ? f : store_write_wait(ds->h.store, delete_dataset, &e, why);
    if (f == FAIL_NONE) {
        dataset_segment_drop(ds, d->no);
    }
    pthread_mutex_unlock(&ds->filling);
    if (articles) {
        dataset_tell_changed(ds, d->name);
    }
    return f;
}

/* ---- time is over ---- */

static enum fail find_expired(struct datasets *ds, int64_t now, struct found *out,
                              struct fault *why)
{
    struct store_conn *conn = dataset_reader_take(ds, why);
    if (conn == NULL) {
        return why->code;
    }
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, FOUND_SELECT "f.expires_at > 0 AND f.expires_at <= ?1 LIMIT 1");
        bool row = false;
        store_bind_int(s, 1, now);
        out->there = false;
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && row) {
            read_found(s, out);
        }
    }
    dataset_reader_give(ds, conn);
    return f;
}

enum fail datasets_expire(struct datasets *ds, int64_t now, size_t *dropped, struct fault *why)
{
    static const struct principal system = {.name = "system", .team = "system"};
    struct found x = {.there = true};
    enum fail f = FAIL_NONE;
    *dropped = 0;
    while (f == FAIL_NONE && x.there && !ds->closing) {
        bool articles = false;
        pthread_mutex_lock(&ds->filling);
        f = find_expired(ds, now, &x, why);
        if (f == FAIL_NONE && x.there) {
            f = drop_found(ds, &system, &x, "document_expired", &articles, why);
            f = f != FAIL_NONE ? f : dataset_forget(ds, x.name, why);
            *dropped += f == FAIL_NONE;
        }
        pthread_mutex_unlock(&ds->filling);
        if (articles) {
            dataset_tell_changed(ds, x.name);
        }
    }
    return f;
}
