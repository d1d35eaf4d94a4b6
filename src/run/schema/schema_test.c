/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of run/schema: what is accepted, what is refused and how it is named, and hostile schemas.
 * The official suite and the random documents are in tests/schema.
 */
#include "run/schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "run/form/form.h"

static struct schema *compiled(const char *text)
{
    struct schema *schema = NULL;
    struct fault why = {0};
    if (schema_compile_text(text, strlen(text), &schema, &why) != FAIL_NONE) {
        fail_msg("%s: %s", text, why.message);
    }
    return schema;
}

struct row {
    const char *schema;
    const char *yes[6];
    const char *no[8];
};

static const struct row rows[] = {
    {"{\"type\":\"integer\",\"minimum\":-3,\"exclusiveMaximum\":120}",
     {"0", "-3", "119", "7"},
     {"-4", "120", "-0", "01", "1.0", "1e1", "-", ""}},
    {"{\"type\":\"number\",\"minimum\":0.5,\"maximum\":2}",
     {"0.5", "2", "1.99", "2.0", "0.500000001"},
     {"0.4", "2.1", "0.49999", "3", "-1", "0.", "2.000000001"}},
    {"{\"type\":\"number\",\"multipleOf\":0.25,\"exclusiveMinimum\":0,\"maximum\":1}",
     {"0.25", "1", "0.5", "0.750"},
     {"0", "0.3", "1.25", "0.251", "-0.25"}},
    {"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":100,\"maximum\":110}",
     {"105"},
     {"106", "7", "98", "112", "1050"}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"a\\n\\\"\"", "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", "\"\\u00e9x\"",
      "\"\\ud83d\\ude00a\""},
     {"\"a\"", "\"abcd\"", "\"a\\n\"b", "\"\\ud83d\"", "\"\xc3\"", "\"a\nb\"", "\"\\u0000a\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d+$\"}",
     {"\"AB-1\"", "\"XY-0099\""},
     {"\"AB-\"", "\"ab-1\"", "\"AB-1x\"", "\" AB-1\""}},
    {"{\"type\":\"string\",\"pattern\":\"b+\"}",
     {"\"abc\"", "\"b\"", "\"xx\\nbb\""},
     {"\"\"", "\"acd\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2026-11-22\"", "\"2024-02-29\"", "\"2000-02-29\""},
     {"\"2026-02-29\"", "\"1900-02-29\"", "\"2026-13-01\"", "\"2026-1-1\"", "\"2026-04-31\"",
      "\"0000-02-29\""}},
    {"{\"enum\":[\"a\",\"ab\",1,12,null,{\"k\":[1]}]}",
     {"\"a\"", "\"ab\"", "1", "12", "null", "{\"k\": [1]}"},
     {"\"b\"", "2", "123", "true", "{\"k\":[1]}"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}",
     {"[true]", "[true, false]"},
     {"[]", "[true, true, true]", "[1]", "[true,false]", "[true", "[ true]"}},
    {"{\"prefixItems\":[{\"const\":1}],\"items\":{\"type\":\"string\"},\"type\":\"array\"}",
     {"[]", "[1]", "[1, \"a\", \"b\"]"},
     {"[2]", "[1, 1]"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"null\"}},"
     "\"required\":[\"b\"],\"additionalProperties\":false}",
     {"{\"b\": null}", "{\"a\": 1, \"b\": null}"},
     {"{}", "{\"a\": 1}", "{\"b\": null, \"a\": 1}", "{\"c\": 1}", "{\"b\": null, \"b\": null}",
      "{\"b\":null}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":true},\"additionalProperties\":{\"type\":"
     "\"integer\"},\"maxProperties\":2}",
     {"{}", "{\"a\": \"x\", \"z\": 1}", "{\"x\": 1, \"y\": 2}"},
     {"{\"z\": \"x\"}", "{\"x\": 1, \"x\": 2}", "{\"x\": 1, \"y\": 2, \"z\": 3}",
      "{\"x\": 1, \"a\": 1}"}},
    {"{\"type\":\"object\",\"patternProperties\":{\"^x\":{\"type\":\"integer\"}},"
     "\"additionalProperties\":{\"type\":\"null\"}}",
     {"{\"xa\": 1}", "{\"b\": null, \"x\": 2}"},
     {"{\"xa\": null}", "{\"b\": 1}"}},
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":2}}},{\"properties\":{"
     "\"a\":{\"type\":\"integer\",\"maximum\":4}},\"required\":[\"a\"],"
     "\"additionalProperties\":false}]}",
     {"{\"a\": 3}"},
     {"{\"a\": 5}", "{\"a\": 1}", "{}", "{\"a\": 3, \"b\": 1}"}},
    {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{\"k\":{\"const\":"
     "\"x\"}},\"required\":[\"k\"],\"additionalProperties\":false}]}",
     {"\"s\"", "{\"k\": \"x\"}"},
     {"1", "{\"k\": \"y\"}", "{}"}},
    {"{\"oneOf\":[{\"type\":\"string\",\"maxLength\":3},{\"type\":\"string\",\"minLength\":2}]}",
     {"\"a\"", "\"abcd\""},
     {"\"ab\"", "\"abc\""}},
    {"{\"if\":{\"properties\":{\"t\":{\"const\":1}},\"required\":[\"t\"]},\"then\":{\"required\":["
     "\"u\"]},\"type\":\"object\",\"properties\":{\"t\":{\"enum\":[1,2]},\"u\":{\"type\":\"null\"}"
     "},\"additionalProperties\":false}",
     {"{\"t\": 2}", "{\"t\": 1, \"u\": null}", "{}"},
     {"{\"t\": 1}", "{\"t\": 3}"}},
    {"{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{"
     "\"type\":\"integer\"},\"next\":{\"$ref\":\"#/$defs/n\"}},\"required\":[\"v\"],"
     "\"additionalProperties\":false}}}",
     {"{\"v\": 1}", "{\"v\": 1, \"next\": {\"v\": 2}}"},
     {"{\"next\": {\"v\": 1}}", "{\"v\": 1, \"next\": {}}"}},
    {"{\"not\":{\"enum\":[\"a\",\"b\"]},\"type\":\"string\"}", {"\"c\"", "\"ab\"", "\"\""},
     {"\"a\"", "\"b\"", "1"}},
};

static void documents_are_accepted_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct schema *schema = compiled(rows[i].schema);
        for (size_t k = 0; k < 6 && rows[i].yes[k] != NULL; k++) {
            if (!schema_accepts(schema, NULL, rows[i].yes[k], strlen(rows[i].yes[k]))) {
                fail_msg("%s refuses %s", rows[i].schema, rows[i].yes[k]);
            }
        }
        for (size_t k = 0; k < 8 && rows[i].no[k] != NULL; k++) {
            if (schema_accepts(schema, NULL, rows[i].no[k], strlen(rows[i].no[k]))) {
                fail_msg("%s accepts %s", rows[i].schema, rows[i].no[k]);
            }
        }
        schema_free(schema);
    }
}

