/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search, in one read transaction: what p may read, candidates by words, candidates by vectors,
 * both fused, and the texts, each joined with the grant again.
 *
 * FTS5's own ranking visits every row of every word with a lookup each: 200 ms for a question over
 * 100,000 chunks. Here a word's rows are only enumerated (50 ns each), the rare words first, until
 * POSTINGS_MAX rows were seen; what is too common to fit would tell chunks apart least. The best
 * RESCORE candidates are then ranked by the whole BM25 over all words of the query.
 * A word's frequency is counted over what p may read: it says nothing about other datasets.
 * Owns: nothing. Threads: the caller's, with its own reader. Limits: DATASET_TERMS_MAX words,
 * DATASET_MAX datasets.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"

#define POSTINGS_MAX 40000
#define PROBE 3000  /* rows of a word before it counts as common */
#define RESCORE 200
#define RANKED 100  /* of each ranking */
#define RANGES_MAX 8
#define FUSE_K 60.0
#define BM25_K1 1.2
#define BM25_B 0.75
#define BLOCK 256

/* ---- what p may read: the one place ---- */

struct reach {
    int64_t no[DATASET_MAX]; /* ascending */
    size_t count;
    struct range {
        int64_t from, to; /* chunk numbers, [from, to) */
    } ranges[RANGES_MAX];
    size_t ranges_len;
    double chunks; /* about */
};

static bool reach_has(const struct reach *r, int64_t no)
{
    size_t lo = 0, hi = r->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->no[mid] == no) {
            return true;
        }
        if (r->no[mid] < no) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return false;
}

static bool is_wanted(const struct dataset_query *q, const char *name, bool *seen)
{
    for (size_t i = 0; i < q->datasets_len; i++) {
        if (strcmp(q->datasets[i], name) == 0) {
            seen[i] = true;
            return true;
        }
    }
    return q->datasets == NULL;
}

/* Few datasets are asked each by its own stretch of numbers; many by one, then sifted. */
static void make_ranges(struct reach *r)
{
    bool each = r->count <= RANGES_MAX;
    r->ranges_len = each ? r->count : 1;
    for (size_t i = 0; i < r->ranges_len; i++) {
        r->ranges[i].from = r->no[i] << 32;
        r->ranges[i].to = (r->no[each ? i : r->count - 1] + 1) << 32;
    }
}

static enum fail reach_read(struct datasets *ds, struct store_conn *conn,
                            const struct principal *p, const struct dataset_query *q, int64_t now,
                            struct reach *r, struct fault *why)
{
    bool seen[DATASET_MAX] = {false};
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT DISTINCT a.no, a.name FROM dataset_reader r JOIN dataset_about a ON a.no = "
              "r.dataset WHERE " DATASET_READABLE " ORDER BY a.no");
    bool row;
    enum fail f;
    store_bind_text(s, 1, p->team);
    store_bind_text(s, 2, p->name);
    store_bind_int(s, 3, now);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && r->count < DATASET_MAX) {
        const char *name = store_col_text(s, 1);
        if (is_wanted(q, name, seen) && keyring_limits_allow(p, KEYRING_LIMIT_DATASETS, name)) {
            r->no[r->count++] = store_col_int(s, 0);
        }
    }
    for (size_t i = 0; i < q->datasets_len && f == FAIL_NONE; i++) {
        if (!seen[i] || !keyring_limits_allow(p, KEYRING_LIMIT_DATASETS, q->datasets[i])) {
            FAULT(why, FAIL_NOT_FOUND, "there is no dataset `%.64s` that you may use",
                  q->datasets[i]);
            f = fail_hint(why, "`inhouse datasets list` shows those you may read, and those you "
                               "may ask for.");
        }
    }
    pthread_rwlock_rdlock(&ds->lock);
    for (size_t i = 0; i < r->count; i++) {
        const struct segment *x = dataset_segment_find(ds, r->no[i]);
        r->chunks += x != NULL && x->chunks > 0 ? (double)x->chunks : 0;
    }
    pthread_rwlock_unlock(&ds->lock);
    make_ranges(r);
    return f;
}

/* ---- words ---- */

struct slot {
    int64_t chunk; /* 0: free */
    float score;
};

