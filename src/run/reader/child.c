/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One document: its children, their pipes, their end. The reader of a PDF gets pdftotext's output;
 * both are sealed by inhouse-reader itself before the document is open to them.
 * Owns: the children from start to reaping. Threads: one per call. Limits: as the header says.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "run/reader/reader_internal.h"

#define READ_BYTES 65536
/* A helper whose output has ended is given so long to end as well. */
#define HELPER_END_MS 500
#define PDF_HEAD 1024
#define ARGUMENTS_MAX 40
#define HINT_MAX 255
#define PDFTOTEXT "/usr/bin/pdftotext"

struct child {
    pid_t reader, helper; /* 0: none */
    int out;              /* the reader's frames */
    int64_t until_us;
    int stop;
    struct document_limits limits;
    struct document_taker *taker;
    const char *pdftotext;
};

/* ---- starting ---- */

static enum fail find_reader(const struct reader_programs *p, char path[4096], struct fault *why)
{
    if (p != NULL && p->reader != NULL) {
        (void)text_copy(path, 4096, p->reader);
    } else {
        ssize_t n = readlink("/proc/self/exe", path, 4095 - sizeof("/inhouse-reader"));
        path[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return FAULT(why, FAIL_INTERNAL, "this executable's folder cannot be found");
        }
        memcpy(slash, "/inhouse-reader", sizeof("/inhouse-reader"));
    }
    if (access(path, X_OK) != 0) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "%.200s: cannot be run", path);
        return fail_hint(why, "inhouse-reader must lie beside the other executables: run `make`.");
    }
    return FAIL_NONE;
}

static enum fail spawn(const char *program, char *const *argv, int in, int out, pid_t *pid,
                       struct fault *why)
{
    char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC0", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int e = posix_spawn(pid, program, &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (e != 0) {
        *pid = 0;
        errno = e;
        return FAULT_ERRNO(why, FAIL_INTERNAL, "%.200s: cannot be started", program);
    }
    return FAIL_NONE;
}

/* The words of a command line, NULL-terminated, in one place. */
struct words {
    char *argv[ARGUMENTS_MAX];
    size_t n;
    struct buf text;
};

static void say(struct words *w, const char *word, size_t len)
{
    /* The buffer never moves: its memory was reserved whole. */
    ASSERT(w->n < ARGUMENTS_MAX - 1 && w->text.len + len + 1 < w->text.cap);
    w->argv[w->n++] = w->text.data + w->text.len;
    (void)buf_add(&w->text, word, len);
    (void)buf_add(&w->text, "", 1);
}

static void say_hint(struct words *w, const char *option, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        say(w, option, strlen(option));
        say(w, value, strnlen(value, HINT_MAX));
    }
}

static void say_number(struct words *w, const char *option, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    say(w, option, strlen(option));
    say(w, text, strlen(text));
}

static void say_limits(struct words *w, const struct document_limits *l)
{
    say_number(w, "--input-bytes", l->input_bytes);
    say_number(w, "--text-bytes", l->text_bytes);
    say_number(w, "--attachment-bytes", l->attachment_bytes);
    say_number(w, "--blocks", l->blocks);
    say_number(w, "--links", l->links);
    say_number(w, "--attachments", l->attachments);
    say_number(w, "--parts", l->parts);
    say_number(w, "--depth", l->depth);
    say_number(w, "--cpu-s", l->cpu_s);
    say_number(w, "--memory-bytes", l->memory_bytes);
}

static void words_begin(struct words *w)
{
    *w = (struct words){0};
    buf_init(&w->text, 8192);
    (void)buf_reserve(&w->text, 8000);
    say(w, "inhouse-reader", strlen("inhouse-reader"));
}

static bool has_pdf_head(int doc)
{
    char head[PDF_HEAD];
    ssize_t n = pread(doc, head, sizeof(head), 0);
    return n > 0 && memmem(head, (size_t)n, "%PDF-", 5) != NULL;
}

static bool is_pdf(const struct reader_ask *ask, int doc)
{
    return ask->format != NULL ? strcmp(ask->format, "pdf") == 0 : has_pdf_head(doc);
}

static enum fail start_helper(struct child *c, const char *reader, int doc, int *text,
                              struct fault *why)
{
    int pipes[2];
    struct words w;
    if (access(c->pdftotext, X_OK) != 0) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "%.200s: cannot be run", c->pdftotext);
        return fail_hint(why, "PDF needs it: apt install poppler-utils.");
    }
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot make a pipe");
    }
    words_begin(&w);
    say_hint(&w, "--pdftotext", c->pdftotext);
    say_limits(&w, &c->limits);
    enum fail f = spawn(reader, w.argv, doc, pipes[1], &c->helper, why);
    buf_done(&w.text);
    close(pipes[1]);
    if (f != FAIL_NONE) {
        close(pipes[0]);
        return f;
    }
    *text = pipes[0];
    return FAIL_NONE;
}

