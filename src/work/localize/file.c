/* SPDX-License-Identifier: Apache-2.0 */
/* A file's blocks as units. Owns: nothing, all lies in the arena. Threads: none. Limits:
   LOCALIZE_UNITS_MAX, LOCALIZE_FORMS_MAX. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/localize_internal.h"

#define MARKS_MAX 512

const char *localize_format_of(const char *name)
{
    static const char *const endings[][2] = {{".po", "po"},      {".pot", "po"},
                                             {".xlf", "xliff"},  {".xliff", "xliff"},
                                             {".arb", "arb"},    {".json", "i18n"},
                                             {".csv", "strings"}, {".tsv", "strings"}};
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        if (text_ends_with(name, endings[i][0])) {
            return endings[i][1];
        }
    }
    return NULL;
}

/* ---- one unit ---- */

struct making {
    struct arena *a;
    struct localize_text sources[LOCALIZE_FORMS_MAX], targets[LOCALIZE_FORMS_MAX];
    struct localize_mark marks[MARKS_MAX];
    size_t sources_len, targets_len, marks_len;
    struct localize_unit unit;
};

static void start(struct making *m, const struct document_block *b)
{
    m->sources_len = m->targets_len = m->marks_len = 0;
    m->unit = (struct localize_unit){.id = b->text, .context = "", .note = "", .previous = "",
                                     .flags = "", .state = "", .state_done = "", .before = "",
                                     .after = "", .line = b->line, .begin = b->begin,
                                     .end = b->end};
}

static const char *join(struct arena *a, const char *one, const char *other, const char *between)
{
    return one[0] == '\0' ? other : arena_printf(a, "%s%s%s", one, between, other);
}

static void add_flag(struct making *m, const char *flag)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"obsolete", LOCALIZE_OBSOLETE},
                 {"no-translate", LOCALIZE_LOCKED},
                 {"odd-characters", LOCALIZE_ODD},
                 {"approved", LOCALIZE_APPROVED}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        m->unit.marks_are |= strcmp(flag, known[i].name) == 0 ? known[i].bit : 0;
    }
    m->unit.flags = join(m->a, m->unit.flags, flag, " ");
}

