/* SPDX-License-Identifier: Apache-2.0 */
/* Runs made of blocks as the sealed reader says them: counts, classes, causes, owners, places, the
   verdict, and that no sentence stands which the run does not bear out. */
#include "work/qa/qa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json/json.h"
#include "work/qa/qa_internal.h"

/* ---- runs ---- */

#define BLOCKS 2000
struct maker {
    struct document_block blocks[BLOCKS];
    size_t n;
    uint32_t row;
};

static void block(struct maker *m, enum document_kind kind, uint32_t suite, unsigned level,
                  const char *path, const char *text)
{
    assert_true(m->n < BLOCKS);
    m->blocks[m->n++] = (struct document_block){.kind = kind,
                                                .table = suite,
                                                .row = kind == DOCUMENT_SUITE ? 0 : m->row,
                                                .level = level,
                                                .line = (uint32_t)m->n,
                                                .path = path,
                                                .text = text,
                                                .len = strlen(text)};
}

static void suite(struct maker *m, const char *name)
{
    m->row = 0;
    block(m, DOCUMENT_SUITE, 1, 0, "", name);
}

/* us "": it does not say */
static void test(struct maker *m, const char *name, const char *state, const char *us,
                 const char *message)
{
    m->row++;
    block(m, DOCUMENT_CASE, 1, 0, "", name);
    block(m, DOCUMENT_VALUE, 1, 0, "class", "shop.Cart");
    block(m, DOCUMENT_VALUE, 1, 0, "state", state);
    if (us[0] != '\0') {
        block(m, DOCUMENT_VALUE, 1, 0, "duration_us", us);
    }
    if (message[0] != '\0') {
        block(m, DOCUMENT_VALUE, 1, 0, "message", message);
    }
}

static struct qa_run *end(struct maker *m, const char *name)
{
    struct fault why;
    struct document d = {.blocks = m->blocks, .blocks_len = m->n};
    struct qa_run *run = qa_run_new(name);
    assert_int_equal(qa_run_add(run, &d, name, &why), FAIL_NONE);
    assert_int_equal(qa_run_end(run, false, &why), FAIL_NONE);
    return run;
}

static struct maker m;

static void begin(void)
{
    m.n = 0;
    suite(&m, "cart");
}

static struct qa_options *options(const char *yaml)
{
    struct config_faults faults;
    struct config_tree *tree = NULL;
    config_faults_init(&faults, "options");
    assert_int_equal(config_yaml_parse(yaml, strlen(yaml), "options", &tree, &faults), FAIL_NONE);
    struct qa_options *o = qa_options_read(config_tree_root(tree), &faults);
    if (faults.count > 0) {
        fail_msg("%s", faults.list[0].message);
    }
    config_tree_free(tree);
    return o;
}

static const struct qa_change *find(const struct qa_result *r, const char *shown)
{
    for (size_t i = 0; i < r->changes_len; i++) {
        const struct qa_change *c = &r->changes[i];
        if (strcmp((c->now != NULL ? c->now : c->before)->shown, shown) == 0) {
            return c;
        }
    }
    fail_msg("no %s", shown);
    return NULL;
}

static const char rules[] = "not_blocking: [infrastructure]\n"
                            "causes:\n"
                            "  - {name: refused, cause: infrastructure, match: \"refused\"}\n"
                            "  - {name: comparison, cause: assertion, match: \"expected\"}\n"
                            "owners:\n"
                            "  - {owner: \"@pay\", match: \"Cart\\\\.pays\", in: [test]}\n";

/* ---- tests ---- */

