/* SPDX-License-Identifier: Apache-2.0 */
/* What the house's own files tell each other. */
#pragma once

#include "base/fail/fail.h"
#include "base/store/store.h"
#include "trust/audit/audit.h"

/* rules.c: the rule set in that file becomes a candidate, unless it is known already; "" is fine.
   FAIL_BAD_REQUEST names the file's first error. Blocks. */
MUST_CHECK enum fail house_rules_propose(struct store *store, struct audit *audit,
                                         const char *path, struct fault *why);
