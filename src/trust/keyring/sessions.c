/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of browsers: begun, looked up, ended. */
#include "trust/keyring/keyring_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

/* ---- the table ---- */

static void insert(struct keyring *k, const struct session *from)
{
    struct session *s = mem_dup(from, sizeof(*from));
    struct session **b = &k->sessions[ring_bucket(s->hash)];
    s->next = *b;
    *b = s;
    s->account->sessions++;
    k->sessions_len++;
}

static bool is_over(const struct keyring *k, const struct session *s, int64_t now)
{
    return s->expires_at <= now ||
           __atomic_load_n(&s->seen_at, __ATOMIC_RELAXED) + k->o.session_idle_s * 1000000 <= now;
}

/* Takes out what `goes` says of each; the lock held for writing. */
static void sweep(struct keyring *k,
                  bool (*goes)(const struct keyring *k, const struct session *s, const void *arg),
                  const void *arg)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct session **at = &k->sessions[i]; *at != NULL;) {
            struct session *s = *at;
            if (goes(k, s, arg)) {
                *at = s->next;
                s->account->sessions--;
                k->sessions_len--;
                sodium_memzero(s, sizeof(*s));
                mem_free(s);
            } else {
                at = &s->next;
            }
        }
    }
}

static bool goes_over(const struct keyring *k, const struct session *s, const void *arg)
{
    return is_over(k, s, *(const int64_t *)arg);
}

static bool goes_all(const struct keyring *k, const struct session *s, const void *arg)
{
    (void)k;
    (void)s;
    (void)arg;
    return true;
}

struct except {
    const struct account *a;
    const struct id *keep;
};

static bool goes_but(const struct keyring *k, const struct session *s, const void *arg)
{
    const struct except *x = arg;
    (void)k;
    return s->account == x->a && (x->keep == NULL || !text_id_equal(&s->id, x->keep));
}

static bool goes_one(const struct keyring *k, const struct session *s, const void *arg)
{
    (void)k;
    return text_id_equal(&s->id, arg);
}

void ring_sessions_drop(struct keyring *k, struct account *a, const struct id *keep)
{
    struct except x = {a, keep};
    sweep(k, goes_but, &x);
}

void ring_sessions_free(struct keyring *k)
{
    sweep(k, goes_all, NULL);
}

enum fail ring_sessions_load(struct keyring *k, struct store_conn *c, struct fault *why)
{
    int64_t now = clock_now_us();
    AUTO_STMT struct store_stmt *q = store_query(
        c, "SELECT hash, id, account, team, created_at, seen_at, expires_at FROM session");
    bool row;
    enum fail f;
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        size_t n;
        struct id account;
        struct session s = {.created_at = store_col_int(q, 4),
                            .seen_at = store_col_int(q, 5),
                            .written_at = store_col_int(q, 5),
                            .expires_at = store_col_int(q, 6)};
        const void *hash = store_col_blob(q, 0, &n);
        bool good = n == sizeof(s.hash) && store_col_id(q, 1, &s.id) &&
                    store_col_id(q, 2, &account) &&
                    (s.account = ring_account_by_id(k, &account)) != NULL;
        if (good && !is_over(k, &s, now) && k->sessions_len < SESSIONS_MAX) {
            memcpy(s.hash, hash, sizeof(s.hash));
            text_copy(s.team, sizeof(s.team), store_col_text(q, 3));
            insert(k, &s);
        }
    }
    return f;
}

/* ---- writing ---- */

enum fail ring_sessions_delete(struct store_tx *tx, const struct id *account, const struct id *keep,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "DELETE FROM session WHERE account = ?1 AND (?2 IS NULL OR id <> ?2)");
    store_bind_id(s, 1, account);
    store_bind_id(s, 2, keep);
    return store_run(s, why);
}

struct begin_write {
    const struct session *s;
    const struct account *a; /* as it is to be */
    int64_t now, idle_us;
};

/* The new row, the time of signing in, a password's newer hash; and rows that are over go. */
static enum fail write_begin(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct begin_write *w = arg;
    AUTO_STMT struct store_stmt *old = store_query(
        store_tx_conn(tx), "DELETE FROM session WHERE expires_at <= ?1 OR seen_at <= ?2");
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO session (hash, id, account, team, created_at, seen_at, "
                           "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)");
    store_bind_int(old, 1, w->now);
    store_bind_int(old, 2, w->now - w->idle_us - LAST_USE_EVERY_US);
    enum fail f = store_run(old, why);
    if (f == FAIL_NONE) {
        store_bind_blob(s, 1, w->s->hash, sizeof(w->s->hash));
        store_bind_id(s, 2, &w->s->id);
        store_bind_id(s, 3, &w->a->id);
        store_bind_text(s, 4, w->s->team);
        store_bind_int(s, 5, w->s->created_at);
        store_bind_int(s, 6, w->s->expires_at);
        f = store_run(s, why);
    }
    return f == FAIL_NONE ? ring_account_write(tx, w->a, why) : f;
}

