/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/hands: a second thread that helps with a list of independent pieces. The caller works too:
 * each takes the next piece that nobody has, so that whoever is held up holds up one piece only.
 * There is no meeting but the end of the list, and nobody spins: on busy cores two hands are as
 * fast as one, not slower.
 * Owns: one thread, asleep between lists. Threads: one caller. Limits: HANDS_COUNT hands.
 */
#pragma once

#include <stddef.h>

#define HANDS_COUNT 2

struct hands;

/* Does piece i with the given hand (0: the caller's, 1: the thread's). What it writes must belong
   to that piece or that hand alone. */
typedef void (*hands_fn)(void *self, int hand, size_t piece);

/* NULL when no thread can be had: hands_run then works alone. The caller frees it. */
struct hands *hands_new(void);
/* Ends the thread; accepts NULL. Not during hands_run. */
void hands_free(struct hands *hands);
/* Does all pieces, 0 to n - 1, each once; blocks until the last is done, and what the thread wrote
   is then visible to the caller. hands may be NULL. */
void hands_run(struct hands *hands, size_t n, hands_fn fn, void *self);
