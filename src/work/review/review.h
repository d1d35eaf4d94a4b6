/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Review: what people look at and what they decide, who has what for how long, and what became of
 * it.
 *
 * An artifact is a task's output with its fields, their confidence and rung, and a draft. States:
 * draft -> in_review -> approved | edited | rejected | escalated -> delivered; an escalated one
 * is decided again. A decision names the version its reviewer saw: two people never decide one
 * artifact twice, and nobody decides on a draft that changed under their eyes. Each decision
 * appends its own record (audit kind `decision`). Decided values come back through
 * review_outcomes, so that the learned rung can be taught with them. Each decision that says right
 * or wrong also goes to answer/certify; when a rung loses its certificate there, an artifact
 * without fields, made by "system", says so in its title and waits to be approved: read.
 *
 * Another team's artifact and a missing one are the same FAIL_NOT_FOUND. Administrators see all.
 *
 * An *item* is one look at an artifact: the first one decides it; a second one, blind, is drawn
 * among what was approved; practice shows an artifact whose answer is known. Items wait in queues,
 * are claimed for a lease, and decided with review_item_decide. Several with one cause are decided
 * each on its own, in one step (review_alike finds them).
 *
 * Owns: tables artifact, artifact_field, decision, and review_* (0228, 0229). The input's text is
 * not here: it is content of the task (audit_content_get), so that it can be erased. Sketches of it
 * (review_sketch) are hashes that words cannot be read back from.
 * Threads: functions with a struct store_tx only inside a write; functions with a struct
 * store_conn on that reader's thread. None blocks beyond its statements.
 * Limits: REVIEW_FIELDS_MAX fields an artifact, texts of 256 KiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/certify/certify.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "trust/policy/policy.h"

#define REVIEW_FIELDS_MAX 64
#define REVIEW_TEXT_MAX (256 * 1024)
#define REVIEW_REASON_MAX 2000
#define REVIEW_LIST_MAX 500
#define REVIEW_PERSON_SIZE 96   /* a name, or "role:approver" */
#define REVIEW_LEASES_MAX 8     /* of one person at a time */
#define REVIEW_SKILLS_MAX 64    /* of one person */
#define REVIEW_REASONS_MAX 9    /* keys 1 to 9 */
#define REVIEW_REASON_SIZE 96   /* of one of them */
#define REVIEW_CHAIN_MAX 4      /* targets of an escalation */
#define REVIEW_WITHIN_MAX 2592000 /* seconds: 30 days */
#define REVIEW_DIM_MAX 4096
#define REVIEW_ALIKE_MAX 500    /* decided in one step */

enum review_state {
#define STATE(name, text) REVIEW_STATE_##name,
#include "work/review/states.def"
#undef STATE
    REVIEW_STATE_COUNT /* in filters: any */
};
enum review_action {
    REVIEW_ACTION_APPROVE,
    REVIEW_ACTION_EDIT,
    REVIEW_ACTION_REJECT,
    REVIEW_ACTION_ESCALATE,
    REVIEW_ACTION_COUNT
};
const char *review_state_name(enum review_state s);
bool review_state_find(const char *name, enum review_state *out);
const char *review_action_name(enum review_action a);
bool review_action_find(const char *name, enum review_action *out);

struct review_field {
    const char *name;
    const char *type;
    const char *value; /* proposed */
    double confidence; /* 0..1 */
    const char *rung;
    bool is_open;        /* a person decides it */
    const char *decided; /* what a person made it; NULL: undecided */
};

struct review_artifact {
    struct id id;
    struct id task;
    const char *workflow;
    const char *team;
    const char *actor; /* who asked */
    enum review_state state;
    int64_t version; /* set by the room */
    int64_t created_at;
    int64_t updated_at;
    int64_t opened_at; /* 0: nobody has looked yet */
    const char *title;
    const char *result; /* JSON as the task produced it */
    const char *draft;  /* NULL: none */
    const struct review_field *fields;
    size_t fields_len;
    /* of the newest decision; decided_by is NULL when there is none */
    const char *decided_by;
    enum review_action action;
    const char *reason;
    const char *sent; /* the draft as decided; NULL: unchanged or none */
    int64_t decided_at;
    double edit_distance;
    /* for review_create alone, each may be NULL or 0 */
    const char *input;   /* subject and text: sketched, not kept */
    const char *ticket;  /* the caller's own id of it */
    const float *vector; /* of the input, unit length, at most REVIEW_DIM_MAX */
    size_t dim;
    const char *model; /* of the vector */
};

