/* SPDX-License-Identifier: Apache-2.0 */
/* Documents in and out, the search over them, and that nobody finds what was not granted, whatever
   changes meanwhile. */
#include "answer/dataset/dataset_internal.h"

#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "support/home.h"

#define DIM 96
#define MODEL "0000000000000000000000000000000000000000000000000000000000000001"
#define HOUR ((int64_t)3600 * 1000000)

static struct home home;
static struct datasets *ds;
static struct fault why;
static struct principal red = {.name = "anna", .team = "red", .scopes = KEYRING_SCOPE_KNOWLEDGE};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "dataset");
    home_open(&home, HOME_RECORD);
    struct dataset_house h = {.store = home.store, .audit = home.audit};
    assert_int_equal(datasets_open(&h, &ds, &why), FAIL_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    datasets_close(ds);
    home_close(&home);
    return home_remove(&home);
}

static enum fail add_write(struct store_tx *tx, void *arg, struct fault *bad)
{
    return dataset_add(tx, home.audit, &red, arg, bad);
}

static struct dataset_about make(const char *name, int64_t retention)
{
    struct dataset_about d = {.label = SECRECY_CONFIDENTIAL, .retention_days = retention};
    snprintf(d.name, sizeof(d.name), "%s", name);
    snprintf(d.owner.name, sizeof(d.owner.name), "red");
    snprintf(d.purpose, sizeof(d.purpose), "a test");
    assert_int_equal(store_write_wait(home.store, add_write, &d, &why), FAIL_NONE);
    assert_int_equal(dataset_find(home.conn, name, &d, &why), FAIL_NONE);
    return d;
}

static struct dataset_taken take(const struct dataset_about *d, const char *path, const char *text)
{
    struct dataset_doc doc = {.path = path, .data = text, .len = strlen(text)};
    struct dataset_taken t;
    if (datasets_take(ds, &red, d, &doc, 1, &t, &why) != FAIL_NONE) {
        fail_msg("%s: %s", path, why.message);
    }
    return t;
}

/* The first hit's path, "" for none. */
static struct dataset_hit hits[DATASET_HITS_MAX];
static size_t found;
static char first[DATASET_PATH_SIZE];
static enum secrecy label;
static const char *ask_at(const char *text, const float *v, int64_t now)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct dataset_query q = {
        .text = text, .vector = v, .dim = v != NULL ? DIM : 0, .model = MODEL, .max = 10,
        .now = now};
    if (datasets_search(ds, home.conn, &red, &q, arena, hits, &found, &label, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    snprintf(first, sizeof(first), "%s", found > 0 ? hits[0].path : "");
    arena_free(arena);
    return first;
}

static const char *ask(const char *text)
{
    return ask_at(text, NULL, 0);
}

static void tell(void *arg, const char *what)
{
    (void)arg;
    fail_msg("%s", what);
}

static void agree(void)
{
    assert_int_equal(dataset_reconcile(home.conn, ds, tell, NULL, &why), FAIL_NONE);
}

/* ---- cutting ---- */

static void chunks_are_stretches_of_their_source(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_str(&b, "---\nid: pump\ntitle: The pump\n---\n# Pump\n\nShort.\n\n## Filter\n");
    for (int i = 0; i < 200; i++) {
        buf_printf(&b, "Step %d opens the valve a little and waits for the light. ", i);
        if (i % 40 == 39) {
            buf_add_str(&b, "\n\n");
        }
    }
    buf_add_str(&b, "\n\n```\n# no heading\n\ncode\n```\n");
    struct dataset_pieces p = {0};
    assert_int_equal(dataset_read_text(&p, b.data, b.len, true, &why), FAIL_NONE);
    assert_string_equal(p.title, "The pump");
    assert_string_equal(p.article, "pump");
    assert_true(p.count > 8);
    int64_t end = 0;
    for (size_t i = 0; i < p.count; i++) {
        size_t n = strlen(p.items[i].text);
        assert_true(n <= DATASET_CHUNK_MAX);
        assert_memory_equal(b.data + p.items[i].at, p.items[i].text, n);
        assert_true(p.items[i].at >= end);
        end = p.items[i].at + (int64_t)n;
        assert_string_equal(p.items[i].heading, i == 0 ? "Pump" : "Pump > Filter");
        if (i > 0 && i + 1 < p.count) { /* no sentence is cut in two */
            assert_memory_equal(p.items[i].text, "Step", 4);
        }
    }
    dataset_pieces_finish(&p, "d", "pump.md");
    for (size_t i = 1; i < p.count; i++) {
        assert_false(text_id_equal(&p.items[i].id, &p.items[i - 1].id));
    }
    dataset_pieces_done(&p);
    buf_done(&b);
}

static void a_text_without_spaces_is_cut_between_characters(void **state)
{
    (void)state;
    struct buf b;
    struct dataset_pieces p = {0};
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        buf_add_str(&b, "\xE4\xB8\xAD");
    }
    assert_int_equal(dataset_read_text(&p, b.data, b.len, false, &why), FAIL_NONE);
    size_t all = 0;
    for (size_t i = 0; i < p.count; i++) {
        size_t n = strlen(p.items[i].text);
        assert_true(text_utf8_is_valid(p.items[i].text, n));
        all += n;
    }
    assert_int_equal(all, b.len);
    dataset_pieces_done(&p);
    buf_done(&b);
}

