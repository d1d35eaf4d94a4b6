/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shipped weights of the tagger, compiled in.
 * Owns: one model for the life of the process. Threads: any. Limits: none.
 */
#include "trust/guard/tagger_internal.h"

#include <pthread.h>

extern const char guard_weights_begin[];
extern const char guard_weights_end[];

__asm__(".pushsection .rodata\n"
        ".global guard_weights_begin\n"
        "guard_weights_begin:\n"
        ".incbin \"" GUARD_WEIGHTS "\"\n"
        ".global guard_weights_end\n"
        "guard_weights_end:\n"
        ".byte 0\n"
        ".popsection\n");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct guard_tagger *shipped;

static void make(void)
{
    shipped = guard_tagger_read(guard_weights_begin,
                                (size_t)(guard_weights_end - guard_weights_begin));
    ASSERT(shipped != NULL);
}

const struct guard_tagger *guard_tagger_shipped(void)
{
    pthread_once(&once, make);
    return shipped;
}
