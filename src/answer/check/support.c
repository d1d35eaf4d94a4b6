/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support check: does a source sentence, or two neighbours, say what this sentence says?
 *
 * A claim is held against the nearest source sentences one after the other; it is supported when
 * one of them (or a pair) passes every test below. The reason given is that of the nearest.
 * Owns: nothing. Threads: pure.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

#define NEAREST 5
#define SEGMENT_TOUCHED 0.34 /* a segment the claim takes something from */
#define SEGMENT_COVERED 0.5  /* a segment the claim says: its conditions bind */
#define CONDITION_KEPT 0.4

bool check_refuse(struct check_hold *h, enum check_reason reason, const char *text, size_t len)
{
    h->out->reason = reason;
    len = len < sizeof(h->out->detail) ? len : sizeof(h->out->detail) - 1;
    len = text_utf8_cut(text, len);
    memcpy(h->out->detail, text, len);
    h->out->detail[len] = '\0';
    return false;
}

bool check_refuse_token(struct check_hold *h, enum check_reason reason, const struct facts *f,
                        const struct token *t)
{
    return check_refuse(h, reason, f->text + t->w.at, t->w.len);
}

const struct token *check_find_in(const struct facts *f, const struct token *t,
                                  enum knowledge_lang lang)
{
    for (size_t i = 0; i < f->count; i++) {
        if (check_same_word(t, &f->tokens[i], lang)) {
            return &f->tokens[i];
        }
    }
    return NULL;
}

static bool in_ticket(const struct check_hold *h, const struct token *t)
{
    for (size_t i = 0; h->ticket != NULL && i < h->ticket->count; i++) {
        if (strcmp(h->ticket->items[i].folded, t->w.folded) == 0) {
            return true;
        }
    }
    return false;
}

/* An id of the ticket: letters with digits, or five digits and more. */
static bool is_ticket_id(const struct check_hold *h, const struct token *t)
{
    size_t digits = 0, len = strlen(t->w.folded);
    for (const char *p = t->w.folded; *p != '\0'; p++) {
        digits += *p >= '0' && *p <= '9';
    }
    return digits >= 3 && (digits < len || digits >= 5) && strpbrk(t->w.folded, ".,:") == NULL &&
           in_ticket(h, t);
}

/* Share of a source segment's own words (conditions aside) that the claim says; -1 when it has
   none. */
double check_segment_share(const struct check_hold *h, int segment)
{
    size_t all = 0, said = 0;
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *t = &h->source->tokens[i];
        if (t->segment == segment && t->content && t->condition == 0) {
            all++;
            said += h->said[i];
        }
    }
    return all == 0 ? -1 : (double)said / (double)all;
}

static bool segment_touched(const struct check_hold *h, int segment)
{
    double own = check_segment_share(h, segment);
    if (own >= SEGMENT_TOUCHED || h->source->segments == 1) {
        return true;
    }
    if (own < 0) { /* "...; it takes two minutes": nothing but a number goes with its neighbours */
        for (int s = 0; s < h->source->segments; s++) {
            own = fmax(own, check_segment_share(h, s));
        }
        return own >= SEGMENT_TOUCHED;
    }
    size_t all = 0, said = 0; /* or through its condition */
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *t = &h->source->tokens[i];
        if (t->segment == segment && t->content && t->condition != 0) {
            all++;
            said += h->said[i];
        }
    }
    return all > 0 && (double)said >= SEGMENT_COVERED * (double)all;
}

