/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the data folder's server, or starting one: HOME/sock is made here and handed to inhoused
 * as an inherited descriptor. HOME/start.lock keeps two command lines from starting two; HOME/lock
 * is the server's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/client/client_internal.h"

#define LISTEN_FD 3
#define LINGER "10"
#define BACKLOG 128
#define START_WAIT_MS 120000
#define OLD_WAIT_MS 30000
#define POLL_US 20000
#define LOG_NAME "inhoused.log"
#define LOG_MAX_BYTES ((off_t)16 * 1024 * 1024)
#define EXIT_NO_EXEC 127

static bool address(const struct client *c, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    return text_copy(a->sun_path, sizeof(a->sun_path), c->sock);
}

int client_connect(const struct client *c)
{
    struct sockaddr_un a;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !address(c, &a) || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static bool listens(const struct client *c)
{
    int fd = client_connect(c);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* An answer to /health within two seconds; its status, 0 when there was none. */
static enum fail healthy(struct client *c, struct fault *why)
{
    struct client_ask ask = {.method = "GET", .path = "/health", .timeout_ms = 2000};
    return client_call(c, &ask, NULL, why);
}

/* Waits until the lock is free (true: taken, *fd) or a server answers on the socket (false). */
static enum fail wait_for_lock(struct client *c, const char *name, int64_t wait_ms, int *fd,
                               struct fault *why)
{
    int64_t start = clock_monotonic_us();
    *fd = openat(c->home_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot open %s/%s", c->home,
                           name);
    }
    while (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
        if (listens(c)) {
            close(*fd);
            *fd = -1;
            return FAIL_NONE;
        }
        if (client_stopped(c) || clock_ms_since(start) > (double)wait_ms) {
            close(*fd);
            *fd = -1;
            FAULT(why, FAIL_CONFLICT,
                  "another process holds %s/%s and does not answer on its socket", c->home, name);
            fail_hint(why, "Wait for it to end, or end it; `fuser %s/%s` names it.", c->home, name);
            return why->code;
        }
        usleep(POLL_US);
    }
    return FAIL_NONE;
}

static int make_socket(struct client *c, struct fault *why)
{
    struct sockaddr_un a;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t old = umask(0177);
    (void)unlinkat(c->home_fd, "sock", 0);
    bool ok = fd >= 0 && address(c, &a) && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
              listen(fd, BACKLOG) == 0;
    (void)umask(old);
    if (!ok) {
        FAULT_ERRNO(why, FAIL_INTERNAL, "cannot make the socket %s/sock", c->home);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* ---- the started server's own words ---- */

static int open_log(struct client *c, off_t *from)
{
    struct stat st;
    if (fstatat(c->home_fd, LOG_NAME, &st, 0) == 0 && st.st_size > LOG_MAX_BYTES) {
        (void)renameat(c->home_fd, LOG_NAME, c->home_fd, LOG_NAME ".1");
    }
    int fd =
        openat(c->home_fd, LOG_NAME, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    *from = fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
    return fd;
}

/* The first error line that the server wrote since `from`: its message and hint. */
static void last_words(struct client *c, off_t from, struct fault *why)
{
    char text[16384];
    struct fault bad;
    int fd = openat(c->home_fd, LOG_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, from);
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return;
    }
    text[n] = '\0';
    for (char *line = text, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        json_t *j AUTO_JSON = NULL;
        size_t len = (size_t)(end - line);
        end += *end == '\n' ? 1 : 0;
        if (len > 1 && line[0] == '{' && jn_parse(line, len, "log", &j, &bad) == FAIL_NONE) {
            const char *level = json_string_value(json_object_get(j, "level"));
            const char *message = json_string_value(json_object_get(j, "message"));
            const char *hint = json_string_value(json_object_get(j, "hint"));
            bool error = level != NULL && strcmp(level, "error") == 0 && message != NULL;
            if (error && why->message[0] == '\0') { /* the first one is the cause */
                FAULT(why, FAIL_BAD_REQUEST, "the server could not start: %s", message);
                fail_hint(why, "%s", hint != NULL ? hint : "");
            }
        } else if (len > 1 && why->message[0] == '\0') {
            FAULT(why, FAIL_INTERNAL, "the server could not start: %.*s", (int)len, line);
        }
    }
}

/* ---- starting ---- */

static void become_server(struct client *c, int listener, int log)
{
    char fd[8];
    (void)snprintf(fd, sizeof(fd), "%d", LISTEN_FD);
    (void)setsid();
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(EXIT_NO_EXEC);
    }
    if (listener == LISTEN_FD) {
        (void)fcntl(listener, F_SETFD, 0);
    } else if (dup2(listener, LISTEN_FD) < 0) {
        _exit(EXIT_NO_EXEC);
    }
    (void)close_range(LISTEN_FD + 1, ~0u, 0);
    char *argv[12] = {(char *)"inhoused", (char *)"--home", c->home, (char *)"--listen-fd", fd,
                      (char *)"--linger", (char *)LINGER};
    if (c->config[0] != '\0') {
        argv[7] = (char *)"--config";
        argv[8] = c->config;
    }
    (void)signal(SIGPIPE, SIG_DFL);
    execv(c->server, argv);
    _exit(EXIT_NO_EXEC);
}

/* The models are loaded, or there is nothing to load; on a remote error too, for then the real
   request says it. */
static bool models_ready(struct client *c)
{
    struct fault bad;
    json_t *j AUTO_JSON = NULL, *role;
    const char *name;
    struct client_ask ask = {.method = "GET", .path = "/api/v1/status", .timeout_ms = 5000};
    if (client_call(c, &ask, &j, &bad) != FAIL_NONE) {
        return true;
    }
    bool ready = !json_is_true(json_object_get(j, "loading"));
    json_object_foreach(json_object_get(j, "roles"), name, role) {
        const char *state = json_string_value(json_object_get(role, "state"));
        ready = ready && (state == NULL || strcmp(state, "starting") != 0);
    }
    return ready;
}

static enum fail wait_until_ready(struct client *c, pid_t pid, off_t from, struct fault *why)
{
    int64_t start = clock_monotonic_us();
    bool said = false;
    for (;;) {
        int status = 0;
        struct fault bad = {0};
        if (waitpid(pid, &status, WNOHANG) == pid) {
            why->message[0] = '\0';
            last_words(c, from, why);
            if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_EXEC) {
                FAULT(why, FAIL_INTERNAL, "cannot run %s", c->server);
                return fail_hint(why, "It belongs beside this program: build or install both.");
            }
            if (why->message[0] == '\0') {
                FAULT(why, FAIL_INTERNAL, "the server ended while it started (status %d)",
                      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            }
            if (why->hint[0] == '\0') {
                fail_hint(why, "Its log is %s/" LOG_NAME ".", c->home);
            }
            return why->code;
        }
        if (healthy(c, &bad) == FAIL_NONE && models_ready(c)) {
            return FAIL_NONE;
        }
        double ms = clock_ms_since(start);
        if (client_stopped(c)) {
            return FAULT(why, FAIL_STOPPED, "stopped");
        }
        if (ms > START_WAIT_MS) {
            FAULT(why, FAIL_DEADLINE, "the server does not answer after two minutes: %s",
                  bad.message);
            return fail_hint(why, "Its log is %s/" LOG_NAME ".", c->home);
        }
        if (!said && ms > 1500 && c->note != NULL) {
            c->note(c->arg, "starting the server (it loads its models)");
            said = true;
        }
        usleep(POLL_US);
    }
}

static enum fail start_server(struct client *c, struct fault *why)
{
    off_t from = 0;
    if (access(c->server, X_OK) < 0) {
        FAULT_ERRNO(why, FAIL_INTERNAL, "cannot run %s", c->server);
        return fail_hint(why, "It belongs beside this program: build or install both.");
    }
    int listener = make_socket(c, why);
    if (listener < 0) {
        return why->code;
    }
    int log = open_log(c, &from);
    if (log < 0) {
        close(listener);
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot write %s/" LOG_NAME,
                           c->home);
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_server(c, listener, log);
    }
    close(listener);
    close(log);
    if (pid < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot start a process");
    }
    c->mode = CLIENT_EMBEDDED;
    return wait_until_ready(c, pid, from, why);
}

/* A server is there: wait for its health, for it may be starting, and fail early if it is not
   going to answer. */
static enum fail wait_for_health(struct client *c, struct fault *why)
{
    int64_t start = clock_monotonic_us();
    for (;;) {
        enum fail f = healthy(c, why);
        if (f == FAIL_NONE && !models_ready(c)) {
            f = FAIL_MODEL_UNAVAILABLE;
            FAULT(why, f, "the server's models are not loaded after two minutes");
        }
        if (f == FAIL_NONE || f == FAIL_FORBIDDEN || f == FAIL_UNAUTHENTICATED) {
            return f;
        }
        if (client_stopped(c) || clock_ms_since(start) > START_WAIT_MS ||
            (f == FAIL_UPSTREAM_FAILED && !listens(c))) {
            return f;
        }
        usleep(POLL_US);
    }
}

enum fail client_find_server(struct client *c, struct fault *why)
{
    int starting = -1, lock = -1;
    for (int round = 0; round < 3; round++) {
        if (listens(c)) {
            c->mode = c->mode == CLIENT_EMBEDDED ? CLIENT_EMBEDDED : CLIENT_LOCAL;
            enum fail f = wait_for_health(c, why);
            if (f != FAIL_UPSTREAM_FAILED && f != FAIL_STOPPED) {
                return f;
            }
            usleep(100000);
            continue;
        }
        if (!c->start) {
            FAULT(why, FAIL_STOPPED, "no server runs on %s", c->home);
            return fail_hint(
                why, "Start one with `inhouse serve`, or set INHOUSE_URL to one that runs.");
        }
        enum fail f = wait_for_lock(c, "start.lock", START_WAIT_MS, &starting, why);
        if (f == FAIL_NONE && starting >= 0 && !listens(c)) {
            f = wait_for_lock(c, "lock", OLD_WAIT_MS, &lock, why);
            if (f == FAIL_NONE && lock >= 0) {
                close(lock); /* the server takes it for itself */
                f = start_server(c, why);
                close(starting);
                return f;
            }
        }
        if (starting >= 0) {
            close(starting);
        }
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return FAULT(why, FAIL_UPSTREAM_FAILED, "the server of %s comes and goes; see %s/" LOG_NAME,
                 c->home, c->home);
}
