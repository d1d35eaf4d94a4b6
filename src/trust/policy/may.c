/* SPDX-License-Identifier: Apache-2.0 */
/* Who may: one decision, with nothing allowed that is not said. */
#include "trust/policy/policy_internal.h"

#include <string.h>

enum whose { NOBODY, TEAM, HOUSE };
static const struct {
    const char *name;
    enum whose whose;
    const char *missing;
} objects[] = {
#define OBJECT(name, text, whose, missing) {text, whose, missing},
#include "trust/policy/objects.def"
#undef OBJECT
};

const char *policy_object_name(enum policy_object object)
{
    return object < POLICY_OBJECT_COUNT ? objects[object].name : "unknown";
}

bool policy_object_is_owned(enum policy_object object)
{
    return object < POLICY_OBJECT_COUNT && objects[object].whose == TEAM;
}

bool policy_is_admin(const struct principal *who)
{
    return who->role == KEYRING_ROLE_ADMIN;
}

const char *policy_caller(const struct principal *who)
{
    return who->key[0] != '\0' ? who->key : who->name;
}

bool policy_sees(const struct principal *who, const char *team)
{
    return policy_is_admin(who) || strcmp(who->team, team) == 0;
}

static enum fail missing(enum policy_object object, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "%s", objects[object].missing);
    return fail_hint(why, "It was never there, is gone, or is not yours to see.");
}

enum fail policy_may_name(const struct policy *p, const struct principal *who,
                          enum policy_object object, const char *name, struct fault *why)
{
    (void)p;
    enum keyring_limit list = object == POLICY_OBJECT_MODEL      ? KEYRING_LIMIT_MODELS
                              : object == POLICY_OBJECT_DATASET  ? KEYRING_LIMIT_DATASETS
                              : object == POLICY_OBJECT_WORKFLOW ? KEYRING_LIMIT_WORKFLOWS
                                                                 : KEYRING_LIMIT_COUNT;
    /* What is on the list and not there is found missing later; what is not on the list is not
       looked for at all, so it shows nothing of what is there. */
    return list == KEYRING_LIMIT_COUNT || keyring_limits_allow(who, list, name)
               ? FAIL_NONE
               : missing(object, why);
}

/* A key or a team that is switched off does nothing at all; an administrator of the server can
   always reach the switches, and the local one everything that is no task. */
static enum fail check_halts(struct policy *p, const struct policy_ask *ask, struct fault *why)
{
    if (ask->who->kind == PRINCIPAL_KIND_LOCAL || (ask->is_switch && policy_is_admin(ask->who))) {
        return FAIL_NONE;
    }
    bool off = policy_is_halted(p, POLICY_KEY, ask->who->name) ||
               policy_is_halted(p, POLICY_KEY, policy_caller(ask->who)) ||
               policy_is_halted(p, POLICY_TEAM, ask->who->team);
    return off ? policy_halt_check(p, ask->who, NULL, NULL, why) : FAIL_NONE;
}

static enum fail check_object(struct policy *p, const struct policy_ask *ask, struct fault *why)
{
    char team[KEYRING_NAME_SIZE] = "";
    if (objects[ask->object].whose == NOBODY) {
        return FAIL_NONE;
    }
    ASSERT(ask->id != NULL);
    if (objects[ask->object].whose == HOUSE) {
        return policy_may_name(p, ask->who, ask->object, ask->id, why);
    }
    ASSERT(p->owner != NULL);
    enum fail f = p->owner(p->owner_arg, ask->object, ask->id, team, why);
    if (f != FAIL_NONE) {
        return f;
    }
    /* Both questions are always asked: what is not there belongs to the team "", which is none. */
    bool sees = policy_sees(ask->who, team);
    bool there = team[0] != '\0';
    return (int)sees & (int)there ? FAIL_NONE : missing(ask->object, why);
}

enum fail policy_may(struct policy *p, const struct policy_ask *ask, struct fault *why)
{
    ASSERT(ask->object < POLICY_OBJECT_COUNT);
    if (ask->scope == 0) {
        return FAIL_NONE;
    }
    if (ask->who == NULL || ask->who->kind == 0) {
        return FAULT(why, FAIL_UNAUTHENTICATED, "this path needs to know who is asking");
    }
    enum fail f = keyring_require(ask->who, ask->scope, why);
    if (f == FAIL_NONE) {
        f = check_halts(p, ask, why);
    }
    return f == FAIL_NONE ? check_object(p, ask, why) : f;
}
