/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many tickets with one cause: which wait beside this one, and one decision for all of them. Each
 * is decided, recorded and delivered on its own, with one reply whose slots are filled from its own
 * ticket; one that cannot be filled, was changed or is held by somebody else is left out and named.
 *
 * Owns nothing. Threads: slots are filled on the http thread; every decision is a write of its own;
 * the answer leaves on the core thread when the last one is durable.
 * Limits: GROUP_MAX a call.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "answer/compose/compose.h"
#include "base/clock/clock.h"

#define GROUP_MAX 200

/* ---- what is alike ---- */

void api_review_alike(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"least", NULL};
    struct api *a = arg;
    struct id id;
    struct fault why;
    struct review_alike *list;
    size_t n = 0;
    double least = REVIEW_ALIKE_SAME;
    if (!api_query_ok(r, names) || !api_param_id(r, "artifact", "art", "artifact", &id)) {
        return;
    }
    const char *asked = wire_query(r, "least");
    if (asked != NULL && (!text_read_double(asked, &least) || !(least >= 0.3 && least <= 1))) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"least\" must be a number from 0.3 to 1");
        fail_param(&why, "least");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    enum fail f =
        review_alike(c, arena, &id, api_who(r), least, clock_now_us(), &list, &n, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        jn_key(&w, "alike");
        jn_array_begin(&w);
        for (size_t i = 0; i < n; i++) {
            jn_object_begin(&w);
            api_put_id(&w, "artifact", "art", &list[i].artifact);
            jn_kv_int(&w, "version", list[i].version);
            jn_kv_str(&w, "title", list[i].title);
            jn_kv_real(&w, "likeness", list[i].likeness, 4);
            jn_kv_str(&w, "state", review_state_name(list[i].state));
            jn_kv_bool(&w, "held_by_other", list[i].held);
            jn_object_end(&w);
        }
        jn_array_end(&w);
        api_send(r, 200, &w);
    }
    arena_free(arena);
}

/* ---- one decision for all ---- */

struct group;
struct member {
    struct group *group;
    struct review_decide d;
    struct review_decided made;
    struct review_call call; /* what review_decided_write works with */
    char *draft;
    enum fail code;
    struct fault why;
};
struct group {
    struct api *a;
    struct wire_request *r;
    struct review_call *call;
    struct member *list;
    size_t n, left;
};

static void group_reply(struct group *g)
{
    struct jn_writer w;
    struct buf body;
    int64_t decided = 0;
    api_open(&w, &body);
    jn_key(&w, "items");
    jn_array_begin(&w);
    for (size_t i = 0; i < g->n; i++) {
        struct member *m = &g->list[i];
        jn_object_begin(&w);
        api_put_id(&w, "artifact", "art", &m->d.id);
        jn_kv_bool(&w, "decided", m->code == FAIL_NONE);
        if (m->code == FAIL_NONE) {
            jn_kv_str(&w, "state", review_state_name(m->made.state));
            jn_kv_int(&w, "version", m->made.version);
            jn_kv_int(&w, "record", m->made.leaf);
            decided++;
        } else {
            jn_kv_str(&w, "code", fail_name(m->code));
            jn_kv_str(&w, "message", m->why.message);
        }
        jn_object_end(&w);
        mem_free(m->draft);
    }
    jn_array_end(&w);
    jn_kv_int(&w, "decided", decided);
    jn_kv_int(&w, "left_out", (int64_t)g->n - decided);
    json_t *tree = g->call->body;
    mem_free(g->list);
    api_send(g->r, 200, &w);
    json_decref(tree);
}

static enum fail member_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct member *m = arg;
    enum fail f = review_decide(tx, m->group->a->h.audit, &m->d, &m->made, why);
    if (f == FAIL_NONE && !m->made.again) {
        f = review_decided_write(tx, &m->call, why);
    }
    return f;
}

static void member_done(void *arg, enum fail code, const struct fault *why)
{
    struct member *m = arg;
    struct group *g = m->group;
    m->code = code;
    if (code != FAIL_NONE) {
        m->why = *why;
    } else if (!m->made.again) {
        review_decided_tell(g->a, &m->made, m->call.team, m->call.workflow);
    }
    if (--g->left == 0) {
        group_reply(g);
    }
}

static void group_start(void *arg)
{
    struct group *g = arg;
    g->left = g->n + 1; /* until all were given to the store */
    for (size_t i = 0; i < g->n; i++) {
        struct member *m = &g->list[i];
        if (m->code == FAIL_NONE) {
            m->code = store_write(g->a->h.store, member_write, m, member_done, g->a->h.loop,
                                  &m->why);
        }
        g->left -= m->code != FAIL_NONE;
    }
    if (--g->left == 0) {
        group_reply(g);
    }
}

/* ---- slots ---- */

struct slots {
    const char *input, *ticket;
    const struct review_artifact *x;
};

/* The value of a slot of this ticket's own; NULL: it has none. */
static const char *slot_value(const struct slots *s, const char *name,
                              const struct compose_name *called)
{
    if (strcmp(name, "name") == 0) {
        return called->first[0] != '\0' ? called->first : NULL;
    }
    if (strcmp(name, "ticket") == 0) {
        return s->ticket;
    }
    for (size_t i = 0; i < s->x->fields_len; i++) {
        if (strcmp(s->x->fields[i].name, name) == 0 && s->x->fields[i].value[0] != '\0') {
            return s->x->fields[i].value;
        }
    }
    return NULL;
}

