/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support check, word by word: what was exchanged, dropped or added in a sentence that is
 * nearly a source sentence.
 *
 * The claim is aligned with a source sentence (longest common subsequence of words that may stand
 * for each other). Where most of it aligns, each gap is looked at: a word of content that stands
 * where another stood, though the source says it elsewhere; a "not" or an "only" too many or too
 * few; can where must stood; a condition none of whose words is left. What only moved (it is said
 * in another gap) is no change.
 * Owns: nothing. Threads: pure. Limits: MAX_TOKENS words a side.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check_internal.h"

#define CLOSE 0.6 /* share of the claim's words that align */
#define VERY_CLOSE 0.8
#define EXCHANGED 0.8 /* share of the claim's words of content that the source says */

struct alignment {
    struct check_hold *h;
    const struct facts *claim, *source;
    int claim_to[MAX_TOKENS], source_to[MAX_TOKENS]; /* partner, -1: none */
    double claim_value[MAX_TOKENS], source_value[MAX_TOKENS];
    size_t count;
    bool moved; /* a negation stands in another gap than it did */
};

static bool listed(const char *list, const char *folded)
{
    char key[KNOWLEDGE_WORD_SIZE + 3];
    snprintf(key, sizeof(key), " %s ", folded);
    return strstr(list, key) != NULL;
}

/* Light words that name things: they cannot stand for a word of content. */
static const char light_nouns[] =
    " off more less need time times case item items people person problem question detail option "
    "step steps thing "
    "things situation customer customers matter same first following other another "
    "hinweis kunde kunden kundin m\xC3\xB6glichkeit schritt weise selbe gleiche andere ";

/* In English a light word with a capital inside a sentence is a label: "select Received". */
static bool is_label(const struct token *t, enum knowledge_lang lang)
{
    return lang != KNOWLEDGE_LANG_DE && t->w.capital && !t->first && !t->w.stop;
}

static bool is_strong(const struct alignment *a, const struct token *t)
{
    return t->content || t->number || t->w.digit || listed(light_nouns, t->w.folded) ||
           is_label(t, a->h->lang);
}

static void read_values(const struct facts *f, double *values)
{
    for (size_t i = 0; i < f->count; i++) {
        values[i] = NAN;
    }
    for (size_t i = 0; i < f->quantity_count; i++) {
        values[f->quantities[i].word] = f->quantities[i].value;
    }
}

static bool same_token(const struct alignment *a, size_t c, size_t s)
{
    const struct token *x = &a->claim->tokens[c], *y = &a->source->tokens[s];
    if (x->number && y->number && !isnan(a->claim_value[c]) && !isnan(a->source_value[s])) {
        return fabs(a->claim_value[c] - a->source_value[s]) <
               1e-9 * (1 + fabs(a->source_value[s]));
    }
    if (x->w.stop && y->w.stop) {
        return strcmp(x->w.folded, y->w.folded) == 0;
    }
    if ((x->classes ^ y->classes) & (WORD_NEGATION | WORD_ONLY)) {
        return false;
    }
    return check_same_word(x, y, a->h->lang) || check_same_word(y, x, a->h->lang);
}

/* The very word counts a little more than one that may stand for it. */
static uint16_t weight(const struct alignment *a, size_t c, size_t s)
{
    if (!same_token(a, c, s)) {
        return 0;
    }
    return strcmp(a->claim->tokens[c].w.folded, a->source->tokens[s].w.folded) == 0 ? 5 : 4;
}

static void align(struct alignment *a)
{
    size_t n = a->claim->count, m = a->source->count, w = m + 1;
    uint16_t *best = mem_alloc_array((n + 1) * w, sizeof(*best));
    uint16_t *same = mem_alloc_array(n * m + 1, sizeof(*same));
    read_values(a->claim, a->claim_value);
    read_values(a->source, a->source_value);
    for (size_t c = n; c-- > 0;) {
        for (size_t s = m; s-- > 0;) {
            uint16_t both = same[c * m + s] = weight(a, c, s);
            uint16_t skip_c = best[(c + 1) * w + s], skip_s = best[c * w + s + 1];
            uint16_t most = skip_c > skip_s ? skip_c : skip_s;
            both = both > 0 ? (uint16_t)(both + best[(c + 1) * w + s + 1]) : 0;
            best[c * w + s] = both > most ? both : most;
        }
    }
    for (size_t i = 0; i < n; i++) {
        a->claim_to[i] = -1;
    }
    for (size_t i = 0; i < m; i++) {
        a->source_to[i] = -1;
    }
    for (size_t c = 0, s = 0; c < n && s < m;) {
        uint16_t pair = same[c * m + s];
        if (pair > 0 && best[c * w + s] == best[(c + 1) * w + s + 1] + pair) {
            a->claim_to[c] = (int)s;
            a->source_to[s] = (int)c;
            a->count++;
            c++;
            s++;
        } else if (best[(c + 1) * w + s] >= best[c * w + s + 1]) {
            c++;
        } else {
            s++;
        }
    }
    mem_free(best);
    mem_free(same);
}

