/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading: words found in the lexicon, turned and raised by what stands beside them, summed,
 * and read as three probabilities.
 * Owns: nothing. Threads: pure.
 */
#include "answer/mood/mood.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/mood/mood_internal.h"
#include "base/mem/mem.h"
#include "base/text/text.h"

#define REACH 3          /* words before, that may turn a word */
#define TURNED (-0.6)    /* "not happy" is less than the opposite of happy */
#define RAISED 1.3       /* "very", "absolutely" */
#define SHOUT_SHARE 0.5  /* of the letters are capitals */
#define SHOUT_LETTERS 40 /* from so many on it is a way to write, not a name */
#define FULL 3.0         /* weight at which a further word says little more */

/* Logits of negative and positive against neutral: bias and weight of the sum's own side. The
   values were set on examples/helpdesk/past.jsonl alone (docs/reference/triage.md). */
#define NEGATIVE_BIAS (-2.0)
#define POSITIVE_BIAS (-2.6)
#define SIDE_WEIGHT 1.5
#define OTHER_SIDE 0.7
/* The most that can be said of a text in a language whose words are not in the lists. */
#define FOREIGN_MOST 0.55

const char *mood_name(enum mood m)
{
    static const char *const names[MOOD_COUNT] = {"negative", "neutral", "positive"};
    return m < MOOD_COUNT ? names[m] : "none";
}

const char *mood_level_name(enum mood_level l)
{
    static const char *const names[MOOD_LEVEL_COUNT] = {"low", "medium", "high"};
    return l < MOOD_LEVEL_COUNT ? names[l] : "none";
}

enum mood_level mood_level_of(double confidence)
{
    return confidence >= MOOD_HIGH_FROM     ? MOOD_HIGH
           : confidence >= MOOD_MEDIUM_FROM ? MOOD_MEDIUM
                                            : MOOD_LOW;
}

static void name_word(struct mood_reading *out, const struct knowledge_word *from,
                      const struct knowledge_word *to, double weight)
{
    struct mood_word w = {from->at, to->at + to->len - from->at, weight};
    size_t i = out->words_len < MOOD_MAX_WORDS ? out->words_len++ : MOOD_MAX_WORDS;
    for (; i > 0 && fabs(out->words[i - 1].weight) < fabs(weight); i--) {
        if (i < MOOD_MAX_WORDS) {
            out->words[i] = out->words[i - 1];
        }
    }
    if (i < MOOD_MAX_WORDS) {
        out->words[i] = w;
    }
}

static bool ends_between(const char *text, const struct knowledge_word *a,
                         const struct knowledge_word *b)
{
    for (size_t i = a->at + a->len; i < b->at; i++) {
        if (strchr(".!?;:\n", text[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* What the words before it make of a weight. */
static double in_place(const char *text, const struct knowledge_words *w, size_t i, double weight)
{
    for (size_t back = 1; back <= REACH && back <= i; back++) {
        const struct knowledge_word *x = &w->items[i - back];
        if (ends_between(text, x, &w->items[i - back + 1])) {
            break;
        }
        if (mood_turns(x->folded)) {
            return weight * TURNED;
        }
        if (back == 1 && mood_raises(x->folded)) {
            weight *= RAISED;
        }
    }
    return weight;
}

struct sums {
    double negative, positive;
    size_t words;
};

static void add(struct sums *s, double weight)
{
    *(weight < 0 ? &s->negative : &s->positive) += fabs(weight);
}

static void read_words(const char *text, size_t n, enum knowledge_lang lang, struct sums *s,
                       struct mood_reading *out)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, n, lang);
    for (size_t i = 0; i < w.count;) {
        const char *folded[MOOD_PHRASE_WORDS];
        size_t room = 0, used = 0;
        for (; room < MOOD_PHRASE_WORDS && i + room < w.count; room++) {
            folded[room] = w.items[i + room].folded;
        }
        double weight = mood_weight(folded, room, lang, &used);
        if (used > 0) {
            /* a phrase says itself whether it is negated */
            weight = used > 1 ? weight : in_place(text, &w, i, weight);
            add(s, weight);
            name_word(out, &w.items[i], &w.items[i + used - 1], weight);
        }
        i += used > 0 ? used : 1;
    }
    s->words = w.count;
    knowledge_words_done(&w);
}

/* Capitals throughout, and marks in a row, are not words and yet say something. */
static void read_marks(const char *text, size_t n, struct sums *s)
{
    size_t letters = 0, capitals = 0, loud = 0;
    for (size_t i = 0; i < n; i++) {
        letters += (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');
        capitals += text[i] >= 'A' && text[i] <= 'Z';
        bool mark = text[i] == '!' || text[i] == '?';
        bool again = i + 1 < n && (text[i + 1] == '!' || text[i + 1] == '?');
        bool before = i > 0 && (text[i - 1] == '!' || text[i - 1] == '?');
        loud += mark && again && !before;
    }
    bool shouts = letters >= SHOUT_LETTERS && (double)capitals > SHOUT_SHARE * (double)letters;
    s->negative += shouts ? 1.5 : 0;
    /* several of them raise what is there; alone they are haste */
    double more = fmin((double)loud, 3) * 0.3;
    if (s->positive > s->negative) {
        s->positive += more;
    } else {
        s->negative += more;
    }
}

static double bent(double sum)
{
    return FULL * (1 - exp(-sum / FULL)) * 1.5;
}

static void decide(const struct sums *s, bool foreign, struct mood_reading *out)
{
    double neg = bent(s->negative), pos = bent(s->positive);
    double z[MOOD_COUNT] = {NEGATIVE_BIAS + SIDE_WEIGHT * neg - OTHER_SIDE * pos, 0,
                            POSITIVE_BIAS + SIDE_WEIGHT * pos - OTHER_SIDE * neg};
    double sum = 0;
    for (size_t i = 0; i < MOOD_COUNT; i++) {
        out->p[i] = exp(z[i]);
        sum += out->p[i];
    }
    for (size_t i = 0; i < MOOD_COUNT; i++) {
        out->p[i] /= sum;
    }
    for (size_t i = 0; i < MOOD_COUNT; i++) {
        out->mood = out->p[i] > out->p[out->mood] ? (enum mood)i : out->mood;
    }
    if (foreign && out->p[out->mood] > FOREIGN_MOST) {
        double rest = (1 - FOREIGN_MOST) / (1 - out->p[out->mood]);
        for (size_t i = 0; i < MOOD_COUNT; i++) {
            out->p[i] = i == (size_t)out->mood ? FOREIGN_MOST : out->p[i] * rest;
        }
    }
    out->level = mood_level_of(out->p[out->mood]);
}

void mood_read(const char *text, size_t n, enum knowledge_lang lang, struct mood_reading *out)
{
    struct sums s = {0};
    *out = (struct mood_reading){.mood = MOOD_NEUTRAL};
    n = n > MOOD_MAX_TEXT ? text_utf8_cut(text, MOOD_MAX_TEXT) : n;
    size_t valid = text_utf8_valid_prefix(text, n);
    read_words(text, valid, lang, &s, out);
    read_marks(text, valid, &s);
    bool foreign = lang == KNOWLEDGE_LANG_OTHER && s.words >= 4 && out->words_len == 0;
    decide(&s, foreign, out);
}
