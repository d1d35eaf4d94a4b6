/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room against tests/upstream/mock.py, a real process on loopback that misbehaves on request.
 * Without python3 it is skipped. Addresses and prices are tested in upstream_pure_test.c.
 */
#include "run/upstream/upstream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/guard/guard.h"

static struct loop *loop;
static struct store *store;
static struct upstream *up;
static char home[64], data[96];
static pid_t mock;
static int mock_port, mock_stdin;

/* ---- the house ---- */

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("the test took too long");
}

static void run(void)
{
    uint64_t timer = loop_timer_add(loop, 60000, too_long, NULL);
    loop_restart(loop);
    loop_run(loop);
    loop_timer_cancel(loop, timer);
}

static void wait_ms(int64_t ms)
{
    (void)loop_timer_add(loop, ms, stop_loop, NULL);
    run();
}

static void start_mock(void)
{
    char path[512], line[32] = "";
    int out[2], in[2];
    const char *source = getenv("INHOUSE_SOURCE");
    (void)snprintf(path, sizeof(path), "%s/tests/upstream/mock.py", source != NULL ? source : ".");
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(in), 0);
    mock = fork();
    if (mock == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", path, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    mock_stdin = in[1];
    size_t n = 0; /* it may come in pieces */
    while (n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n') {
        n++;
    }
    close(out[0]);
    int64_t port = 0;
    line[n] = '\0';
    (void)text_read_int(line, 1, 65535, &port);
    mock_port = (int)port;
}

/* %d in `more` and the base is the mock's port; `models` follows model_list. */
static void open_with(const char *upstreams, const char *models)
{
    char text[8192];
    struct config_faults faults;
    struct config *c = NULL;
    struct fault why;
    struct buf shown;
    (void)snprintf(text, sizeof(text), "models: {hosted: ok}\nupstreams:\n%s\nmodel_list:\n%s",
                   upstreams, models);
    buf_init(&shown, 65536);
    if (config_read(text, strlen(text), "test.yaml", &c, &faults) != FAIL_NONE) {
        config_faults_show(&faults, &shown);
        fail_msg("%s", shown.data);
    }
    buf_done(&shown);
    assert_int_equal(store_open(data, &store_schema_data, &store, &why), FAIL_NONE);
    if (upstream_open(loop, store, c, &up, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    config_unref(c);
}

static void close_all(void)
{
    upstream_stop(up);
    loop_post(loop, stop_loop, NULL);
    run();
    store_close(store);
    upstream_close(up);
    loop_post(loop, stop_loop, NULL);
    run();
    up = NULL;
    store = NULL;
}

/* Every behaviour of the mock as a pool of its own name, at one upstream `main`. */
static void open_mock(const char *more)
{
    static const char *const names[] = {
        "ok",    "slow",   "garbage",  "html",   "half",    "once429", "limited", "redirect",
        "huge",  "keybad", "error500", "reset",  "http09",  "refused", "unknown", "echo",
        "json",  "tools",  "deep",     "noend",  "errorevent", "headers", "once500", "peek",
        "bare"};
    char servers[1024], models[8192];
    struct buf list;
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: main, base: \"http://127.0.0.1:%d/v1\", allow: [127.0.0.0/8], %s}\n",
                   mock_port, more);
    buf_init(&list, sizeof(models));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)buf_printf(&list,
                         "  - {model_name: %s, litellm_params: {model: %s, upstream: main}, "
                         "model_info: {input_cost_per_token: 0.000001, "
                         "cache_read_input_token_cost: 0.0000001, "
                         "output_cost_per_token: 0.000002}}\n",
                         names[i], names[i]);
    }
    (void)buf_add_str(&list, "  - {model_name: free, litellm_params: {model: ok, upstream: main}}\n"
                             "  - {model_name: embed, litellm_params: {model: e, upstream: main}, "
                             "model_info: {mode: embedding, input_cost_per_token: 0.0000001}}\n");
    open_with(servers, list.data);
    buf_done(&list);
}

/* ---- asking ---- */

static struct {
    enum fail code;
    char why[400], hint[300], text[65536], finish[24], tools[1024], streamed[65536];
    int64_t cost;
    int tokens_in, tokens_cached, tokens_out, redacted, retry_after_s;
    size_t pieces, attempts_len, dim, vectors_len;
    struct upstream_attempt attempts[UPSTREAM_MAX_ATTEMPTS];
    double ms, vector[8];
    int ended;
} got;

