/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head: strict framing, one routing decision from the raw target, identity, admission.
 * Everything is decided before a byte of the body is kept.
 */
#include "http/wire/wire_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock/clock.h"

#define REQUEST_ARENA_BYTES (2u * 1024u * 1024u)

struct wire_request *request_new(struct wire *w, const char *target)
{
    struct wire_request *r = mem_alloc(sizeof(*r));
    r->w = w;
    r->refs = 1;
    struct id id = text_id_new();
    (void)text_id_show(&id, "req", r->id);
    r->began_us = clock_monotonic_us();
    r->target = mem_dup_str(target);
    r->who = mem_alloc(w->o.gate.who_size);
    ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    buf_init(&r->body, 1);
    buf_init(&r->out, WIRE_STREAM_MAX);
    return r;
}

void request_unref(struct wire_request *r)
{
    if (__atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    for (size_t i = 0; i < r->headers_len; i++) {
        mem_free((void *)(uintptr_t)r->headers[i].value);
    }
    buf_done(&r->body);
    buf_done(&r->out);
    pthread_mutex_destroy(&r->lock);
    if (r->arena != NULL) {
        arena_free(r->arena);
    }
    mem_free(r->who);
    mem_free(r->target);
    mem_free(r);
}

/* ---- framing ---- */

struct framing {
    int hosts, lengths, encodings, credentials, cookies;
    bool bad_host;
    size_t content_length;
    bool bad_length;
};

static bool host_is_good(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]");
    return n > 0 && n < 256 && s[n] == '\0';
}

static enum MHD_Result see_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    struct framing *f = cls;
    (void)kind;
    const char *v = value ? value : "";
    if (strcasecmp(key, "Host") == 0) {
        f->hosts++;
        f->bad_host = f->bad_host || !host_is_good(v);
    } else if (strcasecmp(key, "Content-Length") == 0) {
        int64_t n = 0;
        f->lengths++;
        f->bad_length = f->bad_length || !text_read_int(v, 0, INT64_MAX / 2, &n);
        f->content_length = (size_t)n;
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->bad_length = f->bad_length || strcasecmp(v, "chunked") != 0;
    } else if (strcasecmp(key, "Authorization") == 0 || strcasecmp(key, "x-api-key") == 0 ||
               strcasecmp(key, "api-key") == 0) {
        f->credentials++;
    } else if (strcasecmp(key, "Cookie") == 0) {
        f->cookies++;
    }
    return MHD_YES;
}

static enum fail check_framing(const struct framing *f, const char *version, struct fault *why)
{
    if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "the HTTP version must be 1.1");
    }
    if (f->hosts > 1 || f->bad_host ||
        (f->hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)) {
        return FAULT(why, FAIL_BAD_REQUEST, "a request needs exactly one valid Host header");
    }
    if (f->lengths > 1 || f->encodings > 1 || f->lengths + f->encodings > 1 || f->bad_length) {
        return FAULT(
            why, FAIL_BAD_REQUEST,
            "a request has one Content-Length or one Transfer-Encoding: chunked, not more");
    }
    if (f->cookies > 1) {
        return FAULT(why, FAIL_BAD_REQUEST, "a request has one Cookie header, not several");
    }
    if (f->credentials > 1) {
        return FAULT(why, FAIL_BAD_REQUEST, "a request names one credential, not several");
    }
    return FAIL_NONE;
}

/* ---- the target ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding in place; false on bad escapes, control characters and invalid UTF-8. */
static bool decode(char *s)
{
    char *out = s;
    for (const char *p = s; *p != '\0'; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int hi = hex_digit(p[1]);
            int lo = hi < 0 ? -1 : hex_digit(p[2]);
            if (lo < 0) {
                return false;
            }
            c = hi * 16 + lo;
            p += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        *out++ = (char)c;
    }
    *out = '\0';
    return text_utf8_is_valid(s, (size_t)(out - s));
}

/* Only plain segments: no escapes, no empty or dot segments, so that no two spellings mean one
   path. */
static bool path_is_plain(const char *p)
{
    if (p[0] != '/') {
        return false;
    }
    if (p[1] == '\0') {
        return true;
    }
    while (*p == '/') {
        p++;
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-");
        if (n == 0 || n > 200 || (n == 1 && p[0] == '.') ||
            (n == 2 && p[0] == '.' && p[1] == '.')) {
            return false;
        }
        p += n;
    }
    return *p == '\0';
}

