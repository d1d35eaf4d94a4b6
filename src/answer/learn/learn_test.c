/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of learning: a head from small sets in two languages, its honesty, its bytes, its limits.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/store/store.h"
#include "base/text/text.h"

#include <cmocka.h>

#define PER_LABEL 40
#define LABELS 3
#define N (PER_LABEL * LABELS)
#define DIM 16

static const char *const labels[LABELS] = {"billing", "delivery", "r\xc3\xbc" "ckgabe"};
static const char *const words[LABELS][8] = {
    {"invoice", "charged", "twice", "card", "payment", "refund", "bill", "price"},
    {"parcel", "late", "courier", "tracking", "arrived", "door", "shipment", "lost"},
    {"zur\xc3\xbc" "cksenden", "Gr\xc3\xb6\xc3\x9f" "e", "R\xc3\xbc" "cksendung", "Etikett",
     "umtauschen", "Paketschein", "passt", "Retoure"},
};
static const char *const filler[] = {"please", "I", "the", "my", "und", "is", "was", "hello"};

struct set {
    char text[N][200];
    char ref[N][16];
    float vector[N][DIM];
    struct learn_example ex[N];
};

static uint64_t dice(uint64_t *s)
{
    *s = *s * 6364136223846793005ULL + 1442695040888963407ULL;
    return *s >> 33;
}

/* Texts whose words come from their label's list, one word in eight from another's. */
static void make_set(struct set *s, bool with_vectors, uint64_t seed)
{
    for (size_t i = 0; i < N; i++) {
        size_t k = i % LABELS;
        size_t at = 0;
        for (int w = 0; w < 8; w++) {
            size_t from = dice(&seed) % 8 == 0 ? dice(&seed) % LABELS : k;
            const char *word = dice(&seed) % 3 == 0 ? filler[dice(&seed) % 8]
                                                    : words[from][dice(&seed) % 8];
            at += (size_t)snprintf(s->text[i] + at, sizeof(s->text[i]) - at, "%s ", word);
        }
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) {
            s->vector[i][j] = (float)(dice(&seed) % 1000) / 1000.0F - 0.5F + (j == k ? 2.0F : 0);
            sum += (double)s->vector[i][j] * s->vector[i][j];
        }
        for (size_t j = 0; j < DIM; j++) {
            s->vector[i][j] /= (float)sqrt(sum);
        }
        snprintf(s->ref[i], sizeof(s->ref[i]), "#%zu", i + 4000);
        s->ex[i] = (struct learn_example){.text = s->text[i], .text_len = at, .label = labels[k],
                                          .embedding = with_vectors ? s->vector[i] : NULL,
                                          .ref = s->ref[i]};
    }
}

static struct learn_options small_options(void)
{
    struct learn_options o = learn_defaults();
    o.dim = DIM;
    return o;
}

