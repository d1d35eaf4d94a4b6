/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route: where a request may be answered: here, outside, or by a person. Facts in, decision and
 * reasons out.
 *
 * Rules are rows of YAML; the first row whose conditions all hold decides. Conditions have names
 * and values, there is no expression language. A fact that is not known makes no condition hold.
 * When no row decides, the request stays here. Two things no row can change, checked when rules
 * are read and again when they decide: restricted never leaves; confidential leaves only redacted
 * and only by a row that names it. A stake (legal threat, danger, ...) goes to a person before any
 * row is asked. docs/reference/route.md describes the file.
 *
 * Owns: rule sets; the table `route_traffic`. Threads: a rule set is immutable
 * once read, and counted; deciding is pure and may run on many threads; a zone and a meter belong
 * to one thread, the store functions to their connection's. Nothing blocks.
 * Limits: the ROUTE_MAX_* below, refused with the line that passes them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"

#define ROUTE_MAX_BYTES ((size_t)128 * 1024)
#define ROUTE_MAX_ROWS 64
#define ROUTE_MAX_CASES 512
#define ROUTE_MAX_NAMES 32 /* of teams or workflows in a row */
#define ROUTE_NAME_SIZE 65
#define ROUTE_REASON_SIZE 200

/* What a request needs of a model; bits 1u << need. */
enum route_need {
    ROUTE_NEED_TOOLS,
    ROUTE_NEED_LONG_CONTEXT,
    ROUTE_NEED_VISION,
    ROUTE_NEED_FRONTIER, /* what local models were measured not to do well enough */
    ROUTE_NEED_COUNT
};
/* Local roles that a model serves now; bits 1u << role. */
enum route_role { ROUTE_ROLE_EMBED, ROUTE_ROLE_LIGHT, ROUTE_ROLE_HEAVY, ROUTE_ROLE_COUNT };

enum route_number {
#define NUMBER(name, key, unit, min, max, help) ROUTE_##name,
#include "answer/route/facts.def"
#undef NUMBER
    ROUTE_NUMBER_COUNT
};

/* What is known of one request. Zeroed: public, nothing known. route_facts_init is what a caller
   starts from. */
struct route_facts {
    enum secrecy label;
    char team[ROUTE_NAME_SIZE], workflow[ROUTE_NAME_SIZE]; /* "": not known */
    char stake[ROUTE_NAME_SIZE]; /* what sends it to a person, "": nothing */
    unsigned needs, roles;
    unsigned known;              /* bits 1u << enum route_number */
    double number[ROUTE_NUMBER_COUNT];
    int weekday; /* 0 Monday to 6 Sunday in report.timezone, -1: not known */
    int minute;  /* of the day, 0 to 1439 */
};

/* Restricted, and nothing else known: what is not said does not leave. */
void route_facts_init(struct route_facts *f);
void route_facts_set(struct route_facts *f, enum route_number n, double value);
/* Fills in what follows from the rest: wait_of_deadline. */
void route_facts_complete(struct route_facts *f);
/* Reads a map of facts over what *f holds; all errors with their lines into faults. Keys: label,
   team, workflow, stake, needs, local_roles, at ("mon 14:30") and those of facts.def. */
void route_facts_read(const struct config_node *map, struct route_facts *f,
                      struct config_faults *faults);
/* The same from text: YAML or JSON. */
MUST_CHECK enum fail route_facts_parse(const char *text, size_t len, const char *file,
                                       struct route_facts *f, struct config_faults *faults,
                                       struct fault *why);
/* As one JSON object that route_facts_parse reads back. */
void route_facts_put(struct jn_writer *w, const struct route_facts *f);

/* ---- rules ---- */

