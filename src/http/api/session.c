/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in and out, and what a caller may see and change of itself. What hashes a password or
   waits for the disk runs on crunch. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock/clock.h"
#include "base/config/config.h"

#define SIGN_INS_MAX 8

/* ---- cookies, addresses, other sites ---- */

static bool is_https(const struct api *a)
{
    return text_starts_with(a->h.public_url, "https://");
}

const char *api_cookie_name(const struct api *a)
{
    /* __Host-: browsers keep it only when Secure, for this host and every path. */
    return is_https(a) ? "__Host-inhouse_session" : "inhouse_session";
}

bool api_cookie(const struct api *a, const char *cookies, char out[KEYRING_COOKIE_SIZE])
{
    return wire_cookie_read(cookies, api_cookie_name(a), out, KEYRING_COOKIE_SIZE);
}

static void set_cookie(struct api *a, struct wire_request *r, const char *value, int64_t seconds)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%lld%s",
                   api_cookie_name(a), value, (long long)seconds, is_https(a) ? "; Secure" : "");
    wire_header_add(r, "Set-Cookie", text);
    sodium_memzero(text, sizeof(text));
}

void api_client_address(struct api *a, struct wire_request *r, char out[WIRE_PEER_SIZE])
{
    const char *said = a->h.forwarded ? wire_header(r, "X-Forwarded-For") : NULL;
    wire_peer(r, out);
    if (said != NULL && (out[0] == '\0' || config_is_loopback(out))) {
        /* The last one is what the proxy itself saw; what stands before it anyone can write. */
        const char *last = strrchr(said, ',');
        last = last != NULL ? last + 1 : said;
        (void)text_copy(out, WIRE_PEER_SIZE, last + strspn(last, " "));
    }
}

bool api_same_site(struct api *a, struct wire_request *r)
{
    const char *site = wire_header(r, "Sec-Fetch-Site");
    const char *origin = wire_header(r, "Origin"), *host = wire_header(r, "Host");
    bool good = site == NULL || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    if (good && origin != NULL && strcmp(origin, a->h.public_url) != 0) {
        const char *after = text_starts_with(origin, "http://")    ? origin + 7
                            : text_starts_with(origin, "https://") ? origin + 8
                                                                   : NULL;
        good = after != NULL && host != NULL && strcmp(after, host) == 0;
    }
    if (!good) {
        struct fault why;
        FAULT(&why, FAIL_FORBIDDEN, "another site's page may not sign anybody in");
        wire_fail(r, FAIL_FORBIDDEN, &why);
    }
    return good;
}

/* ---- showing ---- */

static void put_teams(struct jn_writer *w, const struct keyring_account *a)
{
    jn_key(w, "teams");
    jn_array_begin(w);
    for (size_t i = 0; i < a->members_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "team", a->members[i].team);
        jn_kv_str(w, "role", keyring_role_name(a->members[i].role));
        jn_kv_bool(w, "directory", a->members[i].directory);
        jn_object_end(w);
    }
    jn_array_end(w);
}

void api_put_account(struct jn_writer *w, const struct keyring_account *a)
{
    api_put_id(w, "id", "usr", &a->id);
    jn_kv_str(w, "name", a->name);
    jn_kv_str(w, "kind", a->kind == KEYRING_ACCOUNT_SERVICE ? "service" : "person");
    jn_kv_str(w, "origin", a->origin);
    jn_kv_bool(w, "password", a->has_password);
    api_put_time(w, "created_at", a->created_at);
    jn_kv_str(w, "created_by", a->created_by);
    api_put_time(w, "disabled_at", a->disabled_at);
    api_put_time(w, "last_login_at", a->last_login_at);
    api_put_time(w, "checked_at", a->checked_at);
    jn_kv_int(w, "sessions", (int64_t)a->sessions);
    put_teams(w, a);
}

void api_session_reply(struct api *a, struct wire_request *r, struct keyring_session *s)
{
    struct jn_writer w;
    struct buf body;
    set_cookie(a, r, s->cookie, (s->expires_at - clock_now_us()) / 1000000);
    api_open(&w, &body);
    jn_kv_str(&w, "name", s->account.name);
    jn_kv_str(&w, "team", s->team);
    put_teams(&w, &s->account);
    jn_kv_str(&w, "csrf", s->csrf);
    api_put_time(&w, "expires_at", s->expires_at);
    api_send(r, 200, &w);
    sodium_memzero(s, sizeof(*s));
}

/* ---- words of a body that are secrets: taken out of it and wiped ---- */

