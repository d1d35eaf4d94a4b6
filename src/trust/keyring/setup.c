/* SPDX-License-Identifier: Apache-2.0 */
/* One-time tokens: the first administrator, first passwords; and changing a password. */
#include "trust/keyring/keyring_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"

#define TOKEN_LEN (KEYRING_TOKEN_SIZE - 1)

struct token {
    uint8_t hash[32];
    struct id account; /* zero: the first administrator */
    int64_t created_at, expires_at;
};

/* ---- making one ---- */

static enum fail delete_tokens(struct store_tx *tx, const struct id *account, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM setup_token WHERE account = ?1");
    store_bind_id(s, 1, account);
    return store_run(s, why);
}

static enum fail write_token(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct token *t = arg;
    enum fail f = delete_tokens(tx, &t->account, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO setup_token (hash, account, created_at, "
                                       "expires_at) VALUES (?1, ?2, ?3, ?4)");
    store_bind_blob(s, 1, t->hash, sizeof(t->hash));
    store_bind_id(s, 2, &t->account);
    store_bind_int(s, 3, t->created_at);
    store_bind_int(s, 4, t->expires_at);
    return store_run(s, why);
}

/* Whose token it may be; k->change is held. */
static enum fail token_account(struct keyring *k, const char *name, const struct principal *by,
                               struct token *t, struct fault *why)
{
    enum fail f = by != NULL ? ring_may_grant(by, KEYRING_ROLE_ADMIN, why) : FAIL_NONE;
    if (f == FAIL_NONE && name == NULL && keyring_has_admin(k)) {
        FAULT(why, FAIL_CONFLICT, "there is an administrator already");
        return fail_hint(why, "They add others: inhouse users add. On the server's own machine, "
                              "its user may set a password: inhouse users password NAME.");
    }
    if (f == FAIL_NONE && name != NULL) {
        const struct account *a = ring_account(k, name);
        if (a == NULL) {
            return ring_no_account(name, why);
        }
        if (a->kind != KEYRING_ACCOUNT_PERSON || a->subject[0] != '\0') {
            return FAULT(why, FAIL_CONFLICT, "\"%s\" has no password here: it is %s", a->name,
                         a->kind != KEYRING_ACCOUNT_PERSON ? "a service" : "of a directory");
        }
        t->account = a->id;
    }
    return f;
}

enum fail keyring_token_new(struct keyring *k, const char *name, int64_t ttl_s,
                            const struct principal *by, char token[KEYRING_TOKEN_SIZE],
                            struct fault *why)
{
    struct token t = {.created_at = clock_now_us()};
    struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                              .actor = by != NULL ? by->name : "system",
                              .team = by != NULL ? by->team : KEYRING_TEAM_DEFAULT,
                              .object = name != NULL ? name : "",
                              .what = name != NULL ? "one-time token for a password"
                                                   : "one-time token for the first administrator"};
    ASSERT(ttl_s > 0);
    t.expires_at = t.created_at + ttl_s * 1000000;
    pthread_mutex_lock(&k->change);
    enum fail f = token_account(k, name, by, &t, why);
    if (f == FAIL_NONE) {
        ring_secret("is_", token);
        ring_hash(k->token_key, token, TOKEN_LEN, t.hash);
        f = ring_write(k, write_token, &t, &e, why);
    }
    pthread_mutex_unlock(&k->change);
    if (f != FAIL_NONE) {
        sodium_memzero(token, KEYRING_TOKEN_SIZE);
    }
    return f;
}

/* ---- using one ---- */

static enum fail read_token(struct keyring *k, const uint8_t hash[32], struct token *t,
                            struct fault *why)
{
    struct store_conn *c;
    bool row = false;
    enum fail f = store_reader_open(k->store, &c, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct store_stmt *s = store_query(
        c, "SELECT account, created_at, expires_at FROM setup_token WHERE hash = ?1");
    store_bind_blob(s, 1, hash, 32);
    f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        memcpy(t->hash, hash, 32);
        row = store_col_id(s, 0, &t->account);
        t->created_at = store_col_int(s, 1);
        t->expires_at = store_col_int(s, 2);
    }
    store_end(s);
    store_reader_close(c);
    if (f == FAIL_NONE && (!row || t->expires_at <= clock_now_us())) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this one-time token is unknown, used or expired");
        f = fail_hint(why, "Ask for a new one: inhouse users init for the first administrator, "
                           "inhouse users password NAME --token for others.");
    }
    return f;
}

