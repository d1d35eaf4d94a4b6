/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ladder: what a form is, what a rung proposes, and which proposal stands.
 *
 * A climb holds one proposal a field. Rungs run in order; each gets all open fields at once and
 * returns proposals. A proposal replaces another only with a higher calibrated confidence on that
 * field, so a climb never gets worse. A field is closed when its confidence reaches the field's
 * threshold for that rung; what is still open at the end goes to a person, best proposal attached.
 *
 * Pure data and rules: no I/O, no clock, no threads. answer/task runs the climb.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/extract/extract.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"

#define LADDER_MAX_FIELDS 16
#define LADDER_MAX_LABELS 256
#define LADDER_MAX_CANDIDATES 8
#define LADDER_MAX_CHECKS 8
#define LADDER_MAX_STEPS 16
#define LADDER_UNPROVEN 0.5 /* the most that a model without evidence may claim */
#define LADDER_UNCERTIFIED 2.0 /* a threshold no confidence reaches: propose only */

/* In the order of the climb. `rule` is code alone: language detection, sentences copied, not
   written. `hosted` is a server that is not ours. */
enum ladder_rung {
    LADDER_REUSE,
    LADDER_RULE,
    LADDER_LEARNED,
    LADDER_LIGHT,
    LADDER_HEAVY,
    LADDER_HOSTED,
    LADDER_PERSON,
    LADDER_RUNG_COUNT
};

/* The values of number to span are found in the text, never made up: "" says that it has none. */
enum ladder_type {
    LADDER_CHOICE,
    LADDER_LINE,
    LADDER_LANGUAGE,
    LADDER_DRAFT,
    LADDER_NUMBER, /* a plain decimal: "12", "-3.5" */
    LADDER_AMOUNT, /* a decimal and an ISO 4217 code, where the text has one: "12.50 EUR" */
    LADDER_DATE,   /* "2026-11-22" */
    LADDER_ID,     /* as it stands in the text */
    LADDER_SPAN,   /* as it stands in the text */
    LADDER_TYPE_COUNT
};

/* What a threshold was certified on; a later one says more. */
enum ladder_class {
    LADDER_UNMEASURED,
    LADDER_HISTORY,     /* what people decided in the past, nobody reviewed it */
    LADDER_PROVISIONAL, /* out-of-fold scores, until the audit sample confirms them */
    LADDER_REVIEWED,    /* outcomes that a person confirmed */
    LADDER_CLASS_COUNT
};

/* How far a field may go without a person (answer/autonomy); a later one is further. Zero is what
   holds where nobody said anything: certificates alone decide. */
enum ladder_level {
    LADDER_PROPOSE = -1, /* a person decides every answer */
    /* what is certified is answered alone; unsure ones and a sample go to a person */
    LADDER_ASSIST,
    LADDER_AUTO,         /* and an artifact of such answers alone is delivered without waiting */
    LADDER_LEVEL_COUNT
};

const char *ladder_rung_name(enum ladder_rung rung); /* "reuse", "rule", "learned", ... */
enum ladder_rung ladder_rung_find(const char *name);  /* LADDER_RUNG_COUNT when unknown */
const char *ladder_type_name(enum ladder_type type);  /* "choice", "line", "language", "draft" */
enum ladder_type ladder_type_find(const char *name);
/* Its value is found in the text: number, amount, date, id, span. */
bool ladder_type_is_found(enum ladder_type type);
/* What answer/extract calls a found type; only for one. */
enum extract_kind ladder_type_kind(enum ladder_type type);
const char *ladder_class_name(enum ladder_class class); /* "none", "history", "provisional", ... */
enum ladder_class ladder_class_find(const char *name);  /* LADDER_CLASS_COUNT when unknown */
const char *ladder_level_name(enum ladder_level level); /* "propose", "assist", "auto" */
enum ladder_level ladder_level_find(const char *name);  /* LADDER_LEVEL_COUNT when unknown */

struct ladder_label {
    char *name;
    char *describe; /* one line for prompts, may be NULL */
};

