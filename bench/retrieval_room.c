/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room of datasets alone, for bench/retrieval.py. `retrieval_room FOLDER CHUNKS QUERIES SEED`
 * fills FOLDER/data.db with documents of drawn words (Zipf, exponent 1.05, 40,000 words) through
 * the same calls as the server, gives each chunk a vector near one of 500 centres, asks questions
 * made of a chunk's words and its vector with noise, and writes queries.txt and queries.f32 beside
 * it for the peer. Prints one JSON object. Owns: the folder's files. Threads: ASKERS, beside the
 * store's.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/dataset/dataset.h"
#include "base/clock/clock.h"

#define WORDS 40000
#define CENTRES 500
#define DIM 384
#define ASKERS 2
#define SETS 4
#define PER_FILE 200
#define MODEL "00000000000000000000000000000000000000000000000000000000000000b1"

static uint64_t seed;
static double cumulative[WORDS];
static char words[WORDS][16];
static float centres[CENTRES][DIM];
static struct datasets *ds;
static struct store *store;
static struct audit *record;
static struct fault why;
static const struct principal me = {.name = "bench", .team = "bench"};
static const struct principal other = {.name = "other", .team = "other"};

static void check(enum fail f, const char *doing)
{
    if (f != FAIL_NONE) {
        fprintf(stderr, "%s: %s\n", doing, why.message);
        exit(1);
    }
}

static double draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static const char *word(void)
{
    double x = draw() * cumulative[WORDS - 1];
    size_t lo = 0, hi = WORDS - 1;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cumulative[mid] < x) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return words[lo];
}

static double normal(void)
{
    return sqrt(-2 * log(draw() + 1e-12)) * cos(6.283185307179586 * draw());
}

/* Unit length. */
static void near_to(const float *from, double noise, float *out)
{
    double sum = 0;
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)((from != NULL ? from[i] : 0) + noise * normal());
        sum += (double)out[i] * out[i];
    }
    for (size_t i = 0; i < DIM; i++) {
        out[i] /= (float)sqrt(sum);
    }
}

static void prepare(void)
{
    static const char *const parts[] = {"ka", "lo", "mi", "ru", "te", "sa", "po", "ne", "du", "vi",
                                        "bo", "fa", "gu", "hi", "jo", "xe"};
    for (size_t i = 0; i < WORDS; i++) {
        cumulative[i] = (i > 0 ? cumulative[i - 1] : 0) + 1.0 / pow((double)i + 1, 1.05);
        size_t n = 0;
        for (size_t x = i + 16; x > 0; x /= 16) {
            n += (size_t)snprintf(words[i] + n, sizeof(words[i]) - n, "%s", parts[x % 16]);
        }
    }
    for (size_t i = 0; i < CENTRES; i++) {
        near_to(NULL, 1, centres[i]);
    }
}

/* ---- filling ---- */

static enum fail add_write(struct store_tx *tx, void *arg, struct fault *bad)
{
    struct dataset_about *d = arg;
    return dataset_add(tx, record, d->owner.name[0] == 'o' ? &other : &me, d, bad);
}

static struct dataset_about make(struct store_conn *conn, int i)
{
    struct dataset_about d = {.label = SECRECY_INTERNAL};
    snprintf(d.name, sizeof(d.name), "set%d", i);
    snprintf(d.owner.name, sizeof(d.owner.name), "%s", i == SETS ? "other" : "bench");
    snprintf(d.purpose, sizeof(d.purpose), "measurement");
    check(store_write_wait(store, add_write, &d, &why), "dataset");
    check(dataset_find(conn, d.name, &d, &why), "dataset");
    return d;
}

static void fill(struct store_conn *conn, const struct dataset_about *d, size_t chunks)
{
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    for (size_t done = 0, file = 0; done < chunks; file++) {
        char path[32];
        size_t n = chunks - done < PER_FILE ? chunks - done : PER_FILE;
        buf_clear(&b);
        for (size_t i = 0; i < n; i++) { /* a heading each: one chunk */
            (void)buf_printf(&b, "# %s %s\n", word(), word());
            int len = 40 + (int)(draw() * 70);
            for (int k = 0; k < len; k++) {
                (void)buf_printf(&b, "%s%s", word(), k % 12 == 11 ? ". " : " ");
            }
            (void)buf_add_char(&b, '\n');
        }
        snprintf(path, sizeof(path), "%05zu.md", file);
        struct dataset_doc doc = {.path = path, .data = b.data, .len = b.len};
        struct dataset_taken t;
        check(datasets_take(ds, &me, d, &doc, 1, &t, &why), "take");
        if (t.state != DATASET_ADDED || t.chunks != n) {
            fprintf(stderr, "%s: %zu chunks instead of %zu\n", path, t.chunks, n);
            exit(1);
        }
        done += n;
        if (file % 50 == 49) {
            fprintf(stderr, "\r%s: %zu chunks ", d->name, done);
        }
    }
    buf_done(&b);
    static float v[PER_FILE * DIM];
    for (size_t n = 1; n > 0;) {
        struct arena *arena = arena_new((size_t)16 << 20);
        int64_t nos[PER_FILE];
        const char *texts[PER_FILE];
        check(dataset_unembedded(conn, d->no, PER_FILE, arena, nos, texts, &n, &why), "vectors");
        for (size_t i = 0; i < n; i++) {
            near_to(centres[(size_t)(draw() * CENTRES)], 0.05, v + i * DIM);
        }
        if (n > 0) {
            check(datasets_put_vectors(ds, d, MODEL, nos, v, n, DIM, &why), "vectors");
        }
        arena_free(arena);
    }
}

