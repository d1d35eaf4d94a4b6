/* SPDX-License-Identifier: Apache-2.0 */
/* ICU messages as plain structs, for icu.cpp and messages.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_ICU_ARGS 32
#define CHECK_ICU_BRANCHES 256
#define CHECK_ICU_DEPTH 4

struct check_icu_arg {
    char name[48];
    char type[16]; /* "" or "number", "date", "plural", "select", "selectordinal", "choice", ... */
};
/* A message of a branch: which selectors lead to it and what it takes, its outer messages' too. */
struct check_icu_branch {
    uint8_t depth;
    uint8_t arg[CHECK_ICU_DEPTH];
    char selector[CHECK_ICU_DEPTH][24]; /* "one", "=0", "female" */
    uint32_t used;                      /* a bit an argument, '#' is its plural's */
    bool inner;                         /* has branches itself */
};
struct check_icu_message {
    bool complex; /* has a plural, a select or a choice */
    size_t arg_count, branch_count;
    struct check_icu_arg args[CHECK_ICU_ARGS];
    struct check_icu_branch branches[CHECK_ICU_BRANCHES];
    char error[64];
};
#ifdef __cplusplus
extern "C" {
#endif
/* False, with a reason in error, when it does not parse or is over a limit. */
bool check_icu_read(const char *text, size_t len, struct check_icu_message *out);
#ifdef __cplusplus
}
#endif
