/* SPDX-License-Identifier: Apache-2.0 */
/* Is a translation whole? answer/check's checks, put together for a unit's forms, for strings that
   hold their plural forms between bars, for inline elements, and for the house's style. Threads:
   none. */
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "trust/style/style.h"
#include "work/localize/localize_internal.h"

#define FOUND_MAX 8
#define BARS_MAX 12
#define LABELS_MAX 64

static unsigned syntax_of(const struct localize_unit *u)
{
    static const struct {
        const char *flag;
        unsigned syntax;
    } known[] = {{"c-format", CHECK_SYNTAX_PRINTF},
                 {"python-format", CHECK_SYNTAX_PRINTF | CHECK_SYNTAX_PYTHON},
                 {"python-brace-format", CHECK_SYNTAX_BRACE},
                 {"qt-format", CHECK_SYNTAX_QT},
                 {"php-format", CHECK_SYNTAX_PRINTF},
                 {"java-format", CHECK_SYNTAX_BRACE},
                 {"csharp-format", CHECK_SYNTAX_BRACE}};
    unsigned syntax = 0;
    for (const char *p = u->flags; *p != '\0';) {
        size_t n = strcspn(p, " ");
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            bool same = strlen(known[i].flag) == n && strncmp(p, known[i].flag, n) == 0;
            syntax |= same ? known[i].syntax : 0;
        }
        p += n + (p[n] == ' ' ? 1 : 0);
    }
    return syntax;
}

/* ---- inline elements ---- */

static size_t labels(const char *s, struct localize_text out[LABELS_MAX])
{
    size_t n = 0;
    for (const char *p = s; (p = strstr(p, "\xE2\x9F\xA6")) != NULL && n < LABELS_MAX;) {
        const char *e = strstr(p, "\xE2\x9F\xA7");
        if (e == NULL) {
            out[n++] = (struct localize_text){.text = p, .len = strlen(p)};
            break;
        }
        out[n++] = (struct localize_text){.text = p, .len = (size_t)(e - p) + 3};
        p = e + 3;
    }
    return n;
}

static bool is_close(const struct localize_text *t)
{
    return t->len > 4 && t->text[3] == '/';
}

/* The same elements as often, and pairs closed in the order they were opened. */
static bool same_labels(const char *source, const char *target)
{
    struct localize_text a[LABELS_MAX], b[LABELS_MAX], open[LABELS_MAX];
    size_t n = labels(source, a), m = labels(target, b), depth = 0;
    bool used[LABELS_MAX] = {false};
    for (size_t i = 0; i < m; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++) {
            found = !used[k] && a[k].len == b[i].len && memcmp(a[k].text, b[i].text, a[k].len) == 0;
            used[k] = used[k] || found;
        }
        if (!found) {
            return false;
        }
        if (is_close(&b[i])) {
            /* "⟦/g:1⟧" closes "⟦g:1⟧" */
            bool pair = depth > 0 && open[depth - 1].len + 1 == b[i].len &&
                        memcmp(open[depth - 1].text + 3, b[i].text + 4, b[i].len - 4) == 0;
            if (!pair) {
                return false;
            }
            depth--;
            continue;
        }
        for (size_t k = i + 1; k < m; k++) {
            if (is_close(&b[k]) && b[k].len == b[i].len + 1 &&
                memcmp(b[i].text + 3, b[k].text + 4, b[k].len - 4) == 0) {
                open[depth++] = b[i];
                break;
            }
        }
    }
    return n == m && depth == 0;
}

/* ---- plural forms between bars ---- */

struct bars {
    const char *at[BARS_MAX];
    size_t len[BARS_MAX], n;
};

/* "one thing|many things": parts without blanks around the bar. n is 1 where it is no such
   string. */