static void json_lines_are_records(void **state)
{
    (void)state;
    struct dataset_pieces p = {0};
    const char *good = "{\"id\":\"T-1\",\"text\":\"The parcel is late.\"}\n\n"
                       "{\"subject\":\"Refund\",\"amount\":5,\"paid\":false}\n";
    assert_int_equal(dataset_read_lines(&p, good, strlen(good), &why), FAIL_NONE);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.items[0].heading, "T-1");
    assert_string_equal(p.items[0].text, "The parcel is late.");
    assert_string_equal(p.items[1].text, "subject: Refund\namount: 5\npaid: false");
    dataset_pieces_done(&p);
    const char *bad = "{\"text\":\"x\"}\n[1]\n";
    assert_int_equal(dataset_read_lines(&p, bad, strlen(bad), &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "line 2"));
    dataset_pieces_done(&p);
}

/* ---- the scan ---- */

static uint64_t seed = 88172645463325252ULL;
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void unit(float *v, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        v[i] = (float)((double)(draw() % 20001) - 10000);
        sum += (double)v[i] * v[i];
    }
    for (size_t i = 0; i < dim; i++) {
        v[i] /= (float)sqrt(sum);
    }
}

static void every_kernel_says_the_same(void **state)
{
    (void)state;
    enum { ROWS = 37, STRIDE = 448 };
    static uint8_t rows[ROWS * STRIDE];
    static int8_t q[STRIDE];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(rows); i++) {
            rows[i] = round == 0 ? 255 : (uint8_t)draw();
        }
        for (size_t i = 0; i < sizeof(q); i++) {
            q[i] = round == 0 ? -127 : (int8_t)(draw() % 255 - 127);
        }
        for (size_t stride = 64; stride <= STRIDE; stride += 64) {
            int32_t want[ROWS], got[ROWS];
            dataset_scan_fn fn;
            bool runs;
            size_t n = 0;
            for (size_t i = 0; i < ROWS; i++) {
                want[i] = 0;
                for (size_t k = 0; k < stride; k++) {
                    want[i] += (int32_t)rows[i * stride + k] * q[k];
                }
            }
            for (; dataset_scan_kernel(n, &fn, &runs) != NULL; n++) {
                if (runs) {
                    fn(rows, ROWS, stride, q, got);
                    assert_memory_equal(want, got, sizeof(want));
                }
            }
            assert_true(n >= 1);
        }
    }
}

static void bytes_keep_the_cosine(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        float a[DIM], b[DIM];
        uint8_t row[128];
        int8_t q[128];
        int32_t bias, dot;
        double exact = 0;
        unit(a, DIM);
        unit(b, DIM);
        float sa = dataset_scan_row(a, DIM, row), sq = dataset_scan_query(b, DIM, q, &bias);
        dataset_scan_dots(row, 1, dataset_scan_stride(DIM), q, &dot);
        for (size_t d = 0; d < DIM; d++) {
            exact += (double)a[d] * b[d];
        }
        assert_true(fabs((double)(dot - bias) * sa * sq - exact) < 0.01);
    }
    float zero[DIM] = {0};
    uint8_t row[128];
    assert_true(dataset_scan_row(zero, DIM, row) == 0);
}

/* ---- in, found, changed, out ---- */

