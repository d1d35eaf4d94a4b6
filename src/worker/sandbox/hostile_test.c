/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile worker: what code that took over a worker would try next, one act a process, sealed
 * by the very function that the worker calls and holding what a worker holds (a socket on
 * descriptor 3, the model's descriptor) and more (sockets, a folder, a program in memory). Every
 * act must be denied: an error that the seal gives, or death by SIGSYS. Again with Landlock held
 * down to what older kernels have, and once without any seal, to see that the acts can work.
 * Each act has a parent of its own to attack; what it breaks is made anew for the next.
 */
#include "worker/sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/mem.h"

#define MEMORY_MAX (2048ull << 20)
#define THREADS_MAX 300
#define THREADS_TRIED 2000
#define DESCRIPTORS_TRIED 512
#define CONTROLS_MIN 40 /* acts that really work here without the seal, for the test to mean much */

/* What every act holds, opened before the seal. */
static struct {
    char folder[64];
    char victim[96], other[96];
    int model, folder_fd, program, tcp, datagram, terminal, namespace, parent_fd;
    pid_t parent;
    struct sockaddr_un abstract;
    struct sockaddr_un named;
    char here[16];
} held;

/* A plain system call as an act. Descriptors and the parent are known at run time only: the
   place holders below stand for them. */
enum place {
    PARENT = -1000,
    MODEL,
    FOLDER,
    PROGRAM,
    TCP,
    DATAGRAM,
    TERMINAL,
    NAMESPACE,
    PARENT_FD
};
#define AT(x) ((long)(x))

struct act {
    const char *name;
    int (*tried)(void); /* 0: it worked; else errno. NULL: the call beside it */
    long nr;
    long args[6];
    int also; /* another errno that means denied: the object itself refuses */
};

static long place(long arg)
{
    switch (arg) {
    case PARENT:
        return held.parent;
    case MODEL:
        return held.model;
    case FOLDER:
        return held.folder_fd;
    case PROGRAM:
        return held.program;
    case TCP:
        return held.tcp;
    case DATAGRAM:
        return held.datagram;
    case TERMINAL:
        return held.terminal;
    case NAMESPACE:
        return held.namespace;
    case PARENT_FD:
        return held.parent_fd;
    default:
        return arg;
    }
}

static int call(const struct act *a)
{
    long v[6];
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        v[i] = place(a->args[i]);
    }
    return syscall(a->nr, v[0], v[1], v[2], v[3], v[4], v[5]) >= 0 ? 0 : errno;
}

/* Acts of more than one call. Until the act itself they make only calls that the seal allows: a
   death on the way there would look like a denial. */

static int new_process(long flags)
{
    long pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) {
        _exit(0);
    }
    return pid > 0 ? 0 : errno;
}

static int act_fork(void)
{
    return new_process(SIGCHLD);
}

static int child_of_vfork(void *arg)
{
    (void)arg;
    _exit(0);
}

static int act_vfork(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    return clone(child_of_vfork, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL) > 0
               ? 0
               : errno;
}

