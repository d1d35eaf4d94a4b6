/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule set serves: a version of the kind ROUTE_RELEASES, else the shipped one. */
#include <string.h>

#include "answer/route/route_internal.h"
#include "trust/release/release.h"

/* A stored text as rules; FAIL_INTERNAL when this version cannot read it any more. */
static enum fail read_stored(const struct buf *yaml, struct route_rules **out, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault first;
    enum fail f =
        route_rules_read(yaml->data, yaml->len, "the approved rules", out, faults, &first);
    mem_free(faults);
    if (f != FAIL_NONE) {
        FAULT(why, FAIL_INTERNAL, "the approved rules no longer read: %.200s", first.message);
        return fail_hint(why, "Approve other rules with the version that made these.");
    }
    return FAIL_NONE;
}

enum fail route_release_find(struct store_conn *conn, const char *release,
                             struct route_rules **out, struct fault *why)
{
    struct route_rules *shipped = route_rules_shipped();
    struct buf yaml;
    bool found;
    *out = NULL;
    if (strcmp(release, shipped->release) == 0) {
        *out = shipped;
        return FAIL_NONE;
    }
    route_rules_unref(shipped);
    buf_init(&yaml, RELEASE_BODY_MAX);
    enum fail f = release_find(conn, ROUTE_RELEASES, release, &yaml, &found, why);
    if (f == FAIL_NONE && found) {
        f = read_stored(&yaml, out, why);
    }
    buf_done(&yaml);
    return f;
}

enum fail route_release_active(struct store_conn *conn, struct route_rules **out,
                               struct fault *why)
{
    struct buf yaml;
    bool found;
    *out = NULL;
    buf_init(&yaml, RELEASE_BODY_MAX);
    enum fail f = release_active(conn, ROUTE_RELEASES, &yaml, &found, why);
    if (f == FAIL_NONE && found) {
        f = read_stored(&yaml, out, why);
    } else if (f == FAIL_NONE) {
        *out = route_rules_shipped();
    }
    buf_done(&yaml);
    return f;
}
