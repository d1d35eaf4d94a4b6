/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/workflows/{workflow}/autonomy: how far each field may go without a person, lowered at
   once, raised by a release that somebody else approves (answer/autonomy). */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/autonomy/autonomy.h"

static enum fail no_form(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no workflow of a form \"%.63s\"", name);
    return fail_hint(why, "The artifacts of programs always wait for a person.");
}

/* ---- showing ---- */

static enum fail put_levels(struct jn_writer *w, struct store_conn *c, struct ladder_form *form,
                            struct fault *why)
{
    struct autonomy a;
    enum fail f = autonomy_load(c, form, why);
    f = f != FAIL_NONE ? f : autonomy_active(c, form->name, &a, why);
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; f == FAIL_NONE && i < form->fields_len; i++) {
        const struct ladder_field *x = &form->fields[i];
        const char *certificate = NULL;
        if (x->type == LADDER_DRAFT || x->type == LADDER_LINE) {
            continue;
        }
        for (size_t k = 0; k < a.n; k++) {
            if (strcmp(a.fields[k].name, x->name) == 0 && x->level != LADDER_PROPOSE) {
                certificate = a.fields[k].certificate;
            }
        }
        jn_object_begin(w);
        jn_kv_str(w, "name", x->name);
        jn_kv_str(w, "level", ladder_level_name(x->level));
        jn_kv_str(w, "certificate", certificate);
        jn_object_end(w);
    }
    jn_array_end(w);
    return f;
}

void api_autonomy(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    struct jn_writer w;
    struct buf body;
    char kind[RELEASE_KIND_SIZE];
    const char *name = wire_param(r, "workflow");
    struct ladder_form *shared = api_form_find(a, name);
    if (shared == NULL) {
        wire_fail(r, no_form(name, &why), &why);
        return;
    }
    struct ladder_form *form = ladder_form_dup(shared);
    ladder_form_unref(shared);
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : FAIL_NONE;
    api_open(&w, &body);
    jn_kv_str(&w, "workflow", form->name);
    autonomy_kind(form->name, kind);
    if (f == FAIL_NONE) {
        f = put_levels(&w, c, form, &why);
        f = f != FAIL_NONE ? f : api_releases_put(&w, c, kind, &why);
        api_reader_give(a, c);
    }
    ladder_form_unref(form);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}

/* ---- changing ---- */

struct changing {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    struct ladder_form *form;
    char field[48];
    enum ladder_level level;
    bool approve, lowers;
    char release[TEXT_SHA256_HEX_SIZE];
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct changing *x = arg;
    struct audit *audit = x->a->h.audit;
    if (x->approve) {
        /* The machine's own user is one person with every role; a key is somebody among others. */
        return autonomy_approve(tx, audit, x->form->name, x->release, &x->who,
                                x->who.kind != PRINCIPAL_KIND_LOCAL, why);
    }
    struct ladder_form *now = ladder_form_dup(x->form);
    enum fail f = autonomy_load(store_tx_conn(tx), now, why);
    int i = ladder_field_find(now, x->field);
    x->lowers = i >= 0 && x->level < now->fields[i].level;
    ladder_form_unref(now);
    if (f != FAIL_NONE) {
        return f;
    }
    return x->lowers ? autonomy_lower(tx, audit, x->form, x->field, x->level, &x->who, why)
                     : autonomy_propose(tx, audit, x->form, x->field, x->level, &x->who,
                                        x->release, why);
}

/* Core thread: the next task reads the levels anew. */
static void change_done(void *arg, enum fail code, const struct fault *why)
{
    struct changing *x = arg;
    struct jn_writer w;
    struct buf body;
    if (code != FAIL_NONE) {
        wire_fail(x->r, code, why);
    } else {
        task_certificates_changed(x->a->h.desk, x->form->name);
        api_open(&w, &body);
        jn_kv_str(&w, "workflow", x->form->name);
        if (!x->approve) {
            jn_kv_str(&w, "field", x->field);
            jn_kv_str(&w, "level", ladder_level_name(x->level));
        }
        jn_kv_str(&w, "release", x->lowers ? NULL : x->release);
        jn_kv_str(&w, "state", x->approve || x->lowers ? "active" : "candidate");
        api_send(x->r, x->approve || x->lowers ? 200 : 201, &w);
    }
    ladder_form_unref(x->form);
}

static void start(struct changing *x)
{
    struct fault why;
    enum fail f = x->form == NULL ? no_form(wire_param(x->r, "workflow"), &why)
                                  : store_write(x->a->h.store, change_write, x, change_done,
                                                x->a->h.loop, &why);
    if (f != FAIL_NONE) {
        ladder_form_unref(x->form);
        wire_fail(x->r, f, &why);
    }
}

void api_autonomy_set(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"field", "level", NULL};
    struct api *a = arg;
    struct fault why;
    const char *field = "", *level = "";
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct changing *x = wire_alloc(r, sizeof(*x));
    *x = (struct changing){.a = a, .r = r, .who = *api_who(r)};
    enum fail f = jn_str(body, "field", true, sizeof(x->field) - 1, &field, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "level", true, 16, &level, &why);
    x->level = ladder_level_find(level);
    (void)text_copy(x->field, sizeof(x->field), field);
    if (f == FAIL_NONE && x->level == LADDER_LEVEL_COUNT) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"level\" must be propose, assist or auto");
        f = fail_param(&why, "level");
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    x->form = api_form_find(a, wire_param(r, "workflow"));
    start(x);
}

void api_autonomy_approve(struct wire_request *r, void *arg)
{
    static const char *const none[] = {NULL};
    struct api *a = arg;
    AUTO_JSON json_t *body = api_body(r, none, true);
    if (body == NULL) {
        return;
    }
    struct changing *x = wire_alloc(r, sizeof(*x));
    *x = (struct changing){.a = a, .r = r, .who = *api_who(r), .approve = true};
    (void)text_copy(x->release, sizeof(x->release), wire_param(r, "release"));
    x->form = api_form_find(a, wire_param(r, "workflow"));
    start(x);
}
