/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual token counters of the teams of one class. */
#include <string.h>

#include "base/mem/mem.h"
#include "base/text/text.h"
#include "run/queue/queue_internal.h"

struct queue_meter *queue_meter_new(void)
{
    return mem_alloc(sizeof(struct queue_meter));
}

void queue_meter_free(struct queue_meter *m)
{
    while (m != NULL && m->flows != NULL) {
        struct queue_flow *f = m->flows;
        m->flows = f->next;
        mem_free(f);
    }
    mem_free(m);
}

struct queue_flow *queue_flow_find(const struct queue_meter *m, const char *team)
{
    char name[QUEUE_TEAM_SIZE];
    text_copy(name, sizeof(name), team);
    struct queue_flow *f = m->flows;
    while (f != NULL && strcmp(f->team, name) != 0) {
        f = f->next;
    }
    return f;
}

static double taken(const struct queue_flow *f)
{
    return f->at - f->reserved;
}

static void raise_top(struct queue_flow *f)
{
    struct queue_meter *m = f->meter;
    m->top = taken(f) > m->top ? taken(f) : m->top;
}

/* The least that those that wait have taken; when nobody does, the highest there was: then all
   begin alike, and what a team took of an idle machine is not held against it. */
static double floor_of(const struct queue_meter *m)
{
    const struct queue_flow *least = NULL;
    for (const struct queue_flow *f = m->flows; f != NULL; f = f->next) {
        if (f->waiting > 0 && (least == NULL || taken(f) < taken(least))) {
            least = f;
        }
    }
    return least != NULL ? taken(least) : m->top;
}

static double weight_of(const struct queue_meter *m, const char *team)
{
    for (size_t i = 0; i < m->weights_len; i++) {
        if (strcmp(m->weights[i].team, team) == 0) {
            return m->weights[i].weight;
        }
    }
    return 1;
}

bool queue_meter_weigh(struct queue_meter *m, const char *team, double weight)
{
    ASSERT(weight > 0);
    size_t i = 0;
    while (i < m->weights_len && strcmp(m->weights[i].team, team) != 0) {
        i++;
    }
    if (i == QUEUE_WEIGHTS_MAX) {
        return false;
    }
    text_copy(m->weights[i].team, sizeof(m->weights[i].team), team);
    m->weights[i].weight = weight;
    m->weights_len += i == m->weights_len;
    struct queue_flow *f = queue_flow_find(m, team);
    if (f != NULL) {
        f->weight = weight;
    }
    return true;
}

struct queue_flow *queue_flow_enter(struct queue_meter *m, const char *team)
{
    struct queue_flow *f = queue_flow_find(m, team);
    double floor = floor_of(m);
    if (f == NULL) {
        f = mem_alloc(sizeof(*f));
        f->meter = m;
        text_copy(f->team, sizeof(f->team), team);
        f->weight = weight_of(m, f->team);
        f->next = m->flows;
        m->flows = f;
    }
    if (f->waiting == 0 && f->at < floor) {
        f->at = floor;
    }
    f->waiting++;
    return f;
}

void queue_flow_leave(struct queue_flow *f)
{
    ASSERT(f->waiting > 0);
    struct queue_meter *m = f->meter;
    f->waiting--;
    raise_top(f);
    if (f->waiting == 0 && f->in_service == 0) {
        queue_meter_trim(m);
    }
}

void queue_flow_charge(struct queue_flow *f, double tokens)
{
    f->at += tokens / f->weight;
    f->charged = tokens > 0 ? ++f->meter->charges : f->charged;
    raise_top(f);
}

void queue_flow_reserve(struct queue_flow *f, double tokens)
{
    f->reserved += tokens / f->weight;
    queue_flow_charge(f, tokens);
}

void queue_flow_settle(struct queue_flow *f, double reserved, double taken_of_it)
{
    f->at += (taken_of_it - reserved) / f->weight;
    f->reserved -= reserved / f->weight;
    f->reserved = f->reserved > 0 ? f->reserved : 0;
    raise_top(f);
}

double queue_flow_at(const struct queue_flow *f)
{
    return f->at;
}

int queue_flow_compare(const struct queue_flow *a, const struct queue_flow *b)
{
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    return a->charged < b->charged ? -1 : a->charged > b->charged;
}

const char *queue_flow_team(const struct queue_flow *f)
{
    return f->team;
}

/* An idle team at or under the floor is forgotten without loss: it would be lifted anyway. Of the
   others the one with the least to pay goes first. */
void queue_meter_trim(struct queue_meter *m)
{
    double floor = floor_of(m);
    for (;;) {
        struct queue_flow **least = NULL;
        size_t idle = 0;
        for (struct queue_flow **at = &m->flows; *at != NULL; at = &(*at)->next) {
            if ((*at)->waiting == 0 && (*at)->in_service == 0) {
                idle++;
                least = least == NULL || (*at)->at < (*least)->at ? at : least;
            }
        }
        if (idle <= QUEUE_IDLE_TEAMS_MAX && (idle <= QUEUE_IDLE_TEAMS_MAX / 2 ||
                                             (*least)->at > floor)) {
            return;
        }
        struct queue_flow *gone = *least;
        *least = gone->next;
        mem_free(gone);
    }
}
