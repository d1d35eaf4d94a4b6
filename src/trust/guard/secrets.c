/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: keys and tokens by their issuers' prefixes, private keys, JWTs, links with a password,
 * and what follows "password:" and its like. Where a prefix says nothing, entropy decides.
 *
 * Owns nothing. Threads: pure. Limits: a token is at most TOKEN_MAX bytes, a private key KEY_MAX.
 */
#include "trust/guard/guard_internal.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MAX 4096
#define KEY_MAX 16384

static const struct prefix {
    const char *text;
    size_t least; /* characters behind it */
    const char *rule;
} prefixes[] = {
    {"AKIA", 16, "aws-key-id"}, {"ASIA", 16, "aws-key-id"}, {"ABIA", 16, "aws-key-id"},
    {"ghp_", 30, "github-token"}, {"gho_", 30, "github-token"}, {"ghu_", 30, "github-token"},
    {"ghs_", 30, "github-token"}, {"ghr_", 30, "github-token"},
    {"github_pat_", 30, "github-token"}, {"glpat-", 20, "gitlab-token"},
    {"sk-ant-", 20, "anthropic-key"}, {"sk-", 20, "openai-key"}, {"sk_live_", 16, "stripe-key"},
    {"sk_test_", 16, "stripe-key"}, {"rk_live_", 16, "stripe-key"}, {"whsec_", 20, "stripe-key"},
    {"xoxb-", 20, "slack-token"}, {"xoxp-", 20, "slack-token"}, {"xoxa-", 20, "slack-token"},
    {"xoxr-", 20, "slack-token"}, {"xoxs-", 20, "slack-token"}, {"xapp-", 20, "slack-token"},
    {"AIza", 30, "google-key"}, {"ya29.", 20, "google-token"}, {"GOCSPX-", 20, "google-secret"},
    {"npm_", 30, "npm-token"}, {"pypi-", 40, "pypi-token"}, {"dop_v1_", 40, "digitalocean-token"},
    {"shpat_", 28, "shopify-token"}, {"SG.", 40, "sendgrid-key"}, {"hf_", 30, "huggingface-token"},
    {"gsk_", 30, "groq-key"}, {"xai-", 40, "xai-key"}, {"r8_", 30, "replicate-token"},
    {"dckr_pat_", 20, "docker-token"}, {"glsa_", 20, "grafana-token"},
    {"lin_api_", 30, "linear-key"}, {"ATATT", 40, "atlassian-token"},
    {"AGE-SECRET-KEY-1", 40, "age-key"}, {"sq0atp-", 20, "square-token"},
    {"EAAA", 40, "square-token"}, {"dapi", 30, "databricks-token"}, {"hvs.", 20, "vault-token"},
    {"PMAK-", 40, "postman-key"}, {"NRAK-", 20, "newrelic-key"}, {"sbp_", 36, "supabase-key"},
    {"ik_", 20, "inhouse-key"},
};

static bool is_token(char c)
{
    return guard_is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-' ||
           c == '.' || c == '+' || c == '/' || c == '=';
}

static size_t token_length(const char *s, size_t n)
{
    size_t end = 0;
    while (end < n && end < TOKEN_MAX && is_token(s[end])) {
        end++;
    }
    while (end > 0 && (s[end - 1] == '.' || s[end - 1] == '-')) {
        end--;
    }
    return end;
}

/* Shannon entropy of the characters, in bits each. */
static double entropy(const char *s, size_t n)
{
    unsigned count[256] = {0};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        count[(unsigned char)s[i]]++;
    }
    for (size_t i = 0; i < 256; i++) {
        double p = (double)count[i] / (double)n;
        sum -= count[i] > 0 ? p * log2(p) : 0;
    }
    return sum;
}

static bool has_digit_and_letter(const char *s, size_t n)
{
    bool digit = false;
    bool letter = false;
    for (size_t i = 0; i < n; i++) {
        digit = digit || guard_is_digit(s[i]);
        letter = letter || (s[i] | 32) >= 'a';
    }
    return digit && letter;
}

