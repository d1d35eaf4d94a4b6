/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of tokens: their form, their claims, and what claims mean here. */
#include "trust/login/login_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"

static enum fail bad(struct fault *why, const char *what)
{
    FAULT(why, FAIL_UNAUTHENTICATED, "the token is not accepted: %s", what);
    return fail_hint(why, "Get a fresh one from its issuer; docs/reference/access.md says what it "
                          "must hold.");
}

/* ---- form ---- */

/* base64url without padding (RFC 7515 section 2). */
static bool unbase64url(const char *s, size_t n, struct buf *out)
{
    if (n == 0 || n % 4 == 1 || n > LOGIN_TOKEN_MAX) {
        return false;
    }
    AUTO_FREE char *text = mem_alloc(n + 5);
    AUTO_FREE char *raw = mem_alloc(n + 5);
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (!isalnum((unsigned char)c) && c != '-' && c != '_') {
            return false;
        }
        text[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (n % 4 != 0) {
        text[n++] = '=';
    }
    size_t len = text_unbase64(text, n, raw);
    return len != SIZE_MAX && buf_add(out, raw, len);
}

static bool split(const char *token, size_t n, size_t at[2])
{
    const char *a = n <= LOGIN_TOKEN_MAX ? memchr(token, '.', n) : NULL;
    const char *b = a != NULL ? memchr(a + 1, '.', n - (size_t)(a + 1 - token)) : NULL;
    if (b == NULL || memchr(b + 1, '.', n - (size_t)(b + 1 - token)) != NULL) {
        return false;
    }
    at[0] = (size_t)(a - token);
    at[1] = (size_t)(b - token);
    return at[0] > 0 && at[1] > at[0] + 1 && at[1] + 1 < n;
}

bool jwt_payload(const char *token, size_t n, struct buf *out)
{
    size_t at[2];
    return split(token, n, at) && unbase64url(token + at[0] + 1, at[1] - at[0] - 1, out);
}

static bool take(const json_t *o, const char *key, char *out, size_t room)
{
    const json_t *v = json_object_get(o, key);
    out[0] = '\0';
    return v == NULL ||
           (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v) &&
            text_copy(out, room, json_string_value(v)));
}

enum fail login_jwt_head(const char *token, size_t n, struct login_jwt_head *out,
                         struct fault *why)
{
    static const char *const algs[] = {"RS256", "RS384", "RS512", "PS256",
                                       "ES256", "ES384", "ES512"};
    size_t at[2];
    struct buf text;
    json_t *head AUTO_JSON = NULL;
    if (!split(token, n, at)) {
        return bad(why, "it is not three parts");
    }
    buf_init(&text, LOGIN_TOKEN_MAX);
    bool good = unbase64url(token, at[0], &text) &&
                jn_parse(text.data, text.len, "header", &head, NULL) == FAIL_NONE &&
                json_is_object(head);
    buf_done(&text);
    buf_init(&text, LOGIN_TOKEN_MAX);
    good = good && unbase64url(token + at[0] + 1, at[1] - at[0] - 1, &text) &&
           unbase64url(token + at[1] + 1, n - at[1] - 1, &text);
    buf_done(&text);
    if (!good) {
        return bad(why, "it is malformed");
    }
    if (json_object_get(head, "crit") != NULL || json_object_get(head, "b64") != NULL) {
        return bad(why, "its header asks for what is not understood here");
    }
    if (!take(head, "alg", out->alg, sizeof(out->alg)) ||
        !take(head, "kid", out->kid, sizeof(out->kid)) ||
        !take(head, "typ", out->typ, sizeof(out->typ))) {
        return bad(why, "its header is malformed");
    }
    for (size_t i = 0; i < COUNT_OF(algs); i++) {
        if (strcmp(out->alg, algs[i]) == 0) {
            return FAIL_NONE;
        }
    }
    return bad(why, "its algorithm is not on the list"); /* "none", HS256 among them */
}

/* ---- claims ---- */

static bool is_number(const json_t *v, int64_t *out)
{
    if (json_is_integer(v)) {
        *out = json_integer_value(v);
    } else if (json_is_real(v) && json_real_value(v) > -1e15 && json_real_value(v) < 1e15) {
        *out = (int64_t)json_real_value(v);
    } else {
        return false;
    }
    return *out > -1000000000000000 && *out < 1000000000000000;
}

static bool is_text(const json_t *v, const char *want)
{
    return json_is_string(v) && json_string_length(v) == strlen(want) &&
           memcmp(json_string_value(v), want, strlen(want)) == 0;
}

static bool has_audience(const json_t *aud, const char *want, bool *others)
{
    size_t i;
    const json_t *v;
    bool there = is_text(aud, want);
    *others = json_array_size(aud) > 1;
    json_array_foreach(aud, i, v) {
        there = there || is_text(v, want);
    }
    return there;
}

