/* SPDX-License-Identifier: Apache-2.0 */
/* API keys: the table in memory that lookups read, and the rows behind it. */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/keyring/keyring.h"

#define KEYS_MAX 10000
#define SECRET_LEN (KEYRING_SECRET_SIZE - 1)
#define LAST_USE_EVERY_US (60 * 1000000LL)

struct entry {
    struct keyring_key key;
    uint8_t hash[32];
    int64_t last_use_at; /* atomic: moved by lookups that hold only a read lock */
    struct entry *next;  /* in its bucket */
};

/* By the first bytes of the keyed hash, which nobody can choose without the master key. */
#define BUCKETS 1024

struct keyring {
    struct store *store;
    uint8_t hash_key[32];
    pthread_rwlock_t lock;
    struct entry *buckets[BUCKETS]; /* under lock */
    size_t count;
};

static void hash_secret(const struct keyring *k, const char *secret, uint8_t out[32])
{
    crypto_auth_hmacsha256(out, (const uint8_t *)secret, SECRET_LEN, k->hash_key);
}

static struct entry **bucket_of(struct keyring *k, const uint8_t hash[32])
{
    return &k->buckets[(hash[0] | hash[1] << 8) % BUCKETS];
}

static void insert(struct keyring *k, const struct entry *from)
{
    struct entry *e = mem_dup(from, sizeof(*from));
    struct entry **b = bucket_of(k, e->hash);
    e->next = *b;
    *b = e;
    k->count++;
}

static struct entry *find_name(struct keyring *k, const char *name)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->buckets[i]; e != NULL; e = e->next) {
            if (strcmp(e->key.name, name) == 0) {
                return e;
            }
        }
    }
    return NULL;
}

static enum fail read_row(struct store_stmt *s, struct entry *e, struct fault *why)
{
    struct keyring_key *key = &e->key;
    size_t n;
    bool good = store_col_id(s, 0, &key->id);
    text_copy(key->name, sizeof(key->name), store_col_text(s, 1));
    text_copy(key->team, sizeof(key->team), store_col_text(s, 2));
    good = good && keyring_role_find(store_col_text(s, 3), &key->role);
    good = good && keyring_scopes_read(store_col_text(s, 4), &key->scopes, NULL) == FAIL_NONE;
    const void *hash = store_col_blob(s, 5, &n);
    good = good && n == sizeof(e->hash);
    if (!good) {
        FAULT(why, FAIL_INTERNAL, "the stored API key \"%s\" is damaged", key->name);
        return fail_hint(why, "Run `inhouse audit verify`, then restore the database from a "
                              "backup.");
    }
    memcpy(e->hash, hash, sizeof(e->hash));
    key->created_at = store_col_int(s, 6);
    text_copy(key->created_by, sizeof(key->created_by), store_col_text(s, 7));
    key->expires_at = store_col_int(s, 8);
    e->last_use_at = store_col_int(s, 9);
    key->revoked_at = store_col_int(s, 10);
    return FAIL_NONE;
}

static enum fail load(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT id, name, team, role, scopes, hash, created_at, created_by, "
                       "expires_at, last_use_at, revoked_at FROM api_key ORDER BY id");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct entry e = {0};
        f = read_row(s, &e, why);
        if (f != FAIL_NONE) {
            return f;
        }
        insert(k, &e);
    }
    return f;
}

enum fail keyring_open(struct store *s, const struct keyring_master *m, struct keyring **out,
                       struct fault *why)
{
    struct keyring *k = mem_alloc(sizeof(*k));
    k->store = s;
    pthread_rwlock_init(&k->lock, NULL);
    keyring_master_derive(m, "api-key-hash", k->hash_key);
    struct store_conn *c;
    enum fail f = store_reader_open(s, &c, why);
    if (f == FAIL_NONE) {
        f = load(k, c, why);
        store_reader_close(c);
    }
    if (f != FAIL_NONE) {
        keyring_close(k);
        return f;
    }
    *out = k;
    return FAIL_NONE;
}

void keyring_close(struct keyring *k)
{
    if (k == NULL) {
        return;
    }
    for (int i = 0; i < BUCKETS; i++) {
        while (k->buckets[i] != NULL) {
            struct entry *e = k->buckets[i];
            k->buckets[i] = e->next;
            mem_free(e);
        }
    }
    sodium_memzero(k->hash_key, sizeof(k->hash_key));
    pthread_rwlock_destroy(&k->lock);
    mem_free(k);
}

/* ---- lookup ---- */

struct use {
    struct id id;
    int64_t at;
};

static enum fail write_use(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct use *u = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE api_key SET last_use_at = ?2 WHERE id = ?1");
    store_bind_id(s, 1, &u->id);
    store_bind_int(s, 2, u->at);
    return store_run(s, why);
}

static void use_written(void *arg, enum fail code, const struct fault *why)
{
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_DEBUG, "keyring.last_use", why);
    }
    mem_free(arg);
}