/* The first word of a claim that the source writes with a capital inside a sentence. */
static bool is_first_name(const struct check_hold *h, const struct token *t)
{
    for (size_t i = 0;
         t->first && t->content && h->lang != KNOWLEDGE_LANG_DE && i < h->source->count; i++) {
        const struct token *s = &h->source->tokens[i];
        if (!s->first && s->w.capital && strcmp(s->w.folded, t->w.folded) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name(const struct token *t, enum knowledge_lang lang)
{
    if (t->w.digit || (t->classes & WORD_CALENDAR)) {
        return true;
    }
    return lang != KNOWLEDGE_LANG_DE && t->w.capital && !t->first && t->content;
}

static bool near_ticket_id(const struct check_hold *h, size_t i)
{
    static const char words[] = " order number ticket bestellung nummer bestellnummer auftrag ";
    char key[KNOWLEDGE_WORD_SIZE + 2];
    snprintf(key, sizeof(key), " %s ", h->claim->tokens[i].w.folded);
    if (strstr(words, key) == NULL) {
        return false;
    }
    for (size_t k = i > 2 ? i - 2 : 0; k <= i + 2 && k < h->claim->count; k++) {
        if (is_ticket_id(h, &h->claim->tokens[k])) {
            return true;
        }
    }
    return false;
}

/* Can it stand before a noun as a part of it? Not "cancelled", "cleaning", "carriers", "early". */
static bool is_modifier(const struct token *t)
{
    const char *w = t->w.folded;
    return !text_ends_with(w, "s") && !text_ends_with(w, "ed") && !text_ends_with(w, "ing") &&
           !text_ends_with(w, "ly");
}

/* "machine shops" where the source only says "parcel shops": two words side by side make a new
   thing. */
static bool compound_agrees(struct check_hold *h, size_t i)
{
    const struct token *x = &h->claim->tokens[i - 1], *y = &h->claim->tokens[i];
    bool other = false;
    if (!x->content || !y->content || x->clause != y->clause || x->first || !is_modifier(x)) {
        return true;
    }
    for (size_t k = 1; k < h->source->count; k++) {
        const struct token *z = &h->source->tokens[k - 1];
        if (!check_held_same(h, y, &h->source->tokens[k])) {
            continue;
        }
        if (check_held_same(h, x, z) || !z->content || z->clause != h->source->tokens[k].clause ||
            z->first) {
            return true;
        }
        other = true;
    }
    return !other || check_refuse_token(h, CHECK_REASON_CONTENT, h->claim, x);
}

/* "Most messages", "always", "in all cases": how many and how often has to be the source's. */
static bool quantifiers_agree(struct check_hold *h)
{
    static const char *const rows[] = {
        " most mostly usually generally normally often meist meistens oft normalerweise ",
        " always immer stets ",
        " sometimes manchmal gelegentlich ",
        " some several einige manche mehrere ",
        " both beide beiden ",
        " few wenige weniger ",
        " many viele vielen "};
    for (size_t i = 0; i < h->claim->count; i++) {
        char key[KNOWLEDGE_WORD_SIZE + 3];
        snprintf(key, sizeof(key), " %s ", h->claim->tokens[i].w.folded);
        bool asked = false, found = false;
        for (size_t r = 0; r < COUNT_OF(rows); r++) {
            if (strstr(rows[r], key) == NULL) {
                continue;
            }
            asked = true;
            for (size_t k = 0; k < h->source->count && !found; k++) {
                char theirs[KNOWLEDGE_WORD_SIZE + 3];
                snprintf(theirs, sizeof(theirs), " %s ", h->source->tokens[k].w.folded);
                found = strstr(rows[r], theirs) != NULL;
            }
        }
        if (asked && !found) {
            return check_refuse_token(h, CHECK_REASON_CONTENT, h->claim, &h->claim->tokens[i]);
        }
    }
    return true;
}

/* Length of b where it begins (or ends) the stem, 0 where it does not. */
static size_t part(const char *stem, const char *b, bool at_end)
{
    size_t n = strlen(stem), m = strlen(b);
    if (m < 4 || m + 3 > n) {
        return 0;
    }
    return (at_end ? memcmp(stem + n - m, b, m) : memcmp(stem, b, m)) == 0 ? m : 0;
}

/* "Fehlerbeschreibung" where the source says "Beschreibung des Fehlers". */
static bool is_compound_of(const struct check_hold *h, const struct token *t)
{
    size_t n = strlen(t->w.stem);
    for (size_t i = 0; h->lang == KNOWLEDGE_LANG_DE && t->w.capital && i < h->source->count; i++) {
        size_t head = part(t->w.stem, h->source->tokens[i].w.stem, false);
        for (size_t k = 0; head > 0 && k < h->source->count; k++) {
            size_t tail = part(t->w.stem, h->source->tokens[k].w.stem, true);
            if (k != i && tail > 0 && head + tail <= n && head + tail + 3 >= n) {
                return true;
            }
        }
    }
    return false;
}

/* Every word of content, and every name in a segment that the claim really takes from. */
static bool words_agree(struct check_hold *h)
{
    for (size_t i = 0; i < h->claim->count; i++) {
        const struct token *t = &h->claim->tokens[i];
        bool name = (is_name(t, h->lang) || is_first_name(h, t)) && !t->number;
        if ((!t->content && !name) || is_ticket_id(h, t)) {
            continue;
        }
        bool found = false, touched = false;
        for (size_t k = 0; k < h->source->count && !touched; k++) {
            if (check_held_same(h, t, &h->source->tokens[k])) {
                found = true;
                touched = segment_touched(h, h->source->tokens[k].segment);
            }
        }
        if (!found && !near_ticket_id(h, i) && !is_compound_of(h, t)) {
            return check_refuse_token(h, name ? CHECK_REASON_NAME : CHECK_REASON_CONTENT, h->claim,
                                      t);
        }
        if (found && !touched && name) {
            return check_refuse_token(h, CHECK_REASON_NAME, h->claim, t);
        }
        if (i > 0 && h->lang != KNOWLEDGE_LANG_DE && !compound_agrees(h, i)) {
            return false;
        }
    }
    return true;
}

static bool same_quantity(const struct quantity *a, const struct quantity *b)
{
    return fabs(a->value - b->value) < 1e-9 * (1 + fabs(a->value)) &&
           (a->unit == b->unit || a->unit == UNIT_NONE || b->unit == UNIT_NONE);
}

static size_t count_quantity(const struct facts *f, const struct quantity *q)
{
    size_t n = 0;
    for (size_t i = 0; i < f->quantity_count; i++) {
        n += same_quantity(&f->quantities[i], q);
    }
    return n;
}

static bool numbers_agree(struct check_hold *h)
{
    for (size_t i = 0; i < h->claim->quantity_count; i++) {
        const struct quantity *q = &h->claim->quantities[i];
        const struct token *t = &h->claim->tokens[q->word];
        if (is_ticket_id(h, t)) {
            continue;
        }
        bool found = false;
        for (size_t k = 0; k < h->source->quantity_count && !found; k++) {
            const struct quantity *s = &h->source->quantities[k];
            bool against = q->bound != BOUND_NONE && s->bound != BOUND_NONE && q->bound != s->bound;
            found = same_quantity(q, s) && !against &&
                    segment_touched(h, h->source->tokens[s->word].segment);
        }
        found = found && count_quantity(h->claim, q) <= count_quantity(h->source, q);
        if (!found) {
            return check_refuse_token(h, CHECK_REASON_NUMBER, h->claim, t);
        }
    }
    return true;
}

/* ---- conditions ---- */

static bool claim_has_class(const struct check_hold *h, unsigned classes)
{
    for (size_t i = 0; i < h->claim->count; i++) {
        if (h->claim->tokens[i].classes & classes) {
            return true;
        }
    }
    return false;
}

static bool says_outside(const struct facts *f, const struct token *t, int id)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->tokens[i].condition != id && strcmp(f->tokens[i].w.stem, t->w.stem) == 0) {
            return true;
        }
    }
    return false;
}