static void on_text(void *arg, const char *text, size_t len)
{
    (void)arg;
    size_t at = strlen(got.streamed);
    assert_true(at + len < sizeof(got.streamed));
    memcpy(got.streamed + at, text, len);
    got.streamed[at + len] = '\0';
    got.pieces++;
}

static void on_done(void *arg, const struct upstream_answer *a)
{
    (void)arg;
    got.ended++;
    got.code = a->code;
    if (a->why != NULL) {
        (void)text_copy(got.why, sizeof(got.why), a->why->message);
        (void)text_copy(got.hint, sizeof(got.hint), a->why->hint);
        got.retry_after_s = a->why->retry_after_s;
    }
    (void)text_copy(got.text, sizeof(got.text), a->text != NULL ? a->text : "");
    (void)text_copy(got.finish, sizeof(got.finish), a->finish_reason ? a->finish_reason : "");
    (void)text_copy(got.tools, sizeof(got.tools), a->tool_calls_json ? a->tool_calls_json : "");
    got.cost = a->cost_nano;
    got.tokens_in = a->tokens_in;
    got.tokens_cached = a->tokens_cached;
    got.tokens_out = a->tokens_out;
    got.redacted = a->redacted;
    got.dim = a->dim;
    got.vectors_len = a->vectors_len;
    for (size_t i = 0; i < a->vectors_len * a->dim && i < COUNT_OF(got.vector); i++) {
        got.vector[i] = (double)a->vectors[i];
    }
    got.attempts_len = a->attempts_len;
    memcpy(got.attempts, a->attempts, a->attempts_len * sizeof(*a->attempts));
    got.ms = a->ms;
    loop_stop(loop);
}

struct how {
    bool stream, redact;
    enum secrecy label;
    const char *rule, *extra, *keep;
    struct guard_lists *lists;
    int64_t ms;
};

static uint64_t begin(const char *model, const char *said, struct how how)
{
    char body[4096];
    (void)snprintf(body, sizeof(body),
                   "{\"messages\":[{\"role\":\"system\",\"content\":\"Be short.\"},"
                   "{\"role\":\"user\",\"content\":\"%s\"}],\"max_tokens\":100%s}",
                   said, how.extra != NULL ? how.extra : "");
    struct upstream_ask ask = {.model = model,
                               .body = body,
                               .len = strlen(body),
                               .stream = how.stream,
                               .max_tokens = 100,
                               .label = how.label,
                               .redact = how.redact,
                               .keep = how.keep,
                               .lists = how.lists,
                               .rule = how.rule,
                               .team = "default",
                               .deadline_us =
                                   clock_monotonic_us() + (how.ms > 0 ? how.ms : 20000) * 1000,
                               .on_text = on_text,
                               .done = on_done};
    memset(&got, 0, sizeof(got));
    return upstream_call(up, &ask);
}

static void ask(const char *model, const char *said, struct how how)
{
    (void)begin(model, said, how);
    assert_int_equal(got.ended, 0); /* never from inside */
    run();
    assert_int_equal(got.ended, 1);
}

static int64_t spent(const char *key)
{
    struct buf text;
    struct jn_writer w;
    struct fault why;
    json_t *j = NULL;
    buf_init(&text, 1 << 20);
    jn_begin(&w, &text, false);
    jn_object_begin(&w);
    upstream_put(up, &w);
    jn_object_end(&w);
    assert_int_equal(jn_parse(text.data, text.len, "listing", &j, &why), FAIL_NONE);
    const json_t *s = json_array_get(json_object_get(j, "upstreams"), 0);
    const json_t *v = json_object_get(json_object_get(s, "spend"), key);
    int64_t n = json_is_string(v) ? (int64_t)llround(strtod(json_string_value(v), NULL) * 1e9)
                                  : json_integer_value(json_object_get(s, key));
    json_decref(j);
    buf_done(&text);
    return n;
}

#define FULL_COST (600 * 1000 + 400 * 100 + 200 * 2000) /* nano: of the mock's usage */

/* ---- answers ---- */

