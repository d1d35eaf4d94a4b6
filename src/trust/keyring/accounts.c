/* SPDX-License-Identifier: Apache-2.0 */
/* Teams, accounts and roles: found, shown, written, changed. */
#include "trust/keyring/keyring_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"

/* ---- finding; the lock is held ---- */

struct team *ring_team(struct keyring *k, const char *name)
{
    for (size_t i = 0; i < k->teams_len; i++) {
        if (strcmp(k->teams[i]->name, name) == 0) {
            return k->teams[i];
        }
    }
    return NULL;
}

struct account *ring_account_by_id(struct keyring *k, const struct id *id)
{
    for (size_t i = 0; i < k->accounts_len; i++) {
        if (text_id_equal(&k->accounts[i]->id, id)) {
            return k->accounts[i];
        }
    }
    return NULL;
}

struct account *ring_account(struct keyring *k, const char *name)
{
    struct id id;
    for (size_t i = 0; i < k->accounts_len; i++) {
        if (strcmp(k->accounts[i]->name, name) == 0) {
            return k->accounts[i];
        }
    }
    return text_id_read(name, "usr", &id) ? ring_account_by_id(k, &id) : NULL;
}

const struct member *ring_member(const struct account *a, const char *team)
{
    for (size_t i = 0; i < a->members_len; i++) {
        if (strcmp(a->members[i].team->name, team) == 0) {
            return &a->members[i];
        }
    }
    return NULL;
}

bool ring_is_live(const struct account *a)
{
    return a->disabled_at == 0;
}

struct team *ring_team_insert(struct keyring *k, const struct team *t)
{
    ASSERT(k->teams_len < TEAMS_MAX);
    return k->teams[k->teams_len++] = mem_dup(t, sizeof(*t));
}

struct account *ring_account_insert(struct keyring *k, const struct account *a)
{
    ASSERT(k->accounts_len < ACCOUNTS_MAX);
    return k->accounts[k->accounts_len++] = mem_dup(a, sizeof(*a));
}

void ring_account_show(const struct account *a, struct keyring_account *out)
{
    *out = (struct keyring_account){.id = a->id,
                                    .kind = a->kind,
                                    .has_password = a->password[0] != '\0',
                                    .created_at = a->created_at,
                                    .disabled_at = a->disabled_at,
                                    .last_login_at = a->last_login_at,
                                    .checked_at = a->checked_at,
                                    .sessions = a->sessions,
                                    .members_len = a->members_len};
    text_copy(out->name, sizeof(out->name), a->name);
    text_copy(out->origin, sizeof(out->origin), a->origin);
    text_copy(out->subject, sizeof(out->subject), a->subject);
    text_copy(out->created_by, sizeof(out->created_by), a->created_by);
    for (size_t i = 0; i < a->members_len; i++) {
        const struct member *m = &a->members[i];
        text_copy(out->members[i].team, sizeof(out->members[i].team), m->team->name);
        out->members[i].role = m->role;
        out->members[i].directory = m->directory;
    }
}

enum fail ring_principal(const struct account *a, const char *team, enum principal_kind kind,
                         const struct id *id, struct principal *out, struct fault *why)
{
    const struct member *m = team != NULL          ? ring_member(a, team)
                             : a->members_len > 0 ? &a->members[0]
                                                  : NULL;
    if (m == NULL) {
        FAULT(why, FAIL_FORBIDDEN, "you have no role in %s",
              team != NULL ? "a team of that name" : "any team");
        return fail_hint(why, "Ask an administrator for one: inhouse users role NAME TEAM ROLE.");
    }
    *out = (struct principal){.kind = kind,
                              .id = *id,
                              .user = a->id,
                              .label = m->team->label,
                              .role = m->role,
                              .scopes = keyring_role_scopes(m->role)};
    text_copy(out->name, sizeof(out->name), a->name);
    text_copy(out->team, sizeof(out->team), m->team->name);
    return FAIL_NONE;
}

enum fail ring_no_account(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no account named \"%.64s\"", name);
    return fail_hint(why, "`inhouse users list` shows them.");
}

static enum fail no_team(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no team named \"%.64s\"", name);
    return fail_hint(why, "`inhouse teams list` shows them.");
}

