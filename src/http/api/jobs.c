/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1/jobs: making, watching and changing jobs. work/job owns the rules. What writes runs on a
 * crunch thread, because it waits until it is durable. Learning and taking articles in (errands.c)
 * are shown under the same paths.
 */
#include "http/api/api_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "work/job/job.h"

#define JOB_ARENA_BYTES ((size_t)16 << 20)
#define JOB_RESULTS_BYTES ((size_t)32 << 20)

/* ---- showing ---- */

static void put_row(struct jn_writer *w, const struct job_row *j)
{
    api_put_id(w, "job", "job", &j->id);
    jn_kv_str(w, "kind", job_kind_name(j->kind));
    jn_kv_str(w, "name", j->workflow);
    jn_kv_str(w, "workflow", j->workflow);
    jn_kv_str(w, "release", j->release);
    jn_kv_str(w, "state", job_state_name(j->state));
    jn_kv_str(w, "stage", j->stage);
    jn_kv_str(w, "note", j->note);
    jn_kv_str(w, "team", j->team);
    jn_kv_str(w, "actor", j->actor);
    jn_kv_str(w, "title", j->title);
    jn_kv_str(w, "label", secrecy_name(j->label));
    jn_kv_real(w, "share", j->share, 4);
    jn_kv_int(w, "done", j->items > 0 ? j->items_done + j->items_failed
                                      : (int64_t)(j->share * 100));
    jn_kv_int(w, "total", j->items > 0 ? j->items : 100);
    jn_kv_int(w, "items", j->items);
    jn_kv_int(w, "items_done", j->items_done);
    jn_kv_int(w, "items_failed", j->items_failed);
    jn_kv_bool(w, "closed", j->closed);
    jn_kv_int(w, "attempts", j->attempts);
    jn_kv_int(w, "deadline_s", j->deadline_s);
    api_put_time(w, "created_at", j->created_at);
    api_put_time(w, "started_at", j->started_at);
    api_put_time(w, "ended_at", j->ended_at);
    api_put_time(w, "not_before", j->not_before);
    jn_kv_real(w, "ms", j->ms, 1);
    jn_kv_int(w, "tokens_in", j->tokens_in);
    jn_kv_int(w, "tokens_out", j->tokens_out);
    jn_kv_real(w, "cost", (double)j->cost / 1e9, 9);
    if (!text_id_is_zero(&j->artifact)) {
        api_put_id(w, "artifact", "art", &j->artifact);
    }
    if (!text_id_is_zero(&j->replay_of)) {
        api_put_id(w, "replay_of", "job", &j->replay_of);
    }
    if (j->code[0] != '\0') {
        jn_key(w, "error");
        jn_object_begin(w);
        jn_kv_str(w, "code", j->code);
        jn_kv_str(w, "message", j->message);
        jn_kv_str(w, "hint", j->hint[0] != '\0' ? j->hint : NULL);
        jn_object_end(w);
    }
}

