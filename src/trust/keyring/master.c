/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master key: one file outside the databases, and one derived key per purpose.
 *
 * Until it is first changed, keys are derived from it. From then on from two others: `base`, which
 * never changes (what is hashed under it could not be hashed again), and `wrap`, which is new with
 * every change, so that an old copy of keys.db cannot be opened any more. Both lie in
 * HOME/master.box under the master key. A change is prepared in files that end in .next and takes
 * effect by renames; master.recovery holds the key sealed to a printed one (X25519,
 * crypto_box_seal).
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "trust/keyring/keyring.h"

#define PATH_ROOM 4096
#define KEY_HEX 64

struct keyring_master {
    uint8_t key[32]; /* in sodium memory: locked, guarded, wiped */
    uint8_t base[32], wrap[32];
};

void keyring_master_close(struct keyring_master *m)
{
    sodium_free(m);
}

void keyring_master_derive(const struct keyring_master *m, const char *purpose, uint8_t out[32])
{
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, text_ends_with(purpose, "-wrap") ? m->wrap : m->base, 32);
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

/* ---- where it lies ---- */

/* A credential of systemd, a file that INHOUSE_MASTER_KEY names, else HOME/master.key. */
static enum fail find_key(const char *home, char out[PATH_ROOM], bool *given, struct fault *why)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    const char *named = getenv("INHOUSE_MASTER_KEY");
    int n = -1;
    *given = true;
    if (folder != NULL && folder[0] != '\0') {
        n = snprintf(out, PATH_ROOM - 32, "%s/inhouse-master.key", folder);
        if (n > 0 && n < PATH_ROOM - 32 && access(out, F_OK) == 0) {
            return FAIL_NONE;
        }
    }
    if (named != NULL && named[0] != '\0') {
        n = snprintf(out, PATH_ROOM - 32, "%s", named);
    } else {
        *given = false;
        n = snprintf(out, PATH_ROOM - 32, "%s/master.key", home);
    }
    return n > 0 && n < PATH_ROOM - 32
               ? FAIL_NONE
               : FAULT(why, FAIL_BAD_REQUEST, "the path of the master key is too long");
}

static void in_home(const char *home, const char *name, char out[PATH_ROOM])
{
    (void)snprintf(out, PATH_ROOM, "%.4000s/%s", home, name);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static enum fail open_key(const char *path, struct keyring_master **out, struct fault *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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
    memcpy(m->base, m->key, 32);
    memcpy(m->wrap, m->key, 32);
    *out = m;
    return FAIL_NONE;
}

/* A whole small file under its final name, flushed with its folder. */
static enum fail put_file(const char *path, const void *data, size_t n, struct fault *why)
{
    char draft[PATH_ROOM + 8], folder[PATH_ROOM];
    (void)snprintf(draft, sizeof(draft), "%s.new", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, data, n) == (ssize_t)n && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    if (good && rename(draft, path) != 0) {
        code = errno;
        good = false;
    }
    int dir = good ? open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir >= 0) {
        good = fsync(dir) == 0;
        close(dir);
    }
    errno = code;
    return good ? FAIL_NONE
                : FAULT_ERRNO(why, fail_from_write_errno(code), "could not write %s", path);
}

