/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document held against a template: its lines against the template's, each line's tokens against
 * the line's elements, and only where both can be done in one way alone is a field read.
 * Owns: nothing; results are in the caller's arena. Threads: pure.
 * Limits: REUSE_DOC_LINES lines a side, REUSE_LINE_ELEMS elements, REUSE_LINE_TOKENS tokens.
 */
#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse_internal.h"

#define ALIKE_CHANGED 0.5 /* share of constant lines that makes it this layout, changed */

/* ---- one line ---- */

struct grid {
    bool can[REUSE_LINE_ELEMS + 1][REUSE_LINE_TOKENS + 1];
};

static bool constant_is(const struct elem *e, const struct doc *d, const struct doc_token *t)
{
    return t->kind != TOKEN_OPEN && strlen(e->text) == t->len &&
           memcmp(e->text, d->text + t->at, t->len) == 0;
}

/* How many tokens a slot may take from token t on. */
static size_t slot_most(const struct elem *e, const struct doc_line *line, size_t t)
{
    size_t end = t;
    while (end < line->n && (!e->open || line->tokens[end].kind == TOKEN_OPEN)) {
        end++;
    }
    return end - t;
}

static void fill_grid(const struct tline *p, const struct doc *d, const struct doc_line *line,
                      struct grid *g)
{
    memset(g, 0, sizeof(*g));
    g->can[p->n][line->n] = true;
    for (size_t e = p->n; e-- > 0;) {
        const struct elem *x = &p->elems[e];
        for (size_t t = 0; t <= line->n; t++) {
            if (x->text != NULL) {
                g->can[e][t] = t < line->n && g->can[e + 1][t + 1] &&
                               constant_is(x, d, &line->tokens[t]);
                continue;
            }
            size_t most = slot_most(x, line, t);
            for (size_t k = x->empty ? 0 : 1; k <= most && !g->can[e][t]; k++) {
                g->can[e][t] = g->can[e + 1][t + k];
            }
        }
    }
}

static void walk(const struct tline *p, const struct doc_line *line, const struct grid *g,
                 bool greedy, uint32_t *from, uint32_t *to)
{
    size_t t = 0;
    for (size_t e = 0; e < p->n; e++) {
        from[e] = (uint32_t)t;
        if (p->elems[e].text != NULL) {
            t++;
        } else {
            size_t most = slot_most(&p->elems[e], line, t), best = 0;
            bool found = false;
            for (size_t k = p->elems[e].empty ? 0 : 1; k <= most; k++) {
                if (g->can[e + 1][t + k] && (greedy || !found)) {
                    best = k;
                    found = true;
                }
            }
            t += best;
        }
        to[e] = (uint32_t)t;
    }
}

bool reuse_line_fit(const struct tline *p, const struct doc *d, const struct doc_line *line,
                    struct line_fit *fit)
{
    struct grid g;
    uint32_t from[REUSE_LINE_ELEMS], to[REUSE_LINE_ELEMS];
    if (p->kind == LINE_FREE) {
        return true;
    }
    if (p->kind == LINE_REPEAT) {
        return reuse_is_row(d, line);
    }
    if (p->n == 0 || p->n > REUSE_LINE_ELEMS ||
        (p->elems[0].text != NULL && !constant_is(&p->elems[0], d, &line->tokens[0]))) {
        return false;
    }
    fill_grid(p, d, line, &g);
    if (!g.can[0][0] || fit == NULL) {
        return g.can[0][0];
    }
    walk(p, line, &g, false, fit->from, fit->to);
    walk(p, line, &g, true, from, to);
    for (size_t e = 0; e < p->n; e++) {
        fit->two_ways[e] = from[e] != fit->from[e] || to[e] != fit->to[e];
    }
    return true;
}

void reuse_span(const struct doc_line *line, const struct line_fit *fit, uint32_t from, uint32_t to,
                size_t *at, size_t *len)
{
    uint32_t first = fit->from[from], last = fit->to[to];
    *at = first < line->n ? line->tokens[first].at : line->at + line->len;
    *len = 0;
    if (last > first) {
        const struct doc_token *end = &line->tokens[last - 1];
        *len = end->at + end->len - *at;
    }
}