static void put_files(struct jn_writer *w, const char *key, const struct job_file *list, size_t n)
{
    jn_key(w, key);
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jn_object_begin(w);
        if (list[i].role[0] != '\0') {
            jn_kv_str(w, "role", list[i].role);
        }
        jn_kv_str(w, "name", list[i].name);
        jn_kv_str(w, "type", list[i].type);
        jn_kv_int(w, "bytes", list[i].bytes);
        jn_kv_str(w, "sha256", list[i].sha256);
        jn_kv_bool(w, "main", list[i].main);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_steps(struct jn_writer *w, const struct job_row *j)
{
    jn_key(w, "steps");
    jn_array_begin(w);
    for (size_t i = 0; i < j->steps_len; i++) {
        const struct job_step *s = &j->steps[i];
        jn_object_begin(w);
        jn_kv_int(w, "attempt", s->attempt);
        jn_kv_str(w, "name", s->name);
        jn_kv_real(w, "ms", s->ms, 1);
        jn_kv_int(w, "asks", s->asks);
        jn_kv_int(w, "tokens_in", s->tokens_in);
        jn_kv_int(w, "tokens_cached", s->tokens_cached);
        jn_kv_int(w, "tokens_out", s->tokens_out);
        jn_kv_real(w, "cost", (double)s->cost / 1e9, 9);
        jn_kv_int(w, "record", s->leaf);
        api_put_time(w, "ended_at", s->ended_at);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_whole(struct jn_writer *w, const struct job_row *j)
{
    put_row(w, j);
    put_files(w, "inputs", j->inputs, j->inputs_len);
    put_files(w, "outputs", j->outputs, j->outputs_len);
    put_steps(w, j);
}

static void show_errand(struct api *a, struct wire_request *r, void *arg)
{
    errand_show(a, r, arg);
}

/* One job as it now stands; false with why when there is none. */
static enum fail reply_job(struct api *a, struct wire_request *r, const struct id *id, int status,
                           struct fault *why)
{
    struct job_row row;
    struct store_conn *c = api_reader_take(a, why);
    if (c == NULL) {
        return why->code;
    }
    struct arena *arena = arena_new(JOB_ARENA_BYTES);
    enum fail f = jobs_get(c, arena, id, api_who(r), &row, why);
    api_reader_give(a, c);
    if (f == FAIL_NONE) {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        put_whole(&w, &row);
        api_send(r, status, &w);
    }
    arena_free(arena);
    return f;
}

void api_job_show(struct wire_request *r, void *arg)
{
    struct id *id = wire_alloc(r, sizeof(*id));
    struct fault why;
    if (!api_param_id(r, "job", "job", "job", id)) {
        return;
    }
    enum fail f = reply_job(arg, r, id, 200, &why);
    if (f == FAIL_NOT_FOUND) {
        api_on_core(arg, r, show_errand, id);
    } else if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

struct listing {
    struct jn_writer w;
    struct buf body;
};

static bool list_row(void *arg, const struct job_row *row)
{
    struct listing *l = arg;
    jn_object_begin(&l->w);
    put_row(&l->w, row);
    jn_object_end(&l->w);
    return !l->body.overflow;
}

static void list_errands(struct api *a, struct wire_request *r, void *arg)
{
    struct listing *l = arg;
    errand_list(a, r, &l->w);
    jn_array_end(&l->w);
    api_send(r, 200, &l->w);
}

void api_jobs(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"state", "workflow", "limit", "before", NULL};
    struct api *a = arg;
    struct fault why;
    int64_t limit = 100;
    if (!api_query_ok(r, names) || !api_query_int(r, "limit", 1, JOB_LIST_MAX, &limit)) {
        return;
    }
    struct job_filter filter = {.who = api_who(r),
                                .state = JOB_STATE_COUNT,
                                .workflow = wire_query(r, "workflow"),
                                .limit = (int)limit};
    const char *state = wire_query(r, "state"), *before = wire_query(r, "before");
    if ((state != NULL && !job_state_find(state, &filter.state)) ||
        (before != NULL && !text_id_read(before, "job", &filter.before))) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"%s\" is none", state != NULL ? "state" : "before");
        fail_hint(&why, "States: queued, leased, paused, done, failed, dead, cancelled; before is "
                        "a job's id.");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct listing *l = wire_alloc(r, sizeof(*l));
    api_open(&l->w, &l->body);
    l->w.out = &l->body;
    jn_key(&l->w, "jobs");
    jn_array_begin(&l->w);
    enum fail f = jobs_list(c, &filter, list_row, l, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&l->body);
        wire_fail(r, f, &why);
        return;
    }
    api_on_core(a, r, list_errands, l);
}

/* ---- making ---- */

struct making {
    struct job_new n;
    struct program_input inputs[PROGRAM_INPUTS_MAX];
    char *decoded[PROGRAM_INPUTS_MAX];
    struct program_var params[PROGRAM_PARAMS_MAX];
};

static enum fail bad_input(size_t i, const char *what, struct fault *why)
{
    FAULT(why, FAIL_BAD_REQUEST, "input %zu %s", i + 1, what);
    return fail_param(why, "inputs");
}

static enum fail read_input(const json_t *node, struct making *m, size_t i, struct fault *why)
{
    static const char *const keys[] = {"role", "name", "type", "text", "base64", NULL};
    struct program_input *in = &m->inputs[i];
    const char *base64 = NULL, *text = NULL;
    if (!json_is_object(node)) {
        return bad_input(i, "is no object", why);
    }
    *in = (struct program_input){.role = "items", .name = "", .type = ""};
    enum fail f = jn_only(node, keys, why);
    f = f != FAIL_NONE ? f : jn_str(node, "role", false, 31, &in->role, why);
    f = f != FAIL_NONE ? f : jn_str(node, "name", false, 255, &in->name, why);
    f = f != FAIL_NONE ? f : jn_str(node, "type", false, 127, &in->type, why);
    f = f != FAIL_NONE ? f : jn_str(node, "text", false, PROGRAM_INPUT_BYTES, &text, why);
    f = f != FAIL_NONE ? f : jn_str(node, "base64", false, PROGRAM_INPUT_BYTES / 3 * 4 + 8,
                                    &base64, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if ((text == NULL) == (base64 == NULL)) {
        return bad_input(i, "needs either \"text\" or \"base64\"", why);
    }
    in->bytes = text;
    in->len = text != NULL ? strlen(text) : 0;
    if (base64 != NULL) {
        m->decoded[i] = mem_alloc(3 * strlen(base64) / 4 + 4);
        in->len = text_unbase64(base64, strlen(base64), m->decoded[i]);
        in->bytes = m->decoded[i];
        if (in->len == SIZE_MAX) {
            return bad_input(i, "is not base64 (RFC 4648, padded)", why);
        }
    }
    return FAIL_NONE;
}

static enum fail read_inputs(const json_t *body, struct making *m, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_array(body, "inputs", false, PROGRAM_INPUTS_MAX, &list, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(list); i++) {
        f = read_input(json_array_get(list, i), m, i, why);
        m->n.inputs_len = i + 1;
    }
    m->n.inputs = m->inputs;
    return f;
}

static enum fail read_params(const json_t *body, struct making *m, struct fault *why)
{
    json_t *map = NULL;
    enum fail f = jn_object(body, "params", false, &map, why);
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        if (f != FAIL_NONE) {
            break;
        }
        if (!json_is_string(value) || m->n.params_len == PROGRAM_PARAMS_MAX) {
            FAULT(why, FAIL_BAD_REQUEST, "\"params\" must be at most %d texts by name",
                  PROGRAM_PARAMS_MAX);
            f = fail_param(why, "params");
            break;
        }
        m->params[m->n.params_len++] = (struct program_var){key, json_string_value(value)};
    }
    m->n.params = m->params;
    return f;
}

static enum fail read_kind(struct api *a, const json_t *body, struct making *m, struct fault *why)
{
    const char *kind = NULL, *label = "public";
    struct program_definition *d = jobs_find_definition(a->h.jobs, m->n.workflow);
    struct ladder_form *form = api_form_find(a, m->n.workflow);
    bool program = d != NULL, any = d != NULL || form != NULL;
    program_definition_unref(d);
    ladder_form_unref(form);
    enum fail f = jn_str(body, "kind", false, 16, &kind, why);
    f = f != FAIL_NONE ? f : jn_str(body, "label", false, 16, &label, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (!any) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such workflow");
    }
    m->n.kind = program ? JOB_PROGRAM : JOB_BATCH;
    if (kind != NULL && strcmp(kind, "stream") == 0 && !program) {
        m->n.kind = JOB_STREAM;
    } else if (kind != NULL && strcmp(kind, job_kind_name(m->n.kind)) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" runs as %s", m->n.workflow,
              program ? "program" : "batch or stream");
        return fail_param(why, "kind");
    }
    m->n.label = secrecy_find(label);
    if (m->n.label == SECRECY_COUNT) {
        FAULT(why, FAIL_BAD_REQUEST, "\"label\" must be public, internal, confidential or "
                                     "restricted");
        return fail_param(why, "label");
    }
    return FAIL_NONE;
}

