/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue: who goes next when asks wait for the same model. Teams share by tokens, classes go before
 * one another without starving, places are bounded, and what cannot be done in time is said early.
 *
 * Teams: virtual token counting (Sheng et al., "Fairness in Serving Large Language Models", OSDI
 * 2024, algorithm 2), which is start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) with
 * costs that are known only afterwards. A team has a counter, its tokens divided by its weight; the
 * waiting team with the least goes next. Taking an ask charges its reserve, the answer settles the
 * charge to what it really took. A team that comes back is lifted to the least that those who wait
 * have taken: idle teams bank no credit. Two teams that both wait all the time have been served
 * amounts that differ, divided by their weights, by at most the reserves that either has in service
 * plus its largest ask's.
 *
 * Classes: interactive before workflow before batch, but while a worse class waits it is owed a
 * share of every token that a better one takes: QUEUE_SHARE_WORKFLOW and QUEUE_SHARE_BATCH, small
 * enough that people do not feel it and large enough that nothing stands still: an ask of C tokens
 * at the head of the batch class goes after at most C / QUEUE_SHARE_BATCH tokens of others. Shares
 * are of tokens, not of time: a bound in seconds would break exactly when the machine is slow.
 *
 * Owns: counters and lists; items are the caller's, linked in place. No clock: `now_us` is
 * monotonic and passed in. Threads: one caller, nothing blocks. Limits: the options' places; team
 * names of 64 bytes; QUEUE_IDLE_TEAMS_MAX teams remembered beside those with items.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "run/ipc/ipc.h"

#define QUEUE_TEAM_SIZE 65
#define QUEUE_IDLE_TEAMS_MAX 256
#define QUEUE_SHARE_WORKFLOW 0.25
#define QUEUE_SHARE_BATCH 0.0625
#define QUEUE_RETRY_S_MAX 600
#define QUEUE_RETRY_S_UNKNOWN 5 /* nothing was measured yet */

/* ---- the counters alone: for a caller that keeps its own lists ---- */

struct queue_meter; /* teams of one class */
struct queue_flow;  /* one team in it */

struct queue_meter *queue_meter_new(void);
void queue_meter_free(struct queue_meter *m); /* every flow was left; NULL is fine */
/* Asks of this team wait from now on. An idle one is lifted. Each enter needs one leave. The flow
   lives until its last leave and release. */
struct queue_flow *queue_flow_enter(struct queue_meter *m, const char *team);
/* One ask less that waits. */
void queue_flow_leave(struct queue_flow *f);
/* Charges tokens that were taken; divided by the team's weight. */
void queue_flow_charge(struct queue_flow *f, double tokens);
/* Charges a reserve, and later what was taken of it instead. Others are lifted to what the team has
   taken, not to what it has reserved: else it would pass them again when it takes less. */
void queue_flow_reserve(struct queue_flow *f, double tokens);
void queue_flow_settle(struct queue_flow *f, double reserved, double taken_of_it);
/* Virtual tokens: the team with the least goes first. */
double queue_flow_at(const struct queue_flow *f);
/* Negative when a goes before b; among equals the one that was longest without goes first, so that
   a team that just came does not wait for a flood. Both of one meter. */
int queue_flow_compare(const struct queue_flow *a, const struct queue_flow *b);
const char *queue_flow_team(const struct queue_flow *f);
/* weight > 0, 1 for teams never named here. Kept while the meter lives, for 64 teams at most:
   false when there is no room. */
bool queue_meter_weigh(struct queue_meter *m, const char *team, double weight);

/* The share of the tokens of better classes that a waiting class is owed; 0 for interactive. */
double queue_class_share(enum ipc_class class);

/* ---- the queue ---- */

struct queue;

struct queue_options {
    const char *name; /* for messages: "the model \"light\"" */
    size_t places;      /* items that may wait; workflow may fill 7/8 of it and batch 3/4 */
    size_t places_team; /* of one team, the same shares; 0: three quarters of places */
};

