/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/limits and /api/v1/halts: what keys, teams, workflows and the server may use, what they
   have used, and what is switched off. Changes wait for the disk: crunch. */
#include "http/api/api_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/config/config.h"

#define MONEY_MAX INT64_C(1000000000000000000)

/* ---- listing ---- */

static void put_count(struct jn_writer *w, const char *key, int64_t n)
{
    if (n < 0) {
        jn_kv_null(w, key);
    } else {
        jn_kv_int(w, key, n);
    }
}

static void put_money(struct jn_writer *w, const char *key, int64_t nano)
{
    char s[40];
    if (nano < 0) {
        jn_kv_null(w, key);
        return;
    }
    (void)snprintf(s, sizeof(s), "%" PRId64 ".%09" PRId64, nano / 1000000000, nano % 1000000000);
    jn_kv_str(w, key, s);
}

static void put_limits(struct jn_writer *w, const struct policy_limits *l)
{
    put_count(w, "requests", l->requests);
    put_count(w, "tokens", l->tokens);
    put_count(w, "parallel", l->parallel);
    put_money(w, "day", l->day);
    put_money(w, "month", l->month);
}

static void put_row(void *arg, const struct policy_row *r)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "kind", policy_kind_name(r->kind));
    jn_kv_str(w, "name", r->name);
    jn_kv_bool(w, "set", r->is_set);
    jn_kv_str(w, "label", r->has_label ? secrecy_name(r->label) : NULL);
    jn_key(w, "limits");
    jn_object_begin(w);
    put_limits(w, &r->limits);
    jn_object_end(w);
    jn_key(w, "used");
    jn_object_begin(w);
    jn_kv_int(w, "requests", r->requests);
    jn_kv_int(w, "tokens", r->tokens);
    jn_kv_int(w, "parallel", r->parallel);
    put_money(w, "day", r->day_spent);
    put_money(w, "day_reserved", r->day_held);
    put_money(w, "month", r->month_spent);
    put_money(w, "month_reserved", r->month_held);
    jn_object_end(w);
    jn_object_end(w);
}

void api_limits(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_key(&w, "limits");
    jn_array_begin(&w);
    policy_each(a->h.policy, put_row, &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

/* ---- setting ---- */

struct limit_change {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    struct policy_limits limits;
    bool has_limits, has_label;
    enum secrecy label;
};

/* Absent: unchanged. null: the default again. */
static enum fail read_count(const json_t *body, const char *key, int64_t max, int64_t *out,
                            bool *any, struct fault *why)
{
    const json_t *v = json_object_get(body, key);
    if (v == NULL) {
        return FAIL_NONE;
    }
    *any = true;
    if (json_is_null(v)) {
        *out = POLICY_NO_LIMIT;
        return FAIL_NONE;
    }
    return jn_int(body, key, true, 0, max, out, why);
}

static enum fail read_money(const json_t *body, const char *key, int64_t *out, bool *any,
                            struct fault *why)
{
    const json_t *v = json_object_get(body, key);
    if (v == NULL) {
        return FAIL_NONE;
    }
    *any = true;
    if (json_is_null(v)) {
        *out = POLICY_NO_LIMIT;
        return FAIL_NONE;
    }
    if (!json_is_string(v) || !config_money_read(json_string_value(v), out) || *out > MONEY_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be an amount as text, like \"12.50\", or null",
              key);
        return fail_param(why, key);
    }
    return FAIL_NONE;
}

static enum fail read_kind(const json_t *body, enum policy_kind *kind, char *name,
                           struct fault *why)
{
    const char *k = NULL;
    const char *n = POLICY_ALL_NAME;
    enum fail f = jn_str(body, "kind", true, 16, &k, why);
    if (f != FAIL_NONE) {
        return f;
    }
    *kind = policy_kind_find(k);
    if (*kind == POLICY_KIND_COUNT) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"kind\" must be key, team, workflow, model, upstream or everything");
        return fail_param(why, "kind");
    }
    f = jn_str(body, "name", *kind != POLICY_ALL, POLICY_NAME_SIZE - 1, &n, why);
    if (f == FAIL_NONE) {
        (void)text_copy(name, POLICY_NAME_SIZE, n);
    }
    return f;
}

