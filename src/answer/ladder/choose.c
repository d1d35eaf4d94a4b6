/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rungs are worth asking: climbs compared at equal error on the same labelled tasks.
 *
 * Each way of climbing gets the loosest multiple m of the fields' target errors at which what it
 * answers alone keeps its error; what it then costs is machine time and people's time. Intervals:
 * Clopper-Pearson for shares, percentile bootstrap over tasks (fixed seed) for means and for the
 * paired saving against the full climb.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/ladder/ladder.h"
#include "answer/certify/certify.h"

#define RESAMPLES 2000
#define TRIALS_MAX 4096
#define MATERIAL 0.01 /* of the full climb's cost: less is not worth losing a rung's proposals */
#define FEWEST 12 /* trials below which nothing is chosen */

/* From nothing accepted to everything. */
static const double multiples[] = {0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12,
                                   1e9};

#define BIT(rung) (1u << (rung))
static const unsigned ways[LADDER_OPTIONS] = {
    BIT(LADDER_LEARNED),
    BIT(LADDER_LIGHT),
    BIT(LADDER_HEAVY),
    BIT(LADDER_LEARNED) | BIT(LADDER_LIGHT),
    BIT(LADDER_LEARNED) | BIT(LADDER_HEAVY),
    BIT(LADDER_LEARNED) | BIT(LADDER_LIGHT) | BIT(LADDER_HEAVY),
};

/* What one way of climbing made of one task. */
struct outcome {
    int fields, wrong; /* answered alone */
    bool person;
    double allowed;    /* sum of the targets of those answered */
    double ms;
};

static struct outcome climb(const struct ladder_trial *t, unsigned rungs, double m,
                            const double ms[LADDER_RUNG_COUNT])
{
    double held[LADDER_TRIAL_FIELDS] = {0};
    bool right[LADDER_TRIAL_FIELDS] = {false};
    struct outcome o = {0};
    bool open = true;
    for (int r = LADDER_LEARNED; r <= LADDER_HEAVY && open; r++) {
        if ((rungs & BIT(r)) == 0) {
            continue;
        }
        o.ms += ms[r];
        open = false;
        for (size_t f = 0; f < LADDER_TRIAL_FIELDS; f++) {
            if (t->field[f].target <= 0) {
                continue;
            }
            if (t->field[f].given[r] && t->field[f].confidence[r] > held[f]) {
                held[f] = t->field[f].confidence[r];
                right[f] = t->field[f].right[r];
            }
            open = open || held[f] < 1 - m * t->field[f].target;
        }
    }
    for (size_t f = 0; f < LADDER_TRIAL_FIELDS; f++) {
        double target = t->field[f].target;
        if (target > 0 && held[f] > 0 && held[f] >= 1 - m * target) {
            o.fields++;
            o.wrong += !right[f];
            o.allowed += target;
        }
    }
    o.person = open;
    return o;
}

/* The loosest multiple that keeps the error; the outcomes at it. */
static void settle(const struct ladder_trial *trials, size_t n, unsigned rungs,
                   const struct ladder_costs *costs, struct outcome *out)
{
    double best = multiples[0];
    for (size_t k = 1; k < COUNT_OF(multiples); k++) {
        double wrong = 0, allowed = 0;
        for (size_t i = 0; i < n; i++) {
            struct outcome o = climb(&trials[i], rungs, multiples[k], costs->ms);
            wrong += o.wrong;
            allowed += o.allowed;
        }
        best = wrong <= allowed ? multiples[k] : best;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = climb(&trials[i], rungs, best, costs->ms);
    }
}

/* ---- intervals ---- */

/* Clopper-Pearson, 95 %: 2.5 % on either side. */
static struct ladder_range share(size_t k, size_t n)
{
    return (struct ladder_range){.is = n > 0 ? (double)k / (double)n : 0,
                                 .low = certify_lower(k, n, 0.025),
                                 .high = certify_upper(k, n, 0.025)};
}

static double cost_of(const struct outcome *o, const struct ladder_costs *c)
{
    return o->ms / 3.6e6 * c->machine_hour + (o->person ? c->person_task : 0);
}

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void sort(double *x, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < n; i++) {
            double v = x[i];
            size_t k = i;
            for (; k >= gap && x[k - gap] > v; k -= gap) {
                x[k] = x[k - gap];
            }
            x[k] = v;
        }
    }
}

/* Mean of n values and its percentile interval; the same resamples for every call with one n. */
static struct ladder_range mean(const double *x, size_t n)
{
    static const size_t low = RESAMPLES / 40, high = RESAMPLES - 1 - RESAMPLES / 40;
    double *means = mem_alloc_array(RESAMPLES, sizeof(*means));
    struct ladder_range r = {0};
    uint64_t state = 5;
    for (size_t i = 0; i < n; i++) {
        r.is += x[i] / (double)n;
    }
    for (size_t k = 0; k < RESAMPLES; k++) {
        for (size_t i = 0; i < n; i++) {
            means[k] += x[next_random(&state) % n] / (double)n;
        }
    }
    sort(means, RESAMPLES);
    r.low = means[low];
    r.high = means[high];
    mem_free(means);
    return r;
}

