/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/sandbox, inside: the paths that a looser seal leaves open, and the layers one by one.
 * Threads: one.
 */
#pragma once

#include "worker/sandbox/sandbox.h"

/* Adds to a Landlock ruleset (its descriptor, its abi) what the profile may reach; nothing for the
   tight one. handled: the rights that the ruleset takes away. */
enum fail sandbox_add_reach(int ruleset, uint64_t handled, const struct sandbox_options *options,
                            struct fault *why);

/* For the tests alone: another room cannot include this (tidy: rooms), so no worker can be started
   with less than all. What came into force is in the report in any case. */
struct sandbox_layers {
    int landlock_max; /* as if the kernel had no more than this ABI */
    bool seccomp;
};
MUST_CHECK enum fail sandbox_enter_layers(const struct sandbox_options *options,
                                          const struct sandbox_layers *layers,
                                          struct sandbox_report *out, struct fault *why);
