/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking: every rule over every block that is in its scope; alerts in the order of the text.
 *
 * Owns: the alerts. Threads: a style may be checked with on many at once. Limits: a match is given
 * up after MATCH_STEPS steps, and counted.
 */
#include "trust/style/style_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MATCH_STEPS 2000000
#define GROUPS_MAX 4096
#define SEEN_MAX 512

/* ---- alerts ---- */

static void place(const char *s, size_t at, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (s[i] == '\n') {
            (*line)++;
            *column = 1;
        } else {
            *column += (s[i] & 0xc0) != 0x80 ? 1 : 0;
        }
    }
}

/* "a|b|c" as "'a', 'b', or 'c'"; one alone as it is. */
static void choices(const char *instead, struct buf *out)
{
    size_t n = 1;
    for (const char *p = instead; (p = strchr(p, '|')) != NULL; p++) {
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(instead, "|");
        const char *between = i == 0 ? "" : n == 2 ? " or " : i + 1 == n ? ", or " : ", ";
        buf_printf(out, "%s'%.*s'", between, (int)len, instead);
        instead += len + (instead[len] == '|' ? 1 : 0);
    }
}

/* The message with its %s filled in; white space as one blank, as Vale shows it. */
static void say(const char *message, const char *instead, const char *match, char *out, size_t room)
{
    struct buf b;
    buf_init(&b, 16384);
    bool first = instead != NULL;
    for (const char *s = message; *s != '\0'; s++) {
        bool quoted = strncmp(s, "'%s'", 4) == 0;
        if (first && (quoted || strncmp(s, "%s", 2) == 0)) {
            if (quoted) {
                choices(instead, &b);
            } else {
                buf_add_str(&b, instead);
            }
            s += quoted ? 3 : 1;
            first = false;
        } else if (strncmp(s, "%s", 2) == 0) {
            buf_add_str(&b, match);
            s++;
        } else {
            buf_add_char(&b, *s);
        }
    }
    size_t n = 0;
    bool blank = true;
    for (size_t i = 0; i < b.len && n + 4 < room; i++) {
        bool white = b.data[i] == ' ' || b.data[i] == '\n' || b.data[i] == '\t';
        if (!white || !blank) {
            out[n++] = white ? ' ' : b.data[i];
        }
        blank = white;
    }
    while (n > 0 && (out[n - 1] == ' ' || (out[n - 1] & 0xc0) == 0x80) && n + 4 >= room) {
        n--;
    }
    out[n] = '\0';
    buf_done(&b);
}

void style_alert_add(struct style_run *run, const struct style_block *b, size_t from, size_t to,
                     const char *instead, const char *match)
{
    struct style_alerts *o = run->out;
    if (o->n == STYLE_MAX_ALERTS) {
        o->dropped++;
        return;
    }
    if (o->n == o->room) {
        o->room = o->room == 0 ? 16 : o->room * 2;
        o->items = mem_realloc(o->items, o->room * sizeof(*o->items));
    }
    struct style_alert *a = &o->items[o->n++];
    *a = (struct style_alert){.rule = run->rule->name, .link = run->rule->link,
                              .level = run->rule->level, .from = b->from[from],
                              .to = to > from ? b->from[to - 1] + 1 : b->from[from]};
    place(run->source, a->from, &a->line, &a->column);
    say(run->rule->message, instead, match, a->message, sizeof(a->message));
    const char *fix = instead != NULL ? instead : run->rule->replace;
    if (fix != NULL) {
        snprintf(a->instead, sizeof(a->instead), "%.*s", (int)strcspn(fix, "|"), fix);
        a->several = strchr(fix, '|') != NULL;
    }
    a->remove = run->rule->remove;
}

void style_alerts_done(struct style_alerts *a)
{
    mem_free(a->items);
    *a = (struct style_alerts){0};
}

/* ---- matching ---- */

bool style_next(struct style_run *run, const pcre2_code *code, const char *s, size_t n, size_t at)
{
    if (at > n) {
        return false;
    }
    int got = pcre2_match(code, (PCRE2_SPTR)s, n, at, 0, run->data, run->limits);
    if (got < 0 && got != PCRE2_ERROR_NOMATCH) {
        run->out->given_up++;
    }
    return got >= 0;
}

