/* SPDX-License-Identifier: Apache-2.0 */
/* From open fields to a FORM ask, and back: proposals with their probabilities and checks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define LIST_BYTES 4096 /* of one field's labels in a prompt */

static bool asks_for(const struct task *t, size_t i, enum ladder_rung rung)
{
    const struct ladder_field *f = &t->form->fields[i];
    if (f->type == LADDER_LINE) {
        return !t->choices_only && ladder_could_improve(&t->climb, i, rung);
    }
    if (ladder_type_is_found(f->type)) {
        return ladder_could_improve(&t->climb, i, rung);
    }
    /* Learned labels may be more than a form can score: then only the head answers. */
    return f->type == LADDER_CHOICE && f->labels_len >= 2 && f->labels_len <= FORM_LABELS_MAX &&
           ladder_could_improve(&t->climb, i, rung);
}

static void add_literal(struct form_plan *plan, const char *text)
{
    struct form_piece piece = {.kind = FORM_LITERAL, .text = text};
    ASSERT(form_plan_add(plan, &piece, NULL) == FAIL_NONE);
}

static void add_hole(struct task *t, size_t i, const char **names)
{
    static const char *const line_end[] = {"\n"};
    const struct ladder_field *f = &t->form->fields[i];
    struct form_piece piece = {.name = f->name};
    if (f->type == LADDER_CHOICE) {
        for (size_t k = 0; k < f->labels_len; k++) {
            names[k] = f->labels[k].name;
        }
        piece.kind = FORM_CHOICE;
        piece.labels = names;
        piece.n_labels = f->labels_len;
        piece.gamma = 0.5;
        piece.temperature = 1;
    } else {
        piece.kind = FORM_TEXT;
        piece.max_chars = (unsigned)f->max_chars;
        piece.stops = line_end;
        piece.n_stops = 1;
        piece.single_line = true;
    }
    ASSERT(form_plan_add(t->plan, &piece, NULL) == FAIL_NONE);
    t->plan_field[t->plan_holes++] = (int)i;
}

/* The labels, which scoring alone does not tell a model until it has read the text. A list that is
   too long is left out whole: a part of it would speak for the labels that are in it. */
static void add_labels(struct buf *b, const struct ladder_field *f)
{
    size_t names = 0, all = 0;
    bool described = false;
    for (size_t k = 0; k < f->labels_len; k++) {
        const struct ladder_label *l = &f->labels[k];
        names += strlen(l->name) + 2;
        all += l->describe != NULL ? strlen(l->describe) + 2 : 0;
        described = described || l->describe != NULL;
    }
    if (names > LIST_BYTES) {
        return;
    }
    if (!described || names + all > LIST_BYTES) {
        buf_add_str(b, "One of: ");
        for (size_t k = 0; k < f->labels_len; k++) {
            buf_printf(b, "%s%s", k > 0 ? ", " : "", f->labels[k].name);
        }
        buf_add_str(b, "\n");
        return;
    }
    for (size_t k = 0; k < f->labels_len; k++) {
        const struct ladder_label *l = &f->labels[k];
        buf_printf(b, "- %s%s%s\n", l->name, l->describe != NULL ? ": " : "",
                   l->describe != NULL ? l->describe : "");
    }
}

/* The same bytes for every task, so that it is decoded once and forked. */
void form_ask_prefix(const struct ladder_form *form, enum ladder_rung rung, struct buf *b)
{
    for (size_t i = 0; i < form->fields_len; i++) {
        const struct ladder_field *f = &form->fields[i];
        if (f->aid) {
            continue; /* code reads it */
        }
        if (ladder_type_is_found(f->type)) {
            buf_printf(b, "%s: %s (%s, copied from the text, or none)\n", f->name,
                       f->instruct != NULL ? f->instruct : "what the text says",
                       ladder_type_name(f->type));
            continue;
        }
        if (f->type != LADDER_CHOICE && f->type != LADDER_LINE) {
            continue;
        }
        buf_printf(b, "%s: %s\n", f->name, f->instruct != NULL ? f->instruct : "choose one");
        /* A small model loses itself in a list, and pays for it at each step. */
        if (f->type == LADDER_CHOICE && rung == LADDER_HEAVY) {
            add_labels(b, f);
        }
    }
    buf_printf(b, "\n%s", form->prefix != NULL ? form->prefix : "");
}

bool form_ask_is_released(const struct task *t)
{
    const struct entry *e = desk_entry_find(t->desk, t->form->name);
    return e != NULL && e->form == t->form;
}

