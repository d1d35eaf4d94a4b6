/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/models: the inventory and what is loaded, and the orders to load, unload, pin and unpin,
   each with its record. State is the core thread's. */
#include "http/api/api_internal.h"

#include <string.h>

#include "run/models/models.h"
#include "run/roster/roster.h"

static void put_state(struct jn_writer *w, const struct roster_model *m)
{
    jn_kv_str(w, "state", roster_state_name(m->state));
    jn_kv_int(w, "memory_bytes", m->need_bytes);
    jn_kv_bool(w, "memory_measured", m->measured);
    jn_kv_bool(w, "pinned", m->pinned);
    jn_kv_bool(w, "pinned_by_role", m->pinned_by_role);
    jn_key(w, "serves");
    jn_array_begin(w);
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        if ((m->roles & 1u << i) != 0) {
            jn_put_str(w, fleet_role_name((enum fleet_role)i));
        }
    }
    jn_array_end(w);
    api_put_time(w, "last_used_at", m->used_at);
    jn_kv_int(w, "progress_bytes", m->done);
    jn_kv_int(w, "progress_total", m->total);
    jn_kv_str(w, "reason", m->reason[0] != '\0' ? m->reason : NULL);
}

static void put_loaded(struct jn_writer *w, struct api *a, const struct roster_model *m)
{
    struct fleet_model f;
    (void)fleet_model_find(a->h.fleet, m->model, &f);
    jn_kv_int(w, "rss_bytes", f.rss_bytes);
    jn_kv_int(w, "n_ctx", f.n_ctx);
    jn_kv_int(w, "pid", f.pid);
    jn_kv_int(w, "deaths", f.deaths);
    jn_kv_int(w, "running", f.running);
    jn_kv_int(w, "queued", f.queued);
}

static void put_model(struct jn_writer *w, struct api *a, const struct roster_model *m)
{
    const struct models_entry *e = &m->entry;
    jn_object_begin(w);
    jn_kv_str(w, "name", e->name);
    jn_kv_str(w, "role", e->role);
    jn_kv_str(w, "kind", e->kind);
    jn_kv_str(w, "arch", e->arch);
    jn_kv_str(w, "quant", e->quant);
    jn_kv_str(w, "source", e->source);
    jn_kv_str(w, "licence", e->licence);
    jn_kv_str(w, "sha256", e->sha256);
    jn_kv_int(w, "bytes", e->bytes);
    jn_kv_str(w, "base", e->base[0] != '\0' ? e->base : NULL);
    api_put_time(w, "added_at", e->added_at);
    jn_kv_str(w, "serving_sha256", e->active.there ? e->active.sha256 : e->sha256);
    jn_kv_str(w, "candidate_sha256", e->candidate.there ? e->candidate.sha256 : NULL);
    put_state(w, m);
    put_loaded(w, a, m);
    jn_object_end(w);
}

static void models_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    (void)arg;
    api_open(&w, &body);
    jn_key(&w, "models");
    jn_array_begin(&w);
    for (size_t i = 0; i < roster_count(a->h.roster); i++) {
        struct roster_model m;
        roster_at(a->h.roster, i, &m);
        put_model(&w, a, &m);
    }
    jn_array_end(&w);
    api_put_roles(&w, a);
    jn_key(&w, "memory");
    jn_object_begin(&w);
    jn_kv_int(&w, "budget_bytes", roster_memory(a->h.roster));
    jn_kv_int(&w, "used_bytes", roster_memory_used(a->h.roster));
    jn_object_end(&w);
    jn_kv_bool(&w, "loading", roster_is_scanning(a->h.roster));
    api_send(r, 200, &w);
}

void api_models(struct wire_request *r, void *arg)
{
    api_on_core(arg, r, models_on_core, NULL);
}

