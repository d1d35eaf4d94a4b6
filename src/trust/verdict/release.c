/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule set serves: a version of the kind VERDICT_RELEASES, else the shipped one. */
#include "trust/verdict/verdict_internal.h"
#include "trust/release/release.h"

/* A stored text as rules; FAIL_INTERNAL when this version cannot read it any more. */
static enum fail read_stored(const struct buf *yaml, struct verdict_rules **out, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault first;
    enum fail f =
        verdict_rules_read(yaml->data, yaml->len, "the approved rules", out, faults, &first);
    mem_free(faults);
    if (f != FAIL_NONE) {
        FAULT(why, FAIL_INTERNAL, "the approved rules no longer read: %.200s", first.message);
        return fail_hint(why, "Approve other rules with the version that made these.");
    }
    return FAIL_NONE;
}

enum fail verdict_release_active(struct store_conn *conn, struct verdict_rules **out,
                                 struct fault *why)
{
    struct buf yaml;
    bool found;
    *out = NULL;
    buf_init(&yaml, RELEASE_BODY_MAX);
    enum fail f = release_active(conn, VERDICT_RELEASES, &yaml, &found, why);
    if (f == FAIL_NONE && found) {
        f = read_stored(&yaml, out, why);
    } else if (f == FAIL_NONE) {
        *out = verdict_rules_shipped();
    }
    buf_done(&yaml);
    return f;
}