/* exp and nbf with leeway, iat not from the future. */
static enum fail check_times(const json_t *claims, const struct login_expect *e, int64_t *until_s,
                             struct fault *why)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const json_t *iat = json_object_get(claims, "iat");
    int64_t t;
    if (exp == NULL || !is_number(exp, until_s)) {
        return bad(why, "it has no exp");
    }
    if (*until_s + LOGIN_LEEWAY_S <= e->now_s) {
        return bad(why, "it has expired (exp)");
    }
    if (nbf != NULL && (!is_number(nbf, &t) || t - LOGIN_LEEWAY_S > e->now_s)) {
        return bad(why, "it is not good yet (nbf)");
    }
    if (iat != NULL ? !is_number(iat, &t) || t - LOGIN_LEEWAY_S > e->now_s : e->id_token) {
        return bad(why, "its time of issue is missing or to come (iat)");
    }
    return FAIL_NONE;
}

static enum fail check_claims(const json_t *claims, const struct login_expect *e,
                              char sub[KEYRING_SUBJECT_SIZE], int64_t *until_s, struct fault *why)
{
    bool others;
    if (!is_text(json_object_get(claims, "iss"), e->issuer)) {
        return bad(why, "it is of another issuer (iss)");
    }
    if (!has_audience(json_object_get(claims, "aud"), e->audience, &others)) {
        return bad(why, "it is meant for others (aud)");
    }
    const json_t *azp = json_object_get(claims, "azp");
    if (e->id_token && (azp != NULL ? !is_text(azp, e->audience) : others)) {
        return bad(why, "it was issued to others (azp)");
    }
    if (e->nonce != NULL && !is_text(json_object_get(claims, "nonce"), e->nonce)) {
        return bad(why, "it answers another sign-in (nonce)");
    }
    if (json_object_get(claims, "sub") == NULL || !take(claims, "sub", sub, KEYRING_SUBJECT_SIZE) ||
        sub[0] == '\0') {
        return bad(why, "it names nobody (sub)");
    }
    return check_times(claims, e, until_s, why);
}

enum fail login_claims_check(const char *json, size_t n, const struct login_expect *e,
                             char sub[KEYRING_SUBJECT_SIZE], int64_t *until_s, struct fault *why)
{
    json_t *claims AUTO_JSON = NULL;
    sub[0] = '\0';
    if (jn_parse(json, n, "claims", &claims, NULL) != FAIL_NONE || !json_is_object(claims)) {
        return bad(why, "its claims are malformed");
    }
    return check_claims(claims, e, sub, until_s, why);
}

/* ---- meaning ---- */

const json_t *claim_find(const json_t *claims, const char *name)
{
    const json_t *at = json_object_get(claims, name);
    char part[129];
    if (at != NULL || strchr(name, '.') == NULL) {
        return at;
    }
    at = claims;
    while (at != NULL && *name != '\0') {
        size_t n = strcspn(name, ".");
        if (n == 0 || n >= sizeof(part)) {
            return NULL;
        }
        memcpy(part, name, n);
        part[n] = '\0';
        at = json_object_get(at, part);
        name += n + (name[n] == '.');
    }
    return at == claims ? NULL : at;
}

void claim_name(const json_t *claims, const char *name, char out[KEYRING_NAME_SIZE])
{
    const json_t *v = claim_find(claims, name);
    bool good = json_is_string(v) && text_copy(out, KEYRING_NAME_SIZE, json_string_value(v));
    for (char *p = out; good && *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    if (!good || !keyring_account_name_ok(out)) {
        out[0] = '\0';
    }
}

bool members_add(struct keyring_member *list, size_t *n, const char *team, const char *role)
{
    enum keyring_role r;
    size_t i = 0;
    if (!keyring_role_find(role, &r)) {
        return true;
    }
    while (i < *n && strcmp(list[i].team, team) != 0) {
        i++;
    }
    if (i == KEYRING_MEMBER_MAX) {
        return false;
    }
    if (i < *n) {
        uint32_t had = keyring_role_scopes(list[i].role), has = keyring_role_scopes(r);
        list[i].role = (had & ~has) == 0 ? r : list[i].role;
        return true;
    }
    list[i] = (struct keyring_member){.role = r, .directory = true};
    (void)text_copy(list[i].team, sizeof(list[i].team), team);
    (*n)++;
    return true;
}

static bool grants_to(const json_t *v, const char *value)
{
    size_t i;
    const json_t *one;
    bool there = is_text(v, value);
    json_array_foreach(v, i, one) {
        there = there || is_text(one, value);
    }
    return there;
}

size_t login_claims_members(const char *json, size_t n, const struct config_grant *grants,
                            size_t grants_len, struct keyring_member *out)
{
    json_t *claims AUTO_JSON = NULL;
    size_t len = 0;
    if (jn_parse(json, n, "claims", &claims, NULL) != FAIL_NONE) {
        return 0;
    }
    for (size_t i = 0; i < grants_len; i++) {
        const json_t *v = claim_find(claims, grants[i].claim);
        if (v != NULL && grants_to(v, grants[i].value)) {
            (void)members_add(out, &len, grants[i].team, grants[i].role);
        }
    }
    return len;
}
