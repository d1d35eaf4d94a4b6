/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inverted index: terms with postings, filled once, then read.
 * Owns: its terms and postings. Threads: one writer; readers after knowledge_index_finish.
 * Documents must be added in ascending order (postings of one document are then neighbours).
 */
#include <math.h>
#include <string.h>

#include "answer/knowledge/knowledge_internal.h"

static uint64_t hash(const char *s)
{
    uint64_t h = 1469598103934665603ULL; /* FNV-1a, 64 bits */
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    }
    return h ^ (h >> 29);
}

void knowledge_index_init(struct index *x, size_t doc_count)
{
    *x = (struct index){.doc_count = doc_count, .slot_count = 1024};
    x->slots = mem_alloc_array(x->slot_count, sizeof(*x->slots));
    x->norm = mem_alloc_array(doc_count + 1, sizeof(*x->norm));
}

void knowledge_index_done(struct index *x)
{
    for (size_t i = 0; i < x->term_count; i++) {
        mem_free(x->terms[i].text);
        mem_free(x->terms[i].list);
    }
    mem_free(x->terms);
    mem_free(x->slots);
    mem_free(x->norm);
    *x = (struct index){0};
}

static size_t slot_of(const struct index *x, const char *term)
{
    size_t i = hash(term) & (x->slot_count - 1);
    while (x->slots[i] != 0 && strcmp(x->terms[x->slots[i] - 1].text, term) != 0) {
        i = (i + 1) & (x->slot_count - 1);
    }
    return i;
}

const struct term *knowledge_index_find(const struct index *x, const char *term)
{
    if (x->slot_count == 0) {
        return NULL;
    }
    uint32_t t = x->slots[slot_of(x, term)];
    return t == 0 ? NULL : &x->terms[t - 1];
}

static void grow(struct index *x)
{
    mem_free(x->slots);
    x->slot_count *= 2;
    x->slots = mem_alloc_array(x->slot_count, sizeof(*x->slots));
    for (size_t i = 0; i < x->term_count; i++) {
        x->slots[slot_of(x, x->terms[i].text)] = (uint32_t)i + 1;
    }
}

void knowledge_index_add(struct index *x, uint32_t doc, const char *term, float weight)
{
    size_t at = slot_of(x, term);
    if (x->slots[at] == 0) {
        if (x->term_count == x->term_room) {
            x->term_room = x->term_room == 0 ? 256 : x->term_room * 2;
            x->terms = mem_realloc(x->terms, x->term_room * sizeof(*x->terms));
        }
        x->terms[x->term_count] = (struct term){.text = mem_dup_str(term)};
        x->slots[at] = (uint32_t)++x->term_count;
        if (x->term_count * 2 > x->slot_count) {
            grow(x);
            at = slot_of(x, term);
        }
    }
    struct term *t = &x->terms[x->slots[at] - 1];
    x->norm[doc] += weight;
    if (t->count > 0 && t->list[t->count - 1].doc == doc) {
        t->list[t->count - 1].tf += weight;
        return;
    }
    if (t->count == t->room) {
        t->room = t->room == 0 ? 2 : t->room * 2;
        t->list = mem_realloc(t->list, t->room * sizeof(*t->list));
    }
    t->list[t->count++] = (struct posting){.doc = doc, .tf = weight};
}

void knowledge_index_finish(struct index *x)
{
    double n = (double)x->doc_count, sum = 0;
    for (size_t i = 0; i < x->term_count; i++) {
        double df = x->terms[i].count;
        x->terms[i].idf = (float)log(1.0 + (n - df + 0.5) / (df + 0.5));
    }
    for (size_t i = 0; i < x->doc_count; i++) {
        sum += x->norm[i];
    }
    x->mean_length = x->doc_count > 0 && sum > 0 ? sum / n : 1.0;
    x->idf_max = log(1.0 + (n + 0.5) / 0.5);
}
