/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the three classes, the choice among them, places, and the measured rate. */
#include <math.h>
#include <string.h>

#include "base/mem/mem.h"
#include "run/queue/queue_internal.h"

#define RATE_SPAN_US 200000     /* of busy time, folded into the mean at once */
#define RATE_TAU_US 20000000.0  /* the mean forgets with this time constant */
#define MEASURED_MIN 3          /* asks, before a deadline is judged by them */
#define HOPE 2                  /* only what this many times the rate could not do is late */

struct lane {
    struct queue_meter *meter;
    struct queue_item *first; /* in order of arrival */
    size_t waiting;
    double cost;
    double owed; /* tokens that better classes' service has earned it */
};

struct queue {
    struct queue_options options;
    struct lane lanes[IPC_CLASS_COUNT];
    size_t in_service;
    double cost_in_service;
    double rate;         /* taken tokens a second while something is in service */
    double rate_reserved; /* the same of reserved ones */
    double us_per_token; /* of one ask in service, a reserved token */
    int64_t measured;   /* asks */
    int64_t busy_since; /* what is in service counts from here; 0: nothing is */
    double span_us;     /* busy time not yet folded in, and the tokens of it */
    double span_tokens;
    double span_reserved;
    int64_t refused_full;
    int64_t refused_late;
};

double queue_class_share(enum ipc_class class)
{
    return class == IPC_WORKFLOW ? QUEUE_SHARE_WORKFLOW
           : class == IPC_BATCH  ? QUEUE_SHARE_BATCH
                                 : 0;
}

struct queue *queue_new(const struct queue_options *o)
{
    struct queue *q = mem_alloc(sizeof(*q));
    q->options = *o;
    if (q->options.places_team == 0) {
        q->options.places_team = o->places - o->places / 4;
    }
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        q->lanes[c].meter = queue_meter_new();
    }
    return q;
}

void queue_free(struct queue *q)
{
    if (q == NULL) {
        return;
    }
    ASSERT(q->in_service == 0);
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        ASSERT(q->lanes[c].first == NULL);
        queue_meter_free(q->lanes[c].meter);
    }
    mem_free(q);
}

bool queue_weigh(struct queue *q, const char *team, double weight)
{
    bool done = true;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        done = queue_meter_weigh(q->lanes[c].meter, team, weight) && done;
    }
    return done;
}

/* ---- places ---- */

/* What a class may fill: the rest is for the better ones. */
static size_t places_of(size_t places, enum ipc_class class)
{
    size_t kept = class == IPC_BATCH ? places / 4 : class == IPC_WORKFLOW ? places / 8 : 0;
    return places - kept;
}

static size_t team_waiting(const struct queue *q, const char *team)
{
    size_t n = 0;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        const struct queue_flow *f = queue_flow_find(q->lanes[c].meter, team);
        n += f != NULL ? f->waiting : 0;
    }
    return n;
}

size_t queue_waiting(const struct queue *q)
{
    size_t n = 0;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        n += q->lanes[c].waiting;
    }
    return n;
}

/* Tokens that go before an ask of that team and class: each other team of its class gets as much,
   by weight, as this one's asks up to it, or all that it waits with. */
static double tokens_ahead(const struct queue *q, const char *team, enum ipc_class class)
{
    double ahead = q->cost_in_service / 2;
    for (int c = 0; c < (int)class; c++) {
        ahead += q->lanes[c].cost;
    }
    const struct queue_meter *m = q->lanes[class].meter;
    const struct queue_flow *own = queue_flow_find(m, team);
    double mine = own != NULL ? own->cost_waiting : 0;
    double turn = (mine > 0 ? mine : 1) / (own != NULL ? own->weight : 1);
    for (const struct queue_flow *f = m->flows; f != NULL; f = f->next) {
        double theirs = turn * f->weight;
        if (f != own) {
            ahead += f->cost_waiting < theirs ? f->cost_waiting : theirs;
        }
    }
    return ahead + mine;
}

double queue_wait_s(const struct queue *q, const char *team, enum ipc_class class)
{
    return q->rate_reserved > 0 ? tokens_ahead(q, team, class) / q->rate_reserved : -1;
}

static int retry_s(const struct queue *q, const char *team, enum ipc_class class)
{
    double wait = queue_wait_s(q, team, class);
    if (wait < 0) {
        return QUEUE_RETRY_S_UNKNOWN;
    }
    return wait < 1 ? 1 : wait > QUEUE_RETRY_S_MAX ? QUEUE_RETRY_S_MAX : (int)ceil(wait);
}

