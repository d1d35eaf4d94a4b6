/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `qa` with the shipped definition, the sealed reader and the example's four runs: what
 * it leaves, without a model and with one that invents. Needs INHOUSE_BUILD and INHOUSE_SOURCE;
 * exits 77 without.
 */
#include "base/json/json.h"
#include "base/text/text.h"
#include "trust/keyring/keyring.h"
#include "work/program/program.h"
#include "work/qa/qa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES_MAX ((size_t)1 << 20)

static char source[3000], reader_path[3000];
static const struct program_ops *const table[] = {&qa_program};

static char *read_file(const char *name, size_t *len)
{
    char path[4000];
    (void)snprintf(path, sizeof(path), "%s/%s", source, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = mem_alloc(BYTES_MAX);
    *len = fread(bytes, 1, BYTES_MAX - 1, f);
    fclose(f);
    return bytes;
}

/* ---- a model that says what it is told to ---- */

static const char *const said[] = {
    /* stands */
    "The test `shop.web.CheckoutTest.goes_back_to_cart` is fixed. ",
    /* a test that there is none of; a wrong count; a cause that nobody named */
    "`shop.cart.CartTest.counts_vouchers` fails. ",
    "12 tests failed. ",
    "The database password was changed yesterday by an operator."};

static void ask(void *arg, const struct program_ask *asks, size_t n, struct arena *arena,
                struct program_answer *out)
{
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        struct buf b;
        buf_init(&b, 8192);
        for (size_t k = 0; k < COUNT_OF(said); k++) {
            (void)buf_add_str(&b, said[k]);
        }
        bool summary = strstr(asks[i].text, "Facts about") != NULL;
        out[i] = (struct program_answer){
            .text = arena_dup_str(arena, summary ? b.data : "the moon was full"),
            .model = "liar"};
        out[i].len = strlen(out[i].text);
        buf_done(&b);
    }
}

static bool has_model(void *arg, const char *model)
{
    (void)model;
    return *(bool *)arg;
}

static enum fail render(void *arg, const char *text, const char *vars_json, int64_t now_s,
                        struct arena *arena, const char **out, struct fault *why)
{
    (void)arg, (void)vars_json, (void)now_s, (void)why;
    *out = arena_dup_str(arena, text);
    return FAIL_NONE;
}

/* ---- a run ---- */