static size_t private_key(const char *s, size_t n)
{
    static const char begin[] = "-----BEGIN ";
    static const char mark[] = "PRIVATE KEY";
    if (n < 40 || memcmp(s, begin, sizeof(begin) - 1) != 0) {
        return 0;
    }
    size_t head = n < 80 ? n : 80;
    const char *end = memmem(s, head, mark, sizeof(mark) - 1);
    if (end == NULL) {
        return 0;
    }
    size_t reach = n < KEY_MAX ? n : KEY_MAX;
    size_t at = (size_t)(end - s) + sizeof(mark) - 1;
    const char *foot = memmem(s + at, reach - at, "-----END ", 9);
    if (foot == NULL) {
        return reach; /* cut off: what is there is secret all the same */
    }
    const char *line = memchr(foot, '\n', (size_t)(s + reach - foot));
    return line != NULL ? (size_t)(line - s) : reach;
}

/* RFC 7519: three base64url parts, the first of which begins {" */
static size_t jwt(const char *s, size_t n)
{
    size_t len;
    size_t dots = 0;
    if (n < 30 || memcmp(s, "eyJ", 3) != 0 || (len = token_length(s, n)) < 30) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        dots += s[i] == '.' ? 1 : 0;
    }
    return dots == 2 || dots == 4 ? len : 0;
}

/* scheme://user:password@host, all of it up to the host. */
static size_t link_with_password(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && i < 20 && (((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z') || s[i] == '+')) {
        i++;
    }
    if (i < 2 || i + 3 >= n || memcmp(s + i, "://", 3) != 0) {
        return 0;
    }
    bool colon = false;
    for (i += 3; i < n && i < 512 && (unsigned char)s[i] > ' ' && s[i] != '/' && s[i] != '"'; i++) {
        if (s[i] == '@') {
            return colon ? i : 0;
        }
        colon = colon || s[i] == ':';
    }
    return 0;
}

size_t guard_secret(const char *s, size_t n, const char **rule)
{
    size_t len;
    if (s[0] == '-') {
        *rule = "private-key";
        return private_key(s, n);
    }
    for (len = 0; len < 16 && len < n && is_token(s[len]); len++) {
    }
    if (len < 16) { /* nearly every word */
        *rule = "link-password";
        return len < n && len > 1 && s[len] == ':' ? link_with_password(s, n) : 0;
    }
    if ((len = jwt(s, n)) > 0) {
        *rule = "jwt";
        return len;
    }
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        const struct prefix *p = &prefixes[i];
        if (p->text[0] != s[0]) {
            continue;
        }
        size_t head = strlen(p->text);
        if (n < head + p->least || memcmp(s, p->text, head) != 0) {
            continue;
        }
        len = token_length(s, n);
        if (len >= head + p->least && has_digit_and_letter(s + head, len - head) &&
            entropy(s + head, len - head) >= 2.5) {
            *rule = p->rule;
            return len;
        }
    }
    *rule = "link-password";
    return link_with_password(s, n);
}

/* ---- what a word announces ---- */

static const struct announce {
    const char *text;
    enum guard_kind kind;
} announces[] = {
    {"password", GUARD_KIND_PASSWORD}, {"passwort", GUARD_KIND_PASSWORD},
    {"kennwort", GUARD_KIND_PASSWORD}, {"passphrase", GUARD_KIND_PASSWORD},
    {"passwd", GUARD_KIND_PASSWORD}, {"pwd", GUARD_KIND_PASSWORD},
    {"mot de passe", GUARD_KIND_PASSWORD}, {"contrase\xc3\xb1" "a", GUARD_KIND_PASSWORD},
    {"senha", GUARD_KIND_PASSWORD}, {"wachtwoord", GUARD_KIND_PASSWORD},
    {"has\xc5\x82o", GUARD_KIND_PASSWORD}, {"pin code", GUARD_KIND_PASSWORD},
    {"pin", GUARD_KIND_PASSWORD}, {"otp", GUARD_KIND_PASSWORD},
    {"username", GUARD_KIND_USERNAME}, {"user name", GUARD_KIND_USERNAME},
    {"user id", GUARD_KIND_USERNAME}, {"login", GUARD_KIND_USERNAME},
    {"benutzername", GUARD_KIND_USERNAME}, {"benutzer", GUARD_KIND_USERNAME},
    {"nom d'utilisateur", GUARD_KIND_USERNAME}, {"identifiant", GUARD_KIND_USERNAME},
    {"usuario", GUARD_KIND_USERNAME}, {"utente", GUARD_KIND_USERNAME},
    {"gebruikersnaam", GUARD_KIND_USERNAME},
    {"api key", GUARD_KIND_SECRET}, {"api_key", GUARD_KIND_SECRET}, {"api-key", GUARD_KIND_SECRET},
    {"apikey", GUARD_KIND_SECRET}, {"access key", GUARD_KIND_SECRET},
    {"access_token", GUARD_KIND_SECRET}, {"access token", GUARD_KIND_SECRET},
    {"secret_access_key", GUARD_KIND_SECRET}, {"aws_secret_access_key", GUARD_KIND_SECRET},
    {"client_secret", GUARD_KIND_SECRET}, {"client secret", GUARD_KIND_SECRET},
    {"secret key", GUARD_KIND_SECRET}, {"secret", GUARD_KIND_SECRET},
    {"token", GUARD_KIND_SECRET}, {"bearer", GUARD_KIND_SECRET},
};

static const char *const verbs[] = {"is", "was", "ist", "lautet", "war", "est", "es", "\xc3\xa8",
                                    "\xc3\xa9", "to", "jest"};

static size_t blanks(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '"' || s[i] == '\'')) {
        i++;
    }
    return i;
}

