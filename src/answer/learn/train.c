/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Train: examples in, a calibrated head and its out-of-fold report out.
 *
 * Parts are dealt label by label after a seeded shuffle, so each part holds every label that has
 * enough examples. Each part is answered by a model trained on the others; the temperature, the
 * distances and every figure of the report come from those answers alone; the head itself is then
 * trained on all examples. The vocabulary and idf are counted once over all texts: they hold no
 * label. Owns nothing between calls. Threads: runs on the caller's.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"

struct learn_options learn_defaults(void)
{
    return (struct learn_options){.seed = 1, .dim = 384, .folds = 0, .max_epochs = 30, .cost = 30,
                                  .embedding_weight = 3, .word_weight = 1, .char_weight = 1,
                                  .min_df = 2, .max_features = 150000, .target_error = 0.02,
                                  .delta = 0.05, .evidence = LEARN_EVIDENCE_HISTORY};
}

#define ALWAYS 255 /* in every part's training set, in no part */

struct training {
    const struct learn_example *ex;
    size_t n;
    const struct learn_options *o;
    const struct learn_progress *progress;
    int done, total;
    struct learn_head *h;
    struct learn_matrix m;
    uint32_t *truth;
    double *weight;
    uint8_t *part;   /* which fold each example is in; ALWAYS for extra ones */
    uint32_t *scored; /* the examples that are not extra, in order: what follows is theirs */
    size_t n_scored;
    uint32_t *scored_truth;
    float *logits;   /* n_scored x stride, out of fold */
    struct learn_voters *voters; /* n_scored: the nearest examples of other parts */
};

static bool tick(void *arg)
{
    struct training *t = arg;
    t->done = t->done < t->total ? t->done + 1 : t->done;
    return t->progress == NULL || t->progress->fn == NULL ||
           t->progress->fn(t->progress->arg, t->done, t->total);
}

static enum fail check_options(const struct learn_options *o, struct fault *why)
{
    if ((o->folds < 2 && o->folds != 0) || o->folds > 20) {
        return FAULT(why, FAIL_BAD_REQUEST, "folds is %d, must be 0 or 2 to 20", o->folds);
    }
    if (o->max_epochs < 1 || o->max_epochs > 1000 || !(o->cost > 0 && o->cost <= 1e4)) {
        return FAULT(why, FAIL_BAD_REQUEST, "max_epochs must be 1 to 1000 and cost in (0, 10000]");
    }
    if (!(o->embedding_weight >= 0 && o->embedding_weight <= 100 && o->word_weight >= 0 &&
          o->word_weight <= 100 && o->char_weight >= 0 && o->char_weight <= 100)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the weights of the feature parts must be 0 to 100");
    }
    if (o->min_df < 1 || o->max_features < 1 || o->max_features > 1000000) {
        return FAULT(why, FAIL_BAD_REQUEST, "min_df and max_features (at most 1000000) must be "
                     "at least 1");
    }
    if (!(o->target_error > 0 && o->target_error < 1 && o->delta > 0 && o->delta < 1)) {
        return FAULT(why, FAIL_BAD_REQUEST, "target_error and delta must be between 0 and 1");
    }
    if ((unsigned)o->evidence >= LEARN_EVIDENCE_COUNT) {
        return FAULT(why, FAIL_BAD_REQUEST, "unknown class of evidence");
    }
    return FAIL_NONE;
}

static enum fail check_embedding(const float *e, int dim, size_t number, struct fault *why)
{
    double sum = 0;
    for (int j = 0; j < dim; j++) {
        sum += (double)e[j] * e[j];
    }
    if (!isfinite(sum) || fabs(sum - 1) > 0.02) {
        return FAULT(why, FAIL_BAD_REQUEST, "the embedding of example %zu is not of length 1",
                     number);
    }
    return FAIL_NONE;
}

