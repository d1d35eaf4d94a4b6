/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/child: runs `inhouse-worker --tool ...` as a child and hears its lines (worker/tool says
 * which jobs there are and what they print).
 *
 * The child has a clean environment and three descriptors. It parses hostile files, so its lines
 * are hostile too: capped, strict JSON, and the caller takes only what it checks.
 * Owns: the child, from start to its end. Threads: one; blocks until the child ended or the time
 * limit passed. Limits: CHILD_WORDS_MAX words, 64 KiB a line, ten minutes unless told otherwise.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/fail/fail.h"

#define CHILD_WORDS_MAX 16

/* One line that is neither "error" nor the last; the last one, "done", comes too. A failure ends
   the child. The tree is the caller's to read during the call. */
typedef enum fail (*child_line_fn)(void *ctx, const char *event, const json_t *line,
                                 struct fault *why);

struct child {
    const char *what;               /* names the subject in messages: a file or folder */
    const char *const *words;       /* after --tool, NULL-terminated */
    const char *worker_path;        /* NULL: inhouse-worker beside this executable */
    int timeout_ms;                 /* 0: ten minutes */
    child_line_fn on_line;            /* may be NULL */
    void *ctx;
};

/*
 * FAIL_NONE after a line "done" and exit status 0. What the job said went wrong comes as it said
 * it, after "what: "; FAIL_WORKER_DIED it was ended by a signal, by the time limit, or ended
 * unsaid; FAIL_NOT_FOUND there is no worker to run; else what on_line returned.
 */
MUST_CHECK enum fail child_run(const struct child *job, struct fault *why);
