/* SPDX-License-Identifier: Apache-2.0 */
/* API keys: the table in memory that lookups read, and the rows behind it. */
#include "trust/keyring/keyring_internal.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

#define SECRET_LEN (KEYRING_SECRET_SIZE - 1)

/* ---- the table ---- */

static struct entry *insert(struct keyring *k, const struct entry *from)
{
    struct entry *e = mem_dup(from, sizeof(*from));
    struct entry **b = &k->keys[ring_bucket(e->hash)];
    e->next = *b;
    *b = e;
    if (e->key.old_until != 0) {
        b = &k->old_keys[ring_bucket(e->old_hash)];
        e->next_old = *b;
        *b = e;
    }
    k->keys_len++;
    return e;
}

static void take_out(struct keyring *k, struct entry *e)
{
    struct entry **at = &k->keys[ring_bucket(e->hash)];
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    at = &k->old_keys[ring_bucket(e->old_hash)];
    while (*at != NULL && *at != e) {
        at = &(*at)->next_old;
    }
    if (*at == e) {
        *at = e->next_old;
    }
    e->next = e->next_old = NULL;
    k->keys_len--;
}

static struct entry *find_name(struct keyring *k, const char *name)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->keys[i]; e != NULL; e = e->next) {
            if (strcmp(e->key.name, name) == 0) {
                return e;
            }
        }
    }
    return NULL;
}

static struct entry *find_id(struct keyring *k, const struct id *id)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->keys[i]; e != NULL; e = e->next) {
            if (text_id_equal(&e->key.id, id)) {
                return e;
            }
        }
    }
    return NULL;
}

bool ring_key_name_taken(struct keyring *k, const char *name)
{
    const struct entry *e = find_name(k, name);
    return e != NULL && e->owner == NULL;
}

/* ---- loading ---- */

static bool read_limits(struct store_stmt *s, int first, struct keyring_limits *l)
{
    bool good = true;
    for (int i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        if (!store_col_is_null(s, first + i)) {
            good = keyring_limits_set(l, (enum keyring_limit)i, store_col_text(s, first + i),
                                      NULL) == FAIL_NONE &&
                   good;
        }
    }
    return good;
}

static enum fail read_row(struct keyring *k, struct store_stmt *s, struct entry *e,
                          struct fault *why)
{
    struct keyring_key *key = &e->key;
    size_t n, old_n;
    struct id owner;
    bool good = store_col_id(s, 0, &key->id);
    text_copy(key->name, sizeof(key->name), store_col_text(s, 1));
    text_copy(key->team, sizeof(key->team), store_col_text(s, 2));
    good = good && keyring_role_find(store_col_text(s, 3), &key->role);
    good = good && keyring_scopes_read(store_col_text(s, 4), &key->scopes, NULL) == FAIL_NONE;
    const void *hash = store_col_blob(s, 5, &n);
    good = good && n == sizeof(e->hash);
    good = good && read_limits(s, 12, &key->limits);
    if (good && store_col_id(s, 11, &owner)) {
        e->owner = ring_account_by_id(k, &owner);
        good = e->owner != NULL;
    }
    if (!good) {
        FAULT(why, FAIL_INTERNAL, "the stored API key \"%s\" is damaged", key->name);
        return fail_hint(why, "Run `inhouse audit verify`, then restore the database from a "
                              "backup.");
    }
    memcpy(e->hash, hash, sizeof(e->hash));
    hash = store_col_blob(s, 15, &old_n);
    if (old_n == sizeof(e->old_hash)) {
        memcpy(e->old_hash, hash, sizeof(e->old_hash));
        key->old_until = store_col_int(s, 16);
    }
    key->created_at = store_col_int(s, 6);
    text_copy(key->created_by, sizeof(key->created_by), store_col_text(s, 7));
    key->expires_at = store_col_int(s, 8);
    e->last_use_at = store_col_int(s, 9);
    key->revoked_at = store_col_int(s, 10);
    return FAIL_NONE;
}

