/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/serve: the worker's main loop. Frames in, engine steps, frames out, and turns when the
 * server wants them (docs/protocol/worker.md).
 * Owns: the socket's reader and writer and the engine. Threads: one.
 * Limits: SERVE_OUT_MAX bytes waiting for the server; no step while more than SERVE_OUT_PAUSE wait.
 */
#pragma once

#include <stdbool.h>

#include "worker/engine/engine.h"

#define SERVE_OUT_MAX (64u * 1024 * 1024)
#define SERVE_OUT_PAUSE (4u * 1024 * 1024)

enum serve_exit {
    SERVE_EXIT_OK = 0,        /* STOP, or the server is gone */
    SERVE_EXIT_BAD_FRAME = 3, /* or answers that nobody takes */
};

struct serve_options {
    int socket;
    int statm; /* an open /proc/self/statm, or -1 */
    const char *build;
    struct engine *(*engine_new)(const struct engine_sink *sink);
    int landlock_abi; /* what HELLO reports */
    int gpus;         /* devices the engine can use; with one the seal is the looser */
    bool seccomp;
};

/* Blocks until the worker is to end; returns its exit status. */
enum serve_exit serve_run(const struct serve_options *options);
