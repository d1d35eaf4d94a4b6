/* SPDX-License-Identifier: Apache-2.0 */
/* worker/engine: llama.cpp's C headers, in one place because theirs do not pass our warnings.
   Owns: nothing. */
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <llama.h>
#pragma GCC diagnostic pop
