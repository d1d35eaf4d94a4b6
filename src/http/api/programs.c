/* SPDX-License-Identifier: Apache-2.0 */
/* Workflows of programs under /api/v1/workflows: shown, listed, and replaced while jobs run. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/log/log.h"
#include "work/workflow/workflow.h"

static enum fail read_text(struct api *a, const char *name, const char *text, size_t len,
                           struct program_definition **out, struct config_faults *faults,
                           struct fault *why)
{
    char file[80];
    size_t n;
    const struct program_ops *const *table = jobs_programs(a->h.jobs, &n);
    (void)snprintf(file, sizeof(file), "%.63s.yaml", name);
    return program_definition_read(text, len, file, table, n, out, faults, why);
}

void api_program_take(void *arg, const char *name, const char *yaml, size_t len)
{
    struct api *a = arg;
    struct program_definition *d = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault why;
    enum fail f = read_text(a, name, yaml, len, &d, faults, &why);
    f = f != FAIL_NONE ? f : jobs_define(a->h.jobs, d, &why);
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "workflow.unreadable", &why);
    }
    program_definition_unref(d);
    mem_free(faults);
}

/* ---- showing ---- */

static void put_short(struct jn_writer *w, const struct program_definition *d)
{
    jn_kv_str(w, "name", d->name);
    jn_kv_str(w, "title", d->title);
    jn_kv_str(w, "release", d->release);
    jn_kv_str(w, "program", d->ops->name);
    jn_key(w, "fields");
    jn_array_begin(w);
    jn_array_end(w);
}

static void put_takes(struct jn_writer *w, const struct program_ops *ops)
{
    jn_key(w, "inputs");
    jn_array_begin(w);
    for (size_t i = 0; i < ops->roles_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "role", ops->roles[i].name);
        jn_kv_str(w, "help", ops->roles[i].help);
        jn_kv_int(w, "min", ops->roles[i].min);
        jn_kv_int(w, "max", ops->roles[i].max);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_key(w, "params");
    jn_array_begin(w);
    for (size_t i = 0; i < ops->params_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "name", ops->params[i].name);
        jn_kv_str(w, "help", ops->params[i].help);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_key(w, "formats");
    jn_array_begin(w);
    for (size_t i = 0; ops->formats != NULL && ops->formats[i] != NULL; i++) {
        jn_put_str(w, ops->formats[i]);
    }
    jn_array_end(w);
}

static void reply_definition(struct wire_request *r, const struct program_definition *d)
{
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    put_short(&w, d);
    jn_kv_str(&w, "label", secrecy_name(d->label));
    jn_kv_int(&w, "deadline_s", d->deadline_s);
    put_takes(&w, d->ops);
    jn_kv_str(&w, "yaml", d->source_yaml);
    api_send(r, 200, &w);
}

bool api_program_show(struct api *a, struct wire_request *r, const char *name)
{
    struct program_definition *d = jobs_find_definition(a->h.jobs, name);
    if (d == NULL) {
        return false;
    }
    reply_definition(r, d);
    program_definition_unref(d);
    return true;
}

struct listing {
    struct api *a;
    const struct principal *who;
    struct jn_writer *w;
};

static void list_one(void *arg, const struct program_definition *d)
{
    struct listing *l = arg;
    struct fault why;
    if (policy_may_name(l->a->h.policy, l->who, POLICY_OBJECT_WORKFLOW, d->name, &why) ==
        FAIL_NONE) {
        jn_object_begin(l->w);
        put_short(l->w, d);
        jn_object_end(l->w);
    }
}

void api_program_list(struct api *a, const struct principal *who, struct jn_writer *w)
{
    struct listing l = {a, who, w};
    jobs_each_definition(a->h.jobs, list_one, &l);
}

/* ---- a new version ---- */

struct putting {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    struct program_definition *d;
};

static enum fail put_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct putting *p = arg;
    const char *releases[] = {p->d->release};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = p->who.name,
                              .team = p->who.team,
                              .task = p->d->name,
                              .releases = releases,
                              .releases_len = 1,
                              .verdict = "active"};
    enum fail f = workflow_put_text(tx, p->d->name, p->d->source_yaml, p->d->release, p->who.name,
                                    why);
    return f != FAIL_NONE ? f : audit_append(tx, p->a->h.audit, &leaf, NULL, NULL, why);
}

/* Core thread: the swap takes a lock and no time; running jobs keep theirs. */
static void put_done(void *arg, enum fail code, const struct fault *why)
{
    struct putting *p = arg;
    struct program_definition *d = p->d;
    struct fault full;
    if (code == FAIL_NONE) {
        code = jobs_define(p->a->h.jobs, d, &full);
        why = &full;
    }
    if (code != FAIL_NONE) {
        wire_fail(p->r, code, why);
    } else {
        reply_definition(p->r, d);
    }
    program_definition_unref(d);
}

void api_program_put(struct wire_request *r, struct api *a, const char *text, size_t len)
{
    const char *name = wire_param(r, "workflow");
    struct fault why;
    struct program_definition *d = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    if (read_text(a, name, text, len, &d, faults, &why) != FAIL_NONE) {
        api_faults(r, faults, &why);
        mem_free(faults);
        return;
    }
    mem_free(faults);
    enum fail f = FAIL_NONE;
    struct ladder_form *form = api_form_find(a, name);
    if (strcmp(d->name, name) != 0) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "the definition is named \"%s\", the path says \"%.63s\"",
                  d->name, name);
    } else if (form != NULL) {
        f = FAULT(&why, FAIL_CONFLICT, "\"%.63s\" is a form's workflow", name);
        fail_hint(&why, "Give the program's workflow another name.");
    }
    ladder_form_unref(form);
    struct putting *p = wire_alloc(r, sizeof(*p));
    *p = (struct putting){a, r, *api_who(r), d};
    if (f == FAIL_NONE) {
        f = store_write(a->h.store, put_write, p, put_done, a->h.loop, &why);
    }
    if (f != FAIL_NONE) {
        program_definition_unref(d);
        wire_fail(r, f, &why);
    }
}

/* ---- a definition that is only looked at ---- */

void api_workflow_check(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    size_t len;
    const char *text = wire_body(r, &len);
    struct program_definition *d = NULL;
    struct ladder_form *form = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    enum fail f = workflow_is_program(text, len)
                      ? read_text(a, "definition", text, len, &d, faults, &why)
                      : workflow_read(text, len, "definition.yaml", &form, faults, &why);
    if (f != FAIL_NONE) {
        api_faults(r, faults, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        jn_kv_str(&w, "name", d != NULL ? d->name : form->name);
        jn_kv_str(&w, "program", d != NULL ? d->ops->name : NULL);
        jn_kv_str(&w, "release", d != NULL ? d->release : form->release);
        api_send(r, 200, &w);
    }
    mem_free(faults);
    program_definition_unref(d);
    ladder_form_unref(form);
}
