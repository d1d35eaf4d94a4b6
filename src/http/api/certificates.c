/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/certificates: which rung may answer which field alone, on what evidence, how closely it
   is watched, and what the others still need. */
#include "http/api/api_internal.h"

#include <math.h>
#include <string.h>

#include "answer/certify/certify.h"

struct listing {
    struct jn_writer w;
    struct buf body;
    const char *workflow;
    bool ended_too;
};

static void put_releases(struct jn_writer *w, const struct certify_certificate *c)
{
    jn_key(w, "releases");
    jn_object_begin(w);
    jn_kv_str(w, "model", c->model[0] != '\0' ? c->model : NULL);
    jn_kv_str(w, "prompt", c->prompt[0] != '\0' ? c->prompt : NULL);
    jn_kv_str(w, "head", c->head[0] != '\0' ? c->head : NULL);
    jn_object_end(w);
}

static void put_watch(struct jn_writer *w, const struct certify_certificate *c)
{
    jn_key(w, "watch");
    jn_object_begin(w);
    jn_kv_real(w, "audit_rate", c->audit_rate, 4);
    jn_kv_real(w, "answers_per_day", c->per_day, 1);
    jn_key(w, "tripled_error_found_in_days");
    if (c->find_days > 0 && isfinite(c->find_days)) {
        jn_put_real(w, c->find_days, 0);
    } else {
        jn_put_null(w);
    }
    jn_kv_int(w, "audited", c->watch.n);
    jn_kv_int(w, "wrong", c->watch.errors);
    jn_kv_real(w, "wealth", certify_watch_wealth(&c->watch), 4);
    jn_kv_real(w, "withdrawn_at", 1 / CERTIFY_WATCH_DELTA, 1);
    jn_object_end(w);
}

static bool put_certificate(void *arg, const struct certify_certificate *c)
{
    struct listing *l = arg;
    struct jn_writer *w = &l->w;
    jn_object_begin(w);
    api_put_id(w, "certificate", "crt", &c->id);
    jn_kv_str(w, "workflow", c->workflow);
    jn_kv_str(w, "field", c->field);
    jn_kv_str(w, "rung", c->rung);
    jn_kv_str(w, "state", certify_state_name(c->state));
    jn_kv_str(w, "class", certify_class_name(c->class));
    jn_kv_real(w, "threshold", c->threshold, 6);
    jn_kv_int(w, "n", c->n);
    jn_kv_int(w, "accepted", c->accepted);
    jn_kv_int(w, "errors", c->errors);
    jn_kv_real(w, "coverage", c->coverage, 4);
    jn_kv_real(w, "target_error", c->target, 4);
    jn_kv_real(w, "delta", c->delta, 4);
    jn_kv_real(w, "error_at_most", c->error_upper, 4);
    jn_kv_real(w, "error_of_traffic_at_most", c->traffic_upper, 4);
    put_releases(w, c);
    put_watch(w, c);
    api_put_time(w, "issued_at", c->issued_at);
    api_put_time(w, "confirmed_at", c->confirmed_at);
    api_put_time(w, "ended_at", c->ended_at);
    jn_kv_str(w, "detail", c->detail[0] != '\0' ? c->detail : NULL);
    jn_kv_int(w, "record", c->record);
    jn_object_end(w);
    return !l->body.overflow;
}

static bool put_need(void *arg, const struct certify_need *need)
{
    struct listing *l = arg;
    struct jn_writer *w = &l->w;
    jn_object_begin(w);
    jn_kv_str(w, "workflow", need->workflow);
    jn_kv_str(w, "field", need->field);
    jn_kv_str(w, "rung", need->rung);
    jn_kv_real(w, "target_error", need->target, 4);
    jn_kv_int(w, "reviewed", need->reviewed);
    jn_kv_int(w, "wrong", need->errors);
    jn_kv_int(w, "next_test_at", need->next_look);
    jn_key(w, "expected_at");
    if (need->expected > 0) {
        jn_put_int(w, need->expected);
    } else {
        jn_put_null(w);
    }
    jn_kv_real(w, "answers_per_day", need->said_per_day, 1);
    jn_kv_real(w, "reviewed_per_day", need->per_day, 1);
    jn_key(w, "days");
    if (isfinite(need->days)) {
        jn_put_real(w, need->days, 0);
    } else {
        jn_put_null(w);
    }
    jn_object_end(w);
    return !l->body.overflow;
}

static void list_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct listing *l = arg;
    struct fault why;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&l->w, &l->body);
    jn_key(&l->w, "certificates");
    jn_array_begin(&l->w);
    enum fail f = certify_each(c, l->workflow, l->ended_too, put_certificate, l, &why);
    jn_array_end(&l->w);
    jn_key(&l->w, "uncertified");
    jn_array_begin(&l->w);
    f = f != FAIL_NONE ? f : certify_needs(c, l->workflow, put_need, l, &why);
    jn_array_end(&l->w);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&l->body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &l->w);
}

void api_certificates(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"workflow", "all", NULL};
    int64_t all = 0;
    struct listing *l = wire_alloc(r, sizeof(*l));
    if (!api_query_ok(r, names) || !api_query_int(r, "all", 0, 1, &all)) {
        return;
    }
    l->workflow = wire_query(r, "workflow");
    l->ended_too = all != 0;
    api_on_crunch(arg, r, list_on_crunch, l);
}
