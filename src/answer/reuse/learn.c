/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From confirmed documents to templates: documents are grouped by the sequence of their lines'
 * labels and first words; each group is merged (align.c); then every field is looked for at every
 * slot, under every typed reading, and kept where all documents of the group agree. What was
 * learned is at last asked of the very documents it came from: a field that is read wrongly in one
 * of them, or rightly in fewer than REUSE_CONFIRM, is left out.
 * Owns: nothing but what it returns. Threads: pure. Limits: REUSE_LEARN_DOCS documents.
 */
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/text/text.h"

#define ARENA_BYTES ((size_t)512 << 20)
#define GROUPED 0.7       /* likeness of two documents of one layout */
#define SPAN_ELEMS 12     /* elements a field may stretch over */
#define CHOICES 12        /* candidate anchors of one field */
#define ROUNDS 4          /* of leaving strangers out */
#define SENTENCE_WORDS 8  /* behind a label: from so many on it is a sentence, not a value */

struct source {
    const struct reuse_doc *doc;
    struct doc d;
    uint64_t *marks; /* one a line that is no row */
    size_t marks_len;
    bool *row;
    size_t rows;
    bool used;
    struct doc_fit fit;
    bool fits;
};

/* ---- groups ---- */

static uint64_t mark_line(const struct doc *d, const struct doc_line *line)
{
    uint64_t h = 1469598103934665603ull; /* FNV-1a */
    size_t words = 0;
    for (size_t i = 0; i < line->n && words < 2; i++) {
        const struct doc_token *t = &line->tokens[i];
        if (t->kind != TOKEN_WORD || (line->label > 0 && i >= line->label)) {
            continue;
        }
        for (size_t k = 0; k < t->len; k++) {
            h = (h ^ (uint8_t)d->text[t->at + k]) * 1099511628211ull;
        }
        h = (h ^ ' ') * 1099511628211ull;
        words += line->label == 0;
    }
    return h;
}

static bool read_source(const struct reuse_doc *doc, struct arena *arena, struct source *s)
{
    *s = (struct source){.doc = doc};
    if (!reuse_doc_read(doc->text, doc->len, arena, &s->d)) {
        return false;
    }
    s->marks = arena_alloc(arena, s->d.n * sizeof(*s->marks));
    s->row = arena_alloc(arena, s->d.n + 1);
    for (size_t j = 0; j < s->d.n; j++) {
        s->row[j] = reuse_is_row(&s->d, &s->d.lines[j]);
        s->rows += s->row[j];
        if (!s->row[j]) {
            s->marks[s->marks_len++] = mark_line(&s->d, &s->d.lines[j]);
        }
    }
    return true;
}

/* 2 x common subsequence of marks / marks of both. */
static double alike(const struct source *a, const struct source *b)
{
    uint16_t best[2][REUSE_DOC_LINES + 1] = {{0}};
    for (size_t i = 0; i < a->marks_len; i++) {
        const uint16_t *was = best[i % 2];
        uint16_t *now = best[(i + 1) % 2];
        now[0] = 0;
        for (size_t j = 0; j < b->marks_len; j++) {
            uint16_t more = was[j + 1] > now[j] ? was[j + 1] : now[j];
            uint16_t with = (uint16_t)(was[j] + (a->marks[i] == b->marks[j]));
            now[j + 1] = with > more ? with : more;
        }
    }
    size_t both = a->marks_len + b->marks_len;
    return both > 0 ? 2.0 * best[a->marks_len % 2][b->marks_len] / (double)both : 0;
}