static struct learn_head *train(struct set *s, bool with_vectors, struct learn_report *r)
{
    struct learn_options o = small_options();
    struct learn_head *h;
    struct fault why = {0};
    make_set(s, with_vectors, 7);
    if (learn_train(s->ex, N, &o, NULL, &h, r, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return h;
}

static void learns_two_languages_and_answers(void **state)
{
    (void)state;
    for (int vectors = 0; vectors < 2; vectors++) {
        struct set s;
        struct learn_report r;
        struct learn_head *h = train(&s, vectors == 1, &r);
        assert_int_equal(learn_head_labels(h), LABELS);
        assert_int_equal(learn_head_dim(h), vectors == 1 ? DIM : 0);
        assert_true(r.accuracy > 0.9 && r.macro_f1 > 0.9 && r.ece < 0.12);
        assert_int_equal(r.rare_labels, 0);
        struct learn_prediction p;
        struct fault why;
        const char *ask = "Die Gr\xc3\x96SSE passt nicht, ich will umtauschen"; /* folded */
        assert_int_equal(learn_predict(h, ask, strlen(ask), vectors == 1 ? s.vector[2] : NULL, DIM,
                                       &p, &why), FAIL_NONE);
        assert_string_equal(learn_head_label(h, p.top[0].label), labels[2]);
        double sum = 0;
        for (size_t i = 0; i < p.n_top; i++) {
            sum += (double)p.top[i].p;
            assert_true(i == 0 || p.top[i].p <= p.top[i - 1].p);
        }
        assert_true(fabs(sum - 1) < 1e-4);
        assert_true(p.known > 0.2F && p.known < 1);
        assert_int_equal(p.n_nearest, LEARN_TOP);
        assert_memory_equal(p.nearest[0].ref, "#4", 2);
        assert_true(p.nearest[0].cosine >= p.nearest[1].cosine);
        learn_report_done(&r);
        learn_head_free(h);
    }
}

static void equal_input_gives_equal_bytes_and_they_load(void **state)
{
    (void)state;
    for (int vectors = 0; vectors < 2; vectors++) {
        struct set s;
        struct learn_head *a = train(&s, vectors == 1, NULL);
        struct learn_head *b = train(&s, vectors == 1, NULL);
        uint8_t hash[3][32];
        struct fault why = {0};
        struct buf blob;
        buf_init(&blob, LEARN_MAX_BLOB);
        assert_int_equal(learn_save(a, &blob, &why), FAIL_NONE);
        text_sha256(blob.data, blob.len, hash[2]);
        learn_head_hash(a, hash[0]);
        learn_head_hash(b, hash[1]);
        assert_memory_equal(hash[0], hash[1], 32);
        assert_memory_equal(hash[0], hash[2], 32);
        struct learn_head *c;
        assert_int_equal(learn_load(blob.data, blob.len, &c, &why), FAIL_NONE);
        assert_string_equal(learn_head_report(a), learn_head_report(c));
        struct learn_prediction p[2];
        const float *v = vectors == 1 ? s.vector[1] : NULL;
        memset(p, 0, sizeof(p));
        assert_int_equal(learn_predict(a, "late parcel", 11, v, DIM, &p[0], &why), FAIL_NONE);
        assert_int_equal(learn_predict(c, "late parcel", 11, v, DIM, &p[1], &why), FAIL_NONE);
        assert_memory_equal(p[0].top, p[1].top, sizeof(p[0].top));
        assert_true(p[0].none >= p[1].none && p[0].none <= p[1].none);
        assert_string_equal(p[0].nearest[0].ref, p[1].nearest[0].ref);
        buf_done(&blob);
        learn_head_free(a);
        learn_head_free(b);
        learn_head_free(c);
    }
}

#define MANY 2400

/* Texts of one to three words of their label's list; one in eight of a label the words do not
   tell, with a vector that does (blind: all of them). */
struct many {
    char text[MANY][64];
    float vector[MANY][DIM];
    struct learn_example ex[MANY];
};

static struct many *make_many(bool blind, uint64_t seed)
{
    struct many *m = mem_alloc(sizeof(*m));
    for (size_t i = 0; i < MANY; i++) {
        size_t k = i % LABELS;
        size_t from = blind || dice(&seed) % 8 == 0 ? dice(&seed) % LABELS : k;
        int at = 0;
        for (int w = 0; w < 3; w++) {
            at += snprintf(m->text[i] + at, sizeof(m->text[i]) - (size_t)at, "%s ",
                           from == k ? words[k][dice(&seed) % 8] : filler[dice(&seed) % 8]);
        }
        m->vector[i][k] = 1;
        m->ex[i] = (struct learn_example){.text = m->text[i], .text_len = (size_t)at,
                                          .label = labels[k], .embedding = m->vector[i]};
    }
    return m;
}

static struct learn_head *train_many(struct many *m, size_t n, double light, struct learn_report *r)
{
    struct learn_options o = small_options();
    struct learn_head *h;
    struct fault why = {0};
    o.light = light;
    if (learn_train(m->ex, n, &o, NULL, &h, r, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return h;
}

static void words_alone_answer_where_that_loses_nothing(void **state)
{
    (void)state;
    struct many *m = make_many(false, 11);
    struct learn_report r;
    struct learn_head *h = train_many(m, MANY, 0.99, &r);
    struct learn_prediction p, q, whole;
    struct fault why = {0};
    assert_true(r.light.threshold >= 0.99 && r.light.share > 0.5 && r.light.share < 0.95);
    assert_true(r.light.wrong <= r.light.wrong_whole + 2);
    assert_true(r.accuracy > 0.99); /* the rest is the whole head's */
    const char *clear = "courier shipment lost";
    assert_true(learn_predict_light(h, clear, strlen(clear), &p));
    assert_string_equal(learn_head_label(h, p.top[0].label), labels[1]);
    assert_true(p.light && p.confidence >= 0.96F && !p.refused);
    assert_true(p.n_nearest > 0 && p.n_top == LABELS);
    /* The same by the way of the whole head, whatever the vector says. */
    assert_int_equal(learn_predict(h, clear, strlen(clear), m->vector[0], DIM, &q, &why),
                     FAIL_NONE);
    assert_true(q.light && q.top[0].label == p.top[0].label);
    /* Without a sign, with a stranger's words, too long: the embedding decides. */
    const char *unclear[] = {"please the my", "zebra quartz courier vivid jumbo"};
    for (size_t i = 0; i < COUNT_OF(unclear); i++) {
        size_t n = strlen(unclear[i]);
        assert_false(learn_predict_light(h, unclear[i], n, &p));
        assert_int_equal(p.n_top, 0);
        assert_int_equal(learn_predict(h, unclear[i], n, m->vector[2], DIM, &whole, &why),
                         FAIL_NONE);
        assert_false(whole.light);
        assert_string_equal(learn_head_label(h, whole.top[0].label), labels[2]);
    }
    struct buf text, blob;
    buf_init(&text, LEARN_MAX_TEXT);
    while (text.len <= LEARN_LIGHT_TEXT) {
        buf_add_str(&text, "courier shipment lost ");
    }
    assert_false(learn_predict_light(h, text.data, text.len, &p));
    buf_done(&text);

    struct learn_head *again;
    struct learn_head *bad;
    buf_init(&blob, LEARN_MAX_BLOB);
    assert_int_equal(learn_save(h, &blob, &why), FAIL_NONE);
    assert_int_equal(learn_load(blob.data, blob.len, &again, &why), FAIL_NONE);
    assert_true(learn_predict_light(again, clear, strlen(clear), &p));
    assert_memory_equal(p.top, q.top, sizeof(p.top));
    /* Without its light part under the old name: bytes are left over. */
    memcpy(blob.data, "IHHEAD2\n", 8);
    text_sha256(blob.data, blob.len - 32, (uint8_t *)blob.data + blob.len - 32);
    assert_int_equal(learn_load(blob.data, blob.len, &bad, &why), FAIL_BAD_REQUEST);
    buf_done(&blob);
    learn_report_done(&r);
    learn_head_free(h);
    learn_head_free(again);
    mem_free(m);
}

static void words_alone_do_not_answer_without_evidence(void **state)
{
    (void)state;
    static const struct {
        bool blind;
        size_t n;
        double light;
    } cases[] = {{true, MANY, 0.99},  /* the words say nothing */
                 {false, 1500, 0.99}, /* too few to know that nothing is lost */
                 {false, MANY, 1},    /* not asked for */
                 {false, MANY, 0}};   /* too tight an error budget: 2 % */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct many *m = make_many(cases[i].blind, 5);
        struct learn_report r;
        struct learn_head *h = train_many(m, cases[i].n, cases[i].light, &r);
        struct learn_prediction p;
        assert_true(r.light.share < 0.01);
        if (!cases[i].blind) {
            assert_false(learn_predict_light(h, "courier shipment lost", 21, &p));
        }
        learn_report_done(&r);
        learn_head_free(h);
        mem_free(m);
    }
}

/* Every byte changed and every length cut is refused, even when the hash is made to fit. */
static void changed_bytes_are_refused(void **state)
{
    (void)state;
    struct set s;
    struct learn_head *h = train(&s, false, NULL);
    struct learn_head *other;
    struct fault why = {0};
    struct buf blob;
    buf_init(&blob, LEARN_MAX_BLOB);
    assert_int_equal(learn_save(h, &blob, &why), FAIL_NONE);
    char *copy = mem_dup(blob.data, blob.len);
    for (size_t i = 0; i < blob.len; i += 1 + i / 7) {
        copy[i] = (char)(copy[i] ^ 0x41);
        assert_int_equal(learn_load(copy, blob.len, &other, &why), FAIL_BAD_REQUEST);
        copy[i] = blob.data[i];
    }
    uint64_t seed = 3;
    size_t loaded = 0;
    for (int round = 0; round < 600; round++) {
        size_t at = round < 200 ? 8 + (size_t)round : dice(&seed) % (blob.len - 32);
        size_t n = dice(&seed) % 3 == 0 ? blob.len - dice(&seed) % (blob.len - 40) : blob.len;
        at = at < n - 32 ? at : 8;
        char before = copy[at];
        copy[at] = (char)dice(&seed);
        char tail[32];
        memcpy(tail, copy + n - 32, 32);
        text_sha256(copy, n - 32, (uint8_t *)copy + n - 32);
        if (learn_load(copy, n, &other, &why) == FAIL_NONE) {
            struct learn_prediction p;
            loaded++;
            if (learn_head_dim(other) == 0) {
                assert_int_equal(learn_predict(other, "parcel", 6, NULL, 0, &p, &why), FAIL_NONE);
            }
            learn_head_free(other);
        }
        memcpy(copy + n - 32, tail, 32);
        copy[at] = before;
    }
    assert_true(loaded > 0 && loaded < 590); /* a weight may change, a count may not */
    assert_int_equal(learn_load(copy, blob.len, &other, &why), FAIL_NONE);
    learn_head_free(other);
    assert_int_equal(learn_load(copy, 10, &other, &why), FAIL_BAD_REQUEST);
    struct buf tight;
    buf_init(&tight, 1000);
    assert_int_equal(learn_save(h, &tight, &why), FAIL_TOO_LARGE);
    buf_done(&tight);
    mem_free(copy);
    buf_done(&blob);
    learn_head_free(h);
}

static void far_off_texts_lower_the_confidence(void **state)
{
    (void)state;
    struct set s;
    struct learn_head *h = train(&s, true, NULL);
    struct learn_prediction near;
    struct learn_prediction far;
    struct fault why;
    float away[DIM] = {0};
    away[DIM - 1] = -1;
    assert_int_equal(learn_predict(h, s.text[0], strlen(s.text[0]), s.vector[0], DIM, &near, &why),
                     FAIL_NONE);
    assert_int_equal(learn_predict(h, "zzz qqq", 7, away, DIM, &far, &why), FAIL_NONE);
    assert_true(near.none < 0.5F && far.none > 0.99F);
    assert_true(far.confidence < far.top[0].p && near.confidence >= near.top[0].p);
    assert_int_equal(learn_predict(h, "", 0, s.vector[0], DIM, &near, &why), FAIL_NONE);
    assert_true(near.known <= 0);
    learn_head_free(h);
}

static void a_mask_leaves_no_trace_of_a_person(void **state)
{
    (void)state;
    struct set s;
    struct learn_options o = small_options();
    struct learn_head *h[2];
    struct fault why;
    static const char *const address[2] = {"anna.berg@example.org", "tom@host.example.net"};
    for (int k = 0; k < 2; k++) {
        make_set(&s, false, 9);
        for (size_t i = 0; i < N; i++) {
            size_t at = strlen(s.text[i]);
            snprintf(s.text[i] + at, sizeof(s.text[i]) - at, " %s", address[k]);
            s.ex[i].text_len = strlen(s.text[i]);
        }
        assert_int_equal(learn_train(s.ex, N, &o, NULL, &h[k], NULL, &why), FAIL_NONE);
    }
    uint8_t hash[2][32];
    learn_head_hash(h[0], hash[0]);
    learn_head_hash(h[1], hash[1]);
    assert_memory_equal(hash[0], hash[1], 32); /* nothing of the address is in the head */
    learn_head_free(h[0]);
    learn_head_free(h[1]);
}

static void rare_labels_are_counted_and_learned(void **state)
{
    (void)state;
    struct set s;
    struct learn_options o = small_options();
    struct learn_head *h;
    struct learn_report r;
    struct fault why;
    make_set(&s, false, 7);
    s.ex[5].label = "legal";
    s.ex[5].text = "my lawyer will write";
    s.ex[5].text_len = 20;
    o.min_df = 1;
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, &r, &why), FAIL_NONE);
    assert_int_equal(r.rare_labels, 1);
    assert_int_equal(r.oof[5].truth, learn_head_find(h, "legal"));
    assert_int_not_equal(r.oof[5].answered, r.oof[5].truth);
    struct learn_prediction p;
    assert_int_equal(learn_predict(h, "my lawyer will write", 20, NULL, 0, &p, &why), FAIL_NONE);
    assert_string_equal(learn_head_label(h, p.top[0].label), "legal");
    learn_report_done(&r);
    learn_head_free(h);
}

/* Two examples a label, in words no other example shares: hints carry the rest. */
static void hints_are_learned_from_and_never_counted(void **state)
{
    (void)state;
    static const char *const texts[6] = {"parcel late today", "courier late again",
                                         "invoice charged wrong", "card charged again",
                                         "tracking shipment doorstep", "bill price payment"};
    struct learn_example ex[6] = {{0}};
    struct learn_options o = small_options();
    struct learn_report r;
    struct learn_head *h;
    struct learn_prediction p;
    struct fault why;
    for (size_t i = 0; i < 6; i++) {
        ex[i] = (struct learn_example){.text = texts[i], .text_len = strlen(texts[i]),
                                       .label = (i < 4 ? i / 2 : i - 4) == 0 ? "delivery" : "money",
                                       .ref = i < 4 ? "#1" : "hint", .extra = i >= 4,
                                       .weight = i >= 4 ? 2 : 0};
    }
    o.min_df = 1;
    assert_int_equal(learn_train(ex, 6, &o, NULL, &h, &r, &why), FAIL_NONE);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.extra, 2);
    assert_int_equal(r.counts[0].n + r.counts[1].n, 4);
    assert_int_equal(learn_predict(h, "shipment tracking", 17, NULL, 0, &p, &why), FAIL_NONE);
    assert_string_equal(learn_head_label(h, p.top[0].label), "delivery");
    assert_true(p.top[0].p > 0.5F);
    assert_int_equal(p.n_nearest, 4);
    for (size_t i = 0; i < p.n_nearest; i++) {
        assert_string_equal(p.nearest[i].ref, "#1");
    }
    learn_report_done(&r);
    learn_head_free(h);
    for (size_t i = 0; i < 3; i++) {
        ex[i].extra = true;
    }
    assert_int_equal(learn_train(ex, 6, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
}

/* Strangers point where no label's texts do. */
static void make_strangers(struct set *s, struct learn_example *ex, size_t n, uint64_t seed)
{
    static float vector[N][DIM];
    static char text[N][32];
    (void)s;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < DIM; j++) {
            vector[i][j] = (float)(dice(&seed) % 1000) / 1000.0F - 0.5F + (j == 9 ? 2.0F : 0);
            sum += (double)vector[i][j] * (double)vector[i][j];
        }
        for (size_t j = 0; j < DIM; j++) {
            vector[i][j] /= (float)sqrt(sum);
        }
        snprintf(text[i], sizeof(text[i]), "weather %zu sunny rain", i);
        ex[i] = (struct learn_example){.text = text[i], .text_len = strlen(text[i]),
                                       .embedding = vector[i], .label = LEARN_NONE};
    }
}