/* Whoever moves the time on writes it, so one of many threads does. A full queue skips a minute. */
static void note_use(struct keyring *k, struct entry *e, int64_t now)
{
    int64_t last = __atomic_load_n(&e->last_use_at, __ATOMIC_RELAXED);
    if (now - last < LAST_USE_EVERY_US ||
        !__atomic_compare_exchange_n(&e->last_use_at, &last, now, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
        return;
    }
    struct use *u = mem_alloc(sizeof(*u));
    *u = (struct use){e->key.id, now};
    if (store_write(k->store, write_use, u, use_written, NULL, NULL) != FAIL_NONE) {
        mem_free(u);
    }
}

static enum fail check_live(const struct entry *e, int64_t now, struct fault *why)
{
    if (e->key.revoked_at != 0) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this API key was revoked");
        return fail_hint(why, "Ask an administrator for a new one.");
    }
    if (e->key.expires_at != 0 && e->key.expires_at <= now) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this API key has expired");
        return fail_hint(why, "Ask an administrator for a new one.");
    }
    return FAIL_NONE;
}

enum fail keyring_lookup(struct keyring *k, const char *bearer, struct principal *out,
                         struct fault *why)
{
    memset(out, 0, sizeof(*out));
    if (bearer == NULL || strlen(bearer) != SECRET_LEN || memcmp(bearer, "ik_", 3) != 0) {
        FAULT(why, FAIL_UNAUTHENTICATED, "no valid API key was given");
        return fail_hint(why, "Send `Authorization: Bearer ik_...`; `inhouse keys add` makes "
                              "a key.");
    }
    uint8_t hash[32];
    hash_secret(k, bearer, hash);
    int64_t now = clock_now_us();
    enum fail f = FAIL_UNAUTHENTICATED;
    bool found = false;
    pthread_rwlock_rdlock(&k->lock);
    for (struct entry *e = *bucket_of(k, hash); e != NULL && !found; e = e->next) {
        if (text_equal_secret(e->hash, hash, sizeof(hash))) {
            found = true;
            f = check_live(e, now, why);
            if (f == FAIL_NONE) {
                *out = (struct principal){.kind = PRINCIPAL_KIND_KEY,
                                          .id = e->key.id,
                                          .label = SECRECY_INTERNAL,
                                          .role = e->key.role,
                                          .scopes = e->key.scopes};
                text_copy(out->name, sizeof(out->name), e->key.name);
                text_copy(out->key, sizeof(out->key), e->key.name);
                text_copy(out->team, sizeof(out->team), e->key.team);
                note_use(k, e, now);
            }
        }
    }
    pthread_rwlock_unlock(&k->lock);
    if (!found) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this API key is not known here");
        fail_hint(why, "Check for a missing character; `inhouse keys list` shows the keys.");
    }
    return f;
}

size_t keyring_count(struct keyring *k)
{
    size_t live = 0;
    int64_t now = clock_now_us();
    pthread_rwlock_rdlock(&k->lock);
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->buckets[i]; e != NULL; e = e->next) {
            live += e->key.revoked_at == 0 &&
                    (e->key.expires_at == 0 || e->key.expires_at > now);
        }
    }
    pthread_rwlock_unlock(&k->lock);
    return live;
}

/* ---- change ---- */

static enum fail check_new(const struct keyring_new *n, const struct principal *by,
                           const char *team, uint32_t scopes, struct fault *why)
{
    if (n->name == NULL || !text_is_name(n->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "a key's name is 1 to 64 of a-z, 0-9, dot, dash, underscore");
        return fail_param(why, "name");
    }
    if (!text_is_name(team)) {
        FAULT(why, FAIL_BAD_REQUEST, "a team's name is 1 to 64 of a-z, 0-9, dot, dash, underscore");
        return fail_param(why, "team");
    }
    if (n->expires_at != 0 && n->expires_at <= clock_now_us()) {
        FAULT(why, FAIL_BAD_REQUEST, "the key would have expired already");
        return fail_param(why, "expires_at");
    }
    uint32_t beyond = scopes & ~keyring_role_scopes(n->role);
    if (beyond != 0) {
        char names[160];
        keyring_scopes_show(beyond, names, sizeof(names));
        FAULT(why, FAIL_BAD_REQUEST, "the role %s does not carry the scope %s",
              keyring_role_name(n->role), names);
        return fail_param(why, "scopes");
    }
    if (keyring_require(by, KEYRING_SCOPE_ADMIN, why) != FAIL_NONE) {
        return FAIL_FORBIDDEN;
    }
    beyond = scopes & ~by->scopes;
    if (beyond != 0) {
        char names[160];
        keyring_scopes_show(beyond, names, sizeof(names));
        return FAULT(why, FAIL_FORBIDDEN, "%s cannot give the scope %s, which it lacks", by->name,
                     names);
    }
    if (strcmp(team, by->team) != 0 && by->role != KEYRING_ROLE_ADMIN) {
        return FAULT(why, FAIL_FORBIDDEN, "%s cannot make keys for another team", by->name);
    }
    return FAIL_NONE;
}

