/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names that a key is confined to: read, compared, asked. Pure. */
#include "trust/keyring/keyring.h"

#include <string.h>

static const char *const limit_names[KEYRING_LIMIT_COUNT] = {"models", "datasets", "workflows"};

const char *keyring_limit_name(enum keyring_limit what)
{
    ASSERT(what < KEYRING_LIMIT_COUNT);
    return limit_names[what];
}

static bool list_has(const char *list, const char *name, size_t n)
{
    while (*list != '\0') {
        size_t len = strcspn(list, " ");
        if (len == n && memcmp(list, name, n) == 0) {
            return true;
        }
        list += len;
        list += strspn(list, " ");
    }
    return false;
}

bool keyring_limits_allow(const struct principal *p, enum keyring_limit what, const char *name)
{
    ASSERT(what < KEYRING_LIMIT_COUNT);
    return (p->limits.given & (1U << what)) == 0 ||
           (name[0] != '\0' && list_has(p->limits.names[what], name, strlen(name)));
}

enum fail keyring_limits_set(struct keyring_limits *l, enum keyring_limit what, const char *names,
                             struct fault *why)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "._-:/@+";
    ASSERT(what < KEYRING_LIMIT_COUNT);
    char *out = l->names[what];
    size_t used = 0;
    memset(out, 0, KEYRING_LIMIT_SIZE);
    for (const char *p = names + strspn(names, " ,"); *p != '\0'; p += strspn(p, " ,")) {
        size_t n = strcspn(p, " ,");
        if (strspn(p, fine) < n) {
            FAULT(why, FAIL_BAD_REQUEST,
                  "a name in the list of %s has a character that no name has", limit_names[what]);
            return fail_param(why, limit_names[what]);
        }
        if (used + n + 2 > KEYRING_LIMIT_SIZE) {
            FAULT(why, FAIL_TOO_LARGE, "the list of %s is longer than %d characters",
                  limit_names[what], KEYRING_LIMIT_SIZE - 1);
            fail_param(why, limit_names[what]);
            return fail_hint(why, "Make one key for each use.");
        }
        if (!list_has(out, p, n)) {
            if (used > 0) {
                out[used++] = ' ';
            }
            memcpy(out + used, p, n);
            used += n;
        }
        p += n;
    }
    l->given |= 1U << what;
    return FAIL_NONE;
}

bool keyring_limits_within(const struct keyring_limits *inner, const struct keyring_limits *outer)
{
    for (unsigned i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        if ((outer->given & (1U << i)) == 0) {
            continue;
        }
        if ((inner->given & (1U << i)) == 0) {
            return false;
        }
        const char *p = inner->names[i];
        while (*p != '\0') {
            size_t n = strcspn(p, " ");
            if (!list_has(outer->names[i], p, n)) {
                return false;
            }
            p += n;
            p += strspn(p, " ");
        }
    }
    return true;
}
