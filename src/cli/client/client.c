/* SPDX-License-Identifier: Apache-2.0 */
/* One request at a time: open, ask, read the answer or the error, streams. Threads: the
   caller's. */
#include "cli/client/client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"

#define DEFAULT_TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 5000
#define SOCKET_NAME "sock"

bool client_stopped(const struct client *c)
{
    return c->stop != NULL && *c->stop != 0;
}

enum client_mode client_mode(const struct client *c)
{
    return c->mode;
}

/* ---- where things are ---- */

bool client_home_default(char out[CLIENT_PATH_SIZE])
{
    const char *home = getenv("INHOUSE_HOME");
    char raw[CLIENT_PATH_SIZE];
    int n;
    if (home != NULL && home[0] != '\0') {
        n = snprintf(raw, sizeof(raw), "%s", home);
    } else {
        const char *user = getenv("HOME");
        if (user != NULL && user[0] == '/') {
            n = snprintf(raw, sizeof(raw), "%s/.local/share/inhouse", user);
        } else {
            return false;
        }
    }
    if (n <= 0 || (size_t)n >= sizeof(raw)) {
        return false;
    }
    if (raw[0] == '/') {
        return text_copy(out, CLIENT_PATH_SIZE, raw);
    }
    char here[CLIENT_PATH_SIZE];
    if (getcwd(here, sizeof(here)) == NULL) {
        return false;
    }
    struct buf b;
    buf_init(&b, CLIENT_PATH_SIZE);
    bool ok = buf_printf(&b, "%s/%s", here, raw) && text_copy(out, CLIENT_PATH_SIZE, b.data);
    buf_done(&b);
    return ok;
}

bool client_program(const char *name, char out[CLIENT_PATH_SIZE])
{
    ssize_t n = readlink("/proc/self/exe", out, CLIENT_PATH_SIZE - 1);
    if (n <= 0) {
        return false;
    }
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL || (size_t)(slash - out) + strlen(name) + 2 > CLIENT_PATH_SIZE) {
        return false;
    }
    return text_copy(slash + 1, CLIENT_PATH_SIZE - (size_t)(slash + 1 - out), name);
}

/* Makes the folder and its parents, for the owner alone. */
static enum fail home_make(const char *home, struct fault *why)
{
    char path[CLIENT_PATH_SIZE];
    if (!text_copy(path, sizeof(path), home)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char saved = *p;
        *p = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot make the folder %s", path);
            fail_hint(why, "Set INHOUSE_HOME to a folder you may write to.");
            return why->code;
        }
        *p = saved;
        if (saved == '\0') {
            return FAIL_NONE;
        }
    }
}

/* A socket's address holds 107 bytes: a longer path is said through the folder's descriptor. */
static void socket_path(struct client *c)
{
    int n = snprintf(c->sock, sizeof(c->sock), "%s/" SOCKET_NAME, c->home);
    if (n < 0 || n > 100) {
        (void)snprintf(c->sock, sizeof(c->sock), "/proc/self/fd/%d/" SOCKET_NAME, c->home_fd);
    }
}

/* ---- open and close ---- */

static enum fail open_remote(struct client *c, struct fault *why)
{
    c->mode = CLIENT_REMOTE;
    json_t *health = NULL;
    struct client_ask ask = {.method = "GET", .path = "/health", .timeout_ms = 10000};
    enum fail f = client_call(c, &ask, &health, why);
    if (health != NULL) {
        json_decref(health);
    }
    if (f == FAIL_UPSTREAM_FAILED) {
        return fail_hint(
            why, "Check INHOUSE_URL (%.150s), or unset it to use this machine's own server.",
            c->url);
    }
    return f;
}

enum fail client_open(const struct client_options *o, struct client **out, struct fault *why)
{
    *out = NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct client *c = mem_alloc(sizeof(*c));
    c->home_fd = -1;
    c->start = o->start;
    c->note = o->note;
    c->arg = o->arg;
    c->stop = o->stop;
    c->easy = curl_easy_init();
    c->multi = curl_multi_init();
    ASSERT(c->easy != NULL && c->multi != NULL);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CLIENT_MAX_FLIGHT);
    enum fail f = FAIL_NONE;
    if (!text_copy(c->home, sizeof(c->home), o->home) ||
        !text_copy(c->url, sizeof(c->url), o->url != NULL ? o->url : "http://inhouse") ||
        !text_copy(c->key, sizeof(c->key), o->key != NULL ? o->key : "") ||
        !text_copy(c->config, sizeof(c->config), o->config != NULL ? o->config : "")) {
        f = FAULT(why, FAIL_BAD_REQUEST,
                  "the data folder, URL, key or configuration path is too long");
    } else if (o->server != NULL ? !text_copy(c->server, sizeof(c->server), o->server)
                                 : !client_program("inhoused", c->server)) {
        f = FAULT(why, FAIL_INTERNAL, "cannot tell where this executable is");
    }
    size_t n = strlen(c->url);
    while (n > 0 && c->url[n - 1] == '/') {
        c->url[--n] = '\0';
    }
    if (f == FAIL_NONE && o->url != NULL) {
        f = open_remote(c, why);
    } else if (f == FAIL_NONE) {
        f = home_make(c->home, why);
        if (f == FAIL_NONE) {
            c->home_fd = open(c->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            f = c->home_fd < 0
                    ? FAULT_ERRNO(why, FAIL_INTERNAL, "cannot open the folder %s", c->home)
                    : FAIL_NONE;
        }
        if (f == FAIL_NONE) {
            socket_path(c);
            f = client_find_server(c, why);
        }
    }
    if (f != FAIL_NONE) {
        client_close(c);
        return f;
    }
    *out = c;
    return FAIL_NONE;
}