static int act_fork_bomb(void)
{
    for (int i = 0; i < 64; i++) {
        int failed = new_process(SIGCHLD);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

static int act_thread_in_namespace(void)
{
    return new_process(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET);
}

static void *sleep_for_ever(void *arg)
{
    (void)poll(NULL, 0, -1);
    return arg;
}

static int act_thread_bomb(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    (void)!pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
    for (int i = 0; i < THREADS_TRIED; i++) {
        pthread_t thread;
        int failed = pthread_create(&thread, &attr, sleep_for_ever, NULL);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

static int act_memory(void)
{
    size_t size = (size_t)MEMORY_MAX * 10;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0) != MAP_FAILED
               ? 0
               : errno;
}

static int act_memory_shared(void)
{
    for (int i = 0; i < 10; i++) {
        if (mmap(NULL, MEMORY_MAX, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
            return errno;
        }
    }
    return 0;
}

static int act_descriptors(void)
{
    for (int i = 0; i < DESCRIPTORS_TRIED; i++) {
        if (dup(2) < 0) {
            return errno;
        }
    }
    return 0;
}

static int act_raise_limits(void)
{
    struct rlimit limit = {4096, 4096};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
}

static int act_mprotect_exec(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
}

static int act_connect(void)
{
    struct sockaddr_un to = held.abstract;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(held.here));
    return connect(held.datagram, (struct sockaddr *)&to, size) == 0 ? 0 : errno;
}

static int act_signal_queue(void)
{
    siginfo_t info = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
    return syscall(SYS_rt_sigqueueinfo, held.parent, SIGKILL, &info) == 0 ? 0 : errno;
}

static int act_pidfd_kill(void)
{
    int fd = (int)syscall(SYS_pidfd_open, held.parent, 0);
    return fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0 ? 0 : errno;
}

static int act_read_parent(void)
{
    char here[16];
    struct iovec to = {here, sizeof here};
    struct iovec from = {held.here, sizeof here};
    return process_vm_readv(held.parent, &to, 1, &from, 1, 0) > 0 ? 0 : errno;
}

static int act_write_parent(void)
{
    char here[16] = "taken over";
    struct iovec from = {here, sizeof here};
    struct iovec to = {held.here, sizeof here};
    return process_vm_writev(held.parent, &from, 1, &to, 1, 0) > 0 ? 0 : errno;
}

static int act_ptrace_seize(void)
{
    return ptrace(PTRACE_SEIZE, held.parent, NULL, NULL) == 0 ? 0 : errno;
}

static int act_write_own_code(void)
{
    int fd = open("/proc/self/mem", O_RDWR);
    return fd >= 0 ? 0 : errno;
}

static int act_reopen_model(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", held.model);
    return open(path, O_RDWR) >= 0 ? 0 : errno;
}

static int act_map_model_shared(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, held.model, 0) != MAP_FAILED
               ? 0
               : errno;
}

static int act_pin_parent(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return sched_setaffinity(held.parent, sizeof set, &set) == 0 ? 0 : errno;
}

static int act_realtime(void)
{
    struct sched_param param = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &param) == 0 ? 0 : errno;
}

static int act_prlimit_parent(void)
{
    struct rlimit limit = {16, 16};
    return prlimit(held.parent, RLIMIT_NOFILE, &limit, NULL) == 0 ? 0 : errno;
}

static int act_execveat(void)
{
    char *argv[] = {held.here, NULL};
    return syscall(SYS_execveat, held.program, "", argv, argv + 1, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

static int act_execve(void)
{
    char *argv[] = {held.here, NULL};
    return execve("/bin/true", argv, argv + 1) == 0 ? 0 : errno;
}

static int act_write_file(void)
{
    int fd = open(held.other, O_WRONLY | O_CREAT, 0600);
    return fd >= 0 ? 0 : errno;
}

static int act_core_setting(void)
{
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
    return fd >= 0 ? 0 : errno;
}

static int act_shared_segment(void)
{
    long id = syscall(SYS_shmget, 0, 4096, 0600);
    if (id >= 0) {
        syscall(SYS_shmctl, id, 0, NULL);
    }
    return id >= 0 ? 0 : errno;
}

static int act_message_queue(void)
{
    long id = syscall(SYS_msgget, 0, 0600);
    if (id >= 0) {
        syscall(SYS_msgctl, id, 0, NULL);
    }
    return id >= 0 ? 0 : errno;
}

static int act_semaphores(void)
{
    long id = syscall(SYS_semget, 0, 1, 0600);
    if (id >= 0) {
        syscall(SYS_semctl, id, 0, 0, NULL);
    }
    return id >= 0 ? 0 : errno;
}

static int act_posix_queue(void)
{
    long fd = syscall(SYS_mq_open, "hostile", O_CREAT | O_RDWR, 0600, NULL);
    int failed = errno;
    if (fd >= 0) {
        syscall(SYS_mq_unlink, "hostile");
    }
    return fd >= 0 ? 0 : failed;
}

static int act_perf(void)
{
    static char attr[128] = {1, 0, 0, 0, 112}; /* software, size 112, cpu clock */
    return syscall(SYS_perf_event_open, attr, 0, -1, -1, 0) >= 0 ? 0 : errno;
}

static int act_bpf(void)
{
    static uint32_t attr[18] = {2, 4, 4, 1}; /* an array of one */
    return syscall(SYS_bpf, 0, attr, sizeof attr) >= 0 ? 0 : errno;
}

static int act_uring(void)
{
    static char params[120];
    return syscall(SYS_io_uring_setup, 8, params) >= 0 ? 0 : errno;
}

static int act_type_for_terminal(void)
{
    return ioctl(held.terminal, TIOCSTI, "x") == 0 ? 0 : errno;
}

#ifdef __x86_64__
/* The 32-bit door: getpid by its number there. */
static int act_old_door(void)
{
    long got = 20;
    __asm__ volatile("int $0x80" : "+a"(got) : : "memory", "r8", "r9", "r10", "r11");
    return got > 0 ? 0 : (int)-got;
}

static int act_x32(void)
{
    return syscall(0x40000000 + SYS_getpid) > 0 ? 0 : errno;
}
#endif

static char passwd[] = "/etc/passwd";
static char root[] = "/";
static uint64_t how[3] = {O_RDONLY, 0, 0};
static struct sockaddr loopback = {.sa_family = AF_INET};

static const struct act acts[] = {
    /* The network. */
    {"socket inet", NULL, SYS_socket, {AF_INET, SOCK_STREAM}, 0},
    {"socket inet6", NULL, SYS_socket, {AF_INET6, SOCK_DGRAM}, 0},
    {"socket unix", NULL, SYS_socket, {AF_UNIX, SOCK_STREAM}, 0},
    {"socket netlink", NULL, SYS_socket, {AF_NETLINK, SOCK_RAW}, 0},
    {"socket packet", NULL, SYS_socket, {AF_PACKET, SOCK_RAW}, 0},
    {"bind of a held socket", NULL, SYS_bind, {TCP, AT(&loopback), sizeof loopback}, 0},
    {"listen on a held socket", NULL, SYS_listen, {TCP, 8}, 0},
    {"connect to an abstract address", act_connect, 0, {0}, 0},
    {"sendto a held socket",
     NULL,
     SYS_sendto,
     {DATAGRAM, AT(passwd), 4, 0, AT(&held.abstract), sizeof(sa_family_t) + 6},
     0},
    /* Files. */
    {"open /etc/passwd", NULL, SYS_openat, {AT_FDCWD, AT(passwd), O_RDONLY}, 0},
    {"openat2", NULL, SYS_openat2, {AT_FDCWD, AT(passwd), AT(how), sizeof how}, 0},
    {"open beside a held folder", NULL, SYS_openat, {FOLDER, AT("victim"), O_RDONLY}, 0},
    {"write a new file", act_write_file, 0, {0}, 0},
    {"unlink", NULL, SYS_unlinkat, {AT_FDCWD, AT(held.victim), 0}, 0},
    {"rename", NULL, SYS_renameat2, {AT_FDCWD, AT(held.victim), AT_FDCWD, AT(held.other), 0}, 0},
    {"mkdir", NULL, SYS_mkdirat, {AT_FDCWD, AT(held.other), 0700}, 0},
    {"mknod", NULL, SYS_mknodat, {AT_FDCWD, AT(held.other), S_IFIFO | 0600, 0}, 0},
    {"chmod", NULL, SYS_fchmodat, {AT_FDCWD, AT(held.victim), 0777}, 0},
    {"fchmod of the model", NULL, SYS_fchmod, {MODEL, 0777}, 0},
    {"chown", NULL, SYS_fchownat, {AT_FDCWD, AT(held.victim), 1, 1, 0}, 0},
    {"link", NULL, SYS_linkat, {AT_FDCWD, AT(held.victim), AT_FDCWD, AT(held.other), 0}, 0},
    {"symlink", NULL, SYS_symlinkat, {AT(passwd), AT_FDCWD, AT(held.other)}, 0},
    {"truncate", NULL, SYS_truncate, {AT(held.victim), 0}, 0},
    {"set times", NULL, SYS_utimensat, {AT_FDCWD, AT(held.victim), 0, 0}, 0},
    {"extended attribute",
     NULL,
     SYS_setxattr,
     {AT(held.victim), AT("user.x"), AT(passwd), 4, 0},
     0},
    {"read a link", NULL, SYS_readlinkat, {AT_FDCWD, AT("/proc/self/exe"), AT(held.other), 8}, 0},
    {"list a held folder", NULL, SYS_getdents64, {FOLDER, AT(held.other), 64}, EINVAL},
    {"ask whether a file is there", NULL, SYS_faccessat, {AT_FDCWD, AT(passwd), R_OK}, 0},
    {"stat a file", NULL, SYS_newfstatat, {AT_FDCWD, AT(passwd), AT(held.other), 0}, 0},
    {"change folder", NULL, SYS_chdir, {AT(root)}, 0},
    {"chroot", NULL, SYS_chroot, {AT(root)}, 0},
    {"inotify", NULL, SYS_inotify_init1, {0}, 0},
    {"fanotify", NULL, SYS_fanotify_init, {0, 0}, 0},
    {"mount", NULL, SYS_mount, {AT("none"), AT("/nowhere"), AT("tmpfs"), 0, 0}, 0},
    {"unmount", NULL, SYS_umount2, {AT("/nowhere"), 0}, 0},
    {"pivot_root", NULL, SYS_pivot_root, {AT("/nowhere"), AT("/nowhere")}, 0},
    {"new mount interface", NULL, SYS_fsopen, {AT("tmpfs"), 0}, 0},
    {"memory file", NULL, SYS_memfd_create, {AT("x"), 0}, 0},
    {"own code through /proc", act_write_own_code, 0, {0}, 0},
    {"kernel setting", act_core_setting, 0, {0}, 0},
    {"the model, opened for writing", act_reopen_model, 0, {0}, 0},
    {"the model, written", NULL, SYS_write, {MODEL, AT(passwd), 4}, EBADF},
    {"the model, pwritten", NULL, SYS_pwrite64, {MODEL, AT(passwd), 4, 0}, EBADF},
    {"the model, cut", NULL, SYS_ftruncate, {MODEL, 0}, EINVAL},
    {"the model, mapped for writing", act_map_model_shared, 0, {0}, 0},
    {"the model, punched", NULL, SYS_fallocate, {MODEL, 0, 0, 4096}, EBADF},
    /* Programs and processes. */
    {"exec", act_execve, 0, {0}, 0},
    {"exec of a program in memory", act_execveat, 0, {0}, 0},
    {"fork", act_fork, 0, {0}, 0},
    {"vfork", act_vfork, 0, {0}, 0},
    {"clone3", NULL, SYS_clone3, {0, 0}, 0},
    {"fork bomb", act_fork_bomb, 0, {0}, 0},
    {"a thread in a new namespace", act_thread_in_namespace, 0, {0}, 0},
    {"trace the parent", act_ptrace_seize, 0, {0}, 0},
    {"read the parent's memory", act_read_parent, 0, {0}, 0},
    {"write the parent's memory", act_write_parent, 0, {0}, 0},
    {"kill the parent", NULL, SYS_kill, {PARENT, SIGKILL}, 0},
    {"tgkill the parent", NULL, SYS_tgkill, {PARENT, PARENT, SIGKILL}, 0},
    {"tkill the parent", NULL, SYS_tkill, {PARENT, SIGKILL}, 0},
    {"queue a signal to the parent", act_signal_queue, 0, {0}, 0},
    {"kill through a new pidfd", act_pidfd_kill, 0, {0}, 0},
    {"kill through a held pidfd", NULL, SYS_pidfd_send_signal, {PARENT_FD, SIGKILL, 0, 0}, 0},
    {"take a descriptor of the parent", NULL, SYS_pidfd_getfd, {PARENT_FD, 2, 0}, 0},
    {"the parent's robust list", NULL, SYS_get_robust_list, {PARENT, AT(how), AT(how + 1)}, 0},
    {"the parent's priority", NULL, SYS_setpriority, {PRIO_PROCESS, PARENT, 19}, 0},
    {"the parent's limits", act_prlimit_parent, 0, {0}, 0},
    {"the parent's cores", act_pin_parent, 0, {0}, 0},
    {"real-time priority", act_realtime, 0, {0}, 0},
    {"setuid", NULL, SYS_setuid, {0}, 0},
    {"setgroups", NULL, SYS_setgroups, {0, 0}, 0},
    {"setsid", NULL, SYS_setsid, {0}, 0},
    {"own memory readable again", NULL, SYS_prctl, {4 /* PR_SET_DUMPABLE */, 1}, 0},
    {"outlive the parent", NULL, SYS_prctl, {1 /* PR_SET_PDEATHSIG */, 0}, 0},
    {"another filter", NULL, SYS_seccomp, {1, 1, 0}, 0},
    {"unshare", NULL, SYS_unshare, {CLONE_NEWNS}, 0},
    {"setns", NULL, SYS_setns, {NAMESPACE, 0}, 0},
    {"raise the limits", act_raise_limits, 0, {0}, 0},
    /* The kernel's surface. */
    {"io_uring", act_uring, 0, {0}, 0},
    {"bpf", act_bpf, 0, {0}, 0},
    {"userfaultfd", NULL, SYS_userfaultfd, {1}, 0},
    {"perf", act_perf, 0, {0}, 0},
    {"keyctl", NULL, SYS_keyctl, {0, -1, 1}, 0},
    {"load a module", NULL, SYS_init_module, {0, 0, AT("")}, 0},
    {"kexec", NULL, SYS_kexec_load, {0, 0, 0, -1}, 0},
    {"reboot", NULL, SYS_reboot, {0, 0, 0, 0}, 0},
    {"swapon", NULL, SYS_swapon, {AT("/nowhere"), 0}, 0},
    {"set the clock", NULL, SYS_settimeofday, {0, 0}, 0},
    {"set the host name", NULL, SYS_sethostname, {AT("x"), -1}, 0},
    {"kernel log", NULL, SYS_syslog, {10, 0, 0}, 0},
    {"personality", NULL, SYS_personality, {0xffffffff}, 0},
    {"timer", NULL, SYS_timerfd_create, {0, 0}, 0},
    {"type for a terminal", act_type_for_terminal, 0, {0}, 0},
    {"shared segment", act_shared_segment, 0, {0}, 0},
    {"message queue", act_message_queue, 0, {0}, 0},
    {"semaphores", act_semaphores, 0, {0}, 0},
    {"posix queue", act_posix_queue, 0, {0}, 0},
#ifdef __x86_64__
    {"iopl", NULL, SYS_iopl, {0}, 0},
    {"modify_ldt", NULL, SYS_modify_ldt, {0, AT(how), 8}, 0},
    {"the 32-bit door", act_old_door, 0, {0}, 0},
    {"the x32 door", act_x32, 0, {0}, 0},
#endif
    /* Memory and resources. */
    {"memory for code",
     NULL,
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0},
     0},
    {"a file as code",
     NULL,
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, PROGRAM, 0},
     0},
    {"memory turned into code", act_mprotect_exec, 0, {0}, 0},
    {"poisoned memory", NULL, SYS_madvise, {0, 0, 100 /* MADV_HWPOISON */}, 0},
    {"ten times its memory", act_memory, 0, {0}, ENOMEM},
    {"ten times its memory, shared", act_memory_shared, 0, {0}, ENOMEM},
    {"all descriptors", act_descriptors, 0, {0}, EMFILE},
    {"thread bomb", act_thread_bomb, 0, {0}, EAGAIN},
};

/* The stage. */

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void copy_program(int to)
{
    char block[8192];
    int from = open("/bin/true", O_RDONLY);
    assert_true(from >= 0);
    for (ssize_t n; (n = read(from, block, sizeof block)) > 0;) {
        assert_int_equal(write(to, block, (size_t)n), n);
    }
    close(from);
}

static int open_stage(void **state)
{
    (void)state;
    (void)snprintf(held.folder, sizeof held.folder, "/tmp/ih-hostile-XXXXXX");
    assert_non_null(mkdtemp(held.folder));
    assert_int_equal(chmod(held.folder, 0777), 0); /* nobody may try there too */
    (void)snprintf(held.victim, sizeof held.victim, "%s/victim", held.folder);
    (void)snprintf(held.other, sizeof held.other, "%s/other", held.folder);
    put_file(held.victim, "untouched");
    (void)snprintf(held.here, sizeof held.here, "ih%d", getpid());
    held.model = open(held.victim, O_RDONLY);
    held.folder_fd = open(held.folder, O_RDONLY | O_DIRECTORY);
    held.program = memfd_create("program", 0);
    copy_program(held.program);
    held.tcp = socket(AF_INET, SOCK_STREAM, 0);
    held.datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    held.terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    held.namespace = open("/proc/self/ns/net", O_RDONLY);
    held.abstract.sun_family = AF_UNIX;
    memcpy(held.abstract.sun_path + 1, held.here, strlen(held.here));
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(held.here));
    int listener = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&held.abstract, size), 0);
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    unlink(held.other);
    unlink(held.victim);
    return rmdir(held.folder);
}