enum fail ring_may_grant(const struct principal *by, enum keyring_role role, struct fault *why)
{
    if (keyring_require(by, KEYRING_SCOPE_ADMIN, why) != FAIL_NONE) {
        return FAIL_FORBIDDEN;
    }
    uint32_t beyond = role < KEYRING_ROLE_COUNT ? keyring_role_scopes(role) & ~by->scopes : 0;
    if (beyond != 0) {
        char names[KEYRING_SCOPES_SIZE];
        keyring_scopes_show(beyond, names, sizeof(names));
        return FAULT(why, FAIL_FORBIDDEN, "%s cannot give the role %s: it lacks the scope %s",
                     by->name, keyring_role_name(role), names);
    }
    if (by->role != KEYRING_ROLE_ADMIN || by->limits.given != 0) {
        return FAULT(why, FAIL_FORBIDDEN, "%s may not administer accounts: its key is confined",
                     by->name);
    }
    return FAIL_NONE;
}

/* ---- writing ---- */

enum fail ring_team_write(struct store_tx *tx, const struct team *t, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "INSERT INTO team (name, label, created_at, created_by) "
                    "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET label = ?2");
    store_bind_text(s, 1, t->name);
    store_bind_text(s, 2, secrecy_name(t->label));
    store_bind_int(s, 3, t->created_at);
    store_bind_text(s, 4, t->created_by);
    return store_run(s, why);
}

enum fail ring_account_write(struct store_tx *tx, const struct account *a, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO account (id, name, kind, origin, subject, password, created_at, created_by, "
        "disabled_at, last_login_at, checked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11) ON CONFLICT (id) DO UPDATE SET password = ?6, disabled_at = ?9, "
        "last_login_at = ?10, checked_at = ?11");
    store_bind_id(s, 1, &a->id);
    store_bind_text(s, 2, a->name);
    store_bind_text(s, 3, a->kind == KEYRING_ACCOUNT_SERVICE ? "service" : "person");
    store_bind_text(s, 4, a->origin);
    store_bind_text(s, 5, a->subject);
    store_bind_text(s, 6, a->password);
    store_bind_int(s, 7, a->created_at);
    store_bind_text(s, 8, a->created_by);
    store_bind_int(s, 9, a->disabled_at);
    store_bind_int(s, 10, a->last_login_at);
    store_bind_int(s, 11, a->checked_at);
    return store_run(s, why);
}

enum fail ring_members_write(struct store_tx *tx, const struct account *a, const char *by,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *gone =
        store_query(store_tx_conn(tx), "DELETE FROM membership WHERE account = ?1");
    store_bind_id(gone, 1, &a->id);
    enum fail f = store_run(gone, why);
    for (size_t i = 0; f == FAIL_NONE && i < a->members_len; i++) {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "INSERT INTO membership (account, team, role, source, created_at, "
                               "created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        store_bind_id(s, 1, &a->id);
        store_bind_text(s, 2, a->members[i].team->name);
        store_bind_text(s, 3, keyring_role_name(a->members[i].role));
        store_bind_text(s, 4, a->members[i].directory ? "directory" : "local");
        store_bind_int(s, 5, (int64_t)i); /* their order: the first is the one acted for */
        store_bind_text(s, 6, by);
        f = store_run(s, why);
    }
    return f;
}

/* ---- teams ---- */

static enum fail write_team(struct store_tx *tx, void *arg, struct fault *why)
{
    return ring_team_write(tx, arg, why);
}

