/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleet: spawns, feeds and supervises the sealed workers, one process per loaded model.
 *
 * Up to FLEET_MODELS_MAX models are loaded side by side, each known by an id that is never used
 * again. A role (embed, light, heavy, rerank) is another name for one of them, or for none.
 *
 * A worker that dies is replaced and its open asks are replayed to the new one, except a stream
 * that has emitted bytes (worker_died). An ask that was open in two deaths is refused with
 * poison_request; a kill -9 from outside says little about the asks, so of those it takes six.
 * Workers on the same cores take turns under one lease (docs/protocol/worker.md "Turns"),
 * interactive first.
 *
 * Threads: everything on the core loop's thread. Nothing blocks.
 * Worker replies are hostile input: framed, capped, parsed strictly; a bad one ends that worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "base/mem/mem.h"
#include "run/form/form.h"
#include "run/ipc/ipc.h"
#include "run/models/models.h"
#include "run/queue/queue.h"
#include "run/states/states.h"

#define FLEET_MODELS_MAX 16
#define FLEET_ADAPTERS_MAX 16 /* of one model */

enum fleet_role { FLEET_EMBED, FLEET_LIGHT, FLEET_HEAVY, FLEET_RERANK, FLEET_ROLE_COUNT };
const char *fleet_role_name(enum fleet_role role); /* "embed", "light", "heavy", "rerank" */
enum fleet_role fleet_role_find(const char *name); /* FLEET_ROLE_COUNT when unknown */

/* What a worker does with its model. */
enum fleet_kind { FLEET_KIND_GENERATE, FLEET_KIND_EMBED, FLEET_KIND_RERANK };
enum fleet_kind fleet_role_kind(enum fleet_role role);

enum fleet_state { FLEET_ABSENT, FLEET_STARTING, FLEET_READY, FLEET_BROKEN, FLEET_STOPPING };

/* A loaded model, or what a role is served by. */
struct fleet_model {
    uint32_t id; /* 0: none */
    char name[72];
    char sha256[65];
    enum fleet_kind kind;
    enum fleet_state state; /* FLEET_STOPPING also while it finishes what it has */
    unsigned roles;         /* bit 1 << role: it serves that role */
    int64_t used_us;        /* monotonic: when it was last asked, or loaded */
    int64_t bytes, rss_bytes;
    int n_ctx, n_embd, pid;
    int64_t n_params;
    char arch[32];
    char fingerprint[24]; /* of its reproducible lane; '' before it was loaded */
    int deaths; /* of its workers, and of those of the models it replaced in its role */
    int running, queued;
    int warmed; /* decoded prompts that its worker was given at its start */
    int64_t tokens_drafted, tokens_accepted; /* guesses of its worker, and those that came true */
    char reason[256]; /* why it is broken, else "" */
};

struct fleet_options {
    const char *worker_path; /* inhouse-worker */
    const char *engine;      /* "llama" or "fake" */
    const char *engine_dir;
    bool seal;
    int threads;             /* of each worker, 0: cores */
    bool speculate;          /* n-gram guesses */
    int n_ctx_light, n_ctx_heavy, n_seq;
    int prefix_ram_mb;       /* of each worker, for prefixes that left its KV */
    struct states *states;   /* where released prompts wait for the next start; NULL: nowhere */
    /* Asks of a class and the better ones that a worker holds at once (one that generates: at most
       2 n_seq); the rest wait here, see run/queue. */
    size_t max_open;
    size_t max_waiting;      /* places per model before queue_full */
};

struct fleet;
MUST_CHECK enum fail fleet_new(struct loop *loop, const struct fleet_options *o, struct fleet **out,
                               struct fault *why);

/* A model to load. */
struct fleet_loading {
    const char *name, *sha256;
    int fd; /* owned from now on: open read-only on the model's file, already hashed to sha256 */
    enum fleet_kind kind;
    int n_ctx; /* FLEET_KIND_GENERATE only: tokens of its KV cache; 0: n_ctx_light */
    const struct models_run *run; /* how to use it; NULL: the defaults. Copied */
};
/* Starts a worker for it; it serves no role yet. The state says when it is ready. FAIL_QUEUE_FULL
   when FLEET_MODELS_MAX models are loaded, FAIL_STOPPED while stopping. */
MUST_CHECK enum fail fleet_open(struct fleet *f, const struct fleet_loading *what, uint32_t *id,
                                struct fault *why);
/* Gives a loaded model an adapter (LoRA), which asks may then name; its worker gets it at once, and
   again after a restart. The fd is owned from now on. One that is there already is kept. An adapter
   that cannot be loaded fails the asks that name it. FAIL_NOT_FOUND when the model is gone,
   FAIL_TOO_LARGE over FLEET_ADAPTERS_MAX. */
MUST_CHECK enum fail fleet_adapter_add(struct fleet *f, uint32_t model, const char *name,
                                       const char *sha256, int fd, struct fault *why);
bool fleet_adapter_is_there(const struct fleet *f, uint32_t model, const char *sha256);
/* Unloads a model: new asks are refused, those it has are answered, then its worker stops. Its
   roles are served by nobody. No effect on an id that is gone. */
void fleet_close(struct fleet *f, uint32_t id);
/* Makes a loaded model (0: none) serve a role. Asks that wait for the role go to it. The model
   that served the role stays loaded. */
