/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Licence: what answer/certify lets this room's rungs do. Thresholds of live certificates go into
 * the form's evidence, learning's tests become certificates, and the record tells what each rung
 * said, so that people's decisions can prove or withdraw it.
 * Owns: nothing. Threads: reading on the core's reader; writing inside a write. Limits: certify's.
 */
#include <stdio.h>
#include <string.h>

#include "answer/autonomy/autonomy.h"
#include "answer/task/task_internal.h"
#include "base/log/log.h"

/* The rungs that may answer a field alone by proof; reuse and rule say their confidence
   themselves. */
static const enum ladder_rung rungs[] = {LADDER_LEARNED, LADDER_LIGHT, LADDER_HEAVY, LADDER_HOSTED};

void licence_releases(const struct ladder_form *form, size_t field, enum ladder_rung rung,
                      const char *model, const char *head, struct licence_releases *out)
{
    const struct ladder_evidence *e = &form->evidence[field][rung];
    memset(out, 0, sizeof(*out));
    (void)text_copy(out->model, sizeof(out->model), model);
    if (rung == LADDER_LEARNED) {
        (void)text_copy(out->head, sizeof(out->head), head);
        return;
    }
    (void)text_copy(out->prompt, sizeof(out->prompt), form->release);
    if (e->n > 0) { /* its confidence is what these weights make of its signals */
        (void)snprintf(out->head, sizeof(out->head), "fit %.5g %.5g %.5g %.5g", e->slope,
                       e->offset, e->by_margin, e->by_agree);
    }
}

static struct certify_releases as_releases(const struct licence_releases *r)
{
    return (struct certify_releases){.model = r->model, .prompt = r->prompt, .head = r->head};
}

double licence_delta(const struct ladder_form *form, size_t field, enum ladder_rung rung)
{
    int n = 0;
    for (size_t k = 0; k < COUNT_OF(rungs); k++) {
        n += rungs[k] == rung || form->evidence[field][rungs[k]].n > 0;
    }
    return CERTIFY_DELTA / n;
}

/* ---- reading ---- */

static void take(struct ladder_evidence *e, const struct certify_certificate *c)
{
    char shown[TEXT_ID_SIZE];
    if (e->n == 0) { /* proven by decisions alone: its own word is what was reviewed */
        *e = (struct ladder_evidence){.n = (int)c->n, .slope = 1};
        e->accuracy = c->accepted > 0 ? 1 - (double)c->errors / (double)c->accepted : 0;
    }
    e->threshold = c->threshold;
    e->coverage = c->coverage;
    e->class = (enum ladder_class)c->class;
    e->audit_rate = c->audit_rate;
    (void)text_copy(e->certificate, sizeof(e->certificate), text_id_show(&c->id, "crt", shown));
}

enum fail licence_field(struct store_conn *conn, struct ladder_form *form, size_t field,
                        enum ladder_rung rung, const struct licence_releases *releases,
                        struct fault *why)
{
    struct ladder_evidence *e = &form->evidence[field][rung];
    struct certify_releases now = as_releases(releases);
    struct certify_certificate c;
    bool found = false;
    enum fail f = certify_find(conn, form->name, form->fields[field].name, ladder_rung_name(rung),
                               &now, form->fields[field].target_error, &c, &found, why);
    if (f == FAIL_NONE && found) {
        take(e, &c);
    } else if (f == FAIL_NONE) {
        /* It never had one, or that one is withdrawn, voided or of something else: what the
           evidence's row says of a threshold is of the day it was measured. */
        e->threshold = LADDER_UNCERTIFIED;
        e->coverage = 0;
        e->certificate[0] = '\0';
    }
    return f;
}

/* No worker here serves it, and a server did. */
static bool is_remote(const struct task_desk *desk, const struct entry *e, enum ladder_rung rung)
{
    enum fleet_role role = rung == LADDER_LIGHT ? FLEET_LIGHT : FLEET_HEAVY;
    return e->remote[rung][0] != '\0' && !fleet_is_serving(desk->house.fleet, role);
}

static void model_of(const struct task_desk *desk, const struct entry *e, size_t field,
                     enum ladder_rung rung, char out[CERTIFY_RELEASE_SIZE])
{
    struct fleet_model m;
    out[0] = '\0';
    if (rung == LADDER_LEARNED) {
        (void)text_copy(out, CERTIFY_RELEASE_SIZE, e->heads != NULL ? e->heads->embed[field] : "");
    } else if (rung == LADDER_HOSTED || is_remote(desk, e, rung)) {
        (void)text_copy(out, CERTIFY_RELEASE_SIZE, e->remote[rung]);
    } else if (e->measured[rung][0] != '\0') {
        (void)text_copy(out, CERTIFY_RELEASE_SIZE, e->measured[rung]);
    } else {
        fleet_model_get(desk->house.fleet, rung == LADDER_LIGHT ? FLEET_LIGHT : FLEET_HEAVY, &m);
        (void)text_copy(out, CERTIFY_RELEASE_SIZE, m.sha256);
    }
}

