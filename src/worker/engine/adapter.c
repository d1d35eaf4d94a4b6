/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: adapters (LoRA). Weights are added to the model's by the graph, which is
 * set per context: a batch holds asks of one adapter only, and adapters take turns of a few steps.
 * Keys and values made under one are wrong under another: an ask's domain names its adapter
 * (worker/serve), so prefixes, null scores and the stash are apart by themselves.
 * Owns: the table; the weights belong to the model. Threads: one.
 * Limits: ENGINE_ADAPTERS_MAX.
 */
#include "worker/engine/engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TURN_STEPS 8      /* then another one may have the context, if it has work */
#define ANY_CLASS_TURNS 8 /* one turn in so many goes to whoever is next, whatever its class */

int adapter_find(const struct llama_engine *e, const char *sha256)
{
    for (int i = 0; i < e->n_adapters; i++) {
        if (strcmp(e->adapters[i].sha256, sha256) == 0) {
            return i;
        }
    }
    return -1;
}

enum fail adapter_add(struct engine *engine, int fd, const struct engine_adapter *adapter,
                      struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    if (!engine->loaded || engine->info.kind != ENGINE_GENERATE) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model that generates is loaded");
    }
    if (adapter_find(e, adapter->sha256) >= 0) {
        return FAIL_NONE;
    }
    if (e->n_adapters == ENGINE_ADAPTERS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "%d adapters are loaded, the most there may be",
                     ENGINE_ADAPTERS_MAX);
    }
    int own = dup(fd);
    FILE *file = own < 0 ? NULL : fdopen(own, "rb");
    if (file == NULL) {
        return FAULT_ERRNO(why, FAIL_MODEL_UNAVAILABLE, "cannot read the adapter's descriptor");
    }
    rewind(file);
    struct llama_adapter_lora *lora = llama_adapter_lora_init_from_file_ptr(e->model, file);
    fclose(file);
    if (lora == NULL) {
        (void)FAULT(why, FAIL_MODEL_UNAVAILABLE, "llama.cpp cannot load %.72s over this model",
                    adapter->name);
        return fail_hint(why, "The log says why; it must have been made for this very model.");
    }
    if (llama_adapter_get_alora_n_invocation_tokens(lora) > 0) {
        llama_adapter_lora_free(lora);
        return FAULT(why, FAIL_UNSUPPORTED, "%.72s is an activated LoRA; plain ones are served",
                     adapter->name);
    }
    struct adapter *a = &e->adapters[e->n_adapters++];
    (void)text_copy(a->sha256, sizeof a->sha256, adapter->sha256);
    a->lora = lora;
    return FAIL_NONE;
}

static void apply(struct llama_engine *e, int index)
{
    float scale = 1.0f;
    struct llama_adapter_lora *lora = index >= 0 ? e->adapters[index].lora : NULL;
    int rc = llama_set_adapters_lora(e->context, &lora, index >= 0 ? 1 : 0, &scale);
    ASSERT(rc == 0);
    e->adapter_on = index;
    e->adapter_steps = 0;
}

/* The best class with work under each adapter; [0] is none. IPC_CLASS_COUNT: no work. */
static void classes_of(struct llama_engine *e, int (*pending)(const struct task *t),
                       int best[ENGINE_ADAPTERS_MAX + 1])
{
    for (int i = 0; i <= ENGINE_ADAPTERS_MAX; i++) {
        best[i] = IPC_CLASS_COUNT;
    }
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        bool works = t->state == TASK_RUNNING && (pending(t) > 0 || t->choice.active);
        if (works && (int)t->class < best[t->adapter + 1]) {
            best[t->adapter + 1] = (int)t->class;
        }
    }
}

void adapter_choose(struct llama_engine *e, int (*pending)(const struct task *t))
{
    int best[ENGINE_ADAPTERS_MAX + 1];
    int top = IPC_CLASS_COUNT, now = e->adapter_on + 1, n = e->n_adapters + 1;
    if (e->n_adapters == 0) {
        return;
    }
    classes_of(e, pending, best);
    for (int i = 0; i < n; i++) {
        top = best[i] < top ? best[i] : top;
    }
    bool stays = best[now] == top && e->adapter_steps < TURN_STEPS;
    if (top == IPC_CLASS_COUNT || stays) {
        e->adapter_steps++;
        return;
    }
    /* The best class first; now and then whoever has work, so that none starves. */
    bool any = ++e->adapter_turns % ANY_CLASS_TURNS == 0;
    for (int k = 1; k <= n; k++) { /* in a circle, the one at hand last */
        int i = (now + k) % n;
        if (best[i] == top || (any && best[i] < IPC_CLASS_COUNT)) {
            if (i != now) {
                apply(e, i - 1);
            }
            e->adapter_steps = 1;
            return;
        }
    }
}
