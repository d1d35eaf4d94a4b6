/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/keys and one's own under /api/v1/me/keys. Keyring calls wait for the disk: crunch. */
#include "http/api/api_internal.h"

#include <string.h>

#include <sodium.h>

#include "base/clock/clock.h"

void api_put_key(struct jn_writer *w, const struct keyring_key *k)
{
    char scopes[KEYRING_SCOPES_SIZE];
    keyring_scopes_show(k->scopes, scopes, sizeof(scopes));
    api_put_id(w, "id", "key", &k->id);
    jn_kv_str(w, "name", k->name);
    jn_kv_str(w, "team", k->team);
    jn_kv_str(w, "owner", k->owner[0] != '\0' ? k->owner : NULL);
    jn_kv_str(w, "role", keyring_role_name(k->role));
    jn_kv_str(w, "scopes", scopes);
    for (unsigned i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        jn_kv_str(w, keyring_limit_name((enum keyring_limit)i),
                  (k->limits.given & (1U << i)) != 0 ? k->limits.names[i] : NULL);
    }
    api_put_time(w, "created_at", k->created_at);
    jn_kv_str(w, "created_by", k->created_by);
    api_put_time(w, "expires_at", k->expires_at);
    api_put_time(w, "last_use_at", k->last_use_at);
    api_put_time(w, "revoked_at", k->revoked_at);
    api_put_time(w, "old_until", k->old_until);
    jn_kv_bool(w, "dead", k->dead);
}

static void put_row(void *arg, const struct keyring_key *k)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    api_put_key(w, k);
    jn_object_end(w);
}

void api_keys(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_key(&w, "keys");
    jn_array_begin(&w);
    keyring_list(a->h.keyring, put_row, &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

struct mine {
    struct jn_writer *w;
    const char *owner;
};

static void put_mine(void *arg, const struct keyring_key *k)
{
    const struct mine *m = arg;
    if (strcmp(k->owner, m->owner) == 0) {
        put_row(m->w, k);
    }
}

void api_me_keys(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    const struct principal *p = api_who(r);
    struct jn_writer w;
    struct buf body;
    struct mine m = {&w, p->name};
    api_open(&w, &body);
    jn_key(&w, "keys");
    jn_array_begin(&w);
    if (!text_id_is_zero(&p->user)) {
        keyring_list(a->h.keyring, put_mine, &m);
    }
    jn_array_end(&w);
    api_send(r, 200, &w);
}

/* ---- making, rotating, revoking ---- */

enum key_act { KEY_ADD, KEY_ROTATE, KEY_REVOKE };

struct key_change {
    enum key_act act;
    struct keyring_new n;
    char name[KEYRING_NAME_SIZE], team[KEYRING_NAME_SIZE], owner[KEYRING_NAME_SIZE];
    bool has_team, has_owner;
    bool mine; /* asked under /me: an administrator's rights do not count */
    int64_t overlap_s;
    struct principal by;
};

static enum fail change_key(struct api *a, struct key_change *c, char *secret,
                            struct keyring_key *made, struct fault *why)
{
    switch (c->act) {
    case KEY_ADD:
        return keyring_add(a->h.keyring, &c->n, &c->by, secret, made, why);
    case KEY_ROTATE:
        return keyring_rotate(a->h.keyring, c->name, c->overlap_s, &c->by, secret, made, why);
    case KEY_REVOKE:
    default:
        return keyring_revoke(a->h.keyring, c->name, &c->by, why);
    }
}

static void change_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct key_change *c = arg;
    struct fault why;
    struct keyring_key made;
    char secret[KEYRING_SECRET_SIZE] = "";
    c->by = *api_who(r);
    if (c->mine) {
        (void)text_copy(c->owner, sizeof(c->owner), c->by.name);
        c->has_owner = true;
        if (c->act != KEY_ADD) {
            c->by.scopes &= ~(uint32_t)KEYRING_SCOPE_ADMIN;
        }
    }
    c->n.name = c->name;
    c->n.team = c->has_team ? c->team : NULL;
    c->n.owner = c->has_owner ? c->owner : NULL;
    enum fail f =
        c->mine && text_id_is_zero(&c->by.user)
            ? FAULT(&why, FAIL_CONFLICT, "who calls has no account, so no keys of its own")
            : change_key(a, c, secret, &made, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        if (c->act == KEY_REVOKE) {
            jn_kv_str(&w, "name", c->name);
            jn_kv_bool(&w, "revoked", true);
        } else {
            api_put_key(&w, &made);
            jn_kv_str(&w, "key", secret);
        }
        api_send(r, c->act == KEY_ADD ? 201 : 200, &w);
    }
    sodium_memzero(secret, sizeof(secret));
}

/* "models", "datasets", "workflows": a list of names, or names with spaces between. */
static enum fail read_limits(const json_t *body, struct keyring_limits *l, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (unsigned i = 0; f == FAIL_NONE && i < KEYRING_LIMIT_COUNT; i++) {
        const char *key = keyring_limit_name((enum keyring_limit)i);
        const json_t *given = json_object_get(body, key);
        struct buf names;
        size_t at;
        json_t *name;
        if (given == NULL || json_is_null(given)) {
            continue;
        }
        buf_init(&names, 2 * (size_t)KEYRING_LIMIT_SIZE);
        bool good = json_is_string(given) || json_is_array(given);
        if (json_is_string(given)) {
            (void)buf_add_str(&names, json_string_value(given));
        }
        json_array_foreach(given, at, name) {
            good = good && json_is_string(name) &&
                   strpbrk(json_string_value(name), " ,") == NULL;
            (void)buf_printf(&names, "%s ", good ? json_string_value(name) : "");
        }
        if (!good) {
            FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be a list of names", key);
            f = fail_param(why, key);
        } else if (names.overflow) {
            FAULT(why, FAIL_TOO_LARGE, "the list of %s is longer than %d characters", key,
                  KEYRING_LIMIT_SIZE - 1);
            f = fail_param(why, key);
        } else {
            f = keyring_limits_set(l, (enum keyring_limit)i, names.len > 0 ? names.data : "", why);
        }
        buf_done(&names);
    }
    return f;
}

/* The role of one's own key, when none is said: one's own. */
static enum fail read_role(const json_t *body, const char *otherwise, enum keyring_role *out,
                           struct fault *why)
{
    const char *role = otherwise;
    enum fail f = jn_str(body, "role", false, 32, &role, why);
    if (f == FAIL_NONE && !keyring_role_find(role, out)) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"role\" must be member, reviewer, approver, auditor or admin");
        f = fail_param(why, "role");
    }
    return f;
}