/* ---- making ---- */

/* Stores a new artifact, in_review when `waits`, else draft. Reads id, task, workflow, team, actor,
   title, result, draft, fields (all but `decided`), input, ticket, vector. One that waits gets its
   first item: queue, language and urgency are the fields of those names (urgency also priority or
   severity). Errors: FAIL_TOO_LARGE, FAIL_CONFLICT (id
   exists). */
MUST_CHECK enum fail review_create(struct store_tx *tx, const struct review_artifact *a, bool waits,
                                   struct fault *why);
/* Replaces the draft of an artifact that nobody opened or decided; FAIL_CONFLICT when somebody has.
   */
MUST_CHECK enum fail review_redraft(struct store_tx *tx, const struct id *id, const char *draft,
                                    struct fault *why);
/* Notes that `who` looks at it (the first one counts). */
MUST_CHECK enum fail review_open(struct store_tx *tx, const struct id *id,
                                 const struct principal *who, struct fault *why);
/* approved | edited | draft -> delivered, when the desk took it. FAIL_CONFLICT from another state.
   */
MUST_CHECK enum fail review_deliver(struct store_tx *tx, const struct id *id, struct fault *why);
/* Empties the texts of every artifact that (team, actor) asked for; *n gets how many. */
MUST_CHECK enum fail review_forget(struct store_tx *tx, const char *team, const char *actor,
                                   int64_t *n, struct fault *why);

/* ---- deciding ---- */

struct review_value {
    const char *name;
    const char *value;
};
struct review_decide {
    struct id id;
    int64_t version; /* as seen; 0: the newest one (a command line that has just shown it) */
    const struct principal *who;
    enum review_action action;
    const char *reason; /* required for reject and escalate */
    /* EDIT: the fields to change, and the draft as it will be sent (NULL: as it is). */
    const struct review_value *values;
    size_t values_len;
    const char *draft;
    int64_t review_ms; /* measured by the client; -1: from the opening, if it was opened */
    /* The ticket's version as seen; NULL: not said. FAIL_CONFLICT when the ticket moved on. */
    const char *ticket_version;
    /* ESCALATE: to whom, for how long, and who is next; NULL and 0: as the team has set it. */
    const char *to;
    int within_s;
    const char *then;
    int64_t now; /* µs UTC; 0: the clock's */
    /* Says whether a value fits its field in this workflow; NULL: any value does. */
    enum fail (*check)(void *arg, const char *workflow, const char *name, const char *value,
                       struct fault *why);
    void *arg;
};
struct review_decided {
    enum review_state state;
    int64_t version; /* after the decision */
    double edit_distance;
    int64_t leaf; /* its record */
    /* The same person sent the same decision on the same version again: nothing was done twice. */
    bool again;
    bool second; /* drawn for a second look */
    /* n > 0: the climb must read this workflow's certificates again */
    struct certify_events certified;
    char workflow[64];
};
/* Decides, once, and records it. Errors: FAIL_NOT_FOUND; FAIL_CONFLICT naming who decided before,
   who has it now, or that it or its ticket changed; FAIL_FORBIDDEN when it was escalated to
   somebody else; FAIL_BAD_REQUEST naming the field or what is missing. */
MUST_CHECK enum fail review_decide(struct store_tx *tx, struct audit *audit,
                                   const struct review_decide *d, struct review_decided *out,
                                   struct fault *why);

/* ---- reading ---- */

struct review_filter {
    const struct principal *who; /* whose team; administrators: all */
    enum review_state state;     /* REVIEW_STATE_COUNT: any */
    const char *workflow;        /* NULL: any */
    struct id after;             /* zero: from the oldest */
    int limit;                   /* 1..REVIEW_LIST_MAX */
};
/* Without result, draft and decision; with its fields. Borrowed during the call. false stops. */
typedef bool (*review_row_fn)(void *arg, const struct review_artifact *a);
/* Whose artifact is it? "" when there is none. */
MUST_CHECK enum fail review_owner(struct store_conn *conn, const struct id *artifact,
                                  char team[KEYRING_NAME_SIZE], struct fault *why);
/* Oldest first. */
MUST_CHECK enum fail review_list(struct store_conn *conn, const struct review_filter *filter,
                                 review_row_fn fn, void *arg, struct fault *why);
