/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors, made behind everybody's back: chunks without one are looked for, embedded in batches of
 * the lowest class, stored, and put into memory; one run at a time over all datasets. Without an
 * embedding model nothing happens, and when one comes everything that waits is embedded; another
 * model replaces all vectors of a dataset, which is searched by its words meanwhile.
 * Owns: struct embedding. Threads: the core loop drives it; looking and writing happen on crunch
 * and on the store's thread. Limits: EMBED_BATCH chunks at once.
 */
#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/loop/loop.h"
#include "run/fleet/fleet.h"

#define EMBED_BATCH 64
#define CLEAR_BATCH 500
#define RETRY_MS 5000

struct embedding {
    struct datasets *ds;
    struct arena *arena;
    char model[65];
    struct dataset_about d; /* the one at hand; no 0: none is left */
    int64_t chunks[EMBED_BATCH];
    const char *texts[EMBED_BATCH];
    size_t n, asked;
    float *vectors;
    size_t dim;
    bool stale; /* d holds vectors of another model */
    enum fail code;
    struct fault why;
};

const char *dataset_embed_text(struct arena *arena, const char *heading, const char *text)
{
    return heading[0] != '\0' ? arena_printf(arena, "%s\n%s", heading, text)
                              : arena_dup_str(arena, text);
}

enum fail dataset_unembedded(struct store_conn *conn, int64_t dataset, size_t max,
                             struct arena *arena, int64_t *chunks, const char **texts, size_t *n,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT c.no, c.heading, c.text FROM dataset_chunk c LEFT JOIN dataset_chunk_vector "
              "v ON v.chunk = c.no WHERE c.no >= ?1 AND c.no < ?2 AND v.chunk IS NULL LIMIT ?3");
    bool row;
    enum fail f;
    *n = 0;
    store_bind_int(s, 1, dataset << 32);
    store_bind_int(s, 2, (dataset + 1) << 32);
    store_bind_int(s, 3, (int64_t)max);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < max) {
        chunks[*n] = store_col_int(s, 0);
        texts[(*n)++] = dataset_embed_text(arena, store_col_text(s, 1), store_col_text(s, 2));
    }
    return f;
}

/* ---- looking, on crunch ---- */

/* The first dataset that has vectors of another model, or chunks without any. */
static enum fail find_work(struct store_conn *conn, struct embedding *e, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " DATASET_ABOUT_COLUMNS " FROM dataset_about a WHERE (a.model <> ?1 AND "
              "EXISTS (SELECT 1 FROM dataset_chunk_vector v WHERE v.chunk >= a.no * 4294967296 AND "
              "v.chunk < (a.no + 1) * 4294967296)) OR (SELECT count(*) FROM dataset_chunk c WHERE "
              "c.no >= a.no * 4294967296 AND c.no < (a.no + 1) * 4294967296) > (SELECT count(*) "
              "FROM dataset_chunk_vector v WHERE v.chunk >= a.no * 4294967296 AND v.chunk < "
              "(a.no + 1) * 4294967296) ORDER BY a.no LIMIT 1");
    bool row = false;
    store_bind_text(s, 1, e->model);
    enum fail f = store_step(s, &row, why);
    e->d.no = 0;
    if (f == FAIL_NONE && row) {
        dataset_about_read(s, &e->d);
    }
    return f;
}

static void look(void *arg)
{
    struct embedding *e = arg;
    struct store_conn *conn = dataset_reader_take(e->ds, &e->why);
    e->n = e->asked = 0;
    arena_free(e->arena);
    e->arena = arena_new((size_t)16 << 20);
    if (conn == NULL) {
        e->code = e->why.code;
        return;
    }
    if (e->d.no != 0 && !e->stale) { /* the same one again, as long as it has more */
        e->code = dataset_unembedded(conn, e->d.no, EMBED_BATCH, e->arena, e->chunks, e->texts,
                                     &e->n, &e->why);
    }
    if (e->code == FAIL_NONE && e->n == 0) {
        e->code = find_work(conn, e, &e->why);
        e->stale = e->d.no != 0 && strcmp(e->d.model, e->model) != 0;
        if (e->code == FAIL_NONE && e->d.no != 0 && !e->stale) {
            e->code = dataset_unembedded(conn, e->d.no, EMBED_BATCH, e->arena, e->chunks, e->texts,
                                         &e->n, &e->why);
        }
    }
    dataset_reader_give(e->ds, conn);
}

