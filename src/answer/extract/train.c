/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Train: weights from examples, out of fold and on all; calibration; what is reported.
 *
 * Minimises sum_i -ln p(right segments of text i) + ridge/2 |w|^2, p the softmax over the text's
 * segments and none, by AdaGrad (Duchi, Hazan and Singer, "Adaptive subgradient methods", 2011)
 * over single examples in a shuffled order. Where a value stands several times, all its places are
 * right. The score of a segment is a sum over token rows, so one example costs its tokens and
 * segments, not segments times tokens. An example whose value is no candidate teaches nothing and
 * counts as wrong.
 *
 * Owns the set while training. Threads: the caller's. Limits: MAX_CELLS.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/extract/extract_internal.h"
#include "base/clock/clock.h"

#define MAX_CELLS ((size_t)64 << 20) /* features of all examples */
#define MAX_COUNTED ((size_t)6 << 20) /* distinct features while counting; rare ones are dropped */
#define NEGLIGIBLE 1e-5F

/* ---- features counted ---- */

struct counted {
    uint64_t key;
    uint32_t df, last; /* last: the example that counted last, + 1 */
};
struct counter {
    struct counted *slot;
    size_t mask, n;
};

static struct counted *counter_at(struct counter *c, uint64_t key)
{
    size_t k = key & c->mask;
    while (c->slot[k].df != 0 && c->slot[k].key != key) {
        k = (k + 1) & c->mask;
    }
    return &c->slot[k];
}

/* Twice the room; when there are too many, those seen once go (lossy counting). */
static void counter_grow(struct counter *c)
{
    struct counter old = *c;
    bool drop = old.n >= MAX_COUNTED;
    c->mask = c->slot == NULL ? 4095 : drop ? old.mask : 2 * old.mask + 1;
    c->slot = mem_alloc_array(c->mask + 1, sizeof(*c->slot));
    c->n = 0;
    for (size_t i = 0; old.slot != NULL && i <= old.mask; i++) {
        if (old.slot[i].df > (drop ? 1U : 0U)) {
            *counter_at(c, old.slot[i].key) = old.slot[i];
            c->n++;
        }
    }
    mem_free(old.slot);
}

