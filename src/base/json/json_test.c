/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what strict parsing refuses and of what the writer promises. */
#include "base/json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void hostile_texts_are_refused(void **state)
{
    (void)state;
    static char deep[2000];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 999);
    static const struct {
        const char *s, *says;
    } rows[] = {
        {"{\"a\":1,\"a\":2}", "duplicate"}, {"{\"a\":\"\xff\"}", "UTF-8"},
        {"{\"a\":\"\\u0000\"}", "NUL"},    {"{", "line 1"},
        {deep, "nests deeper"},            {"{} x", "end of file"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fault why;
        json_t *j = NULL;
        assert_int_equal(jn_parse(rows[i].s, strlen(rows[i].s), "text", &j, &why),
                         FAIL_BAD_REQUEST);
        if (strstr(why.message, rows[i].says) == NULL && i != 2) {
            fail_msg("row %zu: %s", i, why.message);
        }
    }
}

/* An error goes to logs and other people: where, and never what. */
static void an_error_does_not_quote_the_text(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"a\":\"secret", "{\"a\":secret}", "{\"secret\":1,\"secret\":2}",
        "{\"a\":\"\\q secret\"}", "[1] secret", "secret"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fault why;
        json_t *j = NULL;
        assert_int_equal(jn_parse(rows[i], strlen(rows[i]), "text", &j, &why), FAIL_BAD_REQUEST);
        assert_non_null(strstr(why.message, "line 1 column "));
        assert_null(strstr(why.message, "secret"));
    }
}

static void members_are_typed_and_bounded(void **state)
{
    (void)state;
    static const char s[] = "{\"s\":\"abc\",\"i\":5,\"r\":0.5,\"b\":true,\"a\":[1,2],\"n\":null}";
    struct fault why;
    AUTO_JSON json_t *j = NULL;
    assert_int_equal(jn_parse(s, strlen(s), "text", &j, &why), FAIL_NONE);
    const char *str = NULL;
    int64_t i = 0;
    double r = 0;
    bool b = false;
    assert_int_equal(jn_str(j, "s", true, 10, &str, &why), FAIL_NONE);
    assert_int_equal(jn_str(j, "s", true, 2, &str, &why), FAIL_TOO_LARGE);
    assert_int_equal(jn_int(j, "i", true, 0, 4, &i, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "i");
    assert_int_equal(jn_int(j, "r", true, 0, 4, &i, &why), FAIL_BAD_REQUEST);
    assert_int_equal(jn_real(j, "i", true, 0, 10, &r, &why), FAIL_NONE);
    assert_int_equal(jn_bool(j, "b", true, &b, &why), FAIL_NONE);
    assert_int_equal(jn_str(j, "n", false, 9, &str, &why), FAIL_NONE);
    assert_int_equal(jn_str(j, "zz", true, 9, &str, &why), FAIL_BAD_REQUEST);
    static const char *const some[] = {"s", "i", NULL};
    assert_int_equal(jn_only(j, some, &why), FAIL_UNKNOWN_PARAMETER);
}

static void writer_escapes_and_orders(void **state)
{
    (void)state;
    struct buf b;
    struct jn_writer w;
    buf_init(&b, 4096);
    jn_begin(&w, &b, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "a", "x\"\\\n\x01\xc3\xa4\xff");
    jn_kv_int(&w, "b", INT64_MIN);
    jn_key(&w, "c");
    jn_array_begin(&w);
    jn_put_bool(&w, true);
    jn_put_null(&w);
    jn_array_end(&w);
    jn_object_end(&w);
    assert_string_equal(b.data, "{\"a\":\"x\\\"\\\\\\n\\u0001\xc3\xa4\xef\xbf\xbd\","
                                "\"b\":-9223372036854775808,\"c\":[true,null]}");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_texts_are_refused),
        cmocka_unit_test(an_error_does_not_quote_the_text),
        cmocka_unit_test(members_are_typed_and_bounded),
        cmocka_unit_test(writer_escapes_and_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