enum route_go { ROUTE_LOCAL, ROUTE_HOSTED, ROUTE_PERSON, ROUTE_GO_COUNT };
const char *route_go_name(enum route_go go); /* "local", "hosted", "person" */
/* How text may leave. */
enum route_leave { ROUTE_NEVER, ROUTE_REDACTED, ROUTE_PLAIN, ROUTE_LEAVE_COUNT };
const char *route_leave_name(enum route_leave leave); /* "never", "redacted", "plain" */

/* ROUTE_NEED_COUNT when unknown: "tools", "long_context", "vision", "frontier". */
unsigned route_need_find(const char *name);

struct route_rules; /* immutable, counted */

/* Checks text[0..len) and makes the rule set, with one reference. On failure FAIL_BAD_REQUEST (or
   FAIL_TOO_LARGE), every error in faults and the first in why. */
MUST_CHECK enum fail route_rules_read(const char *text, size_t len, const char *file,
                                      struct route_rules **out, struct config_faults *faults,
                                      struct fault *why);
struct route_rules *route_rules_ref(struct route_rules *r);
void route_rules_unref(struct route_rules *r); /* accepts NULL */
/* The rows built in from rules/default.yaml. They read, or the process ends. */
struct route_rules *route_rules_shipped(void);
const char *route_rules_release(const struct route_rules *r); /* sha256 hex of the text */
const char *route_rules_text(const struct route_rules *r);
size_t route_rules_count(const struct route_rules *r);
/* A copy without row i, for asking what it is good for. */
struct route_rules *route_rules_without(const struct route_rules *r, size_t i);

/* One row, for listings; strings live as long as the rules. */
struct route_row_view {
    const char *name, *why; /* why: "" when the row does not say */
    int line;
    enum route_go go;
    enum route_leave leave;
    const char *upstream; /* pool, "": the default one */
    bool spill;
};
void route_rules_row(const struct route_rules *r, size_t i, struct route_row_view *out);
/* The row's conditions as one line: "label public or internal, burst at least 3". */
void route_rules_conditions(const struct route_rules *r, size_t i, struct buf *out);

/* ---- deciding ---- */

struct route_decision {
    enum route_go go;
    enum route_leave leave; /* NEVER unless go is hosted */
    int row;                /* -1: a stake, or no row matched */
    const char *name;       /* of the row, "always_person" or "no_row"; as long as the rules */
    const char *upstream;   /* pool, "": the default one */
    bool spilled;           /* a local row, sent out because lateness costs more */
    int64_t late_cost;      /* nano-units: expected cost of being late here; -1: not asked */
    int64_t hosted_cost;    /* nano-units: price, and expected lateness outside; -1: not asked */
};
/* rules NULL: no rows. f is completed by the caller. Microseconds; pure. */
void route_decide(const struct route_rules *rules, const struct route_facts *f,
                  struct route_decision *out);
/* The last gate before text leaves, for those who send: does this decision let a text of this label
   out, and how? NEVER: it does not. */
enum route_leave route_may_leave(const struct route_decision *d, enum secrecy label);

enum route_verdict {
    ROUTE_DECIDED,
    ROUTE_NOT_MATCHED,
    ROUTE_BLOCKED,    /* its conditions hold, and what it asks for is not allowed */
    ROUTE_NOT_ASKED,  /* an earlier one decided */
    ROUTE_VERDICT_COUNT
};
const char *route_verdict_name(enum route_verdict v);
struct route_step {
    const char *row; /* as long as the rules */
    enum route_verdict verdict;
    char reason[ROUTE_REASON_SIZE]; /* "label is internal, not confidential or restricted" */
};
/* The same decision with a reason a row; steps has room for route_rules_count. */
void route_explain(const struct route_rules *rules, const struct route_facts *f,
                   struct route_decision *out, struct route_step *steps);
/* {"go","row","leave","upstream","because",...,"rules","facts","rows":[...]} */
void route_explain_put(struct jn_writer *w, const struct route_rules *rules,
                       const struct route_facts *f);