static void examples_of_none_teach_what_to_refuse(void **state)
{
    (void)state;
    enum { STRANGERS = 30 };
    struct set s;
    struct learn_example ex[N + STRANGERS];
    struct learn_options o = small_options();
    struct learn_report r;
    struct learn_head *h;
    struct learn_head *again;
    struct learn_prediction p;
    struct learn_prediction q;
    struct fault why = {0};
    o.refuse = 0.05;
    make_set(&s, true, 7);
    memcpy(ex, s.ex, sizeof(s.ex));
    make_strangers(&s, ex + N, STRANGERS, 5);
    assert_int_equal(learn_train(ex, N + STRANGERS, &o, NULL, &h, &r, &why), FAIL_NONE);
    assert_int_equal(r.n, N);
    assert_int_equal(r.outside, STRANGERS);
    assert_true(r.outside_refused > 0.9 && r.refuse > 0 && r.refuse < 0.1);
    assert_int_equal(learn_head_labels(h), LABELS);
    assert_int_equal(learn_head_find(h, LEARN_NONE), UINT32_MAX);
    struct learn_example fresh[1];
    make_strangers(&s, fresh, 1, 77);
    assert_int_equal(learn_predict(h, fresh[0].text, fresh[0].text_len, fresh[0].embedding, DIM, &p,
                                   &why), FAIL_NONE);
    assert_true(p.refused && p.none > 0.95F);
    struct buf blob;
    buf_init(&blob, LEARN_MAX_BLOB);
    assert_int_equal(learn_save(h, &blob, &why), FAIL_NONE);
    assert_int_equal(learn_load(blob.data, blob.len, &again, &why), FAIL_NONE);
    size_t refused = 0;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(learn_predict(h, s.text[i], s.ex[i].text_len, s.vector[i], DIM, &p, &why),
                         FAIL_NONE);
        assert_int_equal(learn_predict(again, s.text[i], s.ex[i].text_len, s.vector[i], DIM, &q,
                                       &why), FAIL_NONE);
        assert_true(p.odd >= q.odd && p.odd <= q.odd && p.refused == q.refused);
        refused += p.refused ? 1 : 0;
    }
    assert_true(refused <= N / 10);
    buf_done(&blob);
    learn_report_done(&r);
    learn_head_free(again);
    learn_head_free(h);
}