static void what_is_not_supported_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        enum fail code;
        const char *words;
    } cases[] = {
        {"{\"properties\":{\"tags\":{\"uniqueItems\":true}}}", FAIL_UNSUPPORTED,
         "keyword \"uniqueItems\" at #/properties/tags"},
        {"{\"$defs\":{\"a\":{\"frobnicate\":1}},\"$ref\":\"#/$defs/a\"}", FAIL_UNSUPPORTED,
         "keyword \"frobnicate\" at #/$defs/a"},
        {"{\"items\":[{}]}", FAIL_UNSUPPORTED, "items at # is a list"},
        {"{\"format\":\"iri\"}", FAIL_UNSUPPORTED, "\"iri\""},
        {"{\"pattern\":\"(?=a)\"}", FAIL_UNSUPPORTED, "pattern at #"},
        {"{\"pattern\":\"(a)\\\\1\"}", FAIL_UNSUPPORTED, "back reference"},
        {"{\"pattern\":\"(a\"}", FAIL_BAD_REQUEST, "( without its )"},
        {"{\"$ref\":\"https://example.com/a\"}", FAIL_UNSUPPORTED, "$ref at #"},
        {"{\"$ref\":\"#\"}", FAIL_BAD_REQUEST, "refers to itself"},
        {"{\"type\":\"text\"}", FAIL_BAD_REQUEST, "type at # names no type"},
        {"{\"required\":[\"a\"],\"type\":\"object\",\"additionalProperties\":false}",
         FAIL_UNSUPPORTED, "allows no document"},
        {"{\"properties\":{\"a/b~\":{\"contains\":{}}}}", FAIL_UNSUPPORTED,
         "#/properties/a~1b~0"},
        {"{\"multipleOf\":0.00000000001}", FAIL_UNSUPPORTED, "multipleOf"},
        {"[1]", FAIL_BAD_REQUEST, "object or a boolean"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schema *schema = NULL;
        struct fault why = {0};
        enum fail failed =
            schema_compile_text(cases[i].schema, strlen(cases[i].schema), &schema, &why);
        if (failed != cases[i].code || strstr(why.message, cases[i].words) == NULL) {
            fail_msg("%s: %d %s", cases[i].schema, failed, failed == FAIL_NONE ? "" : why.message);
        }
    }
}

