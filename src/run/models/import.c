/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: run `inhouse-worker --tool import` as a child with a clean environment and three
 * descriptors, read its lines, and add the GGUF it made from a folder of our own.
 *
 * The child parses hostile files, so its lines are hostile too: capped, strict, and only texts we
 * cut to size come out of them. What it made goes through models_add like any other file.
 * Threads: one; blocks until the child ended or the time limit passed.
 * Limits: 64 KiB a line, ten minutes unless told otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define LINE_MAX_BYTES 65536u
#define TIMEOUT_MS 600000
#define OUT_NAME "model.gguf"

struct child {
    pid_t pid;
    int out; /* its stdout */
    const struct models_import *what;
    models_progress_fn progress;
    void *ctx;
    bool done; /* it said "done" */
    bool told; /* it said "error", and *why has it */
    char name[MODELS_NAME_SIZE];
    char licence[96];
};

static void take_done(struct child *c, const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "name"));
    const char *licence = json_string_value(json_object_get(line, "licence"));
    size_t n = 0;
    /* "all-MiniLM-L6-v2" -> "all-minilm-l6-v2"; anything stranger is no name. */
    for (; name != NULL && name[n] != '\0' && n + 1 < sizeof(c->name); n++) {
        c->name[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a') : name[n];
    }
    c->name[n] = '\0';
    if (!text_is_name(c->name)) {
        c->name[0] = '\0';
    }
    text_copy(c->licence, sizeof(c->licence), licence == NULL ? "" : licence);
    c->done = true;
}

static enum fail take_line(struct child *c, const char *text, size_t len, struct fault *why)
{
    AUTO_JSON json_t *line = NULL;
    enum fail f = jn_parse(text, len, "the import job's answer", &line, why);
    if (f != FAIL_NONE) {
        return f;
    }
    const char *event = json_string_value(json_object_get(line, "event"));
    if (event != NULL && strcmp(event, "progress") == 0) {
        json_int_t done = json_integer_value(json_object_get(line, "done"));
        json_int_t total = json_integer_value(json_object_get(line, "total"));
        if (c->progress != NULL && done >= 0 && total >= done &&
            !c->progress(c->ctx, "import", (uint64_t)done, (uint64_t)total)) {
            return FAULT(why, FAIL_STOPPED, "%.120s: stopped while it was imported",
                         c->what->folder);
        }
    } else if (event != NULL && strcmp(event, "done") == 0) {
        take_done(c, line);
    } else if (event != NULL && strcmp(event, "error") == 0) {
        const char *code = json_string_value(json_object_get(line, "code"));
        const char *message = json_string_value(json_object_get(line, "message"));
        const char *hint = json_string_value(json_object_get(line, "hint"));
        c->told = true;
        FAULT(why, fail_from_name(code == NULL ? "" : code), "%.100s: %.210s", c->what->folder,
              message == NULL ? "the import failed" : message);
        return fail_hint(why, "%s", hint == NULL ? "" : hint);
    }
    return FAIL_NONE;
}

/* Takes whole lines off the buffer's front. */
static enum fail take_lines(struct child *c, struct buf *b, struct fault *why)
{
    enum fail f = FAIL_NONE;
    char *end;
    while (f == FAIL_NONE && b->len > 0 && (end = memchr(b->data, '\n', b->len)) != NULL) {
        f = take_line(c, b->data, (size_t)(end - b->data), why);
        buf_consume(b, (size_t)(end - b->data) + 1);
    }
    return f;
}

static enum fail listen_to(struct child *c, struct fault *why)
{
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    int limit = c->what->timeout_ms > 0 ? c->what->timeout_ms : TIMEOUT_MS;
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
            f = FAULT(why, FAIL_WORKER_DIED, "%.160s: the import took longer than %d ms",
                      c->what->folder, limit);
            break;
        }
        ssize_t n = read(c->out, chunk, sizeof(chunk));
        if (n == 0) {
            break;
        }
        if (n > 0 && !buf_add(&b, chunk, (size_t)n)) {
            f = FAULT(why, FAIL_WORKER_DIED, "the import job wrote a line without an end");
        } else if (n > 0) {
            f = take_lines(c, &b, why);
        } else if (errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "reading from the import job failed");
        }
    }
    buf_done(&b);
    return f;
}