/* ---- all lines ---- */

/* can[i][j]: template lines from i on fit document lines from j on; rows[i][j]: the same inside
   a REPEAT that has its first row. fits[i][j]: 0 not looked, 1 no, 2 yes. */
struct lines {
    const struct reuse_template *t;
    const struct doc *d;
    size_t wide;
    uint8_t *can, *rows, *fits;
};

static bool fits(struct lines *x, size_t i, size_t j)
{
    uint8_t *known = &x->fits[i * x->wide + j];
    if (*known == 0) {
        *known = reuse_line_fit(&x->t->lines[i], x->d, &x->d->lines[j], NULL) ? 2 : 1;
    }
    return *known == 2;
}

static bool can(const struct lines *x, size_t i, size_t j)
{
    return x->can[i * x->wide + j] != 0;
}

static void fill_lines(struct lines *x)
{
    size_t n = x->t->n, m = x->d->n;
    x->can[n * x->wide + m] = 1;
    for (size_t i = n; i-- > 0;) {
        enum line_kind kind = (enum line_kind)x->t->lines[i].kind;
        for (size_t j = m + 1; j-- > 0;) {
            uint8_t *here = &x->can[i * x->wide + j];
            bool skip = can(x, i + 1, j), take = j < m && can(x, i + 1, j + 1);
            if (kind == LINE_FREE) {
                *here = skip || (j < m && can(x, i, j + 1));
            } else if (kind == LINE_REPEAT) {
                bool more = j < m && (take || x->rows[i * x->wide + j + 1]);
                *here = x->rows[i * x->wide + j] = more && fits(x, i, j);
            } else {
                *here = (kind == LINE_OPTIONAL && skip) || (take && fits(x, i, j));
            }
        }
    }
}

/* The lines each template line takes; early: as few and as soon as possible. */
static bool walk_lines(struct lines *x, bool early, uint32_t *at)
{
    size_t j = 0;
    for (size_t i = 0; i < x->t->n; i++) {
        const struct tline *line = &x->t->lines[i];
        size_t taken = 0;
        at[i] = UINT32_MAX;
        if (line->kind == LINE_FREE) {
            while (j < x->d->n && (early ? !can(x, i + 1, j) : can(x, i, j + 1))) {
                j++;
                taken++;
            }
            if (taken > (size_t)2 * line->most + 4) {
                return false;
            }
            continue;
        }
        bool take = j < x->d->n && fits(x, i, j) &&
                    (line->kind == LINE_REPEAT || can(x, i + 1, j + 1));
        if (line->kind == LINE_OPTIONAL && take && !early && can(x, i + 1, j)) {
            take = false;
        }
        if (!take) {
            continue; /* an optional line that is not there */
        }
        at[i] = (uint32_t)j++;
        while (line->kind == LINE_REPEAT && j < x->d->n &&
               (early ? !can(x, i + 1, j) : x->rows[i * x->wide + j] != 0)) {
            j++;
        }
    }
    return true;
}

/* How far it fits from the front: the first document line that no way gets past. */
static void find_stuck(struct lines *x, struct arena *arena, struct doc_fit *out)
{
    size_t n = x->t->n, m = x->d->n;
    uint8_t *seen = arena_alloc(arena, (n + 2) * x->wide);
    seen[0] = 1;
    out->stuck = out->missing = 0;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (!seen[i * x->wide + j]) {
                continue;
            }
            if (j > out->stuck || (j == out->stuck && i > out->missing)) {
                out->stuck = j;
                out->missing = i;
            }
            if (i == n) {
                continue;
            }
            enum line_kind kind = (enum line_kind)x->t->lines[i].kind;
            bool ok = j < m && fits(x, i, j);
            if (kind == LINE_FREE || kind == LINE_OPTIONAL) {
                seen[(i + 1) * x->wide + j] = 1;
            }
            if (ok) {
                seen[(i + 1) * x->wide + j + 1] = 1;
            }
            if (ok && (kind == LINE_FREE || kind == LINE_REPEAT)) {
                seen[i * x->wide + j + 1] = 1;
            }
        }
    }
}

