/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy: styles of rules, each for a language or for all.
 * Owns: the styles. Threads: read-only once made.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"

struct copyedit_policy *copyedit_policy_new(void)
{
    return mem_alloc(sizeof(struct copyedit_policy));
}

void copyedit_policy_free(struct copyedit_policy *p)
{
    for (size_t i = 0; p != NULL && i < p->n; i++) {
        style_free(p->styles[i].style);
    }
    mem_free(p);
}

static struct copyedit_style *style_of(struct copyedit_policy *p, const char *name,
                                       const char *lang)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->styles[i].name, name) == 0 && strcmp(p->styles[i].lang, lang) == 0) {
            return &p->styles[i];
        }
    }
    if (p->n == COPYEDIT_MAX_STYLES) {
        return NULL;
    }
    struct copyedit_style *s = &p->styles[p->n++];
    (void)text_copy(s->name, sizeof(s->name), name);
    (void)text_copy(s->lang, sizeof(s->lang), lang);
    s->style = style_new(s->name);
    return s;
}

void copyedit_policy_add(struct copyedit_policy *p, const char *style, const char *lang,
                         const char *rule, const char *yaml, size_t len, int line,
                         struct config_faults *faults)
{
    struct copyedit_style *s = style_of(p, style, lang);
    struct fault why;
    size_t before = faults->count;
    if (s == NULL) {
        config_faults_add(faults, line, "styles", NULL, "at most %d styles", COPYEDIT_MAX_STYLES);
        return;
    }
    enum fail f = style_add(s->style, rule, yaml, len, faults, &why);
    for (size_t i = before; i < faults->count && i < CONFIG_MAX_FAULTS; i++) {
        faults->list[i].line += line;
    }
    if (f != FAIL_NONE && faults->count == before) {
        config_faults_add(faults, line, rule, NULL, "%s", why.message);
    }
}

size_t copyedit_policy_count(const struct copyedit_policy *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += style_count(p->styles[i].style);
    }
    return n;
}

const char *copyedit_policy_unsupported(const struct copyedit_policy *p, size_t i)
{
    for (size_t s = 0; s < p->n; s++) {
        for (size_t k = 0; style_unsupported(p->styles[s].style, k) != NULL; k++) {
            if (i-- == 0) {
                return style_unsupported(p->styles[s].style, k);
            }
        }
    }
    return NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct style_alert *x = a, *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    return x->to != y->to ? (x->to > y->to ? -1 : 1) : strcmp(x->rule, y->rule);
}

bool copyedit_alerts(const struct copyedit_policy *p, enum knowledge_lang lang, const char *text,
                     size_t len, bool markdown, struct style_alerts *out)
{
    *out = (struct style_alerts){0};
    for (size_t i = 0; i < p->n; i++) {
        const struct copyedit_style *s = &p->styles[i];
        struct style_alerts a;
        if (s->lang[0] != '\0' && strcmp(s->lang, knowledge_lang_code(lang)) != 0) {
            continue;
        }
        if (!style_check(s->style, text, len, markdown, &a)) {
            style_alerts_done(out);
            return false;
        }
        if (a.n > 0) {
            out->items = mem_realloc(out->items, (out->n + a.n) * sizeof(*out->items));
            memcpy(out->items + out->n, a.items, a.n * sizeof(*a.items));
            out->n += a.n;
        }
        out->dropped += a.dropped;
        out->given_up += a.given_up;
        style_alerts_done(&a);
    }
    if (out->n > 1) {
        qsort(out->items, out->n, sizeof(*out->items), by_place);
    }
    return true;
}