/* ---- beginning ---- */

/* The oldest of an account's sessions makes room for a new one. k->change is held. */
static bool oldest_of(struct keyring *k, const struct account *a, struct id *out)
{
    int64_t at = INT64_MAX;
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct session *s = k->sessions[i]; s != NULL; s = s->next) {
            if (s->account == a && s->created_at < at) {
                at = s->created_at;
                *out = s->id;
            }
        }
    }
    return at != INT64_MAX;
}

/* as: the account with what else changes. k->change is held. */
static enum fail session_begin(struct keyring *k, struct account *a, struct account *as,
                               const char *team, struct keyring_session *out, struct fault *why)
{
    struct principal p;
    struct id oldest;
    struct session s = {.id = text_id_new(), .account = a, .created_at = clock_now_us()};
    enum fail f = ring_principal(a, team, PRINCIPAL_KIND_SESSION, &s.id, &p, why);
    if (f == FAIL_NONE && k->sessions_len >= SESSIONS_MAX) {
        pthread_rwlock_wrlock(&k->lock);
        sweep(k, goes_over, &s.created_at);
        pthread_rwlock_unlock(&k->lock);
        f = k->sessions_len >= SESSIONS_MAX
                ? FAULT(why, FAIL_QUEUE_FULL, "%d people are signed in already", SESSIONS_MAX)
                : FAIL_NONE;
    }
    if (f != FAIL_NONE) {
        return f;
    }
    s.seen_at = s.written_at = as->last_login_at = s.created_at;
    s.expires_at = s.created_at + k->o.session_absolute_s * 1000000;
    text_copy(s.team, sizeof(s.team), p.team);
    ring_secret("", out->cookie);
    ring_hash(k->session_key, out->cookie, HEX_SECRET, s.hash);
    struct begin_write w = {&s, as, s.created_at, k->o.session_idle_s * 1000000};
    struct keyring_event e = {.kind = KEYRING_EVENT_SIGNED_IN,
                              .actor = a->name,
                              .team = p.team,
                              .object = a->name,
                              .what = "signed in"};
    f = ring_write(k, write_begin, &w, &e, why);
    if (f != FAIL_NONE) {
        sodium_memzero(out->cookie, sizeof(out->cookie));
        return f;
    }
    pthread_rwlock_wrlock(&k->lock);
    a->last_login_at = as->last_login_at;
    memcpy(a->password, as->password, sizeof(a->password));
    if (a->sessions >= SESSIONS_EACH && oldest_of(k, a, &oldest)) {
        sweep(k, goes_one, &oldest); /* its row goes when it is over: nobody finds it again */
    }
    insert(k, &s);
    ring_account_show(a, &out->account);
    pthread_rwlock_unlock(&k->lock);
    keyring_session_csrf(k, out->cookie, out->csrf);
    text_copy(out->team, sizeof(out->team), p.team);
    out->expires_at = s.expires_at;
    return FAIL_NONE;
}

