/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An item as its reviewer sees it: what was asked, what is proposed, how its ticket moved on, what
 * was decided on one alike, and what the reviewer has typed so far. Nothing in it tells a first
 * look from a second one or from practice.
 *
 * Owns nothing. Threads: the store's or an http thread's, with that thread's connection.
 * Limits: REVIEW_ARENA_BYTES an item.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "answer/compose/compose.h"
#include "base/clock/clock.h"

#define SENTENCES_MAX 32

static const char *const urgencies[] = {"low", "normal", "high", "urgent", "escalated"};

const char *review_urgency_name(int urgency)
{
    return urgency >= 0 && urgency < (int)COUNT_OF(urgencies) ? urgencies[urgency] : "normal";
}

/* ---- sentences of a draft ---- */

/* The draft's part of a result, a new reference in *tree that it borrows from; NULL: none. */
static const json_t *draft_of(const char *result, json_t **tree)
{
    struct fault why;
    *tree = NULL;
    if (result == NULL ||
        jn_parse(result, strlen(result), "a stored result", tree, &why) != FAIL_NONE) {
        return NULL;
    }
    const json_t *draft = json_object_get(*tree, "draft");
    return json_is_object(draft) ? draft : NULL;
}

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static const char *title_of(const json_t *draft, const char *article)
{
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(draft, "sources"), i, s) {
        if (strcmp(str(s, "article"), article) == 0) {
            return str(s, "title");
        }
    }
    return article;
}

static void put_sentences(struct jn_writer *w, const json_t *draft)
{
    size_t i;
    json_t *s;
    jn_key(w, "sentences");
    jn_array_begin(w);
    json_array_foreach(json_object_get(draft, "sentences"), i, s) {
        if (i == SENTENCES_MAX) {
            break;
        }
        jn_object_begin(w);
        jn_kv_int(w, "n", (int64_t)i);
        jn_kv_str(w, "text", str(s, "text"));
        jn_kv_str(w, "article", str(s, "article"));
        jn_kv_str(w, "title", title_of(draft, str(s, "article")));
        jn_kv_bool(w, "chosen", json_is_true(json_object_get(s, "chosen")));
        jn_object_end(w);
    }
    jn_array_end(w);
}

static struct compose_frame frame_of(const struct ladder_form *form, const char *lang)
{
    for (size_t i = 0; form != NULL && i < form->frames_len; i++) {
        const struct ladder_frame *f = &form->frames[i];
        if (strcmp(f->lang, lang) == 0) {
            return (struct compose_frame){
                .greeting = f->greeting != NULL ? f->greeting : f->greeting_plain,
                .opening = f->opening, .closing = f->closing, .sign_off = f->sign_off};
        }
    }
    return (struct compose_frame){.greeting = "Hello {name},", .sign_off = "Kind regards"};
}

/* compose's own structs over the tree's strings: nothing of it is freed. */
static void render_draft(const struct ladder_form *form, const json_t *draft, int64_t chosen,
                         const char *input, struct buf *out)
{
    struct compose_sentence sentences[SENTENCES_MAX];
    struct compose_result result = {.outcome = COMPOSE_DRAFT, .sentences = sentences};
    struct compose_ticket ticket = {.text = input};
    size_t i;
    json_t *s;
    result.article_lang = result.lang = knowledge_lang_from_code(str(draft, "language"));
    json_array_foreach(json_object_get(draft, "sentences"), i, s) {
        if (i == SENTENCES_MAX) {
            break;
        }
        const char *article = str(s, "article");
        sentences[result.sentence_count++] = (struct compose_sentence){
            .article = (char *)(uintptr_t)article,
            .title = (char *)(uintptr_t)title_of(draft, article),
            .index = (uint16_t)json_integer_value(json_object_get(s, "index")),
            .text = (char *)(uintptr_t)str(s, "text"),
            .chosen = (chosen & (int64_t)1 << i) != 0};
    }
    const struct compose_frame frame = frame_of(form, str(draft, "language"));
    AUTO_FREE char *text = compose_render(&result, &ticket, &frame);
    if (text != NULL) {
        (void)buf_add_str(out, text);
    }
}