static void cut_bars(const char *s, struct bars *b)
{
    b->n = 0;
    for (const char *p = s; b->n < BARS_MAX;) {
        const char *bar = strchr(p, '|');
        size_t k = bar == NULL ? strlen(p) : (size_t)(bar - p);
        b->at[b->n] = p;
        b->len[b->n++] = k;
        if (bar == NULL) {
            return;
        }
        p = bar + 1;
    }
}

static bool is_bars(const struct bars *b)
{
    bool plain = b->n > 1 && b->n < BARS_MAX;
    for (size_t i = 0; plain && i < b->n; i++) {
        plain = b->len[i] > 0 && b->at[i][0] != ' ' && b->at[i][b->len[i] - 1] != ' ';
    }
    return plain;
}

/* ---- one string ---- */

static const char *say(const struct check_result *r, struct arena *a)
{
    const char *text = check_reason_text(r->reason);
    size_t n = strlen(text);
    n -= n > 0 && text[n - 1] == '.' ? 1 : 0;
    return r->detail[0] == '\0' ? arena_dup_strn(a, text, n)
                                : arena_printf(a, "%.*s: %s", (int)n, text, r->detail);
}

static bool check_one(const struct localize_rules *r, const struct check_string *s,
                      bool placeholders, struct arena *a, const char **why_not)
{
    struct check_result found[FOUND_MAX];
    size_t n = check_string(s, r->glossary == NULL ? NULL : r->glossary->terms,
                            r->glossary == NULL ? 0 : r->glossary->len, found, FOUND_MAX);
    for (size_t i = 0; i < n && i < FOUND_MAX; i++) {
        if (placeholders || found[i].reason != CHECK_REASON_PLACEHOLDER) {
            *why_not = say(&found[i], a);
            return false;
        }
    }
    return n <= FOUND_MAX;
}

static bool check_style(const struct localize_rules *r, const char *target, struct arena *a,
                        const char **why_not)
{
    struct style_alerts alerts = {0};
    bool ok = true;
    if (r->style == NULL) {
        return true;
    }
    if (!style_check(r->style, target, strlen(target), false, &alerts)) {
        *why_not = "it is too long for the style rules";
        return false;
    }
    for (size_t i = 0; i < alerts.n && ok; i++) {
        if (alerts.items[i].level != STYLE_SUGGESTION) {
            *why_not = arena_printf(a, "%s: %s", alerts.items[i].rule, alerts.items[i].message);
            ok = false;
        }
    }
    style_alerts_done(&alerts);
    return ok;
}

static bool check_bars(const struct localize_rules *r, struct check_string whole,
                       const struct bars *source, struct arena *a, const char **why_not)
{
    struct bars target;
    const char *names[6];
    size_t forms = check_plural_names(r->target_lang, names);
    cut_bars(whole.target, &target);
    if (target.n != forms && target.n != source->n) {
        *why_not = arena_printf(a, "it has %zu plural forms between bars, and the language %zu",
                                target.n, forms);
        return false;
    }
    for (size_t i = 0; i < target.n; i++) {
        size_t from = i < source->n && target.n > 1 ? i : source->n - 1;
        struct check_string one = whole;
        one.source = arena_dup_strn(a, source->at[from], source->len[from]);
        one.source_len = source->len[from];
        one.target = arena_dup_strn(a, target.at[i], target.len[i]);
        one.target_len = target.len[i];
        one.max_chars = 0;
        if (!check_one(r, &one, true, a, why_not)) {
            return false;
        }
    }
    return true;
}

static bool check_form(const struct localize_rules *r, const struct localize_unit *u,
                       const char *source, const char *target, bool placeholders, struct arena *a,
                       const char **why_not)
{
    struct check_string s = {.source = source,
                             .source_len = strlen(source),
                             .target = target,
                             .target_len = strlen(target),
                             .source_lang = r->source_lang,
                             .target_lang = r->target_lang,
                             .syntax = syntax_of(u),
                             .max_chars = u->max_chars};
    struct bars bars;
    cut_bars(source, &bars);
    if (!same_labels(source, target)) {
        *why_not = "its inline elements are not those of the source, or not well nested";
        return false;
    }
    bool ok = is_bars(&bars) ? check_bars(r, s, &bars, a, why_not)
                             : check_one(r, &s, placeholders, a, why_not);
    return ok && check_style(r, target, a, why_not);
}

