/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/sandbox. The list of calls is what llama.cpp, glibc and our loop were seen to need (strace
 * of load, Jinja, grammar, decode, embed, threads); what libraries try but can do without gets
 * EACCES instead of death. Calls that may name another process may only name this one.
 * Owns: nothing. Threads: see the header. Limits: RLIMIT_CORE 0, FSIZE 0 (LOG_FILE_MAX when stderr
 * is a file; the caller's for a folder), NOFILE NOFILE_MAX, MSGQUEUE 0, MEMLOCK 0 in the tight
 * seal, AS, CPU and NPROC as the caller says.
 */
#include "worker/sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem/mem.h"

#define NOFILE_MAX 64
#define NOBODY 65534
/* Of the user's threads, all programs together: far above what anybody has, so that a thread bomb
   ends before the machine does. The kernel does not hold root to it: root becomes nobody. */
#define THREADS_MAX 16384
/* Log lines may go to a file that stderr is; nothing else is open for writing. */
#define LOG_FILE_MAX (256u * 1024 * 1024)

/* linux/landlock.h of Debian 12 ends at ABI 2; the kernel takes a longer struct if the rest is
   zero or known. */
struct landlock_ruleset {
    uint64_t access_fs;
    uint64_t access_net;
    uint64_t scoped;
};
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_VERSION_FLAG 1u
/* asm/prctl.h: asks for the registers of AMX, which ggml does when it first sees such a machine. */
#define ARCH_REQ_XCOMP_PERM_CALL 0x1023
#define ARCH_SET_FS_CALL 0x1002

static bool has_paths(enum sandbox_profile profile)
{
    return profile != SANDBOX_TIGHT && profile != SANDBOX_READER;
}

static enum fail enter_landlock(const struct sandbox_options *options, int max, int *abi,
                                struct fault *why)
{
    static const struct {
        int abi;
        struct landlock_ruleset rules;
    } levels[] = {
        {6, {0xffff, 3, 3}}, {5, {0xffff, 3, 0}}, {4, {0x7fff, 3, 0}},
        {3, {0x7fff, 0, 0}}, {2, {0x3fff, 0, 0}}, {1, {0x1fff, 0, 0}},
    };
    long have = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    *abi = have < 1 ? 0 : have > max ? max : (int)have;
    if (*abi == 0 && has_paths(options->profile)) {
        FAULT(why, FAIL_UNSUPPORTED, "this kernel has no Landlock, and this work needs paths");
        return fail_hint(why, "A kernel with Landlock (5.13 or newer, lsm=landlock) can do it.");
    }
    for (size_t i = 0; i < COUNT_OF(levels) && *abi > 0; i++) {
        if (*abi < levels[i].abi) {
            continue;
        }
        size_t size = levels[i].abi >= 6   ? sizeof(struct landlock_ruleset)
                      : levels[i].abi >= 4 ? offsetof(struct landlock_ruleset, scoped)
                                           : offsetof(struct landlock_ruleset, access_net);
        int fd = (int)syscall(SYS_landlock_create_ruleset, &levels[i].rules, size, 0);
        enum fail f = fd < 0 ? FAIL_NONE
                             : sandbox_add_reach(fd, levels[i].rules.access_fs, options, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
            return FAULT_ERRNO(why, FAIL_INTERNAL, "Landlock (ABI %d) refuses", *abi);
        }
        close(fd);
        break;
    }
    return FAIL_NONE;
}

#define CALL(name) SCMP_SYS(name)

static const int allowed[] = {
    CALL(futex), CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64),
    CALL(lseek), CALL(close), CALL(dup), CALL(poll), CALL(ppoll), CALL(recvmsg), CALL(sendmsg),
    CALL(brk), CALL(munmap), CALL(mremap), CALL(fadvise64), CALL(membarrier),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack),
    CALL(setitimer), CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep),
    CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(restart_syscall), CALL(getrandom),
    CALL(sched_yield), CALL(sched_getaffinity), CALL(getcpu),
    CALL(set_robust_list), CALL(rseq), CALL(set_tid_address),
    CALL(getpid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
    CALL(getrusage), CALL(sysinfo), CALL(fstat), CALL(exit), CALL(exit_group),
};

