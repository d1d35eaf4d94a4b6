/* SPDX-License-Identifier: Apache-2.0 */
/* Wire, inside: the daemon, the table of connections with its watcher, and a request's state. */
#pragma once

#include <pthread.h>

#include <microhttpd.h>

#include "base/text/text.h"
#include "http/wire/wire.h"

#define WIRE_MAX_HEADERS 16
#define WIRE_DISCARD_MAX                                                                           \
    (64u * 1024u) /* body bytes read and dropped so that a refusal can be read */

enum slot_phase {
    SLOT_FREE,
    SLOT_FIRST, /* connected, no request line yet */
    SLOT_HEAD,  /* request line seen */
    SLOT_BODY,
    SLOT_BUSY, /* ours: no deadline here */
    SLOT_IDLE  /* between requests */
};

/* One connection. Guarded by the daemon's lock. */
struct slot {
    enum slot_phase phase;
    uint32_t generation;
    int fd;
    bool watched;
    int64_t peer_uid;
    int64_t deadline_us;          /* monotonic, 0: none */
    struct wire_request *request; /* set while watched; holds no reference of its own */
    struct slot *next_free;
};

struct wire {
    struct wire_options o;
    struct MHD_Daemon *tcp, *local;
    int port;
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* active became 0 */
    bool refusing;
    struct wire_counts counts;
    int sending; /* whole answers the library has not finished with */
    struct slot *slots;
    struct slot *free_slots;
    size_t slots_len;
    int epoll_fd, stop_fd;
    pthread_t watcher;
    bool has_watcher;
};

struct pair {
    const char *name, *value;
};

struct wire_request {
    struct wire *w;
    int refs; /* atomic: the library's, the answerer's, the stream's */
    char id[TEXT_ID_SIZE];
    int64_t began_us;
    char *target; /* raw, then split and decoded in place */
    const char *path;
    const struct wire_route *route;
    char param_text[4][208];
    struct pair params[4], query[WIRE_MAX_PARAMS];
    size_t params_len, query_len;
    struct slot *slot;
    bool is_head, dispatched, at_head; /* http thread only */
    bool accepted;                     /* counted in active */
    enum fail refused;
    struct fault why;
    struct buf body;
    size_t body_cap, discarded;
    void *who;
    struct arena *arena;

    /* Guarded by lock. */
    pthread_mutex_t lock;
    struct MHD_Connection *conn; /* NULL once the library is done with it */
    bool suspended, gone, answered, queued, streaming, ended, broken;
    bool sending; /* counted in the daemon's */
    int status;
    struct MHD_Response *response;
    struct buf out; /* stream */
    struct pair headers[WIRE_MAX_HEADERS];
    size_t headers_len;
    wire_gone_fn on_gone;
    void *gone_arg;
};

/* request.c */
struct wire_request *request_new(struct wire *w, const char *target);
void request_unref(struct wire_request *r);
/* Checks the head, routes, authenticates, admits; sets refused and why. */
void request_head(struct wire_request *r, const char *method, const char *version);

/* reply.c */
enum MHD_Result reply_queue_or_suspend(struct wire_request *r);
void reply_done_with_connection(struct wire_request *r);
/* Marks the client as gone, tells the answerer, lets the library go on. Any thread. */
void reply_gone(struct wire_request *r);

/* watch.c: all take the daemon's lock. */
bool watch_start(struct wire *w, struct fault *why);
void watch_stop(struct wire *w);
struct slot *watch_open(struct wire *w, int fd, int64_t peer_uid);
void watch_close(struct wire *w, struct slot *s);
void watch_phase(struct wire *w, struct slot *s, enum slot_phase phase, int64_t limit_ms);
void watch_add(struct wire *w, struct wire_request *r);
void watch_remove(struct wire *w, struct wire_request *r);
/* Every watched request is told that its client is gone: the end of the server. */
void watch_drop_all(struct wire *w);
