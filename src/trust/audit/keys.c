/* SPDX-License-Identifier: Apache-2.0 */
/* keys.db: the log's signing key and one random key per subject, all wrapped with the master key.
   */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/audit/audit_internal.h"

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define WRAPPED_SIZE (32 + crypto_aead_xchacha20poly1305_ietf_ABYTES)
/* Subjects kept unwrapped in memory; when it is full, all are forgotten and read again. */
#define CACHE_SIZE 16384

struct slot {
    bool used;
    uint8_t name[32];
    struct audit_subject subject;
};

struct audit_keys {
    struct store *store;
    pthread_mutex_t lock; /* everything below */
    struct store_conn *reader;
    uint8_t wrap_key[32];
    uint8_t name_key[32];
    struct slot *slots; /* open addressing by the first bytes of the name */
    int slots_used;
};

static void keys_path(const char *home, char *out, size_t room)
{
    int n = snprintf(out, room, "%s/keys.db", home);
    ASSERT(n > 0 && (size_t)n < room);
}

enum fail audit_keys_open(const char *home, const struct keyring_master *master,
                          struct audit_keys **out, struct fault *why)
{
    char path[4096];
    if (strlen(home) + 16 > sizeof(path)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    keys_path(home, path, sizeof(path));
    struct audit_keys *k = mem_alloc(sizeof(*k));
    pthread_mutex_init(&k->lock, NULL);
    keyring_master_derive(master, "audit-key-wrap", k->wrap_key);
    keyring_master_derive(master, "audit-subject-name", k->name_key);
    k->slots = mem_alloc_array(CACHE_SIZE, sizeof(*k->slots));
    enum fail f = store_open(path, &store_schema_keys, &k->store, why);
    if (f == FAIL_NONE) {
        f = store_reader_open(k->store, &k->reader, why);
    }
    if (f != FAIL_NONE) {
        audit_keys_close(k);
        return f;
    }
    *out = k;
    return FAIL_NONE;
}

static void forget_all(struct audit_keys *k)
{
    sodium_memzero(k->slots, CACHE_SIZE * sizeof(*k->slots));
    k->slots_used = 0;
}

void audit_keys_close(struct audit_keys *k)
{
    if (k == NULL) {
        return;
    }
    store_reader_close(k->reader);
    store_close(k->store);
    forget_all(k);
    mem_free(k->slots);
    sodium_memzero(k->wrap_key, sizeof(k->wrap_key));
    sodium_memzero(k->name_key, sizeof(k->name_key));
    pthread_mutex_destroy(&k->lock);
    mem_free(k);
}

/* ---- wrapping: `what` binds a box to its place, so that rows cannot be exchanged ---- */

static void wrap(const struct audit_keys *k, const uint8_t key[32], const uint8_t *what, size_t n,
                 uint8_t nonce[NONCE_SIZE], uint8_t out[WRAPPED_SIZE])
{
    randombytes_buf(nonce, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, key, 32, what, n, NULL, nonce,
                                               k->wrap_key);
}

static bool unwrap(const struct audit_keys *k, struct store_stmt *s, int nonce_col,
                   const uint8_t *what, size_t what_n, uint8_t out[32])
{
    size_t nonce_n, box_n;
    const uint8_t *nonce = store_col_blob(s, nonce_col, &nonce_n);
    const uint8_t *box = store_col_blob(s, nonce_col + 1, &box_n);
    return nonce_n == NONCE_SIZE && box_n == WRAPPED_SIZE &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, box, box_n, what, what_n,
                                                      nonce, k->wrap_key) == 0;
}

static enum fail fault_unwrap(const struct audit_keys *k, const char *what, struct fault *why)
{
    FAULT(why, FAIL_RECORD_UNAVAILABLE, "%s in %s cannot be opened with this master key", what,
          store_path(k->store));
    return fail_hint(why, "Put the master.key that belongs to this data folder back in place.");
}

/* ---- the log's key ---- */

