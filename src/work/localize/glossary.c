/* SPDX-License-Identifier: Apache-2.0 */
/* Glossaries: CSV as Tolgee exports it, CSV with source and target, TBX. Owns: nothing; terms
   lie in the arena. Threads: none. Limits: LOCALIZE_TERMS_MAX. */
#include <ctype.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/localize_internal.h"

#define COLUMNS_MAX 64
#define ALTERNATIVES_MAX 16


static void add(struct localize_glossary *to, struct arena *a, enum check_term_kind kind,
                const char *source, const char *target, bool match_case)
{
    /* The array doubles in the arena: 0, 64, 128, ... */
    bool full = to->len == 0 || (to->len >= 64 && (to->len & (to->len - 1)) == 0);
    if (to->len >= LOCALIZE_TERMS_MAX) {
        return;
    }
    if (full) {
        struct check_term *grown =
            arena_alloc(a, (to->len == 0 ? 64 : to->len * 2) * sizeof(*grown));
        if (to->len > 0) {
            memcpy(grown, to->terms, to->len * sizeof(*grown));
        }
        to->terms = grown;
    }
    to->terms[to->len++] = (struct check_term){.kind = kind,
                                               .source = arena_dup_str(a, source),
                                               .target = arena_dup_str(a, target),
                                               .match_case = match_case};
}

/* ---- CSV ---- */

enum column {
    COLUMN_NONE,
    COLUMN_SOURCE,
    COLUMN_TARGET,
    COLUMN_TRANSLATABLE,
    COLUMN_CASE,
    COLUMN_ABBREVIATION,
    COLUMN_FORBIDDEN,
    COLUMN_COUNT
};

static enum column read_column(const char *name, const char *from, const char *to)
{
    static const struct {
        const char *name;
        enum column column;
    } names[] = {{"term", COLUMN_SOURCE},           {"source", COLUMN_SOURCE},
                 {"sourcestring", COLUMN_SOURCE},   {"target", COLUMN_TARGET},
                 {"targetstring", COLUMN_TARGET},   {"translation", COLUMN_TARGET},
                 {"translatable", COLUMN_TRANSLATABLE}, {"casesensitive", COLUMN_CASE},
                 {"case_sensitive", COLUMN_CASE},   {"abbreviation", COLUMN_ABBREVIATION},
                 {"forbidden", COLUMN_FORBIDDEN}};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcasecmp(names[i].name, name) == 0) {
            return names[i].column;
        }
    }
    size_t n = strlen(name);
    bool code = n == 2 || (n > 2 && (name[2] == '-' || name[2] == '_'));
    return code && localize_same_language(name, to)     ? COLUMN_TARGET
           : code && localize_same_language(name, from) ? COLUMN_SOURCE
                                                        : COLUMN_NONE;
}

static bool is_yes(const char *s)
{
    return strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 || strcmp(s, "1") == 0;
}

static void add_row(struct localize_glossary *g, struct arena *a, const char *const *v)
{
    const char *source = v[COLUMN_SOURCE], *target = v[COLUMN_TARGET];
    bool keep = v[COLUMN_TRANSLATABLE][0] != '\0' && !is_yes(v[COLUMN_TRANSLATABLE]);
    bool match = is_yes(v[COLUMN_CASE]) || is_yes(v[COLUMN_ABBREVIATION]);
    if (is_yes(v[COLUMN_FORBIDDEN])) {
        if (target[0] != '\0' || source[0] != '\0') {
            add(g, a, CHECK_TERM_NOT, target[0] != '\0' ? source : "",
                target[0] != '\0' ? target : source, match);
        }
    } else if (keep && source[0] != '\0') {
        add(g, a, CHECK_TERM_KEEP, source, source, match);
    } else if (source[0] != '\0' && target[0] != '\0') {
        add(g, a, CHECK_TERM_MUST, source, target, match);
    }
}

