/* SPDX-License-Identifier: Apache-2.0 */
/* The table, the gate, and what all handlers share: hops, readers, bodies, the map of active
   forms. */
#include "http/api/api_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "work/workflow/workflow.h"

#define KEYRING_SCOPE_PUBLIC 0
#define BODY WIRE_BODY_DEFAULT

static const struct wire_route table[] = {
#define ROUTE(method, pattern, handler, scope, object, cap, rate, audit, tag, operation, summary)  \
    {method,                                                                                       \
     pattern,                                                                                      \
     handler,                                                                                      \
     KEYRING_SCOPE_##scope,                                                                        \
     POLICY_OBJECT_##object,                                                                       \
     cap,                                                                                          \
     rate,                                                                                         \
     audit,                                                                                        \
     tag,                                                                                          \
     operation,                                                                                    \
     summary},
#include "http/api/routes.def"
#undef ROUTE
};

const struct wire_route *api_routes(size_t *count)
{
    *count = COUNT_OF(table);
    return table;
}

/* ---- the gate ---- */

/* X-Inhouse-Team: a key acts for its own team only; the server's own user for any. */
static enum fail acted_for(struct api *a, struct principal *p, const char *team, struct fault *why)
{
    struct keyring_team t;
    if (team == NULL || strcmp(team, p->team) == 0) {
        return FAIL_NONE;
    }
    if (p->kind != PRINCIPAL_KIND_LOCAL || !keyring_team_find(a->h.keyring, team, &t)) {
        FAULT(why, FAIL_FORBIDDEN, "you have no role in a team of that name");
        return fail_param(why, "X-Inhouse-Team");
    }
    (void)text_copy(p->team, sizeof(p->team), t.name);
    p->label = t.label;
    return FAIL_NONE;
}

static enum fail authenticate(void *arg, const struct wire_credentials *c, void *who,
                              struct fault *why)
{
    struct api *a = arg;
    char cookie[KEYRING_COOKIE_SIZE];
    if (c->token != NULL && login_is_token(c->token)) {
        return login_bearer(a->h.login, c->token, c->team, who, why);
    }
    if (c->token != NULL) {
        enum fail f = keyring_lookup(a->h.keyring, c->token, who, why);
        return f == FAIL_NONE ? acted_for(a, who, c->team, why) : f;
    }
    if (api_cookie(a, c->cookies, cookie)) {
        return keyring_session_lookup(a->h.keyring, cookie, c->csrf, c->changes, c->team, who, why);
    }
    if (c->peer_uid >= 0) {
        enum fail f = keyring_local((uid_t)c->peer_uid, who, why);
        return f == FAIL_NONE ? acted_for(a, who, c->team, why) : f;
    }
    FAULT(why, FAIL_UNAUTHENTICATED, "this path needs an API key");
    return fail_hint(why,
                     "Send \"Authorization: Bearer ik_...\"; `inhouse keys add NAME` makes one.");
}

void api_gate(struct api *a, struct wire_gate *out)
{
    *out = (struct wire_gate){.arg = a,
                              .who_size = sizeof(struct principal),
                              .authenticate = authenticate,
                              .admit = api_admit};
}

/* ---- life ---- */

static void take_form(void *arg, struct ladder_form *form)
{
    struct api *a = arg;
    struct fault why;
    /* One too many must not keep the server from starting. */
    if (api_form_set(a, form, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "workflow.left_out", &why);
    }
}

static void report_bad_form(void *arg, const char *name, const struct fault *why)
{
    (void)arg;
    (void)name;
    log_fault(LOG_LEVEL_ERROR, "workflow.unreadable", why);
}