static void each_test_has_one_class(void **state)
{
    (void)state;
    begin();
    test(&m, "breaks", "passed", "1000", "");
    test(&m, "stays_red", "failed", "1000", "expected 1 got 2");
    test(&m, "heals", "error", "1000", "boom");
    test(&m, "goes", "passed", "1000", "");
    test(&m, "sleeps", "passed", "1000", "");
    test(&m, "wakes", "skipped", "", "later");
    test(&m, "crawls", "passed", "200000", "");
    struct qa_run *old = end(&m, "old.xml");
    begin();
    test(&m, "breaks", "failed", "1000", "expected 3 got 4");
    test(&m, "stays_red", "failed", "1000", "expected 1 got 2");
    test(&m, "heals", "passed", "1000", "");
    test(&m, "sleeps", "skipped", "", "off");
    test(&m, "wakes", "passed", "1000", "");
    test(&m, "crawls", "passed", "5000000", "");
    test(&m, "comes", "passed", "1000", "");
    test(&m, "comes_red", "error", "1000", "connection refused");
    struct qa_run *new = end(&m, "new.xml");
    struct qa_options *o = options(rules);
    const struct qa_run *before[] = {old};
    struct qa_result *r = qa_compare(new, before, 1, o, NULL);
    static const struct {
        const char *name;
        enum qa_class class;
    } want[] = {{"breaks", QA_NEW_FAILURE},   {"stays_red", QA_PERSISTENT}, {"heals", QA_FIXED},
                {"goes", QA_REMOVED},         {"sleeps", QA_NEW_SKIPPED},   {"wakes", QA_UNSKIPPED},
                {"crawls", QA_SLOWER},        {"comes", QA_ADDED},
                {"comes_red", QA_NEW_FAILURE}};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        char shown[64];
        (void)snprintf(shown, sizeof(shown), "shop.Cart.%s", want[i].name);
        assert_string_equal(qa_class_name(find(r, shown)->class), qa_class_name(want[i].class));
    }
    assert_int_equal(r->verdict, QA_BLOCKED);
    /* the same message as before is the same cause; the new one is new */
    assert_string_equal(r->groups[find(r, "shop.Cart.comes_red")->group].cause, "infrastructure");
    assert_true(r->groups[find(r, "shop.Cart.comes_red")->group].is_new);
    assert_false(r->groups[find(r, "shop.Cart.stays_red")->group].is_new);
    assert_int_equal(new->counts.tests, 8);
    assert_int_equal(new->counts.failed, 2);
    assert_int_equal(new->counts.errors, 1);
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(old);
    qa_run_free(new);
}

static void tries_and_turns_are_flaky(void **state)
{
    (void)state;
    begin();
    test(&m, "retried", "passed", "1000", "");
    block(&m, DOCUMENT_VALUE, 1, 1, "state", "failed");
    block(&m, DOCUMENT_VALUE, 1, 1, "message", "slow");
    block(&m, DOCUMENT_VALUE, 1, 2, "state", "passed");
    test(&m, "twice", "failed", "1000", "no");
    test(&m, "twice", "passed", "1000", "");
    test(&m, "never", "failed", "1000", "no");
    block(&m, DOCUMENT_VALUE, 1, 1, "state", "failed");
    block(&m, DOCUMENT_VALUE, 1, 2, "state", "failed");
    test(&m, "turns", "failed", "1000", "no");
    struct qa_run *new = end(&m, "new.xml"), *runs[3];
    for (int i = 0; i < 3; i++) {
        begin();
        test(&m, "turns", i == 1 ? "failed" : "passed", "1000", i == 1 ? "no" : "");
        test(&m, "never", "passed", "1000", "");
        test(&m, "twice", "passed", "1000", "");
        test(&m, "retried", "passed", "1000", "");
        runs[i] = end(&m, "old.xml");
    }
    struct qa_options *o = options("{}");
    struct qa_result *r = qa_compare(new, (const struct qa_run *const *)runs, 3, o, NULL);
    assert_int_equal(find(r, "shop.Cart.retried")->class, QA_NEW_FLAKY);
    assert_string_equal(find(r, "shop.Cart.retried")->flaky_why,
                        "1 of its 2 tries in this run did not pass");
    assert_int_equal(find(r, "shop.Cart.twice")->class, QA_NEW_FLAKY);
    assert_int_equal(find(r, "shop.Cart.never")->class, QA_NEW_FAILURE);
    assert_true(find(r, "shop.Cart.turns")->flaky);
    assert_int_equal(find(r, "shop.Cart.turns")->class, QA_PERSISTENT_FLAKY);
    assert_int_equal(find(r, "shop.Cart.turns")->failures, 1);
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(new);
    for (int i = 0; i < 3; i++) {
        qa_run_free(runs[i]);
    }
}

