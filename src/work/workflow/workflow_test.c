/* SPDX-License-Identifier: Apache-2.0 */
/* Shipped definitions read; bad ones are refused with every error and its line; examples make a
   definition. */
#include "work/workflow/workflow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "answer/route/route.h"

static void shipped_definitions_read(void **state)
{
    (void)state;
    assert_true(workflow_shipped_count >= 1);
    for (size_t i = 0; i < workflow_shipped_count; i++) {
        const struct workflow_shipped *w = &workflow_shipped[i];
        struct ladder_form *form = NULL;
        struct config_faults faults;
        struct fault why;
        if (workflow_read(w->yaml, w->len, w->name, &form, &faults, &why) != FAIL_NONE) {
            fail_msg("%s: %s", w->name, why.message);
        }
        assert_string_equal(form->name, w->name);
        assert_int_equal(strlen(form->release), 64);
        struct ladder_form *copy = ladder_form_dup(form);
        ladder_form_unref(form);
        assert_string_equal(copy->name, w->name);
        ladder_form_unref(copy);
    }
}

static void stakes_are_found_at_word_borders(void **state)
{
    (void)state;
    struct ladder_form *form = NULL;
    struct config_faults faults;
    struct fault why;
    const struct workflow_shipped *w = &workflow_shipped[0];
    assert_int_equal(workflow_read(w->yaml, w->len, w->name, &form, &faults, &why), FAIL_NONE);
    assert_non_null(ladder_stake_find(form, "My LAWYER will write to you."));
    assert_null(ladder_stake_find(form, "the lawyerly tone"));
    assert_null(ladder_stake_find(form, "please help"));
    assert_int_equal(form->stakes, (1u << ROUTE_STAKE_COUNT) - 1);
    assert_true(form->refund_above == 500);
    ladder_form_unref(form);
}

static void bad_stakes_have_their_lines(void **state)
{
    (void)state;
    static const char yaml[] = "name: a\nfields: [{name: x, type: line}]\nalways_person:\n"
                               "  stakes: [danger, weather]\n"
                               "  refund_above: -1\n"
                               "  phrases: [ab]\n"
                               "  other: 1\n";
    struct ladder_form *form = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(workflow_read(yaml, strlen(yaml), "a", &form, &faults, &why),
                     FAIL_BAD_REQUEST);
    assert_int_equal(faults.count, 4);
    bool seen[8] = {false};
    for (size_t i = 0; i < faults.count; i++) {
        seen[faults.list[i].line] = true;
    }
    assert_true(seen[4] && seen[5] && seen[6] && seen[7]);
}

static void every_error_has_its_line(void **state)
{
    (void)state;
    static const char yaml[] = "name: Bad Name\n"
                               "colour: red\n"
                               "fields:\n"
                               "  - name: queue\n"
                               "    type: choise\n"
                               "  - name: Queue\n"
                               "    type: line\n"
                               "  - name: x\n"
                               "    type: choice\n"
                               "    labels: [a, a]\n";
    struct ladder_form *form = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(workflow_read(yaml, strlen(yaml), "bad.yaml", &form, &faults, &why),
                     FAIL_BAD_REQUEST);
    assert_null(form);
    assert_int_equal(faults.count, 5);
    bool lines[12] = {false};
    for (size_t i = 0; i < faults.count; i++) {
        lines[faults.list[i].line] = true;
    }
    assert_true(lines[1] && lines[2] && lines[4] && lines[6] && lines[10]);
}

static void examples_make_a_definition(void **state)
{
    (void)state;
    static const char *const names[] = {"mood"};
    static const char *const good[] = {"good \"one\""}, *const bad[] = {"bad"};
    struct workflow_example examples[6];
    for (int i = 0; i < 6; i++) {
        examples[i] = (struct workflow_example){1, names, i % 2 == 0 ? good : bad};
    }
    struct buf yaml;
    struct fault why;
    struct ladder_form *form = NULL;
    struct config_faults faults;
    buf_init(&yaml, 1 << 16);
    assert_int_equal(workflow_from_examples("moods", examples, 6, &yaml, &why), FAIL_NONE);
    assert_int_equal(workflow_read(yaml.data, yaml.len, "x", &form, &faults, &why), FAIL_NONE);
    assert_int_equal(form->fields[0].labels_len, 2);
    assert_string_equal(form->fields[0].labels[0].name, "good \"one\"");
    ladder_form_unref(form);
    buf_clear(&yaml);
    assert_int_equal(workflow_from_examples("moods", examples, 1, &yaml, &why), FAIL_BAD_REQUEST);
    assert_int_equal(workflow_from_examples("../x", examples, 6, &yaml, &why), FAIL_BAD_REQUEST);
    /* A field's name that would be more YAML is none. */
    static const char *const evil[] = {"mood\n    type: draft\n  - name: other"};
    for (size_t i = 0; i < 6; i++) {
        examples[i].names = evil;
    }
    buf_clear(&yaml);
    assert_int_equal(workflow_from_examples("moods", examples, 6, &yaml, &why), FAIL_BAD_REQUEST);
    buf_done(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_definitions_read),
        cmocka_unit_test(stakes_are_found_at_word_borders),
        cmocka_unit_test(bad_stakes_have_their_lines),
        cmocka_unit_test(every_error_has_its_line),
        cmocka_unit_test(examples_make_a_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