void client_close(struct client *c)
{
    if (c == NULL) {
        return;
    }
    client_drop(c);
    for (size_t i = 0; i < CLIENT_MAX_FLIGHT; i++) {
        buf_done(&c->flights[i].reply);
        buf_done(&c->flights[i].body);
    }
    curl_multi_cleanup(c->multi);
    curl_easy_cleanup(c->easy);
    if (c->home_fd >= 0) {
        close(c->home_fd);
    }
    mem_free(c);
}

enum fail client_revive(struct client *c, struct fault *why)
{
    if (c->mode == CLIENT_REMOTE) {
        return FAULT(why, FAIL_UPSTREAM_FAILED, "the server at %s is gone", c->url);
    }
    return client_find_server(c, why);
}

bool client_wait_gone(struct client *c, int64_t wait_ms)
{
    struct fault why;
    int64_t start = clock_monotonic_us();
    while (clock_ms_since(start) < (double)wait_ms && !client_stopped(c)) {
        struct client_ask ask = {.method = "GET", .path = "/health", .timeout_ms = 2000};
        if (client_call(c, &ask, NULL, &why) == FAIL_UPSTREAM_FAILED) {
            return true;
        }
        usleep(20000);
    }
    return false;
}

pid_t client_server_pid(const struct client *c)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    if (c->mode == CLIENT_REMOTE) {
        return 0;
    }
    int fd = client_connect(c);
    if (fd < 0) {
        return 0;
    }
    int n = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    close(fd);
    return n == 0 ? peer.pid : 0;
}

/* ---- one request ---- */

static size_t on_reply(char *data, size_t size, size_t n, void *arg)
{
    return buf_add(arg, data, size * n) ? size * n : 0;
}

static struct curl_slist *header(struct curl_slist *list, const char *name, const char *value)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(list, line);
    return longer != NULL ? longer : list;
}

void client_easy(struct client *c, CURL *e, const struct client_ask *ask,
                 struct curl_slist **headers)
{
    char url[2048];
    (void)snprintf(url, sizeof(url), "%s%s", c->url, ask->path);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS,
                     (long)(ask->timeout_ms > 0 ? ask->timeout_ms : DEFAULT_TIMEOUT_MS));
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (c->sock[0] != '\0') {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->sock);
    }
    struct curl_slist *h = header(NULL, "Expect", "");
    if (c->key[0] != '\0') {
        char bearer[300];
        (void)snprintf(bearer, sizeof(bearer), "Bearer %s", c->key);
        h = header(h, "Authorization", bearer);
    }
    if (ask->body != NULL || ask->file != NULL) {
        h = header(h, "Content-Type", ask->type != NULL ? ask->type : "application/json");
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(ask->file != NULL ? ask->file_len : (int64_t)ask->len));
        if (ask->file != NULL) {
            curl_easy_setopt(e, CURLOPT_READDATA, ask->file);
        } else {
            curl_easy_setopt(e, CURLOPT_POSTFIELDS, ask->body);
        }
    } else if (strcmp(ask->method, "GET") != 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, ask->method);
    if (ask->idempotency_key != NULL) {
        h = header(h, "Idempotency-Key", ask->idempotency_key);
    }
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, h);
    *headers = h;
}

