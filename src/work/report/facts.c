/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts that a number, a direction, a rank or a target of a sentence may rest on.
 * Threads: pure. Limits: the report's values are looked through once a number.
 */
#include <string.h>
#include <strings.h>

#include "work/report/claim_internal.h"

static const char *metric_of(const struct claim *c, const struct token *t)
{
    return c->tokens[t->metric].name;
}

static bool is_named(const struct claim *c, const char *label)
{
    for (size_t i = 0; i < c->tokens_len; i++) {
        if (c->tokens[i].kind == TOKEN_LABEL && strcmp(c->tokens[i].name, label) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count_labels(const struct claim *c, bool free_only)
{
    size_t n = 0;
    for (size_t i = 0; i < c->tokens_len; i++) {
        n += c->tokens[i].kind == TOKEN_LABEL && !(free_only && c->tokens[i].bound) ? 1 : 0;
    }
    return n;
}

static bool is_comparison(enum report_how how)
{
    return how == REPORT_HOW_CHANGE || how == REPORT_HOW_CHANGE_SIZE || how == REPORT_HOW_PERCENT ||
           how == REPORT_HOW_PERCENT_SIZE;
}

/* Does the sentence speak of the two periods that a comparison compares? Where it names none, of
   the last and the one before. */
static bool compares(const struct claim *c, const struct report_value *v)
{
    const struct report_value *now = &c->r->values[v->of[0]], *before = &c->r->values[v->of[1]];
    if (before->how == REPORT_HOW_TEMPLATE) {
        return c->has_target;
    }
    if (c->has_target && v->how == REPORT_HOW_CHANGE_SIZE) {
        return false; /* a gap to a target is the target's */
    }
    bool now_named = is_named(c, now->where), before_named = is_named(c, before->where);
    bool last = strcmp(now->where, c->r->last_period) == 0;
    bool previous = strcmp(before->where, c->r->previous_period) == 0;
    size_t named = (now_named ? 1 : 0) + (before_named ? 1 : 0);
    return (now_named || last) && (before_named || previous) && count_labels(c, false) == named;
}

/* Is a fact of this place what the number may be, where it stands? */
static bool place_fits(const struct claim *c, const struct token *t, const struct report_value *v)
{
    if (t->label >= 0) {
        return strcmp(c->tokens[t->label].name, v->where) == 0;
    }
    if (v->where[0] == '\0') {
        return true; /* of the whole table */
    }
    for (size_t i = 0; i < c->tokens_len; i++) {
        if (c->tokens[i].kind == TOKEN_LABEL && !c->tokens[i].bound &&
            strcmp(c->tokens[i].name, v->where) == 0) {
            return true;
        }
    }
    if (v->how == REPORT_HOW_BOUND || v->how == REPORT_HOW_SHARE) {
        return is_named(c, v->where);
    }
    return count_labels(c, true) == 0 && strcmp(v->where, c->r->last_period) == 0;
}

/* ---- what a number is there for ---- */

enum role {
    ROLE_PLAIN,   /* a value, or a share */
    ROLE_COUNT,   /* so many periods */
    ROLE_CHANGE,  /* by so much */
    ROLE_TOTAL,   /* 8 of 24 */
    ROLE_TARGET,  /* its target of 1,000 */
    ROLE_LOW,     /* its usual range of 3 to 5 */
    ROLE_HIGH,
    ROLE_PERCENT, /* in brackets behind a change */
    ROLE_SHARE    /* in brackets behind a part, or a part of a total */
};

static bool is_word(const struct claim *c, size_t i, const char *en, const char *de)
{
    const struct token *t = &c->tokens[i];
    return t->kind == TOKEN_WORD &&
           ((t->len == strlen(en) && strncasecmp(c->s + t->at, en, t->len) == 0) ||
            (t->len == strlen(de) && strncasecmp(c->s + t->at, de, t->len) == 0));
}

static bool means(const struct claim *c, size_t i, enum meaning a, enum meaning b)
{
    return c->tokens[i].kind == TOKEN_WORD &&
           (c->tokens[i].meaning == a || c->tokens[i].meaning == b);
}

static bool in_brackets(const struct claim *c, size_t i)
{
    size_t at = c->tokens[i].at;
    return at > 0 && c->s[at - 1] == '(';
}

static enum role role_of(const struct claim *c, size_t i)
{
    size_t next = i + 1;
    bool number = i > 0 && c->tokens[i - 1].kind == TOKEN_NUMBER;
    if (in_brackets(c, i) && number) {
        enum role before = role_of(c, i - 1);
        return before == ROLE_CHANGE ? ROLE_PERCENT : ROLE_SHARE;
    }
    while (next < c->tokens_len && c->tokens[next].kind == TOKEN_NUMBER && in_brackets(c, next)) {
        next++;
    }
    if (next < c->tokens_len && means(c, next, MEANS_UP, MEANS_DOWN) &&
        !is_word(c, next, "up", "mehr") && !is_word(c, next, "down", "")) {
        return ROLE_CHANGE; /* 933 above 2024-12 */
    }
    if (i + 1 < c->tokens_len &&
        (is_word(c, i + 1, "periods", "perioden") || is_word(c, i + 1, "months", "monate"))) {
        return ROLE_COUNT;
    }
    if (i == 0 || in_brackets(c, i)) {
        return ROLE_PLAIN;
    }
    if (is_word(c, i - 1, "by", "um") || means(c, i - 1, MEANS_UP, MEANS_DOWN)) {
        return ROLE_CHANGE;
    }
    if (is_word(c, i - 1, "of", "von") && i > 1) {
        bool target = c->tokens[i - 2].kind == TOKEN_WORD &&
                      c->tokens[i - 2].meaning == MEANS_TARGET;
        return target                                         ? ROLE_TARGET
               : is_word(c, i - 2, "range", "bereich")        ? ROLE_LOW
               : is_word(c, i - 2, "change", "difference")    ? ROLE_CHANGE
               : c->tokens[i - 2].kind == TOKEN_NUMBER        ? ROLE_TOTAL
                                                              : ROLE_PLAIN;
    }
    if (is_word(c, i - 1, "to", "bis") && i > 1 && c->tokens[i - 2].kind == TOKEN_NUMBER &&
        role_of(c, i - 2) == ROLE_LOW) {
        return ROLE_HIGH;
    }
    return ROLE_PLAIN;
}

static bool is_bound(const struct report *r, uint32_t value, bool high)
{
    for (size_t i = 0; i < r->odd_len; i++) {
        if ((high ? r->odd[i].high : r->odd[i].low) == value) {
            return true;
        }
    }
    return false;
}

static bool role_fits(const struct claim *c, enum role role, uint32_t value)
{
    const struct report_value *v = &c->r->values[value];
    bool percent = v->how == REPORT_HOW_PERCENT || v->how == REPORT_HOW_PERCENT_SIZE;
    switch (role) {
    case ROLE_CHANGE:
        return is_comparison(v->how);
    case ROLE_COUNT:
        return v->how == REPORT_HOW_PERIODS;
    case ROLE_PERCENT:
        return percent;
    case ROLE_SHARE:
        return v->how == REPORT_HOW_SHARE;
    case ROLE_TARGET:
        return v->how == REPORT_HOW_TEMPLATE;
    case ROLE_LOW:
    case ROLE_HIGH:
        return v->how == REPORT_HOW_BOUND && is_bound(c->r, value, role == ROLE_HIGH);
    case ROLE_TOTAL:
        return v->where[0] == '\0' && !is_comparison(v->how) && v->how != REPORT_HOW_PERIODS;
    case ROLE_PLAIN:
    default:
        return !is_comparison(v->how) && v->how != REPORT_HOW_BOUND &&
               v->how != REPORT_HOW_PERIODS && v->how != REPORT_HOW_TEMPLATE;
    }
}

static bool belongs(const struct claim *c, const struct token *t, enum role role, uint32_t value)
{
    const struct report_value *v = &c->r->values[value];
    if (!v->is_number || strcmp(v->what, metric_of(c, t)) != 0 || !role_fits(c, role, value)) {
        return false;
    }
    if (v->how == REPORT_HOW_TEMPLATE) {
        return c->has_target;
    }
    if (is_comparison(v->how) && v->of_len == 2) {
        return compares(c, v);
    }
    return place_fits(c, t, v);
}

static bool same_unit(const struct token *t, const struct report_value *v)
{
    return strcmp(t->unit, v->unit) == 0 ||
           (t->unit[0] == '\0' && strcmp(v->unit, "%") != 0 && strcmp(v->unit, "pp") != 0);
}

/* As it is shown, or a percentage rounded to fewer decimals. */
static bool same_number(const struct token *t, const struct report_value *v)
{
    struct report_decimal n = t->number;
    if (n.scale != v->decimals && !(n.scale < v->decimals && strcmp(v->unit, "%") == 0)) {
        return false;
    }
    /* "fell by -4" says too much; a change has no sign beside a word of direction */
    if (t->sign && is_comparison(v->how)) {
        return false;
    }
    return report_decimal_compare(decimal_round(v->number, n.scale), n) == 0;
}

static bool is_close(const struct token *t, const struct report_value *v)
{
    struct report_decimal gap, one = {1, t->number.scale};
    return decimal_subtract(v->number, t->number, &gap) &&
           report_decimal_compare(decimal_size(gap), one) <= 0;
}

enum report_verdict claim_number(struct claim *c, struct token *t)
{
    bool digits = false, unit = false, near = false, found = false;
    enum role role = role_of(c, (size_t)(t - c->tokens));
    if (!t->readable) {
        return REPORT_CLAIM_NUMBER;
    }
    for (uint32_t i = 0; i < c->r->values_len; i++) {
        const struct report_value *v = &c->r->values[i];
        if (!v->is_number) {
            continue;
        }
        bool mine = belongs(c, t, role, i), same = same_number(t, v), like = same_unit(t, v);
        if (mine && same && like && (!found || v->where[0] != '\0')) {
            t->fact = i; /* one with a place says more than a total */
            found = true;
        }
        bool turned = mine && report_decimal_compare(decimal_size(v->number),
                                                     decimal_size(t->number)) == 0;
        digits = digits || (same && like);
        unit = unit || turned;
        near = near || (mine && like && is_close(t, v));
    }
    return found    ? REPORT_CLAIM_OK
           : unit   ? REPORT_CLAIM_UNIT
           : near   ? REPORT_CLAIM_ROUNDING
           : digits ? REPORT_CLAIM_ELSEWHERE
                    : REPORT_CLAIM_NUMBER;
}

/* ---- words ---- */

/* "from A to B": does B lie on the side that the word says? 0: there is no such pair. */
static int from_to(const struct claim *c)
{
    const struct token *from = NULL, *to = NULL;
    for (size_t i = 0; i + 1 < c->tokens_len; i++) {
        const struct token *w = &c->tokens[i], *n = &c->tokens[i + 1];
        if (w->kind != TOKEN_WORD || n->kind != TOKEN_NUMBER) {
            continue;
        }
        bool is_from = (w->len == 4 && strncmp(c->s + w->at, "from", 4) == 0) ||
                       (w->len == 3 && strncmp(c->s + w->at, "von", 3) == 0);
        bool is_to = (w->len == 2 && strncmp(c->s + w->at, "to", 2) == 0) ||
                     (w->len == 3 && strncmp(c->s + w->at, "auf", 3) == 0);
        from = is_from ? n : from;
        to = is_to && strcmp(n->unit, from == NULL ? "" : from->unit) == 0 ? n : to;
    }
    return from == NULL || to == NULL ? 0 : report_decimal_compare(to->number, from->number);
}

static enum report_verdict check_target(const struct claim *c, const struct token *t, int want)
{
    for (size_t i = 0; i < c->r->values_len; i++) {
        const struct report_value *v = &c->r->values[i];
        if (v->how == REPORT_HOW_CHANGE_SIZE && strcmp(v->what, metric_of(c, t)) == 0 &&
            c->r->values[v->of[1]].how == REPORT_HOW_TEMPLATE) {
            int is = report_decimal_compare(c->r->values[v->of[0]].number,
                                            c->r->values[v->of[1]].number);
            return is == want ? REPORT_CLAIM_OK : REPORT_CLAIM_DIRECTION;
        }
    }
    return REPORT_CLAIM_DIRECTION;
}

static enum report_verdict check_direction(const struct claim *c, const struct token *t, int want)
{
    bool found = false;
    int pair = from_to(c);
    if (c->has_target) {
        return check_target(c, t, want);
    }
    for (size_t i = 0; i < c->r->values_len; i++) {
        const struct report_value *v = &c->r->values[i];
        if (v->how != REPORT_HOW_CHANGE || strcmp(v->what, metric_of(c, t)) != 0 ||
            !compares(c, v)) {
            continue;
        }
        struct report_decimal shown = decimal_round(v->number, v->decimals);
        int is = shown.units > 0 ? 1 : shown.units < 0 ? -1 : 0;
        if (is != want || (pair != 0 && pair != is)) {
            return REPORT_CLAIM_DIRECTION;
        }
        found = true;
    }
    return found ? REPORT_CLAIM_OK : REPORT_CLAIM_DIRECTION;
}

static bool is_period(const struct report *r, const char *label)
{
    for (size_t i = 0; i < r->values_len; i++) {
        if (r->values[i].how == REPORT_HOW_LABEL && strcmp(r->values[i].shown, label) == 0) {
            uint32_t column = r->values[i].cells[0].column;
            return r->table->columns[column].kind == REPORT_DATE;
        }
    }
    return false;
}

/* The number nearest to the word, behind it first, must be the greatest (least) of its like. */
static enum report_verdict check_rank(const struct claim *c, size_t word, int want)
{
    const struct token *n = NULL;
    for (size_t i = word + 1; i < c->tokens_len && n == NULL; i++) {
        n = c->tokens[i].kind == TOKEN_NUMBER ? &c->tokens[i] : NULL;
    }
    for (size_t i = word; i-- > 0 && n == NULL;) {
        n = c->tokens[i].kind == TOKEN_NUMBER ? &c->tokens[i] : NULL;
    }
    const struct report_value *fact = n == NULL ? NULL : &c->r->values[n->fact];
    if (fact == NULL || fact->where[0] == '\0' || is_comparison(fact->how) ||
        fact->how == REPORT_HOW_BOUND) {
        return REPORT_CLAIM_CONTEXT;
    }
    bool period = is_period(c->r, fact->where);
    size_t others = 0;
    for (size_t i = 0; i < c->r->values_len; i++) {
        const struct report_value *v = &c->r->values[i];
        bool like = v->is_number && v->where[0] != '\0' && !is_comparison(v->how) &&
                    v->how != REPORT_HOW_BOUND && strcmp(v->what, fact->what) == 0 &&
                    strcmp(v->unit, fact->unit) == 0 &&
                    (v->how == REPORT_HOW_SHARE) == (fact->how == REPORT_HOW_SHARE) &&
                    is_period(c->r, v->where) == period;
        if (like && report_decimal_compare(v->number, fact->number) * want > 0) {
            return REPORT_CLAIM_DIRECTION;
        }
        others += like && strcmp(v->where, fact->where) != 0 ? 1 : 0;
    }
    return others > 0 ? REPORT_CLAIM_OK : REPORT_CLAIM_CONTEXT; /* one alone has no rank */
}

static enum report_verdict check_outside(const struct claim *c, const struct token *t)
{
    bool none = false, said = false;
    size_t odd = 0;
    for (size_t i = 0; i < c->tokens_len; i++) {
        none = none || (c->tokens[i].kind == TOKEN_WORD && c->tokens[i].meaning == MEANS_NONE);
    }
    for (size_t i = 0; i < c->r->odd_len; i++) {
        const struct report_odd *o = &c->r->odd[i];
        if (strcmp(o->metric, metric_of(c, t)) != 0) {
            continue;
        }
        odd++;
        for (size_t k = 0; k < c->tokens_len; k++) {
            const struct report_value *v = &c->r->values[c->tokens[k].fact];
            said = said || (c->tokens[k].kind == TOKEN_NUMBER &&
                            strcmp(v->where, c->r->values[o->value].where) == 0 &&
                            report_decimal_compare(v->number, c->r->values[o->value].number) == 0);
        }
    }
    if (none) {
        bool looked = false; /* a series that was too short has no usual range */
        for (size_t k = 0; k < c->tokens_len; k++) {
            looked = looked || (c->tokens[k].kind == TOKEN_NUMBER &&
                                c->r->values[c->tokens[k].fact].how == REPORT_HOW_PERIODS);
        }
        return odd == 0 && looked ? REPORT_CLAIM_OK : REPORT_CLAIM_DIRECTION;
    }
    return said ? REPORT_CLAIM_OK : REPORT_CLAIM_DIRECTION;
}

enum report_verdict claim_word(struct claim *c, size_t word)
{
    const struct token *t = &c->tokens[word];
    switch (t->meaning) {
    case MEANS_UP:
        return check_direction(c, t, 1);
    case MEANS_DOWN:
        return check_direction(c, t, -1);
    case MEANS_SAME:
        return check_direction(c, t, 0);
    case MEANS_MOST:
        return check_rank(c, word, 1);
    case MEANS_LEAST:
        return check_rank(c, word, -1);
    case MEANS_MET:
        return check_target(c, t, 0);
    case MEANS_OUTSIDE:
        return check_outside(c, t);
    case MEANS_TARGET:
    case MEANS_NONE:
    case MEANS_NOTHING:
    case MEANS_UNKNOWN:
    default:
        return REPORT_CLAIM_OK;
    }
}
