/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a task may be answered where: the facts that are kept with its record, and the rules'
 * reasons for a request or a recorded task.
 * Owns: the column task.route. Threads: core, but for task_route_read (its reader's thread).
 * Limits: a record of RECORD_BYTES.
 */
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

#define RECORD_BYTES ((size_t)16 * 1024)

/* Kept whether the rules were asked or not, so that both can be explained. */
char *explain_record(struct task *t)
{
    struct route_facts f;
    struct route_decision d;
    struct jn_writer w;
    struct buf b;
    if (t->kind != TASK_FORM || t->form == NULL || t->input == NULL) {
        return NULL;
    }
    bool asked = t->route != NULL && t->facts != NULL;
    if (asked) {
        f = *t->facts;
        d = *t->route;
    } else {
        where_facts(t, &f);
        route_decide(t->desk->rules, &f, &d);
    }
    buf_init(&b, RECORD_BYTES);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_bool(&w, "asked", asked);
    jn_key(&w, "decision");
    route_record_put(&w, asked ? t->rules : t->desk->rules, &d, &f);
    jn_object_end(&w);
    return buf_take(&b);
}

/* ---- a request ---- */

/* Facts that a caller gives for trying, over those that were found. */
static enum fail read_over(const char *text, size_t len, struct route_facts *f, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    f->known &= ~(1u << ROUTE_WAIT_OF_DEADLINE);
    enum fail code = route_facts_parse(text, len, "facts", f, faults, why);
    route_facts_complete(f);
    mem_free(faults);
    return code;
}

enum fail task_route_explain(struct task_desk *desk, const struct task_request *r,
                             const char *facts, size_t facts_len, struct buf *json,
                             struct fault *why)
{
    struct entry *e = desk_entry_find(desk, r->workflow);
    struct route_facts f;
    struct jn_writer w;
    if (e == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "there is no workflow \"%.64s\"", r->workflow);
        return fail_param(why, "workflow");
    }
    struct task *t = task_make(desk, r);
    bool subject = r->subject != NULL && r->subject[0] != '\0';
    t->form = ladder_form_ref(e->form);
    t->label = t->form->label > r->label ? t->form->label : r->label;
    t->shelf = shelf_ref(desk_shelf_find(desk, t->form->dataset));
    where_label(t);
    t->due_us = t->started_us + task_deadline_ms(t) * 1000;
    t->input = arena_printf(t->arena, "%s%s%s", subject ? r->subject : "", subject ? "\n\n" : "",
                            r->text);
    t->input_len = strlen(t->input);
    t->label = task_label_of(t->label, t->input, t->input_len);
    stakes_find(t);
    where_facts(t, &f);
    enum fail code = facts == NULL ? FAIL_NONE : read_over(facts, facts_len, &f, why);
    if (code == FAIL_NONE) {
        jn_begin(&w, json, false);
        route_explain_put(&w, desk->rules, &f);
    }
    task_free(t);
    return code;
}

/* ---- a recorded task ---- */

/* The decision as it was, and the reasons that the same facts give under the same rules. */
static enum fail explain_again(struct store_conn *reader, const char *record, struct buf *json,
                               struct fault *why)
{
    AUTO_JSON json_t *j = NULL;
    struct route_rules *rules = NULL;
    struct route_facts f;
    struct jn_writer w;
    enum fail code = jn_parse(record, strlen(record), "a recorded decision", &j, why);
    if (code != FAIL_NONE) {
        return code;
    }
    const json_t *decision = json_object_get(j, "decision");
    const char *release = json_string_value(json_object_get(decision, "rules"));
    char *facts = json_dumps(json_object_get(decision, "facts"), JSON_COMPACT);
    route_facts_init(&f);
    code = facts == NULL ? FAULT(why, FAIL_INTERNAL, "a recorded decision has no facts")
                         : read_over(facts, strlen(facts), &f, why);
    free(facts); /* tidy: memory: jansson's own */
    if (code == FAIL_NONE) {
        code = route_release_find(reader, release != NULL ? release : "", &rules, why);
    }
    if (code != FAIL_NONE) {
        return code;
    }
    jn_begin(&w, json, false);
    jn_object_begin(&w);
    jn_key(&w, "recorded");
    jn_put_raw(&w, record, strlen(record));
    jn_kv_str(
        &w, "note",
        !json_is_true(json_object_get(j, "asked"))
            ? "no rule was asked: the cheap rungs closed it, or it never came so far; this is "
              "what the rules would have said"
        : rules == NULL ? "the rules that decided are not here any more; their decision is"
                        : NULL);
    jn_key(&w, "explained");
    if (rules != NULL) {
        route_explain_put(&w, rules, &f);
    } else {
        jn_put_null(&w);
    }
    jn_object_end(&w);
    route_rules_unref(rules);
    return FAIL_NONE;
}

enum fail task_route_read(struct store_conn *reader, const struct id *task,
                          const struct principal *who, struct buf *json, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        reader, "SELECT route, kind FROM task WHERE id = ?1 AND (?2 IS NULL OR team = ?2)");
    bool row = false;
    store_bind_id(s, 1, task);
    store_bind_text(s, 2, policy_is_admin(who) ? NULL : who->team);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && !row) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such task");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const char *record = store_col_text(s, 0);
    if (record[0] != '\0') {
        return explain_again(reader, record, json, why);
    }
    if (strcmp(store_col_text(s, 1), "form") == 0) {
        FAULT(why, FAIL_NOT_FOUND, "no decision was recorded with this task");
        return fail_hint(why, "It was refused before it began, or recorded by an older version.");
    }
    return buf_add_str(json, "{\"recorded\":null,\"note\":\"it names its model: no rule is asked\","
                             "\"explained\":null}")
               ? FAIL_NONE
               : FAULT(why, FAIL_TOO_LARGE, "the answer does not fit");
}