static void answers_whole_and_streamed_in_openai_s_shape(void **state)
{
    (void)state;
    open_mock("retries: 0");
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    assert_string_equal(got.text, "Hello from the mock");
    assert_string_equal(got.finish, "stop");
    assert_int_equal(got.tokens_in, 1000);
    assert_int_equal(got.tokens_cached, 400);
    assert_int_equal(got.cost, FULL_COST);
    assert_int_equal(got.attempts_len, 1);
    assert_int_equal(got.attempts[0].status, 200);
    assert_string_equal(got.attempts[0].address, "127.0.0.1");
    ask("hosted", "hi", (struct how){.stream = true});
    assert_int_equal(got.code, FAIL_NONE);
    assert_string_equal(got.streamed, "Hello from the mock");
    assert_string_equal(got.text, got.streamed);
    assert_true(got.pieces > 3);
    assert_int_equal(got.cost, FULL_COST);
    ask("noend", "hi", (struct how){.stream = true});
    assert_int_equal(got.code, FAIL_NONE); /* a finish reason was said */
    ask("tools", "there", (struct how){.extra = ",\"tools\":[{\"type\":\"function\",\"function\":{"
                                                "\"name\":\"look\"}}]"});
    assert_int_equal(got.code, FAIL_NONE);
    assert_string_equal(got.finish, "tool_calls");
    assert_non_null(strstr(got.tools, "\"look\""));
    assert_int_equal(spent("spent"), 4 * FULL_COST);
    assert_int_equal(spent("reserved"), 0);
    close_all();
}

static void embeddings_are_unit_rows_in_order(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "bb"};
    struct upstream_ask x = {.model = "embed",
                             .work = UPSTREAM_EMBED,
                             .texts = texts,
                             .texts_len = 2,
                             .done = on_done};
    open_mock("retries: 0");
    memset(&got, 0, sizeof(got));
    (void)upstream_call(up, &x);
    run();
    assert_int_equal(got.code, FAIL_NONE);
    assert_int_equal(got.vectors_len, 2);
    assert_int_equal(got.dim, 3);
    assert_true(got.vector[0] < got.vector[3]); /* 2 of "a", 3 of "bb": sorted by index */
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        sum += got.vector[i] * got.vector[i];
    }
    assert_true(sum > 0.999 && sum < 1.001);
    close_all();
}

static void anthropic_is_translated_both_ways(void **state)
{
    (void)state;
    char servers[512];
    static const char models[] =
        "  - {model_name: ok, litellm_params: {model: anthropic/ok, upstream: a}, model_info: "
        "{price: {input: \"1\", cached_input: \"0.1\", output: \"2\"}}}\n"
        "  - {model_name: echo, litellm_params: {model: echo, upstream: a}, model_info: "
        "{price: {input: \"1\", cached_input: \"0.1\", output: \"2\"}}}\n"
        "  - {model_name: tools, litellm_params: {model: tools, upstream: a}, model_info: "
        "{price: {input: \"1\", cached_input: \"0.1\", output: \"2\"}}}\n";
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: a, kind: anthropic, base: \"http://127.0.0.1:%d\", allow: "
                   "[127.0.0.1], retries: 0}\n",
                   mock_port);
    open_with(servers, models);
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    assert_string_equal(got.text, "Hello from the mock");
    assert_int_equal(got.tokens_in, 1000);
    assert_int_equal(got.cost, FULL_COST);
    ask("ok", "hi", (struct how){.stream = true});
    assert_int_equal(got.code, FAIL_NONE);
    assert_string_equal(got.streamed, "Hello from the mock");
    assert_int_equal(got.cost, FULL_COST);
    for (int stream = 0; stream < 2; stream++) {
        ask("echo", "seven", (struct how){.stream = stream == 1,
                                          .extra = ",\"json_schema\":{\"type\":\"object\","
                                                   "\"properties\":{\"said\":{}}}"});
        assert_int_equal(got.code, FAIL_NONE);
        assert_non_null(strstr(got.text, "\"seven\""));
        assert_string_equal(got.finish, "stop");
        assert_string_equal(got.tools, "");
    }
    ask("tools", "x", (struct how){.extra = ",\"tools\":[{\"type\":\"function\",\"function\":{"
                                            "\"name\":\"look\",\"parameters\":{\"type\":"
                                            "\"object\"}}}],\"tool_choice\":\"required\""});
    assert_string_equal(got.finish, "tool_calls");
    assert_non_null(strstr(got.tools, "toolu_1"));
    close_all();
}