/* Two labelled texts a label, noisy; the traffic's clusters say where the border is. */
static void traffic_without_labels_teaches(void **state)
{
    (void)state;
    size_t right[2] = {0, 0};
    struct set s;
    struct set test;
    for (int with = 0; with < 2; with++) {
        struct learn_options o = small_options();
        struct learn_report r;
        struct learn_head *h;
        struct learn_prediction p;
        struct fault why = {0};
        struct learn_example ex[N];
        size_t n = 0;
        make_set(&s, true, 7);
        for (size_t i = 0; i < N; i++) {
            ex[n] = s.ex[i];
            ex[n].text = "";
            ex[n].text_len = 0;
            ex[n].label = i < (size_t)2 * LABELS ? ex[n].label : NULL;
            n += ex[n].label != NULL || with == 1 ? 1 : 0;
        }
        assert_int_equal(learn_train(ex, n, &o, NULL, &h, &r, &why), FAIL_NONE);
        assert_int_equal(r.n, 2 * LABELS);
        assert_int_equal(r.traffic, with == 1 ? N - 2 * LABELS : 0);
        make_set(&test, true, 99);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(learn_predict(h, "", 0, test.vector[i], DIM, &p, &why), FAIL_NONE);
            right[with] += strcmp(learn_head_label(h, p.top[0].label), labels[i % LABELS]) == 0;
            assert_in_range(p.n_nearest, 0, 2 * LABELS); /* guessed ones are never shown */
            for (size_t k = 0; k < p.n_nearest; k++) {
                assert_memory_equal(p.nearest[k].ref, "#4", 2);
                assert_in_range(p.nearest[k].example, 0, 2 * LABELS - 1);
            }
        }
        learn_report_done(&r);
        learn_head_free(h);
    }
    assert_true(right[1] >= right[0] && right[1] > N * 9 / 10);
    struct learn_head *h;
    struct learn_options o = small_options();
    struct fault why = {0};
    make_set(&s, true, 7);
    for (size_t i = 3; i < N; i++) {
        s.ex[i].label = NULL;
    }
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    s.ex[3].label = labels[0];
    s.ex[4].extra = true;
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "example 5"));
}

