/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing, the thread that looks after keys and people, and machines' tokens. */
#include "trust/login/login_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "base/text/text.h"

#define THREADS 2
#define QUEUE 64
#define SECRET_MAX 4096

/* ---- secrets ---- */

void login_secret_free(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        mem_free(secret);
    }
}

static char *read_file(const char *path, struct fault *why)
{
    struct stat st;
    char text[SECRET_MAX + 1] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "the secret file %.150s cannot be read", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    ssize_t n = (st.st_mode & 077) == 0 ? read(fd, text, SECRET_MAX) : -1;
    close(fd);
    if (n <= 0) {
        FAULT(why, FAIL_FORBIDDEN, "the secret file %.150s is empty, or not private to this user",
              path);
        fail_hint(why, "chmod 600 it, and let the server's user own it.");
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    char *secret = mem_dup_str(text);
    explicit_bzero(text, sizeof(text));
    return secret;
}

char *login_secret_read(const char *reference, struct fault *why)
{
    static const char env[] = "os.environ/";
    if (reference[0] == '\0') {
        return mem_dup_str("");
    }
    if (text_starts_with(reference, "file:/")) {
        return read_file(reference + strlen("file:"), why);
    }
    const char *value = getenv(reference + strlen(env));
    if (value == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "the environment variable %.150s is not set",
              reference + strlen(env));
        fail_hint(why, "Set it in the environment of the server and restart it.");
        return NULL;
    }
    return mem_dup_str(value);
}

/* ---- the watcher ---- */

/* Keys that are old, or were missing, are read again; then it sleeps until somebody asks. */
static void refresh_keys(struct login *l)
{
    for (size_t i = 0; i < l->issuers_len; i++) {
        struct issuer *is = &l->issuers[i];
        struct fault why;
        int64_t now = clock_monotonic_us();
        pthread_rwlock_wrlock(&is->lock);
        bool due = is->c->audience[0] != '\0' &&
                   (is->keys_at == 0 || now - is->keys_at > KEYS_AGE_US || is->reading) &&
                   (is->tried_at == 0 || now - is->tried_at > KEYS_RETRY_US);
        if (due) {
            is->tried_at = now;
            is->reading = false;
        }
        pthread_rwlock_unlock(&is->lock);
        if (due && issuer_read_keys(is, &why) != FAIL_NONE) {
            log_fault(LOG_LEVEL_WARN, "login.keys", &why);
        }
    }
}

