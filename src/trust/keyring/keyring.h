/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyring: who is calling, and the master key of the data folder.
 *
 * A user's API key is `ik_` and 64 hexadecimal digits (32 random bytes), shown once when it is
 * made. Only HMAC-SHA256 of it is stored, under a key derived from the master key for this purpose
 * alone. A bearer that is not known, has expired or was revoked is FAIL_UNAUTHENTICATED; there is
 * no empty principal and no fallback to one.
 *
 * Owns: table `api_key`, the file master.key (0600). Keys are also held in memory, so
 * keyring_lookup touches no database.
 * Threads: keyring_lookup, keyring_list and keyring_local from any. keyring_add and keyring_revoke
 * block until the change is durable: never on a loop's thread. The master key is read-only after
 * opening. Limits: 10,000 keys; names and teams as text_is_name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"
#include "base/text/text.h"

/* ---- the master key ---- */

struct keyring_master;
/* Reads HOME/master.key or, when HOME has none, makes it (32 random bytes as hex, 0600, flushed).
   FAIL_FORBIDDEN when others may read it; FAIL_INTERNAL when it is not 64 hexadecimal digits.
   Blocks. */
MUST_CHECK enum fail keyring_master_open(const char *home, struct keyring_master **out,
                                         struct fault *why);
void keyring_master_close(struct keyring_master *m); /* wipes; NULL is fine */
/* HMAC-SHA256(master, "inhouse/1/" purpose): a key for that purpose and no other. The caller wipes
   it. */
void keyring_master_derive(const struct keyring_master *m, const char *purpose, uint8_t out[32]);

/* ---- principals ---- */

enum keyring_scope_bit {
#define SCOPE(name, text, help) KEYRING_SCOPE_BIT_##name,
#include "trust/keyring/scopes.def"
#undef SCOPE
    KEYRING_SCOPE_COUNT
};
enum keyring_scope {
#define SCOPE(name, text, help) KEYRING_SCOPE_##name = 1 << KEYRING_SCOPE_BIT_##name,
#include "trust/keyring/scopes.def"
#undef SCOPE
    KEYRING_SCOPES_ALL = (1 << KEYRING_SCOPE_COUNT) - 1
};
enum keyring_role {
#define ROLE(name, text, scopes) KEYRING_ROLE_##name,
#include "trust/keyring/roles.def"
#undef ROLE
    KEYRING_ROLE_COUNT
};

#define KEYRING_NAME_SIZE 65
#define KEYRING_TEAM_DEFAULT "default" /* the team of local users, and of keys made without one */

enum principal_kind {
    PRINCIPAL_KIND_KEY = 1, /* bearer of an API key: a person's, or one that nobody owns */
    PRINCIPAL_KIND_LOCAL,   /* peer of the Unix socket with the server's own uid */
    PRINCIPAL_KIND_SESSION, /* a browser that signed in */
    PRINCIPAL_KIND_JWT,     /* bearer of another issuer's token */
    PRINCIPAL_KIND_SERVICE, /* bearer of a service account's API key */
};

/* What a principal may be confined to by name. Where a list was given, only what it names is
   allowed, so an empty list allows nothing. */
enum keyring_limit {
    KEYRING_LIMIT_MODELS,
    KEYRING_LIMIT_DATASETS,
    KEYRING_LIMIT_WORKFLOWS,
    KEYRING_LIMIT_COUNT
};
#define KEYRING_LIMIT_SIZE 384
struct keyring_limits {
    uint32_t given; /* 1 << enum keyring_limit, or-ed: there is a list */
    char names[KEYRING_LIMIT_COUNT][KEYRING_LIMIT_SIZE]; /* a space between two names */
};

/* Who is calling, on whose behalf, and the most that may be done. Plain data: copied freely. */
struct principal {
    enum principal_kind kind;
    struct id id;                 /* of the key, session or token; zero for local */
    struct id user;               /* the account behind it; zero: none (local, a key of nobody) */
    /* who acts, in records: the account, else the key; "local:1000" */
    char name[KEYRING_NAME_SIZE];
    char key[KEYRING_NAME_SIZE];  /* the key's name; "" without one */
    char team[KEYRING_NAME_SIZE]; /* the one acted for in this request */
    enum secrecy label;           /* of that team */
    enum keyring_role role;       /* in that team; ADMIN counts on the whole server */
    uint32_t scopes;              /* enum keyring_scope, or-ed */
    struct keyring_limits limits;
};

