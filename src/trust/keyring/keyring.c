/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary: scopes, roles, and the principal of a local peer. */
#include "trust/keyring/keyring.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    const char *help;
} scopes[KEYRING_SCOPE_COUNT] = {
#define SCOPE(name, text, help) [KEYRING_SCOPE_BIT_##name] = {text, help},
#include "trust/keyring/scopes.def"
#undef SCOPE
};

static const struct {
    const char *name;
    uint32_t scopes;
} roles[KEYRING_ROLE_COUNT] = {
#define ROLE(name, text, scopes) [KEYRING_ROLE_##name] = {text, scopes},
#include "trust/keyring/roles.def"
#undef ROLE
};

const char *keyring_event_name(enum keyring_event_kind kind)
{
    static const char *const names[KEYRING_EVENT_COUNT] = {
#define EVENT(name, text) [KEYRING_EVENT_##name] = text,
#include "trust/keyring/events.def"
#undef EVENT
    };
    ASSERT(kind < KEYRING_EVENT_COUNT);
    return names[kind];
}

const char *keyring_scope_name(enum keyring_scope_bit bit)
{
    ASSERT(bit < KEYRING_SCOPE_COUNT);
    return scopes[bit].name;
}

const char *keyring_scope_help(enum keyring_scope_bit bit)
{
    ASSERT(bit < KEYRING_SCOPE_COUNT);
    return scopes[bit].help;
}

const char *keyring_role_name(enum keyring_role role)
{
    ASSERT(role < KEYRING_ROLE_COUNT);
    return roles[role].name;
}

bool keyring_role_find(const char *name, enum keyring_role *out)
{
    for (int i = 0; i < KEYRING_ROLE_COUNT; i++) {
        if (strcmp(roles[i].name, name) == 0) {
            *out = (enum keyring_role)i;
            return true;
        }
    }
    return false;
}

uint32_t keyring_role_scopes(enum keyring_role role)
{
    ASSERT(role < KEYRING_ROLE_COUNT);
    return roles[role].scopes;
}

enum fail keyring_scopes_read(const char *names, uint32_t *out, struct fault *why)
{
    uint32_t got = 0;
    const char *p = names + strspn(names, " ,");
    while (*p != '\0') {
        size_t n = strcspn(p, " ,");
        int i = 0;
        while (i < KEYRING_SCOPE_COUNT &&
               !(strlen(scopes[i].name) == n && memcmp(scopes[i].name, p, n) == 0)) {
            i++;
        }
        if (i == KEYRING_SCOPE_COUNT) {
            char all[KEYRING_SCOPES_SIZE];
            keyring_scopes_show(KEYRING_SCOPES_ALL, all, sizeof(all));
            FAULT(why, FAIL_BAD_REQUEST, "\"%.*s\" is not a scope", (int)(n < 40 ? n : 40), p);
            fail_param(why, "scopes");
            return fail_hint(why, "Scopes are: %s.", all);
        }
        got |= 1U << i;
        p += n;
        p += strspn(p, " ,");
    }
    *out = got;
    return FAIL_NONE;
}

void keyring_scopes_show(uint32_t bits, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    for (int i = 0; i < KEYRING_SCOPE_COUNT; i++) {
        if ((bits & (1U << i)) != 0) {
            int n = snprintf(out + len, room - len, "%s%s", len > 0 ? " " : "", scopes[i].name);
            ASSERT(n > 0 && (size_t)n < room - len);
            len += (size_t)n;
        }
    }
}

enum fail keyring_require(const struct principal *p, uint32_t needed, struct fault *why)
{
    ASSERT(p->kind >= PRINCIPAL_KIND_KEY && p->kind <= PRINCIPAL_KIND_SERVICE);
    uint32_t missing = needed & ~p->scopes;
    if (missing == 0) {
        return FAIL_NONE;
    }
    char names[KEYRING_SCOPES_SIZE];
    keyring_scopes_show(missing, names, sizeof(names));
    FAULT(why, FAIL_FORBIDDEN, "%s may not do this: its key lacks the scope %s", p->name, names);
    return fail_hint(why, "Ask an administrator for a key with that scope (`inhouse keys add`).");
}

enum fail keyring_local(uid_t uid, struct principal *out, struct fault *why)
{
    if (uid != geteuid() && uid != 0) {
        FAULT(why, FAIL_UNAUTHENTICATED, "the local user %u does not own this server",
              (unsigned)uid);
        return fail_hint(why, "Use an API key, or run the command as the server's user.");
    }
    *out = (struct principal){.kind = PRINCIPAL_KIND_LOCAL,
                              .label = SECRECY_INTERNAL,
                              .role = KEYRING_ROLE_ADMIN,
                              .scopes = KEYRING_SCOPES_ALL};
    snprintf(out->name, sizeof(out->name), "local:%u", (unsigned)uid);
    text_copy(out->team, sizeof(out->team), KEYRING_TEAM_DEFAULT);
    return FAIL_NONE;
}
