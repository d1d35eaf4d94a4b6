/* SPDX-License-Identifier: Apache-2.0 */
/* Tests over real sockets: routing, refusals, answers from other threads, streams, clients that
   leave. */
#include "http/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

struct who {
    int64_t uid;
    char token[32];
};

static int gone_count;
static struct wire_request *parked;

/* Answers from a thread of its own; wire_free waits for the answer, so nothing joins it. */
static void in_the_background(void *(*fn)(void *), void *arg)
{
    pthread_t helper;
    assert_int_equal(pthread_create(&helper, NULL, fn, arg), 0);
    assert_int_equal(pthread_detach(helper), 0);
}

static enum fail authenticate(void *arg, const struct wire_credentials *c, void *who,
                              struct fault *why)
{
    (void)arg;
    struct who *w = who;
    w->uid = c->peer_uid;
    if (c->peer_uid < 0 && (c->token == NULL || strcmp(c->token, "good") != 0)) {
        return FAULT(why, FAIL_UNAUTHENTICATED, "no valid key");
    }
    return FAIL_NONE;
}

static enum fail admit(void *arg, const void *who, struct wire_request *r,
                       struct fault *why)
{
    const struct wire_route *route = wire_route_of(r);
    (void)arg;
    (void)who;
    if (route->scope == 2) {
        return FAULT(why, FAIL_FORBIDDEN, "admins only");
    }
    if (strcmp(route->rate, "none") == 0) {
        FAULT(why, FAIL_RATE_LIMITED, "too many");
        return fail_retry_after(why, 7);
    }
    return FAIL_NONE;
}

static void reply_text(struct wire_request *r, const char *text, size_t len)
{
    struct buf b;
    buf_init(&b, 1 << 22);
    assert_true(buf_add(&b, text, len));
    wire_reply(r, 200, "text/plain", &b);
}

static void do_echo(struct wire_request *r, void *arg)
{
    (void)arg;
    size_t n;
    const char *body = wire_body(r, &n);
    reply_text(r, body, n);
}

static void do_param(struct wire_request *r, void *arg)
{
    (void)arg;
    char text[256];
    const char *q = wire_query(r, "q");
    int n = snprintf(text, sizeof(text), "%s|%s", wire_param(r, "name"), q ? q : "");
    reply_text(r, text, (size_t)n);
}

static void *answer_later(void *arg)
{
    usleep(30000);
    reply_text(arg, "later", 5);
    return NULL;
}

static void do_later(struct wire_request *r, void *arg)
{
    (void)arg;
    in_the_background(answer_later, r);
}

static void *stream_later(void *arg)
{
    struct wire_request *r = arg;
    wire_stream_begin(r, "text/event-stream");
    for (int i = 0; i < 50; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "data: %d\n\n", i);
        (void)wire_stream_write(r, line, (size_t)n);
        if (i % 10 == 0) {
            usleep(1000);
        }
    }
    wire_stream_end(r, true);
    return NULL;
}

static void do_stream(struct wire_request *r, void *arg)
{
    (void)arg;
    in_the_background(stream_later, r);
}

static void count_gone(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&gone_count, 1, __ATOMIC_SEQ_CST);
}

static void do_park(struct wire_request *r, void *arg)
{
    (void)arg;
    wire_on_gone(r, count_gone, NULL);
    __atomic_store_n(&parked, r, __ATOMIC_SEQ_CST);
}

static void do_park_stream(struct wire_request *r, void *arg)
{
    wire_stream_begin(r, "text/event-stream");
    (void)wire_stream_write(r, "data: x\n\n", 9);
    do_park(r, arg);
}

static const struct wire_route routes[] = {
    {"GET", "/hello", do_echo, 0, 0, 0, "public", "", "", "", ""},
    {"POST", "/echo", do_echo, 1, 0, 100000, "user", "", "", "", ""},
    {"POST", "/small", do_echo, 1, 0, 10, "user", "", "", "", ""},
    {"GET", "/things/{name}/of", do_param, 1, 0, 0, "user", "", "", "", ""},
    {"GET", "/admin", do_echo, 2, 0, 0, "user", "", "", "", ""},
    {"GET", "/limited", do_echo, 1, 0, 0, "none", "", "", "", ""},
    {"GET", "/later", do_later, 0, 0, 0, "user", "", "", "", ""},
    {"GET", "/stream", do_stream, 0, 0, 0, "user", "", "", "", ""},
    {"GET", "/park", do_park, 0, 0, 0, "user", "", "", "", ""},
    {"GET", "/park-stream", do_park_stream, 0, 0, 0, "user", "", "", "", ""},
};

