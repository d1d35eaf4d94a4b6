/* SPDX-License-Identifier: Apache-2.0 */
/* The first row whose conditions hold decides; each condition can say why it does not. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/route/route_internal.h"

#define NANO 1e9

const char *route_verdict_name(enum route_verdict v)
{
    static const char *const names[] = {"decided", "not_matched", "blocked", "not_asked"};
    return names[v];
}

/* ---- what may leave ---- */

enum route_leave route_row_lets_out(const struct route_row *row, enum secrecy label)
{
    bool named = (unsigned)label < SECRECY_COUNT && (row->labels & (1u << label)) != 0;
    if (!named || label >= SECRECY_RESTRICTED) {
        return ROUTE_NEVER;
    }
    return label == SECRECY_CONFIDENTIAL && row->leave != ROUTE_REDACTED ? ROUTE_NEVER : row->leave;
}

enum route_leave route_may_leave(const struct route_decision *d, enum secrecy label)
{
    if (d->go != ROUTE_HOSTED || (unsigned)label >= SECRECY_RESTRICTED) {
        return ROUTE_NEVER;
    }
    return label == SECRECY_CONFIDENTIAL && d->leave != ROUTE_REDACTED ? ROUTE_NEVER : d->leave;
}

/* ---- conditions: true when it holds; else why (may be NULL) says what is and what is asked
   ---- */

static void say(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(char *why, const char *fmt, ...)
{
    va_list ap;
    if (why == NULL) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(why, ROUTE_REASON_SIZE, fmt, ap);
    va_end(ap);
}

static const char *label_name(unsigned i)
{
    return secrecy_name((enum secrecy)i);
}

/* "a, b or c" of the bits. */
static const char *words(unsigned bits, const char *(*name_of)(unsigned), const char *last,
                         char out[96])
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; bits >> i != 0 && used < 90; i++) {
        if ((bits & (1u << i)) == 0) {
            continue;
        }
        const char *sep = used == 0 ? "" : bits >> (i + 1) != 0 ? ", " : last;
        int n = snprintf(out + used, 96 - used, "%s%s", sep, name_of(i));
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

static bool label_holds(const struct route_row *row, const struct route_facts *f, char *why)
{
    char list[96];
    if (row->labels == 0 || (row->labels & (1u << f->label)) != 0) {
        return true;
    }
    say(why, "label is %s, not %s", secrecy_name(f->label),
        words(row->labels, label_name, " or ", list));
    return false;
}

static bool name_holds(const struct route_names *names, const char *key, const char *is, char *why)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->list[i], is) == 0) {
            return true;
        }
    }
    if (names->n == 0) {
        return true;
    }
    say(why, "%s is %s, not %s%s", key, is[0] != '\0' ? is : "not known", names->list[0],
        names->n > 1 ? " or another of the row's" : "");
    return false;
}

static bool set_holds(const struct route_set *s, const char *key, unsigned is,
                      const char *(*name_of)(unsigned), char *why)
{
    char list[96], has[96];
    const char *now = is == 0 ? "nothing" : words(is, name_of, " and ", has);
    if (s->any != 0 && (s->any & is) == 0) {
        say(why, "%s is %s, not %s", key, now, words(s->any, name_of, " or ", list));
    } else if ((s->all & is) != s->all) {
        say(why, "%s is %s, not all of %s", key, now, words(s->all, name_of, " and ", list));
    } else if ((s->none & is) != 0) {
        say(why, "%s has %s", key, words(s->none & is, name_of, " and ", list));
    } else {
        return true;
    }
    return false;
}

