/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyring: who is calling, and the master key of the data folder.
 *
 * Accounts are people or services; each has a role in some teams. Three things show who calls: an
 * API key (`ik_` and 64 hexadecimal digits), a session's cookie (64 hexadecimal digits), or the uid
 * of a peer on the Unix socket. Of keys, cookies and one-time tokens only an HMAC-SHA256 is stored,
 * each kind under a key of its own derived from the master key; of passwords Argon2id. A bearer
 * that is not known, has expired or was revoked is FAIL_UNAUTHENTICATED; there is no empty
 * principal and no fallback to one. What a bearer may is worked out at each look: the key's scopes,
 * cut down to what its owner's role carries now.
 *
 * Owns: tables api_key, team, account, membership, session, setup_token; the file master.key
 * (0600). All of them are also held in memory, so looking up touches no database.
 * Threads: the keyring_*_lookup, _list, _find functions and keyring_local from any. What changes
 * something blocks until it is durable, and hashing a password takes about 0.1 s: never on a loop's
 * thread. The master key is read-only after opening.
 * Limits: 10,000 keys, 10,000 accounts with 16 teams each, 1,000 teams, 20,000 sessions with 32 a
 * person; names as text_is_name (accounts also with @ and +).
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
/* Where it lies: the file inhouse-master.key of systemd's $CREDENTIALS_DIRECTORY, else the file
   that INHOUSE_MASTER_KEY names, else HOME/master.key. Only the last is made when it is missing,
   and only in a folder that has none yet (no master.box). */
/* Reads HOME/master.key or, when HOME has none, makes it (32 random bytes as hex, 0600, flushed).
   FAIL_FORBIDDEN when others may read it; FAIL_INTERNAL when it is not 64 hexadecimal digits.
   Blocks. */
MUST_CHECK enum fail keyring_master_open(const char *home, struct keyring_master **out,
                                         struct fault *why);
void keyring_master_close(struct keyring_master *m); /* wipes; NULL is fine */
/*
 * Changing it. _next writes the new key beside the old one (".next"), with a new wrap key in
 * HOME/master.box.next; base, and with it every other purpose, stays. Then whatever is wrapped is
 * wrapped again in one commit together with the new epoch, and _settle puts the files in place when
 * that commit happened (its epoch is the new one's), or removes them when not: before every
 * opening, so a crash anywhere leaves one of the two. epoch NULL: nothing was ever wrapped again.
 * The old key is destroyed by the rename.
 */
MUST_CHECK enum fail keyring_master_next(const char *home, const struct keyring_master *now,
                                         struct keyring_master **out, struct fault *why);
MUST_CHECK enum fail keyring_master_settle(const char *home, const uint8_t epoch[32],
                                           struct fault *why);
/* Names the wrap key, opens nothing. */
void keyring_master_epoch(const struct keyring_master *m, uint8_t out[32]);
/* A key to print, shown once and kept nowhere: it opens HOME/master.recovery, which holds the
   master key sealed to it and follows every change. The caller wipes it. An earlier printed key
   is void. */
#define KEYRING_PRINTED_SIZE 72
MUST_CHECK enum fail keyring_master_print(const char *home, const struct keyring_master *m,
                                          char printed[KEYRING_PRINTED_SIZE], struct fault *why);
/* Writes the master key again from the printed one. FAIL_CONFLICT when there is one;
   FAIL_BAD_REQUEST misread; FAIL_FORBIDDEN another folder's; FAIL_NOT_FOUND without
   master.recovery. */
MUST_CHECK enum fail keyring_master_recover(const char *home, const char *printed,
                                            struct fault *why);
/* HMAC-SHA256(master, "inhouse/1/" purpose); a purpose that ends in "-wrap" changes with the master
   key, any other stays: a key for that purpose and no other. The caller wipes
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
#define KEYRING_SCOPES_SIZE 256 /* all their names */
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
/* The names with a space between, into out (room >= KEYRING_SCOPES_SIZE). */
void keyring_scopes_show(uint32_t scopes, char *out, size_t room);
/* FAIL_FORBIDDEN, naming the scope, unless p carries all of `scopes`. */
MUST_CHECK enum fail keyring_require(const struct principal *p, uint32_t scopes, struct fault *why);

