/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may come in: rules, asked once when a task starts (passing_out.c has the other side).
 * Blocked is an error that names the rule; what is for review goes to a person where there is one,
 * a form, and is blocked elsewhere; what is redacted is replaced before any rung sees it.
 *
 * Owns: nothing beside the task's. Threads: core; texts over VERDICT_QUICK_BYTES together, and
 * those that a slow rule is for, are read on a crunch thread.
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
    /* of a form: subject and text; of a decision: text; of embeddings: all */
    const char **parts;
    char **changed;        /* redacted, NULL: as it was */
    size_t n;
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
    for (size_t i = 0; i < j->n; i++) {
        if (j->parts[i] != NULL) {
            look(j, j->parts[i], strlen(j->parts[i]), &j->changed[i]);
        }
    }
    if (j->ask != NULL) {
        look_at_chat(j);
    }
}

void pass_say_blocked(struct fault *why, bool review, const char *rule, const char *reason,
                      const char *found)
{
    FAULT(why, FAIL_BLOCKED, "the rule \"%s\" does not let this text pass (%s)%s%s", rule, found,
          reason[0] != '\0' ? ": " : "", reason);
    fail_hint(why, review
                       ? "It is for a person to look at: send it through a workflow."
                       : "Take it out, or ask those who approve the rules: `inhouse guard rules`.");
}

static void take_changes(struct pass_job *j)
{
    struct task *t = j->t;
    for (size_t i = 0; t->kind == TASK_EMBED && i < j->n; i++) {
        if (j->changed[i] != NULL) {
            t->texts[i] = arena_dup_str(t->arena, j->changed[i]);
        }
    }
    if (t->kind == TASK_EMBED) {
        return;
    }
    if (j->n > 0 && j->changed[0] != NULL) {
        t->subject = arena_dup_str(t->arena, j->changed[0]);
    }
    if (j->n > 1 && j->changed[1] != NULL) {
        t->text = arena_dup_str(t->arena, j->changed[1]);
    }
    if (j->ask_changed != NULL) {
        t->ask_json = arena_dup_str(t->arena, j->ask_changed);
        t->ask_len = strlen(t->ask_json);
    }
}

static void job_free(struct pass_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        mem_free(j->changed[i]);
    }
    mem_free(j->changed);
    mem_free(j->parts);
    mem_free(j->ask_changed);
    verdict_rules_unref(j->rules);
    mem_free(j);
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
        pass_say_blocked(&why, j->verdict == VERDICT_REVIEW, j->rule, j->why, j->found);
    } else {
        take_changes(j);
        if (j->verdict == VERDICT_REVIEW) {
            t->guarded = arena_printf(t->arena, "the rule \"%s\" (%s)", j->rule, j->found);
        }
    }
    job_free(j);
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

/* What of the task is looked at; its bytes. */
static size_t take_parts(struct pass_job *j)
{
    const struct task *t = j->t;
    size_t size = 0;
    if (t->kind == TASK_CHAT) {
        j->ask = t->ask_json;
        j->ask_len = t->ask_len;
        return t->ask_len;
    }
    j->n = t->kind == TASK_EMBED ? t->texts_len : 2;
    j->parts = mem_alloc_array(j->n + 1, sizeof(*j->parts));
    j->changed = mem_alloc_array(j->n + 1, sizeof(*j->changed));
    if (t->kind == TASK_EMBED) {
        memcpy(j->parts, t->texts, j->n * sizeof(*j->parts));
    } else {
        j->parts[0] = t->kind == TASK_FORM ? t->subject : NULL;
        j->parts[1] = t->text;
    }
    for (size_t i = 0; i < j->n; i++) {
        size += j->parts[i] != NULL ? strlen(j->parts[i]) : 0;
    }
    return size;
}

void pass_in(struct task *t, task_step_fn go)
{
    struct task_desk *d = t->desk;
    const char *workflow = t->kind == TASK_FORM ? t->model : "";
    if (!verdict_rules_apply(d->guard, VERDICT_IN, t->who.team, workflow)) {
        go(t);
        return;
    }
    struct pass_job *j = mem_alloc(sizeof(*j));
    struct fault why;
    *j = (struct pass_job){.t = t, .go = go, .rules = verdict_rules_ref(d->guard),
                           .workflow = workflow};
    (void)text_copy(j->team, sizeof(j->team), t->who.team);
    size_t size = take_parts(j);
    bool slow = verdict_rules_slow(d->guard, VERDICT_IN, t->who.team, workflow);
    if (size <= VERDICT_QUICK_BYTES && !slow) {
        pass_work(j);
        pass_done(j);
    } else if (pool_submit(d->house.crunch, pass_work, j, d->house.loop, pass_done, &why) !=
               FAIL_NONE) {
        job_free(j);
        task_fail(t, &why);
    }
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