/* A slot: a name in braces. A greeting goes without the customer's name where the ticket says
   none: "Hello {name}," becomes "Hello,". */
static enum fail fill(const char *text, const struct slots *s, struct buf *out, struct fault *why)
{
    struct compose_name called = compose_find_name(NULL, s->input);
    for (const char *p = text; *p != '\0';) {
        size_t plain = strcspn(p, "{");
        (void)buf_add(out, p, plain);
        p += plain;
        size_t len = *p == '{' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
        if (len == 0 || len > 63 || p[len + 1] != '}') {
            if (*p != '\0') {
                (void)buf_add_char(out, *p++);
            }
            continue;
        }
        char name[64];
        (void)snprintf(name, sizeof(name), "%.*s", (int)len, p + 1);
        const char *value = slot_value(s, name, &called);
        if (value == NULL && strcmp(name, "name") != 0) {
            FAULT(why, FAIL_BAD_REQUEST, "this ticket has nothing for {%s}", name);
            return fail_param(why, "draft");
        }
        if (value == NULL && out->len > 0 && out->data[out->len - 1] == ' ') {
            out->data[--out->len] = '\0';
        }
        (void)buf_add_str(out, value != NULL ? value : "");
        p += len + 2;
    }
    return out->overflow ? FAULT(why, FAIL_TOO_LARGE, "the reply is too long") : FAIL_NONE;
}

static enum fail personalise(struct review_call *c, struct store_conn *conn, struct member *m,
                             struct fault *why)
{
    struct review_artifact x;
    struct review_ticket t;
    struct buf input, out;
    bool found;
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    buf_init(&input, TASK_MAX_TEXT + 8192);
    buf_init(&out, REVIEW_TEXT_MAX);
    enum fail f = review_get(conn, arena, &m->d.id, &c->who, &x, why);
    f = f == FAIL_NONE ? review_ticket_get(conn, arena, &m->d.id, &found, &t, why) : f;
    if (f == FAIL_NONE) {
        struct fault gone;
        (void)!audit_content_get(c->a->h.audit, conn, &x.task, AUDIT_PART_INPUT, &input, &gone);
        const struct slots s = {.input = input.len > 0 ? input.data : "",
                                .ticket = found ? t.ticket : NULL, .x = &x};
        f = fill(c->d.draft, &s, &out, why);
    }
    if (f == FAIL_NONE) {
        m->draft = buf_take(&out);
        m->d.draft = m->draft;
    }
    buf_done(&out);
    buf_done(&input);
    arena_free(arena);
    return f;
}

static enum fail read_member(struct review_call *c, const json_t *o, struct member *m,
                             struct fault *why)
{
    static const char *const keys[] = {"artifact", "version", "ticket_version", NULL};
    const char *artifact = NULL;
    m->d = c->d;
    if (!json_is_object(o)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"items\" is a list of {artifact, version}");
        return fail_param(why, "items");
    }
    enum fail f = jn_only(o, keys, why);
    f = f == FAIL_NONE ? jn_str(o, "artifact", true, 64, &artifact, why) : f;
    f = f == FAIL_NONE ? jn_int(o, "version", true, 1, INT64_MAX, &m->d.version, why) : f;
    f = f == FAIL_NONE ? jn_str(o, "ticket_version", false, 200, &m->d.ticket_version, why) : f;
    if (f == FAIL_NONE && !text_id_read(artifact, "art", &m->d.id)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.40s\" is no id of an artifact", artifact);
        f = fail_param(why, "items");
    }
    m->call.a = c->a;
    m->call.who = c->who;
    m->call.d = m->d;
    return f;
}

static enum fail read_group(struct review_call *c, struct group *g, struct fault *why)
{
    json_t *items = NULL;
    enum fail f = review_read_decision(c, false, why);
    f = f == FAIL_NONE ? jn_array(c->body, "items", true, GROUP_MAX, &items, why) : f;
    if (f == FAIL_NONE && json_array_size(items) == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"items\" is empty");
        f = fail_param(why, "items");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    g->n = json_array_size(items);
    g->list = mem_alloc_array(g->n, sizeof(*g->list));
    struct store_conn *conn = api_reader_take(c->a, why);
    f = conn == NULL ? why->code : FAIL_NONE;
    for (size_t i = 0; i < g->n && f == FAIL_NONE; i++) {
        struct member *m = &g->list[i];
        m->group = g;
        f = read_member(c, json_array_get(items, i), m, why);
        if (f == FAIL_NONE && c->d.draft != NULL) {
            m->code = personalise(c, conn, m, &m->why); /* one that fails leaves the others be */
        }
    }
    if (conn != NULL) {
        api_reader_give(c->a, conn);
    }
    return f;
}

void api_review_group(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"items",  "action",    "fields", "draft", "reason",
                                       "review_ms", "to", "then",  "within_s", NULL};
    struct fault why;
    struct review_call *c = review_call_new(arg, r, keys, false);
    if (c == NULL) {
        return;
    }
    struct group *g = wire_alloc(r, sizeof(*g));
    *g = (struct group){.a = c->a, .r = r, .call = c};
    enum fail f = read_group(c, g, &why);
    if (f != FAIL_NONE) {
        for (size_t i = 0; i < g->n && g->list != NULL; i++) {
            mem_free(g->list[i].draft);
        }
        mem_free(g->list);
        review_call_fail(c, f, &why);
        return;
    }
    loop_post(c->a->h.loop, group_start, g);
}
