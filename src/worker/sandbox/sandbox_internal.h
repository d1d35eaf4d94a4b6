/* SPDX-License-Identifier: Apache-2.0 */
/* worker/sandbox, inside: the paths that a looser seal leaves open. Threads: one. */
#pragma once

#include "worker/sandbox/sandbox.h"

/* Adds to a Landlock ruleset (its descriptor, its abi) what the profile may reach; nothing for the
   tight one. handled: the rights that the ruleset takes away. */
enum fail sandbox_add_reach(int ruleset, uint64_t handled, const struct sandbox_options *options,
                            struct fault *why);