static enum fail start_reader(struct child *c, const char *reader, const struct reader_ask *ask,
                              bool pdf, int doc, struct fault *why)
{
    int pipes[2];
    struct words w;
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot make a pipe");
    }
    words_begin(&w);
    say_hint(&w, "--format", pdf ? "pdf" : ask->format);
    say_hint(&w, "--name", ask->name);
    say_hint(&w, "--type", ask->type);
    say_hint(&w, "--charset", ask->charset);
    say_limits(&w, &c->limits);
    enum fail f = spawn(reader, w.argv, doc, pipes[1], &c->reader, why);
    buf_done(&w.text);
    close(pipes[1]);
    if (f != FAIL_NONE) {
        close(pipes[0]);
        return f;
    }
    c->out = pipes[0];
    return FAIL_NONE;
}

static enum fail start(struct child *c, const struct reader_programs *programs,
                       const struct reader_ask *ask, int doc, struct fault *why)
{
    char path[4096];
    bool pdf = is_pdf(ask, doc);
    int text = -1;
    enum fail f = find_reader(programs, path, why);
    if (f == FAIL_NONE && pdf) {
        f = start_helper(c, path, doc, &text, why);
    }
    if (f == FAIL_NONE) {
        f = start_reader(c, path, ask, pdf, pdf ? text : doc, why);
    }
    if (text >= 0) {
        close(text);
    }
    return f;
}

/* ---- hearing ---- */

static enum fail hear(struct child *c, struct fault *why)
{
    char *chunk = mem_alloc(READ_BYTES);
    enum fail f = FAIL_NONE;
    for (bool end = false; f == FAIL_NONE && !end;) {
        int64_t left = (c->until_us - clock_monotonic_us() + 999) / 1000;
        struct pollfd p[2] = {{c->out, POLLIN, 0}, {c->stop, POLLIN, 0}};
        int ready = left <= 0 ? 0 : poll(p, 2, (int)left);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            f = FAULT(why, FAIL_DEADLINE, "the document took too long to read");
        } else if (p[1].revents != 0) {
            f = FAULT(why, FAIL_STOPPED, "reading was stopped");
        } else {
            ssize_t n = read(c->out, chunk, READ_BYTES);
            end = n == 0;
            if (n > 0) {
                f = document_taker_feed(c->taker, chunk, (size_t)n, why);
            } else if (n < 0 && errno != EINTR) {
                f = FAULT_ERRNO(why, FAIL_INTERNAL, "reading from inhouse-reader failed");
            }
        }
    }
    mem_free(chunk);
    return f;
}

/* ---- ending ---- */

/* Ends (unless it has ended by itself within wait_ms) and reaps; its status. */
static int reap(pid_t pid, int wait_ms)
{
    int status = 0;
    for (int i = 0; i < wait_ms; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return status;
        }
        (void)poll(NULL, 0, 1);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static enum fail say_end(const char *who, int status, struct fault *why)
{
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal == SIGXCPU || signal == SIGKILL) {
        return FAULT(why, FAIL_DEADLINE, "%s used up its time on this document", who);
    }
    if (signal == SIGABRT || (signal == 0 && WEXITSTATUS(status) == 127)) {
        FAULT(why, FAIL_WORKER_DIED, "the document used up %s's memory or broke it", who);
    } else {
        FAULT(why, FAIL_WORKER_DIED, "the document broke %s (%s %d)", who,
              signal != 0 ? "signal" : "status", signal != 0 ? signal : WEXITSTATUS(status));
    }
    return fail_hint(why, "It may be damaged, or made to do this: it is refused.");
}

static enum fail say_helper(const struct child *c, int status, struct fault *why)
{
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 3)) {
        FAULT(why, FAIL_BAD_REQUEST, "pdftotext cannot open this PDF");
        return fail_hint(why, "It is damaged, or it needs a password.");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
        FAULT(why, FAIL_UNSUPPORTED, "PDF cannot be read here: %.150s cannot be sealed or started",
              c->pdftotext);
        return fail_hint(why, "A kernel with Landlock (5.13 or newer, lsm=landlock) can do it.");
    }
    return say_end("pdftotext", status, why);
}

