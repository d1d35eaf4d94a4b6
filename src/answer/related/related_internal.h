/* SPDX-License-Identifier: Apache-2.0 */
/* Related, inside: hashing. */
#pragma once

#include "answer/related/related.h"

/* FNV-1a over 64 bits, mixed at the end; not keyed: it hides nothing from who can guess. */
uint64_t related_hash(const char *s, size_t n);
