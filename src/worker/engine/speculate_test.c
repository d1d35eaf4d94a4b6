/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of worker/engine's guesses on a real small model: skipped (77) when it was not fetched.
 * Two engines on one file, one that guesses and one that does not, must write the same; on some
 * processors a near tie may fall otherwise, so a text or two may differ.
 */
#include "worker/engine/engine_fixture_internal.h"
#include "worker/engine/engine_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PROMPTS 20
#define TOKENS 48

struct answer {
    char text[2048];
    char streamed[2048];
    struct engine_usage usage;
    int over;
};

static struct answer answers[2][PROMPTS + 8];
static struct engine *engines[2]; /* without and with guesses */
static struct engine_sink sinks[2];
static int model_fd = -1;

static void on_text(void *self, uint64_t id, const char *text, size_t len)
{
    struct answer *a = &((struct answer *)self)[id];
    (void)strncat(a->streamed, text, len);
}

static void on_generated(void *self, uint64_t id, const struct engine_generated *g)
{
    struct answer *a = &((struct answer *)self)[id];
    (void)text_copy(a->text, sizeof a->text, g->text);
    a->usage = g->usage;
    a->over++;
}

static void on_formed(void *self, uint64_t id, const struct form_result *r)
{
    struct answer *a = &((struct answer *)self)[id];
    for (size_t i = 0; i < r->n_fields; i++) {
        (void)strncat(a->text, r->fields[i].value, 300);
        (void)strncat(a->text, "|", 2);
    }
    a->over++;
}

static void on_failed(void *self, uint64_t id, const struct fault *why)
{
    (void)self;
    fail_msg("%d: %s", (int)id, why->message);
}

static struct engine_ask *copy_ask(uint64_t id)
{
    static const char *const tickets[] = {
        "Dear team, the invoice 2026-118 of 12 March names the wrong street; please send it again.",
        "{\\\"id\\\": 4711, \\\"status\\\": \\\"open\\\", \\\"owner\\\": \\\"mara\\\", "
        "\\\"tags\\\": "
        "[\\\"card\\\", \\\"lost\\\"]}",
        "The lift in building C stops between floors two and three since Monday morning.",
        "Name: Ada Lovelace\\nCity: London\\nPlan: basic\\nSince: 1 May 2024",
        "We could not log in after the update; the page says error 500 and then nothing happens.",
    };
    static const char *const orders[] = {
        "Repeat the following text exactly, word for word: ",
        "Repeat the following text twice: ",
        "Copy this text and change nothing but the date: ",
        "Tell me what this is about: ",
    };
    struct engine_ask *ask = fixture_ask(id, ENGINE_JOB_GENERATE, "d");
    ask->generate.max_tokens = TOKENS;
    ask->generate.stream = true;
    ask->generate.request =
        arena_printf(ask->arena, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s%s\"}]}",
                     orders[id % COUNT_OF(orders)], tickets[id % COUNT_OF(tickets)]);
    return ask;
}

static int reset(void **state)
{
    (void)state;
    memset(answers, 0, sizeof answers);
    return 0;
}

static void guessing_does_not_change_the_text(void **state)
{
    (void)state;
    int steps[2] = {0};
    int64_t drafted = 0, accepted = 0, out = 0;
    int same = 0;
    for (uint64_t id = 0; id < PROMPTS; id++) {
        for (int k = 0; k < 2; k++) {
            fixture_submit(engines[k], copy_ask(id));
            steps[k] += fixture_run(engines[k], 0);
            assert_int_equal(answers[k][id].over, 1);
        }
        same += strcmp(answers[1][id].text, answers[0][id].text) == 0;
        assert_string_equal(answers[1][id].streamed, answers[1][id].text);
        assert_int_equal(answers[0][id].usage.tokens_drafted, 0);
        drafted += answers[1][id].usage.tokens_drafted;
        accepted += answers[1][id].usage.tokens_accepted;
        out += answers[1][id].usage.tokens_out;
    }
    print_message("%d tokens, %d guessed, %d came true, %d steps and %d\n", (int)out, (int)drafted,
                  (int)accepted, steps[0], steps[1]);
    assert_true(same >= PROMPTS - 2);
    assert_true(accepted > out / 10);
    assert_true(steps[1] < steps[0] - (int)accepted / 2);
}

static void drawn_text_stays_the_same_too(void **state)
{
    (void)state;
    int same = 0;
    for (uint64_t id = 0; id < 6; id++) {
        for (int k = 0; k < 2; k++) {
            struct engine_ask *ask = copy_ask(id);
            ask->generate.temperature = 0.7;
            ask->generate.seed = id;
            ask->generate.stops[0] = "4711"; /* inside what is guessed */
            ask->generate.n_stops = 1;
            fixture_submit(engines[k], ask);
            (void)fixture_run(engines[k], 0);
        }
        same += strcmp(answers[1][id].text, answers[0][id].text) == 0;
        assert_string_equal(answers[1][id].streamed, answers[1][id].text);
    }
    assert_true(same >= 5);
}

