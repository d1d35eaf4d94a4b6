/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange on libcurl's multi interface, driven by the loop.
 *
 * Each server has a multi handle of its own, so that a connection opened under one server's key,
 * address rules and authorities is never used for another's. curl's callbacks only store what came;
 * ours are called afterwards, from `pump`, where an exchange may be ended.
 *
 * The address is looked at twice: when a socket is opened, and before the request is sent, which
 * covers connections that were kept. Proxies, redirects, cookies, other protocols, compressed
 * bodies and HTTP/0.9 are off; certificates are always checked.
 */
#include "run/upstream/upstream_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "base/clock/clock.h"

#define MAX_CONNECTIONS 64L
#define MAX_KEPT 16L
#define RETRY_AFTER_MAX_S 86400

struct line {
    struct loop *loop;
    const struct server *server;
    CURLM *multi;
    uint64_t timer;
    struct exchange *all;
    bool pumping;
};

struct exchange {
    struct exchange *next, *prev;
    struct line *line;
    CURL *easy;
    struct curl_slist *headers;
    void (*on_data)(void *arg);
    void (*on_end)(void *arg, enum upstream_outcome outcome, const char *note);
    void *arg;
    char error[CURL_ERROR_SIZE];
    struct buf body;
    size_t headers_bytes, total;
    int status;
    int64_t retry_after_ms;
    bool stream, too_large, dirty;
    const char *refused; /* why its address was */
    char address[48];
};

/* ---- the loop's side ---- */

static void pump(struct line *l);

static void on_socket(void *arg, uint32_t events, int fd)
{
    struct line *l = arg;
    int running;
    int what = ((events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    (void)curl_multi_socket_action(l->multi, fd, what, &running);
    pump(l);
}

/* What the loop calls back with: it knows no descriptor. */
struct watched {
    struct line *line;
    int fd;
};

static void on_watched(void *arg, uint32_t events)
{
    const struct watched *w = arg;
    on_socket(w->line, events, w->fd);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *line, void *socket)
{
    struct line *l = line;
    struct watched *w = socket;
    struct fault why;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            loop_unwatch(l->loop, fd);
            (void)curl_multi_assign(l->multi, fd, NULL);
            mem_free(w);
        }
        return 0;
    }
    uint32_t events = ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0u) |
                      ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0u);
    if (w != NULL) {
        loop_rewatch(l->loop, fd, events);
        return 0;
    }
    w = mem_alloc(sizeof(*w));
    *w = (struct watched){l, fd};
    if (loop_watch(l->loop, fd, events, on_watched, w, &why) != FAIL_NONE) {
        mem_free(w);
        return -1;
    }
    (void)curl_multi_assign(l->multi, fd, w);
    return 0;
}

static void on_timer(void *arg)
{
    struct line *l = arg;
    int running;
    l->timer = 0;
    (void)curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pump(l);
}

static int timer_wanted(CURLM *multi, long ms, void *line)
{
    struct line *l = line;
    (void)multi;
    loop_timer_cancel(l->loop, l->timer);
    l->timer = ms < 0 ? 0 : loop_timer_add(l->loop, ms, on_timer, l);
    return 0;
}

