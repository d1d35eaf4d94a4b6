/* SPDX-License-Identifier: Apache-2.0 */
/* A run: what it was given, its steps, and how it ends. */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "run/reader/reader.h"
#include "work/program/program_internal.h"

#define READ_MS 60000 /* of one input: reports of a hundred thousand tests take seconds */

/* ---- is a start complete ---- */

static const struct program_role *role_find(const struct program_ops *ops, const char *name)
{
    for (size_t i = 0; i < ops->roles_len; i++) {
        if (strcmp(ops->roles[i].name, name) == 0) {
            return &ops->roles[i];
        }
    }
    return NULL;
}

static void names_of_roles(const struct program_ops *ops, struct buf *out)
{
    for (size_t i = 0; i < ops->roles_len; i++) {
        (void)buf_printf(out, "%s%s", i > 0 ? ", " : "", ops->roles[i].name);
    }
}

static enum fail unknown_role(const struct program_start *s, const char *role, struct fault *why)
{
    struct buf names;
    buf_init(&names, 200);
    names_of_roles(s->definition->ops, &names);
    FAULT(why, FAIL_BAD_REQUEST, "%s takes no input \"%.40s\"", s->definition->name, role);
    fail_hint(why, "Its inputs are: %s.", names.data != NULL ? names.data : "none");
    buf_done(&names);
    return fail_param(why, "inputs");
}

static enum fail check_inputs(const struct program_start *s, struct fault *why)
{
    const struct program_ops *ops = s->definition->ops;
    size_t total = 0;
    if (s->inputs_len > PROGRAM_INPUTS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a job takes at most %d inputs", PROGRAM_INPUTS_MAX);
    }
    for (size_t i = 0; i < s->inputs_len; i++) {
        if (role_find(ops, s->inputs[i].role) == NULL) {
            return unknown_role(s, s->inputs[i].role, why);
        }
        if (s->inputs[i].len > PROGRAM_INPUT_BYTES - total) {
            return FAULT(why, FAIL_TOO_LARGE, "the inputs of a job may have %zu MiB together",
                         PROGRAM_INPUT_BYTES >> 20);
        }
        total += s->inputs[i].len;
    }
    for (size_t r = 0; r < ops->roles_len; r++) {
        const struct program_role *role = &ops->roles[r];
        unsigned n = 0;
        for (size_t i = 0; i < s->inputs_len; i++) {
            n += strcmp(s->inputs[i].role, role->name) == 0;
        }
        if (n < role->min || n > role->max) {
            FAULT(why, FAIL_BAD_REQUEST, "%s takes %u to %u of input \"%s\", not %u",
                  s->definition->name, role->min, role->max, role->name, n);
            fail_hint(why, "%s: %s.", role->name, role->help);
            return fail_param(why, role->name);
        }
    }
    return FAIL_NONE;
}

static enum fail check_params(const struct program_start *s, struct fault *why)
{
    const struct program_ops *ops = s->definition->ops;
    if (s->params_len > PROGRAM_PARAMS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a job takes at most %d parameters", PROGRAM_PARAMS_MAX);
    }
    for (size_t i = 0; i < s->params_len; i++) {
        bool known = false;
        for (size_t k = 0; k < ops->params_len; k++) {
            known = known || strcmp(ops->params[k].name, s->params[i].name) == 0;
        }
        if (!known) {
            struct buf names;
            buf_init(&names, 200);
            for (size_t k = 0; k < ops->params_len; k++) {
                (void)buf_printf(&names, "%s%s", k > 0 ? ", " : "", ops->params[k].name);
            }
            FAULT(why, FAIL_BAD_REQUEST, "%s has no parameter \"%.40s\"", s->definition->name,
                  s->params[i].name);
            fail_hint(why, "Its parameters are: %s.", names.data != NULL ? names.data : "none");
            buf_done(&names);
            return fail_param(why, "params");
        }
    }
    return FAIL_NONE;
}