/* ---- writing ---- */

static enum fail set_model(struct store_conn *conn, int64_t no, const char *model,
                           struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "UPDATE dataset_about SET model = ?2 WHERE no = ?1");
    store_bind_int(s, 1, no);
    store_bind_text(s, 2, model);
    return store_run(s, why);
}

/* A step of taking another model's vectors away; when none is left the dataset gets this model. */
static enum fail clear_some(struct store_tx *tx, void *arg, struct fault *why)
{
    struct embedding *e = arg;
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = set_model(conn, e->d.no, "", why);
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "DELETE FROM dataset_chunk_vector WHERE chunk IN (SELECT chunk FROM "
                  "dataset_chunk_vector WHERE chunk >= ?1 AND chunk < ?2 LIMIT ?3)");
        store_bind_int(s, 1, e->d.no << 32);
        store_bind_int(s, 2, (e->d.no + 1) << 32);
        store_bind_int(s, 3, CLEAR_BATCH);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE && store_changes(conn) < CLEAR_BATCH) {
        e->stale = false;
        f = set_model(conn, e->d.no, e->model, why);
    }
    return f;
}

struct putting {
    const struct dataset_about *d;
    const char *model;
    const int64_t *chunks;
    const float *vectors;
    size_t n, dim;
    bool *kept; /* the chunk is still there */
};

static enum fail put_some(struct store_tx *tx, void *arg, struct fault *why)
{
    struct putting *p = arg;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < p->n && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "INSERT OR REPLACE INTO dataset_chunk_vector (chunk, vector) SELECT no, ?2 FROM "
            "dataset_chunk WHERE no = ?1");
        store_bind_int(s, 1, p->chunks[i]);
        store_bind_blob(s, 2, p->vectors + i * p->dim, p->dim * sizeof(float));
        f = store_run(s, why);
        p->kept[i] = f == FAIL_NONE && store_changes(store_tx_conn(tx)) > 0;
    }
    return f != FAIL_NONE ? f : set_model(store_tx_conn(tx), p->d->no, p->model, why);
}

enum fail datasets_put_vectors(struct datasets *ds, const struct dataset_about *d,
                               const char *model, const int64_t *chunks, const float *vectors,
                               size_t n, size_t dim, struct fault *why)
{
    if (dim == 0 || dim > DATASET_DIM_MAX) {
        return FAULT(why, FAIL_BAD_REQUEST, "a vector of %zu numbers", dim);
    }
    bool *kept = mem_alloc_array(n + 1, sizeof(*kept));
    struct putting p = {d, model, chunks, vectors, n, dim, kept};
    /* No deletion between the rows and the copy: it would leave the copy behind. */
    pthread_mutex_lock(&ds->filling);
    enum fail f = store_write_wait(ds->h.store, put_some, &p, why);
    if (f == FAIL_NONE) {
        for (size_t i = 0, run = 0; i <= n; i++) { /* runs of chunks that are there */
            if (i == n || !kept[i]) {
                if (i > run && !dataset_segment_add(ds, d->no, model, chunks + run,
                                                    vectors + run * dim, i - run, dim)) {
                    log_write(LOG_LEVEL_WARN, "dataset.memory_full",
                              LOG_FIELDS(LOG_TEXT("dataset", d->name)));
                }
                run = i + 1;
            }
        }
    }
    pthread_mutex_unlock(&ds->filling);
    mem_free(kept);
    return f;
}

/* On crunch: what was embedded is stored, or another model's vectors go; then the next. */
static void keep_work(void *arg)
{
    struct embedding *e = arg;
    if (e->code == FAIL_NONE && e->stale) {
        e->code = store_write_wait(e->ds->h.store, clear_some, e, &e->why);
        dataset_segment_drop(e->ds, e->d.no);
    } else if (e->code == FAIL_NONE && e->vectors != NULL) {
        e->code = datasets_put_vectors(e->ds, &e->d, e->model, e->chunks, e->vectors, e->n, e->dim,
                                       &e->why);
    }
    if (e->code == FAIL_NONE) {
        look(e);
    }
}

/* ---- driving, on the core loop ---- */

