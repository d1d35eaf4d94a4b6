/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/users and /api/v1/teams: administration of people, service accounts and teams. Keyring
   calls wait for the disk: crunch. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/clock/clock.h"

#define TOKEN_HOURS 72

/* ---- reading ---- */

static void put_account_row(void *arg, const struct keyring_account *a)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    api_put_account(w, a);
    jn_object_end(w);
}

void api_users(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_key(&w, "users");
    jn_array_begin(&w);
    keyring_account_list(a->h.keyring, put_account_row, &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

static void no_user(struct wire_request *r)
{
    struct fault why;
    FAULT(&why, FAIL_NOT_FOUND, "there is no such account");
    fail_hint(&why, "`inhouse users list` shows them.");
    wire_fail(r, FAIL_NOT_FOUND, &why);
}

void api_user_show(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct keyring_account account;
    struct jn_writer w;
    struct buf body;
    if (!keyring_account_find(a->h.keyring, wire_param(r, "user"), &account)) {
        no_user(r);
        return;
    }
    api_open(&w, &body);
    api_put_account(&w, &account);
    api_send(r, 200, &w);
}

static void put_team_row(void *arg, const struct keyring_team *t)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "name", t->name);
    jn_kv_str(w, "label", secrecy_name(t->label));
    jn_kv_int(w, "members", (int64_t)t->members);
    jn_kv_int(w, "keys", (int64_t)t->keys);
    api_put_time(w, "created_at", t->created_at);
    jn_kv_str(w, "created_by", t->created_by);
    jn_object_end(w);
}

void api_teams(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_key(&w, "teams");
    jn_array_begin(&w);
    keyring_team_list(a->h.keyring, put_team_row, &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

/* ---- changing: one struct for all, one step on crunch for each ---- */

struct change {
    char user[KEYRING_NAME_SIZE], team[KEYRING_NAME_SIZE];
    char password[KEYRING_PASSWORD_MAX + 2];
    bool has_team, has_password, on;
    enum keyring_account_kind kind;
    enum keyring_role role;
    enum secrecy label;
    struct keyring_account account;
    char token[KEYRING_TOKEN_SIZE];
    int64_t token_until;
};

static struct change *change_new(struct wire_request *r)
{
    struct change *c = wire_alloc(r, sizeof(*c));
    memset(c, 0, sizeof(*c));
    return c;
}

/* A name in the path, or "", which nothing is called, when it is longer than any. */
static void path_name(struct wire_request *r, const char *param, char out[KEYRING_NAME_SIZE])
{
    if (!text_copy(out, KEYRING_NAME_SIZE, wire_param(r, param))) {
        out[0] = '\0';
    }
}

static enum fail take_role(const json_t *body, bool required, enum keyring_role *out,
                           struct fault *why)
{
    const char *role = "member";
    enum fail f = jn_str(body, "role", required, 32, &role, why);
    if (f == FAIL_NONE && !keyring_role_find(role, out)) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"role\" must be member, reviewer, approver, auditor or admin");
        f = fail_param(why, "role");
    }
    return f;
}

static enum fail take_label(const json_t *body, bool required, enum secrecy *out,
                            struct fault *why)
{
    const char *label = "internal";
    enum fail f = jn_str(body, "label", required, 32, &label, why);
    *out = secrecy_find(label);
    if (f == FAIL_NONE && *out == SECRECY_COUNT) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"label\" must be public, internal, confidential or restricted");
        f = fail_param(why, "label");
    }
    return f;
}