static void count_rows(struct counter *c, const struct rows *r, uint32_t example)
{
    for (size_t i = 0; i < r->keys; i++) {
        if (c->slot == NULL || 2 * c->n >= c->mask) {
            counter_grow(c);
        }
        struct counted *x = counter_at(c, r->key[i]);
        c->n += x->df == 0;
        x->key = r->key[i];
        x->df += x->last != example;
        x->last = example;
    }
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void keep_counted(const struct counter *c, unsigned min_df, struct extract_head *h)
{
    for (;; min_df++) {
        h->n = 0;
        for (size_t i = 0; c->slot != NULL && i <= c->mask; i++) {
            h->n += c->slot[i].df >= min_df;
        }
        if (h->n <= EXTRACT_MAX_FEATURES) {
            break;
        }
    }
    h->key = mem_alloc_array(h->n + 1, sizeof(*h->key));
    size_t n = 0;
    for (size_t i = 0; c->slot != NULL && i <= c->mask; i++) {
        if (c->slot[i].df >= min_df) {
            h->key[n++] = c->slot[i].key;
        }
    }
    qsort(h->key, n, sizeof(*h->key), compare_keys);
    extract_head_index(h);
}

/* ---- examples as places of known features ---- */

struct lean {
    uint32_t *id, *start;
};
struct item {
    struct lean first, last, inside, whole, none;
    struct {
        uint32_t from, to;
    } *segment;
    bool *gold;
    size_t tokens, segments;
    size_t golds; /* segments that are right */
    bool none_right;
    uint8_t part;
};

struct training {
    const struct extract_example *ex;
    size_t n;
    const struct extract_options *o;
    const struct learn_progress *progress;
    int done, total;
    struct extract_head *h;
    struct item *item;
    size_t cells;
    float *w, *g2;                     /* weights and sums of squared gradients */
    float *z, *part;                   /* scratch: of segments, of tokens */
    size_t z_room, part_room;
    struct best *best; /* out of fold */
};

static void lean_from(struct training *t, const struct rows *r, struct lean *out)
{
    size_t n = 0;
    out->start = mem_alloc_array(r->n + 1, sizeof(*out->start));
    out->id = mem_alloc_array(r->keys + 1, sizeof(*out->id));
    for (size_t i = 0; i < r->n; i++) {
        for (uint32_t k = r->start[i]; k < r->start[i + 1]; k++) {
            uint32_t at = extract_head_find(t->h, r->key[k]);
            if (at != UINT32_MAX) {
                out->id[n++] = at;
            }
        }
        out->start[i + 1] = (uint32_t)n;
    }
    out->id = mem_realloc(out->id, (n + 1) * sizeof(*out->id));
    t->cells += n;
}

static void lean_done(struct lean *l)
{
    mem_free(l->id);
    mem_free(l->start);
}

/* A value of an example, and its words. */
struct wanted {
    const char *value;
    struct tokens words;
};

/* Is segment i this value? As its normal form, or as it stands. */
static bool is_wanted(const struct view *v, size_t i, const struct wanted *x, struct buf *scratch)
{
    const struct segment *s = &v->segment[i];
    bool alike = s->to - s->from == x->words.len;
    for (size_t k = 0; alike && k < x->words.len; k++) {
        alike = v->t.token[s->from + k].hash == x->words.token[k].hash;
    }
    if (alike) {
        const struct token *last = &v->t.token[s->to - 1];
        size_t at = v->t.token[s->from].at;
        buf_clear(scratch);
        buf_add(scratch, v->t.text + at, last->at + last->len - at);
        alike = extract_same(EXTRACT_SPAN, scratch->data, x->value);
    }
    if (alike || v->kind == EXTRACT_ID || v->kind == EXTRACT_SPAN) {
        return alike;
    }
    buf_clear(scratch);
    extract_view_value(v, i, scratch);
    return extract_same(v->kind, scratch->data, x->value);
}

static void mark_gold(struct item *it, const struct view *v, const char *value)
{
    struct wanted x = {.value = value};
    struct buf scratch;
    buf_init(&scratch, EXTRACT_MAX_TEXT + 64);
    extract_tokens_read(&x.words, value, strlen(value));
    for (size_t k = 0; k < v->len; k++) {
        if (!it->gold[k] && is_wanted(v, k, &x, &scratch)) {
            it->gold[k] = true;
            it->golds++;
        }
    }
    extract_tokens_done(&x.words);
    buf_done(&scratch);
}

static void item_make(struct training *t, size_t i)
{
    const struct extract_example *x = &t->ex[i];
    struct item *it = &t->item[i];
    struct view v;
    extract_view_make(&v, t->o->kind, t->h->max_words, x->text, x->text_len, &x->scene);
    it->tokens = v.t.len;
    it->segments = v.len;
    it->segment = mem_alloc_array(v.len + 1, sizeof(*it->segment));
    it->gold = mem_alloc_array(v.len + 1, sizeof(*it->gold));
    it->none_right = x->value[0] == '\0';
    for (size_t k = 0; k < v.len; k++) {
        it->segment[k].from = v.segment[k].from;
        it->segment[k].to = v.segment[k].to;
    }
    if (!it->none_right) {
        mark_gold(it, &v, x->value);
        for (size_t k = 0; k < x->others_len; k++) {
            mark_gold(it, &v, x->others[k]);
        }
    }
    lean_from(t, &v.first, &it->first);
    lean_from(t, &v.last, &it->last);
    lean_from(t, &v.inside, &it->inside);
    lean_from(t, &v.whole, &it->whole);
    lean_from(t, &v.none, &it->none);
    t->z_room = v.len + 1 > t->z_room ? v.len + 1 : t->z_room;
    t->part_room = v.t.len + 2 > t->part_room ? v.t.len + 2 : t->part_room;
    uint64_t group = x->group != NULL ? extract_hash(x->group, strlen(x->group), 1)
                                      : extract_hash(x->text, x->text_len, 2);
    it->part = (uint8_t)(extract_mix(group, t->o->seed) % (unsigned)t->o->folds);
    extract_view_done(&v);
}

static void item_done(struct item *it)
{
    lean_done(&it->first);
    lean_done(&it->last);
    lean_done(&it->inside);
    lean_done(&it->whole);
    lean_done(&it->none);
    mem_free(it->segment);
    mem_free(it->gold);
}

/* ---- scores and steps ---- */

static float score_lean(const float *w, const struct lean *l, size_t i)
{
    float z = 0;
    for (uint32_t k = l->start[i]; k < l->start[i + 1]; k++) {
        z += w[l->id[k]];
    }
    return z;
}

/* Logits of all segments into t->z; returns that of none. */
static float score_item(struct training *t, const struct item *it)
{
    float *first = t->part, *last = first + t->part_room, *inside = last + t->part_room;
    inside[0] = 0;
    for (size_t i = 0; i < it->tokens && it->segments > 0; i++) {
        first[i] = score_lean(t->w, &it->first, i);
        last[i] = score_lean(t->w, &it->last, i);
        inside[i + 1] = inside[i] + score_lean(t->w, &it->inside, i);
    }
    for (size_t i = 0; i < it->segments; i++) {
        size_t from = it->segment[i].from, to = it->segment[i].to;
        t->z[i] = first[from] + last[to - 1] + inside[to] - inside[from] +
                  score_lean(t->w, &it->whole, i);
    }
    return score_lean(t->w, &it->none, 0);
}

static void step_lean(struct training *t, const struct lean *l, size_t i, float g)
{
    if (fabsf(g) < NEGLIGIBLE) {
        return;
    }
    for (uint32_t k = l->start[i]; k < l->start[i + 1]; k++) {
        uint32_t at = l->id[k];
        float x = g + (float)t->o->ridge * t->w[at];
        t->g2[at] += x * x;
        t->w[at] -= (float)t->o->rate * x / sqrtf(t->g2[at]);
    }
}

/* t->z: logits become p - q, the gradient; returns that of none. */
static float gradients(struct training *t, const struct item *it, float none)
{
    float high = none, right = 0, sum = 0;
    for (size_t i = 0; i < it->segments; i++) {
        high = t->z[i] > high ? t->z[i] : high;
    }
    for (size_t i = 0; i < it->segments; i++) {
        t->z[i] = expf(t->z[i] - high);
        sum += t->z[i];
        right += it->gold[i] ? t->z[i] : 0;
    }
    none = expf(none - high);
    sum += none;
    right += it->none_right ? none : 0;
    right = right > 1e-20F ? right : 1e-20F;
    for (size_t i = 0; i < it->segments; i++) {
        t->z[i] = t->z[i] / sum - (it->gold[i] ? t->z[i] / right : 0);
    }
    return none / sum - (it->none_right ? none / right : 0);
}

static void learn_item(struct training *t, const struct item *it)
{
    float *first = t->part, *last = first + t->part_room, *inside = last + t->part_room;
    float none = gradients(t, it, score_item(t, it));
    memset(t->part, 0, 3 * t->part_room * sizeof(*t->part));
    for (size_t i = 0; i < it->segments; i++) {
        size_t from = it->segment[i].from, to = it->segment[i].to;
        first[from] += t->z[i];
        last[to - 1] += t->z[i];
        inside[from] += t->z[i];
        inside[to] -= t->z[i];
        step_lean(t, &it->whole, i, t->z[i]);
    }
    float through = 0;
    for (size_t i = 0; i < it->tokens && it->segments > 0; i++) {
        through += inside[i];
        step_lean(t, &it->first, i, first[i]);
        step_lean(t, &it->last, i, last[i]);
        step_lean(t, &it->inside, i, through);
    }
    step_lean(t, &it->none, 0, none);
}

static uint64_t draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    return extract_mix(*state, 0x2545f4914f6cdd1dULL);
}

