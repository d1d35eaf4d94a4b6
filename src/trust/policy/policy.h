/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy: may they, how much, how far, and not at all: the one place that says so.
 *
 * policy_may answers for a route, default deny; policy_may_name for what a request's body names.
 * Limits of a key, team, workflow or the whole server: requests and tokens in any 60 seconds, tasks
 * at once, and money spent at other servers in a day and a month (UTC), each reserved before and
 * settled after. Money is only ever asked for by what costs money: a spent budget stops calls to
 * other servers and nothing else. Labels: the highest of all that a request touches. Stop switches:
 * a key, team, workflow, model, upstream or everything, in force before the call returns.
 *
 * An administrator (role admin, and the local user) is of the server, not of a team: sees the
 * objects of all teams. Everybody else sees the own team's. There is no administrator of one team.
 *
 * Exact: all counters stand under one lock, a reservation takes from all of its limits or from
 * none. A window is 61 slots of a second, so no 60 seconds ever hold more than the limit.
 * Kept: limits, labels and switches in one write with their record; money held before a call may
 * leave (a hold that outlives its process counts in full) and settled behind; windows once a
 * second, so a process that was killed may forget the last second of them.
 *
 * Owns: tables policy_limit, policy_use, policy_spend, policy_hold, policy_halt.
 * Threads: any, unless a function says that it blocks. Limits: 16,384 counted names (idle ones
 * without limits make room), 4,096 limits, 256 switches, 65,536 open holds of money.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"

#define POLICY_NAME_SIZE 130
#define POLICY_REASON_SIZE 201
#define POLICY_NO_LIMIT (-1)
#define POLICY_HALTS_MAX 256

/* What limits and switches are for. Limits: the first four. */
enum policy_kind {
    POLICY_KEY, /* whoever calls: the key by its name, or a user, or local:UID */
    POLICY_TEAM,
    POLICY_WORKFLOW,
    POLICY_ALL, /* the server; its name is "all" */
    POLICY_MODEL,
    POLICY_UPSTREAM,
    POLICY_KIND_COUNT
};
#define POLICY_LIMIT_KINDS 4
#define POLICY_ALL_NAME "all"
const char *policy_kind_name(enum policy_kind kind); /* "key", ..., "everything" for ALL */
enum policy_kind policy_kind_find(const char *name); /* POLICY_KIND_COUNT: none */

enum policy_object {
#define OBJECT(name, text, whose, missing) POLICY_OBJECT_##name,
#include "trust/policy/objects.def"
#undef OBJECT
    POLICY_OBJECT_COUNT
};
const char *policy_object_name(enum policy_object object);
/* Is it one team's (true), or the server's own? */
bool policy_object_is_owned(enum policy_object object);

/* Nano-units of the currency, tokens, requests, tasks; POLICY_NO_LIMIT: none. */
struct policy_limits {
    int64_t requests; /* in any 60 s; a heavy route counts ten */
    int64_t tokens;   /* in any 60 s */
    int64_t parallel; /* tasks at once */
    int64_t day, month;
};
/* What holds where no limit of a name's own is set. */
struct policy_defaults {
    struct policy_limits key, team, all;
};

struct policy;
/* Reads what is stored. Blocks. store and audit outlive it. */
MUST_CHECK enum fail policy_open(struct store *store, struct audit *audit,
                                 const struct policy_defaults *defaults, struct policy **out,
                                 struct fault *why);
void policy_close(struct policy *p); /* after the store was closed; NULL is fine */
void policy_set_defaults(struct policy *p, const struct policy_defaults *defaults);

/* ---- may they ---- */

/* Whose is this object? FAIL_NONE with its team, "" when there is no such object, or why it cannot
   be said. Does the same work for either. Called on the asking thread. */
typedef enum fail (*policy_owner_fn)(void *arg, enum policy_object object, const char *id,
                                     char team[KEYRING_NAME_SIZE], struct fault *why);
void policy_set_owner(struct policy *p, policy_owner_fn fn, void *arg); /* once, at the start */

