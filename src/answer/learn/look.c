/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look: what the out-of-fold answers say. The examples are remembered as neighbours, the mix and
 * the distances are fitted, and the report is filled, all from answers to examples that their fold
 * had not seen.
 *
 * Owns nothing between calls. Threads: runs on the caller's.
 */
#include "answer/learn/train_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void remember_row(struct learn_training *t, size_t i, size_t from, uint32_t label)
{
    struct learn_store *s = &t->h->store;
    const char *ref = i < s->decided ? t->ex[from].ref : NULL;
    s->example[i] = (uint32_t)from;
    s->label[i] = label;
    s->ref[i] = mem_dup_str(ref == NULL ? "" : ref);
    s->scale[i] = learn_round8(t->m.near + from * (size_t)s->dim, s->dim,
                               s->row + i * (size_t)s->dim);
}

/* The traffic that the fit of all is sure of, evenly where there is too much; returns how many. */
static size_t keep_traffic(struct learn_training *t, size_t room)
{
    const uint32_t *guess = t->guess + (size_t)t->o->folds * t->n_traffic;
    size_t n = 0;
    t->kept = mem_alloc_array(t->n_traffic + 1, sizeof(*t->kept));
    for (size_t i = 0; i < t->n_traffic; i++) {
        if (guess[i] != UINT32_MAX) {
            t->kept[n++] = (uint32_t)i;
        }
    }
    size_t keep = n < room ? n : room;
    for (size_t i = 0; i < keep; i++) {
        t->kept[i] = t->kept[i * n / keep];
    }
    return keep;
}

static void remember(struct learn_training *t)
{
    struct learn_store *s = &t->h->store;
    size_t n = t->n_scored < LEARN_MAX_NEIGHBOURS ? t->n_scored : LEARN_MAX_NEIGHBOURS;
    s->decided = n;
    n += t->guess != NULL ? keep_traffic(t, LEARN_MAX_NEIGHBOURS - n) : 0;
    s->n = n;
    s->dim = t->m.near_dim;
    s->row = mem_alloc_array(n * (size_t)s->dim, 1);
    s->scale = mem_alloc_array(n, sizeof(*s->scale));
    s->example = mem_alloc_array(n, sizeof(*s->example));
    s->label = mem_alloc_array(n, sizeof(*s->label));
    s->ref = mem_alloc_array(n, sizeof(*s->ref));
    for (size_t i = 0; i < s->decided; i++) {
        size_t from = t->scored[i * t->n_scored / s->decided];
        remember_row(t, i, from, t->truth[from]);
    }
    for (size_t i = s->decided; i < n; i++) {
        uint32_t k = t->kept[i - s->decided];
        remember_row(t, i, t->traffic[k], t->guess[(size_t)t->o->folds * t->n_traffic + k]);
    }
    learn_store_index(s, t->h->labels);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static void take_quantiles(float *x, size_t n, float *quantiles)
{
    qsort(x, n, sizeof(*x), compare_floats);
    for (size_t i = 0; i < LEARN_QUANTILES; i++) {
        quantiles[i] = x[i * (n - 1) / (LEARN_QUANTILES - 1)];
    }
}

/* ---- how much of the shared covariance ---- */

double learn_spread(const float *z, size_t rows, size_t stride, size_t labels)
{
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *row = z + i * stride;
        double mean = 0;
        for (size_t k = 0; k < labels; k++) {
            mean += (double)row[k];
        }
        mean /= (double)labels;
        for (size_t k = 0; k < labels; k++) {
            double d = fmax(-1e3, (double)row[k] - mean);
            sum += d * d;
        }
    }
    return sqrt(sum / (double)rows);
}

void learn_add_scaled(float *to, const float *from, float rate, size_t rows, size_t stride,
                      size_t labels)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < labels; k++) {
            to[i * stride + k] += rate * from[i * stride + k];
        }
    }
}

/* The rate with the least log loss out of fold; logits and weights are then one model. */
static void add_shared(struct learn_training *t)
{
    static const float rates[] = {0, 0.1F, 0.2F, 0.35F, 0.5F, 0.75F, 1, 1.5F};
    struct learn_head *h = t->h;
    size_t n = t->n_scored;
    if (t->shared == NULL || h->embedding_weight < 1e-6) {
        return;
    }
    double unit = learn_spread(t->logits, n, h->stride, h->labels) /
                  fmax(learn_spread(t->shared, n, h->stride, h->labels), 1e-9);
    AUTO_FREE float *z = mem_alloc_array(n * h->stride, sizeof(*z));
    double least = 1e300;
    float best = 0;
    for (size_t r = 0; r < COUNT_OF(rates); r++) {
        double loss;
        float rate = rates[r] * (float)unit;
        memcpy(z, t->logits, n * h->stride * sizeof(*z));
        learn_add_scaled(z, t->shared, rate, n, h->stride, h->labels);
        (void)learn_fit_mix(z, h->stride, h->labels, NULL, t->scored_truth, n, &loss);
        if (loss < least) {
            least = loss;
            best = rate;
            t->shared_rate = (double)rates[r];
        }
    }
    learn_add_scaled(t->logits, t->shared, best, n + t->n_outside, h->stride, h->labels);
    size_t dim = (size_t)h->dim;
    learn_add_scaled(h->w, t->shared_w, best / (float)h->embedding_weight, dim, h->stride,
                     h->labels);
    learn_add_scaled(h->w + dim * h->stride, t->shared_w + dim * h->stride, best, 1, h->stride,
               h->labels);
}

