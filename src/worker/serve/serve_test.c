/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of worker/serve: the real inhouse-worker with the fake engine, over a socketpair, as the
   server sees it. */
#include "worker/serve/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 10000

struct client {
    pid_t pid;
    int socket;
    struct ipc_reader *in;
    struct ipc_writer *out;
    bool failed; /* the worker sent what is no frame */
};

static void spawn(struct client *c)
{
    static char path[4096];
    int fds[2];
    const char *build = getenv("INHOUSE_BUILD");
    (void)snprintf(path, sizeof path, "%s/bin/inhouse-worker", build == NULL ? "build" : build);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    c->pid = fork();
    if (c->pid == 0) {
        if (fds[1] == IPC_WORKER_FD) {
            (void)fcntl(fds[1], F_SETFD, 0);
        } else {
            (void)dup2(fds[1], IPC_WORKER_FD);
        }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        execl(path, path, "--engine", "fake", "--no-seal", (char *)NULL);
#else
        execl(path, path, "--engine", "fake", (char *)NULL);
#endif
        _exit(99);
    }
    close(fds[1]);
    c->socket = fds[0];
    c->in = ipc_reader_new(IPC_WORKER);
    c->out = ipc_writer_new(IPC_SERVER, 8u << 20);
}

static void send_ask(struct client *c, enum ipc_type type, uint64_t id, const char *body)
{
    int fd = type == IPC_LOAD ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    assert_int_equal(ipc_writer_put(c->out, type, 0, id, body, strlen(body), fd, NULL), FAIL_NONE);
    for (int i = 0; i < 1000 && ipc_writer_pending(c->out) > 0; i++) {
        assert_int_equal(ipc_writer_push(c->out, c->socket, NULL), FAIL_NONE);
    }
}

/* The next frame within wait_ms; false when there is none, the worker has gone, or it sent
   garbage. */
static bool next_within(struct client *c, struct ipc_frame *frame, int wait_ms)
{
    bool end = false;
    for (;;) {
        bool got = false;
        struct pollfd poller = {.fd = c->socket, .events = POLLIN};
        if (ipc_reader_next(c->in, frame, &got, NULL) != FAIL_NONE) {
            c->failed = true;
            return false;
        }
        if (got) {
            return true;
        }
        /* The last frame and the end may come in one read: end only once nothing is left. */
        if (end || poll(&poller, 1, wait_ms) != 1 ||
            ipc_reader_pull(c->in, c->socket, &end, NULL) != FAIL_NONE) {
            return false;
        }
    }
}

static const char *body_of(struct client *c, enum ipc_type type, uint64_t id)
{
    static struct ipc_frame frame;
    assert_true(next_within(c, &frame, WAIT_MS));
    if (frame.head.type != type) {
        print_message("%s\n", (const char *)frame.body);
    }
    assert_int_equal(frame.head.type, type);
    assert_int_equal(frame.head.id, id);
    return (const char *)frame.body;
}

static json_t *json_of(struct client *c, enum ipc_type type, uint64_t id)
{
    json_t *tree = NULL;
    const char *body = body_of(c, type, id);
    assert_int_equal(jn_parse(body, strlen(body), "answer", &tree, NULL), FAIL_NONE);
    return tree;
}

#define SHA "\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""

static void start(struct client *c, const char *kind, bool turns)
{
    char load[512];
    *c = (struct client){0};
    spawn(c);
    (void)body_of(c, IPC_HELLO, 0);
    (void)snprintf(load, sizeof load,
                   "{\"model\":\"m\"," SHA ",\"kind\":\"%s\",\"turns\":%s}", kind,
                   turns ? "true" : "false");
    send_ask(c, IPC_LOAD, 1, load);
    (void)body_of(c, IPC_LOADED, 1);
}

static int finish(struct client *c)
{
    int status = 0;
    if (c->socket >= 0) {
        close(c->socket);
    }
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    ipc_reader_free(c->in);
    ipc_writer_free(c->out);
    return status;
}

static void assert_code(struct client *c, uint64_t id, const char *code)
{
    AUTO_JSON json_t *tree = json_of(c, IPC_ERROR, id);
    assert_string_equal(json_string_value(json_object_get(tree, "code")), code);
}

static void hello_reports_the_seal(void **state)
{
    (void)state;
    struct client c = {0};
    spawn(&c);
    AUTO_JSON json_t *hello = json_of(&c, IPC_HELLO, 0);
    assert_string_equal(json_string_value(json_object_get(hello, "engine")), "fake");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(json_is_true(json_object_get(json_object_get(hello, "sandbox"), "seccomp")));
#endif
    assert_int_equal(finish(&c), 0);
}

