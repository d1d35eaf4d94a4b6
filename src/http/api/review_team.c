/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1/review: how a team reviews, who takes what, what came of it. Figures are of the work;
 * a person's own go to that person.
 *
 * Owns nothing. Threads: reading on http threads, writes through the store.
 * Limits: OUTCOMES_MAX a call.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "base/clock/clock.h"

#define OUTCOMES_MAX 1000
#define DAY_US (86400LL * 1000000)

/* ---- settings ---- */

static void put_settings(struct jn_writer *w, const char *team, const struct review_settings *s)
{
    jn_kv_str(w, "team", team);
    jn_kv_int(w, "lease_s", s->lease_s);
    jn_kv_real(w, "second_share", s->second_share, 4);
    jn_kv_real(w, "practice_share", s->practice_share, 4);
    jn_kv_real(w, "forced_share", s->forced_share, 4);
    jn_kv_str(w, "order", review_order_name(s->order));
    jn_kv_int(w, "often", s->often);
    jn_key(w, "reasons");
    jn_array_begin(w);
    for (size_t i = 0; i < s->reasons_len; i++) {
        jn_put_str(w, s->reasons[i]);
    }
    jn_array_end(w);
    jn_key(w, "escalation");
    jn_array_begin(w);
    for (size_t i = 0; i < s->chain_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "to", s->chain[i].who);
        jn_kv_int(w, "within_s", s->chain[i].within_s);
        jn_object_end(w);
    }
    jn_array_end(w);
}

void api_review_settings(struct wire_request *r, void *arg)
{
    static const char *const names[] = {NULL};
    struct api *a = arg;
    struct fault why;
    struct review_settings set;
    if (!api_query_ok(r, names)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : review_settings_get(c, api_who(r)->team, &set, &why);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    put_settings(&w, api_who(r)->team, &set);
    api_send(r, 200, &w);
}

static enum fail read_reasons(const json_t *body, struct review_settings *s, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_array(body, "reasons", false, REVIEW_REASONS_MAX, &list, why);
    if (f != FAIL_NONE || list == NULL) {
        return f;
    }
    s->reasons_len = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || !text_copy(s->reasons[s->reasons_len++], REVIEW_REASON_SIZE, text)) {
            FAULT(why, FAIL_BAD_REQUEST, "\"reasons\" is a list of texts of at most %d bytes",
                  REVIEW_REASON_SIZE - 1);
            return fail_param(why, "reasons");
        }
    }
    return FAIL_NONE;
}

static enum fail read_chain(const json_t *body, struct review_settings *s, struct fault *why)
{
    static const char *const keys[] = {"to", "within_s", NULL};
    json_t *list = NULL;
    enum fail f = jn_array(body, "escalation", false, REVIEW_CHAIN_MAX, &list, why);
    if (f != FAIL_NONE || list == NULL) {
        return f;
    }
    s->chain_len = 0;
    for (size_t i = 0; i < json_array_size(list) && f == FAIL_NONE; i++) {
        struct review_target *t = &s->chain[s->chain_len++];
        const json_t *o = json_array_get(list, i);
        int64_t within = 0;
        if (!json_is_object(o)) {
            FAULT(why, FAIL_BAD_REQUEST, "\"escalation\" is a list of {to, within_s}");
            return fail_param(why, "escalation");
        }
        f = jn_only(o, keys, why);
        f = f == FAIL_NONE ? api_take(o, "to", true, t->who, sizeof(t->who), NULL, why) : f;
        f = f == FAIL_NONE ? jn_int(o, "within_s", true, 1, REVIEW_WITHIN_MAX, &within, why) : f;
        t->within_s = (int)within;
    }
    return f;
}

