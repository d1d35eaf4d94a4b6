/* SPDX-License-Identifier: Apache-2.0 */
/* run/reader, blocking. Threads: any; nothing is shared. */
#include <unistd.h>

#include "run/reader/reader_internal.h"

static const char *const formats[] = {
#define FORMAT(name) #name,
#include "run/document/document_formats.def"
#undef FORMAT
    NULL};

const char *const *reader_formats(void)
{
    return formats;
}

enum fail reader_read(const struct reader_programs *programs, const struct reader_ask *ask,
                      struct document **out, struct fault *why)
{
    int doc;
    *out = NULL;
    enum fail f = reader_copy(ask, &doc, why);
    if (f == FAIL_NONE) {
        f = reader_run(programs, ask, doc, -1, out, why);
        close(doc);
    }
    return f;
}