static size_t longest_run(const struct source *s)
{
    size_t longest = 0, run = 0;
    for (size_t j = 0; j < s->d.n; j++) {
        run = s->row[j] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* Rows are a table's only where a part of the documents has several, and not all as many. */
static void settle_rows(struct source **group, size_t n)
{
    size_t several = 0;
    bool vary = false;
    for (size_t k = 0; k < n; k++) {
        size_t rows = longest_run(group[k]);
        several += rows > 1;
        vary = vary || rows != longest_run(group[0]);
    }
    for (size_t k = 0; k < n && (!vary || 4 * several < n); k++) {
        memset(group[k]->row, 0, group[k]->d.n);
    }
}

static void begin_template(const struct source *s, struct arena *arena, struct reuse_template *t)
{
    memset(t, 0, sizeof(*t));
    t->lines = arena_alloc(arena, REUSE_DOC_LINES * sizeof(*t->lines));
    for (size_t j = 0; j < s->d.n; j++) {
        if (!s->row[j]) {
            reuse_line_begin(&s->d, &s->d.lines[j], arena, &t->lines[t->n++]);
        } else if (j == 0 || !s->row[j - 1]) {
            t->lines[t->n++] = (struct tline){.kind = LINE_REPEAT, .seen = 1, .most = 1};
        } else {
            t->lines[t->n - 1].most++;
        }
    }
}

/* ---- a line's values: "Label: value" ---- */

/* The line with all behind its label as one slot; false when that is a sentence or nothing. */
static bool close_label(const struct tline *line, struct arena *arena, struct tline *out)
{
    size_t words = 0;
    const char *last = NULL;
    if (line->label == 0 || line->label >= line->n || line->kind > LINE_OPTIONAL) {
        return false;
    }
    for (size_t e = line->label; e < line->n; e++) {
        last = line->elems[e].text;
        words += last != NULL && last[1] != '\0';
    }
    bool sentence =
        words >= SENTENCE_WORDS || (words > 3 && last != NULL && strchr(".!?", last[0]));
    bool single = line->n == line->label + 1 && line->elems[line->label].text == NULL;
    if (sentence || single) {
        return false;
    }
    *out = *line;
    out->elems = arena_dup(arena, line->elems, line->n * sizeof(*line->elems));
    out->n = line->label + 1;
    out->elems[line->label] = (struct elem){.text = NULL};
    return true;
}

/* ---- anchors ---- */

struct search {
    struct reuse_template *t;
    struct source **group;
    size_t n;
    const char *field;
    struct arena *arena;
    struct anchor found[CHOICES];
    size_t found_len;
    const char *values[REUSE_LEARN_DOCS]; /* of each document; NULL: not confirmed */
};

static const char *value_of(const struct reuse_doc *doc, const char *field)
{
    for (size_t i = 0; i < doc->n; i++) {
        if (strcmp(doc->names[i], field) == 0) {
            return doc->values[i];
        }
    }
    return NULL;
}

/* The label's words hold one of the field's name: "Order number:" and `order_id`. */
static bool label_names(const struct tline *line, const char *field)
{
    for (size_t e = 0; e < line->label; e++) {
        const char *w = line->elems[e].text;
        size_t n = w != NULL ? strlen(w) : 0;
        for (const char *f = field; n >= 3 && *f != '\0'; f++) {
            size_t k = 0;
            while (k < n && f[k] != '\0' && (w[k] | 0x20) == f[k]) {
                k++;
            }
            if (k == n && (f[k] == '\0' || f[k] == '_') && (f == field || f[-1] == '_')) {
                return true;
            }
        }
    }
    return false;
}

/* The reading of one document at an anchor: 1 it confirms, 0 it says nothing, -1 it contradicts. */
static int confirms(const struct search *s, size_t k, const struct line_fit *fit,
                    const struct doc_line *line, struct anchor *a)
{
    char value[REUSE_VALUE_ROOM];
    size_t at, len, in_at = 0, in_len = 0;
    uint32_t tokens = 0;
    const char *truth = s->values[k];
    if (truth == NULL) {
        return 0;
    }
    for (uint32_t e = a->from; e <= a->to; e++) {
        if (fit->two_ways[e]) {
            return 0;
        }
    }
    reuse_span(line, fit, a->from, a->to, &at, &len);
    bool read = reuse_value_apply(&a->rule, s->group[k]->d.text + at, len, value, sizeof(value),
                                  &in_at, &in_len);
    if (!read) {
        /* No value where one is confirmed: this is not where it stands. */
        return truth[0] == '\0' || len == 0 ? 0 : -1;
    }
    if (strcmp(value, truth) != 0) {
        return -1;
    }
    reuse_classes(s->group[k]->d.text + at, len, &a->classes, a->puncts, &tokens);
    a->most_tokens = tokens > a->most_tokens ? tokens : a->most_tokens;
    return 1;
}

/* Fits of one template line in every document of the group; kept while its spans are tried. */
struct fits {
    struct line_fit fit[REUSE_LEARN_DOCS];
    const struct doc_line *line[REUSE_LEARN_DOCS]; /* NULL: not there, or in two ways */
};

static void find_fits(const struct search *s, size_t i, struct fits *out)
{
    for (size_t k = 0; k < s->n; k++) {
        struct source *x = s->group[k];
        out->line[k] = NULL;
        if (x->fits && x->fit.at[i] != UINT32_MAX && !x->fit.two_ways[i]) {
            const struct doc_line *line = &x->d.lines[x->fit.at[i]];
            if (reuse_line_fit(&s->t->lines[i], &x->d, line, &out->fit[k])) {
                out->line[k] = line;
            }
        }
    }
}

static bool try_anchor(struct search *s, const struct fits *f, struct anchor *a)
{
    const char *first = NULL;
    bool vary = false;
    a->confirmed = a->classes = a->most_tokens = 0;
    memset(a->puncts, 0, sizeof(a->puncts));
    for (size_t k = 0; k < s->n; k++) {
        int is = f->line[k] != NULL ? confirms(s, k, &f->fit[k], f->line[k], a) : 0;
        if (is < 0) {
            return false;
        }
        if (is > 0) {
            vary = vary || (first != NULL && strcmp(first, s->values[k]) != 0);
            first = s->values[k];
            a->confirmed++;
        }
    }
    bool named = label_names(&s->t->lines[a->line], s->field);
    return a->confirmed >= REUSE_CONFIRM && (vary || named);
}

/* Which of two readings of a number or date is meant, only the documents can say. */
static void leave_unproven(struct search *s, const struct fits *f, struct anchor *a)
{
    struct anchor other = *a;
    if (a->rule.transform == REUSE_NUMBER || a->rule.transform == REUSE_AMOUNT) {
        other.rule.mark = a->rule.mark == '.' ? ',' : '.';
        a->rule.mark = try_anchor(s, f, &other) ? 0 : a->rule.mark;
    } else if (a->rule.transform == REUSE_DATE && a->rule.order != VALUE_YMD) {
        other.rule.order = a->rule.order == VALUE_DMY ? VALUE_MDY : VALUE_DMY;
        a->rule.order = try_anchor(s, f, &other) ? VALUE_ORDER_COUNT : a->rule.order;
    }
}

/* One anchor a line: the shortest stretch, the plainest reading. */
static void search_line(struct search *s, size_t i, struct fits *f)
{
    const struct tline *line = &s->t->lines[i];
    struct value_rule rule;
    find_fits(s, i, f);
    for (uint32_t wide = 1; wide <= SPAN_ELEMS && wide <= line->n; wide++) {
        for (uint32_t from = 0; from + wide <= line->n; from++) {
            bool slot = false;
            for (uint32_t e = from; e < from + wide; e++) {
                slot = slot || line->elems[e].text == NULL;
            }
            for (size_t r = 0; slot && reuse_value_rule(r, &rule); r++) {
                struct anchor a = {.line = (uint32_t)i, .from = from, .to = from + wide - 1,
                                   .rule = rule};
                if ((wide > 1 && rule.transform == REUSE_NUMBER) || !try_anchor(s, f, &a)) {
                    continue;
                }
                leave_unproven(s, f, &a);
                s->found[s->found_len++] = a;
                return;
            }
        }
    }
}

static void search_field(struct search *s, struct tfield *out)
{
    struct fits *f = arena_alloc(s->arena, sizeof(*f));
    s->found_len = 0;
    for (size_t k = 0; k < s->n; k++) {
        s->values[k] = value_of(s->group[k]->doc, s->field);
    }
    for (size_t i = 0; i < s->t->n && s->found_len < CHOICES; i++) {
        if (s->t->lines[i].kind <= LINE_OPTIONAL) {
            search_line(s, i, f);
        }
    }
    while (out->n < REUSE_ANCHORS && s->found_len > 0) {
        size_t best = 0;
        for (size_t k = 1; k < s->found_len; k++) {
            best = s->found[k].confirmed > s->found[best].confirmed ? k : best;
        }
        out->anchors[out->n++] = s->found[best];
        s->found[best] = s->found[--s->found_len];
    }
}

static void search_fields(struct search *s)
{
    s->t->fields_len = 0;
    for (size_t k = 0; k < s->n; k++) {
        const struct reuse_doc *doc = s->group[k]->doc;
        for (size_t i = 0; i < doc->n && s->t->fields_len < REUSE_MAX_FIELDS; i++) {
            bool known = false;
            for (size_t h = 0; h < s->t->fields_len; h++) {
                known = known || strcmp(s->t->fields[h].name, doc->names[i]) == 0;
            }
            if (!known) {
                struct tfield *f = &s->t->fields[s->t->fields_len++];
                *f = (struct tfield){.name = (char *)(uintptr_t)doc->names[i]};
                s->field = f->name;
                search_field(s, f);
            }
        }
    }
}

static void fit_group(struct search *s)
{
    for (size_t k = 0; k < s->n; k++) {
        s->group[k]->fits = reuse_doc_fit(s->t, &s->group[k]->d, s->arena, &s->group[k]->fit);
    }
}

/* How many anchors stand on line i. */
static size_t anchors_on(const struct reuse_template *t, size_t i)
{
    size_t n = 0;
    for (size_t f = 0; f < t->fields_len; f++) {
        for (size_t k = 0; k < t->fields[f].n; k++) {
            n += t->fields[f].anchors[k].line == i;
        }
    }
    return n;
}

/* Behind a label one slot is enough, unless fields are found only at parts of it. Constants inside
   a field's own stretch are chance ("2026-" in March), so the stretch becomes one slot. */
static void settle_lines(struct search *s)
{
    struct reuse_template *t = s->t, fine = *t;
    fine.lines = arena_dup(s->arena, t->lines, t->n * sizeof(*t->lines));
    for (size_t i = 0; i < t->n; i++) {
        (void)close_label(&fine.lines[i], s->arena, &t->lines[i]);
    }
    fit_group(s);
    search_fields(s);
    struct reuse_template closed = *t;
    t->lines = fine.lines;
    fit_group(s);
    search_fields(s);
    for (size_t i = 0; i < t->n; i++) {
        if (anchors_on(&closed, i) >= anchors_on(t, i)) {
            t->lines[i] = closed.lines[i];
        }
    }
    for (size_t f = 0; f < t->fields_len; f++) {
        for (size_t k = 0; k < t->fields[f].n; k++) {
            struct anchor *a = &t->fields[f].anchors[k];
            struct tline *line = &t->lines[a->line];
            if (line->elems == closed.lines[a->line].elems || a->from == a->to ||
                anchors_on(t, a->line) > 1 || a->to >= line->n) {
                continue;
            }
            struct elem *elems = arena_dup(s->arena, line->elems, line->n * sizeof(*elems));
            memmove(&elems[a->from + 1], &elems[a->to + 1], (line->n - a->to - 1) * sizeof(*elems));
            elems[a->from] = (struct elem){.text = NULL};
            line->n -= a->to - a->from;
            line->elems = elems;
        }
    }
    fit_group(s);
    search_fields(s);
}

/* ---- what was learned, asked of its own documents ---- */

static void drop_field(struct reuse_template *t, size_t f)
{
    t->fields_len--;
    memmove(&t->fields[f], &t->fields[f + 1], (t->fields_len - f) * sizeof(t->fields[f]));
}

/* Fields read wrongly once, or rightly too seldom, go. */
static void keep_what_holds(const struct search *s)
{
    struct reuse_template *t = s->t;
    size_t right[REUSE_MAX_FIELDS] = {0}, wrong[REUSE_MAX_FIELDS] = {0};
    for (size_t k = 0; k < s->n; k++) {
        struct reuse_match m;
        const struct reuse_doc *doc = s->group[k]->doc;
        reuse_template_match(t, doc->text, doc->len, s->arena, &m);
        for (size_t i = 0; i < m.n; i++) {
            const char *truth = value_of(doc, m.fills[i].name);
            for (size_t f = 0; f < t->fields_len && truth != NULL; f++) {
                if (strcmp(t->fields[f].name, m.fills[i].name) == 0) {
                    bool same = strcmp(m.fills[i].value, truth) == 0;
                    right[f] += same;
                    wrong[f] += !same;
                }
            }
        }
    }
    for (size_t f = t->fields_len; f-- > 0;) {
        if (wrong[f] > 0 || right[f] < REUSE_CONFIRM) {
            drop_field(t, f);
        }
    }
}

static struct reuse_template *take_out(const struct reuse_template *t, const struct search *s)
{
    struct reuse_template *own = mem_dup(t, sizeof(*t));
    own->lines = mem_dup(t->lines, t->n * sizeof(*t->lines));
    for (size_t i = 0; i < t->n; i++) {
        struct tline *line = &own->lines[i];
        line->elems = mem_alloc_array(line->n + 1, sizeof(*line->elems));
        for (size_t e = 0; e < line->n; e++) {
            line->elems[e] = t->lines[i].elems[e];
            line->elems[e].text = mem_dup_str(t->lines[i].elems[e].text);
        }
    }
    for (size_t f = 0; f < t->fields_len; f++) {
        own->fields[f].name = mem_dup_str(t->fields[f].name);
    }
    own->sources = mem_alloc_array(s->n, sizeof(*own->sources));
    for (size_t k = 0; k < s->n; k++) {
        own->sources[own->sources_len++] = s->group[k]->doc->task;
    }
    return own;
}

static size_t count_free(const struct reuse_template *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += t->lines[i].kind == LINE_FREE;
    }
    return n;
}

/* Merges the group in its order. From the fourth document on, one that would turn constant lines
   into free text is a stranger and is left out. False over a limit. */
static bool merge_group(struct source **group, size_t *n, struct arena *arena,
                        struct reuse_template *t)
{
    size_t kept = 1;
    begin_template(group[0], arena, t);
    for (size_t k = 1; k < *n; k++) {
        struct reuse_template next;
        if (!reuse_template_merge(t, &group[k]->d, group[k]->row, arena, &next)) {
            return false;
        }
        if (kept < REUSE_CONFIRM || count_free(&next) <= count_free(t)) {
            group[kept++] = group[k];
            *t = next;
        }
    }
    *n = kept;
    return true;
}

/* A variation counts once two documents show it: leaves out those that alone have a line, or alone
   lack one. True when somebody went. */
static bool leave_strangers(struct search *s)
{
    bool odd[REUSE_LEARN_DOCS] = {false};
    size_t kept = 0;
    fit_group(s);
    for (size_t i = 0; i < s->t->n; i++) {
        size_t with = 0, last_with = 0, last_without = 0;
        for (size_t k = 0; k < s->n; k++) {
            bool has = s->group[k]->fits && s->group[k]->fit.at[i] != UINT32_MAX;
            with += has;
            last_with = has ? k : last_with;
            last_without = has ? last_without : k;
        }
        if (s->t->lines[i].kind == LINE_OPTIONAL && with == 1) {
            odd[last_with] = true;
        } else if (s->t->lines[i].kind == LINE_OPTIONAL && with + 1 == s->n) {
            odd[last_without] = true;
        }
    }
    for (size_t k = 0; k < s->n; k++) {
        if (!odd[k] && s->group[k]->fits) {
            s->group[kept++] = s->group[k];
        }
    }
    bool went = kept < s->n;
    s->n = kept;
    return went;
}

static struct reuse_template *learn_group(struct source **group, size_t n, struct arena *arena)
{
    struct reuse_template t;
    struct search s = {.t = &t, .group = group, .n = n, .arena = arena};
    settle_rows(group, n);
    bool settled = false;
    for (int round = 0; round < ROUNDS && !settled; round++) {
        if (s.n < REUSE_CONFIRM || !merge_group(group, &s.n, arena, &t)) {
            return NULL;
        }
        settled = !leave_strangers(&s);
    }
    if (!settled) {
        return NULL;
    }
    settle_lines(&s);
    keep_what_holds(&s);
    if (t.fields_len == 0) {
        return NULL;
    }
    struct reuse_template *own = take_out(&t, &s);
    struct buf b;
    buf_init(&b, REUSE_TEMPLATE_BYTES);
    bool small = reuse_template_write(own, &b);
    buf_done(&b);
    if (!small) {
        reuse_template_free(own);
        own = NULL;
    }
    return own;
}

size_t reuse_templates_learn(const struct reuse_doc *docs, size_t n, struct reuse_template **out,
                             size_t max)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    n = n < REUSE_LEARN_DOCS ? n : REUSE_LEARN_DOCS;
    struct source *all = arena_alloc(arena, (n + 1) * sizeof(*all));
    struct source **group = arena_alloc(arena, (n + 1) * sizeof(struct source *));
    size_t made = 0, read = 0;
    for (size_t i = 0; i < n; i++) {
        read += read_source(&docs[i], arena, &all[read]) ? 1 : 0;
    }
    for (size_t i = 0; i < read && made < max; i++) {
        size_t members = 0;
        for (size_t k = i; k < read; k++) {
            if (!all[k].used && !all[i].used && (k == i || alike(&all[i], &all[k]) >= GROUPED)) {
                group[members++] = &all[k];
            }
        }
        for (size_t k = 0; k < members; k++) {
            group[k]->used = true;
        }
        if (members >= REUSE_CONFIRM) {
            struct reuse_template *t = learn_group(group, members, arena);
            out[made] = t;
            made += t != NULL;
        }
    }
    arena_free(arena);
    return made;
}