static enum fail read_rungs(const json_t *body, unsigned *out, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_array(body, "rungs", false, LADDER_RUNG_COUNT, &list, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        enum ladder_rung rung = name != NULL ? ladder_rung_find(name) : LADDER_RUNG_COUNT;
        if (rung == LADDER_RUNG_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST, "\"rungs\" holds what is no rung");
            f = fail_param(why, "rungs");
        } else {
            *out |= 1u << rung;
        }
    }
    return f;
}

static enum fail read_new(struct api *a, const struct principal *who, const json_t *body,
                          struct making *m, struct fault *why)
{
    bool draft = true, artifact = true;
    m->n.who = who;
    enum fail f = jn_str(body, "workflow", true, 63, &m->n.workflow, why);
    f = f != FAIL_NONE ? f
                       : policy_may_name(a->h.policy, who, POLICY_OBJECT_WORKFLOW, m->n.workflow,
                                         why);
    f = f != FAIL_NONE ? f : read_kind(a, body, m, why);
    f = f != FAIL_NONE ? f : read_inputs(body, m, why);
    f = f != FAIL_NONE ? f : read_params(body, m, why);
    f = f != FAIL_NONE ? f : jn_str(body, "as", false, 63, &m->n.format, why);
    f = f != FAIL_NONE ? f : jn_str(body, "title", false, 200, &m->n.title, why);
    f = f != FAIL_NONE ? f : jn_int(body, "deadline_s", false, 1, 86400, &m->n.deadline_s, why);
    f = f != FAIL_NONE ? f : read_rungs(body, &m->n.rungs, why);
    f = f != FAIL_NONE ? f : jn_bool(body, "draft", false, &draft, why);
    f = f != FAIL_NONE ? f : jn_bool(body, "artifact", false, &artifact, why);
    m->n.no_draft = !draft;
    m->n.no_artifact = !artifact;
    return f;
}

