/* SPDX-License-Identifier: Apache-2.0 */
/* Fleet's own shapes: a member is one worker process, an ask waits for or sits in one. */
#pragma once

#include <sys/types.h>

#include "run/fleet/fleet.h"

#define FLEET_BODY_MAX ((size_t)IPC_FRAME_MAX)
#define FLEET_OUT_MAX ((size_t)64 * 1024 * 1024)
#define FLEET_HANG_MS 120000     /* no frame for so long while asks are open: the worker hangs */
#define FLEET_LEASE_US 200000u   /* design section 4: at most 200 ms of forecast work a turn */
#define FLEET_STARVED_US 2000000 /* a turn that waited this long goes first whatever its class */
#define FLEET_DEATHS_MAX 2       /* deaths of its worker an ask may be present at */
#define FLEET_KILLS_MAX 6        /* the same for kill -9 from outside, which names nobody */
#define FLEET_LOAD_DEATHS_MAX 3  /* in a row, before it was ready: the model is broken */

struct ask {
    struct ask *next;        /* among the open ones */
    struct queue_item item;
    struct queue *queue;     /* where it waits or is in service, NULL: in none */
    char team[QUEUE_TEAM_SIZE];
    uint64_t id;
    uint32_t model;       /* 0: by role */
    enum fleet_role role;
    enum ipc_type type;
    unsigned flags;
    char *body;
    size_t len;
    const struct form_plan *plan;
    fleet_text_fn on_text;
    fleet_done_fn done;
    void *arg;
    int deaths;     /* workers that died of themselves while it was open */
    int kills;      /* workers that were killed from outside while it was open */
    char *released; /* its domain, when its prompt is released text */
    bool kept;      /* its worker has offered the state of its prompt */
    bool emitted;   /* a stream's bytes have gone out */
    bool cancelled;
};

/* A LoRA of a member's model. */
struct fleet_adapter {
    struct fleet_adapter *next;
    char name[72];
    char sha256[65];
    int fd;
    uint64_t sent;       /* id of the ADAPTER that waits for its answer, 0: none */
    int deaths;          /* workers that died while loading it */
    struct fault broken; /* code FAIL_NONE: it is not */
};

struct member {
    struct fleet *fleet;
    struct member *next;
    uint32_t id;
    enum fleet_kind kind;
    enum fleet_state state;
    char name[72];
    char sha256[65];
    int model_fd;
    int64_t bytes;
    pid_t pid;
    int pid_fd;
    int socket;
    struct ipc_reader *reader;
    struct ipc_writer *writer;
    uint32_t watching;      /* epoll events now asked for */
    struct queue *queue;    /* of its asks; those in service are open */
    struct ask *open;       /* sent, not answered */
    size_t open_len;
    size_t open_of[IPC_CLASS_COUNT];
    struct fleet_adapter *adapters;
    int64_t used_us;        /* monotonic: last ask */
    int deaths;
    int64_t heard_us;       /* monotonic: last frame */
    int64_t started_us;
    uint64_t restart_timer;
    uint64_t hang_timer;
    int short_lives;        /* in a row: the next start waits longer */
    int load_deaths;        /* in a row, before it was ready */
    bool was_ready;         /* so a start is a restart: asks wait for it */
    bool killed;            /* by us, for what it did */
    bool retiring;          /* unloaded: finishes what it has, then stops */
    bool turn_waiting;
    bool turn_granted;
    int64_t turn_since_us;
    struct ipc_turn turn;
    int n_ctx_asked;
    struct models_run run;
    int n_ctx, n_seq, n_embd;
    int landlock_abi;       /* what HELLO said; 0: none */
    int64_t n_params;
    size_t dim;             /* of the vectors it has sent, 0: none yet */
    char arch[32];
    char build[96], fingerprint[24];
    int64_t tokens_drafted, tokens_accepted;
    struct warm *warm;      /* warm.c; NULL: nothing is kept of its prompts */
    int warmed;             /* states that this worker was given */
    struct fault broken;    /* why, when state is FLEET_BROKEN */
};

struct fleet {
    struct loop *loop;
    struct fleet_options options;
    char *worker_path, *engine, *engine_dir;
    struct member *members;                  /* all that are not yet gone */
    struct member *roles[FLEET_ROLE_COUNT];  /* a loaded one, or NULL */
    uint32_t next_model;
    uint64_t next_id;
    bool stopping;
    uint64_t kill_timer, sweep_timer, grant_timer;
    loop_call_fn on_change, on_stopped;
    void *on_change_arg, *on_stopped_arg;
};

/* member.c */
struct member *member_new(struct fleet *f);
void member_start(struct member *m);
void member_pump(struct member *m);
void member_stop(struct member *m);
/* Unloads: stops once nothing is waiting or open. */
void member_retire(struct member *m);
void member_free(struct member *m);
/* Pumps, or refuses what waits when it is broken. */
void member_wake(struct member *m);
void member_send(struct member *m, enum ipc_type type, unsigned flags, uint64_t id,
                 const void *body, size_t len, int fd);
void member_kill(struct member *m, const char *reason);
void fleet_changed(struct fleet *f);
void fleet_member_gone(struct member *m);
/* Lets go of members without a process, later: whoever is on the stack may still use them. */
void fleet_sweep_later(struct fleet *f);
/* Where an ask belongs now; NULL when its model is gone or its role served by nobody. */
struct member *fleet_home_of(const struct fleet *f, const struct ask *a);

/* It has its model, and what was kept for it: asks may come. */
void member_ready(struct member *m);

/* warm.c */
/* LOADED came: gives the worker what is kept for its model, then calls member_ready. */
void warm_begin(struct member *m);
/* KEPT of an ask (domain NULL: of none that may be kept), STATE_DONE, and ERROR to a STATE. False:
   the worker must not have sent it. */
bool warm_kept(struct member *m, const char *domain, const struct ipc_frame *frame);
bool warm_done(struct member *m, const struct ipc_frame *frame);
/* The worker is gone. */
void warm_forget(struct member *m);

/* spawn.c: forks and execs a worker for m's model; on success the socket and pid are the
   caller's. */
enum fail spawn_worker(const struct member *m, int *socket, pid_t *pid, int *pid_fd,
                       struct fault *why);

/* adapter.c: to a worker that has just loaded its model; its answers; its death; the end. */
void adapters_send(struct member *m);
bool adapters_answer(struct member *m, const struct ipc_frame *frame);
void adapters_died(struct member *m);
void adapters_free(struct member *m);
/* NULL: the member does not have it. */
const struct fleet_adapter *adapters_find(const struct member *m, const char *sha256);
struct member *fleet_find_member(const struct fleet *f, uint32_t id);
enum fail member_reopen(int fd, int *out); /* an offset of its own for every worker */

/* lease.c */
void lease_wanted(struct member *m, const struct ipc_turn *turn);
void lease_done(struct member *m);
void lease_forget(struct member *m);

/* answer.c: turns a final frame into the caller's answer and frees the ask. */
void answer_frame(struct member *m, struct ask *a, const struct ipc_frame *frame);
void answer_fail(struct ask *a, enum fail code, const struct fault *why);
/* Out of its queue, if it is still in one, unserved. */
void ask_leave(struct ask *a);
void ask_free(struct ask *a);
/* fleet.c: the same, but done is called later. */
void answer_later(struct fleet *f, struct ask *a, const struct fault *why);
