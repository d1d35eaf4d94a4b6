/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support check, clause by clause: negation, can and must, opposites, and pronouns.
 *
 * Each clause of the claim is held against the source clause that says most of it.
 * Owns: nothing. Threads: pure.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check_internal.h"

#define SEGMENT_SAID 0.75 /* a segment the claim says nearly whole: its negations must be there */
#define SAME_KIND 1.2     /* words that a condition is worth when clauses are paired with clauses */

/* ---- clauses: negation, can and must, opposites ---- */

struct clause_view {
    const struct facts *f;
    int clause;
    int negations;
    bool can, must, need, maybe, conditional;
    size_t content;
};

static struct clause_view view_clause(const struct facts *f, int clause)
{
    struct clause_view v = {.f = f, .clause = clause};
    for (size_t i = 0; i < f->count; i++) {
        const struct token *t = &f->tokens[i];
        if (t->clause != clause) {
            continue;
        }
        v.negations += (t->classes & WORD_NEGATION) != 0;
        v.can = v.can || (t->classes & WORD_CAN);
        v.must = v.must || (t->classes & WORD_MUST);
        v.need = v.need || ((t->classes & WORD_MUST) && strcmp(t->w.folded, "must") != 0 &&
                            strcmp(t->w.folded, "mustn't") != 0);
        bool to_you = i > 0 && (strcmp(f->tokens[i - 1].w.folded, "you") == 0 ||
                                strcmp(f->tokens[i - 1].w.folded, "person") == 0);
        v.maybe = v.maybe || ((t->classes & WORD_MAYBE) && !to_you);
        v.conditional = v.conditional || t->condition != 0;
        v.content += t->content || t->number;
    }
    return v;
}

static double clause_overlap(const struct check_hold *h, int mine, int theirs)
{
    size_t said = 0, own = 0;
    for (size_t i = 0; i < h->claim->count; i++) {
        const struct token *t = &h->claim->tokens[i];
        bool counts = t->clause == mine && (t->content || t->number || !t->w.stop);
        for (size_t k = 0; counts && k < h->source->count; k++) {
            if (h->source->tokens[k].clause == theirs &&
                check_held_same(h, t, &h->source->tokens[k])) {
                said++;
                break;
            }
        }
    }
    for (size_t k = 0; k < h->source->count; k++) {
        own += h->source->tokens[k].clause == theirs && h->source->tokens[k].content;
    }
    if (said == 0) {
        return 0;
    }
    bool alike =
        view_clause(h->claim, mine).conditional == view_clause(h->source, theirs).conditional;
    return (double)said + (alike ? SAME_KIND : 0) + 1.0 / (2.0 + (double)own);
}

static bool says(const struct facts *f, int clause, const char *stem)
{
    for (size_t i = 0; i < f->count; i++) {
        if ((clause < 0 || f->tokens[i].clause == clause) &&
            strcmp(f->tokens[i].w.stem, stem) == 0) {
            return true;
        }
    }
    return false;
}

/* A claim word whose opposite stands in the source clause, and that clause does not say the
   word. */
static bool opposites_agree(struct check_hold *h, int mine, int theirs)
{
    for (size_t i = 0; i < h->claim->count; i++) {
        const struct token *t = &h->claim->tokens[i];
        if ((mine >= 0 && t->clause != mine) || says(h->source, theirs, t->w.stem)) {
            continue;
        }
        for (size_t k = 0; k < h->source->count; k++) {
            const struct token *s = &h->source->tokens[k];
            if ((theirs < 0 || s->clause == theirs) &&
                check_is_opposite(t->w.stem, s->w.stem, h->lang) &&
                !says(h->claim, mine, s->w.stem)) {
                return check_refuse_token(h, CHECK_REASON_OPPOSITE, h->claim, t);
            }
        }
    }
    return true;
}

