/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in with somebody else's word: OpenID Connect through the browser, and a directory's
   password. What waits for them runs on login's own threads. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define BIND_COOKIE "inhouse_login"
#define CODE_SIZE 4096

struct hop {
    struct api *a;
    struct wire_request *r;
    api_step_fn fn;
    void *arg;
};

static void hop_run(void *arg)
{
    struct hop *hop = arg;
    hop->fn(hop->a, hop->r, hop->arg);
}

void api_on_login(struct api *a, struct wire_request *r, api_step_fn fn, void *arg)
{
    struct fault why;
    struct hop *hop = wire_alloc(r, sizeof(*hop));
    *hop = (struct hop){a, r, fn, arg};
    enum fail f = login_run(a->h.login, hop_run, hop, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

void api_login_ways(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_bool(&w, "password", true);
    jn_kv_bool(&w, "directory", login_has_directory(a->h.login));
    jn_kv_bool(&w, "first_run", !keyring_has_admin(a->h.keyring));
    jn_key(&w, "oidc");
    jn_array_begin(&w);
    for (size_t i = 0; i < login_issuers(a->h.login); i++) {
        jn_put_str(&w, login_issuer_name(a->h.login, i));
    }
    jn_array_end(&w);
    api_send(r, 200, &w);
}

/* ---- away to the issuer, and back ---- */

static void bind_cookie(struct api *a, struct wire_request *r, const char *value, int seconds)
{
    char text[200];
    (void)snprintf(text, sizeof(text),
                   BIND_COOKIE "=%s; Path=/api/v1/login; HttpOnly; SameSite=Lax; Max-Age=%d%s",
                   value, seconds,
                   text_starts_with(a->h.public_url, "https://") ? "; Secure" : "");
    wire_header_add(r, "Set-Cookie", text);
}

struct going {
    char issuer[80], url[LOGIN_URL_SIZE], bind[LOGIN_BIND_SIZE];
};

static void begin(struct api *a, struct wire_request *r, void *arg)
{
    struct going *g = arg;
    struct fault why;
    struct jn_writer w;
    struct buf body;
    enum fail f = login_begin(a->h.login, g->issuer, g->url, g->bind, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    bind_cookie(a, r, g->bind, 600);
    wire_header_add(r, "Location", g->url);
    wire_header_add(r, "Cache-Control", "no-store");
    api_open(&w, &body);
    jn_kv_str(&w, "location", g->url);
    api_send(r, 302, &w);
    sodium_memzero(g, sizeof(*g));
}

void api_login_oidc(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct going *g = wire_alloc(r, sizeof(*g));
    memset(g, 0, sizeof(*g));
    if (!text_copy(g->issuer, sizeof(g->issuer), wire_param(r, "issuer")) ||
        login_issuers(a->h.login) == 0) {
        struct fault why;
        FAULT(&why, FAIL_NOT_FOUND, "there is no such issuer");
        wire_fail(r, FAIL_NOT_FOUND, &why);
        return;
    }
    api_on_login(a, r, begin, g);
}

struct coming {
    char state[128], code[CODE_SIZE], bind[LOGIN_BIND_SIZE];
};

static void finish(struct api *a, struct wire_request *r, void *arg)
{
    struct coming *c = arg;
    struct fault why;
    struct keyring_account account;
    struct keyring_session session;
    enum fail f = login_finish(a->h.login, c->state, c->code, c->bind, &account, &why);
    sodium_memzero(c, sizeof(*c));
    if (f == FAIL_NONE) {
        f = keyring_session_start(a->h.keyring, &account.id, NULL, &session, &why);
    }
    bind_cookie(a, r, "", 0);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    wire_header_add(r, "Cache-Control", "no-store");
    api_session_reply(a, r, &session);
}

void api_login_back(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    const char *state = wire_query(r, "state"), *code = wire_query(r, "code");
    const char *error = wire_query(r, "error");
    struct coming *c = wire_alloc(r, sizeof(*c));
    memset(c, 0, sizeof(*c));
    if (error != NULL) {
        /* Its words are anybody's: a link can carry them. They are not repeated. */
        FAULT(&why, FAIL_UNAUTHENTICATED, "the issuer did not sign you in");
        fail_hint(&why, "Begin again, or ask who runs the issuer.");
        wire_fail(r, FAIL_UNAUTHENTICATED, &why);
        return;
    }
    if (login_issuers(a->h.login) == 0 || state == NULL || code == NULL ||
        !text_copy(c->state, sizeof(c->state), state) ||
        !text_copy(c->code, sizeof(c->code), code) ||
        !wire_cookie_read(wire_header(r, "Cookie"), BIND_COOKIE, c->bind, sizeof(c->bind))) {
        FAULT(&why, FAIL_UNAUTHENTICATED, "this sign-in was not begun by this browser");
        fail_hint(&why, "Begin again; the browser must keep cookies.");
        wire_fail(r, FAIL_UNAUTHENTICATED, &why);
        return;
    }
    api_on_login(a, r, finish, c);
}