/* Is the source's word said by a word of the claim that stands for no other? */
static bool source_moved(const struct alignment *a, size_t s)
{
    for (size_t c = 0; c < a->claim->count; c++) {
        if (a->claim_to[c] < 0 && same_token(a, c, s)) {
            return true;
        }
    }
    return false;
}

struct gap {
    size_t c, c_end, s, s_end;
};

/* The same of a word of the claim; it may only come from the statement that the gap is in, and a
   number or name never comes from elsewhere to where another one stood. */
static bool claim_moved(const struct alignment *a, size_t c, const struct gap *g)
{
    for (size_t s = 0; s < a->source->count; s++) {
        bool near = a->source->tokens[s].segment == a->source->tokens[g->s].segment;
        if (near && a->source_to[s] < 0 && same_token(a, c, s)) {
            bool swapped = false;
            bool number = a->claim->tokens[c].number;
            bool name = is_label(&a->claim->tokens[c], a->h->lang);
            for (size_t k = g->s; k < g->s_end; k++) {
                const struct token *t = &a->source->tokens[k];
                bool alike = (number && t->number) || (name && is_label(t, a->h->lang));
                swapped = swapped || (k != s && alike && !source_moved(a, k));
            }
            return !swapped;
        }
    }
    return false;
}

static int negations(const struct facts *f, size_t from, size_t to)
{
    int n = 0;
    for (size_t i = from; i < to; i++) {
        n += (f->tokens[i].classes & WORD_NEGATION) != 0;
    }
    return n;
}

static const struct token *modal(const struct facts *f, size_t from, size_t to, unsigned *classes)
{
    const struct token *found = NULL;
    *classes = 0;
    for (size_t i = from; i < to; i++) {
        unsigned c = f->tokens[i].classes & (WORD_CAN | WORD_MUST);
        if (c != 0) {
            found = &f->tokens[i];
            *classes |= c;
        }
    }
    return found;
}

/* A word that was taken out: one of content, or a light verb. */
static bool is_dropped(const struct alignment *a, size_t s)
{
    const struct token *t = &a->source->tokens[s];
    bool verb = (t->classes & WORD_LIGHT) && !t->w.stop &&
                !(t->classes & (WORD_CAN | WORD_MUST | WORD_NEGATION | WORD_CONDITION));
    return (is_strong(a, t) || verb) && !source_moved(a, s);
}

static bool words_of_gap(struct alignment *a, const struct gap *g)
{
    bool dropped = false;
    for (size_t s = g->s; s < g->s_end && !dropped; s++) {
        dropped = is_dropped(a, s);
    }
    for (size_t c = g->c; c < g->c_end && dropped; c++) {
        const struct token *t = &a->claim->tokens[c];
        if (is_strong(a, t) && !claim_moved(a, c, g)) {
            bool name =
                t->w.digit || (t->w.capital && !t->first && a->h->lang != KNOWLEDGE_LANG_DE);
            return check_refuse_token(a->h,
                                      t->number ? CHECK_REASON_NUMBER
                                      : name    ? CHECK_REASON_NAME
                                                : CHECK_REASON_CONTENT,
                                      a->claim, t);
        }
    }
    return true;
}

static bool modals_of_gap(struct alignment *a, const struct gap *g)
{
    unsigned mine = 0, theirs = 0;
    const struct token *t = modal(a->claim, g->c, g->c_end, &mine);
    modal(a->source, g->s, g->s_end, &theirs);
    bool wrong = (mine == WORD_CAN && theirs == WORD_MUST) ||
                 (mine == WORD_MUST && theirs == WORD_CAN);
    return !wrong || check_refuse_token(a->h, CHECK_REASON_MODALITY, a->claim, t);
}

