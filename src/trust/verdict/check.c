/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking: each detector is asked once, for what any rule wants; each rule takes its findings.
 * Owns: results. Threads: pure. Limits: VERDICT_MAX_HITS; a pattern is given STEPS steps.
 */
#include <stdio.h>
#include <string.h>

#include "trust/verdict/verdict_internal.h"

#define STEPS 500000

struct checking {
    const struct verdict_ask *ask;
    struct verdict_result *out;
    const struct verdict_rule *rule;
    int count; /* of the rule's findings */
    size_t first;
};

static bool has(const struct verdict_names *names, const char *name)
{
    bool found = names->n == 0;
    for (size_t i = 0; i < names->n && !found; i++) {
        found = strcmp(names->list[i], name) == 0;
    }
    return found;
}

static bool applies(const struct verdict_rule *r, enum verdict_side side, const char *team,
                    const char *workflow)
{
    return (side == VERDICT_IN ? r->in : r->out) && has(&r->teams, team) &&
           has(&r->workflows, workflow);
}

bool verdict_rules_apply(const struct verdict_rules *r, enum verdict_side side, const char *team,
                         const char *workflow)
{
    for (size_t i = 0; i < r->n; i++) {
        if (applies(&r->rules[i], side, team, workflow)) {
            return true;
        }
    }
    return false;
}

bool verdict_rules_slow(const struct verdict_rules *r, enum verdict_side side, const char *team,
                        const char *workflow)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct verdict_rule *one = &r->rules[i];
        if ((one->style != NULL || one->ungrounded) && applies(one, side, team, workflow)) {
            return true;
        }
    }
    return false;
}

bool verdict_rules_by_word(const struct verdict_rules *r, enum verdict_side side, const char *team,
                           const char *workflow)
{
    static const uint32_t words = GUARD_BIT(GUARD_KIND_EMAIL) | GUARD_BIT(GUARD_KIND_LINK) |
                                  GUARD_BIT(GUARD_KIND_IP) | GUARD_BIT(GUARD_KIND_MAC) |
                                  GUARD_BIT(GUARD_KIND_IBAN) | GUARD_BIT(GUARD_KIND_SECRET);
    for (size_t i = 0; i < r->n; i++) {
        const struct verdict_rule *one = &r->rules[i];
        bool simple = (one->kinds & ~words) == 0 && one->oddities == 0 && one->harms == 0 &&
                      !one->injection && !one->foreign_link && !one->ungrounded &&
                      one->terms == NULL && one->pattern == NULL && one->style == NULL &&
                      one->at_least == 1;
        if (!simple && one->verdict > VERDICT_ALLOW && applies(one, side, team, workflow)) {
            return false;
        }
    }
    return true;
}

struct guard_lists *verdict_rules_lists(const struct verdict_rules *r, const char *team,
                                        const char *workflow)
{
    struct guard_lists *lists = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct verdict_rule *one = &r->rules[i];
        if (one->terms != NULL && has(&one->teams, team) && has(&one->workflows, workflow)) {
            lists = lists != NULL ? lists : guard_lists_new();
            guard_lists_join(lists, one->terms);
        }
    }
    return lists;
}

static void hit(struct checking *c, const char *found, size_t from, size_t to)
{
    struct verdict_result *o = c->out;
    c->count++;
    if (o->n == VERDICT_MAX_HITS) {
        o->dropped++;
        return;
    }
    if (o->items == NULL) {
        o->items = mem_alloc_array(VERDICT_MAX_HITS, sizeof(*o->items));
    }
    o->items[o->n++] = (struct verdict_hit){c->rule->name, c->rule->why, found, c->rule->verdict,
                                            from, to};
}

/* ---- detectors ---- */

static void values(struct checking *c)
{
    const struct verdict_rule *r = c->rule;
    struct guard_scan o = {r->kinds, r->kinds & GUARD_TAGGED, NULL, r->terms};
    struct guard_findings f = {0};
    if (r->kinds == 0 || !guard_scan(c->ask->text, c->ask->n, &o, &f)) {
        return;
    }
    for (size_t i = 0; i < f.n; i++) {
        hit(c, guard_kind_name(f.items[i].kind), f.items[i].from, f.items[i].to);
    }
    guard_findings_done(&f);
}

