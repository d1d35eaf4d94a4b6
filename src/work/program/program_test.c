/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions are read with all their faults; a run gives inputs by role, keeps what is put into it
   under its limits, counts asks to steps, and stops when cancelled. The fake host here is what a
   program's own tests use. */
#include "trust/keyring/keyring.h"
#include "work/program/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* ---- a program of this test: repeats its inputs ---- */

struct echo_options {
    int64_t times;
};

static void *echo_options(const struct config_node *node, struct config_faults *faults)
{
    static const char *const keys[] = {"times", NULL};
    struct echo_options *o = mem_alloc(sizeof(*o));
    o->times = 1;
    if (node != NULL) {
        config_node_only(node, keys, faults);
        config_node_int(node, "times", false, 1, 100000, &o->times, faults);
    }
    return o;
}

static enum fail echo_run(struct program_run *run, const void *options, struct fault *why)
{
    const struct echo_options *o = options;
    const struct program_input *in = program_input(run, "new", 0);
    const struct document *doc;
    program_step(run, "read");
    enum fail f = program_read(run, in, "text", &doc, why);
    if (f != FAIL_NONE && f != FAIL_NOT_FOUND) {
        return f;
    }
    program_progress(run, 0.5, "half");
    program_step(run, "ask");
    struct program_answer answer;
    struct program_ask ask = {.kind = PROGRAM_CHAT, .text = "say it"};
    f = program_ask(run, &ask, &answer, why);
    if (f != FAIL_NONE && f != FAIL_MODEL_UNAVAILABLE) {
        return f;
    }
    for (int64_t i = 0; i < o->times; i++) {
        program_section(run, &(struct program_section){"all", "All", answer.text});
    }
    program_field(run, &(struct program_field){.name = "verdict", .type = "choice", .value = "ok",
                                               .confidence = 7, .open = true});
    program_item(run, &(struct program_item){.id = "1", .value = "x", .open = true});
    program_check(run, &(struct program_check){"numbers", false, "7 has no source"});
    program_finding(run, &(struct program_finding){.code = "odd", .level = PROGRAM_WARNING,
                                                   .message = "It is odd.", .at = 3, .len = 2});
    program_output(run, "data.json", "application/json", "{}", 2);
    program_output(run, "report.md", "text/markdown", in->bytes, in->len);
    program_output(run, "more.txt", "text/plain", "", 0);
    return FAIL_NONE;
}

static const struct program_role roles[] = {{"new", "the text", 1, 1}, {"base", "old one", 0, 2}};
static const char *const formats[] = {"markdown", "json", NULL};
static const struct program_param params[] = {{"language", "of the answer"}};
static const char *const prompts[] = {"summary", NULL};
static const struct program_ops echo = {.name = "echo",
                                        .title = "Says it again",
                                        .roles = roles,
                                        .roles_len = COUNT_OF(roles),
                                        .formats = formats,
                                        .params = params,
                                        .params_len = COUNT_OF(params),
                                        .prompts = prompts,
                                        .options = echo_options,
                                        .options_free = mem_free,
                                        .run = echo_run};
static const struct program_ops *const table[] = {&echo};

/* ---- a fake host ---- */

struct fake {
    int asks, steps;
    bool cancelled;
};

static void fake_ask(void *arg, const struct program_ask *asks, size_t n, struct arena *arena,
                     struct program_answer *out)
{
    struct fake *fake = arg;
    for (size_t i = 0; i < n; i++) {
        fake->asks++;
        out[i].text = arena_printf(arena, "<%s>", asks[i].text);
        out[i].tokens_in = 10;
        out[i].tokens_out = 3;
        out[i].cost = 5;
    }
}

static void fake_step(void *arg, const struct program_step_done *done)
{
    struct fake *fake = arg;
    fake->steps++;
    assert_true(done->ms >= 0);
}

static bool fake_cancelled(void *arg)
{
    return ((struct fake *)arg)->cancelled;
}

