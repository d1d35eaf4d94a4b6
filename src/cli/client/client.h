/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client: the server's HTTP API, over its Unix socket or a URL; and a server of one's own when none
 * runs.
 *
 * With a URL it talks to that server. Without, it talks to the socket of the data folder; if nobody
 * listens there and `start` is set, it makes the socket and starts `inhoused` beside this
 * executable with it (embedded mode). That server ends by itself a few seconds after its last
 * client.
 *
 * Owns: one curl multi handle; HOME/start.lock while it starts a server; HOME/inhoused.log is the
 * started server's. Threads: a client belongs to one thread. Every call blocks.
 * Limits: 64 MiB of reply, 64 requests in flight.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/mem/mem.h"

#define CLIENT_MAX_REPLY ((size_t)64 * 1024 * 1024)
#define CLIENT_MAX_FLIGHT 64
#define CLIENT_PATH_SIZE 4096

enum client_mode { CLIENT_REMOTE, CLIENT_LOCAL, CLIENT_EMBEDDED };

struct client_options {
    const char *home;   /* the data folder, absolute */
    const char *url;    /* NULL: the data folder's socket */
    const char *key;    /* API key, NULL: none (the socket knows who calls) */
    /* inhouse.yaml of a server started here; NULL: HOME/inhouse.yaml or defaults */
    const char *config;
    const char *server; /* the inhoused to start; NULL: beside this executable */
    bool start;         /* start one when none runs */
    /* One line for a person about what is going on; may be NULL. */
    void (*note)(void *arg, const char *line);
    void *arg;
    const volatile sig_atomic_t *stop; /* when it becomes non-zero, waiting ends: FAIL_STOPPED */
};

struct client;
/* Strings are copied. FAIL_STOPPED with how to start one when none runs and `start` is false;
   FAIL_UPSTREAM_FAILED when the URL does not answer; FAIL_CONFLICT when the folder is locked by
   a server that does not answer; FAIL_INTERNAL when the started one ended, with its own last
   words. */
MUST_CHECK enum fail client_open(const struct client_options *o, struct client **out,
                                 struct fault *why);
void client_close(struct client *c); /* accepts NULL */
enum client_mode client_mode(const struct client *c);
/* Starts or finds a server again after the old one died. Only for the data folder's own server. */
MUST_CHECK enum fail client_revive(struct client *c, struct fault *why);
/* HOME/sock's server process as the socket says (SO_PEERCRED), 0 when unknown or remote. */
pid_t client_server_pid(const struct client *c);

/* After it was asked to stop: waits until nobody listens any more; false when wait_ms have
   passed first. */
bool client_wait_gone(struct client *c, int64_t wait_ms);

/* $INHOUSE_HOME or ~/.local/share/inhouse, made absolute; false when neither is known or too
   long. */
bool client_home_default(char out[CLIENT_PATH_SIZE]);
/* The executable of this name beside this one. */
bool client_program(const char *name, char out[CLIENT_PATH_SIZE]);

struct client_ask {
    const char *method;
    const char *path; /* "/api/v1/tasks", already escaped */
    const char *type; /* of the body; NULL: application/json */
    const void *body; /* NULL: none; borrowed until the call ends */
    size_t len;
    FILE *file;       /* instead of body: read to its end */
    int64_t file_len;
    const char *idempotency_key; /* may be NULL */
    int64_t timeout_ms;          /* 0: 60 s */
};

/* *out (may be NULL) is a new reference, NULL for an empty reply. An error of the server becomes
   the same fault here; no connection is FAIL_UPSTREAM_FAILED. */
MUST_CHECK enum fail client_call(struct client *c, const struct client_ask *ask, json_t **out,
                                 struct fault *why);
/* GET and the like without a body. */
MUST_CHECK enum fail client_get(struct client *c, json_t **out, struct fault *why, const char *fmt,
                                ...) __attribute__((format(printf, 4, 5)));
/* Server-sent events: fn gets the data of each event (NUL-terminated); returning false ends it. */
typedef bool (*client_event_fn)(void *arg, const char *data, size_t len);
MUST_CHECK enum fail client_stream(struct client *c, const struct client_ask *ask,
                                   client_event_fn fn, void *arg, struct fault *why);
/* Percent-encodes one path segment or query value. */
void client_escape(struct buf *out, const char *s);

/* Many requests in flight: start some, wait, and take each answer as it comes. */
struct client_answer {
    void *tag;
    enum fail code; /* FAIL_NONE, or why */
    bool connection; /* the server was not there or went away */
    struct fault why;
    int64_t retry_after_ms; /* what the server asked for, 0: nothing */
    const char *body;       /* valid during the callback */
    size_t len;
};
typedef void (*client_answer_fn)(void *arg, const struct client_answer *answer);
/* body is copied. False when CLIENT_MAX_FLIGHT are in flight. */
bool client_send(struct client *c, const struct client_ask *ask, void *tag);
size_t client_in_flight(const struct client *c);
/* Waits up to wait_ms for answers and calls fn for each. */
void client_wait(struct client *c, int wait_ms, client_answer_fn fn, void *arg);
/* Drops what is in flight; their answers never come. */
void client_drop(struct client *c);
