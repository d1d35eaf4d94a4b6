/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves: each file with its new targets, read again and compared; the tables for
   reviewers; an item a string; sections, checks and counts. Threads: the run's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/work_internal.h"

#define OUTPUT_MAX (64u << 20)

/* ---- names ---- */

static const char *output_name(struct work *w, const struct work_file *f)
{
    const char *name = f->has_target ? f->target_input->name : f->input->name;
    const char *dot = strrchr(name, '.');
    char *out = f->file.one_language && !f->has_target
                    ? arena_printf(w->a, "%.*s.%s%s", (int)(dot - name > 80 ? 80 : dot - name),
                                   name, w->to, dot)
                    : arena_dup_strn(w->a, name,
                                     text_utf8_cut(name, strlen(name) > 100 ? 100 : strlen(name)));
    for (char *p = out; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '.' || *p == '_' || *p == '-';
        *p = plain ? *p : '_';
    }
    for (size_t i = 0; w->files + i < f; i++) {
        if (strcmp(w->files[i].input->name, f->input->name) == 0) {
            return arena_printf(w->a, "%zu-%s", (size_t)(f - w->files) + 1, out);
        }
    }
    return out;
}

static const char *type_of(const struct localize_file *f)
{
    return strcmp(f->format, "po") == 0        ? "text/x-gettext-translation"
           : strcmp(f->format, "xliff") == 0   ? "text/xml"
           : strcmp(f->format, "strings") == 0 ? "text/csv"
                                               : "text/plain";
}

/* ---- writing and reading again ---- */

static enum fail write_file(struct work *w, const struct work_file *f, struct buf *out,
                            size_t *skipped, struct fault *why)
{
    struct localize_change *changes = mem_alloc_array(f->len * LOCALIZE_FORMS_MAX + 1,
                                                      sizeof(*changes));
    struct localize_new *news = mem_alloc_array(f->len + 1, sizeof(*news));
    size_t n = 0, m = 0;
    enum fail code;
    for (size_t i = f->first; i < f->first + f->len; i++) {
        const struct work_string *s = &w->strings[i];
        const struct localize_unit *u = work_unit(s);
        for (size_t k = 0; s->done && k < s->offer.n && k < u->targets_len; k++) {
            const char *text = s->offer.texts[k];
            changes[n++] = (struct localize_change){s->unit, k, text, strlen(text)};
        }
        if (s->done && s->offer.n > 0) {
            const char *text = s->offer.texts[0];
            news[m++] = (struct localize_new){u->id, text, strlen(text)};
        }
    }
    if (f->has_target) {
        code = localize_write_beside(&f->file, &f->target, f->target_input->bytes,
                                     f->target_input->len, news, m, out, skipped, why);
    } else {
        struct localize_file as = f->file;
        as.locale_to = f->file.one_language ? w->to : NULL;
        code = localize_write(&as, f->input->bytes, f->input->len, changes, n, out, why);
    }
    mem_free(changes);
    mem_free(news);
    return code;
}

static bool same_unit(const struct localize_unit *a, const struct localize_unit *b,
                      const struct localize_offer *o)
{
    bool same = a->targets_len == b->targets_len;
    for (size_t i = 0; same && i < a->targets_len; i++) {
        const char *want = o != NULL && i < o->n ? o->texts[i] : a->targets[i].text;
        same = strcmp(b->targets[i].text, want) == 0;
    }
    return same;
}

struct said {
    const char *id, *text;
};

static int compare_said(const void *a, const void *b)
{
    const struct said *x = a, *y = b;
    return strcmp(x->id, y->id);
}

/* How many have this id; *fits: one of them says this text. A key may stand twice in a file. */
static size_t count_said(const struct said *all, size_t n, const char *id, const char *text,
                         bool *fits)
{
    size_t low = 0, high = n, count = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(all[mid].id, id) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *fits = false;
    for (; low < n && strcmp(all[low].id, id) == 0; low++, count++) {
        *fits = *fits || strcmp(all[low].text, text) == 0;
    }
    return count;
}