static enum fail refuse_full(struct queue *q, const char *team, enum ipc_class class, size_t n,
                             bool of_team, struct fault *why)
{
    q->refused_full++;
    int after = retry_s(q, team, class);
    if (of_team) {
        FAULT(why, FAIL_QUEUE_FULL, "%zu requests of the team \"%.64s\" already wait for %s", n,
              team, q->options.name);
    } else {
        FAULT(why, FAIL_QUEUE_FULL, "%zu requests already wait for %s", n, q->options.name);
    }
    fail_hint(why, "Try again in %d s, or send fewer at once.", after);
    return fail_retry_after(why, after);
}

/* ---- lists ---- */

static void link_item(struct queue *q, struct queue_item *item, bool last)
{
    struct lane *lane = &q->lanes[item->class];
    struct queue_item **at = &lane->first;
    while (last && *at != NULL) {
        at = &(*at)->next;
    }
    item->next = *at;
    *at = item;
    item->started_us = 0;
    lane->waiting++;
    lane->cost += item->cost;
    item->flow->cost_waiting += item->cost;
}

static void unlink_item(struct queue *q, struct queue_item *item)
{
    struct lane *lane = &q->lanes[item->class];
    struct queue_item **at = &lane->first;
    while (*at != item) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = item->next;
    item->next = NULL;
    lane->waiting--;
    lane->cost = lane->waiting > 0 ? lane->cost - item->cost : 0;
    item->flow->cost_waiting -= item->cost;
    if (lane->waiting == 0) {
        lane->owed = 0; /* what nobody waits for is not saved up */
    }
}

enum fail queue_put(struct queue *q, struct queue_item *item, const char *team,
                    enum ipc_class class, double cost, int64_t deadline_us, int64_t now_us,
                    struct fault *why)
{
    ASSERT(cost >= 1 && class < IPC_CLASS_COUNT);
    size_t all = queue_waiting(q), mine = team_waiting(q, team);
    if (all >= places_of(q->options.places, class)) {
        return refuse_full(q, team, class, all, false, why);
    }
    if (mine >= places_of(q->options.places_team, class)) {
        return refuse_full(q, team, class, mine, true, why);
    }
    if (deadline_us > 0 && q->measured >= MEASURED_MIN && q->rate_reserved > 0) {
        double needs_us = (queue_wait_s(q, team, class) * 1e6 + cost * q->us_per_token) / HOPE;
        if ((double)now_us + needs_us > (double)deadline_us) {
            q->refused_late++;
            FAULT(why, FAIL_DEADLINE,
                  "%s would take about %.0f s for this, longer than its deadline leaves",
                  q->options.name, needs_us * HOPE / 1e6);
            fail_hint(why, "Give it more time with a longer deadline, or send it when less is "
                           "going on.");
            return fail_retry_after(why, retry_s(q, team, class));
        }
    }
    item->class = class;
    item->cost = cost;
    item->deadline_us = deadline_us;
    item->flow = queue_flow_enter(q->lanes[class].meter, team);
    link_item(q, item, true);
    return FAIL_NONE;
}

/* Of a class: the oldest of the team that was served least. */
static struct queue_item *lane_next(const struct lane *lane)
{
    struct queue_item *best = NULL;
    for (struct queue_item *i = lane->first; i != NULL; i = i->next) {
        if (best == NULL || queue_flow_compare(i->flow, best->flow) < 0) {
            best = i;
        }
    }
    return best;
}

struct queue_item *queue_next(struct queue *q, unsigned classes)
{
    struct queue_item *best = NULL;
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        struct queue_item *next =
            (classes & 1u << c) != 0 ? lane_next(&q->lanes[c]) : NULL;
        if (next != NULL && (best == NULL || q->lanes[c].owed >= next->cost)) {
            best = next;
        }
    }
    return best;
}

static void be_busy(struct queue *q, int64_t now_us)
{
    if (q->busy_since > 0 && now_us > q->busy_since) {
        q->span_us += (double)(now_us - q->busy_since);
    }
    q->busy_since = q->in_service > 0 ? now_us : 0;
}

void queue_take(struct queue *q, struct queue_item *item, int64_t now_us)
{
    struct lane *lane = &q->lanes[item->class];
    lane->owed = lane->owed > item->cost ? lane->owed - item->cost : 0;
    for (int c = (int)item->class + 1; c < IPC_CLASS_COUNT; c++) {
        if (q->lanes[c].waiting > 0) {
            q->lanes[c].owed += item->cost * queue_class_share((enum ipc_class)c);
        }
    }
    unlink_item(q, item);
    queue_flow_reserve(item->flow, item->cost);
    item->flow->in_service++;
    queue_flow_leave(item->flow);
    q->in_service++;
    q->cost_in_service += item->cost;
    item->started_us = now_us;
    be_busy(q, now_us);
}

