/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training of the tagger: multinomial logistic regression over the hashed features, by stochastic
 * gradients with per-weight rates (AdaGrad, Duchi et al. 2011), then stored in bytes.
 *
 * Owns nothing. Threads: pure; a run over 10,000 sentences takes seconds. Limits: GUARD_MAX_TEXT a
 * text; memory is 8 bytes a weight while it trains.
 */
#include "trust/guard/guard_internal.h"
#include "trust/guard/tagger_internal.h"

#include <math.h>
#include <string.h>

#define RATE 0.25f
#define SHRINK 2e-6f /* of a weight, at each step that touches it */

struct row {
    uint32_t f[TAG_FEATURES];
    uint8_t n, label;
};

struct training {
    float (*w)[TAG_LABELS];
    float (*g)[TAG_LABELS]; /* sums of squared gradients */
    struct row *rows;
    size_t n, room;
    uint64_t seed;
};

static uint32_t draw(struct training *t)
{
    t->seed = t->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(t->seed >> 33);
}

/* ---- rows ---- */

static enum tag_label label_at(const struct guard_example *e, const struct tag_token *t)
{
    for (size_t i = 0; i < e->labels_n; i++) {
        if (t->from < e->labels[i].to && t->to > e->labels[i].from) {
            return tag_label_of(e->labels[i].kind);
        }
    }
    return TAG_NONE;
}

static void add_example(struct training *t, const struct guard_example *e)
{
    size_t room = e->n + 1;
    struct tag_token *all = mem_alloc_array(room + 2 * TAG_REACH, sizeof(*all));
    size_t at = 0;
    size_t n = tag_tokens(e->text, e->n, &at, all + TAG_REACH, room);
    for (size_t i = 0; i < n; i++) {
        const struct tag_token *one = &all[TAG_REACH + i];
        if (!one->letters) {
            continue;
        }
        if (t->n == t->room) {
            t->room = t->room == 0 ? 4096 : t->room * 2;
            t->rows = mem_realloc(t->rows, t->room * sizeof(*t->rows));
        }
        struct row *r = &t->rows[t->n++];
        r->n = (uint8_t)tag_features(one, r->f);
        r->label = (uint8_t)label_at(e, one);
    }
    mem_free(all);
}

/* ---- learning ---- */

static void step(struct training *t, const struct row *r)
{
    float z[TAG_LABELS] = {0};
    float top = -1e9f;
    float sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        for (int k = 0; k < TAG_LABELS; k++) {
            z[k] += t->w[r->f[i]][k];
        }
    }
    for (int k = 0; k < TAG_LABELS; k++) {
        top = z[k] > top ? z[k] : top;
    }
    for (int k = 0; k < TAG_LABELS; k++) {
        z[k] = expf(z[k] - top);
        sum += z[k];
    }
    for (int k = 0; k < TAG_LABELS; k++) {
        float d = z[k] / sum - (k == r->label ? 1.0f : 0.0f);
        for (size_t i = 0; i < r->n; i++) {
            float *w = &t->w[r->f[i]][k];
            float *g = &t->g[r->f[i]][k];
            float all = d + SHRINK * *w;
            *g += all * all;
            *w -= RATE * all / (sqrtf(*g) + 1e-6f);
        }
    }
}

static struct guard_tagger *store(const struct training *t, int lead)
{
    struct guard_tagger *m = mem_alloc(sizeof(*m));
    m->lead = lead;
    for (size_t b = 0; b < TAG_BUCKETS; b++) {
        for (int k = 0; k < TAG_LABELS; k++) {
            float v = roundf(t->w[b][k] * TAG_SCALE);
            m->weights[b][k] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
        }
    }
    return m;
}

struct guard_tagger *guard_tagger_train(const struct guard_example *examples, size_t n, int rounds,
                                        double lead)
{
    struct training t = {.seed = 20261122};
    for (size_t i = 0; i < n; i++) {
        if (examples[i].n <= GUARD_MAX_TEXT) {
            add_example(&t, &examples[i]);
        }
    }
    t.w = mem_alloc_array(TAG_BUCKETS, sizeof(*t.w));
    t.g = mem_alloc_array(TAG_BUCKETS, sizeof(*t.g));
    for (int r = 0; r < rounds; r++) {
        for (size_t i = t.n; i > 1; i--) {
            size_t other = draw(&t) % i;
            struct row kept = t.rows[i - 1];
            t.rows[i - 1] = t.rows[other];
            t.rows[other] = kept;
        }
        for (size_t i = 0; i < t.n; i++) {
            step(&t, &t.rows[i]);
        }
    }
    struct guard_tagger *m = store(&t, (int)lround(lead * TAG_SCALE));
    mem_free(t.w);
    mem_free(t.g);
    mem_free(t.rows);
    return m;
}

/* ---- files ---- */

static const char magic[8] = "ihtag01";

void guard_tagger_free(struct guard_tagger *m)
{
    mem_free(m);
}

void guard_tagger_set_lead(struct guard_tagger *m, double lead)
{
    m->lead = (int)lround(lead * TAG_SCALE);
}

bool guard_tagger_write(const struct guard_tagger *m, struct buf *out)
{
    int8_t lead = (int8_t)m->lead;
    bool good = buf_add(out, magic, sizeof(magic)) && buf_add(out, &lead, 1);
    for (size_t b = 0; good && b < TAG_BUCKETS; b++) {
        good = buf_add(out, m->weights[b], TAG_LABELS);
    }
    return good;
}

struct guard_tagger *guard_tagger_read(const void *data, size_t n)
{
    const char *s = data;
    if (n != sizeof(magic) + 1 + (size_t)TAG_BUCKETS * TAG_LABELS ||
        memcmp(s, magic, sizeof(magic)) != 0) {
        return NULL;
    }
    struct guard_tagger *m = mem_alloc(sizeof(*m));
    m->lead = (signed char)s[sizeof(magic)];
    for (size_t b = 0; b < TAG_BUCKETS; b++) {
        memcpy(m->weights[b], s + sizeof(magic) + 1 + b * TAG_LABELS, TAG_LABELS);
    }
    return m;
}