/* States that say "not yet": XLIFF 1.2 and 2, PO. */
static bool is_guess(const char *state)
{
    static const char *const guesses[] = {"fuzzy", "new", "initial", "untranslated"};
    for (size_t i = 0; i < COUNT_OF(guesses); i++) {
        if (strcasecmp(state, guesses[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(state, "needs-", 6) == 0;
}

static void add_text(struct localize_text *to, size_t *len, const struct document_block *b)
{
    if (*len < LOCALIZE_FORMS_MAX) {
        to[(*len)++] = (struct localize_text){.text = b->text, .len = b->len, .begin = b->begin,
                                              .end = b->end, .category = b->path,
                                              .form = b->level};
    }
}

static void add(struct making *m, const struct document_block *b)
{
    struct localize_unit *u = &m->unit;
    if (b->kind == DOCUMENT_SOURCE) {
        add_text(m->sources, &m->sources_len, b);
    } else if (b->kind == DOCUMENT_TARGET) {
        add_text(m->targets, &m->targets_len, b);
    } else if (b->kind == DOCUMENT_CONTEXT) {
        u->context = b->text;
    } else if (b->kind == DOCUMENT_NOTE) {
        u->note = join(m->a, u->note, b->text, "\n");
    } else if (b->kind == DOCUMENT_PREVIOUS) {
        u->previous = b->text;
    } else if (b->kind == DOCUMENT_FLAG) {
        add_flag(m, b->text);
    } else if (b->kind == DOCUMENT_STATE) {
        u->state = b->text;
        u->state_done = b->path;
        u->state_begin = b->begin;
        u->state_end = b->end;
        u->marks_are |= is_guess(b->text) ? LOCALIZE_FUZZY : 0;
    } else if (b->kind == DOCUMENT_LENGTH_MAX) {
        int64_t n = 0;
        u->max_chars = text_read_int(b->text, 1, 1000000, &n) ? (uint32_t)n : 0;
    } else if (b->kind == DOCUMENT_MARK && m->marks_len < MARKS_MAX) {
        m->marks[m->marks_len++] = (struct localize_mark){b->path, b->text, b->level == 2};
    } else if (b->kind == DOCUMENT_WRAP) {
        *(strcmp(b->path, "before") == 0 ? &u->before : &u->after) = b->text;
    }
}

static struct localize_unit finish(struct making *m)
{
    struct localize_unit *u = &m->unit;
    u->sources = arena_dup(m->a, m->sources, m->sources_len * sizeof(*m->sources));
    u->targets = arena_dup(m->a, m->targets, m->targets_len * sizeof(*m->targets));
    u->marks = arena_dup(m->a, m->marks, m->marks_len * sizeof(*m->marks));
    u->sources_len = m->sources_len;
    u->targets_len = m->targets_len;
    u->marks_len = m->marks_len;
    return *u;
}

/* ---- the file ---- */

static unsigned read_nplurals(const char *header)
{
    const char *at = strstr(header, "nplurals");
    at = at == NULL ? NULL : strchr(at, '=');
    if (at == NULL) {
        return 0;
    }
    unsigned long n = strtoul(at + 1, NULL, 10);
    return n >= 1 && n <= LOCALIZE_FORMS_MAX ? (unsigned)n : 0;
}

static char read_delimiter(const struct document *d)
{
    static const char *const names[] = {"comma", "semicolon", "tab", "bar"};
    const char *name = document_meta_find(d, DOCUMENT_META_DELIMITER);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return ",;\t|"[i];
        }
    }
    return ',';
}

enum fail localize_file_read(const struct document *d, struct arena *a, struct localize_file *out,
                             struct fault *why)
{
    static const char *const formats[] = {"po", "xliff", "arb", "i18n", "strings"};
    size_t n = 0, k = 0;
    while (k < COUNT_OF(formats) && strcmp(formats[k], d->format) != 0) {
        k++;
    }
    if (k == COUNT_OF(formats)) {
        FAULT(why, FAIL_UNSUPPORTED, "a file of format \"%s\" has no strings to translate",
              d->format);
        return fail_hint(why, "Give PO, XLIFF, ARB, JSON or CSV with source and target columns.");
    }
    for (size_t i = 0; i < d->blocks_len; i++) {
        n += d->blocks[i].kind == DOCUMENT_UNIT ? 1 : 0;
    }
    if (n > LOCALIZE_UNITS_MAX || !arena_has_room(a, n * sizeof(struct localize_unit) + 65536)) {
        return FAULT(why, FAIL_TOO_LARGE, "the file has %zu strings, over %d", n,
                     LOCALIZE_UNITS_MAX);
    }
    *out = (struct localize_file){.format = d->format,
                                  .charset = d->charset,
                                  .source_lang = document_meta_find(d, DOCUMENT_META_LANGUAGE),
                                  .target_lang =
                                      document_meta_find(d, DOCUMENT_META_TARGET_LANGUAGE),
                                  .plurals = document_meta_find(d, DOCUMENT_META_PLURALS),
                                  .delimiter = read_delimiter(d),
                                  .one_language = k == 2 || k == 3};
    out->nplurals = read_nplurals(out->plurals);
    struct localize_unit *units = arena_alloc(a, (n + 1) * sizeof(*units));
    struct making *m = mem_alloc(sizeof(*m));
    m->a = a;
    bool any = false;
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (b->kind == DOCUMENT_UNIT) {
            if (any) {
                units[out->len++] = finish(m);
            }
            start(m, b);
            any = true;
        } else if (any) {
            add(m, b);
        } else if (b->kind == DOCUMENT_STATE) {
            out->locale_begin = b->begin;
            out->locale_end = b->end;
        }
    }
    if (any) {
        units[out->len++] = finish(m);
    }
    mem_free(m);
    out->units = units;
    return FAIL_NONE;
}

bool localize_is_open(const struct localize_file *f, const struct localize_unit *u)
{
    if ((u->marks_are & (LOCALIZE_OBSOLETE | LOCALIZE_LOCKED)) != 0 || u->sources_len == 0) {
        return false;
    }
    if (f->one_language || (u->marks_are & LOCALIZE_FUZZY) != 0) {
        return true;
    }
    for (size_t i = 0; i < u->targets_len; i++) {
        if (u->targets[i].len == 0) {
            return true;
        }
    }
    return u->targets_len == 0;
}

bool localize_same_language(const char *a, const char *b)
{
    size_t n = strcspn(a, "-_@."), m = strcspn(b, "-_@.");
    return n == m && n > 0 && strncasecmp(a, b, n) == 0;
}
