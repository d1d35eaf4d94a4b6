/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certify: which rung may answer which field alone, from what score on, and until when.
 *
 * Statistics. A certificate is the result of a fixed-sequence test (learn-then-test): thresholds
 * are walked from the strictest to the loosest in an order that knows scores but no outcomes; each
 * is tested with the exact binomial; the walk stops at the first that is not rejected. With chance
 * at least 1 - delta, the error at the certified threshold is at most the target. Labels of past
 * tickets (`history`), out-of-fold scores (`provisional`) and outcomes that a person confirmed
 * (`reviewed`) are classes of evidence, never mixed.
 *
 * Life. A field without a certificate is a pilot: a person decides every item, and each decision is
 * an outcome. At planned looks (10 / target outcomes, then each time twice as many, with delta / 2,
 * delta / 4, ...: together delta) the test runs by itself. A certified rung is watched: a random
 * sample of what nobody reviewed goes to a person, and a betting e-process on those outcomes takes
 * the certificate away when W reaches 1 / CERTIFY_WATCH_DELTA. A provisional or history certificate
 * becomes reviewed when the sample confirms it (the same looks). A change of model, prompt or head
 * voids what it touches; a certificate of an earlier rung voids those of the rungs after it, since
 * what reaches them is then another kind of item. Every issue, withdrawal, voiding and confirmation
 * has its leaf.
 *
 * How a climb asks: at loading a form, and when certificates changed (struct certify_events),
 *     certify_find(reader, workflow, field, rung, &releases, &c, &found, &why)
 * and then: closed when found and score >= c.threshold. The score is what the climb compares, the
 * calibrated confidence; so a refitted calibration is another release (of a model's rung: in
 * `head`).
 * How outcomes come in: the record's write calls certify_note with what each rung said (all of
 * them, not only what stands) and learns from it whether the task is drawn for audit (its artifact
 * then waits for a person); the review's write calls certify_review with what a person decided.
 *
 * Owns: tables certificate, certify_said, certify_track. Threads: the statistics are pure;
 * functions with a struct store_tx run inside a write, those with a struct store_conn on that
 * reader's thread. certify_review sorts at most CERTIFY_ITEMS_MAX outcomes, at looks only.
 * Limits: CERTIFY_SAID_MAX proposals a task; scores kept for CERTIFY_ITEMS_MAX outcomes a rung.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/audit/audit.h"

#define CERTIFY_DELTA 0.05        /* of a field's certificates together */
#define CERTIFY_WATCH_DELTA 0.05  /* false alarms of a watch in one season */
#define CERTIFY_SEASON_DAYS 90    /* a watch begins anew after so many days */
#define CERTIFY_FIND_DAYS 14      /* a tripled error is to be found within so many days... */
#define CERTIFY_FIND_POWER 0.9    /* ... with this chance; in more days, up to a season, */
#define CERTIFY_AUDIT_MOST 0.25   /* where that would draw a larger share than this */
#define CERTIFY_LOOKS_MAX 16
#define CERTIFY_ITEMS_MAX 50000
#define CERTIFY_SAID_MAX 96
#define CERTIFY_RUNGS_MAX 8
#define CERTIFY_NEVER 2.0         /* a threshold that no score reaches */

/* ---- exact binomial ---- */

/* I_x(a, b), the regularised incomplete beta function; a, b > 0, 0 <= x <= 1. Relative error under
   1e-10. Continued fraction (DLMF 8.17.22) by Lentz's method. */
double certify_beta(double a, double b, double x);
/* P(Bin(n, p) <= k) = I_{1-p}(n - k, k + 1). */
double certify_binomial(size_t k, size_t n, double p);
/* Clopper-Pearson one-sided bounds at confidence 1 - delta for the share behind k of n; 0 and 1
   where nothing is known. */
double certify_upper(size_t k, size_t n, double delta);
double certify_lower(size_t k, size_t n, double delta);
/* Fewest accepted items at which k errors still certify target at delta: 149 for 0 errors, 2 % and
   5 %; 236, 313, 523 for 1, 2, 5. SIZE_MAX beyond 2^40. */
size_t certify_needed(size_t k, double target, double delta);

/* ---- the fixed sequence ---- */

/* What `target` is a share of. */
enum certify_basis {
    CERTIFY_OF_ANSWERS, /* of the answers this rung gives alone: selective error */
    CERTIFY_OF_TRAFFIC  /* of all items of the field, answered here or not: a share of a budget */
};

struct certify_rule {
    double target; /* 0 < x < 1 */
    double delta;  /* 0 < x < 1 */
    enum certify_basis basis;
    size_t start; /* items that the first threshold accepts; 0: the rule below */
};

