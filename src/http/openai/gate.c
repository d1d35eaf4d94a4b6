/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller may say beside the body: how far the text may go, and how long the answer may take.
 * The label is raised by what the guard finds; nothing a caller says lowers it.
 */
#include "http/openai/openai_internal.h"

#include <string.h>

#include "answer/task/task.h"

#define DEADLINE_MS_MAX 3600000

enum fail openai_gate_read(struct wire_request *r, const char *text, size_t n,
                           struct openai_gate *out, struct fault *why)
{
    const char *label = wire_header(r, "x-inhouse-label");
    const char *deadline = wire_header(r, "x-inhouse-deadline-ms");
    *out = (struct openai_gate){.label = task_label_of(SECRECY_INTERNAL, text, n)};
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
