/* SPDX-License-Identifier: Apache-2.0 */
/* What the desk holds, for listings: counts, active forms with their evidence, datasets. */
#include "answer/task/task_internal.h"

enum fail task_owner(struct store_conn *reader, const struct id *task,
                     char team[KEYRING_NAME_SIZE], struct fault *why)
{
    bool row = false;
    AUTO_STMT struct store_stmt *s =
        /* The nearest at or before it: one row is read, whether it is the one or not. */
        store_query(reader, "SELECT id, team FROM task WHERE id <= ?1 ORDER BY id DESC LIMIT 1");
    store_bind_id(s, 1, task);
    enum fail f = store_step(s, &row, why);
    struct id nearest;
    bool same = f == FAIL_NONE && row && store_col_id(s, 0, &nearest) &&
                text_id_equal(&nearest, task);
    (void)text_copy(team, KEYRING_NAME_SIZE, same ? store_col_text(s, 1) : "");
    return f;
}

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