static void a_claim_that_lies_is_said(void **state)
{
    (void)state;
    m.n = 0;
    suite(&m, "cart");
    block(&m, DOCUMENT_VALUE, 1, 0, "tests", "5");
    block(&m, DOCUMENT_VALUE, 1, 0, "failures", "1");
    block(&m, DOCUMENT_VALUE, 1, 0, "message", "set-up failed");
    test(&m, "a", "failed", "", "x");
    test(&m, "b", "passed", "", "");
    struct qa_run *run = end(&m, "r.xml");
    assert_int_equal(run->disagreements_len, 1);
    assert_int_equal(run->disagreements[0].claimed, 5);
    assert_int_equal(run->disagreements[0].held, 2);
    struct qa_options *o = options("{}");
    struct qa_result *r = qa_compare(run, NULL, 0, o, NULL);
    assert_int_equal(r->broken_len, 1);
    assert_int_equal(find(r, "shop.Cart.a")->class, QA_FAILING);
    assert_int_equal(r->verdict, QA_BLOCKED);
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(run);
}

static void soft_causes_do_not_block(void **state)
{
    (void)state;
    begin();
    test(&m, "a", "passed", "", "");
    struct qa_run *old = end(&m, "old.xml");
    begin();
    test(&m, "a", "failed", "", "connection refused");
    struct qa_run *new = end(&m, "new.xml");
    const struct qa_run *before[] = {old};
    struct qa_options *o = options(rules);
    struct qa_result *r = qa_compare(new, before, 1, o, NULL);
    assert_int_equal(r->verdict, QA_ATTENTION);
    qa_result_free(r);
    r = qa_compare(old, before, 1, o, NULL);
    assert_int_equal(r->verdict, QA_FINE);
    assert_int_equal(r->reasons_len, 0);
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(old);
    qa_run_free(new);
}

static void options_say_what_is_wrong_with_its_line(void **state)
{
    (void)state;
    static const char yaml[] = "colour: red\ncauses:\n  - name: a\n    cause: b\n    match: \"(\"\n"
                               "    in: [somewhere]\nslower: {ratio: 0.5}\nflaky: {reports: x}\n";
    static const int lines[] = {1, 5, 6, 7, 8};
    struct config_faults faults;
    struct config_tree *tree = NULL;
    config_faults_init(&faults, "options");
    assert_int_equal(config_yaml_parse(yaml, sizeof(yaml) - 1, "o", &tree, &faults), FAIL_NONE);
    struct qa_options *o = qa_options_read(config_tree_root(tree), &faults);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        bool found = false;
        for (size_t k = 0; k < faults.count; k++) {
            found = found || faults.list[k].line == lines[i];
        }
        if (!found) {
            fail_msg("nothing is said of line %d", lines[i]);
        }
    }
    qa_options_free(o);
    config_tree_free(tree);
}

static void paths_have_owners(void **state)
{
    (void)state;
    static const char text[] =
        "# comment\n* @all\n*.js @js\n/build/logs/ @doctocat\ndocs/* docs@x.y\n"
        "apps/ @octocat\n**/deep/*.c @c\n/scripts/ @a @b # both\n"
        "/scripts/gen\n[Pay][2] @pay\nsrc/pay/\n";
    static const struct {
        const char *path, *owner;
    } cases[] = {{"README", "@all"},           {"a/b.js", "@js"},
                 {"build/logs/x", "@doctocat"}, {"a/build/logs/x", "@all"},
                 {"docs/a.md", "docs@x.y"},     {"docs/b/a.md", "@all"},
                 {"x/apps/y", "@octocat"},      {"a/deep/x.c", "@c"},
                 {"scripts/run", "@a @b"},      {"scripts/gen", NULL},
                 {"./src/pay/a/b.py", "@pay"}};
    struct qa_owners *o = qa_owners_read(text, sizeof(text) - 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int line;
        const char *owner = qa_owners_find(o, cases[i].path, &line);
        if (cases[i].owner == NULL) {
            assert_null(owner);
        } else {
            assert_non_null(owner);
            assert_string_equal(owner, cases[i].owner);
        }
    }
    qa_owners_free(o);
}

