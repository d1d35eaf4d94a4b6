/* SPDX-License-Identifier: Apache-2.0 */
/* A run's inputs as files, memory, glossary and style, and the strings that need a translation.
   Threads: the run's. Limits: the program's roles. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "trust/style/style.h"
#include "work/localize/work_internal.h"

/* A source that changed by less than this (chrF, 0..100) keeps its old target as a proposal. */
#define NEAR_MIN 60.0

static enum fail read_file(struct work *w, const struct program_input *in,
                           struct localize_file *out, struct fault *why)
{
    const char *format = localize_format_of(in->name);
    const struct document *d;
    if (format == NULL) {
        FAULT(why, FAIL_UNSUPPORTED, "%.100s: its name does not say what it is", in->name);
        return fail_hint(why, "Files end in .po, .pot, .xlf, .xliff, .arb, .json or .csv.");
    }
    enum fail f = program_read(w->run, in, format, &d, why);
    return f == FAIL_NONE ? localize_file_read(d, w->a, out, why) : f;
}

/* ---- the files, with what belongs to each ---- */

static enum fail read_files(struct work *w, struct fault *why)
{
    size_t bases = program_input_count(w->run, "base");
    size_t targets = program_input_count(w->run, "target");
    enum fail f = FAIL_NONE;
    w->files_len = program_input_count(w->run, "file");
    if ((bases > 0 && bases != w->files_len) || (targets > 0 && targets != w->files_len)) {
        FAULT(why, FAIL_BAD_REQUEST, "%zu files, but %zu bases and %zu targets", w->files_len,
              bases, targets);
        return fail_hint(why, "Give one base and one target for each file, in the same order, or "
                              "none.");
    }
    for (size_t i = 0; i < w->files_len && f == FAIL_NONE; i++) {
        struct work_file *file = &w->files[i];
        file->input = program_input(w->run, "file", i);
        file->base_input = program_input(w->run, "base", i);
        file->target_input = program_input(w->run, "target", i);
        file->has_base = file->base_input != NULL;
        file->has_target = file->target_input != NULL;
        f = read_file(w, file->input, &file->file, why);
        if (f == FAIL_NONE && file->has_base) {
            f = read_file(w, file->base_input, &file->base, why);
        }
        if (f == FAIL_NONE && file->has_target) {
            f = read_file(w, file->target_input, &file->target, why);
        }
        if (f == FAIL_NONE && file->has_target && !file->file.one_language) {
            FAULT(why, FAIL_BAD_REQUEST, "%.100s holds both languages: it needs no target",
                  file->input->name);
            f = fail_hint(why, "Targets are for ARB and JSON, which hold one language.");
        }
    }
    return f;
}

static enum fail find_languages(struct work *w, struct fault *why)
{
    const char *to = program_param(w->run, "language"),
               *from = program_param(w->run, "source_language");
    for (size_t i = 0; i < w->files_len; i++) {
        const struct localize_file *f = &w->files[i].file;
        to = to == NULL && f->target_lang[0] != '\0' ? f->target_lang : to;
        if (to == NULL && w->files[i].has_target && w->files[i].target.source_lang[0] != '\0') {
            to = w->files[i].target.source_lang;
        }
        from = from == NULL && f->source_lang[0] != '\0' ? f->source_lang : from;
    }
    if (to == NULL || to[0] == '\0' || strlen(to) > 20) {
        FAULT(why, FAIL_BAD_REQUEST, "no file says which language to translate into");
        return fail_hint(why, "Say it: --set language=de.");
    }
    w->to = to;
    w->from = from == NULL ? "en" : from;
    return FAIL_NONE;
}

/* ---- memory, glossary, style ---- */

static enum fail read_memory(struct work *w, struct fault *why)
{
    struct localize_file first;
    const char *waiting = NULL;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < program_input_count(w->run, "memory") && f == FAIL_NONE; i++) {
        const struct program_input *in = program_input(w->run, "memory", i);
        struct localize_file file;
        f = read_file(w, in, &file, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (!file.one_language) {
            localize_memory_add_file(w->memory, &file, NULL, in->name);
        } else if (waiting == NULL) {
            first = file;
            waiting = in->name;
        } else {
            localize_memory_add_file(w->memory, &first, &file, in->name);
            waiting = NULL;
        }
    }
    if (waiting != NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "memory %.100s has no file of translations behind it",
              waiting);
        return fail_hint(why, "Give ARB and JSON in pairs: --memory en.json --memory de.json.");
    }
    for (size_t i = 0; i < w->files_len; i++) {
        const struct work_file *file = &w->files[i];
        const struct localize_file *source = file->has_base ? &file->base : &file->file;
        localize_memory_add_file(w->memory, source, file->has_target ? &file->target : NULL,
                                 file->input->name);
        if (file->has_base && !file->file.one_language) {
            localize_memory_add_file(w->memory, &file->file, NULL, file->input->name);
        }
    }
    f = f == FAIL_NONE ? work_add_approved(w, why) : f;
    localize_memory_build(w->memory);
    return f;
}

