/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States: decoded prompts on disk, so that a warm workflow is warm again right after a restart.
 *
 * Only prefixes made solely of released prompt text come here (who asks says so, fleet.h); never
 * anything of a user's input. So erasing a person's data has nothing to find in this folder.
 * A file is `states/<40 hex>.state`, 0600: a line with the format, a line of JSON that says what it
 * is for, the state (run/ipc, ipc_state_*), and HMAC-SHA-256 over all of that under a key of this
 * server. It is handed out only when the MAC holds and every word of its line is what was asked
 * for: model, context (build, fingerprint, size of the KV), trust domain, tokens. Any other file is
 * deleted with a log line, and the prompt is decoded again.
 *
 * Owns: the folder HOME/states. Threads: every call on the loop's thread; reading, writing and MACs
 * happen on one thread of the room's own. Nothing blocks but opening and closing.
 * Limits: the budget in bytes (those used longest ago go first), STATES_MAX files,
 * STATES_BYTES_MAX a state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/loop/loop.h"

#define STATES_MAX 1024
#define STATES_BYTES_MAX (256ll * 1024 * 1024)
#define STATES_NAME_SIZE 41

struct states;

/* Makes the folder, reads what the files say they are, deletes what a crash left half written.
   key: of this server, for this purpose alone; copied. */
MUST_CHECK enum fail states_open(struct loop *loop, const char *home, const uint8_t key[32],
                                 int64_t budget, struct states **out, struct fault *why);
/* Finishes what is being written. Answers still to come are posted to the loop: run it once more
   after. NULL is fine. */
void states_close(struct states *s);

/* What a state is for. Strings are copied where they are kept. */
struct states_key {
    const char *model;   /* sha256 of the file, 64 hex */
    const char *context; /* 64 hex, states_context */
    const char *domain;  /* trust domain, at most 128 bytes */
    const char *prefix;  /* 64 hex: digest of domain and tokens */
};
/* SHA-256 of what the numbers of a KV hang on beside the model. */
void states_context(const char *build, const char *fingerprint, int n_ctx, int n_seq, char hex[65]);

/* An empty memory file of `bytes`, sealed against any other size. -1 with the reason in errno. */
int states_memory(int64_t bytes);

/* Is this one, with so many scores, not there yet and small enough: with what is still to be
   written, half the budget at most? Marks one that is there as used. */
bool states_wants(struct states *s, const struct states_key *k, int scores, int64_t bytes);
/* Writes `bytes` of fd (owned from now on), in the back. A failure is logged, no more. */
void states_put(struct states *s, const struct states_key *k, int scores, int fd, int64_t bytes);

/* Names of the states for this model and context, the one used last first; how many. Logs how many
   there are for the model in another context. */
size_t states_list(struct states *s, const char *model, const char *context,
                   char (*names)[STATES_NAME_SIZE], size_t room);
/* fd: a sealed memory file of `bytes`, the callee's; -1: it was refused or is gone. */
typedef void (*states_got_fn)(void *arg, const char *domain, int fd, int64_t bytes);
/* Reads one back and checks it; got comes later, on the loop, once. */
void states_get(struct states *s, const char *name, states_got_fn got, void *arg);

/* Deletes the states of a team's trust domains (all whose domain says no team): when a person's
   data is erased, whatever was taken for released text is not worth an argument; the prompts are
   decoded again. Returns how many. */
size_t states_forget(struct states *s, const char *team);

struct states_counts {
    size_t files;
    int64_t bytes;
    int refused; /* since the start: a wrong MAC or line */
};
void states_counts(const struct states *s, struct states_counts *out);