/* Length of ":", "=", " is ", "for me is: " is not one; *strong for a sign. */
static size_t join(const char *s, size_t n, bool *strong)
{
    size_t at = blanks(s, n);
    *strong = false;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        size_t len = strlen(verbs[i]);
        if (at > 0 && n - at > len && strncasecmp(s + at, verbs[i], len) == 0 &&
            (s[at + len] == ' ' || s[at + len] == ':')) {
            at += len;
            at += s[at] == ':' ? 1 : 0;
            return at + blanks(s + at, n - at);
        }
    }
    if (at < n && (s[at] == ':' || s[at] == '=')) {
        *strong = true;
        at++;
        return at + blanks(s + at, n - at);
    }
    return 0;
}

static bool looks_secret(const char *s, size_t n)
{
    bool digit = false, sign = false, inner = false;
    for (size_t i = 0; i < n; i++) {
        digit = digit || guard_is_digit(s[i]);
        sign = sign || (!guard_is_word(s[i]) && strchr("'-", s[i]) == NULL);
        inner = inner || (i > 0 && s[i] >= 'A' && s[i] <= 'Z' && s[i - 1] >= 'a');
    }
    return digit || (sign && n >= 5) || (inner && n >= 6);
}

static size_t value_length(const char *s, size_t n)
{
    size_t end = 0;
    while (end < n && end < 256 && (unsigned char)s[end] > ' ' &&
           strchr("\"'<>,;", s[end]) == NULL) {
        end++;
    }
    while (end > 0 && strchr(".!?)]}", s[end - 1]) != NULL) {
        end--;
    }
    return end;
}

static struct guard_pairs pairs;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (size_t i = 0; i < COUNT_OF(announces); i++) {
        guard_pairs_add(&pairs, announces[i].text);
    }
}

size_t guard_credential(const char *s, size_t n, size_t *skip, enum guard_kind *kind)
{
    pthread_once(&once, fill);
    if (!guard_pairs_has(&pairs, s, n)) {
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(announces); i++) {
        const struct announce *a = &announces[i];
        if (a->text[0] != (s[0] | 32) || n < 4 || ((a->text[1] ^ s[1]) & ~32) != 0) {
            continue;
        }
        size_t len = strlen(a->text);
        if (n <= len + 2 || strncasecmp(s, a->text, len) != 0 || guard_is_word(s[len])) {
            continue;
        }
        bool strong = false;
        bool bearer = strcmp(a->text, "bearer") == 0;
        size_t gap = bearer ? blanks(s + len, n - len) : join(s + len, n - len, &strong);
        if (gap == 0) {
            continue;
        }
        const char *value = s + len + gap;
        size_t left = n - len - gap;
        size_t have = value_length(value, left);
        bool ends = have == left || value[have] == '\n' || value[have] == '\r';
        bool good = a->kind == GUARD_KIND_SECRET
                        ? have >= 16 && has_digit_and_letter(value, have) &&
                              entropy(value, have) >= 3.0
                        : have >= 3 && (looks_secret(value, have) || (!bearer && strong && ends));
        if (good) {
            *skip = len + gap;
            *kind = a->kind;
            return have;
        }
    }
    return 0;
}
