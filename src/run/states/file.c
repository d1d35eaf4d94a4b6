/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/states, one file: written beside and renamed, read back only with its MAC. A power cut may
 * leave a torn file under its name (nothing is flushed: it is a cache), which its MAC refuses.
 * Owns: nothing. Threads: any. Limits: STATES_BYTES_MAX, COPY_BYTES at a time.
 */
#include "run/states/states_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/text/text.h"

#define MAC_BYTES 32
#define COPY_BYTES (1024u * 1024u)

static const char first_line[] = "inhouse-state 1\n";

void states_name(const struct states_line *line, char name[STATES_NAME_SIZE])
{
    char text[400], hex[65];
    uint8_t hash[32];
    int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s", line->model, line->context,
                     line->domain, line->prefix);
    text_sha256(text, (size_t)n, hash);
    text_hex(hash, sizeof(hash), hex);
    memcpy(name, hex, STATES_NAME_SIZE - 1);
    name[STATES_NAME_SIZE - 1] = '\0';
}

/* The MAC as it goes. */

static EVP_MAC_CTX *mac_begin(const uint8_t key[32])
{
    char digest[] = "SHA256";
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *c = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    ASSERT(c != NULL && EVP_MAC_init(c, key, 32, params) == 1);
    EVP_MAC_free(hmac);
    return c;
}

static void mac_add(EVP_MAC_CTX *c, const void *data, size_t n)
{
    ASSERT(EVP_MAC_update(c, data, n) == 1);
}

static void mac_end(EVP_MAC_CTX *c, uint8_t out[MAC_BYTES])
{
    size_t n = 0;
    ASSERT(EVP_MAC_final(c, out, &n, MAC_BYTES) == 1 && n == MAC_BYTES);
}

/* The lines. */

static size_t write_lines(const struct states_line *line, char out[STATES_HEAD_MAX])
{
    struct buf text;
    struct jn_writer w;
    buf_init(&text, STATES_HEAD_MAX - 1);
    (void)buf_add_str(&text, first_line);
    jn_begin(&w, &text, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "model", line->model);
    jn_kv_str(&w, "context", line->context);
    jn_kv_str(&w, "domain", line->domain);
    jn_kv_str(&w, "prefix", line->prefix);
    jn_kv_int(&w, "scores", line->scores);
    jn_kv_int(&w, "bytes", line->bytes);
    jn_object_end(&w);
    (void)buf_add_char(&text, '\n');
    ASSERT(!text.overflow);
    size_t n = text.len;
    memcpy(out, text.data, n);
    buf_done(&text);
    return n;
}

static enum fail read_word(const json_t *j, const char *key, char *out, size_t room,
                           struct fault *why)
{
    const char *word = NULL;
    enum fail f = jn_str(j, key, true, room - 1, &word, why);
    if (f == FAIL_NONE) {
        (void)text_copy(out, room, word);
    }
    return f;
}

enum fail states_line_read(int fd, struct states_line *line, size_t *size, struct fault *why)
{
    char head[STATES_HEAD_MAX + 1];
    ssize_t n = pread(fd, head, STATES_HEAD_MAX, 0);
    size_t first = sizeof(first_line) - 1;
    *line = (struct states_line){.bytes = 0};
    if (n <= (ssize_t)first || memcmp(head, first_line, first) != 0) {
        return FAULT(why, FAIL_FORBIDDEN, "it does not begin as a state");
    }
    const char *end = memchr(head + first, '\n', (size_t)n - first);
    if (end == NULL) {
        return FAULT(why, FAIL_FORBIDDEN, "its second line has no end");
    }
    AUTO_JSON json_t *j = NULL;
    int64_t scores = 0;
    enum fail f = jn_parse(head + first, (size_t)(end - head) - first, "a state's line", &j, why);
    f = f != FAIL_NONE ? f : read_word(j, "model", line->model, sizeof(line->model), why);
    f = f != FAIL_NONE ? f : read_word(j, "context", line->context, sizeof(line->context), why);
    f = f != FAIL_NONE ? f : read_word(j, "domain", line->domain, sizeof(line->domain), why);
    f = f != FAIL_NONE ? f : read_word(j, "prefix", line->prefix, sizeof(line->prefix), why);
    f = f != FAIL_NONE ? f : jn_int(j, "scores", true, 0, INT32_MAX, &scores, why);
    f = f != FAIL_NONE ? f : jn_int(j, "bytes", true, 1, STATES_BYTES_MAX, &line->bytes, why);
    line->scores = (int)scores;
    *size = (size_t)(end - head) + 1;
    return f;
}

/* Writing. */

static bool write_all(int fd, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t w = write(fd, at, n);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w <= 0) {
            return false;
        }
        at += w;
        n -= (size_t)w;
    }
    return true;
}

