/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a task: one write with its leaf, its row, its content, its artifact and its reuse
 * entry, all or nothing. The answer leaves when that write is durable; when it cannot be made
 * durable the answer does not leave at all.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"

static const char *kind_name(enum task_kind kind)
{
    static const char *const names[] = {"form", "chat", "embed", "decide"};
    return names[kind];
}

/* A key older than its 24 hours no longer stands for its answer, and may be used anew. */
static enum fail free_old_key(struct store_tx *tx, const struct task *t, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE task SET idem_key = NULL, idem_input = NULL "
                                       "WHERE idem_key = ?1 AND created_at <= ?2");
    store_bind_blob(s, 1, t->idem_hash, sizeof(t->idem_hash));
    store_bind_int(s, 2, t->created_at - TASK_IDEMPOTENCY_US);
    return store_run(s, why);
}

static enum fail put_row(struct store_tx *tx, const struct task *t, struct fault *why)
{
    if (t->idem_key != NULL) {
        enum fail f = free_old_key(tx, t, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO task (id, kind, workflow, team, actor, input_id, state, result, leaf, "
        "idem_key, "
        "idem_input, created_at, done_at, replay, route) "
        "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)");
    bool form = t->kind == TASK_FORM;
    bool answered = t->state != TASK_FAILED && t->state != TASK_CANCELLED;
    /* A key stands for an answer: after a failure the same key may try again. */
    bool idem = form && t->idem_key != NULL && t->form != NULL && answered;
    store_bind_id(s, 1, &t->id);
    store_bind_text(s, 2, kind_name(t->kind));
    store_bind_text(s, 3, form && t->form != NULL ? t->form->name : "");
    store_bind_text(s, 4, t->who.team);
    store_bind_text(s, 5, t->who.name);
    store_bind_text(s, 6, form ? t->input_id : "");
    store_bind_text(s, 7, task_state_name(t->state));
    store_bind_text(s, 8, form && t->json.data != NULL ? t->json.data : "");
    store_bind_int(s, 9, t->leaf);
    store_bind_blob(s, 10, idem ? t->idem_hash : NULL, sizeof(t->idem_hash));
    store_bind_blob(s, 11, idem ? t->idem_input : NULL, sizeof(t->idem_input));
    store_bind_int(s, 12, t->created_at);
    store_bind_int(s, 13, clock_now_us());
    char *replay = replay_text(t);
    store_bind_text(s, 14, replay);
    store_bind_text(s, 15, t->route_record != NULL ? t->route_record : "");
    enum fail f = store_run(s, why);
    mem_free(replay);
    return f;
}

/* The rung that decided: the highest one whose proposal stands, or the person. */
static const char *deciding_rung(const struct task *t)
{
    enum ladder_rung top = LADDER_REUSE;
    if (t->state == TASK_WAITING_PERSON) {
        return ladder_rung_name(LADDER_PERSON);
    }
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (t->climb.held[i].set && t->climb.held[i].rung > top) {
            top = t->climb.held[i].rung;
        }
    }
    return ladder_rung_name(top);
}

static size_t list_releases(const struct task *t, const char **out)
{
    size_t n = 0;
    if (t->form != NULL) {
        out[n++] = t->form->release;
    }
    if (t->shelf != NULL) {
        out[n++] = t->shelf->release;
    }
    for (size_t i = 0; t->heads != NULL && i < LADDER_MAX_FIELDS; i++) {
        if (t->heads->release[i][0] != '\0') {
            out[n++] = t->heads->release[i];
        }
    }
    if (t->model_sha256[0] != '\0') {
        out[n++] = t->model_sha256;
    }
    if (t->adapter[0] != '\0') {
        out[n++] = t->adapter;
    }
    if (t->hosted_by != NULL) {
        out[n++] = t->hosted_by;
    }
    for (int role = 0; role <= FLEET_ROLE_COUNT; role++) {
        if (role < FLEET_ROLE_COUNT && t->used[role][0] != '\0') {
            out[n++] = t->used[role];
        }
        if (t->reproducible && t->fingerprint[role][0] != '\0') {
            out[n++] = t->fingerprint[role]; /* the engine is a release too */
        }
    }
    return n;
}

static enum fail put_leaf(struct store_tx *tx, struct task *t, enum audit_kind kind,
                          const char *rung, const void *in, size_t in_len, const void *out,
                          size_t out_len, struct fault *why)
{
    const char *releases[AUDIT_RELEASES_MAX];
    char shown[TEXT_ID_SIZE];
    struct audit_leaf leaf = {.kind = kind,
                              .actor = t->who.name,
                              .team = t->who.team,
                              .task = text_id_show(&t->id, "tsk", shown),
                              .releases = releases,
                              .releases_len = list_releases(t, releases),
                              .rung = rung,
                              .verdict = t->verdict,
                              .input = in,
                              .input_len = in_len,
                              .output = out,
                              .output_len = out_len,
                              .tokens_in = t->tokens_in,
                              .tokens_out = t->tokens_out,
                              .cost_nano = t->cost};
    return audit_append(tx, t->desk->house.audit, &leaf, &t->leaf, NULL, why);
}

static enum fail put_content(struct store_tx *tx, struct task *t, enum audit_part part,
                             const void *data, size_t n, struct fault *why)
{
    return n == 0 ? FAIL_NONE
                  : audit_content_put(tx, t->desk->house.audit, &t->id, part, t->who.team,
                                      t->who.name, data, n, why);
}

static enum fail put_artifact(struct store_tx *tx, struct task *t, struct fault *why)
{
    struct task_artifact_field fields[LADDER_MAX_FIELDS];
    struct task_artifact a = {.id = t->artifact, .task = t->id, .workflow = t->form->name,
                              .team = t->who.team, .actor = t->who.name, .title = t->input_id,
                              .waits = t->state == TASK_WAITING_PERSON || t->drawn,
                              .leaves = t->state == TASK_DONE && !t->drawn &&
                                        t->stake == NULL && ladder_is_auto(&t->climb),
                              .input = t->input, .input_id = t->input_id,
                              .vector = t->embedding, .dim = t->dim,
                              .model = t->used[FLEET_EMBED],
                              .result_json = t->json.data, .draft = t->draft_text,
                              .fields = fields};
    for (size_t i = 0; i < t->form->fields_len; i++) {
        const struct ladder_proposal *p = &t->climb.held[i];
        if (t->form->fields[i].type == LADDER_DRAFT) {
            continue;
        }
        fields[a.fields_len++] = (struct task_artifact_field){
            .name = t->form->fields[i].name,
            .type = ladder_type_name(t->form->fields[i].type),
            .value = p->set ? p->value : "",
            .confidence = p->set ? p->confidence : 0,
            .rung = p->set ? p->rung : LADDER_PERSON,
            .open = ladder_needs_person(&t->climb, i) || t->stake != NULL};
        if (strcmp(t->form->fields[i].name, "summary") == 0 && p->set) {
            a.title = p->value;
        }
    }
    return t->desk->house.sink.create(tx, t->desk->house.sink.arg, &a, why);
}

static enum fail write_form(struct store_tx *tx, void *arg, struct fault *why)
{
    struct task *t = arg;
    bool failed = t->state == TASK_FAILED || t->state == TASK_CANCELLED;
    enum fail f = put_leaf(tx, t, failed ? AUDIT_KIND_FAILED : AUDIT_KIND_ANSWERED,
                           failed ? NULL : deciding_rung(t), t->input, t->input_len, t->json.data,
                           t->json.len, why);
    f = f != FAIL_NONE ? f : put_row(tx, t, why);
    if (failed || f != FAIL_NONE) {
        return f;
    }
    f = put_content(tx, t, AUDIT_PART_INPUT, t->input, t->input_len, why);
    f = f != FAIL_NONE ? f : put_content(tx, t, AUDIT_PART_OUTPUT, t->json.data, t->json.len, why);
    f = f != FAIL_NONE ? f : where_put(tx, t, why);
    f = f != FAIL_NONE ? f : alike_put(tx, t, why);
    f = f != FAIL_NONE ? f : licence_note(tx, t, &t->drawn, why);
    if (f == FAIL_NONE && t->has_artifact) {
        f = put_artifact(tx, t, why);
        f = f != FAIL_NONE || t->lang == NULL
                ? f : learn_language_count(tx, t->created_at, t->lang, why);
    }
    return f != FAIL_NONE ? f : reused_record(tx, t, why);
}

/* The write failed: the answer may not leave. What went wrong is told instead. */
static void not_recorded(struct task *t, enum fail code, const struct fault *why)
{
    log_fault(LOG_LEVEL_ERROR, "record.failed", why);
    if (t->state == TASK_FAILED || t->state == TASK_CANCELLED) {
        return; /* the first reason stays */
    }
    t->state = TASK_FAILED;
    if (code == FAIL_DISK_FULL || code == FAIL_CONFLICT) {
        t->why = *why;
        return;
    }
    FAULT(&t->why, FAIL_RECORD_UNAVAILABLE, "the record could not be made durable: %.200s",
          why->message);
    fail_hint(&t->why,
              "Nothing is answered without its record. Look at the server's log and disk.");
}

/* Two requests with one key climbed at once and the other was recorded first: its answer is this
   one's too. */
static bool first_answer(struct task *t)
{
    struct fault why;
    enum fail f = FAIL_NONE;
    buf_clear(&t->json);
    if (climb_answered_before(t, &why, &f)) {
        t->state = TASK_DONE;
        return true;
    }
    if (f != FAIL_NONE) {
        t->state = TASK_FAILED;
        t->why = why;
        t->leaf = -1;
        return true;
    }
    return false;
}

static void on_recorded(void *arg, enum fail code, const struct fault *why)
{
    struct task *t = arg;
    if (code == FAIL_CONFLICT && t->kind == TASK_FORM && t->idem_key != NULL && first_answer(t)) {
        task_finish(t);
        return;
    }
    if (code != FAIL_NONE) {
        not_recorded(t, code, why);
        t->leaf = -1;
    } else if (t->state != TASK_FAILED && t->state != TASK_CANCELLED && t->kind == TASK_FORM) {
        reused_recorded(t);
        alike_recorded(t);
        where_count(t);
        if (t->draft != NULL && t->has_artifact) {
            rewriter_add(t->desk->rewriter, t);
        }
    }
    task_finish(t);
}

static void submit(struct task *t, store_write_fn fn, store_done_fn done)
{
    struct fault why;
    enum fail f = store_write(t->desk->house.store, fn, t, done, t->desk->house.loop, &why);
    if (f != FAIL_NONE) {
        not_recorded(t, f, &why);
        task_finish(t);
    }
}

void record_form(struct task *t)
{
    bool failed = t->state == TASK_FAILED || t->state == TASK_CANCELLED;
    t->verdict = failed ? fail_name(t->why.code) : task_state_name(t->state);
    t->route_record = explain_record(t);
    if (!failed) {
        t->has_artifact = !t->no_artifact && t->desk->house.sink.create != NULL;
        if (t->has_artifact) {
            t->artifact = text_id_new();
        }
        licence_draw(t);
        alike_find(t);
        result_write(t);
    }
    submit(t, write_form, on_recorded);
}

/* ---- chats, embeddings and decisions ---- */

static enum fail write_direct(struct store_tx *tx, void *arg, struct fault *why)
{
    struct task *t = arg;
    bool failed = t->state == TASK_FAILED || t->state == TASK_CANCELLED;
    enum audit_kind kind = !failed ? AUDIT_KIND_ANSWERED
                           : t->accepted ? AUDIT_KIND_CUT
                                         : AUDIT_KIND_FAILED;
    const char *out = t->kind == TASK_CHAT && !failed ? t->generated.text : NULL;
    const void *output = t->kind == TASK_EMBED && !failed ? (const void *)t->vectors : out;
    if (t->kind == TASK_DECIDE && !failed) {
        output = out = t->json.data;
    }
    size_t out_len = t->kind == TASK_EMBED ? t->texts_len * t->dim * sizeof(float)
                     : out != NULL         ? strlen(out)
                                           : 0;
    const char *rung = t->hosted_by != NULL          ? "hosted"
                       : t->role == FLEET_ROLE_COUNT ? "local"
                                                     : fleet_role_name(t->role);
    enum fail f = put_leaf(tx, t, kind, failed ? NULL : rung, t->ask_json, t->ask_len,
                           output, failed ? 0 : out_len, why);
    f = f != FAIL_NONE ? f : put_row(tx, t, why);
    if (f == FAIL_NONE && t->kind != TASK_EMBED && !failed) {
        f = put_content(tx, t, AUDIT_PART_INPUT, t->ask_json, t->ask_len, why);
        f = f != FAIL_NONE ? f : put_content(tx, t, AUDIT_PART_OUTPUT, out, out_len, why);
    }
    return f;
}

void record_direct(struct task *t, const char *verdict)
{
    t->verdict = verdict;
    submit(t, write_direct, on_recorded);
}

static enum fail write_accepted(struct store_tx *tx, void *arg, struct fault *why)
{
    struct task *t = arg;
    t->verdict = "accepted";
    return put_leaf(tx, t, AUDIT_KIND_ACCEPTED, NULL, t->ask_json, t->ask_len, NULL, 0, why);
}

void record_accepted(struct task *t, store_done_fn done)
{
    struct fault why;
    enum fail f =
        store_write(t->desk->house.store, write_accepted, t, done, t->desk->house.loop, &why);
    if (f != FAIL_NONE) {
        done(t, f, &why);
    }
}
