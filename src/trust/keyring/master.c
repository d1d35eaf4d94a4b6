/* SPDX-License-Identifier: Apache-2.0 */
/* The master key: one file, made once, and one derived key per purpose. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "trust/keyring/keyring.h"

#define PATH_ROOM 4096
#define KEY_HEX 64

struct keyring_master {
    uint8_t key[32]; /* in sodium memory: locked, guarded, wiped */
};

void keyring_master_close(struct keyring_master *m)
{
    sodium_free(m);
}

void keyring_master_derive(const struct keyring_master *m, const char *purpose, uint8_t out[32])
{
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, m->key, sizeof(m->key));
    static const char prefix[] = "inhouse/1/";
    crypto_auth_hmacsha256_update(&st, (const uint8_t *)prefix, sizeof(prefix) - 1);
    crypto_auth_hmacsha256_update(&st, (const uint8_t *)purpose, strlen(purpose));
    crypto_auth_hmacsha256_final(&st, out);
    sodium_memzero(&st, sizeof(st));
}

static enum fail read_key(const char *path, int fd, struct keyring_master *m, struct fault *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not read %s", path);
    }
    if ((st.st_mode & 077) != 0) {
        FAULT(why, FAIL_FORBIDDEN, "%s can be read by others (mode %03o)", path,
              (unsigned)st.st_mode & 0777U);
        return fail_hint(why, "Run `chmod 600 %s`.", path);
    }
    char hex[KEY_HEX + 2] = {0};
    ssize_t n = read(fd, hex, KEY_HEX + 1);
    bool good = (n == KEY_HEX || (n == KEY_HEX + 1 && hex[KEY_HEX] == '\n')) &&
                text_unhex(hex, KEY_HEX, m->key);
    sodium_memzero(hex, sizeof(hex));
    if (!good) {
        FAULT(why, FAIL_INTERNAL, "%s is not a master key (64 hexadecimal digits)", path);
        return fail_hint(why, "Restore it from a backup: without it, stored content and the keys "
                              "of users cannot be read again.");
    }
    return FAIL_NONE;
}

/* Written beside and linked into place: two first starts agree, a crash leaves none or all. */
static enum fail make_key(const char *home, const char *path, struct fault *why)
{
    char draft[PATH_ROOM];
    int len = snprintf(draft, sizeof(draft), "%s/.master.key.%d", home, (int)getpid());
    ASSERT(len > 0 && (size_t)len < sizeof(draft));
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", path);
    }
    uint8_t key[32];
    char hex[KEY_HEX + 2];
    randombytes_buf(key, sizeof(key));
    text_hex(key, sizeof(key), hex);
    hex[KEY_HEX] = '\n';
    bool written = write(fd, hex, KEY_HEX + 1) == KEY_HEX + 1 && fsync(fd) == 0;
    int write_errno = errno;
    sodium_memzero(key, sizeof(key));
    sodium_memzero(hex, sizeof(hex));
    close(fd);
    enum fail f = FAIL_NONE;
    if (!written) {
        errno = write_errno;
        f = FAULT_ERRNO(why, fail_from_write_errno(write_errno), "could not write %s", path);
    } else if (link(draft, path) != 0 && errno != EEXIST) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", path);
    }
    unlink(draft);
    int dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return f;
}

enum fail keyring_master_open(const char *home, struct keyring_master **out, struct fault *why)
{
    if (sodium_init() < 0) {
        return FAULT(why, FAIL_INTERNAL, "libsodium did not start");
    }
    char path[PATH_ROOM - 32];
    int len = snprintf(path, sizeof(path), "%s/master.key", home);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        enum fail f = make_key(home, path, why);
        if (f != FAIL_NONE) {
            return f;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not open %s", path);
    }
    struct keyring_master *m = sodium_malloc(sizeof(*m));
    if (m == NULL) {
        close(fd);
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not lock memory for the master key");
    }
    enum fail f = read_key(path, fd, m, why);
    close(fd);
    if (f != FAIL_NONE) {
        keyring_master_close(m);
        return f;
    }
    sodium_mprotect_readonly(m);
    *out = m;
    return FAIL_NONE;
}