struct word {
    const char *stem;
    char *match;   /* as FTS5 reads it */
    double rows;   /* seen, or about */
    int64_t next;  /* where the probe stopped; 0: it saw all */
    size_t range;
    double idf;
};

struct words {
    struct store_conn *conn;
    const struct reach *reach;
    struct word items[DATASET_TERMS_MAX];
    size_t count;
    struct slot *slots;
    size_t mask, used;
    size_t left; /* postings */
    int64_t found[POSTINGS_MAX];
    size_t found_len;
};

/* One word's rows in one stretch, at most `max`, into found. *next: the row to go on from, 0:
   done. */
static enum fail enumerate(struct words *w, const char *match, int64_t from, int64_t to, size_t max,
                           int64_t *next, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        w->conn, "SELECT rowid FROM dataset_word WHERE dataset_word MATCH ?1 AND rowid >= ?2 AND "
                 "rowid < ?3 ORDER BY rowid LIMIT ?4");
    bool row;
    enum fail f;
    size_t n = 0;
    int64_t last = 0;
    *next = 0;
    store_bind_text(s, 1, match);
    store_bind_int(s, 2, from);
    store_bind_int(s, 3, to);
    store_bind_int(s, 4, (int64_t)max);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        last = store_col_int(s, 0);
        n++;
        if (w->found_len < POSTINGS_MAX && reach_has(w->reach, last >> 32)) {
            w->found[w->found_len++] = last;
        }
    }
    if (n == max) {
        *next = last + 1;
    }
    return f;
}

static void score(struct words *w, double idf)
{
    for (size_t i = 0; i < w->found_len; i++) {
        uint64_t h = (uint64_t)w->found[i] * 0x9E3779B97F4A7C15ULL;
        size_t at = (size_t)(h >> 40) & w->mask;
        while (w->slots[at].chunk != 0 && w->slots[at].chunk != w->found[i]) {
            at = (at + 1) & w->mask;
        }
        if (w->slots[at].chunk == 0 && ++w->used > w->mask * 3 / 4) {
            w->used--;
            continue; /* full: enough to choose from */
        }
        w->slots[at].chunk = w->found[i];
        w->slots[at].score += (float)idf;
    }
    w->left -= w->found_len < w->left ? w->found_len : w->left;
    w->found_len = 0;
}

static double idf_of(const struct words *w, double rows)
{
    double n = w->reach->chunks > rows ? w->reach->chunks : rows;
    return log(1.0 + (n - rows + 0.5) / (rows + 0.5));
}

/* The first PROBE rows of a word: mostly all of them. Else its frequency is judged by how far they
   reach: numbers are given in order of arrival, which knows nothing of words. */
static enum fail probe(struct words *w, struct word *x, struct fault *why)
{
    enum fail f = FAIL_NONE;
    const struct reach *r = w->reach;
    for (x->range = 0; x->range < r->ranges_len && f == FAIL_NONE; x->range++) {
        const struct range *g = &r->ranges[x->range];
        size_t before = w->found_len;
        f = enumerate(w, x->match, g->from, g->to, PROBE - before, &x->next, why);
        if (f != FAIL_NONE || x->next != 0) {
            break;
        }
    }
    x->rows = (double)w->found_len;
    if (x->next != 0) {
        x->rows = r->chunks / 2; /* common; how common shows where numbers lie close */
        if (w->found_len > 1) {
            double span = (double)(w->found[w->found_len - 1] - w->found[0]) + 1;
            double dense = (double)w->found_len / span;
            x->rows = fmin(r->chunks, fmax((double)w->found_len, dense * r->chunks));
        }
    }
    x->idf = idf_of(w, x->rows);
    return f;
}

static int by_rows(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return x->rows < y->rows ? -1 : x->rows > y->rows;
}

/* A common word's rows from the start, as far as the postings last. */
static enum fail go_on(struct words *w, struct word *x, struct fault *why)
{
    enum fail f = FAIL_NONE;
    const struct reach *r = w->reach;
    if (x->rows > (double)w->left && w->used > 0) {
        return FAIL_NONE; /* too common to choose by: it counts when candidates are ranked */
    }
    for (size_t i = 0; i < r->ranges_len && f == FAIL_NONE && w->found_len < w->left; i++) {
        int64_t next;
        f = enumerate(w, x->match, r->ranges[i].from, r->ranges[i].to, w->left - w->found_len,
                      &next, why);
    }
    score(w, x->idf);
    return f;
}