/* The gap before pair number `count` of anchors; false behind the last one. */
static bool next_gap(const struct alignment *a, size_t *c, size_t *s, struct gap *g, bool *done)
{
    if (*done) {
        return false;
    }
    g->c = *c;
    g->s = *s;
    while (*c < a->claim->count && a->claim_to[*c] < 0) {
        (*c)++;
    }
    g->c_end = *c;
    *done = *c == a->claim->count;
    g->s_end = *done ? a->source->count : (size_t)a->claim_to[*c];
    *s = g->s_end + 1;
    (*c)++;
    return true;
}

static bool gaps_agree(struct alignment *a)
{
    size_t c = 0, s = 0;
    struct gap g;
    bool done = false;
    int odd_mine = 0, odd_theirs = 0, spare = 0; /* spare: at an end that the claim left out */
    while (next_gap(a, &c, &s, &g, &done)) {
        bool inner = g.s > 0 && !done;
        if (g.c < g.c_end && g.s < g.s_end && (!words_of_gap(a, &g) || !modals_of_gap(a, &g))) {
            return false;
        }
        a->moved = a->moved || negations(a->claim, g.c, g.c_end) % 2 !=
                                   negations(a->source, g.s, g.s_end) % 2;
        if (g.c < g.c_end || inner) {
            odd_mine += negations(a->claim, g.c, g.c_end);
            odd_theirs += negations(a->source, g.s, g.s_end);
        } else {
            spare += negations(a->source, g.s, g.s_end);
        }
    }
    bool moved = odd_mine > odd_theirs && spare > 0;
    if ((odd_mine + odd_theirs) % 2 != 0 && !moved) {
        bool added = odd_mine > odd_theirs;
        const struct facts *f = added ? a->claim : a->source;
        for (size_t i = 0; i < f->count; i++) {
            bool alone = added ? a->claim_to[i] < 0 : a->source_to[i] < 0;
            if (alone && (f->tokens[i].classes & WORD_NEGATION)) {
                return check_refuse_token(a->h, CHECK_REASON_NEGATION, f, &f->tokens[i]);
            }
        }
    }
    return true;
}

/* An "only" of the source between words that the claim says, or one that the claim adds. */
static bool only_agrees(struct alignment *a)
{
    int mine = 0, theirs = 0;
    const struct token *last = NULL;
    for (size_t i = 0; i < a->claim->count; i++) {
        mine += a->claim_to[i] < 0 && (a->claim->tokens[i].classes & WORD_ONLY);
    }
    for (size_t i = 0; i < a->source->count; i++) {
        bool before = i == 0 || a->source_to[i - 1] >= 0;
        bool behind = i + 1 == a->source->count || a->source_to[i + 1] >= 0;
        bool only = a->source_to[i] < 0 && (a->source->tokens[i].classes & WORD_ONLY);
        theirs += only && before && behind;
        last = only ? &a->source->tokens[i] : last;
    }
    return mine >= theirs || check_refuse_token(a->h, CHECK_REASON_CONDITION, a->source, last);
}

static bool is_left(const struct alignment *a, size_t s)
{
    return a->source_to[s] >= 0 || source_moved(a, s);
}

/* Nothing is left of a phrase of the source, though the claim says what it limits. */
static bool phrase_dropped(const struct alignment *a, size_t from, size_t to, int segment)
{
    size_t all = 0, limited = 0;
    for (size_t s = 0; s < a->source->count; s++) {
        const struct token *t = &a->source->tokens[s];
        bool inside = s >= from && s < to;
        if (inside && is_strong(a, t)) {
            all++;
            if (is_left(a, s)) {
                return false;
            }
        }
        limited += !inside && t->content && a->source_to[s] >= 0 &&
                   (segment < 0 || t->segment == segment);
    }
    return all > 0 && limited > 0;
}

/* "After the third attempt, ...", "... while the light is blinking": up to a mark of
   punctuation. */
