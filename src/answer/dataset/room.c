/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in memory: one segment of int8 vectors for each dataset, and the room's readers.
 * Owns: segments, readers. Threads: any; the segments under a lock that prefers writers, so that a
 * deletion never waits behind a queue of searches. Limits: DATASET_VECTOR_BYTES of vectors; what
 * comes beyond is found by its words alone.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/loop/loop.h"

#define LOW ((int64_t)0xffffffff)
#define EXPIRE_MS 60000
#define SEARCHES_WAITING 256

/* ---- readers ---- */

struct store_conn *dataset_reader_take(struct datasets *ds, struct fault *why)
{
    struct store_conn *c = NULL;
    pthread_mutex_lock(&ds->readers_lock);
    if (ds->readers_len > 0) {
        c = ds->readers[--ds->readers_len];
    }
    pthread_mutex_unlock(&ds->readers_lock);
    if (c == NULL && store_reader_open(ds->h.store, &c, why) != FAIL_NONE) {
        return NULL;
    }
    return c;
}

void dataset_reader_give(struct datasets *ds, struct store_conn *c)
{
    pthread_mutex_lock(&ds->readers_lock);
    if (ds->readers_len < COUNT_OF(ds->readers)) {
        ds->readers[ds->readers_len++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&ds->readers_lock);
    store_reader_close(c);
}

/* ---- segments ---- */

static size_t place_of(const struct datasets *ds, int64_t no)
{
    size_t lo = 0, hi = ds->segments_len;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (ds->segments[mid].no < no) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct segment *dataset_segment_find(struct datasets *ds, int64_t no)
{
    size_t i = place_of(ds, no);
    return i < ds->segments_len && ds->segments[i].no == no ? &ds->segments[i] : NULL;
}

struct segment *dataset_segment(struct datasets *ds, int64_t no)
{
    size_t i = place_of(ds, no);
    if (i == ds->segments_len || ds->segments[i].no != no) {
        if (ds->segments_len == ds->segments_room) {
            ds->segments_room = ds->segments_room == 0 ? 16 : ds->segments_room * 2;
            ds->segments = mem_realloc(ds->segments, ds->segments_room * sizeof(*ds->segments));
        }
        memmove(&ds->segments[i + 1], &ds->segments[i],
                (ds->segments_len - i) * sizeof(*ds->segments));
        ds->segments[i] = (struct segment){.no = no};
        ds->segments_len++;
    }
    return &ds->segments[i];
}

static void empty(struct datasets *ds, struct segment *s)
{
    ds->bytes -= s->room * s->stride;
    mem_free(s->rows);
    mem_free(s->scales);
    mem_free(s->seqs);
    s->rows = NULL;
    s->scales = NULL;
    s->seqs = NULL;
    s->count = s->room = s->dim = s->stride = 0;
    s->model[0] = '\0';
}

static bool grow(struct datasets *ds, struct segment *s, size_t more)
{
    if (s->count + more <= s->room) {
        return true;
    }
    size_t room = s->room + s->room / 2 > s->count + more ? s->room + s->room / 2 : s->count + more;
    if (ds->bytes + (room - s->room) * s->stride > DATASET_VECTOR_BYTES) {
        return false;
    }
    ds->bytes += (room - s->room) * s->stride;
    s->rows = mem_realloc(s->rows, room * s->stride);
    s->scales = mem_realloc(s->scales, room * sizeof(*s->scales));
    s->seqs = mem_realloc(s->seqs, room * sizeof(*s->seqs));
    s->room = room;
    return true;
}

bool dataset_segment_add(struct datasets *ds, int64_t no, const char *model, const int64_t *chunks,
                         const float *vectors, size_t n, size_t dim)
{
    pthread_rwlock_wrlock(&ds->lock);
    struct segment *s = dataset_segment(ds, no);
    if (s->dim != dim || strcmp(s->model, model) != 0) {
        empty(ds, s);
        s->dim = dim;
        s->stride = dataset_scan_stride(dim);
        (void)text_copy(s->model, sizeof(s->model), model);
    }
    bool good = grow(ds, s, n);
    for (size_t i = 0; good && i < n; i++) {
        s->scales[s->count] =
            dataset_scan_row(vectors + i * dim, dim, s->rows + s->count * s->stride);
        s->seqs[s->count++] = (uint32_t)(chunks[i] & LOW);
    }
    pthread_rwlock_unlock(&ds->lock);
    return good;
}

static int by_seq(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void dataset_segment_remove(struct datasets *ds, int64_t no, const int64_t *chunks, size_t n)
{
    uint32_t *gone = mem_alloc_array(n + 1, sizeof(*gone));
    for (size_t i = 0; i < n; i++) {
        gone[i] = (uint32_t)(chunks[i] & LOW);
    }
    qsort(gone, n, sizeof(*gone), by_seq);
    pthread_rwlock_wrlock(&ds->lock);
    struct segment *s = dataset_segment_find(ds, no);
    for (size_t i = 0; s != NULL && i < s->count;) {
        if (bsearch(&s->seqs[i], gone, n, sizeof(*gone), by_seq) == NULL) {
            i++;
            continue;
        }
        size_t last = --s->count; /* its place goes to the last one */
        memcpy(s->rows + i * s->stride, s->rows + last * s->stride, s->stride);
        memset(s->rows + last * s->stride, 128, s->stride);
        s->scales[i] = s->scales[last];
        s->seqs[i] = s->seqs[last];
    }
    pthread_rwlock_unlock(&ds->lock);
    mem_free(gone);
}

void dataset_segment_drop(struct datasets *ds, int64_t no)
{
    pthread_rwlock_wrlock(&ds->lock);
    struct segment *s = dataset_segment_find(ds, no);
    if (s != NULL) {
        empty(ds, s);
        size_t i = (size_t)(s - ds->segments);
        memmove(s, s + 1, (ds->segments_len - i - 1) * sizeof(*s));
        ds->segments_len--;
    }
    pthread_rwlock_unlock(&ds->lock);
}

void dataset_segment_count(struct datasets *ds, int64_t no, int64_t change)
{
    pthread_rwlock_wrlock(&ds->lock);
    struct segment *s = dataset_segment(ds, no);
    s->chunks += change;
    pthread_rwlock_unlock(&ds->lock);
}

/* ---- from the store ---- */

#define LOAD_CHUNK 256

static void load_one(struct datasets *ds, struct store_conn *conn, int64_t no, const char *model,
                     struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT v.chunk, v.vector FROM dataset_chunk_vector v WHERE v.chunk >= ?1 AND "
              "v.chunk < ?2 ORDER BY v.chunk");
    int64_t chunks[LOAD_CHUNK];
    float *vectors = NULL;
    size_t n = 0, dim = 0;
    bool row, good = true;
    store_bind_int(s, 1, no << 32);
    store_bind_int(s, 2, (no + 1) << 32);
    while (good && store_step(s, &row, why) == FAIL_NONE && row) {
        size_t bytes;
        const void *v = store_col_blob(s, 1, &bytes);
        if (dim == 0 && bytes > 0 && bytes <= DATASET_DIM_MAX * sizeof(float)) {
            dim = bytes / sizeof(float);
            vectors = mem_alloc_array(LOAD_CHUNK, dim * sizeof(float));
        }
        if (dim == 0 || bytes != dim * sizeof(float)) {
            continue; /* reconciliation names it */
        }
        chunks[n] = store_col_int(s, 0);
        memcpy(vectors + n * dim, v, bytes);
        if (++n == LOAD_CHUNK) {
            good = dataset_segment_add(ds, no, model, chunks, vectors, n, dim);
            n = 0;
        }
    }
    if (n > 0 && good) {
        (void)dataset_segment_add(ds, no, model, chunks, vectors, n, dim);
    }
    mem_free(vectors);
}

static void load_all(struct datasets *ds, struct store_conn *conn)
{
    struct fault why;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT a.no, a.model, coalesce((SELECT sum(f.chunks) FROM dataset_file f WHERE "
              "f.dataset = a.no), 0) FROM dataset_about a ORDER BY a.no");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, &why)) == FAIL_NONE && row) {
        int64_t no = store_col_int(s, 0);
        dataset_segment_count(ds, no, store_col_int(s, 2));
        if (store_col_text(s, 1)[0] != '\0') {
            load_one(ds, conn, no, store_col_text(s, 1), &why);
        }
    }
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "dataset.load_failed", &why);
    }
}