static bool says_quantity(const struct check_hold *h, size_t word)
{
    for (size_t i = 0; i < h->source->quantity_count; i++) {
        for (size_t k = 0; h->source->quantities[i].word == word && k < h->claim->quantity_count;
             k++) {
            if (same_quantity(&h->source->quantities[i], &h->claim->quantities[k])) {
                return true;
            }
        }
    }
    return false;
}

/* The claim opens a condition too, and says enough of the words that only the condition has. */
static bool condition_kept(const struct check_hold *h, int id)
{
    size_t all = 0, said = 0;
    bool opened = false;
    for (size_t i = 0; i < h->claim->count; i++) {
        opened = opened || h->claim->tokens[i].condition != 0;
    }
    for (size_t i = 0; i < h->claim->quantity_count; i++) {
        opened = opened || h->claim->quantities[i].bound != BOUND_NONE;
    }
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *t = &h->source->tokens[i];
        if (t->condition == id && (t->number || (t->content && !says_outside(h->source, t, id)))) {
            all++;
            said += t->number ? says_quantity(h, i) : h->said[i];
        }
    }
    return opened && (double)said >= CONDITION_KEPT * (double)all;
}

static const struct token *condition_word(const struct facts *f, int id)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->tokens[i].condition == id || (id < 0 && (f->tokens[i].classes & WORD_ONLY))) {
            return &f->tokens[i];
        }
    }
    return &f->tokens[0];
}

