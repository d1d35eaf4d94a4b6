/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Head: one decision, with its neighbours and how far the text is from everything known.
 *
 * Owns the head's memory. Threads: any number may predict with one head; scratch is per call.
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

void learn_head_free(struct learn_head *h)
{
    if (h == NULL) {
        return;
    }
    for (size_t i = 0; h->label != NULL && i < h->labels; i++) {
        mem_free(h->label[i]);
    }
    mem_free(h->label);
    learn_vocabulary_done(&h->vocabulary);
    mem_free(h->w);
    learn_store_done(&h->store);
    learn_head_free(h->light);
    mem_free(h->report);
    mem_free(h);
}

size_t learn_head_labels(const struct learn_head *h)
{
    return h->labels;
}

const char *learn_head_label(const struct learn_head *h, size_t i)
{
    ASSERT(i < h->labels);
    return h->label[i];
}

uint32_t learn_head_find(const struct learn_head *h, const char *label)
{
    size_t lo = 0;
    size_t hi = h->labels;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(h->label[mid], label);
        if (c == 0) {
            return (uint32_t)mid;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return UINT32_MAX;
}

bool learn_head_has_ref(const struct learn_head *h, const char *ref)
{
    for (size_t i = 0; i < h->store.n && ref[0] != '\0'; i++) {
        if (h->store.ref != NULL && strcmp(h->store.ref[i], ref) == 0) {
            return true;
        }
    }
    return false;
}

int learn_head_dim(const struct learn_head *h)
{
    return h->dim;
}

const char *learn_head_report(const struct learn_head *h)
{
    return h->report;
}

void learn_head_hash(const struct learn_head *h, uint8_t out[32])
{
    memcpy(out, h->hash, 32);
}

size_t learn_rank(const float *p, size_t labels, struct learn_choice *top, size_t want)
{
    size_t n = 0;
    for (size_t k = 0; k < labels; k++) {
        if (n == want && p[k] <= top[n - 1].p) {
            continue;
        }
        size_t i = n < want ? n++ : n - 1;
        while (i > 0 && top[i - 1].p < p[k]) {
            top[i] = top[i - 1];
            i--;
        }
        top[i].label = (uint32_t)k;
        top[i].p = p[k];
    }
    return n;
}

size_t learn_store_voters(const struct learn_head *h, const float *near, const float *z,
                          const uint8_t *part, int skip, struct learn_voters *v, uint32_t *place)
{
    struct learn_choice top[LEARN_TOP];
    uint32_t labels[LEARN_TOP];
    size_t n = learn_rank(z, h->labels, top, LEARN_TOP);
    for (size_t k = 0; k < n; k++) {
        labels[k] = top[k].label;
    }
    n = learn_store_nearest(&h->store, near, labels, n, part, skip, LEARN_VOTERS, place,
                            v->cosine);
    v->n = (uint32_t)n;
    for (size_t i = 0; i < v->n; i++) {
        v->label[i] = h->store.label[place[i]];
    }
    return v->n;
}

bool learn_predict_light(const struct learn_head *h, const char *text, size_t text_len,
                         struct learn_prediction *out)
{
    struct fault why;
    if (h->light == NULL || text_len > LEARN_LIGHT_TEXT ||
        learn_predict(h->light, text, text_len, NULL, 0, out, &why) != FAIL_NONE ||
        out->confidence < h->light_sure || out->none > LEARN_LIGHT_NONE ||
        out->known < LEARN_LIGHT_KNOWN) {
        memset(out, 0, sizeof(*out));
        return false;
    }
    out->light = true;
    float doubt = fminf(1, h->light_doubt * (1 - out->top[0].p));
    float share = out->top[0].p < 1 ? doubt / (1 - out->top[0].p) : 0;
    out->top[0].p = 1 - doubt;
    for (size_t i = 1; i < out->n_top; i++) {
        out->top[i].p *= share;
    }
    out->confidence = fmaxf(0, 1 - h->light_doubt * (1 - out->confidence));
    out->odd = learn_none_odd(h, out->none); /* one scale for both */
    out->refused = out->none >= 1 - h->refuse;
    return true;
}

static void finish(const struct learn_head *h, const float *z, const struct learn_voters *v,
                   const uint32_t *place, struct learn_prediction *out)
{
    float parts[LEARN_ODD_COUNT];
    for (size_t i = 0; i < v->n && out->n_nearest < LEARN_TOP; i++) {
        if (place[i] < h->store.decided) {
            out->nearest[out->n_nearest++] =
                (struct learn_neighbour){.ref = h->store.ref[place[i]], .label = v->label[i],
                                         .example = h->store.example[place[i]],
                                         .cosine = v->cosine[i]};
        }
    }
    out->support = v->n > 0 ? v->cosine[0] : -1;
    learn_odd_parts(h, z, out->top[0].p, v, parts);
    out->odd = learn_odd(h, parts);
    out->none = learn_none(h, out->odd);
    out->refused = out->none >= 1 - h->refuse;
    out->confidence = out->top[0].p * learn_reach(h, out->support);
}

enum fail learn_predict(const struct learn_head *h, const char *text, size_t text_len,
                        const float *embedding, int dim, struct learn_prediction *out,
                        struct fault *why)
{
    if ((embedding != NULL) != (h->dim > 0) || (embedding != NULL && dim != h->dim)) {
        FAULT(why, FAIL_BAD_REQUEST, "the head was trained with %d floats of embedding, the text "
              "came with %d", h->dim, embedding == NULL ? 0 : dim);
        return fail_hint(why, "Ask with the embedding model the head was trained on, or train it "
                         "again.");
    }
    if (learn_predict_light(h, text, text_len, out)) {
        return FAIL_NONE;
    }
    memset(out, 0, sizeof(*out));
    float dense[LEARN_MAX_DIM];
    float sketch[LEARN_SKETCH];
    double length = 0;
    for (int j = 0; j < h->dim; j++) {
        dense[j] = (float)h->embedding_weight * embedding[j];
        length += (double)embedding[j] * embedding[j];
    }
    if (h->dim > 0 && !(fabs(length - 1) <= 0.02)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the embedding is not of length 1");
    }
    struct learn_voters voters;
    uint32_t place[LEARN_VOTERS];
    struct learn_grams g;
    learn_grams_init(&g);
    learn_grams_read(&g, text, text_len);
    AUTO_FREE uint32_t *col = mem_alloc_array(g.n + 1, sizeof(*col));
    AUTO_FREE float *val = mem_alloc_array(g.n + 1, sizeof(*val));
    AUTO_FREE float *z = mem_alloc_array(3 * h->stride, sizeof(*z));
    float *p = z + h->stride;
    float *near = h->dim > 0 ? NULL : sketch;
    size_t n = learn_vocabulary_weigh(&h->vocabulary, &g, h->word_weight, h->char_weight, col, val,
                                      &out->known, near);
    learn_score(h->w, h->stride, dense, h->dim, col, val, n, z);
    learn_store_voters(h, h->dim > 0 ? embedding : sketch, z, NULL, 0, &voters, place);
    learn_combine(&h->mix, z, &voters, h->labels, p + h->stride, p);
    out->n_top = learn_rank(p, h->labels, out->top, LEARN_TOP);
    finish(h, z, &voters, place, out);
    learn_grams_done(&g);
    return FAIL_NONE;
}