static enum fail load_parents(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT id, parent FROM api_key WHERE parent IS NOT NULL");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id id, parent;
        bool good = store_col_id(s, 0, &id) && store_col_id(s, 1, &parent);
        struct entry *e = good ? find_id(k, &id) : NULL;
        if (e == NULL || (e->parent = find_id(k, &parent)) == NULL) {
            return FAULT(why, FAIL_INTERNAL, "a stored API key's maker is missing");
        }
    }
    return f;
}

enum fail ring_keys_load(struct keyring *k, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT id, name, team, role, scopes, hash, created_at, created_by, "
                       "expires_at, last_use_at, revoked_at, owner, models, datasets, workflows, "
                       "old_hash, old_until FROM api_key ORDER BY id");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct entry e = {0};
        f = read_row(k, s, &e, why);
        if (f != FAIL_NONE) {
            return f;
        }
        (void)insert(k, &e);
    }
    return f == FAIL_NONE ? load_parents(k, c, why) : f;
}

void ring_keys_free(struct keyring *k)
{
    for (int i = 0; i < BUCKETS; i++) {
        while (k->keys[i] != NULL) {
            struct entry *e = k->keys[i];
            k->keys[i] = e->next;
            mem_free(e);
        }
    }
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

static enum fail new_one(struct fault *why)
{
    return fail_hint(why, "Ask an administrator for a new one.");
}

/* Revoked, expired, or made by one that is. */
static enum fail check_live(const struct entry *e, int64_t now, struct fault *why)
{
    for (; e != NULL; e = e->parent) {
        if (e->key.revoked_at != 0) {
            FAULT(why, FAIL_UNAUTHENTICATED, "this API key was revoked");
            return new_one(why);
        }
        if (e->key.expires_at != 0 && e->key.expires_at <= now) {
            FAULT(why, FAIL_UNAUTHENTICATED, "this API key has expired");
            return new_one(why);
        }
    }
    return FAIL_NONE;
}

/* The owner may act, in this team, now: its role there caps what the key carries. */
static enum fail check_owner(const struct entry *e, uint32_t *scopes, enum keyring_role *role,
                             struct fault *why)
{
    *scopes = e->key.scopes;
    *role = e->key.role;
    if (e->owner == NULL) {
        return FAIL_NONE;
    }
    const struct member *m = ring_member(e->owner, e->key.team);
    if (!ring_is_live(e->owner) || m == NULL) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this API key's owner may not act any more");
        return new_one(why);
    }
    uint32_t now = keyring_role_scopes(m->role);
    *scopes &= now;
    if ((keyring_role_scopes(*role) & ~now) != 0) {
        *role = m->role;
    }
    return FAIL_NONE;
}

