/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team's own words: found whatever their case, or never found. Kept in a hash table of their
 * first words; a term of several words is compared in full.
 *
 * Owns: copies of the terms. Threads: read-only once in use. Limits: GUARD_LISTS_MAX terms of 80
 * bytes; at most CHAIN terms with the same first word are looked at.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>
#include <strings.h>

#define SLOTS 4096
#define TERM_MAX 80
#define CHAIN 64

struct term {
    char *text;
    size_t n;
    enum guard_list which;
    uint32_t next; /* 1-based */
};

struct guard_lists {
    struct term *terms;
    size_t n, room;
    uint32_t slots[SLOTS];
};

struct guard_lists *guard_lists_new(void)
{
    return mem_alloc(sizeof(struct guard_lists));
}

void guard_lists_free(struct guard_lists *l)
{
    for (size_t i = 0; l != NULL && i < l->n; i++) {
        mem_free(l->terms[i].text);
    }
    if (l != NULL) {
        mem_free(l->terms);
    }
    mem_free(l);
}

static uint32_t first_word(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n && (guard_is_word(s[i]) || i == 0); i++) {
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 32) : s[i];
        h = (h ^ (unsigned char)c) * 16777619u;
    }
    return h % SLOTS;
}

bool guard_lists_add(struct guard_lists *l, enum guard_list which, const char *term)
{
    size_t n = strlen(term);
    if (n < 2 || n > TERM_MAX || l->n == GUARD_LISTS_MAX || !guard_is_word(term[0])) {
        return false;
    }
    if (l->n == l->room) {
        l->room = l->room == 0 ? 32 : l->room * 2;
        l->terms = mem_realloc(l->terms, l->room * sizeof(*l->terms));
    }
    uint32_t slot = first_word(term, n);
    l->terms[l->n++] = (struct term){mem_dup_str(term), n, which, l->slots[slot]};
    l->slots[slot] = (uint32_t)l->n;
    return true;
}

size_t guard_lists_match(const struct guard_lists *l, const char *text, size_t n,
                         enum guard_list *which)
{
    size_t best = 0;
    uint32_t at = l != NULL ? l->slots[first_word(text, n)] : 0;
    for (int i = 0; at > 0 && i < CHAIN; i++) {
        const struct term *t = &l->terms[at - 1];
        if (t->n > best && t->n <= n && strncasecmp(t->text, text, t->n) == 0 &&
            (t->n == n || !guard_is_word(text[t->n]))) {
            best = t->n;
            *which = t->which;
        }
        at = t->next;
    }
    return best;
}

bool guard_lists_allows(const struct guard_lists *l, const char *s, size_t n)
{
    enum guard_list which = GUARD_LIST_TERM;
    return l != NULL && n > 0 && guard_lists_match(l, s, n, &which) == n &&
           which == GUARD_LIST_ALLOWED;
}

void guard_lists_join(struct guard_lists *l, const struct guard_lists *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (from->terms[i].which == GUARD_LIST_TERM) {
            (void)guard_lists_add(l, GUARD_LIST_TERM, from->terms[i].text);
        }
    }
}