static enum fail read_key(const json_t *body, struct key_change *c, const char *role,
                          struct fault *why)
{
    const char *name = NULL;
    const char *team = NULL;
    const char *owner = NULL;
    const char *scopes = NULL;
    const char *expires = NULL;
    enum fail f = jn_str(body, "name", true, KEYRING_NAME_SIZE - 1, &name, why);
    f = f != FAIL_NONE ? f : jn_str(body, "team", false, KEYRING_NAME_SIZE - 1, &team, why);
    f = f != FAIL_NONE ? f : jn_str(body, "owner", false, KEYRING_NAME_SIZE - 1, &owner, why);
    f = f != FAIL_NONE ? f : jn_str(body, "scopes", false, KEYRING_SCOPES_SIZE - 1, &scopes, why);
    f = f != FAIL_NONE ? f : jn_str(body, "expires_at", false, 40, &expires, why);
    f = f != FAIL_NONE ? f : read_role(body, role, &c->n.role, why);
    f = f != FAIL_NONE ? f : read_limits(body, &c->n.limits, why);
    if (f != FAIL_NONE) {
        return f;
    }
    (void)text_copy(c->name, sizeof(c->name), name);
    c->has_team = team != NULL;
    (void)text_copy(c->team, sizeof(c->team), team ? team : "");
    c->has_owner = owner != NULL;
    (void)text_copy(c->owner, sizeof(c->owner), owner ? owner : "");
    if (expires != NULL &&
        (!clock_read(expires, &c->n.expires_at) || c->n.expires_at <= clock_now_us())) {
        FAULT(why, FAIL_BAD_REQUEST, "\"expires_at\" must be a time to come, as RFC 3339");
        return fail_param(why, "expires_at");
    }
    return scopes != NULL ? keyring_scopes_read(scopes, &c->n.scopes, why) : FAIL_NONE;
}

static struct key_change *change_new(struct wire_request *r, enum key_act act, bool mine)
{
    struct key_change *c = wire_alloc(r, sizeof(*c));
    memset(c, 0, sizeof(*c));
    c->act = act;
    c->mine = mine;
    if (act != KEY_ADD && !text_copy(c->name, sizeof(c->name), wire_param(r, "key"))) {
        c->name[0] = '\0'; /* longer than any: nothing is called so */
    }
    return c;
}

static void add(struct wire_request *r, void *arg, const char *const *keys, bool mine)
{
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct key_change *c = change_new(r, KEY_ADD, mine);
    enum fail f =
        read_key(body, c, mine ? keyring_role_name(api_who(r)->role) : "member", &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, change_on_crunch, c);
}

void api_key_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name",       "team",   "owner",    "role",      "scopes",
                                       "expires_at", "models", "datasets", "workflows", NULL};
    add(r, arg, keys, false);
}

void api_me_key_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name",   "role",     "scopes",    "expires_at",
                                       "models", "datasets", "workflows", NULL};
    add(r, arg, keys, true);
}

static void rotate(struct wire_request *r, void *arg, bool mine)
{
    static const char *const keys[] = {"overlap_s", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, true);
    if (body == NULL) {
        return;
    }
    struct key_change *c = change_new(r, KEY_ROTATE, mine);
    c->overlap_s = 24 * 3600;
    enum fail f =
        jn_int(body, "overlap_s", false, 0, KEYRING_OVERLAP_S_MAX, &c->overlap_s, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, change_on_crunch, c);
}

void api_key_rotate(struct wire_request *r, void *arg)
{
    rotate(r, arg, false);
}

void api_me_key_rotate(struct wire_request *r, void *arg)
{
    rotate(r, arg, true);
}

void api_key_revoke(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, change_on_crunch, change_new(r, KEY_REVOKE, false));
}

void api_me_key_revoke(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, change_on_crunch, change_new(r, KEY_REVOKE, true));
}