static enum fail show_bearer(struct keyring *k, struct entry *e, int64_t now,
                             struct principal *out, struct fault *why)
{
    uint32_t scopes;
    enum keyring_role role;
    enum fail f = check_live(e, now, why);
    if (f == FAIL_NONE) {
        f = check_owner(e, &scopes, &role, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const struct team *t = ring_team(k, e->key.team);
    bool service = e->owner != NULL && e->owner->kind == KEYRING_ACCOUNT_SERVICE;
    *out = (struct principal){.kind = service ? PRINCIPAL_KIND_SERVICE : PRINCIPAL_KIND_KEY,
                              .id = e->key.id,
                              .label = t != NULL ? t->label : SECRECY_RESTRICTED,
                              .role = role,
                              .scopes = scopes,
                              .limits = e->key.limits};
    if (e->owner != NULL) {
        out->user = e->owner->id;
    }
    text_copy(out->name, sizeof(out->name), e->owner != NULL ? e->owner->name : e->key.name);
    text_copy(out->key, sizeof(out->key), e->key.name);
    text_copy(out->team, sizeof(out->team), e->key.team);
    note_use(k, e, now);
    return FAIL_NONE;
}

/* By the secret now, or by the one before it while that is good. The lock is held. */
static struct entry *find_hash(struct keyring *k, const uint8_t hash[32], int64_t now)
{
    struct entry *found = NULL;
    size_t b = ring_bucket(hash);
    for (struct entry *e = k->keys[b]; e != NULL; e = e->next) {
        found = text_equal_secret(e->hash, hash, 32) ? e : found;
    }
    for (struct entry *e = k->old_keys[b]; e != NULL; e = e->next_old) {
        found = e->key.old_until > now && text_equal_secret(e->old_hash, hash, 32) ? e : found;
    }
    return found;
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
    int64_t now = clock_now_us();
    ring_hash(k->key_key, bearer, SECRET_LEN, hash);
    pthread_rwlock_rdlock(&k->lock);
    struct entry *e = find_hash(k, hash, now);
    enum fail f = e != NULL ? show_bearer(k, e, now, out, why) : FAIL_UNAUTHENTICATED;
    pthread_rwlock_unlock(&k->lock);
    if (e == NULL) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this API key is not known here");
        fail_hint(why, "Check for a missing character; `inhouse keys list` shows the keys.");
    }
    return f;
}

static bool is_live(const struct entry *e, int64_t now)
{
    uint32_t scopes;
    enum keyring_role role;
    return check_live(e, now, NULL) == FAIL_NONE &&
           check_owner(e, &scopes, &role, NULL) == FAIL_NONE;
}

size_t ring_keys_live(struct keyring *k, const char *team)
{
    size_t live = 0;
    int64_t now = clock_now_us();
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = k->keys[i]; e != NULL; e = e->next) {
            live += (team == NULL || strcmp(e->key.team, team) == 0) && is_live(e, now);
        }
    }
    return live;
}

size_t keyring_count(struct keyring *k)
{
    pthread_rwlock_rdlock(&k->lock);
    size_t live = ring_keys_live(k, NULL);
    pthread_rwlock_unlock(&k->lock);
    return live;
}

static void show_key(const struct entry *e, int64_t now, struct keyring_key *out)
{
    *out = e->key;
    out->last_use_at = __atomic_load_n(&e->last_use_at, __ATOMIC_RELAXED);
    out->revoked_at = e->key.revoked_at < 0 ? -e->key.revoked_at : e->key.revoked_at;
    out->old_until = e->key.old_until > now ? e->key.old_until : 0;
    out->dead = out->revoked_at == 0 && (e->key.expires_at == 0 || e->key.expires_at > now) &&
                !is_live(e, now);
    text_copy(out->owner, sizeof(out->owner), e->owner != NULL ? e->owner->name : "");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct keyring_key *)a)->name, ((const struct keyring_key *)b)->name);
}

void keyring_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_key *key),
                  void *arg)
{
    int64_t now = clock_now_us();
    pthread_rwlock_rdlock(&k->lock);
    size_t n = 0;
    AUTO_FREE struct keyring_key *all = mem_alloc_array(k->keys_len + 1, sizeof(*all));
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct entry *e = k->keys[i]; e != NULL; e = e->next) {
            show_key(e, now, &all[n++]);
        }
    }
    pthread_rwlock_unlock(&k->lock);
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 0; i < n; i++) {
        fn(arg, &all[i]);
    }
}

/* ---- making ---- */

struct making {
    const struct keyring_new *n;
    const struct principal *by;
    const char *team;
    struct account *owner;
    struct entry *parent;
    struct team *team_at; /* NULL: it is added with the key */
    struct team fresh;
    bool admin; /* made as an administrator, not for oneself */
    uint32_t scopes;
};

static enum fail lacks(const struct principal *by, uint32_t beyond, struct fault *why)
{
    char names[KEYRING_SCOPES_SIZE];
    keyring_scopes_show(beyond, names, sizeof(names));
    return FAULT(why, FAIL_FORBIDDEN, "%s cannot give the scope %s, which it lacks", by->name,
                 names);
}