static enum fail read_settings(const json_t *body, struct review_settings *s, struct fault *why)
{
    int64_t lease = s->lease_s, often = s->often;
    const char *order = NULL;
    enum fail f = jn_int(body, "lease_s", false, 0, 100000, &lease, why);
    f = f == FAIL_NONE ? jn_int(body, "often", false, 0, 100000, &often, why) : f;
    f = f == FAIL_NONE ? jn_real(body, "second_share", false, 0, 1, &s->second_share, why) : f;
    f = f == FAIL_NONE ? jn_real(body, "practice_share", false, 0, 1, &s->practice_share, why) : f;
    f = f == FAIL_NONE ? jn_real(body, "forced_share", false, 0, 1, &s->forced_share, why) : f;
    f = f == FAIL_NONE ? jn_str(body, "order", false, 16, &order, why) : f;
    if (f == FAIL_NONE && order != NULL && !review_order_find(order, &s->order)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"order\" must be urgency, age or confidence");
        f = fail_param(why, "order");
    }
    s->lease_s = (int)lease;
    s->often = (int)often;
    f = f == FAIL_NONE ? read_reasons(body, s, why) : f;
    return f == FAIL_NONE ? read_chain(body, s, why) : f;
}

static enum fail settings_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    struct review_settings set;
    enum fail f = review_settings_get(store_tx_conn(tx), c->who.team, &set, why);
    f = f == FAIL_NONE ? read_settings(c->body, &set, why) : f;
    f = f == FAIL_NONE ? review_settings_set(tx, c->who.team, &set, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    struct audit_leaf leaf = {.kind = AUDIT_KIND_CONFIG_CHANGED, .actor = c->who.name,
                              .team = c->who.team, .verdict = "review settings"};
    put_settings(&c->w, c->who.team, &set);
    return audit_append(tx, c->a->h.audit, &leaf, NULL, NULL, why);
}

void api_review_settings_put(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"lease_s", "second_share", "practice_share", "forced_share",
                                       "order",   "often",        "reasons",        "escalation",
                                       NULL};
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c != NULL) {
        review_call_send(c, settings_write);
    }
}

/* ---- skills ---- */

static void put_skill(void *arg, const char *person, enum review_skill_kind kind, const char *value)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "person", person);
    jn_kv_str(w, "kind", review_skill_name(kind));
    jn_kv_str(w, "value", value);
    jn_object_end(w);
}

void api_review_skills(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"person", NULL};
    struct api *a = arg;
    struct fault why;
    if (!api_query_ok(r, names)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "team", api_who(r)->team);
    jn_key(&w, "skills");
    jn_array_begin(&w);
    enum fail f =
        review_skills(c, api_who(r)->team, wire_query(r, "person"), put_skill, &w, &why);
    jn_array_end(&w);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}

static enum fail read_skills(const json_t *skills, struct review_skill *list, size_t *n,
                             struct fault *why)
{
    enum fail f = FAIL_NONE;
    static const char *const keys[] = {"workflow", "language", "queue", NULL};
    *n = 0;
    f = jn_only(skills, keys, why);
    for (int k = 0; k < REVIEW_SKILL_COUNT && f == FAIL_NONE; k++) {
        json_t *values = NULL;
        f = jn_array(skills, keys[k], false, REVIEW_SKILLS_MAX, &values, why);
        for (size_t i = 0; f == FAIL_NONE && i < json_array_size(values); i++) {
            const char *value = json_string_value(json_array_get(values, i));
            if (value == NULL || value[0] == '\0' || strlen(value) > 63) {
                FAULT(why, FAIL_BAD_REQUEST, "\"%s\" is a list of names", keys[k]);
                return fail_param(why, keys[k]);
            }
            if (*n == REVIEW_SKILLS_MAX) {
                FAULT(why, FAIL_TOO_LARGE, "over %d skills of one person", REVIEW_SKILLS_MAX);
                return fail_param(why, "skills");
            }
            list[(*n)++] = (struct review_skill){(enum review_skill_kind)k, value};
        }
    }
    return f;
}