static bool number_holds(const struct route_range *r, unsigned i, const struct route_facts *f,
                         char *why)
{
    const struct route_number_info *info = &route_number_info[i];
    double v = f->number[i];
    if (!r->has_min && !r->has_max) {
        return true;
    }
    if ((f->known & (1u << i)) == 0) {
        say(why, "%s is not known", info->key);
        return false;
    }
    if (r->has_min && !(r->min_open ? v > r->min : v >= r->min)) {
        say(why, "%s is %.4g, not %s %.4g %s", info->key, v, r->min_open ? "above" : "at least",
            r->min, info->unit);
        return false;
    }
    if (r->has_max && !(r->max_open ? v < r->max : v <= r->max)) {
        say(why, "%s is %.4g, not %s %.4g %s", info->key, v, r->max_open ? "below" : "at most",
            r->max, info->unit);
        return false;
    }
    return true;
}

/* Hours over midnight belong to the day they began on. */
static bool hours_hold(const struct route_hours *h, const struct route_facts *f, char *why)
{
    if (!h->set) {
        return true;
    }
    if (f->weekday < 0) {
        say(why, "the time of day is not known");
        return false;
    }
    int day = f->weekday;
    bool within = h->from == h->to || (f->minute >= h->from && f->minute < h->to);
    if (h->from > h->to) {
        within = f->minute >= h->from || f->minute < h->to;
        day = f->minute < h->to ? (day + 6) % 7 : day;
    }
    if (within && (h->days == 0 || (h->days & (1u << day)) != 0)) {
        return true;
    }
    say(why, "it is %s %02d:%02d, outside the row's hours", route_day_name((unsigned)f->weekday),
        f->minute / 60, f->minute % 60);
    return false;
}

static bool row_holds(const struct route_row *row, const struct route_facts *f, char *why)
{
    bool holds = label_holds(row, f, why) && name_holds(&row->teams, "team", f->team, why) &&
                 name_holds(&row->workflows, "workflow", f->workflow, why) &&
                 set_holds(&row->needs, "needs", f->needs, route_need_name, why) &&
                 set_holds(&row->roles, "local_roles", f->roles, route_role_name, why) &&
                 hours_hold(&row->hours, f, why);
    for (unsigned i = 0; holds && i < ROUTE_NUMBER_COUNT; i++) {
        holds = number_holds(&row->numbers[i], i, f, why);
    }
    return holds;
}

/* ---- lateness ---- */

int64_t route_late_cost(double wait_s, double service_s, double deadline_s, double cost_per_hour)
{
    double slack = deadline_s - service_s;
    double late = slack <= 0   ? wait_s - slack
                  : wait_s > 0 ? wait_s * exp(-slack / wait_s)
                               : 0;
    double nano = late / 3600 * cost_per_hour * NANO;
    return nano < 9e18 ? (int64_t)llround(nano) : INT64_MAX;
}

static bool knows(const struct route_facts *f, enum route_number n)
{
    return (f->known & (1u << n)) != 0;
}

/* Out, when lateness here costs more than the call and its own lateness. Without a predicted wait,
   a deadline, a price and a time outside nobody can say so, and it stays. */
static void try_spill(const struct route_row *row, const struct route_facts *f,
                      struct route_decision *d, char *why)
{
    if (!knows(f, ROUTE_WAIT_S) || !knows(f, ROUTE_DEADLINE_S) || !knows(f, ROUTE_PRICE) ||
        !knows(f, ROUTE_HOSTED_S)) {
        say(why, "its conditions hold; to spill, wait_s, deadline_s, price and hosted_s must be "
                 "known");
        return;
    }
    double service = knows(f, ROUTE_SERVICE_S) ? f->number[ROUTE_SERVICE_S] : 0;
    double due = f->number[ROUTE_DEADLINE_S];
    d->late_cost =
        route_late_cost(f->number[ROUTE_WAIT_S], service, due, row->late_cost_per_hour);
    d->hosted_cost = (int64_t)llround(f->number[ROUTE_PRICE] * NANO) +
                     route_late_cost(0, f->number[ROUTE_HOSTED_S], due, row->late_cost_per_hour);
    enum route_leave leave = route_row_lets_out(row, f->label);
    bool dearer = d->late_cost > d->hosted_cost;
    if (dearer && leave != ROUTE_NEVER) {
        d->go = ROUTE_HOSTED;
        d->leave = leave;
        d->upstream = row->upstream;
        d->spilled = true;
    }
    say(why, "its conditions hold; lateness here costs %.6f, the call %.6f%s",
        (double)d->late_cost / NANO, (double)d->hosted_cost / NANO,
        d->spilled ? ": it goes out"
        : dearer   ? ", but its label may not leave"
                   : ": it stays");
}