static enum fail check_form(const struct making *m, struct fault *why)
{
    const struct keyring_new *n = m->n;
    if (n->name == NULL || !text_is_name(n->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "a key's name is 1 to 64 of a-z, 0-9, dot, dash, underscore");
        return fail_param(why, "name");
    }
    if (!text_is_name(m->team)) {
        FAULT(why, FAIL_BAD_REQUEST, "a team's name is 1 to 64 of a-z, 0-9, dot, dash, underscore");
        return fail_param(why, "team");
    }
    if (n->expires_at != 0 && n->expires_at <= clock_now_us()) {
        FAULT(why, FAIL_BAD_REQUEST, "the key would have expired already");
        return fail_param(why, "expires_at");
    }
    uint32_t beyond = m->scopes & ~keyring_role_scopes(n->role);
    if (beyond != 0) {
        char names[KEYRING_SCOPES_SIZE];
        keyring_scopes_show(beyond, names, sizeof(names));
        FAULT(why, FAIL_BAD_REQUEST, "the role %s does not carry the scope %s",
              keyring_role_name(n->role), names);
        return fail_param(why, "scopes");
    }
    return FAIL_NONE;
}

/* What the maker may give: nothing that it does not hold itself. */
static enum fail check_maker(const struct making *m, struct fault *why)
{
    const struct principal *by = m->by;
    uint32_t beyond = m->scopes & ~by->scopes;
    if (beyond != 0) {
        return lacks(by, beyond, why);
    }
    if (!keyring_limits_within(&m->n->limits, &by->limits)) {
        FAULT(why, FAIL_FORBIDDEN, "%s cannot make a key that may use more than it may", by->name);
        return fail_hint(why, "Name models, datasets and workflows that its own key names.");
    }
    if (m->admin) {
        return strcmp(m->team, by->team) == 0 || by->role == KEYRING_ROLE_ADMIN
                   ? FAIL_NONE
                   : FAULT(why, FAIL_FORBIDDEN, "%s cannot make keys for another team", by->name);
    }
    if (text_id_is_zero(&by->user) || m->owner == NULL ||
        !text_id_equal(&m->owner->id, &by->user) || strcmp(m->team, by->team) != 0) {
        return keyring_require(by, KEYRING_SCOPE_ADMIN, why) == FAIL_NONE
                   ? FAULT(why, FAIL_FORBIDDEN, "%s cannot make a key for others", by->name)
                   : FAIL_FORBIDDEN;
    }
    return FAIL_NONE;
}

/* The owner's role there carries it. */
static enum fail check_for_owner(const struct making *m, struct fault *why)
{
    if (m->owner == NULL) {
        return FAIL_NONE;
    }
    const struct member *in = ring_member(m->owner, m->team);
    if (in == NULL || !ring_is_live(m->owner)) {
        return FAULT(why, FAIL_CONFLICT, "\"%s\" %s \"%s\"", m->owner->name,
                     in == NULL ? "has no role in" : "is disabled and cannot act in", m->team);
    }
    if ((keyring_role_scopes(m->n->role) & ~keyring_role_scopes(in->role)) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" is %s in \"%s\", so its keys are at most that",
              m->owner->name, keyring_role_name(in->role), m->team);
        return fail_param(why, "role");
    }
    return FAIL_NONE;
}

static enum fail check_room(struct keyring *k, const struct making *m, struct fault *why)
{
    if (find_name(k, m->n->name) != NULL ||
        (m->owner == NULL && ring_account(k, m->n->name) != NULL)) {
        FAULT(why, FAIL_CONFLICT, "an API key or account named \"%s\" exists already", m->n->name);
        fail_param(why, "name");
        return fail_hint(why, "Names are never used twice, so that the record stays clear.");
    }
    if (k->keys_len >= KEYS_MAX || (m->team_at == NULL && k->teams_len == TEAMS_MAX)) {
        return FAULT(why, FAIL_TOO_LARGE, "there are %d API keys or %d teams already", KEYS_MAX,
                     TEAMS_MAX);
    }
    size_t depth = 0;
    for (const struct entry *p = m->parent; p != NULL; p = p->parent) {
        depth++;
    }
    return depth < PARENTS_MAX
               ? FAIL_NONE
               : FAULT(why, FAIL_FORBIDDEN, "this key is itself %d keys deep", PARENTS_MAX);
}

