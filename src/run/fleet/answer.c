/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's final frame becomes the caller's answer. Everything in it is hostile until read:
   typed, bounded, and for a form held against its plan. */
#include "run/fleet/fleet_internal.h"

#include <math.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/text/text.h"

#define TOKENS_MAX 10000000
#define MS_MAX 1e9

void ask_leave(struct ask *a)
{
    if (a->queue == NULL) {
        return;
    }
    if (a->item.started_us > 0) {
        queue_settle(a->queue, &a->item, 0, false, clock_monotonic_us());
    } else {
        queue_remove(a->queue, &a->item);
    }
    a->queue = NULL;
}

/* It took so many tokens; those that were cached cost a tenth. */
static void settle(struct ask *a, double in, double cached, double out, bool whole)
{
    double took = in - cached + cached / 10 + out;
    whole = whole && a->deaths == 0 && a->kills == 0;
    queue_settle(a->queue, &a->item, took > 0 ? took : 0, whole, clock_monotonic_us());
    a->queue = NULL;
}

void ask_free(struct ask *a)
{
    ask_leave(a);
    mem_free(a->body);
    mem_free(a->released);
    mem_free(a);
}

void answer_fail(struct ask *a, enum fail code, const struct fault *why)
{
    struct fleet_answer answer = {.code = code, .why = why};
    ask_leave(a);
    a->done(a->arg, &answer);
    ask_free(a);
}

static enum fail read_int(const json_t *j, const char *key, int *out, struct fault *why)
{
    int64_t v = 0;
    enum fail f = jn_int(j, key, true, 0, TOKENS_MAX, &v, why);
    *out = (int)v;
    return f;
}

static const char *array_text(const json_t *j, const char *key, struct buf *room)
{
    json_t *a = json_object_get(j, key);
    if (!json_is_array(a) || json_array_size(a) == 0) {
        return NULL;
    }
    char *text = json_dumps(a, JSON_COMPACT);
    if (text != NULL) {
        buf_add_str(room, text);
        mem_free(text); /* jansson's allocator is the heap's */
    }
    return room->data;
}

static enum fail read_generated(const json_t *j, struct fleet_generated *g, struct fault *why)
{
    enum fail f = jn_str(j, "finish_reason", true, 32, &g->finish_reason, why);
    f = f != FAIL_NONE ? f : jn_str(j, "text", true, FLEET_BODY_MAX, &g->text, why);
    f = f != FAIL_NONE ? f : read_int(j, "tokens_in", &g->tokens_in, why);
    f = f != FAIL_NONE ? f : read_int(j, "tokens_cached", &g->tokens_cached, why);
    f = f != FAIL_NONE ? f : read_int(j, "tokens_out", &g->tokens_out, why);
    f = f != FAIL_NONE ? f : read_int(j, "tokens_drafted", &g->tokens_drafted, why);
    f = f != FAIL_NONE ? f : read_int(j, "tokens_accepted", &g->tokens_accepted, why);
    f = f != FAIL_NONE ? f : jn_real(j, "ms_queue", true, 0, MS_MAX, &g->ms_queue, why);
    f = f != FAIL_NONE ? f : jn_real(j, "ms_prefill", true, 0, MS_MAX, &g->ms_prefill, why);
    f = f != FAIL_NONE ? f : jn_real(j, "ms_decode", true, 0, MS_MAX, &g->ms_decode, why);
    f = f != FAIL_NONE ? f : jn_real(j, "logprob_mean", false, -1e6, 1e-3, &g->logprob_mean, why);
    f = f != FAIL_NONE ? f : jn_real(j, "logprob_min", false, -1e6, 1e-3, &g->logprob_min, why);
    static const char *const reasons[] = {"stop", "length", "tool_calls", "cancelled"};
    bool known = false;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(reasons); i++) {
        known = known || strcmp(reasons[i], g->finish_reason) == 0;
    }
    if (f == FAIL_NONE && !known) {
        return FAULT(why, FAIL_BAD_REQUEST, "unknown finish reason");
    }
    if (f == FAIL_NONE && g->tokens_accepted > g->tokens_drafted) {
        return FAULT(why, FAIL_BAD_REQUEST, "more guesses came true than were made");
    }
    return f;
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* u32 n, u32 dim, n x (u32 tokens, u32 flags), n x dim floats; every row finite and of unit
   length. */
static enum fail read_vectors(const struct ipc_frame *frame, struct arena *arena,
                              struct fleet_vectors *v, struct fault *why)
{
    const uint8_t *p = frame->body;
    size_t len = frame->head.len;
    if (len < 8) {
        return FAULT(why, FAIL_BAD_REQUEST, "short vectors");
    }
    v->n = get_u32(p);
    v->dim = get_u32(p + 4);
    if (v->n == 0 || v->n > 256 || v->dim == 0 || v->dim > 8192 ||
        len != 8 + v->n * 8 + v->n * v->dim * sizeof(float)) {
        return FAULT(why, FAIL_BAD_REQUEST, "vectors of a wrong size");
    }
    uint32_t *meta = arena_alloc(arena, v->n * 2 * sizeof(uint32_t));
    for (size_t i = 0; i < v->n; i++) {
        meta[i] = get_u32(p + 8 + 8 * i);
        meta[v->n + i] = get_u32(p + 12 + 8 * i);
        if (meta[i] > TOKENS_MAX) {
            return FAULT(why, FAIL_BAD_REQUEST, "impossible token count");
        }
    }
    float *data = arena_dup(arena, p + 8 + v->n * 8, v->n * v->dim * sizeof(float));
    for (size_t i = 0; i < v->n; i++) {
        double sum = 0;
        for (size_t k = 0; k < v->dim; k++) {
            sum += (double)data[i * v->dim + k] * data[i * v->dim + k];
        }
        if (!(fabs(sum - 1.0) < 0.02)) {
            return FAULT(why, FAIL_BAD_REQUEST, "a vector is not of unit length");
        }
    }
    v->data = data;
    v->tokens = meta;
    v->flags = meta + v->n;
    return FAIL_NONE;
}