static char *match_of(struct arena *arena, const char *stem)
{
    char *out = arena_alloc(arena, 2 * strlen(stem) + 3), *o = out;
    *o++ = '"';
    for (; *stem != '\0'; stem++) {
        *o++ = *stem;
        if (*stem == '"') {
            *o++ = '"';
        }
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

struct ranked {
    int64_t chunk;
    double score;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* A heap whose root is the worst of the best `max`. */
static void keep(struct ranked *heap, size_t *n, size_t max, int64_t chunk, double value)
{
    size_t i;
    if (*n < max) {
        i = (*n)++;
        heap[i] = (struct ranked){chunk, value};
        while (i > 0 && heap[(i - 1) / 2].score > heap[i].score) {
            struct ranked t = heap[i];
            heap[i] = heap[(i - 1) / 2];
            heap[(i - 1) / 2] = t;
            i = (i - 1) / 2;
        }
        return;
    }
    if (value <= heap[0].score) {
        return;
    }
    heap[0] = (struct ranked){chunk, value};
    for (i = 0;;) {
        size_t least = i, a = 2 * i + 1, b = a + 1;
        least = a < max && heap[a].score < heap[least].score ? a : least;
        least = b < max && heap[b].score < heap[least].score ? b : least;
        if (least == i) {
            return;
        }
        struct ranked t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

/* BM25 of one candidate over all words of the query, from its stored stems. */
static double bm25(const struct words *w, const char *stems, double mean)
{
    double tf[DATASET_TERMS_MAX] = {0}, total = 0;
    double length = 0;
    for (const char *s = stems; *s != '\0';) {
        size_t n = strcspn(s, " ");
        length++;
        for (size_t i = 0; i < w->count; i++) {
            const char *stem = w->items[i].stem;
            if (stem[0] == s[0] && strncmp(stem, s, n) == 0 && stem[n] == '\0') {
                tf[i]++;
            }
        }
        s += n + (s[n] == ' ');
    }
    double norm = BM25_K1 * (1 - BM25_B + BM25_B * length / mean);
    for (size_t i = 0; i < w->count; i++) {
        total += w->items[i].idf * tf[i] * (BM25_K1 + 1) / (tf[i] + norm);
    }
    return total;
}

#define MEAN_STEMS 100.0 /* of a chunk of DATASET_CHUNK_TARGET bytes with its headings */

static enum fail rescore(const struct words *w, struct ranked *list, size_t n, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s =
            store_query(w->conn, "SELECT stems FROM dataset_word WHERE rowid = ?1");
        bool row = false;
        store_bind_int(s, 1, list[i].chunk);
        f = store_step(s, &row, why);
        list[i].score = f == FAIL_NONE && row ? bm25(w, store_col_text(s, 0), MEAN_STEMS) : 0;
    }
    qsort(list, n, sizeof(*list), by_score);
    return f;
}

static enum fail by_words(struct words *w, const struct dataset_query *q, struct arena *arena,
                          struct ranked *out, size_t *n, struct fault *why)
{
    struct dataset_terms terms;
    enum fail f = FAIL_NONE;
    dataset_terms_init(&terms, q->text, strlen(q->text));
    w->left = POSTINGS_MAX;
    for (size_t i = 0; i < terms.count && f == FAIL_NONE && w->reach->count > 0; i++) {
        struct word *x = &w->items[w->count++];
        *x = (struct word){.stem = arena_dup_str(arena, terms.items[i]),
                           .match = match_of(arena, terms.items[i])};
        w->found_len = 0;
        f = probe(w, x, why);
        if (x->next == 0) {
            score(w, x->idf);
        }
        w->found_len = 0;
    }
    dataset_terms_done(&terms);
    qsort(w->items, w->count, sizeof(*w->items), by_rows);
    for (size_t i = 0; i < w->count && f == FAIL_NONE; i++) {
        if (w->items[i].next != 0) {
            f = go_on(w, &w->items[i], why);
        }
    }
    *n = 0;
    for (size_t i = 0; i <= w->mask && w->used > 0; i++) {
        if (w->slots[i].chunk != 0) {
            keep(out, n, RESCORE, w->slots[i].chunk, w->slots[i].score);
        }
    }
    f = f != FAIL_NONE ? f : rescore(w, out, *n, why);
    *n = *n < RANKED ? *n : RANKED;
    return f;
}

/* ---- vectors ---- */

/* The int8 scan of what p may read, under the room's lock; nothing else happens meanwhile. */
static void scan(struct datasets *ds, const struct reach *r, const struct dataset_query *q,
                 struct ranked *out, size_t *n)
{
    int8_t query[DATASET_DIM_MAX + 64];
    int32_t bias, dots[BLOCK];
    float scale = dataset_scan_query(q->vector, q->dim, query, &bias);
    *n = 0;
    pthread_rwlock_rdlock(&ds->lock);
    for (size_t i = 0; i < r->count && scale > 0; i++) {
        const struct segment *s = dataset_segment_find(ds, r->no[i]);
        if (s == NULL || s->dim != q->dim || strcmp(s->model, q->model) != 0) {
            continue; /* vectors of another model say nothing */
        }
        for (size_t at = 0; at < s->count; at += BLOCK) {
            size_t k = s->count - at < BLOCK ? s->count - at : BLOCK;
            dataset_scan_dots(s->rows + at * s->stride, k, s->stride, query, dots);
            for (size_t j = 0; j < k; j++) {
                double cosine = (double)(dots[j] - bias) * s->scales[at + j] * scale;
                if (s->scales[at + j] > 0 && (*n < RANKED || cosine > out[0].score)) {
                    keep(out, n, RANKED, (s->no << 32) | s->seqs[at + j], cosine);
                }
            }
        }
    }
    pthread_rwlock_unlock(&ds->lock);
}

static enum fail by_floats(struct store_conn *conn, const struct dataset_query *q,
                           struct ranked *list, size_t n, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT vector FROM dataset_chunk_vector WHERE chunk = ?1");
        bool row = false;
        size_t bytes = 0;
        store_bind_int(s, 1, list[i].chunk);
        f = store_step(s, &row, why);
        const float *v = f == FAIL_NONE && row ? store_col_blob(s, 0, &bytes) : NULL;
        list[i].score = -1; /* gone since */
        if (v != NULL && bytes == q->dim * sizeof(float)) {
            float sum = 0;
            for (size_t d = 0; d < q->dim; d++) {
                sum += v[d] * q->vector[d];
            }
            list[i].score = sum;
        }
    }
    qsort(list, n, sizeof(*list), by_score);
    return f;
}

/* ---- both ---- */

struct fused {
    int64_t chunk;
    double score, cosine;
    int word_rank, vector_rank;
};

static int by_fused(const void *a, const void *b)
{
    const struct fused *x = a, *y = b;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static struct fused *fused_of(struct fused *list, size_t *n, int64_t chunk)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i].chunk == chunk) {
            return &list[i];
        }
    }
    list[*n] = (struct fused){.chunk = chunk};
    return &list[(*n)++];
}

