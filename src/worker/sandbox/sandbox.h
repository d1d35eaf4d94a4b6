/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/sandbox: the process closes itself in, for good: no capability (root becomes nobody),
 * no_new_privs, not dumpable, Landlock with no path allowed, seccomp (one list, everything else
 * kills the process), rlimits; it dies with its parent. Afterwards it can compute, use the
 * descriptors it holds and receive new ones; it cannot open, connect, exec, fork, trace or signal
 * (hostile_test.c tries).
 * Owns: nothing. Threads: call before others exist; threads may be started afterwards, processes
 * not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fail/fail.h"

struct sandbox_report {
    int landlock_abi; /* 0: this kernel has none */
    bool seccomp;
};

/* Blocks for microseconds. FAIL_INTERNAL when a layer that the kernel has refuses: the caller
   must end. */
enum fail sandbox_enter(struct sandbox_report *out, struct fault *why);

/* Other seals. FOLDER, GPU and PROGRAM are for processes that cannot work without paths: they need
   Landlock, which is what holds an allowed open() to those paths, and fail with FAIL_UNSUPPORTED on
   a kernel without it. None allows the network or a new process; executable memory and exec only
   where it says so. */
enum sandbox_profile {
    SANDBOX_TIGHT,  /* what sandbox_enter gives: no path at all */
    SANDBOX_READER, /* tighter: one thread, and of messages between processes read and write
                       alone */
    SANDBOX_PROGRAM, /* exec of one program of the system, its libraries and fixed data, read-only
                        (docs/decisions/0186-reader.md) */
    SANDBOX_FOLDER, /* a tool job: one file to read, one folder to make files in */
    SANDBOX_GPU     /* the driver's device files, with its ioctls, and what it reads under /sys and
                       /proc; nothing can be written (docs/decisions/0070-gpu-seal.md) */
};
struct sandbox_options {
    enum sandbox_profile profile;
    uint64_t memory_max;      /* bytes of address space (RLIMIT_AS); 0: no bound. Not for a GPU,
                                 whose driver reserves far more than it uses */
    const char *program;      /* PROGRAM: its absolute path */
    uint64_t cpu_max_s;       /* seconds of processor time (RLIMIT_CPU); 0: no bound */
    uint64_t threads_max;     /* of this user, all programs together (RLIMIT_NPROC); 0: 16,384 */
    int in_file;              /* FOLDER: the file, as a descriptor */
    int out_folder;           /* FOLDER: the folder, as a descriptor */
    uint64_t out_bytes_max;   /* FOLDER: the most bytes of one file in it (RLIMIT_FSIZE) */
    const char *device_prefix; /* GPU: device files by the beginning of their path;
                                  NULL: SANDBOX_GPU_DEVICES */
};
#define SANDBOX_GPU_DEVICES "/dev/nvidia"

/* As sandbox_enter, by profile. The descriptors stay the caller's. */
enum fail sandbox_enter_as(const struct sandbox_options *options, struct sandbox_report *out,
                           struct fault *why);