static enum fail try_text(struct buf *text)
{
    struct schema *schema = NULL;
    struct fault why = {0};
    assert_false(text->overflow);
    enum fail failed = schema_compile_text(text->data, text->len, &schema, &why);
    schema_free(schema);
    return failed;
}

static void put_times(struct buf *text, const char *what, int times)
{
    for (int i = 0; i < times; i++) {
        (void)buf_add_str(text, what);
    }
}

/* Each either works or is refused; none hangs (the suite's time limit is the judge). */
static void hostile_schemas_end(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1u << 20);
    (void)buf_add_str(&b, "{\"pattern\":\"");
    put_times(&b, "(", 60000);
    (void)buf_add_str(&b, "\"}");
    assert_int_equal(try_text(&b), FAIL_TOO_LARGE);
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"pattern\":\"(a+)+b\",\"type\":\"string\"}");
    assert_int_equal(try_text(&b), FAIL_NONE);
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"pattern\":\"");
    put_times(&b, "(a|a)*", 80);
    (void)buf_add_str(&b, "(a|b)*a(a|b){18}$\"}"); /* 2^19 states */
    assert_int_equal(try_text(&b), FAIL_TOO_LARGE);
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"pattern\":\"((((a{1000}){1000}){1000}){1000})\"}");
    assert_int_equal(try_text(&b), FAIL_TOO_LARGE);
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"enum\":[");
    for (int i = 0; i < 6000; i++) {
        (void)buf_printf(&b, "%s\"v%d\"", i > 0 ? "," : "", i);
    }
    (void)buf_add_str(&b, "]}");
    assert_int_equal(try_text(&b), FAIL_NONE);
    /* a chain of references, each twice: 2^60 ways down, 60 places */
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"$ref\":\"#/$defs/a0\",\"$defs\":{");
    for (int i = 0; i < 60; i++) {
        (void)buf_printf(&b,
                         "\"a%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/a%d\"},{\"$ref\":\"#/$defs/a%d\"}"
                         "]},",
                         i, i + 1, i + 1);
    }
    (void)buf_add_str(&b, "\"a60\":{\"type\":\"null\"}}}");
    assert_int_equal(try_text(&b), FAIL_NONE);
    /* allOf of anyOfs: 8^8 combinations */
    buf_clear(&b);
    (void)buf_add_str(&b, "{\"allOf\":[");
    for (int i = 0; i < 8; i++) {
        (void)buf_add_str(&b, i > 0 ? ",{\"anyOf\":[" : "{\"anyOf\":[");
        for (int k = 0; k < 8; k++) {
            (void)buf_printf(&b, "%s{\"type\":\"object\",\"required\":[\"p%d_%d\"]}",
                             k > 0 ? "," : "", i, k);
        }
        (void)buf_add_str(&b, "]}");
    }
    (void)buf_add_str(&b, "]}");
    assert_int_equal(try_text(&b), FAIL_TOO_LARGE);
    buf_done(&b);
}

