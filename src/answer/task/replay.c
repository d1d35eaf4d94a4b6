/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it takes to ask a task again and get the same bytes: seed, `now`, the engine's build and,
 * per model that answered, the fingerprint of its lane. Kept with the task; the fingerprints are
 * also among its record's releases. The prompt itself is the task's content.
 * Owns: nothing. Threads: core; replay_text on the store's thread. Limits: REPLAY_BYTES.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define REPLAY_BYTES 4096

void replay_note(struct task *t, enum fleet_role role, const struct fleet_answer *a)
{
    if (a->fingerprint != NULL) {
        (void)text_copy(t->fingerprint[role], sizeof(t->fingerprint[role]), a->fingerprint);
        (void)text_copy(t->build, sizeof(t->build), a->build);
    }
}

void replay_write(struct jn_writer *w, const struct task *t)
{
    jn_object_begin(w);
    jn_kv_int(w, "seed", t->seed);
    jn_kv_int(w, "now", t->now);
    jn_kv_str(w, "build", t->build);
    jn_key(w, "fingerprints");
    jn_object_begin(w);
    for (int role = 0; role <= FLEET_ROLE_COUNT; role++) {
        if (t->fingerprint[role][0] != '\0') {
            const char *name = fleet_role_name((enum fleet_role)role);
            jn_kv_str(w, role < FLEET_ROLE_COUNT ? name : "model", t->fingerprint[role]);
        }
    }
    jn_object_end(w);
    jn_object_end(w);
}

char *replay_text(const struct task *t)
{
    struct jn_writer w;
    struct buf text;
    if (!t->reproducible) {
        return mem_dup_str("");
    }
    buf_init(&text, REPLAY_BYTES);
    jn_begin(&w, &text, false);
    replay_write(&w, t);
    ASSERT(!text.overflow);
    return buf_take(&text);
}
