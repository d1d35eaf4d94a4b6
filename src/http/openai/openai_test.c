/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of decoding: what is passed on to a model, what is refused by name, and the shapes of
   answers. */
#include "http/openai/openai_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json/json.h"
#include "run/form/form.h"

#define HEAD "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SCORED(schema) \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"scored\":true," \
    "\"schema\":" schema "}}"
#define FLAT \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}," \
    "\"n\":{\"type\":\"string\",\"maxLength\":9}}}"

static void what_cannot_be_honoured_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum fail code;
        const char *param;
    } rows[] = {
        {"[]", FAIL_BAD_REQUEST, ""},
        {"{", FAIL_BAD_REQUEST, ""},
        {"{\"model\":\"m\"}", FAIL_BAD_REQUEST, "messages"},
        {"{\"messages\":[]}", FAIL_BAD_REQUEST, "model"},
        {"{\"model\":\"m\",\"messages\":[]}", FAIL_BAD_REQUEST, "messages"},
        {"{\"model\":\"m\",\"messages\":[1]}", FAIL_BAD_REQUEST, "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}",
         FAIL_BAD_REQUEST, "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", FAIL_BAD_REQUEST, "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"x\"}}]}]}",
         FAIL_UNSUPPORTED, "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}]}",
         FAIL_BAD_REQUEST, ""},
        {HEAD ",\"n\":2}", FAIL_UNSUPPORTED, "n"},
        {HEAD ",\"temperature\":2.5}", FAIL_BAD_REQUEST, "temperature"},
        {HEAD ",\"temperature\":\"hot\"}", FAIL_BAD_REQUEST, "temperature"},
        {HEAD ",\"max_tokens\":0}", FAIL_BAD_REQUEST, "max_tokens"},
        {HEAD ",\"stop\":[\"a\",\"\"]}", FAIL_BAD_REQUEST, "stop"},
        {HEAD ",\"frequency_penalty\":0.5}", FAIL_UNSUPPORTED, "frequency_penalty"},
        {HEAD ",\"logit_bias\":{\"50\":1}}", FAIL_UNSUPPORTED, "logit_bias"},
        {HEAD ",\"functions\":[{\"name\":\"f\"}]}", FAIL_UNSUPPORTED, "functions"},
        {HEAD ",\"modalities\":[\"audio\"]}", FAIL_UNSUPPORTED, "modalities"},
        {HEAD ",\"top_logprobs\":3}", FAIL_BAD_REQUEST, "top_logprobs"},
        {HEAD ",\"logprobs\":true,\"top_logprobs\":9}", FAIL_UNSUPPORTED, "top_logprobs"},
        {HEAD ",\"logprobs\":true,\"stream\":true}", FAIL_UNSUPPORTED, "logprobs"},
        {HEAD ",\"response_format\":{\"type\":\"xml\"}}", FAIL_BAD_REQUEST, "response_format"},
        {HEAD ",\"response_format\":{\"type\":\"json_schema\"}}", FAIL_BAD_REQUEST, "json_schema"},
        {HEAD ",\"stream\":true," SCORED(FLAT) "}", FAIL_UNSUPPORTED, "stream"},
        {HEAD ",\"logprobs\":true," SCORED(FLAT) "}", FAIL_UNSUPPORTED, "logprobs"},
        {HEAD ",\"stop\":\"x\"," SCORED(FLAT) "}", FAIL_UNSUPPORTED, "stop"},
        {HEAD "," SCORED("{\"type\":\"array\"}") "}", FAIL_UNSUPPORTED, "response_format"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"hi\"}],"
         SCORED(FLAT) "}",
         FAIL_UNSUPPORTED, "messages"},
        {HEAD ",\"tools\":[{\"type\":\"function\"}]}", FAIL_BAD_REQUEST, "tools"},
        {HEAD ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
              "\"tool_choice\":\"maybe\"}",
         FAIL_BAD_REQUEST, "tool_choice"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct openai_chat_ask ask;
        struct fault why;
        memset(&why, 0, sizeof(why));
        const char *body = rows[i].body;
        enum fail f = openai_chat_decode(body, strlen(body), 4096, 1, false, &ask, &why);
        if (f != rows[i].code || strcmp(why.param, rows[i].param) != 0) {
            fail_msg("row %zu: %s, param \"%s\": %s", i, fail_name(f), why.param, why.message);
        }
    }
}

