/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets like this one: its trace is made before the record, searched for in those of the same
 * team, kept with the record, and found by the next one once that is durable.
 *
 * Owns nothing: the trace lives in the task's arena. Threads: core, but for alike_put (the write).
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

void alike_find(struct task *t)
{
    bool empty = t->input[strspn(t->input, " \t\r\n")] == '\0';
    if (!t->form->related || t->no_artifact || empty || t->reproducible) {
        return;
    }
    t->trace = arena_alloc(t->arena, sizeof(*t->trace));
    related_trace_of(t->who.team, t->input, t->input_len, t->embedding, t->dim,
                     t->used[FLEET_EMBED], t->trace);
    t->trace->task = t->id;
    t->trace->at = t->created_at;
    (void)text_copy(t->trace->actor, sizeof(t->trace->actor), t->who.name);
    t->alike = arena_alloc(t->arena, RELATED_FOUND * sizeof(*t->alike));
    t->alike_len = related_find(t->desk->related, t->desk->reader, t->trace, t->alike);
}

/* What the caller called that ticket. */
static const char *name_of(struct task_desk *desk, const struct id *task, struct arena *arena)
{
    AUTO_STMT struct store_stmt *s =
        store_query(desk->reader, "SELECT input_id FROM task WHERE id = ?1");
    struct fault why;
    bool row = false;
    store_bind_id(s, 1, task);
    return store_step(s, &row, &why) == FAIL_NONE && row
               ? arena_dup_str(arena, store_col_text(s, 0))
               : "";
}

static void write_hit(struct jn_writer *w, const struct task *t, const struct related_hit *h)
{
    char shown[TEXT_ID_SIZE], at[CLOCK_RFC3339_SIZE];
    jn_object_begin(w);
    jn_kv_str(w, "task", text_id_show(&h->task, "tsk", shown));
    jn_kv_str(w, "input_id", name_of(t->desk, &h->task, t->arena));
    jn_kv_str(w, "kind", related_kind_name(h->kind));
    jn_kv_real(w, "match", h->match, 4);
    jn_kv_real(w, "wording", h->wording, 4);
    jn_key(w, "shared");
    jn_array_begin(w);
    for (size_t i = 0; i < h->shared_len; i++) {
        jn_put_str(w, t->trace->id_text[h->shared[i]]);
    }
    jn_array_end(w);
    jn_kv_str(w, "at", clock_show(h->at, at));
    jn_object_end(w);
}

void alike_write(struct jn_writer *w, const struct task *t)
{
    if (!t->form->related) {
        return;
    }
    jn_key(w, "related");
    jn_array_begin(w);
    for (size_t i = 0; i < t->alike_len; i++) {
        write_hit(w, t, &t->alike[i]);
    }
    jn_array_end(w);
}

enum fail alike_put(struct store_tx *tx, const struct task *t, struct fault *why)
{
    return t->trace == NULL ? FAIL_NONE : related_put(tx, t->trace, why);
}

void alike_recorded(const struct task *t)
{
    if (t->trace != NULL) {
        related_add(t->desk->related, t->trace);
    }
}
