/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/serve, the loop: poll the socket, take frames, take one engine step, send what came of it.
 * States of the process: waiting for a model -> serving -> stopping (no new asks; ends when the
 * last is answered).
 * Owns: struct serve. Threads: one. Limits: one turn open at a time; output pauses the engine
 * before it overflows.
 */
#include "worker/serve/serve_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

#define COUNT_TEXTS_MAX 1024
#define TEXT_CHUNK_MAX (32u * 1024)
#define RENDER_BYTES_MAX (1024u * 1024)

#define TURN_SHARED_US 25000 /* steps that fit into so much time share a turn */

enum turn { TURN_NONE, TURN_ASKED, TURN_GRANTED };

struct serve {
    const struct serve_options *options;
    struct engine *engine;
    struct engine_sink sink;
    struct ipc_reader *in;
    struct ipc_writer *out;
    struct buf body;
    bool turns;
    enum turn turn;
    uint32_t turn_us; /* of the turn at hand, worked */
    unsigned turn_steps;
    enum ipc_class turn_class; /* of its last step */
    uint64_t step;
    uint32_t lease_us;
    uint64_t stop_id; /* 0: not stopping */
    int64_t done;
    int64_t failed;
    bool broken; /* a frame could not be queued: the worker ends */
};

/* Out. */

static void send_frame(struct serve *s, enum ipc_type type, uint64_t id, const void *body,
                       size_t len)
{
    struct fault why = {0};
    if (s->broken) {
        return;
    }
    if (ipc_writer_put(s->out, type, 0, id, body, len, -1, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "worker.answer", &why);
        s->broken = true;
    }
}

static void send_fault(struct serve *s, uint64_t id, const struct fault *why)
{
    buf_clear(&s->body);
    answer_fault(&s->body, why);
    send_frame(s, IPC_ERROR, id, s->body.data, s->body.len);
}

/* Sends s->body, or says that it does not fit. */
static void send_body(struct serve *s, enum ipc_type type, uint64_t id)
{
    if (s->body.overflow) {
        struct fault why = {0};
        (void)FAULT(&why, FAIL_TOO_LARGE, "an answer of more than 1 MiB");
        send_fault(s, id, &why);
        return;
    }
    send_frame(s, type, id, s->body.data, s->body.len);
}

static void on_text(void *self, uint64_t id, const char *text, size_t len)
{
    struct serve *s = self;
    while (len > 0) {
        size_t n = len > TEXT_CHUNK_MAX ? TEXT_CHUNK_MAX : len;
        while (n < len && n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80) {
            n--; /* not inside a character */
        }
        send_frame(s, IPC_TEXT, id, text, n);
        text += n;
        len -= n;
    }
}

static void on_generated(void *self, uint64_t id, const struct engine_generated *result)
{
    struct serve *s = self;
    s->done++;
    buf_clear(&s->body);
    answer_generated(&s->body, result);
    send_body(s, IPC_DONE, id);
}

static void on_formed(void *self, uint64_t id, const struct form_result *result)
{
    struct serve *s = self;
    struct jn_writer w;
    s->done++;
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    form_result_write(&w, result);
    send_body(s, IPC_FORM_DONE, id);
}

static void on_embedded(void *self, uint64_t id, const struct engine_embedded *result)
{
    struct serve *s = self;
    s->done++;
    buf_clear(&s->body);
    answer_embedded(&s->body, result);
    send_body(s, IPC_EMBEDDED, id);
}

static void on_failed(void *self, uint64_t id, const struct fault *why)
{
    struct serve *s = self;
    s->failed++;
    send_fault(s, id, why);
}

static void on_kept(void *self, uint64_t id, const struct engine_kept *kept)
{
    struct serve *s = self;
    struct jn_writer w;
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "prefix", kept->prefix);
    jn_kv_int(&w, "tokens", kept->tokens);
    jn_kv_int(&w, "scores", kept->scores);
    jn_kv_int(&w, "bytes", (int64_t)kept->bytes);
    jn_object_end(&w);
    send_body(s, IPC_KEPT, id);
}

