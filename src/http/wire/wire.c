/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemons: one for TCP, one for the Unix socket, one handler. The library is asked for epoll
 * threads with suspend and resume, strict discipline, and 8 KiB a connection.
 */
#include "http/wire/wire_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"

#define SENDING_S 1 /* what was answered gets this long to be sent when the server ends */
#define WIRE_POOL_BYTES (8u * 1024u)
#define WIRE_IDLE_S 75u

/* ---- callbacks, on http threads ---- */

static void *on_target(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct wire *w = cls;
    struct wire_request *r = request_new(w, uri);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->slot = info ? info->socket_context : NULL;
    r->conn = conn;
    watch_phase(w, r->slot, SLOT_HEAD, 10000);
    return r;
}

/* Keeps or drops body bytes; false: the connection is broken off. */
static bool take_body(struct wire_request *r, const char *data, size_t len)
{
    if (r->refused == FAIL_NONE && r->body.len + len <= r->body_cap) {
        return buf_add(&r->body, data, len);
    }
    if (r->refused == FAIL_NONE) {
        r->refused =
            FAULT(&r->why, FAIL_TOO_LARGE, "the body has more than %zu bytes", r->body_cap);
        fail_hint(&r->why, "Send less at once.");
        buf_done(&r->body);
        buf_init(&r->body, 1);
    }
    r->discarded += len;
    return r->discarded <= WIRE_DISCARD_MAX;
}

static void dispatch(struct wire_request *r)
{
    r->dispatched = true;
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED); /* the answerer's */
    if (r->refused != FAIL_NONE) {
        wire_fail(r, r->refused, &r->why);
    } else {
        r->route->handler(r, r->w->o.arg);
    }
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    struct wire_request *r = *state;
    (void)cls;
    (void)conn;
    (void)url;
    if (r->path == NULL && r->refused == FAIL_NONE) {
        request_head(r, method, version);
        if (r->at_head) {
            dispatch(r);
            return reply_queue_or_suspend(r);
        }
        return MHD_YES;
    }
    if (*upload_len > 0) {
        bool go_on = take_body(r, upload, *upload_len);
        *upload_len = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (!r->dispatched) {
        watch_phase(r->w, r->slot, SLOT_BUSY, 0);
        dispatch(r);
    }
    return reply_queue_or_suspend(r);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct wire *w = cls;
    struct wire_request *r = *state;
    (void)conn;
    (void)code;
    *state = NULL;
    if (r != NULL) {
        watch_phase(w, r->slot, SLOT_IDLE, WIRE_IDLE_S * 1000);
        reply_done_with_connection(r);
    }
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct wire *w = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context != NULL) {
            watch_close(w, *context);
        }
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    struct sockaddr_storage self;
    socklen_t n = sizeof(peer);
    socklen_t self_n = sizeof(self);
    int64_t uid = -1;
    if (getsockname(info->connect_fd, (struct sockaddr *)&self, &self_n) == 0 &&
        self.ss_family == AF_UNIX &&
        getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0) {
        uid = (int64_t)peer.uid;
    }
    *context = watch_open(w, info->connect_fd, uid);
}

/* ---- starting ---- */

