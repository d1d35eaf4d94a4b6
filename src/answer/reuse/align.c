/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constant text and slots: documents of one layout are merged one after another. Lines are aligned
 * by what they have in common (Needleman and Wunsch 1970, maximal sum), tokens of aligned lines by
 * their longest common subsequence; what differs becomes a slot, what is not in all of them
 * optional, rows a repeated line, a stretch without anything in common free text.
 * Owns: nothing; everything is in the caller's arena. Threads: pure. Limits: reuse.h.
 */
#include <string.h>

#include "answer/reuse/reuse_internal.h"

#define SIGN_WEIGHT 0.25 /* of a sign beside a word */
#define ALIGNED 0.5      /* share in common that makes two lines one */
#define GAP_MERGE 3      /* unlike lines between like ones that may still be one line each */

/* ---- one line ---- */

static double weight_of(const char *s, size_t n)
{
    bool word = n > 1 || (s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z');
    return word ? 1 : SIGN_WEIGHT;
}

static bool same(const struct elem *e, const struct doc *d, const struct doc_token *t)
{
    return e->text != NULL && t->kind != TOKEN_OPEN && strlen(e->text) == t->len &&
           memcmp(e->text, d->text + t->at, t->len) == 0;
}

/* best[e][t]: weight of the longest common subsequence of elements from e on and tokens from t. */
struct common {
    float best[REUSE_LINE_ELEMS + 1][REUSE_LINE_TOKENS + 1];
};

static double fill_common(const struct tline *p, const struct doc *d, const struct doc_line *line,
                          struct common *c)
{
    for (size_t t = 0; t <= line->n; t++) {
        c->best[p->n][t] = 0;
    }
    for (size_t e = p->n; e-- > 0;) {
        c->best[e][line->n] = 0;
        for (size_t t = line->n; t-- > 0;) {
            float most = c->best[e + 1][t] > c->best[e][t + 1] ? c->best[e + 1][t]
                                                                : c->best[e][t + 1];
            if (same(&p->elems[e], d, &line->tokens[t])) {
                float with = c->best[e + 1][t + 1] +
                             (float)weight_of(p->elems[e].text, line->tokens[t].len);
                most = with > most ? with : most;
            }
            c->best[e][t] = most;
        }
    }
    return c->best[0][0];
}

static bool same_label(const struct tline *p, const struct doc *d, const struct doc_line *line)
{
    for (size_t i = 0; i < p->label; i++) {
        if (!same(&p->elems[i], d, &line->tokens[i])) {
            return false;
        }
    }
    return p->label == line->label;
}

/* 0..1: how much of the shorter one's constant text they share. */
static double alike(const struct tline *p, const struct doc *d, const struct doc_line *line)
{
    struct common c;
    if (p->kind == LINE_FREE || line->n == 0) {
        return 0;
    }
    if (p->kind == LINE_REPEAT) {
        return 0;
    }
    if (p->label > 0 || line->label > 0) {
        return same_label(p, d, line) ? 1 : 0;
    }
    double mine = 0, others = 0, shared = fill_common(p, d, line, &c);
    for (size_t e = 0; e < p->n; e++) {
        mine +=
            p->elems[e].text != NULL ? weight_of(p->elems[e].text, strlen(p->elems[e].text)) : 0;
    }
    for (size_t t = 0; t < line->n; t++) {
        const struct doc_token *k = &line->tokens[t];
        others += k->kind != TOKEN_OPEN ? weight_of(d->text + k->at, k->len) : 0;
    }
    double less = mine < others ? mine : others;
    return less > 0 ? shared / less : 0;
}

static void put_slot(struct tline *out, bool open, bool empty)
{
    if (out->n > 0 && out->elems[out->n - 1].text == NULL) {
        out->elems[out->n - 1].open = out->elems[out->n - 1].open && open;
        out->elems[out->n - 1].empty = out->elems[out->n - 1].empty && empty;
    } else if (out->n < REUSE_LINE_ELEMS) {
        out->elems[out->n++] = (struct elem){.open = open, .empty = empty};
    }
}

void reuse_line_begin(const struct doc *d, const struct doc_line *line, struct arena *arena,
                      struct tline *out)
{
    *out = (struct tline){.kind = LINE_FIXED, .seen = 1, .label = line->label};
    out->elems = arena_alloc(arena, REUSE_LINE_ELEMS * sizeof(*out->elems));
    for (size_t t = 0; t < line->n; t++) {
        const struct doc_token *k = &line->tokens[t];
        /* What is beyond the room is one slot with what came before. */
        if (k->kind == TOKEN_OPEN || out->n + 1 >= REUSE_LINE_ELEMS) {
            put_slot(out, k->kind == TOKEN_OPEN, false);
        } else {
            out->elems[out->n++].text = arena_dup_strn(arena, d->text + k->at, k->len);
        }
    }
}

/* The stretch between two constants: elements [e0, e1) and tokens [t0, t1). */
static void merge_gap(const struct tline *p, size_t e0, size_t e1, const struct doc_line *line,
                      size_t t0, size_t t1, struct tline *out)
{
    bool open = true, could_be_empty = e0 == e1 || t0 == t1;
    if (e0 == e1 && t0 == t1) {
        return;
    }
    for (size_t e = e0; e < e1; e++) {
        open = open && p->elems[e].text == NULL && p->elems[e].open;
        could_be_empty = could_be_empty || (e1 - e0 == 1 && p->elems[e].empty);
    }
    for (size_t t = t0; t < t1; t++) {
        open = open && line->tokens[t].kind == TOKEN_OPEN;
    }
    put_slot(out, open, could_be_empty);
}

void reuse_line_merge(const struct tline *p, const struct doc *d, const struct doc_line *line,
                      struct arena *arena, struct tline *out)
{
    struct common c;
    size_t e = 0, t = 0, e0 = 0, t0 = 0;
    *out = *p;
    out->n = 0;
    out->seen = p->seen + 1;
    out->elems = arena_alloc(arena, REUSE_LINE_ELEMS * sizeof(*out->elems));
    (void)fill_common(p, d, line, &c);
    while (e < p->n && t < line->n) {
        bool is = same(&p->elems[e], d, &line->tokens[t]);
        float with = is ? c.best[e + 1][t + 1] +
                              (float)weight_of(p->elems[e].text, line->tokens[t].len)
                        : -1;
        if (is && with >= c.best[e][t]) {
            merge_gap(p, e0, e, line, t0, t, out);
            if (out->n < REUSE_LINE_ELEMS) {
                out->elems[out->n++].text = arena_dup_str(arena, p->elems[e].text);
            }
            e0 = ++e;
            t0 = ++t;
        } else if (c.best[e + 1][t] >= c.best[e][t + 1]) {
            e++;
        } else {
            t++;
        }
    }
    merge_gap(p, e0, p->n, line, t0, line->n, out);
    out->label = out->n >= p->label ? p->label : 0;
}

/* ---- all lines ---- */

struct merging {
    const struct reuse_template *t;
    const struct doc *d;
    const bool *row; /* per document line: it is one of a table's rows */
    struct arena *arena;
    struct tline *out;
    size_t n, max;
    bool full;
};

static void put(struct merging *m, const struct tline *line)
{
    if (m->n == m->max) {
        m->full = true;
        return;
    }
    m->out[m->n++] = *line;
}

static void put_optional(struct merging *m, const struct tline *line)
{
    struct tline copy = *line;
    bool word = false;
    for (size_t e = 0; e < copy.n; e++) {
        word = word || (copy.elems[e].text != NULL && copy.elems[e].text[0] != '\0' &&
                        copy.elems[e].text[1] != '\0');
    }
    if (copy.kind == LINE_FIXED) {
        copy.kind = LINE_OPTIONAL;
    }
    if (copy.kind == LINE_REPEAT || (!word && copy.kind == LINE_OPTIONAL)) {
        uint32_t most = copy.most > 0 ? copy.most : 1;
        copy = (struct tline){.kind = LINE_FREE, .most = most, .seen = copy.seen};
    }
    put(m, &copy);
}

/* Groups of rows count as one line. */
static size_t after_rows(const struct merging *m, size_t j)
{
    size_t end = j + 1;
    while (m->row[j] && end < m->d->n && m->row[end]) {
        end++;
    }
    return end;
}

/* Template lines [i0, i1) and document lines [j0, j1) that have nothing in common. */
static void merge_unlike(struct merging *m, size_t i0, size_t i1, size_t j0, size_t j1)
{
    size_t lines = i1 - i0, others = j1 - j0;
    bool one_each = lines == others && lines <= GAP_MERGE, free_text = false, labels = false;
    uint32_t most = (uint32_t)others;
    for (size_t i = i0; i < i1; i++) {
        const struct tline *p = &m->t->lines[i];
        one_each = one_each && p->kind == LINE_FIXED && p->label == 0;
        labels = labels || p->label > 0;
        free_text = free_text || p->kind == LINE_FREE;
        most = p->kind == LINE_FREE && p->most > most ? p->most : most;
    }
    for (size_t j = j0; j < j1; j++) {
        one_each = one_each && m->d->lines[j].label == 0;
        labels = labels || m->d->lines[j].label > 0;
    }
    if (one_each) {
        for (size_t k = 0; k < lines; k++) {
            struct tline merged;
            reuse_line_merge(&m->t->lines[i0 + k], m->d, &m->d->lines[j0 + k], m->arena, &merged);
            put(m, &merged);
        }
        return;
    }
    if (free_text || (lines > 0 && others > 0 && !labels)) {
        most = lines > most ? (uint32_t)lines : most;
        struct tline free_line = {.kind = LINE_FREE, .most = most, .seen = 1};
        for (size_t i = i0; i < i1 && labels; i++) { /* labelled lines stay what they are */
            if (m->t->lines[i].label > 0) {
                put_optional(m, &m->t->lines[i]);
            }
        }
        put(m, &free_line);
        return;
    }
    for (size_t i = i0; i < i1; i++) {
        put_optional(m, &m->t->lines[i]);
    }
    for (size_t j = j0; j < j1; j++) {
        struct tline fresh;
        if (m->row[j]) {
            size_t end = after_rows(m, j);
            fresh = (struct tline){.kind = LINE_FREE, .most = (uint32_t)(end - j), .seen = 1};
            put(m, &fresh);
            j = end - 1;
            continue;
        }
        reuse_line_begin(m->d, &m->d->lines[j], m->arena, &fresh);
        put_optional(m, &fresh);
    }
}

static void merge_pair(struct merging *m, size_t i, size_t j)
{
    const struct tline *p = &m->t->lines[i];
    struct tline merged = *p;
    if (p->kind == LINE_REPEAT) {
        size_t rows = after_rows(m, j) - j;
        merged.most = rows > merged.most ? (uint32_t)rows : merged.most;
        merged.seen++;
    } else {
        reuse_line_merge(p, m->d, &m->d->lines[j], m->arena, &merged);
    }
    put(m, &merged);
}

/* The best sum of alike() over pairs in order, then the pairs and what lies between. */
bool reuse_template_merge(const struct reuse_template *t, const struct doc *d, const bool *row,
                          struct arena *arena, struct reuse_template *out)
{
    size_t n = t->n, m = d->n, wide = m + 1;
    AUTO_FREE float *pair = mem_alloc_array((n + 1) * wide, sizeof(*pair));
    AUTO_FREE float *best = mem_alloc_array((n + 1) * wide, sizeof(*best));
    struct merging x = {.t = t, .d = d, .row = row, .arena = arena, .max = REUSE_DOC_LINES};
    for (size_t i = n; i-- > 0;) {
        for (size_t j = m; j-- > 0;) {
            bool repeat = t->lines[i].kind == LINE_REPEAT;
            bool first_row = row[j] && (j == 0 || !row[j - 1]);
            double p = repeat || row[j] ? (repeat && first_row ? 1 : 0)
                                        : alike(&t->lines[i], d, &d->lines[j]);
            float with = p >= ALIGNED ? (float)p + best[(i + 1) * wide + j + 1] : 0;
            float down = best[(i + 1) * wide + j], right = best[i * wide + j + 1];
            float most = down > right ? down : right;
            pair[i * wide + j] = p >= ALIGNED ? (float)p : 0;
            best[i * wide + j] = with > most ? with : most;
        }
    }
    x.out = arena_alloc(arena, REUSE_DOC_LINES * sizeof(*x.out));
    size_t i = 0, j = 0, i0 = 0, j0 = 0;
    while (i < n && j < m) {
        float p = pair[i * wide + j];
        if (p > 0 && p + best[(i + 1) * wide + j + 1] >= best[i * wide + j]) {
            merge_unlike(&x, i0, i, j0, j);
            merge_pair(&x, i, j);
            j = after_rows(&x, j);
            i++;
            i0 = i;
            j0 = j;
        } else if (best[(i + 1) * wide + j] >= best[i * wide + j + 1]) {
            i++;
        } else {
            j++;
        }
    }
    merge_unlike(&x, i0, n, j0, m);
    *out = *t;
    out->lines = x.out;
    out->n = x.n;
    return !x.full;
}