/* ---- the decision ---- */

static enum route_verdict ask_row(const struct route_rules *rules, size_t i,
                                  const struct route_facts *f, struct route_decision *d, char *why)
{
    const struct route_row *row = &rules->rows[i];
    if (!row_holds(row, f, why)) {
        return ROUTE_NOT_MATCHED;
    }
    enum route_leave leave = route_row_lets_out(row, f->label);
    if (row->go == ROUTE_HOSTED && leave == ROUTE_NEVER) {
        say(why, "its conditions hold, but %s may not leave by it", secrecy_name(f->label));
        return ROUTE_BLOCKED;
    }
    d->row = (int)i;
    d->name = row->name;
    d->go = row->go;
    say(why, "its conditions hold");
    if (row->go == ROUTE_HOSTED) {
        d->leave = leave;
        d->upstream = row->upstream;
    } else if (row->spill) {
        try_spill(row, f, d, why);
    }
    return ROUTE_DECIDED;
}

void route_explain(const struct route_rules *rules, const struct route_facts *f,
                   struct route_decision *out, struct route_step *steps)
{
    size_t n = rules != NULL ? rules->n : 0;
    bool stake = f->stake[0] != '\0';
    bool decided = stake;
    *out = (struct route_decision){.go = stake ? ROUTE_PERSON : ROUTE_LOCAL,
                                   .leave = ROUTE_NEVER,
                                   .row = -1,
                                   .name = stake ? "always_person" : "no_row",
                                   .upstream = "",
                                   .late_cost = -1,
                                   .hosted_cost = -1};
    for (size_t i = 0; i < n && (!decided || steps != NULL); i++) {
        char *why = steps != NULL ? steps[i].reason : NULL;
        enum route_verdict v = ROUTE_NOT_ASKED;
        if (!decided) {
            v = ask_row(rules, i, f, out, why);
        } else {
            say(why, stake ? "a stake goes to a person before any row" : "an earlier row decided");
        }
        decided = decided || v == ROUTE_DECIDED;
        if (steps != NULL) {
            steps[i].row = rules->rows[i].name;
            steps[i].verdict = v;
        }
    }
}

void route_decide(const struct route_rules *rules, const struct route_facts *f,
                  struct route_decision *out)
{
    route_explain(rules, f, out, NULL);
}

/* ---- saying it ---- */

static void add(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct buf *out, const char *fmt, ...)
{
    va_list ap;
    if (out->len > 0) {
        (void)buf_add_str(out, ", ");
    }
    va_start(ap, fmt);
    (void)buf_vprintf(out, fmt, ap);
    va_end(ap);
}

static void add_set(struct buf *out, const char *key, const struct route_set *s,
                    const char *(*name_of)(unsigned))
{
    char list[96];
    if (s->any != 0) {
        add(out, "%s %s", key, words(s->any, name_of, " or ", list));
    }
    if (s->all != 0) {
        add(out, "%s %s", key, words(s->all, name_of, " and ", list));
    }
    if (s->none != 0) {
        add(out, "%s without %s", key, words(s->none, name_of, " and ", list));
    }
}

static void add_names(struct buf *out, const char *key, const struct route_names *n)
{
    for (size_t i = 0; i < n->n; i++) {
        if (i == 0) {
            add(out, "%s %s", key, n->list[i]);
        } else {
            (void)buf_printf(out, " or %s", n->list[i]);
        }
    }
}