enum outcome { WORKED, REFUSED, KILLED, UNSEALED };

struct result {
    enum outcome outcome;
    int error;
};

/* Which seal the acts are tried under. */
static enum sandbox_profile sealed_as = SANDBOX_TIGHT;

static _Noreturn void attempt(const struct act *a, const struct sandbox_layers *layers)
{
    struct sandbox_report report = {0};
    struct fault why = {0};
    const struct sandbox_options limits = {.profile = sealed_as,
                                           .program = "/usr/bin/pdftotext",
                                           .memory_max = MEMORY_MAX,
                                           .cpu_max_s = 20,
                                           .threads_max =
                                               sealed_as == SANDBOX_TIGHT ? THREADS_MAX : 1};
    if (layers != NULL) {
        if (sandbox_enter_layers(&limits, layers, &report, &why) != FAIL_NONE ||
            report.seccomp != layers->seccomp || report.landlock_abi > layers->landlock_max) {
            _exit(255);
        }
    }
    int failed = a->tried != NULL ? a->tried() : call(a);
    _exit(failed > 0 && failed < 255 ? failed : failed == 0 ? 0 : 254);
}

/* In a parent of its own, which the act may kill. */
static struct result try_act(const struct act *a, const struct sandbox_layers *layers)
{
    int ends[2];
    unlink(held.other);
    rmdir(held.other);
    put_file(held.victim, "untouched");
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        int status = 0;
        held.parent = getpid();
        held.parent_fd = (int)syscall(SYS_pidfd_open, held.parent, 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            close(ends[1]);
            attempt(a, layers);
        }
        waitpid(child, &status, 0);
        _exit(write(ends[1], &status, sizeof status) == sizeof status ? 0 : 1);
    }
    int status = 0, told = 0;
    close(ends[1]);
    waitpid(parent, &told, 0);
    bool alive = read(ends[0], &status, sizeof status) == (ssize_t)sizeof status;
    close(ends[0]);
    if (!alive || WIFSIGNALED(told)) {
        return (struct result){WORKED, 0};
    }
    if (WIFSIGNALED(status)) {
        return (struct result){WTERMSIG(status) == SIGSYS ? KILLED : WORKED, WTERMSIG(status)};
    }
    int error = WEXITSTATUS(status);
    return (struct result){error == 0 ? WORKED : error == 255 ? UNSEALED : REFUSED, error};
}