static enum fail skills_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    const char *person = c->who.name;
    json_t *skills = NULL;
    struct review_skill list[REVIEW_SKILLS_MAX];
    size_t n = 0;
    enum fail f = jn_str(c->body, "person", false, KEYRING_NAME_SIZE - 1, &person, why);
    f = f == FAIL_NONE ? jn_object(c->body, "skills", true, &skills, why) : f;
    f = f == FAIL_NONE ? read_skills(skills, list, &n, why) : f;
    if (f == FAIL_NONE && strcmp(person, c->who.name) != 0) {
        f = keyring_require(&c->who, KEYRING_SCOPE_APPROVE, why); /* one's own, or an approver */
    }
    f = f == FAIL_NONE ? review_skills_set(tx, c->who.team, person, list, n, why) : f;
    jn_kv_str(&c->w, "person", person);
    jn_kv_int(&c->w, "skills", (int64_t)n);
    return f;
}

void api_review_skills_put(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"person", "skills", NULL};
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c != NULL) {
        review_call_send(c, skills_write);
    }
}

/* ---- practice ---- */

static enum fail practice_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    bool on = true;
    enum fail f = jn_bool(c->body, "on", true, &on, why);
    f = f == FAIL_NONE ? review_known_set(tx, &c->id, &c->who, on, clock_now_us(), why) : f;
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_bool(&c->w, "practice", on);
    return f;
}

void api_review_practice(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"on", NULL};
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c != NULL) {
        review_call_send(c, practice_write);
    }
}

/* ---- outcomes and tickets come in ---- */

static enum fail read_outcome(const json_t *o, struct review_outcome *out, int64_t now,
                              struct fault *why)
{
    static const char *const keys[] = {"artifact", "ticket", "kind", "value", "at", "source", NULL};
    const char *artifact = NULL, *kind = NULL, *at = NULL;
    *out = (struct review_outcome){.value = 1, .at = now};
    if (!json_is_object(o)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"outcomes\" is a list of objects");
        return fail_param(why, "outcomes");
    }
    enum fail f = jn_only(o, keys, why);
    f = f == FAIL_NONE ? jn_str(o, "artifact", false, 64, &artifact, why) : f;
    f = f == FAIL_NONE ? jn_str(o, "ticket", false, 200, &out->ticket, why) : f;
    f = f == FAIL_NONE ? jn_str(o, "kind", true, 16, &kind, why) : f;
    f = f == FAIL_NONE ? jn_real(o, "value", false, 0, 1, &out->value, why) : f;
    f = f == FAIL_NONE ? jn_str(o, "at", false, 40, &at, why) : f;
    f = f == FAIL_NONE ? jn_str(o, "source", false, 100, &out->source, why) : f;
    if (f == FAIL_NONE && !review_ending_find(kind, &out->kind)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"kind\" must be reopened, solved or csat");
        f = fail_param(why, "kind");
    }
    if (f == FAIL_NONE && at != NULL && !clock_read(at, &out->at)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"at\" must be a time like 2026-11-22T10:00:00Z");
        f = fail_param(why, "at");
    }
    if (f == FAIL_NONE && (artifact == NULL) == (out->ticket == NULL)) {
        FAULT(why, FAIL_BAD_REQUEST, "an outcome names its artifact or its ticket");
        f = fail_param(why, "artifact");
    }
    if (f == FAIL_NONE && artifact != NULL && !text_id_read(artifact, "art", &out->artifact)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"artifact\" is no id of an artifact");
        f = fail_param(why, "artifact");
    }
    return f;
}

static enum fail outcomes_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    json_t *list = NULL, *o;
    size_t i;
    int64_t joined = 0, unknown = 0, now = clock_now_us();
    enum fail f = jn_array(c->body, "outcomes", true, OUTCOMES_MAX, &list, why);
    json_array_foreach(list, i, o) {
        struct review_outcome x;
        int64_t n = 0;
        f = read_outcome(o, &x, now, why);
        if (f != FAIL_NONE) {
            return f;
        }
        f = review_outcome_put(tx, &c->who, &x, now, &n, why);
        unknown += f == FAIL_NOT_FOUND;
        if (f != FAIL_NONE && f != FAIL_NOT_FOUND) {
            return f;
        }
        joined += n;
        f = FAIL_NONE;
    }
    jn_kv_int(&c->w, "joined", joined);
    jn_kv_int(&c->w, "unknown", unknown);
    return f;
}

