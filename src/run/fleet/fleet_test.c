/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet against real workers with the fake engine: answers, deaths, replays, poison,
   streams, stopping. */
#include "run/fleet/fleet.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"

static struct loop *loop;
static struct fleet *fleet;
static int left; /* answers still to come */
static int codes[64];
static int codes_len;
static char letters[65]; /* of the sha256 that answered */
static char last_text[4096];
static int pid_before;

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void on_answer(void *arg, const struct fleet_answer *a)
{
    (void)arg;
    if (a->sha256 != NULL && codes_len < 64) {
        letters[codes_len] = a->sha256[0];
    }
    codes[codes_len++] = (int)a->code;
    if (a->generated != NULL) {
        snprintf(last_text, sizeof(last_text), "%s", a->generated->text);
    }
    if (a->why != NULL) {
        snprintf(last_text, sizeof(last_text), "%s", a->why->message);
    }
    if (--left == 0) {
        loop_stop(loop);
    }
}

static uint32_t open_model(const char *name, char letter)
{
    struct fault why;
    uint32_t id = 0;
    char sha[65];
    memset(sha, letter, 64);
    sha[64] = '\0';
    struct fleet_loading what = {.name = name, .sha256 = sha, .kind = FLEET_KIND_GENERATE,
                                 .fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (fleet_open(fleet, &what, &id, &why) != FAIL_NONE) {
        return 0;
    }
    return id;
}

static void generate_by(uint32_t model, const char *content, bool stream, fleet_text_fn on_text)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"domain\":\"t\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],"
             "\"max_tokens\":16,\"stream\":%s}",
             content, stream ? "true" : "false");
    struct fleet_ask ask = {.model = model, .role = FLEET_LIGHT, .type = IPC_GENERATE,
                            .body = body, .len = strlen(body), .on_text = on_text,
                            .done = on_answer};
    left++;
    fleet_ask(fleet, &ask);
}

static void generate(const char *content, bool stream, fleet_text_fn on_text)
{
    generate_by(0, content, stream, on_text);
}

static void on_timeout(void *arg)
{
    (void)arg;
    fail_msg("the test took too long");
}

/* Runs until every answer has come. */
static void run(void)
{
    uint64_t timer = loop_timer_add(loop, 60000, on_timeout, NULL);
    loop_restart(loop);
    loop_run(loop);
    loop_timer_cancel(loop, timer);
}

static int start(void **state)
{
    (void)state;
    static char path[512];
    const char *build = getenv("INHOUSE_BUILD");
    snprintf(path, sizeof(path), "%s/bin/inhouse-worker", build != NULL ? build : ".");
    struct fleet_options o = {.worker_path = path, .engine = "fake", .seal = false, .threads = 1,
                              .n_ctx_light = 2048, .n_ctx_heavy = 2048, .n_seq = 4,
                              .max_open = 8, .max_waiting = 64};
    struct fault why;
    log_set_level(LOG_LEVEL_ERROR + 1);
    left = codes_len = 0;
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    if (fleet_new(loop, &o, &fleet, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    char sha[65];
    memset(sha, 'a', 64);
    sha[64] = '\0';
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fleet_load(fleet, FLEET_LIGHT, "fake", sha, fd, &why), FAIL_NONE);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fleet_stop(fleet, stop_loop, NULL);
    run();
    fleet_free(fleet);
    loop_free(loop);
    return 0;
}

static void asks_wait_for_the_worker_and_are_answered(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        generate("hello", false, NULL);
    }
    run();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(codes[i], FAIL_NONE);
    }
    struct fleet_model m;
    fleet_model_get(fleet, FLEET_LIGHT, &m);
    assert_int_equal(m.state, FLEET_READY);
    assert_true(m.pid > 0 && m.rss_bytes > 0);
    assert_string_equal(m.name, "fake");
}