static void languages_are_counted_apart(void **state)
{
    (void)state;
    struct set s;
    struct learn_options o = small_options();
    struct learn_report r;
    struct learn_head *h;
    struct learn_head *again;
    struct fault why = {0};
    struct buf b;
    buf_init(&b, LEARN_MAX_BLOB);
    make_set(&s, true, 7);
    for (size_t i = 0; i < N; i++) {
        s.ex[i].lang = i % LABELS == 2 ? "de" : i < 5 ? "fr" : i == 6 ? NULL : "en";
    }
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, &r, &why), FAIL_NONE);
    assert_int_equal(r.n_languages, 3);
    assert_int_equal(learn_head_languages(h), 3);
    const struct learn_language *de = learn_head_language(h, "de");
    const struct learn_language *fr = learn_head_language(h, "fr");
    const struct learn_language *en = learn_head_language(h, "en");
    assert_int_equal(de->n, PER_LABEL);
    assert_int_equal(de->n + fr->n + en->n, N - 1);
    assert_true(learn_language_holds(de) && learn_language_holds(en));
    assert_false(learn_language_holds(fr)); /* four examples are no evidence */
    assert_false(learn_language_holds(learn_head_language(h, "pt")));
    struct learn_language sure = {.n = 100, .correct = 80, .expected = 95, .variance = 4};
    assert_false(learn_language_holds(&sure)); /* it promised 95 */
    sure.correct = 93;
    assert_true(learn_language_holds(&sure));
    learn_report_text(&r, &b);
    assert_non_null(strstr(b.data, "in fr: "));
    assert_non_null(strstr(b.data, "no evidence yet"));
    buf_clear(&b);
    assert_int_equal(learn_save(h, &b, &why), FAIL_NONE);
    assert_int_equal(learn_load(b.data, b.len, &again, &why), FAIL_NONE);
    assert_memory_equal(learn_head_language(again, "de"), de, sizeof(*de));
    buf_done(&b);
    learn_report_done(&r);
    learn_head_free(again);
    learn_head_free(h);
}