static void a_walk_says_what_must_come_and_survives_compaction(void **state)
{
    (void)state;
    struct schema *schema = compiled(
        "{\"type\":\"object\",\"properties\":{\"id\":{\"const\":7},\"t\":{\"type\":\"string\"}},"
        "\"required\":[\"id\",\"t\"],\"additionalProperties\":{\"type\":\"integer\"}}");
    struct schema_walk *walk = schema_walk_new(schema, NULL);
    static const char start[] = "{\"id\": 7, \"t\": \"";
    static const char rest[] = "x\", \"ab\": 1, \"ac\": 2";
    uint32_t at = schema_walk_start(walk);
    for (size_t i = 0; i < sizeof start - 1; i++) {
        assert_int_equal(schema_walk_forced(walk, at), start[i]);
        at = schema_walk_step(walk, at, (uint8_t)start[i]);
    }
    assert_int_equal(schema_walk_forced(walk, at), -1);
    assert_int_equal(schema_walk_room(walk, at), SCHEMA_ROOM_MAX);
    for (size_t i = 0; i < sizeof rest - 1; i++) {
        at = schema_walk_compact(walk, schema_walk_step(walk, at, (uint8_t)rest[i]));
        assert_int_not_equal(at, 0);
    }
    /* "ab" was used: not again, and the walk still knows after compaction */
    uint32_t twice = at;
    for (const char *p = ", \"ab"; *p != '\0'; p++) {
        twice = schema_walk_step(walk, twice, (uint8_t)*p);
    }
    assert_int_not_equal(twice, 0);
    assert_int_equal(schema_walk_step(walk, twice, '"'), 0);
    at = schema_walk_step(walk, at, '}');
    assert_true(schema_walk_over(walk, at));
    schema_walk_free(walk);
    schema_free(schema);
}