/* Everything, with strings in the arena. */
MUST_CHECK enum fail review_get(struct store_conn *conn, struct arena *arena, const struct id *id,
                                const struct principal *who, struct review_artifact *out,
                                struct fault *why);
/* How many stand in each state; workflow NULL: all. */
MUST_CHECK enum fail review_count(struct store_conn *conn, const struct principal *who,
                                  const char *workflow, int64_t counts[REVIEW_STATE_COUNT],
                                  struct fault *why);
/* Artifacts approved or edited after since_at, in order of decision: every field has `decided`.
   What learning may use as truth, with the proposal and its rung beside it. Strings are valid
   during the call. */
MUST_CHECK enum fail review_outcomes(struct store_conn *conn, const char *team,
                                     const char *workflow, int64_t since_at, review_row_fn fn,
                                     void *arg, struct fault *why);

/* Levenshtein distance in code points over the longer length, 0..1. Myers' bit-parallel form as
   blocks (Hyyrö 2003); each text is cut at 8,000 code points (about 4 ms). Pure. */
double review_edit_distance(const char *a, const char *b);

/* ---- items: who looks at what ---- */

enum review_kind { REVIEW_KIND_FIRST, REVIEW_KIND_SECOND, REVIEW_KIND_PRACTICE, REVIEW_KIND_COUNT };
const char *review_kind_name(enum review_kind k); /* "first", "second", "practice" */
enum review_order {
    REVIEW_ORDER_URGENCY, /* most urgent first, then oldest */
    REVIEW_ORDER_AGE,
    REVIEW_ORDER_CONFIDENCE, /* least sure first */
    REVIEW_ORDER_COUNT       /* as the team has set it */
};
const char *review_order_name(enum review_order o);
bool review_order_find(const char *name, enum review_order *out);

struct review_item {
    int64_t no;
    struct id artifact;
    enum review_kind kind;
    char team[KEYRING_NAME_SIZE], workflow[64], queue[64], language[16];
    int urgency; /* 0 low, 1 normal, 2 high, 3 urgent, 4 escalated */
    double confidence;
    bool waiting;
    int64_t created_at;
    char holder[REVIEW_PERSON_SIZE]; /* "": nobody, also when the lease is over */
    int64_t lease_until;
    bool forced; /* its proposals are withheld: approving it says every field */
    char target[REVIEW_PERSON_SIZE];
    int64_t deadline_at; /* 0: none */
    char person[REVIEW_PERSON_SIZE]; /* of a second look: the first reviewer; of practice: whose */
};

struct review_ask {
    const struct principal *who;
    enum review_order order;
    const char *workflow, *queue, *language; /* NULL: any */
    bool resume; /* what the person holds already comes first */
};
/*
 * The best item that this person may take, claimed in the same step; none: *found is false. Skills
 * of the person, the team, targets of escalations and the leases of others are kept. Now and then,
 * by the team's shares, it is a practice item or a forced one. FAIL_CONFLICT when the person holds
 * REVIEW_LEASES_MAX. now: µs UTC, here and below.
 */
MUST_CHECK enum fail review_next(struct store_tx *tx, const struct review_ask *ask, int64_t now,
                                 bool *found, struct review_item *out, struct fault *why);
/* Claims this artifact's item, or renews the lease of whoever has it. FAIL_CONFLICT names the
   holder; FAIL_FORBIDDEN when it was escalated to somebody else. */
MUST_CHECK enum fail review_claim(struct store_tx *tx, const struct id *artifact,
                                  const struct principal *who, int64_t now, struct review_item *out,
                                  struct fault *why);
/* Longer for whoever holds it; *held says whether that is still so. Not a failure otherwise. */
MUST_CHECK enum fail review_renew(struct store_tx *tx, const struct id *artifact,
                                  const struct principal *who, int64_t now, bool *held,
                                  struct fault *why);
/* Gives it back; nothing happens when somebody else has it. */
MUST_CHECK enum fail review_release(struct store_tx *tx, const struct id *artifact,
                                    const struct principal *who, int64_t now, struct fault *why);
/* The item as it is for this person: the one they hold, else the first. FAIL_NOT_FOUND. */
MUST_CHECK enum fail review_item_get(struct store_conn *conn, const struct id *artifact,
                                     const struct principal *who, int64_t now,
                                     struct review_item *out, struct fault *why);