enum fail review_render(struct api *a, struct store_conn *conn, const struct id *artifact,
                        const struct principal *who, int64_t chosen, struct buf *out,
                        struct fault *why)
{
    struct review_artifact x;
    struct buf input;
    json_t *tree = NULL;
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    buf_init(&input, TASK_MAX_TEXT + 8192);
    enum fail f = review_get(conn, arena, artifact, who, &x, why);
    if (f == FAIL_NONE) {
        struct fault gone;
        (void)!audit_content_get(a->h.audit, conn, &x.task, AUDIT_PART_INPUT, &input, &gone);
        const json_t *draft = draft_of(x.result, &tree);
        struct ladder_form *form = api_form_find(a, x.workflow);
        if (draft != NULL) {
            render_draft(form, draft, chosen, input.len > 0 ? input.data : "", out);
        }
        ladder_form_unref(form);
    }
    json_decref(tree);
    buf_done(&input);
    arena_free(arena);
    return f;
}

/* ---- parts of the view ---- */

static bool is_withheld(const struct review_item *item, const struct review_field *f)
{
    return item->forced && item->waiting && f->is_open && strcmp(f->type, "choice") == 0;
}

static void put_fields(struct jn_writer *w, const struct review_item *item,
                       const struct review_artifact *x)
{
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; i < x->fields_len; i++) {
        const struct review_field *f = &x->fields[i];
        bool withheld = is_withheld(item, f);
        jn_object_begin(w);
        jn_kv_str(w, "name", f->name);
        jn_kv_str(w, "type", f->type);
        jn_kv_str(w, "value", withheld ? NULL : f->value);
        jn_key(w, "confidence");
        if (withheld) {
            jn_put_null(w);
        } else {
            jn_put_real(w, f->confidence, 4);
        }
        jn_kv_str(w, "rung", withheld ? NULL : f->rung);
        jn_kv_bool(w, "open", f->is_open);
        jn_kv_bool(w, "withheld", withheld);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_change(void *arg, bool added, const char *text, size_t len)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "op", added ? "+" : "-");
    jn_key(w, "text");
    jn_put_strn(w, text, len);
    jn_object_end(w);
}

static enum fail put_ticket(struct store_conn *conn, struct arena *arena, struct jn_writer *w,
                            const struct id *artifact, const char *input, struct fault *why)
{
    struct review_ticket t;
    bool found;
    enum fail f = review_ticket_get(conn, arena, artifact, &found, &t, why);
    jn_key(w, "ticket");
    if (f != FAIL_NONE || !found) {
        jn_put_null(w);
        return f;
    }
    jn_object_begin(w);
    jn_kv_str(w, "ticket", t.ticket);
    jn_kv_str(w, "made_from", t.version);
    jn_kv_str(w, "version", t.now);
    jn_kv_bool(w, "moved", strcmp(t.version, t.now) != 0);
    jn_key(w, "difference");
    jn_array_begin(w);
    if (t.text != NULL) {
        review_difference(input, t.text, put_change, w);
    }
    jn_array_end(w);
    jn_object_end(w);
    return FAIL_NONE;
}

static enum fail put_precedent(struct store_conn *conn, struct arena *arena, struct jn_writer *w,
                               const struct review_item *item, struct fault *why)
{
    char shown[TEXT_ID_SIZE], said[256];
    struct review_precedent *p = arena_alloc(arena, sizeof(*p));
    jn_key(w, "as_decided");
    p->found = false;
    /* What was decided would give a second look away, and a forced answer. */
    enum fail f = item->kind == REVIEW_KIND_FIRST && !item->forced && item->waiting
                      ? review_precedent(conn, arena, &item->artifact, p, why) : FAIL_NONE;
    if (f != FAIL_NONE || !p->found) {
        jn_put_null(w);
        return f;
    }
    (void)text_id_show(&p->artifact, "art", shown);
    (void)snprintf(said, sizeof(said), "as decided on %s%.180s", p->ticket[0] != '\0' ? "#" : "",
                   p->ticket[0] != '\0' ? p->ticket : shown);
    jn_object_begin(w);
    jn_kv_str(w, "said", said);
    jn_kv_str(w, "artifact", shown);
    jn_kv_real(w, "likeness", p->likeness, 4);
    jn_kv_str(w, "action", review_action_name(p->action));
    jn_kv_str(w, "reason", p->reason);
    api_put_time(w, "at", p->decided_at);
    jn_key(w, "fields");
    jn_object_begin(w);
    for (size_t i = 0; i < p->fields_len; i++) {
        jn_kv_str(w, p->fields[i].name, p->fields[i].value);
    }
    jn_object_end(w);
    jn_object_end(w);
    return FAIL_NONE;
}

