/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who else may say who somebody is: the list `oidc` (issuers of OpenID Connect) and the map `ldap`
 * (a directory), with what their claims and groups mean here. What is not mapped grants nothing.
 */
#include <string.h>

#include "base/config/config_internal.h"
#include "base/text/text.h"

static const char *const roles[] = {"member", "reviewer", "approver", "auditor", "admin"};

/* ---- shared ---- */

static bool is_reference(const char *s)
{
    return text_starts_with(s, CONFIG_ENV_PREFIX) || text_starts_with(s, "file:/");
}

static const char *keep(struct config *c, const char *s)
{
    return arena_dup_str(c->arena, s);
}

/* scheme://host[:port][/path] in plain characters. */
static bool check_url(const char *url, const char *secure, const char *plain, const char *param,
                      int line, struct config_faults *faults)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "-._~:/[]";
    bool open = text_starts_with(url, plain);
    size_t skip = strlen(open ? plain : secure);
    size_t n = strlen(url) > skip ? strcspn(url + skip, "/") : 0;
    bool good = (open || text_starts_with(url, secure)) && n > 0 && n < 256 &&
                strspn(url, fine) == strlen(url);
    if (!good) {
        config_faults_add(faults, line, param, NULL, "\"%s\" must be %shost[:port]", param, secure);
    }
    return good;
}

static bool is_far(const char *url, const char *plain)
{
    char host[256];
    if (!text_starts_with(url, plain)) {
        return false;
    }
    const char *p = url + strlen(plain);
    bool v6 = *p == '[';
    p += v6;
    (void)text_copy(host, sizeof(host), p);
    host[strcspn(host, v6 ? "]" : ":/")] = '\0';
    return !config_is_loopback(host);
}

static void read_grants(struct config *c, const struct config_node *row, bool claims,
                        struct config_grant *out, size_t *len, struct config_faults *faults)
{
    static const char *const of_claims[] = {"claim", "value", "team", "role", NULL};
    static const char *const of_groups[] = {"group", "team", "role", NULL};
    const struct config_node *list = NULL;
    if (!config_node_list(row, "grants", true, CONFIG_MAX_GRANTS, &list, faults)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *n = list->items[i];
        struct config_grant g = {.claim = "group", .value = "", .team = "", .role = "member"};
        bool good = n->kind == CONFIG_MAP &&
                    config_node_only(n, claims ? of_claims : of_groups, faults);
        good = good && (!claims || config_node_str(n, "claim", true, 128, &g.claim, faults));
        good = good && config_node_str(n, claims ? "value" : "group", true, 300, &g.value, faults);
        good = good && config_node_str(n, "team", true, 64, &g.team, faults);
        if (!good) {
            continue;
        }
        (void)config_node_str(n, "role", false, 16, &g.role, faults);
        bool known = false;
        for (size_t r = 0; r < COUNT_OF(roles); r++) {
            known = known || strcmp(roles[r], g.role) == 0;
        }
        if (!known || !text_is_name(g.team)) {
            config_faults_add(faults, n->line, known ? "team" : "role", NULL,
                              known ? "\"team\" is no team's name"
                                    : "\"role\" must be member, reviewer, approver, auditor or "
                                      "admin");
            continue;
        }
        out[(*len)++] = (struct config_grant){keep(c, g.claim), keep(c, g.value), keep(c, g.team),
                                              keep(c, g.role)};
    }
}

static void check_secret(const char *secret, const char *param, int line,
                         struct config_faults *faults)
{
    if (secret[0] != '\0' && !is_reference(secret)) {
        config_faults_add(faults, line, param,
                          "Write os.environ/NAME, or file:/path of a file with mode 0600.",
                          "\"%s\" is written out", param);
    }
}

/* ---- issuers ---- */

