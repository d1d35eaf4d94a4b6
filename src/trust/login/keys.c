/* SPDX-License-Identifier: Apache-2.0 */
/* What an issuer publishes: its endpoints and its keys; and signatures checked with them. */
#include "trust/login/login_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/text/text.h"

/* ---- endpoints ---- */

static bool take_url(const json_t *doc, const char *key, const char *origin, char *out, size_t room)
{
    const json_t *v = json_object_get(doc, key);
    return json_is_string(v) && fetch_is_at(json_string_value(v), origin) &&
           text_copy(out, room, json_string_value(v));
}

static bool lists(const json_t *doc, const char *key, const char *value)
{
    const json_t *list = json_object_get(doc, key), *v;
    size_t i;
    json_array_foreach(list, i, v) {
        if (json_is_string(v) && strcmp(json_string_value(v), value) == 0) {
            return true;
        }
    }
    return list == NULL; /* OpenID Connect Discovery: not said is not denied */
}

enum fail issuer_discover(struct issuer *is, struct fault *why)
{
    char url[400], authorize[512], token[512], keys[512];
    json_t *doc AUTO_JSON = NULL;
    pthread_rwlock_rdlock(&is->lock);
    bool known = is->token[0] != '\0';
    pthread_rwlock_unlock(&is->lock);
    if (known) {
        return FAIL_NONE;
    }
    size_t n = strlen(is->c->issuer);
    bool slash = n > 0 && is->c->issuer[n - 1] == '/';
    (void)snprintf(url, sizeof(url), "%s%s.well-known/openid-configuration", is->c->issuer,
                   slash ? "" : "/");
    struct fetch f = {.origin = is->origin, .ca_file = is->c->ca_file, .url = url};
    enum fail r = fetch_json(&f, &doc, why);
    if (r != FAIL_NONE) {
        return r;
    }
    const json_t *said = json_object_get(doc, "issuer");
    if (!json_is_string(said) || strcmp(json_string_value(said), is->c->issuer) != 0) {
        FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s says that it is another issuer", is->c->issuer);
        return fail_hint(why, "Write the issuer in inhouse.yaml exactly as the provider does.");
    }
    if (!take_url(doc, "authorization_endpoint", is->origin, authorize, sizeof(authorize)) ||
        !take_url(doc, "token_endpoint", is->origin, token, sizeof(token)) ||
        !take_url(doc, "jwks_uri", is->origin, keys, sizeof(keys))) {
        return FAULT(why, FAIL_UPSTREAM_FAILED,
                     "an endpoint of %.150s is missing or not at its origin", is->c->issuer);
    }
    if (!lists(doc, "code_challenge_methods_supported", "S256")) {
        return FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s does not know PKCE with S256",
                     is->c->issuer);
    }
    pthread_rwlock_wrlock(&is->lock);
    (void)text_copy(is->authorize, sizeof(is->authorize), authorize);
    (void)text_copy(is->token, sizeof(is->token), token);
    (void)text_copy(is->keys_url, sizeof(is->keys_url), keys);
    pthread_rwlock_unlock(&is->lock);
    return FAIL_NONE;
}

/* ---- keys ---- */

static bool take(const json_t *o, const char *key, char *out, size_t room)
{
    const json_t *v = json_object_get(o, key);
    out[0] = '\0';
    return v == NULL || (json_is_string(v) && text_copy(out, room, json_string_value(v)));
}

/* A public key for signatures, of enough bits; anything else in the set is left out. */
static bool read_key(const json_t *k, struct signing_key *out)
{
    char use[16];
    *out = (struct signing_key){.key = NULL};
    const json_t *modulus = json_object_get(k, "n");
    if (!json_is_object(k) || !take(k, "kid", out->kid, sizeof(out->kid)) ||
        !take(k, "alg", out->alg, sizeof(out->alg)) ||
        !take(k, "kty", out->kty, sizeof(out->kty)) ||
        !take(k, "crv", out->crv, sizeof(out->crv)) || !take(k, "use", use, sizeof(use)) ||
        (use[0] != '\0' && strcmp(use, "sig") != 0)) {
        return false;
    }
    bool rsa = strcmp(out->kty, "RSA") == 0 && json_is_string(modulus) &&
               json_string_length(modulus) >= 342 && json_string_length(modulus) <= 1366;
    bool ec = strcmp(out->kty, "EC") == 0;
    if (!rsa && !ec) {
        return false;
    }
    /* Only what is public goes to the library, whatever else stands there. */
    json_t *bare AUTO_JSON = json_object();
    static const char *const parts[] = {"kty", "n", "e", "crv", "x", "y"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        json_t *v = json_object_get(k, parts[i]);
        if (v != NULL) {
            (void)json_object_set(bare, parts[i], v);
        }
    }
    cjose_err err;
    out->key = cjose_jwk_import_json((cjose_header_t *)bare, &err);
    return out->key != NULL;
}

