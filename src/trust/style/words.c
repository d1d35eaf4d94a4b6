/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capitals and reading grades.
 *
 * Capitalization as Vale has it: a heading is in a style when more than `threshold` of its words
 * are.
 * Grades: Flesch-Kincaid (Kincaid et al. 1975), Gunning Fog (1952), Coleman-Liau (1975), SMOG
 * (McLaughlin 1969), Automated Readability (Senter and Smith 1967); syllables by vowel groups.
 * Owns nothing. Threads: pure. Limits: grades are English's.
 */
#include "trust/style/style_internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <unicode/uchar.h>

#include "base/text/text.h"

/* ---- capitals ---- */

static bool first_is(const char *s, size_t n, bool upper)
{
    uint32_t cp;
    if (text_utf8_decode(s, n, &cp) == 0) {
        return false;
    }
    return upper ? u_isupper((UChar32)cp) != 0 : u_isupper((UChar32)cp) == 0;
}

static bool same_case(const char *s, size_t n, bool upper)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = text_utf8_decode(s + i, n - i, &cp);
        if (len == 0 || (upper ? u_islower((UChar32)cp) : u_isupper((UChar32)cp))) {
            return false;
        }
        i += len;
    }
    return true;
}

static bool ends_with_indicator(const struct style_rule *r, const char *s, size_t n)
{
    for (size_t i = 0; i < r->indicators_n; i++) {
        size_t len = strlen(r->indicators[i]);
        if (len > 0 && len <= n && memcmp(s + n - len, r->indicators[i], len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_small_word(const char *s, size_t n)
{
    static const char *const small[] = {"a", "an", "and", "as", "at", "but", "by", "en", "for",
                                        "if", "in", "nor", "of", "on", "or", "per", "the", "to",
                                        "v", "v.", "via", "vs", "vs."};
    for (size_t i = 0; i < COUNT_OF(small); i++) {
        if (strlen(small[i]) == n && strncasecmp(s, small[i], n) == 0) {
            return true;
        }
    }
    return false;
}

struct word {
    const char *s, *before;
    size_t n, before_n;
    bool first, last;
};

static bool word_holds(struct style_run *run, const struct word *w)
{
    const struct style_rule *r = run->rule;
    size_t n = w->n;
    while (n > 1 && strchr(".,:;!?)", w->s[n - 1]) != NULL) {
        n--;
    }
    if (style_is_exception(run, w->s, n) || style_is_exception(run, w->s, w->n)) {
        return true;
    }
    bool begins = w->first || ends_with_indicator(r, w->before, w->before_n);
    if (r->match == STYLE_TITLE) {
        return first_is(w->s, w->n, true) || !isalpha((unsigned char)w->s[0]) ||
               (is_small_word(w->s, n) && !begins && !w->last);
    }
    if (same_case(w->s, n, true)) { /* an acronym, a number */
        return true;
    }
    return begins ? first_is(w->s, n, true) || !isalpha((unsigned char)w->s[0])
                  : first_is(w->s, n, false) ;
}

static double share(struct style_run *run, const char *s, size_t n)
{
    double good = 0;
    double all = 0;
    struct word w = {.before = "", .first = true};
    for (size_t at = 0; at < n;) {
        for (; at < n && (s[at] == ' ' || s[at] == '\n' || s[at] == '\t'); at++) {
        }
        size_t end = at;
        for (; end < n && s[end] != ' ' && s[end] != '\n' && s[end] != '\t'; end++) {
        }
        if (end > at) {
            w.s = s + at;
            w.n = end - at;
            w.last = end + strspn(s + end, " \n\t") >= n;
            good += word_holds(run, &w) ? 1 : 0;
            all++;
            w.before = w.s;
            w.before_n = w.n;
            w.first = false;
        }
        at = end;
    }
    return all > 0 ? good / all : 1;
}

void style_capitals(struct style_run *run, const struct style_block *b)
{
    const struct style_rule *r = run->rule;
    bool good = true;
    switch (r->match) {
    case STYLE_TITLE:
    case STYLE_SENTENCE:
        good = share(run, b->text, b->n) > r->threshold;
        break;
    case STYLE_LOWER:
        good = same_case(b->text, b->n, false);
        break;
    case STYLE_UPPER:
        good = same_case(b->text, b->n, true);
        break;
    case STYLE_PATTERN:
        good = style_next(run, r->code, b->text, b->n, 0);
        break;
    }
    if (!good && b->n > 0) {
        style_alert_add(run, b, 0, b->n, NULL, b->text);
    }
}

/* ---- grades ---- */

struct counts {
    double letters, words, sentences, syllables, complex;
};

static double syllables(const char *s, size_t n)
{
    double count = 0;
    bool in = false;
    for (size_t i = 0; i < n; i++) {
        bool vowel = strchr("aeiouyAEIOUY", s[i]) != NULL && s[i] != '\0';
        count += vowel && !in ? 1 : 0;
        in = vowel;
    }
    bool silent = n > 2 && (s[n - 1] | 32) == 'e' && strchr("aeiouyl", s[n - 2] | 32) == NULL;
    return count - (silent && count > 1 ? 1 : 0) > 0 ? count - (silent && count > 1 ? 1 : 0) : 1;
}

static void count_block(const struct style_block *b, struct counts *c)
{
    for (size_t at = 0; at < b->n;) {
        size_t end = style_sentence_end(b->text, b->n, at);
        double words = 0;
        for (size_t i = at; i < end;) {
            size_t n = 0;
            while (i + n < end && isalnum((unsigned char)b->text[i + n])) {
                n++;
            }
            if (n > 0) {
                double beats = syllables(b->text + i, n);
                c->letters += (double)n;
                c->syllables += beats;
                c->complex += beats >= 3 ? 1 : 0;
                words++;
            }
            i += n > 0 ? n : 1;
        }
        c->words += words;
        c->sentences += words > 0 ? 1 : 0;
        for (at = end; at < b->n && (b->text[at] == ' ' || b->text[at] == '\n'); at++) {
        }
    }
}

void style_readability(struct style_run *run, const struct style_blocks *all)
{
    struct counts c = {0};
    for (size_t i = 0; i < all->n; i++) {
        if (all->items[i].kind == STYLE_PARAGRAPH || all->items[i].kind == STYLE_QUOTE) {
            count_block(&all->items[i], &c);
        }
    }
    if (c.sentences < 1 || c.words < 1) {
        return;
    }
    double per = c.words / c.sentences;
    double grades[] = {
        0.39 * per + 11.8 * c.syllables / c.words - 15.59,
        0.4 * (per + 100 * c.complex / c.words),
        0.0588 * 100 * c.letters / c.words - 0.296 * 100 * c.sentences / c.words - 15.8,
        1.0430 * sqrt(c.complex * 30 / c.sentences) + 3.1291,
        4.71 * c.letters / c.words + 0.5 * per - 21.43,
    };
    double sum = 0;
    int n = 0;
    for (unsigned k = 0; k < COUNT_OF(grades); k++) {
        if ((run->rule->metrics >> k & 1) != 0) {
            sum += grades[k];
            n++;
        }
    }
    if (n > 0 && sum / n > run->rule->grade) {
        char text[32];
        snprintf(text, sizeof(text), "%.2f", sum / n);
        style_alert_add(run, &all->items[0], 0, 0, NULL, text);
    }
}
