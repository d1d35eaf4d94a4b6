/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mood: how a message sounds, negative, neutral or positive, and how sure that is.
 *
 * A small lexicon of English and German words and phrases with weights, turned by negation near
 * them, raised by shouting and repeated marks, and a fixed logistic reading of the sum. Politeness
 * at the edges ("Thanks, Ana") counts for nothing. It says which words it went by; where it knows
 * none, it says neutral and no more than low confidence for a long text in another language.
 * docs/reference/triage.md says on what it was measured. A team's own examples may teach a head
 * instead (a choice field of the same three labels); this is what stands before there is one.
 *
 * Owns: nothing. Threads: pure. Nothing blocks; linear in the text.
 * Limits: the first MOOD_MAX_TEXT bytes are read, MOOD_MAX_WORDS words are named.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "answer/knowledge/knowledge.h"

#define MOOD_MAX_TEXT ((size_t)16 << 10)
#define MOOD_MAX_WORDS 6

enum mood { MOOD_NEGATIVE, MOOD_NEUTRAL, MOOD_POSITIVE, MOOD_COUNT };
const char *mood_name(enum mood m); /* "negative", "neutral", "positive" */

/* How often one of that confidence is right: low under MOOD_MEDIUM_FROM, high from
   MOOD_HIGH_FROM. */
enum mood_level { MOOD_LOW, MOOD_MEDIUM, MOOD_HIGH, MOOD_LEVEL_COUNT };
#define MOOD_MEDIUM_FROM 0.60
#define MOOD_HIGH_FROM 0.80
const char *mood_level_name(enum mood_level l); /* "low", "medium", "high" */
enum mood_level mood_level_of(double confidence);

/* A word it went by: bytes of the text, and its weight as counted (below 0: negative). */
struct mood_word {
    uint32_t at, len;
    double weight;
};

struct mood_reading {
    enum mood mood;
    double p[MOOD_COUNT]; /* sum 1 */
    enum mood_level level;
    struct mood_word words[MOOD_MAX_WORDS]; /* heaviest first */
    size_t words_len;
};

/* Any bytes are accepted; text is read as UTF-8. lang: of the text, OTHER: both lists are tried. */
void mood_read(const char *text, size_t n, enum knowledge_lang lang, struct mood_reading *out);
