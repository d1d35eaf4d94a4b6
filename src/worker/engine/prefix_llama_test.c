/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of worker/engine's prefixes on a real small model, in an engine in which next to nothing
 * stays in the KV: skipped (77) when the model was not fetched. INHOUSE_MODELS names the folder of
 * models, INHOUSE_FETCHED's models otherwise.
 */
#include "worker/engine/engine_fixture_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text/text.h"

#define OUTCOMES_MAX 32
#define SMALL_CELLS 64

struct outcome {
    bool over;
    enum fail failed;
    char text[2048];
    int64_t tokens_in, tokens_cached;
    struct form_result *result;
    const struct form_plan *plan;
};

static struct outcome outcomes[OUTCOMES_MAX];
static struct engine *engine;
static struct engine_sink sink;
static int model_fd = -1;

static void on_text(void *self, uint64_t id, const char *text, size_t len)
{
    (void)self;
    (void)id;
    assert_true(text_utf8_is_valid(text, len));
}

static void on_generated(void *self, uint64_t id, const struct engine_generated *g)
{
    (void)self;
    struct outcome *o = &outcomes[id];
    o->over = true;
    o->tokens_in = g->usage.tokens_in;
    o->tokens_cached = g->usage.tokens_cached;
    (void)text_copy(o->text, sizeof o->text, g->text);
}

static void on_formed(void *self, uint64_t id, const struct form_result *r)
{
    (void)self;
    struct outcome *o = &outcomes[id];
    struct buf json;
    struct jn_writer w;
    json_t *tree = NULL;
    o->over = true;
    o->tokens_in = r->tokens_in;
    o->tokens_cached = r->tokens_cached;
    buf_init(&json, 1 << 20);
    jn_begin(&w, &json, false);
    form_result_write(&w, r);
    assert_int_equal(jn_parse(json.data, json.len, "result", &tree, NULL), FAIL_NONE);
    assert_int_equal(form_result_read(tree, o->plan, &o->result, NULL), FAIL_NONE);
    json_decref(tree);
    buf_done(&json);
}

static void on_failed(void *self, uint64_t id, const struct fault *why)
{
    (void)self;
    outcomes[id].over = true;
    outcomes[id].failed = why->code;
}

static void forget_outcomes(void)
{
    for (int i = 0; i < OUTCOMES_MAX; i++) {
        form_result_free(outcomes[i].result);
        outcomes[i] = (struct outcome){0};
    }
}

/* Messages in turns: user, assistant, user. */
static void submit_chat(uint64_t id, const char *domain, const char *const *turns, size_t n)
{
    struct engine_ask *ask = fixture_ask(id, ENGINE_JOB_GENERATE, domain);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(
            list,
            json_pack("{s:s,s:s}", "role", i % 2 == 0 ? "user" : "assistant", "content", turns[i]));
    }
    AUTO_JSON json_t *request = json_pack("{s:o}", "messages", list);
    char *text = json_dumps(request, JSON_COMPACT);
    ask->generate.request = arena_dup_str(ask->arena, text);
    /* tidy: memory: jansson made it */
    free(text);
    fixture_submit(engine, ask);
}

static struct form_plan *plan_new(double gamma)
{
    static const char *const queues[] = {"billing", "card", "card lost", "login", "transfer"};
    const struct form_piece pieces[] = {
        {.kind = FORM_LITERAL, .text = "queue: "},
        {.kind = FORM_CHOICE, .name = "queue", .labels = queues, .n_labels = 5, .gamma = gamma},
        {.kind = FORM_LITERAL, .text = "\nurgent: "},
        {.kind = FORM_BOOLEAN, .name = "urgent", .gamma = gamma},
    };
    struct form_plan *plan = form_plan_new();
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        assert_int_equal(form_plan_add(plan, &pieces[i], NULL), FAIL_NONE);
    }
    return plan;
}

