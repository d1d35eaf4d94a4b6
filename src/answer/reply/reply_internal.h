/* SPDX-License-Identifier: Apache-2.0 */
/* Reply, inside. */
#pragma once

#include "answer/reply/reply.h"

bool reply_is_title(const char *folded); /* "mr", "frau": no name by itself */
/* Does it say what was done in one case: "we have refunded", "wurde verschickt"? */
bool reply_has_acted(const char *text, size_t n);
/* Slots that a text has already, as bits. */
unsigned reply_slots_in(const char *text);