bool style_is_exception(struct style_run *run, const char *s, size_t n)
{
    return run->rule->exceptions != NULL &&
           pcre2_match(run->rule->exceptions, (PCRE2_SPTR)s, n, 0, 0, run->data, run->limits) >= 0;
}

static size_t step(const PCRE2_SIZE *v)
{
    return v[1] > v[0] ? v[1] : v[1] + 1;
}

static void existence(struct style_run *run, const struct style_block *b, size_t from, size_t to)
{
    const struct style_rule *r = run->rule;
    for (size_t at = from; style_next(run, r->code, b->text, to, at);) {
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
        PCRE2_SIZE found[2] = {v[0], v[1]};
        at = step(found);
        if (found[1] > found[0] &&
            !style_is_exception(run, b->text + found[0], found[1] - found[0])) {
            char *match = mem_dup_strn(b->text + found[0], found[1] - found[0]);
            style_alert_add(run, b, found[0], found[1], NULL, match);
            mem_free(match);
        }
    }
}

static bool is_one_of(const char *instead, const char *match, bool ignorecase)
{
    size_t n = strlen(match);
    while (*instead != '\0') {
        size_t len = strcspn(instead, "|");
        if (len == n && (ignorecase ? strncasecmp(instead, match, n)
                                    : strncmp(instead, match, n)) == 0) {
            return true;
        }
        instead += len + (instead[len] == '|' ? 1 : 0);
    }
    return false;
}

static void substitution(struct style_run *run, const struct style_block *b, size_t from, size_t to)
{
    const struct style_rule *r = run->rule;
    for (size_t at = from; style_next(run, r->code, b->text, to, at);) {
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
        uint32_t groups = pcre2_get_ovector_count(run->data);
        size_t group = 0;
        PCRE2_SIZE found[2] = {v[0], v[1]};
        while (group < r->replacements_n && group + 1 < groups &&
               v[2 * (group + 1)] == PCRE2_UNSET) {
            group++;
        }
        at = step(found);
        if (group == r->replacements_n || found[1] == found[0] ||
            style_is_exception(run, b->text + found[0], found[1] - found[0])) {
            continue;
        }
        char *match = mem_dup_strn(b->text + found[0], found[1] - found[0]);
        if (!is_one_of(r->replacements[group], match, false)) {
            style_alert_add(run, b, found[0], found[1], r->replacements[group], match);
        }
        mem_free(match);
    }
}

static void occurrence(struct style_run *run, const struct style_block *b, size_t from, size_t to)
{
    const struct style_rule *r = run->rule;
    int n = 0;
    size_t first = from;
    size_t last = from;
    for (size_t at = from; style_next(run, r->code, b->text, to, at);) {
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
        first = n == 0 ? v[0] : first;
        last = v[1];
        at = step(v);
        n++;
    }
    if ((r->max > 0 && n > r->max) || n < r->min) {
        char count[16];
        snprintf(count, sizeof(count), "%d", n);
        style_alert_add(run, b, first, last > first ? last : to, NULL, count);
    }
}

static bool is_alpha(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z') && (s[i] & 0x80) == 0) {
            return false;
        }
    }
    return n > 0;
}

static void repetition(struct style_run *run, const struct style_block *b, size_t from, size_t to)
{
    const struct style_rule *r = run->rule;
    size_t before[2] = {0, 0};
    size_t first = 0;
    int same = 0;
    for (size_t at = from; style_next(run, r->code, b->text, to, at);) {
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
        PCRE2_SIZE now[2] = {v[0], v[1]};
        size_t n = now[1] - now[0];
        at = step(now);
        bool equal = n > 0 && before[1] - before[0] == n &&
                     (r->ignorecase ? strncasecmp(b->text + before[0], b->text + now[0], n)
                                    : strncmp(b->text + before[0], b->text + now[0], n)) == 0 &&
                     (!r->alpha || is_alpha(b->text + now[0], n));
        first = equal ? first : now[0];
        same = equal ? same + 1 : 0;
        if (equal && same > r->max) {
            char *match = mem_dup_strn(b->text + now[0], n);
            size_t had = run->out->n;
            style_alert_add(run, b, first, now[1], NULL, match);
            if (r->remove && run->out->n > had) { /* one of them stays */
                struct style_alert *a = &run->out->items[had];
                snprintf(a->instead, sizeof(a->instead), "%s", match);
                a->remove = false;
            }
            mem_free(match);
            same = 0;
        }
        before[0] = now[0];
        before[1] = now[1];
    }
}

