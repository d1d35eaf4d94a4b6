/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves: lists with limits, everything copied into its arena. */
#include <math.h>
#include <string.h>

#include "work/program/program_internal.h"

static const char *const level_names[PROGRAM_LEVEL_COUNT] = {"info", "warning", "error"};

const char *program_level_name(enum program_level level)
{
    return (unsigned)level < PROGRAM_LEVEL_COUNT ? level_names[level] : "info";
}

/* ---- lists ---- */

void program_list_init(struct program_list *l, size_t size, size_t max, const char *what)
{
    *l = (struct program_list){.size = size, .max = max, .what = what};
}

void program_list_done(struct program_list *l)
{
    mem_free(l->items);
    l->items = NULL;
}

void *program_list_add(struct program_run *r, struct program_list *l)
{
    if (l->len == l->max) {
        r->too_much = l->what;
        return NULL;
    }
    if (l->len == l->room) {
        l->room = l->room > 0 ? l->room * 2 : 16;
        l->items = mem_realloc(l->items, l->room * l->size);
    }
    void *place = (char *)l->items + l->len++ * l->size;
    memset(place, 0, l->size);
    return place;
}

const char *program_keep(struct program_run *r, const char *s)
{
    s = s != NULL ? s : "";
    if (!arena_has_room(r->arena, strlen(s) + 64)) {
        r->too_much = "texts";
        return "";
    }
    return arena_dup_str(r->arena, s);
}

const char *program_keep_maybe(struct program_run *r, const char *s)
{
    return s != NULL ? program_keep(r, s) : NULL;
}

static double share_of(double v)
{
    return isfinite(v) && v > 0 ? v < 1 ? v : 1 : 0;
}

/* ---- the artifact ---- */

void program_title(struct program_run *r, const char *title)
{
    r->title = program_keep(r, title);
}

void program_section(struct program_run *r, const struct program_section *s)
{
    struct program_section *p = program_list_add(r, &r->sections);
    if (p != NULL) {
        *p = (struct program_section){program_keep(r, s->name), program_keep(r, s->title),
                                      program_keep(r, s->text)};
    }
}

void program_field(struct program_run *r, const struct program_field *f)
{
    struct program_field *p = program_list_add(r, &r->fields);
    if (p != NULL) {
        *p = (struct program_field){.name = program_keep(r, f->name),
                                    .type = program_keep(r, f->type),
                                    .value = program_keep(r, f->value),
                                    .confidence = share_of(f->confidence),
                                    .rung = f->rung,
                                    .open = f->open};
        r->open += f->open;
    }
}

void program_item(struct program_run *r, const struct program_item *i)
{
    struct program_item *p = program_list_add(r, &r->items);
    if (p != NULL) {
        *p = (struct program_item){.id = program_keep(r, i->id),
                                   .group = program_keep_maybe(r, i->group),
                                   .source = program_keep_maybe(r, i->source),
                                   .value = program_keep(r, i->value),
                                   .note = program_keep_maybe(r, i->note),
                                   .by = program_keep_maybe(r, i->by),
                                   .confidence = share_of(i->confidence),
                                   .rung = i->rung,
                                   .open = i->open};
        r->open += i->open;
    }
}

void program_check(struct program_run *r, const struct program_check *c)
{
    struct program_check *p = program_list_add(r, &r->checks);
    if (p != NULL) {
        *p = (struct program_check){program_keep(r, c->name), c->ok,
                                    program_keep_maybe(r, c->note)};
    }
}

void program_finding(struct program_run *r, const struct program_finding *f)
{
    struct program_finding *p = program_list_add(r, &r->findings);
    if (p != NULL) {
        *p = (struct program_finding){.code = program_keep(r, f->code),
                                      .level = f->level,
                                      .where = program_keep_maybe(r, f->where),
                                      .at = f->at,
                                      .len = f->len,
                                      .quote = program_keep_maybe(r, f->quote),
                                      .message = program_keep(r, f->message),
                                      .suggest = program_keep_maybe(r, f->suggest),
                                      .source = program_keep_maybe(r, f->source)};
    }
}

/* A name that is nothing but a file in one folder. */
static bool is_file_name(const char *s)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return s[0] != '\0' && s[0] != '.' && strlen(s) <= 120 && strspn(s, allowed) == strlen(s);
}

void program_output(struct program_run *r, const char *name, const char *type, const void *bytes,
                    size_t len)
{
    const struct program_output *have = r->outputs.items;
    bool text = text_starts_with(type, "text/");
    ASSERT(is_file_name(name));
    for (size_t i = 0; i < r->outputs.len; i++) {
        ASSERT(strcmp(have[i].name, name) != 0);
        text = text && !have[i].main;
    }
    if (len > PROGRAM_OUTPUT_BYTES - r->output_bytes || !arena_has_room(r->arena, len + 4096)) {
        r->too_much = "outputs";
        return;
    }
    struct program_output *p = program_list_add(r, &r->outputs);
    if (p != NULL) {
        r->output_bytes += len;
        *p = (struct program_output){.name = program_keep(r, name),
                                     .type = program_keep(r, type),
                                     .bytes = arena_dup_strn(r->arena, len > 0 ? bytes : "", len),
                                     .len = len,
                                     .main = text};
    }
}

void program_result(const struct program_run *r, struct program_result *out)
{
    const char *title = r->title;
    if (title == NULL) {
        title = r->inputs_len > 0 && r->inputs[0].name[0] != '\0'
                    ? arena_printf(r->arena, "%s: %s", r->definition->title, r->inputs[0].name)
                    : r->definition->title;
    }
    *out = (struct program_result){.title = title,
                                   .sections = r->sections.items,
                                   .sections_len = r->sections.len,
                                   .fields = r->fields.items,
                                   .fields_len = r->fields.len,
                                   .items = r->items.items,
                                   .items_len = r->items.len,
                                   .checks = r->checks.items,
                                   .checks_len = r->checks.len,
                                   .findings = r->findings.items,
                                   .findings_len = r->findings.len,
                                   .outputs = r->outputs.items,
                                   .outputs_len = r->outputs.len,
                                   .steps = r->steps.items,
                                   .steps_len = r->steps.len,
                                   .open = r->open};
}