static struct program_definition *definition(void)
{
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    size_t len;
    AUTO_FREE char *text = read_file("workflows/qa-regression.yaml", &len);
    if (program_definition_read(text, len, "qa-regression.yaml", table, 1, &d, &faults, &why) !=
        FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return d;
}

struct given {
    const char *role, *path;
};

static struct program_run *go(const struct given *given, size_t n, const char *format, bool model,
                              char **kept, enum fail expected, struct fault *why)
{
    static const struct principal who = {.name = "ann", .team = "qa"};
    static bool has;
    has = model;
    struct program_input inputs[8];
    struct program_run *run = NULL;
    struct program_definition *d = definition();
    for (size_t i = 0; i < n; i++) {
        size_t len;
        kept[i] = read_file(given[i].path, &len);
        const char *slash = strrchr(given[i].path, '/');
        inputs[i] = (struct program_input){given[i].role, slash + 1, "", kept[i], len};
    }
    struct program_start start = {.definition = d, .who = &who, .inputs = inputs, .inputs_len = n,
                                  .format = format, .now = 1778000000000000};
    struct program_host host = {.arg = &has, .ask = ask, .has_model = has_model, .render = render,
                                .reader_path = reader_path};
    assert_int_equal(program_run_new(&start, &host, &run, why), FAIL_NONE);
    program_definition_unref(d);
    enum fail f = program_run_go(run, why);
    if (f != expected) {
        fail_msg("%s", why->message);
    }
    return run;
}

static const struct given example[] = {{"new", "examples/qa/new.xml"},
                                       {"base", "examples/qa/base.xml"},
                                       {"history", "examples/qa/history-1.xml"},
                                       {"history", "examples/qa/history-2.xml"},
                                       {"owners", "examples/qa/CODEOWNERS"}};

static const struct program_output *output(const struct program_result *r, const char *name)
{
    for (size_t i = 0; i < r->outputs_len; i++) {
        if (strcmp(r->outputs[i].name, name) == 0) {
            return &r->outputs[i];
        }
    }
    return NULL;
}

static void free_all(struct program_run *run, char **kept, size_t n)
{
    program_run_free(run);
    for (size_t i = 0; i < n; i++) {
        mem_free(kept[i]);
    }
}

static void field_is(const struct program_result *r, const char *name, const char *value)
{
    for (size_t i = 0; i < r->fields_len; i++) {
        if (strcmp(r->fields[i].name, name) == 0) {
            assert_string_equal(r->fields[i].value, value);
            return;
        }
    }
    fail_msg("no field %s", name);
}

/* ---- tests ---- */

static void the_example_is_understood_without_a_model(void **state)
{
    (void)state;
    char *kept[COUNT_OF(example)];
    struct fault why;
    struct program_result r;
    struct program_run *run = go(example, COUNT_OF(example), NULL, false, kept, FAIL_NONE, &why);
    program_result(run, &r);
    field_is(&r, "verdict", "blocked");
    field_is(&r, "tests", "23");
    field_is(&r, "failing", "6");
    field_is(&r, "new_failures", "5");
    field_is(&r, "persistent", "1");
    field_is(&r, "fixed", "1");
    field_is(&r, "flaky", "1");
    field_is(&r, "slower", "1");
    for (size_t i = 0; i < r.checks_len; i++) {
        assert_true(r.checks[i].ok);
    }
    const struct program_output *md = output(&r, "report.md");
    assert_non_null(md);
    assert_true(md->main);
    static const char *const told[] = {
        "infrastructure: `connection refused or reset` (3)", "`shop/orders/Database.java:44`",
        "likely `@shop/orders`", "`shop.cart.CartTest.counts_discount_once`",
        "is flaky: 1 of its 2 tries", "took 4.2 s", "## Removed (1)"};
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        if (memmem(md->bytes, md->len, told[i], strlen(told[i])) == NULL) {
            fail_msg("not told: %s\n%.*s", told[i], (int)md->len, (const char *)md->bytes);
        }
    }
    assert_non_null(output(&r, "ctrf.json"));
    assert_non_null(output(&r, "github-check.json"));
    assert_non_null(output(&r, "regression.json"));
    free_all(run, kept, COUNT_OF(example));
}

static void what_a_model_invents_is_dropped_and_listed(void **state)
{
    (void)state;
    char *kept[COUNT_OF(example)];
    struct fault why;
    struct program_result r;
    size_t dropped = 0;
    struct program_run *run = go(example, COUNT_OF(example), "markdown", true, kept, FAIL_NONE,
                                 &why);
    program_result(run, &r);
    assert_int_equal(r.outputs_len, 1);
    const struct program_output *md = output(&r, "report.md");
    assert_null(memmem(md->bytes, md->len, "vouchers`", 9));
    assert_null(memmem(md->bytes, md->len, "12 tests", 8));
    assert_null(memmem(md->bytes, md->len, "password", 8));
    assert_null(memmem(md->bytes, md->len, "moon", 4));
    for (size_t i = 0; i < r.findings_len; i++) {
        dropped += strcmp(r.findings[i].code, "dropped_sentence") == 0 ? 1 : 0;
    }
    assert_true(dropped >= 3);
    assert_non_null(memmem(md->bytes, md->len, "- The test `shop.web", 20));
    field_is(&r, "verdict", "blocked");
    free_all(run, kept, COUNT_OF(example));
}

static void a_report_that_is_none_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct given bad[] = {{"new", "examples/qa/CODEOWNERS"}};
    char *kept[1];
    struct fault why;
    struct program_run *run = go(bad, 1, NULL, false, kept, FAIL_BAD_REQUEST, &why);
    assert_non_null(strstr(why.message, "CODEOWNERS"));
    assert_non_null(strstr(why.message, "line 1"));
    free_all(run, kept, 1);
}

int main(void)
{
    const char *build = getenv("INHOUSE_BUILD"), *root = getenv("INHOUSE_SOURCE");
    if (build == NULL || root == NULL) {
        print_message("skipped: INHOUSE_BUILD or INHOUSE_SOURCE is not set\n");
        return 77;
    }
    (void)snprintf(source, sizeof(source), "%s", root);
    (void)snprintf(reader_path, sizeof(reader_path), "%s/bin/inhouse-reader", build);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_understood_without_a_model),
        cmocka_unit_test(what_a_model_invents_is_dropped_and_listed),
        cmocka_unit_test(a_report_that_is_none_is_refused_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
