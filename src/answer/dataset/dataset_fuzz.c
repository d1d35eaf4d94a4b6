/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: documents that are read in the server itself: Markdown, text, JSON lines. First byte:
   which. A chunk of a text is a stretch of it, and valid. Owns: nothing. Threads: one. */
#include "answer/dataset/dataset_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dataset_pieces p = {0};
    struct fault why;
    if (size < 1 || size > 200000) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    if (!text_utf8_is_valid(text, n) || memchr(text, '\0', n) != NULL) {
        return 0; /* refused before it is read */
    }
    bool lines = data[0] % 3 == 2;
    enum fail f = lines ? dataset_read_lines(&p, text, n, &why)
                        : dataset_read_text(&p, text, n, data[0] % 3 == 0, &why);
    for (size_t i = 0; i < p.count && f == FAIL_NONE; i++) {
        size_t len = strlen(p.items[i].text);
        ASSERT(len > 0 && len <= DATASET_CHUNK_MAX);
        ASSERT(text_utf8_is_valid(p.items[i].text, len));
        ASSERT(text_utf8_is_valid(p.items[i].heading, strlen(p.items[i].heading)));
        ASSERT(p.items[i].at >= 0);
        if (!lines) {
            ASSERT((size_t)p.items[i].at + len <= n);
            ASSERT(memcmp(text + p.items[i].at, p.items[i].text, len) == 0);
        }
    }
    if (f == FAIL_NONE) {
        dataset_pieces_finish(&p, "fuzz", "document");
    }
    dataset_pieces_done(&p);
    return 0;
}