struct new_log {
    char origin[AUDIT_ORIGIN_SIZE];
    uint8_t public[32];
    uint8_t nonce[NONCE_SIZE];
    uint8_t wrapped[WRAPPED_SIZE];
};

static enum fail write_log(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct new_log *n = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO log_key (origin, public, nonce, wrapped, "
                                       "created_at, retired_at) VALUES (?1, ?2, ?3, ?4, ?5, 0)");
    store_bind_text(s, 1, n->origin);
    store_bind_blob(s, 2, n->public, sizeof(n->public));
    store_bind_blob(s, 3, n->nonce, sizeof(n->nonce));
    store_bind_blob(s, 4, n->wrapped, sizeof(n->wrapped));
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

static enum fail make_log(struct audit_keys *k, struct fault *why)
{
    struct new_log n = {0};
    uint8_t name[8];
    uint8_t seed[32];
    uint8_t secret[64];
    char hex[17];
    randombytes_buf(name, sizeof(name));
    text_hex(name, sizeof(name), hex);
    snprintf(n.origin, sizeof(n.origin), "inhouse.local/log/%s", hex);
    randombytes_buf(seed, sizeof(seed));
    crypto_sign_seed_keypair(n.public, secret, seed);
    wrap(k, seed, (const uint8_t *)n.origin, strlen(n.origin), n.nonce, n.wrapped);
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret, sizeof(secret));
    return store_write_wait(k->store, write_log, &n, why);
}

/* origin, public, nonce, wrapped: the first four columns. */
static enum fail open_log_key(struct audit_keys *k, struct store_stmt *s, struct audit_verifier *v,
                              uint8_t secret[64], struct fault *why)
{
    size_t n;
    const char *origin = store_col_text(s, 0);
    const uint8_t *public = store_col_blob(s, 1, &n);
    uint8_t seed[32];
    uint8_t made[32];
    if (strlen(origin) >= AUDIT_ORIGIN_SIZE || n != 32 ||
        !unwrap(k, s, 2, (const uint8_t *)origin, strlen(origin), seed)) {
        return fault_unwrap(k, "the log's key", why);
    }
    audit_verifier_init(v, origin, public);
    crypto_sign_seed_keypair(made, secret, seed);
    sodium_memzero(seed, sizeof(seed));
    return memcmp(made, public, 32) == 0 ? FAIL_NONE : fault_unwrap(k, "the log's key", why);
}

static enum fail read_log(struct audit_keys *k, struct audit_verifier *v, uint8_t secret[64],
                          bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(k->reader, "SELECT origin, public, nonce, wrapped FROM log_key "
                               "ORDER BY id DESC LIMIT 1");
    enum fail f = store_step(s, found, why);
    if (f != FAIL_NONE || !*found) {
        return f;
    }
    return open_log_key(k, s, v, secret, why);
}

enum fail audit_keys_log(struct audit_keys *k, bool may_make, struct audit_verifier *verifier,
                         uint8_t secret[64], struct fault *why)
{
    bool found = false;
    enum fail f = read_log(k, verifier, secret, &found, why);
    if (f == FAIL_NONE && !found && may_make) {
        f = make_log(k, why);
        if (f == FAIL_NONE) {
            f = read_log(k, verifier, secret, &found, why);
        }
    }
    if (f == FAIL_NONE && !found) {
        FAULT(why, FAIL_RECORD_UNAVAILABLE, "%s lacks the key of a log that has records already",
              store_path(k->store));
        f = fail_hint(why, "Restore keys.db and master.key from their backup.");
    }
    return f;
}

enum fail audit_keys_public(const char *home, struct audit_verifier *out, struct fault *why)
{
    char path[4096];
    keys_path(home, path, sizeof(path));
    struct store_conn *c;
    enum fail f = store_file_open(path, &c, why);
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s =
            store_query(c, "SELECT origin, public FROM log_key ORDER BY id DESC LIMIT 1");
        bool row = false;
        f = store_step(s, &row, why);
        size_t n = 0;
        const uint8_t *public = row ? store_col_blob(s, 1, &n) : NULL;
        if (f == FAIL_NONE && (n != 32 || strlen(store_col_text(s, 0)) >= AUDIT_ORIGIN_SIZE)) {
            f = FAULT(why, FAIL_NOT_FOUND, "%s holds no key of a log", path);
        }
        if (f == FAIL_NONE) {
            audit_verifier_init(out, store_col_text(s, 0), public);
        }
    }
    store_reader_close(c);
    return f;
}

