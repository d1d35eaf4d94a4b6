/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the team's people approved in earlier runs is memory: of an approved artifact the strings
 * that were done, of an edited one the file as it was edited. It stays where review keeps it and
 * goes when review forgets it (the person who asked is erased); nothing is copied.
 * Threads: the run's. Limits: APPROVED_MAX artifacts, the newest ones.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "trust/keyring/keyring.h"
#include "work/localize/work_internal.h"
#include "work/review/review.h"

#define APPROVED_MAX 100
#define ITEMS_MAX 50000

struct newest {
    const struct work *w;
    struct id ids[APPROVED_MAX], last;
    size_t n, seen; /* all that were kept (the last APPROVED_MAX of them), and seen */
};

static bool note(void *arg, const struct review_artifact *a)
{
    struct newest *all = arg;
    all->last = a->id;
    all->seen++;
    if (strcmp(a->team, program_who(all->w->run)->team) == 0) {
        all->ids[all->n++ % APPROVED_MAX] = a->id;
    }
    return true;
}

/* ---- what was done, from the artifact ---- */

struct item {
    const char *source, *value;
    bool open;
};

static bool member(const char *path, const char *list, const char *name, size_t *index)
{
    size_t n = strlen(list);
    char *end = NULL;
    if (strncmp(path, list, n) != 0) {
        return false;
    }
    *index = strtoul(path + n, &end, 10);
    return end != path + n && *end == '/' && strcmp(end + 1, name) == 0 && *index < ITEMS_MAX;
}

static bool is_language(const struct work *w, const struct document *d)
{
    size_t index = 0, field = SIZE_MAX;
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (member(b->path, "/fields/", "name", &index) && strcmp(b->text, "language") == 0) {
            field = index;
        } else if (member(b->path, "/fields/", "value", &index) && index == field) {
            return localize_same_language(b->text, w->to);
        }
    }
    return false;
}

static void add_items(struct work *w, const struct document *d)
{
    struct item *items = mem_alloc_array(ITEMS_MAX, sizeof(*items));
    size_t n = 0, index = 0;
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        if (member(b->path, "/items/", "source", &index)) {
            items[index].source = b->text;
            n = index >= n ? index + 1 : n;
        } else if (member(b->path, "/items/", "value", &index)) {
            items[index].value = b->text;
        } else if (member(b->path, "/items/", "open", &index)) {
            items[index].open = strcmp(b->text, "false") != 0;
        }
    }
    for (size_t i = 0; i < n; i++) {
        /* strings of several forms are told apart by line feeds, which others have too */
        bool one = items[i].source != NULL && items[i].value != NULL &&
                   strchr(items[i].source, '\n') == NULL && strchr(items[i].value, '\n') == NULL;
        if (one && !items[i].open) {
            struct localize_pair p = {.source = items[i].source, .origin = "approved",
                                      .targets = {items[i].value}, .n = 1};
            localize_memory_add(w->memory, &p);
        }
    }
    mem_free(items);
}

/* ---- the edited file ---- */

static const char *main_output(const struct document *d)
{
    size_t index;
    for (size_t i = 0; i < d->blocks_len; i++) {
        if (member(d->blocks[i].path, "/outputs/", "name", &index) && index == 0) {
            return d->blocks[i].text;
        }
    }
    return "";
}

static void add_edited(struct work *w, const char *name, const char *text)
{
    const struct program_input in = {"memory", name, "", text, strlen(text)};
    const char *format = localize_format_of(name);
    const struct document *d;
    struct localize_file f;
    struct fault ignored;
    if (format != NULL && program_read(w->run, &in, format, &d, &ignored) == FAIL_NONE &&
        localize_file_read(d, w->a, &f, &ignored) == FAIL_NONE && !f.one_language) {
        localize_memory_add_file(w->memory, &f, NULL, "approved");
    }
}

static void add_artifact(struct work *w, const struct id *id)
{
    struct review_artifact a;
    const struct document *d;
    struct fault ignored;
    if (review_get(program_reader(w->run), w->a, id, program_who(w->run), &a, &ignored) !=
            FAIL_NONE || a.result == NULL) {
        return;
    }
    const struct program_input in = {"memory", "artifact.json", "", a.result, strlen(a.result)};
    if (program_read(w->run, &in, "json", &d, &ignored) != FAIL_NONE || !is_language(w, d)) {
        return;
    }
    if (a.sent != NULL) {
        add_edited(w, main_output(d), a.sent);
    } else {
        add_items(w, d);
    }
}

enum fail work_add_approved(struct work *w, struct fault *why)
{
    static const enum review_state states[] = {REVIEW_STATE_APPROVED, REVIEW_STATE_EDITED,
                                               REVIEW_STATE_DELIVERED};
    if (program_reader(w->run) == NULL) {
        return FAIL_NONE;
    }
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        struct newest all = {.w = w};
        struct review_filter filter = {.who = program_who(w->run),
                                       .workflow = program_workflow(w->run),
                                       .state = states[i],
                                       .limit = REVIEW_LIST_MAX};
        size_t before;
        do {
            before = all.seen;
            enum fail f = review_list(program_reader(w->run), &filter, note, &all, why);
            if (f != FAIL_NONE) {
                return f;
            }
            filter.after = all.last;
        } while (all.seen - before == REVIEW_LIST_MAX && !program_is_cancelled(w->run));
        size_t n = all.n > APPROVED_MAX ? APPROVED_MAX : all.n;
        for (size_t k = 0; k < n && !program_is_cancelled(w->run); k++) {
            add_artifact(w, &all.ids[k]);
        }
    }
    return FAIL_NONE;
}
