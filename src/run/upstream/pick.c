/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked next: weights, circuits, money. And what an attempt means for a server's health.
 *
 * A circuit opens after so many failures in a row, or at once when the key is refused. While it is
 * open nobody is sent there; when its time is up a cheap request (the list of models) finds out
 * whether the server is back. Then the circuit is half open: one call may try, and its outcome
 * closes the circuit, or opens it for twice as long (at most ten minutes).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock/clock.h"
#include "run/upstream/upstream_internal.h"

#define OPEN_MS_MAX 600000
#define PROBE_MS 5000
#define CIRCUIT_WAIT_MS 1000 /* nobody is kept waiting longer for a circuit to close */
#define COOL_MS_DEFAULT 1000 /* after a 429 that does not say for how long */

/* ---- money ---- */

int64_t upstream_price(int64_t tokens, int64_t nano_per_million)
{
    int64_t product;
    if (tokens < 0 || nano_per_million < 0 ||
        __builtin_mul_overflow(tokens, nano_per_million, &product) ||
        __builtin_add_overflow(product, 999999, &product)) {
        return -1;
    }
    return product / 1000000;
}

bool member_is_priced(const struct member *m)
{
    return m->server->on_prem || (m->price_in >= 0 && (m->embed || m->price_out >= 0));
}

static int64_t or_nought(int64_t price)
{
    return price < 0 ? 0 : price;
}

int64_t member_cost(const struct member *m, int64_t in, int64_t cached, int64_t out)
{
    int64_t a = upstream_price(in - cached, or_nought(m->price_in));
    int64_t b = upstream_price(cached, or_nought(m->price_cached));
    int64_t c = upstream_price(out, or_nought(m->price_out));
    int64_t sum;
    if (a < 0 || b < 0 || c < 0 || __builtin_add_overflow(a, b, &sum) ||
        __builtin_add_overflow(sum, c, &sum)) {
        return INT64_MAX / 4;
    }
    return sum;
}

void server_period(struct server *s, int64_t now_at)
{
    if (now_at >= s->from_at && now_at < s->to_at) {
        return;
    }
    time_t now = (time_t)(now_at / 1000000);
    struct tm t;
    gmtime_r(&now, &t);
    t.tm_sec = t.tm_min = t.tm_hour = 0;
    t.tm_mday = s->daily ? t.tm_mday : 1;
    s->from_at = (int64_t)timegm(&t) * 1000000;
    t.tm_mday += s->daily ? 1 : 0;
    t.tm_mon += s->daily ? 0 : 1;
    s->to_at = (int64_t)timegm(&t) * 1000000;
    s->spent = s->uncertain = 0;
}

/* ---- who ---- */

const char *pick_obstacle(struct upstream *u, struct member *m, int64_t estimate, char *room,
                          size_t size, int64_t *wait_ms)
{
    struct server *s = m->server;
    int64_t now = clock_monotonic_us();
    room[0] = '\0';
    *wait_ms = -1;
    server_period(s, clock_now_us());
    if (u->policy != NULL && policy_is_halted(u->policy, POLICY_UPSTREAM, s->name)) {
        (void)snprintf(room, size, "it is switched off");
    } else if (s->broken[0] != '\0') {
        (void)snprintf(room, size, "%s", s->broken);
    } else if (!member_is_priced(m)) {
        (void)snprintf(room, size, "the model \"%.60s\" has no price", m->remote);
    } else if (s->budget >= 0 && s->spent + s->reserved + estimate > s->budget) {
        (void)snprintf(room, size, "its budget of this %s is used up",
                       s->daily ? "day" : "month");
    } else if (s->circuit == UPSTREAM_OPEN) {
        int64_t left = s->open_until_us > now ? (s->open_until_us - now) / 1000 : 0;
        *wait_ms = left <= CIRCUIT_WAIT_MS ? left : -1;
        (void)snprintf(room, size, "its circuit is open for %" PRId64 " ms more (%.100s)", left,
                       s->last);
    } else if (s->circuit == UPSTREAM_HALF_OPEN && s->trial) {
        *wait_ms = 100;
        (void)snprintf(room, size, "its circuit is half open and another call is trying");
    } else if (m->cool_until_us > now) {
        *wait_ms = (m->cool_until_us - now) / 1000 + 1;
        (void)snprintf(room, size, "it asked for a pause of %" PRId64 " ms", *wait_ms);
    }
    return room;
}

static uint64_t draw(uint64_t below)
{
    uint64_t x = 0;
    (void)!getrandom(&x, sizeof(x), 0);
    return below > 0 ? x % below : 0;
}

