/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of jobs: what following one and fetching its files is made of. */
#pragma once

#include "cli/command/command_internal.h"

/* Follows a kept job to its end with a bar; *ended is it as it then stands. A failed, dead or
   cancelled one is its own fault. Ctrl-C: FAIL_STOPPED, after cancelling it when `cancel`. */
MUST_CHECK enum fail jobs_follow(struct cli *cli, const char *job, bool cancel, json_t **ended,
                                 struct fault *why);
/* One output into a file, or onto standard output (path NULL). */
MUST_CHECK enum fail jobs_fetch(struct cli *cli, const char *job, const char *name,
                                const char *path, struct fault *why);
/* How long its steps took, as "123 ms", "1.2 s", "2:05"; "-" for nothing. */
const char *jobs_time(const json_t *job, char out[24]);
/* run_program.c: inhouse run of a workflow that the server describes as a program's. */
int run_program(struct cli *cli, const json_t *workflow);