static void read_issuer(struct config *c, const struct config_node *row,
                        struct config_faults *faults)
{
    static const char *const keys[] = {"name",     "issuer",     "client_id", "client_secret",
                                       "audience", "name_claim", "scope",     "ca_file",
                                       "grants",   NULL};
    struct config_issuer o = {.client_secret = "",
                              .audience = "",
                              .name_claim = "preferred_username",
                              .scope = "openid profile email",
                              .ca_file = "",
                              .line = row->line};
    if (row->kind != CONFIG_MAP) {
        config_faults_add(faults, row->line, "oidc", NULL, "a member of oidc must be a map");
        return;
    }
    bool good = config_node_only(row, keys, faults);
    good = config_node_str(row, "name", true, 64, &o.name, faults) && good;
    good = config_node_str(row, "issuer", true, 180, &o.issuer, faults) && good;
    good = config_node_str(row, "client_id", true, 200, &o.client_id, faults) && good;
    (void)config_node_str(row, "client_secret", false, 1024, &o.client_secret, faults);
    (void)config_node_str(row, "audience", false, 300, &o.audience, faults);
    (void)config_node_str(row, "name_claim", false, 128, &o.name_claim, faults);
    (void)config_node_str(row, "scope", false, 300, &o.scope, faults);
    (void)config_node_str(row, "ca_file", false, 1024, &o.ca_file, faults);
    if (!good) {
        return;
    }
    read_grants(c, row, true, o.grants, &o.grants_len, faults);
    check_secret(o.client_secret, "client_secret", o.line, faults);
    if (check_url(o.issuer, "https://", "http://", "issuer", o.line, faults) &&
        is_far(o.issuer, "http://")) {
        config_faults_add(faults, o.line, "issuer", "Use https.",
                          "the issuer of \"%s\" is not encrypted", o.name);
    }
    if (!text_is_name(o.name)) {
        config_faults_add(faults, o.line, "name", NULL,
                          "the name of an issuer must be small letters, digits, . _ -");
    }
    if (c->login_public_url[0] == '\0') {
        config_faults_add(faults, o.line, "login.public_url",
                          "Set it: the provider sends browsers back there.",
                          "\"oidc\" needs login.public_url");
    }
    for (size_t i = 0; i < c->issuers_len; i++) {
        if (strcmp(c->issuers[i].name, o.name) == 0 ||
            strcmp(c->issuers[i].issuer, o.issuer) == 0) {
            config_faults_add(faults, o.line, "oidc", NULL, "there are two of \"%s\"", o.name);
        }
    }
    const char **texts[] = {&o.name,     &o.issuer,     &o.client_id, &o.client_secret,
                            &o.audience, &o.name_claim, &o.scope,     &o.ca_file};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *texts[i] = keep(c, *texts[i]);
    }
    c->issuers[c->issuers_len++] = o;
}

/* ---- the directory ---- */

static void read_ldap(struct config *c, const struct config_node *map,
                      struct config_faults *faults)
{
    static const char *const keys[] = {
        "url",          "start_tls",    "bind_dn",    "password",     "base",       "user_filter",
        "group_filter", "valid_filter", "group_base", "id_attribute", "ca_file",    "timeout_ms",
        "recheck_s",    "grants",       NULL};
    struct config_ldap o = {.bind_dn = "",
                            .password = "",
                            .user_filter = "(uid={name})",
                            .group_filter = "(member={dn})",
                            .valid_filter = "(objectClass=*)",
                            .group_base = "",
                            .id_attribute = "entryUUID",
                            .ca_file = "",
                            .timeout_ms = 5000,
                            .recheck_s = 120};
    bool good = config_node_only(map, keys, faults);
    good = config_node_str(map, "url", true, 180, &o.url, faults) && good;
    good = config_node_str(map, "base", true, 300, &o.base, faults) && good;
    if (!good) {
        return;
    }
    const struct {
        const char *key;
        const char **to;
    } texts[] = {{"bind_dn", &o.bind_dn},           {"password", &o.password},
                 {"user_filter", &o.user_filter},   {"group_filter", &o.group_filter},
                 {"valid_filter", &o.valid_filter}, {"group_base", &o.group_base},
                 {"id_attribute", &o.id_attribute}, {"ca_file", &o.ca_file}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        (void)config_node_str(map, texts[i].key, false, 500, texts[i].to, faults);
        *texts[i].to = keep(c, *texts[i].to);
    }
    (void)config_node_bool(map, "start_tls", false, &o.start_tls, faults);
    (void)config_node_int(map, "timeout_ms", false, 100, 60000, &o.timeout_ms, faults);
    (void)config_node_int(map, "recheck_s", false, 1, 240, &o.recheck_s, faults);
    read_grants(c, map, false, o.grants, &o.grants_len, faults);
    check_secret(o.password, "ldap.password", map->line, faults);
    if (check_url(o.url, "ldaps://", "ldap://", "ldap.url", map->line, faults) &&
        is_far(o.url, "ldap://") && !o.start_tls) {
        config_faults_add(faults, map->line, "ldap.url", "Use ldaps://, or start_tls: true.",
                          "passwords would go to the directory unencrypted");
    }
    if (strstr(o.user_filter, "{name}") == NULL) {
        config_faults_add(faults, map->line, "ldap.user_filter", NULL,
                          "\"user_filter\" must hold {name}");
    }
    o.url = keep(c, o.url);
    o.base = keep(c, o.base);
    c->ldap = o;
}