static struct program_definition *definition(const char *yaml)
{
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    if (program_definition_read(yaml, strlen(yaml), "x.yaml", table, 1, &d, &faults, &why) !=
        FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return d;
}

static enum fail run_echo(const char *yaml, struct fake *fake, struct program_run **run,
                          struct fault *why)
{
    static const struct principal who = {.name = "ann", .team = "support"};
    static const struct program_input in = {"new", "a.txt", "", "hello", 5};
    struct program_definition *d = definition(yaml);
    struct program_start start = {.definition = d, .who = &who, .inputs = &in, .inputs_len = 1};
    struct program_host host = {.arg = fake, .ask = fake_ask, .step = fake_step,
                                .is_cancelled = fake_cancelled, .reader_path = "/nonexistent"};
    enum fail f = program_run_new(&start, &host, run, why);
    program_definition_unref(d);
    return f != FAIL_NONE ? f : program_run_go(*run, why);
}

/* ---- tests ---- */

static void a_definition_says_all_that_is_wrong(void **state)
{
    (void)state;
    static const char bad[] = "name: Bad Name\n"
                              "program: echo\n"
                              "label: secret\n"
                              "colour: red\n"
                              "options:\n"
                              "  times: 0\n"
                              "prompts:\n"
                              "  other: x\n";
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(
        program_definition_read(bad, strlen(bad), "x.yaml", table, 1, &d, &faults, &why),
        FAIL_BAD_REQUEST);
    assert_null(d);
    bool line[16] = {false};
    for (size_t i = 0; i < faults.count; i++) {
        line[faults.list[i].line] = true;
    }
    assert_true(line[1] && line[3] && line[4] && line[6] && line[8]);
    assert_int_equal(faults.count, 5);
    static const char none[] = "name: a\nprogram: nothing\n";
    assert_int_equal(
        program_definition_read(none, strlen(none), "x.yaml", table, 1, &d, &faults, &why),
        FAIL_BAD_REQUEST);
    assert_int_equal(faults.list[0].line, 2);
    assert_string_equal(faults.list[0].hint, "echo");
}

static void prompts_are_linted_at_their_lines(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int line; /* 0: good */
    } cases[] = {
        {"name: a\nprogram: echo\nprompts:\n  summary: |\n    {% if x %}\n    yes {{ y }}\n    {% "
         "endif %}\n",
         0},
        {"name: a\nprogram: echo\nprompts:\n  summary: |\n    one\n    {{ y\n", 6},
        {"name: a\nprogram: echo\nprompts:\n  summary: |\n    {% for x in y %}\n    {{ x }}\n", 5},
        {"name: a\nprogram: echo\nprompts:\n  summary: |\n    a\n    b\n    {% endif %}\n", 7},
        {"name: a\nprogram: echo\nprompts:\n  summary: \"{% fro x in y %}\"\n", 4},
        {"name: a\nprogram: echo\nprompts:\n  summary: \"{{ '}}' }} {# {% if #}\"\n", 0},
        {"name: a\nprogram: echo\nprompts:\n  summary: \"{% else %}\"\n", 4},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct program_definition *d = NULL;
        struct config_faults faults;
        struct fault why;
        enum fail f = program_definition_read(cases[i].yaml, strlen(cases[i].yaml), "x.yaml",
                                              table, 1, &d, &faults, &why);
        assert_int_equal(f, cases[i].line == 0 ? FAIL_NONE : FAIL_BAD_REQUEST);
        if (cases[i].line != 0) {
            assert_int_equal(faults.count, 1);
            assert_int_equal(faults.list[0].line, cases[i].line);
        }
        program_definition_unref(d);
    }
}

static void a_run_holds_what_was_put_into_it(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct program_run *run = NULL;
    struct fault why;
    assert_int_equal(run_echo("name: a\nprogram: echo\n", &fake, &run, &why), FAIL_NONE);
    struct program_result r;
    program_result(run, &r);
    assert_int_equal(fake.asks, 1);
    assert_int_equal(fake.steps, 2);
    assert_int_equal(r.steps_len, 2);
    assert_string_equal(r.steps[1].name, "ask");
    assert_int_equal(r.steps[1].tokens_in, 10);
    assert_int_equal(r.steps[1].cost, 5);
    assert_int_equal(r.steps[0].asks, 0);
    assert_string_equal(r.sections[0].text, "<say it>");
    assert_true(r.fields[0].confidence == 1); /* brought into 0..1 */
    assert_int_equal(r.open, 2);
    assert_int_equal(r.outputs_len, 3);
    assert_false(r.outputs[0].main);
    assert_true(r.outputs[1].main);
    assert_false(r.outputs[2].main);
    assert_string_equal(r.title, "a: a.txt");
    struct buf json;
    buf_init(&json, 1 << 20);
    assert_int_equal(program_result_json(run, &json, &why), FAIL_NONE);
    assert_non_null(strstr(json.data, "\"code\":\"odd\",\"level\":\"warning\",\"at\":3,\"len\":2"));
    buf_done(&json);
    program_run_free(run);
}