bool reuse_doc_fit(const struct reuse_template *t, const struct doc *d, struct arena *arena,
                   struct doc_fit *out)
{
    struct lines x = {.t = t, .d = d, .wide = d->n + 2};
    size_t cells = (t->n + 2) * x.wide;
    memset(out, 0, sizeof(*out));
    x.can = arena_alloc(arena, cells);
    x.rows = arena_alloc(arena, cells);
    x.fits = arena_alloc(arena, cells);
    out->at = arena_alloc(arena, (t->n + 1) * sizeof(*out->at));
    out->two_ways = arena_alloc(arena, t->n + 1);
    uint32_t *late = arena_alloc(arena, (t->n + 1) * sizeof(*late));
    fill_lines(&x);
    if (!can(&x, 0, 0)) {
        find_stuck(&x, arena, out);
        return false;
    }
    if (!walk_lines(&x, true, out->at) || !walk_lines(&x, false, late)) {
        out->stuck = d->n;
        return false;
    }
    for (size_t i = 0; i < t->n; i++) {
        out->two_ways[i] = out->at[i] != late[i];
    }
    return true;
}

/* ---- fields ---- */

static bool says_nothing(const char *value)
{
    static const char *const none[] = {"n/a", "na", "none", "nil", "null", "tbd", "tba", "unknown",
                                       "pending", "keine", "keiner", "k.a.", "unbekannt", "-", "--",
                                       "---", "?", "see below", "various", "diverse"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        size_t k = 0;
        while (none[i][k] != '\0' &&
               (value[k] >= 'A' && value[k] <= 'Z' ? value[k] + 32 : value[k]) == none[i][k]) {
            k++;
        }
        if (none[i][k] == '\0' && value[k] == '\0') {
            return true;
        }
    }
    return value[0] == '\0';
}

/* Made of what the confirmed spans were made of; names may also be longer or hyphenated. */
static bool looks_alike(const struct anchor *a, const char *s, size_t n)
{
    uint32_t classes = 0, puncts[4] = {0}, tokens = 0;
    uint32_t may[4] = {a->puncts[0], a->puncts[1], a->puncts[2], a->puncts[3]};
    uint32_t kinds = a->classes;
    reuse_classes(s, n, &classes, puncts, &tokens);
    if ((kinds & CLASS_LETTER) != 0) {
        static const char also[] = "-'.";
        kinds |= CLASS_SPACE;
        for (size_t i = 0; a->rule.transform < REUSE_NUMBER && also[i] != '\0'; i++) {
            may[also[i] / 32] |= 1u << (also[i] % 32);
        }
    }
    if (a->rule.transform == REUSE_NUMBER || a->rule.transform == REUSE_AMOUNT) {
        static const char also[] = ".,-'$";
        kinds |= CLASS_DIGIT;
        for (size_t i = 0; also[i] != '\0'; i++) {
            may[also[i] / 32] |= 1u << (also[i] % 32);
        }
    }
    bool known = (classes & ~kinds) == 0;
    for (size_t i = 0; i < 4; i++) {
        known = known && (puncts[i] & ~may[i]) == 0;
    }
    return known && tokens <= a->most_tokens + 2;
}

struct reading {
    char value[REUSE_VALUE_ROOM];
    size_t at, len, line, confirmed;
    enum reuse_transform transform;
};

