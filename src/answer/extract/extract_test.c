/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of extraction: what is found and how it is read, what is verified, a head from a small set,
 * its honesty about none, its bytes and its limits.
 */
#include "answer/extract/extract.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"

#include <cmocka.h>

/* Sunday, 22 November 2026, 10:00 UTC; the writer is an hour east. */
static const struct extract_scene scene = {.now = 1795341600, .zone_minutes = 60};

/* ---- candidates ---- */

static bool finds(const char *text, const char *stretch, enum extract_type type, const char *normal)
{
    static struct extract_found found[EXTRACT_MAX_FOUND];
    size_t n = extract_find(text, strlen(text), &scene, found, EXTRACT_MAX_FOUND, NULL);
    for (size_t i = 0; i < n; i++) {
        bool here = found[i].len == strlen(stretch) &&
                    memcmp(text + found[i].at, stretch, found[i].len) == 0;
        if (here && found[i].type == type && strcmp(found[i].normal, normal) == 0) {
            return true;
        }
    }
    return false;
}

struct finding {
    const char *text, *stretch;
    enum extract_type type;
    const char *normal;
};

static const struct finding findings[] = {
    {"send 12 of them", "12", EXTRACT_TYPE_NUMBER, "12"},
    {"a total of 1,234.50", "1,234.50", EXTRACT_TYPE_NUMBER, "1234.50"},
    {"Summe 1.234,50", "1.234,50", EXTRACT_TYPE_NUMBER, "1234.50"},
    {"1 234 567,89 en tout", "1 234 567,89", EXTRACT_TYPE_NUMBER, "1234567.89"},
    {"CHF 1'234.50 please", "1'234.50", EXTRACT_TYPE_NUMBER, "1234.50"},
    {"it is 1.234 now", "1.234", EXTRACT_TYPE_NUMBER, "1234"},
    {"it is 1.234 now", "1.234", EXTRACT_TYPE_NUMBER, "1.234"},
    {"minus: -3.5 degrees", "-3.5", EXTRACT_TYPE_NUMBER, "-3.5"},
    {"007 agents", "007", EXTRACT_TYPE_NUMBER, "7"},
    {"about 12k", "12k", EXTRACT_TYPE_NUMBER, "12000"},
    {"about 1.5 k", "1.5 k", EXTRACT_TYPE_NUMBER, "1500"},
    {"2,5 Mio Euro", "2,5 Mio Euro", EXTRACT_TYPE_AMOUNT, "2500000 EUR"},
    {"twenty-five boxes", "twenty-five", EXTRACT_TYPE_NUMBER, "25"},
    {"two hundred people", "two hundred", EXTRACT_TYPE_NUMBER, "200"},
    {"einundzwanzig Stück", "einundzwanzig", EXTRACT_TYPE_NUMBER, "21"},
    {"vingt et un", "vingt et un", EXTRACT_TYPE_NUMBER, "21"},
    {"treinta y cinco", "treinta y cinco", EXTRACT_TYPE_NUMBER, "35"},
    {"5 kg of coffee", "5 kg", EXTRACT_TYPE_MEASURE, "5 kg"},
    {"a 5kg bag", "5kg", EXTRACT_TYPE_MEASURE, "5 kg"},
    {"pay $5.00 now", "$5.00", EXTRACT_TYPE_AMOUNT, "5.00 USD"},
    {"pay US$ 5 now", "US$ 5", EXTRACT_TYPE_AMOUNT, "5 USD"},
    {"75 dollars", "75 dollars", EXTRACT_TYPE_AMOUNT, "75 USD"},
    {"1.234,50 € fällig", "1.234,50 €", EXTRACT_TYPE_AMOUNT, "1234.50 EUR"},
    {"EUR 40", "EUR 40", EXTRACT_TYPE_AMOUNT, "40 EUR"},
    {"40eur", "40eur", EXTRACT_TYPE_AMOUNT, "40 EUR"},
    {"Rs. 500 only", "Rs. 500", EXTRACT_TYPE_AMOUNT, "500 INR"},
    {"due 2026-11-30.", "2026-11-30", EXTRACT_TYPE_DATE, "2026-11-30"},
    {"at 2026-11-30T10:00:00Z", "2026-11-30T10", EXTRACT_TYPE_DATE, "2026-11-30"},
    {"on 03/04/2026", "03/04/2026", EXTRACT_TYPE_DATE, "2026-04-03"},
    {"on 03/04/2026", "03/04/2026", EXTRACT_TYPE_DATE, "2026-03-04"},
    {"on 25/04/2026", "25/04/2026", EXTRACT_TYPE_DATE, "2026-04-25"},
    {"am 03.04.26", "03.04.26", EXTRACT_TYPE_DATE, "2026-04-03"},
    {"bis 24.12. bitte", "24.12.", EXTRACT_TYPE_DATE, "2026-12-24"},
    {"on November 22nd, 2027", "November 22nd, 2027", EXTRACT_TYPE_DATE, "2027-11-22"},
    {"the 22nd of November 2027", "22nd of November 2027", EXTRACT_TYPE_DATE, "2027-11-22"},
    {"december 25 th", "december 25 th", EXTRACT_TYPE_DATE, "2026-12-25"},
    {"3. März 2027", "3. März 2027", EXTRACT_TYPE_DATE, "2027-03-03"},
    {"le 1er décembre", "1er décembre", EXTRACT_TYPE_DATE, "2026-12-01"},
    {"el 5 de enero de 2027", "5 de enero de 2027", EXTRACT_TYPE_DATE, "2027-01-05"},
    {"22-Nov-2026", "22-Nov-2026", EXTRACT_TYPE_DATE, "2026-11-22"},
    {"on Jan 5", "Jan 5", EXTRACT_TYPE_DATE, "2027-01-05"},
    {"today", "today", EXTRACT_TYPE_DATE, "2026-11-22"},
    {"Morgen früh", "Morgen", EXTRACT_TYPE_DATE, "2026-11-23"},
    {"the day after tomorrow", "day after tomorrow", EXTRACT_TYPE_DATE, "2026-11-24"},
    {"next Friday", "next Friday", EXTRACT_TYPE_DATE, "2026-11-27"},
    {"on Monday", "Monday", EXTRACT_TYPE_DATE, "2026-11-23"},
    {"last Monday", "last Monday", EXTRACT_TYPE_DATE, "2026-11-16"},
    {"in 3 days", "in 3 days", EXTRACT_TYPE_DATE, "2026-11-25"},
    {"two weeks ago", "two weeks ago", EXTRACT_TYPE_DATE, "2026-11-08"},
    {"vor 3 Tagen", "vor 3 Tagen", EXTRACT_TYPE_DATE, "2026-11-19"},
    {"at 2:30pm", "2:30pm", EXTRACT_TYPE_TIME, "14:30"},
    {"at 2:30 p.m. sharp", "2:30 p.m.", EXTRACT_TYPE_TIME, "14:30"},
    {"um 14 Uhr", "14 Uhr", EXTRACT_TYPE_TIME, "14:00"},
    {"à 14h30", "14h30", EXTRACT_TYPE_TIME, "14:30"},
    {"order ORD-2026/0045.", "ORD-2026/0045", EXTRACT_TYPE_ID, ""},
    {"ticket #4711!", "#4711", EXTRACT_TYPE_ID, ""},
    {"ticket #4711!", "4711", EXTRACT_TYPE_ID, ""},
    {"locator XKCDPQ", "XKCDPQ", EXTRACT_TYPE_ID, ""},
    {"flight LH 400", "LH 400", EXTRACT_TYPE_ID, ""},
    {"model psr e 453", "psr e 453", EXTRACT_TYPE_ID, ""},
    {"mail a.b@example.com.", "a.b@example.com", EXTRACT_TYPE_EMAIL, ""},
    {"see https://example.com/x?y=1 there", "https://example.com/x?y=1", EXTRACT_TYPE_LINK, ""},
    {"call +49 30 1234567 now", "+49 30 1234567", EXTRACT_TYPE_PHONE, ""},
};

