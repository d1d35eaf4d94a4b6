/* SPDX-License-Identifier: Apache-2.0 */
/* Triage grown up: the mood, values read by code, and tickets that are like this one. */
#include "answer/task/task_fixture_internal.h"

static void set_triage(void)
{
    struct ladder_form *f = make_form();
    static const char *const moods[] = {"negative", "neutral", "positive"};
    snprintf(f->fields[2].name, sizeof(f->fields[2].name), "sentiment");
    f->fields[2].type = LADDER_CHOICE;
    f->fields[2].aid = f->fields[2].mood = true;
    ladder_labels_set(&f->fields[2], moods, 3);
    snprintf(f->fields[3].name, sizeof(f->fields[3].name), "reference");
    f->fields[3].type = LADDER_ID;
    f->fields[3].aid = true;
    f->fields[3].pattern = mem_dup_str("VM-123456");
    snprintf(f->fields[4].name, sizeof(f->fields[4].name), "amount");
    f->fields[4].type = LADDER_AMOUNT;
    f->fields[4].aid = true;
    f->related = true;
    task_form_set(desk, f);
    ladder_form_unref(f);
}

static void ask(const char *text)
{
    submit(text, NULL);
    run();
    assert_int_equal(last_code, FAIL_NONE);
}

static void a_mood_comes_with_its_level_and_words(void **state)
{
    (void)state;
    set_triage();
    ask("This is unacceptable, I am fed up. Order VM-410233, 74.60 EUR were taken twice.");
    assert_string_equal(field_str("sentiment", "value"), "negative");
    assert_string_equal(field_str("sentiment", "level"), "high");
    assert_string_equal(field_str("sentiment", "proposed_by"), "rule");
    assert_string_equal(field_str("reference", "value"), "VM-410233");
    assert_string_equal(field_str("amount", "value"), "74.60 EUR");
}

static void what_does_not_stand_in_the_text_is_not_there(void **state)
{
    (void)state;
    ask("Where is my parcel? My Auto 5 machine needs 3 more filters since 2024.");
    assert_string_equal(field_str("sentiment", "value"), "neutral");
    assert_string_equal(field_str("reference", "value"), "");
    assert_string_equal(field_str("amount", "value"), "");
}

static void of_several_none_is_claimed(void **state)
{
    (void)state;
    ask("Orders VM-410001 and VM-410002 are both late.");
    json_t *fields = json_object_get(last, "fields"), *f;
    size_t i;
    json_array_foreach(fields, i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "name")), "reference") == 0) {
            assert_true(json_real_value(json_object_get(f, "confidence")) <= 0.5);
            assert_int_equal(json_array_size(json_object_get(f, "candidates")), 2);
        }
    }
}

static void an_aid_makes_nobody_wait(void **state)
{
    (void)state;
    json_t *fields, *f;
    size_t i;
    ask("Some words about orders VM-410003 and VM-410004 again");
    fields = json_object_get(last, "fields");
    json_array_foreach(fields, i, f)
    {
        if (json_is_true(json_object_get(f, "aid"))) {
            assert_string_not_equal(json_string_value(json_object_get(f, "rung")), "person");
        }
    }
}

static const json_t *related(size_t i)
{
    return json_array_get(json_object_get(last, "related"), i);
}

static void the_second_ticket_finds_the_first(void **state)
{
    (void)state;
    ask("My grinder makes a terrible screeching noise whenever I use it, order VM-555001.");
    char first[64];
    snprintf(first, sizeof(first), "%s", json_string_value(json_object_get(last, "id")));
    assert_int_equal(json_array_size(json_object_get(last, "related")), 0);
    ask("My grinder makes a terrible screeching noise whenever I use it, order VM-555001!!");
    assert_string_equal(json_string_value(json_object_get(related(0), "kind")), "duplicate");
    assert_string_equal(json_string_value(json_object_get(related(0), "task")), first);
    assert_string_equal(json_string_value(json_object_get(related(0), "input_id")), "T1");
    const json_t *shared = json_object_get(related(0), "shared");
    assert_string_equal(json_string_value(json_array_get(shared, 0)), "VM-555001");
}

static void another_teams_ticket_is_never_related(void **state)
{
    (void)state;
    struct principal before = me;
    snprintf(me.team, sizeof(me.team), "strangers");
    ask("My grinder makes a terrible screeching noise whenever I use it, order VM-555001.");
    assert_int_equal(json_array_size(json_object_get(last, "related")), 0);
    me = before;
}

static enum fail forget(struct store_tx *tx, void *arg, struct fault *why)
{
    return task_erase(tx, me.team, me.name, arg, why);
}

static void an_erased_persons_ticket_is_not_found_again(void **state)
{
    (void)state;
    struct fault why;
    struct task_erased *e = mem_alloc(sizeof(*e));
    assert_int_equal(store_write_wait(store, forget, e, &why), FAIL_NONE);
    mem_free(e);
    ask("My grinder makes a terrible screeching noise whenever I use it, order VM-555001?");
    assert_int_equal(json_array_size(json_object_get(last, "related")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mood_comes_with_its_level_and_words),
        cmocka_unit_test(what_does_not_stand_in_the_text_is_not_there),
        cmocka_unit_test(of_several_none_is_claimed),
        cmocka_unit_test(an_aid_makes_nobody_wait),
        cmocka_unit_test(the_second_ticket_finds_the_first),
        cmocka_unit_test(another_teams_ticket_is_never_related),
        cmocka_unit_test(an_erased_persons_ticket_is_not_found_again),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