static void a_failure_has_a_place_and_a_headline(void **state)
{
    (void)state;
    static const struct {
        const char *message, *trace, *file, *headline;
        int64_t line;
    } cases[] = {
        {"",
         "Traceback (most recent call last):\n  File \"/usr/lib/python3/unittest.py\", line 9\n"
         "  File \"/builds/team/shop/tests/test_a.py\", line 12, in f\nValueError: x",
         "tests/test_a.py", "ValueError: x", 12},
        {"boom",
         "   at NUnit.Framework.Assert.That() in a.cs:line 3\n"
         "   at Shop.Cart.Pays() in D:\\a\\shop\\Cart.cs:line 16",
         "D:/a/shop/Cart.cs", "boom", 16},
        {"",
         "java.lang.AssertionError: no\n\tat org.junit.Assert.fail(Assert.java:89)\n"
         "\tat com.acme.CartTest.pays(CartTest.java:41)",
         "com/acme/CartTest.java", "java.lang.AssertionError: no", 41},
        {"Error: x",
         "Error: x\n    at foo (node_modules/jest/a.js:3:1)\n    at bar (src/a.test.js:7:9)",
         "src/a.test.js", "Error: x", 7},
        {"",
         "self = <T>\n\n>  assert 1 == 2\nE   assert 1 == 2\n\ntests/test_b.py:30: AssertionError",
         "tests/test_b.py", "assert 1 == 2", 30},
        {"", "package:test_api    expect\ntest/a_test.dart 22:7  main.<fn>", "test/a_test.dart",
         "package:test_api expect", 22},
        {"calc_test.go:19: expected 3", "", "calc_test.go", "calc_test.go:19: expected 3", 19},
        {"nothing at 12:30", "", "", "nothing at 12:30", 0}};
    struct arena *a = arena_new(1u << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct qa_case c = {.name = "", .class_name = "", .display = "", .file = "", .type = "",
                            .message = cases[i].message, .trace = cases[i].trace, .output = "",
                            .state = QA_FAILED};
        struct qa_place p = qa_find_place(a, NULL, &c);
        assert_string_equal(p.file, cases[i].file);
        assert_int_equal(p.line, cases[i].line);
        assert_string_equal(qa_headline(a, "", c.message, c.trace), cases[i].headline);
    }
    arena_free(a);
}

static void numbers_do_not_make_another_cause(void **state)
{
    (void)state;
    struct buf a, b;
    static const char one[] = "job 4f3c2a10-aa01-4c3d-9b3a-8f0a9c123456 at 0x7f01 took 12.5 s on "
                              "2026-01-02 in /tmp/x/run1/out.log";
    static const char two[] = "job 99ac2b10-bb01-4c3d-8b3a-8f0a9c654321 at 0x8e02 took 3 s on "
                              "2025-11-12 in /var/y/run22/out.log";
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    qa_normalise(one, sizeof(one) - 1, &a);
    qa_normalise(two, sizeof(two) - 1, &b);
    assert_string_equal(a.data, b.data);
    buf_done(&a);
    buf_done(&b);
}