static void values_are_found_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(findings); i++) {
        const struct finding *f = &findings[i];
        if (!finds(f->text, f->stretch, f->type, f->normal)) {
            fail_msg("\"%s\" in \"%s\" is not %s %s", f->stretch, f->text,
                     extract_type_name(f->type), f->normal);
        }
    }
}

static void what_is_none_is_not_read(void **state)
{
    static const struct finding wrong[] = {
        {"host 192.168.0.1", "192.168", EXTRACT_TYPE_NUMBER, "192168"},
        {"host 192.168.0.1", "168", EXTRACT_TYPE_NUMBER, "168"},
        {"on 31/02/2026", "31/02/2026", EXTRACT_TYPE_DATE, "2026-03-03"},
        {"am 13.14.2026", "13.14.2026", EXTRACT_TYPE_DATE, "2026-14-13"},
        {"at 25:10", "25:10", EXTRACT_TYPE_TIME, "25:10"},
        {"abc123def", "123", EXTRACT_TYPE_NUMBER, "123"},
        {"am 03.04.2026", "03.04.2026", EXTRACT_TYPE_DATE, "2026-03-04"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        const struct finding *f = &wrong[i];
        if (finds(f->text, f->stretch, f->type, f->normal)) {
            fail_msg("\"%s\" in \"%s\" is %s", f->stretch, f->text, f->normal);
        }
    }
}

static void a_text_over_the_limit_is_cut_and_says_so(void **state)
{
    (void)state;
    size_t n = EXTRACT_MAX_TEXT + 100;
    AUTO_FREE char *text = mem_alloc(n + 1);
    struct extract_found found[4];
    bool cut = false;
    memset(text, 'a', n);
    memcpy(text, "47 ", 3);
    assert_true(extract_find(text, n, &scene, found, 4, &cut) > 0);
    assert_true(cut);
    assert_int_equal(extract_find("47", 2, &scene, found, 4, &cut), 2);
    assert_false(cut);
}

/* ---- values ---- */

static void values_are_compared_by_kind(void **state)
{
    (void)state;
    assert_true(extract_same(EXTRACT_NUMBER, "12.50", "12.5"));
    assert_true(extract_same(EXTRACT_NUMBER, "-0", "0"));
    assert_false(extract_same(EXTRACT_NUMBER, "12.5", "125"));
    assert_true(extract_same(EXTRACT_AMOUNT, "12.50 EUR", "12.5 EUR"));
    assert_false(extract_same(EXTRACT_AMOUNT, "12.50 EUR", "12.50 USD"));
    assert_true(extract_same(EXTRACT_AMOUNT, "12.50", "12.50 USD"));
    assert_true(extract_same(EXTRACT_SPAN, "Diana  Instruments", "diana instruments"));
    assert_false(extract_same(EXTRACT_SPAN, "", "x"));
    assert_true(extract_same(EXTRACT_DATE, "", ""));
    assert_true(extract_in_bounds(EXTRACT_NUMBER, "10", "9", "10.0"));
    assert_false(extract_in_bounds(EXTRACT_NUMBER, "10.01", "9", "10"));
    assert_false(extract_in_bounds(EXTRACT_NUMBER, "-10", "-9", NULL));
    assert_true(extract_in_bounds(EXTRACT_DATE, "2026-11-22", "2026-11-01", NULL));
    assert_false(extract_in_bounds(EXTRACT_DATE, "2026-02-30", NULL, NULL));
}

static void only_what_stands_there_is_verified(void **state)
{
    static const char text[] = "Please pay 1.250,00 EUR for Order AB-17 by 3 May 2027.";
    size_t n = strlen(text);
    uint32_t at = 0, len = 0;
    (void)state;
    assert_true(extract_locate(EXTRACT_AMOUNT, text, n, &scene, "1250 EUR", &at, &len));
    assert_true(extract_verify(EXTRACT_AMOUNT, text, n, &scene, at, len, "1250.00 EUR"));
    assert_false(extract_verify(EXTRACT_AMOUNT, text, n, &scene, at, len, "1251 EUR"));
    assert_false(extract_verify(EXTRACT_AMOUNT, text, n, &scene, at + 1, len, "1250.00 EUR"));
    assert_false(extract_verify(EXTRACT_AMOUNT, text, n, &scene, (uint32_t)n - 2, 40, "1250 EUR"));
    assert_true(extract_locate(EXTRACT_ID, text, n, &scene, "ab-17", &at, &len));
    assert_memory_equal(text + at, "AB-17", len);
    assert_true(extract_locate(EXTRACT_DATE, text, n, &scene, "2027-05-03", &at, &len));
    assert_false(extract_locate(EXTRACT_SPAN, text, n, &scene, "der AB", &at, &len));
    assert_false(extract_locate(EXTRACT_SPAN, text, n, &scene, "Order AB-18", &at, &len));
    assert_false(extract_locate(EXTRACT_NUMBER, text, n, &scene, "", &at, &len));
}

/* ---- learning ---- */

#define N 240
struct set {
    char text[N][300], order[N][24], total[N][24], city[N][24];
    struct extract_example ex[N];
};

static uint64_t dice(uint64_t *s)
{
    *s = *s * 6364136223846793005ULL + 1442695040888963407ULL;
    return *s >> 33;
}

/* Mails with an order number beside a customer number, a total beside a fee, a city; every fifth
   has none of them. */
static void make_set(struct set *s, uint64_t seed)
{
    static const char *const cities[] = {"Utrecht", "Porto", "Graz", "New York", "San Sebastian",
                                         "Bergen", "Lyon", "Salt Lake City"};
    static const char *const asks[] = {"Where is my parcel?", "I want to return it.",
                                       "Please send the invoice again.", "Can you help?"};
    for (size_t i = 0; i < N; i++) {
        unsigned order = 1000 + (unsigned)(dice(&seed) % 90000);
        unsigned customer = 1000 + (unsigned)(dice(&seed) % 90000);
        unsigned total = 5 + (unsigned)(dice(&seed) % 400), fee = 1 + (unsigned)(dice(&seed) % 9);
        const char *city = cities[dice(&seed) % COUNT_OF(cities)];
        const char *ask = asks[dice(&seed) % COUNT_OF(asks)];
        bool none = i % 5 == 4;
        snprintf(s->order[i], sizeof(s->order[i]), none ? "" : "A-%u", order);
        snprintf(s->total[i], sizeof(s->total[i]), none ? "" : "%u.50 EUR", total);
        snprintf(s->city[i], sizeof(s->city[i]), "%s", none ? "" : city);
        if (none) {
            snprintf(s->text[i], sizeof(s->text[i]), "Hello, %s I am customer C-%u.", ask,
                     customer);
        } else if (dice(&seed) % 2 == 0) {
            snprintf(s->text[i], sizeof(s->text[i]),
                     "Hello,\nmy customer number is C-%u and the order A-%u to %s cost %u.50 EUR, "
                     "%u EUR of it shipping. %s",
                     customer, order, city, total, fee, ask);
        } else {
            snprintf(
                s->text[i], sizeof(s->text[i]),
                "%s\nCustomer: C-%u\nOrder: A-%u\nShipping: %u EUR\nTotal: %u.50 EUR\nCity: %s",
                ask, customer, order, fee, total, city);
        }
    }
}

static struct extract_head *learn(struct set *s, enum extract_kind kind, char (*values)[24],
                                  struct extract_report *r)
{
    struct extract_options o = extract_defaults(kind);
    struct extract_head *h = NULL;
    struct fault why = {0};
    for (size_t i = 0; i < N; i++) {
        s->ex[i] = (struct extract_example){.text = s->text[i], .text_len = strlen(s->text[i]),
                                            .value = values[i], .scene = scene};
    }
    enum fail f = extract_train(s->ex, N, &o, NULL, &h, r, &why);
    if (f != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return h;
}

static void a_head_tells_the_order_from_the_customer(void **state)
{
    static const char text[] = "Hi, customer C-55555 here. The order A-71717 to Oslo never came.";
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_report r;
    struct extract_answer a;
    (void)state;
    make_set(s, 7);
    struct extract_head *h = learn(s, EXTRACT_ID, s->order, &r);
    assert_int_equal(r.given, N - N / 5);
    assert_int_equal(r.reachable, r.given);
    assert_true(r.f1 > 0.97);
    assert_true(r.ece < 0.05);
    extract_predict(h, text, strlen(text), &scene, &a);
    assert_string_equal(a.top[0].value, "A-71717");
    assert_memory_equal(text + a.top[0].at, "A-71717", a.top[0].len);
    assert_true(extract_verify(EXTRACT_ID, text, strlen(text), &scene, a.top[0].at, a.top[0].len,
                               a.top[0].value));
    extract_answer_done(&a);
    extract_predict(h, "Can you help? I am customer C-12345.", 36, &scene, &a);
    assert_string_equal(a.top[0].value, "");
    assert_int_equal(a.top[0].len, 0);
    extract_answer_done(&a);
    extract_report_done(&r);
    extract_head_free(h);
}

static void a_head_learns_amounts_and_spans(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_report r;
    struct extract_answer a;
    (void)state;
    make_set(s, 11);
    struct extract_head *h = learn(s, EXTRACT_AMOUNT, s->total, &r);
    assert_true(r.f1 > 0.97);
    assert_true(r.certificate.n == N);
    extract_report_done(&r);
    extract_head_free(h);
    h = learn(s, EXTRACT_SPAN, s->city, &r);
    assert_true(r.f1 > 0.95);
    extract_predict(h, "Order: A-1\nCity: Puerto Rico", 28, &scene, &a);
    assert_string_equal(a.top[0].value, "Puerto Rico"); /* a city it has never seen */
    extract_answer_done(&a);
    extract_report_done(&r);
    extract_head_free(h);
}

static void values_that_no_text_has_are_said_to_be_missing(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_options o = extract_defaults(EXTRACT_ID);
    struct extract_head *h = NULL;
    struct extract_report r;
    struct fault why = {0};
    (void)state;
    make_set(s, 3);
    for (size_t i = 0; i < N; i++) { /* every third value is made up */
        s->ex[i] = (struct extract_example){.text = s->text[i], .text_len = strlen(s->text[i]),
                                            .value = i % 3 == 0 ? "Z-1" : s->order[i]};
    }
    assert_int_equal(extract_train(s->ex, N, &o, NULL, &h, &r, &why), FAIL_NONE);
    assert_true(r.reachable < r.given);
    for (size_t i = 0; i < N; i++) {
        assert_false(i % 3 == 0 && r.oof[i].right);
    }
    extract_report_done(&r);
    extract_head_free(h);
    for (size_t i = 0; i < N; i++) {
        s->ex[i].value = "Z-1";
    }
    assert_int_equal(extract_train(s->ex, N, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "no value is found"));
    assert_int_equal(extract_train(s->ex, 3, &o, NULL, &h, NULL, &why), FAIL_BAD_REQUEST);
}

static void the_bytes_are_the_head(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_answer a, b;
    struct extract_head *again = NULL;
    struct fault why = {0};
    struct buf bytes, other;
    (void)state;
    make_set(s, 5);
    struct extract_head *h = learn(s, EXTRACT_ID, s->order, NULL);
    struct extract_head *twin = learn(s, EXTRACT_ID, s->order, NULL);
    buf_init(&bytes, EXTRACT_MAX_BLOB);
    buf_init(&other, EXTRACT_MAX_BLOB);
    assert_int_equal(extract_save(h, &bytes, &why), FAIL_NONE);
    assert_int_equal(extract_save(twin, &other, &why), FAIL_NONE);
    assert_int_equal(bytes.len, other.len);
    assert_memory_equal(bytes.data, other.data, bytes.len); /* equal examples, equal bytes */
    assert_int_equal(extract_load(bytes.data, bytes.len, &again, &why), FAIL_NONE);
    for (size_t i = 0; i < N; i++) {
        extract_predict(h, s->text[i], strlen(s->text[i]), &scene, &a);
        extract_predict(again, s->text[i], strlen(s->text[i]), &scene, &b);
        assert_string_equal(a.top[0].value, b.top[0].value);
        assert_true(fabs(a.confidence - b.confidence) < 1e-12);
        extract_answer_done(&a);
        extract_answer_done(&b);
    }
    assert_null(strstr(bytes.data + 40, "Utrecht")); /* no text is kept */
    extract_head_free(again);
    for (size_t at = 0; at < bytes.len; at += 1 + bytes.len / 97) {
        bytes.data[at] ^= 1;
        assert_int_equal(extract_load(bytes.data, bytes.len, &again, &why), FAIL_BAD_REQUEST);
        bytes.data[at] ^= 1;
    }
    buf_done(&bytes);
    buf_done(&other);
    extract_head_free(h);
    extract_head_free(twin);
}

static void a_text_that_was_cut_is_never_sure(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_answer a;
    (void)state;
    make_set(s, 9);
    struct extract_head *h = learn(s, EXTRACT_ID, s->order, NULL);
    size_t n = EXTRACT_MAX_TEXT + 400;
    AUTO_FREE char *text = mem_alloc(n + 1);
    memset(text, ' ', n);
    memcpy(text, s->text[0], strlen(s->text[0]));
    extract_predict(h, text, n, &scene, &a);
    assert_true(a.cut);
    assert_true(a.confidence <= 0.5);
    extract_answer_done(&a);
    extract_predict(h, "", 0, &scene, &a);
    assert_string_equal(a.top[0].value, "");
    extract_answer_done(&a);
    extract_head_free(h);
}

static void the_kind_is_guessed_from_the_values(void **state)
{
    static const struct {
        enum extract_kind kind;
        const char *text[4], *value[4];
    } cases[] = {
        {EXTRACT_NUMBER, {"5 nos", "i need 12 of them", "send 300", "no"}, {"5", "12", "300", ""}},
        {EXTRACT_ID,
         {"it is 8973", "1652", "kali 3220", "x 04587"},
         {"8973", "1652", "3220", "04587"}},
        {EXTRACT_ID,
         {"AB-12 please", "mine is CD-9", "EF-77", "hello"},
         {"AB-12", "CD-9", "EF-77", ""}},
        {EXTRACT_DATE,
         {"on May 3", "today", "in 2 days", "24.12."},
         {"2027-05-03", "2026-11-22", "2026-11-24", "2026-12-24"}},
        {EXTRACT_AMOUNT,
         {"$5", "5,50 EUR", "7 euros", "nothing"},
         {"5 USD", "5.50 EUR", "7 EUR", ""}},
        {EXTRACT_SPAN,
         {"i am john doe", "name raja", "kannan here", "hi"},
         {"john doe", "raja", "kannan", ""}},
        {EXTRACT_SPAN,
         {"100 usd", "it is 50 usd", "20", "usd 7"},
         {"100 usd", "50 usd", "20", "usd 7"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct extract_example ex[4];
        for (size_t k = 0; k < 4; k++) {
            ex[k] = (struct extract_example){.text = cases[i].text[k], .value = cases[i].value[k],
                                             .text_len = strlen(cases[i].text[k]), .scene = scene};
        }
        enum extract_kind kind = extract_guess_kind(ex, 4);
        if (kind != cases[i].kind) {
            fail_msg("%s is %s", cases[i].value[0], extract_kind_name(kind));
        }
    }
}

static bool stop(void *arg, int done, int total)
{
    int *calls = arg;
    assert_true(done <= total);
    return ++*calls < 5;
}

static void training_stops_when_told(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    struct extract_options o = extract_defaults(EXTRACT_ID);
    struct extract_head *h = NULL;
    struct fault why = {0};
    int calls = 0;
    struct learn_progress progress = {stop, &calls};
    (void)state;
    make_set(s, 1);
    for (size_t i = 0; i < N; i++) {
        s->ex[i] = (struct extract_example){.text = s->text[i], .text_len = strlen(s->text[i]),
                                            .value = s->order[i]};
    }
    assert_int_equal(extract_train(s->ex, N, &o, &progress, &h, NULL, &why), FAIL_STOPPED);
    assert_int_equal(calls, 5);
}

static void the_report_is_json(void **state)
{
    AUTO_FREE struct set *s = mem_alloc(sizeof(*s));
    AUTO_JSON json_t *j = NULL;
    (void)state;
    make_set(s, 13);
    struct extract_head *h = learn(s, EXTRACT_ID, s->order, NULL);
    const char *report = extract_head_report(h);
    assert_int_equal(jn_parse(report, strlen(report), "report", &j, NULL), FAIL_NONE);
    assert_int_equal(json_integer_value(json_object_get(j, "examples")), N);
    assert_true(json_number_value(json_object_get(j, "f1")) > 0.97);
    extract_head_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_and_read),
        cmocka_unit_test(what_is_none_is_not_read),
        cmocka_unit_test(a_text_over_the_limit_is_cut_and_says_so),
        cmocka_unit_test(values_are_compared_by_kind),
        cmocka_unit_test(only_what_stands_there_is_verified),
        cmocka_unit_test(a_head_tells_the_order_from_the_customer),
        cmocka_unit_test(a_head_learns_amounts_and_spans),
        cmocka_unit_test(values_that_no_text_has_are_said_to_be_missing),
        cmocka_unit_test(the_bytes_are_the_head),
        cmocka_unit_test(a_text_that_was_cut_is_never_sure),
        cmocka_unit_test(the_kind_is_guessed_from_the_values),
        cmocka_unit_test(training_stops_when_told),
        cmocka_unit_test(the_report_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
