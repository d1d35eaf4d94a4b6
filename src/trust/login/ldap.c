/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory: looks a name up, binds with the password, reads groups; and looks again at everybody
 * of it. Each call has a connection of its own, closed when it ends.
 */
#include "trust/login/login_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <ldap.h>

#include "base/clock/clock.h"
#include "base/text/text.h"

#define FILTER_SIZE 2048
#define GROUPS_MAX 512

struct person {
    char dn[512], id[KEYRING_SUBJECT_SIZE];
    struct keyring_member members[KEYRING_MEMBER_MAX];
    size_t members_len;
};

/* ---- filters ---- */

bool login_filter_escape(const void *value, size_t n, char *out, size_t room)
{
    const unsigned char *s = value;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (len + 4 > room) {
            out[0] = '\0';
            return false;
        }
        if (isalnum(s[i]) && s[i] < 0x80) {
            out[len++] = (char)s[i];
        } else {
            len += (size_t)snprintf(out + len, room - len, "\\%02x", s[i]);
        }
    }
    out[len] = '\0';
    return true;
}

/* "(uid={name})" with what {name} and {dn} stand for, within what a valid person matches. */
static bool fill(const char *valid, const char *pattern, const char *name, const char *dn,
                 struct buf *out)
{
    char one[1600], two[1600];
    if (!login_filter_escape(name, strlen(name), one, sizeof(one)) ||
        !login_filter_escape(dn, strlen(dn), two, sizeof(two))) {
        return false;
    }
    (void)buf_printf(out, "(&%s", valid);
    for (const char *p = pattern; *p != '\0'; p++) {
        if (text_starts_with(p, "{name}")) {
            (void)buf_add_str(out, one);
            p += 5;
        } else if (text_starts_with(p, "{dn}")) {
            (void)buf_add_str(out, two);
            p += 3;
        } else {
            (void)buf_add_char(out, *p);
        }
    }
    return buf_add_char(out, ')') && !out->overflow;
}

/* ---- connecting ---- */

static enum fail failed(const char *what, int code, struct fault *why)
{
    FAULT(why, FAIL_UPSTREAM_FAILED, "the directory %s: %.120s", what, ldap_err2string(code));
    return fail_hint(why, "Look at the directory, and at ldap in inhouse.yaml.");
}

static void hang_up(LDAP *ld)
{
    if (ld != NULL) {
        (void)ldap_unbind_ext_s(ld, NULL, NULL);
    }
}

static int set_options(const struct config_ldap *c, LDAP *ld)
{
    int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, server = 0;
    struct timeval wait = {c->timeout_ms / 1000, c->timeout_ms % 1000 * 1000};
    int r = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    r = r == 0 ? ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &wait) : r;
    r = r == 0 ? ldap_set_option(ld, LDAP_OPT_TIMEOUT, &wait) : r;
    r = r == 0 ? ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) : r;
    r = r == 0 ? ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) : r;
    if (r == 0 && c->ca_file[0] != '\0') {
        r = ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, c->ca_file);
    }
    return r == 0 ? ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &server) : r;
}

static enum fail dial(const struct config_ldap *c, LDAP **out, struct fault *why)
{
    LDAP *ld = NULL;
    int r = ldap_initialize(&ld, c->url);
    r = r == LDAP_SUCCESS ? set_options(c, ld) : r;
    if (r == LDAP_SUCCESS && c->start_tls) {
        r = ldap_start_tls_s(ld, NULL, NULL);
    }
    if (r != LDAP_SUCCESS) {
        hang_up(ld);
        return failed("cannot be reached", r, why);
    }
    *out = ld;
    return FAIL_NONE;
}