static enum fail check_examples(const struct learn_example *ex, size_t n,
                                const struct learn_options *o, struct fault *why)
{
    if (n < 4) {
        FAULT(why, FAIL_BAD_REQUEST, "%zu examples are too few to learn from", n);
        return fail_hint(why, "Give at least 4 examples, better 20 for each label.");
    }
    if (n > LEARN_MAX_EXAMPLES) {
        return FAULT(why, FAIL_TOO_LARGE, "%zu examples are more than %d", n, LEARN_MAX_EXAMPLES);
    }
    bool with = ex[0].embedding != NULL;
    if (with && (o->dim < 1 || o->dim > LEARN_MAX_DIM)) {
        return FAULT(why, FAIL_BAD_REQUEST, "dim is %d, must be 1 to %d", o->dim, LEARN_MAX_DIM);
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = ex[i].label == NULL ? 0 : strlen(ex[i].label);
        if (len == 0 || len > LEARN_MAX_LABEL_LEN || !text_utf8_is_valid(ex[i].label, len)) {
            return FAULT(why, FAIL_BAD_REQUEST, "the label of example %zu must be 1 to %d bytes of "
                         "UTF-8", i + 1, LEARN_MAX_LABEL_LEN);
        }
        if (ex[i].ref != NULL && strlen(ex[i].ref) > LEARN_MAX_REF_LEN) {
            return FAULT(why, FAIL_BAD_REQUEST, "the reference of example %zu is over %d bytes",
                         i + 1, LEARN_MAX_REF_LEN);
        }
        if (!(ex[i].weight >= 0 && ex[i].weight <= 100)) {
            return FAULT(why, FAIL_BAD_REQUEST, "the weight of example %zu must be 0 to 100",
                         i + 1);
        }
        if (ex[i].text == NULL && ex[i].text_len > 0) {
            return FAULT(why, FAIL_BAD_REQUEST, "example %zu has no text", i + 1);
        }
        if ((ex[i].embedding != NULL) != with) {
            FAULT(why, FAIL_BAD_REQUEST, "example %zu has %s embedding, unlike the first", i + 1,
                  with ? "no" : "an");
            return fail_hint(why, "Give an embedding with every example or with none.");
        }
        enum fail f = with ? check_embedding(ex[i].embedding, o->dim, i + 1, why) : FAIL_NONE;
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return FAIL_NONE;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum fail collect_labels(struct training *t, struct fault *why)
{
    AUTO_FREE const char **all = mem_alloc_array(t->n, sizeof(*all));
    for (size_t i = 0; i < t->n; i++) {
        all[i] = t->ex[i].label;
    }
    qsort(all, t->n, sizeof(*all), compare_names);
    size_t k = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (k == 0 || strcmp(all[k - 1], all[i]) != 0) {
            all[k++] = all[i];
        }
    }
    if (k < 2) {
        FAULT(why, FAIL_BAD_REQUEST, "all examples have one label: there is nothing to choose");
        return fail_hint(why, "Give examples of at least two labels.");
    }
    if (k > LEARN_MAX_LABELS || k * t->n > LEARN_MAX_CELLS) {
        return FAULT(why, FAIL_TOO_LARGE, "%zu labels over %zu examples are too many", k, t->n);
    }
    t->h->labels = k;
    t->h->stride = learn_stride(k);
    t->h->label = mem_alloc_array(k, sizeof(*t->h->label));
    for (size_t i = 0; i < k; i++) {
        t->h->label[i] = mem_dup_str(all[i]);
    }
    for (size_t i = 0; i < t->n; i++) {
        t->truth[i] = learn_head_find(t->h, t->ex[i].label);
        t->weight[i] = t->ex[i].weight > 0 ? t->ex[i].weight : 1;
        if (!t->ex[i].extra) {
            t->scored[t->n_scored] = (uint32_t)i;
            t->scored_truth[t->n_scored++] = t->truth[i];
        }
    }
    if (t->n_scored < 4) {
        return FAULT(why, FAIL_BAD_REQUEST, "only %zu examples are decisions: at least 4 are "
                     "needed", t->n_scored);
    }
    return FAIL_NONE;
}

static void deal_parts(struct training *t)
{
    AUTO_FREE uint32_t *order = mem_alloc_array(t->n, sizeof(*order));
    uint64_t seed = t->o->seed;
    unsigned next = 0;
    memset(t->part, ALWAYS, t->n);
    for (size_t k = 0; k < t->h->labels; k++) {
        size_t n = 0;
        for (size_t i = 0; i < t->n; i++) {
            if (t->truth[i] == k && !t->ex[i].extra) {
                order[n++] = (uint32_t)i;
            }
        }
        for (size_t i = n; i > 0; i--) {
            size_t j = learn_random(&seed) % i;
            t->part[order[j]] = (uint8_t)(next++ % (unsigned)t->o->folds);
            order[j] = order[i - 1];
        }
    }
}

/* Trains on every example outside the fold (all when fold is -1) into w. */
static bool solve(struct training *t, int fold, float *w)
{
    AUTO_FREE uint32_t *rows = mem_alloc_array(t->n, sizeof(*rows));
    struct learn_problem p = {.m = &t->m, .truth = t->truth, .weight = t->weight, .rows = rows,
                              .labels = t->h->labels,
                              .stride = t->h->stride, .cost = t->o->cost,
                              .max_epochs = t->o->max_epochs, .seed = t->o->seed,
                              .features = (size_t)t->m.dim + 1 + t->h->vocabulary.n};
    for (size_t i = 0; i < t->n; i++) {
        if (fold < 0 || t->part[i] != fold) {
            rows[p.n_rows++] = (uint32_t)i;
        }
    }
    memset(w, 0, p.features * p.stride * sizeof(*w));
    int until = (fold < 0 ? t->o->folds + 1 : fold + 1) * t->o->max_epochs;
    bool going = learn_solve(&p, w, tick, t);
    t->done = until;
    return going;
}

static void score_row(struct training *t, const float *w, size_t i, float *z)
{
    const struct learn_matrix *m = &t->m;
    learn_score(w, t->h->stride, m->dim > 0 ? m->dense + i * (size_t)m->dim : NULL, m->dim,
                m->col + m->start[i], m->val + m->start[i], m->start[i + 1] - m->start[i], z);
}

/* Fills the head's weights, the out-of-fold logits and the temperature; false when cancelled. */
static bool fit(struct training *t)
{
    struct learn_head *h = t->h;
    size_t cells = ((size_t)t->m.dim + 1 + h->vocabulary.n) * h->stride;
    h->w = mem_alloc_array(cells, sizeof(*h->w));
    for (int f = 0; f < t->o->folds; f++) {
        if (!solve(t, f, h->w)) {
            return false;
        }
        for (size_t i = 0; i < t->n_scored; i++) {
            if (t->part[t->scored[i]] == f) {
                score_row(t, h->w, t->scored[i], t->logits + i * h->stride);
            }
        }
    }
    if (!solve(t, -1, h->w)) {
        return false;
    }
    for (size_t i = 0; i < cells; i++) {
        h->w[i] = learn_unhalf(learn_half(h->w[i])); /* what is saved is what was measured */
    }
    return true;
}

static void remember(struct training *t)
{
    struct learn_store *s = &t->h->store;
    size_t n = t->n_scored < LEARN_MAX_NEIGHBOURS ? t->n_scored : LEARN_MAX_NEIGHBOURS;
    s->n = n;
    s->dim = t->m.near_dim;
    s->row = mem_alloc_array(n * (size_t)s->dim, 1);
    s->scale = mem_alloc_array(n, sizeof(*s->scale));
    s->example = mem_alloc_array(n, sizeof(*s->example));
    s->label = mem_alloc_array(n, sizeof(*s->label));
    s->ref = mem_alloc_array(n, sizeof(*s->ref));
    for (size_t i = 0; i < n; i++) {
        size_t from = t->scored[i * t->n_scored / n];
        s->example[i] = (uint32_t)from;
        s->label[i] = t->truth[from];
        s->ref[i] = mem_dup_str(t->ex[from].ref == NULL ? "" : t->ex[from].ref);
        s->scale[i] = learn_round8(t->m.near + from * (size_t)s->dim, s->dim,
                                   s->row + i * (size_t)s->dim);
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

/* Out-of-fold neighbours: each example among those of the other parts; then the mix and the
   distances they give. */
static void measure_neighbours(struct training *t)
{
    struct learn_head *h = t->h;
    AUTO_FREE float *support = mem_alloc_array(t->n_scored, sizeof(*support));
    for (size_t i = 0; i < t->n_scored; i++) {
        uint32_t place[LEARN_VOTERS];
        size_t at = t->scored[i];
        learn_store_voters(h, t->m.near + at * (size_t)t->m.near_dim, t->logits + i * h->stride,
                           t->part, t->part[at], &t->voters[i], place);
        support[i] = t->voters[i].n > 0 ? t->voters[i].cosine[0] : -1;
    }
    h->mix = learn_fit_mix(t->logits, h->stride, h->labels, t->voters, t->scored_truth,
                           t->n_scored);
    AUTO_FREE float *odd = mem_alloc_array(t->n_scored, sizeof(*odd));
    AUTO_FREE float *p = mem_alloc_array(2 * h->stride, sizeof(*p));
    for (size_t i = 0; i < t->n_scored; i++) {
        struct learn_choice top;
        learn_combine(&h->mix, t->logits + i * h->stride, &t->voters[i], h->labels, p + h->stride,
                      p);
        learn_rank(p, h->labels, &top, 1);
        odd[i] = learn_odd(top.p, support[i]);
    }
    take_quantiles(support, t->n_scored, h->support);
    take_quantiles(odd, t->n_scored, h->odd);
}

static void fill_report(struct training *t, float *p, struct learn_report *r)
{
    struct learn_head *h = t->h;
    AUTO_FREE float *score = mem_alloc_array(t->n_scored, sizeof(*score));
    AUTO_FREE float *raw = mem_alloc_array(t->n_scored, sizeof(*raw));
    AUTO_FREE bool *ok = mem_alloc_array(t->n_scored, sizeof(*ok));
    AUTO_FREE bool *raw_ok = mem_alloc_array(t->n_scored, sizeof(*raw_ok));
    size_t right = 0;
    r->oof = mem_alloc_array(t->n_scored, sizeof(*r->oof));
    for (size_t i = 0; i < t->n_scored; i++) {
        struct learn_choice top;
        struct learn_oof *o = &r->oof[i];
        const struct learn_voters *v = &t->voters[i];
        float support = v->n > 0 ? v->cosine[0] : -1;
        learn_softmax(t->logits + i * h->stride, h->labels, p);
        learn_rank(p, h->labels, &top, 1);
        raw[i] = top.p;
        raw_ok[i] = top.label == t->scored_truth[i];
        learn_combine(&h->mix, t->logits + i * h->stride, v, h->labels, p + h->stride, p);
        learn_rank(p, h->labels, &top, 1);
        o->truth = t->scored_truth[i];
        o->answered = top.label;
        o->none = learn_none(h, learn_odd(top.p, support));
        o->confidence = top.p * learn_reach(h, support);
        score[i] = o->confidence;
        ok[i] = o->truth == o->answered;
        right += ok[i] ? 1 : 0;
    }
    r->n = t->n_scored;
    r->extra = t->n - t->n_scored;
    r->labels = h->labels;
    r->has_embeddings = h->dim > 0;
    r->features = h->vocabulary.n;
    r->accuracy = (double)right / (double)t->n_scored;
    r->ece = learn_ece(score, ok, t->n_scored);
    r->ece_raw = learn_ece(raw, raw_ok, t->n_scored);
    r->temperature = 1 / (double)h->mix.scale;
    r->vote_weight = (double)h->mix.vote_weight;
    r->coverage_at_1 = learn_coverage(score, ok, t->n_scored, 0.01);
    r->coverage_at_2 = learn_coverage(score, ok, t->n_scored, 0.02);
    r->coverage_at_5 = learn_coverage(score, ok, t->n_scored, 0.05);
    r->evidence = t->o->evidence;
    learn_certify(score, ok, t->n_scored, t->o->target_error, t->o->delta, 0, &r->certificate);
    learn_report_count(r, h);
}

static enum fail train(struct training *t, struct learn_report *r, struct fault *why)
{
    struct learn_head *h = t->h;
    int64_t start = clock_monotonic_us();
    enum fail f = collect_labels(t, why);
    if (f != FAIL_NONE) {
        return f;
    }
    deal_parts(t);
    struct learn_options o = *t->o;
    if (o.max_features > LEARN_MAX_CELLS / h->stride) {
        o.max_features = LEARN_MAX_CELLS / h->stride;
    }
    f = learn_matrix_build(&t->m, &h->vocabulary, t->ex, t->n, &o, why);
    if (f != FAIL_NONE) {
        return f;
    }
    h->dim = t->m.dim;
    h->embedding_weight = (double)(float)o.embedding_weight;
    h->word_weight = (double)(float)o.word_weight;
    h->char_weight = (double)(float)o.char_weight;
    h->evidence = o.evidence;
    t->logits = mem_alloc_array(t->n_scored * h->stride, sizeof(*t->logits));
    t->voters = mem_alloc_array(t->n_scored, sizeof(*t->voters));
    if (!fit(t)) {
        return FAULT(why, FAIL_STOPPED, "training was cancelled");
    }
    remember(t);
    measure_neighbours(t);
    AUTO_FREE float *p = mem_alloc_array(2 * h->stride, sizeof(*p));
    fill_report(t, p, r);
    struct buf json;
    buf_init(&json, (size_t)1 << 20);
    learn_report_json(r, &json); /* without the time it took: equal input, equal bytes */
    r->train_ms = clock_ms_since(start);
    h->report = buf_take(&json);
    return learn_head_seal(h, why);
}

enum fail learn_train(const struct learn_example *examples, size_t n,
                      const struct learn_options *options, const struct learn_progress *progress,
                      struct learn_head **out, struct learn_report *report, struct fault *why)
{
    enum fail f = check_options(options, why);
    f = f == FAIL_NONE ? check_examples(examples, n, options, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    struct learn_report r = {0};
    struct learn_options o = *options;
    o.folds = o.folds == 0 ? (n <= 2000 ? 10 : 5) : o.folds;
    struct training t = {.ex = examples, .n = n, .o = &o, .progress = progress,
                         .total = (o.folds + 1) * o.max_epochs};
    t.h = mem_alloc(sizeof(*t.h));
    t.truth = mem_alloc_array(n, sizeof(*t.truth));
    t.weight = mem_alloc_array(n, sizeof(*t.weight));
    t.scored = mem_alloc_array(n, sizeof(*t.scored));
    t.scored_truth = mem_alloc_array(n, sizeof(*t.scored_truth));
    t.part = mem_alloc_array(n, 1);
    f = train(&t, &r, why);
    learn_matrix_done(&t.m);
    mem_free(t.truth);
    mem_free(t.weight);
    mem_free(t.scored);
    mem_free(t.scored_truth);
    mem_free(t.part);
    mem_free(t.logits);
    mem_free(t.voters);
    if (f != FAIL_NONE) {
        learn_report_done(&r);
        learn_head_free(t.h);
        return f;
    }
    *out = t.h;
    if (report != NULL) {
        *report = r;
    } else {
        learn_report_done(&r);
    }
    return FAIL_NONE;
}
