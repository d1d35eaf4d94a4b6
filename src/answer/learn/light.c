/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Light: a head on the n-grams alone beside one with embeddings, and from when on it may answer.
 *
 * It is trained on the same examples in the same folds, so that each is answered out of fold by
 * both. From the surest of its answers on it may answer as long as with 95 % certainty it costs at
 * most LOSS of all decisions: wrong ones that the whole head has right, less right ones that this
 * has wrong (the difference of two counts, normal, one more pair for safety: with few examples
 * nothing passes). Two gates stand before: the options' confidence, so that its errors are rarer
 * than those that any threshold on both would allow, and its oddness, so that strangers go to the
 * whole head; an accepted stranger that the whole head refuses is a loss too.
 * Then each is calibrated on what it answers: the doubt of the light one times its errors over
 * those it foretold, the whole head's mix on the rest, which are the harder texts.
 * Figures: docs/decisions/0168.
 *
 * Owns the light training until it is taken. Threads: runs on the caller's.
 */
#include "answer/learn/train_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOSS 0.001
#define CERTAIN 1.645 /* standard deviations: 95 %, one-sided */
#define REST 200 /* decisions the whole head's mix can be fitted on */
#define REFUSE_MAX 0.1 /* what may be refused must be odder than what the light head answers */

bool learn_light_wanted(const struct learn_options *o, const struct learn_example *ex, size_t n)
{
    size_t decisions = 0;
    for (size_t i = 0; i < n; i++) {
        bool decision = ex[i].label != NULL && !ex[i].extra && strcmp(ex[i].label, LEARN_NONE) != 0;
        decisions += decision ? 1 : 0;
    }
    return ex[0].embedding != NULL && !o->plain && o->light < 1 && o->refuse <= REFUSE_MAX &&
           o->word_weight + o->char_weight > 0 && LOSS * (double)decisions >= CERTAIN;
}

/* Its passes are the second half of all. */
static bool second_half(void *arg, int done, int total)
{
    struct learn_training *t = arg;
    const struct learn_progress *p = t->progress;
    (void)total;
    return p == NULL || p->fn == NULL || p->fn(p->arg, t->total / 2 + done, t->total);
}

enum fail learn_light_train(struct learn_training *t, struct fault *why)
{
    if (!learn_light_wanted(t->o, t->ex, t->n)) {
        return FAIL_NONE;
    }
    t->light_ex = mem_dup(t->ex, t->n * sizeof(*t->light_ex));
    for (size_t i = 0; i < t->n; i++) {
        t->light_ex[i].embedding = NULL;
    }
    t->light_o = *t->o;
    t->light_o.light = 1;
    t->light_progress = (struct learn_progress){second_half, t};
    t->light = mem_alloc(sizeof(*t->light));
    *t->light = (struct learn_training){.ex = t->light_ex, .n = t->n, .o = &t->light_o,
                                        .progress = &t->light_progress, .total = t->total / 2};
    return learn_train_weights(t->light, why);
}

struct sure {
    float confidence;
    int loss; /* 1, 0 or -1 */
};

static int compare_sure(const void *a, const void *b)
{
    float x = ((const struct sure *)a)->confidence;
    float y = ((const struct sure *)b)->confidence;
    return (x < y) - (x > y);
}

static bool may_answer(const struct learn_training *t, size_t i, const struct learn_said *s)
{
    return s->none <= LEARN_LIGHT_NONE && t->ex[t->scored[i]].text_len <= LEARN_LIGHT_TEXT;
}

/* What it costs to take s in place of whole for the scored row i. */
static int loss_of(const struct learn_training *t, size_t i, const struct learn_said *whole,
                   const struct learn_said *s)
{
    if (i >= t->n_scored) {
        return whole->none >= 1 - t->h->refuse ? 1 : 0;
    }
    bool was = whole->label == t->scored_truth[i];
    bool is = s->label == t->scored_truth[i];
    return was == is ? 0 : was ? 1 : -1;
}

/* The least confidence to answer from; above 1: never. */
static float walk(struct sure *all, size_t n, size_t decisions)
{
    double lost = 0;
    double changed = 1;
    float least = 2;
    qsort(all, n, sizeof(*all), compare_sure);
    for (size_t i = 0; i < n; i++) {
        lost += all[i].loss;
        changed += abs(all[i].loss);
        bool whole = i + 1 == n || all[i + 1].confidence < all[i].confidence;
        if (!whole) {
            continue;
        }
        if (lost + CERTAIN * sqrt(changed) > LOSS * (double)decisions) {
            break;
        }
        least = all[i].confidence;
    }
    return least;
}

void learn_light_take(struct learn_training *t, struct learn_said *said, struct learn_light *out)
{
    size_t rows = t->n_scored + t->n_outside;
    size_t n = 0;
    size_t answered = 0;
    if (t->light == NULL) {
        return;
    }
    AUTO_FREE struct learn_said *light = mem_alloc_array(rows, sizeof(*light));
    AUTO_FREE struct sure *all = mem_alloc_array(rows + 1, sizeof(*all));
    learn_say(t->light, light);
    for (size_t i = 0; i < rows; i++) {
        if (may_answer(t, i, &light[i]) && (double)light[i].confidence >= t->o->light) {
            all[n++] = (struct sure){.confidence = light[i].confidence,
                                     .loss = loss_of(t, i, &said[i], &light[i])};
        }
    }
    float least = walk(all, n, t->n_scored);
    if (least > 1) {
        return;
    }
    AUTO_FREE bool *taken = mem_alloc_array(rows, sizeof(*taken));
    double foretold = 0;
    for (size_t i = 0; i < rows; i++) {
        taken[i] = may_answer(t, i, &light[i]) && light[i].confidence >= least;
        if (taken[i] && i < t->n_scored) {
            answered++;
            foretold += 1 - (double)light[i].confidence;
            out->wrong += light[i].label != t->scored_truth[i] ? 1 : 0;
            out->wrong_whole += said[i].label != t->scored_truth[i] ? 1 : 0;
        }
    }
    if (t->n_scored - answered >= REST) {
        learn_calibrate(t, taken);
        learn_say(t, said);
    }
    float doubt = fminf(LEARN_LIGHT_DOUBT, (float)(((double)out->wrong + 1) / (foretold + 1)));
    for (size_t i = 0; i < rows; i++) {
        if (taken[i]) {
            said[i] = light[i];
            said[i].confidence = fmaxf(0, 1 - doubt * (1 - light[i].confidence));
        }
    }
    out->threshold = (double)least;
    out->doubt = (double)doubt;
    out->share = (double)answered / (double)t->n_scored;
    t->light->h->report = mem_dup_str(""); /* the whole head's says it */
    t->h->light = STEAL(t->light->h);
    t->h->light_sure = least;
    t->h->light_doubt = doubt;
}
