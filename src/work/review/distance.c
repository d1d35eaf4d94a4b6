/* SPDX-License-Identifier: Apache-2.0 */
/* Edit distance: Myers' bit vectors in blocks of 64 (Hyyrö, "Explaining and extending the
   bit-parallel approximate string matching algorithm of Myers", 2001; block form 2003). */
#include <string.h>

#include "work/review/review.h"

#define CUT 8000
#define SLOTS 16384 /* a power of two, at least twice CUT */

struct pattern {
    uint32_t *keys;  /* code point + 1; 0: free */
    uint32_t *index; /* into masks */
    uint64_t *masks; /* distinct code points x blocks: where the pattern has it */
    size_t blocks;
    size_t distinct;
};

static size_t code_points(const char *s, uint32_t *out)
{
    size_t n = strlen(s);
    size_t len = 0;
    for (size_t i = 0; i < n && len < CUT;) {
        size_t step = text_utf8_decode(s + i, n - i, &out[len]);
        if (step == 0) {
            out[len] = (unsigned char)s[i];
            step = 1;
        }
        i += step;
        len++;
    }
    return len;
}

static size_t slot_of(const struct pattern *p, uint32_t cp)
{
    size_t i = cp * 2654435761U % SLOTS;
    while (p->keys[i] != 0 && p->keys[i] != cp + 1) {
        i = (i + 1) % SLOTS;
    }
    return i;
}

static void pattern_init(struct pattern *p, const uint32_t *text, size_t n)
{
    p->keys = mem_alloc_array(SLOTS, sizeof(*p->keys));
    p->index = mem_alloc_array(SLOTS, sizeof(*p->index));
    p->blocks = (n + 63) / 64;
    p->distinct = 1; /* row 0 stays empty: for what the pattern lacks */
    for (size_t i = 0; i < n; i++) {
        size_t s = slot_of(p, text[i]);
        if (p->keys[s] == 0) {
            p->keys[s] = text[i] + 1;
            p->index[s] = (uint32_t)p->distinct++;
        }
    }
    p->masks = mem_alloc_array(p->distinct * p->blocks, sizeof(*p->masks));
    for (size_t i = 0; i < n; i++) {
        p->masks[p->index[slot_of(p, text[i])] * p->blocks + i / 64] |= 1ULL << (i % 64);
    }
}

static void pattern_done(struct pattern *p)
{
    mem_free(p->keys);
    mem_free(p->index);
    mem_free(p->masks);
}

struct column {
    uint64_t plus;
    uint64_t minus;
};

/* One block of one column; in and out are the horizontal differences at its edges. */
static int advance(struct column *b, uint64_t eq, uint64_t high, int in)
{
    uint64_t xv = eq | b->minus;
    eq |= (uint64_t)(in < 0);
    uint64_t xh = (((eq & b->plus) + b->plus) ^ b->plus) | eq;
    uint64_t ph = b->minus | ~(xh | b->plus);
    uint64_t mh = b->plus & xh;
    int out = (ph & high) != 0 ? 1 : (mh & high) != 0 ? -1 : 0;
    ph = ph << 1 | (uint64_t)(in > 0);
    mh = mh << 1 | (uint64_t)(in < 0);
    b->plus = mh | ~(xv | ph);
    b->minus = ph & xv;
    return out;
}

static size_t distance(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    if (n == 0 || m == 0) {
        return n + m;
    }
    struct pattern p;
    pattern_init(&p, a, n);
    struct column *columns = mem_alloc_array(p.blocks, sizeof(*columns));
    for (size_t k = 0; k < p.blocks; k++) {
        columns[k].plus = UINT64_MAX;
    }
    int64_t score = (int64_t)n;
    uint64_t last_high = 1ULL << ((n - 1) % 64);
    for (size_t j = 0; j < m; j++) {
        size_t s = slot_of(&p, b[j]);
        const uint64_t *eq = p.masks + (p.keys[s] != 0 ? p.index[s] : 0) * p.blocks;
        int carry = 1;
        for (size_t k = 0; k < p.blocks; k++) {
            carry = advance(&columns[k], eq[k], k + 1 < p.blocks ? 1ULL << 63 : last_high, carry);
        }
        score += carry;
    }
    mem_free(columns);
    pattern_done(&p);
    return (size_t)score;
}

double review_edit_distance(const char *a, const char *b)
{
    AUTO_FREE uint32_t *x = mem_alloc_array(CUT, sizeof(*x));
    AUTO_FREE uint32_t *y = mem_alloc_array(CUT, sizeof(*y));
    size_t n = code_points(a, x);
    size_t m = code_points(b, y);
    size_t longer = n > m ? n : m;
    size_t start = 0;
    while (start < n && start < m && x[start] == y[start]) {
        start++;
    }
    while (n > start && m > start && x[n - 1] == y[m - 1]) {
        n--;
        m--;
    }
    return longer == 0
               ? 0
               : (double)distance(x + start, n - start, y + start, m - start) / (double)longer;
}
