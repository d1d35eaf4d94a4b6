/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker: a socketpair on descriptor 3, stderr for its log, an empty environment,
   nothing else inherited. The server has threads, so the child calls only async-signal-safe
   functions. */
#include "run/fleet/fleet_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KV_TOKEN_BYTES (UINT64_C(512) << 10)

static _Noreturn void child(int socket, const char *path, char *const argv[], pid_t parent)
{
    static char *const empty_environment[] = {NULL};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127); /* the server died between fork and prctl */
    }
    if (socket == IPC_WORKER_FD) {
        fcntl(socket, F_SETFD, 0);
    } else if (dup2(socket, IPC_WORKER_FD) < 0) {
        _exit(127);
    }
    syscall(SYS_close_range, IPC_WORKER_FD + 1, ~0u, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    execve(path, argv, empty_environment);
    _exit(127);
}

/* The address space that a worker may have: its file mapped and a repacked copy beside it, a KV
   cache as the widest models have, room for the rest. Measured: 494 MB for a file of 98 MB, 2.4 GB
   for one of 1.1 GB. A worker that has run wild meets it long before the machine is full. */
static uint64_t memory_of(const struct member *m)
{
    struct stat file = {0};
    int n_ctx = m->n_ctx_asked > 0 ? m->n_ctx_asked : m->fleet->options.n_ctx_light;
    (void)fstat(m->model_fd, &file);
    return 3 * (uint64_t)file.st_size + (UINT64_C(2) << 30) + (uint64_t)n_ctx * KV_TOKEN_BYTES;
}

enum fail spawn_worker(const struct member *m, int *out_socket, pid_t *out_pid, int *out_pid_fd,
                       struct fault *why)
{
    const struct fleet *f = m->fleet;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not make a socket pair for a worker");
    }
    /* O_NONBLOCK belongs to each end of the pair, so the worker's end may block. */
    fcntl(ends[1], F_SETFL, fcntl(ends[1], F_GETFL) & ~O_NONBLOCK);
    char *argv[12];
    int n = 0;
    argv[n++] = f->worker_path;
    argv[n++] = "--engine";
    argv[n++] = f->engine;
    if (f->engine_dir != NULL) {
        argv[n++] = "--engine-dir";
        argv[n++] = f->engine_dir;
    }
    if (!f->options.seal) {
        argv[n++] = "--no-seal";
    }
    char memory[24];
    (void)snprintf(memory, sizeof(memory), "%" PRIu64, memory_of(m));
    argv[n++] = "--memory-max";
    argv[n++] = memory;
    argv[n] = NULL;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        child(ends[1], f->worker_path, argv, parent);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not start a worker");
    }
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pid_fd < 0) { /* out of descriptors: nobody would ever learn of its end */
        FAULT_ERRNO(why, FAIL_INTERNAL, "could not watch a worker's process");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(ends[0]);
        return FAIL_INTERNAL;
    }
    fcntl(pid_fd, F_SETFD, FD_CLOEXEC);
    *out_pid_fd = pid_fd;
    *out_socket = ends[0];
    *out_pid = pid;
    return FAIL_NONE;
}
