/* SPDX-License-Identifier: Apache-2.0 */
/*
 * House: the whole server as one thing: every room opened in order, the core loop with its signals,
 * and the end in reverse. src/bin/inhoused.c only reads options and calls this.
 *
 * Owns: the data folder's lock, HOME/sock, the core loop, and all rooms. Threads: the caller's runs
 * the core loop in house_run; TERM, INT and HUP must be blocked before house_open.
 * The end: TERM or INT (or POST /api/v1/stop) refuse what is new, finish what was accepted for at
 * most 15 s, then stop the workers; heavy work (learning) that does not end within 5 s more is left
 * and the process exits 0. A second signal ends the process with status 1 at once.
 */
#pragma once

#include <stdbool.h>

#include "base/config/config.h"
#include "base/fail/fail.h"

/* From the command line; strings outlive the house. */
struct house_options {
    const char *home;           /* NULL: the default data folder */
    const char *config;         /* NULL: HOME/inhouse.yaml when there is one */
    const char *engine;         /* NULL: the configuration's */
    const char *listen_address; /* NULL: the configuration's */
    const char *listen_port;    /* with listen_address */
    int listen_fd;              /* an inherited listening Unix socket, -1: HOME/sock is made */
    /* > 0: no TCP unless listen_address; end so long after the last client */
    int linger_s;
    bool no_seal;
};

/* Reads the configuration and logs every error; NULL when there is one. home may be NULL. */
struct config *house_config(const struct house_options *o, const char *home);

struct house;
/* Everything up to the point where requests are answered. Models load while it runs. Blocks.
   Errors: FAIL_BAD_REQUEST configuration (already logged, message empty), FAIL_CONFLICT another
   server or the port, and those of the rooms. */
MUST_CHECK enum fail house_open(const struct house_options *o, struct house **out,
                                struct fault *why);
void house_run(struct house *h);
void house_close(struct house *h); /* NULL is fine */

/* inhoused --witness: an HTTP server that only cosigns other servers' checkpoints, until TERM or
   INT. Strings outlive it. */
struct house_witness_options {
    const char *folder, *name, *address;
    int port;
    const char *const *logs;
    size_t logs_len;
};
MUST_CHECK enum fail house_witness(const struct house_witness_options *o, struct fault *why);
