/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: the examples a head remembers as rounded vectors, and the nearest of them.
 *
 * Owns its arrays. Threads: immutable once indexed. Limits: LEARN_MAX_NEIGHBOURS rows,
 * LEARN_MAX_SCAN of them compared in one search (evenly thinned beyond).
 */
#include "answer/learn/learn_internal.h"

#include <math.h>
#include <string.h>

void learn_store_done(struct learn_store *s)
{
    for (size_t i = 0; s->ref != NULL && i < s->n; i++) {
        mem_free(s->ref[i]);
    }
    mem_free(s->ref);
    mem_free(s->row);
    mem_free(s->scale);
    mem_free(s->example);
    mem_free(s->label);
    mem_free(s->by_label);
    mem_free(s->first);
}

void learn_store_index(struct learn_store *s, size_t labels)
{
    s->first = mem_alloc_array(labels + 1, sizeof(*s->first));
    s->by_label = mem_alloc_array(s->n + 1, sizeof(*s->by_label));
    for (size_t i = 0; i < s->n; i++) {
        s->first[s->label[i] + 1]++;
    }
    for (size_t k = 0; k < labels; k++) {
        s->first[k + 1] += s->first[k];
    }
    AUTO_FREE uint32_t *next = mem_dup(s->first, (labels + 1) * sizeof(*next));
    for (size_t i = 0; i < s->n; i++) {
        s->by_label[next[s->label[i]]++] = (uint32_t)i;
    }
}

size_t learn_insert(uint32_t *place, float *value, size_t n, size_t want, uint32_t at, float x)
{
    if (n == want && x <= value[n - 1]) {
        return n;
    }
    size_t i = n < want ? n++ : n - 1;
    while (i > 0 && value[i - 1] < x) {
        value[i] = value[i - 1];
        place[i] = place[i - 1];
        i--;
    }
    value[i] = x;
    place[i] = at;
    return n;
}

size_t learn_store_nearest(const struct learn_store *s, const float *x, const uint32_t *labels,
                           size_t n_labels, const uint8_t *part, int skip, size_t want,
                           uint32_t *place, float *cosine)
{
    if (s->n == 0 || want == 0) {
        return 0;
    }
    int8_t rounded[LEARN_MAX_DIM];
    float scale = learn_round8(x, s->dim, rounded);
    size_t rows = 0;
    for (size_t k = 0; k < n_labels; k++) {
        rows += s->first[labels[k] + 1] - s->first[labels[k]];
    }
    size_t stride = rows / LEARN_MAX_SCAN + 1;
    size_t found = 0;
    for (size_t k = 0; k < n_labels; k++) {
        for (size_t i = s->first[labels[k]]; i < s->first[labels[k] + 1]; i += stride) {
            uint32_t at = s->by_label[i];
            if (part != NULL && part[s->example[at]] == skip) {
                continue;
            }
            int32_t dot = learn_dot8(rounded, s->row + (size_t)at * (size_t)s->dim, s->dim);
            float c = (float)dot * scale * s->scale[at];
            found = learn_insert(place, cosine, found, want, at, c);
        }
    }
    return found;
}
