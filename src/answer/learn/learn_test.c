/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of learning: a head from small sets in two languages, its honesty, its bytes, its limits.
 */
#include "answer/learn/learn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
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
    assert_int_equal(learn_needed(0, 0.01, 0.05), 299);
    assert_int_equal(learn_needed(1, 0.01, 0.05), 473);
    assert_int_equal(learn_needed(5, 0.01, 0.05), 1049);
    assert_int_equal(learn_needed(0, 0.02, 0.05), 149);
    assert_int_equal(learn_needed(2, 0.02, 0.05), 313);
    assert_int_equal(learn_needed(5, 0.02, 0.05), 523);
    assert_int_equal(learn_needed(2, 0.05, 0.05), 124);
    assert_true(fabs(learn_binomial_cdf(2, 10, 0.3) - 0.3827827864) < 1e-9);
    float score[1000];
    bool ok[1000];
    for (size_t i = 0; i < 1000; i++) {
        score[i] = 1.0F - (float)i / 1000.0F;
        ok[i] = i < 800; /* the last fifth is all wrong */
    }
    struct learn_certificate c;
    learn_certify(score, ok, 1000, 0.02, 0.05, 0, &c);
    assert_true(c.certified && c.accepted >= 780 && c.accepted <= 810 && c.errors <= 10);
    assert_true(learn_binomial_cdf(c.errors, c.accepted, 0.02) <= 0.05);
    learn_certify(score, ok, 100, 0.02, 0.05, 0, &c);
    assert_false(c.certified); /* 149 are needed */
    assert_true(c.threshold > 1);
    for (size_t i = 0; i < 1000; i++) {
        ok[i] = i % 10 != 0;
    }
    learn_certify(score, ok, 1000, 0.02, 0.05, 0, &c);
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
        learn_certify(score, ok, ITEMS, 0.02, 0.05, 0, &c);
        certified += c.certified ? 1 : 0;
    }
    assert_in_range(certified, 0, 33); /* 5 % of 400 is 20; above 33 by chance in 0.2 % of runs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_two_languages_and_answers),
        cmocka_unit_test(equal_input_gives_equal_bytes_and_they_load),
        cmocka_unit_test(changed_bytes_are_refused),
        cmocka_unit_test(far_off_texts_lower_the_confidence),
        cmocka_unit_test(a_mask_leaves_no_trace_of_a_person),
        cmocka_unit_test(rare_labels_are_counted_and_learned),
        cmocka_unit_test(hints_are_learned_from_and_never_counted),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(long_texts_are_read_up_to_the_limit),
        cmocka_unit_test(reports_say_what_they_rest_on),
        cmocka_unit_test(certificates_follow_the_table),
        cmocka_unit_test(a_flat_risk_is_rarely_certified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