/* Learns from the examples outside a part (all: -1). False when cancelled. */
static bool solve(struct training *t, int part)
{
    AUTO_FREE uint32_t *order = mem_alloc_array(t->n + 1, sizeof(*order));
    uint64_t seed = t->o->seed;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct item *it = &t->item[i];
        if (it->part != part && (it->none_right || it->golds > 0)) {
            order[n++] = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < t->h->n; i++) {
        t->w[i] = 0;
        t->g2[i] = 1; /* so that a feature's first steps are as small as its gradients */
    }
    for (int epoch = 0; epoch < t->o->epochs; epoch++) {
        for (size_t i = n; i > 1; i--) {
            size_t j = draw(&seed) % i;
            uint32_t k = order[i - 1];
            order[i - 1] = order[j];
            order[j] = k;
        }
        for (size_t i = 0; i < n; i++) {
            learn_item(t, &t->item[order[i]]);
        }
        t->done++;
        if (t->progress != NULL && !t->progress->fn(t->progress->arg, t->done, t->total)) {
            return false;
        }
    }
    return true;
}

static bool fit(struct training *t)
{
    for (int part = 0; part < t->o->folds; part++) {
        if (!solve(t, part)) {
            return false;
        }
        for (size_t i = 0; i < t->n; i++) {
            if (t->item[i].part == part) {
                float none = score_item(t, &t->item[i]);
                extract_best_of(t->z, t->item[i].segments, none, &t->best[i]);
            }
        }
    }
    return solve(t, -1);
}

