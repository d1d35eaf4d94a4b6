/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a text may go by what is in it: personal data makes it confidential, whatever its
 * workflow and its sender say. Owns: nothing. Threads: any. Limits: guard's.
 */
#include "answer/task/task_internal.h"
#include "trust/guard/guard.h"

#define PERSONAL                                                                                   \
    (GUARD_CHECKED | GUARD_BIT(GUARD_KIND_EMAIL) | GUARD_BIT(GUARD_KIND_PHONE) |                   \
     GUARD_BIT(GUARD_KIND_NAME) | GUARD_BIT(GUARD_KIND_ADDRESS) |                                  \
     GUARD_BIT(GUARD_KIND_BIRTHDATE) | GUARD_BIT(GUARD_KIND_SECRET) |                              \
     GUARD_BIT(GUARD_KIND_PASSWORD) | GUARD_BIT(GUARD_KIND_TERM))

enum secrecy task_label_of(enum secrecy least, const char *text, size_t len)
{
    struct guard_scan o = {PERSONAL, GUARD_TAGGED_WHO, NULL, NULL};
    struct guard_findings found = {0};
    if (least >= SECRECY_CONFIDENTIAL) {
        return least;
    }
    bool personal = !guard_scan(text, len, &o, &found) || found.n > 0; /* unread: not let out */
    guard_findings_done(&found);
    return personal ? SECRECY_CONFIDENTIAL : least;
}