/* Tried by libraries at run time, not needed: an error instead of death. */
static const int refused[] = {
    CALL(open), CALL(openat), CALL(openat2), CALL(stat), CALL(lstat), CALL(statx), CALL(access),
    CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getdents64),
    CALL(statfs), CALL(fstatfs), CALL(unlink), CALL(unlinkat), CALL(mkdir), CALL(mkdirat),
    CALL(rename), CALL(renameat), CALL(renameat2), CALL(chdir), CALL(getcwd), CALL(ioctl),
    CALL(uname), CALL(mlock), CALL(mlock2), CALL(munlock), CALL(setpriority), CALL(getpriority),
    CALL(sched_setscheduler), CALL(sched_getscheduler), CALL(sched_getparam),
    CALL(sched_setparam), CALL(set_mempolicy), CALL(get_mempolicy), CALL(mbind),
    CALL(prlimit64), CALL(ftruncate), CALL(truncate), CALL(creat), CALL(get_robust_list),
};

/* Allowed beside them where Landlock holds the paths: the first for a folder, both for a GPU's
   driver. What is not there any more can be told from what may not be opened. */
static const int with_paths[] = {
    CALL(open), CALL(openat), CALL(stat), CALL(lstat), CALL(statx), CALL(access), CALL(faccessat),
    CALL(faccessat2), CALL(ftruncate), CALL(newfstatat), CALL(getcwd), CALL(uname),
};
static const int with_gpu[] = {
    CALL(readlink), CALL(readlinkat), CALL(getdents64), CALL(eventfd2), CALL(pipe2),
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(mlock), CALL(munlock),
    CALL(get_mempolicy), CALL(set_mempolicy), CALL(mbind), CALL(sched_getscheduler),
    CALL(sched_getparam), CALL(getpriority), CALL(mincore), CALL(msync),
};

/* pdftotext: what a program does at its start, and lists of data files. */
static const int with_program[] = {CALL(execve), CALL(getdents64)};
/* One thread that reads, computes and writes needs none of these. */
static const int not_for_reader[] = {
    CALL(dup), CALL(recvmsg), CALL(sendmsg), CALL(setitimer), CALL(membarrier), CALL(fadvise64),
    CALL(set_tid_address), CALL(set_robust_list), CALL(rseq), CALL(sched_getaffinity),
};

static bool is_in(int call, const int *list, size_t n)
{
    while (n > 0 && list[n - 1] != call) {
        n--;
    }
    return n > 0;
}

static bool loosened(enum sandbox_profile profile, int call)
{
    return has_paths(profile) &&
           (is_in(call, with_paths, COUNT_OF(with_paths)) ||
            (profile == SANDBOX_PROGRAM && is_in(call, with_program, COUNT_OF(with_program))) ||
            (profile == SANDBOX_GPU &&
             (call == CALL(ioctl) || is_in(call, with_gpu, COUNT_OF(with_gpu)))));
}

/* By the type in bits 8-15 of the command: NVIDIA's driver has 'F', its memory driver plain
   numbers. A terminal's ('T', among them the one that types for the user) are refused. */
static int add_ioctl(scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, 'F' << 8));
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                           SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, 0));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), CALL(ioctl), 1,
                           SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, 'T' << 8));
    return rc;
}

static int add_loosened(scmp_filter_ctx f, enum sandbox_profile profile)
{
    int rc = 0;
    for (size_t i = 0; has_paths(profile) && i < COUNT_OF(with_paths); i++) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, with_paths[i], 0);
    }
    for (size_t i = 0; profile == SANDBOX_GPU && i < COUNT_OF(with_gpu); i++) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, with_gpu[i], 0);
    }
    for (size_t i = 0; profile == SANDBOX_PROGRAM && i < COUNT_OF(with_program); i++) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, with_program[i], 0);
    }
    if (profile == SANDBOX_GPU) {
        rc |= add_ioctl(f);
    }
    return rc;
}

/* The loader of a program: libraries as code, from files alone and never writable; its thread
   register. */
static int add_loader(scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(
        f, SCMP_ACT_ALLOW, CALL(mmap), 2,
        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), CALL(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE,
                                   PROT_EXEC | PROT_WRITE));
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(arch_prctl), 1,
                           SCMP_A0(SCMP_CMP_EQ, ARCH_SET_FS_CALL));
    return rc;
}