/* ---- trouble ---- */

static void each_trouble_has_its_name_and_costs_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool stream;
        enum upstream_outcome outcome;
        enum fail code;
    } cases[] = {
        {"garbage", false, UPSTREAM_GARBAGE, FAIL_UPSTREAM_FAILED},
        {"garbage", true, UPSTREAM_GARBAGE, FAIL_UPSTREAM_FAILED},
        {"html", false, UPSTREAM_GARBAGE, FAIL_UPSTREAM_FAILED},
        {"deep", false, UPSTREAM_GARBAGE, FAIL_UPSTREAM_FAILED},
        {"half", false, UPSTREAM_CUT, FAIL_UPSTREAM_FAILED},
        {"errorevent", true, UPSTREAM_GARBAGE, FAIL_UPSTREAM_FAILED},
        {"redirect", false, UPSTREAM_REDIRECT, FAIL_UPSTREAM_FAILED},
        {"huge", false, UPSTREAM_TOO_LARGE, FAIL_UPSTREAM_FAILED},
        {"huge", true, UPSTREAM_TOO_LARGE, FAIL_UPSTREAM_FAILED},
        {"headers", false, UPSTREAM_TOO_LARGE, FAIL_UPSTREAM_FAILED},
        {"keybad", false, UPSTREAM_KEY, FAIL_UPSTREAM_FAILED},
        {"error500", false, UPSTREAM_OVERLOADED, FAIL_UPSTREAM_FAILED},
        {"refused", false, UPSTREAM_REFUSED, FAIL_UPSTREAM_FAILED},
        {"reset", false, UPSTREAM_CUT, FAIL_UPSTREAM_FAILED},
        {"limited", false, UPSTREAM_LIMITED, FAIL_RATE_LIMITED},
        {"unknown", false, UPSTREAM_PLACEHOLDER, FAIL_UPSTREAM_FAILED},
        {"unknown", true, UPSTREAM_PLACEHOLDER, FAIL_UPSTREAM_FAILED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        open_mock("retries: 0, breaker_failures: 100");
        int64_t before = spent("spent");
        ask(cases[i].model, "my secret words",
            (struct how){.stream = cases[i].stream, .redact = true});
        if (got.attempts_len != 1 || got.attempts[0].outcome != cases[i].outcome ||
            got.code != cases[i].code) {
            fail_msg("%s: %zu attempts, %s, %s: %s", cases[i].model, got.attempts_len,
                     upstream_outcome_name(got.attempts[0].outcome), fail_name(got.code), got.why);
        }
        assert_non_null(strstr(got.why, upstream_outcome_name(cases[i].outcome)));
        assert_null(strstr(got.why, "secret"));
        assert_null(strstr(got.hint, "secret"));
        assert_null(strstr(got.attempts[0].note, "secret"));
        if (got.pieces == 0) {
            assert_int_equal(spent("spent"), before);
        }
        assert_int_equal(spent("reserved"), 0);
        if (cases[i].outcome == UPSTREAM_LIMITED) {
            assert_int_equal(got.retry_after_s, 7);
        }
        close_all();
    }
}

static void a_slow_server_is_left_at_the_deadline(void **state)
{
    (void)state;
    open_mock("retries: 5");
    ask("slow", "hi", (struct how){.ms = 400});
    assert_int_equal(got.code, FAIL_DEADLINE);
    assert_int_equal(got.attempts_len, 1);
    assert_true(got.ms >= 390);
    assert_true(spent("uncertain") > 0); /* it may have been billed; it is not spent */
    assert_int_equal(spent("spent"), 0);
    close_all();
    open_mock("retries: 1, timeout_ms: 150");
    ask("slow", "hi", (struct how){.ms = 20000});
    assert_int_equal(got.code, FAIL_UPSTREAM_FAILED);
    assert_int_equal(got.attempts_len, 2);
    assert_int_equal(got.attempts[0].outcome, UPSTREAM_SLOW);
    close_all();
}