static void make_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"workflow", "kind",       "inputs", "params", "as",
                                       "title",    "label",      "rungs",  "draft",  "artifact",
                                       "deadline_s", NULL};
    AUTO_JSON json_t *body = api_body(r, keys, false);
    struct fault why;
    struct id id;
    (void)arg;
    if (body == NULL) {
        return;
    }
    struct making *m = mem_alloc(sizeof(*m));
    enum fail f = read_new(a, api_who(r), body, m, &why);
    f = f != FAIL_NONE ? f : jobs_new(a->h.jobs, &m->n, &id, &why);
    f = f != FAIL_NONE ? f : reply_job(a, r, &id, 202, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
    for (size_t i = 0; i < PROGRAM_INPUTS_MAX; i++) {
        mem_free(m->decoded[i]);
    }
    mem_free(m);
}

void api_job_add(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, make_on_crunch, NULL);
}

/* ---- outputs and results ---- */

static void output_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct id *id = arg;
    struct fault why;
    char type[128] = "", disposition[180];
    const char *name = wire_param(r, "output");
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct buf out;
    buf_init(&out, PROGRAM_OUTPUT_BYTES * 2);
    enum fail f = jobs_output(a->h.audit, c, id, api_who(r), name, &out, type, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&out);
        wire_fail(r, f, &why);
        return;
    }
    /* A browser shows none of it: an SVG or HTML of a report could hold a script. */
    (void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%.120s\"", name);
    wire_header_add(r, "Content-Disposition", disposition);
    wire_header_add(r, "X-Content-Type-Options", "nosniff");
    wire_header_add(r, "X-Inhouse-Type", type);
    wire_reply(r, 200, "application/octet-stream", &out);
}