static json_t *decoded(const char *body, struct openai_chat_ask *ask)
{
    struct fault why;
    if (openai_chat_decode(body, strlen(body), 4096, 7, false, ask, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    json_t *j = NULL;
    assert_int_equal(jn_parse(ask->ask.data, ask->ask.len, "ask", &j, &why), FAIL_NONE);
    return j;
}

static void known_keys_reach_the_model_and_unknown_ones_are_ignored(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"heavy\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"name\":\"x\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
        "\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"42\"}],"
        "\"max_completion_tokens\":99999,\"stop\":\"END\",\"temperature\":0,\"seed\":-5,"
        "\"user\":\"u\",\"metadata\":{},\"never_heard_of\":1,\"n\":1,\"frequency_penalty\":0,"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\","
        "\"strict\":true,\"schema\":{\"type\":\"object\",\"properties\":{}}}}}";
    struct openai_chat_ask ask;
    AUTO_JSON json_t *j = decoded(body, &ask);
    assert_string_equal(ask.model, "heavy");
    assert_true(ask.stream && ask.include_usage && !ask.has_tools);
    json_t *messages = json_object_get(j, "messages");
    assert_int_equal(json_array_size(messages), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 0), "role")),
                        "system");
    assert_int_equal(json_integer_value(json_object_get(j, "max_tokens")), 4096);
    assert_int_equal(json_integer_value(json_object_get(j, "seed")), 4294967291);
    assert_true(json_is_object(json_object_get(j, "json_schema")));
    assert_true(json_is_true(json_object_get(j, "stream")));
    assert_null(json_object_get(j, "user"));
    assert_null(json_object_get(j, "domain"));
    openai_chat_ask_done(&ask);
}

#define BEYOND \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":" \
    "{\"type\":\"array\",\"uniqueItems\":true}}}"

static void raw_grammars_are_the_operators_choice(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum fail off, on;
        const char *key; /* of the ask, when on */
    } rows[] = {
        {HEAD ",\"grammar\":\"root ::= \\\"a\\\"\"}", FAIL_UNSUPPORTED, FAIL_NONE, "grammar"},
        {HEAD ",\"grammar\":null}", FAIL_NONE, FAIL_NONE, "max_tokens"},
        {HEAD ",\"grammar\":7}", FAIL_UNSUPPORTED, FAIL_BAD_REQUEST, NULL},
        {HEAD ",\"grammar\":\"x\"," BEYOND "}", FAIL_UNSUPPORTED, FAIL_BAD_REQUEST, NULL},
        {HEAD "," BEYOND "}", FAIL_UNSUPPORTED, FAIL_NONE, "convert_schema"},
        {HEAD "," SCORED("{\"type\":\"array\"}") "}", FAIL_UNSUPPORTED, FAIL_UNSUPPORTED, NULL},
    };
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        struct openai_chat_ask ask;
        struct fault why = {0};
        bool on = i % 2 == 1;
        const char *body = rows[i / 2].body;
        enum fail f = openai_chat_decode(body, strlen(body), 4096, 1, on, &ask, &why);
        if (f != (on ? rows[i / 2].on : rows[i / 2].off)) {
            fail_msg("row %zu, %d: %s: %s", i / 2, on, fail_name(f), why.message);
        }
        if (f == FAIL_NONE) {
            AUTO_JSON json_t *j = json_loads(ask.ask.data, 0, NULL);
            assert_true(!on || json_object_get(j, rows[i / 2].key) != NULL);
            openai_chat_ask_done(&ask);
        }
    }
}