static void what_was_handed_on_is_never_asked_again(void **state)
{
    (void)state;
    open_mock("retries: 3");
    ask("half", "hi", (struct how){.stream = true});
    assert_int_equal(got.code, FAIL_UPSTREAM_FAILED);
    assert_int_equal(got.attempts_len, 1);
    assert_int_equal(got.attempts[0].outcome, UPSTREAM_CUT);
    assert_memory_equal(got.streamed, "The mock goes on", 16);
    assert_true(got.cost > 0);
    assert_int_equal(spent("spent"), got.cost);
    close_all();
}

static void a_second_attempt_is_charged_once(void **state)
{
    (void)state;
    open_mock("retries: 2");
    int64_t before = spent("spent");
    ask("once429", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    assert_int_equal(got.attempts_len, 2);
    assert_int_equal(got.attempts[0].outcome, UPSTREAM_LIMITED);
    assert_int_equal(got.attempts[0].retry_after_ms, 60);
    assert_int_equal(got.attempts[1].outcome, UPSTREAM_ANSWERED);
    assert_true(got.attempts[1].at_ms >= got.attempts[0].ms + 60);
    assert_int_equal(spent("spent") - before, FULL_COST);
    ask("once500", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    assert_int_equal(got.attempts_len, 2);
    assert_int_equal(spent("spent") - before, 2 * FULL_COST);
    close_all();
    open_mock("retries: 2"); /* the ledger outlives the process */
    assert_int_equal(spent("spent") - before, 2 * FULL_COST);
    close_all();
}

static void a_pause_longer_than_the_deadline_is_not_waited_for(void **state)
{
    (void)state;
    open_mock("retries: 3");
    ask("limited", "hi", (struct how){.ms = 3000});
    assert_int_equal(got.code, FAIL_RATE_LIMITED);
    assert_int_equal(got.attempts_len, 1);
    assert_true(got.ms < 2500);
    close_all();
}

static void another_member_answers_when_one_is_down(void **state)
{
    (void)state;
    char servers[1024];
    static const char models[] =
        "  - {model_name: m, litellm_params: {model: ok, upstream: down, weight: 1000}, "
        "model_info: {price: {input: \"1\", output: \"2\"}}}\n"
        "  - {model_name: m, litellm_params: {model: ok, upstream: there, weight: 1}, "
        "model_info: {price: {input: \"1\", output: \"2\"}}}\n";
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: down, base: \"http://127.0.0.1:1/v1\", allow: [127.0.0.1], "
                   "breaker_failures: 2, breaker_open_ms: 60000}\n"
                   "  - {name: there, base: \"http://127.0.0.1:%d/v1\", allow: [127.0.0.1]}\n",
                   mock_port);
    open_with(servers, models);
    int down = 0;
    for (int i = 0; i < 20; i++) {
        ask("m", "hi", (struct how){0});
        assert_int_equal(got.code, FAIL_NONE);
        down += strcmp(got.attempts[0].upstream, "down") == 0;
    }
    assert_int_equal(down, 2); /* then its circuit was open */
    close_all();
}

static void a_circuit_opens_is_probed_and_closes(void **state)
{
    (void)state;
    open_mock("retries: 0, breaker_failures: 2, breaker_open_ms: 300");
    for (int i = 0; i < 2; i++) {
        ask("error500", "hi", (struct how){0});
        assert_int_equal(got.attempts_len, 1);
    }
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_MODEL_UNAVAILABLE);
    assert_int_equal(got.attempts_len, 0);
    assert_non_null(strstr(got.why, "circuit is open"));
    while (spent("probes") == 0) {
        wait_ms(20);
    }
    for (int i = 0; i < 200 && got.code != FAIL_NONE; i++) {
        wait_ms(20);
        ask("ok", "hi", (struct how){0});
    }
    assert_int_equal(got.code, FAIL_NONE);
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    close_all();
}

/* ---- gates ---- */

