/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of past tasks, newest first, for those who try rules on them: what came in (a form's input,
 * a chat's messages, a decision's text) and what went out (a draft, a line, a chat's answer).
 * Owns: nothing. Threads: any with its own reader. Limits: TEXT_BYTES a content; DEPTH_MAX.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define TEXT_BYTES ((size_t)8 << 20)
#define DEPTH_MAX 64

struct past {
    struct store_conn *conn;
    struct audit *audit;
    struct task_past one;
    char task[TEXT_ID_SIZE], workflow[64];
    struct buf text;
    task_past_fn fn;
    void *arg;
};

static void give(struct past *p, const char *text, bool out)
{
    if (text != NULL && text[0] != '\0') {
        p->one.text = text;
        p->one.out = out;
        p->fn(p->arg, &p->one);
    }
}

static void give_all(struct past *p, const json_t *v, int depth)
{
    size_t i;
    const char *key;
    json_t *member;
    give(p, json_string_value(v), false);
    if (depth > DEPTH_MAX) {
        return;
    }
    json_array_foreach(v, i, member) {
        give_all(p, member, depth + 1);
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        if (strcmp(key, "role") != 0 && strcmp(key, "type") != 0) {
            give_all(p, member, depth + 1);
        }
    }
}

/* What of a form's result a model may have written. */
static void give_result(struct past *p, const json_t *result)
{
    size_t i;
    const json_t *field;
    json_array_foreach(json_object_get(result, "fields"), i, field) {
        const char *type = json_string_value(json_object_get(field, "type"));
        if (type != NULL && strcmp(type, "line") == 0) {
            give(p, json_string_value(json_object_get(field, "value")), true);
        }
    }
    give(p, json_string_value(json_object_get(json_object_get(result, "draft"), "text")), true);
}

/* False: it is not there any more. */
static bool read_part(struct past *p, const struct id *id, enum audit_part part)
{
    struct fault why;
    buf_clear(&p->text);
    return audit_content_get(p->audit, p->conn, id, part, &p->text, &why) == FAIL_NONE &&
           p->text.data != NULL && memchr(p->text.data, '\0', p->text.len) == NULL;
}

static bool give_task(struct past *p, const struct id *id, const char *kind)
{
    struct fault why;
    bool form = strcmp(kind, "form") == 0;
    AUTO_JSON json_t *in = NULL;
    AUTO_JSON json_t *out = NULL;
    if (!read_part(p, id, AUDIT_PART_INPUT)) {
        return false;
    }
    if (form) {
        give(p, p->text.data, false);
    } else if (jn_parse(p->text.data, p->text.len, "a request", &in, &why) == FAIL_NONE) {
        give_all(p, json_object_get(in, "messages"), 0);
        give(p, json_string_value(json_object_get(in, "text")), false);
    }
    if (!read_part(p, id, AUDIT_PART_OUTPUT)) {
        return true; /* a failed one has none */
    }
    if (strcmp(kind, "chat") == 0) {
        give(p, p->text.data, true);
    } else if (form &&
               jn_parse(p->text.data, p->text.len, "a result", &out, &why) == FAIL_NONE) {
        give_result(p, out);
    }
    return true;
}

enum fail task_past_each(struct store_conn *reader, struct audit *audit, const char *team,
                         const char *workflow, int64_t most, task_past_fn fn, void *arg,
                         struct task_past_count *count, struct fault *why)
{
    struct past p = {.conn = reader, .audit = audit, .fn = fn, .arg = arg};
    bool row = false;
    memset(count, 0, sizeof(*count));
    AUTO_STMT struct store_stmt *s = store_query(
        reader, "SELECT id, kind, workflow FROM task WHERE kind <> 'embed' AND "
                "(?1 = '' OR team = ?1) AND (?2 = '' OR workflow = ?2) ORDER BY id DESC LIMIT ?3");
    store_bind_text(s, 1, team != NULL ? team : "");
    store_bind_text(s, 2, workflow != NULL ? workflow : "");
    store_bind_int(s, 3, most);
    buf_init(&p.text, TEXT_BYTES);
    p.one.task = p.task;
    p.one.workflow = p.workflow;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id id;
        bool form = strcmp(store_col_text(s, 1), "form") == 0;
        if (!store_col_id(s, 0, &id)) {
            continue;
        }
        (void)text_id_show(&id, "tsk", p.task);
        (void)text_copy(p.workflow, sizeof(p.workflow), form ? store_col_text(s, 2) : "");
        if (give_task(&p, &id, store_col_text(s, 1))) {
            count->tasks++;
        } else {
            count->gone++;
        }
    }
    if (p.text.data != NULL) {
        explicit_bzero(p.text.data, p.text.len);
    }
    buf_done(&p.text);
    return f;
}
