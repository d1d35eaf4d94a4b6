/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's answer, from any thread: at once or streamed, through suspend and resume.
 *
 * Lock order: the request's lock, then the daemon's (slots). on_gone is called without locks.
 * A connection is resumed only when `suspended` says that it is, under the request's lock: the
 * library takes a resume of a running connection as the cancellation of its next suspend.
 */
#include "http/wire/wire_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"

/* ---- with the lock held ---- */

static void resume(struct wire_request *r)
{
    if (r->suspended) {
        r->suspended = false;
        watch_remove(r->w, r);
        if (r->conn != NULL) {
            MHD_resume_connection(r->conn);
        }
    }
}

static void suspend(struct wire_request *r)
{
    r->suspended = true;
    MHD_suspend_connection(r->conn);
    watch_add(r->w, r);
}

static void add_common_headers(struct wire_request *r, const char *type)
{
    struct MHD_Response *m = r->response;
    char ms[32];
    (void)snprintf(ms, sizeof(ms), "%.0f", clock_ms_since(r->began_us));
    (void)MHD_add_response_header(m, "Content-Type", type);
    (void)MHD_add_response_header(m, "x-request-id", r->id);
    (void)MHD_add_response_header(m, "openai-processing-ms", ms);
    (void)MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(m, "Content-Security-Policy",
                                  "default-src 'none'; frame-ancestors 'none'");
    (void)MHD_add_response_header(m, "Cache-Control", "no-store");
    for (size_t i = 0; i < r->headers_len; i++) {
        (void)MHD_add_response_header(m, r->headers[i].name, r->headers[i].value);
    }
}

/* The end of the server waits for what is being sent: an answer that was given is also received. */
static void count_sending(struct wire_request *r, bool begins)
{
    struct wire *w = r->w;
    if (r->sending == begins) {
        return;
    }
    r->sending = begins;
    pthread_mutex_lock(&w->lock);
    w->sending += begins ? 1 : -1;
    if (w->sending == 0) {
        pthread_cond_broadcast(&w->quiet);
    }
    pthread_mutex_unlock(&w->lock);
}

