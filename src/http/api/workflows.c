/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/workflows: the active definitions with their evidence, a new one,
   and what articles there are. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "answer/autonomy/autonomy.h"
#include "answer/certify/certify.h"
#include "work/workflow/workflow.h"

/* ---- reading, on the core thread: evidence is the desk's ---- */

static void put_evidence(struct jn_writer *w, const struct ladder_form *form, size_t field)
{
    jn_key(w, "evidence");
    jn_object_begin(w);
    for (int rung = 0; rung < LADDER_RUNG_COUNT; rung++) {
        const struct ladder_evidence *e = &form->evidence[field][rung];
        if (e->n == 0) {
            continue;
        }
        jn_key(w, ladder_rung_name((enum ladder_rung)rung));
        jn_object_begin(w);
        jn_kv_int(w, "n", e->n);
        jn_kv_real(w, "accuracy", e->accuracy, 4);
        jn_key(w, "threshold");
        if (e->threshold <= 1) {
            jn_put_real(w, e->threshold, 4);
        } else {
            jn_put_null(w);
        }
        jn_kv_real(w, "coverage", e->coverage, 4);
        jn_kv_str(w, "class", ladder_class_name(e->class));
        jn_kv_bool(w, "from_history", e->class == LADDER_HISTORY);
        jn_object_end(w);
    }
    jn_object_end(w);
}

static void put_field(struct jn_writer *w, const struct ladder_form *form, size_t i)
{
    const struct ladder_field *f = &form->fields[i];
    jn_object_begin(w);
    jn_kv_str(w, "name", f->name);
    jn_kv_str(w, "type", ladder_type_name(f->type));
    jn_kv_real(w, "target_error", f->target_error, 4);
    if (f->type == LADDER_CHOICE) {
        jn_key(w, "labels");
        jn_array_begin(w);
        for (size_t k = 0; k < f->labels_len; k++) {
            jn_object_begin(w);
            jn_kv_str(w, "name", f->labels[k].name);
            jn_kv_str(w, "describe", f->labels[k].describe);
            jn_object_end(w);
        }
        jn_array_end(w);
    }
    if (f->min != NULL || f->max != NULL) {
        jn_kv_str(w, "min", f->min);
        jn_kv_str(w, "max", f->max);
    }
    if (f->type == LADDER_LINE) {
        jn_kv_int(w, "max_chars", f->max_chars);
    }
    put_evidence(w, form, i);
    jn_object_end(w);
}

static void put_form(struct jn_writer *w, const struct ladder_form *form, bool whole)
{
    jn_kv_str(w, "name", form->name);
    jn_kv_str(w, "title", form->title);
    jn_kv_str(w, "release", form->release);
    jn_kv_str(w, "dataset", form->dataset);
    jn_kv_bool(w, "rewrite", form->rewrite);
    jn_kv_bool(w, "reuse_documents", form->reuse_documents);
    jn_kv_bool(w, "reuse_semantic", form->reuse_semantic);
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; i < form->fields_len; i++) {
        if (whole) {
            put_field(w, form, i);
        } else {
            jn_put_str(w, form->fields[i].name);
        }
    }
    jn_array_end(w);
    if (whole) {
        jn_kv_str(w, "label", secrecy_name(form->label));
        jn_kv_str(w, "accepts", ladder_class_name(form->accepts));
        jn_key(w, "climb");
        if (form->choice != NULL) {
            jn_put_raw(w, form->choice, strlen(form->choice));
        } else {
            jn_put_null(w);
        }
        jn_kv_str(w, "yaml", form->source_yaml);
    }
}

static enum fail no_workflow(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no workflow \"%.63s\"", name);
    return fail_hint(why, "`inhouse workflow list`, or GET /api/v1/workflows, lists them.");
}

