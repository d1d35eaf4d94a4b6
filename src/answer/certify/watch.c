/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: the betting e-process on audited answers, and how many of them it takes.
 *
 * Owns nothing. Threads: pure.
 */
#include "answer/certify/certify_internal.h"

#include <math.h>
#include <string.h>

#define DRIFT 3.0        /* the change to be found: the error is so many times its target */
#define LIVE_AT_START 0.5
#define BET_MIN 2.0      /* the bet never expects less than so many times the target */
#define BET_CAP 0.5      /* of the largest bet that could lose everything, 1 / target */
#define EXPECTED_DRAWS 1.5 /* weight of the expectation, in draws that hold one error at target */

void certify_watch_begin(struct certify_watch *w, double target, double delta, double planned)
{
    *w = (struct certify_watch){.target = target, .delta = delta, .live = LIVE_AT_START,
                                .cash = 1 - LIVE_AT_START};
    w->step = w->cash / (planned < 1 ? 1 : planned);
}

/* Kelly's fraction against odds of `target` when the error is `p`. */
static double kelly(double p, double target)
{
    double most = BET_CAP / target;
    double bet = (p - target) / (target * (1 - target));
    return bet < 0 ? 0 : bet > most ? most : bet;
}

bool certify_watch_feed(struct certify_watch *w, bool wrong)
{
    double prior = EXPECTED_DRAWS / w->target;
    double p = (DRIFT * w->target * prior + w->wrong) / (prior + w->seen);
    double least = BET_MIN * w->target;
    double bet = kelly(p < least ? least : p, w->target);
    double go = w->step < w->cash ? w->step : w->cash;
    w->cash -= go;
    w->live = (w->live + go) * (1 + bet * ((wrong ? 1 : 0) - w->target));
    /* What is long past says little of what changed since. */
    double fade = 1 - w->target / (2 * EXPECTED_DRAWS);
    w->seen = fade * w->seen + 1;
    w->wrong = fade * w->wrong + (wrong ? 1 : 0);
    w->n++;
    w->errors += wrong ? 1 : 0;
    return certify_watch_wealth(w) * w->delta >= 1;
}

double certify_watch_wealth(const struct certify_watch *w)
{
    return w->cash + w->live;
}

/* Draws after which the log of the wealth that the change meets has passed log(1 / delta) with the
   power asked for: n g - z sqrt(n v) = needed, g and v the mean and variance of one draw's log. */
static double draws_for(double target, double delta, double z, double planned)
{
    double p = DRIFT * target;
    if (p > 0.95) {
        p = 0.95;
    }
    double bet = kelly(p, target);
    double up = log1p(bet * (1 - target));
    double down = log1p(-bet * target);
    double g = p * up + (1 - p) * down;
    double v = p * (1 - p) * (up - down) * (up - down);
    /* The money that goes live around the change: what does in the draws of three e-foldings. */
    double share = 3 * (1 - LIVE_AT_START) / (g * planned);
    double needed = log(1 / delta) - log(share < LIVE_AT_START ? share : LIVE_AT_START);
    double root = (z * sqrt(v) + sqrt(z * z * v + 4 * g * needed)) / (2 * g);
    return root * root;
}

/* Quantile of the standard normal; Acklam's rational approximation is not needed for two digits:
   bisection of erfc. */
static double normal_quantile(double share)
{
    double lo = -8;
    double hi = 8;
    for (int i = 0; i < 60; i++) {
        double mid = (lo + hi) / 2;
        if (0.5 * erfc(-mid / sqrt(2)) < share) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Draws for find_days: more draws a day make a longer season, so to the fixed point. */
static double draws_in(double target, double delta, double z, double find_days)
{
    double draws = 1000;
    for (int i = 0; i < 50; i++) {
        draws = ceil(draws_for(target, delta, z, draws / find_days * CERTIFY_SEASON_DAYS));
    }
    return draws;
}

void certify_audit_plan(double target, double delta, double power, double find_days, double most,
                        double per_day, struct certify_plan *out)
{
    double z = normal_quantile(power);
    *out = (struct certify_plan){.days = find_days};
    out->draws = draws_in(target, delta, z, out->days);
    while (out->draws > most * per_day * out->days && out->days + 1 <= CERTIFY_SEASON_DAYS) {
        out->days++;
        out->draws = draws_in(target, delta, z, out->days);
    }
    out->rate = per_day > 0 ? out->draws / (per_day * out->days) : 1;
    if (out->rate > 1) {
        out->rate = 1;
        out->days = per_day > 0 ? out->draws / per_day : INFINITY;
    }
    double drawn = per_day * out->rate * CERTIFY_SEASON_DAYS;
    out->planned = drawn < 1 ? 1 : drawn;
}

bool certify_is_drawn(const struct id *task, double rate)
{
    static const char purpose[] = "inhouse audit sample";
    uint8_t in[sizeof(purpose) + sizeof(task->bytes)];
    uint8_t hash[32];
    memcpy(in, purpose, sizeof(purpose));
    memcpy(in + sizeof(purpose), task->bytes, sizeof(task->bytes));
    text_sha256(in, sizeof(in), hash);
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) {
        x = x << 8 | hash[i];
    }
    return (double)(x >> 11) * 0x1p-53 < rate;
}