/* ---- what needs the whole text ---- */

static void consistency(struct style_run *run, const struct style_blocks *all)
{
    const struct style_rule *r = run->rule;
    unsigned char *seen = mem_alloc((size_t)r->max + 1); /* of each pair: 1 the one, 2 the other */
    for (size_t i = 0; i < all->n; i++) {
        const struct style_block *b = &all->items[i];
        if (!style_scope_holds(r, b)) {
            continue;
        }
        for (size_t at = 0; style_next(run, r->code, b->text, b->n, at);) {
            PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
            uint32_t groups = pcre2_get_ovector_count(run->data);
            PCRE2_SIZE found[2] = {v[0], v[1]};
            uint32_t g = 1;
            while (g < groups && v[2 * g] == PCRE2_UNSET) {
                g++;
            }
            at = step(found);
            size_t pair = (g - 1) / 2;
            if (g >= groups || pair >= (size_t)r->max) {
                continue;
            }
            unsigned char way = (g - 1) % 2 == 0 ? 1 : 2;
            if (seen[pair] != 0 && seen[pair] != way) {
                char *match = mem_dup_strn(b->text + found[0], found[1] - found[0]);
                style_alert_add(run, b, found[0], found[1], NULL, match);
                mem_free(match);
            }
            seen[pair] = seen[pair] == 0 ? way : seen[pair];
        }
    }
    mem_free(seen);
}

struct defined {
    char *words[SEEN_MAX];
    size_t n;
};

static void collect(struct style_run *run, const struct style_block *b, struct defined *d)
{
    for (size_t at = 0; style_next(run, run->rule->second, b->text, b->n, at);) {
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
        size_t g = pcre2_get_ovector_count(run->data) > 1 && v[2] != PCRE2_UNSET && v[3] > v[2]
                       ? 2 : 0;
        if (d->n < SEEN_MAX) {
            d->words[d->n++] = mem_dup_strn(b->text + v[g], v[g + 1] - v[g]);
        }
        at = step(v);
    }
}

static void conditional(struct style_run *run, const struct style_blocks *all)
{
    struct defined d = {.n = 0};
    for (size_t i = 0; i < all->n; i++) {
        collect(run, &all->items[i], &d);
    }
    for (size_t i = 0; i < all->n; i++) {
        const struct style_block *b = &all->items[i];
        for (size_t at = 0; style_scope_holds(run->rule, b) &&
                            style_next(run, run->rule->code, b->text, b->n, at);) {
            PCRE2_SIZE *v = pcre2_get_ovector_pointer(run->data);
            bool grouped = pcre2_get_ovector_count(run->data) > 1 && v[2] != PCRE2_UNSET;
            PCRE2_SIZE found[2] = {v[grouped ? 2 : 0], v[grouped ? 3 : 1]};
            at = step(v);
            char *match = mem_dup_strn(b->text + found[0], found[1] - found[0]);
            bool known = style_is_exception(run, match, strlen(match));
            for (size_t k = 0; k < d.n && !known; k++) {
                known = strcmp(d.words[k], match) == 0;
            }
            if (!known) {
                style_alert_add(run, b, found[0], found[1], NULL, match);
            }
            mem_free(match);
        }
    }
    for (size_t k = 0; k < d.n; k++) {
        mem_free(d.words[k]);
    }
}

/* ---- scopes ---- */

static bool part_holds(const char *part, const struct style_block *b)
{
    static const char *const names[] = {"paragraph", "heading", "list", "blockquote", "table",
                                        "raw"};
    bool not = part[0] == '~';
    const char *name = part + (not ? 1 : 0);
    const char *kind = names[b->kind];
    size_t n = strlen(kind);
    bool is = strcmp(name, "text") == 0 || strcmp(name, "sentence") == 0 ||
              strcmp(name, "summary") == 0;
    is = is || (strncmp(name, kind, n) == 0 && (name[n] == '\0' || name[n] == '.'));
    if (is && b->kind == STYLE_HEADING && name[0] == 'h' && name[n] == '.') {
        is = name[n + 2] == '0' + b->level;
    }
    return is != not;
}