static void oddities(struct checking *c)
{
    struct screen_clean clean;
    if (c->rule->oddities == 0 || !screen_clean(c->ask->text, c->ask->n, &clean)) {
        return;
    }
    unsigned seen = clean.seen & c->rule->oddities;
    for (unsigned bit = 1; seen != 0 && bit <= SCREEN_INVALID; bit <<= 1) {
        if ((seen & bit) != 0) {
            hit(c, screen_oddity_name(bit), clean.first,
                clean.first < c->ask->n ? clean.first + 1 : clean.first);
        }
    }
    screen_clean_done(&clean);
}

static void marks(struct checking *c, const struct screen_marks *m, const char *only)
{
    for (size_t i = 0; i < m->n; i++) {
        if (only == NULL || strcmp(m->items[i].rule, only) == 0) {
            hit(c, m->items[i].rule, m->items[i].from, m->items[i].to);
        }
    }
}

static void pattern(struct checking *c)
{
    if (c->rule->pattern == NULL) {
        return;
    }
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, STEPS);
    for (size_t at = 0; at <= c->ask->n && c->count < VERDICT_MAX_HITS;) {
        int got = pcre2_match(c->rule->pattern, (PCRE2_SPTR)c->ask->text, c->ask->n, at, 0, data,
                              limits);
        if (got < 0) {
            /* it could not be looked at to the end: as if it were there */
            if (got != PCRE2_ERROR_NOMATCH) {
                hit(c, "pattern_given_up", at, at);
            }
            break;
        }
        PCRE2_SIZE *v = pcre2_get_ovector_pointer(data);
        hit(c, "pattern", v[0], v[1]);
        at = v[1] > v[0] ? v[1] : v[1] + 1;
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
}

/* Brand rules, whatever their level: the verdict is the rule's. */
static void brand(struct checking *c)
{
    struct style_alerts a = {0};
    if (c->rule->style == NULL) {
        return;
    }
    if (!style_check(c->rule->style, c->ask->text, c->ask->n, true, &a)) {
        hit(c, "too_long_for_style", 0, c->ask->n); /* not looked at: as if it were there */
        return;
    }
    for (size_t i = 0; i < a.n; i++) {
        hit(c, a.items[i].rule, a.items[i].from, a.items[i].to);
    }
    if (a.given_up > 0) {
        hit(c, "pattern_given_up", 0, 0);
    }
    style_alerts_done(&a);
}

static void support(struct checking *c)
{
    size_t from = 0;
    size_t to = 0;
    if (!c->rule->ungrounded || c->ask->side == VERDICT_IN) {
        return;
    }
    if (c->ask->grounded == NULL) {
        c->out->not_assessed = true;
    } else if (!c->ask->grounded(c->ask->arg, c->ask->text, c->ask->n, &from, &to)) {
        hit(c, "ungrounded", from, to);
    }
}

/* ---- rules ---- */

struct seen {
    struct screen_marks injection, harm, links;
};

static void look_once(const struct verdict_rules *r, const struct verdict_ask *ask, struct seen *s)
{
    bool injection = false, harm = false, links = false;
    for (size_t i = 0; i < r->n; i++) {
        if (applies(&r->rules[i], ask->side, ask->team, ask->workflow)) {
            injection = injection || r->rules[i].injection;
            harm = harm || r->rules[i].harms != 0;
            links = links || r->rules[i].foreign_link;
        }
    }
    if (injection) {
        screen_injection(ask->text, ask->n, &s->injection);
    }
    if (harm) {
        screen_harmful(ask->text, ask->n, &s->harm);
    }
    if (links && ask->side == VERDICT_OUT) {
        screen_links(ask->text, ask->n, ask->sources, ask->sources_n, &s->links);
    }
}

static void check_rule(struct checking *c, const struct seen *s)
{
    c->count = 0;
    c->first = c->out->n;
    values(c);
    oddities(c);
    pattern(c);
    brand(c);
    support(c);
    if (c->rule->injection) {
        marks(c, &s->injection, NULL);
    }
    if (c->rule->foreign_link) {
        marks(c, &s->links, NULL);
    }
    for (int h = 0; h < SCREEN_HARM_COUNT; h++) {
        if ((c->rule->harms >> h & 1) != 0) {
            marks(c, &s->harm, screen_harm_name((enum screen_harm)h));
        }
    }
    if (c->count < c->rule->at_least) {
        c->out->n = c->first;
    } else if (c->rule->verdict > c->out->verdict) {
        c->out->verdict = c->rule->verdict;
    }
}

