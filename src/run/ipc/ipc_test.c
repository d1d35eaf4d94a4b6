/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of run/ipc: frames survive any split, bad ones are refused, descriptors arrive with
   theirs. */
#include "run/ipc/ipc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/mem.h"

struct pair {
    int server;
    int worker;
    struct ipc_writer *out;
    struct ipc_reader *in;
};

static struct pair pair_open(enum ipc_side from, size_t cap)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return (struct pair){fds[0], fds[1], ipc_writer_new(from, cap), ipc_reader_new(from)};
}

static void pair_close(struct pair *p)
{
    ipc_writer_free(p->out);
    ipc_reader_free(p->in);
    close(p->server);
    close(p->worker);
}

static void frames_survive_every_split(void **state)
{
    (void)state;
    uint8_t bytes[] = {5, 0, 0, 0, 25, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o',
                       0, 0, 0, 0, 17, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0};
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        struct ipc_reader *reader = ipc_reader_new(IPC_WORKER);
        struct ipc_frame frame;
        bool got;
        int seen = 0;
        size_t ends[2] = {cut, sizeof bytes};
        size_t at = 0;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ipc_reader_feed(reader, bytes + at, ends[i] - at, NULL, 0, NULL), 0);
            at = ends[i];
            while (ipc_reader_next(reader, &frame, &got, NULL) == FAIL_NONE && got) {
                if (seen == 0) {
                    assert_int_equal(frame.head.type, IPC_TEXT);
                    assert_string_equal((const char *)frame.body, "hello");
                } else {
                    assert_int_equal(frame.head.id, 0x201);
                    assert_int_equal(frame.body[0], 0);
                }
                seen++;
            }
        }
        assert_int_equal(seen, 2);
        ipc_reader_free(reader);
    }
}

static void bad_headers_are_refused_for_good(void **state)
{
    (void)state;
    static const struct ipc_header bad[] = {
        {.len = 0, .type = 99, .id = 1},
        {.len = IPC_JSON_MAX + 1, .type = IPC_LOAD, .flags = IPC_FLAG_FD, .id = 1},
        {.len = IPC_FRAME_MAX + 1, .type = IPC_GENERATE, .id = 1},
        {.len = 2, .type = IPC_LOAD, .id = 1},
        {.len = 2, .type = IPC_GENERATE, .flags = IPC_FLAG_FD, .id = 1},
        {.len = 2, .type = IPC_STATE, .id = 1},
        {.len = 2, .type = IPC_STATE_DONE, .id = 1},
        {.len = 2, .type = IPC_GENERATE, .flags = 8, .id = 1},
        {.len = 2, .type = IPC_GENERATE, .id = 0},
        {.len = 1, .type = IPC_CANCEL, .id = 1},
        {.len = 2, .type = IPC_DONE, .id = 1},
        {.len = 15, .type = IPC_TURN_GRANTED, .id = 1},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(ipc_header_check(&bad[i], IPC_SERVER, NULL), FAIL_BAD_REQUEST);
    }
    struct ipc_reader *reader = ipc_reader_new(IPC_SERVER);
    struct ipc_frame frame;
    bool got;
    assert_int_equal(ipc_reader_feed(reader, "................", 16, NULL, 0, NULL), 0);
    assert_int_equal(ipc_reader_next(reader, &frame, &got, NULL), FAIL_BAD_REQUEST);
    assert_int_equal(ipc_reader_feed(reader, "x", 1, NULL, 0, NULL), FAIL_BAD_REQUEST);
    assert_int_equal(ipc_reader_next(reader, &frame, &got, NULL), FAIL_BAD_REQUEST);
    assert_false(got);
    ipc_reader_free(reader);
}

static void a_descriptor_arrives_with_its_frame(void **state)
{
    (void)state;
    struct pair p = pair_open(IPC_SERVER, 1 << 20);
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(ipc_writer_put(p.out, IPC_PING, 0, 1, NULL, 0, -1, NULL), 0);
    assert_int_equal(ipc_writer_put(p.out, IPC_LOAD, 0, 2, "{}", 2, pipe_fds[1], NULL), 0);
    assert_int_equal(ipc_writer_put(p.out, IPC_PING, 0, 3, NULL, 0, -1, NULL), 0);
    assert_int_equal(ipc_writer_push(p.out, p.server, NULL), 0);
    assert_int_equal(ipc_writer_pending(p.out), 0);
    bool end;
    assert_int_equal(ipc_reader_pull(p.in, p.worker, &end, NULL), 0);
    struct ipc_frame frame;
    bool got;
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(ipc_reader_next(p.in, &frame, &got, NULL), 0);
        assert_true(got);
        assert_int_equal(frame.head.id, id);
        assert_true((frame.fd >= 0) == (id == 2));
        if (frame.fd >= 0) {
            assert_int_equal(write(frame.fd, "x", 1), 1);
            close(frame.fd);
        }
    }
    char c = 0;
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    close(pipe_fds[0]);
    pair_close(&p);
}