/* May p use the thing of that name? Says only what p's own lists say: grants of datasets and the
   like are asked beside it. */
bool keyring_limits_allow(const struct principal *p, enum keyring_limit what, const char *name);
const char *keyring_limit_name(enum keyring_limit what); /* "models", "datasets", "workflows" */
/* Adds a list: names with spaces or commas between; "" is an empty list. FAIL_BAD_REQUEST when it
   is too long or a name has a character outside a-z A-Z 0-9 . _ - : / @ +. */
MUST_CHECK enum fail keyring_limits_set(struct keyring_limits *l, enum keyring_limit what,
                                        const char *names, struct fault *why);
/* Is everything that `inner` allows also allowed by `outer`? */
bool keyring_limits_within(const struct keyring_limits *inner, const struct keyring_limits *outer);

const char *keyring_scope_name(enum keyring_scope_bit bit);
const char *keyring_scope_help(enum keyring_scope_bit bit);
const char *keyring_role_name(enum keyring_role role);
bool keyring_role_find(const char *name, enum keyring_role *out);
uint32_t keyring_role_scopes(enum keyring_role role);
/* "infer work" -> bits; FAIL_BAD_REQUEST naming the word that is no scope. */
MUST_CHECK enum fail keyring_scopes_read(const char *names, uint32_t *out, struct fault *why);
/* The names with a space between, into out (room >= 160). */
void keyring_scopes_show(uint32_t scopes, char *out, size_t room);
/* FAIL_FORBIDDEN, naming the scope, unless p carries all of `scopes`. */
MUST_CHECK enum fail keyring_require(const struct principal *p, uint32_t scopes, struct fault *why);

/* The peer of a Unix socket: an admin when uid is this process's own or 0, else
   FAIL_UNAUTHENTICATED. */
MUST_CHECK enum fail keyring_local(uid_t uid, struct principal *out, struct fault *why);

/* ---- keys ---- */

struct keyring;

/* Loads every key. Blocks. s must outlive the keyring. */
MUST_CHECK enum fail keyring_open(struct store *s, const struct keyring_master *m,
                                  struct keyring **out, struct fault *why);
void keyring_close(struct keyring *k); /* NULL is fine */

/* Who bears this key (as it stood after "Bearer "). Does not block beyond a short lock. Writes the
   time of use behind the caller's back, at most once a minute and key. */
MUST_CHECK enum fail keyring_lookup(struct keyring *k, const char *bearer, struct principal *out,
                                    struct fault *why);
size_t keyring_count(struct keyring *k); /* keys that are neither revoked nor expired */

struct keyring_key {
    struct id id;
    char name[KEYRING_NAME_SIZE];
    char team[KEYRING_NAME_SIZE];
    enum keyring_role role;
    uint32_t scopes;
    int64_t created_at;
    char created_by[80];
    int64_t expires_at;  /* 0: never */
    int64_t last_use_at; /* 0: never used */
    int64_t revoked_at;  /* 0: not */
};
#define KEYRING_SECRET_SIZE 68 /* "ik_" + 64 hex + NUL */

/* What a new key may be: scopes 0 means all of its role. */
struct keyring_new {
    const char *name;
    const char *team; /* NULL: KEYRING_TEAM_DEFAULT */
    enum keyring_role role;
    uint32_t scopes;
    int64_t expires_at; /* 0: never */
};
/* Makes a key that `by` may make: its scopes are among by's and its role's, and only a local user
   or an admin makes keys for another team. The secret is shown this once; the caller wipes it.
   Errors: FAIL_BAD_REQUEST, FAIL_FORBIDDEN, FAIL_CONFLICT (name taken, also by a revoked key). */
MUST_CHECK enum fail keyring_add(struct keyring *k, const struct keyring_new *n,
                                 const struct principal *by, char secret[KEYRING_SECRET_SIZE],
                                 struct keyring_key *made, struct fault *why);
/* By name. Takes effect before it returns. FAIL_NOT_FOUND when there is none or it is revoked
   already. */
MUST_CHECK enum fail keyring_revoke(struct keyring *k, const char *name, struct fault *why);
/* All keys, revoked ones too, by name. */
void keyring_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_key *key),
                  void *arg);