/* One ask. The caller fills in owner; the rest is the queue's. */
struct queue_item {
    void *owner;
    struct queue_item *next;
    struct queue_flow *flow;
    enum ipc_class class;
    double cost;         /* reserved tokens */
    int64_t deadline_us; /* monotonic, 0: none */
    int64_t started_us;  /* taken at; 0: waits */
};

struct queue *queue_new(const struct queue_options *o);
void queue_free(struct queue *q); /* empty by then; NULL is fine */
bool queue_weigh(struct queue *q, const char *team, double weight);

/* The last place. cost in tokens, at least 1. FAIL_QUEUE_FULL when its class or team has no place
   left, with retry_after_s: the seconds that what waits before it takes at the measured rate,
   from 1 to QUEUE_RETRY_S_MAX. FAIL_DEADLINE when it could not be done by deadline_us at twice the
   measured rate. */
MUST_CHECK enum fail queue_put(struct queue *q, struct queue_item *item, const char *team,
                               enum ipc_class class, double cost, int64_t deadline_us,
                               int64_t now_us, struct fault *why);
/* Who goes next among the classes in the bit mask `classes` (1u << enum ipc_class); NULL: none of
   them waits. */
struct queue_item *queue_next(struct queue *q, unsigned classes);
/* That item goes into service: it is charged its cost. */
void queue_take(struct queue *q, struct queue_item *item, int64_t now_us);
/* Out of service unserved (its worker died): its charge is given back, and it waits at the head of
   its class, or with `last` at its end. Places are not counted: it had one. */
void queue_return(struct queue *q, struct queue_item *item, bool last);
/* As queue_put, for one that has waited elsewhere or need not wait: class, cost and deadline_us are
   the caller's, places and the deadline are not looked at. */
void queue_adopt(struct queue *q, struct queue_item *item, const char *team, bool last);
/* Out of service: it took so many tokens. The rate is measured in reserved tokens, for waits are
   of reserves, which asks seldom use up; one that was cut short (not `whole`) counts in full. */
void queue_settle(struct queue *q, struct queue_item *item, double tokens, bool whole,
                  int64_t now_us);
/* A waiting item leaves unserved; nothing was charged. */
void queue_remove(struct queue *q, struct queue_item *item);
/* Takes out one waiting item whose deadline cannot be met any more even if it started now; NULL:
   none. */
struct queue_item *queue_overdue(struct queue *q, int64_t now_us);
/* The oldest waiting item of the best class, NULL: nobody waits. For clearing. */
struct queue_item *queue_first(const struct queue *q);
size_t queue_waiting(const struct queue *q);
/* The first waiting item that is() says is the one, NULL: none. */
typedef bool (*queue_is_fn)(const struct queue_item *item, void *arg);
struct queue_item *queue_find(const struct queue *q, queue_is_fn is, void *arg);

/* Seconds until an ask of that team and class would be taken, at the measured rate: half of what is
   in service, all that waits in better classes, and of its own class what fair turns put before it.
   Negative: nothing was measured yet. */
double queue_wait_s(const struct queue *q, const char *team, enum ipc_class class);

struct queue_stats {
    size_t waiting[IPC_CLASS_COUNT];
    size_t in_service;
    double cost_waiting; /* tokens */
    double rate;         /* taken tokens a second while busy, 0: not measured */
    int64_t refused_full, refused_late;
};
void queue_stats_get(const struct queue *q, struct queue_stats *out);

struct queue_team {
    char name[QUEUE_TEAM_SIZE];
    size_t waiting, in_service;
    double cost_waiting; /* tokens */
    double served;       /* tokens, since it was last forgotten */
};
/* The i-th team that is remembered; false past the last. Order is arbitrary and changes with every
   other call. */
bool queue_team_at(const struct queue *q, size_t i, struct queue_team *out);
