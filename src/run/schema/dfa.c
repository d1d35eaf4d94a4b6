/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema: what is done with automata over characters: products (both, neither, which of
 * several), automata of word lists, cutting off dead ends, counting lengths and words.
 * Owns: the automata it makes, their caller's. Threads: pure. Limits: SCHEMA_PATTERN_STATES_MAX.
 */
#include "run/schema/schema_internal.h"

#include <stdlib.h>
#include <string.h>

#define CLASSES_MAX 2000
#define WORDS_MAX 65535u
#define LIST_MAX (SCHEMA_PATTERNS_MAX + 2)

bool cp_is_written(uint32_t cp)
{
    return cp == '\b' || cp == '\t' || cp == '\n' || cp == '\f' || cp == '\r' ||
           (cp >= 0x20 && cp < 0xd800) || (cp >= 0xe000 && cp <= 0x10ffff);
}

struct dfa *dfa_new(unsigned n_states, unsigned n_classes)
{
    struct dfa *d = mem_alloc(sizeof *d);
    d->n_states = (uint16_t)n_states;
    d->n_classes = (uint16_t)n_classes;
    d->from = mem_alloc_array(n_classes, sizeof *d->from);
    d->next = mem_alloc_array((size_t)n_states * n_classes, sizeof *d->next);
    d->label = mem_alloc_array(n_states, sizeof *d->label);
    d->shortest = mem_alloc_array(n_states, sizeof *d->shortest);
    d->longest = mem_alloc_array(n_states, sizeof *d->longest);
    d->words = mem_alloc_array(n_states, sizeof *d->words);
    return d;
}

void dfa_free(struct dfa *d)
{
    if (d != NULL) {
        mem_free(d->from);
        mem_free(d->next);
        mem_free(d->label);
        mem_free(d->shortest);
        mem_free(d->longest);
        mem_free(d->words);
        mem_free(d);
    }
}

size_t dfa_size(const struct dfa *d)
{
    return sizeof *d + (size_t)d->n_states * (2u * d->n_classes + 14u) + 4u * d->n_classes;
}