void fleet_role_set(struct fleet *f, enum fleet_role role, uint32_t id);
/* fleet_open and fleet_role_set; the model that served the role is unloaded, unless it serves
   another one too. */
MUST_CHECK enum fail fleet_load(struct fleet *f, enum fleet_role role, const char *name,
                                const char *sha256, int fd, struct fault *why);
/* STOP to all; done(arg) when the last has exited (killed after 10 s). */
void fleet_stop(struct fleet *f, loop_call_fn done, void *arg);
void fleet_free(struct fleet *f);

void fleet_model_get(const struct fleet *f, enum fleet_role role, struct fleet_model *out);
/* Ids of the loaded models, oldest first, also of those that are stopping; how many. */
size_t fleet_ids(const struct fleet *f, uint32_t out[2 * FLEET_MODELS_MAX]);
/* False when the id is gone (*out is then all zero). */
bool fleet_model_find(const struct fleet *f, uint32_t id, struct fleet_model *out);
/* The id of the loaded model of that name or role, not of one that is being unloaded; 0: none. */
uint32_t fleet_find(const struct fleet *f, const char *name_or_role);
/* The asks of a loaded model: who waits, the measured rate; NULL when the id is gone. */
const struct queue *fleet_queue(const struct fleet *f, uint32_t id);
bool fleet_is_ready(const struct fleet *f, enum fleet_role role);
/* Deletes the decoded prompts on disk of a team's trust domains; how many (states_forget). */
size_t fleet_forget_states(struct fleet *f, const char *team);
/* Ready, or a moment from it: its worker died and is being replaced. An ask may be sent; it
   waits. */
bool fleet_is_serving(const struct fleet *f, enum fleet_role role);
/* Called (core thread) whenever a model's state or a role changes. */
void fleet_on_change(struct fleet *f, loop_call_fn fn, void *arg);

struct fleet_generated {
    const char *finish_reason; /* "stop" | "length" | "tool_calls" | "cancelled" */
    const char *text;
    const char *tool_calls_json; /* array text, or NULL */
    const char *logprobs_json;   /* array text, or NULL */
    int tokens_in, tokens_cached, tokens_out;
    int tokens_drafted, tokens_accepted; /* n-gram speculation */
    double ms_queue, ms_prefill, ms_decode;
    double logprob_mean, logprob_min;
};

struct fleet_vectors {
    const float *data; /* n x dim, unit rows */
    size_t n, dim;
    const uint32_t *tokens; /* n */
    const uint32_t *flags;  /* n, 1 = cut at the model's limit */
};

/* The answer to one ask; only the member that fits the ask is set. Valid during the call. */
struct fleet_answer {
    enum fail code;
    const struct fault *why;
    const struct fleet_generated *generated;
    const struct form_result *form;
    const struct fleet_vectors *vectors;
    const char *body; /* RENDERED, COUNTED: raw */
    size_t body_len;
    const char *sha256; /* of the model that answered: another one than at asking when it was
                           replaced meanwhile. NULL when no worker answered */
    /* of the engine that answered, as LOADED said; NULL as above */
    const char *build, *fingerprint;
};
typedef void (*fleet_done_fn)(void *arg, const struct fleet_answer *answer);
typedef void (*fleet_text_fn)(void *arg, const char *text, size_t len);

/* One ask. The body is copied; the plan (FORM only) must live until done was called. */
struct fleet_ask {
    uint32_t model;       /* id, or 0: whatever serves the role, also after a change of it */
    enum fleet_role role; /* with model 0 */
    const char *adapter;  /* sha256 of one the model has, NULL: none; the body names it too */
    enum ipc_type type; /* GENERATE, FORM, EMBED, RENDER, COUNT */
    unsigned flags;     /* IPC_FLAG_BULK for a bulk EMBED body */
    const void *body;
    size_t len;
    const struct form_plan *plan;
    /* FORM whose body says "released": its trust domain. All of the prompt but the input is then
       released text, and its state may be kept on disk. NULL: it must not. */
    const char *released;
    const char *team;     /* whose share it takes; NULL: one that all such asks have */
    enum ipc_class class; /* as in the body */
    int max_tokens;       /* GENERATE: as in the body. For what it may cost: bytes/3 and these */
    int64_t deadline_us;  /* monotonic, 0: none. FAIL_DEADLINE as soon as it cannot be met */
    fleet_text_fn on_text; /* GENERATE with stream; once it was called the ask is never replayed */
    fleet_done_fn done;
    void *arg;
};

/* Sends one ask, or queues it while the model's worker starts. done is called exactly once,
   later, never from inside: model_unavailable when the model is gone or nothing serves the role,
   queue_full (with retry_after_s) when its class or team has no place, deadline, worker_died,
   poison_request, stopped, or what the worker answered. Returns an id for fleet_cancel. */
uint64_t fleet_ask(struct fleet *f, const struct fleet_ask *ask);
/* The client is gone: done still comes, as cancelled (generated->finish_reason) or stopped. */
void fleet_cancel(struct fleet *f, uint64_t id);

/* Builds the bulk EMBED body (docs/protocol/worker.md); false when it would pass a frame.
   reproducible: each text alone in its batch, on one thread. */
bool fleet_embed_body(struct buf *out, enum ipc_class class, bool reproducible, const char *domain,
                      const char *const *texts, size_t n);
