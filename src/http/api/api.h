/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Api: our own paths under /api/v1, the table of every path (routes.def), the gate that says who
 * may use them, and the OpenAPI description made from that table.
 *
 * Unknown keys are refused: 400 unknown_parameter. Handlers read on http threads, compute on crunch
 * threads, and touch tasks, jobs and the fleet only on the core thread. docs/reference/api.md is
 * the contract with clients.
 * Limits: 256 jobs in memory, 64 workflows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/task/task.h"
#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "base/store/store.h"
#include "http/wire/wire.h"
#include "run/fleet/fleet.h"
#include "run/roster/roster.h"
#include "run/upstream/upstream.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "trust/login/login.h"
#include "trust/policy/policy.h"
#include "work/job/job.h"

/* What the handlers work with; outlives the api. */
struct api_house {
    struct loop *loop; /* the core loop */
    struct pool *crunch;
    struct store *store;
    struct audit *audit;
    struct keyring *keyring;
    struct login *login;
    struct policy *policy;
    struct task_desk *desk;
    struct datasets *datasets;
    struct jobs *jobs;
    struct fleet *fleet;
    struct roster *roster;
    struct upstream *upstream;
    const char *home;
    const char *engine; /* "llama" or "fake" */
    int64_t context_max;
    bool raw_grammar;            /* engine.raw_grammar */
    const char *public_url;      /* login.public_url: "https://inhouse.example"; "": none */
    bool forwarded;              /* login.forwarded */
    void (*stop)(void *arg);     /* POST /api/v1/stop; core thread */
    void *stop_arg;
};

struct api;
/* Reads the active workflows and gives them to the desk. Blocks on the store. */
MUST_CHECK enum fail api_new(const struct api_house *house, struct api **out, struct fault *why);
/* After the loop and wire have stopped. */
void api_free(struct api *a);
void api_set_wire(struct api *a, struct wire *w);              /* once, for counters */
void api_set_raw_grammar(struct api *a, bool on);              /* any thread */

/* For keyring_options: a change's record. arg: the struct audit. */
MUST_CHECK enum fail api_record_keyring(struct store_tx *tx, void *arg,
                                        const struct keyring_event *e, struct fault *why);
/* A server that stays and has no administrator: a one-time token in HOME/setup.token (0600), said
   in the log; with an administrator that file goes. Blocks. */
MUST_CHECK enum fail api_first_run(struct keyring *k, const char *home, struct fault *why);

/* For wire_options: the table and the gate. `arg` of the handlers is the api. */
const struct wire_route *api_routes(size_t *count);
void api_gate(struct api *a, struct wire_gate *out);

/* The OpenAPI 3.1 description of routes.def, as JSON. Pure. */
void api_describe(struct buf *out);