static void count_answered(struct wire_request *r)
{
    struct wire *w = r->w;
    pthread_mutex_lock(&w->lock);
    w->counts.requests++;
    w->counts.refused += r->status >= 400 && r->status < 500;
    w->counts.errors += r->status >= 500;
    if (r->accepted && --w->counts.active == 0) {
        pthread_cond_broadcast(&w->quiet);
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- the library's side ---- */

enum MHD_Result reply_queue_or_suspend(struct wire_request *r)
{
    pthread_mutex_lock(&r->lock);
    enum MHD_Result ok = MHD_YES;
    struct MHD_Response *ready = NULL;
    struct MHD_Connection *conn = r->conn; /* ours while the library is in this call */
    unsigned status = (unsigned)r->status;
    if (r->queued) {
        /* nothing: the library has it */
    } else if (r->response != NULL) {
        r->queued = true;
        ready = STEAL(r->response);
    } else if (r->gone) {
        ok = MHD_NO; /* nobody reads: close */
    } else {
        suspend(r);
    }
    pthread_mutex_unlock(&r->lock);
    if (ready != NULL) {
        /* Without our lock: the library holds the response's when it calls stream_read, which
           takes ours. */
        ok = MHD_queue_response(conn, status, ready);
        MHD_destroy_response(ready); /* the library keeps its own reference */
    }
    return ok;
}

void reply_gone(struct wire_request *r)
{
    pthread_mutex_lock(&r->lock);
    wire_gone_fn fn = NULL;
    void *arg = r->gone_arg;
    if (!r->gone && !(r->answered && (!r->streaming || r->ended))) {
        r->gone = true;
        fn = r->on_gone;
        r->on_gone = NULL;
    }
    resume(r);
    pthread_mutex_unlock(&r->lock);
    if (fn != NULL) {
        fn(arg);
    }
}

/* The library is done with the request: sent, broken off, or never understood. */
void reply_done_with_connection(struct wire_request *r)
{
    pthread_mutex_lock(&r->lock);
    watch_remove(r->w, r);
    r->suspended = false;
    r->conn = NULL;
    count_sending(r, false);
    struct MHD_Response *never_sent = r->response;
    r->response = NULL;
    pthread_mutex_unlock(&r->lock);
    if (never_sent != NULL) {
        MHD_destroy_response(never_sent); /* a stream's holds a reference on r: without locks */
    }
    reply_gone(r);
    if (r->accepted && !r->dispatched) {
        count_answered(r); /* it left while it was still sending: there is no answerer */
    }
    request_unref(r);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max)
{
    struct wire_request *r = cls;
    (void)pos;
    pthread_mutex_lock(&r->lock);
    ssize_t n = 0;
    if (r->out.len > 0 && !r->broken) {
        n = (ssize_t)(r->out.len < max ? r->out.len : max);
        memcpy(out, r->out.data, (size_t)n);
        buf_consume(&r->out, (size_t)n);
    } else if (r->ended || r->gone || r->broken) {
        n = r->ended && !r->gone && !r->broken ? (ssize_t)MHD_CONTENT_READER_END_OF_STREAM
                                               : (ssize_t)MHD_CONTENT_READER_END_WITH_ERROR;
    } else {
        suspend(r);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void stream_free(void *cls)
{
    request_unref(cls);
}

/* ---- the answerer's side ---- */

/* The answer is complete: counts, logs, and gives up the answerer's reference. */
static void reply_finish(struct wire_request *r)
{
    count_answered(r);
    log_write(
        r->status >= 500 && r->status != 503 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "http.request",
        LOG_FIELDS(LOG_TEXT("id", r->id), LOG_TEXT("route", r->route ? r->route->pattern : "none"),
                   LOG_NUM("status", r->status), LOG_NUM("ms", clock_ms_since(r->began_us))));
    request_unref(r);
}

void wire_header_add(struct wire_request *r, const char *name, const char *value)
{
    ASSERT(r->headers_len < WIRE_MAX_HEADERS);
    char *copy = mem_dup_str(value);
    char *out = copy;
    for (const char *p = copy; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f) {
            *out++ = *p;
        }
    }
    *out = '\0';
    r->headers[r->headers_len++] = (struct pair){name, copy};
}

void wire_reply(struct wire_request *r, int status, const char *type, struct buf *body)
{
    size_t len = body->len;
    char *data = buf_take(body);
    pthread_mutex_lock(&r->lock);
    ASSERT(!r->answered);
    r->answered = true;
    r->status = status;
    if (r->conn != NULL) {
        r->response = MHD_create_response_from_buffer_with_free_callback(len, data, mem_free);
        ASSERT(r->response != NULL);
        add_common_headers(r, type ? type : "application/json");
        count_sending(r, true);
        resume(r);
        data = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    mem_free(data);
    reply_finish(r);
}

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

void wire_fault_json(enum fail code, const struct fault *why, struct buf *out)
{
    struct jn_writer j;
    jn_begin(&j, out, false);
    jn_object_begin(&j);
    jn_key(&j, "error");
    jn_object_begin(&j);
    jn_kv_str(&j, "message", why && why->message[0] ? why->message : fail_name(code));
    jn_kv_str(&j, "type", error_type(fail_http_status(code)));
    jn_kv_str(&j, "param", why && why->param[0] ? why->param : NULL);
    jn_kv_str(&j, "code", fail_name(code));
    jn_kv_str(&j, "hint", why && why->hint[0] ? why->hint : NULL);
    if (why && why->retry_after_s > 0) {
        jn_kv_int(&j, "retry_after", why->retry_after_s);
    }
    jn_object_end(&j);
    jn_object_end(&j);
}

void wire_fail(struct wire_request *r, enum fail code, const struct fault *why)
{
    ASSERT(code != FAIL_NONE);
    /* A number for machines, set by the gate or by who refused; the others are a short pause. */
    if (fail_is_retryable(code) && r->headers_len < WIRE_MAX_HEADERS) {
        char s[16];
        int after = why != NULL ? why->retry_after_s : 0;
        (void)snprintf(s, sizeof(s), "%d", after > 0 ? after : 1);
        wire_header_add(r, "retry-after", s);
    }
    if (code == FAIL_UNAUTHENTICATED && r->headers_len < WIRE_MAX_HEADERS) {
        wire_header_add(r, "WWW-Authenticate", "Bearer");
    }
    if (fail_http_status(code) >= 500 && why != NULL) {
        log_fault(LOG_LEVEL_WARN, "http.failed", why);
    }
    struct buf body;
    buf_init(&body, 8192);
    wire_fault_json(code, why, &body);
    wire_reply(r, r->status ? r->status : fail_http_status(code), NULL, &body);
}

void wire_stream_begin(struct wire_request *r, const char *type)
{
    pthread_mutex_lock(&r->lock);
    ASSERT(!r->answered);
    r->answered = true;
    r->streaming = true;
    r->status = 200;
    if (r->conn != NULL) {
        __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED); /* the stream's: stream_free */
        r->response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_read, r, stream_free);
        ASSERT(r->response != NULL);
        add_common_headers(r, type);
        resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

bool wire_stream_write(struct wire_request *r, const void *data, size_t len)
{
    pthread_mutex_lock(&r->lock);
    ASSERT(r->streaming && !r->ended);
    bool good = !r->gone && !r->broken && r->conn != NULL && buf_add(&r->out, data, len);
    if (!good) {
        r->broken = true;
    }
    resume(r);
    pthread_mutex_unlock(&r->lock);
    return good;
}

void wire_stream_end(struct wire_request *r, bool complete)
{
    pthread_mutex_lock(&r->lock);
    ASSERT(r->streaming && !r->ended);
    r->ended = true;
    r->broken = r->broken || !complete;
    resume(r);
    pthread_mutex_unlock(&r->lock);
    reply_finish(r);
}