/* The clause that a condition limits, when the claim says it: the words beside the condition in its
   own clause, else the clause before, or behind when the condition stands first. */
static bool clause_said(const struct check_hold *h, int id)
{
    int own = -1, before = -1, behind = -1;
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *t = &h->source->tokens[i];
        if (t->condition == id) {
            own = t->clause;
        } else if (own < 0) {
            before = t->clause;
        } else if (behind < 0) {
            behind = t->clause;
        }
    }
    int tries[3] = {own, before, before < 0 ? behind : -1};
    for (int k = 0; k < 3; k++) {
        size_t all = 0, said = 0;
        for (size_t i = 0; i < h->source->count && tries[k] >= 0; i++) {
            const struct token *t = &h->source->tokens[i];
            if (t->clause == tries[k] && t->content && t->condition == 0) {
                all++;
                said += h->said[i];
            }
        }
        if (all > 0) {
            return (double)said > SEGMENT_COVERED * (double)all;
        }
    }
    return false;
}

static bool conditions_agree(struct check_hold *h)
{
    for (int i = 0; i < h->source->condition_count; i++) {
        const struct condition *c = &h->source->conditions[i];
        bool binds = check_segment_share(h, c->segment) >= SEGMENT_COVERED;
        for (int s = c->segment + 1; c->whole && !binds && s < h->source->segments; s++) {
            binds = check_segment_share(h, s) >= SEGMENT_COVERED;
        }
        binds = binds || (!c->only && clause_said(h, i + 1));
        if (!binds || c->alternative) {
            continue;
        }
        if (c->only ? !claim_has_class(h, WORD_ONLY) : !condition_kept(h, i + 1)) {
            return check_refuse_token(h, CHECK_REASON_CONDITION, h->source,
                                      condition_word(h->source, c->only ? -1 : i + 1));
        }
    }
    for (size_t i = 0; i < h->source->quantity_count; i++) {
        const struct quantity *q = &h->source->quantities[i];
        if (q->bound == BOUND_NONE ||
            check_segment_share(h, h->source->tokens[q->word].segment) < SEGMENT_COVERED) {
            continue;
        }
        bool kept = false;
        for (size_t k = 0; k < h->claim->quantity_count; k++) {
            const struct quantity *c = &h->claim->quantities[k];
            kept = kept || (same_quantity(c, q) && c->bound == q->bound);
        }
        if (!kept) {
            return check_refuse_token(h, CHECK_REASON_CONDITION, h->source,
                                      &h->source->tokens[q->word]);
        }
    }
    return true;
}

/* ---- menus and links, on the text itself ---- */

static bool arrow_between(const struct facts *f, size_t i)
{
    if (i == 0) {
        return false;
    }
    size_t from = f->tokens[i - 1].w.at + f->tokens[i - 1].w.len, to = f->tokens[i].w.at;
    return to > from && (memchr(f->text + from, '>', to - from) != NULL ||
                         memmem(f->text + from, to - from, "\xE2\x86\x92", 3) != NULL ||
                         memmem(f->text + from, to - from, "\xE2\x80\xBA", 3) != NULL);
}

static bool menus_agree(struct check_hold *h, const struct facts *a, const struct facts *b)
{
    for (size_t i = 1; i < h->claim->count; i++) {
        if (!arrow_between(h->claim, i)) {
            continue;
        }
        bool found = false;
        const struct facts *sides[2] = {a, b};
        for (int s = 0; s < 2 && !found; s++) {
            for (size_t k = 1; sides[s] != NULL && k < sides[s]->count && !found; k++) {
                found =
                    arrow_between(sides[s], k) &&
                    strcmp(sides[s]->tokens[k].w.folded, h->claim->tokens[i].w.folded) == 0 &&
                    strcmp(sides[s]->tokens[k - 1].w.folded, h->claim->tokens[i - 1].w.folded) == 0;
            }
        }
        if (!found) {
            return check_refuse_token(h, CHECK_REASON_MENU, h->claim, &h->claim->tokens[i]);
        }
    }
    return true;
}

