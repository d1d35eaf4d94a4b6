/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A witness: C2SP tlog-witness. It remembers the newest checkpoint of each log it was told of and
 * cosigns only what extends it, so that a log that shows two histories needs both its key and this
 * host. What is remembered is one file a log, replaced by rename and flushed before the answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "trust/audit/audit_internal.h"

#define LOGS_MAX 64
#define PATH_ROOM 4096
#define KEY_HEX 64

struct audit_witness {
    char folder[PATH_ROOM - 128];
    int lock_fd;
    pthread_mutex_t lock; /* one compare and store at a time */
    struct audit_verifier self;
    uint8_t *secret; /* 64 bytes of sodium memory */
    char vkey[AUDIT_VKEY_SIZE];
    struct audit_verifier logs[LOGS_MAX];
    size_t logs_len;
};

/* ---- files ---- */

static enum fail write_file(const struct audit_witness *w, const char *name, const void *data,
                            size_t n, struct fault *why)
{
    char path[PATH_ROOM], draft[PATH_ROOM];
    (void)snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    (void)snprintf(draft, sizeof(draft), "%s/.%s.new", w->folder, name);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, data, n) == (ssize_t)n && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    int dir = good ? open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (good && (dir < 0 || rename(draft, path) != 0 || fsync(dir) != 0)) {
        code = errno;
        good = false;
    }
    if (dir >= 0) {
        close(dir);
    }
    errno = code;
    return good ? FAIL_NONE
                : FAULT_ERRNO(why, fail_from_write_errno(code), "could not write %s", path);
}

/* FAIL_NOT_FOUND when it is not there; data is NUL-terminated. */
static enum fail read_file(const struct audit_witness *w, const char *name, char *data,
                           size_t room, size_t *n, struct fault *why)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return FAULT_ERRNO(why, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_INTERNAL,
                           "could not open %s", path);
    }
    ssize_t got = read(fd, data, room - 1);
    close(fd);
    if (got < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not read %s", path);
    }
    data[got] = '\0';
    *n = (size_t)got;
    return FAIL_NONE;
}

/* The seed of the witness's own key, made at the first start. */
static enum fail open_key(struct audit_witness *w, const char *name, struct fault *why)
{
    char hex[KEY_HEX + 2];
    size_t n = 0;
    uint8_t seed[32], public[32];
    enum fail f = read_file(w, "witness.key", hex, sizeof(hex), &n, why);
    if (f == FAIL_NOT_FOUND) {
        randombytes_buf(seed, sizeof(seed));
        text_hex(seed, sizeof(seed), hex);
        f = write_file(w, "witness.key", hex, KEY_HEX, why);
        n = KEY_HEX;
    }
    if (f == FAIL_NONE && (n < KEY_HEX || !text_unhex(hex, KEY_HEX, seed))) {
        f = FAULT(why, FAIL_INTERNAL, "%s/witness.key is not 64 hexadecimal digits", w->folder);
    }
    if (f == FAIL_NONE) {
        crypto_sign_seed_keypair(public, w->secret, seed);
        audit_verifier_init_as(&w->self, AUDIT_ALG_COSIGNATURE, name, public);
        audit_vkey_write(&w->self, w->vkey);
    }
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(hex, sizeof(hex));
    return f;
}

static enum fail take_lock(struct audit_witness *w, struct fault *why)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof(path), "%s/lock", w->folder);
    if (mkdir(w->folder, 0700) != 0 && errno != EEXIST) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", w->folder);
    }
    w->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->lock_fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not open %s", path);
    }
    if (flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return FAULT(why, FAIL_CONFLICT, "another witness runs over %s", w->folder);
    }
    return FAIL_NONE;
}

enum fail audit_witness_open(const char *folder, const char *name, const char *const *logs,
                             size_t logs_len, struct audit_witness **out, struct fault *why)
{
    if (sodium_init() < 0) {
        return FAULT(why, FAIL_INTERNAL, "libsodium did not start");
    }
    if (strlen(folder) >= PATH_ROOM - 128 || name[0] == '\0' || strlen(name) >= 64 ||
        strpbrk(name, " +\n") != NULL || logs_len == 0 || logs_len > LOGS_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "a witness has a folder, a name without spaces or +, and 1 to "
              "%d keys of logs", LOGS_MAX);
        return fail_hint(why, "`inhouse audit keys` prints the key of a log.");
    }
    struct audit_witness *w = mem_alloc(sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    w->lock_fd = -1;
    (void)text_copy(w->folder, sizeof(w->folder), folder);
    w->secret = sodium_malloc(64);
    enum fail f = w->secret != NULL ? take_lock(w, why)
                                    : FAULT_ERRNO(why, FAIL_INTERNAL, "could not lock memory");
    for (size_t i = 0; i < logs_len && f == FAIL_NONE; i++) {
        if (!audit_vkey_read(logs[i], &w->logs[w->logs_len++])) {
            f = FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" is not the verifier key of a log", logs[i]);
        }
    }
    f = f != FAIL_NONE ? f : open_key(w, name, why);
    if (f != FAIL_NONE) {
        audit_witness_close(w);
        return f;
    }
    *out = w;
    return FAIL_NONE;
}