static void a_scored_schema_is_asked_as_a_form(void **state)
{
    (void)state;
    struct openai_chat_ask ask;
    AUTO_JSON json_t *j = decoded(HEAD "," SCORED(FLAT) "}", &ask);
    assert_non_null(ask.plan);
    assert_non_null(ask.schema);
    assert_string_equal(json_string_value(json_object_get(j, "input")), "hi");
    assert_non_null(strstr(json_string_value(json_object_get(j, "prefix")), "\"maxLength\":9"));
    assert_int_equal(json_array_size(json_object_get(j, "plan")), ask.plan->n_pieces);
    assert_null(json_object_get(j, "messages"));
    openai_chat_ask_done(&ask);
}

static void what_is_reproducible_is_in_the_ask(void **state)
{
    (void)state;
    struct openai_chat_ask ask;
    struct fault why;
    AUTO_JSON json_t *j = decoded(HEAD ",\"reproducible\":true,\"seed\":7,\"now\":9}", &ask);
    assert_true(ask.reproducible && ask.seed == 7 && ask.now == 9);
    assert_true(json_is_true(json_object_get(j, "reproducible")));
    assert_int_equal(json_integer_value(json_object_get(j, "now")), 9);
    openai_chat_ask_done(&ask);
    json_decref(j);
    j = decoded(HEAD ",\"reproducible\":true,\"seed\":-1}", &ask);
    assert_int_equal(json_integer_value(json_object_get(j, "now")), TASK_REPRODUCIBLE_NOW);
    openai_chat_ask_done(&ask);
    json_decref(j);
    j = decoded(HEAD ",\"reproducible\":false,\"now\":9}", &ask);
    assert_true(!ask.reproducible && json_object_get(j, "now") == NULL);
    openai_chat_ask_done(&ask);
    static const char unseeded[] = HEAD ",\"reproducible\":true}";
    assert_int_equal(openai_chat_decode(unseeded, sizeof unseeded - 1, 4096, 1, false, &ask, &why),
                     FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "seed");
}

static void tool_calls_are_not_streamed_as_text(void **state)
{
    (void)state;
    struct openai_chat_ask ask;
    AUTO_JSON json_t *j =
        decoded(HEAD ",\"stream\":true,\"parallel_tool_calls\":false,"
                     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
                &ask);
    assert_true(ask.stream && ask.has_tools && ask.one_tool_call);
    assert_true(json_is_false(json_object_get(j, "stream")));
    openai_chat_ask_done(&ask);
}

static void embeddings_take_texts_and_refuse_token_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum fail code;
    } rows[] = {
        {"{\"model\":\"embed\",\"input\":\"a\"}", FAIL_NONE},
        {"{\"model\":\"embed\",\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\"}", FAIL_NONE},
        {"{\"model\":\"embed\",\"input\":[]}", FAIL_BAD_REQUEST},
        {"{\"model\":\"embed\",\"input\":[\"\"]}", FAIL_BAD_REQUEST},
        {"{\"model\":\"embed\",\"input\":[1,2]}", FAIL_UNSUPPORTED},
        {"{\"model\":\"embed\",\"input\":[[1,2]]}", FAIL_UNSUPPORTED},
        {"{\"model\":\"embed\",\"input\":\"a\",\"encoding_format\":\"hex\"}", FAIL_BAD_REQUEST},
        {"{\"input\":\"a\"}", FAIL_BAD_REQUEST},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct openai_embed_ask ask;
        struct fault why;
        enum fail f = openai_embed_decode(rows[i].body, strlen(rows[i].body), &ask, &why);
        assert_int_equal(f, rows[i].code);
        if (f == FAIL_NONE) {
            openai_embed_ask_done(&ask);
        }
    }
}

