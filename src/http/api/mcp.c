/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /mcp: each workflow the caller may run is a tool, each artifact they may read a resource
 * (docs/reference/mcp.md). http/mcp knows the protocol; here a call becomes a task or a reading.
 * Threads: lists and readings on http threads, a tool's answer on the core thread.
 */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/mcp/mcp.h"
#include "work/review/review.h"

#define PAGE 100

static void send_error(struct wire_request *r, const struct mcp_call *c, enum mcp_error code,
                       const char *message)
{
    struct buf body;
    buf_init(&body, API_ANSWER_BYTES);
    int status = mcp_fail(c, code, message, &body);
    wire_reply(r, status, NULL, &body);
}

static void result_open(const struct mcp_call *c, struct jn_writer *w, struct buf *body)
{
    buf_init(body, API_ANSWER_BYTES);
    mcp_result_begin(c, w, body);
}

static void result_send(struct wire_request *r, const struct mcp_call *c, struct jn_writer *w,
                        bool cached)
{
    mcp_result_end(c, w, cached);
    wire_reply(r, 200, NULL, w->out);
}

/* What went wrong inside, in words a model can act on. */
static void send_fault(struct wire_request *r, const struct mcp_call *c, const struct fault *why)
{
    send_error(r, c, MCP_ERROR_INTERNAL, why->message);
}

/* ---- tools ---- */

static int by_name(const void *a, const void *b)
{
    const struct ladder_form *x = *(struct ladder_form *const *)a;
    const struct ladder_form *y = *(struct ladder_form *const *)b;
    return strcmp(x->name, y->name);
}

/* The caller's own, each with a reference, in the order of their names. */
static size_t my_forms(struct api *a, const struct principal *who,
                       struct ladder_form *out[API_MAX_FORMS])
{
    size_t n = 0;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->forms_len; i++) {
        struct fault why;
        if (policy_may_name(a->h.policy, who, POLICY_OBJECT_WORKFLOW, a->forms[i]->name, &why) ==
            FAIL_NONE) {
            out[n++] = ladder_form_ref(a->forms[i]);
        }
    }
    pthread_mutex_unlock(&a->lock);
    qsort(out, n, sizeof(*out), by_name);
    return n;
}

static void list_tools(struct api *a, struct wire_request *r, const struct mcp_call *c)
{
    struct ladder_form *forms[API_MAX_FORMS];
    struct jn_writer w;
    struct buf body;
    if (c->cursor != NULL) {
        send_error(r, c, MCP_ERROR_PARAMS, "Invalid cursor: the list of tools is one page");
        return;
    }
    size_t n = my_forms(a, api_who(r), forms);
    result_open(c, &w, &body);
    jn_key(&w, "tools");
    jn_array_begin(&w);
    for (size_t i = 0; i < n; i++) {
        mcp_put_tool(&w, forms[i]);
        ladder_form_unref(forms[i]);
    }
    jn_array_end(&w);
    result_send(r, c, &w, true);
}

/* A tool at work. Its memory is the request's; what it holds is given back when it is done. */
struct running {
    struct wire_request *r;
    struct mcp_call call;
    struct ladder_form *form;
    struct openai_flight flight;
};

static void run_done(void *arg, const struct task_result *t)
{
    struct running *run = arg;
    struct mcp_call call = run->call; /* run may be gone with its request */
    struct ladder_form *form = run->form;
    struct wire_request *r = run->r;
    struct jn_writer w;
    struct buf body;
    struct fault why;
    AUTO_JSON json_t *answer = NULL;
    enum fail f = t->code != FAIL_NONE
                      ? t->code
                      : jn_parse(t->json, t->json_len, "the answer", &answer, &why);
    result_open(&call, &w, &body);
    if (f == FAIL_NONE) {
        mcp_put_answer(&w, form, answer);
    } else {
        char message[sizeof(why.message) + sizeof(why.hint) + 2];
        const struct fault *said = t->code != FAIL_NONE ? t->why : &why;
        (void)snprintf(message, sizeof(message), "%s %s", said->message, said->hint);
        mcp_put_failure(&w, message);
    }
    result_send(r, &call, &w, false);
    mcp_call_done(&call);
    ladder_form_unref(form);
}