/* Which model of another server answers is known with its answer only. Until one has, it is the
   one that holds a certificate: a sha256 has no colon. */
static bool note_remote(void *arg, const struct certify_certificate *c)
{
    struct entry *e = arg;
    enum ladder_rung rung = ladder_rung_find(c->rung);
    if (rung >= LADDER_LIGHT && rung <= LADDER_HOSTED && e->remote[rung][0] == '\0' &&
        strchr(c->model, ':') != NULL) {
        (void)text_copy(e->remote[rung], sizeof(e->remote[rung]), c->model);
    }
    return true;
}

enum fail licence_load(struct task_desk *desk, struct entry *e, struct fault *why)
{
    enum fail f = certify_each(desk->reader, e->form->name, false, note_remote, e, why);
    for (size_t i = 0; i < e->form->fields_len; i++) {
        for (size_t k = 0; f == FAIL_NONE && k < COUNT_OF(rungs); k++) {
            struct licence_releases r;
            char model[CERTIFY_RELEASE_SIZE];
            if (rungs[k] == LADDER_HOSTED) { /* nothing of it is measured by learning */
                e->form->evidence[i][LADDER_HOSTED] = (struct ladder_evidence){0};
            }
            model_of(desk, e, i, rungs[k], model);
            licence_releases(e->form, i, rungs[k], model,
                             e->heads != NULL ? e->heads->release[i] : "", &r);
            f = licence_field(desk->reader, e->form, i, rungs[k], &r, why);
        }
    }
    return f != FAIL_NONE ? f : autonomy_load(desk->reader, e->form, why);
}

void licence_refresh(struct task_desk *desk, struct entry *e)
{
    struct fault why;
    if (!e->licence_stale) {
        return;
    }
    struct ladder_form *form = ladder_form_dup(e->form); /* tasks hold the old one */
    ladder_form_unref(e->form);
    e->form = form;
    e->licence_stale = false;
    if (licence_load(desk, e, &why) != FAIL_NONE) {
        e->licence_stale = true;
        log_fault(LOG_LEVEL_ERROR, "certificates.load_failed", &why);
    }
}

/* The evidence of the model that answered, in a copy that is the task's own: others climb under
   the form as it was. */
void licence_remote(struct task *t, enum ladder_rung rung)
{
    struct entry *e = desk_entry_find(t->desk, t->form->name);
    if (e == NULL || t->own_form || strcmp(e->form->release, t->form->release) != 0) {
        return;
    }
    if (strcmp(e->remote[rung], t->remote[rung]) != 0) {
        (void)text_copy(e->remote[rung], sizeof(e->remote[rung]), t->remote[rung]);
        e->licence_stale = true;
        licence_refresh(t->desk, e);
    }
    bool same = true;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        same = same && strcmp(e->form->evidence[i][rung].certificate,
                              t->form->evidence[i][rung].certificate) == 0;
    }
    if (same) {
        return;
    }
    struct ladder_form *own = ladder_form_dup(t->form);
    for (size_t i = 0; i < own->fields_len; i++) {
        own->evidence[i][rung] = e->form->evidence[i][rung];
    }
    ladder_form_unref(t->form_before[rung]);
    t->form_before[rung] = t->form; /* what is held points into it */
    t->form = own;
    t->climb.form = own;
}

/* ---- writing ---- */

enum fail licence_issue(struct store_tx *tx, struct audit *audit, const struct ladder_form *form,
                        size_t field, enum ladder_rung rung,
                        const struct licence_releases *releases, const struct certify_result *proof,
                        const struct principal *who, struct ladder_evidence *e, struct fault *why)
{
    struct certify_releases now = as_releases(releases);
    struct certify_certificate c = {.class = (enum certify_class)e->class,
                                    .target = form->fields[field].target_error,
                                    .delta = licence_delta(form, field, rung)};
    struct id id;
    char shown[TEXT_ID_SIZE];
    int64_t ended = 0;
    (void)text_copy(c.workflow, sizeof(c.workflow), form->name);
    (void)text_copy(c.field, sizeof(c.field), form->fields[field].name);
    (void)text_copy(c.rung, sizeof(c.rung), ladder_rung_name(rung));
    (void)text_copy(c.model, sizeof(c.model), now.model);
    (void)text_copy(c.prompt, sizeof(c.prompt), now.prompt);
    (void)text_copy(c.head, sizeof(c.head), now.head);
    enum fail f = certify_void(tx, audit, c.workflow, c.field, c.rung, &now, "learned anew",
                               who->name, who->team, &ended, why);
    if (f == FAIL_NONE && proof->certified) {
        f = certify_issue(tx, audit, &c, proof, who->name, who->team, &id, why);
        (void)text_copy(e->certificate, sizeof(e->certificate), text_id_show(&id, "crt", shown));
    }
    return f;
}