static enum fail add_csv(struct localize_glossary *g, const struct document *d, const char *from,
                         const char *to, struct arena *a, struct fault *why)
{
    enum column columns[COLUMNS_MAX] = {COLUMN_NONE};
    const char *values[COLUMN_COUNT];
    bool has[COLUMN_COUNT] = {false};
    uint32_t row = 0;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        values[i] = "";
    }
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind != DOCUMENT_CELL || b->column == 0 || b->column > COLUMNS_MAX) {
            continue;
        }
        if (b->header) {
            enum column c = read_column(b->text, from, to);
            columns[b->column - 1] = has[c] ? COLUMN_NONE : c;
            has[c] = c != COLUMN_NONE;
            continue;
        }
        if (b->row != row) {
            add_row(g, a, values);
            for (size_t k = 0; k < COLUMN_COUNT; k++) {
                values[k] = "";
            }
            row = b->row;
        }
        values[columns[b->column - 1]] = b->text;
    }
    add_row(g, a, values);
    if (!has[COLUMN_SOURCE] || !(has[COLUMN_TARGET] || has[COLUMN_TRANSLATABLE])) {
        FAULT(why, FAIL_BAD_REQUEST, "the glossary has no column of terms or none of \"%.20s\"",
              to);
        return fail_hint(why, "Name its columns term, de, translatable, forbidden, or source and "
                              "target.");
    }
    return FAIL_NONE;
}

/* ---- TBX ---- */

struct concept {
    const char *sources[ALTERNATIVES_MAX], *targets[ALTERNATIVES_MAX];
    unsigned source_of[ALTERNATIVES_MAX], target_of[ALTERNATIVES_MAX]; /* numbers of terms */
    size_t sources_len, targets_len;
    bool forbidden[256];
    bool keep;
};

static void add_concept(struct localize_glossary *g, struct arena *a, const struct concept *c)
{
    const char *all = "";
    for (size_t i = 0; i < c->targets_len; i++) {
        if (!c->forbidden[c->target_of[i]]) {
            all = all[0] == '\0' ? c->targets[i] : arena_printf(a, "%s|%s", all, c->targets[i]);
        }
    }
    for (size_t i = 0; i < c->sources_len; i++) {
        if (c->keep) {
            add(g, a, CHECK_TERM_KEEP, c->sources[i], c->sources[i], false);
        } else if (all[0] != '\0' && !c->forbidden[c->source_of[i]]) {
            add(g, a, CHECK_TERM_MUST, c->sources[i], all, false);
        }
    }
    for (size_t i = 0; i < c->targets_len; i++) {
        if (c->forbidden[c->target_of[i]]) {
            add(g, a, CHECK_TERM_NOT, c->sources_len > 0 ? c->sources[0] : "", c->targets[i],
                false);
        }
    }
}

static void add_tbx(struct localize_glossary *g, const struct document *d, const char *from,
                    const char *to, struct arena *a)
{
    struct concept c = {.keep = false};
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind == DOCUMENT_UNIT) {
            add_concept(g, a, &c);
            c = (struct concept){.keep = false};
        } else if (b->kind == DOCUMENT_TERM) {
            if (localize_same_language(b->path, from) && c.sources_len < ALTERNATIVES_MAX) {
                c.source_of[c.sources_len] = b->level & 255;
                c.sources[c.sources_len++] = b->text;
            } else if (localize_same_language(b->path, to) && c.targets_len < ALTERNATIVES_MAX) {
                c.target_of[c.targets_len] = b->level & 255;
                c.targets[c.targets_len++] = b->text;
            }
        } else if (b->kind == DOCUMENT_FLAG) {
            c.keep = c.keep || strcmp(b->text, "do-not-translate") == 0;
            c.forbidden[b->level & 255] =
                c.forbidden[b->level & 255] || strcmp(b->text, "forbidden") == 0;
        }
    }
    add_concept(g, a, &c);
}

enum fail localize_glossary_add(struct localize_glossary *out, const struct document *d,
                                const char *from, const char *to, struct arena *a,
                                struct fault *why)
{
    if (!arena_has_room(a, d->blocks_len * 3 * sizeof(struct check_term) + (1u << 20))) {
        return FAULT(why, FAIL_TOO_LARGE, "the glossary is too long");
    }
    if (strcmp(d->format, "tbx") == 0) {
        add_tbx(out, d, from, to, a);
        return FAIL_NONE;
    }
    return add_csv(out, d, from, to, a, why);
}
