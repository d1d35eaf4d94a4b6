/* SPDX-License-Identifier: Apache-2.0 */
/* work/localize: how the memory is laid out, for the looks into it (offer.c, near.c). Threads:
   none. */
#pragma once

#include "work/localize/localize_internal.h"

#define WORDS_MAX 64 /* of one string that are looked at */

struct pair {
    char *source, *plural, *context, *origin; /* plural NULL: none */
    char *targets[LOCALIZE_FORMS_MAX];
    size_t n;
    uint64_t *words, *target_words; /* sorted, each once; of stems */
    uint32_t words_len, target_words_len;
};
/* A hash and the pair it is of; arrays of them are sorted by hash, then pair. */
struct key {
    uint64_t hash;
    uint32_t pair, place; /* place: which word is left out (by_hole) */
};
struct keys {
    struct key *items;
    size_t n, room;
};
struct localize_memory {
    struct pair *pairs;
    size_t n, room;
    struct keys exact, fold, pattern, hole, words, target_words;
    bool built;
};

/* The first of those with this hash, *n of them. */
const struct key *keys_find(const struct keys *k, uint64_t hash, size_t *n);
uint64_t hash_exact(const char *source, const char *plural);
/* Numbers and placeholders masked, letters folded; 0: none in it, or too long. */
uint64_t hash_pattern(const struct token *t, size_t n);
/* All but the word at `place`. */
uint64_t hash_hole(const struct token *t, size_t n, size_t place);
/* Stems of its words, sorted, each once; at most WORDS_MAX. */
size_t stems_of(const char *text, uint64_t out[WORDS_MAX]);
uint64_t stem_of(const struct token *t);
bool has_word(const uint64_t *words, size_t n, uint64_t word);
