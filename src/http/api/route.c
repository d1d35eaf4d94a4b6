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
        f = api_releases_put(&w, c, ROUTE_RELEASES, &why);
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

static enum fail read_rules(const char *text, size_t len, void **out, struct config_faults *faults,
                            struct fault *why)
{
    struct route_rules *rules = NULL;
    enum fail f = route_rules_read(text, len, "rules.yaml", &rules, faults, why);
    *out = rules;
    return f;
}

static enum fail active_rules(struct store_conn *conn, void **out, struct fault *why)
{
    struct route_rules *rules = NULL;
    enum fail f = route_release_active(conn, &rules, why);
    *out = rules;
    return f;
}

static const char *rules_release(const void *rules)
{
    return route_rules_release(rules);
}

static const char *rules_text(const void *rules)
{
    return route_rules_text(rules);
}

static void serve_rules(struct task_desk *desk, void *rules)
{
    task_rules_set(desk, rules);
}

static void unref_rules(void *rules)
{
    route_rules_unref(rules);
}

static const struct api_release rules_kind = {.kind = ROUTE_RELEASES,
                                              .read = read_rules,
                                              .active = active_rules,
                                              .release = rules_release,
                                              .text = rules_text,
                                              .serve = serve_rules,
                                              .unref = unref_rules};

void api_route_propose(struct wire_request *r, void *arg)
{
    api_release_propose(r, arg, &rules_kind);
}

void api_route_approve(struct wire_request *r, void *arg)
{
    api_release_approve(r, arg, &rules_kind);
}
