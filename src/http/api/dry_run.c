/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /api/v1/guard/dry-run: rules of what may pass held against past tasks before they are
 * switched on: how many texts each would have touched, with samples. Only tasks that the caller may
 * read are looked at; nothing is changed.
 * Threads: a crunch thread. Limits: PAST_MAX tasks, SAMPLES a rule of SAMPLE_BYTES.
 */
#include "http/api/api_internal.h"

#include <string.h>

#include "trust/verdict/verdict.h"

#define PAST_MAX 5000
#define SAMPLES 5
#define SAMPLE_BYTES 80

struct sample {
    char task[TEXT_ID_SIZE];
    char found[96], text[SAMPLE_BYTES + 1];
    bool out;
    size_t from, to;
};

struct tally {
    const char *rule; /* the rules' own */
    enum verdict verdict;
    int64_t texts, hits;
    struct sample samples[SAMPLES];
    size_t samples_n;
};

struct dry_run {
    const char *yaml; /* NULL: the active rules */
    const char *workflow;
    const char *team; /* NULL: every team's */
    char own_team[KEYRING_NAME_SIZE];
    int64_t most;
    struct verdict_rules *rules;
    struct tally tallies[VERDICT_MAX_RULES];
    size_t n;
    int64_t texts, by_verdict[VERDICT_COUNT], not_assessed, too_long;
};

static struct tally *tally_of(struct dry_run *d, const struct verdict_hit *h)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->tallies[i].rule == h->rule) {
            return &d->tallies[i];
        }
    }
    ASSERT(d->n < VERDICT_MAX_RULES); /* as many as the rule set can have */
    d->tallies[d->n] = (struct tally){.rule = h->rule, .verdict = h->verdict};
    return &d->tallies[d->n++];
}

static void add_sample(struct tally *t, const struct task_past *past, const struct verdict_hit *h)
{
    struct sample *s = &t->samples[t->samples_n++];
    size_t len = h->to - h->from;
    len = len > SAMPLE_BYTES ? text_utf8_cut(past->text + h->from, SAMPLE_BYTES) : len;
    (void)text_copy(s->task, sizeof(s->task), past->task);
    (void)text_copy(s->found, sizeof(s->found), h->found);
    memcpy(s->text, past->text + h->from, len);
    s->text[len] = '\0';
    s->out = past->out;
    s->from = h->from;
    s->to = h->to;
}

static void try_text(void *arg, const struct task_past *past)
{
    struct dry_run *d = arg;
    struct verdict_result v;
    struct verdict_ask ask = {.side = past->out ? VERDICT_OUT : VERDICT_IN,
                              .team = d->own_team,
                              .workflow = past->workflow,
                              .text = past->text,
                              .n = strlen(past->text)};
    if (!verdict_check(d->rules, &ask, &v)) {
        d->too_long++;
        return;
    }
    const char *before = NULL;
    d->texts++;
    d->by_verdict[v.verdict]++;
    d->not_assessed += v.not_assessed ? 1 : 0;
    for (size_t i = 0; i < v.n; i++) {
        const struct verdict_hit *h = &v.items[i];
        struct tally *t = tally_of(d, h);
        t->hits++;
        if (before != h->rule) {
            t->texts++;
            if (t->samples_n < SAMPLES) {
                add_sample(t, past, h);
            }
        }
        before = h->rule;
    }
    verdict_result_done(&v);
}

static void put_tally(struct jn_writer *w, const struct tally *t)
{
    jn_object_begin(w);
    jn_kv_str(w, "rule", t->rule);
    jn_kv_str(w, "verdict", verdict_name(t->verdict));
    jn_kv_int(w, "texts", t->texts);
    jn_kv_int(w, "hits", t->hits);
    jn_key(w, "samples");
    jn_array_begin(w);
    for (size_t i = 0; i < t->samples_n; i++) {
        const struct sample *s = &t->samples[i];
        jn_object_begin(w);
        jn_kv_str(w, "task", s->task);
        jn_kv_str(w, "side", s->out ? "out" : "in");
        jn_kv_str(w, "found", s->found);
        jn_kv_int(w, "from", (int64_t)s->from);
        jn_kv_int(w, "to", (int64_t)s->to);
        jn_kv_str(w, "text", s->text);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_object_end(w);
}

static void send_result(struct wire_request *r, const struct dry_run *d,
                        const struct task_past_count *count)
{
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "release", verdict_rules_release(d->rules));
    jn_kv_int(&w, "tasks", count->tasks);
    jn_kv_int(&w, "gone", count->gone);
    jn_kv_int(&w, "texts", d->texts);
    for (int v = 0; v < VERDICT_COUNT; v++) {
        jn_kv_int(&w, verdict_name((enum verdict)v), d->by_verdict[v]);
    }
    jn_kv_int(&w, "not_assessed", d->not_assessed);
    jn_kv_int(&w, "too_long", d->too_long);
    jn_key(&w, "rules");
    jn_array_begin(&w);
    for (size_t i = 0; i < d->n; i++) {
        put_tally(&w, &d->tallies[i]);
    }
    jn_array_end(&w);
    api_send(r, 200, &w);
}

static enum fail read_rules(struct dry_run *d, struct store_conn *conn, struct fault *why)
{
    if (d->yaml == NULL) {
        return verdict_release_active(conn, &d->rules, why);
    }
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    enum fail f = verdict_rules_read(d->yaml, strlen(d->yaml), "rules", &d->rules, faults, why);
    mem_free(faults);
    return f;
}

static void run(struct api *a, struct wire_request *r, void *arg)
{
    struct dry_run *d = arg;
    struct task_past_count count;
    struct fault why;
    struct store_conn *conn = api_reader_take(a, &why);
    if (conn == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    enum fail f = read_rules(d, conn, &why);
    f = f != FAIL_NONE ? f
                       : task_past_each(conn, a->h.audit, d->team, d->workflow, d->most, try_text,
                                        d, &count, &why);
    api_reader_give(a, conn);
    if (f == FAIL_NONE) {
        send_result(r, d, &count);
    } else {
        wire_fail(r, f, &why);
    }
    verdict_rules_unref(d->rules);
}

static const char *keep(struct wire_request *r, const char *s)
{
    size_t n = s != NULL ? strlen(s) + 1 : 0;
    return n > 0 ? memcpy(wire_alloc(r, n), s, n) : NULL;
}

void api_guard_dry_run(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"rules", "past", "workflow", NULL};
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct dry_run *d = wire_alloc(r, sizeof(*d));
    memset(d, 0, sizeof(*d));
    d->most = 500;
    enum fail f = jn_str(body, "rules", false, VERDICT_MAX_BYTES, &d->yaml, &why);
    f = f != FAIL_NONE ? f : jn_int(body, "past", false, 1, PAST_MAX, &d->most, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "workflow", false, 64, &d->workflow, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    const struct principal *who = api_who(r);
    d->yaml = keep(r, d->yaml);
    d->workflow = keep(r, d->workflow);
    (void)text_copy(d->own_team, sizeof(d->own_team), who->team);
    d->team = policy_is_admin(who) ? NULL : d->own_team;
    api_on_crunch(arg, r, run, d);
}
