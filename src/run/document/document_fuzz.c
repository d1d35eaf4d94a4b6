/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the frames of a reader that was taken over. The first byte says in which pieces they
 * come. What is accepted can be trusted in form: links inside their text, everything UTF-8.
 */
#include <string.h>

#include "base/text/text.h"
#include "run/document/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct document *d)
{
    for (size_t i = 0; i < d->blocks_len; i++) {
        const struct document_block *b = &d->blocks[i];
        ASSERT(strlen(b->text) == b->len && text_utf8_is_valid(b->text, b->len));
        ASSERT(b->begin <= b->end && document_kind_name(b->kind) != NULL);
        for (uint32_t k = 0; k < b->links_len; k++) {
            ASSERT(b->links[k].begin <= b->links[k].end && b->links[k].end <= b->len);
        }
    }
    for (size_t i = 0; i < d->metas_len; i++) {
        ASSERT(document_meta_name(d->metas[i].key) != NULL && d->metas[i].value != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document_limits limits = {.blocks = 50, .links = 20, .attachments = 5,
                                     .text_bytes = 4096, .attachment_bytes = 4096};
    struct document *d = NULL;
    struct fault why = {0};
    document_limits_fill(&limits);
    if (size < 1) {
        return 0;
    }
    size_t piece = data[0] == 0 ? size : data[0];
    struct document_taker *t = document_taker_new(&limits);
    enum fail f = FAIL_NONE;
    for (size_t at = 1; at < size && f == FAIL_NONE; at += piece) {
        f = document_taker_feed(t, data + at, size - at < piece ? size - at : piece, &why);
    }
    if (f == FAIL_NONE) {
        f = document_taker_end(t, &d, &why);
    }
    ASSERT((f == FAIL_NONE) == (d != NULL) && (f == FAIL_NONE || why.message[0] != '\0'));
    if (d != NULL) {
        check(d);
    }
    document_free(d);
    document_taker_free(t);
    return 0;
}