void audit_witness_close(struct audit_witness *w)
{
    if (w == NULL) {
        return;
    }
    if (w->lock_fd >= 0) {
        close(w->lock_fd);
    }
    sodium_free(w->secret);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

const char *audit_witness_vkey(const struct audit_witness *w)
{
    return w->vkey;
}

/* ---- add-checkpoint ---- */

struct addition {
    struct audit_consistency proof;
    const char *note;
    size_t note_len, text_len;
    struct audit_note head;
};

static bool read_hash(const char *line, size_t n, uint8_t *out)
{
    uint8_t hash[33];
    char again[48];
    if (n != 44 || text_unbase64(line, n, hash) != 32) {
        return false;
    }
    text_base64(hash, 32, again);
    memcpy(out, hash, 32);
    return memcmp(again, line, 44) == 0;
}

/* "old N", up to 63 hashes, an empty line, the note. */
static bool read_addition(const char *body, size_t n, struct addition *a)
{
    const char *end = body + n;
    const char *nl = memchr(body, '\n', n);
    char number[24] = {0};
    memset(a, 0, sizeof(*a));
    if (nl == NULL || nl - body < 5 || nl - body > 22 || memcmp(body, "old ", 4) != 0) {
        return false;
    }
    memcpy(number, body + 4, (size_t)(nl - body) - 4);
    if ((number[0] == '0' && number[1] != '\0') ||
        !text_read_int(number, 0, INT64_MAX, &a->proof.old_size)) {
        return false;
    }
    const char *p = nl + 1;
    while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL && nl > p) {
        if (a->proof.hashes_len == AUDIT_PROOF_MAX ||
            !read_hash(p, (size_t)(nl - p), a->proof.hashes[a->proof.hashes_len++])) {
            return false;
        }
        p = nl + 1;
    }
    if (nl == NULL) {
        return false;
    }
    a->note = nl + 1;
    a->note_len = (size_t)(end - a->note);
    bool good = audit_note_scan(a->note, a->note_len, &a->head, &a->text_len);
    a->proof.new_size = a->head.size;
    return good;
}

static void state_name(const char *origin, char out[48])
{
    uint8_t hash[32];
    text_sha256(origin, strlen(origin), hash);
    text_hex(hash, 16, out);
    memcpy(out + 32, ".checkpoint", 12);
}

/* The checkpoint remembered of this log; size 0 when there is none. */
static enum fail remembered(struct audit_witness *w, const char *origin, struct audit_note *out,
                            struct fault *why)
{
    char name[48], data[AUDIT_NOTES_MAX];
    size_t n, text_len;
    state_name(origin, name);
    memset(out, 0, sizeof(*out));
    enum fail f = read_file(w, name, data, sizeof(data), &n, why);
    if (f == FAIL_NOT_FOUND) {
        struct audit_range empty = {0};
        audit_range_root(&empty, out->root);
        return FAIL_NONE;
    }
    if (f == FAIL_NONE && (!audit_note_scan(data, n, out, &text_len) ||
                           strcmp(out->origin, origin) != 0)) {
        FAULT(why, FAIL_INTERNAL, "what is remembered in %s/%s is damaged", w->folder, name);
        f = fail_hint(why, "Nothing is cosigned on a guess: restore it from a backup.");
    }
    return f;
}

static int status_of(struct audit_witness *w, const struct addition *a,
                     const struct audit_note *old, struct buf *reply)
{
    (void)w;
    if (a->proof.old_size > a->head.size) {
        buf_add_str(reply, "old is larger than the checkpoint\n");
        return 400;
    }
    if (a->proof.old_size != old->size ||
        (old->size == a->head.size && memcmp(old->root, a->head.root, 32) != 0)) {
        buf_printf(reply, "%lld\n", (long long)old->size);
        return 409;
    }
    if (!audit_consistency_check(&a->proof, old->root, a->head.root)) {
        buf_add_str(reply, "the consistency proof does not hold\n");
        return 422;
    }
    return 200;
}

/* Remembers first, then answers with the cosignature. */
static int remember(struct audit_witness *w, const struct addition *a, struct buf *reply)
{
    char name[48];
    struct fault why;
    struct buf kept, line;
    int status = 200;
    buf_init(&kept, AUDIT_NOTES_MAX);
    buf_init(&line, 512);
    audit_cosign_write(&w->self, w->secret, clock_now_us() / 1000000, a->note, a->text_len, &line);
    buf_add(&kept, a->note, a->note_len);
    buf_add(&kept, line.data, line.len);
    state_name(a->head.origin, name);
    if (kept.overflow) {
        buf_add_str(reply, "too many signatures\n");
        status = 400;
    } else if (write_file(w, name, kept.data, kept.len, &why) != FAIL_NONE) {
        buf_printf(reply, "%s\n", why.message);
        status = 500;
    } else {
        buf_add(reply, line.data, line.len);
    }
    buf_done(&kept);
    buf_done(&line);
    return status;
}

int audit_witness_add(struct audit_witness *w, const char *body, size_t n, struct buf *reply)
{
    struct addition a;
    struct audit_note old;
    struct fault why;
    int64_t at_s;
    bool known = false, is_signed = false;
    if (n > AUDIT_WITNESS_BODY_MAX || !read_addition(body, n, &a)) {
        buf_add_str(reply, "not the body of add-checkpoint\n");
        return 400;
    }
    for (size_t i = 0; i < w->logs_len; i++) {
        bool mine = strcmp(w->logs[i].origin, a.head.origin) == 0;
        known = known || mine;
        is_signed = is_signed || (mine && audit_note_signed_by(a.note, a.note_len, a.text_len,
                                                               &w->logs[i], &at_s));
    }
    if (!is_signed) {
        buf_add_str(reply, known ? "not signed by a key of this log\n" : "this log is not known\n");
        return known ? 403 : 404;
    }
    pthread_mutex_lock(&w->lock);
    int status = 500;
    if (remembered(w, a.head.origin, &old, &why) != FAIL_NONE) {
        buf_printf(reply, "%s\n", why.message);
    } else if ((status = status_of(w, &a, &old, reply)) == 200) {
        status = remember(w, &a, reply);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}
