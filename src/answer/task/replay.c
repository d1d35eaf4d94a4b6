/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it takes to ask a task again and get the same bytes: seed, `now`, the engine's build and,
 * per model that answered, the fingerprint of its lane. Kept with the task; the fingerprints are
 * also among its record's releases. The prompt itself is the task's content.
 * Owns: nothing. Threads: core; replay_text on the store's thread. Limits: REPLAY_BYTES.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define REPLAY_BYTES 4096

void replay_note(struct task *t, enum fleet_role role, const struct fleet_answer *a)
{
    if (a->fingerprint != NULL) {
        (void)text_copy(t->fingerprint[role], sizeof(t->fingerprint[role]), a->fingerprint);
        (void)text_copy(t->build, sizeof(t->build), a->build);
    }
}

static void put_members(struct jn_writer *w, const struct task *t)
{
    jn_kv_int(w, "seed", t->seed);
    jn_kv_int(w, "now", t->now);
    jn_kv_str(w, "build", t->build);
    jn_key(w, "fingerprints");
    jn_object_begin(w);
    for (int role = 0; role <= FLEET_ROLE_COUNT; role++) {
        if (t->fingerprint[role][0] != '\0') {
            const char *name = fleet_role_name((enum fleet_role)role);
            jn_kv_str(w, role < FLEET_ROLE_COUNT ? name : "model", t->fingerprint[role]);
        }
    }
    jn_object_end(w);
}

void replay_write(struct jn_writer *w, const struct task *t)
{
    jn_object_begin(w);
    put_members(w, t);
    jn_object_end(w);
}

char *replay_text(const struct task *t)
{
    struct jn_writer w;
    struct buf text;
    if (!t->reproducible) {
        return mem_dup_str("");
    }
    buf_init(&text, REPLAY_BYTES);
    jn_begin(&w, &text, false);
    jn_object_begin(&w);
    put_members(&w, t);
    jn_kv_str(&w, "model", t->model != NULL ? t->model : "");
    jn_kv_int(&w, "rungs", t->rungs);
    jn_kv_bool(&w, "no_draft", t->no_draft);
    jn_kv_int(&w, "max_tokens", t->max_tokens);
    jn_kv_bool(&w, "scored", t->schema != NULL);
    jn_object_end(&w);
    ASSERT(!text.overflow);
    return buf_take(&text);
}

/* ---- again ---- */

static enum fail fault_not_enough(const char *what, struct fault *why)
{
    FAULT(why, FAIL_BAD_REQUEST, "this task cannot be replayed: %s", what);
    return fail_hint(why, "Only local answers asked for with \"reproducible\": true can.");
}

static enum fail read_replay(const char *text, size_t n, struct task_replay *out,
                             struct fault *why)
{
    json_t *j AUTO_JSON = NULL;
    enum fail f = jn_parse(text, n, "what a replay needs", &j, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (json_object_get(j, "rungs") == NULL) {
        return fault_not_enough("an earlier version recorded too little", why);
    }
    if (json_is_true(json_object_get(j, "scored"))) {
        return fault_not_enough("it was scored under a JSON schema, which is not kept", why);
    }
    const char *model = json_string_value(json_object_get(j, "model"));
    (void)text_copy(out->model, sizeof(out->model), model != NULL ? model : "");
    out->seed = json_integer_value(json_object_get(j, "seed"));
    out->now = json_integer_value(json_object_get(j, "now"));
    out->rungs = (unsigned)json_integer_value(json_object_get(j, "rungs"));
    out->rungs &= ~(1u << LADDER_REUSE);
    out->no_draft = json_is_true(json_object_get(j, "no_draft"));
    out->max_tokens = (int)json_integer_value(json_object_get(j, "max_tokens"));
    return FAIL_NONE;
}

enum fail task_replay_find(struct store_conn *conn, const struct id *id, struct task_replay *out,
                           struct fault *why)
{
    memset(out, 0, sizeof(*out));
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT kind, workflow, replay FROM task WHERE id = ?1");
    store_bind_id(s, 1, id);
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && !row) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such task");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const char *kind = store_col_text(s, 0);
    const char *text = store_col_text(s, 2);
    out->kind = strcmp(kind, "form") == 0 ? TASK_FORM : TASK_CHAT;
    (void)text_copy(out->workflow, sizeof(out->workflow), store_col_text(s, 1));
    if (text[0] == '\0' || (out->kind == TASK_CHAT && strcmp(kind, "chat") != 0)) {
        return fault_not_enough("it was not made in the reproducible lane", why);
    }
    return read_replay(text, strlen(text), out, why);
}
