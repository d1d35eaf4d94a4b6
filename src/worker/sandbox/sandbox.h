/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/sandbox: the process closes itself in, for good: no_new_privs, not dumpable, Landlock with
 * no path allowed, seccomp (one list, everything else kills the process), rlimits. Afterwards it
 * can compute, use the descriptors it holds and receive new ones; it cannot open, connect, exec,
 * fork or trace.
 * Owns: nothing. Threads: call before others exist; threads may be started afterwards, processes
 * not.
 */
#pragma once

#include <stdbool.h>

#include "base/fail/fail.h"

struct sandbox_report {
    int landlock_abi; /* 0: this kernel has none */
    bool seccomp;
};

/* Blocks for microseconds. FAIL_INTERNAL when a layer that the kernel has refuses: the caller
   must end. */
enum fail sandbox_enter(struct sandbox_report *out, struct fault *why);