struct bench {
    struct wire *w;
    char path[64];
};

static int set_up(void **state)
{
    struct bench *b = mem_alloc(sizeof(*b));
    log_set_level(LOG_LEVEL_ERROR);
    (void)snprintf(b->path, sizeof(b->path), "/tmp/inhouse-wire-%d.sock", getpid());
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, b->path, strlen(b->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    struct wire_options o = {
        .address = "127.0.0.1",
        .unix_fd = fd,
        .threads = 2,
        .max_connections = 64,
        .max_connections_per_address = 64,
        .body_bytes = 1000,
        .routes = routes,
        .routes_len = COUNT_OF(routes),
        .gate = {.who_size = sizeof(struct who), .authenticate = authenticate, .admit = admit}};
    struct fault why;
    assert_int_equal(wire_new(&o, &b->w, &why), FAIL_NONE);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    wire_free(b->w, 1000);
    unlink(b->path);
    mem_free(b);
    return 0;
}

static int dial(const struct bench *b)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)wire_port(b->w)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* Sends, then reads until the other side closes or nothing comes for wait_ms. */
static const char *talk_on(int fd, const char *text, size_t len, int wait_ms)
{
    static char answer[300000];
    size_t got = 0;
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (got < sizeof(answer) - 1 && poll(&p, 1, wait_ms) > 0) {
        ssize_t n = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    answer[got] = '\0';
    return answer;
}

static const char *talk(const struct bench *b, const char *text)
{
    int fd = dial(b);
    const char *answer = talk_on(fd, text, strlen(text), 400);
    close(fd);
    return answer;
}

static void expect(const char *answer, int status, const char *part)
{
    char line[32];
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, part) == NULL) {
        fail_msg("wanted %d with %s, got: %.600s", status, part, answer);
    }
}

#define HOST "Host: x\r\nConnection: close\r\n"