/* What a record keeps: {"rules","row","go","leave","facts"}. */
void route_record_put(struct jn_writer *w, const struct route_rules *rules,
                      const struct route_decision *d, const struct route_facts *f);

/*
 * What being late is expected to cost, in nano-units of the currency. The wait is taken as
 * exponential around its prediction (a busy queue's wait tends to it: Kingman 1961), so the
 * lateness of an answer that waits W, works for s and is due after d has the expectation
 *   E[max(0, W + s - d)] = w exp(-(d - s) / w)   when s <= d,   w + s - d   otherwise.
 * wait_s, service_s, deadline_s in seconds, >= 0; cost_per_hour in currency units an hour of
 * lateness.
 */
int64_t route_late_cost(double wait_s, double service_s, double deadline_s, double cost_per_hour);

/* ---- cases: what a rule set is to decide ---- */

struct route_case {
    const char *name;
    int line;
    struct route_facts facts;
    const char *row;          /* expected row, NULL: any */
    enum route_go go;         /* ROUTE_GO_COUNT: any */
    enum route_leave leave;   /* ROUTE_LEAVE_COUNT: any */
    const char *upstream;     /* NULL: any */
};
struct route_cases {
    struct arena *arena;
    struct route_case *list;
    size_t n;
};
MUST_CHECK enum fail route_cases_read(const char *text, size_t len, const char *file,
                                      struct route_cases *out, struct config_faults *faults,
                                      struct fault *why);
void route_cases_done(struct route_cases *c);
/* The cases built in from rules/default-cases.yaml: one a shipped row at least. */
void route_cases_shipped(struct route_cases *out);
/* Did it decide as expected? If not, `wrong` says what was expected. */
bool route_case_holds(const struct route_rules *rules, const struct route_case *c,
                      char wrong[ROUTE_REASON_SIZE]);

/* ---- time of day ---- */

struct route_zone;
/* A zone of the system's list ("Europe/Berlin"); FAIL_BAD_REQUEST when there is none of that
   name. */
MUST_CHECK enum fail route_zone_open(const char *name, struct route_zone **out, struct fault *why);
void route_zone_close(struct route_zone *z); /* accepts NULL */
void route_zone_at(struct route_zone *z, int64_t at_us, int *weekday, int *minute);

/* ---- stakes: what a person decides, however sure a model is ---- */

enum route_stake {
    ROUTE_STAKE_LEGAL_THREAT,
    ROUTE_STAKE_DANGER, /* to a person, the writer included */
    ROUTE_STAKE_DATA_SUBJECT_REQUEST,
    ROUTE_STAKE_PRESS,
    ROUTE_STAKE_REFUND_ABOVE, /* money is asked back, and an amount near it is above the limit */
    ROUTE_STAKE_COUNT
};
const char *route_stake_name(enum route_stake stake);  /* "legal_threat", ... */
enum route_stake route_stake_find(const char *name);    /* ROUTE_STAKE_COUNT when unknown */

#define ROUTE_STAKE_HITS 8
struct route_stake_hit {
    enum route_stake stake;
    size_t from, to;  /* bytes of the text: the phrase, or the sentence */
    bool learned;     /* found by the head, not by a phrase */
    double p;         /* the head's probability; 1 for a phrase */
    double amount;    /* REFUND_ABOVE: the largest amount near it, else 0 */
};

/* Phrases of rules/stakes.yaml and the head that was trained on rules/stakes/develop.txt when this
   was built. Immutable; may be asked on many threads at once. */
struct route_stakes;
struct route_stakes *route_stakes_new(void);
void route_stakes_free(struct route_stakes *s);                 /* accepts NULL */
const char *route_stakes_release(const struct route_stakes *s); /* sha256 hex of phrases and head */