/* Denied by the seal or by the object itself; an error that only says "not like this" is not. */
static bool is_denied(const struct act *a, const struct result *r)
{
    return r->outcome == KILLED ||
           (r->outcome == REFUSED && (r->error == EPERM || r->error == EACCES ||
                                      r->error == ENOSYS || (a->also != 0 && r->error == a->also)));
}

static size_t count_denied(const struct sandbox_layers *layers, bool say)
{
    size_t denied = 0;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        struct result r = try_act(&acts[i], layers);
        bool ok = is_denied(&acts[i], &r);
        denied += ok ? 1 : 0;
        if (!ok && say) {
            print_error("not denied: %s (%s %d)\n", acts[i].name,
                        r.outcome == WORKED     ? "it worked"
                        : r.outcome == UNSEALED ? "the seal failed"
                                                : "errno",
                        r.error);
        }
    }
    return denied;
}

/* Tests. */

static void every_act_is_denied_at_every_level_of_landlock(void **state)
{
    (void)state;
    static const int levels[] = {INT_MAX, 4, 2, 1, 0};
    long have = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    size_t short_of = 0;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        struct sandbox_layers layers = {.landlock_max = levels[i], .seccomp = true};
        size_t denied = count_denied(&layers, true);
        int level = have < 1 ? 0 : have > levels[i] ? levels[i] : (int)have;
        print_message("Landlock ABI %d: %zu of %zu acts denied\n", level, denied, COUNT_OF(acts));
        short_of += COUNT_OF(acts) - denied;
    }
    assert_int_equal(short_of, 0);
}