static void a_schema_is_obeyed_while_guessing(void **state)
{
    (void)state;
    struct engine_ask *ask = copy_ask(5);
    ask->generate.request =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Give this JSON back with the status "
        "closed: {\\\"id\\\": 4711, \\\"status\\\": \\\"open\\\", \\\"owner\\\": \\\"mara "
        "meier-vorfelder\\\"}\"}]}";
    ask->generate.schema =
        "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\",\"minimum\":1},"
        "\"status\":{\"enum\":[\"closed\",\"open\"]},\"owner\":{\"type\":\"string\","
        "\"maxLength\":40}},\"required\":[\"id\",\"status\",\"owner\"],"
        "\"additionalProperties\":false}";
    fixture_submit(engines[1], ask);
    (void)fixture_run(engines[1], 0);
    AUTO_JSON json_t *tree = json_loads(answers[1][5].text, 0, NULL);
    assert_true(json_is_integer(json_object_get(tree, "id")));
    assert_true(json_is_string(json_object_get(tree, "owner")));
}

static struct engine_ask *copy_form(uint64_t id, const struct form_plan *plan)
{
    struct engine_ask *ask = copy_ask(id);
    ask->job = ENGINE_JOB_FORM;
    ask->form = (struct engine_form){
        .prefix = "Copy the customer's words into the field.\n",
        .input = id % 2 == 0
                     ? "my card was charged twice on 21 April for order 88213, please refund one"
                     : "the lift in building C stops between floors two and three since Monday",
        .suffix = "\nwords: ",
        .plan = plan};
    return ask;
}

static void forms_are_the_same_with_guesses(void **state)
{
    (void)state;
    static const char *const labels[] = {"billing", "building", "card"};
    static const char *const stops[] = {"\n"};
    const struct form_piece pieces[] = {
        {.kind = FORM_LITERAL, .text = "words:"},
        {.kind = FORM_TEXT, .name = "words", .max_chars = 70, .stops = stops, .n_stops = 1},
        {.kind = FORM_LITERAL, .text = "\nqueue: "},
        {.kind = FORM_CHOICE, .name = "queue", .labels = labels, .n_labels = 3, .gamma = 0.5},
        {.kind = FORM_LITERAL, .text = "\nagain:"},
        {.kind = FORM_TEXT, .name = "again", .max_chars = 40, .stops = stops, .n_stops = 1},
    };
    struct form_plan *plan = form_plan_new();
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        assert_int_equal(form_plan_add(plan, &pieces[i], NULL), FAIL_NONE);
    }
    int steps[2] = {0};
    for (int k = 0; k < 2; k++) {
        for (uint64_t id = 0; id < 4; id++) {
            fixture_submit(engines[k], copy_form(id, plan));
            steps[k] += fixture_run(engines[k], 0);
        }
    }
    int same = 0;
    for (uint64_t id = 0; id < 4; id++) {
        assert_int_equal(answers[1][id].over, 1);
        same += strcmp(answers[1][id].text, answers[0][id].text) == 0;
    }
    assert_true(same >= 3);
    print_message("forms: %d steps and %d; %s\n", steps[0], steps[1], answers[1][0].text);
    assert_true(steps[1] < steps[0]);
    form_plan_free(plan);
}

static void guesses_leave_nothing_behind(void **state)
{
    (void)state;
    struct engine_stats stats;
    struct engine_step step;
    for (uint64_t id = 0; id < 4; id++) {
        fixture_submit(engines[1], copy_ask(id)); /* several at once, and one that leaves */
    }
    for (int i = 0; i < 40 && engines[1]->ops->forecast(engines[1], &step); i++) {
        engines[1]->ops->step(engines[1], 0);
    }
    engines[1]->ops->cancel(engines[1], 0);
    (void)fixture_run(engines[1], 0);
    engines[1]->ops->stats(engines[1], &stats);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.kv_used, stats.idle_cells);
    /* A prefix kept from a guessed text is the text's: the same question goes on from it. */
    fixture_submit(engines[1], copy_ask(1));
    (void)fixture_run(engines[1], 0);
    assert_true(answers[1][1].usage.tokens_cached > 16);
    fixture_submit(engines[0], copy_ask(1));
    (void)fixture_run(engines[0], 0);
    assert_int_equal(strncmp(answers[1][1].text, answers[0][1].text, 12), 0);
}

