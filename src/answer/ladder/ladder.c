/* SPDX-License-Identifier: Apache-2.0 */
/* Names, the form's lifetime, and the rule that decides which proposal stands. */
#include "answer/ladder/ladder.h"

#include <math.h>
#include <string.h>

static const char *const rung_names[LADDER_RUNG_COUNT] = {"reuse", "rule",   "learned", "light",
                                                          "heavy", "hosted", "person"};
static const char *const type_names[LADDER_TYPE_COUNT] = {
    "choice", "line", "language", "draft", "number", "amount", "date", "id", "span"};
static const char *const class_names[LADDER_CLASS_COUNT] = {"none", "history", "provisional",
                                                            "reviewed"};
static const char *const level_names[LADDER_LEVEL_COUNT + 1] = {"propose", "assist", "auto"};
static const char *const verdict_names[LADDER_VERDICT_COUNT] = {"answered", "abstained", "skipped",
                                                                "failed"};

/* What a proposal is worth whose check failed: kept for the person to see, never automated. */
#define FAILED_CHECK_CONFIDENCE 0.1

const char *ladder_rung_name(enum ladder_rung rung)
{
    return rung < LADDER_RUNG_COUNT ? rung_names[rung] : "none";
}

static int find(const char *const *names, int n, const char *name)
{
    int i = 0;
    while (i < n && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

enum ladder_rung ladder_rung_find(const char *name)
{
    return (enum ladder_rung)find(rung_names, LADDER_RUNG_COUNT, name);
}

const char *ladder_type_name(enum ladder_type type)
{
    return type < LADDER_TYPE_COUNT ? type_names[type] : "none";
}

enum ladder_type ladder_type_find(const char *name)
{
    return (enum ladder_type)find(type_names, LADDER_TYPE_COUNT, name);
}

bool ladder_type_is_found(enum ladder_type type)
{
    return type >= LADDER_NUMBER && type <= LADDER_SPAN;
}

enum extract_kind ladder_type_kind(enum ladder_type type)
{
    static const enum extract_kind kinds[] = {EXTRACT_NUMBER, EXTRACT_AMOUNT, EXTRACT_DATE,
                                              EXTRACT_ID, EXTRACT_SPAN};
    ASSERT(ladder_type_is_found(type));
    return kinds[type - LADDER_NUMBER];
}

const char *ladder_class_name(enum ladder_class class)
{
    return class < LADDER_CLASS_COUNT ? class_names[class] : "none";
}

enum ladder_class ladder_class_find(const char *name)
{
    return (enum ladder_class)find(class_names, LADDER_CLASS_COUNT, name);
}

const char *ladder_level_name(enum ladder_level level)
{
    return level >= LADDER_PROPOSE && level < LADDER_LEVEL_COUNT ? level_names[level + 1] : "";
}

enum ladder_level ladder_level_find(const char *name)
{
    return (enum ladder_level)(find(level_names, LADDER_LEVEL_COUNT + 1, name) - 1);
}

const char *ladder_verdict_name(enum ladder_verdict v)
{
    return v < LADDER_VERDICT_COUNT ? verdict_names[v] : "none";
}

int ladder_field_find(const struct ladder_form *f, const char *name)
{
    for (size_t i = 0; i < f->fields_len; i++) {
        if (strcmp(f->fields[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int ladder_label_find(const struct ladder_field *field, const char *label)
{
    for (size_t i = 0; i < field->labels_len; i++) {
        if (strcmp(field->labels[i].name, label) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void ladder_climb_begin(struct ladder_climb *c, const struct ladder_form *form, struct arena *arena)
{
    memset(c, 0, sizeof(*c));
    c->form = form;
    c->arena = arena;
}

static bool checks_pass(const struct ladder_proposal *p)
{
    for (size_t i = 0; i < p->checks_len; i++) {
        if (!p->checks[i].ok) {
            return false;
        }
    }
    return true;
}

bool ladder_offer(struct ladder_climb *c, size_t field, const struct ladder_proposal *p)
{
    ASSERT(field < c->form->fields_len && p->value != NULL);
    struct ladder_proposal next = *p;
    const struct ladder_evidence *e = &c->form->evidence[field][p->rung];
    bool own_word = p->rung == LADDER_REUSE || p->rung == LADDER_RULE || p->rung == LADDER_PERSON;
    struct ladder_signals signals = ladder_signals_of(c, field, p);
    next.set = true;
    if (!own_word) {
        next.confidence = ladder_calibrate(e, &signals);
    }
    if (!isfinite(p->raw) || !isfinite(next.confidence)) {
        next.raw = next.confidence = 0; /* compared with nothing, it would push out what is held */
    }
    c->heard[field][p->rung] = (struct ladder_heard){.value = p->value, .signals = signals,
                                                     .confidence = next.confidence,
                                                     .passed = checks_pass(p)};
    if (!checks_pass(p) && next.confidence > FAILED_CHECK_CONFIDENCE) {
        next.confidence = FAILED_CHECK_CONFIDENCE;
    }
    bool certified = own_word ? next.confidence >= 1 - c->form->fields[field].target_error
                              : e->n > 0 && e->class >= c->form->accepts &&
                                    next.confidence + 1e-6 >= e->threshold;
    next.closed = certified && checks_pass(p) && c->form->fields[field].level != LADDER_PROPOSE;
    if (next.closed && !own_word) {
        next.class = e->class;
        next.certificate = e->certificate[0] != '\0' ? e->certificate : NULL;
    }
    struct ladder_proposal *held = &c->held[field];
    /* What a certificate answers for beats what none does, however sure that sounds. */
    if (held->set &&
        (held->closed || (!next.closed && next.confidence <= held->confidence))) {
        return false;
    }
    *held = next;
    return true;
}

bool ladder_field_is_open(const struct ladder_climb *c, size_t field)
{
    return !c->held[field].closed;
}

bool ladder_needs_person(const struct ladder_climb *c, size_t field)
{
    enum ladder_type type = c->form->fields[field].type;
    bool waits = type != LADDER_LINE && type != LADDER_DRAFT && !c->form->fields[field].aid;
    return waits && !c->held[field].closed;
}

bool ladder_is_auto(const struct ladder_climb *c)
{
    size_t decided = 0;
    for (size_t i = 0; i < c->form->fields_len; i++) {
        enum ladder_type type = c->form->fields[i].type;
        bool counts = type != LADDER_LINE && type != LADDER_DRAFT;
        if (type == LADDER_DRAFT ||
            (counts && (!c->held[i].closed || c->form->fields[i].level != LADDER_AUTO))) {
            return false;
        }
        decided += counts;
    }
    return decided > 0;
}

size_t ladder_open_count(const struct ladder_climb *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->form->fields_len; i++) {
        n += ladder_needs_person(c, i);
    }
    return n;
}

/* Could this rung's answer on this field stand? Without evidence it only proposes where nothing is
   held; with evidence it must be more often right than the held answer is likely to be. A line
   copied from the middle of a text may be bettered by a written one, whose words are checked; a
   subject that a person wrote may not. */
bool ladder_could_improve(const struct ladder_climb *c, size_t i, enum ladder_rung rung)
{
    const struct ladder_proposal *held = &c->held[i];
    const struct ladder_evidence *e = &c->form->evidence[i][rung];
    if (held->closed || c->form->fields[i].type == LADDER_DRAFT ||
        (c->form->fields[i].aid && rung >= LADDER_LIGHT)) {
        return false;
    }
    if (c->form->fields[i].type == LADDER_LINE) {
        return !held->set || (held->rung == LADDER_RULE && held->confidence < LADDER_UNPROVEN);
    }
    if (rung == LADDER_HOSTED && e->n == 0) {
        return true; /* asked by an explicit rule alone: it pilots, and stands where it is surer */
    }
    return !held->set || (e->n > 0 && e->accuracy > held->confidence);
}

bool ladder_wants(const struct ladder_climb *c, enum ladder_rung rung, const char **why_not)
{
    bool any_open = false;
    if ((c->form->skip & (1u << rung)) != 0) {
        *why_not = "measured: at equal error the climb costs less without it";
        return false;
    }
    for (size_t i = 0; i < c->form->fields_len; i++) {
        any_open = any_open || ladder_needs_person(c, i);
        if (ladder_could_improve(c, i, rung)) {
            return true;
        }
    }
    *why_not = any_open ? "no evidence that it beats what is held" : "every field is closed";
    return false;
}

void ladder_step_add(struct ladder_climb *c, const struct ladder_step *step)
{
    ASSERT(c->steps_len < LADDER_MAX_STEPS);
    c->steps[c->steps_len++] = *step;
}