static enum fail finish(struct child *c, enum fail f, struct document **out, struct fault *why)
{
    if (c->out >= 0) {
        close(c->out);
    }
    int said = c->reader == 0 ? 0 : reap(c->reader, f == FAIL_NONE ? HELPER_END_MS : 0);
    int helped = c->helper == 0 ? 0 : reap(c->helper, f == FAIL_NONE ? HELPER_END_MS : 0);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!document_taker_is_done(c->taker) && said != 0) {
        f = say_end("inhouse-reader", said, why);
    } else {
        f = document_taker_end(c->taker, out, why);
    }
    /* A reader that has said "too large" stops reading, and pdftotext ends of that. */
    bool cut = f == FAIL_TOO_LARGE || (WIFSIGNALED(helped) && WTERMSIG(helped) == SIGPIPE);
    if (helped != 0 && !cut) {
        document_free(*out);
        *out = NULL;
        f = say_helper(c, helped, why);
    }
    return f;
}

enum fail reader_run(const struct reader_programs *programs, const struct reader_ask *ask, int doc,
                     int stop, struct document **out, struct fault *why)
{
    int ms = ask->deadline_ms > 0 ? ask->deadline_ms : READER_DEADLINE_MS;
    struct child c = {.out = -1,
                      .stop = stop,
                      .until_us = clock_monotonic_us() + (int64_t)ms * 1000,
                      .limits = ask->limits,
                      .pdftotext = programs != NULL && programs->pdftotext != NULL
                                       ? programs->pdftotext
                                       : PDFTOTEXT};
    *out = NULL;
    document_limits_fill(&c.limits);
    c.taker = document_taker_new(&c.limits);
    enum fail f = start(&c, programs, ask, doc, why);
    if (f == FAIL_NONE) {
        f = hear(&c, why);
    }
    f = finish(&c, f, out, why);
    document_taker_free(c.taker);
    return f;
}

/* ---- the document ---- */

static enum fail copy_file(int from, uint64_t most, int to, uint64_t *size, struct fault *why)
{
    char *chunk = mem_alloc(READ_BYTES);
    enum fail f = FAIL_NONE;
    (void)lseek(from, 0, SEEK_SET);
    while (f == FAIL_NONE) {
        ssize_t n = read(from, chunk, READ_BYTES);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "the document cannot be read");
        } else if (n > 0) {
            *size += (uint64_t)n;
            if (*size > most) {
                break;
            }
            for (ssize_t at = 0; f == FAIL_NONE && at < n;) {
                ssize_t put = write(to, chunk + at, (size_t)(n - at));
                at += put > 0 ? put : 0;
                f = put <= 0 ? FAULT_ERRNO(why, FAIL_INTERNAL, "no memory for it") : FAIL_NONE;
            }
        }
    }
    mem_free(chunk);
    return f;
}

static enum fail copy_bytes(const char *data, size_t len, int to, struct fault *why)
{
    while (len > 0) {
        ssize_t n = write(to, data, len);
        if (n <= 0) {
            return FAULT_ERRNO(why, FAIL_INTERNAL, "no memory for the document");
        }
        data += n;
        len -= (size_t)n;
    }
    return FAIL_NONE;
}

#define CLOSED_TO_CHANGE (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A memfd that nobody can change any more is opened once more instead of copied: with a position of
   its own. */
static bool take_closed(const struct reader_ask *ask, uint64_t most, int *fd)
{
    char path[64];
    struct stat st;
    int seals = ask->data != NULL ? -1 : fcntl(ask->fd, F_GET_SEALS);
    if (seals < 0 || (seals & CLOSED_TO_CHANGE) != CLOSED_TO_CHANGE || fstat(ask->fd, &st) != 0 ||
        (uint64_t)st.st_size > most) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ask->fd);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0;
}

enum fail reader_copy(const struct reader_ask *ask, int *fd, struct fault *why)
{
    struct document_limits limits = ask->limits;
    document_limits_fill(&limits);
    uint64_t size = ask->data != NULL ? ask->len : 0;
    if (take_closed(ask, limits.input_bytes, fd)) {
        return FAIL_NONE;
    }
    *fd = memfd_create("document", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "no memory for the document");
    }
    enum fail f = FAIL_NONE;
    if (ask->data == NULL) {
        f = copy_file(ask->fd, limits.input_bytes, *fd, &size, why);
    } else if (size <= limits.input_bytes) {
        f = copy_bytes(ask->data, ask->len, *fd, why);
    }
    if (f == FAIL_NONE && size > limits.input_bytes) {
        FAULT(why, FAIL_TOO_LARGE, "the document is longer than %llu bytes",
              (unsigned long long)limits.input_bytes);
        f = fail_hint(why, "Split it, or raise the limit of input bytes.");
    }
    if (f == FAIL_NONE &&
        (lseek(*fd, 0, SEEK_SET) != 0 ||
         fcntl(*fd, F_ADD_SEALS, CLOSED_TO_CHANGE | F_SEAL_SEAL) != 0)) {
        f = FAULT_ERRNO(why, FAIL_INTERNAL, "the document's copy cannot be closed to change");
    }
    if (f != FAIL_NONE) {
        close(*fd);
        *fd = -1;
    }
    return f;
}
