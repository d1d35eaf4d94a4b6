/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: any bytes are scanned, masked, redacted and restored; findings lie in order within them. */
#include <string.h>

#include "trust/guard/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct guard_scan all = {GUARD_SCAN_ALL, GUARD_TAGGED, NULL, NULL};
    struct guard_findings f = {0};
    struct buf out;
    size_t before = 0;
    if (size > 65536) {
        return 0;
    }
    ASSERT(guard_scan(text, size, &all, &f));
    for (size_t i = 0; i < f.n; i++) {
        ASSERT(f.items[i].from >= before && f.items[i].from < f.items[i].to);
        ASSERT(f.items[i].to <= size && f.items[i].kind < GUARD_KIND_COUNT);
        before = f.items[i].to;
    }
    guard_findings_done(&f);
    struct guard_redaction *r = guard_redaction_new();
    buf_init(&out, 1 << 22);
    if (guard_redact_reserve(r, text, size)) {
        (void)guard_redact(r, text, size, &out);
        (void)guard_redaction_lost(r, NULL, text, size, true);
    }
    buf_done(&out);
    guard_redaction_free(r);
    return 0;
}