/* At most room - 1 bytes, NUL-terminated; false when it cannot be read. */
static bool take_file(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, out, room - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* ---- the box: base and wrap under the key ---- */

#define BOX_NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define BOX_SIZE (BOX_NONCE + 64 + crypto_aead_xchacha20poly1305_ietf_ABYTES)

static void box_key(const struct keyring_master *m, uint8_t out[32])
{
    static const char purpose[] = "inhouse/1/master-box";
    crypto_auth_hmacsha256(out, (const uint8_t *)purpose, sizeof(purpose) - 1, m->key);
}

static enum fail write_box(const struct keyring_master *m, const char *path, struct fault *why)
{
    uint8_t key[32], both[64], box[BOX_SIZE];
    char hex[2 * BOX_SIZE + 2];
    box_key(m, key);
    memcpy(both, m->base, 32);
    memcpy(both + 32, m->wrap, 32);
    randombytes_buf(box, BOX_NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(box + BOX_NONCE, NULL, both, 64, NULL, 0, NULL, box,
                                               key);
    sodium_memzero(both, sizeof(both));
    sodium_memzero(key, sizeof(key));
    text_hex(box, sizeof(box), hex);
    hex[2 * BOX_SIZE] = '\n';
    return put_file(path, hex, 2 * BOX_SIZE + 1, why);
}

static bool read_box(struct keyring_master *m, const char *path)
{
    uint8_t key[32], both[64], box[BOX_SIZE];
    char hex[2 * BOX_SIZE + 8];
    box_key(m, key);
    bool good = take_file(path, hex, sizeof(hex)) && strlen(hex) >= 2 * BOX_SIZE &&
                text_unhex(hex, 2 * BOX_SIZE, box) &&
                crypto_aead_xchacha20poly1305_ietf_decrypt(both, NULL, NULL, box + BOX_NONCE,
                                                           BOX_SIZE - BOX_NONCE, NULL, 0, box,
                                                           key) == 0;
    if (good) {
        memcpy(m->base, both, 32);
        memcpy(m->wrap, both + 32, 32);
    }
    sodium_memzero(both, sizeof(both));
    sodium_memzero(key, sizeof(key));
    return good;
}

enum fail keyring_master_open(const char *home, struct keyring_master **out, struct fault *why)
{
    char path[PATH_ROOM], box[PATH_ROOM];
    bool given;
    if (sodium_init() < 0) {
        return FAULT(why, FAIL_INTERNAL, "libsodium did not start");
    }
    enum fail f = find_key(home, path, &given, why);
    if (f != FAIL_NONE) {
        return f;
    }
    in_home(home, "master.box", box);
    if (!is_there(path) && (given || is_there(box))) {
        FAULT(why, FAIL_NOT_FOUND, "the master key %s is missing", path);
        return fail_hint(why, "Put it back, or run `inhouse keys master recover` with the printed "
                              "key.");
    }
    if (!is_there(path)) {
        f = make_key(home, path, why);
    }
    struct keyring_master *m = NULL;
    f = f != FAIL_NONE ? f : open_key(path, &m, why);
    if (f == FAIL_NONE && is_there(box) && !read_box(m, box)) {
        FAULT(why, FAIL_INTERNAL, "%s cannot be opened with the master key %s", box, path);
        f = fail_hint(why, "Put the master.key that belongs to this data folder back in place.");
    }
    if (f != FAIL_NONE) {
        keyring_master_close(m);
        return f;
    }
    sodium_mprotect_readonly(m);
    *out = m;
    return FAIL_NONE;
}

/* ---- changing it ---- */

static void epoch_of(const struct keyring_master *m, uint8_t out[32])
{
    static const char purpose[] = "inhouse/1/epoch";
    crypto_auth_hmacsha256(out, (const uint8_t *)purpose, sizeof(purpose) - 1, m->wrap);
}

void keyring_master_epoch(const struct keyring_master *m, uint8_t out[32])
{
    epoch_of(m, out);
}

static enum fail write_key(const struct keyring_master *m, const char *path, struct fault *why)
{
    char hex[KEY_HEX + 2];
    text_hex(m->key, 32, hex);
    hex[KEY_HEX] = '\n';
    enum fail f = put_file(path, hex, KEY_HEX + 1, why);
    sodium_memzero(hex, sizeof(hex));
    return f;
}

static enum fail seal_for(const struct keyring_master *m, const char *home, const char *to,
                          const uint8_t public[32], struct fault *why);
static bool read_public(const char *home, uint8_t public[32]);

enum fail keyring_master_next(const char *home, const struct keyring_master *now,
                              struct keyring_master **out, struct fault *why)
{
    char path[PATH_ROOM], next[PATH_ROOM], box[PATH_ROOM];
    uint8_t public[32];
    bool given;
    enum fail f = find_key(home, path, &given, why);
    if (f == FAIL_NONE && given && getenv("INHOUSE_MASTER_KEY") == NULL) {
        FAULT(why, FAIL_CONFLICT, "the master key is a credential of systemd, which cannot be "
              "written from here");
        return fail_hint(why, "Stop the server, set INHOUSE_MASTER_KEY to a decrypted copy, change "
                              "it there, and encrypt that with systemd-creds again.");
    }
    struct keyring_master *m = f == FAIL_NONE ? sodium_malloc(sizeof(*m)) : NULL;
    if (m == NULL) {
        return f != FAIL_NONE ? f : FAULT_ERRNO(why, FAIL_INTERNAL, "could not lock memory");
    }
    randombytes_buf(m->key, 32);
    randombytes_buf(m->wrap, 32);
    memcpy(m->base, now->base, 32);
    (void)snprintf(next, sizeof(next), "%.4000s.next", path);
    in_home(home, "master.box.next", box);
    f = write_key(m, next, why);
    f = f == FAIL_NONE && read_public(home, public)
            ? seal_for(m, home, "master.recovery.next", public, why)
            : f;
    f = f != FAIL_NONE ? f : write_box(m, box, why); /* last: what makes the change findable */
    if (f != FAIL_NONE) {
        keyring_master_close(m);
        return f;
    }
    sodium_mprotect_readonly(m);
    *out = m;
    return FAIL_NONE;
}

static enum fail move(const char *from, const char *to, struct fault *why)
{
    if (rename(from, to) != 0 && errno != ENOENT) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not put %s in place", to);
    }
    return FAIL_NONE;
}

enum fail keyring_master_settle(const char *home, const uint8_t epoch[32], struct fault *why)
{
    char path[PATH_ROOM], next[PATH_ROOM], box[PATH_ROOM], box_next[PATH_ROOM];
    char recovery[PATH_ROOM], recovery_next[PATH_ROOM];
    bool given;
    struct keyring_master *m = NULL;
    uint8_t theirs[32];
    if (sodium_init() < 0) {
        return FAULT(why, FAIL_INTERNAL, "libsodium did not start");
    }
    enum fail f = find_key(home, path, &given, why);
    (void)snprintf(next, sizeof(next), "%.4000s.next", path);
    in_home(home, "master.box", box);
    in_home(home, "master.box.next", box_next);
    in_home(home, "master.recovery", recovery);
    in_home(home, "master.recovery.next", recovery_next);
    if (f != FAIL_NONE || !is_there(box_next)) {
        if (f == FAIL_NONE && is_there(next)) {
            (void)unlink(next); /* a change that did not get as far as its box */
            (void)unlink(recovery_next);
        }
        return f;
    }
    f = open_key(is_there(next) ? next : path, &m, why);
    bool mine = f == FAIL_NONE && read_box(m, box_next);
    if (mine) {
        epoch_of(m, theirs);
        mine = epoch != NULL && sodium_memcmp(theirs, epoch, 32) == 0;
    }
    keyring_master_close(m);
    if (!mine) { /* keys.db was not rewrapped: nothing happened */
        (void)unlink(box_next);
        (void)unlink(next);
        (void)unlink(recovery_next);
        return FAIL_NONE;
    }
    f = move(next, path, why);
    f = f != FAIL_NONE ? f : move(recovery_next, recovery, why);
    return f != FAIL_NONE ? f : move(box_next, box, why);
}

/* ---- the printed key ---- */

#define SEALED_SIZE (32 + crypto_box_SEALBYTES)
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford */

static bool read_public(const char *home, uint8_t public[32])
{
    char path[PATH_ROOM], text[512];
    in_home(home, "master.recovery", path);
    return take_file(path, text, sizeof(text)) && text_unhex(text, 64, public);
}

static enum fail seal_for(const struct keyring_master *m, const char *home, const char *to,
                          const uint8_t public[32], struct fault *why)
{
    char path[PATH_ROOM], text[2 * (32 + SEALED_SIZE) + 4];
    uint8_t sealed[SEALED_SIZE];
    in_home(home, to, path);
    if (crypto_box_seal(sealed, m->key, 32, public) != 0) {
        return FAULT(why, FAIL_INTERNAL, "the recovery key is not a public key");
    }
    text_hex(public, 32, text);
    text[64] = '\n';
    text_hex(sealed, sizeof(sealed), text + 65);
    text[65 + 2 * SEALED_SIZE] = '\n';
    return put_file(path, text, 66 + 2 * SEALED_SIZE, why);
}

/* 32 bytes and 3 of their hash as 56 characters, in groups of four. */
static void show_printed(const uint8_t secret[32], char out[KEYRING_PRINTED_SIZE])
{
    uint8_t data[35], hash[32];
    memcpy(data, secret, 32);
    crypto_hash_sha256(hash, secret, 32);
    memcpy(data + 32, hash, 3);
    size_t len = 0;
    for (int i = 0; i < 56; i++) {
        int bit = i * 5, v = 0;
        for (int k = 0; k < 5; k++) {
            v = v << 1 | ((data[(bit + k) / 8] >> (7 - (bit + k) % 8)) & 1);
        }
        if (i > 0 && i % 4 == 0) {
            out[len++] = '-';
        }
        out[len++] = alphabet[v];
    }
    out[len] = '\0';
    sodium_memzero(data, sizeof(data));
}

static bool read_printed(const char *text, uint8_t secret[32])
{
    uint8_t data[35] = {0}, hash[32];
    int n = 0;
    for (const char *p = text; *p != '\0'; p++) {
        char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
        const char *at = strchr(alphabet, c);
        if (c == '-' || c == ' ' || c == '\n' || c == '\r') {
            continue;
        }
        if (at == NULL || n == 56) {
            return false;
        }
        for (int k = 0; k < 5; k++) {
            int bit = n * 5 + k;
            data[bit / 8] |= (uint8_t)((((at - alphabet) >> (4 - k)) & 1) << (7 - bit % 8));
        }
        n++;
    }
    memcpy(secret, data, 32);
    crypto_hash_sha256(hash, secret, 32);
    return n == 56 && memcmp(hash, data + 32, 3) == 0;
}

enum fail keyring_master_print(const char *home, const struct keyring_master *m,
                               char printed[KEYRING_PRINTED_SIZE], struct fault *why)
{
    uint8_t secret[32], public[32];
    crypto_box_keypair(public, secret);
    enum fail f = seal_for(m, home, "master.recovery", public, why);
    if (f == FAIL_NONE) {
        show_printed(secret, printed);
    }
    sodium_memzero(secret, sizeof(secret));
    return f;
}

enum fail keyring_master_recover(const char *home, const char *printed, struct fault *why)
{
    char path[PATH_ROOM], sealed_path[PATH_ROOM], text[512];
    uint8_t secret[32], public[32], theirs[32], sealed[SEALED_SIZE];
    bool given;
    if (sodium_init() < 0) {
        return FAULT(why, FAIL_INTERNAL, "libsodium did not start");
    }
    enum fail f = find_key(home, path, &given, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (is_there(path)) {
        FAULT(why, FAIL_CONFLICT, "%s is there already", path);
        return fail_hint(why, "Move it away first, if it is the wrong one.");
    }
    in_home(home, "master.recovery", sealed_path);
    struct keyring_master *m = sodium_malloc(sizeof(*m));
    if (m == NULL) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not lock memory");
    }
    if (!read_printed(printed, secret)) {
        FAULT(why, FAIL_BAD_REQUEST, "this is not a printed key: 56 letters and digits, with a "
              "checksum");
        f = fail_hint(why, "Read it again; O and 0, I, L and 1 are the same.");
    } else if (!take_file(sealed_path, text, sizeof(text)) || !text_unhex(text, 64, public) ||
               strlen(text) < 65 + 2 * SEALED_SIZE ||
               !text_unhex(text + 65, 2 * SEALED_SIZE, sealed)) {
        f = FAULT(why, FAIL_NOT_FOUND, "%s is missing or damaged", sealed_path);
    } else if (crypto_scalarmult_base(theirs, secret) != 0 || memcmp(theirs, public, 32) != 0 ||
               crypto_box_seal_open(m->key, sealed, sizeof(sealed), public, secret) != 0) {
        FAULT(why, FAIL_FORBIDDEN, "the printed key is not the one of this data folder");
        f = fail_hint(why, "A newer `inhouse keys master print` replaced it.");
    } else {
        f = write_key(m, path, why);
    }
    sodium_memzero(secret, sizeof(secret));
    keyring_master_close(m);
    return f;
}