enum fail api_new(const struct api_house *house, struct api **out, struct fault *why)
{
    struct api *a = mem_alloc(sizeof(*a));
    a->h = *house;
    a->openai = (struct openai_house){.loop = house->loop,
                                      .upstream = house->upstream,
                                      .roster = house->roster,
                                      .desk = house->desk,
                                      .fleet = house->fleet,
                                      .context_max = house->context_max,
                                      .raw_grammar = house->raw_grammar,
                                      .started_at = clock_now_us()};
    a->started_at = a->openai.started_at;
    a->started_us = clock_monotonic_us();
    ASSERT(pthread_mutex_init(&a->lock, NULL) == 0);
    struct store_conn *conn = api_reader_take(a, why);
    enum fail f = conn ? FAIL_NONE : why->code;
    if (f == FAIL_NONE) {
        f = workflow_each(conn, take_form, report_bad_form, a, why);
        f = f != FAIL_NONE ? f : workflow_programs_each(conn, api_program_take, a, why);
        api_reader_give(a, conn);
    }
    if (f != FAIL_NONE) {
        api_free(a);
        return f;
    }
    policy_set_owner(a->h.policy, api_owner, a);
    api_review_begin(a);
    *out = a;
    return FAIL_NONE;
}

void api_free(struct api *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->forms_len; i++) {
        ladder_form_unref(a->forms[i]);
    }
    for (size_t i = 0; i < a->readers_len; i++) {
        store_reader_close(a->readers[i]);
    }
    for (size_t i = 0; i < API_MAX_ERRANDS; i++) {
        mem_free(a->errands[i].result);
    }
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

void api_set_wire(struct api *a, struct wire *w)
{
    a->wire = w;
}

void api_set_raw_grammar(struct api *a, bool on)
{
    __atomic_store_n(&a->openai.raw_grammar, on, __ATOMIC_RELAXED);
}

/* ---- hops ---- */

struct hop {
    struct api *a;
    struct wire_request *r;
    api_step_fn fn;
    void *arg;
};

static void hop_run(void *arg)
{
    struct hop *hop = arg;
    hop->fn(hop->a, hop->r, hop->arg);
}

static struct hop *hop_new(struct api *a, struct wire_request *r, api_step_fn fn, void *arg)
{
    struct hop *hop = wire_alloc(r, sizeof(*hop));
    *hop = (struct hop){a, r, fn, arg};
    return hop;
}

void api_on_core(struct api *a, struct wire_request *r, api_step_fn fn, void *arg)
{
    loop_post(a->h.loop, hop_run, hop_new(a, r, fn, arg));
}

