/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/keys, and the record of who made and revoked them. Keyring calls wait for the disk:
   crunch. */
#include "http/api/api_internal.h"

#include <string.h>

#include <sodium.h>

#include "base/clock/clock.h"

static void put_key(struct jn_writer *w, const struct keyring_key *k)
{
    char scopes[160];
    keyring_scopes_show(k->scopes, scopes, sizeof(scopes));
    api_put_id(w, "id", "key", &k->id);
    jn_kv_str(w, "name", k->name);
    jn_kv_str(w, "team", k->team);
    jn_kv_str(w, "role", keyring_role_name(k->role));
    jn_kv_str(w, "scopes", scopes);
    api_put_time(w, "created_at", k->created_at);
    jn_kv_str(w, "created_by", k->created_by);
    api_put_time(w, "expires_at", k->expires_at);
    api_put_time(w, "last_use_at", k->last_use_at);
    api_put_time(w, "revoked_at", k->revoked_at);
}

static void put_row(void *arg, const struct keyring_key *k)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    put_key(w, k);
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

/* ---- making and revoking ---- */

struct key_change {
    struct keyring_new n;
    char name[KEYRING_NAME_SIZE], team[KEYRING_NAME_SIZE];
    bool has_team, revoke;
    struct audit *audit;
    const struct principal *by;
};

/* The change's own record. A key change that cannot be recorded is reported as such. */
static enum fail record_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct key_change *c = arg;
    struct audit_leaf leaf = {.kind = c->revoke ? AUDIT_KIND_KEY_REVOKED : AUDIT_KIND_KEY_ADDED,
                              .actor = c->by->name,
                              .team = c->by->team,
                              .task = c->name,
                              .verdict = c->revoke ? "revoked" : "added"};
    return audit_append(tx, c->audit, &leaf, NULL, NULL, why);
}

static void change_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct key_change *c = arg;
    struct fault why;
    struct keyring_key made;
    char secret[KEYRING_SECRET_SIZE] = "";
    c->audit = a->h.audit;
    c->by = api_who(r);
    c->n.name = c->name;
    c->n.team = c->has_team ? c->team : NULL;
    enum fail f = c->revoke ? keyring_revoke(a->h.keyring, c->name, &why)
                            : keyring_add(a->h.keyring, &c->n, c->by, secret, &made, &why);
    if (f == FAIL_NONE) {
        f = store_write_wait(a->h.store, record_write, c, &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        if (c->revoke) {
            jn_kv_str(&w, "name", c->name);
            jn_kv_bool(&w, "revoked", true);
        } else {
            put_key(&w, &made);
            jn_kv_str(&w, "key", secret);
        }
        api_send(r, c->revoke ? 200 : 201, &w);
    }
    sodium_memzero(secret, sizeof(secret));
}

static enum fail read_key(const json_t *body, struct key_change *c, struct fault *why)
{
    const char *name = NULL;
    const char *team = NULL;
    const char *role = "member";
    const char *scopes = NULL;
    const char *expires = NULL;
    enum fail f = jn_str(body, "name", true, KEYRING_NAME_SIZE - 1, &name, why);
    if (f == FAIL_NONE) {
        f = jn_str(body, "team", false, KEYRING_NAME_SIZE - 1, &team, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(body, "role", false, 32, &role, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(body, "scopes", false, 160, &scopes, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(body, "expires_at", false, 40, &expires, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    (void)text_copy(c->name, sizeof(c->name), name);
    c->has_team = team != NULL;
    (void)text_copy(c->team, sizeof(c->team), team ? team : "");
    if (!keyring_role_find(role, &c->n.role)) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"role\" must be member, reviewer, approver, auditor or admin");
        return fail_param(why, "role");
    }
    if (expires != NULL &&
        (!clock_read(expires, &c->n.expires_at) || c->n.expires_at <= clock_now_us())) {
        FAULT(why, FAIL_BAD_REQUEST, "\"expires_at\" must be a time to come, as RFC 3339");
        return fail_param(why, "expires_at");
    }
    return scopes != NULL ? keyring_scopes_read(scopes, &c->n.scopes, why) : FAIL_NONE;
}

void api_key_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name", "team", "role", "scopes", "expires_at", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct key_change *c = wire_alloc(r, sizeof(*c));
    enum fail f = read_key(body, c, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, change_on_crunch, c);
}

void api_key_revoke(struct wire_request *r, void *arg)
{
    struct key_change *c = wire_alloc(r, sizeof(*c));
    (void)text_copy(c->name, sizeof(c->name), wire_param(r, "key"));
    c->revoke = true;
    api_on_crunch(arg, r, change_on_crunch, c);
}
