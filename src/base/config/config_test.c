/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what the YAML reader refuses, of lines in errors, and of inhouse.yaml's options. */
#include "base/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void hostile_yaml_is_refused_with_its_line(void **state)
{
    (void)state;
    static char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    static const struct {
        const char *s;
        int line;
        const char *says;
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n", 3, "twice"},
        {"a: &x 1\nb: *x\n", 1, "anchors"},
        {"a: 1\nb: *x\n", 2, "aliases"},
        {"a: !!python/object 1\n", 1, "tags"},
        {"a:\n  <<: {b: 1}\n", 2, "merge"},
        {"a: 1\n---\nb: 2\n", 2, "second document"},
        {"a: [1, 2\nb: 3\n", 2, "not valid YAML"},
        {"a:\n\t- 1\n", 2, "not valid YAML"},
        {"? [a]\n: 1\n", 1, "key"},
        {"a: \"x\\0y\"\n", 1, "NUL"},
        {"a: 1\nb: \xff\n", 2, "UTF-8"},
        {deep, 1, "too deep"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config_faults faults;
        config_faults_init(&faults, "");
        struct config_tree *tree;
        assert_int_equal(config_yaml_parse(rows[i].s, strlen(rows[i].s), "t.yaml", &tree, &faults),
                         FAIL_BAD_REQUEST);
        assert_null(tree);
        if (faults.count == 0 || faults.list[0].line != rows[i].line ||
            strstr(faults.list[0].message, rows[i].says) == NULL) {
            fail_msg("row %zu: line %d: %s", i, faults.list[0].line, faults.list[0].message);
        }
    }
}

static void plain_values_have_yaml_1_2_types(void **state)
{
    (void)state;
    static const char s[] = "i: 42\nr: 0.5\nb: true\nn: ~\nno: no\nq: \"42\"\n"
                            "v: 1.2.3\nt: |\n  one\n  two\nl: [a, 2]\n";
    struct config_faults faults;
    config_faults_init(&faults, "");
    struct config_tree *tree;
    assert_int_equal(config_yaml_parse(s, strlen(s), "t.yaml", &tree, &faults), FAIL_NONE);
    const struct config_node *root = config_tree_root(tree);
    static const struct {
        const char *key;
        enum config_kind kind;
    } rows[] = {{"i", CONFIG_INT},    {"r", CONFIG_REAL},    {"b", CONFIG_BOOL},
                {"n", CONFIG_NULL},   {"no", CONFIG_STRING}, {"q", CONFIG_STRING},
                {"v", CONFIG_STRING}, {"t", CONFIG_STRING},  {"l", CONFIG_LIST}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(config_node_find(root, rows[i].key)->kind, rows[i].kind);
    }
    assert_string_equal(config_node_find(root, "t")->text, "one\ntwo\n");
    assert_int_equal(config_node_find(root, "l")->items[1]->number, 2);
    assert_int_equal(config_node_find(root, "l")->line, 11);
    const char *str = "kept";
    assert_false(config_node_str(root, "absent", false, 9, &str, &faults));
    assert_string_equal(str, "kept");
    assert_int_equal(faults.count, 0);
    assert_false(config_node_str(root, "i", true, 9, &str, &faults));
    assert_int_equal(faults.list[0].line, 1);
    static const char *const keys[] = {"i", "r", NULL};
    assert_false(config_node_only(root, keys, &faults));
    assert_int_equal(faults.count, 8);
    config_tree_free(tree);
}

static void all_errors_of_a_file_are_reported_at_once(void **state)
{
    (void)state;
    static const char s[] = "listen:\n  port: 99999\n  address: 0.0.0.0\n  colour: red\n"
                            "lgo:\n  level: info\nengine:\n  kind: os.environ/INHOUSE_NOT_SET_X\n"
                            "  seal: yes\ncost:\n  per_kwh: -1\n";
    struct config_faults faults;
    struct config *c;
    assert_int_equal(config_read(s, strlen(s), "inhouse.yaml", &c, &faults), FAIL_BAD_REQUEST);
    static const int lines[] = {2, 3, 4, 5, 8, 9, 11};
    assert_int_equal(faults.count, COUNT_OF(lines));
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_int_equal(faults.list[i].line, lines[i]);
    }
    assert_non_null(strstr(faults.list[1].message, "TLS"));
    struct fault why;
    assert_int_equal(config_faults_fault(&faults, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "inhouse.yaml line 2"));
    assert_non_null(strstr(why.message, "6 more"));
}