static void *watch(void *arg)
{
    struct login *l = arg;
    int64_t checked = clock_monotonic_us();
    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        pthread_mutex_unlock(&l->lock);
        refresh_keys(l);
        if (l->config->ldap.url != NULL &&
            clock_monotonic_us() - checked >= l->config->ldap.recheck_s * 1000000) {
            struct fault why;
            if (login_recheck(l, NULL, &why) != FAIL_NONE) {
                log_fault(LOG_LEVEL_WARN, "login.recheck", &why);
            }
            checked = clock_monotonic_us();
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_mutex_lock(&l->lock);
        if (!l->stopping) {
            (void)pthread_cond_timedwait(&l->wake, &l->lock, &until);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- life ---- */

static enum fail open_issuer(struct login *l, const struct config_issuer *c, struct fault *why)
{
    struct issuer *is = &l->issuers[l->issuers_len++];
    is->c = c;
    pthread_rwlock_init(&is->lock, NULL);
    const char *host = strstr(c->issuer, "://");
    ASSERT(host != NULL); /* the configuration was checked */
    size_t n = (size_t)(host + 3 - c->issuer) + strcspn(host + 3, "/");
    ASSERT(n < sizeof(is->origin));
    memcpy(is->origin, c->issuer, n);
    is->origin[n] = '\0';
    is->secret = login_secret_read(c->client_secret, why);
    return is->secret != NULL ? FAIL_NONE : why->code;
}

enum fail login_open(const struct config *config, struct keyring *keyring, struct loop *loop,
                     struct login **out, struct fault *why)
{
    struct login *l = mem_alloc(sizeof(*l));
    enum fail f = FAIL_NONE;
    l->config = config;
    l->keyring = keyring;
    l->loop = loop;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    for (size_t i = 0; f == FAIL_NONE && i < config->issuers_len; i++) {
        f = open_issuer(l, &config->issuers[i], why);
    }
    if (f == FAIL_NONE && config->ldap.url != NULL) {
        l->ldap_password = login_secret_read(config->ldap.password, why);
        f = l->ldap_password != NULL ? FAIL_NONE : why->code;
    }
    if (f == FAIL_NONE && (config->issuers_len > 0 || config->ldap.url != NULL)) {
        ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
        l->pool = pool_new(THREADS, QUEUE);
        l->has_watcher = pthread_create(&l->watcher, NULL, watch, l) == 0;
        ASSERT(l->has_watcher);
    }
    if (f != FAIL_NONE) {
        login_close(l);
        return f;
    }
    *out = l;
    return FAIL_NONE;
}

void login_close(struct login *l)
{
    if (l == NULL) {
        return;
    }
    if (l->has_watcher) {
        pthread_mutex_lock(&l->lock);
        l->stopping = true;
        pthread_cond_broadcast(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->watcher, NULL);
    }
    if (l->pool != NULL) {
        pool_free(l->pool);
    }
    for (size_t i = 0; i < l->issuers_len; i++) {
        issuer_done(&l->issuers[i]);
    }
    login_secret_free(l->ldap_password);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    explicit_bzero(l->pending, sizeof(l->pending));
    mem_free(l);
}

enum fail login_run(struct login *l, loop_call_fn work, void *arg, struct fault *why)
{
    ASSERT(l->pool != NULL);
    return pool_submit(l->pool, work, arg, l->loop, NULL, why);
}

size_t login_issuers(const struct login *l)
{
    return l->issuers_len;
}

const char *login_issuer_name(const struct login *l, size_t i)
{
    ASSERT(i < l->issuers_len);
    return l->issuers[i].c->name;
}

bool login_has_directory(const struct login *l)
{
    return l->config->ldap.url != NULL;
}

/* ---- machines' tokens ---- */

bool login_is_token(const char *bearer)
{
    const char *dot = strchr(bearer, '.');
    return dot != NULL && strchr(dot + 1, '.') != NULL;
}

/* Whose token it claims to be; nothing else of it is believed. NULL: nobody's whose are taken. */
static struct issuer *claimed(struct login *l, const char *token, size_t n)
{
    struct issuer *found = NULL;
    struct buf text;
    json_t *claims AUTO_JSON = NULL;
    buf_init(&text, LOGIN_TOKEN_MAX);
    if (jwt_payload(token, n, &text) &&
        jn_parse(text.data, text.len, "claims", &claims, NULL) == FAIL_NONE) {
        const char *iss = json_string_value(json_object_get(claims, "iss"));
        for (size_t i = 0; iss != NULL && i < l->issuers_len; i++) {
            if (strcmp(l->issuers[i].c->issuer, iss) == 0 &&
                l->issuers[i].c->audience[0] != '\0') {
                found = &l->issuers[i];
            }
        }
    }
    buf_done(&text);
    return found;
}

static void ask_for_keys(struct login *l, struct issuer *is)
{
    pthread_rwlock_wrlock(&is->lock);
    is->reading = true;
    pthread_rwlock_unlock(&is->lock);
    pthread_mutex_lock(&l->lock);
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static enum fail check(struct login *l, const char *token, size_t n, struct known *out,
                       struct fault *why)
{
    struct buf payload;
    bool unknown = false;
    struct issuer *is = n <= LOGIN_TOKEN_MAX ? claimed(l, token, n) : NULL;
    if (is == NULL) {
        FAULT(why, FAIL_UNAUTHENTICATED, "the token is of no issuer whose tokens are taken here");
        return fail_hint(why, "oidc in inhouse.yaml lists them, with the audience they must name.");
    }
    struct login_expect e = {.issuer = is->c->issuer,
                             .audience = is->c->audience,
                             .now_s = clock_now_us() / 1000000};
    buf_init(&payload, LOGIN_TOKEN_MAX);
    enum fail f = issuer_verify(is, token, n, &payload, &unknown, why);
    if (unknown) {
        ask_for_keys(l, is);
    }
    if (f == FAIL_NONE) {
        f = login_claims_check(payload.data, payload.len, &e, out->sub, &out->until_s, why);
    }
    if (f == FAIL_NONE) {
        out->issuer = (size_t)(is - l->issuers);
        out->members_len = login_claims_members(payload.data, payload.len, is->c->grants,
                                                is->c->grants_len, out->members);
        int64_t soon = e.now_s + CACHE_S;
        out->until_s += LOGIN_LEEWAY_S;
        out->until_s = out->until_s < soon ? out->until_s : soon;
    }
    buf_done(&payload);
    return f;
}

/* The whole token's hash decides, never a part of it (LiteLLM's CVE-2026-35030). */
static bool remembered(struct login *l, const uint8_t hash[32], struct known *out)
{
    struct known *slot = &l->known[(hash[0] | hash[1] << 8) % CACHE_SLOTS];
    pthread_mutex_lock(&l->lock);
    bool there = slot->until_s > clock_now_us() / 1000000 &&
                 text_equal_secret(slot->hash, hash, sizeof(slot->hash));
    if (there) {
        *out = *slot;
    }
    pthread_mutex_unlock(&l->lock);
    return there;
}

static void remember(struct login *l, const struct known *k)
{
    pthread_mutex_lock(&l->lock);
    l->known[(k->hash[0] | k->hash[1] << 8) % CACHE_SLOTS] = *k;
    pthread_mutex_unlock(&l->lock);
}

/* "jwt:" and the subject, or a hash of it when it is not made like a name: unlike any account's. */
static void show_name(const struct known *k, const struct config_issuer *c,
                      struct principal *out)
{
    uint8_t hash[32];
    char text[KEYRING_ORIGIN_SIZE + KEYRING_SUBJECT_SIZE + 8];
    (void)snprintf(text, sizeof(text), "oidc:%s\n%s", c->issuer, k->sub);
    text_sha256(text, strlen(text), hash);
    memcpy(out->id.bytes, hash, sizeof(out->id.bytes));
    if (keyring_account_name_ok(k->sub) && strlen(k->sub) + 5 < sizeof(out->name)) {
        (void)snprintf(out->name, sizeof(out->name), "jwt:%.59s", k->sub);
    } else {
        char hex[65];
        text_hex(hash, sizeof(hash), hex);
        (void)snprintf(out->name, sizeof(out->name), "jwt:%.32s", hex);
    }
}

static enum fail show(struct login *l, const struct known *k, const char *team,
                      struct principal *out, struct fault *why)
{
    const struct config_issuer *c = l->issuers[k->issuer].c;
    char origin[KEYRING_ORIGIN_SIZE];
    struct keyring_account account;
    (void)snprintf(origin, sizeof(origin), "oidc:%s", c->issuer);
    bool person = keyring_subject_find(l->keyring, origin, k->sub, &account);
    if (person && account.disabled_at != 0) {
        return FAULT(why, FAIL_UNAUTHENTICATED, "this account may not act any more");
    }
    for (size_t i = 0; i < k->members_len; i++) {
        struct keyring_team t;
        if ((team == NULL || strcmp(team, k->members[i].team) == 0) &&
            keyring_team_find(l->keyring, k->members[i].team, &t)) {
            *out = (struct principal){.kind = PRINCIPAL_KIND_JWT,
                                      .label = t.label,
                                      .role = k->members[i].role,
                                      .scopes = keyring_role_scopes(k->members[i].role)};
            (void)text_copy(out->team, sizeof(out->team), t.name);
            show_name(k, c, out);
            if (person) {
                out->user = account.id;
                (void)text_copy(out->name, sizeof(out->name), account.name);
            }
            return FAIL_NONE;
        }
    }
    FAULT(why, FAIL_FORBIDDEN, "this token grants nothing in %s",
          team != NULL ? "a team of that name" : "any team here");
    return fail_hint(why, "oidc.grants in inhouse.yaml says which claims mean which team.");
}

enum fail login_bearer(struct login *l, const char *bearer, const char *team,
                       struct principal *out, struct fault *why)
{
    struct known k = {.until_s = 0};
    size_t n = strlen(bearer);
    memset(out, 0, sizeof(*out));
    text_sha256(bearer, n, k.hash);
    uint8_t hash[32];
    memcpy(hash, k.hash, sizeof(hash));
    if (!remembered(l, hash, &k)) {
        enum fail f = check(l, bearer, n, &k, why);
        if (f != FAIL_NONE) {
            return f;
        }
        remember(l, &k);
    }
    return show(l, &k, team, out, why);
}