static void models_hold_what_their_names_say(void **state)
{
    (void)state;
    assert_string_equal(learn_languages_of_model("all-MiniLM-L6-v2"), "en");
    assert_string_equal(learn_languages_of_model("Paraphrase_Multilingual-MiniLM-L12-v2"), "*");
    assert_string_equal(learn_languages_of_model("bge-m3-q8_0"), "*");
    assert_null(learn_languages_of_model("house-embedder"));
    assert_true(learn_languages_include("*", "fi"));
    assert_true(learn_languages_include("en de", "de"));
    assert_false(learn_languages_include("en de", "d"));
    assert_false(learn_languages_include("en de", ""));
}

struct tickets {
    const char *lang;
    int n;
    int64_t at;
};

static enum fail put_tickets(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct tickets *t = arg;
    enum fail f = FAIL_NONE;
    for (int i = 0; i < t->n && f == FAIL_NONE; i++) {
        f = learn_language_count(tx, t->at, t->lang, why);
    }
    return f;
}

static void tickets_are_counted_by_day_and_language(void **state)
{
    (void)state;
    const int64_t day = (int64_t)24 * 3600 * 1000000;
    const struct tickets all[] = {{"en", 5, 100 * day}, {"de", 7, 100 * day}, {"en", 4, 101 * day},
                                  {"fr", 3, 40 * day},  {"und", 1, 101 * day}};
    char dir[] = "/tmp/learn-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
    struct fault why = {0};
    struct store *store = NULL;
    struct store_conn *conn = NULL;
    assert_int_equal(store_open(path, &store_schema_data, &store, &why), FAIL_NONE);
    assert_int_equal(store_reader_open(store, &conn, &why), FAIL_NONE);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct tickets t = all[i];
        assert_int_equal(store_write_wait(store, put_tickets, &t, &why), FAIL_NONE);
    }
    struct learn_language_share out[2];
    size_t n = 0;
    assert_int_equal(learn_language_read(conn, 60 * day, out, 2, &n, &why), FAIL_NONE);
    assert_int_equal(n, 2);
    assert_string_equal(out[0].code, "en");
    assert_int_equal(out[0].n, 9);
    assert_string_equal(out[1].code, "de");
    assert_int_equal(out[1].n, 8); /* what did not fit is with the last */
    store_reader_close(conn);
    store_close(store);
    char line[128];
    snprintf(line, sizeof(line), "%s/data.db-lock", dir);
    unlink(line);
    snprintf(line, sizeof(line), "%s/data.db-wal", dir);
    unlink(line);
    snprintf(line, sizeof(line), "%s/data.db-shm", dir);
    unlink(line);
    unlink(path);
    rmdir(dir);
}

