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
#include "answer/learn/train_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"

struct learn_options learn_defaults(void)
{
    return (struct learn_options){.seed = 1,
                                  .dim = 384,
                                  .folds = 0,
                                  .max_epochs = 30,
                                  .cost = 30,
                                  .embedding_weight = 3,
                                  .word_weight = 1,
                                  .char_weight = 1,
                                  .min_df = 2,
                                  .max_features = 150000,
                                  .refuse = 0.01,
                                  .light = 0,
                                  .target_error = 0.02,
                                  .delta = 0.05,
                                  .evidence = LEARN_EVIDENCE_HISTORY};
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
    if (!(o->refuse >= 0 && o->refuse <= 0.5) || !(o->light >= 0 && o->light <= 1)) {
        return FAULT(why, FAIL_BAD_REQUEST, "refuse must be 0 to 0.5 and light 0 to 1");
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
        if (ex[i].label == NULL && ex[i].extra) {
            return FAULT(why, FAIL_BAD_REQUEST, "example %zu is a hint without a label", i + 1);
        }
        if (ex[i].label == NULL) {
            len = 1;
        } else if (len == 0 || len > LEARN_MAX_LABEL_LEN || !text_utf8_is_valid(ex[i].label, len)) {
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

static bool is_outside(const struct learn_example *e)
{
    return e->label != NULL && strcmp(e->label, LEARN_NONE) == 0;
}

/* The distinct labels, ascending, into the head. */
static enum fail collect_labels(struct learn_training *t, struct fault *why)
{
    struct learn_head *h = t->h;
    AUTO_FREE const char **all = mem_alloc_array(t->n, sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->ex[i].label != NULL && !is_outside(&t->ex[i])) {
            all[n++] = t->ex[i].label;
        }
        h->outside = h->outside || is_outside(&t->ex[i]);
    }
    qsort(all, n, sizeof(*all), compare_names);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (k == 0 || strcmp(all[k - 1], all[i]) != 0) {
            all[k++] = all[i];
        }
    }
    if (k < 2) {
        FAULT(why, FAIL_BAD_REQUEST, "all examples have one label: there is nothing to choose");
        return fail_hint(why, "Give examples of at least two labels.");
    }
    if (k > LEARN_MAX_LABELS || (k + 8) * t->n > LEARN_MAX_CELLS) {
        return FAULT(why, FAIL_TOO_LARGE, "%zu labels over %zu examples are too many", k, t->n);
    }
    h->labels = k;
    h->stride = learn_stride(k + (h->outside ? 1 : 0));
    h->label = mem_alloc_array(k, sizeof(*h->label));
    for (size_t i = 0; i < k; i++) {
        h->label[i] = mem_dup_str(all[i]);
    }
    return FAIL_NONE;
}

static enum fail sort_examples(struct learn_training *t, struct fault *why)
{
    struct learn_head *h = t->h;
    for (size_t i = 0; i < t->n; i++) {
        const struct learn_example *e = &t->ex[i];
        t->weight[i] = e->weight > 0 ? e->weight : 1;
        if (e->label == NULL) {
            t->truth[i] = UINT32_MAX;
            t->n_traffic++;
            continue;
        }
        t->truth[i] = is_outside(e) ? (uint32_t)h->labels : learn_head_find(h, e->label);
        if (!e->extra && !is_outside(e)) {
            t->scored[t->n_scored] = (uint32_t)i;
            t->scored_truth[t->n_scored++] = t->truth[i];
        }
    }
    for (size_t i = 0; i < t->n; i++) {
        if (is_outside(&t->ex[i]) && !t->ex[i].extra) {
            t->scored[t->n_scored + t->n_outside++] = (uint32_t)i;
        }
    }
    return t->n_scored >= 4 ? FAIL_NONE
                            : FAULT(why, FAIL_BAD_REQUEST, "only %zu examples are decisions: at "
                                    "least 4 are needed", t->n_scored);
}

/* Deals each label's examples over the parts after a seeded shuffle. */
static void deal_parts(struct learn_training *t)
{
    AUTO_FREE uint32_t *order = mem_alloc_array(t->n, sizeof(*order));
    uint64_t seed = t->o->seed;
    unsigned next = 0;
    memset(t->part, LEARN_ALWAYS, t->n);
    for (size_t k = 0; k <= t->h->labels; k++) {
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

enum fail learn_train_weights(struct learn_training *t, struct fault *why)
{
    t->h = mem_alloc(sizeof(*t->h));
    t->truth = mem_alloc_array(t->n, sizeof(*t->truth));
    t->weight = mem_alloc_array(t->n, sizeof(*t->weight));
    t->scored = mem_alloc_array(t->n, sizeof(*t->scored));
    t->scored_truth = mem_alloc_array(t->n, sizeof(*t->scored_truth));
    t->part = mem_alloc_array(t->n, 1);
    struct learn_head *h = t->h;
    enum fail f = collect_labels(t, why);
    f = f == FAIL_NONE ? sort_examples(t, why) : f;
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
    h->refuse = (float)o.refuse;
    if (!learn_fit(t)) {
        return FAULT(why, FAIL_STOPPED, "training was cancelled");
    }
    learn_look(t);
    return FAIL_NONE;
}

void learn_training_done(struct learn_training *t)
{
    if (t->light != NULL) {
        learn_head_free(t->light->h);
        learn_training_done(t->light);
        mem_free(t->light);
        mem_free(t->light_ex);
    }
    learn_matrix_done(&t->m);
    mem_free(t->truth);
    mem_free(t->weight);
    mem_free(t->scored);
    mem_free(t->scored_truth);
    mem_free(t->part);
    mem_free(t->logits);
    mem_free(t->shared);
    mem_free(t->shared_w);
    mem_free(t->guess);
    mem_free(t->traffic);
    mem_free(t->kept);
    learn_graph_free(t->graph);
    mem_free(t->voters);
}

static enum fail train(struct learn_training *t, struct learn_report *r, struct fault *why)
{
    int64_t start = clock_monotonic_us();
    enum fail f = learn_train_weights(t, why);
    f = f == FAIL_NONE ? learn_light_train(t, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    struct learn_head *h = t->h;
    AUTO_FREE struct learn_said *said =
        mem_alloc_array(t->n_scored + t->n_outside, sizeof(*said));
    learn_say(t, said);
    learn_light_take(t, said, &r->light);
    learn_fill_report(t, said, r);
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
    if (o.light <= 0) {
        o.light = o.target_error < 0.05 ? 1 : fmax(0.99, 1 - o.target_error / 10);
    }
    struct learn_training t = {.ex = examples, .n = n, .o = &o, .progress = progress,
                         .total = (o.folds + 1) * o.max_epochs *
                                  (learn_light_wanted(&o, examples, n) ? 2 : 1)};
    f = train(&t, &r, why);
    learn_training_done(&t);
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