/* One field of a form, as the workflow defines it. */
struct ladder_field {
    char name[48];
    enum ladder_type type;
    enum ladder_level level; /* of answer/autonomy; a form as read has its own */
    struct ladder_label *labels; /* choice */
    size_t labels_len;
    int max_chars;         /* line */
    double target_error;   /* the share of wrong answers its owner accepts, 0..1 */
    char *instruct;        /* what the model is told about this field, may be NULL */
    char *pattern;         /* id: one of them: digits stand for any digit; may be NULL */
    char *min, *max;       /* number, amount, date: bounds as the value is written, may be NULL */
    bool labels_learned;   /* labels are those of the examples it learned from */
    bool aid;  /* helps who reads it: an open one waits for nobody, and no model is asked for it */
    bool mood; /* a choice of negative, neutral and positive, first read by answer/mood */
};

/* The house's frame for replies in one language. {name}, {desk} and {company} are filled in. */
struct ladder_frame {
    char lang[8];        /* "en", "de" */
    char *greeting;      /* with the customer's name: "Hello {name}," */
    char *greeting_plain;
    char *opening;       /* one sentence before the answer, may be NULL */
    char *sources;       /* before the list of articles: "More on this:", may be NULL */
    char *closing;       /* one sentence after the answer, may be NULL */
    char *sign_off;
};
#define LADDER_MAX_FRAMES 8
enum ladder_address { LADDER_ADDRESS_ANY, LADDER_ADDRESS_DU, LADDER_ADDRESS_SIE };
/* ANY: first names in English, the whole name in German. */
enum ladder_called { LADDER_CALLED_ANY, LADDER_CALLED_FIRST, LADDER_CALLED_FULL };
#define LADDER_MAX_STAKES 64

/* Evidence that lets a rung answer a field by itself; absent (n == 0) means: propose only. */
struct ladder_evidence {
    int n;             /* reviewed or historical examples measured */
    double accuracy;   /* share right on them */
    /* smallest calibrated confidence that is certified; LADDER_UNCERTIFIED: none */
    double threshold;
    double coverage;   /* share of those examples at or above the threshold */
    /* calibrated = 1 / (1 + exp(-(slope * logit(raw) + by_margin * margin + by_agree * agree +
       offset))): Platt's, with two more signals where they predicted held-out outcomes better */
    double slope, offset, by_margin, by_agree;
    enum ladder_class class; /* of the threshold; LADDER_UNMEASURED when nothing is certified */
    char certificate[33];    /* answer/certify's id of it, '' when it has none */
    double audit_rate;       /* share of its answers that a person looks at, 0..1 */
};

/*
 * A form: the whole definition a task needs, made by work/workflow from YAML, immutable and
 * reference-counted, so that a task keeps the one it started with.
 */
struct ladder_form {
    int refs; /* atomic */
    char name[64];
    char release[65];     /* sha256 hex of the definition */
    char *title;
    char *dataset;        /* of articles to reply from, or NULL */
    char *system;         /* released prompt text */
    char *prefix;         /* text before the input, released */
    char *suffix;         /* text after it */
    struct ladder_field fields[LADDER_MAX_FIELDS];
    size_t fields_len;
    struct ladder_evidence evidence[LADDER_MAX_FIELDS][LADDER_RUNG_COUNT];
    char *source_yaml;    /* the definition as written */
    struct ladder_frame frames[LADDER_MAX_FRAMES];
    size_t frames_len;
    char *always_person[LADDER_MAX_STAKES]; /* folded phrases that no confidence overrides */
    size_t always_person_len;
    /* How the desk writes: see workflow definitions, `desk`. */
    enum ladder_address address; /* form of address in German */
    enum ladder_called called;   /* how customers are called */
    char *agents;         /* "name=shown\n" a line: who signs, NULL: the desk alone */
    bool related;         /* looks for duplicates and related tickets of the team */
    bool reuse_documents; /* read fields of repeated documents where they stood before */
    bool reuse_semantic;  /* answer a request as another one that says the same */
    unsigned stakes;     /* that a person decides: bits 1u << enum route_stake */
    double refund_above; /* the limit of that stake, in the text's own currency */
    bool rewrite;         /* let the heavy model rewrite composed drafts in the background */
    enum secrecy label;  /* the least label of its tasks; internal unless it says another */
    unsigned needs;      /* of a model: bits 1u << enum route_need */
    unsigned skip;              /* model rungs that ladder_choose found not worth asking, as bits */
    char *choice;               /* ladder_choose's table as JSON, may be NULL */
    enum ladder_level level;    /* of fields that no release of autonomy names: propose or assist */
    enum ladder_class accepts;  /* the least class that lets a rung answer alone: history unless it
                                   says another */
};

