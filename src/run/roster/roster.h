/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/roster: which of the stored models are in memory. It gives roles their models, loads a model
 * when a request names it, and makes room within a budget of memory.
 *
 * What a model needs is estimated from its header before it is loaded, and corrected by what its
 * worker was seen to use (kept in the manifest). When a model does not fit, idle ones go, the least
 * recently used first; one with running or queued work never goes, nor one that is pinned. A model
 * that serves a role is pinned unless somebody unpinned it.
 *
 * Owns: the view of the inventory, wants, pins. Threads: the core loop's; files are read and
 * hashed on the crunch pool. Limits: MODELS_MAX models, ROSTER_WANTS_MAX waiting requests,
 * ROSTER_WAIT_MS of waiting for room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "run/fleet/fleet.h"
#include "run/models/models.h"

#define ROSTER_WANTS_MAX 4096
#define ROSTER_WAIT_MS 120000

struct roster_options {
    struct loop *loop; /* the core loop */
    struct pool *crunch;
    struct fleet *fleet;
    const char *home;   /* the data folder */
    const char *engine; /* "fake": a fixed list of models that need no files */
    const char *role_model[FLEET_ROLE_COUNT]; /* "" or NULL: the inventory's own choice */
    int64_t memory_bytes;                     /* 0: models_memory_default() */
    int n_ctx_light, n_ctx_heavy;
    int prefix_ram_mb; /* what a generating model's worker keeps prefixes in, beside its KV */
    bool on_demand; /* a request may load a model */
};

struct roster;
/* The strings outlive it. */
MUST_CHECK enum fail roster_new(const struct roster_options *o, struct roster **out,
                                struct fault *why);
/* After the loop has stopped and the pool was freed; before the fleet is freed. */
void roster_free(struct roster *r);

/*
 * Reads the inventory and loads what a role lacks, or what the configuration names for it. done
 * (core thread, may be NULL) gets how many models are being loaded for roles, and the first failure
 * (NULL: none). A pass asked for during another is FAIL_CONFLICT and runs after it. Any thread.
 */
typedef void (*roster_scanned_fn)(void *arg, int loading, const struct fault *why);
void roster_scan(struct roster *r, roster_scanned_fn done, void *arg);
bool roster_is_scanning(const struct roster *r);

enum roster_state {
    ROSTER_STORED,    /* on disk only */
    ROSTER_CHECKING,  /* its file is being read and hashed */
    ROSTER_WAITING,   /* for room */
    ROSTER_LOADING,
    ROSTER_READY,
    ROSTER_UNLOADING, /* finishes what it has */
    ROSTER_BROKEN
};
const char *roster_state_name(enum roster_state state);

struct roster_model {
    struct models_entry entry;
    enum fleet_kind kind;
    enum roster_state state;
    uint32_t model;       /* the fleet's id, 0: not loaded */
    int64_t need_bytes;   /* counted against the budget when it is loaded */
    bool measured;        /* need_bytes was seen, not estimated */
    bool pinned;
    bool pinned_by_role;
    unsigned roles;       /* bit 1 << role: it is that role's model, loaded or not */
    int64_t used_at;      /* µs UTC, 0: not since the server started */
    int64_t done, total;  /* bytes hashed while ROSTER_CHECKING */
    char reason[256];     /* of ROSTER_BROKEN */
};

/* Core thread. By name, role, BASE:ADAPTER or the first 8 digits of the sha256; false when there is
   none. An adapter (entry.base is not "") is ready when its model is and has it. */
bool roster_find(struct roster *r, const char *name, struct roster_model *out);
size_t roster_count(const struct roster *r);
void roster_at(struct roster *r, size_t i, struct roster_model *out);
int64_t roster_memory(const struct roster *r);      /* the budget */
int64_t roster_memory_used(struct roster *r);       /* of it, by what is loaded */

/*
 * Core thread. Loads a model, unless it is loaded already, and then calls done(arg) once, later,
 * never from inside: with the fleet's id (of an adapter: its model's, which then has it), or with
 * why it cannot be: FAIL_NOT_FOUND, or FAIL_MODEL_UNAVAILABLE when it does not fit beside what is
 * pinned or busy (the text says what is loaded and what is needed), when its file is wrong or the
 * engine cannot load it. Returns an id for roster_forget. `again`: a broken one is tried again.
 */
typedef void (*roster_ready_fn)(void *arg, uint32_t model, const struct fault *why);
uint64_t roster_want(struct roster *r, const char *name, bool again, roster_ready_fn done,
                     void *arg);
/* Nobody waits any more: done is not called. The model is still loaded. */
void roster_forget(struct roster *r, uint64_t want);
/* Starts loading the model of a role in the background if it has one that is not loaded. */
void roster_wake(struct roster *r, enum fleet_role role);
/* May a request load a model by naming it? */
bool roster_on_demand(const struct roster *r);

/* Core thread. Drains and stops. FAIL_NOT_FOUND; FAIL_CONFLICT when it is not loaded. */
MUST_CHECK enum fail roster_unload(struct roster *r, const char *name, struct fault *why);
/* Core thread. Written to the manifest afterwards. FAIL_NOT_FOUND. */
MUST_CHECK enum fail roster_pin(struct roster *r, const char *name, bool pinned,
                                struct fault *why);

/* Core thread: the fleet has changed (wire it to fleet_on_change). */
void roster_fleet_changed(struct roster *r);