/* ---- neighbours, mix, distances ---- */

/* Traffic votes as the fit of the other parts takes it, not as one that has seen the example. */
static void guess_again(const struct learn_training *t, int fold, const uint32_t *place,
                        struct learn_voters *v)
{
    size_t decided = t->h->store.decided;
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        uint32_t label = v->label[i];
        if (place[i] >= decided) {
            label = t->guess[(size_t)fold * t->n_traffic + t->kept[place[i] - decided]];
        }
        if (label != UINT32_MAX) {
            v->label[n] = label;
            v->cosine[n++] = v->cosine[i];
        }
    }
    v->n = (uint32_t)n;
}

/* Each example's neighbours among those of the other parts. */
static void find_voters(struct learn_training *t, float *support)
{
    const struct learn_head *h = t->h;
    for (size_t i = 0; i < t->n_scored + t->n_outside; i++) {
        uint32_t place[LEARN_VOTERS];
        size_t at = t->scored[i];
        learn_store_voters(h, t->m.near + at * (size_t)t->m.near_dim, t->logits + i * h->stride,
                           t->part, t->part[at], &t->voters[i], place);
        guess_again(t, t->part[at], place, &t->voters[i]);
        support[i] = t->voters[i].n > 0 ? t->voters[i].cosine[0] : -1;
    }
}

/* p[2 x stride]: the probabilities, then scratch. */
static struct learn_choice best_label(const struct learn_training *t, size_t i, float *p)
{
    const struct learn_head *h = t->h;
    struct learn_choice top;
    learn_combine(&h->mix, t->logits + i * h->stride, &t->voters[i], h->labels, p + h->stride, p);
    learn_rank(p, h->labels, &top, 1);
    return top;
}

static float oddness(const struct learn_training *t, size_t i, float top_p)
{
    float parts[LEARN_ODD_COUNT];
    learn_odd_parts(t->h, t->logits + i * t->h->stride, top_p, &t->voters[i], parts);
    return learn_odd(t->h, parts);
}

static void fit_odd(struct learn_training *t, float *p)
{
    struct learn_head *h = t->h;
    size_t n = t->n_scored + t->n_outside;
    memcpy(h->odd_weight, h->outside ? learn_odd_with : learn_odd_alone, sizeof(h->odd_weight));
    if (t->n_outside == 0) {
        return;
    }
    AUTO_FREE float *parts = mem_alloc_array(n * LEARN_ODD_COUNT, sizeof(*parts));
    AUTO_FREE bool *outside = mem_alloc_array(n, sizeof(*outside));
    for (size_t i = 0; i < n; i++) {
        learn_odd_parts(h, t->logits + i * h->stride, best_label(t, i, p).p, &t->voters[i],
                        parts + i * LEARN_ODD_COUNT);
        outside[i] = i >= t->n_scored;
    }
    learn_odd_fit(parts, outside, n, h->odd_weight);
}

static void fit_mix(struct learn_training *t, const bool *leave)
{
    struct learn_head *h = t->h;
    if (leave == NULL) {
        h->mix = learn_fit_mix(t->logits, h->stride, h->labels, t->o->plain ? NULL : t->voters,
                               t->scored_truth, t->n_scored, NULL);
        return;
    }
    AUTO_FREE float *z = mem_alloc_array(t->n_scored * h->stride, sizeof(*z));
    AUTO_FREE struct learn_voters *v = mem_alloc_array(t->n_scored, sizeof(*v));
    AUTO_FREE uint32_t *truth = mem_alloc_array(t->n_scored, sizeof(*truth));
    size_t n = 0;
    for (size_t i = 0; i < t->n_scored; i++) {
        if (!leave[i]) {
            memcpy(z + n * h->stride, t->logits + i * h->stride, h->stride * sizeof(*z));
            v[n] = t->voters[i];
            truth[n++] = t->scored_truth[i];
        }
    }
    h->mix = learn_fit_mix(z, h->stride, h->labels, v, truth, n, NULL);
}

void learn_calibrate(struct learn_training *t, const bool *leave)
{
    struct learn_head *h = t->h;
    AUTO_FREE float *odd = mem_alloc_array(t->n_scored, sizeof(*odd));
    AUTO_FREE float *p = mem_alloc_array(2 * h->stride, sizeof(*p));
    fit_mix(t, leave);
    fit_odd(t, p);
    for (size_t i = 0; i < t->n_scored; i++) {
        odd[i] = oddness(t, i, best_label(t, i, p).p);
    }
    take_quantiles(odd, t->n_scored, h->odd);
}

