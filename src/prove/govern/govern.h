/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Govern: the governance file. From what a running server says of itself (docs/reference/govern.md:
 * the members of GET /api/v1/governance and of the listings put beside it) to one document that an
 * auditor reads: datasets and teams, access, models, approvals, rules in force, other servers,
 * retention, checkpoints, and a table that holds frameworks' requirements against it, with live
 * figures and what is not covered. Nothing in it is a setting: it changes when the system does.
 *
 * Owns: nothing. Threads: pure. Limits: GOVERN_BYTES of text, GOVERN_ROWS of a table (the rest is
 * counted).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem/mem.h"

#define GOVERN_BYTES ((size_t)8 << 20)
#define GOVERN_ROWS 2000

enum govern_format { GOVERN_MARKDOWN, GOVERN_HTML };

/* Writes the document. facts is an object; a listing that it lacks is said to be unknown, never
   empty. out's cap should be GOVERN_BYTES; out->overflow afterwards: it did not fit. */
void govern_write(const json_t *facts, enum govern_format format, struct buf *out);

/* The figures of the rows by name, as text ("records" -> "1204"); "?" when unknown. Into out. */
void govern_figure(const json_t *facts, const char *name, char *out, size_t room);
