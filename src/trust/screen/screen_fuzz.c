/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: any bytes are cleaned, folded, marked and made safe, and the way back stays within them. */
#include <string.h>

#include "base/text/text.h"
#include "trust/screen/screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct screen_clean c;
    struct screen_marks m = {0};
    struct buf out;
    if (size > 65536) {
        return 0;
    }
    ASSERT(screen_clean(text, size, &c));
    ASSERT(text_utf8_is_valid(c.text, c.n));
    for (size_t i = 0; i < c.n; i++) {
        size_t from, to;
        screen_clean_origin(&c, i, i + 1, &from, &to);
        ASSERT(from <= to && to <= size);
    }
    screen_injection(text, size, &m);
    screen_harmful(text, size, &m);
    screen_links(text, size, NULL, 0, &m);
    for (size_t i = 0; i < m.n; i++) {
        ASSERT(m.items[i].from <= m.items[i].to && m.items[i].to <= size);
    }
    for (int sink = SCREEN_SINK_TEXT; sink <= SCREEN_SINK_MARKDOWN; sink++) {
        buf_init(&out, 1 << 20);
        ASSERT(screen_sanitize((enum screen_sink)sink, text, size, &out));
        ASSERT(out.len == 0 || memchr(out.data, 0x1b, out.len) == NULL);
        buf_done(&out);
    }
    screen_marks_done(&m);
    screen_clean_done(&c);
    return 0;
}