static void a_role_nobody_serves_is_said_so(void **state)
{
    (void)state;
    struct fleet_ask ask = {.role = FLEET_HEAVY, .type = IPC_GENERATE, .body = "{}", .len = 2,
                            .done = on_answer};
    left = 1;
    assert_int_equal(fleet_ask(fleet, &ask), 0);
    assert_int_equal(codes_len, 0); /* never from inside */
    run();
    assert_int_equal(codes[0], FAIL_MODEL_UNAVAILABLE);
}

static void kill_it(void *arg)
{
    (void)arg;
    struct fleet_model m;
    fleet_model_get(fleet, FLEET_LIGHT, &m);
    pid_before = m.pid;
    kill(m.pid, SIGKILL);
}

static void a_killed_worker_is_replaced_and_its_asks_replayed(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        generate("%%slow:500%%", false, NULL);
    }
    loop_timer_add(loop, 250, kill_it, NULL);
    run();
    for (int i = 0; i < 6; i++) {
        assert_int_equal(codes[i], FAIL_NONE);
    }
    struct fleet_model m;
    fleet_model_get(fleet, FLEET_LIGHT, &m);
    assert_int_equal(m.deaths, 1);
    assert_int_not_equal(m.pid, pid_before);
}

static int load_light(char letter)
{
    struct fault why;
    char sha[65];
    memset(sha, letter, 64);
    sha[64] = '\0';
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return (int)fleet_load(fleet, FLEET_LIGHT, "fake", sha, fd, &why);
}

static void load_another(void *arg)
{
    (void)arg;
    kill_it(NULL); /* remembers the pid; it dies only after the role has a successor */
    load_light('b');
}

static void only_remember(void *arg)
{
    (void)arg;
    struct fleet_model m;
    fleet_model_get(fleet, FLEET_LIGHT, &m);
    pid_before = m.pid;
    load_light('b');
}

static void kill_the_old_one(void *arg)
{
    (void)arg;
    kill(pid_before, SIGKILL);
}

static void asks_of_a_replaced_worker_that_dies_go_to_its_successor(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        generate("%%slow:3000%%", false, NULL);
    }
    loop_timer_add(loop, 300, only_remember, NULL); /* the successor is ready and idle ... */
    loop_timer_add(loop, 1500, kill_the_old_one, NULL); /* ... when the old one dies */
    run();
    assert_int_equal(codes_len, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(codes[i], FAIL_NONE);
    }
}

static void a_role_may_be_loaded_again_at_once(void **state)
{
    (void)state;
    generate("one", false, NULL);
    assert_int_equal(load_light('b'), FAIL_NONE); /* the first never said hello */
    generate("two", false, NULL);
    assert_int_equal(load_light('c'), FAIL_NONE);
    loop_timer_add(loop, 200, load_another, NULL);
    generate("three", false, NULL);
    run();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(codes[i], FAIL_NONE);
    }
}

static void a_cancelled_ask_is_answered_once(void **state)
{
    (void)state;
    static char bodies[] = "{\"domain\":\"t\",\"messages\":[{\"role\":\"user\",\"content\":"
                           "\"%%slow:300%%\"}],\"max_tokens\":16,\"stream\":false}";
    struct fleet_ask ask = {.role = FLEET_LIGHT, .type = IPC_GENERATE, .body = bodies,
                            .len = strlen(bodies), .done = on_answer};
    left = 12; /* more than one worker holds: some wait here */
    for (int i = 0; i < 12; i++) {
        uint64_t id = fleet_ask(fleet, &ask);
        fleet_cancel(fleet, id);
        fleet_cancel(fleet, id);
    }
    run();
    assert_int_equal(codes_len, 12);
}

static void a_request_that_kills_twice_is_refused_and_the_others_live(void **state)
{
    (void)state;
    generate("good one", false, NULL);
    generate("%%crash%%", false, NULL);
    generate("good two", false, NULL);
    run();
    int good = 0, poison = 0;
    for (int i = 0; i < codes_len; i++) {
        good += codes[i] == FAIL_NONE;
        poison += codes[i] == FAIL_POISON_REQUEST;
    }
    assert_int_equal(good, 2);
    assert_int_equal(poison, 1);
}