/* The rule alone: no model is asked. */
static void drafts_grow_with_what_comes_true_and_stop_with_what_does_not(void **state)
{
    (void)state;
    struct llama_engine *e = mem_alloc(sizeof *e);
    struct task *t = mem_alloc(sizeof *t);
    llama_token tokens[400];
    for (int i = 0; i < 100; i++) {
        tokens[i] = 1000 + i;
        tokens[100 + i] = 1000 + i; /* a copy */
        tokens[200 + i] = 5000 + i; /* not one */
        tokens[300 + i] = 5000 + i;
    }
    e->speculate = true;
    e->batch.n_tokens = 1;
    t->state = TASK_RUNNING;
    t->n_prompt = 400;
    t->max_new = 400;
    t->out = 0;
    tokens_add(&t->tokens, tokens, 100);
    int first = -1, most = 0, last = 0;
    for (int i = 100; i < 400; i++) {
        int k = speculate_draft(e, t, 1, 64);
        assert_true(k >= 0 && k <= SPECULATE_MAX);
        for (int g = 0; g < k && i + g < 200; g++) {
            assert_int_equal(t->draft.at[g], 1000 + (i - 100 + g));
        }
        if (i < 200) {
            first = k > 0 && first < 0 ? i - 100 : first;
            most = k > most ? k : most;
        } else if (i > 210 && i < 300) {
            assert_int_equal(k, 0); /* nothing like it was seen */
        } else if (i == 200) {
            assert_true(t->draft.rate > 0.9);
        }
        last = k;
        tokens_add(&t->tokens, &tokens[i], 1);
    }
    assert_true(first >= 3 && first < 12);
    assert_true(most >= 8);
    assert_true(last >= 8);
    /* Beside many others a guess costs what it brings; in a lane there are none. */
    e->batch.n_tokens = SMALL_STEP_MAX;
    assert_int_equal(speculate_draft(e, t, 16, 64), 0);
    e->batch.n_tokens = 1;
    e->is_lane = true;
    assert_int_equal(speculate_draft(e, t, 1, 64), 0);
    e->is_lane = false;
    /* Where wider steps cost as much as single ones together, there is nothing to gain. */
    for (int n = 1; n <= SMALL_STEP_MAX; n++) {
        e->small_us[0][n] = 1000.0 * n;
    }
    assert_int_equal(speculate_draft(e, t, 1, 64), 0);
    memset(e->small_us, 0, sizeof e->small_us);
    assert_true(speculate_draft(e, t, 1, 64) > 0);
    for (int i = 0; i < 60; i++) { /* three tokens as before, then another one, again and again */
        tokens_add(&t->tokens, tokens + i, 3);
        llama_token other = 9000 + i;
        (void)speculate_draft(e, t, 1, 64);
        tokens_add(&t->tokens, &other, 1);
        (void)speculate_draft(e, t, 1, 64);
    }
    tokens_add(&t->tokens, tokens + 70, 3);
    assert_true(t->draft.rate < 0.2);
    assert_int_equal(speculate_draft(e, t, 1, 64), 0);
    tokens_done(&t->tokens);
    mem_free(t);
    mem_free(e);
}

static int load_models(void **state)
{
    (void)state;
    struct fault why = {0};
    if (!fixture_start()) {
        return -1;
    }
    for (int k = 0; k < 2; k++) {
        struct engine_load load = {.model = "smollm2", .kind = ENGINE_GENERATE, .n_ctx = 2048,
                                   .n_seq = 4, .n_threads = 1, .n_batch = 256,
                                   .speculate = k == 1};
        struct engine_loaded loaded;
        sinks[k] = (struct engine_sink){.self = answers[k], .text = on_text,
                                        .generated = on_generated, .formed = on_formed,
                                        .failed = on_failed};
        engines[k] = engine_llama_new(&sinks[k]);
        if (engines[k]->ops->load(engines[k], model_fd, &load, &loaded, &why) != FAIL_NONE) {
            print_message("%s\n", why.message);
            return -1;
        }
    }
    return 0;
}

static int unload_models(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        engines[k]->ops->free(engines[k]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_grow_with_what_comes_true_and_stop_with_what_does_not),
        cmocka_unit_test_setup(guessing_does_not_change_the_text, reset),
        cmocka_unit_test_setup(drawn_text_stays_the_same_too, reset),
        cmocka_unit_test_setup(a_schema_is_obeyed_while_guessing, reset),
        cmocka_unit_test_setup(forms_are_the_same_with_guesses, reset),
        cmocka_unit_test_setup(guesses_leave_nothing_behind, reset),
    };
    model_fd = fixture_open_model();
    if (model_fd < 0) {
        return FIXTURE_SKIPPED;
    }
    return cmocka_run_group_tests(tests, load_models, unload_models);
}
