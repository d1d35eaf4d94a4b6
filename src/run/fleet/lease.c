/* SPDX-License-Identifier: Apache-2.0 */
/* The lease on the cores: one worker steps at a time, because two busy thread pools on the same
   cores collapse to a tenth. Interactive first, then who has waited longest; a turn that has
   starved goes first. */
#include "run/fleet/fleet_internal.h"

#include "base/clock/clock.h"

static bool goes_before(const struct member *a, const struct member *b, int64_t now)
{
    bool a_starved = now - a->turn_since_us > FLEET_STARVED_US;
    bool b_starved = now - b->turn_since_us > FLEET_STARVED_US;
    if (a_starved != b_starved) {
        return a_starved;
    }
    if (!a_starved && a->turn.class != b->turn.class) {
        return a->turn.class < b->turn.class;
    }
    return a->turn_since_us < b->turn_since_us;
}

static void grant_next(struct fleet *f)
{
    struct member *best = NULL;
    int64_t now = clock_monotonic_us();
    for (struct member *m = f->members; m != NULL; m = m->next) {
        if (m->turn_granted) {
            return;
        }
        if (m->turn_waiting && (best == NULL || goes_before(m, best, now))) {
            best = m;
        }
    }
    if (best == NULL) {
        return;
    }
    best->turn_waiting = false;
    best->turn_granted = true;
    struct ipc_turn grant = best->turn;
    /* Alone on the cores there is nobody to hand over to: no bound. */
    grant.us = 0;
    for (struct member *m = f->members; m != NULL; m = m->next) {
        if (m != best && m->state == FLEET_READY) {
            grant.us = FLEET_LEASE_US;
        }
    }
    uint8_t body[IPC_TURN_BYTES];
    ipc_turn_put(body, &grant);
    member_send(best, IPC_TURN_GRANTED, 0, best->turn.step, body, sizeof(body), -1);
}

void lease_wanted(struct member *m, const struct ipc_turn *turn)
{
    if (m->turn_granted) { /* it would hold the cores and, as one that waits, never seem to hang */
        member_kill(m, "a turn asked for within a turn");
        return;
    }
    m->turn = *turn;
    m->turn_waiting = true;
    m->turn_since_us = clock_monotonic_us();
    grant_next(m->fleet);
}

static void grant_now(void *arg)
{
    struct fleet *f = arg;
    f->grant_timer = 0;
    grant_next(f);
}

/* A worker that has more to do asks for its next turn with the same write that ends this one: that
   is read first, or batch would get every second turn of a worker that people wait for. */
void lease_done(struct member *m)
{
    m->turn_granted = false;
    struct fleet *f = m->fleet;
    if (f->grant_timer == 0) {
        f->grant_timer = loop_timer_add(f->loop, 0, grant_now, f);
    }
}

void lease_forget(struct member *m)
{
    bool held = m->turn_granted;
    m->turn_waiting = false;
    m->turn_granted = false;
    if (held) {
        grant_next(m->fleet);
    }
}
