/* SPDX-License-Identifier: Apache-2.0 */
/* What the desk holds, for listings: counts, active forms with their evidence, datasets. */
#include "answer/task/task_internal.h"

void task_counts(const struct task_desk *desk, struct task_counts *out)
{
    *out = (struct task_counts){desk->running_len, (int)queue_waiting(desk->queue), desk->learning};
}

const struct ladder_form *task_form_find(struct task_desk *desk, const char *name)
{
    const struct entry *e = desk_entry_find(desk, name);
    return e ? e->form : NULL;
}

void task_dataset_each(const struct task_desk *desk, task_dataset_fn fn, void *arg)
{
    for (size_t i = 0; i < desk->shelves_len; i++) {
        const struct shelf *s = desk->shelves[i];
        fn(arg, s->name, s->release, s->knowledge ? knowledge_article_count(s->knowledge) : 0);
    }
}