/* Looks up what the words name. k->change is held. */
static enum fail making_find(struct keyring *k, struct making *m, struct fault *why)
{
    const struct keyring_new *n = m->n;
    m->admin = (m->by->scopes & KEYRING_SCOPE_ADMIN) != 0;
    m->scopes = n->scopes != 0 ? n->scopes : keyring_role_scopes(n->role);
    m->team = n->team != NULL ? n->team
              : n->owner != NULL ? m->by->team
                                 : KEYRING_TEAM_DEFAULT;
    if (n->owner != NULL) {
        m->owner = ring_account(k, n->owner);
        if (m->owner == NULL) {
            return m->admin ? ring_no_account(n->owner, why)
                            : FAULT(why, FAIL_FORBIDDEN, "%s cannot make a key for others",
                                    m->by->name);
        }
        if (n->scopes == 0) { /* all of the role that its maker can give */
            m->scopes &= m->admin ? UINT32_MAX : m->by->scopes;
        }
    }
    m->team_at = ring_team(k, m->team);
    if (!m->admin && (m->by->kind == PRINCIPAL_KIND_KEY || m->by->kind == PRINCIPAL_KIND_SERVICE)) {
        m->parent = find_id(k, &m->by->id);
    }
    return FAIL_NONE;
}

static void bind_key(struct store_stmt *s, const struct entry *e)
{
    char scopes[KEYRING_SCOPES_SIZE];
    keyring_scopes_show(e->key.scopes, scopes, sizeof(scopes));
    store_bind_id(s, 1, &e->key.id);
    store_bind_text(s, 2, e->key.name);
    store_bind_text(s, 3, e->key.team);
    store_bind_text(s, 4, keyring_role_name(e->key.role));
    store_bind_text(s, 5, scopes);
    store_bind_blob(s, 6, e->hash, sizeof(e->hash));
    store_bind_int(s, 7, e->key.created_at);
    store_bind_text(s, 8, e->key.created_by);
    store_bind_int(s, 9, e->key.expires_at);
    store_bind_id(s, 10, e->owner != NULL ? &e->owner->id : NULL);
    store_bind_id(s, 11, e->parent != NULL ? &e->parent->key.id : NULL);
    for (int i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        bool given = (e->key.limits.given & (1U << i)) != 0;
        store_bind_text(s, 12 + i, given ? e->key.limits.names[i] : NULL);
    }
}

struct key_write {
    const struct entry *e;
    const struct team *team; /* to be added too, or NULL */
};

static enum fail write_key(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct key_write *w = arg;
    enum fail f = w->team != NULL ? ring_team_write(tx, w->team, why) : FAIL_NONE;
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "INSERT INTO api_key (id, name, team, role, scopes, hash, created_at, "
                    "created_by, expires_at, last_use_at, revoked_at, owner, parent, models, "
                    "datasets, workflows) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, ?10, ?11, ?12, ?13, ?14)");
    bind_key(s, w->e);
    return store_run(s, why);
}