static enum fail put_working(struct store_conn *conn, struct arena *arena, struct jn_writer *w,
                             const struct id *artifact, const struct principal *who,
                             struct fault *why)
{
    struct review_working copy;
    bool found;
    enum fail f = review_saved(conn, arena, artifact, who, &found, &copy, why);
    jn_key(w, "working");
    if (f != FAIL_NONE || !found) {
        jn_put_null(w);
        return f;
    }
    jn_object_begin(w);
    jn_kv_int(w, "version", copy.version);
    jn_kv_str(w, "draft", copy.draft);
    jn_key(w, "fields");
    jn_put_raw(w, copy.fields, strlen(copy.fields));
    jn_key(w, "chosen");
    if (copy.chosen < 0) {
        jn_put_null(w);
    } else {
        jn_array_begin(w);
        for (int64_t i = 0; i < SENTENCES_MAX; i++) {
            if ((copy.chosen & (int64_t)1 << i) != 0) {
                jn_put_int(w, i);
            }
        }
        jn_array_end(w);
    }
    api_put_time(w, "saved_at", copy.saved_at);
    jn_object_end(w);
    return FAIL_NONE;
}

static void put_hint(struct api *a, struct jn_writer *w, const struct id *artifact,
                     const struct principal *who)
{
    char said[160];
    const char *state = review_hint_state(a, artifact, who->name, said);
    jn_key(w, "hint");
    if (state == NULL) {
        jn_put_null(w);
        return;
    }
    jn_object_begin(w);
    jn_kv_str(w, "state", state);
    jn_kv_str(w, "message", said[0] != '\0' ? said : NULL);
    jn_object_end(w);
}

static void put_head(struct jn_writer *w, const struct review_item *item,
                     const struct review_artifact *x, const struct principal *who)
{
    bool mine = strcmp(item->holder, who->name) == 0;
    api_put_id(w, "artifact", "art", &item->artifact);
    jn_kv_str(w, "workflow", item->workflow);
    jn_kv_str(w, "team", item->team);
    jn_kv_str(w, "title", x->title);
    jn_kv_int(w, "version", x->version);
    jn_kv_bool(w, "waiting", item->waiting);
    jn_kv_str(w, "queue", item->queue);
    jn_kv_str(w, "language", item->language);
    jn_kv_str(w, "urgency", review_urgency_name(item->urgency));
    jn_kv_real(w, "confidence", item->confidence, 4);
    api_put_time(w, "created_at", x->created_at);
    jn_kv_bool(w, "held", mine);
    jn_kv_str(w, "holder", item->holder[0] != '\0' ? item->holder : NULL);
    api_put_time(w, "lease_until", item->lease_until);
    jn_kv_bool(w, "forced", item->forced && item->waiting);
    jn_kv_str(w, "target", item->target[0] != '\0' ? item->target : NULL);
    api_put_time(w, "deadline_at", item->deadline_at);
}

static enum fail put_reasons(struct store_conn *conn, struct jn_writer *w, const char *team,
                             struct fault *why)
{
    struct review_settings set;
    enum fail f = review_settings_get(conn, team, &set, why);
    jn_key(w, "reasons");
    jn_array_begin(w);
    for (size_t i = 0; f == FAIL_NONE && i < set.reasons_len; i++) {
        jn_put_str(w, set.reasons[i]);
    }
    jn_array_end(w);
    return f;
}

static enum fail put_parts(struct api *a, struct store_conn *conn, struct arena *arena,
                           struct jn_writer *w, const struct review_item *item,
                           const struct review_artifact *x, const struct principal *who,
                           const struct buf *input, struct fault *why)
{
    json_t *tree;
    const json_t *draft = draft_of(x->result, &tree);
    put_head(w, item, x, who);
    put_fields(w, item, x);
    jn_kv_str(w, "input", input->len > 0 ? input->data : NULL);
    jn_kv_str(w, "draft", x->draft);
    jn_kv_str(w, "no_draft", x->draft == NULL ? str(draft, "reason") : NULL);
    put_sentences(w, draft);
    json_decref(tree);
    jn_key(w, "result"); /* it has the proposals too */
    if (x->result == NULL || x->result[0] == '\0' || (item->forced && item->waiting)) {
        jn_put_null(w);
    } else {
        jn_put_raw(w, x->result, strlen(x->result));
    }
    put_hint(a, w, &item->artifact, who);
    enum fail f = put_ticket(conn, arena, w, &item->artifact, input->len > 0 ? input->data : "",
                             why);
    f = f == FAIL_NONE ? put_precedent(conn, arena, w, item, why) : f;
    f = f == FAIL_NONE ? put_working(conn, arena, w, &item->artifact, who, why) : f;
    return f == FAIL_NONE ? put_reasons(conn, w, item->team, why) : f;
}