static bool split_query(struct wire_request *r, char *q)
{
    while (q != NULL && *q != '\0') {
        char *next = strchr(q, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *value = strchr(q, '=');
        if (value != NULL) {
            *value++ = '\0';
        } else {
            value = q + strlen(q);
        }
        if (r->query_len == WIRE_MAX_PARAMS || !decode(q) || !decode(value) || *q == '\0' ||
            wire_query(r, q) != NULL) {
            return false;
        }
        r->query[r->query_len++] = (struct pair){q, value};
        q = next;
    }
    return true;
}

static enum fail check_target(struct wire_request *r, struct fault *why)
{
    char *q = strchr(r->target, '?');
    if (q != NULL) {
        *q++ = '\0';
    }
    if (!path_is_plain(r->target)) {
        FAULT(why, FAIL_BAD_REQUEST, "the path is not in plain form");
        return fail_hint(why, "Send the path as documented: no escapes, no empty or dot segments, "
                              "no host before it.");
    }
    r->path = r->target;
    if (!split_query(r, q)) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "the query is not a list of distinct, well-formed parameters");
    }
    return FAIL_NONE;
}

/* ---- routing ---- */

static bool match(struct wire_request *r, const struct wire_route *route)
{
    const char *p = route->pattern;
    const char *s = r->path;
    r->params_len = 0;
    while (*p != '\0' && *s != '\0') {
        if (*p == '{') {
            const char *end = strchr(p, '}');
            size_t n = strcspn(s, "/");
            if (n == 0 || r->params_len == COUNT_OF(r->params)) {
                return false;
            }
            /* Cut out of a copy later: for now name and value point at their starts. */
            r->params[r->params_len++] = (struct pair){p + 1, s};
            p = end + 1;
            s += n;
        } else if (*p != *s) {
            return false;
        } else {
            p++;
            s++;
        }
    }
    return *p == '\0' && *s == '\0';
}

/* Gives the taken segments memory of their own, so that they end with NUL. */
static void keep_params(struct wire_request *r)
{
    for (size_t i = 0; i < r->params_len; i++) {
        const char *s = r->params[i].value;
        size_t n = strcspn(s, "/");
        memcpy(r->param_text[i], s, n); /* path_is_plain bounds a segment to 200 bytes */
        r->param_text[i][n] = '\0';
        r->params[i].value = r->param_text[i];
    }
}

static enum fail find_route(struct wire_request *r, const char *method, struct fault *why)
{
    r->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    const char *wanted = r->is_head ? MHD_HTTP_METHOD_GET : method;
    char allow[64] = "";
    for (size_t i = 0; i < r->w->o.routes_len; i++) {
        const struct wire_route *route = &r->w->o.routes[i];
        if (!match(r, route)) {
            continue;
        }
        if (strcmp(route->method, wanted) == 0) {
            r->route = route;
            keep_params(r);
            return FAIL_NONE;
        }
        size_t used = strlen(allow);
        (void)snprintf(allow + used, sizeof(allow) - used, "%s%s", used ? ", " : "", route->method);
    }
    if (allow[0] != '\0') {
        r->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        wire_header_add(r, "Allow", allow);
        FAULT(why, FAIL_UNSUPPORTED, "this path does not answer %.16s", method);
        return fail_hint(why, "It answers %s.", allow);
    }
    FAULT(why, FAIL_NOT_FOUND, "there is no such path");
    return fail_hint(why, "GET /api/v1/openapi.json lists the paths of this server.");
}

/* ---- who ---- */

static const char *token_of(struct wire_request *r)
{
    const char *v = wire_header(r, "Authorization");
    if (v != NULL && strncasecmp(v, "Bearer ", 7) == 0) {
        return v + 7 + strspn(v + 7, " ");
    }
    if (v != NULL) {
        return v; /* another scheme: no key looks like it */
    }
    v = wire_header(r, "x-api-key");
    return v ? v : wire_header(r, "api-key");
}

static enum fail check_identity(struct wire_request *r, struct fault *why)
{
    const struct wire_gate *g = &r->w->o.gate;
    enum fail f = FAIL_NONE;
    if (r->route->scope != 0) {
        struct wire_credentials c = {.token = token_of(r),
                                     .peer_uid = r->slot ? r->slot->peer_uid : -1,
                                     .cookies = wire_header(r, "Cookie"),
                                     .csrf = wire_header(r, "X-CSRF-Token"),
                                     .team = wire_header(r, "X-Inhouse-Team"),
                                     .changes = strcmp(r->route->method, "GET") != 0};
        f = g->authenticate(g->arg, &c, r->who, why);
    }
    return f == FAIL_NONE ? g->admit(g->arg, r->who, r, why) : f;
}