/* ---- questions ---- */

struct question {
    char text[256];
    float vector[DIM];
    double ms;
    size_t hits;
};

static struct question *questions;
static size_t questions_len;
static float *vectors;
static int64_t *chunk_nos;
static size_t vectors_len;

static void load_vectors(struct store_conn *conn, size_t chunks)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT v.chunk, v.vector FROM dataset_chunk_vector v ORDER BY v.chunk");
    bool row;
    vectors = mem_alloc_array(chunks, DIM * sizeof(float));
    chunk_nos = mem_alloc_array(chunks, sizeof(*chunk_nos));
    while (store_step(s, &row, &why) == FAIL_NONE && row && vectors_len < chunks) {
        size_t n;
        const void *v = store_col_blob(s, 1, &n);
        chunk_nos[vectors_len] = store_col_int(s, 0);
        memcpy(vectors + vectors_len++ * DIM, v, DIM * sizeof(float));
    }
}

static void draw_question(struct store_conn *conn, struct question *q)
{
    size_t at = (size_t)(draw() * (double)vectors_len);
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT text FROM dataset_chunk WHERE no = ?1");
    bool row = false;
    store_bind_int(s, 1, chunk_nos[at]);
    check(store_step(s, &row, &why), "question");
    const char *text = store_col_text(s, 0);
    size_t n = strlen(text), len = 0;
    int want = 4 + (int)(draw() * 5);
    for (int i = 0; i < want; i++) { /* words of the chunk, as they stand */
        size_t x = (size_t)(draw() * (double)n);
        while (x > 0 && text[x - 1] != ' ') {
            x--;
        }
        size_t w = strcspn(text + x, " .\n");
        if (w > 0 && len + w + 2 < sizeof(q->text)) {
            len +=
                (size_t)snprintf(q->text + len, sizeof(q->text) - len, "%.*s ", (int)w, text + x);
        }
    }
    near_to(vectors + at * DIM, 0.03, q->vector);
}

static double one(struct store_conn *conn, struct question *q, const char *text, bool vector,
                  struct dataset_hit *hits, struct arena *arena, size_t *n)
{
    struct fault bad;
    enum secrecy label;
    struct dataset_query ask = {.text = text, .vector = vector ? q->vector : NULL, .dim = DIM,
                                .model = MODEL, .max = 10};
    int64_t from = clock_monotonic_us();
    if (datasets_search(ds, conn, &me, &ask, arena, hits, n, &label, &bad) != FAIL_NONE) {
        fprintf(stderr, "search: %s\n", bad.message);
        exit(1);
    }
    return clock_ms_since(from);
}