struct secrets {
    char name[KEYRING_NAME_SIZE], team[KEYRING_NAME_SIZE], address[WIRE_PEER_SIZE];
    char token[KEYRING_TOKEN_SIZE];
    char password[KEYRING_PASSWORD_MAX + 2], old[KEYRING_PASSWORD_MAX + 2];
    bool has_name, has_team, has_old;
};

static void wipe(json_t *body, const char *key)
{
    json_t *s = json_object_get(body, key);
    if (json_is_string(s)) {
        explicit_bzero((char *)(uintptr_t)json_string_value(s), json_string_length(s));
    }
}

/* Reads what keys names of them; on failure the request is answered and NULL returned. */
static struct secrets *read_secrets(struct wire_request *r, const char *const *keys, bool name,
                                    bool token, bool password)
{
    struct fault why;
    json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return NULL;
    }
    struct secrets *s = wire_alloc(r, sizeof(*s));
    memset(s, 0, sizeof(*s));
    enum fail f = api_take(body, "name", name, s->name, sizeof(s->name), &s->has_name, &why);
    f = f != FAIL_NONE
            ? f
            : api_take(body, "team", false, s->team, sizeof(s->team), &s->has_team, &why);
    f = f != FAIL_NONE ? f : api_take(body, "token", token, s->token, sizeof(s->token), NULL, &why);
    f = f != FAIL_NONE
            ? f
            : api_take(body, "password", password, s->password, sizeof(s->password), NULL, &why);
    f = f != FAIL_NONE ? f
                       : api_take(body, "old", false, s->old, sizeof(s->old), &s->has_old, &why);
    wipe(body, "password");
    wipe(body, "old");
    wipe(body, "token");
    json_decref(body);
    wire_body_wipe(r);
    if (f != FAIL_NONE) {
        sodium_memzero(s, sizeof(*s));
        wire_fail(r, f, &why);
        return NULL;
    }
    return s;
}

/* Passwords are slow on purpose: only so many at once, so that other work keeps its threads. */
static bool hash_begin(struct api *a, struct wire_request *r)
{
    if (__atomic_add_fetch(&a->sign_ins, 1, __ATOMIC_ACQ_REL) <= SIGN_INS_MAX) {
        return true;
    }
    struct fault why;
    __atomic_sub_fetch(&a->sign_ins, 1, __ATOMIC_ACQ_REL);
    FAULT(&why, FAIL_RATE_LIMITED, "many people are signing in at this moment");
    fail_retry_after(&why, 2);
    wire_fail(r, FAIL_RATE_LIMITED, &why);
    return false;
}

static void hash_end(struct api *a, struct secrets *s)
{
    sodium_memzero(s, sizeof(*s));
    __atomic_sub_fetch(&a->sign_ins, 1, __ATOMIC_ACQ_REL);
}

/* ---- signing in and out ---- */

static void login_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct secrets *s = arg;
    struct keyring_session session;
    struct fault why;
    enum fail f = keyring_sign_in(a->h.keyring, s->name, s->password, s->address,
                                  s->has_team ? s->team : NULL, &session, &why);
    hash_end(a, s);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_session_reply(a, r, &session);
}

static void directory_on_login(struct api *a, struct wire_request *r, void *arg)
{
    struct secrets *s = arg;
    struct keyring_account account;
    struct keyring_session session;
    struct fault why;
    enum fail f = login_directory(a->h.login, s->name, s->password, s->address, &account, &why);
    if (f == FAIL_NONE) {
        f = keyring_session_start(a->h.keyring, &account.id, s->has_team ? s->team : NULL, &session,
                                  &why);
    }
    sodium_memzero(s, sizeof(*s));
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_session_reply(a, r, &session);
}

/* A name that is ours has its password here, whatever a directory says of it. */
static bool is_of_directory(struct api *a, const char *name)
{
    struct keyring_account account;
    return login_has_directory(a->h.login) &&
           (!keyring_account_find(a->h.keyring, name, &account) || account.subject[0] != '\0');
}

void api_login(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name", "password", "team", NULL};
    if (!api_same_site(arg, r)) {
        return;
    }
    struct secrets *s = read_secrets(r, keys, true, false, true);
    if (s == NULL) {
        return;
    }
    api_client_address(arg, r, s->address);
    if (is_of_directory(arg, s->name)) {
        api_on_login(arg, r, directory_on_login, s);
    } else if (hash_begin(arg, r)) {
        api_on_crunch(arg, r, login_on_crunch, s);
    }
}