struct password_write {
    struct account *a; /* as it is to be */
    const struct id *keep;
    bool fresh; /* its roles are to be written too */
};

static enum fail write_password(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct password_write *w = arg;
    struct id first = {{0}};
    enum fail f = ring_account_write(tx, w->a, why);
    if (f == FAIL_NONE && w->fresh) {
        f = ring_members_write(tx, w->a, w->a->created_by, why);
    }
    if (f == FAIL_NONE) {
        f = ring_sessions_delete(tx, &w->a->id, w->keep, why);
    }
    if (f == FAIL_NONE) {
        f = delete_tokens(tx, w->fresh ? &first : &w->a->id, why);
    }
    return f;
}

/* as in place of a, and its sessions gone but one. k->change is held. */
static enum fail password_put(struct keyring *k, struct account *a, struct account *as,
                              const struct id *keep, const char *actor, struct fault *why)
{
    struct password_write w = {as, keep, false};
    struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                              .actor = actor,
                              .team = a->members_len > 0 ? a->members[0].team->name
                                                         : KEYRING_TEAM_DEFAULT,
                              .object = a->name,
                              .what = "password"};
    enum fail f = ring_write(k, write_password, &w, &e, why);
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        memcpy(a->password, as->password, sizeof(a->password));
        ring_sessions_drop(k, a, keep);
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

