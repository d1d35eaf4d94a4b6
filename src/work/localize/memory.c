/* SPDX-License-Identifier: Apache-2.0 */
/* The translation memory: pairs and sorted indexes over their hashes. Owns: copies of all strings.
   Threads: none; read-only once built. Limits: LOCALIZE_MEMORY_MAX pairs. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/memory_internal.h"

/* A stem: its first letters in lower case. Enough to see a word through most endings. */
#define STEM_LETTERS 6

struct localize_memory *localize_memory_new(void)
{
    return mem_alloc(sizeof(struct localize_memory));
}

void localize_memory_free(struct localize_memory *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        struct pair *p = &m->pairs[i];
        mem_free(p->source);
        mem_free(p->plural);
        mem_free(p->context);
        mem_free(p->origin);
        for (size_t k = 0; k < p->n; k++) {
            mem_free(p->targets[k]);
        }
        mem_free(p->words);
        mem_free(p->target_words);
    }
    mem_free(m->pairs);
    struct keys *all[] = {&m->exact, &m->fold, &m->pattern, &m->hole, &m->words, &m->target_words};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        mem_free(all[i]->items);
    }
    mem_free(m);
}

size_t localize_memory_count(const struct localize_memory *m)
{
    return m->n;
}

/* ---- hashes ---- */

uint64_t hash_exact(const char *source, const char *plural)
{
    uint64_t h = localize_hash(0, source, strlen(source) + 1);
    return plural == NULL ? h : localize_hash(h, plural, strlen(plural));
}

static uint64_t hash_token(uint64_t h, const struct token *t)
{
    if (t->kind == TOKEN_NUMBER || t->kind == TOKEN_PLACEHOLDER) {
        return localize_hash(h, "\1", 1);
    }
    if (t->kind == TOKEN_SPACE) {
        return localize_hash(h, " ", 1);
    }
    AUTO_FREE char *folded = t->kind == TOKEN_WORD ? localize_fold(t->at, t->len) : NULL;
    return folded == NULL ? localize_hash(h, t->at, t->len)
                          : localize_hash(h, folded, strlen(folded));
}

uint64_t hash_pattern(const struct token *t, size_t n)
{
    uint64_t h = localize_hash(0, "p", 1);
    bool any = false;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        any = any || t[i].kind == TOKEN_NUMBER || t[i].kind == TOKEN_PLACEHOLDER;
        h = hash_token(h, &t[i]);
    }
    return any ? h : 0;
}

uint64_t hash_hole(const struct token *t, size_t n, size_t place)
{
    uint64_t h = localize_hash(0, "h", 1);
    for (size_t i = 0; i < n; i++) {
        h = i == place ? localize_hash(h, "\2", 1) : hash_token(h, &t[i]);
    }
    return h;
}

uint64_t stem_of(const struct token *t)
{
    AUTO_FREE char *folded = localize_fold(t->at, t->len);
    size_t at = 0, len = strlen(folded);
    uint32_t cp = 0;
    for (size_t letters = 0; at < len && letters < STEM_LETTERS; letters++) {
        size_t k = text_utf8_decode(folded + at, len - at, &cp);
        at += k == 0 ? len : k;
    }
    return localize_hash(0, folded, at > len ? len : at);
}