void learn_look(struct learn_training *t)
{
    struct learn_head *h = t->h;
    size_t cells = ((size_t)t->m.dim + 1 + h->vocabulary.n) * h->stride;
    t->voters = mem_alloc_array(t->n_scored + t->n_outside, sizeof(*t->voters));
    AUTO_FREE float *support = mem_alloc_array(t->n_scored + t->n_outside, sizeof(*support));
    remember(t);
    add_shared(t);
    for (size_t i = 0; i < cells; i++) {
        h->w[i] = learn_unhalf(learn_half(h->w[i])); /* what is saved is what was measured */
    }
    find_voters(t, support);
    learn_calibrate(t, NULL);
    take_quantiles(support, t->n_scored, h->support);
}

/* ---- the report ---- */

static void count_language(struct learn_training *t, size_t i, float confidence, bool ok)
{
    const char *lang = t->ex[t->scored[i]].lang;
    if (lang == NULL || lang[0] == '\0') {
        return;
    }
    struct learn_language *l = learn_language_get(t->h->languages, &t->h->n_languages, lang);
    l->n++;
    l->correct += ok ? 1 : 0;
    l->expected += confidence;
    l->variance += confidence * (1 - confidence);
}

/* Shares that the none-of-these threshold refuses, out of fold. */
static void count_refused(const struct learn_training *t, const struct learn_said *said,
                          struct learn_report *r)
{
    size_t known = 0;
    size_t outside = 0;
    for (size_t i = 0; i < t->n_scored + t->n_outside; i++) {
        bool refused = said[i].none >= 1 - t->h->refuse;
        *(i < t->n_scored ? &known : &outside) += refused ? 1 : 0;
    }
    r->refuse = (double)known / (double)t->n_scored;
    r->outside = t->n_outside;
    r->outside_refused = t->n_outside == 0 ? 0 : (double)outside / (double)t->n_outside;
}

void learn_say(const struct learn_training *t, struct learn_said *said)
{
    AUTO_FREE float *p = mem_alloc_array(2 * t->h->stride, sizeof(*p));
    for (size_t i = 0; i < t->n_scored + t->n_outside; i++) {
        const struct learn_voters *v = &t->voters[i];
        struct learn_choice top = best_label(t, i, p);
        said[i].label = top.label;
        said[i].none = learn_none(t->h, oddness(t, i, top.p));
        said[i].confidence = top.p * learn_reach(t->h, v->n > 0 ? v->cosine[0] : -1);
    }
}

void learn_fill_report(struct learn_training *t, const struct learn_said *said,
                       struct learn_report *r)
{
    struct learn_head *h = t->h;
    size_t n = t->n_scored;
    AUTO_FREE float *p = mem_alloc_array(2 * h->stride, sizeof(*p));
    AUTO_FREE float *score = mem_alloc_array(n, sizeof(*score));
    AUTO_FREE float *raw = mem_alloc_array(n, sizeof(*raw));
    AUTO_FREE bool *ok = mem_alloc_array(n, sizeof(*ok));
    AUTO_FREE bool *raw_ok = mem_alloc_array(n, sizeof(*raw_ok));
    size_t right = 0;
    r->oof = mem_alloc_array(n, sizeof(*r->oof));
    for (size_t i = 0; i < n; i++) {
        struct learn_choice top;
        struct learn_oof *o = &r->oof[i];
        learn_softmax(t->logits + i * h->stride, h->labels, p);
        learn_rank(p, h->labels, &top, 1);
        raw[i] = top.p;
        raw_ok[i] = top.label == t->scored_truth[i];
        o->truth = t->scored_truth[i];
        o->answered = said[i].label;
        o->none = said[i].none;
        o->confidence = said[i].confidence;
        score[i] = o->confidence;
        ok[i] = o->truth == o->answered;
        right += ok[i] ? 1 : 0;
        count_language(t, i, score[i], ok[i]);
    }
    count_refused(t, said, r);
    r->n = n;
    r->traffic = t->n_traffic;
    r->extra = t->n - n - t->n_outside - t->n_traffic;
    r->labels = h->labels;
    r->has_embeddings = h->dim > 0;
    r->features = h->vocabulary.n;
    r->accuracy = (double)right / (double)n;
    r->ece = learn_ece(score, ok, n);
    r->ece_raw = learn_ece(raw, raw_ok, n);
    r->temperature = 1 / (double)h->mix.scale;
    r->vote_weight = (double)h->mix.vote_weight;
    r->shared_rate = t->shared_rate;
    r->coverage_at_1 = learn_coverage(score, ok, n, 0.01);
    r->coverage_at_2 = learn_coverage(score, ok, n, 0.02);
    r->coverage_at_5 = learn_coverage(score, ok, n, 0.05);
    r->evidence = t->o->evidence;
    memcpy(r->languages, h->languages, sizeof(r->languages));
    r->n_languages = h->n_languages;
    learn_certify(score, ok, n, t->o->target_error, t->o->delta, &r->certificate);
    learn_report_count(r, h);
}