static void labels_are_the_last_gate(void **state)
{
    (void)state;
    open_mock("retries: 0");
    ask("ok", "hi", (struct how){.label = SECRECY_RESTRICTED, .rule = "any", .redact = true});
    assert_int_equal(got.code, FAIL_FORBIDDEN);
    assert_int_equal(got.attempts_len, 0);
    ask("ok", "hi", (struct how){.label = (enum secrecy)77, .rule = "any", .redact = true});
    assert_int_equal(got.code, FAIL_FORBIDDEN);
    ask("ok", "hi", (struct how){.label = SECRECY_CONFIDENTIAL, .redact = true});
    assert_int_equal(got.code, FAIL_FORBIDDEN);
    ask("echo", "Write to ann@example.com",
        (struct how){.label = SECRECY_CONFIDENTIAL, .rule = "rare_and_hard"});
    assert_int_equal(got.code, FAIL_NONE);
    assert_int_equal(got.redacted, 1); /* nobody asked for it: the label did */
    assert_string_equal(got.text, "Write to ann@example.com");
    ask("ok", "hi", (struct how){.label = SECRECY_INTERNAL});
    assert_int_equal(got.code, FAIL_NONE);
    close_all();
    open_mock("retries: 0, on_prem: true");
    ask("ok", "hi", (struct how){.label = SECRECY_RESTRICTED});
    assert_int_equal(got.code, FAIL_FORBIDDEN);
    ask("echo", "ann@example.com", (struct how){.label = SECRECY_CONFIDENTIAL});
    assert_int_equal(got.code, FAIL_NONE); /* it does not leave the house */
    assert_int_equal(got.redacted, 0);
    close_all();
}

static void a_lost_or_altered_placeholder_is_an_error(void **state)
{
    (void)state;
    static const char said[] = "Translate: write to bob@example.org";
    static const struct {
        const char *model, *keep;
        enum upstream_outcome want;
    } cases[] = {
        {"bare", NULL, UPSTREAM_PLACEHOLDER}, /* it takes the brackets off */
        {"ok", NULL, UPSTREAM_ANSWERED},      /* an answer may leave some out, */
        {"ok", said, UPSTREAM_LOST},          /* a translation none */
        {"ok", "another text", UPSTREAM_ANSWERED},
        {"echo", said, UPSTREAM_ANSWERED},
    };
    open_mock("retries: 0");
    for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
        ask(cases[i / 2].model, said,
            (struct how){.stream = i % 2 == 1, .redact = true, .keep = cases[i / 2].keep});
        assert_int_equal(got.attempts[0].outcome, cases[i / 2].want);
        assert_int_equal(got.code == FAIL_NONE, cases[i / 2].want == UPSTREAM_ANSWERED);
    }
    for (int word = 0; word < 2; word++) { /* a team's own word is redacted too */
        struct guard_lists *own = word == 1 ? guard_lists_new() : NULL;
        assert_true(own == NULL || guard_lists_add(own, GUARD_LIST_TERM, "Nightjar"));
        ask("echo", "of nightjar", (struct how){.redact = true, .lists = own});
        assert_int_equal(got.redacted, word);
        assert_string_equal(got.text, "of nightjar");
    }
    close_all();
}

static void values_leave_as_placeholders_and_come_back(void **state)
{
    (void)state;
    open_mock("retries: 0");
    for (int stream = 0; stream < 2; stream++) {
        ask("echo",
            "I am bob@example.org, my friend ann@example.com, again bob@example.org [EMAIL_1]",
            (struct how){.stream = stream == 1, .redact = true});
        assert_int_equal(got.code, FAIL_NONE);
        assert_int_equal(got.redacted, 2);
        assert_string_equal(
            got.text,
            "I am bob@example.org, my friend ann@example.com, again bob@example.org [EMAIL_1]");
        if (stream == 1) {
            assert_string_equal(got.streamed, got.text);
        }
    }
    for (int redact = 0; redact < 2; redact++) { /* the witness first: it can see one */
        ask("peek", "bob@example.org",
            (struct how){.redact = redact == 1,
                         .extra = ",\"stop\":[\"ann@example.com\"],\"tools\":[{\"type\":"
                                  "\"function\",\"function\":{\"name\":\"look\","
                                  "\"description\":\"mail cy@example.net\"}}]"});
        assert_string_equal(got.text, redact == 1 ? "clean" : "leaked");
    }
    ask("json", "bob@example.org", (struct how){.redact = true,
                                                .extra = ",\"json_schema\":{\"type\":\"object\"}"});
    assert_string_equal(got.text, "{\"said\": \"bob@example.org\"}");
    ask("tools", "bob@example.org", (struct how){.redact = true,
                                                 .extra = ",\"tools\":[{\"type\":\"function\","
                                                          "\"function\":{\"name\":\"look\"}}]"});
    assert_non_null(strstr(got.tools, "bob@example.org"));
    close_all();
}