/* The text, if p may still read it: the grant is joined here too. */
static enum fail fetch(struct store_conn *conn, const struct principal *p, int64_t now,
                       const struct fused *x, struct arena *arena, struct dataset_hit *out,
                       bool *got, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn,
        "SELECT c.id, a.name, f.path, f.title, c.heading, c.text, c.page, c.seq, c.at, "
        "f.updated_at, a.label FROM dataset_chunk c JOIN dataset_file f ON f.no = c.file JOIN "
        "dataset_about a ON a.no = f.dataset WHERE c.no = ?4 AND (f.expires_at = 0 OR "
        "f.expires_at > ?3) AND EXISTS (SELECT 1 FROM dataset_reader r WHERE r.dataset = a.no "
        "AND " DATASET_READABLE ")");
    store_bind_text(s, 1, p->team);
    store_bind_text(s, 2, p->name);
    store_bind_int(s, 3, now);
    store_bind_int(s, 4, x->chunk);
    *got = false;
    enum fail f = store_step(s, got, why);
    if (f != FAIL_NONE || !*got) {
        return f;
    }
    int64_t label = store_col_int(s, 10);
    *out = (struct dataset_hit){
        .dataset = arena_dup_str(arena, store_col_text(s, 1)),
        .path = arena_dup_str(arena, store_col_text(s, 2)),
        .title = arena_dup_str(arena, store_col_text(s, 3)),
        .heading = arena_dup_str(arena, store_col_text(s, 4)),
        .text = arena_dup_str(arena, store_col_text(s, 5)),
        .page = store_col_int(s, 6),
        .seq = store_col_int(s, 7),
        .at = store_col_int(s, 8),
        .updated_at = store_col_int(s, 9),
        .label = label >= 0 && label < SECRECY_COUNT ? (enum secrecy)label : SECRECY_RESTRICTED,
        .score = x->score,
        .word_rank = x->word_rank,
        .vector_rank = x->vector_rank,
        .cosine = x->cosine,
    };
    (void)store_col_id(s, 0, &out->chunk);
    return FAIL_NONE;
}