static void a_bad_frame_ends_the_worker_not_the_server(void **state)
{
    (void)state;
    generate("%%badframe%%", false, NULL);
    generate("good", false, NULL);
    run();
    int good = 0;
    for (int i = 0; i < codes_len; i++) {
        good += codes[i] == FAIL_NONE;
    }
    assert_int_equal(good, 1);
}

static char streamed[4096];

static void on_text(void *arg, const char *text, size_t len)
{
    (void)arg;
    strncat(streamed, text, len);
}

static void a_stream_sums_to_its_text(void **state)
{
    (void)state;
    streamed[0] = '\0';
    generate("tell me", true, on_text);
    run();
    assert_int_equal(codes[0], FAIL_NONE);
    assert_string_equal(streamed, last_text);
    assert_true(strlen(streamed) > 0);
}

static void an_error_of_the_worker_keeps_its_code(void **state)
{
    (void)state;
    struct fleet_ask ask = {.role = FLEET_LIGHT, .type = IPC_GENERATE, .done = on_answer};
    ask.body = "{\"domain\":\"t\",\"prompt\":\"x\",\"max_tokens\":-5}";
    ask.len = strlen(ask.body);
    left = 1;
    fleet_ask(fleet, &ask);
    run();
    assert_int_equal(codes[0], FAIL_BAD_REQUEST);
}

static void three_models_answer_side_by_side_each_by_its_id(void **state)
{
    (void)state;
    uint32_t b = open_model("b", 'b'), c = open_model("c", 'c');
    memset(letters, 0, sizeof(letters));
    assert_true(b != 0 && c != 0 && b != c);
    for (int i = 0; i < 5; i++) {
        generate("hello", false, NULL);
        generate_by(b, "hello", false, NULL);
        generate_by(c, "hello", false, NULL);
    }
    run();
    int seen[3] = {0};
    for (int i = 0; i < 15; i++) {
        assert_int_equal(codes[i], FAIL_NONE);
        seen[letters[i] - 'a']++;
    }
    assert_true(seen[0] == 5 && seen[1] == 5 && seen[2] == 5);
    assert_int_equal(fleet_find(fleet, "b"), b);
    assert_int_equal(fleet_find(fleet, "light"), fleet_find(fleet, "fake"));
    assert_int_equal(fleet_find(fleet, "heavy"), 0);
    struct fleet_model m;
    assert_true(fleet_model_find(fleet, c, &m));
    assert_int_equal(m.roles, 0);
    fleet_role_set(fleet, FLEET_HEAVY, c);
    fleet_role_set(fleet, FLEET_LIGHT, c); /* one model may serve several roles */
    assert_true(fleet_model_find(fleet, c, &m));
    assert_int_equal(m.roles, 1u << FLEET_HEAVY | 1u << FLEET_LIGHT);
}

static uint32_t to_close;

static void close_it(void *arg)
{
    (void)arg;
    fleet_close(fleet, to_close);
    generate_by(to_close, "too late", false, NULL);
}

static void a_model_unloads_only_after_what_it_has_is_answered(void **state)
{
    (void)state;
    to_close = open_model("b", 'b');
    for (int i = 0; i < 12; i++) { /* more than one worker holds: some wait here */
        generate_by(to_close, "%%slow:500%%", false, NULL);
    }
    loop_timer_add(loop, 300, close_it, NULL);
    run();
    int good = 0, refused = 0;
    for (int i = 0; i < 13; i++) {
        good += codes[i] == FAIL_NONE;
        refused += codes[i] == FAIL_MODEL_UNAVAILABLE;
    }
    assert_int_equal(good, 12);
    assert_int_equal(refused, 1);
    assert_int_equal(fleet_find(fleet, "b"), 0);
}