static void say_hello(struct serve *s)
{
    struct jn_writer w;
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "build", s->options->build);
    jn_kv_str(&w, "engine", s->engine->ops->name);
    jn_kv_int(&w, "protocol", 1);
    jn_kv_int(&w, "pid", getpid());
    jn_key(&w, "sandbox");
    jn_object_begin(&w);
    jn_kv_int(&w, "landlock_abi", s->options->landlock_abi);
    jn_kv_int(&w, "gpus", s->options->gpus);
    jn_kv_bool(&w, "seccomp", s->options->seccomp);
    jn_object_end(&w);
    jn_object_end(&w);
    send_body(s, IPC_HELLO, 0);
}

static int64_t resident_bytes(int statm)
{
    char line[128];
    long pages = 0;
    ssize_t n = statm < 0 ? -1 : pread(statm, line, sizeof line - 1, 0);
    if (n <= 0) {
        return 0;
    }
    line[n] = '\0';
    return sscanf(line, "%*d %ld", &pages) == 1 ? pages * 4096 : 0;
}

static void answer_ping(struct serve *s, uint64_t id)
{
    struct engine_stats stats;
    struct jn_writer w;
    s->engine->ops->stats(s->engine, &stats);
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "running", stats.running);
    jn_kv_int(&w, "queued", stats.queued);
    jn_kv_int(&w, "kv_used", stats.kv_used);
    jn_kv_int(&w, "kv_cells", stats.kv_cells);
    jn_kv_int(&w, "idle_cells", stats.idle_cells);
    jn_kv_int(&w, "prefixes", stats.prefixes);
    jn_kv_int(&w, "stashed", stats.stashed);
    jn_kv_int(&w, "stash_bytes", stats.stash_bytes);
    jn_kv_int(&w, "restored", stats.restored);
    jn_kv_int(&w, "lane_bytes", stats.lane_bytes);
    jn_kv_int(&w, "rss_bytes", resident_bytes(s->options->statm));
    jn_object_end(&w);
    send_body(s, IPC_PONG, id);
}

static void answer_stopped(struct serve *s)
{
    struct jn_writer w;
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "done", s->done);
    jn_kv_int(&w, "failed", s->failed);
    jn_object_end(&w);
    send_body(s, IPC_STOPPED, s->stop_id);
}

/* In. */

static enum fail parse_object(const struct ipc_frame *frame, json_t **tree, struct fault *why)
{
    enum fail failed =
        jn_parse((const char *)frame->body, frame->head.len, "ask", tree, why);
    if (failed == FAIL_NONE && !json_is_object(*tree)) {
        failed = FAULT(why, FAIL_BAD_REQUEST, "an ask must be a JSON object");
    }
    return failed;
}

static enum fail do_load(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    AUTO_JSON json_t *tree = NULL;
    struct engine_load load;
    struct engine_loaded loaded = {0};
    int64_t start = clock_monotonic_us();
    bool turns = false;
    if (s->engine->loaded) {
        return FAULT(why, FAIL_CONFLICT, "this worker has a model already");
    }
    enum fail failed = parse_object(frame, &tree, why);
    if (failed == FAIL_NONE) {
        failed = ask_read_load(tree, &load, &turns, why);
    }
    if (failed == FAIL_NONE) {
        failed = s->engine->ops->load(s->engine, frame->fd, &load, &loaded, why);
    }
    if (failed == FAIL_NONE) {
        s->turns = turns;
        buf_clear(&s->body);
        answer_loaded(&s->body, &loaded, clock_ms_since(start));
        send_body(s, IPC_LOADED, frame->head.id);
    }
    return failed;
}

static enum fail do_adapter(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    AUTO_JSON json_t *tree = NULL;
    struct engine_adapter adapter;
    int64_t start = clock_monotonic_us();
    enum fail failed = parse_object(frame, &tree, why);
    if (failed == FAIL_NONE) {
        failed = ask_read_adapter(tree, &adapter, why);
    }
    if (failed == FAIL_NONE) {
        failed = s->engine->ops->adapter(s->engine, frame->fd, &adapter, why);
    }
    if (failed == FAIL_NONE) {
        struct jn_writer w;
        buf_clear(&s->body);
        jn_begin(&w, &s->body, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "sha256", adapter.sha256);
        jn_kv_int(&w, "ms", (int64_t)clock_ms_since(start));
        jn_object_end(&w);
        send_body(s, IPC_ADAPTED, frame->head.id);
    }
    return failed;
}