void api_on_crunch(struct api *a, struct wire_request *r, api_step_fn fn, void *arg)
{
    struct fault why;
    enum fail f = pool_submit(a->h.crunch, hop_run, hop_new(a, r, fn, arg), a->h.loop, NULL, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

/* ---- readers ---- */

struct store_conn *api_reader_take(struct api *a, struct fault *why)
{
    struct store_conn *c = NULL;
    pthread_mutex_lock(&a->lock);
    if (a->readers_len > 0) {
        c = a->readers[--a->readers_len];
    }
    pthread_mutex_unlock(&a->lock);
    if (c == NULL && store_reader_open(a->h.store, &c, why) != FAIL_NONE) {
        return NULL;
    }
    return c;
}

void api_reader_give(struct api *a, struct store_conn *c)
{
    pthread_mutex_lock(&a->lock);
    if (a->readers_len < API_MAX_READERS) {
        a->readers[a->readers_len++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    store_reader_close(c);
}

/* ---- requests ---- */

const struct principal *api_who(const struct wire_request *r)
{
    return wire_who(r);
}

json_t *api_body(struct wire_request *r, const char *const *keys, bool may_be_empty)
{
    size_t len;
    const char *text = wire_body(r, &len);
    json_t *j = NULL;
    struct fault why;
    enum fail f = FAIL_NONE;
    if (len == 0 && may_be_empty) {
        text = "{}";
        len = 2;
    }
    f = jn_parse(text, len, "the request body", &j, &why);
    if (f == FAIL_NONE && !json_is_object(j)) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "the request body must be a JSON object");
    }
    if (f == FAIL_NONE) {
        f = jn_only(j, keys, &why);
    }
    if (f != FAIL_NONE) {
        json_decref(j);
        wire_fail(r, f, &why);
        return NULL;
    }
    return j;
}

enum fail api_take(const json_t *body, const char *key, bool required, char *out, size_t room,
                   bool *has, struct fault *why)
{
    const char *value = NULL;
    enum fail f = jn_str(body, key, required, room - 1, &value, why);
    if (f == FAIL_NONE && value != NULL) {
        (void)text_copy(out, room, value);
    }
    if (has != NULL) {
        *has = value != NULL;
    }
    return f;
}

bool api_query_ok(struct wire_request *r, const char *const *names)
{
    struct fault why;
    enum fail f = wire_query_only(r, names, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
    return f == FAIL_NONE;
}

bool api_query_int(struct wire_request *r, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *s = wire_query(r, name);
    if (s == NULL || text_read_int(s, min, max, out)) {
        return true;
    }
    struct fault why;
    FAULT(&why, FAIL_BAD_REQUEST, "\"%s\" must be a whole number from %" PRId64 " to %" PRId64,
          name, min, max);
    fail_param(&why, name);
    wire_fail(r, FAIL_BAD_REQUEST, &why);
    return false;
}

bool api_param_id(struct wire_request *r, const char *name, const char *prefix, const char *what,
                  struct id *out)
{
    if (text_id_read(wire_param(r, name), prefix, out)) {
        return true;
    }
    struct fault why;
    FAULT(&why, FAIL_NOT_FOUND, "there is no such %s", what);
    wire_fail(r, FAIL_NOT_FOUND, &why);
    return false;
}

/* ---- answers ---- */

void api_open(struct jn_writer *w, struct buf *body)
{
    buf_init(body, API_ANSWER_BYTES);
    jn_begin(w, body, false);
    jn_object_begin(w);
}

void api_send(struct wire_request *r, int status, struct jn_writer *w)
{
    jn_object_end(w);
    struct buf *body = w->out;
    if (body->overflow) {
        struct fault why;
        FAULT(&why, FAIL_TOO_LARGE, "the answer is larger than %u bytes", API_ANSWER_BYTES);
        fail_hint(&why, "Ask for less at once.");
        buf_done(body);
        wire_fail(r, FAIL_TOO_LARGE, &why);
        return;
    }
    wire_reply(r, status, NULL, body);
}

void api_put_time(struct jn_writer *w, const char *key, int64_t at_us)
{
    char shown[CLOCK_RFC3339_SIZE];
    jn_kv_str(w, key, at_us != 0 ? clock_show(at_us, shown) : NULL);
}

void api_put_id(struct jn_writer *w, const char *key, const char *prefix, const struct id *id)
{
    char shown[TEXT_ID_SIZE];
    jn_kv_str(w, key, text_id_is_zero(id) ? NULL : text_id_show(id, prefix, shown));
}

/* ---- forms ---- */

struct ladder_form *api_form_find(struct api *a, const char *name)
{
    struct ladder_form *found = NULL;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->forms_len && found == NULL; i++) {
        if (strcmp(a->forms[i]->name, name) == 0) {
            found = ladder_form_ref(a->forms[i]);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

enum fail api_form_room(struct api *a, const char *name, struct fault *why)
{
    struct ladder_form *known = api_form_find(a, name);
    pthread_mutex_lock(&a->lock);
    bool full = known == NULL && a->forms_len == API_MAX_FORMS;
    pthread_mutex_unlock(&a->lock);
    ladder_form_unref(known);
    return full ? FAULT(why, FAIL_QUEUE_FULL, "there are %d workflows already", API_MAX_FORMS)
                : FAIL_NONE;
}

enum fail api_form_set(struct api *a, struct ladder_form *form, struct fault *why)
{
    struct ladder_form *old = NULL;
    pthread_mutex_lock(&a->lock);
    size_t i = 0;
    while (i < a->forms_len && strcmp(a->forms[i]->name, form->name) != 0) {
        i++;
    }
    bool full = i == API_MAX_FORMS;
    if (!full) {
        old = i < a->forms_len ? a->forms[i] : NULL;
        a->forms[i] = ladder_form_ref(form);
        a->forms_len += i == a->forms_len;
    }
    pthread_mutex_unlock(&a->lock);
    if (full) {
        FAULT(why, FAIL_QUEUE_FULL, "there are %d workflows already", API_MAX_FORMS);
        return FAIL_QUEUE_FULL;
    }
    ladder_form_unref(old);
    task_form_set(a->h.desk, form);
    return FAIL_NONE;
}