/* A file of one language: what is done reads as meant where it was put in, all else as before. */
static bool same_beside(struct work *w, const struct work_file *f,
                        const struct localize_file *again)
{
    struct said *new = mem_alloc_array(f->len + 1, sizeof(*new));
    struct said *there = mem_alloc_array(again->len + 1, sizeof(*there));
    size_t n = 0;
    bool same = again->len >= f->target.len;
    for (size_t i = f->first; i < f->first + f->len; i++) {
        const struct work_string *s = &w->strings[i];
        if (s->done && s->offer.n > 0) {
            new[n++] = (struct said){work_unit(s)->id, s->offer.texts[0]};
        }
    }
    for (size_t i = 0; i < again->len; i++) {
        there[i] = (struct said){again->units[i].id, again->units[i].targets[0].text};
    }
    if (n > 0) {
        qsort(new, n, sizeof(*new), compare_said);
    }
    if (again->len > 0) {
        qsort(there, again->len, sizeof(*there), compare_said);
    }
    for (size_t i = 0; same && i < n; i++) {
        bool fits;
        same = count_said(there, again->len, new[i].id, new[i].text, &fits) == 0 || fits;
    }
    for (size_t i = 0; same && i < f->target.len; i++) {
        const struct localize_unit *u = &f->target.units[i];
        bool fits, renewed;
        size_t left = count_said(there, again->len, u->id, u->targets[0].text, &fits);
        same = left > 0 && (fits || count_said(new, n, u->id, "", &renewed) > 0);
    }
    mem_free(new);
    mem_free(there);
    return same;
}

/* The written file holds what was meant, and all else as it was. */
static enum fail verify(struct work *w, const struct work_file *f, const struct buf *out,
                        struct fault *why)
{
    struct program_input in = *(f->has_target ? f->target_input : f->input);
    const struct document *d;
    struct localize_file again;
    in.bytes = out->data;
    in.len = out->len;
    enum fail code = program_read(w->run, &in, f->file.format, &d, why);
    code = code == FAIL_NONE ? localize_file_read(d, w->a, &again, why) : code;
    if (code != FAIL_NONE) {
        return FAULT(why, FAIL_INTERNAL, "%.100s as written cannot be read again", in.name);
    }
    if (f->has_target) {
        return same_beside(w, f, &again)
                   ? FAIL_NONE
                   : FAULT(why, FAIL_INTERNAL, "%.100s as written is not what was meant", in.name);
    }
    size_t k = f->first;
    bool same = again.len == f->file.len;
    for (size_t i = 0; same && i < f->file.len; i++) {
        while (k < f->first + f->len && w->strings[k].unit < i) {
            k++;
        }
        const struct work_string *s =
            k < f->first + f->len && w->strings[k].unit == i ? &w->strings[k] : NULL;
        same = same_unit(&f->file.units[i], &again.units[i],
                         s != NULL && s->done ? &s->offer : NULL);
    }
    return same ? FAIL_NONE
                : FAULT(why, FAIL_INTERNAL, "%.100s as written is not what was meant", in.name);
}

static enum fail leave_files(struct work *w, struct fault *why)
{
    enum fail code = FAIL_NONE;
    for (size_t i = 0; i < w->files_len && code == FAIL_NONE; i++) {
        const struct work_file *f = &w->files[i];
        struct buf out;
        size_t skipped = 0;
        buf_init(&out, OUTPUT_MAX);
        code = write_file(w, f, &out, &skipped, why);
        code = code == FAIL_NONE ? verify(w, f, &out, why) : code;
        if (code == FAIL_NONE) {
            program_output(w->run, output_name(w, f), type_of(&f->file), out.data, out.len);
        }
        if (skipped > 0) {
            program_finding(
                w->run, &(struct program_finding){
                            .code = "not_written", .level = PROGRAM_WARNING,
                            .where = f->target_input->name,
                            .message = arena_printf(w->a,
                                                    "%zu strings are not in the file: their object "
                                                    "is missing there, or they stand in a list.",
                                                    skipped)});
        }
        buf_done(&out);
    }
    return code;
}

/* ---- rows, items ---- */

static const char *joined(struct work *w, const char *const *texts, size_t n)
{
    const char *out = n > 0 ? texts[0] : "";
    for (size_t i = 1; i < n; i++) {
        out = arena_printf(w->a, "%s\n%s", out, texts[i]);
    }
    return out;
}

static const char *sources(struct work *w, const struct localize_unit *u)
{
    const char *out = u->sources[0].text;
    for (size_t i = 1; i < u->sources_len; i++) {
        out = arena_printf(w->a, "%s\n%s", out, u->sources[i].text);
    }
    return out;
}