static enum fail make(struct keyring *k, struct making *m, char secret[KEYRING_SECRET_SIZE],
                      struct keyring_key *made, struct fault *why)
{
    const struct keyring_new *n = m->n;
    struct entry e = {.key = {.id = text_id_new(),
                              .role = n->role,
                              .scopes = m->scopes,
                              .limits = n->limits,
                              .created_at = clock_now_us(),
                              .expires_at = n->expires_at},
                      .owner = m->owner,
                      .parent = m->parent};
    for (unsigned i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        ASSERT((e.key.limits.given & (1U << i)) != 0 || e.key.limits.names[i][0] == '\0');
    }
    text_copy(e.key.name, sizeof(e.key.name), n->name);
    text_copy(e.key.team, sizeof(e.key.team), m->team);
    text_copy(e.key.created_by, sizeof(e.key.created_by), m->by->name);
    m->fresh = (struct team){.label = SECRECY_INTERNAL, .created_at = e.key.created_at};
    text_copy(m->fresh.name, sizeof(m->fresh.name), m->team);
    text_copy(m->fresh.created_by, sizeof(m->fresh.created_by), m->by->name);
    struct key_write w = {&e, m->team_at == NULL ? &m->fresh : NULL};
    struct keyring_event event = {.kind = KEYRING_EVENT_KEY_ADDED,
                                  .actor = m->by->name,
                                  .team = m->by->team,
                                  .object = n->name,
                                  .what = "added"};
    ring_secret("ik_", secret);
    ring_hash(k->key_key, secret, SECRET_LEN, e.hash);
    enum fail f = ring_write(k, write_key, &w, &event, why);
    if (f != FAIL_NONE) {
        sodium_memzero(secret, KEYRING_SECRET_SIZE);
        return f;
    }
    pthread_rwlock_wrlock(&k->lock);
    if (w.team != NULL) {
        (void)ring_team_insert(k, w.team);
    }
    show_key(insert(k, &e), e.key.created_at, made);
    pthread_rwlock_unlock(&k->lock);
    return FAIL_NONE;
}

enum fail keyring_add(struct keyring *k, const struct keyring_new *n, const struct principal *by,
                      char secret[KEYRING_SECRET_SIZE], struct keyring_key *made,
                      struct fault *why)
{
    ASSERT(n->role < KEYRING_ROLE_COUNT);
    struct making m = {.n = n, .by = by};
    pthread_mutex_lock(&k->change);
    enum fail f = making_find(k, &m, why);
    if (f == FAIL_NONE) {
        f = check_form(&m, why);
    }
    if (f == FAIL_NONE) {
        f = check_maker(&m, why);
    }
    if (f == FAIL_NONE) {
        f = check_for_owner(&m, why);
    }
    if (f == FAIL_NONE) {
        f = check_room(k, &m, why);
    }
    if (f == FAIL_NONE) {
        f = make(k, &m, secret, made, why);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

/* ---- rotating, revoking ---- */

static enum fail no_key(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no API key named \"%.64s\" that is in use", name);
    return fail_hint(why, "`inhouse keys list` shows them.");
}

/* NULL also for a key that by may not touch: the answer is the same. */
static struct entry *find_mine(struct keyring *k, const char *name, const struct principal *by)
{
    struct entry *e = find_name(k, name);
    bool owns = e != NULL && e->owner != NULL && !text_id_is_zero(&by->user) &&
                text_id_equal(&e->owner->id, &by->user);
    bool admin = e != NULL && (by->scopes & KEYRING_SCOPE_ADMIN) != 0;
    return (owns || admin) && e->key.revoked_at <= 0 ? e : NULL;
}

static enum fail write_rotated(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct entry *e = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE api_key SET hash = ?2, old_hash = ?3, "
                                       "old_until = ?4 WHERE id = ?1 AND revoked_at = 0");
    store_bind_id(s, 1, &e->key.id);
    store_bind_blob(s, 2, e->hash, sizeof(e->hash));
    store_bind_blob(s, 3, e->key.old_until != 0 ? e->old_hash : NULL, sizeof(e->old_hash));
    store_bind_int(s, 4, e->key.old_until);
    return store_run(s, why);
}

