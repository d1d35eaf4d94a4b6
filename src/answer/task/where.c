/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a task may be answered: its facts, put before the decision rules once its cheap rungs have
 * spoken and something is still open.
 * Owns: nothing. Threads: core. Limits: route's.
 */
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "run/upstream/upstream.h"

#define FADE 0.1 /* weight of the newest time in a running mean */
#define NANO 1e9

void where_took(struct task_desk *d, enum ladder_rung rung, double ms)
{
    double *mean = &d->took_ms[rung];
    *mean = *mean <= 0 ? ms : *mean + FADE * (ms - *mean);
}

/* The lightest loaded model that writes is the one whose queue a task waits in. */
static void local_facts(const struct task *t, struct route_facts *f)
{
    static const struct {
        enum fleet_role role;
        enum route_role as;
        enum ladder_rung rung;
    } roles[] = {{FLEET_EMBED, ROUTE_ROLE_EMBED, LADDER_LEARNED},
                 {FLEET_LIGHT, ROUTE_ROLE_LIGHT, LADDER_LIGHT},
                 {FLEET_HEAVY, ROUTE_ROLE_HEAVY, LADDER_HEAVY}};
    double wait = 0, work = 0;
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        struct fleet_model m;
        if (!fleet_is_serving(t->desk->house.fleet, roles[i].role)) {
            continue;
        }
        f->roles |= 1u << roles[i].as;
        if (roles[i].rung == LADDER_LEARNED || t->desk->took_ms[roles[i].rung] <= 0) {
            continue;
        }
        fleet_model_get(t->desk->house.fleet, roles[i].role, &m);
        /* Its time was measured with others beside it; those that wait come before this one. */
        work += t->desk->took_ms[roles[i].rung] / 1000;
        wait += t->desk->took_ms[roles[i].rung] / 1000 * m.queued /
                (m.running > 0 ? m.running : 1);
    }
    if (work > 0) {
        route_facts_set(f, ROUTE_WAIT_S, wait);
        route_facts_set(f, ROUTE_SERVICE_S, work);
    }
}

static void hosted_facts(struct task *t, struct route_facts *f)
{
    const struct task_hosted *h = &t->desk->house.hosted;
    struct upstream_pool_state pool;
    if (h->check == NULL) {
        return;
    }
    h->check(h->arg, TASK_POOL_HOSTED, (int64_t)(t->input_len / 3), 256, &pool);
    if (pool.usable && pool.cost_nano >= 0) {
        route_facts_set(f, ROUTE_PRICE, (double)pool.cost_nano / NANO);
    }
    if (t->desk->took_ms[LADDER_HOSTED] > 0) {
        route_facts_set(f, ROUTE_HOSTED_S, t->desk->took_ms[LADDER_HOSTED] / 1000);
    }
}

void where_facts(struct task *t, struct route_facts *f)
{
    int64_t left = t->due_us - clock_monotonic_us();
    route_facts_init(f);
    f->label = t->label;
    (void)text_copy(f->team, sizeof(f->team), t->who.team);
    (void)text_copy(f->workflow, sizeof(f->workflow), t->form->name);
    (void)text_copy(f->stake, sizeof(f->stake), t->stake != NULL ? t->stake_name : "");
    route_facts_set(f, ROUTE_INPUT_BYTES, (double)t->input_len);
    route_facts_set(f, ROUTE_DEADLINE_S, left > 0 ? (double)left / 1e6 : 0);
    route_meter_facts(t->desk->meter, t->form->name, clock_now_us(), f);
    local_facts(t, f);
    hosted_facts(t, f);
    if (t->desk->house.zone != NULL) {
        route_zone_at(t->desk->house.zone, t->created_at, &f->weekday, &f->minute);
    }
    route_facts_complete(f);
}

static bool is_reused(const struct task *t)
{
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (t->climb.held[i].set && t->climb.held[i].rung == LADDER_REUSE) {
            return true;
        }
    }
    return false;
}

void where_count(struct task *t)
{
    if (!t->own_form) {
        route_meter_add(t->desk->meter, t->form->name, t->created_at, 1, is_reused(t));
    }
}

enum fail where_put(struct store_tx *tx, const struct task *t, struct fault *why)
{
    return t->own_form ? FAIL_NONE
                       : route_traffic_put(tx, t->form->name, t->created_at, is_reused(t), why);
}

void where_decide(struct task *t)
{
    t->rules = route_rules_ref(t->desk->rules);
    t->facts = arena_alloc(t->arena, sizeof(*t->facts));
    where_facts(t, t->facts);
    t->route = arena_alloc(t->arena, sizeof(*t->route));
    route_decide(t->rules, t->facts, t->route);
    t->route_pool = t->route->upstream[0] != '\0' ? t->route->upstream : TASK_POOL_HOSTED;
}

void where_free(struct task *t)
{
    if (t->rules != NULL) {
        route_rules_unref(t->rules);
    }
}