/* NULL when read, else why not. */
static const char *read_anchor(const struct reuse_template *t, const struct anchor *a,
                               const struct doc *d, const struct doc_fit *where,
                               struct reading *out)
{
    struct line_fit fit;
    size_t at, len, in_at = 0, in_len = 0;
    const struct doc_line *line = &d->lines[where->at[a->line]];
    if (where->two_ways[a->line]) {
        return "its line could be another one";
    }
    if (!reuse_line_fit(&t->lines[a->line], d, line, &fit)) {
        return "its line does not fit";
    }
    for (uint32_t e = a->from; e <= a->to; e++) {
        if (fit.two_ways[e]) {
            return "its span could be cut in two ways";
        }
    }
    reuse_span(line, &fit, a->from, a->to, &at, &len);
    if (!reuse_value_apply(&a->rule, d->text + at, len, out->value, sizeof(out->value), &in_at,
                           &in_len)) {
        return "its span holds no such value, or two";
    }
    if (says_nothing(out->value) || !looks_alike(a, d->text + at, len)) {
        return "its value looks unlike the confirmed ones";
    }
    out->at = at + in_at;
    out->len = in_len;
    out->line = line->number;
    out->confirmed = a->confirmed;
    out->transform = (enum reuse_transform)a->rule.transform;
    return NULL;
}

static void read_field(const struct reuse_template *t, const struct tfield *f, const struct doc *d,
                       const struct doc_fit *where, struct arena *arena, struct reuse_match *out)
{
    struct reading first, other;
    const char *why = "its line is not there";
    bool have = false;
    for (size_t i = 0; i < f->n; i++) {
        const struct anchor *a = &f->anchors[i];
        if (where->at[a->line] == UINT32_MAX) {
            continue;
        }
        why = read_anchor(t, a, d, where, have ? &other : &first);
        if (why == NULL && have && strcmp(first.value, other.value) != 0) {
            why = "its anchors disagree";
        }
        if (why != NULL) {
            break;
        }
        have = true;
    }
    if (why != NULL) {
        size_t used = strlen(out->note);
        snprintf(out->note + used, sizeof(out->note) - used, "%s%s: %s", used > 0 ? "; " : "",
                 f->name, why);
        return;
    }
    struct reuse_fill *fill = &out->fills[out->n++];
    *fill = (struct reuse_fill){.name = arena_dup_str(arena, f->name),
                                .value = arena_dup_str(arena, first.value),
                                .transform = first.transform, .at = first.at, .len = first.len,
                                .line = first.line, .confirmed = first.confirmed};
}

/* The share of constant words of fixed lines that some line of the document has. */
static double how_alike(const struct reuse_template *t, const struct doc *d)
{
    size_t lines = 0, found = 0;
    for (size_t i = 0; i < t->n; i++) {
        bool constant = false;
        for (size_t e = 0; e < t->lines[i].n; e++) {
            const char *text = t->lines[i].elems[e].text;
            constant = constant || (text != NULL && text[0] != '\0' && text[1] != '\0');
        }
        if (!constant || t->lines[i].kind != LINE_FIXED) {
            continue;
        }
        lines++;
        for (size_t j = 0; j < d->n; j++) {
            if (reuse_line_fit(&t->lines[i], d, &d->lines[j], NULL)) {
                found++;
                break;
            }
        }
    }
    return lines > 0 ? (double)found / (double)lines : 0;
}

void reuse_template_match(const struct reuse_template *t, const char *text, size_t len,
                          struct arena *arena, struct reuse_match *out)
{
    struct doc d;
    struct doc_fit where;
    memset(out, 0, sizeof(*out));
    if (!reuse_doc_read(text, len, arena, &d)) {
        return;
    }
    if (!reuse_doc_fit(t, &d, arena, &where)) {
        out->alike = how_alike(t, &d);
        if (out->alike < ALIKE_CHANGED) {
            return;
        }
        out->fit = REUSE_FIT_CHANGED;
        if (where.stuck < d.n) {
            snprintf(out->note, sizeof(out->note), "layout changed: line %u is not where the %zu "
                     "documents before had one", d.lines[where.stuck].number, t->sources_len);
        } else {
            snprintf(out->note, sizeof(out->note),
                     "layout changed: a line that all documents before had is missing at the end");
        }
        return;
    }
    out->alike = 1;
    out->fit = REUSE_FIT_WHOLE;
    for (size_t i = 0; i < t->fields_len; i++) {
        read_field(t, &t->fields[i], &d, &where, arena, out);
    }
}
