/* SPDX-License-Identifier: Apache-2.0 */
/* The result of a form as JSON: what is answered, stored and MACed. Described in
   docs/reference/task.md. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

static void write_candidates(struct jn_writer *w, const struct ladder_proposal *p)
{
    jn_key(w, "candidates");
    jn_array_begin(w);
    for (size_t i = 0; i < p->candidates_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "value", p->candidates[i].value);
        jn_kv_real(w, "p", p->candidates[i].p, 4);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void write_checks(struct jn_writer *w, const struct ladder_proposal *p)
{
    jn_key(w, "checks");
    jn_array_begin(w);
    for (size_t i = 0; i < p->checks_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "name", p->checks[i].name);
        jn_kv_bool(w, "ok", p->checks[i].ok);
        if (p->checks[i].note != NULL) {
            jn_kv_str(w, "note", p->checks[i].note);
        }
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void write_field(struct jn_writer *w, const struct task *t, size_t i)
{
    const struct ladder_field *f = &t->form->fields[i];
    const struct ladder_proposal *p = &t->climb.held[i];
    bool person = ladder_needs_person(&t->climb, i) || t->stake != NULL;
    jn_object_begin(w);
    jn_kv_str(w, "name", f->name);
    jn_kv_str(w, "type", ladder_type_name(f->type));
    jn_kv_str(w, "value", p->set ? p->value : NULL);
    jn_kv_real(w, "confidence", p->set ? p->confidence : 0, 4);
    jn_kv_str(w, "rung", ladder_rung_name(person ? LADDER_PERSON : p->rung));
    jn_kv_str(w, "proposed_by", p->set ? ladder_rung_name(p->rung) : NULL);
    jn_kv_str(w, "class", p->closed && p->class != LADDER_UNMEASURED
                              ? ladder_class_name(p->class) : NULL);
    jn_kv_str(w, "certificate", p->closed ? p->certificate : NULL);
    jn_kv_bool(w, "audited", p->audited);
    aids_write_level(w, t, i);
    jn_kv_str(w, "reused_from", p->reused_from);
    jn_kv_str(w, "reused_how", p->reused_how);
    if (p->len > 0) {
        jn_kv_int(w, "at", p->at);
        jn_kv_int(w, "len", p->len);
    }
    write_candidates(w, p);
    write_checks(w, p);
    jn_object_end(w);
}

/* Nano-units as a decimal string, without zeros at its end. */
static void write_money(struct jn_writer *w, const char *key, int64_t nano)
{
    char s[32];
    int n = snprintf(s, sizeof(s), "%lld.%09lld", (long long)(nano / 1000000000),
                     (long long)(nano % 1000000000));
    while (n > 0 && s[n - 1] == '0') {
        s[--n] = '\0';
    }
    if (n > 0 && s[n - 1] == '.') {
        s[n - 1] = '\0';
    }
    jn_kv_str(w, key, s);
}

/* Which decision rule said where it may be answered, and why. */
static void write_route(struct jn_writer *w, const struct task *t)
{
    jn_key(w, "route");
    if (t->route == NULL) {
        jn_put_null(w);
        return;
    }
    bool out = t->route->go == ROUTE_HOSTED;
    jn_object_begin(w);
    jn_kv_str(w, "rules", route_rules_release(t->rules));
    jn_kv_str(w, "row", t->route->name);
    jn_kv_str(w, "go", route_go_name(t->route->go));
    jn_kv_str(w, "leave", route_leave_name(t->route->leave));
    jn_kv_str(w, "pool", out ? t->route_pool : NULL);
    jn_kv_bool(w, "spilled", t->route->spilled);
    jn_object_end(w);
}