/* A field that another task's answer closed: that answer given once more. */
static bool is_reused(const struct ladder_proposal *held, struct id *from)
{
    return held->closed && held->rung == LADDER_REUSE && held->reused_from != NULL &&
           text_id_read(held->reused_from, "tsk", from);
}

/* What the rungs said of fields that are right or wrong. */
static size_t gather(const struct task *t, struct certify_said *said,
                     struct licence_releases *releases, struct id *sources, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        const struct ladder_field *field = &t->form->fields[i];
        const struct ladder_proposal *held = &t->climb.held[i];
        bool judged = field->type != LADDER_LINE && field->type != LADDER_DRAFT;
        if (judged && n < room && is_reused(held, &sources[n])) {
            said[n] = (struct certify_said){.field = field->name, .value = held->value,
                                            .target = field->target_error, .answered = true,
                                            .reused_from = &sources[n]};
            n++;
            continue; /* no rung was asked */
        }
        for (size_t k = 0; judged && k < COUNT_OF(rungs) && n < room; k++) {
            enum ladder_rung rung = rungs[k];
            const struct ladder_heard *heard = &t->climb.heard[i][rung];
            const char *model = rung == LADDER_LEARNED && t->heads != NULL ? t->heads->embed[i]
                                : t->remote[rung] != NULL                  ? t->remote[rung]
                                : rung == LADDER_LIGHT                     ? t->used[FLEET_LIGHT]
                                : rung == LADDER_HEAVY                     ? t->used[FLEET_HEAVY]
                                                                           : "";
            if (heard->value == NULL || !heard->passed) {
                continue;
            }
            licence_releases(t->form, i, rung, model,
                             t->heads != NULL ? t->heads->release[i] : "", &releases[n]);
            said[n] = (struct certify_said){
                .field = field->name, .rung = ladder_rung_name(rung), .value = heard->value,
                .score = heard->confidence, .target = field->target_error,
                .delta = licence_delta(t->form, i, rung), .releases = as_releases(&releases[n]),
                .answered = held->closed && held->rung == rung && held->certificate != NULL};
            n++;
        }
    }
    return n;
}

void licence_draw(struct task *t)
{
    for (size_t i = 0; i < t->form->fields_len && t->has_artifact; i++) {
        struct ladder_proposal *p = &t->climb.held[i];
        if (p->set && p->closed && p->certificate != NULL) {
            p->audited = certify_is_drawn(&t->id, t->form->evidence[i][p->rung].audit_rate);
        }
    }
}

enum fail licence_note(struct store_tx *tx, const struct task *t, bool *drawn, struct fault *why)
{
    struct certify_said said[LADDER_MAX_FIELDS * COUNT_OF(rungs)];
    struct licence_releases releases[COUNT_OF(said)];
    struct id sources[COUNT_OF(said)];
    struct certify_note note = {.task = t->id, .workflow = t->form->name, .said = said,
                                .reviewable = t->has_artifact};
    *drawn = false;
    if (!t->has_artifact || t->own_form) {
        return FAIL_NONE;
    }
    note.said_len = gather(t, said, releases, sources, COUNT_OF(said));
    return certify_note(tx, &note, drawn, why);
}

/* ---- changes from outside ---- */

struct changed {
    struct task_desk *desk;
    char workflow[64];
};

static void changed_now(void *arg)
{
    struct changed *c = arg;
    struct entry *e = desk_entry_find(c->desk, c->workflow);
    if (e != NULL) {
        e->licence_stale = true;
    }
    mem_free(c);
}

void task_certificates_changed(struct task_desk *desk, const char *workflow)
{
    struct changed *c = mem_alloc(sizeof(*c));
    c->desk = desk;
    (void)text_copy(c->workflow, sizeof(c->workflow), workflow);
    loop_post(desk->house.loop, changed_now, c);
}

_Static_assert((int)LADDER_REVIEWED == (int)CERTIFY_REVIEWED &&
                   (int)LADDER_HISTORY == (int)CERTIFY_HISTORY,
               "classes have one order in both rooms");
