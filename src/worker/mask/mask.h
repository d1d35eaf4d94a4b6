/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/mask: which tokens of a vocabulary may come next under a JSON schema (run/schema). One
 * token is checked by walking its bytes; all of them by walking a trie over the vocabulary's bytes,
 * where what cannot be is cut off with all that begins with it. In the body of a free string the
 * tokens of plain text are one mask made beforehand. Where only one text can follow (keys,
 * punctuation, constants) it is given as bytes, so that the engine writes it itself.
 * Owns: the vocabulary's tries; the compiled schemas it keeps. Threads: one. Nothing blocks.
 * Limits: MASK_SCHEMAS_MAX schemas and MASK_BYTES_MAX bytes are kept, the one used longest ago
 * goes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"

#define MASK_SCHEMAS_MAX 64
#define MASK_BYTES_MAX (48u << 20)
#define MASK_TOKEN_BYTES_MAX 128 /* longer tokens are never allowed */
#define MASK_FORCED_MAX 2048

/* The bytes of a token's text into out, at most room; 0 for a token that is no text. */
typedef int (*mask_piece_fn)(void *self, int token, char *out, int room);

struct masks;
/* Reads all pieces once: some tens of milliseconds. */
struct masks *masks_new(int n_vocab, mask_piece_fn piece, void *self);
/* After all its masks are closed. Accepts NULL. */
void masks_free(struct masks *masks);
/* Bytes in compiled schemas and walks, and how many of them. */
size_t masks_bytes(const struct masks *masks);
int masks_count(const struct masks *masks);

/* One text being written under one schema. */
struct mask;
/* Errors as schema_compile_text. *out is the caller's (mask_close). */
MUST_CHECK enum fail mask_open(struct masks *masks, const char *schema, struct mask **out,
                               struct fault *why);
void mask_close(struct mask *mask);
/* May this token come next? A token without text may not. */
bool mask_allows(struct mask *mask, int token);
/* It comes. It must be allowed. */
void mask_accept(struct mask *mask, int token);
/* The text so far is a whole document; nothing may follow it. */
bool mask_complete(struct mask *mask);
bool mask_over(struct mask *mask);
/* The bytes that must follow, up to where there is a choice; at most MASK_FORCED_MAX. They are not
   accepted yet. `out` holds MASK_FORCED_MAX bytes. */
size_t mask_forced(struct mask *mask, char *out);

/* Tokens that may come next: those of the bits (one per token; NULL: none) and those of the list.
   Valid until the mask moves. */
struct mask_set {
    const uint64_t *bits;
    const int *list;
    int n;
};
const struct mask_set *mask_tokens(struct mask *mask);