/* What waits and this person could take, best first; practice is not among it. */
typedef bool (*review_item_fn)(void *arg, const struct review_item *item, const char *title);
MUST_CHECK enum fail review_queue(struct store_conn *conn, const struct review_ask *ask,
                                  int64_t now, int limit, review_item_fn fn, void *arg,
                                  struct fault *why);

struct review_item_decided {
    enum review_kind kind;
    struct review_decided first; /* KIND_FIRST alone; else record and version only */
    bool agrees; /* with the first reviewer, or with the known answer */
};
/* Decides the item that this person has (review_item_get): the artifact itself through
   review_decide; a second look and practice leave the artifact as it is. On a forced item an
   approval names every field: what equals the proposal is an approval, else an edit. Same errors
   as review_decide. */
MUST_CHECK enum fail review_item_decide(struct store_tx *tx, struct audit *audit,
                                        const struct review_decide *d,
                                        struct review_item_decided *out, struct fault *why);

/* ---- skills, settings ---- */

enum review_skill_kind { REVIEW_SKILL_WORKFLOW, REVIEW_SKILL_LANGUAGE, REVIEW_SKILL_QUEUE,
                         REVIEW_SKILL_COUNT };
const char *review_skill_name(enum review_skill_kind k);
struct review_skill {
    enum review_skill_kind kind;
    const char *value;
};
/* Replaces what this person takes; n 0: anything. */
MUST_CHECK enum fail review_skills_set(struct store_tx *tx, const char *team, const char *person,
                                       const struct review_skill *list, size_t n,
                                       struct fault *why);
typedef void (*review_skill_fn)(void *arg, const char *person, enum review_skill_kind kind,
                                const char *value);
/* person NULL: everybody's. */
MUST_CHECK enum fail review_skills(struct store_conn *conn, const char *team, const char *person,
                                   review_skill_fn fn, void *arg, struct fault *why);

struct review_target {
    char who[REVIEW_PERSON_SIZE]; /* a name, or role:reviewer, role:approver, role:admin */
    int within_s;
};
struct review_settings {
    int lease_s;           /* 5 to 3600; 300 */
    double second_share;   /* of approved and edited ones; 0 to 1; 0.05 */
    double practice_share; /* of items taken, while something is known; 0 to 0.5; 0.02 */
    double forced_share;   /* of items taken; 0 to 1; 0.02 */
    enum review_order order;
    char reasons[REVIEW_REASONS_MAX][REVIEW_REASON_SIZE];
    size_t reasons_len;
    struct review_target chain[REVIEW_CHAIN_MAX]; /* role:approver 1 day, role:admin 3 days */
    size_t chain_len;
    int often; /* 2 to 100; 3 */
};
/* The team's, or the defaults. */
MUST_CHECK enum fail review_settings_get(struct store_conn *conn, const char *team,
                                         struct review_settings *out, struct fault *why);
/* FAIL_BAD_REQUEST names what is out of range. */
MUST_CHECK enum fail review_settings_set(struct store_tx *tx, const char *team,
                                         const struct review_settings *s, struct fault *why);
/* Is this a name, or one of the roles? Pure. */
bool review_target_ok(const char *who);
/* Is p that target? Pure. */
bool review_target_is(const char *who, const struct principal *p);

/* Escalations whose deadline is over go to their next target, each with its record. The last
   target keeps it, recorded as overdue once. Call it every few seconds. */
MUST_CHECK enum fail review_sweep(struct store_tx *tx, struct audit *audit, int64_t now,
                                  int64_t *moved, struct fault *why);

/* Is there one for review_sweep? Reads one row of an index. */
MUST_CHECK enum fail review_is_late(struct store_conn *conn, int64_t now, bool *late,
                                    struct fault *why);

/* ---- working copies ---- */

struct review_working {
    int64_t version;   /* of the artifact it was begun on */
    const char *draft; /* NULL: as proposed */
    const char *fields; /* JSON object; "{}" */
    int64_t chosen;    /* bits of the sentences that are on; -1: as proposed */
    int64_t saved_at;
};
/* Keeps this person's unfinished work, and renews their lease: *held says whether they still have
   it. Kept without a lease too. FAIL_CONFLICT only when it was decided. */
MUST_CHECK enum fail review_save(struct store_tx *tx, const struct id *artifact,
                                 const struct principal *who, const struct review_working *w,
                                 int64_t now, bool *held, struct fault *why);