/* The peer of a Unix socket: an admin when uid is this process's own or 0, else
   FAIL_UNAUTHENTICATED. */
MUST_CHECK enum fail keyring_local(uid_t uid, struct principal *out, struct fault *why);

/* ---- keys ---- */

struct keyring;

/* What happened, for the record; strings are borrowed during the call. */
enum keyring_event_kind {
#define EVENT(name, text) KEYRING_EVENT_##name,
#include "trust/keyring/events.def"
#undef EVENT
    KEYRING_EVENT_COUNT
};
const char *keyring_event_name(enum keyring_event_kind kind);
struct keyring_event {
    enum keyring_event_kind kind;
    const char *actor;  /* who did it */
    const char *team;   /* of the actor, or that it was done for */
    const char *object; /* name of the key, account or team; "" for an unknown one */
    const char *what;   /* "added", "role reviewer in support" */
};
/* Called inside the write of each change, so that a change and its record are kept together or not
   at all. Store thread. */
typedef enum fail keyring_record_fn(struct store_tx *tx, void *arg,
                                       const struct keyring_event *e, struct fault *why);

struct keyring_options {
    keyring_record_fn *record; /* NULL: nothing is recorded */
    void *record_arg;
    int64_t session_idle_s;     /* 0: 3600 */
    int64_t session_absolute_s; /* 0: 43200 */
    /* Cost of Argon2id (libsodium's opslimit and bytes); 0: 3 and 64 MiB. A stored hash of other
       cost is made anew at the next sign-in. */
    uint64_t password_ops;
    size_t password_bytes;
};

/* Loads everything. o may be NULL. Blocks. s must outlive the keyring. */
MUST_CHECK enum fail keyring_open(struct store *s, const struct keyring_master *m,
                                  const struct keyring_options *o, struct keyring **out,
                                  struct fault *why);
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
    char owner[KEYRING_NAME_SIZE]; /* account; "": nobody's */
    enum keyring_role role;
    uint32_t scopes;
    struct keyring_limits limits;
    int64_t created_at;
    char created_by[80];
    int64_t expires_at;  /* 0: never */
    int64_t last_use_at; /* 0: never used */
    int64_t revoked_at;  /* 0: not */
    int64_t old_until;   /* the secret before the last rotation is good until then; 0: none */
    /* refused though not revoked: owner disabled or left the team, maker ended */
    bool dead;
};
#define KEYRING_SECRET_SIZE 68 /* "ik_" + 64 hex + NUL */
#define KEYRING_OVERLAP_S_MAX (30 * 86400) /* of a rotation */

/* What a new key may be: scopes 0 means all of its role. */
struct keyring_new {
    const char *name;
    const char *team;  /* NULL: KEYRING_TEAM_DEFAULT, or its maker's for a key of one's own */
    const char *owner; /* account; NULL: nobody's. It must have a role in the team */
    enum keyring_role role; /* with an owner: at most the owner's */
    uint32_t scopes;
    struct keyring_limits limits;
    int64_t expires_at; /* 0: never */
};
/*
 * Makes a key that `by` may make: its scopes are among by's, its role's and its owner's, its limits
 * within by's, and it does not outlive a key that made it. With the scope admin: for any owner;
 * for another team with the role admin. Without: only for by's own account, in by's team, and it
 * ends with the key that made it. A team that is not there yet is added, with the label internal.
 * The secret is shown this once; the caller wipes it. Errors: FAIL_BAD_REQUEST, FAIL_FORBIDDEN,
 * FAIL_NOT_FOUND (owner), FAIL_CONFLICT (name taken, also by a revoked key).
 */
MUST_CHECK enum fail keyring_add(struct keyring *k, const struct keyring_new *n,
                                 const struct principal *by, char secret[KEYRING_SECRET_SIZE],
                                 struct keyring_key *made, struct fault *why);
/* A new secret for the key; the one before it stays good for overlap_s (0: ends now). `by` must
   have the scope admin, or own the key. FAIL_NOT_FOUND as keyring_revoke. */
MUST_CHECK enum fail keyring_rotate(struct keyring *k, const char *name, int64_t overlap_s,
                                    const struct principal *by, char secret[KEYRING_SECRET_SIZE],
                                    struct keyring_key *made, struct fault *why);