static const char rules[] =
    "Read the message of a customer and decide which team of the bank answers it. Billing is for "
    "fees and statements, card for everything about a card in the customer's hands, card lost for "
    "one that is gone, login for passwords and codes, transfer for money sent or awaited.";

static void submit_long(uint64_t id, const char *domain, const char *also, const char *input,
                        const struct form_plan *plan)
{
    struct engine_ask *ask = fixture_ask(id, ENGINE_JOB_FORM, domain);
    outcomes[id].plan = plan;
    ask->form = (struct engine_form){
        .system = rules,
        .prefix = arena_printf(ask->arena, "%sMessage: ", also),
        .input = arena_dup_str(ask->arena, input),
        .suffix = "",
        .plan = plan};
    fixture_submit(engine, ask);
}

static void expect_same(const struct form_result *a, const struct form_result *b)
{
    static const double within = 0.001;
    assert_int_equal(a->n_fields, b->n_fields);
    for (size_t i = 0; i < a->n_fields; i++) {
        assert_string_equal(a->fields[i].value, b->fields[i].value);
        for (size_t k = 0; k < a->fields[i].n_probs; k++) {
            double d = a->fields[i].probs[k] - b->fields[i].probs[k];
            if (d > within || d < -within) {
                fail_msg("%s: label %zu has %.4f and %.4f", a->fields[i].name, k,
                         a->fields[i].probs[k], b->fields[i].probs[k]);
            }
        }
    }
}

static void what_left_the_kv_comes_back_the_same(void **state)
{
    (void)state;
    struct form_plan *plan = plan_new(0.5);
    struct engine_stats stats;
    submit_long(1, "a", "", "I lost my card!", plan);
    fixture_run(engine, 0);
    int all = (int)outcomes[1].tokens_in;
    submit_long(6, "a", "", "I lost my card!", plan); /* forked from what is still there */
    fixture_run(engine, 0);
    for (uint64_t id = 2; id <= 3; id++) {
        const char *const text = id == 2 ? "Something else altogether, of another team." : rules;
        submit_chat(id, "b", &text, 1);
        fixture_run(engine, 0);
    }
    engine->ops->stats(engine, &stats);
    assert_true(stats.idle_cells <= SMALL_CELLS);
    assert_true(stats.stashed >= 1 && stats.stash_bytes > 0);
    assert_int_equal(stats.restored, 0);
    submit_long(4, "a", "", "I lost my card!", plan);
    fixture_run(engine, 0);
    engine->ops->stats(engine, &stats);
    assert_int_equal(stats.restored, 1);
    assert_true(outcomes[4].tokens_cached > all / 2);
    expect_same(outcomes[6].result, outcomes[4].result);
    /* The same tokens, asked by another domain: neither resident nor stashed. */
    submit_long(5, "c", "", "I lost my card!", plan);
    fixture_run(engine, 0);
    engine->ops->stats(engine, &stats);
    assert_int_equal(stats.restored, 1);
    assert_int_equal(outcomes[5].result->n_fields, 2);
    form_plan_free(plan);
}

static void a_chat_too_long_to_stay_goes_on_from_the_stash(void **state)
{
    (void)state;
    const char *turns[] = {rules, outcomes[1].text, "And then?"};
    struct engine_stats stats;
    submit_chat(1, "a", turns, 1);
    fixture_run(engine, 0);
    engine->ops->stats(engine, &stats);
    assert_true(stats.idle_cells <= SMALL_CELLS);
    submit_chat(2, "a", turns, 3);
    fixture_run(engine, 0);
    assert_int_equal(outcomes[2].failed, FAIL_NONE);
    assert_true(outcomes[2].tokens_cached >= outcomes[1].tokens_in);
}