static void *ask_some(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg, step = first / 1000;
    struct store_conn *conn = NULL;
    struct fault bad;
    if (store_reader_open(store, &conn, &bad) != FAIL_NONE) {
        exit(1);
    }
    for (size_t i = first % 1000; i < questions_len; i += step) {
        struct arena *arena = arena_new((size_t)16 << 20);
        struct dataset_hit hits[10];
        questions[i].ms = one(conn, &questions[i], questions[i].text, true, hits, arena,
                              &questions[i].hits);
        for (size_t k = 0; k < questions[i].hits; k++) {
            if (strcmp(hits[k].dataset, "set4") == 0) {
                fprintf(stderr, "a chunk that was not granted\n");
                exit(1);
            }
        }
        arena_free(arena);
    }
    store_reader_close(conn);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void run(size_t askers, double out[3], double *hits)
{
    pthread_t threads[ASKERS];
    double *all = mem_alloc_array(questions_len, sizeof(*all));
    *hits = 0;
    for (size_t i = 0; i < askers; i++) {
        pthread_create(&threads[i], NULL, ask_some, (void *)(uintptr_t)(askers * 1000 + i));
    }
    for (size_t i = 0; i < askers; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < questions_len; i++) {
        all[i] = questions[i].ms;
        *hits += (double)questions[i].hits / (double)questions_len;
    }
    qsort(all, questions_len, sizeof(*all), by_value);
    out[0] = all[questions_len / 2];
    out[1] = all[questions_len * 95 / 100];
    out[2] = all[questions_len * 99 / 100];
    mem_free(all);
}

/* Of the exact ten nearest granted chunks, how many the int8 scan and its floats give. */
static double recall(struct store_conn *conn, size_t tries)
{
    double found = 0;
    float *score = mem_alloc_array(vectors_len, sizeof(*score));
    for (size_t t = 0; t < tries; t++) {
        struct question *q = &questions[t];
        struct arena *arena = arena_new((size_t)16 << 20);
        struct dataset_hit hits[10];
        double best[10] = {-2, -2, -2, -2, -2, -2, -2, -2, -2, -2};
        size_t n;
        for (size_t i = 0; i < vectors_len; i++) {
            float s = 0;
            for (size_t d = 0; d < DIM; d++) {
                s += vectors[i * DIM + d] * q->vector[d];
            }
            double x = s;
            for (int k = 0; k < 10; k++) {
                if (x > best[k]) {
                    double y = best[k];
                    best[k] = x;
                    x = y;
                }
            }
        }
        (void)one(conn, q, "0", true, hits, arena, &n); /* no word of the corpus */
        for (size_t k = 0; k < n; k++) {
            found += hits[k].cosine >= best[9] - 1e-5;
        }
        arena_free(arena);
    }
    mem_free(score);
    return found / (10.0 * (double)tries);
}

static void save(const char *folder)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/queries.txt", folder);
    FILE *f = fopen(path, "w");
    snprintf(path, sizeof(path), "%s/queries.f32", folder);
    FILE *g = fopen(path, "wb");
    if (f == NULL || g == NULL) {
        exit(1);
    }
    for (size_t i = 0; i < questions_len; i++) {
        fprintf(f, "%s\n", questions[i].text);
        (void)fwrite(questions[i].vector, sizeof(float), DIM, g);
    }
    fclose(f);
    fclose(g);
}

int main(int argc, char **argv)
{
    struct keyring_master *master;
    struct store_conn *conn;
    char path[512];
    double alone[3], both[3], hits, filled;
    if (argc != 5) {
        fprintf(stderr, "usage: retrieval_room FOLDER CHUNKS QUERIES SEED\n");
        return 2;
    }
    size_t chunks = strtoul(argv[2], NULL, 10);
    questions_len = strtoul(argv[3], NULL, 10);
    seed = strtoul(argv[4], NULL, 10) * 0x9E3779B97F4A7C15ULL + 1;
    snprintf(path, sizeof(path), "%s/data.db", argv[1]);
    check(keyring_master_open(argv[1], &master, &why), "key");
    check(store_open(path, &store_schema_data, &store, &why), "store");
    check(audit_open(argv[1], store, master, &record, &why), "record");
    check(store_reader_open(store, &conn, &why), "reader");
    struct dataset_house h = {.store = store, .audit = record};
    check(datasets_open(&h, &ds, &why), "datasets");
    prepare();
    int64_t from = clock_monotonic_us();
    for (int i = 0; i < SETS; i++) {
        struct dataset_about d = make(conn, i);
        fill(conn, &d, chunks / SETS);
    }
    load_vectors(conn, chunks);
    struct dataset_about foreign = make(conn, SETS); /* as large as one of ours, not granted */
    fill(conn, &foreign, chunks / SETS / 5);
    filled = clock_ms_since(from) / 1000;
    fprintf(stderr, "\rfilled in %.0f s          \n", filled);
    questions = mem_alloc_array(questions_len, sizeof(*questions));
    for (size_t i = 0; i < questions_len; i++) {
        draw_question(conn, &questions[i]);
    }
    save(argv[1]);
    run(1, alone, &hits); /* warms the page cache too; said again by the second */
    run(1, alone, &hits);
    run(ASKERS, both, &hits);
    size_t tries = questions_len < 200 ? questions_len : 200;
    printf("{\"chunks\":%zu,\"filled_s\":%.1f,\"hits\":%.2f,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,"
           "\"both_p50\":%.3f,\"both_p95\":%.3f,\"both_p99\":%.3f,\"recall\":%.4f}\n",
           vectors_len, filled, hits, alone[0], alone[1], alone[2], both[0], both[1], both[2],
           recall(conn, tries));
    datasets_close(ds);
    store_reader_close(conn);
    store_close(store);
    audit_close(record);
    keyring_master_close(master);
    return 0;
}
