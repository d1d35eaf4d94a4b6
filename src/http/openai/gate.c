/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller may say beside the body: how far the text may go, and how long the answer may take.
 * The label is raised by what the guard finds; nothing a caller says lowers it.
 */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "trust/guard/guard.h"

#define DEADLINE_MS_MAX 3600000

/* A card or account number, an id of a person, a key or a password makes a text confidential,
   whoever sent it. */
static enum secrecy found(const char *text, size_t n)
{
    struct guard_scan o = {GUARD_CHECKED | GUARD_BIT(GUARD_KIND_SECRET) |
                               GUARD_BIT(GUARD_KIND_PASSWORD),
                           0, NULL, NULL};
    struct guard_findings all = {0};
    bool read = guard_scan(text, n, &o, &all);
    enum secrecy label = !read || all.n > 0 ? SECRECY_CONFIDENTIAL : SECRECY_INTERNAL;
    guard_findings_done(&all);
    return label;
}

enum fail openai_gate_read(struct wire_request *r, const char *text, size_t n,
                           struct openai_gate *out, struct fault *why)
{
    const char *label = wire_header(r, "x-inhouse-label");
    const char *deadline = wire_header(r, "x-inhouse-deadline-ms");
    *out = (struct openai_gate){.label = found(text, n)};
    if (label != NULL) {
        enum secrecy said = secrecy_find(label);
        if (said == SECRECY_COUNT) {
            FAULT(why, FAIL_BAD_REQUEST,
                  "x-inhouse-label must be public, internal, confidential or restricted");
            return fail_param(why, "x-inhouse-label");
        }
        out->label = said > out->label ? said : out->label;
    }
    if (deadline != NULL && !text_read_int(deadline, 1, DEADLINE_MS_MAX, &out->deadline_ms)) {
        FAULT(why, FAIL_BAD_REQUEST, "x-inhouse-deadline-ms must be 1 to %d", DEADLINE_MS_MAX);
        return fail_param(why, "x-inhouse-deadline-ms");
    }
    return FAIL_NONE;
}