enum fail audit_key_read(const char *home, char vkey[AUDIT_VKEY_SIZE], struct fault *why)
{
    struct audit_verifier v;
    enum fail f = audit_keys_public(home, &v, why);
    if (f == FAIL_NONE) {
        audit_vkey_write(&v, vkey);
    }
    return f;
}

/* ---- changing it: rotate.c ---- */

struct next_key {
    struct new_log log;
    int64_t from_size;
};

static enum fail write_next(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct next_key *n = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT OR REPLACE INTO log_key_next (id, origin, public, nonce, "
                           "wrapped, created_at, from_size) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)");
    store_bind_text(s, 1, n->log.origin);
    store_bind_blob(s, 2, n->log.public, sizeof(n->log.public));
    store_bind_blob(s, 3, n->log.nonce, sizeof(n->log.nonce));
    store_bind_blob(s, 4, n->log.wrapped, sizeof(n->log.wrapped));
    store_bind_int(s, 5, clock_now_us());
    store_bind_int(s, 6, n->from_size);
    return store_run(s, why);
}

enum fail audit_keys_next(struct audit_keys *k, const char *origin, int64_t from_size,
                          struct fault *why)
{
    struct next_key n = {.from_size = from_size};
    uint8_t seed[32], secret[64];
    (void)text_copy(n.log.origin, sizeof(n.log.origin), origin);
    randombytes_buf(seed, sizeof(seed));
    crypto_sign_seed_keypair(n.log.public, secret, seed);
    wrap(k, seed, (const uint8_t *)origin, strlen(origin), n.log.nonce, n.log.wrapped);
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret, sizeof(secret));
    return store_write_wait(k->store, write_next, &n, why);
}

enum fail audit_keys_pending(struct audit_keys *k, struct audit_verifier *v, uint8_t secret[64],
                             int64_t *from_size, bool *found, struct fault *why)
{
    pthread_mutex_lock(&k->lock);
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            k->reader, "SELECT origin, public, nonce, wrapped, from_size FROM log_key_next");
        f = store_step(s, found, why);
        if (f == FAIL_NONE && *found) {
            *from_size = store_col_int(s, 4);
            f = open_log_key(k, s, v, secret, why);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return f;
}

static enum fail write_promotion(struct store_tx *tx, void *arg, struct fault *why)
{
    static const char *const acts[] = {
        "UPDATE log_key SET wrapped = NULL, nonce = zeroblob(0), retired_at = ?1 "
        "WHERE retired_at = 0",
        "INSERT INTO log_key (origin, public, nonce, wrapped, created_at, retired_at) "
        "SELECT origin, public, nonce, wrapped, created_at, 0 FROM log_key_next WHERE ?1 > 0",
        "DELETE FROM log_key_next WHERE ?1 > 0"};
    enum fail f = FAIL_NONE;
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(acts) && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), acts[i]);
        store_bind_int(s, 1, clock_now_us());
        f = store_run(s, why);
    }
    return f;
}

enum fail audit_keys_promote(struct audit_keys *k, struct fault *why)
{
    enum fail f = store_write_wait(k->store, write_promotion, NULL, why);
    return f != FAIL_NONE ? f : store_truncate_wait(k->store, why);
}

static enum fail write_drop(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM log_key_next");
    return store_run(s, why);
}

enum fail audit_keys_drop_next(struct audit_keys *k, struct fault *why)
{
    return store_write_wait(k->store, write_drop, NULL, why);
}

