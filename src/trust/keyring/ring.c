/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing, the secrets' hashes, and the one way in which anything is changed. */
#include "trust/keyring/keyring_internal.h"

#include <sodium.h>
#include <string.h>

void ring_hash(const uint8_t key[32], const char *secret, size_t len, uint8_t out[32])
{
    crypto_auth_hmacsha256(out, (const uint8_t *)secret, len, key);
}

void ring_secret(const char *prefix, char *out)
{
    uint8_t bytes[32];
    size_t n = strlen(prefix);
    randombytes_buf(bytes, sizeof(bytes));
    memcpy(out, prefix, n);
    text_hex(bytes, sizeof(bytes), out + n);
    sodium_memzero(bytes, sizeof(bytes));
}

struct change {
    struct keyring *k;
    store_write_fn write;
    void *arg;
    const struct keyring_event *event;
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *c = arg;
    enum fail f = c->write != NULL ? c->write(tx, c->arg, why) : FAIL_NONE;
    if (f == FAIL_NONE && c->event != NULL && c->k->o.record != NULL) {
        f = c->k->o.record(tx, c->k->o.record_arg, c->event, why);
    }
    return f;
}

enum fail ring_write(struct keyring *k, store_write_fn write, void *arg,
                     const struct keyring_event *e, struct fault *why)
{
    struct change c = {k, write, arg, e};
    return store_write_wait(k->store, change_write, &c, why);
}

/* ---- loading ---- */

static enum fail damaged(const char *what, const char *name, struct fault *why)
{
    FAULT(why, FAIL_INTERNAL, "the stored %s \"%.80s\" is damaged", what, name);
    return fail_hint(why, "Run `inhouse audit verify`, then restore the database from a backup.");
}

static enum fail load_teams(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT name, label, created_at, created_by FROM team ORDER BY name");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct team t = {.label = secrecy_find(store_col_text(s, 1)),
                         .created_at = store_col_int(s, 2)};
        text_copy(t.name, sizeof(t.name), store_col_text(s, 0));
        text_copy(t.created_by, sizeof(t.created_by), store_col_text(s, 3));
        if (t.label == SECRECY_COUNT || k->teams_len == TEAMS_MAX) {
            return damaged("team", t.name, why);
        }
        (void)ring_team_insert(k, &t);
    }
    return f;
}

static enum fail load_accounts(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT id, name, kind, origin, subject, password, created_at, created_by, "
                       "disabled_at, last_login_at, checked_at FROM account ORDER BY id");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct account a = {.created_at = store_col_int(s, 6),
                            .disabled_at = store_col_int(s, 8),
                            .last_login_at = store_col_int(s, 9),
                            .checked_at = store_col_int(s, 10)};
        bool good = store_col_id(s, 0, &a.id);
        good = text_copy(a.name, sizeof(a.name), store_col_text(s, 1)) && good;
        good = text_copy(a.origin, sizeof(a.origin), store_col_text(s, 3)) && good;
        good = text_copy(a.subject, sizeof(a.subject), store_col_text(s, 4)) && good;
        good = text_copy(a.password, sizeof(a.password), store_col_text(s, 5)) && good;
        (void)text_copy(a.created_by, sizeof(a.created_by), store_col_text(s, 7));
        a.kind = strcmp(store_col_text(s, 2), "service") == 0 ? KEYRING_ACCOUNT_SERVICE
                                                              : KEYRING_ACCOUNT_PERSON;
        if (!good || k->accounts_len == ACCOUNTS_MAX) {
            return damaged("account", a.name, why);
        }
        (void)ring_account_insert(k, &a);
    }
    return f;
}

static enum fail load_members(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT account, team, role, source FROM membership "
                       "ORDER BY account, created_at, team");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id id;
        struct member m = {.directory = strcmp(store_col_text(s, 3), "directory") == 0};
        bool good = store_col_id(s, 0, &id) && keyring_role_find(store_col_text(s, 2), &m.role);
        struct account *a = good ? ring_account_by_id(k, &id) : NULL;
        m.team = ring_team(k, store_col_text(s, 1));
        if (a == NULL || m.team == NULL || a->members_len == KEYRING_MEMBER_MAX) {
            return damaged("membership in", store_col_text(s, 1), why);
        }
        a->members[a->members_len++] = m;
    }
    return f;
}

/* ---- life ---- */

static struct keyring *ring_new(struct store *s, const struct keyring_master *m,
                                const struct keyring_options *o)
{
    struct keyring *k = mem_alloc(sizeof(*k));
    k->store = s;
    k->o = o != NULL ? *o : (struct keyring_options){0};
    k->o.session_idle_s = k->o.session_idle_s > 0 ? k->o.session_idle_s : 3600;
    k->o.session_absolute_s = k->o.session_absolute_s > 0 ? k->o.session_absolute_s : 43200;
    k->o.password_ops = k->o.password_ops > 0 ? k->o.password_ops : 3;
    k->o.password_bytes =
        k->o.password_bytes > 0 ? k->o.password_bytes : (size_t)64 * 1024 * 1024;
    pthread_rwlock_init(&k->lock, NULL);
    pthread_mutex_init(&k->change, NULL);
    pthread_mutex_init(&k->hashing, NULL);
    keyring_master_derive(m, "api-key-hash", k->key_key);
    keyring_master_derive(m, "session-hash", k->session_key);
    keyring_master_derive(m, "session-csrf", k->csrf_key);
    keyring_master_derive(m, "setup-token-hash", k->token_key);
    k->accounts = mem_alloc_array(ACCOUNTS_MAX, sizeof(struct account *));
    k->teams = mem_alloc_array(TEAMS_MAX, sizeof(struct team *));
    k->throttle = throttle_new();
    return k;
}

enum fail keyring_open(struct store *s, const struct keyring_master *m,
                       const struct keyring_options *o, struct keyring **out, struct fault *why)
{
    static enum fail (*const steps[])(struct keyring *, struct store_conn *, struct fault *) = {
        load_teams, load_accounts, load_members, ring_keys_load, ring_sessions_load};
    struct keyring *k = ring_new(s, m, o);
    struct store_conn *c;
    enum fail f = store_reader_open(s, &c, why);
    if (f == FAIL_NONE) {
        for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(steps); i++) {
            f = steps[i](k, c, why);
        }
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
    ring_sessions_free(k);
    ring_keys_free(k);
    for (size_t i = 0; i < k->accounts_len; i++) {
        mem_free(k->accounts[i]);
    }
    for (size_t i = 0; i < k->teams_len; i++) {
        mem_free(k->teams[i]);
    }
    mem_free(k->accounts);
    mem_free(k->teams);
    throttle_free(k->throttle);
    sodium_memzero(k->key_key, sizeof(k->key_key));
    sodium_memzero(k->session_key, sizeof(k->session_key));
    sodium_memzero(k->csrf_key, sizeof(k->csrf_key));
    sodium_memzero(k->token_key, sizeof(k->token_key));
    pthread_mutex_destroy(&k->hashing);
    pthread_mutex_destroy(&k->change);
    pthread_rwlock_destroy(&k->lock);
    mem_free(k);
}