/* By name. Takes effect before it returns, also for keys that it made. FAIL_NOT_FOUND when there is
   none, it is revoked already, or by neither has the scope admin nor owns it. */
MUST_CHECK enum fail keyring_revoke(struct keyring *k, const char *name, const struct principal *by,
                                    struct fault *why);
/* All keys, revoked ones too, by name. */
void keyring_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_key *key),
                  void *arg);

/* ---- teams ---- */

struct keyring_team {
    char name[KEYRING_NAME_SIZE];
    enum secrecy label;
    int64_t created_at;
    char created_by[80];
    size_t members, keys; /* that can act now */
};
MUST_CHECK enum fail keyring_team_add(struct keyring *k, const char *name, enum secrecy label,
                                      const struct principal *by, struct fault *why);
MUST_CHECK enum fail keyring_team_label(struct keyring *k, const char *name, enum secrecy label,
                                        const struct principal *by, struct fault *why);
/* False when there is none. */
bool keyring_team_find(struct keyring *k, const char *name, struct keyring_team *out);
void keyring_team_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_team *t),
                       void *arg);

/* ---- accounts ---- */

enum keyring_account_kind { KEYRING_ACCOUNT_PERSON, KEYRING_ACCOUNT_SERVICE };
#define KEYRING_MEMBER_MAX 16
#define KEYRING_ORIGIN_SIZE 192
#define KEYRING_SUBJECT_SIZE 256

struct keyring_member {
    char team[KEYRING_NAME_SIZE];
    enum keyring_role role;
    bool directory; /* given by the directory, and taken away by it */
};
struct keyring_account {
    struct id id;
    char name[KEYRING_NAME_SIZE];
    enum keyring_account_kind kind;
    char origin[KEYRING_ORIGIN_SIZE];   /* "local", "oidc:ISSUER", "ldap:URL" */
    char subject[KEYRING_SUBJECT_SIZE]; /* the account there; "" for local */
    bool has_password;
    int64_t created_at;
    char created_by[80];
    int64_t disabled_at, last_login_at, checked_at; /* 0: not, never */
    size_t sessions;
    struct keyring_member members[KEYRING_MEMBER_MAX];
    size_t members_len;
};
/* An account without a password: a one-time token sets the first. role in team; team NULL: in
   none yet. Errors as keyring_add's. */
MUST_CHECK enum fail keyring_account_add(struct keyring *k, const char *name,
                                         enum keyring_account_kind kind, const char *team,
                                         enum keyring_role role, const struct principal *by,
                                         struct keyring_account *made, struct fault *why);
/* From now on its sessions are gone and its keys refused; or, off: its keys are good again. */
MUST_CHECK enum fail keyring_account_disable(struct keyring *k, const char *name, bool on,
                                             const struct principal *by, struct fault *why);
/* The role of an account in a team; KEYRING_ROLE_COUNT takes it out. FAIL_NOT_FOUND names which. */
MUST_CHECK enum fail keyring_member_set(struct keyring *k, const char *name, const char *team,
                                        enum keyring_role role, const struct principal *by,
                                        struct fault *why);
/* By name, or by id as it is shown ("usr_..."). False when there is none. */
bool keyring_account_find(struct keyring *k, const char *name, struct keyring_account *out);
void keyring_account_list(struct keyring *k,
                          void (*fn)(void *arg, const struct keyring_account *a), void *arg);
bool keyring_account_name_ok(const char *name);

/* What a directory says of somebody: made, or brought up to date. Roles that a person gave in the
   house stay; those a directory gave before and no longer gives are gone. */
struct keyring_vouch {
    const char *origin, *subject;
    const char *name; /* wanted; kept from the first time on */
    const struct keyring_member *members;
    size_t members_len;
};
/* FAIL_CONFLICT when the name belongs to another account; FAIL_FORBIDDEN when it is disabled here
   or has no team at all. */
MUST_CHECK enum fail keyring_vouched(struct keyring *k, const struct keyring_vouch *v,
                                     struct keyring_account *out, struct fault *why);

/* Whom that directory vouches for under that subject; false: nobody. */
bool keyring_subject_find(struct keyring *k, const char *origin, const char *subject,
                          struct keyring_account *out);
/* The directory does not know it any more: disabled, until the directory vouches for it again (or
   for good, when an administrator disables it). FAIL_NOT_FOUND. */