static void show_on_core(struct api *a, struct wire_request *r, void *arg)
{
    const char *name = arg;
    const struct ladder_form *form = task_form_find(a->h.desk, name);
    struct fault why;
    if (form == NULL) {
        wire_fail(r, no_workflow(name, &why), &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    put_form(&w, form, true);
    api_send(r, 200, &w);
}

void api_workflow_show(struct wire_request *r, void *arg)
{
    const char *name = wire_param(r, "workflow");
    if (!api_program_show(arg, r, name)) {
        api_on_core(arg, r, show_on_core, (void *)(uintptr_t)name);
    }
}

void api_workflows(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_key(&w, "workflows");
    jn_array_begin(&w);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->forms_len; i++) {
        struct fault why;
        if (policy_may_name(a->h.policy, api_who(r), POLICY_OBJECT_WORKFLOW, a->forms[i]->name,
                            &why) != FAIL_NONE) {
            continue;
        }
        jn_object_begin(&w);
        put_form(&w, a->forms[i], false);
        jn_object_end(&w);
    }
    pthread_mutex_unlock(&a->lock);
    api_program_list(a, api_who(r), &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

/* ---- a new definition ---- */

struct putting {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    struct ladder_form *form;
};

/* The models' rungs were measured under the definition before: its prompt is theirs. */
static enum fail void_certificates(struct store_tx *tx, const struct putting *p, struct fault *why)
{
    static const enum ladder_rung rungs[] = {LADDER_LIGHT, LADDER_HEAVY, LADDER_HOSTED};
    const struct certify_releases now = {.prompt = p->form->release};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < COUNT_OF(rungs) && f == FAIL_NONE; i++) {
        int64_t n;
        f = certify_void(tx, p->a->h.audit, p->form->name, NULL, ladder_rung_name(rungs[i]), &now,
                         "the definition changed", p->who.name, p->who.team, &n, why);
    }
    return f;
}

static enum fail put_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct putting *p = arg;
    const char *releases[] = {p->form->release};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = p->who.name,
                              .team = p->who.team,
                              .task = p->form->name,
                              .releases = releases,
                              .releases_len = 1,
                              .verdict = "active"};
    enum fail f = workflow_put(tx, p->form, p->who.name, why);
    f = f != FAIL_NONE ? f : void_certificates(tx, p, why);
    size_t fell;
    f = f != FAIL_NONE ? f
                       : autonomy_ended(tx, p->a->h.audit, p->form->name, p->who.team, &fell, why);
    return f != FAIL_NONE ? f : audit_append(tx, p->a->h.audit, &leaf, NULL, NULL, why);
}

static void put_done(void *arg, enum fail code, const struct fault *why)
{
    struct putting *p = arg;
    struct wire_request *r = p->r;
    struct ladder_form *form = p->form;
    struct fault full;
    if (code == FAIL_NONE) {
        code = api_form_set(p->a, form, &full);
        why = &full;
    }
    if (code != FAIL_NONE) {
        wire_fail(r, code, why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        put_form(&w, form, false);
        api_send(r, 200, &w);
    }
    ladder_form_unref(form);
}

/* All errors of a definition, with their lines, in one answer. */
void api_faults(struct wire_request *r, const struct config_faults *faults,
                const struct fault *first)
{
    struct jn_writer w;
    struct buf body;
    struct buf one;
    buf_init(&one, 8192);
    wire_fault_json(FAIL_BAD_REQUEST, first, &one);
    api_open(&w, &body);
    /* {"error":{...}} without its braces, then our list beside it */
    (void)buf_add(&body, one.data + 1, one.len - 2);
    w.need_comma = true;
    buf_done(&one);
    jn_key(&w, "faults");
    jn_array_begin(&w);
    for (size_t i = 0; i < faults->count && i < CONFIG_MAX_FAULTS; i++) {
        const struct config_fault *f = &faults->list[i];
        jn_object_begin(&w);
        jn_kv_int(&w, "line", f->line);
        jn_kv_str(&w, "message", f->message);
        jn_kv_str(&w, "hint", f->hint[0] ? f->hint : NULL);
        jn_kv_str(&w, "param", f->param[0] ? f->param : NULL);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    api_send(r, 400, &w);
}

void api_workflow_put(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    const char *name = wire_param(r, "workflow");
    char file[80];
    struct fault why;
    struct ladder_form *form = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    size_t len;
    const char *text = wire_body(r, &len);
    if (workflow_is_program(text, len)) {
        mem_free(faults);
        api_program_put(r, a, text, len);
        return;
    }
    (void)snprintf(file, sizeof(file), "%.63s.yaml", name);
    config_faults_init(faults, file);
    enum fail f = workflow_read(text, len, file, &form, faults, &why);
    if (f != FAIL_NONE) {
        api_faults(r, faults, &why);
        mem_free(faults);
        return;
    }
    mem_free(faults);
    if (strcmp(form->name, name) != 0) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "the definition is named \"%s\", the path says \"%.63s\"",
                  form->name, name);
    }
    struct program_definition *program = jobs_find_definition(a->h.jobs, name);
    if (f == FAIL_NONE && program != NULL) {
        f = FAULT(&why, FAIL_CONFLICT, "\"%.63s\" is a program's workflow", name);
        fail_hint(&why, "Give the form another name.");
    }
    program_definition_unref(program);
    f = f != FAIL_NONE ? f : api_form_room(a, name, &why);
    struct putting *p = wire_alloc(r, sizeof(*p));
    *p = (struct putting){a, r, *api_who(r), form};
    if (f == FAIL_NONE) {
        f = store_write(a->h.store, put_write, p, put_done, a->h.loop, &why);
    }
    if (f != FAIL_NONE) {
        ladder_form_unref(form);
        wire_fail(r, f, &why);
    }
}