bool form_ask_build(struct task *t, enum ladder_rung rung, struct buf *body)
{
    const char **names = arena_alloc(t->arena, LADDER_MAX_LABELS * sizeof(*names));
    form_plan_free(t->plan);
    t->plan = form_plan_new();
    t->plan_holes = 0;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (asks_for(t, i, rung)) {
            /* A space before free text belongs to its first token: written by us, it would leave
               the model with a beginning it has hardly ever seen. */
            bool line = t->form->fields[i].type != LADDER_CHOICE;
            add_literal(t->plan, arena_printf(t->arena, "%s%s:%s", t->plan_holes > 0 ? "\n" : "",
                                              t->form->fields[i].name, line ? "" : " "));
            add_hole(t, i, names);
        }
    }
    if (t->plan_holes == 0) {
        return false;
    }
    struct jn_writer w;
    struct buf prefix;
    char domain[128];
    size_t len = t->input_len;
    if (len > TASK_MODEL_TEXT) {
        len = text_utf8_cut(t->input, TASK_MODEL_TEXT);
    }
    buf_init(&prefix, 128 * 1024);
    form_ask_prefix(t->form, rung, &prefix);
    desk_domain(&t->who, t->form->dataset, domain, sizeof(domain));
    jn_begin(&w, body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "domain", domain);
    jn_kv_str(&w, "class", ipc_class_name(t->class));
    if (t->form->system != NULL) {
        jn_kv_str(&w, "system", t->form->system);
    }
    jn_kv_str(&w, "prefix", prefix.data);
    jn_key(&w, "input");
    jn_put_strn(&w, t->input, len);
    jn_kv_str(&w, "suffix", t->form->suffix != NULL ? t->form->suffix : "");
    jn_key(&w, "plan");
    form_plan_write(&w, t->plan);
    jn_kv_int(&w, "now", t->now);
    jn_kv_bool(&w, "released", form_ask_is_released(t));
    if (t->reproducible) {
        jn_kv_bool(&w, "reproducible", true);
        jn_kv_int(&w, "seed", t->seed);
    }
    jn_object_end(&w);
    bool whole = !prefix.overflow; /* a prompt that was cut is not the released one */
    buf_done(&prefix);
    return whole && !body->overflow;
}

static void sort_candidates(struct ladder_candidate *all, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct ladder_candidate c = all[i];
        size_t k = i;
        while (k > 0 && all[k - 1].p < c.p) {
            all[k] = all[k - 1];
            k--;
        }
        all[k] = c;
    }
}

static void take_choice(struct task *t, size_t i, enum ladder_rung rung, const struct form_field *f)
{
    const struct ladder_field *field = &t->form->fields[i];
    struct ladder_candidate *all = arena_alloc(t->arena, field->labels_len * sizeof(*all));
    for (size_t k = 0; k < field->labels_len && k < f->n_probs; k++) {
        all[k] = (struct ladder_candidate){field->labels[k].name, f->probs[k]};
    }
    sort_candidates(all, field->labels_len);
    struct ladder_proposal p = {.rung = rung, .value = arena_dup_str(t->arena, f->value),
                                .raw = all[0].p};
    for (size_t k = 0; k < field->labels_len && k < LADDER_MAX_CANDIDATES; k++) {
        p.candidates[p.candidates_len++] = all[k];
    }
    heads_check_language(t, i, &p);
    ladder_offer(&t->climb, i, &p);
}

/* Small models like to give the question back: most words of the line are its instruction's. */
static bool echoes(const char *value, const char *instruct)
{
    struct knowledge_words said, asked;
    size_t same = 0, content = 0;
    knowledge_words_init(&said, value, strlen(value), KNOWLEDGE_LANG_EN);
    knowledge_words_init(&asked, instruct, strlen(instruct), KNOWLEDGE_LANG_EN);
    for (size_t i = 0; i < said.count; i++) {
        for (size_t k = 0; k < asked.count && !said.items[i].stop; k++) {
            if (strcmp(said.items[i].stem, asked.items[k].stem) == 0) {
                same++;
                break;
            }
        }
        content += !said.items[i].stop;
    }
    knowledge_words_done(&said);
    knowledge_words_done(&asked);
    return content > 0 && 2 * same >= content;
}

bool form_ask_offer_line(struct task *t, size_t i, enum ladder_rung rung, const char *said)
{
    char *value = text_trim(arena_dup_str(t->arena, said));
    struct check_result r = check_summary(value, strlen(value), t->input, t->input_len,
                                          (size_t)t->form->fields[i].max_chars);
    const char *instruct = t->form->fields[i].instruct;
    if (r.ok && instruct != NULL && echoes(value, instruct)) {
        r = (struct check_result){.ok = false, .reason = CHECK_REASON_INSTRUCTION};
    }
    struct ladder_proposal p = {.rung = rung, .value = value, .raw = 0.6};
    p.checks[0] = (struct ladder_check){
        "summary", r.ok,
        r.ok ? NULL
             : arena_printf(t->arena, "%s%s%s", check_reason_text(r.reason),
                            r.detail[0] != '\0' ? ": " : "", r.detail)};
    p.checks_len = 1;
    if (!r.ok) {
        t->refused = arena_printf(t->arena, "%s refused (%s%s%s): %.120s", t->form->fields[i].name,
                                  check_reason_name(r.reason), r.detail[0] != '\0' ? " " : "",
                                  r.detail, value);
    }
    return value[0] != '\0' && ladder_offer(&t->climb, i, &p);
}

void form_ask_take(struct task *t, enum ladder_rung rung, const struct form_result *result)
{
    for (size_t h = 0; h < t->plan_holes && h < result->n_fields; h++) {
        size_t i = (size_t)t->plan_field[h];
        if (ladder_type_is_found(t->form->fields[i].type)) {
            (void)found_offer_text(t, i, rung, result->fields[h].value,
                                   exp(result->fields[h].logprob));
        } else if (t->form->fields[i].type == LADDER_CHOICE) {
            take_choice(t, i, rung, &result->fields[h]);
        } else {
            (void)form_ask_offer_line(t, i, rung, result->fields[h].value);
        }
    }
}
