/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a text may go by what is in it: personal data makes it confidential, whatever its
 * workflow and its sender say. Owns: nothing. Threads: any. Limits: guard's.
 */
#include "answer/task/task_internal.h"
#include "trust/guard/guard.h"

static bool is_personal(enum guard_kind k)
{
    return k == GUARD_KIND_EMAIL || k == GUARD_KIND_PHONE || k == GUARD_KIND_IBAN ||
           k == GUARD_KIND_CARD || k == GUARD_KIND_NAME;
}

enum secrecy label_of(enum secrecy least, const char *text, size_t len)
{
    struct guard_spans spans = {0};
    struct buf masked;
    if (least >= SECRECY_CONFIDENTIAL) {
        return least;
    }
    buf_init(&masked, 8 * len + 4096);
    bool personal = !guard_mask(text, len, NULL, &masked, &spans); /* unread: not let out */
    for (size_t i = 0; i < spans.n && !personal; i++) {
        personal = is_personal(spans.items[i].kind);
    }
    mem_free(spans.items);
    buf_done(&masked);
    return personal ? SECRECY_CONFIDENTIAL : least;
}