/* The first administrator, in the team default. k->change is held. */
static enum fail first_admin(struct keyring *k, const char *name, const char *hash,
                             struct account **made, struct fault *why)
{
    struct account as = {.id = text_id_new(), .created_at = clock_now_us(), .members_len = 1};
    struct password_write w = {&as, NULL, true};
    if (name == NULL || !keyring_account_name_ok(name)) {
        FAULT(why, FAIL_BAD_REQUEST, "an account's name is 1 to 64 of a-z, 0-9 and . _ - @ +");
        return fail_param(why, "name");
    }
    if (keyring_has_admin(k)) {
        return FAULT(why, FAIL_CONFLICT, "there is an administrator already");
    }
    if (ring_account(k, name) != NULL || ring_key_name_taken(k, name) ||
        k->accounts_len == ACCOUNTS_MAX) {
        FAULT(why, FAIL_CONFLICT, "an account or key named \"%s\" exists already", name);
        return fail_param(why, "name");
    }
    text_copy(as.name, sizeof(as.name), name);
    text_copy(as.origin, sizeof(as.origin), "local");
    text_copy(as.created_by, sizeof(as.created_by), "setup");
    text_copy(as.password, sizeof(as.password), hash);
    as.members[0] = (struct member){.team = ring_team(k, KEYRING_TEAM_DEFAULT),
                                    .role = KEYRING_ROLE_ADMIN};
    ASSERT(as.members[0].team != NULL);
    struct keyring_event e = {.kind = KEYRING_EVENT_USER_ADDED,
                              .actor = name,
                              .team = KEYRING_TEAM_DEFAULT,
                              .object = name,
                              .what = "first administrator, by one-time token"};
    enum fail f = ring_write(k, write_password, &w, &e, why);
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        *made = ring_account_insert(k, &as);
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

static enum fail use(struct keyring *k, const struct token *t, const char *name, const char *hash,
                     struct account **out, struct fault *why)
{
    if (text_id_is_zero(&t->account)) {
        return first_admin(k, name, hash, out, why);
    }
    struct account *a = ring_account_by_id(k, &t->account);
    if (a == NULL || !ring_is_live(a)) {
        return FAULT(why, FAIL_UNAUTHENTICATED, "this account may not sign in");
    }
    struct account as = *a;
    text_copy(as.password, sizeof(as.password), hash);
    *out = a;
    return password_put(k, a, &as, NULL, a->name, why);
}

enum fail keyring_token_use(struct keyring *k, const char *token, const char *name,
                            const char *password, struct keyring_account *out, struct fault *why)
{
    uint8_t hash[32] = {0};
    char stored[PASSWORD_SIZE];
    struct token t = {.expires_at = 0};
    const struct account *whose;
    struct account *a = NULL;
    bool form = strlen(token) == TOKEN_LEN && text_starts_with(token, "is_");
    if (form) {
        ring_hash(k->token_key, token, TOKEN_LEN, hash);
    }
    enum fail f = read_token(k, hash, &t, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_rwlock_rdlock(&k->lock);
    whose = ring_account_by_id(k, &t.account);
    f = ring_password_good(whose != NULL  ? whose->name
                           : name != NULL ? name
                                          : "",
                           password, why);
    pthread_rwlock_unlock(&k->lock);
    if (f == FAIL_NONE) {
        f = ring_password_hash(k, password, stored, why);
    }
    if (f == FAIL_NONE) {
        pthread_mutex_lock(&k->change);
        f = read_token(k, hash, &t, why); /* once: another may have used it meanwhile */
        f = f == FAIL_NONE ? use(k, &t, name, stored, &a, why) : f;
        if (f == FAIL_NONE) {
            ring_account_show(a, out);
        }
        pthread_mutex_unlock(&k->change);
        sodium_memzero(stored, sizeof(stored));
    }
    return f;
}

/* ---- changing a password ---- */

/* Whose it is, and what is stored now. */
static enum fail password_of(struct keyring *k, const char *name, const struct principal *by,
                             struct account **out, char stored[PASSWORD_SIZE], bool *self,
                             struct fault *why)
{
    enum fail f = FAIL_NONE;
    pthread_rwlock_rdlock(&k->lock);
    struct account *a = ring_account(k, name);
    *self = a != NULL && !text_id_is_zero(&by->user) && text_id_equal(&a->id, &by->user);
    if (!*self) {
        f = ring_may_grant(by, KEYRING_ROLE_ADMIN, why);
    }
    if (f == FAIL_NONE && a == NULL) {
        f = ring_no_account(name, why);
    }
    if (f == FAIL_NONE && (a->kind != KEYRING_ACCOUNT_PERSON || a->subject[0] != '\0')) {
        f = FAULT(why, FAIL_CONFLICT, "\"%s\" has no password here: it is %s", a->name,
                  a->kind != KEYRING_ACCOUNT_PERSON ? "a service" : "of a directory");
    }
    if (f == FAIL_NONE) {
        memcpy(stored, a->password, PASSWORD_SIZE);
    }
    pthread_rwlock_unlock(&k->lock);
    *out = a;
    return f;
}

enum fail keyring_password_set(struct keyring *k, const char *name, const char *old,
                               const char *password, const struct principal *by,
                               const struct id *keep, struct fault *why)
{
    char stored[PASSWORD_SIZE] = "", hash[PASSWORD_SIZE];
    struct account *a;
    bool self, stale;
    enum fail f = password_of(k, name, by, &a, stored, &self, why);
    if (f == FAIL_NONE && self) {
        f = keyring_throttle_ask(k, a->name, "", why);
        bool good =
            f == FAIL_NONE && ring_password_check(k, stored, old != NULL ? old : "", &stale);
        if (good) {
            keyring_throttle_good(k, a->name, "");
        } else if (f == FAIL_NONE) {
            FAULT(why, FAIL_UNAUTHENTICATED, "the old password is wrong");
            f = fail_param(why, "old");
        }
    }
    f = f == FAIL_NONE ? ring_password_good(a->name, password, why) : f;
    f = f == FAIL_NONE ? ring_password_hash(k, password, hash, why) : f;
    if (f == FAIL_NONE) {
        pthread_mutex_lock(&k->change);
        struct account as = *a;
        memcpy(as.password, hash, sizeof(as.password));
        f = strcmp(a->password, stored) == 0
                ? password_put(k, a, &as, keep, by->name, why)
                : FAULT(why, FAIL_CONFLICT, "the password was changed meanwhile");
        pthread_mutex_unlock(&k->change);
        sodium_memzero(&as, sizeof(as));
    }
    sodium_memzero(stored, sizeof(stored));
    sodium_memzero(hash, sizeof(hash));
    return f;
}
