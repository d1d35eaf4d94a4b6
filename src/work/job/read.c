/* SPDX-License-Identifier: Apache-2.0 */
/* Reading jobs: lists, one whole, results. */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "work/job/job_internal.h"

#define COLUMNS                                                                                    \
    "id, kind, state, workflow, release, team, actor, title, format, stage, note, code, message, " \
    "hint, label, closed, created_at, updated_at, started_at, ended_at, not_before, attempts, "    \
    "deadline_s, share, artifact, replay_of, items, items_done, items_failed, "                    \
    "coalesce((SELECT sum(ms) FROM job_step WHERE job = a.id), 0), "                               \
    "coalesce((SELECT sum(tokens_in) FROM job_step WHERE job = a.id), 0), "                        \
    "coalesce((SELECT sum(tokens_out) FROM job_step WHERE job = a.id), 0), "                       \
    "coalesce((SELECT sum(cost) FROM job_step WHERE job = a.id), 0)"

static void read_row(struct store_stmt *s, struct job_row *r)
{
    *r = (struct job_row){0};
    (void)store_col_id(s, 0, &r->id);
    for (int k = 0; k < JOB_KIND_COUNT; k++) {
        if (strcmp(job_kind_name((enum job_kind)k), store_col_text(s, 1)) == 0) {
            r->kind = (enum job_kind)k;
        }
    }
    (void)job_state_find(store_col_text(s, 2), &r->state);
    const char **texts[] = {&r->workflow, &r->release, &r->team,    &r->actor,  &r->title,
                            &r->format,   &r->stage,   &r->note,    &r->code,   &r->message,
                            &r->hint};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *texts[i] = store_col_text(s, 3 + (int)i);
    }
    r->label = (enum secrecy)store_col_int(s, 14);
    r->closed = store_col_int(s, 15) != 0;
    int64_t *numbers[] = {&r->created_at, &r->updated_at, &r->started_at, &r->ended_at,
                          &r->not_before, &r->attempts,   &r->deadline_s};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        *numbers[i] = store_col_int(s, 16 + (int)i);
    }
    r->share = store_col_real(s, 23);
    (void)store_col_id(s, 24, &r->artifact);
    (void)store_col_id(s, 25, &r->replay_of);
    r->items = store_col_int(s, 26);
    r->items_done = store_col_int(s, 27);
    r->items_failed = store_col_int(s, 28);
    r->ms = store_col_real(s, 29);
    r->tokens_in = store_col_int(s, 30);
    r->tokens_out = store_col_int(s, 31);
    r->cost = store_col_int(s, 32);
    if (r->items > 0) {
        r->share = (double)(r->items_done + r->items_failed) / (double)r->items;
    }
}

enum fail jobs_list(struct store_conn *conn, const struct job_filter *filter, job_row_fn fn,
                    void *arg, struct fault *why)
{
    struct id last;
    memset(last.bytes, 0xff, sizeof(last.bytes));
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " COLUMNS " FROM job AS a WHERE id < ?1 AND (?2 = '' OR team = ?2) AND "
              "(?3 = '' OR state = ?3) AND (?4 = '' OR workflow = ?4) ORDER BY id DESC LIMIT ?5");
    store_bind_id(s, 1, text_id_is_zero(&filter->before) ? &last : &filter->before);
    store_bind_text(s, 2, policy_is_admin(filter->who) ? "" : filter->who->team);
    store_bind_text(s, 3,
                    filter->state < JOB_STATE_COUNT ? job_state_name(filter->state) : "");
    store_bind_text(s, 4, filter->workflow != NULL ? filter->workflow : "");
    store_bind_int(s, 5, filter->limit);
    bool row = false;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct job_row r;
        read_row(s, &r);
        if (!fn(arg, &r)) {
            break;
        }
    }
    return f;
}

enum fail jobs_owner(struct store_conn *conn, const struct id *id, char team[KEYRING_NAME_SIZE],
                     struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(conn, "SELECT team FROM job WHERE id = ?1");
    bool row = false;
    store_bind_id(s, 1, id);
    enum fail f = store_step(s, &row, why);
    (void)text_copy(team, KEYRING_NAME_SIZE, f == FAIL_NONE && row ? store_col_text(s, 0) : "");
    return f;
}

/* ---- one, whole ---- */

static enum fail get_files(struct store_conn *conn, struct arena *arena, int side,
                           struct job_row *out, struct fault *why)
{
    struct job_file *list = arena_alloc(arena, PROGRAM_INPUTS_MAX * sizeof(*list));
    size_t n = 0;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT role, name, type, bytes, sha256, main FROM job_file WHERE "
                          "job = ?1 AND side = ?2 ORDER BY place");
    bool row = false;
    enum fail f;
    store_bind_id(s, 1, &out->id);
    store_bind_int(s, 2, side);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && n < PROGRAM_INPUTS_MAX) {
        struct job_file *x = &list[n++];
        x->role = arena_dup_str(arena, store_col_text(s, 0));
        x->name = arena_dup_str(arena, store_col_text(s, 1));
        x->type = arena_dup_str(arena, store_col_text(s, 2));
        x->bytes = store_col_int(s, 3);
        (void)text_copy(x->sha256, sizeof(x->sha256), store_col_text(s, 4));
        x->main = store_col_int(s, 5) != 0;
    }
    *(side == JOB_INPUT ? &out->inputs : &out->outputs) = list;
    *(side == JOB_INPUT ? &out->inputs_len : &out->outputs_len) = n;
    return f;
}