static enum fail team_put(struct keyring *k, const char *name, enum secrecy label, bool add,
                          const struct principal *by, struct fault *why)
{
    enum fail f = ring_may_grant(by, KEYRING_ROLE_COUNT, why);
    if (f != FAIL_NONE) {
        return f;
    }
    ASSERT(label < SECRECY_COUNT);
    if (!text_is_name(name)) {
        FAULT(why, FAIL_BAD_REQUEST, "a team's name is 1 to 64 of a-z, 0-9, dot, dash, underscore");
        return fail_param(why, "name");
    }
    pthread_mutex_lock(&k->change);
    struct team *old = ring_team(k, name); /* only changes, one at a time, move them */
    struct team t = {.label = label, .created_at = clock_now_us()};
    text_copy(t.name, sizeof(t.name), name);
    text_copy(t.created_by, sizeof(t.created_by), by->name);
    char what[64];
    (void)snprintf(what, sizeof(what), "%slabel %s", add ? "added, " : "", secrecy_name(label));
    struct keyring_event e = {.kind = KEYRING_EVENT_TEAM_CHANGED,
                              .actor = by->name,
                              .team = by->team,
                              .object = name,
                              .what = what};
    if (add && old != NULL) {
        FAULT(why, FAIL_CONFLICT, "a team named \"%s\" exists already", name);
        f = fail_param(why, "name");
    } else if (!add && old == NULL) {
        f = no_team(name, why);
    } else if (add && k->teams_len == TEAMS_MAX) {
        f = FAULT(why, FAIL_TOO_LARGE, "there are %d teams already", TEAMS_MAX);
    } else {
        f = ring_write(k, write_team, &t, &e, why);
    }
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        if (old != NULL) {
            old->label = label;
        } else {
            (void)ring_team_insert(k, &t);
        }
        pthread_rwlock_unlock(&k->lock);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

enum fail keyring_team_add(struct keyring *k, const char *name, enum secrecy label,
                           const struct principal *by, struct fault *why)
{
    return team_put(k, name, label, true, by, why);
}

enum fail keyring_team_label(struct keyring *k, const char *name, enum secrecy label,
                             const struct principal *by, struct fault *why)
{
    return team_put(k, name, label, false, by, why);
}

static void team_show(struct keyring *k, const struct team *t, struct keyring_team *out)
{
    *out = (struct keyring_team){.label = t->label, .created_at = t->created_at};
    text_copy(out->name, sizeof(out->name), t->name);
    text_copy(out->created_by, sizeof(out->created_by), t->created_by);
    for (size_t i = 0; i < k->accounts_len; i++) {
        const struct account *a = k->accounts[i];
        out->members += ring_is_live(a) && ring_member(a, t->name) != NULL;
    }
    out->keys = ring_keys_live(k, t->name);
}

bool keyring_team_find(struct keyring *k, const char *name, struct keyring_team *out)
{
    pthread_rwlock_rdlock(&k->lock);
    const struct team *t = ring_team(k, name);
    if (t != NULL) {
        team_show(k, t, out);
    }
    pthread_rwlock_unlock(&k->lock);
    return t != NULL;
}

static int team_order(const void *a, const void *b)
{
    return strcmp(((const struct keyring_team *)a)->name, ((const struct keyring_team *)b)->name);
}

void keyring_team_list(struct keyring *k, void (*fn)(void *arg, const struct keyring_team *t),
                       void *arg)
{
    pthread_rwlock_rdlock(&k->lock);
    size_t n = k->teams_len;
    AUTO_FREE struct keyring_team *all = mem_alloc_array(n + 1, sizeof(*all));
    for (size_t i = 0; i < n; i++) {
        team_show(k, k->teams[i], &all[i]);
    }
    pthread_rwlock_unlock(&k->lock);
    qsort(all, n, sizeof(*all), team_order);
    for (size_t i = 0; i < n; i++) {
        fn(arg, &all[i]);
    }
}

/* ---- accounts ---- */

bool keyring_account_name_ok(const char *name)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyz0123456789._-@+";
    size_t n = strlen(name);
    return n >= 1 && n < KEYRING_NAME_SIZE && strspn(name, fine) == n &&
           strchr("._-@+", name[0]) == NULL;
}

struct account_write {
    struct account *a; /* as it is to be */
    const char *by;
    bool members, end_sessions;
};

static enum fail write_account(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct account_write *w = arg;
    enum fail f = ring_account_write(tx, w->a, why);
    if (f == FAIL_NONE && w->members) {
        f = ring_members_write(tx, w->a, w->by, why);
    }
    if (f == FAIL_NONE && w->end_sessions) {
        f = ring_sessions_delete(tx, &w->a->id, NULL, why);
    }
    return f;
}

/* The name is free and the rest can be: for a new account. k->change is held. */
static enum fail account_room(struct keyring *k, const char *name, struct fault *why)
{
    if (!keyring_account_name_ok(name)) {
        FAULT(why, FAIL_BAD_REQUEST, "an account's name is 1 to 64 of a-z, 0-9 and . _ - @ +");
        return fail_param(why, "name");
    }
    if (ring_account(k, name) != NULL || ring_key_name_taken(k, name)) {
        FAULT(why, FAIL_CONFLICT, "an account or key named \"%s\" exists already", name);
        fail_param(why, "name");
        return fail_hint(why, "Names are never used twice, so that the record stays clear.");
    }
    if (k->accounts_len == ACCOUNTS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "there are %d accounts already", ACCOUNTS_MAX);
    }
    return FAIL_NONE;
}