static const struct token *clause_word(const struct facts *f, int clause, unsigned classes)
{
    const struct token *any = &f->tokens[0];
    for (size_t i = f->count; i-- > 0;) {
        if (f->tokens[i].clause == clause) {
            any = &f->tokens[i];
            if (f->tokens[i].classes & classes) {
                return any;
            }
        }
    }
    return any;
}

static bool modality_agrees(struct check_hold *h, const struct clause_view *c,
                            const struct clause_view *s)
{
    unsigned modal = WORD_CAN | WORD_MUST | WORD_MAYBE;
    bool negated = c->negations % 2 == 1;
    bool wrong = !negated && ((c->must && !c->can && s->can && !s->must) ||
                              (c->can && !c->must && s->must && !s->can));
    wrong = wrong ||
            (negated && c->must && s->must && c->need != s->need && h->lang == KNOWLEDGE_LANG_EN);
    wrong = wrong || (s->maybe && !c->maybe && !c->can);
    return !wrong || check_refuse_token(h, CHECK_REASON_MODALITY, h->claim,
                                        clause_word(h->claim, c->clause, modal));
}

bool check_clauses_agree(struct check_hold *h)
{
    int mine_total = 0, theirs_total = 0;
    for (int s = 0; s < h->source->clauses; s++) {
        theirs_total += view_clause(h->source, s).negations;
    }
    for (int c = 0; c < h->claim->clauses; c++) {
        struct clause_view mine = view_clause(h->claim, c);
        mine_total += mine.negations;
        double best = 0;
        for (int s = 0; s < h->source->clauses; s++) {
            best = fmax(best, clause_overlap(h, c, s));
        }
        bool agreed = best <= 0;
        enum check_reason first = CHECK_REASON_NONE;
        for (int s = 0; s < h->source->clauses && !agreed; s++) {
            if (clause_overlap(h, c, s) < best - 1e-9) {
                continue;
            }
            struct clause_view theirs = view_clause(h->source, s);
            if (!h->close && mine.negations % 2 != theirs.negations % 2) {
                check_refuse_token(h, CHECK_REASON_NEGATION, h->claim,
                                   clause_word(h->claim, c, WORD_NEGATION));
            } else if (modality_agrees(h, &mine, &theirs) && opposites_agree(h, c, s)) {
                agreed = true;
            }
            first = first == CHECK_REASON_NONE ? h->out->reason : first;
        }
        if (!agreed) {
            return false;
        }
        h->out->reason = CHECK_REASON_NONE;
        h->out->detail[0] = '\0';
    }
    int said_total = 0;
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *t = &h->source->tokens[i];
        said_total +=
            (t->classes & WORD_NEGATION) && check_segment_share(h, t->segment) >= SEGMENT_SAID;
    }
    if (!h->close && (mine_total > theirs_total || mine_total < said_total)) {
        return check_refuse(h, CHECK_REASON_NEGATION, "not", 3);
    }
    return opposites_agree(h, -1, -1);
}

/* "It is still sent": what it stands for was dropped, unless the source opens so too or nearly
   all is said. */
bool check_pronoun_agrees(struct check_hold *h)
{
    static const char pronouns[] = " it they this these that he she es dies diese dieser dieses ";
    char key[KNOWLEDGE_WORD_SIZE + 3];
    if (h->claim->count == 0 || h->source->count == 0) {
        return true;
    }
    const struct token *t = &h->claim->tokens[0];
    snprintf(key, sizeof(key), " %s ", t->w.folded);
    if (strstr(pronouns, key) == NULL) {
        return true;
    }
    for (size_t i = 0; i < h->source->count; i++) {
        const struct token *s = &h->source->tokens[i];
        if (strcmp(s->w.folded, t->w.folded) == 0 &&
            (s->first || s->clause != h->source->tokens[i > 0 ? i - 1 : 0].clause)) {
            return true;
        }
    }
    for (int s = 0; s < h->source->segments; s++) {
        if (check_segment_share(h, s) >= SEGMENT_SAID) {
            return true;
        }
    }
    return check_refuse_token(h, CHECK_REASON_CONTENT, h->claim, t);
}
