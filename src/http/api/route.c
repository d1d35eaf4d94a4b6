/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1/route: which decision rules serve, a new rule set proposed and approved, and why a
 * request or a recorded task may be answered where.
 * Threads: reading on http threads, the desk on core, writes through the store.
 */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/route/route.h"

#define FACTS_BYTES ((size_t)16 * 1024)

/* ---- explaining ---- */

struct explain {
    struct task_request q;
    char *facts; /* JSON text of what the caller wants tried; jansson's */
};

static void explain_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct explain *e = arg;
    struct buf body;
    struct fault why;
    buf_init(&body, API_ANSWER_BYTES);
    enum fail f = task_route_explain(a->h.desk, &e->q, e->facts,
                                     e->facts != NULL ? strlen(e->facts) : 0, &body, &why);
    free(e->facts); /* tidy: memory: jansson's own */
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    wire_reply(r, 200, NULL, &body);
}

static char *kept(struct wire_request *r, const char *s)
{
    size_t n = s != NULL ? strlen(s) : 0;
    char *copy = wire_alloc(r, n + 1);
    memcpy(copy, s != NULL ? s : "", n);
    return copy;
}

void api_route_explain(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"workflow", "input", "class",    "rungs",
                                       "label",    "draft", "artifact", "deadline_ms",
                                       "facts",    "needs", NULL};
    struct explain *e = wire_alloc(r, sizeof(*e));
    struct fault why;
    json_t *facts = NULL;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    e->q = (struct task_request){.kind = TASK_FORM, .who = *api_who(r)};
    enum fail f = api_task_read(body, &e->q, &why);
    if (f == FAIL_NONE) {
        f = jn_object(body, "facts", false, &facts, &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    e->q.workflow = kept(r, e->q.workflow);
    e->q.subject = kept(r, e->q.subject);
    e->q.text = kept(r, e->q.text);
    e->q.input_id = NULL;
    e->facts = facts != NULL ? json_dumps(facts, JSON_COMPACT) : NULL;
    api_on_core(arg, r, explain_on_core, e);
}

void api_task_route(struct wire_request *r, void *arg)
{
    api_task_stored(r, arg, task_route_read);
}

/* ---- which rules there are ---- */

static void put_row(struct jn_writer *w, const struct route_rules *rules, size_t i)
{
    struct route_row_view row;
    struct buf when;
    route_rules_row(rules, i, &row);
    buf_init(&when, FACTS_BYTES);
    route_rules_conditions(rules, i, &when);
    jn_object_begin(w);
    jn_kv_str(w, "name", row.name);
    jn_kv_str(w, "why", row.why);
    jn_kv_str(w, "when", when.data);
    jn_kv_str(w, "go", route_go_name(row.go));
    jn_kv_str(w, "leave", route_leave_name(row.leave));
    jn_kv_str(w, "upstream", row.upstream[0] != '\0' ? row.upstream : NULL);
    jn_kv_bool(w, "spill", row.spill);
    jn_object_end(w);
    buf_done(&when);
}

static void put_release(void *arg, const struct route_release *r)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "release", r->release);
    jn_kv_str(w, "state", r->state);
    jn_kv_str(w, "proposed_by", r->proposed_by);
    api_put_time(w, "proposed_at", r->proposed_at);
    jn_kv_str(w, "approved_by", r->approved_by[0] != '\0' ? r->approved_by : NULL);
    api_put_time(w, "approved_at", r->approved_at);
    jn_object_end(w);
}

void api_route_rules(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    struct route_rules *rules = NULL;
    struct jn_writer w;
    struct buf body;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    enum fail f = route_release_active(c, &rules, &why);
    if (f == FAIL_NONE) {
        api_open(&w, &body);
        jn_kv_str(&w, "release", route_rules_release(rules));
        jn_key(&w, "rows");
        jn_array_begin(&w);
        for (size_t i = 0; i < route_rules_count(rules); i++) {
            put_row(&w, rules, i);
        }
        jn_array_end(&w);
        jn_kv_str(&w, "yaml", route_rules_text(rules));
        jn_key(&w, "releases");
        jn_array_begin(&w);
        f = route_release_each(c, put_release, &w, &why);
        jn_array_end(&w);
    }
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        if (rules != NULL) {
            buf_done(&body);
        }
        wire_fail(r, f, &why);
    } else {
        api_send(r, 200, &w);
    }
    route_rules_unref(rules);
}

/* ---- a new rule set ---- */

struct change {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    struct route_rules *rules; /* proposed, or approved once it is */
    char release[65], before[65];
    bool approve;
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *c = arg;
    /* The machine's own user is one person with every role; a key is somebody among others. */
    bool four_eyes = c->who.kind != PRINCIPAL_KIND_LOCAL;
    enum fail f = c->approve ? route_release_approve(tx, c->release, c->who.name, four_eyes,
                                                     c->before, why)
                             : route_release_propose(tx, c->rules, c->who.name, why);
    if (f == FAIL_NONE && c->approve) {
        f = route_release_active(store_tx_conn(tx), &c->rules, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const char *releases[] = {route_rules_release(c->rules), c->before};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = c->who.name,
                              .team = c->who.team,
                              .task = "route",
                              .releases = releases,
                              .releases_len = c->before[0] != '\0' ? 2 : 1,
                              .verdict = c->approve ? "active" : "candidate"};
    return audit_append(tx, c->a->h.audit, &leaf, NULL, NULL, why);
}

static void change_done(void *arg, enum fail code, const struct fault *why)
{
    struct change *c = arg;
    struct jn_writer w;
    struct buf body;
    if (code == FAIL_NONE && c->approve) {
        task_rules_set(c->a->h.desk, c->rules);
    }
    if (code == FAIL_NONE) {
        api_open(&w, &body);
        jn_kv_str(&w, "release", route_rules_release(c->rules));
        jn_kv_str(&w, "state", c->approve ? "active" : "candidate");
        jn_kv_str(&w, "before", c->before[0] != '\0' ? c->before : NULL);
        api_send(c->r, c->approve ? 200 : 201, &w);
    } else {
        wire_fail(c->r, code, why);
    }
    route_rules_unref(c->rules);
}

static void change_start(struct change *c)
{
    struct fault why;
    enum fail f =
        store_write(c->a->h.store, change_write, c, change_done, c->a->h.loop, &why);
    if (f != FAIL_NONE) {
        route_rules_unref(c->rules);
        wire_fail(c->r, f, &why);
    }
}

void api_route_propose(struct wire_request *r, void *arg)
{
    struct fault why;
    size_t len;
    const char *text = wire_body(r, &len);
    struct change *c = wire_alloc(r, sizeof(*c));
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    *c = (struct change){.a = arg, .r = r, .who = *api_who(r)};
    enum fail f = route_rules_read(text, len, "rules.yaml", &c->rules, faults, &why);
    if (f != FAIL_NONE) {
        api_faults(r, faults, &why);
    } else {
        change_start(c);
    }
    mem_free(faults);
}

void api_route_approve(struct wire_request *r, void *arg)
{
    struct change *c = wire_alloc(r, sizeof(*c));
    *c = (struct change){.a = arg, .r = r, .who = *api_who(r), .approve = true};
    (void)text_copy(c->release, sizeof(c->release), wire_param(r, "release"));
    change_start(c);
}