struct certify_result {
    bool certified;
    double threshold; /* accept when score >= threshold; CERTIFY_NEVER when not certified */
    size_t n;         /* items */
    size_t accepted;
    size_t errors;    /* among the accepted */
    size_t start;     /* accepted items at which the walk began; 0: n is too small for any */
    double p;         /* of the last rejected test */
    double error_upper;   /* Clopper-Pearson on the accepted at delta: selective error */
    double traffic_upper; /* the same, of all items */
};

/*
 * Where the walk begins: at certify_needed(k), with the largest k up to 5 whose count is at most
 * 0.45 + 0.35 a / n of a, the items that the scores themselves call acceptable; where that
 * is too few even for k = 0, at certify_needed(0) while that is at most n. So 313 of 500 and 523 of
 * 1,000 at 2 % and 5 % on Banking77, whose scores call 87 % acceptable. A start that forgives no
 * error dies of one slip among the surest; a late one dies where the rung is not that good. 0: n is
 * too small for any.
 */
size_t certify_start(size_t n, size_t acceptable, const struct certify_rule *rule);
/*
 * The test. right[i] says whether item i was right; a score that is not a number is never accepted.
 * Acceptable, for the start, is the largest part, surest first, whose mean of 1 - score is at most
 * the target; all of them when a score lies outside 0..1. It knows no outcome, as the walk must.
 * Thresholds lie strictly between two scores, so that the items above one are a plain sample of
 * what it accepts. Equal scores are accepted together.
 */
void certify_test(const double *score, const bool *right, size_t n, const struct certify_rule *rule,
                  struct certify_result *out);

/* One rung's share of a workflow's budget. */
struct certify_share {
    double weight; /* in: > 0, e.g. the share of traffic it is expected to answer */
    double target; /* out: error of all traffic it may cause */
    double delta;  /* out */
};
/* Splits error and confidence over the rungs of a climb: targets in proportion to weight, deltas
   evenly; each sums to no more than the whole (a union bound over the rungs). */
void certify_split(double target, double delta, struct certify_share *rungs, size_t n);

/* ---- a learned acceptor ---- */

/* What a head says of one item beside its confidence. Fitted on out-of-fold predictions it sorts
   right from wrong a little better than the confidence alone; on few it sorts worse. */
struct certify_features {
    double top;         /* probability of the answer, calibrated */
    double margin;      /* over the next one */
    double entropy;     /* of the distribution, in nats */
    double agreement;   /* share of the nearest examples with the answer's label */
    double class_error; /* share wrong among out-of-fold answers with that label */
};
#define CERTIFY_FEATURES 5
#define CERTIFY_ACCEPTOR_MIN 5000 /* items under which it is not used */
struct certify_acceptor {
    double mean[CERTIFY_FEATURES], scale[CERTIFY_FEATURES];
    double weight[CERTIFY_FEATURES + 1]; /* the last: the offset */
};
/* Logistic regression on standardised features, ridge 1, Newton's method. False, and *out unusable,
   under CERTIFY_ACCEPTOR_MIN items, or when all are right or all wrong. */
bool certify_acceptor_fit(const struct certify_features *x, const bool *right, size_t n,
                          struct certify_acceptor *out);
/* 0..1, to be certified like any score. */
double certify_acceptor_score(const struct certify_acceptor *a, const struct certify_features *x);

/* ---- looks ---- */

/* Outcomes at look i (from 0), and the delta it may spend: ceil(10 / target) 2^i, delta /
   2^(i+1). */
size_t certify_look_items(size_t look, double target);
double certify_look_delta(size_t look, double delta);
/* The outcomes after which a test is expected to pass: the first look, from `look` on, that errors
   at the rate seen so far, and one more, would pass. score and right as above, n may be 0. 0: no
   look up to CERTIFY_LOOKS_MAX is expected to (the rung is not good enough at any threshold). */
size_t certify_expected(const double *score, const bool *right, size_t n, size_t look,
                        double target, double delta);

/* ---- the watch ---- */

/*
 * W_t = prod (1 + l_t (x_t - target)), x_t = 1 for a wrong answer, l_t known before x_t. When the
 * error is at most the target, W is a nonnegative supermartingale that starts at 1, so that it ever
 * reaches 1 / delta has a chance of at most delta (Ville), however often one looks.
 * The bet: half of the money is live from the start, the rest goes live evenly over the planned
 * draws of the season, so that a change late in it is found too; live money bets Kelly's fraction
 * for the error rate expected next: three times the target before, and what was seen as it comes.
 */