MUST_CHECK enum fail keyring_withdrawn(struct keyring *k, const char *origin, const char *subject,
                                       struct fault *why);

/* ---- passwords, first run ---- */

#define KEYRING_PASSWORD_MIN 12
#define KEYRING_PASSWORD_MAX 256
/* Sets it and ends all sessions but `keep` (may be NULL). `by`: the scope admin, or the account
   itself with the old password, which then must be right. Errors: FAIL_BAD_REQUEST (too short, too
   long, holds the name), FAIL_UNAUTHENTICATED (old), FAIL_NOT_FOUND. */
MUST_CHECK enum fail keyring_password_set(struct keyring *k, const char *name, const char *old,
                                          const char *password, const struct principal *by,
                                          const struct id *keep, struct fault *why);

#define KEYRING_TOKEN_SIZE 68 /* "is_" + 64 hex + NUL */
/* A token, good once and for ttl_s, that sets the password of an account; name NULL: that makes the
   first administrator. Tokens of the same account before it end. FAIL_CONFLICT: there is an
   administrator already (name NULL). by NULL: the server itself. */
MUST_CHECK enum fail keyring_token_new(struct keyring *k, const char *name, int64_t ttl_s,
                                       const struct principal *by, char token[KEYRING_TOKEN_SIZE],
                                       struct fault *why);
/* Uses it up. name: of the first administrator, else NULL. FAIL_UNAUTHENTICATED for a token that is
   unknown, used or expired; a password that will not do leaves it as it was. */
MUST_CHECK enum fail keyring_token_use(struct keyring *k, const char *token, const char *name,
                                       const char *password, struct keyring_account *out,
                                       struct fault *why);
/* Is there a person who may administer, and is not disabled? */
bool keyring_has_admin(struct keyring *k);

/* ---- signing in ---- */

#define KEYRING_COOKIE_SIZE 65
#define KEYRING_CSRF_SIZE 65
struct keyring_session {
    char cookie[KEYRING_COOKIE_SIZE]; /* shown this once; the caller wipes it */
    char csrf[KEYRING_CSRF_SIZE];
    struct keyring_account account;
    char team[KEYRING_NAME_SIZE];
    int64_t expires_at;
};
/* address: of the client, for the throttle. team may be NULL: the first. An unknown name, a
   disabled account, one without a password and a wrong password are one answer after one time.
   FAIL_RATE_LIMITED (with retry_after) after 5 failures of a name from an address, 20 of a name, 50
   from an address: for 5 s, doubled each time, up to 15 minutes. */
MUST_CHECK enum fail keyring_sign_in(struct keyring *k, const char *name, const char *password,
                                     const char *address, const char *team,
                                     struct keyring_session *out, struct fault *why);
/* For one whom another room has checked. */
MUST_CHECK enum fail keyring_session_start(struct keyring *k, const struct id *account,
                                           const char *team, struct keyring_session *out,
                                           struct fault *why);
/* For rooms that check passwords elsewhere. Asked before: counts as a failure at once, so that many
   guesses at the same time are counted too; FAIL_RATE_LIMITED as above. Then, when it was right: */
MUST_CHECK enum fail keyring_throttle_ask(struct keyring *k, const char *name, const char *address,
                                          struct fault *why);
void keyring_throttle_good(struct keyring *k, const char *name, const char *address);

/* Who shows this cookie. changes: the request would change something, so csrf must be the session's
   (FAIL_FORBIDDEN). team NULL: the session's own; else one of the account's (FAIL_FORBIDDEN). */
MUST_CHECK enum fail keyring_session_lookup(struct keyring *k, const char *cookie, const char *csrf,
                                            bool changes, const char *team, struct principal *out,
                                            struct fault *why);
void keyring_session_csrf(const struct keyring *k, const char *cookie, char out[KEYRING_CSRF_SIZE]);
/* Ends the session by itself, or with all others of its account. */
MUST_CHECK enum fail keyring_sign_out(struct keyring *k, const struct principal *by,
                                      bool everywhere, struct fault *why);
/* The team a session acts for when a request names none. */
MUST_CHECK enum fail keyring_session_team(struct keyring *k, const struct principal *by,
                                          const char *team, struct fault *why);