/* As many rows as texts were sent, and as wide as this worker's rows were before: the callers copy
   them into room of that size. */
static enum fail check_shape(struct member *m, const struct ask *a, const struct fleet_vectors *v,
                             struct fault *why)
{
    if ((a->flags & IPC_FLAG_BULK) != 0 && v->n != get_u32((const uint8_t *)a->body)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%zu vectors for another number of texts", v->n);
    }
    if (m->dim != 0 && v->dim != m->dim) {
        return FAULT(why, FAIL_BAD_REQUEST, "vectors of another width than before");
    }
    m->dim = v->dim;
    return FAIL_NONE;
}

static struct fleet_answer by(const struct member *m)
{
    return (struct fleet_answer){
        .sha256 = m->sha256, .build = m->build, .fingerprint = m->fingerprint};
}

static void deliver_error(const struct member *m, struct ask *a, const json_t *j)
{
    const char *code = "internal", *message = "the worker gave no reason", *hint = "", *param = "";
    struct fault why;
    (void)!jn_str(j, "code", false, 64, &code, NULL);
    (void)!jn_str(j, "message", false, 4096, &message, NULL);
    (void)!jn_str(j, "hint", false, 4096, &hint, NULL);
    (void)!jn_str(j, "param", false, 64, &param, NULL);
    FAULT(&why, fail_from_name(code), "%.300s", message);
    fail_hint(&why, "%.230s", hint);
    fail_param(&why, param);
    struct fleet_answer answer = by(m);
    answer.code = why.code;
    answer.why = &why;
    ask_leave(a);
    a->done(a->arg, &answer);
}

static enum fail deliver_json(struct member *m, struct ask *a, const struct ipc_frame *frame,
                              struct fault *why)
{
    AUTO_JSON json_t *j = NULL;
    enum fail f =
        jn_parse((const char *)frame->body, frame->head.len, "a worker's answer", &j, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (frame->head.type == IPC_ERROR) {
        deliver_error(m, a, j);
        return FAIL_NONE;
    }
    struct fleet_answer answer = by(m);
    if (frame->head.type == IPC_DONE) {
        struct fleet_generated g = {0};
        struct buf calls, logprobs;
        buf_init(&calls, FLEET_BODY_MAX);
        buf_init(&logprobs, FLEET_BODY_MAX);
        f = read_generated(j, &g, why);
        if (f == FAIL_NONE) {
            m->tokens_drafted += g.tokens_drafted;
            m->tokens_accepted += g.tokens_accepted;
            g.tool_calls_json = array_text(j, "tool_calls", &calls);
            g.logprobs_json = array_text(j, "logprobs", &logprobs);
            answer.generated = &g;
            settle(a, g.tokens_in, g.tokens_cached, g.tokens_out, !a->cancelled);
            a->done(a->arg, &answer);
        }
        buf_done(&calls);
        buf_done(&logprobs);
        return f;
    }
    if (frame->head.type == IPC_FORM_DONE) {
        struct form_result *result = NULL;
        f = form_result_read(j, a->plan, &result, why);
        if (f == FAIL_NONE) {
            answer.form = result;
            settle(a, (double)result->tokens_in, (double)result->tokens_cached,
                   (double)result->tokens_out, true);
            a->done(a->arg, &answer);
            form_result_free(result);
        }
        return f;
    }
    answer.body = (const char *)frame->body;
    answer.body_len = frame->head.len;
    settle(a, 1, 0, 0, false);
    a->done(a->arg, &answer);
    return FAIL_NONE;
}

static enum ipc_type expected_type(const struct ask *a)
{
    return (enum ipc_type)(a->type + 1);
}

void answer_frame(struct member *m, struct ask *a, const struct ipc_frame *frame)
{
    struct fault why;
    enum fail f = FAIL_NONE;
    if (frame->head.type != IPC_ERROR && frame->head.type != expected_type(a)) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "an answer of the wrong kind");
    } else if (frame->head.type == IPC_EMBEDDED) {
        struct arena *arena = arena_new(8 * FLEET_BODY_MAX);
        struct fleet_vectors v = {0};
        f = read_vectors(frame, arena, &v, &why);
        f = f != FAIL_NONE ? f : check_shape(m, a, &v, &why);
        if (f == FAIL_NONE) {
            struct fleet_answer answer = by(m);
            answer.vectors = &v;
            double tokens = 0;
            for (size_t i = 0; i < v.n; i++) {
                tokens += v.tokens[i];
            }
            settle(a, tokens, 0, 0, true);
            a->done(a->arg, &answer);
        }
        arena_free(arena);
    } else if (frame->head.type == IPC_RENDERED) {
        struct fleet_answer answer = by(m);
        answer.body = (const char *)frame->body;
        answer.body_len = frame->head.len;
        settle(a, 1, 0, 0, false);
        a->done(a->arg, &answer);
    } else {
        f = deliver_json(m, a, frame, &why);
    }
    if (f != FAIL_NONE) {
        struct fault told;
        FAULT(&told, FAIL_WORKER_DIED, "the worker for %s sent an answer that is not valid: %.200s",
              m->name, why.message);
        answer_fail(a, FAIL_WORKER_DIED, &told);
        member_kill(m, "invalid answer");
        return;
    }
    ask_free(a);
}
