/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory and rules say of a string, without a model: rung by rung, the surest first. An offer
 * is sure only where nothing but what code can carry over (numbers, placeholders, capitals, the
 * end's punctuation, whole sentences) differs from what people translated; the rest is a proposal.
 * Threads: none.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/memory_internal.h"

#define TEXT_MAX (64u * 1024)

const char *localize_by_name(enum localize_by by)
{
    static const char *const names[LOCALIZE_BY_COUNT] = {
        "none",    "kept",    "memory-context", "memory", "copy",   "glossary",
        "pattern", "variant", "parts",          "word",   "before", "model"};
    return by < LOCALIZE_BY_COUNT ? names[by] : "none";
}

static void offer(struct localize_offer *o, enum localize_by by, bool sure, double confidence,
                  const char *reason)
{
    o->by = by;
    o->sure = sure;
    o->confidence = confidence;
    o->reason = reason;
}

static bool same_targets(const struct pair *a, const struct pair *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++) {
        same = strcmp(a->targets[i], b->targets[i]) == 0;
    }
    return same;
}

static void take(struct localize_offer *o, const struct pair *p, struct arena *a)
{
    o->n = p->n;
    for (size_t i = 0; i < p->n; i++) {
        o->texts[i] = arena_dup_str(a, p->targets[i]);
    }
}

/* ---- exact ---- */

static bool is_same(const struct pair *p, const struct localize_ask *ask)
{
    return p->n == ask->forms && strcmp(p->source, ask->source) == 0 &&
           (p->plural == NULL) == (ask->plural == NULL) &&
           (p->plural == NULL || strcmp(p->plural, ask->plural) == 0);
}

/* The pair that most agree with, among those in the same place or anywhere; *different counts the
   translations. */
static const struct pair *vote(const struct localize_memory *m, const struct localize_ask *ask,
                               const struct key *at, size_t n, bool here, size_t *different)
{
    const struct pair *best = NULL;
    size_t most = 0;
    *different = 0;
    n = n > 200 ? 200 : n;
    for (size_t i = 0; i < n; i++) {
        const struct pair *p = &m->pairs[at[i].pair];
        size_t votes = 0;
        bool first = true;
        if (!is_same(p, ask) || (here && strcmp(p->context, ask->context) != 0)) {
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            const struct pair *q = &m->pairs[at[k].pair];
            bool counts = is_same(q, ask) && (!here || strcmp(q->context, ask->context) == 0) &&
                          same_targets(p, q);
            votes += counts ? 1 : 0;
            first = first && !(counts && k < i);
        }
        *different += first ? 1 : 0;
        if (votes > most) {
            most = votes;
            best = p;
        }
    }
    return best;
}

static bool find_exact(const struct localize_memory *m, const struct localize_ask *ask,
                       struct arena *a, struct localize_offer *o)
{
    size_t n, different = 0;
    const struct key *at = keys_find(&m->exact, hash_exact(ask->source, ask->plural), &n);
    if (at == NULL) {
        return false;
    }
    const struct pair *p =
        ask->context[0] == '\0' ? NULL : vote(m, ask, at, n, true, &different);
    bool here = p != NULL && different == 1;
    if (!here) {
        p = vote(m, ask, at, n, false, &different);
    }
    if (p == NULL) {
        return false;
    }
    take(o, p, a);
    if (here) {
        offer(o, LOCALIZE_BY_CONTEXT, true, 0.99, "the same string in the same place");
    } else if (different == 1) {
        offer(o, LOCALIZE_BY_MEMORY, true, 0.95, "the same string, always translated so");
    } else {
        offer(o, LOCALIZE_BY_MEMORY, false, 1.0 / (double)different,
              arena_printf(a, "memory has %zu translations of this string", different));
    }
    return true;
}

/* ---- nothing to translate ---- */

static bool is_kept_word(const struct localize_glossary *g, const struct token *t)
{
    for (size_t i = 0; g != NULL && i < g->len; i++) {
        const struct check_term *term = &g->terms[i];
        if (term->kind == CHECK_TERM_KEEP && strlen(term->source) == t->len &&
            strncmp(term->source, t->at, t->len) == 0) {
            return true;
        }
    }
    return false;
}

/* No language in it but terms that stay as they are. */
static bool is_copy(const struct localize_ask *ask, const struct token *t, size_t n)
{
    bool any = false;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        if (t[i].kind == TOKEN_WORD && !is_kept_word(ask->glossary, &t[i])) {
            return false;
        }
        any = any || t[i].kind != TOKEN_SPACE;
    }
    return any && n != SIZE_MAX;
}

/* ---- capitals and the end ---- */