static void the_stash_keeps_to_its_budget(void **state)
{
    (void)state;
    struct engine_stats stats;
    for (uint64_t id = 1; id <= 24; id++) {
        struct engine_ask *ask = fixture_ask(id, ENGINE_JOB_GENERATE, "a");
        struct buf text;
        buf_init(&text, 4096);
        for (int i = 0; i < 150; i++) {
            (void)buf_printf(&text, "w%d ", (int)id * 7 + i * 31);
        }
        ask->generate.prompt = arena_dup_str(ask->arena, text.data);
        ask->generate.max_tokens = 1;
        buf_done(&text);
        fixture_submit(engine, ask);
        fixture_run(engine, 0);
        assert_int_equal(outcomes[id].failed, FAIL_NONE);
        engine->ops->stats(engine, &stats);
        assert_true(stats.stash_bytes <= 64 * 1024 * 1024);
        assert_true(stats.idle_cells <= SMALL_CELLS);
    }
    assert_true(stats.stashed >= 2 && stats.stashed < 24);
}

static void what_begins_alike_is_decoded_once(void **state)
{
    (void)state;
    struct form_plan *plan = plan_new(0);
    struct engine_stats stats;
    /* Four at once, of two workflows with the same rules, and two chats of another domain. */
    submit_long(1, "tree", "Title first. ", "I lost my card!", plan);
    submit_long(2, "tree", "Title first. ", "The app shows an error.", plan);
    submit_long(3, "tree", "Body first. ", "Where is my money?", plan);
    submit_long(4, "tree", "Body first. ", "Why this fee?", plan);
    const char *const text = rules;
    submit_chat(5, "bush", &text, 1);
    submit_chat(6, "bush", &text, 1);
    fixture_run(engine, 0);
    int cold = 0;
    int tokens = (int)outcomes[1].tokens_in;
    for (uint64_t id = 1; id <= 4; id++) {
        cold += outcomes[id].tokens_cached == 0 ? 1 : 0;
        assert_true(outcomes[id].tokens_cached == 0 ||
                    outcomes[id].tokens_cached > tokens / 2);
    }
    assert_int_equal(cold, 1);
    assert_int_equal((outcomes[5].tokens_cached == 0) +
                         (outcomes[6].tokens_cached == 0), 1);
    /* Cells that several share are counted once. */
    engine->ops->stats(engine, &stats);
    assert_true(stats.prefixes >= 4);
    assert_true(stats.idle_cells < 4 * tokens);
    form_plan_free(plan);
}

static int load_with(unsigned idle_cells)
{
    struct engine_load load = {.model = "smollm2",
                               .kind = ENGINE_GENERATE,
                               .n_ctx = 1024,
                               .n_seq = 4,
                               .n_threads = 1,
                               .n_batch = 256,
                               .idle_cells = idle_cells,
                               .stash_mb = 64};
    struct engine_loaded loaded;
    struct fault why = {0};
    forget_outcomes();
    engine = engine_llama_new(&sink);
    if (engine->ops->load(engine, model_fd, &load, &loaded, &why) != FAIL_NONE) {
        print_message("%s\n", why.message);
        return -1;
    }
    return 0;
}

static int load_small(void **state)
{
    (void)state;
    return load_with(SMALL_CELLS);
}

static int load_usual(void **state)
{
    (void)state;
    return load_with(0);
}

static int unload(void **state)
{
    (void)state;
    engine->ops->free(engine);
    forget_outcomes();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_begins_alike_is_decoded_once, load_usual, unload),
        cmocka_unit_test_setup_teardown(what_left_the_kv_comes_back_the_same, load_small, unload),
        cmocka_unit_test_setup_teardown(a_chat_too_long_to_stay_goes_on_from_the_stash, load_small,
                                        unload),
        cmocka_unit_test_setup_teardown(the_stash_keeps_to_its_budget, load_small, unload),
    };
    model_fd = fixture_open_model();
    if (model_fd < 0) {
        return FIXTURE_SKIPPED;
    }
    sink = (struct engine_sink){.text = on_text,
                                .generated = on_generated,
                                .formed = on_formed,
                                .failed = on_failed};
    if (!fixture_start()) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
