/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any bytes as CODEOWNERS, as a failure's texts and as a pattern of a path: nothing
   reads beyond them, a headline and a fingerprint are always made, and a match ends. */
#include <stdint.h>
#include <string.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *clean(const uint8_t *data, size_t n)
{
    char *s = mem_dup_strn((const char *)data, n);
    size_t valid = text_utf8_valid_prefix(s, strlen(s));
    s[valid] = '\0';
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int line = 0;
    size_t half = size / 2;
    struct arena *a = arena_new((size_t)64 << 20);
    AUTO_FREE char *first = clean(data, half);
    AUTO_FREE char *second = clean(data + half, size - half);
    struct qa_owners *owners = qa_owners_read((const char *)data, size);
    (void)qa_owners_find(owners, first, &line);
    (void)qa_path_matches(first, second);
    qa_owners_free(owners);
    struct qa_case c = {.name = "n", .class_name = "", .display = "", .file = "", .type = "",
                        .message = first, .trace = second, .output = "", .state = QA_FAILED};
    const char *headline = qa_headline(a, "", first, second);
    ASSERT(text_utf8_is_valid(headline, strlen(headline)) && strchr(headline, '\n') == NULL);
    ASSERT(strlen(qa_fingerprint(a, &c, headline, true)) == 16);
    struct qa_place p = qa_find_place(a, NULL, &c);
    ASSERT(p.line >= 0 && p.file != NULL);
    arena_free(a);
    return 0;
}
