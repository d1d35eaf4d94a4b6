/* SPDX-License-Identifier: Apache-2.0 */
/* One child of inhouse-worker: starting it, hearing its lines, ending it. Threads: one. */
#include "run/child/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"

#define LINE_MAX_BYTES 65536u
#define TIMEOUT_MS 600000

struct running {
    const struct child *job;
    pid_t pid;
    int out;   /* its stdout */
    bool done; /* it said "done" */
};

static enum fail take_line(struct running *c, const char *text, size_t len, struct fault *why)
{
    AUTO_JSON json_t *line = NULL;
    enum fail f = jn_parse(text, len, "the job's answer", &line, why);
    if (f != FAIL_NONE) {
        return f;
    }
    const char *event = json_string_value(json_object_get(line, "event"));
    if (event != NULL && strcmp(event, "error") == 0) {
        const char *code = json_string_value(json_object_get(line, "code"));
        const char *message = json_string_value(json_object_get(line, "message"));
        const char *hint = json_string_value(json_object_get(line, "hint"));
        FAULT(why, fail_from_name(code == NULL ? "" : code), "%.100s: %.210s", c->job->what,
              message == NULL ? "the job failed" : message);
        return fail_hint(why, "%s", hint == NULL ? "" : hint);
    }
    c->done = c->done || (event != NULL && strcmp(event, "done") == 0);
    return event == NULL || c->job->on_line == NULL
               ? FAIL_NONE
               : c->job->on_line(c->job->ctx, event, line, why);
}

/* Takes whole lines off the buffer's front. */
static enum fail take_lines(struct running *c, struct buf *b, struct fault *why)
{
    enum fail f = FAIL_NONE;
    char *end;
    while (f == FAIL_NONE && b->len > 0 && (end = memchr(b->data, '\n', b->len)) != NULL) {
        f = take_line(c, b->data, (size_t)(end - b->data), why);
        buf_consume(b, (size_t)(end - b->data) + 1);
    }
    return f;
}

static enum fail listen_to(struct running *c, struct fault *why)
{
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    int limit = c->job->timeout_ms > 0 ? c->job->timeout_ms : TIMEOUT_MS;
    int64_t until = clock_monotonic_us() + (int64_t)limit * 1000;
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE) {
        char chunk[4096];
        int64_t left = (until - clock_monotonic_us()) / 1000;
        struct pollfd p = {c->out, POLLIN, 0};
        int ready = left <= 0 ? 0 : poll(&p, 1, (int)left);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            f = FAULT(why, FAIL_WORKER_DIED, "%.160s: it took longer than %d ms",
                      c->job->what, limit);
            break;
        }
        ssize_t n = read(c->out, chunk, sizeof(chunk));
        if (n == 0) {
            break;
        }
        if (n > 0 && !buf_add(&b, chunk, (size_t)n)) {
            f = FAULT(why, FAIL_WORKER_DIED, "the job wrote a line without an end");
        } else if (n > 0) {
            f = take_lines(c, &b, why);
        } else if (errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "reading from the job failed");
        }
    }
    buf_done(&b);
    return f;
}

static enum fail worker_path(const struct child *job, struct buf *out, struct fault *why)
{
    char self[4096];
    if (job->worker_path != NULL) {
        buf_add_str(out, job->worker_path);
    } else {
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(self, '/');
        if (slash == NULL || !buf_printf(out, "%.*s/inhouse-worker", (int)(slash - self), self)) {
            return FAULT(why, FAIL_INTERNAL, "this executable's folder cannot be found");
        }
    }
    if (access(out->data, X_OK) != 0) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "%.200s: cannot be run", out->data);
        return fail_hint(why, "inhouse-worker must lie beside the other executables: run `make`.");
    }
    return FAIL_NONE;
}

static enum fail start(struct running *c, const char *worker, struct fault *why)
{
    char *argv[CHILD_WORDS_MAX + 3] = {"inhouse-worker", "--tool"};
    for (size_t i = 0; c->job->words[i] != NULL; i++) {
        ASSERT(i < CHILD_WORDS_MAX);
        argv[2 + i] = (char *)c->job->words[i];
    }
    char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot make a pipe");
    }
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, pipes[1], 1);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int e = posix_spawn(&c->pid, worker, &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    close(pipes[1]);
    if (e != 0) {
        close(pipes[0]);
        errno = e;
        return FAULT_ERRNO(why, FAIL_INTERNAL, "%.200s: cannot be started", worker);
    }
    c->out = pipes[0];
    return FAIL_NONE;
}

/* Reaps the child; a failure it did not put into words becomes one here. */
static enum fail finish(struct running *c, enum fail f, struct fault *why)
{
    int status = 0;
    close(c->out);
    if (f != FAIL_NONE) {
        kill(c->pid, SIGKILL);
    }
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (f != FAIL_NONE) {
        return f;
    }
    if (WIFSIGNALED(status)) {
        FAULT(why, FAIL_WORKER_DIED, "%.160s: the job was ended by signal %d (%s)",
              c->job->what, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return fail_hint(why, "The files broke the parser, or memory ran out: fetch them again.");
    }
    if (!c->done || WEXITSTATUS(status) != 0) {
        return FAULT(why, FAIL_WORKER_DIED, "%.160s: the job ended with status %d unsaid",
                     c->job->what, WEXITSTATUS(status));
    }
    return FAIL_NONE;
}

enum fail child_run(const struct child *job, struct fault *why)
{
    struct running c = {.job = job};
    struct buf worker;
    buf_init(&worker, 4096);
    enum fail f = worker_path(job, &worker, why);
    if (f == FAIL_NONE) {
        f = start(&c, worker.data, why);
    }
    if (f == FAIL_NONE) {
        f = finish(&c, listen_to(&c, why), why);
    }
    buf_done(&worker);
    return f;
}