static int tcp_socket(const char *address, int port, struct fault *why)
{
    struct sockaddr_storage at;
    memset(&at, 0, sizeof(at));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
    socklen_t len;
    const char *spelled = strcmp(address, "localhost") == 0 ? "127.0.0.1" : address;
    if (inet_pton(AF_INET, spelled, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        len = sizeof(*v4);
    } else if (inet_pton(AF_INET6, spelled, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        len = sizeof(*v6);
    } else {
        FAULT(why, FAIL_BAD_REQUEST, "listen.address is not an IP address");
        return -1;
    }
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 1024) != 0) {
        bool busy = errno == EADDRINUSE;
        FAULT_ERRNO(why, busy ? FAIL_CONFLICT : FAIL_INTERNAL, "cannot listen on %s port %d",
                    address, port);
        fail_hint(why,
                  busy ? "Another program uses this port. Stop it, or choose another port: "
                         "inhouse serve --listen %s:%d, or listen.port in inhouse.yaml."
                       : "Choose another address or port: inhouse serve --listen %s:%d.",
                  address, port + 1 < 65536 ? port + 1 : 8461);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static struct MHD_Daemon *start_daemon(struct wire *w, int fd, int threads, int per_address)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, w->o.max_connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, WIRE_POOL_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, WIRE_IDLE_S, NULL},
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, w, MHD_OPTION_URI_LOG_CALLBACK,
                            on_target, w, MHD_OPTION_NOTIFY_COMPLETED, on_completed, w,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_END);
}

static enum fail start(struct wire *w, struct fault *why)
{
    const struct wire_options *o = &w->o;
    if (!watch_start(w, why)) {
        return why->code;
    }
    if (o->address != NULL) {
        int fd = tcp_socket(o->address, o->port, why);
        if (fd < 0) {
            return why->code;
        }
        struct sockaddr_storage at;
        socklen_t n = sizeof(at);
        ASSERT(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
        w->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                 : ((struct sockaddr_in *)&at)->sin_port);
        w->tcp = start_daemon(w, fd, o->threads, o->max_connections_per_address);
        if (w->tcp == NULL) {
            close(fd);
            return FAULT(why, FAIL_INTERNAL, "the HTTP library did not start");
        }
    }
    if (o->unix_fd >= 0) {
        w->local = start_daemon(w, o->unix_fd, 1, 0);
        if (w->local == NULL) {
            return FAULT(why, FAIL_INTERNAL, "the HTTP library did not start on the Unix socket");
        }
    }
    return FAIL_NONE;
}

enum fail wire_new(const struct wire_options *o, struct wire **out, struct fault *why)
{
    ASSERT(o->threads >= 1 && o->max_connections >= 1 && o->routes != NULL);
    struct wire *w = mem_alloc(sizeof(*w));
    w->o = *o;
    w->epoll_fd = w->stop_fd = -1;
    ASSERT(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->quiet, NULL) == 0);
    enum fail f = start(w, why);
    if (f != FAIL_NONE) {
        w->o.unix_fd = -1;
        wire_free(w, 0);
        return f;
    }
    *out = w;
    return FAIL_NONE;
}

int wire_port(const struct wire *w)
{
    return w->port;
}

void wire_refuse(struct wire *w)
{
    pthread_mutex_lock(&w->lock);
    w->refusing = true;
    pthread_mutex_unlock(&w->lock);
}

void wire_counts(struct wire *w, struct wire_counts *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->counts;
    pthread_mutex_unlock(&w->lock);
}

void wire_free(struct wire *w, int64_t wait_ms)
{
    wire_refuse(w);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    struct timespec sent_by;
    clock_gettime(CLOCK_REALTIME, &sent_by);
    sent_by.tv_sec += SENDING_S;
    pthread_mutex_lock(&w->lock);
    while (w->counts.active > 0 && pthread_cond_timedwait(&w->quiet, &w->lock, &until) == 0) {
    }
    while (w->sending > 0 && pthread_cond_timedwait(&w->quiet, &w->lock, &sent_by) == 0) {
    }
    pthread_mutex_unlock(&w->lock);
    /* Stopping with a suspended connection would abort: the rest are told that their client is
       gone. */
    if (w->slots != NULL) {
        watch_drop_all(w);
    }
    if (w->tcp != NULL) {
        MHD_stop_daemon(w->tcp);
    }
    if (w->local != NULL) {
        MHD_stop_daemon(w->local);
    }
    watch_stop(w);
    if (w->counts.active > 0) {
        /* their answerers still hold requests that point here: kept until the process ends */
        return;
    }
    pthread_cond_destroy(&w->quiet);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
