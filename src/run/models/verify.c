/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashing a model on its descriptor, and remembering that it passed.
 *
 * `models/.seen-<sha256>` holds the device, inode, size and both times of the file that passed: a
 * later start compares these instead of reading gigabytes. The folder belongs to the server's user
 * (0700), so who could forge this file could as well replace the manifest; it saves time, it is not
 * a lock.
 * Threads: one. Limits: reads through 1 MiB at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define CHUNK (1u << 20)

enum fail models_hash_fd(int fd, uint64_t bytes, const char *what, models_progress_fn progress,
                         void *ctx, char hex[TEXT_SHA256_HEX_SIZE], struct fault *why)
{
    AUTO_FREE uint8_t *chunk = mem_alloc(CHUNK);
    uint8_t hash[32];
    unsigned len = 0;
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    ASSERT(sha != NULL && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1);
    enum fail f = FAIL_NONE;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (uint64_t at = 0; f == FAIL_NONE && at < bytes;) {
        ssize_t n = pread(fd, chunk, CHUNK, (off_t)at);
        if (n > 0) {
            ASSERT(EVP_DigestUpdate(sha, chunk, (size_t)n) == 1);
            at += (uint64_t)n;
            if (progress != NULL && !progress(ctx, "hash", at, bytes)) {
                f = FAULT(why, FAIL_STOPPED, "%.120s: stopped while it was hashed", what);
            }
        } else if (n == 0) {
            f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: the file shrank while it was hashed", what);
        } else if (errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "%.120s: cannot be read", what);
        }
    }
    ASSERT(EVP_DigestFinal_ex(sha, hash, &len) == 1 && len == sizeof(hash));
    EVP_MD_CTX_free(sha);
    text_hex(hash, sizeof(hash), hex);
    return f;
}

static void show_seen(const struct stat *st, char out[160])
{
    snprintf(out, 160, "%ju %ju %jd %jd.%09ld %jd.%09ld\n", (uintmax_t)st->st_dev,
             (uintmax_t)st->st_ino, (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

static void seen_name(const char *sha256, char out[TEXT_SHA256_HEX_SIZE + 8])
{
    snprintf(out, TEXT_SHA256_HEX_SIZE + 8, ".seen-%.64s", sha256);
}

void models_seen_put(const struct models *m, const char *sha256, const struct stat *st)
{
    char name[TEXT_SHA256_HEX_SIZE + 8], line[160];
    seen_name(sha256, name);
    show_seen(st, line);
    int fd = openat(m->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        /* A short write leaves a line that matches nothing: the next start hashes again. */
        ssize_t n = write(fd, line, strlen(line));
        (void)n;
        close(fd);
    }
}

bool models_seen_is(const struct models *m, const char *sha256, const struct stat *st)
{
    char name[TEXT_SHA256_HEX_SIZE + 8], want[160], have[160];
    seen_name(sha256, name);
    show_seen(st, want);
    int fd = openat(m->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, have, sizeof(have) - 1);
    close(fd);
    have[n > 0 ? n : 0] = '\0';
    return strcmp(want, have) == 0;
}