static enum fail read_glossaries(struct work *w, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < program_input_count(w->run, "glossary") && f == FAIL_NONE; i++) {
        const struct program_input *in = program_input(w->run, "glossary", i);
        const struct document *d;
        f = program_read(w->run, in, text_ends_with(in->name, ".tbx") ? "tbx" : "csv", &d, why);
        if (f == FAIL_NONE) {
            f = localize_glossary_add(&w->glossary, d, w->from, w->to, w->a, why);
        }
    }
    return f;
}

static enum fail read_styles(struct work *w, struct fault *why)
{
    size_t n = program_input_count(w->run, "style");
    enum fail f = FAIL_NONE;
    w->style = n > 0 ? style_new("style") : NULL;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        const struct program_input *in = program_input(w->run, "style", i);
        struct config_faults faults;
        char rule[100];
        (void)text_copy(rule, sizeof(rule), in->name);
        rule[strcspn(rule, ".")] = '\0';
        config_faults_init(&faults, in->name);
        f = style_add(w->style, rule, in->bytes, in->len, &faults, why);
    }
    const char *not_checked = w->style == NULL ? NULL : style_unsupported(w->style, 0);
    if (f == FAIL_NONE && not_checked != NULL) {
        FAULT(why, FAIL_UNSUPPORTED, "the style has a rule that is not checked here: %.100s",
              not_checked);
        f = fail_hint(why, "docs/reference/style.md lists the rules that are.");
    }
    return f;
}

enum fail work_gather(struct work *w, struct fault *why)
{
    enum fail f = read_files(w, why);
    f = f == FAIL_NONE ? find_languages(w, why) : f;
    f = f == FAIL_NONE ? read_memory(w, why) : f;
    f = f == FAIL_NONE ? read_glossaries(w, why) : f;
    return f == FAIL_NONE ? read_styles(w, why) : f;
}

/* ---- what needs a translation ---- */

struct by_name {
    const char *id, *context, *source;
    const struct localize_unit *unit;
};

