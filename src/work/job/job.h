/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job: a batch of tasks that outlives the request that made it. Three kinds: `program` (one run of
 * a program over its inputs, one artifact), `batch` (many items through a form workflow) and
 * `stream` (the same, items arriving one by one until it is closed).
 *
 * States: queued -> leased -> done | failed | dead; queued and leased can be paused (and resumed)
 * or cancelled; what is over can be replayed, which makes a new job of the recorded inputs,
 * definition, parameters and time. A lease lasts JOB_LEASE_S, is renewed while its thread lives and
 * numbered: what an older lease writes is refused, so a job that was taken twice is finished once.
 * The artifact, its outputs and the state `done` are one write. When a process dies, its leases
 * are taken back at the next start (or when they expire): a program begins again, a batch goes on
 * after its last finished item, whose task is found again under its idempotency key. What is
 * retryable (fail_is_retryable) is tried again after 2, 4, 8, ... s, at most JOB_ATTEMPTS_MAX
 * leases; then the job is dead. The deadline counts time leased.
 *
 * A job keeps the definition it began with: a new release changes jobs made afterwards.
 * Inputs and outputs are content of the job's subject (trust/audit): encrypted, and gone with it
 * when the person is erased. Making, every step, changes by a person, and the end are records.
 *
 * Owns: tables job, job_definition, job_file, job_piece, job_step, job_item; its threads; the
 * active definitions of programs. Threads: JOB_THREADS that work and one that watches; every
 * function may be called from any thread but the core's and the store's, and blocks on the store,
 * unless it says otherwise.
 * Limits: PROGRAM_INPUT_BYTES of inputs, JOB_ITEMS_MAX items, JOB_WAITING_MAX jobs of a team that
 * are not over, JOB_DEFINITIONS_MAX definitions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/task/task.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "trust/policy/policy.h"
#include "work/program/program.h"

#define JOB_THREADS 2
#define JOB_LEASE_S 60
#define JOB_ATTEMPTS_MAX 8
#define JOB_ITEMS_MAX 50000
#define JOB_WAITING_MAX 1000
#define JOB_DEFINITIONS_MAX 64
#define JOB_FLIGHT 8 /* items of a batch at once */
#define JOB_LIST_MAX 500
#define JOB_PIECE_BYTES ((size_t)4 << 20)

enum job_kind { JOB_PROGRAM, JOB_BATCH, JOB_STREAM, JOB_KIND_COUNT };
const char *job_kind_name(enum job_kind kind); /* "program", "batch", "stream" */

enum job_state {
#define STATE(name, text) JOB_STATE_##name,
#include "work/job/states.def"
#undef STATE
    JOB_STATE_COUNT /* in filters: any */
};
const char *job_state_name(enum job_state state);
bool job_state_find(const char *name, enum job_state *out);
bool job_state_is_over(enum job_state state); /* done, failed, dead, cancelled */

/* ---- the room ---- */

/* What it works with; outlives it. */
struct job_house {
    struct loop *loop; /* the core loop */
    struct store *store;
    struct audit *audit;
    struct keyring *keyring; /* NULL: whoever made a job may still have it done */
    struct policy *policy;   /* NULL: nothing is switched off */
    struct fleet *fleet;     /* NULL: prompts are not rendered, no model is known to serve */
    struct task_desk *desk;
    /* pools of other servers that serve a role while no worker here does; "" or NULL: none */
    const char *light, *heavy;
    double machine_hour; /* what an hour of this machine costs, in units of the currency */
    const char *reader_path; /* inhouse-reader; NULL: beside this executable */
    /* instead of programs.def; NULL: that. For tests */
    const struct program_ops *const *programs;
    size_t programs_len;
    int threads; /* 0: JOB_THREADS */
};
struct jobs;
/* Takes back what a process that died held. */
MUST_CHECK enum fail jobs_open(const struct job_house *house, struct jobs **out, struct fault *why);
/* Starts the threads that run them: once, when the desk was given its workflows, or what begins
   again would not find them. On failure the caller closes. */
MUST_CHECK enum fail jobs_start(struct jobs *j, struct fault *why);
/* No job begins any more, running ones are asked to stop; does not block. Core thread, before the
   desk drains. */
void jobs_stop(struct jobs *j);
/* After jobs_stop; the loop may have stopped. Waits for the threads. Leases are given back. */
void jobs_close(struct jobs *j);
/* Is a job being worked on? Any thread, does not block. */
bool jobs_are_busy(const struct jobs *j);

/* ---- definitions of programs ---- */

const struct program_ops *const *jobs_programs(const struct jobs *j, size_t *n);
/* Makes it the active one of its name, from the next job on; takes a reference. FAIL_QUEUE_FULL
   over JOB_DEFINITIONS_MAX names. Does not block. */
MUST_CHECK enum fail jobs_define(struct jobs *j, struct program_definition *d, struct fault *why);
/* The name is a form's again. Does not block. */
void jobs_undefine(struct jobs *j, const char *name);
/* A reference, or NULL. Does not block. */
struct program_definition *jobs_find_definition(struct jobs *j, const char *name);
/* Calls fn for each, by name, with the lock held. Does not block. */
void jobs_each_definition(struct jobs *j, void (*fn)(void *arg, const struct program_definition *d),
                          void *arg);

/* ---- making ---- */