static enum fail search(struct datasets *ds, struct words *w, const struct principal *p,
                        const struct dataset_query *q, int64_t now, struct arena *arena,
                        struct dataset_hit *hits, size_t *n, struct fault *why)
{
    struct ranked *words = arena_alloc(arena, RESCORE * sizeof(*words));
    struct ranked *near = arena_alloc(arena, RANKED * sizeof(*near));
    struct fused *all = arena_alloc(arena, 2 * RANKED * sizeof(*all));
    size_t words_len = 0, near_len = 0, all_len = 0, max = *n;
    enum fail f = by_words(w, q, arena, words, &words_len, why);
    if (f == FAIL_NONE && q->vector != NULL) {
        scan(ds, w->reach, q, near, &near_len);
        f = by_floats(w->conn, q, near, near_len, why);
    }
    for (size_t i = 0; i < words_len; i++) {
        struct fused *x = fused_of(all, &all_len, words[i].chunk);
        x->word_rank = (int)i + 1;
        x->score += 1.0 / (FUSE_K + (double)i + 1);
    }
    for (size_t i = 0; i < near_len && near[i].score > 0; i++) {
        struct fused *x = fused_of(all, &all_len, near[i].chunk);
        x->vector_rank = (int)i + 1;
        x->cosine = near[i].score;
        x->score += 1.0 / (FUSE_K + (double)i + 1);
    }
    qsort(all, all_len, sizeof(*all), by_fused);
    *n = 0;
    for (size_t i = 0; i < all_len && *n < max && f == FAIL_NONE; i++) {
        bool got;
        f = fetch(w->conn, p, now, &all[i], arena, &hits[*n], &got, why);
        *n += f == FAIL_NONE && got;
    }
    return f;
}

enum fail datasets_search(struct datasets *ds, struct store_conn *conn, const struct principal *p,
                          const struct dataset_query *q, struct arena *arena,
                          struct dataset_hit *hits, size_t *n, enum secrecy *label,
                          struct fault *why)
{
    int64_t now = q->now != 0 ? q->now : clock_now_us();
    *n = q->max < DATASET_HITS_MAX ? q->max : DATASET_HITS_MAX;
    *label = SECRECY_PUBLIC;
    if (strlen(q->text) > DATASET_QUERY_BYTES || q->dim > DATASET_DIM_MAX ||
        q->datasets_len > DATASET_MAX) {
        *n = 0;
        return FAULT(why, FAIL_TOO_LARGE, "a question has at most %d bytes", DATASET_QUERY_BYTES);
    }
    enum fail f = store_read_begin(conn, why);
    if (f != FAIL_NONE) {
        *n = 0;
        return f;
    }
    struct reach *r = mem_alloc(sizeof(*r));
    struct words *w = mem_alloc(sizeof(*w));
    *w = (struct words){.conn = conn, .reach = r};
    size_t size = 1024;
    f = reach_read(ds, conn, p, q, now, r, why);
    while (size < 2 * POSTINGS_MAX && (double)size < 2 * r->chunks + 1024) {
        size *= 2;
    }
    w->mask = size - 1;
    w->slots = mem_alloc_array(size, sizeof(*w->slots));
    f = f != FAIL_NONE ? f : search(ds, w, p, q, now, arena, hits, n, why);
    *n = f == FAIL_NONE ? *n : 0;
    for (size_t i = 0; i < *n; i++) {
        *label = hits[i].label > *label ? hits[i].label : *label;
    }
    store_read_end(conn);
    mem_free(w->slots);
    mem_free(w);
    mem_free(r);
    return f;
}
