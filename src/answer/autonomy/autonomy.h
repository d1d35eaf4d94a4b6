/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Autonomy: how far each field of a form may go without a person: propose (a person decides every
 * answer), assist (what a certificate covers is answered alone; what is unsure and a sample go to a
 * person), auto (and what is answered alone leaves without waiting for anybody).
 *
 * Raising a field is a release (trust/release, kind "autonomy:WORKFLOW"): it names the field, the
 * level and the live certificate that carries it; somebody else than its proposer approves it, and
 * only while that certificate stands. Lowering needs neither: it is in force with its record. When
 * the certificate ends (drift, another model, head or prompt), the field is at propose from the
 * next task on, and stays there until it is raised again: autonomy_ended writes that down. A field
 * that no release names has the level of its definition (`autonomy:`, assist when it says none),
 * where a field without a certificate is in effect at propose. Auto is only ever reached by a
 * release on reviewed outcomes.
 *
 * Owns: nothing (the texts are trust/release's). Threads: functions with a struct store_tx inside a
 * write; with a struct store_conn on that reader's thread. Limits: LADDER_MAX_FIELDS fields.
 */
#pragma once

#include "answer/ladder/ladder.h"
#include "base/fail/fail.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "trust/release/release.h"

struct autonomy_field {
    char name[48];
    enum ladder_level level;
    char certificate[TEXT_ID_SIZE]; /* that carries it, "crt_..."; "" for propose */
};
struct autonomy {
    size_t n;
    struct autonomy_field fields[LADDER_MAX_FIELDS];
};

/* The name under which trust/release keeps the levels of a workflow. */
void autonomy_kind(const char *workflow, char out[RELEASE_KIND_SIZE]);

/* What the active release says; none: n is 0. FAIL_INTERNAL when its text is not one. */
MUST_CHECK enum fail autonomy_active(struct store_conn *conn, const char *workflow,
                                     struct autonomy *out, struct fault *why);
/* Puts the level of each field into the form (not yet shared): the release's, as long as its
   certificate stands, else propose; the definition's where no release names it. */
MUST_CHECK enum fail autonomy_load(struct store_conn *conn, struct ladder_form *form,
                                   struct fault *why);

/*
 * Proposes to raise a field; release gets the candidate's. The certificate is the live one with the
 * best class: for assist one that the form accepts, for auto one of class reviewed. FAIL_CONFLICT
 * when there is none (the hint says where to look) or when the field is there already;
 * FAIL_BAD_REQUEST for no such field, a draft, or a lower level.
 */
MUST_CHECK enum fail autonomy_propose(struct store_tx *tx, struct audit *audit,
                                      const struct ladder_form *form, const char *field,
                                      enum ladder_level level, const struct principal *who,
                                      char release[TEXT_SHA256_HEX_SIZE], struct fault *why);
/* Makes a candidate the active one. FAIL_FORBIDDEN when who proposed it (four_eyes); FAIL_CONFLICT
   when a certificate it carries has ended meanwhile, or another release came between;
   FAIL_NOT_FOUND. */
MUST_CHECK enum fail autonomy_approve(struct store_tx *tx, struct audit *audit,
                                      const char *workflow, const char *release,
                                      const struct principal *who, bool four_eyes,
                                      struct fault *why);
/* Lowers a field, at once. FAIL_BAD_REQUEST when that is no lower level than it has. */
MUST_CHECK enum fail autonomy_lower(struct store_tx *tx, struct audit *audit,
                                    const struct ladder_form *form, const char *field,
                                    enum ladder_level level, const struct principal *who,
                                    struct fault *why);
/* A certificate of this workflow ended: every field whose release rests on a certificate that is no
   longer live goes to propose. Recorded as the actor "system" for `team`. *n gets how many. */
MUST_CHECK enum fail autonomy_ended(struct store_tx *tx, struct audit *audit, const char *workflow,
                                    const char *team, size_t *n, struct fault *why);