/* {"error":{"message","param","code","hint"}} as the server's own fault. */
static enum fail server_fault(long status, const char *body, size_t len, struct fault *why)
{
    struct fault bad;
    json_t *j AUTO_JSON = NULL;
    const json_t *e = NULL;
    if (len > 0 && jn_parse(body, len, "the server's error", &j, &bad) == FAIL_NONE) {
        e = json_object_get(j, "error");
    }
    const char *message = json_string_value(json_object_get(e, "message"));
    const char *code = json_string_value(json_object_get(e, "code"));
    const char *hint = json_string_value(json_object_get(e, "hint"));
    const char *param = json_string_value(json_object_get(e, "param"));
    if (message == NULL) {
        return FAULT(why, status == 404 ? FAIL_NOT_FOUND : FAIL_INTERNAL,
                     "the server answered %ld without saying why", status);
    }
    FAULT(why, code != NULL ? fail_from_name(code) : FAIL_INTERNAL, "%s", message);
    if (hint != NULL) {
        fail_hint(why, "%s", hint);
    }
    if (param != NULL) {
        fail_param(why, param);
    }
    return why->code;
}

enum fail client_fault(struct client *c, CURLcode code, long status, const char *body, size_t len,
                       struct fault *why)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return FAULT(why, FAIL_DEADLINE, "the server took too long to answer");
    }
    if (code == CURLE_ABORTED_BY_CALLBACK || (code == CURLE_WRITE_ERROR && client_stopped(c))) {
        return FAULT(why, FAIL_STOPPED, "stopped");
    }
    if (code != CURLE_OK) {
        return FAULT(why, FAIL_UPSTREAM_FAILED, "no answer from the server%s%s: %s",
                     c->mode == CLIENT_REMOTE ? " at " : "", c->mode == CLIENT_REMOTE ? c->url : "",
                     curl_easy_strerror(code));
    }
    return status >= 200 && status < 300 ? FAIL_NONE : server_fault(status, body, len, why);
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t u, curl_off_t n)
{
    (void)a, (void)b, (void)u, (void)n;
    return client_stopped(arg) ? 1 : 0;
}

enum fail client_call(struct client *c, const struct client_ask *ask, json_t **out,
                      struct fault *why)
{
    struct curl_slist *headers = NULL;
    struct buf reply;
    buf_init(&reply, CLIENT_MAX_REPLY);
    if (out != NULL) {
        *out = NULL;
    }
    CURL *e = c->easy;
    curl_easy_reset(e);
    client_easy(c, e, ask, &headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &reply);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, c);
    CURLcode code = curl_easy_perform(e);
    long status = 0;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    enum fail f = client_fault(c, code, status, reply.data, reply.len, why);
    if (f == FAIL_NONE && out != NULL && reply.len > 0) {
        f = jn_parse(reply.data, reply.len, "the server's answer", out, why);
    }
    buf_done(&reply);
    return f;
}

enum fail client_get(struct client *c, json_t **out, struct fault *why, const char *fmt, ...)
{
    char path[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(path, sizeof(path), fmt, ap);
    va_end(ap);
    struct client_ask ask = {.method = "GET", .path = path};
    return client_call(c, &ask, out, why);
}

void client_escape(struct buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char ch = (unsigned char)*s;
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') || strchr("-._~", ch) != NULL;
        (void)(plain ? buf_add_char(out, (char)ch) : buf_printf(out, "%%%02X", ch));
    }
}

/* ---- streams ---- */

struct stream {
    struct client *c;
    CURL *easy;
    struct buf held;
    client_event_fn fn;
    void *arg;
    bool ended;
};

static size_t on_stream(char *data, size_t size, size_t n, void *arg)
{
    struct stream *s = arg;
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (client_stopped(s->c) || !buf_add(&s->held, data, size * n)) {
        return 0;
    }
    char *end;
    while (status == 200 && !s->ended && s->held.len > 0 &&
           (end = memchr(s->held.data, '\n', s->held.len)) != NULL) {
        *end = '\0';
        if (text_starts_with(s->held.data, "data: ") &&
            !s->fn(s->arg, s->held.data + 6, strlen(s->held.data + 6))) {
            s->ended = true;
        }
        buf_consume(&s->held, (size_t)(end - s->held.data) + 1);
    }
    return size * n;
}

enum fail client_stream(struct client *c, const struct client_ask *ask, client_event_fn fn,
                        void *arg, struct fault *why)
{
    struct curl_slist *headers = NULL;
    struct stream s = {.c = c, .fn = fn, .arg = arg};
    buf_init(&s.held, (size_t)4 * 1024 * 1024);
    s.easy = curl_easy_init();
    ASSERT(s.easy != NULL);
    client_easy(c, s.easy, ask, &headers);
    curl_easy_setopt(s.easy, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(s.easy, CURLOPT_WRITEDATA, &s);
    curl_easy_setopt(s.easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s.easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(s.easy, CURLOPT_XFERINFODATA, c);
    CURLcode code = curl_easy_perform(s.easy);
    long status = 0;
    curl_easy_getinfo(s.easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(s.easy);
    curl_slist_free_all(headers);
    enum fail f = client_fault(c, code, status, s.held.data, s.held.len, why);
    buf_done(&s.held);
    return f;
}