struct certify_watch {
    double target;
    double delta;
    double cash, live; /* W = cash + live */
    double step;       /* of the cash, goes live at each draw */
    double seen, wrong; /* faded counts behind the bet */
    int64_t n, errors;
};
/* planned: draws expected in the season, at least 1. */
void certify_watch_begin(struct certify_watch *w, double target, double delta, double planned);
/* True when W has reached 1 / delta. */
bool certify_watch_feed(struct certify_watch *w, bool wrong);
double certify_watch_wealth(const struct certify_watch *w);

struct certify_plan {
    double draws; /* needed to find a tripled error with the power asked for */
    double rate;  /* 0..1 of what is answered alone */
    double days;  /* in which it is found at that rate */
    double planned; /* draws in a season */
};
/* From "a tripled error is found within find_days with chance power" at per_day answers a day.
   Where that would draw more than `most` of them, the days are stretched, up to a season;
   beyond, the rate grows, up to all. Normal approximation of the log-growth of the watch; the
   tests check it by simulation. */
void certify_audit_plan(double target, double delta, double power, double find_days, double most,
                        double per_day, struct certify_plan *out);
/* Drawn at this rate? From the id's own random bits, so that anyone can check the draw. */
bool certify_is_drawn(const struct id *task, double rate);

/* ---- certificates ---- */

/* What was measured; a later one says more. The names are ladder_class's. */
enum certify_class {
    CERTIFY_NONE,
    CERTIFY_HISTORY,     /* labels of past tickets that nobody reviewed, on the rung as it is */
    CERTIFY_PROVISIONAL, /* out-of-fold scores of all labels, until the audit sample confirms */
    CERTIFY_REVIEWED,    /* outcomes that a person confirmed */
    CERTIFY_CLASS_COUNT
};
const char *certify_class_name(enum certify_class c); /* "none", "history", ... */

enum certify_state {
    CERTIFY_LIVE,
    CERTIFY_WITHDRAWN, /* the watch found more error than certified */
    CERTIFY_VOIDED,    /* model, prompt or head changed */
    CERTIFY_REPLACED,  /* by a later certificate of the same releases */
    CERTIFY_STATE_COUNT
};
const char *certify_state_name(enum certify_state s); /* "live", "withdrawn", ... */

/* What a rung's scores depend on: sha256 hex or other names of releases, "" where there is none.
   For `learned`: model of the vectors, "", head. For models: model, definition, calibration. */
struct certify_releases {
    const char *model, *prompt, *head;
};

#define CERTIFY_NAME_SIZE 72
#define CERTIFY_RELEASE_SIZE 136

struct certify_certificate {
    struct id id; /* shown as crt_... */
    char workflow[CERTIFY_NAME_SIZE];
    char field[CERTIFY_NAME_SIZE];
    char rung[16];
    char model[CERTIFY_RELEASE_SIZE], prompt[CERTIFY_RELEASE_SIZE], head[CERTIFY_RELEASE_SIZE];
    enum certify_class class;
    enum certify_state state;
    double threshold;
    int64_t n, accepted, errors;
    double coverage;      /* accepted / n */
    double target, delta; /* error among its answers at most target, with certainty 1 - delta */
    double error_upper;   /* bound on the error among its answers */
    double traffic_upper; /* the same, of all items it was measured on */
    int64_t issued_at, confirmed_at, ended_at; /* 0: not */
    char detail[200];     /* why it ended, in words */
    int64_t record;       /* leaf of its issue */
    struct certify_watch watch;
    int64_t season_at;    /* the watch began */
    double audit_rate;    /* of its answers drawn now */
    double per_day;       /* answers a day it gives alone, as the rate was computed from */
    double find_days;     /* in which a tripled error is found, at that rate */
    int64_t rate_at;      /* the rate was computed */
    int64_t audited, audit_errors; /* draws decided since its issue */
    int64_t looks;        /* at them, to confirm it */
};

/*
 * Issues a certificate from a test's result and records it; one that is live for the same field and
 * rung is replaced. *id gets its id (may be NULL). Reads workflow, field, rung, the releases,
 * class, target, delta of `c` and all of `r`, which must be certified. actor and team are the
 * leaf's.
 */
MUST_CHECK enum fail certify_issue(struct store_tx *tx, struct audit *audit,
                                   const struct certify_certificate *c,
                                   const struct certify_result *r, const char *actor,
                                   const char *team, struct id *id, struct fault *why);