static void defaults_hold_without_a_file_and_values_are_read(void **state)
{
    (void)state;
    struct config_faults faults;
    struct config *c;
    assert_int_equal(config_read(NULL, 0, "", &c, &faults), FAIL_NONE);
    assert_int_equal(c->listen_port, 8460);
    assert_string_equal(c->listen_address, "127.0.0.1");
    assert_true(c->engine_seal);
    assert_true(c->cost_per_kwh == 300000000);
    struct fault why;
    assert_int_equal(config_override(c, "listen.port", "0", &why), FAIL_NONE);
    assert_int_equal(config_override(c, "listen.address", "10.0.0.1", &why), FAIL_BAD_REQUEST);
    assert_int_equal(config_override(c, "listen.adress", "10.0.0.1", &why), FAIL_UNKNOWN_PARAMETER);
    config_unref(c);
    setenv("INHOUSE_TEST_MODEL", "smollm2", 1);
    static const char s[] = "models:\n  light: os.environ/INHOUSE_TEST_MODEL\nlimits:\n";
    assert_int_equal(config_read(s, strlen(s), "inhouse.yaml", &c, &faults), FAIL_NONE);
    assert_string_equal(c->models_light, "smollm2");
    config_unref(c);
}

static void litellm_models_are_candidates(void **state)
{
    (void)state;
    static const char s[] = "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n"
                            "      model: azure/gpt-4o\n      api_key: os.environ/NOT_SET\n"
                            "      rpm: 6\ngeneral_settings:\n  master_key: sk-1234\n";
    struct config_faults faults;
    struct config *c;
    assert_int_equal(config_read(s, strlen(s), "inhouse.yaml", &c, &faults), FAIL_NONE);
    assert_int_equal(c->candidates_len, 1);
    assert_string_equal(c->candidates[0].model, "azure/gpt-4o");
    assert_int_equal(c->notes_len, 2);
    assert_non_null(strstr(c->notes[0], "line 2"));
    for (size_t i = 0; i < c->notes_len; i++) {
        assert_null(strstr(c->notes[i], "sk-1234"));
    }
    config_unref(c);
}

static void a_model_list_entry_finds_or_makes_its_upstream(void **state)
{
    (void)state;
    static const char s[] =
        "upstreams:\n"
        "  - {name: gpu, base: \"http://10.1.2.3:8000/v1/\", on_prem: true, allow: [10.1.0.0/16]}\n"
        "model_list:\n"
        "  - model_name: big\n"
        "    litellm_params: {model: openai/gpt-4o, api_key: os.environ/K, weight: 3}\n"
        "    model_info: {input_cost_per_token: 0.0000025, output_cost_per_token: 1e-05}\n"
        "  - model_name: big\n"
        "    litellm_params: {model: hosted_vllm/qwen, api_base: \"http://10.1.2.3:8000/v1\"}\n"
        "  - model_name: claude\n"
        "    litellm_params: {model: anthropic/claude-x, api_key: os.environ/A}\n"
        "  - model_name: plain\n"
        "    litellm_params: {model: hosted_vllm/qwen, api_base: \"http://10.9.9.9/v1\"}\n"
        "  - model_name: told\n"
        "    litellm_params: {model: openai/x, api_key: sk-written-out}\n";
    struct config_faults faults;
    struct config *c;
    assert_int_equal(config_read(s, strlen(s), "inhouse.yaml", &c, &faults), FAIL_NONE);
    assert_int_equal(c->upstreams_len, 3);
    assert_string_equal(c->upstreams[0].base, "http://10.1.2.3:8000/v1");
    assert_int_equal(c->upstreams[0].allow[0].bits, 96 + 16);
    const struct config_candidate *m = c->candidates;
    assert_string_equal(c->upstreams[m[0].upstream].name, "api.openai.com");
    assert_string_equal(c->upstreams[m[0].upstream].key, "os.environ/K");
    assert_string_equal(m[0].remote, "gpt-4o");
    assert_int_equal(m[0].price_in, 2500000000);
    assert_int_equal(m[0].price_out, 10000000000);
    assert_int_equal(m[0].weight, 3);
    assert_int_equal(m[1].upstream, 0);
    assert_int_equal(m[1].price_in, -1);
    assert_int_equal(c->upstreams[m[2].upstream].dialect, CONFIG_ANTHROPIC);
    assert_int_equal(m[3].upstream, -1); /* not encrypted, and nobody said that it is ours */
    assert_int_equal(m[4].upstream, -1);
    for (size_t i = 0; i < c->notes_len; i++) {
        assert_null(strstr(c->notes[i], "sk-written-out"));
    }
    config_unref(c);
}