static void vectors_for_all(const struct dataset_about *d)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    int64_t chunks[64];
    const char *texts[64];
    size_t n;
    do {
        assert_int_equal(dataset_unembedded(home.conn, d->no, 64, arena, chunks, texts, &n, &why),
                         FAIL_NONE);
        float *v = mem_alloc_array(n + 1, DIM * sizeof(float));
        for (size_t i = 0; i < n; i++) {
            unit(v + i * DIM, DIM);
        }
        if (n > 0) {
            assert_int_equal(datasets_put_vectors(ds, d, MODEL, chunks, v, n, DIM, &why),
                             FAIL_NONE);
        }
        mem_free(v);
    } while (n > 0);
    arena_free(arena);
}

static void a_changed_document_keeps_what_stayed(void **state)
{
    (void)state;
    struct dataset_about d = make("manual", 0);
    assert_int_equal(take(&d, "a.md", "# Pump\nThe pump needs oil.\n# Filter\nWash the filter.\n")
                         .state,
                     DATASET_ADDED);
    assert_int_equal(take(&d, "b.txt", "Coffee beans are stored dry.").state, DATASET_ADDED);
    vectors_for_all(&d);
    assert_string_equal(ask("how do I wash filters?"), "a.md");
    struct id washed = hits[0].chunk;
    assert_string_equal(ask("bean storage"), "b.txt");
    assert_int_equal(label, SECRECY_CONFIDENTIAL);
    int64_t before = audit_size(home.conn);
    assert_int_equal(
        take(&d, "a.md", "# Pump\nThe pump needs oil.\n# Filter\nWash the filter.\n").state,
        DATASET_UNTOUCHED);
    assert_int_equal(audit_size(home.conn), before);
    assert_int_equal(
        take(&d, "a.md", "# Filter\nWash the filter.\n# Hose\nThe hose is replaced yearly.\n")
            .state,
        DATASET_REPLACED);
    assert_string_equal(ask("wash filter"), "a.md");
    assert_true(text_id_equal(&washed, &hits[0].chunk));
    assert_string_equal(ask("pump oil"), "");
    assert_string_equal(ask("hose"), "a.md");
    struct dataset_counts c;
    assert_int_equal(dataset_count(home.conn, d.no, &c, &why), FAIL_NONE);
    assert_int_equal(c.files, 2);
    assert_int_equal(c.chunks, 3);
    assert_int_equal(c.embedded, 2); /* the washed one kept its vector */
    agree();
    const char *paths[] = {"a.md", "none.md"};
    size_t dropped;
    assert_int_equal(datasets_drop_files(ds, &red, &d, paths, 2, &dropped, &why), FAIL_NONE);
    assert_int_equal(dropped, 1);
    assert_string_equal(ask("hose filter"), "");
    agree();
    assert_int_equal(datasets_drop(ds, &red, &d, &why), FAIL_NONE);
    assert_string_equal(ask("beans"), "");
    assert_int_equal(dataset_find(home.conn, "manual", &d, &why), FAIL_NOT_FOUND);
    agree();
}

static void a_bad_document_fails_alone(void **state)
{
    (void)state;
    struct dataset_about d = make("mixed", 0);
    struct dataset_doc docs[] = {
        {.path = "good.md", .data = "Tea is hot.", .len = 11},
        {.path = "bad.md", .data = "\xff\xfe", .len = 2},
        {.path = "nul.txt", .data = "a\0b", .len = 3},
        {.path = "empty.md", .data = " \n", .len = 2},
        {.path = "bad\npath.md", .data = "x", .len = 1},
        {.path = "lines.jsonl", .data = "{\"text\":1}", .len = 10},
        {.path = "also.md", .data = "Milk is cold.", .len = 13},
    };
    struct dataset_taken t[COUNT_OF(docs)];
    assert_int_equal(datasets_take(ds, &red, &d, docs, COUNT_OF(docs), t, &why), FAIL_NONE);
    static const enum dataset_taken_state want[] = {DATASET_ADDED,  DATASET_FAILED, DATASET_FAILED,
                                                    DATASET_FAILED, DATASET_FAILED, DATASET_ADDED,
                                                    DATASET_ADDED};
    for (size_t i = 0; i < COUNT_OF(docs); i++) {
        assert_int_equal(t[i].state, want[i]);
        assert_true((t[i].state == DATASET_FAILED) == (t[i].why.message[0] != '\0'));
    }
    assert_string_equal(ask("is milk cold"), "also.md");
    agree();
    assert_int_equal(datasets_drop(ds, &red, &d, &why), FAIL_NONE);
}