struct policy_ask {
    const struct principal *who; /* NULL: nobody said who they are */
    uint32_t scope;              /* of the route; 0: open to everybody */
    enum policy_object object;
    const char *id;              /* as it stands in the path; NULL when the object is NONE */
    bool is_switch;              /* the route of the stop switches: never itself stopped */
};
/*
 * The decision for one request. Nothing is allowed that is not said here: FAIL_UNAUTHENTICATED
 * without a principal, FAIL_FORBIDDEN naming the scope, FAIL_STOPPED naming the switch,
 * FAIL_NOT_FOUND for what is another team's, is not there, or that this key is not held to: the
 * same words, found by the same steps. Reads the store where the object is a team's.
 */
MUST_CHECK enum fail policy_may(struct policy *p, const struct policy_ask *ask, struct fault *why);
/* May this caller name that workflow, model or dataset? For names that stand in a body:
   FAIL_NOT_FOUND in the words of a name that is not there. Called before the name is looked up. */
MUST_CHECK enum fail policy_may_name(const struct policy *p, const struct principal *who,
                                     enum policy_object object, const char *name,
                                     struct fault *why);
/* Do this team's objects show to this caller? Pure; for lists. */
bool policy_sees(const struct principal *who, const char *team);
/* Is this an administrator of the server? Pure. */
bool policy_is_admin(const struct principal *who);

/* ---- how far ---- */

/*
 * The label of a request: the highest of its team's (in the principal), the workflow's and the
 * whole server's own (policy_label_set), the workflow definition's, the dataset's, what the request
 * says and what the guard found. Without any of them: public. workflow may be NULL.
 */
enum secrecy policy_label(struct policy *p, const struct principal *who, const char *workflow,
                          enum secrecy defined, enum secrecy dataset, enum secrecy said,
                          enum secrecy found);
/* Of a WORKFLOW, or ALL: the least label that its work has; public takes it away. Teams have theirs
   in the keyring. Recorded. Blocks until durable. */
MUST_CHECK enum fail policy_label_set(struct policy *p, enum policy_kind kind, const char *name,
                                      enum secrecy label, const struct principal *by,
                                      struct fault *why);

/* ---- how much: requests ---- */

/* What is left for a caller, for the headers: the tightest limit of each kind, -1 for none. */
struct policy_room {
    int64_t requests_limit, requests_left;
    int reset_requests_s; /* until all of it is free again */
    int64_t tokens_limit, tokens_left;
    int reset_tokens_s;
};
/* Takes `cost` requests from the caller, its team and the server, or nothing: FAIL_RATE_LIMITED
   with retry_after_s. room may be NULL, and is filled on FAIL_RATE_LIMITED too. */
MUST_CHECK enum fail policy_request(struct policy *p, const struct principal *who, int64_t cost,
                                    struct policy_room *room, struct fault *why);

/* ---- how much: a task ---- */

/* What a task holds until policy_end. Zeroed: nothing. The caller keeps it. */
struct policy_hold {
    bool is_held;
    char name[POLICY_LIMIT_KINDS][POLICY_NAME_SIZE]; /* by kind; "": none */
    int64_t tokens;
    int64_t at_s; /* slot the tokens stand in */
};
/*
 * The gate of every task: no switch stands against the caller, team, workflow (NULL: none), model
 * (NULL: not known yet) or everything, and tasks at once and tokens are reserved. tokens: bytes/3 +
 * max_tokens. FAIL_STOPPED, FAIL_RATE_LIMITED; then *hold is nothing.
 */
MUST_CHECK enum fail policy_begin(struct policy *p, const struct principal *who,
                                  const char *workflow, const char *model, int64_t tokens,
                                  struct policy_hold *hold, struct fault *why);
/* The task is over: what it really took, cached tokens too. Once; a hold of nothing is fine. */
void policy_end(struct policy *p, struct policy_hold *hold, int64_t tokens);

/* ---- how much: money ---- */