static int compare_id(const void *a, const void *b)
{
    const struct by_name *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static int compare_text(const void *a, const void *b)
{
    const struct by_name *x = a, *y = b;
    int c = strcmp(x->source, y->source);
    return c != 0 ? c : strcmp(x->context, y->context);
}

/* PO finds its strings by what they say; the others by their name. */
struct index {
    struct by_name *items;
    size_t n;
    bool by_text;
};

static struct by_name name_of(const struct localize_unit *u)
{
    return (struct by_name){u->id, u->context, u->sources_len > 0 ? u->sources[0].text : "", u};
}

static struct index make_index(const struct localize_file *f)
{
    struct index x = {.items = mem_alloc_array(f->len + 1, sizeof(struct by_name)),
                      .by_text = strcmp(f->format, "po") == 0};
    for (size_t i = 0; i < f->len; i++) {
        if ((f->units[i].marks_are & LOCALIZE_OBSOLETE) == 0) {
            x.items[x.n++] = name_of(&f->units[i]);
        }
    }
    qsort(x.items, x.n, sizeof(*x.items), x.by_text ? compare_text : compare_id);
    return x;
}

static const struct localize_unit *find(const struct index *x, const struct localize_unit *u)
{
    struct by_name key = name_of(u);
    const struct by_name *found = x->n == 0 ? NULL
                                            : bsearch(&key, x->items, x->n, sizeof(*x->items),
                                                      x->by_text ? compare_text : compare_id);
    return found == NULL ? NULL : found->unit;
}

static bool same_sources(const struct localize_unit *a, const struct localize_unit *b)
{
    bool same = a->sources_len == b->sources_len;
    for (size_t i = 0; same && i < a->sources_len; i++) {
        same = strcmp(a->sources[i].text, b->sources[i].text) == 0;
    }
    return same;
}

static bool is_translated(const struct localize_unit *u)
{
    bool all = u != NULL && u->targets_len > 0 && (u->marks_are & LOCALIZE_FUZZY) == 0;
    for (size_t i = 0; all && i < u->targets_len; i++) {
        all = u->targets[i].len > 0;
    }
    return all;
}

static void propose(struct work_string *s, enum localize_by by, const struct localize_unit *from,
                    const char *reason)
{
    s->offer = (struct localize_offer){.by = by, .sure = by == LOCALIZE_BY_KEPT, .reason = reason,
                                       .confidence = by == LOCALIZE_BY_KEPT ? 0.99 : 0.5};
    for (size_t i = 0; i < from->targets_len && i < LOCALIZE_FORMS_MAX; i++) {
        s->offer.texts[s->offer.n++] = from->targets[i].text;
    }
    s->was = from->targets[0].text;
}

/* Is the unit to be translated? Then *s is filled. was: the base's unit; there: what the target has
   so far (in files of two languages the unit itself). */
static bool needs(const struct work_file *f, const struct localize_unit *u,
                  const struct localize_unit *was, const struct localize_unit *there,
                  struct work_string *s)
{
    bool two = !f->file.one_language;
    bool have = is_translated(there);
    bool same = was != NULL && same_sources(was, u);
    s->changed = f->has_base && !same;
    if (have && (!f->has_base || same || (two && was == NULL))) {
        return false; /* it is translated, and nothing says that its source changed */
    }
    if (two && have && strcmp(f->file.format, "po") == 0) {
        return false; /* in PO a changed source is another string */
    }
    if (two && have && is_translated(was) &&
        strcmp(was->targets[0].text, there->targets[0].text) != 0) {
        return false; /* somebody translated the new source already */
    }
    if (!have && two && same && is_translated(was)) {
        propose(s, LOCALIZE_BY_KEPT, was, "unchanged since the base");
        return true;
    }
    const struct localize_unit *old = have ? there : is_translated(was) ? was : NULL;
    const char *from = was != NULL && was->sources_len > 0 ? was->sources[0].text : u->previous;
    if (old == NULL && two && (u->marks_are & LOCALIZE_FUZZY) != 0 && u->targets_len > 0 &&
        u->targets[0].len > 0) {
        old = u;
        from = u->previous[0] != '\0' ? u->previous : u->sources[0].text;
    }
    if (old != NULL) {
        s->was = old->targets[0].text;
        bool near = from[0] == '\0' || localize_chrf(from, u->sources[0].text) >= NEAR_MIN;
        if (near && (two || old->targets_len > 0)) {
            propose(s, LOCALIZE_BY_BEFORE, old,
                    "the source changed a little: the proofread text is kept as a proposal");
        }
    }
    return true;
}

static void list_file(struct work *w, struct work_file *f, struct index *base,
                      struct index *targets)
{
    f->first = w->strings_len;
    for (size_t i = 0; i < f->file.len; i++) {
        const struct localize_unit *u = &f->file.units[i];
        if ((u->marks_are & (LOCALIZE_OBSOLETE | LOCALIZE_LOCKED)) != 0 || u->sources_len == 0 ||
            u->sources[0].len == 0) {
            f->locked++;
            continue;
        }
        const struct localize_unit *was = f->has_base ? find(base, u) : NULL;
        const struct localize_unit *there = !f->file.one_language ? u
                                            : f->has_target       ? find(targets, u)
                                                                  : NULL;
        struct work_string s = {.in = f, .unit = i, .was = "", .reason = "", .by = ""};
        if (needs(f, u, was, there, &s)) {
            w->strings[w->strings_len++] = s;
        } else {
            f->kept++;
        }
    }
    f->len = w->strings_len - f->first;
}

enum fail work_list(struct work *w, struct fault *why)
{
    size_t n = 0;
    for (size_t i = 0; i < w->files_len; i++) {
        n += w->files[i].file.len;
    }
    if (n > LOCALIZE_UNITS_MAX ||
        !arena_has_room(w->a, n * (sizeof(struct work_string) + 4096) + (1u << 20))) {
        return FAULT(why, FAIL_TOO_LARGE, "the files have %zu strings together, over %d", n,
                     LOCALIZE_UNITS_MAX);
    }
    w->strings = arena_alloc(w->a, (n + 1) * sizeof(*w->strings));
    for (size_t i = 0; i < w->files_len; i++) {
        struct work_file *f = &w->files[i];
        struct index base = {0}, targets = {0};
        if (f->has_base) {
            base = make_index(&f->base);
        }
        if (f->has_target) {
            targets = make_index(&f->target);
        }
        list_file(w, f, &base, &targets);
        mem_free(base.items);
        mem_free(targets.items);
    }
    return FAIL_NONE;
}