struct job_new {
    enum job_kind kind;
    const struct principal *who;
    const char *workflow; /* PROGRAM: of an active definition; else of a form the desk has */
    enum secrecy label;   /* at least */
    const char *title;    /* may be NULL */
    int64_t deadline_s;   /* 0: the definition's; a batch's: a day */
    /* PROGRAM: by role. BATCH: one, JSON lines {"id","subject","text"}. STREAM: none. */
    const struct program_input *inputs;
    size_t inputs_len;
    const struct program_var *params; /* PROGRAM */
    size_t params_len;
    const char *format; /* PROGRAM, may be NULL */
    unsigned rungs;     /* BATCH, STREAM: as task_request's */
    bool no_draft, no_artifact;
};
/* Checks, stores inputs and job, records it. Everything that program_start_check says;
   FAIL_NOT_FOUND no such workflow; FAIL_QUEUE_FULL over JOB_WAITING_MAX; FAIL_BAD_REQUEST names the
   line of a batch that is no item. */
MUST_CHECK enum fail jobs_new(struct jobs *j, const struct job_new *n, struct id *id,
                              struct fault *why);
/* STREAM: takes more items (JSON lines), all or none; *items is how many there are now.
   FAIL_CONFLICT when it is closed or over. */
MUST_CHECK enum fail jobs_add(struct jobs *j, const struct id *id, const struct principal *who,
                              const char *lines, size_t len, int64_t *items, struct fault *why);

/* ---- changing: by whoever may see it. FAIL_NOT_FOUND; FAIL_CONFLICT from another state ---- */

MUST_CHECK enum fail jobs_pause(struct jobs *j, const struct id *id, const struct principal *who,
                                struct fault *why);
MUST_CHECK enum fail jobs_resume(struct jobs *j, const struct id *id, const struct principal *who,
                                 struct fault *why);
MUST_CHECK enum fail jobs_cancel(struct jobs *j, const struct id *id, const struct principal *who,
                                 struct fault *why);
/* STREAM: no more items come; it is done when the last one is. */
MUST_CHECK enum fail jobs_end(struct jobs *j, const struct id *id, const struct principal *who,
                              struct fault *why);
/* A new job of one that is over, for `who`: the same inputs, definition, parameters, label and
   time. FAIL_NOT_FOUND also when its inputs were erased. */
MUST_CHECK enum fail jobs_replay(struct jobs *j, const struct id *id, const struct principal *who,
                                 struct id *made, struct fault *why);

/* Inside a write: empties what (team, actor)'s jobs say of themselves: titles, names of files and
   items, parameters, messages; those that are not over are cancelled. Their files are content and
   go with audit_subject_erase. *n gets how many jobs. */
MUST_CHECK enum fail jobs_forget(struct store_tx *tx, const char *team, const char *actor,
                                 int64_t *n, struct fault *why);

/* ---- reading: any thread's own reader. Foreign and missing ones look alike ---- */

struct job_file {
    const char *role, *name, *type;
    int64_t bytes;
    char sha256[TEXT_SHA256_HEX_SIZE];
    bool main;
};
struct job_step {
    int64_t attempt; /* number of the lease */
    const char *name;
    double ms;
    int64_t asks, tokens_in, tokens_cached, tokens_out, cost, ended_at, leaf;
};
struct job_row {
    struct id id;
    enum job_kind kind;
    enum job_state state;
    const char *workflow, *release, *team, *actor, *title, *format, *stage, *note;
    const char *code, *message, *hint; /* "" when nothing went wrong */
    enum secrecy label;
    bool closed;
    int64_t created_at, updated_at, started_at, ended_at, not_before, attempts, deadline_s;
    double share;
    struct id artifact, replay_of; /* zero: none */
    int64_t items, items_done, items_failed;
    /* of all its steps */
    double ms;
    int64_t tokens_in, tokens_out, cost;
    /* jobs_get only, in its arena */
    const struct job_file *inputs, *outputs;
    size_t inputs_len, outputs_len;
    const struct job_step *steps;
    size_t steps_len;
};
struct job_filter {
    const struct principal *who;
    enum job_state state; /* JOB_STATE_COUNT: any */
    const char *workflow; /* NULL: any */
    struct id before;     /* zero: from the newest */
    int limit;            /* 1..JOB_LIST_MAX */
};
typedef bool (*job_row_fn)(void *arg, const struct job_row *row); /* false stops */
/* Newest first. */
MUST_CHECK enum fail jobs_list(struct store_conn *conn, const struct job_filter *filter,
                               job_row_fn fn, void *arg, struct fault *why);
MUST_CHECK enum fail jobs_get(struct store_conn *conn, struct arena *arena, const struct id *id,
                              const struct principal *who, struct job_row *out, struct fault *why);
/* Whose job is it? "" when there is none. */
MUST_CHECK enum fail jobs_owner(struct store_conn *conn, const struct id *id,
                                char team[KEYRING_NAME_SIZE], struct fault *why);
/* An output by name, appended to out; type gets its media type (room of 128). FAIL_NOT_FOUND also
   when it was erased. */
MUST_CHECK enum fail jobs_output(struct audit *audit, struct store_conn *conn, const struct id *id,
                                 const struct principal *who, const char *name, struct buf *out,
                                 char type[128], struct fault *why);
/* Results of a batch or stream as JSON lines, in the order of the items, from item `after` (0: the
   first) on, as many as are over without a gap and fit: each {"id","item",...} with the task's own
   answer under "result", or "error". *next is the item to go on after. */
MUST_CHECK enum fail jobs_results(struct store_conn *conn, const struct id *id,
                                  const struct principal *who, int64_t after, struct buf *out,
                                  int64_t *next, struct fault *why);
