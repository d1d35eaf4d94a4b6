/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values found in the text: what the learned rung or a model says becomes a proposal only as a
 * stretch of the input, read again by code. A value that does not stand there is not proposed at
 * all.
 *
 * Owns nothing: values live in the task's arena. Threads: core. A long text takes extract_predict
 * some 20 ms a field; EXTRACT_MAX_TEXT bounds it.
 */
#include <string.h>
#include <time.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"

struct extract_scene found_scene(const struct task *t)
{
    struct extract_scene scene = {.now = t->now};
    struct tm tm;
    if (t->reproducible) {
        return scene; /* the same everywhere: UTC */
    }
    scene.now = t->created_at / 1000000;
    time_t at = (time_t)scene.now;
    if (localtime_r(&at, &tm) != NULL) {
        scene.zone_minutes = (int)(tm.tm_gmtoff / 60);
    }
    return scene;
}

/* The checks of a value that stands at [at, at + len): it says that, and is within bounds. */
static void check(struct task *t, size_t i, struct ladder_proposal *p)
{
    const struct ladder_field *f = &t->form->fields[i];
    enum extract_kind kind = ladder_type_kind(f->type);
    struct extract_scene scene = found_scene(t);
    bool stands = extract_verify(kind, t->input, t->input_len, &scene, (uint32_t)p->at,
                                 (uint32_t)p->len, p->value);
    p->checks[p->checks_len++] = (struct ladder_check){
        "stands_in_text", stands, stands ? NULL : "the text does not say this there"};
    if (f->min != NULL || f->max != NULL) {
        bool inside = extract_in_bounds(kind, p->value, f->min, f->max);
        const char *note = inside ? NULL
                                  : arena_printf(t->arena, "outside %s to %s",
                                                 f->min != NULL ? f->min : "anything",
                                                 f->max != NULL ? f->max : "anything");
        p->checks[p->checks_len++] = (struct ladder_check){"bounds", inside, note};
    }
}

bool found_offer(struct task *t, size_t i, const struct extract_head *head)
{
    struct extract_scene scene = found_scene(t);
    struct extract_answer a;
    extract_predict(head, t->input, t->input_len, &scene, &a);
    struct ladder_proposal p = {.rung = LADDER_LEARNED, .raw = a.confidence,
                                .value = arena_dup_str(t->arena, a.top[0].value),
                                .at = (int)a.top[0].at, .len = (int)a.top[0].len};
    for (size_t k = 0; k < a.n_top && k < LADDER_MAX_CANDIDATES; k++) {
        p.candidates[p.candidates_len++] = (struct ladder_candidate){
            arena_dup_str(t->arena, a.top[k].value), a.top[k].p};
    }
    extract_answer_done(&a);
    if (p.len > 0) {
        check(t, i, &p);
        if (!p.checks[0].ok) {
            return false;
        }
    }
    return ladder_offer(&t->climb, i, &p);
}

static bool says_none(const char *said)
{
    static const char *const none[] = {"", "-", "none", "None", "NONE", "n/a", "N/A", "not given",
                                       "unknown", "keine", "null"};
    size_t k = 0;
    while (k < COUNT_OF(none) && strcmp(said, none[k]) != 0) {
        k++;
    }
    return k < COUNT_OF(none);
}

/* The value that a model's words mean: their own normal form, or that of the place where the input
   says them. */
static const char *value_of(struct task *t, enum extract_kind kind, const char *said,
                            const struct extract_scene *scene)
{
    struct extract_found found[8];
    if (kind == EXTRACT_ID || kind == EXTRACT_SPAN) {
        return said;
    }
    size_t n = extract_find(said, strlen(said), scene, found, COUNT_OF(found), NULL);
    for (size_t k = 0; k < n; k++) {
        if (extract_suits(kind, found[k].type)) {
            return arena_dup_str(t->arena, found[k].normal);
        }
    }
    return said;
}

bool found_offer_text(struct task *t, size_t i, enum ladder_rung rung, const char *said, double raw)
{
    const struct ladder_field *f = &t->form->fields[i];
    enum extract_kind kind = ladder_type_kind(f->type);
    struct extract_scene scene = found_scene(t);
    char *words = text_trim(arena_dup_str(t->arena, said));
    struct ladder_proposal p = {.rung = rung, .raw = raw, .value = ""};
    uint32_t at = 0, len = 0;
    if (says_none(words)) {
        return ladder_offer(&t->climb, i, &p);
    }
    p.value = value_of(t, kind, words, &scene);
    if (!extract_locate(kind, t->input, t->input_len, &scene, p.value, &at, &len)) {
        t->refused = arena_printf(t->arena, "%s refused (not in the text): %.80s", f->name, words);
        return false;
    }
    p.at = (int)at;
    p.len = (int)len;
    if (kind == EXTRACT_ID || kind == EXTRACT_SPAN) {
        p.value = arena_dup_strn(t->arena, t->input + at, len);
    }
    check(t, i, &p);
    return p.checks[0].ok && ladder_offer(&t->climb, i, &p);
}

bool found_still_stands(struct task *t, size_t i, struct ladder_proposal *p)
{
    enum ladder_type type = t->form->fields[i].type;
    struct extract_scene scene = found_scene(t);
    uint32_t at = 0, len = 0;
    if (!ladder_type_is_found(type) || p->value[0] == '\0') {
        return true;
    }
    enum extract_kind kind = ladder_type_kind(type);
    if (p->len > 0) {
        return extract_verify(kind, t->input, t->input_len, &scene, (uint32_t)p->at,
                              (uint32_t)p->len, p->value);
    }
    bool stands = extract_locate(kind, t->input, t->input_len, &scene, p->value, &at, &len);
    p->at = (int)at;
    p->len = (int)len;
    return stands;
}