bool style_scope_holds(const struct style_rule *r, const struct style_block *b)
{
    if (b->kind == STYLE_RAW) {
        return r->raw;
    }
    for (size_t i = 0; i < r->scopes_n; i++) {
        bool all = r->scopes[i].n > 0;
        for (size_t k = 0; k < r->scopes[i].n; k++) {
            all = all && part_holds(r->scopes[i].parts[k], b);
        }
        if (all) {
            return true;
        }
    }
    return r->scopes_n == 0;
}

/* ---- all of it ---- */

typedef void (*stretch_fn)(struct style_run *, const struct style_block *, size_t, size_t);

static void each_stretch(struct style_run *run, const struct style_block *b, stretch_fn fn)
{
    if (!run->rule->sentences) {
        fn(run, b, 0, b->n);
        return;
    }
    for (size_t at = 0; at < b->n;) {
        size_t end = style_sentence_end(b->text, b->n, at);
        fn(run, b, at, end);
        for (at = end; at < b->n && (b->text[at] == ' ' || b->text[at] == '\n'); at++) {
        }
    }
}

static void check_rule(struct style_run *run, const struct style_blocks *all,
                       const struct style_block *raw)
{
    static const stretch_fn stretches[STYLE_KIND_COUNT] = {
        [STYLE_EXISTENCE] = existence, [STYLE_SUBSTITUTION] = substitution,
        [STYLE_OCCURRENCE] = occurrence, [STYLE_REPETITION] = repetition,
    };
    enum style_kind k = run->rule->kind;
    if (k == STYLE_CONSISTENCY) {
        consistency(run, all);
    } else if (k == STYLE_CONDITIONAL) {
        conditional(run, all);
    } else if (k == STYLE_READABILITY) {
        style_readability(run, all);
    }
    for (size_t i = 0; i < all->n; i++) {
        const struct style_block *b = &all->items[i];
        if (stretches[k] != NULL && !run->rule->raw && style_scope_holds(run->rule, b)) {
            each_stretch(run, b, stretches[k]);
        } else if (k == STYLE_CAPITALIZATION && style_scope_holds(run->rule, b)) {
            style_capitals(run, b);
        }
    }
    if (stretches[k] != NULL && run->rule->raw) {
        each_stretch(run, raw, stretches[k]);
    }
}

static int by_place(const void *x, const void *y)
{
    const struct style_alert *a = x;
    const struct style_alert *b = y;
    if (a->line != b->line) {
        return a->line - b->line;
    }
    return a->column != b->column ? a->column - b->column : strcmp(a->rule, b->rule);
}

bool style_check(const struct style *s, const char *text, size_t n, bool markdown,
                 struct style_alerts *out)
{
    struct style_blocks all;
    struct style_block raw = {.kind = STYLE_RAW, .n = n};
    *out = (struct style_alerts){0};
    if (n > STYLE_MAX_TEXT) {
        return false;
    }
    style_blocks_read(text, n, markdown, &all);
    raw.text = mem_dup_strn(text, n);
    raw.from = mem_alloc_array(n + 1, sizeof(*raw.from));
    for (size_t i = 0; i <= n; i++) {
        raw.from[i] = (uint32_t)i;
    }
    struct style_run run = {.source = text, .source_n = n, .out = out};
    run.data = pcre2_match_data_create(GROUPS_MAX, NULL);
    run.limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(run.limits, MATCH_STEPS);
    for (size_t i = 0; i < s->n; i++) {
        run.rule = &s->rules[i];
        check_rule(&run, &all, &raw);
    }
    pcre2_match_data_free(run.data);
    pcre2_match_context_free(run.limits);
    mem_free(raw.text);
    mem_free(raw.from);
    style_blocks_done(&all);
    if (out->n > 0) {
        qsort(out->items, out->n, sizeof(*out->items), by_place);
    }
    return true;
}
