/* SPDX-License-Identifier: Apache-2.0 */
/* The room's own shapes: a meter holds the flows of one class. */
#pragma once

#include "run/queue/queue.h"

#define QUEUE_WEIGHTS_MAX 64

struct queue_flow {
    struct queue_flow *next;
    struct queue_meter *meter;
    char team[QUEUE_TEAM_SIZE];
    double weight;
    double at;         /* virtual tokens charged */
    double reserved;   /* of them, not yet settled; virtual too */
    size_t waiting;    /* entered and not left */
    size_t in_service; /* held by queue.c */
    double cost_waiting;
    double served;     /* settled tokens */
    uint64_t charged;  /* the meter's count when it was last charged more */
};

struct queue_weight {
    char team[QUEUE_TEAM_SIZE];
    double weight;
};

struct queue_meter {
    struct queue_flow *flows;
    double top; /* where the next one begins when nobody waits */
    uint64_t charges;
    struct queue_weight weights[QUEUE_WEIGHTS_MAX];
    size_t weights_len;
};

/* NULL when the meter does not know the team. */
struct queue_flow *queue_flow_find(const struct queue_meter *m, const char *team);
/* Forgets idle teams over the limit. */
void queue_meter_trim(struct queue_meter *m);