static bool links_agree(struct check_hold *h, const struct facts *a, const struct facts *b)
{
    AUTO_FREE char *one = mem_dup_strn(a->text, a->len);
    AUTO_FREE char *two = b != NULL ? mem_dup_strn(b->text, b->len) : NULL;
    const char *allowed[2] = {one, two};
    struct check_result r = check_links(h->claim->text, h->claim->len, allowed, b != NULL ? 2 : 1);
    return r.ok || check_refuse(h, CHECK_REASON_LINK, r.detail, strlen(r.detail));
}

bool check_held_same(const struct check_hold *h, const struct token *claim,
                     const struct token *source)
{
    size_t c = (size_t)(claim - h->claim->tokens), k = (size_t)(source - h->source->tokens);
    return h->same[c * h->source->count + k];
}

/* Compares every word with every word once; the tests below look it up. */
static void compare_words(struct check_hold *h)
{
    size_t n = h->source->count;
    h->same = mem_alloc_array(h->claim->count * n + 1, sizeof(bool));
    h->said = mem_alloc_array(n + 1, sizeof(bool));
    for (size_t k = 0; k < n; k++) {
        const struct token *s = &h->source->tokens[k];
        for (size_t c = 0; c < h->claim->count; c++) {
            const struct token *t = &h->claim->tokens[c];
            h->same[c * n + k] = check_same_word(t, s, h->lang);
            h->said[k] = h->said[k] || check_same_word(s, t, h->lang);
        }
    }
}

static bool held(struct check_hold *h, const struct facts *a, const struct facts *b)
{
    struct facts both;
    if (b != NULL) {
        check_facts_join(&both, a, b);
        h->source = &both;
    } else {
        h->source = a;
    }
    bool ok = true;
    h->close = false;
    if (b == NULL) {
        (void)check_edits_agree(h, a, &ok);
    }
    h->out->reason = CHECK_REASON_NONE;
    h->out->detail[0] = '\0';
    if (h->source->too_long || h->claim->too_long) {
        ok = check_refuse(h, CHECK_REASON_LIMIT, "", 0);
    } else {
        compare_words(h);
        ok = links_agree(h, a, b) && menus_agree(h, a, b) && numbers_agree(h) && words_agree(h) &&
             quantifiers_agree(h) && check_clauses_agree(h) && conditions_agree(h) &&
             check_pronoun_agrees(h);
    }
    mem_free(h->same);
    mem_free(h->said);
    h->same = NULL;
    h->said = NULL;
    if (b != NULL) {
        mem_free(both.tokens);
    }
    return ok;
}

/* ---- one claim against all sources ---- */

static double overlap(const struct facts *claim, const struct facts *source,
                      enum knowledge_lang lang)
{
    size_t all = 0, said = 0;
    for (size_t i = 0; i < claim->count; i++) {
        if (claim->tokens[i].content) {
            all++;
            said += check_find_in(source, &claim->tokens[i], lang) != NULL;
        }
    }
    return all == 0 ? 0 : (double)said / (double)all;
}

static bool same_words(const struct facts *a, const struct facts *b)
{
    if (a->count != b->count || a->count == 0) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->tokens[i].w.folded, b->tokens[i].w.folded) != 0 ||
            arrow_between(a, i) != arrow_between(b, i)) {
            return false;
        }
    }
    return true;
}

static void nearest(const double *score, size_t n, int best[NEAREST])
{
    for (int r = 0; r < NEAREST; r++) {
        best[r] = -1;
        for (size_t i = 0; i < n; i++) {
            bool taken = false;
            for (int k = 0; k < r; k++) {
                taken = taken || best[k] == (int)i;
            }
            if (!taken && score[i] > 0 && (best[r] < 0 || score[i] > score[best[r]])) {
                best[r] = (int)i;
            }
        }
    }
}

/* Does b say a word of the claim that a does not, and a one that b does not? Else a pair proves
   nothing. */
static bool both_add(const struct check_hold *h, const struct facts *a, const struct facts *b)
{
    bool from_a = false, from_b = false;
    for (size_t i = 0; i < h->claim->count; i++) {
        const struct token *t = &h->claim->tokens[i];
        if (t->content || t->number) {
            bool in_a = check_find_in(a, t, h->lang) != NULL,
                 in_b = check_find_in(b, t, h->lang) != NULL;
            from_a = from_a || (in_a && !in_b);
            from_b = from_b || (in_b && !in_a);
        }
    }
    return from_a && from_b;
}

static bool pair_holds(struct check_hold *h, const struct facts *a, const struct facts *b)
{
    return both_add(h, a, b) && held(h, a, b);
}

