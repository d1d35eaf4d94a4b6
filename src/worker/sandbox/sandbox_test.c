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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* The looser seals: a folder of its own, and /dev/zero in the place of a GPU's device file. */
static char folder[] = "/tmp/inhouse-sandbox-XXXXXX";
static char in_path[64], out_path[64];

static int act_read_input(void)
{
    char text[4] = "";
    int fd = open(in_path, O_RDONLY);
    return fd >= 0 && read(fd, text, 3) == 3 && strcmp(text, "abc") == 0;
}

static int act_make_output(void)
{
    int fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return fd >= 0 && write(fd, "0123456789", 10) == 10;
}

static int act_make_too_much(void)
{
    static char kilobyte[1024];
    int fd = open(out_path, O_WRONLY | O_CREAT, 0600);
    return lseek(fd, 4096, SEEK_SET) != 4096 || write(fd, kilobyte, sizeof(kilobyte)) > 0;
}

static int act_write_input(void)
{
    return open(in_path, O_WRONLY) >= 0;
}

static int act_read_beside(void)
{
    return open(folder, O_RDONLY | O_DIRECTORY) >= 0;
}

static int act_make_elsewhere(void)
{
    return open("/tmp/inhouse-sandbox-escaped", O_WRONLY | O_CREAT, 0600) >= 0;
}

static int act_remove_output(void)
{
    return unlink(out_path) == 0;
}

static int act_open_device(void)
{
    return open("/dev/zero", O_RDWR) >= 0 && open("/sys/devices/system/cpu/online", O_RDONLY) >= 0;
}

static int act_open_other_device(void)
{
    return open("/dev/null", O_RDWR) >= 0;
}

static int act_type_for_the_user(void)
{
    return ioctl(2, TIOCSTI, "x") == 0 || errno != EACCES;
}

static int act_unknown_ioctl(void)
{
    return ioctl(2, (unsigned long)'v' << 8, 0) == 0;
}

static int child_as(const struct sandbox_options *options, int (*act)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_report report;
        struct fault why;
        if (sandbox_enter_as(options, &report, &why) != FAIL_NONE) {
            _exit(9);
        }
        _exit(act() ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
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

static bool denied(int status)
{
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void deny_all(const struct sandbox_options *options, int (*const *acts)(void), size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int status = child_as(options, acts[i]);
        if (!denied(status)) {
            fail_msg("profile %d: act %zu was possible (status %#x)", options->profile, i, status);
        }
    }
}

/* What no seal gives, however loose. */
static int (*const never[])(void) = {
    act_open, act_socket,      act_exec,     act_fork,  act_vfork_clone,    act_kill_parent,
    act_ptrace, act_exec_memory, act_io_uring, act_memfd, act_make_elsewhere,
};

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(in_path, sizeof(in_path), "%s/in", folder);
    (void)snprintf(out_path, sizeof(out_path), "%s/out/file", folder);
    char out[64];
    (void)snprintf(out, sizeof(out), "%s/out", folder);
    int fd = open(in_path, O_WRONLY | O_CREAT, 0600);
    return mkdir(out, 0700) != 0 || write(fd, "abc", 3) != 3 || close(fd) != 0;
}

static int drop_folder(void **state)
{
    (void)state;
    char out[64];
    (void)snprintf(out, sizeof(out), "%s/out", folder);
    (void)unlink(out_path);
    (void)unlink(in_path);
    return rmdir(out) != 0 || rmdir(folder) != 0;
}

static bool no_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) < 1;
}

static void a_job_with_a_folder_reaches_its_folder_only(void **state)
{
    (void)state;
    if (no_landlock()) {
        skip();
    }
    char out[64];
    (void)snprintf(out, sizeof(out), "%s/out", folder);
    const struct sandbox_options job = {.profile = SANDBOX_FOLDER,
                                        .in_file = open(in_path, O_PATH | O_CLOEXEC),
                                        .out_folder = open(out, O_PATH | O_CLOEXEC),
                                        .out_bytes_max = 4096};
    static int (*const closed[])(void) = {act_make_too_much, act_write_input, act_read_beside,
                                          act_remove_output, act_open_device};
    assert_int_equal(child_as(&job, act_read_input), 1 << 8);
    assert_int_equal(child_as(&job, act_make_output), 1 << 8);
    assert_int_equal(child_as(&job, act_compute), 1 << 8);
    deny_all(&job, never, COUNT_OF(never));
    deny_all(&job, closed, COUNT_OF(closed));
    close(job.in_file);
    close(job.out_folder);
}

static void a_gpu_worker_reaches_its_device_only(void **state)
{
    (void)state;
    if (no_landlock()) {
        skip();
    }
    const struct sandbox_options gpu = {.profile = SANDBOX_GPU, .device_prefix = "/dev/zer"};
    static int (*const closed[])(void) = {act_read_input,        act_make_output,
                                          act_open_other_device, act_type_for_the_user,
                                          act_unknown_ioctl,     act_read_beside};
    assert_int_equal(child_as(&gpu, act_open_device), 1 << 8);
    assert_int_equal(child_as(&gpu, act_compute), 1 << 8);
    deny_all(&gpu, never, COUNT_OF(never));
    deny_all(&gpu, closed, COUNT_OF(closed));
    /* Where there is no such device, nothing more is open than its driver's folders. */
    const struct sandbox_options none = {.profile = SANDBOX_GPU};
    int (*const device[])(void) = {act_open_device};
    deny_all(&none, device, 1);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 77; /* the sanitizers' runtimes need calls that the seal forbids */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_needed_is_denied),
        cmocka_unit_test(computing_still_works),
        cmocka_unit_test(a_job_with_a_folder_reaches_its_folder_only),
        cmocka_unit_test(a_gpu_worker_reaches_its_device_only),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