static void a_killed_worker_of_an_unloading_model_comes_back_for_its_asks(void **state)
{
    (void)state;
    struct fleet_model m;
    to_close = open_model("b", 'b');
    for (int i = 0; i < 3; i++) {
        generate_by(to_close, "%%slow:600%%", false, NULL);
    }
    assert_true(fleet_model_find(fleet, to_close, &m));
    pid_before = m.pid;
    loop_timer_add(loop, 250, close_it, NULL);
    loop_timer_add(loop, 400, kill_the_old_one, NULL);
    run();
    int good = 0;
    for (int i = 0; i < 4; i++) {
        good += codes[i] == FAIL_NONE;
    }
    assert_int_equal(good, 3);
}

static void the_table_of_models_is_bounded(void **state)
{
    (void)state;
    for (int i = 1; i < FLEET_MODELS_MAX; i++) {
        char name[8];
        snprintf(name, sizeof(name), "m%d", i);
        assert_int_not_equal(open_model(name, 'b'), 0);
    }
    assert_int_equal(open_model("one more", 'b'), 0);
    uint32_t ids[2 * FLEET_MODELS_MAX];
    assert_int_equal(fleet_ids(fleet, ids), FLEET_MODELS_MAX);
    fleet_close(fleet, ids[3]);
    assert_int_not_equal(open_model("one more", 'b'), 0);
}

/* ---- who goes next ---- */

static char order[64]; /* the first letter of each answer's team, in order */

static void on_turn(void *arg, const struct fleet_answer *a)
{
    codes[codes_len++] = (int)a->code;
    strncat(order, a->code == FAIL_NONE ? (const char *)arg : "-", 1);
    snprintf(last_text, sizeof(last_text), "%d", a->why != NULL ? a->why->retry_after_s : 0);
    if (--left == 0) {
        loop_stop(loop);
    }
}

static uint64_t ask_as(const char *team, enum ipc_class class, int slow_ms, int64_t deadline_us)
{
    static char body[256];
    snprintf(body, sizeof(body),
             "{\"domain\":\"%s/-\",\"class\":\"%s\",\"prompt\":\"%%%%slow:%d%%%%\"}", team,
             ipc_class_name(class), slow_ms);
    struct fleet_ask ask = {.role = FLEET_LIGHT, .type = IPC_GENERATE, .body = body,
                            .len = strlen(body), .team = team, .class = class, .max_tokens = 100,
                            .deadline_us = deadline_us, .done = on_turn, .arg = (void *)team};
    left++;
    return fleet_ask(fleet, &ask);
}

static void a_late_team_and_people_pass_a_flood(void **state)
{
    (void)state;
    order[0] = '\0';
    for (int i = 0; i < 20; i++) { /* the worker holds 8 of a class */
        ask_as("a", IPC_BATCH, 100, 0);
    }
    for (int i = 0; i < 3; i++) {
        ask_as("b", IPC_BATCH, 0, 0);
        ask_as("people", IPC_INTERACTIVE, 0, 0);
    }
    run();
    assert_int_equal(strlen(order), 23 + 3);
    assert_null(strchr(order, '-'));
    assert_true(strrchr(order, 'p') - order < 3); /* at once, beside what the worker holds */
    assert_true(strrchr(order, 'b') - order < 8 + 3 + 6 + 3); /* a's eight, then in turn */
}

static void over_its_places_a_team_is_told_when_to_come_back(void **state)
{
    (void)state;
    order[0] = '\0';
    for (int i = 0; i < 45; i++) { /* 64 places: batch of one team has 36 of them, 8 are open */
        ask_as("a", IPC_BATCH, 150, 0);
    }
    ask_as("b", IPC_INTERACTIVE, 0, 0);
    run();
    int full = 0, good = 0;
    for (int i = 0; i < codes_len; i++) {
        full += codes[i] == FAIL_QUEUE_FULL;
        good += codes[i] == FAIL_NONE;
    }
    assert_int_equal(good + full, 46);
    assert_in_range(full, 1, 9);
    struct queue_stats s;
    queue_stats_get(fleet_queue(fleet, fleet_find(fleet, "light")), &s);
    assert_int_equal(s.refused_full, full);
    assert_int_equal(s.in_service + s.waiting[IPC_BATCH] + s.waiting[IPC_INTERACTIVE], 0);
    assert_true(s.rate > 0);
}