/*
 * Ends what a change touches: live certificates of this workflow (NULL: any), field (NULL: any) and
 * rung (NULL: any) whose model, prompt or head is another than the one given (NULL: not looked at).
 * Each end is recorded with `detail`; the pilot of that rung begins anew. *n gets how many.
 */
MUST_CHECK enum fail certify_void(struct store_tx *tx, struct audit *audit, const char *workflow,
                                  const char *field, const char *rung,
                                  const struct certify_releases *now, const char *detail,
                                  const char *actor, const char *team, int64_t *n,
                                  struct fault *why);
/* The live certificate of exactly these releases and target; *found false when there is none: the
   rung proposes only. */
MUST_CHECK enum fail certify_find(struct store_conn *conn, const char *workflow, const char *field,
                                  const char *rung, const struct certify_releases *now,
                                  double target, struct certify_certificate *out, bool *found,
                                  struct fault *why);
/* In order of workflow, field, rung, newest first; workflow NULL: all. Borrowed during the call;
   false stops. */
typedef bool (*certify_row_fn)(void *arg, const struct certify_certificate *c);
MUST_CHECK enum fail certify_each(struct store_conn *conn, const char *workflow, bool ended_too,
                                  certify_row_fn fn, void *arg, struct fault *why);

/* ---- what rungs say, and what people decide ---- */

struct certify_said {
    const char *field, *rung, *value;
    double score; /* the calibrated confidence, as the threshold is compared with */
    double target; /* of the field */
    double delta;  /* CERTIFY_DELTA over the number of rungs that may answer the field alone */
    bool answered; /* it closed the field, under a certificate */
    struct certify_releases releases;
    /* NULL, or the task whose answer this is once more: it counts as one of the rung and
       certificate that gave it there; rung, score, delta and releases are then not looked at. One
       that no certificate holds any more is left out. */
    const struct id *reused_from;
};
struct certify_note {
    struct id task;
    const char *workflow;
    const struct certify_said *said; /* fields that are right or wrong: not lines, not drafts */
    size_t said_len;
    bool reviewable; /* it leaves an artifact */
};
/* Inside the record's write. *drawn: an audit draw, its artifact waits for a person though nothing
   is open. */
MUST_CHECK enum fail certify_note(struct store_tx *tx, const struct certify_note *note,
                                  bool *drawn, struct fault *why);

struct certify_decided {
    const char *field, *value;
};
struct certify_review {
    struct id task;
    const char *workflow;
    const char *actor, *team; /* the reviewer */
    const struct certify_decided *fields;
    size_t fields_len;
    bool rejected; /* nothing of it was of use: every field counts as wrong */
};
enum certify_event_kind {
    CERTIFY_EVENT_ISSUED,
    CERTIFY_EVENT_CONFIRMED,
    CERTIFY_EVENT_WITHDRAWN
};
struct certify_event {
    enum certify_event_kind kind;
    char field[CERTIFY_NAME_SIZE];
    char rung[16];
    char text[240]; /* one sentence for the owner */
};
struct certify_events {
    size_t n;
    struct certify_event list[CERTIFY_RUNGS_MAX * 2];
};
/* Inside the review's write, once per decision that says right or wrong. When events->n > 0 the
   climb must read its certificates again, and the owner is told of a withdrawal. */
MUST_CHECK enum fail certify_review(struct store_tx *tx, struct audit *audit,
                                    const struct certify_review *review,
                                    struct certify_events *events, struct fault *why);
/* Forgets what was said of this task but for right and wrong: its person's data is erased. */
MUST_CHECK enum fail certify_forget(struct store_tx *tx, const struct id *task, struct fault *why);

/* What a field and rung without a certificate still needs. */
struct certify_need {
    char workflow[CERTIFY_NAME_SIZE];
    char field[CERTIFY_NAME_SIZE];
    char rung[16];
    double target;
    int64_t reviewed, errors; /* outcomes of the pilot so far, and how many were wrong */
    int64_t next_look;        /* outcomes at the next test */
    int64_t expected;         /* outcomes after which it is expected to pass; 0: at none */
    double per_day;           /* outcomes a day, of the last seven days */
    double said_per_day;      /* proposals a day */
    double days;              /* until `expected` when all proposals are reviewed; INFINITY */
};
typedef bool (*certify_need_fn)(void *arg, const struct certify_need *need);
/* Every field and rung that has said something under its present releases and holds no certificate.
   Reads at most CERTIFY_ITEMS_MAX outcomes each: call it from a reader thread, not the core's. */
MUST_CHECK enum fail certify_needs(struct store_conn *conn, const char *workflow,
                                   certify_need_fn fn, void *arg, struct fault *why);