static void setup_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct secrets *s = arg;
    struct keyring_account account;
    struct fault why;
    char path[CONFIG_HOME_SIZE + 16];
    enum fail f = keyring_token_use(a->h.keyring, s->token, s->has_name ? s->name : NULL,
                                    s->password, &account, &why);
    hash_end(a, s);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/setup.token", a->h.home);
    (void)unlink(path);
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    api_put_account(&w, &account);
    api_send(r, 200, &w);
}

void api_setup(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"token", "name", "password", NULL};
    if (!api_same_site(arg, r)) {
        return;
    }
    struct secrets *s = read_secrets(r, keys, false, true, true);
    if (s != NULL && hash_begin(arg, r)) {
        api_on_crunch(arg, r, setup_on_crunch, s);
    }
}

static void logout_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const bool *everywhere = arg;
    struct fault why;
    enum fail f = keyring_sign_out(a->h.keyring, api_who(r), *everywhere, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    set_cookie(a, r, "", 0);
    api_open(&w, &body);
    jn_kv_bool(&w, "signed_out", true);
    api_send(r, 200, &w);
}

void api_logout(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"everywhere", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, true);
    if (body == NULL) {
        return;
    }
    bool *everywhere = wire_alloc(r, sizeof(*everywhere));
    *everywhere = false;
    enum fail f = jn_bool(body, "everywhere", false, everywhere, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, logout_on_crunch, everywhere);
}

/* ---- oneself ---- */

void api_me(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    const struct principal *p = api_who(r);
    static const char *const kinds[] = {"", "key", "local", "session", "jwt", "service"};
    struct keyring_account account;
    char scopes[KEYRING_SCOPES_SIZE], id[TEXT_ID_SIZE], cookie[KEYRING_COOKIE_SIZE];
    char csrf[KEYRING_CSRF_SIZE];
    struct jn_writer w;
    struct buf body;
    keyring_scopes_show(p->scopes, scopes, sizeof(scopes));
    api_open(&w, &body);
    jn_kv_str(&w, "kind", kinds[p->kind]);
    jn_kv_str(&w, "name", p->name);
    jn_kv_str(&w, "key", p->key[0] != '\0' ? p->key : NULL);
    jn_kv_str(&w, "team", p->team);
    jn_kv_str(&w, "label", secrecy_name(p->label));
    jn_kv_str(&w, "role", keyring_role_name(p->role));
    jn_kv_str(&w, "scopes", scopes);
    for (unsigned i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        jn_kv_str(&w, keyring_limit_name((enum keyring_limit)i),
                  (p->limits.given & (1U << i)) != 0 ? p->limits.names[i] : NULL);
    }
    if (!text_id_is_zero(&p->user) &&
        keyring_account_find(a->h.keyring, text_id_show(&p->user, "usr", id), &account)) {
        put_teams(&w, &account);
    }
    if (p->kind == PRINCIPAL_KIND_SESSION && api_cookie(a, wire_header(r, "Cookie"), cookie)) {
        keyring_session_csrf(a->h.keyring, cookie, csrf);
        jn_kv_str(&w, "csrf", csrf);
        sodium_memzero(cookie, sizeof(cookie));
    }
    api_send(r, 200, &w);
}

static void team_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct fault why;
    const struct secrets *s = arg;
    enum fail f = keyring_session_team(a->h.keyring, api_who(r), s->team, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "team", s->team);
    api_send(r, 200, &w);
}

void api_me_team(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"team", NULL};
    struct secrets *s = read_secrets(r, keys, false, false, false);
    if (s == NULL) {
        return;
    }
    if (!s->has_team) {
        struct fault why;
        FAULT(&why, FAIL_BAD_REQUEST, "\"team\" is missing");
        fail_param(&why, "team");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    api_on_crunch(arg, r, team_on_crunch, s);
}

static void password_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct secrets *s = arg;
    const struct principal *p = api_who(r);
    struct fault why;
    enum fail f = text_id_is_zero(&p->user)
                      ? FAULT(&why, FAIL_CONFLICT, "who calls has no account, so no password")
                      : keyring_password_set(a->h.keyring, p->name, s->old, s->password, p, &p->id,
                                             &why);
    hash_end(a, s);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_bool(&w, "changed", true);
    api_send(r, 200, &w);
}

void api_me_password(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"old", "password", NULL};
    struct secrets *s = read_secrets(r, keys, false, false, true);
    if (s != NULL && hash_begin(arg, r)) {
        api_on_crunch(arg, r, password_on_crunch, s);
    }
}