/* ---- calibration ---- */

/* Mean of -ln p(right) of what can be right. */
static double loss_at(const struct training *t, double temperature)
{
    double loss = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct best *b = &t->best[i];
        const struct item *it = &t->item[i];
        float high = b->n > 0 && b->top[0].z > b->none ? b->top[0].z : b->none;
        double sum = exp((double)(b->none - high) / temperature);
        double right = it->none_right ? sum : 0;
        for (size_t k = 0; k < b->n; k++) {
            double e = exp((double)(b->top[k].z - high) / temperature);
            sum += e;
            right += it->gold[b->top[k].segment] ? e : 0;
        }
        sum += exp((double)(b->rest - high) / temperature);
        if (it->none_right || it->golds > 0) {
            loss -= log(right / sum > 1e-6 ? right / sum : 1e-6);
        }
    }
    return loss;
}

static float fit_temperature(const struct training *t)
{
    double best = 1, lowest = loss_at(t, 1);
    for (double x = 0.5; x < 6; x *= 1.08) {
        double loss = loss_at(t, x);
        if (loss < lowest) {
            lowest = loss;
            best = x;
        }
    }
    return (float)best;
}

/* Platt's scaling of the probabilities, by Newton's method with his smoothed targets. */
static void fit_platt(const float *p, const bool *right, size_t n, struct tuning *out)
{
    double good = 0, a = 1, b = 0;
    for (size_t i = 0; i < n; i++) {
        good += right[i];
    }
    double hi = (good + 1) / (good + 2), lo = 1 / ((double)n - good + 2);
    for (int round = 0; round < 40; round++) {
        double ga = 1e-2 * (a - 1), gb = 1e-2 * b, haa = 1e-2, hbb = 1e-2, hab = 0;
        for (size_t i = 0; i < n; i++) {
            double q = p[i] < 1e-6F ? 1e-6 : p[i] > 1 - 1e-6F ? 1 - 1e-6 : (double)p[i];
            double x = log(q / (1 - q));
            double y = 1 / (1 + exp(-(a * x + b)));
            double d = y - (right[i] ? hi : lo), w = y * (1 - y);
            ga += d * x;
            gb += d;
            haa += w * x * x;
            hab += w * x;
            hbb += w;
        }
        double det = haa * hbb - hab * hab;
        a -= (hbb * ga - hab * gb) / det;
        b -= (haa * gb - hab * ga) / det;
    }
    bool sane = isfinite(a) && isfinite(b) && a > 0.05 && a < 20 && fabs(b) < 20;
    out->slope = sane ? (float)a : 1;
    out->offset = sane ? (float)b : 0;
}