static void leave_items(struct work *w, struct localize_row *rows)
{
    for (size_t i = 0; i < w->strings_len; i++) {
        const struct work_string *s = &w->strings[i];
        const struct localize_unit *u = work_unit(s);
        const char *file = s->in->input->name, *source = sources(w, u);
        const char *target = joined(w, s->offer.texts, s->offer.n);
        rows[i] = (struct localize_row){.id = u->id, .context = u->context, .source = source,
                                        .target = target, .was = s->was, .by = s->by,
                                        .reason = s->reason, .file = file, .done = s->done,
                                        .changed = s->changed, .confidence = s->confidence};
        bool model = s->offer.by == LOCALIZE_BY_MODEL;
        program_item(w->run,
                     &(struct program_item){.id = arena_printf(w->a, "%s:%s", file, u->id),
                                            .group = file, .source = source, .value = target,
                                            .note = s->reason, .by = s->by,
                                            .confidence = s->confidence,
                                            .rung = model ? LADDER_HEAVY : LADDER_RULE,
                                            .open = !s->done});
    }
}

static void leave_tables(struct work *w, const struct localize_row *rows)
{
    const struct localize_table t = {
        .title = arena_printf(w->a, "Translation of %s", w->files[0].input->name),
        .source_lang = w->from, .target_lang = w->to, .rows = rows, .len = w->strings_len};
    static const struct {
        const char *name, *type;
        void (*show)(const struct localize_table *, struct buf *);
    } outputs[] = {{"review.md", "text/markdown", localize_show_markdown},
                   {"review.html", "text/html", localize_show_html},
                   {"review.json", "application/json", localize_show_json}};
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        struct buf b;
        buf_init(&b, OUTPUT_MAX / 4);
        outputs[i].show(&t, &b);
        program_output(w->run, outputs[i].name, outputs[i].type, b.data, b.len);
        buf_done(&b);
    }
}

/* ---- sums ---- */

struct sums {
    size_t done, kept, memory, memory_done, fresh_done;
};

static struct sums add_up(const struct work *w)
{
    struct sums s = {0};
    for (size_t i = 0; i < w->files_len; i++) {
        s.kept += w->files[i].kept;
    }
    for (size_t i = 0; i < w->strings_len; i++) {
        const struct work_string *x = &w->strings[i];
        bool held = x->in_memory || x->offer.by == LOCALIZE_BY_KEPT;
        s.done += x->done ? 1 : 0;
        s.memory += held ? 1 : 0;
        s.memory_done += held && x->done ? 1 : 0;
        s.fresh_done += !held && x->done ? 1 : 0;
    }
    return s;
}

static void number(struct work *w, const char *name, size_t n)
{
    program_field(w->run, &(struct program_field){.name = name, .type = "number", .confidence = 1,
                                                  .value = arena_printf(w->a, "%zu", n),
                                                  .rung = LADDER_RULE});
}

static void leave_sums(struct work *w)
{
    struct sums s = add_up(w);
    size_t fresh = w->strings_len - s.memory;
    program_field(w->run, &(struct program_field){.name = "language", .type = "line",
                                                  .value = w->to, .confidence = 1,
                                                  .rung = LADDER_RULE});
    number(w, "strings", w->strings_len);
    number(w, "unchanged", s.kept);
    number(w, "done", s.done);
    number(w, "needs_review", w->strings_len - s.done);
    number(w, "in_memory", s.memory);
    number(w, "in_memory_done", s.memory_done);
    number(w, "new", fresh);
    number(w, "new_done", s.fresh_done);
    program_title(w->run, arena_printf(w->a, "%s to %s: %zu of %zu strings done",
                                       w->files[0].input->name, w->to, s.done, w->strings_len));
    program_section(
        w->run,
        &(struct program_section){
            .name = "summary", .title = "Summary",
            .text = arena_printf(
                w->a,
                "%zu strings need a translation into %s; %zu stay as they are.\n\n"
                "| | strings | done | need review |\n|---|---|---|---|\n"
                "| in memory | %zu | %zu | %zu |\n| new | %zu | %zu | %zu |\n",
                w->strings_len, w->to_name, s.kept, s.memory, s.memory_done,
                s.memory - s.memory_done, fresh, s.fresh_done, fresh - s.fresh_done)});
    /* Each was made for every string that is done; what fails one is not done. */
    program_check(w->run, &(struct program_check){"strings_whole", true,
                                                  "placeholders, plurals, markup, length, glossary "
                                                  "and style of everything done"});
    program_check(w->run, &(struct program_check){"written_as_meant", true,
                                                  "the files were read again and compared"});
}

enum fail work_leave(struct work *w, struct fault *why)
{
    struct localize_row *rows = mem_alloc_array(w->strings_len + 1, sizeof(*rows));
    enum fail f = leave_files(w, why);
    if (f == FAIL_NONE) {
        leave_items(w, rows);
        leave_tables(w, rows);
        leave_sums(w);
    }
    mem_free(rows);
    return f;
}