static void a_full_writer_refuses_whole_frames(void **state)
{
    (void)state;
    struct pair p = pair_open(IPC_WORKER, 3 * IPC_JSON_MAX);
    char *body = mem_alloc(IPC_JSON_MAX);
    memset(body, 'a', IPC_JSON_MAX);
    unsigned put = 0;
    while (ipc_writer_put(p.out, IPC_TEXT, 0, 1, body, IPC_JSON_MAX, -1, NULL) == FAIL_NONE) {
        put++;
    }
    assert_int_equal(put, 2);
    unsigned got_frames = 0;
    for (int i = 0; i < 100 && got_frames < put; i++) {
        bool end;
        assert_int_equal(ipc_writer_push(p.out, p.server, NULL), 0);
        assert_int_equal(ipc_reader_pull(p.in, p.worker, &end, NULL), 0);
        struct ipc_frame frame;
        bool got;
        while (ipc_reader_next(p.in, &frame, &got, NULL) == FAIL_NONE && got) {
            assert_int_equal(frame.head.len, IPC_JSON_MAX);
            got_frames++;
        }
    }
    assert_int_equal(got_frames, put);
    mem_free(body);
    pair_close(&p);
}

static void turns_round_trip(void **state)
{
    (void)state;
    struct ipc_turn turn = {.us = 70000, .class = IPC_BATCH, .tokens = 512, .step = 1ull << 40};
    struct ipc_turn back;
    uint8_t bytes[IPC_TURN_BYTES];
    ipc_turn_put(bytes, &turn);
    assert_int_equal(ipc_turn_get(&back, bytes, sizeof bytes, NULL), 0);
    assert_int_equal(back.us, 70000);
    assert_int_equal(back.step, 1ull << 40);
    bytes[4] = 3;
    assert_int_equal(ipc_turn_get(&back, bytes, sizeof bytes, NULL), FAIL_BAD_REQUEST);
    assert_int_equal(ipc_turn_get(&back, bytes, 15, NULL), FAIL_BAD_REQUEST);
    assert_int_equal(ipc_class_find("batch"), IPC_BATCH);
    assert_int_equal(ipc_class_find("best"), IPC_CLASS_COUNT);
}

static void a_state_survives_its_bytes_and_no_other_does(void **state)
{
    (void)state;
    static const int32_t tokens[] = {1, 2, 300, 49151};
    static const double logp[] = {-0.1, -2.5, 0};
    const struct ipc_scores rows[] = {{.form = {1}, .piece = 1, .n = 3, .logp = logp},
                                      {.form = {1}, .piece = 3, .n = 2, .logp = logp}};
    const struct ipc_state made = {.tokens = tokens,
                                   .n_tokens = 4,
                                   .scores = rows,
                                   .n_scores = 2,
                                   .kv = (const uint8_t *)"keys and values",
                                   .kv_bytes = 15};
    size_t n = ipc_state_size(&made);
    uint8_t *bytes = mem_alloc(n + 1);
    ipc_state_put(&made, bytes);
    struct arena *arena = arena_new(1 << 20);
    struct ipc_state back;
    assert_int_equal(ipc_state_get(&back, bytes, n, arena, NULL), FAIL_NONE);
    assert_int_equal(back.n_tokens, 4);
    assert_memory_equal(back.tokens, tokens, sizeof tokens);
    assert_int_equal(back.scores[1].piece, 3);
    assert_memory_equal(back.scores[0].logp, logp, sizeof logp);
    assert_memory_equal(back.kv, "keys and values", 15);
    assert_int_equal(ipc_state_get(&back, bytes, n + 1, arena, NULL), FAIL_BAD_REQUEST);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(ipc_state_get(&back, bytes, cut, arena, NULL), FAIL_BAD_REQUEST);
    }
    static const size_t counts[] = {4, 8, 16}; /* tokens, rows, KV bytes: any other is too many */
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (int bit = 0; bit < 32; bit++) {
            bytes[counts[i] + (size_t)bit / 8] ^= (uint8_t)(1 << (bit % 8));
            assert_int_equal(ipc_state_get(&back, bytes, n, arena, NULL), FAIL_BAD_REQUEST);
            bytes[counts[i] + (size_t)bit / 8] ^= (uint8_t)(1 << (bit % 8));
        }
    }
    arena_free(arena);
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_every_split),
        cmocka_unit_test(bad_headers_are_refused_for_good),
        cmocka_unit_test(a_descriptor_arrives_with_its_frame),
        cmocka_unit_test(a_full_writer_refuses_whole_frames),
        cmocka_unit_test(turns_round_trip),
        cmocka_unit_test(a_state_survives_its_bytes_and_no_other_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
