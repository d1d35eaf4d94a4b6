/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stakes: what sends a task to a person whatever a model says, and where in its text it stands.
 * Owns: nothing. Threads: core. Limits: answer/route's; a note quotes QUOTE_BYTES of a sentence.
 */
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define QUOTE_BYTES 60

static void take(struct task *t, const struct route_stake_hit *hit)
{
    const char *at = t->input + hit->from;
    size_t len = hit->to - hit->from;
    bool cut = len > QUOTE_BYTES;
    len = cut ? text_utf8_cut(at, QUOTE_BYTES) : len;
    t->stake_name = route_stake_name(hit->stake);
    t->stake_from = hit->from;
    t->stake_to = hit->to;
    t->stake_p = hit->p;
    t->stake = arena_printf(t->arena, "%s (\"%.*s%s\")", t->stake_name, (int)len, at,
                            cut ? "..." : "");
}

void stakes_find(struct task *t)
{
    struct route_stake_hit hits[ROUTE_STAKE_HITS];
    size_t n = t->form->stakes == 0
                   ? 0
                   : route_stakes_find(t->desk->stakes, t->input, t->input_len, t->form->stakes,
                                       t->form->refund_above, hits);
    const char *phrase = n == 0 ? ladder_stake_find(t->form, t->input) : NULL;
    if (t->guarded != NULL) {
        t->stake_name = "guard";
        t->stake_p = 1;
        t->stake = t->guarded;
    } else if (n > 0) {
        take(t, &hits[0]);
    } else if (phrase != NULL) {
        t->stake_name = "phrase";
        t->stake_p = 1;
        t->stake = arena_printf(t->arena, "\"%s\"", phrase);
    }
}

void stakes_write(struct jn_writer *w, const struct task *t)
{
    jn_key(w, "stake");
    if (t->stake_name == NULL) {
        jn_put_null(w);
        return;
    }
    jn_object_begin(w);
    jn_kv_str(w, "name", t->stake_name);
    if (t->stake_to > t->stake_from) {
        jn_kv_int(w, "from", (int64_t)t->stake_from);
        jn_kv_int(w, "to", (int64_t)t->stake_to);
    }
    jn_kv_str(w, "found", t->stake);
    jn_kv_real(w, "p", t->stake_p, 4);
    jn_object_end(w);
}