static enum fail do_render(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    static const char *const keys[] = {"template", "vars", "now", NULL};
    AUTO_JSON json_t *tree = NULL;
    const char *text = NULL;
    json_t *vars = NULL;
    int64_t now = 0;
    enum fail failed = parse_object(frame, &tree, why);
    if (failed == FAIL_NONE) {
        failed = jn_only(tree, keys, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_str(tree, "template", true, IPC_JSON_MAX, &text, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_object(tree, "vars", true, &vars, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_int(tree, "now", false, 0, INT64_MAX / 2000000, &now, why);
    }
    if (failed == FAIL_NONE) {
        char *json = json_dumps(vars, JSON_COMPACT);
        buf_clear(&s->body);
        failed = s->engine->ops->render(s->engine, text, json, now, &s->body, why);
        /* tidy: memory: jansson made it */
        free(json);
    }
    if (failed == FAIL_NONE) {
        send_body(s, IPC_RENDERED, frame->head.id);
    }
    return failed;
}

static enum fail count_texts(struct serve *s, const json_t *texts, struct jn_writer *w,
                             struct fault *why)
{
    size_t i;
    const json_t *text;
    json_array_foreach(texts, i, text) {
        int64_t n = 0;
        if (!json_is_string(text)) {
            (void)FAULT(why, FAIL_BAD_REQUEST, "texts must hold strings");
            return fail_param(why, "texts");
        }
        enum fail failed = s->engine->ops->count_text(s->engine, json_string_value(text),
                                                      json_string_length(text), &n, why);
        if (failed != FAIL_NONE) {
            return failed;
        }
        jn_put_int(w, n);
    }
    return FAIL_NONE;
}

static enum fail do_count(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    static const char *const keys[] = {"texts", "messages", "tools", "now", NULL};
    AUTO_JSON json_t *tree = NULL;
    json_t *texts = NULL;
    struct jn_writer w;
    enum fail failed = parse_object(frame, &tree, why);
    if (failed == FAIL_NONE) {
        failed = jn_only(tree, keys, why);
    }
    if (failed == FAIL_NONE) {
        failed = jn_array(tree, "texts", false, COUNT_TEXTS_MAX, &texts, why);
    }
    if (failed == FAIL_NONE && !s->engine->loaded) {
        failed = FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model is loaded");
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    buf_clear(&s->body);
    jn_begin(&w, &s->body, false);
    jn_object_begin(&w);
    jn_key(&w, "tokens");
    jn_array_begin(&w);
    if (texts != NULL) {
        failed = count_texts(s, texts, &w, why);
    } else {
        struct arena *arena = arena_new(4u * IPC_FRAME_MAX);
        const char *request = NULL;
        bool tools = false;
        int64_t n = 0;
        failed = ask_read_messages(tree, arena, &request, &tools, why);
        if (failed == FAIL_NONE) {
            failed = s->engine->ops->count_messages(s->engine, request, &n, why);
        }
        jn_put_int(&w, n);
        arena_free(arena);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    if (failed == FAIL_NONE) {
        send_body(s, IPC_COUNTED, frame->head.id);
    }
    return failed;
}

/* The descriptor is a memory file of the server's making, sealed against any other size: mapped it
   cannot fault, and no call beyond mmap is needed to fill it. */
static enum fail do_state(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    AUTO_JSON json_t *tree = NULL;
    struct state_ask ask;
    struct stat st;
    int64_t tokens = 0;
    enum fail failed = parse_object(frame, &tree, why);
    if (failed == FAIL_NONE) {
        failed = ask_read_state(tree, &ask, why);
    }
    if (failed == FAIL_NONE && !s->engine->loaded) {
        failed = FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model is loaded");
    }
    if (failed == FAIL_NONE && (fstat(frame->fd, &st) != 0 || st.st_size != ask.bytes)) {
        failed = FAULT(why, FAIL_BAD_REQUEST, "the descriptor does not hold %lld bytes",
                       (long long)ask.bytes);
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    size_t bytes = (size_t)ask.bytes;
    uint8_t *at = mmap(NULL, bytes, ask.take ? PROT_READ | PROT_WRITE : PROT_READ,
                       ask.take ? MAP_SHARED : MAP_PRIVATE, frame->fd, 0);
    if (at == MAP_FAILED) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot map a state");
    }
    failed = ask.take
                 ? s->engine->ops->state_take(s->engine, ask.prefix, at, bytes, why)
                 : s->engine->ops->state_give(s->engine, ask.domain, at, bytes, &tokens, why);
    (void)munmap(at, bytes);
    if (failed == FAIL_NONE) {
        struct jn_writer w;
        buf_clear(&s->body);
        jn_begin(&w, &s->body, false);
        jn_object_begin(&w);
        jn_kv_int(&w, "tokens", tokens);
        jn_object_end(&w);
        send_body(s, IPC_STATE_DONE, frame->head.id);
    }
    return failed;
}

static enum fail do_submit(struct serve *s, const struct ipc_frame *frame, struct fault *why)
{
    struct engine_ask *ask = NULL;
    if (s->stop_id != 0) {
        return FAULT(why, FAIL_STOPPED, "this worker is stopping");
    }
    enum fail failed = ask_read(frame, &ask, why);
    if (failed == FAIL_NONE) {
        failed = s->engine->ops->submit(s->engine, ask, why);
        if (failed != FAIL_NONE) {
            arena_free(ask->arena);
        }
    }
    return failed;
}

/* A grant that nobody asked for is a bad frame. */
static bool do_grant(struct serve *s, const struct ipc_frame *frame)
{
    struct ipc_turn turn;
    if (s->turn != TURN_ASKED ||
        ipc_turn_get(&turn, frame->body, frame->head.len, NULL) != FAIL_NONE ||
        turn.step != s->step) {
        return false;
    }
    s->turn = TURN_GRANTED;
    s->lease_us = turn.us;
    s->turn_us = 0;
    s->turn_steps = 0;
    return true;
}

/* False ends the worker. */
static bool take_frame(struct serve *s, const struct ipc_frame *frame)
{
    struct fault why = {0};
    enum fail failed = FAIL_NONE;
    switch (frame->head.type) {
    case IPC_LOAD:
        failed = do_load(s, frame, &why);
        close(frame->fd);
        break;
    case IPC_STATE:
        failed = do_state(s, frame, &why);
        close(frame->fd);
        break;
    case IPC_ADAPTER:
        failed = do_adapter(s, frame, &why);
        close(frame->fd);
        break;
    case IPC_GENERATE:
    case IPC_FORM:
    case IPC_EMBED:
        failed = do_submit(s, frame, &why);
        break;
    case IPC_RENDER:
        failed = do_render(s, frame, &why);
        break;
    case IPC_COUNT:
        failed = do_count(s, frame, &why);
        break;
    case IPC_CANCEL:
        s->engine->ops->cancel(s->engine, frame->head.id);
        break;
    case IPC_STOP:
        if (s->stop_id != 0) {
            failed = FAULT(&why, FAIL_CONFLICT, "already stopping");
        } else {
            s->stop_id = frame->head.id;
        }
        break;
    case IPC_PING:
        answer_ping(s, frame->head.id);
        break;
    case IPC_TURN_GRANTED:
        return do_grant(s, frame);
    default:
        return false;
    }
    if (failed != FAIL_NONE) {
        on_failed(s, frame->head.id, &why);
    }
    return true;
}

/* Steps. */

static void send_turn(struct serve *s, enum ipc_type type, const struct engine_step *step,
                      uint32_t us)
{
    uint8_t body[IPC_TURN_BYTES];
    struct ipc_turn turn = {.us = us,
                            .class = (uint16_t)step->class,
                            .tokens = (uint16_t)step->tokens,
                            .step = s->step};
    ipc_turn_put(body, &turn);
    send_frame(s, type, s->step, body, sizeof body);
}

static void take_step(struct serve *s, const struct engine_step *step)
{
    int64_t start = clock_monotonic_us();
    uint32_t lease = s->lease_us > s->turn_us ? s->lease_us - s->turn_us : s->lease_us;
    s->engine->ops->step(s->engine, s->turns ? lease : 0);
    s->turn_us += (uint32_t)(clock_monotonic_us() - start);
    s->turn_class = step->class;
    s->turn_steps++;
}

/* Short steps share a turn: asking for each would cost a twentieth of a small model's time. It is
   given back when there is nothing to do, or only something less urgent, or its time is up. */
static void give_turn_back(struct serve *s, const struct engine_step *next, bool can_go_on)
{
    bool goes_on = can_go_on && next->class <= s->turn_class &&
                   s->turn_us + next->us <= TURN_SHARED_US;
    if (s->turn != TURN_GRANTED || (s->turn_steps == 0 && can_go_on) || goes_on) {
        return;
    }
    send_turn(s, IPC_TURN_DONE, next, s->turn_us);
    s->turn = TURN_NONE;
}

/* Waits for the socket; true while the worker is to go on. */
static bool exchange(struct serve *s, bool can_step, enum serve_exit *status)
{
    struct fault why = {0};
    bool end = false;
    if (ipc_writer_push(s->out, s->options->socket, &why) != FAIL_NONE) {
        *status = SERVE_EXIT_OK;
        return false;
    }
    struct pollfd poller = {.fd = s->options->socket, .events = POLLIN};
    if (ipc_writer_pending(s->out) > 0) {
        poller.events |= POLLOUT;
    }
    if (poll(&poller, 1, can_step ? 0 : -1) < 0 && errno != EINTR) {
        *status = SERVE_EXIT_BAD_FRAME;
        return false;
    }
    if ((poller.revents & (POLLIN | POLLHUP | POLLERR)) == 0) {
        return true;
    }
    enum fail failed = ipc_reader_pull(s->in, s->options->socket, &end, &why);
    struct ipc_frame frame;
    bool got = failed == FAIL_NONE;
    while (failed == FAIL_NONE && got) {
        failed = ipc_reader_next(s->in, &frame, &got, &why);
        if (failed == FAIL_NONE && got && !take_frame(s, &frame)) {
            failed = FAULT(&why, FAIL_BAD_REQUEST, "%s frame out of place",
                           ipc_type_name(frame.head.type));
        }
    }
    if (failed != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "worker.bad_frame", &why);
        *status = SERVE_EXIT_BAD_FRAME;
        return false;
    }
    return !end;
}

static enum serve_exit loop(struct serve *s)
{
    enum serve_exit status = SERVE_EXIT_OK;
    bool stopped = false;
    for (;;) {
        struct engine_step step = {0};
        bool work = s->engine->ops->forecast(s->engine, &step);
        bool can_go_on = work && ipc_writer_pending(s->out) < SERVE_OUT_PAUSE;
        if (s->turns) {
            give_turn_back(s, &step, can_go_on);
        }
        if (can_go_on && s->turns && s->turn == TURN_NONE) {
            s->step++;
            s->turn = TURN_ASKED;
            send_turn(s, IPC_TURN, &step, step.us);
        }
        if (!work && s->stop_id != 0 && !stopped) {
            answer_stopped(s);
            stopped = true;
        }
        if (stopped && ipc_writer_pending(s->out) == 0) {
            return SERVE_EXIT_OK;
        }
        bool can_step = work && (!s->turns || s->turn == TURN_GRANTED) &&
                        ipc_writer_pending(s->out) < SERVE_OUT_PAUSE;
        if (stopped) {
            struct fault why;
            if (ipc_writer_push(s->out, s->options->socket, &why) != FAIL_NONE) {
                return SERVE_EXIT_OK;
            }
            if (ipc_writer_pending(s->out) == 0) {
                return SERVE_EXIT_OK;
            }
        }
        if (!exchange(s, can_step, &status)) {
            return status;
        }
        /* Asks may have been cancelled meanwhile: a step without work does nothing. */
        if (can_step) {
            take_step(s, &step);
        }
        if (s->broken) {
            return SERVE_EXIT_BAD_FRAME;
        }
    }
}

enum serve_exit serve_run(const struct serve_options *options)
{
    struct serve s = {.options = options};
    s.sink = (struct engine_sink){.self = &s,
                                  .text = on_text,
                                  .generated = on_generated,
                                  .formed = on_formed,
                                  .embedded = on_embedded,
                                  .failed = on_failed,
                                  .kept = on_kept};
    s.engine = options->engine_new(&s.sink);
    s.in = ipc_reader_new(IPC_SERVER);
    s.out = ipc_writer_new(IPC_WORKER, SERVE_OUT_MAX);
    buf_init(&s.body, RENDER_BYTES_MAX);
    say_hello(&s);
    enum serve_exit status = loop(&s);
    s.engine->ops->free(s.engine);
    ipc_reader_free(s.in);
    ipc_writer_free(s.out);
    buf_done(&s.body);
    return status;
}