#define STEPS_SHOWN 500

static enum fail get_steps(struct store_conn *conn, struct arena *arena, struct job_row *out,
                           struct fault *why)
{
    struct job_step *list = arena_alloc(arena, STEPS_SHOWN * sizeof(*list));
    size_t n = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT lease, name, ms, asks, tokens_in, tokens_cached, tokens_out, cost, ended_at, "
              "leaf FROM job_step WHERE job = ?1 ORDER BY lease, place LIMIT 500");
    bool row = false;
    enum fail f;
    store_bind_id(s, 1, &out->id);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && n < STEPS_SHOWN) {
        list[n++] = (struct job_step){.attempt = store_col_int(s, 0),
                                      .name = arena_dup_str(arena, store_col_text(s, 1)),
                                      .ms = store_col_real(s, 2),
                                      .asks = store_col_int(s, 3),
                                      .tokens_in = store_col_int(s, 4),
                                      .tokens_cached = store_col_int(s, 5),
                                      .tokens_out = store_col_int(s, 6),
                                      .cost = store_col_int(s, 7),
                                      .ended_at = store_col_int(s, 8),
                                      .leaf = store_col_int(s, 9)};
    }
    out->steps = list;
    out->steps_len = n;
    return f;
}

enum fail jobs_get(struct store_conn *conn, struct arena *arena, const struct id *id,
                   const struct principal *who, struct job_row *out, struct fault *why)
{
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT " COLUMNS " FROM job AS a WHERE id = ?1");
        bool row = false;
        store_bind_id(s, 1, id);
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && (!row || !policy_sees(who, store_col_text(s, 5)))) {
            return FAULT(why, FAIL_NOT_FOUND, "there is no such job");
        }
        if (f != FAIL_NONE) {
            return f;
        }
        read_row(s, out);
        const char **texts[] = {&out->workflow, &out->release, &out->team,  &out->actor,
                                &out->title,    &out->format,  &out->stage, &out->note,
                                &out->code,     &out->message, &out->hint};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            *texts[i] = arena_dup_str(arena, *texts[i]);
        }
    }
    f = get_files(conn, arena, JOB_INPUT, out, why);
    f = f != FAIL_NONE ? f : get_files(conn, arena, JOB_OUTPUT, out, why);
    return f != FAIL_NONE ? f : get_steps(conn, arena, out, why);
}

/* ---- results of items ---- */

static enum fail put_result(struct store_conn *conn, struct store_stmt *s,
                            const struct principal *who, struct buf *line, struct fault *why)
{
    struct jn_writer w;
    struct id task;
    jn_begin(&w, line, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "id", store_col_text(s, 1));
    jn_kv_int(&w, "item", store_col_int(s, 0));
    if (strcmp(store_col_text(s, 2), "done") == 0 && store_col_id(s, 3, &task)) {
        struct buf json;
        buf_init(&json, (size_t)4 << 20);
        enum fail f = task_read(conn, &task, who, &json, why);
        if (f == FAIL_NONE && json.len > 0) {
            jn_key(&w, "result");
            jn_put_raw(&w, json.data, json.len);
        } else {
            jn_kv_str(&w, "error", "erased");
        }
        buf_done(&json);
    } else {
        jn_key(&w, "error");
        jn_object_begin(&w);
        jn_kv_str(&w, "code", store_col_text(s, 4));
        jn_kv_str(&w, "message", store_col_text(s, 5));
        jn_object_end(&w);
    }
    jn_object_end(&w);
    (void)buf_add_char(line, '\n');
    return FAIL_NONE;
}

enum fail jobs_results(struct store_conn *conn, const struct id *id, const struct principal *who,
                       int64_t after, struct buf *out, int64_t *next, struct fault *why)
{
    char team[KEYRING_NAME_SIZE];
    enum fail f = jobs_owner(conn, id, team, why);
    if (f != FAIL_NONE || team[0] == '\0' || !policy_sees(who, team)) {
        return f != FAIL_NONE ? f : FAULT(why, FAIL_NOT_FOUND, "there is no such job");
    }
    *next = after;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT item, name, state, task, code, message FROM job_item WHERE job = ?1 AND "
              "item >= ?2 ORDER BY item");
    store_bind_id(s, 1, id);
    store_bind_int(s, 2, after);
    bool row = false;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (strcmp(store_col_text(s, 2), "queued") == 0) {
            break;
        }
        struct buf line;
        buf_init(&line, (size_t)5 << 20);
        f = put_result(conn, s, who, &line, why);
        bool fits = f == FAIL_NONE && buf_add(out, line.data, line.len);
        buf_done(&line);
        if (!fits) {
            out->overflow = false; /* the rest is asked for next */
            break;
        }
        *next = store_col_int(s, 0) + 1;
    }
    return f;
}