/* ---- the report ---- */

static bool is_right(const struct training *t, size_t i, const struct view *v,
                     const struct extract_answer *a)
{
    const struct item *it = &t->item[i];
    struct buf value;
    bool right = false;
    if (a->top[0].value[0] == '\0') {
        return it->none_right;
    }
    buf_init(&value, EXTRACT_MAX_TEXT + 64);
    for (size_t k = 0; k < t->best[i].n && !right; k++) {
        if (it->gold[t->best[i].top[k].segment]) {
            buf_clear(&value);
            extract_view_value(v, t->best[i].top[k].segment, &value);
            right = extract_same(v->kind, value.data, a->top[0].value);
        }
    }
    buf_done(&value);
    return right;
}

static void answer_all(struct training *t, struct extract_report *r, float *p, float *raw,
                       bool *right, bool *cut)
{
    struct tuning plain = {1, 1, 0}, warm = {t->h->tuning.temperature, 1, 0};
    for (size_t i = 0; i < t->n; i++) {
        struct view v;
        struct extract_answer a;
        struct extract_oof *o = &r->oof[i];
        extract_view_make(&v, t->o->kind, t->h->max_words, t->ex[i].text, t->ex[i].text_len,
                          &t->ex[i].scene);
        extract_answer_make(&v, &t->best[i], &plain, &a);
        raw[i] = (float)a.confidence;
        extract_answer_done(&a);
        extract_answer_make(&v, &t->best[i], &warm, &a);
        p[i] = (float)a.top[0].p;
        cut[i] = a.cut;
        right[i] = is_right(t, i, &v, &a);
        *o = (struct extract_oof){.given = !t->item[i].none_right, .right = right[i],
                                  .reachable = t->item[i].golds > 0,
                                  .answered = a.top[0].value[0] != '\0',
                                  .at = a.top[0].at, .len = a.top[0].len};
        extract_answer_done(&a);
        extract_view_done(&v);
    }
}

static void count_all(struct extract_report *r, size_t n)
{
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        const struct extract_oof *o = &r->oof[i];
        r->given += o->given;
        r->reachable += o->reachable;
        r->answered += o->answered;
        r->right_values += o->answered && o->right;
        right += o->right;
    }
    r->n = n;
    r->accuracy = (double)right / (double)n;
    r->precision = r->answered == 0 ? 0 : (double)r->right_values / (double)r->answered;
    r->recall = r->given == 0 ? 0 : (double)r->right_values / (double)r->given;
    double sum = r->precision + r->recall;
    r->f1 = sum > 0 ? 2 * r->precision * r->recall / sum : 0;
}

/* The threshold must hold for the values that are answered, as well as for all answers: texts that
   have no value are easy, and would pay for wrong values. The stricter of the two is what
   counts. */
static void certify(const struct training *t, const float *p, const bool *right,
                    struct extract_report *r)
{
    AUTO_FREE float *score = mem_alloc_array(t->n, sizeof(*score));
    AUTO_FREE bool *ok = mem_alloc_array(t->n, sizeof(*ok));
    struct learn_certificate values, *all = &r->certificate;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (r->oof[i].answered) {
            score[n] = p[i];
            ok[n++] = right[i];
        }
    }
    learn_certify(p, right, t->n, t->o->target_error, t->o->delta, all);
    learn_certify(score, ok, n, t->o->target_error, t->o->delta, &values);
    if (!all->certified || (values.certified && values.threshold <= all->threshold)) {
        return;
    }
    all->certified = values.certified;
    all->threshold = values.threshold;
    all->accepted = all->errors = 0;
    for (size_t i = 0; i < t->n && values.certified; i++) {
        bool over = (double)p[i] >= values.threshold;
        all->accepted += over;
        all->errors += over && !right[i];
    }
    all->coverage = (double)all->accepted / (double)t->n;
}

