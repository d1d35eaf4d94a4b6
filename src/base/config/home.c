/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder: where it is, that it is private, and that one server works on it. */
#include "base/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text/text.h"

static bool make_path(const char *path)
{
    char part[CONFIG_HOME_SIZE];
    (void)text_copy(part, sizeof(part), path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return false;
            }
            *p = '/';
        }
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

enum fail config_home_open(const char *given, char out[CONFIG_HOME_SIZE], struct fault *why)
{
    const char *named = given ? given : getenv("INHOUSE_HOME");
    const char *user = getenv("HOME");
    char path[CONFIG_HOME_SIZE];
    int n;
    if (named != NULL && named[0] != '\0') {
        n = snprintf(path, sizeof(path), "%s", named);
    } else {
        n = snprintf(path, sizeof(path), "%s/.local/share/inhouse", user ? user : "");
    }
    if (n < 0 || (size_t)n >= sizeof(path) || (named == NULL && user == NULL)) {
        FAULT(why, FAIL_BAD_REQUEST, "the data folder has no usable name");
        return fail_hint(why, "Name it with --home or INHOUSE_HOME.");
    }
    struct stat st;
    if (!make_path(path) || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot make the data folder %.180s", path);
        return fail_hint(why, "Choose another one with --home or INHOUSE_HOME.");
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        FAULT(why, FAIL_FORBIDDEN, "the data folder %.180s is not private to this user", path);
        return fail_hint(why, "Run: chmod 700 %.180s (as its owner), or choose another one.", path);
    }
    char whole[PATH_MAX];
    if (realpath(path, whole) == NULL || !text_copy(out, CONFIG_HOME_SIZE, whole)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    return FAIL_NONE;
}

enum fail config_home_lock(const char *home, int *fd, struct fault *why)
{
    char path[CONFIG_HOME_SIZE + 8];
    (void)snprintf(path, sizeof(path), "%s/lock", home);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot open %.180s", path);
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[16] = "";
        ssize_t n = pread(*fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        close(*fd);
        *fd = -1;
        FAULT(why, FAIL_CONFLICT, "another server (process %s) works on %.180s",
              pid[0] ? pid : "unknown", home);
        return fail_hint(why, "Use that one (inhouse connects to it by itself), stop it with "
                              "`inhouse stop`, or choose another --home.");
    }
    char pid[16];
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, pid, (size_t)n, 0) != n) {
        enum fail f = FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot write %.180s", path);
        close(*fd);
        *fd = -1;
        return f;
    }
    return FAIL_NONE;
}