/* The seal of inhouse-reader: the same, with less. */
static void every_act_is_denied_to_a_reader(void **state)
{
    (void)state;
    static const int levels[] = {INT_MAX, 2, 0};
    size_t short_of = 0;
    sealed_as = SANDBOX_READER;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        struct sandbox_layers layers = {.landlock_max = levels[i], .seccomp = true};
        short_of += COUNT_OF(acts) - count_denied(&layers, true);
    }
    sealed_as = SANDBOX_TIGHT;
    assert_int_equal(short_of, 0);
}

/* The seal of the program that a reader starts may look at paths and has its code mapped from
   files: those four acts, which change and reach nothing, and no other. */
static void a_program_gets_four_acts_more(void **state)
{
    (void)state;
    static const char *const more[] = {"list a held folder", "ask whether a file is there",
                                       "stat a file", "a file as code"};
    struct sandbox_layers layers = {.landlock_max = INT_MAX, .seccomp = true};
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    sealed_as = SANDBOX_PROGRAM;
    size_t short_of = 0;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        struct result r = try_act(&acts[i], &layers);
        bool free_to = false;
        for (size_t k = 0; k < COUNT_OF(more); k++) {
            free_to = free_to || strcmp(acts[i].name, more[k]) == 0;
        }
        if (!free_to && !is_denied(&acts[i], &r)) {
            print_error("not denied: %s (%d %d)\n", acts[i].name, (int)r.outcome, r.error);
            short_of++;
        }
    }
    sealed_as = SANDBOX_TIGHT;
    assert_int_equal(short_of, 0);
}