static void load_work(void *arg)
{
    struct datasets *ds = arg;
    struct fault why;
    struct store_conn *conn = dataset_reader_take(ds, &why);
    if (conn == NULL) {
        log_fault(LOG_LEVEL_ERROR, "dataset.load_failed", &why);
        return;
    }
    load_all(ds, conn);
    dataset_reader_give(ds, conn);
}

static void loaded(void *arg)
{
    struct datasets *ds = arg;
    ds->loaded = true;
    datasets_fleet_changed(ds);
}

/* ---- the minute ---- */

static void expire_work(void *arg)
{
    struct datasets *ds = arg;
    struct fault why;
    size_t dropped = 0;
    enum fail f = datasets_expire(ds, clock_now_us(), &dropped, &why);
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "dataset.expire_failed", &why);
    } else if (dropped > 0) {
        log_write(LOG_LEVEL_INFO, "dataset.expired", LOG_FIELDS(LOG_NUM("documents", dropped)));
    }
}

static void each_minute(void *arg)
{
    struct datasets *ds = arg;
    struct fault why;
    if (!ds->closing) {
        if (pool_submit(ds->h.crunch, expire_work, ds, ds->h.loop, NULL, &why) != FAIL_NONE) {
            log_fault(LOG_LEVEL_DEBUG, "dataset.expire_later", &why); /* in a minute */
        }
        (void)loop_timer_add(ds->h.loop, EXPIRE_MS, each_minute, ds);
    }
}

