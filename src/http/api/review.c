/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/artifacts: what waits for people, one of them whole, and a decision. work/review owns the
   rules; here they get a body and an answer. */
#include "http/api/review_internal.h"

#include <string.h>

#include "answer/autonomy/autonomy.h"
#include "base/log/log.h"

/* ---- listing ---- */

static void put_fields(struct jn_writer *w, const struct review_artifact *a)
{
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; i < a->fields_len; i++) {
        const struct review_field *f = &a->fields[i];
        jn_object_begin(w);
        jn_kv_str(w, "name", f->name);
        jn_kv_str(w, "type", f->type);
        jn_kv_str(w, "value", f->value);
        jn_kv_real(w, "confidence", f->confidence, 4);
        jn_kv_str(w, "rung", f->rung);
        jn_kv_bool(w, "open", f->is_open);
        jn_kv_str(w, "decided", f->decided);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_artifact(struct jn_writer *w, const struct review_artifact *a)
{
    api_put_id(w, "artifact", "art", &a->id);
    api_put_id(w, "task", "tsk", &a->task);
    jn_kv_str(w, "workflow", a->workflow);
    jn_kv_str(w, "team", a->team);
    jn_kv_str(w, "actor", a->actor);
    jn_kv_str(w, "title", a->title);
    jn_kv_str(w, "state", review_state_name(a->state));
    jn_kv_int(w, "version", a->version);
    api_put_time(w, "created_at", a->created_at);
    api_put_time(w, "updated_at", a->updated_at);
    api_put_time(w, "opened_at", a->opened_at);
    put_fields(w, a);
}

struct listing {
    struct jn_writer w;
    struct buf body;
    struct id last;
    int64_t n;
};

static bool put_row(void *arg, const struct review_artifact *a)
{
    struct listing *l = arg;
    jn_object_begin(&l->w);
    put_artifact(&l->w, a);
    jn_object_end(&l->w);
    l->last = a->id;
    l->n++;
    return !l->body.overflow;
}

static bool bad_query(struct wire_request *r, const char *name, const char *what)
{
    struct fault why;
    FAULT(&why, FAIL_BAD_REQUEST, "\"%s\" %s", name, what);
    fail_param(&why, name);
    wire_fail(r, FAIL_BAD_REQUEST, &why);
    return false;
}

static bool read_filter(struct wire_request *r, struct review_filter *f)
{
    static const char *const names[] = {"workflow", "state", "limit", "after", NULL};
    int64_t limit = 50;
    if (!api_query_ok(r, names) || !api_query_int(r, "limit", 1, REVIEW_LIST_MAX, &limit)) {
        return false;
    }
    const char *state = wire_query(r, "state");
    const char *after = wire_query(r, "after");
    *f = (struct review_filter){.who = api_who(r),
                                .state = REVIEW_STATE_COUNT,
                                .workflow = wire_query(r, "workflow"),
                                .limit = (int)limit};
    if (state != NULL && !review_state_find(state, &f->state)) {
        return bad_query(r, "state",
                         "must be draft, in_review, approved, edited, rejected, "
                         "escalated or delivered");
    }
    if (after != NULL && !text_id_read(after, "art", &f->after)) {
        return bad_query(r, "after", "must be the \"next\" of the page before");
    }
    return true;
}

void api_artifacts(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct review_filter filter;
    struct fault why;
    struct listing l = {.n = 0};
    if (!read_filter(r, &filter)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&l.w, &l.body);
    jn_key(&l.w, "artifacts");
    jn_array_begin(&l.w);
    int64_t counts[REVIEW_STATE_COUNT];
    enum fail f = review_list(c, &filter, put_row, &l, &why);
    if (f == FAIL_NONE) {
        f = review_count(c, filter.who, filter.workflow, counts, &why);
    }
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&l.body);
        wire_fail(r, f, &why);
        return;
    }
    jn_array_end(&l.w);
    struct id none = {{0}};
    api_put_id(&l.w, "next", "art", l.n == filter.limit ? &l.last : &none);
    jn_key(&l.w, "counts");
    jn_object_begin(&l.w);
    for (int i = 0; i < REVIEW_STATE_COUNT; i++) {
        jn_kv_int(&l.w, review_state_name((enum review_state)i), counts[i]);
    }
    jn_object_end(&l.w);
    api_send(r, 200, &l.w);
}

/* ---- one ---- */

struct opening {
    struct id id;
    struct principal who;
};

static enum fail open_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct opening *o = arg;
    return review_open(tx, &o->id, &o->who, why);
}

static void open_done(void *arg, enum fail code, const struct fault *why)
{
    if (code != FAIL_NONE && code != FAIL_CONFLICT) {
        log_fault(LOG_LEVEL_WARN, "review.open_failed", why);
    }
    mem_free(arg);
}

/* Whoever may decide has now seen it: from here on its draft stays as it is. */
static void note_opened(struct api *a, const struct wire_request *r, const struct id *id)
{
    struct fault why;
    if ((api_who(r)->scopes & KEYRING_SCOPE_REVIEW) == 0) {
        return;
    }
    struct opening *o = mem_alloc(sizeof(*o));
    o->id = *id;
    o->who = *api_who(r);
    if (store_write(a->h.store, open_write, o, open_done, a->h.loop, &why) != FAIL_NONE) {
        mem_free(o);
    }
}