/* The control: the same acts by an open process. What then fails, fails for the kernel's own
   reasons (no such module, not root). */
static void without_the_seal_the_acts_work(void **state)
{
    (void)state;
    size_t worked = 0, refused = 0;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        struct result r = try_act(&acts[i], NULL);
        worked += r.outcome == WORKED ? 1 : 0;
        refused += is_denied(&acts[i], &r) ? 1 : 0;
        if (is_denied(&acts[i], &r)) {
            print_message("control refused by the kernel: %s (%d)\n", acts[i].name, r.error);
        }
    }
    print_message("unsealed: %zu of %zu acts work, %zu are refused by the kernel itself\n", worked,
                  COUNT_OF(acts), refused);
    assert_true(worked >= CONTROLS_MIN);
}

/* Landlock alone still holds the files: the layers do not lean on each other. */
static void landlock_alone_denies_files(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    static const struct sandbox_layers landlock = {.landlock_max = INT_MAX, .seccomp = false};
    static const char *const files[] = {"open /etc/passwd", "open beside a held folder",
                                        "write a new file", "unlink", "mkdir", "exec", "truncate"};
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        for (size_t k = 0; k < COUNT_OF(files); k++) {
            struct result r = {0};
            if (strcmp(acts[i].name, files[k]) == 0 &&
                (r = try_act(&acts[i], &landlock), !is_denied(&acts[i], &r))) {
                fail_msg("%s is not denied by Landlock alone (%d)", files[k], r.error);
            }
        }
    }
}

