/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mask: what a scan finds, replaced by what kind of thing it is.
 *
 * Owns nothing. Threads: pure. Limits: GUARD_MAX_TEXT.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>

bool guard_mask(const char *text, size_t n, const struct guard_options *options, struct buf *out,
                struct guard_spans *spans)
{
    struct guard_scan o = {GUARD_SCAN_ALL, 0, NULL, NULL};
    struct guard_findings found = {0};
    size_t start = out->len;
    size_t done = 0;
    if (options != NULL) {
        o.kinds &= options->names ? GUARD_SCAN_ALL : ~GUARD_BIT(GUARD_KIND_NAME);
        o.tagged = options->tagged;
        o.lists = options->lists;
    }
    if (out->overflow || !guard_scan(text, n, &o, &found)) {
        return false;
    }
    struct guard_span *items = spans != NULL && found.n > 0
                                   ? mem_alloc_array(found.n, sizeof(*items)) : NULL;
    for (size_t i = 0; i < found.n; i++) {
        const struct guard_finding *f = &found.items[i];
        const char *mark = guard_placeholder(f->kind);
        buf_add(out, text + done, f->from - done);
        size_t at = out->len - start;
        buf_add_str(out, mark);
        done = f->to;
        if (items != NULL) {
            items[i] = (struct guard_span){f->kind, f->from, f->to, at, at + strlen(mark)};
        }
    }
    buf_add(out, text + done, n - done);
    size_t count = found.n;
    guard_findings_done(&found);
    if (out->overflow) {
        out->len = start;
        mem_free(items);
        return false;
    }
    if (spans != NULL) {
        *spans = (struct guard_spans){items, count};
    }
    return true;
}
