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
        if (workflow_is_program(w->yaml, w->len)) {
            continue; /* work/job's test reads those */
        }
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
    const struct workflow_shipped *w = workflow_shipped;
    while (strcmp(w->name, "ticket-triage") != 0) {
        w++;
    }
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
        examples[i] = (struct workflow_example){.n = 1, .names = names,
                                                .values = i % 2 == 0 ? good : bad};
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

static void examples_with_values_in_their_texts_make_found_fields(void **state)
{
    (void)state;
    static const char *const names[] = {"order", "when", "who", "mood"};
    static const char *const rows[4][5] = {
        {"AB-100", "2027-05-03", "john doe", "good", "AB-100 for john doe on 3 May 2027"},
        {"CD-201", "2027-06-04", "raja", "bad", "raja here, order CD-201, 4 June 2027"},
        {"EF-302", "", "kannan", "good", "EF-302 please, kannan"},
        {"", "2027-07-05", "diya", "bad", "it is diya, on 2027-07-05"}};
    static const enum ladder_type types[] = {LADDER_ID, LADDER_DATE, LADDER_SPAN, LADDER_CHOICE};
    struct workflow_example examples[4];
    struct buf yaml;
    struct fault why;
    struct ladder_form *form = NULL;
    struct config_faults faults;
    for (size_t i = 0; i < 4; i++) {
        examples[i] = (struct workflow_example){.n = 4, .names = names, .values = rows[i],
                                                .text = rows[i][4]};
    }
    buf_init(&yaml, 1 << 16);
    if (workflow_from_examples("calls", examples, 4, &yaml, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_int_equal(workflow_read(yaml.data, yaml.len, "x", &form, &faults, &why), FAIL_NONE);
    assert_int_equal(form->fields_len, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(form->fields[i].type, types[i]);
    }
    ladder_form_unref(form);
    buf_done(&yaml);
}

static void bounds_are_read_and_checked(void **state)
{
    (void)state;
    static const char good[] = "name: x\nfields:\n  - name: n\n    type: number\n    min: 1\n    "
                               "max: 99.5\n  - name: d\n    type: date\n    min: 2026-01-01\n";
    static const char bad[] = "name: x\nfields:\n  - name: n\n    type: number\n    min: one\n"
                              "  - name: s\n    type: span\n    max: 9\n";
    struct ladder_form *form = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(workflow_read(good, strlen(good), "x", &form, &faults, &why), FAIL_NONE);
    assert_string_equal(form->fields[0].max, "99.5");
    assert_string_equal(form->fields[1].min, "2026-01-01");
    assert_null(form->fields[1].max);
    ladder_form_unref(form);
    assert_int_equal(workflow_read(bad, strlen(bad), "x", &form, &faults, &why), FAIL_BAD_REQUEST);
    assert_int_equal(faults.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_definitions_read),
        cmocka_unit_test(stakes_are_found_at_word_borders),
        cmocka_unit_test(bad_stakes_have_their_lines),
        cmocka_unit_test(every_error_has_its_line),
        cmocka_unit_test(examples_make_a_definition),
        cmocka_unit_test(examples_with_values_in_their_texts_make_found_fields),
        cmocka_unit_test(bounds_are_read_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
