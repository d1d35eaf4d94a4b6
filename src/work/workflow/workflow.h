/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workflow: definitions. YAML in, a checked form out; shipped ones, stored ones, and one made from
 * labelled examples.
 *
 * A definition is a release: its name in records is the sha256 of the file's bytes. Reading reports
 * every error at once, with lines. Owns: the table `workflow`. Threads: pure functions, except the
 * store ones (their connection's thread).
 */
#pragma once

#include <stddef.h>

#include "answer/ladder/ladder.h"
#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"
#include "base/text/text.h"

#define WORKFLOW_MAX_BYTES ((size_t)256 * 1024)

/* Checks text[0..len) and makes the form; the caller owns the reference. `file` names it in
   messages. On failure FAIL_BAD_REQUEST, every error in faults and the first one in why. */
MUST_CHECK enum fail workflow_read(const char *text, size_t len, const char *file,
                                   struct ladder_form **out, struct config_faults *faults,
                                   struct fault *why);

/* Shipped definitions, built into the binary from workflows/. Index 0 <= i < count. */
struct workflow_shipped {
    const char *name; /* "ticket-triage" */
    const char *yaml;
    size_t len;
};
extern const struct workflow_shipped workflow_shipped[];
extern const size_t workflow_shipped_count;

/* Has this YAML a `program` at its top (work/program) rather than the fields of a form? Unreadable
   text has none. Pure. */
bool workflow_is_program(const char *text, size_t len);

/* Calls fn for each active definition of a form: stored ones, then shipped ones that no stored one
   replaces. A stored definition that no longer reads is skipped and reported through bad (may be
   NULL). */
typedef void (*workflow_form_fn)(void *arg, struct ladder_form *form /* borrowed */);
typedef void (*workflow_bad_fn)(void *arg, const char *name, const struct fault *why);
MUST_CHECK enum fail workflow_each(struct store_conn *conn, workflow_form_fn fn,
                                   workflow_bad_fn bad, void *arg, struct fault *why);
/* The same for the definitions of programs, as texts. */
typedef void (*workflow_text_fn)(void *arg, const char *name, const char *yaml, size_t len);
MUST_CHECK enum fail workflow_programs_each(struct store_conn *conn, workflow_text_fn fn, void *arg,
                                            struct fault *why);
/* Stores a definition as the newest version of its name. */
MUST_CHECK enum fail workflow_put_text(struct store_tx *tx, const char *name, const char *yaml,
                                       const char *release, const char *actor, struct fault *why);
/* The same of a form. */
MUST_CHECK enum fail workflow_put(struct store_tx *tx, const struct ladder_form *form,
                                  const char *actor, struct fault *why);

/* Every release that a workflow of this name ever had, stored and shipped: at most `room` are
   copied into out, *n counts those. */
MUST_CHECK enum fail workflow_releases(struct store_conn *conn, const char *name,
                                       char (*out)[TEXT_SHA256_HEX_SIZE], size_t room, size_t *n,
                                       struct fault *why);

/* One labelled example, for making a definition. */
struct workflow_example {
    size_t n;                   /* fields given */
    const char *const *names;
    const char *const *values;  /* "": the text has none */
    const char *text;           /* subject and text as one, may be NULL */
};
/* Writes a definition whose fields are those of the examples: a field whose values stand in their
   texts is a number, amount, date, id or span (answer/extract's guess; one with at most
   12 distinct values that every example has stays a choice), a field with 2..256 distinct values
   that repeat is a choice, any other is refused by name. FAIL_BAD_REQUEST when no field is
   usable. */
MUST_CHECK enum fail workflow_from_examples(const char *name,
                                            const struct workflow_example *examples, size_t n,
                                            struct buf *yaml, struct fault *why);