static void out_of_service(struct queue *q, struct queue_item *item)
{
    ASSERT(q->in_service > 0 && item->flow->in_service > 0);
    q->in_service--;
    q->cost_in_service = q->in_service > 0 ? q->cost_in_service - item->cost : 0;
    item->flow->in_service--;
}

void queue_return(struct queue *q, struct queue_item *item, bool last)
{
    queue_flow_settle(item->flow, item->cost, 0);
    item->flow->charged = 0; /* first again among equals */
    struct queue_flow *again = queue_flow_enter(item->flow->meter, item->flow->team);
    ASSERT(again == item->flow);
    out_of_service(q, item);
    if (q->in_service == 0) {
        q->busy_since = 0;
    }
    link_item(q, item, last);
}

void queue_adopt(struct queue *q, struct queue_item *item, const char *team, bool last)
{
    item->flow = queue_flow_enter(q->lanes[item->class].meter, team);
    link_item(q, item, last);
}

static void learn_one(struct queue *q, const struct queue_item *item, int64_t now_us)
{
    double one = (double)(now_us - item->started_us) / item->cost;
    q->measured++;
    q->us_per_token +=
        (one - q->us_per_token) * (q->measured < 8 ? 1.0 / (double)q->measured : 0.15);
}

static void learn_rate(struct queue *q)
{
    if (q->span_us < RATE_SPAN_US) {
        return;
    }
    double part = q->rate_reserved > 0 ? 1 - exp(-q->span_us / RATE_TAU_US) : 1;
    q->rate += part * (q->span_tokens * 1e6 / q->span_us - q->rate);
    q->rate_reserved += part * (q->span_reserved * 1e6 / q->span_us - q->rate_reserved);
    q->span_us = 0;
    q->span_tokens = 0;
    q->span_reserved = 0;
}

void queue_settle(struct queue *q, struct queue_item *item, double tokens, bool whole,
                  int64_t now_us)
{
    struct queue_flow *flow = item->flow;
    queue_flow_settle(flow, item->cost, tokens);
    flow->served += tokens;
    out_of_service(q, item);
    q->span_tokens += tokens;
    q->span_reserved += item->cost;
    be_busy(q, now_us);
    if (whole) {
        learn_one(q, item, now_us);
    }
    learn_rate(q);
    if (flow->waiting == 0 && flow->in_service == 0) {
        queue_meter_trim(flow->meter);
    }
}

void queue_remove(struct queue *q, struct queue_item *item)
{
    unlink_item(q, item);
    queue_flow_leave(item->flow);
}

struct queue_item *queue_overdue(struct queue *q, int64_t now_us)
{
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        for (struct queue_item *i = q->lanes[c].first; i != NULL; i = i->next) {
            double needs_us = q->measured >= MEASURED_MIN ? i->cost * q->us_per_token / HOPE : 0;
            if (i->deadline_us > 0 && (double)now_us + needs_us > (double)i->deadline_us) {
                q->refused_late++;
                queue_remove(q, i);
                return i;
            }
        }
    }
    return NULL;
}

struct queue_item *queue_first(const struct queue *q)
{
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        if (q->lanes[c].first != NULL) {
            return q->lanes[c].first;
        }
    }
    return NULL;
}

struct queue_item *queue_find(const struct queue *q, queue_is_fn is, void *arg)
{
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        for (struct queue_item *i = q->lanes[c].first; i != NULL; i = i->next) {
            if (is(i, arg)) {
                return i;
            }
        }
    }
    return NULL;
}

/* ---- what is told ---- */

void queue_stats_get(const struct queue *q, struct queue_stats *out)
{
    *out = (struct queue_stats){.in_service = q->in_service,
                                .rate = q->rate,
                                .refused_full = q->refused_full,
                                .refused_late = q->refused_late};
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        out->waiting[c] = q->lanes[c].waiting;
        out->cost_waiting += q->lanes[c].cost;
    }
}

bool queue_team_at(const struct queue *q, size_t i, struct queue_team *out)
{
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        for (const struct queue_flow *f = q->lanes[c].meter->flows; f != NULL; f = f->next) {
            bool told = false; /* with a better class */
            for (int b = 0; b < c; b++) {
                told = told || queue_flow_find(q->lanes[b].meter, f->team) != NULL;
            }
            if (told || i-- > 0) {
                continue;
            }
            *out = (struct queue_team){0};
            memcpy(out->name, f->team, sizeof(out->name));
            for (int b = 0; b < IPC_CLASS_COUNT; b++) {
                const struct queue_flow *same = queue_flow_find(q->lanes[b].meter, f->team);
                if (same != NULL) {
                    out->waiting += same->waiting;
                    out->in_service += same->in_service;
                    out->cost_waiting += same->cost_waiting;
                    out->served += same->served;
                }
            }
            return true;
        }
    }
    return false;
}