static void put_whole(struct jn_writer *w, const struct review_artifact *x, const struct buf *input)
{
    put_artifact(w, x);
    jn_kv_str(w, "input", input->len > 0 ? input->data : NULL);
    jn_kv_str(w, "draft", x->draft);
    jn_key(w, "result");
    if (x->result != NULL && x->result[0] != '\0') {
        jn_put_raw(w, x->result, strlen(x->result));
    } else {
        jn_put_null(w);
    }
    jn_key(w, "decision");
    if (x->decided_by == NULL) {
        jn_put_null(w);
        return;
    }
    jn_object_begin(w);
    jn_kv_str(w, "by", x->decided_by);
    jn_kv_str(w, "action", review_action_name(x->action));
    jn_kv_str(w, "reason", x->reason);
    jn_kv_str(w, "draft", x->sent);
    api_put_time(w, "at", x->decided_at);
    jn_kv_real(w, "edit_distance", x->edit_distance, 4);
    jn_object_end(w);
}

enum fail api_artifact_read(struct api *a, const struct principal *who, const struct id *id,
                            struct jn_writer *w, enum review_state *state, struct fault *why)
{
    struct review_artifact x;
    struct buf input;
    struct store_conn *c = api_reader_take(a, why);
    if (c == NULL) {
        return why->code;
    }
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    buf_init(&input, TASK_MAX_TEXT + 8192);
    enum fail f = review_get(c, arena, id, who, &x, why);
    if (f == FAIL_NONE) {
        /* Erased input is no error: the artifact shows without it. */
        struct fault gone;
        (void)!audit_content_get(a->h.audit, c, &x.task, AUDIT_PART_INPUT, &input, &gone);
        *state = x.state;
        put_whole(w, &x, &input);
    }
    api_reader_give(a, c);
    buf_done(&input);
    arena_free(arena);
    return f;
}

void api_artifact_show(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"open", NULL};
    struct api *a = arg;
    struct id id;
    struct fault why;
    struct jn_writer w;
    struct buf body;
    enum review_state state;
    if (!api_query_ok(r, names) || !api_param_id(r, "artifact", "art", "artifact", &id)) {
        return;
    }
    api_open(&w, &body);
    enum fail f = api_artifact_read(a, api_who(r), &id, &w, &state, &why);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    const char *open = wire_query(r, "open");
    if (state == REVIEW_STATE_IN_REVIEW && (open == NULL || strcmp(open, "0") != 0)) {
        note_opened(a, r, &id);
    }
    api_send(r, 200, &w);
}

/* ---- deciding ---- */

enum fail review_check_value(void *arg, const char *workflow, const char *name, const char *value,
                             struct fault *why)
{
    struct ladder_form *form = api_form_find(arg, workflow);
    if (form == NULL) {
        return FAIL_NONE; /* the definition is gone: the person's word stands */
    }
    int i = ladder_field_find(form, name);
    const struct ladder_field *field = i >= 0 ? &form->fields[i] : NULL;
    enum fail f = FAIL_NONE;
    /* Learned labels are the learner's to know; there a person's word stands. */
    if (field != NULL && field->type == LADDER_CHOICE && !field->labels_learned &&
        ladder_label_find(field, value) < 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.60s\" is no label of field \"%s\"", value, name);
        fail_hint(why,
                  "`inhouse workflow show %.60s`, or GET /api/v1/workflows/%.60s, lists the "
                  "labels.",
                  workflow, workflow);
        f = fail_param(why, name);
    }
    if (f == FAIL_NONE && field != NULL && ladder_type_is_found(field->type) && value[0] != '\0' &&
        !extract_in_bounds(ladder_type_kind(field->type), value, field->min, field->max)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.60s\" is no %s that field \"%s\" can have", value,
              ladder_type_name(field->type), name);
        fail_hint(why, "A number is written 1234.50, an amount 1234.50 EUR, a date 2026-11-22; an "
                       "empty value says that there is none.");
        f = fail_param(why, name);
    }
    ladder_form_unref(form);
    return f;
}

enum fail review_decided_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    struct review_artifact decided;
    struct arena *arena = arena_new(2 * STORE_VALUE_MAX);
    enum fail f = review_get(store_tx_conn(tx), arena, &c->d.id, &c->who, &decided, why);
    f = f != FAIL_NONE ? f : api_reuse_decided(tx, &decided, c->d.action, why);
    if (f == FAIL_NONE) { /* where it cost a certificate, the level that rested on it goes too */
        size_t fell;
        f = autonomy_ended(tx, c->a->h.audit, decided.workflow, decided.team, &fell, why);
    }
    if (f == FAIL_NONE) {
        (void)text_copy(c->team, sizeof(c->team), decided.team);
        (void)text_copy(c->workflow, sizeof(c->workflow), decided.workflow);
    }
    arena_free(arena);
    return f;
}