static int bind_as(LDAP *ld, const char *dn, const char *password)
{
    struct berval secret = {strlen(password), (char *)(uintptr_t)password};
    return ldap_sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

/* As who looks people up; without a DN nobody by name. */
static enum fail dial_bound(struct login *l, LDAP **out, struct fault *why)
{
    const struct config_ldap *c = &l->config->ldap;
    enum fail f = dial(c, out, why);
    if (f == FAIL_NONE && c->bind_dn[0] != '\0') {
        int r = bind_as(*out, c->bind_dn, l->ldap_password);
        if (r != LDAP_SUCCESS) {
            hang_up(*out);
            *out = NULL;
            f = failed("refuses ldap.bind_dn", r, why);
        }
    }
    return f;
}

/* ---- groups ---- */

/* The DN itself, or the value of its first part: "cn=support,ou=..." is "support". */
static bool is_group(const char *dn, const char *value)
{
    const char *eq = strchr(dn, '=');
    size_t n = eq != NULL ? strcspn(eq + 1, ",+\\") : 0;
    return strcasecmp(dn, value) == 0 ||
           (n > 0 && strlen(value) == n && strncasecmp(eq + 1, value, n) == 0);
}

static void take_group(const struct config_ldap *c, const char *dn, struct person *p)
{
    for (size_t i = 0; i < c->grants_len; i++) {
        if (is_group(dn, c->grants[i].value)) {
            (void)members_add(p->members, &p->members_len, c->grants[i].team, c->grants[i].role);
        }
    }
}

static int search(const struct config_ldap *c, LDAP *ld, const char *base, const char *filter,
                  char **attributes, int limit, LDAPMessage **out)
{
    struct timeval wait = {c->timeout_ms / 1000, c->timeout_ms % 1000 * 1000};
    return ldap_search_ext_s(ld, base, LDAP_SCOPE_SUBTREE, filter, attributes, 0, NULL, NULL,
                             &wait, limit, out);
}

static enum fail read_groups(const struct config_ldap *c, LDAP *ld, const char *name,
                             struct person *p, struct fault *why)
{
    static char none[] = LDAP_NO_ATTRS;
    char *attributes[] = {none, NULL};
    struct buf filter;
    LDAPMessage *found = NULL;
    if (c->group_base[0] == '\0') {
        return FAIL_NONE;
    }
    buf_init(&filter, 2 * FILTER_SIZE);
    bool good = fill("(objectClass=*)", c->group_filter, name, p->dn, &filter);
    int r = good ? search(c, ld, c->group_base, filter.data, attributes, GROUPS_MAX, &found)
                 : LDAP_FILTER_ERROR;
    for (LDAPMessage *e = r == LDAP_SUCCESS ? ldap_first_entry(ld, found) : NULL; e != NULL;
         e = ldap_next_entry(ld, e)) {
        char *dn = ldap_get_dn(ld, e);
        take_group(c, dn != NULL ? dn : "", p);
        ldap_memfree(dn);
    }
    ldap_msgfree(found);
    buf_done(&filter);
    return r == LDAP_SUCCESS ? FAIL_NONE : failed("cannot say who is in which group", r, why);
}

/* ---- people ---- */

/* Letters and the like as they are; anything else, as Active Directory's objectGUID, as hex. */
static bool take_id(const struct berval *v, char out[KEYRING_SUBJECT_SIZE])
{
    bool plain = v->bv_len > 0;
    for (size_t i = 0; i < v->bv_len; i++) {
        plain = plain && (isalnum((unsigned char)v->bv_val[i]) || v->bv_val[i] == '-');
    }
    if (v->bv_len == 0 || v->bv_len > 100) {
        return false;
    }
    if (plain) {
        memcpy(out, v->bv_val, v->bv_len);
        out[v->bv_len] = '\0';
    } else {
        memcpy(out, "0x", 2);
        text_hex(v->bv_val, v->bv_len, out + 2);
    }
    return true;
}

static bool read_entry(const struct config_ldap *c, LDAP *ld, LDAPMessage *e, struct person *p)
{
    char *dn = ldap_get_dn(ld, e);
    struct berval **ids = ldap_get_values_len(ld, e, c->id_attribute);
    struct berval **groups = ldap_get_values_len(ld, e, "memberOf");
    memset(p, 0, sizeof(*p));
    bool good = dn != NULL && dn[0] != '\0' && text_copy(p->dn, sizeof(p->dn), dn) && ids != NULL &&
                ids[0] != NULL && ids[1] == NULL && take_id(ids[0], p->id);
    for (size_t i = 0; good && groups != NULL && groups[i] != NULL && i < GROUPS_MAX; i++) {
        char group[512];
        size_t n = groups[i]->bv_len;
        if (n < sizeof(group)) {
            memcpy(group, groups[i]->bv_val, n);
            group[n] = '\0';
            take_group(c, group, p);
        }
    }
    ldap_memfree(dn);
    ldap_value_free_len(ids);
    ldap_value_free_len(groups);
    return good;
}

/* Exactly one person, or *there is false. */
static enum fail find(const struct config_ldap *c, LDAP *ld, const char *filter, const char *name,
                      struct person *p, bool *there, struct fault *why)
{
    static char member_of[] = "memberOf";
    char id[128];
    LDAPMessage *found = NULL;
    (void)text_copy(id, sizeof(id), c->id_attribute);
    char *attributes[] = {id, member_of, NULL};
    int r = search(c, ld, c->base, filter, attributes, 2, &found);
    *there = false;
    if (r == LDAP_SUCCESS && ldap_count_entries(ld, found) == 1) {
        *there = read_entry(c, ld, ldap_first_entry(ld, found), p);
    }
    ldap_msgfree(found);
    if (r != LDAP_SUCCESS && r != LDAP_SIZELIMIT_EXCEEDED) {
        return failed("cannot be searched", r, why);
    }
    return *there ? read_groups(c, ld, name, p, why) : FAIL_NONE;
}

static enum fail vouch(struct login *l, const char *name, const struct person *p,
                       struct keyring_account *out, struct fault *why)
{
    char origin[KEYRING_ORIGIN_SIZE];
    (void)snprintf(origin, sizeof(origin), "ldap:%s", l->config->ldap.url);
    struct keyring_vouch v = {.origin = origin,
                              .subject = p->id,
                              .name = name,
                              .members = p->members,
                              .members_len = p->members_len};
    return keyring_vouched(l->keyring, &v, out, why);
}

/* ---- signing in ---- */

static enum fail wrong(struct fault *why)
{
    FAULT(why, FAIL_UNAUTHENTICATED, "the name or the password is wrong");
    return fail_hint(why, "An administrator can set another password: inhouse users password.");
}

/* Found by the one who looks up, then bound as oneself on a connection of its own. */
static enum fail check(struct login *l, const char *name, const char *password, struct person *p,
                       struct fault *why)
{
    const struct config_ldap *c = &l->config->ldap;
    LDAP *ld = NULL;
    struct buf filter;
    bool there = false;
    buf_init(&filter, 2 * FILTER_SIZE);
    enum fail f = fill(c->valid_filter, c->user_filter, name, "", &filter) ? FAIL_NONE : wrong(why);
    f = f == FAIL_NONE ? dial_bound(l, &ld, why) : f;
    f = f == FAIL_NONE ? find(c, ld, filter.data, name, p, &there, why) : f;
    hang_up(ld);
    buf_done(&filter);
    if (f != FAIL_NONE || !there) {
        return f != FAIL_NONE ? f : wrong(why);
    }
    f = dial(c, &ld, why);
    if (f == FAIL_NONE) {
        int r = bind_as(ld, p->dn, password);
        hang_up(ld);
        if (r != LDAP_SUCCESS) {
            f = r == LDAP_INVALID_CREDENTIALS || r == LDAP_UNWILLING_TO_PERFORM ||
                        r == LDAP_INAPPROPRIATE_AUTH || r == LDAP_INSUFFICIENT_ACCESS
                    ? wrong(why)
                    : failed("cannot check a password", r, why);
        }
    }
    return f;
}

enum fail login_directory(struct login *l, const char *name, const char *password,
                          const char *address, struct keyring_account *out, struct fault *why)
{
    char small[KEYRING_NAME_SIZE];
    struct person *p = mem_alloc(sizeof(*p));
    ASSERT(l->config->ldap.url != NULL);
    enum fail f = keyring_throttle_ask(l->keyring, name, address, why);
    bool fits = text_copy(small, sizeof(small), name);
    for (char *c = small; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    /* Without a password a directory binds anybody as nobody, and says that all is well. */
    if (f == FAIL_NONE && (!fits || !keyring_account_name_ok(small) || password[0] == '\0')) {
        f = wrong(why);
    }
    f = f == FAIL_NONE ? check(l, small, password, p, why) : f;
    if (f == FAIL_NONE) {
        keyring_throttle_good(l->keyring, name, address);
        f = vouch(l, small, p, out, why);
    }
    mem_free(p);
    return f;
}

/* ---- looking again ---- */

struct listed {
    struct login *l;
    char origin[KEYRING_ORIGIN_SIZE];
    struct keyring_account *all;
    size_t n, room;
};

static void list_one(void *arg, const struct keyring_account *a)
{
    struct listed *x = arg;
    if (strcmp(a->origin, x->origin) != 0 || a->disabled_at != 0) {
        return;
    }
    if (x->n == x->room) {
        x->room = x->room == 0 ? 64 : 2 * x->room;
        x->all = mem_realloc(x->all, x->room * sizeof(*x->all));
    }
    x->all[x->n++] = *a;
}

static enum fail look_again(struct login *l, LDAP *ld, const struct keyring_account *a,
                            struct person *p, size_t *ended, struct fault *why)
{
    const struct config_ldap *c = &l->config->ldap;
    char id[3 * KEYRING_SUBJECT_SIZE + 8], raw[KEYRING_SUBJECT_SIZE];
    struct keyring_account now;
    struct buf filter;
    bool there = false;
    size_t n = strlen(a->subject);
    memcpy(raw, a->subject, n);
    if (text_starts_with(a->subject, "0x") && text_unhex(a->subject + 2, n - 2, raw)) {
        n = (n - 2) / 2;
    }
    buf_init(&filter, 2 * FILTER_SIZE);
    bool good = login_filter_escape(raw, n, id, sizeof(id)) &&
                buf_printf(&filter, "(&%s(%s=%s))", c->valid_filter, c->id_attribute, id);
    enum fail f = good ? find(c, ld, filter.data, a->name, p, &there, why)
                       : FAULT(why, FAIL_INTERNAL, "an account's id in the directory is too long");
    buf_done(&filter);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!there) {
        f = keyring_withdrawn(l->keyring, a->origin, a->subject, why);
        *ended += f == FAIL_NONE;
        return f;
    }
    f = vouch(l, a->name, p, &now, why);
    *ended += f == FAIL_FORBIDDEN; /* no group of it means anything here any more */
    return f == FAIL_FORBIDDEN ? FAIL_NONE : f;
}

enum fail login_recheck(struct login *l, size_t *ended, struct fault *why)
{
    struct listed x = {.l = l};
    struct person *p = mem_alloc(sizeof(*p));
    LDAP *ld = NULL;
    size_t gone = 0;
    enum fail f = FAIL_NONE;
    (void)snprintf(x.origin, sizeof(x.origin), "ldap:%s", l->config->ldap.url);
    keyring_account_list(l->keyring, list_one, &x);
    if (x.n > 0) {
        f = dial_bound(l, &ld, why);
    }
    for (size_t i = 0; f == FAIL_NONE && i < x.n; i++) {
        f = look_again(l, ld, &x.all[i], p, &gone, why);
    }
    hang_up(ld);
    mem_free(x.all);
    mem_free(p);
    if (ended != NULL) {
        *ended = gone;
    }
    return f;
}