enum fail program_start_check(const struct program_start *s, struct fault *why)
{
    const struct program_ops *ops = s->definition->ops;
    enum fail f = check_inputs(s, why);
    f = f != FAIL_NONE ? f : check_params(s, why);
    if (f != FAIL_NONE || s->format == NULL || s->format[0] == '\0') {
        return f;
    }
    struct buf names;
    buf_init(&names, 200);
    for (size_t i = 0; ops->formats != NULL && ops->formats[i] != NULL; i++) {
        if (strcmp(ops->formats[i], s->format) == 0) {
            buf_done(&names);
            return FAIL_NONE;
        }
        (void)buf_printf(&names, "%s%s", i > 0 ? ", " : "", ops->formats[i]);
    }
    FAULT(why, FAIL_BAD_REQUEST, "%s cannot be had as \"%.40s\"", s->definition->name, s->format);
    fail_hint(why, "It can be had as: %s.", names.data != NULL ? names.data : "what it is, only");
    buf_done(&names);
    return fail_param(why, "as");
}

/* ---- making and ending one ---- */

enum fail program_run_new(const struct program_start *start, const struct program_host *host,
                          struct program_run **out, struct fault *why)
{
    enum fail f = program_start_check(start, why);
    if (f != FAIL_NONE) {
        return f;
    }
    const struct program_ops *ops = start->definition->ops;
    struct program_run *r = mem_alloc(sizeof(*r));
    r->definition = program_definition_ref(start->definition);
    r->who = *start->who;
    r->inputs = start->inputs;
    r->inputs_len = start->inputs_len;
    r->params = start->params;
    r->params_len = start->params_len;
    bool given = start->format != NULL && start->format[0] != '\0';
    r->format = given ? start->format : ops->formats != NULL ? ops->formats[0] : "";
    r->now = start->now;
    r->host = host != NULL ? *host : (struct program_host){0};
    r->arena = arena_new(PROGRAM_ARENA_BYTES);
    program_list_init(&r->sections, sizeof(struct program_section), PROGRAM_SECTIONS_MAX,
                      "sections");
    program_list_init(&r->fields, sizeof(struct program_field), PROGRAM_FIELDS_MAX, "fields");
    program_list_init(&r->items, sizeof(struct program_item), PROGRAM_ITEMS_MAX, "items");
    program_list_init(&r->checks, sizeof(struct program_check), PROGRAM_CHECKS_MAX, "checks");
    program_list_init(&r->findings, sizeof(struct program_finding), PROGRAM_FINDINGS_MAX,
                      "findings");
    program_list_init(&r->outputs, sizeof(struct program_output), PROGRAM_OUTPUTS_MAX, "outputs");
    program_list_init(&r->steps, sizeof(struct program_step_done), PROGRAM_STEPS_MAX, "steps");
    *out = r;
    return FAIL_NONE;
}

void program_run_free(struct program_run *r)
{
    if (r == NULL) {
        return;
    }
    while (r->read != NULL) {
        struct program_read_kept *k = r->read;
        r->read = k->next;
        document_free(k->document);
        mem_free(k);
    }
    struct program_list *lists[] = {&r->sections, &r->fields,  &r->items, &r->checks,
                                    &r->findings, &r->outputs, &r->steps};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        program_list_done(lists[i]);
    }
    program_definition_unref(r->definition);
    arena_free(r->arena);
    mem_free(r);
}

enum fail program_run_go(struct program_run *r, struct fault *why)
{
    ASSERT(!r->gone);
    r->gone = true;
    enum fail f = program_is_cancelled(r)
                      ? FAULT(why, FAIL_STOPPED, "the run was cancelled before it began")
                      : r->definition->ops->run(r, r->definition->options, why);
    program_step_end(r);
    if (r->too_much != NULL) {
        f = FAULT(why, FAIL_TOO_LARGE, "the result has too many or too large %s", r->too_much);
        return fail_hint(why, "Give it less at once.");
    }
    if (f == FAIL_NONE && program_is_cancelled(r)) {
        f = FAULT(why, FAIL_STOPPED, "the run was cancelled");
    }
    return f;
}

/* ---- what it was given ---- */

