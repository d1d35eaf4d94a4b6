/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people decided here teaches too: the reviewed outcomes of a workflow become examples beside
 * those of the request. One with the text of a given example replaces its values, so that no text
 * is learned from twice and measured on itself.
 *
 * Owns nothing: texts are the arena's. Threads: a crunch thread, with a reader of its own. Limits:
 * LEARN_REVIEWED_MAX outcomes, the oldest first; inputs that were erased are left out.
 */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/learn/learn.h"
#include "trust/audit/audit.h"
#include "work/review/review.h"

struct taking {
    struct api *a;
    struct store_conn *conn;
    const struct ladder_form *form;
    struct arena *arena;
    struct task_example *list;
    size_t n, room, taken;
    uint32_t *slot; /* open-addressed: place in list + 1 */
    uint64_t *hash; /* of the list's inputs */
    size_t mask;
    struct buf input;
};

static uint64_t hash_of(const char *text, size_t n)
{
    uint8_t sum[32];
    uint64_t h;
    text_sha256(text, n, sum);
    memcpy(&h, sum, sizeof(h));
    return h;
}

/* Where this input stands in the list, or the free slot it would take (*at = SIZE_MAX). */
static size_t find(const struct taking *t, uint64_t hash, size_t *at)
{
    size_t s = hash & t->mask;
    for (; t->slot[s] != 0; s = (s + 1) & t->mask) {
        if (t->hash[t->slot[s] - 1] == hash) {
            *at = t->slot[s] - 1;
            return s;
        }
    }
    *at = SIZE_MAX;
    return s;
}

static void remember(struct taking *t, size_t i, uint64_t hash)
{
    size_t at;
    size_t s = find(t, hash, &at);
    t->hash[i] = hash;
    if (at == SIZE_MAX) {
        t->slot[s] = (uint32_t)i + 1;
    }
}

static void index_list(struct taking *t)
{
    struct buf b;
    size_t size = 1024;
    while (size < 2 * t->room) {
        size *= 2;
    }
    t->mask = size - 1;
    t->slot = mem_alloc_array(size, sizeof(*t->slot));
    t->hash = mem_alloc_array(t->room + 1, sizeof(*t->hash));
    buf_init(&b, (size_t)2 * TASK_MAX_TEXT);
    for (size_t i = 0; i < t->n; i++) {
        const struct task_example *x = &t->list[i];
        bool subject = x->subject != NULL && x->subject[0] != '\0';
        buf_clear(&b);
        buf_add_str(&b, subject ? x->subject : "");
        buf_add_str(&b, subject ? "\n\n" : "");
        buf_add_str(&b, x->text);
        remember(t, i, hash_of(b.data != NULL ? b.data : "", b.len));
    }
    buf_done(&b);
}

/* The decided values that the form knows; false when there is none. */
static bool take_values(const struct taking *t, const struct review_artifact *x,
                        const char **values)
{
    bool any = false;
    for (size_t k = 0; k < x->fields_len; k++) {
        int i = ladder_field_find(t->form, x->fields[k].name);
        const char *v = x->fields[k].decided;
        const struct ladder_field *f = i < 0 ? NULL : &t->form->fields[i];
        if (f == NULL || f->type != LADDER_CHOICE || v == NULL || v[0] == '\0' ||
            (!f->labels_learned && strcmp(v, LEARN_NONE) != 0 && ladder_label_find(f, v) < 0)) {
            continue;
        }
        values[i] = arena_dup_str(t->arena, v);
        any = true;
    }
    return any;
}

static bool take_outcome(void *arg, const struct review_artifact *x)
{
    struct taking *t = arg;
    struct fault gone;
    size_t at;
    buf_clear(&t->input);
    if (t->n == t->room || !arena_has_room(t->arena, 2 * (size_t)TASK_MAX_TEXT)) {
        return false;
    }
    if (audit_content_get(t->a->h.audit, t->conn, &x->task, AUDIT_PART_INPUT, &t->input, &gone) !=
            FAIL_NONE ||
        t->input.len == 0) {
        return true; /* erased, or never there */
    }
    uint64_t hash = hash_of(t->input.data, t->input.len);
    (void)find(t, hash, &at);
    const char **values =
        arena_alloc(t->arena, (t->form->fields_len + 1) * sizeof(*values));
    if (at != SIZE_MAX) {
        memcpy(values, t->list[at].values, t->form->fields_len * sizeof(*values));
    }
    if (!take_values(t, x, values)) {
        return true;
    }
    t->taken++;
    if (at != SIZE_MAX) {
        t->list[at].values = values;
        return true;
    }
    char id[TEXT_ID_SIZE];
    t->list[t->n] = (struct task_example){
        .id = arena_dup_str(t->arena, text_id_show(&x->task, "tsk", id)),
        .text = arena_dup_str(t->arena, t->input.data), .values = values};
    remember(t, t->n++, hash);
    return true;
}

enum fail learn_add_reviewed(struct api *a, const struct principal *who,
                             const struct ladder_form *form, struct arena *arena,
                             struct task_example *list, size_t *n, size_t room, size_t *taken,
                             struct fault *why)
{
    struct taking t = {.a = a, .form = form, .arena = arena, .list = list, .n = *n, .room = room};
    *taken = 0;
    t.conn = api_reader_take(a, why);
    if (t.conn == NULL) {
        return why->code;
    }
    buf_init(&t.input, TASK_MAX_TEXT + 8192);
    index_list(&t);
    enum fail f =
        review_outcomes(t.conn, who->team, form->name, 0, take_outcome, &t, why);
    api_reader_give(a, t.conn);
    buf_done(&t.input);
    mem_free(t.slot);
    mem_free(t.hash);
    *n = t.n;
    *taken = t.taken;
    return f;
}