static int compare_word(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

size_t stems_of(const char *text, uint64_t out[WORDS_MAX])
{
    struct token t[TOKENS_MAX];
    size_t n = localize_cut(text, t), k = 0, m = 0;
    for (size_t i = 0; n != SIZE_MAX && i < n && k < WORDS_MAX; i++) {
        if (t[i].kind == TOKEN_WORD) {
            out[k++] = stem_of(&t[i]);
        }
    }
    qsort(out, k, sizeof(*out), compare_word);
    for (size_t i = 0; i < k; i++) {
        if (i == 0 || out[i] != out[i - 1]) {
            out[m++] = out[i];
        }
    }
    return m;
}

bool has_word(const uint64_t *words, size_t n, uint64_t word)
{
    return bsearch(&word, words, n, sizeof(*words), compare_word) != NULL;
}

/* ---- adding ---- */

static bool empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

void localize_memory_add(struct localize_memory *m, const struct localize_pair *p)
{
    ASSERT(!m->built);
    bool whole = !empty(p->source) && p->n >= 1 && p->n <= LOCALIZE_FORMS_MAX &&
                 m->n < LOCALIZE_MEMORY_MAX;
    for (size_t i = 0; whole && i < p->n; i++) {
        whole = !empty(p->targets[i]);
    }
    if (!whole) {
        return;
    }
    if (m->n == m->room) {
        m->room = m->room == 0 ? 256 : m->room * 2;
        m->pairs = mem_realloc(m->pairs, m->room * sizeof(*m->pairs));
    }
    struct pair *to = &m->pairs[m->n++];
    *to = (struct pair){.source = mem_dup_str(p->source),
                        .plural = mem_dup_str(p->plural),
                        .context = mem_dup_str(p->context == NULL ? "" : p->context),
                        .origin = mem_dup_str(p->origin == NULL ? "" : p->origin),
                        .n = p->n};
    for (size_t i = 0; i < p->n; i++) {
        to->targets[i] = mem_dup_str(p->targets[i]);
    }
}

static void add_unit(struct localize_memory *m, const struct localize_file *f,
                     const struct localize_unit *u, const struct localize_unit *other,
                     const char *origin)
{
    const struct localize_unit *t = other != NULL ? other : u;
    const unsigned not_these = LOCALIZE_OBSOLETE | LOCALIZE_FUZZY | LOCALIZE_ODD;
    if (u->sources_len == 0 || t->targets_len == 0 || (u->marks_are & not_these) != 0 ||
        (t->marks_are & not_these) != 0) {
        return;
    }
    /* Where units are found by a name, the name is the place; in PO it is msgctxt. */
    bool named = f->one_language || strcmp(f->format, "strings") == 0;
    struct localize_pair p = {.source = u->sources[0].text,
                              .plural = u->sources_len > 1 ? u->sources[1].text : NULL,
                              .context = u->context[0] == '\0' && named ? u->id : u->context,
                              .origin = origin,
                              .n = t->targets_len};
    for (size_t i = 0; i < t->targets_len; i++) {
        p.targets[i] = t->targets[i].text;
    }
    localize_memory_add(m, &p);
}

struct named {
    const char *id;
    const struct localize_unit *unit;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    return strcmp(x->id, y->id);
}

void localize_memory_add_file(struct localize_memory *m, const struct localize_file *f,
                              const struct localize_file *target, const char *origin)
{
    if (target == NULL) {
        for (size_t i = 0; i < f->len && !f->one_language; i++) {
            add_unit(m, f, &f->units[i], NULL, origin);
        }
        return;
    }
    struct named *all = mem_alloc_array(target->len + 1, sizeof(*all));
    for (size_t i = 0; i < target->len; i++) {
        all[i] = (struct named){target->units[i].id, &target->units[i]};
    }
    qsort(all, target->len, sizeof(*all), compare_named);
    for (size_t i = 0; i < f->len; i++) {
        struct named key = {f->units[i].id, NULL};
        const struct named *found = bsearch(&key, all, target->len, sizeof(*all), compare_named);
        if (found != NULL) {
            add_unit(m, f, &f->units[i], found->unit, origin);
        }
    }
    mem_free(all);
}

/* ---- indexes ---- */

static void add_key(struct keys *k, uint64_t hash, size_t pair, size_t place)
{
    if (k->n == k->room) {
        k->room = k->room == 0 ? 1024 : k->room * 2;
        k->items = mem_realloc(k->items, k->room * sizeof(*k->items));
    }
    k->items[k->n++] = (struct key){hash, (uint32_t)pair, (uint32_t)place};
}

static int compare_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

const struct key *keys_find(const struct keys *k, uint64_t hash, size_t *n)
{
    size_t low = 0, high = k->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (k->items[mid].hash < hash) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (*n = 0; low + *n < k->n && k->items[low + *n].hash == hash; (*n)++) {
    }
    return *n == 0 ? NULL : &k->items[low];
}

static void index_words(struct localize_memory *m, size_t i)
{
    struct pair *p = &m->pairs[i];
    uint64_t words[WORDS_MAX];
    size_t n = stems_of(p->source, words);
    p->words = mem_dup(words, n * sizeof(*words));
    p->words_len = (uint32_t)n;
    for (size_t k = 0; k < n; k++) {
        add_key(&m->words, words[k], i, 0);
    }
    n = stems_of(p->targets[p->n - 1], words);
    p->target_words = mem_dup(words, n * sizeof(*words));
    p->target_words_len = (uint32_t)n;
    for (size_t k = 0; k < n; k++) {
        add_key(&m->target_words, words[k], i, 0);
    }
}

void localize_memory_build(struct localize_memory *m)
{
    ASSERT(!m->built);
    for (size_t i = 0; i < m->n; i++) {
        struct pair *p = &m->pairs[i];
        struct token t[TOKENS_MAX];
        size_t n = localize_cut(p->source, t);
        AUTO_FREE char *folded = localize_fold(p->source, strlen(p->source));
        add_key(&m->exact, hash_exact(p->source, p->plural), i, 0);
        add_key(&m->fold, localize_hash(0, folded, strlen(folded)), i, 0);
        uint64_t pattern = p->plural == NULL ? hash_pattern(t, n) : 0;
        if (pattern != 0) {
            add_key(&m->pattern, pattern, i, 0);
        }
        for (size_t k = 0; p->plural == NULL && n != SIZE_MAX && n > 1 && k < n; k++) {
            if (t[k].kind == TOKEN_WORD) {
                add_key(&m->hole, hash_hole(t, n, k), i, k);
            }
        }
        index_words(m, i);
    }
    struct keys *all[] = {&m->exact, &m->fold, &m->pattern, &m->hole, &m->words, &m->target_words};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i]->n > 0) {
            qsort(all[i]->items, all[i]->n, sizeof(*all[i]->items), compare_key);
        }
    }
    m->built = true;
}