static void next(void *arg);

static void end(struct embedding *e)
{
    struct datasets *ds = e->ds;
    if (e->code != FAIL_NONE && e->code != FAIL_STOPPED) {
        log_fault(LOG_LEVEL_WARN, "dataset.embed_failed", &e->why);
    }
    bool failed = e->code != FAIL_NONE;
    ds->embedding = NULL;
    arena_free(e->arena);
    mem_free(e->vectors);
    mem_free(e);
    if (ds->again && !failed) {
        datasets_fleet_changed(ds);
    }
}

static void submit(struct embedding *e, loop_call_fn work)
{
    struct datasets *ds = e->ds;
    struct fault why;
    if (ds->closing || pool_submit(ds->h.crunch, work, e, ds->h.loop, next, &why) != FAIL_NONE) {
        e->code = FAULT(&e->why, FAIL_STOPPED, "the crunch threads are full");
        end(e);
    }
}

static void on_vectors(void *arg, const struct fleet_answer *a)
{
    struct embedding *e = arg;
    const struct fleet_vectors *v = a->vectors;
    if (a->code != FAIL_NONE || v == NULL || v->n != e->n - e->asked ||
        strcmp(a->sha256, e->model) != 0) {
        e->code = FAULT(&e->why, a->code != FAIL_NONE ? a->code : FAIL_MODEL_UNAVAILABLE,
                        "chunks of %s could not be embedded: %.160s", e->d.name,
                        a->why != NULL ? a->why->message : "another model answers");
        e->ds->again = false; /* when the fleet changes, or at the next document */
        end(e);
        return;
    }
    mem_free(e->vectors);
    e->dim = v->dim;
    e->vectors = mem_dup(v->data, v->n * v->dim * sizeof(float));
    submit(e, keep_work);
}

static void ask(struct embedding *e)
{
    char domain[DATASET_NAME_SIZE + 16];
    struct buf body;
    (void)snprintf(domain, sizeof(domain), "dataset/%s", e->d.name);
    buf_init(&body, IPC_FRAME_MAX);
    if (!fleet_embed_body(&body, IPC_BATCH, false, domain, e->texts, e->n)) {
        e->code = FAULT(&e->why, FAIL_TOO_LARGE, "chunks of %s are too large to embed", e->d.name);
        buf_done(&body);
        end(e);
        return;
    }
    struct fleet_ask a = {.role = FLEET_EMBED, .type = IPC_EMBED, .flags = IPC_FLAG_BULK,
                          .body = body.data, .len = body.len, .class = IPC_BATCH,
                          .done = on_vectors, .arg = e};
    fleet_ask(e->ds->h.fleet, &a);
    buf_done(&body);
}

static void next(void *arg)
{
    struct embedding *e = arg;
    mem_free(e->vectors);
    e->vectors = NULL;
    if (e->code != FAIL_NONE || e->ds->closing || (e->d.no == 0 && !e->stale)) {
        end(e);
    } else if (e->n > 0) {
        ask(e);
    } else {
        submit(e, keep_work); /* a dataset whose old vectors go */
    }
}

void datasets_fleet_changed(struct datasets *ds)
{
    struct fleet_model m;
    if (!ds->loaded || ds->closing || ds->h.fleet == NULL) {
        return;
    }
    if (ds->embedding != NULL) {
        ds->again = true;
        return;
    }
    memset(&m, 0, sizeof(m));
    fleet_model_get(ds->h.fleet, FLEET_EMBED, &m);
    ds->again = false;
    if (m.state != FLEET_READY) {
        return;
    }
    struct embedding *e = mem_alloc(sizeof(*e));
    e->ds = ds;
    (void)text_copy(e->model, sizeof(e->model), m.sha256);
    ds->embedding = e;
    submit(e, look);
}

static void kicked(void *arg)
{
    datasets_fleet_changed(arg);
}

void dataset_kick(struct datasets *ds)
{
    if (ds->h.loop != NULL) {
        loop_post(ds->h.loop, kicked, ds);
    }
}

void dataset_embed_stop(struct datasets *ds)
{
    if (ds->embedding != NULL) {
        arena_free(ds->embedding->arena);
        mem_free(ds->embedding->vectors);
        mem_free(ds->embedding);
        ds->embedding = NULL;
    }
}