static void over_a_limit_the_run_fails_by_name(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct program_run *run = NULL;
    struct fault why;
    assert_int_equal(
        run_echo("name: a\nprogram: echo\noptions: {times: 1000}\n", &fake, &run, &why),
        FAIL_TOO_LARGE);
    assert_non_null(strstr(why.message, "sections"));
    program_run_free(run);
}

static void a_cancelled_run_is_stopped(void **state)
{
    (void)state;
    struct fake fake = {.cancelled = true};
    struct program_run *run = NULL;
    struct fault why;
    assert_int_equal(run_echo("name: a\nprogram: echo\n", &fake, &run, &why), FAIL_STOPPED);
    assert_int_equal(fake.asks, 0);
    program_run_free(run);
}

static void a_start_is_checked(void **state)
{
    (void)state;
    static const struct principal who = {.name = "ann"};
    static const struct program_input good = {"new", "a", "", "x", 1};
    static const struct program_input two[] = {{"new", "a", "", "x", 1}, {"new", "b", "", "x", 1}};
    static const struct program_input odd[] = {{"new", "a", "", "x", 1}, {"old", "b", "", "x", 1}};
    static const struct program_input huge = {"new", "a", "", "x", PROGRAM_INPUT_BYTES + 1};
    static const struct program_var good_var = {"language", "de"}, odd_var = {"colour", "red"};
    struct program_definition *d = definition("name: a\nprogram: echo\n");
    const struct {
        struct program_start s;
        enum fail f;
        const char *param;
    } cases[] = {
        {{d, &who, &good, 1, NULL, 0, NULL, 0}, FAIL_NONE, ""},
        {{d, &who, &good, 1, &good_var, 1, "json", 0}, FAIL_NONE, ""},
        {{d, &who, NULL, 0, NULL, 0, NULL, 0}, FAIL_BAD_REQUEST, "new"},
        {{d, &who, two, 2, NULL, 0, NULL, 0}, FAIL_BAD_REQUEST, "new"},
        {{d, &who, odd, 2, NULL, 0, NULL, 0}, FAIL_BAD_REQUEST, "inputs"},
        {{d, &who, &huge, 1, NULL, 0, NULL, 0}, FAIL_TOO_LARGE, ""},
        {{d, &who, &good, 1, &odd_var, 1, NULL, 0}, FAIL_BAD_REQUEST, "params"},
        {{d, &who, &good, 1, NULL, 0, "xml", 0}, FAIL_BAD_REQUEST, "as"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fault why = {0};
        assert_int_equal(program_start_check(&cases[i].s, &why), cases[i].f);
        assert_string_equal(why.param, cases[i].param);
    }
    program_definition_unref(d);
}

static void a_prompt_without_marks_needs_no_worker(void **state)
{
    (void)state;
    static const struct principal who = {.name = "ann"};
    static const struct program_input in = {"new", "a", "", "x", 1};
    struct program_definition *d =
        definition("name: a\nprogram: echo\nprompts: {summary: \"Sum it up.\"}\n");
    struct program_definition *e =
        definition("name: a\nprogram: echo\nprompts: {summary: \"Sum {{ it }} up.\"}\n");
    struct program_start start = {.definition = d, .who = &who, .inputs = &in, .inputs_len = 1};
    struct program_run *run = NULL;
    struct fault why;
    const char *text;
    assert_int_equal(program_run_new(&start, NULL, &run, &why), FAIL_NONE);
    assert_int_equal(program_prompt(run, "summary", NULL, 0, &text, &why), FAIL_NONE);
    assert_string_equal(text, "Sum it up.");
    assert_int_equal(program_prompt(run, "other", NULL, 0, &text, &why), FAIL_NOT_FOUND);
    assert_false(program_has_model(run, "light"));
    program_run_free(run);
    start.definition = e;
    assert_int_equal(program_run_new(&start, NULL, &run, &why), FAIL_NONE);
    assert_int_equal(program_prompt(run, "summary", NULL, 0, &text, &why),
                     FAIL_MODEL_UNAVAILABLE);
    program_run_free(run);
    program_definition_unref(d);
    program_definition_unref(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_says_all_that_is_wrong),
        cmocka_unit_test(prompts_are_linted_at_their_lines),
        cmocka_unit_test(a_run_holds_what_was_put_into_it),
        cmocka_unit_test(over_a_limit_the_run_fails_by_name),
        cmocka_unit_test(a_cancelled_run_is_stopped),
        cmocka_unit_test(a_start_is_checked),
        cmocka_unit_test(a_prompt_without_marks_needs_no_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
