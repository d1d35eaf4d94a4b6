/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the four. */
#include "base/secrecy/secrecy.h"

#include <string.h>

static const char *const names[SECRECY_COUNT] = {"public", "internal", "confidential",
                                                 "restricted"};

const char *secrecy_name(enum secrecy s)
{
    return names[(unsigned)s < SECRECY_COUNT ? s : SECRECY_RESTRICTED];
}

enum secrecy secrecy_find(const char *name)
{
    int i = 0;
    while (i < SECRECY_COUNT && strcmp(names[i], name) != 0) {
        i++;
    }
    return (enum secrecy)i;
}