static void reranking_takes_texts_and_orders_them(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum fail code;
        size_t texts;
    } rows[] = {
        {"{\"query\":\"q\",\"documents\":[\"a\",\"b\"],\"top_n\":1}", FAIL_NONE, 3},
        {"{\"query\":\"q\",\"documents\":[{\"text\":\"a\"}],\"unknown\":1}", FAIL_NONE, 2},
        {"{\"query\":\"q\",\"documents\":[]}", FAIL_BAD_REQUEST, 0},
        {"{\"query\":\"\",\"documents\":[\"a\"]}", FAIL_BAD_REQUEST, 0},
        {"{\"documents\":[\"a\"]}", FAIL_BAD_REQUEST, 0},
        {"{\"query\":\"q\",\"documents\":[\"a\",{\"no\":1}]}", FAIL_BAD_REQUEST, 0},
        {"{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0}", FAIL_BAD_REQUEST, 0},
        {"[]", FAIL_BAD_REQUEST, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct openai_rerank_ask ask;
        struct fault why;
        enum fail f = openai_rerank_decode(rows[i].body, strlen(rows[i].body), &ask, &why);
        assert_int_equal(f, rows[i].code);
        if (f == FAIL_NONE) {
            assert_int_equal(ask.texts_len, rows[i].texts);
            assert_string_equal(ask.model, "embed");
            openai_rerank_ask_done(&ask);
        }
    }
    static const float vectors[] = {1, 0, 0, 1, 0.6f, 0.8f, 1, 0, 0, 1};
    struct openai_ranked order[4];
    openai_rerank_order(vectors, 5, 2, order);
    assert_int_equal(order[0].index, 2);
    assert_int_equal(order[1].index, 1);
    assert_int_equal(order[2].index, 0); /* equal: as sent */
    assert_int_equal(order[3].index, 3);
    assert_true(order[1].score > 0.599 && order[1].score < 0.601);
}

static void worker_answers_are_reshaped_never_passed_through(void **state)
{
    (void)state;
    struct jn_writer w;
    struct buf b;
    buf_init(&b, 4096);
    jn_begin(&w, &b, false);
    openai_put_logprobs(&w,
                        "[{\"token\":\"\xc3\xa4\",\"logprob\":-0.5,\"top\":[{\"token\":\"a\","
                        "\"logprob\":-1},{\"token\":\"b\",\"logprob\":-2}]}]",
                        1);
    assert_string_equal(b.data, "{\"content\":[{\"token\":\"\xc3\xa4\",\"logprob\":-0.500000,"
                                "\"bytes\":[195,164],\"top_logprobs\":[{\"token\":\"a\","
                                "\"logprob\":-1.000000,\"bytes\":[97]}]}],\"refusal\":null}");
    buf_clear(&b);
    jn_begin(&w, &b, false);
    openai_put_logprobs(&w, "[{]", 1);
    assert_string_equal(b.data, "null");
    buf_clear(&b);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    assert_true(openai_put_tool_calls(&w,
                                      "[{\"id\":\"c1\",\"evil\":1,\"function\":{\"name\":\"f\","
                                      "\"arguments\":\"{}\"}},{\"id\":\"c2\"}]",
                                      true, true));
    jn_object_end(&w);
    assert_string_equal(b.data, "{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\","
                                "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(known_keys_reach_the_model_and_unknown_ones_are_ignored),
        cmocka_unit_test(raw_grammars_are_the_operators_choice),
        cmocka_unit_test(a_scored_schema_is_asked_as_a_form),
        cmocka_unit_test(what_is_reproducible_is_in_the_ask),
        cmocka_unit_test(tool_calls_are_not_streamed_as_text),
        cmocka_unit_test(embeddings_take_texts_and_refuse_token_numbers),
        cmocka_unit_test(reranking_takes_texts_and_orders_them),
        cmocka_unit_test(worker_answers_are_reshaped_never_passed_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
