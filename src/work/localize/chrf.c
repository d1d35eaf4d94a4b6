/* SPDX-License-Identifier: Apache-2.0 */
/* chrF (Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"): n-grams of
   characters, white space taken out, n 1 to 6, beta 2; precision and recall are averaged over the
   orders that both sides have (sacrebleu's effective order). Threads: none. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/localize_internal.h"

#define ORDERS 6
#define BETA2 4.0

static uint32_t *characters(const char *s, size_t *n)
{
    size_t len = strlen(s);
    uint32_t *out = mem_alloc_array(len + 1, sizeof(*out)), cp = 0;
    *n = 0;
    for (size_t i = 0, k; i < len && (k = text_utf8_decode(s + i, len - i, &cp)) > 0; i += k) {
        bool space = cp == ' ' || (cp >= 9 && cp <= 13) || cp == 0xA0 || cp == 0x202F ||
                     cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200A);
        if (!space) {
            out[(*n)++] = cp;
        }
    }
    return out;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Hashes of all n-grams, sorted. */
static uint64_t *grams(const uint32_t *s, size_t n, size_t order, size_t *count)
{
    *count = n >= order ? n - order + 1 : 0;
    uint64_t *out = mem_alloc_array(*count + 1, sizeof(*out));
    for (size_t i = 0; i < *count; i++) {
        out[i] = localize_hash(0, (const char *)(s + i), order * sizeof(*s));
    }
    qsort(out, *count, sizeof(*out), compare);
    return out;
}

void localize_chrf_add(struct localize_chrf *c, const char *hypothesis, const char *reference)
{
    size_t h_len, r_len;
    uint32_t *h = characters(hypothesis, &h_len), *r = characters(reference, &r_len);
    for (size_t order = 1; order <= ORDERS; order++) {
        size_t a_len, b_len, i = 0, j = 0;
        uint64_t *a = grams(h, h_len, order, &a_len), *b = grams(r, r_len, order, &b_len);
        while (i < a_len && j < b_len) {
            if (a[i] == b[j]) {
                c->match[order - 1]++;
                i++;
                j++;
            } else if (a[i] < b[j]) {
                i++;
            } else {
                j++;
            }
        }
        c->hypothesis[order - 1] += a_len;
        c->reference[order - 1] += b_len;
        mem_free(a);
        mem_free(b);
    }
    mem_free(h);
    mem_free(r);
}

double localize_chrf_score(const struct localize_chrf *c)
{
    double p = 0, r = 0;
    int orders = 0;
    for (int i = 0; i < ORDERS; i++) {
        if (c->hypothesis[i] > 0 && c->reference[i] > 0) {
            p += (double)c->match[i] / (double)c->hypothesis[i];
            r += (double)c->match[i] / (double)c->reference[i];
            orders++;
        }
    }
    if (orders == 0 || p + r <= 0) {
        return 0;
    }
    p /= orders;
    r /= orders;
    return 100 * (1 + BETA2) * p * r / (BETA2 * p + r);
}

double localize_chrf(const char *hypothesis, const char *reference)
{
    struct localize_chrf c = {0};
    localize_chrf_add(&c, hypothesis, reference);
    return localize_chrf_score(&c);
}