static bool is_all_capitals(const char *s)
{
    size_t letters = 0, n = strlen(s);
    uint32_t cp = 0;
    for (size_t i = 0, k; i < n && (k = text_utf8_decode(s + i, n - i, &cp)) > 0; i += k) {
        if (localize_is_letter(cp)) {
            letters++;
            if (localize_lower(cp) == cp) {
                return false;
            }
        }
    }
    return letters > 1;
}

static bool starts_upper(const char *s)
{
    uint32_t cp = 0;
    return text_utf8_decode(s, strlen(s), &cp) > 0 && localize_is_letter(cp) &&
           localize_lower(cp) != cp;
}

static const char *with_case(const char *s, bool all, bool upper, struct arena *a)
{
    struct buf b;
    char utf8[4];
    size_t n = strlen(s);
    uint32_t cp = 0;
    buf_init(&b, n * 2 + 16);
    for (size_t i = 0, k; i < n && (k = text_utf8_decode(s + i, n - i, &cp)) > 0; i += k) {
        uint32_t to = upper ? localize_upper(cp) : localize_lower(cp);
        to = all || i == 0 ? to : cp;
        (void)buf_add(&b, utf8, text_utf8_encode(to, utf8));
    }
    const char *out = arena_dup_str(a, b.data == NULL ? "" : b.data);
    buf_done(&b);
    return out;
}

/* Where the signs at the end begin. */
static size_t end_at(const char *s)
{
    size_t n = strlen(s);
    while (n > 0) {
        if (strchr(" \t\n.:!", s[n - 1]) != NULL) {
            n--;
        } else if (n >= 3 && memcmp(s + n - 3, "\xE2\x80\xA6", 3) == 0) {
            n -= 3;
        } else {
            break;
        }
    }
    return n;
}

static bool find_variant(const struct localize_memory *m, const struct localize_ask *ask,
                         struct arena *a, struct localize_offer *o)
{
    AUTO_FREE char *folded = localize_fold(ask->source, strlen(ask->source));
    size_t n, usable = 0;
    const struct key *at = keys_find(&m->fold, localize_hash(0, folded, strlen(folded)), &n);
    const struct pair *p = NULL;
    bool one = true;
    for (size_t i = 0; at != NULL && ask->plural == NULL && ask->forms == 1 && i < n && i < 100;
         i++) {
        const struct pair *q = &m->pairs[at[i].pair];
        if (q->plural != NULL || q->n != 1) {
            continue;
        }
        AUTO_FREE char *x = p == NULL ? NULL : localize_fold(p->targets[0], strlen(p->targets[0]));
        AUTO_FREE char *y = localize_fold(q->targets[0], strlen(q->targets[0]));
        one = one && (x == NULL || strcmp(x, y) == 0);
        /* of one translation in several writings, the one that is not all capitals tells more */
        p = p == NULL || (is_all_capitals(p->source) && !is_all_capitals(q->source)) ? q : p;
        usable++;
    }
    if (usable == 0 || folded[0] == '\0') {
        return false;
    }
    const char *target = p->targets[0];
    bool loud = is_all_capitals(ask->source), was_loud = is_all_capitals(p->source);
    bool sure = one && (loud || !was_loud || !is_all_capitals(target));
    const char *core = arena_dup_strn(a, target, end_at(target));
    const char *end = ask->source + end_at(ask->source);
    const char *text = arena_printf(a, "%s%s", core, end);
    if (loud && !was_loud) {
        text = with_case(text, true, true, a);
    } else if (!loud && starts_upper(ask->source) != starts_upper(p->source)) {
        text = with_case(text, false, starts_upper(ask->source), a);
        /* what German writes large stays large: code cannot tell a noun */
        sure = sure && starts_upper(ask->source);
    }
    o->n = 1;
    o->texts[0] = text;
    offer(o, LOCALIZE_BY_VARIANT, sure, sure ? 0.85 : 0.5,
          one ? "as in memory but for capitals or the end"
              : "memory translates it in several ways");
    return true;
}

/* ---- numbers and placeholders ---- */

static size_t count_of(const char *text, const char *what, size_t n)
{
    size_t count = 0;
    for (const char *p = text; (p = memmem(p, strlen(p), what, n)) != NULL; p += n) {
        count++;
    }
    return count;
}

static bool is_variable(const struct token *t)
{
    return t->kind == TOKEN_NUMBER || t->kind == TOKEN_PLACEHOLDER;
}

/* Is it safe to put b where a stood: both numbers of the same grammar (one is not many), or both
   placeholders. */
static bool fits(const struct token *a, const struct token *b)
{
    bool one = a->len == 1 && *a->at == '1', other = b->len == 1 && *b->at == '1';
    return a->kind == b->kind && (a->kind == TOKEN_PLACEHOLDER || one == other);
}

/* The pair's target with the pair's variables replaced by the ask's; NULL: it cannot be told which
   is which. */