static enum fail read_change(const json_t *body, struct policy *p, struct limit_change *c,
                             struct fault *why)
{
    const char *label = NULL;
    enum fail f = read_kind(body, &c->kind, c->name, why);
    if (f != FAIL_NONE) {
        return f;
    }
    policy_limits_own(p, c->kind, c->name, &c->limits);
    f = read_count(body, "requests", 1000000000, &c->limits.requests, &c->has_limits, why);
    f = f != FAIL_NONE ? f
                       : read_count(body, "tokens", 1000000000000, &c->limits.tokens,
                                    &c->has_limits, why);
    f = f != FAIL_NONE
            ? f
            : read_count(body, "parallel", 1000000, &c->limits.parallel, &c->has_limits, why);
    f = f != FAIL_NONE ? f : read_money(body, "day", &c->limits.day, &c->has_limits, why);
    f = f != FAIL_NONE ? f : read_money(body, "month", &c->limits.month, &c->has_limits, why);
    f = f != FAIL_NONE ? f : jn_str(body, "label", false, 16, &label, why);
    if (f != FAIL_NONE) {
        return f;
    }
    c->has_label = label != NULL;
    c->label = label != NULL ? secrecy_find(label) : SECRECY_PUBLIC;
    if (c->label == SECRECY_COUNT) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"label\" must be public, internal, confidential or restricted");
        return fail_param(why, "label");
    }
    if (!c->has_limits && !c->has_label) {
        FAULT(why, FAIL_BAD_REQUEST, "nothing is to be changed");
        return fail_hint(why, "Give requests, tokens, parallel, day, month or label.");
    }
    return FAIL_NONE;
}

static void change_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct limit_change *c = arg;
    struct fault why;
    enum fail f = c->has_limits ? policy_limits_set(a->h.policy, c->kind, c->name, &c->limits,
                                                    api_who(r), &why)
                                : FAIL_NONE;
    if (f == FAIL_NONE && c->has_label) {
        f = policy_label_set(a->h.policy, c->kind, c->name, c->label, api_who(r), &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct policy_limits now;
    struct jn_writer w;
    struct buf body;
    policy_limits_of(a->h.policy, c->kind, c->name, &now);
    api_open(&w, &body);
    jn_kv_str(&w, "kind", policy_kind_name(c->kind));
    jn_kv_str(&w, "name", c->name);
    jn_key(&w, "limits");
    jn_object_begin(&w);
    put_limits(&w, &now);
    jn_object_end(&w);
    api_send(r, 200, &w);
}

void api_limits_set(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"kind",  "name",  "requests", "tokens", "parallel", "day",
                                       "month", "label", NULL};
    struct api *a = arg;
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct limit_change *c = wire_alloc(r, sizeof(*c));
    enum fail f = read_change(body, a->h.policy, c, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(a, r, change_on_crunch, c);
}

/* ---- stop switches ---- */

void api_put_halts(struct jn_writer *w, const struct api *a)
{
    struct policy_halt *list = mem_alloc_array(POLICY_HALTS_MAX, sizeof(*list));
    size_t n = policy_halts(a->h.policy, list, POLICY_HALTS_MAX);
    jn_key(w, "halts");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "kind", policy_kind_name(list[i].kind));
        jn_kv_str(w, "name", list[i].name);
        jn_kv_str(w, "reason", list[i].reason);
        jn_kv_str(w, "by", list[i].by);
        api_put_time(w, "at", list[i].at);
        jn_kv_bool(w, "kept", list[i].is_kept);
        jn_object_end(w);
    }
    jn_array_end(w);
    mem_free(list);
}

void api_halts(struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    api_put_halts(&w, arg);
    api_send(r, 200, &w);
}

struct turn {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    char reason[POLICY_REASON_SIZE];
    bool on;
};

static void turn_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct turn *t = arg;
    struct fault why;
    enum fail f =
        policy_halt_set(a->h.policy, t->kind, t->name, t->on, t->reason, api_who(r), &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "kind", policy_kind_name(t->kind));
    jn_kv_str(&w, "name", t->name);
    jn_kv_bool(&w, "on", t->on);
    api_send(r, 200, &w);
}

void api_halt(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"kind", "name", "on", "reason", NULL};
    struct fault why;
    const char *reason = "";
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct turn *t = wire_alloc(r, sizeof(*t));
    enum fail f = read_kind(body, &t->kind, t->name, &why);
    f = f != FAIL_NONE ? f : jn_bool(body, "on", true, &t->on, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "reason", false, POLICY_REASON_SIZE - 1, &reason, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    (void)text_copy(t->reason, sizeof(t->reason), reason);
    api_on_crunch(arg, r, turn_on_crunch, t);
}
