/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may pass: rules, asked once of what comes in (when a task starts) and once of
 * what goes out (before its record). Blocked is an error that names the rule; what is for review
 * goes to a person where there is one, a form, and is blocked elsewhere; what is redacted is
 * replaced before any rung sees it.
 *
 * Owns: nothing beside the task's. Threads: core; a text over VERDICT_QUICK_BYTES is read on a
 * crunch thread. Limits: answers are read on the core thread, as long as they are. Embeddings carry
 * no text out, and are not asked.
 */
#include <stdlib.h>
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"
#include "trust/verdict/verdict.h"

#define DEPTH_MAX 64

/* One look at a task's text; its strings are the job's own until it is taken. */
struct pass_job {
    struct task *t;
    task_step_fn go;
    struct verdict_rules *rules;
    char team[KEYRING_NAME_SIZE];
    const char *workflow;
    const char *parts[2];  /* of a form: subject and text; of a decision: text */
    char *changed[2];      /* redacted, NULL: as it was */
    const char *ask;       /* of a chat: JSON */
    size_t ask_len;
    char *ask_changed;
    enum verdict verdict;
    char rule[65], why[201], found[32];
};

static void look(struct pass_job *j, const char *text, size_t n, char **changed)
{
    struct verdict_result v;
    struct verdict_ask ask = {.side = VERDICT_IN, .team = j->team, .workflow = j->workflow,
                              .text = text, .n = n};
    bool read = verdict_check(j->rules, &ask, &v);
    for (size_t i = 0; i < v.n && v.verdict > j->verdict; i++) {
        if (v.items[i].verdict == v.verdict) {
            j->verdict = v.verdict;
            (void)text_copy(j->rule, sizeof(j->rule), v.items[i].rule);
            (void)text_copy(j->why, sizeof(j->why), v.items[i].why);
            (void)text_copy(j->found, sizeof(j->found), v.items[i].found);
        }
    }
    j->verdict = read ? j->verdict : VERDICT_BLOCK;
    if (v.verdict >= VERDICT_REDACT) {
        struct buf out;
        buf_init(&out, 2 * n + 65536);
        if (verdict_redact(&v, text, n, &out)) {
            *changed = buf_take(&out);
        } else {
            j->verdict = VERDICT_BLOCK;
        }
        buf_done(&out);
    }
    verdict_result_done(&v);
}

/* Every text of a chat's messages, each on its own. */
static bool look_at_json(struct pass_job *j, json_t *v, int depth)
{
    bool changed = false;
    size_t i;
    const char *key;
    json_t *member;
    if (depth > DEPTH_MAX) {
        return false;
    }
    if (json_is_string(v)) {
        char *now = NULL;
        look(j, json_string_value(v), json_string_length(v), &now);
        changed = now != NULL && strcmp(now, json_string_value(v)) != 0;
        if (changed && json_string_set(v, now) != 0) {
            j->verdict = VERDICT_BLOCK;
        }
        mem_free(now);
        return changed;
    }
    json_array_foreach(v, i, member) {
        changed = look_at_json(j, member, depth + 1) || changed;
    }
    json_object_foreach(v, key, member) {
        changed = look_at_json(j, member, depth + 1) || changed;
    }
    return changed;
}

static void look_at_chat(struct pass_job *j)
{
    AUTO_JSON json_t *ask = NULL;
    if (jn_parse(j->ask, j->ask_len, "a chat", &ask, NULL) != FAIL_NONE) {
        j->verdict = VERDICT_BLOCK;
        (void)text_copy(j->rule, sizeof(j->rule), "unreadable");
        return;
    }
    if (look_at_json(j, json_object_get(ask, "messages"), 0)) {
        char *text = json_dumps(ask, JSON_COMPACT);
        j->ask_changed = mem_dup_str(text);
        free(text); /* tidy: memory: jansson's own */
    }
}