static void begin(void *arg)
{
    struct datasets *ds = arg;
    struct fault why;
    if (pool_submit(ds->h.crunch, load_work, ds, ds->h.loop, loaded, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "dataset.load_failed", &why);
    }
    (void)loop_timer_add(ds->h.loop, 1000, each_minute, ds);
}

/* ---- open and close ---- */

enum fail datasets_open(const struct dataset_house *h, struct datasets **out, struct fault *why)
{
    struct datasets *ds = mem_alloc(sizeof(*ds));
    pthread_rwlockattr_t attr;
    ds->h = *h;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&ds->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&ds->filling, NULL);
    pthread_mutex_init(&ds->readers_lock, NULL);
    struct store_conn *conn = dataset_reader_take(ds, why);
    if (conn == NULL) {
        datasets_close(ds);
        return why->code;
    }
    if (h->loop == NULL) {
        load_all(ds, conn);
    } else {
        ds->searches = pool_new(sysconf(_SC_NPROCESSORS_ONLN) > 2 ? 2 : 1, SEARCHES_WAITING);
        loop_post(h->loop, begin, ds);
    }
    dataset_reader_give(ds, conn);
    *out = ds;
    return FAIL_NONE;
}

void datasets_stop(struct datasets *ds)
{
    if (ds != NULL) {
        ds->closing = true;
        if (ds->searches != NULL) {
            pool_free(ds->searches);
            ds->searches = NULL;
        }
    }
}

enum fail datasets_submit(struct datasets *ds, loop_call_fn work, void *arg, loop_call_fn done,
                          struct fault *why)
{
    return ds->closing || ds->searches == NULL
               ? FAULT(why, FAIL_STOPPED, "the server is ending")
               : pool_submit(ds->searches, work, arg, ds->h.loop, done, why);
}

void datasets_close(struct datasets *ds)
{
    if (ds == NULL) {
        return;
    }
    datasets_stop(ds);
    dataset_embed_stop(ds);
    for (size_t i = 0; i < ds->segments_len; i++) {
        empty(ds, &ds->segments[i]);
    }
    mem_free(ds->segments);
    for (size_t i = 0; i < ds->readers_len; i++) {
        store_reader_close(ds->readers[i]);
    }
    pthread_rwlock_destroy(&ds->lock);
    pthread_mutex_destroy(&ds->filling);
    pthread_mutex_destroy(&ds->readers_lock);
    mem_free(ds);
}

void datasets_set_hooks(struct datasets *ds, const struct dataset_hooks *hooks)
{
    ds->hooks = *hooks;
}

struct told {
    struct datasets *ds;
    char name[DATASET_NAME_SIZE];
};

static void tell(void *arg)
{
    struct told *t = arg;
    if (!t->ds->closing) {
        t->ds->hooks.changed(t->ds->hooks.arg, t->name);
    }
    mem_free(t);
}

void dataset_tell_changed(struct datasets *ds, const char *dataset)
{
    if (ds->h.loop != NULL && ds->hooks.changed != NULL) {
        struct told *t = mem_alloc(sizeof(*t));
        t->ds = ds;
        (void)text_copy(t->name, sizeof(t->name), dataset);
        loop_post(ds->h.loop, tell, t);
    }
}