static enum fail worker_path(const struct models_import *what, struct buf *out, struct fault *why)
{
    char self[4096];
    if (what->worker_path != NULL) {
        buf_add_str(out, what->worker_path);
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

static enum fail start(struct child *c, const char *worker, const char *out_dir, struct fault *why)
{
    char *const argv[] = {"inhouse-worker",
                          "--tool",
                          "import",
                          "--in",
                          (char *)c->what->folder,
                          "--out",
                          (char *)out_dir,
                          "--type",
                          (char *)(c->what->type == NULL ? "f16" : c->what->type),
                          NULL};
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
static enum fail finish(struct child *c, enum fail f, struct fault *why)
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
        FAULT(why, FAIL_WORKER_DIED, "%.160s: the import job was ended by signal %d (%s)",
              c->what->folder, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return fail_hint(why, "The files broke the parser, or memory ran out: fetch them again.");
    }
    if (!c->done || WEXITSTATUS(status) != 0) {
        return FAULT(why, FAIL_WORKER_DIED, "%.160s: the import job ended with status %d unsaid",
                     c->what->folder, WEXITSTATUS(status));
    }
    return FAIL_NONE;
}

static enum fail add_result(struct models *m, const struct child *c, const char *out_dir,
                            struct models_entry *out, struct fault *why)
{
    struct buf path;
    AUTO_FREE char *folder = mem_dup_str(c->what->folder);
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') {
        folder[--len] = '\0';
    }
    const char *slash = strrchr(folder, '/');
    const char *base = slash == NULL ? folder : slash + 1;
    buf_init(&path, 4096);
    buf_printf(&path, "%s/" OUT_NAME, out_dir);
    struct models_add add = {.path = path.data,
                             .name = c->what->name != NULL ? c->what->name
                                     : c->name[0] != '\0'  ? c->name
                                                           : base,
                             .role = c->what->role,
                             .source = c->what->source != NULL ? c->what->source : base,
                             .licence = c->licence,
                             .link = true};
    enum fail f = models_add(m, &add, c->progress, c->ctx, out, why);
    buf_done(&path);
    return f;
}

void models_clean_import(const struct models *m, const char *name)
{
    int at = openat(m->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (at >= 0) {
        unlinkat(at, OUT_NAME, 0);
        close(at);
        unlinkat(m->dir, name, AT_REMOVEDIR);
    }
}

enum fail models_import(struct models *m, const struct models_import *what,
                        models_progress_fn progress, void *ctx, struct models_entry *out,
                        struct fault *why)
{
    struct child c = {.what = what, .progress = progress, .ctx = ctx};
    struct buf worker, dir;
    char name[40];
    if (what->name != NULL && !text_is_name(what->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" cannot be a model's name", what->name);
        return fail_hint(why, "Use a-z, 0-9, '.', '_' or '-', at most 64 characters, the first a "
                              "letter or digit.");
    }
    buf_init(&worker, 4096);
    buf_init(&dir, 4096);
    /* In the store's own folder, so that the result is linked and not copied. */
    snprintf(name, sizeof(name), ".import-%d", (int)getpid());
    enum fail f = worker_path(what, &worker, why);
    if (f == FAIL_NONE &&
        (!buf_printf(&dir, "%s/models/%s", m->home, name) || mkdirat(m->dir, name, 0700) != 0)) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "%.200s/models/%s: cannot be made",
                        m->home, name);
    }
    if (f == FAIL_NONE) {
        f = start(&c, worker.data, dir.data, why);
        if (f == FAIL_NONE) {
            f = finish(&c, listen_to(&c, why), why);
        }
        if (f == FAIL_NONE) {
            f = add_result(m, &c, dir.data, out, why);
        }
        models_clean_import(m, name);
    }
    buf_done(&worker);
    buf_done(&dir);
    return f;
}