static void a_flat_object_becomes_a_form(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"object\",\"title\":\"t\",\"properties\":{\"queue\":{\"enum\":[\"a b\",\"c\"]},"
        "\"stars\":{\"enum\":[1,2,3]},\"urgent\":{\"type\":\"boolean\"},\"days\":{\"type\":"
        "\"integer\",\"exclusiveMinimum\":0,\"maximum\":30},\"price\":{\"type\":\"number\","
        "\"minimum\":0.5,\"maximum\":9.999,\"multipleOf\":0.1},\"due\":{\"type\":\"string\","
        "\"format\":\"date\"},\"note\":{\"type\":\"string\",\"maxLength\":40}}}";
    static const enum form_kind kinds[] = {FORM_LITERAL, FORM_CHOICE, FORM_LITERAL, FORM_CHOICE,
                                           FORM_LITERAL, FORM_BOOLEAN, FORM_LITERAL, FORM_NUMBER,
                                           FORM_LITERAL, FORM_NUMBER, FORM_LITERAL, FORM_DATE,
                                           FORM_LITERAL, FORM_TEXT, FORM_LITERAL};
    struct form_plan *plan = NULL;
    struct fault why = {0};
    AUTO_JSON json_t *tree = NULL;
    assert_int_equal(jn_parse(text, sizeof text - 1, "schema", &tree, NULL), FAIL_NONE);
    if (schema_form(tree, &plan, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_int_equal(plan->n_pieces, sizeof kinds / sizeof *kinds);
    for (size_t i = 0; i < plan->n_pieces; i++) {
        assert_int_equal(plan->pieces[i].kind, kinds[i]);
    }
    assert_string_equal(plan->pieces[0].text, "{\"queue\": \"");
    assert_string_equal(plan->pieces[2].text, "\", \"stars\": ");
    assert_string_equal(plan->pieces[7].min, "1");
    assert_string_equal(plan->pieces[7].max, "30");
    assert_string_equal(plan->pieces[9].min, "0.5");
    assert_string_equal(plan->pieces[9].max, "9.9");
    assert_string_equal(plan->pieces[14].text, "\"}");
    form_plan_free(plan);
}

static void a_filled_form_is_a_valid_document_or_none(void **state)
{
    (void)state;
    static const char text[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,2]},"
                               "\"note\":{\"type\":\"string\",\"maxLength\":8}}}";
    static const struct {
        const char *a, *note, *document; /* NULL: refused */
    } cases[] = {
        {"2", "hello", "{\"a\": 2, \"note\": \"hello\"}"},
        {"1", "a\\tb", "{\"a\": 1, \"note\": \"a\\tb\"}"},
        {"1", "a\\", "{\"a\": 1, \"note\": \"a\\\\\"}"},
        {"1", "", "{\"a\": 1, \"note\": \"\"}"},
        {"3", "hello", NULL},
        {"1", "longer than it may be", NULL},
    };
    struct form_plan *plan = NULL;
    struct schema *schema = NULL;
    AUTO_JSON json_t *tree = NULL;
    assert_int_equal(jn_parse(text, sizeof text - 1, "schema", &tree, NULL), FAIL_NONE);
    assert_int_equal(schema_form(tree, &plan, NULL), FAIL_NONE);
    assert_int_equal(schema_compile(tree, &schema, NULL), FAIL_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form_result *result = form_result_new();
        form_result_add(result, &(struct form_field){
                                    .name = "a", .kind = FORM_CHOICE, .value = cases[i].a});
        assert_false(schema_form_fill(schema, plan, result, &(struct buf){0}));
        form_result_add(result, &(struct form_field){
                                    .name = "note", .kind = FORM_TEXT, .value = cases[i].note});
        struct buf out;
        buf_init(&out, 4096);
        bool valid = schema_form_fill(schema, plan, result, &out);
        assert_int_equal(valid, cases[i].document != NULL);
        if (valid) {
            assert_string_equal(out.data, cases[i].document);
        }
        buf_done(&out);
        form_result_free(result);
    }
    schema_free(schema);
    form_plan_free(plan);
}

static void what_a_form_cannot_keep_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"type\":\"object\",\"properties\":{\"tags\":{\"type\":\"array\"}}}",
         "#/properties/tags"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}",
         "maxLength"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
         "\"maxLength\":9,"
         "\"pattern\":\"x\"}}}",
         "\"pattern\""},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\","
         "\"multipleOf\":3}}}",
         "multipleOf"},
        {"{\"type\":\"object\",\"properties\":{\"A b\":{\"type\":\"boolean\"}}}",
         "#/properties/A b"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"\\u0001\"]}}}",
         "plain strings"},
        {"{\"type\":\"array\"}", "not a flat object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form_plan *plan = NULL;
        struct fault why = {0};
        AUTO_JSON json_t *tree = NULL;
        assert_int_equal(jn_parse(cases[i][0], strlen(cases[i][0]), "schema", &tree, NULL),
                         FAIL_NONE);
        assert_int_equal(schema_form(tree, &plan, &why), FAIL_UNSUPPORTED);
        if (strstr(why.message, cases[i][1]) == NULL) {
            fail_msg("%s: %s", cases[i][0], why.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_accepted_or_not),
        cmocka_unit_test(what_is_not_supported_is_named_with_its_place),
        cmocka_unit_test(hostile_schemas_end),
        cmocka_unit_test(a_flat_object_becomes_a_form),
        cmocka_unit_test(a_filled_form_is_a_valid_document_or_none),
        cmocka_unit_test(what_a_form_cannot_keep_is_named),
        cmocka_unit_test(a_walk_says_what_must_come_and_survives_compaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
