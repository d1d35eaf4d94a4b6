/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: a bearer token, and the claims in it. What is accepted has an algorithm of the
   list and claims that hold; what a claim means is a role in a team that a grant names. */
#include "trust/login/login.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_grant grants[] = {{"groups", "a", "support", "member"},
                                                 {"r.roles", "b", "legal", "admin"}};
    struct login_expect e = {.issuer = "https://id.example",
                             .audience = "inhouse",
                             .nonce = size % 2 == 0 ? "n" : NULL,
                             .id_token = size % 3 == 0,
                             .now_s = 1700000000};
    struct login_jwt_head head;
    struct keyring_member members[KEYRING_MEMBER_MAX];
    char sub[KEYRING_SUBJECT_SIZE], filter[512];
    int64_t until;
    struct fault why;
    if (login_jwt_head((const char *)data, size, &head, &why) == FAIL_NONE) {
        ASSERT(strchr("RPE", head.alg[0]) != NULL && strlen(head.alg) == 5);
    }
    if (login_claims_check((const char *)data, size, &e, sub, &until, &why) == FAIL_NONE) {
        ASSERT(sub[0] != '\0' && until + LOGIN_LEEWAY_S > e.now_s);
    }
    size_t n = login_claims_members((const char *)data, size, grants, COUNT_OF(grants), members);
    for (size_t i = 0; i < n; i++) {
        ASSERT(strcmp(members[i].team, "support") == 0 || strcmp(members[i].team, "legal") == 0);
    }
    if (login_filter_escape(data, size, filter, sizeof(filter))) {
        ASSERT(strpbrk(filter, "*()&|!=~<>") == NULL);
    }
    return 0;
}
