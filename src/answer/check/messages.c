/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICU messages and plural forms: what a language needs, by CLDR as libicu has it.
 *
 * Sources: Unicode TS #35 part 3 "Language Plural Rules"; ICU's MessageFormat; GNU gettext
 * "Plural forms". A category counts as needed when a whole number up to 1,000 takes it (French
 * "many" starts at a million), and "other" always is in an ICU message.
 * Owns: nothing. Threads: pure. Limits: CHECK_ICU_*.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <unicode/uenum.h>
#include <unicode/upluralrules.h>
#include <unicode/ustring.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

static const char *const categories[] = {"zero", "one", "two", "few", "many", "other"};
#define OTHER 5
#define TRIED 1000

/* What one kind of plural asks of a language: bits over `categories`. */
struct plural_rules {
    unsigned all;    /* the language has it */
    unsigned needed; /* a whole number up to TRIED takes it */
    unsigned single; /* of one such number only */
};

static int category_of(const char *name)
{
    for (int i = 0; i <= OTHER; i++) {
        if (strcmp(categories[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static int category_of_number(const UPluralRules *rules, double n)
{
    UChar word[16];
    char name[16];
    UErrorCode status = U_ZERO_ERROR;
    int32_t len = uplrules_select(rules, n, word, (int32_t)COUNT_OF(word) - 1, &status);
    if (U_FAILURE(status) || len >= (int32_t)COUNT_OF(word)) {
        return OTHER;
    }
    word[len] = 0;
    u_UCharsToChars(word, name, len + 1);
    int c = category_of(name);
    return c < 0 ? OTHER : c;
}

static struct plural_rules rules_of(const char *lang, bool ordinal)
{
    struct plural_rules r = {.all = 1u << OTHER};
    UErrorCode status = U_ZERO_ERROR;
    char locale[32];
    text_copy(locale, sizeof(locale), lang != NULL ? lang : "und");
    for (char *p = locale; *p != '\0'; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    UPluralRules *rules = uplrules_openForType(
        locale, ordinal ? UPLURAL_TYPE_ORDINAL : UPLURAL_TYPE_CARDINAL, &status);
    if (U_FAILURE(status)) {
        r.needed = r.all;
        return r;
    }
    unsigned counts[OTHER + 1] = {0};
    for (int n = 0; n <= TRIED; n++) {
        int c = category_of_number(rules, n);
        counts[c]++;
    }
    for (int c = 0; c <= OTHER; c++) {
        r.needed |= counts[c] > 0 ? 1u << c : 0;
        r.single |= counts[c] == 1 ? 1u << c : 0;
    }
    UEnumeration *names = uplrules_getKeywords(rules, &status);
    const char *name;
    while (U_SUCCESS(status) && (name = uenum_next(names, NULL, &status)) != NULL) {
        int c = category_of(name);
        r.all |= c >= 0 ? 1u << c : 0;
    }
    uenum_close(names);
    uplrules_close(rules);
    r.all |= r.needed;
    return r;
}

size_t check_plural_names(const char *lang, const char *out[6])
{
    struct plural_rules r = rules_of(lang, false);
    size_t n = 0;
    for (int c = 0; c < OTHER; c++) {
        if (r.needed & (1u << c)) {
            out[n++] = categories[c];
        }
    }
    if ((r.needed & (1u << OTHER)) || n == 0) {
        out[n++] = categories[OTHER];
    }
    return n;
}

/* ---- ICU messages ---- */

static bool is_plural(const struct check_icu_arg *a)
{
    return strcmp(a->type, "plural") == 0 || strcmp(a->type, "selectordinal") == 0;
}

static int find_arg(const struct check_icu_message *m, const struct check_icu_arg *a)
{
    for (size_t i = 0; i < m->arg_count; i++) {
        if (strcmp(m->args[i].name, a->name) == 0 && strcmp(m->args[i].type, a->type) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static struct check_result same_args(const struct check_icu_message *a,
                                     const struct check_icu_message *b)
{
    char text[80];
    for (int turn = 0; turn < 2; turn++) {
        const struct check_icu_message *x = turn == 0 ? a : b, *y = turn == 0 ? b : a;
        for (size_t i = 0; i < x->arg_count; i++) {
            const struct check_icu_arg *g = &x->args[i];
            if (find_arg(y, g) < 0) {
                int n = snprintf(text, sizeof(text), "{%s%s%s}", g->name,
                                 g->type[0] != '\0' ? ", " : "", g->type);
                return check_missing(CHECK_REASON_ICU, text, (size_t)n);
            }
        }
    }
    return check_passed();
}

/* The selectors of argument a in m, as a list with blanks around each. */
static void selectors_of(const struct check_icu_message *m, size_t a, struct buf *out)
{
    buf_clear(out);
    (void)buf_add_char(out, ' ');
    for (size_t i = 0; i < m->branch_count; i++) {
        const struct check_icu_branch *b = &m->branches[i];
        if (b->depth == 0 || b->arg[b->depth - 1] != a) {
            continue;
        }
        char key[32];
        snprintf(key, sizeof(key), " %s ", b->selector[b->depth - 1]);
        if (strstr(out->data, key) == NULL) {
            (void)buf_add_str(out, key + 1);
        }
    }
}

static struct check_result no_selector(enum check_reason reason, const struct check_icu_arg *a,
                                       const char *selector, int len)
{
    char text[80];
    int n = snprintf(text, sizeof(text), "%s: %.*s", a->name, len, selector);
    return check_missing(reason, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Each selector of `of` that is no plural category stands in `in`. */
static const char *missing_selector(const char *of, const char *in, bool plural, int *len)
{
    for (const char *p = of + strspn(of, " "); *p != '\0'; p += strspn(p, " ")) {
        int n = (int)strcspn(p, " ");
        char key[32];
        snprintf(key, sizeof(key), " %.*s ", n, p);
        key[strlen(key) - 1] = '\0';
        bool category = plural && category_of(key + 1) >= 0;
        (void)snprintf(key, sizeof(key), " %.*s ", n, p);
        if (!category && strstr(in, key) == NULL) {
            *len = n;
            return p;
        }
        p += n;
    }
    return NULL;
}

static struct check_result categories_agree(const struct check_icu_arg *a, const char *mine,
                                            const char *lang)
{
    struct plural_rules r = rules_of(lang, strcmp(a->type, "selectordinal") == 0);
    for (int c = 0; c <= OTHER; c++) {
        char key[16];
        snprintf(key, sizeof(key), " %s ", categories[c]);
        bool there = strstr(mine, key) != NULL;
        bool needed = c == OTHER || (r.needed & (1u << c));
        if (needed != there && (needed || !(r.all & (1u << c)))) {
            return no_selector(CHECK_REASON_PLURAL, a, categories[c], 8);
        }
    }
    return check_passed();
}

static struct check_result selectors_agree(const struct check_icu_message *source,
                                           const struct check_icu_message *target,
                                           const char *lang)
{
    struct check_result r = check_passed();
    struct buf theirs, mine;
    buf_init(&theirs, 16384);
    buf_init(&mine, 16384);
    for (size_t i = 0; i < source->arg_count && r.ok; i++) {
        const struct check_icu_arg *a = &source->args[i];
        int len = 0;
        selectors_of(source, i, &theirs);
        selectors_of(target, (size_t)find_arg(target, a), &mine);
        if (theirs.len <= 1) {
            continue;
        }
        const char *gone = missing_selector(theirs.data, mine.data, is_plural(a), &len);
        const char *extra = missing_selector(mine.data, theirs.data, is_plural(a), &len);
        gone = gone != NULL ? gone : extra;
        if (gone != NULL) {
            r = no_selector(CHECK_REASON_ICU, a, gone, len);
        } else if (is_plural(a) && lang != NULL) {
            r = categories_agree(a, mine.data, lang);
        }
    }
    buf_done(&theirs);
    buf_done(&mine);
    return r;
}

/* Does the source's branch b stand for the target's branch t? Each choice of t is the same in b, or
   a plural category that b does not have, where b says "other". */
static bool stands_for(const struct check_icu_message *source, const struct check_icu_branch *b,
                       const struct check_icu_message *target, const struct check_icu_branch *t,
                       bool exact)
{
    for (uint8_t k = 0; k < b->depth; k++) {
        bool found = false;
        for (uint8_t i = 0; i < t->depth && !found; i++) {
            if (find_arg(source, &target->args[t->arg[i]]) != b->arg[k]) {
                continue;
            }
            bool plural = is_plural(&source->args[b->arg[k]]);
            found = strcmp(b->selector[k], t->selector[i]) == 0 ||
                    (plural && !exact && strcmp(b->selector[k], "other") == 0);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Bits of the source's arguments that branch t of the target takes. */
static uint32_t used_by(const struct check_icu_message *source,
                        const struct check_icu_message *target, const struct check_icu_branch *t)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < target->arg_count; i++) {
        int of = (t->used & (1u << i)) ? find_arg(source, &target->args[i]) : -1;
        bits |= of >= 0 ? 1u << of : 0;
    }
    return bits;
}

static bool counts_one_number(const struct check_icu_message *m, const struct check_icu_branch *b,
                              size_t arg, const char *lang)
{
    for (uint8_t k = 0; k < b->depth; k++) {
        if (b->arg[k] != arg) {
            continue;
        }
        int c = category_of(b->selector[k]);
        struct plural_rules r = rules_of(lang, strcmp(m->args[arg].type, "selectordinal") == 0);
        return b->selector[k][0] == '=' || (c >= 0 && (r.single & (1u << c)));
    }
    return false;
}

static struct check_result branches_agree(const struct check_icu_message *source,
                                          const struct check_icu_message *target,
                                          const char *lang)
{
    for (size_t i = 0; i < target->branch_count; i++) {
        const struct check_icu_branch *t = &target->branches[i], *best = NULL;
        for (int exact = 1; exact >= 0 && best == NULL && !t->inner; exact--) {
            for (size_t k = 0; k < source->branch_count && best == NULL; k++) {
                const struct check_icu_branch *b = &source->branches[k];
                best = !b->inner && stands_for(source, b, target, t, exact) ? b : NULL;
            }
        }
        uint32_t mine = best != NULL ? used_by(source, target, t) : 0;
        for (size_t a = 0; best != NULL && a < source->arg_count; a++) {
            uint32_t bit = 1u << a;
            int there = find_arg(target, &source->args[a]);
            bool free = is_plural(&source->args[a]) && there >= 0 &&
                        counts_one_number(target, t, (size_t)there, lang);
            bool theirs = (best->used & bit) != 0, ours = (mine & bit) != 0;
            if (theirs != ours && !free && !(is_plural(&source->args[a]) && ours)) {
                return no_selector(CHECK_REASON_ICU, &source->args[a],
                                   t->depth > 0 ? t->selector[t->depth - 1] : "", 24);
            }
        }
    }
    return check_passed();
}

struct check_result check_icu(const struct check_string *s)
{
    unsigned syntax = s->syntax != 0 ? s->syntax : check_guess_syntax(s->source, s->source_len);
    if (!(syntax & CHECK_SYNTAX_ICU)) {
        return check_passed();
    }
    AUTO_FREE struct check_icu_message *a = mem_alloc(sizeof(*a));
    AUTO_FREE struct check_icu_message *b = mem_alloc(sizeof(*b));
    if (s->source_len > CHECK_MAX_REPLY || s->target_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    if (!check_icu_read(s->source, s->source_len, a)) {
        return check_passed(); /* the original is none */
    }
    if (!check_icu_read(s->target, s->target_len, b)) {
        return check_missing(CHECK_REASON_ICU, b->error, strlen(b->error));
    }
    struct check_result r = same_args(a, b);
    r = r.ok ? selectors_agree(a, b, s->target_lang) : r;
    return r.ok ? branches_agree(a, b, s->target_lang) : r;
}

/* ---- plural forms side by side: gettext, i18next ---- */

/* Whether a gettext form stands for one number: forms come in CLDR's order of categories. */
static bool form_is_single(const struct check_plurals *p, const struct plural_rules *r, size_t form)
{
    if (p->names != NULL) {
        int c = category_of(p->names[form]);
        return c >= 0 && (r->single & (1u << c));
    }
    size_t n = 0;
    for (int c = 0; c <= OTHER; c++) {
        if ((r->needed & (1u << c)) && n++ == form) {
            return (r->single & (1u << c)) != 0;
        }
    }
    return false;
}

static struct check_result names_agree(const struct check_plurals *p, const struct plural_rules *r,
                                       size_t *form)
{
    unsigned there = 0;
    for (size_t i = 0; i < p->count; i++) {
        int c = category_of(p->names[i]);
        if (c < 0 || !(r->all & (1u << c)) || (there & (1u << c))) {
            *form = i;
            return check_missing(CHECK_REASON_PLURAL, p->names[i], strlen(p->names[i]));
        }
        there |= 1u << c;
    }
    for (int c = 0; c <= OTHER; c++) {
        if ((r->needed & (1u << c)) && !(there & (1u << c))) {
            *form = p->count;
            return check_missing(CHECK_REASON_PLURAL, categories[c], strlen(categories[c]));
        }
    }
    return check_passed();
}

/* The number's own placeholder: what the plural of the source has and every form but a single one
   needs. A form without it is held against the source with it taken out. */
static struct check_result form_agrees(const struct check_plurals *p, size_t i, bool single)
{
    const char *plural = p->plural != NULL ? p->plural : p->source;
    struct check_string s = {.source = plural,
                             .source_len = strlen(plural),
                             .target = p->forms[i],
                             .target_len = strlen(p->forms[i]),
                             .target_lang = p->lang,
                             .syntax = p->syntax};
    struct check_result r = check_placeholders(&s);
    if (r.ok || !single) {
        return r;
    }
    s.source = p->source;
    s.source_len = strlen(p->source);
    struct check_result one = check_placeholders(&s);
    if (one.ok) {
        return one;
    }
    /* "%d days" beside "ein Tag": nothing left is right where one placeholder is all there is */
    const char *gone = r.len == 0 && r.detail[0] != '\0' ? strstr(plural, r.detail) : NULL;
    if (gone == NULL) {
        return r;
    }
    struct buf rest;
    buf_init(&rest, CHECK_MAX_REPLY + 1);
    (void)buf_add(&rest, plural, (size_t)(gone - plural));
    (void)buf_add_str(&rest, gone + strlen(r.detail));
    s.source = rest.data;
    s.source_len = rest.len;
    s.syntax = s.syntax != 0 ? s.syntax : check_guess_syntax(plural, strlen(plural));
    struct check_result without = check_placeholders(&s);
    buf_done(&rest);
    return without;
}

struct check_result check_plurals(const struct check_plurals *p, size_t *form)
{
    size_t unused;
    form = form != NULL ? form : &unused;
    *form = 0;
    struct plural_rules r = rules_of(p->lang, false);
    const char *names[6];
    size_t needed = p->nplurals > 0 ? p->nplurals : check_plural_names(p->lang, names);
    if (p->names != NULL) {
        struct check_result n = names_agree(p, &r, form);
        if (!n.ok) {
            return n;
        }
    } else if (p->count != needed) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%zu of %zu forms", p->count, needed);
        *form = p->count < needed ? p->count : needed;
        return check_missing(CHECK_REASON_PLURAL, text, (size_t)n);
    }
    for (size_t i = 0; i < p->count; i++) {
        bool single = (p->names != NULL || p->nplurals == 0 ||
                       p->nplurals == check_plural_names(p->lang, names)) &&
                      form_is_single(p, &r, i);
        *form = i;
        if (p->forms[i] == NULL || p->forms[i][0] == '\0') {
            return check_missing(CHECK_REASON_PLURAL, "empty", 5);
        }
        struct check_result f = form_agrees(p, i, single);
        if (!f.ok) {
            return f;
        }
    }
    return check_passed();
}