static void a_deadline_that_cannot_be_met_is_said_at_once(void **state)
{
    (void)state;
    order[0] = '\0';
    for (int i = 0; i < 8; i++) {
        ask_as("a", IPC_BATCH, 300, 0);
    }
    run(); /* now the rate is known */
    for (int i = 0; i < 24; i++) {
        ask_as("a", IPC_BATCH, 300, 0);
    }
    codes_len = 0;
    ask_as("b", IPC_BATCH, 0, clock_monotonic_us() + 1000);
    assert_int_equal(codes_len, 0); /* never from inside */
    run();
    assert_int_equal(codes[0], FAIL_DEADLINE);
}

static void a_cancelled_ask_gives_its_place_back_at_once(void **state)
{
    (void)state;
    uint64_t ids[36];
    struct queue_stats s;
    order[0] = '\0';
    for (int i = 0; i < 36; i++) {
        ids[i] = ask_as("a", IPC_BATCH, 0, 0); /* the worker has not started: all wait */
    }
    assert_int_equal(ask_as("a", IPC_BATCH, 0, 0), 0); /* no place */
    const struct queue *q = fleet_queue(fleet, fleet_find(fleet, "light"));
    queue_stats_get(q, &s);
    assert_int_equal(s.waiting[IPC_BATCH], 36);
    for (int i = 0; i < 36; i++) {
        fleet_cancel(fleet, ids[i]);
    }
    queue_stats_get(q, &s);
    assert_int_equal(s.waiting[IPC_BATCH], 0);
    assert_true(s.cost_waiting < 0.5);
    assert_int_not_equal(ask_as("a", IPC_BATCH, 0, 0), 0);
    run();
    assert_int_equal(codes_len, 38);
}

static void embed_bodies_are_built_and_bounded(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "bc"};
    struct buf b;
    buf_init(&b, IPC_FRAME_MAX);
    assert_true(fleet_embed_body(&b, IPC_BATCH, false, "dom", texts, 2));
    assert_int_equal(b.len, 4 + 4 + 3 + (4 + 1) + (4 + 2));
    buf_clear(&b);
    assert_false(fleet_embed_body(&b, IPC_BATCH, false, "dom", texts, 0));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_wait_for_the_worker_and_are_answered, start, stop),
        cmocka_unit_test_setup_teardown(a_role_nobody_serves_is_said_so, start, stop),
        cmocka_unit_test_setup_teardown(a_killed_worker_is_replaced_and_its_asks_replayed, start,
                                        stop),
        cmocka_unit_test_setup_teardown(asks_of_a_replaced_worker_that_dies_go_to_its_successor,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_role_may_be_loaded_again_at_once, start, stop),
        cmocka_unit_test_setup_teardown(a_cancelled_ask_is_answered_once, start, stop),
        cmocka_unit_test_setup_teardown(a_request_that_kills_twice_is_refused_and_the_others_live,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_bad_frame_ends_the_worker_not_the_server, start, stop),
        cmocka_unit_test_setup_teardown(a_stream_sums_to_its_text, start, stop),
        cmocka_unit_test_setup_teardown(an_error_of_the_worker_keeps_its_code, start, stop),
        cmocka_unit_test_setup_teardown(three_models_answer_side_by_side_each_by_its_id, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_model_unloads_only_after_what_it_has_is_answered, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            a_killed_worker_of_an_unloading_model_comes_back_for_its_asks, start, stop),
        cmocka_unit_test_setup_teardown(the_table_of_models_is_bounded, start, stop),
        cmocka_unit_test_setup_teardown(a_late_team_and_people_pass_a_flood, start, stop),
        cmocka_unit_test_setup_teardown(over_its_places_a_team_is_told_when_to_come_back, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_deadline_that_cannot_be_met_is_said_at_once, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_cancelled_ask_gives_its_place_back_at_once, start,
                                        stop),
        cmocka_unit_test(embed_bodies_are_built_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