void api_review_outcomes(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"outcomes", NULL};
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c != NULL) {
        review_call_send(c, outcomes_write);
    }
}

static enum fail ticket_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    const char *ticket = NULL, *version = NULL, *text = NULL;
    int64_t n = 0;
    enum fail f = jn_str(c->body, "ticket", true, 200, &ticket, why);
    f = f == FAIL_NONE ? jn_str(c->body, "version", false, 200, &version, why) : f;
    f = f == FAIL_NONE ? jn_str(c->body, "text", false, REVIEW_TEXT_MAX, &text, why) : f;
    if (f == FAIL_NONE) {
        f = review_ticket_moved(tx, c->who.team, ticket, version, text, clock_now_us(), &n, why);
    }
    jn_kv_str(&c->w, "ticket", ticket);
    jn_kv_int(&c->w, "artifacts", n);
    return f;
}

void api_review_ticket(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"ticket", "version", "text", NULL};
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c != NULL) {
        review_call_send(c, ticket_write);
    }
}

/* ---- figures ---- */

static void put_figures(void *arg, const struct review_figures *x)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "group", x->group);
    jn_kv_int(w, "decided", x->decided);
    jn_kv_bool(w, "too_few", x->too_few);
    if (!x->too_few) {
        jn_kv_int(w, "approved", x->approved);
        jn_kv_int(w, "edited", x->edited);
        jn_kv_int(w, "rejected", x->rejected);
        jn_kv_int(w, "reopened", x->reopened);
        jn_kv_int(w, "solved", x->solved);
        jn_kv_int(w, "rated", x->rated);
        jn_kv_real(w, "csat", x->csat, 4);
        jn_kv_real(w, "edit_distance", x->edit_distance, 4);
        jn_kv_int(w, "median_review_ms", x->median_ms);
        jn_kv_int(w, "second_looks", x->seconds);
        jn_kv_int(w, "second_agreed", x->agreed);
        jn_kv_int(w, "practised", x->practised);
        jn_kv_int(w, "practised_right", x->right);
    }
    jn_object_end(w);
}

void api_review_measures(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"by", "days", NULL};
    struct api *a = arg;
    struct fault why;
    enum review_by by = REVIEW_BY_WORKFLOW;
    int64_t days = 90;
    if (!api_query_ok(r, names) || !api_query_int(r, "days", 1, 3650, &days)) {
        return;
    }
    const char *asked = wire_query(r, "by");
    if (asked != NULL && !review_by_find(asked, &by)) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"by\" must be workflow, action or queue");
        fail_param(&why, "by");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "by", review_by_name(by));
    jn_kv_int(&w, "days", days);
    jn_kv_int(&w, "least", REVIEW_GROUP_MIN);
    jn_key(&w, "groups");
    jn_array_begin(&w);
    enum fail f = review_measure(c, api_who(r), by, clock_now_us() - days * DAY_US, put_figures, &w,
                                 &why);
    jn_array_end(&w);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}

void api_review_me(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"days", NULL};
    struct api *a = arg;
    struct fault why;
    struct review_own own;
    int64_t days = 90, now = clock_now_us();
    if (!api_query_ok(r, names) || !api_query_int(r, "days", 1, 3650, &days)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f =
        c == NULL ? why.code : review_own(c, api_who(r), now - days * DAY_US, now, &own, &why);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "person", api_who(r)->name);
    jn_kv_int(&w, "days", days);
    jn_kv_int(&w, "decided", own.decided);
    jn_kv_int(&w, "approved", own.approved);
    jn_kv_int(&w, "edited", own.edited);
    jn_kv_int(&w, "rejected", own.rejected);
    jn_kv_int(&w, "escalated", own.escalated);
    jn_kv_int(&w, "forced", own.forced);
    jn_kv_int(&w, "second_looks", own.seconds);
    jn_kv_int(&w, "second_agreed", own.agreed);
    jn_kv_int(&w, "practised", own.practised);
    jn_kv_int(&w, "practised_right", own.right);
    jn_kv_int(&w, "held", own.held);
    api_send(r, 200, &w);
}