bool audit_keys_previous(struct audit_keys *k, struct audit_verifier *out)
{
    struct fault why;
    bool row = false;
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    {
        AUTO_STMT struct store_stmt *s = store_query(
            k->reader, "SELECT origin, public FROM log_key ORDER BY id DESC LIMIT 1 OFFSET 1");
        if (store_step(s, &row, &why) == FAIL_NONE && row) {
            const uint8_t *public = store_col_blob(s, 1, &n);
            row = n == 32;
            if (row) {
                audit_verifier_init(out, store_col_text(s, 0), public);
            }
        }
    }
    pthread_mutex_unlock(&k->lock);
    return row;
}

enum fail audit_key_each(const char *home, void (*fn)(void *arg, const struct audit_key *key),
                         void *arg, struct fault *why)
{
    char path[4096];
    keys_path(home, path, sizeof(path));
    struct store_conn *c;
    enum fail f = store_file_open(path, &c, why);
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT origin, public, created_at, retired_at FROM log_key ORDER BY id");
        bool row;
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
            size_t n;
            struct audit_verifier v;
            struct audit_key key = {.created_at = store_col_int(s, 2),
                                    .retired_at = store_col_int(s, 3)};
            const uint8_t *public = store_col_blob(s, 1, &n);
            if (n == 32) {
                audit_verifier_init(&v, store_col_text(s, 0), public);
                audit_vkey_write(&v, key.vkey);
                fn(arg, &key);
            }
        }
    }
    store_reader_close(c);
    return f;
}

/* ---- subjects ---- */

static void subject_name(const struct audit_keys *k, const char *team, const char *requester,
                         uint8_t out[32])
{
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, k->name_key, sizeof(k->name_key));
    /* with its NUL, so that ("ab", "c") is not ("a", "bc") */
    crypto_auth_hmacsha256_update(&st, (const uint8_t *)team, strlen(team) + 1);
    crypto_auth_hmacsha256_update(&st, (const uint8_t *)requester, strlen(requester));
    crypto_auth_hmacsha256_final(&st, out);
}

static struct slot *slot_of(struct audit_keys *k, const uint8_t name[32])
{
    uint64_t h;
    memcpy(&h, name, sizeof(h));
    struct slot *s = &k->slots[h % CACHE_SIZE];
    while (s->used && memcmp(s->name, name, 32) != 0) {
        s = s + 1 < k->slots + CACHE_SIZE ? s + 1 : k->slots;
    }
    return s;
}

static void derive(struct audit_subject *out, int64_t id, uint8_t key[32])
{
    out->id = id;
    crypto_auth_hmacsha256(out->mac_key, (const uint8_t *)"mac", 3, key);
    crypto_auth_hmacsha256(out->box_key, (const uint8_t *)"box", 3, key);
    sodium_memzero(key, 32);
}

static enum fail find_subject(struct audit_keys *k, const uint8_t name[32],
                              struct audit_subject *out, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        k->reader,
        "SELECT id, nonce, wrapped FROM subject_key WHERE subject = ?1 AND erased_at IS NULL");
    store_bind_blob(s, 1, name, 32);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        uint8_t key[32];
        if (!unwrap(k, s, 1, name, 32, key)) {
            return fault_unwrap(k, "a subject's key", why);
        }
        derive(out, store_col_int(s, 0), key);
    }
    return f;
}

struct new_subject {
    const uint8_t *name;
    uint8_t nonce[NONCE_SIZE];
    uint8_t wrapped[WRAPPED_SIZE];
};

static enum fail write_subject(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct new_subject *n = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO subject_key (subject, nonce, wrapped, "
                                       "created_at) VALUES (?1, ?2, ?3, ?4)");
    store_bind_blob(s, 1, n->name, 32);
    store_bind_blob(s, 2, n->nonce, sizeof(n->nonce));
    store_bind_blob(s, 3, n->wrapped, sizeof(n->wrapped));
    store_bind_int(s, 4, clock_now_us());
    return store_run(s, why);
}