enum fail line_new(struct loop *loop, const struct server *server, struct line **out,
                   struct fault *why)
{
    struct line *l = mem_alloc(sizeof(*l));
    l->loop = loop;
    l->server = server;
    l->multi = curl_multi_init();
    if (l->multi == NULL) {
        mem_free(l);
        return FAULT(why, FAIL_INTERNAL, "libcurl cannot be used");
    }
    (void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    (void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
    (void)curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    (void)curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
    (void)curl_multi_setopt(l->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS);
    (void)curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, MAX_KEPT);
    *out = l;
    return FAIL_NONE;
}

void line_free(struct line *l)
{
    if (l == NULL) {
        return;
    }
    while (l->all != NULL) {
        exchange_free(l->all);
    }
    (void)curl_multi_cleanup(l->multi);
    loop_timer_cancel(l->loop, l->timer);
    mem_free(l);
}

/* ---- curl's callbacks ---- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    struct exchange *x = arg;
    const char *why;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        !address_is_allowed(x->line->server, &sa->addr, &why)) {
        x->refused = purpose != CURLSOCKTYPE_IPCXN ? "it is no connection" : why;
        address_show(&sa->addr, x->address);
        return CURL_SOCKET_BAD;
    }
    return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

static int before_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct exchange *x = arg;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    const char *why = "its address cannot be read";
    (void)local;
    (void)remote_port;
    (void)local_port;
    (void)text_copy(x->address, sizeof(x->address), remote);
    char *zone = strchr(x->address, '%');
    if (zone != NULL) {
        *zone = '\0';
    }
    bool good = inet_pton(AF_INET, x->address, &four.sin_addr) == 1
                    ? address_is_allowed(x->line->server, (struct sockaddr *)&four, &why)
                    : inet_pton(AF_INET6, x->address, &six.sin6_addr) == 1 &&
                          address_is_allowed(x->line->server, (struct sockaddr *)&six, &why);
    x->refused = good ? NULL : why;
    return good ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static CURLcode set_authorities(CURL *easy, void *ctx, void *arg)
{
    const struct server *s = arg;
    (void)easy;
    SSL_CTX_set1_cert_store(ctx, s->authorities);
    return CURLE_OK;
}

/* Seconds, or an HTTP date; milliseconds out. */
static int64_t read_retry_after(const char *value)
{
    int64_t s = 0;
    if (text_read_int(value, 0, RETRY_AFTER_MAX_S, &s)) {
        return s == 0 ? 1 : s * 1000;
    }
    time_t at = curl_getdate(value, NULL);
    int64_t ms = at < 0 ? 0 : (int64_t)at * 1000 - clock_now_us() / 1000;
    return ms <= 0 ? 0 : ms > RETRY_AFTER_MAX_S * 1000 ? RETRY_AFTER_MAX_S * 1000 : ms;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    char line[160];
    (void)size;
    x->headers_bytes += n;
    if (x->headers_bytes > EXCHANGE_HEADER_BYTES) {
        x->too_large = true;
        return 0;
    }
    size_t keep = n < sizeof(line) - 1 ? n : sizeof(line) - 1;
    memcpy(line, data, keep);
    line[keep] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0) { /* of an interim answer too: start again */
        x->retry_after_ms = 0;
        x->stream = false;
    } else if (strncasecmp(line, "retry-after:", 12) == 0) {
        x->retry_after_ms = read_retry_after(text_trim(line + 12));
    } else if (strncasecmp(line, "retry-after-ms:", 15) == 0) {
        int64_t ms;
        if (text_read_int(text_trim(line + 15), 1, RETRY_AFTER_MAX_S * 1000, &ms)) {
            x->retry_after_ms = ms;
        }
    } else if (strncasecmp(line, "content-type:", 13) == 0) {
        x->stream = strncasecmp(text_trim(line + 13), "text/event-stream", 17) == 0;
    }
    return n;
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    (void)size;
    x->total += n; /* what was consumed already counts too */
    if (x->total > UPSTREAM_REPLY_BYTES || !buf_add(&x->body, data, n)) {
        x->too_large = true;
        return 0;
    }
    x->dirty = true;
    return n;
}

/* ---- an exchange ---- */

static void add_header(struct exchange *x, const char *name, const char *value)
{
    struct buf line;
    buf_init(&line, 16384);
    (void)buf_printf(&line, "%s%s", name, value);
    struct curl_slist *more = curl_slist_append(x->headers, line.data);
    ASSERT(more != NULL);
    x->headers = more;
    explicit_bzero(line.data, line.len);
    buf_done(&line);
}

static void put_headers(struct exchange *x, const struct exchange_ask *ask)
{
    const struct server *s = x->line->server;
    add_header(x, "Accept: ", ask->on_data != NULL ? "text/event-stream" : "application/json");
    if (ask->body != NULL) {
        add_header(x, "Content-Type: ", "application/json");
        add_header(x, "Expect:", "");
    }
    if (s->key != NULL && s->key[0] != '\0') {
        add_header(x, s->dialect->key_header, s->key);
    }
    if (s->dialect->more_header != NULL) {
        add_header(x, s->dialect->more_header, "");
    }
    if (ask->idempotency != NULL) {
        add_header(x, "Idempotency-Key: ", ask->idempotency);
    }
    (void)curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
}

static void set_rules(struct exchange *x)
{
    CURL *e = x->easy;
    const struct server *s = x->line->server;
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR,
                           text_starts_with(s->base, "https:") ? "https" : "http");
    (void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(e, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a look-up under way is not waited for */
    (void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
    (void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(e, CURLOPT_CAINFO, NULL); /* read at the start, not here */
    (void)curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    (void)curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, set_authorities);
    (void)curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)s);
    (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request);
    (void)curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
    (void)curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "inhouse/" INHOUSE_VERSION);
}

struct exchange *exchange_start(struct line *l, const struct exchange_ask *ask)
{
    struct exchange *x = mem_alloc(sizeof(*x));
    char url[768];
    x->line = l;
    x->on_data = ask->on_data;
    x->on_end = ask->on_end;
    x->arg = ask->arg;
    buf_init(&x->body, UPSTREAM_REPLY_BYTES);
    x->easy = curl_easy_init();
    x->next = l->all;
    if (l->all != NULL) {
        l->all->prev = x;
    }
    l->all = x;
    if (x->easy == NULL) {
        exchange_free(x);
        return NULL;
    }
    set_rules(x);
    put_headers(x, ask);
    (void)snprintf(url, sizeof(url), "%s%s", l->server->base, ask->path);
    (void)curl_easy_setopt(x->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)l->server->connect_ms);
    (void)curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
    if (ask->body != NULL) {
        (void)curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->len);
        (void)curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, ask->body);
    }
    if (curl_multi_add_handle(l->multi, x->easy) != CURLM_OK) {
        exchange_free(x);
        return NULL;
    }
    return x;
}