static enum fail read_arguments(const struct mcp_call *c, struct task_request *t,
                                struct fault *why)
{
    static const char *const keys[] = {"text", "subject", "id", NULL};
    AUTO_JSON json_t *none = json_object();
    const json_t *arguments = c->arguments != NULL ? c->arguments : none;
    enum fail f = jn_only(arguments, keys, why);
    f = f != FAIL_NONE ? f : jn_str(arguments, "id", false, 200, &t->input_id, why);
    f = f != FAIL_NONE ? f : jn_str(arguments, "subject", false, 4096, &t->subject, why);
    return f != FAIL_NONE ? f : jn_str(arguments, "text", true, TASK_MAX_TEXT, &t->text, why);
}

/* Takes the call over. */
static void call_tool(struct api *a, struct wire_request *r, struct mcp_call *c)
{
    struct fault why;
    struct task_request t = {.kind = TASK_FORM, .who = *api_who(r), .class = IPC_INTERACTIVE};
    struct ladder_form *form = NULL;
    /* Not there and not the caller's are the same answer. */
    if (policy_may_name(a->h.policy, &t.who, POLICY_OBJECT_WORKFLOW, c->name, &why) == FAIL_NONE) {
        form = api_form_find(a, c->name);
    }
    if (form == NULL) {
        send_error(r, c, MCP_ERROR_PARAMS, "Unknown tool: tools/list names those you may call");
        mcp_call_done(c);
        return;
    }
    if (read_arguments(c, &t, &why) != FAIL_NONE) { /* for the model to mend */
        struct jn_writer w;
        struct buf body;
        result_open(c, &w, &body);
        mcp_put_failure(&w, why.message);
        result_send(r, c, &w, false);
        ladder_form_unref(form);
        mcp_call_done(c);
        return;
    }
    struct running *run = wire_alloc(r, sizeof(*run));
    *run = (struct running){.r = r, .call = *c, .form = form};
    t.workflow = form->name;
    t.on_done = run_done;
    t.arg = run;
    openai_flight_watch(&run->flight, r, a->h.desk);
    /* The library holds the request while its handler runs, so run is still there. */
    openai_flight_submit(&run->flight, &t);
}

/* ---- resources ---- */

struct listing {
    struct jn_writer w;
    struct id last;
    int n;
};

static bool put_resource(void *arg, const struct review_artifact *x)
{
    struct listing *l = arg;
    char id[TEXT_ID_SIZE], text[512];
    jn_object_begin(&l->w);
    (void)snprintf(text, sizeof(text), MCP_ARTIFACT_URI "%s", text_id_show(&x->id, "art", id));
    jn_kv_str(&l->w, "uri", text);
    jn_kv_str(&l->w, "name", id);
    jn_kv_str(&l->w, "title", x->title);
    (void)snprintf(text, sizeof(text), "%s, %s", x->workflow, review_state_name(x->state));
    jn_kv_str(&l->w, "description", text);
    jn_kv_str(&l->w, "mimeType", "application/json");
    jn_object_end(&l->w);
    l->last = x->id;
    l->n++;
    return true;
}

static void list_resources(struct api *a, struct wire_request *r, const struct mcp_call *c)
{
    struct review_filter filter = {.who = api_who(r), .state = REVIEW_STATE_COUNT, .limit = PAGE};
    struct listing l = {.n = 0};
    struct buf body;
    struct fault why;
    if (c->cursor != NULL && !text_id_read(c->cursor, "art", &filter.after)) {
        send_error(r, c, MCP_ERROR_PARAMS, "Invalid cursor: it is the nextCursor of a page before");
        return;
    }
    struct store_conn *conn = api_reader_take(a, &why);
    if (conn == NULL) {
        send_fault(r, c, &why);
        return;
    }
    result_open(c, &l.w, &body);
    jn_key(&l.w, "resources");
    jn_array_begin(&l.w);
    enum fail f = review_list(conn, &filter, put_resource, &l, &why);
    jn_array_end(&l.w);
    api_reader_give(a, conn);
    if (f != FAIL_NONE) {
        buf_done(&body);
        send_fault(r, c, &why);
        return;
    }
    if (l.n == PAGE) {
        char id[TEXT_ID_SIZE];
        jn_kv_str(&l.w, "nextCursor", text_id_show(&l.last, "art", id));
    }
    result_send(r, c, &l.w, true);
}

