/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Voids: certificates end, on the record, when what they were measured on is replaced: another
 * model in a role, another definition under a workflow's name. Nobody would use them any more
 * (certify_find asks for exactly their releases); this is what says so, and what begins the pilot
 * anew. It touches the rungs of that model or prompt and the fields that are gone, no more: a head
 * that reads no vectors outlives another embedding model, and what other servers answer outlives
 * any model here.
 * Owns: nothing. Threads: core; the write on the store's. Limits: VOIDS_MAX a write.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/log/log.h"

#define VOIDS_MAX 1024

struct voids {
    struct task_desk *desk;
    /* a model: of every workflow */
    const char *rung; /* NULL: it is a definition */
    char model[65];
    /* a definition */
    struct ladder_form *form;
    /* found */
    struct certify_certificate *list;
    size_t len;
    int64_t ended;
};

static bool is_remote(const struct certify_certificate *c)
{
    return strchr(c->model, ':') != NULL; /* "pool: model"; a sha256 has none */
}

static bool is_touched(const struct voids *v, const struct certify_certificate *c)
{
    if (v->form == NULL) {
        return strcmp(c->rung, v->rung) == 0 && c->model[0] != '\0' && !is_remote(c) &&
               strcmp(c->model, v->model) != 0;
    }
    return ladder_field_find(v->form, c->field) < 0 ||
           (c->prompt[0] != '\0' && strcmp(c->prompt, v->form->release) != 0);
}

static bool note_touched(void *arg, const struct certify_certificate *c)
{
    struct voids *v = arg;
    if (is_touched(v, c)) {
        v->list = mem_realloc(v->list, (v->len + 1) * sizeof(*v->list));
        v->list[v->len++] = *c;
    }
    return v->len < VOIDS_MAX;
}

static enum fail find_touched(struct voids *v, struct store_conn *conn, struct fault *why)
{
    mem_free(v->list);
    v->list = NULL;
    v->len = 0;
    return certify_each(conn, v->form != NULL ? v->form->name : NULL, false, note_touched, v, why);
}

static enum fail write_voids(struct store_tx *tx, void *arg, struct fault *why)
{
    struct voids *v = arg;
    enum fail f = find_touched(v, store_tx_conn(tx), why);
    for (size_t i = 0; i < v->len && f == FAIL_NONE; i++) {
        const struct certify_certificate *c = &v->list[i];
        const char *detail = v->form == NULL ? "another model serves its role"
                             : ladder_field_find(v->form, c->field) < 0
                                 ? "the definition has no such field any more"
                                 : "the definition has changed";
        int64_t n = 0;
        /* That one: no other releases are live for its field and rung. */
        f = certify_void(tx, v->desk->house.audit, c->workflow, c->field, c->rung, NULL, detail,
                         "system", "system", &n, why);
        v->ended += n;
    }
    return f;
}

static void voids_free(struct voids *v)
{
    ladder_form_unref(v->form);
    mem_free(v->list);
    mem_free(v);
}

static void on_voided(void *arg, enum fail code, const struct fault *why)
{
    struct voids *v = arg;
    struct task_desk *d = v->desk;
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "certificates.void_failed", why);
    }
    for (size_t i = 0; i < v->len; i++) {
        struct entry *e = desk_entry_find(d, v->list[i].workflow);
        if (e != NULL) {
            e->licence_stale = true;
        }
    }
    voids_free(v);
    d->reuse_jobs--;
    desk_drained(d);
}

/* Nothing is written when nothing is touched, as nearly always. */
static void start(struct voids *v)
{
    struct fault why;
    enum fail f = find_touched(v, v->desk->reader, &why);
    if (f == FAIL_NONE && v->len > 0) {
        v->desk->reuse_jobs++;
        f = store_write(v->desk->house.store, write_voids, v, on_voided, v->desk->house.loop,
                        &why);
        if (f == FAIL_NONE) {
            return;
        }
        v->desk->reuse_jobs--;
    }
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "certificates.void_failed", &why);
    }
    voids_free(v);
}

void voids_of_form(struct task_desk *desk, struct ladder_form *form)
{
    struct voids *v = mem_alloc(sizeof(*v));
    v->desk = desk;
    v->form = ladder_form_ref(form);
    start(v);
}

void voids_of_models(struct task_desk *desk)
{
    static const struct {
        const char *rung;
        enum fleet_role role;
    } roles[] = {{"learned", FLEET_EMBED}, {"light", FLEET_LIGHT}, {"heavy", FLEET_HEAVY}};
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        struct fleet_model m;
        char *seen = desk->seen[roles[i].role];
        fleet_model_get(desk->house.fleet, roles[i].role, &m);
        /* One that makes room for another is not replaced. */
        if (m.state != FLEET_READY || strcmp(seen, m.sha256) == 0) {
            continue;
        }
        memcpy(seen, m.sha256, sizeof(m.sha256));
        struct voids *v = mem_alloc(sizeof(*v));
        v->desk = desk;
        v->rung = roles[i].rung;
        (void)text_copy(v->model, sizeof(v->model), m.sha256);
        start(v);
    }
}