static void documents_leave_when_their_time_is_over(void **state)
{
    (void)state;
    struct dataset_about d = make("news", 7);
    (void)take(&d, "today.md", "The canteen serves soup.");
    vectors_for_all(&d);
    int64_t now = clock_now_us();
    assert_string_equal(ask_at("soup", NULL, now + 6 * 24 * HOUR), "today.md");
    assert_string_equal(ask_at("soup", NULL, now + 8 * 24 * HOUR), ""); /* before it is removed */
    size_t dropped;
    assert_int_equal(datasets_expire(ds, now + 6 * 24 * HOUR, &dropped, &why), FAIL_NONE);
    assert_int_equal(dropped, 0);
    assert_int_equal(datasets_expire(ds, now + 8 * 24 * HOUR, &dropped, &why), FAIL_NONE);
    assert_int_equal(dropped, 1);
    assert_string_equal(ask("soup"), "");
    agree();
    assert_int_equal(datasets_drop(ds, &red, &d, &why), FAIL_NONE);
}

static void vectors_find_what_words_do_not(void **state)
{
    (void)state;
    struct dataset_about d = make("near", 0);
    char path[32], text[64];
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "n%03d.txt", i);
        snprintf(text, sizeof(text), "Document number%d about nothing.", i);
        (void)take(&d, path, text);
    }
    struct arena *arena = arena_new((size_t)16 << 20);
    int64_t chunks[300];
    const char *texts[300];
    size_t n;
    assert_int_equal(dataset_unembedded(home.conn, d.no, 300, arena, chunks, texts, &n, &why),
                     FAIL_NONE);
    assert_int_equal(n, 300);
    float *v = mem_alloc_array(n, DIM * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        unit(v + i * DIM, DIM);
    }
    assert_int_equal(datasets_put_vectors(ds, &d, MODEL, chunks, v, n, DIM, &why), FAIL_NONE);
    for (size_t i = 0; i < n; i += 7) {
        char want[32];
        snprintf(want, sizeof(want), "n%03d.txt", (int)i);
        assert_string_equal(ask_at("zzzz", v + i * DIM, 0), want);
        assert_true(hits[0].cosine > 0.999);
        assert_int_equal(hits[0].vector_rank, 1);
        assert_int_equal(hits[0].word_rank, 0);
    }
    snprintf(text, sizeof(text), "number%d", 250);
    assert_string_equal(ask_at(text, v + 250 * DIM, 0), "n250.txt");
    assert_true(hits[0].word_rank == 1 && hits[0].vector_rank == 1);
    /* opened again, the copy in memory is the same */
    struct dataset_house h = {.store = home.store, .audit = home.audit};
    datasets_close(ds);
    assert_int_equal(datasets_open(&h, &ds, &why), FAIL_NONE);
    agree();
    assert_string_equal(ask_at("zzzz", v + 7 * DIM, 0), "n007.txt");
    mem_free(v);
    arena_free(arena);
    assert_int_equal(datasets_drop(ds, &red, &d, &why), FAIL_NONE);
}

/* ---- nobody finds what was not granted ---- */

#define SETS 8
#define SEARCHES 10000

/* When a dataset was granted to the asking team, by a clock that only counts: odd is granted. The
   change is announced before it is asked for and after it is durable, so that in between both
   answers are right. */
static struct dataset_about sets[SETS];
static atomic_int steps[SETS]; /* mod 4: 0 not granted, 1 becoming so, 2 granted, 3 ending */
static atomic_bool changing;

struct change {
    int set;
    bool grant;
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *bad)
{
    const struct change *c = arg;
    struct dataset_subject who = {DATASET_TEAM, "green"};
    return c->grant ? dataset_grant_add(tx, home.audit, &red, &sets[c->set], &who, "a test",
                                        clock_now_us() + HOUR, NULL, bad)
                    : dataset_grant_revoke(tx, home.audit, &red, &sets[c->set], &who, bad);
}

static void *change_grants(void *arg)
{
    uint64_t x = 0x9E3779B97F4A7C15ULL;
    struct fault bad;
    int *made = arg;
    while (atomic_load(&changing)) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        struct change c = {.set = (int)((x >> 33) % SETS)};
        int at = atomic_load(&steps[c.set]);
        c.grant = at % 4 == 0;
        atomic_store(&steps[c.set], at + 1);
        if (store_write_wait(home.store, change_write, &c, &bad) != FAIL_NONE) {
            return "a change failed";
        }
        atomic_store(&steps[c.set], at + 2);
        (*made)++;
        (void)usleep(200);
    }
    return NULL;
}