static bool try_sources(struct check_hold *h, const struct facts *sources, size_t n,
                        const double *score, const int best[NEAREST])
{
    struct check_claim first = {0};
    for (int r = 0; r < NEAREST && best[r] >= 0; r++) {
        size_t i = (size_t)best[r];
        bool ok = held(h, &sources[i], NULL);
        ok = ok || (i + 1 < n && score[i + 1] > 0 && pair_holds(h, &sources[i], &sources[i + 1]));
        ok = ok || (i > 0 && score[i - 1] > 0 && pair_holds(h, &sources[i - 1], &sources[i]));
        if (ok) {
            h->out->source = (int)i;
            h->out->overlap = score[i];
            return true;
        }
        if (r == 0) {
            held(h, &sources[i], NULL);
            first = *h->out;
        }
    }
    if (best[0] >= 0 && best[1] >= 0 && pair_holds(h, &sources[best[0]], &sources[best[1]])) {
        h->out->source = best[0];
        h->out->overlap = score[best[0]];
        return true;
    }
    h->out->reason = first.reason;
    memcpy(h->out->detail, first.detail, sizeof(first.detail));
    return false;
}

/* Of the sentences that the claim is nearly one of, one that it aligns with best (or one word less)
   has to be unchanged. */
static bool edits_hold(struct check_hold *h, const struct facts *sources, const int best[NEAREST])
{
    size_t aligned[NEAREST] = {0}, most = 0;
    bool agrees[NEAREST];
    struct check_claim first = {0};
    for (int r = 0; r < NEAREST && best[r] >= 0; r++) {
        h->out->reason = CHECK_REASON_NONE;
        h->out->detail[0] = '\0';
        aligned[r] = check_edits_agree(h, &sources[best[r]], &agrees[r]);
        if (aligned[r] > most) {
            most = aligned[r];
            first = *h->out;
        }
    }
    h->out->reason = first.reason;
    memcpy(h->out->detail, first.detail, sizeof(first.detail));
    for (int r = 0; r < NEAREST && best[r] >= 0; r++) {
        if (aligned[r] > 0 && aligned[r] + 1 >= most && agrees[r]) {
            return true;
        }
    }
    return most == 0;
}

static void judge(const struct facts *claim, const struct facts *sources, size_t n,
                  enum knowledge_lang lang, const struct knowledge_words *ticket,
                  struct check_claim *out)
{
    struct check_hold h = {.claim = claim, .lang = lang, .ticket = ticket, .out = out};
    double *score = mem_alloc_array(n + 1, sizeof(*score));
    out->verdict = CHECK_UNSUPPORTED;
    out->reason = CHECK_REASON_NO_SOURCE;
    out->source = -1;
    for (size_t i = 0; i < n; i++) {
        score[i] = overlap(claim, &sources[i], lang);
        if (same_words(claim, &sources[i])) {
            out->verdict = CHECK_SUPPORTED;
            out->reason = CHECK_REASON_NONE;
            out->source = (int)i;
            out->overlap = 1;
            break;
        }
    }
    int best[NEAREST];
    nearest(score, n, best);
    if (out->verdict != CHECK_SUPPORTED && best[0] >= 0) {
        out->source = best[0];
        out->overlap = score[best[0]];
        if (try_sources(&h, sources, n, score, best) && edits_hold(&h, sources, best)) {
            out->verdict = CHECK_SUPPORTED;
            out->reason = CHECK_REASON_NONE;
            out->detail[0] = '\0';
        } else if (out->overlap < 0.3) {
            out->reason = CHECK_REASON_NO_SOURCE;
        }
    }
    mem_free(score);
}

static struct facts *facts_of(const char *const *sources, size_t n, enum knowledge_lang lang)
{
    struct facts *f = mem_alloc_array(n + 1, sizeof(*f));
    for (size_t i = 0; i < n; i++) {
        check_facts_init(&f[i], sources[i], strlen(sources[i]), lang);
    }
    return f;
}

static void facts_free(struct facts *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_facts_done(&f[i]);
    }
    mem_free(f);
}