static void write_climb(struct jn_writer *w, const struct ladder_climb *c)
{
    jn_key(w, "climb");
    jn_array_begin(w);
    for (size_t i = 0; i < c->steps_len; i++) {
        const struct ladder_step *s = &c->steps[i];
        jn_object_begin(w);
        jn_kv_str(w, "rung", ladder_rung_name(s->rung));
        jn_kv_str(w, "verdict", ladder_verdict_name(s->verdict));
        jn_kv_real(w, "ms", s->ms, 3);
        jn_kv_int(w, "tokens_in", s->tokens_in);
        jn_kv_int(w, "tokens_cached", s->tokens_cached);
        jn_kv_int(w, "tokens_out", s->tokens_out);
        if (s->by != NULL) {
            jn_kv_str(w, "by", s->by);
            jn_kv_int(w, "attempts", s->attempts);
            write_money(w, "cost", s->cost);
        }
        if (s->note != NULL) {
            jn_kv_str(w, "note", s->note);
        }
        jn_object_end(w);
    }
    jn_array_end(w);
}

/* Every release that took part: the definition, the heads, the articles, the models. */
static void write_releases(struct jn_writer *w, const struct task *t)
{
    jn_key(w, "releases");
    jn_object_begin(w);
    jn_kv_str(w, "workflow", t->form->release);
    if (t->shelf != NULL) {
        jn_kv_str(w, "dataset", t->shelf->release);
    }
    for (size_t i = 0; t->heads != NULL && i < t->form->fields_len; i++) {
        if (t->heads->release[i][0] != '\0') {
            char key[64];
            snprintf(key, sizeof(key), "head.%s", t->form->fields[i].name);
            jn_kv_str(w, key, t->heads->release[i]);
        }
    }
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        struct fleet_model m;
        fleet_model_get(t->desk->house.fleet, (enum fleet_role)role, &m);
        const char *sha256 = t->used[role][0] != '\0' ? t->used[role] : m.sha256;
        if (t->used[role][0] != '\0' || m.state == FLEET_READY) {
            char key[64];
            snprintf(key, sizeof(key), "model.%s", fleet_role_name((enum fleet_role)role));
            jn_kv_str(w, key, sha256);
        }
    }
    jn_object_end(w);
}

void result_write(struct task *t)
{
    struct jn_writer w;
    char shown[TEXT_ID_SIZE], at[CLOCK_RFC3339_SIZE];
    buf_clear(&t->json);
    jn_begin(&w, &t->json, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "id", text_id_show(&t->id, "tsk", shown));
    jn_kv_str(&w, "artifact", t->has_artifact ? text_id_show(&t->artifact, "art", shown) : NULL);
    jn_kv_str(&w, "workflow", t->form->name);
    jn_kv_str(&w, "input_id", t->input_id);
    jn_kv_str(&w, "state", task_state_name(t->state));
    jn_kv_str(&w, "at", clock_show(t->created_at, at));
    jn_key(&w, "fields");
    jn_array_begin(&w);
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (t->form->fields[i].type != LADDER_DRAFT) {
            write_field(&w, t, i);
        }
    }
    jn_array_end(&w);
    jn_key(&w, "draft");
    if (t->draft_json != NULL) {
        jn_put_raw(&w, t->draft_json, strlen(t->draft_json));
    } else {
        jn_put_null(&w);
    }
    jn_kv_str(&w, "as_decided_on", t->nearest_ref);
    alike_write(&w, t);
    stakes_write(&w, t);
    jn_kv_str(&w, "label", secrecy_name(t->label));
    write_route(&w, t);
    write_climb(&w, &t->climb);
    write_releases(&w, t);
    if (t->reproducible) {
        jn_key(&w, "reproducible");
        replay_write(&w, t);
    }
    jn_kv_int(&w, "tokens_in", t->tokens_in);
    jn_kv_int(&w, "tokens_cached", t->tokens_cached);
    jn_kv_int(&w, "tokens_out", t->tokens_out);
    jn_kv_real(&w, "ms", clock_ms_since(t->started_us), 3);
    write_money(&w, "cost", t->cost);
    jn_object_end(&w);
    ASSERT(!t->json.overflow);
}