static enum fail rotate(struct keyring *k, struct entry *e, int64_t overlap_s,
                        const struct principal *by, char secret[KEYRING_SECRET_SIZE],
                        struct keyring_key *made, struct fault *why)
{
    int64_t now = clock_now_us();
    struct entry as = *e;
    char what[64] = "rotated, the old secret ended";
    ring_secret("ik_", secret);
    memcpy(as.old_hash, e->hash, sizeof(as.old_hash));
    ring_hash(k->key_key, secret, SECRET_LEN, as.hash);
    as.key.old_until = overlap_s > 0 ? now + overlap_s * 1000000 : 0;
    if (overlap_s > 0) {
        (void)snprintf(what, sizeof(what), "rotated, the old secret good for %" PRId64 " s",
                       overlap_s);
    }
    struct keyring_event event = {.kind = KEYRING_EVENT_KEY_CHANGED,
                                  .actor = by->name,
                                  .team = by->team,
                                  .object = e->key.name,
                                  .what = what};
    enum fail f = ring_write(k, write_rotated, &as, &event, why);
    if (f != FAIL_NONE) {
        sodium_memzero(secret, KEYRING_SECRET_SIZE);
        return f;
    }
    /* The same object in other buckets: keys that it made point to it. */
    pthread_rwlock_wrlock(&k->lock);
    take_out(k, e);
    memcpy(e->hash, as.hash, sizeof(e->hash));
    memcpy(e->old_hash, as.old_hash, sizeof(e->old_hash));
    e->key.old_until = as.key.old_until;
    struct entry **b = &k->keys[ring_bucket(e->hash)];
    e->next = *b;
    *b = e;
    if (e->key.old_until != 0) {
        b = &k->old_keys[ring_bucket(e->old_hash)];
        e->next_old = *b;
        *b = e;
    }
    k->keys_len++;
    show_key(e, now, made);
    pthread_rwlock_unlock(&k->lock);
    return FAIL_NONE;
}

enum fail keyring_rotate(struct keyring *k, const char *name, int64_t overlap_s,
                         const struct principal *by, char secret[KEYRING_SECRET_SIZE],
                         struct keyring_key *made, struct fault *why)
{
    ASSERT(overlap_s >= 0 && overlap_s <= KEYRING_OVERLAP_S_MAX);
    pthread_mutex_lock(&k->change);
    struct entry *e = find_mine(k, name, by);
    enum fail f = e != NULL && e->key.revoked_at == 0
                      ? check_live(e, clock_now_us(), why)
                      : no_key(name, why);
    /* Who shows the new secret is whom the key names: it must not carry more than its rotator. */
    if (f == FAIL_NONE && ((e->key.scopes & ~by->scopes) != 0 ||
                           !keyring_limits_within(&e->key.limits, &by->limits))) {
        f = FAULT(why, FAIL_FORBIDDEN, "%s cannot rotate a key that carries more than it does",
                  by->name);
    }
    if (f == FAIL_NONE) {
        f = rotate(k, e, overlap_s, by, secret, made, why);
    }
    pthread_mutex_unlock(&k->change);
    return f;
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

enum fail keyring_revoke(struct keyring *k, const char *name, const struct principal *by,
                         struct fault *why)
{
    struct use u = {.at = clock_now_us()};
    struct keyring_event event = {.kind = KEYRING_EVENT_KEY_REVOKED,
                                  .actor = by->name,
                                  .team = by->team,
                                  .object = name,
                                  .what = "revoked"};
    pthread_mutex_lock(&k->change);
    struct entry *e = find_mine(k, name, by);
    if (e == NULL) {
        pthread_mutex_unlock(&k->change);
        return no_key(name, why);
    }
    /* At once, and before the disk: a key that is being revoked must not answer meanwhile. */
    pthread_rwlock_wrlock(&k->lock);
    e->key.revoked_at = u.at;
    u.id = e->key.id;
    pthread_rwlock_unlock(&k->lock);
    enum fail f = ring_write(k, write_revoked, &u, &event, why);
    if (f != FAIL_NONE) {
        /* Not durable: say so, and keep it refused here. Negative: may be revoked again. */
        fail_hint(why, "The key is refused until a restart; revoke it again once the disk works.");
        pthread_rwlock_wrlock(&k->lock);
        e->key.revoked_at = -u.at;
        pthread_rwlock_unlock(&k->lock);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}