void check_claim(const char *claim, size_t len, enum knowledge_lang lang,
                 const char *const *sources, size_t source_count, const char *ticket,
                 size_t ticket_len, struct check_claim *out)
{
    size_t n = source_count > CHECK_MAX_SOURCES ? CHECK_MAX_SOURCES : source_count;
    struct facts *f = facts_of(sources, n, lang), mine;
    struct knowledge_words words;
    size_t frame = check_frame_length(claim, len, lang);
    *out = (struct check_claim){.len = (uint32_t)len};
    check_facts_init(&mine, claim + frame, len - frame, lang);
    knowledge_words_init(&words, ticket != NULL ? ticket : "", ticket != NULL ? ticket_len : 0,
                         lang);
    judge(&mine, f, n, lang, &words, out);
    knowledge_words_done(&words);
    check_facts_done(&mine);
    facts_free(f, n);
}

/* Greeting, thanks, sign-off: the house's own words, or nothing but polite ones and the
   customer's name. */
static bool is_frame(const struct check_support *in, const struct facts *claim,
                     const struct knowledge_words *ticket)
{
    for (size_t i = 0; i < in->frame_count; i++) {
        struct facts f;
        check_facts_init(&f, in->frame[i], strlen(in->frame[i]), in->lang);
        bool same = same_words(claim, &f);
        check_facts_done(&f);
        if (same) {
            return true;
        }
    }
    struct check_hold h = {.claim = claim, .ticket = ticket};
    size_t names = 0;
    bool greeting =
        claim->count > 0 && claim->count <= 5 && (claim->tokens[0].classes & WORD_POLITE);
    for (size_t i = 0; i < claim->count; i++) {
        const struct token *t = &claim->tokens[i];
        if (t->number || t->w.digit) {
            return false;
        }
        if (!(t->classes & WORD_POLITE) &&
            !(t->w.stop && !(t->classes & (WORD_CAN | WORD_MUST | WORD_CONDITION)))) {
            names++;
            if (!greeting || !t->w.capital || !in_ticket(&h, t)) {
                return false;
            }
        }
    }
    size_t polite = 0;
    for (size_t i = 0; i < claim->count; i++) {
        polite += (claim->tokens[i].classes & WORD_POLITE) != 0;
    }
    return names <= 2 && claim->count <= 24 && polite * 3 >= claim->count && polite > 0;
}

bool check_support(const struct check_support *in, struct check_claim *out, size_t max,
                   size_t *count)
{
    struct knowledge_span spans[CHECK_MAX_CLAIMS + 1];
    size_t len =
        in->reply_len > CHECK_MAX_REPLY ? text_utf8_cut(in->reply, CHECK_MAX_REPLY) : in->reply_len;
    size_t n = knowledge_split(in->reply, len, in->lang, spans, CHECK_MAX_CLAIMS + 1);
    size_t sources = in->source_count > CHECK_MAX_SOURCES ? CHECK_MAX_SOURCES : in->source_count;
    bool ok = n <= CHECK_MAX_CLAIMS && n <= max && len == in->reply_len, supported = false;
    struct facts *f = facts_of(in->sources, sources, in->lang);
    struct knowledge_words ticket;
    knowledge_words_init(&ticket, in->ticket != NULL ? in->ticket : "",
                         in->ticket != NULL ? in->ticket_len : 0, in->lang);
    n = n > max ? max : n;
    n = n > CHECK_MAX_CLAIMS ? CHECK_MAX_CLAIMS : n;
    for (size_t i = 0; i < n; i++) {
        struct facts claim;
        out[i] = (struct check_claim){.at = spans[i].at, .len = spans[i].len, .source = -1};
        check_facts_init(&claim, in->reply + spans[i].at, spans[i].len, in->lang);
        if (claim.count == 0 || is_frame(in, &claim, &ticket)) {
            out[i].verdict = CHECK_FRAME;
        } else {
            size_t skip = check_frame_length(claim.text, claim.len, in->lang);
            if (skip > 0) {
                check_facts_done(&claim);
                check_facts_init(&claim, in->reply + spans[i].at + skip, spans[i].len - skip,
                                 in->lang);
            }
            judge(&claim, f, sources, in->lang, &ticket, &out[i]);
        }
        ok = ok && out[i].verdict != CHECK_UNSUPPORTED;
        supported = supported || out[i].verdict == CHECK_SUPPORTED;
        check_facts_done(&claim);
    }
    knowledge_words_done(&ticket);
    facts_free(f, sources);
    *count = n;
    return ok && supported;
}