/* The climb reads its certificates anew; the owner is told. */
void review_decided_tell(struct api *a, const struct review_decided *made, const char *team,
                         const char *workflow)
{
    for (size_t i = 0; i < made->certified.n; i++) {
        const struct certify_event *e = &made->certified.list[i];
        bool bad = e->kind == CERTIFY_EVENT_WITHDRAWN;
        log_write(bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                  bad ? "certificate.withdrawn" : "certificate.changed",
                  LOG_FIELDS(LOG_TEXT("workflow", made->workflow), LOG_TEXT("text", e->text)));
    }
    if (made->certified.n > 0) {
        task_certificates_changed(a->h.desk, made->workflow);
    }
    task_decided(a->h.desk, team, workflow);
}

static enum fail read_values(struct review_call *c, struct fault *why)
{
    json_t *fields = NULL;
    enum fail f = jn_object(c->body, "fields", false, &fields, why);
    if (f != FAIL_NONE || fields == NULL) {
        return f;
    }
    if (json_object_size(fields) > REVIEW_FIELDS_MAX) {
        FAULT(why, FAIL_TOO_LARGE, "\"fields\" has more than %d members", REVIEW_FIELDS_MAX);
        return fail_param(why, "fields");
    }
    c->d.values = c->values;
    const char *key;
    json_t *v;
    json_object_foreach(fields, key, v)
    {
        if (!json_is_string(v) || json_string_length(v) > REVIEW_TEXT_MAX) {
            FAULT(why, FAIL_BAD_REQUEST, "field \"%.60s\" must be a text", key);
            return fail_param(why, "fields");
        }
        c->values[c->d.values_len++] = (struct review_value){key, json_string_value(v)};
    }
    return FAIL_NONE;
}

static enum fail read_target(struct review_call *c, struct fault *why)
{
    int64_t within = 0;
    enum fail f = jn_str(c->body, "ticket_version", false, 200, &c->d.ticket_version, why);
    f = f == FAIL_NONE ? jn_str(c->body, "to", false, KEYRING_NAME_SIZE - 1, &c->d.to, why) : f;
    f = f == FAIL_NONE ? jn_str(c->body, "then", false, KEYRING_NAME_SIZE - 1, &c->d.then, why) : f;
    f = f == FAIL_NONE
            ? jn_int(c->body, "within_s", false, 1, REVIEW_WITHIN_MAX, &within, why) : f;
    c->d.within_s = (int)within;
    if (f == FAIL_NONE && c->d.action != REVIEW_ACTION_ESCALATE &&
        (c->d.to != NULL || c->d.then != NULL || within != 0)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"to\", \"then\" and \"within_s\" belong to escalate");
        f = fail_param(why, "to");
    }
    return f;
}

enum fail review_read_decision(struct review_call *c, bool version, struct fault *why)
{
    const char *action = NULL;
    c->d = (struct review_decide){.id = c->id, .who = &c->who, .review_ms = -1,
                                  .check = review_check_value, .arg = c->a};
    enum fail f = jn_str(c->body, "action", true, 16, &action, why);
    if (f == FAIL_NONE && !review_action_find(action, &c->d.action)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"action\" must be approve, edit, reject or escalate");
        f = fail_param(why, "action");
    }
    if (f == FAIL_NONE && version) {
        f = jn_int(c->body, "version", true, 1, INT64_MAX, &c->d.version, why);
    }
    f = f == FAIL_NONE
            ? jn_str(c->body, "reason", false, REVIEW_REASON_MAX, &c->d.reason, why) : f;
    f = f == FAIL_NONE ? jn_str(c->body, "draft", false, REVIEW_TEXT_MAX, &c->d.draft, why) : f;
    if (f == FAIL_NONE) {
        f = jn_int(c->body, "review_ms", false, 0, 7LL * 24 * 3600 * 1000, &c->d.review_ms, why);
    }
    f = f == FAIL_NONE ? read_target(c, why) : f;
    return f == FAIL_NONE ? read_values(c, why) : f;
}

static enum fail decide_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    enum fail f = review_decide(tx, c->a->h.audit, &c->d, &c->made.first, why);
    if (f == FAIL_NONE && !c->made.first.again) {
        f = review_decided_write(tx, c, why);
    }
    if (f == FAIL_NONE) {
        api_put_id(&c->w, "artifact", "art", &c->id);
        jn_kv_str(&c->w, "state", review_state_name(c->made.first.state));
        jn_kv_int(&c->w, "version", c->made.first.version);
        jn_kv_real(&c->w, "edit_distance", c->made.first.edit_distance, 4);
        jn_kv_int(&c->w, "record", c->made.first.leaf);
    }
    return f;
}

static void decide_after(struct review_call *c)
{
    if (!c->made.first.again) {
        review_decided_tell(c->a, &c->made.first, c->team, c->workflow);
    }
}

void api_artifact_decide(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"version", "action",         "fields", "draft",
                                       "reason",  "review_ms",      "to",     "then",
                                       "within_s", "ticket_version", NULL};
    struct fault why;
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c == NULL) {
        return;
    }
    enum fail f = review_read_decision(c, true, &why);
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
        return;
    }
    c->after = decide_after;
    review_call_send(c, decide_write);
}
