/* SPDX-License-Identifier: Apache-2.0 */
/* Signing people in: authorization code with PKCE (RFC 7636), state and nonce, once each. */
#include "trust/login/login_internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/text/text.h"

/* 32 random bytes as hex: also a good PKCE verifier (43 to 128 unreserved characters). */
static void secret(char out[65])
{
    uint8_t bytes[32];
    randombytes_buf(bytes, sizeof(bytes));
    text_hex(bytes, sizeof(bytes), out);
    sodium_memzero(bytes, sizeof(bytes));
}

/* base64url without padding of SHA-256. */
static void challenge(const char *verifier, char out[48])
{
    uint8_t hash[32];
    text_sha256(verifier, strlen(verifier), hash);
    (void)text_base64(hash, sizeof(hash), out);
    for (char *p = out; *p != '\0'; p++) {
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
        if (*p == '=') {
            *p = '\0';
            break;
        }
    }
}

static void redirect_uri(const struct login *l, char *out, size_t room)
{
    const char *base = l->config->login_public_url;
    size_t n = strlen(base);
    (void)snprintf(out, room, "%.*s/api/v1/login/callback",
                   (int)(n > 0 && base[n - 1] == '/' ? n - 1 : n), base);
}

static void add(struct buf *b, const char *key, const char *value)
{
    (void)buf_printf(b, "%s=", key);
    fetch_escape(b, value);
}

/* The free place, or the one that ends soonest. */
static struct pending *place(struct login *l)
{
    struct pending *best = &l->pending[0];
    int64_t now = clock_monotonic_us();
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &l->pending[i];
        if (p->until_us <= now) {
            return p;
        }
        best = p->until_us < best->until_us ? p : best;
    }
    return best;
}

enum fail login_begin(struct login *l, const char *issuer, char url[LOGIN_URL_SIZE],
                      char bind[LOGIN_BIND_SIZE], struct fault *why)
{
    char state[65], code[48], back[300];
    struct pending p = {.until_us = clock_monotonic_us() + PENDING_US};
    while (p.issuer < l->issuers_len && strcmp(l->issuers[p.issuer].c->name, issuer) != 0) {
        p.issuer++;
    }
    if (p.issuer == l->issuers_len) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such issuer");
    }
    struct issuer *is = &l->issuers[p.issuer];
    enum fail f = issuer_discover(is, why);
    if (f != FAIL_NONE) {
        return f;
    }
    secret(state);
    secret(bind);
    secret(p.nonce);
    secret(p.verifier);
    text_sha256(state, strlen(state), p.state);
    text_sha256(bind, strlen(bind), p.bind);
    challenge(p.verifier, code);
    redirect_uri(l, back, sizeof(back));
    struct buf b;
    buf_init(&b, LOGIN_URL_SIZE - 1);
    pthread_rwlock_rdlock(&is->lock);
    (void)buf_printf(&b, "%s%c", is->authorize, strchr(is->authorize, '?') != NULL ? '&' : '?');
    pthread_rwlock_unlock(&is->lock);
    add(&b, "response_type", "code");
    add(&b, "&client_id", is->c->client_id);
    add(&b, "&redirect_uri", back);
    add(&b, "&scope", is->c->scope);
    add(&b, "&state", state);
    add(&b, "&nonce", p.nonce);
    add(&b, "&code_challenge", code);
    add(&b, "&code_challenge_method", "S256");
    if (b.overflow) {
        f = FAULT(why, FAIL_UPSTREAM_FAILED, "the issuer's address is too long");
    } else {
        (void)text_copy(url, LOGIN_URL_SIZE, b.data);
        pthread_mutex_lock(&l->lock);
        *place(l) = p;
        pthread_mutex_unlock(&l->lock);
    }
    buf_done(&b);
    sodium_memzero(&p, sizeof(p));
    return f;
}

/* Taken out whatever comes of it: a state is good once. */
static enum fail take_pending(struct login *l, const char *state, const char *bind,
                              struct pending *out, struct fault *why)
{
    uint8_t hash[32], cookie[32];
    bool found = false;
    text_sha256(state, strlen(state), hash);
    text_sha256(bind, strlen(bind), cookie);
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < PENDING_MAX && !found; i++) {
        struct pending *p = &l->pending[i];
        if (p->until_us > clock_monotonic_us() && text_equal_secret(p->state, hash, 32)) {
            found = text_equal_secret(p->bind, cookie, 32);
            *out = *p;
            sodium_memzero(p, sizeof(*p));
            break;
        }
    }
    pthread_mutex_unlock(&l->lock);
    if (!found) {
        FAULT(why, FAIL_UNAUTHENTICATED, "this sign-in was not begun by this browser, or too long "
                                         "ago");
        return fail_hint(why, "Begin again.");
    }
    return FAIL_NONE;
}