static void requests_are_routed_once_and_default_is_deny(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *part;
    } rows[] = {
        {"GET /hello HTTP/1.1\r\n" HOST "\r\n", 200, "X-Content-Type-Options: nosniff"},
        {"HEAD /hello HTTP/1.1\r\n" HOST "\r\n", 200, "x-request-id: req_"},
        {"GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404, "\"code\":\"not_found\""},
        {"GET /hello/ HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"GET //hello HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"GET /x/../hello HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"GET /%68ello HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"GET /hello;a=b HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"GET http://x/hello HTTP/1.1\r\n" HOST "\r\n", 400, "plain form"},
        {"DELETE /hello HTTP/1.1\r\n" HOST "\r\n", 405, "Allow: GET"},
        {"GET /things/a.b-c/of HTTP/1.1\r\n" HOST "\r\n", 401, "WWW-Authenticate: Bearer"},
        {"GET /things/a.b-c/of?q=1%202 HTTP/1.1\r\nAuthorization: Bearer good\r\n" HOST "\r\n", 200,
         "a.b-c|1 2"},
        {"GET /things/a/of?q=1&q=2 HTTP/1.1\r\nx-api-key: good\r\n" HOST "\r\n", 400, "distinct"},
        {"GET /admin HTTP/1.1\r\napi-key: good\r\n" HOST "\r\n", 403, "forbidden"},
        {"GET /limited HTTP/1.1\r\napi-key: good\r\n" HOST "\r\n", 429, "retry-after: 7"},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
        {"GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ""},
        {"GET /hello HTTP/1.1\r\n\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\napi-key: good\r\nContent-Length: 3\r\nContent-Length: 3\r\n" HOST
         "\r\nabc",
         400, ""},
        {"POST /echo HTTP/1.1\r\napi-key: good\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n" HOST "\r\n0\r\n\r\n",
         400, ""},
        {"POST /echo HTTP/1.1\r\napi-key: good\r\nContent-Length: 5\r\n" HOST "\r\nhello", 200,
         "hello"},
        {"POST /echo HTTP/1.1\r\napi-key: good\r\nTransfer-Encoding: chunked\r\n" HOST
         "\r\n3\r\nabc\r\n0\r\n\r\n",
         200, "abc"},
        {"POST /small HTTP/1.1\r\napi-key: good\r\nContent-Length: 11\r\n" HOST "\r\nhello world",
         413, "too_large"},
        {"POST /small HTTP/1.1\r\napi-key: good\r\nTransfer-Encoding: chunked\r\n" HOST
         "\r\nb\r\nhello world\r\n0\r\n\r\n",
         413, "too_large"},
        {"POST /echo HTTP/1.1\r\napi-key: good\r\nContent-Length: 99999999\r\n" HOST "\r\n", 413,
         "too_large"},
        {"GET /later HTTP/1.1\r\n" HOST "\r\n", 200, "later"},
        {"GET /stream HTTP/1.1\r\n" HOST "\r\n", 200, "data: 49"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect(talk(*state, rows[i].text), rows[i].status, rows[i].part);
    }
}

static void a_connection_is_reused(void **state)
{
    static const char text[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(*state);
    expect(talk_on(fd, text, sizeof(text) - 1, 100), 200, "");
    expect(talk_on(fd, text, sizeof(text) - 1, 100), 200, "");
    close(fd);
}

static void the_unix_socket_says_who_is_there(void **state)
{
    const struct bench *b = *state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, b->path, strlen(b->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    expect(talk_on(fd, text, sizeof(text) - 1, 100), 200, "hi");
    close(fd);
}

static void wait_for(const int *value, int wanted)
{
    for (int i = 0; i < 300 && __atomic_load_n(value, __ATOMIC_SEQ_CST) != wanted; i++) {
        usleep(10000);
    }
    assert_int_equal(__atomic_load_n(value, __ATOMIC_SEQ_CST), wanted);
}

static void a_client_that_leaves_is_noticed_while_its_answer_is_made(void **state)
{
    static const char *const texts[] = {"GET /park HTTP/1.1\r\nHost: x\r\n\r\n",
                                        "GET /park-stream HTTP/1.1\r\nHost: x\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        __atomic_store_n(&gone_count, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&parked, NULL, __ATOMIC_SEQ_CST);
        int fd = dial(*state);
        (void)talk_on(fd, texts[i], strlen(texts[i]), 100);
        close(fd);
        wait_for(&gone_count, 1);
        usleep(20000);
        struct wire_request *r = __atomic_load_n(&parked, __ATOMIC_SEQ_CST);
        assert_non_null(r);
        if (i == 0) {
            reply_text(r, "too late", 8);
        } else {
            assert_false(wire_stream_write(r, "x", 1));
            wire_stream_end(r, false);
        }
    }
    struct wire_counts c;
    wire_counts(((struct bench *)*state)->w, &c);
    assert_int_equal(c.active, 0);
}

static void a_stream_nobody_reads_is_cut(void **state)
{
    __atomic_store_n(&parked, NULL, __ATOMIC_SEQ_CST);
    int fd = dial(*state);
    static const char text[] = "GET /park-stream HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(send(fd, text, sizeof(text) - 1, 0), sizeof(text) - 1);
    struct wire_request *r = NULL;
    for (int i = 0; i < 200 && r == NULL; i++) {
        usleep(10000);
        r = __atomic_load_n(&parked, __ATOMIC_SEQ_CST);
    }
    assert_non_null(r);
    static char block[65536];
    bool good = true;
    for (int i = 0; i < 1000 && good; i++) {
        good = wire_stream_write(r, block, sizeof(block));
    }
    assert_false(good);
    wire_stream_end(r, true);
    close(fd);
}

static void a_second_server_on_the_port_is_told_what_to_do(void **state)
{
    struct bench *b = *state;
    struct wire_options o = {.address = "127.0.0.1",
                             .port = wire_port(b->w),
                             .unix_fd = -1,
                             .threads = 1,
                             .max_connections = 8,
                             .max_connections_per_address = 8,
                             .routes = routes,
                             .routes_len = 1};
    struct wire *w;
    struct fault why;
    assert_int_equal(wire_new(&o, &w, &why), FAIL_CONFLICT);
    assert_non_null(strstr(why.message, "cannot listen on 127.0.0.1 port"));
    assert_non_null(strstr(why.hint, "--listen"));
}

static void stopping_refuses_what_is_new(void **state)
{
    struct bench *b = *state;
    wire_refuse(b->w);
    expect(talk(b, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 503, "\"code\":\"stopped\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_routed_once_and_default_is_deny, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connection_is_reused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_unix_socket_says_who_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_is_noticed_while_its_answer_is_made,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stream_nobody_reads_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_server_on_the_port_is_told_what_to_do, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stopping_refuses_what_is_new, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