static void a_stream_adds_up_to_its_text(void **state)
{
    (void)state;
    struct client c;
    struct ipc_frame frame;
    char text[512] = "";
    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2,
             "{\"domain\":\"d\",\"messages\":[{\"role\":\"user\",\"content\":\"one two three\"}],"
             "\"stream\":true,\"stop\":[\"three\"]}");
    while (next_within(&c, &frame, WAIT_MS) && frame.head.type == IPC_TEXT) {
        (void)strncat(text, (const char *)frame.body, sizeof text - strlen(text) - 1);
    }
    assert_int_equal(frame.head.type, IPC_DONE);
    AUTO_JSON json_t *done = json_loads((const char *)frame.body, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(done, "text")), text);
    assert_string_equal(text, "You said: one two ");
    assert_string_equal(json_string_value(json_object_get(done, "finish_reason")), "stop");
    send_ask(&c, IPC_STOP, 3, "");
    AUTO_JSON json_t *stopped = json_of(&c, IPC_STOPPED, 3);
    assert_int_equal(json_integer_value(json_object_get(stopped, "done")), 1);
    assert_int_equal(finish(&c), 0);
}

static const char plan_json[] =
    "[{\"kind\":\"choice\",\"name\":\"queue\",\"labels\":[\"billing\",\"card lost\"]},"
    "{\"kind\":\"number\",\"name\":\"days\",\"min\":\"1\",\"max\":\"90\"},"
    "{\"kind\":\"date\",\"name\":\"due\",\"min\":\"2026-01-01\",\"max\":\"2026-12-31\"},"
    "{\"kind\":\"boolean\",\"name\":\"urgent\"},"
    "{\"kind\":\"text\",\"name\":\"summary\",\"max_chars\":12,\"single_line\":true}]";

static void a_form_comes_back_filled(void **state)
{
    (void)state;
    struct client c;
    struct form_plan *plan = NULL;
    struct form_result *result = NULL;
    char ask[2048];
    AUTO_JSON json_t *array = json_loads(plan_json, 0, NULL);
    assert_int_equal(form_plan_read(array, &plan, NULL), FAIL_NONE);
    start(&c, "generate", false);
    (void)snprintf(ask, sizeof ask,
                   "{\"domain\":\"d\",\"class\":\"workflow\",\"input\":\"I lost my card today\","
                   "\"plan\":%s}",
                   plan_json);
    send_ask(&c, IPC_FORM, 2, ask);
    AUTO_JSON json_t *tree = json_of(&c, IPC_FORM_DONE, 2);
    assert_int_equal(form_result_read(tree, plan, &result, NULL), FAIL_NONE);
    assert_string_equal(result->fields[0].value, "card lost");
    assert_true(result->fields[0].probs[1] > 0.9);
    assert_string_equal(result->fields[4].value, "I lost my ca");
    assert_true(result->fields[4].cut);
    form_result_free(result);
    form_plan_free(plan);
    assert_int_equal(finish(&c), 0);
}

static float dot(const float *a, const float *b, uint32_t n)
{
    float sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void embeddings_are_unit_rows(void **state)
{
    (void)state;
    struct client c;
    start(&c, "embed", false);
    send_ask(&c, IPC_EMBED, 2,
             "{\"domain\":\"d\",\"texts\":[\"my card is lost\",\"the card was lost\",\"hello\"]}");
    const char *body = body_of(&c, IPC_EMBEDDED, 2);
    uint32_t head[2];
    float rows[3 * 384];
    memcpy(head, body, sizeof head);
    assert_int_equal(head[0], 3);
    assert_int_equal(head[1], 384);
    memcpy(rows, body + 8 + 3 * 8, sizeof rows);
    assert_true(dot(rows, rows, 384) > 0.999f && dot(rows, rows, 384) < 1.001f);
    assert_true(dot(rows, rows + 384, 384) > dot(rows, rows + 768, 384) + 0.2f);
    assert_int_equal(finish(&c), 0);
}

static void bad_asks_get_errors_and_the_worker_lives(void **state)
{
    (void)state;
    static const struct {
        enum ipc_type type;
        const char *body;
        const char *code;
    } cases[] = {
        {IPC_GENERATE, "{", "bad_request"},
        {IPC_GENERATE, "[]", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\"}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"domain\":\"e\",\"prompt\":\"x\"}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"riddle\":1}", "unknown_parameter"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"max_tokens\":0}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"temperature\":1e99}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"class\":\"vip\"}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"stop\":[\"\"]}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"prompt\":\"x\",\"messages\":[]}", "bad_request"},
        {IPC_GENERATE, "{\"domain\":\"d\",\"messages\":[]}", "bad_request"},
        {IPC_FORM, "{\"domain\":\"d\",\"input\":\"x\"}", "bad_request"},
        {IPC_FORM, "{\"domain\":\"d\",\"input\":\"x\",\"plan\":[]}", "bad_request"},
        {IPC_EMBED, "{\"domain\":\"d\",\"texts\":[\"x\"]}", "unsupported"},
        {IPC_EMBED, "{\"domain\":\"d\",\"texts\":[1]}", "bad_request"},
        {IPC_RENDER, "{\"template\":1,\"vars\":{}}", "bad_request"},
        {IPC_COUNT, "{\"texts\":[1]}", "bad_request"},
        {IPC_LOAD, "{\"model\":\"m\"," SHA ",\"kind\":\"generate\"}", "conflict"},
    };
    struct client c;
    start(&c, "generate", false);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        send_ask(&c, cases[i].type, 10 + i, cases[i].body);
        assert_code(&c, 10 + i, cases[i].code);
    }
    send_ask(&c, IPC_PING, 99, "");
    (void)body_of(&c, IPC_PONG, 99);
    assert_int_equal(finish(&c), 0);
}