static enum fail ask_token(struct login *l, struct issuer *is, const struct pending *p,
                           const char *code, json_t **out, struct fault *why)
{
    char back[300], url[512];
    struct buf form;
    redirect_uri(l, back, sizeof(back));
    pthread_rwlock_rdlock(&is->lock);
    (void)text_copy(url, sizeof(url), is->token);
    pthread_rwlock_unlock(&is->lock);
    buf_init(&form, 16384);
    add(&form, "grant_type", "authorization_code");
    add(&form, "&code", code);
    add(&form, "&redirect_uri", back);
    add(&form, "&code_verifier", p->verifier);
    struct fetch f = {.origin = is->origin, .ca_file = is->c->ca_file, .url = url};
    struct buf user, password; /* RFC 6749 section 2.3.1: both form-encoded first */
    buf_init(&user, 4096);
    buf_init(&password, 16384);
    if (is->secret[0] != '\0') {
        fetch_escape(&user, is->c->client_id);
        fetch_escape(&password, is->secret);
        f.user = user.data;
        f.secret = password.data;
    } else {
        add(&form, "&client_id", is->c->client_id);
    }
    f.form = form.data;
    enum fail r = form.overflow || user.overflow || password.overflow
                      ? FAULT(why, FAIL_UNAUTHENTICATED, "the code is too long")
                      : fetch_json(&f, out, why);
    explicit_bzero(form.data, form.len);
    if (password.data != NULL) {
        explicit_bzero(password.data, password.len);
    }
    buf_done(&form);
    buf_done(&user);
    buf_done(&password);
    return r;
}

/* The ID token's signature, after reading the issuer's keys again where its own is not known. */
static enum fail verify(struct issuer *is, const char *token, struct buf *payload,
                        struct fault *why)
{
    bool unknown = false;
    enum fail f = issuer_verify(is, token, strlen(token), payload, &unknown, why);
    if (f != FAIL_NONE && unknown) {
        f = issuer_read_keys(is, why);
        if (f == FAIL_NONE) {
            f = issuer_verify(is, token, strlen(token), payload, &unknown, why);
        }
    }
    return f;
}

static enum fail vouch(struct login *l, struct issuer *is, const char *sub, const char *text,
                       size_t n, struct keyring_account *out, struct fault *why)
{
    char origin[KEYRING_ORIGIN_SIZE], name[KEYRING_NAME_SIZE];
    struct keyring_member members[KEYRING_MEMBER_MAX];
    json_t *claims AUTO_JSON = NULL;
    enum fail f = jn_parse(text, n, "claims", &claims, why);
    if (f != FAIL_NONE) {
        return f;
    }
    (void)snprintf(origin, sizeof(origin), "oidc:%s", is->c->issuer);
    claim_name(claims, is->c->name_claim, name);
    if (name[0] == '\0') {
        FAULT(why, FAIL_FORBIDDEN, "the token's %.60s is no name of an account", is->c->name_claim);
        return fail_hint(why, "Set oidc.name_claim to a claim of small letters, digits and . _ - @ "
                              "+.");
    }
    struct keyring_vouch v = {
        .origin = origin, .subject = sub, .name = name, .members = members};
    v.members_len =
        login_claims_members(text, n, is->c->grants, is->c->grants_len, members);
    return keyring_vouched(l->keyring, &v, out, why);
}

enum fail login_finish(struct login *l, const char *state, const char *code, const char *bind,
                       struct keyring_account *out, struct fault *why)
{
    struct pending p;
    struct buf payload;
    char sub[KEYRING_SUBJECT_SIZE];
    int64_t until;
    json_t *answer AUTO_JSON = NULL;
    enum fail f = take_pending(l, state, bind, &p, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct issuer *is = &l->issuers[p.issuer];
    f = ask_token(l, is, &p, code, &answer, why);
    const char *token =
        f == FAIL_NONE ? json_string_value(json_object_get(answer, "id_token")) : NULL;
    if (f == FAIL_NONE && token == NULL) {
        f = FAULT(why, FAIL_UPSTREAM_FAILED, "the issuer answered without an ID token");
    }
    buf_init(&payload, LOGIN_TOKEN_MAX);
    f = f == FAIL_NONE ? verify(is, token, &payload, why) : f;
    if (f == FAIL_NONE) {
        struct login_expect e = {.issuer = is->c->issuer,
                                 .audience = is->c->client_id,
                                 .nonce = p.nonce,
                                 .id_token = true,
                                 .now_s = clock_now_us() / 1000000};
        f = login_claims_check(payload.data, payload.len, &e, sub, &until, why);
    }
    f = f == FAIL_NONE ? vouch(l, is, sub, payload.data, payload.len, out, why) : f;
    buf_done(&payload);
    sodium_memzero(&p, sizeof(p));
    return f;
}
