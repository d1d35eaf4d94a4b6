/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: those whom another system vouches for. OpenID Connect for people (authorization code with
 * PKCE), signed tokens of the same issuers for machines, and a directory (LDAP, Active Directory).
 *
 * What an issuer's claims or a directory's groups mean here is mapped in inhouse.yaml; what is not
 * mapped grants nothing, and a team that is not there is not made. A signature is checked with the
 * issuer's own published keys (RFC 7517), under algorithms of an allow-list; never with what the
 * token brings along. Requests go to the issuer's origin alone: no redirects, no proxy, 256 KiB,
 * 5 s.
 *
 * Threads: two of its own for everything that waits (login_run), one that looks after people of the
 * directory and the issuers' keys. login_bearer and login_jwt_* from any thread; they never wait.
 * Functions that say "blocks" belong on login_run's threads.
 * Limits: 8 issuers, 32 keys each, tokens of 8 KiB, 1,024 sign-ins under way for 10 minutes,
 * 1,024 tokens remembered for at most 5 minutes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "trust/keyring/keyring.h"

struct login;
/* Reads the secrets; no connection is made yet. config and keyring must outlive it. loop: what
   login_run posts to. Errors: FAIL_NOT_FOUND, FAIL_FORBIDDEN (a secret), FAIL_BAD_REQUEST. */
MUST_CHECK enum fail login_open(const struct config *config, struct keyring *keyring,
                                struct loop *loop, struct login **out, struct fault *why);
void login_close(struct login *l); /* waits for what runs; NULL is fine */
/* work(arg) on a thread of login's. FAIL_QUEUE_FULL when 64 wait. Any thread. */
MUST_CHECK enum fail login_run(struct login *l, loop_call_fn work, void *arg, struct fault *why);

/* ---- people, through their browser ---- */

size_t login_issuers(const struct login *l);
const char *login_issuer_name(const struct login *l, size_t i);
bool login_has_directory(const struct login *l);

#define LOGIN_URL_SIZE 3072
#define LOGIN_BIND_SIZE 65
/*
 * Where to send the browser that wants to sign in with this issuer, and what to keep in a cookie of
 * it until it comes back (a sign-in that another browser began is refused). FAIL_NOT_FOUND for an
 * unknown name, FAIL_UPSTREAM_FAILED when the issuer does not answer or says what it may not.
 * Blocks.
 */
MUST_CHECK enum fail login_begin(struct login *l, const char *issuer, char url[LOGIN_URL_SIZE],
                                 char bind[LOGIN_BIND_SIZE], struct fault *why);
/* The browser is back, with its cookie: its account, made or brought up to date. Errors:
   FAIL_UNAUTHENTICATED (unknown, used or expired state, a bad token), FAIL_FORBIDDEN (no grant, or
   disabled here), FAIL_UPSTREAM_FAILED. Blocks. */
MUST_CHECK enum fail login_finish(struct login *l, const char *state, const char *code,
                                  const char *bind, struct keyring_account *out,
                                  struct fault *why);

/* ---- machines ---- */

/* Does this look like a signed token (two dots), rather than an API key? */
bool login_is_token(const char *bearer);
/*
 * Who bears this token: a principal of kind JWT in the team named, NULL: the first that is granted.
 * Remembered by the SHA-256 of the whole token. FAIL_UNAUTHENTICATED for what is wrong with it;
 * FAIL_FORBIDDEN when it is granted nothing, or not that team. Signing keys that are not known yet
 * are read behind the caller's back: the next request knows them.
 */
MUST_CHECK enum fail login_bearer(struct login *l, const char *bearer, const char *team,
                                  struct principal *out, struct fault *why);

/* ---- the directory ---- */

/* Name and password against the directory: its account here. FAIL_UNAUTHENTICATED: one answer for
   an unknown name, a wrong password and who may not sign in. Counts in the keyring's throttle.
   Blocks. */
MUST_CHECK enum fail login_directory(struct login *l, const char *name, const char *password,
                                     const char *address, struct keyring_account *out,
                                     struct fault *why);
/* Asks the directory for everybody of it: who is gone or may not sign in loses sessions and keys.
   Runs by itself every ldap.recheck_s. A directory that does not answer changes nothing. Blocks. */
MUST_CHECK enum fail login_recheck(struct login *l, size_t *ended, struct fault *why);
/* A value inside a filter (RFC 4515): everything but letters and digits is escaped. False: too
   long. Pure. */
bool login_filter_escape(const void *value, size_t n, char *out, size_t room);

/* ---- tokens, the pure part (RFC 7515, RFC 7519) ---- */

#define LOGIN_TOKEN_MAX 8192
struct login_jwt_head {
    char alg[8], kid[129], typ[24]; /* kid, typ: "" when not given */
};
/* Three parts of base64url and a header with nothing that would have to be understood ("crit",
   "b64", an embedded or linked key is ignored, never used). FAIL_UNAUTHENTICATED. */
MUST_CHECK enum fail login_jwt_head(const char *token, size_t n, struct login_jwt_head *out,
                                    struct fault *why);
struct login_expect {
    const char *issuer, *audience;
    const char *nonce; /* NULL: none is expected */
    bool id_token;     /* of a person: exp and iat must be there, azp is checked */
    int64_t now_s;
};
#define LOGIN_LEEWAY_S 60
/* The claims, as JSON text whose signature is good. *until_s: when it ends. sub gets the subject
   (room 256). FAIL_UNAUTHENTICATED naming the claim. */
MUST_CHECK enum fail login_claims_check(const char *json, size_t n, const struct login_expect *e,
                                        char sub[KEYRING_SUBJECT_SIZE], int64_t *until_s,
                                        struct fault *why);
/* The roles that claims give, by rows of grants; several for a team: the one with most scopes. */
size_t login_claims_members(const char *json, size_t n, const struct config_grant *grants,
                            size_t grants_len, struct keyring_member *out);