static void pass_work(void *arg)
{
    struct pass_job *j = arg;
    for (size_t i = 0; i < COUNT_OF(j->parts); i++) {
        if (j->parts[i] != NULL) {
            look(j, j->parts[i], strlen(j->parts[i]), &j->changed[i]);
        }
    }
    if (j->ask != NULL) {
        look_at_chat(j);
    }
}

static void say_blocked(struct fault *why, enum verdict v, const char *rule, const char *reason,
                        const char *found)
{
    FAULT(why, FAIL_BLOCKED, "the rule \"%s\" does not let this text pass (%s)%s%s", rule, found,
          reason[0] != '\0' ? ": " : "", reason);
    fail_hint(why, v == VERDICT_REVIEW
                       ? "It is for a person to look at: send it through a workflow."
                       : "Take it out, or ask those who approve the rules: `inhouse guard rules`.");
}

static void take_changes(struct pass_job *j)
{
    struct task *t = j->t;
    if (j->changed[0] != NULL) {
        t->subject = arena_dup_str(t->arena, j->changed[0]);
    }
    if (j->changed[1] != NULL) {
        t->text = arena_dup_str(t->arena, j->changed[1]);
    }
    if (j->ask_changed != NULL) {
        t->ask_json = arena_dup_str(t->arena, j->ask_changed);
        t->ask_len = strlen(t->ask_json);
    }
}

static void pass_done(void *arg)
{
    struct pass_job *j = arg;
    struct task *t = j->t;
    struct fault why = {0};
    task_step_fn go = j->go;
    bool blocked = j->verdict == VERDICT_BLOCK ||
                   (j->verdict == VERDICT_REVIEW && t->kind != TASK_FORM);
    if (blocked) {
        say_blocked(&why, j->verdict, j->rule, j->why, j->found);
    } else {
        take_changes(j);
        if (j->verdict == VERDICT_REVIEW) {
            t->guarded = arena_printf(t->arena, "the rule \"%s\" (%s)", j->rule, j->found);
        }
    }
    for (size_t i = 0; i < COUNT_OF(j->changed); i++) {
        mem_free(j->changed[i]);
    }
    mem_free(j->ask_changed);
    verdict_rules_unref(j->rules);
    mem_free(j);
    if (t->cancelled || t->late) { /* while it was looked at */
        direct_stopped(t, NULL);
    } else if (t->halted) {
        gate_why(t, &why);
        task_fail(t, &why);
    } else if (blocked) {
        task_fail(t, &why);
    } else {
        go(t);
    }
}

void pass_in(struct task *t, task_step_fn go)
{
    struct task_desk *d = t->desk;
    const char *workflow = t->kind == TASK_FORM ? t->model : "";
    if (t->kind == TASK_EMBED ||
        !verdict_rules_apply(d->guard, VERDICT_IN, t->who.team, workflow)) {
        go(t);
        return;
    }
    struct pass_job *j = mem_alloc(sizeof(*j));
    struct fault why;
    *j = (struct pass_job){.t = t, .go = go, .rules = verdict_rules_ref(d->guard),
                           .workflow = workflow};
    (void)text_copy(j->team, sizeof(j->team), t->who.team);
    if (t->kind == TASK_CHAT) {
        j->ask = t->ask_json;
        j->ask_len = t->ask_len;
    } else {
        j->parts[0] = t->kind == TASK_FORM ? t->subject : NULL;
        j->parts[1] = t->text;
    }
    size_t size = j->ask_len + (j->parts[0] != NULL ? strlen(j->parts[0]) : 0) +
                  (j->parts[1] != NULL ? strlen(j->parts[1]) : 0);
    if (size <= VERDICT_QUICK_BYTES) {
        pass_work(j);
        pass_done(j);
    } else if (pool_submit(d->house.crunch, pass_work, j, d->house.loop, pass_done, &why) !=
               FAIL_NONE) {
        verdict_rules_unref(j->rules);
        mem_free(j);
        task_fail(t, &why);
    }
}

/* ---- out ---- */

static bool asks_out(const struct task *t, const char *workflow)
{
    return verdict_rules_apply(t->desk->guard, VERDICT_OUT, t->who.team, workflow);
}

