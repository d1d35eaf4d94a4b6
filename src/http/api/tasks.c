/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/tasks: one input through a workflow. The answer is the task's own JSON, byte for byte. */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/route/route.h"

struct form_task {
    struct wire_request *r;
    struct openai_flight flight;
};

static void form_done(void *arg, const struct task_result *result)
{
    struct form_task *t = arg;
    char shown[TEXT_ID_SIZE];
    if (!text_id_is_zero(&result->task)) {
        wire_header_add(t->r, "x-inhouse-task", text_id_show(&result->task, "tsk", shown));
    }
    if (result->code != FAIL_NONE) {
        wire_fail(t->r, result->code, result->why);
        return;
    }
    struct buf body;
    buf_init(&body, result->json_len + 1);
    (void)buf_add(&body, result->json, result->json_len);
    wire_reply(t->r, 200, NULL, &body);
}

static enum fail read_rungs(const json_t *body, unsigned *out, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_array(body, "rungs", false, LADDER_RUNG_COUNT, &list, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        enum ladder_rung rung = name ? ladder_rung_find(name) : LADDER_RUNG_COUNT;
        if (rung == LADDER_RUNG_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST, "\"rungs\" holds \"%.40s\", which is no rung",
                  name ? name : "something that is no text");
            fail_hint(why, "Rungs are reuse, rule, learned, light, heavy, hosted and person.");
            f = fail_param(why, "rungs");
        } else {
            *out |= 1u << rung;
        }
    }
    return f;
}

static enum fail read_needs(const json_t *body, unsigned *out, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_array(body, "needs", false, ROUTE_NEED_COUNT, &list, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        unsigned need = name != NULL ? route_need_find(name) : ROUTE_NEED_COUNT;
        if (need == ROUTE_NEED_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST, "\"needs\" holds \"%.40s\", which is no need",
                  name != NULL ? name : "something that is no text");
            fail_hint(why, "Needs are tools, long_context, vision and frontier.");
            f = fail_param(why, "needs");
        } else {
            *out |= 1u << need;
        }
    }
    return f;
}

static enum fail read_input(const json_t *body, struct task_request *t, struct fault *why)
{
    static const char *const keys[] = {"id", "subject", "text", NULL};
    json_t *input = NULL;
    enum fail f = jn_object(body, "input", true, &input, why);
    if (f == FAIL_NONE) {
        f = jn_only(input, keys, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(input, "id", false, 200, &t->input_id, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(input, "subject", false, 4096, &t->subject, why);
    }
    return f != FAIL_NONE ? f : jn_str(input, "text", true, TASK_MAX_TEXT, &t->text, why);
}

/* Seed and now belong to a reproducible task: given without it they would promise what is not
   kept. */
static enum fail read_reproducible(const json_t *body, struct task_request *t, struct fault *why)
{
    bool has_seed = json_object_get(body, "seed") != NULL;
    bool has_now = json_object_get(body, "now") != NULL;
    t->now = TASK_REPRODUCIBLE_NOW;
    enum fail f = jn_bool(body, "reproducible", false, &t->reproducible, why);
    if (f == FAIL_NONE) {
        f = jn_int(body, "seed", false, INT32_MIN, UINT32_MAX, &t->seed, why);
    }
    if (f == FAIL_NONE) {
        f = jn_int(body, "now", false, 1, TASK_NOW_MAX, &t->now, why);
    }
    if (f == FAIL_NONE && (has_seed || has_now) && !t->reproducible) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" needs \"reproducible\": true",
              has_seed ? "seed" : "now");
        return fail_param(why, has_seed ? "seed" : "now");
    }
    if (f == FAIL_NONE && t->reproducible && !has_seed) {
        FAULT(why, FAIL_BAD_REQUEST, "a reproducible task needs a \"seed\"");
        return fail_param(why, "seed");
    }
    if (f == FAIL_NONE && t->reproducible && (t->rungs & (1u << LADDER_REUSE)) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "a reproducible task is computed, not reused");
        fail_hint(why, "Leave \"reuse\" out of \"rungs\".");
        return fail_param(why, "rungs");
    }
    return f;
}

enum fail api_task_read(const json_t *body, struct task_request *t, struct fault *why)
{
    const char *class = "interactive";
    const char *label = "public";
    bool draft = true;
    bool artifact = true;
    enum fail f = jn_str(body, "workflow", true, 63, &t->workflow, why);
    if (f == FAIL_NONE) {
        f = read_input(body, t, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(body, "class", false, 16, &class, why);
    }
    if (f == FAIL_NONE) {
        t->class = ipc_class_find(class);
        if (t->class == IPC_CLASS_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST, "\"class\" must be interactive, workflow or batch");
            f = fail_param(why, "class");
        }
    }
    if (f == FAIL_NONE) {
        f = jn_str(body, "label", false, 16, &label, why);
    }
    if (f == FAIL_NONE) {
        t->label = secrecy_find(label);
        if (t->label == SECRECY_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST,
                  "\"label\" must be public, internal, confidential or restricted");
            f = fail_param(why, "label");
        }
    }
    if (f == FAIL_NONE) {
        f = read_rungs(body, &t->rungs, why);
    }
    if (f == FAIL_NONE) {
        f = read_needs(body, &t->needs, why);
    }
    if (f == FAIL_NONE) {
        f = jn_bool(body, "draft", false, &draft, why);
    }
    if (f == FAIL_NONE) {
        f = jn_bool(body, "artifact", false, &artifact, why);
    }
    if (f == FAIL_NONE) {
        f = jn_int(body, "deadline_ms", false, 1, 24 * 3600 * 1000, &t->deadline_ms, why);
    }
    if (f == FAIL_NONE) {
        f = read_reproducible(body, t, why);
    }
    t->no_draft = !draft;
    t->no_artifact = !artifact;
    return f;
}

static bool key_is_good(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)key[i] <= 0x20 || (unsigned char)key[i] >= 0x7f) {
            return false;
        }
    }
    return n > 0 && n <= 255;
}

void api_task_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"workflow", "input",    "class",       "rungs",
                                       "draft",    "artifact", "deadline_ms", "reproducible",
                                       "seed",     "now",      "label",       "needs",
                                       NULL};
    struct api *a = arg;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct fault why;
    struct form_task *t = wire_alloc(r, sizeof(*t));
    struct task_request q = {.kind = TASK_FORM,
                             .who = *api_who(r),
                             .idempotency_key = wire_header(r, "Idempotency-Key"),
                             .on_done = form_done,
                             .arg = t};
    enum fail f = api_task_read(body, &q, &why);
    if (f == FAIL_NONE && q.idempotency_key != NULL && !key_is_good(q.idempotency_key)) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "Idempotency-Key must be 1 to 255 visible characters");
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    t->r = r;
    openai_flight_watch(&t->flight, r, a->h.desk);
    /* The request lives at least until its handler returns, and t with it. */
    openai_flight_submit(&t->flight, &q);
}

void api_task_stored(struct wire_request *r, struct api *a, api_task_read_fn read)
{
    struct fault why;
    struct id id;
    if (!api_param_id(r, "task", "tsk", "task", &id)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct buf body;
    buf_init(&body, API_ANSWER_BYTES);
    enum fail f = read(c, &id, api_who(r), &body, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    wire_reply(r, 200, NULL, &body);
}

void api_task_show(struct wire_request *r, void *arg)
{
    api_task_stored(r, arg, task_read);
}