void route_rules_conditions(const struct route_rules *r, size_t i, struct buf *out)
{
    const struct route_row *row = &r->rows[i];
    char list[96];
    if (row->labels != 0) {
        add(out, "label %s", words(row->labels, label_name, " or ", list));
    }
    add_names(out, "team", &row->teams);
    add_names(out, "workflow", &row->workflows);
    add_set(out, "needs", &row->needs, route_need_name);
    add_set(out, "local_roles", &row->roles, route_role_name);
    if (row->hours.set) {
        unsigned days = row->hours.days != 0 ? row->hours.days : 0x7f;
        add(out, "%s", words(days, route_day_name, " or ", list));
        if (row->hours.from != row->hours.to) {
            (void)buf_printf(out, " %02d:%02d to %02d:%02d", row->hours.from / 60,
                             row->hours.from % 60, row->hours.to / 60, row->hours.to % 60);
        }
    }
    for (unsigned k = 0; k < ROUTE_NUMBER_COUNT; k++) {
        const struct route_range *g = &row->numbers[k];
        if (g->has_min) {
            add(out, "%s %s %.6g", route_number_info[k].key, g->min_open ? "above" : "at least",
                g->min);
        }
        if (g->has_max) {
            add(out, "%s %s %.6g", route_number_info[k].key, g->max_open ? "below" : "at most",
                g->max);
        }
    }
    if (out->len == 0) {
        (void)buf_add_str(out, "always");
    }
}

static void put_money(struct jn_writer *w, const char *key, int64_t nano)
{
    char text[48];
    if (nano >= 0) {
        snprintf(text, sizeof(text), "%lld.%09lld", (long long)(nano / 1000000000),
                 (long long)(nano % 1000000000));
        jn_kv_str(w, key, text);
    }
}

static void put_decision(struct jn_writer *w, const struct route_rules *rules,
                         const struct route_decision *d)
{
    jn_kv_str(w, "rules", rules != NULL ? rules->release : "");
    jn_kv_str(w, "row", d->name);
    jn_kv_str(w, "go", route_go_name(d->go));
    jn_kv_str(w, "leave", route_leave_name(d->leave));
    if (d->upstream[0] != '\0') {
        jn_kv_str(w, "upstream", d->upstream);
    }
    if (d->spilled) {
        jn_kv_bool(w, "spilled", true);
    }
    put_money(w, "late_cost", d->late_cost);
    put_money(w, "hosted_cost", d->hosted_cost);
}

void route_record_put(struct jn_writer *w, const struct route_rules *rules,
                      const struct route_decision *d, const struct route_facts *f)
{
    jn_object_begin(w);
    put_decision(w, rules, d);
    jn_key(w, "facts");
    route_facts_put(w, f);
    jn_object_end(w);
}

static void put_because(struct jn_writer *w, const struct route_rules *rules,
                        const struct route_facts *f, const struct route_decision *d)
{
    char text[400];
    if (f->stake[0] != '\0') {
        snprintf(text, sizeof(text), "%s always goes to a person", f->stake);
    } else if (d->row < 0) {
        snprintf(text, sizeof(text), "no row matched: it stays here");
    } else {
        snprintf(text, sizeof(text), "%s", rules->rows[d->row].why);
    }
    jn_kv_str(w, "because", text);
}

void route_explain_put(struct jn_writer *w, const struct route_rules *rules,
                       const struct route_facts *f)
{
    size_t n = rules != NULL ? rules->n : 0;
    struct route_step *steps = mem_alloc_array(n + 1, sizeof(*steps));
    struct route_decision d;
    route_explain(rules, f, &d, steps);
    jn_object_begin(w);
    put_decision(w, rules, &d);
    put_because(w, rules, f, &d);
    jn_key(w, "facts");
    route_facts_put(w, f);
    jn_key(w, "rows");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "row", steps[i].row);
        jn_kv_str(w, "verdict", route_verdict_name(steps[i].verdict));
        jn_kv_str(w, "reason", steps[i].reason);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_object_end(w);
    mem_free(steps);
}