void api_job_output(struct wire_request *r, void *arg)
{
    struct id *id = wire_alloc(r, sizeof(*id));
    if (api_param_id(r, "job", "job", "job", id)) {
        api_on_crunch(arg, r, output_on_crunch, id);
    }
}

struct results {
    struct id id;
    int64_t after;
};

static void results_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct results *q = arg;
    struct fault why;
    int64_t next = 0;
    char shown[24];
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct buf out;
    buf_init(&out, JOB_RESULTS_BYTES);
    enum fail f = jobs_results(c, &q->id, api_who(r), q->after, &out, &next, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&out);
        wire_fail(r, f, &why);
        return;
    }
    (void)snprintf(shown, sizeof(shown), "%" PRId64, next);
    wire_header_add(r, "X-Inhouse-Next", shown);
    wire_reply(r, 200, "application/jsonl", &out);
}

void api_job_results(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"after", NULL};
    struct results *q = wire_alloc(r, sizeof(*q));
    q->after = 0;
    if (api_param_id(r, "job", "job", "job", &q->id) && api_query_ok(r, names) &&
        api_query_int(r, "after", 0, JOB_ITEMS_MAX, &q->after)) {
        api_on_crunch(arg, r, results_on_crunch, q);
    }
}

/* ---- changing ---- */

static void items_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct id *id = arg;
    struct fault why;
    int64_t items;
    size_t len;
    const char *lines = wire_body(r, &len);
    enum fail f = jobs_add(a->h.jobs, id, api_who(r), lines, len, &items, &why);
    f = f != FAIL_NONE ? f : reply_job(a, r, id, 202, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

void api_job_items(struct wire_request *r, void *arg)
{
    struct id *id = wire_alloc(r, sizeof(*id));
    if (api_param_id(r, "job", "job", "job", id)) {
        api_on_crunch(arg, r, items_on_crunch, id);
    }
}

typedef enum fail (*change_fn)(struct jobs *j, const struct id *id, const struct principal *who,
                               struct fault *why);
struct changing {
    struct id id;
    change_fn change;
};

static void change_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const none[] = {NULL};
    const struct changing *x = arg;
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, none, true);
    if (body == NULL) {
        return;
    }
    enum fail f = x->change(a->h.jobs, &x->id, api_who(r), &why);
    f = f != FAIL_NONE ? f : reply_job(a, r, &x->id, 200, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

static void change(struct wire_request *r, struct api *a, change_fn fn)
{
    struct changing *x = wire_alloc(r, sizeof(*x));
    x->change = fn;
    if (api_param_id(r, "job", "job", "job", &x->id)) {
        api_on_crunch(a, r, change_on_crunch, x);
    }
}

void api_job_close(struct wire_request *r, void *arg)
{
    change(r, arg, jobs_end);
}

void api_job_pause(struct wire_request *r, void *arg)
{
    change(r, arg, jobs_pause);
}

void api_job_resume(struct wire_request *r, void *arg)
{
    change(r, arg, jobs_resume);
}

void api_job_cancel(struct wire_request *r, void *arg)
{
    change(r, arg, jobs_cancel);
}

static void replay_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const none[] = {NULL};
    const struct id *id = arg;
    struct fault why;
    struct id made;
    AUTO_JSON json_t *body = api_body(r, none, true);
    if (body == NULL) {
        return;
    }
    enum fail f = jobs_replay(a->h.jobs, id, api_who(r), &made, &why);
    f = f != FAIL_NONE ? f : reply_job(a, r, &made, 202, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    }
}

void api_job_replay(struct wire_request *r, void *arg)
{
    struct id *id = wire_alloc(r, sizeof(*id));
    if (api_param_id(r, "job", "job", "job", id)) {
        api_on_crunch(arg, r, replay_on_crunch, id);
    }
}