struct ladder_form *ladder_form_ref(struct ladder_form *f);
void ladder_form_unref(struct ladder_form *f); /* accepts NULL */
/* A deep copy with one reference, to be changed before it is shared. */
struct ladder_form *ladder_form_dup(const struct ladder_form *f);
/* The first always_person phrase that stands in text at word borders, or NULL. Case is ignored in
   ASCII and Latin-1; any white space, a wrapped line too, is one space; what cannot be seen (soft
   hyphens, zero-width characters) does not hide a phrase. */
const char *ladder_stake_find(const struct ladder_form *f, const char *text);
/* Replaces a field's labels by copies of these. */
void ladder_labels_set(struct ladder_field *field, const char *const *names, size_t n);
/* Index of the field, or -1. */
int ladder_field_find(const struct ladder_form *f, const char *name);
int ladder_label_find(const struct ladder_field *field, const char *label);

struct ladder_candidate {
    const char *value; /* lives as long as the climb's arena */
    double p;
};

struct ladder_check {
    const char *name; /* static: "language", "summary_names", "citation" */
    bool ok;
    const char *note; /* arena, may be NULL */
};

struct ladder_proposal {
    bool set;
    const char *value; /* arena */
    double confidence; /* calibrated, 0..1 */
    double raw;        /* what the rung itself said */
    enum ladder_rung rung;
    bool closed;       /* confidence reached the certified threshold */
    bool audited;      /* drawn for the audit sample: a person looks at it though it is closed */
    /* of a found value: where it stands in the input, in bytes; len 0: nowhere */
    int at, len;
    const char *reused_from; /* arena: the task or template it was reused from, NULL: not reused */
    const char *reused_how;  /* static: "exact", "template", "semantic" */
    const char *certificate; /* of the threshold that closed it, NULL: none; lives with the form */
    enum ladder_class class; /* of that threshold */
    struct ladder_candidate candidates[LADDER_MAX_CANDIDATES];
    size_t candidates_len;
    struct ladder_check checks[LADDER_MAX_CHECKS];
    size_t checks_len;
};

enum ladder_verdict {
    LADDER_ANSWERED,  /* at least one field closed or improved */
    LADDER_ABSTAINED, /* nothing better than what was held */
    LADDER_SKIPPED,   /* not admitted; note says why */
    LADDER_FAILED,
    LADDER_VERDICT_COUNT
};
const char *ladder_verdict_name(enum ladder_verdict v);

/* What tells how sure a rung's answer is. */
struct ladder_signals {
    double raw;    /* its own probability, 0..1 */
    double margin; /* to its second candidate, 0..1; 0 when there is none */
    double agree;  /* the learned rung's confidence if it said the same, its negative if it said
                      another value, 0 if it said nothing */
};

/* What a rung said of a field, whether or not it stands. */
struct ladder_heard {
    const char *value; /* arena; NULL: nothing */
    double confidence; /* calibrated, before checks; what certificates compare */
    struct ladder_signals signals;
    bool passed;       /* its checks */
};

/* One step of the climb, as recorded. */
struct ladder_step {
    enum ladder_rung rung;
    enum ladder_verdict verdict;
    double ms;
    int tokens_in, tokens_cached, tokens_out;
    const char *note; /* arena or static, may be NULL */
    const char *by;   /* arena or static: hosted's provider and model, NULL otherwise */
    int attempts;     /* hosted: calls made, 0 otherwise */
    int64_t cost;     /* nano-units of the configured currency */
};

struct ladder_climb {
    const struct ladder_form *form;
    struct arena *arena;
    struct ladder_proposal held[LADDER_MAX_FIELDS];
    struct ladder_heard heard[LADDER_MAX_FIELDS][LADDER_RUNG_COUNT];
    struct ladder_step steps[LADDER_MAX_STEPS];
    size_t steps_len;
};

void ladder_climb_begin(struct ladder_climb *c, const struct ladder_form *form,
                        struct arena *arena);
/* Offers a proposal for field i. p->raw is calibrated with the form's evidence for p->rung into
   confidence unless p->rung is reuse or rule (those say their confidence themselves). Returns true
   when it now stands. Checks that failed cap the confidence at 0.1. */
bool ladder_offer(struct ladder_climb *c, size_t field, const struct ladder_proposal *p);
/* Should this rung be asked? True when some field of `types` is open and the rung's evidence could
   beat what is held (no evidence at all: yes, it may propose where nothing is held). */