struct member *pick(struct upstream *u, const struct call *c, int64_t *wait_ms, struct fault *why)
{
    struct member *able[64];
    size_t n = 0;
    uint64_t weights = 0;
    bool over_budget = false;
    struct buf reasons;
    buf_init(&reasons, 240);
    *wait_ms = -1;
    for (size_t pass = 0; pass < 2 && n == 0; pass++) {
        for (size_t i = 0; i < u->members_len && n < COUNT_OF(able); i++) {
            struct member *m = &u->members[i];
            char room[200];
            int64_t wait;
            bool tried = (c->tried & UINT64_C(1) << i) != 0;
            if (strcmp(m->pool, c->pool) != 0 || tried != (pass == 1)) {
                continue;
            }
            int64_t most = member_cost(m, c->made.tokens_in, 0, c->max_tokens);
            if (pick_obstacle(u, m, most, room, sizeof(room), &wait)[0] != '\0') {
                (void)buf_printf(&reasons, "%s%s: %s", reasons.len > 0 ? "; " : "",
                                 m->server->name, room);
                over_budget = over_budget || strstr(room, "its budget") == room;
                *wait_ms = wait >= 0 && (*wait_ms < 0 || wait < *wait_ms) ? wait : *wait_ms;
                continue;
            }
            able[n++] = m;
            weights += (uint64_t)m->weight;
        }
    }
    if (n == 0) {
        FAULT(why, over_budget ? FAIL_OVER_BUDGET : FAIL_MODEL_UNAVAILABLE,
              "no upstream can be asked for \"%.64s\": %s", c->pool,
              reasons.data != NULL ? reasons.data : "none is configured");
        fail_hint(why, "`inhouse upstreams` shows health, spend and circuits; "
                       "docs/reference/upstreams.md says what each needs.");
        if (*wait_ms >= 0) {
            fail_retry_after(why, (int)(*wait_ms / 1000) + 1);
        }
        buf_done(&reasons);
        return NULL;
    }
    buf_done(&reasons);
    uint64_t at = draw(weights);
    size_t k = 0;
    while (k + 1 < n && at >= (uint64_t)able[k]->weight) {
        at -= (uint64_t)able[k++]->weight;
    }
    return able[k];
}

/* ---- health ---- */

static void open_circuit(struct server *s);

static void probe_end(void *arg, enum upstream_outcome outcome, const char *note)
{
    struct server *s = arg;
    bool alive = outcome == UPSTREAM_ANSWERED || outcome == UPSTREAM_REFUSED ||
                 outcome == UPSTREAM_LIMITED; /* it may have no list of models */
    exchange_free(s->probe);
    s->probe = NULL;
    if (alive) {
        s->circuit = UPSTREAM_HALF_OPEN;
        s->trial = false;
    } else {
        (void)snprintf(s->last, sizeof(s->last), "%s: %.140s", upstream_outcome_name(outcome),
                       note);
        s->last_at = clock_now_us();
        open_circuit(s);
    }
}

static void probe_start(void *arg)
{
    struct server *s = arg;
    struct exchange_ask ask = {.path = s->dialect->probe_path,
                               .timeout_ms = PROBE_MS,
                               .on_end = probe_end,
                               .arg = s};
    s->probe_timer = 0;
    s->probes++;
    s->probe = exchange_start(s->line, &ask);
    if (s->probe == NULL) {
        open_circuit(s);
    }
}

static void open_circuit(struct server *s)
{
    if (s->circuit != UPSTREAM_CLOSED) {
        s->open_ms = s->open_ms * 2 > OPEN_MS_MAX ? OPEN_MS_MAX : s->open_ms * 2;
    } else {
        s->open_ms = s->first_open_ms;
    }
    s->circuit = UPSTREAM_OPEN;
    s->trial = false;
    s->open_until_us = clock_monotonic_us() + s->open_ms * 1000;
    if (s->probe_timer == 0 && s->probe == NULL && !s->u->stopping) {
        s->probe_timer = loop_timer_add(s->u->loop, s->open_ms, probe_start, s);
    }
}

void server_stop(struct server *s)
{
    loop_timer_cancel(s->u->loop, s->probe_timer);
    s->probe_timer = 0;
    exchange_free(s->probe);
    s->probe = NULL;
}

static bool is_blamed(enum upstream_outcome o)
{
    static const bool blame[] = {
#define OUTCOME(name, text, again, counts) counts,
#include "run/upstream/outcomes.def"
#undef OUTCOME
    };
    return blame[o];
}

void member_attempted(struct member *m, const struct upstream_attempt *a, bool was_trial)
{
    struct server *s = m->server;
    s->calls++;
    if (was_trial) {
        s->trial = false;
    }
    if (a->outcome == UPSTREAM_ANSWERED || a->outcome == UPSTREAM_REFUSED) {
        s->answered += a->outcome == UPSTREAM_ANSWERED;
        s->ms_mean = s->ms_mean == 0 ? a->ms : s->ms_mean * 0.9 + a->ms * 0.1;
        s->failures = 0;
        if (s->circuit == UPSTREAM_HALF_OPEN) {
            s->circuit = UPSTREAM_CLOSED;
        }
        return;
    }
    if (a->outcome == UPSTREAM_CANCELLED) {
        return;
    }
    (void)snprintf(s->last, sizeof(s->last), "%s: %.140s", upstream_outcome_name(a->outcome),
                   a->note);
    s->last_at = clock_now_us();
    if (a->outcome == UPSTREAM_LIMITED) {
        int64_t ms = a->retry_after_ms > 0 ? a->retry_after_ms : COOL_MS_DEFAULT;
        s->limited++;
        m->cool_until_us = clock_monotonic_us() + ms * 1000;
        return;
    }
    if (!is_blamed(a->outcome)) {
        return;
    }
    s->failed++;
    s->failures++;
    if (s->circuit == UPSTREAM_HALF_OPEN || a->outcome == UPSTREAM_KEY ||
        (s->circuit == UPSTREAM_CLOSED && s->failures >= s->limit_failures)) {
        open_circuit(s);
    }
}