static enum fail make_subject(struct audit_keys *k, const uint8_t name[32], struct fault *why)
{
    struct new_subject n = {.name = name};
    uint8_t key[32];
    randombytes_buf(key, sizeof(key));
    wrap(k, key, name, 32, n.nonce, n.wrapped);
    sodium_memzero(key, sizeof(key));
    return store_write_wait(k->store, write_subject, &n, why);
}

static enum fail load_subject(struct audit_keys *k, const uint8_t name[32], struct slot *slot,
                              struct fault *why)
{
    bool found = false;
    struct audit_subject subject;
    enum fail f = find_subject(k, name, &subject, &found, why);
    if (f == FAIL_NONE && !found) {
        f = make_subject(k, name, why);
        if (f == FAIL_NONE) {
            f = find_subject(k, name, &subject, &found, why);
        }
    }
    if (f != FAIL_NONE) {
        return f;
    }
    ASSERT(found);
    if (k->slots_used >= CACHE_SIZE * 3 / 4) {
        forget_all(k);
        slot = slot_of(k, name);
    }
    slot->used = true;
    memcpy(slot->name, name, 32);
    slot->subject = subject;
    k->slots_used++;
    return FAIL_NONE;
}

enum fail audit_keys_subject(struct audit_keys *k, const char *team, const char *requester,
                             struct audit_subject *out, struct fault *why)
{
    uint8_t name[32];
    subject_name(k, team, requester, name);
    enum fail f = FAIL_NONE;
    pthread_mutex_lock(&k->lock);
    struct slot *slot = slot_of(k, name);
    if (!slot->used) {
        f = load_subject(k, name, slot, why);
        slot = slot_of(k, name);
    }
    if (f == FAIL_NONE) {
        *out = slot->subject;
    }
    pthread_mutex_unlock(&k->lock);
    return f;
}

enum fail audit_keys_subject_by_id(struct audit_keys *k, int64_t id, struct audit_subject *out,
                                   struct fault *why)
{
    pthread_mutex_lock(&k->lock);
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            k->reader,
            "SELECT subject, nonce, wrapped FROM subject_key WHERE id = ?1 AND erased_at IS NULL");
        store_bind_int(s, 1, id);
        bool row;
        f = store_step(s, &row, why);
        size_t n = 0;
        const uint8_t *name = row ? store_col_blob(s, 0, &n) : NULL;
        uint8_t key[32];
        if (f == FAIL_NONE && !row) {
            f = FAULT(why, FAIL_NOT_FOUND, "its content was erased");
        } else if (f == FAIL_NONE && (n != 32 || !unwrap(k, s, 1, name, n, key))) {
            f = fault_unwrap(k, "a subject's key", why);
        } else if (f == FAIL_NONE) {
            derive(out, id, key);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return f;
}

static enum fail write_erased(struct store_tx *tx, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE subject_key SET wrapped = NULL, "
                                       "nonce = zeroblob(0), erased_at = ?2 WHERE id = ?1");
    store_bind_int(s, 1, *(const int64_t *)arg);
    store_bind_int(s, 2, clock_now_us());
    return store_run(s, why);
}

/* Before the key goes: a restore must know of it whatever happens next. */
static enum fail note_erasure(struct audit_keys *k, const uint8_t name[32], struct fault *why)
{
    char home[4096];
    int64_t beyond = 0;
    (void)text_copy(home, sizeof(home), store_path(k->store));
    *strrchr(home, '/') = '\0';
    enum fail f = audit_erasure_note(home, name, &beyond, why);
    if (f == FAIL_NONE && beyond > 0) {
        log_write(LOG_LEVEL_WARN, "audit.erasure_out_of_reach",
                  LOG_FIELDS(LOG_NUM("copies_of_keys", beyond)));
    }
    return f;
}