static bool check_numbers_of_forms(const struct localize_rules *r, const struct localize_unit *u,
                                   const char *const *targets, size_t n, struct arena *a,
                                   const char **why_not)
{
    struct check_plurals p = {.lang = r->target_lang,
                              .forms = targets,
                              .count = n,
                              .nplurals = r->nplurals,
                              .source = u->sources[0].text,
                              .plural = u->sources[1].text,
                              .syntax = syntax_of(u)};
    struct check_result found = check_plurals(&p, NULL);
    if (!found.ok) {
        *why_not = say(&found, a);
    }
    return found.ok;
}

bool localize_check(const struct localize_rules *r, const struct localize_unit *u,
                    const char *const *targets, size_t n, struct arena *a, const char **why_not)
{
    *why_not = "";
    bool plural = u->sources_len > 1;
    if ((u->marks_are & LOCALIZE_ODD) != 0) {
        *why_not = "it holds control characters, which are not written";
        return false;
    }
    if (plural && strcmp(u->targets[0].category, "") == 0 &&
        !check_numbers_of_forms(r, u, targets, n, a, why_not)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *source = u->sources[plural && (i > 0 || n == 1) ? 1 : 0].text;
        if (!check_form(r, u, source, targets[i], !plural, a, why_not)) {
            return false;
        }
    }
    return n > 0;
}

/* ---- small repairs ---- */

static size_t blanks_at_end(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && strchr(" \t\n", s[n - 1 - k]) != NULL) {
        k++;
    }
    return k;
}

/* A capital at the beginning where the source has one; a word of the source ("iOS") stays. */
static const char *begin_alike(const char *source, const char *s, struct arena *a)
{
    uint32_t theirs = 0, ours = 0;
    char utf8[4];
    size_t k = text_utf8_decode(s, strlen(s), &ours), word = strcspn(s, " ");
    if (k == 0 || text_utf8_decode(source, strlen(source), &theirs) == 0 ||
        !localize_is_letter(theirs) || !localize_is_letter(ours) ||
        localize_lower(theirs) == theirs || localize_lower(ours) != ours ||
        memmem(source, strlen(source), s, word) != NULL) {
        return s;
    }
    size_t n = text_utf8_encode(localize_upper(ours), utf8);
    return arena_printf(a, "%.*s%s", (int)n, utf8, s + k);
}

const char *localize_repair(const char *source, const char *target, struct arena *a)
{
    size_t n = strlen(source), m = strlen(target);
    size_t before = strspn(source, " \t\n"), after = before == n ? 0 : blanks_at_end(source, n);
    size_t skip = strspn(target, " \t\n"), drop = skip == m ? 0 : blanks_at_end(target, m);
    const char *core = arena_dup_strn(a, target + skip, m - skip - drop);
    size_t k = strlen(core), s_end = n - after;
    bool dot = s_end > 0 && source[s_end - 1] == '.';
    if (k > 1 && core[k - 1] == '.' && core[k - 2] != '.' && !dot &&
        strchr("!?:;\"')", s_end > 0 ? source[s_end - 1] : 'x') == NULL) {
        core = arena_dup_strn(a, core, k - 1);
    }
    k = strlen(core);
    bool quoted = k > 2 && core[0] == '"' && core[k - 1] == '"' && strchr(source, '"') == NULL;
    core = quoted ? arena_dup_strn(a, core + 1, k - 2) : core;
    core = begin_alike(source + before, core, a);
    return arena_printf(a, "%.*s%s%.*s", (int)before, source, core, (int)after, source + s_end);
}