/* Two labels in two dimensions: the border lies where the formula says. */
static void the_shared_covariance_is_the_formula(void **state)
{
    (void)state;
    const float x[8] = {1, 0, 3, 0, 0, 2, 0, 4}; /* means (2, 0) and (0, 3) */
    const uint32_t rows[4] = {0, 1, 2, 3};
    const float weight[4] = {1, 1, 1, 1};
    float member[4 * 8] = {0};
    float scatter[4];
    float w[3 * 8];
    member[0] = member[8] = member[16 + 1] = member[24 + 1] = 1;
    struct learn_gauss g = {.x = x, .dim = 2, .rows = rows, .n = 4, .member = member,
                            .weight = weight, .scatter = scatter, .labels = 2, .stride = 8,
                            .shrink = 0.5F};
    learn_scatter(x, 2, rows, weight, 4, scatter);
    learn_gauss_fit(&g, w);
    /* Within labels: sums of squares (2, 2), free 4 - 2, so the identity, shrunk or not. */
    assert_true(fabsf(w[0] - 2) < 1e-4F && fabsf(w[8]) < 1e-4F && fabsf(w[16] + 2) < 1e-4F);
    assert_true(fabsf(w[1]) < 1e-4F && fabsf(w[9] - 3) < 1e-4F && fabsf(w[17] + 4.5F) < 1e-4F);
}

static bool stop_at_half(void *arg, int done, int total)
{
    int *calls = arg;
    (*calls)++;
    assert_in_range(done, 0, total);
    return done < total / 2;
}

static void bad_input_is_named(void **state)
{
    (void)state;
    struct set s;
    struct learn_options o = small_options();
    struct learn_head *h;
    struct fault why;
    make_set(&s, true, 7);
    assert_int_equal(learn_train(s.ex, 3, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    s.ex[17].embedding = NULL;
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "example 18"));
    make_set(&s, true, 7);
    s.vector[4][0] = NAN;
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "example 5"));
    make_set(&s, true, 7);
    s.ex[2].label = "";
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    for (size_t i = 0; i < N; i++) {
        s.ex[i].label = "one";
    }
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "one label"));
    make_set(&s, true, 7);
    o.folds = 1;
    assert_int_equal(learn_train(s.ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    o.folds = 5;
    int calls = 0;
    struct learn_progress progress = {.fn = stop_at_half, .arg = &calls};
    assert_int_equal(learn_train(s.ex, N, &o, &progress, &h, NULL, &why), FAIL_STOPPED);
    assert_true(calls > 1);
    h = train(&s, true, NULL);
    struct learn_prediction p;
    assert_int_equal(learn_predict(h, "x", 1, NULL, 0, &p, &why), FAIL_BAD_REQUEST);
    assert_int_equal(learn_predict(h, "x", 1, s.vector[0], DIM - 1, &p, &why), FAIL_BAD_REQUEST);
    assert_int_equal(learn_predict(h, "\xff\xfe\x80", 3, s.vector[0], DIM, &p, &why), FAIL_NONE);
    learn_head_free(h);
}

static void long_texts_are_read_up_to_the_limit(void **state)
{
    (void)state;
    struct set s;
    struct learn_head *h = train(&s, false, NULL);
    size_t n = (size_t)10 << 20;
    char *text = mem_alloc(n);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)('a' + i * i % 23);
    }
    struct learn_prediction p;
    struct fault why;
    int64_t start = clock_monotonic_us();
    assert_int_equal(learn_predict(h, text, n, NULL, 0, &p, &why), FAIL_NONE);
    assert_true(clock_ms_since(start) < 2000);
    mem_free(text);
    learn_head_free(h);
}