void exchange_free(struct exchange *x)
{
    if (x == NULL) {
        return;
    }
    if (x->easy != NULL) {
        (void)curl_multi_remove_handle(x->line->multi, x->easy);
        curl_easy_cleanup(x->easy);
    }
    curl_slist_free_all(x->headers);
    if (x->prev != NULL) {
        x->prev->next = x->next;
    } else {
        x->line->all = x->next;
    }
    if (x->next != NULL) {
        x->next->prev = x->prev;
    }
    buf_done(&x->body);
    mem_free(x);
}

/* ---- how it ended ---- */

static enum upstream_outcome outcome_of_status(int status)
{
    if (status >= 200 && status < 300) {
        return UPSTREAM_ANSWERED;
    }
    if (status >= 300 && status < 400) {
        return UPSTREAM_REDIRECT;
    }
    if (status == 401 || status == 403) {
        return UPSTREAM_KEY;
    }
    if (status == 429) {
        return UPSTREAM_LIMITED;
    }
    if (status == 408 || status == 409 || status == 425 || status >= 500) {
        return UPSTREAM_OVERLOADED;
    }
    return status >= 400 ? UPSTREAM_REFUSED : UPSTREAM_GARBAGE;
}

static enum upstream_outcome outcome_of(const struct exchange *x, CURLcode code)
{
    if (x->too_large) {
        return UPSTREAM_TOO_LARGE;
    }
    if (x->refused != NULL && code != CURLE_OK) {
        return UPSTREAM_ADDRESS;
    }
    switch ((int)code) {
    case CURLE_OK:
        return outcome_of_status(x->status);
    case CURLE_COULDNT_RESOLVE_HOST:
        return UPSTREAM_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return UPSTREAM_CONNECT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return UPSTREAM_CERTIFICATE;
    case CURLE_OPERATION_TIMEDOUT:
        return UPSTREAM_SLOW;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return UPSTREAM_CUT;
    default:
        return UPSTREAM_GARBAGE;
    }
}

static void put_note(const struct exchange *x, CURLcode code, enum upstream_outcome o, char *note,
                     size_t room)
{
    if (o == UPSTREAM_ADDRESS) {
        (void)snprintf(note, room, "%s", x->refused);
    } else if (o == UPSTREAM_TOO_LARGE) {
        (void)snprintf(note, room, "the reply is over %zu MiB", UPSTREAM_REPLY_BYTES >> 20);
    } else if (code != CURLE_OK) {
        (void)snprintf(note, room, "%s", x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
    } else if (o != UPSTREAM_ANSWERED) {
        (void)snprintf(note, room, "HTTP %d", x->status);
    } else {
        note[0] = '\0';
    }
}

static void read_status(struct exchange *x)
{
    long status = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    x->status = (int)status;
}

static struct exchange *next_dirty(const struct line *l)
{
    struct exchange *x = l->all;
    while (x != NULL && !(x->dirty && x->on_data != NULL)) {
        x = x->next;
    }
    return x;
}

static void pump(struct line *l)
{
    struct exchange *x;
    if (l->pumping) {
        return;
    }
    l->pumping = true;
    while ((x = next_dirty(l)) != NULL) {
        x->dirty = false;
        read_status(x);
        if (x->status >= 200 && x->status < 300) {
            x->on_data(x->arg);
        }
    }
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(l->multi, &left)) != NULL) {
        char *private = NULL;
        char note[160];
        CURLcode code = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        x = (struct exchange *)(void *)private;
        read_status(x);
        enum upstream_outcome o = outcome_of(x, code);
        put_note(x, code, o, note, sizeof(note));
        x->on_end(x->arg, o, note);
    }
    l->pumping = false;
}

struct buf *exchange_body(struct exchange *x)
{
    return &x->body;
}

int exchange_status(const struct exchange *x)
{
    return x->status;
}

bool exchange_is_stream(const struct exchange *x)
{
    return x->stream;
}

bool exchange_was_sent(const struct exchange *x)
{
    curl_off_t sent = 0;
    double pre = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    (void)curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME, &pre);
    return sent > 0 || x->status != 0 || (pre > 0 && x->refused == NULL);
}

int64_t exchange_retry_after_ms(const struct exchange *x)
{
    return x->retry_after_ms;
}

const char *exchange_address(const struct exchange *x)
{
    return x->address;
}
