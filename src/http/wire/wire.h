/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire: HTTP/1.1 in and out. The only room that knows libmicrohttpd.
 *
 * A request is routed once, from the raw target, over a table the caller brings; what is not in the
 * table does not exist. Framing is strict: duplicate Content-Length or Host, both framings at once,
 * encoded or doubled slashes, absolute-form targets are refused. A handler runs on an http thread,
 * must not block, and answers then or later from any thread. A client that leaves while its answer
 * is being made is noticed (EPOLLRDHUP on descriptors the library itself no longer watches).
 *
 * Threads: `threads` for TCP, one for the Unix socket, one watcher. Every wire_* call that takes a
 * request may come from any thread unless it says "handler only".
 * Limits: 8 KiB of headers, a body cap per route, a 1 MiB buffer per stream, WIRE_MAX_PARAMS
 * parameters; 15 s for the head of a first request, 10 s for later heads, 30 s + 16 KiB/s for
 * bodies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define WIRE_MAX_PARAMS 16
#define WIRE_STREAM_MAX (1024u * 1024u)
#define WIRE_BODY_DEFAULT 1 /* body_cap of a route: what the options say */

struct wire;
struct wire_request;
typedef void (*wire_handler_fn)(struct wire_request *r, void *arg);
typedef void (*wire_gone_fn)(void *arg);

/* One row of the table. Patterns are segments; {name} takes one segment of [A-Za-z0-9._~-]. */
struct wire_route {
    const char *method;
    const char *pattern; /* "/api/v1/tasks/{task}" */
    wire_handler_fn handler;
    uint32_t scope;                        /* bits the gate knows; 0: public */
    int object;                            /* what it touches, as the gate knows it */
    size_t body_cap;                       /* 0: no body */
    const char *rate;                      /* rate class, for admit */
    const char *audit;                     /* audit class, for listings */
    const char *tag, *operation, *summary; /* OpenAPI */
};

/* What a request shows of who it is. Strings live during the call. */
struct wire_credentials {
    const char *token; /* Authorization: Bearer, x-api-key or api-key; NULL when there is none */
    int64_t peer_uid;  /* the peer of a Unix socket, -1 on TCP */
    const char *cookies; /* the Cookie header, for wire_cookie_read; NULL when there is none */
    const char *csrf;    /* X-CSRF-Token, or NULL */
    const char *team;    /* X-Inhouse-Team, or NULL */
    bool changes;        /* the method is neither GET nor HEAD */
};

/* Brought by the caller; called on http threads, must not block. */
struct wire_gate {
    void *arg;
    size_t who_size; /* bytes of the caller's own identity struct */
    /* Fills who. */
    enum fail (*authenticate)(void *arg, const struct wire_credentials *c, void *who,
                              struct fault *why);
    /* May this identity make this request now? Asked before every handler, for public routes too
       (who is zeroes then). It may add headers. */
    enum fail (*admit)(void *arg, const void *who, struct wire_request *r, struct fault *why);
};

struct wire_options {
    const char *address; /* NULL: no TCP */
    int port;            /* 0: any */
    int unix_fd;         /* already listening, -1: none; owned by wire from success on */
    int threads;
    int max_connections, max_connections_per_address;
    size_t body_bytes;
    const struct wire_route *routes;
    size_t routes_len;
    void *arg; /* of the handlers */
    struct wire_gate gate;
};

/* Listens and serves. FAIL_CONFLICT names a port that is in use. */
MUST_CHECK enum fail wire_new(const struct wire_options *o, struct wire **out, struct fault *why);
int wire_port(const struct wire *w); /* the TCP port, 0 without TCP */
/* From now on every new request is answered 503 stopped; accepted ones go on. Any thread. */
void wire_refuse(struct wire *w);
struct wire_counts {
    int64_t requests, refused, errors; /* answered at all; 4xx; 5xx */
    int active;                        /* accepted and not answered */
    int connections;
};
void wire_counts(struct wire *w, struct wire_counts *out);
/* wire_refuse, waits up to wait_ms for accepted requests, ends the rest, stops. Blocks; not on a
   thread that has to answer them. */
void wire_free(struct wire *w, int64_t wait_ms);

/* ---- the request (valid until the handler's one answer) ---- */

const char *wire_id(const struct wire_request *r); /* "req_..." */
const struct wire_route *wire_route_of(const struct wire_request *r);
/* what authenticate filled; zeroes when public */
const void *wire_who(const struct wire_request *r);
const char *wire_body(const struct wire_request *r, size_t *len); /* NUL-terminated, never NULL */
/* A segment taken by {name}; asserts that the pattern has it. */
const char *wire_param(const struct wire_request *r, const char *name);
/* The same, NULL when the pattern has none of that name. */
const char *wire_param_find(const struct wire_request *r, const char *name);
/* Decoded query parameter or NULL. */
const char *wire_query(const struct wire_request *r, const char *name);
/* Refuses query parameters that are not in the NULL-terminated list. */
MUST_CHECK enum fail wire_query_only(const struct wire_request *r, const char *const *names,
                                     struct fault *why);
const char *wire_header(struct wire_request *r, const char *name); /* handler only; may be NULL */
/* The client's address as text; what ends with it is one of a block for IPv6 (its first 64 bits).
   "" on the Unix socket. Handler only. */
#define WIRE_PEER_SIZE 64
void wire_peer(struct wire_request *r, char out[WIRE_PEER_SIZE]);
/* The value of one cookie in a Cookie header (RFC 6265 section 4.2.1); false when it is not there,
   there more than once, longer than room - 1, or not made of cookie-octets. Pure. */
bool wire_cookie_read(const char *header, const char *name, char *out, size_t room);
/* Overwrites the body: it held a password. The handler is done with it. */
void wire_body_wipe(struct wire_request *r);
/* Memory that lives as long as the request; handler only. */
void *wire_alloc(struct wire_request *r, size_t size);

/* Calls fn(arg) at most once, from any thread, when the client leaves before the answer is
   complete. The handler still answers (the bytes go nowhere). Handler only, before handing the
   request on. */
void wire_on_gone(struct wire_request *r, wire_gone_fn fn, void *arg);

/* ---- the answer: one of wire_reply, wire_fail, or stream_begin ... stream_end ---- */

/* At most 16; name is static, value is copied (control characters are dropped). */
void wire_header_add(struct wire_request *r, const char *name, const char *value);
/* Takes the buffer's memory. type NULL: application/json. */
void wire_reply(struct wire_request *r, int status, const char *type, struct buf *body);
/* The OpenAI error object; why may be NULL. */
void wire_fail(struct wire_request *r, enum fail code, const struct fault *why);
/* The same object as text, for a stream. */
void wire_fault_json(enum fail code, const struct fault *why, struct buf *out);

void wire_stream_begin(struct wire_request *r, const char *type);
/* False when the client is gone or reads so slowly that the buffer is full (it is then cut off). */
bool wire_stream_write(struct wire_request *r, const void *data, size_t len);
/* complete false: the connection is broken off, so that the client sees a cut stream. */
void wire_stream_end(struct wire_request *r, bool complete);