struct asker {
    uint64_t x;
    int searches, hits, wrong, empty, failed;
};

static void search_once(struct asker *a, struct store_conn *c, struct arena *arena)
{
    static const struct principal green = {.name = "gus", .team = "green"};
    static const char *const words[] = {"alpha", "beta",         "gamma",
                                        "delta", "omega shared", "shared"};
    struct dataset_hit got[20];
    float v[DIM];
    int before[SETS], after[SETS];
    size_t n = 0;
    enum secrecy l;
    struct fault bad;
    for (size_t i = 0; i < DIM; i++) {
        a->x = a->x * 6364136223846793005ULL + 1442695040888963407ULL;
        v[i] = (float)((a->x >> 40) % 2001) / 1000 - 1;
    }
    struct dataset_query q = {.text = words[(a->x >> 33) % COUNT_OF(words)],
                              .vector = v, .dim = DIM, .model = MODEL, .max = 20};
    for (int i = 0; i < SETS; i++) {
        before[i] = atomic_load(&steps[i]);
    }
    if (datasets_search(ds, c, &green, &q, arena, got, &n, &l, &bad) != FAIL_NONE) {
        a->failed++;
    }
    for (int i = 0; i < SETS; i++) {
        after[i] = atomic_load(&steps[i]);
    }
    for (size_t k = 0; k < n; k++) {
        int set = got[k].dataset[3] - '0';
        /* never granted between the two looks: not granted before, and nothing moved */
        a->wrong += before[set] % 4 == 0 && after[set] == before[set];
    }
    a->searches++;
    a->hits += (int)n;
    a->empty += n == 0;
}

static void *search_much(void *arg)
{
    struct asker *a = arg;
    struct store_conn *c = NULL;
    struct fault bad;
    if (store_reader_open(home.store, &c, &bad) != FAIL_NONE) {
        a->failed++;
        return NULL;
    }
    for (int i = 0; i < SEARCHES / 2; i++) {
        struct arena *arena = arena_new((size_t)16 << 20);
        search_once(a, c, arena);
        arena_free(arena);
    }
    store_reader_close(c);
    return NULL;
}

static void no_search_finds_what_is_not_granted(void **state)
{
    (void)state;
    static const char *const words[] = {"alpha", "beta", "gamma", "delta", "omega"};
    for (int i = 0; i < SETS; i++) {
        char name[16], path[32], text[96];
        snprintf(name, sizeof(name), "set%d", i);
        sets[i] = make(name, 0);
        for (int k = 0; k < 20; k++) {
            snprintf(path, sizeof(path), "%d-%d.txt", i, k);
            snprintf(text, sizeof(text), "The secret of %s is shared word%d.",
                     words[(i + k) % (int)COUNT_OF(words)], k);
            (void)take(&sets[i], path, text);
        }
        vectors_for_all(&sets[i]);
    }
    struct asker askers[2] = {{.x = 1}, {.x = 2}};
    pthread_t threads[3];
    int made = 0;
    void *failed;
    atomic_store(&changing, true);
    assert_int_equal(pthread_create(&threads[2], NULL, change_grants, &made), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, search_much, &askers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    atomic_store(&changing, false);
    (void)pthread_join(threads[2], &failed);
    assert_null(failed);
    int searches = askers[0].searches + askers[1].searches;
    int all = askers[0].hits + askers[1].hits;
    print_message("%d searches under %d changes of grants: %d chunks found, %d searches found "
                  "nothing\n",
                  searches, made, all, askers[0].empty + askers[1].empty);
    assert_int_equal(askers[0].failed + askers[1].failed, 0);
    assert_int_equal(searches, SEARCHES);
    assert_int_equal(askers[0].wrong + askers[1].wrong, 0);
    assert_true(made > 100);
    assert_true(all > SEARCHES); /* offering nothing would be falling short */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_stretches_of_their_source),
        cmocka_unit_test(a_text_without_spaces_is_cut_between_characters),
        cmocka_unit_test(json_lines_are_records),
        cmocka_unit_test(every_kernel_says_the_same),
        cmocka_unit_test(bytes_keep_the_cosine),
        cmocka_unit_test(a_changed_document_keeps_what_stayed),
        cmocka_unit_test(a_bad_document_fails_alone),
        cmocka_unit_test(documents_leave_when_their_time_is_over),
        cmocka_unit_test(vectors_find_what_words_do_not),
        cmocka_unit_test(no_search_finds_what_is_not_granted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