static void nothing_is_served_before_a_model(void **state)
{
    (void)state;
    struct client c = {0};
    spawn(&c);
    (void)body_of(&c, IPC_HELLO, 0);
    send_ask(&c, IPC_GENERATE, 1, "{\"domain\":\"d\",\"prompt\":\"x\"}");
    assert_code(&c, 1, "model_unavailable");
    send_ask(&c, IPC_LOAD, 2, "{\"model\":\"unloadable\"," SHA ",\"kind\":\"generate\"}");
    assert_code(&c, 2, "model_unavailable");
    send_ask(&c, IPC_LOAD, 3, "{\"model\":\"m\"," SHA ",\"kind\":\"generate\"}");
    (void)body_of(&c, IPC_LOADED, 3);
    assert_int_equal(finish(&c), 0);
}

static void a_load_says_which_option_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *options, *param; /* NULL: it loads */
    } cases[] = {{"\"n_batch\":8", "n_batch"},
                 {"\"n_batch\":128,\"n_ubatch\":256", "n_ubatch"},
                 {"\"type_k\":\"q2\"", "type_k"},
                 {"\"flash\":\"off\",\"type_v\":\"q8_0\"", "type_v"},
                 {"\"gpu_layers\":-2", "gpu_layers"},
                 {"\"flash\":\"on\",\"type_k\":\"q8_0\",\"type_v\":\"q8_0\",\"n_batch\":256,"
                  "\"n_ubatch\":64,\"gpu_layers\":0",
                  NULL}};
    struct client c = {0};
    spawn(&c);
    (void)body_of(&c, IPC_HELLO, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char load[400];
        (void)snprintf(load, sizeof load, "{\"model\":\"m\"," SHA ",\"kind\":\"generate\",%s}",
                       cases[i].options);
        send_ask(&c, IPC_LOAD, i + 1, load);
        json_t *answer = json_of(&c, cases[i].param != NULL ? IPC_ERROR : IPC_LOADED, i + 1);
        if (cases[i].param != NULL) {
            assert_string_equal(json_string_value(json_object_get(answer, "param")),
                                cases[i].param);
        }
        json_decref(answer);
    }
    assert_int_equal(finish(&c), 0);
}

static void a_bad_frame_ends_the_worker(void **state)
{
    (void)state;
    struct client c;
    struct ipc_frame frame;
    start(&c, "generate", false);
    assert_int_equal(write(c.socket, "this is no frame at all", 23), 23);
    assert_false(next_within(&c, &frame, WAIT_MS));
    int status = finish(&c);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SERVE_EXIT_BAD_FRAME);
}

static void an_ungranted_turn_is_no_frame_to_send(void **state)
{
    (void)state;
    struct client c;
    struct ipc_frame frame;
    uint8_t turn[IPC_TURN_BYTES] = {0};
    start(&c, "generate", true);
    assert_int_equal(
        ipc_writer_put(c.out, IPC_TURN_GRANTED, 0, 5, turn, sizeof turn, -1, NULL), FAIL_NONE);
    assert_int_equal(ipc_writer_push(c.out, c.socket, NULL), FAIL_NONE);
    assert_false(next_within(&c, &frame, WAIT_MS));
    assert_int_equal(WEXITSTATUS(finish(&c)), SERVE_EXIT_BAD_FRAME);
}

