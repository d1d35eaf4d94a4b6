/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of worker/sandbox: each act is tried in a child that has sealed itself. */
#include "worker/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/mem.h"

/* 0: the act was refused with an error; 1: it worked. Many do not return. */
static int act_open(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static int act_open_missing(void)
{
    return errno = 0, open("/nowhere", O_RDONLY) >= 0 || errno != EACCES;
}

static int act_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int act_exec(void)
{
    char *argv[] = {"/bin/true", NULL};
    char *envp[] = {NULL};
    return execve(argv[0], argv, envp) == 0;
}

static int act_fork(void)
{
    return syscall(SYS_fork) >= 0;
}

static int act_vfork_clone(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}

static int act_kill_parent(void)
{
    return kill(getppid(), SIGCONT) == 0;
}

static int act_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}

static int act_exec_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
}

static int act_io_uring(void)
{
    return syscall(425, 8, NULL) >= 0;
}

static int act_memfd(void)
{
    return syscall(SYS_memfd_create, "x", 0) >= 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static int act_compute(void)
{
    pthread_t thread;
    /* tidy: memory: the limit of plain malloc is what is tested */
    char *memory = malloc(32 << 20);
    if (memory == NULL || pthread_create(&thread, NULL, nothing, NULL) != 0) {
        return 0;
    }
    memory[1 << 20] = 1;
    /* tidy: memory: the limit of plain malloc is what is tested */
    free(memory);
    return pthread_join(thread, NULL) == 0 && write(2, "", 0) == 0;
}

static int child(int (*act)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_report report;
        struct fault why;
        if (sandbox_enter(&report, &why) != FAIL_NONE) {
            _exit(9);
        }
        _exit(act() ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void what_is_not_needed_is_denied(void **state)
{
    (void)state;
    static int (*const acts[])(void) = {
        act_open,        act_open_missing, act_socket,      act_exec,
        act_fork,        act_vfork_clone,  act_kill_parent, act_ptrace,
        act_exec_memory, act_io_uring,     act_memfd,
    };
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        int status = child(acts[i]);
        bool refused = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        if (!refused && !killed) {
            fail_msg("act %zu was possible (status %#x)", i, status);
        }
    }
}

static void computing_still_works(void **state)
{
    (void)state;
    int status = child(act_compute);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 77; /* the sanitizers' runtimes need calls that the seal forbids */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_needed_is_denied),
        cmocka_unit_test(computing_still_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