/* Who pays: names of the caller, the team and the workflow ("" or NULL: none). */
struct policy_payer {
    const char *caller, *team, *workflow;
};
struct policy_budget {
    int64_t left;     /* nano-units that may still be reserved, INT64_MAX: no budget is set */
    double forecast;  /* spend at the end of the period at its present pace, divided by the budget:
                         the highest of all that apply; -1: no budget is set */
    int resets_s;     /* until the budget that is tightest begins anew */
};
/* The tightest budget of this payer. For the route facts budget_left and budget_forecast. */
void policy_budget(struct policy *p, const struct policy_payer *payer, struct policy_budget *out);

/* Reserves nano-units from every budget of the payer, or from none: FAIL_OVER_BUDGET says which and
   when it begins anew. *id names the hold (zero when nano is 0). The hold is queued to the store
   before this returns: a write queued afterwards that is durable means that the hold is. */
MUST_CHECK enum fail policy_spend_hold(struct policy *p, const struct policy_payer *payer,
                                       int64_t nano, struct id *id, struct fault *why);
/* What it came to, 0 when nothing was asked; the rest is given back. Once; a zero id is fine. */
void policy_spend_settle(struct policy *p, const struct id *id, int64_t nano);

/* Recorded. Blocks until durable. FAIL_BAD_REQUEST for kinds without limits, FAIL_QUEUE_FULL for
   too many. All POLICY_NO_LIMIT: back to the default. */
MUST_CHECK enum fail policy_limits_set(struct policy *p, enum policy_kind kind, const char *name,
                                       const struct policy_limits *limits,
                                       const struct principal *by, struct fault *why);

/* One name with its limits and what is used of them. */
struct policy_row {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    bool is_set; /* limits of its own, else the defaults */
    struct policy_limits limits;
    bool has_label;
    enum secrecy label;
    int64_t requests, tokens, parallel;      /* used now */
    int64_t day_spent, day_held, month_spent, month_held;
};
/* What is set, and what was counted lately, by kind and name. fn is called without the lock. */
void policy_each(struct policy *p, void (*fn)(void *arg, const struct policy_row *row), void *arg);
/* The limits that hold for a name, set or default. */
void policy_limits_of(struct policy *p, enum policy_kind kind, const char *name,
                      struct policy_limits *out);

/* The limits of its own, POLICY_NO_LIMIT where it has none. */
void policy_limits_own(struct policy *p, enum policy_kind kind, const char *name,
                       struct policy_limits *out);

/* Writes the windows that have changed, behind the caller's back. Once a second. */
void policy_flush(struct policy *p);
/* The same, waiting. At the end, before the store closes. */
void policy_flush_wait(struct policy *p);

/* ---- not at all ---- */

struct policy_halt {
    enum policy_kind kind;
    char name[POLICY_NAME_SIZE];
    char reason[POLICY_REASON_SIZE];
    char by[POLICY_NAME_SIZE];
    int64_t at;
    bool is_kept; /* durable: it outlives a restart */
};
/*
 * Turns a switch on or off. On: in force, and told to policy_on_halt's function, before anything is
 * written, and stays so when the record fails (the error says so). Off: in force once recorded.
 * Blocks until durable. Turning on what is on changes its reason; turning off what is off is
 * FAIL_NOT_FOUND. FAIL_QUEUE_FULL: 256 stand already.
 */
MUST_CHECK enum fail policy_halt_set(struct policy *p, enum policy_kind kind, const char *name,
                                     bool on, const char *reason, const struct principal *by,
                                     struct fault *why);
/* Any thread; a load when nothing is switched. */
bool policy_is_halted(const struct policy *p, enum policy_kind kind, const char *name);
/* All that concerns one piece of work; NULL names are not looked at. FAIL_STOPPED names it. */
MUST_CHECK enum fail policy_halt_check(const struct policy *p, const struct principal *who,
                                       const char *workflow, const char *model,
                                       struct fault *why);
/* What limits and switches of a KEY call this principal. */
const char *policy_caller(const struct principal *who);
/* Called on whichever thread turned one on or off, at once; once set. */
void policy_on_halt(struct policy *p, void (*fn)(void *arg), void *arg);
size_t policy_halts(const struct policy *p, struct policy_halt *out, size_t room);
