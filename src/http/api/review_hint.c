/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking again with a hint: the same input through the same workflow, with what the reviewer said
 * below it, while the reviewer goes on with the next one. The new proposal arrives as a new
 * version, unless the artifact was decided, changed or opened by somebody else meanwhile.
 *
 * Owns: what is known of running hints, in memory (API_MAX_HINTS, the oldest goes first).
 * Threads: handlers on http threads, the task's answer on the core thread; the list under a->lock.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "base/clock/clock.h"

#define HINT_MAX 1000

struct hinting {
    struct api *a;
    struct principal who;   /* who gave the hint */
    /* whose text it is: what is kept of the new task is erased with theirs */
    struct principal asker;
    struct id artifact;
    int64_t version;
    char workflow[64];
    char *text;
    struct arena *arena; /* of the new proposal */
    struct review_artifact made;
};

/* ---- what is known of it ---- */

static void note(struct api *a, const struct id *artifact, const char *who, const char *state,
                 const char *said)
{
    struct api_hint *at = NULL;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < API_MAX_HINTS; i++) {
        struct api_hint *h = &a->hints[i];
        if (text_id_equal(&h->artifact, artifact)) {
            at = h;
            break;
        }
        at = at == NULL || h->at_us < at->at_us ? h : at;
    }
    at->artifact = *artifact;
    at->at_us = clock_monotonic_us();
    at->state = state;
    (void)text_copy(at->who, sizeof(at->who), who);
    (void)text_copy(at->said, sizeof(at->said), said);
    pthread_mutex_unlock(&a->lock);
}

const char *review_hint_state(struct api *a, const struct id *artifact, const char *who,
                              char why[160])
{
    const char *state = NULL;
    why[0] = '\0';
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < API_MAX_HINTS && state == NULL; i++) {
        const struct api_hint *h = &a->hints[i];
        if (text_id_equal(&h->artifact, artifact) && strcmp(h->who, who) == 0) {
            state = h->state;
            (void)text_copy(why, 160, h->said);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return state;
}

static void hinting_end(struct hinting *h, enum fail code, const struct fault *why)
{
    note(h->a, &h->artifact, h->who.name, code == FAIL_NONE ? "done" : "refused",
         code == FAIL_NONE ? "" : why->message);
    arena_free(h->arena);
    mem_free(h->text);
    mem_free(h);
}

/* ---- the answer ---- */

static enum fail propose_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct hinting *h = arg;
    return review_propose(tx, &h->made, h->version, &h->who, clock_now_us(), why);
}

static void propose_done(void *arg, enum fail code, const struct fault *why)
{
    hinting_end(arg, code, why);
}