/* The account as it is now, and a token if one was made. */
static void reply_account(struct api *a, struct wire_request *r, struct change *c, int status,
                          enum fail f, const struct fault *why)
{
    if (f != FAIL_NONE) {
        wire_fail(r, f, why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    (void)keyring_account_find(a->h.keyring, c->user, &c->account);
    api_open(&w, &body);
    api_put_account(&w, &c->account);
    if (c->token[0] != '\0') {
        jn_kv_str(&w, "token", c->token);
        api_put_time(&w, "token_until", c->token_until);
    }
    api_send(r, status, &w);
    sodium_memzero(c->token, sizeof(c->token));
}

static enum fail make_token(struct api *a, const struct principal *by, struct change *c,
                            const char *name, int64_t hours, struct fault *why)
{
    c->token_until = clock_now_us() + hours * 3600 * 1000000;
    return keyring_token_new(a->h.keyring, name, hours * 3600, by, c->token, why);
}

static void add_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    enum fail f = keyring_account_add(a->h.keyring, c->user, c->kind, c->has_team ? c->team : NULL,
                                      c->role, api_who(r), &c->account, &why);
    if (f == FAIL_NONE && c->kind == KEYRING_ACCOUNT_PERSON) {
        f = make_token(a, api_who(r), c, c->user, TOKEN_HOURS, &why);
    }
    reply_account(a, r, c, 201, f, &why);
}

void api_user_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name", "team", "role", "service", NULL};
    struct fault why;
    bool service = false;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    enum fail f = api_take(body, "name", true, c->user, sizeof(c->user), NULL, &why);
    f = f != FAIL_NONE
            ? f
            : api_take(body, "team", false, c->team, sizeof(c->team), &c->has_team, &why);
    f = f != FAIL_NONE ? f : take_role(body, false, &c->role, &why);
    f = f != FAIL_NONE ? f : jn_bool(body, "service", false, &service, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    c->kind = service ? KEYRING_ACCOUNT_SERVICE : KEYRING_ACCOUNT_PERSON;
    api_on_crunch(arg, r, add_on_crunch, c);
}

static void init_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    enum fail f = make_token(a, api_who(r), c, NULL, 24, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "token", c->token);
    api_put_time(&w, "token_until", c->token_until);
    api_send(r, 201, &w);
    sodium_memzero(c->token, sizeof(c->token));
}

void api_users_init(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body != NULL) {
        api_on_crunch(arg, r, init_on_crunch, change_new(r));
    }
}

static void disable_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    enum fail f = keyring_account_disable(a->h.keyring, c->user, c->on, api_who(r), &why);
    reply_account(a, r, c, 200, f, &why);
}

void api_user_disable(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"disabled", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, true);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    c->on = true;
    enum fail f = jn_bool(body, "disabled", false, &c->on, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    path_name(r, "user", c->user);
    api_on_crunch(arg, r, disable_on_crunch, c);
}

static void password_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    enum fail f = c->has_password
                      ? keyring_password_set(a->h.keyring, c->user, NULL, c->password, api_who(r),
                                             NULL, &why)
                      : make_token(a, api_who(r), c, c->user, TOKEN_HOURS, &why);
    sodium_memzero(c->password, sizeof(c->password));
    reply_account(a, r, c, 200, f, &why);
}

void api_user_password(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"password", NULL};
    struct fault why;
    json_t *body = api_body(r, keys, true);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    enum fail f =
        api_take(body, "password", false, c->password, sizeof(c->password), &c->has_password, &why);
    json_t *s = json_object_get(body, "password");
    if (json_is_string(s)) {
        explicit_bzero((char *)(uintptr_t)json_string_value(s), json_string_length(s));
    }
    json_decref(body);
    wire_body_wipe(r);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    path_name(r, "user", c->user);
    api_on_crunch(arg, r, password_on_crunch, c);
}

static void member_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    enum fail f = keyring_member_set(a->h.keyring, c->user, c->team, c->role, api_who(r), &why);
    reply_account(a, r, c, 200, f, &why);
}

static void member_change(struct wire_request *r, void *arg, struct change *c)
{
    path_name(r, "user", c->user);
    path_name(r, "team", c->team);
    api_on_crunch(arg, r, member_on_crunch, c);
}

void api_member_put(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"role", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    enum fail f = take_role(body, true, &c->role, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    member_change(r, arg, c);
}

void api_member_remove(struct wire_request *r, void *arg)
{
    struct change *c = change_new(r);
    c->role = KEYRING_ROLE_COUNT;
    member_change(r, arg, c);
}

/* ---- teams ---- */

static void team_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct change *c = arg;
    struct fault why;
    struct keyring_team t;
    enum fail f = c->on ? keyring_team_add(a->h.keyring, c->team, c->label, api_who(r), &why)
                        : keyring_team_label(a->h.keyring, c->team, c->label, api_who(r), &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    if (keyring_team_find(a->h.keyring, c->team, &t)) {
        jn_kv_str(&w, "name", t.name);
        jn_kv_str(&w, "label", secrecy_name(t.label));
    }
    api_send(r, c->on ? 201 : 200, &w);
}

void api_team_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name", "label", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    c->on = true;
    enum fail f = api_take(body, "name", true, c->team, sizeof(c->team), NULL, &why);
    f = f != FAIL_NONE ? f : take_label(body, false, &c->label, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, team_on_crunch, c);
}

void api_team_put(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"label", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct change *c = change_new(r);
    enum fail f = take_label(body, true, &c->label, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    path_name(r, "team", c->team);
    api_on_crunch(arg, r, team_on_crunch, c);
}