static void keys_free(struct signing_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)cjose_jwk_release(keys[i].key);
    }
}

enum fail issuer_read_keys(struct issuer *is, struct fault *why)
{
    json_t *doc AUTO_JSON = NULL;
    struct signing_key keys[KEYS_MAX], old[KEYS_MAX];
    size_t n = 0, old_n = 0, i;
    const json_t *k;
    enum fail r = issuer_discover(is, why);
    if (r == FAIL_NONE) {
        struct fetch f = {
            .origin = is->origin, .ca_file = is->c->ca_file, .url = is->keys_url};
        r = fetch_json(&f, &doc, why);
    }
    if (r != FAIL_NONE) {
        return r;
    }
    json_array_foreach(json_object_get(doc, "keys"), i, k) {
        if (n < KEYS_MAX && read_key(k, &keys[n])) {
            n++;
        }
    }
    if (n == 0) {
        return FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s publishes no key for signatures",
                     is->c->issuer);
    }
    pthread_rwlock_wrlock(&is->lock);
    old_n = is->keys_len;
    memcpy(old, is->keys, old_n * sizeof(old[0]));
    memcpy(is->keys, keys, n * sizeof(keys[0]));
    is->keys_len = n;
    is->keys_at = clock_monotonic_us();
    pthread_rwlock_unlock(&is->lock);
    keys_free(old, old_n);
    return FAIL_NONE;
}

void issuer_done(struct issuer *is)
{
    keys_free(is->keys, is->keys_len);
    login_secret_free(is->secret);
    pthread_rwlock_destroy(&is->lock);
}

/* ---- signatures ---- */

/* Is this the key for that header? The kind of key decides, not the token's word. */
static bool fits(const struct signing_key *k, const struct login_jwt_head *h)
{
    static const struct {
        const char *alg, *crv;
    } curves[] = {{"ES256", "P-256"}, {"ES384", "P-384"}, {"ES512", "P-521"}};
    if (h->kid[0] != '\0' && strcmp(h->kid, k->kid) != 0) {
        return false;
    }
    if (k->alg[0] != '\0' && strcmp(k->alg, h->alg) != 0) {
        return false;
    }
    if (h->alg[0] == 'R' || h->alg[0] == 'P') {
        return strcmp(k->kty, "RSA") == 0;
    }
    for (size_t i = 0; i < COUNT_OF(curves); i++) {
        if (strcmp(h->alg, curves[i].alg) == 0) {
            return strcmp(k->kty, "EC") == 0 && strcmp(k->crv, curves[i].crv) == 0;
        }
    }
    return false;
}

static bool signed_by(cjose_jws_t *jws, const struct signing_key *k)
{
    cjose_err err;
    return cjose_jws_verify(jws, k->key, &err);
}

enum fail issuer_verify(struct issuer *is, const char *token, size_t n, struct buf *payload,
                        bool *unknown, struct fault *why)
{
    struct login_jwt_head head;
    cjose_err err;
    bool good = false;
    *unknown = false;
    enum fail f = login_jwt_head(token, n, &head, why);
    if (f != FAIL_NONE) {
        return f;
    }
    cjose_jws_t *jws = cjose_jws_import(token, n, &err);
    if (jws != NULL) {
        size_t fitting = 0;
        pthread_rwlock_rdlock(&is->lock);
        for (size_t i = 0; i < is->keys_len && !good; i++) {
            if (fits(&is->keys[i], &head)) {
                fitting++;
                good = signed_by(jws, &is->keys[i]);
            }
        }
        pthread_rwlock_unlock(&is->lock);
        *unknown = fitting == 0;
        cjose_jws_release(jws);
    }
    /* The very bytes that were signed. */
    if (!good || !jwt_payload(token, n, payload)) {
        FAULT(why, FAIL_UNAUTHENTICATED, "the token's signature is not one of its issuer%s",
              *unknown ? "'s known keys" : "");
        return fail_hint(why, *unknown ? "The issuer's keys are being read again: try once more."
                                       : "Get a fresh token from its issuer.");
    }
    return FAIL_NONE;
}