static void it_misbehaves_on_demand(void **state)
{
    (void)state;
    struct client c;
    struct ipc_frame frame;
    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%crash%%\"}");
    assert_false(next_within(&c, &frame, WAIT_MS));
    int status = finish(&c);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);

    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%badframe%%\"}");
    while (next_within(&c, &frame, 500)) {
    }
    assert_true(c.failed);
    (void)finish(&c);

    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%hang%%\"}");
    send_ask(&c, IPC_PING, 3, "");
    if (next_within(&c, &frame, 300)) { /* the ping may have been read before the step */
        assert_int_equal(frame.head.type, IPC_PONG);
    }
    send_ask(&c, IPC_PING, 4, "");
    assert_false(next_within(&c, &frame, 300));
    assert_int_equal(kill(c.pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(finish(&c)));

    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%error%%\"}");
    assert_code(&c, 2, "internal");
    assert_int_equal(finish(&c), 0);
}

static void what_waits_can_be_cancelled(void **state)
{
    (void)state;
    struct client c;
    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%slow:9000%%\"}");
    send_ask(&c, IPC_GENERATE, 3, "{\"domain\":\"d\",\"prompt\":\"quick\"}");
    (void)body_of(&c, IPC_DONE, 3);
    send_ask(&c, IPC_CANCEL, 77, "");
    send_ask(&c, IPC_CANCEL, 2, "");
    AUTO_JSON json_t *done = json_of(&c, IPC_DONE, 2);
    assert_string_equal(json_string_value(json_object_get(done, "finish_reason")), "cancelled");
    send_ask(&c, IPC_PING, 4, "");
    (void)body_of(&c, IPC_PONG, 4);
    assert_int_equal(finish(&c), 0);
}

static void stopping_finishes_what_runs(void **state)
{
    (void)state;
    struct client c;
    start(&c, "generate", false);
    send_ask(&c, IPC_GENERATE, 2, "{\"domain\":\"d\",\"prompt\":\"%%slow:200%%\"}");
    send_ask(&c, IPC_STOP, 3, "");
    send_ask(&c, IPC_GENERATE, 4, "{\"domain\":\"d\",\"prompt\":\"late\"}");
    assert_code(&c, 4, "stopped");
    (void)body_of(&c, IPC_DONE, 2);
    (void)body_of(&c, IPC_STOPPED, 3);
    assert_int_equal(finish(&c), 0);
}

static void it_steps_only_in_its_turn(void **state)
{
    (void)state;
    struct client c;
    struct ipc_frame frame;
    int turns = 0;
    start(&c, "generate", true);
    send_ask(&c, IPC_GENERATE, 2,
             "{\"domain\":\"d\",\"class\":\"batch\",\"prompt\":\"one two three\"}");
    assert_true(next_within(&c, &frame, WAIT_MS));
    while (frame.head.type == IPC_TURN) {
        struct ipc_turn turn;
        uint8_t grant[IPC_TURN_BYTES];
        assert_int_equal(ipc_turn_get(&turn, frame.body, frame.head.len, NULL), FAIL_NONE);
        assert_int_equal(turn.class, IPC_BATCH);
        assert_int_equal(turn.step, frame.head.id);
        if (turns++ == 0) {
            assert_false(next_within(&c, &frame, 50)); /* no grant, no step */
        }
        turn.us = 200000;
        ipc_turn_put(grant, &turn);
        assert_int_equal(ipc_writer_put(c.out, IPC_TURN_GRANTED, 0, turn.step, grant,
                                        sizeof grant, -1, NULL),
                         FAIL_NONE);
        assert_int_equal(ipc_writer_push(c.out, c.socket, NULL), FAIL_NONE);
        bool over = false;
        while (next_within(&c, &frame, WAIT_MS) && frame.head.type != IPC_TURN) {
            over = over || frame.head.type == IPC_DONE;
            if (over && frame.head.type == IPC_TURN_DONE) {
                break;
            }
        }
        if (over) {
            break;
        }
    }
    assert_true(turns >= 1); /* short steps share one */
    assert_int_equal(finish(&c), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_reports_the_seal),
        cmocka_unit_test(a_stream_adds_up_to_its_text),
        cmocka_unit_test(a_form_comes_back_filled),
        cmocka_unit_test(embeddings_are_unit_rows),
        cmocka_unit_test(bad_asks_get_errors_and_the_worker_lives),
        cmocka_unit_test(nothing_is_served_before_a_model),
        cmocka_unit_test(a_load_says_which_option_is_wrong),
        cmocka_unit_test(a_bad_frame_ends_the_worker),
        cmocka_unit_test(an_ungranted_turn_is_no_frame_to_send),
        cmocka_unit_test(it_misbehaves_on_demand),
        cmocka_unit_test(what_waits_can_be_cancelled),
        cmocka_unit_test(stopping_finishes_what_runs),
        cmocka_unit_test(it_steps_only_in_its_turn),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
