/* SPDX-License-Identifier: Apache-2.0 */
/* What memory knows of a string it does not hold: the nearest pairs, and how well a translation
   agrees with how its words were translated before. Threads: none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "work/localize/memory_internal.h"

/* Of one word: more pairs than this say little, and are passed over. */
#define POSTINGS_MAX 20000
/* Pairs with a word that are looked at for what stands beside it. */
#define SEEN_MAX 300
/* Dice of two words from which one is taken to stand for the other. */
#define DICE_MIN 0.30
/* A word must have been seen so often before its absence means anything. */
#define SEEN_MIN 2

struct scored {
    uint32_t pair;
    double score;
};

static int by_pair(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return by_pair(a, b);
}

static double weight(const struct localize_memory *m, size_t df)
{
    return log(1 + (double)m->n / (double)(df + 1));
}

/* One entry a (word, pair); then the sums a pair. Returns how many pairs. */
static size_t gather(const struct localize_memory *m, const uint64_t *words, size_t n,
                     struct scored **out)
{
    size_t total = 0, room = 0, k = 0;
    struct scored *all = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t df;
        const struct key *at = keys_find(&m->words, words[i], &df);
        if (at == NULL || df > POSTINGS_MAX) {
            continue;
        }
        if (total + df > room) {
            room = (total + df) * 2;
            all = mem_realloc(all, room * sizeof(*all));
        }
        for (size_t j = 0; j < df; j++) {
            all[total++] = (struct scored){at[j].pair, weight(m, df)};
        }
    }
    if (total > 0) {
        qsort(all, total, sizeof(*all), by_pair);
    }
    for (size_t i = 0; i < total; i++) {
        if (k > 0 && all[k - 1].pair == all[i].pair) {
            all[k - 1].score += all[i].score;
        } else {
            all[k++] = all[i];
        }
    }
    *out = all;
    return k;
}

size_t localize_memory_near(const struct localize_memory *m, const char *source, size_t max,
                            struct localize_example *out)
{
    uint64_t words[WORDS_MAX];
    size_t n = stems_of(source, words), count = 0;
    double whole = 0;
    struct scored *all;
    for (size_t i = 0; i < n; i++) {
        size_t df;
        (void)keys_find(&m->words, words[i], &df);
        whole += weight(m, df);
    }
    size_t found = gather(m, words, n, &all);
    for (size_t i = 0; i < found; i++) {
        all[i].score /= whole + 0.15 * (double)m->pairs[all[i].pair].words_len;
    }
    if (found > 0) {
        qsort(all, found, sizeof(*all), by_score);
    }
    for (size_t i = 0; i < found && count < max; i++) {
        const struct pair *p = &m->pairs[all[i].pair];
        bool known = strcmp(p->source, source) == 0;
        for (size_t k = 0; k < count && !known; k++) {
            known = strcmp(out[k].source, p->source) == 0;
        }
        if (!known) {
            double score = all[i].score > 1 ? 1 : all[i].score;
            out[count++] = (struct localize_example){p->source, p->targets[0], score};
        }
    }
    mem_free(all);
    return count;
}

/* The best Dice of the source's word with a word of the target. */
static double best_dice(const struct localize_memory *m, const struct key *at, size_t df,
                        const uint64_t *target, size_t n)
{
    double best = 0;
    size_t look = df > SEEN_MAX ? SEEN_MAX : df;
    for (size_t i = 0; i < n; i++) {
        size_t both = 0, others;
        (void)keys_find(&m->target_words, target[i], &others);
        for (size_t k = 0; k < look; k++) {
            const struct pair *p = &m->pairs[at[k].pair];
            both += has_word(p->target_words, p->target_words_len, target[i]) ? 1 : 0;
        }
        double scaled = (double)both * (double)df / (double)look;
        double dice = others == 0 ? 0 : 2 * scaled / ((double)df + (double)others);
        best = dice > best ? dice : best;
    }
    return best;
}

double localize_memory_agree(const struct localize_memory *m, const char *source,
                             const char *target, double *known)
{
    uint64_t words[WORDS_MAX], theirs[WORDS_MAX];
    size_t n = stems_of(source, words), k = stems_of(target, theirs);
    double whole = 0, seen = 0, agreed = 0;
    for (size_t i = 0; i < n; i++) {
        size_t df;
        const struct key *at = keys_find(&m->words, words[i], &df);
        double w = weight(m, df);
        whole += w;
        if (has_word(theirs, k, words[i])) {
            seen += w; /* the same word on both sides: a name, or one they share */
            agreed += w;
        } else if (at != NULL && df >= SEEN_MIN) {
            seen += w;
            agreed += best_dice(m, at, df, theirs, k) >= DICE_MIN ? w : 0;
        }
    }
    *known = whole > 0 ? seen / whole : 0;
    return seen > 0 ? agreed / seen : 0;
}