static void an_address_that_is_not_allowed_is_not_connected_to(void **state)
{
    (void)state;
    char servers[1024];
    static const char models[] =
        "  - {model_name: a, litellm_params: {model: ok, upstream: inner}, model_info: "
        "{price: {input: \"1\", output: \"2\"}}}\n"
        "  - {model_name: b, litellm_params: {model: ok, upstream: named}, model_info: "
        "{price: {input: \"1\", output: \"2\"}}}\n"
        "  - {model_name: c, litellm_params: {model: ok, upstream: meta}, model_info: "
        "{price: {input: \"1\", output: \"2\"}}}\n"
        "  - {model_name: d, litellm_params: {model: ok, upstream: onprem}}\n";
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: inner, base: \"http://127.0.0.1:%d/v1\", retries: 0}\n"
                   "  - {name: named, base: \"https://localhost:%d/v1\", retries: 0}\n"
                   "  - {name: meta, base: \"http://169.254.169.254/v1\", on_prem: true, "
                   "allow: [10.0.0.0/8], retries: 0}\n"
                   "  - {name: onprem, base: \"http://127.0.0.1:%d/v1\", on_prem: true, "
                   "allow: [10.0.0.0/8], retries: 0}\n",
                   mock_port, mock_port, mock_port);
    open_with(servers, models);
    static const char *const pools[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < COUNT_OF(pools); i++) {
        ask(pools[i], "hi", (struct how){0});
        assert_int_equal(got.code, FAIL_UPSTREAM_FAILED);
        if (got.attempts[0].outcome != UPSTREAM_ADDRESS) {
            fail_msg("%s: %s: %s", pools[i], upstream_outcome_name(got.attempts[0].outcome),
                     got.attempts[0].note);
        }
    }
    close_all();
}

static void a_name_nobody_knows_does_not_hold_the_deadline_up(void **state)
{
    (void)state;
    static const char servers[] =
        "  - {name: lost, base: \"https://no-such-host.invalid/v1\", retries: 0}\n";
    static const char models[] =
        "  - {model_name: a, litellm_params: {model: ok, upstream: lost}, model_info: "
        "{price: {input: \"1\", output: \"2\"}}}\n";
    open_with(servers, models);
    ask("a", "hi", (struct how){.ms = 500}); /* the look-up goes on in libcurl's thread */
    assert_true(got.code == FAIL_DEADLINE || got.attempts[0].outcome == UPSTREAM_RESOLVE);
    assert_true(got.ms < 5000);
    assert_string_equal(got.attempts[0].address, "");
    close_all();
}

static void no_price_no_call(void **state)
{
    (void)state;
    open_mock("retries: 0");
    ask("free", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_MODEL_UNAVAILABLE);
    assert_non_null(strstr(got.why, "has no price"));
    assert_non_null(strstr(got.why, "main"));
    close_all();
}

static void a_spent_budget_refuses_before_anything_leaves(void **state)
{
    (void)state;
    char servers[512];
    static const char models[] =
        "  - {model_name: ok, litellm_params: {model: ok, upstream: little}, model_info: "
        "{price: {input: \"1\", cached_input: \"0.1\", output: \"2\"}}}\n";
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: little, base: \"http://127.0.0.1:%d/v1\", allow: [127.0.0.1], "
                   "retries: 0, budget: {amount: \"0.0015\", per: day}}\n",
                   mock_port);
    open_with(servers, models);
    ask("ok", "hi", (struct how){0}); /* 0.00104 */
    assert_int_equal(got.code, FAIL_NONE);
    struct upstream_pool_state pool;
    upstream_pool_check(up, "ok", 10, 10, &pool);
    assert_true(pool.usable);
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE); /* 0.0002 more was reserved, 0.00104 came */
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_OVER_BUDGET);
    assert_int_equal(got.attempts_len, 0);
    upstream_pool_check(up, "ok", 10, 10, &pool);
    assert_false(pool.usable);
    assert_non_null(strstr(pool.why_not, "budget"));
    close_all();
}

static void what_cannot_be_honoured_is_refused_by_name(void **state)
{
    (void)state;
    open_mock("retries: 0");
    ask("ok", "hi", (struct how){.extra = ",\"grammar\":\"root ::= x\""});
    assert_int_equal(got.code, FAIL_UNSUPPORTED);
    assert_non_null(strstr(got.why, "grammar"));
    ask("nothing", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NOT_FOUND);
    close_all();
}

