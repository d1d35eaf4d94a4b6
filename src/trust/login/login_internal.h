/* SPDX-License-Identifier: Apache-2.0 */
/* Login, inside: issuers with their keys, sign-ins under way, tokens remembered. */
#pragma once

#include <pthread.h>

#include <cjose/cjose.h>
#include <jansson.h>

#include "trust/login/login.h"

#define KEYS_MAX 32
#define PENDING_MAX 1024
#define PENDING_US (600 * 1000000LL)
#define CACHE_SLOTS 1024
#define CACHE_S 300
#define KEYS_AGE_US (3600 * 1000000LL)  /* read again after so long */
#define KEYS_RETRY_US (10 * 1000000LL)  /* not asked for an unknown key more often than this */
#define FETCH_MAX (256u * 1024u)

struct signing_key {
    char kid[129], alg[8], kty[4], crv[8];
    cjose_jwk_t *key;
};

struct issuer {
    const struct config_issuer *c;
    char origin[300]; /* scheme://host[:port] */
    char *secret;
    pthread_rwlock_t lock; /* of what follows */
    char authorize[512], token[512], keys_url[512]; /* "": not asked yet */
    struct signing_key keys[KEYS_MAX];
    size_t keys_len;
    int64_t keys_at, tried_at; /* monotonic µs; 0: never */
    bool reading;              /* keys are being read */
};

struct pending { /* a browser that was sent away */
    uint8_t state[32], bind[32]; /* SHA-256 */
    char nonce[65], verifier[65];
    size_t issuer;
    int64_t until_us; /* monotonic; 0: free */
};

struct known { /* a token whose signature and claims were good */
    uint8_t hash[32];
    int64_t until_s; /* 0: free */
    size_t issuer;
    char sub[KEYRING_SUBJECT_SIZE];
    struct keyring_member members[KEYRING_MEMBER_MAX];
    size_t members_len;
};

struct login {
    const struct config *config;
    struct keyring *keyring;
    struct loop *loop;
    struct pool *pool;
    char *ldap_password;
    struct issuer issuers[CONFIG_MAX_ISSUERS];
    size_t issuers_len;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stopping;
    struct pending pending[PENDING_MAX];
    struct known known[CACHE_SLOTS];
    pthread_t watcher;
    bool has_watcher;
};

/* ---- fetch.c: blocks ---- */
struct fetch {
    const char *origin, *ca_file;
    const char *url;            /* must lie at the origin */
    const char *form;           /* body of a POST; NULL: GET */
    const char *user, *secret;  /* Basic; NULL: none */
};
/* 2xx and a JSON object, else FAIL_UPSTREAM_FAILED. *out is a new reference. */
MUST_CHECK enum fail fetch_json(const struct fetch *f, json_t **out, struct fault *why);
bool fetch_is_at(const char *url, const char *origin);
/* Percent-encodes for a query or form. */
void fetch_escape(struct buf *out, const char *s);

/* ---- keys.c ---- */
/* Reads what the issuer says of itself, and its keys. Blocks. */
MUST_CHECK enum fail issuer_discover(struct issuer *is, struct fault *why);
MUST_CHECK enum fail issuer_read_keys(struct issuer *is, struct fault *why);
void issuer_done(struct issuer *is);
/* The signature is good by a key that the issuer publishes; payload gets the claims' text.
   FAIL_UNAUTHENTICATED; *unknown: because no such key is known. */
MUST_CHECK enum fail issuer_verify(struct issuer *is, const char *token, size_t n,
                                   struct buf *payload, bool *unknown, struct fault *why);
/* The payload without looking at the signature: to find out whose it claims to be. */
bool jwt_payload(const char *token, size_t n, struct buf *out);

/* ---- claims.c ---- */
/* A claim by its name, else by the path that the name spells with dots. */
const json_t *claim_find(const json_t *claims, const char *name);
/* An account's name out of a claim: small letters; "" when it is none. */
void claim_name(const json_t *claims, const char *name, char out[KEYRING_NAME_SIZE]);
/* The better of two roles by what they carry, into the list; false: it is full. */
bool members_add(struct keyring_member *list, size_t *n, const char *team, const char *role);

/* secret_: as run/upstream reads keys. */
char *login_secret_read(const char *reference, struct fault *why);
void login_secret_free(char *secret);