enum fail keyring_session_start(struct keyring *k, const struct id *account, const char *team,
                                struct keyring_session *out, struct fault *why)
{
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&k->change);
    struct account *a = ring_account_by_id(k, account);
    enum fail f;
    if (a == NULL || !ring_is_live(a)) {
        f = FAULT(why, FAIL_UNAUTHENTICATED, "this account may not sign in");
    } else {
        struct account as = *a;
        f = session_begin(k, a, &as, team, out, why);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

static enum fail wrong(struct fault *why)
{
    FAULT(why, FAIL_UNAUTHENTICATED, "the name or the password is wrong");
    return fail_hint(why, "An administrator can set another password: inhouse users password.");
}

static enum fail record_refused(struct keyring *k, const struct account *a, struct fault *why)
{
    /* An unknown name is not kept: it may be a password typed into the wrong field. */
    struct keyring_event e = {.kind = KEYRING_EVENT_SIGN_IN_REFUSED,
                              .actor = a != NULL ? a->name : "unknown",
                              .team = KEYRING_TEAM_DEFAULT,
                              .object = a != NULL ? a->name : "",
                              .what = "refused"};
    return ring_write(k, NULL, NULL, &e, why);
}

enum fail keyring_sign_in(struct keyring *k, const char *name, const char *password,
                          const char *address, const char *team, struct keyring_session *out,
                          struct fault *why)
{
    char stored[PASSWORD_SIZE] = "";
    bool stale;
    memset(out, 0, sizeof(*out));
    enum fail f = keyring_throttle_ask(k, name, address, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (strlen(password) > KEYRING_PASSWORD_MAX) {
        password = ""; /* nobody's, and as slow as any other */
    }
    pthread_rwlock_rdlock(&k->lock);
    struct account *a = ring_account(k, name);
    if (a != NULL && ring_is_live(a) && a->kind == KEYRING_ACCOUNT_PERSON) {
        memcpy(stored, a->password, sizeof(stored));
    }
    pthread_rwlock_unlock(&k->lock);
    bool good = ring_password_check(k, stored, password, &stale);
    if (!good) {
        f = record_refused(k, a, why);
        return f == FAIL_NONE ? wrong(why) : f;
    }
    keyring_throttle_good(k, name, address);
    char fresh[PASSWORD_SIZE];
    memcpy(fresh, stored, sizeof(fresh));
    if (stale) {
        f = ring_password_hash(k, password, fresh, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    pthread_mutex_lock(&k->change);
    struct account as = *a;
    /* Neither disabled nor given another password meanwhile. */
    if (!ring_is_live(a) || strcmp(a->password, stored) != 0) {
        f = wrong(why);
    } else {
        memcpy(as.password, fresh, sizeof(as.password));
        f = session_begin(k, a, &as, team, out, why);
    }
    pthread_mutex_unlock(&k->change);
    sodium_memzero(&as, sizeof(as));
    sodium_memzero(stored, sizeof(stored));
    sodium_memzero(fresh, sizeof(fresh));
    return f;
}

/* ---- looking up ---- */

struct seen {
    struct id id;
    int64_t at;
};

static enum fail write_seen(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct seen *u = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE session SET seen_at = ?2 WHERE id = ?1");
    store_bind_id(s, 1, &u->id);
    store_bind_int(s, 2, u->at);
    return store_run(s, why);
}

static void seen_written(void *arg, enum fail code, const struct fault *why)
{
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_DEBUG, "keyring.seen", why);
    }
    mem_free(arg);
}

static void note_seen(struct keyring *k, struct session *s, int64_t now)
{
    int64_t last = __atomic_load_n(&s->written_at, __ATOMIC_RELAXED);
    __atomic_store_n(&s->seen_at, now, __ATOMIC_RELAXED);
    if (now - last < LAST_USE_EVERY_US ||
        !__atomic_compare_exchange_n(&s->written_at, &last, now, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
        return;
    }
    struct seen *u = mem_alloc(sizeof(*u));
    *u = (struct seen){s->id, now};
    if (store_write(k->store, write_seen, u, seen_written, NULL, NULL) != FAIL_NONE) {
        mem_free(u);
    }
}

static bool is_cookie(const char *s)
{
    return s != NULL && strlen(s) == HEX_SECRET && strspn(s, "0123456789abcdef") == HEX_SECRET;
}

void keyring_session_csrf(const struct keyring *k, const char *cookie, char out[KEYRING_CSRF_SIZE])
{
    uint8_t mac[32];
    ring_hash(k->csrf_key, cookie, HEX_SECRET, mac);
    text_hex(mac, sizeof(mac), out);
}

static enum fail check_csrf(const struct keyring *k, const char *cookie, const char *csrf,
                            struct fault *why)
{
    char good[KEYRING_CSRF_SIZE];
    keyring_session_csrf(k, cookie, good);
    if (csrf == NULL || strlen(csrf) != HEX_SECRET ||
        !text_equal_secret(csrf, good, HEX_SECRET)) {
        FAULT(why, FAIL_FORBIDDEN, "a request that changes something by cookie needs the session's "
                                   "token in X-CSRF-Token");
        return fail_hint(why, "GET /api/v1/me says it; programs use an API key instead.");
    }
    return FAIL_NONE;
}

static enum fail show(struct keyring *k, struct session *s, const char *team, int64_t now,
                      struct principal *out, struct fault *why)
{
    /* The session's own team may have been taken away: then the first that is left. */
    const char *acted = team != NULL ? team : ring_member(s->account, s->team) ? s->team : NULL;
    enum fail f = ring_principal(s->account, acted, PRINCIPAL_KIND_SESSION, &s->id, out, why);
    if (f == FAIL_NONE) {
        note_seen(k, s, now);
    }
    return f;
}

enum fail keyring_session_lookup(struct keyring *k, const char *cookie, const char *csrf,
                                 bool changes, const char *team, struct principal *out,
                                 struct fault *why)
{
    uint8_t hash[32];
    int64_t now = clock_now_us();
    enum fail f = FAIL_UNAUTHENTICATED;
    bool found = false;
    memset(out, 0, sizeof(*out));
    if (is_cookie(cookie)) {
        ring_hash(k->session_key, cookie, HEX_SECRET, hash);
        pthread_rwlock_rdlock(&k->lock);
        for (struct session *s = k->sessions[ring_bucket(hash)]; s != NULL && !found; s = s->next) {
            found = text_equal_secret(s->hash, hash, sizeof(hash)) && !is_over(k, s, now) &&
                    ring_is_live(s->account);
            if (found) {
                f = changes ? check_csrf(k, cookie, csrf, why) : FAIL_NONE;
                f = f == FAIL_NONE ? show(k, s, team, now, out, why) : f;
            }
        }
        pthread_rwlock_unlock(&k->lock);
    }
    if (!found) {
        FAULT(why, FAIL_UNAUTHENTICATED, "you are not signed in, or no longer");
        f = fail_hint(why, "Sign in again.");
    }
    return f;
}

/* ---- ending, changing the team ---- */

struct end_write {
    const struct principal *by;
    bool everywhere;
};

static enum fail write_end(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct end_write *w = arg;
    if (w->everywhere) {
        return ring_sessions_delete(tx, &w->by->user, NULL, why);
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM session WHERE id = ?1");
    store_bind_id(s, 1, &w->by->id);
    return store_run(s, why);
}

static enum fail not_a_session(struct fault *why)
{
    FAULT(why, FAIL_CONFLICT, "this request came without a session");
    return fail_hint(why, "Only browsers that signed in have one.");
}

enum fail keyring_sign_out(struct keyring *k, const struct principal *by, bool everywhere,
                           struct fault *why)
{
    struct end_write w = {by, everywhere};
    struct keyring_event e = {.kind = KEYRING_EVENT_SIGNED_OUT,
                              .actor = by->name,
                              .team = by->team,
                              .object = by->name,
                              .what = everywhere ? "signed out everywhere" : "signed out"};
    if (text_id_is_zero(&by->user) || (!everywhere && by->kind != PRINCIPAL_KIND_SESSION)) {
        return not_a_session(why);
    }
    pthread_mutex_lock(&k->change);
    pthread_rwlock_wrlock(&k->lock);
    struct account *a = ring_account_by_id(k, &by->user);
    if (everywhere && a != NULL) {
        ring_sessions_drop(k, a, NULL);
    } else {
        sweep(k, goes_one, &by->id);
    }
    pthread_rwlock_unlock(&k->lock);
    enum fail f = ring_write(k, write_end, &w, &e, why);
    pthread_mutex_unlock(&k->change);
    return f;
}

static enum fail write_acted(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct session *as = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE session SET team = ?2 WHERE id = ?1");
    store_bind_id(s, 1, &as->id);
    store_bind_text(s, 2, as->team);
    return store_run(s, why);
}

enum fail keyring_session_team(struct keyring *k, const struct principal *by, const char *team,
                               struct fault *why)
{
    struct session as = {.id = by->id};
    struct principal p;
    if (by->kind != PRINCIPAL_KIND_SESSION) {
        return not_a_session(why);
    }
    text_copy(as.team, sizeof(as.team), team);
    pthread_mutex_lock(&k->change);
    const struct account *a = ring_account_by_id(k, &by->user);
    enum fail f = a != NULL
                      ? ring_principal(a, team, PRINCIPAL_KIND_SESSION, &by->id, &p, why)
                      : not_a_session(why);
    f = f == FAIL_NONE ? ring_write(k, write_acted, &as, NULL, why) : f;
    pthread_rwlock_wrlock(&k->lock);
    for (int i = 0; f == FAIL_NONE && i < BUCKETS; i++) {
        for (struct session *s = k->sessions[i]; s != NULL; s = s->next) {
            if (text_id_equal(&s->id, &by->id)) {
                text_copy(s->team, sizeof(s->team), team);
            }
        }
    }
    pthread_rwlock_unlock(&k->lock);
    pthread_mutex_unlock(&k->change);
    return f;
}