static void a_key_must_be_there_and_private(void **state)
{
    (void)state;
    char servers[1024], path[96], models[512];
    (void)snprintf(path, sizeof(path), "%s/key", home);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("sk-test\n", f);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0644), 0);
    (void)snprintf(servers, sizeof(servers),
                   "  - {name: u, base: \"http://127.0.0.1:%d/v1\", allow: [127.0.0.1], "
                   "key: \"file:%s\"}\n",
                   mock_port, path);
    (void)snprintf(models, sizeof(models), "  - {model_name: ok, litellm_params: {model: ok, "
                                           "upstream: u}, model_info: {price: {input: \"0\", "
                                           "output: \"0\"}}}\n");
    open_with(servers, models);
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_MODEL_UNAVAILABLE);
    assert_non_null(strstr(got.why, "not private"));
    assert_null(strstr(got.why, "sk-test"));
    close_all();
    assert_int_equal(chmod(path, 0600), 0);
    open_with(servers, models);
    ask("ok", "hi", (struct how){0});
    assert_int_equal(got.code, FAIL_NONE);
    close_all();
}

static void cancelled_and_stopped_calls_are_told_once(void **state)
{
    (void)state;
    open_mock("retries: 3");
    uint64_t id = begin("slow", "hi", (struct how){0});
    wait_ms(200);
    assert_int_equal(got.ended, 0);
    upstream_cancel(up, id);
    run();
    assert_int_equal(got.ended, 1);
    assert_int_equal(got.code, FAIL_STOPPED);
    assert_int_equal(got.attempts[0].outcome, UPSTREAM_CANCELLED);
    upstream_cancel(up, id);
    (void)begin("slow", "hi", (struct how){0});
    wait_ms(200);
    upstream_stop(up);
    assert_int_equal(got.ended, 1);
    assert_int_equal(got.code, FAIL_STOPPED);
    (void)begin("ok", "hi", (struct how){0});
    run();
    assert_int_equal(got.code, FAIL_STOPPED);
    close_all();
}

/* ---- all of them ---- */

static int start(void **state)
{
    (void)state;
    struct fault why;
    log_set_level(LOG_LEVEL_ERROR + 1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(home, sizeof(home), "/tmp/upstream-test-XXXXXX");
    assert_non_null(mkdtemp(home));
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    start_mock();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    close(mock_stdin);
    (void)kill(mock, SIGKILL);
    (void)waitpid(mock, NULL, 0);
    loop_free(loop);
    DIR *d = opendir(home);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    (void)rmdir(home);
    return 0;
}

/* Each test begins with an empty ledger, also after one that failed in the middle. */
static int need_mock(void **state)
{
    static int number;
    (void)state;
    (void)snprintf(data, sizeof(data), "%s/%d.db", home, ++number);
    if (mock_port == 0) {
        print_message("python3 is not here: the tests of the wire are skipped\n");
        skip();
    }
    return 0;
}

#define WIRED(test) cmocka_unit_test_setup(test, need_mock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRED(answers_whole_and_streamed_in_openai_s_shape),
        WIRED(embeddings_are_unit_rows_in_order),
        WIRED(anthropic_is_translated_both_ways),
        WIRED(each_trouble_has_its_name_and_costs_nothing),
        WIRED(a_slow_server_is_left_at_the_deadline),
        WIRED(what_was_handed_on_is_never_asked_again),
        WIRED(a_second_attempt_is_charged_once),
        WIRED(a_pause_longer_than_the_deadline_is_not_waited_for),
        WIRED(another_member_answers_when_one_is_down),
        WIRED(a_circuit_opens_is_probed_and_closes),
        WIRED(labels_are_the_last_gate),
        WIRED(values_leave_as_placeholders_and_come_back),
        WIRED(a_lost_or_altered_placeholder_is_an_error),
        WIRED(an_address_that_is_not_allowed_is_not_connected_to),
        WIRED(a_name_nobody_knows_does_not_hold_the_deadline_up),
        WIRED(no_price_no_call),
        WIRED(a_spent_budget_refuses_before_anything_leaves),
        WIRED(what_cannot_be_honoured_is_refused_by_name),
        WIRED(a_key_must_be_there_and_private),
        WIRED(cancelled_and_stopped_calls_are_told_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