/* A thread of this process, never another process and never a namespace. */
#define CLONE_WATCHED                                                                          \
    (CLONE_THREAD | CLONE_PTRACE | CLONE_UNTRACED | CLONE_PIDFD | CLONE_NEWNS | CLONE_NEWUTS | \
     CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_IO)

/* Calls that can name a process name this one; hints about memory are only hints. */
static int add_own_only(scmp_filter_ctx f)
{
    const uint32_t allow = SCMP_ACT_ALLOW;
    int rc = 0;
    rc |= seccomp_rule_add(f, allow, CALL(tgkill), 1,
                           SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    rc |= seccomp_rule_add(f, allow, CALL(sched_setaffinity), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), CALL(sched_setaffinity), 1,
                           SCMP_A0(SCMP_CMP_NE, 0));
    /* The rest of madvise can hurt the machine (MADV_HWPOISON). */
    static const unsigned hints[] = {
        MADV_NORMAL,   MADV_RANDOM,     MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
        MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,   MADV_DODUMP,   MADV_DONTFORK, MADV_DOFORK};
    for (size_t i = 0; i < COUNT_OF(hints); i++) {
        rc |= seccomp_rule_add(f, allow, CALL(madvise), 1, SCMP_A2(SCMP_CMP_EQ, hints[i]));
    }
    return rc;
}

static int add_conditions(scmp_filter_ctx f, enum sandbox_profile profile)
{
    const uint32_t allow = SCMP_ACT_ALLOW;
    const uint32_t deny = SCMP_ACT_ERRNO(EACCES);
    int rc = 0;
    /* Memory never becomes executable. */
    rc |= seccomp_rule_add(f, allow, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    rc |= profile == SANDBOX_PROGRAM
              ? add_loader(f)
              : seccomp_rule_add(f, deny, CALL(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    rc |= seccomp_rule_add(f, allow, CALL(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    rc |= seccomp_rule_add(f, deny, CALL(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    /* fstat(fd) is newfstatat(fd, "", ..., AT_EMPTY_PATH). */
    if (!loosened(profile, CALL(newfstatat))) {
        rc |= seccomp_rule_add(f, allow, CALL(newfstatat), 1,
                               SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
        rc |= seccomp_rule_add(f, deny, CALL(newfstatat), 1,
                               SCMP_A3(SCMP_CMP_NE, AT_EMPTY_PATH));
    }
    /* Threads, not processes. clone3's flags cannot be read here: glibc falls back to clone. */
    if (profile != SANDBOX_READER) {
        rc |= seccomp_rule_add(f, allow, CALL(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_WATCHED, CLONE_THREAD));
    }
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    /* Flags of its own descriptors; thread names. */
    static const unsigned fcntls[] = {F_GETFD, F_SETFD, F_GETFL};
    for (size_t i = 0; i < COUNT_OF(fcntls); i++) {
        rc |= seccomp_rule_add(f, allow, CALL(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, fcntls[i]));
    }
    rc |= seccomp_rule_add(f, allow, CALL(arch_prctl), 1,
                           SCMP_A0(SCMP_CMP_EQ, ARCH_REQ_XCOMP_PERM_CALL));
    rc |= seccomp_rule_add(f, allow, CALL(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    rc |= seccomp_rule_add(f, deny, CALL(prctl), 1, SCMP_A0(SCMP_CMP_NE, PR_SET_NAME));
    return rc;
}

static enum fail enter_seccomp(enum sandbox_profile profile, struct fault *why)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (f == NULL) {
        return FAULT(why, FAIL_INTERNAL, "libseccomp cannot start");
    }
    int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    rc |= seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        if (profile != SANDBOX_READER ||
            !is_in(allowed[i], not_for_reader, COUNT_OF(not_for_reader))) {
            rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
        }
    }
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (!loosened(profile, refused[i])) {
            rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
        }
    }
    /* Libraries ask for sockets (a driver's IPC) and live without. */
    if (has_paths(profile)) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), CALL(socket), 0);
    }
    rc |= add_loosened(f, profile);
    rc |= add_own_only(f);
    rc |= add_conditions(f, profile);
    if (rc == 0) {
        rc = seccomp_load(f);
    }
    seccomp_release(f);
    return rc == 0 ? FAIL_NONE : FAULT(why, FAIL_INTERNAL, "the seccomp filter does not load");
}

/* The lower of what holds and what is asked for; RLIM_INFINITY asks for nothing. */
static rlim_t lower(__rlimit_resource_t what, rlim_t max)
{
    struct rlimit now = {RLIM_INFINITY, RLIM_INFINITY};
    (void)getrlimit(what, &now);
    return max > now.rlim_max ? now.rlim_max : max;
}

static enum fail set_limits(const struct sandbox_options *options, struct fault *why)
{
    struct stat out;
    bool log_file = fstat(STDERR_FILENO, &out) == 0 && S_ISREG(out.st_mode);
    rlim_t file_max = log_file ? LOG_FILE_MAX : 0;
    rlim_t memory = options->memory_max, threads = options->threads_max;
    rlim_t cpu = options->cpu_max_s;
    bool tight = options->profile != SANDBOX_FOLDER && options->profile != SANDBOX_GPU;
    if (options->profile == SANDBOX_FOLDER) {
        file_max = options->out_bytes_max;
    }
    const struct {
        __rlimit_resource_t what;
        rlim_t value;
    } limits[] = {{RLIMIT_CORE, 0},
                  {RLIMIT_FSIZE, file_max},
                  {RLIMIT_NOFILE, NOFILE_MAX},
                  {RLIMIT_MSGQUEUE, 0},
                  {RLIMIT_MEMLOCK, lower(RLIMIT_MEMLOCK, tight ? 0 : RLIM_INFINITY)},
                  {RLIMIT_CPU, lower(RLIMIT_CPU, cpu == 0 ? RLIM_INFINITY : cpu)},
                  {RLIMIT_AS, lower(RLIMIT_AS, memory == 0 ? RLIM_INFINITY : memory)},
                  {RLIMIT_NPROC, lower(RLIMIT_NPROC, threads == 0 ? THREADS_MAX : threads)}};
    (void)signal(SIGXFSZ, SIG_IGN); /* a full log must not end the worker */
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct rlimit limit = {limits[i].value, limits[i].value};
        if (setrlimit(limits[i].what, &limit) != 0) {
            return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot set a resource limit");
        }
    }
    return FAIL_NONE;
}

/* When memory runs out the kernel takes the worker, not the server: raising one's own score needs
   no right. */
static void offer_to_die_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "800", 3);
        close(fd);
    }
}