static bool copy_in(int to, int from, const struct states_line *line, EVP_MAC_CTX *mac)
{
    char head[STATES_HEAD_MAX];
    size_t n = write_lines(line, head);
    mac_add(mac, head, n);
    bool good = write_all(to, head, n);
    AUTO_FREE char *chunk = mem_alloc(COPY_BYTES);
    for (int64_t at = 0; good && at < line->bytes;) {
        size_t want = line->bytes - at < COPY_BYTES ? (size_t)(line->bytes - at) : COPY_BYTES;
        ssize_t got = pread(from, chunk, want, at);
        if (got <= 0) { /* the memory file has this size and cannot shrink */
            errno = got == 0 ? EIO : errno;
            return false;
        }
        /* The copy is what is signed: who still holds the memory file cannot change it now. */
        mac_add(mac, chunk, (size_t)got);
        good = write_all(to, chunk, (size_t)got);
        at += got;
    }
    uint8_t tag[MAC_BYTES];
    mac_end(mac, tag);
    return good && write_all(to, tag, sizeof(tag));
}

enum fail states_file_write(int dir, const uint8_t key[32], const struct states_line *line,
                            int from, struct fault *why)
{
    char name[STATES_NAME_SIZE], draft[STATES_NAME_SIZE + 8], final[STATES_NAME_SIZE + 8];
    states_name(line, name);
    (void)snprintf(draft, sizeof(draft), "%s.tmp", name);
    (void)snprintf(final, sizeof(final), "%s.state", name);
    (void)unlinkat(dir, draft, 0);
    int fd = openat(dir, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make states/%s", draft);
    }
    EVP_MAC_CTX *mac = mac_begin(key);
    bool good = copy_in(fd, from, line, mac);
    int error = errno;
    EVP_MAC_CTX_free(mac);
    close(fd);
    if (good && renameat(dir, draft, dir, final) == 0) {
        return FAIL_NONE;
    }
    errno = good ? errno : error;
    enum fail f = FAULT_ERRNO(why, fail_from_write_errno(errno), "could not write states/%s",
                              final);
    (void)unlinkat(dir, draft, 0);
    return f;
}

/* Reading. */

int states_memory(int64_t bytes)
{
    int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, bytes) != 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Copies fd[0..line->bytes) behind the lines to the memory file, and checks the MAC over all. */
static bool copy_out(int to, int fd, size_t lines, int64_t bytes, EVP_MAC_CTX *mac)
{
    AUTO_FREE char *chunk = mem_alloc(COPY_BYTES);
    uint8_t tag[MAC_BYTES], there[MAC_BYTES];
    int64_t end = (int64_t)lines + bytes;
    for (int64_t at = 0; at < end;) {
        size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t got = pread(fd, chunk, want, at);
        if (got <= 0) {
            return false;
        }
        mac_add(mac, chunk, (size_t)got);
        int64_t skip = at < (int64_t)lines ? (int64_t)lines - at : 0;
        skip = skip < got ? skip : got;
        if (got > skip && pwrite(to, chunk + skip, (size_t)(got - skip),
                                 at + skip - (int64_t)lines) != got - skip) {
            return false;
        }
        at += got;
    }
    mac_end(mac, tag);
    return pread(fd, there, sizeof(there), end) == (ssize_t)sizeof(there) &&
           text_equal_secret(tag, there, sizeof(tag));
}

static enum fail read_open(int fd, const uint8_t key[32], const char *name,
                           struct states_line *line, int *out, struct fault *why)
{
    struct stat st;
    size_t lines = 0;
    char own[STATES_NAME_SIZE];
    enum fail f = states_line_read(fd, line, &lines, why);
    if (f != FAIL_NONE) {
        return f;
    }
    states_name(line, own);
    if (strcmp(own, name) != 0) {
        return FAULT(why, FAIL_FORBIDDEN, "it says to be another one");
    }
    if (fstat(fd, &st) != 0 || st.st_size != (off_t)((int64_t)lines + line->bytes + MAC_BYTES)) {
        return FAULT(why, FAIL_FORBIDDEN, "it is too long or too short");
    }
    int memory = states_memory(line->bytes);
    if (memory < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "no memory for %lld bytes", (long long)line->bytes);
    }
    EVP_MAC_CTX *mac = mac_begin(key);
    bool good = copy_out(memory, fd, lines, line->bytes, mac);
    EVP_MAC_CTX_free(mac);
    if (good) {
        good = fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0;
    }
    if (!good) {
        close(memory);
        return FAULT(why, FAIL_FORBIDDEN, "its MAC does not hold");
    }
    *out = memory;
    return FAIL_NONE;
}

enum fail states_file_read(int dir, const uint8_t key[32], const char *name,
                           struct states_line *line, int *out, struct fault *why)
{
    char file[STATES_NAME_SIZE + 8];
    (void)snprintf(file, sizeof(file), "%s.state", name);
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return FAULT_ERRNO(why, FAIL_NOT_FOUND, "no file states/%s", file);
    }
    enum fail f = read_open(fd, key, name, line, out, why);
    close(fd);
    return f;
}