static enum fail check_body(struct wire_request *r, const struct framing *f, struct fault *why)
{
    size_t cap = r->route->body_cap == WIRE_BODY_DEFAULT ? r->w->o.body_bytes : r->route->body_cap;
    r->body_cap = cap;
    r->body.cap = cap + 1;
    if (f->content_length > cap) {
        FAULT(why, FAIL_TOO_LARGE, "the body has %zu bytes; this path takes at most %zu",
              f->content_length, cap);
        return fail_hint(why, cap == 0 ? "Send no body." : "Send less at once.");
    }
    return FAIL_NONE;
}

void request_head(struct wire_request *r, const char *method, const char *version)
{
    struct framing f = {0};
    (void)MHD_get_connection_values(r->conn, MHD_HEADER_KIND, see_header, &f);
    struct fault *why = &r->why;
    r->refused = check_framing(&f, version, why);
    bool framed = r->refused == FAIL_NONE;
    if (r->refused == FAIL_NONE) {
        r->refused = check_target(r, why);
    }
    if (r->refused == FAIL_NONE) {
        r->refused = find_route(r, method, why);
    }
    if (r->refused == FAIL_NONE) {
        pthread_mutex_lock(&r->w->lock);
        bool refusing = r->w->refusing;
        if (!refusing) {
            r->accepted = true;
            r->w->counts.active++;
        }
        pthread_mutex_unlock(&r->w->lock);
        if (refusing) {
            r->refused = FAULT(why, FAIL_STOPPED, "the server is stopping");
            fail_hint(why, "Try again in a moment.");
        }
    }
    if (r->refused == FAIL_NONE) {
        r->refused = check_identity(r, why);
    }
    if (r->refused == FAIL_NONE) {
        r->refused = check_body(r, &f, why);
    }
    /* Answered at once (and the connection closed) when reading on would be unsafe or long. */
    r->at_head = r->refused != FAIL_NONE &&
                 (!framed || f.encodings > 0 || f.content_length > WIRE_DISCARD_MAX);
    int64_t limit = 30000 + (int64_t)(f.content_length / 16);
    watch_phase(r->w, r->slot, SLOT_BODY, f.encodings > 0 ? 600000 : limit);
}

/* ---- reading ---- */

const char *wire_id(const struct wire_request *r)
{
    return r->id;
}

const struct wire_route *wire_route_of(const struct wire_request *r)
{
    return r->route;
}

const void *wire_who(const struct wire_request *r)
{
    return r->who;
}

const char *wire_body(const struct wire_request *r, size_t *len)
{
    *len = r->body.len;
    return r->body.data ? r->body.data : "";
}

const char *wire_param_find(const struct wire_request *r, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < r->params_len; i++) {
        if (strncmp(r->params[i].name, name, n) == 0 && r->params[i].name[n] == '}') {
            return r->params[i].value;
        }
    }
    return NULL;
}

const char *wire_param(const struct wire_request *r, const char *name)
{
    const char *value = wire_param_find(r, name);
    ASSERT(value != NULL); /* the route's pattern has this parameter */
    return value;
}

const char *wire_query(const struct wire_request *r, const char *name)
{
    for (size_t i = 0; i < r->query_len; i++) {
        if (strcmp(r->query[i].name, name) == 0) {
            return r->query[i].value;
        }
    }
    return NULL;
}

enum fail wire_query_only(const struct wire_request *r, const char *const *names, struct fault *why)
{
    for (size_t i = 0; i < r->query_len; i++) {
        bool known = false;
        for (const char *const *k = names; *k != NULL && !known; k++) {
            known = strcmp(*k, r->query[i].name) == 0;
        }
        if (!known) {
            FAULT(why, FAIL_UNKNOWN_PARAMETER, "unknown query parameter \"%.60s\"",
                  r->query[i].name);
            return fail_param(why, r->query[i].name);
        }
    }
    return FAIL_NONE;
}

const char *wire_header(struct wire_request *r, const char *name)
{
    return r->conn ? MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name) : NULL;
}

void *wire_alloc(struct wire_request *r, size_t size)
{
    if (r->arena == NULL) {
        r->arena = arena_new(REQUEST_ARENA_BYTES);
    }
    return arena_alloc(r->arena, size);
}

void wire_on_gone(struct wire_request *r, wire_gone_fn fn, void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->on_gone = fn;
    r->gone_arg = arg;
    pthread_mutex_unlock(&r->lock);
}