static const char *substitute(const struct pair *p, const struct token *was,
                              const struct token *now, size_t n, bool *sure, struct arena *a)
{
    struct token t[TOKENS_MAX];
    struct buf b;
    const char *target = p->targets[0];
    size_t k = localize_cut(target, t);
    for (size_t i = 0; i < n; i++) {
        if (!is_variable(&was[i])) {
            continue;
        }
        *sure = *sure && fits(&was[i], &now[i]);
        if (count_of(target, was[i].at, was[i].len) == 0 || k == SIZE_MAX) {
            return NULL;
        }
        for (size_t j = 0; j < i; j++) { /* one text, two meanings: which goes where? */
            bool alike = is_variable(&was[j]) && was[j].len == was[i].len &&
                         memcmp(was[j].at, was[i].at, was[i].len) == 0;
            bool same = now[j].len == now[i].len && memcmp(now[j].at, now[i].at, now[i].len) == 0;
            if (alike && !same) {
                return NULL;
            }
        }
    }
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < k; i++) {
        const struct token *put = &t[i];
        for (size_t j = 0; j < n; j++) {
            if (is_variable(&was[j]) && was[j].len == t[i].len &&
                memcmp(was[j].at, t[i].at, t[i].len) == 0) {
                put = &now[j];
                break;
            }
        }
        (void)buf_add(&b, put->at, put->len);
    }
    const char *out = b.overflow ? NULL : arena_dup_str(a, b.data == NULL ? "" : b.data);
    buf_done(&b);
    return out;
}

static bool find_pattern(const struct localize_memory *m, const struct localize_ask *ask,
                         const struct token *t, size_t n, struct arena *a, struct localize_offer *o)
{
    size_t found = 0, count;
    uint64_t h = ask->plural == NULL && ask->forms == 1 ? hash_pattern(t, n) : 0;
    const struct key *at = h == 0 ? NULL : keys_find(&m->pattern, h, &count);
    bool sure = true;
    for (size_t i = 0; at != NULL && i < count && i < 50; i++) {
        const struct pair *p = &m->pairs[at[i].pair];
        struct token was[TOKENS_MAX];
        if (p->n != 1 || localize_cut(p->source, was) != n) {
            continue;
        }
        const char *text = substitute(p, was, t, n, &sure, a);
        if (text != NULL && found == 0) {
            o->texts[0] = text;
        }
        sure = sure && (text == NULL || strcmp(text, o->texts[0]) == 0);
        found += text != NULL ? 1 : 0;
    }
    if (found == 0) {
        return false;
    }
    o->n = 1;
    offer(o, LOCALIZE_BY_PATTERN, sure, sure ? 0.9 : 0.5,
          sure ? "as in memory but for numbers or placeholders"
               : "as in memory but for numbers that may change the grammar");
    return true;
}

/* ---- parts ---- */

/* The end of the sentence that begins at `at`: behind its sign and before the blank. */
static size_t sentence_end(const char *s, size_t at)
{
    for (size_t i = at; s[i] != '\0'; i++) {
        bool sign = s[i] == '.' || s[i] == '!' || s[i] == '?';
        if (s[i] == '\n' || (sign && (s[i + 1] == ' ' || s[i + 1] == '\n'))) {
            return s[i] == '\n' ? i : i + 1;
        }
    }
    return strlen(s);
}

static bool find_parts(const struct localize_memory *m, const struct localize_ask *ask,
                       struct arena *a, struct localize_offer *o)
{
    struct buf b;
    size_t parts = 0;
    bool all = ask->plural == NULL && ask->forms == 1;
    const char *s = ask->source;
    buf_init(&b, TEXT_MAX);
    for (size_t at = 0; all && s[at] != '\0';) {
        size_t blank = strspn(s + at, " \n\t");
        (void)buf_add(&b, s + at, blank);
        at += blank;
        size_t end = sentence_end(s, at);
        if (end > at) {
            const char *part = arena_dup_strn(a, s + at, end - at);
            struct localize_ask one = *ask;
            struct localize_offer found = {0};
            one.source = part;
            one.context = "";
            all = find_exact(m, &one, a, &found) && found.sure;
            (void)buf_add_str(&b, all ? found.texts[0] : "");
            parts++;
        }
        at = end;
    }
    all = all && parts > 1 && !b.overflow;
    if (all) {
        o->n = 1;
        o->texts[0] = arena_dup_str(a, b.data);
        offer(o, LOCALIZE_BY_PARTS, true, 0.85, "each of its sentences is in memory");
    }
    buf_done(&b);
    return all;
}

/* ---- one word ---- */

