/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller may say beside the body: how far the text may go, and how long the answer may take.
 * The label is raised by what the guard finds; nothing a caller says lowers it.
 */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "trust/guard/guard.h"

#define DEADLINE_MS_MAX 3600000

/* A card or account number makes a text confidential, whoever sent it. */
static enum secrecy found(const char *text, size_t n)
{
    struct guard_spans spans = {NULL, 0};
    struct buf out;
    enum secrecy label = SECRECY_INTERNAL;
    buf_init(&out, 2 * GUARD_MAX_TEXT);
    if (!guard_mask(text, n, NULL, &out, &spans)) {
        label = SECRECY_CONFIDENTIAL; /* it could not be looked at */
    }
    for (size_t i = 0; i < spans.n; i++) {
        if (spans.items[i].kind == GUARD_KIND_CARD || spans.items[i].kind == GUARD_KIND_IBAN) {
            label = SECRECY_CONFIDENTIAL;
        }
    }
    buf_done(&out);
    mem_free(spans.items);
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