bool ladder_wants(const struct ladder_climb *c, enum ladder_rung rung, const char **why_not);
/* Could an answer of this rung stand on field i, by what is known of it? */
bool ladder_could_improve(const struct ladder_climb *c, size_t i, enum ladder_rung rung);
bool ladder_field_is_open(const struct ladder_climb *c, size_t field);
/* Open, and of a type that a person must then decide. A line is an aid: its words are checked or
   copied, so an open one waits for nobody; a draft is read by a person anyway. */
bool ladder_needs_person(const struct ladder_climb *c, size_t field);
/* May an artifact of this climb leave without a person? Every field that a person would decide is
   closed and at LADDER_AUTO, there is at least one, and the form has no draft. */
bool ladder_is_auto(const struct ladder_climb *c);
/* How many fields need a person. */
size_t ladder_open_count(const struct ladder_climb *c);
void ladder_step_add(struct ladder_climb *c, const struct ladder_step *step);
/* Calibrated confidence under evidence e (raw when e->n == 0, capped at LADDER_UNPROVEN). */
double ladder_calibrate(const struct ladder_evidence *e, const struct ladder_signals *s);
/* The signals of a proposal for field i: margin from its candidates, agreement with what the
   learned rung said in this climb. */
struct ladder_signals ladder_signals_of(const struct ladder_climb *c, size_t i,
                                        const struct ladder_proposal *p);
/* Fits the weights on (signals, right) pairs by Newton steps with Platt's smoothed targets; margin
   and agreement only where they lower the log loss of LADDER_FOLDS held-out parts. Sets n,
   accuracy, and the certified threshold for target_error at confidence 1 - delta by the
   fixed-sequence exact-binomial test of anchors/routing section 2 (docs/reference/learn.md).
   held_out, n of them, may be NULL: each pair's confidence under the weights fitted without its
   part. */
#define LADDER_FOLDS 5
void ladder_fit_evidence(const struct ladder_signals *said, const bool *right, size_t n,
                         double target_error, double delta, struct ladder_evidence *out,
                         double *held_out);

/* ---- which rungs are worth asking ---- */

#define LADDER_OPTIONS 6 /* learned, light, heavy, and the three climbs */
#define LADDER_TRIAL_FIELDS 16

/* One labelled task that every measured rung answered alone. */
struct ladder_trial {
    struct {
        bool given[LADDER_RUNG_COUNT];
        double confidence[LADDER_RUNG_COUNT]; /* out of fold */
        bool right[LADDER_RUNG_COUNT];
        double target; /* the field's target error; 0: the task does not count for this field */
    } field[LADDER_TRIAL_FIELDS];
};

struct ladder_costs {
    double ms[LADDER_RUNG_COUNT]; /* of the machine, a task that is asked; < 0: not measured */
    double machine_hour;          /* in units of the currency */
    double person_task;           /* what a person's look at one task costs */
};

struct ladder_range {
    double is, low, high; /* 95 % */
};

/* What one way of climbing gives at the largest coverage that keeps the error. */
struct ladder_option {
    unsigned rungs; /* bits 1u << enum ladder_rung; 0: not measured */
    struct ladder_range error;  /* of fields answered alone; exact binomial */
    struct ladder_range person; /* share of tasks left to a person; exact binomial */
    struct ladder_range cost;   /* a task, machine and person; percentile bootstrap */
    struct ladder_range tasks_h; /* of this machine alone; percentile bootstrap */
};

struct ladder_choice {
    struct ladder_option options[LADDER_OPTIONS];
    size_t options_len;
    size_t n;        /* trials */
    int chosen;      /* index, -1: no decision */
    char why[200];
};

/*
 * Compares climbs at equal error on the same trials. A way of climbing accepts a field at
 * confidence >= 1 - m * target and asks the next rung while a field is below; m is the loosest of a
 * fixed grid at which the wrong fields are at most the sum of the accepted fields' targets. The
 * cheapest option is chosen if its paired saving against the full climb is over 1 % of that
 * climb's cost in all of the 95 % interval, otherwise none: then every rung that is loaded stays.
 * Deterministic. n up to 4096; under 20 ms for 64 trials.
 */
void ladder_choose(const struct ladder_trial *trials, size_t n, const struct ladder_costs *costs,
                   struct ladder_choice *out);