static enum fail write_key(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct entry *e = arg;
    char scopes[160];
    keyring_scopes_show(e->key.scopes, scopes, sizeof(scopes));
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "INSERT INTO api_key (id, name, team, role, scopes, hash, created_at, "
                    "created_by, expires_at, last_use_at, revoked_at) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0)");
    store_bind_id(s, 1, &e->key.id);
    store_bind_text(s, 2, e->key.name);
    store_bind_text(s, 3, e->key.team);
    store_bind_text(s, 4, keyring_role_name(e->key.role));
    store_bind_text(s, 5, scopes);
    store_bind_blob(s, 6, e->hash, sizeof(e->hash));
    store_bind_int(s, 7, e->key.created_at);
    store_bind_text(s, 8, e->key.created_by);
    store_bind_int(s, 9, e->key.expires_at);
    return store_run(s, why);
}

enum fail keyring_add(struct keyring *k, const struct keyring_new *n, const struct principal *by,
                      char secret[KEYRING_SECRET_SIZE], struct keyring_key *made,
                      struct fault *why)
{
    ASSERT(n->role < KEYRING_ROLE_COUNT);
    const char *team = n->team != NULL ? n->team : KEYRING_TEAM_DEFAULT;
    uint32_t scopes = n->scopes != 0 ? n->scopes : keyring_role_scopes(n->role);
    enum fail f = check_new(n, by, team, scopes, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_rwlock_rdlock(&k->lock);
    bool taken = find_name(k, n->name) != NULL;
    bool full = k->count >= KEYS_MAX;
    pthread_rwlock_unlock(&k->lock);
    if (taken) {
        FAULT(why, FAIL_CONFLICT, "an API key named \"%s\" exists already", n->name);
        fail_param(why, "name");
        return fail_hint(why, "Names are never used twice, so that the record stays clear.");
    }
    if (full) {
        return FAULT(why, FAIL_TOO_LARGE, "there are %d API keys already", KEYS_MAX);
    }
    struct entry e = {.key = {.id = text_id_new(),
                              .role = n->role,
                              .scopes = scopes,
                              .created_at = clock_now_us(),
                              .expires_at = n->expires_at}};
    text_copy(e.key.name, sizeof(e.key.name), n->name);
    text_copy(e.key.team, sizeof(e.key.team), team);
    text_copy(e.key.created_by, sizeof(e.key.created_by), by->name);
    uint8_t bytes[32];
    randombytes_buf(bytes, sizeof(bytes));
    memcpy(secret, "ik_", 3);
    text_hex(bytes, sizeof(bytes), secret + 3);
    sodium_memzero(bytes, sizeof(bytes));
    hash_secret(k, secret, e.hash);
    f = store_write_wait(k->store, write_key, &e, why);
    if (f != FAIL_NONE) {
        sodium_memzero(secret, KEYRING_SECRET_SIZE);
        return f;
    }
    pthread_rwlock_wrlock(&k->lock);
    insert(k, &e);
    pthread_rwlock_unlock(&k->lock);
    *made = e.key;
    return FAIL_NONE;
}

static enum fail write_revoked(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct use *u = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE api_key SET revoked_at = ?2 WHERE id = ?1 AND revoked_at = 0");
    store_bind_id(s, 1, &u->id);
    store_bind_int(s, 2, u->at);
    return store_run(s, why);
}

enum fail keyring_revoke(struct keyring *k, const char *name, struct fault *why)
{
    struct use u = {.at = clock_now_us()};
    pthread_rwlock_wrlock(&k->lock);
    struct entry *e = find_name(k, name);
    bool live = e != NULL && e->key.revoked_at <= 0;
    if (live) {
        /* At once, and before the disk: a key that is being revoked must not answer meanwhile. */
        e->key.revoked_at = u.at;
        u.id = e->key.id;
    }
    pthread_rwlock_unlock(&k->lock);
    if (!live) {
        FAULT(why, FAIL_NOT_FOUND, "there is no API key named \"%.64s\" that is in use", name);
        return fail_hint(why, "`inhouse keys list` shows them.");
    }
    enum fail f = store_write_wait(k->store, write_revoked, &u, why);
    if (f != FAIL_NONE) {
        /* Not durable: say so, and keep it refused here. Negative: may be revoked again. */
        fail_hint(why, "The key is refused until a restart; revoke it again once the disk works.");
        pthread_rwlock_wrlock(&k->lock);
        e->key.revoked_at = -u.at;
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct keyring_key *)a)->name, ((const struct keyring_key *)b)->name);
}

void keyring_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_key *key),
                  void *arg)
{
    pthread_rwlock_rdlock(&k->lock);
    size_t n = 0;
    AUTO_FREE struct keyring_key *all = mem_alloc_array(k->count + 1, sizeof(*all));
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->buckets[i]; e != NULL; e = e->next) {
            all[n] = e->key;
            all[n].last_use_at = __atomic_load_n(&e->last_use_at, __ATOMIC_RELAXED);
            all[n].revoked_at = e->key.revoked_at < 0 ? -e->key.revoked_at : e->key.revoked_at;
            n++;
        }
    }
    pthread_rwlock_unlock(&k->lock);
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 0; i < n; i++) {
        fn(arg, &all[i]);
    }
}