bool pass_out_chat(struct task *t)
{
    struct verdict_result v;
    struct fault why;
    const char *text = t->generated.text;
    if (t->stream) { /* its tail; what was sent cannot be taken back, and ends with the reason */
        if (!pass_out_piece(t, "", 0, true)) {
            t->generated.finish_reason = "content_filter";
        }
        return true;
    }
    if (text == NULL || text[0] == '\0' || !asks_out(t, "")) {
        return true;
    }
    struct verdict_ask ask = {.side = VERDICT_OUT, .team = t->who.team, .workflow = "",
                              .text = text, .n = strlen(text), .sources = &t->ask_json,
                              .sources_n = 1};
    bool read = verdict_check(t->desk->guard, &ask, &v);
    bool good = read && v.verdict < VERDICT_REVIEW;
    if (good && v.verdict == VERDICT_REDACT) {
        struct buf out;
        buf_init(&out, 2 * ask.n + 65536);
        good = verdict_redact(&v, text, ask.n, &out);
        t->generated.text = good ? arena_dup_strn(t->arena, out.data, out.len) : "";
        buf_done(&out);
    }
    if (!good) {
        const struct verdict_hit *h = NULL;
        for (size_t i = 0; i < v.n && h == NULL; i++) {
            h = v.items[i].verdict == v.verdict ? &v.items[i] : NULL;
        }
        say_blocked(&why, VERDICT_BLOCK, h != NULL ? h->rule : "unreadable",
                    h != NULL ? h->why : "", h != NULL ? h->found : "too long");
    }
    verdict_result_done(&v);
    if (!good) {
        task_fail(t, &why);
    }
    return good;
}

bool pass_out_piece(struct task *t, const char *text, size_t n, bool last)
{
    struct buf out;
    if (!asks_out(t, "")) {
        if (n > 0) {
            t->on_text(t->arg, text, n);
        }
        return true;
    }
    if (t->tail == NULL) {
        t->tail = arena_alloc(t->arena, sizeof(*t->tail));
        verdict_stream_init(t->tail);
    }
    struct verdict_ask ask = {.side = VERDICT_OUT, .team = t->who.team, .workflow = "",
                              .sources = &t->ask_json, .sources_n = 1};
    buf_init(&out, (size_t)2 << 20);
    bool open = verdict_stream_feed(t->tail, t->desk->guard, &ask, text, n, last, &out);
    if (open && out.len > 0) {
        t->on_text(t->arg, out.data, out.len);
    }
    buf_done(&out);
    return open;
}

void pass_free(struct task *t)
{
    if (t->tail != NULL) {
        verdict_stream_done(t->tail);
    }
}

void pass_out_draft(struct task *t)
{
    struct verdict_result v;
    if (t->draft_text == NULL || t->draft_text[0] == '\0' || !asks_out(t, t->model)) {
        return;
    }
    struct verdict_ask ask = {.side = VERDICT_OUT, .team = t->who.team, .workflow = t->model,
                              .text = t->draft_text, .n = strlen(t->draft_text),
                              .sources = &t->input, .sources_n = 1};
    bool read = verdict_check(t->desk->guard, &ask, &v);
    if (!read || v.verdict > VERDICT_ALLOW) { /* a draft with a hole in it is none */
        t->draft_text = NULL;
        t->draft_json = NULL;
    }
    verdict_result_done(&v);
}

/* ---- which rules ---- */

struct guard_set {
    struct task_desk *desk;
    struct verdict_rules *rules;
};

static void guard_set_now(void *arg)
{
    struct guard_set *s = arg;
    verdict_rules_unref(s->desk->guard);
    s->desk->guard = s->rules;
    mem_free(s);
}

void task_guard_set(struct task_desk *desk, struct verdict_rules *rules)
{
    struct guard_set *s = mem_alloc(sizeof(*s));
    s->desk = desk;
    s->rules = verdict_rules_ref(rules);
    loop_post(desk->house.loop, guard_set_now, s);
}
