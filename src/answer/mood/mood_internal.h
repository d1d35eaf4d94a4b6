/* SPDX-License-Identifier: Apache-2.0 */
/* Mood, inside: the lexicon. */
#pragma once

#include <stdbool.h>

#include "answer/mood/mood.h"

#define MOOD_PHRASE_WORDS 4

/* The weight of what the words begin with, the longest entry first; *used: how many words it took,
   0 for none. lang OTHER: both lists. Words are folded as knowledge_words folds them. */
double mood_weight(const char *const *folded, size_t n, enum knowledge_lang lang, size_t *used);
bool mood_turns(const char *folded);  /* not, never, kein */
bool mood_raises(const char *folded); /* very, sehr */