/*
 * Finds the stakes in `wanted` (bits 1u << enum route_stake) in text: valid UTF-8. Each stake is
 * reported once, its earliest phrase before what the head says; out has ROUTE_STAKE_HITS places.
 * Returns how many. refund_above: in the text's own currency, whatever it is; amounts are not
 * exchanged. Phrases are looked for in all of the text; the head reads its first 8 KiB, at most
 * 24 sentences. A few milliseconds for the longest text; docs/reference/route.md has the measured
 * recall.
 */
size_t route_stakes_find(const struct route_stakes *s, const char *text, size_t len,
                         unsigned wanted, double refund_above,
                         struct route_stake_hit out[ROUTE_STAKE_HITS]);
/* The same by phrases alone: what the head adds is measured against it. */
size_t route_stakes_find_phrases(const struct route_stakes *s, const char *text, size_t len,
                                 unsigned wanted, double refund_above,
                                 struct route_stake_hit out[ROUTE_STAKE_HITS]);

/* Sentences with what they are, as in rules/stakes/develop.txt; the file's form is described
   there. */
struct route_sentence {
    enum route_stake stake; /* ROUTE_STAKE_COUNT: of none */
    bool near;              /* close to the stake, and not it */
    char lang[8];
    const char *text;
};
struct route_sentences {
    struct arena *arena;
    struct route_sentence *list;
    size_t n;
};
/* FAIL_BAD_REQUEST names the line. */
MUST_CHECK enum fail route_sentences_read(const char *text, size_t len, const char *file,
                                          struct route_sentences *out, struct fault *why);
void route_sentences_done(struct route_sentences *s);

/* ---- what arrives: measured per workflow ---- */

#define ROUTE_TRAFFIC_HOURS 672    /* four weeks */
#define ROUTE_TRAFFIC_KNOWN_H 168  /* a workflow is known after a week */
#define ROUTE_TRAFFIC_TASKS_MIN 20 /* and its reuse after so many tasks */
#define ROUTE_TRAFFIC_WORKFLOWS 256

/* Hourly counts of the last four weeks, with their sums: adding and asking take constant time,
   but for an hour's turn. The workflow least recently added to makes room. */
struct route_meter;
struct route_meter *route_meter_new(void);
void route_meter_free(struct route_meter *m); /* accepts NULL */
/* So many tasks came in the hour of at_us (wall, UTC), `reused` of them answered by reuse. An hour
   older than four weeks before the newest is left out. */
void route_meter_add(struct route_meter *m, const char *workflow, int64_t at_us, unsigned tasks,
                     unsigned reused);
/*
 * Sets arrivals_per_week, burst and share_reused of *f as far as they are known at now_us: the
 * first two a week after the workflow's first task, the third from ROUTE_TRAFFIC_TASKS_MIN tasks
 * on. burst is the index of dispersion of the hourly counts (Cox and Lewis 1966): their variance
 * over their mean, 1 for arrivals at random, more where they cluster.
 */
void route_meter_facts(struct route_meter *m, const char *workflow, int64_t now_us,
                       struct route_facts *f);

/* One more task, in the transaction of its record. */
MUST_CHECK enum fail route_traffic_put(struct store_tx *tx, const char *workflow, int64_t at_us,
                                       bool reused, struct fault *why);
/* Everything that counts at now_us, into the meter: at start-up. */
MUST_CHECK enum fail route_traffic_load(struct store_conn *conn, int64_t now_us,
                                        struct route_meter *m, struct fault *why);

/* ---- rule sets as releases ---- */

/* Their kind in trust/release. */
#define ROUTE_RELEASES "route"
/* The active rule set, the shipped one when none was approved. *out has one reference. A stored
   set that no longer reads is FAIL_INTERNAL. */
MUST_CHECK enum fail route_release_active(struct store_conn *conn, struct route_rules **out,
                                          struct fault *why);
/* The rules of that release, shipped or stored, with one reference; *out NULL: they are not
   here. */
MUST_CHECK enum fail route_release_find(struct store_conn *conn, const char *release,
                                        struct route_rules **out, struct fault *why);