/* Fields that have a proposal now; those without keep what they had. */
static enum fail read_proposal(struct hinting *h, const struct task_result *result,
                               struct fault *why)
{
    json_t *tree = NULL, *field;
    size_t i;
    enum fail f = jn_parse(result->json, result->json_len, "the new proposal", &tree, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct review_field *fields = arena_alloc(h->arena, REVIEW_FIELDS_MAX * sizeof(*fields));
    h->made = (struct review_artifact){
        .id = h->artifact, .fields = fields,
        .result = arena_dup_strn(h->arena, result->json, result->json_len)};
    json_array_foreach(json_object_get(tree, "fields"), i, field) {
        const char *value = json_string_value(json_object_get(field, "value"));
        const char *by = json_string_value(json_object_get(field, "proposed_by"));
        const char *name = json_string_value(json_object_get(field, "name"));
        const char *rung = json_string_value(json_object_get(field, "rung"));
        if (value != NULL && value[0] != '\0' && name != NULL &&
            h->made.fields_len < REVIEW_FIELDS_MAX) {
            fields[h->made.fields_len++] = (struct review_field){
                .name = arena_dup_str(h->arena, name),
                .value = arena_dup_str(h->arena, value),
                .rung = arena_dup_str(h->arena, by != NULL ? by : rung != NULL ? rung : "person"),
                .confidence = json_number_value(json_object_get(field, "confidence"))};
        }
    }
    const char *draft = json_string_value(json_object_get(json_object_get(tree, "draft"), "text"));
    h->made.draft = draft != NULL ? arena_dup_str(h->arena, draft) : NULL;
    json_decref(tree);
    return FAIL_NONE;
}

static void hint_done(void *arg, const struct task_result *result)
{
    struct hinting *h = arg;
    struct fault why;
    enum fail f = result->code;
    if (f != FAIL_NONE) {
        hinting_end(h, f, result->why);
        return;
    }
    f = read_proposal(h, result, &why);
    if (f == FAIL_NONE) {
        f = store_write(h->a->h.store, propose_write, h, propose_done, h->a->h.loop, &why);
    }
    if (f != FAIL_NONE) {
        hinting_end(h, f, &why);
    }
}

/* ---- the request ---- */

/* It was refused before it began. */
static void hint_drop(struct review_call *c)
{
    struct hinting *h = c->arg;
    if (h != NULL) {
        arena_free(h->arena);
        mem_free(h->text);
        mem_free(h);
    }
}

/* Who asked again: the new task's own record names whose text it is. */
static enum fail hint_record(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    char shown[TEXT_ID_SIZE];
    const struct hinting *h = c->arg;
    struct audit_leaf leaf = {.kind = AUDIT_KIND_REVIEWED, .actor = c->who.name,
                              .team = h->asker.team, .requester = h->asker.name,
                              .task = text_id_show(&c->id, "art", shown), .rung = "person",
                              .verdict = "hint", .input = h->text, .input_len = strlen(h->text)};
    return audit_append(tx, c->a->h.audit, &leaf, NULL, NULL, why);
}

static enum fail hint_write(struct store_tx *tx, struct review_call *c, struct fault *why)
{
    struct hinting *h = c->arg;
    struct review_item item;
    int64_t now = clock_now_us();
    /* Whoever gives a hint works on it: theirs while it runs. */
    enum fail f = review_claim(tx, &c->id, &c->who, now, &item, why);
    f = f == FAIL_NONE ? review_open(tx, &c->id, &c->who, why) : f;
    if (f == FAIL_NONE && item.kind != REVIEW_KIND_FIRST) {
        f = FAULT(why, FAIL_CONFLICT, "nothing is proposed anew for this one");
    }
    f = f == FAIL_NONE ? hint_record(tx, c, why) : f;
    api_put_id(&c->w, "artifact", "art", &c->id);
    jn_kv_str(&c->w, "hint", "running");
    jn_kv_int(&c->w, "version", h->version);
    return f;
}

static void hint_start(struct review_call *c)
{
    struct hinting *h = c->arg;
    note(h->a, &h->artifact, h->who.name, "running", "");
    const struct task_request t = {.kind = TASK_FORM, .who = h->asker, .class = IPC_WORKFLOW,
                                   .workflow = h->workflow, .text = h->text,
                                   .rungs = ((1u << LADDER_RUNG_COUNT) - 1) &
                                            ~(1u << LADDER_REUSE),
                                   .no_artifact = true, .on_done = hint_done, .arg = h};
    (void)task_submit(h->a->h.desk, &t);
    c->arg = NULL;
}

static enum fail read_hint(struct review_call *c, struct hinting *h, struct fault *why)
{
    const char *hint = NULL;
    struct review_artifact x;
    struct buf input;
    enum fail f = jn_int(c->body, "version", true, 1, INT64_MAX, &h->version, why);
    f = f == FAIL_NONE ? jn_str(c->body, "hint", true, HINT_MAX, &hint, why) : f;
    if (f == FAIL_NONE && hint[strspn(hint, " \t\r\n")] == '\0') {
        FAULT(why, FAIL_BAD_REQUEST, "\"hint\" is empty");
        f = fail_param(why, "hint");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    struct store_conn *conn = api_reader_take(c->a, why);
    if (conn == NULL) {
        return why->code;
    }
    buf_init(&input, TASK_MAX_TEXT + 8192);
    f = review_get(conn, h->arena, &c->id, &c->who, &x, why);
    f = f == FAIL_NONE
            ? audit_content_get(c->a->h.audit, conn, &x.task, AUDIT_PART_INPUT, &input, why) : f;
    api_reader_give(c->a, conn);
    if (f == FAIL_NONE) {
        (void)text_copy(h->workflow, sizeof(h->workflow), x.workflow);
        h->asker = c->who;
        (void)text_copy(h->asker.team, sizeof(h->asker.team), x.team);
        (void)text_copy(h->asker.name, sizeof(h->asker.name), x.actor);
        (void)buf_printf(&input, "\n\n%s", hint);
        h->text = buf_take(&input);
        struct ladder_form *form = api_form_find(c->a, h->workflow);
        if (form == NULL) {
            f = FAULT(why, FAIL_UNSUPPORTED, "workflow \"%s\" is no form: it takes no hint",
                      h->workflow);
        }
        ladder_form_unref(form);
    }
    buf_done(&input);
    return f;
}

void api_review_hint(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"version", "hint", NULL};
    struct fault why;
    struct review_call *c = review_call_new(arg, r, keys, true);
    if (c == NULL) {
        return;
    }
    struct hinting *h = mem_alloc(sizeof(*h));
    h->a = c->a;
    h->who = c->who;
    h->artifact = c->id;
    h->arena = arena_new(REVIEW_ARENA_BYTES);
    c->arg = h;
    c->status = 202;
    c->after = hint_start;
    c->failed = hint_drop;
    enum fail f = read_hint(c, h, &why);
    if (f != FAIL_NONE) {
        review_call_fail(c, f, &why);
        return;
    }
    review_call_send(c, hint_write);
}
