/* SPDX-License-Identifier: Apache-2.0 */
/* Keyring, inside: what is held in memory, and how a change is made: one at a time (change),
   written and recorded in one transaction, then applied under the lock that lookups read with. */
#pragma once

#include <pthread.h>

#include "trust/keyring/keyring.h"

#define KEYS_MAX 10000
#define ACCOUNTS_MAX 10000
#define TEAMS_MAX 1000
#define SESSIONS_MAX 20000
#define SESSIONS_EACH 32
#define PARENTS_MAX 8 /* keys that make keys that make keys */
#define LAST_USE_EVERY_US (60 * 1000000LL)
#define HEX_SECRET 64
/* Of hashes that nobody can choose without the master key: their first bytes do. */
#define BUCKETS 1024
#define PASSWORD_SIZE 128 /* libsodium's notation of Argon2id */

/* Teams and accounts are never freed or moved before the keyring is: pointers to them last. */
struct team {
    char name[KEYRING_NAME_SIZE];
    enum secrecy label;
    int64_t created_at;
    char created_by[80];
};

struct member {
    struct team *team;
    enum keyring_role role;
    bool directory;
};

struct account {
    struct id id;
    char name[KEYRING_NAME_SIZE];
    enum keyring_account_kind kind;
    char origin[KEYRING_ORIGIN_SIZE], subject[KEYRING_SUBJECT_SIZE];
    char password[PASSWORD_SIZE];
    int64_t created_at;
    char created_by[80];
    int64_t disabled_at, last_login_at, checked_at;
    struct member members[KEYRING_MEMBER_MAX];
    size_t members_len, sessions;
};

struct entry { /* a key */
    struct keyring_key key; /* team's spelling is the team's name */
    struct account *owner;
    struct entry *parent;
    uint8_t hash[32], old_hash[32];
    int64_t last_use_at; /* atomic: moved by lookups that hold only a read lock */
    struct entry *next, *next_old; /* in the bucket of hash, of old_hash */
};

struct session {
    uint8_t hash[32];
    struct id id;
    struct account *account;
    char team[KEYRING_NAME_SIZE];
    int64_t created_at, expires_at;
    int64_t seen_at;    /* atomic */
    int64_t written_at; /* atomic: the seen_at on the disk */
    struct session *next;
};

struct throttle;

struct keyring {
    struct store *store;
    struct keyring_options o;
    uint8_t key_key[32], session_key[32], csrf_key[32], token_key[32]; /* one for each purpose */
    char nobody[PASSWORD_SIZE]; /* what an unknown name's password is checked against */
    pthread_mutex_t change;     /* held by whoever changes something */
    pthread_mutex_t hashing;    /* one password at a time: each takes 64 MiB */
    struct throttle *throttle;
    pthread_rwlock_t lock; /* of what follows */
    struct entry *keys[BUCKETS], *old_keys[BUCKETS];
    size_t keys_len;
    struct session *sessions[BUCKETS];
    size_t sessions_len;
    struct account **accounts; /* room for ACCOUNTS_MAX */
    size_t accounts_len;
    struct team **teams; /* room for TEAMS_MAX */
    size_t teams_len;
};

static inline size_t ring_bucket(const uint8_t hash[32])
{
    return (size_t)(hash[0] | hash[1] << 8) % BUCKETS;
}
/* HMAC of a secret of `len` characters. */
void ring_hash(const uint8_t key[32], const char *secret, size_t len, uint8_t out[32]);
/* 32 random bytes as hex after a prefix; out has room for both and a NUL. */
void ring_secret(const char *prefix, char *out);

/* Runs write(tx, arg) and the record of e (NULL: none) in one durable transaction. */
MUST_CHECK enum fail ring_write(struct keyring *k, store_write_fn write, void *arg,
                                const struct keyring_event *e, struct fault *why);

/* ---- accounts.c; k->lock held for reading at least ---- */
struct team *ring_team(struct keyring *k, const char *name);       /* NULL: none */
struct account *ring_account(struct keyring *k, const char *name); /* by name or shown id */
struct account *ring_account_by_id(struct keyring *k, const struct id *id);
const struct member *ring_member(const struct account *a, const char *team); /* NULL: none */
void ring_account_show(const struct account *a, struct keyring_account *out);
bool ring_is_live(const struct account *a);
/* Fills out for an account in one of its teams (NULL: its first). FAIL_FORBIDDEN: not in it. */
MUST_CHECK enum fail ring_principal(const struct account *a, const char *team,
                                    enum principal_kind kind, const struct id *id,
                                    struct principal *out, struct fault *why);
MUST_CHECK enum fail ring_team_write(struct store_tx *tx, const struct team *t, struct fault *why);
/* Both after the write; the lock held for writing. The copy is the keyring's. */
struct team *ring_team_insert(struct keyring *k, const struct team *t);
struct account *ring_account_insert(struct keyring *k, const struct account *a);
MUST_CHECK enum fail ring_account_write(struct store_tx *tx, const struct account *a,
                                        struct fault *why);
MUST_CHECK enum fail ring_members_write(struct store_tx *tx, const struct account *a,
                                        const char *by, struct fault *why);
/* FAIL_FORBIDDEN unless by administers and has every scope of the role (COUNT: none). */
MUST_CHECK enum fail ring_may_grant(const struct principal *by, enum keyring_role role,
                                    struct fault *why);
MUST_CHECK enum fail ring_no_account(const char *name, struct fault *why);

/* ---- keys.c ---- */
MUST_CHECK enum fail ring_keys_load(struct keyring *k, struct store_conn *c, struct fault *why);
void ring_keys_free(struct keyring *k);
bool ring_key_name_taken(struct keyring *k, const char *name); /* by a key of nobody */
size_t ring_keys_live(struct keyring *k, const char *team);

/* ---- sessions.c ---- */
MUST_CHECK enum fail ring_sessions_load(struct keyring *k, struct store_conn *c, struct fault *why);
void ring_sessions_free(struct keyring *k);
/* Forgets those of an account but keep (may be NULL), in memory; the lock held for writing. */
void ring_sessions_drop(struct keyring *k, struct account *a, const struct id *keep);
MUST_CHECK enum fail ring_sessions_delete(struct store_tx *tx, const struct id *account,
                                          const struct id *keep, struct fault *why);

/* ---- password.c ---- */
MUST_CHECK enum fail ring_password_hash(struct keyring *k, const char *password,
                                        char out[PASSWORD_SIZE], struct fault *why);
/* Takes the same time whatever stored is ("" also). *stale: it should be made anew. */
bool ring_password_check(struct keyring *k, const char *stored, const char *password, bool *stale);
MUST_CHECK enum fail ring_password_good(const char *name, const char *password, struct fault *why);
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);
