/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of worker/shim that need no model: templates, schemas, and that nothing thrown gets out. */
#include "worker/shim/shim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void templates_render_over_json(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(
        shim_template_render("Hi {{ name }}{% for x in list %}, {{ x }}{% endfor %}",
                             "{\"name\":\"Ann\",\"list\":[1,\"two\"]}", 0, &text, NULL),
        FAIL_NONE);
    assert_string_equal(text, "Hi Ann, 1, two");
    shim_free(text);
    assert_int_equal(shim_template_render("{{ strftime_now('%Y-%m-%d') }}", "{}", 1795340000, &text,
                                          NULL),
                     FAIL_NONE);
    assert_string_equal(text, "2026-11-22");
    shim_free(text);
}

static void what_throws_is_an_error(void **state)
{
    (void)state;
    char *text = NULL;
    struct fault why = {0};
    assert_int_equal(shim_template_render("{% if %}", "{}", 0, &text, &why), FAIL_BAD_REQUEST);
    assert_null(text);
    assert_true(strlen(why.message) > 0);
    assert_int_equal(shim_template_render("x", "{", 0, &text, &why), FAIL_BAD_REQUEST);
    assert_int_equal(shim_template_render("{{ raise_exception('no') }}", "{}", 0, &text, &why),
                     FAIL_BAD_REQUEST);
    assert_int_equal(shim_schema_grammar("{\"type\":\"riddle\"}", &text, &why), FAIL_UNSUPPORTED);
    assert_int_equal(shim_schema_grammar("[", &text, &why), FAIL_UNSUPPORTED);
}

static void schemas_become_grammars(void **state)
{
    (void)state;
    char *gbnf = NULL;
    assert_int_equal(
        shim_schema_grammar("{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}},"
                            "\"required\":[\"a\"]}",
                            &gbnf, NULL),
        FAIL_NONE);
    assert_non_null(strstr(gbnf, "root ::="));
    shim_free(gbnf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_over_json),
        cmocka_unit_test(what_throws_is_an_error),
        cmocka_unit_test(schemas_become_grammars),
    };
    shim_quiet();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