enum fail keyring_account_add(struct keyring *k, const char *name, enum keyring_account_kind kind,
                              const char *team, enum keyring_role role,
                              const struct principal *by, struct keyring_account *made,
                              struct fault *why)
{
    ASSERT(role < KEYRING_ROLE_COUNT);
    enum fail f = ring_may_grant(by, role, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct account a = {.id = text_id_new(), .kind = kind, .created_at = clock_now_us()};
    struct account_write w = {&a, by->name, true, false};
    char what[128] = "added";
    pthread_mutex_lock(&k->change);
    struct team *t = team != NULL ? ring_team(k, team) : NULL;
    f = account_room(k, name, why);
    if (f == FAIL_NONE && team != NULL && t == NULL) {
        f = no_team(team, why);
    }
    if (f == FAIL_NONE) {
        text_copy(a.name, sizeof(a.name), name);
        text_copy(a.origin, sizeof(a.origin), "local");
        text_copy(a.created_by, sizeof(a.created_by), by->name);
        if (t != NULL) {
            a.members[a.members_len++] = (struct member){t, role, false};
            (void)snprintf(what, sizeof(what), "added, %s in %s", keyring_role_name(role), t->name);
        }
        struct keyring_event e = {.kind = KEYRING_EVENT_USER_ADDED,
                                  .actor = by->name,
                                  .team = by->team,
                                  .object = name,
                                  .what = what};
        f = ring_write(k, write_account, &w, &e, why);
    }
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        ring_account_show(ring_account_insert(k, &a), made);
        pthread_rwlock_unlock(&k->lock);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

/* Writes `as`, the account as it is to be, and then puts it in the place of old. k->change is
   held, and stays so. */
static enum fail account_replace(struct keyring *k, struct account *old, struct account *as,
                                 bool end_sessions, const struct keyring_event *e,
                                 struct fault *why)
{
    struct account_write w = {as, e->actor, true, end_sessions};
    enum fail f = ring_write(k, write_account, &w, e, why);
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        size_t sessions = old->sessions;
        *old = *as;
        old->sessions = sessions;
        if (end_sessions) {
            ring_sessions_drop(k, old, NULL);
        }
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

enum fail keyring_account_disable(struct keyring *k, const char *name, bool on,
                                  const struct principal *by, struct fault *why)
{
    enum fail f = ring_may_grant(by, KEYRING_ROLE_COUNT, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_mutex_lock(&k->change);
    struct account *old = ring_account(k, name);
    if (old == NULL) {
        f = ring_no_account(name, why);
    } else if ((old->disabled_at != 0) == on) {
        f = FAULT(why, FAIL_CONFLICT, "\"%s\" is %s already", old->name,
                  on ? "disabled" : "enabled");
    } else {
        struct account as = *old;
        struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                                  .actor = by->name,
                                  .team = by->team,
                                  .object = old->name,
                                  .what = on ? "disabled" : "enabled"};
        as.disabled_at = on ? clock_now_us() : 0;
        as.checked_at = as.subject[0] != '\0' && as.checked_at == 0 ? 1 : as.checked_at;
        f = account_replace(k, old, &as, on, &e, why);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

/* In as: the role in the team, or none. False: there is no room. */
static bool member_put(struct account *as, struct team *t, enum keyring_role role, bool directory)
{
    size_t i = 0;
    while (i < as->members_len && as->members[i].team != t) {
        i++;
    }
    if (role == KEYRING_ROLE_COUNT) {
        if (i < as->members_len) {
            memmove(&as->members[i], &as->members[i + 1],
                    (as->members_len - i - 1) * sizeof(as->members[0]));
            as->members_len--;
        }
        return true;
    }
    if (i == KEYRING_MEMBER_MAX) {
        return false;
    }
    as->members[i] = (struct member){t, role, directory};
    as->members_len += i == as->members_len;
    return true;
}

enum fail keyring_member_set(struct keyring *k, const char *name, const char *team,
                             enum keyring_role role, const struct principal *by,
                             struct fault *why)
{
    enum fail f = ring_may_grant(by, role, why);
    if (f != FAIL_NONE) {
        return f;
    }
    pthread_mutex_lock(&k->change);
    struct account *old = ring_account(k, name);
    struct team *t = ring_team(k, team);
    if (old == NULL || t == NULL) {
        f = old == NULL ? ring_no_account(name, why) : no_team(team, why);
    } else if (role == KEYRING_ROLE_COUNT && ring_member(old, team) == NULL) {
        f = FAULT(why, FAIL_NOT_FOUND, "\"%s\" has no role in \"%s\"", old->name, team);
    } else {
        struct account as = *old;
        char what[128];
        (void)snprintf(what, sizeof(what), "%s in %s",
                       role < KEYRING_ROLE_COUNT ? keyring_role_name(role) : "no role", team);
        struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                                  .actor = by->name,
                                  .team = by->team,
                                  .object = old->name,
                                  .what = what};
        f = member_put(&as, t, role, false)
                ? account_replace(k, old, &as, false, &e, why)
                : FAULT(why, FAIL_TOO_LARGE, "an account has a role in at most %d teams",
                        KEYRING_MEMBER_MAX);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

bool keyring_account_find(struct keyring *k, const char *name, struct keyring_account *out)
{
    pthread_rwlock_rdlock(&k->lock);
    const struct account *a = ring_account(k, name);
    if (a != NULL) {
        ring_account_show(a, out);
    }
    pthread_rwlock_unlock(&k->lock);
    return a != NULL;
}

static int account_order(const void *a, const void *b)
{
    return strcmp((*(struct account *const *)a)->name, (*(struct account *const *)b)->name);
}

void keyring_account_list(struct keyring *k,
                          void (*fn)(void *arg, const struct keyring_account *a), void *arg)
{
    struct keyring_account shown;
    pthread_rwlock_rdlock(&k->lock);
    size_t n = k->accounts_len;
    AUTO_FREE struct account **all = mem_alloc_array(n + 1, sizeof(*all));
    memcpy(all, k->accounts, n * sizeof(*all));
    pthread_rwlock_unlock(&k->lock);
    qsort(all, n, sizeof(*all), account_order); /* names never change */
    for (size_t i = 0; i < n; i++) {
        pthread_rwlock_rdlock(&k->lock);
        ring_account_show(all[i], &shown);
        pthread_rwlock_unlock(&k->lock);
        fn(arg, &shown);
    }
}

bool keyring_has_admin(struct keyring *k)
{
    bool there = false;
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i < k->accounts_len && !there; i++) {
        const struct account *a = k->accounts[i];
        for (size_t m = 0; m < a->members_len; m++) {
            there = there || (a->kind == KEYRING_ACCOUNT_PERSON && ring_is_live(a) &&
                              a->members[m].role == KEYRING_ROLE_ADMIN);
        }
    }
    pthread_rwlock_unlock(&k->lock);
    return there;
}

/* ---- what directories say ---- */

static struct account *find_subject(struct keyring *k, const char *origin, const char *subject)
{
    for (size_t i = 0; i < k->accounts_len; i++) {
        struct account *a = k->accounts[i];
        if (strcmp(a->origin, origin) == 0 && strcmp(a->subject, subject) == 0) {
            return a;
        }
    }
    return NULL;
}

/* The directory's roles into as; a team that is not there is not made: it grants nothing. */
static void members_of_directory(struct keyring *k, const struct keyring_vouch *v,
                                 struct account *as)
{
    for (size_t i = as->members_len; i-- > 0;) {
        if (as->members[i].directory) {
            (void)member_put(as, as->members[i].team, KEYRING_ROLE_COUNT, true);
        }
    }
    for (size_t i = 0; i < v->members_len; i++) {
        struct team *t = ring_team(k, v->members[i].team);
        const struct member *given = t != NULL ? ring_member(as, t->name) : NULL;
        if (t != NULL && (given == NULL || given->directory)) {
            (void)member_put(as, t, v->members[i].role, true);
        }
    }
}

static bool same_members(const struct account *a, const struct account *b)
{
    bool same = a->members_len == b->members_len;
    for (size_t i = 0; same && i < a->members_len; i++) {
        same = a->members[i].team == b->members[i].team &&
               a->members[i].role == b->members[i].role &&
               a->members[i].directory == b->members[i].directory;
    }
    return same;
}

bool keyring_subject_find(struct keyring *k, const char *origin, const char *subject,
                          struct keyring_account *out)
{
    pthread_rwlock_rdlock(&k->lock);
    const struct account *a = find_subject(k, origin, subject);
    if (a != NULL) {
        ring_account_show(a, out);
    }
    pthread_rwlock_unlock(&k->lock);
    return a != NULL;
}

/* checked_at 0 beside disabled_at says that the directory did it. */
static bool is_withdrawn(const struct account *a)
{
    return a->disabled_at != 0 && a->checked_at == 0;
}

enum fail keyring_withdrawn(struct keyring *k, const char *origin, const char *subject,
                            struct fault *why)
{
    enum fail f = FAIL_NONE;
    pthread_mutex_lock(&k->change);
    struct account *old = find_subject(k, origin, subject);
    if (old == NULL) {
        f = FAULT(why, FAIL_NOT_FOUND, "nobody of that directory is here under that id");
    } else if (old->disabled_at == 0) {
        struct account as = *old;
        struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                                  .actor = origin,
                                  .team = KEYRING_TEAM_DEFAULT,
                                  .object = old->name,
                                  .what = "disabled: gone from the directory"};
        as.disabled_at = clock_now_us();
        as.checked_at = 0;
        f = account_replace(k, old, &as, true, &e, why);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}

/* A first sign-in. k->change is held. */
static enum fail vouched_new(struct keyring *k, const struct keyring_vouch *v,
                             struct account **made, struct fault *why)
{
    struct account a = {.id = text_id_new(), .created_at = clock_now_us()};
    struct account_write w = {&a, v->origin, true, false};
    struct keyring_event e = {.kind = KEYRING_EVENT_USER_ADDED,
                              .actor = v->origin,
                              .team = KEYRING_TEAM_DEFAULT,
                              .object = v->name,
                              .what = "added from the directory"};
    enum fail f = account_room(k, v->name, why);
    if (f != FAIL_NONE) {
        return f;
    }
    a.checked_at = a.created_at;
    text_copy(a.name, sizeof(a.name), v->name);
    text_copy(a.origin, sizeof(a.origin), v->origin);
    text_copy(a.subject, sizeof(a.subject), v->subject);
    text_copy(a.created_by, sizeof(a.created_by), v->origin);
    members_of_directory(k, v, &a);
    if (a.members_len == 0) {
        return FAIL_NONE; /* nobody is kept who may do nothing */
    }
    f = ring_write(k, write_account, &w, &e, why);
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        *made = ring_account_insert(k, &a);
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

static enum fail vouched_again(struct keyring *k, const struct keyring_vouch *v,
                               struct account *old, struct fault *why)
{
    struct account as = *old;
    struct account_write w = {&as, v->origin, false, false};
    struct keyring_event e = {.kind = KEYRING_EVENT_USER_CHANGED,
                              .actor = v->origin,
                              .team = KEYRING_TEAM_DEFAULT,
                              .object = old->name,
                              .what = "roles of the directory"};
    bool back = is_withdrawn(old);
    as.checked_at = clock_now_us();
    as.disabled_at = 0;
    e.what = back ? "enabled: the directory vouches again" : e.what;
    members_of_directory(k, v, &as);
    if (back || !same_members(old, &as)) {
        return account_replace(k, old, &as, as.members_len == 0, &e, why);
    }
    enum fail f = ring_write(k, write_account, &w, NULL, why);
    if (f == FAIL_NONE) {
        pthread_rwlock_wrlock(&k->lock);
        old->checked_at = as.checked_at;
        pthread_rwlock_unlock(&k->lock);
    }
    return f;
}

enum fail keyring_vouched(struct keyring *k, const struct keyring_vouch *v,
                          struct keyring_account *out, struct fault *why)
{
    ASSERT(v->subject[0] != '\0' && strlen(v->origin) < KEYRING_ORIGIN_SIZE &&
           strlen(v->subject) < KEYRING_SUBJECT_SIZE);
    pthread_mutex_lock(&k->change);
    enum fail f = FAIL_NONE;
    struct account *a = find_subject(k, v->origin, v->subject);
    if (a != NULL && a->disabled_at != 0 && !is_withdrawn(a)) {
        FAULT(why, FAIL_FORBIDDEN, "the account \"%s\" is disabled here", a->name);
        f = fail_hint(why, "An administrator enables it: inhouse users enable %s.", a->name);
    } else {
        f = a != NULL ? vouched_again(k, v, a, why) : vouched_new(k, v, &a, why);
    }
    if (f == FAIL_NONE && (a == NULL || a->members_len == 0)) {
        FAULT(why, FAIL_FORBIDDEN, "the directory gives \"%.64s\" no team here", v->name);
        f = fail_hint(why, "Map one of its groups to a team in inhouse.yaml, or give a role: "
                           "inhouse users role.");
    }
    if (f == FAIL_NONE) {
        ring_account_show(a, out);
    }
    pthread_mutex_unlock(&k->change);
    return f;
}