static void fill_report(struct training *t, struct extract_report *r)
{
    AUTO_FREE float *p = mem_alloc_array(t->n, sizeof(*p));
    AUTO_FREE float *raw = mem_alloc_array(t->n, sizeof(*raw));
    AUTO_FREE bool *right = mem_alloc_array(t->n, sizeof(*right));
    AUTO_FREE bool *cut = mem_alloc_array(t->n, sizeof(*cut));
    r->kind = t->o->kind;
    r->evidence = t->o->evidence;
    r->features = t->h->n;
    r->oof = mem_alloc_array(t->n, sizeof(*r->oof));
    t->h->tuning.temperature = fit_temperature(t);
    answer_all(t, r, p, raw, right, cut);
    fit_platt(p, right, t->n, &t->h->tuning);
    for (size_t i = 0; i < t->n; i++) {
        p[i] = (float)(extract_tune(&t->h->tuning, (double)p[i]) * (cut[i] ? 0.5 : 1));
        r->oof[i].confidence = p[i];
    }
    count_all(r, t->n);
    r->ece = learn_ece(p, right, t->n);
    r->ece_raw = learn_ece(raw, right, t->n);
    r->coverage_at_1 = learn_coverage(p, right, t->n, 0.01);
    r->coverage_at_2 = learn_coverage(p, right, t->n, 0.02);
    r->coverage_at_5 = learn_coverage(p, right, t->n, 0.05);
    certify(t, p, right, r);
}

/* ---- all of it ---- */

struct extract_options extract_defaults(enum extract_kind kind)
{
    return (struct extract_options){.kind = kind, .seed = 1, .folds = 5, .epochs = 12,
                                    .rate = 0.4, .ridge = 1e-3, .min_df = 2,
                                    .target_error = 0.02, .delta = 0.05};
}

static enum fail check(const struct extract_example *ex, size_t n, const struct extract_options *o,
                       struct fault *why)
{
    size_t given = 0;
    if (n > EXTRACT_MAX_EXAMPLES) {
        return FAULT(why, FAIL_TOO_LARGE, "%zu examples are more than %d", n, EXTRACT_MAX_EXAMPLES);
    }
    bool ok = o->kind < EXTRACT_KIND_COUNT && o->folds >= 2 && o->folds <= 20 && o->epochs >= 1 &&
              o->epochs <= 1000 && o->rate > 0 && o->ridge >= 0 && o->min_df >= 2 &&
              o->target_error > 0 && o->target_error < 1 && o->delta > 0 && o->delta < 1;
    if (!ok) {
        return FAULT(why, FAIL_BAD_REQUEST, "an option is out of range");
    }
    for (size_t i = 0; i < n; i++) {
        given += ex[i].value[0] != '\0';
    }
    if (n < 4 || given == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%zu examples, %zu of them with a value, are too few", n,
              given);
        return fail_hint(why, "Give at least 4 texts, some with the value as it stands in them.");
    }
    return FAIL_NONE;
}

/* How many words the values have. */
static unsigned words_of(const struct extract_example *ex, size_t n)
{
    size_t most = 1;
    for (size_t i = 0; i < n; i++) {
        struct tokens t;
        size_t words = 0;
        extract_tokens_read(&t, ex[i].value, strnlen(ex[i].value, 400));
        for (size_t k = 0; k < t.len; k++) {
            words += t.token[k].class != TOKEN_OTHER;
        }
        most = words > most ? words : most;
        extract_tokens_done(&t);
    }
    return (unsigned)(most < EXTRACT_MAX_WORDS ? most : EXTRACT_MAX_WORDS);
}