static double per_hour(double ms)
{
    return ms > 0 ? 3.6e6 / ms : 0;
}

static void describe(struct ladder_option *o, const struct outcome *all, size_t n,
                     const struct ladder_costs *costs, double *scratch)
{
    size_t fields = 0, wrong = 0, person = 0;
    for (size_t i = 0; i < n; i++) {
        fields += (size_t)all[i].fields;
        wrong += (size_t)all[i].wrong;
        person += all[i].person;
        scratch[i] = all[i].ms;
    }
    struct ladder_range ms = mean(scratch, n);
    for (size_t i = 0; i < n; i++) {
        scratch[i] = cost_of(&all[i], costs);
    }
    o->error = share(wrong, fields);
    o->person = share(person, n);
    o->cost = mean(scratch, n);
    o->tasks_h = (struct ladder_range){per_hour(ms.is), per_hour(ms.high), per_hour(ms.low)};
}

/* ---- the choice ---- */

static bool is_measured(unsigned rungs, const struct ladder_costs *costs)
{
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        if ((rungs & BIT(r)) != 0 && costs->ms[r] < 0) {
            return false;
        }
    }
    return true;
}

static void rungs_text(unsigned rungs, char *out, size_t room)
{
    size_t at = 0;
    out[0] = '\0';
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        if ((rungs & BIT(r)) != 0 && at < room) {
            at += (size_t)snprintf(out + at, room - at, "%s%s", at > 0 ? " + " : "",
                                   ladder_rung_name((enum ladder_rung)r));
        }
    }
}

/* The cheapest against the climb with every measured rung, task by task. */
static void decide(struct ladder_choice *c, struct outcome *const *all,
                   const struct ladder_costs *costs, double *scratch)
{
    size_t full = c->options_len - 1, best = full;
    char name[48], whole[48];
    for (size_t i = 0; i < c->options_len; i++) {
        best = c->options[i].cost.is < c->options[best].cost.is ? i : best;
    }
    rungs_text(c->options[best].rungs, name, sizeof(name));
    rungs_text(c->options[full].rungs, whole, sizeof(whole));
    if (c->n < FEWEST) {
        (void)snprintf(c->why, sizeof(c->why), "%zu measured tasks are too few to choose by", c->n);
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        scratch[i] = cost_of(&all[full][i], costs) - cost_of(&all[best][i], costs);
    }
    struct ladder_range saved = mean(scratch, c->n);
    if (best == full) {
        c->chosen = (int)full;
        (void)snprintf(c->why, sizeof(c->why), "%s costs least at equal error", whole);
    } else if (saved.low > MATERIAL * c->options[full].cost.is) {
        c->chosen = (int)best;
        (void)snprintf(c->why, sizeof(c->why), "%s costs %.4g less a task than %s (%.4g to %.4g)",
                       name, saved.is, whole, saved.low, saved.high);
    } else {
        (void)snprintf(
            c->why, sizeof(c->why),
            "%s may cost less than %s, but not by 1 %% beyond chance (%.4g to %.4g a task)", name,
            whole, saved.low, saved.high);
    }
}

void ladder_choose(const struct ladder_trial *trials, size_t n, const struct ladder_costs *costs,
                   struct ladder_choice *out)
{
    struct outcome *all[LADDER_OPTIONS] = {NULL};
    memset(out, 0, sizeof(*out));
    out->chosen = -1;
    out->n = n < TRIALS_MAX ? n : TRIALS_MAX;
    if (out->n == 0) {
        (void)snprintf(out->why, sizeof(out->why), "nothing was measured");
        return;
    }
    double *scratch = mem_alloc_array(out->n, sizeof(*scratch));
    for (size_t k = 0; k < LADDER_OPTIONS; k++) {
        if (is_measured(ways[k], costs)) {
            size_t at = out->options_len++;
            all[at] = mem_alloc_array(out->n, sizeof(**all));
            settle(trials, out->n, ways[k], costs, all[at]);
            out->options[at].rungs = ways[k];
            describe(&out->options[at], all[at], out->n, costs, scratch);
        }
    }
    if (out->options_len > 1) {
        decide(out, all, costs, scratch);
    } else {
        (void)snprintf(out->why, sizeof(out->why), "only one way of climbing was measured");
    }
    for (size_t k = 0; k < LADDER_OPTIONS; k++) {
        mem_free(all[k]);
    }
    mem_free(scratch);
}