unsigned dfa_class(const struct dfa *d, uint32_t cp)
{
    if (cp < 128) {
        return d->ascii[cp];
    }
    unsigned low = 0;
    unsigned high = d->n_classes;
    while (high - low > 1) {
        unsigned mid = (low + high) / 2;
        if (d->from[mid] <= cp) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

bool dfa_any(const struct dfa *d, unsigned state, uint32_t first, uint32_t last)
{
    for (unsigned k = dfa_class(d, first); k < d->n_classes && d->from[k] <= last; k++) {
        if (d->next[state * d->n_classes + k] != DFA_DEAD) {
            return true;
        }
    }
    return false;
}

bool dfa_is_empty(const struct dfa *d)
{
    return d->shortest[0] == NO_LENGTH;
}

uint16_t dfa_run(const struct dfa *d, const char *text, size_t n)
{
    unsigned state = 0;
    for (size_t at = 0; at < n;) {
        uint32_t cp = 0;
        size_t len = text_utf8_decode(text + at, n - at, &cp);
        if (len == 0) {
            return 0;
        }
        at += len;
        state = d->next[state * d->n_classes + dfa_class(d, cp)];
        if (state == DFA_DEAD) {
            return 0;
        }
    }
    return d->label[state];
}

/* Finishing. */

static void find_shortest(struct dfa *d)
{
    for (unsigned s = 0; s < d->n_states; s++) {
        d->shortest[s] = d->label[s] != 0 ? 0 : NO_LENGTH;
    }
    /* Breadth first over reversed edges, as rounds over a queue of predecessors. */
    unsigned n = d->n_states;
    uint32_t *count = mem_alloc_array(n + 1, sizeof *count);
    for (size_t i = 0; i < (size_t)n * d->n_classes; i++) {
        if (d->next[i] != DFA_DEAD) {
            count[d->next[i] + 1]++;
        }
    }
    for (unsigned s = 0; s < n; s++) {
        count[s + 1] += count[s];
    }
    uint16_t *before = mem_alloc_array(count[n] + 1, sizeof *before);
    uint32_t *fill = mem_dup(count, (n + 1) * sizeof *count);
    for (unsigned s = 0; s < n; s++) {
        for (unsigned k = 0; k < d->n_classes; k++) {
            uint16_t to = d->next[s * d->n_classes + k];
            if (to != DFA_DEAD) {
                before[fill[to]++] = (uint16_t)s;
            }
        }
    }
    uint16_t *queue = mem_alloc_array(n, sizeof *queue);
    unsigned head = 0;
    unsigned tail = 0;
    for (unsigned s = 0; s < n; s++) {
        if (d->label[s] != 0) {
            queue[tail++] = (uint16_t)s;
        }
    }
    while (head < tail) {
        unsigned s = queue[head++];
        for (uint32_t i = count[s]; i < count[s + 1]; i++) {
            if (d->shortest[before[i]] == NO_LENGTH) {
                d->shortest[before[i]] = d->shortest[s] + 1;
                queue[tail++] = before[i];
            }
        }
    }
    mem_free(queue);
    mem_free(fill);
    mem_free(before);
    mem_free(count);
}

/* Longest words and their number, depth first without recursion; a cycle has no longest one. */
static void find_longest(struct dfa *d)
{
    enum { NEW, OPEN, CLOSED };
    unsigned n = d->n_states;
    uint8_t *mark = mem_alloc_array(n, 1);
    uint16_t *stack = mem_alloc_array(n + 1, sizeof *stack);
    uint16_t *class = mem_alloc_array(n + 1, sizeof *class);
    for (unsigned root = 0; root < n; root++) {
        unsigned depth = 0;
        if (mark[root] == NEW && d->shortest[root] != NO_LENGTH) {
            stack[depth++] = (uint16_t)root;
            mark[root] = OPEN;
            d->words[root] = d->label[root] != 0;
        }
        while (depth > 0) {
            unsigned s = stack[depth - 1];
            unsigned k = class[s];
            if (k == d->n_classes) {
                mark[s] = CLOSED;
                depth--;
                continue;
            }
            unsigned to = d->next[s * d->n_classes + k];
            if (to != DFA_DEAD && mark[to] == NEW) {
                mark[to] = OPEN;
                d->words[to] = d->label[to] != 0;
                stack[depth++] = (uint16_t)to;
                continue; /* comes back to the same class */
            }
            class[s]++;
            if (to == DFA_DEAD) {
                continue;
            }
            if (mark[to] == OPEN || d->longest[to] == NO_LENGTH) {
                d->longest[s] = NO_LENGTH;
                d->words[s] = WORDS_MAX;
                continue;
            }
            if (d->longest[s] != NO_LENGTH && d->longest[to] + 1 > d->longest[s]) {
                d->longest[s] = d->longest[to] + 1;
            }
            uint32_t last = k + 1 < d->n_classes ? d->from[k + 1] : 0x110000;
            uint64_t words = (uint64_t)(last - d->from[k]) * d->words[to] + d->words[s];
            d->words[s] = words > WORDS_MAX ? WORDS_MAX : (uint32_t)words;
        }
    }
    /* A state inside a cycle may have been closed before the cycle was seen through another. */
    for (bool again = true; again;) {
        again = false;
        for (unsigned s = 0; s < n; s++) {
            for (unsigned k = 0; k < d->n_classes && d->longest[s] != NO_LENGTH; k++) {
                unsigned to = d->next[s * d->n_classes + k];
                if (to != DFA_DEAD && d->longest[to] == NO_LENGTH) {
                    d->longest[s] = NO_LENGTH;
                    d->words[s] = WORDS_MAX;
                    again = true;
                }
            }
        }
    }
    mem_free(class);
    mem_free(stack);
    mem_free(mark);
}

void dfa_finish(struct dfa *d)
{
    unsigned k = 0;
    for (uint32_t cp = 0; cp < 128; cp++) {
        while (k + 1 < d->n_classes && d->from[k + 1] <= cp) {
            k++;
        }
        d->ascii[cp] = (uint8_t)(k < 255 ? k : 255);
    }
    find_shortest(d);
    for (size_t i = 0; i < (size_t)d->n_states * d->n_classes; i++) {
        if (d->next[i] != DFA_DEAD && d->shortest[d->next[i]] == NO_LENGTH) {
            d->next[i] = DFA_DEAD;
        }
    }
    memset(d->longest, 0, d->n_states * sizeof *d->longest);
    memset(d->words, 0, d->n_states * sizeof *d->words);
    find_longest(d);
}

void dfa_only_plain(struct dfa *d)
{
    for (unsigned k = 0; k < d->n_classes; k++) {
        uint32_t cp = d->from[k];
        if (cp < 0x20 || cp == '"' || cp == '\\') {
            for (unsigned s = 0; s < d->n_states; s++) {
                d->next[s * d->n_classes + k] = DFA_DEAD;
            }
        }
    }
    dfa_finish(d);
}

/* Products. */

uint16_t dfa_label_all(unsigned bits, unsigned n)
{
    return bits == (1u << n) - 1;
}

uint16_t dfa_label_none(unsigned bits, unsigned n)
{
    (void)n;
    return bits == 0;
}

struct product {
    struct dfa *const *list;
    unsigned n;
    uint16_t *tuples; /* states x n */
    uint32_t *hash;
    uint32_t room;
    unsigned n_states;
};

static int product_state(struct product *p, const uint16_t *tuple)
{
    uint32_t h = 2166136261u;
    for (unsigned i = 0; i < p->n; i++) {
        h = (h ^ tuple[i]) * 16777619u;
    }
    for (uint32_t slot = h % p->room;; slot = (slot + 1) % p->room) {
        uint32_t state = p->hash[slot];
        if (state == 0) {
            if (p->n_states == SCHEMA_PATTERN_STATES_MAX) {
                return -1;
            }
            memcpy(p->tuples + (size_t)p->n_states * p->n, tuple, p->n * sizeof *tuple);
            p->hash[slot] = ++p->n_states;
            return (int)p->n_states - 1;
        }
        if (memcmp(p->tuples + (size_t)(state - 1) * p->n, tuple, p->n * sizeof *tuple) == 0) {
            return (int)state - 1;
        }
    }
}

static int by_cp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static unsigned merge_classes(struct dfa *const *list, unsigned n, uint32_t *from)
{
    static const uint32_t cuts[] = {0,   8,    11,  12,   14,     0x20,  '"',
                                    '#', '\\', ']', 0x80, 0xd800, 0xe000};
    size_t room = COUNT_OF(cuts);
    for (unsigned i = 0; i < n; i++) {
        room += list[i]->n_classes;
    }
    uint32_t *all = mem_alloc_array(room, sizeof *all);
    size_t m = COUNT_OF(cuts);
    memcpy(all, cuts, sizeof cuts);
    for (unsigned i = 0; i < n; i++) {
        memcpy(all + m, list[i]->from, list[i]->n_classes * sizeof *all);
        m += list[i]->n_classes;
    }
    qsort(all, m, sizeof *all, by_cp);
    unsigned kept = 0;
    for (size_t i = 0; i < m && kept <= CLASSES_MAX; i++) {
        if (kept == 0 || all[i] != from[kept - 1]) {
            from[kept++] = all[i];
        }
    }
    mem_free(all);
    return kept;
}

static struct dfa *take(struct product *p, const uint32_t *from, unsigned n_classes,
                        const uint16_t *next, dfa_label_fn label)
{
    struct dfa *d = dfa_new(p->n_states, n_classes);
    memcpy(d->from, from, n_classes * sizeof *from);
    memcpy(d->next, next, (size_t)p->n_states * n_classes * sizeof *next);
    d->exact = true;
    for (unsigned s = 0; s < p->n_states; s++) {
        unsigned bits = 0;
        for (unsigned i = 0; i < p->n; i++) {
            uint16_t at = p->tuples[(size_t)s * p->n + i];
            bits |= at != DFA_DEAD && p->list[i]->label[at] != 0 ? 1u << i : 0;
        }
        d->label[s] = label(bits, p->n);
    }
    for (unsigned i = 0; i < p->n; i++) {
        d->exact = d->exact && p->list[i]->exact;
    }
    dfa_finish(d);
    return d;
}

enum fail dfa_product(struct dfa *const *list, unsigned n, dfa_label_fn label, uint64_t *work,
                      struct dfa **out, struct fault *why)
{
    uint32_t *from = mem_alloc_array(CLASSES_MAX + 2, sizeof *from);
    unsigned n_classes = merge_classes(list, n, from);
    struct product p = {.list = list, .n = n, .room = SCHEMA_PATTERN_STATES_MAX * 2};
    p.tuples = mem_alloc_array((size_t)SCHEMA_PATTERN_STATES_MAX * n + 1, sizeof *p.tuples);
    p.hash = mem_alloc_array(p.room, sizeof *p.hash);
    uint16_t tuple[LIST_MAX] = {0};
    uint16_t *next = NULL;
    size_t room = 0;
    ASSERT(n <= LIST_MAX);
    bool fits = n_classes <= 250;
    (void)product_state(&p, tuple);
    for (unsigned s = 0; s < p.n_states && fits; s++) {
        if ((size_t)p.n_states * n_classes > room) {
            room = (size_t)p.n_states * n_classes * 2 + 64;
            next = mem_realloc(next, room * sizeof *next);
        }
        for (unsigned k = 0; k < n_classes && fits; k++) {
            int to = (int)DFA_DEAD;
            *work += n;
            if (cp_is_written(from[k])) {
                for (unsigned i = 0; i < n; i++) {
                    uint16_t at = p.tuples[(size_t)s * n + i];
                    tuple[i] = at == DFA_DEAD ? (uint16_t)DFA_DEAD
                                              : list[i]->next[at * list[i]->n_classes +
                                                              dfa_class(list[i], from[k])];
                }
                to = product_state(&p, tuple);
            }
            fits = to >= 0 && *work <= SCHEMA_WORK_MAX &&
                   (size_t)p.n_states * n_classes <= (1u << 20);
            next[s * n_classes + k] = (uint16_t)to;
        }
    }
    enum fail failed = FAIL_NONE;
    if (fits) {
        *out = take(&p, from, n_classes, next, label);
    } else {
        failed = FAULT(why, FAIL_TOO_LARGE, "patterns that meet need too large an automaton");
    }
    mem_free(next);
    mem_free(p.hash);
    mem_free(p.tuples);
    mem_free(from);
    return failed;
}

enum fail dfa_from_strings(const char *const *list, const size_t *lens, size_t n, uint64_t *work,
                           struct dfa **out, struct fault *why)
{
    struct buf pattern;
    buf_init(&pattern, SCHEMA_PATTERN_BYTES_MAX);
    (void)buf_add_str(&pattern, "^(?:");
    for (size_t i = 0; i < n; i++) {
        (void)buf_add_str(&pattern, i > 0 ? "|" : "");
        for (size_t k = 0; k < lens[i]; k++) {
            if (strchr("^$\\.*+?()[]{}|/", list[i][k]) != NULL) {
                (void)buf_add_char(&pattern, '\\');
            }
            (void)buf_add_char(&pattern, list[i][k]);
        }
    }
    (void)buf_add_str(&pattern, ")$");
    enum fail failed = pattern.overflow
                           ? FAULT(why, FAIL_TOO_LARGE, "strings of over %d bytes are excluded",
                                   SCHEMA_PATTERN_BYTES_MAX)
                           : dfa_from_pattern(pattern.data, pattern.len, work, out, why);
    buf_done(&pattern);
    return failed;
}
