/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sentence as facts: tokens with clause, segment and condition, and its quantities.
 *
 * Clauses (for negation) end at punctuation and joints; segments (for conditions) end at semicolons
 * and at ", and"; a condition phrase runs from its opener to the next punctuation mark.
 * Owns: the tokens. Threads: pure. Limits: MAX_TOKENS tokens a sentence, more makes it too_long.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check_internal.h"

static bool is_word(const struct token *t, const char *word)
{
    return strcmp(t->w.folded, word) == 0;
}

static bool is_any(const struct token *t, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (is_word(t, *words)) {
            return true;
        }
    }
    return false;
}

/* Bytes between token i - 1 and token i. */
static bool gap_has(const struct facts *f, size_t i, const char *marks)
{
    size_t from = i == 0 ? 0 : f->tokens[i - 1].w.at + f->tokens[i - 1].w.len;
    size_t to = i < f->count ? f->tokens[i].w.at : f->len;
    for (size_t p = from; p < to; p++) {
        if (strchr(marks, f->text[p]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool gap_has_dash(const struct facts *f, size_t i)
{
    size_t from = i == 0 ? 0 : f->tokens[i - 1].w.at + f->tokens[i - 1].w.len;
    size_t to = f->tokens[i].w.at;
    return to > from && (memmem(f->text + from, to - from, "\xE2\x80\x93", 3) != NULL ||
                         memmem(f->text + from, to - from, " - ", 3) != NULL);
}

static const char *const coordinators[] = {"and",  "but",  "or",      "so",   "then", "und",
                                           "aber", "oder", "sondern", "dann", NULL};
static const char *const list_words[] = {"and", "und", NULL};
static const char *const alternatives[] = {"or", "oder", NULL};
static const char *const within_words[] = {"within", "innerhalb", "binnen", NULL};
static const char *const long_words[] = {"long", "soon", "lange", "bald", NULL};
static const char *const have_words[] = {"have", "has", "had", NULL};

static void classify(struct facts *f, enum knowledge_lang lang)
{
    for (size_t i = 0; i < f->count; i++) {
        struct token *t = &f->tokens[i];
        t->classes = check_word_classes(t->w.folded, t->w.stem, lang);
        t->first = i == 0 || gap_has(f, i, ".:!?\"");
        if ((t->classes & WORD_CALENDAR) && (!t->w.capital || (t->first && is_word(t, "may")))) {
            t->classes &= ~(unsigned)WORD_CALENDAR;
        }
        if (lang == KNOWLEDGE_LANG_EN && is_word(t, "may") && t->w.capital && !t->first) {
            t->classes = WORD_CALENDAR; /* the month */
        }
        if (i + 1 < f->count && is_word(t, "because") && is_word(&f->tokens[i + 1], "of")) {
            t->classes &= ~(unsigned)WORD_JOINT;
        }
        if (i + 1 < f->count && is_any(t, have_words) && is_word(&f->tokens[i + 1], "to")) {
            t->classes |= WORD_MUST;
        }
    }
    for (size_t i = 1; i < f->count; i++) {
        struct token *t = &f->tokens[i];
        if (is_any(t, long_words) &&
            is_word(&f->tokens[i - 1], lang == KNOWLEDGE_LANG_DE ? "so" : "as")) {
            f->tokens[i - 1].classes |= WORD_CONDITION;
        }
    }
}

/* "after the account has been created": a clause of its own, unlike "after 22:00". */
static bool opens_time_clause(const struct facts *f, size_t i)
{
    static const char *const heads[] = {"after", "before", "once", "nachdem", "bevor", NULL};
    static const char *const verbs[] = {"is",   "are",  "was",    "were",   "has",    "have",
                                        "had",  "been", "you",    "we",     "they",   "it",
                                        "ist",  "sind", "wurde",  "wurden", "wird",   "werden",
                                        "hat",  "haben", "sie",   "wir",    "es",     NULL};
    if (!is_any(&f->tokens[i], heads)) {
        return false;
    }
    for (size_t k = i + 1; k < f->count && k <= i + 6; k++) {
        if (is_any(&f->tokens[k], verbs)) {
            return true;
        }
    }
    return false;
}

/* Words that make a clause of a list item: auxiliaries and pronouns. */
static const char clause_words[] =
    " is are was were be been will would can cannot could may might do does did have has had must "
    "need should you we it they he she i "
    "sie wir es er ich ist sind war waren wird werden wurde hat haben kann k\xC3\xB6nnen muss "
    "m\xC3\xBCssen darf d\xC3\xBCrfen soll "
    "dauert kostet gilt gelten braucht funktioniert bleibt bleiben steht kommt geht wartet ";

static bool is_list_item(const struct facts *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        double factor;
        char key[KNOWLEDGE_WORD_SIZE + 3];
        snprintf(key, sizeof(key), " %s ", f->tokens[i].w.folded);
        if (strstr(clause_words, key) != NULL ||
            (f->tokens[i].classes & (WORD_NEGATION | WORD_CONDITION)) ||
            ((f->tokens[i].classes & WORD_LIGHT) && !f->tokens[i].w.stop) ||
            check_unit(f->tokens[i].w.folded, &factor) != UNIT_NONE) {
            return false;
        }
    }
    return to - from <= 8;
}

/* "The Piccola, the Filtro and the Grind 2 cannot ...": items of a list belong to the clause
   beside them. */
static void join_lists(struct facts *f)
{
    for (size_t from = 0; from < f->count;) {
        size_t to = from + 1;
        while (to < f->count && f->tokens[to].clause == f->tokens[from].clause) {
            to++;
        }
        bool comma = to < f->count && gap_has(f, to, ",") && !gap_has(f, to, ";:()!?");
        bool joint = to < f->count && !gap_has(f, to, ",;:()!?");
        bool behind =
            from > 0 && to == f->count && !gap_has(f, from, ";:()!?") &&
            (!(f->tokens[from].classes & WORD_JOINT) || is_any(&f->tokens[from], list_words));
        if (is_list_item(f, from, to) && (comma || joint)) {
            int drop = f->tokens[to].clause;
            for (size_t i = to; i < f->count && f->tokens[i].clause == drop; i++) {
                f->tokens[i].clause = f->tokens[from].clause;
            }
        } else {
            if (is_list_item(f, from, to) && behind) {
                for (size_t i = from; i < to; i++) {
                    f->tokens[i].clause = f->tokens[from - 1].clause;
                }
            }
            from = to;
        }
    }
}

static void number_clauses(struct facts *f)
{
    int clause = 0, segment = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct token *t = &f->tokens[i];
        bool comma = i > 0 && gap_has(f, i, ",");
        bool hard = i > 0 && gap_has(f, i, ";:()!?");
        bool joint = (t->classes & WORD_JOINT) || opens_time_clause(f, i);
        if (i > 0 && (comma || hard || gap_has_dash(f, i) || joint)) {
            clause++;
        }
        if (i > 0 && (gap_has(f, i, ";!?") || (comma && is_any(t, coordinators)))) {
            segment++;
        }
        t->clause = clause;
        t->segment = segment;
    }
    f->clauses = clause + 1;
    f->segments = segment + 1;
    join_lists(f);
}

static bool next_is_amount(const struct facts *f, size_t i)
{
    if (i + 1 >= f->count) {
        return false;
    }
    const struct token *n = &f->tokens[i + 1];
    return n->number || n->w.digit || is_word(n, "zu") || is_word(n, "zum") || is_word(n, "zur");
}

static void mark_condition(struct facts *f, size_t i)
{
    if (f->condition_count == MAX_CONDITIONS) {
        f->too_long = true;
        return;
    }
    struct token *t = &f->tokens[i];
    struct condition *c = &f->conditions[f->condition_count++];
    bool within = is_any(t, within_words);
    bool then = i + 1 < f->count &&
                (is_word(&f->tokens[i + 1], "then") || is_word(&f->tokens[i + 1], "dahin"));
    size_t words = within ? 6 : then ? 2 : MAX_TOKENS;
    *c = (struct condition){.segment = t->segment};
    c->whole = i == 0 || (i > 0 && gap_has(f, i, ";"));
    c->alternative = i > 0 && is_any(&f->tokens[i - 1], alternatives);
    for (size_t k = i; k < f->count && k < i + words; k++) {
        if (k > i && (gap_has(f, k, ",;:()") || (within && (f->tokens[k].classes & WORD_JOINT)))) {
            break;
        }
        f->tokens[k].condition = f->condition_count;
    }
}

/* "Should it turn up later, ...", "Wird eine Box schon gepackt, ...": a verb first opens a
 * condition. */
static bool opens_with_verb(const struct facts *f)
{
    static const char *const verbs[] = {
        "should",   "had",          "wird",         "werden",    "wurde", "wurden", "ist",
        "sind",     "war",          "hat",          "haben",     "kommt", "kommen", "dauert",
        "leuchtet", "bleibt",       "steht",        "geht",      "gibt",  "sollte", "sollten",
        "fehlt",    "funktioniert", "l\xC3\xA4sst", "erscheint", "zeigt", NULL};
    if (f->count == 0 || !is_any(&f->tokens[0], verbs)) {
        return false;
    }
    for (size_t i = 1; i < f->count; i++) {
        if (gap_has(f, i, ",")) {
            return !gap_has(f, f->count, "?");
        }
    }
    return false;
}

static void find_conditions(struct facts *f)
{
    if (opens_with_verb(f)) {
        mark_condition(f, 0);
    }
    for (size_t i = 0; i < f->count; i++) {
        struct token *t = &f->tokens[i];
        if (t->condition != 0) {
            continue;
        }
        if (is_any(t, within_words) || ((t->classes & WORD_CONDITION) && !next_is_amount(f, i))) {
            mark_condition(f, i);
        } else if ((t->classes & WORD_ONLY) && f->condition_count < MAX_CONDITIONS) {
            f->conditions[f->condition_count++] =
                (struct condition){.segment = t->segment, .only = true};
        }
    }
}

/* ---- quantities ---- */

/* "3.8.16", "192.168.0.1": the same mark twice, and not before groups of three. */
static bool is_version(const char *s)
{
    size_t marks = 0;
    bool groups = true;
    char first = '\0';
    for (const char *p = s; *p != '\0'; p++) {
        if (*p == '.' || *p == ',') {
            groups = groups && strspn(p + 1, "0123456789") == 3 && (marks == 0 || *p == first);
            first = marks == 0 ? *p : first;
            marks++;
        }
    }
    return marks >= 2 && !groups && strchr(s, ',') == NULL;
}

/* "1,500", "12,90", "2.4", "22:00": a separator with three digits behind it groups thousands. */
static bool read_number(const char *s, double *value, bool *clock)
{
    char digits[KNOWLEDGE_WORD_SIZE];
    size_t n = 0, len = strlen(s);
    *clock = false;
    if (strspn(s, "0123456789.,:") != len) {
        return false;
    }
    const char *colon = strchr(s, ':');
    if (colon != NULL) {
        const char *second = strchr(colon + 1, ':');
        *clock = true;
        *value = strtod(s, NULL) * 60 + strtod(colon + 1, NULL) +
                 (second != NULL ? strtod(second + 1, NULL) / 60 : 0);
        return true;
    }
    if (is_version(s)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '.' || s[i] == ',') {
            size_t behind = strspn(s + i + 1, "0123456789");
            bool thousands = behind == 3 && i > 0 && !(i == 1 && s[0] == '0');
            if (!thousands) {
                digits[n++] = '.';
            }
        } else {
            digits[n++] = s[i];
        }
    }
    digits[n] = '\0';
    *value = strtod(digits, NULL);
    return true;
}

static const char *const working_words[] = {"working", "business", NULL};
static const char *const range_words[] = {"to", "or", "and", "bis", "oder", "und", "through", NULL};
static const char *const one_words[] = {"one",   "a",     "an",    "ein",   "eine",
                                        "einem", "einer", "einen", "eines", NULL};
static const char *const min_words[] = {"least",
                                        "minimum",
                                        "from",
                                        "ab",
                                        "after",
                                        "nach",
                                        "over",
                                        "above",
                                        "mindestens",
                                        "than",
                                        "als",
                                        "\xC3\xBC"
                                        "ber",
                                        NULL};
static const char *const max_words[] = {"most",
                                        "maximum",
                                        "within",
                                        "innerhalb",
                                        "binnen",
                                        "until",
                                        "by",
                                        "before",
                                        "vor",
                                        "bis",
                                        "h\xC3\xB6"
                                        "chstens",
                                        "maximal",
                                        "under",
                                        "below",
                                        NULL};

static enum unit unit_behind(const struct facts *f, size_t i, double *factor)
{
    const struct token *t = &f->tokens[i];
    size_t end = t->w.at + t->w.len;
    const char *rest = f->text + end;
    size_t left = f->len - end, skip = left > 0 && rest[0] == ' ';
    *factor = 1;
    if (left > skip && rest[skip] == '%') {
        return UNIT_PERCENT;
    }
    if ((left > skip + 2 && memcmp(rest + skip, "\xE2\x82\xAC", 3) == 0) ||
        (t->w.at >= 3 && memcmp(f->text + t->w.at - 3, "\xE2\x82\xAC", 3) == 0) ||
        (t->w.at >= 1 && strchr("$", f->text[t->w.at - 1]) != NULL)) {
        return UNIT_MONEY;
    }
    size_t n = i + 1;
    bool working = n < f->count && is_any(&f->tokens[n], working_words);
    n += working;
    if (n >= f->count || gap_has(f, n, ",;:()")) {
        return UNIT_NONE;
    }
    enum unit u = check_unit(f->tokens[n].w.folded, factor);
    return working && u == UNIT_SECONDS ? UNIT_WORKDAYS : u;
}

static enum bound bound_before(const struct facts *f, size_t i)
{
    for (size_t back = 1; back <= 3 && back <= i; back++) {
        const struct token *t = &f->tokens[i - back];
        if (is_word(t, "than") || is_word(t, "als")) {
            const struct token *b = i > back ? &f->tokens[i - back - 1] : t;
            bool less = is_word(b, "less") || is_word(b, "fewer") || is_word(b, "weniger") ||
                        is_word(b, "later");
            return less ? BOUND_MAX : BOUND_MIN;
        }
        if (is_any(t, max_words) ||
            (is_word(t, "to") && i > back && is_word(&f->tokens[i - back - 1], "up"))) {
            return BOUND_MAX;
        }
        if (is_any(t, min_words)) {
            return BOUND_MIN;
        }
        if (t->content || t->number || gap_has(f, i - back + 1, ",;:")) {
            break;
        }
    }
    return BOUND_NONE;
}

static bool number_at(const struct facts *f, size_t i, enum knowledge_lang lang, double *value,
                      bool *clock)
{
    const struct token *t = &f->tokens[i];
    *clock = false;
    if (t->w.digit) {
        return read_number(t->w.folded, value, clock);
    }
    if (check_number_word(t->w.folded, lang, value)) {
        return true;
    }
    double factor;
    if (is_any(t, one_words) && unit_behind(f, i, &factor) != UNIT_NONE) {
        *value = 1;
        return true;
    }
    if (is_word(t, "once") && i > 0 && (f->tokens[i - 1].classes & WORD_ONLY)) {
        *value = 1;
        return true;
    }
    return is_word(t, "einmal") && i > 0 && (f->tokens[i - 1].classes & WORD_ONLY)
               ? (*value = 1, true)
               : false;
}

static void find_quantities(struct facts *f, enum knowledge_lang lang)
{
    for (size_t i = 0; i < f->count; i++) {
        double value, factor;
        bool clock;
        if (!number_at(f, i, lang, &value, &clock)) {
            continue;
        }
        f->tokens[i].number = true;
        if (f->quantity_count == MAX_QUANTITIES) {
            f->too_long = true;
            return;
        }
        enum unit u = clock ? UNIT_CLOCK : unit_behind(f, i, &factor);
        factor = clock ? 1 : factor;
        if (u == UNIT_NONE && i + 2 < f->count && is_any(&f->tokens[i + 1], range_words)) {
            double other;
            bool c;
            if (number_at(f, i + 2, lang, &other, &c)) {
                u = unit_behind(f, i + 2, &factor);
            }
        }
        f->quantities[f->quantity_count++] = (struct quantity){value * factor, u, BOUND_NONE, i};
    }
}

void check_facts_init(struct facts *f, const char *text, size_t len, enum knowledge_lang lang)
{
    struct knowledge_words w;
    *f = (struct facts){.text = text, .len = len};
    knowledge_words_init(&w, text, len, lang);
    f->too_long = w.count > MAX_TOKENS;
    f->count = f->too_long ? MAX_TOKENS : w.count;
    f->tokens = mem_alloc_array(f->count + 1, sizeof(*f->tokens));
    for (size_t i = 0; i < f->count; i++) {
        f->tokens[i].w = w.items[i];
    }
    knowledge_words_done(&w);
    classify(f, lang);
    number_clauses(f);
    find_quantities(f, lang);
    for (size_t i = 0; i < f->count; i++) {
        struct token *t = &f->tokens[i];
        double factor;
        bool counted =
            i > 0 && (f->tokens[i - 1].number || (i > 1 && f->tokens[i - 2].number &&
                                                  is_any(&f->tokens[i - 1], working_words)));
        bool unit = counted && check_unit(t->w.folded, &factor) != UNIT_NONE;
        bool working = is_any(t, working_words) && i + 1 < f->count &&
                       check_unit(f->tokens[i + 1].w.folded, &factor) != UNIT_NONE;
        t->content = !t->number && !unit && !working && !t->w.stop &&
                     !(t->classes & (WORD_LIGHT | WORD_NEGATION | WORD_CONDITION));
        t->content = t->content || (t->classes & WORD_CALENDAR);
    }
    for (size_t i = 0; i < f->quantity_count; i++) {
        f->quantities[i].bound = bound_before(f, f->quantities[i].word);
    }
    find_conditions(f);
}

void check_facts_done(struct facts *f)
{
    mem_free(f->tokens);
    *f = (struct facts){0};
}

void check_facts_join(struct facts *out, const struct facts *a, const struct facts *b)
{
    *out = *a;
    out->too_long = a->too_long || b->too_long || a->count + b->count > MAX_TOKENS * 2 ||
                    a->quantity_count + b->quantity_count > MAX_QUANTITIES ||
                    a->condition_count + b->condition_count > MAX_CONDITIONS;
    out->tokens = mem_alloc_array(a->count + b->count + 1, sizeof(*out->tokens));
    memcpy(out->tokens, a->tokens, a->count * sizeof(*a->tokens));
    out->count = a->count + b->count;
    out->clauses = a->clauses + b->clauses;
    out->segments = a->segments + b->segments;
    for (size_t i = 0; i < b->count; i++) {
        struct token *t = &out->tokens[a->count + i];
        *t = b->tokens[i];
        t->clause += a->clauses;
        t->segment += a->segments;
        t->condition += t->condition > 0 ? a->condition_count : 0;
    }
    for (size_t i = 0; i < b->quantity_count && out->quantity_count < MAX_QUANTITIES; i++) {
        struct quantity q = b->quantities[i];
        q.word += a->count;
        out->quantities[out->quantity_count++] = q;
    }
    for (int i = 0; i < b->condition_count && out->condition_count < MAX_CONDITIONS; i++) {
        struct condition c = b->conditions[i];
        c.segment += a->segments;
        out->conditions[out->condition_count++] = c;
    }
}