static void rescanned(void *arg, int loaded, const struct fault *why)
{
    struct wire_request *r = arg;
    if (why != NULL && loaded == 0) {
        wire_fail(r, why->code, why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_int(&w, "loading", loaded);
    jn_kv_str(&w, "problem", why ? why->message : NULL);
    api_send(r, 200, &w);
}

void api_models_rescan(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct api *a = arg;
    AUTO_JSON json_t *body = api_body(r, keys, true);
    if (body != NULL) {
        roster_scan(a->h.roster, rescanned, r);
    }
}

/* ---- orders ---- */

enum order_kind { ORDER_LOAD, ORDER_UNLOAD, ORDER_PIN, ORDER_UNPIN };
static const char *const verdicts[] = {"loaded", "unloaded", "pinned", "unpinned"};

struct order {
    struct api *a;
    struct wire_request *r;
    enum order_kind kind;
    bool wait;
    char asked[MODELS_NAME_SIZE];
    char name[MODELS_NAME_SIZE];
    char sha256[TEXT_SHA256_HEX_SIZE];
    char team[KEYRING_NAME_SIZE], actor[KEYRING_NAME_SIZE];
};

static void order_answer(struct order *o)
{
    struct roster_model m;
    struct jn_writer w;
    struct buf body;
    memset(&m, 0, sizeof(m));
    (void)roster_find(o->a->h.roster, o->name, &m);
    api_open(&w, &body);
    jn_kv_str(&w, "model", o->name);
    put_state(&w, &m);
    api_send(o->r, 200, &w);
}

static void order_loaded(void *arg, uint32_t model, const struct fault *why)
{
    struct order *o = arg;
    (void)model;
    if (why != NULL) {
        wire_fail(o->r, why->code, why);
    } else {
        order_answer(o);
    }
}

static void nobody_waits(void *arg, uint32_t model, const struct fault *why)
{
    (void)arg;
    (void)model;
    (void)why; /* GET /api/v1/models shows it */
}

/* The order's record is durable: now it is carried out. */
static void order_recorded(void *arg, enum fail code, const struct fault *fault)
{
    struct order *o = arg;
    struct roster *roster = o->a->h.roster;
    struct fault why;
    enum fail f = FAIL_NONE;
    if (code != FAIL_NONE) {
        FAULT(&why, FAIL_RECORD_UNAVAILABLE, "the order could not be recorded: %.200s",
              fault->message);
        wire_fail(o->r, why.code, &why);
        return;
    }
    switch (o->kind) {
    case ORDER_LOAD:
        if (o->wait) {
            (void)roster_want(roster, o->name, true, order_loaded, o);
            return;
        }
        (void)roster_want(roster, o->name, true, nobody_waits, NULL);
        break;
    case ORDER_UNLOAD:
        f = roster_unload(roster, o->name, &why);
        break;
    case ORDER_PIN:
    case ORDER_UNPIN:
        f = roster_pin(roster, o->name, o->kind == ORDER_PIN, &why);
        break;
    }
    if (f != FAIL_NONE) {
        wire_fail(o->r, f, &why);
    } else {
        order_answer(o);
    }
}

static enum fail order_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct order *o = arg;
    const char *releases[] = {o->sha256};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_MODEL_CHANGED,
                              .actor = o->actor,
                              .team = o->team,
                              .task = o->name,
                              .releases = releases,
                              .releases_len = 1,
                              .verdict = verdicts[o->kind]};
    return audit_append(tx, o->a->h.audit, &leaf, NULL, NULL, why);
}

static void order_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct order *o = arg;
    struct roster_model m;
    struct fault why;
    if (!roster_find(a->h.roster, o->asked, &m)) {
        FAULT(&why, FAIL_NOT_FOUND, "there is no model \"%.64s\"", o->asked);
        fail_hint(&why, "`inhouse models list` shows what is there.");
        wire_fail(r, FAIL_NOT_FOUND, &why);
        return;
    }
    bool loaded =
        m.state == ROSTER_LOADING || m.state == ROSTER_READY || m.state == ROSTER_BROKEN;
    if (o->kind == ORDER_UNLOAD && (m.model == 0 || !loaded)) {
        FAULT(&why, FAIL_CONFLICT, "the model %s is not loaded", m.entry.name);
        wire_fail(r, FAIL_CONFLICT, &why);
        return;
    }
    (void)text_copy(o->name, sizeof(o->name), m.entry.name);
    (void)text_copy(o->sha256, sizeof(o->sha256), m.entry.sha256);
    enum fail f = store_write(a->h.store, order_write, o, order_recorded, a->h.loop, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

static void order(struct wire_request *r, void *arg, enum order_kind kind)
{
    static const char *const load_keys[] = {"wait", NULL};
    static const char *const no_keys[] = {NULL};
    struct fault why;
    struct order *o = wire_alloc(r, sizeof(*o));
    AUTO_JSON json_t *body = api_body(r, kind == ORDER_LOAD ? load_keys : no_keys, true);
    if (body == NULL) {
        return;
    }
    o->a = arg;
    o->r = r;
    o->kind = kind;
    o->wait = true;
    enum fail f = jn_bool(body, "wait", false, &o->wait, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    (void)text_copy(o->asked, sizeof(o->asked), wire_param(r, "model"));
    (void)text_copy(o->actor, sizeof(o->actor), api_who(r)->name);
    (void)text_copy(o->team, sizeof(o->team), api_who(r)->team);
    api_on_core(arg, r, order_on_core, o);
}

void api_model_load(struct wire_request *r, void *arg)
{
    order(r, arg, ORDER_LOAD);
}

void api_model_unload(struct wire_request *r, void *arg)
{
    order(r, arg, ORDER_UNLOAD);
}

void api_model_pin(struct wire_request *r, void *arg)
{
    order(r, arg, ORDER_PIN);
}

void api_model_unpin(struct wire_request *r, void *arg)
{
    order(r, arg, ORDER_UNPIN);
}
