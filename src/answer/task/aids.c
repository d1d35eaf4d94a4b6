/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aids: what code alone says of fields that help who reads them. The mood comes from a lexicon with
 * a confidence; a value is taken where the text has exactly one of its kind (and of the field's
 * shape), and only proposed where it has several. Nothing here is ever a guess shown as a fact.
 *
 * Owns nothing: values live in the task's arena. Threads: core.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define FOUND_MOST 64
#define ID_DIGITS 4
#define ONE_CONFIDENCE 0.9      /* one of its kind stands there: what else should be meant */
#define SEVERAL_CONFIDENCE 0.5

/* The shape of one: digits stand for any digit, letters for themselves whatever their case. */
static bool has_shape(const char *like, const char *s, size_t n)
{
    if (strlen(like) != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        char a = like[i] >= 'A' && like[i] <= 'Z' ? (char)(like[i] + 32) : like[i];
        char b = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
        if (a >= '0' && a <= '9' ? !digit : a != b) {
            return false;
        }
    }
    return true;
}

static void add_value(struct task *t, struct ladder_proposal *p, const struct extract_found *f)
{
    const char *value = f->normal[0] != '\0' ? arena_dup_str(t->arena, f->normal)
                                             : arena_dup_strn(t->arena, t->input + f->at, f->len);
    for (size_t i = 0; i < p->candidates_len; i++) {
        if (strcmp(p->candidates[i].value, value) == 0) {
            return;
        }
    }
    if (p->candidates_len == 0) {
        p->value = value;
        p->at = (int)f->at;
        p->len = (int)f->len;
    }
    if (p->candidates_len < LADDER_MAX_CANDIDATES) {
        p->candidates[p->candidates_len++] = (struct ladder_candidate){value, 0};
    }
}

/* A bare number is no amount, and "Auto 5" no reference. */
static bool suits(const struct task *t, const struct ladder_field *f, enum extract_kind kind,
                  const struct extract_found *found)
{
    const char *s = t->input + found->at;
    size_t digits = 0;
    if (kind == EXTRACT_AMOUNT) {
        return found->type == EXTRACT_TYPE_AMOUNT;
    }
    if (kind != EXTRACT_ID) {
        return extract_suits(kind, found->type);
    }
    for (size_t i = 0; i < found->len; i++) {
        digits += s[i] >= '0' && s[i] <= '9';
    }
    return found->type == EXTRACT_TYPE_ID &&
           (f->pattern != NULL ? has_shape(f->pattern, s, found->len) : digits >= ID_DIGITS);
}

static bool offer_found(struct task *t, size_t i)
{
    const struct ladder_field *f = &t->form->fields[i];
    enum extract_kind kind = ladder_type_kind(f->type);
    struct extract_found *found = arena_alloc(t->arena, FOUND_MOST * sizeof(*found));
    struct extract_scene scene = found_scene(t);
    struct ladder_proposal p = {.rung = LADDER_RULE, .value = ""};
    size_t n = extract_find(t->input, t->input_len, &scene, found, FOUND_MOST, NULL);
    size_t end = 0; /* of what was looked at: what stands inside it is a part of it */
    for (size_t k = 0; k < n; k++) {
        bool inside = found[k].at + found[k].len <= end;
        end = inside ? end : found[k].at + found[k].len;
        if (!inside && suits(t, f, kind, &found[k])) {
            add_value(t, &p, &found[k]);
        }
    }
    p.confidence = p.candidates_len > 1 ? SEVERAL_CONFIDENCE : ONE_CONFIDENCE;
    for (size_t k = 0; k < p.candidates_len; k++) {
        p.candidates[k].p = p.candidates_len > 1 ? 1.0 / (double)p.candidates_len : p.confidence;
    }
    p.raw = p.confidence;
    if (p.len > 0) {
        bool stands = extract_verify(kind, t->input, t->input_len, &scene, (uint32_t)p.at,
                                     (uint32_t)p.len, p.value);
        p.checks[p.checks_len++] = (struct ladder_check){
            "stands_in_text", stands, stands ? NULL : "the text does not say this there"};
    }
    return ladder_offer(&t->climb, i, &p);
}

static bool offer_mood(struct task *t, size_t i)
{
    struct ladder_proposal p = {.rung = LADDER_RULE};
    if (t->mood == NULL) {
        t->mood = arena_alloc(t->arena, sizeof(*t->mood));
        mood_read(t->input, t->input_len, knowledge_lang_from_code(t->lang), t->mood);
    }
    p.value = mood_name(t->mood->mood);
    p.confidence = p.raw = t->mood->p[t->mood->mood];
    for (size_t k = 0; k < MOOD_COUNT; k++) {
        size_t at = p.candidates_len++;
        for (; at > 0 && p.candidates[at - 1].p < t->mood->p[k]; at--) {
            p.candidates[at] = p.candidates[at - 1];
        }
        p.candidates[at] = (struct ladder_candidate){mood_name((enum mood)k), t->mood->p[k]};
    }
    return ladder_offer(&t->climb, i, &p);
}

bool aids_offer(struct task *t, size_t i)
{
    const struct ladder_field *f = &t->form->fields[i];
    return f->mood                         ? offer_mood(t, i)
           : ladder_type_is_found(f->type) ? offer_found(t, i)
                                           : false;
}

void aids_write_level(struct jn_writer *w, const struct task *t, size_t i)
{
    const struct ladder_proposal *p = &t->climb.held[i];
    if (t->form->fields[i].aid) {
        jn_kv_bool(w, "aid", true);
    }
    if (!t->form->fields[i].mood || !p->set) {
        return;
    }
    jn_kv_str(w, "level", mood_level_name(mood_level_of(p->confidence)));
    jn_key(w, "words");
    jn_array_begin(w);
    for (size_t k = 0; t->mood != NULL && p->rung == LADDER_RULE && k < t->mood->words_len; k++) {
        jn_put_strn(w, t->input + t->mood->words[k].at, t->mood->words[k].len);
    }
    jn_array_end(w);
}