bool verdict_check(const struct verdict_rules *r, const struct verdict_ask *ask,
                   struct verdict_result *out)
{
    struct checking c = {.ask = ask, .out = out};
    struct seen s = {0};
    *out = (struct verdict_result){0};
    if (ask->n > GUARD_MAX_TEXT) {
        return false;
    }
    look_once(r, ask, &s);
    for (size_t i = 0; i < r->n; i++) {
        c.rule = &r->rules[i];
        if (applies(c.rule, ask->side, ask->team, ask->workflow)) {
            check_rule(&c, &s);
        }
    }
    screen_marks_done(&s.injection);
    screen_marks_done(&s.harm);
    screen_marks_done(&s.links);
    return true;
}

void verdict_result_done(struct verdict_result *v)
{
    mem_free(v->items);
    *v = (struct verdict_result){0};
}

/* ---- what follows ---- */

bool verdict_redact(const struct verdict_result *v, const char *text, size_t n, struct buf *out)
{
    size_t before = out->len;
    bool good = true;
    for (size_t at = 0; at < n && good;) {
        const struct verdict_hit *next = NULL;
        for (size_t i = 0; i < v->n; i++) {
            const struct verdict_hit *h = &v->items[i];
            if (h->verdict == VERDICT_REDACT && h->from >= at && h->to > h->from && h->to <= n &&
                (next == NULL || h->from < next->from ||
                 (h->from == next->from && h->to > next->to))) {
                next = h;
            }
        }
        size_t end = next != NULL ? next->from : n;
        good = buf_add(out, text + at, end - at);
        if (next != NULL) {
            enum guard_kind k = guard_kind_find(next->found);
            good = good && buf_add_str(out, k != GUARD_KIND_COUNT ? guard_placeholder(k)
                                                                  : "[REMOVED]");
        }
        at = next != NULL ? next->to : n;
        for (size_t i = 0; next != NULL && i < v->n; i++) { /* what overlaps goes with it */
            const struct verdict_hit *h = &v->items[i];
            at = h->verdict == VERDICT_REDACT && h->from < at && h->to > at && h->to <= n ? h->to
                                                                                          : at;
        }
    }
    if (!good) {
        out->len = before;
        if (out->data != NULL) {
            out->data[before] = '\0';
        }
    }
    return good;
}

void verdict_put(struct jn_writer *w, const struct verdict_result *v)
{
    jn_object_begin(w);
    jn_kv_str(w, "verdict", verdict_name(v->verdict));
    jn_key(w, "hits");
    jn_array_begin(w);
    for (size_t i = 0; i < v->n; i++) {
        const struct verdict_hit *h = &v->items[i];
        jn_object_begin(w);
        jn_kv_str(w, "rule", h->rule);
        jn_kv_str(w, "verdict", verdict_name(h->verdict));
        jn_kv_str(w, "found", h->found);
        jn_kv_int(w, "from", (int64_t)h->from);
        jn_kv_int(w, "to", (int64_t)h->to);
        jn_kv_str(w, "why", h->why);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_kv_int(w, "dropped", (int64_t)v->dropped);
    jn_kv_bool(w, "not_assessed", v->not_assessed);
    jn_object_end(w);
}

static void put_names(struct jn_writer *w, const char *key, const struct verdict_names *names)
{
    jn_key(w, key);
    jn_array_begin(w);
    for (size_t i = 0; i < names->n; i++) {
        jn_put_str(w, names->list[i]);
    }
    jn_array_end(w);
}

void verdict_rules_put(struct jn_writer *w, const struct verdict_rules *r)
{
    jn_array_begin(w);
    for (size_t i = 0; i < r->n; i++) {
        const struct verdict_rule *one = &r->rules[i];
        jn_object_begin(w);
        jn_kv_str(w, "rule", one->name);
        jn_kv_str(w, "side", one->in && one->out ? "both" : one->in ? "in" : "out");
        jn_kv_str(w, "verdict", verdict_name(one->verdict));
        put_names(w, "team", &one->teams);
        put_names(w, "workflow", &one->workflows);
        jn_kv_str(w, "why", one->why);
        jn_object_end(w);
    }
    jn_array_end(w);
}