void config_login_read(struct config *c, const struct config_node *root,
                       struct config_faults *faults)
{
    const struct config_node *list = NULL, *map = NULL;
    if (config_node_list(root, "oidc", false, CONFIG_MAX_ISSUERS, &list, faults)) {
        for (size_t i = 0; i < list->count; i++) {
            read_issuer(c, list->items[i], faults);
        }
    }
    if (config_node_map(root, "ldap", false, &map, faults)) {
        read_ldap(c, map, faults);
    }
}

/* ---- comparing ---- */

static bool same_grants(const struct config_grant *a, size_t n, const struct config_grant *b,
                        size_t m)
{
    bool same = n == m;
    for (size_t i = 0; same && i < n; i++) {
        same = strcmp(a[i].claim, b[i].claim) == 0 && strcmp(a[i].value, b[i].value) == 0 &&
               strcmp(a[i].team, b[i].team) == 0 && strcmp(a[i].role, b[i].role) == 0;
    }
    return same;
}

static bool same_texts(const char *const *a, const char *const *b, size_t n)
{
    bool same = true;
    for (size_t i = 0; i < n; i++) {
        same = same && strcmp(a[i], b[i]) == 0;
    }
    return same;
}

bool config_login_same(const struct config *a, const struct config *b)
{
    bool same = a->issuers_len == b->issuers_len && (a->ldap.url == NULL) == (b->ldap.url == NULL);
    for (size_t i = 0; same && i < a->issuers_len; i++) {
        const struct config_issuer *x = &a->issuers[i], *y = &b->issuers[i];
        const char *of_x[] = {x->name,     x->issuer,     x->client_id, x->client_secret,
                              x->audience, x->name_claim, x->scope,     x->ca_file};
        const char *of_y[] = {y->name,     y->issuer,     y->client_id, y->client_secret,
                              y->audience, y->name_claim, y->scope,     y->ca_file};
        same = same_texts(of_x, of_y, COUNT_OF(of_x)) &&
               same_grants(x->grants, x->grants_len, y->grants, y->grants_len);
    }
    if (same && a->ldap.url != NULL) {
        const struct config_ldap *x = &a->ldap, *y = &b->ldap;
        const char *of_x[] = {x->url,          x->bind_dn,      x->password,   x->base,
                              x->user_filter,  x->group_filter, x->group_base, x->valid_filter,
                              x->id_attribute, x->ca_file};
        const char *of_y[] = {y->url,          y->bind_dn,      y->password,   y->base,
                              y->user_filter,  y->group_filter, y->group_base, y->valid_filter,
                              y->id_attribute, y->ca_file};
        same = same_texts(of_x, of_y, COUNT_OF(of_x)) && x->start_tls == y->start_tls &&
               x->timeout_ms == y->timeout_ms && x->recheck_s == y->recheck_s &&
               same_grants(x->grants, x->grants_len, y->grants, y->grants_len);
    }
    return same;
}
