/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/models: what a request may name: the loaded models, those that it would load, and the roles
   that stand for them. Read on the core thread. */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "base/json/json.h"

struct listing {
    const struct openai_house *h;
    struct wire_request *r;
    const char *only; /* one id, or NULL */
};

static bool put_model(struct jn_writer *w, const struct listing *l, const char *id)
{
    /* What a key is held to is all that there is to it. */
    if (!keyring_limits_allow(wire_who(l->r), KEYRING_LIMIT_MODELS, id)) {
        return false;
    }
    if (l->only != NULL && strcmp(l->only, id) != 0) {
        return false;
    }
    jn_object_begin(w);
    jn_kv_str(w, "id", id);
    jn_kv_str(w, "object", "model");
    jn_kv_int(w, "created", l->h->started_at / 1000000);
    jn_kv_str(w, "owned_by", "inhouse");
    jn_object_end(w);
    return true;
}

static bool is_seen(const struct fleet_model seen[FLEET_ROLE_COUNT], const char *name)
{
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        if (strcmp(seen[role].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Models that serve no role: loaded, or stored where a request may load them. */
static bool put_others(struct jn_writer *w, const struct listing *l,
                       const struct fleet_model seen[FLEET_ROLE_COUNT])
{
    struct roster *roster = l->h->roster;
    bool wrote = false;
    for (size_t i = 0; roster != NULL && i < roster_count(roster); i++) {
        struct roster_model m;
        roster_at(roster, i, &m);
        bool may = m.state == ROSTER_READY || m.state == ROSTER_LOADING ||
                   (roster_on_demand(roster) && m.state != ROSTER_BROKEN);
        if (may && !is_seen(seen, m.entry.name)) {
            wrote = put_model(w, l, m.entry.name) || wrote;
        }
    }
    return wrote;
}

/* Pools of other servers; a local model of the same name comes first when it is asked for. */
static bool put_upstreams(struct jn_writer *w, const struct listing *l)
{
    const struct upstream *u = l->h->upstream;
    bool wrote = false;
    struct roster_model m;
    for (size_t i = 0; u != NULL && i < upstream_pool_count(u); i++) {
        const char *name = upstream_pool_name(u, i);
        bool here = l->h->roster != NULL && roster_find(l->h->roster, name, &m);
        wrote = (!here && fleet_role_find(name) == FLEET_ROLE_COUNT && put_model(w, l, name)) ||
                wrote;
    }
    if (u != NULL && upstream_find(u, "hosted", NULL)) {
        wrote = put_model(w, l, "hosted") || wrote;
    }
    return wrote;
}

/* Every id a request may name as its model; true when one was written. */
static bool put_models(struct jn_writer *w, const struct listing *l)
{
    bool any_text = false;
    bool wrote = false;
    struct fleet_model seen[FLEET_ROLE_COUNT];
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        struct fleet_model *m = &seen[role];
        memset(m, 0, sizeof(*m));
        fleet_model_get(l->h->fleet, (enum fleet_role)role, m);
        if (m->state != FLEET_READY && m->state != FLEET_STARTING) {
            m->name[0] = '\0';
            continue;
        }
        bool again = false;
        for (int k = 0; k < role; k++) {
            again = again || strcmp(seen[k].name, m->name) == 0;
        }
        wrote = (!again && put_model(w, l, m->name)) || wrote;
        wrote = put_model(w, l, fleet_role_name((enum fleet_role)role)) || wrote;
        any_text = any_text || fleet_role_kind((enum fleet_role)role) == FLEET_KIND_GENERATE;
    }
    wrote = put_others(w, l, seen) || wrote;
    wrote = put_upstreams(w, l) || wrote;
    return (any_text && put_model(w, l, "auto")) || wrote;
}

static void list_on_core(void *arg)
{
    struct listing *l = arg;
    struct jn_writer w;
    struct buf body;
    buf_init(&body, 65536);
    jn_begin(&w, &body, false);
    if (l->only != NULL) {
        if (!put_models(&w, l)) {
            struct fault why;
            FAULT(&why, FAIL_NOT_FOUND, "no model is named \"%.72s\"", l->only);
            fail_hint(&why, "GET /v1/models lists them.");
            fail_param(&why, "model");
            buf_done(&body);
            wire_fail(l->r, FAIL_NOT_FOUND, &why);
            return;
        }
    } else {
        jn_object_begin(&w);
        jn_kv_str(&w, "object", "list");
        jn_key(&w, "data");
        jn_array_begin(&w);
        (void)put_models(&w, l);
        jn_array_end(&w);
        jn_object_end(&w);
    }
    wire_reply(l->r, 200, NULL, &body);
}

static void list(struct wire_request *r, const struct openai_house *h, const char *only)
{
    struct listing *l = wire_alloc(r, sizeof(*l));
    l->h = h;
    l->r = r;
    l->only = only;
    loop_post(h->loop, list_on_core, l);
}

void openai_models(struct wire_request *r, const struct openai_house *h)
{
    list(r, h, NULL);
}

void openai_model_show(struct wire_request *r, const struct openai_house *h)
{
    list(r, h, wire_param(r, "model"));
}
