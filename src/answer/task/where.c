/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a task may be answered: its facts, put before the decision rules once its cheap rungs have
 * spoken and something is still open.
 * Owns: nothing. Threads: core. Limits: route's.
 */
#include <string.h>

#include "answer/dataset/dataset.h"
#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "run/upstream/upstream.h"

#define BYTES_A_TOKEN 3
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
            bool served = roles[i].rung != LADDER_LEARNED && hosted_serves(t, roles[i].rung);
            f->roles |= served ? 1u << roles[i].as : 0;
            continue; /* what waits at another server is not known here */
        }
        f->roles |= 1u << roles[i].as;
        if (roles[i].rung == LADDER_LEARNED || t->desk->took_ms[roles[i].rung] <= 0) {
            continue;
        }
        fleet_model_get(t->desk->house.fleet, roles[i].role, &m);
        const struct queue *q = fleet_queue(t->desk->house.fleet, m.id);
        double each = t->desk->took_ms[roles[i].rung] / 1000;
        double ahead = q != NULL ? queue_wait_s(q, t->who.team, t->class) : 0;
        work += each;
        /* No rate is measured yet: as many as wait, at what one took beside others. */
        wait += ahead >= 0 ? ahead : each * m.queued / (m.running > 0 ? m.running : 1);
    }
    if (work > 0) {
        route_facts_set(f, ROUTE_WAIT_S, wait);
        route_facts_set(f, ROUTE_SERVICE_S, work);
    }
}

/* The tighter of the server's own budget and those of the caller, team, workflow and house. */
static void budget_facts(const struct task *t, const struct upstream_pool_state *pool,
                         struct route_facts *f)
{
    int64_t left = pool->budget_left;
    double forecast = left < INT64_MAX ? pool->budget_forecast : -1;
    if (t->desk->house.policy != NULL) {
        struct policy_payer payer = {policy_caller(&t->who), t->who.team,
                                     t->form != NULL ? t->form->name : NULL};
        struct policy_budget own;
        policy_budget(t->desk->house.policy, &payer, &own);
        left = own.left < left ? own.left : left;
        forecast = own.forecast > forecast ? own.forecast : forecast;
    }
    if (left < INT64_MAX) {
        route_facts_set(f, ROUTE_BUDGET_LEFT, (double)left / NANO);
        route_facts_set(f, ROUTE_BUDGET_FORECAST, forecast);
    }
}

static void hosted_facts(struct task *t, struct route_facts *f)
{
    const struct task_hosted *h = &t->desk->house.hosted;
    struct upstream_pool_state pool;
    if (h->check == NULL) {
        return;
    }
    h->check(h->arg, TASK_POOL_HOSTED, (int64_t)(t->input_len / BYTES_A_TOKEN), 256, &pool);
    if (pool.usable && pool.cost_nano >= 0) {
        route_facts_set(f, ROUTE_PRICE, (double)pool.cost_nano / NANO);
    }
    budget_facts(t, &pool, f);
    if (t->desk->took_ms[LADDER_HOSTED] > 0) {
        route_facts_set(f, ROUTE_HOSTED_S, t->desk->took_ms[LADDER_HOSTED] / 1000);
    }
}

/* What the request and its workflow say, and what can be seen: a text longer than the context of
   every model here. */
static unsigned needs_of(const struct task *t)
{
    unsigned needs = t->needs | (t->form != NULL ? t->form->needs : 0);
    size_t most = 0;
    for (int role = FLEET_LIGHT; role <= FLEET_HEAVY; role++) {
        struct fleet_model m;
        fleet_model_get(t->desk->house.fleet, (enum fleet_role)role, &m);
        most = m.n_ctx > 0 && (size_t)m.n_ctx > most ? (size_t)m.n_ctx : most;
    }
    bool is_long = most > 0 && t->input_len / BYTES_A_TOKEN > most;
    return needs | (is_long ? 1u << ROUTE_NEED_LONG_CONTEXT : 0);
}

void where_facts(struct task *t, struct route_facts *f)
{
    int64_t left = t->due_us - clock_monotonic_us();
    route_facts_init(f);
    f->label = t->label;
    (void)text_copy(f->team, sizeof(f->team), t->who.team);
    (void)text_copy(f->workflow, sizeof(f->workflow), t->form != NULL ? t->form->name : "");
    (void)text_copy(f->stake, sizeof(f->stake), t->stake != NULL ? t->stake_name : "");
    route_facts_set(f, ROUTE_INPUT_BYTES,
                    (double)(t->kind == TASK_FORM ? t->input_len : t->ask_len));
    f->needs = needs_of(t);
    route_facts_set(f, ROUTE_DEADLINE_S, left > 0 ? (double)left / 1e6 : 0);
    if (t->form != NULL) {
        route_meter_facts(t->desk->meter, t->form->name, clock_now_us(), f);
    }
    local_facts(t, f);
    hosted_facts(t, f);
    if (t->desk->house.zone != NULL) {
        route_zone_at(t->desk->house.zone, t->created_at, &f->weekday, &f->minute);
    }
    route_facts_complete(f);
}

void where_label(struct task *t)
{
    struct dataset_about d;
    struct fault why;
    enum secrecy label = SECRECY_PUBLIC;
    if (t->shelf != NULL) {
        /* Articles put without a dataset's entry have no label of their own: internal, as a
           workflow's. What cannot be read counts as the highest. */
        enum fail f = dataset_find(t->desk->reader, t->form->dataset, &d, &why);
        label = f == FAIL_NONE        ? d.label
                : f == FAIL_NOT_FOUND ? SECRECY_INTERNAL
                                      : SECRECY_RESTRICTED;
    }
    t->label = gate_label(t, label);
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

enum fail where_named(struct task *t, struct fault *why)
{
    struct upstream_pool_state pool;
    const struct task_hosted *h = &t->desk->house.hosted;
    h->check(h->arg, t->model, (int64_t)(t->ask_len / BYTES_A_TOKEN), t->max_tokens, &pool);
    t->needs |= 1u << ROUTE_NEED_FRONTIER;
    where_decide(t);
    if (pool.on_prem) {
        t->route = NULL; /* nothing leaves the house: run/upstream's own gate is enough */
        return FAIL_NONE;
    }
    if (t->route->go != ROUTE_HOSTED || route_may_leave(t->route, t->label) == ROUTE_NEVER) {
        FAULT(why, FAIL_FORBIDDEN, "a %s request does not leave for \"%.64s\": rule %s says %s",
              secrecy_name(t->label), t->model, t->route->name, route_go_name(t->route->go));
        return fail_hint(why, "`inhouse route list` shows the rules; a row with `go: hosted` that "
                              "names this label lets it out.");
    }
    if (t->route->upstream[0] != '\0' && strcmp(t->route->upstream, t->model) != 0) {
        FAULT(why, FAIL_FORBIDDEN, "rule %s lets it out to \"%.64s\" only", t->route->name,
              t->route->upstream);
        return fail_param(why, "model");
    }
    return FAIL_NONE;
}

void where_free(struct task *t)
{
    if (t->rules != NULL) {
        route_rules_unref(t->rules);
    }
}
