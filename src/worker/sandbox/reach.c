/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of the looser seals, as Landlock rules: whatever no rule names stays closed.
 * Owns: nothing. Threads: one. Limits: DEVICES_MAX device files.
 */
#include "worker/sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem/mem.h"

#define DEVICES_MAX 64
#ifndef SYS_landlock_add_rule
#define SYS_landlock_add_rule 445
#endif
#define RULE_PATH_BENEATH 1

/* Rights of linux/landlock.h; the last two came with ABI 3 and 5. */
#define RIGHT_EXECUTE (UINT64_C(1) << 0)
#define RIGHT_WRITE_FILE (UINT64_C(1) << 1)
#define RIGHT_READ_FILE (UINT64_C(1) << 2)
#define RIGHT_READ_DIR (UINT64_C(1) << 3)
#define RIGHT_MAKE_REG (UINT64_C(1) << 8)
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15)

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static enum fail allow(int ruleset, int fd, uint64_t rights, const char *what, struct fault *why)
{
    struct path_rule rule = {rights, fd};
    return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0
               ? FAIL_NONE
               : FAULT_ERRNO(why, FAIL_INTERNAL, "Landlock refuses a rule for %.100s", what);
}

/* What is not there needs no rule. */
static enum fail allow_path(int ruleset, const char *path, uint64_t rights, struct fault *why)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return FAIL_NONE;
    }
    enum fail f = allow(ruleset, fd, rights, path, why);
    close(fd);
    return f;
}

/* Device files whose path begins with the prefix; a folder of such a name is not one. */
static enum fail allow_devices(int ruleset, uint64_t handled, const char *prefix, struct fault *why)
{
    const uint64_t rights = (RIGHT_READ_FILE | RIGHT_WRITE_FILE | RIGHT_IOCTL_DEV) & handled;
    char folder[128], path[400];
    const char *slash = strrchr(prefix, '/');
    if (slash == NULL || (size_t)(slash - prefix) >= sizeof(folder)) {
        return FAULT(why, FAIL_INTERNAL, "\"%.100s\" begins no device file's path", prefix);
    }
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - prefix), prefix);
    DIR *dir = opendir(folder);
    enum fail f = FAIL_NONE;
    int n = 0;
    for (struct dirent *e; f == FAIL_NONE && dir != NULL && (e = readdir(dir)) != NULL;) {
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (strncmp(path, prefix, strlen(prefix)) != 0 || stat(path, &st) != 0 ||
            !S_ISCHR(st.st_mode)) {
            continue;
        }
        f = n++ < DEVICES_MAX ? allow_path(ruleset, path, rights, why)
                              : FAULT(why, FAIL_TOO_LARGE, "more than %d files %s*", DEVICES_MAX,
                                      prefix);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return f;
}

static enum fail allow_gpu(int ruleset, uint64_t handled, const char *prefix, struct fault *why)
{
    static const char *const folders[] = {"/sys/devices/system", "/sys/bus/pci", "/sys/devices",
                                          "/sys/module/nvidia", "/proc/driver/nvidia"};
    static const char *const files[] = {"/proc/devices", "/proc/modules", "/proc/cpuinfo",
                                        "/proc/meminfo", "/proc/self/maps", "/proc/self/status"};
    enum fail f = allow_devices(ruleset, handled, prefix, why);
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(folders); i++) {
        f = allow_path(ruleset, folders[i], RIGHT_READ_FILE | RIGHT_READ_DIR, why);
    }
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(files); i++) {
        f = allow_path(ruleset, files[i], RIGHT_READ_FILE, why);
    }
    return f;
}

/* A program and its loader may run; libraries, their cache and poppler's tables may be read. */
static enum fail allow_program(int ruleset, const char *program, struct fault *why)
{
    static const char *const loaders[] = {"/lib64/ld-linux-x86-64.so.2",
                                          "/lib/ld-linux-aarch64.so.1"};
    static const char *const folders[] = {"/usr/lib", "/lib", "/lib64", "/usr/share/poppler"};
    const uint64_t run = RIGHT_EXECUTE | RIGHT_READ_FILE;
    enum fail f = allow_path(ruleset, program, run, why);
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(loaders); i++) {
        f = allow_path(ruleset, loaders[i], run, why);
    }
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(folders); i++) {
        f = allow_path(ruleset, folders[i], RIGHT_READ_FILE | RIGHT_READ_DIR, why);
    }
    return f != FAIL_NONE ? f : allow_path(ruleset, "/etc/ld.so.cache", RIGHT_READ_FILE, why);
}

enum fail sandbox_add_reach(int ruleset, uint64_t handled, const struct sandbox_options *options,
                            struct fault *why)
{
    if (options->profile == SANDBOX_GPU) {
        const char *prefix = options->device_prefix;
        return allow_gpu(ruleset, handled, prefix == NULL ? SANDBOX_GPU_DEVICES : prefix, why);
    }
    if (options->profile == SANDBOX_PROGRAM) {
        return allow_program(ruleset, options->program, why);
    }
    if (options->profile != SANDBOX_FOLDER) {
        return FAIL_NONE;
    }
    enum fail f = allow(ruleset, options->in_file, RIGHT_READ_FILE, "the input", why);
    const uint64_t make = (RIGHT_READ_FILE | RIGHT_WRITE_FILE | RIGHT_MAKE_REG | RIGHT_TRUNCATE) &
                          handled;
    return f != FAIL_NONE ? f
                          : allow(ruleset, options->out_folder, make, "the output folder", why);
}