static void list_templates(struct wire_request *r, const struct mcp_call *c)
{
    struct jn_writer w;
    struct buf body;
    result_open(c, &w, &body);
    jn_key(&w, "resourceTemplates");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_kv_str(&w, "uriTemplate", MCP_ARTIFACT_URI "{artifact}");
    jn_kv_str(&w, "name", "artifact");
    jn_kv_str(&w, "title", "An artifact: a workflow's answer with its fields and checks");
    jn_kv_str(&w, "mimeType", "application/json");
    jn_object_end(&w);
    jn_array_end(&w);
    result_send(r, c, &w, true);
}

/* May the caller read the artifact that this URI names? Asks the gate as its own route does. */
static bool find_artifact(struct api *a, const struct principal *who, const char *uri,
                          struct id *id)
{
    struct fault why;
    size_t n = strlen(MCP_ARTIFACT_URI);
    if (strncmp(uri, MCP_ARTIFACT_URI, n) != 0 || !text_id_read(uri + n, "art", id)) {
        return false;
    }
    struct policy_ask ask = {.who = who,
                             .scope = KEYRING_SCOPE_WORK,
                             .object = POLICY_OBJECT_ARTIFACT,
                             .id = uri + n};
    return policy_may(a->h.policy, &ask, &why) == FAIL_NONE;
}

static void read_resource(struct api *a, struct wire_request *r, const struct mcp_call *c)
{
    struct id id;
    struct fault why;
    struct jn_writer inner, w;
    struct buf text, body;
    enum review_state state;
    buf_init(&text, API_ANSWER_BYTES);
    jn_begin(&inner, &text, false);
    jn_object_begin(&inner);
    bool found = find_artifact(a, api_who(r), c->name, &id) &&
                 api_artifact_read(a, api_who(r), &id, &inner, &state, &why) == FAIL_NONE;
    if (!found) {
        send_error(r, c, c->modern ? MCP_ERROR_PARAMS : MCP_ERROR_LEGACY_RESOURCE,
                   "Resource not found: resources/list names those you may read");
        buf_done(&text);
        return;
    }
    jn_object_end(&inner);
    result_open(c, &w, &body);
    jn_key(&w, "contents");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_kv_str(&w, "uri", c->name);
    jn_kv_str(&w, "mimeType", "application/json");
    jn_kv_str(&w, "text", text.data);
    jn_object_end(&w);
    jn_array_end(&w);
    result_send(r, c, &w, true);
    buf_done(&text);
}

/* ---- one message ---- */

static void answer(struct api *a, struct wire_request *r, struct mcp_call *c)
{
    struct jn_writer w;
    struct buf body;
    switch (c->method) {
    case MCP_TOOLS_CALL:
        call_tool(a, r, c);
        return;
    case MCP_TOOLS_LIST:
        list_tools(a, r, c);
        break;
    case MCP_RESOURCES_LIST:
        list_resources(a, r, c);
        break;
    case MCP_RESOURCES_READ:
        read_resource(a, r, c);
        break;
    case MCP_TEMPLATES_LIST:
        list_templates(r, c);
        break;
    case MCP_DISCOVER:
    case MCP_INITIALIZE:
    case MCP_PING:
    case MCP_METHOD_COUNT:
        result_open(c, &w, &body);
        if (c->method != MCP_PING) {
            mcp_put_server(c, &w);
        }
        result_send(r, c, &w, c->method == MCP_DISCOVER);
        break;
    }
    mcp_call_done(c);
}

void api_mcp(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct mcp_call c;
    struct buf body;
    size_t len;
    const char *text = wire_body(r, &len);
    struct mcp_headers h = {.version = wire_header(r, "MCP-Protocol-Version"),
                            .method = wire_header(r, "Mcp-Method"),
                            .name = wire_header(r, "Mcp-Name")};
    if (!mcp_origin_is_good(wire_header(r, "Origin"), a->h.public_url)) {
        struct fault why;
        FAULT(&why, FAIL_FORBIDDEN, "a page of this origin may not talk to this server");
        fail_hint(&why, "login.public_url names the one that may.");
        wire_fail(r, FAIL_FORBIDDEN, &why);
        return;
    }
    buf_init(&body, API_ANSWER_BYTES);
    int status = mcp_read(text, len, &h, &c, &body);
    if (status != 0) {
        wire_reply(r, status, NULL, &body);
        return;
    }
    answer(a, r, &c);
}
