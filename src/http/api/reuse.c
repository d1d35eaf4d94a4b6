/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking back: an answer with everything that was reused from it, and what a person's requests left
 * behind. Both are on the record with what they reached. Also what a person's decision on an
 * artifact means for what is reused.
 * Threads: http and crunch; forms are set and states deleted on the core thread.
 */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse.h"
#include "base/clock/clock.h"
#include "work/review/review.h"

/* ---- a decision ---- */

static bool is_read_field(const char *type)
{
    enum ladder_type t = ladder_type_find(type);
    return t == LADDER_CHOICE || ladder_type_is_found(t);
}

enum fail api_reuse_decided(struct store_tx *tx, const struct review_artifact *a,
                            enum review_action action, struct fault *why)
{
    struct reuse_entry e = {.task = a->task, .draft = ""};
    bool overturned = false;
    if (action == REVIEW_ACTION_ESCALATE) {
        return FAIL_NONE; /* not decided yet */
    }
    for (size_t i = 0; i < a->fields_len; i++) {
        const struct review_field *f = &a->fields[i];
        const char *value = f->decided != NULL ? f->decided : f->value;
        bool changed = f->decided != NULL && strcmp(f->decided, f->value) != 0;
        overturned = overturned || (changed && (!f->is_open || strcmp(f->rung, "reuse") == 0));
        if (is_read_field(f->type) && e.n < REUSE_MAX_FIELDS) {
            e.names[e.n] = f->name;
            e.values[e.n++] = value;
        }
    }
    return reuse_decide(tx, &e, overturned, action == REVIEW_ACTION_REJECT, why);
}

/* ---- revoking ---- */

struct revoking {
    struct api *a;
    struct id task;
    const struct principal *who;
    struct arena *arena;
    struct reuse_reach reach;
    int64_t leaf;
};

static enum fail revoke_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct revoking *x = arg;
    char shown[TEXT_ID_SIZE], verdict[96];
    enum fail f = reuse_revoke(tx, &x->task, x->arena, &x->reach, why);
    f = f != FAIL_NONE ? f : task_keys_forget(tx, x->reach.tasks, x->reach.tasks_len, why);
    if (f != FAIL_NONE) {
        return f;
    }
    snprintf(verdict, sizeof(verdict), "%zu answers, %zu templates, %zu rows",
             x->reach.tasks_len, x->reach.templates_len, x->reach.rows + x->reach.examples);
    struct audit_leaf leaf = {.kind = AUDIT_KIND_REVOKED, .actor = x->who->name,
                              .team = x->who->team, .verdict = verdict,
                              .task = text_id_show(&x->task, "tsk", shown)};
    return audit_append(tx, x->a->h.audit, &leaf, &x->leaf, NULL, why);
}

static void put_ids(struct jn_writer *w, const char *key, const char *prefix, const struct id *ids,
                    size_t n)
{
    char shown[TEXT_ID_SIZE];
    jn_key(w, key);
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jn_put_str(w, text_id_show(&ids[i], prefix, shown));
    }
    jn_array_end(w);
}

static void revoke_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct revoking *x = arg;
    struct fault why;
    struct buf result;
    x->a = a;
    x->who = api_who(r);
    x->arena = arena_new((size_t)4 << 20);
    buf_init(&result, API_ANSWER_BYTES);
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : task_read(c, &x->task, x->who, &result, &why);
    api_reader_give(a, c);
    f = f != FAIL_NONE ? f : store_write_wait(a->h.store, revoke_write, x, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        api_put_id(&w, "task", "tsk", &x->task);
        put_ids(&w, "answers", "tsk", x->reach.tasks, x->reach.tasks_len);
        put_ids(&w, "templates", "tpl", x->reach.templates, x->reach.templates_len);
        jn_kv_int(&w, "rows", (int64_t)x->reach.rows);
        jn_kv_int(&w, "documents", (int64_t)x->reach.examples);
        jn_kv_bool(&w, "more", x->reach.cut);
        jn_kv_int(&w, "record", x->leaf);
        api_send(r, 200, &w);
    }
    buf_done(&result);
    arena_free(x->arena);
}

void api_task_revoke(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct revoking *x = wire_alloc(r, sizeof(*x));
    AUTO_JSON json_t *body = api_body(r, keys, true); /* none, or nothing in it */
    if (body != NULL && api_param_id(r, "task", "tsk", "task", &x->task)) {
        api_on_crunch(arg, r, revoke_on_crunch, x);
    }
}

/* ---- erasing ---- */

struct erasing {
    struct api *a;
    struct wire_request *r;
    char subject[KEYRING_NAME_SIZE], team[KEYRING_NAME_SIZE];
    const struct principal *who;
    struct arena *arena;
    struct reuse_reach reach;
    struct task_erased tasks;
    int64_t contents, artifacts, jobs, leaf;
    size_t states;
};