/* *found false: none. Strings in the arena. */
MUST_CHECK enum fail review_saved(struct store_conn *conn, struct arena *arena,
                                  const struct id *artifact, const struct principal *who,
                                  bool *found, struct review_working *out, struct fault *why);

/* A new proposal (after a hint) replaces that of `version`: fields, draft, result; the version
   grows. Reads fields, draft and result of `a`. FAIL_CONFLICT when it was decided or changed, or
   when somebody other than `who` has opened or holds it. */
MUST_CHECK enum fail review_propose(struct store_tx *tx, const struct review_artifact *a,
                                    int64_t version, const struct principal *who, int64_t now,
                                    struct fault *why);

/* ---- what it resembles ---- */

#define REVIEW_ALIKE_SAME 0.50  /* one cause: may be decided together */
#define REVIEW_ALIKE_NEAR 0.45  /* a correction of one is proposed for the other */

/* How much two texts share: Jaccard of their stems and pairs of neighbours, function words, digits
   and case aside, estimated from 128 minima (Broder 1997); 0..1, standard error at most 0.045. Of
   the first 16 KiB. Pure. */
double review_likeness(const char *a, const char *b);

struct review_alike {
    struct id artifact;
    int64_t version;
    double likeness; /* the sketches', or the vectors' cosine where that is over 0.9 */
    enum review_state state;
    bool held; /* by somebody else */
    const char *title;
};
/* Waiting artifacts of the same team and workflow that are at least `least` like this one, most
   alike first, not itself; at most REVIEW_ALIKE_MAX. Strings in the arena. Reads up to 5,000
   sketches: about 10 ms. */
MUST_CHECK enum fail review_alike(struct store_conn *conn, struct arena *arena,
                                  const struct id *artifact, const struct principal *who,
                                  double least, int64_t now, struct review_alike **list, size_t *n,
                                  struct fault *why);
/* The newest correction of something alike: which one, how alike, and what it decided (fields of
   type choice whose value a person changed; the reason of a rejection). found false: none. Never
   applied by itself. Strings in the arena. */
struct review_precedent {
    bool found;
    struct id artifact;
    double likeness;
    enum review_action action;
    const char *ticket; /* "": the caller gave none */
    const char *reason;
    int64_t decided_at;
    struct review_value fields[REVIEW_FIELDS_MAX];
    size_t fields_len;
};
MUST_CHECK enum fail review_precedent(struct store_conn *conn, struct arena *arena,
                                      const struct id *artifact, struct review_precedent *out,
                                      struct fault *why);

/* ---- the ticket behind it ---- */

/* The desk's ticket moved on: every undecided artifact of it says so. text NULL: only the version
   is known. *n: how many artifacts. FAIL_BAD_REQUEST. */
MUST_CHECK enum fail review_ticket_moved(struct store_tx *tx, const char *team, const char *ticket,
                                         const char *version, const char *text, int64_t now,
                                         int64_t *n, struct fault *why);
struct review_ticket {
    const char *ticket, *version, *now; /* version: that it was made from */
    const char *text;                   /* as it is now; NULL: as the input */
};
/* Strings in the arena; found false: no ticket is known. */
MUST_CHECK enum fail review_ticket_get(struct store_conn *conn, struct arena *arena,
                                       const struct id *artifact, bool *found,
                                       struct review_ticket *out, struct fault *why);

/* What stands in one text and not in the other, sentence by sentence, in order: a longest common
   subsequence of at most 400 sentences of each. text is borrowed. Pure. */
typedef void (*review_change_fn)(void *arg, bool added, const char *text, size_t len);
void review_difference(const char *before, const char *after, review_change_fn fn, void *arg);

/* ---- how it ended ---- */

enum review_ending { REVIEW_ENDING_REOPENED, REVIEW_ENDING_SOLVED, REVIEW_ENDING_CSAT,
                     REVIEW_ENDING_COUNT };
const char *review_ending_name(enum review_ending e);
bool review_ending_find(const char *name, enum review_ending *out);
struct review_outcome {
    struct id artifact; /* zero: every artifact of the ticket */
    const char *ticket;
    enum review_ending kind;
    double value; /* csat 0..1; else 1, or 0 to take it back */
    int64_t at;   /* µs UTC; the same one again changes nothing but the value */
    const char *source;
};
/* *n: artifacts it was joined to. FAIL_NOT_FOUND when there is none in the principal's teams. */
MUST_CHECK enum fail review_outcome_put(struct store_tx *tx, const struct principal *who,
                                        const struct review_outcome *o, int64_t now, int64_t *n,
                                        struct fault *why);
