/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of source. */
#pragma once

#include "work/source/source.h"

MUST_CHECK enum fail source_ask_sqlite(const struct config_source *s, const char *query,
                                       const struct source_take *take, struct fault *why);
MUST_CHECK enum fail source_ask_postgres(const struct config_source *s, const char *query,
                                         const struct source_take *take, struct fault *why);