static enum fail erase_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct erasing *x = arg;
    char verdict[160];
    enum fail f = reuse_erase(tx, x->team, x->subject, x->arena, &x->reach, why);
    f = f != FAIL_NONE ? f : review_forget(tx, x->team, x->subject, &x->artifacts, why);
    f = f != FAIL_NONE ? f : task_erase(tx, x->team, x->subject, &x->tasks, why);
    f = f != FAIL_NONE ? f : jobs_forget(tx, x->team, x->subject, &x->jobs, why);
    if (f != FAIL_NONE) {
        return f;
    }
    snprintf(verdict, sizeof(verdict),
             "%lld contents, %zu tasks, %lld artifacts, %zu rows, %zu templates, %zu heads",
             (long long)x->contents, x->tasks.tasks, (long long)x->artifacts,
             x->reach.rows + x->reach.examples, x->reach.templates_len, x->tasks.heads_len);
    struct audit_leaf leaf = {.kind = AUDIT_KIND_ERASED, .actor = x->who->name, .team = x->team,
                              .requester = x->who->name, .verdict = verdict};
    return audit_append(tx, x->a->h.audit, &leaf, &x->leaf, NULL, why);
}

static void put_heads(struct jn_writer *w, const struct erasing *x)
{
    jn_key(w, "heads");
    jn_array_begin(w);
    for (size_t i = 0; i < x->tasks.heads_len; i++) {
        const struct task_erased_head *h = &x->tasks.heads[i];
        jn_object_begin(w);
        jn_kv_str(w, "workflow", h->workflow);
        jn_kv_str(w, "field", h->field);
        jn_kv_str(w, "release", h->release);
        jn_kv_bool(w, "retrain", true);
        jn_object_end(w);
    }
    jn_array_end(w);
}

/* The desk takes the heads' forms anew, without them; the disk's decoded prompts go. */
static void erase_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct erasing *x = arg;
    struct jn_writer w;
    struct buf body;
    for (size_t i = 0; i < x->tasks.heads_len; i++) {
        struct ladder_form *form = api_form_find(a, x->tasks.heads[i].workflow);
        if (form != NULL) {
            task_form_set(a->h.desk, form);
            ladder_form_unref(form);
        }
    }
    if (x->tasks.tasks > 0) { /* past tickets and replies of drafts are keyed by their tasks */
        task_datasets_again(a->h.desk);
    }
    x->states = fleet_forget_states(a->h.fleet, x->team);
    api_open(&w, &body);
    jn_kv_str(&w, "subject", x->subject);
    jn_kv_str(&w, "team", x->team);
    jn_kv_int(&w, "contents", x->contents);
    jn_kv_int(&w, "tasks", (int64_t)x->tasks.tasks);
    jn_kv_int(&w, "artifacts", x->artifacts);
    jn_kv_int(&w, "jobs", x->jobs);
    jn_kv_int(&w, "questions", (int64_t)x->tasks.questions);
    jn_kv_int(&w, "reuse_rows", (int64_t)x->reach.rows);
    jn_kv_int(&w, "documents", (int64_t)x->reach.examples);
    put_ids(&w, "templates", "tpl", x->reach.templates, x->reach.templates_len);
    put_heads(&w, x);
    jn_kv_int(&w, "disk_prefixes", (int64_t)x->states);
    jn_kv_bool(&w, "more", x->reach.cut || x->tasks.cut);
    jn_kv_int(&w, "record", x->leaf);
    api_send(r, 200, &w);
    arena_free(x->arena);
}

static void erase_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct erasing *x = arg;
    struct fault why;
    x->a = a;
    x->who = api_who(r);
    x->arena = arena_new((size_t)64 << 20);
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code
                            : task_erase_find(c, x->team, x->subject, x->arena, &x->tasks, &why);
    api_reader_give(a, c);
    /* The key first: what a crash leaves behind cannot be read any more, and the next call finds
       the rest. */
    f = f != FAIL_NONE ? f : audit_subject_erase(a->h.audit, x->team, x->subject, &x->contents,
                                                 &why);
    f = f != FAIL_NONE ? f : store_write_wait(a->h.store, erase_write, x, &why);
    f = f != FAIL_NONE ? f : store_truncate_wait(a->h.store, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        arena_free(x->arena);
        return;
    }
    api_on_core(a, r, erase_on_core, x);
}

void api_erase(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"subject", "team", NULL};
    struct fault why;
    const char *subject = NULL, *team = api_who(r)->team;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    enum fail f = jn_str(body, "subject", true, KEYRING_NAME_SIZE - 1, &subject, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "team", false, KEYRING_NAME_SIZE - 1, &team, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct erasing *x = wire_alloc(r, sizeof(*x));
    (void)text_copy(x->subject, sizeof(x->subject), subject);
    (void)text_copy(x->team, sizeof(x->team), team);
    api_on_crunch(arg, r, erase_on_crunch, x);
}