size_t program_input_count(const struct program_run *r, const char *role)
{
    size_t n = 0;
    for (size_t i = 0; i < r->inputs_len; i++) {
        n += strcmp(r->inputs[i].role, role) == 0;
    }
    return n;
}

const struct program_input *program_input(const struct program_run *r, const char *role, size_t i)
{
    for (size_t k = 0; k < r->inputs_len; k++) {
        if (strcmp(r->inputs[k].role, role) == 0 && i-- == 0) {
            return &r->inputs[k];
        }
    }
    return NULL;
}

enum fail program_read(struct program_run *r, const struct program_input *input,
                       const char *format, const struct document **out, struct fault *why)
{
    for (const struct program_read_kept *k = r->read; k != NULL; k = k->next) {
        if (k->input == input && strcmp(k->format, format != NULL ? format : "") == 0) {
            *out = k->document;
            return FAIL_NONE;
        }
    }
    struct reader_programs programs = {.reader = r->host.reader_path};
    struct reader_ask ask = {.data = input->bytes,
                             .len = input->len,
                             .fd = -1,
                             .format = format,
                             .name = input->name,
                             .type = input->type[0] != '\0' ? input->type : NULL,
                             .limits = {.blocks = 2000000, .text_bytes = 128u << 20, .cpu_s = 60},
                             .deadline_ms = READ_MS};
    struct document *d = NULL;
    struct fault bad = {0};
    enum fail f = reader_read(&programs, &ask, &d, &bad);
    if (f != FAIL_NONE) {
        FAULT(why, f, "%.80s: %.200s", input->name[0] != '\0' ? input->name : input->role,
              bad.message);
        return bad.hint[0] != '\0' ? fail_hint(why, "%s", bad.hint) : f;
    }
    struct program_read_kept *k = mem_alloc(sizeof(*k));
    *k = (struct program_read_kept){.input = input, .document = d, .next = r->read};
    (void)text_copy(k->format, sizeof(k->format), format != NULL ? format : "");
    r->read = k;
    *out = d;
    return FAIL_NONE;
}

const char *program_param(const struct program_run *r, const char *name)
{
    for (size_t i = 0; i < r->params_len; i++) {
        if (strcmp(r->params[i].name, name) == 0) {
            return r->params[i].value;
        }
    }
    return NULL;
}

const char *program_format(const struct program_run *r)
{
    return r->format;
}

int64_t program_now(const struct program_run *r)
{
    return r->now;
}

struct arena *program_arena(struct program_run *r)
{
    return r->arena;
}

const struct principal *program_who(const struct program_run *r)
{
    return &r->who;
}

const char *program_workflow(const struct program_run *r)
{
    return r->definition->name;
}

const char *program_release(const struct program_run *r)
{
    return r->definition->release;
}

struct store *program_store(const struct program_run *r)
{
    return r->host.store;
}

struct store_conn *program_reader(const struct program_run *r)
{
    return r->host.reader;
}

/* ---- steps ---- */

void program_step_end(struct program_run *r)
{
    if (r->step.name == NULL) {
        return;
    }
    r->step.ms = (double)(clock_monotonic_us() - r->step_began_us) / 1000;
    struct program_step_done *kept = program_list_add(r, &r->steps);
    if (kept != NULL) {
        *kept = r->step;
        if (r->host.step != NULL) {
            r->host.step(r->host.arg, kept);
        }
    }
    r->step = (struct program_step_done){0};
}

void program_step(struct program_run *r, const char *name)
{
    program_step_end(r);
    r->step.name = name;
    r->step_began_us = clock_monotonic_us();
    if (r->host.progress != NULL) {
        r->host.progress(r->host.arg, r->share, name, NULL);
    }
}

void program_progress(struct program_run *r, double share, const char *note)
{
    r->share = share > r->share ? share < 1 ? share : 1 : r->share;
    if (r->host.progress != NULL) {
        r->host.progress(r->host.arg, r->share, r->step.name != NULL ? r->step.name : "", note);
    }
}

bool program_is_cancelled(const struct program_run *r)
{
    return r->host.is_cancelled != NULL && r->host.is_cancelled(r->host.arg);
}
