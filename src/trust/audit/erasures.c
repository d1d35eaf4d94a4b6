/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasures and the master key, beyond the running databases: HOME/erasures (one line an erased
 * subject: its keyed hash and when), HOME/copies (where copies of keys.db lie), and every wrapped
 * key anew under another master key. A hash names nobody without the key it is made with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "trust/audit/audit_internal.h"

#define PATH_ROOM 4200
#define LISTS_MAX ((size_t)16 << 20)

static void in_home(const char *home, const char *name, char out[PATH_ROOM])
{
    (void)snprintf(out, PATH_ROOM, "%.4000s/%s", home, name);
}

static enum fail add_line(const char *path, const char *line, struct fault *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t n = strlen(line);
    bool good = fd >= 0 && write(fd, line, n) == (ssize_t)n && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = code;
    return good ? FAIL_NONE
                : FAULT_ERRNO(why, fail_from_write_errno(code), "could not write %s", path);
}

/* Lines of a list, NUL in place of each newline; empty when there is no such file. */
static enum fail read_lines(const char *path, struct buf *out, struct fault *why)
{
    char block[8192];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    buf_init(out, LISTS_MAX);
    if (fd < 0) {
        return errno == ENOENT ? FAIL_NONE
                               : FAULT_ERRNO(why, FAIL_INTERNAL, "could not open %s", path);
    }
    while ((n = read(fd, block, sizeof(block))) > 0 && buf_add(out, block, (size_t)n)) {
    }
    close(fd);
    if (n < 0 || out->overflow) {
        return FAULT(why, FAIL_INTERNAL, "could not read %s", path);
    }
    buf_add_char(out, '\n');
    for (size_t i = 0; i < out->len; i++) {
        out->data[i] = out->data[i] == '\n' ? '\0' : out->data[i];
    }
    return FAIL_NONE;
}

/* ---- one subject ---- */

struct subject_erasure {
    uint8_t name[32];
    int64_t before; /* made before this */
    int64_t id;     /* 0: it had no key */
};

static enum fail erase_key(struct store_tx *tx, void *arg, struct fault *why)
{
    struct subject_erasure *e = arg;
    bool row = false;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "SELECT id FROM subject_key WHERE subject = ?1 AND "
                               "erased_at IS NULL AND created_at < ?2");
        store_bind_blob(s, 1, e->name, 32);
        store_bind_int(s, 2, e->before);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f;
        }
        e->id = store_col_int(s, 0);
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE subject_key SET wrapped = NULL, "
                                       "nonce = zeroblob(0), erased_at = ?2 WHERE id = ?1");
    store_bind_int(s, 1, e->id);
    store_bind_int(s, 2, e->before);
    return store_run(s, why);
}

static enum fail erase_content(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct subject_erasure *e = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM content WHERE subject = ?1");
    store_bind_int(s, 1, e->id);
    return store_run(s, why);
}

static enum fail in_copy(const char *path, struct subject_erasure *e, struct fault *why)
{
    struct store *s = NULL;
    enum fail f = store_open(path, &store_schema_keys, &s, why);
    f = f != FAIL_NONE ? f : store_write_wait(s, erase_key, e, why);
    f = f != FAIL_NONE || e->id == 0 ? f : store_truncate_wait(s, why);
    store_close(s);
    return f;
}

enum fail audit_erasure_note(const char *home, const uint8_t name[32], int64_t *out_of_reach,
                             struct fault *why)
{
    char path[PATH_ROOM], hex[65], line[128];
    struct buf copies;
    struct subject_erasure e = {.before = clock_now_us()};
    memcpy(e.name, name, 32);
    text_hex(name, 32, hex);
    (void)snprintf(line, sizeof(line), "%s %lld\n", hex, (long long)e.before);
    in_home(home, "erasures", path);
    enum fail f = add_line(path, line, why);
    in_home(home, "copies", path);
    f = f != FAIL_NONE ? f : read_lines(path, &copies, why);
    *out_of_reach = 0;
    if (f != FAIL_NONE) {
        return f;
    }
    for (size_t at = 0; at < copies.len; at += strlen(copies.data + at) + 1) {
        struct fault ignored;
        const char *copy = copies.data + at;
        if (copy[0] != '\0' &&
            (access(copy, W_OK) != 0 || in_copy(copy, &e, &ignored) != FAIL_NONE)) {
            ++*out_of_reach;
        }
    }
    buf_done(&copies);
    return FAIL_NONE;
}