enum fail audit_keys_erase(struct audit_keys *k, const char *team, const char *requester,
                           int64_t *id, struct fault *why)
{
    uint8_t name[32];
    subject_name(k, team, requester, name);
    *id = 0;
    bool found = false;
    struct audit_subject subject;
    pthread_mutex_lock(&k->lock);
    enum fail f = find_subject(k, name, &subject, &found, why);
    if (f == FAIL_NONE && found) {
        *id = subject.id;
        f = note_erasure(k, name, why);
    }
    if (f == FAIL_NONE && found) {
        f = store_write_wait(k->store, write_erased, &subject.id, why);
        forget_all(k);
        if (f == FAIL_NONE) {
            f = store_truncate_wait(k->store, why);
        }
    }
    pthread_mutex_unlock(&k->lock);
    sodium_memzero(&subject, sizeof(subject));
    return f;
}

/* ---- every wrapped key under another master key ---- */

struct rewrap {
    struct audit_keys from, to; /* only their wrap keys are used */
    uint8_t epoch[32];
    int64_t n;
};

/* One table: id, name that a box is bound to, nonce, box. */
static enum fail rewrap_rows(struct store_conn *c, struct rewrap *r, const char *select,
                             const char *update, struct fault *why)
{
    enum fail f;
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(c, select);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        uint8_t key[32], nonce[NONCE_SIZE], box[WRAPPED_SIZE];
        size_t n;
        const uint8_t *what = store_col_blob(s, 1, &n);
        if (!unwrap(&r->from, s, 2, what, n, key)) {
            FAULT(why, FAIL_RECORD_UNAVAILABLE, "a key in keys.db cannot be opened");
            return fail_hint(why, "Nothing was changed. Is this the master.key of this folder?");
        }
        wrap(&r->to, key, what, n, nonce, box);
        sodium_memzero(key, sizeof(key));
        AUTO_STMT struct store_stmt *u = store_query(c, update);
        store_bind_int(u, 1, store_col_int(s, 0));
        store_bind_blob(u, 2, nonce, sizeof(nonce));
        store_bind_blob(u, 3, box, sizeof(box));
        if ((f = store_run(u, why)) != FAIL_NONE) {
            return f;
        }
        r->n++;
    }
    return f;
}

static enum fail write_rewrap(struct store_tx *tx, void *arg, struct fault *why)
{
    struct rewrap *r = arg;
    struct store_conn *c = store_tx_conn(tx);
    enum fail f = rewrap_rows(c, r,
                              "SELECT id, subject, nonce, wrapped FROM subject_key "
                              "WHERE wrapped IS NOT NULL ORDER BY id",
                              "UPDATE subject_key SET nonce = ?2, wrapped = ?3 WHERE id = ?1",
                              why);
    f = f != FAIL_NONE ? f
                       : rewrap_rows(c, r,
                                     "SELECT id, CAST(origin AS BLOB), nonce, wrapped FROM log_key "
                                     "WHERE wrapped IS NOT NULL ORDER BY id",
                                     "UPDATE log_key SET nonce = ?2, wrapped = ?3 WHERE id = ?1",
                                     why);
    f = f != FAIL_NONE
            ? f
            : rewrap_rows(c, r,
                          "SELECT id, CAST(origin AS BLOB), nonce, wrapped FROM log_key_next",
                          "UPDATE log_key_next SET nonce = ?2, wrapped = ?3 WHERE id = ?1", why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(c, "INSERT OR REPLACE INTO wrap_epoch (id, epoch) VALUES (1, ?1)");
    store_bind_blob(s, 1, r->epoch, sizeof(r->epoch));
    return store_run(s, why);
}

enum fail audit_keys_rewrap(struct store *keys, const struct keyring_master *now,
                            const struct keyring_master *next, int64_t *n, struct fault *why)
{
    struct rewrap *r = mem_alloc(sizeof(*r));
    keyring_master_derive(now, "audit-key-wrap", r->from.wrap_key);
    keyring_master_derive(next, "audit-key-wrap", r->to.wrap_key);
    keyring_master_epoch(next, r->epoch);
    enum fail f = store_write_wait(keys, write_rewrap, r, why);
    *n = r->n;
    sodium_memzero(r, sizeof(*r));
    mem_free(r);
    return f;
}
