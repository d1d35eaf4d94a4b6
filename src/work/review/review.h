/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Review: what people look at and what they decide.
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
 * Owns: tables artifact, artifact_field, decision. The input's text is not here: it is content of
 * the task (audit_content_get), so that it can be erased.
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
};

/* ---- making ---- */

/* Stores a new artifact, in_review when `waits`, else draft. Reads id, task, workflow, team, actor,
   title, result, draft, fields (all but `decided`). Errors: FAIL_TOO_LARGE, FAIL_CONFLICT (id
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
    /* n > 0: the climb must read this workflow's certificates again */
    struct certify_events certified;
    char workflow[64];
};
/* Decides, once, and records it. Errors: FAIL_NOT_FOUND; FAIL_CONFLICT naming who decided before or
   that it changed; FAIL_BAD_REQUEST naming the field or what is missing. */
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