static void upstreams_that_would_leak_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } cases[] = {
        {"base: \"http://example.com/v1\"", "not encrypted"},
        {"base: \"ftp://example.com\"", "must begin with"},
        {"base: \"https://me:pw@example.com\"", "only"},
        {"base: \"https://example.com/v1?x=1\"", "only"},
        {"base: \"https://example.com:99999\"", "port"},
        {"base: \"https://x\", key: sk-123", "written out"},
        {"base: \"https://x\", on_prem: true", "no range"},
        {"base: \"https://x\", on_prem: true, allow: [0.0.0.0/0]", "not wholly private"},
        {"base: \"https://x\", allow: [169.254.0.0/16]", "not wholly private"},
        {"base: \"https://x\", allow: [10.0.0.0/7]", "not wholly private"},
        {"base: \"https://x\", allow: [\"::/0\"]", "not wholly private"},
        {"base: \"https://x\", allow: [somewhere]", "no range"},
        {"base: \"https://x\", verify: false", "verify"},
        {"base: \"https://x\", budget: {amount: -1}", "amount"},
        {"base: \"https://x\", kind: azure", "kind"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[512];
        struct config_faults faults;
        struct config *c;
        snprintf(text, sizeof(text), "upstreams:\n  - {name: u, %s}\n", cases[i].row);
        assert_int_equal(config_read(text, strlen(text), "inhouse.yaml", &c, &faults),
                         FAIL_BAD_REQUEST);
        if (strstr(faults.list[0].message, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].row, faults.list[0].message);
        }
        assert_null(strstr(faults.list[0].message, "sk-123"));
    }
}

static void reload_names_what_needs_a_restart(void **state)
{
    (void)state;
    struct config_faults faults;
    struct config *a;
    struct config *b;
    assert_int_equal(config_read(NULL, 0, "", &a, &faults), FAIL_NONE);
    static const char s[] = "listen: {port: 9000}\nlog: {level: debug}\n";
    assert_int_equal(config_read(s, strlen(s), "inhouse.yaml", &b, &faults), FAIL_NONE);
    assert_false(config_reload_check(a, b, &faults));
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.list[0].param, "listen.port");
    config_unref(a);
    config_unref(b);
}

static void the_committed_page_lists_every_option(void **state)
{
    (void)state;
    const char *source = getenv("INHOUSE_SOURCE");
    char path[4096];
    static char page[65536];
    struct buf made;
    if (source == NULL) {
        skip(); /* run by hand: ctest says where the source is */
    }
    (void)snprintf(path, sizeof(path), "%s/docs/reference/config.md", source);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
    (void)fclose(f);
    buf_init(&made, sizeof(page));
    config_describe(&made);
    assert_string_equal(made.data, page); /* else: inhoused --options > docs/reference/config.md */
    buf_done(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_yaml_is_refused_with_its_line),
        cmocka_unit_test(plain_values_have_yaml_1_2_types),
        cmocka_unit_test(all_errors_of_a_file_are_reported_at_once),
        cmocka_unit_test(defaults_hold_without_a_file_and_values_are_read),
        cmocka_unit_test(litellm_models_are_candidates),
        cmocka_unit_test(a_model_list_entry_finds_or_makes_its_upstream),
        cmocka_unit_test(upstreams_that_would_leak_are_refused),
        cmocka_unit_test(reload_names_what_needs_a_restart),
        cmocka_unit_test(the_committed_page_lists_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