/* The one translation that memory or glossary has of a word standing alone; NULL. */
static const char *word_alone(const struct localize_memory *m, const struct localize_ask *ask,
                              const struct token *t, struct arena *a)
{
    struct localize_offer o = {0};
    struct localize_ask one = *ask;
    one.source = arena_dup_strn(a, t->at, t->len);
    one.context = "";
    for (size_t i = 0; ask->glossary != NULL && i < ask->glossary->len; i++) {
        const struct check_term *term = &ask->glossary->terms[i];
        if (term->kind == CHECK_TERM_MUST && strcasecmp(term->source, one.source) == 0) {
            return arena_dup_strn(a, term->target, strcspn(term->target, "|"));
        }
    }
    bool found = find_exact(m, &one, a, &o) || find_variant(m, &one, a, &o);
    return found ? o.texts[0] : NULL;
}

static bool find_word(const struct localize_memory *m, const struct localize_ask *ask,
                      const struct token *t, size_t n, struct arena *a, struct localize_offer *o)
{
    for (size_t i = 0; ask->plural == NULL && ask->forms == 1 && n != SIZE_MAX && n > 1 && i < n;
         i++) {
        size_t count;
        const struct key *at =
            t[i].kind == TOKEN_WORD ? keys_find(&m->hole, hash_hole(t, n, i), &count) : NULL;
        for (size_t k = 0; at != NULL && k < count && k < 20; k++) {
            const struct pair *p = &m->pairs[at[k].pair];
            struct token was[TOKENS_MAX];
            if (at[k].place != i || p->n != 1 || localize_cut(p->source, was) != n) {
                continue;
            }
            const char *x = word_alone(m, ask, &was[i], a), *y = word_alone(m, ask, &t[i], a);
            /* a word that the target repeats is a name, and another name takes its place */
            bool name = x == NULL && count_of(p->targets[0], was[i].at, was[i].len) == 1;
            x = name ? arena_dup_strn(a, was[i].at, was[i].len) : x;
            y = name && y == NULL ? arena_dup_strn(a, t[i].at, t[i].len) : y;
            const char *place = x == NULL || y == NULL ? NULL : strcasestr(p->targets[0], x);
            if (place == NULL || strcasestr(place + 1, x) != NULL) {
                continue;
            }
            y = starts_upper(place) == starts_upper(y)
                    ? y
                    : with_case(y, false, starts_upper(place), a);
            o->n = 1;
            o->texts[0] = arena_printf(a, "%.*s%s%s", (int)(place - p->targets[0]), p->targets[0],
                                       y, place + strlen(x));
            offer(o, LOCALIZE_BY_WORD, false, 0.45,
                  arena_printf(a, "as \"%.60s\" in memory with one word changed", p->source));
            return true;
        }
    }
    return false;
}

/* ---- the glossary's own words ---- */

static bool find_term(const struct localize_ask *ask, struct arena *a, struct localize_offer *o)
{
    const struct localize_glossary *g = ask->glossary;
    const char *found = NULL;
    for (size_t i = 0; g != NULL && ask->plural == NULL && ask->forms == 1 && i < g->len; i++) {
        const struct check_term *t = &g->terms[i];
        bool same =
            t->kind == CHECK_TERM_MUST && (t->match_case ? strcmp(t->source, ask->source)
                                                         : strcasecmp(t->source, ask->source)) == 0;
        if (same && found != NULL && strcmp(found, t->target) != 0) {
            return false;
        }
        found = same ? t->target : found;
    }
    if (found == NULL) {
        return false;
    }
    bool several = strchr(found, '|') != NULL;
    const char *text = arena_dup_strn(a, found, strcspn(found, "|"));
    o->n = 1;
    o->texts[0] = starts_upper(ask->source) ? with_case(text, false, true, a) : text;
    offer(o, LOCALIZE_BY_GLOSSARY, !several, several ? 0.5 : 0.9,
          several ? "the glossary has several translations" : "a term of the glossary");
    return true;
}

void localize_offer_find(const struct localize_memory *m, const struct localize_ask *ask,
                         struct arena *a, struct localize_offer *out)
{
    struct token t[TOKENS_MAX];
    size_t n = localize_cut(ask->source, t);
    *out = (struct localize_offer){.by = LOCALIZE_BY_NONE, .reason = ""};
    if (find_exact(m, ask, a, out)) {
        return;
    }
    if (ask->forms == 1 && ask->plural == NULL && is_copy(ask, t, n)) {
        out->n = 1;
        out->texts[0] = arena_dup_str(a, ask->source);
        offer(out, LOCALIZE_BY_COPY, true, 0.95, "nothing in it is language");
        return;
    }
    (void)(find_term(ask, a, out) || find_pattern(m, ask, t, n, a, out) ||
           find_variant(m, ask, a, out) || find_parts(m, ask, a, out) ||
           find_word(m, ask, t, n, a, out));
}
