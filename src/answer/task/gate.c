/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy's gate for a task: what the caller may name, what the limits still hold, and what is
 * switched off, before it waits for its turn; and the end of those a switch is turned on against.
 * A task that only measures (a form of its own) is held by switches, not by limits.
 * Owns: nothing. Threads: core, but for task_halted.
 */
#include <string.h>

#include "answer/task/task_internal.h"

#define FORM_TOKENS 256 /* what an answer is reckoned with before it is known */
#define BYTES_A_TOKEN 3

/* Bytes/3 + max_tokens, settled with what was counted. */
static int64_t reserve(const struct task *t)
{
    int64_t bytes = 0;
    int64_t out = 0;
    if (t->kind == TASK_FORM) {
        bytes = (int64_t)(strlen(t->subject) + strlen(t->text));
        out = FORM_TOKENS;
    } else if (t->kind == TASK_EMBED) {
        for (size_t i = 0; i < t->texts_len; i++) {
            bytes += (int64_t)strlen(t->texts[i]);
        }
    } else {
        bytes = (int64_t)t->ask_len;
        out = t->max_tokens;
    }
    return bytes / BYTES_A_TOKEN + (out > 0 ? out : 0) + 1;
}

static const char *workflow_of(const struct task *t)
{
    return t->kind == TASK_FORM ? t->model : NULL;
}

enum fail gate_enter(struct task *t, struct fault *why)
{
    struct policy *p = t->desk->house.policy;
    bool is_form = t->kind == TASK_FORM;
    if (p == NULL) {
        return FAIL_NONE;
    }
    if (t->own_form) {
        return policy_halt_check(p, &t->who, t->model, NULL, why);
    }
    enum fail f = policy_may_name(p, &t->who,
                                  is_form ? POLICY_OBJECT_WORKFLOW : POLICY_OBJECT_MODEL,
                                  t->model, why);
    if (f != FAIL_NONE) {
        return fail_param(why, is_form ? "workflow" : "model");
    }
    if (!is_form) {
        t->label = gate_label(t, SECRECY_PUBLIC); /* a form's comes with its workflow */
    }
    return policy_begin(p, &t->who, workflow_of(t), is_form ? NULL : t->model, reserve(t),
                        &t->hold, why);
}

void gate_leave(struct task *t)
{
    int64_t used = (int64_t)t->tokens_in + t->tokens_out;
    bool cut = t->state == TASK_CANCELLED || t->why.code == FAIL_STOPPED ||
               t->why.code == FAIL_DEADLINE || t->why.code == FAIL_WORKER_DIED;
    if (t->hold.is_held) {
        /* Cut short, nobody counted what it took: the whole of its reserve. */
        policy_end(t->desk->house.policy, &t->hold,
                   used == 0 && cut && t->step_us != 0 ? t->hold.tokens : used);
    }
}

enum fail gate_check(const struct task *t, struct fault *why)
{
    const struct policy *p = t->desk->house.policy;
    if (p == NULL) {
        return FAIL_NONE;
    }
    enum fail f = policy_halt_check(p, &t->who, workflow_of(t),
                                    t->kind == TASK_FORM ? NULL : t->model, why);
    if (f == FAIL_NONE && t->kind != TASK_FORM && t->model_name[0] != '\0') {
        f = policy_halt_check(p, &t->who, NULL, t->model_name, why);
    }
    return f;
}

void gate_why(const struct task *t, struct fault *why)
{
    if (gate_check(t, why) == FAIL_NONE) {
        FAULT(why, FAIL_STOPPED, "what it needs was switched off while it ran");
        fail_hint(why, "It is on again: send it again.");
    }
}

enum secrecy gate_label(const struct task *t, enum secrecy dataset)
{
    if (t->desk->house.policy == NULL) {
        return t->label > dataset ? t->label : dataset;
    }
    return policy_label(t->desk->house.policy, &t->who, workflow_of(t), SECRECY_PUBLIC, dataset,
                        t->label, SECRECY_PUBLIC);
}

bool gate_may_read(const struct task *t, const char *dataset)
{
    struct fault why;
    const struct policy *p = t->desk->house.policy;
    return p == NULL || dataset == NULL ||
           policy_may_name(p, &t->who, POLICY_OBJECT_DATASET, dataset, &why) == FAIL_NONE;
}

bool gate_role_is_off(const struct task_desk *desk, enum fleet_role role)
{
    struct fleet_model m;
    if (desk->house.policy == NULL) {
        return false;
    }
    memset(&m, 0, sizeof(m));
    fleet_model_get(desk->house.fleet, role, &m);
    return m.name[0] != '\0' && policy_is_halted(desk->house.policy, POLICY_MODEL, m.name);
}

enum fail gate_work(const struct task_desk *desk, const struct principal *who,
                    const char *workflow, struct fault *why)
{
    return desk->house.policy == NULL
               ? FAIL_NONE
               : policy_halt_check(desk->house.policy, who, workflow, NULL, why);
}

/* ---- a switch was turned ---- */

static bool waits_halted(const struct queue_item *item, void *arg)
{
    struct fault why;
    (void)arg;
    return gate_check(item->owner, &why) != FAIL_NONE;
}

/* A climb goes on without the model; what names it ends. */
static void cut_ask(struct task *t)
{
    if (t->kind == TASK_FORM && t->ask != 0 && t->asking < FLEET_ROLE_COUNT &&
        gate_role_is_off(t->desk, t->asking)) {
        fleet_cancel(t->desk->house.fleet, t->ask);
    }
}

static void halted_now(void *arg)
{
    struct task_desk *d = arg;
    struct fault why;
    struct queue_item *item;
    for (struct task *t = d->running; t != NULL; t = t->next) {
        t->swept = false;
    }
    for (struct task *t = d->running; t != NULL;) {
        if (t->swept) {
            t = t->next;
            continue;
        }
        t->swept = true;
        if (gate_check(t, &why) != FAIL_NONE) {
            t->halted = t->late = true;
            task_interrupt(t);
        } else {
            cut_ask(t);
        }
        t = d->running; /* others may have ended with it: from the start */
    }
    while ((item = queue_find(d->queue, waits_halted, NULL)) != NULL) {
        struct task *t = item->owner;
        t->halted = t->late = true;
        task_interrupt(t);
    }
    rewriter_kick(d->rewriter);
}

void task_halted(struct task_desk *desk)
{
    loop_post(desk->house.loop, halted_now, desk);
}