enum fail audit_copy_note(const char *home, const char *copy, struct fault *why)
{
    char path[PATH_ROOM], line[PATH_ROOM];
    char *full = realpath(copy, NULL);
    if (full == NULL) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not find %s", copy);
    }
    (void)snprintf(line, sizeof(line), "%.4096s\n", full);
    free(full); /* tidy: memory: the C library's */
    in_home(home, "copies", path);
    return add_line(path, line, why);
}

/* ---- all of a list, after a restore ---- */

static bool read_line(const char *line, struct subject_erasure *e)
{
    *e = (struct subject_erasure){0};
    return strlen(line) > 65 && line[64] == ' ' && text_unhex(line, 64, e->name) &&
           text_read_int(line + 65, 0, INT64_MAX, &e->before);
}

static enum fail apply_one(struct store *keys, struct store *data, struct subject_erasure *e,
                           int64_t *n, struct fault *why)
{
    enum fail f = store_write_wait(keys, erase_key, e, why);
    if (f == FAIL_NONE && e->id != 0) {
        f = store_write_wait(data, erase_content, e, why);
        ++*n;
    }
    return f;
}

enum fail audit_erasures_apply(const char *home, const char *list, int64_t *n, struct fault *why)
{
    char path[PATH_ROOM];
    struct buf lines;
    struct store *keys = NULL, *data = NULL;
    *n = 0;
    enum fail f = read_lines(list, &lines, why);
    in_home(home, "keys.db", path);
    f = f != FAIL_NONE ? f : store_open(path, &store_schema_keys, &keys, why);
    in_home(home, "data.db", path);
    f = f != FAIL_NONE ? f : store_open(path, &store_schema_data, &data, why);
    for (size_t at = 0; f == FAIL_NONE && at < lines.len; at += strlen(lines.data + at) + 1) {
        struct subject_erasure e;
        f = read_line(lines.data + at, &e) ? apply_one(keys, data, &e, n, why) : FAIL_NONE;
    }
    f = f != FAIL_NONE ? f : store_truncate_wait(keys, why);
    f = f != FAIL_NONE ? f : store_truncate_wait(data, why);
    store_close(keys);
    store_close(data);
    buf_done(&lines);
    return f;
}

/* ---- another master key ---- */

static enum fail read_epoch(const char *home, uint8_t epoch[32], bool *found, struct fault *why)
{
    char path[PATH_ROOM];
    struct store_conn *c = NULL;
    *found = false;
    in_home(home, "keys.db", path);
    if (access(path, F_OK) != 0) {
        return FAIL_NONE;
    }
    enum fail f = store_file_open(path, &c, why);
    if (f == FAIL_NONE) {
        struct fault older; /* a keys.db of a version without the table was never rewrapped */
        AUTO_STMT struct store_stmt *s = store_query(c, "SELECT epoch FROM wrap_epoch");
        bool row = false;
        size_t n = 0;
        if (store_step(s, &row, &older) == FAIL_NONE && row) {
            const void *e = store_col_blob(s, 0, &n);
            *found = n == 32;
            memcpy(epoch, *found ? e : epoch, 32);
        }
    }
    store_reader_close(c);
    return f;
}

enum fail audit_master_settle(const char *home, struct fault *why)
{
    uint8_t epoch[32] = {0};
    bool found;
    enum fail f = read_epoch(home, epoch, &found, why);
    return f != FAIL_NONE ? f : keyring_master_settle(home, found ? epoch : NULL, why);
}

enum fail audit_master_rotate(const char *home, int64_t *rewrapped, struct fault *why)
{
    char path[PATH_ROOM];
    struct keyring_master *now = NULL, *next = NULL;
    struct store *keys = NULL;
    enum fail f = audit_master_settle(home, why);
    f = f != FAIL_NONE ? f : keyring_master_open(home, &now, why);
    in_home(home, "keys.db", path);
    f = f != FAIL_NONE ? f : store_open(path, &store_schema_keys, &keys, why);
    f = f != FAIL_NONE ? f : keyring_master_next(home, now, &next, why);
    f = f != FAIL_NONE ? f : audit_keys_rewrap(keys, now, next, rewrapped, why);
    f = f != FAIL_NONE ? f : store_truncate_wait(keys, why);
    store_close(keys);
    keyring_master_close(now);
    keyring_master_close(next);
    struct fault after; /* settled either way: in place, or taken back */
    enum fail g = audit_master_settle(home, &after);
    if (f == FAIL_NONE && g != FAIL_NONE) {
        *why = after;
        f = g;
    }
    return f;
}