/* Every capability goes, but for a folder the one that its files may need. In the tight seals,
   which open nothing of their own, root becomes nobody too, where there is such a user (not in
   every namespace). */
static enum fail drop_rights(enum sandbox_profile profile, struct fault *why)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], kept[2] = {{0}, {0}};
    if (profile != SANDBOX_FOLDER && profile != SANDBOX_GPU && geteuid() == 0 &&
        setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0) {
        (void)!setresuid(NOBODY, NOBODY, NOBODY);
    }
    if (profile == SANDBOX_FOLDER && syscall(SYS_capget, &head, now) == 0) {
        kept[0].effective = kept[0].permitted = now[0].permitted & (1u << CAP_DAC_OVERRIDE);
    }
    if (syscall(SYS_capset, &head, kept) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot drop the capabilities");
    }
    /* A change of user cleared the signal that its parent asked for. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot give up privileges");
    }
    return FAIL_NONE;
}

enum fail sandbox_enter_layers(const struct sandbox_options *options,
                               const struct sandbox_layers *layers, struct sandbox_report *out,
                               struct fault *why)
{
    *out = (struct sandbox_report){0};
    offer_to_die_first();
    enum fail failed = drop_rights(options->profile, why);
    if (failed == FAIL_NONE) {
        failed = set_limits(options, why);
    }
    if (failed == FAIL_NONE) {
        failed = enter_landlock(options, layers->landlock_max, &out->landlock_abi, why);
    }
    if (failed == FAIL_NONE && layers->seccomp) {
        failed = enter_seccomp(options->profile, why);
        out->seccomp = failed == FAIL_NONE;
    }
    return failed;
}

enum fail sandbox_enter_as(const struct sandbox_options *options, struct sandbox_report *out,
                           struct fault *why)
{
    static const struct sandbox_layers all = {.landlock_max = INT_MAX, .seccomp = true};
    return sandbox_enter_layers(options, &all, out, why);
}

enum fail sandbox_enter(struct sandbox_report *out, struct fault *why)
{
    const struct sandbox_options tight = {.profile = SANDBOX_TIGHT};
    return sandbox_enter_as(&tight, out, why);
}