typedef void (*review_outcome_fn)(void *arg, const struct review_outcome *o);
MUST_CHECK enum fail review_outcomes_of(struct store_conn *conn, const struct id *artifact,
                                        review_outcome_fn fn, void *arg, struct fault *why);

#define REVIEW_GROUP_MIN 5 /* fewer artifacts, or fewer people: no figures */
enum review_by { REVIEW_BY_WORKFLOW, REVIEW_BY_ACTION, REVIEW_BY_QUEUE, REVIEW_BY_COUNT };
const char *review_by_name(enum review_by b);
bool review_by_find(const char *name, enum review_by *out);
/* Of the work, never of one person: of decided artifacts since a time. */
struct review_figures {
    const char *group;
    int64_t decided;   /* artifacts */
    bool too_few;      /* under REVIEW_GROUP_MIN: all below are 0 */
    int64_t approved, edited, rejected;
    int64_t reopened, solved; /* by their newest such outcome */
    int64_t rated;
    double csat;          /* mean of the rated */
    double edit_distance; /* mean of the edited */
    int64_t median_ms;    /* of a review; -1 unknown */
    /* of second looks and practice; 0 while fewer than REVIEW_GROUP_MIN people did them */
    int64_t seconds, agreed, practised, right;
};
typedef void (*review_figures_fn)(void *arg, const struct review_figures *f);
MUST_CHECK enum fail review_measure(struct store_conn *conn, const struct principal *who,
                                    enum review_by by, int64_t since_at, review_figures_fn fn,
                                    void *arg, struct fault *why);
/* A person's own: nobody else's are given out. */
struct review_own {
    int64_t decided, approved, edited, rejected, escalated;
    int64_t seconds, agreed, practised, right, forced;
    int64_t held; /* leases now */
};
MUST_CHECK enum fail review_own(struct store_conn *conn, const struct principal *who,
                                int64_t since_at, int64_t now, struct review_own *out,
                                struct fault *why);

/* How one field of a workflow fared with people since a time, for whoever decides how much it may
   do alone: n decided, of these `kept` as proposed by `rung` (NULL: any). */
struct review_fared {
    int64_t n, kept;
};
MUST_CHECK enum fail review_fared(struct store_conn *conn, const char *team, const char *workflow,
                                  const char *field, const char *rung, int64_t since_at,
                                  struct review_fared *out, struct fault *why);

/* ---- practice ---- */

/* A decided artifact is shown as practice from now on, or no longer. FAIL_CONFLICT when it is not
   approved, edited, rejected or delivered. */
MUST_CHECK enum fail review_known_set(struct store_tx *tx, const struct id *artifact,
                                      const struct principal *who, bool on, int64_t now,
                                      struct fault *why);

/* ---- asked often ---- */

struct review_often {
    struct id artifacts[64]; /* the first is the most like the others */
    size_t n;
    int64_t people; /* different requesters or tickets */
};
typedef bool (*review_often_fn)(void *arg, const struct review_often *o);
/* Groups of questions for which nothing was found to draft from, and which people answered since
   then: at least the team's `often` alike, of at least two requesters or tickets. Largest first.
   Crunch thread: up to 2,000 sketches compared with each other. */
MUST_CHECK enum fail review_often(struct store_conn *conn, const struct principal *who,
                                  int64_t since_at, review_often_fn fn, void *arg,
                                  struct fault *why);
/* A draft of an article was made of these: they are not found again. */
MUST_CHECK enum fail review_often_drafted(struct store_tx *tx, const struct review_often *o,
                                          struct fault *why);
/* Teams with questions for which nothing was found, at most `room`. */
MUST_CHECK enum fail review_often_teams(struct store_conn *conn, char teams[][KEYRING_NAME_SIZE],
                                        size_t room, size_t *n, struct fault *why);
/*
 * The sentences that at least two requesters were answered with word for word (numbers too; case
 * and punctuation aside), in the order of the first reply; one that the guard finds anything
 * personal in is left out. Lines into *body.
 * *n: how many; 0: they share none. Pure. replies: n_replies of them, each by its requester.
 */
struct review_reply {
    const char *requester; /* whom it answered: two of one requester count once */
    const char *text;
};
MUST_CHECK enum fail review_article(const struct review_reply *replies, size_t n_replies,
                                    struct buf *body, size_t *n, struct fault *why);
