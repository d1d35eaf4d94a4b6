/* SPDX-License-Identifier: Apache-2.0 */
/* Job, inside: the room's state, a job as it was taken, and who moves it. */
#pragma once

#include <pthread.h>

#include "base/loop/loop.h"
#include "run/fleet/fleet.h"
#include "work/job/job.h"

#define JOB_SHORT 256
#define JOB_DEADLINE_BATCH_S 86400

/* A job that a thread of this process works on. */
struct job_work {
    struct jobs *jobs;
    struct id job;
    int64_t lease;
    int64_t due_us;       /* monotonic */
    bool stop;            /* atomic: somebody waits for it to stop */
    enum fail stop_code;  /* DEADLINE, STOPPED; set before stop */
    /* under the room's lock: what the watcher writes down */
    double share;
    char stage[48], note[JOB_SHORT];
    bool moved;
    int64_t renewed_us;
    struct job_work *next;
    struct store_conn *reader;
};

struct jobs {
    struct job_house house;
    const struct program_ops *const *programs;
    size_t programs_len;
    struct id boot; /* names this process in leases */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a job may be there, or it is time to stop */
    bool stopping;       /* atomic */
    uint64_t generation; /* under the lock: grows with every job that may be taken */
    struct program_definition *definitions[JOB_DEFINITIONS_MAX];
    size_t definitions_len;
    struct job_work *working;
    pthread_t threads[16], watcher;
    int threads_len;
    bool watching;
};

/* A job as it stands when taken; on the heap, freed with job_taken_free. */
struct job_taken {
    struct id id;
    enum job_kind kind;
    int64_t lease, attempts, now_at, deadline_s;
    bool closed;
    char workflow[64], release[TEXT_SHA256_HEX_SIZE], title[JOB_SHORT], format[64];
    struct principal who;
    enum secrecy label;
    char *params_text; /* names and values, cut up */
    struct program_var params[PROGRAM_PARAMS_MAX];
    size_t params_len;
    unsigned rungs;
    bool no_draft, no_artifact;
};

/* ---- state.c: the one mover ---- */
/* Is there one? A read alone, so that waiting writes nothing. */
bool job_is_ready(struct store_conn *reader);
/* Takes the next job that may be worked on; *t is NULL when there is none. Blocks. */
enum fail job_take(struct jobs *j, struct job_taken **t, struct fault *why);
void job_taken_free(struct job_taken *t);
/* Ends a lease: DONE, FAILED (why says it) or, when what failed may pass, QUEUED or DEAD. Inside a
   write. FAIL_CONFLICT: the lease is over already. */
enum fail job_move(struct store_tx *tx, struct jobs *j, const struct job_taken *t,
                   enum job_state to, const struct fault *because, const struct id *artifact,
                   struct fault *why);
/* Gives a lease back unused: the server ends, or nothing may run now. Blocks. */
void job_give_back(struct jobs *j, const struct job_taken *t, int64_t wait_ms);
/* What happens to a job whose run failed like this. */
enum job_state job_state_after(const struct job_taken *t, enum fail code);
/* Leases of dead processes (all but `boot`'s when at_start) and expired ones. Blocks. */
enum fail job_take_back(struct jobs *j, bool at_start, struct fault *why);
/* The watcher's: progress, and the lease's new end. Blocks. */
enum fail job_note(struct jobs *j, const struct job_work *w, bool renew, struct fault *why);
/* An event of a job, in the record. */
enum fail job_record(struct store_tx *tx, struct jobs *j, enum audit_kind kind,
                     const struct id *job, const struct principal *by, const char *release,
                     const char *verdict, const struct job_step *step, int64_t *leaf,
                     struct fault *why);
/* A job may have become ready. Any thread. */
void job_wake(struct jobs *j);
/* Asks whoever works on it to stop. Any thread. */
void job_stop_work(struct jobs *j, const struct id *job, enum fail code);

/* ---- files.c: inputs and outputs as pieces of content ---- */
enum { JOB_INPUT, JOB_OUTPUT };
struct job_put_file {
    int side;
    int64_t place;
    const char *role, *name, *type;
    const void *bytes;
    size_t len;
    bool main;
};
/* Inside a write. */
enum fail job_file_put(struct store_tx *tx, struct jobs *j, const struct id *job, const char *team,
                       const char *actor, const struct job_put_file *f, struct fault *why);
/* The bytes of one, appended. FAIL_NOT_FOUND when they were erased. */
enum fail job_file_get(struct audit *audit, struct store_conn *conn, const struct id *job,
                       int side, int64_t place, struct buf *out, struct fault *why);
/* The inputs of a job, as a program takes them; names and bytes in `memory` (given back with
   mem_free each; *n of them). */
struct job_inputs {
    struct program_input list[PROGRAM_INPUTS_MAX];
    size_t len;
    char *owned[PROGRAM_INPUTS_MAX * 4];
    size_t owned_len;
};
enum fail job_inputs_get(struct audit *audit, struct store_conn *conn, const struct id *job,
                         struct job_inputs *out, struct fault *why);
void job_inputs_done(struct job_inputs *in);

/* ---- items.c ---- */
/* Reads JSON lines; adds their items as `item`, item + 1, ... of input `place`. Inside a write. */
enum fail job_items_put(struct store_tx *tx, const struct id *job, int64_t place, int64_t item,
                        const char *lines, size_t len, struct fault *why);
/* How many items the lines hold, or which line is none. Pure. */
enum fail job_items_check(const char *lines, size_t len, int64_t *n, struct fault *why);
/* Works through the items of a batch or stream until none is queued. FAIL_STOPPED when told to. */
enum fail job_items_run(struct jobs *j, struct job_work *w, const struct job_taken *t,
                        struct fault *why);

/* ---- host.c: what a program reaches the house through ---- */
void job_host(struct jobs *j, struct job_work *w, const struct job_taken *t,
              enum secrecy label, struct program_host *out);

/* ---- work.c ---- */
void *job_thread(void *jobs);
void *job_watch(void *jobs);
/* The definition that a job began with: the active one, or the one kept. NULL: why. */
struct program_definition *job_definition_of(struct jobs *j, struct store_conn *conn,
                                             const char *name, const char *release,
                                             struct fault *why);
bool job_is_stopped(const struct job_work *w);
