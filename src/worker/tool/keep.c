/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: starts the process that seals itself and parses, and copies its two pipes, lines to
 * stdout and data into the output file. It looks at none of it, so a parser that a hostile file has
 * taken over can write lies, but only into this job's own lines and file.
 * Owns: the child. Threads: one here. Limits: the caller's max for the data, 1 MiB of lines.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES_MAX (UINT64_C(1) << 20)

/* One pipe of the child and where it goes. */
struct relay {
    int from;
    int to;
    uint64_t left; /* bytes it may still bring */
    bool file;
};

static enum fail write_all(const struct relay *r, const uint8_t *data, size_t n, struct fault *why)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = write(r->to, data + at, n - at);
        if (w < 0 && errno != EINTR && r->file) {
            FAULT_ERRNO(why, fail_from_write_errno(errno), "writing the result failed");
            return fail_hint(why, "Free some space on that disk and try again.");
        }
        if (w < 0 && errno != EINTR) {
            return FAULT_ERRNO(why, FAIL_STOPPED, "nobody listens to the job any more");
        }
        at += w > 0 ? (size_t)w : 0;
    }
    return FAIL_NONE;
}

/* Moves what is there; closes r->from at its end. */
static enum fail move_some(struct relay *r, struct fault *why)
{
    static uint8_t chunk[1 << 16];
    ssize_t n = read(r->from, chunk, sizeof(chunk));
    if (n < 0) {
        return errno == EINTR ? FAIL_NONE
                              : FAULT_ERRNO(why, FAIL_INTERNAL, "reading from the job failed");
    }
    if (n == 0) {
        close(r->from);
        r->from = -1;
        return FAIL_NONE;
    }
    if ((uint64_t)n > r->left) {
        return FAULT(why, FAIL_TOO_LARGE, "the job writes more than it can have to say");
    }
    r->left -= (uint64_t)n;
    return write_all(r, chunk, (size_t)n, why);
}

static enum fail relay_all(struct relay relays[2], struct fault *why)
{
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && (relays[0].from >= 0 || relays[1].from >= 0)) {
        struct pollfd p[2] = {{relays[0].from, POLLIN, 0}, {relays[1].from, POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "cannot wait for the job");
        }
        for (int i = 0; f == FAIL_NONE && i < 2; i++) {
            if (p[i].revents != 0) {
                f = move_some(&relays[i], why);
            }
        }
    }
    if (f == FAIL_NONE && relays[1].file && fsync(relays[1].to) != 0) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "writing the result failed");
    }
    return f;
}

static int keep(pid_t child, struct relay relays[2])
{
    struct fault why = {0};
    int status = 0;
    enum fail f = relay_all(relays, &why);
    if (f != FAIL_NONE) {
        /* Said before the child finds its pipe broken and says that. */
        tool_say_error(&why);
        kill(child, SIGKILL);
    }
    for (int i = 0; i < 2; i++) {
        if (relays[i].from >= 0) {
            close(relays[i].from);
        }
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (f == FAIL_NONE && WIFSIGNALED(status)) {
        FAULT(&why, FAIL_WORKER_DIED, "reading it ended by signal %d (%s)", WTERMSIG(status),
              strsignal(WTERMSIG(status)));
        fail_hint(&why, "The file broke the parser, or memory ran out: fetch it again.");
        return tool_say_error(&why);
    }
    return f == FAIL_NONE ? WEXITSTATUS(status) : 1; /* what went wrong, the child said itself */
}

int tool_keep(int (*job)(void *arg, int data), void *arg, int out_file, uint64_t max)
{
    struct fault why = {0};
    int lines[2], data[2];
    fflush(NULL);
    if (pipe2(lines, O_CLOEXEC) != 0 || pipe2(data, O_CLOEXEC) != 0) {
        FAULT_ERRNO(&why, FAIL_INTERNAL, "cannot make a pipe");
        return tool_say_error(&why);
    }
    pid_t keeper = getpid();
    pid_t child = fork();
    if (child < 0) {
        FAULT_ERRNO(&why, FAIL_INTERNAL, "cannot start a process");
        return tool_say_error(&why);
    }
    if (child == 0) {
        /* Nobody is left to write for once the keeper is gone. */
        if (dup2(lines[1], STDOUT_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
            getppid() != keeper) {
            _exit(1);
        }
        close(lines[0]);
        close(lines[1]);
        close(data[0]);
        if (out_file >= 0) {
            close(out_file);
        }
        int status = job(arg, data[1]);
        fflush(NULL);
        _exit(status);
    }
    close(lines[1]);
    close(data[1]);
    struct relay relays[2] = {{lines[0], STDOUT_FILENO, LINES_MAX, false},
                              {data[0], out_file, out_file >= 0 ? max : 0, out_file >= 0}};
    return keep(child, relays);
}
