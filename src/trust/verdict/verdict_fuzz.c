/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: any bytes are read as a rule set; one that reads is asked of them, whole and as a
   stream. */
#include <stdint.h>
#include <string.h>

#include "trust/verdict/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct verdict_rules *r = NULL;
    struct fault why;
    const char *text = (const char *)data;
    if (size <= 16384 &&
        verdict_rules_read(text, size, "fuzz", &r, faults, &why) == FAIL_NONE) {
        struct verdict_ask ask = {.side = VERDICT_OUT, .team = "a", .workflow = "", .text = text,
                                  .n = size};
        struct verdict_result v;
        struct verdict_stream s;
        struct buf out;
        ASSERT(verdict_check(r, &ask, &v));
        for (size_t i = 0; i < v.n; i++) {
            ASSERT(v.items[i].from <= v.items[i].to && v.items[i].to <= size);
        }
        verdict_result_done(&v);
        buf_init(&out, 1 << 20);
        verdict_stream_init(&s);
        (void)verdict_stream_feed(&s, r, &ask, text, size, true, &out);
        verdict_stream_done(&s);
        buf_done(&out);
        verdict_rules_unref(r);
    }
    mem_free(faults);
    return 0;
}