static void no_sentence_stands_that_the_run_does_not_bear_out(void **state)
{
    (void)state;
    begin();
    test(&m, "pays", "passed", "1000", "");
    test(&m, "adds", "passed", "1000", "");
    test(&m, "ships", "failed", "1000", "expected 1 got 2");
    struct qa_run *old = end(&m, "old.xml");
    begin();
    test(&m, "pays", "failed", "1000", "connection refused by db:5432");
    test(&m, "adds", "passed", "1000", "");
    test(&m, "ships", "passed", "1000", "");
    struct qa_run *new = end(&m, "new.xml");
    const struct qa_run *before[] = {old};
    struct qa_options *o = options(rules);
    struct qa_result *r = qa_compare(new, before, 1, o, NULL);
    struct qa_sentence s[64];
    const char *sources[64];
    size_t n = qa_sentences(r, s, COUNT_OF(s));
    assert_true(n >= 4);
    for (size_t i = 0; i < n; i++) {
        if (!s[i].ok) {
            fail_msg("refused: %s (%s)", s[i].text, s[i].detail);
        }
        sources[i] = s[i].text;
    }
    assert_string_equal(s[0].text, "3 tests: 2 passed, 1 failed, 0 skipped.");
    sources[n++] = "connection refused by db:5432";
    static const struct {
        const char *text;
        bool ok;
    } said[] = {{"`shop.Cart.pays` fails by cause infrastructure.", true},
                {"`shop.Cart.ships` is fixed.", true},
                {"1 new failure.", true},
                {"2 new failures.", false},
                {"`shop.Cart.refunds` fails by cause infrastructure.", false},
                {"`shop.Cart.pays` is fixed.", false},
                {"`shop.Cart.adds` fails by cause infrastructure.", false},
                {"The database password was changed by the operator.", false},
                {"test_login and test_logout fail.", false}};
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        const char *detail;
        bool ok = qa_check_sentence(r, said[i].text, sources, n, &detail);
        if (ok != said[i].ok) {
            fail_msg("%s: %s", said[i].text, detail);
        }
    }
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(old);
    qa_run_free(new);
}

static void outputs_hold_their_limits(void **state)
{
    (void)state;
    static char names[300][40];
    begin();
    for (int i = 0; i < 300; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "t%03d `x` | <b>", i);
        test(&m, names[i], "failed", "1000", "expected [a](b) got\n# c");
    }
    struct qa_run *run = end(&m, "r.xml");
    struct qa_options *o = options(rules);
    struct qa_result *r = qa_compare(run, NULL, 0, o, NULL);
    struct qa_sentence s[64];
    struct qa_page p = {.result = r, .sentences = s, .title = "t", .now = 1700000000000000};
    struct buf b;
    json_t *j;
    struct fault why;
    p.sentences_len = qa_sentences(r, s, COUNT_OF(s));
    buf_init(&b, (size_t)16 << 20);
    qa_put_github(&p, &b);
    assert_int_equal(jn_parse(b.data, b.len, "github", &j, &why), FAIL_NONE);
    const json_t *out = json_object_get(j, "output");
    assert_true(json_array_size(json_object_get(out, "annotations")) == 50);
    assert_true(json_string_length(json_object_get(out, "summary")) <= 65535);
    assert_string_equal(json_string_value(json_object_get(j, "conclusion")), "failure");
    json_decref(j);
    buf_clear(&b);
    qa_put_markdown(&p, 2000, &b);
    assert_true(b.len <= 2100);
    assert_non_null(strstr(b.data, "did not fit"));
    buf_clear(&b);
    qa_put_ctrf(&p, &b);
    assert_int_equal(jn_parse(b.data, b.len, "ctrf", &j, &why), FAIL_NONE);
    assert_int_equal(json_array_size(json_object_get(json_object_get(j, "results"), "tests")), 300);
    json_decref(j);
    buf_clear(&b);
    qa_put_json(&p, &b);
    assert_int_equal(jn_parse(b.data, b.len, "json", &j, &why), FAIL_NONE);
    json_decref(j);
    buf_done(&b);
    qa_result_free(r);
    qa_options_free(o);
    qa_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_test_has_one_class),
        cmocka_unit_test(tries_and_turns_are_flaky),
        cmocka_unit_test(a_claim_that_lies_is_said),
        cmocka_unit_test(soft_causes_do_not_block),
        cmocka_unit_test(options_say_what_is_wrong_with_its_line),
        cmocka_unit_test(paths_have_owners),
        cmocka_unit_test(a_failure_has_a_place_and_a_headline),
        cmocka_unit_test(numbers_do_not_make_another_cause),
        cmocka_unit_test(no_sentence_stands_that_the_run_does_not_bear_out),
        cmocka_unit_test(outputs_hold_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