static size_t time_phrase(const struct facts *f, size_t i)
{
    static const char heads[] = " after before once during while nach vor sobald nachdem bevor "
                                "w\xC3\xA4hrend ";
    size_t k = i + 1;
    if (!listed(heads, f->tokens[i].w.folded)) {
        return 0;
    }
    for (; k < f->count && k < i + 24; k++) {
        size_t from = f->tokens[k - 1].w.at + f->tokens[k - 1].w.len;
        for (size_t p = from; p < f->tokens[k].w.at; p++) {
            if (strchr(",;:()", f->text[p]) != NULL) {
                return k;
            }
        }
    }
    return k;
}

/* "on weekdays", "am Wochenende", "only on Mondays": a day that was left out with its words. */
static bool days_left(struct alignment *a)
{
    static const char days[] = " weekday weekdays weekend weekends holiday holidays workday "
                               "workdays werktags werktag wochenende wochenenden feiertag "
                               "feiertagen sonntags samstags montags freitags ";
    for (size_t s = 0; s < a->source->count; s++) {
        const struct token *t = &a->source->tokens[s];
        bool day = (t->classes & WORD_CALENDAR) || listed(days, t->w.folded);
        if (day && !is_left(a, s) && phrase_dropped(a, s, s + 1, t->segment)) {
            return check_refuse_token(a->h, CHECK_REASON_CONDITION, a->source, t);
        }
    }
    return true;
}

static bool conditions_left(struct alignment *a)
{
    const struct facts *f = a->source;
    for (int id = 1; id <= f->condition_count; id++) {
        const struct condition *c = &f->conditions[id - 1];
        size_t from = 0, to = 0;
        for (size_t s = 0; s < f->count; s++) {
            if (f->tokens[s].condition == id) {
                from = to == 0 ? s : from;
                to = s + 1;
            }
        }
        if (!c->only && !c->alternative && to > from &&
            phrase_dropped(a, from, to, c->whole ? -1 : c->segment)) {
            return check_refuse_token(a->h, CHECK_REASON_CONDITION, f, &f->tokens[from]);
        }
    }
    for (size_t s = 0; s < f->count; s++) {
        size_t to = time_phrase(f, s);
        if (to > 0 && phrase_dropped(a, s, to, s == 0 ? -1 : f->tokens[s].segment)) {
            return check_refuse_token(a->h, CHECK_REASON_CONDITION, f, &f->tokens[s]);
        }
    }
    return days_left(a);
}

/* Whatever their order: nearly all words are this sentence's, but one or two are not, and others of
   it were left out. Then they were exchanged; who joins two sentences takes more from the
   second. */
static bool words_exchanged(struct alignment *a)
{
    size_t all = 0, in = 0;
    const struct token *stranger = NULL;
    for (size_t c = 0; c < a->claim->count; c++) {
        const struct token *t = &a->claim->tokens[c];
        if (!is_strong(a, t)) {
            continue;
        }
        bool found = false;
        for (size_t s = 0; s < a->source->count && !found; s++) {
            found = same_token(a, c, s);
        }
        all++;
        in += found;
        stranger = found || stranger != NULL ? stranger : t;
    }
    if (stranger == NULL || (double)in < EXCHANGED * (double)all) {
        return false;
    }
    for (size_t s = 0; s < a->source->count; s++) {
        bool said = !is_strong(a, &a->source->tokens[s]);
        for (size_t c = 0; c < a->claim->count && !said; c++) {
            said = same_token(a, c, s);
        }
        if (!said) {
            return !check_refuse_token(a->h, CHECK_REASON_CONTENT, a->claim, stranger);
        }
    }
    return false;
}

size_t check_edits_agree(struct check_hold *h, const struct facts *source, bool *agree)
{
    AUTO_FREE struct alignment *a = mem_alloc(sizeof(*a));
    *a = (struct alignment){.h = h, .claim = h->claim, .source = source};
    *agree = true;
    if (h->claim->too_long || source->too_long || h->claim->count < 4) {
        return 0;
    }
    align(a);
    h->source = source;
    if (words_exchanged(a)) {
        *agree = false;
        return a->count;
    }
    if ((double)a->count < CLOSE * (double)h->claim->count) {
        return 0;
    }
    *agree = gaps_agree(a) && only_agrees(a) && conditions_left(a);
    h->close = *agree && !a->moved && (double)a->count >= VERY_CLOSE * (double)h->claim->count;
    return a->count;
}
