/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reuse: the answer to exactly the same question under exactly the same releases, inside one trust
 * domain.
 *
 * The key is SHA-256 over length-prefixed parts: team, workflow, every release that could change
 * the answer, and the input. Only answers whose every field was closed are kept. Owns: the table
 * `reuse`.
 * Threads: pure functions, and store functions on their connection's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"

#define REUSE_MAX_FIELDS 16

struct reuse_key {
    uint8_t bytes[32];
};

/* Parts may be NULL (told apart from empty). Length prefixes keep ("ab","c") and ("a","bc")
   apart. */
void reuse_key_make(const char *const *parts, size_t n, struct reuse_key *out);

struct reuse_entry {
    struct id task; /* where the answer was first given */
    size_t n;
    const char *names[REUSE_MAX_FIELDS];
    const char *values[REUSE_MAX_FIELDS];
    const char *draft; /* JSON, "" when none */
};

/* *found says whether there is one; strings are in `arena`. */
MUST_CHECK enum fail reuse_find(struct store_conn *conn, const struct reuse_key *key,
                                struct arena *arena, struct reuse_entry *out, bool *found,
                                struct fault *why);
/* The first answer under a key stays. */
MUST_CHECK enum fail reuse_put(struct store_tx *tx, const struct reuse_key *key,
                               const struct reuse_entry *entry, struct fault *why);
