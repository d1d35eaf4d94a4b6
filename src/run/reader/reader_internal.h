/* SPDX-License-Identifier: Apache-2.0 */
/* run/reader: one asked document from a descriptor, with a way to be stopped. Threads: one. */
#pragma once

#include "run/reader/reader.h"

/* Blocks as reader_read does. doc: the document, from its start. stop: a descriptor that becomes
   readable when nobody wants the answer any more (FAIL_STOPPED), or -1. */
MUST_CHECK enum fail reader_run(const struct reader_programs *programs,
                                const struct reader_ask *ask, int doc, int stop,
                                struct document **out, struct fault *why);
/* A memfd with the ask's document, closed to change; the caller closes it. */
MUST_CHECK enum fail reader_copy(const struct reader_ask *ask, int *fd, struct fault *why);
