/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When does one word stand for another? Equal stems, one row of synonyms, a derivation of the same
 * root, or (German) a compound's own last part. Owns: nothing. Threads: pure.
 */
#include <string.h>

#include "answer/check/check_internal.h"

static const char *const particles[] = {"zuruck", "wieder", "ab",  "an",  "auf", "ein",
                                        "aus",    "mit",    "vor", "weg", "los", "her",
                                        "hin",    "nach",   "um",  "ver", "be",  "er"};

/* Leaves the root of a German verb form: "zuruckgesendet" -> "send", particle in *particle. */
static const char *german_root(const char *stem, const char **particle)
{
    *particle = "";
    for (size_t i = 0; i < COUNT_OF(particles); i++) {
        size_t n = strlen(particles[i]);
        if (strncmp(stem, particles[i], n) == 0 && strlen(stem) >= n + 4) {
            *particle = particles[i];
            stem += n;
            break;
        }
    }
    if ((strncmp(stem, "ge", 2) == 0 || strncmp(stem, "zu", 2) == 0) && strlen(stem) >= 6) {
        stem += 2;
    }
    return stem;
}

/* nouns: one of them is written as a noun, so that verbs' particles ("be-trag", "tragen") mean
 * nothing */
static bool same_german(const char *a, const char *b, bool nouns)
{
    const char *pa, *pb;
    const char *ra = german_root(a, &pa), *rb = german_root(b, &pb);
    size_t la = strlen(ra), lb = strlen(rb), n = 0;
    if (nouns || (*pa != '\0' && *pb != '\0' && strcmp(pa, pb) != 0)) {
        ra = a;
        rb = b;
        la = strlen(a);
        lb = strlen(b);
    }
    while (ra[n] != '\0' && ra[n] == rb[n]) {
        n++;
    }
    if (n >= 4 && la <= n + 2 && lb <= n + 2) {
        return true; /* inflection the light stem left */
    }
    size_t a_len = strlen(a), b_len = strlen(b);
    /* "laden" and "geladen" */
    if ((a_len >= 5 && strncmp(a, "ge", 2) == 0 && strcmp(a + 2, b) == 0) ||
        (b_len >= 5 && strncmp(b, "ge", 2) == 0 && strcmp(b + 2, a) == 0)) {
        return true;
    }
    /* "Etikett" of "Rücksendeetikett" */
    return a_len >= 4 && b_len > a_len && strcmp(b + b_len - a_len, a) == 0;
}

static bool same_english(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), n = 0, least = la < lb ? la : lb,
           most = la < lb ? lb : la;
    while (a[n] != '\0' && a[n] == b[n]) {
        n++;
    }
    return n >= 5 && n + 1 >= least && most - n <= 5 && n * 10 >= least * 8;
}

static bool is_hard(const struct token *t, enum knowledge_lang lang)
{
    return t->w.digit || (t->classes & WORD_CALENDAR) ||
           (lang != KNOWLEDGE_LANG_DE && t->w.capital && !t->first);
}

bool check_same_word(const struct token *a, const struct token *b, enum knowledge_lang lang)
{
    if (strcmp(a->w.folded, b->w.folded) == 0) {
        return true;
    }
    if (a->classes & b->classes & WORD_CALENDAR) { /* "Mondays", "montags" */
        size_t la = strlen(a->w.folded), lb = strlen(b->w.folded);
        const char *longer = la > lb ? a->w.folded : b->w.folded;
        const char *other = la > lb ? b->w.folded : a->w.folded;
        size_t n = strlen(other);
        return strncmp(longer, other, n) == 0 && strcmp(longer + n, "s") == 0;
    }
    if (a->w.digit || b->w.digit || ((a->classes | b->classes) & WORD_CALENDAR)) {
        return false;
    }
    if (strcmp(a->w.stem, b->w.stem) == 0) {
        return true;
    }
    if (is_hard(a, lang)) {
        return false;
    }
    if (check_is_opposite(a->w.stem, b->w.stem, lang)) {
        return false;
    }
    if (check_share_group(a->w.stem, b->w.stem, lang)) {
        return true;
    }
    bool nouns = (a->w.capital && !a->first) || (b->w.capital && !b->first);
    return lang == KNOWLEDGE_LANG_DE ? same_german(a->w.stem, b->w.stem, nouns)
                                     : same_english(a->w.stem, b->w.stem);
}