/* A worker that only burns its core is its supervisor's to end: nothing it may do stops that. */
static void a_sealed_spinner_dies_when_it_is_told(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct sandbox_report report;
        struct fault why;
        static const struct sandbox_options limits = {0};
        sigset_t all;
        sigfillset(&all);
        if (sandbox_enter_as(&limits, &report, &why) != FAIL_NONE) {
            _exit(255);
        }
        sigprocmask(SIG_SETMASK, &all, NULL);
        for (volatile unsigned i = 0;; i++) {
        }
    }
    usleep(50000);
    int status = 0;
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The parent's death ends the sealed process, also where the change of user forgot the signal. */
static void a_sealed_process_dies_with_its_parent(void **state)
{
    (void)state;
    int ends[2], alive[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(alive), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (fork() == 0) {
            struct sandbox_report report;
            struct fault why;
            static const struct sandbox_options limits = {0};
            close(alive[0]);
            bool sealed = sandbox_enter_as(&limits, &report, &why) == FAIL_NONE;
            (void)!write(ends[1], sealed ? "y" : "n", 1);
            for (;;) {
                (void)poll(NULL, 0, 1000);
            }
        }
        close(alive[1]);
        for (;;) {
            pause();
        }
    }
    char said = 0;
    close(alive[1]);
    assert_int_equal(read(ends[0], &said, 1), 1);
    assert_int_equal(said, 'y');
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    assert_int_equal(read(alive[0], &said, 1), 0); /* its end closes with it */
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 77; /* the sanitizers' runtimes need calls that the seal forbids */
#endif
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_act_is_denied_at_every_level_of_landlock),
        cmocka_unit_test(every_act_is_denied_to_a_reader),
        cmocka_unit_test(a_program_gets_four_acts_more),
        cmocka_unit_test(without_the_seal_the_acts_work),
        cmocka_unit_test(landlock_alone_denies_files),
        cmocka_unit_test(a_sealed_spinner_dies_when_it_is_told),
        cmocka_unit_test(a_sealed_process_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