static enum fail read_all(struct training *t, struct fault *why)
{
    struct counter c = {0};
    for (size_t i = 0; i < t->n; i++) {
        struct view v;
        const struct extract_example *x = &t->ex[i];
        extract_view_make(&v, t->o->kind, t->h->max_words, x->text, x->text_len, &x->scene);
        const struct rows *all[] = {&v.first, &v.last, &v.inside, &v.whole, &v.none};
        for (size_t k = 0; k < COUNT_OF(all); k++) {
            count_rows(&c, all[k], (uint32_t)i + 1);
        }
        extract_view_done(&v);
    }
    keep_counted(&c, t->o->min_df, t->h);
    mem_free(c.slot);
    size_t reachable = 0;
    for (size_t i = 0; i < t->n; i++) {
        item_make(t, i);
        reachable += t->item[i].golds > 0;
        if (t->cells > MAX_CELLS) {
            FAULT(why, FAIL_TOO_LARGE, "the examples are too long together");
            return fail_hint(why, "Learn from fewer texts, or cut quoted history out of them.");
        }
    }
    if (reachable == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "no value is found in its text as %s",
              extract_kind_name(t->o->kind));
        return fail_hint(why, "Write a value as it stands in the text, or as its normal form.");
    }
    return FAIL_NONE;
}

/* What has no weight is left out. */
static void keep_weights(struct training *t)
{
    struct extract_head *h = t->h;
    size_t n = 0;
    h->weight = mem_alloc_array(h->n + 1, sizeof(*h->weight));
    for (size_t i = 0; i < h->n; i++) {
        if (fabsf(t->w[i]) > 1e-4F) {
            h->key[n] = h->key[i];
            h->weight[n++] = t->w[i];
        }
    }
    h->n = n;
    mem_free(h->slot);
    extract_head_index(h);
}

static enum fail train(struct training *t, struct extract_report *r, struct fault *why)
{
    int64_t start = clock_monotonic_us();
    t->h->max_words = words_of(t->ex, t->n);
    enum fail f = read_all(t, why);
    if (f != FAIL_NONE) {
        return f;
    }
    t->w = mem_alloc_array(t->h->n + 1, sizeof(*t->w));
    t->g2 = mem_alloc_array(t->h->n + 1, sizeof(*t->g2));
    t->z = mem_alloc_array(t->z_room, sizeof(*t->z));
    t->part = mem_alloc_array(3 * t->part_room, sizeof(*t->part));
    t->best = mem_alloc_array(t->n, sizeof(*t->best));
    if (!fit(t)) {
        return FAULT(why, FAIL_STOPPED, "training was cancelled");
    }
    fill_report(t, r);
    keep_weights(t);
    struct buf json;
    buf_init(&json, (size_t)1 << 16);
    extract_report_json(r, &json); /* without the time it took: equal input, equal bytes */
    r->train_ms = clock_ms_since(start);
    t->h->report = buf_take(&json);
    return extract_head_seal(t->h, why);
}

enum fail extract_train(const struct extract_example *examples, size_t n,
                        const struct extract_options *options,
                        const struct learn_progress *progress, struct extract_head **out,
                        struct extract_report *report, struct fault *why)
{
    enum fail f = check(examples, n, options, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct extract_report r = {0};
    struct training t = {.ex = examples, .n = n, .o = options, .progress = progress,
                         .total = (options->folds + 1) * options->epochs};
    t.h = mem_alloc(sizeof(*t.h));
    t.h->kind = options->kind;
    t.item = mem_alloc_array(n, sizeof(*t.item));
    f = train(&t, &r, why);
    for (size_t i = 0; i < n; i++) {
        item_done(&t.item[i]);
    }
    mem_free(t.item);
    mem_free(t.w);
    mem_free(t.g2);
    mem_free(t.z);
    mem_free(t.part);
    mem_free(t.best);
    if (f != FAIL_NONE) {
        extract_report_done(&r);
        extract_head_free(t.h);
        return f;
    }
    *out = t.h;
    if (report != NULL) {
        *report = r;
    } else {
        extract_report_done(&r);
    }
    return FAIL_NONE;
}