enum fail review_item_put(struct api *a, struct store_conn *conn, struct jn_writer *w,
                          const struct review_item *item, const struct principal *who,
                          struct fault *why)
{
    struct review_artifact x;
    struct buf input;
    struct arena *arena = arena_new(REVIEW_ARENA_BYTES);
    buf_init(&input, TASK_MAX_TEXT + 8192);
    enum fail f = review_get(conn, arena, &item->artifact, who, &x, why);
    if (f == FAIL_NONE) {
        struct fault gone; /* erased input is no error: the item shows without it */
        (void)!audit_content_get(a->h.audit, conn, &x.task, AUDIT_PART_INPUT, &input, &gone);
        f = put_parts(a, conn, arena, w, item, &x, who, &input, why);
    }
    buf_done(&input);
    arena_free(arena);
    return f;
}

/* ---- reading ---- */

void api_review_item(struct wire_request *r, void *arg)
{
    static const char *const names[] = {NULL};
    struct api *a = arg;
    struct id id;
    struct fault why;
    struct review_item item;
    if (!api_query_ok(r, names) || !api_param_id(r, "artifact", "art", "artifact", &id)) {
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    int64_t now = clock_now_us();
    api_open(&w, &body);
    enum fail f = review_item_get(c, &id, api_who(r), now, &item, &why);
    f = f == FAIL_NONE ? review_item_put(a, c, &w, &item, api_who(r), &why) : f;
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}

/* ---- the queue ---- */

struct queue {
    struct jn_writer w;
    struct buf body;
    int64_t n;
};

static bool put_row(void *arg, const struct review_item *item, const char *title)
{
    struct queue *q = arg;
    jn_object_begin(&q->w);
    api_put_id(&q->w, "artifact", "art", &item->artifact);
    jn_kv_str(&q->w, "workflow", item->workflow);
    jn_kv_str(&q->w, "title", title);
    jn_kv_str(&q->w, "queue", item->queue);
    jn_kv_str(&q->w, "language", item->language);
    jn_kv_str(&q->w, "urgency", review_urgency_name(item->urgency));
    jn_kv_real(&q->w, "confidence", item->confidence, 4);
    api_put_time(&q->w, "created_at", item->created_at);
    jn_kv_str(&q->w, "target", item->target[0] != '\0' ? item->target : NULL);
    api_put_time(&q->w, "deadline_at", item->deadline_at);
    jn_object_end(&q->w);
    q->n++;
    return !q->body.overflow;
}

void api_review_queue(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"order", "workflow", "queue", "language", "limit", NULL};
    struct api *a = arg;
    int64_t limit = 50;
    struct fault why;
    struct queue q = {.n = 0};
    struct review_ask ask = {.who = api_who(r), .order = REVIEW_ORDER_COUNT};
    if (!api_query_ok(r, names) || !api_query_int(r, "limit", 1, REVIEW_LIST_MAX, &limit)) {
        return;
    }
    const char *order = wire_query(r, "order");
    if (order != NULL && !review_order_find(order, &ask.order)) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"order\" must be urgency, age or confidence");
        fail_param(&why, "order");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    ask.workflow = wire_query(r, "workflow");
    ask.queue = wire_query(r, "queue");
    ask.language = wire_query(r, "language");
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&q.w, &q.body);
    jn_key(&q.w, "items");
    jn_array_begin(&q.w);
    enum fail f = review_queue(c, &ask, clock_now_us(), (int)limit, put_row, &q, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&q.body);
        wire_fail(r, f, &why);
        return;
    }
    jn_array_end(&q.w);
    jn_kv_int(&q.w, "shown", q.n);
    api_send(r, 200, &q.w);
}