static void reports_say_what_they_rest_on(void **state)
{
    (void)state;
    struct set s;
    struct learn_report r;
    struct learn_head *h = train(&s, true, &r);
    AUTO_JSON json_t *j = NULL;
    struct fault why;
    const char *report = learn_head_report(h);
    assert_int_equal(jn_parse(report, strlen(report), "report", &j, &why), FAIL_NONE);
    assert_string_equal(json_string_value(json_object_get(j, "evidence")), "history");
    assert_int_equal(json_array_size(json_object_get(j, "per_label")), LABELS);
    size_t right = 0;
    for (size_t k = 0; k < LABELS; k++) {
        assert_int_equal(r.counts[k].n, PER_LABEL);
        right += r.counts[k].correct;
    }
    assert_true(fabs(r.accuracy - (double)right / N) < 1e-9);
    struct buf text;
    buf_init(&text, 10000);
    learn_report_text(&r, &text);
    assert_non_null(strstr(text.data, "labels from history (unreviewed)"));
    buf_done(&text);
    learn_report_done(&r);
    learn_head_free(h);
}

/* Known values: routing anchors section 2, the table of accepted items needed. */
static void certificates_follow_the_table(void **state)
{
    (void)state;
    float score[1000];
    bool ok[1000];
    for (size_t i = 0; i < 1000; i++) {
        score[i] = 1.0F - (float)i / 1000.0F;
        ok[i] = i < 800; /* the last fifth is all wrong */
    }
    struct learn_certificate c;
    learn_certify(score, ok, 1000, 0.02, 0.05, &c);
    assert_true(c.certified && c.accepted >= 780 && c.accepted <= 810 && c.errors <= 10);
    learn_certify(score, ok, 100, 0.02, 0.05, &c);
    assert_false(c.certified); /* 149 are needed */
    assert_true(c.threshold > 1);
    for (size_t i = 0; i < 1000; i++) {
        ok[i] = i % 10 != 0;
    }
    learn_certify(score, ok, 1000, 0.02, 0.05, &c);
    assert_false(c.certified);
    assert_true(fabs(learn_coverage(score, ok, 1000, 0.101) - 1) < 1e-9);
    float sure[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    bool half[10] = {true, false, true, false, true, false, true, false, true, false};
    assert_true(fabs(learn_ece(sure, half, 10) - 0.5) < 0.01);
}

/* A stream whose error sits just over the target must be certified in at most delta of the
   draws. */
static void a_flat_risk_is_rarely_certified(void **state)
{
    (void)state;
    uint64_t seed = 11;
    int certified = 0;
    enum { DRAWS = 400, ITEMS = 1000 };
    float score[ITEMS];
    bool ok[ITEMS];
    for (int d = 0; d < DRAWS; d++) {
        for (size_t i = 0; i < ITEMS; i++) {
            score[i] = (float)(dice(&seed) % 1000000) / 1e6F;
            ok[i] = dice(&seed) % 100000 >= 2040; /* 1.02 x 2 % */
        }
        struct learn_certificate c;
        learn_certify(score, ok, ITEMS, 0.02, 0.05, &c);
        certified += c.certified ? 1 : 0;
    }
    assert_in_range(certified, 0, 33); /* 5 % of 400 is 20; above 33 by chance in 0.2 % of runs */
}

static void a_product_of_bytes_is_exact(void **state)
{
    (void)state;
    int8_t a[131], b[131];
    for (int i = 0; i < 131; i++) {
        a[i] = (int8_t)(i * 37 % 255 - 127);
        b[i] = (int8_t)(i % 2 == 0 ? -127 : i * 91 % 255 - 127);
    }
    int32_t plain = 0;
    for (int n = 0; n <= 131; n++) {
        assert_int_equal(learn_dot8(a, b, n), plain);
        plain += n < 131 ? a[n] * b[n] : 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_of_bytes_is_exact),
        cmocka_unit_test(learns_two_languages_and_answers),
        cmocka_unit_test(equal_input_gives_equal_bytes_and_they_load),
        cmocka_unit_test(words_alone_answer_where_that_loses_nothing),
        cmocka_unit_test(words_alone_do_not_answer_without_evidence),
        cmocka_unit_test(changed_bytes_are_refused),
        cmocka_unit_test(far_off_texts_lower_the_confidence),
        cmocka_unit_test(a_mask_leaves_no_trace_of_a_person),
        cmocka_unit_test(rare_labels_are_counted_and_learned),
        cmocka_unit_test(hints_are_learned_from_and_never_counted),
        cmocka_unit_test(examples_of_none_teach_what_to_refuse),
        cmocka_unit_test(traffic_without_labels_teaches),
        cmocka_unit_test(languages_are_counted_apart),
        cmocka_unit_test(models_hold_what_their_names_say),
        cmocka_unit_test(tickets_are_counted_by_day_and_language),
        cmocka_unit_test(the_shared_covariance_is_the_formula),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(long_texts_are_read_up_to_the_limit),
        cmocka_unit_test(reports_say_what_they_rest_on),
        cmocka_unit_test(certificates_follow_the_table),
        cmocka_unit_test(a_flat_risk_is_rarely_certified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
